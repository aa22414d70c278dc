"""Sums of exponentials from which the largest exponent has been taken, as one writes them by hand.

With m = max(x), log Σ exp(x − m) + m is logsumexp(x), and softmax(x − m) is softmax(x).  These
avoid overflow themselves, and their derivatives do not go through the maximum, whose part in them
is 0 only up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symad.graph.node import Node, apply
from symad.ops.adjoint import StopGradient
from symad.ops.arithmetic import Add, Subtract
from symad.ops.extremum import Max
from symad.ops.extremum import max as largest
from symad.ops.index import Index
from symad.ops.nn import LogSumExp, LogSumExpSlope, Softmax, logsumexp, softmax
from symad.ops.shape import ExpandDims, Reshape, Squeeze, expand_dims
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, static_shape
from symad.types import normalize_axes

_WHOLE = (None, None, None)
"""The slice of a whole axis, in the key of an index."""


def _without_shift(x: Node, axis: Any) -> Node | None:
    """Return z if ``x`` is z − max(z), with the maximum along ``axis``."""
    if not isinstance(x.op, Subtract):
        return None
    whole, shift = x.inputs
    top = _maximum_in(shift)
    if top is None or top.inputs[0] is not whole or not _same_axes(top, axis):
        return None
    shape, given = static_shape(whole), static_shape(shift)
    if shape is None or given is None:
        is_in_place = isinstance(shift.op, Max) and (shift.op.keepdims or axis is None)
        return whole if is_in_place else None
    axes = normalize_axes(axis, len(shape))
    kept = tuple(1 if k in axes else size for k, size in enumerate(shape))
    return whole if (1,) * (len(shape) - len(given)) + given == kept else None


def _maximum_in(node: Node) -> Any:
    """Return the maximum whose elements ``node`` contains in their order, if it does."""
    while isinstance(node.op, (ExpandDims, Squeeze, Reshape, StopGradient)) or _keeps_all(node):
        node = node.inputs[0]
    return node if isinstance(node.op, Max) else None


def _is_stopped(node: Node) -> bool:
    """Return whether no derivative goes through ``node``, what a maximum is seen through."""
    while not isinstance(node.op, (Max, StopGradient)):
        node = node.inputs[0]
    return isinstance(node.op, StopGradient)


def _keeps_all(node: Node) -> bool:
    """Return whether ``node`` is an index that only adds and drops axes of size 1."""
    if not isinstance(node.op, Index):
        return False
    shape, given = static_shape(node), static_shape(node.inputs[0])
    is_whole = all(item in (None, Ellipsis, _WHOLE, 0, -1) for item in node.op.key)
    if shape is None or given is None or not is_whole:
        return False
    return [size for size in shape if size != 1] == [size for size in given if size != 1]


def _same_axes(top: Node, axis: Any) -> bool:
    assert isinstance(top.op, Max)
    rank = top.inputs[0].ndim
    if rank is None:
        return bool(top.op.axis == axis)
    return set(normalize_axes(top.op.axis, rank)) == set(normalize_axes(axis, rank))


def _shifted_back(node: Node) -> Node | None:
    """logsumexp(x − m) + m = logsumexp(x), for m = max(x)"""
    for sums, shift in (node.inputs, node.inputs[::-1]):
        if not isinstance(sums.op, LogSumExp) or sums.dtype != shift.dtype:
            continue
        whole = _without_shift(sums.inputs[0], sums.op.axis)
        top = _maximum_in(shift)
        if whole is None or top is None or top.inputs[0] is not whole:
            continue
        if _is_stopped(shift) is not _is_stopped(sums.inputs[0].inputs[1]):
            continue  # the maximum has a part in the derivative
        shape = static_shape(sums)
        is_in_place = isinstance(shift.op, Max) and shift.op.keepdims == sums.op.keepdims
        if is_in_place if shape is None else shape == static_shape(shift):
            return apply(sums.op, whole) if _same_axes(top, sums.op.axis) else None
    return None


def _shares(node: Node) -> Node | None:
    """softmax(x − max(x)) = softmax(x)"""
    assert isinstance(node.op, Softmax)
    whole = _without_shift(node.inputs[0], node.op.axis)
    return None if whole is None else apply(node.op, whole)


def _by_hand(axis: Any, keepdims: bool) -> Callable[[Node], Node]:
    def formula(x: Node) -> Node:
        top = largest(x, axis, keepdims=keepdims)
        return logsumexp(x - top, axis, keepdims=keepdims) + top

    return formula


def _along_rows(x: Node) -> Node:
    top = largest(x, 1)
    return top + logsumexp(x - top[:, None], -1)


_COMMON: dict[str, Any] = {"grade": Grade.ROUNDING, "mends": True}

SHIFTED: tuple[AnyRule, ...] = (
    Procedure(
        "logsumexp of differences", _shifted_back,
        "logsumexp(x - max(x)) + max(x) = logsumexp(x)", (Add,),
        (_by_hand(None, False), _by_hand(0, False), _by_hand(1, True), _along_rows),
        needs=frozenset({LogSumExp, Subtract, Max}), makes=frozenset({LogSumExp}),
        when=lambda kind, heads: LogSumExp in heads, **_COMMON,
    ),
    Procedure(
        "softmax of differences", _shares, "softmax(x - max(x)) = softmax(x)",
        (Softmax, LogSumExpSlope),
        (lambda x: softmax(x - largest(x, 1, keepdims=True), 1),
         lambda x: softmax(x - expand_dims(largest(x, 0), 0), 0)),
        needs=frozenset({Subtract, Max}), makes=frozenset({Softmax, LogSumExpSlope}),
        when=lambda kind, heads: heads[0] is Subtract, **_COMMON,
    ),
)  # fmt: skip
