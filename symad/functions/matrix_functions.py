"""Linear algebra under NumPy's and SciPy's names: factors, functions, products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import as_floats, known_rank
from symad.functions.linear_algebra import matrix_rank
from symad.graph.node import Node, apply, reporting
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.arithmetic import square
from symad.ops.base import Operand, as_node, as_nodes, register
from symad.ops.comparison import equal, isnan, logical_and, where
from symad.ops.create import arange, zeros
from symad.ops.factorisation import cholesky, svdvals
from symad.ops.gather import take
from symad.ops.index import index_array
from symad.ops.inverse import inv
from symad.ops.join import concat
from symad.ops.linalg import norm
from symad.ops.linear_system import solve, solve_triangular
from symad.ops.matrices import to_columns
from symad.ops.matrix_functions import LU, Expm, SolveSylvester, Sqrtm
from symad.ops.permute import moveaxis
from symad.ops.product import matmul
from symad.ops.pseudo_inverse import pinv
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims, ravel, reshape
from symad.ops.size import axis_size
from symad.ops.structure import structure_item
from symad.ops.truth import all as all_true


@explained
def expm(a: Operand) -> Node:
    """Return the exponential of square matrices, Σ_k Aᵏ / k!.

    This is ``scipy.linalg.expm``.

    Parameters
    ----------
    a : (..., n, n) node or array

    Returns
    -------
    (..., n, n) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square.

    Notes
    -----
    A derivative costs the exponential of a matrix of twice the size, in both modes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.expm(sm.constant([[0.0, 2.0], [0.0, 0.0]])).eval()
    array([[1., 2.],
           [0., 1.]])
    """
    return apply(Expm(), as_node(a))


@explained
def sqrtm(a: Operand) -> Node:
    """Return the square root of a square matrix: the X with X X = A and no negative eigenvalues.

    This is ``scipy.linalg.sqrtm`` where the root is real.

    Parameters
    ----------
    a : (n, n) node or array

    Returns
    -------
    (n, n) Node
        NaN if the root is not real.

    Raises
    ------
    ShapeError
        If ``a`` is not one square matrix.

    Notes
    -----
    Ẋ solves X Ẋ + Ẋ X = Ȧ, and Ā solves Xᵀ Ā + Ā Xᵀ = X̄: see :func:`solve_sylvester`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.sqrtm(sm.constant([[4.0, 0.0], [0.0, 9.0]])).eval()
    array([[2., 0.],
           [0., 3.]])
    """
    return apply(Sqrtm(), as_node(a))


class LUResult(NamedTuple):
    """The factors of an LU factorisation."""

    p: Node
    l: Node  # noqa: E741 (SciPy's name)
    u: Node


@explained
def lu(a: Operand, permute_l: bool = False) -> Any:
    """Return P, L and U with A = P L U: a permutation, and triangles with ones on L's diagonal.

    This is ``scipy.linalg.lu``.

    Parameters
    ----------
    a : (..., m, n) node or array
    permute_l : bool
        Return P L in place of P and L.

    Returns
    -------
    p : (..., m, m) Node
        It has no derivative.
    l : (..., m, k) Node
        With k the smaller of m and n.
    u : (..., k, n) Node

    Raises
    ------
    GradientError
        If derivatives are requested of a matrix that is not square, and its sizes are not known.

    Notes
    -----
    The derivative holds as long as the permutation stays the same.  For a square matrix,
    Ā = P L⁻ᵀ (Φ(Lᵀ L̄) + triu(Ū Uᵀ)) U⁻ᵀ, where Φ takes what is below the diagonal.

    Examples
    --------
    >>> import symad as sm
    >>> p, l, u = sm.linalg.lu(sm.constant([[1.0, 3.0], [2.0, 4.0]]))
    >>> u.eval()
    array([[2., 4.],
           [0., 1.]])
    """
    factors = apply(LU(), as_node(a))
    p, lower, upper = (structure_item(factors, key) for key in range(3))
    return (p @ lower, upper) if permute_l else LUResult(p, lower, upper)


@explained
def cho_factor(a: Operand, lower: bool = False) -> tuple[Node, bool]:
    """Return a Cholesky factor of a symmetric positive definite matrix, for :func:`cho_solve`.

    Parameters
    ----------
    a : (..., n, n) node or array
        Only the lower triangle is read.
    lower : bool
        Whether the factor is the lower triangular L of A = L Lᵀ, or the upper triangular Lᵀ.

    Returns
    -------
    factor : (..., n, n) Node
        Unlike SciPy's, its other triangle is 0.
    lower : bool

    Raises
    ------
    ShapeError
        If ``a`` is not square.
    EvaluationError
        If ``a`` is not positive definite, when values are fed.

    Examples
    --------
    >>> import symad as sm
    >>> factor, lower = sm.linalg.cho_factor(sm.constant([[4.0, 2.0], [2.0, 5.0]]))
    >>> factor.eval()
    array([[2., 1.],
           [0., 2.]])
    """
    factor = cholesky(a)
    return (factor, True) if lower else (factor.mT, False)


@explained
def cho_solve(factor_and_lower: tuple[Operand, bool], b: Operand) -> Node:
    """Solve ``a @ x = b`` with the factor of ``a`` that :func:`cho_factor` returns.

    Parameters
    ----------
    factor_and_lower : pair of node or array, and bool
        A triangular factor, and whether it is the lower one.
    b : (n,) or (..., n, k) node or array

    Returns
    -------
    (n,) or (..., n, k) Node

    Raises
    ------
    ShapeError
        If the sizes do not fit.

    Examples
    --------
    >>> import symad as sm
    >>> a = sm.constant([[4.0, 2.0], [2.0, 5.0]])
    >>> sm.linalg.cho_solve(sm.linalg.cho_factor(a), [8.0, 12.0]).eval()
    array([1., 2.])
    """
    factor, is_lower = factor_and_lower
    given = as_node(factor)
    lower = given if is_lower else given.mT
    return solve_triangular(lower.mT, solve_triangular(lower, b, lower=True))


@explained
def solve_banded(l_and_u: tuple[int, int], ab: Operand, b: Operand) -> Node:
    """Solve ``a @ x = b`` for a matrix of which a few diagonals are given; the others are 0.

    This is ``scipy.linalg.solve_banded``, except that symad solves with the whole matrix.

    Parameters
    ----------
    l_and_u : pair of int
        The numbers of diagonals below and above the main one.
    ab : (l + u + 1, n) node or array
        The diagonals in rows, the highest first: the element of row i and column j of ``a`` is in
        row u + i − j and column j.
    b : (n,) or (n, k) node or array

    Returns
    -------
    (n,) or (n, k) Node

    Raises
    ------
    ShapeError
        If the sizes do not fit.
    EvaluationError
        If the matrix is singular, when values are fed.

    Examples
    --------
    >>> import symad as sm
    >>> ab = sm.constant([[0.0, 1.0], [2.0, 4.0]])  # the matrix [[2, 1], [0, 4]]
    >>> sm.linalg.solve_banded((0, 1), ab, [4.0, 8.0]).eval()
    array([1., 2.])
    """
    below, above = l_and_u
    bands, right = as_nodes(ab, b)
    rows = below + above + 1
    with reporting("solve_banded", bands, right):
        count = axis_size(bands, 0)
        if bands.ndim not in (2, None) or (isinstance(count, int) and count != rows):
            raise ShapeError(f"the diagonals must be a matrix of {rows} rows, not {bands.type}")
    columns = arange(axis_size(bands, 1))
    offsets = expand_dims(columns, 1) - columns
    inside = logical_and(offsets >= -above, offsets <= below)
    places = where(inside, offsets + above, 0)
    return solve(where(inside, index_array(bands, (places, columns)), 0), right)


@explained
def solve_sylvester(a: Operand, b: Operand, q: Operand) -> Node:
    """Solve Sylvester's equation ``a @ x + x @ b = q``.

    This is ``scipy.linalg.solve_sylvester``.

    Parameters
    ----------
    a : (m, m) node or array
    b : (n, n) node or array
    q : (m, n) node or array

    Returns
    -------
    (m, n) Node

    Raises
    ------
    ShapeError
        If the sizes do not fit, or there are stacks of matrices.
    EvaluationError
        If an eigenvalue of ``a`` is the negative of one of ``b``, when values are fed.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[1.0, 0.0], [0.0, 2.0]]), [[1.0]]
    >>> sm.linalg.solve_sylvester(a, b, [[4.0], [6.0]]).eval()
    array([[2.],
           [2.]])
    """
    return apply(SolveSylvester(), *as_nodes(a, b, q))


class LstsqResult(NamedTuple):
    """What :func:`lstsq` returns, in NumPy's order."""

    x: Node
    residuals: Node
    rank: Node
    s: Node


