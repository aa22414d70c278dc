"""A scene as SVG, laid out by symad itself; groups, classes and ids are those of Graphviz."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from symad.draw.escape import visible
from symad.draw.layered import Diagram, Frame, Item, Link, lay_out
from symad.draw.layered.curves import Point
from symad.draw.metrics import text_width
from symad.draw.outlines import meeting, outline, points, rounded, size_around, text_drop
from symad.draw.parts import Part
from symad.draw.scene import Arrow, Line, Scene, Shape, Swatch
from symad.draw.style import FONT, INK, hue_of

_AIR = 12.0  # around the picture
_LEADING = 1.3  # of lines on a node, in relation to their size
_HEAD = (9.5, 3.8)  # length and half the width of an arrow's head
_HEAD_ROOM, _MOST_HEAD_ROOM = 15.0, 300.0  # on the side of a node, for one and for all
_DASHES = {"dashed": "5,3", "dotted": "1.5,3"}
_COLUMN_GAP = 22.0
_COLUMNS = 4
_GLYPH = 31.0
_NARROWEST = 480.0
_PART_TITLE, _SCOPE_TITLE = 15, 13


def to_svg(scene: Scene) -> str:
    """Return a picture as SVG text."""
    return _Painter(scene).svg()


class _Painter:
    """Lays a scene out and draws it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._sizes = _sizes(scene)
        self._layout = lay_out(_diagram(scene, self._sizes))
        self._shapes = {shape.box.id: shape for shape in scene.shapes}

    def svg(self) -> str:
        legend = list(_legend(self._scene, self._layout.size[0]))
        width = max([self._layout.size[0], *(right for right, _, _ in legend)]) + 2 * _AIR
        height = self._layout.size[1] + 3 * _AIR + sum(rise for _, rise, _ in legend)
        parts = [
            '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
            f'<svg width="{width:.0f}pt" height="{height:.0f}pt" '
            f'viewBox="0 0 {width:.2f} {height:.2f}" xmlns="http://www.w3.org/2000/svg">',
            f'<g id="graph0" class="graph" transform="translate({_AIR:g} {_AIR:g})" '
            f'font-family="{FONT}" fill="{INK}">',
            "<title>symad</title>",
            f'<path fill="white" d="M{-_AIR:g},{-_AIR:g}h{width:.2f}v{height:.2f}h{-width:.2f}z"/>',
        ]
        for frame in self._layout.frames:
            parts += self._frame(frame)
        for arrow in self._scene.arrows:
            if arrow.id in self._layout.curves:
                parts += self._arrow(arrow)
        parts += map(self._frame_text, self._layout.frames)
        for shape in self._scene.shapes:
            parts += self._node(shape)
        y = self._layout.size[1] + _AIR
        for _, rise, pieces in legend:
            y += rise
            parts += (_text(x, y - 6, line, "start") for x, line in pieces)
        return "\n".join([*parts, "</g>", "</svg>"]) + "\n"

    def _frame(self, frame: Frame) -> Iterator[str]:
        part = self._scene.parts[frame.band]
        hue = hue_of(part)
        line = _frame_title(part, frame.scope)
        path = rounded(frame.left, frame.top, frame.right, frame.bottom, 10.0)
        fill, stroke = ("none", hue.strong) if frame.scope else (hue.ground, hue.ground)
        group = f'<g class="cluster" id="{part.id}">' if not frame.scope else '<g class="cluster">'
        yield f"{group}<title>{escape(line.text)}</title>"
        yield f'<path d="{path}" fill="{fill}" stroke="{stroke}"/></g>'

    def _frame_text(self, frame: Frame) -> str:
        """Return the title of a frame, which stands out where an arrow crosses it."""
        part = self._scene.parts[frame.band]
        line = _frame_title(part, frame.scope)
        halo = f' stroke="{hue_of(part).ground}" stroke-width="5" paint-order="stroke"'
        return _text(frame.left + 10, frame.top + 6 + line.size, line, "start", halo)

    def _node(self, shape: Shape) -> Iterator[str]:
        x, y = self._layout.centres[shape.box.id]
        look = shape.look
        yield f'<g id="{shape.box.id}" class="node"><title>{escape(shape.tip)}</title>'
        dashed = ' stroke-dasharray="5,3"' if "dashed" in look.get("style", "") else ""
        paint = f'fill="{look["fillcolor"]}" stroke="{look["color"]}"'
        paint += f' stroke-width="{look.get("penwidth", "1.5")}"{dashed}'
        size = self._sizes[shape.box.id]
        yield from outline(look, (x, y), size, paint)
        height = sum(_height(line) for line in shape.lines)
        base = y - height / 2 + text_drop(look, size)
        for line in shape.lines:
            base += _height(line)
            yield _text(x, base - 0.32 * line.size, line, "middle")
        yield "</g>"

    def _arrow(self, arrow: Arrow) -> Iterator[str]:
        look = arrow.look
        scale = 0.8 if arrow.crosses else 1.0
        curve = self._clipped(arrow)
        shaft, head = _with_head(curve, scale)
        start, *rest = (f"{x:.2f},{y:.2f}" for x, y in shaft)
        dashes = _DASHES.get(look.get("style", ""))
        style = f' stroke-dasharray="{dashes}"' if dashes else ""
        color, width = look["color"], look.get("penwidth", "1.5")
        title = f"{arrow.source.id}->{arrow.target.id}"
        yield f'<g id="{arrow.id}" class="edge"><title>{escape(title)}</title>'
        yield (
            f'<path d="M{start}C{" ".join(rest)}" fill="none" stroke="{color}" '
            f'stroke-width="{width}"{style}/>'
        )
        yield f'<polygon fill="{color}" stroke="{color}" points="{points(head)}"/></g>'

    def _clipped(self, arrow: Arrow) -> list[Point]:
        """Return the curve of an arrow between the outlines of its ends."""
        curve = list(self._layout.curves[arrow.id])
        for box, end, inner in ((arrow.source, 0, 1), (arrow.target, -1, -2)):
            shape = self._shapes[box.id]
            centre = self._layout.centres[box.id]
            vertical = curve[inner][0] == curve[end][0]
            curve[end] = meeting(shape.look, centre, self._sizes[box.id], curve[end], vertical)
        return curve


