"""Writes a picture as DOT text, for a layout by Graphviz.

The forward part and each family of derivatives are clusters side by side.  Adjoints are drawn at
the height of their nodes: each adjoint shares the rank of its node, and each of its edges has an
invisible edge in the opposite direction, so that the layout ranks adjoints upwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from symad.drawing import subscripts
from symad.drawing.fold import Frame
from symad.drawing.picture import Arrow, Picture, Shape, Swatch, TextLine
from symad.drawing.style import FONT, INK, hue_of
from symad.notation.escape import html, quoted, visible
from symad.notation.roles import Part

_SUBSCRIPT = subscripts.SIZE / 0.82  # Graphviz itself makes subscripts smaller


def to_dot(picture: Picture) -> str:
    """Return the DOT text."""
    lines = ["digraph symad {", *_HEAD]
    for part in picture.parts:
        lines += _cluster(part, [shape for shape in picture.shapes if shape.box.part == part])
    lines += _in_order(picture.parts)
    for arrow in picture.arrows:
        lines += _edge(arrow)
    for row in picture.rows:
        ids = " -> ".join(box.id for box in row)
        lines.append(f"  {{rank=same; {ids} [style=invis]}}")
    lines += [f"  label=<{_legend(picture.legend, picture.notes)}>;", "}"]
    return "\n".join(lines) + "\n"


def _in_order(parts: Sequence[Part]) -> Iterator[str]:
    """Keep the parts in order, from left to right.

    Graphviz respects an order within a rank only for nodes outside clusters.  So each cluster has
    such a node above it, with an edge down to it: Graphviz avoids crossings of edges within a group
    of nodes above all others.
    """
    above = [f"{_anchor(part)}_above" for part in parts]
    for part, node in zip(parts, above, strict=True):
        yield f"  {node} [shape=point style=invis width=0 height=0 group={part.id}];"
        yield f"  {node} -> {_anchor(part)} [style=invis weight=50];"
    yield f"  {{rank=min; {' -> '.join(above)} [style=invis]}}"


def _cluster(part: Part, shapes: Sequence[Shape]) -> Iterator[str]:
    hue = hue_of(part)
    yield f"  subgraph cluster_{part.id} {{"
    yield f"    id={part.id}; label=<<B>{part.title}</B>>;"
    yield f'    style="rounded,filled"; color="{hue.ground}"; fillcolor="{hue.ground}";'
    yield f'    fontcolor="{hue.strong}"; fontsize=15; labelloc=t; labeljust=l; margin=14;'
    yield f"    {_anchor(part)} [shape=point style=invis group={part.id}];"
    inside: list[Frame] = []  # the scopes whose clusters are open
    for shape in sorted(shapes, key=lambda shape: shape.box.scope):
        scope = shape.box.scope
        while tuple(inside) != scope[: len(inside)]:
            inside.pop()
            yield "    }"
        while len(inside) < len(scope):
            inside.append(scope[len(inside)])
            yield f"    subgraph cluster_{part.family}_{shape.box.id}_{len(inside)} {{"
            yield f"      label=<{html(visible(inside[-1].title))}>; margin=10; fontsize=13;"
            yield f'      style="rounded,filled"; fillcolor="{hue.ground}";'
            yield f'      color="{hue.strong}"; fontcolor="{hue.strong}";'
        yield _node(shape)
    yield from ["    }"] * len(inside)
    yield "  }"


def _node(shape: Shape) -> str:
    rows = "".join(f"<TR><TD>{markup(line)}</TD></TR>" for line in shape.lines)
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
    label = f"{table}{rows}</TABLE>"
    name, tip = shape.box.id, quoted(shape.tip)
    return f"    {name} [id={name} {attributes(shape.look)} tooltip={tip} label=<{label}>];"


def _edge(arrow: Arrow) -> Iterator[str]:
    start, end, look = arrow.source.id, arrow.target.id, arrow.look
    if arrow.rises or not arrow.ranks:
        look["constraint"] = "false"
    label = f" xlabel=<{markup(arrow.note)}>" if arrow.note else ""
    yield f"  {start} -> {end} [id={arrow.id} {attributes(look)}{label}];"
    if arrow.rises:
        yield f"  {end} -> {start} [style=invis];"


def attributes(look: dict[str, str]) -> str:
    """Return a look as DOT attributes."""
    return " ".join(f'{key}="{value}"' for key, value in look.items())


def markup(line: TextLine) -> str:
    """Return a line as markup of HTML-like labels."""
    small = f'<FONT POINT-SIZE="{_SUBSCRIPT * line.size:.1f}">'
    text = "".join(
        f"{small}<SUB>{piece}</SUB></FONT>" if is_lower else html(piece)
        for piece, is_lower in subscripts.pieces(line.text)
    )
    if line.italic:
        text = f"<I>{text}</I>"
    if line.bold:
        text = f"<B>{text}</B>"
    return f'<FONT POINT-SIZE="{line.size}" COLOR="{line.color}">{text}</FONT>'


def _anchor(part: Part) -> str:
    return f"{part.id}_start"


def _legend(swatches: Sequence[Swatch], notes: Iterable[str], columns: int = 4) -> str:
    cells = [_swatch(swatch) for swatch in swatches]
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    body = "".join(f"<TR>{''.join(row)}</TR>" for row in rows)
    for note in notes:
        body += f'<TR><TD COLSPAN="{columns}" ALIGN="LEFT">{markup(TextLine(note, 13))}</TD></TR>'
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6" CELLPADDING="2">{body}</TABLE>'


def _swatch(swatch: Swatch) -> str:
    return (
        f'<TD ALIGN="LEFT"><FONT POINT-SIZE="17" COLOR="{swatch.color}">{swatch.glyph}</FONT>'
        f'<FONT POINT-SIZE="12" COLOR="{INK}">\xa0 {html(swatch.text)}</FONT></TD>'
    )


_HEAD = [
    f'  graph [fontname="{FONT}" fontcolor="{INK}" bgcolor="white" newrank=true rankdir=TB'
    " nodesep=0.3 ranksep=0.45 pad=0.2 labelloc=b];",
    f'  node [fontname="{FONT}" fontcolor="{INK}" style=filled penwidth=1.5 margin="0.12,0.06"'
    " height=0.4];",
    f'  edge [fontname="{FONT}" penwidth=1.5 arrowsize=0.8];',
]
