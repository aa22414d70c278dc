"""The machine code of strided copies, fills and triangles."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from symad.backends.native.jit import Effort
from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel, stored_type
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar


def lines_kernel() -> Kernel:
    """Return the kernel that copies lines of bytes.

    Words: source, target, length of a line; the outer axes of both, with strides in bytes.
    """
    return kernel("copy lines", _write_lines, Effort.QUICK)


def _write_lines(writer: KernelWriter) -> None:
    length = writer.word(2)
    with writer.walk(3, 2) as offsets:
        source, target = (
            writer.element(writer.address(k), offset, writer.byte)
            for k, offset in enumerate(offsets)
        )
        writer.copy_bytes(target, source, length)


def zeros_kernel() -> Kernel:
    """Return the kernel that sets a line of bytes to zero.  Words: target, length."""
    return kernel("zeros", lambda writer: writer.clear_bytes(writer.address(0), writer.word(1)))


def strided_kernel(source: np.dtype[Any], target: np.dtype[Any], repeats: bool = False) -> Kernel:
    """Return the kernel that copies elements and converts their dtype.

    Words: source, target, size of the inner axis, its stride in both; the outer axes of both.  With
    ``repeats`` the source is one number, which is stored in the word itself, without strides.
    """
    name = f"copy {'number ' if repeats else ''}{source.str} {target.str}"
    return kernel(name, lambda writer: _write_strided(writer, source, target, repeats))


def _write_strided(
    writer: KernelWriter, source: np.dtype[Any], target: np.dtype[Any], repeats: bool
) -> None:
    builder = writer.builder
    size, source_step, target_step = writer.words(2, 3)
    with writer.walk(5, 2) as (source_offset, target_offset):
        to = writer.element(writer.address(1), target_offset, stored_type(target))
        if repeats:
            number = writer.load(writer.place(0), writer.integer(0), source)
            value = writer.scalars.cast(number, target)
        else:
            begin = writer.element(writer.address(0), source_offset, stored_type(source))
        with writer.loop(writer.integer(0), size) as index:
            if not repeats:
                element = writer.load(begin, builder.mul(index, source_step), source)
                value = writer.scalars.cast(element, target)
            writer.store(value, to, builder.mul(index, target_step))


def repeats_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel that stores each element of a line several times in a row.

    Words: source, target, size of the line, its stride in both, how often; the outer axes of both.
    """
    return kernel(f"repeat {dtype.str}", lambda writer: _write_repeats(writer, dtype))


def numbers_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel that sets lines to one number.

    Words: the number, target, size of a line; the outer axes of the target.
    """
    return kernel(f"numbers {dtype.str}", lambda writer: _write_numbers(writer, dtype))


def _write_numbers(writer: KernelWriter, dtype: np.dtype[Any]) -> None:
    vectors, lines = Vectors(writer, dtype), _Lines(writer, dtype, writer.word(2))
    number = vectors.repeat(writer.place(0), writer.integer(0))
    with writer.walk(3, 1) as (offset,):
        lines.fill(number, writer.element(writer.address(1), offset, vectors.item))


class _Lines:
    """Lines of so many elements, which are set to one number."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], count: Any) -> None:
        self._writer, self._count, self._vectors = writer, count, Vectors(writer, dtype)
        builder, lanes = writer.builder, self._vectors.lanes
        self._whole = builder.and_(count, writer.integer(-lanes))
        rest = builder.sub(count, self._whole)
        self._mask = self._vectors.mask(rest)
        self._is_uneven = builder.icmp_signed(">", rest, writer.integer(0))

    def fill(self, number: Any, to: Any) -> None:
        """Set the elements of a line, which begins at an address, to a number in all lanes."""
        writer, vectors = self._writer, self._vectors
        with writer.loop(writer.integer(0), self._whole, vectors.lanes) as index:
            vectors.store(number, to, index)
        with writer.builder.if_then(self._is_uneven):
            vectors.store(number, to, self._whole, self._mask)


