"""Memory that calls use again, whatever their sizes: fresh pages cost more than filling them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

LARGE = 1 << 16
"""Buffers of so many bytes and more are kept for the next call."""
_LINE = 64
"""How many bytes a line of the cache has."""
_KEPT = 4
"""How many buffers of one size are kept."""
_SIZES = 32
"""Of how many sizes buffers are kept."""
_STEPS = 32
"""Sizes are rounded up to this many between a power of two and the next."""

_Array = np.ndarray[Any, Any]


class Arena:
    """Memory for the values of one call at a time; the word before it tells whether it is in use.

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
    """What the programs of one function have in common: an arena, and buffers for large results.

    A buffer is kept and given out again as soon as nobody else refers to it.  What is given out is
    a new array over that memory each time.  Whoever refers to it, to a view of it or to a buffer of
    it, refers to the memory; its attributes and weak references end with it.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[_Array]] = {}
        self._in_use = _references([np.empty(0)])
        self._arena: Arena | None = None

    def arena(self, size: int) -> Arena:
        """Return an arena of at least ``size`` bytes.

        Programs that have an earlier one keep it: a new one is larger by half, so that few are
        made.  Pages that nobody writes take no memory.

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
        # Another thread that looks at the same memory refers to it, and neither takes it then.
        for memory in kept:
            if sys.getrefcount(memory) <= self._in_use:
                return _over(memory, shape, dtype)
        memory = np.empty(_rounded(size) + _LINE, np.uint8)
        kept.append(memory)
        del kept[:-_KEPT]
        return _over(memory, shape, dtype)

    def _buffers(self, size: int) -> list[_Array]:
        """Return the buffers of one size, and forget the size that has not been used for longest.

        A thread that comes in between finds none, and has its own.
        """
        kept = self._kept.pop(size, [])
        self._kept[size] = kept
        if len(self._kept) > _SIZES:
            self._kept.pop(next(iter(self._kept)), None)
        return kept


def _rounded(size: int) -> int:
    """Return the size of a buffer: close sizes have the same, so that they share buffers."""
    step = (1 << (size - 1).bit_length() - 1) // _STEPS
    return -(-size // step) * step


def _over(memory: _Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Return an array that begins where a line of the cache does.

    It refers to the memory itself: references to a view of it would not be seen.
    """
    begin = -memory.__array_interface__["data"][0] % _LINE
    return np.ndarray(shape, dtype, memory, begin)


def _references(kept: list[_Array]) -> int:
    """Return how many references there are to an array that is kept but not in use."""
    for memory in kept:
        return sys.getrefcount(memory)
    return 0


def counts_references() -> bool:
    """Return whether a count of references tells whether anybody else has an object.

    It does not where Python is built to run threads side by side, not even while they take turns:
    an object has several counts there, and some references are not counted.
    """
    if not hasattr(sys, "getrefcount"):
        return False
    has_lock = getattr(sys, "_is_gil_enabled", None)
    if has_lock is None:  # before Python 3.13
        return True
    import sysconfig

    return has_lock() and not sysconfig.get_config_var("Py_GIL_DISABLED")
