"""Composes the picture of a view: its boxes, arrows, rows and legend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from symad.drawing.flow import Flow
from symad.drawing.fold import Box, Piece
from symad.drawing.levels import Connection, Level, connections, nested
from symad.drawing.picture import Arrow, Picture, Shape, Swatch, TextLine
from symad.drawing.style import ACCENT, FAINT, GLYPHS, INK, SHAPES, hue_of
from symad.graph.node import Node
from symad.notation.bodies import named_results
from symad.notation.labels import Labels
from symad.notation.roles import Kind, Part, kind_of
from symad.notation.view import Source, View
from symad.ops.structure import StructureItem
from symad.records import replace


class Lettering(Protocol):
    """Writes the text on nodes and arrows."""

    def lines(self, box: Box, kind: Kind) -> Iterable[TextLine]:
        """Return the text on a box."""

    def tip(self, box: Box, kind: Kind, lines: Sequence[TextLine]) -> str:
        """Return the tooltip of a box."""

    def saved(self, piece: Piece) -> TextLine | None:
        """Return the text on the arrow to a derivative from a loop that saved something for it."""

    def edge_note(self, node: Node, source: Source) -> TextLine | None:
        """Return the text on the arrow to a node from one of its inputs."""


def compose(
    view: View,
    labels: Labels,
    levels: Sequence[Level],
    lettering: Lettering,
    notes: Sequence[str] = (),
    requested: Collection[Node] | None = None,
    highlighted: Collection[Node] = (),
) -> Picture:
    """Return the picture of a view.

    Parameters
    ----------
    view : View
    labels : Labels
    levels : sequence of Level
        The boxes of its nodes.
    lettering : Lettering
    notes : sequence of str
        Notes on what the picture leaves out.
    requested : collection of Node, optional
        The nodes with a thick border; by default the outputs.
    highlighted : collection of Node
        The nodes that the picture is about, with the arrows between them.
    """
    if requested is None:
        requested = {view.behind(node) for node in view.outputs}
    composer = _Composer(view, labels, levels, lettering, requested, highlighted)
    return composer.picture(tuple(notes))


class _Composer:
    """Chooses the looks of boxes and arrows."""

    def __init__(
        self, view: View, labels: Labels, levels: Sequence[Level], lettering: Lettering,
        requested: Collection[Node], highlighted: Collection[Node],
    ) -> None:  # fmt: skip
        self._view = view
        self._labels = labels
        self._levels = levels
        self._boxes = list(nested(levels))
        self._deepest = max(box.own_part.generation for box in self._boxes)
        self._lettering = lettering
        self._box_of: dict[Node, Box] = {}  # the first of each node
        for level in reversed(levels):
            self._box_of |= level.box_of
        self._flow = Flow(view, labels)
        self._requested = set(requested)
        self._highlighted = set(highlighted)

    def picture(self, notes: tuple[str, ...]) -> Picture:
        arrows: dict[tuple[Node, int], Arrow] = {}
        distinct: dict[str, Arrow] = {}
        passing: dict[str, set[Node]] = {}
        for found, arrow in self._all_arrows():
            arrows.setdefault((found.node, found.slot), arrow)
            # of several arrows between folded boxes, one that ranks them
            if arrow.id not in distinct or arrow.ranks:
                distinct[arrow.id] = arrow
            if found.source and arrow.slot < 0:
                passing.setdefault(arrow.id, set()).add(found.source.node)
        distinct |= {name: distinct[name].counting(values) for name, values in passing.items()}
        return Picture(
            [self._shape(box) for box in self._boxes],
            list(distinct.values()),
            self._rows(),
            list(self._legend(distinct.values())),
            notes,
            {argument: arrow.id for argument, arrow in arrows.items()},
            passing,
        )

    # Boxes

    def _shape(self, box: Box) -> Shape:
        kind = self._kind(box)
        lines = tuple(self._lettering.lines(box, kind))
        tip = self._lettering.tip(box, kind, lines)
        requested = not self._requested.isdisjoint(box.nodes)
        emphasis = "now" if self._is_highlighted(box) else ""
        return Shape(box, kind, lines, tip, requested, emphasis=emphasis)

    def _is_highlighted(self, box: Box) -> bool:
        return not self._highlighted.isdisjoint(box.nodes)

    def _kind(self, box: Box) -> Kind:
        if box.node is None:
            return Kind.FOLDED
        if box.pieces and box.node.op is None:
            return Kind.PORT
        return kind_of(box.node, self._labels)

    # Arrows

    def _all_arrows(self) -> Iterator[tuple[Connection, Arrow]]:
        for found in connections(self._view, self._levels):
            arrow = self._arrow(found) if found.source else self._arrow_at_frame(found)
            if self._is_highlighted(found.start) and self._is_highlighted(found.end):
                arrow = replace(arrow, emphasis="use")
            yield found, arrow

    def _arrow(self, found: Connection) -> Arrow:
        node, source, start, end = found.node, found.source, found.start, found.end
        assert source is not None
        folded = start.node is None or end.node is None
        inside = start.own_part == end.own_part
        ranks = self._flow.agrees(source.node, node) if inside else self._flows_down(start, end)
        rises = inside and ranks and self._rises(found.level, node)
        if folded:
            return Arrow(start, end, -1, ranks=ranks, rises=rises)
        note = self._saved(found)
        if note is None:
            note = self._edge_note(found, source)
        return Arrow(
            start, end, source.slot, source.repaired, source.shape_only, ranks, rises, note
        )

    def _arrow_at_frame(self, found: Connection) -> Arrow:
        """Return an arrow to an input of a loop's body, or from the body to the results."""
        start, end = found.start, found.end
        own = found.level.find(found.node).own_part
        alike = start.own_part == end.own_part
        ranks = alike or (found.enters and self._deepest < 2)
        rises = alike and end.own_part == own and self._rises(found.level, found.node)
        sources = self._view.sources(found.node) if found.enters else ()
        source = next((source for source in sources if source.slot == found.slot), None)
        note = None if source is None else self._edge_note(found, source)
        return Arrow(start, end, found.slot, ranks=ranks, rises=rises, note=note)

    def _edge_note(self, found: Connection, source: Source) -> TextLine | None:
        """Return the text on an arrow, unless it repeats another one."""
        is_first = self._box_of[found.node] is found.level.box_of[found.node]
        return self._lettering.edge_note(found.node, source) if is_first else None

    def _saved(self, found: Connection) -> TextLine | None:
        """Return the text on an arrow by which a derivative takes what a loop has saved."""
        start, end, op = found.start, found.end, found.node.op
        if start.part == end.part or not start.pieces or not isinstance(op, StructureItem):
            return None
        assert start.node is not None
        word, saved = named_results(start.node)[op.key]
        return self._lettering.saved(("saved" if word == "all" else word, saved))

    def _rises(self, level: Level, node: Node) -> bool:
        """Return whether the inputs of a node are below it, as those of the loop around it are."""
        owner, box = level.owner, level.box_of[node]
        if node.role is None and owner is not None and level.around is not None:
            return box.own_part.family == "adjoint" and self._rises(level.around, owner)
        return self._flow.rises(node)

    def _flows_down(self, start: Box, end: Box) -> bool:
        """Return whether an arrow to another part may constrain heights, as for tangents."""
        source, node, part = start.node, end.node, end.own_part
        if source is None or node is None or node.role is None or part.generation > 1:
            return False
        return part.family == "tangent" and self._view.behind(node.role.node) is not source

    # Rows

    def _rows(self) -> list[list[Box]]:
        rows: dict[str, list[Box]] = {}
        for level in self._levels:
            for node, box in level.box_of.items():
                beside = self._beside(node, box)
                if beside is not None and beside.node is not None and box.node is not None:
                    rows.setdefault(beside.id, [beside]).append(box)
        runs: dict[int, list[Box]] = {}
        for box in self._boxes:
            if box.run is not None:
                runs.setdefault(box.run, []).append(box)
        found = [*rows.values(), *(row for row in runs.values() if len(row) > 1)]
        return [sorted(row, key=lambda box: box.part) for row in found]

    def _beside(self, node: Node, box: Box) -> Box | None:
        """Return the box that a box is drawn beside: of the node whose derivative it is."""
        first = self._box_of[node]
        if first is not box:
            return first  # a derivative repeats a step
        symbol = self._labels.of(node)
        if node.role is None or symbol is None or not symbol.mark:
            return None
        if len(symbol.index) != 1 or symbol.copy:
            return None
        return self._box_of.get(self._view.behind(node.role.node))

    # Legend

    def _legend(self, arrows: Collection[Arrow]) -> Iterator[Swatch]:
        parts = sorted({box.own_part for box in self._boxes})
        if parts[-1].generation > 1:
            yield from (Swatch("■", part.title, hue_of(part).strong) for part in parts)
        order = list(Kind)
        found = {(box.own_part, order.index(self._kind(box))) for box in self._boxes}
        first: dict[Kind, Part] = {}
        for part, place in sorted(found):
            first.setdefault(order[place], part)
        for kind, part in first.items():
            strong = SHAPES[kind].get("color", hue_of(part).strong)
            yield Swatch(GLYPHS[kind], kind.value, strong)
        if any(arrow.counts for arrow in arrows):
            yield Swatch("②▸", "number of values that pass", INK)
        if any(arrow.repaired for arrow in arrows):
            yield Swatch("┄▸", "shape repair left out", FAINT)
        if any(arrow.shape_only for arrow in arrows):
            yield Swatch("⋯▸", "only the shape is used", FAINT)
        if self._highlighted:
            yield Swatch("━", "highlighted", ACCENT)
        if self._requested.intersection(node for box in self._boxes for node in box.nodes):
            yield Swatch("━", "thick border: requested output", INK)
