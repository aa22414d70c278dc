"""Machine code that handles objects of CPython and NumPy.

:class:`ObjectWriter` has what machine code needs to read, make and release objects.
:class:`NumberFunctionWriter` writes a whole built-in function from numbers to numbers.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.cpython import (
    CONTENT,
    COUNT,
    DATA,
    DTYPE,
    FLAGS,
    IN_ORDER,
    LENGTH,
    LIST_ITEMS,
    NDIM,
    NEW_ARRAY,
    POINTER,
    SIGNATURE,
    SIZES,
    TUPLE_ITEMS,
    TYPE,
    WRITEABLE,
    Fallback,
    HeldResults,
    array_function,
    can_count_references,
)
from symad.backends.native.jit import add_symbol
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, keep_calls, llvm_type
from symad.graph.nested import is_nested
from symad.records import dataclass

_INT64, _FLOAT64 = np.dtype("int64"), np.dtype("float64")


class ObjectWriter:
    """Writes functions of a module that read, make and release objects.

    Attributes
    ----------
    module : Module
    builder : IRBuilder
        Appends to the function that was begun last.
    word, int, byte, pointer : LLVM types
    """

    def __init__(self, module: Any) -> None:
        from symad.backends.native import ir

        self._ir = ir
        self.module = module
        self.word, self.int, self.byte = (ir.IntType(bits) for bits in (64, 32, 8))
        self.pointer = ir.PointerType()
        self.builder: Any = None

    def begin(self, name: str, result: Any, *arguments: Any, is_exported: bool = False) -> Any:
        """Start a function, and return its arguments; ``result`` may be ``None``."""
        signature = self._ir.FunctionType(result or self._ir.VoidType(), arguments)
        function = self._ir.Function(self.module, signature, name)
        if not is_exported:
            function.linkage = "internal"
        self.builder = self._ir.IRBuilder(function.append_basic_block("entry"))
        return function.args

    def begin_builtin(self, name: str) -> Any:
        """Start a function that CPython calls: what it keeps, arguments, their number, names."""
        pointer = self.pointer
        return self.begin(name, pointer, pointer, pointer, self.word, pointer, is_exported=True)

    # Memory

    @property
    def null(self) -> Any:
        """The null pointer."""
        return self.pointer(None)

    def at(self, base: Any, offset: int) -> Any:
        """Return an address so many bytes further on."""
        return self.builder.gep(base, [self.word(offset)], source_etype=self.byte)

    def load(self, base: Any, offset: int, type_: Any = None) -> Any:
        """Load a field of an object: a pointer, or what is wanted."""
        return self.builder.load(self.at(base, offset), typ=type_ or self.pointer)

    def store(self, value: Any, base: Any, offset: int) -> None:
        """Set a field of an object."""
        self.builder.store(value, self.at(base, offset))

    def equal(self, a: Any, b: Any) -> Any:
        """Return whether two words or pointers are the same."""
        return self.builder.icmp_unsigned("==", a, b)

    def is_null(self, pointer: Any) -> Any:
        """Return whether a pointer is null."""
        return self.equal(pointer, self.null)

    # Control

    def blocks(self, *names: str) -> list[Any]:
        """Return new blocks of the function."""
        return [self.builder.append_basic_block(name) for name in names]

    def joined(self, block: Any, ways: Sequence[tuple[Any, Any]]) -> Any:
        """Go on in ``block``; return the value that comes from the block that ran before."""
        self.builder.position_at_end(block)
        value = self.builder.phi(ways[0][0].type)
        for way in ways:
            value.add_incoming(*way)
        return value

    def go_unless(self, condition: Any, otherwise: Any) -> None:
        """Go on if ``condition`` holds, else to another block."""
        (further,) = self.blocks("further")
        self.builder.cbranch(condition, further, otherwise)
        self.builder.position_at_end(further)

    def return_if(self, condition: Any, value: Any) -> None:
        """Return a value if ``condition`` holds, which is not likely."""
        with self.builder.if_then(condition, likely=False):
            self.builder.ret(value)

    @contextmanager
    def each(self, count: Any) -> Iterator[Any]:
        """Repeat what is written inside for each index below ``count``."""
        builder = self.builder
        with builder.goto_entry_block():
            counter = builder.alloca(self.word)
        builder.store(self.word(0), counter)
        head, body, done = self.blocks("head", "body", "done")
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.load(counter, typ=self.word)
        builder.cbranch(builder.icmp_signed("<", index, count), body, done)
        builder.position_at_end(body)
        yield index
        builder.store(builder.add(index, self.word(1)), counter)
        builder.branch(head)
        builder.position_at_end(done)

    # Functions

    def python(self, name: str, result: Any, *arguments: Any) -> Any:
        """Call a function of CPython; ``result`` may be ``None``."""
        function = getattr(ctypes.pythonapi, name)
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        return self._foreign(name, address, result or self._ir.VoidType(), *arguments)

    def _foreign(self, name: str, address: int, result: Any, *arguments: Any) -> Any:
        known = self.module.globals.get(name)
        if known is None:
            add_symbol(name, address)
            signature = self._ir.FunctionType(result, [a.type for a in arguments])
            known = self._ir.Function(self.module, signature, name)
        return self.builder.call(known, arguments)

    # Objects

    def hold(self, value: Any) -> None:
        """Refer to an object once more."""
        self.python("Py_IncRef", None, value)

    def release(self, value: Any) -> None:
        """Refer to an object no longer; nothing happens to a null pointer."""
        self.python("Py_DecRef", None, value)

    def type_of(self, value: Any) -> Any:
        """Return the type of an object."""
        return self.load(value, TYPE)

    def is_alone(self, value: Any) -> Any:
        """Return whether there is only one reference to an object."""
        return self.equal(self.load(value, COUNT, self.word), self.word(1))

    def content(self, value: Any) -> Any:
        """Return where the number stands in a ``float`` or a NumPy scalar."""
        return self.at(value, CONTENT)

    def new_scalar(self, type_: Any) -> Any:
        """Return a NumPy scalar without content, or null."""
        return self.python("_PyObject_New", self.pointer, type_)

    def length_of(self, items: Any) -> Any:
        """Return the number of items of a list or a tuple."""
        return self.load(items, LENGTH, self.word)

    def items_of(self, items: Any, is_list: bool = False) -> Any:
        """Return where the addresses of the items of a tuple or a list stand."""
        return self.load(items, LIST_ITEMS) if is_list else self.at(items, TUPLE_ITEMS)

    def slot(self, items: Any, index: Any, is_list: bool) -> Any:
        """Return where the address of an item stands; ``index`` is a number, or a word."""
        first = self.items_of(items, is_list)
        if isinstance(index, int):
            return self.at(first, index * POINTER)
        return self.builder.gep(first, [index], source_etype=self.pointer)

    def item(self, items: Any, index: Any, is_list: bool = False) -> Any:
        """Return an item of a tuple or a list."""
        return self.builder.load(self.slot(items, index, is_list), typ=self.pointer)

    # Numbers

    def number_at(self, place: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the number at an address, where a boolean takes a byte."""
        if dtype.kind != "b":
            return Scalar(self.builder.load(place, typ=llvm_type(dtype)), dtype)
        byte = self.builder.load(place, typ=self.byte)
        return Scalar(self.builder.trunc(byte, llvm_type(dtype)), dtype)

    def put_number(self, number: Scalar, place: Any) -> None:
        """Store a number at an address."""
        is_truth = number.dtype.kind == "b"
        value = self.builder.zext(number.value, self.byte) if is_truth else number.value
        self.builder.store(value, place)

    # Arrays

    def data_of(self, array: Any) -> Any:
        """Return where the elements of an array begin."""
        return self.load(array, DATA)

    def sizes_of(self, array: Any) -> Any:
        """Return where the sizes of the axes of an array stand."""
        return self.load(array, SIZES)

    def ndim_of(self, array: Any) -> Any:
        """Return the number of axes of an array."""
        return self.builder.sext(self.load(array, NDIM, self.int), self.word)

    def signature_of(self, array: Any) -> Any:
        """Return the bytes by which the dtype of an array is recognised."""
        return self.load(self.load(array, DTYPE), SIGNATURE, self.word)

    def is_in_order(self, array: Any, signature: Any, ndim: Any) -> Any:
        """Return whether dtype, number of axes and order of the elements are as given."""
        builder, dtype = self.builder, self.signature_of(array)
        flags = builder.and_(self.load(array, FLAGS, self.int), self.int(IN_ORDER))
        right = builder.and_(self.equal(flags, self.int(IN_ORDER)), self.equal(dtype, signature))
        return builder.and_(right, self.equal(self.ndim_of(array), ndim))

    def make_read_only(self, array: Any) -> None:
        """Let nobody write to an array by itself."""
        flags = self.load(array, FLAGS, self.int)
        self.store(self.builder.and_(flags, self.int(~WRITEABLE)), array, FLAGS)

    def new_array(self, type_: Any, ndim: Any, sizes: Any, number: Any) -> Any:
        """Return an array of the dtype with this number, or null."""
        zero, null = self.int(0), self.null
        narrow = (self.builder.trunc(word, self.int) for word in (ndim, number))
        ndim, number = narrow
        arguments = (type_, ndim, sizes, number, null, null, zero, zero, null)
        address = array_function(NEW_ARRAY)
        return self._foreign("PyArray_New", address, self.pointer, *arguments)


