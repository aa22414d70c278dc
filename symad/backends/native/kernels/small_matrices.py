"""The machine code of linear algebra on small matrices, without BLAS and LAPACK.

The sizes and strides of the matrices are part of the code, in which all loops are unrolled, and a
row is one vector.  A kernel fails, so that NumPy decides, where LAPACK reports an error or would
divide by a number whose inverse overflows.

Words of all kernels: the addresses of the operands and results, then, for stacks of matrices, their
outer axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from symad.backends.native.jit import Effort
from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import Scalar


class MatrixLayout(NamedTuple):
    """The size of a matrix and its strides, in elements."""

    rows: int
    columns: int
    row_step: int
    column_step: int


Write = Callable[..., None]


def small_kernel(
    operation: Write,
    dtypes: Sequence[np.dtype[Any]],
    layouts: Sequence[MatrixLayout],
    is_stack: bool,
) -> Kernel:
    """Return the kernel of an operation on matrices with these layouts.

    Parameters
    ----------
    operation : callable
        One of the functions below; it takes the writer and a matrix for each layout.
    dtypes : sequence of dtype
    layouts : sequence of MatrixLayout
    is_stack : bool
        Whether there are outer axes.
    """
    kinds = " ".join(dtype.str for dtype in dtypes)
    name = f"{operation.__name__} {kinds} {is_stack} {[tuple(x) for x in layouts]}"

    def write(writer: KernelWriter) -> None:
        with _each(writer, dtypes, is_stack) as starts:
            views = zip(dtypes, starts, layouts, strict=True)
            operation(writer, *[_Matrix(writer, *view) for view in views])

    return kernel(name, write, Effort.FULL)  # elements of rows move from memory to registers


@contextmanager
def _each(
    writer: KernelWriter, dtypes: Sequence[np.dtype[Any]], is_stack: bool
) -> Iterator[list[Any]]:
    """Repeat the enclosed code for each matrix of the stacks; yield the addresses."""
    count = len(dtypes)
    starts = [writer.address(k) for k in range(count)]
    if not is_stack:
        yield starts
        return
    with writer.walk(count, count) as offsets:
        places = zip(starts, offsets, map(writer.stored, dtypes), strict=True)
        yield [writer.element(*place) for place in places]


class _Matrix:
    """A matrix in memory."""

    def __init__(
        self, writer: KernelWriter, dtype: np.dtype[Any], start: Any, layout: MatrixLayout
    ) -> None:
        self.writer, self.dtype, self._start, self._layout = writer, dtype, start, layout
        self.rows, self.columns = layout.rows, layout.columns

    def vectors(self, lanes: int) -> Vectors:
        return Vectors(self.writer, self.dtype, lanes)

    def get(self, row: int, column: int) -> Scalar:
        """Return an element."""
        return self.writer.load(self._start, self._place(row, column), self.dtype)

    def get_turned(self, row: int, column: int) -> Scalar:
        """Return an element of the transpose."""
        return self.get(column, row)

    def set(self, row: int, column: int, value: Scalar) -> None:
        """Set an element."""
        self.writer.store(value, self._start, self._place(row, column))

    def row(self, row: int, lanes: int, first: int = 0) -> Any:
        """Return a vector with a row in the lanes from ``first`` on, and zeros in the others."""
        vectors = self.vectors(lanes)
        if self._layout.column_step == 1:
            mask = vectors.lane_mask(first, self.columns)
            return vectors.load(self._start, self._place(row, -first), mask)
        elements = [self.get(row, column).value for column in range(self.columns)]
        return vectors.of_elements(elements, first)

    def set_row(self, row: int, vector: Any, lanes: int) -> None:
        """Set a row to the first lanes of a vector."""
        vectors = self.vectors(lanes)
        if self._layout.column_step == 1:
            mask = vectors.lane_mask(0, self.columns)
            vectors.store(vector, self._start, self._place(row, 0), mask)
            return
        for column in range(self.columns):
            self.set(row, column, Scalar(vectors.element(vector, column), self.dtype))

    def _place(self, row: int, column: int) -> Any:
        step = self._layout
        return self.writer.integer(row * step.row_step + column * step.column_step)


class _IdentityMatrix(_Matrix):
    """An identity matrix, which is not in memory."""

    def __init__(self, like: _Matrix) -> None:
        layout = MatrixLayout(like.rows, like.rows, 0, 0)
        super().__init__(like.writer, like.dtype, None, layout)

    def get(self, row: int, column: int) -> Scalar:
        return self.writer.scalars.constant(int(row == column), self.dtype)


def _lanes(count: int) -> int:
    """Return the number of lanes for so many elements: a power of two."""
    return 1 << (count - 1).bit_length()


# Products


def product(writer: KernelWriter, left: _Matrix, right: _Matrix, out: _Matrix) -> None:
    """Write C = A B."""
    lanes = _lanes(right.columns)
    vectors = right.vectors(lanes)
    rows = [right.row(k, lanes) for k in range(right.rows)]
    totals = []
    for i in range(left.rows):
        total = vectors.zero()
        for k, row in enumerate(rows):
            total = vectors.multiply_add(vectors.spread(left.get(i, k).value), row, total)
        totals.append(total)
    for i, total in enumerate(totals):
        out.set_row(i, total, lanes)


# Factors and systems


def cholesky(writer: KernelWriter, given: _Matrix, out: _Matrix) -> None:
    """Write the lower factor L of A = L Lᵀ, from the lower triangle of A."""
    s, size = writer.scalars, given.rows
    factor: dict[tuple[int, int], Scalar] = {}
    for j in range(size):
        sums = [given.get(i, j) for i in range(j, size)]
        for k in range(j):
            turned = s.negate(factor[j, k])
            sums = [s.multiply_add(factor[i, k], turned, x) for i, x in enumerate(sums, j)]
        one, nothing = s.constant(1, given.dtype), s.constant(0, given.dtype)
        writer.fail(s.less_equal(sums[0], nothing).value)
        factor[j, j] = s.call("sqrt", sums[0])
        inverse = s.divide(one, factor[j, j])
        for i, x in enumerate(sums[1:], j + 1):
            factor[i, j] = s.multiply(x, inverse)
    for i in range(size):
        for j in range(size):
            out.set(i, j, factor.get((i, j), nothing))


def substitution(lower: bool, unit: bool) -> Write:
    """Return the function that writes the solution X of A X = B for a triangular matrix A."""

    def write(writer: KernelWriter, given: _Matrix, right: _Matrix, out: _Matrix) -> None:
        lanes, size = _lanes(right.columns), given.rows
        order = range(size) if lower else range(size - 1, -1, -1)
        inverses = {} if unit else {i: _inverse(writer, given.get(i, i)) for i in order}
        solutions = _substituted(
            right.vectors(lanes), given.get, {i: right.row(i, lanes) for i in order}, inverses
        )
        for i, solution in solutions.items():
            out.set_row(i, solution, lanes)

    write.__name__ = f"{'lower' if lower else 'upper'} {'unit ' if unit else ''}substitution"
    return write


def _inverse(writer: KernelWriter, x: Scalar) -> Scalar:
    """Return 1 / x; fail if that might overflow."""
    s = writer.scalars
    least = s.constant(np.finfo(x.dtype).tiny, x.dtype)
    writer.fail(s.less(s.call("fabs", x), least).value)
    return s.divide(s.constant(1, x.dtype), x)


def _quotient(s: Any, divisor: Scalar, inverse: Scalar, x: Scalar) -> Scalar:
    """Return x / divisor as a division rounds it, so that a multiple of a row leaves zeros."""
    near = s.multiply(x, inverse)
    rest = s.multiply_add(s.negate(near), divisor, x)
    return s.multiply_add(rest, inverse, near)  # type: ignore[no-any-return]


def _substituted(
    vectors: Vectors,
    element: Callable[[int, int], Scalar],
    rows: dict[int, Any],
    inverses: dict[int, Scalar],
) -> dict[int, Any]:
    """Return the rows of X in A X = B, from those of B, in the order in which they are solved."""
    solved: dict[int, Any] = {}
    for i, row in rows.items():
        for k, solution in solved.items():
            factor = vectors.spread(vectors.builder.fneg(element(i, k).value))
            row = vectors.multiply_add(factor, solution, row)
        if i in inverses:
            row = vectors.multiply(vectors.spread(inverses[i].value), row)
        solved[i] = row
    return solved


class _Elimination:
    """Gaussian elimination with partial pivoting on the rows of [A B], which are on the stack.

    Attributes
    ----------
    chosen : list
        For each pivot, the number of the row that was swapped with its row.
    """

    def __init__(self, given: _Matrix, right: _Matrix | None = None) -> None:
        self._writer, self._size, self._dtype = given.writer, given.rows, given.dtype
        self._lanes = _lanes(given.columns + (0 if right is None else right.columns))
        self._vectors = given.vectors(self._lanes)
        self._memory = self._writer.space(self._vectors.type, self._size)
        self.chosen: list[Any] = []
        for i in range(self._size):
            row = given.row(i, self._lanes)
            if right is not None:
                added = right.row(i, self._lanes, given.columns)
                row = self._vectors.merged(row, added, given.columns)
            self._set(self._writer.integer(i), row)

    def element(self, row: int, column: int) -> Scalar:
        """Return an element of what has become of A."""
        place = self._writer.integer(row * self._lanes + column)
        return self._writer.load(self._memory, place, self._dtype)

    def right_row(self, row: int, vectors: Vectors, columns: int) -> Any:
        """Return a row of what has become of B."""
        place = self._writer.integer(row * self._lanes + self._size)
        return vectors.load(self._memory, place, vectors.lane_mask(0, columns))

    def pivot(self, k: int) -> Scalar:
        """Swap the row with the largest element below to place ``k``, and return this element."""
        writer, s = self._writer, self._writer.scalars
        chosen, value = writer.integer(k), s.call("fabs", self.element(k, k))
        for i in range(k + 1, self._size):
            other = s.call("fabs", self.element(i, k))
            is_larger = s.less(value, other)
            chosen = writer.builder.select(is_larger.value, writer.integer(i), chosen)
            value = s.select(is_larger, other, value)
        self.chosen.append(chosen)
        row, displaced = self._get(chosen), self._get(writer.integer(k))
        self._set(chosen, displaced)
        self._set(writer.integer(k), row)
        return self.element(k, k)

    def row(self, row: int) -> Any:
        """Return a row of what has become of [A B]."""
        return self._get(self._writer.integer(row))

    def eliminate(
        self, k: int, share: Callable[[Scalar], Scalar], is_kept: bool = False
    ) -> None:
        """Subtract a share of the row of a pivot from each row below.

        ``share`` gives it from the element below the pivot, and may be kept in place of it.  The
        product is rounded: what is left of dependent rows or columns would hardly ever be 0 else.
        """
        vectors, row = self._vectors, self._get(self._writer.integer(k))
        for i in range(k + 1, self._size):
            below = self._get(self._writer.integer(i))
            part = share(self.element(i, k))
            factor = self._writer.scalars.negate(part).value
            taken = vectors.add(vectors.multiply(vectors.spread(factor), row), below)
            if is_kept:
                below = vectors.with_element(below, k, part.value)
                taken = vectors.merged(below, taken, k + 1)
            self._set(self._writer.integer(i), taken)

    def _get(self, row: Any) -> Any:
        place = self._writer.builder.mul(row, self._writer.integer(self._lanes))
        return self._vectors.load(self._memory, place)

    def _set(self, row: Any, vector: Any) -> None:
        place = self._writer.builder.mul(row, self._writer.integer(self._lanes))
        self._vectors.store(vector, self._memory, place)


def elimination(writer: KernelWriter, given: _Matrix, right: _Matrix, out: _Matrix) -> None:
    """Write the solution X of A X = B."""
    _solve(given, right, out)


def inverse(writer: KernelWriter, given: _Matrix, out: _Matrix) -> None:
    """Write the inverse of A, the solution of A X = I."""
    _solve(given, _IdentityMatrix(given), out)


def _solve(given: _Matrix, right: _Matrix, out: _Matrix) -> None:
    work, s, inverses = _Elimination(given, right), given.writer.scalars, {}
    for k in range(given.rows):
        pivot = work.pivot(k)
        inverses[k] = _inverse(given.writer, pivot)
        work.eliminate(k, partial(_quotient, s, pivot, inverses[k]))
    lanes = _lanes(right.columns)
    vectors = right.vectors(lanes)
    order = reversed(range(given.rows))
    rows = {i: work.right_row(i, vectors, right.columns) for i in order}
    for i, row in _substituted(vectors, work.element, rows, inverses).items():
        out.set_row(i, row, lanes)


# Determinants


def determinant(writer: KernelWriter, given: _Matrix, out: _Matrix) -> None:
    """Write the determinant."""
    found, s = _Determinant(given, _pivots(given)), writer.scalars

    def by_logarithms() -> Scalar:
        return s.multiply(found.sign, s.call("exp", found.sum_of_logarithms()))

    plain = s.multiply(found.sign, found.size)
    out.set(0, 0, s.add(s.unless(found.is_plain, plain, by_logarithms), found.unknown))


def sign_and_logarithm(
    writer: KernelWriter, given: _Matrix, sign: _Matrix, logarithm: _Matrix
) -> None:
    """Write the sign of the determinant, and the logarithm of its absolute value."""
    _write_logarithm(_Determinant(given, _pivots(given)), sign, logarithm)


def _write_logarithm(found: _Determinant, sign: _Matrix, logarithm: _Matrix) -> None:
    s = sign.writer.scalars
    total = s.unless(found.is_plain, s.call("log", found.size), found.sum_of_logarithms)
    sign.set(0, 0, s.add(found.sign, found.unknown))
    logarithm.set(0, 0, s.add(total, found.unknown))


def _pivots(given: _Matrix) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the pivots of a matrix, and whether rows were swapped for them."""
    work, s = _Elimination(given), given.writer.scalars
    for k in range(given.rows):
        pivot = work.pivot(k)
        divisor = _divisor(s, pivot)
        work.eliminate(k, lambda x, by=divisor: s.divide(x, by))  # type: ignore[misc]
        yield pivot, _differs(given.writer, work.chosen[k], k)


