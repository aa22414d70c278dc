"""A saddle point, min over x of max over y of |x|² − |y|², by gradient descent inside descent.

The two letters of a function are the modes of the outer and the inner derivatives.
"""

from __future__ import annotations

import functools

import numpy as np

import symad as sm
from benchmarks.gradbench.programs.descent import maximiser, minimiser
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list


def height(x: sm.Node, y: sm.Node) -> sm.Node:
    return sm.sum(x**2) - sm.sum(y**2)


def saddle_point(start: sm.Node, outer: str, inner: str) -> sm.Node:
    def highest(x: sm.Node) -> sm.Node:
        return height(x, maximiser(lambda y: height(x, y), start, inner))

    x = minimiser(highest, start, outer)
    y = maximiser(lambda y: height(x, y), start, outer)
    return sm.concatenate([x, y])


def timed_call(outer: str, inner: str, given: Input) -> TimedCall:
    start = sm.Variable("start", shape=(2,))
    compiled = sm.compile([start], saddle_point(start, outer, inner))
    return TimedCall(compiled, (np.array(given["start"]),), to_list)


ff = functools.partial(timed_call, "forward", "forward")
fr = functools.partial(timed_call, "forward", "reverse")
rf = functools.partial(timed_call, "reverse", "forward")
rr = functools.partial(timed_call, "reverse", "reverse")
