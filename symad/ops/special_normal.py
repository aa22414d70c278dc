"""Functions of the normal distribution and of scaled error functions, accurate in the tails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.op import explained, resolve
from symad.graph.sample import Sample, fixed, reals, special_points
from symad.ops.base import Elementwise, Operand, Unary, register
from symad.ops.comparison import where
from symad.ops.exponential import exp
from symad.ops.special import erfc
from symad.ops.special_series import real, scipy_dtype

_ROOT_2PI = math.sqrt(2 * math.pi)
_TERMS = 90
"""How many terms the continued fraction of repeated integrals needs at its smallest argument."""


def _scaled_erfc(x: Any, n: int) -> Any:
    """Return e^(x²) iⁿerfc(x): by recurrence on n where it is stable, by ratios elsewhere."""
    erfcx = resolve("scipy.special.erfcx")
    dtype = np.asarray(x).dtype
    x = np.asarray(x, "float64")
    far = x > 1.5
    low, high = np.where(far, 0.0, x), np.where(far, x, 1.5)
    before, value = np.full_like(x, 2 / math.sqrt(math.pi)), erfcx(low)
    for k in range(1, n + 1):
        before, value = value, (before - 2 * low * value) / (2 * k)
    product, ratio = erfcx(high), 1 / (high + np.sqrt(high * high + 2 * (n + _TERMS)))
    for k in range(n + _TERMS - 1, 0, -1):  # ratio_k = iᵏerfc / iᵏ⁻¹erfc
        ratio = 1 / (2 * high + 2 * (k + 1) * ratio)
        product = product * ratio if k <= n else product
    return np.where(far, product, value).astype(scipy_dtype(dtype))[()]


class ScaledErfc(Elementwise):
    """e^(x²) iⁿerfc(x), with the n-th integral of the complementary error function, for n > 0.

    Its derivative is -2(n + 1) times that of n + 1 (DLMF 7.18): nothing cancels, to any order.
    """

    n: int

    name = "scaled_erfc"
    in_expressions = False
    sign = "nonnegative"
    operations = SPECIAL
    numpy = staticmethod(_scaled_erfc)
    text = "i{op.n}erfcx({0})"
    latex = r"e^{{({0})^2}} \, \mathrm{{i}}^{{{op.n}}} \operatorname{{erfc}}({0})"
    chain = (lambda v, y, x: v * (-2.0 * (y.op.n + 1) * apply(ScaledErfc(y.op.n + 1), x)),)
    samples = (
        Sample(
            lambda x: apply(ScaledErfc(1), x), [reals(3, 2)],
            lambda x: 1 / math.sqrt(math.pi)
            - x * np.exp(x * x) * np.vectorize(math.erfc)(x),
        ),
        Sample(lambda x: apply(ScaledErfc(2), x), [fixed([-3.0, 1.4, 1.6, 30.0])], label="order 2"),
        special_points(
            lambda x: apply(ScaledErfc(1), x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1 / math.sqrt(math.pi), 0.0, np.inf, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


class ErfcX(Unary):
    """Return e^(x²)·erfc(x), element by element, which does not underflow for large ``x``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.erfcx(sm.constant([0.0, 100.0])).eval()
    array([1.        , 0.00564161])
    """

    name = "erfcx"
    sign = "nonnegative"
    operations = SPECIAL
    numpy = "scipy.special.erfcx"
    chain = (lambda v, y, x: v * (-2.0 * apply(ScaledErfc(1), x)),)
    samples = (
        Sample(
            lambda x: erfcx(x), [reals(3, 2)],
            lambda x: np.exp(x * x) * np.vectorize(math.erfc)(x),
        ),
        special_points(
            lambda x: erfcx(x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1.0, 0.0, np.inf, np.nan], x.dtype),
        ),
    )  # fmt: skip


class ErfcInv(Unary):
    """Return the inverse of the complementary error function, element by element.

    It is inf at 0, -inf at 2 and NaN outside, and accurate near 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.erfc(sm.special.erfcinv(sm.constant(1e-100))).eval()
    np.float64(1e-100)
    """

    name = "erfcinv"
    has_poles = True
    domain = "The inverse of erfc is defined between 0 and 2, and infinite at these."
    operations = SPECIAL
    numpy = "scipy.special.erfcinv"
    latex = r"\operatorname{{erfc}}^{{-1}}({0})"
    chain = (lambda v, y, x: v * (-math.sqrt(math.pi) / 2 * exp(y * y)),)
    samples = (
        Sample(lambda x: erfcinv(x), [reals(3, 2, low=0.2, high=1.8)]),
        Sample(lambda x: erfcinv(erfc(x)), [reals(3)], lambda x: x, 1, "inverse"),
        special_points(
            lambda x: erfcinv(x), [fixed([1.0, 0.0, 2.0, -0.5, 2.5, np.nan])],
            lambda x: np.array([-0.0, np.inf, -np.inf, np.nan, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


@explained
def ndtr(x: Operand) -> Node:
    """Return the distribution function Φ of the standard normal distribution, element by element.

    It is accurate in the lower tail.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.ndtr(sm.constant([-10.0, 0.0])).eval()
    array([7.61985302e-24, 5.00000000e-01])
    """
    return 0.5 * erfc(-math.sqrt(0.5) * real(x))


def _hazard(x: Node) -> Node:
    """Return φ(x) / Φ(x), the derivative of ln Φ."""
    density = exp(-0.5 * x * x) / _ROOT_2PI
    tail = math.sqrt(2 / math.pi) / erfcx(-math.sqrt(0.5) * x)
    return where(x < 0, tail, density / ndtr(x))


class LogNdtr(Unary):
    """Return ln Φ(x), element by element, accurate in both tails, as are its derivatives.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.special.log_ndtr(x)
    >>> [node.eval({x: -1e4}) for node in (y, sm.gradients(y, x))]
    [np.float64(-50000010.13), np.float64(10000.0001)]
    """

    name = "log_ndtr"
    operations = SPECIAL
    numpy = "scipy.special.log_ndtr"
    latex = r"\ln \Phi({0})"
    chain = (lambda v, y, x: v * _hazard(x),)
    samples = (
        Sample(
            lambda x: log_ndtr(x), [reals(3, 2)],
            lambda x: np.log(0.5 * np.vectorize(math.erfc)(-x / math.sqrt(2))),
        ),
        Sample(lambda x: log_ndtr(x), [fixed([-30.0, -5.0, 0.0, 5.0])], label="tails"),
        special_points(
            lambda x: log_ndtr(x), [fixed([-np.inf, -1e10, np.inf, np.nan])],
            lambda x: np.array([-np.inf, -5e19, -0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip


class NdtrI(Unary):
    """Return the quantile function of the standard normal distribution, element by element.

    It is the inverse of :func:`ndtr`: -inf at 0, inf at 1 and NaN outside.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.ndtri(sm.constant([0.5, 0.975])).eval()
    array([0.        , 1.95996398])
    """

    name = "ndtri"
    has_poles = True
    domain = "The quantiles of a distribution are defined from 0 to 1."
    operations = SPECIAL
    numpy = "scipy.special.ndtri"
    latex = r"\Phi^{{-1}}({0})"
    chain = (lambda v, y, p: v * (_ROOT_2PI * exp(0.5 * y * y)),)
    samples = (
        Sample(lambda p: ndtri(p), [reals(3, 2, low=0.1, high=0.9)]),
        Sample(lambda x: ndtri(ndtr(x)), [reals(3)], lambda x: x, 1, "inverse"),
        special_points(
            lambda p: ndtri(p), [fixed([0.5, 0.0, 1.0, -0.5, 1.5, np.nan])],
            lambda p: np.array([0.0, -np.inf, np.inf, np.nan, np.nan, np.nan], p.dtype),
        ),
    )  # fmt: skip


erfcx: Unary = register(ErfcX())
erfcinv: Unary = register(ErfcInv())
log_ndtr: Unary = register(LogNdtr())
ndtri: Unary = register(NdtrI())
register(ndtr, in_expressions=True, numpy="special.ndtr")
