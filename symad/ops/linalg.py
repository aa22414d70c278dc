"""Norms and traces."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.graph import Graph
from symad.graph.node import Node, apply, reporting
from symad.graph.op import call, explained
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.ops import product
from symad.ops.adjoint import cast, stop_gradient
from symad.ops.arithmetic import abs as magnitude
from symad.ops.arithmetic import direction
from symad.ops.base import (
    Operand,
    as_node,
    float_dtype,
    register,
    tensor_types,
    wide_dtype,
)
from symad.ops.body import placeholder
from symad.ops.comparison import equal, not_equal, where
from symad.ops.extremum import max as largest
from symad.ops.extremum import min as smallest
from symad.ops.factorisation import svdvals
from symad.ops.nn import Normalized
from symad.ops.permute import matrix_transpose, moveaxis
from symad.ops.reduce import Axis, Reduction, as_axis
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims
from symad.types import UnknownShape, normalize_axes


@explained
def trace(
    x: Operand, offset: int = 0, axis1: int = -2, axis2: int = -1, *, dtype: Any = None
) -> Node:
    """Return the trace of matrices: the sum along their diagonal.

    Like ``np.trace(x)``, but by default for the last two axes.

    Parameters
    ----------
    x : node or array
    offset : int
        Which diagonal: 0 is the main one, positive ones are above it.
    axis1, axis2 : int
        The axes of the rows and the columns.
    dtype : dtype, optional
        That in which to sum; by default that of ``x``, and int64 or uint64 for small integers.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.trace(sm.Variable("x", shape=("batch", 3, 3))).type
    f64[batch]
    """
    if dtype is not None:
        return cast(product.trace(cast(x, dtype), offset, axis1, axis2), dtype)
    return product.trace(x, offset, axis1, axis2)


def _root_of_squares(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    dtype = float_dtype(np.asarray(x).dtype)
    wide = wide_dtype(dtype)
    total = np.sum(np.square(x, dtype=wide), axis=axis, keepdims=keepdims)
    limits = np.finfo(wide)
    if np.all((limits.tiny / limits.eps < total) & (total < np.inf)):
        return np.sqrt(total).astype(dtype)
    # Where squares overflow or lose digits, the numbers are first scaled to at most 1.
    size = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    scale = np.where((size > 0) & (size < np.inf), size, 1).astype(wide)
    total = np.sum(np.square(x / scale), axis=axis, keepdims=True)
    result = np.sqrt(total) * scale
    return (result if keepdims else np.squeeze(result, axis=axis)).astype(dtype)[()]


class EuclideanNorm(Reduction):
    """The root of the sum of squares, y = √Σ x_j²: see :func:`norm`.

    ∂y/∂x_j = x_j / y.  At zero, where the norm has a kink, the derivative is 0, which is the
    subgradient of least size, and the second derivatives are NaN.
    """

    name = "norm"
    in_expressions = True
    sign = "nonnegative"
    derivative_domain = "The norm has a kink at 0: square it, or mask it with sm.where."
    operations = 2
    numpy = staticmethod(_root_of_squares)
    latex = r"\left\| {0} \right\|"
    samples = (
        Sample(lambda x: norm(x), [reals(3)], np.linalg.norm),
        Sample(lambda x: norm(x), [reals(2, 3)], np.linalg.norm, label="matrix"),
        Sample(lambda x: norm(x), [reals()], np.abs, label="scalar"),
        Sample(
            lambda x: norm(x, axis=1, keepdims=True),
            [reals(2, 3)],
            lambda x: np.linalg.norm(x, axis=1, keepdims=True),
            label="axis",
        ),
        Sample(
            lambda x: norm(x, "fro", axis=(0, -1)),
            [reals(2, 3, 2)],
            lambda x: np.linalg.norm(x, "fro", axis=(0, -1)),
            label="axes",
        ),
        Sample(lambda x: norm(x), [reals(0)], np.linalg.norm, order=0, label="empty"),
        Sample(lambda x: norm(x) * 0.5, [integers(3)], label="integers"),
        special_points(
            lambda x: norm(x, axis=1),
            [fixed([[0.0, -0.0], [np.inf, 1.0], [np.nan, 1.0]])],
            lambda x: np.linalg.norm(x, axis=1),
        ),
    )

    def chain(self, v: Node, y: Node, x: Node) -> Node:
        return v * apply(UnitLength(self.axis), direction(x, y))

    def decompose(self, *inputs: Node) -> Node | None:
        """Take the root of the sum of squares, unless squares overflow or lose digits."""
        dtype = float_dtype(inputs[0].dtype)
        x = cast(inputs[0], wide_dtype(dtype))
        total = self._total(x)
        root = call("sqrt", total)
        if x.dtype == dtype:  # squares of float16 are normal numbers in float32
            limits = np.finfo(x.dtype)
            is_plain = (total > limits.tiny / limits.eps) & (total < np.inf)
            if total.type.size == 1 and x.type.size >= _MANY:
                root = self._chosen(is_plain, total, x)
            else:
                root = where(is_plain, root, self._of_multiples(total, x))
        root = cast(root, dtype)
        (type_,) = tensor_types(self.infer(inputs[0].type))
        return root if self.keepdims else call("reshape", root, type_.shape)

    def _total(self, x: Node) -> Node:
        return sum_of(x * x, self.axis, keepdims=True)

    def _of_multiples(self, total: Node, x: Node) -> Node:
        """Return the norm, computed from that of multiples, whose squares are normal."""
        little, less, more = _MULTIPLES[x.dtype.itemsize]
        large = where(magnitude(x) < little, 0, x * less)
        roots = [call("sqrt", self._total(part)) for part in (x * more, large)]
        return where(total < 1, roots[0] * (1 / more), roots[1] * (1 / less))

    def _chosen(self, is_plain: Node, total: Node, x: Node) -> Node:
        """Return the root of the sum of squares, or the norm by multiples, only one of the two."""
        from symad.ops.branch import Branch

        leaves = placeholder(total), placeholder(x)
        results = self._of_multiples(*leaves), call("sqrt", leaves[0])
        index = cast(call("reshape", is_plain, ()), np.dtype("int64"))
        branches = tuple([Graph([result], leaves) for result in results])
        return apply(Branch(branches), index, total, x)


_MANY = 4096
"""For so many numbers a choice costs less than what it leaves out."""
_MULTIPLES = {4: (2.0**30, 2.0**-80, 2.0**100), 8: (2.0**300, 2.0**-600, 2.0**600)}
"""Numbers that are too small to count beside those whose squares are too large, a factor for these,
and one for numbers whose squares are too small; by the bytes of a number.
"""


_MOST_OF_IT = 0.75
"""Of the sum of squares, 1: rounding apart, only one of them is more."""


class UnitLength(Normalized):
    """d as it is, which has length 1 along ``axis``, as x/y has where y is the norm of x.

    Its tangents v are perpendicular to it.  So where one d_m is near ±1, v_m is
    -Σ_{j≠m} v_j d_j/d_m, which is exact where v_m is the difference of nearly equal numbers.  The
    transpose of this map subtracts from an adjoint the multiple of d that leaves 0 at d_m.
    """

    name = "unit_length"
    is_view = finite_slopes = True
    numpy = staticmethod(lambda d, axis: d)
    latex = text = "{0}"
    samples = (
        Sample(lambda x: _over_norm(x, None), [reals(3)], lambda x: x / np.linalg.norm(x)),
        Sample(lambda x: _over_norm(x, 1), [reals(2, 3)],
               lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), label="axis"),
        Sample(lambda x: _over_norm(x, None), [reals()], np.sign, order=0, label="scalar"),
    )  # fmt: skip

    def flops(self, result: Any, *types: Any) -> int:
        return 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        is_large = out * out > _MOST_OF_IT
        multiple = sum_of(where(is_large, adjoint / out, 0), self.axis, keepdims=True)
        return where(is_large, 0, adjoint - multiple * out)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        is_large = out * out > _MOST_OF_IT
        others = sum_of(where(is_large, 0, tangent * out), self.axis, keepdims=True)
        return where(is_large, -others / out, tangent)

    def specialise(self, *inputs: Node) -> Node | None:
        return inputs[0]


def _over_norm(x: Node, axis: Axis) -> Node:
    return apply(UnitLength(axis), x / norm(x, axis=axis, keepdims=True))


@explained
def norm(x: Operand, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Node:
    """Return the norm of vectors or matrices.

    Parameters
    ----------
    x : Node or array
    ord : {None, 1, 2, inf, -inf, "fro", "nuc", -1, -2} or float
        By default the root of the sum of all squares.  For vectors: any number p,
        (Σ abs(x_j)^p)^(1/p); ±inf is the largest or smallest magnitude, 0 the number of elements
        that are not 0.  For matrices: ±1 is
        the largest or smallest sum of magnitudes of a column, ±inf of a row, ±2 the largest or
        smallest singular value, "fro" the root of the sum of squares, "nuc" the sum of singular
        values.
    axis : int or tuple of int, optional
        One axis for vectors, two for matrices (the rows along the first); by default all.
    keepdims : bool
        Keep the axes, of size 1.

    Returns
    -------
    Node

    Raises
    ------
    GraphTypeError
        If there is no such ``ord``.
    ShapeError
        If an axis does not exist, or ``ord`` is given without one or two axes.

    Notes
    -----
    Where a norm has a kink, the derivative is one of the subgradients: 0 for the root of squares at
    zero (not NaN), and for magnitudes and maxima those of :func:`symad.abs` and :func:`symad.max`.
    Squares overflow above 1e154 and vanish below 1e-162, as in NumPy.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> sm.linalg.norm(x).eval({x: [3.0, 4.0]})
    np.float64(5.0)
    >>> sm.gradients(sm.linalg.norm(x), x).eval({x: [0.0, 0.0]})
    array([0., 0.])
    """
    node = as_node(x)
    if ord is None:
        return apply(EuclideanNorm(as_axis(axis), bool(keepdims)), node)
    with reporting("norm", node):
        axes = _norm_axes(node, axis)
        if len(axes) == 1:
            return vector_norm_of(node, ord, axes, keepdims)
        return matrix_norm_of(node, ord, axes, keepdims)


def _norm_axes(x: Node, axis: Any) -> tuple[int, ...]:
    """Return the one or two axes of the vectors or matrices, in the given order."""
    wanted = as_axis(axis)
    if wanted is None:
        if x.ndim is None:
            raise ShapeError(
                "the number of axes of the operand must be known",
                remedy="Declare it, or name the axes: norm(x, ord, axis=-1).",
            )
        wanted = tuple(range(x.ndim))
    axes = wanted if isinstance(wanted, tuple) else (wanted,)
    if x.ndim is not None:
        normalize_axes(axes, x.ndim)
    if len(axes) not in (1, 2):
        raise ShapeError(
            f"ord= needs vectors or matrices, not {len(axes)} axes",
            remedy="Name one axis or two: norm(x, ord, axis=-1).",
        )
    return axes


def vector_norm_of(x: Node, ord: Any, axis: Axis, keepdims: bool) -> Node:
    """Return the norm of vectors along one axis or several: see :func:`norm`."""
    if ord == 2:
        return apply(EuclideanNorm(axis, bool(keepdims)), x)
    x = x if tensor_types(x.type)[0].is_float else cast(x, "float64")
    if ord == 0:
        return cast(sum_of(not_equal(x, 0), axis, keepdims=keepdims), x.dtype)
    reductions = {1: sum_of, np.inf: largest, -np.inf: smallest}
    if ord in reductions:
        return reductions[ord](magnitude(x), axis, keepdims=keepdims)
    if not isinstance(ord, (int, float, np.number)):
        raise GraphTypeError(f"{ord!r} is not an order of a vector norm", remedy=_ORDERS)
    wide = cast(x, wide_dtype(x.dtype))  # a float16 cannot represent powers of small fractions
    return cast(_p_norm(wide, float(ord), axis, bool(keepdims)), x.dtype)


def _p_norm(x: Node, p: float, axis: Axis, keepdims: bool) -> Node:
    """Return m (Σ |x_j / m|^p)^(1/p), where no power overflows, for a constant m.

    Where the sum is 0, the Euclidean norm has the same value and the same kink.
    """
    op, sizes = EuclideanNorm(axis, keepdims), magnitude(x)
    if _has_no_elements(x, axis):
        return sum_of(sizes**p, axis, keepdims=keepdims) ** (1 / p)
    scale = stop_gradient((smallest if p < 0 else largest)(sizes, axis, keepdims=keepdims))
    scale = where((scale > 0) & (scale < np.inf), scale, 1)
    total = sum_of((sizes / op.spread(scale)) ** p, axis, keepdims=keepdims)
    is_zero = equal(total, 0)
    return where(is_zero, apply(op, x), scale * where(is_zero, 1, total) ** (1 / p))


def _has_no_elements(x: Node, axis: Axis) -> bool:
    """Return whether vectors are known to be empty."""
    (type_,) = tensor_types(x.type)
    known = () if isinstance(type_.shape, UnknownShape) else type_.shape
    return bool(known) and any(known[one] == 0 for one in normalize_axes(axis, len(known)))


def matrix_norm_of(x: Node, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Node:
    """Return the norm of matrices in two axes: see :func:`norm`."""
    rows, columns = axes
    if ord == "fro":
        return apply(EuclideanNorm(axes, bool(keepdims)), x)
    sums: dict[Any, tuple[int, Any]] = {
        1: (rows, largest),
        -1: (rows, smallest),
        np.inf: (columns, largest),
        -np.inf: (columns, smallest),
    }
    if ord in sums:
        summed, reduction = sums[ord]
        totals = sum_of(magnitude(x), summed, keepdims=True)
        result: Node = reduction(totals, axes, keepdims=keepdims)
        return result
    spectral = {2: largest, -2: smallest, "nuc": sum_of}
    if ord not in spectral:
        raise GraphTypeError(f"{ord!r} is not an order of a matrix norm", remedy=_ORDERS)
    result = spectral[ord](svdvals(moveaxis(x, axes, (-2, -1))), -1)
    return expand_dims(result, axes) if keepdims else result


_ORDERS = (
    'For vectors: any number, inf, -inf.  For matrices: 1, 2, inf, their negatives, "fro", "nuc".'
)

register(norm, "linalg.norm")
register(trace, "linalg.trace", in_expressions=True)
register(matrix_transpose, "linalg.matrix_transpose")
