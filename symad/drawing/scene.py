"""A scene: what a picture of a graph shows, before anything has a place.

symad lays it out (:mod:`symad.drawing.sheet`) and writes it as SVG (:mod:`symad.drawing.svg`); as
DOT (:mod:`symad.drawing.dot`) it has no places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from symad.drawing.flow import Flow
from symad.drawing.fold import Box
from symad.drawing.metrics import broken
from symad.drawing.style import FAINT, GLYPHS, INK, SHAPES, hue_of
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels
from symad.notation.roles import Kind, Part, kind_of
from symad.notation.values import format_number, format_size, format_value, magnitude, summarise
from symad.notation.view import Source, View
from symad.types import TensorType, UnknownShape

_LONGEST = 88  # characters of a formula
_FORMULA_ROOM, _SYMBOL_ROOM = 195.0, 130.0  # for a line of a node
_BIG, _MIDDLE, _SMALL = 17, 15, 12  # sizes of text, in points


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a node; its text holds nothing but visible characters."""

    text: str
    size: int = _SMALL
    color: str = INK
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A box of a picture as it looks.

    Attributes
    ----------
    box : Box
    look : dict from str to str
        Form and colours, as Graphviz names them.
    lines : tuple of Line
    tip : str
        What is said when it is pointed at.
    """

    box: Box
    look: dict[str, str]
    lines: tuple[Line, ...]
    tip: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from a box to another that uses it.

    Attributes
    ----------
    source, target : Box
    slot : int
        Which argument it is; -1 if one end is folded.
    repaired, shape_only : bool
        As in :class:`symad.notation.view.Source`.
    ranks : bool
        Whether it decides which of its ends stands higher.
    rises : bool
        Whether it points upwards: adjoints flow against what they are the adjoints of.
    """

    source: Box
    target: Box
    slot: int
    repaired: bool
    shape_only: bool
    ranks: bool
    rises: bool

    @property
    def id(self) -> str:
        """The ``id`` in DOT and SVG."""
        ends = f"e{self.source.id[1:]}_{self.target.id[1:]}"
        return f"{ends}_{self.slot}" if self.slot >= 0 else ends

    @property
    def crosses(self) -> bool:
        """Whether it leads from one part to another."""
        return self.source.part != self.target.part

    @property
    def look(self) -> dict[str, str]:
        """Colour, line and head, as Graphviz names them."""
        look = {"color": hue_of(self.source.part if self.crosses else self.target.part).strong}
        if self.repaired:
            look["style"] = "dashed"
        if self.shape_only:
            look |= {"style": "dotted", "color": FAINT}
        return look | {"penwidth": "1.2", "arrowsize": "0.7"} if self.crosses else look


@dataclass(frozen=True, slots=True)
class Swatch:
    """An entry of the legend."""

    glyph: str
    text: str
    color: str


@dataclass(frozen=True)
class Scene:
    """Everything that a picture shows.

    Attributes
    ----------
    parts : list of Part
        From left to right.
    shapes : list of Shape
        In topological order.
    arrows : list of Arrow
    rows : list of list of Box
        Forward nodes and their derivatives, which stand side by side.
    legend : list of Swatch
    notes : tuple of str
        What the picture leaves out.
    edge_ids : dict from (Node, int) to str
        The ``id`` of the arrow that shows an argument (node, slot); not for what is inside of one
        folded box.
    """

    parts: list[Part]
    shapes: list[Shape]
    arrows: list[Arrow]
    rows: list[list[Box]]
    legend: list[Swatch]
    notes: tuple[str, ...]
    edge_ids: dict[tuple[Node, int], str] = field(default_factory=dict)


def make_scene(view: View, labels: Labels, boxes: Sequence[Box], notes: Sequence[str]) -> Scene:
    """Return what a picture of ``view`` with these boxes shows."""
    return _Stage(view, labels, boxes).scene(tuple(notes))


