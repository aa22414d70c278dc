"""The extended graph as the player shows it: the names and formulas of nodes, and their picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from symad.drawing.fold import Box, make_boxes
from symad.graph.formula import format_term
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.roles import Kind, Part, kind_of
from symad.notation.values import format_value, numbers_in, summarise
from symad.notation.view import Source, View
from symad.player.glyphs import Glyphs, mathml
from symad.player.sketch import Arrow, Row, Shape, Sketch, room_for, size_of
from symad.player.wrapping import wrapped

_LONGEST_NAME = 24
_MOST_TERMS = 12  # of what is written out in a table, or on a node


class Subject:
    """A view with ids, names and formulas for the page.

    Parameters
    ----------
    view : View
    asked : iterable of Node
        The results, which stand out.
    limit : int
        A view of more nodes is folded.
    glyphs : Glyphs

    Attributes
    ----------
    ids : dict
        From each node to the id of the shape that shows it.
    places : dict
        From each node that has a shape of its own to the place of its value.
    note : str
        What was folded.
    """

    def __init__(self, view: View, asked: Iterable[Node], limit: int, glyphs: Glyphs) -> None:
        self.view = view
        self._asked = set(map(view.behind, asked))
        self.glyphs = glyphs
        self.labels = Labels(view)
        self.boxes, self.note = make_boxes(view, self.labels, limit)
        self.box_of = {node: box for box in self.boxes for node in box.nodes}
        self.ids = {node: box.id for node, box in self.box_of.items()}
        alone = [box.node for box in self.boxes if box.node is not None]
        self.places = {node: place for place, node in enumerate(alone)}
        self._targets = {
            symbol: self.ids[node]
            for node, symbols in self.labels.symbols.items()
            if node in self.ids
            for symbol in symbols
        }
        self.formulas = Formulas(view, self.labels, spell=self.spell, word=glyphs.text)
        self._named = set(self.formulas.auxiliary)
        for node, symbol in self.formulas.auxiliary.items():
            glyphs.aim(self.spell(symbol), self.ids[node])

    @property
    def is_folded(self) -> bool:
        """Whether shapes stand for several nodes."""
        return bool(self.note)

    def spell(self, symbol: Symbol) -> str:
        """Return the glyph of a symbol."""
        return self.glyphs.symbol(symbol, self._targets.get(symbol, ""))

    def name(self, node: Node) -> str:
        """Return what formulas call a node."""
        return self.formulas.name(node)

    def forward_name(self, node: Node) -> str:
        """Return v_i for a node that is differentiated; it may be an adjoint itself."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        plain = [symbol for symbol in symbols if not symbol.mark]
        return self.spell(plain[0]) if plain else self.name(node)

    def partial_name(self, node: Node) -> str:
        """Return v̄_{k→i} for a partial adjoint that may be v̄_k as well."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        edges = [symbol for symbol in symbols if len(symbol.index) == 2]
        return self.spell(edges[0]) if edges else self.name(node)

    def adjoint_name(self, node: Node) -> str:
        """Return v̄_k for an adjoint that may be v̄_{k→i} as well."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        return self.spell(symbols[0]) if symbols else self.name(node)

    def latex(self) -> Formulas:
        """Return all formulas in LaTeX with glyphs for symbols."""
        return Formulas(self.view, self.labels, True, self.spell, self._named, self.glyphs.text)

    def substituted(self) -> Formulas:
        """Return all formulas in LaTeX with the values of nodes in place of their symbols."""
        nodes = {s: node for node, symbols in self.labels.symbols.items() for s in symbols}
        nodes |= {symbol: node for node, symbol in self.formulas.auxiliary.items()}

        def spell(symbol: Symbol) -> str:
            node = nodes.get(symbol)
            if node not in self.places:
                return self.spell(symbol)
            return self.glyphs.value(self.places[node], inner=True)

        return Formulas(self.view, self.labels, True, spell, self._named, self.glyphs.text)

    def edge_id(self, source: Node, user: Node, slot: int) -> str:
        """Return the id of an arrow."""
        start, end = self.box_of[self.view.behind(source)], self.box_of[self.view.behind(user)]
        folded = start.node is None or end.node is None
        return f"e{start.id[1:]}_{end.id[1:]}_{'x' if folded else slot}"

    def edges_into(self, node: Node) -> list[str]:
        """Return the ids of the arrows that end at a node."""
        return [self.edge_id(s.node, node, s.slot) for s in self.view.sources(node)]

    def uses(self, node: Node) -> list[str]:
        """Return the ids of what a node is computed from, and of the arrows."""
        inputs = [self.ids[source.node] for source in self.view.sources(node)]
        return list(dict.fromkeys([*inputs, *self.edges_into(node)]))

    def adjoint_sum(self, node: Node) -> str:
        """Return the formula of an adjoint, with those of the terms of a sum written in."""
        seen = self.view.behind(node)
        if seen.role is not None and seen.role.kind is RoleKind.SUM:
            terms = self.formulas.right_sides
            if len(seen.inputs) > _MOST_TERMS:
                first = [terms.get(self.view.behind(n), n.label) for n in seen.inputs[:3]]
                return f"{' + '.join(first)} + … ({len(seen.inputs):,} terms)"
            return format_term(seen, lambda term: terms.get(self.view.behind(term), term.label))
        return self.formulas.right_sides.get(seen, self.name(seen))

    # The picture

    def sketch(self) -> Sketch:
        """Return the picture."""
        arrows = {arrow.id: arrow for arrow in self._arrows()}
        return Sketch(list(map(self._shape, self.boxes)), list(arrows.values()), self._rows())

    def _shape(self, box: Box) -> Shape:
        node = box.node
        kind = Kind.FOLDED if node is None else kind_of(node, self.labels)
        if node is None:
            rows = [Row(box.title, "symbol"), Row(f"{len(box.nodes):,} nodes", "formula")]
            title = f"{box.title}, {len(box.nodes)} nodes"
        else:
            rows = list(self._lines(node, kind))
            title = ", ".join(dict.fromkeys(row.text for row in rows if row.value is None))
        asked = not self._asked.isdisjoint(box.nodes)
        size = size_of(kind, rows, self.glyphs)
        return Shape(box.id, kind, box.part, box.scope, rows, f"{kind}: {title}", asked, size)

    def _lines(self, node: Node, kind: Kind) -> Iterator[Row]:
        glyphs = self.glyphs
        symbols = " = ".join(map(self.spell, self.labels.symbols.get(node, ())))
        if symbols:
            yield Row(symbols, "symbol")
        if isinstance(node, Variable):
            yield Row(glyphs.text(node.label, _LONGEST_NAME), "formula")
        elif kind is Kind.CONSTANT or isinstance(node, Constant):
            assert isinstance(node, Constant)
            yield Row(glyphs.text(node.name or format_value(node.value), _LONGEST_NAME), "formula")
        else:
            formula = self.formulas.right_sides.get(node, node.label)
            if len(node.inputs) > _MOST_TERMS:
                what = "sum" if kind is Kind.SUM or node.op is None else node.op.name
                formula = f"{what} of {len(node.inputs):,} terms"
            for line in wrapped(formula, 18, 3):
                yield Row(line, "formula")
            if node.name:
                yield Row(glyphs.text(node.name, _LONGEST_NAME), "formula")
        if node in self.view.values and not isinstance(node, Constant):
            place, value = self.places[node], self.view.values[node]
            text = glyphs.value(place) if is_number(value) else summarise(value)
            yield Row(text, "value", place, f"{self.ids[node]}v")

    def _arrows(self) -> Iterator[Arrow]:
        notes = self._notes()
        for node in self.view.nodes:
            for source in self.view.sources(node):
                arrow = self._arrow(node, source, notes)
                if arrow is not None:
                    yield arrow

    def _notes(self) -> dict[str, str]:
        """Return the partial adjoint of each edge that has one, by the id of the arrow."""
        notes = {}
        for node, symbols in self.labels.symbols.items():
            role = node.role
            if role is None or role.consumer is None or node not in self.ids or self.is_folded:
                continue
            ends = (self.view.behind(role.node), self.view.behind(role.consumer))
            for symbol in symbols:
                if len(symbol.index) == 2 and all(end in self.ids for end in ends):
                    assert role.slot is not None
                    notes[self.edge_id(*ends, role.slot)] = self.spell(symbol)
        return notes

    def _arrow(self, node: Node, source: Source, notes: Mapping[str, str]) -> Arrow | None:
        start, end = self.box_of[source.node], self.box_of[node]
        if start is end:
            return None
        crosses = start.part != end.part
        name = self.edge_id(source.node, node, source.slot)
        folded = name.endswith("x")
        note = notes.get(name, "")
        return Arrow(
            name, start.id, end.id, start.part if crosses else end.part, crosses,
            upwards=_runs_upwards(end.part) and not crosses,
            free=crosses,
            style="" if folded else _style(source),
            note=note,
            room=room_for(note, self.glyphs),
        )  # fmt: skip

    def _rows(self) -> list[list[str]]:
        """Return rows in which a node and its adjoint stand side by side."""
        rows: dict[str, list[str]] = {}
        for node in self.view.nodes:
            box, symbol = self.box_of[node], self.labels.of(node)
            if node.role is None or symbol is None or box.part.generation != 1:
                continue
            if len(symbol.index) == 1 and symbol.mark and not symbol.copy:
                forward = self.box_of.get(self.view.behind(node.role.node))
                if forward is not None and forward.node is not None and box.node is not None:
                    rows.setdefault(forward.id, []).append(box.id)
        return [[first, *others] for first, others in rows.items()]


def _style(source: Source) -> str:
    return "shape" if source.shape_only else "repaired" if source.repaired else ""


def _runs_upwards(part: Part) -> bool:
    return part.family == "adjoint" and part.generation == 1


def is_number(value: Any) -> bool:
    """Return whether a value is a single number, and no array or structure."""
    return not isinstance(value, (dict, list, tuple)) and np.ndim(value) == 0


def is_finite(value: Any) -> bool:
    """Return whether a value, or all that a structure holds, is finite."""
    return all(np.all(np.isfinite(array)) for array in numbers_in(value))


def equation(*sides: str) -> str:
    """Return an equation of sides in LaTeX as MathML; sides that repeat are left out."""
    return mathml(" = ".join(dict.fromkeys(side for side in sides if side)))
