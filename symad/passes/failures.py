"""Failures of linear algebra become NaN where a choice discards the result.

``where(is_definite, f(cholesky(a)), 0)`` computes the factor for all matrices.  A matrix without
one is an error, unless all uses of the result go through a choice.  This also holds for the bodies
of maps and calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.ops.body import WithBody
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
    if not any(kind.may_fail or issubclass(kind, WithBody) for kind in graph.kinds):
        return graph
    if not any(map(_may_fail, graph.nodes)):
        return graph
    return _allow(graph, graph.outputs)


def _may_fail(node: Node) -> bool:
    if isinstance(node.op, WithBody):
        return any(_may_fail(inner) for body in node.op.bodies for inner in body.nodes)
    return node.op is not None and node.op.may_fail


def _exposed(graph: Graph, outputs: Sequence[Node]) -> set[Node]:
    """Return the nodes on which ``outputs`` depend other than by choices."""
    exposed = set(outputs)
    for node in reversed(graph.nodes):
        if node not in exposed or node.op is None:
            continue
        read = node.inputs[:1] if isinstance(node.op, Where) else node.inputs
        if isinstance(node.op, WithBody):
            inner = [_exposed(body, body.outputs) for body in node.op.bodies]
            rest = zip(read[node.op.leading :], *[b.inputs for b in node.op.bodies], strict=True)
            used = [x for x, *ys in rest if any(map(set.__contains__, inner, ys))]
            read = (*read[: node.op.leading], *used)
        else:
            read = tuple([source for slot, source in enumerate(read) if node.op.reads(slot)])
        exposed.update(read)
    return exposed


def _allow(graph: Graph, outputs: Sequence[Node]) -> Graph:
    """Return ``graph`` with NaN instead of failures in values on which no output depends so."""
    exposed = _exposed(graph, outputs)

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        op = node.op
        if op is None or not _may_fail(node):
            return replace_inputs(node, inputs)
        if isinstance(op, WithBody):
            bodies = [_allow(b, b.outputs if node in exposed else ()) for b in op.bodies]
            op = op.with_bodies(*bodies)
        elif node not in exposed:
            op = NanOnFailure(op)
        return Node(op, inputs, node.type, node.name)

    return rebuild(graph, visit)
