"""Matrix exponentials and roots, LU factors, Sylvester's equation; SciPy computes the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GradientError, ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.sample import (
    Sample,
    fixed,
    integers,
    positive_definite,
    reals,
    well_conditioned,
)
from symad.light_scipy import scipy_module
from symad.ops.adjoint import zeros_like
from symad.ops.base import tensor_types
from symad.ops.join import concat
from symad.ops.linear_system import solve_triangular
from symad.ops.matrices import (
    PerMatrix,
    as_factors,
    factor_dtype,
    per_matrix,
    require_matrix,
    require_square,
    square_type,
)
from symad.ops.rearrange import pad
from symad.ops.size import axis_size
from symad.ops.structure import adjoint_items, structure, structure_item
from symad.ops.triangle import tril, triu
from symad.types import (
    Dimension,
    StructureType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
)


def _scipy() -> Any:
    return scipy_module("scipy.linalg")


def _expm(a: Any) -> Any:
    return _scipy().expm(*as_factors(a))


class Expm(PerMatrix):
    """The matrix exponential Σ_k Aᵏ / k!.

    Its derivative in the direction E is a block of the exponential of a larger matrix:
    exp [[A, E], [0, A]] = [[exp A, L(A, E)], [0, exp A]], and Ā = L(Aᵀ, Ȳ): see N. J. Higham,
    "Functions of Matrices" (2008), chapter 10.
    """

    name = "expm"
    result_axes = (2,)
    numpy = staticmethod(_expm)
    latex = "e^{{{0}}}"
    samples = (
        Sample(lambda a: apply(Expm(), a), [reals(3, 3)]),
        Sample(lambda a: apply(Expm(), a), [reals(2, 2, 2)], label="stack"),
        Sample(lambda a: apply(Expm(), a), [reals(1, 1)], np.exp, label="size 1"),
        Sample(lambda a: apply(Expm(), a), [integers(2, 2, dtype="int8")], label="integers"),
    )

    def infer(self, *types: Any) -> Type:
        return square_type(*types)

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 20 * n**3)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return _directional_exponential(inputs[0], tangent)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _directional_exponential(inputs[0].mT, adjoint)


def _directional_exponential(a: Node, direction: Node) -> Node:
    """Return L(A, E)."""
    n = axis_size(a, -1)
    above, below = concat([a, direction], -1), concat([zeros_like(a), a], -1)
    exponential = apply(Expm(), concat([above, below], -2))
    return exponential[..., :n, n:]


def _sqrtm(a: Any) -> Any:
    dtype = factor_dtype(a.dtype)
    if not np.all(np.isfinite(a)):  # SciPy refuses these
        return np.full(a.shape, np.nan, dtype)
    root = _scipy().sqrtm(np.asarray(a, dtype))
    return (root * np.nan if np.iscomplexobj(root) else root).real.astype(dtype)


class Sqrtm(PerMatrix):
    """X with X X = A, whose eigenvalues are not negative: Ẋ solves X Ẋ + Ẋ X = Ȧ."""

    name = "sqrtm"
    may_fail = True
    derivative_domain = "The root of a singular matrix has an infinite derivative."
    result_axes = (2,)
    numpy = staticmethod(_sqrtm)
    latex = "{0}^{{1/2}}"
    precedence = 4
    samples = (
        Sample(lambda a: apply(Sqrtm(), a @ a.mT), [well_conditioned(3, 3)]),
        Sample(lambda a: apply(Sqrtm(), a), [positive_definite(2, 2)], label="symmetric"),
        Sample(lambda a: apply(Sqrtm(), a), [fixed([[-1.0, 0.0], [0.0, 4.0]])],
               lambda a: a * np.nan, order=0, label="special: not real"),
        Sample(lambda a: apply(Sqrtm(), a), [fixed([[4, 0], [0, 9]])], np.sqrt, label="integers"),
    )  # fmt: skip

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return None  # SciPy has it for one matrix

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        if a.ndim not in (2, None):
            raise ShapeError(f"one matrix is needed, not {a}")
        return square_type(a)

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda n, _: 28 * n**3)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(SolveSylvester(), out.mT, out.mT, adjoint)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(SolveSylvester(), out, out, tangent)


# LU factorisation


def _lu(a: Any) -> Any:
    dtype = factor_dtype(a.dtype)
    parts = _scipy().lu(np.asarray(a, dtype), check_finite=False)
    return tuple(part.astype(dtype) for part in parts)


class LU(PerMatrix):
    """A = P L U with a permutation matrix P, which has no derivative.

    For square matrices, L̇ = L Φ(F) and U̇ = (F − Φ(F)) U with F = L⁻¹ Pᵀ Ȧ U⁻¹, where Φ takes what
    is below the diagonal; Ā = P L⁻ᵀ (Φ(Lᵀ L̄) + triu(Ū Uᵀ)) U⁻ᵀ.  Others are completed to square
    ones with rows or columns of the identity, which change neither L nor U.
    """

    name = "lu"
    may_fail = True
    result_axes = (2, 2, 2)
    numpy = staticmethod(_lu)
    samples = (
        Sample(lambda a: structure_item(apply(LU(), a), 1), [well_conditioned(3, 3)], label="L"),
        Sample(lambda a: structure_item(apply(LU(), a), 2), [well_conditioned(3, 3)], label="U"),
        Sample(lambda a: apply(LU(), a), [well_conditioned(2, 3, 3)], label="stack"),
        Sample(lambda a: apply(LU(), a), [well_conditioned(4, 2)], order=0, label="tall"),
        Sample(lambda a: apply(LU(), a), [well_conditioned(2, 4)], order=0, label="wide"),
        Sample(lambda a: apply(LU(), a), [reals(1, 1, low=0.5)], label="size 1"),
        Sample(lambda a: apply(LU(), a), [integers(3, 3, dtype="int8")], label="integers"),
    )

    def infer(self, *types: Any) -> Type:
        (a,) = tensor_types(*types)
        require_matrix(a.shape)
        dtype = factor_dtype(a.dtype)
        if isinstance(a.shape, UnknownShape):
            shapes: list[Any] = [UnknownShape.fresh() for _ in range(3)]
        else:
            *batch, m, n = a.shape
            k = _smaller(m, n)
            shapes = [(*batch, m, m), (*batch, m, k), (*batch, k, n)]
        return StructureType("tuple", tuple(enumerate(TensorType(dtype, s) for s in shapes)))

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda m, n: max(m, n) * min(m, n) ** 2)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        square = _Completed(inputs[0])
        p, lower, upper = square.factors(out)
        _, of_lower, of_upper = adjoint_items(adjoint, 3)
        terms = []
        if of_lower is not None:
            terms.append(tril(lower.mT @ square.pad(of_lower), -1))
        if of_upper is not None:
            terms.append(triu(square.pad(of_upper) @ upper.mT))
        if not terms:
            return None
        inside = terms[0] if len(terms) == 1 else terms[0] + terms[1]
        left = solve_triangular(lower.mT, inside, unit_diagonal=True)
        return square.cut(p @ solve_triangular(upper, left.mT).mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        square = _Completed(inputs[0])
        p, lower, upper = square.factors(out)
        moved = p.mT @ square.pad(tangent)
        left = solve_triangular(lower, moved, lower=True, unit_diagonal=True)
        inside = solve_triangular(upper.mT, left.mT, lower=True).mT
        of_lower, of_upper = lower @ tril(inside, -1), triu(inside) @ upper
        items = (structure_item(out, key) for key in range(3))
        permutation, narrow, wide = items
        return structure(
            (
                zeros_like(permutation),
                of_lower[..., : axis_size(narrow, -2), : axis_size(narrow, -1)],
                of_upper[..., : axis_size(wide, -2), : axis_size(wide, -1)],
            )
        )


def _smaller(m: Dimension, n: Dimension) -> Dimension:
    if m == n:
        return m
    return min(m, n) if isinstance(m, int) and isinstance(n, int) else UnknownDim()


class _Completed:
    """A matrix completed to a square one; nothing changes if it is square."""

    def __init__(self, a: Node) -> None:
        (type_,) = tensor_types(a.type)
        self.is_square, self.size, self.rank = True, 0, 0
        if isinstance(type_.shape, UnknownShape):
            return
        self.rows, self.columns = m, n = type_.shape[-2:]
        if m == n:
            return
        if not isinstance(m, int) or not isinstance(n, int):
            raise GradientError(
                f"the derivative of an LU factorisation needs known sizes, not {type_}",
                where=a.site.describe(),
                remedy='Declare them: Variable("a", shape=(3, 3)).',
            )
        self.is_square, self.size, self.rank = False, max(m, n), len(type_.shape)

    def pad(self, x: Node) -> Node:
        """Return ``x`` with zeros below it and to its right."""
        if self.is_square:
            return x
        missing = [(0, self.size - size) for size in x.shape[-2:]]
        return pad(x, ((0, 0),) * (self.rank - 2) + tuple(missing))

    def cut(self, x: Node) -> Node:
        """Return the part of the original matrix."""
        return x if self.is_square else x[..., : self.rows, : self.columns]

    def factors(self, out: Node) -> list[Node]:
        """Return P, L and U, completed with rows and columns of the identity."""
        items = [structure_item(out, key) for key in range(3)]
        if self.is_square:
            return items
        return [self.pad(x) + self._rest(x) for x in items]

    def _rest(self, x: Node) -> Node:
        size = min(x.shape[-2:])
        ones = (np.arange(self.size) >= size).astype(x.dtype)
        return Constant(np.diag(ones))


# Sylvester's equation


def _solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    a, b, q = as_factors(a, b, q)
    if not all(np.all(np.isfinite(x)) for x in (a, b, q)):  # SciPy refuses these
        return np.full_like(q, np.nan)
    return _scipy().solve_sylvester(a, b, q)


class SolveSylvester(PerMatrix):
    """X with A X + X B = Q.

    Q̄ solves Aᵀ Q̄ + Q̄ Bᵀ = X̄, and Ā = −Q̄ Xᵀ, B̄ = −Xᵀ Q̄; Ẋ solves it with Q̇ − Ȧ X − X Ḃ.
    """

    name = "solve_sylvester"
    may_fail = True
    result_axes = (2,)
    numpy = staticmethod(_solve_sylvester)
    samples = (
        Sample(lambda a, b, q: apply(SolveSylvester(), a, b, q),
               [well_conditioned(3, 3), well_conditioned(2, 2), reals(3, 2)]),
        Sample(lambda a, q: apply(SolveSylvester(), a, a, q), [well_conditioned(2, 2), reals(2, 2)],
               label="same operand twice"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        a, b, q = tensor_types(*types)
        for type_ in (a, b, q):
            if type_.ndim not in (2, None):
                raise ShapeError(f"matrices are needed, not {type_}")
        require_square(a.shape)
        require_square(b.shape)
        dtype = factor_dtype(a.dtype, b.dtype, q.dtype)
        rows, columns = (_sizes(type_)[0] for type_ in (a, b))
        return TensorType(dtype, tuple(map(_same, _sizes(q), (rows, columns))))

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return None  # SciPy has it for one equation

    def flops(self, result: Any, *types: Any) -> int:
        return sum(25 * int(type_.shape[-1]) ** 3 for type_ in types[:2])

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        a, b, _ = inputs
        of_q: Node = apply(SolveSylvester(), a.mT, b.mT, adjoint)
        return of_q if slot == 2 else -(out.mT @ of_q) if slot else -(of_q @ out.mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        a, b, _ = inputs
        right = tangent if slot == 2 else -(out @ tangent) if slot else -(tangent @ out)
        return apply(SolveSylvester(), a, b, right)


def _sizes(type_: TensorType) -> tuple[Dimension, ...]:
    known = not isinstance(type_.shape, UnknownShape)
    return type_.shape if known else (UnknownDim(), UnknownDim())  # type: ignore[return-value]


def _same(size: Dimension, needed: Dimension) -> Dimension:
    if isinstance(size, int) and isinstance(needed, int) and size != needed:
        raise ShapeError(f"the right-hand side has size {size} where {needed} is needed")
    return size if isinstance(size, int) else needed
