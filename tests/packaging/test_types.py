"""What type checkers say of programs that use the installed package, in their strict modes."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import environment_with

USERS = Path(__file__).parent / "users"
CHECKERS = ("mypy", "pyright")


PROGRAMS = ("right.py", "wrong.py")


def _mypy(folder: Path, environment: dict[str, str]) -> list[tuple[str, str, str]]:
    """Run mypy on a folder of its own: it leaves errors in other folders of PYTHONPATH out."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental"]
    command += ["--follow-imports=silent", "--ignore-missing-imports", *PROGRAMS]
    settings = environment | {"MYPYPATH": environment["PYTHONPATH"]}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return re.findall(r"^(\w+\.py):(\d+): error: (.*)$", done.stdout, re.MULTILINE)


def _pyright(folder: Path, environment: dict[str, str]) -> list[tuple[str, str, str]]:
    """Run pyright, whose wheels bring the Node.js that it needs."""
    config = {"typeCheckingMode": "strict", "include": PROGRAMS}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS)
    return [
        (Path(entry["file"]).name, str(entry["range"]["start"]["line"] + 1), entry["message"])
        for entry in report["generalDiagnostics"]
    ]


Errors = dict[str, dict[int, str]]


@pytest.fixture(scope="module", params=CHECKERS)
def found(
    request: pytest.FixtureRequest, installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Errors:
    """Return what a checker says of both programs, by program and line."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("users")
    for name in PROGRAMS:
        shutil.copy(USERS / name, folder)
    check = _mypy if request.param == "mypy" else _pyright
    errors: Errors = {name: {} for name in PROGRAMS}
    for name, line, text in check(folder, environment_with(installed, folder)):
        errors[name][int(line)] = text
    return errors


def test_a_right_program_has_no_errors(found: Errors) -> None:
    assert found["right.py"] == {}


def test_each_mistake_is_found(found: Errors) -> None:
    source = (USERS / "wrong.py").read_text("utf-8").splitlines()
    expected = {number for number, line in enumerate(source, 1) if "  # wrong: " in line}
    assert set(found["wrong.py"]) == expected and len(expected) > 15
