"""Differences of neighbouring elements, and sums that approximate integrals."""

from __future__ import annotations

from typing import Any

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import aligned, as_floats, axis_of, known_rank, part, require_size
from symad.graph.node import Node, reporting
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register
from symad.ops.comparison import not_equal
from symad.ops.cumulative import cumsum
from symad.ops.join import concat
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import as_axes, broadcast_to, ravel
from symad.types import normalize_axes


@register
def diff(
    x: Operand,
    n: int = 1,
    axis: int = -1,
    prepend: Operand | None = None,
    append: Operand | None = None,
) -> Node:
    """Return the differences of neighbours along an axis: y_j = x_{j+1} − x_j.

    Parameters
    ----------
    x : node or array
    n : int
        How many times differences are taken; each time, the axis loses one element.
    axis : int
    prepend, append : node, number or array, optional
        Values before or after ``x`` along the axis, taken into account before the first difference.
        A number counts as one element.

    Returns
    -------
    Node
        It has the dtype of ``x``; for booleans, whether neighbours differ.

    Raises
    ------
    GraphTypeError
        If ``n`` is not a natural number.
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.diff(sm.constant([1.0, 4.0, 9.0])).eval()
    array([3., 5.])
    >>> sm.diff(sm.constant([1.0, 4.0, 9.0]), n=2).eval()
    array([2.])
    """
    node = as_node(x)
    axis = axis_of("diff", node, axis)
    if not isinstance(n, int) or n < 0:
        with reporting("diff", node):
            raise GraphTypeError(f"n is {n!r}, but differences are taken 0, 1, 2, … times")
    around = (prepend, node, append)
    if n and (prepend is not None or append is not None):
        node = concat([_beside(v, node, axis) for v in around if v is not None], axis)
    for _ in range(n):
        node = _difference(node, axis)
    return node


def _beside(value: Operand, x: Node, axis: int) -> Node:
    """Return what is joined to ``x``: a number as one element along the axis."""
    node = as_node(value)
    if node.ndim != 0:
        return node
    known_rank("diff", x)
    sizes = list(x.shape)
    sizes[axis] = 1
    return broadcast_to(node, tuple(sizes))


def _difference(x: Node, axis: int) -> Node:
    later, earlier = part(x, axis, 1), part(x, axis, None, -1)
    return not_equal(later, earlier) if x.dtype.kind == "b" else later - earlier


@register
def ediff1d(x: Operand, to_end: Operand | None = None, to_begin: Operand | None = None) -> Node:
    """Return the differences of neighbours of all elements, in order, as a vector.

    Parameters
    ----------
    x : node, number or array
        Flattened first.
    to_end, to_begin : node, number or array, optional
        Values after or before the differences; they are cast to the dtype of ``x``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ediff1d(sm.constant([[1.0, 4.0], [9.0, 16.0]]), to_begin=0.0).eval()
    array([0., 3., 5., 7.])
    """
    flat = ravel(x)
    ends = [None if v is None else ravel(as_node(v).astype(flat.dtype)) for v in (to_begin, to_end)]
    parts = [v for v in (ends[0], _difference(flat, 0), ends[1]) if v is not None]
    return concat(parts) if len(parts) > 1 else parts[0]


@explained
def central_differences(
    f: Operand, *spacing: Operand, axis: Any = None, edge_order: int = 1
) -> Any:
    """Return the slopes of samples on a grid by central differences: ``numpy.gradient``.

    NumPy's name is not used in symad, where :func:`symad.gradients` differentiates graphs:
    ``sm.gradient(y, x)``, a likely slip, would take x for the spacing of y.  ``np.gradient(node)``
    calls this function.

    Parameters
    ----------
    f : node or array
        The samples; at least ``edge_order + 1`` along each axis.
    *spacing : node, number or array
        One distance for all axes, or, for each axis, a distance or the vector of coordinates; 1 by
        default.
    axis : int or tuple of int, optional
        The axes along which slopes are computed; by default all.
    edge_order : {1, 2}
        The order of accuracy at the ends, where differences are one-sided.

    Returns
    -------
    Node or tuple of Node
        The slopes along each axis, of the shape of ``f``; without the tuple for one axis.

    Raises
    ------
    GraphTypeError
        If ``edge_order`` is neither 1 nor 2, or there are more or fewer spacings than axes.
    ShapeError
        If an axis does not exist, is too short, or the number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.central_differences(sm.constant([0.0, 1.0, 4.0, 9.0])).eval()
    array([1., 2., 4., 5.])
    >>> sm.central_differences(sm.constant([0.0, 1.0, 9.0]), [0.0, 1.0, 3.0], edge_order=2).eval()
    array([-1.,  2.,  6.])
    """
    node = as_floats(as_node(f))
    rank = known_rank("central_differences", node)
    with reporting("central_differences", node):
        normalize_axes(axis, rank)
        given = range(rank) if axis is None else as_axes(axis)
        axes = [one % rank for one in given]  # in the order given, which is that of the results
        steps = _steps(node, spacing, len(axes))
        if edge_order not in (1, 2):
            raise GraphTypeError(f"edge_order is {edge_order!r}; it must be 1 or 2")
    slopes = []
    for along, step in zip(axes, steps, strict=True):
        require_size("central_differences", node, along, edge_order + 1)
        slopes.append(cast(_slopes(node, along, step, edge_order), node.dtype))
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


