"""The program of a plan: native code where available, NumPy's kernels for all other ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from symad.backends.base import Settings
from symad.backends.native.call_table import CallConvention
from symad.backends.native.lower.dispatch import PlacedSegment
from symad.backends.native.memory_pool import Memory
from symad.backends.native.plan import (
    NativePlan,
    PlannedStep,
    lower_parts,
    make_native_plan,
    node_by_node,
)
from symad.backends.native.runtime import runtime
from symad.backends.native.schedule import Schedule, form_of, packed, schedule, unpacked
from symad.backends.native.segment import Segment
from symad.backends.numpy import failure_of, result_of
from symad.graph.graph import Graph
from symad.graph.nested import rebuild
from symad.graph.node import Constant, Node
from symad.ops.body import WithBody
from symad.plan.plan import Plan
from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class _RegisterCall:
    """Call ``run`` with the values of some registers.

    Attributes
    ----------
    run : callable
    inputs : tuple of int
    outputs : tuple of int
        The registers of the results: a list for a segment, one for a kernel.
    frees : tuple of int
        The registers that are no longer needed after it.
    source : Node or Segment
    targets : tuple of int or None
        The index of the program's output for each array that a segment makes; memory for these
        outputs may be passed after the inputs.
    """

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frees: tuple[int, ...]
    source: Node | Segment
    targets: tuple[int | None, ...]


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
    if plan.whole is not None:
        return NativeProgram(plan, _segment(plan.whole, settings, memory), (), (), ())
    graph, outputs = plan.schedule.graph, plan.schedule.outputs
    constants = [node for node in graph.nodes if isinstance(node, Constant)]
    made = [node for step in plan.steps for node in step.made]
    place = {node: k for k, node in enumerate((*graph.inputs, *constants, *made))}
    calls = tuple(_calls(plan, place, settings, memory))
    registers = (*(node.value[()] for node in constants), *(None for _ in made))
    ends = zip((place[node] for node in outputs), plan.schedule.copied, strict=True)
    return NativeProgram(plan, None, calls, registers, tuple(ends))


def _calls(
    plan: NativePlan, place: dict[Node, int], settings: Settings, memory: Memory
) -> Iterator[_RegisterCall]:
    for step in plan.steps:
        source: Node | Segment
        run: Callable[..., Any]
        if isinstance(step.source, Node):
            source = step.source
            run = _kernel(source, plan.schedule, settings, memory)
        else:
            source = _segment(step.source, settings, memory)
            run = source.run
        inputs, outputs, frees = (
            tuple([place[node] for node in group]) for group in (step.inputs, step.made, step.dead)
        )
        yield _RegisterCall(run, inputs, outputs, frees, source, _targets_of(plan.schedule, step))


def _segment(placed: PlacedSegment, settings: Settings, memory: Memory) -> Segment:
    found = runtime()
    assert found is not None
    compiled = lambda graph: _body_program(graph, settings, memory)  # noqa: E731
    segment = Segment(placed, found, memory, compiled)
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


class NativeProgram:
    """A plan that is ready to run; calls share no state, so several threads may run it.

    Large buffers are kept between calls; a returned buffer is reused only when nothing refers to it
    any more.

    Parameters
    ----------
    native_plan : NativePlan
    whole : Segment or None
        The segment that takes all inputs and returns all outputs, if there is one; else
    calls : sequence of _RegisterCall
        are run on registers: those of the inputs, and
    registers : sequence
        the others as they are before a call;
    outputs : sequence of (int, bool)
        of which the outputs are some, that may have to be copied.
    """

    def __init__(
        self,
        native_plan: NativePlan,
        whole: Segment | None,
        calls: Sequence[_RegisterCall],
        registers: Sequence[Any],
        outputs: Sequence[tuple[int, bool]],
    ) -> None:
        self._plan = native_plan
        self._form = form_of(native_plan.schedule.whole)
        self._whole, self._steps = whole, calls
        self._registers, self._outputs = registers, outputs

    @cached_property
    def plan(self) -> Plan:
        """The plan that is run, node by node."""
        return node_by_node(self._plan)

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Run on ``values``, one for each input of the graph, and return the outputs.

        If ``targets`` has an array for an output, the output may be written there and returned.

        Raises
        ------
        EvaluationError
            If an op fails; it names the node, its input types and the user's line.
        """
        targets = unpacked(targets or (), self._form)
        if self._whole is not None:
            return packed(self._whole.run(*values, *targets), self._form)
        registers = [*values, *self._registers]
        with np.errstate(all="ignore"):
            for step in self._steps:
                _run(step, registers, targets)
        return packed(self._results(registers), self._form)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a native function that takes arguments as passed by Python, or ``None``.

        See :meth:`symad.backends.base.DirectProgram.entry`.
        """
        if self._whole is None:
            return None
        if any(self._form):
            outputs = rebuild(outputs, iter(self._form))
        return self._whole.entry(CallConvention(fallback, outputs))

    def _results(self, registers: Sequence[Any]) -> list[Any]:
        return [result_of(registers[place], copied) for place, copied in self._outputs]

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return the computed nodes in order, each with its seconds."""
        if self._whole is not None:
            return self._whole.profile(values)
        registers = [*values, *self._registers]
        times: list[tuple[Node, float]] = []
        with np.errstate(all="ignore"):
            for step in self._steps:
                if isinstance(step.source, Segment):
                    times += step.source.profile([registers[k] for k in step.inputs])
                begin = perf_counter()
                _run(step, registers, ())
                if isinstance(step.source, Node):
                    times.append((step.source, perf_counter() - begin))
        return times


def _run(step: _RegisterCall, registers: list[Any], targets: Sequence[Any]) -> None:
    arguments = [registers[place] for place in step.inputs]
    if targets:
        arguments += [None if k is None else targets[k] for k in step.targets]
    if isinstance(step.source, Segment):
        for place, value in zip(step.outputs, step.run(*arguments), strict=True):
            registers[place] = value
    else:
        try:
            registers[step.outputs[0]] = step.run(*arguments)
        except Exception as error:
            raise failure_of(step.source, error) from error
    for place in step.frees:
        registers[place] = None
