"""The distributions: what is in them, and that the wheel works away from the sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import symad as sm
from tests.packaging.conftest import ROOT

PARTS = ("symad", "tests", "docs", "notebooks", "benchmarks", ".github", ".ci")
FILES = ("LICENSE", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")


def names_in(folder: Path, *parts: str) -> set[str]:
    paths = (path for part in parts for path in (folder / part).rglob("*"))
    skipped = ("_build", "_generated", "jupyter_execute", "__pycache__", ".ipynb_checkpoints")
    return {
        path.relative_to(folder).as_posix()
        for path in paths
        if path.is_file() and path.suffix != ".ipynb" and not set(skipped) & set(path.parts)
    }


def test_the_source_distribution_holds_everything(unpacked_source: Path) -> None:
    assert names_in(unpacked_source, *PARTS) == names_in(ROOT, *PARTS)
    for name in FILES:
        assert (unpacked_source / name).read_text("utf-8") == (ROOT / name).read_text("utf-8")


def test_the_wheel_holds_the_package_and_nothing_else(installed: Path) -> None:
    assert names_in(installed, "symad") == names_in(ROOT, "symad")
    rest = {path.name for path in installed.iterdir()}
    assert rest == {"symad", f"symad-{sm.__version__}.dist-info"}


def test_the_metadata_names_version_and_requirements(installed: Path) -> None:
    text = (installed / f"symad-{sm.__version__}.dist-info" / "METADATA").read_text("utf-8")
    metadata = text.partition("\n\n")[0].splitlines()
    assert f"Version: {sm.__version__}" in metadata
    required = [line.split(maxsplit=1)[1] for line in metadata if line.startswith("Requires-Dist")]
    names = {line.partition(">")[0] for line in required if "extra ==" not in line}
    assert names == {"numpy", "scipy", "networkx", "graphviz", "llvmlite"}
    assert "Provides-Extra: native" in metadata  # of 0.1.0, whose users ask for it


def test_the_metadata_and_the_check_agree_on_llvmlite(installed: Path) -> None:
    requirement = pytest.importorskip("symad.backends.native.requirement")
    text = (installed / f"symad-{sm.__version__}.dist-info" / "METADATA").read_text("utf-8")
    least = ".".join(map(str, requirement.LEAST_VERSION))
    assert re.findall(r"^Requires-Dist: llvmlite>=([\d.]+);", text, re.MULTILINE) == [least] * 3


SMOKE = """
import sys
import numpy as np, symad as sm
x = sm.Variable("x", shape=("n",))
f = sm.compile([x], sm.value_and_gradients(sm.sum(sm.tanh(x) ** 2), x))
value, slope = f(np.linspace(-1, 1, 5))
assert np.allclose(slope, 2 * np.tanh(np.linspace(-1, 1, 5)) / np.cosh(np.linspace(-1, 1, 5)) ** 2)
page = sm.play(sm.exp(x), [x]).html
assert "<script" in page and "svg" in page
print(sm.__file__)
"""


def test_the_wheel_works(
    installed: Path, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "error", "-c", SMOKE]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_python_m_symad(clean_environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "symad"]
    settings = {"cwd": tmp_path, "env": clean_environment, "capture_output": True, "text": True}
    version = subprocess.run([*command, "--version"], **settings)  # type: ignore[call-overload]
    assert version.stdout == f"symad {sm.__version__}\n"
    trace = subprocess.run([*command, "trace", "x*x", "x=3"], **settings)  # type: ignore[call-overload]
    assert trace.returncode == 0 and "v̄2 = 1" in trace.stdout


def test_the_source_distribution_tests_itself(unpacked_source: Path) -> None:
    """From its own folder, with the tests' helpers and golden files that are in it."""
    names = ["tests/autodiff/test_lecture.py", "tests/passes/test_golden_plans.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names]
    environment = {**os.environ, "PYTHONPATH": str(unpacked_source)}
    done = subprocess.run(
        command, cwd=unpacked_source, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
