"""Programs of scalar instructions: a plan of numbers as words; see ``scalar_instructions.py``.

The registers of the plan are slots of the memory of a call.  Building takes a microsecond for each
instruction of the plan, without LLVM.
"""

from __future__ import annotations

import ctypes
from array import array
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
from symad.plan.plan import Plan
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
    assembler = _Assembler()
    steps = OperationSteps(plan, is_fast)
    for step in steps:
        assembler.append(steps.operations, step)
    return new_program(plan, assembler.finished(), assembler.table, assembler.count)


def new_program(
    plan: Plan, words: array[int], table: Sequence[InstructionCode | NodeCall], count: int
) -> ScalarProgram:
    """Return a program of words and what they refer to."""
    return ScalarProgram(
        np.frombuffer(words, np.dtype(_WORDS)),
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
    runs = np.fromiter((id(type(node.op)) for node in plan.order), np.uint64)
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


OperationStep = tuple[int, int, tuple[int, ...], tuple[int, ...], Node]
"""An operation on slots: its number, the slots of the result and of the operands, the slots that
are free after it, and the node of which it is the operation, or a part."""


class OperationSteps:
    """Iterates over the instructions of a plan as operations; sums of many terms are several.

    Attributes
    ----------
    operations : list of Operation
        The different operations found so far, by number.
    """

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        self.operations: list[Operation] = []
        self._plan, self._is_fast = plan, is_fast
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._dtypes: list[Any] = [None] * slots_of(plan)
        inputs = zip(plan.inputs, plan.graph.inputs, strict=True)
        for register, node in (*inputs, *plan.constants):
            self._dtypes[register] = node.dtype

    def __iter__(self) -> Iterator[OperationStep]:
        dtypes, numbers = self._dtypes, self._numbers
        for step in self._plan.instructions:
            node, inputs, frees = step.node, step.inputs, step.frees
            op, dtype = node.op, node.type.dtype  # type: ignore[union-attr]
            if len(inputs) > 2 and isinstance(op, AddN):
                yield from self._all_but_last(node, inputs)
                inputs, frees = (self._scratch, inputs[-1]), (*frees, self._scratch)
            key = (op, dtype, *map(dtypes.__getitem__, inputs))
            number = numbers.get(key)
            if number is None:
                number = self._new_number(key)
            dtypes[step.output] = dtype
            yield number, step.output, inputs, frees, node

    @property
    def _scratch(self) -> int:
        return self._plan.registers

    def _all_but_last(self, node: Node, terms: Sequence[int]) -> Iterator[OperationStep]:
        """Yield all additions of a sum but the last."""
        dtypes, total = self._dtypes, terms[0]
        for term in terms[1:-1]:
            dtype = np.result_type(dtypes[total], dtypes[term])
            key = (node.op, dtype, dtypes[total], dtypes[term])
            number = self._numbers.get(key)
            if number is None:
                number = self._new_number(key)
            dtypes[self._scratch] = dtype
            yield number, self._scratch, (total, term), (), node
            total = self._scratch

    def _new_number(self, key: tuple[Any, ...]) -> int:
        """Return the number of a new operation: an op, the dtypes of its result and operands."""
        op, dtype, *operands = key
        self._numbers[key] = len(self.operations)
        self.operations.append(Operation(op, tuple(operands), dtype, self._is_fast))
        return self._numbers[key]


class _Assembler:
    """Writes the words of a program.

    Attributes
    ----------
    table : list of InstructionCode or NodeCall
        What the words refer to by its index.
    count : int
        The number of instructions.
    """

    def __init__(self) -> None:
        self.table: list[InstructionCode | NodeCall] = []
        self.count = 0
        self._words = array(_WORDS)
        self._indices: dict[Instruction, int] = {}
        self._index_of: list[int | str] = []
        self._is_paired: list[bool] = []
        self._pairs: dict[tuple[int, int, int], int | None] = {}
        self._last: tuple[int, int] | None = None
        """The operation that may become the first of a pair, and its result."""

    def finished(self) -> array[int]:
        """Return the words of the program."""
        self._words.append(self._index(End()))
        return self._words

    def append(self, operations: Sequence[Operation], step: OperationStep) -> None:
        """Write an operation, or make a pair of it and the one before."""
        number, output, inputs, frees, node = step
        if number == len(self._index_of):
            self._know(operations[number])
        if self._last is not None and self._append_pair(operations, step, *self._last):
            self._last = None
            return
        index = self._index_of[number]
        if isinstance(index, str):
            self._words.extend((self._index(CallPython()), len(self.table)))
            self.table.append(NodeCall(operations[number], output, inputs, node, index))
        else:
            self._words.extend((index, output, *inputs))
        self.count += 1
        self._last = (number, output) if self._is_paired[number] else None

    def _append_pair(
        self, operations: Sequence[Operation], step: OperationStep, before: int, made: int
    ) -> bool:
        """Make a pair of the operation before and this one, which is the only user of its result;
        return whether there is one."""
        number, output, inputs, frees, _ = step
        if (made != output and made not in frees) or inputs.count(made) != 1:
            return False
        slot = inputs.index(made)
        pair = self._pair(operations, before, number, slot)
        if pair is not None:
            first = self._words[-2:]
            del self._words[-4:]
            self._words.extend((pair, output, *first, inputs[1 - slot]))
        return pair is not None

    def _know(self, operation: Operation) -> None:
        """Note the index of an operation, or why it has no native code."""
        try:
            self._index_of.append(self._index(operation))
        except NotImplementedError as error:
            self._index_of.append(str(error))
        self._is_paired.append(operation.primitive is not None)

    def _pair(
        self, operations: Sequence[Operation], first: int, second: int, slot: int
    ) -> int | None:
        """Return the index of the pair of two operations, if there is one."""
        key = first, second, slot
        if key not in self._pairs:
            pair = pair_of(operations[first], operations[second], slot)
            self._pairs[key] = None if pair is None else self._index(pair)
        return self._pairs[key]

    def _index(self, instruction: Instruction) -> int:
        """Return the index of the code of an instruction in the table."""
        if instruction not in self._indices:
            code = code_of(instruction)
            self._indices[instruction] = len(self.table)
            self.table.append(code)
        return self._indices[instruction]
