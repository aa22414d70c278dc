"""Smooth curves through points: x as a function of y that never swings beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
_SAME = 0.01


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of a curve; where it is not free, the curve is vertical."""

    x: float
    y: float
    free: bool = False


def tangents(knots: Sequence[Knot]) -> list[float]:
    """Return the slopes dx/dy at all knots, so that x is monotone wherever the knots are.

    The slope at a free knot is the harmonic mean of those to its neighbours (Fritsch and Butland,
    1984); 0 where they differ in sign.
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
    """Return x at the height ``y`` on the piece of a curve from ``a`` to ``b``."""
    height = b.y - a.y
    t = (y - a.y) / height if height else 0.0
    from_a = a.x + slope * (y - a.y)
    rest = b.x - a.x - slope * height
    bend = (other_slope - slope) * height
    return from_a + t * t * ((3 * rest - bend) + t * (bend - 2 * rest))
