"""How the ops move states: one rule per family of ops; an op without a rule is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.distribution.states import (
    COMBINED,
    REPLICATED,
    SECOND_ROUND,
    SUM,
    Aligned,
    Mixed,
    Partial,
    Replicated,
    State,
)
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.base import PerElement
from symad.ops.reduce import Reduction
from symad.types import TensorType, UnknownShape, normalize_axes

Rule = Callable[[Any, Node, Sequence[State]], State]

RULES: dict[type[Op], Rule] = {}
"""The rule for a class of ops and its subclasses, for aligned and replicated inputs."""


def moves(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    """Register a rule: a function of the op, its node, and the states of the inputs."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def moved(node: Node, states: Sequence[State]) -> State:
    """Return the state of a node from those of its inputs.

    Raises
    ------
    Mixed
        If the op needs elements of several chunks at once, or no rule says that it does not.
    """
    op = node.op
    assert op is not None
    seen = [
        state if op.reads(slot) or isinstance(state, Aligned) else REPLICATED
        for slot, state in enumerate(states)
    ]
    if all(state == REPLICATED for state in seen):
        return REPLICATED
    is_combined = any(not isinstance(state, (Aligned, Replicated)) for state in seen)
    if is_combined and any(isinstance(state, Aligned) for state in seen):
        raise Mixed(SECOND_ROUND, "Return the combined value, and use it in a second function.")
    if is_combined:
        return COMBINED
    for kind in type(op).__mro__:
        if kind in RULES:
            return RULES[kind](op, node, seen)
    raise Mixed("no rule says how this op treats the dimension")


def shape_of(node: Node) -> tuple[Any, ...]:
    """Return the shape of a node, whose rank must be known."""
    type_ = node.type
    if not isinstance(type_, TensorType) or isinstance(type_.shape, UnknownShape):
        raise Mixed(
            f"the number of axes of {node!r} is not known",
            "Declare shapes of the variables, with names or None for unknown sizes.",
        )
    return type_.shape


@moves(PerElement)
def broadcast(op: Op, node: Node, states: Sequence[State]) -> State:
    """Align operands that broadcast; those that are replicated must be repeated along the axis."""
    return aligned_broadcast(node.inputs, states, len(shape_of(node)))


def aligned_broadcast(inputs: Sequence[Node], states: Sequence[State], ndim: int) -> Aligned:
    """Return where the aligned axes of operands are after broadcasting to ``ndim`` axes."""
    found = {
        Aligned(state.axis + ndim - len(shape_of(x)), state.times)
        for x, state in zip(inputs, states, strict=True)
        if isinstance(state, Aligned)
    }
    if len(found) != 1:
        raise Mixed("the dimension meets itself on another axis, so that all elements are paired")
    (result,) = found
    for x, state in zip(inputs, states, strict=True):
        shape, axis = shape_of(x), result.axis - ndim + len(shape_of(x))
        if not isinstance(state, Aligned) and axis >= 0 and shape[axis] != 1:
            raise not_along(x)
    return result


def not_along(x: Node) -> Mixed:
    """Return the error for an operand that is as long as the dimension, but not in chunks."""
    return Mixed(
        f"{x!r} has its own elements along the dimension, and is not known to be in chunks",
        "Name the dimension in the shape of each input that has it.",
    )


REDUCTIONS = {
    "sum": "sum", "prod": "prod", "max": "max", "min": "min", "any": "any", "all": "all",
    "logsumexp": "logsumexp", "norm": "norm",
}  # fmt: skip
"""The merge of the results of each reduction over the dimension."""


@moves(Reduction)
def reduce(op: Reduction, node: Node, states: Sequence[State]) -> State:
    """Reduce each chunk; along other axes, the dimension stays."""
    (state,) = states
    assert isinstance(state, Aligned)
    axes = normalize_axes(op.axis, len(shape_of(node.inputs[0])))
    if state.axis in axes:
        if op.name not in REDUCTIONS:
            raise Mixed(f"results of {op.name} over the dimension cannot be merged")
        return Partial(REDUCTIONS[op.name])
    before = 0 if op.keepdims else sum(axis < state.axis for axis in axes)
    return Aligned(state.axis - before, state.times)
