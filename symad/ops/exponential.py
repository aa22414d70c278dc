"""Exponentials, logarithms and logistic functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.node import Node
from symad.graph.op import call
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.base import Binary, Unary, float_dtype, register
from symad.ops.comparison import equal, isinf, where
from symad.ops.domains import logarithm, masked, overflows

_EDGES = fixed([0.0, -0.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan])
_LOGARITHM_EDGES = fixed([0.0, -0.0, 1.0, -1.0, np.inf, np.nan])


class Exp(Unary):
    """Return e to the power ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.exp(sm.constant(0.0)).eval()
    np.float64(1.0)
    """

    name = "exp"
    sign = "nonnegative"
    domain = overflows("exp")
    operations = ELEMENTARY
    numpy = np.exp
    element = "exp"
    latex = r"e^{{{0}}}"
    chain = (lambda v, y, x: v * y,)
    samples = (
        Sample(lambda x: exp(x), [reals(3)], lambda x: np.e**x),
        Sample(lambda n: exp(n), [integers(2, 2)], lambda n: np.e**n, label="integer"),
        special_points(
            lambda x: exp(x), [_EDGES], lambda x: np.array([1, 1, np.inf, 0, np.inf, 0, np.nan])
        ),
    )  # fmt: skip


class Exp2(Unary):
    """Return 2 to the power ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.exp2(sm.constant(3.0)).eval()
    np.float64(8.0)
    """

    name = "exp2"
    sign = "nonnegative"
    domain = overflows("exp2", rate=math.log(2))
    operations = ELEMENTARY
    numpy = np.exp2
    element = "exp2"
    latex = r"2^{{{0}}}"
    chain = (lambda v, y, x: v * (math.log(2) * y),)
    samples = (Sample(lambda x: exp2(x), [reals(3, 2)], lambda x: 2.0**x),)


class Expm1(Unary):
    """Return e to the power ``x`` minus 1, element by element, accurate for small ``x``.

    The derivative is computed as e^x, not as y + 1, which is 0 for x < -37.

    Examples
    --------
    >>> import symad as sm
    >>> sm.expm1(sm.constant(1e-20)).eval()
    np.float64(1e-20)
    """

    name = "expm1"
    sign = "as inputs"
    domain = overflows("expm1")
    operations = ELEMENTARY
    numpy = np.expm1
    element = "expm1"
    latex = r"(e^{{{0}}} - 1)"
    chain = (lambda v, y, x: v * exp(x),)
    samples = (
        Sample(lambda x: expm1(x), [reals(3, 2)], lambda x: np.exp(x) - 1),
        special_points(
            lambda x: expm1(x), [fixed([0.0, -0.0, 1e-20, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, -0.0, 1e-20, np.inf, -1.0, np.nan]),
        ),
    )  # fmt: skip


class Log(Unary):
    """Return the natural logarithm of ``x``, element by element; -inf at 0, NaN for x < 0.

    The derivative is 1/x.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log(sm.constant(1.0)).eval()
    np.float64(0.0)
    """

    name = "log"
    short = "ln"
    has_poles = True
    domain = logarithm
    derivative_domain = "The derivative of ln x at 0 is infinite. " + masked("x > 0", "sm.log(x)")
    operations = ELEMENTARY
    numpy = np.log
    element = "log"
    latex = r"\ln {0}"
    chain = (lambda v, y, x: v / x,)
    samples = (
        Sample(lambda x: log(x), [reals(3, low=0.2, high=3.0)]),
        special_points(
            lambda x: log(x), [_LOGARITHM_EDGES],
            lambda x: np.array([-np.inf, -np.inf, 0, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


class Log2(Unary):
    """Return the logarithm of ``x`` to base 2, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log2(sm.constant(8.0)).eval()
    np.float64(3.0)
    """

    name = "log2"
    has_poles = True
    domain = logarithm
    operations = ELEMENTARY
    numpy = np.log2
    element = "log2"
    latex = r"\log_{{2}} {0}"
    chain = (lambda v, y, x: v / x / math.log(2),)
    samples = (
        Sample(lambda x: log2(x), [reals(3, low=0.2)], lambda x: np.log(x) / np.log(2)),
        special_points(
            lambda x: log2(x), [_LOGARITHM_EDGES],
            lambda x: np.array([-np.inf, -np.inf, 0, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


class Log10(Unary):
    """Return the logarithm of ``x`` to base 10, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log10(sm.constant(1000.0)).eval()
    np.float64(3.0)
    """

    name = "log10"
    has_poles = True
    domain = logarithm
    operations = ELEMENTARY
    numpy = np.log10
    element = "log10"
    latex = r"\log_{{10}} {0}"
    chain = (lambda v, y, x: v / (math.log(10) * x),)
    samples = (
        Sample(lambda x: log10(x), [reals(3, low=0.2)], lambda x: np.log(x) / np.log(10)),
        special_points(
            lambda x: log10(x), [_LOGARITHM_EDGES],
            lambda x: np.array([-np.inf, -np.inf, 0, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


class Log1p(Unary):
    """Return the natural logarithm of 1 + ``x``, element by element, accurate for small ``x``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log1p(sm.constant(1e-20)).eval()
    np.float64(1e-20)
    """

    name = "log1p"
    sign = "as inputs"
    has_poles = True
    domain = "ln(1 + x) is defined for x > −1."
    operations = ELEMENTARY
    numpy = np.log1p
    element = "log1p"
    latex = r"\ln (1 + {0})"
    chain = (lambda v, y, x: v / (1 + x),)
    samples = (
        Sample(lambda x: log1p(x), [reals(3, low=-0.6)], lambda x: np.log(1 + x)),
        special_points(
            lambda x: log1p(x), [fixed([0.0, -0.0, 1e-20, -1.0, -2.0, np.inf, np.nan])],
            lambda x: np.array([0.0, -0.0, 1e-20, -np.inf, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


def _log1mexp(x: Any) -> Any:
    x = 1.0 * x
    return np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def _log_one_minus_exp(b: ScalarBuilder, x: Value) -> Value:
    near = b.call("log", b.negate(b.call("expm1", x)))
    far = b.call("log1p", b.negate(b.call("exp", x)))
    return b.select(b.less(b.constant(-math.log(2), b.dtype(x)), x), near, far)


class Log1mExp(Unary):
    """The logarithm of 1 - e^x for x ≤ 0, to its last digits; NaN for x > 0.

    The derivative is e^x / (e^x - 1).
    """

    name = "log1mexp"
    has_poles = True
    domain = "ln(1 − e^x) is defined for x < 0."
    operations = 2 * ELEMENTARY
    numpy = staticmethod(_log1mexp)
    element = _log_one_minus_exp
    latex = r"\ln (1 - e^{{{0}}})"
    chain = (lambda v, y, x: v * (exp(x) / expm1(x)),)
    samples = (
        Sample(
            lambda x: log1mexp(x), [reals(3, 2, low=-4, high=-0.2)],
            lambda x: np.log(1 - np.exp(x)),
        ),
        special_points(
            lambda x: log1mexp(x), [fixed([0.0, -0.0, -1e-20, -50.0, -np.inf, 1.0, np.nan])],
            lambda x: np.array(
                [-np.inf, -np.inf, np.log(1e-20), -np.exp(-50.0), -0.0, np.nan, np.nan]
            ),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


def _share(a: Node, b: Node) -> Node:
    """Return e^a / (e^a + e^b); 1/2 where both are the same infinity."""
    same = equal(a, b) & isinf(a)
    return sigmoid(where(same, 0, a - b))


def _add_logarithms(b: ScalarBuilder, x: Value, y: Value) -> Value:
    larger = b.select(b.less(y, x), x, y)
    decay = b.call("exp", b.negate(b.call("fabs", b.subtract(x, y))))  # at most 1
    total = b.add(larger, b.call("log1p", decay))
    doubled = b.add(x, b.constant(math.log(2), b.dtype(x)))  # also correct for infinities
    return b.select(b.equal(x, y), doubled, total)


class LogAddExp(Binary):
    """Return ln(e^x + e^y), element by element, without overflow.

    The derivatives are the shares e^x / (e^x + e^y) and e^y / (e^x + e^y), computed as sigmoids of
    the difference.  Where both operands are the same infinity, each gets half of the adjoint.

    Examples
    --------
    >>> import symad as sm
    >>> sm.logaddexp(sm.constant(1000.0), 1000.0).eval()
    np.float64(1000.69314718)
    """

    name = "logaddexp"
    finite_slopes = True
    operations = 2 * ELEMENTARY + 3
    numpy = np.logaddexp
    element = _add_logarithms
    latex = r"\ln (e^{{{0}}} + e^{{{1}}})"
    commutative = True
    chain = (lambda v, y, a, b: v * _share(a, b), lambda v, y, a, b: v * _share(b, a))
    samples = (
        Sample(
            lambda a, b: logaddexp(a, b), [reals(3, 1), reals(2)],
            lambda a, b: np.log(np.exp(a) + np.exp(b)),
        ),
        Sample(lambda a: logaddexp(a, a), [reals(3)], lambda a: a + np.log(2), label="equal"),
        special_points(
            lambda a, b: logaddexp(a, b),
            [fixed([1000.0, np.inf, -np.inf, -np.inf, np.inf, np.nan]),
             fixed([-1000.0, 0.0, 2.0, -np.inf, np.inf, 0.0])],
            lambda a, b: np.array([1000.0, np.inf, 2.0, -np.inf, np.inf, np.nan]),
        ),
    )  # fmt: skip


def _sigmoid(x: Any) -> Any:
    # At most 1: no overflow, and no loss for large negative x.
    decay = np.exp(np.minimum(x, -1.0 * x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def _logistic(b: ScalarBuilder, x: Value) -> Value:
    zero, one = b.constant(0, b.dtype(x)), b.constant(1, b.dtype(x))
    decay = b.call("exp", b.negate(b.call("fabs", x)))
    return b.divide(b.select(b.less_equal(zero, x), one, decay), b.add(one, decay))


class Sigmoid(Unary):
    """Return 1 / (1 + e^-x), element by element, without overflow or loss of digits.

    The derivative is y·(1 - y), computed to its last digits as e/(1 + e)² with e = e^-abs(x).

    Examples
    --------
    >>> import symad as sm
    >>> sm.sigmoid(sm.constant([0.0, -1000.0, 1000.0])).eval()
    array([0.5, 0. , 1. ])
    """

    name = "sigmoid"
    sign = "nonnegative"
    finite_slopes = True
    operations = ELEMENTARY + 2
    numpy = staticmethod(_sigmoid)
    element = _logistic
    latex = r"\sigma({0})"
    chain = (lambda v, y, x: v * sigmoid_slope(x),)
    samples = (
        Sample(lambda x: sigmoid(x), [reals(3, 2)], lambda x: 1 / (1 + np.exp(-x))),
        Sample(lambda x: sigmoid(x), [reals(0)], label="empty"),
        Sample(
            lambda n: sigmoid(n), [integers(4)], lambda n: 1 / (1 + np.exp(-n)), label="integer"
        ),
        special_points(
            lambda x: sigmoid(x), [fixed([0.0, -40.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.5, np.exp(-40.0), 1.0, 0.0, 1.0, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


def _sigmoid_slope(x: Any) -> Any:
    decay = np.exp(-np.abs(1.0 * x))
    return decay / np.square(1 + decay)


def _logistic_slope(b: ScalarBuilder, x: Value) -> Value:
    decay = b.call("exp", b.negate(b.call("fabs", x)))
    total = b.add(b.constant(1, b.dtype(x)), decay)
    return b.divide(decay, b.multiply(total, total))


class SigmoidSlope(Unary):
    """The derivative of the sigmoid, σ′(x) = σ(x)·σ(-x) = e / (1 + e)² with e = e^-|x|.

    Computed as y·(1 - y), it would be 0 for x > 37, where 1 - y rounds to 0.  Its own derivative is
    -σ′(x)·tanh(x/2).
    """

    name = "sigmoid_slope"
    finite_slopes = True
    short = "σ′"
    sign = "nonnegative"
    operations = ELEMENTARY + 3
    numpy = staticmethod(_sigmoid_slope)
    element = _logistic_slope
    latex = r"\sigma'({0})"
    chain = (lambda v, y, x: -(v * y * call("tanh", 0.5 * x)),)
    samples = (
        Sample(
            lambda x: sigmoid_slope(x), [reals(3, 2)], lambda x: 1 / (2 + np.exp(x) + np.exp(-x))
        ),
        special_points(
            lambda x: sigmoid_slope(x),
            [fixed([0.0, 40.0, -40.0, 1000.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.25, np.exp(-40.0), np.exp(-40.0), 0.0, 0.0, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def _log_one_plus_exp(b: ScalarBuilder, x: Value) -> Value:
    zero = b.constant(0, b.dtype(x))
    decay = b.call("exp", b.negate(b.call("fabs", x)))  # at most 1
    return b.add(b.select(b.less(zero, x), x, zero), b.call("log1p", decay))


class Softplus(Unary):
    """Return ln(1 + e^x), element by element, without overflow; the derivative is the sigmoid.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.softplus(x).eval({x: [0.0, -1000.0, 1000.0]})
    array([6.93147181e-01, 0.00000000e+00, 1.00000000e+03])
    >>> sm.gradients(sm.softplus(x), x).eval({x: [0.0, -1000.0, 1000.0]})
    array([0.5, 0. , 1. ])
    """

    name = "softplus"
    sign = "nonnegative"
    finite_slopes = True
    operations = 2 * ELEMENTARY + 2
    numpy = staticmethod(_softplus)
    element = _log_one_plus_exp
    chain = (lambda v, y, x: v * sigmoid(x),)
    samples = (
        Sample(lambda x: softplus(x), [reals(3, 2)], lambda x: np.log(1 + np.exp(x))),
        Sample(
            lambda n: softplus(n), [integers(4)], lambda n: np.log1p(np.exp(n)), label="integer"
        ),
        special_points(
            lambda x: softplus(x), [_EDGES],
            lambda x: np.array([np.log(2), np.log(2), 1000.0, 0.0, np.inf, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


exp: Unary = register(Exp())
exp2: Unary = register(Exp2(), numpy="special.exp2")
expm1: Unary = register(Expm1(), numpy="special.expm1")
log: Unary = register(Log())
log2: Unary = register(Log2())
log10: Unary = register(Log10())
log1p: Unary = register(Log1p(), numpy="special.log1p")
log1mexp: Unary = Log1mExp()
logaddexp: Binary = register(LogAddExp())
sigmoid: Unary = register(Sigmoid(), numpy="special.expit")
sigmoid_slope: Unary = SigmoidSlope()
softplus: Unary = register(Softplus(), numpy="special.softplus")
