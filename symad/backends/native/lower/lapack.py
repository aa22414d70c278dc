"""Calls for linear algebra by LAPACK: Cholesky factors, linear systems, inverses, determinants.

LAPACK uses Fortran order: it sees a matrix in C order as its transpose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.fortran import Library, library
from symad.backends.native.kernel_call import BufferView, KernelCall, Shape, Views
from symad.backends.native.kernels.determinant import (
    determinant_kernel,
    diagonal_kernel,
    exponential_kernel,
)
from symad.backends.native.kernels.small_matrices import (
    Write,
    cholesky,
    determinant,
    elimination,
    factors,
    inverse,
    inverse_by_factors,
    logarithm_by_factors,
    sign_and_logarithm,
    solution_by_factors,
    substitution,
)
from symad.backends.native.lower.copies import (
    Calls,
    Condition,
    Lower,
    Scratch,
    call_of,
    contiguous,
    converted,
    converts,
    copy,
    fill,
    merged_axes,
    outer_words,
    part,
    triangle,
)
from symad.backends.native.lower.library_calls import Argument, library_call
from symad.backends.native.lower.small_matrices import are_small, as_matrices, as_rows, small_call
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.factorisation import QR, SVD, Cholesky, Eigh, Eigvalsh, Svdvals
from symad.ops.inverse import Det, Inv, Slogdet
from symad.ops.linear_system import Solve, SolveTriangular
from symad.ops.shared_factors import InverseFactored, LUFactors, SlogdetFactored, SolveFactored
from symad.passes.fuse import shape_of
from symad.records import replace
from symad.types import TensorType

_SMALL = 1.5
"""The estimated nanoseconds for an element of a small matrix."""
_PER_TERM = 0.05
"""The estimated nanoseconds for the product of two numbers."""
_BLOCK = 64
"""The block size of LAPACK in columns."""
_INTEGER = np.dtype("int64")
_FAR = 1 << 31


def _stack(batch: Shape, *views: BufferView) -> list[tuple[int, ...]]:
    """Return size and strides of the leading axes, the axes of the stack."""
    return merged_axes(batch, *(view.strides[: len(batch)] for view in views))


def _library() -> Library:
    found = library()
    assert found is not None, "without LAPACK nothing is lowered to it"
    return found


def _call(
    node: Node,
    function: str,
    arguments: Sequence[Argument],
    outer: Sequence[tuple[int, ...]] = (),
    work: float = 0,
    fails: bool = False,
) -> KernelCall:
    """Return the call of a function of BLAS or LAPACK that supports such sizes."""
    made = library_call(node, _library(), function, arguments, outer, work, fails)
    assert made is not None, f"{function} does not support such large sizes"
    return made


def _order(matrix: BufferView) -> tuple[bool, int] | None:
    """Return whether columns, not rows, are contiguous, and the stride between them.

    ``None`` for other strides, or strides too large for LAPACK's integers.
    """
    if max(matrix.strides[-2:], default=0) >= _FAR:
        return None
    rows, columns = matrix.shape[-2:]
    row, column = matrix.strides[-2:]
    if (column == 1 or columns == 1) and (row >= max(1, columns) or rows == 1):
        return False, max(row, columns, 1)
    if row == 1 and column >= max(1, rows):
        return True, column
    return None


# Factors and systems


def _cholesky(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower cholesky: the lower triangle in C order is the upper one in Fortran order."""
    if 0 in output.shape:
        return []
    source, before = converted(node, inputs[0], scratch, output.dtype)
    batch, size = output.shape[:-2], output.shape[-1]
    if are_small(size, count=math.prod(batch)):
        return [*before, small_call(node, cholesky, (source, output), _SMALL * size**2)]
    arguments: list[Argument] = ["U", size, output, size, None]
    work = _PER_TERM * size**3 / 3
    factorise = _call(node, "potrf", arguments, _stack(batch, output), work, fails=True)
    return [*before, *triangle(node, source, output, lower=True), factorise]


