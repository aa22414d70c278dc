"""Where llvmlite is missing or too old: symad starts, computes with NumPy, and says so once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """if True:
    import warnings
    import symad as sm
    x = sm.Variable("x")
    y = sm.tanh(x) * x
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            f = sm.compile([x], [y, sm.gradients(y, x)])
            values = f(0.5)
        sm.Executor(y).run({x: 0.5})
    assert abs(values[0] - 0.23105857863000487) < 1e-15, values
    print(len(told), told[0].category.__name__, "|", told[0].message)
    try:
        sm.compile([x], y, backend="native")
    except sm.SymadError as error:
        print(error)
    assert abs(sm.compile([x], y, backend="numpy")(0.5) - values[0]) < 1e-15
"""

OLD = """
__version__ = "{version}"
"""


def run(folder: Path, llvmlite: str) -> list[str]:
    """Run the program beside a package ``llvmlite`` of that text; return what it prints."""
    package = folder / "llvmlite"
    package.mkdir()
    (package / "__init__.py").write_text(llvmlite)
    (package / "binding.py").write_text("raise RuntimeError('this must not be loaded')\n")
    search = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": search}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(autouse=True)
def check_is_there() -> None:
    pytest.importorskip("symad.backends.native.requirement")


@pytest.mark.parametrize("version", ["0.44.0", "0.45.1", "0.45.0rc2", "0.9.0"])
def test_an_old_version(version: str, tmp_path: Path) -> None:
    said, *refused = run(tmp_path, OLD.format(version=version))
    assert said.startswith("1 RuntimeWarning | ") and "NumPy" in said and version in said
    assert "0.46" in " ".join(refused) and version in " ".join(refused)


def test_none_at_all(tmp_path: Path) -> None:
    said, *refused = run(tmp_path, "raise ModuleNotFoundError(name='llvmlite')\n")
    assert said.startswith("1 RuntimeWarning | ") and "NumPy" in said
    assert "llvmlite" in " ".join(refused)
