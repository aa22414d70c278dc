"""The order of nodes in each layer: few crossings, and contiguous frames.

Each element has a key: the places of the frames around it, the outermost first, then its own place.
Layers are sorted by these keys.  A frame has the same place in all layers, so two frames have the
same order in every layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain as chained
from itertools import groupby
from typing import Any

from symad.drawing.layout.spacing import Spacing
from symad.records import cached_property, dataclass, field

Scope = tuple[Hashable, ...]
"""The frames around an item, from the outermost."""

Chain = tuple[int, ...]
"""The frames around an element, from the outermost, by number."""

_SWEEPS, _LEAST_SWEEPS = 24, 6
_PATIENCE = 6  # sweeps without progress
_FEW_ELEMENTS = 600  # for which sweeps also start from below
_MANY_ELEMENTS = 1_200  # with more there are few sweeps, and no moves until the last
_REACH = 12  # places that an element moves
_ROUNDS, _FEW_ROUNDS = 8, 2  # of moves, after all sweeps and after each
_OPERANDS = 2  # the cost of two operands in the wrong order
_INSIDE = 6  # the weight of a segment inside a lane
_SEEN = 2  # the cost of any crossing, when the best of several orders is chosen
_LANE = 1e6  # places the lanes side by side, whatever their widths
FEW = 3  # up to this many long arrows to a node are not bundled


@dataclass(slots=True)
class Element:
    """A node, or the bend of an arrow in a layer that it passes.

    Attributes
    ----------
    layer, band : int
    scope : Scope
    width : float
        0 for a bend.
    """

    layer: int
    band: int
    scope: Scope
    width: float = 0.0


@dataclass
class Ordering:
    """The layers in order.

    Attributes
    ----------
    elements : list of Element
        Nodes first, then bends, then placeholders that keep a frame's place in a layer.
    chains : list of tuple of int
        For each element, the frames around it; the first is that of its lane.
    frames : list of (int, Scope)
        Lane and scope of each frame.  Lane 2b is band b; lane 2b - 1 is the channel on its left,
        for arrows from other bands.
    paths : list of list of int
        For each arrow its elements from tail to head; none for an arrow from a node to itself.
    layers : list of list of int
        The elements of each layer, from left to right.
    segments : list of (int, int)
        Pairs of connected elements in adjacent layers, the upper first.
    """

    elements: list[Element]
    chains: list[Chain] = field(default_factory=list)
    frames: list[tuple[int, Scope]] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)
    layers: list[list[int]] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def position(self) -> dict[int, int]:
        """The position of each element in its layer."""
        return {number: i for layer in self.layers for i, number in enumerate(layer)}

    def are_neighbours(self, one: int, other: int) -> bool:
        """Return whether two elements are adjacent in a layer."""
        same = self.elements[one].layer == self.elements[other].layer
        return same and abs(self.position[one] - self.position[other]) == 1


def order(
    elements: Sequence[Element],
    links: Sequence[tuple[int, int]],
    ordered: Sequence[bool] = (),
    spacing: Spacing = Spacing.normal,
) -> Ordering:
    """Return the order of ``elements`` and of the bends of ``links``, pairs (tail, head).

    Links that are ``ordered`` (by default all) arrive at their head from left to right.
    """
    ordering = _Bender(elements, links).ordering
    _Sorter(ordering, ordered or [True] * len(links), spacing).sort()
    return ordering


class _Bender:
    """Adds bends to long arrows, and keeps frames contiguous."""

    def __init__(self, elements: Sequence[Element], links: Iterable[tuple[int, int]]) -> None:
        self.ordering = Ordering(list(elements))
        self._frames: dict[tuple[int, Scope], int] = {}
        self._known: dict[tuple[int, Scope], Chain] = {}
        self._bends: dict[tuple[int, Chain, int], int] = {}  # by common end, frames, layer
        self._spans: dict[tuple[int, Scope], tuple[int, int]] = {}  # in layers
        for element in elements:
            self.ordering.chains.append(self._chain(2 * element.band, element.scope))
            self._stretch(element)
        pairs = list(links)
        long = [(a, b) for a, b in pairs if abs(elements[a].layer - elements[b].layer) > 1]
        self._leaving = Counter(tail for tail, _ in long)
        self._arriving = Counter(head for _, head in long)
        for tail, head in pairs:
            self.ordering.paths.append([] if tail == head else self._path(tail, head))
        self.ordering.segments = self._segments()
        self._hold_frames()
        self.ordering.frames = list(self._frames)

    def _stretch(self, element: Element) -> None:
        """Extend the scopes around an element to its layer."""
        layer = element.layer
        for depth in range(1, len(element.scope) + 1):
            key = element.band, element.scope[:depth]
            first, last = self._spans.get(key, (layer, layer))
            self._spans[key] = min(first, layer), max(last, layer)

    def _segments(self) -> list[tuple[int, int]]:
        steps = (pair for path in self.ordering.paths for pair in zip(path, path[1:], strict=False))
        layer_of = [element.layer for element in self.ordering.elements]
        pairs = ((a, b) if layer_of[a] < layer_of[b] else (b, a) for a, b in steps)
        return list(dict.fromkeys((a, b) for a, b in pairs if layer_of[a] != layer_of[b]))

    def _chain(self, lane: int, scope: Scope) -> Chain:
        """Return the numbers of the frames around the elements of a scope."""
        known = self._known.get((lane, scope))
        if known is None:
            outer = (scope[:depth] for depth in range(len(scope) + 1))
            known = tuple(self._frames.setdefault((lane, s), len(self._frames)) for s in outer)
            self._known[lane, scope] = known
        return known

    def _path(self, tail: int, head: int) -> list[int]:
        start, end = self.ordering.elements[tail], self.ordering.elements[head]
        step = 1 if end.layer > start.layer else -1
        layers = range(start.layer + step, end.layer, step)
        gathers = self._arriving[head] > max(self._leaving[tail], FEW)
        bundle = head if gathers else tail
        return [tail, *(self._bend(bundle, tail, head, layer) for layer in layers), head]

    def _bend(self, bundle: int, tail: int, head: int, layer: int) -> int:
        """Return the bend, in a layer, of the arrows that share one end."""
        start, end = self.ordering.elements[tail], self.ordering.elements[head]
        if start.band == end.band:
            lane, scope = 2 * start.band, self._scope_in(layer, start, end)
        else:
            lane, scope = 2 * max(start.band, end.band) - 1, ()
        chain = self._chain(lane, scope)
        key = bundle, chain, layer
        if key not in self._bends:
            self._bends[key] = self._add(Element(layer, -1, scope), chain)
        return self._bends[key]

    def _scope_in(self, layer: int, start: Element, end: Element) -> Scope:
        """Return the innermost scope of one end of an arrow that extends to a layer.

        Arrows therefore enter a frame at its top or its bottom, not at a side.
        """
        if not start.scope and not end.scope:
            return ()
        depth = 0
        while start.scope[: depth + 1] == end.scope[: depth + 1] and depth < len(start.scope):
            depth += 1
        for scope in (end.scope, start.scope):
            inner = len(scope)
            while inner > depth and not self._reaches(scope[:inner], start.band, layer):
                inner -= 1
            if inner > depth:
                return scope[:inner]
        return start.scope[:depth]

    def _reaches(self, scope: Scope, band: int, layer: int) -> bool:
        first, last = self._spans[band, scope]
        return first <= layer <= last

    def _add(self, element: Element, chain: Chain) -> int:
        self.ordering.elements.append(element)
        self.ordering.chains.append(chain)
        return len(self.ordering.elements) - 1

    def _hold_frames(self) -> None:
        """Add a placeholder to each layer that a scope spans without an element."""
        layers: dict[Chain, set[int]] = {}
        for element, chain in zip(self.ordering.elements, self.ordering.chains, strict=True):
            for depth in range(2, len(chain) + 1):
                layers.setdefault(chain[:depth], set()).add(element.layer)
        names = list(self._frames)
        for chain in sorted(layers, key=len, reverse=True):
            taken, scope = layers[chain], names[chain[-1]][1]
            for layer in set(range(min(taken), max(taken))) - taken:
                self._add(Element(layer, -1, scope), chain)
                for depth in range(2, len(chain)):
                    layers[chain[:depth]].add(layer)


class _Sorter:
    """Sorts the layers, from above and from below in turn.

    Costs are stored by layer until its order, or that of the layer above it, changes; a layer in
    which no swap helps is settled until then.
    """

    def __init__(self, ordering: Ordering, ordered: Sequence[bool], spacing: Spacing) -> None:
        self._ordering = ordering
        self._ordered = ordered
        self._spacing = spacing
        self._elements, self._chains = ordering.elements, ordering.chains
        size = len(self._elements)
        self._lanes = [ordering.frames[chain[0]][0] for chain in self._chains]
        self._above: list[list[tuple[int, int]]] = [[] for _ in range(size)]  # with weights
        self._below: list[list[tuple[int, int]]] = [[] for _ in range(size)]
        for upper, lower in ordering.segments:
            weight = _INSIDE if self._lanes[upper] == self._lanes[lower] else 1
            self._below[upper].append((lower, weight))
            self._above[lower].append((upper, weight))
        self._where = self._first_places()
        self._frame_places = [0.0] * len(ordering.frames)
        self._outer: dict[Chain, tuple[tuple[float, int], ...]] = {}  # keys of frames
        self._halves: dict[int, float] = {}  # of the widths of the lanes
        count = 1 + max(e.layer for e in self._elements)
        self._layers: list[list[int]] = [[] for _ in range(count)]
        for number, element in enumerate(self._elements):
            self._layers[element.layer].append(number)
        self._operands: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for pair in self._pairs_of_operands():
            self._operands[self._elements[pair[0]].layer].append(pair)
        self._wrong: list[int | None] = [None] * count  # operands, by layer
        self._crossings: list[int | None] = [None] * count  # with the layer above
        self._settled = [False] * count

    def sort(self) -> None:
        """Find the best order and store it in the ordering."""
        given, size = self._where, len(self._elements)
        many = size > _MANY_ELEMENTS
        self._sweeps, self._rounds = (_LEAST_SWEEPS, 0) if many else (_SWEEPS, _FEW_ROUNDS)
        starts = [given, [-place for place in given]]
        found = [self._polished(where, True) for where in starts]
        if size <= _FEW_ELEMENTS:
            found += [self._polished(where, False) for where in starts]
        _, self._ordering.layers = min(found, key=lambda pair: pair[0])

    def _polished(self, where: Sequence[float], down: bool) -> tuple[float, list[list[int]]]:
        """Return cost and order after sweeps, swaps and mirroring, starting from places.

        The first sweep leads down, or up.
        """
        self._restore(self._best(where, down)[1])
        self._sift(_ROUNDS)
        self._mirror_lanes()
        seen = sum(map(self._crossings_above, range(len(self._layers))))
        return self._cost() + _SEEN * seen, self._copy()

    def _best(self, where: Sequence[float], down: bool) -> tuple[int, list[list[int]]]:
        """Return the best order that sweeps find, and its cost, starting from places."""
        self._where = list(where)
        self._place_frames()
        for number, layer in enumerate(self._layers):
            layer.sort(key=self._key_by(self._where))
            self._spread(layer)
            self._change(number)
        best, least, idle = self._copy(), self._cost(), 0
        for sweep in range(self._sweeps):
            if not least or idle == min(_PATIENCE, self._sweeps // 2):
                break
            self._sweep(down=(sweep % 2 == 0) == down, reverse_ties=sweep % 4 > 1)
            self._sift(self._rounds)
            cost = self._cost()
            idle = 0 if cost < least else idle + 1
            if cost < least:
                best, least = self._copy(), cost
        return least, best

    def _copy(self) -> list[list[int]]:
        return [list(layer) for layer in self._layers]

    def _restore(self, layers: list[list[int]]) -> None:
        for number, order in enumerate(layers):
            self._put(number, order)

    def _mirror_lanes(self) -> None:
        """Mirror each lane if that is better: the sweeps treat left and right alike."""
        cost = self._cost()
        for lane in sorted(set(self._lanes)):
            before = self._copy()
            for number, layer in enumerate(self._layers):
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

    def _put(self, number: int, order: list[int]) -> None:
        """Give a layer another order, and assign places."""
        if self._layers[number] != order:
            self._layers[number] = order
            self._spread(order)
            self._change(number)

    def _change(self, number: int) -> None:
        """Forget what depends on the order of a layer."""
        self._wrong[number] = self._crossings[number] = None
        for near in range(max(number - 1, 0), min(number + 2, len(self._layers))):
            self._settled[near] = False
        if number + 1 < len(self._layers):
            self._crossings[number + 1] = None

    def _spread(self, layer: Sequence[int]) -> None:
        """Assign places in a layer: side by side, with the middle of each lane at 0."""
        widths: dict[int, float] = {}
        gaps = self._spacing
        for number in layer:
            width, lane = self._elements[number].width, self._lanes[number]
            before = widths.get(lane, 0.0)
            self._where[number] = before + width / 2
            widths[lane] = before + width + (gaps.nodes if width else gaps.bends)
        for number in layer:
            lane = self._lanes[number]
            self._where[number] += _LANE * lane - widths[lane] / 2
        for lane, width in widths.items():
            self._halves[lane] = max(self._halves.get(lane, 0.0), width / 2)

    def _sweep(self, down: bool, reverse_ties: bool) -> None:
        """Move each element to the average of its neighbours in the previous layer."""
        self._place_frames()
        count = len(self._layers)
        near = self._above if down else self._below
        for number in range(count) if down else range(count - 1, -1, -1):
            layer, wanted = self._layers[number], {}
            for element in layer:
                seen = self._seen_from(element, near[element])
                wanted[element] = sum(seen) / len(seen) if seen else self._where[element]
            ready = reversed(layer) if reverse_ties else layer  # sorting is stable
            self._put(number, sorted(ready, key=self._key_by(wanted)))

    def _seen_from(self, number: int, near: Sequence[tuple[int, int]]) -> list[float]:
        """Return the places of the neighbours that an element follows: those in its lane.

        If there are none, all neighbours count, at the place where they leave its lane.
        """
        lane = self._lanes[number]
        inside = [self._where[n] for n, _ in near if self._lanes[n] == lane]
        middle, half = _LANE * lane, self._halves[lane]
        return inside or [min(max(self._where[n], middle - half), middle + half) for n, _ in near]

    def _cost(self) -> int:
        """Return the cost of the order: weighted crossings, and operands in the wrong order."""
        return sum(map(self._cost_of, range(len(self._layers))))

    def _cost_of(self, number: int) -> int:
        """Return the cost of the operands in a layer, and of its crossings with that above it."""
        where, wrong = self._where, self._wrong[number]
        if wrong is None:
            wrong = _OPERANDS * sum(where[a] > where[b] for a, b in self._operands[number])
            self._wrong[number] = wrong
        return wrong + self._weight_of(number)

    def _weight_of(self, number: int) -> int:
        """Return the weighted crossings between a layer and that above it."""
        crossings = self._crossings[number]
        if crossings is None:
            crossings = self._crossings[number] = self._crossings_above(number, weighted=True)
        return crossings

    def _crossings_above(self, number: int, weighted: bool = False) -> int:
        """Return how many segments cross between a layer and that above it."""
        where = self._where
        ends = sorted(
            (where[upper], where[lower], weight if weighted else 1)
            for lower in self._layers[number]
            for upper, weight in self._above[lower]
        )
        return _inversions([end[1:] for end in ends])

    def _sift(self, rounds: int) -> None:
        """Move elements within their layers as long as that reduces crossings.

        Each in turn takes its best place at most ``_REACH`` places away, past others in its frame
        (Matuszewski, Schönfeld and Molitor 1999).
        """
        for _ in range(rounds):
            numbers = range(len(self._layers))
            if not [number for number in numbers if self._sift_in(number)]:
                return

    def _sift_in(self, number: int) -> bool:
        """Move elements of a layer, and return whether any moved."""
        near = range(number, min(number + 2, len(self._layers)))
        if self._settled[number] or not any(map(self._weight_of, near)):
            return False
        runs = [list(run) for _, run in groupby(self._layers[number], self._chains.__getitem__)]
        moved = [run for run in runs if len(run) > 1 and self._sift_run(run)]
        if moved:
            self._layers[number] = list(chained.from_iterable(runs))
            self._spread(self._layers[number])
            self._change(number)
        self._settled[number] = not moved
        return bool(moved)

    def _sift_run(self, run: list[int]) -> bool:
        """Move neighbours of a frame, and return whether any moved."""
        where, moved = self._where, False
        ends = {
            n: [[(where[m], w) for m, w in near[n]] for near in (self._above, self._below)]
            for n in run
        }
        for element in list(run):
            here = run.index(element)
            after, before = run[here + 1 :][:_REACH], run[:here][: -_REACH - 1 : -1]
            best, place = 0, here
            for step, others in (1, after), (-1, before):
                gain = 0
                for away, other in enumerate(others, 1):
                    gain += step * _gain(ends[element], ends[other])
                    if gain > best:
                        best, place = gain, here + step * away
            if best:
                run.insert(place, run.pop(here))
                moved = True
        return moved


_Ends = Sequence[Sequence[tuple[float, int]]]
"""For an element, above and below: where its segments end, and their weights."""


def _gain(left: _Ends, right: _Ends) -> int:
    """Return by how many crossings the right element before the left one is better."""
    gain = 0
    for ours, theirs in zip(left, right, strict=True):
        for x, weight in ours:
            for y, other in theirs:
                if x > y:
                    gain += weight * other
                elif x < y:
                    gain -= weight * other
    return gain


def _inversions(pairs: Sequence[tuple[float, int]]) -> int:
    """Return the sum of the products of weights over all pairs that are out of order.

    Parameters
    ----------
    pairs : sequence of (place, weight)

    Examples
    --------
    >>> _inversions([(2.0, 1), (1.0, 5), (1.0, 1), (3.0, 1)])
    6
    """
    places = [place for place, _ in pairs]
    in_order = sorted(places)
    if places == in_order:
        return 0
    rank = {place: number for number, place in enumerate(dict.fromkeys(in_order), 1)}
    sums = [0] * (len(rank) + 1)  # a binary indexed tree of the weights so far
    found = total = 0
    for place, weight in pairs:
        node, before = rank[place], 0
        while node:
            before += sums[node]
            node &= node - 1
        found += weight * (total - before)
        total += weight
        node = rank[place]
        while node < len(sums):
            sums[node] += weight
            node += node & -node
    return found
