"""The softmax family: logsumexp, softmax and log_softmax, computed without overflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from symad.graph.cost import ELEMENTARY
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import Op, call
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.ops.adjoint import cast, stop_gradient
from symad.ops.base import Operand, as_node, float_dtype, register, tensor_types, wide_dtype
from symad.ops.batching import from_end, shape_of, stacked
from symad.ops.reduce import Axis, Reduction, Sum, as_axis, sum
from symad.types import TensorType, Type, UnknownShape, normalize_axes


def _floating(x: Operand) -> Node:
    """Return ``x`` as a floating node: integers and booleans become float64."""
    node = as_node(x)
    return cast(node, float_dtype(node.dtype))


def _wide(x: Node) -> Node:
    """Return ``x`` in the dtype in which its elements are summed."""
    return cast(x, wide_dtype(x.dtype))


_LARGE = fixed([[1000.0, 999.0, -1000.0], [-1e4, -1e4, -2e4]])
_MASKED = fixed([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, -np.inf]])
_INFINITE = fixed([[1.0, np.inf, -np.inf], [np.nan, 1.0, np.inf]])


def _scipy(function: str) -> Any:
    """Return SciPy's function of that name along the last axis."""

    def reference(x: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, function)(x, axis=-1)

    return reference


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(x - shift), axis=axis, keepdims=True, dtype=wide_dtype(x.dtype))
    result = (np.log(total) + shift).astype(x.dtype)
    return result if keepdims else np.squeeze(result, axis=axis)[()]


@register
def logsumexp(x: Operand, axis: Any = None, *, keepdims: bool = False) -> Node:
    """Return ln Σ exp(x) along ``axis``, without overflow.

    The largest element is factored out first: m + ln Σ exp(x − m).  The derivative is
    ``softmax(x)``.  Where all elements are −∞, the result is −∞ and the derivative is defined as
    zero, so that a fully masked row does not cause a NaN.  Where one is +∞, the result is +∞, and
    the derivative with respect to that element is NaN.

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
        It has the dtype of ``x``; float64 for integers and booleans.  It is −∞ for no elements.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.logsumexp(sm.constant([[0.0, 0.0], [1000.0, 0.0]]), axis=1).eval()
    array([6.93147181e-01, 1.00000000e+03])
    """
    return apply(LogSumExp(as_axis(axis), bool(keepdims)), _floating(x))


class LogSumExp(Reduction):
    """y = ln Σ_j exp x_j, whose derivative is the softmax: see :func:`logsumexp`."""

    name = "logsumexp"
    has_poles = True
    domain = "The logarithm of a sum of no elements is −∞: check the sizes that are fed."
    in_expressions = True
    finite_slopes = True
    operations = ELEMENTARY + 3
    numpy = staticmethod(_logsumexp)
    samples = (
        Sample(lambda x: logsumexp(x), [reals(3, 2)], lambda x: np.log(np.sum(np.exp(x)))),
        Sample(lambda x: logsumexp(x, axis=-1), [reals(3, 4)], _scipy("logsumexp"), label="axis"),
        Sample(
            lambda x: logsumexp(x, axis=(0, -1), keepdims=True),
            [reals(2, 3, 2)],
            lambda x: np.log(np.sum(np.exp(x), axis=(0, 2), keepdims=True)),
            label="keepdims",
        ),
        Sample(lambda x: logsumexp(x), [reals()], lambda x: x, label="scalar"),
        Sample(lambda x: logsumexp(x, axis=1), [reals(0, 2)], label="empty"),
        Sample(
            lambda x: logsumexp(x, axis=1),
            [reals(2, 0)],
            lambda x: np.full(2, -np.inf, x.dtype),
            order=0,
            label="special: of nothing",
        ),
        Sample(lambda x: logsumexp(x, axis=1), [_LARGE], _scipy("logsumexp"), label="large"),
        Sample(
            lambda x: logsumexp(x, axis=1),
            [_MASKED],
            _scipy("logsumexp"),
            order=0,
            label="special: masked",
        ),
        Sample(
            lambda x: logsumexp(x, axis=1),
            [_INFINITE],
            lambda x: np.array([np.inf, np.nan], x.dtype),
            order=0,
            label="special: infinite",
        ),
        Sample(lambda n: logsumexp(n), [integers(3)], _scipy("logsumexp"), label="integers"),
    )

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return dtype

    def decompose(self, *inputs: Node) -> Node | None:
        shift, _, total = _shifted_sum(inputs[0], self.axis)
        result = cast(call("log", total) + shift, inputs[0].dtype)
        (type_,) = tensor_types(self.infer(inputs[0].type))
        return result if self.keepdims else call("reshape", result, type_.shape)

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        return v * apply(LogSumExpSlope(self.axis), x)


