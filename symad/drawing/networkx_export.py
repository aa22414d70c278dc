"""Graphs for networkx, with plain attributes that all its file formats support."""

from __future__ import annotations

from typing import Any

from symad.drawing.levels import connections, make_levels, nested
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.visible import visible


def to_networkx(view: View, with_nodes: bool = False) -> Any:
    """Return a view as a ``networkx.MultiDiGraph``; see :func:`symad.to_networkx`."""
    import networkx

    graph = networkx.MultiDiGraph()
    labels, outputs = labels_of(view), set(view.outputs)
    levels, _ = make_levels(view, labels, len(view.nodes), fold=False)
    boxes = list(nested(levels))
    index = {box.id: number for number, box in enumerate(boxes)}
    for box, number in zip(boxes, index.values(), strict=True):
        node = box.nodes[0]
        graph.add_node(
            number,
            op=node.op.name if node.op else "",
            type=visible(str(node.type)),
            role=str(node.role.kind) if node.role else "",
            label=visible(str(labels.of(node) or node.label)),
            scope=visible("/".join(frame.title for frame in box.scope)),
            output=node in outputs and box in levels[0].boxes,
        )
        if with_nodes:
            graph.nodes[number]["node"] = node
    for found in connections(view, levels):
        graph.add_edge(index[found.start.id], index[found.end.id], slot=found.slot)
    return graph
