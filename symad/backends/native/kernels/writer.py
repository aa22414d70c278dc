"""Writes kernels: machine code ``int64 f(int64 *words)`` whose words hold all arguments.

Sizes, strides, numbers and addresses are words of 8 bytes, so the same machine code serves all
sizes.  It is cached by name, and compiled on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.jit import Written, stored_module
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, llvm_type
from symad.records import dataclass

MOST_AXES = 64
"""The largest number of axes of an array."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The machine code of a kernel."""

    module: jit.CompiledModule
    address: int


_kernels: jit.Latest[Kernel] = jit.Latest(1024)


def kernel(
    name: str, write: Callable[[KernelWriter], None], effort: jit.Effort = jit.Effort.LOW
) -> Kernel:
    """Return the kernel called ``name``, written by ``write`` on first use.

    The name must contain everything that the code depends on.
    """

    def written() -> Written:
        writer = KernelWriter()
        write(writer)
        return writer.finish(), ()

    def make() -> Kernel:
        module = stored_module(("kernel", name), written, name, effort)
        return Kernel(module, module.address("kernel"))

    return _kernels.get(name, make)


def stored_type(dtype: np.dtype[Any]) -> Any:
    """Return the LLVM type of a value in memory, where a boolean takes a byte."""
    from symad.backends.native import ir

    return ir.IntType(8) if dtype.kind == "b" else llvm_type(dtype)


