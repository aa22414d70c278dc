"""Derivatives by differences: slow and inexact, but independent of every rule.

One-sided:  (f(x + h) - f(x)) / h         errs by h f''/2 + ε f/h, least at h ~ ε^(1/2): ~ ε^(1/2)
Central:    (f(x + h) - f(x - h)) / 2h    errs by h² f'''/6 + ε f/h, least at h ~ ε^(1/3): ~ ε^(2/3)

where ε is the spacing of floating-point numbers at 1 and ε f/h is the rounding of f: a step that is
too small spoils the result just like one that is too large.  In float64 this leaves 8 correct
digits for one-sided and 10 for central differences, in float32 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from symad.errors import GradientError
from symad.graph.nested import leaves, rebuild
from symad.graph.node import Node, as_array

Array = np.ndarray[Any, Any]
Point = list[Array]
Method: TypeAlias = Literal["central", "forward"]

_BEST_POWER = {"central": 1 / 3, "forward": 1 / 2}
"""The power of ε for a step whose truncation and rounding errors are similar."""


def directional_derivative(
    f: Callable[..., Any] | Node,
    at: Any,
    direction: Any,
    method: Method = "central",
    step: float | None = None,
) -> Any:
    """Return the derivative of ``f`` at a point along a direction, by differences.

    Parameters
    ----------
    f : callable or Node
        A compiled or other function with one argument for each item of ``at``.  A node is
        evaluated; compile it first if it is large.
    at : array, list of arguments, or dict from variables to values for a node
        The point.  A list has one item for each argument; a single argument is an array or a
        number.
    direction : like ``at``
    method : {"central", "forward"}
        (f(x + h d) - f(x - h d)) / 2h, or (f(x + h d) - f(x)) / h.
    step : float, optional
        h; by default chosen by :func:`choose_step`.

    Returns
    -------
    array, or nested structure of arrays
        Like the value of ``f``.

    Raises
    ------
    GradientError
        If there is no such method, or the point is not floating.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> f = sm.compile([x], sm.sin(x))
    >>> sm.directional_derivative(f, np.array([0.0, np.pi]), np.array([1.0, 10.0]))
    array([  1., -10.])
    """
    evaluate, point = _evaluator(f, at)
    move = _as_point(list(_items(direction)), None)
    value = evaluate(point)
    h = step or choose_step(point, value, move, method)
    ahead = evaluate([x + x.dtype.type(h) * d for x, d in zip(point, move, strict=True)])
    if method == "forward":
        return _quotient(ahead, value, h)
    behind = evaluate([x - x.dtype.type(h) * d for x, d in zip(point, move, strict=True)])
    return _quotient(ahead, behind, 2 * h)


def numerical_gradient(
    f: Callable[..., Any] | Node, at: Any, method: Method = "central", step: float | None = None
) -> Any:
    """Return the gradient of the sum of ``f`` at a point, one element of it at a time.

    Parameters
    ----------
    f, at, method, step
        As for :func:`directional_derivative`; the direction is one element at a time.

    Returns
    -------
    array, list of arrays, or dict from variables to arrays
        Like ``at``.

    Raises
    ------
    GradientError
        If there is no such method, or the point is not floating.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    >>> y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    >>> gradient = sm.numerical_gradient(y, {x1: 2.0, x2: 5.0})
    >>> print(f"{gradient[x1]:.6f} {gradient[x2]:.6f}")
    5.500000 1.716338
    """
    evaluate, point = _evaluator(f, at)
    value = evaluate(point)
    gradient = [np.zeros_like(x) for x in point]
    for k, x in enumerate(point):
        for index in np.ndindex(x.shape):
            unit = np.zeros_like(x)
            unit[index] = 1
            h = x.dtype.type(step or choose_step([x[index]], value, [unit], method))
            start = x if method == "forward" else x - h * unit
            end = x + h * unit
            before = value if method == "forward" else evaluate(_replaced(point, k, start))
            after = evaluate(_replaced(point, k, end))
            width = end[index] - start[index]  # the actual step: x + h is rounded
            gradient[k][index] = _total(_quotient(after, before, width))
    results = [g[()] for g in gradient]
    if isinstance(at, Mapping):
        return dict(zip(at, results, strict=True))
    return results if isinstance(at, (list, tuple)) else results[0]


def _replaced(point: Point, k: int, x: Array) -> Point:
    return [*point[:k], x, *point[k + 1 :]]


def choose_step(
    point: Sequence[Any], value: Any, direction: Sequence[Any], method: Method = "central"
) -> float:
    """Return the step for which truncation and rounding errors are similar.

    That is (ε max(1, |x|))^(1/3) for central and (ε max(1, |x|))^(1/2) for one-sided differences,
    divided by the size of the direction; ε is that of the least precise dtype of the point and of
    the value.  It suits functions that vary over lengths of about 1: use a smaller step near a
    pole, a larger one where the function is smooth.

    Raises
    ------
    GradientError
        If there is no such method.
    """
    if method not in _BEST_POWER:
        raise GradientError(f'method is {method!r}; it must be "central" or "forward"')
    arrays = [np.asarray(a) for a in (*point, *leaves(value))]
    epsilon = max(
        (float(np.finfo(a.dtype).eps) for a in arrays if a.dtype.kind == "f"), default=2.0**-52
    )
    size = max([1.0, *(float(np.max(np.abs(x))) for x in point if np.size(x))])
    speed = max([0.0, *(float(np.max(np.abs(d))) for d in direction if np.size(d))]) or 1.0
    return float((epsilon * size) ** _BEST_POWER[method] / speed)


def _evaluator(f: Callable[..., Any] | Node, at: Any) -> tuple[Callable[[Point], Any], Point]:
    """Return ``f`` as a function of a list of arrays, and the point as such a list."""
    if not isinstance(f, Node):
        return lambda point: f(*[x[()] for x in point]), _as_point(list(_items(at)), None)
    if not isinstance(at, Mapping):
        raise GradientError(
            "the point at which to evaluate a node must be a dict from variables to values",
            remedy="Write at={x: 2.0}, or compile the node and give its arguments in order.",
        )
    variables = list(at)
    node = f
    point = _as_point(list(at.values()), [variable.dtype for variable in variables])
    return lambda point: node.eval(dict(zip(variables, point, strict=True))), point


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, (list, tuple)) else [value]


def _as_point(values: Sequence[Any], dtypes: Sequence[Any] | None) -> Point:
    point = []
    for k, value in enumerate(values):
        array = as_array(value, dtypes[k] if dtypes else None)
        if array.dtype.kind != "f":
            if isinstance(value, (np.ndarray, np.generic)) or dtypes:
                raise GradientError(
                    f"a value of dtype {array.dtype} cannot be moved by a small step",
                    remedy="Give it as a floating array, or keep it fixed inside the function.",
                )
            array = array.astype("float64")  # Python numbers
        point.append(array)
    return point


def _quotient(ahead: Any, behind: Any, width: float) -> Any:
    """Return (ahead - behind) / width for arrays, or structures of them."""
    pairs = zip(leaves(ahead), leaves(behind), strict=True)
    return rebuild(ahead, iter([(a - b) / np.asarray(a).dtype.type(width) for a, b in pairs]))


def _total(value: Any) -> Any:
    return sum(np.sum(leaf) for leaf in leaves(value))
