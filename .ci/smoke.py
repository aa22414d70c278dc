"""Try an installed symad away from its sources: which backend runs, values, files, the command."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import symad as sm

SOURCES = Path(__file__).resolve().parents[1]


def check_values() -> None:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    outputs = [y, *sm.gradients(y, [x1, x2])]
    for backend in ("auto", "numpy"):
        f = sm.compile([x1, x2], outputs, backend=backend)
        expected = [11.652071455223084, 5.5, 1.7163378145367738]
        np.testing.assert_allclose(f(2.0, 5.0), expected, rtol=1e-14)
        a, b = np.linspace(1, 2, 1001), np.linspace(0, 1, 1001)
        np.testing.assert_allclose(f(a, b)[0], np.log(a) + a * b - np.sin(b), rtol=1e-13)
        started = time.perf_counter()
        for _ in range(10_000):
            f(2.0, 5.0)
        print(f"{backend}: {(time.perf_counter() - started) * 100:.2f} µs a call")


def check_files(folder: Path) -> None:
    x = sm.Variable("x")
    y = sm.exp(x) * x
    drawing = sm.draw([y, sm.gradients(y, x)])
    drawing.save(folder / "graph.svg")
    sm.play(y, [x], {x: 0.5}).save(folder / "page.html")
    assert (folder / "graph.svg").stat().st_size > 1000
    assert (folder / "page.html").stat().st_size > 10_000


def check_command(folder: Path) -> None:
    command = [sys.executable, "-m", "symad", "trace", "x*x", "x=3"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and "v2 = v1·v1 = 9 = y" in done.stdout, done


if __name__ == "__main__":
    installed = Path(sm.__file__).resolve()
    print("symad", sm.__version__, "in", installed.parent)
    assert not installed.is_relative_to(SOURCES / "symad"), "the sources, not what was installed"
    check_values()
    with tempfile.TemporaryDirectory() as folder:
        check_files(Path(folder))
        check_command(Path(folder))
