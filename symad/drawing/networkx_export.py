"""Graphs for networkx, with plain attributes that all its file formats support."""

from __future__ import annotations

from typing import Any

from symad.notation.names import labels_of
from symad.notation.view import View
from symad.visible import visible


def to_networkx(view: View, with_nodes: bool = False) -> Any:
    """Return a view as a ``networkx.MultiDiGraph``; see :func:`symad.to_networkx`."""
    import networkx

    graph = networkx.MultiDiGraph()
    labels, outputs = labels_of(view), set(view.outputs)
    index = {node: number for number, node in enumerate(view.nodes)}
    for node, number in index.items():
        graph.add_node(
            number,
            op=node.op.name if node.op else "",
            type=visible(str(node.type)),
            role=str(node.role.kind) if node.role else "",
            label=visible(str(labels.of(node) or node.label)),
            scope=visible("/".join(node.scope)),
            output=node in outputs,
        )
        if with_nodes:
            graph.nodes[number]["node"] = node
        for source in view.sources(node):
            graph.add_edge(index[source.node], number, slot=source.slot)
    return graph
