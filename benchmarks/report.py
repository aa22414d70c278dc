"""The results as Markdown: targets first, then all measurements."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import timing
from benchmarks.suite import NO_COMPILER, Results
from benchmarks.workload import Target, Workload

FIRST_ANSWER_LIMIT = 0.1
"""The limit of the time to the first answer, as a fraction of JAX's."""

BOUND_LIMIT = 1.1
"""The limit of peak memory, as a multiple of the plan's bound."""

NOISE = 500_000
"""Growth of a process in bytes that is not significant."""

NOTES = Path(__file__).with_name("notes.md")
"""Hand-written comments on the numbers, placed after them."""

METHOD = """\
Each number is a median over rounds; in a round every implementation runs one batch of calls, in
turns, in one process. A ratio is the median of the ratios within the rounds, so that slowdowns of
the machine affect both sides. The process is pinned to one core (two for workloads that measure
threads), with as many threads in every library. Before timing, each answer is compared with an
independent one in NumPy: values, shapes, dtypes, and whether they are NumPy arrays or numbers. All
implementations get the same inputs. For a peer with several settings, the fastest counts, and all
are listed; "arrays on device" and "tensors in" exclude the conversion of the inputs.
"""


def targets_table(workloads: Sequence[Workload], results: Results) -> str:
    """Return the speed targets of symad, and whether they are met."""
    rows = []
    for workload in workloads:
        times = results.times.get(workload.name, {})
        for target in workload.targets:
            measured, met = judge(target, times)
            rows.append((workload.title, describe(target), measured, met))
    return table(("work", "target", "measured", "met?"), rows)


def describe(target: Target) -> str:
    """Return a target in words.

    Examples
    --------
    >>> describe(Target(0.7, "jax"))
    '≤ 0.7 × jax'
    """
    whose = "" if target.subject == "symad" else f" ({target.subject})"
    if target.peer is None:
        return f"≤ {seconds(target.limit)}{whose}"
    if target.as_speedup:
        return f"≥ {1 / target.limit:.3g} × faster than {target.peer}{whose}"
    return f"≤ {target.limit:g} × {target.peer}{whose}"


def judge(target: Target, times: dict[str, list[float]]) -> tuple[str, str]:
    """Return the measured ratio, or time, and whether the target is met."""
    mine = times.get(target.subject)
    if mine is None:
        return f"{target.subject} not measured", _yes(False)
    if target.peer is None:
        value = statistics.median(mine)
        return seconds(value), _yes(value <= target.limit)
    label = fastest_variant(target.peer, times)
    if label is None:
        return f"{target.peer} not measured", "–"
    value = timing.ratio(mine, times[label]).median
    shown = f"{1 / value:.3g} × faster" if target.as_speedup else f"{value:.3g} ×"
    return f"{shown} ({label})", _yes(value <= target.limit)


def fastest_variant(peer: str, times: dict[str, list[float]]) -> str | None:
    """Return ``peer`` itself if it names a variant, else its fastest, if it was measured."""
    variants = {
        label: found
        for label, found in times.items()
        if label == peer or ("," not in peer and label.startswith(f"{peer}, "))
    }
    return timing.fastest(variants) if variants else None


def first_answer_table(workloads: Sequence[Workload], results: Results) -> str:
    """Return the time to the first answer, and symad's time as a fraction of JAX's."""
    libraries = _in_order(results.first.values())
    rows = []
    for workload in workloads:
        found = results.first.get(workload.name)
        if not found:
            continue
        for kind in ("fresh", "again"):
            medians = {label: statistics.median(taken[kind]) for label, taken in found.items()}
            cells = [seconds(medians[name]) if name in medians else "" for name in libraries]
            ratio, met = "", "–"
            if "symad" in medians and "jax" in medians:
                part = medians["symad"] / medians["jax"]
                ratio, met = f"{part:.2g} ×", _yes(part <= FIRST_ANSWER_LIMIT)
            rows.append((workload.title, kind, *cells, ratio, met))
    return table(("work", "process", *libraries, "symad ÷ jax", "≤ 0.1?"), rows)


