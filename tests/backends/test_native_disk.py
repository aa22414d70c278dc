"""Machine code on disk: other processes use it, and nothing else is ever run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from symad.backends.native import disk, jit

PROGRAM = """
import symad as sm
from symad.backends.native import jit
made = []
original = jit._compile
jit._compile = lambda text, name: made.append(name) or original(text, name)
x = sm.Variable("x", shape=(3,))
s = sm.Variable("s")
f = sm.compile([x], sm.sum(sm.exp(x) * x))
g = sm.compile([s], sm.exp(s) * s)
print(len(made), f([1.0, 2.0, 3.0]), g(2.0), g(2.0), len(made))
"""


def run(folder: Path | str, **environment: str) -> list[str]:
    variables = {**os.environ, "SYMAD_CACHE_DIR": str(folder), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = tmp_path / "code"
    monkeypatch.setenv("SYMAD_CACHE_DIR", str(chosen))
    return chosen


def test_another_process_makes_no_code_again(folder: Path) -> None:
    first = run(folder)
    second = run(folder)
    assert int(first[-1]) > 0 and second[-1] == "0"
    assert first[:-1] == second[:-1]


def test_processes_share_the_folder_at_once(folder: Path) -> None:
    variables = {**os.environ, "SYMAD_CACHE_DIR": str(folder)}
    start = [sys.executable, "-c", PROGRAM]
    running = [
        subprocess.Popen(start, env=variables, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = [process.communicate()[0].split()[:-1] for process in running]
    assert answers[0] == answers[1] == answers[2] != []
    assert all(path.suffix == ".code" for path in folder.iterdir())  # nothing half written


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    answer = run("", XDG_CACHE_HOME=str(tmp_path))
    assert int(answer[-1]) > 0 and list(tmp_path.iterdir()) == []


def test_the_folder_is_where_the_user_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SYMAD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    disk.store("key", b"code")
    assert (tmp_path / "symad" / "key.code").is_file()
    assert (tmp_path / "symad").stat().st_mode & 0o777 == 0o700
    assert disk.load("key") == b"code"


def test_damaged_files_are_made_anew(folder: Path) -> None:
    expected = run(folder)
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[:-7] if len(content) % 2 else content)
    assert run(folder) == expected
    assert run(folder)[-1] == "0"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no modes here")
def test_code_that_others_could_have_written_is_not_run(folder: Path) -> None:
    run(folder)
    folder.chmod(0o777)
    assert int(run(folder)[-1]) > 0
    assert disk.load(next(folder.iterdir()).stem) is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no modes here")
def test_a_link_to_a_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    disk.store("key", b"code")
    assert disk.load("key") is None and list(target.iterdir()) == []


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert int(run(blocked / "below")[-1]) > 0


def test_code_with_addresses_of_this_process_is_not_kept(folder: Path) -> None:
    for address in ("inttoptr (i64 {} to i64*)", "{}"):
        word = address.format(id(folder))
        load = (
            f"%a = load i64, i64* {word}"
            if "inttoptr" in word
            else f"%p = inttoptr i64 {word} to i64*\n%a = load i64, i64* %p"
        )
        jit.compile_module(f"define i64 @f() {{\n{load}\nret i64 %a\n}}", "addresses")
    assert not folder.exists()
    jit.compile_module("define i64 @f(i64 %x) {\nret i64 %x\n}", "none")
    assert len(list(folder.iterdir())) == 1


def test_old_code_goes_when_there_is_too_much(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_MOST_BYTES", 1000)
    for age in range(10):
        disk.store(f"old{age}", b"x" * 200)
        os.utime(folder / f"old{age}.code", (age, age))
    disk._pruned.clear()
    disk.store("new", b"x")
    left = sorted(path.stem for path in folder.iterdir())
    assert left == ["new", "old5", "old6", "old7", "old8", "old9"]
