"""Reductions: their base, and sum, mean and product.

A reduction defines its derivative once, element by element, in :meth:`Reduction.chain`, and both
modes use it: reverse mode spreads the adjoint back over the reduced axes and multiplies, forward
mode multiplies the tangent and sums.  Axes are taken from the op's attributes and never guessed
from sizes, so one graph serves arrays of any shape.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call, resolve
from symad.graph.sample import Sample, booleans, fixed, integers, reals
from symad.ops.adjoint import broadcast_like, cast, reshape_like
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import from_end
from symad.types import Shape, TensorType, Type, UnknownShape, normalize_axes

Axis: TypeAlias = int | tuple[int, ...] | None


def as_axis(axis: Any) -> Axis:
    """Return an axis as an attribute of an op: ``None``, an ``int``, or a tuple of them.

    Raises
    ------
    GraphTypeError
        If it is none of these.
    """
    if axis is None:
        return None
    try:
        if isinstance(axis, (tuple, list)):
            return tuple(operator.index(one) for one in axis)
        return operator.index(axis)
    except TypeError:
        raise GraphTypeError(
            f"{axis!r} is not an axis",
            remedy="An axis is an integer, a tuple of integers, or None for all axes.",
        ) from None


def reduced_shape(shape: Shape, axis: Axis, keepdims: bool) -> Shape:
    """Return the shape that remains of ``shape`` when ``axis`` is reduced.

    Examples
    --------
    >>> reduced_shape(("batch", 10), -1, False)
    ('batch',)
    """
    if isinstance(shape, UnknownShape):
        return () if axis is None and not keepdims else UnknownShape.fresh()
    axes = normalize_axes(axis, len(shape))
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in axes)


@lru_cache(maxsize=256)
def result_dtype_of(function: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that a NumPy function of one array gives for ``dtype``."""
    result: np.dtype[Any] = function(np.ones(1, dtype)).dtype
    return result


class Reduction(Op):
    """An op that computes one number from all elements along some axes."""

    axis: Axis = None
    keepdims: bool = False

    operations: ClassVar[int] = 1
    """How many operations on numbers each element needs, as :mod:`symad.graph.cost` counts."""

    def flops(self, result: Any, *types: Any) -> int:
        return type(self).operations * int(types[0].size)

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        shape = reduced_shape(x.shape, self.axis, self.keepdims)
        return TensorType(self.result_dtype(x.dtype), shape)

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the result: what NumPy's function gives."""
        return result_dtype_of(resolve(type(self).numpy), dtype)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        (x,), ndim = inputs, out.inputs[0].ndim
        if not ndim:
            x = call("expand_dims", x, -1)
            return apply(self.with_attributes(axis=-1, keepdims=False), x)
        return apply(self.with_attributes(axis=from_end(self.axis, ndim)), x)

    def spread(self, result: Node) -> Node:
        """Return ``result`` with the reduced axes restored: it broadcasts to the input."""
        if self.keepdims or self.axis in (None, ()):
            return result
        expanded: Node = call("expand_dims", result, self.axis)
        return expanded

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        """Return v ∂y/∂x_j for each element of ``x``; ``v`` and ``y`` broadcast to ``x``."""
        raise NotImplementedError(f"op {self.name!r} has no derivative")

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return self.chain(self.spread(adjoint), self.spread(out), inputs[0])

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return self.spread(active)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return call("any", active, self.axis, keepdims=self.keepdims)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return sets.along(labels[0], self.axis, self.keepdims)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        terms = self.chain(tangent, self.spread(out), inputs[0])
        return sum(terms, self.axis, keepdims=self.keepdims)


# The public functions come before their ops, because samples use them and some of their names are
# also Python built-ins.


