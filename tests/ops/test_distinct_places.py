"""The gradient of values that are written at distinct places of an array."""

import numpy as np
import pytest

import symad as sm
from symad.ops.index import IndexLast


@pytest.mark.parametrize(
    ("index", "is_plain"),
    [
        (([0, 2], [1, 0]), True),
        (([0, 2, 0], [1, 0, 1]), False),
        (([0, -1], [1, 0]), False),
        ((slice(None), [1, 0]), True),
        ((slice(None), [1, 1]), False),
    ],
)
def test_what_is_written_at_distinct_places_is_read_from_them(index, is_plain):
    x, v = sm.Variable("x", shape=(3, 2)), sm.Variable("v", shape=np.zeros((3, 2))[index].shape)
    written = sm.set_at(x, index, v)
    slope = sm.gradients(sm.sum(written * [[1, 2], [3, 4], [5, 6]]), v)
    assert sm.Graph([slope]).has(IndexLast) is not is_plain
    weights = np.array([[1.0, 2], [3, 4], [5, 6]])
    last = np.zeros((3, 2), int)
    count = np.arange(v.type.size).reshape(v.type.shape)
    last[index] = count
    expected = np.where(last[index] == count, weights[index], 0)
    np.testing.assert_array_equal(sm.compile([x, v], slope)(weights, expected), expected)
