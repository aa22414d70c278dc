"""First answers: processor time from an empty graph to the first results, in fresh processes.

``python -m benchmarks.first_answers`` prints milliseconds, timed after the library is imported:
"cold" with empty caches, "from disk" in a process after another one that left its machine code on
disk.  Each time is the median of several processes, those of both libraries in turn; each answer is
checked.  ``--only hmm,kalman`` selects works.
"""

from __future__ import annotations

import argparse
import compileall
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
    disk: float
    in_milliseconds: tuple[str, ...] = field(default=())


LIMITS = {
    "running-example": Limits(0.4, 10, ("disk",)),
    "network-step": Limits(120, 25, ("cold", "disk")),
    "hmm": Limits(0.4, 0.3),
    "lstm-32": Limits(0.4, 0.3),
    "kalman": Limits(0.6, 0.4),
}


def measured(name: str, rounds: int) -> dict[str, float]:
    """Return milliseconds of symad, "cold" and from "disk", and of "jax"."""
    times: dict[str, list[float]] = {"cold": [], "disk": [], "jax": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            for kind in times:
                label = "jax" if kind == "jax" else "symad"
                found = run_worker("first", WORKLOADS[name], [label], True, scratch)
                times[kind].append(1e3 * found["processor"])
    return {kind: statistics.median(row) for kind, row in times.items()}


def row(name: str, times: dict[str, float]) -> list[str]:
    """Return the cells of one work."""
    cells = [name, f"{times['jax']:.0f}"]
    limits = LIMITS[name]
    for kind, limit in (("cold", limits.cold), ("disk", limits.disk)):
        ratio = times[kind] / times["jax"]
        is_absolute = kind in limits.in_milliseconds
        is_met = (times[kind] if is_absolute else ratio) <= limit
        shown = f"{limit} ms" if is_absolute else f"{limit}"
        cells += [f"{times[kind]:.1f}", f"{ratio:.2f}", shown, "yes" if is_met else "no"]
    return cells


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
