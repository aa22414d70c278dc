"""The frames of a picture and their titles, which no arrow crosses where possible."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from symad.drawing.fold import Frame
from symad.drawing.layout import Diagram, DiagramLayout, Item, LayoutFrame, Scope
from symad.drawing.layout.curves import Point, along
from symad.drawing.metrics import text_width
from symad.drawing.picture import TextLine
from symad.drawing.style import hue_of
from symad.notation.escape import visible
from symad.notation.roles import Part
from symad.records import dataclass, replace

_PART_TITLE, _SCOPE_TITLE = 15, 13
_INDENT = 10.0  # of the title of a frame
_STEP = 6.0  # between points of arrows that a title might touch


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text, with the middle or the start of its baseline at ``place``."""

    line: TextLine
    place: Point
    is_centred: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """The background of a part or a scope, with its title."""

    frame: LayoutFrame
    part: Part
    title: Text


def frame_title(part: Part, scope: Scope) -> TextLine:
    """Return the title of a part, or of a frame in it."""
    color = hue_of(part).strong
    if scope:
        return TextLine(visible(_inner(scope).title), _SCOPE_TITLE, color)
    return TextLine(part.title, _PART_TITLE, color, bold=True)


def title_size(line: TextLine) -> Point:
    """Return the width and the height of the room for a title."""
    return text_width(line.text, line.size, line.bold), 1.6 * line.size


def extent_of(text: Text) -> tuple[Point, Point]:
    """Return the middle and the size of the area of a title."""
    line, (x, base) = text.line, text.place
    width = text_width(line.text, line.size, line.bold)
    return (x + width / 2, base - line.size / 3), (width, line.size)


def place_titles(
    parts: Sequence[Part], layout: DiagramLayout, curves: Iterable[Sequence[Point]]
) -> tuple[list[Ground], list[LayoutFrame]]:
    """Return the frames with their titles, and the loops whose titles arrows cross.

    The title of a frame inside a part moves to the right if arrows would cross it.
    """
    frames = layout.frames
    titles = [frame_title(parts[frame.band], frame.scope) for frame in frames]
    bases = [f.top + 6 + line.size for f, line in zip(frames, titles, strict=True)]
    passing = _Passing(curves, [b for b, f in zip(bases, frames, strict=True) if f.scope])
    grounds, crossed = [], []
    for frame, line, base in zip(frames, titles, bases, strict=True):
        own = layout.centres.get(_name_of_title(frame.scope))
        width = text_width(line.text, line.size, line.bold)
        left, right = frame.left + _INDENT, frame.right - _INDENT - width
        steps = int((right - left) // _STEP) if frame.scope else 0
        places = [left, right, *(left + step * _STEP for step in range(1, steps))]
        free = (x for x in places if not passing.meet(x - 3, x + width + 3, base))
        x = next(free, None) if own is None else own[0] - width / 2
        if own is not None:
            base = own[1] + line.size / 3
        elif x is None and frame.scope and _inner(frame.scope).key:
            crossed.append(frame)
        place = (left if x is None else x), base
        grounds.append(Ground(frame, parts[frame.band], Text(line, place)))
    return grounds, crossed


def with_titles(diagram: Diagram, layout: DiagramLayout, frames: Iterable[LayoutFrame]) -> Diagram:
    """Return a diagram in which the titles of some frames are items in their top layers."""
    items, rows, titles = list(diagram.items), list(diagram.rows), dict(diagram.titles)
    for frame in frames:
        inside = [
            item
            for item in diagram.items
            if item.band == frame.band and item.scope[: len(frame.scope)] == frame.scope
        ]
        top = min(inside, key=lambda item: layout.centres[item.id][1])
        title = _name_of_title(frame.scope)
        size = titles[frame.band, frame.scope]
        titles[frame.band, frame.scope] = 0.0, 0.0
        items.insert(items.index(inside[0]), Item(title, frame.band, frame.scope, size))
        rows.append([top.id, title])
    return replace(diagram, items=items, rows=rows, titles=titles)


def _inner(scope: Scope) -> Frame:
    inner = scope[-1]
    assert isinstance(inner, Frame)
    return inner


def _name_of_title(scope: Scope) -> str:
    return f"title {_inner(scope).key}" if scope else "title"


class _Passing:
    """The positions of arrows at the heights of titles.

    Rows are as high as a title.  A bundle of vertical arrows counts as one vertical line; other
    arrows are represented by points.
    """

    def __init__(self, curves: Iterable[Sequence[Point]], bases: Iterable[float]) -> None:
        self._points: dict[int, list[float]] = {row: [] for base in bases for row in _rows(base)}
        lines: dict[float, Point] = {}
        seen: set[tuple[Point, ...]] = set()  # by bundle of arrows
        for curve in curves if self._points else ():
            for first in range(0, len(curve) - 1, 3):
                piece = tuple(curve[first : first + 4])
                if piece in seen:
                    continue
                seen.add(piece)
                (x, top), (end, bottom) = piece[0], piece[-1]
                low, high = min(top, bottom), max(top, bottom)
                if x == end == piece[1][0]:
                    found = lines.get(x, (low, high))
                    lines[x] = min(low, found[0]), max(high, found[1])
                else:
                    self._add(piece)
        self._lines = sorted(lines.items())

    def _add(self, piece: Sequence[Point]) -> None:
        ys = [y for _, y in piece]
        rows = range(int(min(ys) // _SCOPE_TITLE), int(max(ys) // _SCOPE_TITLE) + 1)
        if not self._points.keys().isdisjoint(rows):
            for x, y in along(piece, _STEP):
                row = int(y // _SCOPE_TITLE)
                if row in self._points:
                    self._points[row].append(x)

    def meet(self, left: float, right: float, base: float) -> bool:
        """Return whether an arrow runs between two places at the height of a title."""
        first = bisect_left(self._lines, (left, (-math.inf, -math.inf)))
        last = bisect_left(self._lines, (right, (-math.inf, -math.inf)))
        return any(
            low < base and high > base - _SCOPE_TITLE for _, (low, high) in self._lines[first:last]
        ) or any(left < x < right for row in _rows(base) for x in self._points.get(row, ()))


def _rows(base: float) -> Iterable[int]:
    """Return the rows that a title overlaps."""
    return range(int((base - _SCOPE_TITLE) // _SCOPE_TITLE), int(base // _SCOPE_TITLE) + 1)
