"""Matrix factorisations: Cholesky, QR, eigenvalues and singular values.

Sources of the rules, which the docstrings name: M. Giles, "An extended collection of matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008); I. Murray,
"Differentiation of the Cholesky decomposition" (2016); M. Seeger, A. Hetzel, Z. Dai, E. Meissner
and N. Lawrence, "Auto-differentiating linear algebra" (2017); J. Townsend, "Differentiating the
singular value decomposition" (2016).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from symad.errors import GradientError, GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import call, explained
from symad.graph.sample import Sample, positive_definite, reals, well_conditioned
from symad.ops.adjoint import add_n, stop_gradient, zeros_like
from symad.ops.arithmetic import direction
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.comparison import where
from symad.ops.inverse import identity_matrix
from symad.ops.join import concat
from symad.ops.linear_system import solve_triangular
from symad.ops.matrices import (
    PerMatrix,
    batch_of,
    factor_dtype,
    per_matrix,
    require_matrix,
    square_type,
)
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims
from symad.ops.structure import adjoint_items, structure, structure_item
from symad.ops.triangle import diagonal, tril
from symad.ops.trigonometric import sin
from symad.types import (
    Dimension,
    KnownRank,
    StructureType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
)


def _symmetric(x: Node) -> Node:
    return (x + x.mT) * 0.5


def _lower_half(x: Node) -> Node:
    """Return Φ(X): the lower triangle of X with half of its diagonal."""
    return (tril(x) + tril(x, -1)) * 0.5


def _diagonal(x: Node) -> Node:
    return diagonal(x, 0, -2, -1)


def _scaled_columns(x: Node, factors: Node) -> Node:
    """Return X diag(f)."""
    return x * expand_dims(factors, -2)


def _gaps(values: Node) -> Node:
    """Return 1 / (λ_j − λ_i) for i ≠ j, and 0 on the diagonal."""
    differences = expand_dims(values, -2) - expand_dims(values, -1)
    identity = identity_matrix(differences)
    return 1 / (differences + identity) - identity


def _tall(rows: int, columns: int) -> int:
    """Return m n² for a matrix with m rows and n ≤ m columns, or for its transpose."""
    return max(rows, columns) * min(rows, columns) ** 2


def _tuple_type(*items: TensorType) -> StructureType:
    return StructureType("tuple", tuple(enumerate(items)))


# Cholesky


class Cholesky(PerMatrix):
    r"""Return the lower triangular L with L Lᵀ = A, for a symmetric positive definite A.

    Parameters
    ----------
    a : (..., n, n)
        Only the lower triangle is read.
    upper : bool
        Return the upper triangular U with Uᵀ U = A, and read only the upper triangle.

    Returns
    -------
    (..., n, n) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square.
    EvaluationError
        If ``a`` is not positive definite, when values are fed.

    Notes
    -----
    Ā is the symmetric part of L⁻ᵀ Φ(Lᵀ L̄) L⁻¹, and L̇ = L Φ(L⁻¹ Ȧ L⁻ᵀ) with the symmetric part of
    Ȧ, where Φ takes the lower triangle and half of the diagonal (Murray 2016).  Derivatives are
    therefore taken along symmetric matrices, although the value reads one triangle.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.cholesky(sm.constant([[4.0, 2.0], [2.0, 5.0]])).eval()
    array([[2., 0.],
           [1., 2.]])
    """

    name = "cholesky"
    in_expressions = True
    may_fail = True
    result_axes = (2,)
    numpy = np.linalg.cholesky
    samples = (
        Sample(lambda a: cholesky(_symmetric(a)), [positive_definite(3, 3)]),
        Sample(lambda a: cholesky(_symmetric(a)), [positive_definite(2, 2, 2)], label="stack"),
        Sample(lambda a: cholesky(a), [positive_definite(1, 1)], label="size 1"),
        Sample(
            lambda a: cholesky(_symmetric(a), upper=True),
            [positive_definite(3, 3)],
            lambda a: np.linalg.cholesky(a).T,
            label="upper",
        ),
        Sample(lambda a: cholesky(a), [reals(0, 0)], label="empty"),
    )

    def __call__(self, a: Operand, *, upper: bool = False) -> Node:
        node = as_node(a)
        return apply(self, node.mT).mT if upper else apply(self, node)

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: n**3 // 3)

    def infer(self, *types: Any) -> Type:
        return square_type(*types)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        inside = _lower_half(out.mT @ adjoint)
        left = solve_triangular(out.mT, inside)
        return _symmetric(solve_triangular(out.mT, left.mT))

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        left = solve_triangular(out, _symmetric(tangent), lower=True)
        return out @ _lower_half(solve_triangular(out, left.mT, lower=True))


# QR


class QRResult(NamedTuple):
    """The factors of a QR factorisation."""

    Q: Node
    R: Node


def _qr(a: Any) -> Any:
    return tuple(np.linalg.qr(a))


class QR(PerMatrix):
    """See :func:`qr`."""

    name = "qr"
    may_fail = True
    result_axes = (2, 2)
    numpy = staticmethod(_qr)
    samples = (
        Sample(lambda a: qr(a), [well_conditioned(4, 2)]),
        Sample(lambda a: qr(a), [well_conditioned(3, 3)], label="square"),
        Sample(lambda a: qr(a), [well_conditioned(2, 3, 2)], label="stack"),
        Sample(lambda a: qr(a).R, [well_conditioned(3, 2)], label="only R"),
        Sample(lambda a: qr(a).Q, [well_conditioned(3, 2)], label="only Q"),
        Sample(lambda a: qr(a), [well_conditioned(2, 3)], order=0, label="wide"),
        Sample(lambda a: qr(a), [reals(3, 1)], label="size 1"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        # R by Householder reflections, and the same count again to form Q.
        return per_matrix(types[0], lambda m, n: 4 * _tall(m, n) - 4 * min(m, n) ** 3 // 3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_matrix(a.shape)
        dtype = factor_dtype(a.dtype)
        if isinstance(a.shape, UnknownShape):
            unknown = UnknownShape.fresh(), UnknownShape.fresh()
            return _tuple_type(*[TensorType(dtype, shape) for shape in unknown])
        *batch, rows, columns = a.shape
        rank = _smaller(rows, columns)
        return _tuple_type(
            TensorType(dtype, (*batch, rows, rank)), TensorType(dtype, (*batch, rank, columns))
        )

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        _require_tall(inputs[0])
        q, r = (structure_item(out, key) for key in range(2))
        of_q, of_r = adjoint_items(adjoint, 2)
        inside = None if of_r is None else r @ of_r.mT
        if of_q is not None:
            inside = -(of_q.mT @ q) if inside is None else inside - of_q.mT @ q
        assert inside is not None
        product = q @ (tril(inside) + tril(inside, -1).mT)
        total = product if of_q is None else of_q + product
        return solve_triangular(r, total.mT).mT

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        _require_tall(inputs[0])
        q, r = (structure_item(out, key) for key in range(2))
        moved = solve_triangular(r.mT, tangent.mT, lower=True).mT
        inside = q.mT @ moved
        below = tril(inside, -1)
        turn = below - below.mT
        return structure((moved + q @ (turn - inside), (inside - turn) @ r))


def _smaller(rows: Dimension, columns: Dimension) -> Dimension:
    if rows == columns:
        return rows
    return (
        min(rows, columns) if isinstance(rows, int) and isinstance(columns, int) else UnknownDim()
    )


def _require_tall(a: Node) -> None:
    (type_,) = tensor_types(a.type)
    if isinstance(type_.shape, UnknownShape):
        return
    rows, columns = type_.shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows < columns:
        raise GradientError(
            f"the QR factorisation of a {rows} by {columns} matrix has no derivative in symad",
            where=a.site.describe(),
            remedy="Factorise the first columns, as many as there are rows, and multiply by Q.",
        )


@explained
def qr(a: Operand, *, mode: str = "reduced") -> QRResult:
    """Return Q with orthonormal columns and an upper triangular R with Q R = A.

    Parameters
    ----------
    a : (..., m, n) Node or array
    mode : {"reduced", "complete"}
        In the complete form, Q is square: its last columns complete the others to a basis, and a
        derivative that depends on them is NaN.  R has rows of zeros to match.

    Returns
    -------
    Q : (..., m, k) Node
    R : (..., k, n) Node
        With k the smaller of m and n, or m in the complete form.  LAPACK chooses the signs.

    Raises
    ------
    GraphTypeError
        If there is no such mode.
    GradientError
        If derivatives are requested and m < n.

    Notes
    -----
    With M = R R̄ᵀ − Q̄ᵀ Q, Ā = (Q̄ + Q copyltu(M)) R⁻ᵀ, where copyltu copies the lower triangle to the
    upper (Seeger et al. 2017).  For m ≥ n and independent columns; else R is singular.

    Examples
    --------
    >>> import symad as sm
    >>> q, r = sm.linalg.qr(sm.constant([[3.0, 1.0], [4.0, 1.0]]))
    >>> abs(r[0, 0]).eval().round(12)
    np.float64(5.0)
    """
    if mode not in ("reduced", "complete"):
        raise GraphTypeError(f"{mode!r} is not a mode", remedy='Write "reduced" or "complete".')
    pair = apply(QR(), as_node(a))
    q, r = structure_item(pair, 0), structure_item(pair, 1)
    if mode == "complete":
        rest = call("orthogonal_complement", q)
        q, r = concat([q, rest], -1), concat([r, zeros_like(rest.mT @ as_node(a))], -2)
    return QRResult(q, r)


# Symmetric eigenvalues


class EighResult(NamedTuple):
    """The eigenvalues and eigenvectors of symmetric matrices."""

    eigenvalues: Node
    eigenvectors: Node


def _eigh(a: Any) -> Any:
    return tuple(np.linalg.eigh(a))


def _eigh_signless(result: EighResult) -> Node:
    """Return V sin(Λ) Vᵀ, which does not depend on the signs of the eigenvectors."""
    vectors = result.eigenvectors
    return _scaled_columns(vectors, sin(result.eigenvalues)) @ vectors.mT


class Eigh(PerMatrix):
    """See :func:`eigh`."""

    name = "eigh"
    derivative_domain = (
        "Eigenvectors have no derivative where two eigenvalues are equal; use eigenvalues alone "
        "(sm.linalg.eigvalsh), or make them differ."
    )
    may_fail = True
    result_axes = (1, 2)
    numpy = staticmethod(_eigh)
    samples = (
        Sample(lambda a: _eigh_signless(eigh(_symmetric(a))), [positive_definite(3, 3)]),
        Sample(
            lambda a: _eigh_signless(eigh(_symmetric(a))),
            [positive_definite(2, 2, 2)],
            label="stack",
        ),
        Sample(
            lambda a: eigh(_symmetric(a)).eigenvalues, [positive_definite(3, 3)], label="values"
        ),
        Sample(
            lambda a: eigh(_symmetric(a)).eigenvectors ** 2,
            [positive_definite(3, 3)],
            label="vectors",
        ),
        Sample(lambda a: eigh(a).eigenvalues, [positive_definite(1, 1)], label="size 1"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 9 * n**3)

    def infer(self, *types: Any) -> Type:
        vectors = square_type(*types)
        return _tuple_type(vectors.with_shape(batch_of(vectors.shape, 1)), vectors)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        values, vectors = (structure_item(out, key) for key in range(2))
        of_values, of_vectors = adjoint_items(adjoint, 2)
        terms = []
        if of_values is not None:
            terms.append(_scaled_columns(vectors, of_values))
        if of_vectors is not None:
            terms.append(vectors @ (_gaps(values) * (vectors.mT @ of_vectors)))
        return _symmetric(add_n(terms) @ vectors.mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        values, vectors = (structure_item(out, key) for key in range(2))
        turned = vectors.mT @ _symmetric(tangent) @ vectors
        return structure((_diagonal(turned), vectors @ (_gaps(values) * turned)))


@explained
def eigh(a: Operand) -> EighResult:
    """Return the eigenvalues, ascending, and orthonormal eigenvectors of symmetric matrices.

    Parameters
    ----------
    a : (..., n, n) Node or array
        Only the lower triangle is read.

    Returns
    -------
    eigenvalues : (..., n) Node
    eigenvectors : (..., n, n) Node
        In columns.  LAPACK chooses their signs.

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    See Also
    --------
    eigvalsh : faster if the eigenvalues alone are needed.

    Notes
    -----
    Ā is the symmetric part of V (diag(λ̄) + F ∘ (Vᵀ V̄)) Vᵀ with F_ij = 1 / (λ_j − λ_i) off the
    diagonal (Giles 2008): derivatives along symmetric matrices, as for :func:`cholesky`.  Where
    eigenvalues are equal, eigenvectors have no derivative, and one that uses them is infinite or
    NaN.  The first derivative of the eigenvalues does not use F; for equal eigenvalues it depends
    on the choice of vectors, but the derivative of a symmetric function of them, such as the sum,
    does not.

    Examples
    --------
    >>> import symad as sm
    >>> values, vectors = sm.linalg.eigh(sm.constant([[2.0, 1.0], [1.0, 2.0]]))
    >>> values.eval().round(12)
    array([1., 3.])
    """
    pair = apply(Eigh(), as_node(a))
    return EighResult(structure_item(pair, 0), structure_item(pair, 1))


class Eigvalsh(PerMatrix):
    r"""Return the eigenvalues of symmetric matrices, ascending.

    Parameters
    ----------
    a : (..., n, n)
        Only the lower triangle is read.

    Returns
    -------
    (..., n) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    Notes
    -----
    As :func:`eigh`, without computing the eigenvectors until a derivative needs them.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.eigvalsh(sm.constant([[2.0, 1.0], [1.0, 2.0]])).eval().round(12)
    array([1., 3.])
    """

    name = "eigvalsh"
    may_fail = True
    result_axes = (1,)
    numpy = np.linalg.eigvalsh
    samples = (
        Sample(lambda a: eigvalsh(_symmetric(a)), [positive_definite(3, 3)]),
        Sample(lambda a: eigvalsh(_symmetric(a)), [positive_definite(2, 2, 2)], label="stack"),
    )

    def __call__(self, a: Operand) -> Node:
        return apply(self, as_node(a))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 4 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        a = square_type(*types)
        return a.with_shape(batch_of(a.shape, 1))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        vectors = eigh(inputs[0]).eigenvectors
        return _symmetric(_scaled_columns(vectors, adjoint) @ vectors.mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        vectors = eigh(inputs[0]).eigenvectors
        return sum_of(vectors * (_symmetric(tangent) @ vectors), axis=-2)


# Singular values


class SVDResult(NamedTuple):
    """The factors of a singular value decomposition."""

    U: Node
    S: Node
    Vh: Node


def _svd(a: Any) -> Any:
    return tuple(np.linalg.svd(a, full_matrices=False))


def _svd_signless(result: SVDResult) -> tuple[Node, Node, Node]:
    """Return functions of a decomposition that do not depend on the signs of its vectors."""
    u, s, vh = result
    return _scaled_columns(u, sin(s)) @ vh, u**2, vh**2


class SVD(PerMatrix):
    """See :func:`svd`."""

    name = "svd"
    derivative_domain = (
        "Singular vectors have no derivative where two singular values are equal or one is 0; use "
        "singular values alone (sm.linalg.svdvals), or make them differ."
    )
    may_fail = True
    result_axes = (2, 1, 2)
    numpy = staticmethod(_svd)
    samples = (
        Sample(lambda a: _svd_signless(svd(a)), [well_conditioned(4, 2)], label="tall"),
        Sample(lambda a: _svd_signless(svd(a)), [well_conditioned(2, 3)], label="wide"),
        Sample(lambda a: _svd_signless(svd(a)), [well_conditioned(3, 3)], label="square"),
        Sample(lambda a: _svd_signless(svd(a)), [well_conditioned(2, 3, 2)], label="stack"),
        Sample(lambda a: svd(a).S, [well_conditioned(3, 2)], label="only S"),
        Sample(lambda a: svd(a).U ** 2, [well_conditioned(3, 2)], label="only U"),
        Sample(lambda a: svd(a).Vh ** 2, [well_conditioned(3, 2)], label="only Vh"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda m, n: 14 * _tall(m, n) + 8 * min(m, n) ** 3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_matrix(a.shape)
        dtype = factor_dtype(a.dtype)
        if isinstance(a.shape, UnknownShape):
            return _tuple_type(*[TensorType(dtype, UnknownShape.fresh()) for _ in range(3)])
        *batch, rows, columns = a.shape
        rank = _smaller(rows, columns)
        shapes: list[KnownRank] = [(*batch, rows, rank), (*batch, rank), (*batch, rank, columns)]
        return _tuple_type(*[TensorType(dtype, shape) for shape in shapes])

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        u, s, vh = (structure_item(out, key) for key in range(3))
        of_u, of_s, of_vh = adjoint_items(adjoint, 3)
        terms = []
        if of_s is not None:
            terms.append(_scaled_columns(u, of_s) @ vh)
        if of_u is not None:
            terms.append(_vector_adjoint(u, s, of_u) @ vh)
        if of_vh is not None:
            terms.append(u @ _vector_adjoint(vh.mT, s, of_vh.mT).mT)
        return add_n(terms)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        u, s, vh = (structure_item(out, key) for key in range(3))
        of_u = _vector_tangent(u, s, tangent @ vh.mT)
        of_v = _vector_tangent(vh.mT, s, tangent.mT @ u)
        return structure((of_u, _diagonal(u.mT @ tangent @ vh.mT), of_v.mT))


def _vector_adjoint(vectors: Node, values: Node, adjoint: Node) -> Node:
    """Return U [F ∘ (Uᵀ Ū − Ūᵀ U)] S + (1 − U Uᵀ) Ū S⁻¹, the contribution of Ū to Ā V."""
    inside = vectors.mT @ adjoint
    turn = vectors @ (_gaps(values * values) * (inside - inside.mT))
    return _scaled_columns(turn, values) + _outside(vectors, adjoint / expand_dims(values, -2))


def _vector_tangent(vectors: Node, values: Node, moved: Node) -> Node:
    """Return U̇ = U [F ∘ (M + Mᵀ)] + (1 − U Uᵀ) Ȧ V S⁻¹ with M = Uᵀ Ȧ V S, from Ȧ V."""
    inside = _scaled_columns(vectors.mT @ moved, values)
    turn = vectors @ (_gaps(values * values) * (inside + inside.mT))
    return turn + _outside(vectors, moved / expand_dims(values, -2))


def _outside(vectors: Node, x: Node) -> Node:
    """Return (1 − U Uᵀ) X, the part of X that the orthonormal columns of U do not span."""
    return x - vectors @ (vectors.mT @ x)


@explained
def svd(a: Operand, *, full_matrices: bool = False) -> SVDResult:
    """Return the singular value decomposition U diag(S) Vh = A.

    Parameters
    ----------
    a : (..., m, n) Node or array
    full_matrices : bool
        Return square U and Vh, whose further vectors complete the others to a basis; a derivative
        that depends on those is NaN.  NumPy's default is true, as is that of the Array API
        standard: here it is the reduced form, which has all its derivatives.

    Returns
    -------
    U : (..., m, k) Node
        Orthonormal columns, where k is the smaller of m and n, or m in the full form.
    S : (..., k) Node
        Singular values, descending.
    Vh : (..., k, n) Node
        Orthonormal rows; k is n in the full form.

    See Also
    --------
    svdvals : faster if the singular values alone are needed.

    Notes
    -----
    With F_ij = 1 / (s_j² − s_i²) off the diagonal, Ā = U diag(s̄) Vᵀ + (U [F ∘ (Uᵀ Ū − Ūᵀ U)] S +
    (1 − U Uᵀ) Ū S⁻¹) Vᵀ and likewise for V (Townsend 2016).  The sign of a pair of vectors is
    LAPACK's choice: differentiate only functions that do not depend on it.  Where singular values
    are equal or zero, the vectors have no derivative, and one that uses them is infinite or NaN;
    the first derivative of the singular values uses neither F nor S⁻¹.

    Examples
    --------
    >>> import symad as sm
    >>> u, s, vh = sm.linalg.svd(sm.constant([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]))
    >>> s.eval()
    array([4., 3.])
    >>> u.type
    f64[3,2]
    """
    triple = apply(SVD(), as_node(a))
    u, s, vh = (structure_item(triple, key) for key in range(3))
    if full_matrices:
        u = concat([u, call("orthogonal_complement", u)], -1)
        vh = concat([vh, call("orthogonal_complement", vh.mT).mT], -2)
    return SVDResult(u, s, vh)


@explained
def _svd_as_numpy(a: Operand, full_matrices: bool = True) -> SVDResult:
    """``np.linalg.svd`` of a node, with NumPy's default form."""
    return svd(a, full_matrices=full_matrices)


