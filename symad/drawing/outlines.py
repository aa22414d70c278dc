"""The outlines of nodes in SVG: sizes for their text, and points where arrows meet them.

Forms and looks have Graphviz's names, plus two of symad: ``"pill"``, a box with round ends, and
``"gem"``, a hexagon whose points have a fixed size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

Point = tuple[float, float]
Look = Mapping[str, str]

_MARGIN = (11.0, 5.0)
_LEAST = (50.0, 34.0)
_ROUNDEST = 1.15  # least ratio of the width of an ellipse to its height
_BULGE = 0.3  # extra width of a pill compared with a box, relative to its height
_ROOF = 0.26  # of the height of a house
SLANT = 16.0  # of a parallelogram
_POINT = 0.25  # of the width of a hexagon, at either end
_CUT = 12.0  # the same of a gem
_DEPTH = 6.0  # of a box in three dimensions
RING = 4.0  # between two outlines


def size_around(look: Look, width: float, height: float) -> Point:
    """Return the size of a node that holds text of ``width`` and ``height``."""
    form = look["shape"]
    width, height = width + 2 * _MARGIN[0], height + 2 * _MARGIN[1]
    if form == "ellipse":  # the text fills the best inscribed rectangle
        width, height = math.sqrt(2) * (width - _MARGIN[0]), math.sqrt(2) * (height - _MARGIN[1])
        width = max(width, _ROUNDEST * height)
    elif form == "pill":
        width += _BULGE * (height - 2 * _MARGIN[1])
    elif form == "house":
        height = (height + 6) / (1 - _ROOF)
    elif form == "hexagon":  # the text reaches the corners, which are nearer to the middle
        width /= 1 - 2 * _POINT * (1 - 2 * _MARGIN[1] / height)
    elif form in ("parallelogram", "gem"):
        width += 2 * (SLANT if form == "parallelogram" else _CUT)
    elif form == "box3d":
        width, height = width + _DEPTH, height + _DEPTH
    width, height = max(width, _LEAST[0]), max(height, _LEAST[1])
    return (width + 2 * RING, height + 2 * RING) if is_double(look) else (width, height)


def text_drop(look: Look, size: Point) -> float:
    """Return the distance of the middle of the text below the middle of the node."""
    if look["shape"] == "house":
        return _ROOF * size[1] / 2
    return _DEPTH / 2 if look["shape"] == "box3d" else 0.0


def outline(look: Look, centre: Point, size: Point, paint: str) -> Iterator[str]:
    """Yield the SVG elements of a node, with attributes that begin with a space."""
    yield _one_outline(look, centre, size, paint)
    if is_double(look):
        yield _one_outline(look, centre, (size[0] - 2 * RING, size[1] - 2 * RING), paint)
    if look["shape"] == "box3d":
        (x, y), (w, h) = centre, (size[0] / 2, size[1] / 2)
        inner = x + w - _DEPTH, y - h + _DEPTH
        for end in ((x - w, inner[1]), (inner[0], y + h), (x + w, y - h)):
            yield f'<polyline points="{points([inner, end])}"{paint}/>'


def _one_outline(look: Look, centre: Point, size: Point, paint: str) -> str:
    form = look["shape"]
    if form in ("box", "pill"):
        radius = size[1] / 2 if form == "pill" else 9.0 * ("rounded" in look.get("style", ""))
        return rectangle(centre, size, radius, paint)
    if form == "ellipse":
        x, y, across, down = map(number, (*centre, size[0] / 2, size[1] / 2))
        return f'<ellipse cx="{x}" cy="{y}" rx="{across}" ry="{down}"{paint}/>'
    return f'<polygon points="{points(_corners(form, centre, size))}"{paint}/>'


def _corners(form: str, centre: Point, size: Point) -> list[Point]:
    (x, y), (w, h) = centre, (size[0] / 2, size[1] / 2)
    left, top, right, bottom = x - w, y - h, x + w, y + h
    if form == "house":
        eaves = top + _ROOF * size[1]
        return [(left, bottom), (left, eaves), (x, top), (right, eaves), (right, bottom)]
    if form == "parallelogram":
        return [(left, bottom), (left + SLANT, top), (right, top), (right - SLANT, bottom)]
    if form in ("hexagon", "gem"):
        point = _point(form, size)
        inner, outer = left + point, right - point
        return [
            (left, y), (inner, top), (outer, top), (right, y), (outer, bottom), (inner, bottom)
        ]  # fmt: skip
    if form == "box3d":
        return [
            (left, bottom), (left, top + _DEPTH), (left + _DEPTH, top), (right, top),
            (right, bottom - _DEPTH), (right - _DEPTH, bottom),
        ]  # fmt: skip
    return [(left, bottom), (left, top), (right, top), (right, bottom)]


def meeting(look: Look, centre: Point, size: Point, point: Point, vertical: bool) -> Point:
    """Return where an arrow to ``point``, on the bounding box of a node, meets its outline.

    Parameters
    ----------
    look : dict
    centre, size, point : (float, float)
    vertical : bool
        Whether the arrow comes from above or below, and not from a side.
    """
    form, (x, y) = look["shape"], point
    dx, dy = x - centre[0], y - centre[1]
    w, h = size[0] / 2, size[1] / 2
    if not vertical:
        return _meeting_at_side(form, centre, size, point)
    if form == "ellipse":
        return x, centre[1] + math.copysign(h * math.sqrt(max(1 - (dx / w) ** 2, 0.0)), dy)
    if form == "pill":
        beyond = max(abs(dx) - (w - h), 0.0)
        return x, centre[1] + math.copysign(math.sqrt(max(h * h - beyond * beyond, 0.0)), dy)
    if form == "house" and dy < 0:
        return x, centre[1] - h + _ROOF * size[1] * abs(dx) / w
    if form in ("hexagon", "gem"):
        cut = _point(form, size)
        beyond = max(abs(dx) - (w - cut), 0.0) / cut
        return x, centre[1] + math.copysign(h * (1 - beyond), dy)
    return point


def _meeting_at_side(form: str, centre: Point, size: Point, point: Point) -> Point:
    """Return where an arrow from a side meets an outline."""
    (x, y), w, h = point, size[0] / 2, size[1] / 2
    dx, dy = x - centre[0], y - centre[1]
    inset = 0.0
    if form == "parallelogram":
        inset = SLANT / 2 * (1 + math.copysign(1.0, dx) * dy / h)
    elif form == "ellipse":
        inset = w * (1 - math.sqrt(max(1 - (dy / h) ** 2, 0.0)))
    elif form == "pill":
        inset = h * (1 - math.sqrt(max(1 - (dy / h) ** 2, 0.0)))
    elif form in ("hexagon", "gem"):
        inset = _point(form, size) * abs(dy) / h
    elif form == "house":
        roof = _ROOF * size[1]
        inset = w * max(roof - (dy + h), 0.0) / roof
    return x - math.copysign(inset, dx), y


def _point(form: str, size: Point) -> float:
    """Return the width of the points of a hexagon."""
    return _POINT * size[0] if form == "hexagon" else _CUT


def rectangle(centre: Point, size: Point, radius: float, paint: str) -> str:
    """Return a rectangle as an SVG element, with round corners if it has a radius."""
    x, y, width, height = map(
        number, (centre[0] - size[0] / 2, centre[1] - size[1] / 2, size[0], size[1])
    )
    corners = f' rx="{number(radius)}"' if radius else ""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}"{corners}{paint}/>'


def points(corners: Sequence[Point]) -> str:
    """Return points as SVG text."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in corners)


def number(value: float) -> str:
    """Return a coordinate as SVG text, rounded to a tenth."""
    return f"{round(value, 1):.7g}"


def is_double(look: Look) -> bool:
    """Return whether a node has two outlines, one inside the other."""
    return look.get("peripheries") == "2"
