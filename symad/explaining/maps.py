"""Opens maps for explanations: a Jacobian is a pullback mapped over unit vectors.

The body of a map is a separate graph.  This module opens it, so that its derivatives are explained
like any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.ops.body import WithBody


def opened(nodes: Iterable[Node]) -> tuple[list[Node], set[Node]]:
    """Open all bodies with derivatives, at any depth, that ``nodes`` depend on.

    Returns
    -------
    outputs : list of Node
        The outputs of the bodies.
    elements : set of Node
        The inputs of the bodies that are elements of a mapped sequence.
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
                first = node.op.own_inputs()
                for body in node.op.bodies:
                    pending += _beside(node, body, first)
                    elements.update(body.inputs[:first])
        outputs += pending
    return outputs, elements


def _beside(node: Node, body: Graph, first: int) -> Sequence[Node]:
    """Return the outputs of a body with derivatives as nodes of the outer graph.

    If the body differentiates an outer node, its roles refer to that node.  The inputs of the body
    that represent outer nodes, from ``first`` on, are therefore replaced by these nodes.
    """
    roles = [inner.role for inner in body.nodes if inner.role is not None]
    own = {node for role in roles for node in (role.node, role.consumer)}
    assert isinstance(node.op, WithBody)
    pairs = list(zip(body.inputs, node.inputs[node.op.leading :], strict=True))[first:]
    outside = {inner: outer for inner, outer in pairs if inner not in own}
    return rebuild(body, replace_inputs, outside).outputs if roles else ()
