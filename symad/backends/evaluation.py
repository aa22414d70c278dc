"""Runs graphs as written, node by node, to inspect values; it is not meant to be fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.numpy import failure_of, kernel_of
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.plan.liveness import spans

Step = tuple[Node, list[Any], Any]
"""A computed node, the values of its inputs, and its own value."""


class Evaluation:
    """A run of a specialised graph with NumPy, one node after another; iterate over its steps.

    Values are dropped after their last use.

    Attributes
    ----------
    graph : Graph
    values : sequence
        The values of the inputs of the graph.
    node : Node or None
        The current node, or the failed node if a kernel raised an EvaluationError.
    """

    def __init__(self, graph: Graph, values: Sequence[Any]) -> None:
        self.graph = graph
        self.values = values
        self.node: Node | None = None
        self._kernels: dict[Op, Callable[..., Any]] = {}

    def leaves(self) -> dict[Node, Any]:
        """Return the values of inputs and constants."""
        found: dict[Node, Any] = {
            node: node.value[()] for node in self.graph.nodes if isinstance(node, Constant)
        }
        return found | dict(zip(self.graph.inputs, self.values, strict=True))

    def __iter__(self) -> Iterator[Step]:
        known = self.leaves()
        computed = [node for node in self.graph.nodes if node not in known]
        needed = spans([node.inputs for node in computed])
        for step, node in enumerate(computed):
            self.node = node
            arguments = [known[source] for source in node.inputs]
            try:
                with np.errstate(all="ignore"):
                    value = self._kernel(node)(*arguments)
            except Exception as error:
                raise failure_of(node, error) from error
            known[node] = value
            yield node, arguments, value
            for dead in {source for source in node.inputs if needed[source][1] == step}:
                del known[dead]

    def _kernel(self, node: Node) -> Callable[..., Any]:
        op = node.op
        assert op is not None
        kernel = self._kernels.get(op)
        if kernel is None:
            kernel = self._kernels[op] = kernel_of(op)
        return kernel
