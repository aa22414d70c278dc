"""Imports SciPy without the parts of NumPy that it names but does not use.

SciPy copies all public names of NumPy into a module of its own, which would import NumPy's tools
for tests, its reader of Fortran and more: half of the time that ``import scipy.sparse`` takes.
Meanwhile, they are replaced by modules that import them when something of them is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

_UNUSED = ("f2py", "testing", "ma", "polynomial")


class _Postponed(ModuleType):
    """Stands for a module of NumPy that is imported on first use."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


@contextmanager
def _postponed() -> Iterator[None]:
    """Postpone imports of parts of NumPy, wherever NumPy's names are copied meanwhile."""
    names = vars(np)
    given = {name: _Postponed(f"numpy.{name}") for name in _UNUSED if name not in names}
    names.update(given)
    try:
        yield
    finally:
        for name, module in given.items():
            if names.get(name) is module:  # it has not been imported
                del names[name]


def scipy_module(name: str) -> Any:
    """Return a module of SciPy, imported if needed."""
    if name not in sys.modules:
        with _postponed():
            import_module(name)
    return import_module(name)  # which waits if another thread is importing it
