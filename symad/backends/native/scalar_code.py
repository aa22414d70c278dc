"""The machine code of a function of numbers, which reads and makes the objects of CPython.

It has the signature of CPython's built-in functions (``METH_FASTCALL | METH_KEYWORDS``): it reads
the numbers out of the argument objects, computes, and puts the results into objects.  Whatever is
not just as many Python or NumPy numbers as expected goes, unseen, to a Python function, so that
there is one place that converts and refuses values.

Making and freeing objects is most of what such a call takes.  So the function holds what it
returned last and the time before: numbers, or lists or tuples of them.  Before it makes a third, it
looks whether the older one is alone, without any other reference to it.  If so, that is given new
contents.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import add_symbol, available
from symad.backends.native.memory_pool import counts_references
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element, llvm_type
from symad.graph.nested import is_nested
from symad.ops.base import PerElement
from symad.plan.plan import Plan
from symad.types import TensorType

_INT64, _FLOAT64 = np.dtype("int64"), np.dtype("float64")

_POINTER = ctypes.sizeof(ctypes.c_void_p)

_HEADER = object.__basicsize__
"""Where the number begins in a ``float`` or a NumPy scalar; the pointer to the type precedes it."""

_TYPE = _HEADER - _POINTER

_ITEMS = tuple.__basicsize__
"""Where the addresses of a tuple's items begin."""

_LIST_ITEMS = _HEADER + _POINTER
"""Where the address stands of the addresses of a list's items: after the number of items."""

_COUNT = 0
"""Where an object has the number of references to it."""

EXPORTED = "call"
"""The name of the function."""


class Fallback:
    """Stands for the function that is called in case of unusual arguments."""


@dataclass(frozen=True, slots=True)
class Held:
    """Stands for a list of two results, of no use yet, that a function may give new contents.

    Attributes
    ----------
    kind : type
        That of a result; ``NoneType`` for a number.
    length : int
    """

    kind: type
    length: int

    def new(self) -> list[Any]:
        """Return such a list."""
        return [None if self.kind is type(None) else self.kind([None] * self.length)] * 2


@cache
def can_read_objects() -> bool:
    """Return whether numbers lie in objects where native code looks for them."""
    if sys.implementation.name != "cpython" or not available():
        return False
    samples: list[Any] = [1.25, *(np.dtype(code).type(1) for code in "?bBhHiIlLqQefd")]
    return all(map(_lies_as_expected, samples)) and _lies_in_sequences(samples, float)


def _lies_as_expected(sample: Any) -> bool:
    content = np.asarray(sample).tobytes()
    return (
        type(sample).__basicsize__ >= _HEADER + len(content)
        and ctypes.string_at(id(sample) + _HEADER, len(content)) == content
        and ctypes.c_void_p.from_address(id(sample) + _TYPE).value == id(type(sample))
    )


def _lies_in_sequences(*sample: Any) -> bool:
    """Return whether a tuple and a list hold the addresses of their items where they should."""
    if list.__basicsize__ != _LIST_ITEMS + 2 * _POINTER:  # the address, and the room there is
        return False
    items, expected = list(sample), list(map(id, sample))
    begin = ctypes.c_void_p.from_address(id(items) + _LIST_ITEMS).value or 0
    addresses = ctypes.c_void_p * len(sample)
    return all(
        list(addresses.from_address(place)) == expected for place in (id(sample) + _ITEMS, begin)
    )


@cache
def _can_count_references() -> bool:
    """Return whether an object counts the references to it where native code looks for it."""
    sample = object()
    count = ctypes.c_ssize_t.from_address(id(sample) + _COUNT)
    before = count.value
    kept = [sample] * 5
    return count.value == before + len(kept) and counts_references()


