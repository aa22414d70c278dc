"""Loops and branches: against unrolled graphs, against each other, and what bad input gets."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, GraphTypeError, ShapeError, SymadError
from symad.testing import check_gradients
from tests.support.op_checks import KNOWLEDGE, declare

Array = np.ndarray[Any, Any]
BACKENDS = ("numpy", "native")


def compiled(inputs: Any, outputs: Any, backend: str) -> Any:
    if backend == "native":
        pytest.importorskip("llvmlite")
    return sm.compile(inputs, outputs, backend=backend)  # type: ignore[call-overload]


def orders(y: sm.Node, xs: list[sm.Node]) -> list[sm.Node]:
    """Return y, its gradients, and second derivatives in all four combinations of modes."""
    directions = [sm.constant(0.5 + 0.25 * k) for k in range(len(xs))]
    seeds = [d * sm.ones_like(x) for d, x in zip(directions, xs, strict=True)]
    gradients = sm.gradients(y, xs, unused="zero")
    products = [sm.sum(g * s) for g, s in zip(gradients, seeds, strict=True)]
    along = sm.add_n(products)
    tangent = sm.pushforward(y, xs, seeds)
    return [
        y,
        tangent,
        *gradients,
        *sm.gradients(along, xs, unused="zero"),
        *sm.gradients(tangent, xs, unused="zero"),
        *sm.pushforward(gradients, xs, seeds),
        sm.pushforward(tangent, xs, seeds),
    ]


# Random steps

_UNARY: list[Callable[[Any], Any]] = [
    sm.sin, sm.tanh, sm.sigmoid, lambda a: a * a * 0.3, lambda a: sm.exp(a * 0.2), lambda a: -a,
    lambda a: sm.where(a > 0.1, sm.log(sm.maximum(a, 0.05)), a),
    lambda a: sm.sum(a, keepdims=True) * 0.5,
    lambda a: sm.cumsum(a, axis=-1) if a.ndim else a, sm.relu,
]  # fmt: skip
_BINARY: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b * 0.5, lambda a, b: a / (1 + b * b),
    sm.maximum, lambda a, b: sm.where(b > 0, a, b),
]  # fmt: skip


class Program:
    """A random loop: carries, elements and captured values of a few small shapes.

    Its step may end with another loop, a branch, or a map.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        random = self.random
        self.shapes = [[(), (3,), (2, 3)][random.integers(3)] for _ in range(random.integers(1, 4))]
        self.sequences = int(random.integers(0, 3))
        self.captured = int(random.integers(0, 3))
        self.length = int(random.integers(0, 5))
        self.backwards = bool(random.integers(2))
        self.plan = random.integers(0, 1000, size=200)
        self.inside = int(random.integers(5))

    def step(self, carry: list[Any], elements: list[Any], captured: list[Any]) -> Any:
        choose = iter(self.plan)
        pool = [*carry, *elements, *captured]
        for _ in range(4):
            a, b = (pool[next(choose) % len(pool)] for _ in range(2))
            if next(choose) % 2:
                pool.append(_UNARY[next(choose) % len(_UNARY)](a))
            else:
                pool.append(_BINARY[next(choose) % len(_BINARY)](a, b))
        last = self._nested(pool[-1], pool[0])
        new = []
        for k, old in enumerate(carry):
            total = sm.sum(last) * 0.1 + old * 0.7
            new.append(sm.tanh(total) if k % 2 else total + sm.sin(old) * sm.mean(pool[-2]))
        return new, sm.sum(last * 0.5) + carry[-1]

    def _nested(self, a: Any, b: Any) -> Any:
        if self.inside == 0:
            return sm.scan(lambda c, _: (sm.sin(c) * 0.9 + sm.sum(b) * 0.1, None), a, length=2)[0]
        if self.inside == 1:
            return sm.cond(sm.sum(a) > 0.2, lambda: sm.sin(a) * sm.sum(b), lambda: a * 0.5)
        if self.inside == 2:
            rows = sm.stack([a, a * 0.5])
            return sm.sum(sm.map_over(lambda row: sm.tanh(row) * sm.sum(b), [rows]), axis=0)
        if self.inside == 3:
            return sm.while_loop(lambda c: sm.sum(c * c) > 0.5, lambda c: c * 0.6, a)
        return a

    def inputs(self) -> tuple[list[Any], list[Any], list[Any]]:
        carry = [sm.Variable(f"c{k}", shape=s) for k, s in enumerate(self.shapes)]
        rows = [sm.Variable(f"s{k}", shape=(self.length, 3)) for k in range(self.sequences)]
        captured = [sm.Variable(f"w{k}", shape=(3,)) for k in range(self.captured)]
        return carry, rows, captured

    def looped(self, carry: list[Any], rows: list[Any], captured: list[Any]) -> sm.Node:
        last, stacks = sm.scan(
            lambda c, e: self.step(c, e, captured),
            carry, rows, length=self.length, reverse=self.backwards,
        )  # fmt: skip
        weights = sm.constant(1.0 + np.arange(self.length))
        weights = sm.reshape(weights, (self.length, *(1,) * len(self.shapes[-1])))
        return sum((sm.sum(sm.sin(c)) for c in last), start=sm.sum(stacks * weights))

    def unrolled(self, carry: list[Any], rows: list[Any], captured: list[Any]) -> sm.Node:
        steps = range(self.length)
        total: Any = sm.constant(0.0)
        for k in reversed(steps) if self.backwards else steps:
            carry, output = self.step(carry, [row[k] for row in rows], captured)
            total = total + sm.sum(output) * (1.0 + k)
        return sum((sm.sum(sm.sin(c)) for c in carry), start=total)


