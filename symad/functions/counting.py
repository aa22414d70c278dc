"""How many elements are not zero, and which are members of a set."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Node
from symad.ops.base import Operand, as_node, as_nodes, register
from symad.ops.comparison import equal, logical_not, not_equal
from symad.ops.reduce import sum as sum_of
from symad.ops.searching import searchsorted
from symad.ops.shape import ravel
from symad.ops.sorting import sort


@register
def count_nonzero(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return how many elements of ``x`` along ``axis`` are not zero; NaN is not.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        The count as int64, without a derivative.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.count_nonzero(sm.constant([[0.0, 2.0], [1.0, 3.0]]), axis=0).eval()
    array([1, 2])
    """
    node = as_node(x)
    return sum_of(node if node.dtype == np.bool_ else not_equal(node, 0), axis, keepdims=keepdims)


@register
def isin(x: Operand, values: Operand, *, invert: bool = False) -> Node:
    """Return whether each element of ``x`` is one of ``values``.

    Parameters
    ----------
    x : node, number or array
    values : node, number or array
        Of any shape; it is sorted first.  NaN equals nothing, so it is not a member.
    invert : bool
        Return whether it is none of them.

    Returns
    -------
    Node
        Booleans in the shape of ``x``, without a derivative.

    Examples
    --------
    >>> import symad as sm
    >>> sm.isin(sm.constant([[1, 2], [3, 4]]), [4, 1]).eval()
    array([[ True, False],
           [False,  True]])
    """
    node, members = as_nodes(x, values)
    ascending = sort(ravel(members))
    before, after = (searchsorted(ascending, node, side=side) for side in ("left", "right"))
    found = (before < after) & equal(node, node)
    return logical_not(found) if invert else found
