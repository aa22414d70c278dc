"""The values of all nodes of a graph, without any rewriting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symad.errors import FeedError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.passes.specialise import specialise
from symad.runtime.compiler import Executor
from symad.runtime.inputs import type_of
from symad.types import Type

Feed = Mapping[Node, Any]
Values = dict[Node, Any]


def node_values(nodes: Iterable[Node], feed: Feed) -> Values:
    """Return the values of all nodes that ``nodes`` depend on, down to the fed nodes.

    They are the values of the graph as written: no pass has corrected or reordered anything, so
    each value follows from the previous ones by its formula.
    """
    order = topological_order(nodes)
    relevant = set(order)
    for node in feed:
        if isinstance(node, Node) and node.op is not None and node in relevant:
            raise FeedError(
                f"{node!r} is computed, and a picture or a trace follows it to its variables",
                remedy="Feed the variables.",
            )
    function = Executor(order, backend="numpy").function(feed)
    given = function.arguments(*[feed[node] for node in leaves(function.inputs)])
    graph = specialise(function.graph, list(map(type_of, given)))
    return dict(zip(order, _results(graph, given), strict=True))


def _results(graph: Graph, given: Sequence[Any]) -> list[Any]:
    """Return the outputs of a specialised graph."""
    from symad.backends.evaluation import Evaluation  # slow to import
    from symad.backends.numpy import result_of

    run = Evaluation(graph, given)
    found = run.leaves() | {node: value for node, _, value in run}
    return [result_of(found[node], copied=False) for node in graph.outputs]


class StepValues:
    """The values of all nodes of bodies, for the values of their inputs."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[Graph, tuple[Type, ...]], Graph] = {}

    def __call__(self, body: Graph, given: Sequence[Any]) -> Values:
        """Return the values in one run of a body."""
        types = tuple(map(type_of, given))
        graph = self._graphs.get((body, types))
        if graph is None:
            graph = specialise(Graph(body.nodes, body.inputs), types)
            self._graphs[body, types] = graph
        return dict(zip(body.nodes, _results(graph, given), strict=True))
