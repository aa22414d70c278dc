"""Hypergeometric functions, and functions whose derivatives they are: exprel, Bessel, integrals."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GradientError, GraphTypeError
from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.op import explained, resolve
from symad.graph.sample import Sample, fixed, reals, special_points
from symad.ops.adjoint import cast
from symad.ops.arithmetic import abs, sign
from symad.ops.base import Chain, Elementwise, Operand, Unary, as_node, as_nodes, register
from symad.ops.comparison import where
from symad.ops.exponential import exp, log


def scipy_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which SciPy computes functions of ``dtypes``: float32 or float64."""
    dtype = np.result_type(*dtypes)
    return dtype if dtype == np.float32 else np.dtype("float64")


def real(x: Operand) -> Node:
    """Return ``x`` in the dtype in which SciPy computes functions of it."""
    node = as_node(x)
    return cast(node, scipy_dtype(node.dtype))


def reals_of(*values: Operand) -> list[Node]:
    """Return operands in the dtype in which SciPy computes a function of all of them."""
    nodes = as_nodes(*values)
    dtype = scipy_dtype(*(node.dtype for node in nodes))
    return [cast(node, dtype) for node in nodes]


def refused(name: str, parameter: str) -> Chain:
    """Return the rule for a parameter by which the derivative is not known: it raises."""

    def rule(v: Node, y: Node, *xs: Node) -> Node:
        raise GradientError(
            f"the derivative of {name} with respect to {parameter} has no known formula",
            where=y.site.describe(),
            remedy=f"Hold {parameter} fixed with sm.stop_gradient({parameter}), or take "
            "differences: sm.numerical_gradient.",
        )

    return rule


_FAR = np.float64(1e8)  # also beside float16, where it would be infinite
"""From so many times the size of a and b on, SciPy adds up terms of ₁F₁ for minutes."""


def _hyp1f1(a: Any, b: Any, x: Any) -> Any:
    """Return SciPy's values, but the limits where x is large or infinite.

    For large x, ₁F₁ is Γ(b)/Γ(a) eˣ x^(a-b), which overflows; at -∞ it is Γ(b)/Γ(b-a) (-x)^(-a).
    """
    inner, gammasgn = resolve("scipy.special.hyp1f1"), resolve("scipy.special.gammasgn")
    low = x == -np.inf
    high = (x > _FAR * (1 + np.abs(a) + np.abs(b))) & ~_is_pole(a)
    values = inner(a, b, np.where(low | high, np.ones_like(x), x))
    if not np.any(low | high):
        return values
    with np.errstate(invalid="ignore"):
        growing = np.where(a == 0, 1, gammasgn(b) * gammasgn(b - a) * np.inf)
        far = np.where(low, growing, gammasgn(a) * gammasgn(b) * np.inf)
    far = np.where(low & ((a > 0) | _is_pole(b - a)), 0, far)
    return np.where(low | high, far.astype(values.dtype), values)[()]


def _is_pole(x: Any) -> Any:
    """Return where the gamma function has a pole."""
    return (x <= 0) & (x == np.floor(x))


