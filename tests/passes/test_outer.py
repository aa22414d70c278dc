"""Which arrays the rules on outer products take for such a product."""

from __future__ import annotations

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Constant
from symad.passes.rules.outer import is_outer


@pytest.mark.parametrize("shape", [(3, 10), (1, 3, 10), (3, 1, 10)])
def test_axes_of_size_one_make_no_difference(shape: tuple[int, ...]) -> None:
    x = sm.Variable("x", shape=(*shape[:-1], 1))
    assert is_outer(x * Constant(np.arange(10.0)))


@pytest.mark.parametrize("shape", [(0, 1), (0, 3), (1, 0)])
def test_arrays_without_elements_are_left_alone(shape: tuple[int, ...]) -> None:
    places = Constant(np.zeros(shape, np.int64))
    assert not is_outer(sm.equal(places, Constant(np.zeros((1, 0), np.int64).T)))
    assert not is_outer(sm.equal(places, places))
