"""Why a name that others have is not here, and what there is instead."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from symad.catalogue import MODULES

_COMPLEX = "symad has no complex numbers"
_REAL = f"{_COMPLEX}: a real x is its own {{}}"
_SIZES = (
    "its result would have as many elements as the values say, and sizes in a graph follow from "
    "shapes; {}"
)
_UNIQUE = _SIZES.format("sm.sort(x) has the values in order; find them with NumPy before feeding")
_FOURIER = f"{_COMPLEX}, which Fourier transforms need; transform with NumPy before feeding"

_LOOPS = "they take loops whose length depends on the numbers; draw them with NumPy, and feed them"
_BY_REJECTION = (
    "beta", "binomial", "chisquare", "dirichlet", "f", "gamma", "geometric", "poisson", "t", "wald",
)  # fmt: skip
_RENAMED = {
    "random.PRNGKey": "random.key(seed)",
    "random.default_rng": "random.key(seed)",
    "random.seed": "random.key(seed)",
    "random.shuffle": "random.permutation(key, x)",
    "nn.mse_loss": "nn.mse",
    "nn.l1_loss": "nn.l1",
    "nn.nll_loss": "nn.nll",
    "nn.huber_loss": "nn.huber",
}

_REASONS = {
    "conj": _REAL.format("conjugate"),
    "conjugate": _REAL.format("conjugate"),
    "real": _REAL.format("real part"),
    "imag": f"{_COMPLEX}: the imaginary part of a real x is sm.zeros_like(x)",
    "angle": _COMPLEX,
    "complex64": _COMPLEX,
    "complex128": _COMPLEX,
    "fft": _FOURIER,
    "nonzero": _SIZES.format("write sm.where(condition, a, b), or sm.count_nonzero(x)"),
    "argwhere": _SIZES.format("write sm.where(condition, a, b)"),
    "flatnonzero": _SIZES.format("write sm.where(condition, a, b)"),
    "compress": _SIZES.format("write sm.where(condition, x, 0), or sm.take(x, indices)"),
    "extract": _SIZES.format("write sm.where(condition, x, 0), or sm.take(x, indices)"),
    **dict.fromkeys(
        ("unique", "unique_all", "unique_counts", "unique_inverse", "unique_values"), _UNIQUE
    ),
    "linalg.eig": f"{_COMPLEX}, which eigenvalues of a matrix may be; of a symmetric matrix, "
    "write sm.linalg.eigh",
    "linalg.eigvals": f"{_COMPLEX}, which eigenvalues of a matrix may be; of a symmetric matrix, "
    "write sm.linalg.eigvalsh",
    **dict.fromkeys((f"random.{name}" for name in _BY_REJECTION), _LOOPS),
    **{old: f"write sm.{new}" for old, new in _RENAMED.items()},
}
"""Reasons by the path of a name below ``symad``."""


def absent(module: str, name: str) -> AttributeError:
    """Return the error that a module has no such name; it says what there is instead.

    Parameters
    ----------
    module : str
        Such as ``"symad.linalg"``.
    name : str

    Examples
    --------
    >>> absent("symad", "solve")
    AttributeError("module 'symad' has no attribute 'solve'. Did you mean 'sm.linalg.solve'?")
    >>> absent("symad.linalg", "eihg")
    AttributeError("module 'symad.linalg' has no attribute 'eihg'. Did you mean 'eigh'?")
    """
    message = f"module {module!r} has no attribute {name!r}"
    path = f"{module}.{name}".removeprefix("symad.")
    if name.startswith("_"):
        return AttributeError(message)
    if path in _REASONS:
        return AttributeError(f"{message}: {_REASONS[path]}.")
    here, places = set(_names(module)), _places()
    near = [name] if name in places else get_close_matches(name, [*here, *places], 1)
    hints = [known if known in here else f"{places[known]}.{known}" for known in near]
    return AttributeError(message + "".join(f". Did you mean {hint!r}?" for hint in hints))


def _places() -> dict[str, str]:
    """Return the module of each public name as users write it: sm, sm.linalg, ..."""
    found: dict[str, str] = {}
    for module in ("symad", *(f"symad.{name}" for name in MODULES)):
        for name in _names(module):
            found.setdefault(name, module.replace("symad", "sm", 1))
    return found


def _names(module: str) -> Iterable[str]:
    loaded = import_module(module)
    return getattr(loaded, "__all__", None) or [
        name for name, value in vars(loaded).items() if _is_public(name, value)
    ]


def _is_public(name: str, value: Any) -> bool:
    """Return whether a name of a module is for users: public functions have an example."""
    return not name.startswith("_") and "Examples\n" in (getattr(value, "__doc__", None) or "")