@pytest.mark.parametrize("seed", range(10))
def test_a_loop_agrees_with_its_unrolled_graph(seed: int) -> None:
    program = Program(seed)
    parts = program.inputs()
    xs = [x for part in parts for x in part]
    looped, unrolled = (orders(f(*parts), xs) for f in (program.looped, program.unrolled))
    arrays = [program.random.normal(size=x.type.shape) for x in xs]
    expected = compiled(xs, unrolled, "numpy")(*arrays)
    for backend in BACKENDS:
        for k, (got, want) in enumerate(
            zip(compiled(xs, looped, backend)(*arrays), expected, strict=True)
        ):
            np.testing.assert_allclose(
                got, want, rtol=1e-9, atol=1e-10, err_msg=f"output {k}, {backend}"
            )


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_first_adjoints_of_a_loop_in_a_body_belong_to_that_body(knowledge: str) -> None:
    arrays = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0])
    x, y = (declare(name, array, knowledge) for name, array in zip("xy", arrays, strict=True))

    def step(c: sm.Node, e: sm.Node) -> Any:
        return sm.where(e > 1, c * sm.sum(x) * e, e), c

    rows = sm.map_over(lambda e: sm.scan(step, sm.zeros_like(x[0]), x)[1] * e, [y])
    outputs = orders(sm.sum(rows), [x, y])
    plain = [sm.Variable(name, array.shape) for name, array in zip("xy", arrays, strict=True)]
    carry, total = sm.constant(0.0), sm.constant(0.0)
    for k in range(3):
        e = plain[0][k]
        total = total + carry
        carry = sm.where(e > 1, carry * sm.sum(plain[0]) * e, e)
    want = sm.compile(plain, orders(total * sm.sum(plain[1]), plain), backend="numpy")(*arrays)
    for backend in BACKENDS:
        for a, b in zip(compiled([x, y], outputs, backend)(*arrays), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# Numbers of steps


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_steps_give_the_first_carry_and_its_derivative(backend: str) -> None:
    w, n = sm.Variable("w", shape=()), sm.Variable("n", shape=(), dtype="int64")
    last, _ = sm.scan(lambda c, _: (c + sm.sqrt(w), None), w, length=n)
    gradient = sm.gradients(last, w)
    f = compiled([w, n], [last, gradient, sm.gradients(gradient, w)], backend)
    assert f(0.0, 0) == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(f(4.0, 3), [10.0, 1.75, -0.75 * 4**-1.5], rtol=1e-14)


def test_another_number_of_steps_needs_no_new_compile() -> None:
    x, n = sm.Variable("x", shape=(3,)), sm.Variable("n", shape=(), dtype="int64")
    last, _ = sm.scan(lambda c, _: (sm.sin(c) * x, c), x, length=n)
    f = sm.compile([x, n], [last, sm.gradients(sm.sum(last), x)], backend="numpy")
    made = [f([1.0, 2.0, 3.0], k) and f.passes for k in range(4)]
    assert all(a is b for a, b in pairwise(made))


def test_a_stack_of_unknown_length_can_be_used() -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    _, powers = sm.scan(lambda c, _: (c * x, c), 1.0, length=n)
    total = sm.sum(powers)
    f = sm.compile([x, n], [powers, total, sm.gradients(total, x)])
    powers, total, gradient = f(2.0, 4)
    assert list(powers) == [1, 2, 4, 8] and total == 15 and gradient == 0 + 1 + 4 + 12
    assert f(2.0, 0)[0].shape == (0,) and f(2.0, 0)[1] == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_while_loop_agrees_with_the_scan_of_its_length(backend: str) -> None:
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=(3,))
    start = (x, sm.constant(np.int64(0)))
    body = lambda c: (sm.sin(c[0]) * w + 0.1, c[1] + 1)  # noqa: E731
    ended, count = sm.while_loop(lambda c: (c[1] < 4) & (sm.sum(c[0]) < 50), body, start)
    scanned, _ = sm.scan(lambda c, _: (sm.sin(c) * w + 0.1, None), x, length=4)
    arrays = [np.array([0.3, -0.2, 1.0]), np.array([1.1, 0.7, -0.4])]
    made = [orders(sm.sum(y * y), [x, w]) for y in (ended, scanned)]
    for got, want in zip(*(compiled([x, w], m, backend)(*arrays) for m in made), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    assert sm.compile([x, w], count)(*arrays) == 4


def test_a_loop_that_does_not_end_is_an_error() -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c > 0, lambda c: c + 1, x, max_steps=10)
    with pytest.raises(EvaluationError, match="while_loop.*max_steps=10"):
        y.eval({x: 1.0})
    assert y.eval({x: -1.0}) == -1.0


