"""Sorting: the order of elements along an axis, and the elements in that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, distinct, fixed, integers, reals
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.batching import along_axis_of_rows
from symad.ops.gather import take_along_axis
from symad.ops.shape import one_axis, reshape
from symad.types import TensorType, Type, UnknownShape, normalize_axis

_TIES = fixed([[1.0, 3.0, 3.0, 1.0], [2.0, -1.0, 2.0, 2.0]])
_SPECIAL = fixed([[1.0, np.inf, -np.inf, np.nan], [0.0, -0.0, np.nan, -1.0]])


def _argsort(x: Any, axis: int, descending: bool) -> Any:
    """Return positions sorted by value; equal values keep their order in both directions."""
    if not descending:
        return np.argsort(x, axis=axis, stable=True)
    last = x.shape[axis] - 1
    return last - np.flip(np.argsort(np.flip(x, axis), axis=axis, stable=True), axis)


@register
def argsort(
    x: Operand, axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> Node:
    """Return the positions that sort ``x`` along ``axis``.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        ``None`` flattens ``x`` first.
    descending : bool
        Whether the largest element comes first.
    stable : bool
        Ignored: equal elements always keep their order.

    Returns
    -------
    Node
        The positions as int64, without a derivative.  A NaN counts as the largest.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.argsort(sm.constant([3.0, 1.0, 2.0])).eval()
    array([1, 2, 0])
    """
    if axis is None:
        return apply(Argsort(0, bool(descending)), reshape(x, (-1,)))
    return apply(Argsort(one_axis(axis), bool(descending)), as_node(x))


class Argsort(Op):
    """See :func:`argsort`."""

    axis: int
    descending: bool

    name = "argsort"
    numpy = _argsort
    samples = (
        Sample(lambda x: argsort(x), [distinct(3, 4)]),
        Sample(lambda x: argsort(x, 0), [distinct(3, 4)], label="axis"),
        Sample(lambda x: argsort(x, descending=True), [distinct(3, 4)], label="descending"),
        Sample(lambda x: argsort(x, None), [distinct(3, 2)], label="flattened"),
        Sample(lambda x: argsort(x), [_TIES], label="special: ties"),
        Sample(lambda x: argsort(x, descending=True), [_TIES], label="special: ties, descending"),
        Sample(lambda x: argsort(x), [_SPECIAL], label="special: NaN and infinities"),
        Sample(lambda x: argsort(x), [integers(5)], label="integers"),
        Sample(lambda x: argsort(x), [reals(2, 0)], label="empty"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            if not x.shape:
                raise ShapeError(
                    f"{self.name} needs an axis, and {x} has none",
                    remedy="Give axis=None, or an array with axes.",
                )
            normalize_axis(self.axis, len(x.shape))
        return TensorType(np.dtype("int64"), x.shape)

    def flops(self, result: Any, *types: Any) -> int:
        length = int(result.shape[self.axis])
        return int(result.size) * max(length - 1, 0).bit_length()  # the comparisons of a merge sort

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)

    def differentiable(self, slot: int) -> bool:
        return False


@register
def sort(
    x: Operand, axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> Node:
    """Return the elements of ``x`` sorted along ``axis``.

    The derivative returns to the original position of each element, also for equal elements.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        ``None`` flattens ``x`` first.
    descending : bool
        Whether the largest element comes first.  A NaN counts as the largest.
    stable : bool
        Ignored: equal elements always keep their order.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> feed = {x: [3.0, 1.0, 2.0]}
    >>> sm.sort(x).eval(feed), sm.gradients(sm.sort(x)[0], x).eval(feed)
    (array([1., 2., 3.]), array([0., 1., 0.]))
    """
    x = reshape(x, (-1,)) if axis is None else as_node(x)
    axis = 0 if axis is None else axis
    return take_along_axis(x, argsort(x, axis, descending=descending), axis)
