"""A plugin for the public tests of the Array API standard: what symad does not have, and why.

In a checkout of https://github.com/data-apis/array-api-tests with its submodule and requirements::

    PYTHONPATH=/path/to/symad ARRAY_API_TESTS_MODULE=tests.support.eager_arrays \\
    ARRAY_API_TESTS_SKIP_DTYPES=complex64,complex128 \\
    python -m pytest -p tests.support.array_api_plugin --disable-extension fft -- array_api_tests
"""

from __future__ import annotations

import builtins
import importlib
import re
from typing import Any

import pytest

EXPECTED = (
    (
        r"imag\(|\dj\]| j\]|conj|\bimag|\breal\b|eig\b|eigvals\b|\[fft-",
        "symad has no complex numbers",
    ),
    (r"test_(linalg_)?vecdot", "the test itself calls conj"),
    (r"unique_|\bnonzero\]|test_nonzero$|_masking", "sizes follow from shapes, not from values"),
    (r"floor_?div\w*\(x1_i is .infinity", "NumPy's convention: infinity // x is NaN"),
    (r"floor_?div\w*\(isfinite\(x1_i\) and x1_i . 0 and .*-> -0", "NumPy's convention: it is -1"),
    (r"test_svd$", "the reduced form is the default"),
    (r"test_from_dlpack$", "a constant is a copy"),
)
"""Patterns of the tests that are expected to fail, each with the reason: see docs/numerics.md."""


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Load the module of the suite that takes the largest of no complex dtypes."""
    largest = builtins.max
    builtins.max = lambda *values, **keywords: (  # type: ignore[assignment]
        (None, 0) if values == ([],) else largest(*values, **keywords)
    )
    try:
        importlib.import_module("array_api_tests.dtype_helpers")
    finally:
        builtins.max = largest


def reason(test: str) -> str | None:
    """Return why a test is expected to fail, if it is."""
    return next((why for pattern, why in EXPECTED if re.search(pattern, test)), None)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        why = reason(item.nodeid)
        if why is not None:
            item.add_marker(pytest.mark.xfail(reason=why))
