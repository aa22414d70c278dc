"""Bodies whose arrays have few elements, as one kernel that computes scalars.

All elements are read first and written last, so results may have the memory of arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, TypeAlias

import numpy as np

from symad.backends.native.jit import Effort, Written, stored_module
from symad.backends.native.kernel_call import BufferView, KernelCall, contiguous_strides
from symad.backends.native.kernels.nest_writer import combine
from symad.backends.native.kernels.writer import KernelWriter
from symad.backends.native.loop_nest import supports
from symad.backends.native.lower.views import is_view, numpy_view
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element
from symad.backends.native.segment_code import SegmentCode
from symad.disk import formulas_of
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.base import PerElement
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.index import ScatterAdd, ScatterSum
from symad.ops.join import Concat, Stack
from symad.ops.product import Matmul
from symad.ops.reduce import Prod, Sum
from symad.ops.structure import StructureItem
from symad.ops.subscript import fill_key
from symad.passes.fuse import reduced_axes, shape_of
from symad.plan.storage import Storage, StorageKind
from symad.types import TensorType

_ELEMENTS = 8
"""The most elements of an array."""
MOST_CALLED = 16
"""The most elements of an array in a body that is called once."""
_OPERATIONS = 600
"""The most operations on scalars, which bounds the time to compile them."""
_PER_OPERATION = 1.0
"""The estimated nanoseconds of an operation."""

_Elements: TypeAlias = np.ndarray[Any, Any]
"""The elements of an array: an array of :class:`Scalar`."""
_Rule = Callable[[LLVMScalarBuilder, Node, list[_Elements]], _Elements]


def scalar_code(body: Graph, is_fast: bool) -> SegmentCode | None:
    """Return the code of a body as one kernel, or ``None`` if it is too large or has no such code.
    """
    call = scalar_call(body, is_fast)
    if call is None:
        return None
    blocks = [Storage(StorageKind.INPUT, k) for k in range(len(body.inputs))]
    blocks += [Storage(StorageKind.OUTPUT, k) for k in range(len(body.outputs))]
    return SegmentCode([call], blocks, (), (), {}, 0, ())


def scalar_call(body: Graph, is_fast: bool, most: int = _ELEMENTS) -> KernelCall | None:
    """Return the call that computes a body whose arrays have at most so many elements.

    Words: the addresses of the inputs, then of the outputs.
    """
    if not has_scalar_code(body, most):
        return None

    def written() -> Written:
        writer = KernelWriter()
        writer.scalars = LLVMScalarBuilder(writer.builder, 0, is_fast)
        _write(writer, body)
        return writer.finish(), ()

    effort = Effort.of_arithmetic(is_fast)
    module = stored_module(_structure_of(body, is_fast), written, "scalars", effort)
    inputs = len(body.inputs)
    views = [_view(k, node) for k, node in enumerate((*body.inputs, *body.outputs))]
    over = tuple((made, given) for made in views[inputs:] for given in views[:inputs])
    work = _PER_OPERATION * (operations_of(body, most) or 0)
    return KernelCall(module.address("kernel"), tuple(views), module, body.outputs[0], work, over)


def _structure_of(body: Graph, is_fast: bool) -> Any:
    """Return what the code of a body depends on, ``None`` if that has no lasting form."""
    ops: list[Op] = []
    steps = _steps_of(body, ops)
    formulas = formulas_of(ops)
    return None if formulas is None else (is_fast, steps, formulas)


def _steps_of(graph: Graph, ops: list[Op]) -> Any:
    """Return the structure of a graph, and add its ops."""
    nodes = dict.fromkeys((*graph.inputs, *graph.nodes))
    number = {node: k for k, node in enumerate(nodes)}
    steps: list[Any] = []
    for node in nodes:
        what: Any = node.op
        if isinstance(node, Constant):
            what = node.value.tobytes()
        elif isinstance(node.op, Fused):
            what = _steps_of(node.op.body, ops)
        elif node.op is not None:
            ops.append(node.op)
        steps.append((what, str(node.type), [number[source] for source in node.inputs]))
    return len(graph.inputs), steps, [number[node] for node in graph.outputs]


def has_scalar_code(body: Graph, most: int = _ELEMENTS) -> bool:
    """Return whether a body is small enough for one kernel, and all its ops have such code."""
    operations = operations_of(body, most)
    return operations is not None and operations <= _OPERATIONS


def _view(block: int, node: Node) -> BufferView:
    shape = shape_of(node)
    return BufferView(block, 0, shape, contiguous_strides(shape), node.dtype)


def operations_of(graph: Graph, most: int = _ELEMENTS) -> int | None:
    """Return the number of operations on scalars.

    ``None`` if there is no code for some op, or an array has more than ``most`` elements.
    """
    total = 0
    for node in (*graph.inputs, *graph.outputs, *graph.nodes):
        if not isinstance(node.op, Fused) and not _is_small(node, most):
            return None
    given = set(graph.inputs)
    for node in graph.nodes:
        if node.op is None or node in given:
            continue
        if isinstance(node.op, Fused):
            inner = operations_of(node.op.body, most)
            if inner is None:
                return None
            total += inner
        elif isinstance(node.op, StructureItem):
            if not isinstance(node.inputs[0].op, Fused):
                return None
        elif _rule_of(node) is None:
            return None
        else:
            total += most * len(node.inputs) if isinstance(node.op, Matmul) else node.type.size
    return total


def _is_small(node: Node, most: int) -> bool:
    type_ = node.type
    return (
        isinstance(type_, TensorType)
        and type_.is_static
        and type_.dtype.kind in "biuf"
        and type_.dtype != np.float16
        and 0 < type_.size <= most
    )


def _write(writer: KernelWriter, body: Graph) -> None:
    given = {node: _read(writer, k, node) for k, node in enumerate(body.inputs)}
    for k, elements in enumerate(computed_elements(writer.scalars, body, given), len(body.inputs)):
        address = writer.address(k)
        for place, scalar in enumerate(elements.flat):
            writer.store(scalar, address, writer.integer(place))


def _read(writer: KernelWriter, k: int, node: Node) -> _Elements:
    address, size = writer.address(k), math.prod(shape_of(node))
    scalars = [writer.load(address, writer.integer(place), node.dtype) for place in range(size)]
    return elements_of(scalars, shape_of(node))


def elements_of(scalars: Sequence[Scalar], shape: Sequence[int]) -> _Elements:
    made = np.empty(len(scalars), object)
    made[:] = scalars
    return made.reshape(shape)


def computed_elements(
    builder: LLVMScalarBuilder, graph: Graph, given: dict[Node, _Elements]
) -> list[_Elements]:
    """Return the elements of the outputs of a graph, from those of its inputs."""
    values: dict[Node, Any] = dict(given)
    for node in graph.nodes:
        if node in values:
            continue
        inputs = [values[source] for source in node.inputs]
        if isinstance(node, Constant):
            numbers = [builder.constant(x, node.dtype) for x in node.value.flat]
            values[node] = elements_of(numbers, node.value.shape)
        elif isinstance(node.op, Fused):
            body = node.op.body
            made = computed_elements(builder, body, dict(zip(body.inputs, inputs, strict=True)))
            values[node] = made if len(made) > 1 else made[0]
        elif isinstance(node.op, StructureItem):
            values[node] = inputs[0][node.op.key]
        else:
            rule = _rule_of(node)
            assert rule is not None, "unsupported ops have been looked for"
            values[node] = rule(builder, node, inputs)
    return [values[node] for node in graph.outputs]


# Rules


def _rule_of(node: Node) -> _Rule | None:
    if isinstance(node.op, PerElement):
        return _per_element if supports(node) else None
    if is_view(node):
        return _moved
    if isinstance(node.op, (ScatterAdd, ScatterSum)):
        values = 1 if isinstance(node.op, ScatterAdd) else len(node.op.keys)
        if len(node.inputs) > values + 1:
            return None  # at places that are known only when it runs
    return _RULES.get(type(node.op))  # type: ignore[arg-type]


def _per_element(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    op = node.op
    assert isinstance(op, PerElement)
    operands = [np.broadcast_to(array, shape_of(node)).flat for array in inputs]
    each = zip(*operands, strict=True)
    return elements_of([element(builder, op, x, node.dtype) for x in each], shape_of(node))


def _moved(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    made: _Elements = numpy_view(node)(inputs[0])
    return made


def _joined(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    """Apply NumPy's function to the numbers of elements."""
    assert node.op is not None
    scalars = [builder.cast(x, node.dtype) for array in inputs for x in array.flat]
    numbers = np.split(np.arange(len(scalars)), np.cumsum([array.size for array in inputs])[:-1])
    shaped = [k.reshape(array.shape) for k, array in zip(numbers, inputs, strict=True)]
    places = node.op.kernel()(*shaped)
    return elements_of([scalars[k] for k in places.flat], places.shape)


