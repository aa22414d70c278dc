"""Programs on disk: what the pipeline made of a graph, for other processes.

A program is stored under a key of its graph, the types of its inputs and the settings.  Its machine
code is stored under keys of its own, as all machine code is.  A process that finds both runs no
step of the pipeline, and does not import them.  What is not stored, such as the plan, is made when
it is asked for: the pipeline is run then.

What is stored are numbers and names: which kernels are called, with which words and memory.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.backends.base import CompileRequest, Program
from symad.backends.native import disk
from symad.backends.native.cpython import can_count_references
from symad.backends.native.disk import NotStorable
from symad.backends.native.jit import known_module
from symad.backends.native.number_code import form_of_results, keys_of
from symad.backends.native.number_program import NumberProgram
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter
from symad.graph.op import Op
from symad.types import TensorType

_LARGEST_CONSTANT = 1 << 16
"""Graphs with larger constants, in bytes, are not stored."""
_PLAIN = (type(None), bool, int, float, str, bytes)
"""The types of values whose ``repr`` says everything."""


# Keys


def key_of(request: CompileRequest) -> str | None:
    """Return the key of a program, ``None`` if it cannot be stored.

    Names, origins and roles of nodes play no part: they change no program, unless values are
    recomputed where derivatives need them.
    """
    settings, graph = request.settings, request.graph
    is_own = type(settings.backend).__module__ == "symad.backends.native.backend"
    has_plain_keys = all(type(key) in (str, int) for key in keys_of(request.results))
    formulas = disk.formulas_of(node.op for node in graph.nodes if node.op is not None)
    if settings.recompute or not is_own or not has_plain_keys or formulas is None:
        return None
    try:
        parts = _graph_parts(graph), _plain(request.types), form_of_results(request.results)
    except NotStorable:
        return None
    chosen = settings.threads, settings.grade.name, settings.fastmath, can_count_references()
    return disk.lasting_key("program", parts, chosen, formulas)


def _graph_parts(graph: Graph) -> list[Any]:
    """Return everything that decides what is computed, in a form whose ``repr`` says it."""
    index = {node: k for k, node in enumerate(graph.inputs)}
    rows: list[Any] = [[(_plain(n.type), isinstance(n, Parameter)) for n in graph.inputs]]
    for node in graph.nodes:
        if node in index:
            continue
        index[node] = len(index)
        own = _plain(node.op) if node.op is not None else _constant(node)
        rows.append((own, [index[source] for source in node.inputs], _plain(node.type)))
    return [*rows, [index[node] for node in graph.outputs]]


def _constant(node: Node) -> Any:
    if not isinstance(node, Constant) or node.value.nbytes > _LARGEST_CONSTANT:
        raise NotStorable
    return node.value.dtype.str, node.value.shape, node.value.tobytes()


def _plain(value: Any) -> Any:
    """Return a value in a form whose ``repr`` says everything."""
    if isinstance(value, _PLAIN) and type(value) in _PLAIN:
        return value
    if isinstance(value, TensorType):
        return value.dtype.str, value.weak, repr(value)
    if isinstance(value, (tuple, list)):
        return type(value).__name__, list(map(_plain, value))
    if isinstance(value, np.dtype):
        return value.str
    if isinstance(value, np.generic):
        return value.dtype.str, value.tobytes()
    if isinstance(value, Op):
        fields = [_plain(getattr(value, name)) for name in value._fields]
        return type(value).__module__, type(value).__qualname__, fields
    if isinstance(value, Graph):
        return _graph_parts(value)
    raise NotStorable


# Storing


def store(request: CompileRequest, program: Any, memory: int) -> None:
    """Store a program, if that is possible.

    Parameters
    ----------
    request : CompileRequest
    program : NativeProgram or NumberProgram
    memory : int
        The bytes that a call needs, if they are worth checking, else 0.
    """
    key = key_of(request)
    try:
        content = program.packed(request.results) if key else None
    except NotStorable:
        return
    if key and content:
        disk.store(key, marshal.dumps((memory, content)))


# Recalling


def recalled(
    request: CompileRequest, compiled: Callable[[], Program]
) -> tuple[Program, int] | None:
    """Return the program that an earlier process stored, and its ``memory``, if there is one.

    Parameters
    ----------
    request : CompileRequest
    compiled : callable
        Runs the pipeline, and returns the program.
    """
    key = key_of(request)
    stored = disk.load(key) if key is not None else None
    if stored is None:
        return None
    made: Any
    memory, content = marshal.loads(stored)
    if isinstance(content, str):
        made = _numbers(content, request, compiled)
    else:
        from symad.backends.native.recalled_program import recalled_program

        made = recalled_program(content, request.workspace, compiled)
    return None if made is None else (made, memory)


def _numbers(
    module: str, request: CompileRequest, compiled: Callable[[], Program]
) -> NumberProgram | None:
    found = known_module(module, "function")
    if found is None:
        return None
    known = {repr(form_of_results(request.results)): found}
    return NumberProgram(lambda: compiled().plan, request.settings.fastmath, known)
