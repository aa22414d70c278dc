"""Loops that share work: what adjoint loops read, and which loops become one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import Graph
from symad.passes.loops import prune_loops
from symad.passes.shared_loops import save_costly_values
from symad.passes.specialise import specialise

Array = np.ndarray[Any, Any]

W, X = sm.Variable("W", shape=(6, 6)), sm.Variable("X", shape=(7, 6))
VALUES = [np.random.default_rng(k).normal(0, 0.4, x.type.shape) for k, x in enumerate((W, X))]


def recurrent(w: Any, x: Any, **options: Any) -> Any:
    return sm.scan(lambda c, e: (sm.tanh(w @ c + e), None), sm.zeros(6), x, **options)[0]


def compiled(outputs: Any, inputs: Any = (W, X), **options: Any) -> Any:
    """Return a function for NumPy, whose results are checked against machine code."""
    values = VALUES[: len(inputs)]
    made = sm.compile(list(inputs), outputs, backend="numpy", **options)
    found = made(*values)
    pytest.importorskip("llvmlite")
    for a, b in zip(sm.compile(list(inputs), outputs, **options)(*values), found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    return made


def loops(made: Any) -> list[Graph]:
    """Return the bodies of the loops of a function."""
    nodes = made.passes.graph.nodes
    return [n.op.bodies[-1] for n in nodes if n.op and n.op.name in ("scan", "while_loop")]


def count(body: Graph, name: str) -> int:
    return sum(node.op is not None and node.op.name == name for node in body.nodes)


def test_an_adjoint_loop_reads_costly_values() -> None:
    made = compiled([*sm.gradients(sm.sum(recurrent(W, X)), [W, X])])
    forward, backward = loops(made)
    assert count(forward, "tanh") == 1 == count(forward, "matmul")
    assert count(backward, "tanh") == 0
    assert count(backward, "matmul") == 1  # that of the adjoint
    everywhere = [node.op.name for node in made.passes.graph.nodes if node.op is not None]
    assert "tanh" not in everywhere  # and nothing is computed again for all steps at once


def test_cheap_values_are_computed_again() -> None:
    def step(c: Any, e: Any) -> Any:
        return c * e + (c + e) * (c - e), None

    last, _ = sm.scan(step, sm.ones(6), X)
    made = compiled([last, sm.gradients(sm.sum(last), X)])
    assert [len(body.outputs) for body in loops(made)][0] == 2  # the carry, and it before the step


def test_nothing_is_saved_if_memory_counts() -> None:
    options: list[dict[str, Any]] = [{}, {"recompute": True}]
    gradient = sm.gradients(sm.sum(recurrent(W, X)), W)
    saved, computed = (loops(compiled([gradient], **o))[0] for o in options)
    assert len(saved.outputs) > len(computed.outputs) == 2
    blocks = compiled([sm.gradients(sm.sum(recurrent(W, X, checkpoint=3)), W)])
    outer = [body for body in loops(blocks) if count(body, "scan") == 1]
    assert outer and all(len(body.outputs) == 2 for body in outer[:1])


def test_large_values_are_saved_up_to_the_size_of_the_results() -> None:
    wide = sm.Variable("wide", shape=(300_000,))

    def step(c: Any, _: Any) -> Any:
        return sm.tanh(sm.sin(sm.exp(-c) * c)), None

    last, _ = sm.scan(step, wide, length=100)
    gradient = sm.gradients(sm.sum(last), wide)
    graph = prune_loops(specialise(Graph([last, gradient], [wide]), [wide.type]))
    first = [n for n in save_costly_values(graph).nodes if n.op and n.op.name == "scan"][0]
    results, saved = (sum(y.type.nbytes for y in first.op.body.outputs[k]) for k in
                      (slice(0, 2), slice(2, None)))  # fmt: skip
    assert 0 < saved <= results


def test_a_while_loop_saves_as_well() -> None:
    def body(c: Any) -> Any:
        return sm.tanh(W @ c[0]) * 1.1, c[1] + 1

    (last, n) = sm.while_loop(lambda c: sm.sum(c[0] * c[0]) > 0.2, body, (X[0], 0))
    made = compiled([last, n, *sm.gradients(sm.sum(last * last), [W, X])])
    assert made(*VALUES)[1] > 0
    assert [count(each, "tanh") for each in loops(made)] == [1, 0]


def test_values_and_tangents_are_one_loop() -> None:
    y = sm.sum(recurrent(W, X))
    made = compiled([y, sm.pushforward(y, W, sm.ones((6, 6)))])
    (body,) = loops(made)
    assert count(body, "tanh") == 1

    def total(c: Any) -> Any:
        return sm.while_loop(lambda c: sm.sum(c * c) > 0.2, lambda c: sm.tanh(W @ c), c)

    y = sm.sum(total(X[0]))
    made = compiled([y, sm.pushforward(y, X, sm.ones((7, 6)))])
    (body,) = loops(made)
    assert count(body, "tanh") == 1


def test_products_with_a_hessian_have_two_loops() -> None:
    y = sm.sum(recurrent(W, X))
    product = sm.hessian_vector_product(y, X, sm.ones((7, 6)))
    made = compiled([y, sm.gradients(y, X), product])
    forward, backward = loops(made)
    assert count(forward, "tanh") == 1
    assert count(backward, "tanh") == 0
    assert count(backward, "matmul") == 2  # of the adjoint, and of its tangent


def test_what_is_told_apart() -> None:
    def count_loops(*outputs: Any) -> int:
        return len(loops(compiled(list(outputs))))

    one = sm.scan(lambda c, e: (sm.sin(c) + e, None), sm.zeros(6), X)[0]
    assert count_loops(one, sm.scan(lambda c, e: (sm.sin(c) + e, None), sm.zeros(6), X)[0]) == 1
    assert count_loops(one, sm.scan(lambda c, e: (sm.cos(c) + e, None), sm.zeros(6), X)[0]) == 2
    back = sm.scan(lambda c, e: (sm.sin(c) + e, None), sm.zeros(6), X, reverse=True)[0]
    assert count_loops(one, back) == 2
    after = sm.scan(lambda c, e: (sm.sin(c) + e * one, None), sm.zeros(6), X)[0]
    assert count_loops(one, after) == 2
    # Equal first carries that differ later: the second carry depends on another sequence.
    both = lambda x: sm.scan(  # noqa: E731
        lambda c, e: ((sm.sin(c[0]) + 1, sm.sin(c[1]) * c[0] + e), None),
        (sm.zeros(6), sm.zeros(6)), x,
    )[0]  # fmt: skip
    assert count_loops(*both(X), *both(X * 2)) == 1
    # A counter alone is no reason.
    slow = sm.fori_loop(0, 5, lambda k, c: sm.tanh(W @ c) + k, X[0])
    fast = sm.fori_loop(0, 5, lambda k, c: sm.sin(c @ W) * k, X[1])
    assert count_loops(slow, fast) == 2


def test_some_loops_share_one_place() -> None:
    """A loop that two others go back over saves each value once."""
    y = recurrent(W, X)
    parts = [sm.gradients(sm.sum(y * k), W) for k in (1.0, 2.0)]
    forward, *_ = loops(compiled([y, *parts]))
    assert len(forward.outputs) == len(set(forward.outputs))


def test_parts_of_decomposed_ops_are_saved_too() -> None:
    """The derivative of logsumexp has the same exponentials, once both are written out."""

    def step(c: Any, e: Any) -> Any:
        return sm.logsumexp(sm.expand_dims(c, 1) + W, axis=0) + e, None

    last = sm.scan(step, sm.zeros(6), X)[0]
    made = compiled([last, *sm.gradients(sm.sum(last), [W, X])])
    assert [count(body, "exp") for body in loops(made)] == [0, 0]  # readable: logsumexp
    for recompute, expected in ((False, [1, 0]), (True, [1, 1])):
        outputs = [last, *sm.gradients(sm.sum(last), [W, X])]
        native = sm.compile([W, X], outputs, backend="native", recompute=recompute)
        native(*VALUES)
        bodies = [n.op.body for n in native.passes.final.nodes if n.op and n.op.name == "scan"]
        nests = [[n.op.body for n in b.nodes if n.op and n.op.name == "fused"] for b in bodies]
        assert [sum(count(nest, "exp") for nest in each) for each in nests] == expected


def test_a_value_that_several_loops_read_is_one_node() -> None:
    """Two nodes for one result would need two places for it."""

    def step(c: Any, e: Any) -> Any:
        return sm.logsumexp(sm.expand_dims(c, 1) + W, axis=0) + e, None

    last = sm.scan(step, sm.zeros(6), X)[0]
    gradients = [sm.gradients(sm.sum(f(last)), x) for f in (sm.sin, sm.exp) for x in (W, X)]
    native = sm.compile([W, X], [last, *gradients], backend="native")
    native(*VALUES)
    nodes = native.passes.final.nodes
    items = [(x.inputs[0], x.op.key) for x in nodes if x.op is not None and x.op.name == "item"]
    assert len(items) == len(set(items)) > 0
