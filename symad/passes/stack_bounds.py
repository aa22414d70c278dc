"""Stacks of ``while_loop``, whose lengths are known only when it has ended, with a bound.

Reverse mode goes back through the steps of a loop over the rows that each has left.  What is
exported has room for ``max_steps`` rows, of which loops read and write as many as there were steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.body import WithBody
from symad.ops.control import Map
from symad.ops.fused import Fused
from symad.ops.loops import Scan, While
from symad.ops.structure import MakeStructure, StructureItem
from symad.types import StructureType, TensorType, Type

GIVE_MAX_STEPS = "Bound the number of steps: sm.while_loop(condition, body, carry, max_steps=100)."
"""What helps where a stack has no bound."""


def has_stacks(op: While) -> bool:
    """Return whether a loop leaves a row for each step."""
    return len(op.body.outputs) > op.carries


def stack_bounds(graph: Graph) -> dict[Any, int]:
    """Return the most rows of each stack, by its unknown length; graphs within are searched too.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = sm.while_loop(lambda c: c < 9, lambda c: c * c, x, max_steps=20)
    >>> stack_bounds(sm.Graph([sm.gradients(y, x)]))
    {?: 20}
    """
    found: dict[Any, int] = {}
    pending = [graph]
    while pending:
        for node in pending.pop().nodes:
            op = node.op
            if isinstance(op, WithBody):
                pending += op.bodies
            if isinstance(op, While) and has_stacks(op) and op.max_steps is not None:
                found[op.length] = op.max_steps
    return found


def reads_all_rows(node: Node, bounds: Mapping[Any, int]) -> bool:
    """Return whether an op takes or makes a stack with a bound, and is no loop over its steps."""
    types = [node.type, *(source.type for source in node.inputs)]
    if not any(_is_bounded(type_, bounds) for type_ in types):
        return False
    op = node.op
    if isinstance(op, (Map, Scan)):
        first, length = (2 + op.carries, op.length) if isinstance(op, Scan) else (1, None)
        rows = types[first:][: op.sequences]
        return any(_length(type_) in bounds and _length(type_) is not length for type_ in rows)
    is_passed_on = isinstance(op, (MakeStructure, StructureItem, WithBody))
    return not is_passed_on or isinstance(op, Fused)


def _length(type_: Type | None) -> Any:
    shape = type_.shape if isinstance(type_, TensorType) else None
    return shape[0] if isinstance(shape, tuple) and shape else None


def _is_bounded(type_: Type | None, bounds: Mapping[Any, int]) -> bool:
    if isinstance(type_, StructureType):
        return any(_is_bounded(item, bounds) for _, item in type_.fields)
    if not isinstance(type_, TensorType) or not isinstance(type_.shape, tuple):
        return False
    return any(not isinstance(size, int) and size in bounds for size in type_.shape)
