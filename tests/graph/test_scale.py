"""Depth and size: a chain of 100 000 nodes at the default recursion limit, linear cost."""

import copy
import pickle
import sys

import numpy as np
import pytest

import symad as sm


def chain(length):
    """Return x and x ← sin(x)·x + x applied so often that there are ``length`` nodes."""
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(length // 3):
        y = sm.sin(y) * y + x
    return x, y


@pytest.fixture(scope="module")
def deep():
    x, y = chain(100_000)
    return x, y, sm.gradients(y, x)


def test_recursion_limit_is_the_default():
    assert sys.getrecursionlimit() <= 1000


def test_a_deep_chain_is_built_differentiated_compiled_and_run(deep):
    x, y, g = deep
    f = sm.compile([x], [y, g])
    point, value, slope = 0.1, 0.1, 1.0
    for _ in range(100_000 // 3):
        slope = (np.cos(value) * value + np.sin(value)) * slope + 1.0
        value = np.sin(value) * value + point
    got_value, got_slope = f(point)
    assert got_value == pytest.approx(value, rel=1e-12)
    assert got_slope == pytest.approx(slope, rel=1e-12)
    assert len(f.source.splitlines()) > 100_000
    assert len(str(f.plan).splitlines()) > 100_000


def test_a_deep_chain_is_printed(deep):
    assert str(sm.Graph([deep[1]])).count("\n") > 99_000


def test_a_deep_chain_is_pickled_and_copied():
    x, y = chain(100_000)
    again = pickle.loads(pickle.dumps(sm.Graph([y])))
    assert len(again) == len(sm.Graph([y]))
    assert copy.deepcopy(y).op == y.op
    assert sm.compile(again.inputs, again.outputs)(0.1)[0] == y.eval({x: 0.1})


def test_a_deep_chain_is_pushed_forward():
    x, y = chain(30_000)
    assert sm.pushforward(y, x, 1.0).eval({x: 0.1}) == pytest.approx(
        sm.gradients(y, x).eval({x: 0.1}), rel=1e-12
    )


def test_a_deep_chain_is_freed():
    _, y = chain(300_000)
    del y


def _counted_calls(length):
    """Return how many Python calls it takes to differentiate a chain: work, without a clock."""
    x, y = chain(length)
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        sm.gradients(y, x)
    finally:
        sys.setprofile(None)
    return calls


def test_cost_per_node_does_not_grow():
    small, large = _counted_calls(3_000), _counted_calls(12_000)
    assert large <= 4.2 * small


def test_extension_is_linear_in_nodes():
    counts = [len(sm.Graph([sm.gradients(*chain(n)[::-1])])) / n for n in (3_000, 30_000)]
    assert counts[1] <= counts[0] * 1.01
