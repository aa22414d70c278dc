"""The machine code of scans along one axis: cumulative sums and products, positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel


def sums_kernel(source: np.dtype[Any], target: np.dtype[Any]) -> Kernel:
    """Return the kernel of y_j = Σ_{i≤j} x_i.

    Words: x, y, the size of the axis, its strides in both, and the outer axes of both.
    """

    def write(writer: KernelWriter) -> None:
        # -0 + x is x; 0 + x would be 0 where x is -0.
        nothing = writer.scalars.constant(-0.0 if target.kind == "f" else 0, target).value
        total = writer.variable(nothing)
        size, *steps = writer.words(2, 3)
        with writer.walk(5, 2) as offsets:
            x, y = _lines(writer, offsets, source, target)
            writer.builder.store(nothing, total)
            with writer.loop(writer.integer(0), size) as j:
                read, written = (writer.builder.mul(j, step) for step in steps)
                element = writer.scalars.cast(writer.load(x, read, source), target)
                so_far = writer.scalars.add(writer.scalar(total, target), element)
                writer.builder.store(so_far.value, total)
                writer.store(so_far, y, written)

    return kernel(f"sums {source.str} {target.str}", write)


def products_kernel(source: np.dtype[Any], target: np.dtype[Any], exclusive: bool) -> Kernel:
    """Return the kernel of y_j = Π_{i≤j} x_i, or Π_{i<j} x_i if ``exclusive``.

    The words are those of :func:`sums_kernel`.
    """

    def write(writer: KernelWriter) -> None:
        total = writer.variable(writer.scalars.constant(1, target).value)
        size, *steps = writer.words(2, 3)
        with writer.walk(5, 2) as offsets:
            x, y = _lines(writer, offsets, source, target)
            writer.builder.store(writer.scalars.constant(1, target).value, total)
            with writer.loop(writer.integer(0), size) as j:
                read, written = (writer.builder.mul(j, step) for step in steps)
                element = writer.scalars.cast(writer.load(x, read, source), target)
                before = writer.scalar(total, target)
                after = writer.scalars.multiply(before, element)
                writer.builder.store(after.value, total)
                writer.store(before if exclusive else after, y, written)

    return kernel(f"products {source.str} {target.str} {exclusive}", write)


def product_kernel(source: np.dtype[Any], target: np.dtype[Any]) -> Kernel:
    """Return the kernel of the product of the elements of a line.

    Words: x, y, the size of the axis, its stride in x, the outer axes of both.
    """

    def write(writer: KernelWriter) -> None:
        one = writer.scalars.constant(1, target)
        total = writer.variable(one.value)
        size, step = writer.words(2, 2)
        with writer.walk(4, 2) as offsets:
            x, y = _lines(writer, offsets, source, target)
            writer.builder.store(one.value, total)
            with writer.loop(writer.integer(0), size) as j:
                read = writer.load(x, writer.builder.mul(j, step), source)
                factor = writer.scalars.cast(read, target)
                made = writer.scalars.multiply(writer.scalar(total, target), factor)
                writer.builder.store(made.value, total)
            writer.store(writer.scalar(total, target), y, writer.integer(0))

    return kernel(f"product {source.str} {target.str}", write)


def recurrence_kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel of y_0 = 0 and y_{j+1} = a_j y_j + b_j.

    Words: a, b, y, the size of the axis, its strides in the three, and the outer axes of the three.
    """

    def write(writer: KernelWriter) -> None:
        s, state = writer.scalars, writer.variable(writer.scalars.constant(0, dtype).value)
        size, *steps = writer.words(3, 4)
        with writer.walk(7, 3) as offsets:
            a, b, y = _lines(writer, offsets, dtype, dtype, dtype)
            writer.builder.store(s.constant(0, dtype).value, state)
            with writer.loop(writer.integer(0), size) as j:
                places = [writer.builder.mul(j, step) for step in steps]
                present = writer.scalar(state, dtype)
                writer.store(present, y, places[2])
                factor, term = writer.load(a, places[0], dtype), writer.load(b, places[1], dtype)
                writer.builder.store(s.add(s.multiply(factor, present), term).value, state)

    return kernel(f"recurrence {dtype.str}", write)


def position_kernel(dtype: np.dtype[Any], largest: bool) -> Kernel:
    """Return the kernel of the position of the first largest or smallest element, or first NaN.

    Words: x, y, the size of the axis, which has elements, its stride in x, the outer axes of both.
    """

    def write(writer: KernelWriter) -> None:
        s, zero = writer.scalars, writer.integer(0)
        builder = writer.builder
        best = writer.variable(s.constant(0, dtype).value)
        position = writer.variable(zero)
        size, step = writer.words(2, 2)
        with writer.walk(4, 2) as offsets:
            x, y = _lines(writer, offsets, dtype, np.dtype("int64"))
            builder.store(writer.load(x, zero, dtype).value, best)
            builder.store(zero, position)
            with writer.loop(writer.integer(1), size) as j:
                element, so_far = (
                    writer.load(x, builder.mul(j, step), dtype),
                    writer.scalar(best, dtype),
                )
                pair = (element, so_far) if largest else (so_far, element)
                # NaN also replaces the best element, unless that is NaN.
                is_better = s.logical_and(
                    s.logical_not(s.less_equal(*pair)), s.equal(so_far, so_far)
                )
                builder.store(builder.select(is_better.value, element.value, so_far.value), best)
                builder.store(builder.select(is_better.value, j, builder.load(position)), position)
            builder.store(builder.load(position), y)

    return kernel(f"position {dtype.str} {largest}", write)


def _lines(writer: KernelWriter, offsets: list[Any], *dtypes: np.dtype[Any]) -> list[Any]:
    """Return the start of the current line in each operand."""
    return [
        writer.element(writer.address(k), offset, writer.stored(dtype))
        for k, (offset, dtype) in enumerate(zip(offsets, dtypes, strict=True))
    ]
