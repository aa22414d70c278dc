"""The graphs whose plans are kept in ``tests/golden``: what is compiled, and for which shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.examples import running_example, shared_exponential
from symad.demo.models import initial_weights, softmax_loss, two_layer_network

Case = tuple[list[sm.Node], list[sm.Node], list[Any]]
"""Inputs, outputs, and values to feed."""


def lecture() -> Case:
    x1, x2, y = running_example()
    return [x1, x2], [y, *sm.gradients(y, [x1, x2])], [2.0, 5.0]


def lecture_on_arrays() -> Case:
    x1, x2, y = running_example()
    return [x1, x2], [y, *sm.gradients(y, [x1, x2])], [np.ones((3, 1)), np.ones(4)]


def two_pathways() -> Case:
    v1, f = shared_exponential()
    first = sm.gradients(f, v1)
    return [v1], [f, first, sm.gradients(first, v1)], [0.5]


def tanh_layer() -> Case:
    w, x = sm.Variable("W", shape=(8, 8)), sm.Variable("x", shape=(8,))
    y = sm.sum(sm.tanh(w @ x) ** 2)
    return [w, x], [y, *sm.gradients(y, [w, x])], [np.eye(8), np.ones(8)]


def logistic_regression() -> Case:
    x, w = sm.Variable("X", shape=("n", 3)), sm.Variable("w", shape=(3,))
    t = sm.Variable("t", shape=("n",))
    p = 1 / (1 + sm.exp(-(x @ w)))
    loss = -sm.mean(t * sm.log(p) + (1 - t) * sm.log(1 - p))
    return [x, w, t], [loss, sm.gradients(loss, w)], [np.ones((5, 3)), np.ones(3), np.ones(5)]


def cross_entropy() -> Case:
    z = sm.Variable("z", shape=("n", 10))
    labels = sm.Variable("labels", shape=("n",), dtype="int64")
    loss = softmax_loss(z, labels)
    return [z, labels], [loss, sm.gradients(loss, z)], [np.zeros((4, 10)), np.arange(4)]


def layer_norm() -> Case:
    x, g, b = (sm.Variable(n, shape=s) for n, s in (("x", ("n", 16)), ("g", (16,)), ("b", (16,))))
    centred = x - sm.mean(x, axis=1, keepdims=True)
    y = g * centred / sm.sqrt(sm.var(x, axis=1, keepdims=True) + 1e-5) + b
    loss = sm.sum(y**2)
    fed = [np.arange(64.0).reshape(4, 16), np.ones(16), np.zeros(16)]
    return [x, g, b], [loss, *sm.gradients(loss, [x, g, b])], fed


def attention() -> Case:
    q, k, v = (sm.Variable(name, shape=("heads", 6, 4)) for name in "qkv")
    weights = sm.softmax(q @ sm.matrix_transpose(k) / 2.0, axis=-1)
    loss = sm.sum((weights @ v) ** 2)
    return [q, k, v], [loss, *sm.gradients(loss, [q, k, v])], [np.ones((2, 6, 4))] * 3


def gaussian() -> Case:
    s, x = sm.Variable("S", shape=(5, 5)), sm.Variable("x", shape=(5,))
    factor = sm.linalg.cholesky(s)
    white = sm.linalg.solve_triangular(factor, x, lower=True)
    loss = 0.5 * sm.sum(white**2) + sm.sum(sm.log(sm.diagonal(factor)))
    return [s, x], [loss, *sm.gradients(loss, [s, x])], [np.eye(5) * 2, np.ones(5)]


def network() -> Case:
    model = two_layer_network(*initial_weights(64, 20, 10))
    gradients = sm.gradients(model.loss, model.parameters)
    fed = [np.zeros((4, 64), np.float32), np.arange(4, dtype=np.uint8)]
    return [model.images, model.labels], [model.loss, *gradients], fed


def deep_layers() -> Case:
    """Large enough for the order to matter: gradients are finished one after another."""
    x = sm.Variable("x", shape=(60, 40))
    weights = [sm.Variable(f"W{k}", shape=(40, 40)) for k in (1, 2, 3)]
    h = x
    for w in weights:
        h = sm.tanh(h @ w)
    loss = sm.sum(h * h)
    fed = [np.full((60, 40), 0.1), *(np.full((40, 40), 0.1 * k) for k in (1, 2, 3))]
    return [x, *weights], [loss, *sm.gradients(loss, weights)], fed


CORPUS: tuple[Callable[[], Case], ...] = (
    lecture,
    lecture_on_arrays,
    two_pathways,
    tanh_layer,
    logistic_regression,
    cross_entropy,
    layer_norm,
    attention,
    gaussian,
    network,
    deep_layers,
)
