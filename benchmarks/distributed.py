"""How much of the workers' time distributed calls use, and what a chunk costs besides.

``python -m benchmarks.distributed`` computes the loss of a network and its gradient, with weights
of 0.6 MB, in 64 chunks by two workers: processes, and a Dask cluster of this machine.  It checks
that both give the bits that threads give, then prints for chunks that take long: their time, and
the share of the workers' time that was spent computing; and for chunks that take no time: what each
costs, of the time of the call and of the caller's processor.  Other programs on the machine make
calls longer, also inside the workers.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from statistics import median
from time import process_time
from typing import Any

import numpy as np

import symad as sm

CHUNKS = 64
WORKERS = 2
LONG, SHORT = 50e-3, 0.0
SHARE, COST = 0.93, 1e-3
"""The targets: the share of time for long chunks, and the seconds that a short chunk costs."""


def network(inputs: int = 784, hidden: int = 100) -> sm.Function:
    """Return the loss of a network, and its gradient."""
    x, y = sm.Variable("X", ("batch", inputs)), sm.Variable("y", ("batch", 10))
    v, w = sm.Variable("V", (inputs, hidden)), sm.Variable("W", (hidden, 10))
    z = sm.tanh(x @ v) @ w
    loss = sm.mean(sm.logsumexp(z, axis=1) - sm.sum(y * z, axis=1))
    return sm.compile([x, y, v, w], [loss, *sm.gradients(loss, [v, w])])


def arguments(rows: int) -> dict[str, Any]:
    """Return data of so many rows, and weights."""
    rng = np.random.default_rng(0)
    labels = np.eye(10)[rng.integers(0, 10, rows)]
    weights = {"V": rng.standard_normal((784, 100)) / 28, "W": rng.standard_normal((100, 10)) / 10}
    return {"X": rng.standard_normal((rows, 784)), "y": labels, **weights}


@contextlib.contextmanager
def executor(kind: str) -> Iterator[Any]:
    """Give an executor with two workers."""
    if kind != "dask":
        yield {"processes": WORKERS, "threads": None}[kind]
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def rows_for(function: sm.Function, seconds: float) -> int:
    """Return how many rows a chunk must have to take so long, at least one."""
    given = arguments(2000)
    function(**given)
    start = process_time()
    function(**given)
    return max(1, round(2000 * seconds / (process_time() - start)))


def measure(kind: str, given: dict[str, Any], steps: int) -> tuple[list[bytes], dict[str, float]]:
    """Return the bytes of the results, and medians over some steps.

    These are the seconds of a chunk inside a worker, the share of the workers' time spent there,
    the seconds that each chunk adds to the call, and the caller's processor time a chunk.
    """
    data = {name: given[name] for name in "Xy"}
    weights = {name: given[name] for name in "VW"}
    rows = len(given["X"]) // CHUNKS
    found: dict[str, list[float]] = {"chunk": [], "share": [], "cost": [], "caller": []}
    with (
        executor(kind) as workers,
        sm.distribute(network(), over="batch", executor=workers, chunks=rows) as d,
        d.bind(**data) as job,
    ):
        results = job(**weights)
        for _ in range(steps):
            start = process_time()
            results = job(**weights)
            spent, report = process_time() - start, d.report
            assert report is not None and report.chunks == CHUNKS
            found["chunk"].append(report.worker_seconds / CHUNKS)
            found["share"].append(report.share)
            extra = report.seconds - report.worker_seconds / WORKERS
            found["cost"].append(extra / CHUNKS)
            found["caller"].append(spent / CHUNKS)
    return [each.tobytes() for each in results], {k: median(v) for k, v in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=LONG, help="how long a chunk takes")
    options = parser.parse_args()
    function = network()
    print("workers    chunk ms   share (target)   cost us/chunk (target)   caller us/chunk")
    for seconds in (options.seconds, SHORT):
        given = arguments(CHUNKS * rows_for(function, seconds))
        expected, _ = measure("threads", given, 1)
        for kind in ("processes", "dask"):
            bits, found = measure(kind, given, options.steps)
            assert bits == expected, "other bits than those of threads"
            print(
                f"{kind:10} {1e3 * found['chunk']:8.2f}   {found['share']:5.3f} ({SHARE})    "
                f"{1e6 * found['cost']:13.0f} ({1e6 * COST:.0f})   {1e6 * found['caller']:21.0f}"
            )


if __name__ == "__main__":
    main()
