"""The machine code of a scalar function, and the objects that it expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symad.backends.native.cpython import Fallback, HeldResults, new_builtin
from symad.backends.native.jit import CompiledModule
from symad.graph.nested import is_nested
from symad.records import dataclass

EXPORTED = "call"
"""The name of the function in its module."""


@dataclass(frozen=True, slots=True)
class NumberCode:
    """Machine code that serves all functions with plans and results of one structure.

    Attributes
    ----------
    module : CompiledModule
    kept : list
        The objects that it expects in its first argument, or their placeholders.
    """

    module: CompiledModule
    kept: list[Any]

    @classmethod
    def of(cls, module: CompiledModule, outputs: Any) -> NumberCode:
        """Return the code of a module, whose functions return results of a structure."""
        found = objects_by_note(outputs)
        return cls(module, [found[n] if n in found else HeldResults.read(n) for n in module.notes])

    def function(self, fallback: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a built-in function; see :func:`~.scalar_function.native_function`."""
        address = self.module.address(EXPORTED)
        return new_builtin(name, address, *self._objects(fallback), self.module)

    def _objects(self, fallback: Callable[..., Any]) -> Iterator[Any]:
        """Yield the objects for one function."""
        for value in self.kept:
            if value is Fallback:
                yield fallback
            else:
                yield value.new() if isinstance(value, HeldResults) else value


_TYPES: tuple[type, ...] = (float, int, bool, *(np.dtype(code).type for code in "?bBhHiIlLqQefd"))
_OBJECTS: dict[str, Any] = {
    "fallback": Fallback,
    "True": True,
    "numpy.True": np.True_,
    "numpy.False": np.False_,
    **{f"{kind.__module__}.{kind.__name__}": kind for kind in _TYPES},
}
"""What the code of scalar functions may expect, by the notes in stored code."""


def objects_by_note(outputs: Any) -> dict[str, Any]:
    """Return all objects that the code of a function may expect, by their notes."""
    return _OBJECTS | {f"key {k}": key for k, key in enumerate(keys_of(outputs))}


# The structure of results


def form_of_results(template: Any) -> Any:
    """Return the structure of results in a comparable form; 1 and True are different keys."""
    if not is_nested(template):
        return None
    if isinstance(template, dict):
        return tuple((key, repr(key), form_of_results(item)) for key, item in template.items())
    return list if isinstance(template, list) else tuple, tuple(map(form_of_results, template))


def keys_of(template: Any) -> Iterator[Any]:
    """Yield the keys of all dicts."""
    if is_nested(template):
        if isinstance(template, dict):
            yield from template
        for item in template.values() if isinstance(template, dict) else template:
            yield from keys_of(item)


def is_simple(template: Any) -> bool:
    """Return whether a structure has only built-in types, which excludes named tuples."""
    if not is_nested(template):
        return True
    items = template.values() if isinstance(template, dict) else template
    return not hasattr(template, "_fields") and all(map(is_simple, items))
