"""y₀' = x₀, yᵢ' = xᵢ yᵢ₋₁ from 0 until t = 2, by s steps of the classical Runge-Kutta method."""

from __future__ import annotations

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list

END = 2.0


def slope_at(x: sm.Node, y: sm.Node) -> sm.Node:
    return x * sm.concatenate([sm.ones(1), y[:-1]])


def solution(x: sm.Node, steps: sm.Node) -> sm.Node:
    h = END / steps

    def step(y: sm.Node, _: None) -> tuple[sm.Node, None]:
        k1 = slope_at(x, y)
        k2 = slope_at(x, y + h / 2 * k1)
        k3 = slope_at(x, y + h / 2 * k2)
        k4 = slope_at(x, y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return sm.scan(step, sm.zeros_like(x), length=steps)[0]


x = sm.Variable("x", shape=("n",))
s = sm.Variable("s", shape=(), dtype="int64")
y = solution(x, s)

value = sm.compile([x, s], y)
last = sm.concatenate([sm.zeros_like(x[1:]), sm.ones(1)])
slope = sm.compile([x, s], sm.pullback(y, x, last))  # the gradient of the last element


def primal(given: Input) -> TimedCall:
    return TimedCall(value, (np.array(given["x"]), given["s"]), to_list)


def gradient(given: Input) -> TimedCall:
    return TimedCall(slope, (np.array(given["x"]), given["s"]), to_list)
