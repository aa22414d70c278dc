"""Where the elements of each layer stand: below and above their neighbours, at a distance.

Each sweep moves the elements of one layer after another to the averages of their neighbours, as far
as their order lets them: the sum of the squares of what is missing is least.  Then the frames are
pushed apart.  All conditions have the form x_b - x_a ≥ d.  The least solution to the right of where
everything wants to be and the greatest to the left both fulfil them, hence so does their average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from symad.drawing.layout.layer_order import Ordering
from symad.drawing.layout.spacing import Spacing

_SWEEPS = 16
_LAST = 4  # sweeps that look up and down alike
_BEHIND = 0.25  # the weight of neighbours in the layer after, in relation to the one before
_ABROAD = 0.001  # and of those in another lane
_BRANCH = 4  # from this length on a branch counts in full: the longer one runs straight on
_CHANNEL_PULL = 2.0


@dataclass(frozen=True)
class Places:
    """Horizontal places.

    Attributes
    ----------
    middles : list of float
        Of the elements.
    lefts, rights : list of float
        Of the frames.
    """

    middles: list[float]
    lefts: list[float]
    rights: list[float]


def place(
    ordering: Ordering, titles: dict[tuple[int, tuple[str, ...]], float], spacing: Spacing
) -> Places:
    """Return the places of an ordering; each frame is as wide as its title, by band and scope."""
    return _Placer(ordering, titles, spacing).places()


def branch_lengths(size: int, edges: Sequence[tuple[int, int]]) -> list[float]:
    """Return for each edge how long the branches are that end on the shorter side of it.

    Edges fall away from their loose ends, all at once, in rounds; those between circles never do.

    Examples
    --------
    >>> branch_lengths(6, [(0, 1), (1, 2), (2, 3), (3, 4), (2, 5)])
    [1, 2, 2, 1, 1]
    """
    at: list[list[int]] = [[] for _ in range(size)]
    for number, (a, b) in enumerate(edges):
        at[a].append(number)
        at[b].append(number)
    lengths = [math.inf] * len(edges)
    left = [len(numbers) for numbers in at]
    loose = [node for node in range(size) if left[node] == 1]
    length = 0
    while loose:
        length += 1
        fallen = [n for node in loose for n in at[node] if lengths[n] > length]
        for number in fallen:
            lengths[number] = length
        ends = [end for number in dict.fromkeys(fallen) for end in edges[number]]
        for end in ends:
            left[end] -= 1
        loose = [end for end in dict.fromkeys(ends) if left[end] == 1]
    return lengths


class _Placer:
    """Variables are the middles of elements, and then two borders for each frame."""

    def __init__(
        self, ordering: Ordering, titles: dict[tuple[int, tuple[str, ...]], float], spacing: Spacing
    ) -> None:
        self._ordering = ordering
        self._spacing = spacing
        self._count = len(ordering.elements)
        self._lanes = [ordering.frames[chain[0]][0] for chain in ordering.chains]
        self._conditions: dict[tuple[int, int], float] = {}
        self._gaps = [self._walk(layer) for layer in ordering.layers]
        self._hold_frames_apart(titles)
        self._before, self._after = self._sorted_conditions()
        self._left_of: dict[int, list[tuple[int, float]]] = {}
        self._right_of: dict[int, list[tuple[int, float]]] = {}
        for a, b, distance in self._before:
            self._left_of.setdefault(b, []).append((a, distance))
            self._right_of.setdefault(a, []).append((b, distance))
        self._margins = [
            self._half(number) + self._gap(number, self._left(chain[-1]))
            for number, chain in enumerate(ordering.chains)
        ]
        self._outer: dict[int, int] = {}
        for chain in ordering.chains:
            self._outer.update(zip(chain[1:], chain, strict=False))
        self._near = self._neighbours()
        self._x = [0.0] * (self._count + 2 * len(ordering.frames))

    def _left(self, frame: int) -> int:
        return self._count + 2 * frame

    def _right(self, frame: int) -> int:
        return self._count + 2 * frame + 1

    # Conditions

    def _walk(self, layer: Sequence[int]) -> list[float]:
        """Add the conditions of a layer; return the distance of each element to the next."""
        gaps: list[float] = []
        open_: list[int] = []  # the frames around the last element
        last, distance = -1, 0.0
        for number in layer:
            steps = list(self._borders(open_, self._ordering.chains[number]))
            gaps.append(0.0)
            for border in steps:
                distance += self._require(last, border)
                last = border
            distance += self._require(last, number)
            if len(gaps) > 1:
                gaps[-2] = distance
            last, distance = number, 0.0
        for frame in reversed(open_):
            self._require(last, self._right(frame))
            last = self._right(frame)
        return gaps

    def _borders(self, open_: list[int], chain: Sequence[int]) -> list[int]:
        """Return the borders between two elements, and bring ``open_`` up to date."""
        steps = []
        while open_ and tuple(open_) != tuple(chain[: len(open_)]):
            steps.append(self._right(open_.pop()))
        for frame in chain[len(open_) :]:
            steps.append(self._left(frame))
            open_.append(frame)
        return steps

    def _require(self, a: int, b: int) -> float:
        """Let ``b`` stand right of ``a``, and return the distance."""
        if a < 0:
            return 0.0
        distance = self._half(a) + self._half(b) + self._gap(a, b)
        self._conditions[a, b] = max(distance, self._conditions.get((a, b), 0.0))
        return distance

    def _half(self, variable: int) -> float:
        return self._ordering.elements[variable].width / 2 if variable < self._count else 0.0

    def _gap(self, a: int, b: int) -> float:
        if a >= self._count and b >= self._count:
            return self._spacing.frames
        if a >= self._count or b >= self._count:
            border, other = max(a, b), min(a, b)
            lane = self._ordering.frames[(border - self._count) // 2][0]
            return (
                self._spacing.bends if lane % 2 or not self._half(other) else self._spacing.margin
            )
        return self._spacing.nodes if self._half(a) and self._half(b) else self._spacing.bends

    def _hold_frames_apart(self, titles: dict[tuple[int, tuple[str, ...]], float]) -> None:
        """Give frames room for their titles, and put lanes side by side."""
        lanes: dict[int, int] = {}
        for frame, (lane, scope) in enumerate(self._ordering.frames):
            if not scope:
                lanes[lane] = frame
            title = (
                0.0 if lane % 2 else titles.get((lane // 2, scope), 0.0) + 2 * self._spacing.bends
            )
            self._conditions[self._left(frame), self._right(frame)] = title
        in_order = [lanes[lane] for lane in sorted(lanes)]
        for one, other in zip(in_order, in_order[1:], strict=False):
            self._conditions[self._right(one), self._left(other)] = self._spacing.channel

    def _sorted_conditions(
        self,
    ) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]:
        """Return the conditions (a, b, distance) by ``b`` from the left, and by ``a`` backwards."""
        after: dict[int, list[int]] = {}
        missing = [0] * (self._count + 2 * len(self._ordering.frames))
        for a, b in self._conditions:
            after.setdefault(a, []).append(b)
            missing[b] += 1
        rank = [0] * len(missing)
        ready = [variable for variable, count in enumerate(missing) if not count]
        for place, variable in enumerate(ready):  # grows as it goes
            rank[variable] = place
            for other in after.get(variable, ()):
                missing[other] -= 1
                if not missing[other]:
                    ready.append(other)
        conditions = [(a, b, distance) for (a, b), distance in self._conditions.items()]
        forwards = sorted(conditions, key=lambda c: (rank[c[1]], rank[c[0]]))
        backwards = sorted(conditions, key=lambda c: (-rank[c[0]], -rank[c[1]]))
        return forwards, backwards

    def _neighbours(self) -> tuple[list[list[tuple[int, float]]], list[list[tuple[int, float]]]]:
        """Return the neighbours above and below each element, with weights: bends line up."""
        above: list[list[tuple[int, float]]] = [[] for _ in range(self._count)]
        below: list[list[tuple[int, float]]] = [[] for _ in range(self._count)]
        segments = self._ordering.segments
        inner = [pair for pair in segments if self._lanes[pair[0]] == self._lanes[pair[1]]]
        lengths = dict(zip(inner, branch_lengths(self._count, inner), strict=True))
        for upper, lower in segments:
            bends = (self._half(upper) == 0) + (self._half(lower) == 0)
            weight = (1.0, 2.0, 8.0)[bends]
            if (upper, lower) in lengths:
                weight *= (min(lengths[upper, lower], _BRANCH) / _BRANCH) ** 3
            else:
                weight *= _ABROAD
            if (upper, lower) in lengths or self._lanes[lower] % 2 == 0:
                above[lower].append((upper, weight))
            if (upper, lower) in lengths or self._lanes[upper] % 2 == 0:
                below[upper].append((lower, weight))
        return above, below

    # Places

    def places(self) -> Places:
        """Return places that fulfil all conditions."""
        for layer, gaps in zip(self._ordering.layers, self._gaps, strict=True):
            self._settle(layer, gaps, [0.0] * len(layer), [1.0] * len(layer))
        self._separate()
        for sweep in range(_SWEEPS):
            self._sweep(sweep % 2 == 0, 1.0 if sweep >= _SWEEPS - _LAST else _BEHIND)
            self._separate()
        self._straighten()
        frames = range(len(self._ordering.frames))
        left = min((self._x[self._left(frame)] for frame in frames), default=0.0)
        x = [value - left for value in self._x]
        lefts = [x[self._left(frame)] for frame in frames]
        return Places(x[: self._count], lefts, [x[self._right(frame)] for frame in frames])

    def _straighten(self) -> None:
        """Put the bends of an arrow at one place as long as there is room for that."""
        done = set()
        for path in self._ordering.paths:
            run: list[int] = []
            low, high = -math.inf, math.inf
            for number in path[1:-1]:
                if number in done:
                    continue
                done.add(number)
                lowest, highest = self._room(number)
                if run and max(low, lowest) > min(high, highest):
                    self._line_up(run, low, high)
                    run, low, high = [], -math.inf, math.inf
                run.append(number)
                low, high = max(low, lowest), min(high, highest)
            self._line_up(run, low, high)

    def _room(self, variable: int) -> tuple[float, float]:
        """Return between what places a variable may move."""
        low = max((self._x[a] + d for a, d in self._left_of.get(variable, ())), default=-math.inf)
        high = min((self._x[b] - d for b, d in self._right_of.get(variable, ())), default=math.inf)
        return low, high

    def _line_up(self, run: Sequence[int], low: float, high: float) -> None:
        if len(run) > 1:
            mean = sum(self._x[number] for number in run) / len(run)
            for number in run:
                self._x[number] = min(max(mean, low), high)

    def _sweep(self, down: bool, behind: float) -> None:
        above, below = self._near if down else self._near[::-1]
        step = 1 if down else -1
        pairs = list(zip(self._ordering.layers, self._gaps, strict=True))[::step]
        for layer, gaps in pairs:
            wanted, weights = [], []
            for number in layer:
                total, weight = self._pull(number)
                for near, factor in ((above, 1.0), (below, behind)):
                    for other, share in near[number]:
                        total += factor * share * self._x[other]
                        weight += factor * share
                wanted.append(total / weight if weight else self._x[number])
                weights.append(weight or 0.1)
            self._settle(layer, gaps, wanted, weights)

    def _pull(self, number: int) -> tuple[float, float]:
        """Return what draws a bend to the middle of its channel, as weight times place, weight."""
        if self._lanes[number] % 2 == 0:
            return 0.0, 0.0
        frame = self._ordering.chains[number][0]
        middle = (self._x[self._left(frame)] + self._x[self._right(frame)]) / 2
        return _CHANNEL_PULL * middle, _CHANNEL_PULL

    def _settle(
        self, layer: Sequence[int], gaps: Sequence[float], wanted: Sequence[float],
        weights: Sequence[float],
    ) -> None:  # fmt: skip
        """Put a layer where its elements want to be, in order and at a distance.

        Minimises Σ w (x - wanted)² by pooling: without the distances, the least squares of a
        sequence that does not fall are averages over blocks.
        """
        blocks: list[tuple[float, float, int]] = []  # sum of w·x, sum of w, elements
        offset, offsets = 0.0, []
        for gap, want, weight in zip(gaps, wanted, weights, strict=True):
            offsets.append(offset)
            total, mass, size = weight * (want - offset), weight, 1
            while blocks and blocks[-1][0] * mass >= total * blocks[-1][1]:
                other = blocks.pop()
                total, mass, size = total + other[0], mass + other[1], size + other[2]
            blocks.append((total, mass, size))
            offset += gap
        places = [total / mass for total, mass, size in blocks for _ in range(size)]
        for number, place, offset in zip(layer, places, offsets, strict=True):
            self._x[number] = place + offset

    def _separate(self) -> None:
        """Fulfil all conditions, near where everything is."""
        self._fit_frames()
        self._line_up_lanes()
        right, left = list(self._x), list(self._x)
        for a, b, distance in self._before:
            right[b] = max(right[b], right[a] + distance)
        for a, b, distance in self._after:
            left[a] = min(left[a], left[b] - distance)
        self._x = [(a + b) / 2 for a, b in zip(left, right, strict=True)]
        self._fit_frames()

    def _fit_frames(self) -> None:
        """Draw each frame as tight as it can be, inner ones first."""
        lows: dict[int, float] = {}
        highs: dict[int, float] = {}

        def stretch(frame: int, low: float, high: float) -> None:
            lows[frame] = min(lows.get(frame, low), low)
            highs[frame] = max(highs.get(frame, high), high)

        for number, chain in enumerate(self._ordering.chains):
            margin = self._margins[number]
            stretch(chain[-1], self._x[number] - margin, self._x[number] + margin)
        depth = [len(scope) for _, scope in self._ordering.frames]
        for frame in sorted(range(len(depth)), key=lambda frame: -depth[frame]):
            low, high = lows.get(frame, 0.0), highs.get(frame, 0.0)
            missing = self._conditions[self._left(frame), self._right(frame)] - (high - low)
            if missing > 0:
                high += missing
            self._x[self._left(frame)], self._x[self._right(frame)] = low, high
            if frame in self._outer:
                stretch(self._outer[frame], low - self._spacing.frames, high + self._spacing.frames)

    def _line_up_lanes(self) -> None:
        """Shift each lane as a whole, so that it begins where the one before ends."""
        frames = {lane: f for f, (lane, scope) in enumerate(self._ordering.frames) if not scope}
        shifts: dict[int, float] = {}
        end = 0.0
        for lane in sorted(frames):
            left, right = self._x[self._left(frames[lane])], self._x[self._right(frames[lane])]
            shifts[lane] = end - left
            end += right - left + self._spacing.channel
        for number, lane in enumerate(self._lanes):
            self._x[number] += shifts[lane]
        for frame, (lane, _) in enumerate(self._ordering.frames):
            self._x[self._left(frame)] += shifts[lane]
            self._x[self._right(frame)] += shifts[lane]
