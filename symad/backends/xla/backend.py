"""The backend that gives whole graphs to XLA, through JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from symad.backends.base import Backend, CallForm, Dispatcher, Mark, Program, Settings
from symad.graph.graph import Graph
from symad.graph.node import Constant, Parameter

if TYPE_CHECKING:
    from symad.plan.plan import Plan


class JaxBackend(Backend):
    """XLA's programs for CPU, GPU and TPU; a program for each set of shapes and sizes."""

    name = "jax"
    unwanted_rules = frozenset({"minus difference"})  # of x - y and y - x, XLA computes both
    fixes_sizes = True
    has_devices = True
    checks_entries = False

    def dispatcher(self, form: CallForm, latest: Mark) -> Dispatcher | None:
        from symad.backends.native.dispatcher import native_dispatcher

        return native_dispatcher(form, latest)

    def workspace(
        self, graph: Graph, settings: Settings, updated: Sequence[Parameter] = ()
    ) -> Any:
        from symad.backends.xla.interpreter import require_translations
        from symad.backends.xla.placement import placement_of
        from symad.backends.xla.translations import require_jax

        require_jax()
        require_translations(graph)
        placement = placement_of(graph.inputs, settings.device, dict(settings.mesh))
        placement.state.updated = tuple(map(graph.inputs.index, updated))
        return placement

    def assign_buffers(self, lowered: Graph, settings: Settings) -> Plan:
        """Return the plan of the graph that XLA receives; it decides itself what it stores."""
        from symad.plan.liveness import sharing_of
        from symad.plan.memory import Placement
        from symad.plan.plan import copied_outputs, plan_of_order

        given = {*lowered.inputs, *(x for x in lowered.nodes if isinstance(x, Constant))}
        order = [node for node in lowered.nodes if node not in given]
        copied = copied_outputs(lowered, sharing_of(lowered))
        return plan_of_order(lowered, order, copied, Placement())

    def emit(self, plan: Plan, settings: Settings, workspace: Any) -> Program:
        from symad.backends.xla.program import XlaProgram

        workspace.check([node.type for node in plan.graph.inputs])
        return XlaProgram(plan, workspace, settings.fastmath)
