"""Which elements of the values of a graph depend on which elements of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets, Labels, labels_shape
from symad.graph.node import Constant, Node, reporting
from symad.graph.provenance import creating
from symad.graph.traverse import topological_order
from symad.types import StructureType, Type


def dependence(graph: Graph, starts: Mapping[Node, Labels], sets: IndexSets) -> dict[Node, Labels]:
    """Return, for each node that depends on ``starts``, on which of their elements it depends.

    Parameters
    ----------
    graph : Graph
        The numbers of rows of arrays may be unknown; all other sizes are known.
    starts : dict from Node to Labels
    sets : IndexSets
        The sets to which the labels refer.
    """
    known = dict(starts)
    for node in graph.nodes:
        if node.op is None or node in known or not node.type.is_float:
            continue
        labels = [
            known.get(source) if node.op.differentiable(slot) else None
            for slot, source in enumerate(node.inputs)
        ]
        if any(label is not None for label in labels):
            sources = [x for x, array in zip(node.inputs, labels, strict=True) if array is not None]
            is_static = all(each.type.is_static for each in (node, *sources))
            found = None
            with creating(node), reporting(node.op.name, *node.inputs):
                if is_static or node.op.takes_any_rows:
                    found = node.op.dependence(sets, labels, node, *node.inputs)
            if found is None:
                sets.dense.append(node)
                found = _filled(node.type, _everything(sets, labels))
            known[node] = found
    return known


def _everything(sets: IndexSets, labels: Any) -> int:
    """Return the label of the union of all sets."""
    flat = np.unique(np.concatenate([np.ravel(array) for array in _arrays(labels)]))
    return int(sets.united(np.zeros(flat.size, np.intp), flat, ()))


def _arrays(labels: Any) -> list[Any]:
    if labels is None or isinstance(labels, np.ndarray):
        return [] if labels is None else [labels]
    items = labels.values() if isinstance(labels, dict) else labels
    return [array for item in items for array in _arrays(item)]


def _filled(type_: Type | None, label: int) -> Labels:
    if isinstance(type_, StructureType):
        return {key: _filled(item, label) for key, item in type_.fields}
    return type_ and np.full(labels_shape(type_), label)


class KnownValues:
    """The values of nodes that are computed from constants alone, and from ``known`` ones."""

    def __init__(self, known: Mapping[Node, Any] = MappingProxyType({})) -> None:
        self._values: dict[Node, Any] = dict(known)

    def __call__(self, node: Node) -> Any:
        """Return the value of ``node``, or ``None`` if it depends on anything else."""
        for each in topological_order([node], stop=self._values):
            if each not in self._values:
                self._values[each] = self._computed(each)
        return self._values[node]

    def _computed(self, node: Node) -> Any:
        if isinstance(node, Constant):
            return node.value
        inputs = [self._values[source] for source in node.inputs]
        is_closed = node.op is not None and not hasattr(node.op, "bodies")
        if not is_closed or any(value is None for value in inputs):
            return None
        assert node.op is not None
        with np.errstate(all="ignore"):
            return node.op.kernel()(*inputs)
