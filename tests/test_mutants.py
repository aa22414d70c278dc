"""The faults that ``make mutants`` puts into the code."""

from __future__ import annotations

import ast
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
    """Texts, types, errors, defaults and samples are left alone."""
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


def test_a_fault_is_noticed_and_taken_out_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, tests = tmp_path / "symad" / "ops", tmp_path / "tests" / "ops"
    for folder in (package, tests):
        folder.mkdir(parents=True)
    (tests.parent / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--quick', action='store_true')\n"
    )
    module = package / "double.py"
    module.write_text("def double(x):\n    return 2 * x\n\n\ndef unused(x):\n    return 2 * x\n")
    (tests / "test_it.py").write_text(
        "import sys\nsys.path.insert(0, 'symad/ops')\nfrom double import double\n\n\n"
        "def test_double():\n    assert double(3) == 6\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "TESTS", {"ops": ["ops"]})
    faults = [fault for fault in mutants.faults_of(module) if fault.kind == "constant"]
    text = module.read_text()
    noticed = {fault.line: mutants.is_noticed(fault, tmp_path, 60) for fault in faults}
    assert noticed == {2: "failure", 6: ""}
    assert module.read_text() == text
