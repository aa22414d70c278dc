"""Machine code that is found on disk by the structure of what it computes.

The code of a module is stored under a key made of its text (see ``jit.py``).  To know the text, one
has to write it, which takes milliseconds and needs llvmlite, whose import takes 30.  So a small
file says which key belongs to a structure: that of the same structure, written by the same sources
for the same machine.  As for Python's own caches, sources are the same if their names, sizes and
times of modification are.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from symad.backends.native import disk
from symad.backends.native.jit import CompiledModule, compile_module, key_of, known_module
from symad.backends.native.requirement import found_version

Written = tuple[Any, Sequence[str]]
"""A module of LLVM, and notes of one line each about what its code expects."""

_SOURCES = ("ops", "graph", "backends", "plan")
"""The packages that decide which code is written."""
_DESCRIBED = {"vendor_id", "cpu family", "model", "model name", "stepping", "flags"}
"""What is known of a processor, as Linux calls it."""


def stored_module(
    structure: Any, make: Callable[[], Written], name: str
) -> tuple[CompiledModule, Sequence[str]]:
    """Return the machine code for a structure, and the notes about it.

    Parameters
    ----------
    structure
        Everything that the code depends on, besides sources and machine, in a form whose ``repr``
        says it; ``None`` if there is no such form.
    make : callable
        Writes the module.
    name : str
        For error messages.
    """
    text, identity = repr(structure), _identity()
    is_lasting = bool(structure is not None and identity and " at 0x" not in text)
    key = hashlib.sha256(f"{identity}\0{text}".encode()).hexdigest()
    content = disk.load(key) if is_lasting else None
    if content is not None:
        text_key, *notes = content.decode().split("\n")
        known = known_module(text_key, name)
        if known is not None:
            return known, notes
    module, written = make()
    text = str(module)
    made = compile_module(text, name)
    if is_lasting:
        disk.store(key, "\n".join([key_of(text), *written]).encode())
    return made, written


def code_of(function: Any) -> Any:
    """Return the code of a Python function in a form that has the same ``repr`` in each process."""
    if not isinstance(function, FunctionType):
        return repr(function) if isinstance(function, str) else None
    return _parts_of(function.__code__)


def _parts_of(code: CodeType) -> Any:
    constants = [_parts_of(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_code, code.co_names, constants


@cache
def _identity() -> str:
    """Return what tells apart the machines and sources that make different code.

    It is empty where that is not known.
    """
    try:
        parts = sys.version, np.__version__, found_version(), _machine(), sorted(_sources())
    except OSError:
        return ""
    return repr(parts)


def _machine() -> Any:
    """Return a description of the processor and of the C library.

    Raises
    ------
    OSError
        If the system is not Linux.
    """
    with open("/proc/cpuinfo") as file:
        lines = iter(file.readline, "\n")
        pairs = (line.partition(":") for line in lines)
        found = [(name.strip(), value) for name, _, value in pairs if name.strip() in _DESCRIBED]
    return os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION"), found


def _sources() -> Iterator[tuple[str, int, int]]:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    waiting = [os.path.join(root, package) for package in _SOURCES]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir() and entry.name != "__pycache__":
                    waiting.append(entry.path)
                elif entry.name.endswith(".py"):
                    state = entry.stat()
                    yield entry.path, state.st_mtime_ns, state.st_size
