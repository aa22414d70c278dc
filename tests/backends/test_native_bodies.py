"""Loops as steps of native code: against NumPy, which runs them from Python, and their errors."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.native import failed_call
from symad.backends.native.plan import lower_parts, make_native_plan
from symad.backends.native.program import NativeProgram, schedule_natively
from symad.backends.native.segment_code import LoopCall
from symad.graph.node import apply
from symad.ops.body import results_of
from symad.ops.loops import in_step

pytest.importorskip("llvmlite")

Array = np.ndarray[Any, Any]


def program_of(compiled: Any, *arguments: Any) -> NativeProgram:
    """Return the program that a function runs for these arguments."""
    compiled(*arguments)
    program = compiled.specialised().program
    assert isinstance(program, NativeProgram)
    return program


def is_one_segment(compiled: Any) -> bool:
    """Return whether all ops of the latest call run in one segment of native code."""
    return not any(word in str(compiled.plan) for word in ("NumPy", "by Python", "segment"))


def same(
    build: Callable[..., Any], *values: Array, wrt: Sequence[int] = (), is_native: bool = True
) -> Any:
    """Check a function of arrays, and gradients of the sum of its first result, against NumPy."""
    variables = [
        sm.Variable(f"x{k}", np.shape(v), np.asarray(v).dtype) for k, v in enumerate(values)
    ]
    results = build(*variables)
    outputs = list(results) if isinstance(results, (list, tuple)) else [results]
    if wrt:
        outputs += sm.gradients(sm.sum(outputs[0] ** 2), [variables[k] for k in wrt])
    native = sm.compile(variables, outputs, backend="native")
    reference = sm.compile(variables, outputs, backend="numpy")
    for _ in range(2):  # the second call needs no Python
        for found, wanted in zip(native(*values), reference(*values), strict=True):
            assert np.shape(found) == np.shape(wanted)
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert is_one_segment(native) is is_native, str(native.plan)
    return native


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


# Maps


def test_maps_and_their_derivatives() -> None:
    def rows(x: Any, w: Any) -> Any:
        return sm.map_over(lambda row: sm.tanh(w @ row) + sm.sum(row), [x])

    same(rows, normal(5, 3), normal(3, 3), wrt=(0, 1))
    same(lambda x: sm.map_over(lambda row: sm.sum(row * row), [x]), normal(4, 3), wrt=(0,))
    same(lambda x: sm.map_over(lambda e: sm.sin(e), [x]), normal(4), wrt=(0,))
    same(rows, normal(1, 3), normal(3, 3), wrt=(0, 1))


def test_sequences_of_any_strides() -> None:
    def pairs(x: Any, y: Any) -> Any:
        return sm.map_over(lambda a, b: a @ b, [x, y])

    x, y = normal(4, 3, 2), normal(2, 4, 3)
    same(lambda x, y: pairs(x[::-1], sm.permute_dims(y, (1, 0, 2))), x, y, wrt=(0, 1))
    same(lambda x, y: pairs(x[:, ::2, ::-1], sm.permute_dims(y, (1, 0, 2))), x, y)
    same(lambda x: sm.map_over(lambda r: r * r, [sm.broadcast_to(x, (3, 2))]), normal(2), wrt=(0,))


def test_a_body_that_returns_what_it_is_given() -> None:
    same(
        lambda x, y: sm.map_over(lambda row: (row, y, row.mT, sm.constant(3.0)), [x]),
        normal(3, 2, 4),
        normal(2),
    )


def test_maps_in_maps() -> None:
    def table(x: Any, y: Any) -> Any:
        return sm.map_over(lambda a: sm.map_over(lambda b: sm.exp(-((a - b) ** 2)), [y]), [x])

    same(table, normal(3), normal(4), wrt=(0, 1))

    def triples(x: Any, y: Any, z: Any) -> Any:
        inner = lambda a, b: sm.map_over(lambda c: sm.sum(a * b) * c, [z])  # noqa: E731
        return sm.map_over(lambda a: sm.map_over(lambda b: inner(a, b), [y]), [x])

    same(triples, normal(3, 2), normal(4, 2), normal(2), wrt=(0, 1, 2))


# Scans


def network(x: Any, w: Any, h: Any, reverse: bool = False) -> Any:
    return sm.scan(lambda c, e: (sm.tanh(w @ c + e), c * e), h, x, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 6])
def test_scans_and_their_derivatives(steps: int, reverse: bool) -> None:
    x, w, h = normal(steps, 3), normal(3, 3), normal(3)
    same(lambda x, w, h: network(x, w, h, reverse), x, w, h, wrt=(0, 1, 2))


def test_second_derivatives_of_scans() -> None:
    def product(x: Any, w: Any, h: Any) -> Any:
        last, _ = network(x, w, h)
        return sm.hessian_vector_product(sm.sum(last**2), w, sm.ones((3, 3)))

    same(product, normal(4, 3), normal(3, 3), normal(3), wrt=(1,))


def test_several_carries_that_change_places() -> None:
    def swapped(x: Any, a: Any, b: Any, n: Any) -> Any:
        def step(carry: Any, e: Any) -> Any:
            return {"a": carry["b"], "b": carry["a"] * e, "n": carry["n"] + 1}, carry["b"]

        last, stack = sm.scan(step, {"a": a, "b": b, "n": n}, x)
        return sm.sum(last["a"]) + sm.sum(last["b"]), last["n"], stack

    same(swapped, normal(5), normal(2), normal(2), np.int64(3), wrt=(0, 1, 2))


def test_scans_in_scans() -> None:
    def outer(x: Any, h: Any) -> Any:
        def step(c: Any, e: Any) -> Any:
            inner, _ = sm.scan(lambda d, k: (sm.sin(d) * k + e, None), c, x[:, 0])
            return inner, inner

        return sm.scan(step, h, x[:, 1])[1]

    same(outer, normal(4, 2), normal(3), wrt=(0, 1))


def test_large_carries() -> None:
    """They are larger than what is kept on a page, and their bodies have memory of their own."""

    def heat(u: Any) -> Any:
        step = lambda u, _: (u + 0.1 * (sm.roll(u, 1) - 2 * u + sm.roll(u, -1)), None)  # noqa: E731
        return sm.scan(step, u, length=9)[0]

    same(heat, normal(5000), wrt=(0,))


def test_steps_that_add_the_same_term() -> None:
    def added(c: Any, w: Any) -> Any:
        return sm.scan(lambda c, _: (c + sm.sin(w), None), c, length=5)[0]

    same(added, normal(3), normal(3), wrt=(0, 1))


def test_carries_that_are_not_floats() -> None:
    def counts(x: Any) -> Any:
        step = lambda c, e: ((c[0] + (e > 0), sm.logical_or(c[1], e > 1)), c[0])  # noqa: E731
        (count, found), counted = sm.scan(step, (sm.constant(np.int64(0)), sm.constant(False)), x)
        return count, found, counted

    same(counts, normal(6))


def test_empty_carries() -> None:
    same(
        lambda x, h: sm.scan(lambda c, e: (c * e, c), h, x),
        normal(4),
        normal(0, 3),
    )


# While loops, and loops whose number of steps is an input


def halved(x: Any, w: Any) -> Any:
    return sm.while_loop(lambda c: sm.sum(c * c) > 1e-3, lambda c: sm.sin(c) * w, x)


def test_while_loops_and_their_derivatives() -> None:
    for scale in (0.0, 1.0, 100.0):
        same(halved, scale * normal(3), np.float64(0.5), wrt=(0, 1))
        same(halved, scale * normal(3), np.float64(0.99), wrt=(0, 1))


def test_the_number_of_steps_is_an_input() -> None:
    def steps(n: Any, x: Any, w: Any) -> Any:
        return sm.fori_loop(0, n, lambda i, c: sm.cos(w * c) + i, x)

    compiled = same(steps, np.int64(7), normal(3), normal(3), wrt=(1, 2))
    reference = same(steps, np.int64(1), normal(3), normal(3), wrt=(1, 2))
    for n in (0, 1, 2, 3, 100, 5000, 4):
        for found, wanted in zip(
            compiled(n, normal(3), normal(3)), reference(n, normal(3), normal(3)), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
    same(steps, np.int8(5), normal(3), normal(3), wrt=(1, 2))


def test_second_derivatives_of_while_loops() -> None:
    def product(x: Any, w: Any) -> Any:
        return sm.hessian_vector_product(sm.sum(halved(x, w) ** 2), x, sm.ones(3))

    same(product, normal(3), np.float64(0.7), wrt=(1,))


def test_while_loops_in_scans() -> None:
    def rows(x: Any, w: Any) -> Any:
        return sm.scan(lambda c, e: (c + halved(e, w), c), sm.zeros(3), x)

    same(rows, normal(5, 3), np.float64(0.6), wrt=(0, 1))


def test_scans_in_while_loops() -> None:
    def body(c: Any, x: Any) -> Any:
        return sm.scan(lambda d, e: (d * 0.9 + 0.01 * e, None), c, x)[0]

    same(
        lambda x, c: sm.while_loop(lambda c: sm.sum(c * c) > 0.1, lambda c: body(c, x), c),
        normal(5, 3),
        normal(3),
        wrt=(0, 1),
    )


def powers(n: Any, x: Any, **options: Any) -> Any:
    """Return x to the power of 0, 1, … and whether their sums are positive, for n steps."""
    step = lambda c, _: (c * x, {"c": c, "is_positive": sm.sum(c) > 0})  # noqa: E731
    return sm.scan(step, sm.ones_like(x), length=n, **options)[1]


def test_stacks_of_any_length_are_results() -> None:
    """The loop is native; how many rows it has made is known at its end."""

    def both(n: Any, x: Any) -> Any:
        made = powers(n, x)
        return [made["c"], made["is_positive"], made["c"], powers(n, 0.5 * x, reverse=True)["c"]]

    compiled = same(both, np.int64(4), normal(3))
    before = compiled(np.int64(4), normal(3))[0]
    kept = before.copy()
    for n in (7, 0, 1, 5000, 2):
        for found, wanted in zip(compiled(n, normal(3)), both(n, normal(3)), strict=True):
            np.testing.assert_array_equal(found, wanted.eval())
    np.testing.assert_array_equal(before, kept)
    target = np.empty((5, 3))
    assert compiled(5, normal(3), out=[target, None, None, None])[0] is target
    np.testing.assert_array_equal(target[:4], kept)


def test_stacks_of_any_length_go_to_other_ops() -> None:
    """Loops of which NumPy reads the stacks, and loops that read stacks of NumPy, are native."""

    def total(n: Any, x: Any) -> Any:
        made = powers(n, x)["c"]
        return sm.sum(sm.sin(made), axis=0), made

    for n in (0, 1, 4):
        compiled = same(total, np.int64(n), normal(3), wrt=(1,), is_native=False)
        lines = [line for line in str(compiled.plan).splitlines() if "scan(" in line]
        assert len(lines) == 2 and all("loop of " in line for line in lines)
        assert "by Python" not in str(compiled.plan)


def test_all_results_of_a_while_loop() -> None:
    x = sm.Variable("x", shape=(3,))
    last = sm.while_loop(lambda c: sm.sum(c * c) > 0.1, lambda c: c * 0.5, x)
    compiled = sm.compile([x], results_of(last.inputs[0]), backend="native")
    for scale in (0.0, 1.0, 100.0):
        *_, stack, steps = compiled(scale * np.ones(3))
        assert len(stack) == steps
        np.testing.assert_array_equal(stack, scale * 0.5 ** np.arange(steps)[:, None] * np.ones(3))
    assert is_one_segment(compiled)


@pytest.mark.parametrize("is_outside", [False, True])
def test_stacks_of_another_length_are_errors(is_outside: bool) -> None:
    n, m = (sm.Variable(name, shape=(), dtype="int64") for name in "nm")
    x = sm.Variable("x", shape=(3,))
    stack = powers(n, x)["c"]
    stack = sm.sin(stack) if is_outside else stack
    added = sm.scan(lambda c, e: (c + e, None), sm.zeros(3), stack)[0]
    loop = added.inputs[0]
    other = apply(loop.op, m, *loop.inputs[1:])
    compiled = sm.compile([n, m, x], results_of(other)[0], backend="native")
    expected = np.sum(np.sin(np.ones((2, 3))) if is_outside else np.ones((2, 3)), axis=0)
    np.testing.assert_allclose(compiled(2, 2, np.ones(3)), expected)
    for k in (0, 1, 3, 1000):
        with pytest.raises(sm.errors.SymadError, match="a sequence has 2 elements"):
            compiled(2, k, np.ones(3))
    assert "by Python" not in str(compiled.plan)


def test_threads_have_stacks_of_their_own() -> None:
    n, x = sm.Variable("n", shape=(), dtype="int64"), sm.Variable("x", shape=(3,))
    compiled = sm.compile([n, x], powers(n, x)["c"], backend="native")
    wrong: list[int] = []

    def call(k: int) -> None:
        expected = np.full(3, 1.0 + k) ** np.arange(200 + k)[:, None]
        for _ in range(200):
            if not np.allclose(compiled(200 + k, np.full(3, 1.0 + k)), expected):
                wrong.append(k)

    with np.errstate(over="ignore"):
        threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_while_loop_that_does_not_end() -> None:
    x = sm.Variable("x", shape=(3,))
    last = sm.while_loop(lambda c: sm.sum(c) < 1e9, lambda c: c * 1.0, x, max_steps=50)
    compiled = sm.compile([x], last, backend="native")
    assert is_one_segment(compiled) or compiled(np.full(3, 1e9)) is not None
    with pytest.raises(sm.errors.EvaluationError, match="max_steps=50"):
        compiled(np.ones(3))
    np.testing.assert_array_equal(compiled(np.full(3, 1e9)), np.full(3, 1e9))


# Errors


def inverses(x: Any, n: Any) -> dict[str, Any]:
    """Return loops that fail where an element of ``x`` is singular, by kind."""

    def step(c: Any, e: Any) -> Any:
        return 0.5 * c + sm.linalg.inv(e + 0 * c), sm.sum(c)

    def nested(c: Any, e: Any) -> Any:
        return sm.scan(lambda d, _: step(d, e), c, length=3)[0], None

    def counted(state: Any) -> Any:
        k, c = state
        return k + 1, step(c, x[k])[0]

    zero = sm.zeros((2, 2))
    start = sm.constant(np.int64(0)), zero
    known = {
        "scan": sm.scan(step, zero, x)[1],
        "reverse": sm.scan(step, zero, x, reverse=True)[0],
        "nested": sm.scan(nested, zero, x)[0],
        "map": sm.map_over(lambda e: sm.linalg.inv(sm.cumsum(e, axis=0)), [x]),
        "branch": sm.cond(n > 0, lambda: sm.scan(step, zero, x)[0], lambda: zero),
        "count": sm.fori_loop(0, n, lambda k, c: step(c, x[k])[0], zero),
        "while": sm.while_loop(lambda s: s[0] < n, counted, start)[1],
        "condition": sm.while_loop(
            lambda s: sm.linalg.inv(x[s[0]])[0, 0] > 0, lambda s: (s[0] + 1, s[1] * 0.5), start
        )[1],
        "limit": sm.while_loop(lambda s: s[0] < 100, counted, start, max_steps=4)[1],
    }
    return known | {"after": sm.linalg.inv(x[4] + 0 * sm.scan(step, zero, x[:4])[0])}


@pytest.mark.parametrize("kind", list(inverses(sm.zeros((6, 2, 2)), sm.constant(np.int64(6)))))
def test_only_the_step_that_fails_runs_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are those of NumPy, which computes no step before the one that fails."""
    done: list[int] = []

    def counting(program: Any, step: int, values: Any) -> Any:
        done.append(step)
        return in_step(program, step, values)

    x, n = sm.Variable("x", shape=(6, 2, 2)), sm.Variable("n", shape=(), dtype="int64")
    values = [np.stack([np.eye(2)] * 6), np.int64(6)]
    values[0][4] = 0
    y = inverses(x, n)[kind]
    messages = []
    for backend in ("native", "numpy"):
        compiled = sm.compile([x, n], y, backend=backend)
        monkeypatch.setattr(failed_call, "in_step", counting)
        with pytest.raises(sm.errors.EvaluationError) as caught:
            compiled(*values)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    expected = {"while": [4, 4], "condition": [4], "limit": [4], "map": [], "after": []}
    expected |= {"reverse": [4], "nested": [4, 0]}
    assert done == expected.get(kind, [4])


