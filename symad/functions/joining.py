"""Joining, splitting and turning arrays under NumPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import axis_of, known_rank, part
from symad.graph.node import Node, reporting
from symad.ops.adjoint import identity
from symad.ops.base import Operand, as_node, register
from symad.ops.comparison import minimum
from symad.ops.join import concat, split
from symad.ops.permute import moveaxis, swapaxes
from symad.ops.rearrange import flip
from symad.ops.shape import expand_dims, ravel
from symad.ops.size import as_size, axis_size


@register
def append(x: Operand, values: Operand, axis: int | None = None) -> Node:
    """Return ``x`` with ``values`` after it along ``axis``.

    Parameters
    ----------
    x : node, number or array
    values : node, number or array
    axis : int, optional
        Without it, both are flattened first.

    Raises
    ------
    ShapeError
        If the axis does not exist, or the shapes do not fit.

    Examples
    --------
    >>> import symad as sm
    >>> sm.append(sm.constant([1.0, 2.0]), [[3.0], [4.0]]).eval()
    array([1., 2., 3., 4.])
    """
    first, second = as_node(x), as_node(values)
    return concat([ravel(first), ravel(second)]) if axis is None else concat([first, second], axis)


@register
def column_stack(arrays: Sequence[Operand]) -> Node:
    """Return vectors as the columns of a matrix, joined with the columns of matrices.

    Parameters
    ----------
    arrays : sequence of nodes or arrays
        Vectors and matrices of the same number of rows.

    Raises
    ------
    ShapeError
        If sizes differ, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.column_stack([sm.constant([1.0, 2.0]), [3.0, 4.0]]).eval()
    array([[1., 3.],
           [2., 4.]])
    """
    nodes = [_with_axes("column_stack", as_node(x), 1) for x in arrays]
    return concat([expand_dims(x, 1) if x.ndim == 1 else x for x in nodes], 1)


@register
def dstack(arrays: Sequence[Operand]) -> Node:
    """Return arrays joined along their third axis, which is added where it is missing.

    Parameters
    ----------
    arrays : sequence of nodes, numbers or arrays
        A vector counts as a matrix with one row.

    Raises
    ------
    ShapeError
        If sizes differ, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.dstack([sm.constant([1.0, 2.0]), [3.0, 4.0]]).eval()
    array([[[1., 3.],
            [2., 4.]]])
    """
    return concat([atleast_3d(x) for x in arrays], 2)


@register
def atleast_3d(x: Operand) -> Node:
    """Return ``x`` with at least three axes: a vector of n elements becomes (1, n, 1).

    Parameters
    ----------
    x : node, number or array
        A matrix of m × n elements becomes (m, n, 1).

    Raises
    ------
    ShapeError
        If the number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.atleast_3d([1.0, 2.0]).type
    f64[1,2,1]
    """
    node = as_node(x)
    rank = known_rank("atleast_3d", node)
    missing: tuple[tuple[int, ...], ...] = ((0, 1, 2), (0, 2), (2,))
    return expand_dims(node, missing[rank]) if rank < 3 else node


def _with_axes(name: str, x: Node, rank: int) -> Node:
    """Return ``x`` with axes of size 1 before its own, if it has less than ``rank``."""
    missing = rank - known_rank(name, x)
    return expand_dims(x, tuple(range(missing))) if missing > 0 else x


@register
def block(arrays: Any) -> Node:
    """Return an array made of blocks: nested lists, the innermost joined along the last axis.

    Parameters
    ----------
    arrays : nested list of nodes, numbers or arrays
        All lists are equally deep.

    Raises
    ------
    GraphTypeError
        If a list is empty, or lists are not equally deep.
    ShapeError
        If sizes differ, or a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[1.0, 2.0]]), sm.constant([[3.0]])
    >>> sm.block([[b, 0.0], [a]]).eval()
    array([[3., 0.],
           [1., 2.]])
    """
    with reporting("block"):
        depth, rank = _depth(arrays), _largest_rank(arrays)
    return _joined(arrays, depth, max(depth, rank))


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(x) for x in arrays}
    if len(depths) != 1:
        raise GraphTypeError(
            "the lists are empty or not equally deep",
            remedy="Write [[a, b], [c, d]]: a list of rows, each a list of blocks.",
        )
    return 1 + depths.pop()


def _largest_rank(arrays: Any) -> int:
    if isinstance(arrays, list):
        return max(map(_largest_rank, arrays), default=0)
    return known_rank("block", as_node(arrays))


def _joined(arrays: Any, depth: int, rank: int) -> Node:
    if depth == 0:
        return _with_axes("block", as_node(arrays), rank)
    parts = [_joined(x, depth - 1, rank) for x in arrays]
    return parts[0] if len(parts) == 1 else concat(parts, -depth)


@register
def array_split(x: Operand, indices_or_sections: Any, axis: int = 0) -> tuple[Node, ...]:
    """Split ``x`` into parts along an axis; the first ones may be longer by one element.

    Parameters
    ----------
    x : node or array
    indices_or_sections : int or sequence of integers
        How many parts, or where to cut.  The cuts may be integer nodes.
    axis : int

    Returns
    -------
    tuple of Node

    Raises
    ------
    ShapeError
        If the axis does not exist, or the number of parts is not positive.

    Examples
    --------
    >>> import symad as sm
    >>> [part.eval().tolist() for part in sm.array_split(sm.constant([1, 2, 3, 4, 5]), 3)]
    [[1, 2], [3, 4], [5]]
    """
    node = as_node(x)
    axis = axis_of("array_split", node, axis)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(node, indices_or_sections, axis)
    count = int(indices_or_sections)
    with reporting("array_split", node):
        if count < 1:
            raise ShapeError(f"an axis cannot be split into {count} parts")
    size = axis_size(node, axis)
    shortest, longer = size // count, size % count
    cuts = [k * shortest + _smaller(k, longer) for k in range(count + 1)]
    return tuple(
        part(node, axis, *map(as_size, pair)) for pair in zip(cuts, cuts[1:], strict=False)
    )


def _smaller(a: int, b: Any) -> Any:
    return minimum(a, b) if isinstance(b, Node) else min(a, b)


@register
def hsplit(x: Operand, indices_or_sections: Any) -> tuple[Node, ...]:
    """Return the parts of ``x`` along its second axis, or of a vector along its only one.

    Parameters
    ----------
    x : node or array
    indices_or_sections : int or sequence of integers
        How many equal parts, or where to cut: see :func:`symad.split`.

    Examples
    --------
    >>> import symad as sm
    >>> [part.type for part in sm.hsplit(sm.Variable("x", shape=(2, 4)), 2)]
    [f64[2,2], f64[2,2]]
    """
    node = as_node(x)
    return split(node, indices_or_sections, 0 if known_rank("hsplit", node, 1) == 1 else 1)


@register
def vsplit(x: Operand, indices_or_sections: Any) -> tuple[Node, ...]:
    """Return the parts of ``x`` along its first axis.

    Parameters
    ----------
    x : node or array
        With at least two axes.
    indices_or_sections : int or sequence of integers
        How many equal parts, or where to cut: see :func:`symad.split`.

    Examples
    --------
    >>> import symad as sm
    >>> [part.type for part in sm.vsplit(sm.Variable("x", shape=(3, 4)), [1])]
    [f64[1,4], f64[2,4]]
    """
    node = as_node(x)
    known_rank("vsplit", node, 2)
    return split(node, indices_or_sections, 0)


@register
def dsplit(x: Operand, indices_or_sections: Any) -> tuple[Node, ...]:
    """Return the parts of ``x`` along its third axis.

    Parameters
    ----------
    x : node or array
        With at least three axes.
    indices_or_sections : int or sequence of integers
        How many equal parts, or where to cut: see :func:`symad.split`.

    Examples
    --------
    >>> import symad as sm
    >>> [part.type for part in sm.dsplit(sm.Variable("x", shape=(3, 4, 2)), 2)]
    [f64[3,4,1], f64[3,4,1]]
    """
    node = as_node(x)
    known_rank("dsplit", node, 3)
    return split(node, indices_or_sections, 2)


@register
def fliplr(x: Operand) -> Node:
    """Return ``x`` with its columns, along the second axis, in reverse order.

    Parameters
    ----------
    x : node or array
        With at least two axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.fliplr(sm.constant([[1.0, 2.0], [3.0, 4.0]])).eval()
    array([[2., 1.],
           [4., 3.]])
    """
    node = as_node(x)
    known_rank("fliplr", node, 2)
    return flip(node, 1)


@register
def flipud(x: Operand) -> Node:
    """Return ``x`` with its rows, along the first axis, in reverse order.

    Parameters
    ----------
    x : node or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.flipud(sm.constant([1.0, 2.0])).eval()
    array([2., 1.])
    """
    node = as_node(x)
    return flip(node, axis_of("flipud", node, 0))


@register
def rot90(x: Operand, k: int = 1, axes: Sequence[int] = (0, 1)) -> Node:
    """Return ``x`` turned by 90° k times, from the first of two axes towards the second.

    Parameters
    ----------
    x : node or array
    k : int
    axes : pair of int

    Raises
    ------
    ShapeError
        If there are not two different axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.rot90(sm.constant([[1.0, 2.0], [3.0, 4.0]])).eval()
    array([[2., 4.],
           [1., 3.]])
    """
    node = as_node(x)
    known_rank("rot90", node, 2)
    first, second = (axis_of("rot90", node, axis) for axis in axes)
    with reporting("rot90", node):
        if first == second:
            raise ShapeError(f"axes={tuple(axes)} names one axis twice")
    turns = k % 4
    if turns == 2:
        return flip(node, (first, second))
    if turns == 1:
        return swapaxes(flip(node, second), first, second)
    return flip(swapaxes(node, first, second), second) if turns else identity(node)


@register
def rollaxis(x: Operand, axis: int, start: int = 0) -> Node:
    """Return ``x`` with an axis moved to before another: :func:`symad.moveaxis` is clearer.

    Parameters
    ----------
    x : node or array
    axis : int
    start : int
        The axis is moved to before this one.

    Examples
    --------
    >>> import symad as sm
    >>> sm.rollaxis(sm.Variable("x", shape=(2, 3, 4)), 2).type
    f64[4,2,3]
    """
    node = as_node(x)
    rank = known_rank("rollaxis", node)
    source = axis_of("rollaxis", node, axis)
    with reporting("rollaxis", node):
        if not -rank <= start <= rank:
            raise ShapeError(f"start is {start}, but must be from {-rank} to {rank}")
    target = start + rank if start < 0 else start
    return moveaxis(node, source, target - 1 if source < target else target)
