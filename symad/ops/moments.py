"""Variance and standard deviation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, fixed, integers, reals
from symad.ops.adjoint import cast
from symad.ops.arithmetic import direction
from symad.ops.base import Operand, as_node, float_dtype, register, wide_dtype
from symad.ops.reduce import (
    Reduction,
    as_axis,
    element_count,
    mean,
    mean_of_array,
    over_count,
    sum,
)


@register
def var(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the variance of the elements of ``x`` along ``axis``: Σ_j (x_j − mean)² / (n − c).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    correction : float
        The c that is subtracted from the number n of elements: 0 for a whole population, 1 for the
        unbiased estimate from a sample.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        It has the dtype of ``x``; float64 for integers and booleans.  Where n ≤ c it is NaN or
        infinite.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.var(sm.constant([1.0, 2.0, 6.0]), correction=1).eval()
    np.float64(7.0)
    """
    return apply(Var(as_axis(axis), bool(keepdims), _correction(correction, ddof)), as_node(x))


def _correction(correction: float, ddof: float | None) -> float:
    if ddof is None:
        return float(correction)
    if correction not in (0, ddof):
        raise GraphTypeError(
            f"correction is {correction} and ddof is {ddof}, but they mean the same",
            remedy="Give one of them.",
        )
    return float(ddof)


def _var(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    shape, dtype = np.shape(x), float_dtype(np.asarray(x).dtype)
    x = np.asarray(x, wide_dtype(dtype))
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
    if math.prod(shape[axis] for axis in axes) > correction and np.size(x):
        value = np.var(x, axis=axis, keepdims=keepdims, correction=correction)
        return value.astype(dtype, copy=False)
    squares = np.square(x - mean_of_array(x, axis, keepdims=True))  # NumPy would print a warning
    return np.divide(np.sum(squares, axis=axis, keepdims=keepdims), 0.0).astype(dtype)


def _std(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    dtype = float_dtype(np.asarray(x).dtype)
    wide: Any = _WIDER.get(dtype, dtype)
    return np.sqrt(_var(np.asarray(x, wide), axis, keepdims, correction)).astype(dtype)


_WIDER = {np.dtype("float16"): np.dtype("float32"), np.dtype("float32"): np.dtype("float64")}
"""Magnitudes whose squares neither overflow nor underflow."""


class Var(Reduction):
    """y = Σ_j d_j² / m with d = x − mean(x) and m = n − c: see :func:`var`.

    ∂y/∂x_j = 2 d_j / m: the mean also changes, but this adds a multiple of Σ_j d_j, which is 0.
    """

    correction: float = 0

    name = "var"
    in_expressions = True
    sign = "nonnegative"
    domain = "There are too few elements for this variance: check the sizes and the correction."
    finite_slopes = True
    operations = 4
    numpy = staticmethod(_var)
    samples = (
        Sample(lambda x: var(x), [reals(3, 2)]),
        Sample(lambda x: var(x, axis=0, correction=1), [reals(4, 2)], label="axis"),
        Sample(lambda x: var(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: var(x, axis=-1, correction=0.5), [reals(2, 3)], label="correction"),
        Sample(lambda x: var(x), [reals()], label="scalar"),
        Sample(lambda x: var(x), [fixed([2.0, 2.0, 2.0])], label="no spread"),
        Sample(lambda x: var(x, axis=0), [integers(3, 2)], label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        dtype = self.result_dtype(inputs[0].dtype)
        x = cast(inputs[0], wide_dtype(dtype))
        middle = over_count(sum(x, self.axis, keepdims=True), x, self.axis)
        if middle is None:
            return None
        total = sum(call("square", x - middle), self.axis, keepdims=self.keepdims)
        value = over_count(total, x, self.axis, self.correction)
        return None if value is None else cast(value, dtype)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        deviations = x - mean(x, self.axis, keepdims=True)
        return v * (2 / element_count(x, self.axis, self.correction)) * deviations


@register
def std(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the standard deviation of the elements of ``x`` along ``axis``: the root of ``var``.

    Where all elements are equal, the function has a kink, like the absolute value at 0: the
    derivative is defined as 0 there, the subgradient of least size, and the second one is NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    correction : float
        The number subtracted from the number of elements; see :func:`var`.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        It has the dtype of ``x``; float64 for integers and booleans.  It is NaN or infinite if
        there are no more elements than ``correction``.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.std(x)
    >>> y.eval({x: [1.0, 3.0]})
    np.float64(1.0)
    >>> sm.gradients(y, x).eval({x: [2.0, 2.0]})
    array([0., 0.])
    """
    return apply(Std(as_axis(axis), bool(keepdims), _correction(correction, ddof)), as_node(x))


class Std(Reduction):
    """y = √(Σ_j d_j² / m) with d = x − mean(x) and m = n − c: see :func:`std`.

    ∂y/∂x_j = d_j / (m y).
    """

    correction: float = 0

    name = "std"
    in_expressions = True
    sign = "nonnegative"
    domain = "There are too few elements for this deviation: check the sizes and the correction."
    operations = 4
    numpy = staticmethod(_std)
    samples = (
        Sample(lambda x: std(x), [reals(3, 2)]),
        Sample(lambda x: std(x, axis=0, correction=1), [reals(4, 2)], label="axis"),
        Sample(lambda x: std(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: std(x, axis=-1, ddof=0.5), [reals(2, 3)], label="correction"),
        Sample(lambda x: std(x), [reals()], order=0, label="special: scalar"),
        Sample(lambda x: std(x), [fixed([2.0, 2.0])], order=0, label="special: no spread"),
        Sample(lambda x: std(x), [integers(3, 2)], label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        dtype = self.result_dtype(inputs[0].dtype)
        x = cast(inputs[0], _WIDER.get(dtype, dtype))
        variance = Var(self.axis, self.keepdims, self.correction).decompose(x)
        return None if variance is None else cast(call("sqrt", variance), dtype)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        deviations = x - mean(x, self.axis, keepdims=True)
        return v / element_count(x, self.axis, self.correction) * direction(deviations, y)
