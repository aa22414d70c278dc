"""The machine code of reading and writing at indices.

A place is given by several index arrays of the same shape, each along one axis.  The item at a
place may itself be an array, with the inner axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.jit import Effort, vector_unit
from symad.backends.native.kernels.vectors import Vectors, gathers, lanes_of
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar

HEAD = 9
"""The number of words before those of the index arrays."""
_PER_INDEX = 4
_SHORT = 64
"""Lines of at most so many bytes are copied by a few instructions for this length."""

_Place = tuple[Any, Any]  # a pointer, and an index from there


def gather_kernel(
    item_size: int,
    indices: Sequence[np.dtype[Any]],
    single: bool,
    line: int,
    are_inside: bool = False,
    effort: Effort = Effort.LOW,
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
    line : int
        The length of an item that is one line with step 1 in source and target, which decides the
        width of vectors; of single elements, that of the last axis of the index arrays and of the
        target, if these have step 1.  Otherwise 0.
    are_inside : bool
        Whether no index is negative or out of range.
    effort : Effort
    """
    dtype = np.dtype(f"u{item_size}")
    in_vectors = single and line > 0 and gathers(dtype)
    lanes = _lanes(0 if single else line, dtype)
    short = 0 if single or line * item_size > _SHORT else line
    facts = str(item_size), str(single), str(are_inside), str(in_vectors or lanes), str(short)
    name = " ".join(["gather", *facts, *(dtype.str for dtype in indices)])

    def write(writer: KernelWriter) -> None:
        if in_vectors:
            _VectorGathering(writer, indices, dtype, are_inside).gather()
        else:
            _Gathering(writer, indices, (dtype, dtype), single, lanes, are_inside).gather(short)

    return kernel(name, write, effort)


def scatter_kernel(
    source: np.dtype[Any],
    target: np.dtype[Any],
    indices: Sequence[np.dtype[Any]],
    single: bool,
    line: int,
    adds: bool,
) -> Kernel:
    """Return the kernel that sets the items at indices of ``target``, or adds to them.

    The words are those of :func:`gather_kernel`; indices are along axes of the target.
    """
    lanes = _lanes(0 if single else line, source, target)
    facts = "add" if adds else "set", str(single), str(lanes)
    name = " ".join([*facts, *(dtype.str for dtype in (source, target, *indices))])
    dtypes = source, target
    return kernel(
        name, lambda writer: _Gathering(writer, indices, dtypes, single, lanes).scatter(adds)
    )


def _lanes(line: int, *dtypes: np.dtype[Any]) -> int:
    """Return how many elements of a line are copied at once: short vectors cross fewer lines of the
    cache.  It is 1 for what is no line.
    """
    return min(lanes_of(*dtypes), 1 << max(line - 1, 1).bit_length()) if line else 1


class _Gathering:
    def __init__(
        self,
        writer: KernelWriter,
        indices: Sequence[np.dtype[Any]],
        dtypes: tuple[np.dtype[Any], np.dtype[Any]],
        single: bool,
        lanes: int,
        are_inside: bool = False,
    ) -> None:
        self._writer, self._indices, self._single = writer, indices, single
        self._are_inside = are_inside
        self._lanes = lanes
        self._source, self._target = (Vectors(writer, dtype, lanes) for dtype in dtypes)
        self._values = LLVMScalarBuilder(writer.builder, lanes if lanes > 1 else 0)

    def gather(self, short: int) -> None:
        """Write the loops of a copy from the source, of lines of ``short`` elements if not 0."""
        writer = self._writer
        with self._places() as (place, from_, to):
            begin = writer.builder.add(from_, place)
            if short:
                source, target = self._starts(begin, to)
                size = short * self._source.dtype.itemsize
                writer.copy_bytes(target, source, writer.integer(size))
            else:
                self._items(begin, to, adds=False)

    def scatter(self, adds: bool) -> None:
        """Write the loops of a copy into the target, or of an addition to it."""
        with self._places() as (place, from_, to):
            self._items(from_, self._writer.builder.add(to, place), adds)

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

    def _items(self, from_: Any, to: Any, adds: bool) -> None:
        """Copy or add an item: by vectors if it is contiguous."""
        writer, builder = self._writer, self._writer.builder
        starts = self._starts(from_, to)
        size, *steps = writer.words(5, 3)
        if self._single:
            self._put([(start, writer.integer(0)) for start in starts], adds)
        elif self._lanes > 1:

            def put(element: Any, rest: Any) -> None:
                mask = None if rest is None else self._source.mask(rest)
                self._put([(start, element) for start in starts], adds, mask)

            self._source.over(size, put)
        else:
            with writer.walk(writer.word(8), 2) as inner:
                with writer.loop(writer.integer(0), size) as element:
                    places = (
                        builder.add(offset, builder.mul(element, step))
                        for offset, step in zip(inner, steps, strict=True)
                    )
                    self._put(list(zip(starts, places, strict=True)), adds)

    def _starts(self, from_: Any, to: Any) -> list[Any]:
        """Return the addresses at offsets in the source and the target."""
        pairs = enumerate([(from_, self._source), (to, self._target)])
        return [
            self._writer.element(self._writer.address(k), offset, vectors.item)
            for k, (offset, vectors) in pairs
        ]

    def _put(self, places: Sequence[_Place], adds: bool, mask: Any = None) -> None:
        """Copy or add one element, or a vector of them, from the first place to the second."""
        (read, write), is_wide = places, self._lanes > 1
        element = self._source.read(*read, mask) if is_wide else self._get(*read, self._source)
        value = self._values.cast(element, self._target.dtype)
        if adds:
            so_far = self._target.read(*write, mask) if is_wide else self._get(*write, self._target)
            value = self._values.add(so_far, value)
        if is_wide:
            self._target.write(value, *write, mask)
        else:
            self._writer.store(value, *write)

    def _get(self, pointer: Any, index: Any, vectors: Vectors) -> Scalar:
        return self._writer.load(pointer, index, vectors.dtype)


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
        if mask is None:
            apart = [self._elements.element(places, lane) for lane in range(self._lanes)]
            found = self._elements.load_apart(writer.address(0), apart)
        else:
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