@explained
def lstsq(a: Operand, b: Operand, rcond: Operand | None = None) -> LstsqResult:
    """Return the shortest x with the least ‖a x − b‖, and what is known about it.

    Parameters
    ----------
    a : (m, n) node or array
    b : (m,) or (m, k) node or array
    rcond : float or node, optional
        Singular values up to this fraction of the largest count as 0; by default, max(m, n) times
        the precision of the dtype, and the precision itself if it is not between 0 and 1.

    Returns
    -------
    x : (n,) or (n, k) Node
    residuals : (1,) or (k,) Node
        Σ (a x − b)², empty if m ≤ n is known.  Unlike NumPy's, they are also there for matrices
        whose rank is less than n.
    rank : integer Node
    s : Node
        The singular values of ``a``.

    Raises
    ------
    ShapeError
        If the operands are not matrices, or vectors, of the same number of rows.

    Notes
    -----
    x = a⁺ b: see :func:`pinv` for derivatives.

    Examples
    --------
    >>> import symad as sm
    >>> a = sm.constant([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> sm.linalg.lstsq(a, [1.0, 3.0, 5.0]).x.eval().round(9)
    array([1., 2.])
    """
    left, right = (as_floats(node) for node in as_nodes(a, b))
    with reporting("lstsq", left, right):
        if left.ndim not in (2, None) or right.ndim not in (1, 2, None):
            raise ShapeError("lstsq needs one matrix, and one or two axes on the right")
    cutoff = None if rcond is None else _cutoff(as_node(rcond, left), left.dtype)
    x = pinv(left, rtol=cutoff) @ right
    m, n = axis_size(left, 0), axis_size(left, 1)
    residuals = sum_of(square(to_columns(left @ x - right, right)), 0)
    if isinstance(m, int) and isinstance(n, int) and m <= n:
        residuals = residuals[:0]
    rank = cast(matrix_rank(left, rtol=cutoff), "int32")
    return LstsqResult(x, residuals, rank, svdvals(left))


