"""Folding: a large graph is drawn with one box for each scope or run of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from symad.graph.node import Node
from symad.notation.labels import Labels, Symbol
from symad.notation.roles import Part, part_of
from symad.notation.view import View
from symad.records import dataclass

_CHUNKS = 24  # the number of boxes for a part without scopes


Piece = tuple[str, Node | None]
"""A word on a box, and the node whose name follows it."""


class Frame(NamedTuple):
    """A frame around boxes: a scope, or a loop that is drawn open.

    Attributes
    ----------
    title : str
    key : str
        Tells frames of one title apart; empty for a scope.
    """

    title: str
    key: str = ""


def scopes(names: Iterable[str]) -> tuple[Frame, ...]:
    """Return the frames of nested scopes."""
    return tuple(map(Frame, names))


@dataclass(frozen=True)
class Box:
    """One box of a picture: a node, or several nodes folded into one.

    Attributes
    ----------
    id : str
        The ``id`` in DOT and SVG.
    part : Part
        The part that it is drawn in.
    scope : tuple of Frame
        The frames around it.
    nodes : tuple of Node
    title : str
        The title of a folded box.
    repeats : Part or None
        The part that its node belongs to, if it is another.
    pieces : tuple of Piece
        What the node is, in place of its formula: for inputs of bodies, and results of loops.
    """

    id: str
    part: Part
    scope: tuple[Frame, ...]
    nodes: tuple[Node, ...]
    title: str = ""
    repeats: Part | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def own_part(self) -> Part:
        """The part that its node belongs to: a derivative repeats steps of the forward graph."""
        return self.repeats or self.part

    @property
    def node(self) -> Node | None:
        """The node, or ``None`` for a folded box."""
        return None if self.title else self.nodes[0]


def make_boxes(view: View, labels: Labels, limit: int) -> tuple[list[Box], str]:
    """Return the boxes of a picture in topological order, and a note on what was folded.

    Parameters
    ----------
    view : View
    labels : Labels
    limit : int
        A graph with more nodes is folded.
    """
    parts = {node: part_of(node, labels) for node in view.nodes}
    if len(view.nodes) <= limit:
        return _collect(view.nodes, parts, lambda node: None), ""
    depth = _scope_depth(view.nodes, parts, limit)
    if depth:
        boxes = _collect(view.nodes, parts, lambda node: _scope_key(node, depth))
        how = "folded by scope"
    else:
        chunk = _chunks(view, labels, parts)
        boxes = _collect(view.nodes, parts, lambda node: chunk[node])
        how = "neighbouring nodes are folded, because the graph has no usable scopes"
    return boxes, f"{len(view.nodes):,} nodes are drawn as {len(boxes)} boxes: {how}."


_Key = tuple[tuple[Frame, ...], str]
"""The scope around a folded box, and its title."""


def _collect(
    nodes: Sequence[Node], parts: dict[Node, Part], key_of: Callable[[Node], _Key | None]
) -> list[Box]:
    groups: dict[object, list[Node]] = {}
    titles: dict[object, _Key] = {}
    for node in nodes:
        key = key_of(node)
        group: object = node if key is None else (parts[node], key)
        groups.setdefault(group, []).append(node)
        if key is not None:
            titles[group] = key
    boxes: list[Box] = []
    for group, members in groups.items():
        scope, title = titles.get(group, (scopes(members[0].scope), ""))
        if len(members) == 1:
            scope, title = scopes(members[0].scope), ""
        boxes.append(Box(f"n{len(boxes)}", parts[members[0]], scope, tuple(members), title))
    return boxes


def _scope_key(node: Node, depth: int) -> _Key | None:
    if len(node.scope) < depth:
        return None
    return scopes(node.scope[: depth - 1]), node.scope[depth - 1]


def _scope_depth(nodes: Sequence[Node], parts: dict[Node, Part], limit: int) -> int:
    """Return the greatest depth of scopes that gives few enough boxes, or 0."""
    deepest = max(len(node.scope) for node in nodes)
    for depth in range(deepest, 0, -1):
        shown: set[object] = set()
        for node in nodes:
            inside = len(node.scope) >= depth
            shown.add((parts[node], node.scope[:depth]) if inside else node)
        if len(shown) <= limit:
            return depth
    return 0


def _chunks(view: View, labels: Labels, parts: dict[Node, Part]) -> dict[Node, _Key]:
    """Return runs of nodes; the adjoints of a run of forward nodes form a run too."""
    size = -(-len(labels.forward) // _CHUNKS)
    place = {node: i // size for i, node in enumerate(labels.forward)}
    chunk: dict[Node, _Key] = {}
    latest: dict[Part, int] = {}
    for node in view.nodes:
        part = parts[node]
        found = place.get(node)
        if found is None and node.role is not None:
            found = place.get(view.behind(node.role.node))
            place[node] = latest.get(part, 0) if found is None else found
        latest[part] = found = place.get(node, latest.get(part, 0))
        first, last = found * size + 1, min((found + 1) * size, len(labels.forward))
        ends = (Symbol("v", (number,)).subscripted for number in (first, last))
        chunk[node] = (), " … ".join(ends)
    return chunk
