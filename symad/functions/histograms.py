"""Counts of integers, and of numbers in intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import require_size
from symad.graph.node import Node, reporting
from symad.ops.adjoint import broadcast_like, cast
from symad.ops.base import Operand, as_node, register
from symad.ops.comparison import equal, maximum, where
from symad.ops.create import linspace, zeros
from symad.ops.extremum import max as largest
from symad.ops.extremum import min as smallest
from symad.ops.index import scatter_add
from symad.ops.join import concat
from symad.ops.reduce import sum as sum_of
from symad.ops.searching import searchsorted
from symad.ops.shape import ravel
from symad.ops.size import axis_size


@register
def bincount(
    x: Operand, weights: Operand | None = None, minlength: Any = 0, *, length: Any = None
) -> Node:
    """Return how often each of the integers 0, 1, 2, … occurs in ``x``, or its total weight.

    Parameters
    ----------
    x : node or array
        A vector of integers that are not negative, or of booleans.
    weights : node or array, optional
        What each element counts, instead of 1; it gets a gradient.
    minlength : int or integer node
        The least size of the result, which is otherwise 1 more than the largest element.
    length : int or integer node, optional
        The size of the result; it is then known before values are.  Elements from ``length`` on are
        an error when the graph runs.

    Returns
    -------
    Node
        A vector of int64; with weights of float64, as in NumPy.

    Raises
    ------
    GraphTypeError
        If ``x`` has floats.
    ShapeError
        If ``x`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bincount(sm.constant([0, 2, 2]), minlength=4).eval()
    array([1, 0, 2, 0])
    >>> sm.bincount(sm.constant([0, 2, 2]), weights=[0.5, 1.0, 2.0]).eval()
    array([0.5, 0. , 3. ])
    """
    node = as_node(x)
    with reporting("bincount", node):
        if node.dtype.kind not in "iub":
            raise GraphTypeError(
                f"integers are counted, not {node.dtype}",
                remedy="Cast first: x.astype('int64'), or use sm.histogram for floats.",
            )
        if node.ndim not in (1, None):
            raise ShapeError("the operand must be a vector", remedy="Flatten it: x.ravel().")
    node = cast(node, "int64")
    each = as_node(np.int64(1)) if weights is None else cast(as_node(weights), "float64")
    if length is None:  # -1 is there for an operand without elements
        length = maximum(largest(concat([node, [-1]])) + 1, minlength)
    return scatter_add(broadcast_like(each, node), zeros((length,), each.dtype), (node,))


@register
def histogram(
    x: Operand,
    bins: Any = 10,
    range: Any = None,
    density: bool = False,
    weights: Operand | None = None,
) -> tuple[Node, Node]:
    """Return how many elements of ``x`` lie in each interval, or their weight, and the bounds.

    Parameters
    ----------
    x : node, number or array
    bins : int, node or array
        The number of intervals of the same width, or their increasing bounds.
    range : pair of nodes or numbers, optional
        The first and the last bound, for a number of intervals: by default the smallest and the
        largest element.
    density : bool
        Divide by the total and by the widths, so that the integral is 1.
    weights : node or array, optional
        What each element counts, instead of 1; it gets a gradient.

    Returns
    -------
    counts, bounds : tuple of Node
        The last interval includes its upper bound.  Counts jump: they have no derivative with
        respect to ``x``.

    Raises
    ------
    GraphTypeError
        If ``bins`` is a text or a number that is not positive.

    Examples
    --------
    >>> import symad as sm
    >>> counts, bounds = sm.histogram(sm.constant([1.0, 2.0, 2.5, 5.0]), bins=2)
    >>> counts.eval(), bounds.eval()
    (array([3, 1]), array([1., 3., 5.]))
    """
    flat = ravel(as_node(x))
    bounds = _bounds(flat, bins, range)
    count = axis_size(bounds, 0) - 1
    inside = (flat >= bounds[0]) & (flat <= bounds[-1])
    at_end = equal(flat, bounds[-1])
    found = where(at_end, count, searchsorted(bounds, flat, side="right")) - 1
    each = as_node(np.int64(1)) if weights is None else ravel(as_node(weights))
    if each.dtype.kind == "b":
        with reporting("histogram", flat, each):
            raise GraphTypeError("weights are numbers", remedy="Cast: weights.astype('int64').")
    counted = where(inside, each, 0)
    places = where(inside, found, 0)
    counts = scatter_add(counted, zeros((count,), counted.dtype), (places,))
    if density:
        widths = bounds[1:] - bounds[:-1]
        counts = counts / (sum_of(counts) * widths)
    return counts, bounds


def _bounds(x: Node, bins: Any, range: Any) -> Node:
    if isinstance(bins, (int, np.integer)):
        with reporting("histogram", x):
            if bins < 1:
                raise GraphTypeError(f"there cannot be {bins} intervals")
        low, high = (
            (smallest(x), largest(x)) if range is None else (as_node(bound, x) for bound in range)
        )
        equal_ends = equal(low, high)
        low, high = where(equal_ends, low - 0.5, low), where(equal_ends, high + 0.5, high)
        return linspace(low, high, int(bins) + 1)
    if isinstance(bins, str):
        with reporting("histogram", x):
            raise GraphTypeError(f"bins={bins!r} is not supported", remedy="Give their number.")
    bounds = as_node(bins)
    require_size("histogram", bounds, 0, 2)
    return bounds
