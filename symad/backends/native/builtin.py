"""Machine code as built-in functions of CPython."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_FASTCALL_WITH_KEYWORDS = 0x0080 | 0x0002


class MethodDefinition(ctypes.Structure):
    """``PyMethodDef`` of ``METH_FASTCALL | METH_KEYWORDS``; it must live as long as its function.

    Parameters
    ----------
    name : str
    address : int
        Of the machine code.
    """

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]

    def __init__(self, name: str, address: int) -> None:
        super().__init__(name.encode(), address, _FASTCALL_WITH_KEYWORDS, None)


def new_builtin(definition: MethodDefinition, owner: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a function; CPython keeps ``owner`` as long, and hands it on as the first argument."""
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    function: Callable[..., Any] = make(ctypes.byref(definition), owner, None)
    return function
