"""Machine code with C's calling convention, for numbers and small arrays of doubles.

It has no state and calls nothing of Python's: any thread may call it, without Python's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.backends.native.jit import (
    CompiledModule,
    Effort,
    available,
    compile_module,
    object_file,
)
from symad.backends.native.lower.scalar_bodies import (
    computed_elements,
    elements_of,
    operations_of,
)
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, keep_calls
from symad.graph.graph import Graph
from symad.passes.fuse import shape_of

MOST_ELEMENTS = 64
"""The most elements of an array."""
MOST_OPERATIONS = 5000
"""The most operations on numbers: they are one function, which takes LLVM 0.1 ms for each."""

ARRAYS = "void (const double *, double *)"
NUMBER = "double (double)"
NUMBERS = "double (int, double *)"
NUMBER_AND_DATA = "double (double, void *)"
NUMBERS_AND_DATA = "double (int, double *, void *)"

EXPORTED = "pointer"
_DOUBLE = np.dtype("float64")


def has_pointer(graph: Graph) -> bool:
    """Return whether the code of a graph can be one function of doubles."""
    operations = operations_of(graph, MOST_ELEMENTS) if available() else None
    return operations is not None and operations <= MOST_OPERATIONS


def pointer_code(graph: Graph, signature: str, first: int, is_fast: bool) -> CompiledModule:
    """Return the code of a function with a signature.

    Parameters
    ----------
    graph : Graph
        Of doubles, which :func:`has_pointer`; its inputs are given one after another.
    signature : str
        One of those of this module.  With one that returns a number, the graph has one output.
    first : int
        How many numbers come before those in the user's data.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """
    from symad.backends.native import ir

    double, pointer = ir.DoubleType(), ir.PointerType()
    kinds = {"double": double, "int": ir.IntType(32), "void": ir.VoidType()}
    returned, _, rest = signature.rstrip(")").partition(" (")
    taken = [pointer if "*" in kind else kinds[kind] for kind in rest.split(", ")]
    module = ir.Module(EXPORTED)
    function = ir.Function(module, ir.FunctionType(kinds[returned], taken), EXPORTED)
    keep_calls(function)
    builder = ir.IRBuilder(function.append_basic_block())

    def place(address: Any, k: int) -> Any:
        return builder.gep(address, [ir.IntType(64)(k)], source_etype=double)

    numbers = _numbers(graph, signature, function.args, first,
                       lambda address, k: builder.load(place(address, k), typ=double))  # fmt: skip
    scalars = LLVMScalarBuilder(builder, 0, is_fast)
    made = [x.value for array in computed_elements(scalars, graph, numbers) for x in array.flat]
    if signature == ARRAYS:
        for k, value in enumerate(made):
            builder.store(value, place(function.args[1], k))
        builder.ret_void()
    else:
        builder.ret(made[0])
    return compile_module(module, EXPORTED, Effort.of_arithmetic(is_fast))


def object_code(graph: Graph, name: str, is_fast: bool) -> bytes:
    """Return an object file with the functions that the header of ``sm.export_c`` declares.

    Parameters
    ----------
    graph : Graph
        Of doubles, which :func:`has_pointer`.
    name : str
        Of the function.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """
    from symad.backends.native import ir

    double, pointer, integer = ir.DoubleType(), ir.PointerType(), ir.IntType(64)
    module, status = ir.Module(name), ir.IntType(32)
    function = ir.Function(module, ir.FunctionType(status, [pointer] * 6), name)
    keep_calls(function)
    builder = ir.IRBuilder(function.append_basic_block())

    def places(k: int, argument: Any, node: Any) -> list[Any]:
        """Return the place of each element of the array at the k-th pointer."""
        address = builder.gep(argument, [integer(k)], source_etype=pointer)
        array, count = builder.load(address, typ=pointer), math.prod(shape_of(node))
        return [builder.gep(array, [integer(e)], source_etype=double) for e in range(count)]

    given = {}
    for k, node in enumerate(graph.inputs):
        loads = [builder.load(place, typ=double) for place in places(k, function.args[0], node)]
        given[node] = elements_of([Scalar(x, _DOUBLE) for x in loads], shape_of(node))
    arrays = computed_elements(LLVMScalarBuilder(builder, 0, is_fast), graph, given)
    for k, (node, elements) in enumerate(zip(graph.outputs, arrays, strict=True)):
        for place, x in zip(places(k, function.args[1], node), elements.flat, strict=True):
            builder.store(x.value, place)
    builder.ret(status(0))
    work = ir.Function(module, ir.FunctionType(integer, [pointer]), f"{name}_work")
    ir.IRBuilder(work.append_basic_block()).ret(integer(0))
    return object_file(module, name, Effort.of_arithmetic(is_fast))


def _numbers(
    graph: Graph, signature: str, arguments: Any, first: int, load: Callable[[Any, int], Any]
) -> dict[Any, Any]:
    """Return the elements of each input."""
    count = sum(math.prod(shape_of(node)) for node in graph.inputs)
    if signature in (NUMBER, NUMBER_AND_DATA):
        values = [arguments[0]]
    else:
        source = arguments[0] if signature == ARRAYS else arguments[1]
        values = [load(source, k) for k in range(first)]
    values += [load(arguments[-1], k) for k in range(count - first)]
    rest = iter([Scalar(value, _DOUBLE) for value in values])
    return {
        node: elements_of([next(rest) for _ in range(math.prod(shape_of(node)))], shape_of(node))
        for node in graph.inputs
    }
