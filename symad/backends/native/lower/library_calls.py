"""Machine code that calls a function of BLAS or LAPACK for each matrix of a stack."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.fortran import Library
from symad.backends.native.jit import Effort
from symad.backends.native.kernel_call import BufferView, KernelCall, LibraryAddress
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.lower.copies import call_of, outer_words
from symad.graph.node import Node

Argument = int | str | float | BufferView | None
"""A number, a letter, an array, or ``None`` for the status of the function."""


def library_call(
    node: Node,
    library: Library,
    function: str,
    arguments: Sequence[Argument],
    outer: Sequence[tuple[int, ...]] = (),
    work: float = 0,
    fails: bool = False,
) -> KernelCall | None:
    """Return the kernel call for ``function``, or ``None`` if its integers are too small.

    Parameters
    ----------
    node : Node
    library : Library
    function : str
        Its name without the letter for the dtype, which is that of the arrays.
    arguments : sequence of Argument
        A float is a number of that dtype.
    outer : sequence of tuple
        Size and strides, in elements, of the axes of the stack for each array.
    work : float
        The estimated nanoseconds of one call.
    fails : bool
        Whether a failure status of the function is an error.
    """
    integers = [value for value in arguments if isinstance(value, int)]
    if not library.takes(*integers):
        return None
    arrays = [value for value in arguments if isinstance(value, BufferView)]
    dtype = next(view.dtype for view in arrays if view.dtype.kind == "f")
    letters = sum(isinstance(value, str) for value in arguments)
    places = "".join(_place_of(value) for value in arguments)
    code = call_kernel(places, letters, fails)
    words = [_word(value, dtype) for value in arguments]
    address = LibraryAddress.of(("d" if dtype.itemsize == 8 else "s") + function)
    sizes = [view.dtype.itemsize for view in arrays]
    axes = [
        (axis[0], *(size * step for size, step in zip(sizes, axis[1:], strict=True)))
        for axis in outer
    ]
    count = math.prod(axis[0] for axis in outer)
    return call_of(code, [address, *words, *outer_words(axes)], node, count * work)


def _place_of(value: Argument) -> str:
    return "i" if value is None else "a" if isinstance(value, BufferView) else "n"


def _word(value: Argument, dtype: np.dtype[Any]) -> int | BufferView:
    if isinstance(value, str):
        return ord(value)
    if isinstance(value, float):
        raw = struct.pack("d" if dtype.itemsize == 8 else "f", value)
        return int.from_bytes(raw.ljust(8, b"\0"), "little", signed=True)
    return 0 if value is None else value


def call_kernel(places: str, letters: int, fails: bool) -> Kernel:
    """Return the kernel that calls a function.

    Words: its address, its arguments, then the outer axes of the arrays among them, with strides in
    bytes.

    Parameters
    ----------
    places : str
        For each argument, ``n`` for a number or a letter in its word, ``a`` for the address of an
        array, ``i`` for the status.
    letters : int
        The number of letters, whose lengths Fortran expects as final arguments.
    fails : bool
        Whether a status other than 0 is an error.
    """
    name = f"call {places} {letters} {fails}"
    write = lambda writer: _write_call(writer, places, letters, fails)  # noqa: E731
    return kernel(name, write, Effort.QUICK)


def _write_call(writer: KernelWriter, places: str, letters: int, fails: bool) -> None:
    builder = writer.builder
    information = writer.variable(writer.integer(0))
    arguments = [writer.place(k) for k in range(1, len(places) + 1)]
    arrays = [k for k, kind in enumerate(places) if kind == "a"]
    if "i" in places:
        arguments[places.index("i")] = information
    with writer.walk(1 + len(places), len(arrays)) as offsets:
        for k, offset in zip(arrays, offsets, strict=True):
            arguments[k] = writer.element(writer.address(k + 1), offset, writer.byte)
        writer.call(writer.word(0), [*arguments, *[writer.integer(1)] * letters])
        if fails:
            writer.fail(builder.icmp_signed("!=", builder.load(information), writer.integer(0)))
