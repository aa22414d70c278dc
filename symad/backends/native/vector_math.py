"""Elementary functions as instructions: exponentials, logarithms, tanh of vectors; sine, cosine.

Those of vectors take 20 to 40 instructions, a third to a half of what the vector functions of the
C library take.  x = n ln 2 + r with an integer n and |r| ≤ ln 2 / 2; ln 2 is taken in two parts, of
which n times the first is exact.

* eˣ = 2ⁿ (1 + q) with q = eʳ − 1 = r + r² p(r).  The result is within one unit in the last place of
  the exact one, also where it is subnormal.
* tanh x = t / (t + 2) with t = e²ˣ − 1 = 2ⁿ q + (2ⁿ − 1), which has all its digits near 0 as well.
  The result is within three units.
* ln x, of 2ⁿ m with √½ ≤ m < √2 and f = m − 1: n ln 2 + f − f²/2 + s (f²/2 + z R(z)) with
  s = f / (2 + f) and z = s².  The result is within one unit.

The polynomials p and R are nearly as good as can be (weighted least squares and interpolation at
Chebyshev points): p changes eˣ by at most 3·10⁻⁹ for float32, and q by 2⁻⁵⁵ of it for float64.

Sine and cosine of one float64 together cost little more than one.  x = n π/2 + r with |r| ≤ π/4,
where n is the integer next to 2x/π.  π/2 is taken in three parts, of which n times the first two is
exact, and r in two, so that it has all its digits beside multiples of π/2 as well.  Then sin r = r
+ r³ S(r²) and cos r = 1 − r²/2 + r⁴ C(r²), with polynomials of degree 5 that interpolate at
Chebyshev points: their error is below 2⁻⁵⁶ of the result.  The quadrant n says which of the two it
is, and its sign.  The result is within one unit in the last place of the exact one.  Large numbers,
infinities and NaN are left to the C library.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symad.graph.scalar import Value


class Format(NamedTuple):
    """What depends on the dtype.

    Attributes
    ----------
    integer, unsigned : dtype
        Of the same size.
    fraction : int
        How many bits are after the exponent.
    least, most : float
        Below the one eˣ is 0, above the other it is infinite.
    log2 : pair of float
        ln 2 as the sum of two numbers, of which the first has few digits.
    exponential, logarithm : tuple of float
        The coefficients of p and R, that of the highest power first.
    """

    integer: np.dtype[Any]
    unsigned: np.dtype[Any]
    fraction: int
    least: float
    most: float
    log2: tuple[float, float]
    exponential: tuple[float, ...]
    logarithm: tuple[float, ...] = ()


FORMATS = {
    4: Format(
        np.dtype("int32"), np.dtype("uint32"), 23, -104.0, 89.0,
        (0.693145751953125, 1.428606820309417e-06),
        (0.0013814590, 0.0083687173, 0.0416683882, 0.1666652063, 0.4999999345),
    ),
    8: Format(
        np.dtype("int64"), np.dtype("uint64"), 52, -746.0, 710.0,
        (0.6931471805598903, 5.497923018708371e-14),
        (2.5113466204268504e-08, 2.7626766856162777e-07, 2.7557231196431494e-06,
         2.480150336340609e-05, 0.00019841269899335655, 0.0013888888933261988,
         0.008333333333316324, 0.04166666666657095, 0.16666666666666682, 0.5000000000000006),
        (0.14617807153417325, 0.15331611722055008, 0.1818289243253687, 0.22222211089379496,
         0.28571428626253836, 0.3999999999989889, 0.666666666666667),
    ),
}  # fmt: skip
"""By the bytes of a number."""


class FloatWriter:
    """Writes instructions on vectors of one dtype of floats."""

    def __init__(self, builder: Any, dtype: np.dtype[Any]) -> None:
        self.builder, self.dtype = builder, dtype
        self.format = FORMATS[dtype.itemsize]
        shifter = 1.5 * 2.0**self.format.fraction
        self._shifter, self._shifter_bits = self.number(shifter), self.bits(shifter)

    # Numbers

    def number(self, value: float) -> Value:
        """Return a number in all lanes."""
        return self.builder.constant(value, self.dtype)

    def integer(self, value: int) -> Value:
        """Return an integer of the size of a number in all lanes."""
        return self.builder.constant(value, self.format.integer)

    def bits(self, value: float) -> int:
        """Return the bits of a number."""
        return int(self.dtype.type(value).view(self.format.integer))

    def polynomial(self, coefficients: Sequence[float], x: Value) -> Value:
        """Return a polynomial, by Estrin's scheme: few of its steps wait for one another."""
        terms = [self.number(coefficient) for coefficient in reversed(coefficients)]
        while len(terms) > 1:
            pairs = itertools.zip_longest(terms[::2], terms[1::2])
            terms = [
                low if high is None else self.builder.multiply_add(high, x, low)
                for low, high in pairs
            ]
            x = self.builder.multiply(x, x) if len(terms) > 1 else x
        return terms[0]

    # Exponents

    def nearest(self, shifted: Value) -> tuple[Value, Value]:
        """Return an integer as a float, and as an integer, from its sum with a large number.

        The sum has no digits after the point, and its last bits are those of the integer.
        """
        b = self.builder
        bits = b.reinterpret(shifted, self.format.integer)
        whole = b.subtract(shifted, self._shifter)
        return whole, b.subtract(bits, self.integer(self._shifter_bits))

    def shifted(self, x: Value, factor: float = 1.0) -> Value:
        """Return the sum of ``factor`` x with a large number: see :meth:`nearest`."""
        if factor == 1.0:
            return self.builder.add(x, self._shifter)
        return self.builder.multiply_add(x, self.number(factor), self._shifter)

    def times_power(self, x: Value, n: Value) -> Value:
        """Return x 2ⁿ where both are normal numbers; ``n`` holds integers."""
        b = self.builder
        added = b.shift_left(n, self.format.fraction)
        return b.reinterpret(b.add(b.reinterpret(x, self.format.integer), added), self.dtype)

    def parts(self, x: Value) -> tuple[Value, Value]:
        """Return n, as a float, and m with x = 2ⁿ m and √½ ≤ m < √2, if x is positive and normal.

        For other numbers both are finite, and m lies there too.
        """
        b = self.builder
        bits = b.reinterpret(x, self.format.integer)
        n = b.subtract(bits, self.integer(self.bits(math.sqrt(0.5))))
        n = b.shift_right(n, self.format.fraction)
        m = b.subtract(bits, b.shift_left(n, self.format.fraction))
        whole = b.reinterpret(b.add(n, self.integer(self._shifter_bits)), self.dtype)
        return b.subtract(whole, self._shifter), b.reinterpret(m, self.dtype)

    def reduced(self, x: Value, doubled: bool = False) -> tuple[Value, Value, Value]:
        """Return n, as a float and as an integer, and eʳ − 1; of 2x if ``doubled``."""
        b, factor = self.builder, 1 + doubled
        whole, n = self.nearest(self.shifted(x, factor / math.log(2)))
        high, low = self.format.log2
        r = b.multiply_add(whole, self.number(-high / factor), x)
        r = b.multiply_add(whole, self.number(-low / factor), r)
        r = b.add(r, r) if doubled else r
        p = self.polynomial(self.format.exponential, r)
        return whole, n, b.multiply_add(b.multiply(r, r), p, r)


