"""All measurements: which there are, and the workers that make them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import machine
from benchmarks.workload import Workload, library_of

LONGEST = 900
"""Seconds after which a worker is given up."""

SLOW_TO_BUILD = ("torch, compiled",)
"""What a quick run leaves out."""

NO_COMPILER = ("math", "numpy")
"""Libraries without a graph: there is no first answer to wait for."""


@dataclass
class Results:
    """What was measured, by the names of workloads and labels.

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
    """Return the labels of a workload that are to be measured, symad's first."""
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
    """Measure each workload; ``report`` is told what is being done."""
    results = Results()
    for workload in workloads:
        if workload.threads > machine.available_cores():
            reason = f"there are not {workload.threads} cores"
            results.failures.append((workload.name, "all", reason))
            continue
        report(f"{workload.name}: speed")
        labels = chosen_labels(workload, libraries, quick)
        _measure_speed(workload, labels, quick, results)
        if workload.once:
            report(f"{workload.name}: first answer and memory")
            alone = [label for label in labels if label == library_of(label)]
            _measure_alone(workload, alone, quick, results)
    return results


def _measure_speed(
    workload: Workload, labels: Sequence[str], quick: bool, results: Results
) -> None:
    try:
        found = run_worker("speed", workload, labels, quick)
    except WorkerFailed as error:
        results.failures.append((workload.name, "all", str(error)))
        return
    results.times[workload.name] = found["times"]
    failures = found["failures"].items()
    results.failures += [(workload.name, label, reason) for label, reason in failures]


def _measure_alone(
    workload: Workload, labels: Sequence[str], quick: bool, results: Results
) -> None:
    """Measure what needs a process for each library; these take turns, too."""
    first: dict[str, dict[str, list[float]]] = {}
    memory: dict[str, dict[str, int]] = {}
    for repetition in range(1 if quick else 3):
        for label in labels:
            try:
                if library_of(label) not in NO_COMPILER:
                    found = run_worker("first", workload, [label], quick)
                    kept = first.setdefault(label, {"fresh": [], "again": []})
                    kept["fresh"].append(found["fresh"])
                    kept["again"] += found["again"]
                if repetition == 0:
                    memory[label] = run_worker("memory", workload, [label], quick)
            except WorkerFailed as error:
                results.failures.append((workload.name, label, str(error)))
    results.first[workload.name] = first
    results.memory[workload.name] = memory


def run_worker(measure: str, workload: Workload, labels: Sequence[str], quick: bool) -> Any:
    """Return what a worker process finds.

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
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(request)]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                command,
                env=machine.environment(workload.threads, scratch),
                capture_output=True,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"{measure}: no answer after {LONGEST} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise WorkerFailed(f"{measure}: {last}")
    return json.loads(done.stdout.splitlines()[-1])
