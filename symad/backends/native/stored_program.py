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
from typing import Any, cast

import symad.disk as disk
from symad.backends.base import CompileRequest, Made, Program
from symad.backends.native.cpython import can_count_references
from symad.backends.native.jit import known_module
from symad.graph.description import NotStorable, described
from symad.graph.nested import map_leaves


def stored_program(request: CompileRequest, make: Callable[[], Made]) -> Made:
    """Return a program that an earlier process stored, or make one and store it."""
    key = key_of(request)
    stored = disk.load(key) if key is not None else None
    if stored is not None:
        memory, content = marshal.loads(stored)
        found = _recalled(content, request, lambda: make()[0])
        if found is not None:
            return found, memory
    made, memory = make()
    if key is not None:
        with suppress(NotStorable):
            content = cast(Any, made).packed(request.results)
            if content is not None:
                disk.store(key, marshal.dumps((memory, content)))
    return made, memory


def key_of(request: CompileRequest) -> str | None:
    """Return the key of a program, ``None`` if it cannot be stored.

    Names, origins and roles of nodes play no part: they change no program, unless values are
    recomputed where derivatives need them.
    """
    settings = request.settings
    is_own = type(settings.backend).__module__ == "symad.backends.native.backend"
    if settings.recompute or not is_own:
        return None
    try:
        results = map_leaves(lambda node: None, request.results)
        parts = described((request.graph, request.types, results))
    except NotStorable:
        return None
    chosen = settings.threads, settings.grade.name, settings.fastmath, can_count_references()
    return disk.lasting_key("program", parts, chosen)


def _recalled(
    content: Any, request: CompileRequest, compiled: Callable[[], Program]
) -> Program | None:
    if isinstance(content, str):
        return _numbers(content, request, compiled)
    from symad.backends.native.recalled_program import recalled_program

    return recalled_program(content, request.workspace, compiled)


def _numbers(
    module: str, request: CompileRequest, compiled: Callable[[], Program]
) -> Program | None:
    from symad.backends.native.number_code import form_of_results
    from symad.backends.native.number_program import NumberProgram

    found = known_module(module, "function")
    if found is None:
        return None
    known = {repr(form_of_results(request.results)): found}
    return NumberProgram(lambda: compiled().plan, request.settings.fastmath, known)
