"""Comparison up to rounding, steps, and extremes that ignore NaN."""

from __future__ import annotations

import numpy as np

from symad.errors import ShapeError
from symad.functions.along import as_computed
from symad.graph.node import Constant, Node, reporting
from symad.ops.adjoint import cast
from symad.ops.arithmetic import abs as magnitude
from symad.ops.base import Operand, as_node, as_nodes, register, tensor_types
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
from symad.ops.truth import all as all_true
from symad.types import UnknownShape


@register
def isclose(
    x: Operand,
    y: Operand,
    rtol: Operand = 1e-5,
    atol: Operand = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Return whether elements are equal up to rounding: \\|x − y\\| ≤ atol + rtol \\|y\\|.

    Parameters
    ----------
    x, y : node, number or array
        Infinities are close only to themselves.
    rtol, atol : node, number or array
    equal_nan : bool
        Whether a NaN is close to a NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.isclose(sm.constant([1.0, 1.1]), 1.0 + 1e-9).eval()
    array([ True, False])
    """
    first, second = as_nodes(x, y)
    second = cast(second, np.result_type(second.dtype, 1.0))
    near = magnitude(first - second) <= atol + rtol * magnitude(second)
    close = logical_or(logical_and(near, isfinite(second)), equal(first, second))
    if not equal_nan:
        return close
    return logical_or(close, logical_and(isnan(first), isnan(second)))


@register
def allclose(
    x: Operand,
    y: Operand,
    rtol: Operand = 1e-5,
    atol: Operand = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Return whether all elements are equal up to rounding, as a boolean node.

    Parameters
    ----------
    x, y : node, number or array
    rtol, atol : node, number or array
        See :func:`isclose`.
    equal_nan : bool
        Whether a NaN is close to a NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.allclose(sm.constant([1.0, 2.0]), [1.0, 2.0 + 1e-9]).eval()
    np.True_
    """
    return all_true(isclose(x, y, rtol, atol, equal_nan))


@register
def array_equal(x: Operand, y: Operand, equal_nan: bool = False) -> Node:
    """Return whether two arrays have the same shape and elements, as a boolean node.

    Parameters
    ----------
    x, y : node, number or array
    equal_nan : bool
        Whether a NaN equals a NaN.

    Raises
    ------
    ShapeError
        If a number of axes is not known.
    EvaluationError
        When run, if sizes that were not known do not broadcast.

    Examples
    --------
    >>> import symad as sm
    >>> sm.array_equal(sm.constant([1.0, 2.0]), [1.0, 2.0]).eval()
    np.True_
    >>> sm.array_equal(sm.constant([1.0, 2.0]), [1.0]).eval()
    np.False_
    """
    first, second = as_node(x), as_node(y)
    shapes = [type_.shape for type_ in tensor_types(first.type, second.type)]
    if any(isinstance(shape, UnknownShape) for shape in shapes) and shapes[0] != shapes[1]:
        with reporting("array_equal", first, second):
            raise ShapeError(
                "the numbers of axes of the operands must be known",
                remedy='Declare them: Variable("x", shape=(None, None)).',
            )
    same = _same_sizes(first, second) if shapes[0] != shapes[1] else []
    if same is None:
        return Constant(np.False_)
    elements = equal(first, second)
    if equal_nan:
        elements = logical_or(elements, logical_and(isnan(first), isnan(second)))
    result = all_true(elements)
    for condition in same:
        result = logical_and(result, condition)
    return result


def _same_sizes(x: Node, y: Node) -> list[Node] | None:
    """Return what must hold for the shapes to be equal; ``None`` if they are known to differ."""
    if x.ndim != y.ndim:
        return None
    pairs = [(m, n) for m, n in zip(x.shape, y.shape, strict=True)]
    if any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in pairs):
        return None
    return [equal(m, n) for m, n in pairs if isinstance(m, Node) or isinstance(n, Node)]


@register
def array_equiv(x: Operand, y: Operand) -> Node:
    """Return whether two arrays have the same elements after broadcasting, as a boolean node.

    Parameters
    ----------
    x, y : node, number or array
        Shapes that are known not to broadcast are not equal.

    Raises
    ------
    EvaluationError
        When run, if sizes that were not known do not broadcast.

    Examples
    --------
    >>> import symad as sm
    >>> sm.array_equiv(sm.constant([[1.0, 2.0], [1.0, 2.0]]), [1.0, 2.0]).eval()
    np.True_
    """
    first, second = as_node(x), as_node(y)
    try:
        return all_true(equal(first, second))
    except ShapeError:
        return Constant(np.False_)


@register
def isposinf(x: Operand) -> Node:
    """Return whether ``x`` is positive infinity, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.isposinf(sm.constant([1.0, float("inf"), -float("inf")])).eval()
    array([False,  True, False])
    """
    return equal(x, np.inf)


@register
def isneginf(x: Operand) -> Node:
    """Return whether ``x`` is negative infinity, element by element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.isneginf(sm.constant([1.0, float("inf"), -float("inf")])).eval()
    array([False, False,  True])
    """
    return equal(x, -np.inf)


@register
def fmax(x: Operand, y: Operand) -> Node:
    """Return the larger of ``x`` and ``y``, element by element, and the other one for a NaN.

    Parameters
    ----------
    x, y : node, number or array
        Where they are equal, each gets half of the adjoint.

    Examples
    --------
    >>> import symad as sm
    >>> sm.fmax(sm.constant([1.0, float("nan")]), 0.0).eval()
    array([1., 0.])
    """
    first, second = as_nodes(x, y)
    return where(isnan(first), second, where(isnan(second), first, maximum(first, second)))


@register
def fmin(x: Operand, y: Operand) -> Node:
    """Return the smaller of ``x`` and ``y``, element by element, and the other one for a NaN.

    Parameters
    ----------
    x, y : node, number or array
        Where they are equal, each gets half of the adjoint.

    Examples
    --------
    >>> import symad as sm
    >>> sm.fmin(sm.constant([1.0, float("nan")]), 0.0).eval()
    array([0., 0.])
    """
    first, second = as_nodes(x, y)
    return where(isnan(first), second, where(isnan(second), first, minimum(first, second)))


@register
def fabs(x: Operand) -> Node:
    """Return the magnitude of ``x``, element by element, as a float.

    Parameters
    ----------
    x : node, number or array
        Unlike those of :func:`symad.abs`, integers become floats.

    Examples
    --------
    >>> import symad as sm
    >>> sm.fabs(sm.constant([-2, 3])).eval()
    array([2., 3.])
    """
    (node,) = as_computed(np.fabs, as_node(x))
    return magnitude(node)


@register
def heaviside(x: Operand, y: Operand) -> Node:
    """Return 0 where ``x`` is negative, 1 where it is positive, and ``y`` where it is 0.

    Parameters
    ----------
    x : node, number or array
        A step has the derivative 0.  A NaN remains.
    y : node, number or array
        Gets the derivative 1 where x is 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.heaviside(sm.constant([-2.0, 0.0, 3.0]), 0.5).eval()
    array([0. , 0.5, 1. ])
    """
    first, second = as_computed(np.heaviside, *as_nodes(x, y))
    step = where(first < 0, 0.0, where(first > 0, cast(1.0, second.dtype), second))
    return where(isnan(first), np.nan, step)
