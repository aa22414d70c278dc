"""The cost of saving and loading: microseconds a node of a large graph, with its gradient.

``python -m benchmarks.saved_graphs`` builds y ← 0.5·sin(y)·x + 0.3·y with its gradient, of about
100 000 nodes (``--nodes``), saves it with its provenance, and loads it again.  It first checks that
what was loaded is the same program.  Times are processor time, the best of several runs.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from time import process_time
from typing import Any

import symad as sm
from benchmarks.compile_growth import chain
from symad.saving.archive import read_archive
from symad.saving.files import hashes_of

LIMITS = {"save": 10.0, "hash": 1.0, "load": 15.0}
"""The targets, in microseconds a node."""


def best(run: Callable[[], Any], repeats: int) -> float:
    """Return the least processor time of a run, in seconds."""
    times = []
    for _ in range(repeats):
        start = process_time()
        run()
        times.append(process_time() - start)
    return min(times)


def measure(nodes: int, repeats: int = 5) -> dict[str, float]:
    """Return the microseconds a node of each step, the number of nodes, and bytes a node."""
    x = sm.Variable("x", shape=())
    y = chain(x, sm.sin, max(1, nodes // 14))
    graph = sm.Graph([y, sm.gradients(y, x)])
    file = io.BytesIO()
    found = sm.save(graph, file)
    data = file.getvalue()
    again = sm.load(io.BytesIO(data))
    assert str(again) == str(graph) and sm.fingerprint(again) == found
    members = read_archive(io.BytesIO(data)).items()
    rest = {name: [text] for name, text in members if name != "symad.json"}
    assert hashes_of(rest) == (found.meaning, found.content)
    seconds = {
        "save": best(lambda: sm.save(graph, io.BytesIO()), repeats),
        "hash": best(lambda: hashes_of(rest), repeats),
        "load": best(lambda: sm.load(io.BytesIO(data)), repeats),
    }
    micros = {name: 1e6 * t / len(graph) for name, t in seconds.items()}
    return {**micros, "nodes": len(graph), "bytes": len(data) / len(graph)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.nodes, options.repeats)
    print(f"{found['nodes']:.0f} nodes, {found['bytes']:.0f} bytes a node in the file")
    print("step  us/node  target")
    for name, limit in LIMITS.items():
        print(f"{name:5} {found[name]:8.2f} {limit:7.1f}")


if __name__ == "__main__":
    main()
