"""log Σ exp x, shifted by the largest element so that nothing overflows."""

from __future__ import annotations

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list

x = sm.Variable("x", shape=("n",))
largest = sm.max(x)
y = largest + sm.log(sm.sum(sm.exp(x - largest)))

value = sm.compile([x], y)
slope = sm.compile([x], sm.gradients(y, x))


def primal(given: Input) -> TimedCall:
    return TimedCall(value, (np.array(given["x"]),), float)


def gradient(given: Input) -> TimedCall:
    return TimedCall(slope, (np.array(given["x"]),), to_list)
