"""Solving linear systems with general and triangular matrices.

The rules are those of M. Giles, "An extended collection of matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), unless a docstring names another source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from symad.errors import ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, integers, reals, well_conditioned
from symad.light_scipy import scipy_module
from symad.ops.base import Operand, as_nodes, register, tensor_types
from symad.ops.batching import aligned, shape_of
from symad.ops.matrices import (
    as_factors,
    factor_dtype,
    from_columns,
    per_matrix,
    require_square,
    to_columns,
)
from symad.ops.permute import moveaxis
from symad.ops.shape import expand_dims, reshape, squeeze
from symad.ops.triangle import tril, triu
from symad.types import (
    Dimension,
    Shape,
    TensorType,
    Type,
    UnknownShape,
    broadcast_shapes,
)


class _LinearSolve(Op):
    """An op that solves A X = B; subclasses define which part of A they read."""

    def infer(self, *types: Any) -> Type:
        a, b = tensor_types(*types)
        require_square(a.shape)
        return TensorType(factor_dtype(a.dtype, b.dtype), _solution_shape(a.shape, b.shape))

    factor: ClassVar[bool] = True
    """Whether A must be factorised first."""

    def flops(self, result: Any, *types: Any) -> int:
        rows = types[0].shape[-1]
        factors = per_matrix(types[0], lambda n, _: 2 * n**3 // 3) if self.factor else 0
        return factors + (2 if self.factor else 1) * int(result.size) * int(rows)

    def solve_transposed(self, a: Node, b: Node) -> Node:
        """Return the solution of Aᵀ X = B for columns B."""
        raise NotImplementedError

    def part(self, a: Node) -> Node:
        """Return ``a`` with zeros in place of the elements that the op does not read."""
        return a

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        if None in (inputs[0].ndim, inputs[1].ndim):
            return call("any", active)
        if inputs[1].ndim == 1:
            systems = call("any", active, -1, keepdims=True)
            return systems if slot == 1 else expand_dims(systems, -1)
        return call("any", active, -2 if slot == 1 else (-2, -1), keepdims=True)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        if slot == 1 or None in (inputs[0].ndim, inputs[1].ndim):
            return self.active_input(slot, active, out, *inputs)
        systems = call("any", active, (-2, -1), keepdims=True)
        return squeeze(systems, -1) if inputs[1].ndim == 1 else systems

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        vector, parts = inputs[1].ndim == 1, []
        if labels[0] is not None:
            systems = sets.along(labels[0], (-2, -1))
            parts.append(np.squeeze(systems, -1) if vector else systems)
        if labels[1] is not None:
            parts.append(sets.along(labels[1], -1 if vector else -2))
        return np.broadcast_to(sets.joined(*parts), shape_of(out))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        a, b = inputs
        columns = self.solve_transposed(a, to_columns(adjoint, b))
        if slot == 1:
            return from_columns(columns, b)
        return self.part(-columns @ to_columns(out, b).mT)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        a, b = inputs
        if slot == 1:
            return apply(self, a, tangent)
        return from_columns(apply(self, a, -(self.part(tangent) @ to_columns(out, b))), b)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        (left, right), (a, b) = (len(shape_of(node)) for node in out.inputs), inputs
        if batched[1] and right == 1:
            b = expand_dims(b, -1)
        elif right == 1:  # one vector for all systems
            return apply(self, a, b)
        if not batched[0] and left == 2:  # the columns of all elements, with one factor
            columns = moveaxis(b, -2, 0)
            rows, *rest = shape_of(columns)
            whole = apply(self, a, reshape(columns, (rows, math.prod(rest))))
            x = moveaxis(reshape(whole, (rows, *rest)), 0, -2)
            return squeeze(x, -1) if right == 1 else x
        ndim = max(left, right)
        pairs = zip((a, b), batched, strict=True)
        x = apply(self, *[aligned(z, ndim) if stacks else z for z, stacks in pairs])
        return squeeze(x, -1) if right == 1 else x


def _solution_shape(a: Shape, b: Shape) -> Shape:
    if b == ():
        raise ShapeError("the right-hand side is a scalar", remedy="Give it one row for each of a.")
    if isinstance(a, UnknownShape) or isinstance(b, UnknownShape):
        return UnknownShape.fresh()
    rows = b[0] if len(b) == 1 else b[-2]
    _require_rows(a[-1], rows)
    if len(b) == 1:
        return a[:-1]
    batch = broadcast_shapes(a[:-2], b[:-2])
    assert not isinstance(batch, UnknownShape)
    return (*batch, a[-1], b[-1])


def _require_rows(unknowns: Dimension, rows: Dimension) -> None:
    if isinstance(unknowns, int) and isinstance(rows, int) and unknowns != rows:
        raise ShapeError(
            f"there are {unknowns} unknowns, but the right-hand side has {rows} rows",
            remedy="It has the shape (n,) for one system, or (..., n, k) for k systems.",
        )


def _solve(a: Any, b: Any) -> Any:
    return np.linalg.solve(*as_factors(a, b))


class Solve(_LinearSolve):
    r"""Solve the linear system ``a @ x = b``.

    Parameters
    ----------
    a : (..., n, n)
    b : (n,) or (..., n, k)
        As in NumPy 2, only a right-hand side of one axis is a vector.  Leading axes broadcast.

    Returns
    -------
    (..., n) or (..., n, k) Node
        float32 or float64.

    Raises
    ------
    ShapeError
        If ``a`` is not square, or the rows of ``a`` and ``b`` differ.
    EvaluationError
        If ``a`` is singular, when values are fed.

    Notes
    -----
    B̄ = A⁻ᵀ X̄ and Ā = −B̄ Xᵀ; Ẋ = A⁻¹ (Ḃ − Ȧ X).  The adjoint solves with the transpose and never
    forms the inverse.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[2.0, 0.0], [1.0, 4.0]]), sm.constant([2.0, 9.0])
    >>> sm.linalg.solve(a, b).eval()
    array([1., 2.])
    """

    name = "solve"
    in_expressions = True
    may_fail = True
    numpy = staticmethod(_solve)
    latex = "{0}^{{-1}} {1}"
    precedence = 2
    samples = (
        Sample(lambda a, b: solve(a, b), [well_conditioned(3, 3), reals(3, 2)]),
        Sample(lambda a, b: solve(a, b), [well_conditioned(3, 3), reals(3)], label="vector"),
        Sample(
            lambda a, b: solve(a, b), [well_conditioned(2, 3, 3), reals(3)], label="stack, vector"
        ),
        Sample(
            lambda a, b: solve(a, b),
            [well_conditioned(2, 1, 2, 2), reals(3, 2, 2)],
            label="broadcast",
        ),
        Sample(lambda a, b: solve(a, b), [well_conditioned(1, 1), reals(1)], label="size 1"),
        Sample(lambda a, b: solve(a, b), [reals(0, 0), reals(0, 2)], label="empty"),
        Sample(lambda a, b: solve(a, b), [well_conditioned(2, 2), integers(2)], label="integers"),
    )

    def __call__(self, a: Operand, b: Operand) -> Node:
        return apply(self, *as_nodes(a, b))

    def solve_transposed(self, a: Node, b: Node) -> Node:
        return self(a.mT, b)


def _solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    a, b = as_factors(a, b)
    columns = b[:, None] if b.ndim == 1 else b
    if not unit_diagonal and not np.all(np.diagonal(a, axis1=-2, axis2=-1)):
        raise np.linalg.LinAlgError("singular matrix: its diagonal contains a zero")
    batch = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    columns = np.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    result = np.array(columns, order="C")
    if not batch:
        _substitute(a, result, lower, unit_diagonal)
    else:
        matrices = np.broadcast_to(a, (*batch, *a.shape[-2:]))
        for i in np.ndindex(batch):
            _substitute(matrices[i], result[i], lower, unit_diagonal)
    return result[..., 0] if b.ndim == 1 else result


def _substitute(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> None:
    """Replace ``b``, in C order, by the solution of a x = b.

    BLAS expects Fortran order: it solves xᵀ aᵀ = bᵀ without copying.
    """
    if b.size == 0:
        return
    blas = scipy_module("scipy.linalg.blas")
    solve = blas.strsm if a.dtype == np.float32 else blas.dtrsm
    if a.flags.f_contiguous:
        solve(1.0, a, b.T, 1, lower, 1, unit_diagonal, overwrite_b=1)
    else:
        solve(1.0, np.ascontiguousarray(a).T, b.T, 1, not lower, 0, unit_diagonal, overwrite_b=1)


class SolveTriangular(_LinearSolve):
    """See :func:`solve_triangular`."""

    lower: bool
    unit_diagonal: bool

    name = "solve_triangular"
    may_fail = True
    factor = False
    numpy = staticmethod(_solve_triangular)
    samples = (
        Sample(
            lambda a, b: solve_triangular(a, b, lower=True),
            [well_conditioned(3, 3), reals(3, 2)],
            lambda a, b: np.linalg.solve(np.tril(a), b),
        ),
        Sample(
            lambda a, b: solve_triangular(a, b),
            [well_conditioned(3, 3), reals(3)],
            lambda a, b: np.linalg.solve(np.triu(a), b),
            label="upper, vector",
        ),
        Sample(
            lambda a, b: solve_triangular(a, b, lower=True, unit_diagonal=True),
            [reals(3, 3), reals(3)],
            lambda a, b: np.linalg.solve(np.tril(a, -1) + np.eye(3), b),
            label="unit diagonal",
        ),
        Sample(
            lambda a, b: solve_triangular(a, b, unit_diagonal=True),
            [reals(2, 1, 2, 2), reals(3, 2, 2)],
            lambda a, b: np.linalg.solve(np.triu(a, 1) + np.eye(2), b),
            label="broadcast",
        ),
        Sample(lambda a, b: solve_triangular(a, b), [reals(0, 0), reals(0, 2)], label="empty"),
    )

    def solve_transposed(self, a: Node, b: Node) -> Node:
        return apply(SolveTriangular(not self.lower, self.unit_diagonal), a.mT, b)

    def part(self, a: Node) -> Node:
        if self.lower:
            return tril(a, -1 if self.unit_diagonal else 0)
        return triu(a, 1 if self.unit_diagonal else 0)


@explained
def solve_triangular(
    a: Operand, b: Operand, *, lower: bool = False, unit_diagonal: bool = False
) -> Node:
    """Solve ``a @ x = b`` for a triangular matrix ``a``, of which only the triangle is read.

    Parameters
    ----------
    a : (..., n, n) Node or array
    b : (n,) or (..., n, k) Node or array
        As for :func:`solve`; leading axes broadcast.
    lower : bool
        Whether the lower triangle is read, rather than the upper.
    unit_diagonal : bool
        Whether the diagonal counts as ones and is not read.

    Returns
    -------
    (..., n) or (..., n, k) Node

    Raises
    ------
    ShapeError
        If ``a`` is not square, or the rows of ``a`` and ``b`` differ.
    EvaluationError
        If the diagonal contains a zero, when values are fed.

    Notes
    -----
    The rules are those of :func:`solve`; the adjoint of ``a`` is also triangular.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[2.0, 99.0], [1.0, 4.0]]), sm.constant([2.0, 9.0])
    >>> sm.linalg.solve_triangular(a, b, lower=True).eval()
    array([1., 2.])
    """
    return apply(SolveTriangular(bool(lower), bool(unit_diagonal)), *as_nodes(a, b))


solve: Solve = register(Solve(), "linalg.solve")
