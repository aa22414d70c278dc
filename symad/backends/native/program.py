"""Programs that are ready to run: native code, and NumPy's kernels for ops that have none.

Only what a program needs to run is imported with this module, for it may have been stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.backends.base import Settings
from symad.backends.native.call_table import CallConvention, CallTable
from symad.backends.native.cpython import signature_of
from symad.backends.native.memory_pool import Arena, Memory
from symad.backends.native.runtime import Runtime, runtime
from symad.backends.native.segment_code import Form, SegmentCode, form_of, packed, unpacked
from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.nested import rebuild
from symad.graph.node import Constant, Node
from symad.ops.body import WithBody
from symad.records import cached_property, dataclass
from symad.types import TensorType, compatible_shapes

if TYPE_CHECKING:
    from symad.backends.native.failed_call import Compile
    from symad.backends.native.lower.dispatch import PlacedSegment
    from symad.backends.native.plan import NativePlan, PlannedStep
    from symad.backends.native.schedule import Schedule
    from symad.backends.numpy import NumpyProgram
    from symad.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class RegisterCall:
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


class NativeProgram:
    """A plan that is ready to run; calls share no state, so several threads may run it.

    Large buffers are kept between calls; a returned buffer is reused only when nothing refers to it
    any more.

    Parameters
    ----------
    make_plan : callable
        Returns the plan that is run, node by node.
    form : Form
    whole : Segment or None
        The segment that takes all inputs and returns all outputs, if there is one; else
    calls : sequence of RegisterCall
        are run on registers: those of the inputs, and
    registers : sequence
        the others as they are before a call;
    outputs : sequence of (int, bool)
        of which the outputs are some, that may have to be copied.
    """

    def __init__(
        self,
        make_plan: Callable[[], Plan],
        form: Form,
        whole: Segment | None,
        calls: Sequence[RegisterCall] = (),
        registers: Sequence[Any] = (),
        outputs: Sequence[tuple[int, bool]] = (),
    ) -> None:
        self._make_plan, self._form = make_plan, form
        self._whole, self._steps = whole, calls
        self._registers, self._outputs = registers, outputs

    @cached_property
    def plan(self) -> Plan:
        """The plan that is run, node by node."""
        return self._make_plan()

    def description(self, outputs: Any) -> Any:
        """Return what another process can make the same program of, if it is one segment.

        Raises
        ------
        NotStorable
            If it calls something that only this process has.
        """
        if self._whole is None or any(self._form):
            return None
        from symad.backends.native.packed_segment import packed_code

        return packed_code(self._whole.code)

    @property
    def kernels(self) -> NumpyProgram:
        """The program that computes the same by NumPy's kernels, if there is one segment."""
        assert self._whole is not None
        return self._whole.kernels

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
        from symad.backends.numpy import result_of

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


def _run(step: RegisterCall, registers: list[Any], targets: Sequence[Any]) -> None:
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
            from symad.backends.numpy import failure_of

            raise failure_of(step.source, error) from error
    for place in step.frees:
        registers[place] = None


# Segments


