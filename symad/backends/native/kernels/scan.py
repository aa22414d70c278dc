"""The machine code of scans along one axis: cumulative sums and products, positions."""

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import numpy as np

from symad.backends.native.kernels.nest_writer import UNROLLED, combine, identity_of, over_lanes
from symad.backends.native.kernels.vectors import Vectors, lanes_of
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar
from symad.graph.node import Variable, apply
from symad.ops.extremum import Max, Min


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


def rows_kernel(source: np.dtype[Any], target: np.dtype[Any], multiplies: bool) -> Kernel:
    """Return the kernel of sums or products of rows: y_j = y_{j-1} + x_j, or y_{j-1} x_j.

    Words: x, y, the size of the axis, its strides in both, the length of a row, whose elements are
    contiguous; the outer axes of both.
    """

    def write(writer: KernelWriter) -> None:
        builder, lanes = writer.builder, lanes_of(source, target)
        read, made = Vectors(writer, source, lanes), Vectors(writer, target, lanes)
        values = LLVMScalarBuilder(builder, lanes)
        size, *steps, length = writer.words(2, 4)
        with writer.walk(6, 2) as offsets:
            x, y = _lines(writer, offsets, source, target)

            def row(j: Any, before: Any = None) -> None:
                begin, to = (
                    writer.element(line, builder.mul(j, step), vectors.item)
                    for line, step, vectors in zip((x, y), steps, (read, made), strict=True)
                )

                def vector(index: Any, rest: Any) -> None:
                    mask = None if rest is None else read.mask(rest)
                    value = values.cast(read.read(begin, index, mask), target)
                    if before is not None:
                        join = values.multiply if multiplies else values.add
                        value = join(made.read(before, index, mask), value)
                    made.write(value, to, index, mask)

                read.over(length, vector)

            row(writer.integer(0))
            with writer.loop(writer.integer(1), size) as j:
                last = builder.mul(builder.sub(j, writer.integer(1)), steps[1])
                row(j, writer.element(y, last, made.item))

    name = "products" if multiplies else "sums"
    return kernel(f"{name} of rows {source.str} {target.str}", write)


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


def far_position_kernel(dtype: np.dtype[Any], largest: bool) -> Kernel:
    """Return the kernel of :func:`position_kernel` for long contiguous lines of numbers of 4 or 8
    bytes, which fewer than 2³¹ elements have.

    Words: x, y, the size of the axis, the outer axes of both.
    """
    name = f"far position {dtype.str} {largest}"
    return kernel(name, lambda writer: _FarPosition(writer, dtype, largest).write())


class _FarPosition:
    """Finds the best element of each lane and its place, then the first of the best lanes."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], largest: bool) -> None:
        self._writer, self._vectors, self._largest = writer, Vectors(writer, dtype), largest
        self._values = LLVMScalarBuilder(writer.builder, self._vectors.lanes)
        self._index = np.dtype(f"i{dtype.itemsize}")
        self._reduction = apply((Max if largest else Min)(None), Variable("x", (2,), dtype))
        nothing = identity_of(self._reduction).item()
        self._nothing = self._values.constant(nothing, dtype)
        self._best, self._place = (
            [writer.variable(self._values.constant(0, kind).value) for _ in range(UNROLLED)]
            for kind in (dtype, self._index)
        )

    def write(self) -> None:
        """Write the loops."""
        writer, builder, lanes = self._writer, self._writer.builder, self._vectors.lanes
        size, zero, block = writer.word(2), writer.integer(0), lanes * UNROLLED
        whole = builder.and_(size, writer.integer(-block))
        with writer.walk(3, 2) as offsets:
            x, y = _lines(writer, offsets, self._vectors.dtype, np.dtype("int64"))
            for k in range(UNROLLED):
                builder.store(self._nothing.value, self._best[k])
                builder.store(self._places(writer.integer(k * lanes)).value, self._place[k])
            with writer.loop(zero, whole, block) as index:
                for k in range(UNROLLED):
                    at = builder.add(index, writer.integer(k * lanes))
                    self._compare(k, self._vectors.read(x, at), at)
            with writer.loop(whole, size, lanes) as index:
                mask = self._vectors.mask(builder.sub(size, index))
                element = self._vectors.read(x, index, mask)
                used = Scalar(mask, np.dtype(bool))
                self._compare(0, self._values.select(used, element, self._nothing), index)
            writer.store(self._first(), y, zero)

    def _places(self, index: Any) -> Scalar:
        """Return the places of the lanes of a vector that begins at an index."""
        s = self._values
        first = self._writer.scalars.cast(Scalar(index, np.dtype("int64")), self._index)
        lanes = s.cast(Scalar(self._vectors.numbers(), np.dtype("int64")), self._index)
        return s.add(s.repeat(first), lanes)

    def _compare(self, k: int, element: Scalar, index: Any) -> None:
        """Replace the best elements so far; a NaN is better, unless there was one."""
        s, builder = self._values, self._writer.builder
        best = self._writer.scalar(self._best[k], element.dtype)
        place = self._writer.scalar(self._place[k], self._index)
        pair = (element, best) if self._largest else (best, element)
        is_better = s.logical_and(s.logical_not(s.less_equal(*pair)), s.equal(best, best))
        builder.store(s.select(is_better, element, best).value, self._best[k])
        builder.store(s.select(is_better, self._places(index), place).value, self._place[k])

    def _first(self) -> Scalar:
        """Return the first place of the best element."""
        s, dtype = self._values, self._vectors.dtype
        bests = [self._writer.scalar(place, dtype) for place in self._best]
        whole = functools.reduce(partial(combine, s, self._reduction), bests)
        top = s.repeat(over_lanes(s, self._reduction, whole))
        first = last = s.constant(np.iinfo(self._index).max, self._index)
        for best, variable in zip(bests, self._place, strict=True):
            is_top = s.logical_or(s.equal(best, top), s.logical_not(s.equal(best, best)))
            place = s.select(is_top, self._writer.scalar(variable, self._index), last)
            first = s.select(s.less(place, first), place, first)
        return self._writer.scalars.cast(s.over_lanes("umin", first), np.dtype("int64"))


def _lines(writer: KernelWriter, offsets: list[Any], *dtypes: np.dtype[Any]) -> list[Any]:
    """Return the start of the current line in each operand."""
    return [
        writer.element(writer.address(k), offset, writer.stored(dtype))
        for k, (offset, dtype) in enumerate(zip(offsets, dtypes, strict=True))
    ]
