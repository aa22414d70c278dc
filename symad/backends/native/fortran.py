"""Finds BLAS and LAPACK: the addresses of their functions, with Fortran's calling convention.

NumPy's own library is used if its functions can be found: it is already loaded, and no second
library adds its threads.  Otherwise SciPy's library is used, by the pointers that it publishes.

Fortran takes every argument by address.  On little-endian machines, an integer that fits 32 bits is
read correctly from a 64-bit word for either integer width of the library, so only arrays of
integers depend on this width.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import numpy as np

from symad.light_scipy import scipy_module
from symad.records import dataclass

_NAMES = ("scipy_{}_64_", "{}_64_", "scipy_{}_", "{}_")
"""The names of a Fortran function in builds of NumPy."""

_Find = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Library:
    """A library with BLAS and LAPACK.

    Attributes
    ----------
    find : callable
        Returns the address of a function.
    integer_bits : int
        The width of its integers.
    """

    find: _Find
    integer_bits: int

    def takes(self, *sizes: int) -> bool:
        """Return whether numbers fit the integers of the library."""
        return all(-(2**31) <= size < 2**31 for size in sizes) or self.integer_bits == 64


@cache
def library() -> Library | None:
    """Return the library of this process, or ``None`` if none can be called."""
    if sys.byteorder != "little":
        return None
    for candidate in (_find_in_numpy, _find_in_scipy):
        try:
            find = candidate()
            return Library(find, _integer_bits(find("dgetrf")))
        except (ImportError, OSError, LookupError):
            continue
    return None


def _find_in_numpy() -> _Find:
    from numpy.linalg import _umath_linalg

    handle = ctypes.CDLL(_umath_linalg.__file__)
    names = [name for name in _NAMES if hasattr(handle, name.format("dgetrf"))]
    if not names or not hasattr(handle, names[0].format("dgemm")):
        raise LookupError("NumPy exposes no BLAS")

    def find(function: str) -> int:
        return ctypes.cast(handle[names[0].format(function)], ctypes.c_void_p).value or 0

    return find


def _find_in_scipy() -> _Find:
    parts = ("scipy.linalg.cython_blas", "scipy.linalg.cython_lapack")
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = {k: v for part in parts for k, v in scipy_module(part).__pyx_capi__.items()}

    def find(function: str) -> int:
        capsule = capsules[function]
        return int(pointer_of(capsule, name_of(capsule)))

    return find


def _integer_bits(getrf: int) -> int:
    """Factorise a matrix that needs a swap of two rows, so that both pivots are 2."""
    size, information = ctypes.c_int64(2), ctypes.c_int64(0)
    matrix, pivots = np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2, "int64")
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6)(getrf)
    sizes = ctypes.addressof(size)
    call(sizes, sizes, matrix.ctypes.data, sizes, pivots.ctypes.data, ctypes.addressof(information))
    return 64 if pivots[0] == 2 else 32
