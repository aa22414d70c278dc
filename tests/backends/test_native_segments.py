"""Native segments: which memory results stand in, and how functions with parameters enter them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.ops.fused import Fused

pytest.importorskip("llvmlite")

from symad.backends.native.kernels.loops import loop_text  # noqa: E402
from symad.backends.native.loop_nest import Nest, NestLayout  # noqa: E402
from symad.backends.native.lower.loops import SPLIT_FROM, is_large  # noqa: E402
from symad.backends.native.plan import lower_parts  # noqa: E402
from symad.backends.native.program import schedule_natively  # noqa: E402

SIZE = 40
BLOCK = SIZE * SIZE * 8


def variables(*names: str) -> list[sm.Variable]:
    return [sm.Variable(name, shape=(SIZE, SIZE)) for name in names]


def arena_of(function: sm.Function, *arrays: Any) -> int:
    """Return how many bytes besides inputs and results a function takes, once its answer is right.

    The answer is compared with that of a plan that uses no memory twice.
    """
    program: Any = function.specialised(function.arguments(*arrays)).program
    reference = sm.compile(function.inputs, function.outputs, backend="numpy", rewrites="exact")
    for found, expected in zip(function(*arrays), reference(*arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    return int(program._whole.code.arena)


@pytest.fixture
def a() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal((SIZE, SIZE)) / SIZE


def test_a_product_stands_where_its_only_user_writes(a: Any) -> None:
    (x,) = variables("x")
    f = sm.compile([x], [sm.tanh(x @ x) * 2 + x], backend="native")
    assert arena_of(f, a) == 0


def test_several_steps_share_one_place(a: Any) -> None:
    (x,) = variables("x")
    y = sm.sin(x @ x) @ x  # the first product is needed until the second is there
    f = sm.compile([x], [sm.cos(sm.exp(y * 0.001) @ x)], backend="native")
    assert arena_of(f, a) <= 2 * BLOCK


def test_what_is_needed_later_keeps_its_place(a: Any) -> None:
    (x,) = variables("x")
    y = x @ x
    z = sm.sin(y)
    f = sm.compile([x], [sm.sum(z @ y), sm.sum(y @ x)], backend="native")
    assert arena_of(f, a) >= 3 * BLOCK  # y and z, and their product


def test_results_are_not_overwritten_by_what_is_made_of_them(a: Any) -> None:
    (x,) = variables("x")
    y = x @ x
    z = sm.sin(y) @ x
    arena_of(sm.compile([x], [y, z, sm.cos(z)], backend="native"), a)


def test_inputs_and_constants_are_not_overwritten(a: Any) -> None:
    (x,) = variables("x")
    kept, constant = a.copy(), np.array(a + 1)
    f = sm.compile([x], [sm.sin(x) * 2, sm.cos(sm.constant(constant)) + x], backend="native")
    for _ in range(2):
        f(a)
    np.testing.assert_array_equal(a, kept)
    np.testing.assert_array_equal(constant, kept + 1)


def test_what_is_read_in_another_order_keeps_its_place(a: Any) -> None:
    (x,) = variables("x")
    y = x @ x
    f = sm.compile([x], [sm.sin(y) + y.T, sm.exp(0.01 * y) - y[0] * y[:, :1]], backend="native")
    arena_of(f, a)


def test_rows_that_are_read_again_keep_their_place(a: Any) -> None:
    """The sum of a row is made before its elements are read a second time."""
    (x,) = variables("x")
    y = x @ x
    log_probabilities = y - sm.logsumexp(y, axis=1, keepdims=True)
    f = sm.compile([x], [log_probabilities, sm.sum(sm.exp(log_probabilities), 0)], backend="native")
    assert arena_of(f, a) == 0


def counter(**options: Any) -> tuple[sm.Function, sm.Parameter]:
    x, w = sm.Variable("x", shape=("n", 3)), sm.parameter("w", np.zeros(3))
    new = w + sm.sum(x, 0)
    return sm.compile([x], {"before": w * 1, "total": sm.sum(new)}, {w: new}, **options), w


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_functions_with_parameters_take_all_kinds_of_calls(backend: str) -> None:
    f, w = counter(backend=backend)
    ones = np.ones((2, 3))
    for call in (
        lambda: f(ones),
        lambda: f(ones),
        lambda: f(x=ones),
        lambda: f(np.asfortranarray(ones)),
        lambda: f([[1, 1, 1], [1, 1, 1]]),
        lambda: f(ones.astype("f4")),
        lambda: f(np.ones((4, 3))[::2]),
        lambda: f(ones, out={"before": np.empty(3), "total": None}),
    ):
        before = w.value.copy()
        result = call()
        np.testing.assert_array_equal(result["before"], before)
        np.testing.assert_array_equal(w.value, before + 2)
        assert result["total"] == np.sum(before + 2)
    f(np.ones((5, 3)))
    np.testing.assert_array_equal(w.value, before + 7)


def test_what_a_call_refuses_leaves_parameters_as_they_were() -> None:
    f, w = counter(backend="native")
    ones = np.ones((2, 3))
    f(ones), f(ones)
    for wrong in ((), (ones, ones), (np.ones((2, 4)),), (ones * 1j,), ("text",)):
        with pytest.raises(sm.SymadError):
            f(*wrong)
        np.testing.assert_array_equal(w.value, [4.0, 4.0, 4.0])


def test_the_latest_call_is_the_one_that_is_shown() -> None:
    f, _ = counter(backend="native")
    for rows in (2, 5, 2):
        f(np.ones((rows, 3)))
        assert f.plan.graph.inputs[0].type.shape == (rows, 3)


def test_an_assigned_value_is_used_whatever_its_order() -> None:
    x, w = sm.Variable("x", shape=(3, 3)), sm.parameter("w", np.eye(3))
    f = sm.compile([x], x @ w, backend="native")
    a = np.arange(9.0).reshape(3, 3)
    for value in (np.eye(3), np.asfortranarray(a), a.T, a[::-1]):
        f(a)
        w.value = value
        np.testing.assert_array_equal(f(a), a @ value)


def fast_and_exact() -> tuple[sm.Function, sm.Function]:
    x, y = sm.Variable("x", shape=("n",)), sm.Variable("y", shape=("n",))
    outputs = [sm.sum(x * y + x / 3), x * y + sm.square(x) - y, sm.mean(sm.exp(x))]
    fast = sm.compile([x, y], outputs, backend="native", fastmath=True)
    return fast, sm.compile([x, y], outputs, backend="native")


def test_fast_arithmetic_agrees_up_to_rounding() -> None:
    fast, exact = fast_and_exact()
    arrays = np.random.default_rng(0).standard_normal((2, 5003))
    for found, expected in zip(fast(*arrays), exact(*arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_nan_and_infinities_stay_in_fast_arithmetic() -> None:
    fast, _ = fast_and_exact()
    ones = np.ones(100)
    for value in (np.nan, np.inf):
        spoilt = ones.copy()
        spoilt[7] = value
        total, each, mean = fast(spoilt, ones)
        np.testing.assert_array_equal([total, each[7], mean], value)
        np.testing.assert_array_equal(np.delete(each, 7), 1.0)


def test_numbers_can_be_fast() -> None:
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    f = sm.compile([x, y], x * y + x, backend="native", fastmath=True)
    assert [f(3.0, 4.0) for _ in range(3)] == [15.0] * 3
    assert np.isnan(f(np.nan, 1.0)) and f(np.inf, 1.0) == np.inf


def test_arithmetic_is_exact_unless_something_else_is_asked_for() -> None:
    fast, exact = fast_and_exact()
    texts = []
    for function in (fast, exact):
        function(np.ones(9), np.ones(9))
        graph = function.plan.graph
        op: Any = next(node.op for node in graph.nodes if isinstance(node.op, Fused))
        nest = Nest(op, function.settings.fastmath)
        texts.append(loop_text(nest, NestLayout(nest)))
    assert "fadd reassoc" in texts[0] and "contract" in texts[0]
    assert "fadd reassoc" not in texts[1] and "contract" not in texts[1]


def test_results_lend_their_memory_until_they_are_written(a: Any) -> None:
    (x,) = variables("x")
    y = sm.sin(x @ x) @ x
    f = sm.compile([x], [(y @ y) @ x, sm.sum(y)], backend="native")
    assert arena_of(f, a) <= 2 * BLOCK


def test_lent_memory_is_given_back_in_time(a: Any) -> None:
    """The first result is written early, so that nothing can stand there later."""
    (x,) = variables("x")
    early = x @ x
    late = (sm.sin(early) @ x) @ (sm.cos(early) @ x)
    arena_of(sm.compile([x], [early, late @ late, sm.exp(late)], backend="native"), a)


STEPS = (
    lambda one, other: one @ other,
    lambda one, other: sm.tanh(one) + other,
    lambda one, other: one.T * 0.5 - other,
    lambda one, other: sm.softmax(one) * other,
    lambda one, other: sm.concat([one[3:], other[:3]]),
)


@pytest.mark.parametrize("seed", range(40))
def test_random_chains_of_products_and_nests(seed: int, a: Any) -> None:
    """Each step takes what one or two of the latest steps made; some are results."""
    rng = np.random.default_rng(seed)
    made: list[Any] = variables("x")
    for _ in range(12):
        one, other = (made[-1 - int(rng.integers(min(3, len(made))))] for _ in range(2))
        made.append(STEPS[rng.integers(len(STEPS))](one, other))
    chosen = [made[k] for k in sorted(rng.choice(len(made), 3, replace=False))]
    arena_of(sm.compile([made[0]], [*chosen, sm.sum(made[-1])], backend="native"), a)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_results_are_written_straight_to_their_targets(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So large are they that Python calls their nests, one by one."""
    x = sm.Variable("x", shape=(300, 700))
    y = sm.tanh(x) * 2
    outputs = [y, *sm.gradients(sm.logsumexp(y), [x]), sm.exp(sm.cumsum(y, axis=0)) + 1]
    f = sm.compile([x], outputs, backend="native", threads=threads)
    value = np.random.default_rng(0).standard_normal((300, 700))
    expected = f(value)
    out = [np.empty_like(value) for _ in outputs]

    def refuse(*arguments: Any) -> None:
        raise AssertionError("a result was copied")

    with monkeypatch.context() as context:
        context.setattr(np, "copyto", refuse)
        found = f(value, out=out)
    for a, b, c in zip(found, out, expected, strict=True):
        assert a is b
        np.testing.assert_array_equal(a, c)


