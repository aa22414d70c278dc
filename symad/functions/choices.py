"""Choices among several values by several conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.errors import GraphTypeError
from symad.graph.node import Node, reporting
from symad.ops.adjoint import broadcast_like, cast
from symad.ops.base import Operand, as_node, as_nodes, register
from symad.ops.body import called
from symad.ops.comparison import where


@register
def select(
    condlist: Sequence[Operand], choicelist: Sequence[Operand], default: Operand = 0
) -> Node:
    """Return, element by element, the choice of the first condition that holds.

    A choice that is not taken does not contribute to derivatives: see :func:`symad.where`.

    Parameters
    ----------
    condlist : sequence of boolean nodes or arrays
    choicelist : sequence of nodes, numbers or arrays
        As many as conditions.
    default : node, number or array
        The value where no condition holds.

    Raises
    ------
    GraphTypeError
        If there are no conditions, or not as many as choices, or one is not boolean.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> y = sm.select([x < 0, x < 2], [-x, x**2], 4.0)
    >>> y.eval({x: [-1.0, 1.0, 3.0]}), sm.gradients(y, x).eval({x: [-1.0, 1.0, 3.0]})
    (array([1., 1., 4.]), array([-1.,  2.,  0.]))
    """
    conditions = [as_node(condition) for condition in condlist]
    with reporting("select", *conditions):
        if not conditions or len(conditions) != len(choicelist):
            raise GraphTypeError(
                f"{len(conditions)} conditions do not fit {len(choicelist)} choices",
                remedy="Give a choice for each condition, and a default for where none holds.",
            )
    *choices, result = as_nodes(*choicelist, default)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = where(condition, choice, result)
    return result


@register
def piecewise(
    x: Operand, condlist: Any, funclist: Sequence[Any], *args: Any, **keywords: Any
) -> Node:
    """Return, element by element, the function of the last condition that holds.

    Every function is computed for all elements, unlike in NumPy; what it gives elsewhere does not
    contribute to derivatives.

    Parameters
    ----------
    x : node, number or array
    condlist : sequence of boolean nodes or arrays
        Or a single one.
    funclist : sequence of callables, nodes, numbers or arrays
        As many as conditions, and perhaps one more for where none holds; 0 without it.
    *args, **keywords
        Given to the functions after ``x``.

    Returns
    -------
    Node
        Of the shape and dtype of ``x``.

    Raises
    ------
    GraphTypeError
        If the numbers of functions and conditions do not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> y = sm.piecewise(x, [x < 0, x > 2], [lambda t: -t, 2.0, lambda t: t**2])
    >>> y.eval({x: [-1.0, 1.5, 3.0]})
    array([1.  , 2.25, 2.  ])
    """
    node = as_node(x)
    single = isinstance(condlist, Node) or not isinstance(condlist, (list, tuple))
    listed = [condlist] if single or isinstance(condlist[0], bool) else condlist
    conditions = [as_node(condition) for condition in listed]
    functions = list(funclist)
    with reporting("piecewise", node):
        if len(functions) - len(conditions) not in (0, 1):
            raise GraphTypeError(
                f"{len(functions)} functions do not fit {len(conditions)} conditions",
                remedy="Give a function for each condition, and perhaps one for where none holds.",
            )
    otherwise = functions.pop() if len(functions) > len(conditions) else 0

    def value_of(function: Any) -> Node:
        value = function
        if callable(function):
            value = called("a function of piecewise", function, node, *args, **keywords)
        return cast(as_node(value, node), node.dtype)

    result = broadcast_like(value_of(otherwise), node)
    for condition, function in zip(conditions, functions, strict=True):
        result = where(condition, value_of(function), result)
    return result
