"""The machine code of reading and writing at indices.

A place is named by several index arrays, each along one axis, of which all have the same shape.
What is at a place may be an array itself: its axes are the inner ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.kernel import Kernel, KernelWriter, kernel

HEAD = 6
"""How many words stand before those of the index arrays."""
_PER_INDEX = 3

_Place = tuple[Any, Any]  # a pointer, and an index from there


def gather_kernel(item_size: int, indices: Sequence[np.dtype[Any]]) -> Kernel:
    """Return the kernel that copies what is at indices of ``source``.

    Words: source, target, the size of the innermost axis, its strides in both, and where the words
    of the inner axes begin; for each index array its address, the size of its axis and the stride
    of that; then the outer axes of the index arrays, the source and the target, and the inner axes
    of source and target.  It fails if an index is out of range.
    """
    name = " ".join(["gather", str(item_size), *(dtype.str for dtype in indices)])
    dtype = np.dtype(f"u{item_size}")
    return kernel(name, lambda writer: _Gathering(writer, indices, dtype, dtype).gather())


def scatter_kernel(
    source: np.dtype[Any], target: np.dtype[Any], adds: bool, indices: Sequence[np.dtype[Any]]
) -> Kernel:
    """Return the kernel that sets what is at indices of ``target``, or adds to it.

    Words are those of :func:`gather_kernel`; indices are along axes of the target.
    """
    verb = "add" if adds else "set"
    name = " ".join([verb, source.str, target.str, *(dtype.str for dtype in indices)])
    return kernel(name, lambda writer: _Gathering(writer, indices, source, target).scatter(adds))


class _Gathering:
    def __init__(
        self,
        writer: KernelWriter,
        indices: Sequence[np.dtype[Any]],
        source: np.dtype[Any],
        target: np.dtype[Any],
    ) -> None:
        self._writer, self._indices = writer, indices
        self._dtypes = source, target
        self._size, *self._steps = writer.words(2, 3)

    def gather(self) -> None:
        """Write the loops of a copy out of the source."""
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
        """Repeat for each place: yield how far the indices lead, and offsets of both arrays."""
        writer = self._writer
        outer = HEAD + _PER_INDEX * len(self._indices)
        with writer.walk(outer, len(self._indices) + 2) as (*offsets, from_, to):
            place = writer.integer(0)
            for k, offset in enumerate(offsets):
                place = writer.builder.add(place, self._step(k, offset))
            yield place, from_, to

    def _step(self, k: int, offset: Any) -> Any:
        """Return how far one index leads; fail if it is out of range."""
        writer, builder = self._writer, self._writer.builder
        first = HEAD + _PER_INDEX * k
        size, stride = writer.words(first + 1, 2)
        given = writer.load(writer.address(first), offset, self._indices[k])
        index = writer.scalars.cast(given, np.dtype("int64")).value
        is_negative = builder.icmp_signed("<", index, writer.integer(0))
        index = builder.select(is_negative, builder.add(index, size), index)
        writer.fail(builder.icmp_unsigned(">=", index, size), writer.integer(1))
        return builder.mul(index, stride)

    @contextmanager
    def _elements(self, from_: Any, to: Any) -> Iterator[tuple[_Place, _Place]]:
        """Repeat for all elements at a place: yield pointer and index in both arrays."""
        writer, builder = self._writer, self._writer.builder
        with writer.walk(writer.word(5), 2) as inner:
            starts = [
                writer.element(writer.address(k), builder.add(offset, more), writer.stored(dtype))
                for k, (offset, more, dtype) in enumerate(
                    zip((from_, to), inner, self._dtypes, strict=True)
                )
            ]
            with writer.loop(writer.integer(0), self._size) as element:
                places = [builder.mul(element, step) for step in self._steps]
                read, write = zip(starts, places, strict=True)
                yield read, write
