"""Arrays in the memory of generated C."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape, contiguous_strides
from symad.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class Strided:
    """An array in memory: the name of a pointer, and the place of each element behind it.

    Attributes
    ----------
    name : str
    dtype : dtype
    offset : int
        The place of the first element; as strides, in elements.
    shape, strides : tuple of int
    """

    name: str
    dtype: np.dtype[Any]
    offset: int
    shape: Shape
    strides: Shape

    @staticmethod
    def whole(name: str, dtype: np.dtype[Any], shape: Shape) -> Strided:
        """Return an array whose elements are in C order."""
        return Strided(name, dtype, 0, shape, contiguous_strides(shape))

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are in C order, without gaps."""
        pairs = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return 0 in self.shape or all(n == 1 or step == own for n, step, own in pairs)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def see(self, view: Callable[[Any], Any]) -> Strided:
        """Return the elements that a view of NumPy's takes, such as ``lambda a: a[1:]``.

        The array that it sees has one element in memory, which it does not read.
        """
        element = np.empty(1, np.uint8)
        array = np.lib.stride_tricks.as_strided(element, self.shape, self.strides)
        seen = view(array)
        places = [a.__array_interface__["data"][0] for a in (seen, element)]
        return replace(
            self, offset=self.offset + places[0] - places[1], shape=seen.shape, strides=seen.strides
        )

    def broadcast_to(self, shape: Shape) -> Strided:
        """Return the array repeated along new axes and those of size 1."""
        return self.see(lambda a: np.broadcast_to(a, shape))

    def reshaped(self, shape: Shape) -> Strided:
        """Return the elements of a contiguous array in another shape."""
        assert self.is_contiguous, "other arrays are copied first"
        return replace(self, shape=shape, strides=contiguous_strides(shape))

    def at(self, indices: Sequence[str], *more: str) -> str:
        """Return the element at some indices; ``more`` are added to its place."""
        steps = zip(indices, self.strides, strict=True)
        terms = [_times(i, step) for i, step in steps if step and i != "0"]
        if self.offset or not (terms or more):
            terms.append(str(self.offset))
        return f"{self.name}[{' + '.join([*terms, *more])}]"

    def pointer(self) -> str:
        """Return a pointer to the first element."""
        return f"{self.name} + {self.offset}" if self.offset else self.name


def _times(index: str, step: int) -> str:
    if step == 1:
        return index
    return f"({index}) * {step}" if " " in index else f"{index} * {step}"
