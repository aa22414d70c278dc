"""Run the suite's evals with symad and with the suite's own tools, and write a table.

``python -m benchmarks.gradbench.comparison ROOT``, where ROOT is a checkout of GradBench.  The
evals make the inputs and check the answers, most of them against the suite's C++ programs, which
are compiled first.  They need pydantic and dataclasses-json.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.gradbench.table import section, with_section

REPOSITORY = Path(__file__).parents[2]

EVALS: dict[str, str] = {
    "hello": "",
    "lse": "-n 2500 20000 160000",
    "llsq": "-n 16 256 4096 16392",
    "kmeans": "-k 10 100 -n 1000 -d 8 16",
    "gmm": "-d 2 10 32 -k 5 25",
    "ode": "-n 1000 10000 -s 10 100",
    "det": "-l 5 6 7 8 9",
    "lstm": "-l 2 4 -c 1024",
    "ba": "--max 1",
    "ht": "--max 3",
    "particle": "",
    "saddle": "",
}
"""The sizes: some of the suite's own, so that all evals and tools take a quarter of an hour."""

REPEATS = ["--min-runs", "10", "--min-seconds", "0.2"]

LIMIT = 900
"""The most seconds that a tool may take for an eval."""


@dataclass(frozen=True)
class Tool:
    """A tool: its command, the folder to run it in, and the evals that it has."""

    name: str
    command: Sequence[str]
    folder: Path
    evals: frozenset[str] = field(default=frozenset(EVALS))


@dataclass
class Measured:
    """What a tool did in an eval: seconds of each evaluation, best of its runs, and failures."""

    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    latest: tuple[str, str] = ("", "")


def tools_of(root: Path) -> list[Tool]:
    """Return symad, and the tools of a checkout that can run here."""
    found = [Tool("symad", [sys.executable, "-m", "benchmarks.gradbench"], REPOSITORY)]
    script = root / "python" / "gradbench" / "gradbench" / "cpp.py"
    found.append(Tool("C++", [sys.executable, str(script), "manual"], root, _evals(root, "manual")))
    for library, tool, name in (("jax", "jax", "JAX"), ("torch", "pytorch", "PyTorch")):
        if importlib.util.find_spec(library) is not None:
            command = [sys.executable, "-m", "benchmarks.gradbench.waiting", tool, str(root)]
            found.append(Tool(name, command, REPOSITORY, _evals(root, tool)))
    return found


def _evals(root: Path, tool: str) -> frozenset[str]:
    """Return the evals that a tool of the suite says it can do."""
    lines = (root / "tools" / tool / "evals.txt").read_text().splitlines()
    return frozenset(line for line in lines if " " not in line)


def compile_reference(root: Path) -> None:
    """Compile the C++ programs, which evals need to check answers."""
    for folder in ("cpp", "tools/manual"):
        command = ["make", "-C", str(root / folder), *(["all"] if "manual" in folder else [])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(name: str, tool: Tool, root: Path) -> Measured:
    """Run an eval with a tool: pass messages on, and note times, failures and wrong answers."""
    script = root / "python" / "gradbench" / "gradbench" / "evals" / name / "run.py"
    repeats = REPEATS if name != "hello" else []
    command = [sys.executable, str(script), *EVALS[name].split(), *repeats]
    measured = Measured()
    try:
        with (
            _started(command, root, root) as asking,
            _started(tool.command, tool.folder, root) as told,
            _limited(asking, told),
        ):
            for question, answer in _conversation(asking, told):
                _note(measured, question, answer)
    except (OSError, ValueError):  # a pipe broke, or a line is not JSON: a process ended
        measured.failures.append(f"ended early: crashed, or took more than {LIMIT} s")
    return measured


@contextlib.contextmanager
def _limited(*processes: subprocess.Popen) -> Iterator[None]:
    """End processes after the block, or after the most time that they may take."""

    def end() -> None:
        for process in processes:
            process.kill()

    watch = threading.Timer(LIMIT, end)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        end()


def _started(command: Sequence[str], folder: Path, root: Path) -> subprocess.Popen:
    paths = str(REPOSITORY), str(root / "python" / "gradbench")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True
    )


def _conversation(asking: subprocess.Popen, told: subprocess.Popen) -> Iterator[tuple[Any, Any]]:
    for line in asking.stdout:
        told.stdin.write(line)
        told.stdin.flush()
        answer = told.stdout.readline()
        asking.stdin.write(answer)
        asking.stdin.flush()
        yield json.loads(line), json.loads(answer)


def _note(measured: Measured, question: dict[str, Any], answer: dict[str, Any]) -> None:
    kind = question["kind"]
    if not answer.get("success", True):
        measured.failures.append(answer.get("error", "failed").strip().splitlines()[-1])
    elif kind == "evaluate":
        times = [t["nanoseconds"] for t in answer.get("timings", ()) if t["name"] == "evaluate"]
        measured.latest = question["function"], question.get("description", "")
        if times:
            measured.seconds[measured.latest] = min(times) / 1e9
    elif kind == "analysis" and not question["valid"]:
        measured.seconds.pop(measured.latest, None)
        measured.failures.append(f"wrong answer: {question['error'].splitlines()[0]}")


def write(path: Path, results: dict[str, dict[str, Measured]]) -> None:
    """Replace the section on GradBench of a page."""
    page = path.read_text() if path.exists() else ""
    path.write_text(with_section(page, section(results, machine.cpu_name())))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradbench.comparison")
    parser.add_argument("root", type=Path, help="a checkout of github.com/gradbench/gradbench")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(EVALS))
    parser.add_argument("--output", type=Path, help="a page whose section on GradBench to replace")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    compile_reference(root)
    machine.pin(1)
    results: dict[str, dict[str, Measured]] = {}
    for name in options.only:
        results[name] = {}
        for tool in tools_of(root):
            if name in tool.evals:
                print(f"{name}: {tool.name}", file=sys.stderr, flush=True)
                results[name][tool.name] = run(name, tool, root)
        if options.output:  # after each eval, so that nothing is lost if a later one is interrupted
            write(options.output, results)
    if not options.output:
        print(section(results, machine.cpu_name()))
    return int(any(found["symad"].failures for found in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
