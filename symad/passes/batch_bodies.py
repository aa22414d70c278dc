"""Batching of loops and branches: their bodies are batched, and they run once for all elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, apply
from symad.graph.op import call
from symad.ops.batching import aligned, repeated, shape_of, stack_type
from symad.ops.body import WithBody, placeholder, results_of, value_of
from symad.ops.branch import Branch
from symad.ops.loops import Scan, While

Expand = Callable[[Graph, Sequence[bool], Sequence[Node], int], tuple[list[Node], list[bool]]]
"""Returns the outputs of a body for a number of elements, and which of them are stacked."""


def batch_bodies(
    node: Node, batched: Sequence[bool], inputs: Sequence[Node], rows: int, expand: Expand
) -> Node | None:
    """Return a loop or a branch for all elements at once; ``None`` if it runs for each of them.

    Parameters
    ----------
    node : Node
        The op for one element.
    batched : sequence of bool
        Which of the ``inputs`` are stacked elements.
    inputs : sequence of Node
    rows : int
    expand : callable
    """
    if isinstance(node.op, Scan) and not batched[0]:
        return _scan(node.op, batched, inputs, rows, expand)
    if isinstance(node.op, Branch) and not batched[0]:
        return _branch(node.op, batched, inputs, rows, expand)
    if isinstance(node.op, Branch) and not any(map(_may_not_end, node.op.branches)):
        return _choices(node.op, batched, inputs, rows, expand)
    return None


def _whole(results: Sequence[Node], stacked: Sequence[bool], rows: int) -> list[Node]:
    pairs = zip(results, stacked, strict=True)
    return [x if is_stacked else repeated(x, rows) for x, is_stacked in pairs]


def _stand_ins(inputs: Sequence[Node], batched: Sequence[bool], rows: int) -> list[Node]:
    """Return placeholders for the inputs of a body, stacked where they are ``batched``."""
    pairs = zip(inputs, batched, strict=True)
    return [placeholder(x, stack_type(x.type, rows) if stacks else x.type) for x, stacks in pairs]


def _scan(
    op: Scan, batched: Sequence[bool], inputs: Sequence[Node], rows: int, expand: Expand
) -> Node:
    count, last = op.carries, op.carries + op.sequences
    carried = list(batched[1 : count + 1])
    while True:  # a carry that is the same for all elements may become different in a step
        flags = [*carried, *batched[count + 1 :]]
        elements = _stand_ins(op.body.inputs, flags, rows)
        outputs, stacked = expand(op.body, flags, elements, rows)
        joined = [a or b for a, b in zip(carried, stacked, strict=False)]
        if joined == carried:
            break
        carried = joined
    new = [*_whole_where(outputs[:count], stacked, carried, rows), *outputs[count:]]
    first = _whole_where(inputs[1 : count + 1], batched[1:], carried, rows)
    sequences = [
        call("moveaxis", x, 0, 1) if stacks else x
        for x, stacks in zip(inputs[count + 1 : last + 1], batched[count + 1 :], strict=False)
    ]
    whole = op.with_bodies(Graph(new, elements))
    results = results_of(apply(whole, inputs[0], *first, *sequences, *inputs[last + 1 :]))
    steps = [
        call("moveaxis", x, 1, 0) if stacks else x
        for x, stacks in zip(results[count:], stacked[count:], strict=True)
    ]
    return value_of(_whole([*results[:count], *steps], [*carried, *stacked[count:]], rows))


def _whole_where(
    values: Sequence[Node], stacked: Sequence[bool], wanted: Sequence[bool], rows: int
) -> list[Node]:
    """Return the ``wanted`` values stacked, whichever are so already."""
    triples = zip(values, stacked, wanted, strict=False)
    return [repeated(x, rows) if needs and not has else x for x, has, needs in triples]


def _branch(
    op: Branch, batched: Sequence[bool], inputs: Sequence[Node], rows: int, expand: Expand
) -> Node:
    bodies = []
    for body in op.branches:
        elements = _stand_ins(body.inputs, batched[1:], rows)
        outputs = _whole(*expand(body, batched[1:], elements, rows), rows)
        bodies.append(Graph(outputs, elements))
    return apply(op.with_bodies(*bodies), *inputs)


def _choices(
    op: Branch, batched: Sequence[bool], inputs: Sequence[Node], rows: int, expand: Expand
) -> Node:
    """Return the results of all branches, chosen by the index of each element."""
    count = len(op.branches)
    index = call("where", call("less", inputs[0], 0), count, inputs[0])
    number = call("index_array", Constant(np.arange(count)), index)  # an error out of range
    results: list[Node] = []
    for k, body in enumerate(op.branches):
        found = _whole(*expand(body, batched[1:], inputs[1:], rows), rows)
        taken = call("equal", number, k)
        results = found if not results else [
            call("where", aligned(taken, len(shape_of(x)) - 1), x, other)
            for x, other in zip(found, results, strict=True)
        ]  # fmt: skip
    return value_of(results)


def _may_not_end(body: Graph) -> bool:
    """Return whether a body contains a loop that might not end for elements that do not run it."""
    ops = [node.op for node in body.nodes if isinstance(node.op, WithBody)]
    return any(isinstance(op, While) or any(map(_may_not_end, op.bodies)) for op in ops)
