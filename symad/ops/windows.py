"""Windows that slide over the last axes of an array: what convolutions and pooling read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, reals
from symad.ops.base import Linear, tensor_types
from symad.ops.batching import shape_of, stacked, zeros_of
from symad.types import (
    Dimension,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    compatible_shapes,
    format_shape,
)

Sizes = tuple[int, ...]


class _Sliding(Op):
    """Windows of ``sizes`` elements, ``steps`` apart, whose elements are ``gaps`` apart."""

    sizes: Sizes
    steps: Sizes
    gaps: Sizes

    def windows(self, x: TensorType) -> TensorType:
        """Return the type of the windows: their elements, then their positions, as last axes."""
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        rank = len(self.sizes)
        if len(x.shape) < rank:
            raise ShapeError(f"an array of shape {format_shape(x.shape)} has no {rank} last axes")
        lead, last = x.shape[: len(x.shape) - rank], x.shape[len(x.shape) - rank :]
        counts = map(_count, last, self.sizes, self.steps, self.gaps)
        return x.with_shape((*lead, *self.sizes, *counts))


def _count(dim: Dimension, size: int, step: int, gap: int) -> Dimension:
    """Return how many windows fit along an axis."""
    extent = gap * (size - 1) + 1
    if not isinstance(dim, int):
        return dim if extent == step == 1 else UnknownDim()
    if extent > dim:
        raise ShapeError(f"a window of {extent} elements does not fit into an axis of size {dim}")
    return (dim - extent) // step + 1


def _windows(x: Any, sizes: Sizes, steps: Sizes, gaps: Sizes) -> Any:
    rank = len(sizes)
    lead, inner = x.strides[: x.ndim - rank], x.strides[x.ndim - rank :]
    counts = map(_count, x.shape[x.ndim - rank :], sizes, steps, gaps)
    strides = (*map(int.__mul__, inner, gaps), *map(int.__mul__, inner, steps))
    shape = (*x.shape[: x.ndim - rank], *sizes, *counts)
    return np.lib.stride_tricks.as_strided(x, shape, lead + strides, writeable=False)


class Windows(Linear, _Sliding):
    """All windows of an array: element k of window p is x[p·step + k·gap]: a view."""

    name = "windows"
    elements = "moved"
    reads_all = False
    is_view = True
    sign = "as inputs"
    numpy = staticmethod(_windows)
    samples = (
        Sample(lambda x: apply(Windows((3,), (1,), (1,)), x), [reals(2, 5)]),
        Sample(lambda x: apply(Windows((2, 3), (2, 1), (1, 2)), x), [reals(2, 5, 7)], order=1,
               label="steps and gaps"),
        Sample(lambda x: apply(Windows((1,), (3,), (1,)), x), [reals(8)], label="not all"),
        Sample(lambda x: apply(Windows((2,), (1,), (1,)), x), [reals(0, 3)], label="empty"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        return self.windows(*tensor_types(*types))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(WindowSum(self.sizes, self.steps, self.gaps), adjoint, *inputs)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return apply(self, *inputs)


def _window_sum(v: Any, like: Any, sizes: Sizes, steps: Sizes, gaps: Sizes) -> Any:
    total = np.zeros(np.shape(like), v.dtype)
    for place, index in places(sizes, steps, gaps, v.shape[v.ndim - len(sizes) :]):
        total[index] += v[place]
    return total


def places(sizes: Sizes, steps: Sizes, gaps: Sizes, counts: Sizes) -> Iterator[tuple[Any, Any]]:
    """Yield, for each element of a window, its subscript in windows and that in the array."""
    for place in itertools.product(*map(range, sizes)):
        starts = [k * gap for k, gap in zip(place, gaps, strict=True)]
        ends = [a + step * (n - 1) + 1 for a, step, n in zip(starts, steps, counts, strict=True)]
        inside = (..., *place, *[slice(None)] * len(sizes))
        yield inside, (..., *map(slice, starts, ends, steps))


class WindowSum(Linear, _Sliding):
    """Add windows up in an array of the shape of ``like``: the transpose of :class:`Windows`."""

    name = "window_sum"
    elements = "added"
    fills_all = False
    sign = "as inputs"
    numpy = staticmethod(_window_sum)
    samples = (
        Sample(lambda v, x: apply(WindowSum((3,), (1,), (1,)), v, x),
               [reals(2, 3, 3), reals(2, 5)]),
        Sample(lambda v, x: apply(WindowSum((2, 3), (2, 1), (1, 2)), v, x),
               [reals(2, 3, 2, 3), reals(5, 7)], order=1, label="steps and gaps"),
        Sample(lambda v, x: apply(WindowSum((2,), (1,), (1,)), v, x), [reals(0, 2, 2), reals(0, 3)],
               label="empty"),
    )  # fmt: skip

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reads(self, slot: int) -> bool:
        return slot != 1

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[0].size)

    def infer(self, *types: Any) -> Type:
        v, like = tensor_types(*types)
        expected = self.windows(like)
        if not compatible_shapes(v.shape, expected.shape):
            raise ShapeError(f"{v} are not the windows of {like}, which are {expected}")
        return TensorType(v.dtype, like.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(Windows(self.sizes, self.steps, self.gaps), adjoint)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        v, _ = stacked(batched, inputs)
        return apply(self, v, zeros_of(shape_of(v)[0], out))
