"""Every sample of the op table in the body of a loop: by machine code, and as NumPy computes it."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.ops.structure import items_of
from symad.types import StructureType
from tests.ops.test_op_table import for_each_case
from tests.support.op_checks import Case

pytest.importorskip("llvmlite")

from symad.backends.native.lower.dispatch import PlacedSegment  # noqa: E402
from symad.backends.native.numpy_kernel import called_ops  # noqa: E402
from symad.backends.native.plan import lower_parts, make_native_plan  # noqa: E402
from symad.backends.native.program import schedule_natively  # noqa: E402

pytestmark = pytest.mark.usefixtures("quick_code")

BY_NUMPY = {
    "bessel_i", "beta", "betainc", "betaincinv", "betaln", "binom", "boxcox", "boxcox1p",
    "convolve", "cummax", "cummin", "digamma", "equal_part", "erfcinv", "erfcx", "erfinv",
    "exp1", "expi", "expm", "expn", "exprel", "gamma", "gammainc", "gammaincc", "gammaincinv",
    "gammasgn", "hyp1f1", "hyp2f1", "index_last", "inv_boxcox", "iv", "ive", "jv", "kl_div",
    "kv", "log_ndtr", "log_ratio", "lu", "ndtri", "orthogonal_complement", "pinv", "poch",
    "polygamma", "polygamma_step", "rel_entr", "rgamma", "round", "scaled_bessel_i",
    "scaled_erfc", "searchsorted", "sinc", "solve_sylvester", "sparse_matmul", "spence",
    "sqrtm", "stdtr", "stdtrit", "yv", "zeta",
}  # fmt: skip
"""The ops without machine code, which NumPy computes within loops."""


def looped(case: Case) -> tuple[list[Any], list[Node], list[Any]]:
    """Return a loop of two steps whose carry depends on all results, and on which all depend."""
    arrays = case.draw()
    rows = [sm.Variable(f"x{k}", (2, *a.shape), a.dtype) for k, a in enumerate(arrays)]

    def step(carry: Any, elements: Any) -> Any:
        given = [sm.where(carry < np.inf, x, sm.zeros_like(x)) for x in elements]
        results = []
        for node in leaves(case.sample.call(*given)):
            whole = isinstance(node.type, StructureType)
            results += items_of(node) if whole else [node]
        terms = [sm.sum(sm.astype(y, "float64")) for y in results]
        return sm.tanh(sm.add_n([carry, *terms])), results

    last, stacks = sm.scan(step, sm.constant(0.5), rows)
    outputs = [last, *leaves(stacks)]
    wanted = [x for x in rows if x.type.is_float and case.sample.order]
    smooth = [sm.sum(sm.sin(y)) for y in outputs if y.type.is_float]
    outputs += sm.gradients(sm.add_n(smooth), wanted, unused="zero") if wanted else []
    return rows, outputs, [np.stack([a, a]) for a in arrays]


def called_in(compiled: Any) -> list[str]:
    """Return the ops that NumPy computes within the loops of a function."""
    schedule = schedule_natively(compiled.passes.final)
    parts = make_native_plan(lower_parts(schedule, False, 1)).steps
    codes = [step.source.code for step in parts if isinstance(step.source, PlacedSegment)]
    return [name for code in codes for name in called_ops(code.calls)]


@for_each_case
def test_in_a_loop(case: Case) -> None:
    if case.op_class.name == "assemble_csr":
        pytest.skip("a sparse matrix is no result of a step")
    if case.id == "sqrtm-special: not real":
        pytest.skip("NumPy warns")
    inputs, outputs, arrays = looped(case)
    native = sm.compile(inputs, outputs, backend="native")
    found = native(*arrays)
    wanted = sm.compile(inputs, outputs, backend="numpy")(*arrays)
    assert "by Python" not in str(native.plan), str(native.plan)
    assert set(called_in(native)) <= BY_NUMPY
    for a, b in zip(found, wanted, strict=True):
        assert np.shape(a) == np.shape(b) and np.result_type(a) == np.result_type(b)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


# Ops that NumPy computes within a loop


def special_loop(steps: int) -> Any:
    """Return a compiled loop whose body has an op without machine code, and an array to feed."""
    x = sm.Variable("x", shape=(3,))
    last, _ = sm.scan(lambda c, _: (sm.erfinv(sm.tanh(c) * 0.9), None), x, length=steps)
    return sm.compile([x], [last, sm.gradients(sm.sum(last), x)], backend="native")


def test_the_plan_names_them() -> None:
    compiled = special_loop(5)
    compiled(np.ones(3))
    assert "erfinv by NumPy" in str(compiled.plan)


def test_an_error_names_the_op_and_the_step() -> None:
    x = sm.Variable("x", shape=(4, 2, 2))

    def step(c: Any, e: Any) -> Any:
        return c + sm.sum(sm.linalg.pinv(e * sm.cosh(c))), None

    last, _ = sm.scan(step, 0.0, x)
    compiled = sm.compile([x], last, backend="native")
    values = np.stack([np.eye(2)] * 4)
    before = compiled(values)
    assert "pinv by NumPy" in str(compiled.plan)
    with pytest.raises(EvaluationError, match=r"(?s)step 2.*pinv"):
        compiled(values * np.array([1.0, 1.0, np.nan, 1.0])[:, None, None])
    assert compiled(values) == before


def test_an_interrupt_passes_through() -> None:
    compiled = special_loop(300_000)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            compiled(np.ones(3))
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


def test_threads_call_them_at_once() -> None:
    compiled = special_loop(200)
    values = [np.full(3, k / 10) for k in range(8)]
    expected = [compiled(value) for value in values]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compiled, values * 5))
    for k, results in enumerate(found):
        for a, b in zip(results, expected[k % 8], strict=True):
            np.testing.assert_array_equal(a, b)
