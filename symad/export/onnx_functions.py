"""Functions of C's library in ONNX: kernels of ONNX Runtime, and formulas of others.

ONNX Runtime has kernels for float64 of a few functions only.  The formulas lose a few units in the
last place at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.export.onnx_writer import OnnxArray

KERNELS = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh",
    "fabs": "Abs", "floor": "Floor", "ceil": "Ceil", "rint": "Round", "pow": "Pow", "fmod": "Mod",
}  # fmt: skip
"""Functions that ONNX Runtime computes in float32 and float64."""

OF_SINGLES = {
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf",
}  # fmt: skip
"""Functions that it computes in float32 only."""

FORMULAS: dict[str, Callable[..., OnnxArray]] = {}
"""Functions of a builder and arrays that compute what has no kernel."""

_LARGE = 2.0**28
"""Beyond it, 1 is lost when it is added to a square."""


def formula(function: Callable[..., OnnxArray]) -> Callable[..., OnnxArray]:
    """Put a function in the table under its name without the underscore."""
    FORMULAS[function.__name__[1:]] = function
    return function


def _odd(b: Any, x: OnnxArray, values: Callable[[OnnxArray], OnnxArray]) -> OnnxArray:
    """Return an odd function, computed for the magnitudes; -0.0 gives -0.0."""
    made: OnnxArray = values(b.call("fabs", x)) * b.call("copysign", x.beside(1), x)
    return made


def _sorted(b: Any, x: OnnxArray, y: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
    """Return the smaller and the larger of the magnitudes; NaN counts as larger."""
    first, second = b.call("fabs", x), b.call("fabs", y)
    ordered = first < second
    return b.select(ordered, first, second), b.select(ordered, second, first)


def polynomial(x: OnnxArray, coefficients: Any) -> OnnxArray:
    """Return a polynomial, whose coefficients come lowest first, by Horner's rule."""
    total = x.beside(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + float(coefficient)
    return total


@formula
def _trunc(b: Any, x: OnnxArray) -> OnnxArray:
    return b.select(x < 0, b.call("ceil", x), b.call("floor", x))  # type: ignore[no-any-return]


@formula
def _copysign(b: Any, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    """A product, since ONNX Runtime's ``Where`` makes -0.0 to 0.0; the sign of NaN is lost."""
    sign: OnnxArray = b.select((y < 0) | (1 / y < 0), y.beside(-1), 1)
    return b.call("fabs", x) * sign  # type: ignore[no-any-return]


@formula
def _exp2(b: Any, x: OnnxArray) -> OnnxArray:
    return b.call("pow", x.beside(2), x)  # type: ignore[no-any-return]


@formula
def _log2(b: Any, x: OnnxArray) -> OnnxArray:
    return b.call("log", x) / math.log(2)  # type: ignore[no-any-return]


@formula
def _log10(b: Any, x: OnnxArray) -> OnnxArray:
    return b.call("log", x) / math.log(10)  # type: ignore[no-any-return]


@formula
def _log1p(b: Any, x: OnnxArray) -> OnnxArray:
    """ln u · x/(u - 1), where u is 1 + x as it is rounded: the quotient mends the rounding."""
    u = 1 + x
    is_small = u.equals(1)
    quotient = b.select(u.equals(x), 1, x / b.select(is_small, 1, u - 1))
    return b.select(is_small, x, b.call("log", u) * quotient)  # type: ignore[no-any-return]


@formula
def _expm1(b: Any, x: OnnxArray) -> OnnxArray:
    """(u - 1) · x/ln u, where u is e^x as it is rounded."""
    u = b.call("exp", x)
    is_small = u.equals(1)
    mended = (u - 1) * (x / b.select(is_small, 1, b.call("log", u)))
    rest = b.select(b.call("fabs", x) < 30, mended, u - 1)
    return b.select(is_small, x, rest)  # type: ignore[no-any-return]


def _half_exponential(b: Any, size: OnnxArray) -> OnnxArray:
    """Return e^x/2, which is finite where e^x is too large."""
    root = b.call("exp", size * 0.5)
    return (root * 0.5) * root  # type: ignore[no-any-return]


@formula
def _sinh(b: Any, x: OnnxArray) -> OnnxArray:
    def values(size: OnnxArray) -> OnnxArray:
        less = b.call("expm1", size)
        near = (less + less / (less + 1)) * 0.5
        return b.select(size < 30, near, _half_exponential(b, size))  # type: ignore[no-any-return]

    return _odd(b, x, values)


@formula
def _cosh(b: Any, x: OnnxArray) -> OnnxArray:
    size = b.call("fabs", x)
    half = _half_exponential(b, size)
    return half + 0.25 / half


@formula
def _tan(b: Any, x: OnnxArray) -> OnnxArray:
    return b.call("sin", x) / b.call("cos", x)  # type: ignore[no-any-return]


@formula
def _atan(b: Any, x: OnnxArray) -> OnnxArray:
    """The kernel for float32 gives a; the tangent of what is missing is (x - tan a)/(1 + x tan a).

    The angle of so small a tangent is the tangent itself.
    """

    def values(size: OnnxArray) -> OnnxArray:
        steep = size > 1
        slope = b.select(steep, 1 / size, size)
        angle = b.convert(b.compute("Atan", b.convert(slope, "float32")), x.dtype)
        sine, cosine = b.call("sin", angle), b.call("cos", angle)
        mended = angle + (slope * cosine - sine) / (cosine + slope * sine)
        return b.select(steep, math.pi / 2 - mended, mended)  # type: ignore[no-any-return]

    return _odd(b, x, values)


@formula
def _asin(b: Any, x: OnnxArray) -> OnnxArray:
    return _atan(b, x / b.call("sqrt", (1 - x) * (1 + x)))


@formula
def _acos(b: Any, x: OnnxArray) -> OnnxArray:
    return 2 * _atan(b, b.call("sqrt", (1 - x) / (1 + x)))


@formula
def _atan2(b: Any, y: OnnxArray, x: OnnxArray) -> OnnxArray:
    less, more = _sorted(b, y, x)
    slope = b.select(less.equals(more), b.select(more.equals(0), more, 1), less / more)
    angle = b.call("atan", slope)
    angle = b.select(b.call("fabs", y) > b.call("fabs", x), math.pi / 2 - angle, angle)
    behind = b.call("copysign", x.beside(1), x) < 0
    return b.call("copysign", b.select(behind, math.pi - angle, angle), y)  # type: ignore[no-any-return]


@formula
def _hypot(b: Any, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    less, more = _sorted(b, x, y)
    ratio = less / b.select(more.equals(0), 1, more)
    length = more * b.call("sqrt", 1 + ratio * ratio)
    is_infinite = less.equals(np.inf) | more.equals(np.inf)
    return b.select(is_infinite, np.inf, length)  # type: ignore[no-any-return]


@formula
def _cbrt(b: Any, x: OnnxArray) -> OnnxArray:
    """A power, and a step of Newton's."""

    def values(size: OnnxArray) -> OnnxArray:
        root = b.call("pow", size, size.beside(1 / 3))
        is_end = size.equals(0) | size.equals(np.inf)
        return b.select(is_end, size, root - (root - size / (root * root)) / 3)  # type: ignore[no-any-return]

    return _odd(b, x, values)


@formula
def _asinh(b: Any, x: OnnxArray) -> OnnxArray:
    def values(size: OnnxArray) -> OnnxArray:
        square = size * size
        near = b.call("log1p", size + square / (1 + b.call("sqrt", square + 1)))
        far = b.call("log", size) + math.log(2)
        return b.select(size < _LARGE, near, far)  # type: ignore[no-any-return]

    return _odd(b, x, values)


@formula
def _acosh(b: Any, x: OnnxArray) -> OnnxArray:
    more = x - 1
    near = b.call("log1p", more + b.call("sqrt", more) * b.call("sqrt", more + 2))
    return b.select(x > _LARGE, b.call("log", x) + math.log(2), near)  # type: ignore[no-any-return]


@formula
def _atanh(b: Any, x: OnnxArray) -> OnnxArray:
    return _odd(b, x, lambda size: 0.5 * b.call("log1p", 2 * size / (1 - size)))


# The error function

_TERMS = 18


@formula
def _erf(b: Any, x: OnnxArray) -> OnnxArray:
    return b.select(b.call("fabs", x) < 1, _erf_series(x), 1 - _erfc(b, x))  # type: ignore[no-any-return]


def _erf_series(x: OnnxArray) -> OnnxArray:
    """2/√π Σ (-1)ⁿ x^(2n+1) / (n! (2n + 1)), for |x| ≤ 1."""
    terms = [(-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(_TERMS)]
    return x * polynomial(x * x, [2 / math.sqrt(math.pi) * term for term in terms])


@formula
def _erfc(b: Any, x: OnnxArray) -> OnnxArray:
    """1 - erf x near 0; else e^(-x²) times :func:`_scaled_tail`, in which x² is not rounded."""
    size = b.call("fabs", x)
    head = b.convert(b.convert(size, "float32"), x.dtype) if x.dtype.itemsize == 8 else size
    decay = b.call("exp", -head * head) * b.call("exp", (head - size) * (head + size))
    tail = b.select(size > 40, 0, decay * _scaled_tail(size))
    far = b.select(x < 0, 2 - tail, tail)
    is_near = b.select(x < 0, size < 1, size < 0.5)
    return b.select(x.equals(x), b.select(is_near, 1 - _erf_series(x), far), x)  # type: ignore[no-any-return]


def _scaled_tail(x: OnnxArray) -> OnnxArray:
    """Return e^(x²) erfc(x) for x ≥ 1/2, a polynomial of (x - 3)/(x + 3) times 1/(1 + 2x)."""
    from scipy import special

    def values(t: Any) -> Any:
        z = 3 * (1 + t) / (1 - t)
        return special.erfcx(z) * (1 + 2 * z)

    low, high = (0.5 - 3) / (0.5 + 3), 1 - 1e-9
    fitted = np.polynomial.Chebyshev.interpolate(values, 26, [low, high])
    coefficients = fitted.convert(kind=np.polynomial.Polynomial, domain=[-1, 1]).coef
    return polynomial((x - 3) / (x + 3), coefficients) / (1 + 2 * x)