def _shifted_sum(x: Node, axis: Axis) -> tuple[Node, Node, Node]:
    """Return a finite s near the largest x, exp(x − s), and the sum of these."""
    wide = _wide(x)
    largest = float(np.finfo(wide.dtype).max)  # finite even with an infinity in x
    shift: Node = call("clip", call("max", wide, axis, keepdims=True), -largest, largest)
    exponentials: Node = call("exp", wide - shift)
    return shift, exponentials, sum(exponentials, axis, keepdims=True)


class Normalized(Op):
    """An op that normalises elements along ``axis``; it keeps the shape."""

    axis: Axis

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        return call("any", active, self.axis, keepdims=True)

    active_output = active_input

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        whole = stacked(batched, inputs)
        ndim = len(shape_of(whole[0])) - 1
        if not ndim:
            columns = [call("expand_dims", x, -1) for x in whole]
            return call("squeeze", apply(self.with_attributes(axis=-1), *columns), -1)
        return apply(self.with_attributes(axis=from_end(self.axis, ndim)), *whole)
    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return np.broadcast_to(sets.along(labels[0], self.axis), labels[0].shape)

    def flops(self, result: Any, *types: Any) -> int:
        # The maximum, the difference for each element, its exponential, their sum, and the
        # quotient.
        return (ELEMENTARY + 4) * int(result.size)

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            normalize_axes(self.axis, len(x.shape))
        return x


def _at_largest(v: Any, y: Any, axis: Any) -> Any:
    top = np.max(y, axis=axis, keepdims=True, initial=-np.inf)
    return np.max(np.where(y == top, v, -np.inf), axis=axis, keepdims=True, initial=-np.inf)


