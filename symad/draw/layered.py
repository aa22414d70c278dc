"""A layered layout of symad's own: where everything stands, if there is no Graphviz.

Layers come from a linear program that makes arrows short; long arrows get bends, one for each layer
that they pass; sweeps over the layers order them against crossings; places come from averages over
neighbours (Sugiyama, Tagawa and Toda 1981; Gansner, Koutsofios, North and Vo 1993).  Frames, around
bands and scopes, are part of the order and of the places: nothing foreign stands inside of one.
Long arrows from one node, or to one, share their bends: they run as a bundle as far as they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symad.draw.layered_curves import Knot, Point, between, smooth, tangents
from symad.draw.layered_order import Element, Ordering, order
from symad.draw.layered_places import Places, place
from symad.draw.layered_ranks import ranks

_GAP = 38.0  # between layers
_TRACK = 7.0  # more for each arrow that runs sideways between two layers
_MOST_TRACKS = 12
_SIDEWAYS = 60.0
_PADDING = 12.0  # between a frame and what it holds
_PORT = 15.0  # between arrows that end on one side
_NEAR = 6.0  # between an arrow and what it passes
_FAR = 40.0
_SAME = 0.01
_DEPTH = 10.0  # below a layer, of the first arrow from one of its nodes to another


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be placed.

    Attributes
    ----------
    id : str
    band : int
        Bands stand side by side.
    scope : tuple of str
        The frames that it stands inside, from the outermost.
    size : (float, float)
        Width and height.
    """

    id: str
    band: int
    scope: tuple[str, ...]
    size: Point


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow.

    Attributes
    ----------
    id, tail, head : str
    ranks : bool
        Whether its ends must stand at different heights.
    rises : bool
        Whether its head is the higher end.
    """

    id: str
    tail: str
    head: str
    ranks: bool = True
    rises: bool = False


@dataclass(frozen=True, slots=True)
class Diagram:
    """What is to be laid out.

    Attributes
    ----------
    items : list of Item
        In an order that is kept where arrows do not speak against it.
    links : list of Link
        Arrows from one item to itself are left out.
    rows : list of list of str
        Ids of items that stand at the same height.
    titles : dict from (int, tuple of str) to (float, float)
        For each frame, a band and a scope, the size of its title.
    """

    items: Sequence[Item]
    links: Sequence[Link]
    rows: Sequence[Sequence[str]]
    titles: dict[tuple[int, tuple[str, ...]], Point]


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle around a band or a scope, with its title at the top left."""

    band: int
    scope: tuple[str, ...]
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Places, from the top left.

    Attributes
    ----------
    size : (float, float)
    centres : dict from str to point
        Of each item.
    curves : dict from str to list of points
        For each link a Bézier curve, of 3n + 1 points, from the border of the tail's rectangle to
        that of the head's.
    frames : list of Frame
        Outer before inner ones.
    """

    size: Point
    centres: dict[str, Point]
    curves: dict[str, list[Point]]
    frames: list[Frame]


def lay_out(diagram: Diagram) -> Layout:
    """Return the layout of a diagram.

    Examples
    --------
    >>> items = [Item(name, 0, (), (40.0, 30.0)) for name in "abc"]
    >>> links = [Link("ab", "a", "b"), Link("ac", "a", "c")]
    >>> layout = lay_out(Diagram(items, links, [], {(0, ()): (60.0, 20.0)}))
    >>> a, b, c = (layout.centres[name] for name in "abc")
    >>> a[1] < b[1] == c[1], b[0] < a[0] < c[0]
    (True, True)
    """
    place_of = {item.id: number for number, item in enumerate(diagram.items)}
    ends = [(place_of[link.tail], place_of[link.head]) for link in diagram.links]
    below = [
        (head, tail) if link.rises else (tail, head)
        for link, (tail, head) in zip(diagram.links, ends, strict=True)
        if link.ranks
    ]
    rows = [[place_of[name] for name in row] for row in diagram.rows]
    layers = ranks(len(diagram.items), below, rows)
    elements = [
        Element(layer, item.band, item.scope, item.size[0])
        for item, layer in zip(diagram.items, layers, strict=True)
    ]
    ordering = order(elements, ends)
    widths = {frame: size[0] for frame, size in diagram.titles.items()}
    return _Drafter(diagram, ordering, place(ordering, widths)).layout()


class _Drafter:
    """Gives heights to the layers, and curves to the arrows."""

    def __init__(self, diagram: Diagram, ordering: Ordering, places: Places) -> None:
        self._diagram = diagram
        self._ordering = ordering
        self._places = places
        self._count = len(diagram.items)
        layers = ordering.layers
        self._position = {number: place for layer in layers for place, number in enumerate(layer)}
        self._around_tracks = self._sorted_tracks()
        self._spans = self._frame_layers()
        self._tops, self._bottoms = self._heights()
        self._heads, self._tails = self._all_ports()

    def layout(self) -> Layout:
        centres = {
            item.id: (self._places.middles[number], self._middle(number))
            for number, item in enumerate(self._diagram.items)
        }
        curves = {
            link.id: self._curve(place, path)
            for place, (link, path) in enumerate(
                zip(self._diagram.links, self._ordering.paths, strict=True)
            )
            if path
        }
        width = max(self._places.rights, default=0.0)
        height = max((frame.bottom for frame in self._frames()), default=0.0)
        return Layout((width, height), centres, curves, self._frames())

    def _layer(self, number: int) -> int:
        return self._ordering.elements[number].layer

    # Heights

    def _frame_layers(self) -> dict[int, tuple[int, int]]:
        """Return the first and the last layer of each frame of a band."""
        spans: dict[int, tuple[int, int]] = {}
        for number, chain in enumerate(self._ordering.chains):
            layer = self._layer(number)
            for frame in chain:
                first, last = spans.get(frame, (layer, layer))
                spans[frame] = min(first, layer), max(last, layer)
        return {f: span for f, span in spans.items() if not self._ordering.frames[f][0] % 2}

    def _title(self, frame: int) -> float:
        lane, scope = self._ordering.frames[frame]
        return self._diagram.titles[lane // 2, scope][1]

    def _heights(self) -> tuple[list[float], list[float]]:
        """Return the top and the bottom of each layer."""
        count = len(self._ordering.layers)
        above, self._below = [0.0] * count, [_PADDING] * count
        outer = {chain[i + 1]: chain[i] for chain in self._ordering.chains
                 for i in range(len(chain) - 1)}  # fmt: skip
        self._rise = {frame: _PADDING + self._title(frame) for frame in self._spans}
        self._fall = dict.fromkeys(self._spans, _PADDING)
        for frame in sorted(self._spans, key=lambda f: -len(self._ordering.frames[f][1])):
            first, last = self._spans[frame]
            above[first] = max(above[first], self._rise[frame])
            self._below[last] = max(self._below[last], self._fall[frame])
            if frame in outer:
                around = outer[frame]
                rise, fall = _PADDING + self._title(around), _PADDING
                if self._spans[around][0] == first:
                    self._rise[around] = max(self._rise[around], self._rise[frame] + rise)
                if self._spans[around][1] == last:
                    self._fall[around] = max(self._fall[around], self._fall[frame] + fall)
        tracks = self._tracks(count)
        tops, bottoms, y = [], [], 0.0
        for layer, numbers in enumerate(self._ordering.layers):
            y += above[layer]
            items = [self._diagram.items[n].size[1] for n in numbers if n < self._count]
            tops.append(y)
            bottoms.append(y + max(items, default=0.0))
            y = bottoms[-1] + self._below[layer] + _GAP + _TRACK * min(tracks[layer], _MOST_TRACKS)
        return tops, bottoms

    def _tracks(self, count: int) -> list[int]:
        """Return how many arrows run sideways below each layer."""
        found = [0] * count
        x = self._places.middles
        for upper, lower in self._ordering.segments:
            found[self._layer(upper)] += abs(x[upper] - x[lower]) > _SIDEWAYS
        for tail, track in self._around_tracks.items():
            found[self._layer(tail)] += track > 0
        return found

    def _sorted_tracks(self) -> dict[int, int]:
        """Return at which depth arrows run that lead from a node to others in its layer."""
        tracks: dict[int, int] = {}
        used = [0] * len(self._ordering.layers)
        for path in self._ordering.paths:
            if len(path) == 2 and self._layer(path[0]) == self._layer(path[1]):
                if path[0] not in tracks and not self._is_straight(path):
                    layer = self._layer(path[0])
                    tracks[path[0]] = used[layer]
                    used[layer] += 1
        return tracks

    def _middle(self, number: int) -> float:
        layer = self._layer(number)
        return (self._tops[layer] + self._bottoms[layer]) / 2

    def _frames(self) -> list[Frame]:
        frames = []
        for frame in sorted(self._spans, key=lambda f: len(self._ordering.frames[f][1])):
            lane, scope = self._ordering.frames[frame]
            first, last = self._spans[frame]
            top = self._tops[first] - self._rise[frame]
            bottom = self._bottoms[last] + self._fall[frame]
            left, right = self._places.lefts[frame], self._places.rights[frame]
            frames.append(Frame(lane // 2, scope, left, top, right, bottom))
        return frames

    # Arrows

    def _side(self, number: int, other: int) -> int:
        """Return 1 if an arrow to ``other`` leaves an item at its bottom, -1 at its top."""
        return -1 if self._layer(other) < self._layer(number) else 1

    def _all_ports(self) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
        """Return how far from the middle of a side arrows meet it.

        Each arrow that ends at a side has a port of its own, by link; all that leave from there
        have one in common, by node and side.
        """
        x = self._places.middles
        meeting: dict[tuple[int, int], list[tuple[float, int]]] = {}
        leaving: dict[tuple[int, int], list[float]] = {}
        for link, path in enumerate(self._ordering.paths):
            if len(path) > 1 and not self._is_straight(path):
                ends = path[-1], self._side(path[-1], path[-2])
                meeting.setdefault(ends, []).append((x[path[-2]], link))
                starts = path[0], self._side(path[0], path[1])
                leaving.setdefault(starts, []).append(x[path[1]])
        for side, places in leaving.items():
            meeting.setdefault(side, []).append((sum(places) / len(places), -1))
        heads: dict[int, float] = {}
        tails: dict[tuple[int, int], float] = {}
        for side, arrows in meeting.items():
            width = self._diagram.items[side[0]].size[0]
            step = min(_PORT, 0.6 * width / max(len(arrows) - 1, 1))
            for i, (_, link) in enumerate(sorted(arrows)):
                offset = (i - (len(arrows) - 1) / 2) * step
                if link < 0:
                    tails[side] = offset
                else:
                    heads[link] = offset
        return heads, tails

    def _is_straight(self, path: Sequence[int]) -> bool:
        """Return whether an arrow leads from a node to the next one beside it."""
        if len(path) != 2 or self._layer(path[0]) != self._layer(path[1]):
            return False
        return abs(self._position[path[0]] - self._position[path[1]]) == 1

    def _curve(self, place: int, path: Sequence[int]) -> list[Point]:
        tail, head = path[0], path[-1]
        if self._is_straight(path):
            return self._beside(tail, head)
        path = self._without_straight_runs(path)
        side = self._side(tail, path[1])
        start = (self._places.middles[tail] + self._tails[tail, side], self._border(tail, side))
        end_x = self._places.middles[head] + self._heads[place]
        end = (end_x, self._border(head, self._side(head, path[-2])))
        if self._layer(tail) == self._layer(head):
            return self._around(start, end, tail)
        knots = self._knots(path, start, end)
        return smooth([knot for group in knots for knot in group])

    def _without_straight_runs(self, path: Sequence[int]) -> list[int]:
        """Return a path without the bends between two others right above and below."""
        x = self._places.middles
        inner = [
            b
            for a, b, c in zip(path, path[1:], path[2:], strict=False)
            if abs(x[a] - x[b]) > _SAME or abs(x[b] - x[c]) > _SAME or path[0] == a or path[-1] == c
        ]
        return [path[0], *inner, path[-1]]

    def _knots(self, path: Sequence[int], start: Point, end: Point) -> list[list[Knot]]:
        """Return points of an arrow: its ends, and for each bend its middle if there is room.

        Through a layer without room it runs straight down.
        """
        tail, head = path[0], path[-1]
        steep = {tail, head}
        down = self._layer(head) > self._layer(tail)
        while True:
            groups = [[Knot(*start), self._edge(start[0], tail, down)]]
            for number in path[1:-1]:
                x = self._places.middles[number]
                groups.append(
                    [self._edge(x, number, not down), self._edge(x, number, down)]
                    if number in steep
                    else [Knot(x, self._middle(number), free=True)]
                )
            groups.append([self._edge(end[0], head, not down), Knot(*end)])
            tight = self._tight(path, groups).difference(steep)
            if not tight:
                return groups
            steep |= tight

    def _edge(self, x: float, number: int, bottom: bool) -> Knot:
        """Return a point at the bottom or at the top of the layer of an element."""
        layer = self._layer(number)
        return Knot(x, self._bottoms[layer] if bottom else self._tops[layer])

    def _tight(self, path: Sequence[int], groups: Sequence[Sequence[Knot]]) -> set[int]:
        """Return the bends where a curve comes too close to what stands beside it."""
        knots = [knot for group in groups for knot in group]
        slopes = dict(zip(map(id, knots), tangents(knots), strict=True))
        tight = set()
        for number, (before, (knot, *_), after) in zip(
            path[1:-1], zip(groups, groups[1:], groups[2:], strict=False), strict=True
        ):
            if not knot.free:
                continue
            layer = self._layer(number)
            low, high = self._clearance(number)
            for other in (before[-1], after[0]):
                y = self._tops[layer] if other.y < knot.y else self._bottoms[layer]
                x = between(knot, slopes[id(knot)], other, slopes[id(other)], y)
                if not low <= x <= high:
                    tight.add(number)
        return tight

    def _clearance(self, number: int) -> Point:
        """Return between what places nothing stands in the layer of a bend."""
        layer = self._ordering.layers[self._layer(number)]
        place = self._position[number]
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
        return self._middle(number) + side * self._diagram.items[number].size[1] / 2

    def _beside(self, tail: int, head: int) -> list[Point]:
        sign = 1 if self._places.middles[head] > self._places.middles[tail] else -1
        a = self._places.middles[tail] + sign * self._diagram.items[tail].size[0] / 2
        b = self._places.middles[head] - sign * self._diagram.items[head].size[0] / 2
        y = self._middle(tail)
        return [(a, y), (a + (b - a) / 3, y), (b - (b - a) / 3, y), (b, y)]

    def _around(self, start: Point, end: Point, tail: int) -> list[Point]:
        """Return a curve below a layer, from one of its nodes to another."""
        layer, track = self._layer(tail), min(self._around_tracks[tail], _MOST_TRACKS)
        depth = self._bottoms[layer] + self._below[layer] + _DEPTH + _TRACK * track
        turn = min(abs(end[0] - start[0]) / 2, 40.0) * (1 if end[0] > start[0] else -1)
        points = [start, (start[0], depth), (start[0], depth), (start[0] + turn, depth)]
        near, far = points[-1][0], end[0] - turn
        points += [(near, depth), (far, depth), (far, depth)]
        return [*points, (end[0], depth), (end[0], depth), end]
