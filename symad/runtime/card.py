"""The card of a compiled function in a notebook: its signature, shapes, backend and speed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import islice
from timeit import Timer
from typing import Any

import numpy as np

from symad.graph.cost import total_cost
from symad.graph.graph import Graph
from symad.graph.nested import leaves_with_paths, rebuild
from symad.graph.node import Node, Parameter
from symad.notation.table import Table
from symad.notation.values import counted
from symad.ops.body import WithBody
from symad.types import TensorType
from symad.visible import visible

MOST_NODES = 20_000
"""Of a graph whose work is counted for a card."""
_MOST_ROWS = 20
_LONGEST_CALL = 160
"""Characters of a signature."""
_MOST_MEASURED = 1e7
"""Operations and bytes of a call that is measured for a card."""
_SECONDS = 2e-3
"""How long calls are measured."""


def card(function: Any, ran: Graph | None, may_measure: bool) -> str:
    """Return the card of a function in HTML.

    Parameters
    ----------
    function : Function
    ran : Graph or None
        The optimised graph of the latest call, if there was one and it has few nodes.
    may_measure : bool
        Whether a call changes nothing, and runs the same program for all numbers.
    """
    rows = list(islice(_rows(function, ran), _MOST_ROWS))
    more = len(function.graph.inputs) + len(function.graph.outputs) - len(rows)
    notes = [f"{more:,} more rows"] if more else []
    if ran is None:
        titles: tuple[str, ...] = ("", "", "type")
        is_large = len(function.graph) > MOST_NODES
        text = "Not called yet. The first call makes the program for its shapes."
        notes.append(f"{len(function.graph):,} nodes" if is_large else text)
    else:
        titles = ("", "", "type", "latest call")
        notes.append(_work(function, ran, may_measure))
    table = Table(titles, [row[: len(titles)] for row in rows], notes=notes)
    name = f"<b>{escape(visible(function.name))}</b>, compiled, {function.settings.backend} backend"
    return f"<div><p>{name}</p><p><code>{escape(_call(function))}</code></p>{table.html}</div>"


def _call(function: Any) -> str:
    """Return the signature in one line, cut if it is long."""
    return visible(f"{function.name}{function.__signature__}", _LONGEST_CALL)


def _rows(function: Any, ran: Graph | None) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each input, parameter and result: its formula and its types."""
    graph = function.graph
    then = graph if ran is None else ran
    for node, latest in zip(graph.inputs, then.inputs, strict=True):
        kind = "parameter" if isinstance(node, Parameter) else "input"
        yield kind, visible(node.label), str(node.type), str(latest.type)
    kinds = [f"result{visible(path)}" for path, _ in leaves_with_paths(function.outputs)]
    kinds += [f"new {visible(parameter.label)}" for parameter in function.updates]
    for kind, node, latest in zip(kinds, graph.outputs, then.outputs, strict=True):
        yield kind, str(node), str(node.type), str(latest.type)


def _work(function: Any, ran: Graph, may_measure: bool) -> str:
    """Return what a call takes: nodes, operations, and time if it is harmless to measure it."""
    cost = total_cost(ran)
    text = (
        f"{counted(len(function.graph), 'node')}, {len(ran):,} after all passes; "
        f"{counted(cost.flops, 'operation')} per call"
    )
    is_small = cost.flops + cost.bytes_moved <= _MOST_MEASURED
    if not (may_measure and is_small and all(map(_is_harmless, ran.nodes))):
        return f"{text}."
    return f"{text}, {1e6 * _seconds(function, ran):,.3g} µs (measured now, with constant values)."


def _is_harmless(node: Node) -> bool:
    """Return whether a node can be computed for any numbers, in a known time."""
    if node.op is None:
        return isinstance(node.type, TensorType)
    is_ours = type(node.op).__module__.startswith("symad.")
    return is_ours and not node.op.may_fail and not isinstance(node.op, WithBody)


def _seconds(function: Any, ran: Graph) -> float:
    """Return the time of a call with ones, and zeros for integers, which may be indices."""
    types: list[Any] = [node.type for node in ran.inputs]
    values = (np.full(type_.shape, type_.dtype.kind == "f", type_.dtype) for type_ in types)
    given = function.inputs if isinstance(function.inputs, (list, tuple)) else [function.inputs]
    arguments = [rebuild(argument, values) for argument in given]
    timer = Timer(lambda: function(*arguments))
    with np.errstate(all="ignore"):
        number = max(1, int(_SECONDS / timer.timeit(1)))
        return min(timer.repeat(3, number)) / number
