"""The distributions, built once from a copy of the sources, as `python -m build` builds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def unpacked_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT, folder / "copy", ignore=shutil.ignore_patterns(*_not_sources()))
    name = _build("sdist", folder / "copy", folder)
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder, filter="data")
    return folder / name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def installed(unpacked_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel, which is built from the source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    name = _build("wheel", unpacked_source, folder)
    with zipfile.ZipFile(folder / name) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _build(kind: str, source: Path, target: Path) -> str:
    """Build a distribution as pip's front end calls setuptools, and return its name."""
    code = f"import sys; from setuptools.build_meta import build_{kind} as f; print(f(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def _not_sources() -> list[str]:
    """Return the names of what git ignores: patterns that are all of one name, or end in one."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    patterns = [line.rstrip("/").rpartition("/")[2] for line in lines if line[:1] not in ("", "#")]
    return [".git", *patterns]


@pytest.fixture
def clean_environment(installed: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds the wheel, and not the sources of this folder."""
    return environment_with(installed, tmp_path)


def environment_with(installed: Path, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONPATH": str(installed), "HOME": str(home)}
