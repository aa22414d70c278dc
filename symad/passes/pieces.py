"""Where the elements of slices and joins come from, along one axis.

A *place* is an index along an axis, which is counted from the last one.  The axes before it have
one element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.index import Index, ScatterAdd, SetAt
from symad.ops.join import Concat, ConcatPlace
from symad.ops.rearrange import Pad, Roll
from symad.ops.shape import BroadcastTo
from symad.ops.subscript import Key, boxes_of
from symad.passes.fuse import Shape, shape_of
from symad.types import normalize_axis


class Piece(NamedTuple):
    """The places from ``first`` to ``end`` are those of ``source``, ``shift`` places further."""

    first: int
    end: int
    source: Node
    shift: int


def places(node: Node, axis: int) -> int:
    """Return the number of places of an array; 0 if it has none along this axis."""
    shape = shape_of(node)
    before = len(shape) - axis
    return shape[before] if before >= 0 and math.prod(shape[:before]) == 1 else 0


def pieces_of(node: Node, axis: int) -> list[Piece]:
    """Return the pieces of a join, the only one of a slice, and none of other nodes.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x", shape=(3,)), sm.Variable("y", shape=(5,))
    >>> [(p.first, p.end, p.source.name, p.shift) for p in pieces_of(sm.concat([x, y]), 1)]
    [(0, 3, 'x', 0), (3, 8, 'y', -3)]
    """
    find = None if node.op is None else _FINDERS.get(type(node.op))
    if find is None or places(node, axis) < 2:
        return []
    if any(source.dtype != node.dtype for source in node.inputs):
        return []
    return [piece for piece in find(node, axis) if piece.end > piece.first]


def _of_slice(node: Node, axis: int) -> Iterable[Piece]:
    source = node.inputs[0]
    run = _run(node.op.key, shape_of(source), axis)  # type: ignore[union-attr]
    if run is not None and len(shape_of(source)) == len(shape_of(node)):
        yield Piece(0, places(node, axis), source, run[0])


def _of_concat(node: Node, axis: int) -> Iterable[Piece]:
    rank = len(shape_of(node))
    if normalize_axis(node.op.axis, rank) == rank - axis:  # type: ignore[union-attr]
        first = 0
        for source in node.inputs:
            end = first + places(source, axis)
            yield Piece(first, end, source, -first)
            first = end


def _of_roll(node: Node, axis: int) -> Iterable[Piece]:
    op, rank, size = node.op, len(shape_of(node)), places(node, axis)
    assert isinstance(op, Roll)
    is_line = op.axis is None and rank == 1
    if is_line or (isinstance(op.axis, int) and normalize_axis(op.axis, rank) == rank - axis):
        by = sum(op.shift if isinstance(op.shift, tuple) else [op.shift]) % size
        yield Piece(0, by, node.inputs[0], size - by)
        yield Piece(by, size, node.inputs[0], -by)


def _of_pad(node: Node, axis: int) -> Iterable[Piece]:
    op, pairs = node.op, _pairs(node)
    assert isinstance(op, Pad)
    before, after = pairs.pop(-axis)
    if op.mode == "constant" and not any(map(any, pairs)):
        run = before, places(node, axis) - after
        yield from _put(node, run, node.inputs[0], Constant(op.value, node.dtype), axis)


def _of_concat_place(node: Node, axis: int) -> Iterable[Piece]:
    op, rank, (source, *others) = node.op, len(shape_of(node)), node.inputs
    assert isinstance(op, ConcatPlace)
    if normalize_axis(op.axis, rank) == rank - axis:
        first = sum(places(other, axis) for other in others[: op.part])
        yield from _put(node, (first, first + places(source, axis)), source, _zero(node), axis)


def _of_scatter(node: Node, axis: int) -> Iterable[Piece]:
    assert isinstance(node.op, ScatterAdd)
    run = _run(node.op.key, shape_of(node), axis)
    if run is not None:
        yield from _put(node, run, node.inputs[0], _zero(node), axis)


def _of_update(node: Node, axis: int) -> Iterable[Piece]:
    assert isinstance(node.op, SetAt)
    run, (array, value, *_) = _run(node.op.key, shape_of(node), axis), node.inputs
    if run is not None:
        yield from _put(node, run, value, array, axis)


def _pairs(node: Node) -> list[tuple[int, int]]:
    assert isinstance(node.op, Pad)
    return list(node.op.pairs(len(shape_of(node))))


def _zero(node: Node) -> Node:
    return Constant(0, node.dtype)


def _run(key: Key, shape: Shape, axis: int) -> tuple[int, int] | None:
    """Return where a subscript begins and ends along the axis, if it selects such a run."""
    if any(isinstance(entry, tuple) and entry[2] not in (None, 1) for entry in key):
        return None
    boxes = boxes_of((key,), shape)
    if boxes is None:
        return None
    run = boxes[0].pop(-axis)
    rest = shape[: len(shape) - axis] + shape[len(shape) - axis + 1 :]
    return run if boxes[0] == [(0, size) for size in rest] else None


def _put(
    node: Node, run: tuple[int, int], value: Node, around: Node, axis: int
) -> Iterable[Piece]:
    """Yield the pieces of a node that has a value in a run of places, and another around it."""
    (first, end), size, whole = run, places(node, axis), shape_of(node)
    before = len(whole) - axis
    value = _spread(value, (*whole[:before], end - first, *whole[before + 1 :]))
    if len(shape_of(value)) == len(whole) and places(value, axis) == end - first:
        around = _spread(around, whole)
        yield Piece(0, first, around, 0)
        yield Piece(first, end, value, -first)
        yield Piece(end, size, around, 0)


def _spread(value: Node, shape: Shape) -> Node:
    """Return a number as an array of this shape; an array as it is."""
    return value if shape_of(value) else apply(BroadcastTo(shape), value)


_FINDERS: dict[type[Op], Callable[[Node, int], Iterable[Piece]]] = {
    Index: _of_slice,
    Concat: _of_concat,
    Roll: _of_roll,
    Pad: _of_pad,
    ConcatPlace: _of_concat_place,
    ScatterAdd: _of_scatter,
    SetAt: _of_update,
}
JOINS = tuple(kind for kind in _FINDERS if kind is not Index)
