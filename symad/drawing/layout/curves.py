"""Smooth curves through points: x as a function of y, without overshooting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from symad.records import dataclass

Point = tuple[float, float]
_SAME = 0.01


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of a curve; the curve is vertical there unless the knot is free."""

    x: float
    y: float
    free: bool = False


def tangents(knots: Sequence[Knot]) -> list[float]:
    """Return the slopes dx/dy at all knots, so that x is monotone where the knots are.

    The slope at a free knot is the harmonic mean of the slopes to its neighbours (Fritsch and
    Butland, 1984), or 0 if these differ in sign.
    """
    slopes = [0.0] * len(knots)
    for i in range(1, len(knots) - 1):
        if knots[i].free:
            before, after = _slope(knots[i - 1], knots[i]), _slope(knots[i], knots[i + 1])
            if before * after > 0:
                slopes[i] = 2 * before * after / (before + after)
    return slopes


def _slope(a: Knot, b: Knot) -> float:
    return (b.x - a.x) / (b.y - a.y) if a.y != b.y else 0.0


def smooth(knots: Sequence[Knot]) -> list[Point]:
    """Return the curve through ``knots`` as a Bézier curve of 3n + 1 points."""
    distinct = [knots[0]]
    for knot in knots[1:]:
        if abs(knot.x - distinct[-1].x) + abs(knot.y - distinct[-1].y) > _SAME:
            distinct.append(knot)
    slopes = tangents(distinct)
    points: list[Point] = [(distinct[0].x, distinct[0].y)]
    for i, (a, b) in enumerate(zip(distinct, distinct[1:], strict=False)):
        third = (b.y - a.y) / 3
        points.append((a.x + slopes[i] * third, a.y + third))
        points.append((b.x - slopes[i + 1] * third, b.y - third))
        points.append((b.x, b.y))
    return points


def between(a: Knot, slope: float, b: Knot, other_slope: float, y: float) -> float:
    """Return x at ``y`` on the piece of a curve from ``a`` to ``b``."""
    height = b.y - a.y
    t = (y - a.y) / height if height else 0.0
    from_a = a.x + slope * (y - a.y)
    rest = b.x - a.x - slope * height
    bend = (other_slope - slope) * height
    return from_a + t * t * ((3 * rest - bend) + t * (bend - 2 * rest))


def along(curve: Sequence[Point], step: float) -> Iterator[Point]:
    """Yield points of a Bézier curve of 3n + 1 points, at most about ``step`` apart."""
    for first in range(0, len(curve) - 1, 3):
        a, b, c, d = curve[first : first + 4]
        length = math.dist(a, b) + math.dist(b, c) + math.dist(c, d)
        count = int(length / step) + 1
        for i in range(count + 1):
            t, s = i / count, 1 - i / count
            w = s**3, 3 * s * s * t, 3 * s * t * t, t**3
            yield (
                w[0] * a[0] + w[1] * b[0] + w[2] * c[0] + w[3] * d[0],
                w[0] * a[1] + w[1] * b[1] + w[2] * c[1] + w[3] * d[1],
            )
