"""Shapes, dtypes and costs of ops on matrices and stacks of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, Op, call
from symad.graph.sample import Sample, fixed, reals, well_conditioned
from symad.ops.base import FixedLinear, tensor_types
from symad.ops.batching import stacked
from symad.ops.shape import expand_dims, squeeze
from symad.ops.structure import adjoint_items
from symad.types import Shape, StructureType, TensorType, Type, UnknownShape, format_shape


def factor_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which LAPACK computes with ``dtypes``: integers become float64.

    Raises
    ------
    GraphTypeError
        For float16, which LAPACK lacks.
    """
    joined = np.result_type(*dtypes)
    if joined == np.float16:
        raise GraphTypeError(
            "linear algebra has no float16", remedy="Cast first: x.astype('float32')."
        )
    return joined if joined.kind == "f" else np.dtype("float64")


def as_factors(*arrays: Any) -> list[Any]:
    """Return arrays in the dtype in which LAPACK computes with all of them."""
    dtype = factor_dtype(*[array.dtype for array in arrays])
    return [array.astype(dtype, copy=False) for array in arrays]


def require_matrix(shape: Shape) -> None:
    """Raise an error if ``shape`` has fewer than two axes."""
    if not isinstance(shape, UnknownShape) and len(shape) < 2:
        raise ShapeError(f"a matrix has two axes; this has {len(shape)}")


def require_square(shape: Shape) -> None:
    """Raise an error if ``shape`` is known not to be that of square matrices."""
    require_matrix(shape)
    if isinstance(shape, UnknownShape):
        return
    rows, columns = shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and rows != columns:
        raise ShapeError(f"a square matrix is needed; this is {format_shape(shape)}")


def square_type(*types: Type) -> TensorType:
    """Return the type of a square operand, in the dtype in which LAPACK computes."""
    (a,) = tensor_types(*types)
    require_square(a.shape)
    return a.with_dtype(factor_dtype(a.dtype))


def batch_of(shape: Shape, matrix_axes: int = 2) -> Shape:
    """Return ``shape`` without the axes of the matrix."""
    if isinstance(shape, UnknownShape):
        return UnknownShape.fresh()
    return shape[: len(shape) - matrix_axes]


def per_matrix(type_: Any, flops: Callable[[int, int], int]) -> int:
    """Return the operations on a stack of matrices, from the rows and columns of each.

    The counts of factorisations are those of Golub and Van Loan, "Matrix Computations", 4th edition
    (2013), without terms of lower order.
    """
    *batch, rows, columns = type_.shape
    count: int = math.prod(batch)
    return count * flops(rows, columns)


def over_matrices(x: Node) -> Node:
    """Return one number per matrix of a stack, shaped to broadcast to the matrices."""
    return expand_dims(x, (-2, -1))


class PerMatrix(Op):
    """An op on each matrix of a stack separately: a condition applies to whole matrices."""

    result_axes: ClassVar[tuple[int, ...]]
    """How many axes of each result belong to one matrix."""

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return apply(self, *stacked(batched, inputs))

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        single = isinstance(active.type, TensorType)
        items = [active] if single else adjoint_items(active, len(self.result_axes))
        pairs = zip(items, self.result_axes, strict=True)
        found = [_any_of_matrix(item, count) for item, count in pairs if item is not None]
        return reduce(lambda a, b: call("logical_or", a, b), found)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        (count,) = self.result_axes
        kept = call("any", active, axis=(-2, -1), keepdims=True)
        return kept if count == 2 else squeeze(kept, tuple(range(-2, -count)))

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        present = [array for array in labels if array is not None]
        each = sets.joined(*[sets.along(array, (-2, -1)) for array in present])
        if not isinstance(out.type, StructureType):
            return _per_matrix_labels(each, out.type, self.result_axes[0])
        fields = zip(out.type.fields, self.result_axes, strict=True)
        return {key: _per_matrix_labels(each, item, axes) for (key, item), axes in fields}


def _per_matrix_labels(each: Any, type_: Any, axes: int) -> Any:
    """Return the labels of a result that has ``axes`` axes for each matrix."""
    label = np.squeeze(each, tuple(range(axes - 2, 0)))
    return np.broadcast_to(label, type_.shape)


def _any_of_matrix(condition: Node, axes: int) -> Node:
    """Return whether a condition holds anywhere in the last ``axes``, for each matrix."""
    if axes:
        condition = call("any", condition, axis=tuple(range(-axes, 0)), keepdims=True)
    return condition if axes == 2 else expand_dims(condition, tuple(range(axes - 2, 0)))


def axes_of_matrix(op: Op, ranks: Sequence[int]) -> list[int]:
    """Return how many last axes of each input of an op on matrices belong to one matrix."""
    return [min(rank, 1 if slot in op.vectors else 2) for slot, rank in enumerate(ranks)]


def _nan_on_failure(*arrays: Any, op: Op) -> Any:
    """Return the result of ``op``, with NaN for each matrix of a stack for which it fails."""
    kernel = op.kernel()
    try:
        return kernel(*arrays)
    except np.linalg.LinAlgError:
        ranks = axes_of_matrix(op, [array.ndim for array in arrays])
        stacks = [x.shape[: x.ndim - rank] for x, rank in zip(arrays, ranks, strict=True)]
        batch = np.broadcast_shapes(*stacks)
        wide = [
            np.broadcast_to(x, (*batch, *x.shape[x.ndim - rank :]))
            for x, rank in zip(arrays, ranks, strict=True)
        ]
        each = [_or_nan(kernel, *[x[index] for x in wide]) for index in np.ndindex(batch)]
        if isinstance(each[0], tuple):
            return tuple(_stacked(items, batch) for items in zip(*each, strict=True))
        return _stacked(each, batch)


