"""The section on GradBench of the page of all measurements."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.report import seconds, table

HEADING = "## GradBench"

METHOD = """\
[GradBench](https://github.com/gradbench/gradbench) is a public benchmark of automatic
differentiation. `make gradbench ROOT=<a checkout>` runs its evals with the programs in
`benchmarks/gradbench/` and with the suite's own tools: C++ (derivatives written by hand), JAX and
PyTorch. The evals make the inputs and check each answer; wrong ones are left out and reported. All
processes are pinned to one core, with one thread. Times are those that the tools report, the best
of at least ten runs, so that compiling is not counted. Results of JAX are waited for inside the
clock: some functions of the suite's tool stop it before the result exists. The C++ gradient of
`ode` is a closed form, and so left out of the mean; `particle` and `saddle` have no C++ program.
The suite times one call for each number of `hello`: these rows show first calls."""

CLOSED_FORM = ("ode", "gradient")
"""What the C++ program does not compute by differentiating."""

PEERS = "C++", "JAX", "PyTorch"

Results = Mapping[str, Mapping[str, Any]]
"""For each eval what each tool measured: ``seconds`` and ``failures``."""


def rows_of(results: Results) -> Iterable[tuple[str, str, str, dict[str, float]]]:
    """Return eval, function, size and times of tools of all evaluations that symad has done."""
    for name, found in results.items():
        for function, size in found["symad"].seconds:
            times = {
                tool: measured.seconds[function, size]
                for tool, measured in found.items()
                if (function, size) in measured.seconds
            }
            yield name, function, size, times


def section(results: Results, processor: str) -> str:
    """Return the section: method, summary, all rows, and what failed."""
    rows = list(rows_of(results))
    cells = [
        (f"{name} {function}", size, seconds(times["symad"]), *_beside(times))
        for name, function, size, times in rows
    ]
    heads = "eval", "size", "symad", *(f"{peer}; symad ÷ {peer}" for peer in PEERS)
    parts = [HEADING, f"{METHOD} Measured on {processor}.", summary(rows), table(heads, cells)]
    failures = [
        (name, tool, reason)
        for name, found in results.items()
        for tool, measured in found.items()
        for reason in dict.fromkeys(measured.failures)
    ]
    if failures:
        parts.append(table(("eval", "tool", "failed"), failures))
    return "\n\n".join(parts) + "\n"


def _beside(times: dict[str, float]) -> list[str]:
    return [
        f"{seconds(times[peer])}; {times['symad'] / times[peer]:.2g}" if peer in times else "–"
        for peer in PEERS
    ]


def summary(rows: Iterable[tuple[str, str, str, dict[str, float]]]) -> str:
    """Return the geometric means of ratios, each eval with the same weight, and the worst rows."""
    lines = []
    for peer in PEERS:
        by_eval: dict[str, list[float]] = {}
        named: dict[str, float] = {}
        for name, function, size, times in rows:
            if peer not in times or (peer == "C++" and (name, function) == CLOSED_FORM):
                continue
            ratio = times["symad"] / times[peer]
            by_eval.setdefault(name, []).append(ratio)
            named[f"{name} {function} {size}".rstrip()] = ratio
        if named:
            means = map(statistics.geometric_mean, by_eval.values())
            mean = statistics.geometric_mean(list(means))
            worst = sorted(named, key=lambda name: -named[name])[:5]
            listed = ", ".join(f"{row} {named[row]:.2g}" for row in worst)
            lines.append(
                f"* symad ÷ {peer}: geometric mean {mean:.2g} over {len(by_eval)} evals;"
                f" the largest: {listed}."
            )
    return "\n".join(lines)


def kept(old: str, page: str) -> str:
    """Return a new page with the section on GradBench of the old one."""
    _, found, rest = old.partition(f"{HEADING}\n")
    return with_section(page, found + rest.partition("\n## ")[0].rstrip() + "\n") if found else page


def with_section(page: str, text: str) -> str:
    """Return a page with its section on GradBench replaced, or added at its end.

    Examples
    --------
    >>> with_section("# A\\n\\n## GradBench\\n\\nold\\n\\n## B\\n", "## GradBench\\n\\nnew\\n")
    '# A\\n\\n## GradBench\\n\\nnew\\n\\n## B\\n'
    """
    before, found, rest = page.partition(f"{HEADING}\n")
    if not found:
        return f"{page.rstrip()}\n\n{text}".lstrip()
    _, heading, after = rest.partition("\n## ")
    return before + text + heading + after
