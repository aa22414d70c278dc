"""Machine code on disk: other processes use it, and nothing else is ever run."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llvmlite")
if sys.platform == "win32":
    pytest.skip("there is no cache of machine code here", allow_module_level=True)

import symad.disk as disk
from symad.backends.native import jit

PROGRAM = """
import symad as sm
from symad.backends.native import jit
made = []
original = jit._compile
jit._compile = lambda text, name, *how: made.append(name) or original(text, name, *how)
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


def test_code_that_others_could_have_written_is_not_run(folder: Path) -> None:
    run(folder)
    folder.chmod(0o777)
    assert int(run(folder)[-1]) > 0
    assert disk.load(next(folder.iterdir()).stem) is None


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
        disk.store(f"{age:064x}", b"x" * 200)
        os.utime(folder / f"{age:064x}.code", (age, age))
    (folder / "my.codebook.csv").write_bytes(b"x" * 2000)  # of somebody else
    disk._pruned.clear()
    disk.store(f"{10:064x}", b"x")
    left = sorted(path.name.lstrip("0") for path in folder.iterdir())
    assert left == ["5.code", "6.code", "7.code", "8.code", "9.code", "a.code", "my.codebook.csv"]


# Code that is found without its text

FORMS = """
import sys
import numpy as np
import symad as sm
{before}
x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int32")
y = sm.exp(x) * n
for outputs in (y, [y, x > 0], (y, x), {{"a": [y], 1: (x, n), "b": {{"a": x}}}}, {{"a": y, 2: x}}):
    f = sm.compile([x, n], outputs)
    print(f(2.0, 3), f(-1, np.int32(2)), f(0.5, 1), f(-1.0, 2))
{after}
"""


def output_of(program: str) -> str:
    start = [sys.executable, "-c", program]
    return subprocess.run(start, check=True, capture_output=True, text=True).stdout


has_loader = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="needs symad's own loader"
)


@has_loader
def test_scalar_functions_that_are_on_disk_need_no_llvm(folder: Path) -> None:
    after = 'print("llvmlite.binding" in sys.modules)'
    first, second = (output_of(FORMS.format(before="", after=after)) for _ in range(2))
    assert first.endswith("True\n") and second.endswith("False\n")
    assert first.splitlines()[:-1] == second.splitlines()[:-1]
    assert "{'a': [np.float64(22.16" in second


@has_loader
def test_dispatched_calls_and_arrays_find_their_code_too(folder: Path) -> None:
    after = """
v = sm.Variable("v", shape=(3,))
g = sm.compile([{"v": v}, x], sm.sum(sm.exp(v)) * x)
print(g({"v": [0.0, 1.0, 2.0]}, x=2), g({"v": np.zeros(3)}, 3.0), f(n=2, x=1.0))
"""
    first, second = (output_of(FORMS.format(before="", after=after)) for _ in range(2))
    assert first == second != ""


ARRAYS = """
import sys
import numpy as np
import symad as sm
rng = np.random.default_rng(0)
{before}
def show(inputs, outputs):
    variables = [sm.Variable(f"x{{k}}", x.shape, x.dtype) for k, x in enumerate(inputs)]
    f = sm.compile(variables, outputs(*variables))
    print([np.asarray(result).tobytes().hex() for result in f(*inputs)])
square, rows = rng.standard_normal((4, 4)), rng.standard_normal((30, 9))
def layers(a, w):
    loss = sm.sum(sm.log_softmax(sm.relu(a @ w) @ sm.permute_dims(w, (1, 0))) ** 2)
    return [loss, *sm.gradients(loss, [a, w])]
def loop(w, x):
    last, sums = sm.scan(lambda s, row: (sm.tanh(w @ s + row[:4]), sm.sum(s)), sm.zeros(4), x)
    loss = sm.sum(last) + sm.sum(sums)
    return [loss, *sm.gradients(loss, [w, x])]
def others(a, k):
    value = sm.linalg.solve(sm.exp(a), a) + sm.cumsum(a, axis=0) + sm.tril(a)
    slopes = sm.gradients(sm.sum(a[k] ** 2), a)
    return [value, sm.argmax(a, axis=1), a[k], slopes, a.astype("float32")]
show([rows, rng.standard_normal((9, 5))], layers)
show([square, rows], loop)
show([square, np.array([0, 2, 2])], others)
show([rows], lambda a: [sm.gradients(sm.sum(sm.cond(sm.sum(a) > 0, sm.sin, sm.cos, a)), a)])
{after}
"""


