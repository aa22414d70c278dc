"""The machine code for factorised matrices: determinants, and the check for zero pivots."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import Scalar


def determinant_kernel(dtype: np.dtype[Any], integer_bits: int) -> Kernel:
    """Return the kernel for sign and logarithm of the determinant of P L U, from its factors.

    Words: L and U, the pivots of P, sign, logarithm, number of rows; the outer axes of the four.
    If U has a zero on its diagonal, sign and logarithm are 0 and −∞; if an element of L or U is not
    finite, they are NaN.
    """
    name = f"determinant {dtype.str} {integer_bits}"
    return kernel(name, lambda writer: _write_determinant(writer, dtype, integer_bits))


def _write_determinant(writer: KernelWriter, dtype: np.dtype[Any], integer_bits: int) -> None:
    builder, s, zero = writer.builder, writer.scalars, writer.integer(0)
    integer, size = np.dtype(f"i{integer_bits // 8}"), writer.word(4)
    dtypes = (dtype, np.dtype("int64"), dtype, dtype)
    nothing, one = s.constant(0, dtype), s.constant(1, dtype)
    with writer.walk(5, 4) as offsets:
        matrix, pivots, sign, logarithm = (
            writer.element(writer.address(k), offset, writer.stored(kind))
            for k, (offset, kind) in enumerate(zip(offsets, dtypes, strict=True))
        )
        signs = writer.variable(one.value)
        total = writer.variable(nothing.value)
        with writer.loop(zero, size) as row:
            step = builder.add(size, writer.integer(1))
            pivot = writer.load(matrix, builder.mul(row, step), dtype)
            swapped = s.cast(writer.load(pivots, row, integer), np.dtype("int64"))
            is_swap = builder.icmp_signed("!=", swapped.value, builder.add(row, writer.integer(1)))
            flips = builder.xor(is_swap, s.less(pivot, nothing).value)
            so_far = writer.scalar(signs, dtype)
            flipped = builder.select(flips, s.negate(so_far).value, so_far.value)
            is_zero = s.equal(pivot, nothing).value
            builder.store(builder.select(is_zero, nothing.value, flipped), signs)
            added = s.add(writer.scalar(total, dtype), s.call("log", s.call("fabs", pivot)))
            builder.store(added.value, total)
        unknown = Scalar(_sum_of_zeros(writer, dtype, matrix, builder.mul(size, size)), dtype)
        is_singular = s.equal(writer.scalar(signs, dtype), nothing)
        unsigned = s.select(is_singular, nothing, writer.scalar(signs, dtype))  # not -0
        infinite = s.select(is_singular, s.constant(-np.inf, dtype), writer.scalar(total, dtype))
        writer.store(s.add(unsigned, unknown), sign, zero)
        writer.store(s.add(infinite, unknown), logarithm, zero)


def _sum_of_zeros(writer: KernelWriter, dtype: np.dtype[Any], start: Any, size: Any) -> Any:
    """Return the sum of the products of elements with 0: NaN if one is NaN or infinite, else 0."""
    vectors = Vectors(writer, dtype)
    zero = vectors.zero()
    total = writer.variable(zero)

    def write(index: Any, left: Any) -> None:
        row = vectors.load(start, index, None if left is None else vectors.mask(left))
        added = vectors.multiply_add(row, zero, writer.builder.load(total, typ=vectors.type))
        writer.builder.store(added, total)

    vectors.over(size, write)
    return vectors.total(writer.builder.load(total, typ=vectors.type))


def exponential_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel of y = s exp(l) for contiguous arrays.  Words: s, l, y, their size."""

    def write(writer: KernelWriter) -> None:
        sign, logarithm, out = map(writer.address, range(3))
        with writer.loop(writer.integer(0), writer.word(3)) as index:
            grown = writer.scalars.call("exp", writer.load(logarithm, index, dtype))
            product = writer.scalars.multiply(writer.load(sign, index, dtype), grown)
            writer.store(product, out, index)

    return kernel(f"exponential {dtype.str}", write)


def diagonal_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel that fails if the diagonal of a matrix contains a zero.

    Words: matrix, its rows, the stride of its diagonal; the outer axes.
    """

    def write(writer: KernelWriter) -> None:
        builder, zero = writer.builder, writer.integer(0)
        size, step = writer.words(1, 2)
        nothing = writer.scalars.constant(0, dtype)
        with writer.walk(3, 1) as (offset,):
            matrix = writer.element(writer.address(0), offset, writer.stored(dtype))
            with writer.loop(zero, size) as row:
                element = writer.load(matrix, builder.mul(row, step), dtype)
                is_zero = writer.scalars.equal(element, nothing)
                writer.fail(is_zero.value)

    return kernel(f"diagonal {dtype.str}", write)
