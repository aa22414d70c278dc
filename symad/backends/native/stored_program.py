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
from contextlib import suppress
from typing import Any

import symad.disk as disk
from symad.backends.base import CompileRequest, Made, Program
from symad.backends.native.cpython import can_count_references
from symad.backends.native.jit import known_module
from symad.backends.native.number_code import form_of_results, keys_of
from symad.backends.native.number_program import NumberProgram
from symad.graph.description import NotStorable, described


def stored_program(request: CompileRequest, make: Callable[[], Made]) -> Made:
    """Return a program that an earlier process stored, or make one and store it."""
    key = key_of(request)
    stored = disk.load(key) if key is not None else None
    if stored is not None:
        found = _recalled(*marshal.loads(stored), request, lambda: make()[0])
        if found is not None:
            return found
    made: Any = make()
    if key is not None:
        with suppress(NotStorable):
            content = made[0].packed(request.results)
            if content is not None:
                disk.store(key, marshal.dumps((made[1], content)))
    return made


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
        parts = described(graph), described(request.types), form_of_results(request.results)
    except NotStorable:
        return None
    chosen = settings.threads, settings.grade.name, settings.fastmath, can_count_references()
    return disk.lasting_key("program", parts, chosen, formulas)


def _recalled(
    memory: int, content: Any, request: CompileRequest, compiled: Callable[[], Program]
) -> Made | None:
    made: Any
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
