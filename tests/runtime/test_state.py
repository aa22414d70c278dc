"""What a function keeps, and what it must not take from its surroundings: parameters, shapes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import SymadError

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
