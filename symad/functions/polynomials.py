"""Polynomials as vectors of coefficients, the highest power first."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import as_floats, known_rank, part
from symad.functions.matrix_functions import lstsq
from symad.functions.signal import convolve
from symad.graph.node import Node, reporting
from symad.ops.adjoint import broadcast_like, cast, zeros_like
from symad.ops.arithmetic import divide, power
from symad.ops.base import Operand, as_node, as_nodes, register
from symad.ops.create import arange
from symad.ops.join import concat
from symad.ops.linalg import norm
from symad.ops.rearrange import pad
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims
from symad.ops.size import axis_size


def _coefficients(name: str, p: Operand) -> Node:
    node = as_node(p)
    if known_rank(name, node) > 1:
        with reporting(name, node):
            raise ShapeError(f"the coefficients must be a vector, not an array of {node.ndim} axes")
    return node if node.ndim else expand_dims(node, 0)


@register
def polyval(p: Operand, x: Operand) -> Node:
    """Return the values of a polynomial: p₀ xⁿ⁻¹ + p₁ xⁿ⁻² + … + pₙ₋₁.

    Parameters
    ----------
    p : node or array
        The n coefficients, the highest power first.  By Horner's scheme if n is known.
    x : node, number or array

    Returns
    -------
    Node
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If ``p`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.polyval([1.0, 0.0, -2.0], x)
    >>> y.eval({x: 3.0}), sm.gradients(y, x).eval({x: 3.0})
    (np.float64(7.0), np.float64(6.0))
    """
    coefficients, places = as_nodes(_coefficients("polyval", p), x)
    count = axis_size(coefficients, 0)
    if not isinstance(count, int):
        powers = power(expand_dims(places, -1), count - 1 - arange(count))
        return sum_of(coefficients * powers, -1)
    if count == 0:
        return zeros_like(places)
    dtype = np.result_type(coefficients.dtype, places.dtype)
    value = broadcast_like(cast(coefficients[0], dtype), places)
    for k in range(1, count):
        value = value * places + coefficients[k]
    return value


@register
def polyder(p: Operand, m: int = 1) -> Node:
    """Return the coefficients of the derivative of order ``m`` of a polynomial.

    Parameters
    ----------
    p : node or array
        The coefficients, the highest power first.
    m : int

    Raises
    ------
    GraphTypeError
        If ``m`` is not a natural number.
    ShapeError
        If ``p`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polyder(sm.constant([1.0, 5.0, 7.0])).eval()
    array([2., 5.])
    """
    node = _coefficients("polyder", p)
    for _ in range(_order("polyder", node, m)):
        count = axis_size(node, 0)
        node = part(node, 0, None, -1) * arange(count - 1, 0, -1)
    return node


@register
def polyint(p: Operand, m: int = 1, k: Operand = 0) -> Node:
    """Return the coefficients of an integral of order ``m`` of a polynomial.

    Parameters
    ----------
    p : node or array
        The coefficients, the highest power first.
    m : int
    k : node, number or array
        The constants of integration: one for all, or a vector with one for each, in order.

    Raises
    ------
    GraphTypeError
        If ``m`` is not a natural number.
    ShapeError
        If ``p`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polyint(sm.constant([2.0, 5.0]), k=7.0).eval()
    array([1., 5., 7.])
    """
    node, constants = _coefficients("polyint", p), as_node(k)
    for step in range(_order("polyint", node, m)):
        count = axis_size(node, 0)
        constant = constants[step] if constants.ndim else constants
        node = concat([divide(node, arange(count, 0, -1)), expand_dims(constant, 0)])
    return node


def _order(name: str, p: Node, m: Any) -> int:
    if not isinstance(m, int) or m < 0:
        with reporting(name, p):
            raise GraphTypeError(f"the order is {m!r}, but a natural number is needed")
    return m


@register
def polyadd(p: Operand, q: Operand) -> Node:
    """Return the coefficients of the sum of two polynomials.

    Parameters
    ----------
    p, q : node or array
        The coefficients, the highest power first; their numbers must be known.

    Raises
    ------
    ShapeError
        If ``p`` or ``q`` is not a vector, or its length is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polyadd(sm.constant([1.0, 2.0]), [9.0, 5.0, 4.0]).eval()
    array([9., 6., 6.])
    """
    first, second = _same_length("polyadd", p, q)
    return first + second


@register
def polymul(p: Operand, q: Operand) -> Node:
    """Return the coefficients of the product of two polynomials.

    Parameters
    ----------
    p, q : node or array
        The coefficients, the highest power first; leading zeros are kept, unlike in NumPy.

    Raises
    ------
    ShapeError
        If ``p`` or ``q`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polymul(sm.constant([1.0, 2.0]), [1.0, -2.0]).eval()
    array([ 1.,  0., -4.])
    """
    return convolve(_coefficients("polymul", p), _coefficients("polymul", q))


@register
def poly(roots: Operand) -> Node:
    """Return the coefficients of the polynomial with the given roots, the highest power first.

    Parameters
    ----------
    roots : node or array
        A vector of known size.

    Raises
    ------
    ShapeError
        If the operand is not a vector, or its size is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.poly(sm.constant([2.0, 3.0])).eval()
    array([ 1., -5.,  6.])
    """
    zeros = as_floats(_coefficients("poly", roots))
    count = axis_size(zeros, 0)
    with reporting("poly", zeros):
        if not isinstance(count, int):
            raise ShapeError("the number of roots must be known")
    product = as_node(np.ones(1, zeros.dtype))
    for k in range(count):
        product = pad(product, (0, 1)) - pad(product, (1, 0)) * zeros[k]
    return product


@register
def polysub(p: Operand, q: Operand) -> Node:
    """Return the coefficients of the difference of two polynomials.

    Parameters
    ----------
    p, q : node or array
        The coefficients, the highest power first; their numbers must be known.

    Raises
    ------
    ShapeError
        If ``p`` or ``q`` is not a vector, or its length is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polysub(sm.constant([1.0, 2.0]), [9.0, 5.0, 4.0]).eval()
    array([-9., -4., -2.])
    """
    first, second = _same_length("polysub", p, q)
    return first - second


def _same_length(name: str, p: Operand, q: Operand) -> list[Node]:
    """Return coefficients with zeros before the fewer of them."""
    nodes = [_coefficients(name, p), _coefficients(name, q)]
    sizes = [axis_size(node, 0) for node in nodes]
    lengths = [size for size in sizes if isinstance(size, int)]
    if len(lengths) < 2:
        with reporting(name, *nodes):
            raise ShapeError(
                "the numbers of coefficients must be known",
                remedy='Declare them: Variable("p", shape=(4,)).',
            )
    longest = max(lengths)
    return [pad(x, (longest - size, 0)) for x, size in zip(nodes, lengths, strict=True)]


@register
def polyfit(
    x: Operand, y: Operand, deg: int, rcond: Operand | None = None, w: Operand | None = None
) -> Node:
    """Return the coefficients of the polynomial that fits points best, by least squares.

    Parameters
    ----------
    x : (m,) node or array
    y : (m,) or (m, k) node or array
    deg : int
        The degree.
    rcond : float or node, optional
        See :func:`symad.linalg.lstsq`.
    w : (m,) node or array, optional
        The weights of the residuals before they are squared.

    Returns
    -------
    (deg + 1,) or (deg + 1, k) Node
        The highest power first.

    Raises
    ------
    GraphTypeError
        If ``deg`` is not a natural number.
    ShapeError
        If the operands are not vectors of the same size.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.constant([0.0, 1.0, 2.0, 3.0])
    >>> sm.polyfit(x, x**2 - 2 * x, 2).eval().round(9) + 0.0
    array([ 1., -2.,  0.])
    """
    places, values = as_floats(as_node(x)), as_floats(as_node(y))
    powers = vander(places, _order("polyfit", places, deg) + 1)
    if w is not None:
        weights = as_floats(as_node(w))
        powers = powers * weights[:, None]
        values = values * (weights if values.ndim == 1 else weights[:, None])
    scale = norm(powers, axis=0)
    fitted = lstsq(powers / scale, values, rcond).x
    return fitted / (scale if values.ndim == 1 else scale[:, None])


@register
def vander(x: Operand, N: Any = None, increasing: bool = False) -> Node:
    """Return the matrix of powers of the elements of a vector: a row for each element.

    Parameters
    ----------
    x : node or array
        A vector.
    N : int or integer node, optional
        The number of columns; that of elements by default.
    increasing : bool
        Whether the powers begin with 0; by default they end with it.

    Raises
    ------
    ShapeError
        If ``x`` is not a vector.

    Examples
    --------
    >>> import symad as sm
    >>> sm.vander(sm.constant([1.0, 2.0, 3.0]), 3).eval()
    array([[1., 1., 1.],
           [4., 2., 1.],
           [9., 3., 1.]])
    """
    node = as_node(x)
    if node.ndim != 1:
        with reporting("vander", node):
            raise ShapeError("the operand must be a vector", remedy="Flatten it: x.ravel().")
    count = axis_size(node, 0) if N is None else N
    powers = arange(count) if increasing else count - 1 - arange(count)
    return power(cast(node, np.result_type(node.dtype, np.int_))[:, None], powers)
