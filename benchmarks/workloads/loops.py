"""Loops of many small steps, value and gradients, beside ``jax.lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.builders import by_library, symad_builder
from benchmarks.workload import Target, Workload

Array = np.ndarray[Any, Any]
Step = Callable[[Any, Any], tuple[Any, Any]]


def _scan(lib: Any, step: Step, carry: Any, rows: Any, length: int | None = None) -> Any:
    """Return the last carry of a loop."""
    if lib.__name__ == "symad":
        return lib.scan(step, carry, rows, length)[0]
    import jax

    return jax.lax.scan(step, carry, rows, length)[0]


def _workload(
    name: str, title: str, function: Callable[..., Any], inputs: Any, size: tuple[int, ...],
    tiny: tuple[int, ...], wrt: tuple[int, ...], limit: float,
) -> Workload:  # fmt: skip
    """Return a workload.

    The reference is the loop that NumPy runs step by step, whose gradients the tests check by
    differences; JAX's answers must agree with it too.
    """

    def reference(*given: Any) -> Any:
        made = symad_builder(function, wrt, backend="numpy")(*given)
        return made.answer(made.call(*made.arguments))

    return Workload(
        name=name,
        title=title,
        inputs=inputs,
        size=size,
        tiny=tiny,
        reference=reference,
        implementations=by_library({"symad": function, "jax": function}, wrt=wrt),
        targets=(Target(limit, "jax"),),
        tolerance=1e-8,
    )


# A hidden Markov model: the forward algorithm on logarithms


def hmm_inputs(length: int, states: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((states, states)), rng.standard_normal((length, states))


def hmm(lib: Any, transition: Any, emission: Any) -> Any:
    def step(alpha: Any, row: Any) -> tuple[Any, None]:
        moved = alpha[:, None] + transition
        highest = lib.max(moved, axis=0)
        return lib.log(lib.sum(lib.exp(moved - highest), axis=0)) + highest + row, None

    last = _scan(lib, step, emission[0], emission[1:])
    return lib.log(lib.sum(lib.exp(last - lib.max(last)))) + lib.max(last)


# A Kalman filter


def kalman_inputs(length: int, size: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    move = np.eye(size) * 0.9 + rng.standard_normal((size, size)) * 0.05
    return move, np.eye(size) * 0.3 + 0.01, rng.standard_normal((length, size))


def kalman(lib: Any, move: Any, noise: Any, seen: Any) -> Any:
    size = seen.shape[1]

    def step(state: Any, y: Any) -> tuple[Any, None]:
        mean, covariance, total = state
        mean, covariance = move @ mean, move @ covariance @ move.T + noise
        spread = covariance + lib.eye(size)
        gain = lib.linalg.solve(spread, covariance).T
        error = y - mean
        total = total + error @ lib.linalg.solve(spread, error) + lib.linalg.slogdet(spread)[1]
        return (mean + gain @ error, covariance - gain @ covariance, total), None

    first = (lib.zeros(size), lib.eye(size), lib.zeros(()))
    return _scan(lib, step, first, seen)[2]


# A long short-term memory


def lstm_inputs(length: int, size: int) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng(0)
    scale = size**-0.5
    return (
        rng.standard_normal((4 * size, size)) * scale,
        rng.standard_normal((4 * size, size)) * scale,
        rng.standard_normal(4 * size) * 0.1,
        rng.standard_normal((length, size)),
    )


def lstm(lib: Any, w: Any, u: Any, b: Any, rows: Any) -> Any:
    size = rows.shape[1]

    def gate(z: Any, k: int) -> Any:
        return 1 / (1 + lib.exp(-z[k * size : (k + 1) * size]))

    def step(state: Any, x: Any) -> tuple[Any, None]:
        h, c = state
        z = w @ x + u @ h + b
        c = gate(z, 0) * c + gate(z, 1) * lib.tanh(z[3 * size :])
        return (gate(z, 2) * lib.tanh(c), c), None

    h, _ = _scan(lib, step, (lib.zeros(size), lib.zeros(size)), rows)
    return lib.sum(h * h)


# An ordinary differential equation by the method of Runge and Kutta


def rk4_inputs(length: int) -> tuple[Array, Array, float]:
    return np.array([1.0, 0.0]), np.array([1.5]), float(length)


def rk4(lib: Any, start: Any, p: Any, steps: Any) -> Any:
    h = 10.0 / steps

    def slope(y: Any) -> Any:
        return lib.stack([y[1], p[0] * (1 - y[0] ** 2) * y[1] - y[0]])

    def step(y: Any, _: Any) -> tuple[Any, None]:
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lib.sum(_scan(lib, step, start, None, RK4_STEPS) ** 2)


RK4_STEPS = 1000

HMM = _workload(
    "hmm", "hidden Markov model, 16 states, 1 000 steps, value and gradients", hmm, hmm_inputs,
    (1000, 16), (5, 3), (0, 1), 0.6,
)  # fmt: skip
KALMAN = _workload(
    "kalman", "Kalman filter, 4 states, 1 000 steps, value and gradients", kalman, kalman_inputs,
    (1000, 4), (5, 2), (0, 1, 2), 0.25,
)  # fmt: skip
LSTM_32 = _workload(
    "lstm-32", "LSTM, 32 units, 1 000 steps, value and gradients", lstm, lstm_inputs,
    (1000, 32), (5, 3), (0, 1, 2, 3), 0.4,
)  # fmt: skip
LSTM_64 = _workload(
    "lstm-64", "LSTM, 64 units, 1 000 steps, value and gradients", lstm, lstm_inputs,
    (1000, 64), (5, 3), (0, 1, 2, 3), 0.65,
)  # fmt: skip
RK4 = _workload(
    "rk4", "Van der Pol's oscillator, 1 000 Runge-Kutta steps, value and gradients", rk4,
    rk4_inputs, (RK4_STEPS,), (RK4_STEPS,), (0, 1), 0.05,
)  # fmt: skip