@pytest.mark.parametrize("length", [-1, np.int64(-2)])
def test_a_negative_length_is_an_error(length: int) -> None:
    with pytest.raises(ShapeError, match="negative"):
        sm.scan(lambda c, _: (c, None), 1.0, length=length)
    n = sm.Variable("n", shape=(), dtype="int64")
    last, _ = sm.scan(lambda c, _: (c + 1, None), 1.0, length=n)
    with pytest.raises(EvaluationError, match="negative"):
        last.eval({n: length})


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_negative_length_that_is_fed_is_an_error_of_the_loop(backend: str) -> None:
    """Native code knows sizes made of the number before the loop runs."""
    n = sm.Variable("n", (), "int64")
    _, stack = sm.scan(lambda c, _: (c + 1, c), 0.0, length=n)
    function = compiled([n], sm.reshape(stack, (n, 1)), backend)
    assert function(2).shape == (2, 1)
    with pytest.raises(EvaluationError, match=r"^scan.*steps is -2; it cannot be negative"):
        function(-2)


def test_fori_loop_counts_between_bounds() -> None:
    a, b = (sm.Variable(name, shape=(), dtype="int64") for name in "ab")
    total = sm.fori_loop(a, b, lambda i, c: c + i, 0)
    f = sm.compile([a, b], total)
    assert [f(2, 5), f(5, 2), f(-1, 2)] == [9, 0, 0]
    assert sm.fori_loop(1, 4, lambda i, c: c * i, 1).eval() == 6


