"""Distributions of vectors."""

from __future__ import annotations

import math

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node
from symad.graph.op import call
from symad.ops.adjoint import cast, ones_like, zeros_like
from symad.ops.arithmetic import abs, square
from symad.ops.base import Operand, as_nodes
from symad.ops.comparison import where
from symad.ops.exponential import exp, log
from symad.ops.extremum import max
from symad.ops.factorisation import cholesky, eigvalsh
from symad.ops.linear_system import solve_triangular
from symad.ops.product import matmul
from symad.ops.pseudo_inverse import pinv
from symad.ops.reduce import sum
from symad.ops.shape import expand_dims
from symad.ops.special import gammaln
from symad.ops.special_logarithms import xlogy
from symad.ops.special_series import real
from symad.ops.triangle import diagonal
from symad.ops.truth import any


class multivariate_normal:
    """The normal distribution of vectors.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> y = sm.stats.multivariate_normal.logpdf(x, cov=[[2.0, 1.0], [1.0, 2.0]])
    >>> sm.gradients(y, x).eval({x: [3.0, 0.0]})
    array([-2.,  1.])
    """

    @staticmethod
    def logpdf(
        x: Operand,
        mean: Operand | None = None,
        cov: Operand = 1.0,
        allow_singular: bool = False,
    ) -> Node:
        """Return the logarithm of the density at each vector in ``x``.

        Parameters
        ----------
        x : (..., n) node or array
        mean : (n,) node or array, optional
            0 by default.
        cov : (n, n) node or array, vector or number
            The covariance: a positive definite matrix, its diagonal if it is diagonal, or a
            multiple of the identity.
        allow_singular : bool
            Whether a matrix may be singular: eigenvalues that are 0 up to rounding are left out,
            and so are their directions; the result is -inf for vectors that have a part in these.
            It is NaN if an eigenvalue is negative.

        Raises
        ------
        ShapeError
            If the number of axes of ``x`` or ``cov`` is not known.
        EvaluationError
            If the covariance is not positive definite, when values are fed.
        """
        rest, covariance = _centred(x, mean, cov)
        if allow_singular and covariance.ndim == 2:
            return _log_density_in_support(rest, covariance)
        squares, log_determinant = _whitened(rest, covariance)
        count = sum(ones_like(rest), -1)
        return -0.5 * (count * _LOG_2_PI + log_determinant + squares)

    @staticmethod
    def pdf(
        x: Operand,
        mean: Operand | None = None,
        cov: Operand = 1.0,
        allow_singular: bool = False,
    ) -> Node:
        """Return the density at each vector in ``x``: see :meth:`logpdf`.

        Parameters
        ----------
        x : (..., n) node or array
        mean : (n,) node or array, optional
        cov : (n, n) node or array, vector or number
        allow_singular : bool
        """
        return exp(multivariate_normal.logpdf(x, mean, cov, allow_singular))

    @staticmethod
    def entropy(mean: Operand | None = None, cov: Operand = 1.0) -> Node:
        """Return the differential entropy, ½ ln det(2πe cov).

        Parameters
        ----------
        mean : (n,) node or array, optional
            It only says how many elements a vector has, where a number is the covariance.
        cov : (n, n) node or array, vector or number
            As for :meth:`logpdf`.

        Raises
        ------
        ShapeError
            If the number of axes of ``mean`` or ``cov`` is not known.
        EvaluationError
            If the covariance is not positive definite, when values are fed.
        """
        vector, covariance = _centred(0.0, mean, cov)
        row = covariance if covariance.ndim != 2 else diagonal(covariance)
        vector = zeros_like(vector + row)
        vector = vector if vector.ndim else expand_dims(vector, 0)
        count = sum(ones_like(vector), -1)
        _, log_determinant = _whitened(vector, covariance)
        return 0.5 * (count * (_LOG_2_PI + 1) + log_determinant)


_LOG_2_PI = math.log(2 * math.pi)

