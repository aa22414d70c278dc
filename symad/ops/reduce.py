"""Reductions: sum, mean, products, extremes, spread, and what looks only at truth or position.

A reduction gives its derivative once, element by element, in :meth:`Reduction.chain`, and both
modes follow: reverse mode spreads the adjoint back over the reduced axes and multiplies, forward
mode multiplies the tangent and sums.  Axes are taken from the op's attributes and never guessed
from sizes, so one graph serves arrays of any shape.
"""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, resolve
from symad.graph.operators import call
from symad.graph.sample import Sample, booleans, distinct, fixed, integers, reals
from symad.ops.adjoint import broadcast_like, cast, reshape_like
from symad.ops.base import Linear, Operand, as_node, register, tensor_types
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
    """Return the shape that is left of ``shape`` when ``axis`` is reduced.

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
    """An op that makes one number of all elements along some axes."""

    axis: Axis = None
    keepdims: bool = False

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        shape = reduced_shape(x.shape, self.axis, self.keepdims)
        return TensorType(self.result_dtype(x.dtype), shape)

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the result: what NumPy's function gives."""
        return result_dtype_of(resolve(type(self).numpy), dtype)

    def spread(self, result: Node) -> Node:
        """Return ``result`` with the reduced axes back, of size 1: it broadcasts to the input."""
        if self.keepdims or self.axis in (None, ()):
            return result
        expanded: Node = call("expand_dims", result, self.axis)
        return expanded

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        """Return v ∂y/∂x_j for each element of ``x``; ``v`` and ``y`` broadcast to ``x``."""
        raise NotImplementedError(f"op {self.name!r} has no derivative")

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return self.chain(self.spread(adjoint), self.spread(out), inputs[0])

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        terms = self.chain(tangent, self.spread(out), inputs[0])
        return sum(terms, self.axis, keepdims=self.keepdims)


# The public functions stand before their ops, because samples name them and some of these names
# are Python's as well.


