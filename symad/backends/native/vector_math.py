"""Functions of one number in a few instructions: exponential, sine and cosine, tanh.

The exponential of float32, twice as fast as a call for a vector.
exp x = 2ⁿ exp r, with n the integer next to x / ln 2 and r = x − n ln 2, |r| ≤ ln 2 / 2.  There
exp r = 1 + r + r² p(r), with a polynomial p of degree 4 whose largest relative error, 3·10⁻⁹, is as
small as can be (found by Lawson's iteration of weighted least squares).  The result is within one
unit in the last place of the exact one, also where it is subnormal.

Sine and cosine of one float64, which together cost little more than one.
x = n π/2 + r with |r| ≤ π/4, where n is the integer next to 2x/π.  π/2 is taken in three parts, of
which n times the first two is exact, and r in two, so that it has all its digits beside multiples
of π/2 as well.  Then sin r = r + r³ S(r²) and cos r = 1 − r²/2 + r⁴ C(r²), with polynomials of
degree 5 that interpolate at Chebyshev points: their error is below 2⁻⁵⁶ of the result.  The
quadrant n says which of the two it is, and its sign.  The result is within one unit in the last
place of the exact one.  Large numbers, infinities and NaN are left to the C library.

The hyperbolic tangent, from the exponential that its derivative needs too.  From 0.55 on, tanh x =
(1 − e) / (1 + e) with e = exp(−2x), made as the square of exp(−x).  Below, where 1 − e would lose
digits, tanh x = x + x t p(t) with t = x²; p is Chebyshev's approximation of (tanh x / x − 1) / t,
whose error is 0.02 of the last place of float64, 0.07 of that of float32.  The result is within
three units in the last place of the exact one, as far as the exponential is within one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.scalar import Value

_FLOAT32, _INT32 = np.dtype("float32"), np.dtype("int32")
_FLOAT64, _INT64 = np.dtype("float64"), np.dtype("int64")
_BOOLEAN = np.dtype(bool)

# The exponential

_LEAST_EXPONENT, _MOST_EXPONENT = -104.0, 89.0
"""Below the one exp x is 0, above the other it is infinite."""
_EXPONENTIAL = (0.0013814590, 0.0083687173, 0.0416683882, 0.1666652063, 0.4999999345, 1.0, 1.0)
_LOG2_HIGH = float.fromhex("0x1.62e4p-1")  # n times these 16 bits is exact
_LOG2_LOW = math.log(2) - _LOG2_HIGH
_ROUNDER32 = 1.5 * 2.0**23
"""A number of this size has no digits after the point, and its last bits are those of n."""
_ROUNDER32_BITS = int(np.float32(_ROUNDER32).view("int32"))
_FRACTION = 23
"""How many bits of a float32 are after its exponent."""


def exp_float32(builder: Any, x: Value) -> Value:
    """Return exp x for values of an ``LLVMScalarBuilder``."""

    def constant(value: float) -> Value:
        return builder.constant(value, _FLOAT32)

    least, most = constant(_LEAST_EXPONENT), constant(_MOST_EXPONENT)
    x = builder.select(builder.less(x, least), least, x)  # NaN stays
    x = builder.select(builder.less(most, x), most, x)
    shifted = builder.multiply_add(x, constant(1 / math.log(2)), constant(_ROUNDER32))
    n = builder.subtract(shifted, constant(_ROUNDER32))
    r = builder.multiply_add(n, constant(-_LOG2_HIGH), x)
    r = builder.multiply_add(n, constant(-_LOG2_LOW), r)
    result = constant(_EXPONENTIAL[0])
    for coefficient in _EXPONENTIAL[1:]:
        result = builder.multiply_add(result, r, constant(coefficient))
    if builder.can_scale:
        return builder.scale(result, n)
    bits = builder.reinterpret(shifted, _INT32)
    return _times_power(
        builder, result, builder.subtract(bits, builder.constant(_ROUNDER32_BITS, _INT32))
    )


def _times_power(builder: Any, x: Value, n: Value) -> Value:
    """Return x 2ⁿ, rounded once: 2ⁿ may be no normal number, but its two halves are."""
    half = builder.shift_right(n, 1)
    near = builder.add(builder.reinterpret(x, _INT32), builder.shift_left(half, _FRACTION))
    rest = builder.subtract(n, half)
    one = builder.reinterpret(builder.constant(1.0, _FLOAT32), _INT32)
    power = builder.add(one, builder.shift_left(rest, _FRACTION))
    return builder.multiply(
        builder.reinterpret(near, _FLOAT32), builder.reinterpret(power, _FLOAT32)
    )


# Sine and cosine

LARGEST_ANGLE = 2.0**18
"""Up to here n has less than the 20 bits that two parts of π/2 leave free."""
_HALF_PI = tuple(
    map(float.fromhex, ("0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69"))
)
_SINE = (
    1.5918115263265974e-10, -2.505113165023518e-08, 2.7557316101617874e-06,
    -0.00019841269836756774, 0.008333333333330948, -0.16666666666666666,
)  # fmt: skip
_COSINE = (
    -1.1382623647474604e-11, 2.087614614655861e-09, -2.7557317271145144e-07,
    2.480158729876456e-05, -0.0013888888888887398, 0.041666666666666664,
)  # fmt: skip
_ROUNDER64 = 1.5 * 2.0**52
"""A number of this size has no digits after the point, and its last bits are those of n."""


def sine_or_cosine(builder: Any, function: str, x: Value) -> Value:
    """Return ``sin`` or ``cos`` of a number of an ``LLVMScalarBuilder``; calls for large ones."""
    n, quadrant = _quarters(builder, x)
    r, rest = _remainder(builder, x, n)
    sine, cosine = _both(builder, r, rest)
    if function == "cos":
        quadrant = builder.add(quadrant, builder.constant(1, _INT64))
    is_odd = builder.cast(builder.logical_and(quadrant, builder.constant(1, _INT64)), _BOOLEAN)
    result = builder.select(is_odd, cosine, sine)
    result = builder.with_sign_flipped(result, quadrant, 1)
    if function == "sin":  # of −0 it is −0
        result = builder.select(builder.equal(x, builder.constant(0, _FLOAT64)), x, result)
    is_small = builder.less_equal(
        builder.call("fabs", x), builder.constant(LARGEST_ANGLE, _FLOAT64)
    )
    return builder.unless(is_small, result, lambda: builder.call_library(function, x))


def _quarters(builder: Any, x: Value) -> tuple[Value, Value]:
    """Return the integer next to 2x/π, as a float, and as the last bits of an integer."""
    rounder = builder.constant(_ROUNDER64, _FLOAT64)
    shifted = builder.intrinsic("fma", x, builder.constant(2 / np.pi, _FLOAT64), rounder)
    return builder.subtract(shifted, rounder), builder.reinterpret(shifted, _INT64)


def _remainder(builder: Any, x: Value, n: Value) -> tuple[Value, Value]:
    """Return x − n π/2 as a float and what rounding took from it."""
    minus = builder.negate(n)
    first, second, third = (builder.constant(part, _FLOAT64) for part in _HALF_PI)
    t = builder.intrinsic("fma", minus, first, x)
    u = builder.intrinsic("fma", minus, second, t)
    r = builder.intrinsic("fma", minus, third, u)
    rest = builder.intrinsic("fma", minus, third, builder.subtract(u, r))
    earlier = builder.intrinsic("fma", minus, second, builder.subtract(t, u))
    return r, builder.add(rest, earlier)


def _both(builder: Any, r: Value, rest: Value) -> tuple[Value, Value]:
    """Return the sine and the cosine of r + rest, up to rest²."""
    z = builder.multiply(r, r)
    half = builder.multiply(z, builder.constant(0.5, _FLOAT64))
    one = builder.constant(1.0, _FLOAT64)
    w = builder.subtract(one, half)
    s, c = (_polynomial(builder, coefficients, z) for coefficients in (_SINE, _COSINE))
    sine = builder.intrinsic("fma", builder.multiply(r, z), s, builder.multiply(rest, w))
    lost = builder.subtract(builder.subtract(one, w), half)
    turn = builder.negate(builder.multiply(r, rest))
    cosine = builder.intrinsic("fma", builder.multiply(z, z), c, builder.add(lost, turn))
    return builder.add(r, sine), builder.add(w, cosine)


def _polynomial(builder: Any, coefficients: tuple[float, ...], z: Value) -> Value:
    result = builder.constant(coefficients[0], _FLOAT64)
    for coefficient in coefficients[1:]:
        result = builder.intrinsic("fma", result, z, builder.constant(coefficient, _FLOAT64))
    return result


# The hyperbolic tangent

_LARGE_ARGUMENT = 0.55
_TANH = {
    4: (
        -0.006610227831114734, 0.021309388664443474, -0.05390942882746055, 0.1333311372902087,
        -0.3333333200797698,
    ),
    8: (
        -2.060276537636634e-05, 8.511313685577672e-05, -0.0002346347410887237,
        0.0005889360520074057, -0.001455661830100716, 0.003592110378689024,
        -0.008863234397814355, 0.021869488493666944, -0.053968253967434016,
        0.13333333333332714, -0.3333333333333333,
    ),
}  # fmt: skip
"""By the bytes of a number; the coefficient of the highest power first."""


def tanh(builder: Any, x: Value) -> Value:
    """Return tanh x for values of an ``LLVMScalarBuilder``."""
    one = builder.constant(1.0, x.dtype)
    size = builder.call("fabs", x)
    root = builder.call("exp", builder.negate(size))
    decay = builder.multiply(root, root)
    large = builder.divide(builder.subtract(one, decay), builder.add(one, decay))
    t = builder.multiply(x, x)
    first, *rest = _TANH[x.dtype.itemsize]
    p = builder.constant(first, x.dtype)
    for coefficient in rest:
        p = builder.multiply_add(p, t, builder.constant(coefficient, x.dtype))
    small = builder.multiply_add(builder.multiply(size, t), p, size)
    is_small = builder.less(size, builder.constant(_LARGE_ARGUMENT, x.dtype))
    return builder.call("copysign", builder.select(is_small, small, large), x)
