"""The machine code of matrix products without BLAS.

It is used for small products with a vector, which are faster than a call, and for integers, which
wrap around like NumPy's.  One operand must be contiguous along the vectorised axis, which lowering
ensures.  Incomplete vectors are masked, so there are few loops and the compile time is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel

_TOGETHER = 4
"""The number of parallel sums, because each addition depends on the previous one."""
_MOST_SUMS = 16
"""The most parallel sums, because there are so many registers."""


def rows_kernel(dtype: np.dtype[Any], is_line: bool) -> Kernel:
    """Return the kernel of y_i = Σ_k A_ik x_k, where k has stride 1 in A and in x.

    Words: A, x, y, sizes of i and k, strides of i in A and in y, which is 1 if ``is_line``.
    """
    name = f"rows {'line ' if is_line else ''}{dtype.str}"
    return kernel(name, lambda writer: _write_rows(writer, dtype, is_line))


def _write_rows(writer: KernelWriter, dtype: np.dtype[Any], is_line: bool) -> None:
    builder, vectors = writer.builder, Vectors(writer, dtype)
    matrix, vector, out = map(writer.address, range(3))
    size, summed, step, out_step = writer.words(3, 4)
    is_line = is_line and vectors.lanes <= _MOST_SUMS
    together = max(_TOGETHER, vectors.lanes) if is_line else _TOGETHER
    with writer.loop(writer.integer(0), size, together) as first:
        rows = _neighbours(writer, first, size, together=together)
        starts = [writer.element(matrix, builder.mul(row, step), vectors.item) for row in rows]
        totals = [writer.variable(vectors.zero()) for _ in rows]
        with writer.loop(writer.integer(0), summed, vectors.lanes) as k:
            mask = vectors.mask(builder.sub(summed, k))
            x = vectors.load(vector, k, mask)
            for start, total in zip(starts, totals, strict=True):
                product = vectors.multiply_add(vectors.load(start, k, mask), x, builder.load(total))
                builder.store(product, total)
        sums = [builder.load(total) for total in totals]
        if not is_line:
            for row, total in zip(rows, sums, strict=True):
                place = writer.element(out, builder.mul(row, out_step), vectors.item)
                builder.store(vectors.total(total), place)
        for begin in range(0, together if is_line else 0, vectors.lanes):
            index = builder.add(first, writer.integer(begin))
            made = vectors.totals(sums[begin : begin + vectors.lanes])
            vectors.store(made, out, index, vectors.mask(builder.sub(size, index)))


def columns_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel of y_j = Σ_k x_k B_kj, where j has stride 1 in B and in y.

    Words: x, B, y, sizes of j and k, strides of k in x and in B.
    """
    return kernel(f"columns {dtype.str}", lambda writer: _write_columns(writer, dtype))


def _write_columns(writer: KernelWriter, dtype: np.dtype[Any]) -> None:
    builder, vectors = writer.builder, Vectors(writer, dtype)
    vector, matrix, out = map(writer.address, range(3))
    size, summed, vector_step, step = writer.words(3, 4)
    with writer.loop(writer.integer(0), size, _TOGETHER * vectors.lanes) as first:
        columns = _neighbours(writer, first, size, vectors.lanes)
        masks = [vectors.mask(builder.sub(size, column)) for column in columns]
        totals = [writer.variable(vectors.zero()) for _ in columns]
        with writer.loop(writer.integer(0), summed) as k:
            factor = vectors.repeat(vector, builder.mul(k, vector_step))
            row = writer.element(matrix, builder.mul(k, step), vectors.item)
            for column, mask, total in zip(columns, masks, totals, strict=True):
                terms = vectors.load(row, column, mask)
                product = vectors.multiply_add(factor, terms, builder.load(total))
                builder.store(product, total)
        for column, mask, total in zip(columns, masks, totals, strict=True):
            vectors.store(builder.load(total), out, column, mask)


def tiles_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel of C_ij = Σ_k A_ik B_kj, where j has stride 1 in B and in C.

    Words: A, B, C, sizes of i, j and k, strides of i and k in A, of k in B, of i in C, then the
    outer axes of A, B and C.
    """
    return kernel(f"tiles {dtype.str}", lambda writer: _write_tiles(writer, dtype))


def _write_tiles(writer: KernelWriter, dtype: np.dtype[Any]) -> None:
    builder, vectors = writer.builder, Vectors(writer, dtype)
    height, width, summed, row_step, left_step, right_step, out_step = writer.words(3, 7)
    with writer.walk(10, 3) as offsets:
        left, right, out = (
            writer.element(writer.address(k), offset, vectors.item)
            for k, offset in enumerate(offsets)
        )
        with writer.loop(writer.integer(0), height, _TOGETHER) as first:
            rows = _neighbours(writer, first, height)
            starts = [
                writer.element(left, builder.mul(row, row_step), vectors.item) for row in rows
            ]
            with writer.loop(writer.integer(0), width, vectors.lanes) as column:
                mask = vectors.mask(builder.sub(width, column))
                totals = [writer.variable(vectors.zero()) for _ in rows]
                with writer.loop(writer.integer(0), summed) as k:
                    index = builder.add(builder.mul(k, right_step), column)
                    terms = vectors.load(right, index, mask)
                    step = builder.mul(k, left_step)
                    for start, total in zip(starts, totals, strict=True):
                        factor = vectors.repeat(start, step)
                        product = vectors.multiply_add(factor, terms, builder.load(total))
                        builder.store(product, total)
                for row, total in zip(rows, totals, strict=True):
                    index = builder.add(builder.mul(row, out_step), column)
                    vectors.store(builder.load(total), out, index, mask)


def _neighbours(
    writer: KernelWriter, first: Any, size: Any, step: int = 1, together: int = _TOGETHER
) -> Sequence[Any]:
    """Return the indices of rows that are computed together; at the end, the last repeats."""
    builder = writer.builder
    last = builder.and_(builder.sub(size, writer.integer(1)), writer.integer(-step))
    following = (builder.add(first, writer.integer(k * step)) for k in range(together))
    return [writer.minimum(row, last) for row in following]
