"""The path of one expression through the compiler: the functions and files that a first call runs.

``python -m benchmarks.compile_path`` compiles sum(log x1 + x1·x2 − sin x2) with both gradients and
calls it once under ``sys.setprofile``.  It counts the calls of Python functions in symad/, the
functions, the files, and how often a call goes from one file to another.  Another expression is
compiled before, so that one-time work of a process (reading rules, loading LLVM) is not counted;
``--cold`` counts it too.  Nothing is on disk, unless ``--disk``: then it counts what a first call
takes whose program is.  What writes LLVM's text is left out.  ``--files`` lists the files, with the
functions and calls in each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import symad as sm

ROOT = Path(sm.__file__).parent
WRITER = ROOT / "backends" / "native" / "ir.py"
"""What writes LLVM's text is not counted, like the library that did so before."""


class CallPath:
    """Counts calls of functions that are defined in ``root``.

    Attributes
    ----------
    calls : Counter
        How often each function was called.
    switches : int
        How often a function called a function in another file.
    """

    def __init__(self, root: Path) -> None:
        self._prefix, self._writer = f"{root}/", str(WRITER)
        self.calls: Counter[CodeType] = Counter()
        self.switches = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Record an event that :func:`sys.setprofile` reports."""
        code = frame.f_code
        if event != "call" or not self._is_counted(code):
            return
        if code.co_name == "<module>":  # imports are not part of the path
            return
        self.calls[code] += 1
        caller = frame.f_back
        while caller is not None and not self._is_counted(caller.f_code):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename != code.co_filename:
            self.switches += 1

    def _is_counted(self, code: CodeType) -> bool:
        name = code.co_filename
        return name.startswith(self._prefix) and name != self._writer

    @property
    def files(self) -> dict[str, list[CodeType]]:
        """The functions that ran, by file."""
        found: dict[str, list[CodeType]] = {}
        for code in self.calls:
            found.setdefault(code.co_filename.removeprefix(self._prefix), []).append(code)
        return dict(sorted(found.items()))

    def __str__(self) -> str:
        return (
            f"{self.calls.total():,} calls of {len(self.calls)} functions in {len(self.files)} "
            f"files, {self.switches:,} switches between files"
        )


def path_of(run: Callable[[], Any]) -> CallPath:
    """Return the path of one call of ``run`` through symad."""
    path = CallPath(ROOT)
    sys.setprofile(path)
    try:
        run()
    finally:
        sys.setprofile(None)
    return path


def first_call(backend: Any = "auto") -> Callable[[], Any]:
    """Return a function that compiles the running example with gradients, and calls it."""
    x1, x2 = sm.Variable("x1", shape=("n",)), sm.Variable("x2", shape=("n",))
    y = sm.sum(sm.log(x1) + x1 * x2 - sm.sin(x2))
    outputs = [y, *sm.gradients(y, [x1, x2])]
    values = np.linspace(1.0, 2.0, 500), np.linspace(0.0, 1.0, 500)
    return lambda: sm.compile([x1, x2], outputs, backend=backend)(*values)


def warm_up(backend: Any = "auto") -> None:
    """Compile and call another expression."""
    w, x = sm.Variable("w", shape=(8, 8)), sm.Variable("x", shape=(8,))
    y = sm.sum(sm.tanh(w @ x) ** 2)
    sm.compile([w, x], [y, *sm.gradients(y, [w, x])], backend=backend)(np.eye(8), np.ones(8))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--cold", action="store_true", help="also count one-time work")
    parser.add_argument("--files", action="store_true", help="list the files as well")
    parser.add_argument("--disk", action="store_true", help="the program is on disk")
    options = parser.parse_args()
    if not options.cold:
        warm_up(options.backend)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYMAD_CACHE_DIR"] = folder
        if options.disk:
            first_call(options.backend)()
        path = path_of(first_call(options.backend))
    print(path)
    if options.files:
        for name, functions in path.files.items():
            calls = sum(path.calls[code] for code in functions)
            print(f"  {name}: {len(functions)} functions, {calls} calls")


if __name__ == "__main__":
    main()
