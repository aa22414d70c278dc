"""Weighted averages, covariances and correlations."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import aligned, as_floats, axis_of, known_rank
from symad.graph.node import Node, reporting
from symad.ops.adjoint import broadcast_like, cast
from symad.ops.arithmetic import sqrt
from symad.ops.base import Operand, as_node, register
from symad.ops.join import concat
from symad.ops.permute import matrix_transpose
from symad.ops.reduce import element_count, mean
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims
from symad.ops.size import axis_size
from symad.ops.triangle import diagonal


@register
def average(
    x: Operand,
    axis: Any = None,
    weights: Operand | None = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Return the weighted average of ``x`` along ``axis``: Σ_j w_j x_j / Σ_j w_j.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    weights : node or array, optional
        Of the shape of ``x``, or a vector along the one axis; without them, this is the mean.
    returned : bool
        Return the sum of the weights as well.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node, or tuple of two
        The average, NaN where the weights add up to 0, and the sum of the weights if requested.

    Raises
    ------
    ShapeError
        If the weights fit neither ``x`` nor its axis.

    Examples
    --------
    >>> import symad as sm
    >>> sm.average(sm.constant([1.0, 4.0]), weights=[3.0, 1.0]).eval()
    np.float64(1.75)
    """
    node = as_node(x)
    if weights is None:
        result = mean(node, axis, keepdims=keepdims)
        count = cast(element_count(node, axis), result.dtype)
        return (result, broadcast_like(count, result)) if returned else result
    w = _fitting_weights(as_node(weights), node, axis)
    dtype = np.result_type(node.dtype, w.dtype, *([] if node.type.is_float else ["float64"]))
    w = cast(broadcast_like(w, node), dtype)
    total = sum_of(w, axis, keepdims=keepdims)
    result = sum_of(node * w, axis, keepdims=keepdims) / total
    return (result, total) if returned else result


def _fitting_weights(weights: Node, x: Node, axis: Any) -> Node:
    """Return weights that broadcast to ``x``: of its shape, or a vector along one axis."""
    if known_rank("average", weights) == known_rank("average", x):
        return weights
    with reporting("average", x, weights):
        if weights.ndim != 1 or not isinstance(axis, int):
            raise ShapeError(
                "the weights do not have the axes of the operand",
                remedy="Give weights of its shape, or a vector and the axis along which it lies.",
            )
    return aligned(weights, x, axis_of("average", x, axis))


@register
def cov(
    x: Operand,
    y: Operand | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: float | None = None,
    fweights: Operand | None = None,
    aweights: Operand | None = None,
    *,
    dtype: Any = None,
) -> Node:
    """Return the covariances of variables, estimated from observations.

    Parameters
    ----------
    x : node or array
        A vector of observations of one variable, or a matrix with a row for each variable.
    y : node or array, optional
        Observations of more variables, in the same form.
    rowvar : bool
        Whether rows are variables; if not, columns are.
    bias : bool
        Whether to divide by the number of observations, not by one less.
    ddof : float, optional
        What is subtracted from the number of observations, whatever ``bias`` says.
    fweights, aweights : node or array, optional
        How often each observation counts, and how much it weighs.
    dtype : dtype, optional
        By default float64, as in NumPy.

    Returns
    -------
    Node
        A symmetric matrix; if there is known to be one variable, a scalar: its variance.

    Raises
    ------
    ShapeError
        If ``x`` or ``y`` has more than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cov(sm.constant([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).eval()
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    rows = _variables("cov", x, rowvar, dtype)
    if y is not None:
        rows = concat([rows, _variables("cov", y, rowvar, dtype)])
    removed = (0 if bias else 1) if ddof is None else ddof
    weights = _observation_weights(fweights, aweights)
    if weights is None:
        deviations = rows - mean(rows, 1, keepdims=True)
        return _scalar_if_one(
            deviations @ matrix_transpose(deviations) / element_count(rows, 1, removed)
        )
    total = sum_of(weights)
    deviations = rows - (rows @ weights / total)[:, None]
    freedom: Node = total - removed
    if aweights is not None and removed:
        freedom = total - removed * sum_of(weights * as_node(aweights)) / total
    return _scalar_if_one((deviations * weights) @ matrix_transpose(deviations) / freedom)


@register
def corrcoef(
    x: Operand, y: Operand | None = None, rowvar: bool = True, *, dtype: Any = None
) -> Node:
    """Return the correlation coefficients of variables: covariances over standard deviations.

    Parameters
    ----------
    x, y : node or array
        Observations, as for :func:`cov`.
    rowvar : bool
        Whether rows are variables; if not, columns are.
    dtype : dtype, optional
        By default float64, as in NumPy.

    Returns
    -------
    Node
        A symmetric matrix; if there is known to be one variable, the number 1.  Unlike
        NumPy's, rounded values are not cut at ±1, where that would be a kink.

    Raises
    ------
    ShapeError
        If ``x`` or ``y`` has more than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.corrcoef(sm.constant([1.0, 2.0, 3.0]), [6.0, 4.0, 2.0]).eval().round(9)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    covariances = cov(x, y, rowvar, dtype=dtype)
    if covariances.ndim == 0:
        return covariances / covariances
    deviations = sqrt(diagonal(covariances))
    return covariances / deviations[:, None] / deviations


def _variables(name: str, x: Operand, rowvar: bool, dtype: Any) -> Node:
    """Return observations as a matrix with one row for each variable."""
    node = cast(as_node(x), "float64" if dtype is None else dtype)
    rank = known_rank(name, node)
    if rank > 2:
        with reporting(name, node):
            raise ShapeError(f"observations are a vector or a matrix, not an array of {rank} axes")
    if rank < 2:
        return expand_dims(node, tuple(range(2 - rank)))
    return node if rowvar else matrix_transpose(node)


def _observation_weights(frequencies: Operand | None, weights: Operand | None) -> Node | None:
    given = [as_node(w) for w in (frequencies, weights) if w is not None]
    for node in given:
        if node.ndim not in (1, None):
            with reporting("cov", node):
                raise GraphTypeError("the weights of observations must be a vector")
    product = given[0] * given[1] if len(given) == 2 else given[0] if given else None
    return None if product is None else as_floats(product)


def _scalar_if_one(matrix: Node) -> Node:
    count = axis_size(matrix, 0)
    return matrix[0, 0] if isinstance(count, int) and count == 1 else matrix