def _divisor(s: Any, pivot: Scalar) -> Scalar:
    """Return a pivot, or 1 instead of 0, below which there are zeros."""
    nothing, one = (s.constant(k, pivot.dtype) for k in (0, 1))
    return s.select(s.equal(pivot, nothing), one, pivot)  # type: ignore[no-any-return]


def _differs(writer: KernelWriter, row: Any, k: int) -> Scalar:
    return Scalar(writer.builder.icmp_signed("!=", row, writer.integer(k)), np.dtype(bool))


class _Determinant:
    """The determinant of a matrix, from its pivots and whether rows were swapped for them.

    Attributes
    ----------
    unknown : Scalar
        NaN if an element of the matrix, or of its factors, is NaN or infinite, else 0.
    sign : Scalar
        0 for a singular matrix.
    size : Scalar
        The absolute value, as the product of the pivots.
    is_plain : Scalar
        Whether no partial product overflows or loses digits.
    """

    def __init__(self, given: _Matrix, pivots: Iterable[tuple[Scalar, Scalar]]) -> None:
        s, self._dtype = given.writer.scalars, given.dtype
        self.unknown = Scalar(_sum_of_zeros(given), given.dtype)
        self._scalars, self._sizes, pairs = s, list[Scalar](), list(pivots)
        nothing, one = (s.constant(k, self._dtype) for k in (0, 1))
        self.sign, self.size, self.is_plain = one, one, s.equal(one, one)
        for pivot, is_swapped in pairs:
            is_zero = s.equal(pivot, nothing)
            flips = s.bitwise_xor(is_swapped, s.less(pivot, nothing))
            flipped = s.select(flips, s.negate(self.sign), self.sign)
            self.sign = s.select(is_zero, nothing, flipped)
            self._sizes.append(s.call("fabs", pivot))
            self.size = s.multiply(self.size, self._sizes[-1])
            self.is_plain = s.logical_and(self.is_plain, self._is_normal(self.size))

    def _is_normal(self, x: Scalar) -> Scalar:
        s, limits = self._scalars, np.finfo(self._dtype)
        least, most = (s.constant(limit, self._dtype) for limit in (limits.tiny, limits.max))
        return s.logical_and(s.less_equal(least, x), s.less_equal(x, most))

    def sum_of_logarithms(self) -> Scalar:
        """Return the logarithm of the absolute value, as a sum; −∞ for a singular matrix."""
        first, *others = [self._scalars.call("log", size) for size in self._sizes]
        return reduce(self._scalars.add, others, first)


