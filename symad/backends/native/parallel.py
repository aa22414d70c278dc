"""Large loop nests in parts, which threads share."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.kernels.loops import loop_code
from symad.backends.native.loop_nest import Nest, NestLayout, ValueKind
from symad.backends.native.lower.loops import SPLIT_FROM, constant_words
from symad.errors import InternalError
from symad.graph.node import Node
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Sum
from symad.passes.fuse import Shape, shape_of

_PARTS = 16
"""Into how many parts reductions of all rows are cut, however many threads there are, so that the
result does not depend on their number."""
_ROWS_OF_PART = 16
"""At least, where each part has a row of its own to add to."""
_PARTS_OF_THREAD = 4
"""Where nothing is reduced over rows: a thread that comes late does fewer of them."""

_Array = np.ndarray[Any, Any]


class LoopKernel:
    """A :class:`Fused` op as a function of arrays, for the sizes of its space.

    Parameters
    ----------
    op : Fused
    threads : int
    allocate : callable
        Returns an array of a shape and dtype.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """

    def __init__(
        self,
        op: Fused,
        threads: int,
        allocate: Callable[[Shape, np.dtype[Any]], _Array],
        is_fast: bool = False,
    ) -> None:
        nest = Nest(op, is_fast)
        self._layout = NestLayout(nest)
        self._space = op.space
        self._outputs = op.body.outputs
        self._inputs = len(op.body.inputs)
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
        rows, parts = self._layout.rows, self._parts
        self._ranges = [(k * rows // parts, (k + 1) * rows // parts, k) for k in range(parts)]
        code = loop_code(nest, self._layout)
        self._module = code.module
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(code.address)
        self._words = constant_words(nest, self._layout)
        arrays = len(self._reads) + len(self._outputs) + len(self._stored)
        self._pack = struct.Struct(f"={len(self._words) + arrays + 3}q").pack

    def __call__(self, *values: Any) -> Any:
        """Return the value of the op: a tuple if it has several outputs.

        After the inputs, an array or ``None`` may be given for each output, to be written to.
        """
        arrays = [self._source(values[slot], *read) for slot, *read in self._reads]
        given = values[self._inputs :] or [None] * len(self._outputs)
        targets = list(map(self._target, self._outputs, self._kinds, given))
        arrays += targets
        for dtype in self._stored:
            arrays.append(self._allocate((self._parts, self._layout.row), dtype))
        words = [*self._words, *(array.__array_interface__["data"][0] for array in arrays)]
        self._share_work(words, arrays)
        results = map(self._result, self._outputs, self._kinds, targets)
        return next(results) if len(targets) == 1 else tuple(results)

    def _count_parts(self) -> int:
        layout = self._layout
        if layout.elements < SPLIT_FROM:
            return 1
        parts = 1 if self._threads == 1 else _PARTS_OF_THREAD * self._threads
        if ValueKind.TOTAL in self._kinds or ValueKind.COLUMN in self._kinds:
            parts = _PARTS
        if ValueKind.COLUMN in self._kinds:
            parts = min(parts, layout.rows // _ROWS_OF_PART)
        return max(1, min(parts, layout.rows))

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

    def _target(self, node: Node, kind: ValueKind, given: _Array | None) -> _Array:
        """Return memory for an output; what is reduced over rows has one for each part."""
        if kind is ValueKind.TOTAL:
            return np.empty(self._parts, node.dtype)
        if kind is ValueKind.COLUMN:
            return self._allocate((self._parts, self._layout.row), node.dtype)
        return self._allocate(shape_of(node), node.dtype) if given is None else given

    def _result(self, node: Node, kind: ValueKind, target: _Array) -> Any:
        if kind in (ValueKind.TOTAL, ValueKind.COLUMN):
            whole = target[0] if self._parts == 1 else _COMBINE[type(node.op)](target, axis=0)
            return np.reshape(whole, shape_of(node))[()]
        return target if target.ndim else target[()]

    def _share_work(self, words: Sequence[int], arrays: Sequence[_Array]) -> None:
        """Do all parts; each thread takes the next one that nobody has begun."""
        parts = iter(self._ranges)
        waiting = []
        try:
            for _ in range(min(self._threads, len(self._ranges)) - 1):
                waiting.append(_pool().submit(self._do_parts, words, parts, arrays))
        except RuntimeError:  # the interpreter is about to end, and starts no threads
            pass
        try:
            self._do_parts(words, parts, arrays)
        finally:
            if waiting:
                wait(waiting)

    def _do_parts(
        self,
        words: Sequence[int],
        parts: Iterator[tuple[int, int, int]],
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
