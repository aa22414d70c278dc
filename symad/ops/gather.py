"""Gathering elements along one axis: take, take_along_axis, one_hot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, fixed, reals
from symad.ops.adjoint import cast
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import (
    along_axis_of_rows,
    from_end,
    row_count,
    shape_of,
    stacked,
    zeros_of,
)
from symad.ops.index import index_array
from symad.ops.shape import broadcast_to, one_axis, reshape
from symad.ops.subscript import along_axis
from symad.types import (
    TensorType,
    Type,
    UnknownShape,
    as_dtype,
    format_shape,
    join_dims,
    normalize_axis,
)


@explained
def take(x: Operand, indices: Operand, axis: int | None = None) -> Node:
    """Return the elements of ``x`` at integer ``indices`` along an axis.

    Parameters
    ----------
    x : node, number or array
    indices : int, integer array or integer node
        Their axes replace ``axis`` in the result.  Negative ones count from the end.
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    ShapeError
        If an index is out of range for an axis of known size.

    Examples
    --------
    >>> import symad as sm
    >>> sm.take(sm.constant([[1, 2, 3], [4, 5, 6]]), [2, 0], axis=1).eval()
    array([[3, 1],
           [6, 4]])
    """
    if axis is None:
        return index_array(reshape(x, (-1,)), (as_node(indices),))
    return index_array(x, along_axis(one_axis(axis), as_node(indices)))


def _places(size: int, shape: tuple[int, ...] = (-1,)) -> Constant:
    """Return 0, 1, ..., size - 1 in 32 bits if they and ``size`` fit."""
    dtype = np.promote_types("int32", np.min_scalar_type(size))
    return Constant(np.arange(size, dtype=dtype).reshape(shape))


def _grid(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """Return the subscript that names, for each index, its element along ``axis``."""
    axis %= len(shape)
    grid = list(np.ix_(*map(np.arange, shape)))
    grid[axis] = indices
    return tuple(grid)


def _anywhere(sets: IndexSets, labels: Any, axis: int, out: Node) -> Any:
    """Return the labels of the result for indices along an axis that are not known."""
    sets.dense.append(out)
    return np.broadcast_to(sets.along(labels, axis), shape_of(out))


class TakeAlongAxis(Linear):
    """Take elements along an axis by indices that are matched with the other axes."""

    axis: int

    name = "take_along_axis"
    elements = "moved"
    reads_all = False
    numpy = np.take_along_axis
    samples = (
        Sample(lambda x, i: take_along_axis(x, i, 1), [reals(2, 3), fixed([[2, 0], [1, 1]])]),
        Sample(lambda x, i: take_along_axis(x, i), [reals(3, 2), fixed([[1], [0], [-1]])],
               label="last axis"),
        Sample(lambda x, i: take_along_axis(x, i, 0), [reals(3, 2), fixed([[1], [0]])],
               label="broadcast"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        x, indices = tensor_types(*types)
        if indices.dtype.kind not in "iu":
            raise GraphTypeError(f"an index must be an integer, not {indices.dtype}")
        if isinstance(x.shape, UnknownShape) or isinstance(indices.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        axis = normalize_axis(self.axis, len(x.shape))
        if len(x.shape) != len(indices.shape):
            raise ShapeError(
                f"indices of shape {format_shape(indices.shape)} do not have as many axes as "
                f"{format_shape(x.shape)}",
                remedy="Add axes of size 1: sm.expand_dims(indices, -1).",
            )
        shape = list(map(join_dims, x.shape[:axis], indices.shape[:axis]))
        shape += [indices.shape[axis]]
        shape += list(map(join_dims, x.shape[axis + 1 :], indices.shape[axis + 1 :]))
        return x.with_shape(tuple(shape))

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(AddAlongAxis(self.axis), adjoint, *inputs)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)
    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        found = super().dependence(sets, labels, out, *inputs)
        return _anywhere(sets, labels[0], self.axis, out) if found is None else found


def _add_along_axis(v: Any, like: Any, indices: Any, axis: int) -> Any:
    total = np.zeros(np.shape(like), v.dtype)
    np.add.at(total, _grid(total.shape, indices, axis), v)
    return total


class AddAlongAxis(Linear):
    """Add ``v`` to zeros of the shape of ``like``: the transpose of taking along an axis."""

    axis: int

    name = "add_along_axis"
    elements = "added"
    fills_all = False
    numpy = staticmethod(_add_along_axis)
    samples = (
        Sample(lambda v, x, i: apply(AddAlongAxis(1), v, x, i),
               [reals(2, 2), reals(2, 3), fixed([[2, 0], [1, 1]])]),
    )  # fmt: skip

    def reads(self, slot: int) -> bool:
        return slot != 1

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[0].size)

    def infer(self, *types: Any) -> Type:
        v, like, _ = tensor_types(*types)
        return TensorType(v.dtype, like.shape)

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(TakeAlongAxis(self.axis), adjoint, inputs[2])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        v, _, index = stacked(batched, inputs)
        moved = AddAlongAxis(from_end(self.axis, len(shape_of(out))))
        return apply(moved, v, zeros_of(row_count(batched, inputs), out), index)
    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        found = super().dependence(sets, labels, out, *inputs)
        return _anywhere(sets, labels[0], self.axis, out) if found is None else found

    def decompose(self, *inputs: Node) -> Node | None:
        """The case of one index along the axis: v at that position, 0 elsewhere.

        Indexing the positions as well resolves a negative index and refuses one out of range.
        """
        v, like, index = inputs
        shape, axis = like.shape, normalize_axis(self.axis, len(like.shape))
        fitting = (*shape[:axis], 1, *shape[axis + 1 :])
        for part in (v.shape, index.shape):
            if any(size not in (1, whole) for size, whole in zip(part, fitting, strict=True)):
                return None
        around = tuple(size if k == axis else 1 for k, size in enumerate(shape))
        places = _places(shape[axis], around)
        place: Node = apply(TakeAlongAxis(axis), places, index)
        hits: Node = call("where", call("equal", place, places), v, 0)
        return broadcast_to(hits, shape)


@explained
def take_along_axis(x: Operand, indices: Operand, axis: int | None = -1) -> Node:
    """Return elements of ``x`` by indices along an axis, matched with the other axes.

    Parameters
    ----------
    x : node, number or array
    indices : integer array or node
        It has as many axes as ``x``; the other axes broadcast against those of ``x``.
    axis : int, optional
        ``None`` flattens ``x`` first.

    Raises
    ------
    ShapeError
        If ``indices`` has another number of axes.

    Examples
    --------
    >>> import symad as sm
    >>> logits, labels = sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([1, 0])
    >>> sm.take_along_axis(logits, labels[:, None], axis=1).eval()
    array([[2.],
           [3.]])
    """
    if axis is None:
        return apply(TakeAlongAxis(0), reshape(x, (-1,)), as_node(indices))
    return apply(TakeAlongAxis(one_axis(axis)), as_node(x), as_node(indices))


def _one_hot(indices: Any, depth: int, dtype: Any) -> Any:
    return np.equal(np.asarray(indices)[..., np.newaxis], np.arange(depth)).astype(dtype)


class OneHot(Op):
    """Turn each integer into a row of zeros with a one at that position."""

    depth: int
    dtype: np.dtype[Any]

    name = "one_hot"
    numpy = staticmethod(_one_hot)
    samples = (
        Sample(lambda i: one_hot(i, 3), [fixed([2, 0, 3, -1])]),
        Sample(lambda i: one_hot(i, 2, "float32"), [fixed(1)], label="scalar"),
    )

    def infer(self, *types: Any) -> Type:
        (indices,) = tensor_types(*types)
        if indices.dtype.kind not in "iu":
            raise GraphTypeError(f"an index must be an integer, not {indices.dtype}")
        if isinstance(indices.shape, UnknownShape):
            return TensorType(self.dtype, UnknownShape.fresh())
        return TensorType(self.dtype, (*indices.shape, self.depth))

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return apply(self, *inputs)

    def differentiable(self, slot: int) -> bool:
        return False

    def decompose(self, *inputs: Node) -> Node | None:
        (indices,) = inputs
        places = _places(self.depth)
        if not np.can_cast(indices.dtype, places.dtype):  # 32 bits suffice, even for int64 indices
            indices = call("clip", indices, -1 if indices.dtype.kind == "i" else 0, self.depth)
        narrow = call("expand_dims", cast(indices, places.dtype), -1)
        hits: Node = call("equal", narrow, places)
        return cast(hits, self.dtype)


@explained
def one_hot(indices: Operand, depth: int, dtype: Any = "float64") -> Node:
    """Return, for each integer, ``depth`` numbers: 1 at that position and 0 elsewhere.

    Parameters
    ----------
    indices : integer array or node
        An integer outside [0, depth) gives only zeros.
    depth : int
    dtype : dtype

    Examples
    --------
    >>> import symad as sm
    >>> sm.one_hot([1, 0], 3).eval()
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    if not isinstance(depth, (int, np.integer)) or depth < 0:
        raise GraphTypeError(f"the depth must be a number of classes, not {depth!r}")
    return apply(OneHot(int(depth), as_dtype(dtype)), as_node(indices))


register(take)
register(take_along_axis)
register(one_hot)
