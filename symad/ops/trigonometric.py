"""Trigonometric and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.node import Node
from symad.graph.sample import Sample, fixed, reals
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.arithmetic import sqrt
from symad.ops.base import Binary, Unary, mask, register
from symad.ops.comparison import not_equal

_EDGES = fixed([0.0, -0.0, np.inf, -np.inf, np.nan])
_UNIT_EDGES = fixed([0.0, 1.0, -1.0, 1.5, np.nan])


class Sin(Unary):
    """Return the sine of ``x`` (radians), element by element; NaN at ±inf.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sin(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "sin"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.sin
    element = "sin"
    latex = r"\sin {0}"
    chain = (lambda v, y, x: v * cos(x),)
    samples = (
        Sample(lambda x: sin(x), [reals(3)]),
        Sample(
            lambda x: sin(x), [_EDGES], lambda x: np.array([0.0, -0.0, np.nan, np.nan, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Cos(Unary):
    """Return the cosine of ``x`` (radians), element by element; NaN at ±inf.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cos(sm.constant(0.0)).eval()
    np.float64(1.0)
    """

    name = "cos"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.cos
    element = "cos"
    latex = r"\cos {0}"
    chain = (lambda v, y, x: -(v * sin(x)),)
    samples = (
        Sample(lambda x: cos(x), [reals(3)]),
        Sample(
            lambda x: cos(x), [_EDGES], lambda x: np.array([1.0, 1.0, np.nan, np.nan, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Tan(Unary):
    """Return the tangent of ``x`` (radians), element by element; NaN at ±inf.

    Examples
    --------
    >>> import symad as sm
    >>> sm.tan(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "tan"
    operations = ELEMENTARY
    numpy = np.tan
    element = "tan"
    latex = r"\tan {0}"
    chain = (lambda v, y, x: v * (1 + y * y),)
    samples = (
        Sample(
            lambda x: tan(x), [reals(3, 2, low=-1.2, high=1.2)], lambda x: np.sin(x) / np.cos(x)
        ),
    )


class Asin(Unary):
    """Return the angle in [-π/2, π/2] whose sine is ``x``, element by element; NaN beyond ±1.

    The derivative is inf at ±1; it is computed as 1/√((1 - x)(1 + x)), which loses nothing there.

    Examples
    --------
    >>> import symad as sm
    >>> sm.asin(sm.constant(1.0)).eval()
    np.float64(1.5707963267948966)
    """

    name = "asin"
    operations = ELEMENTARY
    numpy = np.arcsin
    element = "asin"
    latex = r"\arcsin {0}"
    chain = (lambda v, y, x: v / sqrt((1 - x) * (1 + x)),)
    samples = (
        Sample(
            lambda x: asin(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.arctan(x / np.sqrt(1 - x * x)),
        ),
        Sample(
            lambda x: asin(x), [_UNIT_EDGES],
            lambda x: np.array([0.0, np.pi / 2, -np.pi / 2, np.nan, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Acos(Unary):
    """Return the angle in [0, π] whose cosine is ``x``, element by element; NaN beyond ±1.

    The derivative is -inf at ±1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.acos(sm.constant(0.0)).eval()
    np.float64(1.5707963267948966)
    """

    name = "acos"
    operations = ELEMENTARY
    numpy = np.arccos
    element = "acos"
    latex = r"\arccos {0}"
    chain = (lambda v, y, x: -(v / sqrt((1 - x) * (1 + x))),)
    samples = (
        Sample(
            lambda x: acos(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.pi / 2 - np.arctan(x / np.sqrt(1 - x * x)),
        ),
        Sample(
            lambda x: acos(x), [_UNIT_EDGES],
            lambda x: np.array([np.pi / 2, 0.0, np.pi, np.nan, np.nan]), order=0, label="special",
        ),
    )  # fmt: skip


class Atan(Unary):
    """Return the angle in [-π/2, π/2] whose tangent is ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.atan(sm.constant(1.0)).eval()
    np.float64(0.7853981633974483)
    """

    name = "atan"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.arctan
    element = "atan"
    latex = r"\arctan {0}"
    chain = (lambda v, y, x: v / (1 + x * x),)
    samples = (
        Sample(lambda x: atan(x), [reals(3, 2)], lambda x: np.arcsin(x / np.sqrt(1 + x * x))),
        Sample(
            lambda x: atan(x), [_EDGES],
            lambda x: np.array([0.0, -0.0, np.pi / 2, -np.pi / 2, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


def _over_square(z: Node, y: Node, x: Node) -> Node:
    """Return z / (x² + y²), which does not overflow where x² does."""
    r = hypot(y, x)
    return z / r / r


class Atan2(Binary):
    """Return the angle of the point (``y``, ``x``) from the x axis, in [-π, π].

    As in NumPy and C, the first operand is y and the second x.  The derivatives are x/r² and
    -y/r²; at the origin they are NaN, as the angle has no limit there.

    Examples
    --------
    >>> import symad as sm
    >>> sm.atan2(sm.constant([1.0, 0.0]), sm.constant([0.0, -1.0])).eval()
    array([1.57079633, 3.14159265])
    """

    name = "atan2"
    operations = ELEMENTARY
    numpy = np.arctan2
    element = "atan2"
    chain = (
        lambda v, angle, y, x: v * _over_square(x, y, x),
        lambda v, angle, y, x: -(v * _over_square(y, y, x)),
    )
    samples = (
        Sample(
            lambda y, x: atan2(y, x), [fixed([0.7, -1.2, 2.0]), fixed([[1.1], [-0.4]])],
            lambda y, x: 2 * np.arctan(y / (np.sqrt(x * x + y * y) + x)),
        ),
        Sample(
            lambda y, x: atan2(y, x),
            [fixed([0.0, 0.0, -0.0, np.inf, 1.0, np.nan]),
             fixed([0.0, -0.0, -1.0, np.inf, -np.inf, 0.0])],
            lambda y, x: np.array([0.0, np.pi, -np.pi, np.pi / 4, np.pi, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Hypot(Binary):
    """Return √(x² + y²), element by element, without overflow.

    The derivatives are x/r and y/r; at the origin both are 0, as that of abs is.

    Examples
    --------
    >>> import symad as sm
    >>> sm.hypot(sm.constant(3e200), 4e200).eval()
    np.float64(5e+200)
    """

    name = "hypot"
    finite_slopes = True
    operations = 4
    numpy = np.hypot
    element = "hypot"
    latex = r"\sqrt{{{0}^2 + {1}^2}}"
    commutative = True
    chain = (
        lambda v, r, x, y: mask(not_equal(r, 0), v * (x / r)),
        lambda v, r, x, y: mask(not_equal(r, 0), v * (y / r)),
    )
    samples = (
        Sample(
            lambda x, y: hypot(x, y), [reals(3, 1, low=0.3), reals(2)],
            lambda x, y: np.sqrt(x * x + y * y),
        ),
        Sample(
            lambda x, y: hypot(x, y),
            [fixed([0.0, -3.0, np.inf, np.nan, np.nan]), fixed([0.0, 0.0, np.nan, 1.0, np.inf])],
            lambda x, y: np.array([0.0, 3.0, np.inf, np.nan, np.inf]), order=0, label="special",
        ),
    )  # fmt: skip


class Sinh(Unary):
    """Return the hyperbolic sine of ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sinh(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "sinh"
    operations = ELEMENTARY
    numpy = np.sinh
    element = "sinh"
    latex = r"\sinh {0}"
    chain = (lambda v, y, x: v * cosh(x),)
    samples = (
        Sample(lambda x: sinh(x), [reals(3, 2)], lambda x: (np.exp(x) - np.exp(-x)) / 2),
        Sample(lambda x: sinh(x), [_EDGES], lambda x: x, order=0, label="special"),
    )


class Cosh(Unary):
    """Return the hyperbolic cosine of ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cosh(sm.constant(0.0)).eval()
    np.float64(1.0)
    """

    name = "cosh"
    operations = ELEMENTARY
    numpy = np.cosh
    element = "cosh"
    latex = r"\cosh {0}"
    chain = (lambda v, y, x: v * sinh(x),)
    samples = (
        Sample(lambda x: cosh(x), [reals(3, 2)], lambda x: (np.exp(x) + np.exp(-x)) / 2),
        Sample(
            lambda x: cosh(x), [_EDGES], lambda x: np.array([1, 1, np.inf, np.inf, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Tanh(Unary):
    """Return the hyperbolic tangent of ``x``, element by element; the derivative is 1 - y².

    Examples
    --------
    >>> import symad as sm
    >>> sm.tanh(sm.constant([0.0, 1000.0])).eval()
    array([0., 1.])
    """

    name = "tanh"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.tanh
    element = "tanh"
    latex = r"\tanh {0}"
    chain = (lambda v, y, x: v * (1 - y * y),)
    samples = (
        Sample(lambda x: tanh(x), [reals(3, 2)], lambda x: np.sinh(x) / np.cosh(x)),
        Sample(lambda x: tanh(x), [reals(0)], label="empty"),
        Sample(
            lambda x: tanh(x), [_EDGES], lambda x: np.array([0.0, -0.0, 1.0, -1.0, np.nan]),
            order=0, label="special",
        ),
    )  # fmt: skip


class Asinh(Unary):
    """Return the inverse hyperbolic sine of ``x``, element by element.

    The derivative 1/√(x² + 1) is computed with hypot, so that x² cannot overflow.

    Examples
    --------
    >>> import symad as sm
    >>> sm.asinh(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "asinh"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.arcsinh
    element = "asinh"
    latex = r"\operatorname{{arsinh}} {0}"
    chain = (lambda v, y, x: v / hypot(x, 1),)
    samples = (
        Sample(lambda x: asinh(x), [reals(3, 2)], lambda x: np.log(x + np.sqrt(x * x + 1))),
        Sample(lambda x: asinh(x), [_EDGES], lambda x: x, order=0, label="special"),
    )


class Acosh(Unary):
    """Return the inverse hyperbolic cosine of ``x``, element by element; NaN for x < 1.

    The derivative 1/(√(x - 1) √(x + 1)) is inf at 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.acosh(sm.constant(1.0)).eval()
    np.float64(0.0)
    """

    name = "acosh"
    operations = ELEMENTARY
    numpy = np.arccosh
    element = "acosh"
    latex = r"\operatorname{{arcosh}} {0}"
    chain = (lambda v, y, x: v / (sqrt(x - 1) * sqrt(x + 1)),)
    samples = (
        Sample(
            lambda x: acosh(x), [reals(3, 2, low=1.4, high=4.0)],
            lambda x: np.log(x + np.sqrt(x * x - 1)),
        ),
        Sample(
            lambda x: acosh(x), [fixed([1.0, 0.5, np.inf, np.nan])],
            lambda x: np.array([0.0, np.nan, np.inf, np.nan]), order=0, label="special",
        ),
    )  # fmt: skip


class Atanh(Unary):
    """Return the inverse hyperbolic tangent of ``x``, element by element; NaN beyond ±1.

    The derivative 1/((1 - x)(1 + x)) is inf at ±1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.atanh(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "atanh"
    operations = ELEMENTARY
    numpy = np.arctanh
    element = "atanh"
    latex = r"\operatorname{{artanh}} {0}"
    chain = (lambda v, y, x: v / ((1 - x) * (1 + x)),)
    samples = (
        Sample(
            lambda x: atanh(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.log((1 + x) / (1 - x)) / 2,
        ),
        Sample(
            lambda x: atanh(x), [_UNIT_EDGES],
            lambda x: np.array([0.0, np.inf, -np.inf, np.nan, np.nan]), order=0, label="special",
        ),
    )  # fmt: skip


def _radians(b: ScalarBuilder, x: Value) -> Value:
    return b.multiply(x, b.constant(math.pi / 180, b.dtype(x)))


class Deg2Rad(Unary):
    """Return an angle of ``x`` degrees in radians, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.deg2rad(sm.constant(180.0)).eval()
    np.float64(3.141592653589793)
    """

    name = "deg2rad"
    constant_slopes = finite_slopes = True
    numpy = np.deg2rad
    element = _radians
    chain = (lambda v, y, x: deg2rad(v),)
    samples = (Sample(lambda x: deg2rad(x), [reals(3, 2)], lambda x: x * (np.pi / 180)),)


def _degrees(b: ScalarBuilder, x: Value) -> Value:
    return b.multiply(x, b.constant(180 / math.pi, b.dtype(x)))


class Rad2Deg(Unary):
    """Return an angle of ``x`` radians in degrees, element by element.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> sm.rad2deg(sm.constant(np.pi)).eval()
    np.float64(180.0)
    """

    name = "rad2deg"
    constant_slopes = finite_slopes = True
    numpy = np.rad2deg
    element = _degrees
    chain = (lambda v, y, x: rad2deg(v),)
    samples = (Sample(lambda x: rad2deg(x), [reals(3, 2)], lambda x: x * (180 / np.pi)),)


sin: Unary = register(Sin())
cos: Unary = register(Cos())
tan: Unary = register(Tan())
asin: Unary = register(Asin())
acos: Unary = register(Acos())
atan: Unary = register(Atan())
atan2: Binary = register(Atan2())
hypot: Binary = register(Hypot())
sinh: Unary = register(Sinh())
cosh: Unary = register(Cosh())
tanh: Unary = register(Tanh())
asinh: Unary = register(Asinh())
acosh: Unary = register(Acosh())
atanh: Unary = register(Atanh())
deg2rad: Unary = register(Deg2Rad())
rad2deg: Unary = register(Rad2Deg())

arcsin = asin
arccos = acos
arctan = atan
arctan2 = atan2
arcsinh = asinh
arccosh = acosh
arctanh = atanh
degrees = rad2deg
radians = deg2rad
