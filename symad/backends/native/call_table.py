"""Frames: lists of commands with all addresses in place, ready for one call at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symad.backends.base import CallMark
from symad.backends.native.cpython import signature_of
from symad.backends.native.kernel_call import Command, Shape, View
from symad.backends.native.memory_pool import LARGE, Arena
from symad.backends.native.runtime import (
    Flag,
    Form,
    Head,
    Input,
    Kind,
    Output,
    Runtime,
    Step,
    Table,
)
from symad.graph.nested import is_nested, rebuild
from symad.graph.node import Node
from symad.plan.buffer_assignment import Storage, StorageKind

_LONG = 1e5
"""Commands that take so many nanoseconds, one or several together, let other threads run."""

Allocate = Callable[[Shape, np.dtype[Any]], Any]


class Static(NamedTuple):
    """The type of an array."""

    dtype: np.dtype[Any]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Code:
    """Commands over blocks of memory, for any number of frames.

    Attributes
    ----------
    commands : sequence of Command
    blocks : sequence of Storage
        What the views among the words of commands refer to.
    inputs, outputs : sequence of Static
    contents : dict
        For each output without axes, where in the arena it is computed.
    arena : int
        The size of the arena in bytes.
    kept : sequence of arrays
        The memory at fixed addresses.
    """

    commands: Sequence[Command]
    blocks: Sequence[Storage]
    inputs: Sequence[Static]
    outputs: Sequence[Static]
    contents: dict[int, int]
    arena: int
    kept: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a frame is called.

    Attributes
    ----------
    fallback : callable
        Called with the arguments of a call that is not as expected.
    form : Form
        What is returned.
    finish : callable or None
        For :attr:`Form.FINISHED`: makes of a list what is returned.
    takes_targets : bool
        Whether arrays for the results may follow the inputs.
    mark : CallMark or None
        What a call that succeeds leaves.
    """

    fallback: Callable[..., Any]
    form: Form = Form.LIST
    finish: Callable[[list[Any]], Any] | None = None
    takes_targets: bool = False
    mark: CallMark | None = None


class Frame:
    """The words of all commands, with the addresses of one arena.

    Attributes
    ----------
    entry : builtin function
        Takes the inputs, and returns the outputs.
    """

    def __init__(
        self, runtime: Runtime, code: Code, arena: Arena, manner: Manner, allocate: Allocate
    ) -> None:
        writer = _TableWriter(code, arena.address, manner, allocate)
        self.table = writer.table(arena.lock)
        kept = (code, arena, manner, *writer.kept)
        self._code, self._commands = code, writer.commands
        self.entry: Callable[..., Any] = runtime.entry(self.table, *kept)

    def as_commands(self) -> list[tuple[Node, int]]:
        """Make the entry run no command, and return each node and the command that computes it."""
        self.table[Head.COMMAND_COUNT] = 0
        count, base = len(self._code.commands), self.table.ctypes.data
        records = [self._commands + k * len(Step) for k in range(count)]
        self.table[[record + Step.FLAGS for record in records]] = 0
        pairs = zip(self._code.commands, records, strict=True)
        return [(command.node, base + 8 * record) for command, record in pairs]


