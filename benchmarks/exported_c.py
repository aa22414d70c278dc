"""Exported C against CasADi's, against hand-written C, and against symad's own machine code.

``python -m benchmarks.exported_c`` needs gcc, and CasADi for the first row; ``--chain`` also
compiles a chain of 20 000 steps with its gradients.  Answers are compared before times are taken,
and times are taken in turn: each ratio is of the least processor times of both.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

import symad as sm

FLAGS = "-std=c99 -O3 -march=native -ffp-contract=off"
LIMITS = {
    "running example / CasADi": 1.05, "write, ms": 5.0, "pointer / hand-written C": 1.2,
    "layer norm / native": 3.0, "attention / native": 3.0, "network step / native": 3.0,
    "gcc -O1 of the chain, s": 30.0,
}  # fmt: skip
"""The targets."""

_LOOPS = r"""
#include <math.h>
#include <stdint.h>
#include <time.h>
typedef int (*Model)(const double *const *, double *const *, double *, const int64_t *,
                     const void *, const char **);
typedef int (*Casadi)(const double **, double **, long long *, double *, int);
typedef void (*Pointer)(const double *, double *);
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}
__attribute__((noinline)) void hand(const double *x, double *out) {
  out[0] = log(x[0]) + x[0] * x[1] - sin(x[1]);
  out[1] = 1 / x[0] + x[1];
  out[2] = x[0] - cos(x[1]);
}
#define LOOP(call) \
  double x[2] = {2, 5}; \
  const double *in[] = {x, x + 1}; \
  double *places[] = {out, out + 1, out + 2}; \
  (void)in, (void)places; \
  const double start = now(); \
  for (int i = 0; i < n; i++) { \
    x[0] = 2 + 1e-9 * i; \
    call; \
  } \
  return (now() - start) / n;
