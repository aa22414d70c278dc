"""The square of a number and its derivative: whether messages arrive."""

from __future__ import annotations

import symad as sm
from benchmarks.gradbench.evaluation import Evaluation

x = sm.Variable("x", shape=())
y = x * x

value = sm.compile([x], y)
slope = sm.compile([x], sm.gradients(y, x))


def square(number: float) -> Evaluation:
    return Evaluation(value, (number,), float)


def double(number: float) -> Evaluation:
    return Evaluation(slope, (number,), float)
