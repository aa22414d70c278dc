"""Trigonometric and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, fixed, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.arithmetic import direction, sqrt
from symad.ops.base import Binary, Elementwise, Unary, float_dtype, register
from symad.ops.domains import overflows

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
        special_points(
            lambda x: sin(x), [_EDGES], lambda x: np.array([0.0, -0.0, np.nan, np.nan, np.nan])
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
        special_points(
            lambda x: cos(x), [_EDGES], lambda x: np.array([1.0, 1.0, np.nan, np.nan, np.nan])
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


def _one_minus_square(x: Any) -> Any:
    return (1.0 - x) * (1.0 + x)


def _unit_complement(b: ScalarBuilder, x: Value) -> Value:
    one = b.constant(1, b.dtype(x))
    return b.multiply(b.subtract(one, x), b.add(one, x))


class OneMinusSquare(Unary):
    """1 - x² as (1 - x)·(1 + x), which is accurate near ±1; its derivative is -2x.

    The derivative of that product would be the difference of 1 - x and 1 + x, which is inaccurate
    near 0.
    """

    name = "one_minus_square"
    finite_slopes = True
    operations = 3
    numpy = staticmethod(_one_minus_square)
    element = _unit_complement
    text = "1 - {0}**2"
    latex = "1 - {0}^2"
    precedence = 1
    chain = (lambda v, y, x: v * (-2 * x),)
    samples = (Sample(lambda x: one_minus_square(x), [reals(3, 2)], lambda x: 1 - x * x),)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


class Asin(Unary):
    """Return the angle in [-π/2, π/2] whose sine is ``x``, element by element; NaN outside ±1.

    The derivative is inf at ±1; it is computed as 1/√((1 - x)(1 + x)), which loses no digits there.

    Examples
    --------
    >>> import symad as sm
    >>> sm.asin(sm.constant(1.0)).eval()
    np.float64(1.5707963267948966)
    """

    name = "asin"
    sign = "as inputs"
    domain = "arcsin is defined from −1 to 1: sm.clip(x, -1, 1) removes rounding errors."
    derivative_domain = "The derivative of arcsin at ±1 is infinite: keep x inside with sm.clip."
    operations = ELEMENTARY
    numpy = np.arcsin
    element = "asin"
    latex = r"\arcsin {0}"
    chain = (lambda v, y, x: v / sqrt(one_minus_square(x)),)
    samples = (
        Sample(
            lambda x: asin(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.arctan(x / np.sqrt(1 - x * x)),
        ),
        special_points(
            lambda x: asin(x), [_UNIT_EDGES],
            lambda x: np.array([0.0, np.pi / 2, -np.pi / 2, np.nan, np.nan]),
        ),
    )  # fmt: skip


class Acos(Unary):
    """Return the angle in [0, π] whose cosine is ``x``, element by element; NaN outside ±1.

    The derivative is -inf at ±1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.acos(sm.constant(0.0)).eval()
    np.float64(1.5707963267948966)
    """

    name = "acos"
    sign = "nonnegative"
    domain = "arccos is defined from −1 to 1: sm.clip(x, -1, 1) removes rounding errors."
    derivative_domain = "The derivative of arccos at ±1 is infinite: keep x inside with sm.clip."
    operations = ELEMENTARY
    numpy = np.arccos
    element = "acos"
    latex = r"\arccos {0}"
    chain = (lambda v, y, x: -(v / sqrt(one_minus_square(x))),)
    samples = (
        Sample(
            lambda x: acos(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.pi / 2 - np.arctan(x / np.sqrt(1 - x * x)),
        ),
        special_points(
            lambda x: acos(x), [_UNIT_EDGES],
            lambda x: np.array([np.pi / 2, 0.0, np.pi, np.nan, np.nan]),
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
    sign = "as inputs"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.arctan
    element = "atan"
    latex = r"\arctan {0}"
    chain = (lambda v, y, x: v / (1 + x * x),)
    samples = (
        Sample(lambda x: atan(x), [reals(3, 2)], lambda x: np.arcsin(x / np.sqrt(1 + x * x))),
        special_points(
            lambda x: atan(x), [_EDGES],
            lambda x: np.array([0.0, -0.0, np.pi / 2, -np.pi / 2, np.nan]),
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
        special_points(
            lambda y, x: atan2(y, x), [fixed([0.0, 0.0, -0.0, np.inf, 1.0, np.nan]),
             fixed([0.0, -0.0, -1.0, np.inf, -np.inf, 0.0])],
            lambda y, x: np.array([0.0, np.pi, -np.pi, np.pi / 4, np.pi, np.nan]),
        ),
    )  # fmt: skip


class Hypot(Binary):
    """Return √(x² + y²), element by element, without overflow.

    The derivatives are x/r and y/r; at the origin both are 0, like that of abs, and the second ones
    are NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.hypot(sm.constant(3e200), 4e200).eval()
    np.float64(5e+200)
    """

    name = "hypot"
    sign = "nonnegative"
    finite_slopes = True
    operations = 4
    numpy = np.hypot
    element = "hypot"
    latex = r"\sqrt{{{0}^2 + {1}^2}}"
    commutative = True
    chain = (
        lambda v, r, x, y: v * hypot_slope(x, r, y),
        lambda v, r, x, y: v * hypot_slope(y, r, x),
    )
    samples = (
        Sample(
            lambda x, y: hypot(x, y), [reals(3, 1, low=0.3), reals(2)],
            lambda x, y: np.sqrt(x * x + y * y),
        ),
        special_points(
            lambda x, y: hypot(x, y),
            [fixed([0.0, -3.0, np.inf, np.nan, np.nan]), fixed([0.0, 0.0, np.nan, 1.0, np.inf])],
            lambda x, y: np.array([0.0, 3.0, np.inf, np.nan, np.inf]),
        ),
    )  # fmt: skip


def _hypot_slope(b: ScalarBuilder, x: Value, r: Value, y: Value) -> Value:
    return direction.scalar(b, x, r)


class HypotSlope(Elementwise):
    """c = x/r for r = √(x² + y²), but 0 where r is 0: the slope of :class:`Hypot` along x.

    With s = y/r, the slope along y, dc/dx = s²/r and dc/dy = -c s/r: unlike (1 - c²)/r, these have
    all digits where y is small.  They are NaN where r is 0.
    """

    name = "hypot_slope"
    numpy = staticmethod(lambda x, r, y: np.where(r == 0, 0, np.divide(x, r)))
    element = _hypot_slope
    latex = direction.latex
    precedence = direction.precedence
    chain = (
        lambda v, c, x, r, y: v * (hypot_slope(y, r, x) * (hypot_slope(y, r, x) / r)),
        None,
        lambda v, c, x, r, y: -(v * (c * (hypot_slope(y, r, x) / r))),
    )
    samples = (
        Sample(lambda x, y: hypot_slope(x, hypot(x, y), y), [reals(3, 1, low=0.3), reals(2)],
               lambda x, y: x / np.sqrt(x * x + y * y)),
        special_points(
            lambda x, y: hypot_slope(x, hypot(x, y), y),
            [fixed([0.0, 1.0, -40.0, np.nan]), fixed([0.0, 0.0, 30.0, 1.0])],
            lambda x, y: np.array([0.0, 1.0, -0.8, np.nan]),
        ),
    )  # fmt: skip

    def __call__(self, *operands: Node) -> Node:
        return apply(self, *operands)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return direction.result_dtype(*dtypes[:2])

    def reads(self, slot: int) -> bool:
        return slot < 2

    def decompose(self, *inputs: Node) -> Node | None:
        return direction(*inputs[:2])


class Sinh(Unary):
    """Return the hyperbolic sine of ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sinh(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "sinh"
    sign = "as inputs"
    domain = overflows("sinh")
    operations = ELEMENTARY
    numpy = np.sinh
    element = "sinh"
    latex = r"\sinh {0}"
    chain = (lambda v, y, x: v * cosh(x),)
    samples = (
        Sample(lambda x: sinh(x), [reals(3, 2)], lambda x: (np.exp(x) - np.exp(-x)) / 2),
        special_points(lambda x: sinh(x), [_EDGES], lambda x: x),
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
    sign = "nonnegative"
    domain = overflows("cosh")
    operations = ELEMENTARY
    numpy = np.cosh
    element = "cosh"
    latex = r"\cosh {0}"
    chain = (lambda v, y, x: v * sinh(x),)
    samples = (
        Sample(lambda x: cosh(x), [reals(3, 2)], lambda x: (np.exp(x) + np.exp(-x)) / 2),
        special_points(
            lambda x: cosh(x), [_EDGES], lambda x: np.array([1, 1, np.inf, np.inf, np.nan])
        ),
    )  # fmt: skip


def _log_cosh(x: Any) -> Any:
    size = np.abs(1.0 * x)
    near = np.log1p(2 * np.square(np.sinh(0.5 * size)))
    return np.where(size < 1, near, size + np.log1p(np.exp(-2 * size)) - math.log(2))


def _logarithm_of_cosh(b: ScalarBuilder, x: Value) -> Value:
    def number(value: float) -> Value:
        return b.constant(value, b.dtype(x))

    size = b.call("fabs", x)
    half = b.call("sinh", b.multiply(number(0.5), size))
    near = b.call("log1p", b.multiply(number(2), b.multiply(half, half)))
    rest = b.call("log1p", b.call("exp", b.multiply(number(-2), size)))
    far = b.subtract(b.add(size, rest), number(math.log(2)))
    return b.select(b.less(size, number(1)), near, far)


class LogCosh(Unary):
    """The logarithm of cosh, without overflow, and to its last digits near 0; d/dx = tanh(x)."""

    name = "log_cosh"
    sign = "nonnegative"
    finite_slopes = True
    operations = 3 * ELEMENTARY
    numpy = staticmethod(_log_cosh)
    element = _logarithm_of_cosh
    latex = r"\ln \cosh {0}"
    chain = (lambda v, y, x: v * tanh(x),)
    samples = (
        Sample(lambda x: log_cosh(x), [reals(3, 2)], lambda x: np.log(np.cosh(x))),
        special_points(
            lambda x: log_cosh(x), [fixed([0.0, 1e-10, 1000.0, -1000.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array(
                [0.0, 5e-21, 1000 - np.log(2), 1000 - np.log(2), np.inf, np.inf, np.nan]
            ),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


class Tanh(Unary):
    """Return the hyperbolic tangent of ``x``, element by element.

    The derivative is 1 - y², computed to its last digits as 1/cosh².

    Examples
    --------
    >>> import symad as sm
    >>> sm.tanh(sm.constant([0.0, 1000.0])).eval()
    array([0., 1.])
    """

    name = "tanh"
    sign = "as inputs"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.tanh
    element = "tanh"
    latex = r"\tanh {0}"
    chain = (lambda v, y, x: v * tanh_slope(x),)
    samples = (
        Sample(lambda x: tanh(x), [reals(3, 2)], lambda x: np.sinh(x) / np.cosh(x)),
        Sample(lambda x: tanh(x), [reals(0)], label="empty"),
        special_points(
            lambda x: tanh(x), [_EDGES], lambda x: np.array([0.0, -0.0, 1.0, -1.0, np.nan])
        ),
    )  # fmt: skip


def _tanh_slope(x: Any) -> Any:
    decay = np.exp(-np.abs(1.0 * x))
    total = 1 + np.square(decay)
    return 4 * (decay / total) * (decay / total)


def _hyperbolic_slope(b: ScalarBuilder, x: Value) -> Value:
    decay = b.call("exp", b.negate(b.call("fabs", x)))
    total = b.add(b.constant(1, b.dtype(x)), b.multiply(decay, decay))
    root = b.divide(b.add(decay, decay), total)
    return b.multiply(root, root)


class TanhSlope(Unary):
    """The derivative of tanh, 1/cosh²(x) = (2e / (1 + e²))² with e = e^-|x|, without overflow.

    Computed as 1 - y², it would be 0 for x > 19, where y rounds to 1.  Its own derivative is
    -2·tanh(x)/cosh²(x).
    """

    name = "tanh_slope"
    finite_slopes = True
    short = "tanh′"
    sign = "nonnegative"
    operations = ELEMENTARY + 5
    numpy = staticmethod(_tanh_slope)
    element = _hyperbolic_slope
    latex = r"\tanh' {0}"
    chain = (lambda v, y, x: -2 * (v * y * tanh(x)),)
    samples = (
        Sample(lambda x: tanh_slope(x), [reals(3, 2)], lambda x: 1 / np.cosh(x) ** 2),
        special_points(
            lambda x: tanh_slope(x), [fixed([0.0, 20.0, -20.0, 1000.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1.0, 4 * np.exp(-40.0), 4 * np.exp(-40.0), 0.0, 0.0, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


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
    sign = "as inputs"
    finite_slopes = True
    operations = ELEMENTARY
    numpy = np.arcsinh
    element = "asinh"
    latex = r"\operatorname{{arsinh}} {0}"
    chain = (lambda v, y, x: v / hypot(x, 1),)
    samples = (
        Sample(lambda x: asinh(x), [reals(3, 2)], lambda x: np.log(x + np.sqrt(x * x + 1))),
        special_points(lambda x: asinh(x), [_EDGES], lambda x: x),
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
    sign = "nonnegative"
    domain = "arcosh is defined for x ≥ 1: sm.maximum(x, 1) removes rounding errors."
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
        special_points(
            lambda x: acosh(x), [fixed([1.0, 0.5, np.inf, np.nan])],
            lambda x: np.array([0.0, np.nan, np.inf, np.nan]),
        ),
    )  # fmt: skip


class Atanh(Unary):
    """Return the inverse hyperbolic tangent of ``x``, element by element; NaN outside ±1.

    The derivative 1/((1 - x)(1 + x)) is inf at ±1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.atanh(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "atanh"
    has_poles = True
    domain = "artanh is defined between −1 and 1, and infinite at these."
    operations = ELEMENTARY
    numpy = np.arctanh
    element = "atanh"
    latex = r"\operatorname{{artanh}} {0}"
    chain = (lambda v, y, x: v / one_minus_square(x),)
    samples = (
        Sample(
            lambda x: atanh(x), [reals(3, 2, low=-0.8, high=0.8)],
            lambda x: np.log((1 + x) / (1 - x)) / 2,
        ),
        special_points(
            lambda x: atanh(x), [_UNIT_EDGES],
            lambda x: np.array([0.0, np.inf, -np.inf, np.nan, np.nan]),
        ),
    )  # fmt: skip


def _radians(b: ScalarBuilder, x: Value) -> Value:
    return b.multiply(x, b.constant(math.pi / 180, b.dtype(x)))


class Deg2Rad(Unary):
    """Convert ``x`` from degrees to radians, element by element.

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
    """Convert ``x`` from radians to degrees, element by element.

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
one_minus_square: Unary = OneMinusSquare()
asin: Unary = register(Asin())
acos: Unary = register(Acos())
atan: Unary = register(Atan())
atan2: Binary = register(Atan2())
hypot: Binary = register(Hypot())
hypot_slope: HypotSlope = HypotSlope()
sinh: Unary = register(Sinh())
cosh: Unary = register(Cosh())
tanh: Unary = register(Tanh())
log_cosh: Unary = LogCosh()
tanh_slope: Unary = TanhSlope()
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
degrees = register(rad2deg, "degrees")
radians = register(deg2rad, "radians")
