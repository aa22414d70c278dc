"""Loops, branches and maps drawn open: a frame around the boxes of their bodies.

A picture has a level for the graph, and one for each node that is drawn open, at any depth.  The
box of such a node is inside its own frame and collects its results.  The inputs of its bodies are
ports, one for each input of the op, with an arrow from what they represent outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from symad.drawing.fold import Box, Frame, Piece, make_boxes, scopes
from symad.graph.node import Node
from symad.notation.bodies import Port, is_loop, named_results, title_of, titles_of_bodies
from symad.notation.labels import Labels
from symad.notation.roles import Part, part_of
from symad.notation.view import Source, View
from symad.ops.body import WithBody
from symad.ops.structure import StructureItem
from symad.records import dataclass, field, replace

_SMALL = 40
"""The most boxes inside a loop that is drawn open without being asked for."""

Fold = bool | Collection[Node] | None
"""The loops to draw closed: all, none, some; or those that are large."""


@dataclass
class Level:
    """The boxes of one graph, or of the bodies of a node that is drawn open.

    Attributes
    ----------
    boxes : list of Box
    box_of : dict from Node to Box
    owner : Node or None
        The node that is drawn open.
    around : Level or None
        The level with the box of the owner.
    frame : str
        The ``id`` of that box.
    ports : list of (Box, Port)
        Boxes of inputs, and what they represent.
    """

    boxes: list[Box]
    box_of: dict[Node, Box]
    owner: Node | None = None
    around: Level | None = None
    frame: str = ""
    ports: list[tuple[Box, Port]] = field(default_factory=list)

    def find(self, node: Node) -> Box:
        """Return the box of a node in this level or around it."""
        level: Level | None = self
        while level is not None:
            if node in level.box_of:
                return level.box_of[node]
            level = level.around
        raise KeyError(node)


@dataclass(frozen=True, slots=True)
class Connection:
    """What an arrow of a picture connects.

    Attributes
    ----------
    level : Level
        The level of the node.
    node : Node
    slot : int
        The argument of the node; greater numbers for the results of an open node.
    start, end : Box
    source : Source or None
        The input of the node; ``None`` at the frame of an open node.
    enters : bool
        Whether it leads into the frame of the node, to a port.
    """

    level: Level
    node: Node
    slot: int
    start: Box
    end: Box
    source: Source | None = None
    enters: bool = False


def connections(view: View, levels: Sequence[Level]) -> Iterator[Connection]:
    """Yield the connections of all boxes, except from a box to itself."""
    inner = {level.frame: level for level in levels[1:]}
    for level in levels:
        for node, box in level.box_of.items():
            sources = view.sources(node)
            if box.id in inner:
                yield from _at_frame(view, level, node, inner[box.id])
                sources = [source for source in sources if source.slot < _op(node).leading]
            for source in sources:
                start = level.find(source.node)
                if start is not box:
                    yield Connection(level, node, source.slot, start, box, source)


def _at_frame(view: View, level: Level, node: Node, inner: Level) -> Iterator[Connection]:
    """Yield the connections to the ports of an open node, and to its results."""
    for port, meaning in inner.ports:
        outer = view.behind(meaning.outer)
        if view.shows(outer):
            slot = meaning.slot + _op(node).leading
            yield Connection(level, node, slot, level.find(outer), port, enters=True)
    box = level.box_of[node]
    found = [piece for _, piece in box.pieces if piece is not None]
    ends = found or [y for body in _op(node).bodies for y in body.outputs]
    for place, output in enumerate(dict.fromkeys(ends), len(node.inputs)):
        yield Connection(level, node, place, inner.find(view.behind(output)), box)


def make_levels(
    view: View, labels: Labels, limit: int, fold: Fold = None
) -> tuple[list[Level], str]:
    """Return the levels of a picture, outer before inner ones, and a note on what was folded.

    Parameters
    ----------
    view : View
        Only a view that looks into bodies has more than one level.
    labels : Labels
    limit : int
        A graph with more nodes is folded.
    fold : bool, collection of Node, or None
        The loops to draw closed; by default those that have many nodes, or too many together.
    """
    boxes, note = make_boxes(view, labels, limit)
    outermost = Level(boxes, {node: box for box in boxes for node in box.nodes})
    opener = _Opener(view, labels, limit, fold, bool(note))
    levels = opener.levels(outermost)
    return levels, note or opener.note


class _Opener:
    """Opens nodes with bodies, level by level."""

    def __init__(self, view: View, labels: Labels, limit: int, fold: Fold, is_folded: bool) -> None:
        self._view = view
        self._labels = labels
        self._room = 0 if is_folded else limit - len(view.nodes)
        self._fold = fold
        self._first: dict[Node, Box] = {}  # by node, the box that was made first
        self._count = 0
        self._closed = 0
        self._read = _read_results(view)

    def levels(self, outermost: Level) -> list[Level]:
        """Return all levels of a picture, whose outermost is given."""
        levels = [outermost]
        self._first.update(outermost.box_of)
        self._count = len(outermost.boxes)
        for level in levels if self._view.bodies.graphs else ():  # grows as it goes
            for place, box in enumerate(level.boxes):
                if box.node is not None and self._is_open(box.node):
                    level.boxes[place] = opened = self._frame(box, box.node)
                    level.box_of[box.node] = opened
                    levels.append(self._inside(level, opened, box.node))
        return levels

    def _is_open(self, node: Node) -> bool:
        if not is_loop(node):
            return False
        if isinstance(self._fold, bool):
            return not self._fold
        if self._fold is not None:
            return node not in self._fold
        count = sum(len(body.nodes) for body in _op(node).bodies)
        fits = count <= min(_SMALL, self._room)
        self._room -= count if fits else 0
        self._closed += not fits
        return fits

    @property
    def note(self) -> str:
        """A note on the loops that are closed because they are large."""
        if not self._closed:
            return ""
        many = "A loop is" if self._closed == 1 else f"{self._closed} loops are"
        return f"{many} drawn closed, as one node: fold=False opens all."

    def _frame(self, box: Box, node: Node) -> Box:
        """Return the box of a node inside its own frame."""
        scope = (*box.scope, Frame(title_of(node), box.id))
        named = named_results(node)
        read = [named[key] for key in sorted(self._read[node])] if node in self._read else named
        return replace(box, scope=scope, pieces=tuple(dict.fromkeys(read)))

    def _inside(self, around: Level, box: Box, owner: Node) -> Level:
        level = Level([], {}, owner, around, box.id)
        op = _op(owner)
        for slot, own in enumerate(op.bodies[-1].inputs):
            if self._is_port(own, op):
                port = Port(owner, slot)
                made = self._add(level, own, box, box.scope, self._pieces(port, own))
                level.ports.append((made, port))
        for body, title in zip(op.bodies, titles_of_bodies(owner), strict=True):
            frames = (Frame(title, f"{box.id}.{title}"),) if title else ()
            for node in body.nodes:
                inner = scopes(node.scope[len(owner.scope) :])
                if node not in level.box_of and node not in self._view.through:
                    self._add(level, node, box, (*box.scope, *frames, *inner))
        return level

    def _is_port(self, own: Node, op: WithBody) -> bool:
        behind = self._view.through
        return own not in behind and any(
            own is node or behind.get(node) is own
            for body in op.bodies
            for node in (*body.nodes, *body.outputs)
        )

    def _add(
        self,
        level: Level,
        node: Node,
        around: Box,
        scope: tuple[Frame, ...],
        pieces: tuple[Piece, ...] = (),
    ) -> Box:
        part = self._own_part(node, around)
        box = Box(f"n{self._count}", around.part, scope, (node,), "", part, pieces)
        self._count += 1
        level.boxes.append(box)
        level.box_of[node] = box
        self._first.setdefault(node, box)
        return box

    def _own_part(self, node: Node, around: Box) -> Part:
        """Return the part of a node by itself: a derivative repeats steps of the forward graph."""
        if node in self._first:
            return self._first[node].own_part
        if self._labels.role_of(node) is None:
            return around.own_part
        return part_of(node, self._labels)

    def _pieces(self, port: Port, own: Node) -> tuple[Piece, ...]:
        if port.is_carry:
            return (("carry, next", _op(port.owner).bodies[-1].outputs[port.slot]),)
        first = self._view.bodies.ports.get(own, port)
        if first.owner is not port.owner and first.is_carry and port.is_element:
            return (("saved carry", None),)
        outer = self._view.behind(port.outer)
        name = outer.label if outer.op is None else ""
        if port.is_element:
            return ((f"{name}[i]", None),) if name else (("element of", outer),)
        return ((name, None),) if name else (("=", outer),)


def nested(levels: Sequence[Level]) -> Iterator[Box]:
    """Yield all boxes in topological order: those inside a frame before that of its owner."""
    inner = {level.frame: level for level in levels[1:]}
    pending = list(reversed(levels[0].boxes))
    while pending:
        box = pending.pop()
        level = inner.pop(box.id, None)
        if level is None:
            yield box
        else:
            pending += [box, *reversed(level.boxes)]


def _read_results(view: View) -> dict[Node, set[int]]:
    """Return the results that are read of each loop with several, unless all are."""
    read: dict[Node, set[int]] = {}
    whole = set(view.outputs)
    for node in view.everything if view.bodies.graphs else ():
        for source in node.inputs:
            if isinstance(node.op, StructureItem):
                read.setdefault(source, set()).add(node.op.key)
            else:
                whole.add(source)
    return {node: keys for node, keys in read.items() if node not in whole and is_loop(node)}


def _op(node: Node) -> WithBody:
    assert isinstance(node.op, WithBody)
    return node.op