_ZERO = {"float32": 1e3, "float64": 1e6}
"""By how many units of rounding of the largest an eigenvalue is 0: as SciPy has it."""


def _centred(x: Operand, mean: Operand | None, cov: Operand) -> tuple[Node, Node]:
    """Return ``x`` less the mean, and the covariance."""
    operands = as_nodes(x, 0.0 if mean is None else mean, cov)
    points, centre, covariance = (real(operand) for operand in operands)
    rest = points - centre
    if rest.ndim is None or covariance.ndim is None:
        raise ShapeError(
            "multivariate_normal needs the number of axes of x and cov",
            remedy='Declare them: sm.Variable("x", shape=("points", "n")).',
        )
    return rest, covariance


def _log_density_in_support(rest: Node, covariance: Node) -> Node:
    """Return the logarithm of the density on the space that the columns of a matrix span."""
    rounding = _ZERO[covariance.dtype.name] * float(np.finfo(covariance.dtype).eps)
    values = eigvalsh(covariance)
    least = rounding * max(abs(values))
    inside = values > least
    inverse = pinv(covariance, rtol=rounding)
    whitened = matmul(rest, inverse)
    log_determinant = sum(where(inside, log(where(inside, values, 1)), 0))
    rank = sum(cast(inside, covariance.dtype))
    value = -0.5 * (rank * _LOG_2_PI + log_determinant + sum(whitened * rest, -1))
    left = rest - matmul(whitened, covariance)
    beside = (sum(left * left, -1) >= square(1e3 * least)) & ~call("all", inside)
    return where(any(values < -least), np.nan, where(beside, -np.inf, value))


def _whitened(rest: Node, covariance: Node) -> tuple[Node, Node]:
    """Return restᵀ covariance⁻¹ rest of each vector, and the logarithm of the determinant."""
    if covariance.ndim != 2:
        squares = sum(rest * rest / covariance, -1)
        return squares, sum(log(covariance) * ones_like(rest), -1)
    factor = cholesky(covariance)
    columns = rest if rest.ndim == 1 else rest.mT
    whitened = solve_triangular(factor, columns, lower=True)
    squares = sum(whitened * whitened, -1 if rest.ndim == 1 else -2)
    return squares, 2 * sum(log(diagonal(factor)))


class dirichlet:
    """The Dirichlet distribution of shares that add up to 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.dirichlet.logpdf(sm.constant([0.2, 0.8]), [2.0, 3.0]).eval()
    np.float64(0.4291816347)
    """

    @staticmethod
    def logpdf(x: Operand, alpha: Operand) -> Node:
        """Return the logarithm of the density.

        Parameters
        ----------
        x : (k,) or (k, n) node or array
            The shares of one point, or of n points, one in each column.  The result is -inf where
            one is negative, or where they do not add up to 1, up to rounding.
        alpha : (k,) node or array
            All greater than 0; else the result is NaN.

        Raises
        ------
        ShapeError
            If the number of axes of ``x`` is not known.
        """
        shares, weights = (real(v) for v in as_nodes(x, alpha))
        if shares.ndim is None:
            raise ShapeError(
                "dirichlet needs the number of axes of x",
                remedy='Declare them: sm.Variable("x", shape=("k",)).',
            )
        columns = weights
        for _ in range(shares.ndim - 1):
            columns = expand_dims(columns, -1)
        log_beta = sum(gammaln(weights)) - gammaln(sum(weights))
        value = sum(xlogy(columns - 1, shares), 0) - log_beta
        rounding = math.sqrt(np.finfo(shares.dtype).eps)
        outside = any(shares < 0, 0) | (abs(sum(shares, 0) - 1) > rounding)
        return where(call("all", weights > 0), where(outside, -np.inf, value), np.nan)

    @staticmethod
    def pdf(x: Operand, alpha: Operand) -> Node:
        """Return the density: see :meth:`logpdf`.

        Parameters
        ----------
        x : (k,) or (k, n) node or array
        alpha : (k,) node or array
        """
        return exp(dirichlet.logpdf(x, alpha))
