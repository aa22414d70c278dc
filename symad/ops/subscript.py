"""Subscripts ``x[...]``: their form as an attribute of an op, result shape, and NumPy form.

A **key** is a tuple with one entry per part of a subscript: an ``int``; ``None`` for a new axis;
``...``; a slice as a tuple ``(start, stop, step)``; or ``"?"``, which represents an integer input
of the op, in order: an index (a number or an array) or a bound of a slice.  A constant mask becomes
the positions where it is true, as soon as the sizes of its axes are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, computed, reporting
from symad.ops.base import as_node, holds_node, tensor_types
from symad.ops.size import as_size
from symad.types import (
    Dimension,
    KnownRank,
    Shape,
    TensorType,
    UnknownDim,
    UnknownShape,
    broadcast_shapes,
    format_shape,
)

Key = tuple[Any, ...]

HOLE = "?"
FULL = (None, None, None)


def parse(index: Any, x: Node) -> tuple[Key, tuple[Node, ...]]:
    """Return the key of a subscript of ``x`` that a user wrote, and the nodes that are its inputs.

    Raises
    ------
    GraphTypeError
        If part of it is not an integer, slice, ``None``, ``...``, array of integers, or constant
        mask.
    ShapeError
        If a mask has other sizes than the axes to which it applies.
    """
    items = index if isinstance(index, tuple) else (index,)
    with reporting("index", x):
        if sum(item is Ellipsis for item in items) > 1:
            raise GraphTypeError("a subscript can have only one ...")
        (type_,) = tensor_types(x.type)
        entries = [_parse_entry(item) for item in _positions(items, type_.shape)]
    key = tuple(entry for entry, _ in entries)
    return key, tuple(node for _, nodes in entries for node in nodes)


def _parse_entry(item: Any) -> tuple[Any, list[Node]]:
    if item is None or item is Ellipsis:
        return item, []
    if isinstance(item, slice):
        return _parse_slice(item)
    if isinstance(item, list) and not item:
        item = np.zeros(0, "int64")
    node = as_node(item)
    (type_,) = tensor_types(node.type)
    if type_.dtype.kind == "b" and not (isinstance(node, Constant) and node.ndim):
        raise GraphTypeError(
            "a boolean mask that is computed gives a shape that depends on values"
            if type_.ndim != 0
            else "a single boolean is not an index; == on nodes compares identity",
            remedy="Write sm.where(mask, x, 0), and sm.sum(mask) to count.",
        )
    if type_.dtype.kind not in "iub":
        raise GraphTypeError(
            f"an index must be an integer, not {type_.dtype}",
            remedy="Cast it: index.astype('int64').",
        )
    if isinstance(node, Constant) and node.ndim == 0:
        return int(node.value), []
    return HOLE, [node]


def _positions(items: tuple[Any, ...], shape: Shape) -> list[Any]:
    """Return the items of a subscript with the positions where a mask is true in its place.

    A mask for axes of unknown size stays, so that the sizes are checked when they are known.
    """
    masks = [_mask(item) for item in items]
    if isinstance(shape, UnknownShape) or all(mask is None for mask in masks):
        return list(items)
    taken = [
        mask.ndim if mask is not None else int(item is not None and item is not Ellipsis)
        for item, mask in zip(items, masks, strict=True)
    ]
    axis, result = 0, []
    for item, mask, count in zip(items, masks, taken, strict=True):
        dims = shape[axis : axis + count]
        axis += len(shape) - sum(taken) if item is Ellipsis else count
        if mask is None or not all(isinstance(dim, int) for dim in dims):
            result.append(item)
        elif dims != mask.shape:
            raise ShapeError(
                f"a mask of shape {format_shape(mask.shape)} does not fit axes of "
                f"{format_shape(dims)}"
            )
        else:
            result += mask.nonzero()
    return result


def _mask(item: Any) -> np.ndarray[Any, Any] | None:
    """Return the mask that an item of a subscript is, ``None`` if it is something else."""
    if isinstance(item, Constant):
        item = item.value
    if isinstance(item, list) and item and not holds_node(item):
        item = np.asarray(item)
    is_mask = isinstance(item, np.ndarray) and item.dtype == bool and item.ndim > 0
    return item if is_mask else None


def _parse_slice(item: slice) -> tuple[Any, list[Node]]:
    parts: list[Any] = []
    nodes: list[Node] = []
    for part in (item.start, item.stop, item.step):
        value = None if part is None else as_size(part)
        if isinstance(value, Node):
            nodes.append(value)
        parts.append(HOLE if isinstance(value, Node) else value)
    if parts[2] == HOLE:
        raise GraphTypeError("the step of a slice must be a number, not a node")
    if parts[2] == 0:
        raise ShapeError("the step of a slice cannot be 0")
    return tuple(parts), nodes


def fill_key(key: Key, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the subscript that :func:`parse` analysed, with ``values`` for its inputs."""
    rest = iter(values)
    return tuple(_fill_entry(entry, rest) for entry in key)