def memory_table(workloads: Sequence[Workload], results: Results) -> str:
    """Return the growth of the process during calls, and the plan's bound."""
    libraries = _in_order(results.memory.values())
    rows = []
    for workload in workloads:
        found = results.memory.get(workload.name)
        if not found:
            continue
        calls = {label: sizes["calls"] for label, sizes in found.items()}
        cells = [
            f"{megabytes(calls[name])} ({megabytes(found[name]['first'])})" if name in found else ""
            for name in libraries
        ]
        bound = found.get("symad", {}).get("bound")
        within = below = "–"
        if bound is not None:
            within = _yes(calls["symad"] <= BOUND_LIMIT * bound + NOISE)
        if "symad" in calls and "torch" in calls:
            below = _yes(calls["symad"] <= min(calls["torch"], found["torch"]["first"]) + NOISE)
        least = "not known" if bound is None else megabytes(bound)
        rows.append((workload.title, *cells, least, within, below))
    heads = ("work", *libraries, "plan's bound", "≤ 1.1 × bound?", "≤ torch?")
    return table(heads, rows)


def details(workload: Workload, results: Results) -> str:
    """Return all speed measurements of a workload, the fastest first."""
    times = results.times.get(workload.name, {})
    if not times:
        return "Not measured."
    base = next((label for label in times if label.startswith("symad")), next(iter(times)))
    rows = []
    for label in sorted(times, key=lambda label: statistics.median(times[label])):
        taken, relative = timing.spread(times[label]), timing.ratio(times[label], times[base])
        quartiles = f"{seconds(taken.low)} – {seconds(taken.high)}"
        rows.append((label, seconds(taken.median), quartiles, f"{relative.median:.3g}"))
    return table(("", "a call takes", "middle half", f"÷ {base}"), rows)


def measurements_page(
    workloads: Sequence[Workload], results: Results, facts: dict[str, str], notes: str = ""
) -> str:
    """Return the whole page; ``facts`` are shown at the top: date, machine, versions, command."""
    parts = [
        "# All measurements",
        "This page has every number of the benchmark suite, for those who work on symad;"
        " [performance](performance.md) says what they mean. `make bench` writes both; text about"
        " the numbers belongs in `benchmarks/notes.md`.",
        table(("", ""), facts.items()),
        METHOD,
        "## Targets",
        targets_table(workloads, results),
    ]
    if any(results.first.values()):
        parts += [
            "## Time to the first answer",
            "The time includes building the graph, its gradient, compiling, and the first call;"
            " imports are not counted. *Fresh*: the first graph of a new process; *again*: another"
            " graph, built from scratch in the same process. Caches of machine code on disk start"
            " empty; modules have been compiled to bytecode.",
            first_answer_table(workloads, results),
        ]
    if any(results.memory.values()):
        parts += [
            "## Peak memory",
            "The table shows the peak growth of the whole process while the function is called and,"
            " in brackets, while it is built and called for the first time. The baseline is a"
            " process that holds the inputs and has done the same work on tiny inputs before, which"
            " loads code and fills heaps. Allocators keep freed memory, so later calls can grow"
            " beyond the first: the smaller of PyTorch's two numbers counts. Half a megabyte is"
            " noise.",
            memory_table(workloads, results),
        ]
    parts.append("## All measurements, by workload")
    for workload in workloads:
        parts += [f"### {workload.title}", details(workload, results)]
    if results.failures:
        parts += [
            "## Not measured",
            table(("work", "implementation", "reason"), results.failures),
        ]
    if notes:
        parts.append(notes)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Return a time with three digits.

    Examples
    --------
    >>> seconds(1.23456e-7), seconds(0.0123), seconds(12.3456)
    ('0.123 µs', '12.3 ms', '12.3 s')
    """
    if value < 1e-3:
        return f"{value * 1e6:.3g} µs" if value < 0.9995e-3 else "1 ms"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s"


def megabytes(value: int) -> str:
    """Return a size.

    Examples
    --------
    >>> megabytes(8_000_000)
    '8.0 MB'
    """
    return f"{value / 1e6:.1f} MB"


def _in_order(found: Iterable[Mapping[str, object]]) -> list[str]:
    """Return all measured libraries, symad first, hand-written code last."""
    labels = dict.fromkeys(label for of_workload in found for label in of_workload)
    return sorted(labels, key=lambda label: (label != "symad", label in NO_COMPILER))


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"