register(central_differences, "gradient")


def _steps(f: Node, spacing: tuple[Operand, ...], count: int) -> list[Node]:
    """Return, for each axis, a distance, or the distances between its coordinates."""
    steps = [as_node(value, f) for value in spacing or (1.0,)]
    if len(steps) == 1 and (count == 1 or steps[0].ndim == 0):
        steps *= count
    if len(steps) != count:
        raise GraphTypeError(
            f"{len(steps)} spacings do not fit {count} axes",
            remedy="Give one distance for all axes, or one distance or vector for each.",
        )
    for step in steps:
        if step.ndim not in (0, 1):
            raise ShapeError(f"a spacing is a number or a vector, not {step!r}")
    return [as_floats(diff(step) if step.ndim else step) for step in steps]


def _slopes(f: Node, axis: int, step: Node, edge_order: int) -> Node:
    """Return differences over steps; weighted, inside, so that they are exact for parabolas."""
    if step.ndim == 0:
        inside = (part(f, axis, 2) - part(f, axis, None, -2)) / (2.0 * step)
    else:
        distances = aligned(step, f, axis)
        slopes = _difference(f, axis) / distances
        before, after = part(distances, 0, None, -1), part(distances, 0, 1)
        weighted = after * part(slopes, axis, None, -1) + before * part(slopes, axis, 1)
        inside = weighted / (before + after)
    first, last = (_edge(f, axis, step, end, edge_order) for end in (0, -1))
    return concat([first, inside, last], axis)


def _edge(f: Node, axis: int, step: Node, end: int, order: int) -> Node:
    """Return the one-sided slope at an end: with order 2, that of a parabola through 3 points."""
    places = (None, 2) if end == 0 else (-2, None)
    if order == 1:
        distance = step if step.ndim == 0 else step[end]
        return _difference(part(f, axis, *places), axis) / distance
    near, far = (0, 1) if end == 0 else (-1, -2)
    h, k = (step, step) if step.ndim == 0 else (step[near], step[far])
    three = part(f, axis, None, 3) if end == 0 else part(f, axis, -3)
    slopes = _difference(three, axis)
    first, second = part(slopes, axis, None, 1), part(slopes, axis, 1)
    close, other = (first, second) if end == 0 else (second, first)
    return close / h + (close / h - other / k) * h / (h + k)


@register
def trapezoid(y: Operand, x: Operand | None = None, dx: Operand = 1.0, axis: int = -1) -> Node:
    """Return the integral of samples along an axis, by the trapezoidal rule.

    Parameters
    ----------
    y : node or array
        The samples.
    x : node or array, optional
        Where they were taken: a vector, or an array that broadcasts to ``y``.
    dx : node or number
        Their distance, if ``x`` is not given.
    axis : int

    Returns
    -------
    Node
        Σ_j (x_{j+1} − x_j) (y_j + y_{j+1}) / 2.

    Raises
    ------
    ShapeError
        If the axis does not exist, or the shapes do not fit.

    Examples
    --------
    >>> import symad as sm
    >>> sm.trapezoid(sm.constant([1.0, 2.0, 3.0]), dx=0.5).eval()
    np.float64(2.0)
    """
    samples = as_node(y)
    axis = axis_of("trapezoid", samples, axis)
    return sum_of(_trapezoids(samples, x, dx, axis), axis)


@register
def cumulative_trapezoid(
    y: Operand,
    x: Operand | None = None,
    dx: Operand = 1.0,
    axis: int = -1,
    initial: Operand | None = None,
) -> Node:
    """Return the integral of samples up to each of them, by the trapezoidal rule.

    This is ``scipy.integrate.cumulative_trapezoid``.

    Parameters
    ----------
    y : node or array
        The samples.
    x : node or array, optional
        Where they were taken: a vector, or an array that broadcasts to ``y``.
    dx : node or number
        Their distance, if ``x`` is not given.
    axis : int
    initial : node or number, optional
        The value at the first sample, usually 0; without it, the result has one element less.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cumulative_trapezoid(sm.constant([1.0, 2.0, 3.0]), initial=0).eval()
    array([0. , 1.5, 4. ])
    """
    samples = as_node(y)
    axis = axis_of("cumulative_trapezoid", samples, axis)
    integrals = cumsum(_trapezoids(samples, x, dx, axis), axis)
    if initial is None:
        return integrals
    start = as_node(initial, integrals).astype(integrals.dtype)
    return concat([_beside(start, integrals, axis), integrals], axis)


def _trapezoids(y: Node, x: Operand | None, dx: Operand, axis: int) -> Node:
    """Return the areas between neighbouring samples."""
    sums = part(y, axis, 1) + part(y, axis, None, -1)
    if x is None:
        return dx * sums / 2.0
    places = as_node(x)
    if axis != -1:
        known_rank("trapezoid", places)
    if places.ndim == 1:
        return aligned(_difference(places, 0), y, axis) * sums / 2.0
    return _difference(places, axis) * sums / 2.0
