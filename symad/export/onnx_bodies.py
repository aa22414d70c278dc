"""Graphs in ONNX, and the ops that have graphs in them: loops, branches and calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import symad.export.onnx_linalg
import symad.export.onnx_special  # noqa: F401  these and what they import fill the tables
from symad.errors import ExportError
from symad.export.onnx_elements import OnnxBuilder, element_of
from symad.export.onnx_table import PROMOTING, TABLE
from symad.export.onnx_writer import INT, OnnxArray
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.base import Elementwise, PerElement
from symad.ops.body import WithBody
from symad.ops.matrices import NanOnFailure
from symad.types import StructureType, TensorType, UnknownShape


def evaluate(b: OnnxBuilder, graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of a graph for values of its inputs, as nodes of a model."""
    known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
    around = b.origin
    for node in graph.nodes:
        if node not in known:
            b.begin(node)
            arguments = [known[source] for source in node.inputs]
            known[node] = _computed(b, node, arguments)
    b.origin = around
    return [known[output] for output in graph.outputs]


def missing(node: Node, why: str = "ONNX does not have it") -> ExportError:
    """Return the error for a node that ONNX has nothing for."""
    assert node.op is not None
    return ExportError(
        f"{node.label!r} ({node.op.name}) cannot be written in ONNX: {why}",
        where=node.site.describe(),
        remedy="Compute it outside of the function, and pass it as an input.",
    )


def _computed(b: OnnxBuilder, node: Node, arguments: list[Any]) -> Any:
    if isinstance(node, Constant):
        return b.constant(node.value)
    op: Any = node.op
    if isinstance(op, NanOnFailure):  # as ONNX does anyway
        op = op.op
    try:
        if isinstance(op, WithBody):
            results = _BODIES[op.name](b, op, *arguments) if op.name in _BODIES else None
            value = results[0] if results and len(results) == 1 else results and tuple(results)
        elif op.name in TABLE:
            value = TABLE[op.name](b, *_promoted(op, node, arguments), **op.attributes())
        else:
            value = element_of(op, b, *arguments) if _has_element(op) else None
        if value is not None:
            return _typed(b, value, node.type)
    except NotImplementedError as error:
        raise missing(node, str(error)) from None
    raise missing(node)


def _has_element(op: Op) -> bool:
    """Return whether an op describes one element of its result."""
    if not isinstance(op, PerElement):
        return False
    return bool(op.element) or type(op).scalar is not PerElement.scalar


def _promoted(op: Op, node: Node, operands: list[Any]) -> list[Any]:
    """Return operands in the dtype in which an op computes."""
    if isinstance(op, Elementwise):
        dtypes = op.operand_dtypes(*[x.dtype for x in operands])
        return [x.to.convert(x, y) for x, y in zip(operands, dtypes, strict=True)]
    if op.name not in PROMOTING or not isinstance(node.type, TensorType):
        return operands
    dtype = node.type.dtype
    return [x.to.convert(x, "float32" if dtype == np.float16 else dtype) for x in operands]


def _typed(b: OnnxBuilder, value: Any, type_: Any) -> Any:
    """Return a value with the dtype of a type, and what the type says about its shape."""
    if isinstance(type_, StructureType):
        items = {
            key: None if item is None else _typed(b, value[key], item) for key, item in type_.fields
        }
        return items if type_.kind == "dict" else tuple(items.values())
    if not isinstance(type_, TensorType) or isinstance(type_.shape, UnknownShape):
        raise NotImplementedError("its value is not an array of known rank")
    x = b.convert(value, type_.dtype)
    sizes = zip(type_.shape, x.shape, strict=True)
    shape = [size if isinstance(size, int) else known for size, known in sizes]
    return OnnxArray(b, x.name, x.dtype, tuple(shape))


# Ops with bodies


def _call(b: OnnxBuilder, op: Any, *values: Any) -> list[Any]:
    return evaluate(b, op.body, values)


