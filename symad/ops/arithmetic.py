"""Arithmetic: the elementwise ops behind Python's operators, and roots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.node import Constant, Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, away_from_zero, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.adjoint import zeros_like
from symad.ops.base import (
    Arithmetic,
    Binary,
    Elementwise,
    Unary,
    promoted,
    register,
    ufunc_dtype,
)
from symad.ops.comparison import equal, where
from symad.ops.domains import difference, masked, power_of, product, quotient
from symad.ops.rounding import round


class Add(Arithmetic):
    """Add ``x`` and ``y`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0]) + 10).eval()
    array([11., 12.])
    """

    name = "add"
    short = "+"
    sign = "as inputs"
    counted_as = "additions"
    domain = difference
    constant_slopes = finite_slopes = True
    numpy = np.add
    element = "add"
    text = latex = "{0} + {1}"
    precedence = 1
    commutative = True
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: v)
    samples = (
        Sample(lambda a, b: a + b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a + b, [reals(3, 1), reals(2, 1, 4)], label="broadcast"),
        Sample(lambda a: a + 2, [reals()], label="scalar"),
        Sample(lambda n, m: n + m, [integers(3), integers(2, 1)], label="integer"),
    )


class Subtract(Arithmetic):
    """Subtract ``y`` from ``x`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0]) - 10).eval()
    array([-9., -8.])
    """

    name = "subtract"
    short = "−"
    counted_as = "additions"
    domain = difference
    constant_slopes = finite_slopes = True
    numpy = np.subtract
    element = "subtract"
    text = latex = "{0} - {1}"
    precedence = 1
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: -v)
    samples = (
        Sample(lambda a, b: a - b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a - b, [reals(1, 4), reals()], label="broadcast"),
        Sample(lambda a: 2 - a, [reals(0, 3)], label="from a number, empty"),
    )


class Multiply(Arithmetic):
    """Multiply ``x`` and ``y`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (3 * sm.constant([1.0, 2.0])).eval()
    array([3., 6.])
    """

    name = "multiply"
    short = "×"
    sign = "as inputs"
    counted_as = "multiplications"
    domain = product
    finite_slopes = True
    numpy = np.multiply
    element = "multiply"
    text = "{0} * {1}"
    latex = r"{0} \cdot {1}"
    precedence = 2
    commutative = True
    chain = (lambda v, y, a, b: v * b, lambda v, y, a, b: v * a)
    samples = (
        Sample(lambda a, b: a * b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a * b, [reals(2, 1), reals(3)], label="broadcast"),
        Sample(lambda a: a * a, [reals(3)], label="same operand twice"),
    )


class Divide(Arithmetic):
    """Divide ``x`` by ``y`` element by element, with broadcasting; integers give floats.

    Examples
    --------
    >>> import symad as sm
    >>> (1 / sm.constant([2.0, 0.5])).eval()
    array([0.5, 2. ])
    """

    name = "divide"
    short = "÷"
    sign = "as inputs"
    counted_as = "multiplications"
    has_poles = True
    domain = quotient
    derivative_domain = (
        "The derivative of x / y at y = 0 is infinite. Mask it where it is computed: "
        "sm.where(sm.not_equal(y, 0), x / y, 0)."
    )
    numpy = np.divide
    element = "divide"
    text = "{0} / {1}"
    latex = r"\frac{{{0}}}{{{1}}}"
    precedence = 2
    chain = (lambda v, y, a, b: v / b, lambda v, y, a, b: -(v * y / b))
    samples = (
        Sample(lambda a, b: a / b, [reals(3, 2), away_from_zero(3, 2)]),
        Sample(lambda a, b: a / b, [reals(3), away_from_zero(2, 1)], label="broadcast"),
        Sample(lambda n: n / 2, [integers(3)], lambda n: 0.5 * n, label="integer"),
        special_points(
            lambda a: a / 0.0, [fixed([1.0, -1.0, 0.0, np.nan])],
            lambda a: np.array([np.inf, -np.inf, np.nan, np.nan]),
        ),
    )  # fmt: skip

    def has_finite_slopes(self, *inputs: Node) -> bool:
        return isinstance(inputs[1], Constant) and bool(inputs[1].value.all())


def _direction(b: ScalarBuilder, x: Value, length: Value) -> Value:
    zero = b.constant(0, b.dtype(length))
    return b.select(b.equal(length, zero), zero, b.divide(x, length))


class Direction(Binary):
    """``x`` / ``y``, but 0 where the length y is 0: the slope of a length, which has a kink there.

    Its own derivatives divide by y and are NaN where y is 0: the curvature has no bound.
    """

    name = "direction"
    numpy = staticmethod(lambda x, y: np.where(y == 0, 0, np.divide(x, y)))
    element = _direction
    latex = r"\frac{{{0}}}{{{1}}}"
    precedence = 2
    chain = (lambda v, d, x, y: v / y, lambda v, d, x, y: -(v * d / y))
    samples = (
        Sample(lambda x, y: direction(x, y), [reals(3), away_from_zero(3)], lambda x, y: x / y),
        special_points(
            lambda x, y: direction(x, y), [fixed([0.0, 1.0, np.nan]), fixed([0.0, 0.0, 1.0])],
            lambda x, y: np.array([0.0, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return ufunc_dtype(np.divide, *dtypes)


class Negative(Unary):
    """Negate ``x`` element by element.

    Examples
    --------
    >>> import symad as sm
    >>> (-sm.constant([1.0, -2.0])).eval()
    array([-1.,  2.])
    """

    name = "negative"
    short = "−"
    counted_as = "additions"
    constant_slopes = finite_slopes = True
    numpy = np.negative
    element = "negate"
    text = latex = "-{0}"
    precedence = 3
    chain = (lambda v, y, x: -v,)
    samples = (Sample(lambda x: -x, [reals(3)]),)


def _by_base(v: Node, y: Node, x: Node, c: Node) -> Node:
    """Return v c x^(c-1); where c is 0 that is 0, at x = 0 too."""
    if isinstance(c, Constant):
        less = Constant(np.where(c.value == 0, 0, c.value - 1), c.dtype)
        return v * (c * (x if (less.value == 1).all() else power(x, less)))
    return v * power_slope(x, _floating(c, y))


def _by_exponent(v: Node, y: Node, x: Node, c: Node) -> Node:
    """Return v x^c ln x; where x is 0 the logarithm counts as 0."""
    if isinstance(x, Constant) and x.value.all():
        return v * (y * call("log", x))
    return v * apply(power_log, y, _floating(x, y), c)


def _floating(operand: Node, y: Node) -> Node:
    """Return an operand of a power in the dtype of the power: its logarithm needs all digits."""
    return operand if operand.dtype == y.dtype else call("cast", operand, y.dtype)


def _slope(x: Any, c: Any) -> Any:
    x, c = promoted(x, c)
    return np.where(c == 0, 0, c * np.power(x, c - 1.0))


def _slope_of_power(b: ScalarBuilder, x: Value, c: Value) -> Value:
    zero, one = b.constant(0, b.dtype(c)), b.constant(1, b.dtype(c))
    slope = b.multiply(c, b.call("pow", x, b.subtract(c, one)))
    return b.select(b.equal(c, zero), zero, slope)


class PowerSlope(Binary):
    """c x^(c-1), the derivative of a power by its base; 0 where c is 0."""

    name = "power_slope"
    has_poles = True
    operations = 2 * ELEMENTARY
    numpy = staticmethod(_slope)
    element = _slope_of_power
    latex = "{1} \\, {0}^{{{1} - 1}}"
    chain = (
        lambda v, y, x, c: v * (c * power_slope(x, where(equal(x, 0) & equal(c, 0), 1, c - 1))),
        lambda v, y, x, c: v * power_mixed(x, c),
    )
    samples = (
        Sample(
            lambda x, c: power_slope(x, c), [reals(3, low=0.3), reals(3)],
            lambda x, c: c * x ** (c - 1),
        ),
        Sample(lambda x, n: power_slope(x, n), [away_from_zero(3), integers(3)], label="integers"),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return ufunc_dtype(np.divide, *dtypes)


def _times_log(y: Any, x: Any, c: Any) -> Any:
    y, x = promoted(y, x)
    return y * np.log(np.where(x == 0, 1, x))


def _log_times(b: ScalarBuilder, y: Value, x: Value, c: Value) -> Value:
    zero, one = b.constant(0, b.dtype(x)), b.constant(1, b.dtype(x))
    return b.multiply(y, b.call("log", b.select(b.equal(x, zero), one, x)))


class PowerLog(Elementwise):
    """x^c ln x, the derivative of the power y = x^c by its exponent; 0 where x is 0 and c ≥ 0."""

    name = "power_log"
    has_poles = True
    operations = ELEMENTARY
    numpy = staticmethod(_times_log)
    element = _log_times
    latex = r"{0} \ln {1}"
    chain = (
        None,
        lambda v, out, y, x, c: v * power_mixed(x, c),
        lambda v, out, y, x, c: v * (out * call("log", where(equal(x, 0), 1, x))),
    )
    samples = (
        Sample(
            lambda x, c: apply(power_log, x**c, x, c), [reals(3, low=0.3), reals(3)],
            lambda x, c: x**c * np.log(x),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.result_type(*dtypes)


def _mixed(x: Any, c: Any) -> Any:
    x, c = (1.0 * operand for operand in promoted(x, c))
    at_zero = np.where(c > 1, 0, np.where(c > 0, -np.inf, np.inf)).astype(x.dtype)
    return np.where(x == 0, at_zero, np.power(x, c - 1) * (1 + c * np.log(x)))


def _mixed_element(b: ScalarBuilder, x: Value, c: Value) -> Value:
    zero, one, infinity = (b.constant(value, b.dtype(x)) for value in (0.0, 1.0, math.inf))
    low = b.select(b.less(zero, c), b.negate(infinity), infinity)
    power = b.call("pow", x, b.subtract(c, one))
    value = b.multiply(power, b.add(one, b.multiply(c, b.call("log", x))))
    return b.select(b.equal(x, zero), b.select(b.less(one, c), zero, low), value)


class PowerMixed(Binary):
    """x^(c-1) (1 + c ln x), the derivative of a power by base and exponent; its limit at x = 0."""

    name = "power_mixed"
    has_poles = True
    operations = 3 * ELEMENTARY
    numpy = staticmethod(_mixed)
    element = _mixed_element
    chain = (
        lambda v, y, x, c: v * (
            power(x, c - 2) * ((c - 1) * (1 + c * call("log", x)) + c)
        ),
        lambda v, y, x, c: v * (power(x, c - 1) * call("log", x) * (2 + c * call("log", x))),
    )  # fmt: skip
    samples = (
        Sample(
            lambda x, c: power_mixed(x, c), [reals(3, low=0.3), reals(3)],
            lambda x, c: x ** (c - 1) * (1 + c * np.log(x)),
        ),
        special_points(
            lambda x, c: power_mixed(x, c), [fixed([0.0] * 5), fixed([2.0, 1.0, 0.5, 0.0, -1.0])],
            lambda x, c: np.array([0.0, -np.inf, -np.inf, np.inf, np.inf]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return ufunc_dtype(np.divide, *dtypes)


class Power(Arithmetic):
    """Raise ``x`` to the power ``y``, element by element, with broadcasting; also ``x ** y``.

    d/dx = y·x^(y-1), which is 0 where y is 0; d/dy = x^y·ln x, which is 0 at x = 0 and y ≥ 0, and
    NaN for x < 0, where no derivative exists.  The value for x < 0 is NaN unless y is an integer.
    An integer to a negative integer power is an error when the graph runs: cast one to a float.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> [g.eval({x: -2.0, y: 3.0}) for g in (x**y, sm.gradients(x**y, x))]
    [np.float64(-8.0), np.float64(12.0)]
    >>> sm.gradients(x**2, x).eval({x: 0.0})
    np.float64(0.0)
    """

    name = "power"
    short = "^"
    has_poles = True
    domain = power_of
    derivative_domain = (
        "The derivative of x ** p at 0 is infinite for p < 1, and so is that of p at x = 0. "
        "Mask it where it is computed: sm.where(x > 0, x ** p, 0)."
    )
    operations = 2 * ELEMENTARY
    numpy = np.power
    element = "pow"
    text = "{0} ** {1}"
    latex = "{0}^{{{1}}}"
    precedence = 4
    chain = (_by_base, _by_exponent)
    samples = (
        Sample(lambda x, y: x**y, [reals(3, 2, low=0.3), reals(3, 2)]),
        Sample(lambda x, y: x**y, [reals(2, 1, low=0.3), reals(3)], label="broadcast"),
        Sample(lambda x: x**2, [reals(3)], lambda x: x * x, label="square"),
        Sample(lambda x: x**3, [fixed([-2.0, 0.0, 1.5])], lambda x: x * x * x, label="cube"),
        Sample(lambda x: x**-1.5, [reals(3, low=0.3)], label="negative exponent"),
        Sample(
            lambda x: x ** np.array([0, 1, 4], x.dtype), [reals(2, 3)], label="array of exponents"
        ),
        Sample(lambda x, n: x**n, [away_from_zero(3), integers(2, 3)], label="integer exponents"),
        Sample(lambda y: 2**y, [reals(3)], lambda y: np.exp2(y), label="constant base"),
        Sample(lambda n: n**2, [integers(3)], lambda n: n * n, label="integer"),
        special_points(
            lambda x, y: x**y, [fixed([0.0, 0.0, 0.0, -2.0, -2.0, np.inf, 1.0, np.nan]),
             fixed([0.0, 2.0, -1.0, 3.0, 0.5, -1.0, np.nan, 0.0])],
            lambda x, y: np.array([1.0, 0.0, np.inf, -8.0, np.nan, 0.0, 1.0, 1.0], x.dtype),
        ),
    )  # fmt: skip

    def has_finite_slopes(self, *inputs: Node) -> bool:
        """Return whether the exponents are known nonnegative integers."""
        if not isinstance(inputs[1], Constant):
            return False
        exponents = inputs[1].value
        return bool(np.all((exponents >= 0) & (exponents == np.floor(exponents))))


def _needs_step(b: ScalarBuilder, remainder: Value, y: Value) -> Value:
    """Return whether truncated and floored division have different remainders."""
    zero = b.constant(0, b.dtype(y))
    differ = b.logical_not(b.equal(b.less(y, zero), b.less(remainder, zero)))
    return b.logical_and(differ, b.logical_not(b.equal(remainder, zero)))


def _mod(b: ScalarBuilder, x: Value, y: Value) -> Value:
    remainder = _fmod(b, x, y)
    stepped = b.select(_needs_step(b, remainder, y), b.add(remainder, y), remainder)
    if b.dtype(y).kind != "f":
        return stepped
    zero = b.constant(0, b.dtype(y))
    return b.select(b.equal(remainder, zero), b.call("copysign", zero, y), stepped)


class Mod(Arithmetic):
    """Return the remainder of ``x / y`` with the sign of ``y``, element by element; also ``x % y``.

    x - y·⌊x/y⌋.  d/dx = 1 and d/dy = -⌊x/y⌋, including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([5.0, -5.0]) % 3.0).eval()
    array([2., 1.])
    """

    name = "mod"
    domain = "The remainder by 0 is NaN."
    operations = 3
    numpy = np.mod
    element = _mod
    text = "{0} % {1}"
    latex = r"{0} \bmod {1}"
    precedence = 2
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: -(v * floor_divide(a, b)))
    samples = (
        Sample(lambda a, b: a % b, [fixed([5.3, -5.3, 0.4]), fixed([2.0, 2.2, -3.0])]),
        Sample(lambda a, b: a % b, [fixed([[5.3], [-1.2]]), fixed([2.0, -0.7])], label="broadcast"),
        Sample(
            lambda n: n % 3, [integers(5)],
            lambda n: n - 3 * np.floor(n / 3).astype(n.dtype), label="integer",
        ),
        special_points(
            lambda a, b: a % b, [fixed([4.0, -4.0, 5.0, -5.0, np.inf, np.nan, 1.0]),
                                 fixed([2.0, 2.0, np.inf, np.inf, 1.0, 1.0, 0.0])],
            lambda a, b: np.array([0.0, 0.0, 5.0, np.inf, np.nan, np.nan, np.nan], a.dtype),
        ),
    )  # fmt: skip


def _floor_divide(b: ScalarBuilder, x: Value, y: Value) -> Value:
    remainder = _fmod(b, x, y)
    one = b.constant(1, b.dtype(y))
    if b.dtype(y).kind != "f":
        quotient = b.truncated_divide(x, y)
        return b.select(_needs_step(b, remainder, y), b.subtract(quotient, one), quotient)
    whole = b.divide(b.subtract(x, remainder), y)  # up to rounding, which is undone below
    whole = b.select(_needs_step(b, remainder, y), b.subtract(whole, one), whole)
    below = b.call("floor", whole)
    half = b.constant(0.5, b.dtype(y))
    nearest = b.select(b.less(half, b.subtract(whole, below)), b.add(below, one), below)
    zero = b.constant(0, b.dtype(y))
    ratio = b.divide(x, y)
    signed = b.select(b.equal(whole, zero), b.call("copysign", zero, ratio), nearest)
    return b.select(b.equal(y, zero), ratio, signed)


class FloorDivide(Arithmetic):
    """Return the largest integer that is at most ``x / y``, element by element; also ``x // y``.

    Both derivatives are 0 everywhere, including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([5.0, -5.0]) // 3.0).eval()
    array([ 1., -2.])
    """

    name = "floor_divide"
    has_poles = True
    domain = "Division by 0: keep the divisor away from 0 with sm.where."
    operations = 2
    numpy = np.floor_divide
    element = _floor_divide
    text = "{0} // {1}"
    latex = r"\left\lfloor \frac{{{0}}}{{{1}}} \right\rfloor"
    precedence = 2
    chain = (lambda v, y, a, b: zeros_like(v), lambda v, y, a, b: zeros_like(v))
    samples = (
        Sample(lambda a, b: (a // b) * a, [fixed([5.3, -5.3]), fixed([[2.0], [-0.7]])]),
        Sample(lambda n: n // 2, [integers(5)], lambda n: n >> 1, label="integer"),
    )


def _fmod(b: ScalarBuilder, x: Value, y: Value) -> Value:
    """Return the remainder with the sign of x; for integers, 0 where y is 0."""
    if b.dtype(y).kind == "f":
        return b.call("fmod", x, y)
    zero = b.constant(0, b.dtype(y))
    remainder = b.subtract(x, b.multiply(b.truncated_divide(x, y), y))
    return b.select(b.equal(y, zero), zero, remainder)


class Fmod(Binary):
    """Return the remainder of ``x / y`` with the sign of ``x``, element by element.

    x - y·trunc(x/y), as in C and IEEE 754.  d/dx = 1 and d/dy = -trunc(x/y), including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> sm.fmod(sm.constant([5.0, -5.0]), 3.0).eval()
    array([ 2., -2.])
    """

    name = "fmod"
    domain = "The remainder by 0 is NaN."
    operations = 3
    numpy = np.fmod
    element = _fmod
    # (a - y) / b is an integer up to rounding, unlike a / b, which may round across a step.
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: -(v * round((a - y) / b)))
    samples = (
        Sample(
            lambda a, b: fmod(a, b), [fixed([5.3, -5.3, 0.4]), fixed([2.0, 2.2, -3.0])],
            lambda a, b: a - b * np.trunc(a / b),
        ),
        Sample(lambda a: fmod(a, 0.7), [fixed([[5.3], [-1.2]])], label="number"),
    )  # fmt: skip


def _abs(b: ScalarBuilder, x: Value) -> Value:
    if b.dtype(x).kind == "f":
        return b.call("fabs", x)
    if b.dtype(x).kind != "i":
        return x
    return b.select(b.less(x, b.constant(0, b.dtype(x))), b.negate(x), x)


class Abs(Unary):
    """Return the magnitude of ``x``, element by element; also ``abs(x)``.

    The derivative is the sign of x; at 0 it is 0.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.gradients(abs(x), x).eval({x: [-2.0, 0.0, 2.0]})
    array([-1.,  0.,  1.])
    """

    name = "abs"
    sign = "nonnegative"
    finite_slopes = True
    numpy = np.absolute
    element = _abs
    latex = r"\left|{0}\right|"
    chain = (lambda v, y, x: v * sign(x),)
    samples = (
        Sample(lambda x: abs(x), [away_from_zero(3, 2)], lambda x: np.sqrt(x * x)),
        Sample(lambda x: abs(x) * x, [away_from_zero(3)], label="times x"),
        Sample(lambda n: abs(n), [integers(4)], lambda n: np.where(n < 0, -n, n), label="integer"),
        special_points(
            lambda x: abs(x), [fixed([0.0, -0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, 0.0, np.inf, np.inf, np.nan]),
        ),
    )  # fmt: skip


def _sign(b: ScalarBuilder, x: Value) -> Value:
    zero, one = b.constant(0, b.dtype(x)), b.constant(1, b.dtype(x))
    not_positive = b.select(b.less(x, zero), b.negate(one), b.add(x, zero))  # -0.0 + 0.0 is 0.0
    return b.select(b.less(zero, x), one, not_positive)


class Sign(Unary):
    """Return -1, 0 or 1, the sign of ``x``, element by element; NaN for NaN.

    The derivative is 0 everywhere, including 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sign(sm.constant([-2.0, 0.0, 3.0])).eval()
    array([-1.,  0.,  1.])
    """

    name = "sign"
    finite_slopes = True
    numpy = np.sign
    element = _sign
    latex = r"\operatorname{{sign}} {0}"
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: sign(x) * x, [away_from_zero(3, 2)]),
        special_points(
            lambda x: sign(x), [fixed([0.0, -1e-30, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, -1.0, 1.0, -1.0, np.nan]),
        ),
    )  # fmt: skip


def _reciprocal(b: ScalarBuilder, x: Value) -> Value:
    dtype = b.dtype(x)
    if dtype.kind == "f":
        return b.divide(b.constant(1, dtype), x)
    with np.errstate(divide="ignore", invalid="ignore"):  # for 0, it depends on the processor
        at_zero = b.constant(np.reciprocal(np.zeros((), dtype)).item(), dtype)
    whole = b.truncated_divide(b.constant(1, dtype), x)
    return b.select(b.equal(x, b.constant(0, dtype)), at_zero, whole)


class Reciprocal(Unary):
    """Return 1 / ``x``, element by element; for integers, the integer part, as in NumPy.

    Examples
    --------
    >>> import symad as sm
    >>> sm.reciprocal(sm.constant([2.0, -0.5])).eval()
    array([ 0.5, -2. ])
    """

    name = "reciprocal"
    counted_as = "multiplications"
    has_poles = True
    domain = quotient
    derivative_domain = "The derivative of 1/x at 0 is infinite. " + masked(
        "sm.not_equal(x, 0)", "sm.reciprocal(x)"
    )
    numpy = np.reciprocal
    element = _reciprocal
    latex = r"\frac{{1}}{{{0}}}"
    precedence = 2
    chain = (lambda v, y, x: -(v * y * y),)
    samples = (
        Sample(lambda x: reciprocal(x), [away_from_zero(3, 2)], lambda x: 1 / x),
        special_points(
            lambda x: reciprocal(x), [fixed([0.0, -0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([np.inf, -np.inf, 0.0, -0.0, np.nan]),
        ),
    )  # fmt: skip


def _square(b: ScalarBuilder, x: Value) -> Value:
    return b.multiply(x, x)


class Square(Unary):
    """Return ``x`` times ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.square(sm.constant([2.0, -3.0])).eval()
    array([4., 9.])
    """

    name = "square"
    symbols = "{0}²"
    sign = "nonnegative"
    counted_as = "multiplications"
    finite_slopes = True
    numpy = np.square
    element = _square
    latex = "{0}^2"
    precedence = 4
    chain = (lambda v, y, x: v * (2 * x),)
    samples = (
        Sample(lambda x: square(x), [reals(3, 2)], lambda x: x * x),
        Sample(lambda n: square(n), [integers(4)], lambda n: n * n, label="integer"),
    )


class Sqrt(Unary):
    """Return the square root of ``x``, element by element; NaN for x < 0.

    The derivative 1 / (2√x) is inf at 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sqrt(sm.constant([4.0, 9.0])).eval()
    array([2., 3.])
    """

    name = "sqrt"
    symbols = "√{0}"
    sign = "as inputs"
    domain = "The root of a negative number is NaN: use sm.relu(x) or sm.abs(x) inside."
    derivative_domain = "The derivative of √x at 0 is infinite. " + masked("x > 0", "sm.sqrt(x)")
    numpy = np.sqrt
    element = "sqrt"
    latex = r"\sqrt{{{0}}}"
    chain = (lambda v, y, x: v / (2 * y),)
    samples = (
        Sample(lambda x: sqrt(x), [reals(3, 2, low=0.2)], lambda x: x**0.5),
        Sample(lambda x: sqrt(x), [reals(0, low=0.2)], label="empty"),
        special_points(
            lambda x: sqrt(x), [fixed([0.0, -0.0, -1.0, np.inf, np.nan])],
            lambda x: np.array([0.0, -0.0, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


class Cbrt(Unary):
    """Return the real cube root of ``x``, of either sign, element by element.

    The derivative 1 / (3 x^(2/3)) is inf at 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cbrt(sm.constant([8.0, -27.0])).eval()
    array([ 2., -3.])
    """

    name = "cbrt"
    sign = "as inputs"
    derivative_domain = "The derivative of the cube root at 0 is infinite. " + masked(
        "sm.not_equal(x, 0)", "sm.cbrt(x)"
    )
    operations = ELEMENTARY
    numpy = np.cbrt
    element = "cbrt"
    latex = r"\sqrt[3]{{{0}}}"
    chain = (lambda v, y, x: v * (square(reciprocal(y)) / 3),)
    samples = (
        Sample(
            lambda x: cbrt(x), [away_from_zero(3, 2)],
            lambda x: np.sign(x) * np.abs(x) ** (1 / 3),
        ),
        special_points(
            lambda x: cbrt(x), [fixed([0.0, -0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, -0.0, np.inf, -np.inf, np.nan]),
        ),
    )  # fmt: skip


add: Binary = register(Add())
subtract: Binary = register(Subtract())
multiply: Binary = register(Multiply())
divide: Binary = register(Divide())
direction: Binary = Direction()
negative: Unary = register(Negative())
power: Binary = register(Power())
power_slope: Binary = PowerSlope()
power_log: Elementwise = PowerLog()
power_mixed: Binary = PowerMixed()
mod: Binary = register(Mod())
floor_divide: Binary = register(FloorDivide())
fmod: Binary = register(Fmod())
abs: Unary = register(Abs(), numpy="fabs")
sign: Unary = register(Sign())
reciprocal: Unary = register(Reciprocal())
square: Unary = register(Square())
sqrt: Unary = register(Sqrt())
cbrt: Unary = register(Cbrt(), numpy="special.cbrt")

absolute = abs
pow = power
remainder = mod
true_divide = divide
