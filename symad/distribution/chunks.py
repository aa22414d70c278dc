"""How a dimension is cut into chunks, and chunks are grouped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import DistributionError
from symad.records import dataclass

_USUAL = 64
"""How many chunks are made unless their sizes are given: always as many, so that the result does
not depend on the machine."""
_LARGEST_GROUP = 128

Chunks = int | Sequence[int] | None


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """Where a dimension is cut, and which chunks are computed together.

    A group is an aligned block of 2ᵏ chunks, or what of it exists: results do not depend on k.

    Attributes
    ----------
    stops : tuple of int
        Where each chunk stops.
    level : int
        k.
    """

    stops: tuple[int, ...]
    level: int

    @property
    def size(self) -> int:
        """The size of the dimension."""
        return self.stops[-1]

    def bounds(self, chunk: int) -> tuple[int, int]:
        """Return where a chunk starts and stops."""
        return (self.stops[chunk - 1] if chunk else 0), self.stops[chunk]

    def groups(self) -> list[range]:
        """Return the numbers of the chunks in each group."""
        step, count = 1 << self.level, len(self.stops)
        return [range(first, min(first + step, count)) for first in range(0, count, step)]

    def pieces(self, value: Any, axis: int) -> list[list[Any]]:
        """Return, for each group, the chunks of a value."""
        return [
            [cut(value, axis, *self.bounds(chunk)) for chunk in group] for group in self.groups()
        ]


def cut(value: Any, axis: int, start: int, stop: int) -> Any:
    """Return a part of an array along an axis; one that is elsewhere has its own way."""
    if isinstance(value, np.ndarray):
        return value[(slice(None),) * axis + (slice(start, stop),)]
    return value.cut(axis, start, stop)


def group_level(chunks: int, groups: int) -> int:
    """Return k for at least so many groups of 2ᵏ chunks, if there are as many chunks.

    Examples
    --------
    >>> group_level(64, 16), group_level(3, 16), group_level(10**6, 64)
    (2, 0, 7)
    """
    size = min(max(1, chunks // groups), _LARGEST_GROUP)
    return size.bit_length() - 1


def chunk_stops(size: int, chunks: Chunks) -> tuple[int, ...]:
    """Return where the chunks of a dimension stop; there is at least one chunk.

    Parameters
    ----------
    size : int
    chunks : int or sequence of int, optional
        The size of all chunks, of which the last may be smaller, or of each.  By default, there are
        64 of about the same size, or fewer where the dimension is smaller.

    Raises
    ------
    DistributionError
        If the sizes do not add up to ``size``.

    Examples
    --------
    >>> chunk_stops(10, 4), chunk_stops(10, (7, 3)), chunk_stops(3, None)
    ((4, 8, 10), (7, 10), (1, 2, 3))
    """
    if chunks is None:
        count = max(1, min(size, _USUAL))
        return tuple([size * (k + 1) // count for k in range(count)])
    if isinstance(chunks, int):
        return (*range(chunks, size, chunks), size)
    if sum(chunks) != size:
        raise DistributionError(
            f"the chunks have {sum(chunks)} elements together, but the dimension has {size}",
            remedy="Give one number, the size of all chunks but the last, for any size.",
        )
    return tuple(np.cumsum(chunks).tolist())


def checked_chunks(chunks: Any) -> Chunks:
    """Return ``chunks`` as integers.

    Raises
    ------
    DistributionError
        If they are not positive integers.
    """
    is_one = isinstance(chunks, (int, np.integer))
    try:
        sizes = [] if chunks is None else [chunks] if is_one else list(chunks)
        if any(isinstance(each, bool) or int(each) != each or each < 1 for each in sizes):
            raise TypeError
    except (TypeError, ValueError):
        raise DistributionError(
            f"chunks is {chunks!r:.60}",
            remedy="Give the size of all chunks, a positive integer, or one for each chunk.",
        ) from None
    return None if chunks is None else int(chunks) if is_one else tuple(map(int, sizes))
