"""A picture with the positions of all its elements, independent of any format."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from symad.drawing.edge_notes import PlacedNote, place_notes
from symad.drawing.frame_titles import (
    Ground,
    Text,
    extent_of,
    frame_title,
    place_titles,
    title_size,
    with_titles,
)
from symad.drawing.layout import (
    Diagram,
    DiagramLayout,
    Item,
    Link,
    Scope,
    Spacing,
    lay_out,
)
from symad.drawing.layout.curves import Point
from symad.drawing.metrics import broken, text_width
from symad.drawing.outlines import Look, meeting, size_around, text_drop
from symad.drawing.picture import Arrow, Picture, Shape, Swatch, TextLine
from symad.records import dataclass, replace

_DROP = 0.32  # distance of the baseline below the middle of a line
_HEAD = (9.5, 3.8)  # length and half the width of an arrow's head
_HEAD_ROOM, _MOST_HEAD_ROOM = 15.0, 300.0  # on a side of a node, per head and in all
_COLUMN_GAP = 22.0
_COLUMNS = 4
_GLYPH = 31.0
_NARROWEST = 480.0
_ROW = 25.0  # of the legend
_NOTE = 13  # the font size of a note


@dataclass(frozen=True, slots=True)
class Density:
    """The spacing of a picture.

    Attributes
    ----------
    spacing : Spacing
        The gaps of the layout.
    leading : float
        The line height on a node, relative to the font size.
    margin : float
        Around the picture.
    forms : dict from str to str
        Smaller forms that replace the forms of looks.
    """

    spacing: Spacing
    leading: float
    margin: float
    forms: Mapping[str, str]


NORMAL = Density(Spacing.normal, 1.3, 12.0, {})
COMPACT = Density(Spacing.compact, 1.15, 6.0, {"ellipse": "pill", "hexagon": "gem"})


@dataclass(frozen=True, slots=True)
class Shaft:
    """An arrow: a Bézier curve to the base of its head, and the head's corners, tip first."""

    arrow: Arrow
    curve: list[Point]
    head: list[Point]


