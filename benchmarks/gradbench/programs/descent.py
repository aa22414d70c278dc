"""Gradient descent with a step that grows and shrinks, as the suite defines it.

After 10 successes in a row the step doubles; where the function does not fall, it is halved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import symad as sm

TOLERANCE = 1e-5
"""The search ends where the gradient, or the next step, is not longer than this."""

Function = Callable[[sm.Node], sm.Node]


class Descent(NamedTuple):
    """A point with its value and gradient, the size of a step, and the successes in a row."""

    x: sm.Node
    value: sm.Node
    slope: sm.Node
    rate: sm.Node
    successes: sm.Node


def length(vector: sm.Node) -> sm.Node:
    return sm.sqrt(sm.sum(vector**2))


def derivative(function: Function, x: sm.Node, mode: str) -> sm.Node:
    """Return the gradient at a point, in ``"reverse"`` or ``"forward"`` mode.

    ``+x`` is a node of its own: what else the function makes of x is constant here.
    """
    x = +x
    y = function(x)
    if mode == "reverse":
        return sm.gradients(y, x)
    return sm.stack([sm.pushforward(y, x, unit) for unit in np.eye(x.size)])


def minimiser(function: Function, start: sm.Node, mode: str) -> sm.Node:
    """Return where a function of a vector is smallest."""

    def moves(state: Descent) -> sm.Node:
        return (length(state.slope) > TOLERANCE) & (
            (length(state.rate * state.slope) > TOLERANCE) | sm.equal(state.successes, 10)
        )

    def step(state: Descent) -> Descent:
        return Descent(*sm.cond(sm.equal(state.successes, 10), faster, attempt, *state))

    def faster(*state: sm.Node) -> Descent:
        x, value, slope, rate, successes = state
        return Descent(x, value, slope, 2 * rate, sm.zeros_like(successes))

    def attempt(*state: sm.Node) -> Descent:
        x, _, slope, rate, _ = state
        x = x - rate * slope
        value = function(x)
        return sm.cond(value < state[1], succeed, fail, x, value, *state)

    def succeed(x: sm.Node, value: sm.Node, *state: sm.Node) -> Descent:
        return Descent(x, value, derivative(function, x, mode), state[3], state[4] + 1)

    def fail(x: sm.Node, value: sm.Node, *state: sm.Node) -> Descent:
        return Descent(*state[:3], state[3] / 2, sm.zeros_like(state[4]))

    first = Descent(start, function(start), derivative(function, start, mode), 1e-5, 0)
    return sm.while_loop(moves, step, first, name="gradient descent").x


def maximiser(function: Function, start: sm.Node, mode: str) -> sm.Node:
    """Return where a function of a vector is largest."""
    return minimiser(lambda x: -function(x), start, mode)
