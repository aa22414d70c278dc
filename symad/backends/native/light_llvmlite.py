"""Imports llvmlite's binding without what it does not need here: half of the time that it takes.

The binding imports ``llvmlite.ir`` for one method that symad does not call, and finds its library
by ``importlib.resources``, which imports readers of archives, tools for temporary files and more.
Meanwhile, other modules stand for them, which import them when something of them is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Postponed(ModuleType):
    """Stands for a module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _PostponedItem(self, name)

    def imported(self) -> ModuleType:
        """Return the module."""
        if sys.modules.get(self.__name__) is self:  # another thread uses it already
            del sys.modules[self.__name__]
        return import_module(self.__name__)


class _PostponedItem:
    """Stands for a class or function of such a module."""

    def __init__(self, module: _Postponed, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return getattr(self._module.imported(), self._name)(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._module.imported(), self._name), name)


class _Folder(str):
    """A folder whose files have ``folder / name`` as their paths."""

    __slots__ = ()

    def __truediv__(self, name: str) -> _Folder:
        return _Folder(os.path.join(self, name))


class _Resources(_Postponed):
    """Stands for ``importlib.resources``: it finds llvmlite's files, and imports it for others."""

    def files(self, package: Any) -> Any:
        """Return the folder of a package; llvmlite's is not in an archive."""
        if not str(package).startswith("llvmlite."):  # another thread imports something as well
            return self.imported().files(package)
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None
        return _Folder(os.path.dirname(spec.origin))

    def as_file(self, path: Any) -> AbstractContextManager[Any]:
        """Return a context with a file that is there already."""
        if isinstance(path, _Folder):
            return nullcontext(path)
        context: AbstractContextManager[Any] = self.imported().as_file(path)
        return context


@contextmanager
def _postponed() -> Iterator[None]:
    """Postpone the imports of modules that have not been imported yet."""
    given = [_Postponed("llvmlite.ir")]
    spec = find_spec("llvmlite")
    if spec is not None and os.path.isfile(spec.origin or ""):
        given.append(_Resources("importlib.resources"))
    given = [module for module in given if module.__name__ not in sys.modules]
    sys.modules.update({module.__name__: module for module in given})
    try:
        yield
    finally:
        for module in given:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]


def llvmlite_binding() -> Any:
    """Return ``llvmlite.binding``, imported if needed.

    Raises
    ------
    ImportError
        If llvmlite is not installed.
    """
    if "llvmlite.binding" not in sys.modules:
        with _postponed():
            import_module("llvmlite.binding")
    return import_module("llvmlite.binding")  # which waits if another thread is importing it
