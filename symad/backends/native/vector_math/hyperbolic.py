"""The hyperbolic tangent in a few instructions, from the exponential.

From 0.55 on, tanh x = (1 − e) / (1 + e) with e = exp(−2x), made as the square of exp(−x).  Below,
where 1 − e would lose digits, tanh x = x + x t p(t) with t = x²; p is Chebyshev's approximation of
(tanh x / x − 1) / t, whose error is 0.02 of the last place of float64, 0.07 of that of float32.
The error of the result is at most three units in the last place if that of the exponential is at
most one.
"""

from __future__ import annotations

from typing import Any

from symad.graph.scalar import Value

_LARGE = 0.55
_POLYNOMIALS = {
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
"""Coefficients by the size of a number in bytes, highest power first."""


def tanh(builder: Any, x: Value) -> Value:
    """Return tanh x for values of an ``LLVMScalarBuilder``."""
    one = builder.constant(1.0, x.dtype)
    size = builder.call("fabs", x)
    root = builder.call("exp", builder.negate(size))
    decay = builder.multiply(root, root)
    large = builder.divide(builder.subtract(one, decay), builder.add(one, decay))
    t = builder.multiply(x, x)
    first, *rest = _POLYNOMIALS[x.dtype.itemsize]
    p = builder.constant(first, x.dtype)
    for coefficient in rest:
        p = builder.multiply_add(p, t, builder.constant(coefficient, x.dtype))
    small = builder.multiply_add(builder.multiply(size, t), p, size)
    is_small = builder.less(size, builder.constant(_LARGE, x.dtype))
    return builder.call("copysign", builder.select(is_small, small, large), x)
