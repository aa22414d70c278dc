"""The heights of layers and frames, with room for nodes, titles and sideways arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from symad.drawing.layout.bends import Ordering, Scope
from symad.drawing.layout.curves import Point
from symad.drawing.layout.positions import Places
from symad.drawing.layout.spacing import Spacing
from symad.records import dataclass

Span = tuple[float, float]

_MOST_TRACKS = 12
_SIDEWAYS = 60.0
_DEPTH = 10.0  # distance below a layer of the first arrow between two of its nodes


@dataclass(frozen=True, slots=True)
class LayoutFrame:
    """A rectangle around a band or a scope, with its title at the top left."""

    band: int
    scope: Scope
    left: float
    top: float
    right: float
    bottom: float


class Heights:
    """Vertical positions.

    Parameters
    ----------
    ordering : Ordering
    places : Places
    heights : sequence of float
        The heights of the nodes.
    titles : dict from (int, Scope) to (float, float)
        The size of the title of each frame, a band and a scope.
    spacing : Spacing
    is_turned : bool
        Whether the top will be at the left, so that frames are as high as their titles are wide.

    Attributes
    ----------
    tops, bottoms : list of float
        The tops and bottoms of the layers.
    """

    def __init__(
        self, ordering: Ordering, places: Places, heights: Sequence[float],
        titles: Mapping[tuple[int, Scope], Point], spacing: Spacing, is_turned: bool = False,
    ) -> None:  # fmt: skip
        self._ordering = ordering
        self._places = places
        self._titles = titles
        self._spacing = spacing
        self._is_turned = is_turned
        self._around = self._sorted_tracks()
        self._spans = self._frame_layers()
        self._outer: dict[int, int] = {}
        for chain in ordering.chains:
            self._outer.update(zip(chain[1:], chain, strict=False))
        self._rise = {f: spacing.padding + self._title(f) for f in self._spans}
        self._fall = dict.fromkeys(self._spans, spacing.padding)
        for frame in sorted(self._spans, key=lambda f: -len(ordering.frames[f][1])):
            self._keep_inside(frame)
        self.tops, self.bottoms = self._stack(heights)
        if is_turned and self._make_room_for_titles():
            self.tops, self.bottoms = self._stack(heights)

    def middle(self, number: int) -> float:
        """Return the vertical position of an element: the middle of its layer."""
        layer = self._layer(number)
        return (self.tops[layer] + self.bottoms[layer]) / 2

    def track(self, tail: int) -> float:
        """Return the height of arrows from a node to others in its layer."""
        layer = self._layer(tail)
        room = (
            self._below[layer]
            + _DEPTH
            + self._spacing.tracks * min(self._around[tail], _MOST_TRACKS)
        )
        return self.bottoms[layer] + room

    def frames(self) -> list[LayoutFrame]:
        """Return all frames, outer before inner ones; the frames of bands have equal heights."""
        frames = []
        deepest = max((self.track(tail) for tail in self._around), default=0.0)
        end = max(self.bottoms[-1] + self._below[-1], deepest + self._spacing.padding)
        if self._is_turned:
            bands = [frame for frame in self._spans if not self._ordering.frames[frame][1]]
            end = max([end, *map(self._needed, bands)])
        for frame in sorted(self._spans, key=lambda f: len(self._ordering.frames[f][1])):
            lane, scope = self._ordering.frames[frame]
            first, last = self._spans[frame]
            top = self.tops[first] - self._rise[frame] if scope else 0.0
            bottom = self.bottoms[last] + self._fall[frame] if scope else end
            left, right = self._places.lefts[frame], self._places.rights[frame]
            frames.append(LayoutFrame(lane // 2, scope, left, top, right, bottom))
        return frames

    def _layer(self, number: int) -> int:
        return self._ordering.elements[number].layer

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
        """Return the height of a title, which is above the first layer of its frame."""
        lane, scope = self._ordering.frames[frame]
        return 0.0 if self._is_turned else self._titles[lane // 2, scope][1]

    def _needed(self, frame: int) -> float:
        """Return the least height of a frame that is turned."""
        lane, scope = self._ordering.frames[frame]
        return self._titles[lane // 2, scope][0] + 2 * self._spacing.padding

    def _make_room_for_titles(self) -> bool:
        """Extend frames that are lower than their titles are wide, and return whether any is."""
        changed = False
        for frame in sorted(self._spans, key=lambda f: -len(self._ordering.frames[f][1])):
            first, last = self._spans[frame]
            height = self.bottoms[last] - self.tops[first] + self._rise[frame] + self._fall[frame]
            if self._ordering.frames[frame][1] and height < self._needed(frame):
                self._fall[frame] += self._needed(frame) - height
                self._keep_inside(frame)
                changed = True
        return changed

    def _keep_inside(self, frame: int) -> None:
        """Extend the frame around another to what that has at its top and its bottom."""
        around = self._outer.get(frame)
        if around is None:
            return
        if self._spans[around][0] == self._spans[frame][0]:
            least = self._rise[frame] + self._spacing.padding + self._title(around)
            self._rise[around] = max(self._rise[around], least)
        if self._spans[around][1] == self._spans[frame][1]:
            least = self._fall[frame] + self._spacing.padding
            self._fall[around] = max(self._fall[around], least)

    def _stack(self, heights: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return the top and the bottom of each layer."""
        count = len(self._ordering.layers)
        above, self._below = [0.0] * count, [self._spacing.padding] * count
        for frame, (first, last) in self._spans.items():
            above[first] = max(above[first], self._rise[frame])
            self._below[last] = max(self._below[last], self._fall[frame])
        tracks = self._tracks(count)
        tops, bottoms, y = [], [], 0.0
        for layer, numbers in enumerate(self._ordering.layers):
            tops.append(y + above[layer])
            tallest = max((heights[n] for n in numbers if n < len(heights)), default=0.0)
            bottoms.append(tops[-1] + tallest)
            y = (
                bottoms[-1]
                + self._below[layer]
                + self._spacing.layers
                + self._spacing.tracks * min(tracks[layer], _MOST_TRACKS)
            )
        return tops, bottoms

    def _tracks(self, count: int) -> list[int]:
        """Return the number of tracks for sideways arrows below each layer."""
        spans: list[dict[int, Span]] = [{} for _ in range(count)]  # by node
        x = self._places.middles
        for upper, lower in self._ordering.segments:
            low, high = sorted((x[upper], x[lower]))
            if high - low > _SIDEWAYS:
                layer = spans[self._layer(upper)]
                found = layer.get(upper, (low, high))
                layer[upper] = min(found[0], low), max(found[1], high)
        tracks = [_depth(layer.values()) for layer in spans]
        for tail, track in self._around.items():
            tracks[self._layer(tail)] += track > 0
        return tracks

    def _sorted_tracks(self) -> dict[int, int]:
        """Return the track of arrows from a node to others in its layer."""
        tracks: dict[int, int] = {}
        used = [0] * len(self._ordering.layers)
        for path in self._ordering.paths:
            if len(path) == 2 and self._layer(path[0]) == self._layer(path[1]):
                if path[0] not in tracks and not self._ordering.are_neighbours(*path):
                    layer = self._layer(path[0])
                    tracks[path[0]] = used[layer]
                    used[layer] += 1
        return tracks


def _depth(spans: Iterable[Span]) -> int:
    """Return the largest number of ``spans`` that overlap at one place.

    Examples
    --------
    >>> _depth([(0.0, 2.0), (1.0, 3.0), (2.5, 4.0)])
    2
    """
    steps = [step for low, high in spans for step in ((low, 1), (high, -1))]
    return max(accumulate(step for _, step in sorted(steps)), default=0)
