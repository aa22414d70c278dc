"""Writes pictures as TikZ, for slides and papers in LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from symad.drawing.frame_titles import Text
from symad.drawing.layout.curves import Point
from symad.drawing.outlines import RING, is_double
from symad.drawing.picture import TextLine
from symad.drawing.placed_picture import Figure, PlacedPicture, Shaft
from symad.drawing.style import INK, hue_of
from symad.notation.latex_escape import ACCENTS, latex_text

_DASHES = {"dashed": "dashed", "dotted": "dotted"}
_ROUNDING = {"frame": 8.0, "node": 6.0, "note": 5.0}
_HOUSE = 0.26  # of the height, for the roof
_SLANT, _POINT = 16.0, 0.25
_LOWER = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_UPPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵀ", "0123456789+-()T")
_PIECE = re.compile(
    f"(\\w)([{''.join(ACCENTS)}])|([₀-₉₊₋][₀-₉₊₋→,]*)|([⁰¹²³⁴-⁹⁺⁻⁽⁾ᵀ]+)|(.)", re.DOTALL
)
_OPERATORS = {"−": "-", "·": r"\cdot ", "×": r"\times ", "→": r"\to ", "∂": r"\partial ",
              "←": r"\gets ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∞": r"\infty ",
              "‖": r"\Vert ", "√": r"\surd ", "∧": r"\land ", "∨": r"\lor ", "¬": r"\lnot ",
              "⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor "}  # fmt: skip


def to_tikz(picture: PlacedPicture) -> str:
    """Return a picture as a ``tikzpicture``, which needs only the package ``tikz``."""
    writer = _Writer()
    body = list(writer.lines(picture))
    return "\n".join(
        [
            r"% \usepackage{tikz}, and for a slide \resizebox{!}{0.9\textheight}{...}",
            r"\begin{tikzpicture}[x=1pt, y=-1pt, line width=1.5pt, font=\sffamily]",
            *(f"\\definecolor{{{name}}}{{HTML}}{{{code[1:].upper()}}}"
              for code, name in writer.colors.items()),
            *body,
            r"\end{tikzpicture}",
            "",
        ]
    )  # fmt: skip


class _Writer:
    """Writes elements; colours get names as they are used."""

    def __init__(self) -> None:
        self.colors: dict[str, str] = {}

    def _color(self, code: str) -> str:
        code = {"white": "#ffffff"}.get(code, code)
        return self.colors.setdefault(code, f"symad{len(self.colors)}")

    def lines(self, picture: PlacedPicture) -> Iterator[str]:
        """Yield the elements from back to front."""
        for ground in picture.grounds:
            hue, frame = hue_of(ground.part), ground.frame
            style = f"draw={self._color(hue.strong if frame.scope else hue.ground)}, "
            style += f"fill={self._color(hue.ground)}, rounded corners={_ROUNDING['frame']}pt"
            corners = (frame.left, frame.top), (frame.right, frame.bottom)
            yield f"\\draw[{style}] {_point(corners[0])} rectangle {_point(corners[1])};"
        for shaft in picture.shafts:
            yield from self._shaft(shaft)
        for ground in picture.grounds:
            yield self._text(ground.title)
        for figure in picture.figures:
            yield from self._figure(figure)
        for note in picture.notes:
            assert note.arrow.note is not None
            style = f"draw={self._color(note.arrow.look['color'])}, fill={self._color('white')}"
            style += f", line width=1pt, rounded corners={_ROUNDING['note']}pt"
            yield _rectangle(style, note.centre, note.size)
            yield self._text(Text(note.arrow.note, note.centre, is_centred=True), "mid")
        yield from map(self._text, picture.legend)

    def _shaft(self, shaft: Shaft) -> Iterator[str]:
        look = shaft.arrow.look
        color = self._color(look["color"])
        dashes = f", {look['style']}" if look.get("style") in _DASHES else ""
        pieces = [
            f".. controls {_point(a)} and {_point(b)} .. {_point(end)}"
            for a, b, end in zip(*(shaft.curve[k::3] for k in (1, 2, 3)), strict=True)
        ]
        width = float(look.get("penwidth", "1.5"))
        style = f"draw={color}, line width={width:g}pt{dashes}"
        yield f"\\draw[{style}] {_point(shaft.curve[0])} {' '.join(pieces)};"
        yield f"\\fill[{color}] {' -- '.join(map(_point, shaft.head))} -- cycle;"

    def _figure(self, figure: Figure) -> Iterator[str]:
        look, (width, height) = figure.look, figure.size
        style = f"draw={self._color(look['color'])}, fill={self._color(look['fillcolor'])}"
        style += f", line width={float(look.get('penwidth', '1.5')):g}pt"
        style += ", dashed" * ("dashed" in look.get("style", ""))
        yield _outline(look["shape"], style, figure, (width, height))
        if is_double(look):
            yield _outline(look["shape"], style, figure, (width - 2 * RING, height - 2 * RING))
        yield from map(self._text, figure.texts)

    def _text(self, text: Text, anchor: str = "base") -> str:
        line = text.line
        side = anchor if text.is_centred else f"{anchor} west"
        color = f", text={self._color(line.color)}" if line.color != INK else ""
        size = f"\\fontsize{{{line.size * 0.9:g}}}{{{line.size}}}\\selectfont "
        place = f"anchor={side}, inner sep=0pt{color}] at {_point(text.place)}"
        return f"\\node[{place} {{{size}{latex_line(line)}}};"


def latex_line(line: TextLine) -> str:
    """Return a line of text for LaTeX, with its indices and symbols as formulas.

    Examples
    --------
    >>> latex_line(TextLine("v̄₂→₅ = sin x₁"))
    '$\\\\bar{v}_{2\\\\to 5}$ = sin x$_{1}$'
    """
    pieces = map(_piece, _PIECE.finditer(unicodedata.normalize("NFD", line.text)))
    words = ""
    for is_maths, group in groupby(pieces, key=lambda piece: piece[0]):
        text = "".join(piece for _, piece in group)
        words += f"${text}$" if is_maths else text
    return rf"\textbf{{\boldmath {words}}}" if line.bold else words


def _piece(found: re.Match[str]) -> tuple[bool, str]:
    """Return whether a piece of text is a formula, and the piece in LaTeX."""
    letter, accent, lower, upper, other = found.groups()
    if accent:
        return True, rf"\{ACCENTS[accent]}{{{letter}}}"
    if lower:
        return True, f"_{{{lower.translate(_LOWER).replace('→', _OPERATORS['→'])}}}"
    if upper:
        return True, f"^{{{upper.translate(_UPPER)}}}"
    return (True, _OPERATORS[other]) if other in _OPERATORS else (False, latex_text(other))


def _outline(form: str, style: str, figure: Figure, size: Point) -> str:
    (x, y), (w, h) = figure.centre, (size[0] / 2, size[1] / 2)
    if form == "ellipse":
        return f"\\draw[{style}] {_point((x, y))} ellipse [x radius={w:.1f}, y radius={h:.1f}];"
    if form in ("box", "box3d"):
        rounded = "rounded" in figure.look.get("style", "")
        style += f", rounded corners={_ROUNDING['node']}pt" * rounded
        return _rectangle(style, (x, y), size)
    corners: dict[str, Sequence[Point]] = {
        "house": [(-w, h), (-w, h * (4 * _HOUSE - 1)), (0, -h), (w, h * (4 * _HOUSE - 1)), (w, h)],
        "hexagon": [(-w, 0), (-w / 2, -h), (w / 2, -h), (w, 0), (w / 2, h), (-w / 2, h)],
        "parallelogram": [(-w, h), (_SLANT - w, -h), (w, -h), (w - _SLANT, h)],
    }
    points = " -- ".join(_point((x + dx, y + dy)) for dx, dy in corners[form])
    return f"\\draw[{style}] {points} -- cycle;"


def _rectangle(style: str, centre: Point, size: Point) -> str:
    (x, y), (w, h) = centre, (size[0] / 2, size[1] / 2)
    return f"\\draw[{style}] {_point((x - w, y - h))} rectangle {_point((x + w, y + h))};"


def _point(point: Point) -> str:
    return f"({point[0]:.1f}, {point[1]:.1f})"
