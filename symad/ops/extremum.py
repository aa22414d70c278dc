"""Maximum, minimum, and their positions along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, distinct, fixed, integers, reals
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register, tensor_types, wide_dtype
from symad.ops.batching import shape_of
from symad.ops.reduce import (
    Axis,
    Reduction,
    as_axis,
    sum,
)
from symad.types import Shape, Type, UnknownShape, normalize_axes


class Extremum(Reduction):
    """The largest or smallest element; those that tie for it share its derivative equally."""

    reads_all = False
    beaten: ClassVar[str]
    """The comparison with the result that holds for the elements that are not selected."""

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        _require_elements(x.shape, self.axis, self.name)
        return super().infer(*types)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        beaten = call(self.beaten, inputs[0], self.spread(out))
        return call("logical_and", self.spread(active), call("logical_not", beaten))

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        ties: Node = call("equal", x, y)
        count = cast(sum(ties, self.axis, keepdims=True), wide_dtype(v.dtype))
        # A NaN equals nothing, so its count is 0, and 0 / 0 propagates the NaN.
        shares: Node = call("where", ties, v / count, 0 / count)
        return shares


def _require_elements(shape: Shape, axis: Axis, name: str) -> None:
    """Raise an error if a reduced axis is known to be empty."""
    if isinstance(shape, UnknownShape):
        return
    for one in normalize_axes(axis, len(shape)):
        if shape[one] == 0:
            raise ShapeError(
                f"axis {one} is empty, and the {name} of no elements is undefined",
                remedy="Feed at least one element along each reduced axis.",
            )


_TIES = fixed([[1.0, 3.0, 3.0], [2.0, -1.0, 2.0], [0.0, 0.0, 0.0]])
_INFINITIES = fixed([[1.0, np.inf, -np.inf], [-np.inf] * 3, [np.nan, 1.0, np.inf], [0.0, -0.0, 0]])


@register
def max(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the largest element of ``x`` along ``axis``.

    Elements that tie for the largest share its derivative equally.  A NaN makes the result and the
    derivative NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``.

    Raises
    ------
    ShapeError
        If an axis does not exist, is named twice, or is known to be empty.
    EvaluationError
        When run, if a reduced axis is empty.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.gradients(sm.max(x), x).eval({x: [1.0, 3.0, 3.0]})
    array([0. , 0.5, 0.5])
    """
    return apply(Max(as_axis(axis), bool(keepdims)), as_node(x))


