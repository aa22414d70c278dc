"""A sheet: a scene on which everything has its place, before it is written in any format."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from symad.drawing.layout import Diagram, Frame, Item, Layout, Link, lay_out
from symad.drawing.layout.curves import Point, along
from symad.drawing.metrics import broken, text_width
from symad.drawing.outlines import meeting, size_around, text_drop
from symad.drawing.scene import Arrow, Line, Scene, Shape, Swatch
from symad.drawing.style import hue_of
from symad.notation.escape import visible
from symad.notation.roles import Part

_AIR = 12.0  # around the picture
_LEADING = 1.3  # of lines on a node, in relation to their size
_DROP = 0.32  # from the middle of a line of text down to its base
_HEAD = (9.5, 3.8)  # length and half the width of an arrow's head
_HEAD_ROOM, _MOST_HEAD_ROOM = 15.0, 300.0  # on the side of a node, for one and for all
_COLUMN_GAP = 22.0
_COLUMNS = 4
_GLYPH = 31.0
_NARROWEST = 480.0
_ROW = 25.0  # of the legend
_NOTE = 13  # the size of the letters of a note
_PART_TITLE, _SCOPE_TITLE = 15, 13
_INDENT = 10.0  # of the title of a frame
_STEP = 6.0  # between points of arrows that a title might meet


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text, with its base at ``place``: the middle of the line, or where it starts."""

    line: Line
    place: Point
    is_centred: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies behind the nodes of a part or of a scope, with its title."""

    frame: Frame
    part: Part
    title: Text


@dataclass(frozen=True, slots=True)
class Shaft:
    """An arrow: a Bézier curve to the base of its head, and the corners of that, the tip first."""

    arrow: Arrow
    curve: list[Point]
    head: list[Point]


@dataclass(frozen=True, slots=True)
class Figure:
    """A node, with its text."""

    shape: Shape
    centre: Point
    size: Point
    texts: list[Text]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture; all places are counted from the top left, inside of a margin.

    Attributes
    ----------
    size : (float, float)
        With the margin.
    margin : float
    grounds : list of Ground
        Outer before inner ones.
    shafts : list of Shaft
    figures : list of Figure
    legend : list of Text
    """

    size: Point
    margin: float
    grounds: list[Ground]
    shafts: list[Shaft]
    figures: list[Figure]
    legend: list[Text]


def make_sheet(scene: Scene) -> Sheet:
    """Return a scene, laid out."""
    sizes = _sizes(scene)
    layout = lay_out(_diagram(scene, sizes))
    looks = {shape.box.id: shape.look for shape in scene.shapes}
    shafts = [_shaft(a, layout, sizes, looks) for a in scene.arrows if a.id in layout.curves]
    figures = [_figure(s, layout.centres[s.box.id], sizes[s.box.id]) for s in scene.shapes]
    width, height = layout.size
    legend = _Legend(scene, width)
    texts = list(legend.texts(height + _AIR))
    size = max(width, legend.width) + 2 * _AIR, height + 3 * _AIR + legend.height
    grounds = list(_grounds(scene, layout, [shaft.curve for shaft in shafts]))
    return Sheet(size, _AIR, grounds, shafts, figures, texts)


def _diagram(scene: Scene, sizes: dict[str, Point]) -> Diagram:
    """Return what the layout must know of a scene."""
    bands = {part: place for place, part in enumerate(scene.parts)}
    items = [
        Item(shape.box.id, bands[shape.box.part], shape.box.scope, sizes[shape.box.id])
        for shape in scene.shapes
    ]
    links = [Link(a.id, a.source.id, a.target.id, a.ranks, a.rises) for a in scene.arrows]
    titles: dict[tuple[int, tuple[str, ...]], Point] = {}
    for item in items:
        for depth in range(len(item.scope) + 1):
            scope = item.scope[:depth]
            if (item.band, scope) not in titles:
                line = _frame_title(scene.parts[item.band], scope)
                width = text_width(line.text, line.size, line.bold)
                titles[item.band, scope] = width, 1.6 * line.size
    return Diagram(items, links, [[box.id for box in row] for row in scene.rows], titles)


def _frame_title(part: Part, scope: tuple[str, ...]) -> Line:
    color = hue_of(part).strong
    if scope:
        return Line(visible(scope[-1]), _SCOPE_TITLE, color)
    return Line(part.title, _PART_TITLE, color, bold=True)


# Nodes


def _sizes(scene: Scene) -> dict[str, Point]:
    """Return the width and the height of each node: room for its text, and for arrow heads."""
    arriving = Counter(arrow.target.id for arrow in scene.arrows)
    sizes = {}
    for shape in scene.shapes:
        text = max((text_width(n.text, n.size, n.bold) for n in shape.lines), default=0.0)
        width, height = size_around(shape.look, text, _height(shape.lines))
        heads = min(_HEAD_ROOM * arriving[shape.box.id], _MOST_HEAD_ROOM)
        sizes[shape.box.id] = max(width, heads), height
    return sizes


