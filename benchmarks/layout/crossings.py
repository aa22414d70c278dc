"""Crossings as a reader sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

Point = tuple[float, float]
Curve = Sequence[Point]
"""A Bézier curve of 3n + 1 points."""

_PARTS = 14  # straight lines for each piece of a curve
_PARALLEL = 0.02  # the sine of the angle below which two lines touch, and do not cross
_SAME = 4.0  # crossings as near as this are one


def visible_crossings(arrows: Iterable[tuple[str, str, Curve]]) -> int:
    """Return at how many places arrows cross that share neither tail nor head.

    Parameters
    ----------
    arrows : iterable of (str, str, list of points)
        Tail, head and curve of each; pieces that run together count as one.

    Examples
    --------
    >>> def line(x, end): return [(x, 0), (x, 0), (end, 9), (end, 9)]
    >>> visible_crossings([("a", "b", line(0, 9)), ("c", "d", line(9, 0)), ("c", "b", line(5, 5))])
    1
    """
    pieces: dict[tuple[Point, ...], list[tuple[str, str]]] = {}
    for tail, head, curve in arrows:
        for first in range(0, len(curve) - 1, 3):
            piece = tuple((round(x, 2), round(y, 2)) for x, y in curve[first : first + 4])
            if len(set(piece)) > 1:
                pieces.setdefault(piece, []).append((tail, head))
    return _places(list(_crossings(pieces)))


def _crossings(pieces: dict[tuple[Point, ...], list[tuple[str, str]]]) -> Iterator[Point]:
    lines = [_polyline(piece) for piece in pieces]
    ends = list(pieces.values())
    low, high = (np.array([f(line, axis=0) for line in lines]) for f in (np.min, np.max))
    for i, line in enumerate(lines):
        near = (low[i] <= high[i + 1 :]).all(1) & (low[i + 1 :] <= high[i]).all(1)
        for j in np.nonzero(near)[0] + i + 1:
            if any(a[0] != b[0] and a[1] != b[1] for a in ends[i] for b in ends[j]):
                yield from _meeting(line, lines[j])


def _polyline(piece: Curve) -> np.ndarray:
    t = np.linspace(0, 1, _PARTS + 1)[:, None]
    a, b, c, d = np.array(piece, float)
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t * t * c + t**3 * d


def _meeting(one: np.ndarray, other: np.ndarray) -> list[Point]:
    """Return where two polygonal lines cross."""
    a, u = one[:-1, None], one[1:, None] - one[:-1, None]
    b, v = other[None, :-1], other[None, 1:] - other[None, :-1]
    area = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    lengths = np.hypot(*np.moveaxis(u, -1, 0)) * np.hypot(*np.moveaxis(v, -1, 0))
    w = b - a
    with np.errstate(divide="ignore", invalid="ignore"):
        s = (w[..., 0] * v[..., 1] - w[..., 1] * v[..., 0]) / area
        t = (w[..., 0] * u[..., 1] - w[..., 1] * u[..., 0]) / area
        found = (abs(area) > _PARALLEL * lengths) & (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
    return [(float(x), float(y)) for x, y in (a + s[..., None] * u)[found]]


def _places(points: Sequence[Point]) -> int:
    """Return into how many groups points fall that are near to each other."""
    cells: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(points):
        cells.setdefault((int(x // _SAME), int(y // _SAME)), []).append(number)
    seen: set[int] = set()
    count = 0
    for start in range(len(points)):
        count += start not in seen
        ready = [start]
        while ready:
            number = ready.pop()
            if number not in seen:
                seen.add(number)
                ready += [n for n in _around(points[number], cells)
                          if math.dist(points[n], points[number]) < _SAME]  # fmt: skip
    return count


def _around(point: Point, cells: dict[tuple[int, int], list[int]]) -> Iterator[int]:
    column, row = (int(place // _SAME) for place in point)
    for x in (column - 1, column, column + 1):
        for y in (row - 1, row, row + 1):
            yield from cells.get((x, y), ())
