"""The order in which nodes are computed takes no more memory than that of the graph, often less."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import symad as sm
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.scalar_programs import OF_NUMBERS
from symad.graph import evaluation_order
from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.passes.specialise import specialise
from symad.plan import plan as planning
from symad.plan.plan import make_plan
from symad.runtime.pipeline import optimise
from tests.support.golden_corpus import CORPUS
from tests.support.random_graphs import random_graph

BACKENDS = ["numpy", "native"]


@pytest.fixture
def closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at small graphs as closely as at large ones."""
    monkeypatch.setattr(evaluation_order, "_LEAST", 0)
    monkeypatch.setattr(evaluation_order, "_LEAST_EACH", 0)


def as_it_is(graph: Graph) -> tuple[Node, ...]:
    return graph.nodes


def bytes_with(graph: Graph, monkeypatch: pytest.MonkeyPatch, order_of: Any) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(planning, "frugal_order", order_of)
        return make_plan(graph).lower_bound or 0


def gain(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how many times more memory the order of the graph takes."""
    assert_right(graph)
    frugal = bytes_with(graph, monkeypatch, frugal_order)
    plain = bytes_with(graph, monkeypatch, as_it_is)
    assert frugal <= plain, str(graph)
    return plain / frugal if frugal else 1.0


def assert_right(graph: Graph) -> None:
    """All nodes are there, leaves first, and inputs before users."""
    found = frugal_order(graph)
    assert set(found) == set(graph.nodes) and len(found) == len(graph.nodes)
    place = {node: k for k, node in enumerate(found)}
    given = set(graph.inputs)
    computed = [node for node in found if node.op is not None and node not in given]
    assert found[len(found) - len(computed) :] == tuple(computed)
    assert all(place[source] < place[node] for node in computed for source in node.inputs)
    assert found == frugal_order(graph)


def fused(graph: Graph) -> Graph:
    pytest.importorskip("llvmlite")
    from tests.support.native import native_graph

    return native_graph(graph)


@pytest.mark.usefixtures("closely")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.__name__)
def test_golden_corpus(case: Any, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs, fed = case()
    function = sm.compile(inputs, outputs, backend="numpy")
    function(*fed)
    graph = function.passes.graph
    gain(fused(graph) if backend == "native" else graph, monkeypatch)


COMPILED = [
    workload
    for workload in WORKLOADS.values()
    if "symad" in workload.implementations and workload not in OF_NUMBERS
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workload", COMPILED, ids=lambda workload: workload.name)
def test_benchmarks(workload: Any, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    implementation = workload.implementations["symad"](*workload.inputs(*workload.size))
    implementation.call(*implementation.arguments)
    passes = getattr(implementation.call, "passes", None)
    if passes is None:
        pytest.skip("a new size in each call")
    gain(fused(passes.graph) if backend == "native" else passes.graph, monkeypatch)


def with_gradients(seed: int) -> Graph:
    sample = random_graph(seed, steps=20, knowledge="static")
    xs, ys = list(sample.graph.inputs), list(sample.graph.outputs)
    graph = Graph([*ys, *sm.gradients(ys, xs, unused="zero")], xs)
    return optimise(specialise(graph, [x.type for x in xs])).graph


@pytest.mark.usefixtures("closely")
def test_random_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = [gain(with_gradients(seed), monkeypatch) for seed in range(150)]
    assert np.mean(gains) > 1.01 and np.mean(np.array(gains) > 1) > 0.1


@pytest.mark.usefixtures("closely")
def test_random_graphs_of_loop_nests(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(50):
        gain(fused(with_gradients(seed)), monkeypatch)


def test_the_last_user_of_a_large_value_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the graph goes, all exponentials are computed before the first is used up."""
    x = sm.Variable("x", shape=(100, 100))
    large = [sm.exp(x * k) for k in range(2, 6)]
    graph = Graph([*(sm.max(y) for y in large), *(sm.min(y) for y in large)], [x])
    assert gain(graph, monkeypatch) > 2


def test_gradients_are_finished_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """No adjoint of a layer waits for those of all layers before it."""
    rows, width, layers = 60, 40, 10
    x = sm.Variable("x", shape=(rows, width))
    weights = [sm.Variable(f"w{k}", shape=(width, width)) for k in range(layers)]
    h = x
    for w in weights:
        h = sm.exp(h @ w)  # its derivative reads the value alone
    y = sm.sum(h * h)
    graph = optimise(Graph([y, *sm.gradients(y, weights)], [x, *weights])).graph
    assert gain(graph, monkeypatch) > 1.1
    values, gradients = (layers + 3) * rows * width * 8, layers * width * width * 8
    assert bytes_with(graph, monkeypatch, frugal_order) < values + gradients


def test_unknown_and_small_sizes_keep_the_order_of_the_graph() -> None:
    for shape in (("n", "n"), None, (3, 3)):
        x = sm.Variable("x", shape=shape)
        y = sm.sin(x)
        graph = Graph([sm.sum(sm.cos(y) @ x), sm.sum(x @ y)], [x])
        assert frugal_order(graph) == graph.nodes


def layered(length: int) -> Graph:
    x = sm.Variable("x", shape=(20, 20))
    y = x
    for _ in range(length):
        y = sm.tanh(y @ x) + sm.sum(y)
    return Graph([sm.sum(y), sm.gradients(sm.sum(y), x)], [x])


def shared(length: int) -> Graph:
    """One value that all read."""
    x = sm.Variable("x", shape=(20, 20))
    y = sm.exp(x)
    return Graph([sm.sum(y * k) for k in range(2, length)], [x])


def calls_for(graph: Graph) -> int:
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        frugal_order(graph)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("make", [layered, shared])
def test_cost_per_node_does_not_grow(make: Any) -> None:
    small, large = (make(length) for length in (200, 800))
    ratio = len(large.nodes) / len(small.nodes)
    assert calls_for(large) <= 1.1 * ratio * calls_for(small)
