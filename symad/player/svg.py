"""A sketch that has been laid out as SVG: classes for colours, so that a page can be dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from symad.notation.roles import Kind, Part
from symad.player.layout import Frame, Layout, Point
from symad.player.sketch import Arrow, Row, Shape, Sketch

_MARGIN = 8
_TIP = (11.0, 4.2)  # length and half the width of an arrow's point
_CUT = 13.0  # the corners of hexagons and parallelograms
_FARTHEST = 60  # pixels between an outline and the rectangle around it
_SQUARE = 80.0  # pixels
_TITLE = (10.5, 20.0)  # about the width of a letter of a frame's title, and its height
_ROUND = {Kind.OPERATION, Kind.PARTIAL, Kind.IDENTITY, Kind.LOCAL, Kind.TANGENT}


def hue_class(part: Part) -> str:
    """Return the class of a part: f, t, or a with the generation."""
    if part.family == "forward":
        return "f"
    if part.family == "tangent" and part.generation == 1:
        return "t"
    return f"a{(part.generation - 1) % 3 + 1}"


def write_svg(sketch: Sketch, layout: Layout, name: str) -> str:
    """Return a picture; what is in it is hidden until a step shows it.

    Parameters
    ----------
    sketch : Sketch
    layout : Layout
    name : str
        The id of the picture.
    """
    width, height = (side + 2 * _MARGIN for side in layout.size)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" class="picture" role="group" '
        f'viewBox="{-_MARGIN} {-_MARGIN} {width:.0f} {height:.0f}" '
        f'preserveAspectRatio="xMidYMid meet">',
        '<g class="camera">',
    ]
    lines += (_frame(frame, layout) for frame in layout.frames)
    shapes = {shape.id: shape for shape in sketch.shapes}
    lines += (_arrow(a, layout, shapes) for a in sketch.arrows if a.id in layout.curves)
    lines += (_shape(shape, layout) for shape in sketch.shapes)
    lines += _badges(sketch, layout)
    return "".join([*lines, "</g></svg>"])


def _frame(frame: Frame, layout: Layout) -> str:
    """Return a frame; that of a scope knows what is inside, and appears with it."""
    (x, y), (width, height) = frame.corner, frame.size
    inside = [
        name
        for name, (across, down) in layout.centres.items()
        if frame.depth and 0 <= across - x <= width and 0 <= down - y <= height
    ]
    members = f' data-in="{" ".join(inside)}"' if inside else ""
    return (
        f'<g class="frame {hue_class(frame.part)} d{min(frame.depth, 1)}"{members}>'
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="10"/>'
        f'<text x="{x + 10:.0f}" y="{y + 20:.0f}">{escape(frame.title)}</text></g>'
    )


def _arrow(arrow: Arrow, layout: Layout, shapes: Mapping[str, Shape]) -> str:
    points = layout.curves[arrow.id]
    start = _touching(points[1], points[0], shapes[arrow.tail], layout)
    tip = layout.tips[arrow.id]
    before = points[-1] if math.dist(points[-1], tip) > 1 else points[-2]
    end = _touching(before, tip, shapes[arrow.head], layout)
    path = f"M{_pair(start)}L{_pair(points[0])}C{' '.join(map(_pair, points[1:]))}L{_pair(end)}"
    classes = " ".join(
        filter(None, ["edge", hue_class(arrow.part), "cross" * arrow.crosses, arrow.style])
    )
    return (
        f'<g id="{arrow.id}" class="{classes} unseen"><path d="{path}"/>'
        f'<path d="{_tip(before, end)}"/></g>'
    )


def _touching(before: Point, end: Point, shape: Shape, layout: Layout) -> Point:
    """Return where a curve that ends at the rectangle around a shape meets its outline."""
    length = math.dist(before, end) or 1.0
    ux, uy = (end[0] - before[0]) / length, (end[1] - before[1]) / length
    x, y = end
    for _ in range(_FARTHEST):
        if _is_inside(x, y, shape, layout.centres[shape.id]):
            return x, y
        x, y = x + ux, y + uy
    return end


def _is_inside(x: float, y: float, shape: Shape, centre: Point) -> bool:
    across, down = abs(x - centre[0]), abs(y - centre[1])
    half = (shape.size[0] / 2, shape.size[1] / 2)
    if shape.kind in _ROUND:
        return math.hypot(max(across - half[0] + half[1], 0), down) <= half[1]
    slope = {Kind.SUM: _CUT, Kind.REPAIR: _CUT}.get(shape.kind, 0.0)
    return down <= half[1] and across <= half[0] - slope * down / half[1]


def _tip(base: Point, end: Point) -> str:
    """Return a triangle in the direction of an arrow, with its point at the end."""
    dx, dy = end[0] - base[0], end[1] - base[1]
    length = math.hypot(dx, dy) or 1.0
    ux, uy = dx / length, dy / length
    back = (end[0] - _TIP[0] * ux, end[1] - _TIP[0] * uy)
    left = (back[0] - _TIP[1] * uy, back[1] + _TIP[1] * ux)
    right = (back[0] + _TIP[1] * uy, back[1] - _TIP[1] * ux)
    return f"M{_fine(end)}L{_fine(left)} {_fine(right)}z"


def _fine(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _pair(point: Point) -> str:
    return f"{point[0]:.0f},{point[1]:.0f}"


def _shape(shape: Shape, layout: Layout) -> str:
    x, y = layout.centres[shape.at or shape.id]
    width, height = shape.size
    classes = ["node", hue_class(shape.part), shape.kind.name.lower()] + ["asked"] * shape.asked
    outline = "".join(_outline(shape.kind, x - width / 2, y - height / 2, width, height))
    total = sum(row.height for row in shape.rows)
    top = y - total / 2 + (6 if shape.kind is Kind.SEED else 0)
    return (
        f'<g id="{shape.id}" class="{" ".join(classes)} unseen">{outline}'
        f"{''.join(_lines(shape.rows, x, top))}</g>"
    )


def _lines(rows: Sequence[Row], x: float, top: float) -> Iterator[str]:
    for row in rows:
        y = top + row.size
        top += row.height
        marks = f' data-k="{row.key}"' if row.key else ""
        kind = f"{row.kind[0]}{' unseen' if row.key else ''}"
        if row.value is not None:
            yield f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" data-v="{row.value}"{marks}/>'
        else:
            text = escape(row.text)
            yield f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}"{marks}>{text}</text>'


def _outline(kind: Kind, x: float, y: float, width: float, height: float) -> Iterator[str]:
    if kind in _ROUND:
        yield _rectangle(x, y, width, height, height / 2)
        if kind is Kind.IDENTITY:
            yield _rectangle(x + 4, y + 4, width - 8, height - 8, height / 2 - 4)
    elif kind is Kind.SUM:
        corners = [(0, 0.5), (_CUT, 0), (-_CUT, 0), (1, 0.5), (-_CUT, 1), (_CUT, 1)]
        yield _polygon(corners, x, y, width, height)
    elif kind is Kind.REPAIR:
        yield _polygon([(_CUT, 0), (1, 0), (-_CUT, 1), (0, 1)], x, y, width, height)
    elif kind is Kind.SEED:
        points = [(x, y + 16), (x + width / 2, y), (x + width, y + 16), (x + width, y + height)]
        yield _outlined([*points, (x, y + height)])
    else:
        yield _rectangle(x, y, width, height, 9 if kind is Kind.CONSTANT else 0)
        if kind is Kind.PARAMETER:
            yield _rectangle(x + 4, y + 4, width - 8, height - 8, 0)
        elif kind is Kind.FOLDED:
            yield f'<path d="M{x + 4:.0f},{y - 4:.0f}h{width:.0f}v{height:.0f}"/>'


def _rectangle(x: float, y: float, width: float, height: float, radius: float) -> str:
    rounded = f' rx="{radius:.0f}"' if radius else ""
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"{rounded}/>'


def _polygon(corners: Sequence[Point], x: float, y: float, width: float, height: float) -> str:
    """Return a polygon whose corners are 0 or 1, the sides, or so far from them inside."""
    points = []
    for across, down in corners:
        if across in (0, 1):
            right = x + across * width
        else:
            right = x + across if across > 0 else x + width + across
        points.append((right, y + down * height))
    return _outlined(points)


def _outlined(points: Sequence[Point]) -> str:
    return f'<polygon points="{" ".join(map(_pair, points))}"/>'


# What stands on edges


def _badges(sketch: Sketch, layout: Layout) -> Iterator[str]:
    """Yield the notes of arrows, each where it covers nothing, as far as there is such a place."""
    taken = _Taken()
    for shape in sketch.shapes:
        if not shape.at:
            taken.add(layout.centres[shape.id], shape.size)
    for tip in layout.tips.values():
        taken.add(tip, (_TIP[0] * 2, _TIP[0] * 2))
    for frame in layout.frames:
        taken.add(*_heading(frame))
    for arrow in sketch.arrows:
        if not arrow.note or arrow.id not in layout.curves:
            continue
        width, height = arrow.room
        x, y = _free_place(layout.curves[arrow.id], arrow.room, taken, layout.size)
        taken.add((x, y), arrow.room)
        box = _rectangle(x - width / 2, y - height / 2, width, height, 7)
        yield (
            f'<g class="badge unseen" data-k="b-{arrow.id}">{box}'
            f'<text x="{x:.0f}" y="{y + 5:.0f}">{arrow.note}</text></g>'
        )


def _heading(frame: Frame) -> tuple[Point, Point]:
    """Return about where the title of a frame stands: its centre and size."""
    (x, y), width = frame.corner, _TITLE[0] * len(frame.title)
    return (x + 10 + width / 2, y + 14), (width, _TITLE[1])


class _Taken:
    """Boxes that are taken, found by the squares of the picture that they touch."""

    def __init__(self) -> None:
        self._boxes: dict[tuple[int, int], list[tuple[Point, Point]]] = {}

    def add(self, centre: Point, size: Point) -> None:
        """Take a box."""
        for square in self._squares(centre, size):
            self._boxes.setdefault(square, []).append((centre, size))

    def covered(self, centre: Point, size: Point) -> float:
        """Return how much of what is taken a box would cover."""
        found = {
            box for square in self._squares(centre, size) for box in self._boxes.get(square, ())
        }
        area = 0.0
        for (x, y), (width, height) in found:
            across = (size[0] + width) / 2 - abs(centre[0] - x)
            down = (size[1] + height) / 2 - abs(centre[1] - y)
            area += max(across, 0) * max(down, 0)
        return area

    def _squares(self, centre: Point, size: Point) -> Iterator[tuple[int, int]]:
        columns, rows = (
            range(int((middle - side / 2) // _SQUARE), int((middle + side / 2) // _SQUARE) + 1)
            for middle, side in zip(centre, size, strict=True)
        )
        for column in columns:
            for row in rows:
                yield column, row


def _free_place(curve: Sequence[Point], size: Point, taken: _Taken, picture: Point) -> Point:
    """Return a place on a curve, or right beside it, where a box covers least; near the middle."""
    samples = list(_along(curve))
    middle = len(samples) // 2
    half = size[0] / 2
    aside = half + 4
    choices = []
    for place, (x, y) in enumerate(samples):
        for shift in (0.0, -aside, aside):
            inside = min(max(x + shift, half), picture[0] - half)
            far = abs(place - middle) + abs(shift) / aside
            choices.append((taken.covered((inside, y), size), far, (inside, y)))
    return min(choices)[2]


def _along(curve: Sequence[Point]) -> Iterator[Point]:
    """Yield points on a curve that consists of cubic Bézier pieces."""
    for start in range(0, len(curve) - 1, 3):
        a, b, c, d = curve[start : start + 4]
        for step in range(1, 8):
            t = step / 8
            yield (_bezier(t, a[0], b[0], c[0], d[0]), _bezier(t, a[1], b[1], c[1], d[1]))


def _bezier(t: float, a: float, b: float, c: float, d: float) -> float:
    u = 1 - t
    return u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d