def test_the_same_call_gives_the_same_bits() -> None:
    """By whatever way it goes: the first time, by name, from arrays."""
    a, b = sm.Variable("a"), sm.Variable("b")
    y = sm.sin(a) * sm.exp(b) + sm.sum(sm.tanh(a * b))
    f = sm.compile([a, b], [y, *sm.gradients(y, [a, b])], backend="native")
    rng = np.random.default_rng(0)
    for _ in range(20):
        u, v = rng.standard_normal(2).tolist()
        first = f(u, v)
        assert f(u, v) == f(a=u, b=v) == f(np.array(u), np.float64(v)) == first
    u, v = rng.standard_normal((2, 50))
    first = f(u, v)
    for again in (f(u, v), f(a=u, b=v), f(list(u), v[::-1][::-1])):
        for x, y in zip(again, first, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("make", [sm.sin, sm.sum, sm.max, sm.min, lambda x: x * x])
def test_what_threads_share_is_large_whether_it_is_fused_or_not(make: Any) -> None:
    for rows, is_expected in ((8, False), (2 * SPLIT_FROM // SIZE, True)):
        graph = sm.Graph([make(sm.Variable("x", shape=(rows, SIZE)))])
        (segment,) = lower_parts(schedule_natively(graph), False, 2).segments
        assert segment is not None
        assert any(call.parts > 1 for call in segment.calls) is is_expected
        assert is_large(graph.outputs[0]) is is_expected
