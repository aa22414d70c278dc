"""The gamma and beta functions, binomial coefficients, and incomplete and zeta functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.op import explained, resolve
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.ops.adjoint import zeros_like
from symad.ops.arithmetic import power
from symad.ops.base import Elementwise, Operand, Unary, as_nodes, register
from symad.ops.comparison import equal, minimum, where
from symad.ops.exponential import exp
from symad.ops.special import digamma, gammaln, polygamma
from symad.ops.special_logarithms import xlog1py, xlogy
from symad.ops.special_series import reals_of, refused, scipy_dtype

_POLES = "The gamma function has poles at 0, -1, -2, ..."


class Gamma(Unary):
    """Return the gamma function of ``x``, element by element; its derivative is Γ·ψ.

    It is infinite at 0, and NaN at -1, -2, ..., as in SciPy.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.gamma(sm.constant([0.5, 5.0])).eval()
    array([ 1.77245385, 24.        ])
    """

    name = "gamma"
    has_poles = True
    domain = _POLES
    operations = SPECIAL
    numpy = "scipy.special.gamma"
    latex = r"\Gamma({0})"
    chain = (lambda v, y, x: v * (y * digamma(x)),)
    samples = (
        Sample(lambda x: gamma(x), [reals(3, 2, low=0.4, high=5.0)], np.vectorize(math.gamma)),
        Sample(lambda x: gamma(x), [fixed([-0.5, -1.6])], np.vectorize(math.gamma), label="x < 0"),
        Sample(
            lambda n: gamma(n), [integers(3, low=1)],
            lambda n: np.vectorize(math.gamma)(n * 1.0), label="integer",
        ),
        special_points(
            lambda x: gamma(x), [fixed([0.0, -0.0, -1.0, 171.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array(
                [np.inf, -np.inf, np.nan, resolve("scipy.special.gamma")(x)[3], np.inf]
                + 2 * [np.nan], x.dtype
            ),
        ),
    )  # fmt: skip


class GammaSgn(Unary):
    """Return the sign of the gamma function, element by element; its derivative is 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.gammasgn(sm.constant([2.5, -0.5, -1.5])).eval()
    array([ 1., -1.,  1.])
    """

    name = "gammasgn"
    operations = 3
    numpy = "scipy.special.gammasgn"
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: gammasgn(x) * x, [fixed([2.5, -0.5, -1.5])], lambda x: x * [1, -1, 1]),
        special_points(
            lambda x: gammasgn(x), [fixed([0.0, -0.0, -1.0, np.inf, np.nan])],
            lambda x: np.array([1.0, -1.0, np.nan, 1.0, np.nan], x.dtype),
        ),
    )  # fmt: skip


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
_SHIFT = 10
"""From here on, asymptotic series with these Bernoulli numbers B₂, B₄, ... are exact enough."""


def _series(n: int) -> list[tuple[float, int]]:
    """Return c, m of the terms c/xᵐ in (-1)ⁿ⁺¹ ψ⁽ⁿ⁾(x); see DLMF 5.15.8.  ψ has ln x as well."""
    even = [
        (number * math.factorial(k + n - 1) / math.factorial(k), k + n)
        for k, number in zip(range(2, 16, 2), _BERNOULLI, strict=True)
    ]
    first = [(float(math.factorial(n - 1)), n)] if n else []
    return [*first, (math.factorial(n) / 2, n + 1), *even]


def _step(a: Any, b: Any, n: int) -> Any:
    """Add up ψ⁽ⁿ⁾(a + b) - ψ⁽ⁿ⁾(a) for positive a and a + b: no difference cancels."""
    sign = (-1.0) ** (n + 1)
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    for k in range(_SHIFT):  # ψ⁽ⁿ⁾(x) = ψ⁽ⁿ⁾(x + 1) + (-1)ⁿ⁺¹ n!/xⁿ⁺¹
        power = np.expm1(-(n + 1) * np.log1p(b / (a + k))) / (a + k) ** (n + 1.0)
        total += sign * math.factorial(n) * power
    low = a + _SHIFT
    growth = np.log1p(b / low)
    for coefficient, m in _series(n):
        total += sign * coefficient * np.expm1(-m * growth) * low ** float(-m)
    return total + growth if n == 0 else total


def _polygamma_step(a: Any, b: Any, n: int) -> Any:
    dtype = scipy_dtype(a.dtype, b.dtype)
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    regular = (a > 0) & (a + b > 0) & np.isfinite(b)
    polygamma = resolve("scipy.special.polygamma")
    difference = polygamma(n, a + b) - polygamma(n, a)
    step = _step(np.where(regular, a, 1.0), np.where(regular, b, 0.0), n)
    return np.where(regular, step, difference).astype(dtype)[()]


class PolygammaStep(Elementwise):
    """ψ⁽ⁿ⁾(a + b) - ψ⁽ⁿ⁾(a), with all digits where b is small beside a.

    For n = 0 it is the derivative of ln Γ(a + b) - ln Γ(a) by a.  Where a or a + b is not positive,
    it is computed as a difference.
    """

    n: int

    name = "polygamma_step"
    in_expressions = False
    has_poles = True
    domain = "The digamma function has poles at 0, -1, -2, ..."
    operations = 2 * SPECIAL
    numpy = staticmethod(_polygamma_step)
    latex = r"(\psi^{{({op.n})}}({0} + {1}) - \psi^{{({op.n})}}({0}))"
    chain = (
        lambda v, y, a, b: v * apply(PolygammaStep(y.op.n + 1), a, b),
        lambda v, y, a, b: v * polygamma(y.op.n + 1, a + b),
    )
    samples = (
        Sample(
            lambda a, b: digamma_step(a, b), [reals(3, 1, low=0.4, high=15.0), reals(2, low=-0.3)],
            lambda a, b: resolve("scipy.special.psi")(a + b) - resolve("scipy.special.psi")(a),
        ),
        Sample(lambda a: digamma_step(a, 1.0), [reals(3, low=0.3)], lambda a: 1 / a, label="by 1"),
        special_points(
            lambda a, b: digamma_step(a, b),
            [fixed([1e8, -0.5, 1.0, np.inf, np.nan]), fixed([1.0, 1.0, 0.0, 1.0, 1.0])],
            lambda a, b: np.array([1e-8, -2.0, 0.0, 0.0, np.nan], a.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


def digamma_step(a: Operand, b: Operand) -> Node:
    """Return ψ(a + b) - ψ(a) with all digits."""
    return apply(PolygammaStep(0), *as_nodes(a, b))


class OfPair(Elementwise):
    """A function of two symmetric parameters."""

    def __call__(self, a: Operand, b: Operand) -> Node:
        return apply(self, *as_nodes(a, b))


class Beta(OfPair):
    """Return the beta function Γ(a)·Γ(b) / Γ(a + b), element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.beta(sm.constant(2.0), 3.0).eval()
    np.float64(0.0833333333)
    """

    name = "beta"
    has_poles = True
    domain = _POLES
    commutative = True
    operations = SPECIAL
    numpy = "scipy.special.beta"
    latex = r"\mathrm{{B}}({0}, {1})"
    chain = (
        lambda v, y, a, b: -(v * (y * digamma_step(a, b))),
        lambda v, y, a, b: -(v * (y * digamma_step(b, a))),
    )
    samples = (
        Sample(
            lambda a, b: beta(a, b), [reals(3, 1, low=0.4, high=4.0), reals(2, low=0.4)],
            np.vectorize(lambda a, b: math.gamma(a) * math.gamma(b) / math.gamma(a + b)),
        ),
        special_points(
            lambda a, b: beta(a, b), [fixed([0.0, 1.0, np.nan]), fixed([1.0, np.inf, 1.0])],
            lambda a, b: np.array([np.inf, 0.0, np.nan], a.dtype),
        ),
    )  # fmt: skip


class BetaLn(OfPair):
    """Return ln(abs(B(a, b))), the logarithm of the beta function, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.betaln(sm.constant(200.0), 300.0).eval()
    np.float64(-337.9801130655)
    """

    name = "betaln"
    has_poles = True
    domain = _POLES
    commutative = True
    operations = SPECIAL
    numpy = "scipy.special.betaln"
    latex = r"\ln \mathrm{{B}}({0}, {1})"
    chain = (
        lambda v, y, a, b: -(v * digamma_step(a, b)),
        lambda v, y, a, b: -(v * digamma_step(b, a)),
    )
    samples = (
        Sample(
            lambda a, b: betaln(a, b), [reals(3, 1, low=0.4, high=4.0), reals(2, low=0.4)],
            np.vectorize(lambda a, b: math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)),
        ),
        special_points(
            lambda a, b: betaln(a, b), [fixed([0.0, 1.0, np.nan]), fixed([1.0, np.inf, 1.0])],
            lambda a, b: np.array([np.inf, -np.inf, np.nan], a.dtype),
        ),
    )  # fmt: skip


class Poch(Elementwise):
    """Return the rising factorial Γ(z + m) / Γ(z), element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.poch(sm.constant(3.0), 2.0).eval()  # 3·4
    np.float64(12.0)
    """

    name = "poch"
    has_poles = True
    domain = _POLES
    operations = SPECIAL
    numpy = "scipy.special.poch"
    latex = r"({0})_{{{1}}}"
    chain = (
        lambda v, y, z, m: v * (y * digamma_step(z, m)),
        lambda v, y, z, m: v * (y * digamma(z + m)),
    )
    samples = (
        Sample(
            lambda z, m: poch(z, m), [reals(3, 1, low=0.4, high=4.0), reals(2, low=-0.3)],
            np.vectorize(lambda z, m: math.gamma(z + m) / math.gamma(z)),
        ),
        special_points(
            lambda z, m: poch(z, m), [fixed([3.0, 0.5, np.nan]), fixed([2.0, 0.0, 1.0])],
            lambda z, m: np.array([12.0, 1.0, np.nan], z.dtype),
        ),
    )  # fmt: skip

    def __call__(self, z: Operand, m: Operand) -> Node:
        return apply(self, *as_nodes(z, m))


class Binom(Elementwise):
    """Return the binomial coefficient of real numbers, n over k, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.binom(sm.constant(5.0), [2.0, 2.5]).eval()
    array([10.        , 10.86497745])
    """

    name = "binom"
    has_poles = True
    domain = "Binomial coefficients are infinite or NaN at n = -1, -2, ..."
    operations = SPECIAL
    numpy = "scipy.special.binom"
    latex = r"\binom{{{0}}}{{{1}}}"
    chain = (
        lambda v, y, n, k: v * (y * digamma_step(n - k + 1, k)),
        lambda v, y, n, k: v * (y * digamma_step(k + 1, n - 2 * k)),
    )
    samples = (
        Sample(
            lambda n, k: binom(n, k), [reals(3, 1, low=4.0, high=6.0), reals(2, low=0.4)],
            np.vectorize(
                lambda n, k: math.gamma(n + 1) / math.gamma(k + 1) / math.gamma(n - k + 1)
            ),
        ),
        Sample(
            lambda n, k: binom(n, k), [integers(3, low=0), integers(2, 1, low=0)],
            lambda n, k: np.vectorize(math.comb)(n, k) * 1.0, label="integer",
        ),
    )  # fmt: skip

    def __call__(self, n: Operand, k: Operand) -> Node:
        return apply(self, *as_nodes(n, k))


def gamma_density(a: Node, x: Node) -> Node:
    """Return x^(a-1) e^(-x) / Γ(a), the derivative of gammainc by ``x``.

    A power has its derivatives at 0 as well, where the logarithm is infinite.
    """
    log_gamma = gammaln(a)
    small = power(x, a - 1) * exp(-x - log_gamma)
    return where(x < 1, small, exp(xlogy(a - 1, x) - x - log_gamma))


def beta_density(a: Node, b: Node, x: Node) -> Node:
    """Return x^(a-1) (1 - x)^(b-1) / B(a, b), the derivative of betainc by ``x``.

    Powers have their derivatives at 0 and 1 as well, where the logarithms are infinite; if 1/B
    overflows, one of the powers and its slope are 0 there.
    """
    log_beta = betaln(a, b)
    finite = exp(minimum(-log_beta, math.log(np.finfo(log_beta.dtype).max)))
    at_end = power(x, a - 1) * power(1 - x, b - 1) * finite
    inside = exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - log_beta)
    return where(equal(x * (1 - x), 0), at_end, inside)


class OfShape(Elementwise):
    """A function of x with the shape a."""

    def __call__(self, a: Operand, x: Operand) -> Node:
        return apply(self, *as_nodes(a, x))


class GammaInc(OfShape):
    """Return the regularised lower incomplete gamma function P(a, x), element by element.

    d/dx = x^(a-1) e^(-x) / Γ(a).  A derivative with respect to ``a`` is refused: no formula in
    known functions exists.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> p = sm.special.gammainc(1.0, x)
    >>> [node.eval({x: 2.0}) for node in (p, sm.gradients(p, x))]
    [np.float64(0.8646647168), np.float64(0.1353352832)]
    """

    name = "gammainc"
    sign = "nonnegative"
    domain = "P(a, x) is defined for a ≥ 0 and x ≥ 0."
    operations = 2 * SPECIAL
    numpy = "scipy.special.gammainc"
    latex = r"P({0}, {1})"
    chain = (refused("gammainc", "a"), lambda v, y, a, x: v * gamma_density(a, x))
    samples = (
        Sample(lambda x: gammainc(1.0, x), [reals(3, 2, low=0.3)], lambda x: -np.expm1(-x)),
        Sample(lambda x: gammainc([[0.5], [2.5]], x), [reals(3, low=0.3)], label="broadcast"),
        special_points(
            lambda a, x: gammainc(a, x),
            [fixed([1.0, 1.0, 1.0, 1.0, -1.0]), fixed([0.0, np.inf, -1.0, np.nan, 1.0])],
            lambda a, x: np.array([0.0, 1.0, np.nan, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


class GammaIncC(OfShape):
    """Return the regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), accurately.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.gammaincc(1.0, sm.constant(100.0)).eval()
    np.float64(3.7200759760e-44)
    """

    name = "gammaincc"
    sign = "nonnegative"
    domain = "Q(a, x) is defined for a ≥ 0 and x ≥ 0."
    operations = 2 * SPECIAL
    numpy = "scipy.special.gammaincc"
    latex = r"Q({0}, {1})"
    chain = (refused("gammaincc", "a"), lambda v, y, a, x: -(v * gamma_density(a, x)))
    samples = (
        Sample(lambda x: gammaincc(1.0, x), [reals(3, 2, low=0.3)], lambda x: np.exp(-x)),
        Sample(lambda x: gammaincc([[0.5], [2.5]], x), [reals(3, low=0.3)], label="broadcast"),
        special_points(
            lambda a, x: gammaincc(a, x),
            [fixed([1.0, 1.0, 1.0, 1.0, -1.0]), fixed([0.0, np.inf, -1.0, np.nan, 1.0])],
            lambda a, x: np.array([1.0, 0.0, np.nan, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


class GammaIncInv(Elementwise):
    """Return the x with P(a, x) = y, element by element: the inverse of :func:`gammainc`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.gammaincinv(1.0, sm.constant(0.5)).eval()  # ln 2
    np.float64(0.6931471806)
    """

    name = "gammaincinv"
    sign = "nonnegative"
    has_poles = True
    domain = "The inverse of P(a, x) is defined from 0 to 1, and infinite at 1."
    operations = 4 * SPECIAL
    numpy = "scipy.special.gammaincinv"
    chain = (refused("gammaincinv", "a"), lambda v, x, a, y: v / gamma_density(a, x))
    samples = (
        Sample(
            lambda y: gammaincinv(1.0, y), [reals(3, 2, low=0.1, high=0.9)], lambda y: -np.log1p(-y)
        ),
        Sample(
            lambda y: gammaincinv([[0.5], [2.5]], y), [reals(3, low=0.1, high=0.9)],
            label="broadcast",
        ),
        special_points(
            lambda a, y: gammaincinv(a, y),
            [fixed([1.0, 1.0, 1.0, 1.0]), fixed([0.0, 1.0, 1.5, np.nan])],
            lambda a, y: np.array([0.0, np.inf, np.nan, np.nan], y.dtype),
        ),
    )  # fmt: skip

    def __call__(self, a: Operand, y: Operand) -> Node:
        return apply(self, *as_nodes(a, y))


class BetaInc(Elementwise):
    """Return the regularised incomplete beta function I_x(a, b), element by element.

    d/dx = x^(a-1) (1 - x)^(b-1) / B(a, b).  Derivatives with respect to ``a`` and ``b`` are
    refused: no formula in known functions exists.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.betainc(2.0, 3.0, sm.constant(0.5)).eval()
    np.float64(0.6875)
    """

    name = "betainc"
    sign = "nonnegative"
    domain = "I_x(a, b) is defined for x from 0 to 1, and a, b > 0."
    operations = 2 * SPECIAL
    numpy = "scipy.special.betainc"
    latex = r"I_{{{2}}}({0}, {1})"
    chain = (
        refused("betainc", "a"),
        refused("betainc", "b"),
        lambda v, y, a, b, x: v * beta_density(a, b, x),
    )
    samples = (
        Sample(lambda x: betainc(2.0, 1.0, x), [reals(3, 2, low=0.1, high=0.9)], lambda x: x * x),
        Sample(
            lambda x: betainc([[0.5], [2.5]], 1.5, x), [reals(3, low=0.1, high=0.9)],
            label="broadcast",
        ),
        special_points(
            lambda x: betainc(2.0, 3.0, x), [fixed([0.0, 1.0, -0.5, 1.5, np.nan])],
            lambda x: np.array([0.0, 1.0, np.nan, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def __call__(self, a: Operand, b: Operand, x: Operand) -> Node:
        return apply(self, *as_nodes(a, b, x))


class BetaIncInv(Elementwise):
    """Return the x with I_x(a, b) = y, element by element: the inverse of :func:`betainc`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.betaincinv(2.0, 3.0, sm.constant(0.6875)).eval()
    np.float64(0.5)
    """

    name = "betaincinv"
    sign = "nonnegative"
    domain = "The inverse of I_x(a, b) is defined from 0 to 1."
    operations = 4 * SPECIAL
    numpy = "scipy.special.betaincinv"
    chain = (
        refused("betaincinv", "a"),
        refused("betaincinv", "b"),
        lambda v, x, a, b, y: v / beta_density(a, b, x),
    )
    samples = (
        Sample(
            lambda y: betaincinv(2.0, 1.0, y), [reals(3, 2, low=0.1, high=0.9)],
            lambda y: np.sqrt(y),
        ),
        Sample(
            lambda y: betaincinv([[0.5], [2.5]], 1.5, y), [reals(3, low=0.1, high=0.9)],
            label="broadcast",
        ),
    )  # fmt: skip

    def __call__(self, a: Operand, b: Operand, y: Operand) -> Node:
        return apply(self, *as_nodes(a, b, y))


def _zeta(x: Any, q: Any) -> Any:
    function = resolve("scipy.special.zeta")
    continued = (np.asarray(q) == 1) & (np.asarray(x) < 1)  # SciPy's ζ(x) has it, its ζ(x, q) not
    return np.where(continued, function(np.where(continued, x, 2)), function(x, q))[()]


class Zeta(Elementwise):
    """Hurwitz' zeta function: see :func:`zeta`."""

    name = "zeta"
    has_poles = True
    domain = "The zeta function is infinite at x = 1, and at q = 0, -1, -2, ..."
    operations = 2 * SPECIAL
    numpy = staticmethod(_zeta)
    latex = r"\zeta({0}, {1})"
    chain = (refused("zeta", "x"), lambda v, y, x, q: -(v * (x * apply(Zeta(), x + 1, q))))
    samples = (
        Sample(
            lambda q: zeta(2.0, q), [reals(3, 2, low=0.4)],
            lambda q: resolve("scipy.special.polygamma")(1, q), label="x = 2",
        ),
        Sample(lambda q: zeta([[1.5], [3.0]], q), [reals(3, low=0.4)], label="broadcast"),
        special_points(
            lambda x: zeta(x), [fixed([2.0, 1.0, np.inf, np.nan])],
            lambda x: np.array([np.pi**2 / 6, np.inf, 1.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


@explained
def zeta(x: Operand, q: Operand = 1.0) -> Node:
    """Return Σ 1/(k + q)ˣ over k = 0, 1, ..., element by element: Hurwitz' zeta function.

    For q = 1 this is Riemann's zeta function, also for x < 1.  d/dq = -x·ζ(x + 1, q); a derivative
    with respect to ``x`` is refused.

    Parameters
    ----------
    x : node, number or array
    q : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.zeta(sm.constant([2.0, -1.0])).eval()  # π²/6, -1/12
    array([ 1.64493407, -0.08333333])
    """
    return apply(Zeta(), *reals_of(x, q))


gamma: Unary = register(Gamma())
gammasgn: Unary = register(GammaSgn())
beta: OfPair = register(Beta())
betaln: OfPair = register(BetaLn())
poch: Poch = register(Poch())
binom: Binom = register(Binom())
gammainc: OfShape = register(GammaInc())
gammaincc: OfShape = register(GammaIncC())
gammaincinv: GammaIncInv = register(GammaIncInv())
betainc: BetaInc = register(BetaInc())
betaincinv: BetaIncInv = register(BetaIncInv())
register(zeta)
