"""Values and gradients of every op and sample, against JAX."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.op import OP_CLASSES
from tests.support.op_checks import Case, assert_close, build, cases_of, run

pytest.importorskip("jax", reason="JAX is not installed")
from tests.support import all_ops, jax_interpreter  # noqa: E402, F401

OPS = sorted(OP_CLASSES)
CASES = [case for name in OPS for case in cases_of(OP_CLASSES[name])]
BATCH = 40
"""How many cases JAX compiles at once."""

DIFFERENT = {
    "bessel_i-special": "JAX gives NaN at infinity",
    "beta-special": "JAX gives NaN at infinity, where the limit is 0",
    "betaln-special": "JAX gives NaN at infinity, where the limit is -inf",
    "exp1-special": "JAX gives NaN at infinity, where the limit is 0",
    "expi-special": "JAX gives NaN at 0 and at the infinities",
    "expn-special": "JAX gives 0.5 at 0, where the value is 1",
    "exprel-special": "a quotient of zeros in JAX",
    "inv_boxcox-p = 0": "JAX differentiates the branch that is not taken",
    "logsumexp_slope-special: infinite": "JAX's softmax of infinities is NaN",
    "logsumexp_slope-special: masked": "JAX's softmax of infinities is NaN",
    "nan_on_failure-special": "JAX gives infinity for the inverse of a singular matrix",
    "polygamma-special": "JAX gives NaN at infinity, where the limit is 0",
    "polygamma_step-special": "a difference of infinities in JAX",
    "rel_entr-special": "JAX gives infinity at NaN",
    "sqrtm": "JAX has no derivative of the Schur decomposition",
    "sqrtm-special: not real": "JAX's square root of such a matrix is complex",
    "sqrtm-symmetric": "JAX has no derivative of the Schur decomposition",
    "xdivy-special": "JAX gives 0 for 0 / NaN",
    "xlog1py-0 ln(1 + y)": "JAX's derivative by y at -1 is NaN",
    "xlogy-0 ln y": "JAX's derivative by y at 0 is NaN",
    "zeta-special": "JAX gives NaN at infinity, where the limit is 1",
}
"""Samples on which JAX is not the reference, and why; the op table has another."""


def test_every_op_is_translated() -> None:
    translated = {*jax_interpreter.TABLE, *jax_interpreter.UNTRANSLATED}
    unknown = [op for op in set(OPS) - translated if jax_interpreter.same_name(op) is None]
    assert not unknown, jax_interpreter.missing(*unknown)
    assert translated <= set(OPS), f"no such op: {sorted(translated - set(OPS))}"


def graph_of(case: Case) -> sm.Graph:
    """Return the graph of a case; skip where an op in it is not translated, and say why."""
    if case.id in DIFFERENT:
        pytest.skip(DIFFERENT[case.id])
    built = build(case)
    for node in built.nodes:
        assert node.op is not None
        try:
            jax_interpreter.translation_of(node.op)
        except jax_interpreter.NotTranslated as error:
            pytest.skip(str(error))
    return sm.Graph(built.outputs, built.inputs)


def request_of(case: Case) -> jax_interpreter.Request:
    """Return what to ask JAX: all outputs, and gradients of those that have them."""
    graph, built = graph_of(case), build(case)
    xs = [x for x in graph.inputs if case.sample.order > 0 and x.type.is_float]
    rng = case.rng()
    seeds = {
        y: rng.uniform(0.5, 1.5, np.shape(value)).astype(value.dtype)
        for y, value in zip(graph.outputs, built.values, strict=True)
        if xs and y.type.is_float
    }
    return jax_interpreter.Request(graph, built.arrays, xs if seeds else [], seeds)


@cache
def answers_from(first: int) -> dict[str, tuple[jax_interpreter.Request, Any]]:
    """Return requests and answers for so many cases, by their ids."""
    requests = {}
    for case in CASES[first : first + BATCH]:
        with suppress(pytest.skip.Exception):
            requests[case.id] = request_of(case)
    answers = jax_interpreter.answer(list(requests.values()))
    return dict(zip(requests, zip(requests.values(), answers, strict=True), strict=True))


@pytest.mark.parametrize("place", range(len(CASES)), ids=[case.id for case in CASES])
def test_values_and_gradients(place: int) -> None:
    case = CASES[place]
    graph_of(case)
    request, answer = answers_from(place - place % BATCH)[case.id]
    if isinstance(answer, Exception):
        raise answer
    expected, gradients = answer
    graph, seeds, arrays = request.graph, request.seeds, request.values
    values, actual = run(graph.inputs, list(graph.outputs), arrays), []
    if seeds:
        seed = list(seeds.values())
        pulled = sm.gradients(list(seeds), request.xs, seed=seed, unused="zero")
        actual = run(graph.inputs, pulled, arrays)
    assert_close(values, [np.asarray(y) for y in expected], rtol=1e-10)
    assert_close(actual, [np.asarray(g) for g in gradients], rtol=1e-9, atol=1e-9)


def test_an_unknown_op_is_named() -> None:
    class Unknown:
        name = "no_such_op"

    with pytest.raises(
        jax_interpreter.NotTranslated, match="does not know no_such_op: write in tests"
    ):
        jax_interpreter.translation_of(Unknown())
