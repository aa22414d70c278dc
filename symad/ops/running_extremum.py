"""The largest or smallest element so far along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, distinct, fixed, integers, reals
from symad.ops.adjoint import cast
from symad.ops.base import Operand, register, wide_dtype
from symad.ops.comparison import equal, where
from symad.ops.cumulative import Cumulative, flat_or_along, linear_recurrence


@register
def cummax(x: Operand, axis: Any = None) -> Node:
    """Return the largest of all elements up to each along ``axis``: ``numpy.maximum.accumulate``.

    Elements that tie for the largest share its derivative equally.  From a NaN on, the result is
    NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cummax(sm.constant([1.0, 3.0, 2.0, 5.0])).eval()
    array([1., 3., 3., 5.])
    """
    node, axis = flat_or_along(x, axis)
    return apply(CumMax(axis), node)


@register
def cummin(x: Operand, axis: Any = None) -> Node:
    """Return the smallest of all elements up to each along ``axis``: ``numpy.minimum.accumulate``.

    Elements that tie for the smallest share its derivative equally.  From a NaN on, the result is
    NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cummin(sm.constant([4.0, 3.0, 5.0, 1.0])).eval()
    array([4., 3., 3., 1.])
    """
    node, axis = flat_or_along(x, axis)
    return apply(CumMin(axis), node)


class RunningExtremum(Cumulative):
    """The extreme of the elements up to each, c_j of which tie for it and share its derivative.

    With e_j = 1 where y_j = y_{j−1} and h_j = 1 where x_j = y_j, else 0, c_j = h_j + e_j c_{j−1}:
    a linear recurrence, as are ẏ_j = t_j / c_j with t_j = h_j ẋ_j + e_j t_{j−1}, and x̄_j = h_j s_j
    with s_j = ȳ_j / c_j + e_{j+1} s_{j+1}.  After a NaN, all derivatives are 0.
    """

    finite_slopes = True

    def shares(self, v: Node, y: Node, x: Node) -> tuple[Node, Node, Node]:
        """Return h as booleans, e as numbers, and c, which is 1 where none ties."""
        wide = wide_dtype(v.dtype)
        hits = equal(x, y)
        same = cast(equal(y, call("roll", y, 1, self.axis)), wide)
        count = self.accumulated(cast(hits, wide), same)
        return hits, same, where(equal(count, 0), 1, count)

    def accumulated(self, h: Node, e: Node) -> Node:
        """Return t_j = h_j + e_j t_{j−1}."""
        return h + e * linear_recurrence(e, h, self.axis)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        hits, same, count = self.shares(adjoint, out, inputs[0])
        share, next_same = adjoint / count, call("roll", same, -1, self.axis)
        later = linear_recurrence(next_same, share, self.axis, from_end=True)
        return where(hits, share + next_same * later, 0)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        hits, same, count = self.shares(tangent, out, inputs[0])
        return self.accumulated(where(hits, tangent, 0), same) / count


_TIES = fixed([[1.0, 3.0, 3.0, 2.0, 3.0], [2.0, -1.0, 2.0, 5.0, -1.0]])
_SPECIAL = fixed([[1.0, np.inf, np.nan, -np.inf], [-np.inf, 0.0, -0.0, 1.0]])


def _cummax(x: Any, axis: int, from_end: bool) -> Any:
    return np.maximum.accumulate(x, axis)


def _cummin(x: Any, axis: int, from_end: bool) -> Any:
    return np.minimum.accumulate(x, axis)


class CumMax(RunningExtremum):
    """See :func:`cummax`."""

    name = "cummax"
    sign = "as inputs"
    numpy = staticmethod(_cummax)
    samples = (
        Sample(lambda x: cummax(x), [distinct(5)], np.maximum.accumulate),
        Sample(lambda x: cummax(x, axis=-1), [distinct(2, 4)], label="axis"),
        Sample(lambda x: cummax(x, axis=0), [distinct(4, 2)], label="first axis"),
        Sample(lambda x: cummax(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: cummax(x, axis=1), [_SPECIAL], order=0, label="special: NaN"),
        Sample(lambda x: cummax(x, axis=0), [reals(0, 2)], label="empty"),
        Sample(lambda x: cummax(x), [integers(4)], np.maximum.accumulate, label="integers"),
    )


class CumMin(RunningExtremum):
    """See :func:`cummin`."""

    name = "cummin"
    sign = "as inputs"
    numpy = staticmethod(_cummin)
    samples = (
        Sample(lambda x: cummin(x), [distinct(5)], np.minimum.accumulate),
        Sample(lambda x: cummin(x, axis=-1), [distinct(2, 4)], label="axis"),
        Sample(lambda x: cummin(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: cummin(x, axis=1), [_SPECIAL], order=0, label="special: NaN"),
        Sample(lambda x: cummin(x), [integers(4)], np.minimum.accumulate, label="integers"),
    )
