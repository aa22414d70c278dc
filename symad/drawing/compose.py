"""Composes the picture of a view: its boxes, arrows, rows and legend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from symad.drawing.flow import Flow
from symad.drawing.fold import Box
from symad.drawing.picture import Arrow, Picture, Shape, Swatch, TextLine
from symad.drawing.style import FAINT, GLYPHS, INK, SHAPES, hue_of
from symad.graph.node import Node
from symad.notation.labels import Labels
from symad.notation.roles import Kind, Part, kind_of
from symad.notation.view import Source, View


class Lettering(Protocol):
    """Writes the text on nodes and arrows."""

    def lines(self, box: Box, kind: Kind) -> Iterable[TextLine]:
        """Return the text on a box."""

    def tip(self, box: Box, kind: Kind, lines: Sequence[TextLine]) -> str:
        """Return the tooltip of a box."""

    def edge_note(self, node: Node, source: Source) -> TextLine | None:
        """Return the text on the arrow to a node from one of its inputs."""


def compose(
    view: View,
    labels: Labels,
    boxes: Sequence[Box],
    lettering: Lettering,
    notes: Sequence[str] = (),
    requested: Collection[Node] | None = None,
) -> Picture:
    """Return the picture of a view.

    Parameters
    ----------
    view : View
    labels : Labels
    boxes : sequence of Box
        The boxes of its nodes.
    lettering : Lettering
    notes : sequence of str
        Notes on what the picture leaves out.
    requested : collection of Node, optional
        The highlighted nodes; by default the outputs.
    """
    if requested is None:
        requested = {view.behind(node) for node in view.outputs}
    return _Composer(view, labels, boxes, lettering, requested).picture(tuple(notes))


class _Composer:
    """Chooses the looks of boxes and arrows."""

    def __init__(
        self, view: View, labels: Labels, boxes: Sequence[Box], lettering: Lettering,
        requested: Collection[Node],
    ) -> None:  # fmt: skip
        self._view = view
        self._labels = labels
        self._boxes = boxes
        self._lettering = lettering
        self._box_of = {node: box for box in boxes for node in box.nodes}
        self._flow = Flow(view, labels)
        self._requested = set(requested)

    def picture(self, notes: tuple[str, ...]) -> Picture:
        arrows = {(node, slot): arrow for node, slot, arrow in self._all_arrows()}
        distinct: dict[str, Arrow] = {}
        for arrow in arrows.values():  # of several arrows between folded boxes, one that ranks them
            if arrow.id not in distinct or arrow.ranks:
                distinct[arrow.id] = arrow
        return Picture(
            [self._shape(box) for box in self._boxes],
            list(distinct.values()),
            self._rows(),
            list(self._legend(distinct.values())),
            notes,
            {argument: arrow.id for argument, arrow in arrows.items()},
        )

    # Boxes

    def _shape(self, box: Box) -> Shape:
        kind = self._kind(box)
        lines = tuple(self._lettering.lines(box, kind))
        tip = self._lettering.tip(box, kind, lines)
        return Shape(box, kind, lines, tip, not self._requested.isdisjoint(box.nodes))

    def _kind(self, box: Box) -> Kind:
        return Kind.FOLDED if box.node is None else kind_of(box.node, self._labels)

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
        rises = inside and ranks and self._flow.rises(node)
        if folded:
            return Arrow(start, end, -1, ranks=ranks, rises=rises)
        note = self._lettering.edge_note(node, source)
        return Arrow(
            start, end, source.slot, source.repaired, source.shape_only, ranks, rises, note
        )

    def _flows_down(self, start: Box, end: Box) -> bool:
        """Return whether an arrow to another part may constrain heights, as for tangents."""
        source, node, part = start.node, end.node, end.part
        if source is None or node is None or node.role is None or part.generation > 1:
            return False
        return part.family == "tangent" and self._view.behind(node.role.node) is not source

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

    def _legend(self, arrows: Collection[Arrow]) -> Iterator[Swatch]:
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
        if self._requested:
            yield Swatch("━", "thick border: requested output", INK)
