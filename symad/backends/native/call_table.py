"""Frames: lists of calls with all addresses in place, ready for one call at a time."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from symad.backends.native.cpython import signature_of
from symad.backends.native.kernel_call import BufferView, KernelCall, Shape
from symad.backends.native.memory_pool import LARGE, Arena
from symad.backends.native.runtime import Runtime
from symad.backends.native.segment_code import (
    ArrayType,
    BodyCalls,
    Call,
    LoopCall,
    LoopKind,
    Operand,
    Packed,
    SegmentCode,
)
from symad.backends.native.words import (
    BRANCH_SIZE,
    ArgumentWord,
    BranchWord,
    CallFlag,
    CallWord,
    ConventionWord,
    CursorWord,
    LoopWord,
    PartsWord,
    ResultKind,
    ResultWord,
    StackWord,
    StepKind,
    StepWord,
    Table,
    TableWord,
    UseWord,
)
from symad.graph.nested import is_nested
from symad.graph.node import Node
from symad.plan.storage import Storage, StorageKind
from symad.records import dataclass, replace

if TYPE_CHECKING:
    from symad.backends.native.parallel import Helpers

_LONG = 1e5
"""Calls that take so many nanoseconds, one or several together, let other threads run."""

_POLLED = 1e6
"""A loop looks for signals after so many nanoseconds."""

Allocate = Callable[[Shape, np.dtype[Any]], Any]

_Words = list[tuple[int, int]]
"""Where words stand that are to be an address, and what is added to it."""


class _Scope(Protocol):
    """What the views among the words of calls mean."""

    @property
    def blocks(self) -> Sequence[Storage]:
        """The storages of the blocks."""

    def place(self, index: int, storage: Storage, offset: int) -> None:
        """Let a word be the address so many bytes after the beginning of a storage."""


@dataclass(frozen=True, slots=True)
class CallConvention:
    """How a frame is called.

    Attributes
    ----------
    fallback : callable
        Called with the arguments of a call that is not as expected.
    template : nested structure or None
        The structure of what is returned, with :class:`Packed` for what is made of several
        results; ``None`` for a list.
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
        begin = ConventionWord.END
        end = begin + StepWord.END * len(steps)
        words = np.zeros(end + count + len(steps), np.int64)
        targets = count if convention.takes_targets else 0
        places = words.ctypes.data + 8 * begin, words.ctypes.data + 8 * end
        words[:begin] = id(fallback), targets, len(steps), *places
        words[begin:end] = [word for kind, n, other in steps for word in (kind, n, id(other))]
        enter = self._runtime.entry(self.table, words, fallback, others, self._kept)
        return cast(Callable[..., Any], enter)

    def failed(self) -> tuple[Node, int] | None:
        """Return the node whose call has failed, and how many steps of a loop were done before.

        These are -1 for what is no loop, or failed before the first step.  It is asked once.
        """
        number = self.table[TableWord.FAILED] - 1
        if number < 0:
            return None
        self.table[TableWord.FAILED] = 0
        call = self._code.calls[number]
        if not isinstance(call, LoopCall) or call.kind in (LoopKind.BRANCH, LoopKind.GUARDED):
            return call.node, -1
        record = self._calls + number * CallWord.END
        words = (self.table[record + CallWord.WORDS] - self.table.ctypes.data) // 8
        return call.node, int(self.table[words + LoopWord.FAILED])

    def as_calls(self) -> list[tuple[Node, int]]:
        """Make the entry run no call, and return each node and the call that computes it."""
        self.table[TableWord.CALL_COUNT] = 0
        count, base = len(self._code.calls), self.table.ctypes.data
        records = [self._calls + k * CallWord.END for k in range(count)]
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
        self._words: list[int] = [0] * TableWord.END
        self._pointers: list[int] = []
        self._places: dict[Storage, _Words] = {}
        self._stacks: dict[tuple[_Scope, Storage], int] = {}
        self._rows: dict[int, list[int]] = {}  # the words that hold where the rows of inputs are
        self._growing: _GrowingMemory | None = None
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
        if self._growing is not None:
            self._growing.table = table
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
        self.calls = self._add_calls(calls, self, _flags(calls))
        self._words[TableWord.CALL_COUNT] = len(calls)
        self._point(TableWord.CALLS, self.calls)

    def _add_calls(
        self, calls: Sequence[Call], scope: _Scope, flags: Sequence[int] | None = None
    ) -> int:
        """Append the words of calls, and return the index of the first."""
        first = self._add([0] * (CallWord.END * len(calls)))
        for k, call in enumerate(calls):
            record = first + k * CallWord.END
            if flags is not None:
                self._words[record + CallWord.FLAGS] = flags[k]
            if isinstance(call, LoopCall):
                self._write_loop(record, call, scope)
            elif call.parts == 1:
                self._words[record + CallWord.CODE] = call.address
                self._point(record + CallWord.WORDS, self._add_arguments(call, scope))
            else:
                self._write_parts(record, call, scope)
        return first

    def _add_arguments(self, call: KernelCall, scope: _Scope) -> int:
        first = self._add([0] * len(call.arguments))
        for offset, word in enumerate(call.arguments):
            self._write_word(first + offset, word, scope)
        return first

    def _write_parts(self, record: int, call: KernelCall, scope: _Scope) -> None:
        """Write a call in parts: it calls a function of the runtime, which calls the kernel."""
        runtime, is_shared = self._runtime, call.threads > 1
        parts = self._add([0] * PartsWord.END)
        shared = runtime.parts.shared if scope is self else runtime.parts.shared_in_body
        self._words[record + CallWord.CODE] = shared if is_shared else runtime.parts.alone
        self._point(record + CallWord.WORDS, parts)
        self._words[parts + PartsWord.CODE] = call.address
        self._words[parts + PartsWord.SIZE] = len(call.arguments) // call.parts
        self._words[parts + PartsWord.COUNT] = call.parts
        self._point(parts + PartsWord.WORDS, self._add_arguments(call, scope))
        if is_shared:
            from symad.backends.native.parallel import Helpers  # slow to import

            self._helpers.append(Helpers(runtime.parts.do_parts, min(call.threads, call.parts) - 1))
            self._words[parts + PartsWord.HELPERS] = self._object(self._helpers[-1])

    def _write_word(self, index: int, word: int | BufferView, scope: _Scope) -> None:
        if isinstance(word, BufferView):
            scope.place(index, scope.blocks[word.block], word.offset)
        else:
            self._words[index] = word

    @property
    def blocks(self) -> Sequence[Storage]:
        """The blocks of the segment, whose views this writer places."""
        return self._code.blocks

    def place(self, index: int, storage: Storage, offset: int) -> None:
        """Let a word be an address in the segment's memory, known now or in each call."""
        if storage.kind in (StorageKind.INPUT, StorageKind.OUTPUT):
            self._places.setdefault(storage, []).append((index, offset))
        else:
            base = self._arena if storage.kind is StorageKind.ARENA else 0
            self._words[index] = base + storage.place + offset

    # Loops

    def _write_loop(self, record: int, call: LoopCall, scope: _Scope) -> None:
        """Write a call of a function of the runtime that runs bodies."""
        from symad.backends.native.loop_runtime import loop_runtime

        runtime, kind = loop_runtime(), call.kind
        self.kept.append(runtime.module)
        scopes = [_BodyScope(self._write_word, scope, body) for body in call.bodies]
        starts = [self._add_calls(s.body.code.calls, s) for s in scopes]
        if kind in (LoopKind.BRANCH, LoopKind.GUARDED):
            code = runtime.branch if kind is LoopKind.BRANCH else runtime.guarded
            words = self._add_branches(call, scope, starts)
        else:
            code = runtime.counted if kind is LoopKind.COUNTED else runtime.conditional
            words = self._add_loop(call, scope, starts)
            cursors = [c for s in scopes for c in s.cursors()]
            self._point(words + LoopWord.CURSORS, self._add_cursors(cursors, scope))
            self._words[words + LoopWord.CURSOR_COUNT] = sum(len(ends) for _, ends in cursors)
            self._write_stacks(words, call, scope)
            self._write_rows(words, call, scope)
        self._words[record + CallWord.CODE] = code
        self._point(record + CallWord.WORDS, words)

    def _add_branches(self, call: LoopCall, scope: _Scope, starts: Sequence[int]) -> int:
        words = self._add([0] * BranchWord.END)
        self._write_count(words + BranchWord.INDEX, call, scope)
        self._words[words + BranchWord.COUNT] = len(starts)
        branches = self._add([0] * (BRANCH_SIZE * len(starts)))
        self._point(words + BranchWord.BRANCHES, branches)
        for k, (start, body) in enumerate(zip(starts, call.bodies, strict=True)):
            self._point(branches + BRANCH_SIZE * k, start)
            self._words[branches + BRANCH_SIZE * k + 1] = len(body.code.calls)
        return words

    def _add_loop(self, call: LoopCall, scope: _Scope, starts: Sequence[int]) -> int:
        words = self._add([0] * LoopWord.END)
        self._write_count(words + LoopWord.COUNT, call, scope)
        if call.flag is not None:
            self._write_word(words + LoopWord.FLAG, call.flag, scope)
        self._words[words + LoopWord.LIMIT] = call.limit
        *_, body, _ = call.bodies
        self._words[words + LoopWord.POLLED] = int(_POLLED / (1 + body.code.work)) + 1
        parts = (LoopWord.CONDITION, LoopWord.BODY, LoopWord.FINISH)[-len(starts) :]
        for part, start, body in zip(parts, starts, call.bodies, strict=True):
            self._point(words + part, start)
            self._words[words + part + 1] = len(body.code.calls)
        return words

    def _write_count(self, index: int, call: LoopCall, scope: _Scope) -> None:
        """Write the address of a count, which may be a number."""
        if isinstance(call.count, int):
            self._point(index, self._add([call.count]))
        else:
            self._write_word(index, call.count, scope)

    def _add_cursors(self, cursors: Sequence[tuple[Operand, _Words]], scope: _Scope) -> int:
        first = self._add([0] * (CursorWord.END * sum(len(ends) for _, ends in cursors)))
        record = first
        for operand, ends in cursors:
            base = self._add_base(operand.view, scope)
            for index, offset in ends:
                self._point(record + CursorWord.PLACE, index)
                self._point(record + CursorWord.BASE, base)
                self._words[record + CursorWord.OFFSET] = offset
                self._words[record + CursorWord.STEP] = operand.step
                self._words[record + CursorWord.ALTERNATES] = operand.alternates
                self._words[record + CursorWord.FROM_END] = operand.from_end
                record += CursorWord.END
        return first

    def _add_base(self, view: BufferView, scope: _Scope) -> int:
        """Return the word that is the address of a view."""
        storage = scope.blocks[view.block]
        if storage.kind is StorageKind.GROWING:
            return self._stack(storage, scope) + StackWord.ADDRESS
        base = self._add([0])
        self._write_word(base, view, scope)
        return base

    def _write_stacks(self, words: int, call: LoopCall, scope: _Scope) -> None:
        """Write the uses of memory that a loop enlarges: that of results."""
        views = [(operand.view, abs(operand.step)) for operand in call.bodies[-2].outputs]
        found = [(scope.blocks[view.block], row) for view, row in views]
        uses = [(storage, row) for storage, row in found if storage.kind is StorageKind.GROWING]
        self._words[words + LoopWord.STACK_COUNT] = len(uses)
        self._words[words + LoopWord.ROOM] = 0 if uses else np.iinfo(np.int64).max
        first = self._add([0] * (UseWord.END * len(uses)))
        self._point(words + LoopWord.STACKS, first)
        for record, (storage, row) in zip(itertools.count(first, UseWord.END), uses, strict=False):
            self._point(record + UseWord.STACK, self._stack(storage, scope))
            self._words[record + UseWord.ROW] = row

    def _write_rows(self, words: int, call: LoopCall, scope: _Scope) -> None:
        """Write where the numbers of rows stand that must be the number of steps."""
        storages = [scope.blocks[operand.view.block] for operand in call.bodies[-2].inputs]
        found = [s for s in storages if s.kind is StorageKind.GROWING or self._is_open(s, scope)]
        self._words[words + LoopWord.ROW_COUNT] = len(found)
        first = self._add([0] * len(found))
        self._point(words + LoopWord.ROWS, first)
        for index, storage in enumerate(found, first):
            if storage.kind is StorageKind.GROWING:
                self._point(index, self._stack(storage, scope) + StackWord.ROWS)
            else:
                self._rows.setdefault(storage.place, []).append(index)

    def _is_open(self, storage: Storage, scope: _Scope) -> bool:
        """Return whether a storage is an input of any number of rows."""
        is_input = scope is self and storage.kind is StorageKind.INPUT
        return is_input and -1 in self._code.inputs[storage.place].shape

    def _stack(self, storage: Storage, scope: _Scope) -> int:
        """Return the words about memory that grows."""
        key = scope, storage
        if key not in self._stacks:
            self._stacks[key] = self._add([0] * StackWord.END)
            if self._growing is None:  # only then: it is freed by Python code
                self._growing = _GrowingMemory()
                self.kept.append(self._growing)
            self._growing.places.append(self._stacks[key])
        return self._stacks[key]

    # Arguments and results

    def _write_records(
        self, types: Sequence[ArrayType], where: StorageKind, words: int
    ) -> list[int]:
        """Write what arguments and results have in common; return the index of each record."""
        first = self._add([0] * (words * len(types)))
        is_input = where is StorageKind.INPUT
        kind: type[ArgumentWord] | type[ResultWord] = ArgumentWord if is_input else ResultWord
        self._words[TableWord.INPUT_COUNT if is_input else TableWord.OUTPUT_COUNT] = len(types)
        self._point(TableWord.INPUTS if is_input else TableWord.OUTPUTS, first)
        records = []
        for k, type_ in enumerate(types):
            record = first + k * words
            records.append(record)
            self._words[record + kind.NDIM] = len(type_.shape)
            self._point(record + kind.SIZES, self._add(type_.shape))
            found = self._places.get(Storage(where, k), [])
            self._words[record + kind.PLACE_COUNT] = len(found)
            self._point(record + kind.PLACES, len(self._words))
            for index, offset in found:
                self._point(self._add([0, offset]), index)
        return records

    def _write_inputs(self) -> None:
        types = self._code.inputs
        records = self._write_records(types, StorageKind.INPUT, ArgumentWord.END)
        for number, (record, type_) in enumerate(zip(records, types, strict=True)):
            for index in self._rows.get(number, ()):
                self._point(index, record + ArgumentWord.ROWS)
            self._words[record + ArgumentWord.SIGNATURE] = signature_of(type_.dtype)
            if type_.shape == ():
                self._words[record + ArgumentWord.SCALAR_TYPE] = self._object(type_.dtype.type)
                python = float if type_.dtype == np.float64 else type_.dtype.type
                self._words[record + ArgumentWord.PYTHON_TYPE] = self._object(python)

    def _write_outputs(self, allocate: Allocate) -> None:
        types = self._code.outputs
        records = self._write_records(types, StorageKind.OUTPUT, ResultWord.END)
        for number, (record, type_) in enumerate(zip(records, types, strict=True)):
            dtype, shape = type_.dtype, type_.shape
            self._words[record + ResultWord.TYPE_NUMBER] = dtype.num
            self._words[record + ResultWord.ITEM_SIZE] = dtype.itemsize
            kind = ResultKind.ARRAY
            if -1 in shape:
                kind = ResultKind.STACK
                stack = self._stack(self.blocks[self._code.stacks[number]], self)
                self._point(record + ResultWord.CONTENT, stack)
                self._words[record + ResultWord.ITEM_SIZE] = math.prod(shape[1:]) * dtype.itemsize
            elif shape == ():
                kind = ResultKind.BOOLEAN if dtype.kind == "b" else ResultKind.SCALAR
                self._words[record + ResultWord.MAKER] = self._object(dtype.type)
                self._words[record + ResultWord.CONTENT] = self._arena + self._code.contents[number]
            elif math.prod(shape) * dtype.itemsize >= LARGE:
                kind = ResultKind.CALLED
                maker = lambda shape=shape, dtype=dtype: allocate(shape, dtype)  # noqa: E731
                self._words[record + ResultWord.MAKER] = self._object(maker)
            self._words[record + ResultWord.KIND] = kind


