"""A strict reader of the tables that :mod:`symad.saving.writer` writes.

Nothing is imported by a name in the file, and nothing is evaluated: the name of an op is looked up
in the op table, and each node must have the type that its op infers.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any

import numpy as np

from symad.errors import SavedGraphError, SymadError, did_you_mean
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter, Variable
from symad.graph.op import OP_CLASSES, Op, resolve
from symad.graph.provenance import Creation, creating
from symad.ops.base import Elementwise
from symad.ops.body import WithBody
from symad.saving.archive import checked_booleans
from symad.saving.attributes import (
    MOST_AXES,
    check_keys,
    dtype_named,
    fits,
    is_dimension,
    is_row,
    part,
    read_attribute,
    shown,
)
from symad.saving.op_names import find_op
from symad.saving.sites import SavedSite
from symad.types import (
    SparseType,
    StructureType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    compatible_shapes,
)

Array = np.ndarray[Any, Any]

ArrayOf = Callable[[str, np.dtype[Any], tuple[int, ...]], Array]
"""Returns the array that a member holds, which must have a dtype and a shape."""

NOWHERE = Creation((), SavedSite("<saved graph>", 0, ""))
"""The provenance of nodes that were saved without."""


@contextmanager
def within(place: str) -> Iterator[None]:
    """Let errors say where in the file they are; any other error is one, too."""
    try:
        yield
    except SavedGraphError as error:
        raise SavedGraphError(f"{place}: {error.message}", remedy=error.remedy) from None
    except SymadError as error:
        raise SavedGraphError(f"{place}: {error.message}") from None
    except (MemoryError, RecursionError) as error:
        raise SavedGraphError(f"{place}: {type(error).__name__}") from None


class GraphReader:
    """The tables of a file, as objects.

    Attributes
    ----------
    types, ops, graphs, nodes : list
        What has been read; nodes of all graphs are numbered together.
    """

    def __init__(self, array_of: ArrayOf) -> None:
        self.types: list[Type] = []
        self.ops: list[Op] = []
        self.graphs: list[Graph] = []
        self.nodes: list[Node] = []
        self._array_of = array_of
        self._unknown: dict[int, UnknownDim] = {}
        self._op_rows: list[Any] = []
        self._parameters: Iterator[Any] = iter(())
        self._origins: Iterator[Creation] = repeat(NOWHERE)
        self._names: Mapping[int, str] = {}
        self._shared: Mapping[int, int] = {}
        self._right: set[tuple[int, ...]] = set()  # ops with types that were checked

    def use(
        self, origins: Sequence[Creation], names: Mapping[int, str], shared: Mapping[int, int]
    ) -> None:
        """Give the nodes that will be read their provenance, and the names not in their rows.

        ``shared`` are those that are nodes of earlier graphs, too.
        """
        self._origins, self._names, self._shared = iter(origins), names, shared

    def read(
        self, data: Any, parameters: Sequence[Any], outside: Sequence[Any] = ()
    ) -> Graph:
        """Read types, ops, graphs and nodes outside, which follow those read before.

        Return the last graph.
        """
        self._parameters = iter(parameters)
        for number, row in enumerate(part(data, "types", list), len(self.types)):
            with within(f"type {number}"):
                self.types.append(self._type(row))
        self._op_rows += part(data, "ops", list)
        for number, graph in enumerate(part(data, "graphs", list), len(self.graphs)):
            with within(f"graph {number}"):
                self.graphs.append(self._graph(graph))
        if not self.graphs:
            raise SavedGraphError("it has no graph")
        with within("outside"):
            self._read_nodes(outside, self.nodes)
        if next(self._parameters, None) is not None:
            raise SavedGraphError("there are more values than parameters")
        return self.graphs[-1]

    def finish(self) -> None:
        """Check that all ops are used."""
        if len(self.ops) < len(self._op_rows):
            raise SavedGraphError(f"op {len(self.ops)}: no node uses it")

    # What attributes refer to

    def item(self, table: str, number: Any) -> Any:
        """Return a type, an op or a graph that comes before what refers to it."""
        if table == "ops" and type(number) is int:
            return self._op_at(number)
        found: list[Any] = getattr(self, table)
        if type(number) is not int or not 0 <= number < len(found):
            raise SavedGraphError(f"{shown(number)} is not a number of {table} before it")
        return found[number]

    def unknown(self, number: Any) -> UnknownDim:
        """Return the unknown dimension with a number."""
        if type(number) is not int or not 0 <= number < 2**63:
            raise SavedGraphError(f"{shown(number)} is not the number of an unknown dimension")
        return self._unknown.setdefault(number, UnknownDim())

    def shape(self, data: Any) -> Any:
        """Return a shape."""
        if isinstance(data, list) and len(data) <= MOST_AXES:
            return tuple([self._dimension(dim) for dim in data])
        if not isinstance(data, dict) or [*data] != ["join"] or not isinstance(data["join"], list):
            raise SavedGraphError(f"{shown(data)} is not a shape")
        parts = [
            self.shape(dim) if isinstance(dim, list) else self._dimension(dim)
            for dim in data["join"]
        ]
        if not parts or any(isinstance(dim, (int, str)) for dim in parts):
            raise SavedGraphError("an unknown shape joins unknown dimensions and shapes")
        return UnknownShape(frozenset(parts))

    def _dimension(self, data: Any) -> Any:
        if is_dimension(data):
            return data
        if isinstance(data, dict) and [*data] == ["unknown"]:
            return self.unknown(data["unknown"])
        raise SavedGraphError(f"{shown(data)} is not a dimension")

    def _type(self, row: Any) -> Type:
        if isinstance(row, dict) and [*row] == ["structure", "items"]:
            return self._structure(row["structure"], part(row, "items", list))
        keys = [*row] if isinstance(row, dict) else []
        if keys[:2] != ["dtype", "shape"]:
            raise SavedGraphError("it is not a type")
        dtype, shape = dtype_named(row["dtype"]), self.shape(row["shape"])
        if keys[2:] == ["stored"] and isinstance(shape, tuple) and len(shape) == 2:
            return SparseType(dtype, shape, self._dimension(row["stored"]))
        if keys[2:] == ["weak"] and row["weak"] is True:
            return TensorType(dtype, shape, weak=True)
        if keys[2:]:
            raise SavedGraphError("it is not a type")
        return TensorType(dtype, shape)

    def _structure(self, kind: Any, rows: list[Any]) -> StructureType:
        if kind not in ("tuple", "list", "dict"):
            raise SavedGraphError(f"{shown(kind)} is not a kind of structure")
        items = []
        for row in rows:
            if not isinstance(row, list) or len(row) != 2:
                raise SavedGraphError("an item of a structure is not a key and a type")
            key = read_attribute(self, row[0])
            items.append((key, None if row[1] is None else self.item("types", row[1])))
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys) or (kind != "dict" and keys != [*range(len(keys))]):
            raise SavedGraphError("the keys of a structure are wrong")
        return StructureType(kind, tuple(items))

    def _op_at(self, number: int) -> Op:
        if not 0 <= number < len(self._op_rows):
            raise SavedGraphError(f"{number} is not the number of an op")
        while len(self.ops) <= number:
            with within(f"op {len(self.ops)}"):
                self.ops.append(self._op(self._op_rows[len(self.ops)]))
        return self.ops[number]

    def _op(self, row: Any) -> Op:
        if not is_row(row, str) and not (is_row(row, str, dict) and row[1]):
            raise SavedGraphError("it is not the name of an op and its attributes")
        name = row[0]
        kind = find_op(name)
        if kind is None:
            raise SavedGraphError(
                f"there is no op {shown(name)}.{did_you_mean(name[:60], OP_CLASSES)}",
                remedy="Import the module that defines it, or use the symad that saved it.",
            )
        given = row[1] if len(row) == 2 else {}
        annotations = _annotations(kind)
        values = {}
        for key, data in given.items():
            if key not in annotations:
                raise SavedGraphError(f"{name} has no attribute {shown(key)}")
            with within(f"attribute {key!r} of {name}"):
                values[key] = read_attribute(self, data)
                if not fits(values[key], annotations[key]):
                    raise SavedGraphError(f"{values[key]!r:.60} is not {annotations[key]}")
        op: Op = attempt(f"{name} cannot have these attributes", kind, **values)
        return op

    # Nodes

    def _graph(self, data: Any) -> Graph:
        check_keys(data, "nodes inputs outputs")
        nodes: list[Node] = []
        rows = part(data, "nodes", list)
        self._read_nodes(rows, nodes)
        self.nodes += nodes
        ends = [
            [_node(nodes, number) for number in part(data, key, list)]
            for key in ("inputs", "outputs")
        ]
        if any(node.op is not None for node in ends[0]):
            raise SavedGraphError("an input is computed by an op")
        graph = Graph(ends[1], ends[0])
        if [*dict.fromkeys([*graph.inputs, *graph.nodes])] != nodes:
            raise SavedGraphError("its nodes are not in the order of a walk from its outputs")
        return graph

    def _read_nodes(self, rows: Sequence[Any], nodes: list[Node]) -> None:
        """Read rows; the numbers in them refer to ``nodes``, to which the new ones are added."""
        origins, names, first = self._origins, self._names, len(self.nodes)
        for number, row in enumerate(rows):
            name = names.get(first + number)
            try:
                if isinstance(row, list) and row and type(row[0]) is str:
                    with creating(next(origins)):
                        node = self._leaf(row, name)
                else:
                    inputs = self._checked(row, nodes)
                    op, type_ = self.ops[row[0]], self.types[row[1]]
                    node = Node(op, inputs, type_, name, next(origins))
            except SavedGraphError as error:
                message = f"node {number}: {error.message}"
                raise SavedGraphError(message, remedy=error.remedy) from None
            earlier = self._shared.get(first + number)
            nodes.append(node if earlier is None else self._earlier(earlier, first, node))

    def _earlier(self, number: int, end: int, like: Node) -> Node:
        """Return a node of an earlier graph, which must be the same as ``like``."""
        found = self.nodes[number] if number < end else like
        same = (type(found), found.op, found.inputs) == (type(like), like.op, like.inputs)
        if isinstance(found, Constant) and isinstance(like, Constant):
            same = same and found.value.tobytes() == like.value.tobytes()
        if found is like or not same or found.type != like.type:
            raise SavedGraphError(f"node {number} is not the same as a later one")
        return found

    def _checked(self, row: Any, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Return the inputs of a computed node, whose type is that which its op infers."""
        if not isinstance(row, list) or len(row) < 2 or set(map(type, row)) != {int}:
            raise SavedGraphError("it is not a leaf, nor an op, a type and inputs")
        if min(row) < 0 or max(row[2:], default=-1) >= len(nodes):
            raise SavedGraphError("it has an input that does not come before it")
        inputs = tuple([nodes[place] for place in row[2:]])
        key = row[0], row[1], *[id(node.type) for node in inputs]
        if key not in self._right:
            op, type_ = self._op_at(row[0]), self.item("types", row[1])
            _check_node(op, type_, [node.type for node in inputs])
            self._right.add(key)
        return inputs

    def _leaf(self, row: list[Any], name: str | None) -> Node:
        kind, number, content = row if len(row) == 3 else (row[0], None, None)
        type_ = self.item("types", number)
        if kind == "input" and (content is None or isinstance(content, str)):
            return Node(None, (), type_, content)
        if kind in ("variable", "parameter") and isinstance(content, str) and content:
            if not isinstance(type_, TensorType) or type_.weak:
                raise SavedGraphError(f"a {kind} cannot be {type_}")
            if kind == "variable":
                return Variable(content, type_.shape, type_.dtype)
            value = next(self._parameters, None)
            return Parameter(content, self._value(value, type_))
        if kind == "constant":
            return _constant(self._value(content, type_), type_, name)
        raise SavedGraphError(f"{shown(kind)} is not a kind of leaf with such a name or value")

    def _value(self, data: Any, type_: Type) -> Array:
        """Return the value of a constant or parameter: hexadecimal, or the number of an array."""
        if not isinstance(type_, TensorType) or not type_.is_static:
            raise SavedGraphError(f"a value cannot be {type_}")
        shape: Any = type_.shape
        if isinstance(data, str) and "/" in data:
            return self._array_of(data, type_.dtype, shape)
        size = math.prod(shape) * type_.dtype.itemsize
        if not isinstance(data, str) or len(data) != 2 * size or not _HEXADECIMAL(data):
            raise SavedGraphError(f"{shown(data)} is not the value of {type_}")
        stored = np.frombuffer(bytes.fromhex(data), type_.dtype.newbyteorder("<"))
        return checked_booleans("value", stored.astype(type_.dtype, copy=False).reshape(shape))