class KernelWriter:
    """Appends to the body of a kernel.

    Attributes
    ----------
    builder : IRBuilder
    scalars : LLVMScalarBuilder
    """

    def __init__(self) -> None:
        from symad.backends.native import ir

        self._ir = ir
        self._module = ir.Module("kernel")
        self.byte = ir.IntType(8)
        self._word, self._pointer = ir.IntType(64), ir.PointerType()
        signature = ir.FunctionType(self._word, [self._pointer])
        self._function = ir.Function(self._module, signature, "kernel")
        self._words = self._function.args[0]
        self.builder = ir.IRBuilder(self._function.append_basic_block())
        self.scalars = LLVMScalarBuilder(self.builder)

    def finish(self) -> Any:
        """Return the module of a kernel, which returns success at its end."""
        self.builder.ret(self.integer(0))
        return self._module

    # Words

    def integer(self, value: int) -> Any:
        """Return a 64-bit integer."""
        return self._word(value)

    def place(self, k: Any) -> Any:
        """Return the address of word number ``k``: Fortran takes numbers by address."""
        index = self.integer(k) if isinstance(k, int) else k
        return self.builder.gep(self._words, [index], source_etype=self._word)

    def word(self, k: Any) -> Any:
        """Return word number ``k`` as an integer."""
        return self.builder.load(self.place(k), typ=self._word)

    def words(self, first: int, count: int) -> list[Any]:
        """Return several words as integers."""
        return [self.word(k) for k in range(first, first + count)]

    def address(self, k: int) -> Any:
        """Return word number ``k`` as an address."""
        return self.builder.inttoptr(self.word(k), self._pointer)

    # Memory

    def stored(self, dtype: np.dtype[Any]) -> Any:
        """Return the LLVM type of an element in memory."""
        return stored_type(dtype)

    def scalar(self, place: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the value of a variable."""
        return Scalar(self.builder.load(place), dtype)

    def element(self, pointer: Any, index: Any, type_: Any) -> Any:
        """Return the address of the element number ``index`` of an array of ``type_``."""
        return self.builder.gep(pointer, [index], source_etype=type_)

    def load(self, pointer: Any, index: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return an element of an array."""
        type_ = stored_type(dtype)
        value = self.builder.load(self.element(pointer, index, type_), typ=type_)
        if dtype.kind == "b":
            value = self.builder.icmp_unsigned("!=", value, type_(0))
        return Scalar(value, dtype)

    def store(self, value: Scalar, pointer: Any, index: Any) -> None:
        """Set an element of an array."""
        type_ = stored_type(value.dtype)
        number = value.value
        if value.dtype.kind == "b":
            number = self.builder.zext(number, type_)
        self.builder.store(number, self.element(pointer, index, type_))

    def copy_bytes(self, target: Any, source: Any, count: Any) -> None:
        """Copy memory; the two pieces do not overlap."""
        self._call_intrinsic("llvm.memcpy.p0.p0.i64", target, source, count)

    def clear_bytes(self, target: Any, count: Any) -> None:
        """Set memory to zero."""
        self._call_intrinsic("llvm.memset.p0.i64", target, self.byte(0), count)

    def _call_intrinsic(self, name: str, *arguments: Any) -> None:
        values = [*arguments, self._ir.IntType(1)(0)]  # not volatile
        function = self._module.globals.get(name)
        if function is None:
            types = [value.type for value in values]
            signature = self._ir.FunctionType(self._ir.VoidType(), types)
            function = self._ir.Function(self._module, signature, name)
        self.builder.call(function, values)

    def variable(self, value: Any) -> Any:
        """Return a variable with ``value`` on the stack, which LLVM turns into a register."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(value.type)
        self.builder.store(value, place)
        return place

    def space(self, type_: Any, count: int) -> Any:
        """Return memory on the stack for so many values."""
        with self.builder.goto_entry_block():
            return self.builder.alloca(type_, count)

    # Control

    @contextmanager
    def loop(
        self, start: Any, end: Any, step: Any = 1, is_opaque: bool = False
    ) -> Iterator[Any]:
        """Repeat the enclosed code for each index from ``start`` up to ``end``.

        LLVM does not see how an opaque index changes.  Otherwise it tries many ways to compute the
        addresses that depend on it, which takes most of its time where they are many, and gains
        nothing where each is an array and the index.
        """
        builder = self.builder
        counter = self.variable(start)
        head, body, done = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.load(counter)
        builder.cbranch(builder.icmp_signed("<", index, end), body, done)
        builder.position_at_end(body)
        yield index
        by = self.integer(step) if isinstance(step, int) else step
        following = builder.add(index, by, flags=("nsw",))
        builder.store(self._opaque(following) if is_opaque else following, counter)
        builder.branch(head)
        builder.position_at_end(done)

    def _opaque(self, index: Any) -> Any:
        """Return an integer as if it came from somewhere else: by no instructions in between."""
        signature = self._ir.FunctionType(self._word, [self._word])
        return self.builder.asm(signature, "", "=r,0", [index], side_effect=False)

    def fail(self, condition: Any) -> None:
        """Return the status of a failure if ``condition`` holds; a negative one is an exception."""
        with self.builder.if_then(condition, likely=False):
            self.builder.ret(self.integer(1))

    def minimum(self, a: Any, b: Any) -> Any:
        """Return the smaller of two integers."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def call(self, function: Any, arguments: Sequence[Any], result: Any = None) -> Any:
        """Call the function at the address ``function``, an integer."""
        type_ = self._ir.FunctionType(
            self._ir.VoidType() if result is None else result,
            [argument.type for argument in arguments],
        )
        typed = self.builder.inttoptr(function, type_.as_pointer())
        return self.builder.call(typed, arguments)

    @contextmanager
    def walk(self, first: Any, operands: int) -> Iterator[list[Any]]:
        """Repeat the enclosed code for each index along the outer axes of some operands.

        Word number ``first`` is the number of axes, none of them empty; it is followed by their
        sizes, then by their strides for each operand.  Yields the offsets of the operands.
        """
        builder, zero, one = self.builder, self.integer(0), self.integer(1)
        start = self.integer(first) if isinstance(first, int) else first
        axes, sizes = self.word(start), self.place(builder.add(start, one))
        with builder.goto_entry_block():
            counters = builder.alloca(self._word, MOST_AXES)
        with self.loop(zero, axes) as axis:
            builder.store(zero, self.element(counters, axis, self._word))
        offsets = [self.variable(zero) for _ in range(operands)]
        current = self.variable(axes)
        body, carry, move, done = (builder.append_basic_block() for _ in range(4))
        builder.branch(body)
        builder.position_at_end(body)
        yield [builder.load(offset) for offset in offsets]
        builder.store(axes, current)
        builder.branch(carry)
        builder.position_at_end(carry)
        axis = builder.sub(builder.load(current), one)
        builder.store(axis, current)
        builder.cbranch(builder.icmp_signed("<", axis, zero), done, move)
        builder.position_at_end(move)
        counter = self.element(counters, axis, self._word)
        count = builder.add(builder.load(counter, typ=self._word), one)
        size = builder.load(self.element(sizes, axis, self._word), typ=self._word)
        is_over = builder.icmp_signed("==", count, size)
        builder.store(builder.select(is_over, zero, count), counter)
        for k, offset in enumerate(offsets):
            index = builder.add(builder.mul(axes, self.integer(k + 1)), axis)
            stride = builder.load(self.element(sizes, index, self._word), typ=self._word)
            back = builder.mul(stride, builder.sub(one, size))
            moved = builder.add(builder.load(offset), builder.select(is_over, back, stride))
            builder.store(moved, offset)
        builder.cbranch(is_over, carry, body)
        builder.position_at_end(done)
