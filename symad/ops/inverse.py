"""Inverses, determinants and powers of matrices.

The rules are those of M. Giles, "An extended collection of matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), unless a docstring names another source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, Op, call, explained
from symad.graph.sample import Sample, fixed, reals, well_conditioned
from symad.ops.adjoint import broadcast_like
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.batching import repeated, row_count
from symad.ops.linear_system import solve_triangular
from symad.ops.matrices import (
    PerMatrix,
    batch_of,
    over_matrices,
    per_matrix,
    require_square,
    square_type,
)
from symad.ops.reduce import sum as sum_of
from symad.ops.structure import adjoint_items, only_item, structure_item
from symad.types import (
    KnownRank,
    StructureType,
    Type,
    UnknownShape,
)


class Inv(PerMatrix):
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
    in_expressions = True
    may_fail = True
    result_axes = (2,)
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
        return square_type(*types)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return -(out.mT @ adjoint @ out.mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return -(out @ tangent @ out)


def nan_if_not_finite(a: Any) -> Any:
    """Return NaN for matrices with elements that are NaN or infinite, 0 for others.

    What elimination leaves of such elements depends on the order of its steps.
    """
    return (0 * a).sum(axis=(-2, -1))


def _det(a: Any) -> Any:
    return np.linalg.det(a) + nan_if_not_finite(a)


_NOT_FINITE = fixed([[[1.0, np.inf], [2.0, 3.0]], [[0.0, np.nan], [0.0, 0.0]], np.eye(2)])


class Det(PerMatrix):
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
    Ā = d̄ C, with the matrix C of cofactors, which is also correct for singular matrices.  The
    second derivative has a formula only where ``a`` is invertible: elsewhere it is NaN.  If an
    element is NaN or infinite, the determinant is NaN.

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
    in_expressions = True
    result_axes = (0,)
    numpy = staticmethod(_det)
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
        Sample(lambda a: det(a), [_NOT_FINITE], order=0, label="not finite"),
    )

    def __call__(self, a: Operand) -> Node:
        return apply(self, as_node(a))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        a = square_type(*types)
        return a.with_shape(batch_of(a.shape))

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


class Cofactors(PerMatrix):
    """The matrix of cofactors, C = det(A) A⁻ᵀ, which also exists for singular matrices.

    From the singular value decomposition A = U S Vᵀ it is det(U V) U S' Vᵀ, where S' replaces each
    singular value by the product of the others.
    """

    name = "cofactors"
    may_fail = True
    result_axes = (2,)
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
        return square_type(*types)

    def decompose(self, *inputs: Node) -> Node | None:
        whole = apply(OP_CLASSES["svd"](), *inputs)
        u, s, vh = (structure_item(whole, key) for key in range(3))
        before = call("cumprod", s, -1, exclusive=True)
        others = before * call("cumprod", s, -1, exclusive=True, from_end=True)
        sign = call("sign", det(u) * det(vh))
        return over_matrices(sign) * ((u * call("expand_dims", others, -2)) @ vh)

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
    unknown = nan_if_not_finite(a)
    return tuple(part + unknown for part in np.linalg.slogdet(a))


class Slogdet(PerMatrix):
    """See :func:`slogdet`."""

    name = "slogdet"
    result_axes = (0, 0)
    numpy = staticmethod(_slogdet)
    samples = (
        Sample(lambda a: slogdet(a), [well_conditioned(3, 3)]),
        Sample(lambda a: slogdet(a).logabsdet, [well_conditioned(2, 2, 2)], label="stack"),
        Sample(lambda a: slogdet(a), [well_conditioned(1, 1)], label="size 1"),
        Sample(lambda a: slogdet(a), [reals(0, 0)], label="empty"),
        Sample(lambda a: slogdet(a), [_NOT_FINITE], order=0, label="not finite"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        a = square_type(*types)
        item = a.with_shape(batch_of(a.shape))
        return StructureType("tuple", ((0, item), (1, item)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        _, of_logarithm = adjoint_items(adjoint, 2)
        if of_logarithm is None:
            return None
        return over_matrices(of_logarithm) * inv(inputs[0]).mT

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return only_item(out, 1, sum_of(inv(inputs[0]).mT * tangent, axis=(-2, -1)))


@explained
def slogdet(a: Operand) -> SlogdetResult:
    """Return the sign of the determinant, and the logarithm of its magnitude.

    Parameters
    ----------
    a : (..., n, n) Node or array

    Returns
    -------
    sign, logabsdet : (...) Node
        For a singular matrix, 0 and −∞; NaN if an element is NaN or infinite.

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    Notes
    -----
    For the logarithm l, Ā = l̄ A⁻ᵀ; at a singular matrix, where l has no derivative, this raises an
    EvaluationError.  The sign is piecewise constant: its derivative is zero.

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
    """The identity matrix of the size of the square matrices in ``like``, with its dtype."""

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

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return repeated(apply(self, *inputs), row_count(batched, inputs))

    def reads(self, slot: int) -> bool:
        return False

    def differentiable(self, slot: int) -> bool:
        return False


@explained
def matrix_power(a: Operand, n: int) -> Node:
    """Return the product of ``n`` matrices ``a``, of inverses if ``n`` is negative.

    Parameters
    ----------
    a : (..., m, m) Node or array
    n : int

    Notes
    -----
    Computed by repeated squaring, with at most 2·log₂(abs(n)) matrix products.

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


inv: Inv = register(Inv(), "linalg.inv")
det: Det = register(Det(), "linalg.det")
identity_matrix: IdentityMatrix = IdentityMatrix()
register(solve_triangular, "linalg.solve_triangular")
register(slogdet, "linalg.slogdet")
register(matrix_power, "linalg.matrix_power")