class Segment:
    """Native code for part of a graph.

    Parameters
    ----------
    code : SegmentCode
    inputs : sequence of Node
    make_kernels : callable
        Returns the program that computes the same by NumPy's kernels.
    runtime : Runtime
    memory : Memory
    compiled : callable, optional
        Returns the native program of a graph, to find an error; without it, all is run again.

    Attributes
    ----------
    code : SegmentCode
    arena : Arena or None
        The memory of calls, if there was enough.
    run : callable
        Takes the inputs and, optionally, an array or ``None`` for each output; returns a list of
        the outputs.
    """

    def __init__(
        self,
        code: SegmentCode,
        inputs: Sequence[Node],
        make_kernels: Callable[[], NumpyProgram],
        runtime: Runtime,
        memory: Memory,
        compiled: Compile | None = None,
    ) -> None:
        self.code, self._inputs, self._make_kernels = code, inputs, make_kernels
        self._compiled = compiled
        self._runtime, self._memory = runtime, memory
        self.arena: Arena | None = None
        self._table: CallTable | None = None
        self._spare: list[Callable[..., Any]] = []
        self.run: Callable[..., Any] = self._run_otherwise

    def enter(self) -> None:
        """Allocate memory, and make :attr:`run` native."""
        self.arena = self._arena_from(self._memory.arena)
        if self.arena is not None:
            self._table = self._table_over(self.arena)
            self.run = self.entry(CallConvention(self._run_otherwise, takes_targets=True))

    @cached_property
    def kernels(self) -> NumpyProgram:
        """The program that computes the same by NumPy's kernels."""
        return self._make_kernels()

    def entry(self, convention: CallConvention) -> Callable[..., Any]:
        """Return a native function with a given calling convention."""
        return convention.fallback if self._table is None else self._table.entry(convention)

    def _arena_from(self, make: Callable[[int], Arena]) -> Arena | None:
        """Return memory for one call at a time, or ``None`` if there is not enough."""
        try:
            return make(self.code.arena)
        except MemoryError:
            return None

    def _table_over(self, arena: Arena) -> CallTable:
        return CallTable(self._runtime, self.code, arena, self._memory.take)

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, call by call; return the node of each call, and its seconds."""
        arena = self._arena_from(Arena)
        if arena is None:
            return self.kernels.profile(values)
        table = self._table_over(arena)
        calls = table.as_calls()
        in_order = [self._in_order(*pair) for pair in zip(values, self._inputs, strict=True)]
        enter = table.entry(CallConvention(lambda *given: None))
        results = enter(*in_order)  # sets all addresses, and computes nothing
        # A warm-up run, which loads code and memory.
        if results is None or any(self._runtime.run(address, 1) for _, address in calls):
            return self.kernels.profile(values)
        overhead = min(_seconds(self._runtime.run, 0, 0) for _ in range(9))
        times = [(node, _seconds(self._runtime.run, address, 1)) for node, address in calls]
        del results
        return [(node, max(seconds - overhead, 0.0)) for node, seconds in times]

    def _run_otherwise(self, *given: Any) -> Any:
        """Run on non-contiguous arrays, while another thread runs, or for an error."""
        count = len(self._inputs)
        in_order = [self._in_order(*pair) for pair in zip(given, self._inputs, strict=False)]
        if any(new is not old for new, old in zip(in_order, given, strict=False)):
            return self.run(*in_order, *given[count:])
        try:
            run = self._spare.pop()
        except IndexError:
            arena = self._arena_from(Arena)
            if arena is None:
                return self._run_by_kernels(*given)
            table = self._table_over(arena)
            fails = partial(self._run_again, table)
            run = table.entry(CallConvention(fails, takes_targets=True))
        try:
            return run(*given)
        finally:
            self._spare.append(run)

    def _in_order(self, value: Any, node: Node) -> Any:
        """Return a value in the form that native code requires: C-contiguous, aligned, right type.

        Native code would read past the end of an array that is smaller than the type of its node.
        """
        type_ = node.type
        assert isinstance(type_, TensorType)
        if type(value) is type_.dtype.type and type_.shape == ():
            return value
        array = np.asarray(value)
        if not compatible_shapes(array.shape, type_.shape) or array.dtype != type_.dtype:
            from symad.backends.numpy import failure_of

            error = InternalError(
                f"an op has made {array.dtype}{list(array.shape)} where its infer() gives {type_}"
            )
            raise failure_of(self._user_of(node), error)
        flags = array.flags
        same = signature_of(array.dtype) == signature_of(type_.dtype)
        if same and flags.c_contiguous and flags.aligned:
            return array
        return np.array(array, type_.dtype, order="C")

    def _user_of(self, node: Node) -> Node:
        graph = self.kernels.plan.graph
        return next((n for n in graph.nodes if node in n.inputs), graph.outputs[0])

    def _run_again(self, table: CallTable, *given: Any) -> list[Any]:
        """Raise the error of the call that has failed; or run by NumPy's kernels."""
        failed = table.failed()
        if failed is not None and self._compiled is not None:
            from symad.backends.native.failed_call import compute_again

            values = given[: len(self._inputs)]
            compute_again(*failed, self._inputs, values, self._compiled)
        return self._run_by_kernels(*given)

    def _run_by_kernels(self, *given: Any) -> list[Any]:
        """Run by NumPy's kernels, which report the cause of a failure in native code."""
        count = len(self._inputs)
        return self.kernels(given[:count], given[count:] or None)


def _seconds(run: Callable[[int, int], int], address: int, count: int) -> float:
    begin = perf_counter()
    run(address, count)
    return perf_counter() - begin


# The program of a plan


def schedule_natively(graph: Graph) -> Schedule:
    """Return the schedule of a graph for this machine."""
    from symad.backends.native.schedule import schedule

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
    form = form_of(plan.schedule.whole)
    if plan.whole is not None:
        return NativeProgram(plan.node_by_node, form, _segment(plan.whole, settings, memory))
    graph, outputs = plan.schedule.graph, plan.schedule.outputs
    constants = [node for node in graph.nodes if isinstance(node, Constant)]
    made = [node for step in plan.steps for node in step.made]
    place = {node: k for k, node in enumerate((*graph.inputs, *constants, *made))}
    calls = tuple(_calls(plan, place, settings, memory))
    registers = (*(node.value[()] for node in constants), *(None for _ in made))
    ends = zip((place[node] for node in outputs), plan.schedule.copied, strict=True)
    return NativeProgram(plan.node_by_node, form, None, calls, registers, tuple(ends))


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
            source = _segment(step.source, settings, memory)
            run = source.run
        inputs, outputs, frees = (
            tuple([place[node] for node in group]) for group in (step.inputs, step.made, step.dead)
        )
        yield RegisterCall(run, inputs, outputs, frees, source, _targets_of(plan.schedule, step))


def _segment(placed: PlacedSegment, settings: Settings, memory: Memory) -> Segment:
    found = runtime()
    assert found is not None

    def kernels() -> NumpyProgram:
        from symad.backends.numpy import numpy_program
        from symad.plan.plan import make_plan

        return numpy_program(make_plan(Graph(placed.outputs, placed.inputs)))

    compiled = lambda graph: _body_program(graph, settings, memory)  # noqa: E731
    segment = Segment(placed.code, placed.inputs, kernels, found, memory, compiled)
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
    from symad.backends.native.plan import lower_parts, make_native_plan

    lowered = lower_parts(schedule_natively(body), settings.fastmath, settings.threads)
    return native_program(make_native_plan(lowered), settings, memory)


def _targets_of(schedule: Schedule, step: PlannedStep) -> tuple[int | None, ...]:
    """Return the index of the program's output for each array that a segment makes."""
    if isinstance(step.source, Node):
        return ()
    pairs = enumerate(zip(schedule.outputs, schedule.copied, strict=True))
    number = {node: k for k, (node, copied) in pairs if not copied}
    return tuple(number.get(node) for node in step.made)