# Branches


@pytest.mark.parametrize("kind", ["bool", "int64", "int8", "uint16"])
def test_branches_and_their_derivatives(kind: str) -> None:
    def chosen(k: Any, x: Any, w: Any) -> Any:
        branches = [lambda x: sm.sin(x) * w, lambda x: x, lambda x: sm.ones(3)]
        if kind == "bool":
            return sm.cond(k, branches[0], branches[1], x)
        return sm.switch(k, branches, x)

    for number in range(2 if kind == "bool" else 3):
        same(chosen, np.dtype(kind).type(number), normal(3), normal(3), wrt=(1, 2))


def test_only_the_branch_that_is_taken_runs() -> None:
    x, c = sm.Variable("x", shape=(2, 2)), sm.Variable("c", shape=(), dtype="bool")
    y = sm.cond(c, lambda: sm.linalg.inv(x), lambda: x)
    compiled = sm.compile([x, c], y, backend="native")
    np.testing.assert_array_equal(compiled(np.zeros((2, 2)), False), np.zeros((2, 2)))
    with pytest.raises(sm.errors.EvaluationError, match="Singular matrix"):
        compiled(np.zeros((2, 2)), True)
    np.testing.assert_array_equal(compiled(np.eye(2), True), np.eye(2))
    assert is_one_segment(compiled)


