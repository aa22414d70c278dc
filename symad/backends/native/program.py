"""Runs plans as native code as far as there is any, and the other ops by NumPy's kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from symad.backends.native.call_table import manner_of
from symad.backends.native.loop_nest import supports
from symad.backends.native.lower.dispatch import Lowering
from symad.backends.native.lower.loops import as_large_nest
from symad.backends.native.memory_pool import Memory
from symad.backends.native.parallel import LoopKernel
from symad.backends.native.runtime import runtime
from symad.backends.native.schedule import schedule
from symad.backends.native.segment import Segment
from symad.backends.numpy import failure_of, result_of
from symad.backends.select import Mark
from symad.graph.graph import Graph
from symad.graph.node import Node, apply
from symad.ops.adjoint import identity
from symad.ops.control import WithBody
from symad.ops.structure import StructureItem
from symad.passes.fuse import fuse
from symad.plan.plan import Plan, make_plan
from symad.types import StructureType, TensorType


def native_graph(graph: Graph) -> Graph:
    """Return a specialised graph with the loop nests that this backend has code for."""
    return fuse(graph, supports)


@dataclass(frozen=True, slots=True)
class _Step:
    """Call ``run`` with the values of some registers.

    Attributes
    ----------
    run : callable
    inputs : tuple of int
    outputs : tuple of int
        The registers of the results of a segment, which come as a list; of a kernel there is one.
    frees : tuple of int
        The registers that are not needed after it.
    source : Node or Segment
    targets : tuple of int or None
        Which output of the program each array is that a segment or a large nest makes: it may be
        given memory for them, after the inputs.
    """

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frees: tuple[int, ...]
    source: Node | Segment
    targets: tuple[int | None, ...]


class NativeProgram:
    """A plan ready to run; calls share nothing, so threads may run one program at once.

    Large buffers are kept from call to call; one that was handed out is used again only when
    nobody holds it any more.

    Parameters
    ----------
    plan : Plan
        Of a graph that :func:`native_graph` returned.
    threads : int
        How many threads share nests of 131072 elements and more.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    memory : Memory, optional
        Shared with other programs.
    """

    keeps_memory: ClassVar[bool] = True

    def __init__(
        self, plan: Plan, threads: int = 1, is_fast: bool = False, memory: Memory | None = None
    ) -> None:
        self.plan = plan
        self._threads, self._is_fast = threads, is_fast
        self._memory = Memory() if memory is None else memory
        self._runtime = runtime()
        self._outputs = list(plan.graph.outputs)
        self._copies: set[Node] = set()
        if self._runtime is not None:
            self._copy_outputs()
        new_segment = None if self._runtime is None else partial(Lowering, is_fast)
        steps = schedule(plan, self._outputs, self._copies, new_segment)
        self._whole = self._as_whole(steps)
        self._places = {node: k for k, node in enumerate(plan.graph.inputs)}
        self._registers: list[Any] = [None] * len(self._places)
        self._steps: list[_Step] = []
        if self._whole is None:
            self._connect(steps)

    def _copy_outputs(self) -> None:
        """Let outputs that share memory with something else be copies, made by native code."""
        for k, copied in enumerate(self.plan.copied):
            type_ = self._outputs[k].type
            if copied and isinstance(type_, TensorType) and type_.is_static:
                self._outputs[k] = apply(identity, self._outputs[k])
                self._copies.add(self._outputs[k])

    def _as_whole(self, steps: Sequence[Node | Lowering]) -> Segment | None:
        """Return the segment that takes all inputs and returns all outputs, if there is one."""
        if len(steps) != 1 or not isinstance(steps[0], Lowering):
            return None
        return self._segment(steps[0], self.plan.graph.inputs, self._outputs)

    def _segment(
        self, lowered: Lowering, inputs: Sequence[Node], outputs: Sequence[Node]
    ) -> Segment:
        assert self._runtime is not None
        return Segment(lowered, inputs, outputs, self._runtime, self._memory)

    def _connect(self, steps: Sequence[Node | Lowering]) -> None:
        """Give out registers, and find the functions that are called."""
        for _, constant in self.plan.constants:
            self._place(constant, constant.value[()])
        taken = [s.inputs() if isinstance(s, Lowering) else _arguments(s) for s in steps]
        last = {node: k for k, nodes in enumerate(taken) for node in nodes}
        pinned = {*self._places, *self._outputs}
        for k, (step, nodes) in enumerate(zip(steps, taken, strict=True)):
            if isinstance(step, Lowering):
                made = [node for node in step.nodes if node in last or node in pinned]
                source: Node | Segment = self._segment(step, nodes, made)
            else:
                made, source = [step], step
            for node in made:
                self._place(node, None)
            run = source.run if isinstance(source, Segment) else self._kernel(source)
            dead = {node for node in nodes if last[node] == k} - pinned
            inputs, outputs, frees = (
                tuple(self._places[node] for node in group) for group in (nodes, made, dead)
            )
            targets = self._targets_of(run, source, made)
            self._steps.append(_Step(run, inputs, outputs, frees, source, targets))

    def _targets_of(
        self, run: Callable[..., Any], source: Node | Segment, made: Sequence[Node]
    ) -> tuple[int | None, ...]:
        """Return which output of the program each array is that a step makes."""
        pairs = enumerate(zip(self._outputs, self.plan.copied, strict=True))
        direct = [(k, n) for k, (n, copied) in pairs if not copied or n in self._copies]
        if isinstance(source, Segment):
            place = {node: k for k, node in direct}
            return tuple(place.get(node) for node in made)
        if not isinstance(run, LoopKernel):
            return ()
        (node,) = made
        items = {
            n.op.key: k
            for k, n in direct
            if isinstance(n.op, StructureItem) and n.inputs[0] is node
        }
        if isinstance(node.type, StructureType):
            return tuple(items.get(key) for key, _ in node.type.fields)
        return (next((k for k, n in direct if n is node), None),)

    def _place(self, node: Node, value: Any) -> None:
        self._places[node] = len(self._registers)
        self._registers.append(value)

    def _kernel(self, node: Node) -> Callable[..., Any]:
        """Return the function of arrays that computes a node."""
        op = node.op
        assert op is not None
        if node in self._copies:
            return np.copy
        fused = as_large_nest(node)
        if fused is not None:
            return LoopKernel(fused, self._threads, self._memory.take, self._is_fast)
        if isinstance(op, WithBody):
            body = make_plan(native_graph(op.body))
            return op.kernel_of(NativeProgram(body, self._threads, self._is_fast, self._memory))
        return op.kernel()

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Run on ``values``, one for each input of the graph, and return the outputs.

        Where ``targets`` has an array for an output, this may be written there, and returned.

        Raises
        ------
        EvaluationError
            If an op fails; it names the node, its input types and the user's line.
        """
        if self._whole is not None:
            results: list[Any] = self._whole.run(*values, *(targets or ()))
            return results
        registers = [*values, *self._registers[len(values) :]]
        with np.errstate(all="ignore"):
            for step in self._steps:
                _run(step, registers, targets or ())
        return self._results(registers)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str, mark: Mark
    ) -> Callable[..., Any] | None:
        """Return a native function that takes arguments as Python passes them, or ``None``.

        See :meth:`symad.backends.select.Program.entry`.
        """
        if self._whole is None:
            return None
        return self._whole.entry(manner_of(outputs, fallback, mark))

    def _results(self, registers: Sequence[Any]) -> list[Any]:
        pairs = zip(self._outputs, self.plan.copied, strict=True)
        return [
            result_of(registers[self._places[node]], copied and node not in self._copies)
            for node, copied in pairs
        ]

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return what was computed one after another, each with its seconds."""
        if self._whole is not None:
            return self._whole.profile(values)
        registers = [*values, *self._registers[len(values) :]]
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


def _arguments(node: Node) -> Sequence[Node]:
    """Return what the kernel of a node takes."""
    fused = as_large_nest(node)
    return node.inputs if fused is None or fused is node.op else fused.body.inputs


def _run(step: _Step, registers: list[Any], targets: Sequence[Any]) -> None:
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
