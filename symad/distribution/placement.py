"""Where values are for the workers: by default, in their arguments, or in shared memory.

Shared memory is a folder of files, in memory where there is room, which processes map.  Files need
no bookkeeping besides their names, and writing to them fails with an error, not a crash, where the
space for shared memory is small, as in containers.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from threading import Lock
from typing import Any

import numpy as np

from symad.distribution.chunks import ChunkLayout, cut
from symad.distribution.worker import ChunkProgram
from symad.records import dataclass, replace

_SHARED_MEMORY = "/dev/shm"
SMALL = 1024
"""Arrays up to this many bytes travel with the messages, which is faster."""

Array = np.ndarray[Any, Any]


class Store:
    """Holds values for workers until it is closed.  This class leaves them where they are: workers
    get them as arguments."""

    def put_program(self, program: ChunkProgram) -> Any:
        """Return where workers find a program."""
        return program

    def put_shared(self, values: Sequence[Any]) -> Any:
        """Return where workers find values that all chunks share."""
        return values

    def put_chunks(self, value: Any, axis: int, layout: ChunkLayout) -> list[Any]:
        """Return, for each group, where workers find the chunks of a value."""
        return layout.pieces(value, axis)

    def close(self) -> None:
        """Free what was put."""


@dataclass(frozen=True, slots=True)
class PlacedArray:
    """An array in a file, or a part of it along one axis.

    Attributes
    ----------
    path : str
    dtype : str
    shape : tuple of int
        Of the array in the file.
    part : tuple of int, optional
        The axis, and where the part starts and stops.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    part: tuple[int, int, int] | None = None

    def cut(self, axis: int, start: int, stop: int) -> PlacedArray:
        """Return a part of the array."""
        return replace(self, part=(axis, start, stop))

    def open(self) -> Array:
        """Return the array, which is read-only."""
        array = _mapped(self.path, self.dtype, self.shape)
        return array if self.part is None else cut(array, *self.part)


_open: dict[str, Array] = {}
_lock = Lock()


def _mapped(path: str, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return the array in a file, mapped once; what was removed in the meantime is forgotten."""
    with _lock:
        found = _open.get(path)
        if found is None:
            for gone in [known for known in _open if not os.path.exists(known)]:
                del _open[gone]
            with open(path, "rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            found = _open[path] = np.frombuffer(memory, dtype).reshape(shape)
    return found


class FileStore(Store):
    """A folder of arrays, which is removed when the store is closed or lost, or Python exits.

    Parameters
    ----------
    parent : str, optional
        The folder in which it is made: by default, one in memory if there is one.
    """

    def __init__(self, parent: str | None = None) -> None:
        self._folders = [make_folder(parent)]
        self._numbers = count()
        self._close = weakref.finalize(self, _remove, self._folders, os.getpid())

    def put_program(self, program: ChunkProgram) -> Any:
        """Place the saved function."""
        return replace(program, data=self._place(np.frombuffer(program.data, np.uint8)))

    def put_shared(self, values: Sequence[Any]) -> Any:
        """Place large arrays; the others travel."""
        return [self._place(v) if getattr(v, "nbytes", 0) > SMALL else v for v in values]

    def put_chunks(self, value: Any, axis: int, layout: ChunkLayout) -> list[Any]:
        """Place the array as a whole."""
        return layout.pieces(self._place(value) if value.nbytes else value, axis)

    def _place(self, array: Array) -> PlacedArray:
        try:
            path = self._write(array, self._folders[-1])
        except OSError:  # no room
            if len(self._folders) > 1:
                raise
            self._folders.append(tempfile.mkdtemp(prefix="symad-"))
            path = self._write(array, self._folders[-1])
        return PlacedArray(path, array.dtype.str, array.shape)

    def _write(self, array: Array, folder: str) -> str:
        path = os.path.join(folder, str(next(self._numbers)))
        try:
            with open(path, "wb") as file:
                file.write(np.ascontiguousarray(array).data.cast("B"))
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        return path

    def close(self) -> None:
        """Remove the folder; processes that use an array keep it until they have finished."""
        self._close()


def make_folder(parent: str | None = None) -> str:
    """Return a new folder that only the user can read, in memory if possible."""
    if parent is None and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        parent = _SHARED_MEMORY
    return tempfile.mkdtemp(prefix="symad-", dir=parent)


def _remove(folders: Sequence[str], owner: int) -> None:
    if os.getpid() == owner:  # not in a copy of the process that os.fork has made
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
