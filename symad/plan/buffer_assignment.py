"""Assigns memory to buffers; buffers that are never needed together may share it.

:func:`assign` finds a place for each buffer: in the memory of an argument that is no longer needed,
in a result before it is written, or in an arena, whose offsets :func:`arrange` computes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from symad.graph.node import computed
from symad.plan.liveness import Span, spans
from symad.plan.storage import Storage, StorageKind
from symad.records import dataclass

_SEARCHED = 512
"""The most values for which quadratic-time placements are tried, which takes milliseconds."""
_LENDERS = 8
"""The most results that lend their memory, which bounds the cost per value."""
_LENT = 4096
"""Values smaller than this, in bytes, do not borrow memory."""


@dataclass(frozen=True, slots=True)
class BufferUse:
    """The use of buffers by one step; buffers are numbered.

    Attributes
    ----------
    touched : collection of int
        The buffers that it reads or writes.
    over : sequence of (int, int)
        Pairs of a buffer that it writes and one that it reads, whose memory the first may take.
    """

    touched: Collection[int]
    over: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where all buffers are stored.

    Attributes
    ----------
    storages : tuple of Storage
    over : dict from int to int
        For each buffer whose memory was used before, the last user of that memory.
    arena : int
        The size of the arena in bytes.
    """

    storages: tuple[Storage, ...]
    over: dict[int, int]
    arena: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The size of a value and the steps at which it is needed.

    Attributes
    ----------
    size : int
        In bytes.
    first : int
        The step that writes it.
    last : int
        The last step that reads it, at least ``first``; values written by that step are stored
        elsewhere.
    """

    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Places in an arena.

    Attributes
    ----------
    offsets : tuple of int
        Where each value begins, in bytes; multiples of the alignment.
    size : int
        The size of the arena in bytes.
    lower_bound : int
        The most bytes that are needed at any step: no arena can be smaller.
    """

    offsets: tuple[int, ...]
    size: int
    lower_bound: int


def arrange(lifetimes: Sequence[Lifetime], alignment: int = 64) -> Arrangement:
    """Return offsets such that values needed at the same step do not overlap.

    Finding the smallest arena is NP-hard.  The values are placed in order of time and in reverse
    order, each in the smallest gap that holds it.  If that wastes memory and there are few values,
    two more orders are tried: by decreasing size and by decreasing lifetime.

    Parameters
    ----------
    lifetimes : sequence of Lifetime
    alignment : int
        In bytes.

    Examples
    --------
    >>> arrange([Lifetime(128, 0, 1), Lifetime(256, 1, 2), Lifetime(64, 2, 3)])
    Arrangement(offsets=(0, 128, 0), size=384, lower_bound=384)
    """
    if {type(life.size) for life in lifetimes} <= {int}:
        return _arranged(lifetimes, alignment)
    steps, count = [(life.first, life.last) for life in lifetimes], len(lifetimes)
    found = computed(partial(_numbers, steps, alignment), *[life.size for life in lifetimes])
    offsets = tuple([found[k] for k in range(count)])
    return Arrangement(offsets, found[count], found[count + 1])


def _numbers(steps: Sequence[Span], alignment: int, *sizes: int) -> tuple[int, ...]:
    """Return the numbers of the arrangement of values with these sizes."""
    pairs = zip(sizes, steps, strict=True)
    made = _arranged([Lifetime(size, *ends) for size, ends in pairs], alignment)
    return *made.offsets, made.size, made.lower_bound


def _arranged(lifetimes: Sequence[Lifetime], alignment: int) -> Arrangement:
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
    return Arrangement(
        tuple(best), smallest, most_live(lifetimes, [life.size for life in lifetimes])
    )


def most_live(lifetimes: Iterable[Lifetime], sizes: Iterable[int]) -> int:
    """Return the most bytes that are needed at any step."""
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
    """Place values in the order in which they begin, larger ones first if they begin together."""
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
    """The free gaps of an arena that grows as needed."""

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
        """Free a value, and join its memory with the gaps on both sides."""
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
    """Place values in a given order, each in the smallest gap between those already placed."""
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
"""The methods, fastest first."""


