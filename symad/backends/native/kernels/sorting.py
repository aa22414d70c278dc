"""The machine code that sorts: a merge sort, which keeps the order of equal elements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import Scalar

_POSITION = np.dtype("int64")


def sorting_kernel(dtype: np.dtype[Any], descending: bool) -> Kernel:
    """Return the kernel of the positions that sort a line; NaN counts as the largest.

    Words: x, y, room for two lines of elements and for two of positions, the size of the axis,
    which has elements, its strides in x and y, the outer axes of both.
    """
    name = f"sorting {dtype.str} {descending}"
    return kernel(name, lambda writer: _write(writer, dtype, descending))


def _write(writer: KernelWriter, dtype: np.dtype[Any], descending: bool) -> None:
    builder, zero = writer.builder, writer.integer(0)
    size, read, written = writer.words(4, 3)
    lines = _Lines(writer, dtype, descending)
    half = writer.variable(zero)  # where the sorted parts are: from 0 on, or from size on
    with writer.walk(7, 2) as offsets:
        x = writer.element(writer.address(0), offsets[0], writer.stored(dtype))
        y = writer.element(writer.address(1), offsets[1], writer.stored(_POSITION))
        with writer.loop(zero, size) as j:
            lines.set(j, writer.load(x, builder.mul(j, read), dtype), Scalar(j, _POSITION))
        builder.store(zero, half)
        with _doubled(writer, size) as width:
            source = builder.load(half)
            target = builder.sub(size, source)
            with writer.loop(zero, size, builder.shl(width, writer.integer(1))) as first:
                middle = writer.minimum(builder.add(first, width), size)
                end = writer.minimum(builder.add(middle, width), size)
                lines.merge(source, target, first, middle, end)
            builder.store(target, half)
        with writer.loop(zero, size) as j:
            _, position = lines.get(builder.add(builder.load(half), j))
            writer.store(position, y, builder.mul(j, written))


class _Lines:
    """Room for two lines of elements, and their positions."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], descending: bool) -> None:
        self._writer, self._dtype, self._descending = writer, dtype, descending
        self._elements, self._positions = writer.address(2), writer.address(3)
        self._left, self._right = (writer.variable(writer.integer(0)) for _ in range(2))

    def get(self, place: Any) -> tuple[Scalar, Scalar]:
        """Return an element and its position."""
        element = self._writer.load(self._elements, place, self._dtype)
        return element, self._writer.load(self._positions, place, _POSITION)

    def set(self, place: Any, element: Scalar, position: Scalar) -> None:
        """Set an element and its position."""
        self._writer.store(element, self._elements, place)
        self._writer.store(position, self._positions, place)

    def merge(self, source: Any, target: Any, first: Any, middle: Any, end: Any) -> None:
        """Merge two sorted parts of the line at ``source`` into the line at ``target``."""
        writer, builder, one = self._writer, self._writer.builder, self._writer.integer(1)
        builder.store(first, self._left)
        builder.store(middle, self._right)
        last = builder.sub(end, one)
        with writer.loop(first, end) as k:
            left, right = builder.load(self._left), builder.load(self._right)
            places = (writer.minimum(place, last) for place in (left, right))
            a, b = (self.get(builder.add(source, place)) for place in places)
            is_left_over = builder.icmp_signed(">=", left, middle)
            is_right_first = builder.and_(
                builder.icmp_signed("<", right, end),
                builder.or_(is_left_over, self._comes_before(b[0], a[0])),
            )
            chosen = [
                Scalar(builder.select(is_right_first, y.value, x.value), x.dtype)
                for x, y in zip(a, b, strict=True)
            ]
            self.set(builder.add(target, k), *chosen)
            step = builder.zext(is_right_first, one.type)
            builder.store(builder.add(right, step), self._right)
            builder.store(builder.add(left, builder.sub(one, step)), self._left)

    def _comes_before(self, x: Scalar, y: Scalar) -> Any:
        """Return whether x belongs before y, and is not equal to it."""
        s, (small, large) = self._writer.scalars, (y, x) if self._descending else (x, y)
        is_less = s.less(small, large)
        if x.dtype.kind == "f":
            is_nan = s.logical_not(s.equal(large, large))
            is_less = s.logical_or(is_less, s.logical_and(is_nan, s.equal(small, small)))
        return is_less.value


@contextmanager
def _doubled(writer: KernelWriter, end: Any) -> Iterator[Any]:
    """Repeat the enclosed code for 1, 2, 4, ... below ``end``."""
    builder = writer.builder
    current = writer.variable(writer.integer(1))
    head, body, done = (builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    number = builder.load(current)
    builder.cbranch(builder.icmp_signed("<", number, end), body, done)
    builder.position_at_end(body)
    yield number
    builder.store(builder.shl(number, writer.integer(1)), current)
    builder.branch(head)
    builder.position_at_end(done)