def _or_nan(kernel: Callable[..., Any], *arrays: Any) -> Any:
    try:
        return kernel(*arrays)
    except np.linalg.LinAlgError:
        harmless = [np.eye(*x.shape) if x.ndim == 2 else np.ones(x.shape) for x in arrays]
        made = kernel(*[x.astype(array.dtype) for x, array in zip(harmless, arrays, strict=True)])
        return tuple(x * np.nan for x in made) if isinstance(made, tuple) else made * np.nan


def _stacked(items: Sequence[Any], batch: tuple[int, ...]) -> Any:
    return np.reshape(items, (*batch, *np.shape(items[0])))


class NanOnFailure(Op):
    """An op on matrices that gives NaN instead of an error.

    :func:`symad.passes.failures.allow_failures` makes it after differentiation.
    """

    op: Op

    name = "nan_on_failure"
    numpy = staticmethod(_nan_on_failure)
    samples = (
        Sample(
            lambda a: apply(NanOnFailure(OP_CLASSES["inv"]()), a),
            [well_conditioned(2, 3, 3)],
            np.linalg.inv,
            order=0,
        ),
        Sample(
            lambda a: apply(NanOnFailure(OP_CLASSES["inv"]()), a),
            [fixed([[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]])],
            lambda a: np.array([[[1.0, 0.0], [0.0, 0.5]], [[np.nan] * 2] * 2], a.dtype),
            order=0,
            label="special",
        ),
    )

    def infer(self, *types: Any) -> Type:
        return self.op.infer(*types)

    def flops(self, result: Any, *types: Any) -> int:
        return self.op.flops(result, *types)

    def differentiable(self, slot: int) -> bool:
        return False

    def decompose(self, *inputs: Node) -> Node | None:
        made = self.op.decompose(*inputs)
        return None if made is None else rebuild(Graph([made], inputs), _with_nan).outputs[0]


def _with_nan(node: Node, inputs: tuple[Node, ...]) -> Node:
    if node.op is None or not node.op.may_fail:
        return replace_inputs(node, inputs)
    return apply(NanOnFailure(node.op), *inputs)


# A right-hand side that may be a vector


def _to_columns(x: Any, like: Any) -> Any:
    return np.expand_dims(x, -1) if np.ndim(like) == 1 else x


def _from_columns(x: Any, like: Any) -> Any:
    return np.squeeze(x, -1) if np.ndim(like) == 1 else x


class _ByRank(FixedLinear):
    """An op that adds or drops a last axis of size 1 if its second input is a vector."""

    elements = "moved"
    is_view = True

    def reads(self, slot: int) -> bool:
        return slot == 0

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, tangent, inputs[1])


class ToColumns(_ByRank):
    """Add a last axis of size 1 to ``x`` if ``like`` is a vector: columns to solve for."""

    name = "to_columns"
    numpy = staticmethod(_to_columns)
    samples = (
        Sample(lambda x, b: apply(ToColumns(), x, b), [reals(2, 3), reals(3)]),
        Sample(lambda x, b: apply(ToColumns(), x, b), [reals(2, 3), reals(2, 3)], label="matrix"),
    )

    def infer(self, *types: Any) -> Type:
        x, like = tensor_types(*types)
        if isinstance(x.shape, UnknownShape) or like.ndim is None:
            return x.with_shape(UnknownShape.fresh())
        return x.with_shape((*x.shape, 1) if like.ndim == 1 else x.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return from_columns(adjoint, inputs[1])

    def specialise(self, *inputs: Node) -> Node | None:
        return None if inputs[1].ndim is None else to_columns(*inputs)


class FromColumns(_ByRank):
    """Drop the last axis of ``x``, of size 1, if ``like`` is a vector."""

    name = "from_columns"
    numpy = staticmethod(_from_columns)
    samples = (
        Sample(lambda x, b: apply(FromColumns(), x, b), [reals(2, 3, 1), reals(3)]),
        Sample(lambda x, b: apply(FromColumns(), x, b), [reals(2, 1), reals(2, 1)], label="matrix"),
    )

    def infer(self, *types: Any) -> Type:
        x, like = tensor_types(*types)
        if isinstance(x.shape, UnknownShape) or like.ndim is None:
            return x.with_shape(UnknownShape.fresh())
        return x.with_shape(x.shape[:-1] if like.ndim == 1 else x.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return to_columns(adjoint, inputs[1])

    def specialise(self, *inputs: Node) -> Node | None:
        return None if inputs[1].ndim is None else from_columns(*inputs)


def to_columns(x: Node, like: Node) -> Node:
    """Return ``x`` with a last axis of size 1 if ``like`` is a vector, which may be unknown yet."""
    if like.ndim is None:
        return apply(ToColumns(), x, like)
    return expand_dims(x, -1) if like.ndim == 1 else x


def from_columns(x: Node, like: Node) -> Node:
    """Return ``x`` without its last axis, of size 1, if ``like`` is a vector."""
    if like.ndim is None:
        return apply(FromColumns(), x, like)
    return squeeze(x, -1) if like.ndim == 1 else x
