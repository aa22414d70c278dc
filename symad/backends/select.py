"""The registry of backends: their names, and which one is taken."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Literal

from symad.backends.base import Backend
from symad.backends.native.backend import NativeBackend
from symad.backends.native.requirement import missing
from symad.backends.numpy import NumpyBackend
from symad.errors import GraphTypeError, did_you_mean

BackendName = Literal["auto", "numpy", "native"]
"""The names that :func:`symad.compile` knows without anybody's registering more."""

BACKENDS: dict[str, Backend] = {}
"""All backends by name."""


def register_backend(backend: Backend) -> Backend:
    """Let :func:`symad.compile` find a backend by its name, and return it.

    Raises
    ------
    GraphTypeError
        If it has no name, or another one has it.
    """
    name = getattr(backend, "name", None)
    if not isinstance(backend, Backend) or not isinstance(name, str) or name == "auto":
        raise GraphTypeError(
            f"{backend!r} cannot be registered as a backend",
            remedy="Register an instance of a subclass of Backend that has a name.",
        )
    known = BACKENDS.setdefault(name, backend)
    if type(known) is not type(backend):
        raise GraphTypeError(f"there is a backend {name!r} already", remedy="Take another name.")
    BACKENDS[name] = backend
    return backend


NUMPY = register_backend(NumpyBackend())
NATIVE = register_backend(NativeBackend())


def choose_backend(backend: str | Backend) -> Backend:
    """Return the backend that is meant: by name, or itself.

    Raises
    ------
    GraphTypeError
        If there is none of that name, or what it needs is not installed.
    """
    if isinstance(backend, Backend):
        return backend
    if backend == "auto":
        return best_backend()
    if backend not in BACKENDS:
        names = ", ".join(map(repr, ("auto", *BACKENDS)))
        raise GraphTypeError(
            f"there is no backend {backend!r}.{did_you_mean(str(backend), list(BACKENDS))}",
            remedy=f"Use one of {names}, or an instance of a Backend.",
        )
    if BACKENDS[backend] is NATIVE:
        why = missing()
        if why is not None:
            raise GraphTypeError(why.message, remedy=why.remedy)
    return BACKENDS[backend]


@cache
def best_backend() -> Backend:
    """Return native code where it can be made here, else NumPy; it is found out once a process."""
    why = missing()
    if why is None:
        return NATIVE
    warnings.warn(
        f"symad runs on NumPy, many times slower: {why.message}. {why.remedy}",
        RuntimeWarning,
        stacklevel=2,
    )
    return NUMPY
