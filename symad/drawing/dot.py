"""Writes a picture as DOT text, for a layout by Graphviz.

The forward part and each family of derivatives are clusters side by side.  Adjoints are drawn at
the height of their nodes: each adjoint shares the rank of its node, and each of its edges has an
invisible edge in the opposite direction, so that the layout ranks adjoints upwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symad.drawing import subscripts
from symad.drawing.fold import Frame
from symad.drawing.picture import Arrow, Picture, Shape, Swatch, TextLine
from symad.drawing.style import FONT, INK, WHITE, hue_of
from symad.drawing.themes import THEMES, Theme
from symad.notation.escape import html, quoted, visible
from symad.notation.roles import Part

_SUBSCRIPT = subscripts.SIZE / 0.82  # Graphviz itself makes subscripts smaller


def to_dot(picture: Picture, theme: Theme = THEMES["light"], direction: str = "TB") -> str:
    """Return the DOT text."""
    return "\n".join(_Writer(picture, theme).lines(direction)) + "\n"


class _Writer:
    """Writes the statements of a picture, in a theme."""

    def __init__(self, picture: Picture, theme: Theme) -> None:
        self._picture = picture
        self._theme = theme

    def lines(self, direction: str) -> Iterator[str]:
        """Yield the statements."""
        picture = self._picture
        yield "digraph symad {"
        yield from self._head(direction)
        for part in picture.parts:
            yield from self._cluster(part)
        yield from _in_order(picture.parts)
        for arrow in picture.arrows:
            yield from self._edge(arrow)
        for row in picture.rows:
            ids = " -> ".join(box.id for box in row)
            yield f"  {{rank=same; {ids} [style=invis]}}"
        yield f"  label=<{self._legend()}>;"
        yield "}"

    def _head(self, direction: str) -> Iterator[str]:
        font = f'fontname="{FONT}"'
        ink, paper = self._theme.color(INK), self._theme.color(WHITE)
        yield (
            f'  graph [{font} fontcolor="{ink}" bgcolor="{paper}" newrank=true '
            f"rankdir={direction} nodesep=0.3 ranksep=0.45 pad=0.2 labelloc=b];"
        )
        yield (
            f'  node [{font} fontcolor="{ink}" style=filled penwidth=1.5 margin="0.12,0.06" '
            "height=0.4];"
        )
        yield f'  edge [{font} fontcolor="{ink}" penwidth=1.5 arrowsize=0.8];'

    def _cluster(self, part: Part) -> Iterator[str]:
        shapes = [shape for shape in self._picture.shapes if shape.box.part == part]
        hue, color = hue_of(part), self._theme.color
        strong, ground = color(hue.strong), color(hue.ground)
        yield f"  subgraph cluster_{part.id} {{"
        yield f"    id={part.id}; label=<<B>{part.title}</B>>;"
        border = self._theme.border or ground
        yield f'    style="rounded,filled"; color="{border}"; fillcolor="{ground}";'
        yield f'    fontcolor="{strong}"; fontsize=15; labelloc=t; labeljust=l; margin=14;'
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
                yield f'      style="rounded,filled"; fillcolor="{ground}";'
                yield f'      color="{strong}"; fontcolor="{strong}";'
            yield self._node(shape)
        yield from ["    }"] * len(inside)
        yield "  }"

    def _node(self, shape: Shape) -> str:
        rows = "".join(f"<TR><TD>{markup(line, self._theme)}</TD></TR>" for line in shape.lines)
        table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        label = f"{table}{rows}</TABLE>"
        name, tip, look = shape.box.id, quoted(shape.tip), self._theme.node(shape.look)
        return f"    {name} [id={name} {attributes(look)} tooltip={tip} label=<{label}>];"

    def _edge(self, arrow: Arrow) -> Iterator[str]:
        start, end, look = arrow.source.id, arrow.target.id, line_of(arrow, self._theme)
        if arrow.rises or not arrow.ranks:
            look["constraint"] = "false"
        label = f" xlabel=<{markup(arrow.note, self._theme)}>" if arrow.note else ""
        yield f"  {start} -> {end} [id={arrow.id} {attributes(look)}{label}];"
        if arrow.rises:
            yield f"  {end} -> {start} [style=invis];"

    def _legend(self, columns: int = 4) -> str:
        cells = list(map(self._swatch, self._picture.legend))
        rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
        body = "".join(f"<TR>{''.join(row)}</TR>" for row in rows)
        for note in self._picture.notes:
            text = markup(TextLine(note, 13), self._theme)
            body += f'<TR><TD COLSPAN="{columns}" ALIGN="LEFT">{text}</TD></TR>'
        return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6" CELLPADDING="2">{body}</TABLE>'

    def _swatch(self, swatch: Swatch) -> str:
        sign = markup(TextLine(swatch.glyph, 17, swatch.color), self._theme)
        text = markup(TextLine(f"\xa0 {swatch.text}"), self._theme)
        return f'<TD ALIGN="LEFT">{sign}{text}</TD>'


def line_of(arrow: Arrow, theme: Theme) -> dict[str, str]:
    """Return the look of an arrow in a theme; Graphviz has one kind of dashes."""
    look = theme.arrow(arrow)
    return {"style": "dashed", **look} if look.pop("dashes", "") else look


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


def attributes(look: dict[str, str]) -> str:
    """Return a look as DOT attributes."""
    return " ".join(f'{key}="{value}"' for key, value in look.items())


def markup(line: TextLine, theme: Theme = THEMES["light"]) -> str:
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
    return f'<FONT POINT-SIZE="{line.size}" COLOR="{theme.color(line.color)}">{text}</FONT>'


def _anchor(part: Part) -> str:
    return f"{part.id}_start"
