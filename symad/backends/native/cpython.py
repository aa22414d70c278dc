"""Objects of CPython and NumPy: the one place that knows how they lie in memory.

:mod:`symad.backends.native.object_writer` writes machine code that reads and makes them;
:func:`new_builtin` makes a function that Python can call of the code.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import add_symbol, available
from symad.backends.native.memory_pool import counts_references
from symad.records import dataclass

POINTER = ctypes.sizeof(ctypes.c_void_p)

COUNT = 0
"""Where an object has the number of references to it."""
CONTENT = object.__basicsize__
"""Where the number begins in a ``float`` or a NumPy scalar; the pointer to the type precedes it."""
TYPE = CONTENT - POINTER
LENGTH = CONTENT
"""Where a list or a tuple has the number of its items."""
TUPLE_ITEMS = tuple.__basicsize__
"""Where the addresses of a tuple's items begin."""
LIST_ITEMS = LENGTH + POINTER
"""Where the address stands of the addresses of a list's items."""

# The public structs of NumPy's arrays and dtypes.
DATA, NDIM, SIZES, DTYPE, FLAGS = (CONTENT + offset for offset in (0, 8, 16, 40, 48))
SIGNATURE = CONTENT + 8
"""Kind, code, byte order and number of a dtype: eight bytes."""
IN_ORDER = 0x0001 | 0x0100
"""The flags of an array that is C-contiguous and aligned."""
WRITEABLE = 0x0400
NEW_ARRAY = 93
"""The place of ``PyArray_New`` in NumPy's table of C functions, the same in all versions."""

_FASTCALL_WITH_KEYWORDS = 0x0080 | 0x0002


# What is asked beforehand


@cache
def can_read_numbers() -> bool:
    """Return whether numbers lie in objects, and objects in tuples, as they are looked for."""
    if sys.implementation.name != "cpython" or POINTER != 8 or not available():
        return False
    samples: list[Any] = [1.25, *(np.dtype(code).type(1) for code in "?bBhHiIlLqQefd")]
    return all(map(_is_laid_out, samples)) and _are_items_laid_out(samples, float)


def _is_laid_out(sample: Any) -> bool:
    content = np.asarray(sample).tobytes()
    return (
        type(sample).__basicsize__ >= CONTENT + len(content)
        and ctypes.string_at(id(sample) + CONTENT, len(content)) == content
        and _address_at(id(sample) + TYPE) == id(type(sample))
    )


def _are_items_laid_out(*sample: Any) -> bool:
    if list.__basicsize__ != LIST_ITEMS + 2 * POINTER:  # the address, and the room there is
        return False
    items, expected = list(sample), list(map(id, sample))
    places = id(sample) + TUPLE_ITEMS, _address_at(id(items) + LIST_ITEMS)
    addresses = ctypes.c_void_p * len(sample)
    return all(list(addresses.from_address(place)) == expected for place in places)


def can_read_arrays() -> bool:
    """Return whether one thread runs Python at a time, and arrays lie as NumPy publishes them."""
    if not can_read_numbers() or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    sample = np.zeros((3, 5), np.float32)
    place, sizes = id(sample), ctypes.c_int64 * 2
    kind, code, order = map(ord, (sample.dtype.kind, sample.dtype.char, "="))
    recognised = signature_of(sample.dtype).to_bytes(8, sys.byteorder, signed=True)
    return (
        _address_at(place + TYPE) == id(np.ndarray)
        and _address_at(place + DATA) == sample.ctypes.data
        and ctypes.c_int.from_address(place + NDIM).value == 2
        and list(sizes.from_address(_address_at(place + SIZES))) == [3, 5]
        and _address_at(place + DTYPE) == id(sample.dtype)
        and ctypes.c_int.from_address(place + FLAGS).value & IN_ORDER == IN_ORDER
        and recognised[:3] == bytes((kind, code, order))
        and int.from_bytes(recognised[4:], sys.byteorder) == sample.dtype.num
    )


@cache
def can_count_references() -> bool:
    """Return whether an object counts the references to it where native code looks for it."""
    sample = object()
    count = ctypes.c_ssize_t.from_address(id(sample) + COUNT)
    before = count.value
    kept = [sample] * 5
    return count.value == before + len(kept) and counts_references()


def signature_of(dtype: np.dtype[Any]) -> int:
    """Return the bytes by which a dtype is recognised."""
    return ctypes.c_int64.from_address(id(dtype) + SIGNATURE).value


def _address_at(place: int) -> int:
    return ctypes.c_void_p.from_address(place).value or 0


def declare_array_functions() -> None:
    """Make NumPy's functions known, which are not in the table of symbols of this process."""
    add_symbol("PyArray_New", array_function(NEW_ARRAY))


def array_function(index: int) -> int:
    """Return the address of a function in NumPy's table of C functions."""
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return _address_at(get(_multiarray_umath._ARRAY_API, None) + 8 * index)


# Functions that Python can call


def new_builtin(name: str, address: int, *kept: Any) -> Callable[..., Any]:
    """Return machine code as a function (``METH_FASTCALL | METH_KEYWORDS``).

    The machine code is given the tuple ``kept`` as its first argument.  CPython reads the
    definition of a function and its name until the function is freed.  So they are in bytes, which
    the garbage collector never clears, in that same tuple, which is freed after the function.

    Parameters
    ----------
    name : str
    address : int
        Of the machine code.
    *kept
        What must live as long as the function.
    """
    label = name.encode() + b"\0"
    definition = struct.pack("@PPiP", _data_of(label), address, _FASTCALL_WITH_KEYWORDS, 0)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    function: Callable[..., Any] = make(_data_of(definition), (*kept, definition, label), None)
    return function


def _data_of(data: bytes) -> int:
    """Return the address of the first byte."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


# What stands for objects of functions of numbers


class Fallback:
    """Stands for the function that is called in case of unusual arguments."""


@dataclass(frozen=True, slots=True)
class HeldResults:
    """Stands for a list of two results, of no use yet, that a function may give new contents.

    Attributes
    ----------
    kind : type
        That of a result; ``NoneType`` for a number.
    length : int
    """

    kind: type
    length: int

    @classmethod
    def read(cls, text: str) -> HeldResults:
        """Return what has been written as ``str(...)``."""
        kind, length = text.split()
        kinds = {each.__name__: each for each in (list, tuple, type(None))}
        return cls(kinds[kind], int(length))

    def __str__(self) -> str:
        return f"{self.kind.__name__} {self.length}"

    def new(self) -> list[Any]:
        """Return such a list."""
        return [None if self.kind is type(None) else self.kind([None] * self.length)] * 2
