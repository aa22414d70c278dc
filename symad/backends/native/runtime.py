"""What runs lists of commands, and lets Python call them as it calls its own functions.

The machine code here is the same for all programs: what differs stands in a :class:`Table` of
8-byte words, which :mod:`symad.backends.native.call_table` fills.  Two functions are made:

``run(commands, count)``
    calls one command after another.  It returns 0, or 1 + the index of a command that failed, or
    -1 where a signal handler raised an exception.

``enter(self, arguments, count, names)``
    is a built-in function of CPython (``METH_FASTCALL | METH_KEYWORDS``) whose ``self`` is a tuple
    that begins with the table.  It takes arrays and numbers that are just as expected, makes the
    arrays of the results, fills in the addresses of both, runs the commands, and returns the
    results.  Whatever is not as expected goes, with the same arguments, to a Python function.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, IntFlag, auto
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.builtin import new_builtin

_HEADER = object.__basicsize__
"""Where the content of an object begins; the pointer to its type precedes it."""
_TYPE = _HEADER - 8
_ITEMS = tuple.__basicsize__
"""Where the first item of a tuple stands."""

# The public structs of NumPy's arrays and dtypes.
_DATA, _NDIM, _SIZES, _DTYPE, _FLAGS = (_HEADER + offset for offset in (0, 8, 16, 40, 48))
_SIGNATURE = _HEADER + 8
"""Kind, code, byte order and number of a dtype: eight bytes."""
_IN_ORDER = 0x0001 | 0x0100
"""The flags of an array that is C-contiguous and aligned."""

_NEW_ARRAY = 93
"""The place of ``PyArray_New`` in NumPy's table of C functions, the same in all versions."""


class Head(IntEnum):
    """The words that a table begins with.

    ``LOCK`` is the address of a word that is not 0 while the arena is in use.  After the inputs,
    ``TARGET_COUNT`` more arguments may be given: for each output an array for it, or ``None``.
    When a call has succeeded, ``MARK`` is written to the address ``MARKED``.
    """

    LOCK = 0
    INPUT_COUNT = auto()
    INPUTS = auto()
    TARGET_COUNT = auto()
    OUTPUT_COUNT = auto()
    OUTPUTS = auto()
    COMMAND_COUNT = auto()
    COMMANDS = auto()
    FORM = auto()
    FALLBACK = auto()
    FINISH = auto()
    ARRAY_TYPE = auto()
    TRUE = auto()
    FALSE = auto()
    NONE = auto()
    NO_MEMORY = auto()
    MARK = auto()
    MARKED = auto()


class Form(IntEnum):
    """What a call returns: its one result, a list, a tuple, or what ``FINISH`` makes of a list."""

    SINGLE = 0
    LIST = auto()
    TUPLE = auto()
    FINISHED = auto()


class Input(IntEnum):
    """The words about an argument."""

    SIGNATURE = 0
    NDIM = auto()
    SIZES = auto()
    SCALAR_TYPE = auto()
    PYTHON_TYPE = auto()
    PLACE_COUNT = auto()
    PLACES = auto()


class Output(IntEnum):
    """The words about a result; ``CONTENT`` is where the commands leave a number."""

    MADE = 0
    KIND = auto()
    TYPE_NUMBER = auto()
    NDIM = auto()
    SIZES = auto()
    PLACE_COUNT = auto()
    PLACES = auto()
    MAKER = auto()
    CONTENT = auto()
    ITEM_SIZE = auto()


class Kind(IntEnum):
    """How a result is made: a new array, the array that a callable returns, a scalar, a boolean."""

    ARRAY = 0
    CALLED = auto()
    SCALAR = auto()
    BOOLEAN = auto()


class Step(IntEnum):
    """The words about a command."""

    CODE = 0
    WORDS = auto()
    FLAGS = auto()


class Flag(IntFlag):
    """What else to do: let other threads run from here on; up to here, and look for signals."""

    LEAVE = 1
    RETURN = 2


_PLACE = 2
"""The words about a place that an address is to be written to: its address, what to add."""

Table = np.ndarray[Any, np.dtype[np.int64]]


