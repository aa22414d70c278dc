"""Programs of scalar instructions: a plan of numbers as words; see ``scalar_instructions.py``.

The registers of the plan are slots of the memory of a call.  Building takes a microsecond for each
instruction of the plan, without LLVM.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from symad.ops.base import PerElement
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
    assembler = _Assembler(plan, is_fast)
    assembler.assemble()
    table = np.array([code.address for code in assembler.codes], np.uint64)
    words = np.frombuffer(assembler.words, np.dtype(_WORDS))
    slots, count = plan.registers + 1, assembler.count
    return ScalarProgram(words, table, tuple(assembler.codes), _image(plan), slots, count)


def _image(plan: Plan) -> _Array:
    """Return the slots up to the last constant."""
    last = max((register for register, _ in plan.constants), default=-1)
    image = np.zeros(last + 1, np.uint64)
    for register, constant in plan.constants:
        slot = image[register : register + 1].view(np.uint8)
        content = np.frombuffer(constant.value.tobytes(), np.uint8)
        slot[: content.size] = content
    return image


class _Assembler:
    """Writes the words of a plan.

    Attributes
    ----------
    words : array of words
    codes : list of InstructionCode
        The code for each index.
    count : int
        The number of instructions.
    """

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        self.words = array(_WORDS)
        self.codes: list[InstructionCode] = []
        self.count = 0
        self._plan, self._is_fast = plan, is_fast
        self._operations: list[Instruction] = []
        self._indices: dict[Instruction, int] = {}
        self._found: dict[tuple[Any, ...], int] = {}
        self._pairs: dict[tuple[int, int, int], int | None] = {}
        self._last: tuple[int, int] | None = None  # index and result, if it may become a pair

    def assemble(self) -> None:
        """Write all instructions."""
        plan = self._plan
        dtypes: list[Any] = [None] * (plan.registers + 1)
        for register, node in (*zip(plan.inputs, plan.graph.inputs, strict=True), *plan.constants):
            dtypes[register] = node.dtype
        for step in plan.instructions:
            op, dtype, inputs, output = step.node.op, step.node.dtype, step.inputs, step.output
            assert isinstance(op, PerElement)
            if len(inputs) > 2 and isinstance(op, AddN):
                inputs = self._add_all_but_last(op, inputs, dtypes)
            index = self._index_of(op, dtype, [dtypes[register] for register in inputs])
            self._append(index, output, inputs, step.frees)
            dtypes[output] = dtype
        self.words.append(self._number(End()))

    def _add_all_but_last(
        self, op: AddN, terms: Sequence[int], dtypes: list[Any]
    ) -> tuple[int, int]:
        """Write a sum of many terms, but the last addition; return the operands of that."""
        total, scratch = terms[0], self._plan.registers
        for term in terms[1:-1]:
            dtype = np.result_type(dtypes[total], dtypes[term])
            index = self._index_of(op, dtype, [dtypes[total], dtypes[term]])
            self._append(index, scratch, (total, term), ())
            dtypes[scratch], total = dtype, scratch
        return scratch, terms[-1]

    def _append(self, index: int, output: int, inputs: Sequence[int], frees: Sequence[int]) -> None:
        """Write an instruction, or make a pair of it and the one before."""
        if self._last is not None:
            before, made = self._last
            if made in inputs and inputs.count(made) == 1:
                is_last_use = made == output or made in frees or made == self._plan.registers
                slot = inputs.index(made)
                pair = self._pair(before, index, slot) if is_last_use else None
                if pair is not None:
                    first = self.words[-2:]
                    del self.words[-4:]
                    self.words.extend((pair, output, *first, inputs[1 - slot]))
                    self._last = None
                    return
        self.words.extend((index, output, *inputs))
        self.count += 1
        operation = self._operations[index]
        is_paired = isinstance(operation, Operation) and operation.primitive is not None
        self._last = (index, output) if is_paired else None

    def _index_of(self, op: PerElement, dtype: np.dtype[Any], operands: Sequence[Any]) -> int:
        key = (op, dtype, *operands)
        index = self._found.get(key)
        if index is None:
            operation = Operation(op, tuple(operands), dtype, self._is_fast)
            index = self._found[key] = self._number(operation)
        return index

    def _pair(self, first: int, second: int, slot: int) -> int | None:
        """Return the index of the pair of two operations, if there is one."""
        key = first, second, slot
        if key not in self._pairs:
            inner, outer = self._operations[first], self._operations[second]
            assert isinstance(inner, Operation) and isinstance(outer, Operation)
            pair = pair_of(inner, outer, slot)
            self._pairs[key] = None if pair is None else self._number(pair)
        return self._pairs[key]

    def _number(self, instruction: Instruction) -> int:
        """Return the index of an instruction in the table."""
        if instruction not in self._indices:
            self._indices[instruction] = len(self.codes)
            self.codes.append(code_of(instruction))
            self._operations.append(instruction)
        return self._indices[instruction]
