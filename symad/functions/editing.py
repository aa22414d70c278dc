"""Arrays with elements inserted, deleted or repeated, and places of elements in memory order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import axis_of, known_rank, known_size
from symad.graph.node import Node, reporting
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register
from symad.ops.create import arange
from symad.ops.gather import take
from symad.ops.join import concat
from symad.ops.permute import moveaxis
from symad.ops.shape import broadcast_to, expand_dims, ravel, reshape
from symad.ops.size import as_sizes, axis_size
from symad.ops.triangle import diag


def _flat_or_along(name: str, x: Operand, axis: Any) -> tuple[Node, int, int]:
    """Return the operand, flattened without an axis; the axis; and its size, if it is known."""
    node = ravel(x) if axis is None else as_node(x)
    known_rank(name, node)
    along = 0 if axis is None else axis_of(name, node, axis)
    return node, along, known_size(name, node, along)


def _constant_places(name: str, places: Any, x: Node) -> Any:
    """Return where to insert or delete: an integer, a slice, or an array, not a node."""
    if isinstance(places, Node):
        with reporting(name, x):
            raise GraphTypeError(
                "the places must be constants, because the shape depends on them",
                remedy="Give integers, or join slices, whose bounds may be nodes, with sm.concat.",
            )
    return places if isinstance(places, (int, slice)) else np.asarray(places)


@register
def delete(x: Operand, obj: Any, axis: int | None = None) -> Node:
    """Return ``x`` without the elements at some places along an axis.

    Parameters
    ----------
    x : node or array
        The size of the axis must be known.
    obj : int, slice, or array of integers or booleans
        The places; not nodes.
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    GraphTypeError
        If a place is a node.
    ShapeError
        If the axis or a place does not exist, or the size of the axis is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.delete(sm.constant([1.0, 2.0, 3.0, 4.0]), [0, -1]).eval()
    array([2., 3.])
    """
    node, along, size = _flat_or_along("delete", x, axis)
    places = _constant_places("delete", obj, node)
    with reporting("delete", node):
        try:
            kept = np.delete(np.arange(size), places)
        except (IndexError, ValueError) as error:
            raise ShapeError(str(error)) from None
    return take(node, kept, along)


@register
def insert(x: Operand, obj: Any, values: Operand, axis: int | None = None) -> Node:
    """Return ``x`` with values inserted before some places along an axis.

    Parameters
    ----------
    x : node or array
        The size of the axis must be known.
    obj : int, slice, or array of integers
        The places, counted in ``x``; not nodes.
    values : node, number or array
        They are cast to the dtype of ``x``, and broadcast.
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    GraphTypeError
        If a place is a node.
    ShapeError
        If the axis or a place does not exist, the size of the axis is not known, or the values do
        not fit.

    Examples
    --------
    >>> import symad as sm
    >>> sm.insert(sm.constant([1.0, 2.0, 3.0]), 1, 9.0).eval()
    array([1., 9., 2., 3.])
    """
    node, along, size = _flat_or_along("insert", x, axis)
    places = _constant_places("insert", obj, node)
    inserted = cast(as_node(values), node.dtype)
    missing = node.ndim - known_rank("insert", inserted)  # type: ignore[operator]
    inserted = expand_dims(inserted, tuple(range(missing))) if missing > 0 else inserted
    if np.ndim(places) == 0 and not isinstance(places, slice):
        inserted = moveaxis(inserted, 0, along)
    indices = range(size)[places] if isinstance(places, slice) else np.ravel(places)
    count = len(indices)
    if count == 1:
        _, _, count = _flat_or_along("insert", inserted, along)
    with reporting("insert", node, inserted):
        try:
            order = np.insert(np.arange(size), places, np.arange(count) + size)
        except (IndexError, ValueError) as error:
            raise ShapeError(str(error)) from None
    sizes = list(node.shape)
    sizes[along] = count
    return take(concat([node, broadcast_to(inserted, tuple(sizes))], along), order, along)


@register
def resize(x: Operand, new_shape: Any) -> Node:
    """Return an array of another shape with the elements of ``x``, repeated as often as needed.

    Parameters
    ----------
    x : node, number or array
        At least one element.
    new_shape : int, integer node, or sequence of these

    Examples
    --------
    >>> import symad as sm
    >>> sm.resize(sm.constant([1.0, 2.0, 3.0]), (2, 4)).eval()
    array([[1., 2., 3., 1.],
           [2., 3., 1., 2.]])
    """
    flat, sizes = ravel(x), as_sizes(new_shape)
    return reshape(take(flat, arange(_product(sizes)) % axis_size(flat, 0)), sizes)


def _product(sizes: Sequence[Any]) -> Any:
    result: Any = 1
    for size in sizes:
        result = result * size
    return result


@register
def diagflat(v: Operand, k: int = 0) -> Node:
    """Return a matrix with the elements of ``v``, flattened, along a diagonal.

    Parameters
    ----------
    v : node, number or array
    k : int
        Which diagonal: 0 is the main one, positive ones are above it.

    Examples
    --------
    >>> import symad as sm
    >>> sm.diagflat(sm.constant([[1.0], [2.0]])).eval()
    array([[1., 0.],
           [0., 2.]])
    """
    return diag(ravel(v), k)


@register
def unravel_index(indices: Operand, shape: Any) -> tuple[Node, ...]:
    """Return the indices along each axis of elements given by their place in memory order.

    Parameters
    ----------
    indices : integer node or array
        Places from 0, such as :func:`symad.argmax` returns.
    shape : int, integer node, or sequence of these

    Returns
    -------
    tuple of Node
        One for each axis, in int64.  Places outside the array are counted from its beginning again.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.constant([[1.0, 2.0], [9.0, 4.0]])
    >>> [int(index.eval()) for index in sm.unravel_index(sm.argmax(x), x.shape)]
    [1, 0]
    """
    rest, found = cast(as_node(indices), "int64"), []
    for size in reversed(as_sizes(shape)):
        found.append(rest % size)
        rest = rest // size
    return tuple(reversed(found))


@register
def ravel_multi_index(multi_index: Sequence[Operand], dims: Any) -> Node:
    """Return the places in memory order of elements given by their indices along each axis.

    Parameters
    ----------
    multi_index : sequence of integer nodes or arrays
        One for each axis.
    dims : int, integer node, or sequence of these
        The sizes of the axes.

    Raises
    ------
    ShapeError
        If there are not as many indices as axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.ravel_multi_index([sm.constant([1, 0]), [0, 1]], (2, 3)).eval()
    array([3, 1])
    """
    sizes = as_sizes(dims)
    indices = [cast(as_node(index), "int64") for index in multi_index]
    with reporting("ravel_multi_index", *indices):
        if len(indices) != len(sizes) or not indices:
            raise ShapeError(f"{len(indices)} indices do not fit {len(sizes)} axes")
    place = indices[0]
    for size, index in zip(sizes[1:], indices[1:], strict=True):
        place = place * size + index
    return place
