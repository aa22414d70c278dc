"""Traces of what is inside loops, branches and maps: the values of their steps, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symad.graph.node import Node
from symad.notation.bodies import Port, is_loop, title_of
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.table import Table, Tabular
from symad.notation.values import format_value
from symad.ops.body import WithBody
from symad.records import dataclass
from symad.runtime.values import StepValues, Values

_MOST = 4
"""The most steps that are shown: the first ones and the last."""
_LONGEST = 30  # characters of a value in a cell

Runs = dict[str, Values]
"""The values in a body by step: of all nodes that were computed there."""


@dataclass(frozen=True)
class LoopTrace(Tabular):
    """The nodes in a loop, a branch or a map, with their values in some of its steps.

    Attributes
    ----------
    owner : Node
    title : str
        Such as ``v3 = scan, 4 steps``.
    steps : tuple of str
        The steps that are shown; empty in a trace without values.
    nodes : tuple of Node
        Those with a line.
    lines : tuple of tuple of str
        For each, its formula and its values.
    """

    owner: Node
    title: str
    steps: tuple[str, ...]
    nodes: tuple[Node, ...]
    lines: tuple[tuple[str, ...], ...]

    @property
    def table(self) -> Table:
        """The lines as cells."""
        return Table((self.title, *self.steps), self.lines)


def loop_traces(formulas: Formulas) -> Iterator[LoopTrace]:
    """Yield the trace of each loop of a view, outer before inner ones.

    What is in a loop in a loop is that of the first step in which it is.
    """
    view = formulas.view
    values, places = dict(view.values), dict[Node, str]()
    for owner in filter(is_loop, view.bodies.owners):
        runs = _runs(owner, [values[view.behind(x)] for x in owner.inputs]) if values else {}
        name = formulas.name(owner)
        for step, made in runs.items():
            for node, value in made.items():
                values.setdefault(node, value)
                places.setdefault(node, f", in {step} of {name}")
        title = f"{name} = {title_of(owner)}{places.get(owner, '')}"
        shown = [{view.behind(n): value for n, value in made.items()} for made in runs.values()]
        computed = set().union(*shown)  # those of branches that are not taken are not
        nodes = tuple(n for n in _lines_in(owner, formulas) if n in computed or not runs)
        lines = [(_text(n, owner, formulas), *(_cell(made, n) for made in shown)) for n in nodes]
        yield LoopTrace(owner, title, tuple(runs), nodes, tuple(lines))


def _runs(owner: Node, inputs: Sequence[Any]) -> Runs:
    """Return the values in the first steps and in the last."""
    assert isinstance(owner.op, WithBody)
    evaluate, found = StepValues(), Runs()
    run = lambda body, given: [evaluate(body, given)[y] for y in body.outputs]  # noqa: E731
    for where, body, given in owner.op.runs((), inputs, run):
        step = where.removeprefix("the condition of ")
        if step not in found and len(found) == _MOST:
            found.popitem()
        found.setdefault(step, {}).update(evaluate(body, given))
    return found


def _lines_in(owner: Node, formulas: Formulas) -> Iterator[Node]:
    """Yield the nodes in a loop that have a name, inputs first."""
    assert isinstance(owner.op, WithBody)
    view, bodies = formulas.view, owner.op.bodies
    found = [node for body in bodies for node in body.nodes]
    used, inside = set(found), set(view.inside)
    arguments = [node for node in bodies[-1].inputs if node in used]
    for node in dict.fromkeys(map(view.behind, (*arguments, *found))):
        if node in inside and (formulas.labels.of(node) or node in formulas.auxiliary):
            yield node


def _text(node: Node, owner: Node, formulas: Formulas) -> str:
    """Return ``v9 = v6·v8``, or what an input of the body is."""
    if node in formulas.right_sides:
        formula = str(formulas.right_sides[node])
    else:
        formula = _represented(node, owner, formulas)
    return f"{formulas.name(node)} = {visible(formula)}"


def _represented(node: Node, owner: Node, formulas: Formulas) -> str:
    """Return what an input of a body is; the same input may be one of several bodies."""
    port = formulas.view.bodies.ports[node]
    if port.is_carry:
        assert isinstance(owner.op, WithBody)
        slot = owner.op.bodies[-1].inputs.index(node)
        return "carry" if Port(owner, slot).is_carry else "saved carry"
    outer = formulas.view.behind(port.outer)
    name = formulas.name(outer) if outer.op is not None else outer.label
    return f"{name}[i]" if port.is_element else str(name)


def _cell(made: Values, node: Node) -> str:
    return visible(format_value(made[node]), _LONGEST) if node in made else ""
