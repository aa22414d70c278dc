"""Graphs as tables of plain values; ``docs/saved_graphs.md`` describes them.

Types, ops and unknown dimensions are numbered by first appearance, so that the same program gives
the same tables in every process.  No op is treated in a special way: it is its name and attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symad.errors import SavedGraphError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter, Variable
from symad.graph.op import Op
from symad.saving.attributes import write_attribute
from symad.saving.dimensions import DimensionNumbers
from symad.saving.op_names import is_found
from symad.types import SparseType, StructureType, Type, UnknownDim

LARGEST_INLINE = 64
"""The most bytes of an array that is written among the nodes, not as a member of its own."""

Array = np.ndarray[Any, Any]


class GraphTables:
    """The tables of one file, in which each thing is written once.

    Attributes
    ----------
    types, ops, graphs : list
        The rows of the tables, as JSON has them.
    places : list of dict
        For each graph, the number of each of its nodes; all nodes of a file are numbered together.
    nodes : list of Node
    constants : list of array
        The large constants.
    folder : str
        What precedes the names of their members.
    parameters : list of Parameter
    all_graphs : list of Graph
        What the rows of ``graphs`` were made of.
    dimensions : DimensionNumbers
    """

    def __init__(self, root: Graph) -> None:
        self.types: list[Any] = []
        self.ops: list[Any] = []
        self.graphs: list[dict[str, Any]] = []
        self.places: list[dict[Node, int]] = []
        self.nodes: list[Node] = []
        self.constants: list[Array] = []
        self.parameters: list[Parameter] = []
        self.folder = ""
        self._numbers: dict[int, int] = {}  # of types, ops and graphs, by identity
        self._values: dict[int, str] = {}  # of large constants, likewise
        self._rows: dict[str, int] = {}  # of types and ops, by their text
        graphs = self.all_graphs = list(inner_first(root))
        self.dimensions = DimensionNumbers(lambda: _types_of(graphs))
        self.shape = self.dimensions.shape
        for graph in graphs:
            self.add_graph(graph)

    def number(self, thing: Any) -> int:
        """Return the number of a type, an op, a graph or an unknown dimension."""
        if isinstance(thing, UnknownDim):
            return self.dimensions.number(thing)
        known = self._numbers.get(id(thing))
        if known is None:
            op = isinstance(thing, Op)
            row, table = (self._op(thing), self.ops) if op else (self._type(thing), self.types)
            text = json.dumps(row)
            known = self._rows.setdefault(text, len(table))
            if known == len(table):
                table.append(row)
            self._numbers[id(thing)] = known
        return known

    def _type(self, type_: Type) -> dict[str, Any]:
        if isinstance(type_, StructureType):
            items = [
                [write_attribute(self, key), None if item is None else self.number(item)]
                for key, item in type_.fields
            ]
            return {"structure": type_.kind, "items": items}
        row: dict[str, Any] = {"dtype": type_.dtype.name, "shape": self.shape(type_.shape)}
        if isinstance(type_, SparseType):
            row["stored"] = self.dimensions.dimension(type_.stored)
        elif type_.weak:
            row["weak"] = True
        return row

    def _op(self, op: Op) -> list[Any]:
        if not is_found(op):
            raise SavedGraphError("its op is not in the op table")
        attributes: dict[str, Any] = {}
        for key in op._fields:
            try:
                data = write_attribute(self, getattr(op, key))
                if not hasattr(type(op), key) or not self._is_default(op, key, data):
                    attributes[key] = data
            except SavedGraphError as error:
                raise SavedGraphError(f"attribute {key!r}: {error.message}") from None
        return [op.name, attributes] if attributes else [op.name]

    def _is_default(self, op: Op, key: str, data: Any) -> bool:
        """Return whether an attribute is the default; as text, so that 1 is not taken for True."""
        return json.dumps(write_attribute(self, getattr(type(op), key))) == json.dumps(data)

    def add_graph(self, graph: Graph) -> None:
        """Write a graph; those in the attributes of its ops must be written before."""
        order = list(dict.fromkeys([*graph.inputs, *graph.nodes]))
        index = dict(zip(order, range(len(order)), strict=True))
        inputs = set(graph.inputs)
        rows = [
            self._leaf(node) if node.op is None or node in inputs else self._computed(node, index)
            for node in order
        ]
        first = len(self.nodes)
        self.places.append({node: first + k for node, k in index.items()})
        self.nodes += order
        self._numbers[id(graph)] = len(self.graphs)
        ends = ("inputs", graph.inputs), ("outputs", graph.outputs)
        self.graphs.append({"nodes": rows, **{k: [index[n] for n in v] for k, v in ends}})

    def rows_outside(
        self, nodes: Sequence[Node], places: Mapping[Node, int], follows: Callable[[Op], bool]
    ) -> list[Any]:
        """Return the rows of nodes outside the graphs, which are leaves if their op is refused."""
        return [
            self._computed(node, places)
            if node.op is not None and follows(node.op)
            else self._leaf(node)
            for node in nodes
        ]

    def _computed(self, node: Node, places: Mapping[Node, int]) -> list[int]:
        op, type_ = self._numbers.get(id(node.op)), self._numbers.get(id(node.type))
        try:
            return [
                self.number(node.op) if op is None else op,
                self.number(node.type) if type_ is None else type_,
                *[places[source] for source in node.inputs],
            ]
        except SavedGraphError as error:
            raise _refused(node, error) from None

    def _leaf(self, node: Node) -> list[Any]:
        type_ = self.number(node.type)
        if isinstance(node, Parameter):
            self.parameters.append(node)
            return ["parameter", type_, node.name]
        if isinstance(node, Variable):
            return ["variable", type_, node.name]
        if isinstance(node, Constant) and node.op is None:
            return ["constant", type_, self._constant(node.value)]
        return ["input", type_, node.name if node.op is None else node.label]

    def _constant(self, array: Array) -> str:
        known = self._values.get(id(array))
        if known is None:
            known = write_value(array, f"{self.folder}constants", self.constants)
            if array.nbytes > LARGEST_INLINE:  # several constants may share an array
                self._values[id(array)] = known
        return known


def write_value(array: Array, folder: str, large: list[Array]) -> str:
    """Return the bytes of a small array as a hexadecimal number, or the member of a large one.

    The bytes are in C order, little-endian.  A large array is added to ``large``.
    """
    if array.nbytes <= LARGEST_INLINE:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes().hex()
    large.append(array)
    return f"{folder}/{len(large) - 1}.npy"


def inner_first(root: Graph) -> Iterator[Graph]:
    """Yield the graphs in attributes of ops, each before those that use it, and ``root`` last."""
    done: set[int] = set()
    pending = [(root, graphs_used(root))]
    while pending:
        graph, inside = pending[-1]
        inner = next((g for g in inside if id(g) not in done), None)
        if inner is not None:
            pending.append((inner, graphs_used(inner)))
        else:
            pending.pop()
            if id(graph) not in done:
                done.add(id(graph))
                yield graph


def graphs_used(graph: Graph) -> Iterator[Graph]:
    """Yield the graphs in attributes of the ops of a graph."""
    inputs = set(graph.inputs)
    for node in graph.nodes:
        if node.op is not None and node.op._fields and node not in inputs:
            yield from graphs_in(node.op)


def graphs_in(value: Any) -> Iterator[Graph]:
    """Yield the graphs in an attribute, or in the attributes of an op."""
    if isinstance(value, Graph):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from graphs_in(item)
    elif isinstance(value, Op):
        for key in value._fields:
            yield from graphs_in(getattr(value, key))


def _types_of(graphs: Sequence[Graph]) -> Iterator[Type]:
    for graph in graphs:
        for node in dict.fromkeys([*graph.inputs, *graph.nodes]):
            yield node.type


class _Probe:
    """Stands for the tables where it is only asked whether something can be written."""

    def number(self, thing: Any) -> int:
        return 0

    def shape(self, shape: Any) -> Any:
        return {"join": []}


def is_savable(op: Op) -> bool:
    """Return whether an op, with the graphs in its attributes, can be saved."""
    inside = {id(graph): graph for used in graphs_in(op) for graph in inner_first(used)}
    ops = [node.op for graph in inside.values() for node in graph.nodes if node.op is not None]
    try:
        for each in (op, *ops):
            for key in each._fields:
                write_attribute(_Probe(), getattr(each, key))
    except SavedGraphError:
        return False
    return all(map(is_found, (op, *ops)))


def _refused(node: Node, error: SavedGraphError) -> SavedGraphError:
    """Return the error for a node that cannot be saved."""
    name = node.op.name if node.op is not None else "leaf"
    rule = name == "call" and "_rule'" in error.message
    return SavedGraphError(
        f"{node.label!r} ({name}) cannot be saved: {error.message}",
        where=node.site.describe(),
        remedy="A file holds no Python code.  Write the function without rules, or pickle it, if "
        "its rules can be imported where it is loaded."
        if rule
        else "",
    )