@register
def sum(x: Operand, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Node:
    """Return the sum of the elements of ``x`` along ``axis``.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    dtype : dtype, optional
        That in which to sum; by default that of the result, as below.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``; booleans and small integers are summed as int64 or uint64.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sum(sm.constant([[1.0, 2.0], [3.0, 4.0]]), axis=0).eval()
    array([4., 6.])
    """
    if dtype is not None:
        return cast(sum(cast(x, dtype), axis, keepdims=keepdims), dtype)
    return apply(Sum(as_axis(axis), bool(keepdims)), as_node(x))


class Sum(Linear, Reduction):
    """y = Σ_j x_j, with the adjoint x̄_j = ȳ: see :func:`sum`."""

    name = "sum"
    in_expressions = True
    sign = "as inputs"
    counted_as = "sums"
    active_input, active_output = Reduction.active_input, Reduction.active_output
    numpy = np.sum
    latex = r"\sum {0}"
    samples = (
        Sample(lambda x: sum(x), [reals(3, 2)]),
        Sample(lambda x: sum(x, axis=0), [reals(3, 3)], label="axis"),
        Sample(lambda x: sum(x, axis=(-1, 0), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: sum(x, axis=(0, 2)), [reals(3, 2, 3)], label="axes"),
        Sample(lambda x: sum(x, axis=()), [reals(3)], label="no axes"),
        Sample(lambda x: sum(x), [reals()], label="scalar"),
        Sample(lambda x: sum(x, axis=1), [reals(2, 0)], label="empty"),
        Sample(lambda x: sum(x, axis=1), [integers(2, 3, dtype="int8")], label="integers"),
        Sample(lambda x: sum(x, axis=0), [booleans(4, 2)], label="booleans"),
    )

    dependence = Reduction.dependence

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return broadcast_like(self.spread(adjoint), inputs[0])

    def decompose(self, *inputs: Node) -> Node | None:
        """A sum over axes between others is a product with ones: no loop nest has such sums."""
        (x,) = tensor_types(inputs[0].type)
        sizes = _around(x, self.axis)
        if sizes is None or x.dtype.char not in "fd":
            return None
        total = call("matmul", np.ones(sizes[1], x.dtype), call("reshape", inputs[0], sizes))
        return call("reshape", total, reduced_shape(x.shape, self.axis, self.keepdims))


def _around(x: TensorType, axis: Axis) -> tuple[int, int, int] | None:
    """Return the sizes before, along and after reduced axes that are between others."""
    shape: tuple[int, ...] = x.shape  # type: ignore[assignment]
    axes = normalize_axes(axis, len(shape))
    first, last = min(axes, default=0), max(axes, default=0) + 1
    sizes = math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
    return sizes if len(axes) == last - first and min(sizes) > 1 else None


def element_count(x: Node, axis: Axis, correction: float = 0) -> Node:
    """Return how many elements are reduced to one, minus ``correction``.

    The result is a floating scalar, at least zero: a constant if the sizes are known, else a node
    that becomes one once they are.
    """
    op = ElementCount(axis, correction)
    known = op.specialise(x)
    return apply(op, x) if known is None else known


class ElementCount(Op):
    """The number of elements along some axes, minus a correction; it depends on shapes only.

    A float16 cannot count beyond 65504, so the count of float16 elements is a float32.
    """

    axis: Axis = None
    correction: float = 0

    name = "element_count"
    samples = (
        Sample(lambda x: x / apply(ElementCount(None, 0), x), [reals(3, 2)]),
        Sample(lambda x: x / apply(ElementCount((0, -1), 1), x), [reals(3, 2, 4)], label="axes"),
    )

    @staticmethod
    def numpy(x: Any, axis: Any, correction: Any) -> Any:
        sizes = np.shape(x)
        count = math.prod(sizes[one] for one in normalize_axes(axis, len(sizes)))
        return np.result_type(x.dtype, np.float32).type(count - correction).clip(0)

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            normalize_axes(self.axis, len(x.shape))
        return TensorType(np.result_type(x.dtype, np.float32), ())

    def differentiable(self, slot: int) -> bool:
        return False

    def reads(self, slot: int) -> bool:
        return False

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        if isinstance(x.shape, UnknownShape):
            return None
        sizes = [x.shape[one] for one in normalize_axes(self.axis, len(x.shape))]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) != len(sizes):
            return None
        count = math.prod(known) - self.correction
        return Constant(count if count > 0 else 0, np.result_type(x.dtype, np.float32))


@register
def mean(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the arithmetic mean of the elements of ``x`` along ``axis``.

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
        It has the dtype of ``x``; float64 for integers and booleans.  It is NaN for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.mean(x).eval({x: [1.0, 2.0, 6.0]})
    np.float64(3.0)
    >>> sm.gradients(sm.mean(x), x).eval({x: [1.0, 2.0]})
    array([0.5, 0.5])
    """
    return apply(Mean(as_axis(axis), bool(keepdims)), as_node(x))


def mean_of_array(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if np.size(x) == 0:  # NumPy would print a warning
        return np.sum(x, axis=axis, keepdims=keepdims) * np.nan
    return np.mean(x, axis=axis, keepdims=keepdims)


def over_count(total: Node, x: Node, axis: Axis, correction: float = 0) -> Node | None:
    """Return the sum ``total`` divided by the number of elements; a float16 is left to NumPy."""
    count = element_count(x, axis, correction)
    return total / count if count.dtype == total.dtype else None


class Mean(Linear, Reduction):
    """y = Σ_j x_j / n, with the adjoint x̄_j = ȳ / n: see :func:`mean`."""

    name = "mean"
    in_expressions = True
    sign = "as inputs"
    domain = "The mean of no elements is 0/0: check the sizes that are fed."
    active_input, active_output = Reduction.active_input, Reduction.active_output
    numpy = staticmethod(mean_of_array)
    samples = (
        Sample(lambda x: mean(x), [reals(3, 2)]),
        Sample(lambda x: mean(x, axis=-1), [reals(3, 4)], label="axis"),
        Sample(lambda x: mean(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: mean(x), [reals()], label="scalar"),
        Sample(lambda x: mean(x, axis=1), [reals(0, 2)], label="empty"),
        Sample(lambda x: mean(x, axis=0), [integers(3, 2)], label="integers"),
    )

    dependence = Reduction.dependence

    def decompose(self, *inputs: Node) -> Node | None:
        x = cast(inputs[0], self.result_dtype(inputs[0].dtype))
        return over_count(sum(x, self.axis, keepdims=self.keepdims), x, self.axis)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        share = self.spread(adjoint) / element_count(inputs[0], self.axis)
        return broadcast_like(share, inputs[0])


@register
def prod(x: Operand, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Node:
    """Return the product of the elements of ``x`` along ``axis``.

    Derivatives multiply the other elements and never divide, so they are correct to any order where
    elements are zero.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.  Negative axes count from the last.
    dtype : dtype, optional
        That in which to multiply; by default that of the result, as below.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        It has the dtype of ``x``; int64 or uint64 for booleans and small integers.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.gradients(sm.prod(x), x).eval({x: [2.0, 0.0, 3.0]})
    array([0., 6., 0.])
    """
    if dtype is not None:
        return cast(prod(cast(x, dtype), axis, keepdims=keepdims), dtype)
    return apply(Prod(as_axis(axis), bool(keepdims)), as_node(x))


class Prod(Reduction):
    """y = Π_j x_j, with the derivative ∂y/∂x_j = Π_{i≠j} x_i: see :func:`prod`."""

    name = "prod"
    in_expressions = True
    sign = "as inputs"
    finite_slopes = True
    numpy = np.prod
    latex = r"\prod {0}"
    samples = (
        Sample(lambda x: prod(x), [reals(3, 2)]),
        Sample(lambda x: prod(x, axis=1), [reals(2, 4)], label="axis"),
        Sample(lambda x: prod(x, axis=(0, -1)), [reals(2, 3, 2)], label="axes"),
        Sample(lambda x: prod(x, axis=(1, 0), keepdims=True), [reals(2, 3)], label="keepdims"),
        Sample(lambda x: prod(x, axis=()), [reals(2)], label="no axes"),
        Sample(lambda x: prod(x), [reals()], label="scalar"),
        Sample(lambda x: prod(x, axis=0), [reals(0, 2)], label="empty"),
        Sample(
            lambda x: prod(x, axis=1),
            [fixed([[1.5, 2.0, -3.0], [1.5, 0.0, -3.0], [0.0, 2.0, 0.0]])],
            label="zeros",
        ),
        Sample(lambda x: prod(x), [integers(4, dtype="int16")], label="integers"),
    )

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        return v if self.axis == () else v * _product_of_others(x, self.axis)


def _product_of_others(x: Node, axis: Axis) -> Node:
    """Return, for each element, the product of all the others along ``axis``.

    Along one axis, this is the product of the elements before times that of the elements after.
    For several axes, it is the product of the others along the first axis, times whole lines
    along it.
    """
    if axis is None:
        return reshape_like(_product_of_others(call("reshape", x, (-1,)), 0), x)
    factors = []
    for one in (axis,) if isinstance(axis, int) else axis:
        before: Node = call("cumprod", x, one, exclusive=True)
        after: Node = call("cumprod", x, one, exclusive=True, from_end=True)
        factors.append(before * after)
        x = prod(x, one, keepdims=True)
    return math.prod(factors[1:], start=factors[0])
