"""Ops that give an array another shape: the same elements in the same or another order of axes.

All are linear and most are views.  Sizes may be integer nodes such as ``x.shape[0]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import broadcast_like, reshape_like, sum_like
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
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
    normalize_axis,
)

# To a given shape


@dataclass(frozen=True)
class _ToShape(Linear):
    """An op that gives ``x`` the shape ``dims``; each symbolic dimension is an integer input."""

    dims: KnownRank

    is_view = True

    def attributes(self) -> dict[str, Any]:
        return {"shape": holes(self.dims)}

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(types[0])
        check_sizes(types[1:])
        return x.with_shape(self.result(x.shape))

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
        check_not_negative([dim for dim in self.dims if dim != -1])
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

    Symbols that stand on both sides cancel, so that (batch, 3, 4) as (batch, -1) is (batch, 12).
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
            f"there is no size in place of -1 for which {format_shape(shape)} has as many "
            f"elements as {format_shape((*others, -1))}"
        )
    return count // known


@register
def reshape(x: Operand, shape: Any) -> Node:
    """Return ``x`` with another shape: the same elements in the same (row-major) order.

    Parameters
    ----------
    x : Operand
    shape : int, integer node, or sequence of these
        One size may be -1: it is inferred.  A shape of unknown rank, ``y.shape``, will do as well.

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


def _number_at(shape: Shape, axis: int) -> bool:
    return not isinstance(shape, UnknownShape) and isinstance(shape[axis], int)


@register
def ravel(x: Operand) -> Node:
    """Return all elements of ``x`` in one axis.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ravel(sm.constant([[1, 2], [3, 4]])).eval()
    array([1, 2, 3, 4])
    """
    return reshape(x, (-1,))


flatten = register(ravel, "flatten")


def _broadcast_to(x: Any, *sizes: Any, shape: tuple[int | None, ...]) -> Any:
    return np.broadcast_to(x, fill(shape, sizes))


class BroadcastTo(_ToShape):
    """Repeat ``x`` along new axes and axes of size 1; see :func:`broadcast_to`."""

    name = "broadcast_to"
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


