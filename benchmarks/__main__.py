"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.gradbench.table import kept
from benchmarks.report import NOTES, measurements_page
from benchmarks.suite import measure_all
from benchmarks.workloads import WORKLOADS


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure symad and its peers."
    )
    peers = [library for library in machine.LIBRARIES if library not in ("symad", "math", "numpy")]
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        type=_names_from(WORKLOADS),
        default=list(WORKLOADS),
        help=f"workloads to measure: {', '.join(WORKLOADS)}",
    )
    parser.add_argument(
        "--peers",
        metavar="NAME,...",
        type=_names_from(peers),
        default=peers,
        help=f"libraries to compare with, if installed: {', '.join(peers)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter rounds, to test the suite"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to FILE, not to standard output"
    )
    return parser.parse_args(arguments)


def _names_from(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return the parser of a list of known names."""

    def names(text: str) -> list[str]:
        given = [name.strip() for name in text.split(",")]
        for name in given:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return given

    return names


def main(arguments: Sequence[str]) -> int:
    """Measure, write the page, and return 1 if an implementation gives a wrong answer."""
    options = parse(arguments)
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.cpu_name(),
        "versions": ", ".join(f"{name} {v}" for name, v in machine.versions().items()),
        "command": " ".join(["`python -m benchmarks", *arguments]) + "`",
    }
    libraries = []
    for library in options.peers:
        if machine.is_installed(library):
            libraries.append(library)
        else:
            _tell(f"{library} is not installed: it is left out")
    workloads = [WORKLOADS[name] for name in options.only]
    results = measure_all(workloads, libraries, options.quick, _tell)
    notes = NOTES.read_text() if NOTES.exists() else ""
    page = measurements_page(workloads, results, facts, notes)
    if options.output:
        if options.output.exists():
            page = kept(options.output.read_text(), page)
        options.output.write_text(page)
    else:
        print(page, end="")
    for failure in results.failures:
        _tell(": ".join(failure))
    return int(any(reason.startswith("wrong answer") for _, _, reason in results.failures))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