def _cutoff(rcond: Node, dtype: np.dtype[Any]) -> Node:
    """Return ``rcond`` if it is a fraction, else the precision of ``dtype``, as LAPACK does."""
    eps = float(np.finfo(dtype).eps)
    return where(logical_and(rcond > 0, rcond < 1), cast(rcond, dtype), eps)


@explained
def block_diag(*arrays: Operand) -> Node:
    """Return a matrix with the given matrices along its diagonal, and zeros elsewhere.

    This is ``scipy.linalg.block_diag``.

    Parameters
    ----------
    *arrays : nodes, numbers or arrays
        A vector counts as a matrix with one row, a number as one with one element.

    Raises
    ------
    ShapeError
        If one has more than two axes, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.block_diag(sm.constant([[1.0, 2.0]]), 3.0).eval()
    array([[1., 2., 0.],
           [0., 0., 3.]])
    """
    blocks = [_as_matrix(as_node(x)) for x in arrays or ([[]],)]
    before = [*accumulate([axis_size(block, 1) for block in blocks], initial=0)]
    rows = []
    for block, left, right in zip(blocks, before, before[1:], strict=False):
        sides = [zeros((axis_size(block, 0), n), block.dtype) for n in (left, before[-1] - right)]
        rows.append(concat([sides[0], block, sides[1]], 1))
    return concat(rows, 0) if len(rows) > 1 else blocks[0]


def _as_matrix(x: Node) -> Node:
    rank = known_rank("block_diag", x)
    if rank > 2:
        with reporting("block_diag", x):
            raise ShapeError(f"a block is a matrix, not an array of {rank} axes")
    return expand_dims(x, tuple(range(2 - rank))) if rank < 2 else x


@explained
def multi_dot(arrays: Sequence[Operand]) -> Node:
    """Return the product of several matrices; symad computes it in the cheapest order.

    Parameters
    ----------
    arrays : sequence of nodes or arrays
        At least two matrices; the first and the last may be vectors.

    Raises
    ------
    GraphTypeError
        If there are fewer than two.
    ShapeError
        If the sizes do not fit.

    Notes
    -----
    This is ``a @ b @ c``: compiling orders all chains of products once sizes are known.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([[0.0, 1.0], [1.0, 0.0]])
    >>> sm.linalg.multi_dot([a, b, [1.0, 1.0]]).eval()
    array([3., 7.])
    """
    nodes = [as_node(x) for x in arrays]
    with reporting("multi_dot", *nodes):
        if len(nodes) < 2:
            raise GraphTypeError(f"a product needs at least two matrices, not {len(nodes)}")
    product = nodes[0]
    for node in nodes[1:]:
        product = matmul(product, node)
    return product


@explained
def cond(a: Operand, p: Any = None) -> Node:
    """Return the condition numbers of matrices: how much solving with them magnifies errors.

    Parameters
    ----------
    a : (..., m, n) node or array
    p : {None, 1, 2, inf, -1, -2, -inf, "fro", "nuc"}
        The order of the norm; see :func:`norm`.  By default 2: the largest over the smallest
        singular value.

    Returns
    -------
    (...) Node
        Infinite for a matrix of zeros.

    Raises
    ------
    GraphTypeError
        If there is no such norm.
    ShapeError
        If ``a`` has fewer than two axes, or is not square and p is neither None, 2 nor -2.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.cond(sm.constant([[2.0, 0.0], [0.0, 8.0]])).eval()
    np.float64(4.0)
    """
    node, axes = as_node(a), (-2, -1)
    if p in (None, 2):
        result = norm(node, 2, axes) / norm(node, -2, axes)
    elif p == -2:
        result = norm(node, -2, axes) / norm(node, 2, axes)
    else:
        result = norm(node, p, axes) * norm(inv(node), p, axes)
    is_zero = logical_and(isnan(result), all_true(equal(node, node), axes))  # 0 / 0
    return where(is_zero, np.inf, result)


