"""The registry of backends, and the selection of the default backend."""

from __future__ import annotations

import warnings
from functools import cache

from symad.backends.base import Backend
from symad.backends.native.backend import NativeBackend
from symad.backends.native.requirement import missing
from symad.backends.numpy import NumpyBackend
from symad.backends.xla.backend import JaxBackend
from symad.errors import GraphTypeError, did_you_mean

BACKENDS: dict[str, Backend] = {}
"""All backends by name."""


def register_backend(backend: Backend) -> Backend:
    """Register a backend under its name for :func:`symad.compile`, and return it.

    Raises
    ------
    GraphTypeError
        If it has no name, or its name is taken.
    """
    name = getattr(backend, "name", None)
    if not isinstance(backend, Backend) or not isinstance(name, str) or name == "auto":
        raise GraphTypeError(
            f"{backend!r} cannot be registered as a backend",
            remedy="Register an instance of a subclass of Backend with a name.",
        )
    known = BACKENDS.setdefault(name, backend)
    if type(known) is not type(backend):
        raise GraphTypeError(f"a backend {name!r} already exists", remedy="Choose another name.")
    BACKENDS[name] = backend
    return backend


NUMPY = register_backend(NumpyBackend())
NATIVE = register_backend(NativeBackend())
register_backend(JaxBackend())


def choose_backend(backend: str | Backend) -> Backend:
    """Return a backend, which is given by its name or as an object.

    Raises
    ------
    GraphTypeError
        If there is no backend of this name, or its requirements are not installed.
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
    """Return native code if it is available, else NumPy; checked once per process."""
    why = missing()
    if why is None:
        return NATIVE
    warnings.warn(
        f"symad runs on NumPy, which is many times slower: {why.message}. {why.remedy}",
        RuntimeWarning,
        stacklevel=2,
    )
    return NUMPY
