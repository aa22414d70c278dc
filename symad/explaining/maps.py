"""Derivatives inside maps: a Jacobian is a pullback that is mapped over unit vectors.

The body of a map is a graph of its own.  Here it is opened, so that it can be told like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.ops.control import Map, WithBody


def opened(nodes: Iterable[Node]) -> tuple[list[Node], set[Node]]:
    """Open all bodies with derivatives that ``nodes`` depend on, at any depth.

    Returns
    -------
    outputs : list of Node
        What the bodies compute.
    elements : set of Node
        Their inputs that are elements of what is mapped over.
    """
    outputs: list[Node] = []
    elements: set[Node] = set()
    pending, seen = list(nodes), set[Node]()
    while pending:
        fresh = [node for node in topological_order(pending, stop=seen) if node not in seen]
        seen.update(fresh)
        pending = []
        for node in fresh:
            if isinstance(node.op, WithBody):
                first = node.op.sequences if isinstance(node.op, Map) else 0
                pending += _beside(node, node.op.body, first)
                elements.update(node.op.body.inputs[:first])
        outputs += pending
    return outputs, elements


def _beside(node: Node, body: Graph, first: int) -> Sequence[Node]:
    """Return the outputs of a body with derivatives as nodes beside those outside.

    Where the derivative is that of something outside, its nodes refer to that, and so the stand-ins
    for nodes outside, from the ``first`` on, are replaced by these.
    """
    roles = [inner.role for inner in body.nodes if inner.role is not None]
    own = {node for role in roles for node in (role.node, role.consumer)}
    pairs = list(zip(body.inputs, node.inputs, strict=True))[first:]
    outside = {inner: outer for inner, outer in pairs if inner not in own}
    return rebuild(body, replace_inputs, outside).outputs if roles else ()
