"""Memory that calls reuse: fresh pages cost more than filling them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

LARGE = 1 << 16
"""Buffers of at least this many bytes are kept for the next call."""
_LINE = 64
"""The size of a cache line in bytes."""
_PAGE = 4096
"""Buffers start at a page.  Memory from NumPy starts a little behind, and a loop that reads at
places which are a little ahead of where it writes, up to whole pages, does not wait for writes."""
_KEPT = 4
"""The number of buffers of one size that are kept."""
_SIZES = 32
"""The number of sizes for which buffers are kept."""
_STEPS = 32
"""The number of rounded sizes between a power of two and the next."""

_Array = np.ndarray[Any, Any]


class Arena:
    """Memory for the values of one call at a time; the word before it is a flag for its use.

    Attributes
    ----------
    size : int
        In bytes.
    address : int
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = np.empty(size + 2 * _LINE, np.uint8)
        begin: int = self._memory.ctypes.data
        self.address = -(-begin // _LINE) * _LINE + _LINE
        offset = self.address - begin
        self._memory[offset - _LINE : offset] = 0

    @property
    def lock(self) -> int:
        """The address of the word that is not 0 while the memory is in use."""
        return self.address - _LINE


class Memory:
    """The shared memory of the programs of one function: an arena, and buffers for large results.

    A buffer is kept, and reused as soon as nothing else refers to it.  Each use returns a new array
    over its memory.  A reference to that array, or to a view or a buffer of it, is a reference to
    the memory; attributes and weak references of the array end with it.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[tuple[_Array, int]]] = {}
        self._in_use = _references([(np.empty(0), 0)])
        self._arena: Arena | None = None

    def arena(self, size: int) -> Arena:
        """Return an arena of at least ``size`` bytes.

        Programs with an earlier arena keep it.  A new arena is larger by half, so that few are
        made.  Unwritten pages take no memory.

        Raises
        ------
        MemoryError
        """
        if self._arena is None or self._arena.size < size:
            least = 0 if self._arena is None else self._arena.size * 3 // 2
            self._arena = Arena(max(size, least))
        return self._arena

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
        """Return an array with arbitrary contents."""
        size = math.prod(shape) * dtype.itemsize
        if size < LARGE or not counts_references():
            return np.empty(shape, dtype)
        kept = self._buffers(_rounded(size))
        # If another thread checks the same memory, both see a reference, and neither takes it.
        for memory, begin in kept:
            if sys.getrefcount(memory) <= self._in_use:
                # Its base is the memory: references to a view of that would not be counted.
                return np.ndarray(shape, dtype, memory, begin)
        memory = np.empty(_rounded(size) + _PAGE, np.uint8)
        begin = -memory.ctypes.data % _PAGE
        kept.append((memory, begin))
        del kept[:-_KEPT]
        return np.ndarray(shape, dtype, memory, begin)

    def _buffers(self, size: int) -> list[tuple[_Array, int]]:
        """Return the buffers of one size, each with the start of its first page.

        The least recently used size is dropped.

        A thread that runs in between finds none, and makes its own.
        """
        kept = self._kept.pop(size, [])
        self._kept[size] = kept
        if len(self._kept) > _SIZES:
            self._kept.pop(next(iter(self._kept)), None)
        return kept


def _rounded(size: int) -> int:
    """Return the rounded size of a buffer, so that close sizes share buffers."""
    step = (1 << (size - 1).bit_length() - 1) // _STEPS
    return -(-size // step) * step


def _references(kept: list[tuple[_Array, int]]) -> int:
    """Return the number of references to an array that is kept but not in use."""
    for memory, _ in kept:
        return sys.getrefcount(memory)
    return 0


def counts_references() -> bool:
    """Return whether reference counts show if anything else refers to an object.

    They do not in free-threaded builds of Python, even with the GIL enabled: an object has several
    counts there, and some references are not counted.
    """
    if not hasattr(sys, "getrefcount"):
        return False
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)
    if is_gil_enabled is None:  # before Python 3.13
        return True
    import sysconfig

    return bool(is_gil_enabled() and not sysconfig.get_config_var("Py_GIL_DISABLED"))
