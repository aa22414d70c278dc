"""The native backend and its stages of the pipeline.

A graph of scalars becomes one scalar function.  Every other graph becomes segments of kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from symad.backends.base import Backend, CallForm, Dispatcher, Mark, Program, Settings
from symad.backends.numpy import NumpyProgram, numpy_program
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.passes.fuse import is_of_numbers
from symad.plan.plan import Plan, make_plan
from symad.records import replace


class NativeBackend(Backend):
    """Machine code by LLVM, with one module for each kernel; see :doc:`/compiler`."""

    name = "native"
    fuses = True
    keeps_memory = True

    def supports(self, node: Node) -> bool:
        from symad.backends.native.lower.dispatch import supports

        return supports(node)

    def dispatcher(self, form: CallForm, latest: Mark) -> Dispatcher | None:
        from symad.backends.native.dispatcher import native_dispatcher

        return native_dispatcher(form, latest)

    def workspace(self, graph: Graph, settings: Settings) -> Any:
        from symad.backends.native.memory_pool import Memory

        return Memory()

    def schedule(self, graph: Graph, settings: Settings) -> Any:
        if is_of_numbers(graph):
            return graph
        from symad.backends.native.program import schedule_natively

        return schedule_natively(graph)

    def lower(self, schedule: Any, settings: Settings) -> Any:
        if isinstance(schedule, Graph):
            return schedule
        from symad.backends.native.plan import lower_parts

        return lower_parts(schedule, settings.fastmath, settings.threads)

    def assign_buffers(self, lowered: Any, settings: Settings) -> Any:
        if isinstance(lowered, Graph):
            return make_plan(lowered)
        from symad.backends.native.plan import make_native_plan

        return make_native_plan(lowered)

    def emit(self, plan: Any, settings: Settings, workspace: Any) -> Program:
        if isinstance(plan, Plan):
            return NumberProgram(plan, settings.fastmath)
        from symad.backends.native.program import native_program

        return native_program(plan, settings, workspace)


class NumberProgram:
    """A plan of scalars as a native function, or run by NumPy's kernels if there is none.

    Parameters
    ----------
    plan : Plan
    is_fast : bool
        Whether arithmetic may be reassociated and contracted.
    """

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        from symad.backends.native.scalar_function import ScalarFunctions

        self._plan = plan
        self._functions = ScalarFunctions(plan, is_fast)
        self._form: Any = list(plan.graph.outputs)

    @cached_property
    def _kernels(self) -> NumpyProgram:
        return numpy_program(self._plan)

    @cached_property
    def plan(self) -> Plan:
        """The plan, which says what NumPy computes, and why."""
        found = self._functions.by_numpy
        if not found:
            return self._plan
        stored = {node: f"by NumPy: {reason}" for node, reason in found.items()}
        return replace(self._plan, placement=replace(self._plan.placement, stored=stored))

    @cached_property
    def _run(self) -> Callable[..., Any]:
        """Takes the inputs, and returns the outputs in any structure."""
        by_kernels = lambda *values: self._kernels(values)  # noqa: E731
        return self.entry(self._form, by_kernels) or by_kernels

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs, as :meth:`entry` does."""
        return list(leaves(self._run(*values)))

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run the kernels once, and return each node with its time in seconds."""
        return self._kernels.profile(values)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str = "function"
    ) -> Callable[..., Any] | None:
        """Return the native function, or ``None``.

        Its code also serves other calls: they need the same numbers, in whatever structure.
        """
        made = self._functions.function(outputs, fallback, name)
        if made is not None:
            self._form = outputs
        return made