@explained
def tensorsolve(a: Operand, b: Operand, axes: Any = None) -> Node:
    """Solve the system ``tensordot(a, x, x.ndim) = b`` for an array x.

    Parameters
    ----------
    a : node or array
        Its first axes are those of ``b``, the others those of x, with as many elements.
    b : node or array
    axes : sequence of int, optional
        Axes of ``a`` that are first moved to its end.

    Raises
    ------
    ShapeError
        If the sizes do not fit, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> a = sm.constant([[[1.0, 0.0]], [[0.0, 2.0]]])
    >>> sm.linalg.tensorsolve(a, [[3.0], [8.0]]).eval()
    array([3., 4.])
    """
    left, right = as_nodes(a, b)
    rank, kept = known_rank("tensorsolve", left), known_rank("tensorsolve", right)
    if axes is not None:
        left = moveaxis(left, tuple(axes), tuple(range(rank - len(axes), rank)))
    flat = ravel(right)
    size = axis_size(flat, 0)
    return reshape(solve(reshape(left, (size, size)), flat), left.shape[kept:])


@explained
def tensorinv(a: Operand, ind: int = 2) -> Node:
    """Return the inverse of ``tensordot(a, x, ind)``: ``tensordot(tensorinv(a), b, ind)`` is x.

    Parameters
    ----------
    a : node or array
        With as many elements along its first ``ind`` axes as along the others.
    ind : int

    Raises
    ------
    GraphTypeError
        If ``ind`` is not positive.
    ShapeError
        If the sizes do not fit, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.tensorinv(sm.constant([[2.0, 0.0], [0.0, 4.0]]), ind=1).eval()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    node = as_node(a)
    known_rank("tensorinv", node, 1)
    with reporting("tensorinv", node):
        if ind <= 0:
            raise GraphTypeError(f"ind is {ind}, but must be positive")
    first, last = node.shape[:ind], node.shape[ind:]
    size: Any = 1
    for part in first:
        size = size * part
    return reshape(inv(reshape(node, (size, -1))), (*last, *first))


@explained
def toeplitz(c: Operand, r: Operand | None = None) -> Node:
    """Return the matrix with constant diagonals, from its first column and its first row.

    This is ``scipy.linalg.toeplitz``.

    Parameters
    ----------
    c : (m,) node or array
        The first column.
    r : (n,) node or array, optional
        The first row, whose first element is not read; by default ``c``.

    Returns
    -------
    (m, n) Node

    Raises
    ------
    ShapeError
        If an operand is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.toeplitz(sm.constant([1.0, 2.0, 3.0]), [0.0, 5.0]).eval()
    array([[1., 5.],
           [2., 1.],
           [3., 2.]])
    """
    column, row = as_nodes(c, c if r is None else r)
    with reporting("toeplitz", column, row):
        if column.ndim not in (1, None) or row.ndim not in (1, None):
            raise ShapeError("a column and a row are vectors", remedy="Flatten them: x.ravel().")
    offsets = expand_dims(arange(axis_size(column, 0)), 1) - arange(axis_size(row, 0))
    below = take(column, where(offsets > 0, offsets, 0))
    return where(offsets >= 0, below, take(row, where(offsets < 0, -offsets, 0)))


@explained
def eig(a: Operand) -> NoReturn:
    """Refuse ``np.linalg.eig(node)``: its results may be complex."""
    _refuse("eig", a)


@explained
def eigvals(a: Operand) -> NoReturn:
    """Refuse ``np.linalg.eigvals(node)``: its results may be complex."""
    _refuse("eigvals", a)


def _refuse(name: str, a: Operand) -> NoReturn:
    node = as_node(a)
    with reporting(name, node):
        raise GraphTypeError(
            "the eigenvalues of a general real matrix may be complex, and symad has no complex "
            "numbers",
            remedy="For a symmetric matrix, use sm.linalg.eigh or eigvalsh; svdvals gives singular "
            "values.",
        )


for function in (
    expm, sqrtm, lu, cho_factor, cho_solve, solve_banded, solve_sylvester, lstsq, block_diag,
    multi_dot, cond, tensorsolve, tensorinv, toeplitz, eig, eigvals,
):  # fmt: skip
    register(function, f"linalg.{function.__name__}")