class Max(Extremum):
    """See :func:`max`."""

    name = "max"
    in_expressions = True
    sign = "as inputs"
    finite_slopes = True
    numpy = np.max
    beaten = "less"
    latex = r"\max {0}"
    samples = (
        Sample(lambda x: max(x), [distinct(3, 2)], order=1),
        Sample(lambda x: max(x, axis=-1), [distinct(3, 4)], order=1, label="axis"),
        Sample(
            lambda x: max(x, axis=(0, 2), keepdims=True),
            [distinct(2, 1, 3)],
            order=1,
            label="keepdims",
        ),
        Sample(lambda x: max(x), [reals()], order=1, label="scalar"),
        Sample(lambda x: max(x, axis=1), [reals(0, 2)], order=1, label="empty"),
        Sample(lambda x: max(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: max(x, axis=1), [_INFINITIES], order=0, label="special: infinities"),
        Sample(lambda x: max(x, axis=0), [integers(3, 2, dtype="int32")], label="integers"),
    )


@register
def min(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the smallest element of ``x`` along ``axis``.

    Elements that tie for the smallest share its derivative equally.  A NaN makes the result and
    the derivative NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``.

    Raises
    ------
    ShapeError
        If an axis does not exist, is named twice, or is known to be empty.
    EvaluationError
        When run, if a reduced axis is empty.

    Examples
    --------
    >>> import symad as sm
    >>> sm.min(sm.constant([[3.0, 1.0], [2.0, 5.0]]), axis=0).eval()
    array([2., 1.])
    """
    return apply(Min(as_axis(axis), bool(keepdims)), as_node(x))


class Min(Extremum):
    """See :func:`min`."""

    name = "min"
    in_expressions = True
    sign = "as inputs"
    finite_slopes = True
    numpy = np.min
    beaten = "greater"
    latex = r"\min {0}"
    samples = (
        Sample(lambda x: min(x), [distinct(3, 2)], order=1),
        Sample(lambda x: min(x, axis=0), [distinct(3, 4)], order=1, label="axis"),
        Sample(lambda x: min(x, axis=(0, -1)), [distinct(2, 3, 2)], order=1, label="axes"),
        Sample(lambda x: min(x, keepdims=True), [distinct(2, 3)], order=1, label="keepdims"),
        Sample(lambda x: min(x), [reals()], order=1, label="scalar"),
        Sample(lambda x: min(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: min(x, axis=1), [_INFINITIES], order=0, label="special: infinities"),
        Sample(lambda x: min(x), [integers(3, 2)], label="integers"),
    )


amax = register(max, "amax")
amin = register(min, "amin")


class PositionReduction(Reduction):
    """The position of an element: an integer, without a derivative."""

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(self.axis, tuple):
            raise GraphTypeError(
                f"axis {self.axis} is a tuple, but a position needs a single axis",
                remedy="Give one axis, or None for the position among all elements in order.",
            )
        _require_elements(x.shape, self.axis, self.name)
        return super().infer(*types)

    def differentiable(self, slot: int) -> bool:
        return False

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        if self.axis is not None or not out.inputs[0].ndim:
            return super().batch(out, batched, *inputs)
        rows = shape_of(inputs[0])[0]
        flat = call("reshape", inputs[0], (rows, math.prod(shape_of(out.inputs[0]))))
        place = apply(self.with_attributes(axis=-1), flat)
        return call("reshape", place, (rows, *shape_of(out)))


@register
def argmax(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the position of the largest element of ``x`` along ``axis``, the first of several.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        By default, ``x`` is flattened first.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        The position as int64, without a derivative.  A NaN counts as the largest.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> sm.argmax(sm.constant([[1.0, 7.0], [4.0, 3.0]]), axis=1).eval()
    array([1, 0])
    """
    return apply(ArgMax(as_axis(axis), bool(keepdims)), as_node(x))


class ArgMax(PositionReduction):
    """See :func:`argmax`."""

    name = "argmax"
    numpy = np.argmax
    samples = (
        Sample(lambda x: argmax(x), [distinct(3, 2)]),
        Sample(lambda x: argmax(x, axis=0), [distinct(3, 4)], label="axis"),
        Sample(lambda x: argmax(x, axis=-1, keepdims=True), [distinct(3, 4)], label="keepdims"),
        Sample(lambda x: argmax(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: argmax(x, axis=1), [_INFINITIES], order=0, label="special: infinities"),
        Sample(lambda x: argmax(x), [integers(4)], label="integers"),
    )


@register
def argmin(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the position of the smallest element of ``x`` along ``axis``, the first of several.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        By default, ``x`` is flattened first.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        The position as int64, without a derivative.  A NaN counts as the smallest.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist or is known to be empty.

    Examples
    --------
    >>> import symad as sm
    >>> sm.argmin(sm.constant([3.0, 1.0, 1.0])).eval()
    np.int64(1)
    """
    return apply(ArgMin(as_axis(axis), bool(keepdims)), as_node(x))


class ArgMin(PositionReduction):
    """See :func:`argmin`."""

    name = "argmin"
    numpy = np.argmin
    samples = (
        Sample(lambda x: argmin(x), [distinct(3, 2)]),
        Sample(lambda x: argmin(x, axis=0, keepdims=True), [distinct(3, 4)], label="keepdims"),
        Sample(lambda x: argmin(x, axis=1), [_TIES], order=0, label="special: ties"),
        Sample(lambda x: argmin(x, axis=1), [_INFINITIES], order=0, label="special: infinities"),
        Sample(lambda x: argmin(x), [integers(4)], label="integers"),
    )
