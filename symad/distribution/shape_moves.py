"""How ops that change shapes, join or extend arrays move the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.distribution.alignment import (
    aligned_broadcast,
    crossed,
    moves,
    not_along,
    on,
    require_all,
    require_apart,
    require_same_along,
    shape_of,
)
from symad.distribution.partials import TRANSPOSES
from symad.distribution.states import REPLICATED, SUM, Aligned, Mixed, State, agree, product_of
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.adjoint import BroadcastLike, ReshapeLike, ReshapeOuter, SumLike
from symad.ops.join import Concat, ConcatPart, ConcatPlace, Stack
from symad.ops.rearrange import Pad, PadSum, Repeat, RepeatSum, Tile, TileSum
from symad.ops.reduce import ElementCount
from symad.ops.shape import ExpandDims, Reshape, Squeeze
from symad.ops.size import AxisSize
from symad.ops.windows import Windows, WindowSum


@moves(AxisSize, ElementCount)
def _size(op: Op, node: Node, states: Sequence[State]) -> State:
    return REPLICATED  # of other axes: see expansions


@moves(ExpandDims)
def _expanded(op: ExpandDims, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    new = on(op.axis, node)
    kept = [axis for axis in range(len(shape_of(node))) if axis not in new]
    return Aligned(kept[state.axis], state.times)


@moves(Squeeze)
def _squeezed(op: Squeeze, node: Node, states: Sequence[State]) -> State:
    axes = on(op.axis, node.inputs[0])
    state = require_apart(states[0], axes, "drops an axis")
    return Aligned(state.axis - sum(axis < state.axis for axis in axes), state.times)


@moves(*TRANSPOSES)
def _permuted(op: Any, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    return Aligned(op.order(len(shape_of(node))).index(state.axis), state.times)


@moves(SumLike)
def _sum_like(op: SumLike, node: Node, states: Sequence[State]) -> State:
    (x, like), (state, wanted) = node.inputs, states
    if not isinstance(state, Aligned):
        raise not_along(x)
    axis = state.axis - len(shape_of(x)) + len(shape_of(like))
    if agree(wanted, Aligned(axis, state.times)):
        return wanted
    if isinstance(wanted, Aligned):
        raise crossed()
    require_same_along(like, wanted, axis)
    return SUM


@moves(BroadcastLike)
def _broadcast_like(op: BroadcastLike, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, [1])
    return aligned_broadcast(node.inputs, states, len(shape_of(node)))


def reshaped(x: Node, state: State, shape: Sequence[Any]) -> Aligned:
    """Return where the dimension is after a reshape to ``shape``; its axis has a symbolic size."""
    assert isinstance(state, Aligned)
    before, after = shape_of(x)[: state.axis], shape_of(x)[state.axis + 1 :]
    for axis, dim in enumerate(shape):
        if product_of(shape[:axis]) == product_of(before) and not isinstance(dim, int):
            rest = product_of(shape[axis + 1 :])
            times = (state.times * product_of(after)).over(rest)
            if times is not None:
                return Aligned(axis, times)
    raise Mixed(
        "this reshape mixes the dimension with axes before it, or cuts it up",
        "Keep the dimension first: x.reshape((x.shape[0], -1)).",
    )


@moves(Reshape)
def _reshape(op: Reshape, node: Node, states: Sequence[State]) -> State:
    result = reshaped(node.inputs[0], states[0], shape_of(node))
    if op.dims[result.axis] != -1:  # sizes in chunks are matched before
        raise Mixed("the size of an axis with the dimension is given by something else")
    return result


@moves(ReshapeLike)
def _reshape_like(op: ReshapeLike, node: Node, states: Sequence[State]) -> State:
    (x, _), (state, wanted) = node.inputs, states
    require_all(node, states, [0, 1])
    assert isinstance(wanted, Aligned)
    return _as_reshaped(x, state, node, wanted)


def _as_reshaped(x: Node, state: State, node: Node, wanted: Aligned) -> Aligned:
    """Return the state that a reshaped value has, after checking it."""
    if not keeps_its_place(x, state, shape_of(node), wanted):
        raise Mixed("this reshape mixes the dimension with axes before it")
    return wanted


def keeps_its_place(x: Node, state: State, shape: Sequence[Any], wanted: Aligned) -> bool:
    """Return whether a reshape to ``shape`` leaves as much before the dimension as there was."""
    assert isinstance(state, Aligned)
    before, after = shape_of(x)[: state.axis], shape_of(x)[state.axis + 1 :]
    new_before, new_after = shape[: wanted.axis], shape[wanted.axis + 1 :]
    if product_of(before) == product_of(new_before):
        return True
    return product_of(after) == product_of(new_after) and state.times == wanted.times


@moves(ReshapeOuter)
def _reshape_outer(op: ReshapeOuter, node: Node, states: Sequence[State]) -> State:
    (x, a, _), (state, first, second) = node.inputs, states
    require_all(node, states, [0])
    if isinstance(first, Aligned) == isinstance(second, Aligned):
        raise crossed()
    if isinstance(second, Aligned):
        first = Aligned(len(shape_of(a)) + second.axis, second.times)
    assert isinstance(first, Aligned)
    return _as_reshaped(x, state, node, first)


# Joining


@moves(Concat, Stack)
def _joined(op: Any, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, range(len(states)))
    state = states[0]
    if any(other != state for other in states):
        raise crossed()
    (axis,) = on(op.axis, node)
    assert isinstance(state, Aligned)
    if isinstance(op, Stack):
        return Aligned(state.axis + (axis <= state.axis), state.times)
    return require_apart(state, [axis], "joins arrays")


@moves(ConcatPart, ConcatPlace)
def _part(op: Any, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, range(len(states)))
    if any(other != states[0] for other in states):
        raise crossed()
    return require_apart(states[0], on(op.axis, node.inputs[0]), "joins arrays")


def _extended_axes(op: Any, x: Node, rank: int) -> list[int]:
    """Return the axes, of ``rank``, along which an op or its transpose changes the size of x."""
    if isinstance(op, (Tile, TileSum)):
        return [k for k, n in enumerate((1,) * (rank - len(op.reps)) + op.reps) if n != 1]
    if isinstance(op, (Pad, PadSum)):
        widths = op.widths * rank if len(op.widths) == 1 else op.widths
        return [k for k, pair in enumerate(widths) if tuple(pair) != (0, 0)]
    return list(on(op.axis, x))


@moves(Tile, Pad, Repeat)
def _extended(op: Any, node: Node, states: Sequence[State]) -> State:
    (x,), (state,), rank = node.inputs, states, len(shape_of(node))
    assert isinstance(state, Aligned)
    moved_by = rank - len(shape_of(x))
    state = Aligned(state.axis + moved_by, state.times)
    return require_apart(state, _extended_axes(op, x, rank), "adds elements")


@moves(TileSum, PadSum, RepeatSum)
def _extended_adjoint(op: Any, node: Node, states: Sequence[State]) -> State:
    like, rank = node.inputs[1], len(shape_of(node.inputs[0]))
    require_all(node, states, [0, 1])
    state = require_apart(states[0], _extended_axes(op, like, rank), "adds elements up")
    wanted = Aligned(state.axis - rank + len(shape_of(like)), state.times)
    if states[1] != wanted:
        raise crossed()
    return wanted


@moves(Windows)
def _windows(op: Windows, node: Node, states: Sequence[State]) -> State:
    rank = len(shape_of(node.inputs[0]))
    return require_apart(states[0], range(rank - len(op.sizes), rank), "takes windows")


@moves(WindowSum)
def _window_sum(op: WindowSum, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, [0, 1])
    rank = len(shape_of(node))
    if states[0] != states[1]:
        raise crossed()
    return require_apart(states[1], range(rank - len(op.sizes), rank), "takes windows")
