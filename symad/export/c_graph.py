"""A graph as statements of C: which values are numbers in registers, views, or arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from symad.backends.native.lower.views import is_view, numpy_view
from symad.export.c_arrays import Strided
from symad.export.c_bodies import Body, require_bound, write_body
from symad.export.c_code import CCode
from symad.export.c_function import CFunction, definition
from symad.export.c_linalg import TABLE
from symad.export.c_memory import CFile
from symad.export.c_nests import cost_of, write_nest
from symad.export.c_ops import missing
from symad.export.c_scalars import CScalar, element
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Variable, apply
from symad.graph.provenance import Site
from symad.ops.after import After
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.permute import PermuteDims
from symad.ops.reduce import Sum
from symad.ops.shape import ExpandDims, Reshape, Squeeze
from symad.ops.structure import MakeStructure, StructureItem
from symad.passes.decompose import is_dense
from symad.passes.fuse import reduced_axes, shape_of
from symad.passes.stack_bounds import reads_all_rows
from symad.types import StructureType, TensorType, Type

Value = Any
"""A number, an array, a dict of the items of a structure, or ``None`` for an absent item."""


def has_code(node: Node) -> bool:
    """Return whether there is code for one element of an elementwise node."""
    return isinstance(node.op, PerElement) and cost_of(node) is not None


class _GraphWriter:
    def __init__(self, file: CFile, function: CFunction, graph: Graph) -> None:
        self._file, self._function, self._graph = file, function, graph
        self._values: dict[Node, Value] = {}
        self._arrays: dict[Node, Strided] = {}
        self._numbers: dict[Node, CScalar] = {}
        self._results: dict[tuple[Node, Any], int] = {}
        self._bodies: dict[Graph, Body] = {}
        self._items: dict[Node, dict[Any, Node]] = {}
        for node in graph.nodes:
            if isinstance(node.op, StructureItem):
                self._items.setdefault(node.inputs[0], {}).setdefault(node.op.key, node)

    def write(self) -> None:
        """Append the statements of all nodes, and those that store the outputs."""
        slots = iter(range(1 << 30))
        for node in self._graph.inputs:
            self._values[node] = self._input(node, node.type, slots)
        places = [place for node in self._graph.outputs for place in places_of(node)]
        for k, (node, key) in enumerate(places):
            self._results.setdefault((node, key), k)
        for node in self._graph.nodes:
            if node not in self._values:
                self._check(node)
                self._values[node] = self._written(node)
        for k, (node, key) in enumerate(places):
            self._store(node, key, k)

    # Inputs and outputs

    def _input(self, node: Node, type_: Type | None, slots: Iterator[int]) -> Value:
        """Return the array of an input; those of a structure in the order of its items."""
        if isinstance(type_, StructureType):
            return {key: self._input(node, item, slots) for key, item in type_.fields}
        dtype, shape = self._form(node, type_)
        return self._function.memory(shape, dtype, f"in[{next(slots)}]")

    def _form(self, node: Node, type_: Type | None) -> tuple[np.dtype[Any], tuple[int, ...]]:
        if isinstance(type_, TensorType) and isinstance(type_.shape, tuple):
            sizes = [self._file.bounds.get(size, size) for size in type_.shape]
            shape = tuple([size for size in sizes if isinstance(size, int)])
            if len(shape) == len(sizes):
                return type_.dtype, shape
        raise missing(node, f"the size of {type_} is not known, or it is no array")

    def _check(self, node: Node) -> None:
        if self._file.bounds and reads_all_rows(node, self._file.bounds):
            raise missing(node, "its number of rows is known only when a loop has ended")
        if isinstance(node.op, WithBody) and not isinstance(node.op, Fused):
            require_bound(node)
            return  # its own outputs are checked when they get memory
        for type_ in [node.type, *(source.type for source in node.inputs)]:
            if isinstance(type_, TensorType):
                self._form(node, type_)

    def _store(self, node: Node, key: Any, k: int) -> None:
        code = self._function.code()
        value = self._values[node]
        for step in key:
            value = value[step]
        if isinstance(value, CScalar):
            array = self._function.memory((), value.dtype, f"out[{k}]")
            code.store(value, array, [])
            self._function.add(code, number="")
        elif value.size:
            out = self._function.memory(value.shape, value.dtype, f"out[{k}]")
            if self._home(value) != k:
                code.copy(value, out)
                self._function.add(code, f"output {k}")

    def _home(self, value: Strided) -> int | None:
        """Return the number of the output in whose memory an array is, as that output."""
        place = self._function.place(value.name)
        is_whole = value.is_contiguous and not value.offset
        return int(place[4:-1]) if place.startswith("out[") and is_whole else None

    # Nodes

    def _written(self, node: Node) -> Value:
        op = node.op
        if isinstance(node, Constant):
            return self._constant(node)
        if isinstance(op, StructureItem):
            return self._values[node.inputs[0]][op.key]
        if isinstance(op, MakeStructure):
            given = iter(node.inputs)
            pairs = zip(op.keys, op.present, strict=True)
            return {key: self._values[next(given)] if there else None for key, there in pairs}
        if isinstance(op, After):
            return self._values[node.inputs[0]]
        if isinstance(op, PerElement) and isinstance(node.type, TensorType) and not node.shape:
            return self._number_of(node)
        if is_view(node):
            return self._view(node)
        return self._computed(node)

    def _constant(self, node: Constant) -> Value:
        value = node.value
        self._form(node, node.type)
        if value.ndim == 0:
            return self._function.code().scalars.constant(value.item(), value.dtype)
        return self._file.constant(value)

    def _number_of(self, node: Node) -> CScalar:
        """Compute an elementwise op of numbers."""
        code = self._function.code()
        operands = [self.number(source) for source in node.inputs]
        assert isinstance(node.op, PerElement)
        try:
            made = element(code.scalars, node.op, operands, node.dtype)
        except NotImplementedError as error:
            raise missing(node, str(error)) from None
        if not made.is_name:
            code.scalars.named(made)
        self._function.add(code, _described(node), made.text)
        return CScalar(made.text, made.dtype, True)

    def number(self, node: Node) -> CScalar:
        """Return a value without axes in a register."""
        value = self._values[node]
        if isinstance(value, CScalar):
            return value
        if node not in self._numbers:
            code = self._function.code()
            made = code.load(value, [])
            code.scalars.named(made)
            self._function.add(code, node.name or "", made.text)
            self._numbers[node] = made
        return self._numbers[node]

    def array(self, node: Node) -> Strided:
        """Return a value in memory."""
        value = self._values[node]
        if isinstance(value, Strided):
            return value
        if node not in self._arrays:
            code = self._function.code()
            self._arrays[node] = made = self._function.memory((), value.dtype)
            code.store(value, made, [])
            self._function.add(code, number="")
        return self._arrays[node]

    def _view(self, node: Node) -> Value:
        source = self.array(node.inputs[0])
        shape = shape_of(node)
        if isinstance(node.op, (Reshape, ExpandDims, Squeeze)):
            if not source.is_contiguous:
                code = self._function.code()
                source = code.contiguous(source)
                self._function.add(code, _described(node))
            return source.reshaped(shape)
        if isinstance(node.op, PermuteDims):
            order = node.op.order(len(source.shape))
            return source.see(lambda a: a.transpose(order))
        return source.see(numpy_view(node))

    def _result(self, node: Node, key: Any, type_: Type | None) -> Strided:
        """Return memory for a result: that of an output if it is one."""
        dtype, shape = self._form(node, type_)
        k = self._results.get((node, key))
        return self._function.memory(shape, dtype, "" if k is None else f"out[{k}]")

    def _results_of(self, node: Node) -> dict[Any, Strided]:
        """Return memory for each result of a node."""
        if not isinstance(node.type, StructureType):
            return {None: self._result(node, (), node.type)}
        items = self._items.get(node, {})
        made = {}
        for key, type_ in node.type.fields:
            item = items.get(key, node)
            made[key] = self._result(item, () if item is not node else (key,), type_)
        return made

    def _computed(self, node: Node) -> Value:
        code = self._function.code()
        results = self._results_of(node)
        outputs = list(results.values())
        op = node.op
        assert op is not None
        if isinstance(op, Fused):
            write_nest(code, op, [self.array(source) for source in node.inputs], outputs)
        elif isinstance(op, WithBody):
            inputs = [self.array(source) for source in node.inputs]
            write_body(code, node, inputs, outputs, self._compiled)
        elif not self._write_alone(code, node, outputs):
            if op.name not in TABLE:
                raise missing(node, f"{op.name} is not there")
            TABLE[op.name](code, node, [self.array(source) for source in node.inputs], outputs)
        self._function.add(code, _described(node))
        return results if isinstance(node.type, StructureType) else outputs[0]

    def _compiled(self, body: Graph) -> Body:
        if body not in self._bodies:
            name = f"{self._file.name}_{self._file.new('body')}"
            self._bodies[body] = write_function(self._file, name, body)
        return self._bodies[body]

    # Single elementwise ops and reductions

    def _write_alone(self, code: CCode, node: Node, outputs: list[Strided]) -> bool:
        """Write a node as a nest of its own, if it can be one."""
        if isinstance(node.op, PerElement):
            if not has_code(node):
                raise missing(node, "it has no code for one element")
            if not outputs[0].size:
                return True
            taken = [n for n in node.inputs if not isinstance(n, Constant) or n.value.size > 1]
            op = Fused(Graph([node], list(dict.fromkeys(taken))), shape_of(node), None)
            write_nest(code, op, [self.array(n) for n in op.body.inputs], outputs)
            return True
        source = node.inputs[0] if node.inputs else node
        if not isinstance(node.op, (Sum, Max, Min)) or not is_dense(source):
            return False
        shape, axes = shape_of(source), reduced_axes(node.op, source)
        array = self.array(source)
        leading = axes == tuple(range(len(axes)))
        rest = tuple(axis for axis in range(len(shape)) if axis not in axes)
        order = (*axes, *rest) if leading else (*rest, *axes)
        inner = tuple(shape[axis] for axis in order)
        given = Variable("x", shape=inner, dtype=source.dtype)
        last = tuple(range(len(axes))) if leading else tuple(range(len(rest), len(shape)))
        reduced = apply(node.op.with_attributes(axis=last, keepdims=False), given)
        split = None if not rest else len(axes) if leading else len(rest)
        op = Fused(Graph([reduced], [given]), inner, split)
        kept = tuple(shape[axis] for axis in rest)
        write_nest(code, op, [array.see(lambda a: a.transpose(order))], [outputs[0].reshaped(kept)])
        return True


def places_of(node: Node) -> list[tuple[Node, tuple[Any, ...]]]:
    """Return a node with the keys of each item that its value has: none, if it is an array."""
    pending: list[tuple[Type | None, tuple[Any, ...]]] = [(node.type, ())]
    found: list[tuple[Node, tuple[Any, ...]]] = []
    while pending:
        type_, keys = pending.pop()
        if isinstance(type_, StructureType):
            pending += [(item, (*keys, key)) for key, item in reversed(type_.fields)]
        elif type_ is not None:
            found.append((node, keys))
    return found


def _described(node: Node) -> str:
    """Return what a value is, and the line of the user's that made it."""
    op = node.op.name if node.op else ""
    name = f"{node.name}: {op}" if node.name else op
    form = "" if isinstance(node.type, TensorType) and not node.shape else f" {node.type}"
    return f"{name}{form}, {_line_of(node.site)}"


@lru_cache(maxsize=256)
def _line_of(site: Site) -> str:
    return f"{site.place(short=True)}: {site.source}"


def write_function(file: CFile, name: str, graph: Graph) -> Body:
    """Define a function for a graph in a file, and return its name and work.

    Raises
    ------
    ExportError
        If C has nothing for a node; it names the node, the op and the user's line.
    """
    text, work = function_text(file, name, graph)
    file.functions.append(definition(name, text))
    return Body(name, work)


def function_text(file: CFile, name: str, graph: Graph) -> tuple[str, int]:
    """Return the body of a function for a graph, and how many doubles its work takes."""
    function = CFunction(file, name)
    _GraphWriter(file, function, graph).write()
    return function.finish(), function.work
