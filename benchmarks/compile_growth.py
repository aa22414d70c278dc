"""Compile time and memory of long chains: how each step from the expression to a call grows.

``python -m benchmarks.compile_growth`` builds y ← sin(y)·x + y of 1 000, 10 000 and 100 000
steps, differentiates, compiles and runs it, each length in a process of its own.  It prints
the processor time of each stage in microseconds per node of the graph with its gradient, the peak
memory, and the growth exponent: 1 if time is proportional to length.  ``--casadi`` also measures
the same chain in CasADi, if it is installed, and prints the ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np

from benchmarks import machine

_AT = 0.01
CODE = "from benchmarks.compile_growth import {0}; import json; print(json.dumps({0}({1}, {2!r})))"


def chain(x: Any, sin: Any, steps: int) -> Any:
    """Return y after so many steps from x; at 0.01, value and slope stay finite."""
    y = x
    for _ in range(steps):
        y = sin(y) * x + y
    return y


def expected(x: float, steps: int) -> tuple[float, float]:
    """Return the value and the slope of the chain at a number."""
    y, slope = x, 1.0
    for _ in range(steps):
        slope, y = math.cos(y) * slope * x + math.sin(y) + slope, math.sin(y) * x + y
    return y, slope


def symad_stages(steps: int, backend: str) -> dict[str, Any]:
    """Return the seconds of each stage, the nodes of the graph and the peak bytes of symad."""
    import symad as sm

    warm = sm.Variable("x", shape=())
    sm.compile([warm], sm.gradients(chain(warm, sm.sin, 3), warm), backend=backend)(_AT)
    before = machine.resident_bytes()
    machine.reset_peak()
    times: dict[str, float] = {}
    start = process_time()

    def lap(name: str) -> None:
        nonlocal start
        now = process_time()
        times[name], start = now - start, now

    x = sm.Variable("x", shape=())
    y = chain(x, sm.sin, steps)
    lap("build")
    slope = sm.gradients(y, x)
    lap("gradient")
    f = sm.compile([x], [y, slope], backend=backend)
    lap("graph")
    nodes = len(f.graph)
    program = run_pipeline(f, lap)
    values = program([np.float64(_AT)])
    lap("first call")
    peak = machine.peak_bytes() - before
    start = process_time()
    program([np.float64(_AT)])
    lap("call")
    check(values, steps)
    return {"times": times, "nodes": nodes, "peak": peak}


def run_pipeline(f: Any, lap: Callable[[str], None]) -> Any:
    """Return the program of a function for its declared types, with a lap for each step."""
    from symad.graph.collector import collector_paused
    from symad.runtime.pipeline import PASSES, STAGES, Job

    settings = f.settings
    job = Job(settings.grade, [x.type for x in f.graph.inputs], backend=settings.backend)
    thing = f.graph
    with collector_paused():  # as when a function is called
        for step in PASSES:
            if step.applies(thing, job):
                thing = step.run(thing, job, lambda rewriting: None)
                lap(step.name)
        for stage in STAGES:
            space = settings.backend.workspace(f.graph, settings)
            thing = stage.run(settings.backend, thing, settings, space)
            lap(stage.name)
    return thing


def casadi_stages(steps: int, _: str) -> dict[str, Any]:
    """Return the same for scalar expressions of CasADi."""
    import casadi

    before = machine.resident_bytes()
    machine.reset_peak()
    start = process_time()
    x = casadi.SX.sym("x")
    y = chain(x, casadi.sin, steps)
    built = process_time()
    slope = casadi.gradient(y, x)
    derived = process_time()
    f = casadi.Function("f", [x], [y, slope])
    values = f(_AT)
    compiled = process_time()
    f(_AT)
    called = process_time()
    check([float(value) for value in values], steps)
    times = {"build": built - start, "gradient": derived - built, "graph": compiled - derived}
    nodes = f.n_instructions()
    times["call"] = called - compiled
    return {"times": times, "nodes": nodes, "peak": machine.peak_bytes() - before}


def check(values: Sequence[float], steps: int) -> None:
    """Raise an error if values differ from those of a loop."""
    for value, right in zip(values, expected(_AT, steps), strict=True):
        assert math.isclose(value, right, rel_tol=1e-9, abs_tol=1e-300), (value, right)


def measured(function: str, steps: int, backend: str) -> dict[str, Any]:
    """Return what a function of this module returns in a process of its own."""
    code = CODE.format(function, steps, backend)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def table(lengths: Sequence[int], found: Sequence[dict[str, Any]]) -> str:
    """Return microseconds per graph node of each stage for each length, and how they grow."""
    rows = [["µs per graph node", *[f"{steps:,} steps" for steps in lengths], "exponent"]]
    names = list(found[0]["times"])
    seconds = [[result["times"][name] for result in found] for name in names]
    names.append("first answer")
    seconds.append([sum(row[i] for row in seconds[:-1]) for i in range(len(found))])
    for name, row in zip(names, seconds, strict=True):
        per_node = [1e6 * value / result["nodes"] for value, result in zip(row, found, strict=True)]
        growth = math.log(max(row[-1], 1e-9) / max(row[0], 1e-9)) if len(row) > 1 else 0.0
        ratio = math.log(lengths[-1] / lengths[0]) if len(row) > 1 else 1.0
        rows.append([name, *[f"{value:.2f}" for value in per_node], f"{growth / ratio:.2f}"])
    rows.append(["seconds, first answer", *[f"{value:.2f}" for value in seconds[-1]], ""])
    rows.append(["graph nodes", *[f"{result['nodes']:,}" for result in found], ""])
    per_node = [result["peak"] / result["nodes"] for result in found]
    rows.append(["peak bytes per node", *[f"{value:.0f}" for value in per_node], ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--casadi", action="store_true")
    options = parser.parse_args()
    answers: list[list[float]] = []
    for function in ("symad_stages", "casadi_stages")[: 1 + options.casadi]:
        found = [measured(function, steps, options.backend) for steps in options.lengths]
        print(f"{function.partition('_')[0]}\n{table(options.lengths, found)}\n")
        answers.append([sum(row["times"].values()) - row["times"]["call"] for row in found])
        answers.append([row["times"]["call"] for row in found])
    for what, mine, peer in zip(("first answer", "call"), answers, answers[2:], strict=False):
        ratios = [f"{a / b:.2f}" for a, b in zip(mine, peer, strict=True)]
        print(f"symad ÷ CasADi, {what}: {', '.join(ratios)}")


if __name__ == "__main__":
    main()
