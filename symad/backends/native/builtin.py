"""Machine code as built-in functions of CPython."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

_FASTCALL_WITH_KEYWORDS = 0x0080 | 0x0002


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
    definition = struct.pack("@PPiP", _content(label), address, _FASTCALL_WITH_KEYWORDS, 0)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    function: Callable[..., Any] = make(_content(definition), (*kept, definition, label), None)
    return function


def _content(data: bytes) -> int:
    """Return the address of the first byte."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
