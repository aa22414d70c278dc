"""Integer inputs whose numbers decide the sizes of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, Parameter
from symad.ops.body import WithBody
from symad.types import TensorType, UnknownShape


def size_inputs(graph: Graph) -> frozenset[int]:
    """Return the indices of the inputs from which sizes are computed, by integer arithmetic only.

    An op says which of its inputs become sizes (:meth:`symad.graph.op.Op.is_size`).  Parameters are
    not among the inputs that are returned: their values may change in each call.

    Examples
    --------
    >>> import symad as sm
    >>> n, k = (sm.Variable(name, shape=(), dtype="int64") for name in "nk")
    >>> size_inputs(sm.Graph([sm.arange(2 * n) * k], [k, n]))
    frozenset({1})
    """
    possible = {node: index for index, node in enumerate(graph.inputs) if _may_be_size(node)}
    if not possible:
        return frozenset()
    given, known = set(graph.inputs), set[Node]()
    wanted: list[Node] = []
    for node in graph.nodes:
        if node.op is None or node in given:
            if isinstance(node, Constant) or node in possible:
                known.add(node)
            continue
        wanted += [s for slot, s in enumerate(node.inputs) if node.op.is_size(slot) and s in known]
        is_folded = _is_integer(node) and not isinstance(node.op, WithBody)
        if is_folded and known.issuperset(_read(node)):
            known.add(node)
    found, seen = set(), set(wanted)
    while wanted:
        node = wanted.pop()
        if node in possible:
            found.add(possible[node])
        elif node.op is not None:
            new = [source for source in _read(node) if source not in seen]
            seen.update(new)
            wanted += new
    return frozenset(found)


def _may_be_size(node: Node) -> bool:
    return not isinstance(node, Parameter) and _is_integer(node)


def _is_integer(node: Node) -> bool:
    """Return whether a node is an integer, or a few of them."""
    type_ = node.type
    if not isinstance(type_, TensorType) or type_.dtype.kind not in "iu":
        return False
    return isinstance(type_.shape, UnknownShape) or len(type_.shape) <= 1


def _read(node: Node) -> list[Node]:
    assert node.op is not None
    return [source for slot, source in enumerate(node.inputs) if node.op.reads(slot)]


def with_sizes(graph: Graph, values: Mapping[int, Any]) -> Graph:
    """Return a graph that has constants in place of some inputs, which it takes all the same.

    Parameters
    ----------
    graph : Graph
    values : dict from int to array
        From the index of an input to its value.
    """
    new: dict[Node, Node] = {graph.inputs[k]: Constant(value) for k, value in values.items()}
    made = rebuild(graph, replace_inputs, new)
    return Graph(made.outputs, graph.inputs, made.lineage)
