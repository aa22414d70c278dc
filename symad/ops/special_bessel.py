"""Bessel functions of any order, and the reciprocal of the gamma function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, fixed, reals, special_points
from symad.ops.arithmetic import sign
from symad.ops.base import Elementwise, Operand, Unary, register
from symad.ops.comparison import where
from symad.ops.rounding import trunc
from symad.ops.special import digamma
from symad.ops.special_gamma import gamma
from symad.ops.special_series import reals_of, refused, scipy_dtype
from symad.ops.trigonometric import cos, sin


class _Bessel(Elementwise):
    """A Bessel function of an order, which has no derivative here, and an argument."""

    operations = SPECIAL

    def __call__(self, v: Operand, z: Operand) -> Node:
        return apply(self, *reals_of(v, z))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


class BesselJ(_Bessel):
    """Return the Bessel function J of order ``v`` at ``z``, element by element.

    2 J_v' = J_(v-1) - J_(v+1).  A derivative with respect to the order is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.jv(1, sm.constant([0.0, 2.0])).eval()
    array([0.        , 0.57672481])
    """

    name = "jv"
    has_poles = True
    domain = (
        "Of an order that is not an integer, J is NaN for negative numbers, and infinite at 0 if "
        "the order is negative."
    )
    numpy = "scipy.special.jv"
    latex = r"J_{{{0}}}({1})"
    chain = (refused("jv", "the order"), lambda v, y, n, x: v * _difference(jv, n, x))
    samples = (
        Sample(lambda x: jv(0, x), [reals(3, 2, low=0.2, high=9.0)]),
        Sample(lambda x: jv(0.5, x), [reals(3, low=0.5)],
               lambda x: np.sqrt(2 / (np.pi * x)) * np.sin(x), label="half"),
        Sample(lambda x: jv([[1], [3]], x), [reals(2)], label="broadcast"),
        special_points(
            lambda x: jv(1, x), [fixed([0.0, np.nan])], lambda x: np.array([0.0, np.nan], x.dtype)
        ),
    )  # fmt: skip


class BesselY(_Bessel):
    """Return the Bessel function Y of order ``v`` at ``z``, element by element; -inf at 0.

    2 Y_v' = Y_(v-1) - Y_(v+1).  A derivative with respect to the order is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.yv(0, sm.constant([1.0, 2.0])).eval()
    array([0.08825696, 0.51037567])
    """

    name = "yv"
    has_poles = True
    domain = "Y is infinite at 0, and NaN for negative numbers."
    numpy = "scipy.special.yv"
    latex = r"Y_{{{0}}}({1})"
    chain = (refused("yv", "the order"), lambda v, y, n, x: v * _difference(yv, n, x))
    samples = (
        Sample(lambda x: yv(0, x), [reals(3, 2, low=0.5, high=9.0)]),
        Sample(lambda x: yv(0.5, x), [reals(3, low=0.5)],
               lambda x: -np.sqrt(2 / (np.pi * x)) * np.cos(x), label="half"),
        special_points(
            lambda x: yv(0, x), [fixed([0.0, -1.0, np.nan])],
            lambda x: np.array([-np.inf, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


class BesselIOfAnyOrder(_Bessel):
    """Return the modified Bessel function I of order ``v`` at ``z``, element by element.

    2 I_v' = I_(v-1) + I_(v+1).  A derivative with respect to the order is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.iv(1, sm.constant([0.0, 2.0])).eval()
    array([0.        , 1.59063685])
    """

    name = "iv"
    has_poles = True
    domain = (
        "Of an order that is not an integer, I is NaN for negative numbers, and infinite at 0 if "
        "the order is negative."
    )
    numpy = "scipy.special.iv"
    latex = r"I_{{{0}}}({1})"
    chain = (
        refused("iv", "the order"),
        lambda v, y, n, x: v * (0.5 * (iv(n - 1, x) + iv(n + 1, x))),
    )
    samples = (
        Sample(lambda x: iv(0, x), [reals(3, 2)], lambda x: np.i0(x)),
        Sample(lambda x: iv(0.5, x), [reals(3, low=0.5)],
               lambda x: np.sqrt(2 / (np.pi * x)) * np.sinh(x), label="half"),
    )  # fmt: skip


class ScaledBesselIOfAnyOrder(_Bessel):
    """Return I_v(z) e^-abs(z), which does not overflow, element by element: see :func:`iv`.

    With Î for this function, 2 Î_v' = Î_(v-1) + Î_(v+1) - 2 sign(z) Î_v.  A derivative with respect
    to the order is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.ive(1, sm.constant([2.0, 1000.0])).eval()
    array([0.21526929, 0.01261094])
    """

    name = "ive"
    numpy = "scipy.special.ive"
    latex = r"I_{{{0}}}({1}) e^{{-|{1}|}}"
    chain = (
        refused("ive", "the order"),
        lambda v, y, n, x: v * (0.5 * (ive(n - 1, x) + ive(n + 1, x)) - sign(x) * y),
    )
    samples = (
        Sample(lambda x: ive(0, x), [reals(3, 2, low=0.3)], lambda x: np.i0(x) * np.exp(-x)),
        Sample(lambda x: ive(2, x), [reals(3, high=-0.3)], label="x < 0"),
        Sample(lambda x: ive(0.5, x), [reals(3, low=0.5)],
               lambda x: np.sqrt(2 / (np.pi * x)) * np.sinh(x) * np.exp(-x), label="half"),
        special_points(
            lambda x: ive(1, x), [fixed([0.0, np.nan])], lambda x: np.array([0.0, np.nan], x.dtype)
        ),
    )  # fmt: skip


class BesselK(_Bessel):
    """Return the modified Bessel function K of order ``v`` at ``z``, element by element; inf at 0.

    -2 K_v' = K_(v-1) + K_(v+1).  A derivative with respect to the order is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.kv(0, sm.constant([1.0, 2.0])).eval()
    array([0.42102444, 0.11389387])
    """

    name = "kv"
    has_poles = True
    domain = "K is infinite at 0, and NaN for negative numbers."
    numpy = "scipy.special.kv"
    latex = r"K_{{{0}}}({1})"
    chain = (
        refused("kv", "the order"),
        lambda v, y, n, x: v * (-0.5 * (kv(n - 1, x) + kv(n + 1, x))),
    )
    samples = (
        Sample(lambda x: kv(1, x), [reals(3, 2, low=0.5, high=4.0)]),
        Sample(lambda x: kv(0.5, x), [reals(3, low=0.5)],
               lambda x: np.sqrt(np.pi / (2 * x)) * np.exp(-x), label="half"),
        special_points(
            lambda x: kv(0, x), [fixed([0.0, -1.0, np.nan])],
            lambda x: np.array([np.inf, np.nan, np.nan], x.dtype),
        ),
    )  # fmt: skip


def _difference(function: _Bessel, order: Node, x: Node) -> Node:
    return 0.5 * (function(order - 1, x) - function(order + 1, x))


@explained
def j0(x: Operand) -> Node:
    """Return the Bessel function J₀ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.j0(sm.constant([0.0, 2.0])).eval()
    array([1.        , 0.22389078])
    """
    return jv(0, x)


@explained
def j1(x: Operand) -> Node:
    """Return the Bessel function J₁ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.j1(sm.constant([0.0, 2.0])).eval()
    array([0.        , 0.57672481])
    """
    return jv(1, x)


@explained
def y0(x: Operand) -> Node:
    """Return the Bessel function Y₀ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.y0(sm.constant([1.0, 2.0])).eval()
    array([0.08825696, 0.51037567])
    """
    return yv(0, x)


@explained
def y1(x: Operand) -> Node:
    """Return the Bessel function Y₁ of ``x``, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.y1(sm.constant([1.0, 2.0])).eval()
    array([-0.78121282, -0.10703243])
    """
    return yv(1, x)


@explained
def yn(n: Operand, x: Operand) -> Node:
    """Return the Bessel function Y of integer order at ``x``, element by element.

    Parameters
    ----------
    n : node, number or array
        The order, without a derivative; fractions are dropped.
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.yn(1, sm.constant([1.0, 2.0])).eval()
    array([-0.78121282, -0.10703243])
    """
    return yv(trunc(n), x)


class ReciprocalGamma(Unary):
    """Return 1/Γ(``x``), element by element: 0 where Γ has a pole, and smooth everywhere.

    For x < ½, where Γ is infinite, the derivative is that of Γ(1 - x) sin(πx) / π.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.rgamma(sm.constant([-1.0, 3.0])).eval()
    array([0. , 0.5])
    """

    name = "rgamma"
    operations = SPECIAL
    numpy = "scipy.special.rgamma"
    latex = r"\Gamma({0})^{{-1}}"
    chain = (lambda v, y, x: v * _slope_of_rgamma(y, x),)
    samples = (
        Sample(lambda x: rgamma(x), [reals(3, 2, low=0.6, high=4.0)],
               lambda x: 1 / np.vectorize(math.gamma)(x)),
        Sample(lambda x: rgamma(x), [reals(4, low=-2.7, high=0.3)], label="left"),
        Sample(lambda x: rgamma(x), [fixed([0.0, -1.0, -2.0])], np.zeros_like, label="poles"),
        special_points(
            lambda x: rgamma(x), [fixed([np.inf, np.nan])], lambda x: np.array([0, np.nan], x.dtype)
        ),
    )  # fmt: skip


def _slope_of_rgamma(y: Node, x: Node) -> Node:
    mirrored, angle = 1 - x, math.pi * x
    left = gamma(mirrored) * (cos(angle) - digamma(mirrored) * sin(angle) / math.pi)
    return where(x < 0.5, left, -digamma(x) * y)


jv: BesselJ = register(BesselJ())
yv: BesselY = register(BesselY())
iv: BesselIOfAnyOrder = register(BesselIOfAnyOrder())
ive: ScaledBesselIOfAnyOrder = register(ScaledBesselIOfAnyOrder())
kv: BesselK = register(BesselK())
rgamma: Unary = register(ReciprocalGamma())
register(j0, in_expressions=True, numpy="special.j0")
register(j1, in_expressions=True, numpy="special.j1")
register(y0, in_expressions=True, numpy="special.y0")
register(y1, in_expressions=True, numpy="special.y1")
register(yn, in_expressions=True, numpy="special.yn")
