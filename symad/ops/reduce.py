"""Reductions: sum, mean, products, extremes, spread, and what only looks at truth or position.

A reduction whose derivative with respect to element j is a number of its own gives it once, in
:meth:`Reduction.chain`, and both modes follow: reverse mode multiplies it by the adjoint spread
back over the reduced axes, forward mode multiplies it by the tangent and sums.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import Op, resolve
from symad.graph.operators import call
from symad.graph.sample import Sample, integers, reals
from symad.ops.adjoint import broadcast_like
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


@dataclass(frozen=True)
class Reduction(Op):
    """An op that makes one number of all elements along some axes."""

    axis: Axis
    keepdims: bool

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
        raise NotImplementedError

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return self.chain(self.spread(adjoint), self.spread(out), inputs[0])

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        terms = self.chain(tangent, self.spread(out), inputs[0])
        return apply(Sum(self.axis, self.keepdims), terms)


@dataclass(frozen=True)
class Sum(Linear, Reduction):
    """See :func:`sum`."""

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
        Sample(lambda x: sum(x, axis=1) * 0.5, [integers(2, 3, dtype="int8")], label="integers"),
    )

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return broadcast_like(self.spread(adjoint), inputs[0])


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