class _GrowingMemory:
    """The memory that loops enlarge, which lives as long as the table.

    Attributes
    ----------
    table : Table or None
    places : list of int
        Where in the table its words are.
    """

    def __init__(self) -> None:
        self.table: Table | None = None
        self.places: list[int] = []

    def __del__(self) -> None:
        if self.table is not None:
            for address in self.table[self.places].tolist():
                ctypes.pythonapi.PyMem_RawFree(ctypes.c_void_p(address))


class _BodyScope:
    """The memory of a body: part of the memory around it, and operands that move."""

    def __init__(
        self,
        write: Callable[[int, BufferView, _Scope], None],
        outer: _Scope,
        body: BodyCalls,
    ) -> None:
        self.body, self.blocks = body, body.code.blocks
        self._write, self._outer = write, outer
        self._moving: dict[Storage, _Words] = {}

    def place(self, index: int, storage: Storage, offset: int) -> None:
        body = self.body
        if storage.kind is StorageKind.FIXED:
            self._outer.place(index, storage, offset)
            return
        if storage.kind is StorageKind.ARENA:
            view, offset = body.arena, offset + storage.place
        else:
            operand = self._operand(storage)
            if operand.step:
                self._moving.setdefault(storage, []).append((index, offset))
                return
            view = operand.view
        self._write(index, replace(view, offset=view.offset + offset), self._outer)

    def cursors(self) -> list[tuple[Operand, _Words]]:
        """Return the operands that move, and the words that move with them."""
        return [(self._operand(storage), words) for storage, words in self._moving.items()]

    def _operand(self, storage: Storage) -> Operand:
        is_input = storage.kind is StorageKind.INPUT
        return (self.body.inputs if is_input else self.body.outputs)[storage.place]


def _steps_of(template: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield the steps that put results together in the structure of ``template``."""
    if isinstance(template, Packed):
        yield StepKind.PUSH, template.count, None
        yield StepKind.CALL, template.count, template.make
        return
    if not is_nested(template):
        yield StepKind.PUSH, 1, None
        return
    items = list(template.values() if isinstance(template, dict) else template)
    if any(is_nested(item) or isinstance(item, Packed) for item in items):
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


def _flags(calls: Sequence[Call]) -> list[int]:
    """Return where the calls that take long, alone or together, begin and end.

    Those that threads share are none of these: they take care of that themselves.
    """
    flags = [0] * len(calls)
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
