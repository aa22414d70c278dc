"""The square of a number and its derivative: whether messages arrive."""

from __future__ import annotations

import symad as sm
from benchmarks.gradbench.timed_call import TimedCall

x = sm.Variable("x", shape=())
y = x * x

value = sm.compile([x], y)
slope = sm.compile([x], sm.gradients(y, x))


def square(number: float) -> TimedCall:
    return TimedCall(value, (number,), float)


def double(number: float) -> TimedCall:
    return TimedCall(slope, (number,), float)
