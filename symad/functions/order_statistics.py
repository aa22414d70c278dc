"""Functions of the sorted elements along axes: quantiles, the largest k, partitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.functions.along import as_floats, at, axis_of, known_rank, part, require_size
from symad.graph.node import Constant, Node, reporting
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register, wide_dtype
from symad.ops.comparison import (
    equal,
    isfinite,
    isnan,
    logical_and,
    logical_or,
    maximum,
    minimum,
    where,
)
from symad.ops.extremum import max as largest
from symad.ops.extremum import min as smallest
from symad.ops.gather import take, take_along_axis
from symad.ops.permute import moveaxis
from symad.ops.reduce import as_axis
from symad.ops.reduce import sum as sum_of
from symad.ops.rounding import ceil, floor
from symad.ops.rounding import round as round_half_even
from symad.ops.shape import expand_dims, reshape
from symad.ops.size import axis_size
from symad.ops.sorting import argsort, sort
from symad.types import normalize_axes


@explained
def ptp(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the largest less the smallest element of ``x`` along ``axis``.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Raises
    ------
    ShapeError
        If an axis does not exist, or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ptp(sm.constant([3.0, 1.0, 7.0])).eval()
    np.float64(6.0)
    """
    node = as_node(x)
    return largest(node, axis, keepdims=keepdims) - smallest(node, axis, keepdims=keepdims)


register(ptp)


def _one_last_axis(name: str, x: Node, axis: Any) -> Node:
    """Return ``x`` with the axes that are reduced replaced by a single one, the last."""
    axes = as_axis(axis)
    if axes is None:
        return reshape(x, (-1,))
    if isinstance(axes, int):
        return x if axes == -1 else moveaxis(x, axis_of(name, x, axes), -1)
    rank = known_rank(name, x)
    with reporting(name, x):
        reduced = normalize_axes(axes, rank)
    kept = tuple(x.shape[k] for k in range(rank) if k not in reduced)
    moved = moveaxis(x, reduced, tuple(range(-len(reduced), 0)))
    return reshape(moved, (*kept, -1))


def _restored(name: str, result: Node, x: Node, axis: Any) -> Node:
    """Return a result with the reduced axes, of size 1; those before the axes of ``x`` stay."""
    axes = as_axis(axis)
    if axes is None or isinstance(axes, tuple) or axes >= 0:
        rank = known_rank(name, x)
        axes = tuple(k - rank for k in normalize_axes(axes, rank))
    return expand_dims(result, axes)


