"""Liveness: the steps between which values are needed, and which values share memory."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, TypeVar

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.structure import StructureItem
from symad.types import StructureType, TensorType


class Sharing(dict[Node, tuple[Node, ...]]):
    """For each node, the nodes whose memory it may share; without an entry, itself alone."""

    def __missing__(self, node: Node) -> tuple[Node, ...]:
        return (node,)


Thing = TypeVar("Thing")

Span = tuple[int, int]
"""The first and the last step that need a thing."""


def spans(steps: Sequence[Iterable[Thing]], kept: Iterable[Thing] = ()) -> dict[Thing, Span]:
    """Return the first and the last step at which each thing is needed.

    Parameters
    ----------
    steps : sequence of iterable
        The things that each step reads or writes: values, or the memory they are stored in.
    kept : iterable
        The things that are needed after all steps.

    Examples
    --------
    >>> spans([["a"], ["a", "b"], ["b", "c"]], ["c"])
    {'a': (0, 1), 'b': (1, 2), 'c': (2, 3)}
    """
    first: dict[Thing, int] = {}
    last: dict[Thing, int] = {}
    for step, things in enumerate(steps):
        for thing in things:
            first.setdefault(thing, step)
            last[thing] = step
    end = len(steps)
    for thing in kept:
        first.setdefault(thing, end)
        last[thing] = end
    return {thing: (first[thing], last[thing]) for thing in first}


def sharing_of(graph: Graph, copied: Container[Node] = ()) -> Sharing:
    """Return, for each node, the nodes whose memory it may share: itself alone unless it is a view.

    A view shares the memory of its first input, a structure that of everything put into it.  The
    items of a structure that an op has computed have separate memory, which is represented by the
    first node that takes the item.

    Parameters
    ----------
    graph : Graph
    copied : container of Node
        Nodes that are not views although their ops may return views.
    """
    sharing = Sharing()
    are_arrays = all(isinstance(type_, TensorType) for type_ in graph.types())
    if are_arrays and not any(kind.is_view for kind in graph.kinds):
        return sharing
    given = set(graph.inputs)
    items = _computed_items(graph, given)
    items_of: dict[Node, list[Node]] = {}
    for item in items.values():
        items_of.setdefault(item.inputs[0], []).append(item)
    for node in graph.nodes:
        if node in given:
            continue
        if node in items:
            sharing[node] = (items[node],)
        elif isinstance(node.type, StructureType):
            parts = items_of.get(node, [])
            if node.op is None or node.op.is_view:
                parts = [part for source in node.inputs for part in sharing[source]]
            sharing[node] = (node, *dict.fromkeys(parts))
        elif node.op is not None and node.op.is_view and node not in copied:
            sharing[node] = sharing[node.inputs[0]]
    return sharing


def _computed_items(graph: Graph, given: set[Node]) -> dict[Node, Node]:
    """Return the first node that takes each item of a structure that an op has computed.

    Items that are themselves structures are skipped.
    """
    first: dict[tuple[Node, Any], Node] = {}
    items: dict[Node, Node] = {}
    for node in graph.nodes:
        if not isinstance(node.op, StructureItem) or node in given:
            continue
        whole = node.inputs[0]
        if whole in given or whole.op is None or whole.op.is_view:
            continue
        if isinstance(node.type, TensorType):
            items[node] = first.setdefault((whole, node.op.key), node)
    return items
