"""Sorting against NumPy, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.testing import check_gradients


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "?"])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_values_are_those_of_numpy(axis: Any, dtype: str) -> None:
    x = sm.Variable("x", dtype=dtype)
    array = np.random.default_rng(0).integers(0, 5, (4, 6)).astype(dtype)
    for backend in ("numpy", "auto"):
        f = sm.compile([x], [sm.sort(x, axis), sm.argsort(x, axis)], backend=backend)
        values, places = f(array)
        np.testing.assert_array_equal(values, np.sort(array, axis))
        np.testing.assert_array_equal(places, np.argsort(array, axis, stable=True))


def test_descending_keeps_equal_elements_in_order() -> None:
    x = sm.constant([2.0, 3.0, 2.0, np.nan, 3.0])
    assert sm.argsort(x, descending=True).eval().tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize("descending", [False, True])
def test_derivatives_go_back_to_where_elements_stood(descending: bool) -> None:
    x = sm.Variable("x", shape=("n", 3))
    weights = np.arange(12.0).reshape(4, 3)
    y = sm.sum(sm.sort(x, 0, descending=descending) ** 2 * weights)
    check_gradients(y, [x], {x: np.random.default_rng(0).permutation(12).reshape(4, 3) / 5})


def test_numpy_sorts_nodes() -> None:
    x = sm.Variable("x")
    assert np.sort(x).eval({x: [3.0, 1.0]}).tolist() == [1.0, 3.0]
    assert np.argsort(x, axis=0).eval({x: [3.0, 1.0]}).tolist() == [1, 0]


def test_what_cannot_be_sorted_is_refused() -> None:
    with pytest.raises(sm.SymadError, match="needs an axis"):
        sm.sort(sm.Variable("x", shape=()))
    with pytest.raises(sm.SymadError, match="axis"):
        sm.argsort(sm.Variable("x", shape=(3,)), axis=1)
