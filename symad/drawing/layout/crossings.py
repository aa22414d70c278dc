"""Crossings between the orders of two layers, and moves within a layer that reduce them."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from itertools import groupby

Order = tuple[int, ...]
"""The elements of a layer, from left to right."""

_REACH = 12  # places that an element moves


class Crossings:
    """Counts crossings of weighted segments.

    Every answer depends only on orders and is stored: sweeps find the same orders again and again.

    Parameters
    ----------
    groups : sequence
        Elements move only past neighbours of the same group.
    segments : mapping from (int, int) to int
        The weights of segments, each from an upper to a lower element.

    Examples
    --------
    >>> crossings = Crossings([0] * 4, {(0, 3): 2, (1, 2): 5, (1, 3): 1})
    >>> crossings.between((0, 1), (2, 3)), crossings.sifted((0, 1), (2, 3), ())
    ((10, 1), (3, 2))
    """

    def __init__(self, groups: Sequence[object], segments: Mapping[tuple[int, int], int]) -> None:
        self._groups = groups
        self._above: list[list[tuple[int, int]]] = [[] for _ in groups]
        self._below: list[list[tuple[int, int]]] = [[] for _ in groups]
        for (upper, lower), weight in segments.items():
            self._below[upper].append((lower, weight))
            self._above[lower].append((upper, weight))
        self._counts: dict[tuple[Order, Order], tuple[int, int]] = {}
        self._sifted: dict[tuple[Order, Order, Order], Order] = {}

    def between(self, upper: Order, lower: Order) -> tuple[int, int]:
        """Return the weight of the crossings between two layers, and their number."""
        found = self._counts.get((upper, lower))
        if found is None:
            found = self._counts[upper, lower] = self._count(upper, lower)
        return found

    def _count(self, upper: Order, lower: Order) -> tuple[int, int]:
        place = {element: number for number, element in enumerate(lower)}
        before: dict[int, list[int]] = {}  # places of the segments further left, by weight
        total = count = 0
        for element in upper:
            ends = self._below[element]
            for weight, seen in before.items():
                for other, own in ends:
                    greater = len(seen) - bisect_right(seen, place[other])
                    count += greater
                    total += weight * own * greater
            for other, weight in ends:
                insort(before.setdefault(weight, []), place[other])
        return total, count

    def sifted(self, upper: Order, layer: Order, lower: Order) -> Order:
        """Return a layer with its elements moved to where they cross less between two others.

        Each in turn takes its best place at most ``_REACH`` places away, past others in its group
        (Matuszewski, Schönfeld and Molitor 1999).
        """
        found = self._sifted.get((upper, layer, lower))
        if found is None:
            found = layer
            if self.between(upper, layer)[0] or self.between(layer, lower)[0]:
                place = {n: number for number, n in enumerate((*upper, *lower))}
                sizes = len(upper), len(place)
                runs = [list(run) for _, run in groupby(layer, self._groups.__getitem__)]
                found = tuple([n for run in runs for n in self._sift(run, place, *sizes)])
            self._sifted[upper, layer, lower] = found
        return found

    def _sift(self, run: list[int], place: Mapping[int, int], middle: int, end: int) -> list[int]:
        """Move neighbours of one group, and return them.

        The upper layer has the places up to ``middle``, and the lower layer those up to ``end``.
        """
        if len(run) == 1:
            return run
        near = {n: (*self._above[n], *self._below[n]) for n in run}
        ends = {n: [(place[other], weight) for other, weight in near[n]] for n in run}
        for element in run[:]:
            count = len(self._above[element])
            weights = _fill([], ends[element][:count], middle)
            _fill(weights, ends[element][count:], end)
            here = run.index(element)
            best, goal = 0, here
            left, right = run[max(here - _REACH, 0) : here], run[here + 1 : here + 1 + _REACH]
            for sign, others in (1, right), (-1, left[::-1]):
                gain = 0
                for away, other in enumerate(others, 1):
                    for at, weight in ends[other]:
                        gain += sign * weight * weights[at]
                    if gain > best:
                        best, goal = gain, here + sign * away
            if best:
                run.insert(goal, run.pop(here))
        return run


def _fill(weights: list[int], ends: list[tuple[int, int]], size: int) -> list[int]:
    """Extend a list to ``size``, and return it.

    Each place gets the weight of all ends right of it, minus the weight of those left of it.

    Examples
    --------
    >>> _fill([], [(1, 5), (3, 1)], 6)
    [6, 1, -4, -5, -6, -6]
    """
    left = sum([weight for _, weight in ends])
    for place, weight in sorted(ends) if len(ends) > 1 else ends:
        weights += [left] * (place - len(weights))
        weights.append(left - weight)
        left -= 2 * weight
    weights += [left] * (size - len(weights))
    return weights
