"""Special functions made of logarithms: x ln y, relative entropy, logit, Box-Cox."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.arithmetic import abs, power
from symad.ops.base import Binary, Elementwise, Operand, Unary, as_nodes, register
from symad.ops.comparison import equal, where
from symad.ops.exponential import exp, log, log1p
from symad.ops.special_series import hyp1f1, hyp2f1


def _or_zero(b: ScalarBuilder, x: Value, y: Value, value: Value) -> Value:
    """Return ``value``, but 0 where x is 0 and y is a number."""
    zero = b.constant(0, b.dtype(x))
    return b.select(b.logical_and(b.equal(x, zero), b.equal(y, y)), zero, value)


def _xlogy(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return _or_zero(b, x, y, b.multiply(x, b.call("log", y)))


def _xlog1py(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return _or_zero(b, x, y, b.multiply(x, b.call("log1p", y)))


class XLogY(Binary):
    """Return x·ln y, element by element, which is 0 where ``x`` is 0, at y = 0 too.

    d/dx = ln y, and d/dy = x/y, which is 0 where x is 0, at y = 0 too.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> z = sm.special.xlogy(x, y)
    >>> [node.eval({x: 0.0, y: 0.0}) for node in (z, sm.gradients(z, y))]
    [np.float64(0.0), np.float64(0.0)]
    """

    name = "xlogy"
    has_poles = True
    domain = "x ln y is infinite at y = 0 unless x = 0, and NaN for y < 0."
    operations = ELEMENTARY + 1
    numpy = "scipy.special.xlogy"
    element = _xlogy
    chain = (lambda v, z, x, y: v * log(y), lambda v, z, x, y: v * xdivy(x, y))
    samples = (
        Sample(
            lambda x, y: xlogy(x, y), [reals(3, 1), reals(2, low=0.3)], lambda x, y: x * np.log(y)
        ),
        Sample(lambda y: xlogy(0.0, y), [fixed([0.0, 2.0])], np.zeros_like, label="0 ln y"),
        Sample(lambda x: xlogy(x, 2.0), [fixed([0.0, 2.0])], lambda x: x * np.log(2), label="at 0"),
        Sample(
            lambda n, y: xlogy(n, y), [integers(3), reals(3, low=0.3)], lambda n, y: n * np.log(y),
            label="integer",
        ),
        special_points(
            lambda x, y: xlogy(x, y), [fixed([0.0, 0.0, 1.0, -1.0, 0.0, np.nan, 2.0, np.inf]),
                                       fixed([0.0, np.inf, 0.0, 0.0, np.nan, 1.0, -1.0, 2.0])],
            lambda x, y: np.array([0, 0, -np.inf, np.inf, np.nan, np.nan, np.nan, np.inf], x.dtype),
        ),
    )  # fmt: skip


class XLog1PY(Binary):
    """Return x·ln(1 + y), element by element, which is 0 where ``x`` is 0, at y = -1 too.

    It is accurate for small ``y``.  d/dy = x/(1 + y) is 0 where x is 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.xlog1py(sm.constant([0.0, 2.0]), [-1.0, 1e-20]).eval()
    array([0.e+00, 2.e-20])
    """

    name = "xlog1py"
    has_poles = True
    domain = "x ln(1 + y) is infinite at y = -1 unless x = 0, and NaN for y < -1."
    operations = ELEMENTARY + 1
    numpy = "scipy.special.xlog1py"
    element = _xlog1py
    chain = (lambda v, z, x, y: v * log1p(y), lambda v, z, x, y: v * xdivy(x, 1 + y))
    samples = (
        Sample(
            lambda x, y: xlog1py(x, y), [reals(3, 1), reals(2, low=-0.6)],
            lambda x, y: x * np.log(1 + y),
        ),
        Sample(lambda y: xlog1py(0.0, y), [fixed([-1.0, 2.0])], np.zeros_like, label="0 ln(1 + y)"),
        special_points(
            lambda x, y: xlog1py(x, y), [fixed([0.0, 1.0, 3.0, 0.0, np.nan, 2.0]),
                                         fixed([-1.0, -1.0, 1e-20, np.nan, 1.0, -2.0])],
            lambda x, y: np.array([0, -np.inf, 3e-20, np.nan, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


def _divide(x: Any, y: Any) -> Any:
    quotient = np.divide(x, y)
    return np.where((x == 0) & (y == y), quotient.dtype.type(0), quotient)


def _quotient(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return _or_zero(b, x, y, b.divide(x, y))


class XDivY(Binary):
    """x/y, which is 0 where x is 0, at y = 0 too: the derivative of x·ln y by y.

    d/dx = 1/y; d/dy = -(x/y)/y is 0 where x is 0.
    """

    name = "xdivy"
    in_expressions = False
    sign = "as inputs"
    has_poles = True
    domain = "x / y is infinite at y = 0 unless x = 0."
    numpy = staticmethod(_divide)
    element = _quotient
    text = "{0} / {1}"
    latex = r"\frac{{{0}}}{{{1}}}"
    precedence = 2
    counted_as = "multiplications"
    chain = (lambda v, z, x, y: v / y, lambda v, z, x, y: -(v * xdivy(z, y)))
    samples = (
        Sample(lambda x, y: xdivy(x, y), [reals(3, 1), reals(2, low=0.3)], lambda x, y: x / y),
        Sample(lambda x: xdivy(x, 2.0), [fixed([0.0, 3.0])], lambda x: x / 2, label="x = 0"),
        special_points(
            lambda x, y: xdivy(x, y),
            [fixed([0.0, 0.0, 1.0, 0.0, 0.0]), fixed([0.0, -2.0, 0.0, np.inf, np.nan])],
            lambda x, y: np.array([0.0, 0.0, np.inf, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def ufunc(self) -> np.ufunc | None:
        return np.divide  # of which it has the dtypes


def _log_ratio(x: Any, y: Any) -> Any:
    ratio = np.divide(x, y)
    near = np.abs(ratio - 0.75) < 0.5
    ordinary = (ratio > 0) & (ratio < np.inf)
    wide = np.where(ordinary, np.log(ratio), np.log(x) - np.log(y))
    return np.where(near, np.log1p(np.subtract(x, y, dtype=ratio.dtype) / y), wide)


class LogRatio(Binary):
    """ln(x/y), also where x and y are nearly equal, or their ratio is out of range."""

    name = "log_ratio"
    in_expressions = False
    has_poles = True
    domain = "ln(x/y) is defined for positive x and y."
    operations = ELEMENTARY + 2
    numpy = staticmethod(_log_ratio)
    latex = r"\ln \frac{{{0}}}{{{1}}}"
    chain = (lambda v, z, x, y: v / x, lambda v, z, x, y: -(v / y))
    samples = (
        Sample(
            lambda x, y: log_ratio(x, y), [reals(3, 1, low=0.3), reals(4, low=0.3)],
            lambda x, y: np.log(x) - np.log(y),
        ),
        special_points(
            lambda x, y: log_ratio(x, y),
            [fixed([0.0, 1.0, 1 + 2.0**-20, np.nan]), fixed([1.0, 0.0, 1.0, 1.0])],
            lambda x, y: np.array([-np.inf, np.inf, np.log1p(2.0**-20), np.nan], x.dtype),
        ),
    )  # fmt: skip

    def ufunc(self) -> np.ufunc | None:
        return np.divide  # of which it has the dtypes


_SHARES = fixed([0.0, 0.0, 1.0, -1.0, 2.0, np.nan, 0.0])
_OTHERS = fixed([0.0, 2.0, 0.0, 1.0, 2.0, 1.0, -1.0])


class RelEntr(Binary):
    """Return x·ln(x/y), element by element; 0 at x = 0, infinite where ``x`` or ``y`` is negative.

    Its sum over two distributions is their Kullback-Leibler divergence.  d/dx = ln(x/y) + 1 is
    -inf at x = 0; d/dy = -x/y.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sum(sm.special.rel_entr(sm.constant([0.5, 0.5]), [0.25, 0.75])).eval()
    np.float64(0.1438410362)
    """

    name = "rel_entr"
    has_poles = True
    domain = "The relative entropy is infinite for y = 0 < x, and for negative x or y."
    derivative_domain = "The derivative of x ln(x/y) at x = 0 is infinite."
    operations = ELEMENTARY + 3
    numpy = "scipy.special.rel_entr"
    chain = (
        lambda v, z, x, y: v * (log_ratio(x, y) + 1),
        lambda v, z, x, y: -(v * xdivy(x, y)),
    )
    samples = (
        Sample(
            lambda x, y: rel_entr(x, y), [reals(3, 1, low=0.3), reals(4, low=0.3)],
            lambda x, y: x * np.log(x / y),
        ),
        special_points(
            lambda x, y: rel_entr(x, y), [_SHARES, _OTHERS],
            lambda x, y: np.array([0, 0, np.inf, np.inf, 0, np.nan, np.inf], x.dtype),
        ),
    )  # fmt: skip


def _by_other(v: Node, z: Node, x: Node, y: Node) -> Node:
    """Return v·(1 - x/y), with all digits where x and y are nearly equal; 1 at x = y = 0."""
    return v * where(abs(x - y) < 0.5 * y, (y - x) / y, 1 - xdivy(x, y))


class KLDiv(Binary):
    """Return x·ln(x/y) - x + y, element by element; infinite where ``x`` or ``y`` is negative.

    d/dx = ln(x/y) is -inf at x = 0; d/dy = 1 - x/y.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.kl_div(sm.constant([0.0, 1.0]), 2.0).eval()
    array([2.        , 0.30685282])
    """

    name = "kl_div"
    has_poles = True
    domain = "x ln(x/y) - x + y is infinite for y = 0 < x, and for negative x or y."
    derivative_domain = "The derivative of x ln(x/y) - x + y at x = 0 is infinite."
    operations = ELEMENTARY + 5
    numpy = "scipy.special.kl_div"
    chain = (lambda v, z, x, y: v * log_ratio(x, y), _by_other)
    samples = (
        Sample(
            lambda x, y: kl_div(x, y), [reals(3, 1, low=0.3), reals(4, low=0.3)],
            lambda x, y: x * np.log(x / y) - x + y,
        ),
        special_points(
            lambda x, y: kl_div(x, y), [_SHARES, _OTHERS],
            lambda x, y: np.array([0, 2, np.inf, np.inf, 0, np.nan, np.inf], x.dtype),
        ),
    )  # fmt: skip


def _log_odds(b: ScalarBuilder, x: Value) -> Value:
    half, one = b.constant(0.5, b.dtype(x)), b.constant(1, b.dtype(x))
    far = b.call("log", b.divide(x, b.subtract(one, x)))
    middle = b.subtract(x, half)
    twice = b.add(middle, middle)
    near = b.subtract(b.call("log1p", twice), b.call("log1p", b.negate(twice)))
    quarter = b.constant(0.25, b.dtype(x))
    return b.select(b.less(b.call("fabs", middle), quarter), near, far)


class Logit(Unary):
    """Return ln(x / (1 - x)), element by element: the inverse of the sigmoid.

    It is -inf at 0, inf at 1 and NaN outside.  The derivative is 1/(x·(1 - x)).

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.logit(sm.constant([0.0, 0.5, 0.75, 1.0])).eval()
    array([      -inf, 0.        , 1.09861229,        inf])
    """

    name = "logit"
    has_poles = True
    domain = "The logit is defined between 0 and 1, and infinite at these: keep x inside."
    operations = ELEMENTARY + 2
    numpy = "scipy.special.logit"
    element = _log_odds
    chain = (lambda v, y, x: v / (x * (1 - x)),)
    samples = (
        Sample(
            lambda x: logit(x), [reals(3, 2, low=0.05, high=0.95)],
            lambda x: np.log(x) - np.log(1 - x),
        ),
        special_points(
            lambda x: logit(x), [fixed([0.0, 0.5, 1.0, -0.5, 1.5, np.inf, -np.inf, np.nan])],
            lambda x: np.array([-np.inf, 0, np.inf] + 5 * [np.nan], x.dtype),
        ),
    )  # fmt: skip


def _curve(log_x: Node, p: Node) -> Node:
    """Return the derivative of (e^(p ln x) - 1) / p by p, also at p = 0."""
    return 0.5 * log_x * log_x * hyp1f1(2.0, 3.0, p * log_x)


def _by_power(v: Node, y: Node, x: Node, p: Node) -> Node:
    return v * where(equal(x, 0), 1 / (p * p), _curve(log(x), p))


class OfPower(Elementwise):
    """A transform of x with a power."""

    def __call__(self, x: Operand, lmbda: Operand) -> Node:
        return apply(self, *as_nodes(x, lmbda))


class BoxCox(OfPower):
    """Return (x^p - 1) / p for the power p = ``lmbda``, element by element; ln x for p = 0.

    The derivatives are x^(p-1), and that by p, which is accurate near p = 0 too.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.boxcox(sm.constant(4.0), [0.0, 0.5]).eval()
    array([1.38629436, 2.        ])
    """

    name = "boxcox"
    has_poles = True
    domain = "The Box-Cox transform is defined for x > 0, and for x = 0 if p > 0."
    operations = 2 * ELEMENTARY
    numpy = "scipy.special.boxcox"
    chain = (lambda v, y, x, p: v * power(x, p - 1), _by_power)
    samples = (
        Sample(
            lambda x, p: boxcox(x, p), [reals(3, 1, low=0.3), fixed([-1.5, -1e-3, 0.5, 2.0])],
            lambda x, p: (x**p - 1) / p,
        ),
        Sample(lambda x, p: boxcox(x, p), [reals(3, low=0.3), fixed(0.0)], lambda x, p: np.log(x),
               label="p = 0"),
        special_points(
            lambda x, p: boxcox(x, p),
            [fixed([0.0, 0.0, 0.0, -1.0, np.nan]), fixed([2.0, 0.0, -1.0, 0.5, 1.0])],
            lambda x, p: np.array([-0.5, -np.inf, -np.inf, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


class BoxCox1P(OfPower):
    """Return ((1 + x)^p - 1) / p for p = ``lmbda``, element by element, accurate for small ``x``.

    It is ln(1 + x) for p = 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.boxcox1p(sm.constant(1e-20), [0.0, 0.5]).eval()
    array([1.e-20, 1.e-20])
    """

    name = "boxcox1p"
    has_poles = True
    domain = "The Box-Cox transform of 1 + x is defined for x > -1, and for x = -1 if p > 0."
    operations = 2 * ELEMENTARY
    numpy = "scipy.special.boxcox1p"
    chain = (
        lambda v, y, x, p: v * exp(xlog1py(p - 1, x)),
        lambda v, y, x, p: v * where(equal(x, -1), 1 / (p * p), _curve(log1p(x), p)),
    )
    samples = (
        Sample(
            lambda x, p: boxcox1p(x, p), [reals(3, 1, low=-0.6), fixed([-1.5, -1e-3, 0.5, 2.0])],
            lambda x, p: ((1 + x) ** p - 1) / p,
        ),
        special_points(
            lambda x, p: boxcox1p(x, p),
            [fixed([-1.0, -1.0, -2.0, 1e-20, np.nan]), fixed([2.0, 0.0, 0.5, 0.5, 1.0])],
            lambda x, p: np.array([-0.5, -np.inf, np.nan, 1e-20, np.nan], x.dtype),
        ),
    )  # fmt: skip


def _inverse_by_power(v: Node, x: Node, y: Node, p: Node) -> Node:
    product = p * y  # ln x = ln(1 + py) / p
    far = (y / (1 + product) - log1p(product) / p) / p
    near = -0.5 * y * y * hyp2f1(2.0, 2.0, 3.0, -product)
    return v * (x * where(abs(product) > 0.5, far, near))


class InvBoxCox(Elementwise):
    """Return (p·y + 1)^(1/p) for p = ``lmbda``, element by element, which is e^y for p = 0.

    It is the inverse of :func:`boxcox`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.inv_boxcox(sm.constant(2.0), [0.0, 0.5]).eval()
    array([7.3890561, 4.       ])
    """

    name = "inv_boxcox"
    has_poles = True
    domain = "The inverse of the Box-Cox transform is defined for p·y > -1."
    operations = 2 * ELEMENTARY
    numpy = "scipy.special.inv_boxcox"
    chain = (lambda v, x, y, p: v * power(x, 1 - p), _inverse_by_power)
    samples = (
        Sample(
            lambda y, p: inv_boxcox(y, p), [reals(3, 1, low=0.1), fixed([-0.3, -1e-3, 0.5, 2.0])],
            lambda y, p: (p * y + 1) ** (1 / p),
        ),
        Sample(lambda y, p: inv_boxcox(y, p), [reals(3), fixed(0.0)], lambda y, p: np.exp(y),
               label="p = 0"),
    )  # fmt: skip

    def __call__(self, y: Operand, lmbda: Operand) -> Node:
        return apply(self, *as_nodes(y, lmbda))


xlogy: Binary = register(XLogY())
xlog1py: Binary = register(XLog1PY())
xdivy: Binary = XDivY()
log_ratio: Binary = LogRatio()
rel_entr: Binary = register(RelEntr())
kl_div: Binary = register(KLDiv())
logit: Unary = register(Logit())
boxcox: OfPower = register(BoxCox())
boxcox1p: OfPower = register(BoxCox1P())
inv_boxcox: InvBoxCox = register(InvBoxCox())
