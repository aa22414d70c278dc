"""Functions of C's library, and others, of which ONNX Runtime has no kernel for float64.

The formulas lose a few units in the last place at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.export.onnx_elements import OnnxBuilder
from symad.export.onnx_table import FORMULAS, AnyFunction
from symad.export.onnx_writer import OnnxArray

_LARGE = 2.0**28
"""Beyond it, 1 is lost when it is added to a square."""


def formula(function: AnyFunction) -> AnyFunction:
    """Put a function in the table under its name without the underscore."""
    FORMULAS[function.__name__[1:]] = function
    return function


def odd(b: OnnxBuilder, x: OnnxArray, values: Callable[[OnnxArray], OnnxArray]) -> OnnxArray:
    """Return an odd function, computed for the magnitudes; -0.0 gives -0.0."""
    return values(b.call("fabs", x)) * b.call("copysign", x.beside(1), x)


def _sorted(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
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
def _trunc(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.select(x < 0, b.call("ceil", x), b.call("floor", x))


@formula
def _copysign(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    """A product; the sign of NaN is lost."""
    sign = b.select((y < 0) | (1 / y < 0), y.beside(-1), 1)
    return b.call("fabs", x) * sign


@formula
def _exp2(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.call("pow", x.beside(2), x)


@formula
def _log2(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.call("log", x) / math.log(2)


@formula
def _log10(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.call("log", x) / math.log(10)


@formula
def _log1p(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """ln u · x/(u - 1), where u is 1 + x as it is rounded: the quotient mends the rounding."""
    u = 1 + x
    is_small = u.equals(1)
    quotient = b.select(u.equals(x), 1, x / b.select(is_small, 1, u - 1))
    return b.select(is_small, x, b.call("log", u) * quotient)


@formula
def _expm1(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """(u - 1) · x/ln u, where u is e^x as it is rounded."""
    u = b.call("exp", x)
    is_small = u.equals(1)
    mended = (u - 1) * (x / b.select(is_small, 1, b.call("log", u)))
    rest = b.select(b.call("fabs", x) < 30, mended, u - 1)
    return b.select(is_small, x, rest)


def _half_exponential(b: OnnxBuilder, size: OnnxArray) -> OnnxArray:
    """Return e^x/2, which is finite where e^x is too large."""
    root = b.call("exp", size * 0.5)
    return (root * 0.5) * root


@formula
def _sinh(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    def values(size: OnnxArray) -> OnnxArray:
        less = b.call("expm1", size)
        near = (less + less / (less + 1)) * 0.5
        return b.select(size < 30, near, _half_exponential(b, size))

    return odd(b, x, values)


@formula
def _cosh(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    size = b.call("fabs", x)
    half = _half_exponential(b, size)
    return half + 0.25 / half


@formula
def _tan(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """2 sin² x / sin 2x, in which no digits cancel at the poles."""
    sine, is_zero = b.call("sin", x), x.equals(0)
    ratio = 2 * sine / b.select(is_zero, 1, b.call("sin", 2 * x))
    return b.select(is_zero, x, sine * ratio)


@formula
def _atan(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """The kernel for float32 gives a; the tangent of what is missing is (x - tan a)/(1 + x tan a).

    The angle of so small a tangent is the tangent itself.
    """

    def values(size: OnnxArray) -> OnnxArray:
        steep = size > 1
        slope = b.select(steep, 1 / size, size)
        angle = b.convert(b.compute("Atan", b.convert(slope, "float32")), x.dtype)
        sine, cosine = b.call("sin", angle), b.call("cos", angle)
        mended = angle + (slope * cosine - sine) / (cosine + slope * sine)
        return b.select(steep, math.pi / 2 - mended, mended)

    return odd(b, x, values)


@formula
def _asin(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return _atan(b, x / b.call("sqrt", (1 - x) * (1 + x)))


@formula
def _acos(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return 2 * _atan(b, b.call("sqrt", (1 - x) / (1 + x)))


@formula
def _atan2(b: OnnxBuilder, y: OnnxArray, x: OnnxArray) -> OnnxArray:
    less, more = _sorted(b, y, x)
    slope = b.select(less.equals(more), b.select(more.equals(0), more, 1), less / more)
    angle = b.call("atan", slope)
    angle = b.select(b.call("fabs", y) > b.call("fabs", x), math.pi / 2 - angle, angle)
    behind = b.call("copysign", x.beside(1), x) < 0
    return b.call("copysign", b.select(behind, math.pi - angle, angle), y)


@formula
def _hypot(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    less, more = _sorted(b, x, y)
    ratio = less / b.select(more.equals(0), 1, more)
    length = more * b.call("sqrt", 1 + ratio * ratio)
    is_infinite = less.equals(np.inf) | more.equals(np.inf)
    return b.select(is_infinite, np.inf, length)


@formula
def _cbrt(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """A power, and a step of Newton's."""

    def values(size: OnnxArray) -> OnnxArray:
        root = b.call("pow", size, size.beside(1 / 3))
        is_end = size.equals(0) | size.equals(np.inf)
        return b.select(is_end, size, root - (root - size / (root * root)) / 3)

    return odd(b, x, values)


@formula
def _asinh(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    def values(size: OnnxArray) -> OnnxArray:
        square = size * size
        near = b.call("log1p", size + square / (1 + b.call("sqrt", square + 1)))
        far = b.call("log", size) + math.log(2)
        return b.select(size < _LARGE, near, far)

    return odd(b, x, values)


@formula
def _acosh(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    more = x - 1
    near = b.call("log1p", more + b.call("sqrt", more) * b.call("sqrt", more + 2))
    return b.select(x > _LARGE, b.call("log", x) + math.log(2), near)


@formula
def _atanh(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return odd(b, x, lambda size: 0.5 * b.call("log1p", 2 * size / (1 - size)))