class Runtime:
    """The machine code, loaded."""

    def __init__(self) -> None:
        self._module = jit.compile_module(_Writer().module(), "runtime")
        self._enter = self._module.address("enter")
        signature = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
        self.run = signature(self._module.address("run"))

    def entry(self, table: Table, *kept: Any) -> Any:
        """Return a built-in function over ``table``, which keeps everything that is passed."""
        return new_builtin("program", self._enter, table, self._module, *kept)


@cache
def runtime() -> Runtime | None:
    """Return the machine code, or ``None`` where objects do not lie as it expects them to."""
    return Runtime() if _can_read_arrays() else None


def signature_of(dtype: np.dtype[Any]) -> int:
    """Return the bytes by which a dtype is recognised."""
    return ctypes.c_int64.from_address(id(dtype) + _SIGNATURE).value


def _can_read_arrays() -> bool:
    """Return whether one thread runs Python at a time, and arrays lie as NumPy publishes them."""
    one_at_a_time = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not one_at_a_time or not jit.available():
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    sample = np.zeros((3, 5), np.float32)
    holder = (sample,)
    place, sizes = id(sample), ctypes.c_int64 * 2
    kind, code, order = map(ord, (sample.dtype.kind, sample.dtype.char, "="))
    recognised = signature_of(sample.dtype).to_bytes(8, sys.byteorder, signed=True)
    return (
        ctypes.c_void_p.from_address(place + _TYPE).value == id(np.ndarray)
        and ctypes.c_void_p.from_address(place + _DATA).value == sample.ctypes.data
        and ctypes.c_int.from_address(place + _NDIM).value == 2
        and list(sizes.from_address(_address_at(place + _SIZES))) == [3, 5]
        and _address_at(place + _DTYPE) == id(sample.dtype)
        and ctypes.c_int.from_address(place + _FLAGS).value & _IN_ORDER == _IN_ORDER
        and recognised[:3] == bytes((kind, code, order))
        and int.from_bytes(recognised[4:], sys.byteorder) == sample.dtype.num
        and ctypes.c_void_p.from_address(id(holder) + _ITEMS).value == place
    )


def _address_at(place: int) -> int:
    return ctypes.c_void_p.from_address(place).value or 0


def _array_function(index: int) -> int:
    """Return the address of a function in NumPy's table of C functions."""
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return _address_at(get(_multiarray_umath._ARRAY_API, None) + 8 * index)


