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

USERS = Path(__file__).parent / "users"
CHECKERS = ("mypy", "pyright")


def lines_with_errors(checker: str, name: str, environment: dict[str, str]) -> dict[int, str]:
    """Return what a checker says of a program, by line."""
    folder = Path(environment["HOME"])
    shutil.copy(USERS / name, folder)
    run = _mypy if checker == "mypy" else _pyright
    found = run(folder, name, environment)
    return {int(line): text for line, text in found}


def _mypy(folder: Path, name: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Run mypy on a folder of its own: it leaves errors in other folders of PYTHONPATH out."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental"]
    command += ["--follow-imports=silent", "--ignore-missing-imports", name]
    settings = environment | {"MYPYPATH": environment["PYTHONPATH"]}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return re.findall(rf"^{re.escape(name)}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)


def _pyright(folder: Path, name: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Run pyright, whose wheels bring the Node.js that it needs."""
    config = {"typeCheckingMode": "strict", "include": [name]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    return [
        (str(entry["range"]["start"]["line"] + 1), entry["message"])
        for entry in report["generalDiagnostics"]
    ]


@pytest.fixture(params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def test_a_right_program_has_no_errors(checker: str, clean_environment: dict[str, str]) -> None:
    assert lines_with_errors(checker, "right.py", clean_environment) == {}


def test_each_mistake_is_found(checker: str, clean_environment: dict[str, str]) -> None:
    source = (USERS / "wrong.py").read_text("utf-8").splitlines()
    expected = {number for number, line in enumerate(source, 1) if "  # wrong: " in line}
    found = lines_with_errors(checker, "wrong.py", clean_environment)
    assert set(found) == expected and len(expected) > 15
