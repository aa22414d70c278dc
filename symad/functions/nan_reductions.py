"""Reductions that leave NaN out, and the replacement of NaN and infinities.

An element that is left out is not selected by ``where``, so it has the derivative 0 and nothing of
it reaches the derivatives of others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.functions.along import as_floats
from symad.graph.node import Node
from symad.ops.adjoint import cast, identity
from symad.ops.arithmetic import square
from symad.ops.base import Operand, as_node, register, wide_dtype
from symad.ops.comparison import equal, isnan, where
from symad.ops.cumulative import cumprod, cumsum
from symad.ops.extremum import argmax
from symad.ops.extremum import max as largest
from symad.ops.extremum import min as smallest
from symad.ops.linalg import norm
from symad.ops.reduce import prod
from symad.ops.reduce import sum as sum_of
from symad.ops.truth import all as all_true


def _filled(x: Operand, value: float) -> Node:
    """Return ``x`` with ``value`` in place of NaN."""
    node = as_node(x)
    return where(isnan(node), value, node) if node.type.is_float else node


def _count(x: Node, axis: Any, keepdims: bool) -> Node:
    """Return how many elements are not NaN, in a dtype that can count them."""
    return cast(sum_of(equal(x, x), axis, keepdims=keepdims), wide_dtype(x.dtype))


@register
def nansum(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the sum of the elements along ``axis`` that are not NaN; 0 if there are none.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.nansum(x).eval({x: [1.0, float("nan"), 3.0]})
    np.float64(4.0)
    >>> sm.gradients(sm.nansum(sm.sqrt(x)), x).eval({x: [1.0, -1.0, 4.0]})
    array([0.5 , 0.  , 0.25])
    """
    return sum_of(_filled(x, 0), axis, keepdims=keepdims)


