"""The page on performance for readers, from the page of all measurements.

``python -m benchmarks.reader_page`` reads ``docs/measurements.md``, and writes
``docs/performance.md`` and its charts: what was measured is in one place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.charts import LIBRARIES, dot_chart
from benchmarks.report import seconds, table
from benchmarks.workload import library_of
from benchmarks.workloads import WORKLOADS

DOCS = Path(__file__).parent.parent / "docs"
HAND_WRITTEN = ("math", "numpy")


@dataclass(frozen=True)
class Group:
    """Rows of the page that belong together: a title, what they mean, and a label for each."""

    name: str
    title: str
    meaning: str
    labels: Mapping[str, str]


GROUPS = (
    Group(
        "numbers",
        "Formulas of numbers",
        "A compiled formula is one machine function, which Python calls directly. This is the case"
        " for inner loops, optimisers, simulations and control, where other systems spend their"
        " time on the call.",
        {
            "running-example": "ln x₁ + x₁x₂ − sin x₂, 2 numbers",
            "robot-arm": "robot arm, 7 joints",
            "numbers-60": "Σ sin(xₖ)·xₖ₊₁, 60 numbers",
            "numbers-1000": "Σ sin(xₖ)·xₖ₊₁, 1 000 numbers",
            "scalar-chain": "10 000 steps in a row, unrolled",
        },
    ),
    Group(
        "arrays",
        "Arrays and networks",
        "Small and middle sizes gain most: loops over the same elements become one loop that writes"
        " no intermediate arrays. Large matrix products take the same time everywhere, and one pass"
        " over a million numbers is limited by memory, so there is little to gain over NumPy.",
        {
            "small-matrix": "Σ tanh(W x)², W 8×8",
            "gaussian": "Gaussian likelihood, 100×100",
            "network-step": "training step, 784-100-10, batch 100",
            "attention-32": "attention, 4 heads of 128×64, float32",
            "layer-norm-32": "layer norm, 512×512, float32",
            "cross-entropy-32": "cross-entropy, 1000×1000, float32",
            "cross-entropy": "cross-entropy, 1000×1000, float64",
            "elementwise-gradient": "tanh(log(exp(xy) + 1)) + x, 10⁶ numbers",
        },
    ),
    Group(
        "loops",
        "Loops",
        "`scan` and its adjoint run in machine code. The smaller the work of a step, the larger the"
        " difference.",
        {
            "rk4": "Van der Pol, 1 000 Runge-Kutta steps",
            "kalman": "Kalman filter, 4 states, 1 000 steps",
            "lstm-32": "LSTM, 32 units, 1 000 steps",
            "lstm-64": "LSTM, 64 units, 1 000 steps",
            "hmm": "hidden Markov model, 16 states",
        },
    ),
    Group(
        "derivatives",
        "Jacobians, Hessians and sparse derivatives",
        "Sparse derivatives are computed by few products, and the whole call is native; a dense"
        " Hessian is one compiled function.",
        {
            "sparse-jacobian-large": "sparse Jacobian, 100 000 variables",
            "sparse-hessian-large": "tridiagonal Hessian, 100 000",
            "shooting-jacobian": "multiple shooting, Jacobian of 40 gaps",
            "shooting-hessian": "multiple shooting, Hessian",
            "hessian-rosenbrock-50": "Hessian of Rosenbrock, 50 numbers",
            "hessian-network-49": "Hessian of a network, 49 parameters",
            "jacobian-200x5": "Jacobian, 200 by 5",
            "gradients-each": "gradients for each of 500 examples",
            "third-derivatives": "third derivatives by 2 numbers",
        },
    ),
)  # fmt: skip

FIRST_CALLS = {
    "running-example": "the formula of 2 numbers",
    "network-step": "the training step",
    "attention": "attention",
    "lstm-64": "the LSTM",
    "shooting-hessian": "the sparse Hessian",
    "scalar-chain": "10 000 steps in a row, unrolled",
}


@dataclass(frozen=True)
class Speed:
    """How long a call takes: seconds, and relative to symad."""

    seconds: float
    ratio: float


@dataclass(frozen=True)
class Measurements:
    """What the page of all measurements says."""

    facts: Mapping[str, str]
    speeds: Mapping[str, Mapping[str, Speed]]  # by title and label
    first: Mapping[tuple[str, str], Mapping[str, str]]  # by title and process; a column each
    gradbench: Sequence[str]  # its summary


def read_measurements(page: str) -> Measurements:
    """Return the numbers in a page of all measurements."""
    sections = dict(re.findall(r"^#{2,3} (.*)\n((?:(?!#{2,3} ).*\n?)*)", page, re.MULTILINE))
    facts = {row[0]: row[1] for row in rows_of(page.partition("\n## ")[0])}
    speeds = {
        workload.title: {row[0]: Speed(in_seconds(row[1]), float(row[3])) for row in rows}
        for workload in WORKLOADS.values()
        if (rows := list(rows_of(sections.get(workload.title, ""))))
    }
    answers = sections.get("Time to the first answer", "")
    heads = next(iter(rows_of(answers, heads=True)), ())
    first = {
        (row[0], row[1]): dict(zip(heads, row, strict=True)) for row in rows_of(answers)
    }
    summary = re.findall(r"^\* symad ÷ .*", sections.get("GradBench", ""), re.MULTILINE)
    return Measurements(facts, speeds, first, summary)


def rows_of(text: str, heads: bool = False) -> Iterator[list[str]]:
    """Yield the rows of the tables in a text, or only their heads.

    Examples
    --------
    >>> list(rows_of("| a | b |\\n|---|---|\\n| 1 | 2 |\\n"))
    [['1', '2']]
    """
    for lines in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE):
        found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines.splitlines()]
        for cells in found[:1] if heads else found[2:]:
            yield [cell.strip().replace("\\|", "|") for cell in cells]


def in_seconds(text: str) -> float:
    """Return a time that :func:`~benchmarks.report.seconds` wrote.

    Examples
    --------
    >>> in_seconds("12.5 ms"), in_seconds("3 s")
    (0.0125, 3.0)
    """
    number, unit = text.split()
    return float(number) * {"µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def fastest_by_library(speeds: Mapping[str, Speed]) -> dict[str, Speed]:
    """Return, for each library, the variant with the smallest ratio to symad."""
    found: dict[str, Speed] = {}
    for label, speed in speeds.items():
        library = library_of(label)
        if library not in found or speed.ratio < found[library].ratio:
            found[library] = speed
    return found


def reader_page(measured: Measurements) -> str:
    """Return the page for readers."""
    facts = measured.facts
    parts = [
        "# Performance",
        "How long does a call take, beside what you would use instead? The charts show symad as a"
        " line at 1, and each other system by how many times as long it takes for the same work,"
        f" value and gradients, on one core ({facts['machine']}).",
        f"**How it was measured.** {METHOD.format(date=facts['date'])}",
        "## What it means for you",
        *meanings(measured),
    ]
    for group in GROUPS:
        parts += [f"## {group.title}", group.meaning, *charted(group, measured)]
    parts += ["## The first call", FIRST_CALL, first_calls(measured)]
    parts += ["## Other suites", GRADBENCH]
    parts.append("\n".join(measured.gradbench) or "It was not run with this version.")
    parts.append(f"Versions: {facts['versions']}.")
    parts.append("<!-- Written by python -m benchmarks.reader_page; edit that. -->")
    return "\n\n".join(parts) + "\n"


METHOD = """\
All systems compute the same from the same inputs in turns, their answers are checked first, and
each number is a median over many rounds; where a system has several ways to be called, its fastest
counts ({date}; every number, with its spread, is in [all measurements](measurements.md))."""

FIRST_CALL = """\
The first call of a new function compiles it. In a fresh process this takes some tenths of a
second, and less when the process has compiled before. Programs are stored on disk, so that the next
process does not compile them again; the table is about an empty disk. Long programs without a loop
take seconds: write a `scan`. Systems that do not compile, such as PyTorch in its usual mode, answer
sooner."""

GRADBENCH = """\
[GradBench](https://github.com/gradbench/gradbench) is a public benchmark of automatic
differentiation, whose programs and checks are not ours. Geometric means of symad's time divided by
that of others, and the rows where symad is slowest ([all rows](measurements.md#gradbench)). `hello`
is a function of one number, of which the call from Python takes most of the time:"""


USES = {
    "running-example": "a formula of two numbers, called in a loop",
    "robot-arm": "a robot arm with seven joints",
    "network-step": "a small network and its training step",
    "lstm-64": "a recurrent network over 1 000 steps",
    "shooting-hessian": "an optimal control problem: its sparse Hessian",
    "hessian-rosenbrock-50": "a dense Hessian of 50 numbers",
    "elementwise-gradient": "one pass over a million numbers",
}
"""What readers have, by the work that is closest to it."""


def meanings(measured: Measurements) -> Iterator[str]:
    """Yield what the numbers mean for typical uses."""
    rows = []
    for name, use in USES.items():
        best = fastest_by_library(measured.speeds.get(WORKLOADS[name].title, {}))
        mine = best.pop("symad", None)
        others = [library for library in best if library not in HAND_WRITTEN]
        if mine and others:
            other = min(others, key=lambda library: best[library].ratio)
            beside = f"{LIBRARIES[other][0]}: {seconds(best[other].seconds)}"
            rows.append((use, seconds(mine.seconds), beside, _ratio(best[other].ratio)))
    heads = ("you have", "a call of symad takes", "the fastest other", "times as long")
    yield table(heads, [(use, *map(_kept_together, cells)) for use, *cells in rows])
    batch = measured.speeds.get(WORKLOADS["new-batch-size"].title, {})
    if "symad" in batch:
        others = (n for n in ("pytensor", "torch", "jax") if n in batch)
        said = (f"{LIBRARIES[n][0]} takes {seconds(batch[n].seconds)}" for n in others)
        yield (
            "Others are faster, or the better choice, for these:\n\n"
            f"* **A batch size that was not seen before** costs {seconds(batch['symad'].seconds)}"
            " once, as the graph is specialised for it"
            f" (for the same step, {', '.join(said) or 'no other was measured'}).\n"
            "* **A script that calls a function once**: see [the first call](#the-first-call).\n"
            "* **GPUs and large models**: symad's own code runs on CPUs;"
            " [with JAX](howto/on_a_gpu_with_jax.md), XLA compiles its graphs for GPUs too, but no"
            " GPU was measured.\n"
            "* **Large matrix products**: all systems call the same kind of library, so expect"
            " the same time."
        )


def _ratio(ratio: float) -> str:
    """Return a ratio with two or three digits.

    Examples
    --------
    >>> _ratio(0.813), _ratio(3.14159), _ratio(204.3), _ratio(2260.0)
    ('0.81\xa0×', '3.1\xa0×', '204\xa0×', '2\xa0260\xa0×')
    """
    digits = 2 if ratio < 0.995 else 1 if ratio < 9.95 else 0
    return _kept_together(f"{ratio:,.{digits}f} ×".replace(",", " "))


def _kept_together(text: str) -> str:
    """Return a text that no line of a narrow table breaks."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def charted(group: Group, measured: Measurements) -> Iterator[str]:
    """Yield the picture of a group, and the same as a table."""
    rows = ratios_of(group, measured)
    yield f"![{described(group)}](images/performance/{group.name}.svg)"
    used = [name for name in LIBRARIES if any(name in row for row in rows.values())]
    cells = []
    for name, label in group.labels.items():
        if label in rows:
            mine = measured.speeds[WORKLOADS[name].title]["symad"].seconds
            ratios = (_ratio(rows[label][n]) if n in rows[label] else "" for n in used)
            cells.append((label, _kept_together(seconds(mine)), *ratios))
    yield table(("work", "symad", *(LIBRARIES[name][0] for name in used)), cells)


def ratios_of(group: Group, measured: Measurements) -> dict[str, dict[str, float]]:
    """Return the ratios of a group, by label and library, as far as they were measured."""
    found = {}
    for name, label in group.labels.items():
        speeds = measured.speeds.get(WORKLOADS[name].title)
        if speeds and "symad" in speeds:
            best = fastest_by_library(speeds)
            found[label] = {n: s.ratio for n, s in best.items() if n != "symad"}
    return found


def described(group: Group) -> str:
    return f"{group.title}: time of a call of other systems, divided by that of symad"


def first_calls(measured: Measurements) -> str:
    """Return the table of first calls."""
    libraries = ("symad", "jax", "torch", "casadi")
    shown = [("symad" if n == "symad" else LIBRARIES[n][0]) for n in libraries]
    rows = []
    for name, label in FIRST_CALLS.items():
        for process in ("fresh", "again"):
            found = measured.first.get((WORKLOADS[name].title, process))
            if found:
                said = "a fresh process" if process == "fresh" else "the same process, again"
                times = (_kept_together(found.get(n, "")) for n in libraries)
                rows.append((label, said, *times))
    return table(("work", "in", *shown), rows)


def main(arguments: Sequence[str]) -> int:
    """Write the page and its charts beside a page of all measurements."""
    source = Path(arguments[0]) if arguments else DOCS / "measurements.md"
    measured = read_measurements(source.read_text("utf-8"))
    folder = source.parent / "images" / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for group in GROUPS:
        rows = ratios_of(group, measured)
        if rows:
            (folder / f"{group.name}.svg").write_text(dot_chart(rows, described(group)), "utf-8")
    source.with_name("performance.md").write_text(reader_page(measured), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
