"""What functions of arrays share: checked axes, parts, aligned vectors, and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, reporting
from symad.ops.adjoint import cast
from symad.ops.base import float_dtype, tensor_types, ufunc_dtype
from symad.ops.index import index_array
from symad.ops.shape import expand_dims, one_axis
from symad.ops.size import Size, axis_size
from symad.ops.subscript import along_axis
from symad.types import normalize_axis


def known_rank(name: str, x: Node, least: int = 0) -> int:
    """Return the number of axes of ``x``, an operand of the function ``name``.

    Raises
    ------
    ShapeError
        If it is not known, or less than ``least``.
    """
    with reporting(name, x):
        if x.ndim is None:
            raise ShapeError(
                "the number of axes of the operand must be known",
                remedy='Declare it: Variable("x", shape=(None, None)).',
            )
        if x.ndim < least:
            raise ShapeError(
                f"the operand has {x.ndim} axes, but at least {least} are needed",
                remedy="Add axes of size 1: x[None, :].",
            )
    return x.ndim


def axis_of(name: str, x: Node, axis: Any) -> int:
    """Return ``axis`` of ``x``, counted from the front if the number of axes is known.

    Raises
    ------
    ShapeError
        If there is no such axis; ``name`` is the function that the message names.
    """
    with reporting(name, x):
        along = one_axis(axis)
        return along if x.ndim is None else normalize_axis(along, x.ndim)


def part(x: Node, axis: int, start: Any = None, stop: Any = None) -> Node:
    """Return the elements of ``x`` from ``start`` to before ``stop`` along an axis."""
    return index_array(x, along_axis(axis, slice(start, stop)))


def at(x: Node, axis: int, index: Any) -> Node:
    """Return the elements of ``x`` at one index along an axis, which is removed."""
    return index_array(x, along_axis(axis, index))


def require_size(name: str, x: Node, axis: int, least: int) -> Size:
    """Return the size of an axis.

    Raises
    ------
    ShapeError
        If it is known to be less than ``least``.
    """
    size = axis_size(x, axis)
    if isinstance(size, int) and size < least:
        with reporting(name, x):
            raise ShapeError(
                f"axis {axis} has size {size}, but at least {least} elements are needed",
                remedy="Feed more elements along this axis.",
            )
    return size


def known_size(name: str, x: Node, axis: int) -> int:
    """Return the size of an axis, on which the number or the shape of results depends.

    Raises
    ------
    ShapeError
        If it is not known; ``name`` is the function that the message names.
    """
    with reporting(name, x):
        size = axis_size(x, axis)
        if not isinstance(size, int):
            raise ShapeError(
                f"the size of axis {axis} must be known, because the result depends on it",
                remedy="Declare it in the shape of the variable, or use slices, whose bounds may "
                "be nodes, or sm.map_over.",
            )
    return size


def aligned(vector: Node, x: Node, axis: int) -> Node:
    """Return a vector with axes of size 1 after it, so that it lies along ``axis`` of ``x``."""
    after = -1 - axis if axis < 0 else (x.ndim or 0) - 1 - axis
    return expand_dims(vector, tuple(range(1, 1 + after))) if after > 0 else vector


def as_floats(x: Node) -> Node:
    """Return ``x`` in the floating dtype in which NumPy computes a mean of it."""
    dtype: np.dtype[Any] = float_dtype(x.dtype)
    return x if dtype == x.dtype else cast(x, dtype)


def as_computed(ufunc: np.ufunc, *nodes: Node) -> list[Node]:
    """Return nodes in the dtype of what a NumPy function of floats computes of them."""
    with reporting(ufunc.__name__, *nodes):
        dtypes = [type_.dtype for type_ in tensor_types(*[node.type for node in nodes])]
        dtype = ufunc_dtype(ufunc, *dtypes)
    return [cast(node, dtype) for node in nodes]
