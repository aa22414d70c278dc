"""How ops move states: a rule for each family of ops; an op without a rule is refused."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import symad.distribution.matrix_moves
import symad.distribution.shape_moves
import symad.distribution.subscript_moves  # noqa: F401  these register their rules
from symad.distribution.alignment import (
    RULES,
    aligned_broadcast,
    moves,
    on,
    require_apart,
    shape_of,
)
from symad.distribution.partials import REDUCTIONS, passed_on
from symad.distribution.states import (
    REPLICATED,
    Aligned,
    Items,
    Mixed,
    Partial,
    Replicated,
    SecondRound,
    State,
)
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.after import After
from symad.ops.base import PerElement
from symad.ops.cumulative import Cumulative
from symad.ops.gather import OneHot
from symad.ops.nn import Normalized
from symad.ops.rearrange import Flip, Roll
from symad.ops.reduce import Reduction
from symad.ops.searching import SearchSorted
from symad.ops.sorting import Argsort, Sort
from symad.ops.structure import StructureItem


def moved(node: Node, states: Sequence[State], zeros: Set[Node], in_loop: bool) -> State:
    """Return the state of a node from those of its inputs.

    In a loop, which cannot be cut, partial sums also pass ops that are linear in them, with
    ``zeros`` in place of some of them.

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
    if all(state == REPLICATED or _is_whole(state) for state in seen):
        return REPLICATED
    if any(isinstance(state, Items) for state in seen):
        raise Mixed("no rule says what this op does with a structure")
    is_aligned = any(isinstance(state, Aligned) for state in seen)
    if any(not isinstance(state, (Aligned, Replicated)) for state in seen):
        if is_aligned:
            raise SecondRound()
        return passed_on(node, seen, zeros, in_loop)
    for kind in type(op).__mro__:
        if kind in RULES:
            return RULES[kind](op, node, seen)
    raise Mixed("no rule says that this op treats the elements of the dimension one by one")


def _is_whole(state: State) -> bool:
    return isinstance(state, Items) and all(item == REPLICATED for item in state.items)


# Elementwise ops, reductions, and ops along an axis


@moves(PerElement)
def _elementwise(op: Op, node: Node, states: Sequence[State]) -> State:
    return aligned_broadcast(node.inputs, states, len(shape_of(node)))


@moves(After, StructureItem)
def _same(op: Op, node: Node, states: Sequence[State]) -> State:
    return states[0]


# Reductions and ops along an axis


@moves(Reduction)
def _reduction(op: Reduction, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    axes = on(op.axis, node.inputs[0])
    if state.axis in axes:
        if op.name not in REDUCTIONS:
            raise Mixed(f"results of {op.name} over parts of the dimension cannot be merged")
        return Partial(REDUCTIONS[op.name])
    before = 0 if op.keepdims else sum(axis < state.axis for axis in axes)
    return Aligned(state.axis - before, state.times)


@moves(Normalized, Cumulative, Argsort, Sort)
def _along(op: Any, node: Node, states: Sequence[State]) -> State:
    state = aligned_broadcast(node.inputs, states, len(shape_of(node)))
    does = "accumulates" if isinstance(op, Cumulative) else "sorts"
    does = "normalises" if isinstance(op, Normalized) else does
    return require_apart(state, on(op.axis, node), does)


@moves(Flip, Roll)
def _moved_along(op: Any, node: Node, states: Sequence[State]) -> State:
    return require_apart(states[0], on(op.axis, node), "moves elements")


@moves(SearchSorted)
def _searched(op: Op, node: Node, states: Sequence[State]) -> State:
    if isinstance(states[0], Aligned):
        raise Mixed("this searches in all elements of the dimension")
    return states[1]


@moves(OneHot)
def _new_last_axis(op: Op, node: Node, states: Sequence[State]) -> State:
    return states[0]
