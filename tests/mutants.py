"""Put small faults into the code, one at a time, and see if tests notice: ``make mutants``.

A fault is a flipped operator, a negated or dropped condition, a constant that is off by one, two
arguments that change places, a lost result, or a statement left out.  A sample of the tests is
tried on it, those that call the faulty function; if none fails, all tests of its package.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mutant_trials import Trials

ROOT = Path(__file__).resolve().parents[1]

TESTS = {
    "ops": [
        "ops", "autodiff", "backends/test_op_table_native.py", "passes/test_rules.py", "functions",
        "graph", "inspection/test_costs.py", "test_special.py", "test_nn.py",
    ],
    "autodiff": ["autodiff", "ops", "test_testing.py", "inspection/test_find_nan.py"],
    "passes": ["passes", "plan", "backends/test_native_loops.py", "backends/test_differential.py"],
    "plan": ["plan", "runtime", "passes/test_golden_plans.py", "inspection", "tables"],
    "backends": ["backends", "runtime", "plan", "inspection/test_inside.py"],
    "runtime": ["runtime", "backends/test_native_safety.py", "inspection", "graph"],
}  # fmt: skip
"""The tests that should see a fault in each package, the most likely ones first."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip

UNTOUCHED = ("samples", "examples", "remedy", "__all__")
"""Names whose values are tests or texts."""

NEVER_SWAPPED = (
    "isinstance", "issubclass", "getattr", "hasattr",
    "and_", "or_", "xor", "add", "mul", "max", "min", "equal",
)  # fmt: skip
"""Functions that fail at once, whatever tests there are, if their arguments change places; and
those for which it makes no difference, as for the instructions of LLVM."""

DECLARED = ("strict", "slots", "frozen")
"""Keywords that only have a mistake elsewhere noticed: no result depends on them."""


@dataclass(frozen=True)
class Fault:
    """One small fault: ``old``, from ``start`` to ``end`` in a file, becomes ``new``."""

    path: Path
    kind: str
    start: int
    end: int
    old: str
    new: str
    line: int

    def __str__(self) -> str:
        texts = [" ".join(text.split()) for text in (self.old, self.new)]
        place = f"{self.path.relative_to(ROOT)}:{self.line}"
        return f"{place}: {self.kind}: {texts[0][:90]}  →  {texts[1][:90]}"

    def within(self, source: str) -> str:
        """Return the source with the fault in it; no other line moves."""
        return source[: self.start] + self.new + source[self.end :]


def faults_of(path: Path) -> list[Fault]:
    """Return all faults of a file."""
    source = path.read_text("utf-8")
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text))
    lines = source.splitlines()

    def offset(line: int, column: int) -> int:  # columns are bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    for node, kind, changed in _changes(ast.parse(source)):
        start, end = (
            offset(node.lineno, node.col_offset),
            offset(node.end_lineno or 0, node.end_col_offset or 0),
        )
        old, new = source[start:end], ast.unparse(changed)
        if isinstance(node, ast.expr):
            new = f"({new}{chr(10) * old.count(chr(10))})"
        else:
            new += "\n" * old.count("\n")
        found.append(Fault(path, kind, start, end, old, new, node.lineno))
    return found


Change = tuple["ast.expr | ast.stmt", str, ast.AST]


def _changes(tree: ast.Module) -> Iterator[Change]:
    """Yield nodes, kinds of faults, and what the nodes become."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield from _changes_of(node)
        pending += [child for child in ast.iter_child_nodes(node) if _is_code(child, node)]


NO_CODE = (ast.JoinedStr, ast.Raise, ast.Assert, ast.arguments, ast.Import, ast.ImportFrom)


def _is_code(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether a node is more than a text, a type, an error, an assertion, or a sample."""
    if isinstance(node, NO_CODE) or (isinstance(node, ast.keyword) and node.arg in DECLARED):
        return False
    if isinstance(node, ast.FunctionDef) and node.name.endswith(UNTOUCHED):
        return False
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return False
    if node in (getattr(parent, "annotation", None), getattr(parent, "returns", None)):
        return False
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    if any(isinstance(t, ast.Name) and t.id in UNTOUCHED for t in targets):
        return False
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return False
    if isinstance(parent, ast.Call) and getattr(parent.func, "id", "") == "Procedure":
        return node not in parent.args[4:6]  # graphs on which the rule is tried
    return not (isinstance(parent, ast.FunctionDef) and node in parent.decorator_list)


