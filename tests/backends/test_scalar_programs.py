"""Scalar programs: every way to run a plan of numbers gives the same bits, at any size."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError
from symad.plan.plan import Plan, make_plan
from tests.support.scalar_graphs import ALL, COMMON, EXACT, scalar_graph

pytest.importorskip("llvmlite")

from symad.backends.native import scalar_chunks, scalar_function  # noqa: E402
from symad.backends.native.scalar_chunks import chunked_program  # noqa: E402
from symad.backends.native.scalar_entry import program_function  # noqa: E402
from symad.backends.native.scalar_function import MOST_INSTRUCTIONS, ScalarFunctions  # noqa: E402
from symad.backends.native.scalar_program import is_regular, scalar_program  # noqa: E402
from symad.backends.numpy import numpy_program  # noqa: E402
from tests.backends.test_native_scalars import STRATEGIES, use_strategy  # noqa: E402

PROGRAMS = ["chunks", "instructions"]
NATIVE = tuple(name for name in ALL if name not in ("gammaln", "nextafter"))
"""Ops that have native code with all their derivatives, for all dtypes but float16."""


def refuse(*args: Any, **keywords: Any) -> Any:
    raise AssertionError(f"the slow way was taken for {args} {keywords}")


def function_of(plan: Plan, strategy: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    use_strategy(strategy, monkeypatch)
    functions = ScalarFunctions(plan, is_fast=False)
    assert not functions.by_numpy, "all strategies would be one"
    function = functions.function(list(plan.graph.outputs), refuse, strategy)
    assert function is not None
    return function


def assert_same_bits(got: Any, want: Any) -> None:
    """Compare types and bits; all NaN are equal."""
    assert list(map(type, got)) == list(map(type, want))
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        same = a.tobytes() == b.tobytes() or (np.isnan(a) and np.isnan(b))
        assert same, f"output {k}: {a!r}, not {b!r}"


@pytest.mark.parametrize("seed", range(6))
def test_all_strategies_have_the_same_bits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scalar_graph(seed, 60, NATIVE, COMMON, with_gradient=seed % 2 == 0)
    plan = make_plan(made.graph)
    results = [function_of(plan, name, monkeypatch)(*made.values) for name in STRATEGIES]
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("length", [1, 7, 500])
@pytest.mark.parametrize(("seed", "size"), [(1, 1000), (2, 2000)])
def test_large_programs_have_the_same_bits(
    seed: int, size: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the length of chunks."""
    monkeypatch.setattr(scalar_chunks, "_LENGTH", length)
    made = scalar_graph(seed, size, NATIVE, COMMON, with_gradient=True)
    plan = make_plan(made.graph)
    first, second = (function_of(plan, name, monkeypatch)(*made.values) for name in PROGRAMS)
    assert_same_bits(first, second)


