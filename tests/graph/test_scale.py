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


def values_of(length, point):
    """Return the value of a chain and its slope, by a loop."""
    value, slope = point, 1.0
    for _ in range(length // 3):
        slope = (np.cos(value) * value + np.sin(value)) * slope + 1.0
        value = np.sin(value) * value + point
    return value, slope


def test_recursion_limit_is_the_default():
    assert sys.getrecursionlimit() <= 1000


def test_a_deep_chain_is_compiled_and_run_with_its_derivatives():
    x, y = chain(35_000)
    g, pushed = sm.gradients(y, x), sm.pushforward(y, x, 1.0)
    assert len(sm.Graph([y, g])) > 100_000
    value, slope = values_of(35_000, 0.1)
    f = sm.compile([x], [y, g])
    assert f(0.1) == pytest.approx([value, slope], rel=1e-12)
    assert len(f.source.splitlines()) > 100_000
    assert pushed.eval({x: 0.1}) == pytest.approx(slope, rel=1e-12)


def test_a_deeper_chain_is_differentiated_printed_pickled_copied_and_run():
    x, y = chain(100_000)
    assert len(sm.Graph([sm.gradients(y, x)])) > 300_000
    assert str(sm.Graph([y])).count("\n") > 99_000
    again = pickle.loads(pickle.dumps(sm.Graph([y])))
    assert len(again) == len(sm.Graph([y]))
    assert copy.deepcopy(y).op == y.op
    f = sm.compile(again.inputs, again.outputs)
    assert f(0.1)[0] == pytest.approx(values_of(100_000, 0.1)[0], rel=1e-12)
    assert len(str(f.plan).splitlines()) > 99_000


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
