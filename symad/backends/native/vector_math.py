"""Sine and cosine of one float64, which together cost little more than one.

x = n π/2 + r with |r| ≤ π/4, where n is the integer next to 2x/π.  π/2 is taken in three parts, of
which n times the first two is exact, and r in two, so that it has all its digits beside multiples
of π/2 as well.  Then sin r = r + r³ S(r²) and cos r = 1 − r²/2 + r⁴ C(r²), with polynomials of
degree 5 that interpolate at Chebyshev points: their error is below 2⁻⁵⁶ of the result.  The
quadrant n says which of the two it is, and its sign.  The result is within one unit in the last
place of the exact one.  Large numbers, infinities and NaN are left to the C library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.scalar import Value

_FLOAT64, _INT64 = np.dtype("float64"), np.dtype("int64")
_BOOLEAN = np.dtype(bool)

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
