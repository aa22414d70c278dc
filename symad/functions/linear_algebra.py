"""Linear algebra composed of other ops: the rest of the Array API standard's ``linalg``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply, reporting
from symad.graph.op import explained
from symad.ops.base import Operand, as_node, as_nodes, register, tensor_types
from symad.ops.bases import SizedAxis
from symad.ops.comparison import maximum
from symad.ops.einsum import einsum
from symad.ops.factorisation import svdvals
from symad.ops.index import index_array
from symad.ops.linalg import matrix_norm_of, vector_norm_of
from symad.ops.matrices import factor_dtype, require_matrix
from symad.ops.permute import moveaxis, permute_dims
from symad.ops.rearrange import roll
from symad.ops.reduce import as_axis
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims, one_axis
from symad.ops.size import axis_size
from symad.ops.subscript import along_axis
from symad.ops.triangle import diagonal as diagonal_of


@explained
def cross(x: Operand, y: Operand, *, axis: int = -1) -> Node:
    """Return the cross product of vectors in three dimensions.

    Parameters
    ----------
    x, y : node or array
        Their other axes broadcast.
    axis : int
        The axis along which the vectors lie, which has size 3 in both.

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        If the size of the axis is not 3.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.cross(sm.constant([1.0, 0.0, 0.0]), [0.0, 1.0, 0.0]).eval()
    array([0., 0., 1.])
    """
    along = one_axis(axis)
    with reporting("cross", *as_nodes(x, y)):
        a, b = (apply(SizedAxis(along, 3), node) for node in as_nodes(x, y))
    next_a, next_b = roll(a, -1, along), roll(b, -1, along)
    return next_a * roll(b, 1, along) - roll(a, 1, along) * next_b


@explained
def diagonal(x: Operand, *, offset: int = 0) -> Node:
    """Return a diagonal of each matrix in the last two axes.

    Parameters
    ----------
    x : (..., m, n) node or array
    offset : int
        0 is the main diagonal; positive ones are above it.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.diagonal(sm.constant([[1, 2], [3, 4]]), offset=1).eval()
    array([2])
    """
    return diagonal_of(x, offset, -2, -1)


@explained
def outer(x: Operand, y: Operand) -> Node:
    """Return all products of an element of ``x`` and one of ``y``, which have one axis each.

    Parameters
    ----------
    x, y : (m,) and (n,) nodes or arrays

    Returns
    -------
    (m, n) Node

    Raises
    ------
    ShapeError
        If an operand does not have just one axis; :func:`symad.outer` flattens.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.outer(sm.constant([1.0, 2.0]), sm.constant([1.0, 10.0, 100.0])).eval()
    array([[  1.,  10., 100.],
           [  2.,  20., 200.]])
    """
    left, right = as_nodes(x, y)
    with reporting("outer", left, right):
        column, row = (_as_vector(node) for node in (left, right))
    return expand_dims(column, 1) * expand_dims(row, 0)


def _as_vector(x: Node) -> Node:
    """Return ``x``, of one axis; if the number of axes is not known, it is checked later."""
    if x.ndim not in (1, None):
        raise ShapeError(f"a vector has one axis; this has {x.ndim}")
    return permute_dims(x, (0,)) if x.ndim is None else x


@register
def vecdot(x: Operand, y: Operand, axis: int = -1) -> Node:
    """Return the dot products of vectors: the sums of products along an axis.

    Parameters
    ----------
    x, y : node or array
        Their other axes broadcast.
    axis : int
        The axis along which the vectors lie, of the same size in both.

    Returns
    -------
    Node
        In the dtype that the operands promote to.

    Raises
    ------
    ShapeError
        If the sizes along the axis differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.vecdot(sm.constant([[1.0, 2.0], [3.0, 4.0]]), [1.0, 10.0]).eval()
    array([21., 43.])
    """
    along = one_axis(axis)
    left, right = (node if along == -1 else moveaxis(node, along, -1) for node in as_nodes(x, y))
    return einsum("...i,...i->...", left, right)


@explained
def vector_norm(x: Operand, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Node:
    """Return the p-norm of vectors, (Σ abs(x_j)^p)^(1/p).

    Parameters
    ----------
    x : node or array
    axis : int or tuple of int, optional
        The axes whose elements make up a vector; by default all.
    keepdims : bool
        Keep the axes, of size 1.
    ord : float
        p: any number.  ``inf`` and ``-inf`` are the largest and the smallest magnitude, 0 is the
        number of elements that are not 0.

    Returns
    -------
    Node

    Raises
    ------
    GraphTypeError
        If ``ord`` is not a number.
    ShapeError
        If an axis does not exist or is named twice.

    Notes
    -----
    For kinks and derivatives, see :func:`norm`.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.vector_norm(sm.constant([[1.0, 2.0], [3.0, 4.0]]), ord=3).eval().round(6)
    np.float64(4.641589)
    """
    node = as_node(x)
    with reporting("vector_norm", node):
        return vector_norm_of(node, ord, as_axis(axis), keepdims)


@explained
def matrix_norm(x: Operand, *, keepdims: bool = False, ord: Any = "fro") -> Node:
    """Return the norm of the matrices in the last two axes.

    Parameters
    ----------
    x : (..., m, n) node or array
    keepdims : bool
        Keep the axes, of size 1.
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}
        See :func:`norm`.

    Returns
    -------
    Node

    Raises
    ------
    GraphTypeError
        If there is no such ``ord``.
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.matrix_norm(sm.constant([[3.0, 0.0], [0.0, 4.0]]), ord=2).eval()
    np.float64(4.0)
    """
    node = as_node(x)
    with reporting("matrix_norm", node):
        require_matrix(tensor_types(node.type)[0].shape)
        return matrix_norm_of(node, "fro" if ord is None else ord, (-2, -1), keepdims)


@explained
def matrix_rank(x: Operand, *, rtol: Operand | None = None) -> Node:
    """Return the rank of matrices: the number of singular values that are not almost 0.

    Parameters
    ----------
    x : (..., m, n) node or array
    rtol : float, node or array, optional
        Singular values up to this fraction of the largest do not count; by default, max(m, n)
        times the precision of the dtype.

    Returns
    -------
    Node
        Integers, without a derivative.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.matrix_rank(sm.constant([[1.0, 2.0], [2.0, 4.0]])).eval()
    np.int64(1)
    """
    node = as_node(x)
    values = svdvals(node)
    if rtol is None:
        longest = maximum(axis_size(node, -2), axis_size(node, -1))
        fraction = longest * np.finfo(factor_dtype(node.dtype)).eps
    else:
        fraction = expand_dims(as_node(rtol), -1)
    largest = index_array(values, along_axis(-1, slice(0, 1)))
    return sum_of(values > fraction * largest, -1)


for _function in (cross, diagonal, outer, vecdot, vector_norm, matrix_norm, matrix_rank):
    register(_function, f"linalg.{_function.__name__}")
