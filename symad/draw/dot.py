"""DOT: a picture as text, which Graphviz lays out.

The forward part and each family of derivatives are clusters side by side.  Adjoints stand at the
height of their nodes: their edges are written backwards (``dir=back``), so that the layout ranks
them upwards, and each adjoint shares the rank of its node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from symad.draw.escape import html, quoted, visible
from symad.draw.fold import Box
from symad.draw.formulas import Formulas
from symad.draw.labels import Labels
from symad.draw.parts import Kind, Part, kind_of
from symad.draw.style import FAINT, FONT, GLYPHS, INK, SHAPES, Hue, hue_of, sign_of
from symad.draw.values import format_number, format_size, format_value, magnitude, summarise
from symad.draw.view import Source, View
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.types import TensorType, UnknownShape

_LINE = 22  # characters of a formula on one line of a node
_LINES = 4


@dataclass(frozen=True)
class Edge:
    """An arrow of a picture."""

    source: Box
    target: Box
    slot: int
    repaired: bool
    shape_only: bool


class Writer:
    """Writes one picture as DOT."""

    def __init__(self, view: View, labels: Labels, boxes: Sequence[Box], notes: Sequence[str]):
        self._view = view
        self._labels = labels
        self._boxes = boxes
        self._notes = notes
        self._box_of = {node: box for box in boxes for node in box.nodes}
        self._formulas = Formulas(view, labels, spell=lambda symbol: symbol.subscripted)
        self._edges = list(dict.fromkeys(self._all_edges()))
        self._adjoint_of = self._whole_adjoints()
        self._outputs = {view.behind(node) for node in view.outputs}

    def write(self) -> str:
        """Return the whole DOT text."""
        lines = ["digraph symad {", *_HEAD]
        parts = sorted({box.part for box in self._boxes})
        for part in parts:
            lines += self._cluster(part)
        # Keeps the parts in order, from left to right.
        lines += [f"  {{rank=min; {' -> '.join(map(_anchor, parts))} [style=invis]}}"]
        lines += map(self._edge, self._edges)
        lines += self._alignment()
        lines += [f"  label=<{self._legend()}>;", "}"]
        return "\n".join(lines) + "\n"

    # Boxes

    def _cluster(self, part: Part) -> Iterator[str]:
        hue = hue_of(part)
        yield f"  subgraph cluster_{part.family}_{part.generation} {{"
        yield f"    id={part.family}_{part.generation}; label=<<B>{part.title}</B>>;"
        yield f'    style="rounded,filled"; color="{hue.ground}"; fillcolor="{hue.ground}";'
        yield f'    fontcolor="{hue.strong}"; fontsize=15; labelloc=t; labeljust=l; margin=14;'
        yield f"    {_anchor(part)} [shape=point style=invis];"
        inside: list[str] = []  # the scopes whose boxes are open
        boxes = sorted((box for box in self._boxes if box.part == part), key=lambda box: box.scope)
        for box in boxes:
            while tuple(inside) != box.scope[: len(inside)]:
                inside.pop()
                yield "    }"
            while len(inside) < len(box.scope):
                inside.append(box.scope[len(inside)])
                yield f"    subgraph cluster_{part.family}_{box.id}_{len(inside)} {{"
                yield f'      label=<{html(visible(inside[-1]))}>; style="rounded"; margin=10;'
                yield f'      color="{hue.strong}"; fontcolor="{hue.strong}"; fontsize=13;'
            yield self._box(box, hue)
        yield from ["    }"] * len(inside)
        yield "  }"

    def _box(self, box: Box, hue: Hue) -> str:
        kind = self._kind(box)
        look = {"color": hue.strong, "fillcolor": hue.pale, **SHAPES[kind]}
        if kind is Kind.CONSTANT:
            look["fillcolor"] = "#f1f3f4"
        if self._outputs.intersection(box.nodes):
            look["penwidth"] = "3"
        attributes = " ".join(f'{key}="{value}"' for key, value in look.items())
        label = self._folded_label(box) if box.node is None else self._label(box.node, kind)
        tip = visible(box.title) if box.node is None else self._tooltip(box.node)
        attributes += f" tooltip={quoted(tip)} label=<{label}>"
        return f"    {box.id} [id={box.id} {attributes}];"

    def _kind(self, box: Box) -> Kind:
        return Kind.FOLDED if box.node is None else kind_of(box.node, self._labels)

    def _folded_label(self, box: Box) -> str:
        return _stack([_big(visible(box.title)), _line(f"{len(box.nodes):,} nodes")])

    def _label(self, node: Node, kind: Kind) -> str:
        symbols = " = ".join(s.subscripted for s in self._labels.symbols.get(node, ()))
        rows = [_big(symbols)] if symbols else []
        if kind is Kind.CONSTANT:
            assert isinstance(node, Constant)
            rows.append(_big(visible(node.name or format_value(node.value), 24)))
        elif isinstance(node, Variable):
            rows.append(_line(html(visible(node.label)), size=15))
        else:
            rows += [_line(html(row), size=15) for row in self._operation(node)]
            if node.name:
                rows.append(_line(f"<I>{html(visible(node.name))}</I>"))
        rows += self._annotations(node, kind)
        return _stack(rows)

    def _operation(self, node: Node) -> list[str]:
        """Return the sign of an op; its formula if operands have an order or it has no symbol."""
        if isinstance(node, Constant):
            return [visible(format_value(node.value), 24)]
        if node.op is None:
            return [visible(node.label)]
        ordered = not node.op.commutative and len(node.inputs) > 1
        partial = node.role is not None and node.role.kind is RoleKind.PARTIAL
        if self._labels.of(node) is not None and not ordered and not partial:
            return [sign_of(node.op.name)]
        formula = self._formulas.right_sides[node]
        if node in self._formulas.auxiliary:
            formula = type(formula)(f"{self._formulas.name(node)} = {formula}")
        return wrap(visible(formula, _LINES * _LINE), _LINE)

    def _annotations(self, node: Node, kind: Kind) -> Iterator[str]:
        """Yield the value, and the adjoint's magnitude; without a feed, the sizes where known."""
        values = self._view.values
        if node in values and not isinstance(node, Constant):
            number = np.ndim(values[node]) == 0
            yield _line(html(("= " if number else "") + visible(summarise(values[node]))))
            adjoint = self._adjoint_of.get(node)
            if adjoint is not None and adjoint in values:
                yield self._adjoint_line(adjoint, number)
        elif isinstance(node.type, TensorType) and not isinstance(node.type.shape, UnknownShape):
            if node.type.shape and kind is not Kind.CONSTANT:
                yield _line(html(visible(format_size(node.type.shape))))

    def _adjoint_line(self, adjoint: Node, number: bool) -> str:
        """Return the adjoint of a forward node: its value, or its magnitude for an array."""
        name, value = self._formulas.name(adjoint), self._view.values[adjoint]
        if number:
            text = f"{name} = {format_value(value)}"
        else:
            text = f"‖{name}‖ = {format_number(magnitude(value))}"
        return _line(html(visible(text)), color=hue_of(self._box_of[adjoint].part).strong)

    def _tooltip(self, node: Node) -> str:
        op = node.op.name if node.op else "leaf"
        where = node.site.filename.replace("\\", "/").rpartition("/")[2]
        return visible(f"{op}: {node.type}, {where}:{node.site.line}", 200)

    # Edges

    def _all_edges(self) -> Iterator[Edge]:
        for node in self._view.nodes:
            for source in self._view.sources(node):
                edge = self._edge_of(node, source)
                if edge.source is not edge.target:
                    yield edge

    def _edge_of(self, node: Node, source: Source) -> Edge:
        start, end = self._box_of[source.node], self._box_of[node]
        folded = start.node is None or end.node is None
        return Edge(
            start, end, -1 if folded else source.slot, source.repaired and not folded,
            source.shape_only and not folded,
        )  # fmt: skip

    def _edge(self, edge: Edge) -> str:
        start, end = edge.source, edge.target
        crosses = start.part != end.part
        look = {"color": hue_of(start.part if crosses else end.part).strong}
        if edge.repaired:
            look["style"] = "dashed"
        if edge.shape_only:
            look |= {"style": "dotted", "color": FAINT}
        if crosses:
            look |= {"penwidth": "1", "arrowsize": "0.7"}
            if not self._flows_down(edge):
                look["constraint"] = "false"
        name = f"e{start.id[1:]}_{end.id[1:]}" + (f"_{edge.slot}" if edge.slot >= 0 else "")
        if _runs_upwards(end.part) and not crosses:
            start, end = end, start
            look["dir"] = "back"
        attributes = " ".join(f'{key}="{value}"' for key, value in look.items())
        return f"  {start.id} -> {end.id} [id={name} {attributes}];"

    def _flows_down(self, edge: Edge) -> bool:
        """Return whether what leads to another part may be ranked by it: tangents run along."""
        start, end, part = edge.source.node, edge.target.node, edge.target.part
        if start is None or end is None or end.role is None or part.generation > 1:
            return False
        return part.family == "tangent" and self._view.behind(end.role.node) is not start

    def _whole_adjoints(self) -> dict[Node, Node]:
        """Return, for each forward node, its adjoint of generation 1."""
        found: dict[Node, Node] = {}
        for node in self._view.nodes:
            symbol = self._labels.of(node)
            if symbol is None or node.role is None or symbol.mark != "bar":
                continue
            if symbol.generation == 1 and len(symbol.index) == 1 and not symbol.copy:
                found.setdefault(self._view.behind(node.role.node), node)
        return found

    def _alignment(self) -> Iterator[str]:
        """Yield ranks on which a forward node and its derivative stand side by side."""
        pairs: dict[str, list[str]] = {}
        for node in self._view.nodes:
            box = self._box_of[node]
            if node.role is None or box.part.generation != 1:
                continue
            symbol = self._labels.of(node)
            if symbol is None or not symbol.mark or len(symbol.index) != 1 or symbol.copy:
                continue
            forward = self._box_of.get(self._view.behind(node.role.node))
            if forward is not None and forward.node is not None and box.node is not None:
                pairs.setdefault(forward.id, []).append(box.id)
        for forward_id, others in pairs.items():
            row = " -> ".join([forward_id, *others])
            yield f"  {{rank=same; {row} [style=invis]}}"

    # Legend

    def _legend(self) -> str:
        order = list(Kind)
        found = {(box.part, order.index(self._kind(box))) for box in self._boxes}
        first: dict[Kind, Part] = {}
        for part, place in sorted(found):
            first.setdefault(order[place], part)
        cells = []
        for kind, part in first.items():
            strong = SHAPES[kind].get("color", hue_of(part).strong)
            cells.append(_swatch(GLYPHS[kind], kind.value, strong))
        if any(edge.repaired for edge in self._edges):
            cells.append(_swatch("┄▸", "shape repair left out", FAINT))
        if any(edge.shape_only for edge in self._edges):
            cells.append(_swatch("⋯▸", "only the shape is used", FAINT))
        if self._outputs:
            cells.append(_swatch("<B>━</B>", "thick border: asked for", INK))
        return _table(cells, self._notes)