# Functions of numbers


@dataclass(frozen=True, slots=True)
class _NumberReader:
    """How a number of some dtype is read from an object of type ``kind``."""

    kind: type
    read: Callable[[Any], Scalar]


class NumberFunctionWriter(ObjectWriter):
    """Writes a built-in function that takes and returns numbers.

    Whatever is not just as many Python or NumPy numbers as expected goes, unseen, to a Python
    function, so that there is one place that converts and refuses values.

    Making and freeing objects is most of what such a call takes.  So the function holds what it
    returned last and the time before: numbers, or lists or tuples of them.  Before it makes a
    third, it looks whether the older one is alone, without any other reference to it.  If so, that
    is given new contents.

    Attributes
    ----------
    scalars : LLVMScalarBuilder
        Computes in that function.
    """

    def __init__(self, module: Any, name: str, is_fast: bool) -> None:
        super().__init__(module)
        self._own, *self._given = self.begin_builtin(name)
        keep_calls(self.builder.function)
        self.scalars = LLVMScalarBuilder(self.builder, 0, is_fast)
        self._slow, self._failed = self.blocks("slow", "failed")
        self._kept: dict[int, tuple[int, Any]] = {}
        self._root = self.builder.alloca(self.pointer)
        self.builder.store(self.null, self._root)

    def kept(self) -> list[Any]:
        """Return the objects that the function looks for in the tuple that it is given."""
        return [value for _, value in self._kept.values()]

    def _object(self, value: Any) -> Any:
        """Return the address of an object, which is an item of the tuple that comes first.

        So the machine code holds no addresses, and is the same in every process.
        """
        index, _ = self._kept.setdefault(id(value), (len(self._kept), value))
        return self.item(self._own, index)

    def _require(self, condition: Any) -> None:
        self.go_unless(condition, self._slow)

    # Arguments

    def arguments(self, dtypes: Sequence[np.dtype[Any]]) -> list[Scalar]:
        """Read all arguments; where one is not as expected, take the slow way."""
        arguments, count, names = self._given
        right_count = self.equal(count, self.word(len(dtypes)))
        self._require(self.builder.and_(right_count, self.is_null(names)))
        return [
            self._read(self.load(arguments, index * POINTER), dtype)
            for index, dtype in enumerate(dtypes)
        ]

    def _read(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Try one type after another; the first is what is fed most."""
        kind = self.type_of(argument)
        (found,) = self.blocks("found")
        ways = []
        for reader in self._readers(argument, dtype):
            matches = self.equal(kind, self._object(reader.kind))
            read, other = self.blocks(f"is_{reader.kind.__name__}", "other")
            self.builder.cbranch(matches, read, other)
            self.builder.position_at_end(read)
            value = reader.read(argument)
            ways.append((self.scalars.cast(value, dtype).value, self.builder.block))
            self.builder.branch(found)
            self.builder.position_at_end(other)
        self.builder.branch(self._slow)
        return Scalar(self.joined(found, ways), dtype)

    def _readers(self, argument: Any, dtype: np.dtype[Any]) -> list[_NumberReader]:
        """Return how an input is read: all that needs no check of anything but the type."""
        scalar = _NumberReader(dtype.type, lambda a: self._content(a, dtype))
        integer = _NumberReader(int, lambda a: self._integer(a, dtype))
        if dtype.kind == "b":
            return [_NumberReader(bool, self._truth), scalar]
        if dtype.kind in "iu":
            return [integer, scalar]
        if dtype.itemsize == 2:
            return [scalar]
        return [_NumberReader(float, lambda a: self._float(a, dtype)), scalar, integer]

    def _content(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the number in a ``float`` or a NumPy scalar."""
        if dtype.kind == "b":
            byte = self.builder.load(self.content(argument), typ=self.byte)
            return self.scalars.cast(Scalar(byte, np.dtype("uint8")), dtype)
        return Scalar(self.builder.load(self.content(argument), typ=llvm_type(dtype)), dtype)

    def _float(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the value of a ``float``; what is too large for ``dtype`` takes the slow way."""
        value = self._content(argument, _FLOAT64)
        if dtype == _FLOAT64:
            return value
        narrow = self.scalars.cast(value, dtype)
        stays = self.scalars.equal(self._is_infinite(narrow), self._is_infinite(value))
        self._require(stays.value)
        return narrow

    def _is_infinite(self, x: Scalar) -> Scalar:
        infinity = self.scalars.constant(math.inf, x.dtype)
        return self.scalars.equal(self.scalars.call("fabs", x), infinity)

    def _integer(self, argument: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return the value of an ``int`` that ``dtype`` holds; other values take the slow way."""
        overflow = self.builder.alloca(self.int)
        name = "PyLong_AsLongLongAndOverflow"
        value = Scalar(self.python(name, self.word, argument, overflow), _INT64)
        self._require(self.equal(self.builder.load(overflow), self.int(0)))
        if dtype.kind in "iu":
            back = self.scalars.cast(self.scalars.cast(value, dtype), _INT64)
            self._require(self.scalars.equal(value, back).value)
        if dtype.kind == "u":
            zero = self.scalars.constant(0, _INT64)
            self._require(self.scalars.less_equal(zero, value).value)
        return value

    def _truth(self, argument: Any) -> Scalar:
        """Return the value of a Python ``bool``: there are two objects."""
        return Scalar(self.equal(argument, self._object(True)), np.dtype(bool))

    # Results

    def finish(self, template: Any, results: Sequence[Scalar]) -> None:
        """Return the results in the structure of ``template``, and end the function."""
        if can_count_references() and is_recyclable(template, [result.dtype for result in results]):
            self.builder.ret(self._recycled(template, results))
        else:
            self.builder.ret(self._build(template, iter(results), self._set_root))
        self.builder.position_at_end(self._slow)
        call, fallback = "PyObject_Vectorcall", self._object(Fallback)
        self.builder.ret(self.python(call, self.pointer, fallback, *self._given))
        self.builder.position_at_end(self._failed)
        self.release(self.builder.load(self._root, typ=self.pointer))
        self.builder.ret(self.null)

    def _build(self, template: Any, results: Iterator[Scalar], place: Callable[[Any], None]) -> Any:
        """Return a new object for ``template``, which is placed before it is filled."""
        if not is_nested(template):
            made = self._new_number(next(results))
            place(made)
            return made
        made = self._checked(self._new_container(template))
        place(made)
        items = template.items() if isinstance(template, dict) else enumerate(template)
        for key, item in items:
            self._build(item, results, self._placer(template, made, key))
        return made

    def _set_root(self, made: Any) -> None:
        """Let an object be what is released if there is no memory for the rest."""
        self.builder.store(made, self._root)

    def _new_container(self, template: Any) -> Any:
        if isinstance(template, dict):
            return self.python("PyDict_New", self.pointer)
        name = "PyList_New" if isinstance(template, list) else "PyTuple_New"
        return self.python(name, self.pointer, self.word(len(template)))

    def _placer(self, template: Any, container: Any, key: Any) -> Callable[[Any], None]:
        """Return what gives an item to its container, which owns it from then on."""

        def into_sequence(made: Any) -> None:
            self.builder.store(made, self.slot(container, key, isinstance(template, list)))

        def into_dict(made: Any) -> None:
            status = self.python("PyDict_SetItem", self.int, container, self._object(key), made)
            self.release(made)
            self.go_unless(self.equal(status, self.int(0)), self._failed)

        return into_dict if isinstance(template, dict) else into_sequence

    def _new_number(self, result: Scalar) -> Any:
        """Return a new NumPy scalar."""
        if result.dtype.kind == "b":
            pair = self._object(np.True_), self._object(np.False_)
            made = self.builder.select(result.value, *pair)
            self.hold(made)
            return made
        made = self._checked(self.new_scalar(self._object(result.dtype.type)))
        self.builder.store(result.value, self.content(made))
        return made

    def _checked(self, made: Any) -> Any:
        """Fail where there was no memory for a new object."""
        self.go_unless(self.builder.not_(self.is_null(made)), self._failed)
        return made

    # Results that are used again

    def _recycled(self, template: Any, results: Sequence[Scalar]) -> Any:
        """Return what was returned the time before last, with new contents, or a new object."""
        if not is_nested(template):
            held = HeldResults(type(None), 1)
            return self._recycle(held, lambda old: self._number_from(old, results[0]))
        held = HeldResults(tuple if isinstance(template, tuple) else list, len(results))
        return self._recycle(held, lambda old: self._sequence_from(old, template, results))

    def _recycle(self, held: Any, renew: Callable[[Any], Any]) -> Any:
        """Return what ``renew`` makes of what was returned the time before last.

        The function holds two results in a list, the newer first; ``held`` stands for that list.
        """
        both = self._object(held)
        newer, older = (self.slot(both, k, True) for k in (0, 1))
        old = self.builder.load(older, typ=self.pointer)
        made = renew(old)
        self.hold(made)
        # A new list may have set off the garbage collector, and that a call of this function.
        before = self.builder.load(older, typ=self.pointer)
        self.builder.store(self.builder.load(newer, typ=self.pointer), older)
        self.builder.store(made, newer)
        self._release_unless(self.equal(made, before), before)
        return made

    def _sequence_from(self, old: Any, template: Any, results: Sequence[Scalar]) -> Any:
        """Return a list or a tuple if it is alone, or a new one, with these results."""
        is_list = isinstance(template, list)
        again, fresh, done = self.blocks("again", "fresh", "done")
        self.go_unless(self.is_alone(old), fresh)
        self.go_unless(self.equal(self.length_of(old), self.word(len(results))), fresh)
        for k, result in enumerate(results):  # others may run something when they are released
            kind = self.type_of(self.item(old, k, is_list))
            self.go_unless(self.equal(kind, self._object(result.dtype.type)), fresh)
        self.builder.branch(again)
        self.builder.position_at_end(again)
        for k, result in enumerate(results):
            slot = self.slot(old, k, is_list)
            before = self.builder.load(slot, typ=self.pointer)
            made = self._number_from(before, result)
            self.builder.store(made, slot)
            self._release_unless(self.equal(made, before), before)
        ways = [(old, self.builder.block)]
        self.builder.branch(done)
        self.builder.position_at_end(fresh)
        new = self._build(template, iter(results), self._set_root)
        ways.append((new, self.builder.block))
        self.builder.branch(done)
        return self.joined(done, ways)

    def _number_from(self, old: Any, result: Scalar) -> Any:
        """Return a NumPy scalar if it is alone, or a new one, with this result."""
        again, fresh, done = self.blocks("again", "fresh", "done")
        self.go_unless(self.equal(self.type_of(old), self._object(result.dtype.type)), fresh)
        self.go_unless(self.is_alone(old), fresh)
        self.builder.branch(again)
        self.builder.position_at_end(again)
        self.builder.store(result.value, self.content(old))
        self.builder.branch(done)
        self.builder.position_at_end(fresh)
        new = self._new_number(result)
        ways = [(old, again), (new, self.builder.block)]
        self.builder.branch(done)
        return self.joined(done, ways)

    def _release_unless(self, condition: Any, value: Any) -> None:
        release, done = self.blocks("release", "released")
        self.builder.cbranch(condition, done, release)
        self.builder.position_at_end(release)
        self.release(value)
        self.builder.branch(done)
        self.builder.position_at_end(done)


def is_recyclable(template: Any, dtypes: Sequence[np.dtype[Any]]) -> bool:
    """Return whether a function returns a number, or a list or a tuple of numbers.

    Booleans are never made, and tuples that remember their hash stay as they are.
    """
    if not dtypes or any(dtype.kind == "b" for dtype in dtypes):
        return False
    if isinstance(template, tuple) and TUPLE_ITEMS != LENGTH + POINTER:
        return False
    return not isinstance(template, dict) and not (
        is_nested(template) and any(map(is_nested, template))
    )
