"""The faults that ``make mutants`` puts into the code."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutants

SOURCE = '''"""A module."""
samples = (1, 2)

def f(a: int, b: int = 3) -> float:
    """Text."""
    é = [k for k in (a, b) if k > 0]
    if a < b and not é:
        raise ValueError("a", "b")
    g(a, b)
    assert a != 7
    h(a, a, strict=True)
    a += 1
    return (a +
            b) * -a if isinstance(a, int) else True
'''

EXPECTED = {
    ("comparison", "k > 0", "(k >= 0)"),
    ("negated condition", "k > 0", "(not k > 0)"),
    ("dropped condition", "k > 0", "(True)"),
    ("constant", "0", "(1)"),
    ("comparison", "a < b", "(a <= b)"),
    ("and for or", "a < b and not é", "(a < b or not é)"),
    ("dropped condition", "a < b and not é", "(not é)"),
    ("dropped condition", "a < b and not é", "(a < b)"),
    ("dropped condition", "a < b and not é", "(True)"),
    ("negated condition", "a < b and not é", "(not (a < b and not é))"),
    ("swapped arguments", "g(a, b)", "(g(b, a))"),
    ("statement left out", "g(a, b)", "pass"),
    ("statement left out", "h(a, a, strict=True)", "pass"),
    ("operator", "a += 1", "a -= 1"),
    ("statement left out", "a += 1", "pass"),
    ("constant", "1", "(2)"),
    ("operator", "a +\n            b", "(a - b\n)"),
    ("operator", "(a +\n            b) * -a", "((a + b) / -a\n)"),
    ("sign", "-a", "(a)"),
    ("negated condition", "isinstance(a, int)", "(not isinstance(a, int))"),
    ("constant", "True", "(False)"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "module.py"
    found.write_text(SOURCE, "utf-8")
    return found


def meaning(text: str) -> str:
    return ast.dump(ast.parse(text))


def test_faults_are_found(path: Path) -> None:
    """Texts, types, errors, assertions, defaults and samples are left alone."""
    found = mutants.faults_of(path)
    lost = [fault.new for fault in found if fault.kind == "lost result"]
    assert lost == ["return None\n"]
    others = {(f.kind, f.old, meaning(f.new)) for f in found if f.kind != "lost result"}
    assert others == {(kind, old, meaning(new)) for kind, old, new in EXPECTED}


def test_a_fault_changes_one_place_and_no_other_line(path: Path) -> None:
    for fault in mutants.faults_of(path):
        source = fault.within(SOURCE)
        ast.parse(source)
        changed = [a != b for a, b in zip(SOURCE.split("\n"), source.split("\n"), strict=True)]
        assert 1 <= sum(changed) <= 1 + fault.old.count("\n")


def test_a_sample_is_the_same_each_time() -> None:
    one, other = (mutants.sample(["plan", "runtime"], 20, 5) for _ in range(2))
    assert one == other and len(set(one)) == 20
    assert all(" → " in str(fault) for fault in one)


def test_there_are_tests_for_each_package() -> None:
    for package, names in mutants.TESTS.items():
        assert (mutants.ROOT / "symad" / package).is_dir()
        assert all((mutants.ROOT / "tests" / name).exists() for name in names)


MODULE = '''"""A module."""
TWO = 2

def double(x):
    return TWO * x

def shifted(by):
    def shift(x):
        return x + by if x > 5 else x
    return shift

def endless(x):
    while x < 3:
        x += 1
    return x

def unused(x):
    return -x
'''

DRIVER = """
import pathlib, sys
from tests import mutants

mutants.ROOT = pathlib.Path(sys.argv[1])
mutants.TESTS = {"ops": ["ops"]}
mutants.main(["--count", "100", "--seconds", "1"])
"""


def test_faults_are_noticed_by_the_tests_that_call_them(tmp_path: Path) -> None:
    for name in ("symad/ops", "tests/ops", "docs", "benchmarks", "notebooks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tests/conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--quick', action='store_true')\n"
    )
    (tmp_path / "symad/ops/double.py").write_text(MODULE)
    (tmp_path / "tests/ops/test_it.py").write_text(
        "import sys\nsys.path.insert(0, 'symad/ops')\nfrom double import *\n\n\n"
        "shift = shifted(2)\n\n\n"
        "def test_all():\n    assert (double(3), shift(6), shift(4)) == (6, 8, 4)\n\n\n"
        "def test_end():\n    assert endless(0) == 3\n"
    )
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    root = {**os.environ, "PYTHONPATH": str(mutants.ROOT)}
    done = subprocess.run(command, env=root, capture_output=True, text=True, timeout=300)
    lines = [line.split() for line in done.stdout.splitlines() if "double.py:" in line]
    found = {" ".join(words[3:]): words[0] for words in lines}
    assert found.pop("constant: 2 → (3)") == "failure"  # which runs at import
    assert found.pop("statement left out: x += 1 → pass") == "time"
    assert found.pop("comparison: x > 5 → (x >= 5)") == "SURVIVED"
    assert found.pop("sign: -x → (x)") == found.pop("lost result: return -x → return None")
    assert found.pop("operator: x += 1 → x -= 1") == "time"
    assert len(found) > 6 and set(found.values()) == {"failure"}, found
    assert (tmp_path / "symad/ops/double.py").read_text() == MODULE
