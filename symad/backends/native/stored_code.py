"""Machine code that is found by the structure of what it computes.

Other machine code is stored under a key made of its text (see ``jit.py``).  To know the text, one
has to write it, which takes milliseconds and needs llvmlite, whose import takes 30.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.backends.native.facts import lasting_key
from symad.backends.native.jit import CompiledModule, Effort, compile_module, known_module

Written = tuple[Any, Sequence[str]]
"""A module of LLVM, and notes of one line each about what its code expects."""


def stored_module(
    structure: Any, make: Callable[[], Written], name: str, effort: Effort = Effort.LOW
) -> CompiledModule:
    """Return the machine code for a structure.

    Parameters
    ----------
    structure
        Everything that the code depends on, besides sources and machine, in a form whose ``repr``
        says it; ``None`` if there is no such form.
    make : callable
        Writes the module.
    name : str
        For error messages.
    effort : Effort
    """
    key = None if structure is None else lasting_key("code", effort.name, structure)
    known = None if key is None else known_module(key, name)
    if known is not None:
        return known
    module, notes = make()
    return compile_module(module, name, effort, key, notes)
