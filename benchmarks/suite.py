"""All measurements, and the workers that make them."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.workload import Workload, library_of

ROOT = Path(__file__).resolve().parent.parent

LONGEST = 900
"""Seconds after which a worker is stopped."""

SLOW_TO_BUILD = ("torch, compiled",)
"""Measurements that a quick run skips."""

NO_COMPILER = ("math", "numpy")
"""Libraries without a graph: they have no time to the first answer."""


@dataclass
class Results:
    """The measurements, by the names of workloads and labels.

    Attributes
    ----------
    times : dict
        Seconds per call, one for each round; rounds are comparable within a workload.
    first : dict
        "fresh" and "again": seconds to the first answer.
    memory : dict
        "first", "calls" and "bound": bytes.
    failures : list of (workload, label, reason)
    """

    times: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    first: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    memory: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    failures: list[tuple[str, str, str]] = field(default_factory=list)


class WorkerFailed(Exception):
    """A worker ended without an answer."""


def chosen_labels(workload: Workload, libraries: Iterable[str], quick: bool) -> list[str]:
    """Return the labels of a workload to be measured, symad's first."""
    wanted = {"symad", "math", "numpy", *libraries}
    labels = [label for label in workload.implementations if library_of(label) in wanted]
    labels = [label for label in labels if not (quick and label in SLOW_TO_BUILD)]
    return sorted(labels, key=lambda label: library_of(label) != "symad")


def measure_all(
    workloads: Sequence[Workload],
    libraries: Sequence[str],
    quick: bool,
    report: Callable[[str], object],
) -> Results:
    """Measure each workload; ``report`` receives progress messages."""
    # Installers compile the modules of the peers, an editable installation of symad leaves them.
    compileall.compile_dir(ROOT / "symad", quiet=2)
    with tempfile.TemporaryDirectory() as scratch:
        suite = Suite(libraries, quick, report, scratch)
        for workload in workloads:
            suite.measure(workload)
    return suite.results


class Suite:
    """The measurements of one run.

    Parameters
    ----------
    libraries : sequence of str
        The libraries to measure besides symad and hand-written code.
    quick : bool
        Whether to use fewer and shorter rounds.
    report : callable
        Receives progress messages.
    scratch : str
        An empty folder, where workers may store compiled code.
    """

    def __init__(
        self,
        libraries: Sequence[str],
        quick: bool,
        report: Callable[[str], object],
        scratch: str,
    ) -> None:
        self.results = Results()
        self._libraries, self._quick = libraries, quick
        self._report, self._scratch = report, scratch

    def measure(self, workload: Workload) -> None:
        """Make all measurements of a workload."""
        if workload.threads > machine.available_cores():
            self._fail(workload, "all", f"there are not {workload.threads} cores")
            return
        labels = chosen_labels(workload, self._libraries, self._quick)
        self._measure_speed(workload, labels)
        if workload.once:
            alone = [label for label in labels if label == library_of(label)]
            self._measure_first_answers(workload, alone)
            self._measure_memory(workload, alone)

    def _measure_speed(self, workload: Workload, labels: Sequence[str]) -> None:
        self._report(f"{workload.name}: speed")
        found = self._run("speed", workload, labels)
        if found:
            self.results.times[workload.name] = found["times"]
            for label, reason in found["failures"].items():
                self._fail(workload, label, reason)

    def _measure_first_answers(self, workload: Workload, labels: Sequence[str]) -> None:
        """Measure each in a separate process, in turns; those that take seconds only once."""
        self._report(f"{workload.name}: first answers")
        waiting = [label for label in labels if library_of(label) not in NO_COMPILER]
        first = self.results.first.setdefault(workload.name, {})
        for _ in range(1 if self._quick else 3):
            for label in tuple(waiting):
                found = self._run("first", workload, [label])
                if found:
                    kept = first.setdefault(label, {"fresh": [], "again": []})
                    kept["fresh"].append(found["fresh"])
                    kept["again"] += found["again"]
                if not found or found["fresh"] > 2:
                    waiting.remove(label)

    def _measure_memory(self, workload: Workload, labels: Sequence[str]) -> None:
        self._report(f"{workload.name}: memory")
        memory = self.results.memory.setdefault(workload.name, {})
        for label in labels:
            found = self._run("memory", workload, [label])
            if found:
                memory[label] = found

    def _run(self, measure: str, workload: Workload, labels: Sequence[str]) -> Any:
        """Return the result of a worker, or None.  First answers start with an empty disk cache."""
        try:
            if measure != "first":
                return run_worker(measure, workload, labels, self._quick, self._scratch)
            with tempfile.TemporaryDirectory() as empty:
                return run_worker(measure, workload, labels, self._quick, empty)
        except WorkerFailed as error:
            self._fail(workload, labels[0] if len(labels) == 1 else "all", f"{measure}: {error}")
            return None

    def _fail(self, workload: Workload, label: str, reason: str) -> None:
        self.results.failures.append((workload.name, label, reason))


def run_worker(
    measure: str, workload: Workload, labels: Sequence[str], quick: bool, scratch: str
) -> Any:
    """Return the result of a worker process.

    Raises
    ------
    WorkerFailed
        If it crashes or takes too long.
    """
    request = {
        "measure": measure,
        "workload": workload.name,
        "labels": list(labels),
        "threads": workload.threads,
        "quick": quick,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(request)],
            env=machine.environment(workload.threads, scratch),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise WorkerFailed(f"no answer after {LONGEST} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise WorkerFailed(lines[-1] if lines else f"exit status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