@pytest.mark.parametrize("checkpoint", [True, 1, 3, 4, 10, 11, 50])
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_change_nothing_but_what_is_kept(checkpoint: Any, reverse: bool) -> None:
    x, w = sm.Variable("x", shape=(10, 3)), sm.Variable("w", shape=(3,))
    step = lambda c, e: (sm.tanh(c * w + e), {"seen": c * e})  # noqa: E731
    found = []
    for every in (None, checkpoint):
        last, outputs = sm.scan(step, sm.zeros(3), x, reverse=reverse, checkpoint=every)
        total = sm.sum(last) + sm.sum(outputs["seen"] ** 2)
        found.append([last, outputs["seen"], *sm.gradients(total, [x, w])])
    arrays = np.random.default_rng(0).normal(size=(10, 3)), np.array([0.5, -0.3, 1.2])
    want, got = (sm.compile([x, w], outputs, backend="numpy")(*arrays) for outputs in found)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def test_checkpoints_of_an_unknown_number_of_steps() -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    plain, often = (
        sm.scan(lambda c, _: (sm.sin(c) * x, None), x, length=n, checkpoint=k)[0] for k in (None, 4)
    )
    f = sm.compile([x, n], [plain, often, sm.gradients(plain, x), sm.gradients(often, x)])
    for steps in (0, 3, 4, 9):
        a, b, da, db = f(1.3, steps)
        np.testing.assert_allclose([a, da], [b, db], rtol=1e-13)
    with pytest.raises(GraphTypeError, match="known number of steps"):
        sm.scan(lambda c, _: (c, None), x, length=n, checkpoint=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("goes_through", ["a sequence", "a count"])
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_and_sizes_known_only_at_run_time(
    backend: str, goes_through: str, reverse: bool
) -> None:
    """A loop that makes no steps does not know the sizes of the elements of its stacks."""
    x, w = sm.Variable("x", shape=(4,)), sm.Variable("w", shape=())
    n, rows = sm.Variable("n", shape=(), dtype="int64"), sm.Variable("rows", shape=("r",))
    start = sm.arange(sm.sum((x > 0).astype("int64"))) * w
    steps = {"length": n} if goes_through == "a count" else {"sequences": rows[:n]}

    def step(c: Any, e: Any) -> Any:
        return sm.tanh(c * w + (0.5 if e is None else e)), (c * w, sm.sum(c))

    outputs = []
    for every in (None, 3):
        last, stacks = sm.scan(step, start, **steps, reverse=reverse, checkpoint=every)
        total = sm.sum(last) + sum(sm.sum(stack**2) for stack in stacks)
        outputs += [last, *stacks, sm.gradients(total, w)]
    f = sm.compile([x, n, w, rows], outputs, backend=backend)
    for count in (0, 1, 3, 7, 2):
        found = f([1.0, 2, -1, 3], count, 0.5, np.arange(9.0))
        for plain, often in zip(found[:4], found[4:], strict=True):
            np.testing.assert_allclose(often, plain, rtol=1e-13)
            assert np.shape(often) == np.shape(plain)
        assert found[1].shape == ((count, 3) if count else (0, 0))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_of_sequences_of_unknown_rank(backend: str, reverse: bool) -> None:
    x, w = sm.Variable("x"), sm.Variable("w")

    def step(c: Any, e: Any) -> Any:
        return sm.tanh(c * w + sm.sum(e)), (e * c, c)

    outputs = []
    for every in (None, 3):
        last, (products, states) = sm.scan(step, 0.5, x, reverse=reverse, checkpoint=every)
        total = last + sm.sum(products**2) + sm.sum(states)
        outputs += [last, products, states, *sm.gradients(total, [x, w])]
    f = sm.compile([x, w], outputs, backend=backend)
    for shape in ((7,), (6,), (2,), (7, 2), (5, 2, 3), (0,), (1, 4)):
        found = f(np.linspace(-1, 1, math.prod(shape)).reshape(shape), 0.7)
        for plain, often in zip(found[:5], found[5:], strict=True):
            np.testing.assert_allclose(often, plain, rtol=1e-12)
            assert np.shape(often) == np.shape(plain)


def test_checkpoints_keep_few_carries() -> None:
    x = sm.Variable("x", shape=(64,))
    last, _ = sm.scan(lambda c, _: (sm.sin(c) * 1.1, None), x, length=1024, checkpoint=True)
    f = sm.compile([x], sm.gradients(sm.sum(last), x), backend="numpy")
    f(np.ones(64))
    stacks = [
        item.shape[0]
        for graph in _graphs_in(f.passes.graph)
        for node in graph.nodes
        if node.op is not None and node.op.name == "scan"
        for item in _types_of(node.type)
        if item.shape[1:] == (64,)
    ]
    assert sum(stacks) <= 2 * 32 + 10


def _graphs_in(graph: sm.Graph) -> list[Any]:
    inner = [body for node in graph.nodes for body in getattr(node.op, "bodies", ())]
    return [graph, *(found for body in inner for found in _graphs_in(body))]


def _types_of(type_: Any) -> list[Any]:
    return [item for _, item in type_.fields] if hasattr(type_, "fields") else [type_]


# Branches


def test_only_the_branch_taken_is_computed() -> None:
    a, k = sm.Variable("a", shape=(2, 2)), sm.Variable("k", shape=(), dtype="int64")
    y = sm.switch(k, [lambda m: sm.sum(sm.linalg.cholesky(m)), lambda m: sm.sum(m)], a)
    f = sm.compile([a, k], [y, sm.gradients(y, a)])
    value, gradient = f(-np.eye(2), 1)  # which has no Cholesky factor
    assert value == -2 and np.all(gradient == 1)
    with pytest.raises(SymadError, match="cholesky|positive definite"):
        f(-np.eye(2), 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_branch_has_the_derivatives_of_what_it_took(order: int, backend: str) -> None:
    x = sm.Variable("x", shape=())
    y: Any = sm.cond(x > 0, lambda: sm.sqrt(x) * x, lambda: x * x)
    for _ in range(order):
        y = sm.gradients(y, x)
    f = compiled([x], y, backend)
    slope = {1: 1.5 * 4**0.5, 2: 0.75 * 4**-0.5, 3: -0.375 * 4**-1.5}[order]
    np.testing.assert_allclose(f(4.0), slope, rtol=1e-14)
    assert f(-3.0) == {1: -6.0, 2: 2.0, 3: 0.0}[order]
    assert f(0.0) == {1: 0.0, 2: 2.0, 3: 0.0}[order]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_mask_around_a_loop_holds_at_every_order(order: int) -> None:
    x = sm.Variable("x", shape=())
    product, _ = sm.scan(lambda c, _: (c * sm.sqrt(x), None), 1.0, length=3)
    y: Any = sm.where(x > 0, product, 0.0)
    for _ in range(order):
        y = sm.gradients(y, x)
    assert y.eval({x: 0.0}) == 0.0
    exact = {1: 1.5 * 2.0, 2: 0.75 / 2.0, 3: -0.375 / 8.0}[order]
    np.testing.assert_allclose(y.eval({x: 4.0}), exact, rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2])
def test_a_mask_inside_a_loop_holds_at_every_order(order: int) -> None:
    x = sm.Variable("x", shape=(3,))
    total, _ = sm.scan(lambda c, e: (c + sm.where(e > 0, sm.log(e) ** 2, 0.0), None), 0.0, x)
    y: Any = total
    for _ in range(order):
        y = sm.sum(sm.gradients(y, x))
    e = np.array([2.0, 3.0])
    exact = [2 * np.log(e) / e, 2 * (1 - np.log(e)) / e**2][order - 1]
    np.testing.assert_allclose(y.eval({x: [2.0, 0.0, 3.0]}), exact.sum(), rtol=1e-13)


def test_an_index_out_of_range_is_an_error() -> None:
    k = sm.Variable("k", shape=(), dtype="int64")
    y = sm.switch(k, [lambda: sm.constant(1.0), lambda: sm.constant(2.0)])
    assert [y.eval({k: i}) for i in range(2)] == [1, 2]
    for wrong in (-1, 2):
        with pytest.raises(EvaluationError, match=f"index is {wrong}"):
            y.eval({k: wrong})


# Structures, numbers and what else a step may do


def test_carries_and_outputs_may_be_structures() -> None:
    x = sm.Variable("x", shape=(4,))
    first = {"sum": 0.0, "pair": (x[0], [sm.constant(np.int64(0))])}

    def step(c: Any, e: Any) -> Any:
        new = {"sum": c["sum"] + e, "pair": (c["pair"][0] * e, [c["pair"][1][0] + 1])}
        return new, {"seen": e, "pairs": (e, [e * 2])}

    last, outputs = sm.scan(step, first, x)
    got = sm.compile([x], [last, outputs])([1.0, 2.0, 3.0, 4.0])
    assert got[0] == {"sum": 10.0, "pair": (24.0, [4])}
    assert list(got[1]["seen"]) == [1, 2, 3, 4] and list(got[1]["pairs"][1][0]) == [2, 4, 6, 8]


def test_nodes_that_are_structures_may_be_carried_and_captured() -> None:
    x = sm.Variable("x", shape=(2, 2))
    q, r = (sm.structure(list(sm.linalg.qr(x)))[k] for k in range(2))
    both = sm.structure({"q": q, "r": r})
    last, _ = sm.scan(lambda c, _: ({"q": c["q"] @ both["r"], "r": c["r"]}, None), both, length=2)
    value = sm.sum(last["q"] * last["q"])
    array = np.array([[2.0, 1.0], [0.5, 3.0]])
    q0, r0 = np.linalg.qr(array)
    np.testing.assert_allclose(value.eval({x: array}), np.sum((q0 @ r0 @ r0) ** 2), rtol=1e-12)
    check_gradients(value, [x], {x: array}, order=1)


def test_a_first_carry_that_is_a_number_takes_the_dtype_of_the_others() -> None:
    x = sm.Variable("x", shape=(3,), dtype="float32")
    last, _ = sm.scan(lambda c, e: (c + e, None), 0.0, x)
    assert last.dtype == np.float32
    counted, _ = sm.scan(lambda c, e: (c + e, None), 0, x)
    assert counted.dtype == np.float32


def test_a_step_may_make_derivatives() -> None:
    x = sm.Variable("x", shape=())
    newton, _ = sm.scan(
        lambda c, _: (c - (c**2 - x) / sm.gradients(c**2 - x, c), None), 1.0, length=6
    )
    np.testing.assert_allclose(newton.eval({x: 2.0}), 2**0.5, rtol=1e-15)
    np.testing.assert_allclose(sm.gradients(newton, x).eval({x: 2.0}), 0.5 / 2**0.5, rtol=1e-12)


def test_updates_of_parameters_may_come_out_of_a_loop() -> None:
    w = sm.parameter("w", np.ones(3))
    last, _ = sm.scan(lambda c, _: (c * 0.5, None), w, length=3)
    step = sm.compile([], sm.sum(last), updates={w: last})
    assert step() == 0.375 and step() == 0.375 / 8


def test_a_function_with_loops_is_pickled_and_written_as_source() -> None:
    x = sm.Variable("x", shape=(3,))
    last, outputs = sm.scan(lambda c, e: (sm.sin(c) + e, c * e), 0.5, x, reverse=True)
    ended = sm.while_loop(lambda c: c < 9, lambda c: c * 2, sm.sum(x))
    chosen = sm.cond(last > 0, lambda: last, lambda: -last)
    outputs = [last, outputs, ended, chosen, sm.gradients(last * ended * chosen, x)]
    f = sm.compile([x], outputs, backend="numpy", name="f")
    array = np.array([0.3, 1.2, -0.7])
    want = f(array)
    for got in (pickle.loads(pickle.dumps(f))(array), _executed(f.source, array)):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def _executed(source: str, array: Array) -> Any:
    names: dict[str, Any] = {"constants": {}}
    exec(compile(source, "source", "exec"), names)
    return names["f"](array)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("reverse", [False, True])
def test_partial_results_of_an_associative_function(n: int, reverse: bool) -> None:
    a, b = sm.Variable("a", shape=(n,)), sm.Variable("b", shape=(n,))
    join = lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1])  # noqa: E731
    found = sm.associative_scan(join, (a, b), reverse=reverse)
    arrays = np.random.default_rng(n).normal(size=(2, n))
    x, y = arrays[:, ::-1] if reverse else arrays
    rows = [(x[0], y[0])]
    for k in range(1, n):
        rows.append(join(rows[-1], (x[k], y[k])))
    want = np.array(rows).T
    got = sm.compile([a, b], found)(*arrays)
    np.testing.assert_allclose(got, want[:, ::-1] if reverse else want, rtol=1e-12)
    unknown = [sm.Variable("a", shape=("n",)), sm.Variable("b", shape=("n",))]
    found = sm.associative_scan(join, tuple(unknown), reverse=reverse)
    got = sm.compile(unknown, found)(*arrays)
    np.testing.assert_allclose(got, want[:, ::-1] if reverse else want, rtol=1e-12)


