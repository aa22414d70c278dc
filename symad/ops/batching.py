"""Parts of the batching rules of ops: elements that are stacked along a new first axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, Op, call
from symad.types import StructureType, Type, normalize_axis


def shape_of(node: Node) -> tuple[int, ...]:
    """Return the shape of an array whose sizes are all known, as in a specialised graph."""
    assert node.type.is_static
    shape: tuple[int, ...] = node.type.shape  # type: ignore[union-attr,assignment]
    return shape


def stack_type(type_: Type, rows: int) -> Type:
    """Return the type of ``rows`` values of ``type_``, stacked; of each array in a structure."""
    if isinstance(type_, StructureType):
        pairs = [(key, item and stack_type(item, rows)) for key, item in type_.fields]
        return StructureType(type_.kind, tuple(pairs))
    return type_.with_shape((rows, *type_.shape))  # type: ignore[misc,union-attr]


def row_count(batched: Sequence[bool], inputs: Sequence[Node]) -> int:
    """Return the number of elements, which the inputs that are ``batched`` have in common."""
    type_: Any = next(x.type for x, is_batched in zip(inputs, batched, strict=True) if is_batched)
    while isinstance(type_, StructureType):
        type_ = next(item for _, item in type_.fields if item is not None)
    rows: int = type_.shape[0]
    return rows


def aligned(x: Node, ndim: int) -> Node:
    """Return stacked elements that broadcast with others of ``ndim`` axes: with axes of size 1."""
    missing = ndim - (len(shape_of(x)) - 1)
    return call("expand_dims", x, tuple(range(1, missing + 1))) if missing > 0 else x


def repeated(x: Node, rows: int) -> Node:
    """Return a value that all elements share once for each of them, a structure item by item."""
    type_ = x.type
    if isinstance(type_, StructureType):
        present = tuple(item is not None for _, item in type_.fields)
        keys = [key for key, item in type_.fields if item is not None]
        items = [repeated(call("get_item", x, key), rows) for key in keys]
        return apply(OP_CLASSES["make_structure"](type_.kind, type_.keys, present), *items)
    return call("broadcast_to", x, (rows, *shape_of(x)))


def stacked(batched: Sequence[bool], inputs: Sequence[Node]) -> list[Node]:
    """Return all ``inputs`` with the axis of the elements."""
    rows = row_count(batched, inputs)
    pairs = zip(inputs, batched, strict=True)
    return [x if is_batched else repeated(x, rows) for x, is_batched in pairs]


def zeros_of(rows: int, like: Node) -> Node:
    """Return stacked zeros in the shape of ``like``, for ops that read only the shape."""
    return call("zeros", (rows, *shape_of(like)), dtype=like.dtype)


def from_end(axis: Any, ndim: int) -> Any:
    """Return an axis of an array of ``ndim`` axes, or several or all, counted from the last.

    Examples
    --------
    >>> from_end(0, 3), from_end((1, -1), 3), from_end(None, 2)
    (-3, (-2, -1), (-2, -1))
    """
    if axis is None:
        return tuple(range(-ndim, 0))
    if isinstance(axis, tuple):
        return tuple(normalize_axis(one, ndim) - ndim for one in axis)
    return normalize_axis(axis, ndim) - ndim


def along_axis_of_rows(op: Op, out: Node, batched: Sequence[bool], inputs: Sequence[Node]) -> Node:
    """Apply an op that has an attribute ``axis`` and whose inputs have as many axes each."""
    ndim = len(shape_of(out))
    moved = op.with_attributes(axis=from_end(op.attributes()["axis"], ndim))
    return apply(moved, *stacked(batched, inputs))
