"""Elementwise ops on joined arrays, computed in windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.ops.fused import Fused
from symad.passes.join_windows import bounds_of, compute_in_windows


def shift(x: sm.Node, by: int) -> sm.Node:
    """Return x moved by some places, with ones before or after."""
    ones = sm.ones((abs(by), *x.shape[1:]), x.dtype)
    return sm.concat([ones, x[:-by]] if by > 0 else [x[-by:], ones])


def windows_of(outputs: list[sm.Node]) -> sm.Graph:
    return compute_in_windows(sm.Graph(outputs), lambda node: True)


def joins_in(graph: sm.Graph) -> list[Any]:
    """Return the shapes of joins that are not outputs."""
    outer = set(graph.outputs)
    return [n.shape for n in graph.nodes if n.op and n.op.name == "concat" and n not in outer]


def agree(inputs: list[sm.Node], outputs: list[sm.Node], arrays: list[Any]) -> None:
    """Compare machine code with NumPy."""
    native, plain = (sm.compile(inputs, outputs, backend=name) for name in ("native", "numpy"))
    for _ in range(2):
        for made, expected in zip(native(*arrays), plain(*arrays), strict=True):
            tolerance = 2e-5 if made.dtype == "f4" else 1e-12
            np.testing.assert_allclose(made, expected, rtol=tolerance, atol=tolerance)


def test_steps_on_shifted_arrays_are_one_nest() -> None:
    x, y = (sm.Variable(name, shape=(1000,)) for name in "xy")
    value = y
    for _ in range(4):
        value = y + 0.5 * x * shift(value, 1)
    graph = windows_of([value])
    assert joins_in(graph) == []
    plan = sm.compile([x, y], value, backend="native")
    rng = np.random.default_rng(0)
    plan(rng.normal(size=1000), rng.normal(size=1000))
    nests = [node for node in plan.passes.final.nodes if isinstance(node.op, Fused)]
    assert [nest.op.space for nest in nests] == [(992,)]  # type: ignore[union-attr]


def test_joins_of_few_elements_and_those_that_others_need_are_made() -> None:
    x = sm.Variable("x", shape=(1000,))
    small = sm.Variable("small", shape=(100,))
    assert joins_in(windows_of([sm.exp(shift(small, 1))])) == [(100,)]
    joined = shift(x, 1)
    graph = windows_of([sm.exp(joined), sm.cumsum(joined)])
    assert (1000,) in joins_in(graph)
    assert joins_in(windows_of([sm.sum(x * joined)])) == [(1000,)]  # one nest with the sum


def test_expensive_values_are_made_rather_than_computed_again() -> None:
    x = sm.Variable("x", shape=(1000,))
    value = sm.exp(x)
    graph = windows_of([sum((shift(value, k) for k in range(1, 6)), value)])
    assert sum(n.op is not None and n.op.name == "exp" for n in graph.nodes) <= 2


def test_many_steps_do_not_grow_the_graph_without_bound() -> None:
    def nodes(steps: int) -> int:
        x = sm.Variable("x", shape=(5000,))
        value = x
        for _ in range(steps):
            value = value + 0.1 * (shift(value, 1) - 2 * value + shift(value, -1))
        return len(windows_of([value]))

    few, many = nodes(15), nodes(60)
    assert many < 4.5 * few


def test_deep_chains_of_joins() -> None:
    x = sm.Variable("x", shape=(1000,))
    value = x
    for k in range(600):
        value = sm.roll(value, 1 + k % 3)
    agree([x], [value * x], [np.arange(1000.0)])


def test_sizes_that_are_not_known_and_empty_parts() -> None:
    x, n = sm.Variable("x", shape=(1000,)), sm.Variable("n", shape=(), dtype="int64")
    given = [x, n]
    outputs = [shift(x, 1) * sm.sum(sm.arange(n)), sm.concat([x[:0], x * 2, x[n:]])[:900] * 3]
    for count in (3, 100, 0):
        agree(given, outputs, [np.arange(1000.0), np.int64(count)])


@pytest.mark.parametrize("cuts, size, expected", [
    ([1, 3], 1000, [(0, 8), (8, 1000)]),
    ([512], 1000, [(0, 512), (512, 1000)]),
    ([500], 1000, [(0, 496), (496, 504), (504, 1000)]),
    ([4, 60, 999], 1000, [(0, 64), (64, 992), (992, 1000)]),
    ([], 7, [(0, 7)]),
])  # fmt: skip
def test_bounds(cuts: list[int], size: int, expected: list[tuple[int, int]]) -> None:
    assert bounds_of(cuts, size) == expected


Step = Callable[[np.random.Generator, list[sm.Node]], sm.Node]


def joined(rng: np.random.Generator, pool: list[sm.Node]) -> sm.Node:
    """Return a join of slices of two values, with the size of each."""
    a, b = (pool[k] for k in rng.integers(len(pool), size=2))
    n = a.shape[0]
    cut = int(rng.choice([1, 2, 9, n // 2, n - 1]))
    back = int(rng.integers(0, n - cut + 1))
    return [
        lambda: sm.concat([a[:cut], b[cut:]]),
        lambda: sm.concat([a[back : back + cut], b[: n - cut]]),
        lambda: sm.roll(a, cut, axis=0),
        lambda: sm.pad(a[cut:], [(0, cut)] + [(0, 0)] * (len(a.shape) - 1), constant_values=2),
        lambda: sm.set_at(a, slice(0, cut), 0.5),
        lambda: sm.concat([b[n - cut :], sm.zeros((n - cut, *a.shape[1:]), a.dtype)]),
    ][rng.integers(6)]()


def computed(rng: np.random.Generator, pool: list[sm.Node]) -> sm.Node:
    a, b = (pool[k] for k in rng.integers(len(pool), size=2))
    return [lambda: a * b, lambda: a - 0.5 * b, lambda: sm.tanh(a), lambda: sm.maximum(a, b)][
        rng.integers(4)
    ]()


@pytest.mark.parametrize("seed", range(16))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [(600,), (2003,), (300, 3), (1, 700)][seed % 4]
    dtype = ["f8", "f4"][seed % 5 == 4]
    inputs = [sm.Variable(f"x{k}", shape=shape, dtype=dtype) for k in range(3)]
    pool = [x[0] for x in inputs] if shape[0] == 1 else list(inputs)
    for _ in range(14):
        pool.append([joined, computed][rng.integers(2)](rng, pool))
    outputs = [pool[-1], pool[-2] * 2, sm.sum(pool[-3] * pool[-4])]
    total = sum(map(sm.sum, outputs))
    gradients = sm.gradients(total, inputs, unused="zero")
    arrays = [rng.uniform(-1, 1, shape).astype(dtype) for _ in inputs]
    agree(inputs, [*outputs, *gradients], arrays)