def _anchor(part: Part) -> str:
    return f"{part.family}_{part.generation}_start"


def _runs_upwards(part: Part) -> bool:
    return part.family == "adjoint" and part.generation == 1


def _stack(rows: Sequence[str]) -> str:
    """Return lines one below the other, with air between them."""
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>'


def _big(text: str) -> str:
    return f'<FONT POINT-SIZE="17"><B>{html(text)}</B></FONT>'


def _line(markup: str, size: int = 12, color: str = INK) -> str:
    return f'<FONT POINT-SIZE="{size}" COLOR="{color}">{markup}</FONT>'


def _swatch(glyph: str, text: str, color: str) -> str:
    return (
        f'<TD ALIGN="LEFT"><FONT POINT-SIZE="17" COLOR="{color}">{glyph}</FONT>'
        f'<FONT POINT-SIZE="12" COLOR="{INK}"> {html(text)}</FONT></TD>'
    )


def _table(cells: Sequence[str], notes: Iterable[str], columns: int = 4) -> str:
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    body = "".join(f"<TR>{''.join(row)}</TR>" for row in rows)
    for note in notes:
        body += f'<TR><TD COLSPAN="{columns}" ALIGN="LEFT">{_line(html(note), 13)}</TD></TR>'
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6" CELLPADDING="2">{body}</TABLE>'


_HEAD = [
    f'  graph [fontname="{FONT}" fontcolor="{INK}" bgcolor="white" newrank=true rankdir=TB'
    " nodesep=0.3 ranksep=0.45 pad=0.2 labelloc=b];",
    f'  node [fontname="{FONT}" fontcolor="{INK}" style=filled penwidth=1.5 margin="0.12,0.06"'
    " height=0.4];",
    f'  edge [fontname="{FONT}" penwidth=1.5 arrowsize=0.8];',
]
