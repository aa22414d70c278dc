"""Least squares: ½ Σ (sign t − Σ_j x_j tʲ)² at n points t between −1 and 1."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list


@functools.cache
def compiled(count: int) -> tuple[Callable, Callable]:
    """Return the objective and its gradient for a polynomial with so many coefficients."""
    x = sm.Variable("x", shape=(count,))
    n = sm.Variable("n", shape=(), dtype="int64")
    t = sm.arange(n) * 2.0 / (n - 1) - 1
    y = sm.sum((sm.sign(t) - sm.polyval(sm.flip(x), t)) ** 2) / 2
    return sm.compile([x, n], y), sm.compile([x, n], sm.gradients(y, x))


def timed_call(given: Input, which: int, answer: Callable) -> TimedCall:
    x = np.array(given["x"])
    return TimedCall(compiled(len(x))[which], (x, given["n"]), answer)


def primal(given: Input) -> TimedCall:
    return timed_call(given, 0, float)


def gradient(given: Input) -> TimedCall:
    return timed_call(given, 1, to_list)
