"""The backend "jax" beside hand-written JAX: how many times as fast, on the workloads.

``python -m benchmarks.jax_backend`` measures each workload that has an implementation in JAX, in a
process of its own, after both answers have been checked.  Times are processor time.  The ratio is
the median over rounds in which both take turns; above 1, symad's program is the faster one.
``--only hmm,attention`` selects workloads, and ``--rounds`` says how many rounds are made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import process_time
from typing import Any

from benchmarks import machine
from benchmarks.report import table
from benchmarks.suite import ROOT

LEAST, LEAST_OF = 0.92, {"layer-norm": 0.88, "layer-norm-32": 0.88}
"""The ratios that the backend should reach."""

LEFT_OUT = {"new-batch-size": "each new size is a new program, for both"}
"""Workloads that measure something else, and why."""


def chosen() -> list[str]:
    """Return the names of the workloads that both can run."""
    from benchmarks.workloads import WORKLOADS

    both = [name for name, w in WORKLOADS.items() if {"symad", "jax"} <= w.implementations.keys()]
    return [name for name in both if name not in LEFT_OUT]


@contextmanager
def compiling_for_jax() -> Iterator[None]:
    """Let ``sm.compile`` choose the backend "jax" where it is not told another one."""
    import symad as sm

    compile_ = sm.compile
    sm.compile = partial(compile_, backend="jax")  # type: ignore[assignment]
    try:
        yield
    finally:
        sm.compile = compile_  # type: ignore[assignment]


def measure(name: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a call in each round: of the backend, and of hand-written JAX."""
    from benchmarks.timing import batch_of, interleaved
    from benchmarks.workload import built
    from benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[name]
    inputs = workload.inputs(*workload.size)
    with compiling_for_jax():
        made = {"symad": built(workload, "symad", inputs)}
    made["jax"] = built(workload, "jax", inputs)
    batches = {
        label: batch_of(one.call, one.arguments, process_time) for label, one in made.items()
    }
    return interleaved(batches, rounds, 0.05)


def in_worker(name: str, rounds: int) -> dict[str, list[float]]:
    """Return what :func:`measure` does, from a process with the settings of the workload."""
    from benchmarks.workloads import WORKLOADS

    threads = WORKLOADS[name].threads
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.jax_backend", "--worker", name, str(threads),
             "--rounds", str(rounds)],
            env=machine.environment(threads, scratch), cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
    if run.returncode:
        raise SystemExit(f"{name}: {run.stderr}")
    found: dict[str, list[float]] = json.loads(run.stdout.splitlines()[-1])
    return found


def row(name: str, times: dict[str, list[float]]) -> list[Any]:
    """Return the cells of one workload."""
    from benchmarks.timing import ratio, spread

    found, least = ratio(times["jax"], times["symad"]), LEAST_OF.get(name, LEAST)
    micros = [f"{1e6 * spread(times[label]).median:.4g}" for label in ("symad", "jax")]
    verdict = "" if found.median >= least else f"below {least}"
    return [name, *micros, f"{found.median:.2f}", f"{found.low:.2f}–{found.high:.2f}", verdict]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", nargs=2)
    options = parser.parse_args()
    if options.worker:
        name, threads = options.worker
        machine.pin(int(threads))
        print(json.dumps(measure(name, options.rounds)))
        return
    rows = [row(name, in_worker(name, options.rounds)) for name in options.only or chosen()]
    print(table(["workload", "symad µs", "JAX µs", "JAX / symad", "quartiles", "target"], rows))


if __name__ == "__main__":
    main()
