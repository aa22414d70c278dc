"""Values and gradients of every op and sample, against JAX."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest

import symad as sm
import symad.ops
from symad.graph.op import OP_CLASSES
from tests.support.op_checks import Case, assert_close, build, cases_of, run

pytest.importorskip("jax", reason="JAX is not installed")
from tests.support import jax_interpreter  # noqa: E402

for module in pkgutil.walk_packages(symad.ops.__path__, "symad.ops."):
    importlib.import_module(module.name)

OPS = sorted(OP_CLASSES)
CASES = [case for name in OPS for case in cases_of(OP_CLASSES[name])]
for_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])

DIFFERENT = {
    "bessel_i-special": "JAX gives NaN at infinity",
    "beta-special": "JAX gives NaN at infinity, where the limit is 0",
    "betaln-special": "JAX gives NaN at infinity, where the limit is -inf",
    "exp1-special": "JAX gives NaN at infinity, where the limit is 0",
    "expi-special": "JAX gives NaN at 0 and at the infinities",
    "expn-special": "JAX gives 0.5 at 0, where the value is 1",
    "exprel-special": "a quotient of zeros in JAX",
    "inv_boxcox-p = 0": "JAX differentiates the branch that is not taken",
    "nan_on_failure-special": "JAX gives infinity for the inverse of a singular matrix",
    "polygamma-special": "JAX gives NaN at infinity, where the limit is 0",
    "polygamma_step-special": "a difference of infinities in JAX",
    "rel_entr-special": "JAX gives infinity at NaN",
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


@for_each_case
def test_values_and_gradients(case: Case) -> None:
    graph = graph_of(case)
    arrays = build(case).arrays
    checked = case.sample.order > 0
    xs = [x for x in graph.inputs if checked and x.type.is_float]
    ys = [y for y in dict.fromkeys(graph.outputs) if xs and y.type.is_float]
    values = run(graph.inputs, list(graph.outputs), arrays)
    rng = case.rng()
    seeds = {
        y: rng.uniform(0.5, 1.5, np.shape(value)).astype(value.dtype)
        for y, value in zip(graph.outputs, values, strict=True)
        if y in ys
    }
    if not ys:
        expected, gradients = jax_interpreter.evaluate(graph, arrays), []
        actual: list[Any] = []
    else:
        request = jax_interpreter.Request(graph, arrays, xs, seeds)
        expected, gradients = jax_interpreter.values_and_gradients(request)
        pulled = sm.gradients(ys, xs, seed=[seeds[y] for y in ys], unused="zero")
        actual = run(graph.inputs, pulled, arrays)
    assert_close(values, [np.asarray(y) for y in expected], rtol=1e-10)
    assert_close(actual, [np.asarray(g) for g in gradients], rtol=1e-9, atol=1e-9)


def test_an_unknown_op_is_named() -> None:
    class Unknown:
        name = "log1mexp"

    with pytest.raises(
        jax_interpreter.NotTranslated, match="does not know log1mexp: write in tests"
    ):
        jax_interpreter.translation_of(Unknown())
