"""Instructions of scalar programs: machine code for each, made of the ops' own definitions.

A program is a sequence of 32-bit words.  An instruction is the index of its code in a table of
addresses, the slot of its result, and the slots of its operands; a slot is eight bytes of the
memory of a call, and holds a value of any dtype.  The code of an instruction loads its operands,
computes, stores the result, and jumps to the code of the next instruction.  This is *threaded
code*: there is no loop around it, and the processor predicts each jump from those before.

The code of an instruction depends only on the op and its dtypes, so it is compiled once and serves
all programs.  Two arithmetic instructions of which the second uses the result of the first can be
one, which loads and stores less.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import CompiledModule, Latest, compile_module
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element, llvm_type
from symad.ops.adjoint import AddN
from symad.ops.base import PerElement

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
class End:
    """The instruction that ends a program."""


Instruction = Operation | Pair | End


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


class _InstructionWriter:
    """Writes an instruction: a function of a program, the memory and the table of addresses."""

    def __init__(self) -> None:
        from llvmlite import ir

        module, pointer = ir.Module(_EXPORTED), ir.PointerType()
        self._ir = ir
        self._index, self._byte = ir.IntType(32), ir.IntType(8)
        self._signature = ir.FunctionType(ir.VoidType(), [pointer] * 3)
        function = ir.Function(module, self._signature, _EXPORTED)
        self._builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._program, self._memory, self._table = function.args

    def write(self, instruction: Instruction) -> Any:
        """Return the module of an instruction."""
        if not isinstance(instruction, End):
            scalars = LLVMScalarBuilder(self._builder, 0, instruction.is_fast)
            operands = [self._load(2 + k, dtype) for k, dtype in enumerate(instruction.operands)]
            self._store(1, instruction.compute(scalars, *operands))
            self._go_on(2 + len(operands))
        self._builder.ret_void()
        return self._builder.module

    def _go_on(self, words: int) -> None:
        """Jump to the next instruction."""
        program = self._word(words)
        place = self._at(self._table, self._builder.load(program, typ=self._index))
        code = self._builder.load(place, typ=self._signature.as_pointer())
        self._builder.call(code, [program, self._memory, self._table], tail="musttail")

    def _load(self, word: int, dtype: np.dtype[Any]) -> Scalar:
        slot = self._slot(word)
        if dtype.kind != "b":
            return Scalar(self._builder.load(slot, typ=llvm_type(dtype)), dtype)
        byte = self._builder.load(slot, typ=self._byte)
        return Scalar(self._builder.trunc(byte, llvm_type(dtype)), dtype)

    def _store(self, word: int, result: Scalar) -> None:
        value = result.value
        if result.dtype.kind == "b":
            value = self._builder.zext(value, self._byte)
        self._builder.store(value, self._slot(word))

    def _slot(self, word: int) -> Any:
        """Return the address of the slot that a word of the instruction gives."""
        return self._at(self._memory, self._builder.load(self._word(word), typ=self._index))

    def _word(self, word: int) -> Any:
        offset = self._ir.IntType(64)(_WORD * word)
        return self._builder.gep(self._program, [offset], source_etype=self._byte)

    def _at(self, base: Any, index: Any) -> Any:
        """Return the address of an item of eight bytes."""
        wide = self._builder.zext(index, self._ir.IntType(64))
        return self._builder.gep(base, [wide], source_etype=self._ir.DoubleType())
