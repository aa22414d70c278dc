"""Functions of JAX arrays: every op of the table is traced, and gives what NumPy gives.

``SYMAD_JAX_CASES=1`` computes all cases of the op table; by default, JAX compiles every tenth.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.xla.translations import TABLE
from symad.errors import EvaluationError, ExportError, SymadError
from symad.graph.nested import leaves
from symad.graph.op import OP_CLASSES
from tests.ops.test_op_table import CASES
from tests.support import op_checks as checks
from tests.support.op_checks import Case
from tests.support.stacks import stacks_of_while_loops

jax: Any = pytest.importorskip("jax")

EACH = int(os.environ.get("SYMAD_JAX_CASES", "10"))
BATCH = 60


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


LACKING = {
    "assemble_csr", "betaincinv", "erfcinv", "gammaincinv", "iv", "ive", "jv", "kv", "scaled_erfc",
    "hyp1f1", "hyp2f1", "inverse_factored", "lu_factors", "slogdet_factored", "solve_factored",
    "stdtr", "stdtrit", "yv",
}  # fmt: skip
"""Ops that JAX has nothing for."""


def is_compared(case: Case) -> bool:
    """Return whether JAX's value is NumPy's: at special points, its functions may give NaN."""
    is_special = case.op_class.__module__.startswith("symad.ops.special_")
    lacks = case.op_class.name in LACKING or case.id == "nan_on_failure-special"
    return not lacks and not (is_special and "special" in case.id)


def function_of(case: Case) -> sm.Function:
    built = checks.build(case)
    return sm.compile(list(built.inputs), list(built.outputs), backend="numpy")


@pytest.mark.parametrize("first", range(0, len(CASES), BATCH))
def test_every_op_is_traced(first: int) -> None:
    for case in CASES[first : first + BATCH]:
        f, arrays = function_of(case), checks.build(case).arrays
        if case.op_class.name in LACKING:
            with pytest.raises(ExportError, match="cannot be computed in JAX"):
                sm.to_jax(f)
            continue
        forms = jax.eval_shape(sm.to_jax(f), *arrays)
        for a, b in zip(leaves(f(*arrays)), leaves(forms), strict=True):
            assert (np.shape(a), a.dtype) == (b.shape, b.dtype), case.id


@pytest.mark.parametrize("first", range(0, len(CASES), 8 * BATCH))
def test_dtypes_stay_those_of_the_graph(first: int) -> None:
    """Numbers of double precision in a translation must not widen what it computes."""
    for case in CASES[first : first + 8 * BATCH][:: max(1, EACH // 2)]:
        built = checks.build(case, "float32")
        if case.op_class.name in LACKING:
            continue
        f = sm.compile(list(built.inputs), list(built.outputs), backend="numpy")
        forms = jax.eval_shape(sm.to_jax(f), *built.arrays)
        found = [b.dtype for b in leaves(forms)]
        assert [a.dtype for a in leaves(f(*built.arrays))] == found, case.id


OF_SLOPES = {"at_largest", "index_last", "logsumexp_slope", "power_log"}
"""Ops that only derivatives of floats hold."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # logarithms and factors of such numbers
def test_integers_stay_integers() -> None:
    compared = 0
    for case in {case.op_class: case for case in reversed(CASES)}.values():
        if case.op_class.name in (*LACKING, *OF_SLOPES):
            continue
        arrays = [np.asarray(draw(case.rng(), np.dtype("float64"))) for draw in case.sample.inputs]
        arrays = [np.nan_to_num(a).clip(1, 3) if a.dtype.kind == "f" else a for a in arrays]
        arrays = [a.astype("int64") if a.dtype.kind == "f" else a for a in arrays]
        xs = [sm.Variable(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
        with suppress(SymadError):  # some ops take floats only
            y = sm.compile(xs, case.sample.call(*xs), backend="numpy")
            dtypes = [a.dtype for a in leaves(y(*arrays))]
            if any(dtype.kind in "iu" for dtype in dtypes):
                forms = jax.eval_shape(sm.to_jax(y), *arrays)
                assert [form.dtype for form in leaves(forms)] == dtypes, case.id
                compared += 1
    assert compared > 20


CHOSEN = list(filter(is_compared, CASES[3::EACH]))


@pytest.mark.parametrize("first", range(0, len(CHOSEN), BATCH))
def test_every_op_is_computed(first: int) -> None:
    """Many at once, which JAX compiles faster."""
    cases = CHOSEN[first : first + BATCH]
    functions = [function_of(case) for case in cases]
    translated = [sm.to_jax(f) for f in functions]
    arrays = [checks.build(case).arrays for case in cases]
    together = jax.jit(lambda given: [g(*xs) for g, xs in zip(translated, given, strict=True)])
    for case, f, xs, found in zip(cases, functions, arrays, together(arrays), strict=True):
        for a, b in zip(leaves(f(*xs)), leaves(found), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9, err_msg=case.id)


def test_the_table_has_no_other_names() -> None:
    assert set(TABLE) <= set(OP_CLASSES)


def divided(dtype: str) -> tuple[sm.Function, np.ndarray, np.ndarray]:
    """Return quotients and remainders of all kinds of values."""
    if np.dtype(dtype).kind == "f":
        values = [-7.5, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, np.inf, -np.inf, np.nan]
    else:
        info = np.iinfo(dtype)
        values = [info.min, info.max, 0, 1, 2, 3, 7, *[-1, -2, -3, -7][: 4 if info.min else 0]]
    pairs = np.array([(a, b) for a in values for b in values], dtype)
    x, y = sm.Variable("x", dtype=dtype), sm.Variable("y", dtype=dtype)
    outputs = [x // y, x % y, sm.fmod(x, y)]
    return sm.compile([x, y], outputs, backend="numpy"), pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64", "float64"])
def test_division_is_numpys(dtype: str) -> None:
    """Also of the least integer by -1, by 0, and in the sign of zeros; constants are folded."""
    f, x, y = divided(dtype)
    g = sm.to_jax(f)
    for a, b, c in zip(f(x, y), jax.jit(g)(x, y), jax.jit(lambda: g(x, y))(), strict=True):
        for found in map(np.asarray, (b, c)):
            np.testing.assert_array_equal(found, a)
            number = ~np.isnan(a)
            np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(a[number]))


def test_an_extremum_of_many_numbers_is_nan_if_one_is() -> None:
    x = sm.Variable("x", shape=(None, None), dtype="float32")
    outputs = [sm.max(x), sm.min(x, 0), sm.max(x, 1), sm.logsumexp(x, 1), sm.softmax(x, 1)]
    f = sm.compile([x], outputs, backend="numpy")
    value = np.zeros((300, 300), "f4")
    value[7, 9] = np.nan
    for a, b in zip(f(value), jax.jit(sm.to_jax(f))(value), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


# Functions


def test_jax_differentiates_maps_and_compiles() -> None:
    x, w = sm.Variable("x", shape=("n",)), sm.Variable("w")
    loss = sm.sum(sm.tanh(x * w) * sm.exp(-x))
    g = sm.to_jax(sm.compile([x, w], loss, name="loss"))
    both = sm.compile([x, w], sm.gradients(loss, [x, w]))
    values = np.linspace(-1.0, 1.0, 5), np.full(5, 0.3)
    assert g.__name__ == "loss"
    for a, b in zip(both(*values), jax.jit(jax.grad(g, (0, 1)))(*values), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)
    rows = jax.vmap(g)(np.stack([values[0]] * 3), np.stack([values[1]] * 3))
    np.testing.assert_allclose(rows, [g(*values)] * 3)
    found = sm.to_jax(both)(*values)
    for a, b in zip(both(*values), found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


def test_parameters_and_updates() -> None:
    x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", [1.0, 2.0])
    count = sm.parameter("count", 0)
    loss = sm.sum(x * w + count)
    f = sm.compile([x], {"loss": loss}, updates={w: w - sm.gradients(loss, w)})
    g = jax.jit(sm.to_jax(f))
    state = [p.value for p in f.parameters]
    found, state = g(state, [3.0, 4.0])
    assert found == f([3.0, 4.0])
    np.testing.assert_array_equal(state[0], w.value)
    assert state[1] == 0


def test_structures_and_names() -> None:
    x, y = sm.Variable("x"), sm.Variable("y", dtype="int64")
    g = sm.to_jax(sm.compile([{"a": x, "b": [y]}, x * 1], (x + y, {"z": [y]})))
    a, more = g({"a": 1.5, "b": [2]}, 0.0)
    assert a == 3.5 and more["z"][0] == 2 and isinstance(more["z"][0], jax.Array)
    with pytest.raises(sm.errors.FeedError):
        g({"a": 1.5}, 0.0)
    h = sm.to_jax(sm.compile([x], sm.sin(x)))
    assert h(x=0.0) == 0.0


def loops() -> tuple[sm.Function, sm.Function]:
    """Return functions with a scan, a map and a branch, and with a while loop."""
    x, n = sm.Variable("x", shape=(4,)), sm.Variable("n", shape=(), dtype="int64")
    total, rows = sm.scan(lambda c, e: (c * 0.5 + sm.sin(e), c), 0.0, x)
    each = sm.map_over(lambda e: e * total, [x])
    which = sm.switch(n, [lambda: sm.sum(rows), lambda: sm.sum(each), lambda: total])
    steps = sm.while_loop(lambda c: c < 100.0, lambda c: c * 2.0, sm.sum(x))
    loss = which + sm.sum(rows * each)
    return (
        sm.compile([x, n], [loss, sm.gradients(loss, x)], backend="numpy"),
        sm.compile([x], steps, backend="numpy"),
    )


def test_loops_stay_loops() -> None:
    f, halving = loops()
    g, h = sm.to_jax(f), sm.to_jax(halving)
    x = np.array([0.1, 0.2, -0.3, 0.4])
    text = str(jax.make_jaxpr(g)(x, 1))
    assert "scan[" in text and "cond[" in text
    for n in range(3):
        for a, b in zip(f(x, n), jax.jit(g)(x, n), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-12)
    assert "while[" in str(jax.make_jaxpr(h)(x)) and h(x) == halving(x)
    slope = jax.grad(lambda x: g(x, 1)[0])(x)
    np.testing.assert_allclose(slope, f(x, 1)[1], rtol=1e-12)


def test_a_loop_that_does_not_end_gives_nan() -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c < 1e6, lambda c: c * 2, x, max_steps=3)
    g = sm.to_jax(sm.compile([x], y))
    assert np.isnan(g(1.0)) and g(5e5) == 1e6


def test_reverse_mode_goes_through_bounded_while_loops() -> None:
    inputs, outputs = stacks_of_while_loops()
    f = sm.compile(inputs, outputs, backend="numpy")
    values = np.array([0.1, 0.2, 0.3]), np.eye(3) * 0.5 + 0.1
    for g in (jax.jit(sm.to_jax(f)), sm.compile(inputs, outputs, backend="jax")):
        for a, b in zip(f(*values), g(*values), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-10)


def test_reverse_mode_through_a_loop_without_a_bound_names_the_remedy() -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c < 9.0, lambda c: c * c, x)
    g = sm.to_jax(sm.compile([x], sm.gradients(y, x)))
    with pytest.raises(ExportError, match="has no bound.*") as error:
        g(2.0)
    assert "max_steps=100" in str(error.value)


def test_a_number_of_steps_may_be_an_array() -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    last, _ = sm.scan(lambda c, _: (c * x, None), x, length=n * 2)
    g = jax.jit(sm.to_jax(sm.compile([x, n], [last, sm.pushforward(last, x, 1.0)])))
    assert g(2.0, 3) == [2.0**7, 7 * 2.0**6]
    m = sm.Variable("m", shape=(9,), dtype="int64")
    total, _ = sm.scan(lambda c, _: (c * x, None), x, length=sm.sum(m))
    f = sm.compile([x, m], total, backend="jax")
    assert f(2.0, np.ones(9, "int64")) == 2.0**10
    with pytest.raises(EvaluationError, match="cannot be negative"):
        f(2.0, -np.ones(9, "int64"))


def test_jax_decides_about_64_bits() -> None:
    x = sm.Variable("x", shape=("n",))
    g = sm.to_jax(sm.compile([x], [x * 2.0, sm.argmax(x)]))
    assert [y.dtype for y in g(np.ones(3))] == ["float64", "int64"]
    jax.config.update("jax_enable_x64", False)
    assert [y.dtype for y in g(np.ones(3))] == ["float32", "int32"]


def test_what_needs_64_bits_is_an_error_without_them() -> None:
    """JAX would cut off the upper half of integers, and so of random bits."""
    key, x = sm.Variable("key", (2,), "uint32"), sm.Variable("x", ())
    words = np.array([1, 2], "uint32")
    narrow = sm.compile([key], sm.random.normal(key, (3,), "float32"))
    wide = {
        "random bits": (key, words, [sm.random.normal(key, (3,)), sm.random.randint(key, 2, 0, 9)]),
        "an integer": (x, 1.0, [sm.constant(2**40) * x, sm.constant([1, -(2**31) - 1]) * x]),
    }
    jax.config.update("jax_enable_x64", False)
    np.testing.assert_allclose(sm.to_jax(narrow)(words), narrow(words), rtol=1e-5)
    np.testing.assert_array_equal(sm.to_jax(sm.compile([x], sm.constant(2**31 - 1) * x))(1), 2**31)
    for what, (input_, value, outputs) in wide.items():
        for y in outputs:
            with pytest.raises(ExportError, match=what) as error:
                sm.to_jax(sm.compile([input_], y))(value)
            assert "jax_enable_x64" in str(error.value)


def test_sizes_are_static() -> None:
    x, n = sm.Variable("x", shape=(6,)), sm.Variable("n", shape=(), dtype="int64")
    g = sm.to_jax(sm.compile([x, n], sm.reshape(x, (n, -1))))
    with pytest.raises(ExportError, match="shapes are static") as error:
        jax.jit(g)(np.ones(6), 3)
    assert "sm.reshape(x, (n, -1))" in str(error.value)


def test_what_jax_lacks_is_named() -> None:
    x = sm.Variable("x", shape=(3,))
    f = sm.compile([x], sm.jacobian(sm.sin(x), x, sparse=True))
    with pytest.raises(ExportError, match="sparse_jacobian.*cannot be computed in JAX"):
        sm.to_jax(f)