def _height(lines: Iterable[Line]) -> float:
    return sum(_LEADING * line.size for line in lines)


def _figure(shape: Shape, centre: Point, size: Point) -> Figure:
    base = centre[1] - _height(shape.lines) / 2 + text_drop(shape.look, size)
    texts = []
    for line in shape.lines:
        base += _LEADING * line.size
        texts.append(Text(line, (centre[0], base - _DROP * line.size), is_centred=True))
    return Figure(shape, centre, size, texts)


# Arrows


def _shaft(
    arrow: Arrow, layout: Layout, sizes: dict[str, Point], looks: dict[str, dict[str, str]]
) -> Shaft:
    """Return the curve of an arrow between the outlines of its ends."""
    curve = list(layout.curves[arrow.id])
    for name, end, inner in ((arrow.source.id, 0, 1), (arrow.target.id, -1, -2)):
        vertical = curve[inner][0] == curve[end][0]
        centre = layout.centres[name]
        curve[end] = meeting(looks[name], centre, sizes[name], curve[end], vertical)
    return Shaft(arrow, *_with_head(curve, 0.8 if arrow.crosses else 1.0))


def _with_head(curve: Sequence[Point], scale: float) -> tuple[list[Point], list[Point]]:
    """Return a curve that ends at the base of its arrow head, and the corners of the head."""
    length, half = _HEAD[0] * scale, _HEAD[1] * scale
    tip, before = curve[-1], curve[-2]
    span = math.dist(tip, before) or 1.0
    dx, dy = (tip[0] - before[0]) / span, (tip[1] - before[1]) / span
    base = tip[0] - length * dx, tip[1] - length * dy
    inner = curve[-2] if span > length else base
    corners = [tip, (base[0] - half * dy, base[1] + half * dx)]
    corners.append((base[0] + half * dy, base[1] - half * dx))
    return [*curve[:-2], inner, base], corners


# Frames


def _grounds(scene: Scene, layout: Layout, curves: Iterable[Sequence[Point]]) -> Iterator[Ground]:
    """Yield the frames; the title of a scope that arrows would cross moves to the right."""
    frames = layout.frames
    titles = [_frame_title(scene.parts[frame.band], frame.scope) for frame in frames]
    bases = [f.top + 6 + line.size for f, line in zip(frames, titles, strict=True)]
    passing = _Passing(curves, [b for b, f in zip(bases, frames, strict=True) if f.scope])
    for frame, line, base in zip(frames, titles, bases, strict=True):
        width = text_width(line.text, line.size, line.bold)
        left, right = frame.left + _INDENT, frame.right - _INDENT - width
        crossed = [passing.meet(x - 3, x + width + 3, base) for x in (left, right)]
        x = right if crossed == [True, False] else left
        yield Ground(frame, scene.parts[frame.band], Text(line, (x, base)))


class _Passing:
    """Where arrows run at the heights of titles.

    Rows are as high as a title.  Arrows that run together straight down, however many, are one
    vertical line; of all others there are points.
    """

    def __init__(self, curves: Iterable[Sequence[Point]], bases: Iterable[float]) -> None:
        self._points: dict[int, list[float]] = {row: [] for base in bases for row in _rows(base)}
        lines: dict[float, Point] = {}
        seen: set[tuple[Point, ...]] = set()  # by arrows that run together
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
    """Return the rows that a title reaches into."""
    return range(int((base - _SCOPE_TITLE) // _SCOPE_TITLE), int(base // _SCOPE_TITLE) + 1)


# Legend


class _Legend:
    """The rows below the picture: the signs in columns, then the notes."""

    def __init__(self, scene: Scene, room: float) -> None:
        room = max(room, _NARROWEST)
        self._signs, self._count = scene.legend, _COLUMNS
        self._notes = [row for note in scene.notes for row in broken(note, _NOTE, room)]
        while self._count > 1 and sum(self._columns()) > room:
            self._count -= 1
        notes = (text_width(note, _NOTE) for note in self._notes)
        self.width = max([sum(self._columns()), *notes])
        self.height = _ROW * (-(-len(scene.legend) // self._count) + len(self._notes))

    def _columns(self) -> list[float]:
        signs, count = self._signs, self._count
        widths = [_GLYPH + text_width(sign.text, 12) + _COLUMN_GAP for sign in signs]
        return [max(widths[column::count]) for column in range(min(count, len(widths)))]

    def texts(self, y: float) -> Iterator[Text]:
        """Yield the texts, below a height."""
        columns = self._columns()
        for first in range(0, len(self._signs), self._count):
            y += _ROW
            x = 0.0
            row: Sequence[Swatch] = self._signs[first : first + self._count]
            for sign, width in zip(row, columns, strict=False):
                yield Text(Line(sign.glyph, 17, sign.color), (x, y - 6))
                yield Text(Line(sign.text), (x + _GLYPH, y - 6))
                x += width
        for note in self._notes:
            y += _ROW
            yield Text(Line(note, _NOTE), (0.0, y - 6))
