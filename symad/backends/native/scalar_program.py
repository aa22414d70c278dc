"""Programs of scalar instructions: a plan of numbers as words; see ``scalar_instructions.py``.

The registers of the plan are slots of the memory of a call.  Building takes a microsecond for each
instruction of the plan, without LLVM.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symad.backends.native.scalar_instructions import (
    End,
    Instruction,
    InstructionCode,
    Operation,
    code_of,
    pair_of,
)
from symad.ops.adjoint import AddN
from symad.plan.plan import Plan

_Array = np.ndarray[Any, Any]
_WORDS = "I"


@dataclass(frozen=True, slots=True)
class ScalarProgram:
    """A program that is ready to run.

    Attributes
    ----------
    words : array of uint32
        The instructions.
    table : array of uint64
        The address of the code for each index.
    codes : tuple of InstructionCode
        What is at these addresses.
    image : array of uint64
        The first slots before a call, with the constants.
    slots : int
        The number of slots.
    instructions : int
    """

    words: _Array
    table: _Array
    codes: tuple[InstructionCode, ...]
    image: _Array
    slots: int
    instructions: int


def scalar_program(plan: Plan, is_fast: bool) -> ScalarProgram:
    """Return the program of a plan of numbers.

    Raises
    ------
    NotImplementedError
        If an op has no native code.
    """
    assembler = _Assembler()
    steps = OperationSteps(plan, is_fast)
    for step in steps:
        assembler.append(steps.operations, step)
    return new_program(plan, assembler.finished(), assembler.codes, assembler.count)


def new_program(
    plan: Plan, words: array[int], codes: Sequence[InstructionCode], count: int
) -> ScalarProgram:
    """Return a program of words and the code for each index."""
    table = np.array([code.address for code in codes], np.uint64)
    written = np.frombuffer(words, np.dtype(_WORDS))
    return ScalarProgram(written, table, tuple(codes), _image(plan), slots_of(plan), count)


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


class OperationStep(NamedTuple):
    """An operation on slots.

    Attributes
    ----------
    number : int
        Which operation it is.
    output : int
    inputs, frees : tuple of int
    """

    number: int
    output: int
    inputs: tuple[int, ...]
    frees: tuple[int, ...]


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
        for step in self._plan.instructions:
            op, dtype, inputs, frees = step.node.op, step.node.dtype, step.inputs, step.frees
            if len(inputs) > 2 and isinstance(op, AddN):
                yield from self._all_but_last(op, inputs)
                inputs, frees = (self._scratch, inputs[-1]), (*frees, self._scratch)
            yield self._step(op, dtype, step.output, inputs, frees)

    @property
    def _scratch(self) -> int:
        return self._plan.registers

    def _all_but_last(self, op: AddN, terms: Sequence[int]) -> Iterator[OperationStep]:
        """Yield all additions of a sum but the last."""
        total = terms[0]
        for term in terms[1:-1]:
            dtype = np.result_type(self._dtypes[total], self._dtypes[term])
            yield self._step(op, dtype, self._scratch, (total, term), ())
            total = self._scratch

    def _step(
        self, op: Any, dtype: np.dtype[Any], output: int, inputs: tuple[int, ...], frees: Any
    ) -> OperationStep:
        operands = [self._dtypes[register] for register in inputs]
        key = (op, dtype, *operands)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.operations)
            self.operations.append(Operation(op, tuple(operands), dtype, self._is_fast))
        self._dtypes[output] = dtype
        return OperationStep(number, output, inputs, frees)


class _Assembler:
    """Writes the words of a program.

    Attributes
    ----------
    codes : list of InstructionCode
        The code for each index.
    count : int
        The number of instructions.
    """

    def __init__(self) -> None:
        self.codes: list[InstructionCode] = []
        self.count = 0
        self._words = array(_WORDS)
        self._indices: dict[Instruction, int] = {}
        self._index_of: dict[int, int] = {}
        self._pairs: dict[tuple[int, int, int], int | None] = {}
        self._last: tuple[int, int] | None = None
        """The operation that may become the first of a pair, and its result."""

    def finished(self) -> array[int]:
        """Return the words of the program."""
        self._words.append(self._index(End()))
        return self._words

    def append(self, operations: Sequence[Operation], step: OperationStep) -> None:
        """Write an operation, or make a pair of it and the one before."""
        number, output, inputs, frees = step
        pair = None
        if self._last is not None and inputs.count(self._last[1]) == 1:
            before, made = self._last
            slot = inputs.index(made)
            if made == output or made in frees:
                pair = self._pair(operations, before, number, slot)
        if pair is not None:
            first = self._words[-2:]
            del self._words[-4:]
            self._words.extend((pair, output, *first, inputs[1 - slot]))
            self._last = None
            return
        index = self._index_of.get(number)
        if index is None:
            index = self._index_of[number] = self._index(operations[number])
        self._words.extend((index, output, *inputs))
        self.count += 1
        self._last = (number, output) if operations[number].primitive else None

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
        """Return the index of an instruction in the table."""
        if instruction not in self._indices:
            self._indices[instruction] = len(self.codes)
            self.codes.append(code_of(instruction))
        return self._indices[instruction]
