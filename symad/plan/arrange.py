"""Where values stand in one block of memory: those that are never needed together may share it."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_SEARCHED = 512
"""Up to how many values placements are tried that take quadratic time: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How large a value is and when it is needed.

    Attributes
    ----------
    size : int
        In bytes.
    first : int
        The step that writes it.
    last : int
        The last step that reads it, at least ``first``; what that step writes stands elsewhere.
    """

    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in an arena.

    Attributes
    ----------
    offsets : tuple of int
        Where each value begins, in bytes; multiples of the alignment.
    size : int
        Of the arena, in bytes.
    lower_bound : int
        The most bytes that are needed at any one step: no arena can be smaller.
    """

    offsets: tuple[int, ...]
    size: int
    lower_bound: int


def arrange(lifetimes: Sequence[Lifetime], alignment: int = 64) -> Layout:
    """Return where values may stand so that no two overlap that are needed at the same step.

    The smallest arena is NP-hard to find.  The values are placed as time goes on, each in the
    smallest gap that holds it, and as time goes back; where that wastes memory and the values are
    few, also from the largest to the smallest, and from the longest-lived on.

    Parameters
    ----------
    lifetimes : sequence of Lifetime
    alignment : int
        In bytes.

    Examples
    --------
    >>> arrange([Lifetime(128, 0, 1), Lifetime(256, 1, 2), Lifetime(64, 2, 3)])
    Layout(offsets=(0, 128, 0), size=384, lower_bound=384)
    """
    sizes = [-(-life.size // alignment) * alignment for life in lifetimes]
    padded = most_live(lifetimes, sizes)
    best, smallest = [0] * len(sizes), sum(sizes) + 1
    for place in _PLACEMENTS if len(sizes) <= _SEARCHED else _PLACEMENTS[:2]:
        offsets = place(lifetimes, sizes)
        size = max(map(int.__add__, offsets, sizes), default=0)
        if size < smallest:
            best, smallest = offsets, size
        if size == padded:
            break
    return Layout(tuple(best), smallest, most_live(lifetimes, [life.size for life in lifetimes]))


def most_live(lifetimes: Iterable[Lifetime], sizes: Iterable[int]) -> int:
    """Return the most bytes that are needed at any one step."""
    changes: dict[int, int] = {}
    for life, size in zip(lifetimes, sizes, strict=True):
        changes[life.first] = changes.get(life.first, 0) + size
        changes[life.last + 1] = changes.get(life.last + 1, 0) - size
    live = most = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most


def _forwards(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> list[int]:
    return _in_time([(life.first, life.last) for life in lifetimes], sizes)


def _backwards(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> list[int]:
    return _in_time([(-life.last, -life.first) for life in lifetimes], sizes)


def _in_time(spans: Sequence[tuple[int, int]], sizes: Sequence[int]) -> list[int]:
    """Place values in the order in which they begin; of those that begin together, large first."""
    gaps = _Gaps()
    offsets = [0] * len(sizes)
    ending: list[tuple[int, int]] = []
    for value in sorted(range(len(sizes)), key=lambda value: (spans[value][0], -sizes[value])):
        if not sizes[value]:
            continue
        begin, end = spans[value]
        while ending and ending[0][0] < begin:
            _, ended = heapq.heappop(ending)
            gaps.give_back(offsets[ended], sizes[ended])
        offsets[value] = gaps.take(sizes[value])
        heapq.heappush(ending, (end, value))
    return offsets


class _Gaps:
    """What is free in an arena that grows as needed."""

    def __init__(self) -> None:
        self._size = 0
        self._by_size: list[tuple[int, int]] = []
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def take(self, size: int) -> int:
        """Return where the smallest gap of at least ``size`` begins, growing the arena if none."""
        place = bisect_left(self._by_size, (size, 0))
        if place < len(self._by_size):
            length, begin = self._by_size[place]
            self._remove(begin)
        else:
            length = self._ends.get(self._size, 0)
            begin = self._size - length
            if length:
                self._remove(begin)
            self._size = begin + size
        if length > size:
            self._add(begin + size, length - size)
        return begin

    def give_back(self, begin: int, size: int) -> None:
        """Free what stands there, and join it with the gaps on both sides."""
        after = self._begins.get(begin + size, 0)
        if after:
            self._remove(begin + size)
        before = self._ends.get(begin, 0)
        if before:
            self._remove(begin - before)
        self._add(begin - before, before + size + after)

    def _add(self, begin: int, length: int) -> None:
        insort(self._by_size, (length, begin))
        self._begins[begin] = self._ends[begin + length] = length

    def _remove(self, begin: int) -> None:
        length = self._begins.pop(begin)
        del self._ends[begin + length]
        del self._by_size[bisect_left(self._by_size, (length, begin))]


def _large_first(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> list[int]:
    return _by_rank(lifetimes, sizes, lambda life: (-life.size, life.first - life.last))


def _long_first(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> list[int]:
    return _by_rank(lifetimes, sizes, lambda life: (life.first - life.last, -life.size))


def _by_rank(
    lifetimes: Sequence[Lifetime],
    sizes: Sequence[int],
    rank: Callable[[Lifetime], tuple[int, int]],
) -> list[int]:
    """Place values in an order of choice, each in the smallest gap between those placed before."""
    order = sorted(range(len(sizes)), key=lambda value: rank(lifetimes[value]))
    offsets = [0] * len(sizes)
    placed = np.empty((4, 0), np.int64)  # begin, end, first step, last step: sorted by begin
    for value in order:
        life, size = lifetimes[value], sizes[value]
        if not size:
            continue
        begin, end, first, last = placed
        live = (first <= life.last) & (last >= life.first)
        offsets[value] = _smallest_gap(begin[live], end[live], size)
        row = (offsets[value], offsets[value] + size, life.first, life.last)
        placed = np.insert(placed, np.searchsorted(begin, offsets[value]), row, axis=1)
    return offsets


def _smallest_gap(begin: np.ndarray, end: np.ndarray, size: int) -> int:
    """Return where the smallest gap of at least ``size`` begins between intervals in order."""
    before = np.maximum.accumulate(np.concatenate(([0], end)))
    lengths = begin - before[:-1]
    fitting = np.flatnonzero(lengths >= size)
    if not len(fitting):
        return int(before[-1])
    return int(before[fitting[np.argmin(lengths[fitting])]])


_PLACEMENTS = (_forwards, _backwards, _large_first, _long_first)
"""From the fastest on."""
