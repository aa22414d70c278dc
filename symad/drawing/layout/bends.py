"""The elements of a layered picture: nodes, bends of long arrows, and placeholders in frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from symad.records import cached_property, dataclass, field

Scope = tuple[Hashable, ...]
"""The frames around an item, from the outermost."""

Chain = tuple[int, ...]
"""The frames around an element, from the outermost, by number."""

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


class Bender:
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
