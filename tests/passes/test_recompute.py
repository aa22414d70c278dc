"""Cheap residuals computed again: the same numbers from less memory."""

from __future__ import annotations

import numpy as np
import pytest

import symad as sm
from symad.graph.cost import total_cost
from symad.ops.after import After
from symad.passes.recompute import recompute
from symad.runtime.pipeline import optimise

ROWS, WIDTH, LAYERS = 60, 40, 6


@pytest.fixture(params=["numpy", "native"])
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


def of_layers(layer, layers=LAYERS):
    """A chain of layers, its value and all gradients."""
    x = sm.Variable("x", shape=(ROWS, WIDTH))
    weights = [sm.Variable(f"w{k}", shape=(WIDTH, WIDTH)) for k in range(layers)]
    h = x
    for w in weights:
        h = layer(h, w)
    y = sm.sum(h * h)
    return [x, *weights], [y, *sm.gradients(y, weights)]


def gated(h, w):
    z = h @ w
    return sm.tanh(z) * sm.sigmoid(z) + sm.sin(z)


def with_softmax(h, w):
    return sm.softmax(h @ w) * sm.exp(-(h * h))


def normalised(h, w):
    z = h @ w
    z = z - sm.mean(z, axis=1, keepdims=True)
    return sm.tanh(z / sm.sqrt(sm.mean(z * z, axis=1, keepdims=True) + 1))


def skipping(h, w):
    return h + sm.tanh((sm.sin(h) @ w).T.T + h)


def branching(h, w):
    z = h @ w
    return sm.where(z > 0, sm.log1p(sm.exp(z)), z * sm.square(sm.cos(z)))


MODELS = [gated, with_softmax, normalised, skipping, branching]


def values_of(inputs, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=node.type.shape) / 6 for node in inputs]


ROWWISE = {with_softmax, normalised}
"""Loop nests may sum rows in another order where they hold other ops."""


@pytest.mark.parametrize("model", MODELS)
def test_results_are_the_same_to_the_last_bit(backend, model):
    inputs, outputs = of_layers(model)
    kept = sm.compile(inputs, outputs, backend=backend)
    again = sm.compile(inputs, outputs, backend=backend, recompute=True)
    values = values_of(inputs)
    for one, other in zip(kept(*values), again(*values), strict=True):
        if backend == "native" and model in ROWWISE:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(one).max())
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("model", MODELS)
def test_it_takes_less_memory(backend, model):
    inputs, outputs = of_layers(model)
    kept = sm.compile(inputs, outputs, backend=backend)
    again = sm.compile(inputs, outputs, backend=backend, recompute=True)
    trade = again.trade
    assert trade.bytes_kept == kept.plan.lower_bound
    assert trade.bytes == again.plan.lower_bound < trade.bytes_kept
    assert trade.flops_kept < trade.flops < 1.2 * trade.flops_kept
    assert len(again.plan.memory.residuals) < len(kept.plan.memory.residuals)


def test_a_deep_chain_keeps_one_value_for_each_layer(backend):
    """Of z, tanh z, sigmoid z and the next h, z alone is kept."""
    inputs, outputs = of_layers(gated, 12)
    unit = ROWS * WIDTH * 8
    trade = sm.compile(inputs, outputs, backend=backend, recompute=True).trade
    assert trade.bytes_kept > 3.5 * 12 * unit
    assert trade.bytes < 2.5 * 12 * unit


def test_the_arena_of_numpy_runs_is_smaller_too():
    """What a run really holds, as its allocations tell."""
    import tracemalloc

    inputs, outputs = of_layers(gated, 12)
    values = values_of(inputs)
    peaks = []
    for again in (False, True):
        f = sm.compile(inputs, outputs, backend="numpy", recompute=again)
        f(*values)
        tracemalloc.start()
        f(*values)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 0.6 * peaks[0]


