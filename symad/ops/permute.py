"""Ops that permute the axes of an array; all are linear and views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, reals
from symad.ops.base import Linear, Operand, as_node, is_sparse, register, tensor_types
from symad.ops.batching import shape_of
from symad.ops.shape import as_axes
from symad.ops.sparse import sparse_transpose
from symad.types import Shape, Type, UnknownDim, UnknownShape, normalize_axis


class _Permutation(Linear):
    """An op that reorders axes."""

    elements = "moved"
    is_view = True

    def order(self, ndim: int) -> tuple[int, ...]:
        """Return, for each axis of the result, the corresponding axis of the operand."""
        raise NotImplementedError

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        order = self.order(len(shape_of(out)))
        return permute_dims(inputs[0], (0, *[axis + 1 for axis in order]))

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


class PermuteDims(_Permutation):
    """Put the axes of ``x`` in the order ``axes``."""

    axes: tuple[int, ...]

    name = "permute_dims"
    sign = "as inputs"
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

    @property
    def transposes_matrices(self) -> bool:
        """Whether the last two axes are exchanged, and no others."""
        rank = len(self.axes)
        return rank > 1 and self.order(rank) == (*range(rank - 2), rank - 1, rank - 2)

    def unknown(self) -> Shape:
        return tuple(UnknownDim() for _ in self.axes)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        order = self.order(len(self.axes))
        return permute_dims(adjoint, sorted(range(len(order)), key=order.__getitem__))


@explained
def permute_dims(x: Operand, axes: Iterable[int]) -> Node:
    """Return ``x`` with its axes in the order ``axes``.

    Parameters
    ----------
    x : node, number or array
    axes : iterable of int
        Axis i of the result is axis ``axes[i]`` of ``x``.

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
    return apply(PermuteDims(as_axes(axes)), as_node(x))


register(permute_dims)


class Transpose(_Permutation):
    """Reverse the axes of ``x``, however many there are; see :func:`transpose`."""

    name = "transpose"
    symbols = "{0}ᵀ"
    in_expressions = True
    sign = "as inputs"
    numpy = np.transpose
    latex = r"{0}^{{\top}}"
    precedence = 4
    samples = (
        Sample(lambda x: transpose(x), [reals(2, 3, 4)]),
        Sample(lambda x: x.T, [reals(3)], label="vector"),
    )

    def order(self, ndim: int) -> tuple[int, ...]:
        return tuple(reversed(range(ndim)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return transpose(adjoint)


@explained
def transpose(x: Operand, axes: Iterable[int] | None = None) -> Node:
    """Return ``x`` with its axes reversed, or in the order ``axes``.

    Parameters
    ----------
    x : node, number or array
    axes : iterable of int, optional

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
    if axes is None and is_sparse(x):
        return sparse_transpose(x)
    return apply(Transpose(), as_node(x)) if axes is None else permute_dims(x, axes)


register(transpose)


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
    symbols = "{0}ᵀ"
    in_expressions = True
    sign = "as inputs"
    numpy = staticmethod(_swap_last)
    latex = r"{0}^{{\top}}"
    precedence = 4
    samples = (
        Sample(lambda x: matrix_transpose(x), [reals(2, 3, 4)]),
        Sample(lambda x: x.mT, [reals(1, 3)], label="matrix"),
    )

    def __call__(self, x: Operand) -> Node:
        return sparse_transpose(x) if is_sparse(x) else apply(self, as_node(x))

    def order(self, ndim: int) -> tuple[int, ...]:
        if ndim < 2:
            raise ShapeError(f"a matrix has two axes; this has {ndim}")
        return (*range(ndim - 2), ndim - 1, ndim - 2)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return self(adjoint)


matrix_transpose: MatrixTranspose = register(MatrixTranspose())


class SwapAxes(_Permutation):
    """Swap two axes of ``x``."""

    axis1: int
    axis2: int

    name = "swapaxes"
    sign = "as inputs"
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


@explained
def swapaxes(x: Operand, axis1: int = -2, axis2: int = -1) -> Node:
    """Return ``x`` with two axes swapped, by default the last two.

    Parameters
    ----------
    x : node, number or array
    axis1, axis2 : int

    Examples
    --------
    >>> import symad as sm
    >>> sm.swapaxes(sm.Variable("x", shape=("batch", 3, 4)), 0, 2).type
    f64[4,3,batch]
    """
    return apply(SwapAxes(*as_axes((axis1, axis2))), as_node(x))


register(swapaxes)


class MoveAxis(_Permutation):
    """Move axes of ``x`` to new positions; the others keep their order."""

    source: tuple[int, ...]
    destination: tuple[int, ...]

    name = "moveaxis"
    sign = "as inputs"
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


@explained
def moveaxis(x: Operand, source: Any, destination: Any) -> Node:
    """Return ``x`` with the axes ``source`` moved to the positions ``destination``.

    Parameters
    ----------
    x : node, number or array
    source, destination : int or sequence of int
        The same number of each; negative ones count from the last axis.

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
    return apply(MoveAxis(as_axes(source), as_axes(destination)), as_node(x))


register(moveaxis)
