"""Orthonormal bases of whole spaces, and axes of a required size."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Constant, Node, apply, infer_type
from symad.graph.sample import Sample, reals, well_conditioned
from symad.ops.adjoint import broadcast_like
from symad.ops.base import Linear, register, tensor_types
from symad.ops.comparison import not_equal, where
from symad.ops.factorisation import qr
from symad.ops.matrices import PerMatrix, factor_dtype, per_matrix, require_matrix
from symad.ops.truth import any as any_true
from symad.types import TensorType, Type, UnknownDim, UnknownShape, normalize_axis


def _complement(q: Any) -> Any:
    return np.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :]


def _projector(q: Node) -> Node:
    """Return N Nᵀ, which does not depend on the choice of the columns of N."""
    columns = orthogonal_complement(q)
    return columns @ columns.mT


class OrthogonalComplement(PerMatrix):
    """Return orthonormal columns that complete those of Q to a basis of the whole space.

    Which ones is LAPACK's choice: a derivative that depends on them is NaN.
    """

    name = "orthogonal_complement"
    may_fail = True
    derivative_domain = (
        "The columns that complete a basis have no derivative: leave them out (full_matrices=False,"
        ' mode="reduced").'
    )
    result_axes = (2,)
    numpy = staticmethod(_complement)
    samples = (
        Sample(lambda a: _projector(qr(a).Q), [well_conditioned(4, 2)],
               lambda a: np.eye(4) - a @ np.linalg.pinv(a), order=0),
        Sample(lambda a: _projector(qr(a).Q), [well_conditioned(2, 3, 1)],
               lambda a: np.eye(3) - a @ np.linalg.pinv(a), order=0, label="stack"),
        Sample(lambda a: _projector(qr(a).Q), [well_conditioned(2, 2)], lambda a: a * 0, order=0,
               label="nothing to complete"),
        Sample(lambda a: _projector(a), [reals(2, 0)], lambda a: np.eye(2), order=0, label="empty"),
    )  # fmt: skip

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda m, n: 4 * m * m * n)

    def infer(self, *types: Any) -> Type:
        (q,) = tensor_types(*types)
        if isinstance(q.shape, UnknownShape):
            return TensorType(factor_dtype(q.dtype), UnknownShape.fresh())
        require_matrix(q.shape)
        *batch, rows, columns = q.shape
        known = isinstance(rows, int) and isinstance(columns, int)
        rest = rows - columns if known else UnknownDim()  # type: ignore[operator]
        return TensorType(factor_dtype(q.dtype), (*batch, rows, rest))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _unknown_if_used(adjoint, inputs[0])

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return _unknown_if_used(tangent, out)


def _unknown_if_used(change: Node, like: Node) -> Node:
    """Return 0 for each matrix whose ``change`` is 0 throughout, and else NaN."""
    used = any_true(not_equal(change, 0), (-2, -1), keepdims=True)
    return broadcast_like(where(used, Constant(np.nan, like.dtype), 0), like)


@register
def orthogonal_complement(q: Node) -> Node:
    """Return orthonormal columns that complete those of ``q`` to a basis."""
    return apply(OrthogonalComplement(), q)


def _same(x: Any, axis: int, size: int) -> Any:
    return x


class SizedAxis(Linear):
    """Return ``x`` after checking that an axis has a given size, as soon as it is known."""

    axis: int
    size: int

    name = "sized_axis"
    numpy = staticmethod(_same)
    is_view = True
    samples = (
        Sample(lambda x: apply(SizedAxis(-1, 3), x), [reals(2, 3)]),
        Sample(lambda x: apply(SizedAxis(0, 0), x), [reals(0)], label="empty"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x
        axis = normalize_axis(self.axis, len(x.shape))
        if isinstance(x.shape[axis], int) and x.shape[axis] != self.size:
            raise ShapeError(f"axis {axis} has size {x.shape[axis]}, but {self.size} are needed")
        return x.with_shape((*x.shape[:axis], self.size, *x.shape[axis + 1 :]))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(infer_type(self, inputs))
        return inputs[0] if x.is_static else None
