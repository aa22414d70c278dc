"""Ops of bodies that have no machine code: their NumPy kernels, called like machine code.

A loop with such an op in its body runs as machine code all the same; only this op is computed by
Python.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Views
from symad.backends.native.loop_runtime import loop_runtime
from symad.backends.native.lower.copies import Calls, Scratch, contiguous
from symad.backends.native.segment_code import Call, LoopCall
from symad.graph.node import Node
from symad.ops.body import WithBody
from symad.types import StructureType, TensorType, Type

_WORK = 5e3
"""The estimated nanoseconds of a call."""


class NumPyKernel:
    """The kernel of an op, called with the address of words: its own, operands and results.

    Attributes
    ----------
    name : str
        That of the op.
    """

    def __init__(self, node: Node, operands: Views, results: Views) -> None:
        assert node.op is not None
        self.name = node.op.name
        self._kernel = node.op.kernel()
        self._operands, self._results = list(map(_reader, operands)), list(map(_reader, results))
        self._words = ctypes.c_int64 * (1 + len(operands) + len(results))

    def __call__(self, words: int) -> bool:
        """Compute the op; return whether it failed, so that the segment is computed by NumPy."""
        _, *places = self._words.from_address(words)
        count = len(self._operands)
        given = [read(at)[()] for read, at in zip(self._operands, places, strict=False)]
        try:
            with np.errstate(all="ignore"):
                made = self._kernel(*given)
        except Exception:
            return True
        values = made if len(self._results) > 1 else (made,)
        for write, at, value in zip(self._results, places[count:], values, strict=True):
            write(at)[...] = value
        return False


def _reader(view: BufferView) -> Callable[[int], Any]:
    """Return the function that returns the array at an address."""
    shape, dtype = view.shape, view.dtype
    memory = ctypes.c_char * (math.prod(shape) * dtype.itemsize)
    return lambda address: np.ndarray(shape, dtype, memoryview(memory.from_address(address)))


def may_be_called(node: Node) -> bool:
    """Return whether the NumPy kernel of an op can be called from machine code."""
    fields = node.type.fields if isinstance(node.type, StructureType) else ((0, node.type),)
    types: list[Type | None] = [*(type_ for _, type_ in fields), *(x.type for x in node.inputs)]
    return not isinstance(node.op, WithBody) and all(map(_is_array, types))


def _is_array(type_: Type | None) -> bool:
    return isinstance(type_, TensorType) and type_.is_static and type_.dtype.kind in "biuf"


def lower(node: Node, inputs: Views, outputs: Views, scratch: Scratch) -> Calls:
    """Return the calls that compute a node by its NumPy kernel."""
    pairs = [contiguous(node, view, scratch) for view in inputs]
    operands, before = [view for view, _ in pairs], [call for _, calls in pairs for call in calls]
    kernel = NumPyKernel(node, operands, outputs)
    words: tuple[int | BufferView, ...] = (id(kernel), *operands, *outputs)
    return [*before, KernelCall(loop_runtime().called, words, kernel, node, _WORK)]


def called_ops(calls: Iterable[Call]) -> list[str]:
    """Return the names of the ops that NumPy computes within calls."""
    found: dict[str, None] = {}
    for call in calls:
        if isinstance(call, LoopCall):
            found |= dict.fromkeys(n for body in call.bodies for n in called_ops(body.code.calls))
        elif isinstance(call.module, NumPyKernel):
            found[call.module.name] = None
    return list(found)
