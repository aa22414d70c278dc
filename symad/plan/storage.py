"""Which values may stand in the same memory, being views of one another."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, TypeAlias

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.structure import StructureItem
from symad.types import StructureType, TensorType

Storage: TypeAlias = dict[Node, tuple[Node, ...]]


def storage_of(graph: Graph, copied: Container[Node] = ()) -> Storage:
    """Return, for each node, the nodes whose memory it may share: itself alone unless it is a view.

    A view shares the memory of its first input, a structure that of everything put into it.  The
    items of a structure that an op has computed have memory of their own, which stands under the
    name of the first node that takes the item.

    Parameters
    ----------
    graph : Graph
    copied : container of Node
        Those that are not views although their ops may return some.
    """
    storage: Storage = {node: (node,) for node in graph.inputs}
    items = _computed_items(graph)
    items_of: dict[Node, list[Node]] = {}
    for item in items.values():
        items_of.setdefault(item.inputs[0], []).append(item)
    for node in graph.nodes:
        if node in storage:
            continue
        if node in items:
            storage[node] = (items[node],)
        elif isinstance(node.type, StructureType):
            parts = items_of.get(node, [])
            if node.op is None or node.op.is_view:
                parts = [part for source in node.inputs for part in storage[source]]
            storage[node] = (node, *dict.fromkeys(parts))
        elif node.op is None or not node.op.is_view or node in copied:
            storage[node] = (node,)
        else:
            storage[node] = storage[node.inputs[0]]
    return storage


def _computed_items(graph: Graph) -> dict[Node, Node]:
    """Return the nodes that take an item out of what an op has computed; the first for each item.

    An item that is a structure itself is left out.
    """
    first: dict[tuple[Node, Any], Node] = {}
    items: dict[Node, Node] = {}
    given = set(graph.inputs)
    for node in graph.nodes:
        if node in given or not isinstance(node.op, StructureItem):
            continue
        whole = node.inputs[0]
        if whole in given or whole.op is None or whole.op.is_view:
            continue
        if isinstance(node.type, TensorType):
            items[node] = first.setdefault((whole, node.op.key), node)
    return items