def _fill_entry(entry: Any, rest: Iterator[Any]) -> Any:
    if isinstance(entry, tuple):
        return slice(*[next(rest) if isinstance(part, str) else part for part in entry])
    return next(rest) if isinstance(entry, str) else entry


def are_bounds(key: Key) -> list[bool]:
    """Return whether each input of a key is a bound of a slice, not an index."""
    pairs = [(part, isinstance(entry, tuple)) for entry in key for part in _parts(entry)]
    return [is_bound for part, is_bound in pairs if isinstance(part, str)]


def _parts(entry: Any) -> tuple[Any, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


def count_holes(key: Key) -> int:
    """Return how many integer inputs a key has."""
    return sum(entry.count(HOLE) for entry in key if isinstance(entry, (tuple, str)))


def index_types(key: Key, types: Sequence[TensorType]) -> list[TensorType]:
    """Return the types of the inputs that are indices, without the bounds of slices."""
    return [type_ for type_, is_bound in zip(types, are_bounds(key), strict=True) if not is_bound]


def has_arrays(key: Key, types: Sequence[TensorType]) -> bool:
    """Return whether some index is known to be an array: then the result is a copy."""
    return any(type_.ndim for type_ in index_types(key, types))


def result_shape(key: Key, shape: Shape, types: Sequence[TensorType]) -> Shape:
    """Return the shape of ``x[key]`` for an ``x`` of ``shape``.

    Indices that are arrays broadcast together; numbers among them count as arrays.  The broadcast
    axes replace the indices if these are adjacent, else they come first.

    Raises
    ------
    ShapeError
        If there are too many indices, or one is out of range.
    """
    indices = index_types(key, types)
    if isinstance(shape, UnknownShape) or any(map(_has_unknown_rank, indices)):
        return UnknownShape.fresh()
    joined = broadcast_shapes(*[type_.shape for type_ in indices]) if indices else ()
    assert not isinstance(joined, UnknownShape)
    result: list[Dimension] = []
    axes = iter(shape)
    for entry in full_key(key, shape):
        if isinstance(entry, (int, str)):
            _check_range(entry, next(axes))
        elif entry is None:
            result.append(1)
        elif entry is not Ellipsis:
            result.append(_sliced(next(axes), entry))
    start = joined_place(full_key(key, shape))
    return (*result[:start], *joined, *result[start:])


def joined_place(full: Key) -> int:
    """Return the axis of the result at which the broadcast axes of the indices begin."""
    place: int | None = None
    apart, last, axes = False, False, 0
    for entry in full:
        index = isinstance(entry, (int, str))
        if index:
            apart = apart or (place is not None and not last)
            place = axes if place is None else place
        elif entry is not Ellipsis:
            axes += 1
        last = index
    return 0 if apart or place is None else place


def _has_unknown_rank(index: TensorType) -> bool:
    """Return whether it is not known how many axes an index gives; a mask stands for several."""
    return index.ndim is None or index.dtype.kind == "b"


def full_key(key: Key, shape: KnownRank) -> Key:
    """Return ``key`` with ``...``, written or not, expanded to full slices; a written one stays."""
    missing = len(shape) - sum(entry is not None and entry is not Ellipsis for entry in key)
    if missing < 0:
        raise ShapeError(f"{len(shape) - missing} indices for an array of {len(shape)} axes")
    at = key.index(Ellipsis) if Ellipsis in key else len(key)
    return (*key[:at], *[FULL] * missing, *key[at:])


@lru_cache(maxsize=64)
def tiling(keys: tuple[Key, ...], shape: tuple[int, ...]) -> tuple[bool, bool]:
    """Return whether no element of an array is selected twice by keys, and whether all are once.

    Both are false for keys with index arrays or steps.

    Examples
    --------
    >>> tiling((((None, 2, None),), (2,), (3,)), (4,))
    (True, True)
    """
    found = boxes_of(keys, shape)
    if found is None:
        return False, False
    cuts = cuts_of(found, shape)
    places = [{cut: place for place, cut in enumerate(ends)} for ends in cuts]
    uses = np.zeros([len(ends) - 1 for ends in cuts], np.intp)
    for box in found:
        uses[tuple([slice(at[a], at[b]) for (a, b), at in zip(box, places, strict=True)])] += 1
    apart = bool((uses <= 1).all())
    return apart, apart and bool(uses.all())


Box = list[tuple[int, int]]
"""The first place on each axis, and the one after the last."""


def boxes_of(keys: tuple[Key, ...], shape: tuple[int, ...]) -> list[Box] | None:
    """Return the selections of keys, or ``None`` if one is not a box."""
    found = [box for box in (_box(key, shape) for key in keys) if box is not None]
    return None if len(found) < len(keys) else found


def cuts_of(boxes: Sequence[Box], shape: tuple[int, ...]) -> list[list[int]]:
    """Return the places on each axis where a box, or the array, begins or ends."""
    return [
        sorted({0, size, *(end for box in boxes for end in box[axis])})
        for axis, size in enumerate(shape)
    ]


def _box(key: Key, shape: tuple[int, ...]) -> Box | None:
    """Return where the selection of a key begins and ends on each axis, if it is a box."""
    axes = iter(shape)
    box = []
    for entry in full_key(key, shape):
        if entry is None or entry is Ellipsis:
            continue
        size = next(axes)
        if isinstance(entry, int):
            box.append((entry % size, entry % size + 1))
        elif HOLE in entry:
            return None
        else:
            first, length, step = slice_of(entry, size)
            if length > 1 and abs(step) > 1:
                return None
            begin = first - length + 1 if length > 1 and step < 0 else first
            box.append((begin, begin + length))
    return box


def _check_range(index: Any, dim: Dimension) -> None:
    if isinstance(index, int) and isinstance(dim, int) and not -dim <= index < dim:
        raise ShapeError(f"index {index} is out of range for an axis of size {dim}")


def _sliced(dim: Dimension, entry: tuple[Any, ...]) -> Dimension:
    start, stop, step = entry
    if start is None and stop is None and step in (None, 1, -1):
        return dim
    if isinstance(dim, int) and HOLE not in entry:
        return slice_of(entry, dim)[1]
    return UnknownDim()


def slice_of(entry: tuple[Any, ...], size: int) -> tuple[int, int, int]:
    """Return the first index, the length and the step of a slice of an axis."""
    found = computed(_slice_of, *entry, size)
    return found[0], found[1], found[2]


def _slice_of(start: int | None, stop: int | None, step: int | None, size: int) -> tuple[int, ...]:
    taken = range(*slice(start, stop, step).indices(size))
    return taken.start if taken else 0, len(taken), taken.step


def check_constant_indices(key: Key, shape: Shape, nodes: Sequence[Node]) -> None:
    """Check the index arrays that are constants against the axes whose size is known.

    Raises
    ------
    ShapeError
        If one is out of range.
    """
    if isinstance(shape, UnknownShape) or any(node.dtype.kind == "b" for node in nodes):
        return
    axes, rest = iter(shape), iter(nodes)
    for entry in full_key(key, shape):
        if entry is None or entry is Ellipsis:
            continue
        dim = next(axes)
        if isinstance(entry, tuple):
            for _ in range(entry.count(HOLE)):
                next(rest)
        elif isinstance(entry, str):
            node = next(rest)
            if isinstance(node, Constant) and node.value.size:
                _check_range(int(node.value.min()), dim)
                _check_range(int(node.value.max()), dim)


def along_axis(axis: int, item: Any) -> tuple[Any, ...]:
    """Return the subscript that applies ``item`` to one axis and leaves the others."""
    full = slice(None)
    return (full,) * axis + (item,) if axis >= 0 else (Ellipsis, item) + (full,) * (-axis - 1)


def format_key(key: Key) -> str:
    """Return a key as it was written, with ``{1}``, ``{2}``, ... in place of inputs.

    Examples
    --------
    >>> format_key((0, (1, "?", None), Ellipsis))
    '0, 1:{1}, ...'
    """
    count = iter(range(1, 1000))
    return ", ".join(_format_entry(entry, count) for entry in key)


def _format_entry(entry: Any, count: Iterator[int]) -> str:
    def part(value: Any) -> str:
        if value is None:
            return ""
        return f"{{{next(count)}}}" if isinstance(value, str) else str(value)

    if isinstance(entry, tuple):
        text = ":".join(map(part, entry))
        return text[:-1] if entry[2] is None else text
    return "..." if entry is Ellipsis else "None" if entry is None else part(entry)