@explained
def median(x: Operand, axis: Any = None, keepdims: bool = False) -> Node:
    """Return the median of ``x`` along ``axis``: the middle element, or the mean of the middle two.

    A NaN makes the result NaN.  The derivative belongs to the middle element, or in equal halves to
    the middle two; of equal elements, it belongs to those that a stable sort puts in the middle.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``; float64 for integers and booleans.

    Raises
    ------
    ShapeError
        If an axis does not exist or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.median(x)
    >>> y.eval({x: [7.0, 1.0, 2.0, 5.0]}), sm.gradients(y, x).eval({x: [7.0, 1.0, 2.0, 5.0]})
    (np.float64(3.5), array([0. , 0. , 0.5, 0.5]))
    """
    node = as_floats(as_node(x))
    ordered = _sorted("median", node, axis)
    count = axis_size(ordered, -1)
    lower, upper = at(ordered, -1, (count - 1) // 2), at(ordered, -1, count // 2)
    middle = lower if isinstance(count, int) and count % 2 else (lower + upper) / 2
    last = at(ordered, -1, -1)
    result = where(isnan(last), last, middle)
    return _restored("median", result, node, axis) if keepdims else result


@explained
def nanmedian(x: Operand, axis: Any = None, keepdims: bool = False) -> Node:
    """Return the median of the elements of ``x`` that are not NaN; NaN if there are none.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``; float64 for integers and booleans.

    Raises
    ------
    ShapeError
        If an axis does not exist or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanmedian(sm.constant([7.0, float("nan"), 2.0])).eval()
    np.float64(4.5)
    """
    return _quantiles("nanmedian", x, 0.5, axis, "linear", keepdims)


register(median)
register(nanmedian)


def _sorted(name: str, x: Node, axis: Any) -> Node:
    """Return the elements along ``axis``, sorted, along the last axis."""
    rows = _one_last_axis(name, x, axis)
    require_size(name, rows, -1, 1)
    return sort(rows, -1)


_CONTINUOUS: dict[str, tuple[float, float]] = {
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "interpolated_inverted_cdf": (0.0, 1.0),
}
"""The α and β of the continuous methods: the place is q (n + 1 − α − β) + α − 1, from 0."""

_NEIGHBOURS = ("linear", "lower", "higher", "midpoint", "nearest")
"""The methods whose place is q (n − 1), or neighbours of it."""


@explained
def quantile(
    x: Operand,
    q: Operand,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Node:
    """Return the quantiles of ``x`` along ``axis``, interpolated between the sorted elements.

    A NaN makes the result NaN.  The derivative belongs to the elements next to the place, according
    to their weights, and to ``q`` according to their distance.

    Parameters
    ----------
    x : node, number or array
    q : node, number or array
        From 0 to 1.  A node gets a gradient; where its value is outside, the result is NaN.
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    method : str
        "linear", "hazen", "weibull", "median_unbiased", "normal_unbiased",
        "interpolated_inverted_cdf", "lower", "higher", "midpoint" or "nearest", as in NumPy.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        With the axes of ``q`` first.

    Raises
    ------
    GraphTypeError
        If there is no such method, or a number of ``q`` is not between 0 and 1.
    ShapeError
        If an axis does not exist or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.quantile(x, [0.0, 0.25]).eval({x: [7.0, 1.0, 2.0, 5.0]})
    array([1.  , 1.75])
    """
    return _quantiles("quantile", x, q, axis, method, keepdims)


@explained
def percentile(
    x: Operand,
    q: Operand,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Node:
    """Return the percentiles of ``x`` along ``axis``: :func:`quantile` of q / 100.

    Parameters
    ----------
    x : node, number or array
    q : node, number or array
        From 0 to 100.
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    method : str
        See :func:`quantile`.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.percentile(sm.constant([1.0, 2.0, 3.0]), 75).eval()
    np.float64(2.5)
    """
    return _quantiles("percentile", x, q, axis, method, keepdims, 100)


@explained
def nanquantile(
    x: Operand,
    q: Operand,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Node:
    """Return the quantiles of the elements of ``x`` that are not NaN; NaN if there are none.

    Parameters
    ----------
    x : node, number or array
    q : node, number or array
        From 0 to 1.
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    method : str
        See :func:`quantile`.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanquantile(sm.constant([1.0, float("nan"), 3.0]), 0.25).eval()
    np.float64(1.5)
    """
    return _quantiles("nanquantile", x, q, axis, method, keepdims)


@explained
def nanpercentile(
    x: Operand,
    q: Operand,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Node:
    """Return the percentiles of the elements of ``x`` that are not NaN; NaN if there are none.

    Parameters
    ----------
    x : node, number or array
    q : node, number or array
        From 0 to 100.
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    method : str
        See :func:`quantile`.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanpercentile(sm.constant([1.0, float("nan"), 3.0]), 50).eval()
    np.float64(2.0)
    """
    return _quantiles("nanpercentile", x, q, axis, method, keepdims, 100)


register(quantile)
register(percentile)
register(nanquantile)
register(nanpercentile)


def _quantiles(
    name: str, x: Operand, q: Operand, axis: Any, method: str, keepdims: bool, whole: int = 1
) -> Node:
    node = as_node(x)
    share = as_floats(as_node(q, node) if node.type.is_float else as_node(q))
    rank = known_rank(name, share)
    with reporting(name, node):
        if method not in _CONTINUOUS and method not in _NEIGHBOURS:
            known = ", ".join((*_CONTINUOUS, *_NEIGHBOURS))
            raise GraphTypeError(f"there is no method {method!r}", remedy=f"Methods: {known}.")
        if isinstance(share, Constant) and not np.all((share.value >= 0) & (share.value <= whole)):
            raise GraphTypeError(f"q is {share.value}, but must be from 0 to {whole}")
    keeps_dtype = method in ("lower", "higher", "nearest")
    ordered = _sorted(name, node if keeps_dtype else as_floats(node), axis)
    vector = reshape(share if whole == 1 else share / whole, (-1,))
    result = _at_shares(ordered, vector, method, name.startswith("nan"))
    if not isinstance(share, Constant):
        result = where(logical_and(vector >= 0, vector <= 1), result, np.nan)
    result = moveaxis(result, -1, 0)
    if keepdims:
        result = _restored(name, result, node, axis)
    if rank == 1:
        return result
    if rank == 0:
        return at(result, 0, 0)
    known_rank(name, result)
    return reshape(result, (*share.shape, *result.shape[1:]))


def _at_shares(ordered: Node, q: Node, method: str, skip_nan: bool) -> Node:
    """Return, for each row of sorted elements, those at the shares ``q`` of its length."""
    wide = cast(q, wide_dtype(q.dtype))
    if skip_nan:
        count: Any = cast(sum_of(equal(ordered, ordered), -1, keepdims=True), wide.dtype)
    else:
        count = axis_size(ordered, -1)
    place = _places(wide, count, method)
    below = floor(place)
    value = _take(ordered, below)
    if method in ("linear", "midpoint", *_CONTINUOUS):
        above, weight = _take(ordered, minimum(below + 1, count - 1)), cast(place - below, q.dtype)
        gap = above - value
        step = where(logical_or(isfinite(gap), weight > 0), gap, 0)
        value = where(weight < 0.5, value + weight * step, above - (1 - weight) * step)
    if not skip_nan:
        last = at(ordered, -1, slice(-1, None))
        value = where(isnan(last), last, value)
    return value


def _places(q: Node, count: Any, method: str) -> Node:
    """Return the places of the shares ``q`` among ``count`` sorted elements, from 0."""
    if method in _CONTINUOUS:
        first, last = _CONTINUOUS[method]
        place = q * (count + (1 - first - last)) + (first - 1)
        return maximum(minimum(place, count - 1), 0)
    place = maximum(q * (count - 1), 0)
    if method == "midpoint":
        return (floor(place) + ceil(place)) / 2
    if method == "nearest":
        return round_half_even(place)
    return floor(place) if method == "lower" else ceil(place) if method == "higher" else place


def _take(ordered: Node, places: Node) -> Node:
    """Return the elements at ``places``: the same for all rows, or a row of places for each."""
    indices = cast(places, "int64")
    return take(ordered, indices, -1) if indices.ndim == 1 else take_along_axis(ordered, indices)


@register
def top_k(x: Operand, k: int, axis: int = -1) -> tuple[Node, Node]:
    """Return the ``k`` largest elements of ``x`` along ``axis``, and their positions.

    The largest comes first; equal elements keep their order, and a NaN counts as the largest.

    Parameters
    ----------
    x : node or array
    k : int
    axis : int

    Returns
    -------
    values, indices : tuple of Node
        The derivative returns to the original positions, which have none themselves.

    Raises
    ------
    ShapeError
        If the axis does not exist, or is known to have less than ``k`` elements.

    Examples
    --------
    >>> import symad as sm
    >>> values, indices = sm.top_k(sm.constant([3.0, 9.0, 5.0]), 2)
    >>> values.eval(), indices.eval()
    (array([9., 5.]), array([1, 2]))
    """
    node = as_node(x)
    axis = axis_of("top_k", node, axis)
    if not isinstance(k, (int, np.integer)) or k < 0:
        with reporting("top_k", node):
            raise GraphTypeError(f"k is {k!r}, but a number of elements is needed")
    require_size("top_k", node, axis, int(k))
    indices = part(argsort(node, axis, descending=True), axis, None, int(k))
    return take_along_axis(node, indices, axis), indices


@register
def partition(x: Operand, kth: Any, axis: int | None = -1) -> Node:
    """Return ``x`` arranged so that the ``kth`` element along ``axis`` is where sorting puts it.

    Smaller ones come before it, larger ones after it.  symad sorts all of them.

    Parameters
    ----------
    x : node or array
    kth : int or sequence of int
    axis : int, optional
        ``None`` flattens ``x`` first.

    Raises
    ------
    ShapeError
        If the axis does not exist, or is known to have no ``kth`` element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.partition(sm.constant([3.0, 1.0, 2.0]), 1).eval()
    array([1., 2., 3.])
    """
    ordered = sort(x, axis)
    _check_places("partition", ordered, kth, 0 if axis is None else axis)
    return ordered


@register
def argpartition(x: Operand, kth: Any, axis: int | None = -1) -> Node:
    """Return positions that arrange ``x`` as :func:`partition` does.

    Parameters
    ----------
    x : node or array
    kth : int or sequence of int
    axis : int, optional
        ``None`` flattens ``x`` first.

    Raises
    ------
    ShapeError
        If the axis does not exist, or is known to have no ``kth`` element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.argpartition(sm.constant([3.0, 1.0, 2.0]), 1).eval()
    array([1, 2, 0])
    """
    order = argsort(x, axis)
    _check_places("argpartition", order, kth, 0 if axis is None else axis)
    return order


def _check_places(name: str, x: Node, kth: Any, axis: int) -> None:
    places = [kth] if isinstance(kth, (int, Node)) else np.atleast_1d(kth).tolist()
    for place in places:
        if not isinstance(place, int):
            with reporting(name, x):
                raise GraphTypeError(
                    f"kth is {kth!r}, but integers are needed", remedy="It cannot be a node."
                )
        require_size(name, x, axis, place + 1 if place >= 0 else -place)