def _diagram(scene: Scene, sizes: Mapping[str, Point]) -> Diagram:
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
                titles[item.band, scope] = width, 1.4 * line.size
    return Diagram(items, links, [[box.id for box in row] for row in scene.rows], titles)


def _frame_title(part: Part, scope: tuple[str, ...]) -> Line:
    color = hue_of(part).strong
    if scope:
        return Line(visible(scope[-1]), _SCOPE_TITLE, color)
    return Line(part.title, _PART_TITLE, color, bold=True)


def _sizes(scene: Scene) -> dict[str, Point]:
    """Return the width and the height of each node: room for its text, and for arrow heads."""
    arriving = Counter(arrow.target.id for arrow in scene.arrows)
    sizes = {}
    for shape in scene.shapes:
        text = max((text_width(n.text, n.size, n.bold) for n in shape.lines), default=0.0)
        width, height = size_around(shape.look, text, sum(map(_height, shape.lines)))
        heads = min(_HEAD_ROOM * arriving[shape.box.id], _MOST_HEAD_ROOM)
        sizes[shape.box.id] = max(width, heads), height
    return sizes


def _height(line: Line) -> float:
    return _LEADING * line.size


def _text(x: float, y: float, line: Line, anchor: str, more: str = "") -> str:
    weight = ' font-weight="bold"' if line.bold else ""
    slant = ' font-style="italic"' if line.italic else ""
    color = f' fill="{line.color}"' if line.color != INK else ""
    text = escape(line.text.replace(" ", "\xa0"))
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}" font-size="{line.size}"'
        f"{weight}{slant}{color}{more}>{text}</text>"
    )


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


def _legend(scene: Scene, room: float) -> Iterator[tuple[float, float, list[tuple[float, Line]]]]:
    """Yield the rows below the picture: how far each reaches, its height, and text with places."""
    columns = _COLUMNS
    while columns > 1 and sum(_columns(scene.legend, columns)) > max(room, _NARROWEST):
        columns -= 1
    widths = _columns(scene.legend, columns)
    for first in range(0, len(scene.legend), columns):
        pieces, x = [], 0.0
        for swatch, width in zip(scene.legend[first : first + columns], widths, strict=False):
            pieces.append((x, Line(swatch.glyph, 17, swatch.color)))
            pieces.append((x + _GLYPH, Line(swatch.text)))
            x += width
        yield x, 25.0, pieces
    for note in scene.notes:
        yield text_width(note, 13), 25.0, [(0.0, Line(note, 13))]


def _columns(legend: Sequence[Swatch], count: int) -> list[float]:
    """Return the widths of the columns of a legend."""
    widths = [_GLYPH + text_width(swatch.text, 12) + _COLUMN_GAP for swatch in legend]
    return [max(widths[column::count]) for column in range(min(count, len(widths)))]
