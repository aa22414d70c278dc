"""Instructions of scalar programs: machine code for each, made of the ops' own definitions.

A program is a sequence of 32-bit words.  An instruction is the index of its code in a table of
addresses, the slot of its result, and the slots of its operands; a slot is eight bytes of the
memory of a call, and holds a value of any dtype.  The code of an instruction loads its operands,
computes, stores the result, and jumps to the code of the next instruction.  This is *threaded
code*: there is no loop around it, and the processor predicts each jump from those before.  The last
instruction returns 0; one that calls Python may return something else before.

The code of an instruction depends only on the op and its dtypes, so it is compiled once and serves
all programs.  Two arithmetic instructions of which the second uses the result of the first can be
one, which loads and stores less.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import CompiledModule, Latest, compile_module
from symad.backends.native.object_writer import ObjectWriter
from symad.backends.native.scalar_builder import (
    LLVMScalarBuilder,
    Scalar,
    element,
    keep_calls,
)
from symad.ops.adjoint import AddN
from symad.ops.base import PerElement
from symad.records import dataclass

SLOT = 8
"""The bytes of a slot."""

_WORD = 4
"""The bytes of a word of a program."""

_ARCHITECTURES = {"x86_64", "amd64", "arm64", "aarch64"}
"""Where LLVM always turns the calls at the end of instructions into jumps."""

_PAIRED = {"add", "subtract", "multiply", "divide"}
"""The primitives of which two can be one instruction."""

_EITHER = {"add", "multiply"}
"""Those among them whose operands may be exchanged."""

_EXPORTED = "instruction"
"""The name of the function in its module."""


@cache
def can_run_programs() -> bool:
    """Return whether instructions can jump to each other on this processor."""
    return platform.machine().lower() in _ARCHITECTURES


@dataclass(frozen=True, slots=True)
class Operation:
    """An op on operands of some dtypes.

    Attributes
    ----------
    op : PerElement
    operands : tuple of dtype
    result : dtype
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """

    op: PerElement
    operands: tuple[np.dtype[Any], ...]
    result: np.dtype[Any]
    is_fast: bool

    @property
    def primitive(self) -> str | None:
        """The arithmetic on two floats of one dtype that this is, if it can be paired."""
        known = "add" if isinstance(self.op, AddN) else type(self.op).element
        is_paired = known in _PAIRED and self.result.char in "fd"
        return str(known) if is_paired and self.operands == (self.result,) * 2 else None

    def compute(self, scalars: LLVMScalarBuilder, *operands: Scalar) -> Scalar:
        """Return the result of the operands."""
        result: Scalar = element(scalars, self.op, operands, self.result)
        return result


@dataclass(frozen=True, slots=True)
class Pair:
    """Two operations, of which the second has the result of the first as an operand.

    Attributes
    ----------
    first, second : str
        Primitives.
    slot : int
        Which operand of the second it is.
    dtype : dtype
    is_fast : bool
    """

    first: str
    second: str
    slot: int
    dtype: np.dtype[Any]
    is_fast: bool

    @property
    def operands(self) -> tuple[np.dtype[Any], ...]:
        """The dtypes of the operands of the first operation, and of the other of the second."""
        return (self.dtype,) * 3

    def compute(self, scalars: LLVMScalarBuilder, x: Scalar, y: Scalar, other: Scalar) -> Scalar:
        """Return the result of the operands."""
        inner = getattr(scalars, self.first)(x, y)
        operands = (other, inner) if self.slot else (inner, other)
        result: Scalar = getattr(scalars, self.second)(*operands)
        return result


@dataclass(frozen=True, slots=True)
class CallPython:
    """Calls an object, of which the table has the address, with the address of the memory.

    Python's lock must be held.
    """


@dataclass(frozen=True, slots=True)
class End:
    """Ends a program."""


Instruction = Operation | Pair | CallPython | End


def pair_of(first: Operation, second: Operation, slot: int) -> Pair | None:
    """Return the instruction for two operations, if there is one."""
    inner, outer = first.primitive, second.primitive
    if inner is None or outer is None or first.result != second.result:
        return None
    return Pair(inner, outer, 0 if outer in _EITHER else slot, first.result, first.is_fast)


@dataclass(frozen=True, slots=True)
class InstructionCode:
    """The machine code of an instruction.

    Attributes
    ----------
    address : int
    module : CompiledModule
        Must live as long as the address is used.
    """

    address: int
    module: CompiledModule


_codes: Latest[InstructionCode] = Latest(1024)


def code_of(instruction: Instruction) -> InstructionCode:
    """Return the machine code of an instruction.

    Raises
    ------
    NotImplementedError
        If there is no code for the op on these dtypes.
    """
    return _codes.get(instruction, lambda: _compile(instruction))


def _compile(instruction: Instruction) -> InstructionCode:
    module = compile_module(_InstructionWriter().write(instruction), _EXPORTED)
    return InstructionCode(module.address(_EXPORTED), module)


class _InstructionWriter(ObjectWriter):
    """Writes an instruction: a function of a program, the memory and the table of addresses."""

    def __init__(self) -> None:
        from symad.backends.native import ir

        super().__init__(ir.Module(_EXPORTED))
        pointers = [self.pointer] * 3
        self._signature = ir.FunctionType(self.int, pointers)
        given = self.begin(_EXPORTED, self.int, *pointers, is_exported=True)
        self._program, self._memory, self._table = given
        keep_calls(self.builder.function)

    def write(self, instruction: Instruction) -> Any:
        """Return the module of an instruction."""
        if isinstance(instruction, End):
            self.builder.ret(self.int(0))
        elif isinstance(instruction, CallPython):
            self._call_python()
            self._go_on(2)
        else:
            scalars = LLVMScalarBuilder(self.builder, 0, instruction.is_fast)
            dtypes = enumerate(instruction.operands, 2)
            operands = [self.number_at(self._slot(word), dtype) for word, dtype in dtypes]
            self.put_number(instruction.compute(scalars, *operands), self._slot(1))
            self._go_on(2 + len(operands))
        return self.module

    def _call_python(self) -> None:
        called = self.builder.load(self._at(self._table, self._word(1)), typ=self.pointer)
        address = self.python("PyLong_FromVoidPtr", self.pointer, self._memory)
        self.return_if(self.is_null(address), self.int(1))
        result = self.python("PyObject_CallOneArg", self.pointer, called, address)
        self.release(address)
        self.return_if(self.is_null(result), self.int(1))
        self.release(result)

    def _go_on(self, words: int) -> None:
        """Jump to the instruction after so many words."""
        program = self.at(self._program, _WORD * words)
        place = self._at(self._table, self._word(words))
        code = self.builder.load(place, typ=self._signature.as_pointer())
        given = [program, self._memory, self._table]
        self.builder.ret(self.builder.call(code, given, tail="musttail"))

    def _slot(self, word: int) -> Any:
        """Return the address of the slot that a word of the instruction gives."""
        return self._at(self._memory, self._word(word))

    def _word(self, word: int) -> Any:
        """Return a word of the program, as an index."""
        return self.builder.zext(self.load(self._program, _WORD * word, self.int), self.word)

    def _at(self, base: Any, index: Any) -> Any:
        """Return the address of an item of eight bytes."""
        return self.builder.gep(base, [index], source_etype=self.word)