def _is_recyclable(template: Any, results: Sequence[Scalar]) -> bool:
    """Return whether a function returns a number, or a list or a tuple of numbers.

    Booleans are never made, and tuples that remember their hash stay as they are.
    """
    if not results or any(result.dtype.kind == "b" for result in results):
        return False
    if isinstance(template, tuple) and _ITEMS != _HEADER + _POINTER:
        return False
    return not isinstance(template, dict) and not (
        is_nested(template) and any(map(is_nested, template))
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a number of some dtype is read from an object of type ``kind``."""

    kind: type
    read: Callable[[Any, Any], Scalar]


class NumberCode:
    """Writes the one function of a module."""

    def __init__(self, module: Any, plan: Plan, is_fast: bool) -> None:
        from llvmlite import ir

        self._ir = ir
        self._module = module
        self._plan = plan
        self._pointer = ir.IntType(8).as_pointer()
        self._size = ir.IntType(8 * ctypes.sizeof(ctypes.c_ssize_t))
        arguments = [self._pointer, self._pointer.as_pointer(), self._size, self._pointer]
        signature = ir.FunctionType(self._pointer, arguments)
        self._function = ir.Function(module, signature, EXPORTED)
        self._builder = ir.IRBuilder(self._function.append_basic_block("entry"))
        self._scalars = LLVMScalarBuilder(self._builder, 0, is_fast)
        self._slow = self._function.append_basic_block("slow")
        self._failed = self._function.append_basic_block("failed")
        self._kept: dict[int, tuple[int, Any]] = {}
        self._root = self._builder.alloca(self._pointer)
        self._builder.store(self._pointer(None), self._root)

    def write(self, outputs: Any) -> list[Any]:
        """Write the function; return the objects that it looks for in its first argument."""
        registers: list[Any] = [None] * self._plan.registers
        values = self._read_arguments()
        for register, value in zip(self._plan.inputs, values, strict=True):
            registers[register] = value
        for register, constant in self._plan.constants:
            value = constant.value.item()
            registers[register] = self._scalars.constant(value, constant.value.dtype)
        for step in self._plan.instructions:
            op, type_ = step.node.op, step.node.type
            assert isinstance(op, PerElement) and isinstance(type_, TensorType)
            inputs = [registers[register] for register in step.inputs]
            registers[step.output] = element(self._scalars, op, inputs, type_.dtype)
        results = [registers[register] for register in self._plan.outputs]
        if _can_count_references() and _is_recyclable(outputs, results):
            self._builder.ret(self._recycle(outputs, results))
        else:
            self._builder.ret(self._build(outputs, iter(results), self._set_root))
        self._write_exits()
        return [value for _, value in self._kept.values()]

    # Arguments

    def _read_arguments(self) -> list[Scalar]:
        """Read all arguments; where one is not as expected, take the slow way."""
        _, arguments, count, names = self._function.args
        nodes = self._plan.graph.inputs
        right_count = self._builder.icmp_signed("==", count, self._size(len(nodes)))
        no_names = self._builder.icmp_unsigned("==", names, self._pointer(None))
        self._require(self._builder.and_(right_count, no_names))
        values = []
        for index, node in enumerate(nodes):
            assert isinstance(node.type, TensorType)
            slot = self._builder.gep(arguments, [self._size(index)])
            values.append(self._read(self._builder.load(slot), node.type.dtype))
        return values

    def _read(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Try one type after another; the first is what is fed most."""
        kind = self._builder.load(self._at(argument, _TYPE, self._pointer))
        found = self._function.append_basic_block("found")
        ways = []
        for reader in _readers(dtype):
            matches = self._builder.icmp_unsigned("==", kind, self._object(reader.kind))
            read = self._function.append_basic_block(f"is_{reader.kind.__name__}")
            other = self._function.append_basic_block("other")
            self._builder.cbranch(matches, read, other)
            self._builder.position_at_end(read)
            value = reader.read(self, argument)
            ways.append((self._scalars.cast(value, dtype).value, self._builder.block))
            self._builder.branch(found)
            self._builder.position_at_end(other)
        self._builder.branch(self._slow)
        return Scalar(self._joined(found, ways), dtype)

    def read_content(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the number in a ``float`` or a NumPy scalar."""
        if dtype.kind == "b":
            content = self._builder.load(self._at(argument, _HEADER, self._ir.IntType(8)))
            return self._scalars.cast(Scalar(content, np.dtype("uint8")), dtype)
        return Scalar(self._builder.load(self._at(argument, _HEADER, llvm_type(dtype))), dtype)

    def read_float(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the value of a ``float``; what is too large for ``dtype`` takes the slow way."""
        value = self.read_content(argument, _FLOAT64)
        if dtype == _FLOAT64:
            return value
        narrow = self._scalars.cast(value, dtype)
        stays = self._scalars.equal(self._is_infinite(narrow), self._is_infinite(value))
        self._require(stays.value)
        return narrow

    def _is_infinite(self, x: Scalar) -> Scalar:
        return self._scalars.equal(
            self._scalars.call("fabs", x), self._scalars.constant(math.inf, x.dtype)
        )

    def read_integer(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the value of an ``int`` that ``dtype`` holds; other values take the slow way."""
        overflow = self._builder.alloca(self._ir.IntType(32))
        long = self._ir.IntType(64)
        convert = self._api("PyLong_AsLongLongAndOverflow", long, self._pointer, overflow.type)
        value = Scalar(self._builder.call(convert, [argument, overflow]), _INT64)
        self._require(
            self._builder.icmp_signed("==", self._builder.load(overflow), self._ir.IntType(32)(0))
        )
        if dtype.kind in "iu":
            back = self._scalars.cast(self._scalars.cast(value, dtype), _INT64)
            self._require(self._scalars.equal(value, back).value)
        if dtype.kind == "u":
            zero = self._scalars.constant(0, _INT64)
            self._require(self._scalars.less_equal(zero, value).value)
        return value

    def read_truth(self, argument: Any) -> Scalar:
        """Return the value of a Python ``bool``: there are two objects."""
        is_true = self._builder.icmp_unsigned("==", argument, self._object(True))
        return Scalar(is_true, np.dtype(bool))

    # Results

    def _build(self, template: Any, results: Iterator[Scalar], place: Callable[[Any], None]) -> Any:
        """Return a new object for ``template``, which is placed before it is filled."""
        if not is_nested(template):
            made = self._new_number(next(results))
            place(made)
            return made
        made = self._new_container(template)
        place(made)
        items = template.items() if isinstance(template, dict) else enumerate(template)
        for key, item in items:
            self._build(item, results, self._placer(template, made, key))
        return made

    def _set_root(self, made: Any) -> None:
        """Let an object be what is released if there is no memory for the rest."""
        self._builder.store(made, self._root)

    def _new_container(self, template: Any) -> Any:
        if isinstance(template, dict):
            return self._checked(self._builder.call(self._api("PyDict_New", self._pointer), []))
        name = "PyList_New" if isinstance(template, list) else "PyTuple_New"
        make = self._api(name, self._pointer, self._size)
        return self._checked(self._builder.call(make, [self._size(len(template))]))

    def _placer(self, template: Any, container: Any, key: Any) -> Callable[[Any], None]:
        """Return what gives an item to its container, which owns it from then on."""

        def into_sequence(made: Any) -> None:
            self._builder.store(made, self._slot(container, key, isinstance(template, list)))

        def into_dict(made: Any) -> None:
            three = [self._pointer] * 3
            put = self._api("PyDict_SetItem", self._ir.IntType(32), *three)
            status = self._builder.call(put, [container, self._object(key), made])
            self._release(made)
            self._require(self._builder.icmp_signed("==", status, status.type(0)), self._failed)

        return into_dict if isinstance(template, dict) else into_sequence

    def _new_number(self, result: Scalar) -> Any:
        """Return a new NumPy scalar."""
        dtype = result.dtype
        if dtype.kind == "b":
            pair = self._object(np.True_), self._object(np.False_)
            made = self._builder.select(result.value, *pair)
            self._hold(made)
            return made
        make = self._api("_PyObject_New", self._pointer, self._pointer)
        new = self._builder.call(make, [self._object(dtype.type)])
        made = self._checked(new)
        self._builder.store(result.value, self._at(made, _HEADER, result.value.type))
        return made

    def _checked(self, made: Any) -> Any:
        """Fail where there was no memory for a new object."""
        is_there = self._builder.icmp_unsigned("!=", made, self._pointer(None))
        self._require(is_there, self._failed)
        return made

    def _hold(self, value: Any) -> None:
        self._builder.call(self._api("Py_IncRef", self._ir.VoidType(), self._pointer), [value])

    def _release(self, value: Any) -> None:
        """Refer to an object no longer; nothing happens to a null pointer."""
        self._builder.call(self._api("Py_DecRef", self._ir.VoidType(), self._pointer), [value])

    # Results that are used again

    def _recycle(self, template: Any, results: Sequence[Scalar]) -> Any:
        """Return what was returned the time before last, with new contents, or a new object.

        The function holds two of them in a list, the newer first.
        """
        kind = tuple if isinstance(template, tuple) else list
        held = self._object(Held(kind if is_nested(template) else type(None), len(results)))
        newer, older = (self._slot(held, k) for k in (0, 1))
        old = self._builder.load(older)
        if is_nested(template):
            made = self._sequence_from(old, template, results)
        else:
            made = self._number_from(old, results[0])
        self._hold(made)
        # A new list may have set off the garbage collector, and that a call of this function.
        before = self._builder.load(older)
        self._builder.store(self._builder.load(newer), older)
        self._builder.store(made, newer)
        self._release_unless(self._builder.icmp_unsigned("==", made, before), before)
        return made

    def _sequence_from(self, old: Any, template: Any, results: Sequence[Scalar]) -> Any:
        """Return a list or a tuple if it is alone, or a new one, with these results."""
        is_list = isinstance(template, list)
        kinds = [result.dtype.type for result in results]
        again, fresh, done = self._blocks("again", "fresh", "done")
        self._require(self._is_alone(old), fresh)
        length = self._builder.load(self._at(old, _HEADER, self._size))
        self._require(self._builder.icmp_signed("==", length, self._size(len(results))), fresh)
        for k, kind in enumerate(kinds):  # others may run something when they are released
            item = self._builder.load(self._slot(old, k, is_list))
            self._require(self._is_of(item, kind), fresh)
        self._builder.branch(again)
        self._builder.position_at_end(again)
        for k, result in enumerate(results):
            slot = self._slot(old, k, is_list)
            before = self._builder.load(slot)
            made = self._number_from(before, result)
            self._builder.store(made, slot)
            self._release_unless(self._builder.icmp_unsigned("==", made, before), before)
        ways = [(old, self._builder.block)]
        self._builder.branch(done)
        self._builder.position_at_end(fresh)
        new = self._build(template, iter(results), self._set_root)
        ways.append((new, self._builder.block))
        self._builder.branch(done)
        return self._joined(done, ways)

    def _number_from(self, old: Any, result: Scalar) -> Any:
        """Return a NumPy scalar if it is alone, or a new one, with this result."""
        again, fresh, done = self._blocks("again", "fresh", "done")
        self._require(self._is_of(old, result.dtype.type), fresh)
        self._require(self._is_alone(old), fresh)
        self._builder.branch(again)
        self._builder.position_at_end(again)
        self._builder.store(result.value, self._at(old, _HEADER, result.value.type))
        self._builder.branch(done)
        self._builder.position_at_end(fresh)
        new = self._new_number(result)
        ways = [(old, again), (new, self._builder.block)]
        self._builder.branch(done)
        return self._joined(done, ways)

    def _blocks(self, *names: str) -> list[Any]:
        return [self._function.append_basic_block(name) for name in names]

    def _joined(self, block: Any, ways: Sequence[tuple[Any, Any]]) -> Any:
        """Go on in ``block``; return the value that comes from the block that ran before."""
        self._builder.position_at_end(block)
        value = self._builder.phi(ways[0][0].type)
        for way in ways:
            value.add_incoming(*way)
        return value

    def _release_unless(self, condition: Any, value: Any) -> None:
        release, done = self._blocks("release", "released")
        self._builder.cbranch(condition, done, release)
        self._builder.position_at_end(release)
        self._release(value)
        self._builder.branch(done)
        self._builder.position_at_end(done)

    def _slot(self, items: Any, index: int, is_list: bool = True) -> Any:
        """Return where the address of an item of a list or a tuple stands."""
        if not is_list:
            return self._at(items, _ITEMS + index * _POINTER, self._pointer)
        begin = self._builder.load(self._at(items, _LIST_ITEMS, self._pointer.as_pointer()))
        return self._builder.gep(begin, [self._size(index)])

    def _is_of(self, value: Any, kind: type) -> Any:
        found = self._builder.load(self._at(value, _TYPE, self._pointer))
        return self._builder.icmp_unsigned("==", found, self._object(kind))

    def _is_alone(self, value: Any) -> Any:
        """Return whether there is only one reference to an object."""
        count = self._builder.load(self._at(value, _COUNT, self._size))
        return self._builder.icmp_unsigned("==", count, self._size(1))

    # Ways out

    def _require(self, condition: Any, otherwise: Any = None) -> None:
        """Go on if ``condition`` holds, else to another block: the slow one by default."""
        further = self._function.append_basic_block("further")
        self._builder.cbranch(condition, further, otherwise or self._slow)
        self._builder.position_at_end(further)

    def _write_exits(self) -> None:
        _, arguments, count, names = self._function.args
        self._builder.position_at_end(self._slow)
        types = self._pointer, arguments.type, self._size, self._pointer
        call = self._api("PyObject_Vectorcall", self._pointer, *types)
        fallback = self._object(Fallback)
        self._builder.ret(self._builder.call(call, [fallback, arguments, count, names]))
        self._builder.position_at_end(self._failed)
        self._release(self._builder.load(self._root))
        self._builder.ret(self._pointer(None))

    # Objects and functions of CPython

    def _object(self, value: Any) -> Any:
        """Return the address of an object, which is an item of the tuple that comes first.

        So the machine code holds no addresses, and is the same in every process.
        """
        index, _ = self._kept.setdefault(id(value), (len(self._kept), value))
        place = _ITEMS + index * _POINTER
        return self._builder.load(self._at(self._function.args[0], place, self._pointer))

    def _at(self, base: Any, offset: int, type_: Any) -> Any:
        address = self._builder.gep(base, [self._size(offset)])
        return self._builder.bitcast(address, type_.as_pointer())

    def _api(self, name: str, result: Any, *arguments: Any) -> Any:
        add_symbol(name, _address(getattr(ctypes.pythonapi, name)))
        return self._declare(name, result, *arguments)

    def _declare(self, name: str, result: Any, *arguments: Any) -> Any:
        known = self._module.globals.get(name)
        if known is not None:
            return known
        return self._ir.Function(self._module, self._ir.FunctionType(result, arguments), name)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _readers(dtype: np.dtype[Any]) -> list[_Reader]:
    """Return how values of an input are read: those that need no check of anything but the type."""
    scalar = _Reader(dtype.type, lambda writer, a: writer.read_content(a, dtype))
    integer = _Reader(int, lambda writer, a: writer.read_integer(a, dtype))
    if dtype.kind == "b":
        return [_Reader(bool, lambda writer, a: writer.read_truth(a)), scalar]
    if dtype.kind in "iu":
        return [integer, scalar]
    if dtype.itemsize == 2:
        return [scalar]
    return [_Reader(float, lambda writer, a: writer.read_float(a, dtype)), scalar, integer]
