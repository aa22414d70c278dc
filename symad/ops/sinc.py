"""The function sin(πx) / (πx), with its derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.ops.base import Elementwise, Operand, as_node, float_dtype, register


@register
def sinc(x: Operand) -> Node:
    """Return sin(πx) / (πx), element by element, and 1 at 0, where it is smooth.

    Parameters
    ----------
    x : node, number or array

    Returns
    -------
    Node
        Derivatives of all orders are accurate, near 0 as well.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> sm.sinc(x).eval({x: 0.5}), sm.hessian(sm.sinc(x), x).eval({x: 0.0})  # −π²/3
    (np.float64(0.6366197724), np.float64(-3.2898681337))
    """
    return apply(Sinc(), as_node(x))


def _sinc(x: Any, order: int) -> Any:
    """Return πⁿ s_n(πx), where s_n is the derivative of order n of s_0(u) = sin(u) / u.

    From u s_0 = sin u, u s_n + n s_{n−1} = sin(u + nπ/2).  As a recurrence this loses no digits
    where u is larger than n; below, the series Σ_k (−1)ᵏ u^(2k−n) / ((2k + 1) (2k − n)!) converges.
    """
    dtype = float_dtype(np.asarray(x).dtype)
    if order == 0:
        return np.sinc(np.asarray(x, dtype))
    u = np.pi * np.asarray(x, "float64")
    bound = max(1.5, order)
    far = np.where(np.abs(u) > bound, u, bound)
    derivative = np.sin(far) / far
    for n in range(1, order + 1):
        derivative = (_shifted_sine(far, n) - n * derivative) / far
    near = np.where(np.abs(u) > bound, 0.0, u)
    series = sum(
        (-1) ** k * near ** (2 * k - order) / ((2 * k + 1) * math.factorial(2 * k - order))
        for k in range((order + 1) // 2, order + 14)
    )
    with np.errstate(invalid="ignore"):
        result = np.where(np.abs(u) > bound, derivative, series) * np.pi**order
    return np.where(np.isfinite(u), result, np.nan).astype(dtype)


def _shifted_sine(u: Any, quarters: int) -> Any:
    """Return sin(u + kπ/2)."""
    wave = np.cos(u) if quarters % 2 else np.sin(u)
    return -wave if quarters % 4 > 1 else wave


class Sinc(Elementwise):
    """The derivative of some order of sin(πx) / (πx)."""

    order: int = 0

    name = "sinc"
    finite_slopes = True
    operations = SPECIAL
    numpy = staticmethod(_sinc)
    latex = r"\operatorname{{sinc}}({0})"
    chain = (lambda v, y, x: v * apply(Sinc(y.op.order + 1), x),)
    samples = (
        Sample(lambda x: sinc(x), [reals(3, 2)], np.sinc),
        Sample(lambda x: apply(Sinc(2), x), [reals(4, low=-0.4, high=0.4)], label="near 0"),
        Sample(lambda x: apply(Sinc(3), x), [reals(4, low=2.0, high=9.0)], label="far from 0"),
        Sample(lambda x: sinc(x), [integers(3)], np.sinc, label="integers"),
        special_points(
            lambda x: sinc(x), [fixed([0.0, -0.0, np.nan])], lambda x: np.array([1, 1, np.nan])
        ),
        Sample(
            lambda x: apply(Sinc(2), x), [fixed([0.0, 1.0])],
            lambda x: np.array([-(np.pi**2) / 3, 2.0]), label="second derivative",
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)
