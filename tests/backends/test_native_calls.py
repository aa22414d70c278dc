"""Calls that go directly to native code: what they take, and that no Python code runs in them."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, SymadError
from symad.runtime.function import _CACHED_PROGRAMS

pytest.importorskip("llvmlite")

from symad.backends.native import call_table, dispatcher  # noqa: E402

Pair = namedtuple("Pair", "left right")


def frames(call: Callable[[], Any]) -> int:
    """Return how many Python functions a call of a function runs, beside the one that is given."""
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen.count("call") - 1


def general(f: sm.Function, *args: Any, **keywords: Any) -> Any:
    """Return the result of the path that converts and refuses values; or the error's message."""
    try:
        return sm.Function.__call__(f, *args, **keywords)
    except SymadError as error:
        return str(error)


def direct(f: sm.Function, *args: Any, **keywords: Any) -> Any:
    try:
        return f(*args, **keywords)
    except SymadError as error:
        return str(error)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key, item in one.items():
            assert_same(item, other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, (np.ndarray, np.generic)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def numbers() -> tuple[sm.Variable, sm.Variable, sm.Node]:
    a, b = sm.Variable("a", shape=()), sm.Variable("b", shape=())
    return a, b, sm.log(a) + a * b


def arrays() -> tuple[sm.Variable, sm.Variable, sm.Node]:
    a, b = sm.Variable("a", shape=("n",)), sm.Variable("b", shape=())
    return a, b, sm.sum(sm.exp(a)) * b + a


A = np.array([0.5, 1.5, 2.0])
FORMS: dict[str, Any] = {
    "list": (lambda a, b: [[a, b]], lambda a, b: (([a, b],), {})),
    "tuple for a list": (lambda a, b: [[a, b]], lambda a, b: (((a, b),), {})),
    "dict": (lambda a, b: [{"a": a, "b": b}], lambda a, b: (({"b": b, "a": a},), {})),
    "keys of all kinds": (
        lambda a, b: [{1: a, (2, "x"): b}], lambda a, b: (({1: a, (2, "x"): b},), {})
    ),
    "nested": (
        lambda a, b: [{"x": [a, {"y": (b,)}], "z": []}],
        lambda a, b: (({"x": [a, {"y": (b,)}], "z": ()},), {}),
    ),
    "named tuple": (lambda a, b: [Pair(a, b)], lambda a, b: ((Pair(a, b),), {})),
    "names": (lambda a, b: [a, b], lambda a, b: ((), {"b": b, "a": a})),
    "a position and a name": (lambda a, b: [a, b], lambda a, b: ((a,), {"b": b})),
    "a name that is made": (lambda a, b: [a, b], lambda a, b: ((a,), {"".join(["b"]): b})),
    "a name for a structure": (lambda a, b: [a, [b]], lambda a, b: ((a,), {"input1": [b]})),
    "one argument": (lambda a, b: {"a": a, "b": b}, lambda a, b: (({"a": a, "b": b},), {})),
    "without axes": (lambda a, b: [a, b], lambda a, b: ((a, np.array(b)), {})),
    "an integer": (lambda a, b: [a, b], lambda a, b: ((a, int(b)), {})),
    "another dtype": (lambda a, b: [a, b], lambda a, b: ((a, np.float32(b)), {})),
    "a truth": (lambda a, b: [a, b], lambda a, b: ((a, b > 0), {})),
}  # fmt: skip
RESULTS: dict[str, Any] = {
    "one": lambda y, g: y,
    "list": lambda y, g: [y, g],
    "tuple": lambda y, g: (y, g),
    "nested": lambda y, g: {"y": [y, ()], "g": ({1: g}, [])},
}


@pytest.mark.parametrize("graph", [numbers, arrays])
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("form", FORMS)
def test_no_python_runs_in_a_call(form: str, result: str, graph: Any) -> None:
    a, b, y = graph()
    taken, given = FORMS[form]
    f = sm.compile(taken(a, b), RESULTS[result](y, sm.gradients(sm.sum(y), b)), backend="native")
    args, keywords = given(A if graph is arrays else 0.5, 2.0)
    first = f(*args, **keywords)
    f(*args, **keywords)
    assert frames(lambda: f(*args, **keywords)) == 0
    assert_same(f(*args, **keywords), first)
    assert_same(first, general(f, *args, **keywords))


def test_the_second_call_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher._module()
    for graph, value in ((numbers, 0.5), (arrays, A)):
        for taken, given in FORMS.values():
            a, b, y = graph()
            f = sm.compile(taken(a, b), (y, {"slope": sm.gradients(sm.sum(y), b)}))
            args, keywords = given(value, 2.0)
            f(*args, **keywords)
            with monkeypatch.context() as patch:
                for module, name in (
                    (call_table, "_TableWriter"),
                    (dispatcher, "new_builtin"),
                    (sm.Function, "_accepted"),
                ):
                    patch.setattr(module, name, lambda *_: pytest.fail("made again"))
                f(*args, **keywords)


def test_one_scalar_function_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from symad.backends.native import scalar_function

    made = []
    stored_module = scalar_function.stored_module
    monkeypatch.setattr(
        scalar_function, "stored_module", lambda *given: made.append(1) or stored_module(*given)
    )
    monkeypatch.setattr(scalar_function, "_codes", scalar_function.Latest(8))
    a, b, y = numbers()
    for k, outputs in enumerate((y, [y, y * 2], (y,), {"y": y})):
        f = sm.compile([a, b], outputs, backend="native")
        for keywords in ({}, {"b": 2.0}, {}):
            f(*[1.0, 2.0][: 2 - len(keywords)], **keywords)
        f.specialised().program([np.float64(1), np.float64(2)])
        assert len(made) == k + 1


# Parameters


def descent(shape: Any) -> tuple[sm.Function, sm.Parameter, sm.Parameter]:
    x = sm.Variable("x", shape=shape)
    w = sm.parameter("w", np.ones(shape))
    count, rate = sm.parameter("count", 0), sm.parameter("rate", 0.125)
    loss = sm.sum((w * x - 1) ** 2)
    new = {w: w - rate * sm.gradients(loss, w), count: count + 1}
    return sm.compile([x], {"loss": loss}, new, backend="native"), w, count


@pytest.mark.parametrize("shape", [(), (3,), (20_000,)])
def test_parameters_are_read_and_stored_without_python(shape: Any) -> None:
    f, w, count = descent(shape)
    x, value = np.full(shape, 0.5)[()], np.ones(shape)
    if shape != (20_000,):  # the memory of large results is chosen by Python
        f(x), f(x)
        assert frames(lambda: f(x)) == 0
        w.value, count.value = value, 0
    for k in range(5):
        np.testing.assert_allclose(f(x=x)["loss"], np.sum((value * 0.5 - 1) ** 2))
        value = value - 0.125 * (value * 0.5 - 1)
        np.testing.assert_allclose(w.value, value)
        assert count.value == k + 1 and count.value.shape == ()
        assert isinstance(w.value, np.ndarray) and not w.value.flags.writeable
    copy, other = pickle.loads(pickle.dumps((f, w)))
    np.testing.assert_array_equal(copy(x)["loss"], f(x)["loss"])


def test_values_of_parameters_are_never_written_to() -> None:
    f, w, _ = descent((20_000,))
    x, seen = np.full(20_000, 0.5), []
    for _ in range(8):
        f(x)
        seen.append((w.value, w.value.copy()))
    for value, copy in seen:
        np.testing.assert_array_equal(value, copy)


def test_nothing_is_stored_if_an_op_fails() -> None:
    x, w = sm.Variable("x", shape=(2, 2)), sm.parameter("w", np.eye(2))
    f = sm.compile([x], w * 1, {w: w + sm.linalg.inv(x)}, backend="native")
    f(np.eye(2)), f(np.eye(2))
    before = w.value.copy()
    with pytest.raises(EvaluationError):
        f(np.zeros((2, 2)))
    np.testing.assert_array_equal(w.value, before)
    assert w.lock.acquire(blocking=False)
    w.lock.release()
    f(np.eye(2))
    np.testing.assert_array_equal(w.value, before + np.eye(2))


def test_updates_in_many_threads_are_all_counted() -> None:
    count, total = sm.parameter("count", 0), sm.parameter("total", np.zeros(3))
    x = sm.Variable("x", shape=(3,))
    one = sm.compile([x], count, {count: count + 1, total: total + x}, backend="native")
    other = sm.compile([], total * 1, {total: total + 1, count: count + 1}, backend="native")
    one(np.ones(3)), other()

    def work() -> None:
        for _ in range(3000):
            one(x=np.ones(3)), other()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.value == 24_002
    np.testing.assert_array_equal(total.value, np.full(3, 24_002.0))


# What is not as expected


ODD: list[Any] = [
    1, -1, 0, 2**31, 2**63, 10**400, True, False, 0.5, 1e300, float("nan"), float("inf"), "text",
    None, 1j, [], [1.0], [0.5, 1.5], (1, 2), [[1.0, 2.0]], [1.0, [2.0]], {"a": 1.0}, {},
    *(np.dtype(code).type(1) for code in "?bBhHiIlLqQefd"),
    *(np.array(1, code) for code in "?bBhHiIlLefd"), np.array(1.0, ">f8"), np.ones(2),
    np.ones(2, "f4"), np.ones((2, 2)), np.ones(4)[::2], np.ones(0), np.ma.ones(2),
    np.ones(2).view(np.recarray), np.float64(-0.0), np.str_("a"), np.longdouble(1),
    np.uint64(2**64 - 1), np.array(2**64 - 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [None, (), ("n",)])
def test_values_are_taken_and_refused_as_by_the_general_path(dtype: str, shape: Any) -> None:
    x, a = sm.Variable("x", shape, dtype), sm.Variable("a", shape=(), dtype="f8")
    kept = sm.parameter("kept", 1.0)
    for inputs, given in (
        ([x, a], lambda value: ((value, 1.5), {})),
        ([{"x": x, "a": [a]}], lambda value: (({"x": value, "a": [1.5]},), {})),
        ([x, a], lambda value: ((), {"x": value, "a": 1.5})),
    ):
        for y in (sm.cast(x, "f8") * a, x, sm.cast(x, "f8") * kept + a):
            f = sm.compile(inputs, [y], backend="native")
            for _ in range(2):
                for value in ODD:
                    args, keywords = given(value)
                    with np.errstate(all="ignore"):
                        want = general(f, *args, **keywords)
                        assert_same(direct(f, *args, **keywords), want)


WRONG: list[Any] = [
    ((), {}), ((1.0,), {}), ((1.0, {"b": 2.0}, 3.0), {}), ((1.0, {"c": 2.0}), {}),
    ((1.0, {"b": 2.0, "c": 3.0}), {}), ((1.0, [2.0]), {}), ((1.0, {}), {}), ((1.0, None), {}),
    ((1.0, {"b": None}), {}), ((1.0, {"b": [2.0]}), {}), ((1.0,), {"a": 1.0}), ((), {"a": 1.0}),
    ((1.0,), {"input1": {"b": 2.0}, "x": 1.0}), ((1.0,), {"input1": [{"b": 2.0}]}),
]  # fmt: skip


def test_arguments_of_another_structure_are_refused_as_before() -> None:
    a, b, y = numbers()
    f = sm.compile([a, {"b": b}], y, backend="native")
    assert f(1.0, {"b": 2.0}) == f(a=1.0, input1={"b": 2.0}) == 2.0
    for args, keywords in WRONG:
        message = direct(f, *args, **keywords)
        assert isinstance(message, str) and message == general(f, *args, **keywords)


def test_what_runs_when_a_key_is_looked_up_may_change_the_arguments() -> None:
    a, b, y = numbers()
    f = sm.compile([[{"a": a}, {"b": b}]], y, backend="native")
    f([{"a": 1.0}, {"b": 2.0}])

    class Key:
        """Has the hash of the key that is looked for, and clears everything."""

        def __hash__(self) -> int:
            return hash("a")

        def __eq__(self, other: object) -> bool:
            given.clear(), inner.clear()
            gc.collect()
            return other == "a"

    gc.freeze()  # what was there before need not be looked at
    for _ in range(100):
        inner: dict[Any, Any] = {Key(): 1.25 + _}
        given: list[Any] = [inner, {"b": 2.5 + _}]
        assert isinstance(direct_or_error(f, given), (float, Exception))
    gc.unfreeze()


def direct_or_error(f: sm.Function, *args: Any) -> Any:
    try:
        return f(*args)
    except Exception as error:
        return error


def test_calls_in_all_forms_leak_nothing() -> None:
    a, b, y = arrays()
    w = sm.parameter("w", 1.0)
    outputs = {"y": y * w, "g": [sm.gradients(sm.sum(y), b)]}
    f = sm.compile([{"a": a, "k": [b]}], outputs, {w: w + 1}, backend="native")
    values = np.arange(3.0)
    arguments = {"a": values, "k": [np.float32(2)]}
    wrong = {"a": values, "k": [np.float32(2), 1]}
    counted = [values, "a", "k", arguments["k"], f, w.cell, np.float64, None]

    def call(times: int) -> None:
        for _ in range(times):
            f(arguments), f(input0=arguments)
            direct(f, wrong) if _ % 100 == 0 else None

    call(500)
    gc.collect()
    blocks, counts = sys.getallocatedblocks(), [sys.getrefcount(item) for item in counted]
    call(20_000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 100
    grown = [sys.getrefcount(i) - count for i, count in zip(counted, counts, strict=True)]
    assert all(abs(growth) < 50 for growth in grown), grown


def test_no_memory_is_an_error_or_nothing() -> None:
    testcapi = pytest.importorskip("_testcapi")
    a, b, y = arrays()
    f = sm.compile([[a, b]], {"y": [y, (y * 2,)], "z": {1: y}}, backend="native")
    expected = f([A, 2.0])
    for start in range(20):
        testcapi.set_nomemory(start, start + 1)
        try:
            result = f([A, np.float32(2)])
        except MemoryError:
            result = expected
        finally:
            testcapi.remove_mem_hooks()
        assert_same(result, expected)
    assert_same(f([A, 2.0]), expected)


def test_functions_of_very_many_values() -> None:
    count = 1000
    xs = [sm.Variable(f"x{k}", shape=()) for k in range(count)]
    v = sm.Variable("v", shape=(2,))
    f = sm.compile([xs, v], sm.stack(xs)[:2] + v, backend="native")
    values, ones = [float(k) for k in range(count)], np.ones(2)
    for _ in range(3):
        np.testing.assert_array_equal(f(values, ones), [1.0, 2.0])
    assert frames(lambda: f(values, ones)) == 0


# Many shapes


def test_all_shapes_that_are_kept_are_entered_natively() -> None:
    a, b, y = arrays()
    f = sm.compile([a, b], [y, sm.gradients(sm.sum(y), b)], backend="native")
    fed = [np.arange(float(k)) for k in range(1, _CACHED_PROGRAMS + 1)]
    want = [f(value, 2.0) for value in fed]
    for value, expected in zip(fed, want, strict=True):
        assert frames(lambda value=value: f(value, 2.0)) == 0
        assert_same(f(value, 2.0), expected)
        assert f.plan.graph.inputs[0].type.shape == value.shape
    f(np.ones(1000), 2.0)
    assert len(f._specialisations) == _CACHED_PROGRAMS == len(f._direct._entries)
    assert_same(f(fed[0], 2.0), want[0])
    assert frames(lambda: f(fed[0], 2.0)) == 0


def test_shapes_are_told_apart() -> None:
    x, z = sm.Variable("x"), sm.Variable("z")
    f = sm.compile([x, z], [x * 2, sm.sum(z)], backend="native")
    rng = np.random.default_rng(0)
    shapes = [(), (1,), (2,), (1, 1), (2, 1), (1, 2), (0,), (2, 0), (0, 2), (1, 1, 2)]
    pairs = [(rng.random(one)[()], rng.random(other)[()]) for one in shapes for other in shapes[:6]]
    for _ in range(2):
        for one, other in pairs:
            double, total = f(one, other)
            np.testing.assert_array_equal(double, one * 2)
            np.testing.assert_allclose(total, np.sum(other))
            assert f.plan.graph.inputs[1].type.shape == np.shape(other)


def test_the_hash_is_the_same_in_python_and_in_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries whose hashes agree in part, or differ from those of native code."""
    a, b, y = arrays()
    f = sm.compile([[a, b]], y, backend="native")
    plain = dispatcher.hash_of
    two, three = np.ones(2), np.ones(3)
    f([two, 1.0])
    assert frames(lambda: f([two, 1.0])) == 0
    monkeypatch.setattr(dispatcher, "hash_of", lambda key: plain(key) ^ 1)
    f([three, 1.0])
    assert frames(lambda: f([three, 1.0])) > 0
    np.testing.assert_allclose(f([three, 1.0]), 3 * np.e + 1)


# Sizes that are values


def whole(name: str) -> sm.Variable:
    return sm.Variable(name, shape=(), dtype="int64")


SIZED: dict[str, Any] = {
    "arange": lambda x, n: sm.sin(sm.arange(n) * x[0]),
    "arithmetic": lambda x, n: sm.zeros((n // 2, 2 * n)) + x[n % 2],
    "slice": lambda x, n: x[:n] * 2,
    "bounds": lambda x, n: x[n - 1 : n + 1] + n,
    "eye": lambda x, n: sm.eye(n) * x[0],
    "reshape": lambda x, n: sm.reshape(x, (n, -1)) * 1.5,
    "a number": lambda x, n: sm.sum(sm.arange(n)) * x[0],
    "gradient": lambda x, n: sm.gradients(sm.sum(sm.sin(x[:n]) * sm.arange(n)), x),
}


@pytest.mark.parametrize("case", SIZED)
def test_numbers_that_become_sizes_are_known_to_native_code(case: str) -> None:
    x, n = sm.Variable("x", shape=(6,)), whole("n")
    y = SIZED[case](x, n)
    f = sm.compile([x, n], y, backend="native")
    reference = sm.compile([x, n], y, backend="numpy")
    values = np.random.default_rng(0).random(6)
    for number in (2, 3, 2, 3, 3):
        for given in (number, np.int64(number), np.int32(number), np.array(number)):
            result = f(values, given)
            np.testing.assert_allclose(result, reference(values, given), rtol=1e-14)
            assert frames(lambda g=given: f(values, g)) == 0
        assert f.passes.graph.outputs[0].type.is_static
        assert f.plan.graph.outputs[0].type.shape == np.shape(result)
    assert len(f._specialisations) == 2 and len(reference._specialisations) == 1


def test_numbers_that_do_not_become_sizes_are_not_looked_at() -> None:
    x, n, k = sm.Variable("x", shape=(6,)), whole("n"), whole("k")
    rows = sm.Variable("rows", shape=(2,), dtype="int64")
    count = sm.parameter("count", 3)
    by_floats = sm.cast(sm.sin(x[0]) + n, "int64")
    for y in (x[n] * k, x[rows] + n, sm.zeros((by_floats,)), x[:count] + n):
        f = sm.compile([x, n, k, rows], y, backend="native")
        for number in (1, 2, 3):
            f(np.ones(6), number, number, [1, 2])
        assert len(f._specialisations) == 1
    f = sm.compile([x, n, k], sm.arange(n) * k, backend="native")
    for number in (1, 2, 3):
        np.testing.assert_array_equal(f(np.ones(6), 3, number), np.arange(3) * number)
    assert len(f._specialisations) == 1


def test_shapes_as_vectors_are_known_too() -> None:
    x, shape = sm.Variable("x", shape=(6,)), sm.Variable("shape", shape=(2,), dtype="int64")
    f = sm.compile([x, shape], sm.reshape(x, shape) * 2, backend="native")
    for wanted in ([2, 3], (3, 2), np.array([2, 3]), np.array([6, 1])):
        assert f(np.ones(6), wanted).shape == tuple(wanted)
        assert f.passes.graph.outputs[0].type.shape == tuple(wanted)
    assert len(f._specialisations) == 3


def test_very_many_numbers_share_one_program() -> None:
    n = whole("n")
    f = sm.compile([n], sm.arange(n) * 2, backend="native")
    for number in range(1, 3 * _CACHED_PROGRAMS):
        np.testing.assert_array_equal(f(number), np.arange(number) * 2)
    kept = list(f._specialisations)
    for number in range(1, 3 * _CACHED_PROGRAMS):
        np.testing.assert_array_equal(f(number), np.arange(number) * 2)
    assert list(f._specialisations) == kept and len(kept) == _CACHED_PROGRAMS
    assert frames(lambda: f(_CACHED_PROGRAMS - 1)) == 0


def test_numbers_that_are_no_sizes_are_refused() -> None:
    n = whole("n")
    f = sm.compile([n], sm.zeros((n,)) + 1, backend="native")
    for _ in range(2):
        with pytest.raises(SymadError, match=r"(?s)broadcast_to.*-1.*test_native_calls"):
            f(-1)
        with pytest.raises(EvaluationError, match="memory"):
            f(10**13)
    assert f(2).shape == (2,)
    with pytest.raises(EvaluationError, match=r"(?s)arange failed.*test_native_calls"):
        sm.compile([n], sm.arange(n) + 1, backend="native")(10**13)