double of_model(Model f, int n, double *out) {
  LOOP(f((const double *const *)in, places, 0, 0, 0, 0))
}
double of_casadi(Casadi f, int n, double *out) { LOOP(f(in, places, 0, 0, 0)) }
double of_pointer(Pointer f, int n, double *out) { LOOP(f(x, out)) }
"""


def library(folder: Path, name: str, flags: str = FLAGS) -> Any:
    """Compile a file of C, and load it."""
    made = folder / f"{name}.so"
    command = ["gcc", *flags.split(), "-shared", "-fPIC", "-o", str(made), f"{folder}/{name}.c"]
    subprocess.run([*command, "-lm"], check=True)
    return ctypes.CDLL(str(made))


def in_turn(*runs: Callable[[], float], repeats: int = 15) -> list[float]:
    """Return the least time of each run."""
    times = [[run() for run in runs] for _ in range(repeats)]
    return [min(column) for column in zip(*times, strict=True)]


# Numbers


def lecture() -> sm.Function:
    x1, x2 = sm.Variable("x1", shape=()), sm.Variable("x2", shape=())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])])


def numbers(folder: Path) -> Iterator[tuple[str, float]]:
    """Measure the running example."""
    f = lecture()
    sm.export_c(f, folder / "model.c")  # loads what it needs
    start = process_time()
    sm.export_c(f, folder / "model.c")
    yield "write, ms", 1e3 * (process_time() - start)
    (folder / "loops.c").write_text(_LOOPS)
    loops = library(folder, "loops", "-std=gnu99 -O2")
    want = f(2.0, 5.0)

    def runner(kind: str, code: Any, count: int = 200_000) -> Callable[[], float]:
        call, out = getattr(loops, f"of_{kind}"), (ctypes.c_double * 3)()
        call.restype = ctypes.c_double
        call(code, 1, out)
        np.testing.assert_allclose(list(out), want, rtol=1e-15)
        return lambda: float(call(code, count, out))

    model = runner("model", library(folder, "model", "-std=c99 -O2").model)
    if importlib.util.find_spec("casadi") is not None:
        ours, theirs = in_turn(model, runner("casadi", _casadi(folder)))
        yield "running example, ns", ours
        yield "running example / CasADi", ours / theirs
    ours, theirs = in_turn(
        runner("pointer", ctypes.c_void_p(f.address)), runner("pointer", loops.hand)
    )
    yield "pointer, ns", ours
    yield "pointer / hand-written C", ours / theirs


def _casadi(folder: Path) -> Any:
    import casadi

    a, b = casadi.SX.sym("a"), casadi.SX.sym("b")
    y = casadi.log(a) + a * b - casadi.sin(b)
    made = casadi.Function("peer", [a, b], [y, casadi.gradient(y, a), casadi.gradient(y, b)])
    here = os.getcwd()
    os.chdir(folder)
    made.generate("peer.c")
    os.chdir(here)
    return library(folder, "peer", "-O2").peer


# Arrays


def layer_norm() -> tuple[sm.Function, list[Any]]:
    shapes = {"x": (512, 512), "gain": (512,), "bias": (512,), "target": (512, 512)}
    x, gain, bias, target = (sm.Variable(name, shape=s) for name, s in shapes.items())
    centred = x - sm.mean(x, axis=1, keepdims=True)
    scale = sm.sqrt(sm.mean(centred**2, axis=1, keepdims=True) + 1e-5)
    loss = sm.sum((centred / scale * gain + bias) * target)
    f = sm.compile([x, gain, bias, target], [loss, *sm.gradients(loss, [x, gain, bias])])
    rng = np.random.default_rng(0)
    return f, [rng.normal(size=shape) for shape in shapes.values()]


def attention() -> tuple[sm.Function, list[Any]]:
    q, k, v = (sm.Variable(name, shape=(4, 64, 32)) for name in "qkv")
    weights = sm.softmax(q @ sm.swapaxes(k, -1, -2) / np.sqrt(32.0))
    loss = sm.sum((weights @ v) ** 2)
    rng = np.random.default_rng(1)
    values = [rng.normal(size=(4, 64, 32)) for _ in "qkv"]
    return sm.compile([q, k, v], [loss, *sm.gradients(loss, [q, k, v])]), values


def network_step() -> tuple[sm.Function, list[Any]]:
    shapes = {"X": (100, 784), "Y": (100, 10), "W1": (784, 100), "b1": (100,),
              "W2": (100, 10), "b2": (10,)}  # fmt: skip
    nodes = [sm.Variable(name, shape=s, dtype="float32") for name, s in shapes.items()]
    X, Y, *weights = nodes
    W1, b1, W2, b2 = weights
    scores = sm.relu(X @ W1 + b1) @ W2 + b2
    loss = -sm.mean(sm.sum(Y * sm.log_softmax(scores), axis=1))
    pairs = zip(weights, sm.gradients(loss, weights), strict=True)
    f = sm.compile(nodes, [loss, *(w - np.float32(0.1) * g for w, g in pairs)])
    rng = np.random.default_rng(2)
    return f, [0.1 * rng.normal(size=shape).astype("float32") for shape in shapes.values()]


def against_native(folder: Path, name: str, made: tuple[sm.Function, list[Any]]) -> float:
    """Return the time of exported C, divided by that of native code."""
    f, arrays = made
    want = f(*arrays)
    sm.export_c(f, folder / f"{name}.c")
    code = library(folder, name)
    results = [np.empty(np.shape(y), y.dtype) for y in want]
    size = getattr(code, f"{name}_work")
    size.restype = ctypes.c_int64
    work = np.empty(size(None) + 1)
    pointers = [(ctypes.c_void_p * len(group))(*[a.ctypes.data for a in group])
                for group in (arrays, results)]  # fmt: skip
    place, run = ctypes.c_void_p(work.ctypes.data), getattr(code, name)

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        def measure() -> float:
            start = process_time()
            for _ in range(5):
                call()
            return process_time() - start

        return measure

    assert run(*pointers, place, None, None, None) == 0
    for a, b in zip(want, results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * np.max(np.abs(a)))
    ours, native = in_turn(
        timed(lambda: run(*pointers, place, None, None, None)), timed(lambda: f(*arrays))
    )
    return ours / native


# A chain


def chain(folder: Path, steps: int = 20_000) -> float:
    """Return the seconds in which gcc compiles a chain with gradients; the bits are symad's."""
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    v: Any = x
    for k in range(steps):
        v = v * y + 0.3 if k % 2 else v / (1.0 + v * v)
    f = sm.compile([x, y], [v, *sm.gradients(v, [x, y])])
    want = f(0.7, 0.9)
    sm.export_c(f, folder / "chain.c")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code = library(folder, "chain", "-std=c99 -O1")
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    code.chain_work.restype = ctypes.c_int64
    work = np.empty(code.chain_work(None) + 1)
    given, out = np.array([0.7, 0.9]), np.empty(3)
    pointers = [(ctypes.c_void_p * a.size)(*[a.ctypes.data + 8 * k for k in range(a.size)])
                for a in (given, out)]  # fmt: skip
    code.chain(*pointers, ctypes.c_void_p(work.ctypes.data), None, None, None)
    assert out.tolist() == want
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chain", action="store_true", help="compile a chain of 20 000 steps")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, number in numbers(folder):
            _print(what, number)
        for make in (layer_norm, attention, network_step):
            what = make.__name__
            ratio = against_native(folder, what, make())
            _print(f"{what.replace('_', ' ')} / native", ratio)
        if chosen.chain:
            _print("gcc -O1 of the chain, s", chain(folder))


def _print(what: str, number: float) -> None:
    limit = f"  (at most {LIMITS[what]:g})" if what in LIMITS else ""
    print(f"{what:<26} {number:8.2f}{limit}", flush=True)


if __name__ == "__main__":
    main()
