"""The curves of arrows: through their bends and past their neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symad.drawing.layout.bends import Ordering
from symad.drawing.layout.curves import Knot, Point, between, smooth, tangents
from symad.drawing.layout.heights import Heights
from symad.drawing.layout.positions import Places

_PORT = 15.0  # between arrows that end on one side
_NEAR = 6.0  # between an arrow and its neighbours
_FAR = 80.0
_SAME = 0.01
_GATE = 6.0  # between a band and the point where arrows leave it

Knots = list[Knot]
"""The points of an arrow in one layer."""

Gate = tuple[int, int, int]
"""A node; 1 if arrows leave it at its bottom, else -1; 1 if they lead to the right, else -1."""

Port = tuple[float, int, int]
"""The origin of an arrow: place and number of the element, and the link if it is a node."""


class Router:
    """Computes the curves of arrows.

    Parameters
    ----------
    ordering : Ordering
    places : Places
    heights : Heights
    sizes : sequence of (float, float)
        Width and height of the nodes.
    """

    def __init__(
        self, ordering: Ordering, places: Places, heights: Heights, sizes: Sequence[Point]
    ) -> None:
        self._ordering = ordering
        self._places = places
        self._heights = heights
        self._sizes = sizes
        self._heads, self._tails = self._all_ports()
        self._gates = self._all_gates()
        self._forks = self._all_forks()
        self._uses = Counter(number for path in ordering.paths for number in path[1:-1])

    def _layer(self, number: int) -> int:
        return self._ordering.elements[number].layer

    def _is_beside(self, path: Sequence[int]) -> bool:
        """Return whether an arrow leads from a node to the next one in its layer."""
        return len(path) == 2 and self._ordering.are_neighbours(*path)

    def _side(self, number: int, other: int) -> int:
        """Return 1 if an arrow to ``other`` leaves an item at its bottom, -1 at its top."""
        return -1 if self._layer(other) < self._layer(number) else 1

    def _all_ports(self) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
        """Return the ports of arrows, as distances from the middle of a side.

        Arrows that end at a side share a port per bend that they come from, or have their own, by
        link; all arrows that leave a side share one port, by node and side.
        """
        x, count = self._places.middles, len(self._sizes)
        sides: dict[tuple[int, int], dict[Port, list[int]]] = {}
        leaving: dict[tuple[int, int], list[float]] = {}
        for link, path in enumerate(self._ordering.paths):
            if len(path) > 1 and not self._is_beside(path):
                before = path[-2]
                port = x[before], before, 0 if before >= count else link
                ends = path[-1], self._side(path[-1], before)
                sides.setdefault(ends, {}).setdefault(port, []).append(link)
                starts = path[0], self._side(path[0], path[1])
                leaving.setdefault(starts, []).append(x[path[1]])
        for side, places in leaving.items():
            sides.setdefault(side, {})[sum(places) / len(places), -1, -1] = []
        heads: dict[int, float] = {}
        tails: dict[tuple[int, int], float] = {}
        for side, ports in sides.items():
            step = min(_PORT, 0.6 * self._sizes[side[0]][0] / max(len(ports) - 1, 1))
            for i, port in enumerate(sorted(ports)):
                offset = (i - (len(ports) - 1) / 2) * step
                if port[1] < 0:
                    tails[side] = offset
                for link in ports[port]:
                    heads[link] = offset
        return heads, tails

    def _bands(self, path: Sequence[int]) -> tuple[int, int]:
        elements = self._ordering.elements
        return elements[path[0]].band, elements[path[-1]].band

    def _all_gates(self) -> dict[Gate, Knot]:
        """Return the gates: the points where arrows from a node leave its band on one side.

        Gates of one gap are one below the other: the nearer the node, the nearer to its layer.
        """
        found: dict[tuple[int, int, int, int], dict[int, None]] = {}
        for path in self._ordering.paths:
            if self._is_abroad(path):
                tail, side, way = self._gate(path)
                key = self._layer(tail), side, self._bands(path)[0], way
                found.setdefault(key, {})[tail] = None
        borders = {
            lane // 2: (self._places.lefts[frame], self._places.rights[frame])
            for frame, (lane, scope) in enumerate(self._ordering.frames)
            if not scope and not lane % 2
        }
        gates = {}
        for (layer, side, band, way), tails in found.items():
            left, right = borders[band]
            x = right + _GATE if way > 0 else left - _GATE
            start, end = self._gap(layer, side)
            near = sorted(tails, key=self._places.middles.__getitem__, reverse=way > 0)
            for place, tail in enumerate(near, 1):
                share = 0.1 + 0.8 * place / (len(near) + 1)
                gates[tail, side, way] = Knot(x, start + share * (end - start), free=True)
        return gates

    def _gap(self, layer: int, side: int) -> tuple[float, float]:
        """Return the limits of the gap below a layer, or above it."""
        if side > 0:
            return self._heights.bottoms[layer], self._heights.tops[layer + 1]
        return self._heights.tops[layer], self._heights.bottoms[layer - 1]

    def _is_abroad(self, path: Sequence[int]) -> bool:
        """Return whether an arrow leads to another band, through a gap between layers."""
        if len(path) < 2 or self._layer(path[0]) == self._layer(path[-1]):
            return False
        start, end = self._bands(path)
        return start != end

    def _gate(self, path: Sequence[int]) -> Gate:
        start, end = self._bands(path)
        return path[0], self._side(path[0], path[1]), 1 if end > start else -1

    def _all_forks(self) -> set[int]:
        """Return the bends where bundled arrows separate: all of them are straight there."""
        beside: dict[int, set[tuple[int, int]]] = {}
        for path in self._ordering.paths:
            for before, number, after in zip(path, path[1:], path[2:], strict=False):
                beside.setdefault(number, set()).add((before, after))
        return {number for number, pairs in beside.items() if len(pairs) > 1}

    def _is_shared(self, path: Sequence[int]) -> bool:
        """Return whether an arrow is part of a bundle: all arrows leave a bundle, or none."""
        return any(self._uses[number] > 1 for number in path[1:-1])

    def curve(self, link: int) -> list[Point]:
        """Return the curve of an arrow: a Bézier curve of 3n + 1 points."""
        path: Sequence[int] = self._ordering.paths[link]
        tail, head = path[0], path[-1]
        if self._is_beside(path):
            return self._beside(tail, head)
        side = self._side(tail, path[1])
        start = (self._places.middles[tail] + self._tails[tail, side], self._border(tail, side))
        end_x = self._places.middles[head] + self._heads[link]
        end = (end_x, self._border(head, self._side(head, path[-2])))
        if self._layer(tail) == self._layer(head):
            return self._around(start, end, tail)
        groups = [self._leave(start, path), self._arrive(end, path)]
        if self._is_abroad(path):
            if len(path) > 2:
                groups = self._through_bends(self._without_straight_runs(path), *groups)
            groups.insert(1, [self._gates[self._gate(path)]])
        elif self._is_shared(path) or not self._is_clear(path, *groups):
            groups = self._through_bends(self._without_straight_runs(path), *groups)
        return smooth([knot for group in groups for knot in group])

    def _without_straight_runs(self, path: Sequence[int]) -> list[int]:
        """Return a path without bends that are between two others in a vertical line."""
        x = self._places.middles
        inner = [
            b
            for a, b, c in zip(path, path[1:], path[2:], strict=False)
            if abs(x[a] - x[b]) > _SAME or abs(x[b] - x[c]) > _SAME or path[0] == a or path[-1] == c
        ]
        return [path[0], *inner, path[-1]]

    def _leave(self, start: Point, path: Sequence[int]) -> Knots:
        """Return the first points of an arrow: straight out of its layer."""
        down = self._layer(path[-1]) > self._layer(path[0])
        return [Knot(*start), self._edge(start[0], path[0], down)]

    def _arrive(self, end: Point, path: Sequence[int]) -> Knots:
        """Return the last points of an arrow: straight into its layer."""
        down = self._layer(path[-1]) > self._layer(path[0])
        return [self._edge(end[0], path[-1], not down), Knot(*end)]

    def _is_clear(self, path: Sequence[int], first: Knots, last: Knots) -> bool:
        """Return whether an arrow without any of its bends keeps clear of everything."""
        return all(self._passes(number, first[-1], 0.0, last[0], 0.0) for number in path[1:-1])

    def _through_bends(self, path: Sequence[int], first: Knots, last: Knots) -> list[Knots]:
        """Return the points of an arrow: its ends, and the middle of each bend with enough room.

        In a layer without room, the arrow runs straight down.
        """
        steep = self._forks.intersection(path)
        down = self._layer(path[-1]) > self._layer(path[0])
        while True:
            groups = [first]
            for number in path[1:-1]:
                x = self._places.middles[number]
                groups.append(
                    [self._edge(x, number, not down), self._edge(x, number, down)]
                    if number in steep
                    else [Knot(x, self._heights.middle(number), free=True)]
                )
            groups.append(last)
            tight = self._tight(path, groups).difference(steep)
            if not tight:
                return groups
            steep |= tight

    def _edge(self, x: float, number: int, bottom: bool) -> Knot:
        """Return a point at the bottom or at the top of the layer of an element."""
        layer = self._layer(number)
        return Knot(x, self._heights.bottoms[layer] if bottom else self._heights.tops[layer])

    def _tight(self, path: Sequence[int], groups: Sequence[Sequence[Knot]]) -> set[int]:
        """Return the bends where a curve comes too close to its neighbours."""
        knots = [knot for group in groups for knot in group]
        slopes = dict(zip(map(id, knots), tangents(knots), strict=True))
        tight = set()
        for number, (before, (knot, *_), after) in zip(
            path[1:-1], zip(groups, groups[1:], groups[2:], strict=False), strict=True
        ):
            if not knot.free:
                continue
            for other in (before[-1], after[0]):
                if not self._passes(number, knot, slopes[id(knot)], other, slopes[id(other)]):
                    tight.add(number)
        return tight

    def _passes(self, number: int, a: Knot, slope: float, b: Knot, other_slope: float) -> bool:
        """Return whether a piece of a curve keeps its distance in the layer of a bend."""
        layer = self._layer(number)
        low, high = self._clearance(number)
        ys = (min(max(y, min(a.y, b.y)), max(a.y, b.y))
              for y in (self._heights.tops[layer], self._heights.bottoms[layer]))  # fmt: skip
        return all(low <= between(a, slope, b, other_slope, y) <= high for y in ys)

    def _clearance(self, number: int) -> Point:
        """Return the limits of the free space around a bend in its layer."""
        layer = self._ordering.layers[self._layer(number)]
        place = self._ordering.position[number]
        x, elements = self._places.middles, self._ordering.elements
        low, high = x[number] - _FAR, x[number] + _FAR
        if place:
            other = layer[place - 1]
            near = x[other] + elements[other].width / 2
            low = near + _NEAR if elements[other].width else (near + x[number]) / 2
        if place + 1 < len(layer):
            other = layer[place + 1]
            near = x[other] - elements[other].width / 2
            high = near - _NEAR if elements[other].width else (near + x[number]) / 2
        return low, high

    def _border(self, number: int, side: int) -> float:
        return self._heights.middle(number) + side * self._sizes[number][1] / 2

    def _beside(self, tail: int, head: int) -> list[Point]:
        sign = 1 if self._places.middles[head] > self._places.middles[tail] else -1
        a = self._places.middles[tail] + sign * self._sizes[tail][0] / 2
        b = self._places.middles[head] - sign * self._sizes[head][0] / 2
        y = self._heights.middle(tail)
        return [(a, y), (a + (b - a) / 3, y), (b - (b - a) / 3, y), (b, y)]

    def _around(self, start: Point, end: Point, tail: int) -> list[Point]:
        """Return a curve below a layer, from one of its nodes to another."""
        depth = self._heights.track(tail)
        turn = min(abs(end[0] - start[0]) / 2, 40.0) * (1 if end[0] > start[0] else -1)
        points = [start, (start[0], depth), (start[0], depth), (start[0] + turn, depth)]
        near, far = points[-1][0], end[0] - turn
        points += [(near, depth), (far, depth), (far, depth)]
        return [*points, (end[0], depth), (end[0], depth), end]
