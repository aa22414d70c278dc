"""Linear systems: solving them, inverses and determinants.

The rules are those of M. Giles, "An extended collection of matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), unless a docstring names another source.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, fixed, integers, reals, well_conditioned
from symad.ops.adjoint import broadcast_like
from symad.ops.base import Operand, as_node, as_nodes, register, tensor_types
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims, squeeze
from symad.ops.structure import adjoint_items, only_item, structure_item
from symad.ops.triangle import tril, triu
from symad.types import (
    Dimension,
    KnownRank,
    Shape,
    StructureType,
    TensorType,
    Type,
    UnknownShape,
    broadcast_shapes,
    format_shape,
)


def factor_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which LAPACK computes with ``dtypes``: integers become float64.

    Raises
    ------
    GraphTypeError
        For float16, which LAPACK lacks.
    """
    joined = np.result_type(*dtypes)
    if joined == np.float16:
        raise GraphTypeError(
            "linear algebra has no float16", remedy="Cast first: x.astype('float32')."
        )
    return joined if joined.kind == "f" else np.dtype("float64")


def require_matrix(shape: Shape) -> None:
    """Raise an error if ``shape`` has fewer than two axes."""
    if not isinstance(shape, UnknownShape) and len(shape) < 2:
        raise ShapeError(f"a matrix has two axes; this has {len(shape)}")


def require_square(shape: Shape) -> None:
    """Raise an error if ``shape`` is known not to be that of square matrices."""
    require_matrix(shape)
    if isinstance(shape, UnknownShape):
        return
    rows, columns = shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows != columns:
        raise ShapeError(f"a square matrix is needed; this is {format_shape(shape)}")


def batch_of(shape: Shape, matrix_axes: int = 2) -> Shape:
    """Return ``shape`` without the axes of the matrix."""
    if isinstance(shape, UnknownShape):
        return UnknownShape.fresh()
    return shape[: len(shape) - matrix_axes]


def per_matrix(type_: Any, flops: Callable[[int, int], int]) -> int:
    """Return the operations on a stack of matrices, from the rows and columns of each.

    The counts of factorisations are those of Golub and Van Loan, "Matrix Computations", 4th edition
    (2013), without terms of lower order.
    """
    *batch, rows, columns = type_.shape
    count: int = math.prod(batch)
    return count * flops(rows, columns)


def over_matrices(x: Node) -> Node:
    """Return numbers, one for each matrix of a stack, so that they broadcast to the matrices."""
    return expand_dims(x, (-2, -1))


# A right-hand side that may be a vector


def _to_columns(x: Any, like: Any) -> Any:
    return np.expand_dims(x, -1) if np.ndim(like) == 1 else x


def _from_columns(x: Any, like: Any) -> Any:
    return np.squeeze(x, -1) if np.ndim(like) == 1 else x


class _ByRank(Op):
    """An op that adds or drops a last axis of size 1 if its second input is a vector."""

    is_view = True

    def reads(self, slot: int) -> bool:
        return slot == 0

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, tangent, inputs[1])


