"""Descriptions of graphs that mean the same in every process, for keys of what is kept on disk."""

from __future__ import annotations

from typing import Any

import numpy as np

import symad.disk as disk
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter
from symad.graph.op import Op
from symad.types import Shape, StructureType, TensorType, UnknownDim, UnknownShape

_LARGEST_CONSTANT = 1 << 16
"""Graphs with larger constants, in bytes, have no description."""
_MOST_NODES = 5_000
"""The same for the nodes of a graph: a description takes microseconds for each."""
_PLAIN = (type(None), bool, int, float, str, bytes)
"""The types of values whose ``repr`` says everything."""


class NotStorable(Exception):
    """Something has no description that other processes understand."""


def described(value: Any) -> Any:
    """Return a graph, an op, a type or a plain value in a form whose ``repr`` says everything.

    Names, origins and roles of nodes are left out.  The formulas of ops are part of it, since they
    may have been replaced in this process.

    Raises
    ------
    NotStorable
        If there is no such form.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> described(sm.Graph([x + y])) == described(sm.Graph([y + x]))
    True
    >>> described(sm.Graph([x + y])) == described(sm.Graph([x + x]))
    False
    """
    description = _Description()
    form, formulas = description.of(value), disk.formulas_of(description.ops)
    if formulas is None:
        raise NotStorable
    return form, formulas


class _Description:
    """Describes values, in which parts of shapes that are not known are numbered."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._numbers: dict[UnknownDim, int] = {}

    def of(self, value: Any) -> Any:
        """See :func:`described`."""
        if type(value) in _PLAIN:
            return value
        if isinstance(value, TensorType):
            return value.dtype.str, value.weak, self._shape(value.shape)
        if isinstance(value, StructureType):
            return "structure", self.of(value.kind), [self.of(field) for field in value.fields]
        if isinstance(value, (tuple, list)):
            return type(value).__name__, list(map(self.of, value))
        if isinstance(value, dict):
            return "dict", [(self.of(key), self.of(item)) for key, item in value.items()]
        if isinstance(value, np.dtype):
            return value.str
        if isinstance(value, np.generic):
            return value.dtype.str, value.tobytes()
        if isinstance(value, Op):
            self.ops.append(value)
            fields = [self.of(getattr(value, name)) for name in value._fields]
            return type(value).__module__, type(value).__qualname__, fields
        if isinstance(value, Graph) and len(value) <= _MOST_NODES:
            return self._graph(value)
        raise NotStorable

    def _shape(self, shape: Shape) -> Any:
        if not isinstance(shape, UnknownShape):
            return [self._number(dim) if isinstance(dim, UnknownDim) else dim for dim in shape]
        symbols = [part for part in shape.parts if isinstance(part, UnknownDim)]
        if sum(symbol not in self._numbers for symbol in symbols) > 1:  # they have no order
            raise NotStorable
        others = [repr(self._shape(part)) for part in shape.parts if isinstance(part, tuple)]
        return "joined", sorted(map(self._number, symbols)), sorted(others)

    def _number(self, unknown: UnknownDim) -> Any:
        return (self._numbers.setdefault(unknown, len(self._numbers)),)

    def _graph(self, graph: Graph) -> Any:
        index = {node: k for k, node in enumerate(graph.inputs)}
        rows: list[Any] = [(self.of(n.type), isinstance(n, Parameter)) for n in graph.inputs]
        for node in graph.nodes:
            if node not in index:
                index[node] = len(index)
                own = self._constant(node) if node.op is None else self.of(node.op)
                rows.append((own, [index[source] for source in node.inputs], self.of(node.type)))
        return len(graph.inputs), rows, [index[node] for node in graph.outputs]

    def _constant(self, node: Node) -> Any:
        if not isinstance(node, Constant) or node.value.nbytes > _LARGEST_CONSTANT:
            raise NotStorable
        return node.value.dtype.str, node.value.shape, node.value.tobytes()
