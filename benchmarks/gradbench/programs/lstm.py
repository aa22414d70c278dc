"""An LSTM with diagonal weights that predicts the next character: a scan over a text."""

from __future__ import annotations

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall

NAMES = "main_params", "extra_params", "state", "sequence"


def layer(
    weight: sm.Node, bias: sm.Node, hidden: sm.Node, cell: sm.Node, x: sm.Node
) -> tuple[sm.Node, sm.Node]:
    """Return the next hidden state and cell of one layer."""
    forget = sm.sigmoid(x * weight[0] + bias[0])
    ingate = sm.sigmoid(hidden * weight[1] + bias[1])
    outgate = sm.sigmoid(x * weight[2] + bias[2])
    change = sm.tanh(hidden * weight[3] + bias[3])
    cell = cell * forget + ingate * change
    return outgate * sm.tanh(cell), cell


def loss(main: sm.Node, extra: sm.Node, state: sm.Node, sequence: sm.Node) -> sm.Node:
    """Return the mean of −(log probability) · (next character)."""
    layers, bits = main.shape[0] // 2, state.shape[1]
    weights = sm.reshape(main, (layers, 2, 4, bits))

    def step(states: list, characters: tuple) -> tuple[list, sm.Node]:
        x, following = characters
        x, after = x * extra[0], []
        for k, (hidden, cell) in enumerate(states):
            x, cell = layer(weights[k, 0], weights[k, 1], hidden, cell, x)
            after.append((x, cell))
        y = x * extra[1] + extra[2]
        return after, sm.sum(following * (y - sm.log(sm.sum(sm.exp(y)) + 2)))

    states = [(state[2 * k], state[2 * k + 1]) for k in range(layers)]
    _, terms = sm.scan(step, states, (sequence[:-1], sequence[1:]))
    return -sm.mean(terms) / bits


def built(given: Input) -> tuple[list[sm.Node], sm.Node, list[np.ndarray]]:
    arrays = [np.array(given[name]) for name in NAMES]
    variables = [
        sm.Variable(name, shape=array.shape) for name, array in zip(NAMES, arrays, strict=True)
    ]
    return variables, loss(*variables), arrays


def objective(given: Input) -> TimedCall:
    variables, y, arrays = built(given)
    return TimedCall(sm.compile(variables, y), arrays, float)


def jacobian(given: Input) -> TimedCall:
    variables, y, arrays = built(given)
    slopes = sm.gradients(y, variables[:2])
    return TimedCall(sm.compile(variables, slopes), arrays, flat)


def flat(slopes: list[np.ndarray]) -> list[float]:
    return np.concatenate([slope.ravel() for slope in slopes]).tolist()
