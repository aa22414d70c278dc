"""The convolution of two vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, integers, reals
from symad.ops.base import Multilinear, tensor_types
from symad.ops.batching import shape_of
from symad.ops.einsum import Einsum
from symad.ops.index import index_array
from symad.ops.rearrange import flip, pad
from symad.ops.size import axis_size
from symad.ops.windows import Windows
from symad.types import Dimension, TensorType, Type, UnknownDim, UnknownShape


class Convolve(Multilinear):
    """y_k = Σ_i x_i w_{k−i}, for all k for which there is a term.

    x̄_i = Σ_k ȳ_k w_{k−i}: the convolution of ȳ with the reversed w, without its two ends.
    """

    name = "convolve"
    counted_as = "products"
    sign = "as inputs"
    numpy = np.convolve
    latex = r"{0} * {1}"
    samples = (
        Sample(lambda x, w: apply(Convolve(), x, w), [reals(5), reals(3)]),
        Sample(lambda x, w: apply(Convolve(), x, w), [reals(2), reals(4)], label="longer"),
        Sample(lambda x, w: apply(Convolve(), x, w), [reals(1), reals(1)], label="size 1"),
        Sample(lambda x: apply(Convolve(), x, x), [reals(3)], label="same operand twice"),
        Sample(lambda x, w: apply(Convolve(), x, w), [integers(3), reals(2)], label="integers"),
    )

    def infer(self, *types: Any) -> Type:
        x, w = tensor_types(*types)
        dtype = np.result_type(x.dtype, w.dtype)
        sizes = [_length(x), _length(w)]
        known = [size for size in sizes if isinstance(size, int)]
        return TensorType(dtype, (sum(known) - 1 if len(known) == 2 else UnknownDim(),))

    def flops(self, result: Any, *types: Any) -> int:
        return 2 * int(types[0].size) * int(types[1].size)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        x, w = inputs if batched[0] else reversed(inputs)
        size = shape_of(w)[-1]
        padded = pad(x, ((0, 0), (size - 1, size - 1)))
        windows = apply(Windows((size,), (1,), (1,)), padded)
        terms = "zkp,zk->zp" if all(batched) else "zkp,k->zp"
        return apply(Einsum(terms), windows, flip(w, -1))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        own, other = axis_size(inputs[slot], 0), axis_size(inputs[1 - slot], 0)
        whole = apply(self, adjoint, flip(inputs[1 - slot]))
        return index_array(whole, slice(other - 1, other - 1 + own))

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        parts = []
        for slot, array in enumerate(labels):
            if array is not None:
                (width,) = shape_of(inputs[1 - slot])
                places = np.add.outer(np.arange(array.size), np.arange(width))
                parts.append(sets.united(places, array[:, None], shape_of(out)))
        return sets.joined(*parts)


def _length(x: TensorType) -> Dimension:
    if isinstance(x.shape, UnknownShape):
        return UnknownDim()
    if len(x.shape) != 1:
        raise ShapeError(
            f"vectors are needed, not {x}",
            remedy="Convolve one row at a time, with sm.map_over.",
        )
    if x.shape[0] == 0:
        raise ShapeError("an operand is empty", remedy="Feed at least one element.")
    return x.shape[0]