_HEXADECIMAL = re.compile(r"[0-9a-f]*").fullmatch


def _constant(array: Array, type_: TensorType, name: str | None) -> Constant:
    """Return a constant that holds an array itself, not a copy."""
    node = Constant.__new__(Constant)
    Node.__init__(node, None, (), type_, name)
    array.flags.writeable = False
    node.value = array
    return node


def _node(nodes: Sequence[Node], number: Any) -> Node:
    if type(number) is not int or not 0 <= number < len(nodes):
        raise SavedGraphError(f"{shown(number)} is not the number of a node")
    return nodes[number]


# Checks of ops


def _annotations(kind: type[Op]) -> dict[str, str]:
    found = {}
    for base in reversed(kind.__mro__):
        hints = vars(base).get("__annotations__", {})
        found.update({key: str(hint) for key, hint in hints.items()})
    return {key: found[key] for key in kind._fields}


def attempt(message: str, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Return what a function of an op returns; whatever error it raises is one of the file."""
    try:
        return function(*args, **keywords)
    except SymadError as error:
        raise SavedGraphError(f"{message}: {error.message}") from None
    except Exception as error:
        raise SavedGraphError(f"{message}: {type(error).__name__}: {error}") from None


def _check_node(op: Op, declared: Type, types: Sequence[Type]) -> None:
    name = op.name
    least, most = _arity(op)
    if not least <= len(types) <= most:
        raise SavedGraphError(f"{name} cannot have {len(types)} inputs")
    inferred = attempt(f"{name} refuses its inputs", op.infer, *types)
    if not agree(inferred, declared):
        raise SavedGraphError(f"its type is {declared}, but {name} gives {inferred}")
    if isinstance(op, WithBody):
        inner = attempt(f"{name} refuses its inputs", op.body_types, *types)
        for body in op.bodies:
            own = [node.type for node in body.inputs]
            if len(own) != len(inner) or not all(map(_may_be, own, inner)):
                raise SavedGraphError(f"{name} has a graph for other inputs")


def _arity(op: Op) -> tuple[int, float]:
    """Return the least and the largest number of inputs, as far as the op says."""
    if isinstance(op, Elementwise) and isinstance(op.chain, tuple) and op.chain:
        return len(op.chain), len(op.chain)
    function = resolve(type(op).numpy) if hasattr(type(op), "numpy") else None
    if isinstance(function, np.ufunc):
        return function.nin, function.nin
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0, math.inf
    attributes = op.attributes()
    own = [p for key, p in signature.parameters.items() if key not in attributes]
    if any(p.kind is p.VAR_POSITIONAL for p in own):
        least = sum(p.kind is not p.VAR_POSITIONAL and p.default is p.empty for p in own)
        return least, math.inf
    return sum(p.default is p.empty for p in own), len(own)


def agree(inferred: Type | None, declared: Type | None) -> bool:
    """Return whether a declared type says nothing that was not inferred."""
    if inferred is declared or inferred == declared:
        return True
    if isinstance(inferred, StructureType) and isinstance(declared, StructureType):
        return (inferred.kind, inferred.keys) == (declared.kind, declared.keys) and all(
            agree(a, b) for (_, a), (_, b) in zip(inferred.fields, declared.fields, strict=True)
        )
    if isinstance(inferred, SparseType) and isinstance(declared, SparseType):
        a, b = (TensorType(t.dtype, (*t.shape, t.stored)) for t in (inferred, declared))
        return agree(a, b)
    if not isinstance(inferred, TensorType) or not isinstance(declared, TensorType):
        return False
    if inferred.dtype != declared.dtype:
        return False
    if isinstance(declared.shape, UnknownShape):
        return True
    return not isinstance(inferred.shape, UnknownShape) and _sizes_agree(
        inferred.shape, declared.shape
    )


def _sizes_agree(inferred: Sequence[Any], declared: Sequence[Any]) -> bool:
    return len(inferred) == len(declared) and all(
        isinstance(b, UnknownDim) or a == b for a, b in zip(inferred, declared, strict=True)
    )


def _may_be(own: Type, given: Type) -> bool:
    """Return whether an input of a body can take a value of a type."""
    if not isinstance(own, TensorType) or not isinstance(given, TensorType):
        return agree(given, own)
    return agree_in_shape(own, given)


def agree_in_shape(a: Any, b: Any) -> bool:
    """Return whether two types of arrays can be the same."""
    tensors = isinstance(a, TensorType) and isinstance(b, TensorType)
    return tensors and a.dtype == b.dtype and compatible_shapes(a.shape, b.shape)


def count_nodes(data: Any) -> int:
    """Return how many nodes are in the graphs of a member."""
    graphs = [part(graph, "nodes", list) for graph in part(data, "graphs", list)]
    return sum(map(len, graphs))
