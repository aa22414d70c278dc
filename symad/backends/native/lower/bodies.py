"""Calls for ops with bodies: maps, loops, branches and calls.

Each body is lowered by itself, and its calls are run for each step, with words that move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import starmap
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Shape, Views
from symad.backends.native.lower.copies import (
    Scratch,
    contiguous,
    converted,
    copy,
    fill,
    without_axis,
)
from symad.backends.native.lower.scalar_bodies import has_scalar_code
from symad.backends.native.lower.views import is_view
from symad.backends.native.numpy_kernel import may_be_called
from symad.backends.native.segment_code import (
    BodyCalls,
    Call,
    LoopCall,
    LoopKind,
    Operand,
    SegmentCode,
    blocks_of,
)
from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Node, Variable, apply
from symad.graph.op import Op
from symad.ops.body import WithBody, results_of
from symad.ops.branch import Branch
from symad.ops.control import Call as Custom
from symad.ops.control import Map
from symad.ops.loops import Scan, While
from symad.ops.matrices import NanOnFailure, axes_of_matrix
from symad.ops.structure import StructureItem
from symad.passes.fuse import shape_of
from symad.plan.storage import Storage, StorageKind
from symad.records import dataclass, replace
from symad.types import StructureType, TensorType, Type, UnknownShape

_BYTE, _TRUTH, _INTEGER = np.dtype("uint8"), np.dtype("bool"), np.dtype("int64")
_STEP = 3.0
"""The estimated nanoseconds of a step without its kernels."""
_UNKNOWN = 1000
"""The estimated number of steps where it is known only when they have been run."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What lowering an op with bodies needs.

    Attributes
    ----------
    scratch : callable
        Returns memory.
    compiled : callable
        Returns the code of a body.
    scalars : callable
        Returns the call that computes a body of few elements at once, ``None`` if there is none.
    grows : callable
        Returns whether a view is that of memory that grows.
    """

    scratch: Scratch
    compiled: Callable[[Graph], SegmentCode]
    scalars: Callable[[Graph], KernelCall | None]
    grows: Callable[[BufferView], bool]

    def body(
        self, code: SegmentCode, inputs: Sequence[Operand], outputs: Sequence[Operand]
    ) -> BodyCalls:
        """Return the calls of a body with memory of its own."""
        arena = self.scratch((code.arena,), _BYTE)
        return BodyCalls(code, arena, tuple(inputs), tuple(outputs))


LowerLoop = Callable[[Node, Views, Views, Tools], list[Call]]
"""A function that returns the calls for an op with bodies, from its arguments and results."""


def computed_nodes(body: Graph) -> list[Node]:
    """Return the nodes of a body that are computed, in order; views are not."""
    given = set(body.inputs)
    order = (node for node in frugal_order(body) if node.op is not None and node not in given)
    return [node for node in order if not is_view(node)]


def are_lowered(node: Node, supports: Callable[[Node], bool]) -> bool:
    """Return whether an op with bodies has native code as a whole.

    Its values are known arrays, except that stacks may have any number of rows.
    """
    op = node.op
    if isinstance(op, NanOnFailure):
        known = all(isinstance(x.type, TensorType) and x.type.is_static for x in node.inputs)
        return known and supports(apply(op.op, *_matrices_of(node)))
    assert isinstance(op, WithBody)
    fields = node.type.fields if isinstance(node.type, StructureType) else ((0, node.type),)
    results = [type_ for _, type_ in fields]
    slots, stacks = _sequences_of(op), _stacks_of(op, len(results))
    pairs: list[tuple[Type | None, bool]]
    pairs = [(source.type, slot in slots) for slot, source in enumerate(node.inputs)]
    pairs += [(type_, k in stacks) for k, type_ in enumerate(results)]
    return all(starmap(_is_known, pairs)) and all(_is_lowered(body, supports) for body in op.bodies)


def _is_lowered(body: Graph, supports: Callable[[Node], bool]) -> bool:
    is_known = all(_is_known(node.type, False) for node in (*body.inputs, *body.outputs))
    if is_known and has_scalar_code(body):
        return True
    computed = computed_nodes(body)
    wholes = set(computed)  # which have the code of their items
    items = {n for n in computed if isinstance(n.op, StructureItem) and n.inputs[0] in wholes}
    rest = [node for node in computed if node not in items]
    is_supported = all(supports(node) or may_be_called(node) for node in rest)
    return is_known and is_supported


def _is_known(type_: Type | None, is_stack: bool) -> bool:
    """Return whether a value is an array of a known type, but for the rows of a stack."""
    if not isinstance(type_, TensorType) or type_.dtype.kind not in "biuf":
        return False
    return type_.is_static or (is_stack and _row_of(type_) > 0)


def _row_of(type_: TensorType) -> int:
    """Return the bytes of a row of a stack, 0 if they are not known."""
    if isinstance(type_.shape, UnknownShape) or not type_.shape:
        return 0
    row = type_.with_shape(type_.shape[1:])
    return row.nbytes if row.is_static else 0


def _sequences_of(op: Op | None) -> range:
    """Return the slots of inputs that may be stacks of any number of rows."""
    if not isinstance(op, Scan):
        return range(0)
    return range(1 + op.carries, 1 + op.carries + op.sequences)


def _stacks_of(op: Op, results: int) -> range:
    """Return which of the results may be stacks of any number of rows."""
    if not isinstance(op, (Scan, While)):
        return range(0)
    return range(op.carries, results - isinstance(op, While))


def _whole(node: Node, views: Views, scratch: Scratch) -> tuple[list[Operand], list[Call]]:
    """Return operands that do not move, and the calls that copy those that are not in order."""
    pairs = [contiguous(node, view, scratch) for view in views]
    return [Operand(view) for view, _ in pairs], [call for _, calls in pairs for call in calls]


def _in_rows(
    node: Node, views: Views, tools: Tools, backwards: bool = False
) -> tuple[list[Operand], list[Call]]:
    """Return operands that go through the rows of sequences, and the calls that copy some."""
    operands, before = [], list[Call]()
    for view in views:
        if not without_axis(view, 0).is_contiguous:
            view, calls = contiguous(node, view, tools.scratch)
            before += calls
        operands.append(_rows(view, tools, backwards))
    return operands, before


def _rows(view: BufferView, tools: Tools, backwards: bool = False) -> Operand:
    """Return the operand that goes through the rows of an array."""
    grows = tools.grows(view)
    first = without_axis(view, 0, view.shape[0] - 1 if backwards and not grows else 0)
    step = view.strides[0] * view.dtype.itemsize
    return Operand(first, -step if backwards else step, from_end=backwards and grows)


def _map(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, Map)
    steps = inputs[0].shape[0]
    if not steps:
        return []
    rows, before = _in_rows(node, inputs[: op.sequences], tools)
    shared, more = _whole(node, inputs[op.sequences :], tools.scratch)
    code = tools.compiled(op.body)
    body = tools.body(code, [*rows, *shared], [_rows(view, tools) for view in outputs])
    bodies = body, _copies(node, [], [], tools)
    return [*before, *more, _loop(LoopKind.COUNTED, bodies, steps, node)]


@dataclass(frozen=True, slots=True)
class _Carries:
    """The memory of the carries of a loop.

    A carry is read from one of two buffers and written to the other, or is written over in place.

    Attributes
    ----------
    before : list of Call
        The calls that copy the first carries.
    read, written : list of Operand
    results : list of BufferView
        Where the last carries must be copied to from what is read, or what is read itself.
    """

    before: list[Call]
    read: list[Operand]
    written: list[Operand]
    results: list[BufferView]

    def finish(self, node: Node, tools: Tools) -> BodyCalls:
        """Return the calls that copy the last carries to their results."""
        pairs = zip(self.read, self.results, strict=True)
        moved = [(operand, view) for operand, view in pairs if operand.view != view]
        return _copies(node, [operand for operand, _ in moved], [view for _, view in moved], tools)


def _carries(
    node: Node, code: SegmentCode, first: Views, results: Views, scratch: Scratch
) -> _Carries:
    """Return the memory of carries, the first inputs and outputs of a body."""
    made = _Carries([], [], [], [*results])
    for k, (view, result) in enumerate(zip(first, results, strict=True)):
        if _is_in_place(code, k):
            made.before.extend(copy(node, view, result))
            made.read.append(Operand(result))
            made.written.append(Operand(result))
            continue
        pair = scratch((2, *view.shape), view.dtype)
        step = math.prod(view.shape) * view.dtype.itemsize
        here, there = (without_axis(pair, 0, half) for half in range(2))
        made.before.extend(copy(node, view, here))
        made.read.append(Operand(here, step, alternates=True))
        made.written.append(Operand(there, -step, alternates=True))
    return made


def _is_in_place(code: SegmentCode, k: int) -> bool:
    """Return whether output ``k`` of a body may have the memory of input ``k``.

    It is written by one call, after which the input is not needed, and which may write its result
    over the input if it reads it.
    """
    given, made = Storage(StorageKind.INPUT, k), Storage(StorageKind.OUTPUT, k)
    used = [{code.blocks[block] for block in blocks_of(call)} for call in code.calls]
    writers = [step for step, storages in enumerate(used) if made in storages]
    readers = [step for step, storages in enumerate(used) if given in storages]
    if len(writers) != 1 or (readers and readers[-1] > writers[0]):
        return False
    over = [
        (code.blocks[new.block], code.blocks[old.block]) for new, old in code.calls[writers[0]].over
    ]
    return given not in used[writers[0]] or (made, given) in over


def _scan(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, Scan)
    first, count, end = inputs[1:], op.carries, op.carries + op.sequences
    last, stacks = outputs[:count], outputs[count:]
    if op.length == 0:
        return [c for pair in zip(first, last, strict=False) for c in copy(node, *pair)]
    steps, converting = _steps(node, inputs[0], tools.scratch)
    code = tools.compiled(op.body)
    carries = _carries(node, code, first[:count], last, tools.scratch)
    rows, before = _in_rows(node, first[count:end], tools, op.backwards)
    shared, more = _whole(node, first[end:], tools.scratch)
    made = [*carries.written, *(_rows(view, tools, op.backwards) for view in stacks)]
    body = tools.body(code, [*carries.read, *rows, *shared], made)
    bodies = body, carries.finish(node, tools)
    loop = _loop(LoopKind.COUNTED, bodies, steps, node)
    return [*converting, *carries.before, *before, *more, loop]


def _steps(node: Node, length: BufferView, scratch: Scratch) -> tuple[int | BufferView, list[Call]]:
    """Return the number of steps of a scan, or its place, and the calls that convert it."""
    assert isinstance(node.op, Scan)
    if isinstance(node.op.length, int):
        return node.op.length, []
    place, calls = converted(node, length, scratch, _INTEGER)
    return place, [*calls]


def _while(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, While)
    *results, steps = outputs
    last, stacks = results[: op.carries], results[op.carries :]
    code = tools.compiled(op.body)
    carries = _carries(node, code, inputs[: op.carries], last, tools.scratch)
    shared, more = _whole(node, inputs[op.carries :], tools.scratch)
    given, flag = [*carries.read, *shared], tools.scratch((), _TRUTH)
    condition = tools.body(tools.compiled(op.condition), given, [Operand(flag)])
    made = [*carries.written, *(_rows(view, tools) for view in stacks)]
    body = tools.body(code, given, made)
    bodies = condition, body, carries.finish(node, tools)
    limit = -1 if op.max_steps is None else op.max_steps
    loop = _loop(LoopKind.WHILE, bodies, steps, node, flag=flag, limit=limit)
    return [*carries.before, *more, loop]


def _branch(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, Branch)
    index, calls = converted(node, inputs[0], tools.scratch, _INTEGER)
    given, more = _whole(node, inputs[1:], tools.scratch)
    made = [Operand(view) for view in outputs]
    bodies = tuple([tools.body(tools.compiled(body), given, made) for body in op.branches])
    work = _STEP + max(body.code.work for body in bodies)
    return [*calls, *more, LoopCall(LoopKind.BRANCH, bodies, index, node, work)]


def _call(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    """Lower a body that is run once."""
    op = node.op
    assert isinstance(op, Custom)
    given, more = _whole(node, inputs, tools.scratch)
    scalars = tools.scalars(op.body)
    if scalars is not None:
        views = [*(operand.view for operand in given), *outputs]
        return [*more, replace(scalars, arguments=tuple(views), node=node, over=())]
    body = tools.body(tools.compiled(op.body), given, [Operand(view) for view in outputs])
    bodies = body, _copies(node, [], [], tools)
    return [*more, _loop(LoopKind.COUNTED, bodies, 1, node)]


def _or_nan(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    """Lower an op on matrices that gives NaN for each matrix of a stack for which it fails."""
    singles = _matrices_of(node)
    shapes = [shape_of(single) for single in singles]
    batch = _batch_of(node)
    if not batch:
        return _guarded(node, inputs, outputs, tools)
    if 0 in batch:
        return []
    steps, rows, calls = math.prod(batch), list[Operand](), list[Call]()
    for view, shape in zip(inputs, shapes, strict=True):
        whole, copied = contiguous(node, view.broadcast_to((*batch, *shape)), tools.scratch)
        rows.append(_rows(_with_rows(whole, steps, shape), tools))
        calls += copied
    made = [_rows(_with_rows(v, steps, v.shape[len(batch) :]), tools) for v in outputs]
    single = apply(_op_of(node), *singles)
    body = tools.body(tools.compiled(Graph(results_of(single), singles)), rows, made)
    return [*calls, _loop(LoopKind.COUNTED, (body, _copies(node, [], [], tools)), steps, node)]


def _guarded(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    """Lower the case of one matrix."""
    given, before = _whole(node, inputs, tools.scratch)
    made, singles = [Operand(view) for view in outputs], _matrices_of(node)
    computed = apply(_op_of(node).op, *singles)
    body = tools.body(tools.compiled(Graph(results_of(computed), singles)), given, made)
    blocks = [Storage(StorageKind.OUTPUT, k) for k in range(len(outputs))]
    views = [replace(view, block=k, offset=0) for k, view in enumerate(outputs)]
    filled = [call for view in views for call in fill(node, np.nan, view)]
    otherwise = tools.body(SegmentCode(filled, blocks, (), (), {}, 0, ()), (), made)
    work = _STEP + body.code.work
    return [*before, LoopCall(LoopKind.GUARDED, (body, otherwise), 0, node, work)]


def _op_of(node: Node) -> NanOnFailure:
    assert isinstance(node.op, NanOnFailure)
    return node.op


def _matrices_of(node: Node) -> list[Node]:
    """Return inputs like those of an op on stacks of matrices, for one matrix."""
    pairs = zip(node.inputs, _axes_of_matrix(node), strict=True)
    return [Variable("x", shape_of(x)[len(shape_of(x)) - axes :], x.dtype) for x, axes in pairs]


def _axes_of_matrix(node: Node) -> list[int]:
    return axes_of_matrix(_op_of(node).op, [len(shape_of(x)) for x in node.inputs])


def _batch_of(node: Node) -> Shape:
    pairs = zip(map(shape_of, node.inputs), _axes_of_matrix(node), strict=True)
    return np.broadcast_shapes(*[shape[: len(shape) - axes] for shape, axes in pairs])


def _with_rows(view: BufferView, steps: int, shape: Shape) -> BufferView:
    made = view.reshaped((steps, *shape))
    assert made is not None, "it is contiguous"
    return made


def _copies(node: Node, sources: Sequence[Operand], targets: Views, tools: Tools) -> BodyCalls:
    """Return the calls that copy operands to where they are at the end."""
    calls: list[Call] = []
    blocks: list[Storage] = []
    for k, (source, target) in enumerate(zip(sources, targets, strict=True)):
        given, made = replace(source.view, block=2 * k, offset=0), replace(target, offset=0)
        calls += copy(node, given, replace(made, block=2 * k + 1))
        blocks += [Storage(StorageKind.INPUT, k), Storage(StorageKind.OUTPUT, k)]
    code = SegmentCode(calls, blocks, (), (), {}, 0, ())
    return tools.body(code, sources, [Operand(view) for view in targets])


def _loop(
    kind: LoopKind, bodies: tuple[BodyCalls, ...], steps: int | BufferView, node: Node, **more: Any
) -> LoopCall:
    each = _STEP + sum(body.code.work for body in bodies)
    work = each * (steps if isinstance(steps, int) else _UNKNOWN)
    return LoopCall(kind, bodies, steps, node, work, **more)


TABLE: dict[type[Op], LowerLoop] = {
    Map: _map,
    Scan: _scan,
    While: _while,
    Branch: _branch,
    Custom: _call,
    NanOnFailure: _or_nan,
}
"""The lowering function of each op."""