def _as_declared(x: OnnxArray, node: Node) -> OnnxArray:
    """Return the first carry of a loop with the shape that all have."""
    assert isinstance(node.type, TensorType) and isinstance(node.type.shape, tuple)
    sizes = [size if isinstance(size, int) else None for size in node.type.shape]
    return OnnxArray(x.to, x.name, x.dtype, tuple(sizes))


def _map(b: OnnxBuilder, op: Any, *values: Any) -> list[Any]:
    return _steps(b, op.body, b.number(b.size(values[0], 0)), 0, op.sequences, values, False)


def _scan(b: OnnxBuilder, op: Any, length: Any, *values: Any) -> list[Any]:
    return _steps(b, op.body, length, op.carries, op.sequences, values, op.backwards)


def _steps(
    b: OnnxBuilder, body: Graph, length: OnnxArray, carries: int, sequences: int,
    values: Sequence[Any], backwards: bool,
) -> list[Any]:  # fmt: skip
    """Return the last carries, and the outputs of all steps, stacked in the order of elements."""
    end = carries + sequences
    rows, shared = values[carries:end], values[end:]
    length = b.convert(length, INT)

    def step(place: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        at = length - 1 - place if backwards else place
        made = evaluate(b, body, [*state, *(b.take(row, at, 0) for row in rows), *shared])
        return None, made[:carries], made[carries:]

    first = [_as_declared(x, y) for x, y in zip(values[:carries], body.inputs, strict=False)]
    made = b.loop(length, first, step)
    turned = [b.slices(x, 0, None, None, -1) if backwards else x for x in made[carries:]]
    return [*made[:carries], *_sized(b, turned, length, body.outputs[carries:])]


def _sized(
    b: OnnxBuilder, stacks: Sequence[OnnxArray], length: OnnxArray, outputs: Sequence[Node]
) -> list[OnnxArray]:
    """Return the outputs of all steps with the sizes that they have even if there are no steps."""
    found = []
    for stack, node in zip(stacks, outputs, strict=True):
        assert isinstance(node.type, TensorType) and isinstance(node.type.shape, tuple)
        sizes = [b.dimension(size) for size in node.type.shape]
        known = [size for size in sizes if size is not None]
        is_needed = len(known) == len(sizes) and not all(isinstance(s, int) for s in sizes)
        found.append(b.reshape(stack, [length, *known]) if is_needed else stack)
    return found


def _while(b: OnnxBuilder, op: Any, *values: Any) -> list[Any]:
    """Carries are NaN if the loop does not end within ``max_steps``."""
    count = op.carries
    shared = values[count:]

    def goes_on(state: Sequence[Any]) -> OnnxArray:
        answer: OnnxArray = evaluate(b, op.condition, [*state, *shared])[0]
        return b.convert(answer, "bool")

    def step(place: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        made = evaluate(b, op.body, [*state[:count], *shared])
        return goes_on(made[:count]), [*made[:count], place + 1], made[count:]

    pairs = zip(values[:count], op.body.inputs, strict=False)
    first = [*(_as_declared(x, y) for x, y in pairs), b.constant(0, INT)]
    most = None if op.max_steps is None else b.constant(op.max_steps, INT)
    made = b.loop(most, first, step, goes_on(values[:count]))
    last, steps, stacks = made[:count], made[count], made[count + 1 :]
    if most is not None:
        ended = ~goes_on(last)
        last = [b.select(ended, x, np.nan) if x.dtype.kind == "f" else x for x in last]
    return [*last, *_sized(b, stacks, steps, op.body.outputs[count:]), steps]


def _branch(b: OnnxBuilder, op: Any, index: OnnxArray, *values: Any) -> list[Any]:
    """The index is clipped."""
    number = b.convert(index, INT)

    def among(first: int, end: int) -> list[Any]:
        if end == first + 1:
            return evaluate(b, op.branches[first], values)
        middle = (first + end) // 2
        halves = partial(among, first, middle), partial(among, middle, end)
        return b.branches(number < middle, *halves)

    return among(0, len(op.branches))


_BODIES: dict[str, Callable[..., list[Any]]] = {
    "call": _call, "fused": _call, "map": _map, "branch": _branch, "scan": _scan,
    "while_loop": _while,
}  # fmt: skip
