"""The extended graph as shown by the player: names, formulas and picture of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.drawing.compose import compose
from symad.drawing.fold import Box, Piece
from symad.drawing.levels import Level, make_levels, nested
from symad.drawing.picture import MIDDLE, Picture, TextLine
from symad.graph.formula import format_term
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.mathml import mathml
from symad.notation.roles import Kind
from symad.notation.values import format_value, is_number, numbers_in, summarise
from symad.notation.view import Source, View
from symad.player.glyphs import Glyphs
from symad.records import replace

_LONGEST_NAME = 24
_MOST_TERMS = 12  # in a table, or on a node
MOST_NAMES = 8
"""The most terms of a sum in a caption."""


class PlayedGraph:
    """A view with ids, names, formulas and a picture for the page.

    Parameters
    ----------
    view : View
    asked : iterable of Node
        The results, which are highlighted.
    limit : int
        A view of more nodes is folded.
    glyphs : Glyphs

    Attributes
    ----------
    ids : dict
        From each node to the id of the shape that shows it.
    places : dict
        From each node that has its own shape to the index of its value.
    picture : Picture
    levels : list of Level
        The boxes of the graph, and of each loop that is drawn open.
    note : str
        A note on how the graph was folded; empty if it was not.
    """

    def __init__(self, view: View, asked: Iterable[Node], limit: int, glyphs: Glyphs) -> None:
        self.view = view
        self.glyphs = glyphs
        self.labels = Labels(view)
        levels, self.note = make_levels(view, self.labels, limit)
        self.levels = levels
        self.boxes = list(nested(levels))
        self.box_of = levels[0].box_of
        self.ids = {node: box.id for level in levels for node, box in level.box_of.items()}
        self.ids |= {node: box.id for node, box in self.box_of.items()}
        alone = [box.node for box in levels[0].boxes if box.node is not None]
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
        self._partials = self._all_partials()
        requested = set(map(view.behind, asked))
        picture = compose(view, self.labels, levels, self, requested=requested)
        self.picture: Picture = replace(picture, legend=())
        self._within = self._all_within(levels)

    @property
    def is_folded(self) -> bool:
        """Whether shapes represent several nodes."""
        return any(box.node is None for box in self.boxes)

    def spell(self, symbol: Symbol) -> str:
        """Return the glyph of a symbol."""
        return self.glyphs.symbol(symbol, self._targets.get(symbol, ""))

    def name(self, node: Node) -> str:
        """Return the name of a node in formulas."""
        return self.formulas.name(node)

    def forward_name(self, node: Node) -> str:
        """Return v_i for a differentiated node, which may itself be an adjoint."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        plain = [symbol for symbol in symbols if not symbol.mark]
        return self.spell(plain[0]) if plain else self.name(node)

    def partial_name(self, node: Node) -> str:
        """Return v̄_{k→i} for a partial adjoint, which may also be v̄_k."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        edges = [symbol for symbol in symbols if len(symbol.index) == 2]
        return self.spell(edges[0]) if edges else self.name(node)

    def adjoint_name(self, node: Node) -> str:
        """Return v̄_k for an adjoint, which may also be v̄_{k→i}."""
        symbols = self.labels.symbols.get(self.view.behind(node), ())
        return self.spell(symbols[0]) if symbols else self.name(node)

    def latex(self) -> Formulas:
        """Return all formulas in LaTeX with glyphs for symbols."""
        return Formulas(self.view, self.labels, True, self.spell, self._named, self.glyphs.text)

    def substituted(self) -> Formulas:
        """Return all formulas in LaTeX with values in place of symbols."""
        nodes = {s: node for node, symbols in self.labels.symbols.items() for s in symbols}
        nodes |= {symbol: node for node, symbol in self.formulas.auxiliary.items()}

        def spell(symbol: Symbol) -> str:
            node = nodes.get(symbol)
            if node not in self.places:
                return self.spell(symbol)
            return self.glyphs.value(self.places[node], inner=True)

        return Formulas(self.view, self.labels, True, spell, self._named, self.glyphs.text)

    def edge_into(self, node: Node, slot: int) -> str:
        """Return the id of the arrow to an argument; empty inside a folded box."""
        return self.picture.edge_ids.get((node, slot), "")

    def edges_into(self, node: Node) -> list[str]:
        """Return the ids of the arrows that end at a node."""
        edges = (self.edge_into(node, source.slot) for source in self.view.sources(node))
        return [edge for edge in edges if edge]

    def within(self, node: Node) -> list[str]:
        """Return the ids of all that is inside the frame of a loop that is drawn open."""
        return self._within.get(self.ids[node], [])

    def _all_within(self, levels: Sequence[Level]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for level in reversed(levels[1:]):  # inner before outer ones
            ids = {box.id for box in level.boxes}
            own = level.frame
            arrows = [
                arrow.id
                for arrow in self.picture.arrows
                if arrow.target.id in ids or arrow.target.id == own and arrow.source.id in ids
            ]
            deeper = [key for box in level.boxes for key in found.get(box.id, ())]
            badges = map(self._badge, level.box_of)
            found[own] = list(dict.fromkeys([*ids, *arrows, *deeper, *filter(None, badges)]))
        return found

    def _badge(self, node: Node) -> str:
        """Return the id of the badge that a partial adjoint has on the arrow of its edge."""
        role = node.role
        if role is None or role.consumer is None or role.slot is None:
            return ""
        ends = self.view.behind(role.node), self.view.behind(role.consumer)
        return (
            f"b-{self.edge_into(ends[1], role.slot)}"
            if (*ends, role.slot) in self._partials
            else ""
        )

    def uses(self, node: Node) -> list[str]:
        """Return the ids of the inputs of a node, and of the arrows from them."""
        inputs = [self.ids[source.node] for source in self.view.sources(node)]
        return list(dict.fromkeys([*inputs, *self.edges_into(node)]))

    def adjoint_sum(self, node: Node) -> str:
        """Return the formula of an adjoint, with the terms of a sum written out."""
        seen = self.view.behind(node)
        if seen.role is not None and seen.role.kind is RoleKind.SUM:
            terms = self.formulas.right_sides
            if len(seen.inputs) > _MOST_TERMS:
                first = [terms.get(self.view.behind(n), n.label) for n in seen.inputs[:3]]
                return f"{' + '.join(first)} + … ({len(seen.inputs):,} terms)"
            return format_term(seen, lambda term: terms.get(self.view.behind(term), term.label))
        return self.formulas.right_sides.get(seen, self.name(seen))

    # Text on nodes and arrows

    def lines(self, box: Box, kind: Kind) -> Iterator[TextLine]:
        """Yield the lines of a box: symbols, formula, and the value, which is shown later."""
        glyphs, node = self.glyphs, box.node
        if node is None:
            yield glyphs.symbol_line(glyphs.text(box.title))
            yield TextLine(f"{len(box.nodes):,} nodes", MIDDLE)
            return
        symbols = " = ".join(map(self.spell, self.labels.symbols.get(node, ())))
        if symbols or (box.pieces and node in self.formulas.auxiliary):
            yield glyphs.symbol_line(symbols or self.name(node))
        if box.pieces:
            yield from glyphs.formula_lines(", ".join(map(self._piece, box.pieces)))
        elif isinstance(node, Variable):
            yield glyphs.line(glyphs.text(node.label, _LONGEST_NAME))
        elif isinstance(node, Constant):
            text = node.name or format_value(node.value)
            yield glyphs.line(glyphs.text(text, _LONGEST_NAME))
        else:
            yield from glyphs.formula_lines(self._formula(node, kind))
            if node.name:
                yield glyphs.line(glyphs.text(node.name, _LONGEST_NAME))
        if node in self.view.values and not isinstance(node, Constant):
            place, value = self.places[node], self.view.values[node]
            text = glyphs.value(place) if is_number(value) else summarise(value)
            yield glyphs.line(text, bold=True, key=f"{box.id}v", value=place)

    def _piece(self, piece: Piece) -> str:
        word, node = piece
        text = self.glyphs.text(word, _LONGEST_NAME) if word else ""
        return text if node is None else f"{text} {self.name(node)}".strip()

    def _formula(self, node: Node, kind: Kind) -> str:
        if len(node.inputs) > _MOST_TERMS:
            what = "sum" if kind is Kind.SUM or node.op is None else node.op.name
            return f"{what} of {len(node.inputs):,} terms"
        return self.formulas.right_sides.get(node, node.label)

    def tip(self, box: Box, kind: Kind, lines: Sequence[TextLine]) -> str:
        """Return the kind of a box and its lines, except for the value."""
        return tip_of(kind, lines)

    def saved(self, piece: Piece) -> None:
        """Return ``None``: the frame of the derivative shows what was saved."""

    def edge_note(self, node: Node, source: Source) -> TextLine | None:
        """Return the partial adjoint that belongs to an arrow of the forward graph."""
        symbol = self._partials.get((source.node, node, source.slot))
        return None if symbol is None else self.glyphs.line(self.spell(symbol))

    def _all_partials(self) -> dict[tuple[Node, Node, int], Symbol]:
        """Return the symbol of the partial adjoint of each edge that has one."""
        found = {}
        for node, symbols in self.labels.symbols.items():
            role = node.role
            if role is None or role.consumer is None or role.slot is None or node not in self.ids:
                continue
            ends = (self.view.behind(role.node), self.view.behind(role.consumer))
            for symbol in symbols:
                if len(symbol.index) == 2:
                    found[*ends, role.slot] = symbol
        return found


def tip_of(kind: Kind, lines: Sequence[TextLine]) -> str:
    """Return the tooltip of a node: its kind and its permanent lines."""
    texts: list[str] = []
    for line in lines:
        text = line.code or line.text
        if line.continues:
            texts[-1] += text if texts[-1].endswith(("(", "[")) else f" {text}"
        elif not line.key:
            texts.append(text)
    return f"{kind}: {', '.join(dict.fromkeys(texts))}"


def is_finite(value: Any) -> bool:
    """Return whether a value, or every item of a structure, is finite."""
    return all(np.all(np.isfinite(array)) for array in numbers_in(value))


def equation(*sides: str) -> str:
    """Return an equation of LaTeX sides as MathML; repeated sides are left out."""
    return mathml(" = ".join(dict.fromkeys(side for side in sides if side)))


def shortened(names: Sequence[str], between: str, gap: str) -> str:
    """Return the names joined; the middle of a long list is left out."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 2], gap, names[-1]]
    return between.join(names)