@register
def nanprod(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the product of the elements along ``axis`` that are not NaN; 1 if there are none.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanprod(sm.constant([2.0, float("nan"), 3.0])).eval()
    np.float64(6.0)
    """
    return prod(_filled(x, 1), axis, keepdims=keepdims)


@register
def nancumsum(x: Operand, axis: int | None = None) -> Node:
    """Return the sums of all elements up to each along ``axis``, with NaN counted as 0.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nancumsum(sm.constant([1.0, float("nan"), 3.0])).eval()
    array([1., 1., 4.])
    """
    return cumsum(_filled(x, 0), axis)


@register
def nancumprod(x: Operand, axis: int | None = None) -> Node:
    """Return the products of all elements up to each along ``axis``, with NaN counted as 1.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nancumprod(sm.constant([2.0, float("nan"), 3.0])).eval()
    array([2., 2., 6.])
    """
    return cumprod(_filled(x, 1), axis)


@register
def nanmax(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the largest element along ``axis`` that is not NaN; NaN if all are.

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
    >>> sm.nanmax(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.float64(3.0)
    """
    return _extreme(largest, -np.inf, x, axis, keepdims)


@register
def nanmin(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the smallest element along ``axis`` that is not NaN; NaN if all are.

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
    >>> sm.nanmin(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.float64(1.0)
    """
    return _extreme(smallest, np.inf, x, axis, keepdims)


def _extreme(reduction: Any, least: float, x: Operand, axis: Any, keepdims: bool) -> Node:
    node = as_node(x)
    result: Node = reduction(_filled(node, least), axis, keepdims=keepdims)
    if not node.type.is_float:
        return result
    return where(all_true(isnan(node), axis, keepdims=keepdims), np.nan, result)


@register
def nanmean(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the mean of the elements along ``axis`` that are not NaN; NaN if there are none.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.nanmean(x).eval({x: [1.0, float("nan"), 3.0]})
    np.float64(2.0)
    >>> sm.gradients(sm.nanmean(x), x).eval({x: [1.0, float("nan"), 3.0]})
    array([0.5, 0. , 0.5])
    """
    node = as_floats(as_node(x))
    wide = cast(_filled(node, 0), wide_dtype(node.dtype))
    total = sum_of(wide, axis, keepdims=keepdims)
    return cast(total / _count(node, axis, keepdims), node.dtype)


@register
def nanvar(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the variance of the elements along ``axis`` that are not NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    correction : float
        The number subtracted from the number of elements; see :func:`symad.var`.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        NaN where no more elements are left than ``correction``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanvar(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.float64(1.0)
    """
    deviations, freedom, dtype = _deviations(x, axis, correction, keepdims, ddof)
    total = sum_of(square(deviations), axis, keepdims=keepdims)
    return cast(where(freedom > 0, total / freedom, np.nan), dtype)


@register
def nanstd(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the standard deviation of the elements along ``axis`` that are not NaN.

    Where they are all equal, the derivative is 0, as that of :func:`symad.std`.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    correction : float
        The number subtracted from the number of elements; see :func:`symad.var`.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        NaN where no more elements are left than ``correction``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanstd(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.float64(1.0)
    """
    deviations, freedom, dtype = _deviations(x, axis, correction, keepdims, ddof)
    length = norm(deviations, axis=axis, keepdims=keepdims)
    return cast(where(freedom > 0, length / freedom**0.5, np.nan), dtype)


def _deviations(
    x: Operand, axis: Any, correction: float, keepdims: bool, ddof: float | None
) -> tuple[Node, Node, np.dtype[Any]]:
    """Return differences from the mean, 0 for NaN; the degrees of freedom; and the dtype."""
    node = as_floats(as_node(x))
    wide = cast(node, wide_dtype(node.dtype))
    deviations = where(isnan(wide), 0, wide - nanmean(wide, axis, keepdims=True))
    freedom = _count(wide, axis, keepdims) - (correction if ddof is None else ddof)
    return deviations, freedom, node.dtype


@register
def nan_to_num(
    x: Operand,
    copy: bool = True,
    nan: Operand = 0.0,
    posinf: Operand | None = None,
    neginf: Operand | None = None,
) -> Node:
    """Return ``x`` with other numbers in place of NaN and infinities.

    Parameters
    ----------
    x : node, number or array
    copy : bool
        Ignored: nodes never change.
    nan, posinf, neginf : node, number or array, optional
        What replaces NaN, ∞ and −∞: by default 0 and the largest and smallest numbers of the dtype.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nan_to_num(sm.constant([1.0, float("nan"), float("inf")]), posinf=9.0).eval()
    array([1., 0., 9.])
    """
    node = as_node(x)
    if not node.type.is_float:
        return identity(node)
    limits = np.finfo(node.dtype)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    cases = ((isnan(node), nan), (equal(node, np.inf), top), (equal(node, -np.inf), bottom))
    result = node
    for condition, value in cases:
        result = where(condition, cast(as_node(value, node), node.dtype), result)
    return result


@register
def nanargmax(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the position of the largest element that is not NaN, the first of several.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        By default, ``x`` is flattened first.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        The position as int64, without a derivative; −1 if all elements are NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanargmax(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.int64(2)
    """
    return _place(nanmax, x, axis, keepdims)


@register
def nanargmin(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the position of the smallest element that is not NaN, the first of several.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        By default, ``x`` is flattened first.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        The position as int64, without a derivative; −1 if all elements are NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nanargmin(sm.constant([1.0, float("nan"), 3.0])).eval()
    np.int64(0)
    """
    return _place(nanmin, x, axis, keepdims)


def _place(extreme: Any, x: Operand, axis: Any, keepdims: bool) -> Node:
    node = as_node(x)
    hits = cast(equal(node, extreme(node, axis, keepdims=axis is not None)), "int8")
    place = argmax(hits, axis, keepdims=keepdims)
    return where(equal(largest(hits, axis, keepdims=keepdims), 0), -1, place)
