"""The graphs that pictures are judged by: what a lecture shows, and what is hard to draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.models import initial_weights, regularised_network

Case = tuple[Any, dict[sm.Node, Any] | None]
"""What is drawn, and what is fed."""


def lecture() -> Case:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return [y, *sm.gradients(y, [x1, x2])], None


def lecture_fed() -> Case:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return [y, *sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0}


def two_pathways() -> Case:
    v1 = sm.Variable("v1")
    v2 = sm.exp(v1)
    f = (v2 + 1) * v2
    return [f, sm.gradients(f, v1)], None


def many_pathways() -> Case:
    """A diamond of diamonds: each node is used several times."""
    x = sm.Variable("x", ())
    a, b, c = sm.sin(x), sm.cos(x), sm.exp(x)
    d, e = a * b, b * c
    f = d + e + a
    y = f * d * x
    return [y, sm.gradients(y, x)], None


def _trained_network() -> tuple[Any, list[Any]]:
    weights1, weights2 = (weight.T for weight in initial_weights(784, 100, 10))
    model = regularised_network(weights1, weights2, strength=0.001)
    return model.loss, list(model.parameters)


def regularised() -> Case:
    loss, _ = _trained_network()
    return loss, None


def regularised_gradients() -> Case:
    loss, parameters = _trained_network()
    return [loss, *sm.gradients(loss, parameters)], None


def scoped_network() -> tuple[sm.Node, list[sm.Node], dict[sm.Node, Any]]:
    """A network with scopes, parameters, broadcasting and a regularised loss."""
    rng = np.random.default_rng(1)
    x, target = sm.Variable("X", ("batch", 8)), sm.Variable("target", ("batch", 3))
    w1, w2 = sm.parameter("W1", rng.normal(size=(8, 5))), sm.parameter("W2", np.ones((5, 3)))
    bias = sm.parameter("bias", np.zeros(5))
    with sm.scope("layer1"):
        hidden = sm.sin(x @ w1 + bias)
    with sm.scope("layer2"):
        output = hidden @ w2
    with sm.scope("loss"):
        error = output - target
        loss = sm.sum(error * error) + 0.5 * sm.sum(w1 * w1)
    feed = {x: rng.normal(size=(4, 8)), target: rng.normal(size=(4, 3))}
    return loss, [w1, w2, bias], feed


def squared_loss() -> Case:
    loss, parameters, feed = scoped_network()
    return [loss, *sm.gradients(loss, parameters)], feed


def attention() -> Case:
    q, k, v = (sm.Variable(name, ("tokens", 16)) for name in "QKV")
    with sm.scope("scores"):
        weights = sm.softmax(q @ k.T / np.sqrt(16.0), axis=-1)
    y = sm.sum(sm.square(weights @ v))
    return [y, *sm.gradients(y, [q, k, v])], None


def layer_norm() -> Case:
    x = sm.Variable("x", ("batch", 32))
    gain, shift = sm.parameter("γ", np.ones(32)), sm.parameter("β", np.zeros(32))
    with sm.scope("normalise"):
        centred = x - sm.mean(x, axis=-1, keepdims=True)
        variance = sm.mean(sm.square(centred), axis=-1, keepdims=True)
        normal = centred / sm.sqrt(variance + 1e-5)
    y = sm.sum(sm.tanh(normal * gain + shift))
    return [y, *sm.gradients(y, [x, gain, shift])], None


def structure() -> Case:
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure({"cat": a0, "dog": a1})
    v = sm.square(d["cat"])
    return [v, sm.gradients(v, a0)], None


def second_derivative() -> Case:
    x = sm.Variable("x", ())
    y = x**3
    first = sm.gradients(y, x)
    return [y, first, sm.gradients(first, x)], None


def second_of_two() -> Case:
    x1, x2 = sm.Variable("x1", ()), sm.Variable("x2", ())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    first = sm.gradients(y, [x1, x2])
    return [y, *first, *sm.gradients(first[0] * first[1], [x1, x2])], None


def third_derivative() -> Case:
    x = sm.Variable("x", ())
    y = sm.sin(x) * x
    first = sm.gradients(y, x)
    second = sm.gradients(first, x)
    return [y, first, second, sm.gradients(second, x)], None


def hessian_vector() -> Case:
    z, d = sm.Variable("z", (2,)), sm.Variable("d", (2,))
    y = z[0] ** 2 * z[1]
    return [y, sm.gradients(y, z), sm.hessian_vector_product(y, z, d)], None


def tangent() -> Case:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return [y, sm.tangents(y, [x1, x2], [1.0, 0.0])[y]], None


def both_modes() -> Case:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    dots = sm.tangents(y, [x1, x2], [1.0, 0.0])[y]
    return [y, dots, *sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0}


def residual_scopes() -> Case:
    hidden = x = sm.Variable("x", ("b", 4))
    weights = []
    for i in range(3):
        with sm.scope(f"block {i}"):
            weights.append(sm.parameter(f"W{i}", np.ones((4, 4))))
            with sm.scope("inner"):
                z = sm.tanh(hidden @ weights[-1])
            hidden = hidden + z * sm.sin(z)
    loss = sm.mean(hidden * x)
    return [loss, *sm.gradients(loss, weights)], None


def wide() -> Case:
    xs = [sm.Variable(f"x{i}", ()) for i in range(16)]
    y = sm.add_n([sm.sin(a) * b for a, b in zip(xs, xs[1:], strict=False)])
    return [y, *sm.gradients(y, xs)], None


def deep() -> Case:
    x = y = sm.Variable("x", ())
    for op in (sm.sin, sm.exp, sm.tanh, sm.cos, sm.sqrt, sm.log1p, sm.square, sm.sigmoid) * 2:
        y = op(y)
    return [y, sm.gradients(y, x)], {x: 0.5}


def ladder() -> Case:
    """Long arrows: the input is used at each step."""
    x = y = sm.Variable("x", ())
    for _ in range(8):
        y = sm.sin(y) * x
    return [y, sm.gradients(y, x)], None


def _random(size: int, seed: int, summed: int, scopes: int = 0) -> Case:
    """A random expression of the last nodes and all variables, and its gradient."""
    rng = np.random.default_rng(seed)
    xs = [sm.Variable(f"x{i}", ()) for i in range(4)]
    pool: list[Any] = list(xs)
    while len(pool) < size:
        a, b = (pool[max(0, len(pool) - 1 - int(rng.exponential(5)))] for _ in range(2))
        with sm.scope(f"block {rng.integers(scopes)}" if scopes else "all"):
            pool.append([a + b, a * b, sm.sin(a), a / b, sm.exp(b)][int(rng.integers(5))])
    y = sm.add_n([*xs, *pool[-summed:]])
    adjoints = sm.extend(y, xs).adjoints  # of the graph as written, whatever forms are stable
    return [y, *(adjoints[x] for x in xs)], None


def random_large() -> Case:
    """More than 300 nodes."""
    return _random(150, 7, summed=20)


def random_sum() -> Case:
    """A sum of everything: long arrows, and many to one node."""
    return _random(40, 4, summed=36)


def random_in_scopes() -> Case:
    """Scopes that depend on one another in circles."""
    return _random(24, 2, summed=20, scopes=3)


def long_names() -> Case:
    x = sm.Variable("the_price_of_the_underlying_asset", ("number of scenarios", 12))
    rate = sm.parameter("continuously_compounded_interest_rate", np.float64(0.05))
    with sm.scope("discounting of all payments until maturity"):
        y = sm.sum(x * sm.exp(-rate * 3))
    return [y, *sm.gradients(y, [x, rate])], None


def weird_names() -> Case:
    names = [
        '"><script>alert(1)</script>', "\\N $x_1$ \\frac{1}{2}", "a]; b -> c [label=<x>",
        "é שלום 🎉", "\u202ereversed", "line\nbreak\ttab",
    ]  # fmt: skip
    xs = [sm.Variable(name, ()) for name in names]
    with sm.scope("<b>שלום</b> & 'co' \"x\""):
        y = sm.add_n([sm.sin(x) for x in xs])
    return [y, *sm.gradients(y, xs)], None


def mapped() -> Case:
    rows, w = sm.Variable("rows", ("n", 3)), sm.Variable("w", (3,))
    y = sm.sum(sm.map_over(lambda row: sm.tanh(row @ w), [rows]))
    return [y, *sm.gradients(y, [rows, w])], None


def choices() -> Case:
    """Integers and booleans have no gradient."""
    x = sm.Variable("x", ("n",))
    index = sm.Variable("index", (), "int64")
    chosen = sm.where(sm.logical_and(x > 0, sm.isfinite(x)), sm.log(x), -x)
    y = sm.sum(chosen) * sm.cast(index + 1, "float64")
    return [y, sm.gradients(y, x)], {x: np.array([0.5, -1.0, 2.0]), index: 3}


def repairs() -> Case:
    x, b = sm.Variable("x"), sm.Variable("b")
    y = sm.sum(x * b)
    return [y, *sm.gradients(y, [x, b])], {x: np.ones((2, 2)), b: np.array([3.0, 4.0])}


def recurrence() -> Case:
    x, w = sm.Variable("x", ("time", 3)), sm.Variable("W", (3, 3))

    def step(h: sm.Node, element: sm.Node) -> tuple[sm.Node, sm.Node]:
        h = sm.tanh(w @ h + element)
        return h, sm.sum(h)

    h, _ = sm.scan(step, np.zeros(3), x)
    loss = sm.sum(h * h)
    return [loss, sm.gradients(loss, w)], {x: np.ones((4, 3)), w: np.eye(3)}


def newton() -> Case:
    """A loop whose number of steps is not known."""
    a = sm.Variable("a", ())
    root = sm.while_loop(
        lambda r: sm.abs(r * r - a) > 1e-12 * a, lambda r: (r + a / r) / 2, 1.0, max_steps=50
    )
    return [root, sm.gradients(root, a)], None


def condition() -> Case:
    s = sm.Variable("s", ())
    y = sm.cond(s > 0, lambda: sm.sqrt(s), lambda: 0.0 * s) * s
    return [y, sm.gradients(y, s)], None


def branches() -> Case:
    """With several results, in a scope and with scopes inside."""
    k, x, w = sm.Variable("k", (), "int64"), sm.Variable("x", (2,)), sm.Variable("w", (2,))

    def scoped(x: sm.Node) -> Any:
        with sm.scope("inner"):
            return sm.sin(x * w), sm.exp(x)

    with sm.scope("choice"):
        y, z = sm.switch(k, [scoped, lambda x: (x, x * x), lambda x: (w, x)], x)
    loss = sm.sum(y * z)
    return [loss, *sm.gradients(loss, [x, w])], None


def nested_loops() -> Case:
    m, factor = sm.Variable("M", (4, 5)), sm.Variable("factor", ())

    def inner(c: sm.Node, e: sm.Node) -> tuple[sm.Node, None]:
        return sm.sin(c * factor) + e, None

    total, _ = sm.scan(lambda c, row: (sm.scan(inner, c, row)[0], None), 0.0, m)
    return [total, *sm.gradients(total, [m, factor])], None


def cell() -> Case:
    """A step of an LSTM with its gradient: too many nodes to be drawn open unless asked."""
    x, w, b = sm.Variable("x", (100, 3)), sm.Variable("W", (16, 7)), sm.Variable("b", (16,))

    def step(state: Any, element: sm.Node) -> Any:
        h, c = state
        z = w @ sm.concat([element, h]) + b
        i, f, o = (sm.sigmoid(z[k : k + 4]) for k in (0, 4, 8))
        c = f * c + i * sm.tanh(z[12:])
        h = o * sm.tanh(c)
        return (h, c), h

    (h, _), _ = sm.scan(step, (np.zeros(4), np.zeros(4)), x)
    loss = sm.sum(h * h)
    return [loss, *sm.gradients(loss, [w, b])], None


def second_derivative_of_a_loop() -> Case:
    x = sm.Variable("x", ())
    y, _ = sm.scan(lambda c, _: (sm.sin(c) * x, None), x, length=3)
    first = sm.gradients(y, x)
    return [y, first, sm.gradients(first, x)], None


def tangent_of_a_loop() -> Case:
    x = sm.Variable("x", ())
    y = sm.while_loop(lambda c: c < 3, lambda c: c * x, x)
    return [y, sm.tangents(y, [x], [1.0])[y]], None


def hessian() -> Case:
    """Maps of derivatives over unit vectors."""
    x = sm.Variable("x", (3,))
    y = sm.sum(sm.sin(x) * x)
    return [y, sm.hessian(y, x)], None


CASES: dict[str, Callable[[], Case]] = {
    case.__name__: case
    for case in (
        lecture, lecture_fed, two_pathways, many_pathways, regularised, regularised_gradients,
        squared_loss, attention, layer_norm, structure, second_derivative, second_of_two,
        third_derivative, hessian_vector, tangent, both_modes, residual_scopes, wide, deep, ladder,
        random_large, random_sum, random_in_scopes, long_names, weird_names, mapped, choices,
        repairs, recurrence, newton, condition, branches, nested_loops, cell,
        second_derivative_of_a_loop, tangent_of_a_loop, hessian,
    )
}  # fmt: skip
