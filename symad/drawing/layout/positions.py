"""Horizontal positions of the elements of each layer: in order, and at given distances.

The weighted sum of the widths of frames and the sideways lengths of arrows is minimal, by the
network simplex that also assigns the layers: all conditions have the form x_b - x_a ≥ d, and the
length |x_a - x_b| of a segment is that of two edges from a point left of both ends (Gansner,
Koutsofios, North and Vo 1993).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from symad.drawing.layout.curves import Point
from symad.drawing.layout.layer_order import Ordering, Scope
from symad.drawing.layout.network_simplex import shortest
from symad.drawing.layout.spacing import Spacing
from symad.records import dataclass

_STRAIGHT = (2, 4, 16)  # weights of a segment with no, one or two bends at its ends
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
        self._edges: dict[tuple[int, int], tuple[int, int]] = {}
        for layer in ordering.layers:
            self._hold_apart(layer)
        self._hold_frames_apart()

    def places(self) -> Places:
        """Return the positions, from 0."""
        frames = range(len(self._ordering.frames))
        size = self._count + 2 * len(frames)
        segments = self._segments(size)
        found = shortest(size + len(segments) // 2, self._edges | segments, candidates=8)
        x = [float(place) for place in found]
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
            if lanes[a] == lanes[b]:
                point = size + len(edges) // 2
                weight = _STRAIGHT[(self._half(a) == 0) + (self._half(b) == 0)]
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
            self._edges[a, b] = max(distance, self._edges.get((a, b), (0, 0))[0]), 0
        return b

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