@pytest.mark.parametrize("model", MODELS)
def test_what_is_dear_is_not_computed_again(model):
    inputs, outputs = of_layers(model)
    graph = optimise(sm.Graph(outputs, inputs)).graph
    again = recompute(graph)
    for name in ("matmul", "softmax", "sum", "mean"):
        counts = [sum(node.label == name for node in g.nodes) for g in (graph, again)]
        assert counts[0] == counts[1], name
    assert any(isinstance(node.op, After) for node in again.nodes)
    assert total_cost(again).flops > total_cost(graph).flops


def test_new_sizes_are_new_trades(backend):
    x, w = sm.Variable("x", shape=("n", WIDTH)), sm.Variable("w", shape=(WIDTH, WIDTH))
    y = sm.sum(sm.sin(gated(gated(x, w), w) @ w) ** 2)
    f = sm.compile([x, w], [y, sm.gradients(y, w)], backend=backend, recompute=True)
    g = sm.compile([x, w], [y, sm.gradients(y, w)], backend=backend)
    assert f.trade is None
    weights = values_of([w])[0]
    for rows in (1, 100, 7):
        value = np.random.default_rng(rows).normal(size=(rows, WIDTH))
        for one, other in zip(f(value, weights), g(value, weights), strict=True):
            np.testing.assert_array_equal(one, other)
    f(np.ones((500, WIDTH)), weights)
    assert f.trade.bytes < f.trade.bytes_kept
    assert g.trade is None


def test_training_goes_the_same_way(backend):
    def trained(again):
        x = sm.Variable("x", shape=(ROWS, WIDTH))
        weights = [sm.parameter(f"w{k}", value) for k, value in enumerate(START)]
        h = x
        for w in weights:
            h = gated(h, w)
        loss = sm.mean((h - 1) ** 2)
        slopes = sm.gradients(loss, weights)
        updates = {w: w - 0.1 * slope for w, slope in zip(weights, slopes, strict=True)}
        f = sm.compile([x], loss, updates=updates, backend=backend, recompute=again)
        losses = [f(X) for _ in range(5)]
        return losses, [w.value for w in weights]

    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, WIDTH))
    START = rng.normal(size=(4, WIDTH, WIDTH)) / 6
    (one, first), (other, second) = trained(False), trained(True)
    assert one == other
    np.testing.assert_array_equal(first, second)


def test_the_report_has_the_pass():
    inputs, outputs = of_layers(gated)
    f = sm.compile(inputs, outputs, recompute=True)
    report = {report.name: report for report in f.passes.reports}["recompute"]
    assert report.nodes_before < report.nodes_after
    passes = sm.compile(inputs, outputs).passes
    kept = {report.name: report for report in passes.reports}["recompute"]
    assert kept.nodes_before == kept.nodes_after


def test_what_has_no_derivative_is_left_alone():
    x = sm.Variable("x", shape=(100, 100))
    y = sm.exp(x)
    graph = sm.Graph([sm.sum(y @ sm.sin(y @ y)) + sm.sum(y)], [x])
    assert recompute(graph) is graph


def test_small_and_unknown_values_are_kept():
    for shape in ((5, 5), ("n", "n"), None):
        x, w = sm.Variable("x", shape=shape), sm.Variable("w", shape=shape)
        y = sm.sum(sm.sin(sm.exp(x @ w) @ w) @ w)
        graph = sm.Graph([y, sm.gradients(y, w)], [x, w])
        assert recompute(graph) is graph


def test_outputs_are_not_computed_again():
    x, w = sm.Variable("x", shape=(100, 100)), sm.Variable("w", shape=(100, 100))
    h = sm.sin(x @ w)
    y = sm.sum(sm.sin(h @ w) ** 2)
    graph = optimise(sm.Graph([y, h, h.T, sm.gradients(y, w)], [x, w])).graph
    again = recompute(graph)
    assert [n.label for n in again.nodes].count("sin") <= [n.label for n in graph.nodes].count(
        "sin"
    ) + 1


def test_sources_of_numpy_run(backend):
    """The text of a function that computes again is one that runs."""
    inputs, outputs = of_layers(gated, 3)
    f = sm.compile(inputs, outputs, backend="numpy", recompute=True)
    values = values_of(inputs)
    expected = f(*values)
    space = {"constants": f.constants}
    exec(f.source, space)
    for one, other in zip(space["function"](*values), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
