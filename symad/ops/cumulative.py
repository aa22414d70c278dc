"""Cumulative sums and products, and the linear recurrence that their derivatives need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import Op, call
from symad.graph.sample import Sample, fixed, integers, reals
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import along_axis_of_rows, shape_of
from symad.ops.reduce import as_axis, result_dtype_of
from symad.types import TensorType, Type, UnknownShape, broadcast_shapes, normalize_axis


class Cumulative(Op):
    """An op that accumulates along one axis, from its first element or, on request, its last."""

    axis: int
    from_end: bool = False

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return call("any", active, self.axis, keepdims=True)

    active_output = active_input

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        moving = sets.joined(*[array for array in labels if array is not None])
        shape = shape_of(out)
        moving = np.moveaxis(np.broadcast_to(moving, shape), self.axis, -1)
        places = np.moveaxis(np.arange(moving.size).reshape(shape), self.axis, -1)
        sets.require(moving.size * moving.shape[-1] // 2)
        later, earlier = np.tril_indices(moving.shape[-1], -1 if self.excludes_own else 0)
        if self.from_end:
            later, earlier = earlier, later
        return sets.united(places[..., later], moving[..., earlier], shape)

    @property
    def excludes_own(self) -> bool:
        """Whether an element of the result does not depend on the elements at its position."""
        return False

    def flops(self, result: Any, *types: Any) -> int:
        return len(types) * int(result.size)

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        shape = broadcast_shapes(*[tensor.shape for tensor in tensors])
        if not isinstance(shape, UnknownShape):
            normalize_axis(self.axis, len(shape))
        return TensorType(self.result_dtype(*[tensor.dtype for tensor in tensors]), shape)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the result."""
        return np.result_type(*dtypes)


def flat_or_along(x: Operand, axis: Any) -> tuple[Node, int]:
    """Return ``x`` and the axis to accumulate along; without an axis, ``x`` is flattened."""
    node, along = as_node(x), as_axis(axis)
    if isinstance(along, tuple):
        raise GraphTypeError(
            f"axis {along} is a tuple, but sums and products accumulate along one axis",
            remedy="Give one axis, or None for all elements in order.",
        )
    return (call("reshape", node, (-1,)), 0) if along is None else (node, along)


def _cumsum(x: Any, axis: int, from_end: bool) -> Any:
    if from_end:
        return np.flip(np.cumsum(np.flip(x, axis), axis), axis)
    return np.cumsum(x, axis)


@register
def cumsum(x: Operand, axis: Any = None, *, from_end: bool = False) -> Node:
    """Return the sum of all elements up to each along ``axis``: y_j = Σ_{i≤j} x_i.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.
    from_end : bool
        Sum from each element to the last instead: y_j = Σ_{i≥j} x_i.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``; booleans and small integers become int64 or uint64.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cumsum(sm.constant([1.0, 2.0, 3.0])).eval()
    array([1., 3., 6.])
    >>> sm.cumsum(sm.constant([1.0, 2.0, 3.0]), from_end=True).eval()
    array([6., 5., 3.])
    """
    node, along = flat_or_along(x, axis)
    return apply(CumSum(along, bool(from_end)), node)


class CumSum(Linear, Cumulative):
    """y_j = Σ_{i≤j} x_i, with the adjoint x̄_i = Σ_{j≥i} ȳ_j: see :func:`cumsum`."""

    name = "cumsum"
    in_expressions = True
    sign = "as inputs"
    numpy = staticmethod(_cumsum)
    samples = (
        Sample(lambda x: cumsum(x), [reals(4)], np.cumsum),
        Sample(lambda x: cumsum(x), [reals(2, 3)], np.cumsum, label="flat"),
        Sample(lambda x: cumsum(x), [reals()], np.cumsum, label="scalar"),
        Sample(
            lambda x: cumsum(x, axis=-1),
            [reals(2, 3)],
            lambda x: np.cumsum(x, axis=-1),
            label="axis",
        ),
        Sample(
            lambda x: cumsum(x, axis=0, from_end=True),
            [reals(3, 2)],
            lambda x: np.cumsum(x[::-1], axis=0)[::-1],
            label="from the end",
        ),
        Sample(lambda x: cumsum(x, axis=0), [reals(0, 2)], label="empty"),
        Sample(lambda x: cumsum(x), [integers(4, dtype="int8")], np.cumsum, label="integers"),
    )

    dependence = Cumulative.dependence

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return result_dtype_of(np.cumsum, *dtypes)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(CumSum(self.axis, not self.from_end), adjoint)


def _cumprod(x: Any, axis: int, from_end: bool, exclusive: bool) -> Any:
    factors = np.flip(x, axis) if from_end else x
    if exclusive:
        factors = np.roll(factors, 1, axis)
        np.moveaxis(factors, axis, 0)[:1] = 1
    products = np.cumprod(factors, axis)
    return np.flip(products, axis) if from_end else products


@register
def cumprod(
    x: Operand, axis: Any = None, *, from_end: bool = False, exclusive: bool = False
) -> Node:
    """Return the product of all elements up to each along ``axis``: y_j = Π_{i≤j} x_i.

    Derivatives never divide, so they are correct to any order where elements are zero.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Without it, ``x`` is flattened first.
    from_end : bool
        Multiply from each element to the last instead: y_j = Π_{i≥j} x_i.
    exclusive : bool
        Leave the element itself out: y_j = Π_{i<j} x_i, which begins with 1.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``; int64 or uint64 for booleans and small integers.

    Raises
    ------
    GraphTypeError
        If ``axis`` is a tuple.
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cumprod(sm.constant([2.0, 3.0, 4.0])).eval()
    array([ 2.,  6., 24.])
    >>> sm.cumprod(sm.constant([2.0, 3.0, 4.0]), exclusive=True).eval()
    array([1., 2., 6.])
    """
    node, along = flat_or_along(x, axis)
    return apply(CumProd(along, bool(from_end), bool(exclusive)), node)