@register
def sum(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the sum of the elements of ``x`` along ``axis``.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of the dtype of ``x``; booleans and small integers are summed as int64 or uint64.

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
    return apply(Sum(as_axis(axis), bool(keepdims)), as_node(x))


class Sum(Linear, Reduction):
    """y = Σ_j x_j, with the adjoint x̄_j = ȳ: see :func:`sum`."""

    name = "sum"
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

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return broadcast_like(self.spread(adjoint), inputs[0])


def element_count(x: Node, axis: Axis, correction: float = 0) -> Node:
    """Return how many elements one result of a reduction is made of, less ``correction``.

    The result is a floating scalar, not below zero: a constant where the sizes are known, else a
    node that becomes one when they are.
    """
    op = ElementCount(axis, correction)
    known = op.specialise(x)
    return apply(op, x) if known is None else known


class ElementCount(Op):
    """The number of elements along some axes, less a correction; it depends on shapes only.

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
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of the dtype of ``x``; float64 for integers and booleans.  The mean of no elements is NaN.

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


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if np.size(x) == 0:  # NumPy would print a warning
        return np.sum(x, axis=axis, keepdims=keepdims) * np.nan
    return np.mean(x, axis=axis, keepdims=keepdims)


def _share(total: Node, x: Node, axis: Axis, correction: float = 0) -> Node | None:
    """Return the sum ``total`` divided by the number of elements; a float16 is left to NumPy."""
    count = element_count(x, axis, correction)
    return total / count if count.dtype == total.dtype else None


class Mean(Linear, Reduction):
    """y = Σ_j x_j / n, with the adjoint x̄_j = ȳ / n: see :func:`mean`."""

    name = "mean"
    numpy = staticmethod(_mean)
    samples = (
        Sample(lambda x: mean(x), [reals(3, 2)]),
        Sample(lambda x: mean(x, axis=-1), [reals(3, 4)], label="axis"),
        Sample(lambda x: mean(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: mean(x), [reals()], label="scalar"),
        Sample(lambda x: mean(x, axis=1), [reals(0, 2)], label="empty"),
        Sample(lambda x: mean(x, axis=0), [integers(3, 2)], label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        x = cast(inputs[0], self.result_dtype(inputs[0].dtype))
        return _share(sum(x, self.axis, keepdims=self.keepdims), x, self.axis)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        share = self.spread(adjoint) / element_count(inputs[0], self.axis)
        return broadcast_like(share, inputs[0])


@register
def prod(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the product of the elements of ``x`` along ``axis``.

    Derivatives multiply the other elements and never divide, so they are right to any order where
    elements are zero.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of the dtype of ``x``; int64 or uint64 for booleans and small integers.

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
    return apply(Prod(as_axis(axis), bool(keepdims)), as_node(x))


class Prod(Reduction):
    """y = Π_j x_j, with the derivative ∂y/∂x_j = Π_{i≠j} x_i: see :func:`prod`."""

    name = "prod"
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

    Along one axis, this is the product of those before times the product of those after.  For
    several axes, the others are those along the first, times whole lines along it.
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


class Extremum(Reduction):
    """The largest or smallest element; those that tie for it share its derivative equally."""

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        _require_elements(x.shape, self.axis, self.name)
        return super().infer(*types)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        ties: Node = call("equal", x, y)
        count = cast(sum(ties, self.axis, keepdims=True), v.dtype)
        # A NaN equals nothing, so that its count is 0, and 0 / 0 hands the NaN on.
        shares: Node = call("where", ties, v / count, 0 / count)
        return shares


def _require_elements(shape: Shape, axis: Axis, name: str) -> None:
    """Raise an error if a reduced axis is known to be empty."""
    if isinstance(shape, UnknownShape):
        return
    for one in normalize_axes(axis, len(shape)):
        if shape[one] == 0:
            raise ShapeError(
                f"axis {one} is empty, and there is no {name} of no elements",
                remedy="Feed one element at least along each reduced axis.",
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
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of the dtype of ``x``.

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
    numpy = np.max
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
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of the dtype of ``x``.

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
    numpy = np.min
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


@register
def var(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the variance of the elements of ``x`` along ``axis``: Σ_j (x_j − mean)² / (n − c).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    correction : float
        The c that is taken from the number n of elements: 0 for a whole population, 1 for the
        unbiased estimate from a sample.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        Of the dtype of ``x``; float64 for integers and booleans.  Where n ≤ c it is NaN or
        infinite.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.var(sm.constant([1.0, 2.0, 6.0]), correction=1).eval()
    np.float64(7.0)
    """
    return apply(Var(as_axis(axis), bool(keepdims), _correction(correction, ddof)), as_node(x))


def _correction(correction: float, ddof: float | None) -> float:
    if ddof is None:
        return float(correction)
    if correction not in (0, ddof):
        raise GraphTypeError(
            f"correction is {correction} and ddof is {ddof}, but they mean the same",
            remedy="Give one of them.",
        )
    return float(ddof)


def _var(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    shape = np.shape(x)
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
    if math.prod(shape[axis] for axis in axes) > correction and np.size(x):
        return np.var(x, axis=axis, keepdims=keepdims, correction=correction)
    squares = np.square(x - _mean(x, axis, keepdims=True))  # NumPy would print a warning
    return np.divide(np.sum(squares, axis=axis, keepdims=keepdims), 0.0)


def _std(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    return np.sqrt(_var(x, axis, keepdims, correction))


class Var(Reduction):
    """y = Σ_j d_j² / m with d = x − mean(x) and m = n − c: see :func:`var`.

    ∂y/∂x_j = 2 d_j / m: the mean moves too, but that adds a multiple of Σ_j d_j, which is 0.
    """

    correction: float = 0

    name = "var"
    numpy = staticmethod(_var)
    samples = (
        Sample(lambda x: var(x), [reals(3, 2)]),
        Sample(lambda x: var(x, axis=0, correction=1), [reals(4, 2)], label="axis"),
        Sample(lambda x: var(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: var(x, axis=-1, correction=0.5), [reals(2, 3)], label="correction"),
        Sample(lambda x: var(x), [reals()], label="scalar"),
        Sample(lambda x: var(x), [fixed([2.0, 2.0, 2.0])], label="no spread"),
        Sample(lambda x: var(x, axis=0), [integers(3, 2)], label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        x = cast(inputs[0], self.result_dtype(inputs[0].dtype))
        middle = _share(sum(x, self.axis, keepdims=True), x, self.axis)
        if middle is None:
            return None
        total = sum(call("square", x - middle), self.axis, keepdims=self.keepdims)
        return _share(total, x, self.axis, self.correction)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        deviations = x - mean(x, self.axis, keepdims=True)
        return v * (2 / element_count(x, self.axis, self.correction)) * deviations


@register
def std(
    x: Operand,
    axis: Any = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Node:
    """Return the standard deviation of the elements of ``x`` along ``axis``: the root of ``var``.

    Where all elements are equal the function has a kink, as the absolute value has at 0: the
    derivative is taken to be 0 there, which is a subgradient, instead of 0 / 0.

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    correction : float
        What is taken from the number of elements; see :func:`var`.
    keepdims : bool
        Keep the reduced axes, of size 1.
    ddof : float, optional
        NumPy's other name for ``correction``.

    Returns
    -------
    Node
        Of the dtype of ``x``; float64 for integers and booleans.  Where there are no more elements
        than ``correction`` it is NaN or infinite.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.std(x)
    >>> y.eval({x: [1.0, 3.0]})
    np.float64(1.0)
    >>> sm.gradients(y, x).eval({x: [2.0, 2.0]})
    array([0., 0.])
    """
    return apply(Std(as_axis(axis), bool(keepdims), _correction(correction, ddof)), as_node(x))


class Std(Reduction):
    """y = √(Σ_j d_j² / m) with d = x − mean(x) and m = n − c: see :func:`std`.

    ∂y/∂x_j = d_j / (m y).
    """

    correction: float = 0

    name = "std"
    numpy = staticmethod(_std)
    samples = (
        Sample(lambda x: std(x), [reals(3, 2)]),
        Sample(lambda x: std(x, axis=0, correction=1), [reals(4, 2)], label="axis"),
        Sample(lambda x: std(x, axis=(0, 2), keepdims=True), [reals(3, 1, 2)], label="keepdims"),
        Sample(lambda x: std(x, axis=-1, ddof=0.5), [reals(2, 3)], label="correction"),
        Sample(lambda x: std(x), [reals()], order=0, label="special: scalar"),
        Sample(lambda x: std(x), [fixed([2.0, 2.0])], order=0, label="special: no spread"),
        Sample(lambda x: std(x), [integers(3, 2)], label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        variance = Var(self.axis, self.keepdims, self.correction).decompose(*inputs)
        return None if variance is None else call("sqrt", variance)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        deviations = x - mean(x, self.axis, keepdims=True)
        # Dividing by infinity makes the derivatives of every order 0 where there is no spread.
        divisor: Node = call("where", call("equal", y, 0), np.inf, y)
        return v / (element_count(x, self.axis, self.correction) * divisor) * deviations


class TruthReduction(Reduction):
    """Whether the elements are true: a boolean, without a derivative."""

    def differentiable(self, slot: int) -> bool:
        return False


@register
def any(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return whether an element of ``x`` along ``axis`` is true (is not zero).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of booleans; false for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.any(sm.constant([[True, False], [False, False]]), axis=1).eval()
    array([ True, False])
    """
    return apply(AnyTrue(as_axis(axis), bool(keepdims)), as_node(x))


class AnyTrue(TruthReduction):
    """See :func:`any`."""

    name = "any"
    numpy = np.any
    samples = (
        Sample(lambda x: any(x), [booleans(3, 2)]),
        Sample(lambda x: any(x, axis=(0, -1)), [booleans(3, 2, 2)], label="axes"),
        Sample(lambda x: any(x, axis=0, keepdims=True), [booleans(0, 2)], label="empty"),
        Sample(lambda x: any(x, axis=1), [integers(3, 2, low=0, high=2)], label="integers"),
        Sample(lambda x: any(x), [fixed([0.0, np.nan])], order=0, label="special: NaN is true"),
    )


@register
def all(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return whether all elements of ``x`` along ``axis`` are true (are not zero).

    Parameters
    ----------
    x : node, number or array
    axis : int or tuple of int, optional
        Along which axes; all unless given.  Negative axes count from the last.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of booleans; true for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.all(sm.constant([[True, False], [True, True]]), axis=1).eval()
    array([False,  True])
    """
    return apply(AllTrue(as_axis(axis), bool(keepdims)), as_node(x))


class AllTrue(TruthReduction):
    """See :func:`all`."""

    name = "all"
    numpy = np.all
    samples = (
        Sample(lambda x: all(x), [booleans(3, 2)]),
        Sample(lambda x: all(x, axis=-1, keepdims=True), [booleans(3, 2)], label="keepdims"),
        Sample(lambda x: all(x, axis=0), [booleans(0, 2)], label="empty"),
        Sample(lambda x: all(x, axis=1), [integers(3, 2, low=0, high=2)], label="integers"),
    )


class PositionReduction(Reduction):
    """The position of an element: an integer, without a derivative."""

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(self.axis, tuple):
            raise GraphTypeError(
                f"axis {self.axis} is a tuple, but a position is along one axis",
                remedy="Give one axis, or None for the position among all elements in order.",
            )
        _require_elements(x.shape, self.axis, self.name)
        return super().infer(*types)

    def differentiable(self, slot: int) -> bool:
        return False


@register
def argmax(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return the position of the largest element of ``x`` along ``axis``, the first of several.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Along which axis; unless given, among all elements in order.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of int64; it has no derivative.  A NaN counts as the largest.

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
        Along which axis; unless given, among all elements in order.
    keepdims : bool
        Keep the reduced axes, of size 1.

    Returns
    -------
    Node
        Of int64; it has no derivative.  A NaN counts as the smallest.

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
