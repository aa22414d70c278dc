"""Names, formulas, boxes and arrows of wires in the pictures of the compiler's chapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symad.drawing.fold import Box
from symad.drawing.picture import Arrow, Shape, TextLine
from symad.graph.formula import Term, format_term
from symad.graph.node import Constant, Node
from symad.notation.labels import Symbol
from symad.notation.latex_escape import latex_number
from symad.notation.roles import Kind, Part
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.notation.values import format_value
from symad.player.glyphs import Glyphs
from symad.player.played_graph import tip_of
from symad.player.wires import Wires

_LONGEST_NAME = 24


class WireNames:
    """The symbols and parts of wires, taken from their nodes before the passes.

    Parameters
    ----------
    wires : Wires
    symbols : mapping from Node to Symbol
        For nodes of the graph before the passes.
    parts : mapping from Node to Part
    made : mapping from int to Symbol
        For wires of the graph after the passes.
    steps : iterator of Symbol
        Symbols for all other wires: t1, t2, ...
    """

    def __init__(
        self,
        wires: Wires,
        symbols: Mapping[Node, Symbol],
        parts: Mapping[Node, Part],
        made: Mapping[int, Symbol],
        steps: Iterator[Symbol],
    ) -> None:
        self._wires = wires
        self._symbols: dict[int, Symbol] = {}
        self._parts: dict[int, Part] = {}
        for node, part in parts.items():
            self._parts.setdefault(wires.wire(node), part)
        for node, symbol in symbols.items():
            self._symbols.setdefault(wires.wire(node), symbol)
        self._made = made
        self._steps = steps

    def part(self, wire: int) -> Part:
        """Return the part that a wire belongs to; a wire made by a rule takes it from its node."""
        if wire not in self._parts:
            role = self._wires.node[wire].role
            family = "adjoint" if role else "forward"
            self._parts[wire] = Part(role.generation if role else 0, family)
        return self._parts[wire]

    def symbol(self, wire: int) -> Symbol:
        """Return the symbol of a wire; one without a symbol gets one at its first use."""
        if wire not in self._symbols:
            made = self._made.get(wire)
            self._symbols[wire] = next(self._steps) if made is None else made
        return self._symbols[wire]


class WireView:
    """The wires as shown in one picture.

    Parameters
    ----------
    wires : Wires
    names : WireNames
    glyphs : Glyphs
    letter : str
        The first letter of the ids of its boxes.
    """

    def __init__(self, wires: Wires, names: WireNames, glyphs: Glyphs, letter: str) -> None:
        self._wires = wires
        self._names = names
        self.glyphs = glyphs
        self._letter = letter

    def id(self, wire: int) -> str:
        """Return the id of the box of a wire."""
        return f"{self._letter}{wire}"

    def name(self, wire: int, latex: bool = False) -> Term:
        """Return the name of a wire in formulas: the value of an unnamed number, else a symbol."""
        node = self._wires.node[wire]
        if not isinstance(node, Constant):
            return Term(self.glyphs.symbol(self._names.symbol(wire), self.id(wire)))
        if node.value.ndim or node.name:
            return Term(self.glyphs.text(node.label))
        text = format_value(node.value)
        return Term.number(latex_number(text) if latex else text)

    def formula(self, wire: int, latex: bool = False) -> str:
        """Return the current formula of a wire."""
        node = self._wires.node[wire]
        if node.op is None:
            return self.name(wire, latex)
        operands = iter([self.name(source, latex) for source in self._wires.sources(wire)])
        notation = LATEX_SYMBOLS if latex else SYMBOLS
        return format_term(node, lambda source: next(operands), notation=notation)

    def lines(self, wire: int) -> tuple[TextLine, ...]:
        """Return the text on the box of a wire: its symbol and its current formula."""
        glyphs, node = self.glyphs, self._wires.node[wire]
        if isinstance(node, Constant):
            return (glyphs.line(glyphs.text(node.name or format_value(node.value), _LONGEST_NAME)),)
        symbol = glyphs.symbol_line(self.name(wire))
        if node.op is None:
            return symbol, glyphs.line(glyphs.text(node.label, _LONGEST_NAME))
        return symbol, *glyphs.formula_lines(self.formula(wire))

    def box(self, wire: int) -> Box:
        """Return the box of a wire."""
        return Box(self.id(wire), self._names.part(wire), (), (self._wires.node[wire],))

    def shape(self, wire: int, *more: TextLine) -> Shape:
        """Return the current shape of a wire, with ``more`` lines below."""
        node = self._wires.node[wire]
        kind = Kind.OPERATION if node.op else Kind.VARIABLE
        kind = Kind.CONSTANT if isinstance(node, Constant) else kind
        lines = (*self.lines(wire), *more)
        requested = wire in self._wires.outputs()
        return Shape(self.box(wire), kind, lines, tip_of(kind, lines), requested)

    def arrow(self, source: int, user: int, slot: int) -> Arrow:
        """Return the arrow from ``source`` to argument ``slot`` of ``user``."""
        start, end = self.box(source), self.box(user)
        inside = start.part == end.part
        rises = inside and end.part.runs_upwards
        return Arrow(start, end, slot, ranks=inside, rises=rises)
