"""The order in which the gradient pass visits a graph, for the chapters of the player."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symad.autodiff.extension import Extension, Propagated, Summed, Visit
from symad.graph.node import Constant, Node
from symad.graph.provenance import RoleKind
from symad.player.played_graph import PlayedGraph


class GradientWalk:
    """The record of an extension, together with the graph that shows it.

    Parameters
    ----------
    graph : PlayedGraph
    record : Extension
    results : sequence of Node
        The adjoints that the page is about.

    Attributes
    ----------
    forward : list of Node
        The differentiated nodes by number, then those of earlier derivatives.
    """

    def __init__(self, graph: PlayedGraph, record: Extension, results: Sequence[Node]) -> None:
        self.graph = graph
        self.record = record
        self.results = results
        self.forward = [n for n in graph.labels.forward if n in graph.box_of and n.role is None]
        self.forward += [n for n in graph.view.nodes if n.role is not None and self.is_old(n)]
        self._made: dict[tuple[Node, Node, int], list[Node]] = {}
        for node in graph.view.nodes:
            role = node.role
            if role is not None and role.consumer is not None and role.slot is not None:
                key = (graph.view.behind(role.node), role.consumer, role.slot)
                self._made.setdefault(key, []).append(node)

    @property
    def visits(self) -> list[Visit]:
        """The nodes in the order of the visits."""
        return [step for step in self.record.steps if isinstance(step, Visit)]

    def is_old(self, node: Node) -> bool:
        """Return whether a node existed before the extension."""
        return node.role is None or node.role.generation < self.record.generation

    def made_for(self, step: Propagated) -> list[Node]:
        """Return the nodes that the rule made for an edge, without hidden repairs."""
        edge = step.edge
        return self._made.get((self.graph.view.behind(edge.source), edge.consumer, edge.slot), [])

    def forward_with_constants(self) -> Iterator[Node]:
        """Yield the nodes of the forward graph by number, each constant before its first user."""
        found: dict[Node, None] = {}
        for node in self.forward:
            sources = [source.node for source in self.graph.view.sources(node)]
            found |= {s: None for s in sources if isinstance(s, Constant) and s.role is None}
            found[node] = None
        yield from found

    def made_by(self, step: Visit | Summed | Propagated) -> list[Node]:
        """Return the nodes that a step made, or found in a list."""
        match step:
            case Visit():
                return list(step.contributions)
            case Summed():
                return [step.adjoint]
            case Propagated():
                return [*self.made_for(step), step.partial]


def has_role(node: Node, kind: RoleKind) -> bool:
    """Return whether a node has a role of this kind in a derivative."""
    return node.role is not None and node.role.kind is kind
