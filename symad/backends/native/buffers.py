"""Memory for large arrays, used again: fresh pages cost more than filling them."""

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

_Array = np.ndarray[Any, Any]


class Buffers:
    """Memory that is kept and given out again as soon as nobody else refers to it.

    What is given out is a new array over that memory each time.  Whoever refers to it, to a view of
    it or to a buffer of it, refers to the memory; its attributes and weak references end with it.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[_Array]] = {}
        self._in_use = _references([np.empty(0)])

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
        """Return an array with arbitrary contents."""
        size = math.prod(shape) * dtype.itemsize
        if size < LARGE or not _counts_references():
            return np.empty(shape, dtype)
        kept = self._kept.setdefault(size, [])
        # Another thread that looks at the same memory refers to it, and neither takes it then.
        for memory in kept:
            if sys.getrefcount(memory) <= self._in_use:
                return _over(memory, shape, dtype)
        memory = np.empty(size + _LINE, np.uint8)
        kept.append(memory)
        del kept[:-_KEPT]
        return _over(memory, shape, dtype)


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


def _counts_references() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)() and hasattr(sys, "getrefcount")
