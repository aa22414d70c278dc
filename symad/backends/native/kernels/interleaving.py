"""The machine code that joins a few lines element by element, or takes them apart."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel

MOST_LINES = 4
"""For more lines, more shuffles are needed than elements are moved."""


def interleaving_kernel(size: int, lines: int, is_back: bool) -> Kernel:
    """Return the kernel that makes one line of so many, whose elements follow one another in turn.

    It goes ``is_back`` from one line to many.  Words: the lines, the joined line, the number of
    elements of each line; the outer axes of the lines and the joined line.  An element has ``size``
    bytes.
    """
    name = f"{'take apart' if is_back else 'interleave'} {lines} {size}"
    dtype = np.dtype(f"u{size}")
    return kernel(name, lambda writer: _Interleaving(writer, dtype, lines, is_back).write())


class _Interleaving:
    def __init__(
        self, writer: KernelWriter, dtype: np.dtype[Any], lines: int, is_back: bool
    ) -> None:
        self._writer, self._vectors = writer, Vectors(writer, dtype)
        self._lines, self._is_back = lines, is_back

    def write(self) -> None:
        """Write the loops."""
        writer, count = self._writer, self._lines
        with writer.walk(count + 2, count + 1) as offsets:
            pointers = [
                writer.element(writer.address(k), offset, self._vectors.item)
                for k, offset in enumerate(offsets)
            ]
            self._vectors.over(writer.word(count + 1), partial(self._block, pointers))

    def _block(self, pointers: list[Any], index: Any, rest: Any) -> None:
        """Move a vector of each line, or what is left of it."""
        vectors, builder, count = self._vectors, self._writer.builder, self._lines
        *lines, joined = pointers
        apart = [(line, index, self._mask(rest, 0)) for line in lines]
        begin = builder.mul(index, self._writer.integer(count))
        places = [self._writer.integer(k * vectors.lanes) for k in range(count)]
        total = None if rest is None else builder.mul(rest, self._writer.integer(count))
        together = [
            (joined, builder.add(begin, place), self._mask(total, k * vectors.lanes))
            for k, place in enumerate(places)
        ]
        sources, targets = (together, apart) if self._is_back else (apart, together)
        found = [vectors.load(*source) for source in sources]
        for k, target in enumerate(targets):
            vectors.store(vectors.picked(found, self._order(k)), *target)

    def _mask(self, count: Any, first: int) -> Any:
        """Return the mask of those of ``count`` elements that are in a vector, or ``None``."""
        if count is None:
            return None
        builder, zero = self._writer.builder, self._writer.integer(0)
        left = builder.sub(count, self._writer.integer(first))
        left = builder.select(builder.icmp_signed("<", left, zero), zero, left)
        return self._vectors.mask(left)

    def _order(self, k: int) -> list[int]:
        """Return the places of the elements of vector ``k`` in vectors that follow one another."""
        lanes, count = self._vectors.lanes, self._lines
        if self._is_back:
            return [lane * count + k for lane in range(lanes)]
        places = [divmod(k * lanes + lane, count) for lane in range(lanes)]
        return [line * lanes + lane for lane, line in places]
