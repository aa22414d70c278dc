"""Division of vectors of integers by a number, as a product: processors divide one at a time.

For d > 2 that is no power of two, and l with 2ˡ⁻¹ < d < 2ˡ, the quotient of n < 2ʷ is
⌊n m / 2ʷ⁺ˡ⌋ with m = ⌈2ʷ⁺ˡ / d⌉ (Granlund, Montgomery: Division by invariant integers using
multiplication).  m has w + 1 bits.  A signed integer has a magnitude of w bits, one less than the
machine's product takes; of an unsigned one, the last bit of m is added afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.scalar import Value

LEAST_SIZE = 4
"""The bytes of the smallest integers for which this is faster than what LLVM does."""


def has_quotient(dtype: np.dtype[Any], divisor: int) -> bool:
    """Return whether :func:`quotient_by` is made for these integers."""
    size = abs(divisor)
    return dtype.itemsize >= LEAST_SIZE and size > 2 and size & (size - 1) != 0


def quotient_by(builder: Any, x: Value, divisor: int) -> Value:
    """Return x / ``divisor`` without its fraction, for vectors of an ``LLVMScalarBuilder``."""
    bits, length = 8 * x.dtype.itemsize, (abs(divisor) - 1).bit_length()
    if x.dtype.kind == "u":
        factor = -(-(1 << bits + length) // divisor) - (1 << bits)
        product = _high_product(builder, x, factor)
        half = builder.shift_right(builder.subtract(x, product), 1)
        return builder.shift_right(builder.add(half, product), length - 1)
    sign = builder.shift_right(x, bits - 1)
    size = builder.subtract(builder.bitwise_xor(x, sign), sign)
    size = builder.reinterpret(size, np.dtype(f"u{x.dtype.itemsize}"))
    factor = -(-(1 << bits - 1 + length) // abs(divisor))
    result = builder.shift_right(_high_product(builder, size, factor), length - 1)
    result = builder.reinterpret(result, x.dtype)
    sign = sign if divisor > 0 else builder.logical_not(sign)
    return builder.subtract(builder.bitwise_xor(result, sign), sign)


def _high_product(builder: Any, x: Value, factor: int) -> Value:
    """Return the upper half of the product of unsigned integers and a number of their size."""
    if x.dtype.itemsize == 8:
        return _high_product_of_words(builder, x, factor)
    pairs, both = builder.in_pairs(x)
    even = pairs.multiply(_low(pairs, both), pairs.constant(factor, both.dtype))
    odd = pairs.multiply(pairs.shift_right(both, 32), pairs.constant(factor, both.dtype))
    upper = pairs.logical_and(odd, pairs.constant(0xFFFFFFFF << 32, both.dtype))
    return builder.reinterpret(pairs.logical_or(pairs.shift_right(even, 32), upper), x.dtype)


def _high_product_of_words(builder: Any, x: Value, factor: int) -> Value:
    b, parts = builder, (factor & 0xFFFFFFFF, factor >> 32)
    low, high = (b.constant(part, x.dtype) for part in parts)
    x_low, x_high = _low(b, x), b.shift_right(x, 32)
    middle = b.add(b.multiply(x_high, low), b.shift_right(b.multiply(x_low, low), 32))
    other = b.add(b.multiply(x_low, high), _low(b, middle))
    result = b.add(b.multiply(x_high, high), b.shift_right(middle, 32))
    return b.add(result, b.shift_right(other, 32))


def _low(builder: Any, x: Value) -> Value:
    return builder.logical_and(x, builder.constant(0xFFFFFFFF, x.dtype))