class Hyp1F1(Elementwise):
    """Return the confluent hypergeometric function ₁F₁(a; b; x), element by element.

    d/dx = a/b · ₁F₁(a + 1; b + 1; x).  A derivative with respect to ``a`` or ``b`` is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.hyp1f1(1.0, 2.0, sm.constant(1.0)).eval()  # e - 1
    np.float64(1.7182818285)
    """

    name = "hyp1f1"
    has_poles = True
    domain = "₁F₁(a; b; x) has poles at b = 0, -1, -2, ..."
    operations = 2 * SPECIAL
    numpy = staticmethod(_hyp1f1)
    chain = (
        refused("hyp1f1", "a"),
        refused("hyp1f1", "b"),
        lambda v, y, a, b, x: v * (a / b * hyp1f1(a + 1, b + 1, x)),
    )
    samples = (
        Sample(lambda x: hyp1f1(1.0, 2.0, x), [reals(3, 2)], lambda x: np.expm1(x) / x),
        Sample(
            lambda x: hyp1f1([[1.0], [2.0]], 2.0, x), [fixed([-30.0, 0.0, 3.0])], label="broadcast"
        ),
        special_points(
            lambda x: hyp1f1(2.0, 3.0, x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1.0, np.inf, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def __call__(self, a: Operand, b: Operand, x: Operand) -> Node:
        return apply(self, *reals_of(a, b, x))

    def ufunc(self) -> np.ufunc | None:
        function = resolve("scipy.special.hyp1f1")
        assert isinstance(function, np.ufunc)
        return function


class Hyp2F1(Elementwise):
    """Return Gauss' hypergeometric function ₂F₁(a, b; c; x), element by element, for x < 1.

    d/dx = a·b/c · ₂F₁(a + 1, b + 1; c + 1; x).  Other derivatives are refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.hyp2f1(1.0, 1.0, 2.0, sm.constant(-1.0)).eval()  # ln 2
    np.float64(0.6931471806)
    """

    name = "hyp2f1"
    has_poles = True
    domain = "₂F₁(a, b; c; x) has poles at c = 0, -1, -2, ..., and may be infinite at x = 1."
    operations = 2 * SPECIAL
    numpy = "scipy.special.hyp2f1"
    chain = (
        refused("hyp2f1", "a"),
        refused("hyp2f1", "b"),
        refused("hyp2f1", "c"),
        lambda v, y, a, b, c, x: v * (a * b / c * hyp2f1(a + 1, b + 1, c + 1, x)),
    )
    samples = (
        Sample(
            lambda x: hyp2f1(1.0, 1.0, 2.0, x), [reals(3, low=-2.0, high=-0.1)],
            lambda x: np.log1p(-x) / -x,
        ),
        Sample(
            lambda x: hyp2f1(0.5, [[1.0], [2.0]], 1.5, x), [reals(2, high=0.9)], label="broadcast"
        ),
    )  # fmt: skip

    def __call__(self, a: Operand, b: Operand, c: Operand, x: Operand) -> Node:
        return apply(self, *reals_of(a, b, c, x))


class ExpRel(Unary):
    """Return (e^x - 1) / x, element by element, which is 1 at 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.exprel(sm.constant([0.0, 1.0])).eval()
    array([1.        , 1.71828183])
    """

    name = "exprel"
    sign = "nonnegative"
    operations = SPECIAL
    numpy = "scipy.special.exprel"
    chain = (lambda v, y, x: v * (0.5 * hyp1f1(2.0, 3.0, x)),)
    samples = (
        Sample(lambda x: exprel(x), [reals(3, 2)], lambda x: np.expm1(x) / x),
        special_points(
            lambda x: exprel(x), [fixed([0.0, -0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1.0, 1.0, np.inf, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip


def _bessel(x: Any, order: int) -> Any:
    x = _in_scipy_dtype(x)
    values = resolve(f"scipy.special.i{order}")(x) if order < 2 else _iv("iv", x, order)
    return np.where(np.isinf(x), x if order % 2 else np.abs(x), values)  # SciPy's I₁ is NaN there


def _scaled_bessel(x: Any, order: int) -> Any:
    x = _in_scipy_dtype(x)
    return resolve(f"scipy.special.i{order}e")(x) if order < 2 else _iv("ive", x, order)


def _iv(function: str, x: Any, order: int) -> Any:
    return resolve(f"scipy.special.{function}")(np.asarray(order, x.dtype), x)


def _in_scipy_dtype(x: Any) -> Any:
    """Return an operand in the dtype of the result: SciPy takes float16 as float32."""
    return np.asarray(x, scipy_dtype(np.asarray(x).dtype))


class BesselI(Elementwise):
    """The modified Bessel function I of integer order; I₀' = I₁ and 2 I_n' = I_(n-1) + I_(n+1)."""

    order: int

    name = "bessel_i"
    in_expressions = False
    sign = "as inputs"
    operations = SPECIAL
    numpy = staticmethod(_bessel)
    latex = r"I_{{{op.order}}}({0})"
    text = "i{op.order}({0})"
    chain = (lambda v, y, x: v * _slope_of_bessel(y.op.order, x),)
    samples = (
        Sample(lambda x: i0(x), [reals(3, 2)], lambda x: np.i0(x)),
        Sample(lambda x: i1(x), [reals(3)], label="order 1"),
        special_points(
            lambda x: i1(x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, np.inf, -np.inf, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


def _slope_of_bessel(order: int, x: Node) -> Node:
    above = apply(BesselI(order + 1), x)
    return above if order == 0 else 0.5 * (apply(BesselI(order - 1), x) + above)


class ScaledBesselI(Elementwise):
    """e^(-|x|) times the modified Bessel function I of order 0 or 1.

    The derivatives of e^(-x) I₀(x) = ₁F₁(½; 1; -2x) and e^(-x) I₁(x) = x/2 · ₁F₁(3/2; 3; -2x) are
    written as hypergeometric functions (DLMF 10.39.5): differences of Bessel functions cancel.
    """

    order: int

    name = "scaled_bessel_i"
    in_expressions = False
    sign = "as inputs"
    operations = SPECIAL
    numpy = staticmethod(_scaled_bessel)
    latex = r"e^{{-|{0}|}} I_{{{op.order}}}({0})"
    text = "i{op.order}e({0})"
    chain = (lambda v, y, x: v * _slope_of_scaled_bessel(y.op.order, x),)
    samples = (
        Sample(lambda x: i0e(x), [reals(3, low=0.2)], lambda x: np.exp(-x) * np.i0(x)),
        Sample(
            lambda x: i0e(x), [reals(3, high=-0.2)], lambda x: np.exp(x) * np.i0(x), label="x < 0"
        ),
        Sample(lambda x: i1e(x), [reals(3, low=0.2)], label="order 1"),
        special_points(
            lambda x: i0e(x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([1.0, 0.0, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


def _slope_of_scaled_bessel(order: int, x: Node) -> Node:
    z = -2 * abs(x)
    if order == 0:
        return -(sign(x) * hyp1f1(1.5, 2.0, z))
    return hyp1f1(1.5, 2.0, z) - 0.5 * hyp1f1(1.5, 3.0, z)


@explained
def i0(x: Operand) -> Node:
    """Return the modified Bessel function I₀ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.i0(sm.constant([0.0, 1.0])).eval()
    array([1.        , 1.26606588])
    """
    return apply(BesselI(0), as_node(x))


@explained
def i1(x: Operand) -> Node:
    """Return the modified Bessel function I₁ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.i1(sm.constant([0.0, 1.0])).eval()
    array([0.        , 0.56515910])
    """
    return apply(BesselI(1), as_node(x))


@explained
def i0e(x: Operand) -> Node:
    """Return e^(-abs(x))·I₀(x), element by element, which does not overflow.

    The derivative at 0, where there is a kink, is 0.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.i0e(sm.constant([0.0, 1000.0])).eval()
    array([1.        , 0.01261724])
    """
    return apply(ScaledBesselI(0), as_node(x))


@explained
def i1e(x: Operand) -> Node:
    """Return e^(-abs(x))·I₁(x), element by element, which does not overflow.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.i1e(sm.constant([0.0, 1000.0])).eval()
    array([0.        , 0.01261094])
    """
    return apply(ScaledBesselI(1), as_node(x))


class Exp1(Unary):
    """Return the exponential integral E₁(x) = ∫ₓ^∞ e^(-t)/t dt, element by element, for x ≥ 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.exp1(sm.constant([0.0, 1.0])).eval()
    array([       inf, 0.21938393])
    """

    name = "exp1"
    has_poles = True
    domain = "E₁ is infinite at 0, and NaN for x < 0."
    operations = SPECIAL
    numpy = "scipy.special.exp1"
    latex = r"E_{{1}}({0})"
    chain = (lambda v, y, x: -(v * exp(-x) / x),)
    samples = (
        Sample(lambda x: exp1(x), [reals(3, 2, low=0.3)]),
        special_points(
            lambda x: exp1(x), [fixed([0.0, np.inf, -1.0, np.nan])],
            lambda x: np.array([np.inf, 0.0, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


class ExpI(Unary):
    """Return the exponential integral Ei(x), the principal value of ∫ e^t/t dt from -∞ to ``x``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.expi(sm.constant([0.0, 1.0])).eval()
    array([      -inf, 1.89511782])
    """

    name = "expi"
    has_poles = True
    domain = "Ei is infinite at 0."
    operations = SPECIAL
    numpy = "scipy.special.expi"
    latex = r"\operatorname{{Ei}}({0})"
    chain = (lambda v, y, x: v * exp(x) / x,)
    samples = (
        Sample(lambda x: expi(x), [reals(3, 2, low=0.3)]),
        Sample(lambda x: expi(x), [reals(3, high=-0.3)], label="x < 0"),
        special_points(
            lambda x: expi(x), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda x: np.array([-np.inf, np.inf, -0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip


def _expn(x: Any, n: int) -> Any:
    return resolve("scipy.special.expn")(np.asarray(n, np.asarray(x).dtype), x)


class ExpN(Elementwise):
    """The exponential integral E_n of integer order; E_n' = -E_(n-1)."""

    n: int

    name = "expn"
    in_expressions = False
    has_poles = True
    domain = "E₀ and E₁ are infinite at 0; all E_n are undefined for x < 0."
    operations = SPECIAL
    numpy = staticmethod(_expn)
    latex = r"E_{{{op.n}}}({0})"
    chain = (lambda v, y, x: -(v * expn(y.op.n - 1, x)),)
    samples = (
        Sample(lambda x: expn(3, x), [reals(3, 2, low=0.3)]),
        Sample(lambda x: expn(2, x), [reals(3, low=0.3)], label="order 2"),
        special_points(
            lambda x: expn(2, x), [fixed([0.0, np.inf, np.nan])],
            lambda x: np.array([1.0, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


@explained
def expn(n: int, x: Operand) -> Node:
    """Return the exponential integral ∫₁^∞ e^(-xt)/tⁿ dt, element by element.

    Parameters
    ----------
    n : int
        At least 0.
    x : node, number or array
        Not negative.

    Raises
    ------
    GraphTypeError
        If ``n`` is not a Python integer of at least 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.expn(2, sm.constant([0.0, 1.0])).eval()
    array([1.        , 0.14849551])
    """
    if not isinstance(n, int) or n < 0:
        raise GraphTypeError(
            f"the order of expn is {n!r}",
            remedy="It must be a Python integer of at least 0: sm.special.expn(2, x).",
        )
    node = real(x)
    if n == 0:
        return exp(-node) / node
    return exp1(node) if n == 1 else apply(ExpN(n), node)


class Spence(Unary):
    """Return Spence's function, the dilogarithm ∫₁ˣ ln t / (1 - t) dt, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.spence(sm.constant([0.0, 1.0])).eval()  # π²/6, 0
    array([1.64493407, 0.        ])
    """

    name = "spence"
    domain = "Spence's function is defined for x ≥ 0."
    derivative_domain = "The derivative ln x / (1 - x) of Spence's function at 0 is infinite."
    operations = SPECIAL
    numpy = "scipy.special.spence"
    chain = (
        lambda v, y, x: v * where(
            abs(x - 1) < 0.5, -hyp2f1(1.0, 1.0, 2.0, 1 - x), log(x) / (1 - x)
        ),
    )  # fmt: skip
    samples = (
        Sample(lambda x: spence(x), [reals(3, 2, low=0.2, high=3.0)]),
        Sample(
            lambda x: spence(x), [fixed([1.0, 2.0])],
            lambda x: np.array([0.0, -np.pi**2 / 12], x.dtype), label="at 1",
        ),
        special_points(
            lambda x: spence(x), [fixed([0.0, -1.0, np.nan])],
            lambda x: np.array([np.pi**2 / 6, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


hyp1f1: Hyp1F1 = register(Hyp1F1(), numpy="special.hyp1f1")
hyp2f1: Hyp2F1 = register(Hyp2F1())
exprel: Unary = register(ExpRel())
exp1: Unary = register(Exp1())
expi: Unary = register(ExpI())
spence: Unary = register(Spence())
register(i0, in_expressions=True, numpy="special.i0")
register(i1, in_expressions=True, numpy="special.i1")
register(i0e, in_expressions=True, numpy="special.i0e")
register(i1e, in_expressions=True, numpy="special.i1e")
register(expn, in_expressions=True)
