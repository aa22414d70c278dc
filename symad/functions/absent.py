"""Why a name that others have is not here, and what there is instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symad.errors import did_you_mean

_COMPLEX = "symad has no complex numbers"
_REAL = f"{_COMPLEX}: a real x is its own {{}}"
_SIZES = (
    "its result would have as many elements as the values say, and sizes in a graph follow from "
    "shapes; {}"
)
_UNIQUE = _SIZES.format("sm.sort(x) has the values in order; find them with NumPy before feeding")
_FOURIER = f"{_COMPLEX}, which Fourier transforms need; transform with NumPy before feeding"

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
}
"""Reasons by the path of a name below ``symad``."""


def absence(module: str, name: str, known: Mapping[str, Iterable[str]]) -> str:
    """Return the message of the error that a module has no such name.

    Parameters
    ----------
    module, name : str
    known : mapping from str to iterable of str
        Modules that may have it, each with its names.
    """
    message = f"module {module!r} has no attribute {name!r}"
    path = f"{module}.{name}".removeprefix("symad.")
    if path in _REASONS:
        return f"{message}: {_REASONS[path]}."
    elsewhere = [where for where, names in known.items() if name in names]
    if elsewhere:
        return f"{message}. Did you mean '{elsewhere[0].replace('symad', 'sm', 1)}.{name}'?"
    return f"{message}.{did_you_mean(name, known[module])}" if module in known else message
