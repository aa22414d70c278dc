"""A sketch: what a picture consists of, before it is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symad.notation.roles import Kind, Part
from symad.player.glyphs import Glyphs

_HEAD, _BODY = 20, 17
"""The sizes of type, in pixels: of the symbol on a node, and of what stands below it."""
_BOLD = 1.12  # how much wider bold type is
_AIR = (12, 6)
_ROUND = (Kind.OPERATION, Kind.PARTIAL, Kind.IDENTITY, Kind.LOCAL, Kind.TANGENT)
_WIDER = {Kind.SUM: 26, Kind.REPAIR: 26, Kind.SEED: 10, Kind.IDENTITY: 8, Kind.PARAMETER: 8}
_HIGHER = {Kind.SEED: 14, Kind.IDENTITY: 6, Kind.PARAMETER: 6}


@dataclass(frozen=True)
class Row:
    """A line of text on a shape.

    Attributes
    ----------
    text : str
        With glyphs.
    kind : {"symbol", "formula", "value"}
    value : int or None
        The place of the value that is shown, where it is one.
    key : str
        By what a step refers to it; empty for a line that is always there.
    """

    text: str
    kind: str
    value: int | None = None
    key: str = ""

    @property
    def size(self) -> int:
        """The size of type, in pixels."""
        return _HEAD if self.kind == "symbol" else _BODY

    @property
    def height(self) -> int:
        """The distance to the next line, in pixels."""
        return self.size + 3


@dataclass(frozen=True)
class Shape:
    """A node of a picture.

    Attributes
    ----------
    id : str
    kind : Kind
    part : Part
    scope : tuple of str
        The boxes that it is drawn inside.
    rows : sequence of Row
    title : str
        What a screen reader says, with glyphs.
    asked : bool
        Whether it is one of the results.
    size : (float, float)
        Width and height, in pixels.
    at : str
        The id of the shape in whose place this one appears later; empty for its own place.
    """

    id: str
    kind: Kind
    part: Part
    scope: tuple[str, ...]
    rows: Sequence[Row]
    title: str
    asked: bool
    size: tuple[float, float]
    at: str = ""


@dataclass(frozen=True)
class Arrow:
    """An edge of a picture.

    Attributes
    ----------
    id, tail, head : str
    part : Part
        Whose colour it has.
    crosses : bool
        Whether it leads from one part to another.
    upwards : bool
        Whether it is drawn from below: adjoints stand at the height of their nodes.
    free : bool
        Whether it does not matter for the heights at which nodes stand.
    style : {"", "repaired", "shape"}
    note : str
        Appears on the edge, once a step says so; with glyphs.
    room : (float, float)
        Width and height of the note, in pixels.
    """

    id: str
    tail: str
    head: str
    part: Part
    crosses: bool = False
    upwards: bool = False
    free: bool = False
    style: str = ""
    note: str = ""
    room: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Sketch:
    """A picture that has not been laid out.

    Attributes
    ----------
    shapes : list of Shape
    arrows : list of Arrow
    rows : list of list of str
        Ids of shapes that stand at the same height.
    """

    shapes: list[Shape]
    arrows: list[Arrow]
    rows: list[list[str]] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        """The parts that there are, from left to right."""
        return sorted({shape.part for shape in self.shapes})


def width_of(row: Row, glyphs: Glyphs) -> float:
    """Return about how wide a line of text is; symbols and values are in bold."""
    return glyphs.width(row.text) * row.size * (1.0 if row.kind == "formula" else _BOLD)


def room_for(note: str, glyphs: Glyphs) -> tuple[float, float]:
    """Return the width and the height of a note on an arrow."""
    return round(glyphs.width(note) * _BODY + 12, 1), _BODY + 9.0


def size_of(kind: Kind, rows: Sequence[Row], glyphs: Glyphs) -> tuple[float, float]:
    """Return the width and the height that a shape needs for its text."""
    width = max((width_of(row, glyphs) for row in rows), default=0)
    height = sum(row.height for row in rows)
    if kind in _ROUND:  # the ends are half circles: the corners of the text need room
        width = max(width + 0.3 * height, height)
    width += 2 * _AIR[0] + _WIDER.get(kind, 0)
    height += 2 * _AIR[1] + _HIGHER.get(kind, 0)
    return round(max(width, 44), 1), round(max(height, 40), 1)
