"""Cumulative sums and products under the names of the Array API standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symad.errors import ShapeError
from symad.graph.node import Node, reporting
from symad.ops.adjoint import cast, ones_like, zeros_like
from symad.ops.base import Operand, as_node, register
from symad.ops.cumulative import cumprod, cumsum
from symad.ops.join import concat
from symad.ops.permute import permute_dims
from symad.ops.reduce import prod
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import one_axis


@register
def cumulative_sum(
    x: Operand, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Node:
    """Return the sum of all elements up to each along ``axis``: y_j = Σ_{i≤j} x_i.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        May be left out only if ``x`` has just one axis.
    dtype : dtype, optional
        That in which to sum; by default that of ``x``, and int64 or uint64 for small integers.
    include_initial : bool
        Begin with 0, the sum of no elements: the result is one longer.

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        If the axis does not exist, or is left out and ``x`` does not have just one.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cumulative_sum(sm.constant([1.0, 2.0, 3.0]), include_initial=True).eval()
    array([0., 1., 3., 6.])
    """
    node, along = _prepared("cumulative_sum", x, axis, dtype)
    initial = zeros_like(sum_of(node, along, keepdims=True)) if include_initial else None
    return _accumulated(cumsum, node, along, initial, dtype)


@register
def cumulative_prod(
    x: Operand, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Node:
    """Return the product of all elements up to each along ``axis``: y_j = Π_{i≤j} x_i.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        May be left out only if ``x`` has just one axis.
    dtype : dtype, optional
        That in which to multiply; by default that of ``x``, and int64 or uint64 for small integers.
    include_initial : bool
        Begin with 1, the product of no elements: the result is one longer.

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        If the axis does not exist, or is left out and ``x`` does not have just one.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cumulative_prod(sm.constant([2.0, 3.0, 4.0]), include_initial=True).eval()
    array([ 1.,  2.,  6., 24.])
    """
    node, along = _prepared("cumulative_prod", x, axis, dtype)
    initial = ones_like(prod(node, along, keepdims=True)) if include_initial else None
    return _accumulated(cumprod, node, along, initial, dtype)


def _prepared(name: str, x: Operand, axis: int | None, dtype: Any) -> tuple[Node, int]:
    """Return ``x`` in ``dtype``, and the axis; if that is left out, one axis is required."""
    node = as_node(x) if dtype is None else cast(x, dtype)
    with reporting(name, node):
        if axis is None and node.ndim not in (1, None):
            raise ShapeError(
                f"an array of {node.ndim} axes needs axis=", remedy="Write axis=-1 for the last."
            )
    if axis is None:
        return (permute_dims(node, (0,)) if node.ndim is None else node), 0
    return node, one_axis(axis)


def _accumulated(
    accumulate: Callable[..., Node], x: Node, axis: int, initial: Node | None, dtype: Any
) -> Node:
    result = accumulate(x, axis)
    whole = result if initial is None else concat([initial, result], axis)
    return whole if dtype is None else cast(whole, dtype)
