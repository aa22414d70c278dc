"""The public tests of the Array API standard, where they are: a few of them, with few examples.

``SYMAD_ARRAY_API_TESTS`` names the folder of a checkout, with its submodule and requirements;
``SYMAD_ARRAY_API_EXAMPLES`` makes them all run, with so many examples each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symad as sm
from tests.support import array_api_plugin, eager_arrays

SUITE = os.environ.get("SYMAD_ARRAY_API_TESTS")
EXAMPLES = os.environ.get("SYMAD_ARRAY_API_EXAMPLES")
SAMPLE = ("test_signatures.py", "test_constants.py", "test_has_names.py")


@pytest.mark.skipif(SUITE is None, reason="SYMAD_ARRAY_API_TESTS names no checkout of the suite")
def test_public_suite() -> None:
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
        "ARRAY_API_TESTS_MODULE": "tests.support.eager_arrays",
        "ARRAY_API_TESTS_VERSION": "2025.12",
        "ARRAY_API_TESTS_SKIP_DTYPES": "complex64,complex128",
    }
    options = ["-p", "tests.support.array_api_plugin", "-p", "no:cacheprovider", "-q"]
    options += ["--disable-extension", "fft", "--hypothesis-disable-deadline"]
    options += ["--max-examples", EXAMPLES or "1", "--hypothesis-derandomize", "--tb=short"]
    paths = ["array_api_tests"] if EXAMPLES else [f"array_api_tests/{name}" for name in SAMPLE]
    command = [sys.executable, "-m", "pytest", *options, "--", *paths]
    done = subprocess.run(command, cwd=SUITE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_patterns_of_expected_failures() -> None:
    expected = (
        "test_unary[sin(real(x_i) is NaN and imag(x_i) is +0)]",
        "linalg-eigvals]",
        "test_nonzero",
    )
    for name in expected:
        assert array_api_plugin.reason(name) is not None
    for name in ("linalg-eigvalsh]", "searching-count_nonzero]", "test_eigvalsh", "test_isin"):
        assert array_api_plugin.reason(name) is None


def test_arrays_are_computed_by_symad_at_once() -> None:
    xp = eager_arrays
    x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert x.__array_namespace__() is xp and x.dtype == xp.float64
    y = xp.linalg.vecdot(x, x) + 2 * xp.sum(x[0, :], axis=-1)
    np.testing.assert_array_equal(y.value, [11.0, 31.0])
    x[0, 0] = 7.0
    assert float(x[0, 0]) == 7.0 and bool(xp.all(x == x))
    q, r = xp.linalg.qr(x)
    np.testing.assert_allclose((q @ r).value, x.value)
    assert xp.result_type(x, xp.float32) == sm.float64
    with pytest.raises(AttributeError, match="complex"):
        xp.conj(x)


def test_the_version_is_named() -> None:
    assert re.fullmatch(r"\d{4}\.\d\d", sm.__array_api_version__)
