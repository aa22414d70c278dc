"""Writes a laid-out picture as DOT with positions, which Graphviz only renders, as PNG or PDF.

The Graphviz engine for this text, ``nop2``, takes the positions of nodes, curves and clusters from
their attributes.  Text outside nodes is a node without an outline.
"""

from __future__ import annotations

from collections.abc import Iterator

from symad.drawing.dot import attributes, line_of, markup
from symad.drawing.edge_notes import PlacedNote
from symad.drawing.frame_titles import Ground, Text
from symad.drawing.layout.curves import Point
from symad.drawing.metrics import text_width
from symad.drawing.outlines import RING, SLANT, is_double
from symad.drawing.painting import DOTS, resolution
from symad.drawing.placed_picture import Figure, PlacedPicture, Shaft
from symad.drawing.style import FONT, INK, WHITE, hue_of
from symad.drawing.themes import THEMES, Theme

_INCH = 72.0
_HOUSE = 0.904  # of the height of a house that it fills; the rest is below
_BASE = 0.38  # distance of the baseline below the middle of a line, relative to its size


def to_placed_dot(
    picture: PlacedPicture, dots: float = DOTS, theme: Theme = THEMES["light"]
) -> str:
    """Return a picture as DOT text for the engine ``nop2``, for images of ``dots`` per inch."""
    return _PlacedWriter(picture, dots, theme).text()


class _PlacedWriter:
    """Writes the text; y runs upwards in DOT and downwards in a picture."""

    def __init__(self, picture: PlacedPicture, dots: float, theme: Theme) -> None:
        self._picture = picture
        self._dots = dots
        self._theme = theme
        self._texts = 0

    def text(self) -> str:
        (width, height), margin = self._picture.size, self._picture.margin
        dots = resolution(self._picture.size, self._dots)
        ink, paper = self._theme.color(INK), self._theme.color(WHITE)
        inner = f"0,0,{width - 2 * margin:.2f},{height - 2 * margin:.2f}"
        lines = [
            "digraph symad {",
            f'  graph [fontname="{FONT}" bgcolor="{paper}" dpi={dots:.0f} bb="{inner}"'
            f" pad={margin / _INCH:.3f}];",
            f'  node [fontname="{FONT}" fontcolor="{ink}" style=filled penwidth=1.5 margin=0'
            " fixedsize=true];",
            "  edge [penwidth=1.5];",
        ]
        for number, ground in enumerate(self._picture.grounds):
            lines += self._ground(ground, f"cluster_{number}")
        for figure in self._picture.figures:
            lines += self._figure(figure)
        lines += map(self._shaft, self._picture.shafts)
        for ground in self._picture.grounds:
            lines.append(self._text(ground.title, self._theme.color(hue_of(ground.part).ground)))
        lines += map(self._note, self._picture.notes)
        lines += map(self._text, self._picture.legend)
        return "\n".join([*lines, "}"]) + "\n"

    def _point(self, point: Point) -> str:
        return f"{point[0]:.2f},{self._picture.size[1] - 2 * self._picture.margin - point[1]:.2f}"

    def _ground(self, ground: Ground, name: str) -> Iterator[str]:
        frame, hue = ground.frame, hue_of(ground.part)
        corners = self._point((frame.left, frame.bottom)), self._point((frame.right, frame.top))
        ground_color = self._theme.color(hue.ground)
        border = self._theme.border or ground_color
        color = self._theme.color(hue.strong) if frame.scope else border
        yield f'  subgraph {name} {{ bb="{",".join(corners)}"; style="rounded,filled";'
        yield f'    color="{color}";'
        yield f'    fillcolor="{ground_color}"; {name}_inside [pos="{self._point((0, 0))}"'
        yield "    style=invis shape=point width=0 height=0]; }"

    def _figure(self, figure: Figure) -> Iterator[str]:
        (x, y), (width, height) = figure.centre, figure.size
        look, name = self._theme.node(figure.shape.look), figure.shape.box.id
        if is_double(look):  # sizes are of inner outlines
            width, height = width - 2 * RING, height - 2 * RING
        if look["shape"] == "house":
            y, height = y + height * (1 / _HOUSE - 1) / 2, height / _HOUSE
        if look["shape"] == "parallelogram":
            look = look | {"shape": "polygon", "sides": "4", "skew": f"{_skew(width):.3f}"}
        size = f"width={width / _INCH:.3f} height={height / _INCH:.3f}"
        place = f'pos="{self._point((x, y))}" {size}'
        yield f'  {name} [id={name} {attributes(look)} {place} label=""];'
        yield from map(self._text, figure.texts)

    def _shaft(self, shaft: Shaft) -> str:
        arrow = shaft.arrow
        places = " ".join(map(self._point, shaft.curve))
        ends = f"{arrow.source.id} -> {arrow.target.id}"
        look = attributes({"arrowsize": "0.95"} | line_of(arrow, self._theme))
        return f'  {ends} [id={arrow.id} {look} pos="e,{self._point(shaft.head[0])} {places}"];'

    def _note(self, note: PlacedNote) -> str:
        self._texts += 1
        (width, height), line = note.size, note.arrow.note
        assert line is not None
        look = {"shape": "box", "style": "rounded,filled", "fillcolor": WHITE, "penwidth": "1"}
        look = self._theme.node(look | {"color": note.arrow.look["color"]})
        place = f'pos="{self._point(note.centre)}" width={width / _INCH:.3f}'
        return (
            f"  t{self._texts} [{attributes(look)} {place} height={height / _INCH:.3f} "
            f"label=<{markup(line, self._theme)}>];"
        )

    def _text(self, text: Text, ground: str = "") -> str:
        self._texts += 1
        line, (x, base) = text.line, text.place
        width = text_width(line.text, line.size, line.bold)
        middle = (x if text.is_centred else x + width / 2), base - _BASE * line.size
        side = "CENTER" if text.is_centred else "LEFT"
        table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
        cell = f'<TD WIDTH="{width:.0f}" ALIGN="{side}">{markup(line, self._theme)}</TD>'
        paint = f'fillcolor="{ground}"' if ground else 'style=""'
        return (
            f"  t{self._texts} [shape=plain fixedsize=false {paint} "
            f'pos="{self._point(middle)}" label=<{table}<TR>{cell}</TR></TABLE>>];'
        )


def _skew(width: float) -> float:
    """Return the skew for which the sides of a parallelogram lean by :data:`SLANT`.

    Fitted to Graphviz's output: the slant is skew / (2 + 1.2 skew) of the width.
    """
    share = SLANT / width
    return 2 * share / (1 - 1.2 * share)