class _Stage:
    """Decides how boxes and arrows look."""

    def __init__(self, view: View, labels: Labels, boxes: Sequence[Box]) -> None:
        self._view = view
        self._labels = labels
        self._boxes = boxes
        self._box_of = {node: box for box in boxes for node in box.nodes}
        self._formulas = Formulas(view, labels, spell=lambda symbol: symbol.subscripted)
        self._adjoint_of = self._whole_adjoints()
        self._flow = Flow(view, labels)
        self._outputs = {view.behind(node) for node in view.outputs}

    def scene(self, notes: tuple[str, ...]) -> Scene:
        arrows = {(node, slot): arrow for node, slot, arrow in self._all_arrows()}
        distinct = list(dict.fromkeys(arrows.values()))
        return Scene(
            sorted({box.part for box in self._boxes}),
            [self._shape(box) for box in self._boxes],
            distinct,
            self._rows(),
            list(self._legend(distinct)),
            notes,
            {argument: arrow.id for argument, arrow in arrows.items()},
        )

    # Boxes

    def _shape(self, box: Box) -> Shape:
        kind, hue = self._kind(box), hue_of(box.part)
        look = {"color": hue.strong, "fillcolor": hue.pale, **SHAPES[kind]}
        if kind is Kind.CONSTANT:
            look["fillcolor"] = "#f1f3f4"
        if self._outputs.intersection(box.nodes):
            look["penwidth"] = "3"
        if box.node is None:
            lines = [_big(visible(box.title)), Line(f"{len(box.nodes):,} nodes")]
            return Shape(box, look, tuple(lines), visible(box.title))
        return Shape(box, look, tuple(self._lines(box.node, kind)), self._tip(box.node))

    def _kind(self, box: Box) -> Kind:
        return Kind.FOLDED if box.node is None else kind_of(box.node, self._labels)

    def _lines(self, node: Node, kind: Kind) -> Iterator[Line]:
        symbols = " =\xa0".join(s.subscripted for s in self._labels.symbols.get(node, ()))
        if symbols:
            for row in broken(symbols, _BIG, _SYMBOL_ROOM, bold=True):
                yield _big(row.replace("\xa0", " "))
        if kind is Kind.CONSTANT:
            assert isinstance(node, Constant)
            yield _big(visible(node.name or format_value(node.value), 24))
        elif isinstance(node, Variable):
            yield Line(visible(node.label), _MIDDLE)
        else:
            yield from (Line(row, _MIDDLE) for row in self._operation(node))
            if node.name and node.op is not None:
                yield Line(visible(node.name), italic=True)
        yield from self._annotations(node, kind)

    def _operation(self, node: Node) -> list[str]:
        """Return the sign of an op; its formula where that says more, or has to define a symbol."""
        if isinstance(node, Constant):
            return [visible(format_value(node.value), 24)]
        if node.op is None:
            return [visible(node.label)]
        ordered = not node.op.commutative and len(node.inputs) > 1
        details = node.op.attributes().values()
        detailed = any(value is not None and value is not False for value in details)
        spelled = node.role is not None and node.role.kind in (RoleKind.PARTIAL, RoleKind.SEED)
        if self._labels.of(node) is not None and not (ordered or detailed or spelled):
            return [node.op.short or node.op.name]
        formula = self._formulas.right_sides[node]
        if node in self._formulas.auxiliary:
            formula = type(formula)(f"{self._formulas.name(node)} = {formula}")
        return broken(visible(formula, _LONGEST), _MIDDLE, _FORMULA_ROOM)

    def _annotations(self, node: Node, kind: Kind) -> Iterator[Line]:
        """Yield the value, and the adjoint's magnitude; without a feed, the sizes where known."""
        values = self._view.values
        if node in values and not isinstance(node, Constant):
            number = np.ndim(values[node]) == 0
            yield Line(("= " if number else "") + visible(summarise(values[node])))
            adjoint = self._adjoint_of.get(node)
            if adjoint is not None and adjoint in values:
                yield self._adjoint_line(adjoint, number)
        elif isinstance(node.type, TensorType) and not isinstance(node.type.shape, UnknownShape):
            if node.type.shape and kind is not Kind.CONSTANT:
                yield Line(visible(format_size(node.type.shape)))

    def _adjoint_line(self, adjoint: Node, number: bool) -> Line:
        """Return the adjoint of a forward node: its value, or its magnitude for an array."""
        name, value = self._formulas.name(adjoint), self._view.values[adjoint]
        if number:
            text = f"{name} = {format_value(value)}"
        else:
            text = f"‖{name}‖ = {format_number(magnitude(value))}"
        return Line(visible(text), color=hue_of(self._box_of[adjoint].part).strong)

    def _tip(self, node: Node) -> str:
        op = node.op.name if node.op else "leaf"
        where = node.site.filename.replace("\\", "/").rpartition("/")[2]
        return visible(f"{op}: {node.type}, {where}:{node.site.line}", 200)

    # Arrows

    def _all_arrows(self) -> Iterator[tuple[Node, int, Arrow]]:
        for node in self._view.nodes:
            for source in self._view.sources(node):
                arrow = self._arrow(node, source)
                if arrow.source is not arrow.target:
                    yield node, source.slot, arrow

    def _arrow(self, node: Node, source: Source) -> Arrow:
        start, end = self._box_of[source.node], self._box_of[node]
        folded = start.node is None or end.node is None
        inside = start.part == end.part
        ranks = self._flow.agrees(source.node, node) if inside else self._flows_down(start, end)
        return Arrow(
            start, end, -1 if folded else source.slot, source.repaired and not folded,
            source.shape_only and not folded, ranks, inside and ranks and self._flow.rises(node),
        )  # fmt: skip

    def _flows_down(self, start: Box, end: Box) -> bool:
        """Return whether what leads to another part may be ranked by it: tangents run along."""
        source, node, part = start.node, end.node, end.part
        if source is None or node is None or node.role is None or part.generation > 1:
            return False
        return part.family == "tangent" and self._view.behind(node.role.node) is not source

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

    def _rows(self) -> list[list[Box]]:
        rows: dict[str, list[Box]] = {}
        for node in self._view.nodes:
            box = self._box_of[node]
            if node.role is None:
                continue
            symbol = self._labels.of(node)
            if symbol is None or not symbol.mark or len(symbol.index) != 1 or symbol.copy:
                continue
            forward = self._box_of.get(self._view.behind(node.role.node))
            if forward is not None and forward.node is not None and box.node is not None:
                rows.setdefault(forward.id, [forward]).append(box)
        return [sorted(row, key=lambda box: box.part) for row in rows.values()]

    # Legend

    def _legend(self, arrows: Sequence[Arrow]) -> Iterator[Swatch]:
        parts = sorted({box.part for box in self._boxes})
        if parts[-1].generation > 1:
            yield from (Swatch("■", part.title, hue_of(part).strong) for part in parts)
        order = list(Kind)
        found = {(box.part, order.index(self._kind(box))) for box in self._boxes}
        first: dict[Kind, Part] = {}
        for part, place in sorted(found):
            first.setdefault(order[place], part)
        for kind, part in first.items():
            strong = SHAPES[kind].get("color", hue_of(part).strong)
            yield Swatch(GLYPHS[kind], kind.value, strong)
        if any(arrow.repaired for arrow in arrows):
            yield Swatch("┄▸", "shape repair left out", FAINT)
        if any(arrow.shape_only for arrow in arrows):
            yield Swatch("⋯▸", "only the shape is used", FAINT)
        if self._outputs:
            yield Swatch("━", "thick border: asked for", INK)


def _big(text: str) -> Line:
    return Line(text, _BIG, bold=True)