@pytest.mark.parametrize("strategy", PROGRAMS)
@pytest.mark.parametrize(("seed", "size"), [(1, 1000), (2, 3000), (3, 10_000)])
def test_programs_have_the_bits_of_numpy(
    seed: int, size: int, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where NumPy rounds as IEEE 754 says."""
    made = scalar_graph(seed, size, EXACT)
    plan = make_plan(made.graph)
    want = numpy_program(plan)(made.values)
    function = function_of(plan, strategy, monkeypatch)
    for _ in range(3):
        assert_same_bits(function(*made.values), want)


POWERS = {
    "square": lambda x: x**2.0, "root": lambda x: x**0.5, "inverse": lambda x: x**-1.0,
    "power of 2": lambda x: 2.0**x, "logarithm": lambda x: sm.log2(2.0**x),
    "single": lambda x: sm.exp(x.astype("float32")) ** 2.0,
}  # fmt: skip


@pytest.mark.parametrize("form", POWERS.values(), ids=POWERS)
def test_constants_do_not_change_the_bits(
    form: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLVM would take x² for pow(x, 2) where it sees the 2."""
    x = sm.Variable("x", shape=())
    plan = make_plan(sm.Graph([form(x)], [x]))
    functions = [function_of(plan, name, monkeypatch) for name in STRATEGIES]
    points = [*np.random.default_rng(0).uniform(0.01, 5, 3000).tolist(), 0.0, -0.0, np.inf, -1.5]
    for point in points:
        want, *others = (function(point) for function in functions)
        for got in others:
            assert_same_bits(got, want)


def mixed(x: Any, n: Any) -> list[Any]:
    """Return values of which some have no native code, among others that have."""
    y = sm.sin(x)
    for _ in range(5):
        y = sm.erfinv(y / 2) + sm.digamma(y + 3) * y
    return [y, n**n + 1, (y * 2).astype("float16"), sm.cos(y)]


def test_numpy_computes_what_has_no_native_code() -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    f = sm.compile([x, n], mixed(x, n), backend="native")
    reference = sm.compile([x, n], mixed(x, n), backend="numpy")
    for _ in range(3):
        got, want = f(0.7, 3), reference(0.7, 3)
        np.testing.assert_allclose(got, want, rtol=1e-13)
        assert list(map(type, got)) == list(map(type, want))
    assert type(type(f).__call__) is type(len)
    lines = [line for line in str(f.plan).splitlines() if "by NumPy" in line]
    assert len(lines) == 5 + 5 + 1 + 1
    assert all("erfinv" in s or "digamma" in s or "power" in s or "cast" in s for s in lines)
    assert "by NumPy" not in str(sm.compile([x], sm.sin(x), backend="native").plan)


def test_errors_of_numpy_name_the_node() -> None:
    n = sm.Variable("n", shape=(), dtype="int64")
    f = sm.compile([n], {"power": n**n, "more": [sm.digamma(n * 1.0)]}, backend="native")
    for _ in range(3):
        assert f(3)["power"] == 27
        with pytest.raises(EvaluationError, match="power.*negative integer powers"):
            f(-2)


def test_programs_may_run_inside_each_other() -> None:
    """NumPy's part runs Python, which may call the function again, in this thread or another."""
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(12_000):
        y = sm.sin(y) * 0.5 + x
    y = sm.digamma(y)
    plan = make_plan(sm.Graph([y, y + x], [x]))
    inner: list[Any] = []
    program = scalar_program(plan, False)
    kernel = program.by_numpy[0]._kernel

    def call_again(value: Any) -> Any:
        if len(inner) < 3:
            place = len(inner)
            inner.append(None)
            inner[place] = function(2.0)
        return kernel(value)

    program.by_numpy[0]._kernel = call_again
    function = program_function(plan, program, [y, y], refuse, "f")
    first = function(1.0)
    assert first != inner[0] and inner[0] == inner[1] == inner[2]
    assert function(1.0) == first and function(2.0) == inner[0]


@pytest.mark.parametrize("steps", [200, 12_000])
def test_threads_agree_on_programs(steps: int) -> None:
    """Long programs let other threads run."""
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(steps):
        y = sm.sin(y) * 0.5 + x
    plan = make_plan(sm.Graph([y, y + x], [x]))
    function = program_function(plan, scalar_program(plan, False), [y, y], refuse, "f")
    want = [function(float(k)) for k in range(4)]
    wrong: list[Any] = []

    def work(k: int) -> None:
        wrong.extend(got for got in (function(float(k)) for _ in range(50)) if got != want[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def chain(steps: int) -> tuple[list[Any], list[Any]]:
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(steps):
        y = 0.5 * sm.sin(y) * y + 0.3 * y
    return [x], [y, sm.gradients(y, x)]


@pytest.mark.parametrize("make", [chunked_program, scalar_program])
def test_work_grows_as_the_graph(make: Any) -> None:
    """Bytes of code, slots and instructions: four times the graph, four times the work."""
    sizes = []
    for steps in (100, 400):
        inputs, outputs = chain(steps)
        program = make(make_plan(sm.Graph(outputs, inputs)), False)
        code = sum(len(item.module.memory) for item in program.owners)
        sizes.append((program.words.nbytes + code, program.slots, program.instructions))
    for small, large in zip(*sizes, strict=True):
        assert large <= 4.1 * small
    assert sizes[1][0] <= 40 * sizes[1][2]  # bytes an instruction


@pytest.mark.parametrize("make", [chunked_program, scalar_program])
def test_slots_are_used_again(make: Any) -> None:
    """There are as many as values are needed at once, besides inputs and constants."""
    exact = ("add", "subtract", "multiply", "sqrt", "sin")
    for graph in (sm.Graph(chain(100)[1]), scalar_graph(1, 1000, exact, COMMON[:1]).graph):
        plan = make_plan(graph)
        assert plan.lower_bound is not None
        given = len(plan.inputs) + len(plan.constants) + 1
        assert 8 * make(plan, False).slots <= plan.lower_bound + 8 * given


def test_operations_become_pairs() -> None:
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    forms = [x * y + x, x - x * y, x * y - x, (x / y) / x, x / (x + y), (x + y) * y]
    for form in forms:
        program = scalar_program(make_plan(sm.Graph([form], [x, y])), False)
        assert program.instructions == 1 and len(program.words) == 5 + 1
    t = x * y
    for outputs in ([t, t + x], [t * t], [t + x, t - x], [sm.sin(x) + y]):  # not only used once
        program = scalar_program(make_plan(sm.Graph(outputs, [x, y])), False)
        assert program.instructions == len(program.words[:-1]) // 4 + (len(program.words) % 4 == 0)


def test_which_plans_are_regular() -> None:
    """Loops written out, also if several follow each other; not graphs without any order."""
    x = sm.Variable("x", shape=())
    other = x
    for k in range(300):
        other = other * 0.5 + x if k % 3 else sm.cos(other) - x
    assert is_regular(make_plan(sm.Graph([*chain(200)[1], other])))
    for seed in range(3):
        assert not is_regular(make_plan(scalar_graph(seed, 2000, EXACT).graph))
        assert not is_regular(make_plan(scalar_graph(seed, 2000, ("add", "multiply")).graph))
    assert is_regular(make_plan(sm.Graph([x])))


def test_plans_without_order_are_chunks_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for make in (chunked_program, scalar_program):
        name = make.__name__
        monkeypatch.setattr(
            f"{make.__module__}.{name}",
            lambda *given, name=name, make=make: (called.append(name), make(*given))[1],
        )
    monkeypatch.setattr(scalar_function, "MOST_CHUNKED", 1000)
    irregular = scalar_graph(1, 1500, EXACT).graph
    for most, graph in ((10**6, sm.Graph(chain(200)[1])), (10**6, irregular), (1000, irregular)):
        monkeypatch.setattr(scalar_function, "MOST_IRREGULAR", most)
        plan = make_plan(graph)
        assert ScalarFunctions(plan, False).function(list(graph.outputs), refuse, "f")
    assert called == ["scalar_program", "chunked_program", "scalar_program"]
    monkeypatch.setattr(scalar_function, "MOST_CHUNKED", len(plan.instructions))
    assert ScalarFunctions(plan, False).function(list(graph.outputs), refuse, "f")
    assert called[3:] == ["chunked_program"]


def test_short_operations_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lines stand where they are used; a call costs more than one of them."""
    made: dict[str, Any] = {}
    original = scalar_chunks._template_of

    def template_of(operation: Any) -> Any:
        made[operation.op.name] = found = original(operation)
        return found

    monkeypatch.setattr(scalar_chunks, "_template_of", template_of)
    monkeypatch.setattr(scalar_chunks, "_templates", type(scalar_chunks._templates)(512))
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    chunked_program(make_plan(sm.Graph([sm.special.gammaln(x) + x * y])), False)
    assert {name: template.lines is not None for name, template in made.items()} == {
        "add": True, "multiply": True, "gammaln": False
    }  # fmt: skip


def test_structures_of_many_results() -> None:
    xs = [sm.Variable(f"x{k}", shape=()) for k in range(100)]
    outputs = {
        "all": [x * 2 for x in xs], "flags": tuple(x > 50 for x in xs),
        "last": {7: [xs[-1] + 1, []], (1, 2): {}}, "count": xs[0].astype("int32"),
    }  # fmt: skip
    f = sm.compile(xs, outputs, backend="native")
    for _ in range(3):
        got = f(*range(100))
        assert got == {
            "all": [2 * k for k in range(100)], "flags": tuple(k > 50 for k in range(100)),
            "last": {7: [100, []], (1, 2): {}}, "count": 0,
        }  # fmt: skip
        assert type(got["count"]) is np.int32 and type(got["flags"][0]) is np.bool_
    assert type(type(f).__call__) is type(len)


@pytest.mark.parametrize("strategy", PROGRAMS)
def test_large_scalar_functions_do_all_that_others_do(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_strategy(strategy, monkeypatch)
    inputs, outputs = chain(200)
    f = sm.compile(inputs, outputs, backend="native", name="chain")
    g = pickle.loads(pickle.dumps(f))
    want = f(0.3)
    assert g(0.3) == want == f(np.float64(0.3)) == f(x=0.3)
    assert len(f.plan.instructions) > MOST_INSTRUCTIONS and f.plan.memory is not None
    assert f.specialised().program.profile([0.3])
    namespace: dict[str, Any] = {}
    exec(f.source, namespace)
    np.testing.assert_allclose(namespace["chain"](np.float64(0.3)), want, rtol=1e-9)
