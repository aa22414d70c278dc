"""Optimisers: their steps are those of written-out loops in NumPy, on every backend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad import optimise
from symad.errors import GraphTypeError

BACKENDS: tuple[Any, ...] = ("numpy", "native")
START = np.array([0.8, -0.5, 0.5])
TARGET = np.array([0.3, 0.1, -0.7])
SCALE = np.array([1.0, 2.0, 0.1])


def slope(w: Any) -> Any:
    """Return the gradient of the loss that all examples minimise."""
    return SCALE * (w - TARGET) ** 3


def sgd(w: Any) -> Iterator[Any]:
    while True:
        w = w - 0.1 * slope(w)
        yield w


def momentum(w: Any, nesterov: bool = False) -> Iterator[Any]:
    v = np.zeros_like(w)
    while True:
        g = slope(w)
        v = 0.8 * v + g
        w = w - 0.1 * (g + 0.8 * v if nesterov else v)
        yield w


def adam(w: Any, decay: float = 0.0) -> Iterator[Any]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g, t = slope(w), t + 1
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        means = m / (1 - 0.8**t), v / (1 - 0.95**t)
        w = w - 0.1 * decay * w - 0.1 * means[0] / (np.sqrt(means[1]) + 1e-3)
        yield w


def rmsprop(w: Any) -> Iterator[Any]:
    v = np.zeros_like(w)
    while True:
        g = slope(w)
        v = 0.9 * v + 0.1 * g**2
        w = w - 0.1 * g / (np.sqrt(v) + 1e-3)
        yield w


def adagrad(w: Any) -> Iterator[Any]:
    v = np.zeros_like(w)
    while True:
        g = slope(w)
        v = v + g**2
        w = w - 0.1 * g / (np.sqrt(v) + 1e-3)
        yield w


RULES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Iterator[Any]]]] = {
    "sgd": (lambda w, g: optimise.sgd(w, g, 0.1), sgd),
    "momentum": (lambda w, g: optimise.momentum(w, g, 0.1, 0.8), momentum),
    "nesterov": (
        lambda w, g: optimise.momentum(w, g, 0.1, 0.8, nesterov=True),
        lambda w: momentum(w, nesterov=True),
    ),
    "adam": (lambda w, g: optimise.adam(w, g, 0.1, 0.8, 0.95, 1e-3), adam),
    "adamw": (
        lambda w, g: optimise.adamw(w, g, 0.1, 0.8, 0.95, 1e-3, weight_decay=0.3),
        lambda w: adam(w, 0.3),
    ),
    "rmsprop": (lambda w, g: optimise.rmsprop(w, g, 0.1, 0.9, 1e-3), rmsprop),
    "adagrad": (lambda w, g: optimise.adagrad(w, g, 0.1, 1e-3), adagrad),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", RULES)
def test_steps_are_those_of_a_loop(name: str, backend: Any) -> None:
    rule, loop = RULES[name]
    w = sm.parameter("w", START)
    loss = sm.sum(SCALE * (w - TARGET) ** 4) / 4
    step = sm.compile([], loss, updates=rule(w, sm.gradients(loss, w)), backend=backend)
    expected = loop(START)
    for _ in range(8):
        step()
        np.testing.assert_allclose(w.value, next(expected), rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_state_and_steps_have_the_dtype_of_the_parameter(name: str, dtype: str) -> None:
    rate, w = sm.Variable("rate", ()), sm.parameter("w", START, dtype)
    for scale in (1.0, rate):
        updates = RULES[name][0](w, sm.gradients(sm.sum(w**4) / 4, w))
        updates |= {p: v for p, v in optimise.sgd(w, w, scale).items() if p is not w}
        kinds = {str(p.dtype) for p in updates if p.name != "steps of Adam"}
        assert kinds == {dtype} == {str(v.dtype) for v in updates.values() if v.dtype.kind == "f"}
        assert all(
            p.name.endswith(" of w") for p in updates if p.name not in ("w", "steps of Adam")
        )


def test_structures_are_paired_by_key() -> None:
    weights = {"a": sm.parameter("a", 1.0), "b": [sm.parameter("b", [2.0, 3.0])]}
    loss = 2 * weights["a"] + 3 * sm.sum(weights["b"][0])  # type: ignore[index, operator]
    slopes = sm.gradients(loss, weights)
    swapped = {"b": slopes["b"], "a": slopes["a"]}
    sm.compile([], loss, updates=optimise.sgd(weights, swapped, 1.0))()
    assert float(weights["a"].value) == -1.0  # type: ignore[union-attr]
    np.testing.assert_array_equal(weights["b"][0].value, [-1.0, 0.0])  # type: ignore[index]


def test_the_rate_may_be_a_node_or_a_parameter() -> None:
    count, rate = sm.parameter("count", 0), sm.parameter("rate", 0.5)
    w, v = sm.parameter("w", 0.0, "float32"), sm.parameter("v", 0.0)
    falling = optimise.cosine_decay(count, 4, 1.0, 0.2)
    updates = {**optimise.sgd(w, -sm.ones_like(w), falling), count: count + 1}
    step = sm.compile([], falling, updates=updates | optimise.sgd(v, -sm.ones_like(v), rate))
    rates = [float(step()) for _ in range(6)]
    expected = [0.2 + 0.4 * (1 + np.cos(np.pi * min(n, 4) / 4)) for n in range(6)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    np.testing.assert_allclose(w.value, sum(expected), rtol=1e-6)
    rate.value = 2.0
    step()
    assert float(v.value) == 6 * 0.5 + 2.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradients_are_clipped_together(dtype: str) -> None:
    a, b = sm.Variable("a", (2,), dtype), sm.Variable("b", (), dtype)
    clipped = optimise.clip_by_global_norm({"a": a, "b": [b]}, 10.0)
    f = sm.compile([a, b], clipped)
    for scale in (0.0, 1.0, 100.0, 3000.0):
        got = f((np.array([3.0, 0.0]) * scale).astype(dtype), 4.0 * scale)
        factor = min(scale, 2.0)
        np.testing.assert_allclose(got["a"], [3 * factor, 0], rtol=2e-3)
        np.testing.assert_allclose(got["b"][0], 4 * factor, rtol=2e-3)
        assert got["a"].dtype == dtype
    assert np.isnan(f([np.nan, 0.0], 1.0)["b"][0])


def test_a_network_is_trained() -> None:
    rng = np.random.default_rng(0)
    x, labels = sm.Variable("x", ("batch", 2)), sm.Variable("labels", ("batch",), "int64")
    weights = [sm.parameter("W1", rng.normal(0, 1, (2, 16))), sm.parameter("b", np.zeros(16))]
    weights.append(sm.parameter("W2", rng.normal(0, 0.3, (16, 2))))
    loss = sm.nn.cross_entropy(sm.nn.gelu(x @ weights[0] + weights[1]) @ weights[2], labels)
    slopes = optimise.clip_by_global_norm(sm.gradients(loss, weights), 1.0)
    step = sm.compile([x, labels], loss, updates=optimise.adam(weights, slopes, 0.02))
    points = rng.normal(size=(200, 2))
    classes = (points[:, 0] * points[:, 1] > 0).astype(int)
    losses = [step(points, classes) for _ in range(200)]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimise.sgd(sm.Variable("x", ()), sm.constant(1.0)), "sm.parameter"),
        (lambda: optimise.sgd(sm.parameter("n", 1), sm.constant(1.0)), "floating"),
        (lambda: optimise.adam([sm.parameter("w", 1.0)], [None]), "no gradient"),
        (lambda: optimise.adam([sm.parameter("w", 1.0)], []), "gradients needs a sequence of 1"),
        (lambda: optimise.adam({"w": sm.parameter("w", 1.0)}, {"v": sm.constant(1.0)}), "'w'"),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(GraphTypeError, match=message):
        make()


def test_optimisers_are_loaded_on_first_use() -> None:
    code = (
        "import sys, symad as sm; print('symad.optimise' in sys.modules, sm.optimise.adam.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False adam\n"