def _sum_of_zeros(given: _Matrix) -> Any:
    """Return the sum of the products of all elements with 0."""
    vectors = given.vectors(_lanes(given.columns))
    total = zero = vectors.zero()
    for row in range(given.rows):
        total = vectors.multiply_add(given.row(row, vectors.lanes), zero, total)
    return vectors.total(total)


# Factors that several ops share: those of Aᵀ = Pᵀ L U, in the words of LAPACK


def factors(writer: KernelWriter, given: _Matrix, out: _Matrix, swaps: _Matrix) -> None:
    """Write the factors L and U of a matrix, and the rows swapped for the pivots, from 1 on."""
    work, s = _Elimination(given), writer.scalars
    for k in range(given.rows):
        divisor = _divisor(s, work.pivot(k))
        share = partial(_quotient, s, divisor, _inverse(writer, divisor))
        work.eliminate(k, share, is_kept=True)
        number = writer.builder.add(work.chosen[k], writer.integer(1))
        swaps.set(0, k, Scalar(number, swaps.dtype))
    for i in range(given.rows):
        out.set_row(i, work.row(i), _lanes(given.columns))


def solution_by_factors(is_transposed: bool) -> Write:
    """Return the function that writes the solution X of A X = B, or of Aᵀ X = B."""

    def write(
        writer: KernelWriter, given: _Matrix, swaps: _Matrix, right: _Matrix, out: _Matrix
    ) -> None:
        numbers, lanes = range(given.rows), _lanes(right.columns)
        vectors = right.vectors(lanes)
        inverses = {i: _inverse(writer, given.get(i, i)) for i in numbers}
        rows = {i: right.row(i, lanes) for i in numbers}
        if is_transposed:  # L U X = P B
            rows = _swapped(vectors, rows, swaps, numbers)
            rows = _substituted(vectors, given.get, rows, {})
            rows = _substituted(vectors, given.get, _turned(rows), inverses)
        else:  # Uᵀ Lᵀ P X = B
            rows = _substituted(vectors, given.get_turned, rows, inverses)
            rows = _substituted(vectors, given.get_turned, _turned(rows), {})
            rows = _swapped(vectors, rows, swaps, numbers[::-1])
        for i, row in rows.items():
            out.set_row(i, row, lanes)

    write.__name__ = f"solution by factors {is_transposed}"
    return write


