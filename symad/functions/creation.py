"""New arrays under NumPy's names: triangles of ones, grids of indices, geometric progressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Constant, Node
from symad.ops.adjoint import cast
from symad.ops.arithmetic import power
from symad.ops.base import Operand, as_node, register
from symad.ops.comparison import greater_equal
from symad.ops.create import arange, linspace
from symad.ops.exponential import exp, log
from symad.ops.join import stack
from symad.ops.shape import broadcast_to, expand_dims
from symad.ops.size import as_size, as_sizes
from symad.types import as_dtype


@register
def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = "float64") -> Node:
    """Return a matrix with ones on and below a diagonal, and zeros above it.

    Parameters
    ----------
    N, M : int or integer node
        The number of rows and columns; square unless ``M`` is given.
    k : int
        Which diagonal: 0 is the main one, positive ones are above it.
    dtype : dtype

    Examples
    --------
    >>> import symad as sm
    >>> sm.tri(2, 3).eval()
    array([[1., 0., 0.],
           [1., 1., 0.]])
    """
    rows = as_size(N)
    columns = rows if M is None else as_size(M)
    ones = greater_equal(expand_dims(arange(rows) + k, 1), arange(columns))
    return cast(ones, as_dtype(dtype))


@register
def indices(dimensions: Any, dtype: Any = "int64") -> Node:
    """Return the indices of all elements of an array: for each axis, a grid of positions along it.

    Parameters
    ----------
    dimensions : sequence of int or integer nodes
        The sizes of its axes.
    dtype : dtype

    Examples
    --------
    >>> import symad as sm
    >>> sm.indices((2, 2)).eval().tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    sizes, wanted = as_sizes(dimensions), as_dtype(dtype)
    if not sizes:
        return Constant(np.zeros((0,), wanted))
    grids = [
        broadcast_to(expand_dims(arange(size), tuple(range(1, len(sizes) - k))), sizes)
        for k, size in enumerate(sizes)
    ]
    return cast(stack(grids), wanted)


@register
def logspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    base: Operand = 10.0,
    dtype: Any = None,
) -> Node:
    """Return ``num`` powers of ``base`` whose exponents are evenly spaced.

    Parameters
    ----------
    start, stop : node, number or array
        The first and the last exponent.
    num : int
    endpoint : bool
        Whether ``stop`` is the last exponent.
    base : node or number
    dtype : dtype, optional

    Examples
    --------
    >>> import symad as sm
    >>> sm.logspace(0, sm.constant(2.0), 3).eval()
    array([  1.,  10., 100.])
    """
    powers = power(base, linspace(start, stop, num, endpoint))
    return powers if dtype is None else cast(powers, dtype)


@register
def geomspace(
    start: Operand, stop: Operand, num: int = 50, endpoint: bool = True, dtype: Any = None
) -> Node:
    """Return ``num`` numbers from ``start`` to ``stop`` with the same ratio between neighbours.

    Parameters
    ----------
    start, stop : node, number or array
        Of the same sign, and not 0.
    num : int
    endpoint : bool
        Whether ``stop`` is the last number.
    dtype : dtype, optional
        By default float64, as in NumPy.

    Examples
    --------
    >>> import symad as sm
    >>> sm.geomspace(sm.constant(1.0), 100.0, 3).eval()
    array([  1.,  10., 100.])
    """
    first = as_node(start)
    ratio = log(as_node(stop) / first)
    numbers = first * exp(linspace(ratio * 0.0, ratio, num, endpoint))
    return cast(numbers, "float64" if dtype is None else dtype)
