"""Arrays made from values and from each other: asarray, empty, meshgrid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.functions.dtypes import result_type
from symad.graph.nested import leaves
from symad.graph.node import Constant, Node
from symad.graph.op import explained
from symad.ops.adjoint import cast, zeros_like
from symad.ops.base import Operand, as_node, holds_node, register, require_cpu
from symad.ops.create import zeros
from symad.ops.join import stack
from symad.ops.shape import broadcast_to, ravel, reshape


@register
def asarray(obj: Any, dtype: Any = None, *, device: Any = None, copy: bool | None = None) -> Node:
    """Return a value as a node.

    Parameters
    ----------
    obj : node, number, array or nested sequence
        A node is returned as it is.  A sequence may contain nodes of the same shape: it is
        stacked.  Any other value becomes a constant, which is a copy.
    dtype : dtype, optional
        By default that of the value.
    device : {None, "cpu"}
    copy : bool, optional
        ``False`` is refused for what becomes a constant.

    Raises
    ------
    GraphTypeError
        If the value is ragged, or of a dtype that symad does not support.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> sm.asarray([[x, 0], [1, x]]).eval({x: 2.0})
    array([[2., 0.],
           [1., 2.]])
    """
    require_cpu(device)
    if isinstance(obj, (list, tuple)) and holds_node(obj):
        obj = _stacked(obj, result_type(*leaves(obj)) if dtype is None else dtype)
    if isinstance(obj, Node):
        return obj if dtype is None else cast(obj, dtype)
    if copy is False:
        raise GraphTypeError(
            "a constant of a graph is a copy of its value", remedy="Leave out copy=False."
        )
    return Constant(obj, dtype)


def _stacked(value: Any, dtype: Any) -> Node:
    """Return a nested sequence stacked, with its numbers and nodes converted to ``dtype``."""
    if isinstance(value, (list, tuple)):
        return stack([_stacked(item, dtype) for item in value])
    return cast(value, dtype)


@explained
def from_dlpack(x: Any, *, device: Any = None, copy: bool | None = None) -> Node:
    """Return an array of another library as a constant, by the DLPack protocol.

    Parameters
    ----------
    x : object with ``__dlpack__`` and ``__dlpack_device__``
        In the memory of the CPU.
    device : {None, "cpu"}
    copy : bool, optional
        ``False`` is refused: a constant is a copy.

    Raises
    ------
    GraphTypeError
        If ``x`` is a node, does not have the protocol, or is elsewhere.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> sm.from_dlpack(np.array([1.0, 2.0])).type
    f64[2]
    """
    try:
        value = np.from_dlpack(x)
    except (AttributeError, BufferError, RuntimeError, TypeError) as error:
        raise GraphTypeError(f"a {type(x).__name__} is not an array for DLPack: {error}") from None
    return asarray(value, device=device, copy=copy)


@register
def empty(shape: Any, dtype: Any = "float64", *, device: Any = None) -> Node:
    """Return an array of ``shape`` whose values do not matter: here, zeros.

    Parameters
    ----------
    shape : int, or sequence of int or integer nodes
    dtype : dtype
        By default float64.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.empty((2, 3)).type
    f64[2,3]
    """
    return zeros(shape, dtype, device=device)


@register
def empty_like(x: Operand, dtype: Any = None, *, device: Any = None) -> Node:
    """Return an array like ``x`` whose values do not matter: here, zeros.

    Parameters
    ----------
    x : node, number or array
    dtype : dtype, optional
        By default that of ``x``.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.empty_like(sm.constant([1.0, 2.0])).type
    f64[2]
    """
    return zeros_like(x, dtype, device=device)


@register
def meshgrid(*arrays: Operand, indexing: str = "xy") -> tuple[Node, ...]:
    """Return the coordinates of a grid, one array for each axis.

    Parameters
    ----------
    *arrays : node or array
        The coordinates along each axis.
    indexing : {"xy", "ij"}
        ``"xy"`` puts the first array along the columns and the second along the rows; ``"ij"``
        puts each along the axis of its number.

    Returns
    -------
    tuple of Node
        As many as ``arrays``, all of the same shape.

    Raises
    ------
    GraphTypeError
        If ``indexing`` is neither.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.meshgrid([1, 2, 3], [10, 20])
    >>> (x + y).eval()
    array([[11, 12, 13],
           [21, 22, 23]])
    """
    if indexing not in ("xy", "ij"):
        raise GraphTypeError(f"{indexing!r} is not an indexing", remedy='Write "xy" or "ij".')
    flat = [ravel(as_node(array)) for array in arrays]
    axes = list(range(len(flat)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    sizes = [flat[axis].shape[0] for axis in axes]
    return tuple(
        broadcast_to(_along(x, axes.index(place), len(axes)), sizes) for place, x in enumerate(flat)
    )


def _along(x: Node, axis: int, rank: int) -> Node:
    shape: Sequence[int] = [-1 if k == axis else 1 for k in range(rank)]
    return reshape(x, shape)
