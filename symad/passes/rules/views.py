"""Rules on shapes: chains of views become one view, and broadcasting is delayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import OnesLike, ZerosLike, ones_like, zeros_like
from symad.ops.arithmetic import Negative, square
from symad.ops.base import Elementwise
from symad.ops.extremum import Max, Min
from symad.ops.extremum import max as max_of
from symad.ops.index import Index, ScatterAdd, scatter_add
from symad.ops.permute import (
    MatrixTranspose,
    MoveAxis,
    PermuteDims,
    SwapAxes,
    Transpose,
    matrix_transpose,
    moveaxis,
    permute_dims,
    swapaxes,
)
from symad.ops.reduce import Mean, Prod, Reduction, Sum, mean, sum
from symad.ops.shape import (
    BroadcastTo,
    ExpandDims,
    Reshape,
    Squeeze,
    broadcast_to,
    expand_dims,
    reshape,
    squeeze,
)
from symad.passes.grade import Grade
from symad.passes.rule import LOOKED_AT, AnyRule, Procedure, is_scalar, static_shape
from symad.types import normalize_axes

_SAME_ORDER = (Reshape, ExpandDims, Squeeze)
"""Views that keep the order of the elements."""

_WHOLE = (None, Ellipsis, (None, None, None))
"""The parts of a subscript that selects all elements: new axes, ``...`` and ``:``."""


def is_constant_along(c: Node, x: Node, axis: Any) -> bool:
    """Return whether ``c`` broadcasts to ``x`` and has size 1 along ``axis``."""
    narrow, shape = static_shape(c), static_shape(x)
    if narrow is None or shape is None or len(narrow) > len(shape):
        return False
    padded = (1,) * (len(shape) - len(narrow)) + narrow
    axes = normalize_axes(axis, len(shape))
    return all(n == 1 if i in axes else n in (1, shape[i]) for i, n in enumerate(padded))


# Chains of views


def _join_reshapes(node: Node) -> Node | None:
    """reshape(reshape(x, s), t) = reshape(x, t), also for inserted and removed axes."""
    shape, inner = static_shape(node), node.inputs[0]
    if shape is None:
        return None
    if static_shape(inner) == shape:
        return inner
    if _is_repeated_number(inner):
        return broadcast_to(inner.inputs[0], shape)
    if not isinstance(inner.op, _SAME_ORDER):
        return None
    first = inner.inputs[0]
    return first if static_shape(first) == shape else reshape(first, shape)


def _is_repeated_number(node: Node) -> bool:
    return isinstance(node.op, BroadcastTo) and is_scalar(node.inputs[0])


def _new_axes(node: Node) -> Node | None:
    """x[:, None] = reshape(x, s), and the adjoint of such a subscript is also a reshape.

    A number removes an axis of size 1: otherwise there would be fewer elements.
    """
    shape, x = static_shape(node), node.inputs[0]
    given = static_shape(x)
    assert isinstance(node.op, (Index, ScatterAdd))
    key = [entry for entry in node.op.key if not isinstance(entry, int)]
    if shape is None or given is None or not all(entry in _WHOLE for entry in key):
        return None
    return reshape(x, shape) if math.prod(given) == math.prod(shape) else None


def _join_broadcasts(node: Node) -> Node | None:
    inner = node.inputs[0]
    if inner.type == node.type:
        return inner
    if static_shape(node) is None:
        return None
    if isinstance(inner, Constant) and inner.value.size == 1 and inner.value.ndim:
        return broadcast_to(Constant(inner.value.item(), inner.dtype), static_shape(node))
    if not isinstance(inner.op, BroadcastTo):
        return None
    return broadcast_to(inner.inputs[0], static_shape(node))


def _as_permutation(node: Node) -> Node | None:
    """Replace ops that were made while the number of axes was not known."""
    assert node.op is not None
    return node.op.specialise(*node.inputs)


def _join_permutations(node: Node) -> Node | None:
    outer, inner = node.op, node.inputs[0]
    assert isinstance(outer, PermuteDims)
    order = outer.order(len(outer.axes))
    if order == tuple(range(len(order))):
        return inner
    if not isinstance(inner.op, PermuteDims):
        return None
    first = inner.op.order(len(order))
    joined = tuple(first[axis] for axis in order)
    source = inner.inputs[0]
    return source if joined == tuple(range(len(order))) else permute_dims(source, joined)


def _sign_out(node: Node) -> Node | None:
    """reshape(-x) = -reshape(x)"""
    inner = node.inputs[0]
    if not isinstance(inner.op, Negative) or len(node.inputs) != 1:
        return None
    assert node.op is not None
    return -apply(node.op, inner.inputs[0])


def _keep_axes(node: Node) -> Node | None:
    """Replace a sum whose axes are restored by a sum that keeps them."""
    inner, shape = node.inputs[0], static_shape(node)
    if not isinstance(inner.op, Sum) or inner.op.keepdims or shape is None:
        return None
    kept = apply(inner.op.with_attributes(keepdims=True), *inner.inputs)
    return kept if static_shape(kept) == shape else None


# Numbers that are broadcast


def _fill(node: Node) -> Node | None:
    """ones_like(x) = broadcast_to(1, shape of x)"""
    shape = static_shape(node)
    if shape is None:
        return None
    number = Constant(1 if isinstance(node.op, OnesLike) else 0, node.dtype)
    return broadcast_to(number, shape) if shape else number


def _delay(node: Node) -> Node | None:
    """f(broadcast_to(x), broadcast_to(y)) = broadcast_to(f(x, y))"""
    if not static_shape(node):  # of unknown shape, or a number
        return None
    bare = tuple(map(_before_broadcast, node.inputs))
    if bare == node.inputs:
        return None
    assert node.op is not None
    return apply(node.op, *bare)


def _may_be_broadcast(kind: type[Op], heads: Sequence[type]) -> bool:
    return len(heads) == LOOKED_AT or Constant in heads or BroadcastTo in heads


def _before_broadcast(node: Node) -> Node:
    if isinstance(node.op, BroadcastTo) and len(node.inputs) == 1:
        return node.inputs[0]
    if isinstance(node, Constant) and node.value.ndim and _is_uniform(node.value):
        return Constant(node.value.flat[0], node.dtype)
    return node


def _is_uniform(value: np.ndarray[Any, Any]) -> bool:
    """Return whether all elements are the same number, including the sign of zero."""
    if not value.size:
        return False
    first = value.flat[0]
    if value.flat[-1] != first:
        return False
    return bool((value == first).all() and (np.signbit(value) == np.signbit(first)).all())


# Reductions


def _axes(node: Node) -> tuple[int, ...] | None:
    """Return the axes that are reduced, ``None`` if the shape is not known."""
    shape = static_shape(node.inputs[0])
    assert isinstance(node.op, Reduction)
    return None if shape is None else normalize_axes(node.op.axis, len(shape))


def _reduce_one(node: Node) -> Node | None:
    """Replace a reduction over axes of size 1 by its only element."""
    axes, x = _axes(node), node.inputs[0]
    shape = static_shape(x)
    if axes is None or shape is None or node.dtype != x.dtype:
        return None
    if any(shape[axis] != 1 for axis in axes):
        return None
    return reshape(x, static_shape(node))


def _reduce_copies(node: Node) -> Node | None:
    """Replace a reduction over broadcast copies by one that reads a single copy."""
    axes, wide = _axes(node), node.inputs[0]
    if axes is None or not isinstance(wide.op, BroadcastTo) or node.dtype != wide.dtype:
        return None
    x = wide.inputs[0]
    narrow, shape = static_shape(x), static_shape(wide)
    if narrow is None or shape is None:
        return None
    padded = (1,) * (len(shape) - len(narrow)) + narrow
    copies = math.prod(shape[axis] for axis in axes if padded[axis] != shape[axis])
    if copies < 2 or any(shape[axis] == 0 for axis in axes):
        return None
    assert node.op is not None
    if isinstance(node.op, Sum) and copies > _largest(node.dtype):
        return None
    kept = tuple(1 if i in axes else size for i, size in enumerate(shape))
    reduced = apply(node.op.with_attributes(axis=axes, keepdims=True), reshape(x, padded))
    if isinstance(node.op, Sum):
        reduced = reduced * copies
    return reshape(broadcast_to(reduced, kept), static_shape(node))


def _largest(dtype: np.dtype[Any]) -> float:
    """Return the largest finite number: for float16, this is 65504."""
    return float(np.finfo(dtype).max if dtype.kind == "f" else np.iinfo(dtype).max)


def _join_sums(node: Node) -> Node | None:
    """sum(sum(x, a), b) = sum(x, a and b)"""
    inner = node.inputs[0]
    if not isinstance(inner.op, Sum) or inner.dtype != inner.inputs[0].dtype:
        return None
    first, second = _axes(inner), _axes(node)
    x = inner.inputs[0]
    shape = static_shape(x)
    if first is None or second is None or shape is None:
        return None
    rest = range(len(shape))
    if not inner.op.keepdims:
        rest = [axis for axis in rest if axis not in first]  # type: ignore[assignment]
    axes = {*first, *(rest[axis] for axis in second)}
    return reshape(sum(x, tuple(sorted(axes))), static_shape(node))


VIEWS: tuple[AnyRule, ...] = (
    Procedure(
        "transpose by axes", _as_permutation, "matrix_transpose(x) = permute_dims(x, (..., 1, 0))",
        (MatrixTranspose, Transpose, SwapAxes, MoveAxis),
        (lambda x: matrix_transpose(x), lambda w: swapaxes(w, 0, 2), lambda w: moveaxis(w, 0, -1),
         lambda w: w.T),
        {"w": (2, 3, 4)},
    ),
    Procedure(
        "reshape twice", _join_reshapes, "reshape(reshape(x, s), t) = reshape(x, t)", _SAME_ORDER,
        (lambda x: reshape(reshape(x, (3, 2)), (6,)), lambda x: squeeze(expand_dims(x, 1), 1),
         lambda x: reshape(x, (2, 3)), lambda z: reshape(broadcast_to(z, (2, 3)), (6,))),
        {"z": ()},
    ),
    Procedure(
        "new axes", _new_axes, "x[:, None] = reshape(x, s)", (Index,),
        (lambda x: x[:, None], lambda x: x[None, ..., None], lambda r: r[0], lambda r: r[-1, None]),
        {"r": (1, 3)},
    ),
    Procedure(
        "new axes, adjoint", _new_axes, "scatter_add(v, x, [:, None]) = reshape(v, s)",
        (ScatterAdd,), (lambda x, r: scatter_add(r, x[0], (None, ...)),), {"r": (1, 3)},
        grade=Grade.ROUNDING,  # -0.0 is added to 0.0
    ),
    Procedure(
        "sign out of a view", _sign_out, "reshape(-x, s) = -reshape(x, s)",
        (*_SAME_ORDER, BroadcastTo, PermuteDims),
        (lambda x: reshape(-x, (6,)), lambda x: expand_dims(-x, 0),
         lambda x: broadcast_to(-x, (4, 2, 3))),
    ),
    Procedure(
        "sum with its axes", _keep_axes, "reshape(sum(x, a), s) = sum(x, a, keepdims=True)",
        (Reshape, ExpandDims),
        (lambda x: reshape(sum(x, 1), (2, 1)), lambda x: expand_dims(sum(x, 0), 0)),
    ),
    Procedure(
        "broadcast twice", _join_broadcasts,
        "broadcast_to(broadcast_to(x, s), t) = broadcast_to(x, t)", (BroadcastTo,),
        (lambda x: broadcast_to(broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)),
         lambda x: broadcast_to(x, (2, 3)), lambda: broadcast_to(Constant([[0.5]]), (2, 3))),
    ),
    Procedure(
        "permute twice", _join_permutations,
        "permute_dims(permute_dims(x, p), q) = permute_dims(x, p[q])", (PermuteDims,),
        (lambda x: permute_dims(permute_dims(x, (1, 0)), (1, 0)),
         lambda w: permute_dims(permute_dims(w, (1, 2, 0)), (1, 0, 2)),
         lambda x: permute_dims(x, (0, 1))),
        {"w": (2, 3, 4)},
    ),
)  # fmt: skip

BROADCASTING: tuple[AnyRule, ...] = (
    Procedure(
        "filled like", _fill, "ones_like(x) = broadcast_to(1, s)", (OnesLike, ZerosLike),
        (lambda x: ones_like(x), lambda x: zeros_like(x), lambda z: ones_like(z)), {"z": ()},
    ),
    Procedure(
        "broadcast later", _delay, "f(broadcast_to(x, s), y) = broadcast_to(f(x, y), s)",
        (Elementwise,),
        (lambda x, y: broadcast_to(x, (4, 2, 3)) * y, lambda x: square(broadcast_to(x, (4, 2, 3))),
         lambda x, r: broadcast_to(r, (2, 3)) + broadcast_to(x, (2, 3)),
         lambda x: x + Constant([0.5, 0.5, 0.5]), lambda x: x + Constant([[0.5]])),
        {"r": (1, 3)},
        when=_may_be_broadcast,
    ),
)  # fmt: skip

REDUCTIONS: tuple[AnyRule, ...] = (
    Procedure(
        "reduce one element", _reduce_one, "sum(x, axis of size 1) = reshape(x, s)",
        (Sum, Mean, Prod, Max, Min),
        (lambda r: sum(r, 0), lambda r: mean(r, 0, keepdims=True), lambda z: max_of(z)),
        {"r": (1, 3), "z": ()},
        grade=Grade.ROUNDING,  # NumPy's sum of -0.0 is 0.0
    ),
    Procedure(
        "reduce copies", _reduce_copies, "sum(broadcast_to(x, n copies)) = n * x",
        (Sum, Mean, Max, Min),
        (lambda r: sum(broadcast_to(r, (2, 3)), 0), lambda r: mean(broadcast_to(r, (4, 2, 3))),
         lambda r: max_of(broadcast_to(r, (4, 1, 3)), (0, -1), keepdims=True)),
        {"r": (1, 3)},
        grade=Grade.ROUNDING,
    ),
    Procedure(
        "sum twice", _join_sums, "sum(sum(x, a), b) = sum(x, a and b)", (Sum,),
        (lambda x: sum(sum(x, 1), 0), lambda x: sum(sum(x, 0, keepdims=True), 1),
         lambda w: sum(sum(w, 1), 1)),
        {"w": (2, 3, 4)},
        grade=Grade.ROUNDING,
    ),
)  # fmt: skip
