"""Where division by a root becomes multiplication, and where it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.graph import Graph
from symad.passes.decompose import decompose

X = sm.Variable("x", shape=(4, 6))
C = sm.Variable("c", shape=(4, 1))


def divisions_by_rows(y: sm.Node) -> int:
    graph = decompose(Graph([y]))
    return sum(
        node.op is not None and node.op.name == "divide" and node.type.shape == (4, 6)
        for node in graph.nodes
    )


@pytest.mark.parametrize(
    "variance",
    [
        lambda: sm.var(X, 1, keepdims=True),
        lambda: sm.mean(X * X, 1, keepdims=True),
        lambda: sm.max(abs(X), 1, keepdims=True) * 0.5 + sm.exp(C),
    ],
)
def test_roots_that_stay_away_from_zero(variance: Callable[[], Any]) -> None:
    assert divisions_by_rows(X / sm.sqrt(variance() + 1e-6)) == 0


@pytest.mark.parametrize(
    "divisor",
    [
        lambda: sm.sqrt(C + 1e-6),  # may be just above zero
        lambda: sm.sqrt(sm.square(C)),
        lambda: sm.sqrt(sm.square(C) + 1e-40),
        lambda: sm.sqrt(sm.square(C) * -1.0 + 1e-6),
        lambda: sm.square(C) + 1e-6,  # may be infinite where its reciprocal loses digits
        lambda: sm.sqrt(sm.square(X) + 1.0),  # as large as what it divides
    ],
)
def test_what_may_be_too_small_still_divides(divisor: Callable[[], Any]) -> None:
    assert divisions_by_rows(X / divisor()) == 1


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-20, 1.0, 1e150, np.inf, np.nan])
def test_values_at_the_edges(scale: float) -> None:
    y = X / sm.sqrt(sm.mean(sm.square(X), 1, keepdims=True) + 1e-6)
    value = np.random.default_rng(0).standard_normal((4, 6)) * scale
    found = sm.compile([X], y)(value)
    np.testing.assert_allclose(found, sm.compile([X], y, backend="numpy")(value), rtol=1e-14)


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,jk,kl->il", "ij,jk,kl,lm->im", "i,ij,j->"])
def test_products_of_many_operands_are_products_of_two(subscripts: str) -> None:
    """With all operands at once, the work is the product of all sizes."""
    terms = subscripts.partition("->")[0].split(",")
    xs = [sm.Variable(f"x{k}", (3,) * len(term)) for k, term in enumerate(terms)]
    y = sm.einsum(subscripts, *xs)
    made = decompose(Graph([y], xs))
    kept = [node for node in made.nodes if node.op is not None and node.op.name == "einsum"]
    assert all(len(node.inputs) <= 2 for node in kept)
    assert (y in made.nodes) == (y.op is not None and len(y.inputs) == 2)
    arrays = [np.random.default_rng(k).uniform(1, 2, x.shape) for k, x in enumerate(xs)]
    found = sm.compile(xs, made.outputs[0], backend="numpy")(*arrays)
    np.testing.assert_allclose(found, np.einsum(subscripts, *arrays), rtol=1e-12)
