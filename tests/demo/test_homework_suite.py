"""The public tests of a course's first homework, by ``symad.demo.eager``, where they are.

``SYMAD_HOMEWORK_TESTS`` names the folder of a checkout of https://github.com/dlsyscourse/hw1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = os.environ.get("SYMAD_HOMEWORK_TESTS")


@pytest.mark.skipif(SUITE is None, reason="SYMAD_HOMEWORK_TESTS names no checkout of hw1")
def test_public_suite() -> None:
    assert SUITE is not None
    root = Path(__file__).parents[2]
    options = ["-p", "tests.support.homework_shim", "-p", "no:cacheprovider", "-q", "--tb=short"]
    options += ["-c", os.devnull, "--rootdir", SUITE]
    command = [sys.executable, "-m", "pytest", *options, "tests/hw1"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=SUITE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
