"""The machine code of scans along one axis: cumulative sums and products, positions."""

from __future__ import annotations

from functools import partial, reduce
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


class _Comparison:
    """Keeps the best element of each lane of some vectors, and its place."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], largest: bool) -> None:
        self.writer, self.vectors, self._largest = writer, Vectors(writer, dtype), largest
        self.values = LLVMScalarBuilder(writer.builder, self.vectors.lanes)
        self.index = np.dtype(f"i{dtype.itemsize}")
        self._best, self._place = (
            [writer.variable(self.values.constant(0, kind).value) for _ in range(UNROLLED)]
            for kind in (dtype, self.index)
        )

    def start(self, k: int, best: Scalar, place: Scalar) -> None:
        """Set the best elements of a vector, and their places."""
        self.writer.builder.store(best.value, self._best[k])
        self.writer.builder.store(place.value, self._place[k])

    def compare(self, k: int, element: Scalar, place: Scalar) -> None:
        """Replace the best elements so far; a NaN is better, unless there was one."""
        s, best, so_far = self.values, self.best(k), self.place(k)
        pair = (element, best) if self._largest else (best, element)
        is_better = s.logical_and(s.logical_not(s.less_equal(*pair)), s.equal(best, best))
        self.start(k, s.select(is_better, element, best), s.select(is_better, place, so_far))

    def best(self, k: int) -> Scalar:
        """Return the best elements of a vector."""
        return self.writer.scalar(self._best[k], self.vectors.dtype)

    def place(self, k: int) -> Scalar:
        """Return their places."""
        return self.writer.scalar(self._place[k], self.index)

    def spread(self, index: Any) -> Scalar:
        """Return an index in all lanes."""
        word = Scalar(index, np.dtype("int64"))
        return self.values.repeat(self.writer.scalars.cast(word, self.index))


class _FarPosition(_Comparison):
    """Compares the lanes of vectors of one line, then looks for the first of the best lanes."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], largest: bool) -> None:
        super().__init__(writer, dtype, largest)
        self._reduction = apply((Max if largest else Min)(None), Variable("x", (2,), dtype))
        nothing = identity_of(self._reduction).item()
        self._nothing = self.values.constant(nothing, dtype)

    def write(self) -> None:
        """Write the loops."""
        writer, builder, lanes = self.writer, self.writer.builder, self.vectors.lanes
        size, zero, block = writer.word(2), writer.integer(0), lanes * UNROLLED
        whole = builder.and_(size, writer.integer(-block))
        with writer.walk(3, 2) as offsets:
            x, y = _lines(writer, offsets, self.vectors.dtype, np.dtype("int64"))
            for k in range(UNROLLED):
                self.start(k, self._nothing, self._places(writer.integer(k * lanes)))
            with writer.loop(zero, whole, block) as index:
                for k in range(UNROLLED):
                    at = builder.add(index, writer.integer(k * lanes))
                    self.compare(k, self.vectors.read(x, at), self._places(at))
            with writer.loop(whole, size, lanes) as index:
                mask = self.vectors.mask(builder.sub(size, index))
                element = self.vectors.read(x, index, mask)
                used = Scalar(mask, np.dtype(bool))
                element = self.values.select(used, element, self._nothing)
                self.compare(0, element, self._places(index))
            writer.store(self._first(), y, zero)

    def _places(self, index: Any) -> Scalar:
        """Return the places of the lanes of a vector that begins at an index."""
        s, word = self.values, np.dtype("int64")
        lanes = s.cast(Scalar(self.vectors.numbers(), word), self.index)
        return s.add(self.spread(index), lanes)

    def _first(self) -> Scalar:
        """Return the first place of the best element."""
        s = self.values
        bests = [self.best(k) for k in range(UNROLLED)]
        whole = reduce(partial(combine, s, self._reduction), bests)
        top = s.repeat(over_lanes(s, self._reduction, whole))
        first = last = s.constant(np.iinfo(self.index).max, self.index)
        for k, best in enumerate(bests):
            is_top = s.logical_or(s.equal(best, top), s.logical_not(s.equal(best, best)))
            place = s.select(is_top, self.place(k), last)
            first = s.select(s.less(place, first), place, first)
        return self.writer.scalars.cast(s.over_lanes("umin", first), np.dtype("int64"))


def column_positions_kernel(dtype: np.dtype[Any], largest: bool) -> Kernel:
    """Return the kernel of :func:`position_kernel` for many lines beside one another: an element
    of each is in a lane.

    Words: x, y, the size of the axis, its step in x, the number of lines; the outer axes of both.
    """

    def write(writer: KernelWriter) -> None:
        position = _Comparison(writer, dtype, largest)
        lanes, count = position.vectors.lanes, writer.word(4)
        whole = writer.builder.and_(count, writer.integer(-lanes * UNROLLED))
        with writer.walk(5, 2) as offsets:
            x, y = _lines(writer, offsets, dtype, np.dtype("int64"))
            with writer.loop(writer.integer(0), whole, lanes * UNROLLED) as column:
                _column_positions(position, x, y, column, UNROLLED)
            with writer.loop(whole, count, lanes) as column:
                mask = position.vectors.mask(writer.builder.sub(count, column))
                _column_positions(position, x, y, column, 1, mask)

    return kernel(f"column positions {dtype.str} {largest}", write)


def _column_positions(
    position: _Comparison, x: Any, y: Any, column: Any, count: int, mask: Any = None
) -> None:
    """Write the positions in so many vectors of columns."""
    writer, builder = position.writer, position.writer.builder
    size, step = writer.words(2, 2)
    lanes = position.vectors.lanes
    columns = [builder.add(column, writer.integer(k * lanes)) for k in range(count)]
    for k in range(count):
        first = position.vectors.read(x, columns[k], mask)
        position.start(k, first, position.values.constant(0, position.index))
    with writer.loop(writer.integer(1), size) as j:
        line = writer.element(x, builder.mul(j, step), position.vectors.item)
        place = position.spread(j)
        for k in range(count):
            position.compare(k, position.vectors.read(line, columns[k], mask), place)
    made = Vectors(writer, np.dtype("int64"), lanes)
    for k in range(count):
        place = position.values.cast(position.place(k), made.dtype)
        made.write(place, y, columns[k], mask)


def _lines(writer: KernelWriter, offsets: list[Any], *dtypes: np.dtype[Any]) -> list[Any]:
    """Return the start of the current line in each operand."""
    return [
        writer.element(writer.address(k), offset, writer.stored(dtype))
        for k, (offset, dtype) in enumerate(zip(offsets, dtypes, strict=True))
    ]