@register
def broadcast_to(x: Operand, shape: Any) -> Node:
    """Return ``x`` repeated along new leading axes and along axes of size 1.

    Parameters
    ----------
    x : Operand
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


# To another order of axes


class _Permutation(Linear):
    """An op that reorders axes."""

    is_view = True

    def order(self, ndim: int) -> tuple[int, ...]:
        """Return, for each axis of the result, which axis of the operand it is."""
        raise NotImplementedError

    def unknown(self) -> Shape:
        """Return the shape of the result for an operand of unknown rank."""
        return UnknownShape.fresh()

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(self.unknown())
        return x.with_shape(tuple(x.shape[axis] for axis in self.order(len(x.shape))))

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        if x.ndim is None:
            return None
        order = self.order(x.ndim)
        if order == tuple(range(x.ndim)):
            return inputs[0]
        return None if PermuteDims(order) == self else permute_dims(inputs[0], order)


@dataclass(frozen=True)
class PermuteDims(_Permutation):
    """Put the axes of ``x`` in the order ``axes``."""

    axes: tuple[int, ...]

    name = "permute_dims"
    numpy = np.transpose
    samples = (
        Sample(lambda x: permute_dims(x, (2, 0, 1)), [reals(2, 3, 4)]),
        Sample(lambda x: permute_dims(x, (-1, 1, 0)), [reals(2, 1, 0)], label="empty"),
        Sample(lambda x: permute_dims(x, ()), [reals()], label="scalar"),
    )

    def order(self, ndim: int) -> tuple[int, ...]:
        order = tuple(normalize_axis(axis, ndim) for axis in self.axes)
        if sorted(order) != list(range(ndim)):
            raise ShapeError(f"{self.axes} is not an order of {ndim} axes")
        return order

    def unknown(self) -> Shape:
        return tuple(UnknownDim() for _ in self.axes)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        order = self.order(len(self.axes))
        return permute_dims(adjoint, sorted(range(len(order)), key=order.__getitem__))


@register
def permute_dims(x: Operand, axes: Iterable[int]) -> Node:
    """Return ``x`` with its axes in the order ``axes``.

    Raises
    ------
    ShapeError
        If ``axes`` does not name each axis once.

    Examples
    --------
    >>> import symad as sm
    >>> sm.permute_dims(sm.Variable("x", shape=("batch", 3, 4)), (1, 2, 0)).type
    f64[3,4,batch]
    """
    return apply(PermuteDims(_as_axes(axes)), as_node(x))


class Transpose(_Permutation):
    """Reverse the axes of ``x``, however many there are; see :func:`transpose`."""

    name = "transpose"
    numpy = np.transpose
    latex = r"{0}^{{\top}}"
    samples = (
        Sample(lambda x: transpose(x), [reals(2, 3, 4)]),
        Sample(lambda x: x.T, [reals(3)], label="vector"),
    )

    def order(self, ndim: int) -> tuple[int, ...]:
        return tuple(reversed(range(ndim)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return transpose(adjoint)


@register
def transpose(x: Operand, axes: Iterable[int] | None = None) -> Node:
    """Return ``x`` with its axes reversed, or in the order ``axes``.

    See Also
    --------
    matrix_transpose : swaps the last two axes only.

    Examples
    --------
    >>> import symad as sm
    >>> sm.transpose(sm.constant([[1, 2, 3]])).eval()
    array([[1],
           [2],
           [3]])
    """
    return apply(Transpose(), as_node(x)) if axes is None else permute_dims(x, axes)


def _swap_last(x: Any) -> Any:
    return np.swapaxes(x, -2, -1)


class MatrixTranspose(_Permutation):
    """Swap the last two axes of ``x``: transpose each matrix of a stack.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.matrix_transpose(sm.Variable("x", shape=("batch", 3, 4))).type
    f64[batch,4,3]
    """

    name = "matrix_transpose"
    numpy = staticmethod(_swap_last)
    latex = r"{0}^{{\top}}"
    samples = (
        Sample(lambda x: matrix_transpose(x), [reals(2, 3, 4)]),
        Sample(lambda x: x.mT, [reals(1, 3)], label="matrix"),
    )

    def __call__(self, x: Operand) -> Node:
        return apply(self, as_node(x))

    def order(self, ndim: int) -> tuple[int, ...]:
        if ndim < 2:
            raise ShapeError(f"a matrix has two axes; this has {ndim}")
        return (*range(ndim - 2), ndim - 1, ndim - 2)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return self(adjoint)


matrix_transpose = register(MatrixTranspose())


@dataclass(frozen=True)
class SwapAxes(_Permutation):
    """Swap two axes of ``x``."""

    axis1: int
    axis2: int

    name = "swapaxes"
    numpy = np.swapaxes
    samples = (
        Sample(lambda x: swapaxes(x, 0, 2), [reals(2, 3, 4)]),
        Sample(lambda x: swapaxes(x, 0, 0), [reals(2, 3)], label="with itself"),
    )

    def order(self, ndim: int) -> tuple[int, ...]:
        first, second = normalize_axis(self.axis1, ndim), normalize_axis(self.axis2, ndim)
        order = list(range(ndim))
        order[first], order[second] = second, first
        return tuple(order)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return swapaxes(adjoint, self.axis1, self.axis2)


@register
def swapaxes(x: Operand, axis1: int = -2, axis2: int = -1) -> Node:
    """Return ``x`` with two axes swapped: the last two unless others are named.

    Examples
    --------
    >>> import symad as sm
    >>> sm.swapaxes(sm.Variable("x", shape=("batch", 3, 4)), 0, 2).type
    f64[4,3,batch]
    """
    return apply(SwapAxes(*_as_axes((axis1, axis2))), as_node(x))


@dataclass(frozen=True)
class MoveAxis(_Permutation):
    """Move axes of ``x`` to new positions; the others keep their order."""

    source: tuple[int, ...]
    destination: tuple[int, ...]

    name = "moveaxis"
    numpy = np.moveaxis
    samples = (
        Sample(lambda x: moveaxis(x, 0, -1), [reals(2, 3, 4)]),
        Sample(lambda x: moveaxis(x, (0, 1), (-1, 0)), [reals(2, 3, 4)], label="two axes"),
    )

    def order(self, ndim: int) -> tuple[int, ...]:
        source = [normalize_axis(axis, ndim, "source") for axis in self.source]
        target = [normalize_axis(axis, ndim, "destination") for axis in self.destination]
        if not len(set(source)) == len(source) == len(set(target)) == len(target):
            raise ShapeError(f"axes {self.source} cannot be moved to {self.destination}")
        order = [axis for axis in range(ndim) if axis not in source]
        for to, axis in sorted(zip(target, source, strict=True)):
            order.insert(to, axis)
        return tuple(order)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return moveaxis(adjoint, self.destination, self.source)


@register
def moveaxis(x: Operand, source: Any, destination: Any) -> Node:
    """Return ``x`` with the axes ``source`` moved to the positions ``destination``.

    Raises
    ------
    ShapeError
        If an axis does not exist, or is named twice, or there are not as many of each.

    Examples
    --------
    >>> import symad as sm
    >>> sm.moveaxis(sm.Variable("x", shape=("batch", 3, 4)), 0, -1).type
    f64[3,4,batch]
    """
    return apply(MoveAxis(_as_axes(source), _as_axes(destination)), as_node(x))


def _as_axes(axes: Any) -> tuple[int, ...]:
    given = as_axis(axes)
    if given is None:
        raise ShapeError("an axis is needed here, not None")
    return given if isinstance(given, tuple) else (given,)


# Axes of size 1


@dataclass(frozen=True)
class ExpandDims(Linear):
    """Insert axes of size 1 at the positions ``axis`` of the result."""

    axis: tuple[int, ...]

    name = "expand_dims"
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


@register
def expand_dims(x: Operand, axis: int | Iterable[int] = 0) -> Node:
    """Return ``x`` with axes of size 1 inserted at the positions ``axis`` of the result.

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
    return apply(ExpandDims(_as_axes(axis)), as_node(x))


@dataclass(frozen=True)
class Squeeze(Linear):
    """Drop axes of size 1: those named, or all."""

    axis: tuple[int, ...] | None

    name = "squeeze"
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


@register
def squeeze(x: Operand, axis: int | Iterable[int] | None = None) -> Node:
    """Return ``x`` without axes of size 1: those named by ``axis``, or all.

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
    return apply(Squeeze(None if axis is None else _as_axes(axis)), as_node(x))
