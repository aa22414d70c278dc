"""What a function keeps, and what it must not take from its surroundings: parameters, shapes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, SymadError

each_backend = pytest.mark.parametrize("backend", ["numpy", "native"])


def test_a_parameter_keeps_its_value_when_the_array_changes() -> None:
    given = np.arange(3.0)
    w = sm.Parameter("w", given)
    given[0] = 50
    assert w.value.tolist() == [0, 1, 2]
    later = np.arange(3.0, 6.0)
    w.value = later
    later[:] = -1
    assert w.value.tolist() == [3, 4, 5]
    assert sm.compile([], w * 2)().tolist() == [6, 8, 10]


@each_backend
def test_each_update_goes_to_its_own_parameter_also_after_pickling(backend: Any) -> None:
    x = sm.Variable("x", shape=())
    w, b = sm.Parameter("w", 1.0), sm.Parameter("b", np.array([10.0, 20.0]))
    f = sm.compile([x], w * x + sm.sum(b), updates={w: w + x, b: b * 3}, backend=backend)
    again = pickle.loads(pickle.dumps(f))
    for function in (f, again):
        values = {p.name: p for p in function.parameters}
        assert [function(2.0), function(1.0)] == [32.0, 93.0]
        assert values["w"].value == 4.0 and values["b"].value.tolist() == [90.0, 180.0]
    assert not {id(p) for p in f.parameters} & {id(p) for p in again.parameters}


@each_backend
def test_as_many_elements_in_another_shape(backend: Any) -> None:
    x = sm.Variable("x")
    f = sm.compile([x], [x * 2 + 1, sm.sum(x, axis=0)], backend=backend)
    for shape in ((2, 3), (3, 2), (6,), (1, 6), (6, 1), (2, 3, 1), (2, 3)):
        given = np.arange(6.0).reshape(shape)
        doubled, total = f(given)
        np.testing.assert_array_equal(doubled, given * 2 + 1)
        np.testing.assert_array_equal(total, given.sum(axis=0))
    fixed = sm.Variable("x", shape=(2, 3))
    g = sm.compile([fixed], fixed * 2, backend=backend)
    for shape in ((3, 2), (6,), (1, 2, 3)):
        with pytest.raises(SymadError, match=r"\(2, 3\)"):
            g(np.zeros(shape))


@each_backend
def test_products_with_a_hessian_over_several_variables(backend: Any) -> None:
    """The function is linear in the fourth."""
    a, b = sm.Variable("a", shape=(2,)), sm.Variable("b", shape=())
    c, d = sm.Variable("c", shape=(2, 2)), sm.Variable("d", shape=(3,))
    y = sm.sum(sm.sin(a * b)) + sm.sum(sm.matmul(c, a) ** 2) * b + sm.sum(d)
    vectors = [np.array([0.5, -1.0]), 2.0, np.array([[1.0, 0.0], [-2.0, 3.0]]), np.ones(3)]
    at = [np.array([0.3, 0.7]), 1.5, np.array([[1.0, 2.0], [0.0, -1.0]]), np.zeros(3)]
    products = sm.hessian_vector_product(y, [a, b, c, d], vectors)
    got = sm.compile([a, b, c, d], products, backend=backend)(*at)
    gradient = sm.compile([a, b, c, d], sm.gradients(y, [a, b, c, d], unused="zero"))
    step = 1e-5
    ends = [
        gradient(*[x + h * v for x, v in zip(at, vectors, strict=True)]) for h in (step, -step)
    ]
    for product, high, low in zip(got, *ends, strict=True):
        np.testing.assert_allclose(product, (high - low) / (2 * step), rtol=1e-7, atol=1e-7)


@each_backend
def test_gradients_by_a_structure_that_is_partly_used(backend: Any) -> None:
    layers = {
        "used": sm.Variable("used", shape=(2,)),
        "idle": sm.Variable("idle", shape=(3,)),
        "rest": [sm.Variable("p", shape=()), sm.Variable("q", shape=(2, 2))],
    }
    y = sm.sum(layers["used"] * layers["rest"][0])
    with pytest.raises(SymadError, match="idle"):
        sm.gradients(y, layers)
    slopes = sm.gradients(y, layers, unused="zero")
    at = {"used": [1.0, 2.0], "idle": [1.0, 1.0, 1.0], "rest": [3.0, np.ones((2, 2))]}
    got = sm.compile([layers], slopes, backend=backend)(at)
    assert got["used"].tolist() == [3, 3] and got["idle"].tolist() == [0, 0, 0]
    assert got["rest"][0] == 3 and got["rest"][1].tolist() == [[0, 0], [0, 0]]


class WatchedLock:
    """A lock that writes down by whom it is taken, and counts how often it is held."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.held = name, log, 0

    def acquire(self) -> None:
        self.log.append(self.name)
        self.held += 1

    def release(self) -> None:
        self.held -= 1


@each_backend
@pytest.mark.parametrize("size", [1, 3, 40_000])
def test_all_functions_take_the_locks_of_parameters_in_one_order(
    size: int, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on the native path, which begins with the second call; or two threads wait for ever."""
    log: list[str] = []
    shape = () if size == 1 else (size,)
    weights = [sm.parameter(name, np.full(shape, 0.5)) for name in "abcd"]
    for w in weights:
        w.lock = WatchedLock(w.name, log)  # type: ignore[assignment]
    x = sm.Variable("x", shape)
    a, b, c, d = weights
    forms = [x * a + b * c - d, d * c - b * a * x, (b + d) * (a + c + x), c - (a - (d - (b - x)))]
    functions = [
        sm.compile([x], [y], updates={w: w + 1 for w in order}, backend=backend)
        for y, order in zip(forms, ([a, b], [c], [d, a], [b, c, d]), strict=True)
    ]
    adopt = sm.Parameter.adopt

    def watched(parameter: sm.Parameter, value: Any) -> None:
        assert all(w.lock.held for w in weights), "updated without all locks"  # type: ignore[attr-defined]
        adopt(parameter, value)

    monkeypatch.setattr(sm.Parameter, "adopt", watched)
    orders = set()
    for _ in range(4):
        for f in functions:
            log.clear()
            f(np.ones(shape))
            orders.add(tuple(log[: len(weights)]))
            assert not any(w.lock.held for w in weights)  # type: ignore[attr-defined]
    assert len(orders) == 1 and set(next(iter(orders))) == set("abcd")
    assert [float(np.ravel(w.value)[0]) for w in weights] == [8.5, 8.5, 8.5, 8.5]


@each_backend
def test_locks_are_given_back_after_an_error(backend: Any) -> None:
    log: list[str] = []
    w = sm.parameter("w", np.eye(2))
    w.lock = WatchedLock("w", log)  # type: ignore[assignment]
    x = sm.Variable("x", shape=(2, 2))
    f = sm.compile([x], sm.linalg.inv(x * w), updates={w: w + 1}, backend=backend)
    for value in (np.eye(2), np.zeros((2, 2)), np.eye(2)):
        before = np.array(w.value)
        if value.any():
            f(value)
        else:
            with pytest.raises(EvaluationError):
                f(value)
            np.testing.assert_array_equal(w.value, before)
        assert log and not w.lock.held  # type: ignore[attr-defined]