class CumProd(Cumulative):
    """y_j = Π_{i≤j} x_i, or Π_{i<j} x_i if ``exclusive``: see :func:`cumprod`.

    The products p_j before each element obey p_{j+1} = x_j p_j.  Differentiated, this is a linear
    recurrence, ṗ_{j+1} = x_j ṗ_j + ẋ_j p_j, which needs no division.
    """

    exclusive: bool = False

    name = "cumprod"
    in_expressions = True
    sign = "as inputs"
    finite_slopes = True
    numpy = staticmethod(_cumprod)
    samples = (
        Sample(lambda x: cumprod(x), [reals(4)], np.cumprod),
        Sample(lambda x: cumprod(x), [reals(2, 2)], np.cumprod, label="flat"),
        Sample(
            lambda x: cumprod(x, axis=-1),
            [reals(2, 3)],
            lambda x: np.cumprod(x, axis=-1),
            label="axis",
        ),
        Sample(
            lambda x: cumprod(x, axis=0, from_end=True),
            [reals(3, 2)],
            lambda x: np.cumprod(x[::-1], axis=0)[::-1],
            label="from the end",
        ),
        Sample(
            lambda x: cumprod(x, axis=1, exclusive=True),
            [reals(2, 4)],
            lambda x: np.cumprod(x, axis=1) / x,
            label="exclusive",
        ),
        Sample(
            lambda x: cumprod(x, axis=0, exclusive=True, from_end=True),
            [reals(4, 2)],
            lambda x: np.cumprod(x[::-1], axis=0)[::-1] / x,
            label="exclusive from the end",
        ),
        Sample(
            lambda x: cumprod(x, axis=1),
            [fixed([[1.5, 0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 1.5]])],
            lambda x: np.cumprod(x, axis=1),
            label="zeros",
        ),
        Sample(lambda x: cumprod(x, axis=0), [reals(0, 2)], label="empty"),
        Sample(lambda x: cumprod(x, 1, exclusive=True), [reals(2, 0)], label="empty, exclusive"),
        Sample(lambda x: cumprod(x), [integers(4, dtype="int8")], np.cumprod, label="integers"),
    )

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return result_dtype_of(np.cumprod, *dtypes)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        (x,) = inputs
        if self.exclusive:
            return out * linear_recurrence(x, adjoint, self.axis, not self.from_end)
        later = linear_recurrence(x, adjoint * x, self.axis, not self.from_end)
        return self.products_before(x) * (adjoint + later)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        (x,) = inputs
        if self.exclusive:
            return linear_recurrence(x, tangent * out, self.axis, self.from_end)
        change = tangent * self.products_before(x)
        return change + x * linear_recurrence(x, change, self.axis, self.from_end)

    @property
    def excludes_own(self) -> bool:
        return self.exclusive

    def products_before(self, x: Node) -> Node:
        """Return the products of the elements before each."""
        return apply(CumProd(self.axis, self.from_end, True), x)


def _linear_recurrence(a: Any, b: Any, axis: int, from_end: bool) -> Any:
    a, b = np.broadcast_arrays(a, b)
    result = np.zeros(b.shape, np.result_type(a, b))
    state, a, b = (np.moveaxis(array, axis, 0) for array in (result, a, b))
    if from_end:
        state, a, b = state[::-1], a[::-1], b[::-1]
    for j in range(len(state) - 1):
        state[j + 1] = a[j] * state[j] + b[j]
    return result


def linear_recurrence(a: Node, b: Node, axis: int, from_end: bool = False) -> Node:
    """Return y with y_0 = 0 and y_{j+1} = a_j y_j + b_j along ``axis``, or from its end.

    Parameters
    ----------
    a, b : Node
        Two arrays of the same shape.
    axis : int
    from_end : bool
        Begin at the last element: y_{j-1} = a_j y_j + b_j.

    Examples
    --------
    >>> import symad as sm
    >>> linear_recurrence(sm.constant([2.0, 3.0, 4.0]), sm.constant([1.0, 1.0, 1.0]), 0).eval()
    array([0., 1., 4.])
    """
    return apply(LinearRecurrence(axis, from_end), a, b)


class LinearRecurrence(Cumulative):
    """y_{j+1} = a_j y_j + b_j from y_0 = 0: see :func:`linear_recurrence`.

    The adjoint of b is the same recurrence in the other direction, b̄_j = a_{j+1} b̄_{j+1} +
    ȳ_{j+1}, and ā_j = b̄_j y_j.
    """

    name = "linear_recurrence"
    finite_slopes = True
    numpy = staticmethod(_linear_recurrence)
    samples = (
        Sample(lambda a, b: linear_recurrence(a, b, 0), [reals(4), reals(4)]),
        Sample(lambda a, b: linear_recurrence(a, b, 1, True), [reals(2, 3), reals(2, 3)]),
        Sample(lambda a, b: linear_recurrence(a, b, 0), [reals(0), reals(0)], label="empty"),
    )

    @property
    def excludes_own(self) -> bool:
        return True

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        change = linear_recurrence(inputs[0], adjoint, self.axis, not self.from_end)
        return change * out if slot == 0 else change

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        change = tangent * out if slot == 0 else tangent
        return linear_recurrence(inputs[0], change, self.axis, self.from_end)
