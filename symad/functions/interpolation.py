"""Piecewise linear interpolation, and the intervals in which numbers lie."""

from __future__ import annotations

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import require_size
from symad.graph.node import Constant, Node, reporting
from symad.ops.adjoint import cast
from symad.ops.arithmetic import abs as magnitude
from symad.ops.base import Operand, as_node, register
from symad.ops.comparison import equal, isnan, less, maximum, minimum, where
from symad.ops.gather import take
from symad.ops.join import concat
from symad.ops.rearrange import flip
from symad.ops.searching import searchsorted
from symad.ops.size import axis_size
from symad.ops.sorting import argsort


@register
def interp(
    x: Operand,
    xp: Operand,
    fp: Operand,
    left: Operand | None = None,
    right: Operand | None = None,
    period: Operand | None = None,
) -> Node:
    """Return a piecewise linear function at ``x``, given by its values at increasing places.

    Parameters
    ----------
    x : node, number or array
    xp : node or array
        The places: a vector, increasing unless there is a period, which is not checked.
    fp : node or array
        The values there.
    left, right : node or number, optional
        The values below the first and above the last place: by default, those at these places.
    period : node or number, optional
        If given, places count modulo the period, and ``left`` and ``right`` are ignored.

    Returns
    -------
    Node
        Of the shape of ``x``, in float64, as in NumPy.  At a place inside, where the function has a
        kink, the derivative with respect to ``x`` is the slope to the right; at the ends, that of
        the segment.

    Raises
    ------
    ShapeError
        If ``xp`` and ``fp`` are not vectors of the same size, or empty.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> y = sm.interp(x, [0.0, 1.0, 3.0], [5.0, 6.0, 0.0])
    >>> y.eval({x: [0.5, 2.0, 9.0]}), sm.gradients(y, x).eval({x: [0.5, 2.0, 9.0]})
    (array([5.5, 3. , 0. ]), array([ 1., -3.,  0.]))
    """
    at, places, values = (cast(as_node(value), "float64") for value in (x, xp, fp))
    _check_vectors(places, values)
    if period is not None:
        at, places, values = _periodic(at, places, values, period)
        left = right = None
    count = axis_size(places, 0)
    if isinstance(count, int) and count == 1:
        inside = values[0] + 0.0 * at
    else:
        inside = _segments(at, places, values, count)
    below = values[0] if left is None else as_node(left, values)
    above = values[-1] if right is None else as_node(right, values)
    result = where(at < places[0], below, where(at > places[-1], above, inside))
    return where(isnan(at), at, result)


def _check_vectors(places: Node, values: Node) -> None:
    require_size("interp", places, 0, 1)
    with reporting("interp", places, values):
        shapes = [node.shape for node in (places, values) if node.ndim is not None]
        if any(len(shape) != 1 for shape in shapes):
            raise ShapeError("the places and the values must be vectors")
        sizes = {shape[0] for shape in shapes if isinstance(shape[0], int)}
        if len(sizes) > 1:
            raise ShapeError(f"there are {shapes[0][0]} places but {shapes[1][0]} values")


def _segments(x: Node, places: Node, values: Node, count: int | Node) -> Node:
    """Return the function on the segment to the right of ``x``, or on the last one."""
    found = searchsorted(places, x, side="right")
    index = maximum(minimum(found, count - 1), 1)
    before, after = take(places, index - 1), take(places, index)
    low, high = take(values, index - 1), take(values, index)
    width = after - before
    share = where(equal(width, 0), 1, (x - before) / where(equal(width, 0), 1, width))
    return (1 - share) * low + share * high


def _periodic(x: Node, places: Node, values: Node, period: Operand) -> tuple[Node, Node, Node]:
    """Return the places in one period, sorted, with one more from the periods before and after."""
    period = magnitude(period)
    x, places = x % period, places % period
    order = argsort(places)
    places, values = take(places, order), take(values, order)
    places = concat([places[-1:] - period, places, places[:1] + period])
    return x, places, concat([values[-1:], values, values[:1]])


@register
def digitize(x: Operand, bins: Operand, right: bool = False) -> Node:
    """Return, for each number, the index of the interval between ``bins`` in which it lies.

    Parameters
    ----------
    x : node, number or array
    bins : node or array
        The bounds: a vector, increasing or decreasing.
    right : bool
        Whether intervals include their upper bound; by default they include the lower one.

    Returns
    -------
    Node
        Integers from 0, below all bounds, to the number of bounds.

    Raises
    ------
    GraphTypeError
        If ``bins`` is a constant that is not monotonic.

    Examples
    --------
    >>> import symad as sm
    >>> sm.digitize(sm.constant([0.5, 1.0, 9.0]), [0.0, 1.0, 2.0]).eval()
    array([1, 2, 3])
    """
    bounds, side = as_node(bins), "left" if right else "right"
    if not isinstance(bounds, Constant):
        falls = less(bounds[-1], bounds[0])
        found = searchsorted(where(falls, flip(bounds), bounds), x, side=side)
        return where(falls, axis_size(bounds, 0) - found, found)
    if np.any(np.diff(bounds.value) < 0):
        with reporting("digitize", bounds):
            if np.any(np.diff(bounds.value) > 0):
                raise GraphTypeError("the bounds must increase or decrease throughout")
        return axis_size(bounds, 0) - searchsorted(flip(bounds), x, side=side)
    return searchsorted(bounds, x, side=side)
