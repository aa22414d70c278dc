"""Products that are used transposed are made that way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import Graph
from symad.passes.matrix_products import transpose_products
from symad.passes.specialise import specialise
from symad.runtime.pipeline import optimise


def swap(x: sm.Node) -> sm.Node:
    axes = [*range(x.ndim - 2), x.ndim - 1, x.ndim - 2]
    return sm.permute_dims(x, axes)


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.op is not None]


def check(outputs: Any, inputs: Any) -> Graph:
    """Return the graph with products turned, once its values are right."""
    graph = Graph(outputs, inputs)
    turned = transpose_products(graph)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(x.type.shape) for x in inputs]
    before = sm.compile(inputs, list(graph.outputs), backend="numpy", rewrites="exact")(*arrays)
    after = sm.compile(list(turned.inputs), list(turned.outputs), backend="numpy")(*arrays)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-13, atol=1e-13)
    return turned


A = sm.Variable("A", shape=(4, 5, 3))
B = sm.Variable("B", shape=(4, 5, 7))
D = sm.Variable("D", shape=(4, 7, 5))
ONE = sm.Variable("one", shape=(5, 7))
C = sm.Variable("c", shape=())


def test_what_was_transposed_is_taken_as_it_is() -> None:
    assert names(check([swap(swap(A) @ B)], [A, B])) == ["permute_dims", "matmul"]
    assert names(check([swap(swap(A) @ swap(D))], [A, D])) == ["matmul"]


def test_numbers_stay_outside() -> None:
    turned = check([swap(C * ((swap(A) @ B) / 3.0) * 2.0)], [A, B, C])
    assert names(turned)[-4:] == ["matmul", "divide", "multiply", "multiply"]


def test_one_matrix_for_a_whole_stack() -> None:
    assert names(check([swap(swap(A) @ ONE)], [A, ONE])).count("permute_dims") == 1


def test_what_rules_take_out_of_transpositions_stays() -> None:
    graph = Graph([swap(swap(A) * 2.0 @ B)], [A, B])
    assert names(transpose_products(graph)) == names(graph)


@pytest.mark.parametrize("place", ["product", "multiple"])
def test_what_has_another_use_stays(place: str) -> None:
    product = swap(A) @ B
    multiple = 2.0 * product
    outputs = [swap(multiple), sm.sum(product if place == "product" else multiple)]
    assert names(check(outputs, [A, B])) == names(Graph(outputs, [A, B]))


def test_what_is_wanted_itself_stays() -> None:
    product = swap(A) @ B
    graph = Graph([swap(product), product], [A, B])
    assert names(transpose_products(graph)) == names(graph)


def test_other_permutations_and_vectors_stay() -> None:
    v = sm.Variable("v", shape=(5,))
    stack = sm.Variable("stack", shape=(4, 2, 3, 5))
    for output, inputs in (
        (sm.permute_dims(swap(A) @ B, (1, 0, 2)), [A, B]),
        (sm.permute_dims(stack @ v, (0, 2, 1)), [stack, v]),
        (swap(A * 2.0), [A]),
    ):
        graph = Graph([output], inputs)
        assert names(transpose_products(graph)) == names(graph)


def test_fed_nodes_are_not_looked_behind() -> None:
    product = swap(A) @ B
    graph = Graph([swap(product)], [product])
    assert names(transpose_products(graph)) == ["permute_dims"]


def test_derivatives_of_products_with_transposes_take_no_copy() -> None:
    q, k = sm.Variable("q", shape=(4, 8, 3)), sm.Variable("k", shape=(4, 6, 3))
    scores = (q @ swap(k)) / 3.0
    gradients = sm.gradients(sm.sum(sm.exp(scores)), [q, k])
    types = [node.type for node in (q, k)]
    graph = optimise(specialise(Graph(gradients, [q, k]), types)).graph
    assert all(output.op.name != "permute_dims" for output in graph.outputs)


def test_each_node_is_looked_at_once() -> None:
    x: Any = swap(A) @ A
    for _ in range(2000):
        x = swap(2.0 * x)
    turned = transpose_products(Graph([x], [A]))
    assert len(turned) <= 2 * len(Graph([x], [A]))
