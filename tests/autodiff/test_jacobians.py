"""Jacobians and Hessians: both modes, the choice between them, and what compiled functions do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.ops.body import WithBody

RNG = np.random.default_rng(0)
M = RNG.normal(size=(4, 3))
A = M.T @ M + np.eye(3)

FUNCTIONS: dict[str, tuple[Callable[[Node], Node], tuple[int, ...]]] = {
    "elementwise": (lambda x: sm.sin(x) * x, (5,)),
    "neighbours": (lambda x: (x[1:] - x[:-1] ** 2) * x[1:], (6,)),
    "neighbours, steps": (lambda x: x[::2] * x[1::2] + x[-1], (6,)),
    "last element": (lambda x: x[-1] * x[1:3] - x[0], (4,)),
    "rows": (lambda x: x[1:] * x[0] + x[:, :1][1:], (3, 2)),
    "product": (lambda x: sm.tanh(M @ x), (3,)),
    "matrices": (lambda x: x @ A @ x.T, (2, 3)),
    "reductions": (lambda x: sm.softmax(x) * sm.logsumexp(x, axis=0), (3, 4)),
    "sums between axes": (lambda x: sm.sum(sm.sin(x), axis=1) ** 2, (2, 3, 4)),
    "solve": (lambda x: sm.linalg.solve(A + sm.diag(x), x), (3,)),
    "gather": (lambda x: x[[0, 2, 2]] * sm.take(x, [1, 1, 0]), (3,)),
    "place": (lambda x: sm.pad(x * x[0], (1, 2)) + sm.concat([x, x]), (3,)),
    "wider than x": (lambda x: x * M[:, :1], (3,)),
    "narrower than x": (lambda x: x[:, 0] * sm.sum(x, 1), (2, 3)),
    "scalar": (lambda x: sm.sum(x**3), (4,)),
    "of a scalar": (lambda x: sm.sin(x * M), ()),
}

for_each_function = pytest.mark.parametrize("name", FUNCTIONS)


def differences(f: Callable[..., Any], at: Any, step: float = 1e-6) -> Any:
    """Return the Jacobian by central differences, in the shape of y and then x."""
    flat, columns = np.reshape(at, -1), []
    for unit in np.eye(flat.size):
        ahead, behind = (f((flat + sign * step * unit).reshape(at.shape)) for sign in (1, -1))
        columns.append((np.asarray(ahead) - behind) / (2 * step))
    return np.moveaxis(np.array(columns), 0, -1).reshape((*columns[0].shape, *at.shape))


@for_each_function
@pytest.mark.parametrize("mode", ["reverse", "forward", None])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_jacobian_and_its_jacobian(
    name: str, mode: Literal["reverse", "forward"] | None, backend: str
) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    function, shape = FUNCTIONS[name]
    x, at = sm.Variable("x", shape=shape), np.asarray(RNG.uniform(0.3, 1.0, shape))
    y = function(x)
    first = sm.jacobian(y, x, mode)
    second = sm.jacobian(first, x, mode)
    f = sm.compile([x], [y, first, second], backend=backend)
    f(at)
    _, of_y, of_first = f(at)
    np.testing.assert_allclose(of_y, differences(lambda p: f(p)[0], at), 1e-6, 1e-7)
    np.testing.assert_allclose(of_first, differences(lambda p: f(p)[1], at), 1e-5, 1e-6)


@for_each_function
def test_hessian(name: str) -> None:
    function, shape = FUNCTIONS[name]
    x, at = sm.Variable("x", shape=shape), np.asarray(RNG.uniform(0.3, 1.0, shape))
    total = sm.sum(function(x) ** 2)
    f = sm.compile([x], [sm.gradients(total, x), sm.hessian(total, x)], backend="numpy")
    np.testing.assert_allclose(f(at)[1], differences(lambda p: f(p)[0], at), 1e-5, 1e-6)


def test_the_mode_is_chosen_by_size() -> None:
    few, many = sm.Variable("few", shape=(2,)), sm.Variable("many", shape=(50,))
    for x, y in ((few, sm.sin(few @ np.ones((2, 50)))), (many, sm.sin(np.ones((2, 50)) @ many))):
        graph = sm.compile([x], sm.jacobian(y, x), backend="numpy")
        graph(np.ones(x.type.shape))
        sizes = [node.type.shape for node in graph.passes.graph.nodes]
        assert (50, 50) not in sizes


def test_without_known_sizes_the_mode_is_reverse() -> None:
    x = sm.Variable("x")
    labels = [node.label for node in sm.Graph([sm.jacobian(sm.sin(x), x)]).nodes]
    expected = [node.label for node in sm.Graph([sm.jacobian(sm.sin(x), x, "reverse")]).nodes]
    assert labels == expected
    np.testing.assert_allclose(sm.jacobian(x * x, x).eval({x: [1.0, 2.0]}), np.diag([2.0, 4.0]))


def test_third_derivatives_are_a_few_formulas() -> None:
    x = sm.Variable("x", shape=(2,))
    y = sm.sin(x[0] * x[1]) * sm.exp(x[0]) + x[1] ** 3
    third = sm.jacobian(sm.jacobian(sm.jacobian(y, x), x), x)
    f = sm.compile([x], third, backend="numpy")
    at = np.array([0.3, -1.2])
    second = sm.compile([x], sm.hessian(y, x), backend="numpy")
    np.testing.assert_allclose(f(at), differences(second, at), 1e-6, 1e-8)
    assert not any(isinstance(node.op, WithBody) for node in f.passes.graph.nodes)


@pytest.mark.parametrize("size", [20, 200])
def test_hessian_of_neighbours_needs_few_large_values(size: int) -> None:
    """Only the Hessian itself has size² elements: what it is made of is computed in one pass."""
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=(size,))
    y = sm.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    f = sm.compile([x], sm.hessian(y, x), backend="native")
    at = RNG.normal(size=size)
    f(at)
    large = [n for n in f.passes.final.nodes if n.op and n.type.size >= (size - 1) ** 2]
    assert len(large) == 1
    by_numpy = sm.compile([x], sm.hessian(y, x), backend="numpy")(at)
    np.testing.assert_allclose(f(at), by_numpy, 1e-12, 1e-9)
