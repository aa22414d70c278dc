"""A charged particle that shall reach the origin: descent through Euler's method.

The force is the gradient of a potential, and the number of steps depends on the parameter w, which
moves one of the two fixed charges.  The two letters of a function are the modes of the outer and
the inner derivatives.
"""

from __future__ import annotations

import functools

import numpy as np

import symad as sm
from benchmarks.gradbench.programs.descent import derivative, length, minimiser
from benchmarks.gradbench.timed_call import Input, TimedCall

STEP = 0.1


def potential(x: sm.Node, charges: list[sm.Node]) -> sm.Node:
    return sum(1 / length(x - charge) for charge in charges)


def miss(w: sm.Node, inner: str) -> sm.Node:
    """Return the square of where the particle crosses the x axis."""
    charges = [sm.stack([10.0, 10.0 - w[0]]), np.array([10.0, 0.0])]

    def above(carry: tuple[sm.Node, sm.Node]) -> sm.Node:
        x, velocity = carry
        return x[1] + STEP * velocity[1] > 0

    def move(carry: tuple[sm.Node, sm.Node]) -> tuple[sm.Node, sm.Node]:
        x, velocity = carry
        force = -derivative(lambda x: potential(x, charges), x, inner)
        return x + STEP * velocity, velocity + STEP * force

    x, velocity = sm.while_loop(above, move, (np.array([0.0, 8.0]), np.array([0.75, 0.0])))
    x = x + STEP * velocity
    return (x[0] - x[1] / velocity[1] * velocity[0]) ** 2


def timed_call(outer: str, inner: str, given: Input) -> TimedCall:
    w = sm.Variable("w", shape=(1,))
    best = minimiser(lambda w: miss(w, inner), w, outer)
    return TimedCall(sm.compile([w], best[0]), (np.array([given["w"]]),), float)


ff = functools.partial(timed_call, "forward", "forward")
fr = functools.partial(timed_call, "forward", "reverse")
rf = functools.partial(timed_call, "reverse", "forward")
rr = functools.partial(timed_call, "reverse", "reverse")
