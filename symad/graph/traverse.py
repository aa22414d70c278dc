"""Iterative walks over nodes: none recurses, so depth is limited by memory alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from symad.errors import GraphError, GraphTypeError
from symad.graph.node import Node


def topological_order(
    outputs: Iterable[Node], stop: Collection[Node] = (), instead: Mapping[Node, Node] | None = None
) -> list[Node]:
    """Return the nodes that ``outputs`` depend on, inputs before users.

    The order is that of a depth-first walk which takes inputs from left to right, each node once.

    Parameters
    ----------
    outputs : iterable of Node
    stop : collection of Node
        Nodes whose inputs are not followed; they are in the result if they are reached.
    instead : mapping, optional
        From some nodes to another one that is followed in place of their inputs.

    Raises
    ------
    GraphTypeError
        If something is not a node.
    GraphError
        If a node depends on itself, which is possible only after tampering with nodes.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> [node.label for node in topological_order([sm.sin(x) * x])]
    ['x', 'sin', 'multiply']
    """
    order: list[Node] = []
    is_done: dict[Node, bool] = {}  # False while the inputs of a node are being visited
    for output in outputs:
        if not isinstance(output, Node):
            raise GraphTypeError(
                f"{output!r} is not a node of a graph",
                remedy="Wrap numbers and arrays with sm.constant(...).",
            )
        stack = [output]
        while stack:
            node = stack.pop()
            state = is_done.get(node)
            if state is None and node.inputs and node not in stop:
                is_done[node] = False
                stack.append(node)
                children = node.inputs
                if instead and node in instead:
                    children = (instead[node],)
                for child in reversed(children):
                    state = is_done.get(child)
                    if state is None:
                        stack.append(child)
                    elif not state:
                        raise _circle(node, child)
            elif not state:
                is_done[node] = True
                order.append(node)
    return order


def _circle(node: Node, child: Node) -> GraphError:
    return GraphError(f"{node!r} depends on itself through {child!r}", where=child.site.describe())
