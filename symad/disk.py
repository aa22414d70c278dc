"""The disk cache of machine code, and of what it took LLVM to find out, for other processes.

Its keys say what code depends on: what it computes, the sources that write it, and the machine.

The environment variable ``SYMAD_CACHE_DIR`` names the folder; an empty value turns the cache off.
By default the folder is ``symad`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

The contents of the files are executed.  Therefore the folder and the files must belong to the user,
and nobody else may be able to write to them or to replace the folder.  These checks apply to the
opened folder and files, not to their names, which may refer to something else a moment later.  If
the system does not support this, as on Windows, there is no cache.  Files are written atomically,
with a digest of their key and their contents, so processes may share the folder.  Invalid files are
ignored.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

try:
    from _blake2 import blake2b  # the module hashlib would load OpenSSL, which takes milliseconds
except ImportError:
    from hashlib import blake2b

_MOST_BYTES = 1 << 28
"""When a process first adds to a folder with more files, the older half is removed."""
_LARGEST = 1 << 26
"""Larger files, in bytes, are not read."""
_SOURCES = {"ops", "graph", "backends", "plan", "passes", "runtime", "functions"}
"""The packages that decide which code is written, besides the modules beside them."""
_DESCRIBED = {"vendor_id", "cpu family", "model", "model name", "stepping", "flags"}
"""What is known of a processor, as Linux calls it."""
_FORMULAS = ("element", "scalar", "operand_dtypes")
"""The attributes of an op that say what it computes for one element."""

_SUFFIX = ".code"
_OURS = re.compile(r"[0-9a-f]{64}\.code\b")
"""The names of files that this cache writes."""
_DIGEST = 32
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_PARENTS = 64
_RELATIVE = {os.open, os.stat, os.rename, os.unlink}
"""The functions that must work relative to an open folder."""

_pruned: set[tuple[int, int]] = set()
_serial = itertools.count()


def is_on() -> bool:
    """Return whether there is a folder for the cache."""
    return _path() is not None


def load(key: str) -> bytes | None:
    """Return the code that was stored under ``key``, if it exists and is intact."""
    with suppress(OSError), PrivateFolder.opened() as folder:
        content = folder.read(key + _SUFFIX)
        digest, code = content[:_DIGEST], content[_DIGEST:]
        return code if _digest(key, code) == digest else None
    return None


def store(key: str, code: bytes) -> None:
    """Store ``code`` under ``key``; do nothing if the folder is not writable."""
    with suppress(OSError), PrivateFolder.opened(is_made=True) as folder:
        if folder.identity not in _pruned:
            _pruned.add(folder.identity)
            folder.prune()
        folder.write(key + _SUFFIX, _digest(key, code) + code)


def _digest(key: str, code: bytes) -> bytes:
    digest: bytes = hash_of(key.encode(), code).digest()
    return digest


def hash_of(*parts: bytes) -> Any:
    """Return a hash of 32 bytes."""
    return blake2b(b"\0".join(parts), digest_size=_DIGEST)


# What is stored


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
    key: str = hash_of(identity.encode(), text.encode()).hexdigest()
    return key


def remembered(question: Any, ask: Callable[[], str]) -> str:
    """Return the answer to a question, from disk if an earlier process has asked it."""
    key = None if question is None else lasting_key("answer", question)
    found = load(key) if key else None
    if found is not None:
        return found.decode()
    answer = ask()
    if key:
        store(key, answer.encode())
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
    """Return a digest of what tells apart the machines and sources that make different code.

    It is empty where that is not known.
    """
    try:
        parts = sys.version, np.__version__, _compiler(), _machine(), sorted(_sources())
    except OSError:
        return ""
    digest: str = hash_of(repr(parts).encode()).hexdigest()
    return digest


def _compiler() -> Any:
    """Return what tells versions of llvmlite apart, without importing it."""
    from importlib.util import find_spec

    spec = find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return None
    state = os.stat(spec.origin)
    return spec.origin, state.st_size, state.st_mtime_ns


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
    root = os.path.dirname(os.path.abspath(__file__))
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    is_source = folder != root or entry.name in _SOURCES
                    if is_source and entry.name != "__pycache__":
                        waiting.append(entry.path)
                elif entry.name.endswith(".py"):
                    state = entry.stat()
                    yield entry.path, state.st_mtime_ns, state.st_size


class PrivateFolder:
    """An open folder into which only this user can put files.

    Parameters
    ----------
    descriptor : int
        The descriptor of the folder.

    Raises
    ------
    PermissionError
        If another user could add files to the folder, or replace it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        state = os.fstat(descriptor)
        if state.st_uid != os.geteuid() or state.st_mode & _OTHERS_WRITE:
            raise PermissionError("others can write to the folder")
        self.identity = state.st_dev, state.st_ino
        self._check_parents()

    @classmethod
    @contextmanager
    def opened(cls, is_made: bool = False) -> Iterator[PrivateFolder]:
        """Yield the folder of the cache; with ``is_made``, create it if it does not exist.

        Raises
        ------
        OSError
            If there is no usable folder.
        """
        path = _path()
        if path is None or not _RELATIVE <= os.supports_dir_fd:
            raise FileNotFoundError("there is no cache")
        if is_made:
            os.makedirs(path, mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def _check_parents(self) -> None:
        """Raise an error if somebody else could rename the folder, or one above it."""
        below = os.fstat(self._descriptor)
        for height in range(1, _MOST_PARENTS):
            state = os.stat("/".join([".."] * height), dir_fd=self._descriptor)
            if os.path.samestat(state, below):
                return  # the root
            is_open = state.st_mode & _OTHERS_WRITE and not state.st_mode & stat.S_ISVTX
            if is_open or state.st_uid not in (0, os.geteuid()):
                raise PermissionError("others can replace the folder")
            below = state
        raise PermissionError("the folder is nested too deeply")

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        OSError
            If it does not exist, or is not a file of this user alone.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._descriptor)
        with open(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            is_ours = state.st_uid == os.geteuid() and not state.st_mode & _OTHERS_WRITE
            if not stat.S_ISREG(state.st_mode) or not is_ours or state.st_size > _LARGEST:
                raise PermissionError(f"{name} is not a file of this user alone")
            return file.read(state.st_size)

    def write(self, name: str, content: bytes) -> None:
        """Write a file under a temporary name, then rename it."""
        draft = f"{name}.{os.getpid()}.{next(_serial)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(draft, flags, 0o600, dir_fd=self._descriptor), "wb") as file:
            try:
                file.write(content)
                file.flush()
                here = self._descriptor
                os.replace(draft, name, src_dir_fd=here, dst_dir_fd=here)
            except BaseException:
                self._remove(draft)
                raise

    def prune(self) -> None:
        """Remove the older half of the files if there are too many."""
        files = []
        with os.scandir(self._descriptor) as entries:
            for entry in entries:
                if _OURS.match(entry.name):  # including temporary files of processes that died
                    state = entry.stat(follow_symlinks=False)
                    files.append((state.st_mtime, state.st_size, entry.name))
        if sum(size for _, size, _ in files) <= _MOST_BYTES:
            return
        files.sort()
        for _, _, name in files[: (len(files) + 1) // 2]:
            self._remove(name)

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)


def _path() -> str | None:
    chosen = os.environ.get("SYMAD_CACHE_DIR")
    if chosen is not None:
        return os.path.abspath(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    # Relative paths are to be ignored: https://specifications.freedesktop.org/basedir-spec
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "symad") if os.path.isabs(base) else None