class _TableWriter:
    """Writes a table.

    Attributes
    ----------
    kept : list
        Objects whose addresses stand in the table.
    commands : int
        The index of the first command.
    """

    def __init__(self, code: Code, arena: int, manner: Manner, allocate: Allocate) -> None:
        self._code, self._arena, self._manner = code, arena, manner
        self._words: list[int] = [0] * len(Head)
        self._pointers: list[int] = []
        self._places: dict[int, list[tuple[int, int]]] = {}
        self.kept: list[Any] = []
        self._write_commands()
        self._write_inputs()
        self._write_outputs(allocate)

    def table(self, lock: int) -> Table:
        """Return the table; ``lock`` is where the word stands that tells whether it is in use."""
        head, manner = self._words, self._manner
        head[Head.LOCK] = lock
        head[Head.FORM] = manner.form
        head[Head.FALLBACK] = self._object(manner.fallback)
        head[Head.FINISH] = self._object(manner.finish)
        head[Head.ARRAY_TYPE] = self._object(np.ndarray)
        self._write_mark(manner.mark)
        head[Head.TRUE], head[Head.FALSE] = self._object(np.True_), self._object(np.False_)
        head[Head.NONE], head[Head.NO_MEMORY] = self._object(None), self._object(MemoryError)
        head[Head.TARGET_COUNT] = len(self._code.outputs) if manner.takes_targets else 0
        table = np.array(self._words, np.int64)
        base = table.ctypes.data
        table[self._pointers] = base + 8 * table[self._pointers]
        return table

    def _write_mark(self, mark: CallMark | None) -> None:
        if mark is None:
            self._point(Head.MARKED, Head.MARK)
        else:
            self._words[Head.MARK] = mark.number
            self._words[Head.MARKED] = mark.place.ctypes.data

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

    def _write_commands(self) -> None:
        commands = self._code.commands
        self.commands = first = self._add([0] * (len(Step) * len(commands)))
        self._words[Head.COMMAND_COUNT] = len(commands)
        self._point(Head.COMMANDS, first)
        flags = _flags([command.work for command in commands])
        for k, (command, flag) in enumerate(zip(commands, flags, strict=True)):
            record = first + k * len(Step)
            self._words[record + Step.CODE] = command.address
            self._words[record + Step.FLAGS] = flag
            self._point(record + Step.WORDS, self._add([0] * len(command.words)))
            for offset, word in enumerate(command.words):
                self._write_word(self._words[record + Step.WORDS] + offset, word)

    def _write_word(self, index: int, word: int | View) -> None:
        if not isinstance(word, View):
            self._words[index] = word
            return
        block = self._code.blocks[word.block]
        if block.kind in (StorageKind.INPUT, StorageKind.OUTPUT):
            self._places.setdefault(word.block, []).append((index, word.offset))
        else:
            base = self._arena if block.kind is StorageKind.ARENA else 0
            self._words[index] = base + block.place + word.offset

    def _write_records(self, types: Sequence[Static], where: StorageKind, words: int) -> list[int]:
        """Write what arguments and results have in common; return the index of each record."""
        first = self._add([0] * (words * len(types)))
        is_input = where is StorageKind.INPUT
        kind: type[Input] | type[Output] = Input if is_input else Output
        self._words[Head.INPUT_COUNT if is_input else Head.OUTPUT_COUNT] = len(types)
        self._point(Head.INPUTS if is_input else Head.OUTPUTS, first)
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
            self._write_records(types, StorageKind.INPUT, len(Input)), types, strict=True
        ):
            self._words[record + Input.SIGNATURE] = signature_of(type_.dtype)
            if type_.shape == ():
                self._words[record + Input.SCALAR_TYPE] = self._object(type_.dtype.type)
                python = float if type_.dtype == np.float64 else type_.dtype.type
                self._words[record + Input.PYTHON_TYPE] = self._object(python)

    def _write_outputs(self, allocate: Allocate) -> None:
        types = self._code.outputs
        records = self._write_records(types, StorageKind.OUTPUT, len(Output))
        for number, (record, type_) in enumerate(zip(records, types, strict=True)):
            dtype, shape = type_.dtype, type_.shape
            self._words[record + Output.TYPE_NUMBER] = dtype.num
            self._words[record + Output.ITEM_SIZE] = dtype.itemsize
            kind = Kind.ARRAY
            if shape == ():
                kind = Kind.BOOLEAN if dtype.kind == "b" else Kind.SCALAR
                self._words[record + Output.MAKER] = self._object(dtype.type)
                self._words[record + Output.CONTENT] = self._arena + self._code.contents[number]
            elif math.prod(shape) * dtype.itemsize >= LARGE:
                kind = Kind.CALLED
                maker = lambda shape=shape, dtype=dtype: allocate(shape, dtype)  # noqa: E731
                self._words[record + Output.MAKER] = self._object(maker)
            self._words[record + Output.KIND] = kind


def manner_of(template: Any, fallback: Callable[..., Any], mark: CallMark) -> Manner:
    """Return how to call for results in the structure of ``template``."""
    if not is_nested(template):
        return Manner(fallback, Form.SINGLE, mark=mark)
    if not any(map(is_nested, template)) and type(template) in (list, tuple):
        return Manner(fallback, Form.LIST if type(template) is list else Form.TUPLE, mark=mark)

    def finish(results: list[Any]) -> Any:
        return rebuild(template, iter(results))

    return Manner(fallback, Form.FINISHED, finish, mark=mark)


def _flags(works: Sequence[float]) -> list[Flag]:
    """Return where the commands that take long, alone or together, begin and end."""
    flags = [Flag(0)] * len(works)
    begin, total = 0, 0.0
    for k, work in enumerate(works):
        total += work
        if total >= _LONG:
            flags[begin] |= Flag.LEAVE
            flags[k] |= Flag.RETURN
            begin, total = k + 1, 0.0
    return flags
