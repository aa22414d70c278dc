"""Random graphs, values and gradients, against JAX; and what a generator must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import verify
from symad.testing import assert_graphs_equal
from tests.support.op_checks import KNOWLEDGE, run
from tests.support.random_graphs import RandomGraph, random_graph
from tests.support.random_loops import LOOPS

GRAPHS = 250
BATCH = 25

TOLERANCE = {False: 1e-9, True: 1e-3}
"""By whether float32 takes part; relative to the largest element and to 1: ten steps, each of
condition up to ~100, on values of size 1."""


@contextmanager
def told(sample: RandomGraph) -> Iterator[None]:
    """Errors tell on which graph."""
    try:
        yield
    except Exception as error:
        error.add_note(str(sample))
        raise


def assert_all_close(what: str, sample: RandomGraph, got: list[Any], want: list[Any]) -> None:
    tolerance = TOLERANCE[sample.is_float32]
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype, f"dtype of the {what} of\n{sample}"
        scale = max(1.0, float(np.max(np.abs(b), initial=0)))
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * scale, err_msg=f"{what} of\n{sample}"
        )


@pytest.mark.parametrize("first", range(0, GRAPHS, BATCH))
def test_against_jax(first: int) -> None:
    """Values and gradients are those of JAX."""
    pytest.importorskip("jax", reason="JAX is not installed")
    from tests.support import jax_interpreter
    samples = [random_graph(seed) for seed in range(first, first + BATCH)]
    values, requests = [], []
    for sample in samples:
        inputs, outputs = list(sample.graph.inputs), list(sample.graph.outputs)
        with told(sample):
            values.append(run(inputs, outputs, sample.arrays))
        rng = np.random.default_rng(sample.seed)
        seeds = [rng.uniform(0.5, 1.5, np.shape(y)).astype(y.dtype) for y in values[-1]]
        request = jax_interpreter.Request(
            sample.graph, sample.arrays, inputs, dict(zip(outputs, seeds, strict=True))
        )
        requests.append(request)
    answers = jax_interpreter.answer(requests)
    for sample, got, request, answer in zip(samples, values, requests, answers, strict=True):
        with told(sample):
            if isinstance(answer, Exception):
                raise answer
        want, gradients = answer
        assert_all_close("value", sample, got, want)
        outputs, seeds = list(request.seeds), list(request.seeds.values())
        with told(sample):
            pulled = sm.gradients(outputs, request.xs, seed=seeds, unused="zero")
            got = run(request.xs, pulled, sample.arrays)
        assert_all_close("gradient", sample, got, gradients)


def test_graphs_are_reproducible() -> None:
    for seed in range(20):
        a, b = random_graph(seed), random_graph(seed)
        assert str(a) == str(b)
        assert_graphs_equal(a.graph, b.graph)


def test_graphs_are_various() -> None:
    """Across seeds every family of ops, every kind of shape, both dtypes and reuse occur."""
    ops: Counter[str] = Counter()
    reused = 0
    for seed in range(200):
        graph = random_graph(seed).graph
        verify(graph)
        ops.update({node.op.name for node in graph.nodes if node.op is not None})
        reused += any(len(users) > 1 for users in graph.consumers().values())
    families = {"add", "matmul", "sum", "max", "where", "index", "array_index", "concat", "cast"}
    assert families <= set(ops), families - set(ops)
    assert len(ops) > 40, sorted(ops)
    assert reused > 100


def test_graphs_hold_loops_in_one_another() -> None:
    """Each kind of body occurs, within another as well."""
    found: Counter[tuple[str, ...]] = Counter()

    def visit(graph: sm.Graph, outer: tuple[str, ...] = ()) -> None:
        for node in graph.nodes:
            path = (*outer, node.op.name if node.op else "")
            found[path] += 1
            for body in getattr(node.op, "bodies", ()):
                visit(body, path)

    for seed in range(60):
        graph = random_graph(seed, makers=LOOPS).graph
        verify(graph)
        visit(graph)
    kinds = {"scan", "while_loop", "branch", "map"}
    assert kinds <= {path[0] for path in found}
    assert kinds <= {path[1] for path in found if len(path) > 1 and path[0] in kinds}


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_knowledge_and_dtypes_can_be_chosen(knowledge: str) -> None:
    for seed in range(20):
        sample = random_graph(seed, dtypes=["float64"], knowledge=knowledge)
        assert not sample.is_float32
        if any(array.ndim for array in sample.arrays):
            static = all(x.type.is_static for x in sample.graph.inputs)
            assert static == (knowledge == "static")
