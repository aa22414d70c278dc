"""First answers: processor time from an empty graph to the first results, in fresh processes.

``python -m benchmarks.first_answers`` prints milliseconds, timed after the library is imported:
"cold" with empty caches, "from disk" in a process after another one that left its machine code on
disk.  Each time is the median of several processes, those of both libraries in turn; each answer is
checked.  JAX does not take part in the works with sparse derivatives.  ``--only hmm,kalman``
selects works.
"""

from __future__ import annotations

import argparse
import compileall
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import table
from benchmarks.suite import ROOT, run_worker
from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True)
class Limits:
    """The most that symad should take, as a ratio to JAX or in milliseconds."""

    cold: float
    disk: float | None = None
    in_milliseconds: tuple[str, ...] = field(default=())


LIMITS = {
    "running-example": Limits(0.4, 10, ("disk",)),
    "network-step": Limits(120, 25, ("cold", "disk")),
    "hmm": Limits(0.4, 0.3),
    "lstm-32": Limits(0.4, 0.3),
    "kalman": Limits(0.6, 0.4),
    "sparse-jacobian": Limits(300, in_milliseconds=("cold",)),
    "sparse-hessian": Limits(300, in_milliseconds=("cold",)),
    "sparse-jacobian-large": Limits(500, in_milliseconds=("cold",)),
    "sparse-hessian-large": Limits(500, in_milliseconds=("cold",)),
    "shooting-jacobian": Limits(1000, in_milliseconds=("cold",)),
    "shooting-hessian": Limits(1000, in_milliseconds=("cold",)),
}


def measured(name: str, rounds: int) -> dict[str, float]:
    """Return milliseconds of symad, "cold" and from "disk", and of "jax" if it takes part."""
    kinds = ["cold", "disk", "jax"][: 2 + ("jax" in WORKLOADS[name].implementations)]
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            for kind in times:
                label = "jax" if kind == "jax" else "symad"
                found = run_worker("first", WORKLOADS[name], [label], True, scratch)
                times[kind].append(1e3 * found["processor"])
    return {kind: statistics.median(row) for kind, row in times.items()}


def row(name: str, times: dict[str, float]) -> list[str]:
    """Return the cells of one work."""
    limits, jax = LIMITS[name], times.get("jax", math.nan)
    cells = [name, f"{jax:.0f}"]
    for kind, limit in (("cold", limits.cold), ("disk", limits.disk)):
        cells += [f"{times[kind]:.1f}", f"{times[kind] / jax:.2f}"]
        cells += ["", ""] if limit is None else verdict(limits, kind, limit, times[kind], jax)
    return cells


def verdict(limits: Limits, kind: str, limit: float, time: float, jax: float) -> list[str]:
    """Return the cells of a limit, and whether it is met."""
    if kind in limits.in_milliseconds:
        return [f"{limit} ms", "yes" if time <= limit else "no"]
    return [f"{limit}", "yes" if time / jax <= limit else "no"]


HEAD = ("work", "jax", "cold", "÷ jax", "limit", "met", "from disk", "÷ jax", "limit", "met")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(LIMITS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    compileall.compile_dir(ROOT / "symad", quiet=2)  # as installers do
    rows = [row(name, measured(name, options.rounds)) for name in options.only.split(",")]
    print(table(HEAD, rows))


if __name__ == "__main__":
    main(sys.argv[1:])
