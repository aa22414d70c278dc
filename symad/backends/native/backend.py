"""The native backend and its stages of the pipeline.

A graph of scalars becomes one scalar function.  Every other graph becomes segments of kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from symad.backends.base import Backend, CallMark, Program, Settings
from symad.backends.numpy import NumpyProgram, numpy_program
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.passes.fuse import is_of_numbers
from symad.plan.plan import Plan, make_plan

if TYPE_CHECKING:
    from symad.backends.native.scalar_function import ScalarFunctions


class NativeBackend(Backend):
    """Machine code by LLVM, with one module for each kernel; see :doc:`/compiler`."""

    name = "native"
    fuses = True
    keeps_memory = True

    def supports(self, node: Node) -> bool:
        from symad.backends.native.lower.dispatch import supports

        return supports(node)

    def workspace(self) -> Any:
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
            return number_program(plan, settings.fastmath)
        from symad.backends.native.program import native_program

        return native_program(plan, settings, workspace)


def number_program(plan: Plan, is_fast: bool) -> NumberProgram:
    """Return the program of a plan of scalars."""
    from symad.backends.native.scalar_function import ScalarFunctions

    return NumberProgram(plan, ScalarFunctions(plan, is_fast))


class NumberProgram:
    """A plan of scalars as a native function, or run by NumPy's kernels if there is none.

    Parameters
    ----------
    plan : Plan
    functions : ScalarFunctions
    """

    def __init__(self, plan: Plan, functions: ScalarFunctions) -> None:
        self._plan, self._functions = plan, functions
        outputs = list(plan.graph.outputs)
        self._run = functions.function(outputs, self._by_kernels, "function")

    @cached_property
    def _kernels(self) -> NumpyProgram:
        return numpy_program(self._plan)

    def _by_kernels(self, *values: Any) -> list[Any]:
        return self._kernels(values)

    @cached_property
    def plan(self) -> Plan:
        """The plan, which says what has no native code."""
        stored = dict.fromkeys(self._functions.by_numpy, "no native code: by NumPy")
        placement = replace(self._plan.placement, stored=stored)
        return replace(self._plan, placement=placement) if stored else self._plan

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs, as :meth:`entry` does."""
        results: list[Any] = (self._run or self._by_kernels)(*values)
        return results

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run the kernels once, and return each node with its time in seconds."""
        return self._kernels.profile(values)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str, mark: CallMark
    ) -> Callable[..., Any] | None:
        """Return the native function, which sets no mark."""
        return self._functions.function(outputs, fallback, name)