# Work that is not done


def loops_of(f: Any) -> list[Any]:
    return [node.op for node in f.passes.graph.nodes if node.op and node.op.name == "scan"]


def test_what_nobody_reads_is_not_made() -> None:
    x, w = sm.Variable("x", shape=(5, 3)), sm.Variable("w", shape=(3,))
    first = (sm.zeros(3), sm.zeros(3))
    (last, _), _ = sm.scan(lambda c, e: ((c[0] * w + e, c[1] + c[0]), (c, e)), first, x)
    f = sm.compile([x, w], last, backend="numpy")
    f(np.ones((5, 3)), np.ones(3))
    (loop,) = loops_of(f)
    assert (loop.carries, len(loop.body.outputs)) == (1, 1)
    g = sm.compile([x, w], sm.gradients(sm.sum(last), w), backend="numpy")
    g(np.ones((5, 3)), np.ones(3))
    forward, adjoint = loops_of(g)
    assert (forward.carries, len(forward.body.outputs)) == (1, 2)  # one carry is saved
    assert adjoint.carries == 1  # its adjoint; what w gets is summed after the loop


def test_what_does_not_change_is_computed_once() -> None:
    x, w = sm.Variable("x", shape=(5,)), sm.Variable("w", shape=())
    last, _ = sm.scan(lambda c, e: (c * sm.exp(sm.sin(w)) + e, None), 0.0, x)
    f = sm.compile([x, w], last, backend="numpy")
    f(np.ones(5), 1.0)
    (loop,) = loops_of(f)
    assert {node.op.name for node in loop.body.nodes if node.op} == {"multiply", "add"}


