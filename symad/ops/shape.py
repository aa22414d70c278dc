"""Ops that reshape an array without changing the order of its elements.

All are linear and views.  Sizes may be integer nodes such as ``x.shape[0]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import broadcast_like, reshape_like, sum_like
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import aligned, from_end, shape_of
from symad.ops.reduce import as_axis
from symad.ops.size import (
    ShapeVector,
    as_sizes,
    check_not_negative,
    check_sizes,
    dimensions,
    fill,
    holes,
    sizes_of,
)
from symad.types import (
    Dimension,
    KnownRank,
    Shape,
    Type,
    UnknownDim,
    UnknownShape,
    broadcast_shapes,
    compatible_shapes,
    format_shape,
    normalize_axes,
)

# To a given shape


class _ToShape(Linear):
    """An op that gives ``x`` the shape ``dims``; each symbolic dimension is an integer input."""

    dims: KnownRank

    elements = "moved"
    is_view = True

    def attributes(self) -> dict[str, Any]:
        return {"shape": holes(self.dims)}

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def is_size(self, slot: int) -> bool:
        return slot > 0

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(types[0])
        check_sizes(types[1:])
        return x.with_shape(self.result(x.shape))

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        x, shape = inputs[0], shape_of(out)
        return apply(type(self)((shape_of(x)[0], *shape)), aligned(x, len(shape)))

    def result(self, shape: Shape) -> KnownRank:
        """Return the shape of the result for an operand of ``shape``, after checking it."""
        raise NotImplementedError

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        dims, nodes = dimensions(sizes_of(self.dims, inputs[1:]))
        known = type(self)(dims).result(x.shape)
        if x.is_static and known == x.shape:
            return inputs[0]
        op = type(self)(known if x.with_shape(known).is_static else dims)
        return None if op == self else apply(op, inputs[0], *nodes)


def _reshape(x: Any, *sizes: Any, shape: tuple[int | None, ...]) -> Any:
    return np.reshape(x, fill(shape, sizes))


class Reshape(_ToShape):
    """Give ``x`` another shape with as many elements, in the same order; see :func:`reshape`."""

    name = "reshape"
    sign = "as inputs"
    numpy = staticmethod(_reshape)
    samples = (
        Sample(lambda x: reshape(x, (3, 4)), [reals(2, 6)]),
        Sample(lambda x: reshape(x, (2, -1)), [reals(2, 3, 2)], label="one size inferred"),
        Sample(lambda x: reshape(x, (x.shape[1], -1)), [reals(2, 3)], label="size from a node"),
        Sample(lambda x: reshape(x, ()), [reals(1, 1)], label="to a scalar"),
        Sample(lambda x: reshape(x, (1, 1)), [reals()], label="from a scalar"),
        Sample(lambda x: reshape(x, (-1,)), [reals(2, 0)], label="empty"),
    )

    def result(self, shape: Shape) -> KnownRank:
        check_not_negative(tuple(dim for dim in self.dims if dim != -1))
        if self.dims.count(-1) > 1:
            raise ShapeError("only one size can be inferred: -1 was given more than once")
        if -1 in self.dims:
            missing = _missing_size(shape, [dim for dim in self.dims if dim != -1])
            return tuple(missing if dim == -1 else dim for dim in self.dims)
        given, wanted = _elements(shape), _elements(self.dims)
        if given is not None and wanted is not None and given != wanted:
            raise ShapeError(
                f"{format_shape(shape)} has {given} elements and cannot become "
                f"{format_shape(self.dims)}, which has {wanted}"
            )
        return self.dims

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return reshape_like(adjoint, inputs[0])


def _elements(shape: Shape) -> int | None:
    """Return the number of elements, ``None`` where it is not known."""
    if isinstance(shape, UnknownShape):
        return None
    count = 1
    for dim in shape:
        if not isinstance(dim, int):
            return None
        count *= dim
    return count


def _missing_size(shape: Shape, others: Sequence[Dimension]) -> Dimension:
    """Return the size for which ``others`` times it is the number of elements of ``shape``.

    Symbols on both sides cancel, so that (batch, 3, 4) as (batch, -1) is (batch, 12).
    """
    if isinstance(shape, UnknownShape):
        return UnknownDim()
    symbols = [dim for dim in shape if not isinstance(dim, int)]
    for dim in others:
        if not isinstance(dim, int):
            if dim not in symbols:
                return UnknownDim()
            symbols.remove(dim)
    count = _elements(tuple(dim for dim in shape if isinstance(dim, int)))
    known = _elements(tuple(dim for dim in others if isinstance(dim, int)))
    assert count is not None and known is not None
    if symbols:
        return symbols[0] if len(symbols) == 1 and count == known != 0 else UnknownDim()
    if known == 0 or count % known:
        raise ShapeError(
            f"no size can replace -1 so that {format_shape(shape)} has as many "
            f"elements as {format_shape((*others, -1))}"
        )
    return count // known


@explained
def reshape(x: Operand, shape: Any, *, copy: bool | None = None) -> Node:
    """Return ``x`` with another shape: the same elements in the same (row-major) order.

    Parameters
    ----------
    x : node, number or array
    shape : int, integer node, or sequence of these
        One size may be -1: it is inferred.  A shape of unknown rank, ``y.shape``, is also accepted.
    copy : bool, optional
        Ignored: nodes never change, so there is no need to copy one.

    Raises
    ------
    ShapeError
        If the numbers of elements differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.reshape(sm.constant([[1, 2], [3, 4]]), (-1,)).eval()
    array([1, 2, 3, 4])
    >>> x = sm.Variable("x", shape=("batch", 28, 28))
    >>> sm.reshape(x, (x.shape[0], -1)).type
    f64[batch,784]
    """
    node = as_node(x)
    if isinstance(shape, Node) and isinstance(shape.op, ShapeVector):
        return reshape_like(node, shape.inputs[0])
    dims, sizes = dimensions(as_sizes(shape))
    result = apply(Reshape(dims), node, *sizes)
    inferred = tensor_types(result.type)[0].shape
    if -1 in dims and _number_at(inferred, dims.index(-1)):  # needs no division at run time
        result = apply(Reshape(inferred), node, *sizes)  # type: ignore[arg-type]
    return result


register(reshape)


def _number_at(shape: Shape, axis: int) -> bool:
    return not isinstance(shape, UnknownShape) and isinstance(shape[axis], int)


@explained
def ravel(x: Operand) -> Node:
    """Return ``x`` flattened to one axis.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.ravel(sm.constant([[1, 2], [3, 4]])).eval()
    array([1, 2, 3, 4])
    """
    return reshape(x, (-1,))


flatten = ravel
register(ravel)
register(ravel, "flatten")


def _broadcast_to(x: Any, *sizes: Any, shape: tuple[int | None, ...]) -> Any:
    return np.broadcast_to(x, fill(shape, sizes))


class BroadcastTo(_ToShape):
    """Repeat ``x`` along new axes and axes of size 1; see :func:`broadcast_to`."""

    name = "broadcast_to"
    sign = "as inputs"
    numpy = staticmethod(_broadcast_to)
    samples = (
        Sample(lambda x: broadcast_to(x, (4, 3, 2)), [reals(3, 1)]),
        Sample(lambda x: broadcast_to(x, (x.shape[1], 2)), [reals(1, 2)], label="node"),
        Sample(lambda x: broadcast_to(x, (2, 3)), [reals()], label="from a scalar"),
        Sample(lambda x: broadcast_to(x, (0, 3)), [reals(1, 3)], label="to nothing"),
    )

    def result(self, shape: Shape) -> KnownRank:
        check_not_negative(self.dims)
        if not compatible_shapes(self.dims, broadcast_shapes(shape, self.dims)):
            raise ShapeError(
                f"{format_shape(shape)} cannot be broadcast to {format_shape(self.dims)}"
            )
        return self.dims

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return sum_like(adjoint, inputs[0])


@explained
def broadcast_to(x: Operand, shape: Any) -> Node:
    """Return ``x`` repeated along new leading axes and along axes of size 1.

    Parameters
    ----------
    x : node, number or array
    shape : int, integer node, or sequence of these

    Raises
    ------
    ShapeError
        If ``x`` does not broadcast to that shape.

    Examples
    --------
    >>> import symad as sm
    >>> sm.broadcast_to(sm.constant([1.0, 2.0]), (2, 2)).eval()
    array([[1., 2.],
           [1., 2.]])
    """
    node = as_node(x)
    if isinstance(shape, Node) and isinstance(shape.op, ShapeVector):
        return broadcast_like(node, shape.inputs[0])
    dims, sizes = dimensions(as_sizes(shape))
    return apply(BroadcastTo(dims), node, *sizes)


register(broadcast_to)


# Axes of size 1


def one_axis(axis: Any) -> int:
    """Return one axis as an attribute of an op."""
    result = as_axis(axis)
    if not isinstance(result, int):
        raise GraphTypeError(f"a single axis is needed, not {axis!r}")
    return result


def as_axes(axes: Any) -> tuple[int, ...]:
    """Return one axis or several as a tuple."""
    given = as_axis(axes)
    if given is None:
        raise ShapeError("an axis is needed, not None")
    return given if isinstance(given, tuple) else (given,)


class ExpandDims(Linear):
    """Insert axes of size 1 at the positions ``axis`` of the result."""

    axis: tuple[int, ...]

    name = "expand_dims"
    elements = "moved"
    sign = "as inputs"
    numpy = np.expand_dims
    is_view = True
    samples = (
        Sample(lambda x: expand_dims(x, 1), [reals(2, 3)]),
        Sample(lambda x: expand_dims(x, (0, -1)), [reals(2, 3)], label="two axes"),
        Sample(lambda x: expand_dims(x, 0), [reals()], label="scalar"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        rank = len(x.shape) + len(self.axis)
        new = normalize_axes(self.axis, rank)
        rest = iter(x.shape)
        return x.with_shape(tuple(1 if axis in new else next(rest) for axis in range(rank)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return squeeze(adjoint, self.axis)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return expand_dims(inputs[0], from_end(self.axis, len(shape_of(out))))


@explained
def expand_dims(x: Operand, axis: int | Iterable[int] = 0) -> Node:
    """Return ``x`` with axes of size 1 inserted at the positions ``axis`` of the result.

    Parameters
    ----------
    x : node, number or array
    axis : int or iterable of int
        Negative ones count from the last axis of the result.

    Raises
    ------
    ShapeError
        If a position does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.expand_dims(sm.Variable("x", shape=("batch", 3)), 1).type
    f64[batch,1,3]
    """
    return apply(ExpandDims(as_axes(axis)), as_node(x))


register(expand_dims)


class Squeeze(Linear):
    """Drop axes of size 1: those named, or all."""

    axis: tuple[int, ...] | None

    name = "squeeze"
    elements = "moved"
    sign = "as inputs"
    numpy = np.squeeze
    is_view = True
    samples = (
        Sample(lambda x: squeeze(x, 1), [reals(2, 1, 3)]),
        Sample(lambda x: squeeze(x, (0, -1)), [reals(1, 3, 1)], label="two axes"),
        Sample(lambda x: squeeze(x), [reals(1, 3, 1)], label="all"),
        Sample(lambda x: squeeze(x), [reals(1, 1)], label="to a scalar"),
        Sample(lambda x: squeeze(x), [reals(2, 3)], label="nothing to do"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape) or (self.axis is None and not x.is_static):
            return x.with_shape(UnknownShape.fresh())
        gone = self.dropped(x.shape)
        return x.with_shape(tuple(dim for axis, dim in enumerate(x.shape) if axis not in gone))

    def dropped(self, shape: KnownRank) -> tuple[int, ...]:
        """Return the axes that are dropped from ``shape``."""
        if self.axis is None:
            return tuple(axis for axis, dim in enumerate(shape) if dim == 1)
        axes = normalize_axes(self.axis, len(shape))
        for axis in axes:
            if isinstance(shape[axis], int) and shape[axis] != 1:
                raise ShapeError(
                    f"axis {axis} of {format_shape(shape)} has size {shape[axis]}, not 1, and "
                    "cannot be dropped"
                )
        return axes

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        if self.axis is None:
            return reshape_like(adjoint, inputs[0])
        return expand_dims(adjoint, self.axis)

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        if self.axis is not None or not x.is_static:
            return None
        assert not isinstance(x.shape, UnknownShape)
        gone = self.dropped(x.shape)
        return squeeze(inputs[0], gone) if gone else inputs[0]

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return reshape(inputs[0], (shape_of(inputs[0])[0], *shape_of(out)))


@explained
def squeeze(x: Operand, axis: int | Iterable[int] | None = None) -> Node:
    """Return ``x`` without axes of size 1: those named by ``axis``, or all.

    Parameters
    ----------
    x : node, number or array
    axis : int or iterable of int, optional
        By default all axes of size 1.

    Raises
    ------
    ShapeError
        If a named axis does not exist or is not of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.squeeze(sm.Variable("x", shape=("batch", 1, 3)), 1).type
    f64[batch,3]
    """
    return apply(Squeeze(None if axis is None else as_axes(axis)), as_node(x))


register(squeeze)
