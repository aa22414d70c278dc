"""What decides which machine code is written, and what it took LLVM to find out.

Answers are kept on disk, so that a process whose machine code is there does not load LLVM.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from symad.backends.native import disk
from symad.backends.native.requirement import found_version

_SOURCES = ("ops", "graph", "backends", "plan")
"""The packages that decide which code is written."""
_DESCRIBED = {"vendor_id", "cpu family", "model", "model name", "stepping", "flags"}
"""What is known of a processor, as Linux calls it."""
_FORMULAS = ("element", "scalar", "operand_dtypes")
"""The attributes of an op that say what it computes for one element."""


def lasting_key(*parts: Any) -> str | None:
    """Return a key for what follows from ``parts``, written by these sources for this machine.

    As for Python's own caches, sources are the same if their names, sizes and times of modification
    are.

    Returns
    -------
    str or None
        ``None`` if the ``repr`` of a part, or of the machine, does not say what it is in another
        process.
    """
    text, identity = repr(parts), _identity()
    if not identity or " at 0x" in text or "array(" in text:  # which leaves digits out
        return None
    return hashlib.sha256(f"{identity}\0{text}".encode()).hexdigest()


def remembered(question: Any, ask: Callable[[], str]) -> str:
    """Return the answer to a question, from disk if an earlier process has asked it."""
    key = None if question is None else lasting_key("answer", question)
    found = disk.load(key) if key else None
    if found is not None:
        return found.decode()
    answer = ask()
    if key:
        disk.store(key, answer.encode())
    return answer


def formulas_of(ops: Iterable[Any]) -> Any:
    """Return what ops compute for one element, in a form whose ``repr`` says it.

    A formula may have been replaced in this process.

    Returns
    -------
    list or None
        ``None`` if an op is not one of symad's own, whose sources are known.
    """
    kinds = list(dict.fromkeys(map(type, ops)))
    if not all(kind.__module__.startswith("symad.ops.") for kind in kinds):
        return None
    return [
        (kind, [_code_of(getattr(kind, name, None)) for name in _FORMULAS])
        for kind in kinds
    ]


def _code_of(function: Any) -> Any:
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
