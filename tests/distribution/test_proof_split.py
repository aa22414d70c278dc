"""What a split consists of, and how results are merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.distribution.combine import MERGES, Merge, merge_results, merge_tree
from symad.distribution.split import SIZE, Split, run_in_chunks, split
from symad.errors import DistributionError, FeedError
from symad.graph.node import Parameter

RNG = np.random.default_rng(3)


def training() -> tuple[sm.Function, sm.Parameter, sm.Parameter]:
    """Return a step of training with momentum, and its parameters."""
    x, t = sm.Variable("x", shape=("batch", 3)), sm.Variable("t", shape=("batch",))
    rate = sm.Variable("rate", shape=())
    w = sm.parameter("w", np.array([0.5, -0.5, 1.0]))
    speed = sm.parameter("speed", np.zeros(3))
    loss = sm.mean((sm.tanh(x @ w) - t) ** 2) + 0.01 * sm.sum(w**2)
    new = 0.9 * speed - rate * sm.gradients(loss, w)
    return sm.compile([x, t, rate], loss, updates={speed: new, w: w + new}), w, speed


def results_of(made: Split, values: list[Any], chunks: list[int]) -> list[list[Any]]:
    """Return what the worker returns for each chunk."""
    size, ends = sum(chunks), np.cumsum([0, *chunks])
    worker = sm.compile(made.worker.inputs, list(made.worker.outputs), backend="numpy")
    pairs = zip(ends, ends[1:], strict=False)
    return [worker(*made.chunk(values, start, stop, size)) for start, stop in pairs]


def test_parameters_and_updates_are_the_callers() -> None:
    step, w, speed = training()
    made = split(step, "batch")
    assert not any(isinstance(x, Parameter) for x in made.worker.nodes)
    assert {x for x in made.caller.inputs if isinstance(x, Parameter)} == {w, speed}
    values = [RNG.normal(size=(9, 3)), RNG.normal(size=9), 0.1, w.value, speed.value]
    loss, *new = run_in_chunks(made, values, [4, 1, 4])
    assert np.isclose(loss, step(*values[:3]))
    found = dict(zip(step.updates, new, strict=True))
    for parameter in (w, speed):
        np.testing.assert_allclose(found[parameter], parameter.value, rtol=1e-12)


def test_workers_get_only_what_they_use() -> None:
    step, w, speed = training()
    made = split(step, "batch")
    names = [x.name for x in made.worker.inputs]
    assert names == ["x", "t", "w", "size of batch"]
    order = [step.graph.inputs.index(x) for x in (*made_inputs(step, "xt"), w)]
    assert made.worker_takes == (*order, SIZE)
    assert made.chunked_inputs == ((0,), (0,), (), (), ())
    assert "speed" not in names and "rate" not in names


def made_inputs(step: sm.Function, names: str) -> list[sm.Node]:
    return [x for x in step.graph.inputs if x.name in names]


def test_a_regulariser_counts_once() -> None:
    x, w = sm.Variable("x", shape=("n", 3)), sm.Variable("w", shape=(3,))
    made = split(sm.Graph([sm.sum(x @ w) + sm.sum(sm.exp(w))], [x, w]), "n")
    assert "exp" not in str(made.worker) and "exp" in str(made.caller)


def test_partial_sums_are_added_before_they_are_sent() -> None:
    x, w = sm.Variable("x", shape=("n", 3)), sm.Variable("w", shape=(3, 3))
    h = x
    for _ in range(5):
        h = sm.tanh(h @ w)
    made = split(sm.Graph([sm.gradients(sm.sum(h) + sm.sum(w**2), w)]), "n")
    assert [merge.name for merge in made.merges] == ["sum"]


def test_the_gradient_of_a_loss_is_one_round() -> None:
    step, *_ = training()
    merges = split(step, "batch").merges
    assert [merge.name for merge in merges] == ["sum", "sum"]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_any_grouping_gives_the_same_bits(count: int) -> None:
    x = sm.Variable("x", shape=("n", 3))
    outputs = [
        sm.mean(sm.sin(x), axis=0), sm.var(x, axis=0), sm.logsumexp(x), sm.linalg.norm(x),
        sm.argmax(x, axis=0), sm.max(x), sm.prod(x, axis=0), x * 2, sm.any(x > 1),
    ]  # fmt: skip
    made = split(sm.Graph(outputs), "n")
    chunks = [int(n) for n in RNG.integers(1, 4, count)]
    results = results_of(made, [RNG.normal(size=(sum(chunks), 3))], chunks)
    wanted = merge_tree(made.merges, results)
    for block in (1, 2, 4, 8, 16):
        starts = range(0, count, block)
        groups = [merge_tree(made.merges, results[k : k + block]) for k in starts]
        found = merge_tree(made.merges, groups)
        for a, b in zip(found, wanted, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_each_merge_is_associative() -> None:
    for name in MERGES:
        merge = Merge(name)
        parts = [tuple(RNG.integers(1, 5, (merge.width, 4)) * 1.0) for _ in range(3)]
        left = merge(merge(parts[0], parts[1]), parts[2])
        right = merge(parts[0], merge(parts[1], parts[2]))
        np.testing.assert_allclose(left, right, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_statistics_at_special_points(dtype: str) -> None:
    """Ties, NaN, infinities, magnitudes whose squares overflow, large means."""
    x = sm.Variable("x", shape=("n", 6), dtype=dtype)
    outputs = [
        sm.argmax(x, axis=0), sm.argmin(x, axis=0), sm.max(x, axis=0), sm.min(x, axis=0),
        sm.var(x, axis=0), sm.std(x, axis=0, correction=1), sm.logsumexp(x, axis=0),
        sm.linalg.norm(x, axis=0), sm.mean(x, axis=0), sm.argmax(x),
        sm.var(x, axis=0, correction=9),
    ]  # fmt: skip
    value = RNG.integers(-1, 2, (7, 6)).astype(dtype)
    if dtype != "int64":
        value[3, 1], value[5, 2], value[2, 3], value[:, 4] = np.nan, np.inf, -np.inf, 3.0
        value[:, 5] *= 2.0 ** (90 if dtype == "float32" else 700)
    else:
        value[:, 5] += 1000
    graph = sm.Graph(outputs)
    with np.errstate(all="ignore"):
        wanted = sm.compile([x], outputs, backend="numpy")(value)
        for chunks in ([7], [3, 4], [1] * 7, [1, 5, 1]):
            found = run_in_chunks(split(graph, "n"), [value], chunks)
            for a, b in zip(found, wanted, strict=True):
                rtol = 1e-5 if dtype == "float32" else 1e-12
                np.testing.assert_allclose(a, b, rtol=rtol, err_msg=str(chunks))


def test_a_variance_far_from_zero_keeps_its_digits() -> None:
    x = sm.Variable("x", shape=("n",))
    value = 1e9 + RNG.normal(size=64)
    (found,) = run_in_chunks(split(sm.Graph([sm.var(x)]), "n"), [value], [10, 1, 53])
    assert np.isclose(found, np.var(value), rtol=1e-6)


def test_no_elements_at_all() -> None:
    x = sm.Variable("x", shape=("n", 2))
    made = split(sm.Graph([sm.sum(x, axis=0), sm.mean(x), x * 2]), "n")
    total, mean, rows = run_in_chunks(made, [np.zeros((0, 2))], [0])
    assert total.tolist() == [0, 0] and np.isnan(mean) and rows.shape == (0, 2)


def test_an_empty_chunk_among_others() -> None:
    x = sm.Variable("x", shape=("n", 2))
    made = split(sm.Graph([sm.sum(x, axis=0), sm.mean(x), sm.var(x), x * 2]), "n")
    value = RNG.normal(size=(4, 2))
    for a, b in zip(
        run_in_chunks(made, [value], [0, 3, 0, 1]), run_in_chunks(made, [value], [4]), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_workers_can_be_saved(tmp_path: Path) -> None:
    x, w = sm.Variable("x", shape=("n", 3)), sm.Variable("w", shape=(3,))
    rule = sm.custom(lambda v: v**2, reverse=lambda v, y, x: 2 * v * x)
    last = sm.fori_loop(0, 3, lambda i, c: sm.sin(c * w), x)
    loss = sm.mean(rule(last)) + sm.sum(sm.vmap(sm.mean, in_axes=1)(x))
    made = split(sm.Graph([loss, sm.gradients(loss, w)], [x, w]), "n")
    values = [RNG.normal(size=(5, 3)), RNG.normal(size=3)]
    for graph in (made.worker, made.caller):
        sm.save(sm.compile(graph.inputs, list(graph.outputs)), tmp_path / "graph.symad")
        loaded = sm.load(tmp_path / "graph.symad")
        if graph is made.worker:
            given = made.chunk(values, 0, 5, 5)
            np.testing.assert_allclose(loaded(*given)[0], results_of(made, values, [5])[0][0])


def test_native_workers_give_the_same() -> None:
    pytest.importorskip("llvmlite")
    step, *_ = training()
    made = split(step, "batch")
    values = [RNG.normal(size=(6, 3)), RNG.normal(size=6), 0.1, RNG.normal(size=3), np.zeros(3)]
    (wanted,) = results_of(made, values, [6])
    native = sm.compile(made.worker.inputs, list(made.worker.outputs), backend="native")
    for a, b in zip(native(*made.chunk(values, 0, 6, 6)), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_inputs_must_agree_on_the_size() -> None:
    x, y = sm.Variable("x", shape=("n", 3)), sm.Variable("y", shape=(2, "n"))
    made = split(sm.Graph([sm.sum(x) * 1.0, sm.sum(y)], [x, y]), "n")
    with pytest.raises(FeedError, match=r"different sizes of 'n': \[4, 5\]"):
        made.size_of([np.ones((4, 3)), np.ones((2, 5))])


def test_a_dimension_that_no_input_has() -> None:
    x = sm.Variable("x", shape=("batch", 3))
    with pytest.raises(DistributionError, match=r"'btach'. Did you mean 'batch'\?"):
        split(sm.Graph([sm.sum(x)]), "btach")


def test_a_dimension_twice() -> None:
    x = sm.Variable("x", shape=("n", "n"))
    with pytest.raises(DistributionError, match="twice") as caught:
        split(sm.Graph([sm.sum(x)]), "n")
    assert "test_proof_split.py" in caught.value.where


def test_cost_for_each_node_is_constant() -> None:
    """A chain of ten times the length takes ten times as many steps, and no recursion."""
    x, w = sm.Variable("x", shape=("n",)), sm.Variable("w", shape=())
    y = x
    for _ in range(20_000):
        y = y * w + x
    made = split(sm.Graph([sm.sum(y)]), "n")
    assert len(made.worker.nodes) == 40_003 and len(made.caller.nodes) == 1


def test_merging_structures_of_results() -> None:
    merges = (Merge("sum"), Merge("moments"), Merge("aligned", 1))
    left = [*np.array([1.0, 2.0, 1.0, 2.0]), np.ones((2, 1))]
    right = [*np.array([2.0, 2.0, 3.0, 2.0]), np.zeros((2, 2))]
    total, count, mean, square, rows = merge_results(merges, left, right)
    assert (total, count, mean, square) == (3.0, 4, 2.0, 8.0)
    assert rows.tolist() == [[1, 0, 0], [1, 0, 0]]
