"""Rounding: piecewise constant functions, whose derivative is zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.adjoint import zeros_like
from symad.ops.base import Elementwise, Operand, Unary, as_node, register

_HALVES = fixed([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -0.2, 1e16, np.inf, -np.inf, np.nan])


class _ToInteger(Unary):
    """Rounds to an integer; an integer is unchanged."""

    finite_slopes = True

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        is_float = builder.dtype(inputs[0]).kind == "f"
        return super().scalar(builder, *inputs) if is_float else inputs[0]


class Floor(_ToInteger):
    """Return the largest integer that is at most ``x``, element by element, in the dtype of ``x``.

    The derivative is 0 everywhere, including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> sm.floor(sm.constant([1.7, -1.2])).eval()
    array([ 1., -2.])
    """

    name = "floor"
    sign = "as inputs"
    numpy = np.floor
    element = "floor"
    latex = r"\lfloor {0} \rfloor"
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: floor(x) * x, [reals(3, 2)]),
        special_points(lambda x: floor(x), [_HALVES], lambda x: -np.ceil(-x)),
    )


class Ceil(_ToInteger):
    """Return the smallest integer that is at least ``x``, element by element, in its dtype.

    The derivative is 0 everywhere, including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ceil(sm.constant([1.2, -1.7])).eval()
    array([ 2., -1.])
    """

    name = "ceil"
    sign = "as inputs"
    numpy = np.ceil
    element = "ceil"
    latex = r"\lceil {0} \rceil"
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: ceil(x) * x, [reals(3, 2)]),
        special_points(lambda x: ceil(x), [_HALVES], lambda x: -np.floor(-x)),
    )


class Trunc(_ToInteger):
    """Return ``x`` without its fraction, element by element, in its dtype.

    The derivative is 0 everywhere, including the steps.

    Examples
    --------
    >>> import symad as sm
    >>> sm.trunc(sm.constant([1.7, -1.7])).eval()
    array([ 1., -1.])
    """

    name = "trunc"
    sign = "as inputs"
    numpy = np.trunc
    element = "trunc"
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: trunc(x) * x, [reals(3, 2)]),
        special_points(
            lambda x: trunc(x), [_HALVES], lambda x: np.copysign(np.floor(np.abs(x)), x)
        ),
    )  # fmt: skip


class Round(Elementwise):
    """Round to ``decimals`` places, halves to even."""

    decimals: int

    name = "round"
    sign = "as inputs"
    finite_slopes = True
    numpy = np.round
    chain = (lambda v, y, x: zeros_like(v),)
    samples = (
        Sample(lambda x: round(x) * x, [reals(3, 2)]),
        Sample(lambda x: round(x, 1), [fixed([0.25, 0.31, -0.77])], label="decimals", order=0),
        Sample(lambda n: round(n, -1), [integers(4, low=0, high=100)], label="integer"),
        special_points(lambda x: round(x), [_HALVES], np.rint),
    )

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if dtypes[0].kind == "b" and self.decimals:
            remedy = "Cast first: x.astype('float64')."
            raise GraphTypeError(f"not defined for bool to {self.decimals} decimals", remedy=remedy)
        return np.asarray(np.round(np.zeros((), dtypes[0]))).dtype

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        return dtypes

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        x, dtype = inputs[0], builder.dtype(inputs[0])
        if dtype.kind == "f":
            return _round_scalar(builder, x, self.decimals)
        if dtype.kind == "b" or self.decimals < 0:
            raise NotImplementedError(f"cannot round {dtype} to {self.decimals} decimals here")
        return x


def _round_scalar(b: ScalarBuilder, x: Value, decimals: int) -> Value:
    """Return x in units of the last place kept, rounded, and back."""
    if decimals == 0:
        return b.call("rint", x)
    scale = b.constant(10.0 ** abs(decimals), b.dtype(x))
    if decimals > 0:
        return b.divide(b.call("rint", b.multiply(x, scale)), scale)
    return b.multiply(b.call("rint", b.divide(x, scale)), scale)


@explained
def round(x: Operand, decimals: int = 0) -> Node:
    """Return ``x`` rounded to ``decimals`` places, element by element, in its dtype.

    Halves round to even.  The derivative is 0 everywhere, including the steps.

    Parameters
    ----------
    x : node, number or array
    decimals : int
        Negative for tens, hundreds, ...

    Examples
    --------
    >>> import symad as sm
    >>> sm.round(sm.constant([0.5, 1.5, 2.7])).eval()
    array([0., 2., 3.])
    >>> sm.round(sm.constant([3.14159]), 2).eval()
    array([3.14])
    """
    return apply(Round(int(decimals)), as_node(x))


floor: Unary = register(Floor())
ceil: Unary = register(Ceil())
trunc: Unary = register(Trunc(), numpy="fix")
register(round, numpy=("around", "rint", "special.round"))
