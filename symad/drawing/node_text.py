"""The text on the nodes of a drawing: symbols, formulas, values and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from symad.drawing.fold import Box, Piece
from symad.drawing.metrics import broken
from symad.drawing.picture import BIG, MIDDLE, SMALL, TextLine
from symad.drawing.style import hue_of
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels
from symad.notation.roles import Kind, part_of
from symad.notation.values import (
    format_number,
    format_size,
    format_value,
    is_number,
    magnitude,
    summarise,
)
from symad.notation.view import Source, View
from symad.types import TensorType, UnknownShape

_MOST_OPS = 3  # that a folded box names
_LONGEST = 88  # characters of a formula
_FORMULA_ROOM, _SYMBOL_ROOM = 195.0, 130.0  # the width of a line on a node


class NodeText:
    """Writes the text on the nodes of a view.

    Parameters
    ----------
    view : View
    labels : Labels
    """

    def __init__(self, view: View, labels: Labels) -> None:
        self._view = view
        self._labels = labels
        self._formulas = Formulas(view, labels, spell=lambda symbol: symbol.subscripted)
        self._adjoint_of = self._whole_adjoints()

    def lines(self, box: Box, kind: Kind) -> Iterator[TextLine]:
        """Yield the lines of a box."""
        node = box.node
        if node is None:
            yield TextLine(visible(box.title), BIG, bold=True)
            if box.run is not None:
                yield TextLine(visible(_frequent(box.nodes), 40), MIDDLE)
            yield TextLine(f"{len(box.nodes):,} nodes")
            return
        if box.pieces:
            name = self._named(box.nodes[0])
            yield from [TextLine(name, BIG, bold=True)] * bool(name)
            words = ", ".join(map(self._piece, box.pieces))
            yield from (TextLine(row, SMALL + 1) for row in broken(words, SMALL + 1, _FORMULA_ROOM))
            yield from self._annotations(node, kind)
            return
        symbols = " =\xa0".join(s.subscripted for s in self._labels.symbols.get(node, ()))
        if symbols:
            for row in broken(symbols, BIG, _SYMBOL_ROOM, bold=True):
                yield TextLine(row.replace("\xa0", " "), BIG, bold=True)
        if kind is Kind.CONSTANT:
            assert isinstance(node, Constant)
            yield TextLine(visible(node.name or format_value(node.value), 24), BIG, bold=True)
        elif isinstance(node, Variable):
            yield TextLine(visible(node.label), MIDDLE)
        else:
            yield from (TextLine(row, MIDDLE) for row in self._operation(node))
            if node.name and node.op is not None:
                yield TextLine(visible(node.name), italic=True)
        yield from self._annotations(node, kind)

    def _named(self, node: Node) -> str:
        step = self._formulas.auxiliary.get(node)
        symbols = self._labels.symbols.get(node, () if step is None else (step,))
        return " = ".join(symbol.subscripted for symbol in symbols)

    def _piece(self, piece: Piece) -> str:
        word, node = piece
        return visible(word if node is None else f"{word} {self._formulas.name(node)}".strip())

    def tip(self, box: Box, kind: Kind, lines: Sequence[TextLine]) -> str:
        """Return the op, the type and the user's line, or the title of a folded box."""
        node = box.node
        if node is None:
            return visible(box.title)
        op = node.op.name if node.op else "leaf"
        where = node.site.filename.replace("\\", "/").rpartition("/")[2]
        return visible(f"{op}: {node.type}, {where}:{node.site.line}", 200)

    def saved(self, piece: Piece) -> TextLine:
        """Return the words on an arrow."""
        return TextLine(self._piece(piece))

    def edge_note(self, node: Node, source: Source) -> None:
        """Return ``None``: arrows have no notes."""

    def _operation(self, node: Node) -> list[str]:
        """Return the sign of an op, or its formula if that shows more or defines a symbol."""
        if isinstance(node, Constant):
            return [visible(format_value(node.value), 24)]
        if node.op is None:
            return [visible(node.label)]
        several = len(node.inputs) > 1
        details = node.op.attributes().values()
        detailed = any(value is not None and value is not False for value in details)
        spelled = node.role is not None and node.role.kind in (RoleKind.PARTIAL, RoleKind.SEED)
        if self._labels.of(node) is not None and not (several or detailed or spelled):
            return [node.op.short or node.op.name]
        formula = self._formulas.right_sides[node]
        if node in self._formulas.auxiliary:
            formula = type(formula)(f"{self._formulas.name(node)} = {formula}")
        return broken(visible(formula, _LONGEST), MIDDLE, _FORMULA_ROOM)

    def _annotations(self, node: Node, kind: Kind) -> Iterator[TextLine]:
        """Yield the value, and the adjoint's magnitude; without a feed, the sizes if known."""
        values = self._view.values
        if node in values and not isinstance(node, Constant):
            number = is_number(values[node])
            yield TextLine(("= " if number else "") + visible(summarise(values[node])))
            adjoint = self._adjoint_of.get(node)
            if adjoint is not None and adjoint in values:
                yield self._adjoint_line(adjoint, number)
        elif isinstance(node.type, TensorType) and not isinstance(node.type.shape, UnknownShape):
            if node.type.shape and kind is not Kind.CONSTANT:
                yield TextLine(visible(format_size(node.type.shape)))

    def _adjoint_line(self, adjoint: Node, number: bool) -> TextLine:
        """Return the adjoint of a forward node: its value, or the magnitude of an array."""
        name, value = self._formulas.name(adjoint), self._view.values[adjoint]
        if number:
            text = f"{name} = {format_value(value)}"
        else:
            text = f"‖{name}‖ = {format_number(magnitude(value))}"
        return TextLine(visible(text), color=hue_of(part_of(adjoint, self._labels)).strong)

    def _whole_adjoints(self) -> dict[Node, Node]:
        """Return, for each forward node, its adjoint of generation 1."""
        found: dict[Node, Node] = {}
        for node in self._view.everything:
            symbol = self._labels.of(node)
            if symbol is None or node.role is None or symbol.mark != "bar":
                continue
            if symbol.generation == 1 and len(symbol.index) == 1 and not symbol.copy:
                found.setdefault(self._view.behind(node.role.node), node)
        return found


def _frequent(nodes: Sequence[Node]) -> str:
    """Return the most frequent ops of some nodes: ``sin, +, ×, …``."""
    ops = (node.op for node in nodes if node.op is not None)
    counts = Counter(op.short or op.name for op in ops if op.name != "identity")
    found = [name for name, _ in counts.most_common(_MOST_OPS)]
    return ", ".join([*found, "…"] if len(counts) > _MOST_OPS else found)
