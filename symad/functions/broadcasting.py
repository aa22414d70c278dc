"""Broadcasting arrays and shapes against each other."""

from __future__ import annotations

from functools import reduce
from typing import Any

from symad import types
from symad.graph.node import Node, reporting
from symad.graph.op import explained
from symad.ops.adjoint import broadcast_like
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.comparison import equal
from symad.types import UnknownDim, UnknownShape, as_shape


@register
def broadcast_arrays(*arrays: Operand) -> tuple[Node, ...]:
    """Return all arrays broadcast to the same shape.

    Parameters
    ----------
    *arrays : node, number or array

    Returns
    -------
    tuple of Node

    Raises
    ------
    ShapeError
        If the shapes do not match.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.broadcast_arrays([[1], [2]], [3, 4])
    >>> a.eval(), b.eval()
    (array([[1, 1],
           [2, 2]]), array([[3, 4],
           [3, 4]]))
    """
    nodes = [as_node(array) for array in arrays]
    with reporting("broadcast_arrays", *nodes):
        shapes = [type_.shape for type_ in tensor_types(*[node.type for node in nodes])]
        shape = types.broadcast_shapes(*shapes)
    if all(known == shape for known in shapes):
        return tuple(nodes)
    whole = reduce(equal, nodes)  # of which only the shape is used
    return tuple(broadcast_like(node, whole) for node in nodes)


@explained
def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """Return the shape that arrays of some shapes broadcast to.

    Parameters
    ----------
    *shapes : int, or tuple of int, str and None
        Sizes, names of dimensions, and ``None`` for sizes that are not known.

    Returns
    -------
    tuple of int, str and None

    Raises
    ------
    ShapeError
        If sizes differ and neither is 1, or a shape holds something else, such as a node.

    Examples
    --------
    >>> import symad as sm
    >>> sm.broadcast_shapes((3, 1), ("batch", 1, 4), (1,))
    ('batch', 3, 4)
    """
    known = [as_shape(() if shape is None else shape) for shape in shapes]
    joined = types.broadcast_shapes(*known)
    assert not isinstance(joined, UnknownShape)
    return tuple(None if isinstance(dim, UnknownDim) else dim for dim in joined)