# Buffers of all kinds


def assign(
    steps: Sequence[BufferUse],
    buffers: Sequence[Storage | int],
    results: Mapping[int, Storage],
    kept: Collection[int] = (),
) -> Assignment:
    """Return where each buffer is stored.

    Parameters
    ----------
    steps : sequence of BufferUse
    buffers : sequence of Storage or int
        The storage, or the size in bytes if there is no place yet.
    results : mapping
        The storages of buffers that are returned.
    kept : collection of int
        Further buffers that are needed after all steps.

    Examples
    --------
    >>> result = Storage(StorageKind.OUTPUT, 0)
    >>> steps = [BufferUse([0]), BufferUse([0, 1], [(1, 0)]), BufferUse([1, 2])]
    >>> made = assign(steps, [8, 8, 8], {2: result})
    >>> [str(storage) for storage in made.storages], made.over, made.arena
    (['arena +0', 'arena +0', 'result 0'], {1: 0}, 64)
    """
    touched = [[b for b in step.touched if isinstance(buffers[b], int)] for step in steps]
    needed = spans(touched, [*results, *kept])
    homes = _homes(steps, buffers, needed)
    over = {made: read for made, read, _ in homes}
    home_of = {read: home for _, read, home in homes}
    for buffer, home in home_of.items():
        needed[home] = needed[buffer][0], needed[home][1]
    free = {k: Lifetime(_size(buffers[k]), *needed[k]) for k in needed if k not in home_of}
    placed = dict(results)
    placed |= _borrowed({k: life for k, life in free.items() if k not in placed}, free, results)
    rest = [k for k in free if k not in placed]
    arena = arrange([free[buffer] for buffer in rest])
    for buffer, offset in zip(rest, arena.offsets, strict=True):
        placed[buffer] = Storage(StorageKind.ARENA, offset)
    for buffer, home in home_of.items():
        placed[buffer] = placed[home]
    unused = Storage(StorageKind.ARENA, 0)
    storages = tuple(
        given if isinstance(given, Storage) else placed.get(buffer, unused)
        for buffer, given in enumerate(buffers)
    )
    return Assignment(storages, over, arena.size)


def _size(buffer: Storage | int) -> int:
    assert isinstance(buffer, int)
    return buffer


def _homes(
    steps: Sequence[BufferUse], buffers: Sequence[Storage | int], needed: Mapping[int, Span]
) -> list[tuple[int, int, int]]:
    """Return which buffers replace which others, and the last buffer in each place."""
    homes: dict[int, int] = {}
    found: list[tuple[int, int, int]] = []
    for step, use in reversed(list(enumerate(steps))):
        for made, read in use.over:
            if read not in needed or buffers[read] != buffers[made]:
                continue
            if needed[read][1] == needed[made][0] == step:
                homes[read] = homes.get(made, made)
                found.append((made, read, homes[read]))
    return found


def _borrowed(
    values: Mapping[int, Lifetime],
    all_values: Mapping[int, Lifetime],
    results: Mapping[int, Storage],
) -> dict[int, Storage]:
    """Return the places of values that are stored in a result before it is written, largest first.

    The arrays of the results exist when the first step runs.
    """
    large = [k for k, life in values.items() if life.size >= _LENT]
    waiting = sorted(large, key=lambda k: (-values[k].size, values[k].first))
    lenders = sorted(results, key=lambda k: -all_values[k].size)[:_LENDERS]
    found: dict[int, Storage] = {}
    for lender in lenders:
        result = all_values[lender]
        taken: list[Span] = [(result.first, result.last)]
        for buffer in waiting:
            life = values[buffer]
            if buffer not in found and life.size <= result.size and _is_free(taken, life):
                insort(taken, (life.first, life.last))
                found[buffer] = results[lender]
    return found


def _is_free(taken: Sequence[Span], life: Lifetime) -> bool:
    """Return whether no span of a sorted, disjoint list overlaps that of a value."""
    after = bisect_left(taken, (life.first, life.last))
    ends_in_time = after == len(taken) or life.last < taken[after][0]
    return ends_in_time and (after == 0 or taken[after - 1][1] < life.first)