def _solve_triangular(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower a triangular solve: solutions overwrite copies of the right-hand sides."""
    op, (given, right) = node.op, inputs
    assert isinstance(op, SolveTriangular)
    if _is_small_system(right, output):
        operation = substitution(op.lower, op.unit_diagonal)
        return _small_system(node, operation, inputs, output, scratch)
    check = [] if op.unit_diagonal else _check_diagonal(node, given)
    if 0 in output.shape:
        return check
    matrix, before = given, Calls()
    if given.dtype != output.dtype or _order(given) is None:
        matrix, before = contiguous(node, given, scratch, output.dtype)
    batch, _, right, solution = _as_columns(right, output)
    copied = copy(node, right, solution)
    return [*check, *before, *copied, _substitution(node, matrix, solution, batch)]


def _check_diagonal(node: Node, matrix: BufferView) -> Calls:
    """Return the calls that fail if there is a zero on a diagonal."""
    if 0 in matrix.shape:
        return []
    size, step = matrix.shape[-1], sum(matrix.strides[-2:])
    words = [matrix, size, step, *outer_words(_stack(matrix.shape[:-2], matrix))]
    return [call_of(diagonal_kernel(matrix.dtype), words, node, size)]


def _substitution(node: Node, matrix: BufferView, solution: BufferView, batch: Shape) -> KernelCall:
    """Return the call that solves Xᵀ Aᵀ = Bᵀ in Fortran order, or A x = b for one column."""
    op, order = node.op, _order(matrix)
    assert isinstance(op, SolveTriangular) and order is not None
    is_turned, leading = order
    size, columns = solution.shape[-2:]
    matrix = matrix.broadcast_to((*batch, size, size))
    triangle_ = "L" if op.lower == is_turned else "U"
    unit = "U" if op.unit_diagonal else "N"
    arguments: list[Argument]
    if columns == 1:
        function, form = "trsv", "N" if is_turned else "T"
        arguments = [triangle_, form, unit, size, matrix, leading, solution, 1]
    else:
        function, form = "trsm", "T" if is_turned else "N"
        arguments = ["R", triangle_, form, unit, columns, size, 1.0]
        arguments += [matrix, leading, solution, columns]
    work = _PER_TERM * size * size * columns / 2
    return _call(node, function, arguments, _stack(batch, matrix, solution), work)


def _as_columns(
    right: BufferView, output: BufferView
) -> tuple[Shape, Shape, BufferView, BufferView]:
    """Return batch, size of the systems, right-hand sides and solutions, all with columns."""
    if len(right.shape) == 1:
        output = output.reshaped((*output.shape, 1)) or output
        right = replace(right, shape=(*right.shape, 1), strides=(*right.strides, 0))
    batch, size = output.shape[:-2], output.shape[-2:]
    return batch, size, right.broadcast_to(output.shape), output


def _is_small_system(right: BufferView, output: BufferView) -> bool:
    batch, sizes, *_ = _as_columns(right, output)
    return are_small(*sizes, count=math.prod(batch))


def _small_system(
    node: Node, operation: Write, inputs: Views, output: BufferView, scratch: Scratch
) -> Calls:
    """Return the calls that solve small systems."""
    (matrix, before), (right, more) = (
        converted(node, view, scratch, output.dtype) for view in inputs
    )
    batch, (size, columns), right, solution = _as_columns(right, output)
    matrix = matrix.broadcast_to((*batch, size, size))
    work = _SMALL * size * (size + columns)
    return [*before, *more, small_call(node, operation, (matrix, right, solution), work)]


def _solve(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower solve: copy the operands to Fortran order, and the solutions from it."""
    matrix, right = inputs
    if 0 in output.shape:
        return []
    dtype = output.dtype
    if _is_small_system(right, output):
        return _small_system(node, elimination, inputs, output, scratch)
    batch, (size, columns), right, solution = _as_columns(right, output)
    factor = scratch((*batch, size, size), dtype)
    pivots = scratch((size,), _INTEGER)
    given = matrix.broadcast_to(factor.shape)
    sides = solution if columns == 1 else _transposed(scratch((*batch, columns, size), dtype))
    pivots_of_all = pivots.broadcast_to((*batch, size))
    arguments: list[Argument] = [size, columns, factor, size, pivots, sides, size, None]
    outer = _stack(batch, factor, pivots_of_all, sides)
    work = _PER_TERM * size * size * (size + columns)
    return [
        *copy(node, given, _transposed(factor)),
        *copy(node, right, sides),
        _call(node, "gesv", arguments, outer, work, fails=True),
        *([] if sides is solution else copy(node, sides, solution)),
    ]


def _transposed(matrix: BufferView) -> BufferView:
    rank = len(matrix.shape)
    return matrix.permuted((*range(rank - 2), rank - 1, rank - 2))


# Inverses and determinants


def _factorised(
    node: Node, source: BufferView, target: BufferView, pivots: BufferView, fails: bool = False
) -> Calls:
    """Return the calls that put the factors L and U of Aᵀ in ``target``."""
    batch, size = target.shape[:-2], target.shape[-1]
    arguments: list[Argument] = [size, size, target, size, pivots, None]
    outer = _stack(batch, target, pivots)
    factorise = _call(node, "getrf", arguments, outer, _PER_TERM * size**3, fails)
    return [*copy(node, source, target), factorise]


def _inv(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower inv: inversion and transposition commute."""
    if 0 in output.shape:
        return []
    batch, size = output.shape[:-2], output.shape[-1]
    if are_small(size, count=math.prod(batch)):
        source, before = converted(node, inputs[0], scratch, output.dtype)
        return [*before, small_call(node, inverse, (source, output), 2 * _SMALL * size**2)]
    pivots = scratch((*batch, size), _INTEGER)
    factorised = _factorised(node, inputs[0], output, pivots, fails=True)
    return [*factorised, _inverted(node, output, pivots, scratch)]


def _inverted(node: Node, factors: BufferView, pivots: BufferView, scratch: Scratch) -> KernelCall:
    """Return the call that puts the inverse in place of the factors."""
    batch, size = factors.shape[:-2], factors.shape[-1]
    room = scratch((size * _BLOCK,), factors.dtype).broadcast_to((*batch, size * _BLOCK))
    arguments: list[Argument] = [size, factors, size, pivots, room, size * _BLOCK, None]
    outer = _stack(batch, factors, pivots, room)
    return _call(node, "getri", arguments, outer, 2 * _PER_TERM * size**3, fails=True)


def _slogdet(
    node: Node, inputs: Views, outputs: tuple[BufferView, BufferView], scratch: Scratch
) -> Calls:
    (matrix,) = inputs
    if _has_small_determinants(matrix):
        return _small_determinant(node, sign_and_logarithm, matrix, outputs, scratch)
    return _logarithm(node, matrix, *outputs, scratch)


def _has_small_determinants(matrix: BufferView) -> bool:
    *batch, size, _ = matrix.shape
    return are_small(size, count=math.prod(batch))


def _small_determinant(
    node: Node, operation: Write, matrix: BufferView, outputs: Views, scratch: Scratch
) -> Calls:
    """Return the calls for the determinants of small matrices."""
    source, before = converted(node, matrix, scratch, outputs[0].dtype)
    views = (source, *map(as_matrices, outputs))
    return [*before, small_call(node, operation, views, _SMALL * matrix.shape[-1] ** 2)]


def _logarithm(
    node: Node, matrix: BufferView, sign: BufferView, logarithm: BufferView, scratch: Scratch
) -> Calls:
    """Return the calls for sign and logarithm of the determinant of A, which is that of Aᵀ."""
    batch, size, dtype = sign.shape, matrix.shape[-1], sign.dtype
    if 0 in batch:
        return []
    if size == 0:
        return fill(node, 1, sign) + fill(node, 0, logarithm)
    factor, pivots = scratch(matrix.shape, dtype), scratch((*batch, size), _INTEGER)
    read = _read(node, factor, pivots, sign, logarithm)
    return [*_factorised(node, matrix, factor, pivots), *read]


def _read(
    node: Node, factor: BufferView, pivots: BufferView, sign: BufferView, logarithm: BufferView
) -> Calls:
    """Return the calls that read sign and logarithm of the determinant from factors."""
    batch, size, dtype = sign.shape, factor.shape[-1], sign.dtype
    if 0 in batch:
        return []
    outer = _stack(batch, factor, pivots, sign, logarithm)
    words = [factor, pivots, sign, logarithm, size, *outer_words(outer)]
    code = determinant_kernel(dtype, _library().integer_bits)
    return [call_of(code, words, node, 10.0 * math.prod(batch) * size)]


def _det(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    if _has_small_determinants(inputs[0]):
        return _small_determinant(node, determinant, inputs[0], (output,), scratch)
    sign, logarithm = (scratch(output.shape, output.dtype) for _ in range(2))
    count = math.prod(output.shape)
    words = [sign, logarithm, output, count]
    raised = call_of(exponential_kernel(output.dtype), words, node, 10.0 * count)
    return [*_logarithm(node, inputs[0], sign, logarithm, scratch), raised]


# Eigenvalues, singular values, orthogonal factors


def _eigenvalues(
    node: Node, inputs: Views, outputs: BufferView | tuple[BufferView, ...], scratch: Scratch
) -> Calls:
    """Lower eigh and eigvalsh, which read the lower triangle."""
    views = outputs if isinstance(outputs, tuple) else (outputs,)
    values, matrix = views[0], inputs[0]
    batch, size, dtype = values.shape[:-1], values.shape[-1], values.dtype
    if 0 in values.shape:
        return []
    vectors = scratch((*batch, size, size), dtype)
    counts = 1 + 6 * size + 2 * size**2, 3 + 5 * size
    room, whole = _rooms(batch, scratch, dtype, *counts)
    arguments: list[Argument] = ["V" if len(views) == 2 else "N", "L", size, vectors, size, values]
    arguments += [room, counts[0], whole, counts[1], None]
    outer = _stack(batch, vectors, values, room, whole)
    work = 9 * _PER_TERM * size**3
    return [
        *copy(node, matrix, _transposed(vectors)),
        _call(node, "syevd", arguments, outer, work, fails=True),
        *(copy(node, _transposed(vectors), views[1]) if len(views) == 2 else ()),
    ]


def _singular_values(
    node: Node, inputs: Views, outputs: BufferView | tuple[BufferView, ...], scratch: Scratch
) -> Calls:
    """Lower svd and svdvals."""
    is_whole = isinstance(outputs, tuple)
    views, matrix = outputs if isinstance(outputs, tuple) else (outputs,), inputs[0]
    values = views[1] if is_whole else views[0]
    (*batch, rows, columns), dtype = matrix.shape, values.dtype
    if 0 in matrix.shape:
        return []
    rank = min(rows, columns)
    given = scratch((*batch, columns, rows), dtype)
    left, right = scratch((*batch, rank, rows), dtype), scratch((*batch, columns, rank), dtype)
    counts = 4 * rank**2 + 7 * rank + _BLOCK * max(rows, columns), 8 * rank
    room, whole = _rooms(tuple(batch), scratch, dtype, *counts)
    arguments: list[Argument] = ["S" if is_whole else "N", rows, columns, given, rows, values]
    arguments += [left, rows, right, rank, room, counts[0], whole, None]
    outer = _stack(tuple(batch), given, values, left, right, room, whole)
    work = 22 * _PER_TERM * rank * rows * columns
    return [
        *copy(node, matrix, _transposed(given)),
        _call(node, "gesdd", arguments, outer, work, fails=True),
        *(copy(node, _transposed(left), views[0]) if is_whole else ()),
        *(copy(node, _transposed(right), views[2]) if is_whole else ()),
    ]


def _qr(
    node: Node, inputs: Views, outputs: tuple[BufferView, BufferView], scratch: Scratch
) -> Calls:
    """Lower qr: reflections, of which R is the upper triangle and Q the product."""
    (matrix,), (q, r) = inputs, outputs
    (*batch, rows, columns), dtype = matrix.shape, q.dtype
    if 0 in matrix.shape:
        return []
    rank, count = min(rows, columns), _BLOCK * columns
    given, factors = scratch((*batch, columns, rows), dtype), scratch((*batch, rank), dtype)
    room, _ = _rooms(tuple(batch), scratch, dtype, count, 0)
    outer, work = _stack(tuple(batch), given, factors, room), 2 * _PER_TERM * rank * rows * columns
    rest: list[Argument] = [given, rows, factors, room, count, None]
    first = _transposed(part(given, len(batch), 0, rank))
    return [
        *copy(node, matrix, _transposed(given)),
        _call(node, "geqrf", [rows, columns, *rest], outer, work, fails=True),
        *triangle(node, part(_transposed(given), len(batch), 0, rank), r, lower=False),
        _call(node, "orgqr", [rows, rank, rank, *rest], outer, work, fails=True),
        *copy(node, first, q),
    ]


# Factors that several ops share


def _lu_factors(
    node: Node, inputs: Views, outputs: tuple[BufferView, BufferView], scratch: Scratch
) -> Calls:
    target, pivots = outputs
    if 0 in target.shape:
        return []
    if not _has_small_determinants(target):
        return _factorised(node, inputs[0], *outputs)
    source, before = converted(node, inputs[0], scratch, target.dtype)
    views = _transposed(source), _transposed(target), as_rows(pivots)
    return [*before, small_call(node, factors, views, _SMALL * target.shape[-1] ** 2)]


def _solve_factored(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower a solve by the factors of the transpose of the matrix."""
    op, (factors, pivots, right) = node.op, inputs
    assert isinstance(op, SolveFactored)
    if _is_small_system(right, output):
        right, before = converted(node, right, scratch, output.dtype)
        _, (size, columns), right, solution = _as_columns(right, output)
        operation, work = solution_by_factors(op.transposed), _SMALL * size * columns
        return [*before, _by_small_factors(node, operation, inputs, (right, solution), work)]
    check = _check_diagonal(node, factors)
    if 0 in output.shape:
        return check
    factors, before = contiguous(node, factors, scratch)
    batch, (size, columns), right, solution = _as_columns(right, output)
    across = None if columns == 1 else scratch((*batch, columns, size), output.dtype)
    sides = solution if across is None else _transposed(across)
    factors = factors.broadcast_to((*batch, size, size))
    pivots = pivots.broadcast_to((*batch, size))
    arguments: list[Argument] = ["N" if op.transposed else "T", size, columns, factors, size]
    arguments += [pivots, sides, size, None]
    work = 2 * _PER_TERM * size * size * columns
    return [
        *check,
        *before,
        *copy(node, right, sides),
        _call(node, "getrs", arguments, _stack(batch, factors, pivots, sides), work, fails=True),
        *([] if sides is solution else copy(node, sides, solution)),
    ]


def _by_small_factors(
    node: Node, operation: Write, factored: Views, views: Views, work: float
) -> KernelCall:
    """Return the call of an operation on the factors of small matrices, and on other views."""
    batch, (factors, pivots) = views[-1].shape[:-2], factored[:2]
    size = factors.shape[-1]
    factors = _transposed(factors).broadcast_to((*batch, size, size))
    swaps = as_rows(pivots).broadcast_to((*batch, 1, size))
    return small_call(node, operation, (factors, swaps, *views), work)


def _inverse_factored(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    if 0 in output.shape:
        return []
    if _has_small_determinants(output):
        work = _SMALL * output.shape[-1] ** 2
        return [_by_small_factors(node, inverse_by_factors, inputs, (output,), work)]
    pivots, before = contiguous(node, inputs[1], scratch)
    return [*copy(node, inputs[0], output), *before, _inverted(node, output, pivots, scratch)]


def _slogdet_factored(
    node: Node, inputs: Views, outputs: tuple[BufferView, BufferView], scratch: Scratch
) -> Calls:
    if _has_small_determinants(inputs[0]):
        views, work = tuple(map(as_matrices, outputs)), _SMALL * inputs[0].shape[-1]
        return [_by_small_factors(node, logarithm_by_factors, inputs, views, work)]
    pairs = [contiguous(node, view, scratch) for view in inputs]
    (factors, _), (pivots, _) = pairs
    return [c for _, calls in pairs for c in calls] + _read(node, factors, pivots, *outputs)


def _has_factors(node: Node) -> bool:
    """Return whether LAPACK's integers are those of arrays, which swaps are stored in."""
    found = library()
    return found is not None and found.integer_bits == 64 and _has_code(node)


def _rooms(
    batch: Shape, scratch: Scratch, dtype: np.dtype[Any], numbers: int, integers: int
) -> tuple[BufferView, BufferView]:
    """Return memory for numbers and integers that all matrices of a stack share."""
    pairs = (numbers, dtype), (integers, _INTEGER)
    first, second = (scratch((n,), kind).broadcast_to((*batch, n)) for n, kind in pairs)
    return first, second


def _has_code(node: Node) -> bool:
    """Return whether there is a LAPACK that supports such sizes."""
    found = library()
    if found is None:
        return False
    result = node.dtype if isinstance(node.type, TensorType) else node.inputs[0].dtype
    sizes = [_BLOCK * math.prod(shape_of(source)[-2:]) for source in node.inputs]
    return found.takes(*sizes) and all(converts(x.dtype, result) for x in node.inputs)


TABLE: dict[type[Op], Lower] = {
    Cholesky: _cholesky,
    SolveTriangular: _solve_triangular,
    Solve: _solve,
    Inv: _inv,
    Det: _det,
    Slogdet: _slogdet,  # type: ignore[dict-item]
    Eigh: _eigenvalues,
    Eigvalsh: _eigenvalues,
    SVD: _singular_values,
    Svdvals: _singular_values,
    QR: _qr,  # type: ignore[dict-item]
    LUFactors: _lu_factors,  # type: ignore[dict-item]
    SolveFactored: _solve_factored,
    InverseFactored: _inverse_factored,
    SlogdetFactored: _slogdet_factored,  # type: ignore[dict-item]
}
"""The lowering function of each op; an op with several results gets a tuple of views."""

_FACTORED = LUFactors, SolveFactored, InverseFactored, SlogdetFactored
CONDITIONS: dict[type[Op], Condition] = {
    kind: _has_factors if kind in _FACTORED else _has_code for kind in TABLE
}
