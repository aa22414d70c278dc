"""The pass that expands maps: what is computed, how often, and how much memory it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError
from symad.graph.graph import Graph, verify
from symad.graph.node import Node
from symad.ops.body import WithBody
from symad.ops.control import Map
from symad.passes import batch as module
from symad.passes.batch import batch

Array = np.ndarray[Any, Any]


def layers(x: Node, w: Node) -> Node:
    return sm.sum(sm.softmax(sm.tanh(x @ w)) * sm.maximum(x, 0.5)[:2] @ w[:2, :2])


def gradient(x: Node, w: Node) -> Node:
    return sm.gradients(layers(x, w), w)


def expanded(function: Callable[..., Node], rows: int) -> Graph:
    x, w = sm.Variable("x", shape=(rows, 3)), sm.Variable("w", shape=(3, 2))
    graph = batch(sm.Graph([sm.vmap(function, (0, None))(x, w)], [x, w]))
    verify(graph)
    return graph


@pytest.mark.parametrize("function", [layers, gradient])
def test_as_many_nodes_for_any_number_of_elements(function: Callable[..., Node]) -> None:
    assert len(expanded(function, 2)) == len(expanded(function, 5000))


def is_map(node: Node) -> bool:
    return isinstance(node.op, WithBody) and node.op.name == "map"


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_no_map_in_the_plan(backend: str) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    x, w = sm.Variable("x", shape=(6, 3)), sm.Variable("w", shape=(3, 2))
    y = sm.sum(sm.tanh(x @ w) ** 2)
    outputs = [
        sm.vmap(gradient, (0, None))(x, w),
        sm.hessian(y, w),
        sm.jacobian(x @ w, w),
        sm.vmap(lambda a: sm.linalg.solve(a.T @ a + np.eye(3), a[0]))(x[:4].reshape((2, 2, 3))),
    ]
    f = sm.compile([x, w], outputs, backend=backend)
    f(np.ones((6, 3)), np.ones((3, 2)))
    assert not any(map(is_map, f.passes.graph.nodes)) and "map(" not in str(f.plan)


def test_what_no_element_changes_is_computed_once() -> None:
    x, a = sm.Variable("x", shape=(5,)), sm.Variable("a", shape=(3, 3))
    y = sm.vmap(lambda t: sm.sum(sm.linalg.inv(a)) * t)(x)
    graph = batch(sm.Graph([y], [x, a]))
    (inverse,) = [node for node in graph.nodes if node.op and node.op.name == "inv"]
    assert inverse.type.shape == (3, 3)


def test_without_elements_nothing_is_computed() -> None:
    """A matrix without an inverse is then no error, and what depends on it gets no NaN."""
    x, a = sm.Variable("x", shape=("n",)), sm.Variable("a", shape=(2, 2))
    y = sm.vmap(lambda t: (t * sm.linalg.inv(a), sm.sqrt(sm.sum(a))))(x)
    total = sm.sum(y[0]) + sm.sum(y[1])
    f = sm.compile([x, a], [*y, *sm.gradients(total, [x, a])], backend="numpy")
    first, second, of_x, of_a = f(np.zeros(0), np.zeros((2, 2)))
    assert (first.shape, second.shape, of_x.shape) == ((0, 2, 2), (0,), (0,))
    np.testing.assert_array_equal(of_a, np.zeros((2, 2)))
    with pytest.raises(EvaluationError, match="inv"):
        f(np.ones(1), np.zeros((2, 2)))


def test_errors_of_branches_not_taken_do_not_count() -> None:
    x = sm.Variable("x", shape=(3, 2, 2))
    good = sm.vmap(lambda a: sm.where(a[0, 0] > 0, sm.sum(sm.linalg.inv(a)), -1.0))(x)
    value = np.stack([np.eye(2), np.zeros((2, 2)), 2 * np.eye(2)])
    np.testing.assert_array_equal(good.eval({x: value}), [2, -1, 1])


# Memory


def wide(x: Node) -> Node:
    """Return a number, from many more numbers."""
    big = sm.sin(x[:, None] * np.arange(50.0))
    return sm.sum(big @ np.ones((50, 40)) + big[:, :40])


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 20, 23])
def test_blocks_where_all_at_once_take_too_much_memory(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = sm.Variable("x", shape=(rows, 3))
    y = sm.vmap(lambda t: (wide(t), sm.gradients(wide(t), t)))(x)
    value = np.random.default_rng(0).normal(size=(rows, 3))
    expected = sm.compile([x], y, backend="numpy")(value)
    monkeypatch.setattr(module, "_rows_at_once", lambda *_: 10)
    f = sm.compile([x], y, backend="numpy")
    for got, wanted in zip(f(value), expected, strict=True):
        np.testing.assert_allclose(got, wanted, 1e-12)
    maps = [node.op for node in f.passes.graph.nodes if isinstance(node.op, Map)]
    assert len(maps) == (rows > 10)


def test_a_map_of_very_large_elements_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    monkeypatch.setattr(module, "_MOST_TIMES", 0)
    x = sm.Variable("x", shape=(4, 3))
    graph = sm.Graph([sm.vmap(wide)(x)], [x])
    assert [node.op for node in batch(graph).nodes] == [node.op for node in graph.nodes]


def test_memory_grows_with_the_elements_only_up_to_the_bound() -> None:
    x = sm.Variable("x", shape=(3000, 3))
    f = sm.compile([x], sm.vmap(lambda t: sm.sum(sm.sin(t[:, None] * np.arange(3000.0))))(x))
    f(np.ones((3000, 3)))
    assert f.plan.memory.peak < 2 * module._MOST_BYTES  # 200 MB all at once


# Maps in maps, loops and branches


def test_maps_in_maps() -> None:
    x, y, w = (sm.Variable(n, shape=s) for n, s in (("x", (4, 3)), ("y", (5, 3)), ("w", (3,))))
    inner = lambda a: sm.vmap(lambda b: sm.sort(a * b + w) @ w)(y)  # noqa: E731
    f = sm.compile([x, y, w], sm.vmap(inner)(x), backend="numpy")
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), rng.normal(size=3)
    np.testing.assert_allclose(f(a, b, c), np.sort(a[:, None] * b + c) @ c, 1e-12)
    assert not any(map(is_map, f.passes.graph.nodes))


@pytest.mark.parametrize("shared", [False, True])
def test_an_op_without_a_rule_in_maps_in_maps(shared: bool) -> None:
    """searchsorted has no rule for several sorted arrays."""
    x, y = sm.Variable("x", shape=(4, 2, 3)), sm.Variable("y", shape=(4, 2))

    def inner(rows: Node, values: Node) -> Node:
        one = values[0] if shared else values
        return sm.vmap(sm.searchsorted, (0, None if shared else 0))(rows, one)

    a = np.sort(np.random.default_rng(0).normal(size=(4, 2, 3)))
    b = np.random.default_rng(1).normal(size=(4, 2))
    expected = [
        [np.searchsorted(a[i, j], b[i, 0 if shared else j]) for j in range(2)] for i in range(4)
    ]
    got = sm.vmap(inner)(x, y).eval({x: a, y: b})
    np.testing.assert_array_equal(got, expected)


def both(function: Callable[..., Any], *arrays: Array) -> list[str]:
    """Compare a function and its gradients for many elements with a loop; return the ops used."""

    def values(*xs: Node) -> list[Node]:
        found = function(*xs)
        total = sm.add_n([sm.sum(y) for y in found])
        return [*found, *sm.gradients(total, [x for x in xs if x.type.is_float])]

    many = [sm.Variable(f"x{k}", x.shape, x.dtype) for k, x in enumerate(arrays)]
    one = [sm.Variable(f"x{k}", x.shape[1:], x.dtype) for k, x in enumerate(arrays)]
    f = sm.compile(many, sm.vmap(values)(*many), backend="numpy")
    g = sm.compile(one, values(*one), backend="numpy")
    rows = [g(*row) for row in zip(*arrays, strict=True)]
    for got, wanted in zip(f(*arrays), zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(got, np.stack(wanted), 1e-12)
    return [n.op.name for n in f.passes.graph.nodes if isinstance(n.op, WithBody)]


def test_a_scan_runs_once_for_all_elements() -> None:
    def run(x: Node, w: Node, s: Node) -> list[Node]:
        last, outputs = sm.scan(lambda c, e: (sm.tanh(w @ c + e), sm.sum(c)), x, s)
        return [last, outputs]

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(5, *shape)) for shape in ((3,), (3, 3), (7, 3))]
    assert both(run, *arrays) == ["scan", "scan"]


def test_a_carry_that_elements_change_in_a_step() -> None:
    """The first carry is the same for all, the second is added to it in each step."""
    run = lambda x: sm.scan(lambda c, _: ((c[0] + c[1], c[1] * x), c[0]), (0.0, 1.0), length=4)  # noqa: E731
    both(lambda x: [*run(x)[0], run(x)[1]], np.array([1.0, 2.0, -1.0]))


def test_branches_are_chosen_by_each_element() -> None:
    branches = [sm.sin, sm.log, lambda x: x * x]
    value = np.array([0.5, -1.0, 3.0, 2.0, 0.0])
    both(lambda i, x: [sm.switch(i, branches, x)], np.array([0, 2, 1, 1, 2]), value)
    both(lambda x: [sm.cond(x > 0, sm.sqrt, lambda x: x * 0, x)], value)
    with pytest.raises(EvaluationError, match="out of bounds"):
        i = sm.Variable("i", (2,), "int64")
        sm.vmap(lambda i: sm.switch(i, branches[:2], 1.0))(i).eval({i: [0, -1]})


def test_a_loop_that_only_some_elements_end() -> None:
    """The branch that does not end runs for no element that does not choose it."""

    def double(x: Node) -> Node:
        return sm.while_loop(lambda c: c < 9, lambda c: c * 2, x)

    both(lambda x: [sm.cond(x > 0, double, lambda x: x * 3, x)], np.array([1.0, -2.0, 0.5]))


# Provenance


def test_what_is_expanded_knows_its_line_and_role() -> None:
    x, w = sm.Variable("x", shape=(4, 3)), sm.Variable("w", shape=(3,))
    with sm.scope("loss"):
        y = sm.vmap(lambda row: sm.gradients(sm.sin(row @ w), w))(x)
    nodes = [node for node in batch(sm.Graph([y], [x, w])).nodes if node.op is not None]
    assert all("test_batch.py" in node.site.describe() for node in nodes)
    (cosine,) = [node for node in nodes if node.op.name == "cos"]
    assert cosine.scope == ("loss",) and cosine.role is not None and cosine.role.generation == 1


def test_a_sparse_matrix_in_a_body_is_made_for_each_element() -> None:
    pytest.importorskip("scipy")
    x, v = sm.Variable("x", shape=(4, 3)), sm.Variable("v", shape=(3,))
    y = sm.vmap(lambda row: sm.jacobian(row[1:] * row[:-1], row, sparse=True) @ v)(x)
    a, b = np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, -2.0, 0.5])
    expected = [[r[1] * b[0] + r[0] * b[1], r[2] * b[1] + r[1] * b[2]] for r in a]
    np.testing.assert_allclose(y.eval({x: a, v: b}), expected, 1e-12)
