"""Native programs of graphs as they are, without the passes that come before."""

from __future__ import annotations

from symad.backends.base import Settings
from symad.backends.native.memory_pool import Memory
from symad.backends.native.plan import lower_parts, make_native_plan
from symad.backends.native.program import NativeProgram, native_program, schedule_natively
from symad.backends.select import NATIVE
from symad.graph.graph import Graph
from symad.passes.decompose import decompose
from symad.passes.fuse import fuse


def native_graph(graph: Graph) -> Graph:
    """Return a specialised graph with the loop nests that there is machine code for."""
    return fuse(decompose(graph), NATIVE.supports)


def program_of(graph: Graph, threads: int = 1) -> NativeProgram:
    """Return the program of a graph that :func:`native_graph` returned."""
    plan = make_native_plan(lower_parts(schedule_natively(graph), False, threads))
    return native_program(plan, Settings(NATIVE, threads), Memory())
