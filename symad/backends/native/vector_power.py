"""Powers of vectors of floats, in some 80 instructions.

xʸ = 2^(y log₂ x), where the exponent needs more digits than a number has: it is a sum of two.

x = 2ⁿ m with √½ ≤ m < √2.  With s = (m − 1) / (m + 1) and z = s², log₂ m = s (c + c z / 3 +
z² R(z)) with c = 2 / ln 2.  The quotient s, its square, the first two terms and the last product
are sums of two numbers; R is a polynomial.  y log₂ x = k + r with an integer k and |r| ≤ ½, and
2ʳ = 1 + r q(r).  Both polynomials interpolate at Chebyshev points: R changes the exponent by
2⁻⁶⁵ of itself, q the result by 2⁻⁵⁵ (float32: 2⁻³³ and 2⁻²⁷).  The result is within one unit in
the last place for float64, and three for float32.

The sign of negative numbers is added afterwards.  Powers of numbers that are not normal, and those
that are not normal themselves, are left to the C library, which is called only if a vector has any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.backends.native.vector_math import FloatWriter
from symad.graph.scalar import Value
from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class _Constants:
    """What depends on the dtype.

    Attributes
    ----------
    first : pair of float
        c as a sum of two numbers.
    second : pair of float
        c / 3 in the same way; empty if R has it, because the exponent needs few digits.
    logarithm, exponential : tuple of float
        The coefficients of R and q, that of the highest power first.
    most : float
        Up to this exponent, also if it is negative, a power is a normal number.
    """

    first: tuple[float, float]
    second: tuple[float, ...]
    logarithm: tuple[float, ...]
    exponential: tuple[float, ...]
    most: float


_CONSTANTS = {
    4: _Constants(
        (2.885390043258667, 3.851926067000022e-08),
        (),
        (0.33251578810422755, 0.41206596375915217, 0.5770782335642217, 0.9617966939259756),
        (0.00015453262409320672, 0.0013390978248123866, 0.00961808237061666, 0.05550356898627073,
         0.24022650760957306, 0.6931471880711763),
        126.0,
    ),
    8: _Constants(
        (2.8853900817779268, 4.0710547481862066e-17),
        (0.9617966939259756, 5.0577616648125907e-17),
        (0.16914628508443877, 0.16888370598444666, 0.19238062525249075, 0.2219527874957096,
         0.2623081914783527, 0.32059889796710966, 0.41219858311114393, 0.5770780163555853),
        (4.4549983631048684e-10, 7.072656799362923e-09, 1.0178062256646543e-07,
         1.3215442232969344e-06, 1.5252733830147138e-05, 0.00015403530442319546,
         0.001333355814641675, 0.009618129107606541, 0.0555041086648216, 0.240226506959101,
         0.6931471805599453),
        1022.0,
    ),
}  # fmt: skip
"""By the bytes of a number."""

_Pair = tuple[Value, Value]
"""A number as the sum of two, of which the second is much smaller."""


def power(builder: Any, x: Value, y: Value) -> Value:
    """Return xʸ for vectors of floats of an ``LLVMScalarBuilder``."""
    return _PowerWriter(builder, x.dtype).power(x, y)


class _PowerWriter(FloatWriter):
    """Writes the instructions of a power."""

    def __init__(self, builder: Any, dtype: np.dtype[Any]) -> None:
        super().__init__(builder, dtype)
        self._constants = _CONSTANTS[dtype.itemsize]

    def power(self, x: Value, y: Value) -> Value:
        """Return xʸ."""
        b = self.builder
        size = b.call("fabs", x)
        exponent, rest = self._times(y, *self._logarithm(size))
        result = self._exponential(exponent, rest)
        fits = b.less(b.call("fabs", exponent), self.number(self._constants.most))
        usual = b.logical_and(self._is_positive_and_normal(x), fits)

        def signed() -> Value:
            known = b.logical_and(self._is_positive_and_normal(size), fits)
            negative = self._of_negative(y, result)
            value = b.select(b.less(x, self.number(0.0)), negative, result)
            return b.unless(known, value, lambda: b.call_library("pow", x, y))

        return b.unless(usual, result, signed)

    def _of_negative(self, y: Value, result: Value) -> Value:
        """Return the power of a negative number from that of its magnitude."""
        b, half = self.builder, self.builder.multiply(y, self.number(0.5))
        is_odd = b.logical_not(b.equal(b.call("trunc", half), half))
        value = b.select(is_odd, b.negate(result), result)
        is_integer = b.equal(b.call("trunc", y), y)
        return b.select(is_integer, value, self.number(np.nan))

    def _is_positive_and_normal(self, x: Value) -> Value:
        b, unsigned = self.builder, self.format.unsigned
        least, infinity = self.bits(np.finfo(self.dtype).tiny), self.bits(np.inf)
        above = b.subtract(b.reinterpret(x, unsigned), b.constant(least, unsigned))
        return b.less(above, b.constant(infinity - least, unsigned))

    # Sums of two numbers

    def _fma(self, x: Value, y: Value, z: Value) -> Value:
        return self.builder.intrinsic("fma", x, y, z)

    def _sum(self, x: Value, y: Value) -> _Pair:
        """Return x + y, where x is 0 or the larger one."""
        total = self.builder.add(x, y)
        return total, self.builder.add(self.builder.subtract(x, total), y)

    def _times(self, x: Value, y: Value, rest: Value) -> _Pair:
        """Return x (y + rest)."""
        product = self.builder.multiply(x, y)
        lost = self._fma(x, y, self.builder.negate(product))
        return product, self._fma(x, rest, lost)

    # The two functions

    def _logarithm(self, x: Value) -> _Pair:
        """Return log₂ x of a positive normal number, and some number for others."""
        b, constants = self.builder, self._constants
        whole, m = self.parts(x)
        s, s_rest = self._quotient(m)
        t, t_rest = self._above_first(s, s_rest)
        first, first_rest = map(self.number, constants.first)
        u, u_rest = self._sum(first, t)
        u_rest = b.add(u_rest, b.add(t_rest, first_rest))
        part, part_rest = self._times(s, u, u_rest)
        part_rest = self._fma(s_rest, u, part_rest)
        high, low = self._sum(whole, part)
        return high, b.add(low, part_rest)

    def _above_first(self, s: Value, s_rest: Value) -> _Pair:
        """Return c z / 3 + z² R(z)."""
        b, constants = self.builder, self._constants
        if not constants.second:
            z, (*above, last) = b.multiply(s, s), constants.logarithm
            tail = self._fma(self.polynomial(above, z), z, self.number(last))
            return b.multiply(z, tail), self.number(0.0)
        z, z_rest = self._times(s, s, b.add(s_rest, s_rest))
        tail = self.polynomial(constants.logarithm, z)
        second, second_rest = map(self.number, constants.second)
        t, t_rest = self._times(second, z, z_rest)
        t_rest = self._fma(second_rest, z, t_rest)
        return self._sum(t, self._fma(b.multiply(z, z), tail, t_rest))

    def _quotient(self, m: Value) -> _Pair:
        """Return (m − 1) / (m + 1)."""
        b, one = self.builder, self.number(1.0)
        above, below = b.subtract(m, one), b.add(m, one)
        lost = b.subtract(m, b.subtract(below, one))
        inverse = b.divide(one, below)
        s = b.multiply(above, inverse)
        minus = b.negate(s)
        remainder = self._fma(minus, lost, self._fma(minus, below, above))
        return s, b.multiply(remainder, inverse)

    def _exponential(self, exponent: Value, rest: Value) -> Value:
        """Return 2ᵉ of a sum of two numbers, if that is a normal number."""
        b = self.builder
        whole, k = self.nearest(self.shifted(exponent))
        r = b.add(b.subtract(exponent, whole), rest)
        *above, last = self._constants.exponential
        q = self._fma(self.polynomial(above, r), r, self.number(last))
        return self.times_power(self._fma(r, q, self.number(1.0)), k)