def inverse_by_factors(
    writer: KernelWriter, given: _Matrix, swaps: _Matrix, out: _Matrix
) -> None:
    """Write the inverse of A."""
    solution_by_factors(False)(writer, given, swaps, _IdentityMatrix(given), out)


def logarithm_by_factors(
    writer: KernelWriter, given: _Matrix, swaps: _Matrix, sign: _Matrix, logarithm: _Matrix
) -> None:
    """Write the sign of the determinant, and the logarithm of its absolute value."""
    pairs = [
        (given.get(k, k), _differs(writer, swaps.get(0, k).value, k + 1))
        for k in range(given.rows)
    ]
    _write_logarithm(_Determinant(given, pairs), sign, logarithm)


def _turned(rows: dict[int, Any]) -> dict[int, Any]:
    return dict(reversed(rows.items()))


def _swapped(
    vectors: Vectors, rows: dict[int, Any], swaps: _Matrix, order: Sequence[int]
) -> dict[int, Any]:
    """Return rows in another order: each in turn is swapped with the one that is given for it."""
    writer = vectors.writer
    memory = writer.space(vectors.type, len(rows))

    def place(row: Any) -> Any:
        return writer.builder.mul(row, writer.integer(vectors.lanes))

    places = {i: place(writer.integer(i)) for i in sorted(rows)}
    for i, row in rows.items():
        vectors.store(row, memory, places[i])
    for k in order:
        other = place(writer.builder.sub(swaps.get(0, k).value, writer.integer(1)))
        row, displaced = (vectors.load(memory, at) for at in (other, places[k]))
        vectors.store(displaced, memory, other)
        vectors.store(row, memory, places[k])
    return {i: vectors.load(memory, at) for i, at in places.items()}