def test_an_index_without_a_branch() -> None:
    k, x = sm.Variable("k", shape=(), dtype="int64"), sm.Variable("x", shape=(3,))
    compiled = sm.compile([k, x], sm.switch(k, [sm.sin, sm.cos], x), backend="native")
    for number in (-1, 2, 2**62):
        with pytest.raises(sm.errors.EvaluationError, match="the index is"):
            compiled(number, np.ones(3))
    np.testing.assert_array_equal(compiled(1, np.zeros(3)), np.ones(3))


def test_branches_in_loops() -> None:
    def steps(x: Any, h: Any) -> Any:
        def step(c: Any, e: Any) -> Any:
            c = sm.cond(e > 0, lambda c: sm.sin(c) * e, lambda c: c - e, c)
            return c, sm.sum(c)

        return sm.scan(step, h, x)

    same(steps, normal(9), normal(3), wrt=(0, 1))


def test_functions_with_rules_in_loops() -> None:
    doubled = sm.custom(lambda a, w: w @ sm.sin(a), reverse=lambda v, y, a, w: (v * 2, None))

    def steps(x: Any, w: Any) -> Any:
        return doubled(sm.scan(lambda c, e: (doubled(c, w) + e, None), x[0], x)[0], w)

    same(steps, normal(4, 9), normal(9, 9), wrt=(0,))


