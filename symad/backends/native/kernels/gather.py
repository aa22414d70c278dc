"""The machine code of reading and writing at indices.

A place is given by several index arrays of the same shape, each along one axis.  The item at a
place may itself be an array, with the inner axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.jit import vector_unit
from symad.backends.native.kernels.vectors import Vectors, gathers
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar

HEAD = 9
"""The number of words before those of the index arrays."""
_PER_INDEX = 4

_Place = tuple[Any, Any]  # a pointer, and an index from there


def gather_kernel(
    item_size: int,
    indices: Sequence[np.dtype[Any]],
    single: bool,
    are_inside: bool = False,
    in_lines: bool = False,
) -> Kernel:
    """Return the kernel that copies the items at indices of ``source``.

    It fails if an index is out of range, unless all ``are_inside``.  Words:

    * source, target;
    * the size of the last axis of the index arrays, its strides in source and target;
    * the size of the innermost axis of an item, its strides in source and target, and the start of
      the words of the other inner axes;
    * for each index array its address, its stride along its last axis, and size and stride of the
      axis that it selects from;
    * the outer axes of the index arrays, the source and the target;
    * the inner axes of source and target.

    Parameters
    ----------
    item_size : int
        Bytes of an element.
    indices : sequence of dtype
    single : bool
        Whether each item is one element.
    are_inside : bool
        Whether no index is negative or out of range.
    in_lines : bool
        Whether the last axis of the index arrays and of the target, of single elements, has step 1.
    """
    dtype = np.dtype(f"u{item_size}")
    in_vectors = single and in_lines and gathers(dtype)
    facts = str(item_size), str(single), str(are_inside), str(in_vectors)
    name = " ".join(["gather", *facts, *(dtype.str for dtype in indices)])

    def write(writer: KernelWriter) -> None:
        if in_vectors:
            _VectorGathering(writer, indices, dtype, are_inside).gather()
        else:
            _Gathering(writer, indices, dtype, dtype, single, are_inside).gather()

    return kernel(name, write)


def scatter_kernel(
    source: np.dtype[Any],
    target: np.dtype[Any],
    indices: Sequence[np.dtype[Any]],
    single: bool,
    adds: bool,
) -> Kernel:
    """Return the kernel that sets the items at indices of ``target``, or adds to them.

    The words are those of :func:`gather_kernel`; indices are along axes of the target.
    """
    verb = "add" if adds else "set"
    name = " ".join([verb, str(single), *(dtype.str for dtype in (source, target, *indices))])
    return kernel(
        name, lambda writer: _Gathering(writer, indices, source, target, single).scatter(adds)
    )


class _Gathering:
    def __init__(
        self,
        writer: KernelWriter,
        indices: Sequence[np.dtype[Any]],
        source: np.dtype[Any],
        target: np.dtype[Any],
        single: bool,
        are_inside: bool = False,
    ) -> None:
        self._writer, self._indices, self._single = writer, indices, single
        self._are_inside = are_inside
        self._dtypes = source, target

    def gather(self) -> None:
        """Write the loops of a copy from the source."""
        writer = self._writer
        with self._places() as (place, from_, to):
            with self._elements(writer.builder.add(from_, place), to) as (read, write):
                writer.store(writer.load(*read, self._dtypes[0]), *write)

    def scatter(self, adds: bool) -> None:
        """Write the loops of a copy into the target, or of an addition to it."""
        writer = self._writer
        source, target = self._dtypes
        with self._places() as (place, from_, to):
            with self._elements(from_, writer.builder.add(to, place)) as (read, write):
                value = writer.scalars.cast(writer.load(*read, source), target)
                if adds:
                    value = writer.scalars.add(writer.load(*write, target), value)
                writer.store(value, *write)

    @contextmanager
    def _places(self) -> Iterator[tuple[Any, Any, Any]]:
        """Loop over the places: yield the offset of the indices, and offsets of both arrays."""
        writer, builder = self._writer, self._writer.builder
        count, *steps = writer.words(2, 3)
        outer = HEAD + _PER_INDEX * len(self._indices)
        with writer.walk(outer, len(self._indices) + 2) as (*starts, from_, to):
            with writer.loop(writer.integer(0), count) as number:
                place = writer.integer(0)
                for k, start in enumerate(starts):
                    place = builder.add(place, self._distance(k, start, number))
                offsets = [
                    builder.add(offset, builder.mul(number, step))
                    for offset, step in zip((from_, to), steps, strict=True)
                ]
                yield place, offsets[0], offsets[1]

    def _distance(self, k: int, start: Any, number: Any) -> Any:
        """Return the offset of one index; fail if it is out of range."""
        writer, builder = self._writer, self._writer.builder
        first = HEAD + _PER_INDEX * k
        step, size, stride = writer.words(first + 1, 3)
        offset = builder.add(start, builder.mul(number, step))
        given = writer.load(writer.address(first), offset, self._indices[k])
        index = writer.scalars.cast(given, np.dtype("int64")).value
        if self._are_inside:
            return builder.mul(index, stride)
        is_negative = builder.icmp_signed("<", index, writer.integer(0))
        index = builder.select(is_negative, builder.add(index, size), index)
        writer.fail(builder.icmp_unsigned(">=", index, size))
        return builder.mul(index, stride)

    @contextmanager
    def _elements(self, from_: Any, to: Any) -> Iterator[tuple[_Place, _Place]]:
        """Loop over the elements of an item: yield pointer and index in both arrays."""
        writer, builder = self._writer, self._writer.builder
        pointers = [writer.address(0), writer.address(1)]
        if self._single:
            yield (pointers[0], from_), (pointers[1], to)
            return
        size, *steps = writer.words(5, 3)
        with writer.walk(writer.word(8), 2) as inner:
            starts = [
                writer.element(pointer, builder.add(offset, more), writer.stored(dtype))
                for pointer, offset, more, dtype in zip(
                    pointers, (from_, to), inner, self._dtypes, strict=True
                )
            ]
            with writer.loop(writer.integer(0), size) as element:
                read, write = (
                    (start, builder.mul(element, step))
                    for start, step in zip(starts, steps, strict=True)
                )
                yield read, write


class _VectorGathering:
    """Reads as many elements at once as there are 64-bit integers in a vector."""

    def __init__(
        self,
        writer: KernelWriter,
        indices: Sequence[np.dtype[Any]],
        dtype: np.dtype[Any],
        are_inside: bool,
    ) -> None:
        self._writer, self._indices, self._are_inside = writer, indices, are_inside
        self._lanes = vector_unit().bits // 64
        self._elements = Vectors(writer, dtype, self._lanes)
        self._read = [Vectors(writer, index, self._lanes) for index in indices]
        self._integers = LLVMScalarBuilder(writer.builder, self._lanes)

    def gather(self) -> None:
        """Write the loops."""
        writer, builder, lanes = self._writer, self._writer.builder, self._lanes
        count, step = writer.word(2), writer.word(3)
        outer = HEAD + _PER_INDEX * len(self._indices)
        first = self._elements.numbers(step)
        whole = builder.and_(count, writer.integer(-lanes))
        with writer.walk(outer, len(self._indices) + 2) as offsets:
            with writer.loop(writer.integer(0), whole, lanes) as number:
                self._vector(offsets, number, step, first, None)
            with writer.loop(whole, count, lanes) as number:
                mask = self._elements.mask(builder.sub(count, number))
                self._vector(offsets, number, step, first, mask)

    def _vector(
        self, offsets: Sequence[Any], number: Any, step: Any, first: Any, mask: Any
    ) -> None:
        """Copy the elements from ``number`` on, of which the first are at ``first``."""
        writer, builder = self._writer, self._writer.builder
        *starts, from_, to = offsets
        begin = builder.add(from_, builder.mul(number, step))
        places = builder.add(first, self._elements.spread_word(begin))
        for k, start in enumerate(starts):
            places = builder.add(places, self._distance(k, builder.add(start, number), mask))
        found = self._elements.gather(writer.address(0), places, mask)
        self._elements.store(found, writer.address(1), builder.add(to, number), mask)

    def _distance(self, k: int, place: Any, mask: Any) -> Any:
        """Return the offsets of one index; fail if it is out of range."""
        writer, builder, integers = self._writer, self._writer.builder, self._integers
        first, word = HEAD + _PER_INDEX * k, np.dtype("int64")
        size, stride = map(self._elements.spread_word, writer.words(first + 2, 2))
        given = self._read[k].load(writer.address(first), place, mask)
        index = integers.cast(Scalar(given, self._indices[k]), word).value
        if not self._are_inside:
            is_negative = builder.icmp_signed("<", index, self._elements.numbers(writer.integer(0)))
            index = builder.select(is_negative, builder.add(index, size), index)
            outside = builder.icmp_unsigned(">=", index, size)
            outside = outside if mask is None else builder.and_(outside, mask)
            is_any = integers.over_lanes("or", Scalar(outside, np.dtype(bool)))
            writer.fail(is_any.value)
        return builder.mul(index, stride)
