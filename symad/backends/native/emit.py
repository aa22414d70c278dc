"""The last stage: from the plan of native code to the program that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from symad.backends.base import Settings
from symad.backends.native.lower.dispatch import PlacedSegment
from symad.backends.native.memory_pool import Memory
from symad.backends.native.packages import form_of
from symad.backends.native.plan import (
    NativePlan,
    PlannedStep,
    lower_parts,
    make_native_plan,
    node_by_node,
)
from symad.backends.native.program import NativeProgram, RegisterCall
from symad.backends.native.runtime import runtime
from symad.backends.native.schedule import Schedule, schedule
from symad.backends.native.segment import Segment
from symad.backends.numpy import numpy_program
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.ops.body import WithBody
from symad.plan.plan import make_plan


def schedule_natively(graph: Graph) -> Schedule:
    """Return the schedule of a graph for this machine."""
    return schedule(graph, runtime() is not None)


def native_program(plan: NativePlan, settings: Settings, memory: Memory) -> NativeProgram:
    """Return the program that runs a plan.

    Parameters
    ----------
    plan : NativePlan
    settings : Settings
    memory : Memory
        Memory that may be shared with other programs.
    """
    make_plan, form = partial(node_by_node, plan), form_of(plan.schedule.whole)
    if plan.whole is not None:
        return NativeProgram(make_plan, form, _segment(plan.whole, memory))
    graph, outputs = plan.schedule.graph, plan.schedule.outputs
    constants = [node for node in graph.nodes if isinstance(node, Constant)]
    made = [node for step in plan.steps for node in step.made]
    place = {node: k for k, node in enumerate((*graph.inputs, *constants, *made))}
    calls = tuple(_calls(plan, place, settings, memory))
    registers = (*(node.value[()] for node in constants), *(None for _ in made))
    ends = zip((place[node] for node in outputs), plan.schedule.copied, strict=True)
    return NativeProgram(make_plan, form, None, calls, registers, tuple(ends))


def _calls(
    plan: NativePlan, place: dict[Node, int], settings: Settings, memory: Memory
) -> Iterator[RegisterCall]:
    for step in plan.steps:
        source: Node | Segment
        run: Callable[..., Any]
        if isinstance(step.source, Node):
            source = step.source
            run = _kernel(source, plan.schedule, settings, memory)
        else:
            source = _segment(step.source, memory)
            run = source.run
        inputs, outputs, frees = (
            tuple([place[node] for node in group]) for group in (step.inputs, step.made, step.dead)
        )
        yield RegisterCall(run, inputs, outputs, frees, source, _targets_of(plan.schedule, step))


def _segment(placed: PlacedSegment, memory: Memory) -> Segment:
    found = runtime()
    assert found is not None
    kernels = lambda: numpy_program(make_plan(Graph(placed.outputs, placed.inputs)))  # noqa: E731
    segment = Segment(placed.code, placed.inputs, kernels, found, memory)
    segment.enter()
    return segment


def _kernel(
    node: Node, schedule: Schedule, settings: Settings, memory: Memory
) -> Callable[..., Any]:
    """Return the function of arrays that computes a node."""
    op = node.op
    assert op is not None
    if node in schedule.copies:
        return np.copy
    if isinstance(op, WithBody):
        return op.kernel_of(*[_body_program(body, settings, memory) for body in op.bodies])
    return op.kernel()


def _body_program(body: Graph, settings: Settings, memory: Memory) -> NativeProgram:
    lowered = lower_parts(schedule_natively(body), settings.fastmath, settings.threads)
    return native_program(make_native_plan(lowered), settings, memory)


def _targets_of(schedule: Schedule, step: PlannedStep) -> tuple[int | None, ...]:
    """Return the index of the program's output for each array that a segment makes."""
    if isinstance(step.source, Node):
        return ()
    pairs = enumerate(zip(schedule.outputs, schedule.copied, strict=True))
    number = {node: k for k, (node, copied) in pairs if not copied}
    return tuple(number.get(node) for node in step.made)