class ToColumns(_ByRank):
    """Add a last axis of size 1 to ``x`` if ``like`` is a vector: columns to solve for."""

    name = "to_columns"
    numpy = staticmethod(_to_columns)
    samples = (
        Sample(lambda x, b: apply(ToColumns(), x, b), [reals(2, 3), reals(3)]),
        Sample(lambda x, b: apply(ToColumns(), x, b), [reals(2, 3), reals(2, 3)], label="matrix"),
    )

    def infer(self, *types: Any) -> Type:
        x, like = tensor_types(*types)
        if isinstance(x.shape, UnknownShape) or like.ndim is None:
            return x.with_shape(UnknownShape.fresh())
        return x.with_shape((*x.shape, 1) if like.ndim == 1 else x.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return from_columns(adjoint, inputs[1])

    def specialise(self, *inputs: Node) -> Node | None:
        return None if inputs[1].ndim is None else to_columns(*inputs)


class FromColumns(_ByRank):
    """Drop the last axis of ``x``, of size 1, if ``like`` is a vector."""

    name = "from_columns"
    numpy = staticmethod(_from_columns)
    samples = (
        Sample(lambda x, b: apply(FromColumns(), x, b), [reals(2, 3, 1), reals(3)]),
        Sample(lambda x, b: apply(FromColumns(), x, b), [reals(2, 1), reals(2, 1)], label="matrix"),
    )

    def infer(self, *types: Any) -> Type:
        x, like = tensor_types(*types)
        if isinstance(x.shape, UnknownShape) or like.ndim is None:
            return x.with_shape(UnknownShape.fresh())
        return x.with_shape(x.shape[:-1] if like.ndim == 1 else x.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return to_columns(adjoint, inputs[1])

    def specialise(self, *inputs: Node) -> Node | None:
        return None if inputs[1].ndim is None else from_columns(*inputs)


def to_columns(x: Node, like: Node) -> Node:
    """Return ``x`` with a last axis of size 1 if ``like`` is a vector, which may be open yet."""
    if like.ndim is None:
        return apply(ToColumns(), x, like)
    return expand_dims(x, -1) if like.ndim == 1 else x


def from_columns(x: Node, like: Node) -> Node:
    """Return ``x`` without its last axis, of size 1, if ``like`` is a vector."""
    if like.ndim is None:
        return apply(FromColumns(), x, like)
    return squeeze(x, -1) if like.ndim == 1 else x


# Solving


class _LinearSolve(Op):
    """An op that solves A X = B; subclasses say which part of A they read."""

    def infer(self, *types: Any) -> Type:
        a, b = tensor_types(*types)
        require_square(a.shape)
        return TensorType(factor_dtype(a.dtype, b.dtype), _solution_shape(a.shape, b.shape))

    factor: ClassVar[bool] = True
    """Whether A must be factorised first."""

    def flops(self, result: Any, *types: Any) -> int:
        rows = types[0].shape[-1]
        factors = per_matrix(types[0], lambda n, _: 2 * n**3 // 3) if self.factor else 0
        return factors + (2 if self.factor else 1) * int(result.size) * int(rows)

    def solve_transposed(self, a: Node, b: Node) -> Node:
        """Return the solution of Aᵀ X = B for columns B."""
        raise NotImplementedError

    def part(self, a: Node) -> Node:
        """Return ``a`` with zeros in place of the elements that the op does not read."""
        return a

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        a, b = inputs
        columns = self.solve_transposed(a, to_columns(adjoint, b))
        if slot == 1:
            return from_columns(columns, b)
        return self.part(-columns @ to_columns(out, b).mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        a, b = inputs
        if slot == 1:
            return apply(self, a, tangent)
        return from_columns(apply(self, a, -(self.part(tangent) @ to_columns(out, b))), b)


def _solution_shape(a: Shape, b: Shape) -> Shape:
    if b == ():
        raise ShapeError("the right-hand side is a scalar", remedy="Give it one row for each of a.")
    if isinstance(a, UnknownShape) or isinstance(b, UnknownShape):
        return UnknownShape.fresh()
    rows = b[0] if len(b) == 1 else b[-2]
    _require_rows(a[-1], rows)
    if len(b) == 1:
        return a[:-1]
    batch = broadcast_shapes(a[:-2], b[:-2])
    assert not isinstance(batch, UnknownShape)
    return (*batch, a[-1], b[-1])


def _require_rows(unknowns: Dimension, rows: Dimension) -> None:
    if isinstance(unknowns, int) and isinstance(rows, int) and unknowns != rows:
        raise ShapeError(
            f"there are {unknowns} unknowns, but the right-hand side has {rows} rows",
            remedy="It is (n,) for one system, or (..., n, k) for k systems with the same matrix.",
        )


class Solve(_LinearSolve):
    r"""Solve the linear system ``a @ x = b``.

    Parameters
    ----------
    a : (..., n, n)
    b : (n,) or (..., n, k)
        As in NumPy 2, only a right-hand side of one axis is a vector.  Leading axes broadcast.

    Returns
    -------
    (..., n) or (..., n, k) Node
        float32 or float64.

    Raises
    ------
    ShapeError
        If ``a`` is not square, or the rows of ``a`` and ``b`` differ.
    EvaluationError
        If ``a`` is singular, when values are fed.

    Notes
    -----
    B̄ = A⁻ᵀ X̄ and Ā = −B̄ Xᵀ; Ẋ = A⁻¹ (Ḃ − Ȧ X).  The adjoint solves with the transpose and never
    forms the inverse.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[2.0, 0.0], [1.0, 4.0]]), sm.constant([2.0, 9.0])
    >>> sm.linalg.solve(a, b).eval()
    array([1., 2.])
    """

    name = "solve"
    numpy = np.linalg.solve
    latex = "{0}^{{-1}} {1}"
    precedence = 2
    samples = (
        Sample(lambda a, b: solve(a, b), [well_conditioned(3, 3), reals(3, 2)]),
        Sample(lambda a, b: solve(a, b), [well_conditioned(3, 3), reals(3)], label="vector"),
        Sample(
            lambda a, b: solve(a, b), [well_conditioned(2, 3, 3), reals(3)], label="stack, vector"
        ),
        Sample(
            lambda a, b: solve(a, b),
            [well_conditioned(2, 1, 2, 2), reals(3, 2, 2)],
            label="broadcast",
        ),
        Sample(lambda a, b: solve(a, b), [well_conditioned(1, 1), reals(1)], label="size 1"),
        Sample(lambda a, b: solve(a, b), [reals(0, 0), reals(0, 2)], label="empty"),
        Sample(lambda a, b: solve(a, b), [well_conditioned(2, 2), integers(2)], label="integers"),
    )

    def __call__(self, a: Operand, b: Operand) -> Node:
        return apply(self, *as_nodes(a, b))

    def solve_transposed(self, a: Node, b: Node) -> Node:
        return self(a.mT, b)


def _solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    columns = b[:, None] if b.ndim == 1 else b
    dtype = factor_dtype(a.dtype, b.dtype)
    if not unit_diagonal and not np.all(np.diagonal(a, axis1=-2, axis2=-1)):
        raise np.linalg.LinAlgError("singular matrix: a zero stands on its diagonal")
    a = a.astype(dtype, copy=False)
    batch = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    columns = np.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    result = np.array(columns, dtype, order="C")
    if not batch:
        _substitute(a, result, lower, unit_diagonal)
    else:
        matrices = np.broadcast_to(a, (*batch, *a.shape[-2:]))
        for i in np.ndindex(batch):
            _substitute(matrices[i], result[i], lower, unit_diagonal)
    return result[..., 0] if b.ndim == 1 else result


def _substitute(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> None:
    """Replace ``b``, in C order, by the solution of a x = b.

    BLAS, which has matrices in Fortran order, sees xᵀ aᵀ = bᵀ and copies nothing.
    """
    from scipy.linalg import blas

    if b.size == 0:
        return
    solve = blas.strsm if a.dtype == np.float32 else blas.dtrsm
    if a.flags.f_contiguous:
        solve(1.0, a, b.T, 1, lower, 1, unit_diagonal, overwrite_b=1)
    else:
        solve(1.0, np.ascontiguousarray(a).T, b.T, 1, not lower, 0, unit_diagonal, overwrite_b=1)


class SolveTriangular(_LinearSolve):
    """See :func:`solve_triangular`."""

    lower: bool
    unit_diagonal: bool

    name = "solve_triangular"
    factor = False
    numpy = staticmethod(_solve_triangular)
    samples = (
        Sample(
            lambda a, b: solve_triangular(a, b, lower=True),
            [well_conditioned(3, 3), reals(3, 2)],
            lambda a, b: np.linalg.solve(np.tril(a), b),
        ),
        Sample(
            lambda a, b: solve_triangular(a, b),
            [well_conditioned(3, 3), reals(3)],
            lambda a, b: np.linalg.solve(np.triu(a), b),
            label="upper, vector",
        ),
        Sample(
            lambda a, b: solve_triangular(a, b, lower=True, unit_diagonal=True),
            [reals(3, 3), reals(3)],
            lambda a, b: np.linalg.solve(np.tril(a, -1) + np.eye(3), b),
            label="unit diagonal",
        ),
        Sample(
            lambda a, b: solve_triangular(a, b, unit_diagonal=True),
            [reals(2, 1, 2, 2), reals(3, 2, 2)],
            lambda a, b: np.linalg.solve(np.triu(a, 1) + np.eye(2), b),
            label="broadcast",
        ),
        Sample(lambda a, b: solve_triangular(a, b), [reals(0, 0), reals(0, 2)], label="empty"),
    )

    def solve_transposed(self, a: Node, b: Node) -> Node:
        return apply(SolveTriangular(not self.lower, self.unit_diagonal), a.mT, b)

    def part(self, a: Node) -> Node:
        if self.lower:
            return tril(a, -1 if self.unit_diagonal else 0)
        return triu(a, 1 if self.unit_diagonal else 0)


def solve_triangular(
    a: Operand, b: Operand, *, lower: bool = False, unit_diagonal: bool = False
) -> Node:
    """Solve ``a @ x = b`` for a triangular matrix ``a``, of which only that part is read.

    Parameters
    ----------
    a : (..., n, n) Node or array
    b : (n,) or (..., n, k) Node or array
        As for :func:`solve`; leading axes broadcast.
    lower : bool
        Whether the lower triangle is read, else the upper.
    unit_diagonal : bool
        Whether the diagonal counts as ones and is not read.

    Returns
    -------
    (..., n) or (..., n, k) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square, or the rows of ``a`` and ``b`` differ.
    EvaluationError
        If there is a zero on the diagonal, when values are fed.

    Notes
    -----
    The rules are those of :func:`solve`; the adjoint of ``a`` is triangular as well.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[2.0, 99.0], [1.0, 4.0]]), sm.constant([2.0, 9.0])
    >>> sm.linalg.solve_triangular(a, b, lower=True).eval()
    array([1., 2.])
    """
    return apply(SolveTriangular(bool(lower), bool(unit_diagonal)), *as_nodes(a, b))


# Inverse and determinant


class Inv(Op):
    r"""Invert a square matrix.

    Use :func:`solve` for ``inv(a) @ b``: it is faster and more accurate.

    Parameters
    ----------
    a : (..., n, n)

    Raises
    ------
    ShapeError
        If ``a`` is not square.
    EvaluationError
        If ``a`` is singular, when values are fed.

    Notes
    -----
    For Y = A⁻¹, Ā = −Yᵀ Ȳ Yᵀ and Ẏ = −Y Ȧ Y.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.inv(sm.constant([[2.0, 0.0], [0.0, 4.0]])).eval()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """

    name = "inv"
    numpy = np.linalg.inv
    latex = "{0}^{{-1}}"
    precedence = 4
    samples = (
        Sample(lambda a: inv(a), [well_conditioned(3, 3)]),
        Sample(lambda a: inv(a), [well_conditioned(2, 2, 2)], label="stack"),
        Sample(lambda a: inv(a), [well_conditioned(1, 1)], label="size 1"),
        Sample(lambda a: inv(a), [reals(0, 0)], label="empty"),
    )

    def __call__(self, a: Operand) -> Node:
        return apply(self, as_node(a))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_square(a.shape)
        return a.with_dtype(factor_dtype(a.dtype))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return -(out.mT @ adjoint @ out.mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return -(out @ tangent @ out)


class Det(Op):
    r"""Return the determinant of a square matrix.

    For large matrices it overflows or vanishes: use :func:`slogdet`.

    Parameters
    ----------
    a : (..., n, n)

    Returns
    -------
    (...) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    Notes
    -----
    Ā = d̄ C, with the matrix C of cofactors, which is right for singular matrices as well.  The
    second derivative exists in formula only where ``a`` is invertible: it is NaN where it is not.

    Examples
    --------
    >>> import symad as sm
    >>> a = sm.Variable("a", shape=(2, 2))
    >>> d = sm.linalg.det(a)
    >>> sm.gradients(d, a).eval({a: [[1.0, 2.0], [2.0, 4.0]]}).round(12)
    array([[ 4., -2.],
           [-2.,  1.]])
    """

    name = "det"
    numpy = np.linalg.det
    latex = r"\det {0}"
    samples = (
        Sample(lambda a: det(a), [well_conditioned(3, 3)]),
        Sample(lambda a: det(a), [well_conditioned(2, 2, 2)], label="stack"),
        Sample(lambda a: det(a), [well_conditioned(1, 1)], label="size 1"),
        Sample(lambda a: det(a), [reals(0, 0)], label="empty"),
        Sample(
            lambda a: det(a),
            [fixed([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])],
            order=1,
            label="singular",
        ),
    )

    def __call__(self, a: Operand) -> Node:
        return apply(self, as_node(a))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_square(a.shape)
        return TensorType(factor_dtype(a.dtype), batch_of(a.shape))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return over_matrices(adjoint) * apply(Cofactors(), *inputs)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return sum_of(apply(Cofactors(), *inputs) * tangent, axis=(-2, -1))


def _cofactors(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a)
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return sign * ((u * (before * after)[..., None, :]) @ vh)


class Cofactors(Op):
    """The matrix of cofactors, C = det(A) A⁻ᵀ, which exists for singular matrices as well.

    From the singular value decomposition A = U S Vᵀ it is det(U V) U S' Vᵀ, where S' has, in place
    of each singular value, the product of the others.
    """

    name = "cofactors"
    numpy = staticmethod(_cofactors)
    samples = (
        Sample(
            lambda a: apply(Cofactors(), a),
            [well_conditioned(3, 3)],
            lambda a: np.linalg.det(a) * np.linalg.inv(a).T,
        ),
        Sample(
            lambda a: apply(Cofactors(), a),
            [well_conditioned(2, 2, 2)],
            lambda a: np.stack([m[::-1, ::-1] * [[1, -1], [-1, 1]] for m in a]),
            label="stack",
        ),
        Sample(
            lambda a: apply(Cofactors(), a),
            [well_conditioned(1, 1)],
            lambda a: np.ones((1, 1)),
            order=1,
            label="size 1",
        ),
    )

    def flops(self, result: Any, *types: Any) -> int:
        # The singular values and vectors, the determinants of these, and their product.
        return per_matrix(types[0], lambda n, _: 22 * n**3 + 4 * n**3 // 3 + 2 * n**3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_square(a.shape)
        return a.with_dtype(factor_dtype(a.dtype))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        # Ċ = (<C, Ȧ> C - C Ȧᵀ C) / det A is a symmetric map of Ȧ.
        along = over_matrices(sum_of(out * adjoint, axis=(-2, -1))) * out
        return (along - out @ adjoint.mT @ out) / over_matrices(det(inputs[0]))

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return self.reverse(slot, tangent, out, *inputs)


class SlogdetResult(NamedTuple):
    """The sign and the logarithm of the magnitude of a determinant."""

    sign: Node
    logabsdet: Node


def _slogdet(a: Any) -> Any:
    return tuple(np.linalg.slogdet(a))


class Slogdet(Op):
    """See :func:`slogdet`."""

    name = "slogdet"
    numpy = staticmethod(_slogdet)
    samples = (
        Sample(lambda a: slogdet(a), [well_conditioned(3, 3)]),
        Sample(lambda a: slogdet(a).logabsdet, [well_conditioned(2, 2, 2)], label="stack"),
        Sample(lambda a: slogdet(a), [well_conditioned(1, 1)], label="size 1"),
        Sample(lambda a: slogdet(a), [reals(0, 0)], label="empty"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_square(a.shape)
        item = TensorType(factor_dtype(a.dtype), batch_of(a.shape))
        return StructureType("tuple", ((0, item), (1, item)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        _, of_logarithm = adjoint_items(adjoint, 2)
        if of_logarithm is None:
            return None
        return over_matrices(of_logarithm) * inv(inputs[0]).mT

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return only_item(out, 1, sum_of(inv(inputs[0]).mT * tangent, axis=(-2, -1)))


def slogdet(a: Operand) -> SlogdetResult:
    """Return the sign of the determinant, and the logarithm of its magnitude.

    Parameters
    ----------
    a : (..., n, n) Node or array

    Returns
    -------
    sign, logabsdet : (...) Node
        For a singular matrix, 0 and −∞.

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    Notes
    -----
    For the logarithm l, Ā = l̄ A⁻ᵀ; at a singular matrix, where l has no derivative, that is an
    EvaluationError.  The sign changes in steps: its derivative is zero.

    Examples
    --------
    >>> import symad as sm
    >>> sign, logarithm = sm.linalg.slogdet(sm.constant([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign.eval(), logarithm.eval()
    (np.float64(-1.0), np.float64(0.0))
    """
    pair = apply(Slogdet(), as_node(a))
    return SlogdetResult(structure_item(pair, 0), structure_item(pair, 1))


def _identity_matrix(like: Any) -> Any:
    return np.eye(like.shape[-1], dtype=like.dtype)


class IdentityMatrix(Op):
    """The identity matrix of the size of the square matrices in ``like``, of its dtype."""

    name = "identity_matrix"
    numpy = staticmethod(_identity_matrix)
    samples = (Sample(lambda x: x - identity_matrix(x), [reals(2, 3, 3)], lambda x: x - np.eye(3)),)

    def __call__(self, like: Node) -> Node:
        return apply(self, like)

    def infer(self, *types: Any) -> Type:
        (like,) = tensor_types(*types)
        require_square(like.shape)
        if isinstance(like.shape, UnknownShape):
            return like.with_shape(UnknownShape.fresh())
        matrix: KnownRank = like.shape[-2:]
        return like.with_shape(matrix)

    def reads(self, slot: int) -> bool:
        return False

    def differentiable(self, slot: int) -> bool:
        return False


def matrix_power(a: Operand, n: int) -> Node:
    """Return the product of ``n`` matrices ``a``, of inverses if ``n`` is negative.

    Parameters
    ----------
    a : (..., m, m) Node or array
    n : int

    Notes
    -----
    Made by repeated squaring, of at most 2·log₂(abs(n)) matrix products.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.matrix_power(sm.constant([[1.0, 1.0], [0.0, 1.0]]), 5).eval()
    array([[1., 5.],
           [0., 1.]])
    """
    if not isinstance(n, (int, np.integer)):
        raise GraphTypeError(f"the exponent of matrix_power must be an integer, not {n!r}")
    square = as_node(a) if n >= 0 else inv(a)
    if n == 0:
        return broadcast_like(identity_matrix(square), square)
    rest = int(n) if n > 0 else -int(n)
    result: Node | None = None
    while rest:
        if rest % 2:
            result = square if result is None else result @ square
        rest //= 2
        if rest:
            square = square @ square
    assert result is not None
    return result


solve: Solve = register(Solve(), "linalg.solve")
inv: Inv = register(Inv(), "linalg.inv")
det: Det = register(Det(), "linalg.det")
identity_matrix: IdentityMatrix = IdentityMatrix()
register(solve_triangular, "linalg.solve_triangular")
register(slogdet, "linalg.slogdet")
register(matrix_power, "linalg.matrix_power")
