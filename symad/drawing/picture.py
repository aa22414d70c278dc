"""The contents of a picture of a graph, without positions.

symad lays it out (:mod:`symad.drawing.placed_picture`) and writes it as SVG
(:mod:`symad.drawing.svg`); DOT text (:mod:`symad.drawing.dot`) has no positions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from symad.drawing.fold import Box
from symad.drawing.style import EMPHASIS, FAINT, INK, SHAPES, hue_of
from symad.graph.node import Node
from symad.notation.roles import Kind, Part
from symad.records import dataclass, field, replace

BIG, MIDDLE, SMALL = 17, 15, 12
"""The font sizes of symbols, formulas, and less important text."""

ARROW_LETTERS = {"n": "e", "p": "f", "q": "g", "s": "c"}
"""The first letter of the ``id`` of an arrow, by the first letter of its boxes."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text in a picture, with visible characters only.

    Attributes
    ----------
    text : str
    size : int
    color : str
    bold, italic : bool
    code : str
        The text for a page that writes symbols and values itself; empty if it is the same.
    key : str
        The key of the line for the steps of a page; the line appears when a step shows it.
    value : int or None
        The index of the value that a page shows here.
    continues : bool
        Whether the line goes on with the formula of the line above it.
    """

    text: str
    size: int = SMALL
    color: str = INK
    bold: bool = False
    italic: bool = False
    code: str = ""
    key: str = ""
    value: int | None = None
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """The appearance of a box in a picture.

    Attributes
    ----------
    box : Box
    kind : Kind
    lines : tuple of TextLine
    tip : str
        The tooltip.
    requested : bool
        Whether it is an output.
    fill : str
        Its colour, if it differs from the colour of its part.
    at : str
        The ``id`` of an earlier shape that it replaces; empty if it has its own place.
    emphasis : {"", "now", "use"}
        Whether a step is about it, or uses it.
    """

    box: Box
    kind: Kind
    lines: tuple[TextLine, ...]
    tip: str
    requested: bool = False
    fill: str = ""
    at: str = ""
    emphasis: str = ""

    @property
    def place(self) -> str:
        """The ``id`` of the shape at its place: usually its own."""
        return self.at or self.box.id

    @property
    def look(self) -> dict[str, str]:
        """Form and colours, as attributes of Graphviz."""
        hue = hue_of(self.box.own_part)
        look = {"color": hue.strong, "fillcolor": hue.pale, **SHAPES[self.kind]}
        if self.fill:
            look["fillcolor"] = self.fill
        if self.requested:
            look["penwidth"] = "3"
        return look | EMPHASIS.get(self.emphasis, {})


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from a box to another that uses it.

    Attributes
    ----------
    source, target : Box
    slot : int
        The argument slot; -1 if one end is folded.
    repaired, shape_only : bool
        As in :class:`symad.notation.view.Source`.
    ranks : bool
        Whether it decides which of its ends is drawn higher.
    rises : bool
        Whether it points upwards, as arrows between adjoints do.
    note : TextLine or None
        Text on the arrow.
    emphasis : {"", "now", "use"}
        Whether a step is about it, or uses it.
    """

    source: Box
    target: Box
    slot: int
    repaired: bool = False
    shape_only: bool = False
    ranks: bool = True
    rises: bool = False
    note: TextLine | None = None
    emphasis: str = ""

    @property
    def id(self) -> str:
        """The ``id`` in DOT and SVG."""
        letter = ARROW_LETTERS[self.source.id[0]]
        ends = f"{letter}{self.source.id[1:]}_{self.target.id[1:]}"
        return f"{ends}_{self.slot}" if self.slot >= 0 else ends

    def counting(self, values: Collection[Node]) -> Arrow:
        """Return it with the number of values that pass, if both ends are folded."""
        if {self.source.node, self.target.node} != {None} or len(values) < 2:
            return self
        return replace(self, note=TextLine(f"{len(values)}"))

    @property
    def counts(self) -> bool:
        """Whether its note is the number of values that pass."""
        return self.slot < 0 and self.note is not None

    @property
    def crosses(self) -> bool:
        """Whether it leads from one part to another."""
        return self.source.own_part != self.target.own_part

    @property
    def ordered(self) -> bool:
        """Whether the order of the arguments is visible: not if they may be swapped."""
        op = None if self.target.node is None else self.target.node.op
        return op is not None and not op.commutative

    @property
    def part(self) -> Part:
        """The part that gives its colour."""
        return self.source.own_part if self.crosses else self.target.own_part

    @property
    def look(self) -> dict[str, str]:
        """Colour, line and head, as attributes of Graphviz."""
        look = {"color": hue_of(self.part).strong}
        if self.repaired:
            look["style"] = "dashed"
        if self.shape_only:
            look |= {"style": "dotted", "color": FAINT}
        if self.crosses:
            look |= {"penwidth": "1.2", "arrowsize": "0.7"}
        return look | ({"penwidth": "3"} if self.emphasis else {})


@dataclass(frozen=True, slots=True)
class Swatch:
    """An entry of the legend."""

    glyph: str
    text: str
    color: str


@dataclass(frozen=True)
class Picture:
    """Everything that a picture shows.

    Attributes
    ----------
    shapes : sequence of Shape
        In topological order.
    arrows : sequence of Arrow
    rows : sequence of sequences of Box
        Forward nodes and their derivatives, which are drawn side by side.
    legend : sequence of Swatch
    notes : tuple of str
        Notes on what the picture leaves out.
    edge_ids : dict from (Node, int) to str
        The ``id`` of the arrow for an argument (node, slot), except inside a folded box.
    passing : dict from str to set of Node
        The values that pass along each arrow from or to a folded box, by the arrow's ``id``.
    """

    shapes: Sequence[Shape]
    arrows: Sequence[Arrow]
    rows: Sequence[Sequence[Box]]
    legend: Sequence[Swatch] = ()
    notes: tuple[str, ...] = ()
    edge_ids: Mapping[tuple[Node, int], str] = field(default_factory=dict)
    passing: Mapping[str, Collection[Node]] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """The parts of the picture, from left to right."""
        return sorted({shape.box.part for shape in self.shapes})
