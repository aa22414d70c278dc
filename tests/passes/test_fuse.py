"""Outputs that read the same arrays are made in one loop nest."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import verify
from symad.graph.node import Node
from symad.ops.fused import Fused
from symad.passes.decompose import decompose
from symad.passes.fuse import fuse
from symad.passes.specialise import specialise
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import optimise
from symad.types import TensorType
from tests.support.random_graphs import random_graph


def fused(outputs: list[Node], inputs: list[Node]) -> tuple[sm.Graph, list[Any]]:
    """Return a graph of loop nests, and how many outputs each of them has."""
    graph = fuse(decompose(optimise(sm.Graph(outputs, inputs)).graph), lambda node: True)
    verify(graph)
    nests = [node.op for node in graph.nodes if isinstance(node.op, Fused)]
    return graph, [len(op.body.outputs) for op in nests]


def two(shape: tuple[int, ...] = (100,)) -> tuple[Node, Node]:
    return sm.Variable("x1", shape=shape), sm.Variable("x2", shape=shape)


def test_value_and_gradients_of_the_lecture_are_one_nest() -> None:
    x1, x2 = two()
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    _, nests = fused([y, *sm.gradients(y, [x1, x2])], [x1, x2])
    assert nests == [3]


def test_single_ops_join_as_well() -> None:
    x1, x2 = two()
    _, nests = fused([x1 * 2, x1 + x2, sm.sin(x2)], [x1, x2])
    assert nests == [3]


def test_reductions_of_the_same_rows_join() -> None:
    x, _ = two((50, 20))
    _, nests = fused([sm.sum(sm.sin(x) * 2, axis=1), sm.max(sm.cos(x) * 2, axis=1)], [x])
    assert nests == [2]


def test_what_reads_nothing_in_common_stays_apart() -> None:
    x1, x2 = two()
    _, nests = fused([sm.sin(x1) * 2, sm.sin(x2) * 2], [x1, x2])
    assert nests == [1, 1]
    row = sm.Variable("row", shape=(1, 20))
    a, b = two((50, 20))
    _, nests = fused([sm.sin(a) * row, sm.sin(b) * row], [a, b, row])
    assert nests == [1, 1]  # a row is not worth it


def test_what_others_wait_for_is_made_when_they_need_it() -> None:
    """Both made at once would take memory for both."""
    x, w = two((30, 30))
    first, second = sm.sin(x) * 2, sm.cos(x) * 2
    _, nests = fused([sm.sum(first @ w) + sm.sum(second @ w)], [x, w])
    assert all(count == 1 for count in nests)


def test_nests_stay_bounded_and_the_search_linear() -> None:
    def graph(count: int) -> sm.Graph:
        x, _ = two()
        return decompose(sm.Graph([sm.sin(x * k) + k for k in range(2, count + 2)], [x]))

    def calls(count: int) -> int:
        made, found = graph(count), 0

        def see(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += 1

        sys.setprofile(see)
        try:
            result = fuse(made, lambda node: True)
        finally:
            sys.setprofile(None)
        sizes = [len(n.op.body.nodes) for n in result.nodes if isinstance(n.op, Fused)]
        assert len(sizes) < count / 15 and max(sizes) < 150
        return found

    small, large = calls(200), calls(800)
    assert large <= 4.4 * small


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_graphs_with_many_outputs(first: int) -> None:
    """All inner nodes are outputs: as many nests as there can be are merged."""
    merged = 0
    for seed in range(first, first + 20):
        sample = random_graph(seed, steps=12, dtypes=["float64"])
        types = [type_of(np.asarray(array)[()]) for array in sample.arrays]
        whole = specialise(sample.graph, types)
        outputs = [
            node
            for node in whole.nodes
            if node.op is not None and isinstance(node.type, TensorType) and node.type.is_float
        ]
        graph = optimise(sm.Graph(outputs, whole.inputs)).graph
        result = fuse(decompose(graph), lambda node: True)
        verify(result)
        nests = [node.op for node in result.nodes if isinstance(node.op, Fused)]
        merged += sum(len(op.body.outputs) > 1 for op in nests)
        want, got = (
            sm.compile(list(g.inputs), list(g.outputs), backend="numpy")(*sample.arrays)
            for g in (graph, result)
        )
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert merged > 5
