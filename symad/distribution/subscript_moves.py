"""How subscripts, and what is written at them, move the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.distribution.alignment import (
    aligned_broadcast,
    crossed,
    moves,
    not_along,
    require_apart,
    require_same_along,
    shape_of,
)
from symad.distribution.states import SUM, Aligned, Mixed, Positions, State, agree
from symad.graph.node import Node
from symad.ops.gather import AddAlongAxis, TakeAlongAxis
from symad.ops.index import AddAt, Index, ScatterAdd, ScatterSum, SetAt
from symad.ops.subscript import FULL, Key, full_key, joined_place
from symad.types import normalize_axis


def selected(
    key: Key, x: Node, state: State, indices: Sequence[Node], of_indices: Sequence[State]
) -> Aligned | None:
    """Return where the dimension is in ``x[key]``; ``None`` where it is not."""
    if any(index.dtype == bool for index in indices):
        raise Mixed("a mask selects elements by their positions")
    whole = full_key(key, shape_of(x))
    start, full = joined_place(whole), [entry for entry in whole if entry is not Ellipsis]
    matched = _matched(full, list(zip(indices, of_indices, strict=True)))
    arrays = [pair for pair in matched if pair is not None]
    width = max([len(shape_of(array)) for array, _ in arrays], default=0)
    found: list[Aligned] = []
    if isinstance(state, Aligned):
        place = [k for k, entry in enumerate(full) if entry is not None][state.axis]
        index = matched[place]
        if full[place] in (FULL, (None, None, 1)):
            axis = sum(entry is None or isinstance(entry, tuple) for entry in full[:place])
            found.append(Aligned(axis + width if axis >= start else axis, state.times))
        elif index is None or not isinstance(index[1], Positions):
            raise Mixed("this selects elements of the dimension by their positions")
    if any(isinstance(own, Aligned) for _, own in arrays):
        joined = aligned_broadcast([x for x, _ in arrays], [own for _, own in arrays], width)
        found.append(Aligned(joined.axis + start, joined.times))
    if len(found) > 1:
        raise crossed()
    return found[0] if found else None


def _matched(
    full: Sequence[Any], given: Sequence[tuple[Node, State]]
) -> list[tuple[Node, State] | None]:
    """Return the index for each entry of a key that is one, ``None`` for the others."""
    rest, matched = iter(given), []
    for entry in full:
        if isinstance(entry, tuple):
            for _ in range(sum(isinstance(part, str) for part in entry)):
                next(rest)
        matched.append(next(rest) if isinstance(entry, str) else None)
    return matched


@moves(Index)
def _index(op: Index, node: Node, states: Sequence[State]) -> State:
    found = selected(op.key, node.inputs[0], states[0], node.inputs[1:], states[1:])
    if found is None:
        raise Mixed("bounds of a slice depend on elements of the dimension")
    return found


def placed_at(
    key: Key,
    value: tuple[Node, State],
    like: tuple[Node, State],
    indices: Sequence[Node],
    of_indices: Sequence[State],
    rank: int,
) -> State:
    """Return the state of values that are added to zeros of the shape of ``like`` at a key."""
    where = selected(key, *like, indices, of_indices)
    if where is None:  # the dimension is in the value only
        raise not_along(like[0])
    pair = [value[0]], [value[1]]
    if isinstance(value[1], Aligned):
        if not agree(aligned_broadcast(*pair, rank), where):
            raise crossed()
    else:
        require_same_along(value[0], value[1], where.axis - rank + len(shape_of(value[0])))
    return like[1] if isinstance(like[1], Aligned) else SUM


def _rank_selected(key: Key, like: Node, indices: Sequence[Node]) -> int:
    full = full_key(key, shape_of(like))
    width = max([len(shape_of(x)) for x in indices], default=0)
    return width + sum(entry is None or isinstance(entry, tuple) for entry in full)


@moves(ScatterAdd, ScatterSum)
def _scatter(op: Any, node: Node, states: Sequence[State]) -> State:
    pairs = list(zip(node.inputs, states, strict=True))
    if isinstance(op, ScatterSum):
        parts, like = op.parts(pairs), pairs[len(op.keys)]
    else:
        parts, like = [(op.key, pairs[0], pairs[2:])], pairs[1]
    found = set()
    for key, value, given in parts:
        indices, of_indices = [x for x, _ in given], [state for _, state in given]
        rank = _rank_selected(key, like[0], indices)
        found.add(placed_at(key, value, like, indices, of_indices, rank))
    if len(found) != 1:
        raise crossed()
    return found.pop()


@moves(AddAt, SetAt)
def _updated(op: Any, node: Node, states: Sequence[State]) -> State:
    x, value, *indices = node.inputs
    if not isinstance(states[0], Aligned):
        raise Mixed("elements of the dimension are written into an array without it")
    rank = _rank_selected(op.key, x, indices)
    like = x, states[0]
    return placed_at(op.key, (value, states[1]), like, indices, states[2:], rank)


@moves(TakeAlongAxis)
def _take_along(op: TakeAlongAxis, node: Node, states: Sequence[State]) -> State:
    x, indices = states
    axis = normalize_axis(op.axis, len(shape_of(node)))
    if isinstance(indices, Aligned) and indices.axis == axis:
        if isinstance(x, Aligned):
            raise crossed()
        return indices
    state = aligned_broadcast(node.inputs, states, len(shape_of(node)))
    return require_apart(state, [axis], "takes elements")


@moves(AddAlongAxis)
def _add_along(op: AddAlongAxis, node: Node, states: Sequence[State]) -> State:
    (v, like, indices), rank = node.inputs, len(shape_of(node))
    axis = normalize_axis(op.axis, rank)
    state = aligned_broadcast([v, indices], [states[0], states[2]], rank)
    if agree(states[1], state):
        return require_apart(states[1], [axis], "adds elements")
    if isinstance(states[1], Aligned):
        raise crossed()
    if state.axis != axis:
        require_same_along(like, states[1], state.axis)
    return SUM
