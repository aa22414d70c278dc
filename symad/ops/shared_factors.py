"""Ops on the factors L and U of a matrix, which several of its uses share.

:func:`symad.passes.shared_factors.share_factors` makes them after differentiation, so they have no
derivatives.  The factors are those of the transpose, by rows: LAPACK, which goes by columns, makes
them of a matrix as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, reals, well_conditioned
from symad.light_scipy import scipy_module
from symad.ops.base import tensor_types
from symad.ops.inverse import Slogdet, nan_if_not_finite
from symad.ops.linear_system import Solve
from symad.ops.matrices import PerMatrix, batch_of, per_matrix, square_type
from symad.ops.structure import structure_item
from symad.types import StructureType, TensorType, Type

_PIVOT = np.dtype("int64")


def _lapack(name: str, dtype: np.dtype[Any]) -> Callable[..., Any]:
    lapack = scipy_module("scipy.linalg.lapack")
    found: Callable[..., Any] = getattr(lapack, ("s" if dtype == np.float32 else "d") + name)
    return found


def _matrices(x: Any, axes: int = 2) -> Any:
    """Return a stack as an array with one leading axis."""
    return x.reshape(math.prod(x.shape[: x.ndim - axes]), *x.shape[x.ndim - axes :])


def _factors(a: Any) -> Any:
    dtype = np.result_type(a.dtype, np.float32 if a.dtype == np.float32 else np.float64)
    made, pivots = np.array(a, dtype, order="C"), np.empty(a.shape[:-1], _PIVOT)
    for matrix, places in zip(_matrices(made), _matrices(pivots, 1), strict=True):
        factors, found, _ = _lapack("getrf", dtype)(matrix.T)
        matrix[...], places[...] = factors.T, found + 1
    return made, pivots


class LUFactors(PerMatrix):
    """The factors of the transpose of each matrix, by rows, and the rows swapped, from 1 on."""

    name = "lu_factors"
    result_axes = (2, 1)
    numpy = staticmethod(_factors)
    samples = (
        Sample(lambda a: factors_of(a)[0], [well_conditioned(2, 3, 3)], order=0),
        Sample(lambda a: factors_of(a)[1], [well_conditioned(3, 3)], order=0, label="swaps"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 2 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        a = square_type(*types)
        swaps = TensorType(_PIVOT, batch_of(a.shape, 1))
        return StructureType("tuple", ((0, a), (1, swaps)))

    def differentiable(self, slot: int) -> bool:
        return False


def factors_of(a: Node) -> tuple[Node, Node]:
    """Return the factors of a matrix, and the rows swapped."""
    whole = apply(LUFactors(), a)
    return structure_item(whole, 0), structure_item(whole, 1)


def _each(factors: Any, pivots: Any, *more: Any) -> Any:
    """Yield the factors and swaps of each matrix, with a matrix of each further stack."""
    return zip(_matrices(factors), _matrices(pivots, 1), *map(_matrices, more), strict=True)


def _solve(factors: Any, pivots: Any, b: Any, transposed: bool) -> Any:
    if not np.all(np.diagonal(factors, axis1=-2, axis2=-1)):
        raise np.linalg.LinAlgError("Singular matrix")
    columns = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(factors.shape[:-2], columns.shape[:-2])
    right = np.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    made = np.array(right, factors.dtype, order="C")
    factors = np.broadcast_to(factors, (*batch, *factors.shape[-2:]))
    pivots = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    for f, p, x in _each(factors, pivots, made):
        x[...] = _lapack("getrs", f.dtype)(f.T, p - 1, x, trans=int(not transposed))[0]
    return made[..., 0] if b.ndim == 1 else made


class SolveFactored(Op):
    """Solve A X = B, or Aᵀ X = B, by the factors of A."""

    transposed: bool

    name = "solve_factored"
    vectors = (1,)  # the pivots
    may_fail = True
    numpy = staticmethod(_solve)
    samples = (
        Sample(
            lambda a, b: apply(SolveFactored(False), *factors_of(a), b),
            [well_conditioned(3, 3), reals(3, 2)],
            np.linalg.solve,
            order=0,
        ),
        Sample(
            lambda a, b: apply(SolveFactored(True), *factors_of(a), b),
            [well_conditioned(2, 1, 3, 3), reals(2, 3, 2)],
            lambda a, b: np.linalg.solve(a.mT, b),
            order=0,
            label="transposed",
        ),
        Sample(
            lambda a, b: apply(SolveFactored(False), *factors_of(a), b),
            [well_conditioned(2, 3, 3), reals(3)],
            order=0,
            label="vector",
        ),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return 2 * int(result.size) * int(types[0].shape[-1])

    def infer(self, *types: Any) -> Type:
        factors, _, b = tensor_types(*types)
        return Solve().infer(factors, b.with_dtype(factors.dtype))

    def differentiable(self, slot: int) -> bool:
        return False


def _inverse(factors: Any, pivots: Any) -> Any:
    made = np.array(factors, order="C")
    for x, p in _each(made, pivots):
        inverse, status = _lapack("getri", x.dtype)(x.T, p - 1)
        if status:
            raise np.linalg.LinAlgError("Singular matrix")
        x[...] = inverse.T
    return made


class InverseFactored(PerMatrix):
    """Invert A by its factors."""

    name = "inverse_factored"
    vectors = (1,)  # the pivots
    may_fail = True
    result_axes = (2,)
    numpy = staticmethod(_inverse)
    samples = (
        Sample(
            lambda a: apply(InverseFactored(), *factors_of(a)),
            [well_conditioned(2, 3, 3)],
            np.linalg.inv,
            order=0,
        ),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 4 * n**3 // 3)

    def infer(self, *types: Any) -> Type:
        return tensor_types(types[0])[0]

    def differentiable(self, slot: int) -> bool:
        return False


def _determinant(factors: Any, pivots: Any) -> Any:
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1)
    swaps = np.sum(pivots != np.arange(1, pivots.shape[-1] + 1), -1) % 2
    sign = np.prod(np.sign(diagonal), -1) * (1 - 2 * swaps)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.sum(np.log(np.abs(diagonal)), -1)
    unknown = nan_if_not_finite(factors)
    return sign.astype(factors.dtype)[()] + unknown, logarithm + unknown


class SlogdetFactored(PerMatrix):
    """The sign of the determinant of A, and the logarithm of its magnitude, by its factors."""

    name = "slogdet_factored"
    vectors = (1,)  # the pivots
    result_axes = (0, 0)
    numpy = staticmethod(_determinant)
    samples = (
        Sample(
            lambda a: structure_item(apply(SlogdetFactored(), *factors_of(a)), 1),
            [well_conditioned(2, 3, 3)],
            lambda a: np.linalg.slogdet(a)[1],
            order=0,
        ),
        Sample(
            lambda a: structure_item(apply(SlogdetFactored(), *factors_of(a)), 0),
            [well_conditioned(3, 3)],
            lambda a: np.linalg.slogdet(a)[0],
            order=0,
            label="sign",
        ),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[0].size)

    def infer(self, *types: Any) -> Type:
        return Slogdet().infer(types[0])

    def differentiable(self, slot: int) -> bool:
        return False
