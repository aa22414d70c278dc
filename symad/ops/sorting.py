"""Sorting: the order of elements along an axis, and the elements in that order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, distinct, fixed, integers, reals
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.batching import along_axis_of_rows, shape_of
from symad.ops.gather import TakeAlongAxis
from symad.ops.shape import one_axis, reshape
from symad.types import Type, UnknownShape, normalize_axis

_FEW = 1024
"""A call of NumPy takes as long as sorting so many elements by native code."""

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


class _Sorting(Op):
    """An order along an axis."""

    axis: int
    descending: bool

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            if not x.shape:
                raise ShapeError(
                    f"{self.name} needs an axis, and {x} has none",
                    remedy="Give axis=None, or an array with axes.",
                )
            normalize_axis(self.axis, len(x.shape))
        return x

    def flops(self, result: Any, *types: Any) -> int:
        length = int(result.shape[self.axis])
        return int(result.size) * max(length - 1, 0).bit_length()  # the comparisons of a merge sort

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)


class Argsort(_Sorting):
    """See :func:`argsort`."""

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
        return tensor_types(super().infer(*types))[0].with_dtype(np.dtype("int64"))

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
    if axis is None:
        return apply(Sort(0, bool(descending)), reshape(x, (-1,)))
    return apply(Sort(one_axis(axis), bool(descending)), as_node(x))


def _sort(x: Any, axis: int, descending: bool) -> Any:
    ordered = np.sort(x, axis=axis)
    return np.flip(ordered, axis) if descending else ordered


class Sort(_Sorting):
    """See :func:`sort`: the elements at the positions that sort them.

    The order of values is found several times faster than that of positions, which only
    derivatives need.
    """

    name = "sort"
    numpy = _sort
    elements = "moved"
    sign = "as inputs"
    finite_slopes = True
    samples = (
        Sample(lambda x: sort(x), [distinct(3, 4)]),
        Sample(lambda x: sort(x, 0), [distinct(3, 4)], label="axis"),
        Sample(lambda x: sort(x, descending=True), [distinct(3, 4)], label="descending"),
        Sample(lambda x: sort(x, None), [distinct(3, 2)], label="flattened"),
        Sample(lambda x: sort(x), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: sort(x, descending=True), [_SPECIAL], order=0,
               label="special: NaN and infinities"),
        Sample(lambda x: sort(x), [integers(5)], label="integers"),
        Sample(lambda x: sort(x), [reals(2, 0)], label="empty"),
    )  # fmt: skip

    def _by_position(self, x: Node) -> tuple[TakeAlongAxis, Node]:
        """Return the op that takes elements at positions, and the positions in this order."""
        return TakeAlongAxis(self.axis), apply(Argsort(self.axis, self.descending), x)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        take, positions = self._by_position(*inputs)
        return take.reverse(0, adjoint, out, *inputs, positions)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        take, positions = self._by_position(*inputs)
        return take.forward(0, tangent, out, *inputs, positions)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        take, positions = self._by_position(*inputs)
        return take.active_input(0, active, out, *inputs, positions)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        take, positions = self._by_position(*inputs)
        return take.active_output(0, active, out, *inputs, positions)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        take, positions = self._by_position(*inputs)
        return take.dependence(sets, [*labels, None], out, *inputs, positions)

    def decompose(self, *inputs: Node) -> Node | None:
        """Take few elements at their positions, for which there is native code."""
        if math.prod(shape_of(inputs[0])) > _FEW:
            return None
        take, positions = self._by_position(*inputs)
        return apply(take, *inputs, positions)
