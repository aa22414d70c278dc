"""Derivatives by differences: slow and inexact, but independent of every rule.

One-sided:  (f(x + h) - f(x)) / h         errs by h f''/2 + ε f/h, least at h ~ ε^(1/2): ~ ε^(1/2)
Central:    (f(x + h) - f(x - h)) / 2h    errs by h² f'''/6 + ε f/h, least at h ~ ε^(1/3): ~ ε^(2/3)

where ε is the spacing of floating-point numbers at 1 and ε f/h is the rounding of f: a step that is
too small spoils the result just like one that is too large.  In float64 this leaves 8 correct
digits for one-sided and 10 for central differences, in float32 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from symad.errors import GradientError
from symad.graph.nested import Nested, leaves, map_leaves, matching_leaves, rebuild
from symad.graph.node import Node, as_array
from symad.graph.op import call, explained
from symad.types import TensorType

Array = np.ndarray[Any, Any]
Point = list[Array]
Method: TypeAlias = Literal["central", "forward"]

_BEST_POWER = {"central": 1 / 3, "forward": 1 / 2}
"""The power of ε for a step whose truncation and rounding errors are similar."""


@explained
def directional_derivative(
    f: Callable[..., Any] | Node | Nested,
    at: Any,
    direction: Any,
    method: Method = "central",
    step: float | None = None,
) -> Any:
    """Return the derivative of ``f`` at a point along a direction, by differences.

    Parameters
    ----------
    f : callable, Node or nested structure of nodes
        A compiled or other function of the arguments ``at``.  Nodes are evaluated; compile them
        first if they are large.
    at : list of arguments, single argument, or dict from variables to values
        The point.  An argument is a number, an array or a nested structure of these, in which a
        list of numbers is an array.  For nodes, and for compiled functions if you like, the point
        is a dict from variables to values.
    direction : like ``at``
        Items of dicts are matched by key.
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
        If there is no such method, the point is not floating, or the direction has another
        structure.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> f = sm.compile([x], sm.sin(x))
    >>> sm.directional_derivative(f, np.array([0.0, np.pi]), np.array([1.0, 10.0]))
    array([  1., -10.])
    """
    evaluate, point, form = _evaluator(f, at)
    steps = matching_leaves(form, _arrays(direction), "direction", GradientError)
    move = [as_array(d, None) for d in steps]
    value = evaluate(point)
    h = step or choose_step(point, value, move, method)
    ahead = evaluate([x + x.dtype.type(h) * d for x, d in zip(point, move, strict=True)])
    if method == "forward":
        return _quotient(ahead, value, h)
    behind = evaluate([x - x.dtype.type(h) * d for x, d in zip(point, move, strict=True)])
    return _quotient(ahead, behind, 2 * h)


@explained
def numerical_gradient(
    f: Callable[..., Any] | Node | Nested,
    at: Any,
    method: Method = "central",
    step: float | None = None,
) -> Any:
    """Return the gradient of the sum of ``f`` at a point, one element of it at a time.

    Parameters
    ----------
    f, at, method, step
        As for :func:`directional_derivative`; the direction is one element at a time.

    Returns
    -------
    array, or nested structure of arrays
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
    evaluate, point, form = _evaluator(f, at)
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
    return rebuild(form, iter([g[()] for g in gradient]))


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


def _evaluator(f: Any, at: Any) -> tuple[Callable[[Point], Any], Point, Any]:
    """Return ``f`` as a function of a list of arrays, the point as such a list, and its form."""
    form = _arrays(at)
    by_node = isinstance(form, dict) and any(isinstance(key, Node) for key in form)
    if callable(f) and not (by_node and hasattr(f, "inputs")):
        return lambda point: f(*_arguments(rebuild(form, iter(point)))), _as_point(form), form
    if not by_node:
        raise GradientError(
            "the point at which to evaluate a node must be a dict from variables to values",
            remedy="Write at={x: 2.0}, or compile the node and give its arguments in order.",
        )
    outputs = f.outputs if callable(f) else f
    form = {node: _in_its_dtype(value, node) for node, value in form.items()}

    def evaluate(point: Point) -> Any:
        feed = rebuild(form, iter(point))
        return map_leaves(lambda node: call("eval", node, feed), outputs)

    return evaluate, _as_point(form), form


def _arrays(value: Any) -> Any:
    """Return a nested structure in which lists of numbers, except the outermost, are arrays."""
    if isinstance(value, dict):
        return {key: _array(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_array(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _array(value: Any) -> Any:
    numbers = isinstance(value, (list, tuple)) and all(
        isinstance(leaf, (bool, int, float)) for leaf in leaves(value)
    )
    return as_array(value, "float64") if numbers else _arrays(value)


def _in_its_dtype(value: Any, node: Any) -> Any:
    if not isinstance(node, Node):
        raise GradientError(f"{node!r} is not a node", remedy="Write at={x: 2.0}.")
    return as_array(value, node.dtype) if isinstance(node.type, TensorType) else value


def _arguments(form: Any) -> Sequence[Any]:
    return form if isinstance(form, (list, tuple)) else [form]


def _as_point(form: Any) -> Point:
    """Return the leaves of a structure as floating arrays."""
    point = []
    for value in leaves(form):
        array = as_array(value, None)
        if array.dtype.kind != "f":
            if isinstance(value, (np.ndarray, np.generic)):
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
