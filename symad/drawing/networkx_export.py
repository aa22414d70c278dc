"""Graphs for networkx: for analyses of the user's own."""

from __future__ import annotations

from typing import Any

from symad.notation.names import labels_of
from symad.notation.view import View


def to_networkx(view: View) -> Any:
    """Return a view as a ``networkx.MultiDiGraph``; see :func:`symad.to_networkx`."""
    import networkx

    graph = networkx.MultiDiGraph()
    labels, outputs = labels_of(view), set(view.outputs)
    index = {node: i for i, node in enumerate(view.nodes)}
    for node, i in index.items():
        symbol = labels.of(node)
        graph.add_node(
            i,
            node=node,
            op=node.op.name if node.op else None,
            type=str(node.type),
            role=str(node.role.kind) if node.role else None,
            label=str(symbol) if symbol else node.label,
            output=node in outputs,
        )
        for source in view.sources(node):
            graph.add_edge(index[source.node], i, slot=source.slot)
    return graph