@has_loader
def test_programs_of_arrays_that_are_on_disk_need_no_llvm(folder: Path) -> None:
    after = 'print("llvmlite.binding" in sys.modules or "llvmlite.ir" in sys.modules)'
    first, second = (output_of(ARRAYS.format(before="", after=after)) for _ in range(2))
    assert first.endswith("True\n") and second.endswith("False\n")
    assert first.splitlines()[:-1] == second.splitlines()[:-1]


@has_loader
def test_files_that_are_damaged_are_made_again(folder: Path) -> None:
    program = ARRAYS.format(before="", after="")
    first = output_of(program)
    for k, path in enumerate(sorted(folder.iterdir())):
        content = bytearray(path.read_bytes())
        content[(7919 * k) % len(content)] ^= 1 << k % 8
        path.write_bytes(content if k % 3 else content[: len(content) // 2])
    assert output_of(program) == first == output_of(program)


def test_a_formula_in_a_loop_that_was_replaced_is_not_served_from_disk(folder: Path) -> None:
    plain = output_of(ARRAYS.format(before="", after=""))
    before = """
from symad.ops.exponential import Exp
Exp.element = staticmethod(lambda b, x: b.add(x, x))
"""
    changed = output_of(ARRAYS.format(before=before, after=""))
    assert changed != plain and output_of(ARRAYS.format(before="", after="")) == plain


def test_a_formula_that_was_replaced_is_not_served_from_disk(folder: Path) -> None:
    plain = output_of(FORMS.format(before="", after=""))
    before = """
from symad.ops.exponential import Exp
Exp.element = staticmethod(lambda b, x: b.add(x, x))
"""
    changed = output_of(FORMS.format(before=before, after=""))
    assert changed != plain and "np.float64(12.0)" in changed
    assert output_of(FORMS.format(before="", after="")) == plain


def test_what_code_depends_on_is_part_of_its_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make() -> tuple[str, list[str]]:
        made.append(1)
        return f"define i64 @f() {{\nret i64 {len(made)}\n}}", ["a note", "another"]

    def answer(structure: Any) -> int:
        module = jit.stored_module(structure, make, "test")
        assert module.notes == ("a note", "another")
        return ctypes.CFUNCTYPE(ctypes.c_int64)(module.address("f"))()

    if not disk._identity():
        pytest.skip("machines are not told apart here")
    assert [answer(s) for s in ("one", "two", "one", (1, 2), "two", object, object)] == [
        1, 2, 1, 3, 2, 4, 4
    ]  # fmt: skip
    assert answer(None) == 5 and answer(None) == 6
    assert answer(object()) == 7 and answer([make]) == 8  # their text is not the same elsewhere
    for name in ("_sources", "_machine", "_compiler"):
        with monkeypatch.context() as patch:
            disk._identity.cache_clear()
            patch.setattr(disk, name, lambda: ["another"])
            count = len(made)
            assert answer("one") == count + 1 and answer("one") == count + 1
    disk._identity.cache_clear()
    assert answer("one") == 1
    for path in folder.iterdir():
        if b"define" not in path.read_bytes() and path.stat().st_size > 300:
            path.unlink()  # the code, not what refers to it
    jit._loaded.clear()
    assert answer("one") == len(made)


# Files that are not what was stored


def replace_by(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # names of sockets are short
        server.bind(path.name)


ATTACKS: dict[str, Callable[[Path], Any]] = {
    "FIFO": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "link to a file like it": lambda path: path.symlink_to(path.with_name("copy.code")),
    "3 GB of nothing": sparse,
    "empty": Path.touch,
    "shorter than a digest": lambda path: path.write_bytes(b"x" * 31),
    "folder": Path.mkdir,
    "socket": listening,
    "text": lambda path: path.write_bytes(b"\0" * 999),
    "unreadable": lambda path: path.touch(0o000),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_file_of_ours_is_a_miss(
    attack: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    disk.store("key", b"code")
    os.link(folder / "key.code", folder / "copy.code")
    replace_by(folder / "key.code", ATTACKS[attack])
    assert disk.load("key") is None
    disk.store("key", b"new")  # and does not hinder anybody
    assert disk.load("key") == (None if attack == "folder" else b"new")
    assert sorted(path.name for path in folder.iterdir()) == ["copy.code", "key.code"]


def test_the_whole_runs_beside_damaged_files(folder: Path) -> None:
    expected = run(folder)
    for path, attack in zip(sorted(folder.iterdir()), list(ATTACKS.values()), strict=False):
        if attack is not listening:
            replace_by(path, attack)
    assert run(folder) == expected


def test_files_that_others_can_write_are_not_read(folder: Path) -> None:
    disk.store("key", b"code")
    (folder / "key.code").chmod(0o666)
    assert disk.load("key") is None


def test_files_of_another_user_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.store("key", b"code")
    mine = os.geteuid()
    asked: list[int] = []

    def somebody() -> int:
        """This user as the folder is checked, another as the file is."""
        asked.append(mine)
        return mine if len(asked) == 1 else mine + 1

    monkeypatch.setattr(disk.PrivateFolder, "_check_parents", lambda _: None)
    monkeypatch.setattr(os, "geteuid", somebody)
    assert disk.load("key") is None and len(asked) == 2


def test_a_file_is_bound_to_its_key(folder: Path) -> None:
    disk.store("one", b"first")
    disk.store("two", b"second")
    (folder / "one.code").rename(folder / "other.code")
    (folder / "two.code").rename(folder / "one.code")
    (folder / "other.code").rename(folder / "two.code")
    assert disk.load("one") is None and disk.load("two") is None


def test_files_that_change_places_change_no_answer(folder: Path) -> None:
    program = """
import symad as sm
s = sm.Variable("s")
print([sm.compile([s], s * factor + 1)(2.0) for factor in (2, 3, 5)])
"""
    start = [sys.executable, "-c", program]
    for _ in range(2):
        answer = subprocess.run(start, check=True, capture_output=True, text=True).stdout
        assert eval(answer, {"np": pytest.importorskip("numpy")}) == [5, 7, 11]
        paths = sorted(folder.iterdir())
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
            path.write_bytes(content)


# Folders that are not the user's alone


@pytest.mark.parametrize(("mode", "is_used"), [(0o777, False), (0o1777, True), (0o775, False)])
@pytest.mark.parametrize("height", [1, 3])
def test_parents_that_others_can_write(
    height: int, mode: int, is_used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "a" / "b" / "code"
    monkeypatch.setenv("SYMAD_CACHE_DIR", str(chosen))
    disk.store("key", b"code")
    assert disk.load("key") == b"code"
    chosen.parents[height - 1].chmod(mode)
    assert disk.load("key") == (b"code" if is_used else None)
    disk.store("other", b"code")
    assert (chosen / "other.code").exists() == is_used
    chosen.parents[height - 1].chmod(0o700)


@pytest.mark.parametrize("moment", ["check of the folder", "opening of the file", "check of it"])
def test_a_folder_that_is_swapped_is_not_read(
    moment: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who may write to a parent puts his folder there between a check and the use."""
    disk.store("key", b"good")
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o777)
    (theirs / "key.code").write_bytes(disk._digest("key", b"evil") + b"evil")
    calls = {"check of the folder": ("fstat", 1), "check of it": ("fstat", 3)}
    name, number = calls.get(moment, ("open", 2))
    original, seen = getattr(os, name), []

    def swapping(*given: Any, **named: Any) -> Any:
        seen.append(given)
        if len(seen) == number and name == "open":
            swap()
        result = original(*given, **named)
        if len(seen) == number and name == "fstat":
            swap()
        return result

    def swap() -> None:
        folder.rename(tmp_path / "aside")
        theirs.rename(folder)

    monkeypatch.setattr(os, name, swapping)
    assert disk.load("key") == b"good"
    assert len(seen) >= number and not theirs.exists()


def test_there_is_no_cache_where_folders_cannot_be_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.store("key", b"code")
    monkeypatch.setattr(os, "supports_dir_fd", set())
    assert disk.load("key") is None
    disk.store("other", b"code")
    assert [path.name for path in folder.iterdir()] == ["key.code"]
