"""Calls for ops with bodies: maps and loops.

Each body is lowered by itself, and its calls are run for each step, with words that move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, Views
from symad.backends.native.lower.copies import Scratch, contiguous, converted, copy, without_axis
from symad.backends.native.lower.views import is_view
from symad.backends.native.segment_code import (
    BodyCalls,
    Call,
    LoopCall,
    LoopKind,
    Operand,
    SegmentCode,
)
from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import identity
from symad.ops.body import WithBody
from symad.ops.control import Map
from symad.ops.loops import Scan, While
from symad.plan.buffer_assignment import Storage, StorageKind
from symad.plan.liveness import sharing_of
from symad.plan.plan import copied_outputs
from symad.types import TensorType

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
    """

    scratch: Scratch
    compiled: Callable[[Graph], SegmentCode]

    def body(
        self, code: SegmentCode, inputs: Sequence[Operand], outputs: Sequence[Operand]
    ) -> BodyCalls:
        """Return the calls of a body with memory of its own."""
        arena = self.scratch((code.arena,), _BYTE)
        return BodyCalls(code, arena, tuple(inputs), tuple(outputs))


LowerLoop = Callable[[Node, Views, Views, Tools], list[Call]]
"""A function that returns the calls for an op with bodies, from its arguments and results."""


def own_outputs(graph: Graph) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Return the outputs, with a copy of each that shares memory; and these copies."""
    copied = copied_outputs(graph, sharing_of(graph))
    outputs, copies = list(graph.outputs), []
    for k, output in enumerate(outputs):
        if copied[k] and isinstance(output.type, TensorType) and output.type.is_static:
            outputs[k] = apply(identity, output)
            copies.append(outputs[k])
    return tuple(outputs), tuple(copies)


def computed_nodes(body: Graph) -> list[Node]:
    """Return the nodes of a body that are computed, in order; views are not."""
    given = set(body.inputs)
    order = (node for node in frugal_order(body) if node.op is not None and node not in given)
    return [node for node in order if not is_view(node)]


def are_lowered(op: WithBody, supports: Callable[[Node], bool]) -> bool:
    """Return whether the bodies of an op have native code as a whole."""
    return type(op) in TABLE and all(_is_lowered(body, supports) for body in op.bodies)


def _is_lowered(body: Graph, supports: Callable[[Node], bool]) -> bool:
    is_static = all(
        isinstance(node.type, TensorType) and node.type.is_static
        for node in (*body.inputs, *body.outputs)
    )
    return is_static and all(map(supports, computed_nodes(body)))


def _whole(node: Node, views: Views, scratch: Scratch) -> tuple[list[Operand], list[Call]]:
    """Return operands that do not move, and the calls that copy those that are not in order."""
    pairs = [contiguous(node, view, scratch) for view in views]
    return [Operand(view) for view, _ in pairs], [call for _, calls in pairs for call in calls]


def _in_rows(
    node: Node, views: Views, scratch: Scratch, backwards: bool = False
) -> tuple[list[Operand], list[Call]]:
    """Return operands that go through the rows of sequences, and the calls that copy some."""
    operands, before = [], list[Call]()
    for view in views:
        if not without_axis(view, 0).is_contiguous:
            view, calls = contiguous(node, view, scratch)
            before += calls
        operands.append(_rows(view, backwards))
    return operands, before


def _rows(view: BufferView, backwards: bool) -> Operand:
    first = without_axis(view, 0, view.shape[0] - 1 if backwards else 0)
    step = view.strides[0] * view.dtype.itemsize
    return Operand(first, -step if backwards else step)


def _map(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, Map)
    steps = inputs[0].shape[0]
    if not steps:
        return []
    rows, before = _in_rows(node, inputs[: op.sequences], tools.scratch)
    shared, more = _whole(node, inputs[op.sequences :], tools.scratch)
    code = tools.compiled(op.body)
    body = tools.body(code, [*rows, *shared], [_rows(view, False) for view in outputs])
    bodies = body, _copies(node, [], [], tools)
    return [*before, *more, _loop(LoopKind.COUNTED, bodies, steps, node)]


@dataclass(frozen=True, slots=True)
class _Carries:
    """The carries of a loop: each is read from one of two buffers, and written to the other.

    Attributes
    ----------
    before : list of Call
        The calls that copy the first carries.
    read, written : list of Operand
    """

    before: list[Call]
    read: list[Operand]
    written: list[Operand]


def _carries(node: Node, first: Views, scratch: Scratch) -> _Carries:
    before, read, written = list[Call](), [], []
    for view in first:
        pair = scratch((2, *view.shape), view.dtype)
        step = math.prod(view.shape) * view.dtype.itemsize
        here, there = (without_axis(pair, 0, k) for k in range(2))
        before += copy(node, view, here)
        read.append(Operand(here, step, alternates=True))
        written.append(Operand(there, -step, alternates=True))
    return _Carries(before, read, written)


def _scan(node: Node, inputs: Views, outputs: Views, tools: Tools) -> list[Call]:
    op = node.op
    assert isinstance(op, Scan)
    first, count, end = inputs[1:], op.carries, op.carries + op.sequences
    last, stacks = outputs[:count], outputs[count:]
    if op.length == 0:
        return [c for pair in zip(first, last, strict=False) for c in copy(node, *pair)]
    steps, converting = _steps(node, inputs[0], tools.scratch)
    carries = _carries(node, first[:count], tools.scratch)
    rows, before = _in_rows(node, first[count:end], tools.scratch, op.backwards)
    shared, more = _whole(node, first[end:], tools.scratch)
    made = [*carries.written, *(_rows(view, op.backwards) for view in stacks)]
    body = tools.body(tools.compiled(op.body), [*carries.read, *rows, *shared], made)
    bodies = body, _copies(node, carries.read, last, tools)
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
    *last, steps = outputs
    carries = _carries(node, inputs[: op.carries], tools.scratch)
    shared, more = _whole(node, inputs[op.carries :], tools.scratch)
    given, flag = [*carries.read, *shared], tools.scratch((), _TRUTH)
    condition = tools.body(tools.compiled(op.condition), given, [Operand(flag)])
    body = tools.body(tools.compiled(op.body), given, carries.written)
    bodies = condition, body, _copies(node, carries.read, last, tools)
    limit = -1 if op.max_steps is None else op.max_steps
    loop = _loop(LoopKind.WHILE, bodies, steps, node, flag=flag, limit=limit)
    return [*carries.before, *more, loop]


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


TABLE: dict[type[Op], LowerLoop] = {Map: _map, Scan: _scan, While: _while}
"""The lowering function of each op."""
