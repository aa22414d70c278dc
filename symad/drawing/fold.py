"""Folding: a large graph is drawn with one box for each scope or run of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from symad.drawing.overview import Overview
from symad.graph.node import Node
from symad.notation.labels import Labels
from symad.notation.roles import Part, part_of
from symad.notation.view import View
from symad.records import dataclass, replace

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
    run : int or None
        The number of the run of nodes that it represents, in an overview without scopes.
    """

    id: str
    part: Part
    scope: tuple[Frame, ...]
    nodes: tuple[Node, ...]
    title: str = ""
    repeats: Part | None = None
    pieces: tuple[Piece, ...] = ()
    run: int | None = None

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
        overview = Overview(view, labels, parts)
        runs = overview.run_of

        def key_of(node: Node) -> _Key | None:
            return ((), overview.title(node, parts[node])) if node in runs else None

        boxes = _collect(view.nodes, parts, key_of)
        boxes = [replace(box, run=runs.get(box.nodes[0])) for box in boxes]
        how = (
            "neighbouring nodes are folded, because the graph has no usable scopes. "
            "A box … v₉ holds steps up to v₉, and v̄₉ … those back from v̄₉"
        )
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
