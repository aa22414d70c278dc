"""The arguments of machine code: views of memory, and the words of a call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symad.backends.native.fortran import library
from symad.graph.node import Node
from symad.records import dataclass, replace

Shape = tuple[int, ...]
Views = Sequence["BufferView"]


@dataclass(frozen=True, slots=True)
class BufferView:
    """A strided array in a block of memory whose address is known when the code runs.

    Attributes
    ----------
    block : int
        The number of the block: the arena, an input, an output, a constant.
    offset : int
        The position of the first element in the block, in bytes.
    shape : tuple of int
    strides : tuple of int
        In elements, not bytes; 0 along an axis that repeats.
    dtype : dtype
    """

    block: int
    offset: int
    shape: Shape
    strides: Shape
    dtype: np.dtype[Any]

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are contiguous, in C order."""
        if 0 in self.shape:
            return True
        pairs = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return all(size == 1 or stride == expected for size, stride, expected in pairs)

    def reshaped(self, shape: Shape) -> BufferView | None:
        """Return the same elements in another shape, or ``None`` if that needs a copy."""
        if not self.is_contiguous:
            return None
        return replace(self, shape=shape, strides=contiguous_strides(shape))

    def permuted(self, axes: Shape) -> BufferView:
        """Return the view with its axes in another order."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            strides=tuple(self.strides[axis] for axis in axes),
        )

    def broadcast_to(self, shape: Shape) -> BufferView:
        """Return the view repeated along new axes and those of size one."""
        added = len(shape) - len(self.shape)
        strides = tuple(
            stride if size == wanted else 0
            for size, wanted, stride in zip(self.shape, shape[added:], self.strides, strict=True)
        )
        return replace(self, shape=shape, strides=(0,) * added + strides)


class LibraryAddress(int):
    """The address of a function of BLAS or LAPACK, with its name."""

    name: str

    @classmethod
    def of(cls, name: str) -> LibraryAddress:
        """Return the address of a function of the library of this process."""
        found = library()
        assert found is not None
        address = cls(found.find(name))
        address.name = name
        return address


@lru_cache(maxsize=4096)
def contiguous_strides(shape: Shape) -> Shape:
    """Return the strides, in elements, of a C-contiguous array.

    Examples
    --------
    >>> contiguous_strides((2, 1, 5))
    (5, 5, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of machine code, ``int64 code(int64 *words)``, which returns 0 or an error code.

    It may be split into parts: one call for each, with its own arguments.

    Attributes
    ----------
    address : int
    arguments : tuple of int or BufferView
        The arguments of all parts; a view represents the address of its first element.
    module : object
        What must stay loaded: a module, or the kernel of an op that NumPy computes.
    node : Node
        The computed node, for messages and profiles.
    work : float
        The estimated time in nanoseconds.
    over : tuple of pairs of BufferView
        Results, each with an argument that it may overwrite.
    parts : int
    threads : int
        The number of threads that share the parts.
    """

    address: int
    arguments: tuple[int | BufferView, ...]
    module: Any
    node: Node
    work: float
    over: tuple[tuple[BufferView, BufferView], ...] = ()
    parts: int = 1
    threads: int = 1