@dataclass(frozen=True, slots=True)
class Figure:
    """A node with its text; the form of its look may differ from that of the shape."""

    shape: Shape
    look: Look
    centre: Point
    size: Point
    texts: list[Text]


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A laid-out picture; positions are measured from the top left, inside the margin.

    Attributes
    ----------
    size : (float, float)
        Including the margin.
    margin : float
    grounds : list of Ground
        Outer before inner ones.
    shafts : list of Shaft
    figures : list of Figure
    notes : list of PlacedNote
        The notes on arrows.
    legend : list of Text
    """

    size: Point
    margin: float
    grounds: list[Ground]
    shafts: list[Shaft]
    figures: list[Figure]
    notes: list[PlacedNote]
    legend: list[Text]


def place_picture(
    picture: Picture, density: Density = NORMAL, direction: str = "TB"
) -> PlacedPicture:
    """Return the layout of a picture, with arrows that lead down or to the right."""
    if direction == "LR":
        forms = {"hexagon": "gem", **density.forms}  # its points are between arrows
        density = replace(density, spacing=density.spacing.turned, forms=forms)
    sizes = _sizes(picture, density, direction)
    shapes = [(shape, _look(shape, density)) for shape in picture.shapes]
    looks = {shape.place: look for shape, look in reversed(shapes)}
    diagram = _diagram(picture, sizes, direction)
    while True:
        layout = lay_out(diagram, density.spacing)
        shafts = [_shaft(a, layout, sizes, looks) for a in picture.arrows if a.id in layout.curves]
        curves = [shaft.curve for shaft in shafts]
        grounds, crossed = place_titles(picture.parts, layout, curves)
        if not crossed or direction == "LR":  # where titles have room of their own
            break
        diagram = with_titles(diagram, layout, crossed)
    figures = [
        _figure(shape, look, layout.centres[shape.place], sizes[shape.place], density.leading)
        for shape, look in shapes
    ]
    taken = [(figure.centre, figure.size) for figure in figures if not figure.shape.at]
    notes = place_notes(
        [(shaft.arrow, [*shaft.curve, shaft.head[0]]) for shaft in shafts],
        [*taken, *(extent_of(ground.title) for ground in grounds)],
        layout.size[0],
    )
    legend = _Legend(picture, layout.size[0])
    margin = density.margin
    texts = list(legend.texts(layout.size[1] + margin))
    below = margin + legend.height if legend.height else 0.0
    size = max(layout.size[0], legend.width) + 2 * margin, layout.size[1] + below + 2 * margin
    return PlacedPicture(size, margin, grounds, shafts, figures, notes, texts)


def _diagram(picture: Picture, sizes: dict[str, Point], direction: str = "TB") -> Diagram:
    """Return a picture as input for the layout."""
    bands = {part: place for place, part in enumerate(picture.parts)}
    items = [
        Item(shape.box.id, bands[shape.box.part], shape.box.scope, sizes[shape.box.id])
        for shape in picture.shapes
        if not shape.at
    ]
    links = [
        Link(a.id, a.source.id, a.target.id, a.ranks, a.rises, a.ordered) for a in picture.arrows
    ]
    titles: dict[tuple[int, Scope], Point] = {}
    for item in items:
        for depth in range(len(item.scope) + 1):
            scope = item.scope[:depth]
            if (item.band, scope) not in titles:
                line = frame_title(picture.parts[item.band], scope)
                titles[item.band, scope] = title_size(line)
    rows = [[box.id for box in row] for row in picture.rows]
    return Diagram(items, links, rows, titles, direction)


# Nodes


def _look(shape: Shape, density: Density) -> Look:
    look = shape.look
    return look | {"shape": density.forms.get(look["shape"], look["shape"])}


def _sizes(
    picture: Picture, density: Density = NORMAL, direction: str = "TB"
) -> dict[str, Point]:
    """Return the size of each place, with room for the text of its shapes and arrow heads."""
    arriving = Counter(arrow.target.id for arrow in picture.arrows)
    sizes: dict[str, Point] = {}
    for shape in picture.shapes:
        text = max((text_width(n.text, n.size, n.bold) for n in shape.lines), default=0.0)
        height = _height(shape.lines, density.leading)
        width, height = size_around(_look(shape, density), text, height)
        heads = min(_HEAD_ROOM * arriving[shape.place], _MOST_HEAD_ROOM)
        most = sizes.get(shape.place, (0.0, 0.0))
        if direction == "LR":
            height = max(height, heads)
        else:
            width = max(width, heads)
        sizes[shape.place] = max(width, most[0]), max(height, most[1])
    return sizes


def _height(lines: Iterable[TextLine], leading: float) -> float:
    return sum(leading * line.size for line in lines)


def _figure(shape: Shape, look: Look, centre: Point, size: Point, leading: float) -> Figure:
    base = centre[1] - _height(shape.lines, leading) / 2 + text_drop(look, size)
    texts = []
    for line in shape.lines:
        base += leading * line.size
        drop = (leading - 1.3) * line.size / 2 + _DROP * line.size
        texts.append(Text(line, (centre[0], base - drop), is_centred=True))
    return Figure(shape, look, centre, size, texts)


# Arrows


def _shaft(
    arrow: Arrow, layout: DiagramLayout, sizes: dict[str, Point], looks: dict[str, Look]
) -> Shaft:
    """Return the curve of an arrow between the outlines of its ends."""
    curve = list(layout.curves[arrow.id])
    for name, end, inner in ((arrow.source.id, 0, 1), (arrow.target.id, -1, -2)):
        vertical = curve[inner][0] == curve[end][0]
        centre = layout.centres[name]
        curve[end] = meeting(looks[name], centre, sizes[name], curve[end], vertical)
    return Shaft(arrow, *_with_head(curve, 0.8 if arrow.crosses else 1.0))


def _with_head(curve: Sequence[Point], scale: float) -> tuple[list[Point], list[Point]]:
    """Return a curve that ends at the base of its arrow head, and the head's corners."""
    length, half = _HEAD[0] * scale, _HEAD[1] * scale
    tip, before = curve[-1], curve[-2]
    span = math.dist(tip, before) or 1.0
    dx, dy = (tip[0] - before[0]) / span, (tip[1] - before[1]) / span
    base = tip[0] - length * dx, tip[1] - length * dy
    inner = curve[-2] if span > length else base
    corners = [tip, (base[0] - half * dy, base[1] + half * dx)]
    corners.append((base[0] + half * dy, base[1] - half * dx))
    return [*curve[:-2], inner, base], corners


# Legend


class _Legend:
    """The rows below the picture: signs in columns, then notes."""

    def __init__(self, picture: Picture, room: float) -> None:
        room = max(room, _NARROWEST)
        self._signs, self._count = picture.legend, _COLUMNS
        self._notes = [row for note in picture.notes for row in broken(note, _NOTE, room)]
        while self._count > 1 and sum(self._columns()) > room:
            self._count -= 1
        notes = (text_width(note, _NOTE) for note in self._notes)
        self.width = max([sum(self._columns()), *notes])
        self.height = _ROW * (-(-len(picture.legend) // self._count) + len(self._notes))

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
                yield Text(TextLine(sign.glyph, 17, sign.color), (x, y - 6))
                yield Text(TextLine(sign.text), (x + _GLYPH, y - 6))
                x += width
        for note in self._notes:
            y += _ROW
            yield Text(TextLine(note, _NOTE), (0.0, y - 6))