def exponential(builder: Any, x: Value) -> Value:
    """Return eˣ for vectors of an ``LLVMScalarBuilder``."""
    writer = FloatWriter(builder, x.dtype)
    least, most = (writer.number(edge) for edge in (writer.format.least, writer.format.most))
    x = builder.select(builder.less(x, least), least, x)  # NaN stays
    x = builder.select(builder.less(most, x), most, x)
    whole, n, q = writer.reduced(x)
    result = builder.add(writer.number(1.0), q)
    if builder.can_scale(x.dtype):
        return builder.scale(result, whole)
    # 2ⁿ may be no normal number, but its two halves are: rounded once
    half = builder.shift_right(n, 1)
    power = writer.times_power(writer.number(1.0), builder.subtract(n, half))
    return builder.multiply(writer.times_power(result, half), power)


_SATURATED = 22.0
"""From here on, tanh is 1."""


def hyperbolic_tangent(builder: Any, x: Value) -> Value:
    """Return tanh x for vectors of an ``LLVMScalarBuilder``."""
    writer = FloatWriter(builder, x.dtype)
    size, most = builder.call("fabs", x), writer.number(_SATURATED)
    size = builder.select(builder.less(most, size), most, size)  # NaN stays
    _, n, q = writer.reduced(size, doubled=True)
    power = writer.times_power(writer.number(1.0), n)
    less = builder.multiply_add(power, q, builder.subtract(power, writer.number(1.0)))
    result = builder.divide(less, builder.add(less, writer.number(2.0)))
    return builder.call("copysign", result, x)


def natural_logarithm(builder: Any, x: Value) -> Value:
    """Return ln x for vectors of float64 of an ``LLVMScalarBuilder``."""
    b, writer = builder, FloatWriter(builder, x.dtype)
    zero, infinity = writer.number(0.0), writer.number(math.inf)
    is_small = b.less(x, writer.number(float(np.finfo(x.dtype).tiny)))
    scaled = b.multiply(x, writer.number(2.0 ** (writer.format.fraction + 2)))
    whole, m = writer.parts(b.select(is_small, scaled, x))
    less = b.subtract(whole, writer.number(writer.format.fraction + 2))
    whole = b.select(is_small, less, whole)
    f = b.subtract(m, writer.number(1.0))
    s = b.divide(f, b.add(f, writer.number(2.0)))
    z = b.multiply(s, s)
    half = b.multiply(b.multiply(f, writer.number(0.5)), f)
    rest = b.multiply_add(z, writer.polynomial(writer.format.logarithm, z), half)
    high, low = (writer.number(part) for part in writer.format.log2)
    rest = b.multiply_add(s, rest, b.multiply(whole, low))
    result = b.multiply_add(whole, high, b.subtract(f, b.subtract(half, rest)))
    result = b.select(b.less(x, infinity), result, x)  # infinity and NaN
    outside = b.select(b.equal(x, zero), b.negate(infinity), writer.number(math.nan))
    return b.select(b.less(zero, x), result, outside)


# Sine and cosine

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
