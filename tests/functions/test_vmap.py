"""sm.vmap: axes of arguments and results, structures, nesting, gradients inside, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, GraphTypeError, ShapeError, SymadError
from symad.graph.node import Node

RNG = np.random.default_rng(0)
A, B, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=3)


def nodes(*arrays: Any) -> tuple[sm.Variable, ...]:
    return tuple(sm.Variable(f"x{k}", np.shape(a)) for k, a in enumerate(arrays))


def value(outputs: Any, inputs: Any, *arrays: Any) -> Any:
    return sm.compile(list(inputs), outputs, backend="numpy")(*arrays)


@pytest.mark.parametrize(
    ("in_axes", "out_axes"), [((0, 1), 0), ((0, -1), -1), ([-2, 1], 1), ((0, 1), -2)]
)
def test_axes(in_axes: Any, out_axes: int) -> None:
    a, b = nodes(A, B)
    y = sm.vmap(lambda x, y: sm.stack([x, x * y]), in_axes, out_axes)(a, b)
    expected = np.stack([np.stack([A[k], A[k] * B[:, k]]) for k in range(4)], out_axes)
    np.testing.assert_array_equal(value(y, (a, b), A, B), expected)


def test_an_argument_that_all_elements_share() -> None:
    a, w = nodes(A, W)
    np.testing.assert_allclose(value(sm.vmap(sm.dot, (0, None))(a, w), (a, w), A, W), A @ W)
    np.testing.assert_allclose(value(sm.vmap(lambda x: x @ w)(a), (a, w), A, W), A @ W)
    seen: list[Any] = []
    sm.vmap(lambda x, n, text: seen.append((n, text)) or x, (0, None, None))(a, 2, "as it is")
    assert seen == [(2, "as it is")]


def test_arrays_as_arguments() -> None:
    y = sm.vmap(lambda x, t: x * t)(A, np.arange(1.0, 5.0))
    np.testing.assert_array_equal(y.eval(), A * np.arange(1.0, 5.0)[:, None])


def test_keyword_arguments_have_their_elements_first() -> None:
    a, b = nodes(A, B)
    y = sm.vmap(lambda x, *, scale: x * scale, in_axes=1)(b, scale=a)
    np.testing.assert_array_equal(value(y, (a, b), A, B), (A * B.T))


def test_structures() -> None:
    a, b, w = nodes(A, B, W)

    def run(batch: Any, w: Node) -> Any:
        return {"sum": batch["x"] + w, "pair": [batch["y"][0] * 2, (batch["x"] @ w,)], "no": None}

    axes = {"x": 0, "y": [1]}
    made = sm.vmap(run, (axes, None), {"sum": 0, "pair": [1, 0], "no": 0})({"x": a, "y": [b]}, w)
    got = value({k: v for k, v in made.items() if k != "no"}, (a, b, w), A, B, W)
    assert made["no"] is None
    np.testing.assert_array_equal(got["sum"], A + W)
    np.testing.assert_array_equal(got["pair"][0], B * 2)
    np.testing.assert_allclose(got["pair"][1][0], A @ W)


def test_structure_nodes() -> None:
    a, b = nodes(A, A)
    both = sm.structure({"x": a, "rest": (b * 2,)})
    y = sm.vmap(lambda s: sm.structure((s["x"] + s["rest"][0], s["x"])))(both)
    first, second = value(y, (a, b), A, A)
    np.testing.assert_array_equal(first, A * 3)
    np.testing.assert_array_equal(second, A)
    gradient = value(sm.gradients(sm.sum(y[0] * y[1]), a), (a, b), A, A)
    np.testing.assert_allclose(gradient, 2 * A + 2 * A)


def test_results_that_do_not_depend_on_the_elements() -> None:
    a, w = nodes(A, W)
    each, once, number = sm.vmap(lambda x: (w * 2, sm.sum(w), 3.0), out_axes=(0, None, 0))(a)
    got = value([each, once, number], (a, w), A, W)
    np.testing.assert_array_equal(got[0], np.tile(W * 2, (4, 1)))
    np.testing.assert_array_equal(got[1], W.sum())
    np.testing.assert_array_equal(got[2], [3.0] * 4)


def test_nested() -> None:
    a, b = nodes(A, A)
    outer = sm.vmap(sm.vmap(lambda x, y: x * y, (None, 0)), (0, None))
    got = value(outer(a[:, 0], b[:, 1]), (a, b), A, A)
    np.testing.assert_array_equal(got, np.outer(A[:, 0], A[:, 1]))
    twice = value(sm.vmap(sm.vmap(sm.sin))(a), (a, b), A, A)
    np.testing.assert_allclose(twice, np.sin(A), 1e-15)


def test_gradients_inside_are_those_of_each_element() -> None:
    a, w = nodes(A, W)
    loss = lambda x, w: sm.sum(sm.sin(x * w)) ** 2  # noqa: E731
    each = sm.vmap(lambda x: sm.gradients(loss(x, w), [x, w]))(a)
    of_x, of_w = value(each, (a, w), A, W)
    factor = 2 * np.sin(A * W).sum(1, keepdims=True) * np.cos(A * W)
    np.testing.assert_allclose(of_x, factor * W, 1e-12)
    np.testing.assert_allclose(of_w, factor * A, 1e-12)
    whole = sm.gradients(sm.sum(sm.vmap(lambda x: loss(x, w))(a)), w)
    np.testing.assert_allclose(value(whole, (a, w), A, W), of_w.sum(0), 1e-12)
    hessians = sm.vmap(lambda x: sm.hessian(loss(x, w), x))(a)
    one = sm.Variable("one", (3,))
    expected = [value(sm.hessian(loss(one, w), one), (one, w), row, W) for row in A]
    np.testing.assert_allclose(value(hessians, (a, w), A, W), np.stack(expected), 1e-11)


def test_derivatives_of_a_map_of_any_order() -> None:
    a, w = nodes(A, W)
    y = sm.sum(sm.vmap(lambda x: sm.tanh(x @ w))(a))
    straight = sm.sum(sm.tanh(a @ w))
    mixed = lambda y: [sm.hessian(y, w), sm.jacobian(sm.gradients(y, a), w)]  # noqa: E731
    for first, second in zip(mixed(y), mixed(straight), strict=True):
        np.testing.assert_allclose(value(first, (a, w), A, W), value(second, (a, w), A, W), 1e-10)


def test_sizes_that_are_known_when_it_runs() -> None:
    x, y = sm.Variable("x", shape=("batch", 3)), sm.Variable("y")
    made = sm.vmap(lambda a, b: a * b)(x, y)
    for rows in (4, 2, 0):
        np.testing.assert_array_equal(made.eval({x: A[:rows], y: A[:rows]}), A[:rows] ** 2)
    with pytest.raises(SymadError, match="4 and 3 elements"):
        made.eval({x: A, y: A[:3]})


def test_as_a_decorator_it_keeps_the_name() -> None:
    @sm.vmap
    def loss(x: Node) -> Node:
        """The loss of one example."""
        return sm.sum(x)

    assert (loss.__name__, loss.__doc__) == ("loss", "The loss of one example.")
    np.testing.assert_allclose(loss(A).eval(), A.sum(1))


a, b, w = nodes(A, B, W)
MISTAKES = {
    "argument x0 has 4 elements, but argument x1 has 3": lambda: sm.vmap(lambda x0, x1: x0)(a, b),
    r"argument data\['k'\] has 3 elements": lambda: sm.vmap(lambda data, x: x)({"k": b}, a),
    "argument x has elements along axis 2, but is f64": lambda: sm.vmap(sm.sin, 2)(a),
    r"along axis 0, but is f64\[\]": lambda: sm.vmap(lambda x, n: x * n)(a, 2.0),
    "no argument has elements": lambda: sm.vmap(sm.sin, None)(a),
    "in_axes has 1 entries for 2 arguments": lambda: sm.vmap(lambda x, y: x, (0,))(a, a),
    "another structure": lambda: sm.vmap(lambda x: x, ([0, 0],))([a]),
    "result depends on the elements": lambda: sm.vmap(sm.sin, out_axes=None)(a),
    "out_axes has": lambda: sm.vmap(sm.sin, out_axes=(0, 0))(a),
    "result has 2 axes, but its axis in out_axes is 2": lambda: sm.vmap(sm.sin, out_axes=2)(a),
    "is not an axis": lambda: sm.vmap(sm.sin, 1.5)(a),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes(message: str) -> None:
    with pytest.raises((GraphTypeError, ShapeError), match=message) as caught:
        MISTAKES[message]()
    assert "test_vmap.py" in caught.value.where


def test_an_error_in_the_function_names_its_line() -> None:
    with pytest.raises(ShapeError, match="matmul") as caught:
        sm.vmap(lambda x: x @ sm.constant([1.0, 2.0]))(a)
    assert "test_vmap.py" in caught.value.where
    x = sm.Variable("x", shape=(2, 2, 2))
    with pytest.raises(EvaluationError, match="inv") as failed:
        sm.vmap(sm.linalg.inv)(x).eval({x: np.zeros((2, 2, 2))})
    assert "test_vmap.py" in failed.value.where