# What bad input gets

X, V = sm.Variable("x", shape=()), sm.Variable("v", shape=(3,))
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "shape": (lambda: sm.scan(lambda c, e: (V * c, None), X, V), r"carry c is f64\[\].*f64\[3\]"),
    "dtype": (
        lambda: sm.scan(lambda c, e: ({"a": c["a"].astype("float32")}, None), {"a": X}, V),
        r"c\['a'\] is f64\[\] before a step and f32\[\]",
    ),
    "structure": (
        lambda: sm.scan(lambda c, e: ((c["a"],), None), {"a": X}, V),
        r"c\['a'\] before a step, and c\[0\] after",
    ),
    "no pair": (lambda: sm.scan(lambda c, e: c + e, X, V), "must return a pair"),
    "lengths": (lambda: sm.scan(lambda c, e: (c, None), X, [V, sm.ones(4)]), "3 and 4 steps"),
    "length": (lambda: sm.scan(lambda c, e: (c, None), X, V, length=4), "3 and 4 steps"),
    "no length": (lambda: sm.scan(lambda c, e: (c, None), X), "sequences or a length"),
    "kind of length": (lambda: sm.scan(lambda c, e: (c, None), X, length=X), "one integer"),
    "a number to go through": (lambda: sm.scan(lambda c, e: (c, None), X, X), "at least one axis"),
    "condition": (lambda: sm.while_loop(lambda c: c, lambda c: c, X), "single truth value"),
    "conditions": (lambda: sm.while_loop(lambda c: c > 0, lambda c: c, V), "single truth value"),
    "body": (lambda: sm.while_loop(lambda c: c > 0, lambda c: V, X), r"f64\[\] .*f64\[3\]"),
    "predicate": (lambda: sm.cond(X, lambda: X, lambda: X), "single truth value"),
    "branches": (lambda: sm.cond(X > 0, lambda: {"b": V}, lambda: {"b": X}), r"\['b'\] differ"),
    "forms": (lambda: sm.cond(X > 0, lambda: {"b": V}, lambda: {"a": V}), "different structures"),
    "index": (lambda: sm.switch(X, [lambda: X]), "one integer"),
    "no branch": (lambda: sm.switch(0, []), "at least one"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_explained(case: str) -> None:
    make, message = WRONG[case]
    with pytest.raises((GraphTypeError, ShapeError), match=message):
        make()


def test_a_sequence_that_is_too_short_is_found_when_it_is_fed() -> None:
    a, b = sm.Variable("a", shape=("n",)), sm.Variable("b", shape=("m",))
    last, _ = sm.scan(lambda c, e: (c + e[0] * e[1], None), 0.0, [a, b])
    assert last.eval({a: [1.0, 2.0], b: [3.0, 4.0]}) == 11
    with pytest.raises(ShapeError, match="elements"):
        last.eval({a: [1.0, 2.0], b: [3.0]})


def test_an_error_says_in_which_step() -> None:
    a = sm.Variable("a", shape=(3, 2, 2))
    last, _ = sm.scan(lambda c, e: (c + sm.linalg.cholesky(e + 0 * c)[0, 0], None), 0.0, a)
    with pytest.raises(EvaluationError) as caught:
        sm.compile([a], last, backend="numpy")(np.stack([np.eye(2), -np.eye(2), np.eye(2)]))
    assert "step 1" in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_find_nan_says_in_which_step() -> None:
    x = sm.Variable("x", shape=(4,))
    last, _ = sm.scan(lambda c, e: (c * sm.log(e), None), 1.0, x)
    report = str(sm.find_nan(last, {x: [2.0, 3.0, -1.0, 2.0]}))
    assert "In step 2:" in report and "ln" in report


def test_a_truth_value_stays_one() -> None:
    x = sm.Variable("x", shape=(3,))
    last, _ = sm.scan(lambda c, e: ({"seen": c["seen"] | (e > 0)}, None), {"seen": False}, x)
    assert last["seen"].dtype == bool
    with pytest.raises(GraphTypeError, match=r"c\['n'\] is bool\[\] before a step and i64\[\]"):
        sm.scan(lambda c, e: ({"n": c["n"] + 1}, None), {"n": False}, x)
    with pytest.raises(GraphTypeError, match=r"the carry c is bool\[\] before"):
        sm.while_loop(lambda c: c < 3, lambda c: c + 1, False)