def _reduced(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    """Add or multiply the elements along some axes, or take the largest or the least."""
    assert isinstance(node.op, (Prod, Sum, Max, Min))
    join = builder.multiply if isinstance(node.op, Prod) else partial(combine, builder, node)
    axes = reduced_axes(node.op, node.inputs[0])
    rest = [axis for axis in range(inputs[0].ndim) if axis not in axes]
    rows = inputs[0].transpose(*rest, *axes).reshape(math.prod(shape_of(node)), -1)
    totals = [reduce(join, [builder.cast(x, node.dtype) for x in row]) for row in rows]
    return elements_of(totals, shape_of(node))


def _matmul(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    left, right = inputs
    rows = left[None] if left.ndim == 1 else left
    columns = right[:, None] if right.ndim == 1 else right
    rows, columns = rows[..., :, None, :], np.swapaxes(columns, -1, -2)[..., None, :, :]
    pairs = np.broadcast_arrays(rows, columns)
    totals = []
    for index in np.ndindex(pairs[0].shape[:-1]):
        terms = zip(*(array[index] for array in pairs), strict=True)
        products = [
            builder.multiply(*(builder.cast(x, node.dtype) for x in term)) for term in terms
        ]
        totals.append(reduce(builder.add, products))
    return elements_of(totals, shape_of(node))


def _scatter(builder: LLVMScalarBuilder, node: Node, inputs: list[_Elements]) -> _Elements:
    """Add values to zeros at places that are known now."""
    op, shape = node.op, shape_of(node)
    assert isinstance(op, (ScatterAdd, ScatterSum))
    totals = [builder.constant(0, node.dtype)] * math.prod(shape)
    keys = [op.key] if isinstance(op, ScatterAdd) else op.keys
    for key, array in zip(keys, inputs, strict=False):
        places = np.arange(len(totals)).reshape(shape)[fill_key(key, ())]
        added = np.broadcast_to(array, np.shape(places))
        for place, scalar in zip(np.ravel(places), added.flat, strict=True):
            totals[place] = builder.add(totals[place], builder.cast(scalar, node.dtype))
    return elements_of(totals, shape)


_RULES: dict[type[Op], _Rule] = {
    Concat: _joined,
    Matmul: _matmul,
    Max: _reduced,
    Min: _reduced,
    ScatterAdd: _scatter,
    ScatterSum: _scatter,
    Stack: _joined,
    Prod: _reduced,
    Sum: _reduced,
}
