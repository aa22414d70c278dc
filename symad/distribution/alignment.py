"""Where the dimension is in the operands of an op: what the rules of all ops have in common.

A rule is called for inputs that are aligned or replicated, at least one of them aligned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.distribution.states import Aligned, Mixed, State, agree
from symad.graph.node import Node
from symad.graph.op import Op
from symad.types import StructureType, UnknownShape, normalize_axes

Rule = Callable[[Any, Node, Sequence[State]], State]

RULES: dict[type[Op], Rule] = {}
"""The rule for a class of ops and its subclasses."""


def moves(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    """Register a rule: a function of the op, its node, and the states of the inputs."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def shape_of(node: Node) -> tuple[Any, ...]:
    """Return the shape of a node, whose rank must be known."""
    type_ = node.type
    if isinstance(type_, StructureType):
        raise Mixed("this op on structures is not known")
    if isinstance(type_.shape, UnknownShape):
        raise Mixed(
            f"the number of axes of {node!r} is not known",
            'Declare shapes: sm.Variable("w", shape=(784, 10)), with names or None for sizes.',
        )
    return type_.shape


def aligned_broadcast(
    inputs: Sequence[Node], states: Sequence[State], ndim: int, drop: int = 0
) -> Aligned:
    """Return where the dimension is after operands are broadcast to ``ndim`` axes.

    The last ``drop`` axes of the operands do not take part.
    """
    found = {
        Aligned(state.axis + ndim - len(shape_of(x)) + drop, state.times): None
        for x, state in zip(inputs, states, strict=True)
        if isinstance(state, Aligned)
    }
    if not found:
        raise not_along(inputs[0])
    result, *others = found
    if not all(agree(result, other) for other in others):
        raise crossed()
    for x, state in zip(inputs, states, strict=True):
        require_same_along(x, state, result.axis - ndim + len(shape_of(x)) - drop)
    return result


def require_same_along(x: Node, state: State, axis: int) -> None:
    """Raise an error if a replicated operand has more than one element along an axis."""
    if not isinstance(state, Aligned) and axis >= 0 and shape_of(x)[axis] != 1:
        raise not_along(x)


def not_along(x: Node) -> Mixed:
    """Return the error for an operand that is as long as the dimension, but not in chunks."""
    return Mixed(
        f"{x!r} has elements of its own along the dimension, and is not known to be in chunks",
        "Name the dimension in the shape of each input that has it.",
    )


def crossed() -> Mixed:
    """Return the error for a dimension on two axes."""
    return Mixed("this pairs every element of the dimension with every other")


def require_apart(state: State, axes: Sequence[int], what: str) -> Aligned:
    """Return a state whose axis is not one of those that an op mixes."""
    assert isinstance(state, Aligned)
    if state.axis in axes:
        raise Mixed(f"this {what} along the dimension, so that all its elements are needed at once")
    return state


def require_all(node: Node, states: Sequence[State], slots: Sequence[int]) -> None:
    """Raise an error if one of some inputs is not aligned."""
    for slot in slots:
        if not isinstance(states[slot], Aligned):
            raise not_along(node.inputs[slot])


def on(axis: Any, x: Node) -> tuple[int, ...]:
    """Return axes of a node, counted from the front."""
    return normalize_axes(axis, len(shape_of(x)))