# Bodies whose arrays have few elements


SMALL: dict[str, Callable[..., Any]] = {
    "elementwise": lambda x, m: sm.where(x > 0, sm.exp(x) * m, x // 2) + sm.sin(x),
    "sums": lambda x, m: sm.sum(m, axis=0) * sm.sum(x) + sm.sum(m, axis=1, keepdims=True),
    "sum of truth": lambda x, m: sm.sum(m > x) + sm.sum(x > 0, axis=0),
    "product of elements": lambda x, m: sm.prod(m, axis=0) * x + sm.prod(x),
    "products": lambda x, m: (m @ x) * (x @ m) + (x @ x) - sm.sum(m @ m.mT),
    "stack of products": lambda x, m: sm.stack([m, m.mT]) @ (m * x),
    "stack": lambda x, m: sm.stack([x[1], m[0, 1], sm.constant(2.0)]),
    "concat": lambda x, m: sm.concat([x, sm.cast(x > 0, "int32"), m[:, 0]]),
    "index": lambda x, m: sm.stack([m[0, ::-1], m[:, 1], x]),
    "views": lambda x, m: sm.reshape(sm.permute_dims(m, (1, 0)), (4,)) * sm.expand_dims(x, 1)[1],
    "diagonal": lambda x, m: sm.linalg.diagonal(m) + sm.broadcast_to(x[0], (2,)),
    "integers": lambda x, m: sm.cast(x * 3, "int8") * sm.cast(m, "int64"),
    "narrow": lambda x, m: sm.cast(x, "float32") * sm.cast(m, "float32"),
    "functions": lambda x, m: sm.tanh(x) + sm.log(sm.exp(m) + 1) + sm.special.erf(x) + sm.cos(m),
}


@pytest.mark.parametrize("name", SMALL)
def test_bodies_of_few_elements_are_one_kernel(name: str) -> None:
    def rows(x: Any, m: Any) -> Any:
        def step(c: Any, e: Any) -> Any:
            made = SMALL[name](c * e[0], e[1])
            return sm.cos(c) + 0.01 * sm.cast(sm.sum(made), "float64"), made

        return sm.scan(step, sm.ones(()), (x, m))[1]

    is_smooth = name not in ("sum of truth", "integers", "narrow", "product of elements")
    compiled = same(rows, normal(5, 2), normal(5, 2, 2), wrt=(0, 1) if is_smooth else ())
    assert "loop of 1 kernel," in str(compiled.plan)


def test_steps_of_integrators_are_one_kernel() -> None:
    def last(y: Any, k: Any) -> Any:
        def slope(y: Any) -> Any:
            return sm.stack([y[1], -k * y[0]])

        def step(y: Any, _: Any) -> Any:
            middle = y + 0.05 * slope(y)
            return y + 0.1 * slope(middle), y

        return sm.scan(step, y, length=50)

    compiled = same(last, normal(2), np.float64(2.0), wrt=(0, 1))
    assert str(compiled.plan).count("loop of 1 kernel,") == 2


def test_places_that_are_known_only_when_they_run() -> None:
    same(
        lambda k, x: sm.map_over(lambda i, r: r[i] * r, [k, x]),
        np.array([1, 0]),
        normal(2, 3),
        wrt=(1,),
    )


# Errors, signals and threads


def test_an_error_in_a_loop_names_the_op() -> None:
    x = sm.Variable("x", shape=(4, 2, 2))
    total, _ = sm.scan(lambda c, a: (c + sm.linalg.inv(a), None), sm.zeros((2, 2)), x)
    compiled = sm.compile([x], total, backend="native")
    good = np.stack([np.eye(2)] * 4)
    compiled(good)
    bad = good.copy()
    bad[2] = 0
    with pytest.raises(sm.errors.EvaluationError, match="Singular matrix"):
        compiled(bad)
    np.testing.assert_array_equal(compiled(good), 4 * np.eye(2))


def long_loop(steps: int) -> tuple[Any, Array]:
    x = sm.Variable("x", shape=(64,))
    last, _ = sm.scan(lambda c, _: (sm.sin(c), None), x, length=steps)
    compiled = sm.compile([x], last, backend="native")
    value = normal(64)
    return compiled, value


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_long_loop_can_be_interrupted() -> None:
    compiled, value = long_loop(20_000_000)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            compiled(value)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_run_during_a_long_loop() -> None:
    compiled, value = long_loop(300_000)
    compiled(value)
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    compiled(value)
    end = time.perf_counter()
    done.set()
    thread.join()
    assert sum(begin < tick < end for tick in ticks) > 1


def test_calls_from_several_threads() -> None:
    x, w, h = normal(50, 3), normal(3, 3), normal(3)
    compiled = same(network, x, w, h, wrt=(1,))
    wanted = compiled(x, w, h)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                for found, expected in zip(compiled(x, w, h), wanted, strict=True):
                    np.testing.assert_array_equal(found, expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_profiles_have_loops_as_steps() -> None:
    x, w, h = normal(50, 3), normal(3, 3), normal(3)
    compiled = same(network, x, w, h)
    times = program_of(compiled, x, w, h).profile([x, w, h])
    assert [node.op.name for node, _ in times if node.op].count("scan") >= 1
    gc.collect()


def test_the_plan_says_what_is_a_loop_in_native_code() -> None:
    compiled = same(network, normal(5, 3), normal(3, 3), normal(3))
    assert "loop of " in str(compiled.plan)

    def special(x: Any) -> Any:
        return sm.scan(lambda c, e: (sm.erfinv(sm.tanh(c * e)), None), sm.ones(()), x)[0]

    compiled = same(special, normal(3), is_native=False)
    assert "loop of 3 kernels, erfinv by NumPy, result 0" in str(compiled.plan)

    def growing(x: Any) -> Any:
        return sm.fori_loop(0, 3, lambda k, c: c + sm.sum(x[:k]), sm.zeros(()))

    compiled = same(growing, normal(3), is_native=False)
    assert "loop of " not in str(compiled.plan)
    assert "array, by Python" in str(compiled.plan)


def test_the_memory_account_has_what_bodies_need() -> None:
    def heat(u: Any, w: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            a = sm.cumsum(u) * w
            return u + 1e-9 * sm.cumsum(a[::-1]) + sm.cumsum(a), None

        return sm.scan(step, u, length=3)[0]

    compiled = same(heat, normal(20_000), normal(20_000))
    use, arena = compiled.plan.memory, program_of(compiled, normal(20_000), normal(20_000))
    assert arena._whole is not None and use is not None
    taken = arena._whole.code.arena + 160_000  # and the result
    assert taken <= use.peak * 1.1
    assert use.lower_bound <= taken * 1.1


@pytest.mark.parametrize("steps", [3, 40])
def test_threads_share_large_nests_of_a_body(steps: int) -> None:
    x = sm.Variable("x", shape=(300, 500))
    last, totals = sm.scan(lambda c, _: (sm.sin(c) * 1.1 + x, sm.sum(c)), x * 1, length=steps)
    outputs = [last, totals, sm.gradients(sm.sum(totals), x)]
    alone, shared = (sm.compile([x], outputs, backend="native", threads=n) for n in (1, 3))
    value = normal(300, 500)
    for _ in range(2):
        for a, b in zip(alone(value), shared(value), strict=True):
            np.testing.assert_array_equal(a, b)
    placed = make_native_plan(lower_parts(schedule_natively(shared.passes.final), False, 3)).whole
    assert placed is not None
    loops = [call for call in placed.code.calls if isinstance(call, LoopCall)]
    inside = [call for loop in loops for body in loop.bodies for call in body.code.calls]
    assert any(call.threads == 3 for call in inside)
