"""Which nodes a picture shows: a part of the graph, or the paths between some nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from symad.errors import RenderError
from symad.graph.node import Node
from symad.notation.labels import Labels
from symad.notation.roles import part_of
from symad.notation.view import View

SHOWN = ("all", "forward", "adjoint", "path")


def selected(view: View, labels: Labels, show: str, nodes: Collection[Node]) -> View:
    """Return a view of the nodes to show.

    Parameters
    ----------
    view : View
    labels : Labels
    show : {"all", "forward", "adjoint", "path"}
        Everything, the nodes that the user wrote, their derivatives, or the nodes on the paths
        between ``nodes``; if that is one, all on paths through it.
    nodes : collection of Node

    Raises
    ------
    RenderError
        If there is nothing to show.
    """
    if show == "all":
        return view
    if show == "path":
        return view.only(_on_paths(view, nodes))
    is_forward = show == "forward"
    kept = {n for n in view.nodes if (part_of(n, labels).family == "forward") == is_forward}
    if not kept:
        raise RenderError(
            f"the graph has no {'forward nodes' if is_forward else 'adjoints'} to show",
            remedy="" if is_forward else "Draw derivatives: draw([y, *gradients(y, xs)]).",
        )
    return view.only(kept)


def _on_paths(view: View, nodes: Collection[Node]) -> set[Node]:
    ends = set(nodes).intersection(view.nodes)
    if not ends:
        raise RenderError(
            "no nodes were given for the paths", remedy='Add highlight=nodes to show="path".'
        )
    inputs = {node: [source.node for source in view.sources(node)] for node in view.nodes}
    above = _reached(ends, reversed(view.nodes), inputs)
    users: dict[Node, list[Node]] = {node: [] for node in view.nodes}
    for node, sources in inputs.items():
        for source in sources:
            users[source].append(node)
    below = _reached(ends, view.nodes, users)
    if len(ends) == 1:
        return above | below
    found = above & below
    if found == ends and not any(ends.intersection(inputs[node]) for node in ends):
        raise RenderError(
            "no path leads from one of the highlighted nodes to another",
            remedy='Highlight a node and one that depends on it, or use show="all".',
        )
    return found


def _reached(
    starts: Iterable[Node], order: Iterable[Node], after: Mapping[Node, Sequence[Node]]
) -> set[Node]:
    """Return the nodes that can be reached, given those after each node and a suitable order."""
    reached = set(starts)
    for node in order:
        if node in reached:
            reached.update(after[node])
    return reached
