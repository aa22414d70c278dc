"""Programs of scalar instructions: a plan of numbers as words; see ``scalar_instructions.py``.

The registers of the plan are slots of the memory of a call.  Building takes a microsecond for each
instruction of the plan, without LLVM.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.native.scalar_instructions import (
    SLOT,
    CallPython,
    End,
    Instruction,
    InstructionCode,
    Operation,
    code_of,
    pair_of,
)
from symad.backends.numpy import failure_of
from symad.graph.node import Node
from symad.ops.adjoint import AddN
from symad.plan.plan import Instructions, Plan
from symad.records import dataclass

_Array = np.ndarray[Any, Any]
_WORDS = "I"
_RUN, _TIMES = 64, 4
_ODD = 0x9E3779B97F4A7C15
"""A factor that keeps the hashes of different runs apart."""


@dataclass(frozen=True, slots=True)
class ScalarProgram:
    """A program that is ready to run.

    Attributes
    ----------
    words : array of uint32
        The instructions.
    table : array of uint64
        The address of the code for each index.
    owners : tuple
        What is at these addresses.
    by_numpy : tuple of NodeCall
        What has no native code.
    image : array of uint64
        The first slots before a call, with the constants.
    slots : int
        The number of slots.
    instructions : int
    """

    words: _Array
    table: _Array
    owners: tuple[InstructionCode | NodeCall, ...]
    by_numpy: tuple[NodeCall, ...]
    image: _Array
    slots: int
    instructions: int


class NodeCall:
    """Computes a value by NumPy, in the memory of a call.

    Parameters
    ----------
    operation : Operation
    output : int
        The slot of the result.
    inputs : tuple of int
        The slots of the operands.
    node : Node
        The node that an error is about.
    reason : str
        Why there is no native code.
    """

    def __init__(
        self, operation: Operation, output: int, inputs: Sequence[int], node: Node, reason: str
    ) -> None:
        self.node, self.reason = node, reason
        self._kernel, self._dtype = operation.op.kernel(), operation.result
        self._output, self._inputs = output, tuple(zip(inputs, operation.operands, strict=True))

    @property
    def address(self) -> int:
        """The address of this object."""
        return id(self)

    def __call__(self, memory: int) -> None:
        """Compute the value in the memory at an address.

        Raises
        ------
        EvaluationError
        """
        values = [_slot(memory, slot, dtype)[0] for slot, dtype in self._inputs]
        try:
            with np.errstate(all="ignore"):
                result = self._kernel(*values)
        except Exception as error:
            raise failure_of(self.node, error) from error
        _slot(memory, self._output, self._dtype)[0] = result


def _slot(memory: int, slot: int, dtype: np.dtype[Any]) -> _Array:
    """Return the number in a slot as an array."""
    content: Any = (ctypes.c_char * dtype.itemsize).from_address(memory + SLOT * slot)
    return np.frombuffer(content, dtype)


def scalar_program(plan: Plan, is_fast: bool) -> ScalarProgram:
    """Return the program of a plan of numbers; what has no native code is computed by NumPy."""
    assembler = _Assembler(Operations(plan, is_fast))
    return new_program(plan, assembler.words(), assembler.table, assembler.count)


def new_program(
    plan: Plan, words: _Array, table: Sequence[InstructionCode | NodeCall], count: int
) -> ScalarProgram:
    """Return a program of words and what they refer to."""
    return ScalarProgram(
        words,
        np.array([item.address for item in table], np.uint64),
        tuple(table),
        tuple([item for item in table if isinstance(item, NodeCall)]),
        _image(plan),
        slots_of(plan),
        count,
    )


def is_regular(plan: Plan) -> bool:
    """Return whether most runs of 64 ops in a plan are there several times, as in loops that were
    written out.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.plan.plan import make_plan
    >>> x = y = sm.Variable("x", shape=())
    >>> for _ in range(500):
    ...     y = sm.sin(y) * x + y
    >>> is_regular(make_plan(sm.Graph([y])))
    True
    """
    runs = np.array([id(type(node.op)) for node in plan.order], np.uint64)
    length = 1
    while length < _RUN and len(runs) > length:
        runs = runs[:-length] * np.uint64(_ODD) + runs[length:]  # a hash, modulo 2⁶⁴
        length *= 2
    return len(np.unique(runs)) * _TIMES <= len(runs)


def slots_of(plan: Plan) -> int:
    """Return the number of slots: a register each, and one for parts of sums."""
    return plan.registers + 1


def _image(plan: Plan) -> _Array:
    """Return the slots up to the last constant."""
    last = max((register for register, _ in plan.constants), default=-1)
    image = np.zeros(last + 1, np.uint64)
    for register, constant in plan.constants:
        slot = image[register : register + 1].view(np.uint8)
        content = np.frombuffer(constant.value.tobytes(), np.uint8)
        slot[: content.size] = content
    return image


OperationStep = tuple[int, int, tuple[int, ...], tuple[int, ...]]
"""An operation on slots: its number, the slots of the result and of the operands, and the slots
that are free after it."""


class Operations:
    """The instructions of a plan as operations; sums of many terms are several.

    Attributes
    ----------
    kinds : list of Operation
        The different operations.
    numbers : array
        The place of each operation in that list.
    steps : array
        The instruction that it is, or is part of.
    outputs : array
        The slot of its result.
    reads, arities : array
        The slots of the operands of one operation after the other, and their number for each.
    """

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        assert isinstance(plan.instructions, Instructions)
        self.kinds: list[Operation] = []
        self.nodes = plan.instructions.nodes
        self._plan, self._is_fast, self._source = plan, is_fast, plan.instructions
        self._known: dict[Any, int] = {}
        self._sums: list[int] = []
        self.numbers = np.fromiter(self._numbers(), np.intp)
        self._split_sums()

    def _numbers(self) -> Iterator[int]:
        known: dict[tuple[int, ...], int] = {}
        is_uniform = len(self._plan.graph.types()) == 1
        for step, node in enumerate(self.nodes):
            op, inputs = node.op, node.inputs
            key: tuple[int, ...] = (id(op), len(inputs))
            if len(inputs) > 2 and isinstance(op, AddN):
                self._sums.append(step)
                yield from self._numbers_of_sum(node)
                continue
            if not is_uniform:
                key = (id(op), id(node.type), *[id(source.type) for source in inputs])
            number = known.get(key)
            if number is None:
                dtypes = node.dtype, *[source.dtype for source in inputs]
                number = known[key] = self._number(op, *dtypes)
            yield number

    def _numbers_of_sum(self, node: Node) -> Iterator[int]:
        total = node.inputs[0].dtype
        for term in node.inputs[1:-1]:
            dtype = total if term.dtype is total else np.result_type(total, term.dtype)
            yield self._number(node.op, dtype, total, term.dtype)
            total = dtype
        yield self._number(node.op, node.dtype, total, node.inputs[-1].dtype)

    def _number(self, *key: Any) -> int:
        """Return the number of an op with the dtypes of its result and operands."""
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.kinds)
            op, dtype, *operands = key
            self.kinds.append(Operation(op, tuple(operands), dtype, self._is_fast))
        return number

    def _split_sums(self) -> None:
        """Make n - 1 operations of a sum of n terms; all but the last write to one more slot."""
        source, scratch = self._source, self._plan.registers
        terms, parts = np.diff(source.read_ends, prepend=0), np.ones(len(source), np.intp)
        parts[self._sums] = terms[self._sums] - 1
        self.steps = np.repeat(np.arange(len(source)), parts)
        self._last = parts.cumsum() - 1
        self.outputs = np.full(len(self.steps), scratch, np.int32)
        self.outputs[self._last] = source.outputs
        self.arities = np.where(parts > 1, 2, terms)[self.steps]
        place = np.arange(len(source.reads)) - np.repeat(source.read_ends - terms, terms)
        later = np.flatnonzero((place >= 2) & np.repeat(parts > 1, terms))
        self.reads = np.insert(source.reads, later, scratch)

    def are_used_next(self) -> _Array:
        """Return which operations are the last to need the result of the operation before."""
        made = np.roll(self.outputs, 1)
        used = (made == self.outputs) | (made == self._plan.registers)
        owner = self._last[np.repeat(np.arange(len(self._source)), self._free_counts)]
        used[owner] |= self._source.frees == made[owner]
        used[:1] = False
        return used

    @property
    def _free_counts(self) -> _Array:
        counts: _Array = np.diff(self._source.free_ends, prepend=0)
        return counts

    def __iter__(self) -> Iterator[OperationStep]:
        reads, outputs, begin = self.reads.tolist(), self.outputs.tolist(), 0
        frees, free_ends = self._source.frees.tolist(), self._source.free_ends.tolist()
        lasts, ends = self._last.tolist(), self.arities.cumsum().tolist()
        free, scratch = 0, self._plan.registers
        rows = zip(self.numbers.tolist(), outputs, ends, self.steps.tolist(), strict=True)
        for place, (number, output, end, step) in enumerate(rows):
            freed: tuple[int, ...] = ()
            if place == lasts[step]:
                freed = tuple(frees[free : free_ends[step]])
                freed += (scratch,) * (begin > 0 and outputs[place - 1] == scratch)
                free = free_ends[step]
            yield number, output, tuple(reads[begin:end]), freed
            begin = end


class _Assembler:
    """Writes the words of a program.

    Attributes
    ----------
    table : list of InstructionCode or NodeCall
        What the words refer to by its index.
    count : int
        The number of instructions.
    """

    def __init__(self, operations: Operations) -> None:
        self.table: list[InstructionCode | NodeCall] = []
        self._operations = operations
        self._indices: dict[Instruction, int] = {}
        self._reasons: dict[int, str] = {}
        codes = np.array([self._code(number) for number in range(len(operations.kinds))], np.intp)
        self._codes = codes[operations.numbers]
        self._starts = operations.arities.cumsum() - operations.arities
        self._seconds, self._others = self._pairs()
        self.count = len(self._codes) - len(self._seconds)

    def _code(self, number: int) -> int:
        """Return the index of the code of an operation; without code, that of a call of Python."""
        try:
            return self._index(self._operations.kinds[number])
        except NotImplementedError as error:
            self._reasons[number] = str(error)
            return self._index(CallPython())

    def _pairs(self) -> tuple[_Array, _Array]:
        """Find pairs, and return the second operation of each and its other operand.

        The second is the only user of the result of the first.
        """
        operations, kinds = self._operations, self._operations.kinds
        places = np.flatnonzero(operations.are_used_next() & (operations.arities == 2))
        made = operations.outputs[places - 1]
        first, second = (operations.reads[self._starts[places] + slot] for slot in (0, 1))
        is_once = (first == made) != (second == made)
        places, slots = places[is_once], (second == made)[is_once].astype(np.intp)
        others = np.where(slots, first[is_once], second[is_once])
        numbers = operations.numbers[places - 1] * len(kinds) + operations.numbers[places]
        keys = 2 * numbers + slots
        distinct, which = np.unique(keys, return_inverse=True)
        triples = [(*divmod(key // 2, len(kinds)), key % 2) for key in distinct.tolist()]
        pairs = [pair_of(kinds[a], kinds[b], slot) for a, b, slot in triples]
        exists = np.array([pair is not None for pair in pairs], bool)[which]
        chosen = np.flatnonzero(exists)[_every_other(places[exists])]
        for number in np.unique(which[chosen]):
            pair, users = pairs[number], chosen[which[chosen] == number]
            assert pair is not None
            self._codes[places[users]] = self._index(pair)
        return places[chosen], others[chosen]

    def words(self) -> _Array:
        """Return the words of the program."""
        operations, seconds = self._operations, self._seconds
        lengths = 2 + operations.arities
        calls = np.flatnonzero(np.isin(operations.numbers, list(self._reasons)))
        lengths[calls], lengths[seconds], lengths[seconds - 1] = 2, 5, 0
        begin = lengths.cumsum() - lengths
        words = np.empty(lengths.sum() + 1, _WORDS)
        words[-1] = self._index(End())
        is_first = np.zeros(len(lengths), bool)
        is_first[seconds - 1] = True
        alone = np.flatnonzero(~is_first)
        words[begin[alone]], words[begin[alone] + 1] = self._codes[alone], operations.outputs[alone]
        begin[seconds - 1] = begin[seconds]  # where the operands of the first are
        kept = np.ones(len(lengths), bool)
        kept[calls] = kept[seconds] = False
        read = np.repeat(kept, operations.arities)
        places = np.arange(len(read)) - np.repeat(self._starts - begin - 2, operations.arities)
        words[places[read]] = operations.reads[read]
        words[begin[seconds] + 4] = self._others
        for place in calls.tolist():
            words[begin[place] + 1] = len(self.table)
            self.table.append(self._call(place))
        return words

    def _call(self, place: int) -> NodeCall:
        operations, begin = self._operations, self._starts[place]
        number, node = operations.numbers[place], operations.nodes[operations.steps[place]]
        inputs = operations.reads[begin : begin + operations.arities[place]].tolist()
        output, reason = int(operations.outputs[place]), self._reasons[number]
        return NodeCall(operations.kinds[number], output, inputs, node, reason)

    def _index(self, instruction: Instruction) -> int:
        """Return the index of the code of an instruction in the table."""
        if instruction not in self._indices:
            code = code_of(instruction)
            self._indices[instruction] = len(self.table)
            self.table.append(code)
        return self._indices[instruction]


def _every_other(places: _Array) -> _Array:
    """Return which of some places in order to take so that no two are neighbours, the first of
    each row of neighbours among them."""
    order = np.arange(len(places))
    begins = np.diff(places, prepend=-2) != 1
    return np.asarray((order - np.maximum.accumulate(np.where(begins, order, 0))) % 2 == 0)