class AtLargest(Normalized):
    """The element of v where y is largest along ``axis``; for ties, the largest such element.

    It has no derivative, because the expression that subtracts it does not depend on it.
    """

    name = "at_largest"
    numpy = staticmethod(_at_largest)
    samples = (
        Sample(
            lambda v, y: apply(AtLargest(1), as_node(v), as_node(y)),
            [fixed([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), fixed([[0.1, 0.8, 0.1], [0.4, 0.2, 0.4]])],
            lambda v, y: np.array([[2.0], [6.0]], v.dtype),
            order=0,
        ),
    )

    def infer(self, *types: Any) -> Type:
        v, y = tensor_types(*types)
        kept = Sum(self.axis, True).infer(y)
        assert isinstance(kept, TensorType)
        return TensorType(v.dtype, kept.shape)

    def differentiable(self, slot: int) -> bool:
        return False

    def decompose(self, *inputs: Node) -> Node | None:
        v, y = inputs
        is_largest = call("equal", y, call("max", y, self.axis, keepdims=True))
        result: Node = call("max", call("where", is_largest, v, -np.inf), self.axis, keepdims=True)
        return result


def _softmax(x: Any, axis: Any) -> Any:
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    exponentials = np.exp(x - top)
    total = np.sum(exponentials, axis=axis, keepdims=True, dtype=wide_dtype(x.dtype))
    return (exponentials / total).astype(x.dtype, copy=False)


@register
def softmax(x: Operand, axis: Any = -1) -> Node:
    """Return exp(x) / Σ exp(x) along ``axis``: positive numbers that add up to 1.

    The largest element is subtracted first, so that nothing overflows.  An element −∞ gives 0; a
    row of only −∞ gives NaN, and so does a row with +∞ or NaN.  These are SciPy's conventions.

    Parameters
    ----------
    x : node, number or array
    axis : int, tuple of int or None
        By default the last axis; ``None`` for all.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``; float64 for integers and booleans.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.softmax(sm.constant([1000.0, 1000.0])).eval()
    array([0.5, 0.5])
    """
    return apply(Softmax(as_axis(axis)), _floating(x))


class Softmax(Normalized):
    """y_j = exp x_j / Σ_i exp x_i: see :func:`softmax`.

    The Jacobian ∂y_i/∂x_j = y_i (δ_ij − y_j) is symmetric, so one formula serves both modes: y (v −
    Σ v y).  Because the y sum to 1, a constant may be subtracted from v first.  This is the v of
    the largest y: otherwise, a y near 1 would get the difference of nearly equal numbers.
    """

    name = "softmax"
    in_expressions = True
    sign = "nonnegative"
    domain = "The softmax of a row of only −∞ is undefined: leave one element unmasked."
    finite_slopes = True
    numpy = staticmethod(_softmax)
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(lambda x: softmax(x), [reals(3, 4)], _scipy("softmax")),
        Sample(
            lambda x: softmax(x, axis=0),
            [reals(3, 2)],
            lambda x: np.exp(x) / np.exp(x).sum(0),
            label="axis",
        ),
        Sample(
            lambda x: softmax(x, axis=(0, 2)),
            [reals(2, 3, 2)],
            lambda x: np.exp(x) / np.exp(x).sum((0, 2), keepdims=True),
            label="axes",
        ),
        Sample(
            lambda x: softmax(x, axis=None),
            [reals(2, 2)],
            lambda x: np.exp(x) / np.exp(x).sum(),
            label="all axes",
        ),
        Sample(lambda x: softmax(x), [reals(3, 1)], np.ones_like, label="one element"),
        Sample(lambda x: softmax(x), [reals(2, 0)], label="empty"),
        Sample(lambda x: softmax(x), [_LARGE], _scipy("softmax"), label="large"),
        special_points(lambda x: softmax(x), [_MASKED], _scipy("softmax")),
        Sample(lambda x: softmax(x), [_INFINITE], _scipy("softmax"), order=0, label="special: inf"),
        Sample(lambda n: softmax(n), [integers(3)], _scipy("softmax"), label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        x = _wide(inputs[0])
        exponentials: Node = call("exp", x - call("max", x, self.axis, keepdims=True))
        result = exponentials * (1 / sum(exponentials, self.axis, keepdims=True))
        return cast(result, inputs[0].dtype)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        v = adjoint - apply(AtLargest(self.axis), adjoint, out)
        return out * (v - sum(_wide(v * out), self.axis, keepdims=True))

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return self.reverse(slot, tangent, out, *inputs)


def _logsumexp_slope(x: Any, axis: Any) -> Any:
    wide = np.asarray(x, wide_dtype(x.dtype))
    largest = np.finfo(wide.dtype).max  # finite even with an infinity in x
    top = np.clip(np.max(wide, axis=axis, keepdims=True, initial=-np.inf), -largest, largest)
    exponentials = np.exp(wide - top)
    total = np.sum(exponentials, axis=axis, keepdims=True)
    return (exponentials / np.where(total == 0, 1, total)).astype(x.dtype, copy=False)


class LogSumExpSlope(Softmax):
    """The derivative of logsumexp: :func:`softmax`, but 0 for elements that are all −∞.

    Where an element is +∞, only that element is NaN.
    """

    name = "logsumexp_slope"
    in_expressions = False
    numpy = staticmethod(_logsumexp_slope)
    samples = (
        Sample(lambda x: apply(LogSumExpSlope(-1), x), [reals(3, 4)], _scipy("softmax")),
        Sample(
            lambda x: apply(LogSumExpSlope(1), x), [_MASKED],
            lambda x: np.stack([_softmax(x[0], -1), np.zeros_like(x[1])]), order=0,
            label="special: masked",
        ),
        Sample(
            lambda x: apply(LogSumExpSlope(1), x), [_INFINITE],
            lambda x: np.array([[0, np.nan, 0], [np.nan] * 3], x.dtype), order=0,
            label="special: infinite",
        ),
    )  # fmt: skip

    def decompose(self, *inputs: Node) -> Node | None:
        _, exponentials, total = _shifted_sum(inputs[0], self.axis)
        divisor: Node = call("where", call("equal", total, 0), 1, total)
        return cast(exponentials / divisor, inputs[0].dtype)


def _log_softmax(x: Any, axis: Any) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    total = np.sum(np.exp(shifted), axis=axis, keepdims=True, dtype=wide_dtype(x.dtype))
    return (shifted - np.log(total)).astype(x.dtype, copy=False)


@register
def log_softmax(x: Operand, axis: Any = -1) -> Node:
    """Return x − ln Σ exp(x) along ``axis``: the logarithm of :func:`softmax`, computed without
    loss.

    The largest element is subtracted first, so that nothing overflows, and no logarithm of an
    underflowed probability is taken.  An element −∞ gives −∞; a row of only −∞ gives NaN.

    Parameters
    ----------
    x : node, number or array
    axis : int, tuple of int or None
        By default the last axis; ``None`` for all.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``; float64 for integers and booleans.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log_softmax(sm.constant([0.0, 1000.0])).eval()
    array([-1000.,     0.])
    """
    return apply(LogSoftmax(as_axis(axis)), _floating(x))


class LogSoftmax(Normalized):
    """y_j = x_j − ln Σ_i exp x_i, with x̄_j = ȳ_j − exp(y_j) Σ_i ȳ_i: see :func:`log_softmax`.

    The x̄ add up to 0, and so does the change of exp(y).  Where exp(y) is nearly 1, this gives the
    digits that are lost in a difference from 1.
    """

    name = "log_softmax"
    in_expressions = True
    domain = "A row of only −∞ has no log_softmax: leave one element unmasked."
    finite_slopes = True
    numpy = staticmethod(_log_softmax)
    samples = (
        Sample(lambda x: log_softmax(x), [reals(3, 4)], _scipy("log_softmax")),
        Sample(
            lambda x: log_softmax(x, axis=0),
            [reals(3, 2)],
            lambda x: x - np.log(np.exp(x).sum(0)),
            label="axis",
        ),
        Sample(
            lambda x: log_softmax(x, axis=(0, 2)),
            [reals(2, 3, 2)],
            lambda x: x - np.log(np.exp(x).sum((0, 2), keepdims=True)),
            label="axes",
        ),
        Sample(
            lambda x: log_softmax(x, axis=None),
            [reals(2, 2)],
            lambda x: x - np.log(np.exp(x).sum()),
            label="all axes",
        ),
        Sample(lambda x: log_softmax(x), [reals(3, 1)], np.zeros_like, label="one element"),
        Sample(lambda x: log_softmax(x), [reals(2, 0)], label="empty"),
        Sample(lambda x: log_softmax(x), [_LARGE], _scipy("log_softmax"), label="large"),
        special_points(
            lambda x: log_softmax(x),
            [_MASKED],
            lambda x: np.where(
                np.isfinite(x[:, :1]), x - np.log(np.e + np.exp(2.0)), np.nan
            ).astype(x.dtype),
        ),
        Sample(lambda n: log_softmax(n), [integers(3)], _scipy("log_softmax"), label="integers"),
    )

    def decompose(self, *inputs: Node) -> Node | None:
        x = _wide(inputs[0])
        shifted = x - call("max", x, self.axis, keepdims=True)
        total = sum(call("exp", shifted), self.axis, keepdims=True)
        return cast(shifted - call("log", total), inputs[0].dtype)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        probabilities: Node = call("exp", out)
        first = adjoint - probabilities * sum(_wide(adjoint), self.axis, keepdims=True)
        rest = sum(_wide(first), self.axis, keepdims=True)
        return first - stop_gradient(call("where", probabilities > 0.5, rest, 0))

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        probabilities: Node = call("exp", out)
        v = tangent - apply(AtLargest(self.axis), tangent, out)
        return v - sum(_wide(probabilities * v), self.axis, keepdims=True)
