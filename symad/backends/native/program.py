"""Runs plans whose fused loop nests are machine code, and whose other ops are NumPy's kernels."""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import struct
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.loops import identity_of, loop_code
from symad.backends.native.nest import Kind, Layout, Nest, has_code, supports
from symad.backends.numpy import NumpyProgram
from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.control import WithBody
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Sum
from symad.passes.fuse import Shape, fuse, shape_of
from symad.plan.plan import Instruction, Plan, make_plan

_SPLIT_FROM = 1 << 17
"""Nests of so many elements and more are done in parts, which threads share."""
_PARTS = 16
"""Into how many parts reductions of all rows are cut, however many threads there are, so that the
result does not depend on their number."""
_ROWS_OF_PART = 16
"""At least, where each part has a row of its own to add to."""
_KEPT_FROM = 1 << 16
"""Buffers of so many bytes and more are kept for the next call."""
_KEPT = 4
"""How many buffers of one size are kept."""

_Array = np.ndarray[Any, Any]


def native_graph(graph: Graph) -> Graph:
    """Return a specialised graph with the loop nests that this backend has code for."""
    return fuse(graph, supports)


def build(plan: Plan, threads: int = 1) -> NativeProgram:
    """Return a program for the plan of a graph that :func:`native_graph` returned.

    Parameters
    ----------
    plan : Plan
    threads : int
        How many threads share nests of 131072 elements and more.
    """
    return NativeProgram(plan, threads)


class NativeProgram(NumpyProgram):
    """A plan ready to run, its loop nests as machine code.

    Large buffers are kept from call to call; one that was handed out is used again only when
    nobody holds it any more.
    """

    def __init__(self, plan: Plan, threads: int = 1) -> None:
        self._threads = threads
        self._buffers = Buffers()
        super().__init__(plan)

    def kernel_of(self, step: Instruction) -> Callable[..., Any]:
        op = step.node.op
        if isinstance(op, Fused) and has_code(op):
            return LoopKernel(op, self._threads, self._buffers.take)
        if isinstance(op, WithBody):
            body = make_plan(native_graph(op.body))
            return op.kernel_of(NativeProgram(body, self._threads))
        return super().kernel_of(step)


