"""The order of nodes in each layer: few crossings, and contiguous frames.

Each element has a key: the places of the frames around it, the outermost first, then its own place.
Layers are sorted by these keys.  A frame has the same place in all layers, so two frames have the
same order in every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from symad.drawing.layout.bends import Bender, Chain, Element, Ordering
from symad.drawing.layout.crossings import Crossings, Order
from symad.drawing.layout.spacing import Spacing

_EFFORT = {600: (4, 24, 2, 4), 1_200: (2, 24, 2, 2), math.inf: (2, 6, 0, 1)}
"""Up to how many elements there are how many starts, sweeps, rounds of moves after each of these,
and of the orders that are found, how many are improved further."""

_PATIENCE = 6  # sweeps without progress
_ROUNDS = 8  # of moves, after all sweeps
_OPERANDS = 2  # the cost of two operands in the wrong order
_INSIDE = 6  # the weight of a segment inside a lane
_SEEN = 2  # the cost of any crossing, when the best of several orders is chosen
_LANE = 1e6  # places the lanes side by side, whatever their widths


Orders = tuple[Order, ...]
"""The orders of all layers."""


def order(
    elements: Sequence[Element],
    links: Sequence[tuple[int, int]],
    ordered: Sequence[bool] = (),
    spacing: Spacing = Spacing.normal,
) -> Ordering:
    """Return the order of ``elements`` and of the bends of ``links``, pairs (tail, head).

    Links that are ``ordered`` (by default all) arrive at their head from left to right.
    """
    ordering = Bender(elements, links).ordering
    _Sorter(ordering, ordered or [True] * len(links), spacing).sort()
    return ordering


class _Sorter:
    """Sorts the layers, from above and from below in turn."""

    def __init__(self, ordering: Ordering, ordered: Sequence[bool], spacing: Spacing) -> None:
        self._ordering = ordering
        self._ordered = ordered
        self._elements, self._chains = ordering.elements, ordering.chains
        size = len(self._elements)
        self._lanes = lanes = [ordering.frames[chain[0]][0] for chain in self._chains]
        self._above: list[list[int]] = [[] for _ in range(size)]
        self._below: list[list[int]] = [[] for _ in range(size)]
        for upper, lower in ordering.segments:
            self._below[upper].append(lower)
            self._above[lower].append(upper)
        weights = {(a, b): _INSIDE if lanes[a] == lanes[b] else 1 for a, b in ordering.segments}
        self._crossings = Crossings(self._chains, weights)
        gaps = [spacing.nodes if element.width else spacing.bends for element in self._elements]
        self._steps = [e.width + gap for e, gap in zip(self._elements, gaps, strict=True)]
        self._where = self._first_places()
        self._frame_places = [0.0] * len(ordering.frames)
        self._outer: dict[Chain, tuple[tuple[float, int], ...]] = {}  # keys of frames
        self._halves: dict[int, float] = {}  # of the widths of the lanes
        count = 1 + max(e.layer for e in self._elements)
        self._given: list[list[int]] = [[] for _ in range(count)]
        for number, element in enumerate(self._elements):
            self._given[element.layer].append(number)
        self._layers: list[Order] = [()] * count
        self._known: dict[tuple[bool, bool, Orders], Orders] = {}
        self._operands: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for pair in self._pairs_of_operands():
            self._operands[self._elements[pair[0]].layer].append(pair)

    def sort(self) -> None:
        """Find the best order and store it in the ordering."""
        given, size = self._where, len(self._elements)
        effort = next(effort for most, effort in _EFFORT.items() if size <= most)
        count, self._sweeps, self._rounds, most = effort
        starts = [(where, down) for down in (True, False) for where in (given, [-x for x in given])]
        swept = dict(self._best(*start) for start in starts[:count])
        polished = map(self._polished, sorted(swept, key=swept.__getitem__)[:most])
        _, layers = min(polished, key=lambda pair: pair[0])
        self._ordering.layers = [list(layer) for layer in layers]

    def _polished(self, layers: Orders) -> tuple[int, Orders]:
        """Return cost and order after moves and mirroring."""
        self._restore(layers)
        self._sift(_ROUNDS)
        self._mirror_lanes()
        seen = sum([self._crossings.between(*pair)[1] for pair in pairwise(self._layers)])
        return self._cost() + _SEEN * seen, tuple(self._layers)

    def _best(self, where: Sequence[float], down: bool) -> tuple[Orders, int]:
        """Return the best order that sweeps find, and its cost, starting from places.

        The first sweep leads down, or up.
        """
        self._where = list(where)
        self._place_frames()
        for number, layer in enumerate(self._given):
            self._put(number, sorted(layer, key=self._key_by(self._where)))
        best, least, idle = tuple(self._layers), self._cost(), 0
        for sweep in range(self._sweeps):
            if not least or idle == min(_PATIENCE, self._sweeps // 2):
                break
            self._improve(down=(sweep % 2 == 0) == down, reverse_ties=sweep % 4 > 1)
            cost = self._cost()
            idle = 0 if cost < least else idle + 1
            if cost < least:
                best, least = tuple(self._layers), cost
        return best, least

    def _improve(self, down: bool, reverse_ties: bool) -> None:
        """Sweep and sift; what an order becomes is stored, as several starts lead to the same."""
        before = down, reverse_ties, tuple(self._layers)
        if before in self._known:
            self._restore(self._known[before])
        else:
            self._sweep(down, reverse_ties)
            self._sift(self._rounds)
            self._known[before] = tuple(self._layers)

    def _restore(self, layers: Orders) -> None:
        for number, order in enumerate(layers):
            self._change(number, order)

    def _mirror_lanes(self) -> None:
        """Mirror each lane if that is better: the sweeps treat left and right alike."""
        cost = self._cost()
        for lane in sorted(set(self._lanes)):
            before = tuple(self._layers)
            for number, layer in enumerate(before):
                places = [p for p, n in enumerate(layer) if self._lanes[n] == lane]
                if places:
                    first, end = places[0], places[-1] + 1
                    self._put(number, layer[:first] + layer[first:end][::-1] + layer[end:])
            mirrored = self._cost()
            if mirrored < cost:
                cost = mirrored
            else:
                self._restore(before)

    def _first_places(self) -> list[float]:
        """Return the initial places: nodes in their given order, bends between their ends."""
        where = [float(number) for number in range(len(self._elements))]
        for path in self._ordering.paths:
            if len(path) > 2:
                for step, number in enumerate(path[1:-1], 1):
                    share = step / (len(path) - 1)
                    where[number] = (1 - share) * path[0] + share * path[-1]
        return where

    def _pairs_of_operands(self) -> list[tuple[int, int]]:
        """Return the elements that lead to a node from one layer of its lane, left to right."""
        last: dict[tuple[int, int], int] = {}
        pairs = []
        for path, ordered in zip(self._ordering.paths, self._ordered, strict=True):
            if not ordered or len(path) < 2 or self._lanes[path[-1]] != self._lanes[path[-2]]:
                continue
            key = path[-1], self._elements[path[-2]].layer
            if key in last and last[key] != path[-2]:
                pairs.append((last[key], path[-2]))
            last[key] = path[-2]
        return [*pairs, *self._pairs_of_sources()]

    def _pairs_of_sources(self) -> list[tuple[int, int]]:
        """Return pairs of top nodes without inputs, in their given order; each pair twice."""
        used = {path[-1] for path in self._ordering.paths if path}
        last: dict[Chain, int] = {}
        pairs = []
        for number, element in enumerate(self._elements):
            if element.width and not element.layer and number not in used:
                chain = self._chains[number]
                if chain in last:
                    pairs += [(last[chain], number)] * 2
                last[chain] = number
        return pairs

    def _place_frames(self) -> None:
        """Place each frame at the average of its elements."""
        sums = [0.0] * len(self._frame_places)
        counts = [0] * len(self._frame_places)
        for number, chain in enumerate(self._chains):
            for frame in chain:
                sums[frame] += self._where[number]
                counts[frame] += 1
        self._frame_places = [s / max(c, 1) for s, c in zip(sums, counts, strict=True)]
        self._outer = {}

    def _key_by(self, wanted: Mapping[int, float] | Sequence[float]) -> Callable[[int], Any]:
        """Return the key by which elements are sorted, given their preferred places."""
        places, outer = self._frame_places, self._outer

        def key(number: int) -> Any:
            chain = self._chains[number]
            if chain not in outer:
                inner = ((places[frame], frame) for frame in chain[1:])
                outer[chain] = ((self._lanes[number], 0), *inner)
            return (*outer[chain], (wanted[number], -1))

        return key

    def _change(self, number: int, order: Order) -> None:
        """Give a layer another order, if it has not this one."""
        if self._layers[number] != order:
            self._put(number, order)

    def _put(self, number: int, order: Iterable[int]) -> None:
        """Give a layer an order, and assign places."""
        self._layers[number] = tuple(order)
        self._spread(self._layers[number])

    def _spread(self, layer: Order) -> None:
        """Assign places in a layer: side by side, with the middle of each lane at 0."""
        steps, where = self._steps, self._where
        for lane, run in groupby(layer, self._lanes.__getitem__):
            elements, before = list(run), 0.0
            half = sum([steps[number] for number in elements]) / 2
            start = _LANE * lane - half
            for number in elements:
                where[number] = start + (before + self._elements[number].width / 2)
                before += steps[number]
            self._halves[lane] = max(self._halves.get(lane, 0.0), half)

    def _sweep(self, down: bool, reverse_ties: bool) -> None:
        """Move each element to the average of its neighbours in the previous layer."""
        self._place_frames()
        count = len(self._layers)
        near = self._above if down else self._below
        for number in range(count) if down else range(count - 1, -1, -1):
            layer = self._layers[number]
            wanted = {element: self._wanted(element, near[element]) for element in layer}
            ready = reversed(layer) if reverse_ties else layer  # sorting is stable
            self._change(number, tuple(sorted(ready, key=self._key_by(wanted))))

    def _wanted(self, number: int, near: Sequence[int]) -> float:
        """Return the average place of the neighbours that an element follows: those in its lane.

        If there are none, all neighbours count, at the place where they leave its lane.
        """
        where, lane = self._where, self._lanes[number]
        seen = [where[n] for n in near if self._lanes[n] == lane]
        if not seen:
            middle, half = _LANE * lane, self._halves[lane]
            seen = [min(max(where[n], middle - half), middle + half) for n in near]
        return sum(seen) / len(seen) if seen else where[number]

    def _cost(self) -> int:
        """Return the cost of the order: weighted crossings, and operands in the wrong order."""
        where = self._where
        wrong = sum([where[a] > where[b] for pairs in self._operands for a, b in pairs])
        crossings = [self._crossings.between(*pair)[0] for pair in pairwise(self._layers)]
        return _OPERANDS * wrong + sum(crossings)

    def _sift(self, rounds: int) -> None:
        """Move elements within their layers as long as that reduces crossings."""
        layers = self._layers
        for _ in range(rounds):
            before = tuple(layers)
            for number, lower in enumerate((*before[1:], ())):
                upper = layers[number - 1] if number else ()
                self._change(number, self._crossings.sifted(upper, layers[number], lower))
            if tuple(layers) == before:
                return
