"""Places notes on arrows, where possible without covering anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from symad.drawing.layout.curves import Point, along
from symad.drawing.metrics import text_width
from symad.drawing.picture import Arrow
from symad.records import dataclass

_AIR = (10.0, 8.0)  # margin around the text, in both directions
_HEAD = (19.0, 19.0)  # free space around the head of an arrow
_STEP, _MOST_PLACES = 12.0, 24  # distance between the places tried on an arrow, and their number
_LINE = (3.0, 3.0)  # size of each such place: a note should cover only its own arrow
_ASIDE = 4.0  # distance of a note from its arrow
_SQUARE = 80.0

Extent = tuple[Point, Point]
"""The middle and the size of a rectangle."""


@dataclass(frozen=True, slots=True)
class PlacedNote:
    """A note on an arrow, or right beside it, in a box around ``middle``."""

    arrow: Arrow
    centre: Point
    size: Point


def place_notes(
    arrows: Sequence[tuple[Arrow, Sequence[Point]]], taken: Iterable[Extent], width: float
) -> list[PlacedNote]:
    """Return the notes of arrows, given with their curves, in a picture of this width."""
    notes: list[PlacedNote] = []
    if not any(arrow.note for arrow, _ in arrows):
        return notes
    covered = _Covered()
    for extent in taken:
        covered.add(*extent)
    for arrow, curve in arrows:
        covered.add(curve[-1], _HEAD)
        for place in along(curve[:-1], _STEP) if arrow.note else ():
            covered.add(place, _LINE, arrow.id)
    for arrow, curve in arrows:
        line = arrow.note
        if line is None:
            continue
        size = text_width(line.text, line.size, line.bold) + _AIR[0], line.size + _AIR[1]
        centre = _free_place(arrow.id, curve[:-1], size, covered, width)
        covered.add(centre, size)
        notes.append(PlacedNote(arrow, centre, size))
    return notes


class _Covered:
    """Occupied rectangles, indexed by the grid squares that they touch."""

    def __init__(self) -> None:
        self._extents: dict[tuple[int, int], list[tuple[Point, Point, str]]] = {}

    def add(self, centre: Point, size: Point, arrow: str = "") -> None:
        """Mark a rectangle, which may be a piece of an arrow, as occupied."""
        for square in self._squares(centre, size):
            self._extents.setdefault(square, []).append((centre, size, arrow))

    def area(self, centre: Point, size: Point, arrow: str) -> float:
        """Return the occupied area that a rectangle would cover, ignoring one arrow."""
        squares = self._squares(centre, size)
        total = 0.0
        for (x, y), (width, height), of in {e for s in squares for e in self._extents.get(s, ())}:
            if of == arrow:
                continue
            across = (size[0] + width) / 2 - abs(centre[0] - x)
            down = (size[1] + height) / 2 - abs(centre[1] - y)
            total += max(across, 0.0) * max(down, 0.0)
        return total

    def _squares(self, centre: Point, size: Point) -> Iterator[tuple[int, int]]:
        columns, rows = (
            range(int((middle - side / 2) // _SQUARE), int((middle + side / 2) // _SQUARE) + 1)
            for middle, side in zip(centre, size, strict=True)
        )
        return ((column, row) for column in columns for row in rows)


def _free_place(
    arrow: str, curve: Sequence[Point], size: Point, covered: _Covered, width: float
) -> Point:
    """Return the place near the middle of a curve, on or beside it, where a box covers least."""
    places = list(along(curve, _STEP))
    places = places[:: len(places) // _MOST_PLACES + 1]
    half = size[0] / 2
    aside = half + _ASIDE
    choices = []
    for number, (x, y) in enumerate(places):
        for shift in (0.0, -aside, aside):
            inside = min(max(x + shift, half), width - half)
            far = abs(number - len(places) // 2) + abs(shift) / aside
            choices.append((far, (inside, y)))
    least, best = math.inf, choices[0][1]
    for _, place in sorted(choices):
        area = covered.area(place, size, arrow)
        if area < least:
            least, best = area, place
        if not area:
            break
    return best
