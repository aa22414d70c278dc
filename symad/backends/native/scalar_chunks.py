"""Chunks: scalar programs of moderate size as straight-line machine code.

LLVM's time for one function grows faster than the function, most of it in passes that find little
to do in arithmetic without loops.  So the operations of a plan are split into chunks of some
hundred, which LLVM translates as they are, in a time proportional to their number.  Inside a chunk,
values are in registers; only those that later chunks need are stored in slots.

An operation of a few instructions is repeated wherever it is needed.  Others are compiled once,
with all passes, and called; so all bits are those of other programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.jit import Effort, Latest, compile_module
from symad.backends.native.scalar_builder import (
    LLVMScalarBuilder,
    Scalar,
    keep_calls,
    llvm_type,
)
from symad.backends.native.scalar_instructions import InstructionCode, Operation
from symad.backends.native.scalar_program import (
    Operations,
    OperationStep,
    ScalarProgram,
    new_program,
)
from symad.plan.plan import Plan
from symad.records import dataclass

_LENGTH = 500
"""The operations of a chunk."""

_MOST_LINES = 3
"""Operations with more instructions are called."""

_TRUTH = "i1"
"""The type of a boolean, which is stored as a byte."""

_WORDS = "I"
_EXPORTED = "instruction"
_NAME = re.compile(r"%(x\d+|\.\d+)")


def chunked_program(plan: Plan, is_fast: bool) -> ScalarProgram:
    """Return the program of a plan of numbers as one instruction.

    Raises
    ------
    NotImplementedError
        If an op has no native code.
    """
    operations = Operations(plan, is_fast)
    writer = _ChunksWriter(operations.kinds)
    for step in operations:
        writer.add(step)
    module = compile_module(writer.text(), "scalar chunks", Effort.NONE)
    whole = InstructionCode(module.address(_EXPORTED), module)
    codes = [whole, *writer.called]
    return new_program(plan, np.zeros(1, _WORDS), codes, len(plan.instructions))


@dataclass(frozen=True, slots=True)
class _Template:
    """An operation in LLVM's text.

    Attributes
    ----------
    operands : tuple of str
        The types of the operands,
    result : str
        and that of the result.
    lines : str
        With ``{0}``, ``{1}``, ... for the operands and ``{r}`` for the beginning of new names;
        empty if the operation has to be called.
    value : str
        The result, in the same form.
    declared : tuple of str
        The functions that the lines call.
    """

    operands: tuple[str, ...]
    result: str
    lines: str | None
    value: str
    declared: tuple[str, ...]


_templates: Latest[_Template] = Latest(512)
_functions: Latest[InstructionCode] = Latest(512)


def _function_of(operation: Operation) -> Any:
    """Return the module of an operation as a function of values."""
    from symad.backends.native import ir

    types = [llvm_type(dtype) for dtype in operation.operands]
    module = ir.Module("operation")
    signature = ir.FunctionType(llvm_type(operation.result), types)
    function = ir.Function(module, signature, "operation")
    keep_calls(function)
    for number, argument in enumerate(function.args):
        argument.text = f"%x{number}"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    scalars = LLVMScalarBuilder(builder, 0, operation.is_fast)
    operands = map(Scalar, function.args, operation.operands)
    builder.ret(operation.compute(scalars, *operands).value)
    return module


def _template_of(operation: Operation) -> _Template:
    module = _function_of(operation)
    (function,) = (f for f in module.functions if not f.is_declaration)
    *lines, last = map(str, function.entry_basic_block.instructions)
    declared = [f for f in module.functions if f.is_declaration]
    is_inline = (
        len(function.blocks) == 1
        and len(lines) <= _MOST_LINES
        and all(f.name.startswith("llvm.") for f in declared)
        and not any("{" in line for line in lines)
    )
    operands = tuple(str(argument.type) for argument in function.args)
    result = str(function.function_type.return_type)
    if not is_inline:
        return _Template(operands, result, None, "", ())
    text = "".join(f"  {_NAME.sub(_placeholder, line)}\n" for line in lines)
    value = _NAME.sub(_placeholder, last.removeprefix(f"ret {result} ").strip())
    return _Template(operands, result, text, value, tuple(str(f).strip() for f in declared))


def _placeholder(name: re.Match[str]) -> str:
    found = name.group(1)
    return f"{{{found[1:]}}}" if found[0] == "x" else f"{{r}}{found}"


def _code_of(operation: Operation) -> InstructionCode:
    """Return the machine code of an operation as a function of values."""

    def make() -> InstructionCode:
        module = compile_module(_function_of(operation), "operation")
        return InstructionCode(module.address("operation"), module)

    return _functions.get(operation, make)


class _ChunksWriter:
    """Writes the module of a plan.

    Attributes
    ----------
    called : list of InstructionCode
        The functions that are called through the table, where their indices start at 1.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.called: list[InstructionCode] = []
        self._indices: dict[int, int] = {}
        self._declared: dict[str, None] = {}
        self._parts: list[str] = []
        self._lines: list[str] = []
        self._values: dict[int, str] = {}
        self._types: dict[int, str] = {}
        self._length = self._names = self._chunks = 0
        self._templates = [self._template(*each) for each in enumerate(operations)]

    def add(self, step: OperationStep) -> None:
        """Write an operation."""
        number, output, inputs, frees = step
        template = self._templates[number]
        operands = [*map(self._value, inputs, template.operands)]
        name = self._new_name()
        if template.lines is None:
            value = self._call(name, template, self._indices[number], operands)
        else:
            self._lines.append(template.lines.format(*operands, r=name))
            value = template.value.format(*operands, r=name)
        for register in frees:
            self._values.pop(register, None)
            self._types.pop(register, None)
        self._values[output], self._types[output] = value, template.result
        self._length += 1
        if self._length == _LENGTH:
            self._end_chunk()

    def text(self) -> str:
        """Return the module."""
        self._end_chunk()
        calls = "".join(
            f"  call void @chunk{k}(ptr %memory, ptr %table)\n" for k in range(self._chunks)
        )
        main = f"define i32 @{_EXPORTED}(ptr %0, ptr %memory, ptr %table) {{\n"
        return "\n".join([*self._declared, *self._parts, f"{main}{calls}  ret i32 0\n}}\n"])

    def _template(self, number: int, operation: Operation) -> _Template:
        template = _templates.get(operation, lambda: _template_of(operation))
        self._declared.update(dict.fromkeys(template.declared))
        if template.lines is None:
            self.called.append(_code_of(operation))
            self._indices[number] = len(self.called)
        return template

    def _new_name(self) -> str:
        self._names += 1
        return f"%v{self._names}"

    def _call(self, name: str, template: _Template, index: int, operands: Sequence[str]) -> str:
        given = ", ".join(map(" ".join, zip(template.operands, operands, strict=True)))
        self._lines.append(
            f"  {name}.p = getelementptr ptr, ptr %table, i64 {index}\n"
            f"  {name}.f = load ptr, ptr {name}.p\n"
            f"  {name} = call {template.result} {name}.f({given})\n"
        )
        return name

    def _slot(self, register: int) -> str:
        """Write and return the address of a slot."""
        name = self._new_name()
        self._lines.append(f"  {name} = getelementptr double, ptr %memory, i64 {register}\n")
        return name

    def _value(self, register: int, type_: str) -> str:
        """Return the value of a register; one of an earlier chunk is loaded."""
        found = self._values.get(register)
        if found is not None:
            return found
        slot, name = self._slot(register), self._new_name()
        if type_ == _TRUTH:
            self._lines.append(f"  {name}.b = load i8, ptr {slot}\n")
            self._lines.append(f"  {name} = trunc i8 {name}.b to i1\n")
        else:
            self._lines.append(f"  {name} = load {type_}, ptr {slot}\n")
        self._values[register] = name
        return name

    def _end_chunk(self) -> None:
        """Store what was computed, and is needed later, behind all that was loaded."""
        for register, type_ in self._types.items():
            value, slot = self._values[register], self._slot(register)
            if type_ == _TRUTH:
                self._lines.append(f"  {slot}.b = zext i1 {value} to i8\n")
                value, type_ = f"{slot}.b", "i8"
            self._lines.append(f"  store {type_} {value}, ptr {slot}\n")
        head = f"define internal void @chunk{self._chunks}(ptr %memory, ptr %table) {{\n"
        self._parts.append(f"{head}{''.join(self._lines)}  ret void\n}}\n")
        self._chunks += 1
        self._length = 0
        self._lines, self._values, self._types = [], {}, {}