class _Writer:
    """Writes the module.  Words and pointers are 8 bytes each, and kept as pointers or integers."""

    def __init__(self) -> None:
        from llvmlite import ir

        self._ir = ir
        self._module = ir.Module("runtime")
        self._word, self._int, self._pointer = ir.IntType(64), ir.IntType(32), ir.PointerType()
        self._functions: dict[str, Any] = {}

    def module(self) -> Any:
        """Return the finished module."""
        self._write_run()
        self._write_address_of()
        self._write_fill_in()
        self._write_make()
        self._write_box()
        self._write_release()
        self._write_collect()
        self._write_enter()
        return self._module

    # Means of expression

    def _begin(self, name: str, result: Any, *arguments: Any, exported: bool = False) -> Any:
        """Start a function, and return its arguments."""
        signature = self._ir.FunctionType(result, arguments)
        function = self._functions[name] = self._ir.Function(self._module, signature, name)
        if not exported:
            function.linkage = "internal"
        self._builder = self._ir.IRBuilder(function.append_basic_block("entry"))
        return function.args

    def _number(self, value: int) -> Any:
        return self._word(value)

    def _null(self) -> Any:
        return self._pointer(None)

    def _at(self, base: Any, offset: int) -> Any:
        return self._builder.gep(base, [self._number(offset)], source_etype=self._ir.IntType(8))

    def _get(self, base: Any, index: int, type_: Any = None) -> Any:
        """Load a word of a record."""
        return self._builder.load(self._at(base, 8 * index), typ=type_ or self._word)

    def _get_pointer(self, base: Any, index: int) -> Any:
        return self._get(base, index, self._pointer)

    def _set(self, base: Any, index: int, value: Any) -> None:
        self._builder.store(value, self._at(base, 8 * index))

    def _field(self, base: Any, offset: int, type_: Any = None) -> Any:
        """Load a field of an object."""
        return self._builder.load(self._at(base, offset), typ=type_ or self._pointer)

    def _record(self, records: Any, index: Any, words: int) -> Any:
        offset = self._builder.mul(index, self._number(words))
        return self._builder.gep(records, [offset], source_etype=self._word)

    def _equal(self, a: Any, b: Any) -> Any:
        return self._builder.icmp_unsigned("==", a, b)

    def _is_null(self, pointer: Any) -> Any:
        return self._equal(pointer, self._null())

    @contextmanager
    def _each(self, count: Any) -> Iterator[Any]:
        """Repeat what is written inside for each index below ``count``."""
        builder = self._builder
        with builder.goto_entry_block():
            counter = builder.alloca(self._word)
        builder.store(self._number(0), counter)
        head, body, done = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.load(counter, typ=self._word)
        builder.cbranch(builder.icmp_signed("<", index, count), body, done)
        builder.position_at_end(body)
        yield index
        builder.store(builder.add(index, self._number(1)), counter)
        builder.branch(head)
        builder.position_at_end(done)

    def _return_if(self, condition: Any, value: Any) -> None:
        with self._builder.if_then(condition, likely=False):
            self._builder.ret(value)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of this module."""
        return self._builder.call(self._functions[name], arguments)

    def _python(self, name: str, result: Any, *arguments: Any) -> Any:
        """Call a function of CPython."""
        function = getattr(ctypes.pythonapi, name)
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        return self._foreign(name, address, result, *arguments)

    def _foreign(self, name: str, address: int, result: Any, *arguments: Any) -> Any:
        known = self._module.globals.get(name)
        if known is None:
            jit.add_symbol(name, address)
            signature = self._ir.FunctionType(result, [a.type for a in arguments])
            known = self._ir.Function(self._module, signature, name)
        return self._builder.call(known, arguments)

    # Commands

    def _write_run(self) -> None:
        """Call the commands; without Python's lock where they take long."""
        commands, count = self._begin("run", self._word, self._pointer, self._word, exported=True)
        builder = self._builder
        saved = builder.alloca(self._pointer)
        builder.store(self._null(), saved)
        with self._each(count) as index:
            command = self._record(commands, index, len(Step))
            flags = self._get(command, Step.FLAGS)
            with builder.if_then(self._has(flags, Flag.LEAVE), likely=False):
                builder.store(self._python("PyEval_SaveThread", self._pointer), saved)
            kind = self._ir.FunctionType(self._word, [self._pointer]).as_pointer()
            code = builder.inttoptr(self._get(command, Step.CODE), kind)
            status = builder.call(code, [self._get_pointer(command, Step.WORDS)])
            failed = builder.icmp_signed("!=", status, self._number(0))
            ends = builder.or_(failed, self._has(flags, Flag.RETURN))
            thread = builder.load(saved, typ=self._pointer)
            left = builder.not_(self._is_null(thread))
            with builder.if_then(builder.and_(ends, left), likely=False):
                self._python("PyEval_RestoreThread", self._ir.VoidType(), thread)
                builder.store(self._null(), saved)
            self._return_if(failed, builder.add(index, self._number(1)))
            with builder.if_then(self._has(flags, Flag.RETURN), likely=False):
                raised = self._python("PyErr_CheckSignals", self._int)
                self._return_if(builder.icmp_signed("!=", raised, self._int(0)), self._number(-1))
        builder.ret(self._number(0))

    def _has(self, flags: Any, flag: Flag) -> Any:
        chosen = self._builder.and_(flags, self._number(flag))
        return self._builder.icmp_signed("!=", chosen, self._number(0))

    # Arguments

    def _write_address_of(self) -> None:
        """Return where the numbers of an argument stand, or null if it is not as expected."""
        head, record, value = self._begin("address_of", *[self._pointer] * 4)
        builder, type_ = self._builder, self._field(value, _TYPE)
        is_array = self._equal(type_, self._get_pointer(head, Head.ARRAY_TYPE))
        with builder.if_then(is_array, likely=True):
            self._return_if(builder.not_(self._is_as_expected(record, value)), self._null())
            with self._each(self._get(record, Input.NDIM)) as axis:
                given = self._load_word(self._field(value, _SIZES), axis)
                expected = self._load_word(self._get_pointer(record, Input.SIZES), axis)
                self._return_if(builder.icmp_signed("!=", given, expected), self._null())
            builder.ret(self._field(value, _DATA))
        for kind in (Input.SCALAR_TYPE, Input.PYTHON_TYPE):
            is_number = self._equal(type_, self._get_pointer(record, kind))
            with builder.if_then(is_number):
                builder.ret(self._at(value, _HEADER))
        builder.ret(self._null())

    def _is_as_expected(self, record: Any, array: Any) -> Any:
        """Return whether dtype, number of axes and order of the elements are right."""
        builder = self._builder
        dtype = self._field(self._field(array, _DTYPE), _SIGNATURE, self._word)
        flags = builder.and_(self._field(array, _FLAGS, self._int), self._int(_IN_ORDER))
        ndim = builder.sext(self._field(array, _NDIM, self._int), self._word)
        in_order = self._equal(flags, self._int(_IN_ORDER))
        right = builder.and_(in_order, self._equal(dtype, self._get(record, Input.SIGNATURE)))
        return builder.and_(right, self._equal(ndim, self._get(record, Input.NDIM)))

    def _load_word(self, words: Any, index: Any) -> Any:
        place = self._builder.gep(words, [index], source_etype=self._word)
        return self._builder.load(place, typ=self._word)

    def _write_fill_in(self) -> None:
        """Write an address, with what each place adds to it, to all places of a record."""
        places, count, address = self._begin(
            "fill_in", self._ir.VoidType(), self._pointer, self._word, self._word
        )
        with self._each(count) as index:
            place = self._record(places, index, _PLACE)
            moved = self._builder.add(address, self._get(place, 1))
            self._set(self._get_pointer(place, 0), 0, moved)
        self._builder.ret_void()

    # Results

    def _write_make(self) -> None:
        """Return an array for a result, the one given or a new one; null where that failed."""
        head, record, given = self._begin("make", *[self._pointer] * 4)
        builder, null, zero = self._builder, self._null(), self._int(0)
        with builder.if_then(builder.not_(self._equal(given, self._get_pointer(head, Head.NONE)))):
            self._python("Py_IncRef", self._ir.VoidType(), given)
            builder.ret(given)
        is_called = self._equal(self._get(record, Output.KIND), self._number(Kind.CALLED))
        with builder.if_then(is_called, likely=False):
            maker = self._get_pointer(record, Output.MAKER)
            builder.ret(self._python("PyObject_CallNoArgs", self._pointer, maker))
        ndim, number = (
            builder.trunc(self._get(record, word), self._int)
            for word in (Output.NDIM, Output.TYPE_NUMBER)
        )
        type_ = self._get_pointer(head, Head.ARRAY_TYPE)
        sizes = self._get_pointer(record, Output.SIZES)
        arguments = (type_, ndim, sizes, number, null, null, zero, zero, null)
        address = _array_function(_NEW_ARRAY)
        builder.ret(self._foreign("PyArray_New", address, self._pointer, *arguments))

    def _write_box(self) -> None:
        """Return a new NumPy scalar with the content that the commands have left; or null."""
        head, record = self._begin("box", *[self._pointer] * 3)
        builder, content = self._builder, self._get_pointer(record, Output.CONTENT)
        is_boolean = self._equal(self._get(record, Output.KIND), self._number(Kind.BOOLEAN))
        with builder.if_then(is_boolean):
            byte = builder.load(content, typ=self._ir.IntType(8))
            pair = (self._get_pointer(head, word) for word in (Head.FALSE, Head.TRUE))
            made = builder.select(self._equal(byte, byte.type(0)), *pair)
            self._python("Py_IncRef", self._ir.VoidType(), made)
            builder.ret(made)
        type_ = self._get_pointer(record, Output.MAKER)
        made = self._python("PyType_GenericAlloc", self._pointer, type_, self._number(0))
        self._return_if(self._is_null(made), made)
        with self._each(self._get(record, Output.ITEM_SIZE)) as index:
            source, target = (
                builder.gep(base, [index], source_etype=self._ir.IntType(8))
                for base in (content, self._at(made, _HEADER))
            )
            builder.store(builder.load(source, typ=self._ir.IntType(8)), target)
        builder.ret(made)

    def _write_release(self) -> None:
        """Give up all results that were made, and the table; return null."""
        (head,) = self._begin("release", *[self._pointer] * 2)
        with self._each(self._get(head, Head.OUTPUT_COUNT)) as index:
            record = self._record(self._get_pointer(head, Head.OUTPUTS), index, len(Output))
            made = self._get_pointer(record, Output.MADE)
            with self._builder.if_then(self._builder.not_(self._is_null(made))):
                self._python("Py_DecRef", self._ir.VoidType(), made)
            self._set(record, Output.MADE, self._null())
        self._lock(head, 0)
        self._builder.ret(self._null())

    def _write_collect(self) -> None:
        """Return the results as the caller gets them, or null where that failed."""
        (head,) = self._begin("collect", *[self._pointer] * 2)
        builder, form = self._builder, self._get(head, Head.FORM)
        count = self._get(head, Head.OUTPUT_COUNT)
        with builder.if_then(self._equal(form, self._number(Form.SINGLE))):
            self._lock(head, 0)
            builder.ret(self._take(self._get_pointer(head, Head.OUTPUTS)))
        is_tuple = self._equal(form, self._number(Form.TUPLE))
        with builder.if_then(is_tuple):
            made = self._python("PyTuple_New", self._pointer, count)
            self._move_into(head, made, "PyTuple_SetItem")
            builder.ret(made)
        made = self._python("PyList_New", self._pointer, count)
        self._move_into(head, made, "PyList_SetItem")
        self._return_if(self._equal(form, self._number(Form.LIST)), made)
        finish = self._get_pointer(head, Head.FINISH)
        finished = self._python("PyObject_CallOneArg", self._pointer, finish, made)
        self._python("Py_DecRef", self._ir.VoidType(), made)
        builder.ret(finished)

    def _move_into(self, head: Any, made: Any, set_item: str) -> None:
        """Hand the results over to their container."""
        with self._builder.if_then(self._is_null(made), likely=False):
            self._builder.ret(self._call("release", head))
        with self._each(self._get(head, Head.OUTPUT_COUNT)) as index:
            record = self._record(self._get_pointer(head, Head.OUTPUTS), index, len(Output))
            self._python(set_item, self._int, made, index, self._take(record))
        self._lock(head, 0)

    def _take(self, record: Any) -> Any:
        made = self._get_pointer(record, Output.MADE)
        self._set(record, Output.MADE, self._null())
        return made

    # The call

    def _write_enter(self) -> None:
        pointer, word = self._pointer, self._word
        own, values, count, names = self._begin(
            "enter", pointer, pointer, pointer, word, pointer, exported=True
        )
        builder, function = self._builder, self._functions["enter"]
        head = self._field(self._field(own, _ITEMS), _DATA)
        slow = function.append_basic_block("slow")
        fails = function.append_basic_block("fails")
        self._go_unless(self._is_plain_call(head, count, names), slow)
        inputs = self._get(head, Head.INPUT_COUNT)
        with self._each(inputs) as index:
            record = self._record(self._get_pointer(head, Head.INPUTS), index, len(Input))
            value = builder.inttoptr(self._load_word(values, index), pointer)
            address = self._call("address_of", head, record, value)
            self._go_unless(builder.not_(self._is_null(address)), slow)
            self._fill_in(record, Input.PLACES, Input.PLACE_COUNT, address)
        self._lock(head, 1)
        targets = builder.gep(values, [inputs], source_etype=word)
        has_targets = builder.icmp_signed(">", count, inputs)
        with self._outputs(head, (Kind.ARRAY, Kind.CALLED)) as (index, record):
            given = self._target(head, has_targets, targets, index)
            made = self._call("make", head, record, given)
            self._set(record, Output.MADE, made)
            self._go_unless(builder.not_(self._is_null(made)), fails)
            data = self._field(made, _DATA)
            self._fill_in(record, Output.PLACES, Output.PLACE_COUNT, data)
        commands = self._get_pointer(head, Head.COMMANDS)
        status = self._call("run", commands, self._get(head, Head.COMMAND_COUNT))
        self._go_unless(builder.icmp_signed(">=", status, self._number(0)), fails)
        with builder.if_then(builder.icmp_signed(">", status, self._number(0)), likely=False):
            self._call("release", head)
            builder.branch(slow)
        self._finish_enter(head, fails)
        self._write_exits(head, slow, fails, *function.args[1:])

    def _is_plain_call(self, head: Any, count: Any, names: Any) -> Any:
        """Return whether the table is free and there are as many arguments as inputs."""
        builder = self._builder
        inputs, targets = (self._get(head, word) for word in (Head.INPUT_COUNT, Head.TARGET_COUNT))
        with_targets = self._equal(count, builder.add(inputs, targets))
        right_count = builder.or_(self._equal(count, inputs), with_targets)
        lock = self._get(self._get_pointer(head, Head.LOCK), 0)
        is_free = self._equal(lock, self._number(0))
        return builder.and_(builder.and_(right_count, is_free), self._is_null(names))

    def _target(self, head: Any, has_targets: Any, targets: Any, index: Any) -> Any:
        """Return the array that was given for a result, or ``None``."""
        builder = self._builder
        none = builder.gep(head, [self._number(Head.NONE)], source_etype=self._word)
        place = builder.gep(targets, [index], source_etype=self._word)
        return builder.load(builder.select(has_targets, place, none), typ=self._pointer)

    def _lock(self, head: Any, state: int) -> None:
        self._set(self._get_pointer(head, Head.LOCK), 0, self._number(state))

    def _go_unless(self, condition: Any, otherwise: Any) -> None:
        further = self._builder.append_basic_block("further")
        self._builder.cbranch(condition, further, otherwise)
        self._builder.position_at_end(further)

    def _fill_in(self, record: Any, places: int, count: int, address: Any) -> None:
        number = self._builder.ptrtoint(address, self._word)
        self._call("fill_in", self._get_pointer(record, places), self._get(record, count), number)

    @contextmanager
    def _outputs(self, head: Any, kinds: tuple[Kind, Kind]) -> Iterator[tuple[Any, Any]]:
        """Repeat what is written inside for each result of either kind: its number and record."""
        builder = self._builder
        with self._each(self._get(head, Head.OUTPUT_COUNT)) as index:
            record = self._record(self._get_pointer(head, Head.OUTPUTS), index, len(Output))
            kind = self._get(record, Output.KIND)
            first, second = (self._equal(kind, self._number(k)) for k in kinds)
            with builder.if_then(builder.or_(first, second)):
                yield index, record

    def _finish_enter(self, head: Any, fails: Any) -> None:
        """Make the scalars, and return everything."""
        with self._outputs(head, (Kind.SCALAR, Kind.BOOLEAN)) as (_, record):
            made = self._call("box", head, record)
            self._set(record, Output.MADE, made)
            self._go_unless(self._builder.not_(self._is_null(made)), fails)
        mark = self._get_pointer(head, Head.MARKED)
        self._builder.store(self._get(head, Head.MARK), mark)
        self._builder.ret(self._call("collect", head))

    def _write_exits(self, head: Any, slow: Any, fails: Any, *given: Any) -> None:
        builder = self._builder
        builder.position_at_end(slow)
        fallback = self._get_pointer(head, Head.FALLBACK)
        builder.ret(self._python("PyObject_Vectorcall", self._pointer, fallback, *given))
        builder.position_at_end(fails)
        self._call("release", head)
        wanted = self._get_pointer(head, Head.NO_MEMORY)
        is_memory = self._python("PyErr_ExceptionMatches", self._int, wanted)
        with builder.if_then(builder.icmp_signed("!=", is_memory, self._int(0))):
            self._python("PyErr_Clear", self._ir.VoidType())
            builder.branch(slow)
        builder.ret(self._null())
