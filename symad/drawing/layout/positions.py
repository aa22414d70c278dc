"""Horizontal positions of the elements of each layer: in order, and at given distances.

The weighted sum of the widths of frames and the sideways lengths of arrows is minimal, by the
network simplex that also assigns the layers: all conditions have the form x_b - x_a ≥ d, and the
length |x_a - x_b| of a segment is that of two edges from a point left of both ends (Gansner,
Koutsofios, North and Vo 1993).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from symad.drawing.layout.bends import Chain, Ordering, Scope
from symad.drawing.layout.curves import Point
from symad.drawing.layout.network_simplex import shortest
from symad.drawing.layout.spacing import Spacing
from symad.records import dataclass

_STRAIGHT = (2, 4, 16)  # weights of a segment with no, one or two bends at its ends
_LONGEST = 3  # layers of a line that is kept straight: longer ones would need more width
_WIDTH, _SCOPE_WIDTH = 40, 10  # weights of the width of a band and of a scope


@dataclass(frozen=True)
class Places:
    """Horizontal positions.

    Attributes
    ----------
    middles : list of float
        The middles of the elements.
    lefts, rights : list of float
        The borders of the frames.
    """

    middles: list[float]
    lefts: list[float]
    rights: list[float]


def place(
    ordering: Ordering,
    titles: Mapping[tuple[int, Scope], Point],
    spacing: Spacing,
    is_turned: bool = False,
) -> Places:
    """Return the positions of an ordering; each frame has room for its title.

    A turned layout, whose left side will be at the top, has the title's height there.
    """
    return _Placer(ordering, titles, spacing, is_turned).places()


class _Placer:
    """The variables: the middles of elements, then two borders for each frame."""

    def __init__(
        self,
        ordering: Ordering,
        titles: Mapping[tuple[int, Scope], Point],
        spacing: Spacing,
        is_turned: bool,
    ) -> None:
        self._ordering = ordering
        self._titles = titles
        self._is_turned = is_turned
        self._spacing = spacing
        self._count = len(ordering.elements)
        self._column = _columns(ordering)
        self._edges: dict[tuple[int, int], tuple[int, int]] = {}
        for layer in ordering.layers:
            self._hold_apart(layer)
        self._hold_frames_apart()

    def places(self) -> Places:
        """Return the positions, from 0."""
        frames = range(len(self._ordering.frames))
        size = self._count + 2 * len(frames)
        segments = self._segments(size)
        found = shortest(size + len(segments) // 2, self._edges | segments)
        x = [float(found[column]) for column in self._column]
        x += map(float, found[self._count :])
        left = min((x[self._left(frame)] for frame in frames), default=0.0)
        x = [place - left for place in x[:size]]
        lefts = [x[self._left(frame)] for frame in frames]
        return Places(x[: self._count], lefts, [x[self._right(frame)] for frame in frames])

    def _left(self, frame: int) -> int:
        return self._count + 2 * frame

    def _right(self, frame: int) -> int:
        return self._count + 2 * frame + 1

    def _segments(self, size: int) -> dict[tuple[int, int], tuple[int, int]]:
        """Return edges that pull the ends of each segment together if they are in one lane."""
        lanes = [chain[0] for chain in self._ordering.chains]
        edges: dict[tuple[int, int], tuple[int, int]] = {}
        for a, b in self._ordering.segments:
            a, b, ends = self._column[a], self._column[b], (a, b)
            if a != b and lanes[a] == lanes[b]:
                point = size + len(edges) // 2
                weight = _STRAIGHT[sum(self._half(end) == 0 for end in ends)]
                edges[point, a] = edges[point, b] = 0, weight
        return edges

    def _hold_apart(self, layer: Sequence[int]) -> None:
        """Add the conditions of a layer: its elements, and the borders between them, in order."""
        inside: list[int] = []  # the frames around the last element
        last = -1
        for number in layer:
            chain = self._ordering.chains[number]
            while tuple(inside) != chain[: len(inside)]:
                last = self._require(last, self._right(inside.pop()))
            for frame in chain[len(inside) :]:
                last = self._require(last, self._left(frame))
                inside.append(frame)
            last = self._require(last, number)
        for frame in reversed(inside):
            last = self._require(last, self._right(frame))

    def _require(self, a: int, b: int) -> int:
        """Require ``b`` to be right of ``a``, if given, and return ``b``."""
        if a >= 0:
            distance = math.ceil(self._half(a) + self._half(b) + self._gap(a, b) + self._head(a))
            edge = self._variable(a), self._variable(b)
            self._edges[edge] = max(distance, self._edges.get(edge, (0, 0))[0]), 0
        return b

    def _variable(self, place: int) -> int:
        """Return the variable that is the place of an element or of a border."""
        return self._column[place] if place < self._count else place

    def _half(self, variable: int) -> float:
        return self._ordering.elements[variable].width / 2 if variable < self._count else 0.0

    def _head(self, variable: int) -> float:
        """Return the room for a title behind the left border of a frame."""
        frame, is_right = divmod(variable - self._count, 2)
        if not self._is_turned or frame < 0 or is_right:
            return 0.0
        lane, scope = self._ordering.frames[frame]
        return 0.0 if lane % 2 else self._titles[lane // 2, scope][1]

    def _gap(self, a: int, b: int) -> float:
        gaps = self._spacing
        if a >= self._count and b >= self._count:
            return gaps.frames
        if a >= self._count or b >= self._count:
            border, other = max(a, b), min(a, b)
            lane = self._ordering.frames[(border - self._count) // 2][0]
            return gaps.bends if lane % 2 or not self._half(other) else gaps.margin
        return gaps.nodes if self._half(a) and self._half(b) else gaps.bends

    def _hold_frames_apart(self) -> None:
        """Give frames room for their titles, and place lanes side by side."""
        lanes: dict[int, int] = {}
        for frame, (lane, scope) in enumerate(self._ordering.frames):
            title = 0.0
            if not lane % 2 and not self._is_turned:
                title = self._titles[lane // 2, scope][0] + 2 * self._spacing.bends
            weight = _SCOPE_WIDTH if scope else _WIDTH
            self._edges[self._left(frame), self._right(frame)] = math.ceil(title), weight
            if not scope:
                lanes[lane] = frame
        in_order = [lanes[lane] for lane in sorted(lanes)]
        for one, other in zip(in_order, in_order[1:], strict=False):
            edge = self._right(one), self._left(other)
            self._edges[edge] = math.ceil(self._spacing.channel), 0


def _columns(ordering: Ordering) -> list[int]:
    """Return, for each element, the first of those that are straight above it: bends of one arrow.

    Nearly all lines between two bends are straight in the best solution anyway, and there are half
    as many variables.  Two bends stay apart if the line between them crosses that between two
    others, or a frame.
    """
    elements, chains, position = ordering.elements, ordering.chains, ordering.position
    gaps: dict[int, list[tuple[int, int]]] = {}
    for a, b in ordering.segments:
        if not elements[a].width and not elements[b].width and chains[a] == chains[b]:
            gaps.setdefault(elements[a].layer, []).append((a, b))
    starts = [_first_places(layer, chains) for layer in ordering.layers] if gaps else []
    column = list(range(len(elements)))
    for layer, pairs in sorted(gaps.items()):
        lines = [(position[a], position[b], a, b) for a, b in pairs]
        above, below = starts[layer], starts[layer + 1]
        lines += [(above[frame], below[frame], -1, -1) for frame in above if frame in below]
        lines.sort()
        ends = [end for _, end, *_ in lines]
        most = accumulate([-1, *ends], max)
        least = list(accumulate([len(elements), *reversed(ends)], min))[-2::-1]
        for before, (_, end, upper, lower), after in zip(most, lines, least, strict=False):
            if upper >= 0 and before <= end <= after and (layer + 1) % _LONGEST:
                column[lower] = column[upper]
    return column


def _first_places(layer: Sequence[int], chains: Sequence[Chain]) -> dict[int, int]:
    """Return where each frame begins in a layer."""
    places: dict[int, int] = {}
    for place, number in enumerate(layer):
        for frame in chains[number]:
            places.setdefault(frame, place)
    return places
