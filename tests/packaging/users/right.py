"""How people use symad, for type checkers: ``assert_type`` says what they see of each result."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, assert_type

import numpy as np
import numpy.typing as npt

import symad as sm
from symad import Node, Parameter, Variable
from symad.errors import ShapeError, SymadError
from symad.testing import check_gradients

Array = npt.NDArray[np.float64]


class Layer(NamedTuple):
    weights: Parameter
    bias: Parameter

    def __call__(self, x: Node) -> Node:
        return sm.relu(x @ self.weights + self.bias)


def operators(x: Variable, n: Variable) -> Node:
    y = 2 * x + x**2 - 1 / x + np.float64(3.0) * x @ np.eye(3) - [1.0, 2.0, 3.0]
    mask = (x > 0) & ~(x >= 10.0) | (n < 3)
    assert_type(y, Node)
    assert_type(mask, Node)
    assert_type(abs(-y).T[0, ..., None], Node)
    assert_type(np.arange(3.0) + x, Node)
    return sm.where(mask, y, 0.0).astype("float32")


def reductions(x: Node) -> list[Node]:
    totals = [sm.sum(x), sm.sum(x, axis=0, keepdims=True), sm.mean(x, (0, 1)), x.max(axis=-1)]
    totals += [sm.logsumexp(x, axis=1), sm.softmax(x), sm.var(x, correction=1), sm.prod([x, x][0])]
    first, *rest = sm.split(x, 3, axis=1)
    stacked = sm.concat([first, *rest, sm.zeros_like(first)], axis=0)
    padded = sm.pad(stacked, ((1, 1), (0, 0)), mode="edge")
    totals += [sm.reshape(padded, (-1, x.shape[1])), sm.maximum(x, 0), sm.exp(1), sm.log([2.0])]
    return totals


def derivatives(loss: Node, x: Variable, w: Parameter, layers: dict[str, Parameter]) -> None:
    assert_type(sm.gradients(loss, x), Node)
    assert_type(sm.gradients(loss, [x, w]), list[Node])
    assert_type(sm.gradients(loss, (x, w)), Any)  # a named tuple is one too, and comes back as such
    assert_type(sm.gradients(loss, layers), dict[str, Node])
    assert_type(sm.gradients(loss, x, unused="zero"), Node)
    assert_type(sm.gradients(loss, x, unused="none"), Node | None)
    assert_type(sm.gradients(loss, {"first": [w], "second": (w, x)}), Any)
    dx, dw = sm.gradients(loss, [x, w])
    value, (gx, gw) = sm.value_and_gradients(loss, [x, w])
    assert_type(value, Node)
    assert_type(gx + gw + dx * dw, Node)
    assert_type(sm.hessian(loss, x), Node)
    assert_type(sm.jacobian(x * x, x, mode="forward"), Node)
    assert_type(sm.hessian_vector_product(loss, x, np.ones(3)), Node)
    assert_type(sm.pullback(x * x, x, [1.0, 2.0]), Node)
    assert_type(sm.pushforward(x * x, x, 1.0), Node)
    record = sm.extend(loss, [x])
    assert_type(record.adjoints[x], Node)
    assert_type(record.partials, dict[sm.Edge, Node])


def running(x: Variable, w: Parameter, y: Node, data: Array) -> float:
    f = sm.compile([x], {"y": y}, updates={w: w - 0.1 * w}, backend="native", rewrites="exact")
    assert_type(f, sm.Function)
    result: dict[str, Array] = f(data)
    f(x=data.tolist())
    executor = sm.Executor([y, w], backend="numpy")
    first, second = executor.run({x: data})
    print(f.passes, f.plan, f.source, first, second)
    return float(result["y"].sum() + y.eval({x: 2.0}))


def pictures(y: Node, x: Variable, folder: Path) -> None:
    drawing = sm.draw([y, sm.gradients(y, x)], {x: 2.0}, repairs=True)
    drawing.save(folder / "graph.svg")
    print(drawing.svg, sm.trace(y, {x: 2.0}), sm.explain(y, [x]).latex)
    sm.play(y, [x], {x: 2.0}).save(str(folder / "page.html"))
    print(sm.cost(y), sm.memory(y, {x: 1.0}), sm.profile(y, {x: 1.0}, runs=3))


def linear_algebra(a: Node, b: Node) -> Node:
    values, vectors = sm.linalg.eigh(a)
    q, r = sm.linalg.qr(a)
    solved = sm.linalg.solve(a, b) + sm.linalg.inv(a) @ b
    return sm.linalg.norm(solved) + sm.linalg.det(q @ r) + sm.sum(values) + sm.sum(vectors)


def tests(y: Node, x: Variable) -> None:
    check_gradients(y, [x], {x: np.linspace(0, 1, 3)}, modes=["reverse"], order=1)
    sm.testing.check_gradients(y, x, {x: 1.0})
    try:
        sm.Graph([y], [x])
    except ShapeError as error:
        print(error.message, error.remedy)
    except SymadError:
        raise


def everything(folder: Path) -> None:
    x = sm.Variable("x", shape=("n", 3))
    n = sm.Variable("n", shape=(), dtype="int64")
    layer = Layer(sm.parameter("W", np.eye(3)), sm.parameter("b", [0.0, 0.0, 0.0]))
    with sm.scope("loss"):
        loss = sm.sum(layer(operators(x, n)) * sm.constant(2.0))
    derivatives(loss, x, layer.weights, {"weights": layer.weights})
    running(x, layer.weights, loss, np.ones((2, 3)))
    pictures(loss, x, folder)
    print(sm.__version__, sm.find_nan(loss), linear_algebra(x, x), reductions(x))