def _changes_of(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield node, "comparison", _with(node, ops=[COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        yield node, "operator", _with(node, op=OPERATORS[type(node.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node, "sign", node.operand
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, "and for or", _with(node, op=other)
        for k in range(len(node.values)):
            yield node, "dropped condition", _without(node, k)
    yield from _negated(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield node, "constant", ast.Constant(_other(node.value))
    if isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        starred = any(isinstance(argument, ast.Starred) for argument in (first, second))
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        alike = ast.dump(first) == ast.dump(second)
        if not starred and not alike and name not in NEVER_SWAPPED:
            yield node, "swapped arguments", _with(node, args=[second, first, *rest])
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield node, "lost result", ast.Return(ast.Constant(None))
    if isinstance(node, ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield node, "statement left out", ast.Pass()


def _other(value: float) -> float:
    """Return another constant; a tolerance or a bound is another by far."""
    if isinstance(value, bool):
        return not value
    return value + 1 if value + 1 != value and abs(value) >= 0.5 else 1000 * value + 1


def _negated(node: ast.AST) -> Iterator[Change]:
    tests: list[ast.expr] = list(node.ifs) if isinstance(node, ast.comprehension) else []
    if isinstance(node, (ast.If, ast.IfExp)):
        tests.append(node.test)
    for test in tests:
        yield test, "negated condition", ast.UnaryOp(ast.Not(), test)
        if not isinstance(node, ast.IfExp):
            yield test, "dropped condition", ast.Constant(True)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(node: ast.BoolOp, k: int) -> ast.AST:
    rest = [*node.values[:k], *node.values[k + 1 :]]
    return rest[0] if len(rest) == 1 else _with(node, values=rest)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def sample(packages: Sequence[str], count: int, seed: int) -> list[Fault]:
    """Return so many faults, the same for each seed; packages with more code have more."""
    found = [
        fault
        for package in packages
        for path in sorted((ROOT / "symad" / package).rglob("*.py"))
        for fault in faults_of(path)
    ]
    return random.Random(seed).sample(found, min(count, len(found)))


def paths_of(package: str) -> list[str]:
    """Return what should see a fault in a package: its examples, and tests."""
    return [f"symad/{package}", *(f"tests/{name}" for name in TESTS[package])]


# Running


def copy_sources(folder: Path) -> Path:
    """Copy what tests need to a folder."""
    names = ("symad", "tests", "docs", "benchmarks", "notebooks")
    for name in names:
        unwanted = shutil.ignore_patterns("__pycache__", "_build", "_generated")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for path in ROOT.glob("*.*"):
        if path.is_file():
            shutil.copy(path, folder)
    return folder


class Run:
    """A run over faults: by :mod:`tests.support.mutant_trials`, and one at a time in a copy.

    Parameters
    ----------
    faults : sequence of Fault
    sources : Path
        The copy.
    seconds : float
        The limit of processor time for the sample of the tests; the others have ten times as much.
    samples_only : bool
        Whether a fault that the sample does not notice is left at that.
    """

    def __init__(
        self, faults: Sequence[Fault], sources: Path, seconds: float, samples_only: bool
    ) -> None:
        self.faults, self.sources, self.seconds = faults, sources, seconds
        self.samples_only = samples_only
        self.found: Counter[str] = Counter()

    def tried(self, number: int, noticed: str, tests: list[str]) -> None:
        """Report a fault; what the sample does not notice may be noticed by all tests."""
        fault = self.faults[number]
        if noticed == "import":
            noticed = self._noticed(fault, tests[:MOST_TESTS], self.seconds + 60)
        if not noticed and not self.samples_only:
            package = fault.path.relative_to(ROOT).parts[1]
            paths = paths_of(package)
            noticed = self._noticed(fault, paths, 10 * self.seconds)
        self.found[noticed] += 1
        print(f"{noticed or 'SURVIVED':8}  {number}  {fault}", flush=True)

    def _noticed(self, fault: Fault, tests: Sequence[str], seconds: float) -> str:
        """Return how tests in the copy notice a fault: "failure", "time"; empty if they do not."""
        target = self.sources / fault.path.relative_to(ROOT)
        original = target.read_text("utf-8")
        target.write_text(fault.within(original), "utf-8")
        try:
            return _run(self.sources, tests, seconds) if tests else ""
        finally:
            target.write_text(original, "utf-8")


MOST_TESTS = 150
"""As many are tried on code that runs when a module is loaded, those first that call the least."""


def _run(sources: Path, arguments: Sequence[str], seconds: float) -> str:
    """Run tests until one fails, with no machine code of other faults."""
    with tempfile.TemporaryDirectory() as cache:
        settings = {"PYTHONPATH": str(sources), "SYMAD_CACHE_DIR": cache, "JAX_PLATFORMS": "cpu"}
        settings |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command.append("--doctest-modules")
        try:
            done = subprocess.run(
                [*command, *arguments],
                cwd=sources,
                env={**os.environ, **settings},
                capture_output=True,
                timeout=4 * seconds,
            )
        except subprocess.TimeoutExpired:
            return "time"
    return "" if done.returncode == 0 else "failure"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a sample of faults, and report each that no test notices."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first one to try")
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time for one")
    parser.add_argument("--samples-only", action="store_true", help="run a sample of tests alone")
    parser.add_argument("--list", action="store_true", help="print the faults, and run nothing")
    parser.add_argument("packages", nargs="*", default=list(TESTS), help="packages of symad")
    options = parser.parse_args(arguments)
    faults = sample(options.packages, options.count, options.seed)[options.first :]
    if options.list:
        print(*faults, sep="\n")
        return 0
    paths = dict.fromkeys(path for package in options.packages for path in paths_of(package))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(faults, copy_sources(Path(folder)), options.seconds, options.samples_only)
        sources = [(fault.path, fault.path.read_text("utf-8")) for fault in faults]
        pairs = zip(faults, sources, strict=True)
        changes = [(path, text, fault.within(text)) for fault, (path, text) in pairs]
        trials = Trials(ROOT, changes, options.seconds, run.tried)
        quick = ["-q", "--quick", "--doctest-modules", "--capture=no", "-p", "no:cacheprovider"]
        os.environ |= {"SYMAD_FUZZ_JAX": "0", "SYMAD_FUZZ_GRAPHS": "40"}
        os.environ["SYMAD_CACHE_DIR"] = ""  # machine code that was stored has no faults
        with contextlib.chdir(ROOT):
            pytest.main([*quick, *paths], plugins=[trials])
    caught = run.found.total() - run.found[""]
    print(f"{caught} of {run.found.total()} faults caught ({caught / max(len(faults), 1):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
