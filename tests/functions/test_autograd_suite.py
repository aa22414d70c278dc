"""autograd's own tests, by symad, where they are.

``SYMAD_AUTOGRAD_TESTS`` names the folder of a checkout of https://github.com/HIPS/autograd.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import autograd_shim

SUITE = os.environ.get("SYMAD_AUTOGRAD_TESTS")


@pytest.mark.skipif(SUITE is None, reason="SYMAD_AUTOGRAD_TESTS names no checkout of autograd")
def test_public_suite() -> None:
    assert SUITE is not None
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    options = ["-p", "tests.support.autograd_shim", "-p", "no:cacheprovider", "-q", "--tb=short"]
    options += ["-c", os.devnull, "--rootdir", SUITE]
    command = [sys.executable, "-m", "pytest", *options, str(Path(SUITE, "tests"))]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_patterns_of_expected_failures() -> None:
    for name in ("test_core.py::test_lt", "test_vspaces.py::test_dict_vspace", "::test_odeint"):
        assert autograd_shim.reason(name) is not None
    for name in ("test_core.py::test_add", "::test_std_ddof", "::test_eigh", "::test_less"):
        assert autograd_shim.reason(name) is None


def test_derivatives_are_computed_once_nothing_else_moves() -> None:
    square = autograd_shim.grad(lambda x: x**3)
    assert square(2.0) == 12.0 and autograd_shim.grad(square)(2.0) == 12.0
    assert autograd_shim.grad(lambda x: x * autograd_shim.grad(lambda y: x * y)(2.0))(3.0) == 6.0
    with pytest.raises(AssertionError, match="differences"):
        wrong = autograd_shim.Primitive(lambda x: x * 2.0)
        wrong.define(lambda out, x: lambda v: v * 2.001)
        autograd_shim.check_grads(wrong, modes=["rev"])(1.0)
