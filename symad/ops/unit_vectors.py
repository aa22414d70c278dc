"""The unit vectors of a space: the seeds of a Jacobian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import cast
from symad.ops.base import tensor_types
from symad.ops.batching import repeated, row_count, shape_of
from symad.types import Type, UnknownDim, UnknownShape


def _unit_vectors(like: Any) -> Any:
    return np.eye(like.size, dtype=like.dtype).reshape(like.size, *like.shape)


class UnitVectors(Op):
    """All arrays of the shape of ``like`` with a single 1 among zeros, stacked."""

    name = "unit_vectors"
    numpy = staticmethod(_unit_vectors)
    samples = (
        Sample(lambda x: apply(UnitVectors(), x) * x, [reals(3)], np.diag),
        Sample(lambda x: apply(UnitVectors(), x) @ x[0], [reals(2, 3)], label="matrices"),
        Sample(lambda x: apply(UnitVectors(), x) + x, [reals()], lambda x: x[None] + 1,
               label="scalar"),
        Sample(lambda x: apply(UnitVectors(), x) + x, [reals(0, 2)], label="empty"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        if len(x.shape) == 1:
            return x.with_shape((*x.shape, *x.shape))
        return x.with_shape((x.size if x.is_static else UnknownDim(), *x.shape))

    def reads(self, slot: int) -> bool:
        return False

    def differentiable(self, slot: int) -> bool:
        return False

    def specialise(self, *inputs: Node) -> Node | None:
        """As a comparison of positions, which takes no memory where it is computed when needed."""
        (x,) = tensor_types(inputs[0].type)
        if not x.is_static:
            return None
        shape = shape_of(inputs[0])
        places = np.arange(math.prod(shape), dtype="int32")
        rows = Constant(places.reshape(-1, *[1] * len(shape)))
        return cast(call("equal", rows, Constant(places.reshape(shape))), x.dtype)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        unit = self.specialise(*out.inputs)
        return None if unit is None else repeated(unit, row_count(batched, inputs))
