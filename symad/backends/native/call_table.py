"""Frames: lists of calls with all addresses in place, ready for one call at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from symad.backends.native.cpython import signature_of
from symad.backends.native.kernel_call import BufferView, KernelCall, Shape
from symad.backends.native.memory_pool import LARGE, Arena
from symad.backends.native.parallel import Helpers
from symad.backends.native.runtime import (
    ArgumentWord,
    CallFlag,
    CallWord,
    ConventionWord,
    PartsWord,
    ResultKind,
    ResultWord,
    Runtime,
    StepKind,
    StepWord,
    TableWord,
)
from symad.backends.native.words import Table
from symad.graph.nested import is_nested
from symad.graph.node import Node
from symad.plan.buffer_assignment import Storage, StorageKind

_LONG = 1e5
"""Calls that take so many nanoseconds, one or several together, let other threads run."""

Allocate = Callable[[Shape, np.dtype[Any]], Any]


class ArrayType(NamedTuple):
    """The type of an array."""

    dtype: np.dtype[Any]
    shape: Shape


@dataclass(frozen=True, slots=True)
class SegmentCode:
    """Calls over blocks of memory, for any number of frames.

    Attributes
    ----------
    calls : sequence of KernelCall
    blocks : sequence of Storage
        What the views among the words of calls refer to.
    inputs, outputs : sequence of ArrayType
    contents : dict
        For each output without axes, where in the arena it is computed.
    arena : int
        The size of the arena in bytes.
    kept : sequence of arrays
        The memory at fixed addresses.
    """

    calls: Sequence[KernelCall]
    blocks: Sequence[Storage]
    inputs: Sequence[ArrayType]
    outputs: Sequence[ArrayType]
    contents: dict[int, int]
    arena: int
    kept: Sequence[Any]


@dataclass(frozen=True, slots=True)
class CallConvention:
    """How a frame is called.

    Attributes
    ----------
    fallback : callable
        Called with the arguments of a call that is not as expected.
    template : nested structure or None
        The structure of what is returned; ``None`` for a list.
    takes_targets : bool
        Whether arrays for the results may follow the inputs.
    """

    fallback: Callable[..., Any]
    template: Any = None
    takes_targets: bool = False


class CallTable:
    """The words of all calls, with the addresses of one arena."""

    def __init__(
        self, runtime: Runtime, code: SegmentCode, arena: Arena, allocate: Allocate
    ) -> None:
        writer = _TableWriter(runtime, code, arena.address, allocate)
        self.table = writer.table(arena.lock)
        self._runtime, self._code, self._calls = runtime, code, writer.calls
        self._kept = (code, arena, *writer.kept)

    def entry(self, convention: CallConvention) -> Callable[..., Any]:
        """Return a built-in function that takes the inputs, and returns the outputs."""
        fallback, count = convention.fallback, len(self._code.outputs)
        template = [None] * count if convention.template is None else convention.template
        steps = list(_steps_of(template))
        others = tuple(other for _, _, other in steps)
        begin = len(ConventionWord)
        end = begin + len(StepWord) * len(steps)
        words = np.zeros(end + count + len(steps), np.int64)
        targets = count if convention.takes_targets else 0
        places = words.ctypes.data + 8 * begin, words.ctypes.data + 8 * end
        words[:begin] = id(fallback), targets, len(steps), *places
        words[begin:end] = [word for kind, n, other in steps for word in (kind, n, id(other))]
        enter = self._runtime.entry(self.table, words, fallback, others, self._kept)
        return cast(Callable[..., Any], enter)

    def as_calls(self) -> list[tuple[Node, int]]:
        """Make the entry run no call, and return each node and the call that computes it."""
        self.table[TableWord.CALL_COUNT] = 0
        count, base = len(self._code.calls), self.table.ctypes.data
        records = [self._calls + k * len(CallWord) for k in range(count)]
        self.table[[record + CallWord.FLAGS for record in records]] = 0
        pairs = zip(self._code.calls, records, strict=True)
        return [(call.node, base + 8 * record) for call, record in pairs]


class _TableWriter:
    """Writes a table.

    Attributes
    ----------
    kept : list
        Objects whose addresses stand in the table.
    calls : int
        The index of the first call.
    """

    def __init__(
        self,
        runtime: Runtime,
        code: SegmentCode,
        arena: int,
        allocate: Allocate,
    ) -> None:
        self._runtime, self._code, self._arena = runtime, code, arena
        self._helpers: list[Helpers] = []
        self._words: list[int] = [0] * len(TableWord)
        self._pointers: list[int] = []
        self._places: dict[int, list[tuple[int, int]]] = {}
        self.kept: list[Any] = []
        self._write_calls()
        self._write_inputs()
        self._write_outputs(allocate)

    def table(self, lock: int) -> Table:
        """Return the table; ``lock`` is where the word stands that tells whether it is in use."""
        head = self._words
        head[TableWord.LOCK] = lock
        head[TableWord.ARRAY_TYPE] = self._object(np.ndarray)
        head[TableWord.TRUE], head[TableWord.FALSE] = (
            self._object(np.True_),
            self._object(np.False_),
        )
        head[TableWord.NONE], head[TableWord.NO_MEMORY] = (
            self._object(None),
            self._object(MemoryError),
        )
        table = np.array(self._words, np.int64)
        for helpers in self._helpers:
            helpers.table = table
        base = table.ctypes.data
        table[self._pointers] = base + 8 * table[self._pointers]
        return table

    def _object(self, value: Any) -> int:
        self.kept.append(value)
        return id(value)

    def _add(self, words: Sequence[int]) -> int:
        """Append words, and return the index of the first."""
        index = len(self._words)
        self._words += words
        return index

    def _point(self, index: int, target: int) -> None:
        """Let a word hold the address of another."""
        self._words[index] = target
        self._pointers.append(index)

    def _write_calls(self) -> None:
        calls = self._code.calls
        self.calls = first = self._add([0] * (len(CallWord) * len(calls)))
        self._words[TableWord.CALL_COUNT] = len(calls)
        self._point(TableWord.CALLS, first)
        for k, (call, flag) in enumerate(zip(calls, _flags(calls), strict=True)):
            record = first + k * len(CallWord)
            self._words[record + CallWord.FLAGS] = flag
            if call.parts == 1:
                self._words[record + CallWord.CODE] = call.address
                self._point(record + CallWord.WORDS, self._add_arguments(call))
            else:
                self._write_parts(record, call)

    def _add_arguments(self, call: KernelCall) -> int:
        first = self._add([0] * len(call.arguments))
        for offset, word in enumerate(call.arguments):
            self._write_word(first + offset, word)
        return first

    def _write_parts(self, record: int, call: KernelCall) -> None:
        """Write a call in parts: it calls a function of the runtime, which calls the kernel."""
        runtime, is_shared = self._runtime, call.threads > 1
        parts = self._add([0] * len(PartsWord))
        self._words[record + CallWord.CODE] = runtime.shared if is_shared else runtime.alone
        self._point(record + CallWord.WORDS, parts)
        self._words[parts + PartsWord.CODE] = call.address
        self._words[parts + PartsWord.SIZE] = len(call.arguments) // call.parts
        self._words[parts + PartsWord.COUNT] = call.parts
        self._point(parts + PartsWord.WORDS, self._add_arguments(call))
        if is_shared:
            self._helpers.append(Helpers(runtime.do_parts, min(call.threads, call.parts) - 1))
            self._words[parts + PartsWord.HELPERS] = self._object(self._helpers[-1])

    def _write_word(self, index: int, word: int | BufferView) -> None:
        if not isinstance(word, BufferView):
            self._words[index] = word
            return
        block = self._code.blocks[word.block]
        if block.kind in (StorageKind.INPUT, StorageKind.OUTPUT):
            self._places.setdefault(word.block, []).append((index, word.offset))
        else:
            base = self._arena if block.kind is StorageKind.ARENA else 0
            self._words[index] = base + block.place + word.offset

    def _write_records(
        self, types: Sequence[ArrayType], where: StorageKind, words: int
    ) -> list[int]:
        """Write what arguments and results have in common; return the index of each record."""
        first = self._add([0] * (words * len(types)))
        is_input = where is StorageKind.INPUT
        kind: type[ArgumentWord] | type[ResultWord] = ArgumentWord if is_input else ResultWord
        self._words[TableWord.INPUT_COUNT if is_input else TableWord.OUTPUT_COUNT] = len(types)
        self._point(TableWord.INPUTS if is_input else TableWord.OUTPUTS, first)
        places: dict[int, list[tuple[int, int]]] = {}
        for number, block in enumerate(self._code.blocks):
            if block.kind is where:
                places.setdefault(block.place, []).extend(self._places.get(number, ()))
        records = []
        for k, type_ in enumerate(types):
            record = first + k * words
            records.append(record)
            self._words[record + kind.NDIM] = len(type_.shape)
            self._point(record + kind.SIZES, self._add(type_.shape))
            found = places.get(k, [])
            self._words[record + kind.PLACE_COUNT] = len(found)
            self._point(record + kind.PLACES, len(self._words))
            for index, offset in found:
                self._point(self._add([0, offset]), index)
        return records

    def _write_inputs(self) -> None:
        types = self._code.inputs
        for record, type_ in zip(
            self._write_records(types, StorageKind.INPUT, len(ArgumentWord)), types, strict=True
        ):
            self._words[record + ArgumentWord.SIGNATURE] = signature_of(type_.dtype)
            if type_.shape == ():
                self._words[record + ArgumentWord.SCALAR_TYPE] = self._object(type_.dtype.type)
                python = float if type_.dtype == np.float64 else type_.dtype.type
                self._words[record + ArgumentWord.PYTHON_TYPE] = self._object(python)

    def _write_outputs(self, allocate: Allocate) -> None:
        types = self._code.outputs
        records = self._write_records(types, StorageKind.OUTPUT, len(ResultWord))
        for number, (record, type_) in enumerate(zip(records, types, strict=True)):
            dtype, shape = type_.dtype, type_.shape
            self._words[record + ResultWord.TYPE_NUMBER] = dtype.num
            self._words[record + ResultWord.ITEM_SIZE] = dtype.itemsize
            kind = ResultKind.ARRAY
            if shape == ():
                kind = ResultKind.BOOLEAN if dtype.kind == "b" else ResultKind.SCALAR
                self._words[record + ResultWord.MAKER] = self._object(dtype.type)
                self._words[record + ResultWord.CONTENT] = self._arena + self._code.contents[number]
            elif math.prod(shape) * dtype.itemsize >= LARGE:
                kind = ResultKind.CALLED
                maker = lambda shape=shape, dtype=dtype: allocate(shape, dtype)  # noqa: E731
                self._words[record + ResultWord.MAKER] = self._object(maker)
            self._words[record + ResultWord.KIND] = kind


def _steps_of(template: Any) -> Iterator[tuple[StepKind, int, Any]]:
    """Yield the steps that put results together in the structure of ``template``."""
    if not is_nested(template):
        yield StepKind.PUSH, 1, None
        return
    items = list(template.values() if isinstance(template, dict) else template)
    if any(map(is_nested, items)):
        for item in items:
            yield from _steps_of(item)
    else:
        yield StepKind.PUSH, len(items), None
    if isinstance(template, dict):
        yield StepKind.DICT, len(items), tuple(template)
    elif isinstance(template, list):
        yield StepKind.LIST, len(items), None
    elif hasattr(template, "_fields"):
        yield StepKind.CALL, len(items), type(template)
    else:
        yield StepKind.TUPLE, len(items), None


def _flags(calls: Sequence[KernelCall]) -> list[CallFlag]:
    """Return where the calls that take long, alone or together, begin and end.

    Those that threads share are none of these: they take care of that themselves.
    """
    flags = [CallFlag(0)] * len(calls)
    begin, total = 0, 0.0
    for k, call in enumerate(calls):
        total += call.work
        if call.threads > 1:
            begin, total = k + 1, 0.0
        elif total >= _LONG:
            flags[begin] |= CallFlag.LEAVE
            flags[k] |= CallFlag.RETURN
            begin, total = k + 1, 0.0
    return flags
