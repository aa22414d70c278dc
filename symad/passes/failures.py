"""Failures of linear algebra become NaN where a choice discards the result.

``where(is_definite, f(cholesky(a)), 0)`` computes the factor for all matrices.  A matrix without
one is an error, unless all uses of the result go through a choice.
"""

from __future__ import annotations

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.ops.comparison import Where
from symad.ops.matrices import NanOnFailure


def allow_failures(graph: Graph) -> Graph:
    """Return ``graph`` with NaN instead of failures in values that reach outputs only by choices.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> a, c = sm.Variable("a", shape=(2, 2)), sm.Variable("c", shape=(), dtype="bool")
    >>> y = sm.where(c, sm.sum(sm.linalg.inv(a)), 0.0)
    >>> y.eval({a: np.zeros((2, 2)), c: False})
    np.float64(0.0)
    """
    if not any(node.op is not None and node.op.may_fail for node in graph.nodes):
        return graph
    exposed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node in exposed and node.op is not None:
            read = node.inputs[:1] if isinstance(node.op, Where) else node.inputs
            exposed.update(source for slot, source in enumerate(read) if node.op.reads(slot))

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is None or node in exposed or not node.op.may_fail:
            return replace_inputs(node, inputs)
        return Node(NanOnFailure(node.op), inputs, node.type, node.name)

    return rebuild(graph, visit)