class Buffers:
    """Memory that is kept and given out again as soon as nobody else refers to it.

    What is given out is a new array over that memory each time.  Whoever refers to it, to a view of
    it or to a buffer of it, refers to the memory; its attributes and weak references end with it.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[_Array]] = {}
        self._in_use = _references([np.empty(0)])

    def take(self, shape: Shape, dtype: np.dtype[Any]) -> _Array:
        """Return an array with arbitrary contents."""
        size = math.prod(shape) * dtype.itemsize
        if size < _KEPT_FROM or not _counts_references():
            return np.empty(shape, dtype)
        kept = self._kept.setdefault(size, [])
        # Another thread that looks at the same memory refers to it, and neither takes it then.
        for memory in kept:
            if sys.getrefcount(memory) <= self._in_use:
                return np.ndarray(shape, dtype, memory)
        memory = np.empty(shape, dtype)
        kept.append(memory)
        del kept[:-_KEPT]
        return np.ndarray(shape, dtype, memory)


def _references(kept: list[_Array]) -> int:
    """Return how many references there are to an array that is kept but not in use."""
    for memory in kept:
        return sys.getrefcount(memory)
    return 0


def _counts_references() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)() and hasattr(sys, "getrefcount")


class LoopKernel:
    """A :class:`Fused` op as a function of arrays, for the sizes of its space.

    Parameters
    ----------
    op : Fused
    threads : int
    allocate : callable
        Returns an array of a shape and dtype.
    """

    def __init__(
        self, op: Fused, threads: int, allocate: Callable[[Shape, np.dtype[Any]], _Array]
    ) -> None:
        nest = Nest(op)
        self._layout = Layout(nest)
        self._space = op.space
        self._outputs = op.body.outputs
        self._kinds = [nest.kinds[node] for node in self._outputs]
        self._stored = [node.dtype for node in nest.stored]
        self._allocate = allocate
        self._threads = threads
        self._parts = self._count_parts()
        inputs = op.body.inputs
        self._reads = [
            (read.slot, read.expanded, shape_of(inputs[read.slot]), inputs[read.slot].dtype)
            for read in self._layout.reads
        ]
        self._shares = self._share_parts()
        code = loop_code(nest, self._layout)
        self._module = code.module
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(code.address)
        self._words = self._constant_words(nest)
        arrays = len(self._reads) + len(self._outputs) + len(self._stored)
        self._pack = struct.Struct(f"={len(self._words) + arrays + 3}q").pack

    def __call__(self, *values: Any) -> Any:
        """Return the value of the op: a tuple if it has several outputs."""
        arrays = [self._source(values[slot], *read) for slot, *read in self._reads]
        targets = [self._target(*pair) for pair in zip(self._outputs, self._kinds, strict=True)]
        arrays += targets
        for dtype in self._stored:
            arrays.append(np.empty((self._parts, self._layout.row), dtype))
        words = [*self._words, *map(id, arrays)]
        if len(self._shares) == 1:
            self._do_parts(words, self._shares[0], arrays)
        else:
            self._share_work(words, arrays)
        results = map(self._result, self._outputs, self._kinds, targets)
        return next(results) if len(targets) == 1 else tuple(results)

    def _count_parts(self) -> int:
        layout = self._layout
        if layout.elements < _SPLIT_FROM:
            return 1
        parts = self._threads
        if Kind.TOTAL in self._kinds or Kind.COLUMN in self._kinds:
            parts = _PARTS
        if Kind.COLUMN in self._kinds:
            parts = min(parts, layout.rows // _ROWS_OF_PART)
        return max(1, min(parts, layout.rows))

    def _share_parts(self) -> list[list[tuple[int, int, int]]]:
        """Return, for each thread, its parts: first row, end of rows, number."""
        rows, parts = self._layout.rows, self._parts
        ranges = [(k * rows // parts, (k + 1) * rows // parts, k) for k in range(parts)]
        workers = min(self._threads, parts)
        return [ranges[k::workers] for k in range(workers)]

    def _constant_words(self, nest: Nest) -> list[int]:
        """Return the words that are the same in every call, which follow those of the part."""
        layout = self._layout
        words = [layout.row, layout.elements, *layout.outer]
        words += [step for read in layout.reads for step in read.outer]
        for number in nest.numbers:
            raw = number.value.tobytes().ljust(8, b"\0")
            words.append(int.from_bytes(raw, sys.byteorder, signed=True))
        return words

    def _source(self, value: Any, expanded: bool, shape: Shape, dtype: np.dtype[Any]) -> _Array:
        """Return an input as the machine code takes it: contiguous and aligned.

        Machine code would read past the end of what is smaller than the type of its node says.
        """
        array: _Array = np.asarray(value)
        if array.shape != shape or array.dtype != dtype:
            raise InternalError(
                f"an op has made {array.dtype}{list(array.shape)} where its infer() gives "
                f"{dtype}{list(shape)}"
            )
        if expanded:
            array = np.broadcast_to(array, self._space)
        flags = array.flags
        if flags.carray or (flags.c_contiguous and flags.aligned):
            return array
        return array.copy()

    def _target(self, node: Node, kind: Kind) -> _Array:
        """Return memory for an output; what is reduced over rows has one for each part."""
        if kind is Kind.TOTAL:
            return np.empty(self._parts, node.dtype)
        if kind is Kind.COLUMN:
            return np.full((self._parts, self._layout.row), identity_of(node), node.dtype)
        return self._allocate(shape_of(node), node.dtype)

    def _result(self, node: Node, kind: Kind, target: _Array) -> Any:
        if kind in (Kind.TOTAL, Kind.COLUMN):
            whole = target[0] if self._parts == 1 else _COMBINE[type(node.op)](target, axis=0)
            return np.reshape(whole, shape_of(node))[()]
        return target if target.ndim else target[()]

    def _share_work(self, words: Sequence[int], arrays: Sequence[_Array]) -> None:
        mine, *others = self._shares
        waiting = []
        try:
            for share in others:
                waiting.append(_pool().submit(self._do_parts, words, share, arrays))
        except RuntimeError:  # the interpreter is about to end, and starts no threads
            mine = [*mine, *itertools.chain(*others[len(waiting) :])]
        try:
            self._do_parts(words, mine, arrays)
        finally:
            wait(waiting)

    def _do_parts(
        self,
        words: Sequence[int],
        parts: Sequence[tuple[int, int, int]],
        arrays: Sequence[_Array],
    ) -> None:
        """Run the machine code; ``arrays`` holds the memory, even if the caller is interrupted."""
        for part in parts:
            self._run(self._pack(*part, *words))


_COMBINE: dict[Any, Callable[..., Any]] = {Sum: np.sum, Max: np.max, Min: np.min}


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that all programs share."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="symad")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads
