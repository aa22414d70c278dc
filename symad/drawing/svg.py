"""A sheet as SVG; groups, classes and ids are those of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from symad.drawing.outlines import outline, points, rounded
from symad.drawing.sheet import Figure, Ground, Shaft, Sheet, Text
from symad.drawing.style import FONT, INK, hue_of

_DASHES = {"dashed": "5,3", "dotted": "1.5,3"}


def to_svg(sheet: Sheet) -> str:
    """Return a picture as SVG text."""
    (width, height), margin = sheet.size, sheet.margin
    parts = [
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
        f'<svg width="{width:.0f}pt" height="{height:.0f}pt" '
        f'viewBox="0 0 {width:.2f} {height:.2f}" xmlns="http://www.w3.org/2000/svg">',
        f'<g id="graph0" class="graph" transform="translate({margin:g} {margin:g})" '
        f'font-family="{FONT}" fill="{INK}">',
        "<title>symad</title>",
        f'<path fill="white" d="M{-margin:g},{-margin:g}h{width:.2f}v{height:.2f}h{-width:.2f}z"/>',
    ]
    for ground in sheet.grounds:
        parts += _ground(ground)
    for shaft in sheet.shafts:
        parts += _shaft(shaft)
    for ground in sheet.grounds:  # above the arrows, and with a halo, where they cross it
        halo = f' stroke="{hue_of(ground.part).ground}" stroke-width="5" paint-order="stroke"'
        parts.append(_text(ground.title, halo))
    for figure in sheet.figures:
        parts += _figure(figure)
    parts += map(_text, sheet.legend)
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _ground(ground: Ground) -> Iterator[str]:
    frame, hue = ground.frame, hue_of(ground.part)
    path = rounded(frame.left, frame.top, frame.right, frame.bottom, 10.0)
    fill, stroke = ("none", hue.strong) if frame.scope else (hue.ground, hue.ground)
    name = "" if frame.scope else f' id="{ground.part.id}"'
    yield f'<g class="cluster"{name}><title>{escape(ground.title.line.text)}</title>'
    yield f'<path d="{path}" fill="{fill}" stroke="{stroke}"/></g>'


def _figure(figure: Figure) -> Iterator[str]:
    look = figure.shape.look
    yield f'<g id="{figure.shape.box.id}" class="node"><title>{escape(figure.shape.tip)}</title>'
    dashed = ' stroke-dasharray="5,3"' if "dashed" in look.get("style", "") else ""
    paint = f'fill="{look["fillcolor"]}" stroke="{look["color"]}"'
    paint += f' stroke-width="{look.get("penwidth", "1.5")}"{dashed}'
    yield from outline(look, figure.centre, figure.size, paint)
    yield from map(_text, figure.texts)
    yield "</g>"


def _shaft(shaft: Shaft) -> Iterator[str]:
    arrow, look = shaft.arrow, shaft.arrow.look
    start, *rest = (f"{x:.2f},{y:.2f}" for x, y in shaft.curve)
    dashes = _DASHES.get(look.get("style", ""))
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    color, width = look["color"], look.get("penwidth", "1.5")
    title = f"{arrow.source.id}->{arrow.target.id}"
    yield f'<g id="{arrow.id}" class="edge"><title>{escape(title)}</title>'
    yield (
        f'<path d="M{start}C{" ".join(rest)}" fill="none" stroke="{color}" '
        f'stroke-width="{width}"{style}/>'
    )
    yield f'<polygon fill="{color}" stroke="{color}" points="{points(shaft.head)}"/></g>'


def _text(text: Text, more: str = "") -> str:
    line, (x, y) = text.line, text.place
    anchor = "middle" if text.is_centred else "start"
    weight = ' font-weight="bold"' if line.bold else ""
    slant = ' font-style="italic"' if line.italic else ""
    color = f' fill="{line.color}"' if line.color != INK else ""
    shown = escape(line.text.replace(" ", "\xa0"))
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}" font-size="{line.size}"'
        f"{weight}{slant}{color}{more}>{shown}</text>"
    )
