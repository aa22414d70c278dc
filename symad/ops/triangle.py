"""Triangles and diagonals of matrices and stacks of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, reals
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import from_end, shape_of, stacked, zeros_of
from symad.types import Dimension, TensorType, Type, UnknownDim, UnknownShape, normalize_axis


class _Triangle(Linear):
    """An op that sets a triangle of each matrix to zero."""

    k: int

    elements = "moved"
    reads_all = fills_all = False

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if x.ndim is not None and x.ndim < 2:
            raise ShapeError(f"a matrix has two axes; this has {x.ndim}")
        return x

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return apply(self, *inputs)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, adjoint)


class Tril(_Triangle):
    """Keep the lower triangle of each matrix."""

    name = "tril"
    in_expressions = True
    sign = "as inputs"
    numpy = np.tril
    samples = (
        Sample(lambda x: tril(x), [reals(3, 3)]),
        Sample(lambda x: tril(x, 1), [reals(2, 2, 4)], label="stack"),
    )


@explained
def tril(x: Operand, k: int = 0) -> Node:
    """Return ``x`` with zeros above the diagonal number ``k`` of each matrix.

    Parameters
    ----------
    x : node, number or array
        A matrix, or a stack of matrices in the last two axes.
    k : int
        0 is the main diagonal; positive ones are above it.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.tril(sm.constant([[1, 2], [3, 4]])).eval()
    array([[1, 0],
           [3, 4]])
    """
    return apply(Tril(int(k)), as_node(x))


class Triu(_Triangle):
    """Keep the upper triangle of each matrix."""

    name = "triu"
    in_expressions = True
    sign = "as inputs"
    numpy = np.triu
    samples = (
        Sample(lambda x: triu(x), [reals(3, 3)]),
        Sample(lambda x: triu(x, -1), [reals(2, 4, 2)], label="stack"),
    )


@explained
def triu(x: Operand, k: int = 0) -> Node:
    """Return ``x`` with zeros below the diagonal number ``k`` of each matrix.

    Parameters
    ----------
    x : node, number or array
        A matrix, or a stack of matrices in the last two axes.
    k : int
        0 is the main diagonal; positive ones are above it.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.triu(sm.constant([[1, 2], [3, 4]])).eval()
    array([[1, 2],
           [0, 4]])
    """
    return apply(Triu(int(k)), as_node(x))


class Diagonal(Linear):
    """Take a diagonal of each matrix; it is the last axis of the result."""

    offset: int
    axis1: int
    axis2: int

    name = "diagonal"
    elements = "moved"
    in_expressions = True
    sign = "as inputs"
    reads_all = False
    numpy = np.diagonal
    is_view = True
    samples = (
        Sample(lambda x: diagonal(x), [reals(3, 3)]),
        Sample(lambda x: diagonal(x, 1), [reals(2, 4)], label="above"),
        Sample(lambda x: diagonal(x, -1, 2, 0), [reals(3, 2, 4)], label="axes"),
        Sample(lambda x: diagonal(x, 5), [reals(2, 3)], label="none"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        first, second = (normalize_axis(axis, len(x.shape)) for axis in (self.axis1, self.axis2))
        if first == second:
            raise ShapeError(f"a diagonal needs two axes, not axis {first} twice")
        rest = tuple(dim for axis, dim in enumerate(x.shape) if axis not in (first, second))
        return x.with_shape((*rest, self.length(x.shape[first], x.shape[second])))

    def length(self, rows: Dimension, columns: Dimension) -> Dimension:
        """Return how many elements the diagonal has."""
        if isinstance(rows, int) and isinstance(columns, int):
            return max(0, min(rows + min(self.offset, 0), columns - max(self.offset, 0)))
        return rows if rows == columns and self.offset == 0 else UnknownDim()

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        place = DiagonalPlace(self.offset, self.axis1, self.axis2)
        return apply(place, adjoint, inputs[0])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        axes = from_end((self.axis1, self.axis2), len(shape_of(out)) + 1)
        return diagonal(inputs[0], self.offset, *axes)


def _place_diagonal(v: Any, like: Any, offset: int, axis1: int, axis2: int) -> Any:
    total = np.zeros(np.shape(like), v.dtype)
    matrices = np.moveaxis(total, (axis1, axis2), (-2, -1))
    index = np.arange(np.shape(v)[-1])
    matrices[..., index - min(offset, 0), index + max(offset, 0)] = v
    return total


class DiagonalPlace(Linear):
    """Put ``v`` on a diagonal of zeros of the shape of ``like``: the transpose of taking it."""

    offset: int
    axis1: int
    axis2: int

    name = "diagonal_place"
    elements = "moved"
    fills_all = False
    numpy = staticmethod(_place_diagonal)
    samples = (
        Sample(lambda v, x: apply(DiagonalPlace(-1, 0, 1), v, x), [reals(2), reals(3, 4)]),
        Sample(lambda v, x: apply(DiagonalPlace(0, 2, 0), v, x), [reals(3, 2), reals(2, 3, 4)],
               label="axes"),
    )  # fmt: skip

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reads(self, slot: int) -> bool:
        return slot == 0

    def infer(self, *types: Any) -> Type:
        v, like = tensor_types(*types)
        return TensorType(v.dtype, like.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return diagonal(adjoint, self.offset, self.axis1, self.axis2)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        v, _ = stacked(batched, inputs)
        axes = from_end((self.axis1, self.axis2), len(shape_of(out)))
        return apply(DiagonalPlace(self.offset, *axes), v, zeros_of(shape_of(v)[0], out))


@explained
def diagonal(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """Return a diagonal of each matrix in two axes of ``x``, as the last axis of the result.

    Parameters
    ----------
    x : node, number or array
    offset : int
        0 is the main diagonal; positive ones are above it.
    axis1, axis2 : int
        The axes of the matrices.

    Raises
    ------
    ShapeError
        If there are no such axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.diagonal(sm.constant([[1, 2], [3, 4]])).eval()
    array([1, 4])
    """
    return apply(Diagonal(int(offset), int(axis1), int(axis2)), as_node(x))


class DiagonalMatrix(Linear):
    """Make a matrix with ``x`` on its diagonal number ``k``."""

    k: int

    name = "diag"
    elements = "moved"
    fills_all = False
    numpy = np.diag
    samples = (
        Sample(lambda x: diag(x), [reals(3)], needs="rank"),
        Sample(lambda x: diag(x, -2), [reals(2)], label="below", needs="rank"),
        Sample(lambda x: diag(x), [reals(0)], label="empty", needs="rank"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape((UnknownDim(), UnknownDim()))
        if len(x.shape) != 1:
            raise ShapeError(f"a vector has one axis; this has {len(x.shape)}")
        (dim,) = x.shape
        size = dim + abs(self.k) if isinstance(dim, int) else UnknownDim() if self.k else dim
        return x.with_shape((size, size))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return diagonal(adjoint, self.k)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        like = zeros_of(shape_of(inputs[0])[0], out)
        return apply(DiagonalPlace(self.k, -2, -1), inputs[0], like)


@explained
def diag(x: Operand, k: int = 0) -> Node:
    """Return a matrix with the vector ``x`` on a diagonal, or a diagonal of the matrix ``x``.

    Parameters
    ----------
    x : (n,) or (m, n) node or array
    k : int
        Which diagonal: 0 is the main one, positive ones are above it.

    Raises
    ------
    ShapeError
        If ``x`` has neither one nor two axes, or their number is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.diag(sm.constant([1, 2])).eval()
    array([[1, 0],
           [0, 2]])
    >>> sm.diag(sm.constant([[1, 2], [3, 4]])).eval()
    array([1, 4])
    """
    node = as_node(x)
    if node.ndim == 2:
        return diagonal(node, k)
    if node.ndim is None:
        raise ShapeError(
            f"it is not known whether {node!r} is a vector or a matrix",
            where=node.site.describe(),
            remedy="Use sm.diagonal for a matrix, or declare the shape of its variable.",
        )
    return apply(DiagonalMatrix(int(k)), node)


register(tril)
register(triu)
register(diagonal)
register(diag)
