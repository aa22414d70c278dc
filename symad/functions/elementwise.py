"""Elementwise functions that few programs need."""

from __future__ import annotations

import math

import numpy as np

from symad.functions.along import as_computed, axis_of, part
from symad.graph.node import Node
from symad.ops.adjoint import cast, stop_gradient
from symad.ops.arithmetic import abs as magnitude
from symad.ops.arithmetic import mod, power
from symad.ops.base import Operand, as_node, as_nodes, register
from symad.ops.comparison import equal, isinf, where
from symad.ops.cumulative import cumsum
from symad.ops.exponential import logaddexp
from symad.ops.join import concat
from symad.ops.rounding import trunc


@register
def logaddexp2(x: Operand, y: Operand) -> Node:
    """Return log₂(2ˣ + 2ʸ), element by element, without overflow.

    Parameters
    ----------
    x, y : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.logaddexp2(sm.constant(2000.0), 2000.0).eval()
    np.float64(2001.0)
    """
    first, second = (node * math.log(2) for node in as_computed(np.logaddexp2, *as_nodes(x, y)))
    return logaddexp(first, second) / math.log(2)


@register
def float_power(x: Operand, y: Operand) -> Node:
    """Return ``x`` to the power of ``y``, element by element, in float64.

    Parameters
    ----------
    x, y : node, number or array
        Integers may have negative powers here.

    Examples
    --------
    >>> import symad as sm
    >>> sm.float_power(sm.constant([2, 4]), -1).eval()
    array([0.5 , 0.25])
    """
    return power(cast(as_node(x), "float64"), cast(as_node(y), "float64"))


@register
def modf(x: Operand) -> tuple[Node, Node]:
    """Return the fractional and the integral part of ``x``, element by element, with its sign.

    Parameters
    ----------
    x : node, number or array

    Returns
    -------
    fraction, whole : tuple of Node
        The fraction has the derivative 1, the integral part 0.

    Examples
    --------
    >>> import symad as sm
    >>> fraction, whole = sm.modf(sm.constant([-1.25, 3.5]))
    >>> fraction.eval(), whole.eval()
    (array([-0.25,  0.5 ]), array([-1.,  3.]))
    """
    (node,) = as_computed(np.modf, as_node(x))
    whole = trunc(node)
    return where(isinf(node), 0, node - whole), whole


@register
def unwrap(
    x: Operand, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Node:
    """Return angles without jumps: multiples of the period are added to make neighbours close.

    Parameters
    ----------
    x : node or array
    discont : float, optional
        Smaller jumps stay; by default, and at least, half of the period.
    axis : int
    period : float

    Returns
    -------
    Node
        Its derivative is that of ``x``.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.unwrap(sm.constant([0.0, 170.0, -170.0]), period=360).eval()
    array([  0., 170., 190.])
    """
    node = as_node(x)
    axis = axis_of("unwrap", node, axis)
    steps = part(node, axis, 1) - part(node, axis, None, -1)
    high = period / 2
    near = mod(steps + high, period) - high
    near = where(equal(near, -high) & (steps > 0), high, near)
    limit = high if discont is None else discont
    turns = where(magnitude(steps) < limit, 0, stop_gradient(near - steps))
    return concat([part(node, axis, None, 1), part(node, axis, 1) + cumsum(turns, axis)], axis)
