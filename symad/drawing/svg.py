"""Writes pictures as SVG: files with explicit colours, or parts of a page with CSS classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Protocol

from symad.drawing import subscripts
from symad.drawing.edge_notes import PlacedNote
from symad.drawing.frame_titles import Ground, Text
from symad.drawing.layout.curves import Point
from symad.drawing.outlines import number, outline, points, rectangle
from symad.drawing.picture import BIG, TextLine
from symad.drawing.placed_picture import Figure, PlacedPicture, Shaft
from symad.drawing.style import FONT, INK, WHITE, hue_class, hue_of
from symad.drawing.themes import THEMES, Theme

_FRAME_ROUNDING, _NOTE_ROUNDING = 10.0, 7.0


def to_svg(picture: PlacedPicture, theme: Theme = THEMES["light"]) -> str:
    """Return a picture as the text of an SVG file, with Graphviz's classes and ids."""
    (width, height), margin = picture.size, picture.margin
    lines = [
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
        f'<svg width="{width:.1f}pt" height="{height:.1f}pt" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" xmlns="http://www.w3.org/2000/svg">',
        f'<g id="graph0" class="graph" transform="translate({margin:g} {margin:g})" '
        f'font-family="{FONT}" fill="{theme.color(INK)}">',
        "<title>symad</title>",
        f'<path fill="{theme.color(WHITE)}" '
        f'd="M{-margin:g},{-margin:g}h{width:.1f}v{height:.1f}h{-width:.1f}z"/>',
        *_drawn(picture, _Colours(theme)),
    ]
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def to_page_svg(
    picture: PlacedPicture, name: str, members: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> str:
    """Return a picture for a page; the page sets the colours and shows elements step by step.

    Parameters
    ----------
    picture : PlacedPicture
    name : str
        The ``id`` of the picture.
    members : mapping from str to sequence of str
        From the ids of boxes and arrows to the ids of those that they represent; those that
        represent one are shown and highlighted with it.
    """
    (width, height), margin = picture.size, picture.margin
    box = f"{-margin:g} {-margin:g} {width:.0f} {height:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" class="picture" role="group" '
        f'viewBox="{box}" preserveAspectRatio="xMidYMid meet">',
        *_drawn(picture, _Classes(picture, members)),
    ]
    return "".join([*lines, "</svg>"])


class _Paint(Protocol):
    """Returns attributes of elements and of their groups, each with a leading space."""

    def ground(self, ground: Ground) -> tuple[str, str]: ...

    def title(self, ground: Ground) -> tuple[str, str]: ...

    def shaft(self, shaft: Shaft) -> tuple[str, str, str]: ...

    def figure(self, figure: Figure) -> tuple[str, str]: ...

    def note(self, note: PlacedNote) -> tuple[str, str]: ...

    def text(self, line: TextLine, is_centred: bool) -> str: ...

    def words(self, line: TextLine) -> str: ...

    def tip(self, text: str) -> str: ...


def _drawn(picture: PlacedPicture, paint: _Paint) -> Iterator[str]:
    """Yield the elements of a picture, from back to front."""
    for ground in picture.grounds:
        group, look = paint.ground(ground)
        frame = ground.frame
        centre = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
        size = frame.right - frame.left, frame.bottom - frame.top
        box = rectangle(centre, size, _FRAME_ROUNDING, look)
        yield f"<g{group}>{paint.tip(ground.title.line.text)}{box}</g>"
    for shaft in picture.shafts:
        yield _shaft(shaft, paint)
    for ground in picture.grounds:  # in front of arrows that cross it
        group, look = paint.title(ground)
        yield f"<g{group}>{_text(ground.title, paint, look)}</g>"
    for figure in picture.figures:
        group, look = paint.figure(figure)
        yield f"<g{group}>{paint.tip(figure.shape.tip)}"
        yield from outline(figure.look, figure.centre, figure.size, look)
        yield from (_text(text, paint) for text in figure.texts)
        yield "</g>"
    for note in picture.notes:
        yield _note(note, paint)
    yield from (_text(text, paint) for text in picture.legend)


def _shaft(shaft: Shaft, paint: _Paint) -> str:
    arrow = shaft.arrow
    start, curve = _curve(shaft.curve)
    group, line, head = paint.shaft(shaft)
    tip = paint.tip(f"{arrow.source.id}->{arrow.target.id}")
    return (
        f'<g id="{arrow.id}"{group}>{tip}<path d="M{start}c{curve}"{line}/>'
        f'<polygon points="{points(shaft.head)}"{head}/></g>'
    )


def _curve(curve: Sequence[Point]) -> tuple[str, str]:
    """Return the first point of a curve, and the others relative to the start of their piece."""
    exact = [(round(x, 1), round(y, 1)) for x, y in curve]
    starts = (exact[place - place % 3] for place in range(len(exact) - 1))
    rest = zip(exact[1:], starts, strict=True)
    return points(exact[:1]), points([(x - left, y - top) for (x, y), (left, top) in rest])


def _note(note: PlacedNote, paint: _Paint) -> str:
    line = note.arrow.note
    assert line is not None
    group, look = paint.note(note)
    x, y = note.centre
    text = Text(line, (x, y + 0.35 * line.size), is_centred=True)
    box = rectangle(note.centre, note.size, _NOTE_ROUNDING, look)
    return f"<g{group}>{box}{_text(text, paint)}</g>"


def _text(text: Text, paint: _Paint, more: str = "") -> str:
    x, y = map(number, text.place)
    look = paint.text(text.line, text.is_centred)
    return f'<text x="{x}" y="{y}"{look}{more}>{paint.words(text.line)}</text>'


