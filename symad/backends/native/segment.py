"""Segments: nodes of a graph that are computed together by native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np

from symad.backends.native.call_table import CallConvention, CallTable
from symad.backends.native.cpython import signature_of
from symad.backends.native.failed_call import Compile, compute_again
from symad.backends.native.lower.dispatch import PlacedSegment
from symad.backends.native.memory_pool import Arena, Memory
from symad.backends.native.runtime import Runtime
from symad.backends.numpy import NumpyProgram, failure_of, numpy_program
from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.plan.plan import make_plan
from symad.types import TensorType, compatible_shapes


class Segment:
    """Native code for part of a graph.

    Parameters
    ----------
    placed : PlacedSegment
    runtime : Runtime
    memory : Memory
    compiled : callable
        Returns the native program of a graph.

    Attributes
    ----------
    inputs, outputs : sequence of Node
    arena : Arena or None
        The memory of calls, if there was enough.
    run : callable
        Takes the inputs and, optionally, an array or ``None`` for each output; returns a list of
        the outputs.
    """

    def __init__(
        self, placed: PlacedSegment, runtime: Runtime, memory: Memory, compiled: Compile
    ) -> None:
        self.inputs, self.outputs = placed.inputs, placed.outputs
        self._code, self._compiled = placed.code, compiled
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
    def _kernels(self) -> NumpyProgram:
        return numpy_program(make_plan(Graph(self.outputs, self.inputs)))

    def entry(self, convention: CallConvention) -> Callable[..., Any]:
        """Return a native function with a given calling convention."""
        return convention.fallback if self._table is None else self._table.entry(convention)

    def _arena_from(self, make: Callable[[int], Arena]) -> Arena | None:
        """Return memory for one call at a time, or ``None`` if there is not enough."""
        try:
            return make(self._code.arena)
        except MemoryError:
            return None

    def _table_over(self, arena: Arena) -> CallTable:
        return CallTable(self._runtime, self._code, arena, self._memory.take)

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, call by call; return the node of each call, and its seconds."""
        arena = self._arena_from(Arena)
        if arena is None:
            return self._kernels.profile(values)
        table = self._table_over(arena)
        calls = table.as_calls()
        in_order = [self._in_order(*pair) for pair in zip(values, self.inputs, strict=True)]
        enter = table.entry(CallConvention(lambda *given: None))
        results = enter(*in_order)  # sets all addresses, and computes nothing
        # A warm-up run, which loads code and memory.
        if results is None or any(self._runtime.run(address, 1) for _, address in calls):
            return self._kernels.profile(values)
        overhead = min(_seconds(self._runtime.run, 0, 0) for _ in range(9))
        times = [(node, _seconds(self._runtime.run, address, 1)) for node, address in calls]
        del results
        return [(node, max(seconds - overhead, 0.0)) for node, seconds in times]

    def _run_otherwise(self, *given: Any) -> Any:
        """Run on non-contiguous arrays, while another thread runs, or for an error."""
        count = len(self.inputs)
        in_order = [self._in_order(*pair) for pair in zip(given, self.inputs, strict=False)]
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
        graph = self._kernels.plan.graph
        return next((n for n in graph.nodes if node in n.inputs), graph.outputs[0])

    def _run_again(self, table: CallTable, *given: Any) -> list[Any]:
        """Raise the error of the call that has failed; or run by NumPy's kernels."""
        failed = table.failed()
        if failed is not None:
            compute_again(*failed, self.inputs, given[: len(self.inputs)], self._compiled)
        return self._run_by_kernels(*given)

    def _run_by_kernels(self, *given: Any) -> list[Any]:
        """Run by NumPy's kernels."""
        count = len(self.inputs)
        return self._kernels(given[:count], given[count:] or None)


def _seconds(run: Callable[[int, int], int], address: int, count: int) -> float:
    begin = perf_counter()
    run(address, count)
    return perf_counter() - begin
