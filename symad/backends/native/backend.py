"""The native backend and its stages of the pipeline.

A graph of scalars becomes one scalar function.  Every other graph becomes segments of kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.backends.base import (
    Backend,
    CallForm,
    CompileRequest,
    Dispatcher,
    Made,
    Mark,
    Program,
    Settings,
)
from symad.graph.graph import Graph
from symad.graph.node import Node, Parameter
from symad.ops.base import is_of_numbers


class NativeBackend(Backend):
    """Machine code by LLVM, with one module for each kernel; see :doc:`/compiler`."""

    name = "native"
    fuses = True
    keeps_memory = True
    describes = True

    def supports(self, node: Node) -> bool:
        from symad.backends.native.lower.dispatch import supports

        return supports(node)

    def dispatcher(self, form: CallForm, latest: Mark) -> Dispatcher | None:
        from symad.backends.native.dispatcher import native_dispatcher

        return native_dispatcher(form, latest)

    def workspace(
        self, graph: Graph, settings: Settings, updated: Sequence[Parameter] = ()
    ) -> Any:
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
            return super().assign_buffers(lowered, settings)
        from symad.backends.native.plan import make_native_plan

        return make_native_plan(lowered)

    def emit(self, plan: Any, settings: Settings, workspace: Any) -> Program:
        from symad.plan.plan import Plan

        if isinstance(plan, Plan):
            from symad.backends.native.number_program import NumberProgram

            return NumberProgram(lambda: plan, settings.fastmath)
        from symad.backends.native.program import native_program

        return native_program(plan, settings, workspace)

    def lasting_program(self, request: CompileRequest, make: Callable[[], Made]) -> Made:
        from symad.backends.native.stored_program import stored_program

        return stored_program(request, make)

    def description(self, plan: Any) -> Any:
        from symad.backends.native.packed_segment import packed_code
        from symad.backends.native.segment_code import form_of

        whole: Any = getattr(plan, "whole", None)
        is_described = whole is not None and not any(form_of(plan.schedule.whole))
        return packed_code(whole.code) if is_described else None

    def described_program(
        self, description: Any, request: CompileRequest, make: Callable[[], Program]
    ) -> Program | None:
        from symad.backends.native.recalled_program import recalled_program

        return recalled_program(description, request.workspace, make)
