"""The values of all nodes of a graph, without any rewriting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from symad.errors import FeedError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.passes.specialise import specialise
from symad.runtime.compiler import Executor
from symad.runtime.inputs import type_of

Feed = Mapping[Node, Any]


def node_values(nodes: Iterable[Node], feed: Feed) -> dict[Node, Any]:
    """Return the values of all nodes that ``nodes`` depend on, down to the fed nodes.

    They are the values of the graph as written: no pass has corrected or reordered anything, so
    each value follows from the previous ones by its formula.
    """
    from symad.backends.evaluation import Evaluation  # slow to import
    from symad.backends.numpy import result_of

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
    run = Evaluation(graph, given)
    found = run.leaves() | {node: value for node, _, value in run}
    results = (result_of(found[node], copied=False) for node in graph.outputs)
    return dict(zip(order, results, strict=True))