def _write_repeats(writer: KernelWriter, dtype: np.dtype[Any]) -> None:
    builder, vectors = writer.builder, Vectors(writer, dtype)
    size, source_step, target_step, count = writer.words(2, 4)
    lines = _Lines(writer, dtype, count)
    with writer.walk(6, 2) as (source_offset, target_offset):
        begin = writer.element(writer.address(0), source_offset, stored_type(dtype))
        with writer.loop(writer.integer(0), size) as number:
            element = vectors.repeat(begin, builder.mul(number, source_step))
            place = builder.add(target_offset, builder.mul(number, target_step))
            lines.fill(element, writer.element(writer.address(1), place, stored_type(dtype)))


def add_kernel(dtype: np.dtype[Any], in_lines: bool) -> Kernel:
    """Return the kernel that adds elements to those of the target.

    Words: source, target, size of the inner axis, its stride in both, which is 1 if ``in_lines``;
    the outer axes of both.
    """
    name = f"add {'lines' if in_lines else 'elements'} {dtype.str}"
    return kernel(name, lambda writer: _write_add(writer, dtype, in_lines), Effort.FULL)


def _write_add(writer: KernelWriter, dtype: np.dtype[Any], in_lines: bool) -> None:
    size, *steps = writer.words(2, 3)
    with writer.walk(5, 2) as offsets:
        begins = [
            writer.element(writer.address(k), offset, stored_type(dtype))
            for k, offset in enumerate(offsets)
        ]
        with writer.loop(writer.integer(0), size) as index:
            source, target = (index if in_lines else writer.builder.mul(index, k) for k in steps)
            term = writer.load(begins[0], source, dtype)
            total = writer.load(begins[1], target, dtype)
            writer.store(writer.scalars.add(total, term), begins[1], target)


def sum_kernel(dtype: np.dtype[Any], count: int) -> Kernel:
    """Return the kernel that adds up so many lines.

    Words: the terms, the target, the size of a line; the outer axes of all.
    """
    return kernel(f"sum of {count} {dtype.str}", lambda writer: _write_sum(writer, dtype, count))


def _write_sum(writer: KernelWriter, dtype: np.dtype[Any], count: int) -> None:
    vectors, size = Vectors(writer, dtype), writer.word(count + 1)
    values = LLVMScalarBuilder(writer.builder, vectors.lanes)
    with writer.walk(count + 2, count + 1) as offsets:
        *terms, to = (
            writer.element(writer.address(k), offset, vectors.item)
            for k, offset in enumerate(offsets)
        )

        def add(index: Any, rest: Any) -> None:
            mask = None if rest is None else vectors.mask(rest)
            read = [vectors.read(term, index, mask) for term in terms]
            vectors.write(functools.reduce(values.add, read), to, index, mask)

        vectors.over(size, add)


def triangle_kernel(size: int, lower: bool) -> Kernel:
    """Return the kernel that copies one triangle of a matrix and sets the other to zero.

    Words: source, target, rows, columns, number of the diagonal, the strides of rows and columns in
    the source and of rows in the target; the outer axes of both.
    """
    name = f"{'lower' if lower else 'upper'} triangle {size}"
    dtype = np.dtype(f"u{size}")
    return kernel(name, lambda writer: _write_triangle(writer, dtype, lower), Effort.FULL)


def _write_triangle(writer: KernelWriter, dtype: np.dtype[Any], lower: bool) -> None:
    builder, zero = writer.builder, writer.integer(0)
    rows, columns, diagonal, row_step, column_step, target_step = writer.words(2, 6)
    nothing = Scalar(stored_type(dtype)(0), dtype)
    with writer.walk(8, 2) as offsets:
        source, target = (
            writer.element(writer.address(k), offset, stored_type(dtype))
            for k, offset in enumerate(offsets)
        )
        with writer.loop(zero, rows) as row:
            edge = builder.add(builder.add(row, diagonal), writer.integer(int(lower)))
            edge = writer.minimum(edge, columns)
            edge = builder.select(builder.icmp_signed("<", edge, zero), zero, edge)
            begin = writer.element(source, builder.mul(row, row_step), stored_type(dtype))
            to = writer.element(target, builder.mul(row, target_step), stored_type(dtype))
            before, after = (zero, edge), (edge, columns)
            with writer.loop(*(before if lower else after)) as column:
                place = builder.mul(column, column_step)
                writer.store(writer.load(begin, place, dtype), to, column)
            with writer.loop(*(after if lower else before)) as column:
                writer.store(nothing, to, column)