class _Colours:
    """Writes all colours explicitly, for a standalone file."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def ground(self, ground: Ground) -> tuple[str, str]:
        hue, color = hue_of(ground.part), self._theme.color
        if ground.frame.scope:
            return ' class="cluster"', f' fill="none" stroke="{color(hue.strong)}"'
        group = f' class="cluster" id="{ground.part.id}"'
        border = self._theme.border or color(hue.ground)
        return group, f' fill="{color(hue.ground)}" stroke="{border}"'

    def title(self, ground: Ground) -> tuple[str, str]:
        color = self._theme.color(hue_of(ground.part).ground)
        return "", f' stroke="{color}" stroke-width="5" paint-order="stroke"'

    def shaft(self, shaft: Shaft) -> tuple[str, str, str]:
        look = self._theme.arrow(shaft.arrow)
        dashes = look.get("dashes")
        style = f' stroke-dasharray="{dashes}"' if dashes else ""
        color, width = look["color"], look.get("penwidth", "1.5")
        line = f' fill="none" stroke="{color}" stroke-width="{width}"{style}'
        return ' class="edge"', line, f' fill="{color}" stroke="{color}"'

    def figure(self, figure: Figure) -> tuple[str, str]:
        look = self._theme.node(figure.look)
        dashed = ' stroke-dasharray="5,3"' if "dashed" in look.get("style", "") else ""
        paint = f' fill="{look["fillcolor"]}" stroke="{look["color"]}"'
        paint += f' stroke-width="{look.get("penwidth", "1.5")}"{dashed}'
        return f' id="{figure.shape.box.id}" class="node"', paint

    def note(self, note: PlacedNote) -> tuple[str, str]:
        color = self._theme.color
        return ' class="note"', f' fill="{color(WHITE)}" stroke="{color(note.arrow.look["color"])}"'

    def text(self, line: TextLine, is_centred: bool) -> str:
        anchor = "middle" if is_centred else "start"
        weight = ' font-weight="bold"' if line.bold else ""
        slant = ' font-style="italic"' if line.italic else ""
        color = f' fill="{self._theme.color(line.color)}"' if line.color != INK else ""
        return f' text-anchor="{anchor}" font-size="{line.size}"{weight}{slant}{color}'

    def words(self, line: TextLine) -> str:
        text = escape(line.text.replace(" ", "\xa0"), quote=False)
        drop, small = number(subscripts.DROP * line.size), number(subscripts.SIZE * line.size)
        words, is_below = "", False
        for piece, is_lower in subscripts.pieces(text):
            if is_lower:
                words += f'<tspan dy="{drop}" font-size="{small}">{piece}</tspan>'
            else:
                words += f'<tspan dy="-{drop}">{piece}</tspan>' if is_below else piece
            is_below = is_lower
        return words

    def tip(self, text: str) -> str:
        return f"<title>{escape(text, quote=False)}</title>"


class _Classes:
    """Writes classes for parts and kinds; nodes, arrows and notes are hidden at first."""

    def __init__(self, picture: PlacedPicture, members: Mapping[str, Sequence[str]]) -> None:
        self._members = members
        self._boxes = [figure.shape.box for figure in picture.figures if not figure.shape.at]

    def ground(self, ground: Ground) -> tuple[str, str]:
        return self._named("frame", ground), ""

    def title(self, ground: Ground) -> tuple[str, str]:
        return self._named("title", ground), ""

    def _named(self, name: str, ground: Ground) -> str:
        """Return the class; the frame of a scope lists its members, and appears with them."""
        scope = ground.frame.scope
        inside = " ".join(
            name
            for box in self._boxes
            if scope and box.part == ground.part and box.scope[: len(scope)] == scope
            for name in self._members.get(box.id, [box.id])
        )
        members = f' data-in="{inside}"' if scope else ""
        depth = min(len(scope), 1)
        return f' class="{name} {hue_class(ground.part)} d{depth}"{members}'

    def shaft(self, shaft: Shaft) -> tuple[str, str, str]:
        arrow = shaft.arrow
        style = {"dashed": " repaired", "dotted": " shape"}.get(arrow.look.get("style", ""), "")
        crosses = " cross" if arrow.crosses else ""
        classes = f"edge {hue_class(arrow.part)}{crosses}{style} unseen"
        return f' class="{classes}"{self._represented(arrow.id)}', "", ""

    def _represented(self, name: str) -> str:
        """Return the attribute that links an element to what it represents."""
        members = self._members.get(name, ())
        return f' data-{"k" if len(members) == 1 else "of"}="{" ".join(members)}"' * bool(members)

    def figure(self, figure: Figure) -> tuple[str, str]:
        shape = figure.shape
        kind = shape.kind.name.lower() + (" asked" if shape.requested else "")
        classes = f"node {hue_class(shape.box.own_part)} {kind} unseen"
        name = shape.box.id
        return f' id="{name}" class="{classes}"{self._represented(name)}', ""

    def note(self, note: PlacedNote) -> tuple[str, str]:
        arrow = note.arrow
        (key, *more) = self._members.get(arrow.id, [arrow.id])
        if not arrow.counts:
            return f' class="badge unseen" data-k="b-{key}"', ""
        shown = self._represented(arrow.id) if more else f' data-k="{key}"'
        return f' class="badge count {hue_class(arrow.part)} unseen"{shown}', ""

    def text(self, line: TextLine, is_centred: bool) -> str:
        if line.key:
            place = "" if line.value is None else f' data-v="{line.value}"'
            return f' class="v unseen" data-k="{line.key}"{place}'
        return f' class="{"s" if line.size == BIG else "f"}"'

    def words(self, line: TextLine) -> str:
        return "" if line.value is not None else escape(line.code or line.text, quote=False)

    def tip(self, text: str) -> str:
        return ""
