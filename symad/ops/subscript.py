"""Subscripts ``x[...]``: their form as an attribute of an op, result shape, and NumPy form.

A **key** is a tuple with one entry per part of a subscript: an ``int``; ``None`` for a new axis;
``...``; a slice as a tuple ``(start, stop, step)``; or ``"?"``, which represents an integer input
of the op, in order: an index (a number or an array) or a bound of a slice.  A constant mask becomes
the positions where it is true, as soon as the sizes of its axes are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, reporting
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
_FULL = (None, None, None)


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


def index_types(key: Key, types: Sequence[TensorType]) -> list[TensorType]:
    """Return the types of the inputs that are indices, without the bounds of slices."""
    rest = iter(types)
    found = []
    for entry in key:
        if isinstance(entry, tuple):
            for _ in range(entry.count(HOLE)):
                next(rest)
        elif isinstance(entry, str):
            found.append(next(rest))
    return found


def has_arrays(key: Key, types: Sequence[TensorType]) -> bool:
    """Return whether some index is known to be an array: then the result is a copy."""
    return any(type_.ndim for type_ in index_types(key, types))


def bounds(key: Key) -> list[bool]:
    """Return, for each integer input of a key, whether it is the bound of a slice."""
    entries = [entry for entry in key if isinstance(entry, (tuple, str))]
    return [
        isinstance(entry, tuple)
        for entry in entries
        for _ in range(entry.count(HOLE) if isinstance(entry, tuple) else 1)
    ]


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
    place: int | None = None  # the position of the broadcast axes
    apart, last = False, False
    axes = iter(shape)
    for entry in full_key(key, shape):
        index = isinstance(entry, (int, str))
        if index:
            _check_range(entry, next(axes))
            apart = apart or (place is not None and not last)
            place = len(result) if place is None else place
        elif entry is None:
            result.append(1)
        elif entry is not Ellipsis:
            result.append(_sliced(next(axes), entry))
        last = index
    start = 0 if apart or place is None else place
    return (*result[:start], *joined, *result[start:])


def _has_unknown_rank(index: TensorType) -> bool:
    """Return whether it is not known how many axes an index gives; a mask stands for several."""
    return index.ndim is None or index.dtype.kind == "b"


def full_key(key: Key, shape: KnownRank) -> Key:
    """Return ``key`` with ``...``, written or not, expanded to full slices; a written one stays."""
    missing = len(shape) - sum(entry is not None and entry is not Ellipsis for entry in key)
    if missing < 0:
        raise ShapeError(f"{len(shape) - missing} indices for an array of {len(shape)} axes")
    at = key.index(Ellipsis) if Ellipsis in key else len(key)
    return (*key[:at], *[_FULL] * missing, *key[at:])


def _check_range(index: Any, dim: Dimension) -> None:
    if isinstance(index, int) and isinstance(dim, int) and not -dim <= index < dim:
        raise ShapeError(f"index {index} is out of range for an axis of size {dim}")


def _sliced(dim: Dimension, entry: tuple[Any, ...]) -> Dimension:
    start, stop, step = entry
    if start is None and stop is None and step in (None, 1, -1):
        return dim
    if isinstance(dim, int) and HOLE not in entry:
        return len(range(*slice(start, stop, step).indices(dim)))
    return UnknownDim()


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