class Svdvals(PerMatrix):
    r"""Return the singular values of matrices, descending.

    Parameters
    ----------
    a : (..., m, n)

    Returns
    -------
    (..., k) Node
        With k the smaller of m and n.

    Notes
    -----
    As :func:`svd`, without computing the vectors until a derivative needs them.  A singular value
    of zero (up to rounding) has a kink, like a magnitude: its derivative is 0, the second one NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.svdvals(sm.constant([[3.0, 0.0], [0.0, 4.0]])).eval()
    array([4., 3.])
    """

    name = "svdvals"
    may_fail = True
    result_axes = (1,)
    numpy = np.linalg.svdvals
    samples = (
        Sample(lambda a: svdvals(a), [well_conditioned(4, 2)]),
        Sample(lambda a: svdvals(a), [well_conditioned(2, 2, 3)], label="stack"),
    )

    def __call__(self, a: Operand) -> Node:
        return apply(self, as_node(a))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda m, n: 4 * _tall(m, n) - 4 * min(m, n) ** 3 // 3)

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_matrix(a.shape)
        dtype = factor_dtype(a.dtype)
        if isinstance(a.shape, UnknownShape):
            return TensorType(dtype, UnknownShape.fresh())
        *batch, rows, columns = a.shape
        return TensorType(dtype, (*batch, _smaller(rows, columns)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        u, _, vh = svd(inputs[0])
        return _scaled_columns(u, adjoint * _signs(out)) @ vh

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        u, _, vh = svd(inputs[0])
        return _signs(out) * sum_of(u * (tangent @ vh.mT), axis=-2)


def _signs(values: Node) -> Node:
    """Return 1 for singular values, but 0 for those that are 0 up to rounding."""
    least = float(np.finfo(values.dtype).eps) * sum_of(values, axis=-1, keepdims=True)
    kept = values - stop_gradient(where(values > least, 0, values))
    return direction(kept, kept)


cholesky: Cholesky = register(Cholesky(), "linalg.cholesky")
eigvalsh: Eigvalsh = register(Eigvalsh(), "linalg.eigvalsh")
svdvals: Svdvals = register(Svdvals(), "linalg.svdvals")
register(qr, "linalg.qr")
register(eigh, "linalg.eigh")
register(_svd_as_numpy, "linalg.svd")
