"""One measurement in a separate process: ``python -m benchmarks.worker REQUEST``.

The request is JSON, and so is the last line of the output.  Nothing that depends on the number of
cores may be imported before the process has been pinned to its cores.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import machine

if TYPE_CHECKING:
    from benchmarks.workload import Workload


def speed(workload: Workload, labels: Sequence[str], quick: bool) -> dict[str, Any]:
    """Return seconds per call of each implementation, and the reasons for missing ones."""
    from benchmarks.timing import batch_of, interleaved
    from benchmarks.workload import WrongAnswer, built

    inputs = workload.inputs(*workload.size)
    batches, failures = {}, {}
    for label in labels:
        try:
            implementation = built(workload, label, inputs)
        except WrongAnswer as error:
            failures[label] = f"wrong answer: {error}"
        except Exception as error:  # a peer that fails must not end the measurement of the others
            failures[label] = _first_line(error)
        else:
            batches[label] = batch_of(implementation.call, implementation.arguments)
    rounds, least = (5, 0.002) if quick else (31, 0.02)
    return {"times": interleaved(batches, rounds, least), "failures": failures}


def first(workload: Workload, labels: Sequence[str], quick: bool) -> dict[str, Any]:
    """Return the seconds from an empty graph to the first answer, after importing the library.

    "fresh" is the first graph of the process, "processor" its processor time; "again" are further
    ones, each built from scratch.
    """
    from benchmarks.workload import check_answer, library_of

    [label] = labels
    machine.import_library(library_of(label))
    inputs = workload.inputs(*workload.size)
    taken: list[float] = []
    processor: list[float] = []
    while len(taken) < 2 or (len(taken) < 4 and sum(taken) < 5 and not quick):
        start, start_of_processor = time.perf_counter(), time.process_time()
        implementation = workload.implementations[label](*inputs)
        result = implementation.call(*implementation.arguments)
        processor.append(time.process_time() - start_of_processor)
        taken.append(time.perf_counter() - start)
        answer = implementation.answer(result)
    check_answer(answer, workload.reference(*inputs), workload.tolerance)
    return {"fresh": taken[0], "processor": processor[0], "again": taken[1:]}


def memory(workload: Workload, labels: Sequence[str], quick: bool) -> dict[str, Any]:
    """Return the peak growth of the process in bytes, and the bound that the plan gives.

    The baseline is the size after the same work on tiny inputs, which loads the library's code and
    fills its heap.  "first" includes building and compiling, "calls" does not; memory that is kept
    from then on is in both.
    """
    [label] = labels
    build = workload.implementations[label]
    tiny = build(*workload.inputs(*workload.tiny))
    tiny.call(*tiny.arguments)
    inputs = workload.inputs(*workload.size)
    gc.collect()
    before = machine.resident_bytes()
    machine.reset_peak()
    implementation = build(*inputs)
    call, arguments = implementation.call, implementation.arguments
    call(*arguments)
    found = {"first": machine.peak_bytes() - before, "bound": None}
    gc.collect()
    machine.reset_peak()
    for _ in range(5):
        call(*arguments)
    found["calls"] = machine.peak_bytes() - before
    found["bound"] = plan_bound(call)
    return found


def plan_bound(call: Any) -> int | None:
    """Return the lower bound in bytes for the plan of a symad function, if the plan has one."""
    return getattr(getattr(call, "plan", None), "lower_bound", None)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "speed": speed,
    "first": first,
    "memory": memory,
}


def main() -> None:
    request = json.loads(sys.argv[1])
    machine.pin(request["threads"])
    from benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[request["workload"]]
    measure = MEASURES[request["measure"]]
    print(json.dumps(measure(workload, request["labels"], request["quick"])))


if __name__ == "__main__":
    main()
