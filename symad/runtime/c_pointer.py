"""Pointers to the machine code of a function, for callers that are not written in Python."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.c_pointer import (
    ARRAYS,
    EXPORTED,
    MOST_ELEMENTS,
    MOST_OPERATIONS,
    NUMBER,
    NUMBER_AND_DATA,
    NUMBERS,
    NUMBERS_AND_DATA,
    has_pointer,
    pointer_code,
)
from symad.errors import ExportError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.passes.fuse import shape_of
from symad.types import TensorType

_KEPT: list[Any] = []
"""Machine code whose address is known outside of Python, which nothing may unload."""

_DOUBLES = ctypes.POINTER(ctypes.c_double)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    NUMBER: (ctypes.c_double,),
    NUMBERS: (ctypes.c_int, _DOUBLES),
    NUMBER_AND_DATA: (ctypes.c_double, ctypes.c_void_p),
    NUMBERS_AND_DATA: (ctypes.c_int, _DOUBLES, ctypes.c_void_p),
}


def address_of(graph: Graph, is_fast: bool) -> int:
    """Return the address of ``void f(const double *x, double *out)``: see ``Function.address``."""
    code = pointer_code(graph, ARRAYS, _count(graph.inputs), is_fast)
    _KEPT.append(code)
    return code.address(EXPORTED)


def low_level_callable(graph: Graph, is_fast: bool, user_data: Sequence[float] | None) -> Any:
    """Return SciPy's object for machine code: see ``Function.low_level_callable``."""
    from scipy import LowLevelCallable

    if len(graph.outputs) != 1 or shape_of(graph.outputs[0]):
        raise ExportError(
            "the function does not return one number, as SciPy's functions need",
            remedy="Use f.address for values and gradients.",
        )
    numbers = None if user_data is None else np.array(user_data, np.float64)
    first = _count(graph.inputs) - (0 if numbers is None else numbers.size)
    if first < 1 or (numbers is not None and numbers.ndim != 1):
        raise ExportError(
            f"user_data is {user_data!r}, and the function takes {_count(graph.inputs)} numbers",
            remedy="Give a list of the numbers for the last inputs.",
        )
    if numbers is None:
        signature = NUMBER if first == 1 else NUMBERS
    else:
        signature = NUMBER_AND_DATA if first == 1 else NUMBERS_AND_DATA
    code = pointer_code(graph, signature, first, is_fast)
    kind = ctypes.CFUNCTYPE(ctypes.c_double, *_ARGUMENTS[signature])
    pointer: Any = kind(code.address(EXPORTED))
    pointer.code, pointer.numbers = code, numbers  # which live as long as the pointer
    if numbers is None:
        return LowLevelCallable(pointer)
    return LowLevelCallable(pointer, ctypes.c_void_p(numbers.ctypes.data))


def require_pointer(graph: Graph, what: str) -> None:
    """Require that an optimised graph is of doubles, and small.

    ``what`` is made of it, for messages.

    Raises
    ------
    ExportError
        If it is not.
    """
    for node in (*graph.inputs, *graph.outputs):
        if not isinstance(node.type, TensorType) or node.type.dtype != np.float64:
            raise ExportError(
                f"{node.label!r} is {node.type}, and a function with a {what} is of float64",
                where=node.site.describe(),
                remedy="Cast it, or write a file with sm.export_c.",
            )
    if not has_pointer(graph):
        raise ExportError(
            f"the function has no {what}: that needs llvmlite, native code for each op, arrays of "
            f"at most {MOST_ELEMENTS} elements, and at most {MOST_OPERATIONS} operations",
            remedy="Write a file with sm.export_c.",
        )


def _count(nodes: Sequence[Node]) -> int:
    return sum(math.prod(shape_of(node)) for node in nodes)
