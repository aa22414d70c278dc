"""Solutions of equations: values, derivatives of every order and mode, and what bad input gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, ShapeError
from symad.testing import check_gradients

A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 5.0]])
B = np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("first", ["reverse", "forward"])
def test_a_root_has_the_derivatives_of_the_exact_root(order: int, first: str) -> None:
    p = sm.Variable("p", shape=())
    y: Any = sm.root(lambda x: x**3 - p, 2.0)  # the cube root
    for k in range(order):
        if k == 0 and first == "forward":
            y = sm.pushforward(y, p, 1.0)
        else:
            y = sm.gradients(y, p)
    exact = {1: 1 / 3, 2: -2 / 9, 3: 10 / 27}[order] * 8.0 ** (1 / 3 - order)
    np.testing.assert_allclose(y.eval({p: 8.0}), exact, rtol=1e-12)


def test_a_linear_system_solved_by_an_outside_solver() -> None:
    a, b = sm.Variable("a", shape=(3, 3)), sm.Variable("b", shape=(3,))
    solve = sm.implicit(lambda x, a, b: a @ x - b, lambda a, b: sm.linalg.solve(a, b))
    check_gradients(solve(a, b), [a, b], {a: A, b: B}, order=2)
    direct = sm.linalg.solve(a, b)
    for found, exact in zip(
        sm.gradients(sm.sum(solve(a, b) ** 3), [a, b]), sm.gradients(sm.sum(direct**3), [a, b]),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(found.eval({a: A, b: B}), exact.eval({a: A, b: B}), rtol=1e-11)


def test_unknowns_may_be_structures() -> None:
    p = sm.Variable("p", shape=(2,))

    def residual(x: Any) -> Any:
        return {"a": x["a"] + sm.sum(x["b"]) - p[0], "b": [x["b"] ** 3 - p * x["a"]]}

    found = sm.root(residual, {"a": 0.5, "b": np.array([1.0, 1.0])})
    check_gradients([found["a"], found["b"]], p, {p: np.array([3.0, 2.0])}, order=2)
    value = sm.compile([p], [found, sm.structure(residual(found))])([3.0, 2.0])
    assert set(value[0]) == {"a", "b"} and abs(value[1]["a"]) < 1e-9
    assert np.all(np.abs(value[1]["b"][0]) < 1e-9)


def test_a_fixed_point_and_its_derivatives() -> None:
    w, b = sm.Variable("w", shape=(3, 3)), sm.Variable("b", shape=(3,))
    x = sm.fixed_point(lambda x: sm.tanh(w @ x * 0.2 + b), np.zeros(3))
    check_gradients(x, [w, b], {w: A, b: B}, order=2)


def test_not_to_converge_is_an_error() -> None:
    p = sm.Variable("p", shape=())
    with pytest.raises(EvaluationError, match="root did not end within max_steps=20"):
        sm.root(lambda x: x * x + p, 0.7, max_steps=20).eval({p: 1.0})
    with pytest.raises(EvaluationError, match="fixed_point did not end"):
        sm.fixed_point(lambda x: p * x + 1, 1.0, max_steps=50).eval({p: 2.0})
    with pytest.raises(EvaluationError, match="root did not end"):  # NaN does not count as an end
        sm.root(lambda x: sm.log(x) + p, -1.0, max_steps=20).eval({p: 1.0})


def test_the_residual_must_fit_the_unknowns() -> None:
    with pytest.raises(ShapeError, match="one equation for each unknown"):
        sm.root(lambda x: sm.stack([x, x]), 1.0)
    p = sm.Variable("p", shape=(2,))
    with pytest.raises(ShapeError, match="one equation for each unknown"):
        sm.implicit(lambda x, p: x[:1] - p[:1], lambda p: p)(p)


def test_float32_stays_float32() -> None:
    p = sm.Variable("p", shape=(), dtype="float32")
    x = sm.root(lambda x: x * x - p, np.float32(1.0))
    value, slope = sm.compile([p], [x, sm.gradients(x, p)])(np.float32(2.0))
    assert value.dtype == slope.dtype == np.float32
    np.testing.assert_allclose([value, slope], [2**0.5, 0.5 / 2**0.5], rtol=1e-6)
