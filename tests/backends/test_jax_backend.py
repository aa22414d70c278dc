"""The backend "jax": every op gives what NumPy gives, on JAX's devices, and JAX stays as it was.

``SYMAD_JAX_CASES=1`` computes all cases of the op table; by default, XLA compiles every tenth.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import (
    EvaluationError,
    ExportError,
    FeedError,
    GraphTypeError,
    MissingExtraError,
    SymadError,
)
from symad.graph.nested import leaves
from tests.export.test_to_jax import LACKING, is_compared
from tests.ops.test_op_table import CASES
from tests.support import op_checks as checks
from tests.support.op_checks import Case

jax: Any = pytest.importorskip("jax")

EACH = int(os.environ.get("SYMAD_JAX_CASES", "10"))
BATCH = 40

CHOSEN = list(filter(is_compared, CASES[7::EACH] if EACH > 1 else CASES))


def compiled(inputs: Any, outputs: Any, **options: Any) -> sm.Function:
    return sm.compile(inputs, outputs, backend="jax", **options)


# Every op


@pytest.mark.parametrize("first", range(0, len(CHOSEN), BATCH))
def test_every_op_is_computed(first: int) -> None:
    """Many in one function, which XLA compiles faster."""
    cases = CHOSEN[first : first + BATCH]
    built = [checks.build(case) for case in cases]
    inputs = [list(sample.inputs) for sample in built]
    outputs = [list(sample.outputs) for sample in built]
    arrays = [list(sample.arrays) for sample in built]
    want = sm.compile(inputs, outputs, backend="numpy")(*arrays)
    found = compiled(inputs, outputs)(*arrays)
    for case, a, b in zip(cases, want, found, strict=True):
        assert_same(case, a, b)


def assert_same(case: Case, want: Any, found: Any) -> None:
    for a, b in zip(leaves(want), leaves(found), strict=True):
        assert (type(b), np.shape(b)) == (type(a), np.shape(a)), case.id
        if a is not None:
            assert b.dtype == a.dtype, case.id
            np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9, err_msg=case.id)


def test_what_jax_lacks_is_an_error_of_compile() -> None:
    case = next(case for case in CASES if case.op_class.name in LACKING)
    built = checks.build(case)
    with pytest.raises(ExportError, match="cannot be computed in JAX") as error:
        compiled(list(built.inputs), list(built.outputs))
    assert "made at" in str(error.value)


# Functions


@pytest.fixture(autouse=True, params=[False])
def double_precision(request: Any) -> Any:
    """JAX has 32 bits, unless a test asks for another setting of the user's."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param)
    yield request.param
    assert jax.config.jax_enable_x64 is request.param
    jax.config.update("jax_enable_x64", before)


def test_results_are_numpys_of_the_dtypes_of_the_graph() -> None:
    x, k = sm.Variable("x", shape=("n",)), sm.Variable("k", shape=(), dtype="int16")
    outputs = {"z": sm.sum(x), "a": [x + 1, (x > 0, sm.argmax(x), k * 2)], "x": x, "again": x}
    f = compiled([x, k], outputs)
    given = np.array([0.5, 3.0])
    for _ in range(2):
        found = f(given, 4)
        assert list(found) == ["z", "a", "x", "again"] and found["z"] == 3.5
        assert isinstance(found["z"], np.float64)
        above, (mask, place, double) = found["a"]
        assert [v.dtype for v in (above, mask, place, double)] == ["f8", "?", "i8", "i2"]
        arrays = [above, mask, found["x"], found["again"]]
        assert all(type(v) is np.ndarray and v.flags.writeable for v in arrays)
        for v in arrays:
            v[:] = 0  # nobody else's memory
    np.testing.assert_array_equal(given, [0.5, 3.0])


def test_jax_of_others_stays_as_it_is() -> None:
    """Single precision in the same process, before, between and after calls, and in a jit."""
    x = sm.Variable("x", shape=("n",))
    f = compiled([x], sm.sum(sm.exp(x)))
    theirs = jax.jit(lambda v: jax.numpy.sum(jax.numpy.exp(v)))

    def check() -> None:
        assert theirs(np.ones(3)).dtype == "float32"
        assert jax.numpy.arange(3).dtype == "int32" and jax.numpy.ones(2).dtype == "float32"

    check()
    assert f(np.ones(3)) == pytest.approx(3 * np.e, rel=1e-15)
    check()
    assert f(np.ones(5)) == pytest.approx(5 * np.e, rel=1e-15)
    check()
    with pytest.raises(FeedError):
        f("text")
    check()


@pytest.mark.parametrize("double_precision", [True], indirect=True)
def test_users_may_have_64_bits() -> None:
    x = sm.Variable("x", shape=("n",), dtype="float32")
    f = compiled([x], [x * 2, sm.argmax(x)])
    assert [v.dtype for v in f(np.ones(3, "f4"))] == ["f4", "i8"]
    assert jax.numpy.ones(2).dtype == "float64"


def trained(backend: str) -> tuple[Any, list[Any]]:
    """Return the losses of some steps with momentum, and the parameters after them."""
    rng = np.random.default_rng(1)
    x, t = sm.Variable("x", shape=("batch", 4)), sm.Variable("t", shape=("batch",))
    w, b = sm.parameter("w", rng.normal(size=4)), sm.parameter("b", 0.0)
    speed, count = sm.parameter("speed", np.zeros(4)), sm.parameter("count", 0)
    loss = sm.mean((sm.tanh(x @ w + b) - t) ** 2)
    dw, db = sm.gradients(loss, [w, b])
    updates = {w: w - 0.1 * (0.9 * speed + dw), speed: 0.9 * speed + dw, b: b - 0.1 * db,
               count: count + 1}  # fmt: skip
    step = sm.compile([x, t], loss, updates=updates, backend=backend)
    losses = [step(rng.normal(size=(n, 4)), rng.normal(size=n)) for n in (3, 3, 5)]
    return losses, [p.value for p in (w, b, speed, count)]


def test_parameters_and_updates() -> None:
    (losses, state), (others, wanted) = trained("jax"), trained("numpy")
    np.testing.assert_allclose(losses, others, rtol=1e-12)
    for a, b in zip(state, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert state[3] == 3


def test_large_parameters_stay_where_they_are() -> None:
    """What is assigned, updated elsewhere or updated here is seen; values that were read stay."""
    x = sm.Variable("x", shape=())
    w = sm.parameter("w", np.zeros((100, 100)))
    step = compiled([x], [sm.sum(w), w], updates={w: w + x})
    other = sm.compile([x], [], updates={w: w + x}, backend="numpy")
    total = compiled([], sm.sum(w))
    kept = []
    for change in (1.0, 2.0):
        step(change)
        other(10.0)
        kept.append((w.value, w.value.sum(), total()))
        w.value = w.value + 100.0
        kept.append((w.value, w.value.sum(), total()))
        found, copy = step(0.5)
        assert found == kept[-1][1]
        copy[:] = np.nan  # the caller's own
        kept.append((w.value, w.value.sum(), total()))
    for value, before, computed in kept:
        assert value.sum() == before == computed


def test_a_new_value_is_nobody_elses_memory() -> None:
    """Also if it is an argument, another parameter, or an output as well."""
    x = sm.Variable("x", shape=(100, 100))
    v, w = (sm.parameter(name, np.zeros((100, 100))) for name in "vw")
    step = compiled([x], [w, x + 1, w + x], updates={w: x, v: w + x})
    given = [np.full((100, 100), float(k)) for k in range(4)]
    for k, array in enumerate(given):
        old, later, total = step(array)
        wanted = max(k - 1, 0)
        assert old[0, 0] == wanted and later[0, 0] == k + 1 and total[0, 0] == wanted + k
        for result in (array, old, later, total):
            result[:] = np.nan
        assert w.value[0, 0] == k and v.value[0, 0] == wanted + k
    for transposed in (False, True):
        numbers = np.arange(10_000.0).reshape(100, 100)
        w.value = numbers.T if transposed else numbers
        assert step(given[0])[0][1, 0] == (1 if transposed else 100)


def test_masks_are_no_constants_of_programs() -> None:
    """Those of a Hessian with few diagonals, which XLA would read from memory."""
    x = sm.Variable("x", shape=(300,))
    f = compiled([x], sm.hessian(sm.sum(x[1:] * x[:-1] ** 2), x))
    f(np.ones(300))
    text = f.specialised().program.compiled.lower(np.ones(300)).as_text()
    assert "tensor<300x300xi1>" in text and not re.search(r"dense<.*tensor<300x300x", text)


def test_arguments_and_results_are_structures() -> None:
    x, y, n = (sm.Variable(name, shape=("n",)) for name in "xyn")
    both = sm.map_over(lambda a, b: {"z": a * b, 1: a + b}, [x, y])
    f = compiled([{"y": y, 2: [x]}, n], {"m": both, "n": n})
    found = f({"y": [1.0, 2.0], 2: [[3.0, 4.0]]}, [0.0, 0.0])
    assert list(found) == ["m", "n"] and list(found["m"]) == ["z", 1]
    np.testing.assert_array_equal(found["m"]["z"], [3.0, 8.0])


def test_sizes_are_constants_of_programs() -> None:
    n, x = sm.Variable("n", shape=(), dtype="int64"), sm.Variable("x", shape=("m",))
    total = sm.sum(sm.arange(n) * x[0]) + sm.sum(sm.reshape(x, (2, -1))[0])
    last, _ = sm.scan(lambda c, _: (c * 1.5, None), x[0], length=n)
    f, g = (sm.compile([n, x], [total, last], backend=b) for b in ("jax", "numpy"))
    for size in (*range(70), 3):  # more than a function keeps
        a, b = f(size, [2.0, 3.0]), g(size, [2.0, 3.0])
        np.testing.assert_allclose(a, b)
        if size == 5:
            break
    assert "arange(5)" in str(f.plan) or "constant 5" in str(f.plan)


def test_programs_for_more_sizes_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symad.runtime.function._CACHED_PROGRAMS", 2)
    n = sm.Variable("n", shape=(), dtype="int64")
    f = compiled([n], sm.sum(sm.arange(n)))
    assert [f(k) for k in (1, 2, 3, 4, 1)] == [0, 1, 3, 6, 0]


def test_a_size_that_depends_on_values_is_an_error() -> None:
    x = sm.Variable("x", shape=("n",), dtype="int64")
    f = compiled([x], sm.sum(sm.arange(sm.sum(x * x))))
    assert f([1, 2]) == 10  # of a few numbers, it is compiled for each
    with pytest.raises(ExportError, match="its shapes are static"):
        f([1] * 9)


def failing() -> list[tuple[str, Any, Any, list[Any], list[Any]]]:
    """Return functions with arguments for which they have values, and others that are errors."""
    x, a = sm.Variable("x", shape=(3,)), sm.Variable("a", shape=(2, 2))
    i, k = sm.Variable("i", shape=(2,), dtype="int64"), sm.Variable("k", shape=(), dtype="uint8")
    row, b = sm.Variable("row", shape=(4, 3)), sm.Variable("b", shape=(2,))
    picked = sm.map_over(lambda j: sm.sum(x[j] ** 2), [i])
    steps = sm.scan(lambda c, j: (c + x[j], None), 0.0, i)[0]
    either = sm.cond(k > 1, lambda: x[k], lambda: 0.0)
    halving = sm.while_loop(lambda c: c > 1.0, lambda c: c / 2, x[0], max_steps=5)
    inner = sm.while_loop(lambda c: c < 9, lambda c: c + i[c], 1)
    good, ones = np.arange(3.0), np.ones(3)
    return [
        ("index 7 is out of bounds", [x, k], x[k], [good, 2], [good, 7]),
        ("index -4 is out of bounds", [x, i], x[i], [good, [-3, 2]], [good, [-4, 2]]),
        ("out of", [x, i], sm.gradients(sm.sum(x[i] ** 2), x), [ones, [0, 0]], [ones, [0, 3]]),
        ("index 5 is", [row, i], row[:, None, i, ...], [row_of(4), [0, 2]], [row_of(4), [0, 5]]),
        ("index 3 is", [x, i], sm.set_at(x, i, 5.0), [ones, [0, 2]], [ones, [3, 0]]),
        ("index", [x, i], sm.take_along_axis(x, i), [ones, [0, 2]], [ones, [0, 3]]),
        ("index 4 is", [x, i], picked, [ones, [0, 2]], [ones, [0, 4]]),
        ("index 4 is", [x, i], steps, [ones, [0, 2]], [ones, [0, 4]]),
        ("index 3 is", [x, k], either, [ones, 0], [ones, 3]),
        ("index", [i], inner, [[8, 8]], [[1, 1]]),
        ("did not end within max_steps=5", [x], halving, [ones], [99 * ones]),
        ("2, and there are 2 branches", [x, k], sm.switch(k, [lambda: x, lambda: -x]), [ones, 1],
         [ones, 2]),
        ("[Ss]ingular", [a], sm.linalg.inv(a), [np.eye(2)], [np.ones((2, 2))]),
        ("positive definite", [a], sm.linalg.cholesky(a), [np.eye(2)], [-np.eye(2)]),
        ("[Ss]ingular", [a, b], sm.linalg.solve(a, b), [np.eye(2), ones[:2]],
         [np.zeros((2, 2)), ones[:2]]),
        ("negative integer power", [i], i**i, [[0, 2]], [[2, -1]]),
    ]  # fmt: skip


def row_of(count: int) -> np.ndarray:
    return np.arange(3.0 * count).reshape(count, 3)


def test_errors_of_values_are_numpys() -> None:
    for message, inputs, outputs, good, bad in failing():
        f, g = compiled(inputs, outputs), sm.compile(inputs, outputs, backend="numpy")
        np.testing.assert_allclose(f(*good), g(*good))
        with pytest.raises(EvaluationError, match=message) as error:
            f(*bad)
        assert "test_jax_backend.py" in str(error.value), message


def test_a_choice_may_discard_a_failure() -> None:
    a = sm.Variable("a", shape=(2, 2))
    y = sm.where(a[0, 0] > 0, sm.sum(sm.linalg.inv(a)), -1.0)
    assert compiled([a], y)(np.zeros((2, 2))) == -1.0


def test_a_program_is_compiled_once_for_all_forms_of_arguments() -> None:
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=(2,))
    f = compiled([x, y], [x * y])
    rows = np.ones(2), [1.0, 1.0], np.ones(2, "f4"), np.ones(4)[::2], np.ones(2, int)
    for row in rows:
        for number in (2.0, np.float64(2.0), 2, np.float32(2.0), np.array(2.0)):
            assert f(number, row)[0].tolist() == f(x=number, y=row)[0].tolist() == [2.0, 2.0]
    assert f.specialised().program.compiled._cache_size() == 1  # type: ignore[attr-defined]


def test_large_results_are_nobody_elses() -> None:
    x = sm.Variable("x", shape=("n",))
    large = np.ones(20_000)
    outputs = [x * 2, x * 2, x, sm.reshape(x, (2, -1)), sm.zeros(20_000) + 1, x + sm.ones(20_000)]
    f = compiled([x], outputs)
    first = f(large)
    wanted = [np.array(a) for a in first]
    for array in first:
        array *= 7
    for a, b in zip(f(large), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(large, 1)
    for k, array in enumerate(first):
        assert array.flags.writeable and not np.may_share_memory(array, large)
        assert not any(np.may_share_memory(array, other) for other in first[:k])


# What is done with functions


def example() -> tuple[sm.Function, Any]:
    x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", [0.5, 2.0])
    y = sm.sum(sm.log(x * w))
    return compiled([x], [y, sm.gradients(y, x)], device="cpu", name="logs"), [1.0, 3.0]


def test_functions_are_pickled_and_saved(tmp_path: Any) -> None:
    f, x = example()
    sm.save(f, tmp_path / "f.symad")
    for again in (pickle.loads(pickle.dumps(f)), sm.load(tmp_path / "f.symad")):
        assert (str(again.settings.backend), again.settings.device) == ("jax", "cpu")
        np.testing.assert_array_equal(again(x)[1], f(x)[1])
    other = sm.load(tmp_path / "f.symad", backend="numpy")
    assert other.settings.device == "" and other(x)[0] == pytest.approx(f(x)[0])


def test_reports() -> None:
    f, x = example()
    before = str(f.plan)
    value, slope = f(x)
    assert "log(v3)" in before.replace("log(v₃)", "log(v3)") and "f64[2]" in str(f.plan)
    assert {r.name: r.nodes_after for r in f.passes.reports}["rewrite"] == len(f.passes.final)
    profile = sm.profile(f, x, runs=2)
    computed = [step.node for step in f.plan.instructions]
    assert {t.node for t in profile.timings} == set(computed)
    assert "x" in str(sm.memory(f, x)) and f.trade is None
    place = np.zeros(2)
    kept = f(x, out=[None, place])
    assert kept[1] is place and kept[0] == value
    np.testing.assert_array_equal(place, slope)
    assert "NaN" in str(sm.find_nan(f, [-1.0, 1.0])) or sm.find_nan(f, [-1.0, 1.0])
    assert sm.Executor(f.outputs, backend="jax").run({f.inputs[0]: x})[0] == value


def test_missing_jax_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sm.Variable("x")
    monkeypatch.setattr("symad.backends.xla.translations.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install jax"):
        compiled([x], x + 1)


# Devices


def test_devices_that_are_not_there() -> None:
    x = sm.Variable("x", shape=("batch", 2))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"device": "tpu"}, "no device 'tpu'; it has cpu:0"),
        ({"device": "cpu:99"}, "no device 'cpu:99'"),
        ({"device": "cpu:first"}, "no device"),
        ({"device": 3}, "not the name"),
        ({"mesh": {"batch": 64}}, "JAX has no 64 devices.*\n.*device_count=64"),
        ({"mesh": {"bacth": 1}}, "dimension 'bacth'. Did you mean 'batch'"),
        ({"mesh": {"batch": 0}}, "numbers of devices"),
    ]
    for options, message in cases:
        with pytest.raises(GraphTypeError, match=message):
            compiled([x], x + 1, **options)
    for backend in ("numpy", "native"):
        with pytest.raises(GraphTypeError, match="takes no device or mesh"):
            sm.compile([x], x + 1, backend=backend, device="cpu")


MESH = '''
import re
import jax, numpy as np, symad as sm

x, labels = sm.Variable("x", shape=("batch", 6)), sm.Variable("t", shape=("batch",), dtype="int64")
rng = np.random.default_rng(0)
w1, w2 = sm.parameter("w1", rng.normal(size=(6, 8))), sm.parameter("w2", rng.normal(size=(8, 3)))
scores = sm.tanh(x @ w1) @ w2
target = sm.Variable("target", shape=("batch", 3))
loss = sm.mean(sm.sum((scores - target) ** 2, 1))
slopes = sm.gradients(loss, [w1, w2])
updates = {w: w - 0.1 * slope for w, slope in zip((w1, w2), slopes)}

data, targets = rng.normal(size=(16, 6)), rng.normal(size=(16, 3))
numbers = rng.integers(3, size=16)
want = sm.compile([x, target], [loss, *slopes, scores], backend="numpy")(data, targets)
f = sm.compile([x, target], [loss, *slopes, scores], backend="jax", mesh={"batch": 4})
for a, b in zip(want, f(data, targets)):
    np.testing.assert_allclose(b, a, rtol=1e-12)
text = f.specialised().program.lowered().compile().as_text()
print("all-reduce", len(re.findall(r"= [^=]* all-reduce(?:-start)?\\(", text)),
      "all-gather", len(re.findall(r" all-gather(?:-start)?\\(", text)))

step = sm.compile([x, target], loss, updates=updates, backend="jax", mesh={"batch": 4})
assert step(data, targets) > step(data, targets)

picked = sm.mean(sm.logsumexp(scores, 1) - sm.take_along_axis(scores, labels[:, None], 1)[:, 0])
g = sm.compile([x, labels], [picked, *sm.gradients(picked, [w1, w2])], backend="jax",
               mesh={"batch": 2})
h = sm.compile([x, labels], [picked, *sm.gradients(picked, [w1, w2])], backend="numpy")
for a, b in zip(h(data, numbers), g(data, numbers)):
    np.testing.assert_allclose(b, a, rtol=1e-12)
try:
    f(data[:10], targets[:10])
except sm.errors.FeedError as error:
    print(error.message)
one = sm.compile([x], x * 2, backend="jax", device="cpu:3")
assert one(data).shape == data.shape
print(one.specialised().program.compiled(data)[0][0].devices())
'''


def test_a_data_parallel_gradient_is_one_all_reduce() -> None:
    flags = "--xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", MESH], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "all-reduce 1 all-gather 0" in run.stdout
    assert "dimension 'batch' is 10 in 'x', and 4 devices cannot share it equally" in run.stdout
    assert "CpuDevice(id=3)" in run.stdout


def test_the_rules_that_are_left_out_exist() -> None:
    from symad.backends.select import BACKENDS
    from symad.passes.rules import all_rules

    known = {rule.name for rule in all_rules()}
    assert all(backend.unwanted_rules <= known for backend in BACKENDS.values())


@pytest.mark.parametrize("function", [sm.special.beta, sm.special.binom, sm.special.poch])
def test_functions_of_gamma_functions_have_their_signs(function: Any) -> None:
    """Their logarithms do not tell them."""
    points = np.array([-3.61, -2.23, -1.52, -0.37, 0.83, 1.71, 4.2])
    a, b = (grid.ravel() for grid in np.meshgrid(points, points))
    x, y = (sm.Variable(name, shape=a.shape) for name in "xy")
    found, wanted = (
        sm.compile([x, y], function(x, y), backend=backend)(a, b) for backend in ("jax", "numpy")
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("function", [sm.set_at, sm.add_at])
@pytest.mark.parametrize("index", [1, [2, 0]])
def test_what_is_written_has_the_dtype_of_the_array(function: Any, index: Any) -> None:
    """JAX will refuse to convert it."""
    x, v = sm.Variable("x", (3,), "float32"), sm.Variable("v", (), "float64")
    found, wanted = (
        sm.compile([x, v], function(x, index, v), backend=backend)(np.ones(3, "float32"), 0.1)
        for backend in ("jax", "numpy")
    )
    np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_derivatives_of_sinc_keep_their_digits_near_zero(dtype: str) -> None:
    at = np.array([0.0, 1e-8, -1e-5, 5e-4, 0.02, 0.29, -0.31, 1.0, 2.3], dtype)
    x = sm.Variable("x", at.shape, dtype)
    first = sm.gradients(sm.sum(sm.sinc(x)), x)
    outputs = [first, sm.gradients(sm.sum(first), x)]
    found, wanted = (sm.compile([x], outputs, backend=name)(at) for name in ("jax", "numpy"))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12 if dtype == "float64" else 1e-5, atol=0)


def test_structures_of_numbers_stay_structures() -> None:
    x, k = sm.Variable("x", ()), sm.Variable("k", (), "int64")
    nested = sm.structure({"all": [sm.sin(x), k], "first": x})
    for outputs in ([nested], [x, nested], [nested, k, sm.structure((x, k))]):
        want = sm.compile([x, k], outputs, backend="numpy")(0.5, 2)
        assert str(sm.compile([x, k], outputs, backend="jax")(0.5, 2)) == str(want)


def test_softplus_keeps_its_digits_in_the_tail() -> None:
    """XLA brackets sums anew: log(1 + e) cannot be mended by what 1 + e has lost."""
    for dtype in ("float32", "float64"):
        x = sm.Variable("x", dtype=dtype)
        f = sm.compile([x], [sm.softplus(x), sm.softplus(sm.reciprocal(x) * -1)], backend="jax")
        tail = np.linspace(-80, -10, 71).astype(dtype)
        for found, values in zip(f(tail), (tail, -1 / tail), strict=True):
            want = np.logaddexp(0, values.astype("float64"))
            np.testing.assert_allclose(found, want, rtol=4e-6 if dtype == "float32" else 1e-14)


def test_slopes_of_softplus_keep_their_digits() -> None:
    x = sm.Variable("x", (None,))
    first = sm.gradients(sm.sum(sm.softplus(x)), x)
    at = np.array([-700.0, -30, -1e-9, 0, 1e-9, 3, 40, np.inf, -np.inf, np.nan])
    outputs = [sm.softplus(x), first]
    found, wanted = (sm.compile([x], outputs, backend=name)(at) for name in ("jax", "numpy"))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=0)
    f = sm.to_jax(sm.compile([x], outputs[0]))
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.grad(lambda x: f(x).sum())(at), wanted[1], rtol=1e-14)


DTYPES = ("float64", "float32", "float16", "int64", "int8", "bool")


@pytest.mark.parametrize("seed", range(6))
def test_small_results_that_come_as_one_array(seed: int) -> None:
    """They have their own dtypes, shapes and memory, beside large ones, constants and numbers."""
    rng = np.random.default_rng(seed)
    x, i = sm.Variable("x", (4,)), sm.Variable("i", (), "int64")
    shapes = [(), (), (1,), (0,), (2, 3), (0, 2), (16, 16), (257,), (100, 100)]
    outputs: list[sm.Node] = [sm.constant(2.5), sm.constant(np.ones(3))][: seed % 3]
    for k in rng.integers(len(shapes), size=rng.integers(1, 7)):
        made = sm.broadcast_to(sm.sum(x) + float(k), shapes[k])
        outputs.append(sm.cast(made, str(rng.choice(DTYPES[: 1 + seed]))))
    if seed % 2:
        outputs.append(x[i])
    at = rng.normal(size=4)
    nested = {"all": outputs[1:], "first": outputs[0]}
    f, reference = (sm.compile([x, i], nested, backend=name) for name in ("jax", "numpy"))
    for _ in range(2):
        found, wanted = (list(leaves(g(at, 2))) for g in (f, reference))
        kept = [np.array(a) for a in found]
        for a, b in zip(found, wanted, strict=True):
            assert type(a) is type(b)
            np.testing.assert_allclose(a, b, rtol=1e-3, strict=True)
        for k, a in enumerate(found):
            if isinstance(a, np.ndarray):
                a[...] = 7
                for b, before in zip(found[k + 1 :], kept[k + 1 :], strict=True):
                    np.testing.assert_array_equal(b, before)
    if seed % 2:
        with pytest.raises(EvaluationError, match="out of bounds"):
            f(at, 4)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_series_end_beside_infinities(dtype: str) -> None:
    x = sm.Variable("x", shape=("n",), dtype=dtype)
    row = np.array([-1, 0.5, 3, np.nan, np.inf, 1e-30, 50, -np.inf, 0], dtype)
    ys = [sm.special.exp1(x), *(sm.special.expn(n, x) for n in (0, 1, 2, 3))]
    agree([x], ys, [row])


# Forms of arguments


def test_arguments_in_every_form_give_what_they_give_on_numpy() -> None:
    """Machine code finds the program of a call by shapes; what else must fit is looked at too."""
    x, s = sm.Variable("x", shape=("n",)), sm.Variable("s", shape=())
    i, b = sm.Variable("i", shape=(), dtype="int64"), sm.Variable("b", shape=("n",), dtype="bool")
    w, t = sm.parameter("w", np.zeros(3)), sm.parameter("t", 1.0)
    calls = [
        ([x, s, i, b], [x * s + i, sm.where(b, x, 1)], {}),
        ([x, s, i, b], [x * s + w, t], {w: w + 0 * x, t: t + 0 * s}),
    ]
    row, mask = np.arange(3.0), np.array([True, False, True])
    others: list[list[Any]] = [
        [row.astype(kind) for kind in (">f8", "f4", "f2", "i8", "c16")],
        [2, np.float64(2), np.float32(2), True, np.array(2.0), "a", None, [2.0], np.array([2.0])],
        [np.int64(1), np.int32(1), 1.0, np.array(1), True, 10**30],
        [mask.tolist(), mask.astype(int)],
    ]
    others[0] += [row[::-1], np.arange(6.0)[::2], [1, 2, 3], np.ma.array(row), row[:, None]]
    for inputs, outputs, updates in calls:
        f, g = (sm.compile(inputs, outputs, updates=updates, backend=name)
                for name in ("jax", "numpy"))  # fmt: skip
        for place, values in enumerate(others):
            for value in values:
                given = [row, 2.0, 1, mask]
                given[place] = value
                assert outcome(f, given) == outcome(g, given)


def outcome(f: Any, given: Any) -> Any:
    """Return the bits of the results, or the error."""
    try:
        return [(a.dtype, np.shape(a), a.tobytes()) for a in f(*given)]
    except SymadError as error:
        return type(error), error.message


# Transposes, which go into what uses them


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("stack", [(), (2,)])
def test_products_with_transposes(stack: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(len(stack))
    others = [(4,), *((*stack, 4, columns) for columns in (1, 3, 40)), (4, 0)]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((*stack, 4, 5), *others)]
    a, *ys = [sm.Variable(f"x{k}", x.shape, dtype) for k, x in enumerate(arrays)]
    transposed = sm.matrix_transpose(a)
    products = [transposed @ y for y in ys] + [ys[0] @ sm.matrix_transpose(transposed)]
    mixed = [transposed @ sm.ones((4, 20)), sm.ones(5) @ transposed]
    agree([a, *ys], [*products, *mixed, sm.zeros(0) @ sm.matrix_transpose(ys[-1])], arrays)


@pytest.mark.parametrize(("lower", "stack"), [(True, ()), (False, (2,))])
def test_solutions_with_transposes(lower: bool, stack: tuple[int, ...]) -> None:
    """The matrix, the right side, both or none are transposes; so are those of derivatives."""
    rng = np.random.default_rng(len(stack))
    arrays = [rng.normal(size=shape) for shape in ((*stack, 4, 4), (*stack, 3, 4), (4,))]
    arrays[0] += 4 * np.eye(4)
    a, b, c = (sm.Variable(f"x{k}", x.shape) for k, x in enumerate(arrays))
    matrices, sides = (a, sm.matrix_transpose(a)), (sm.matrix_transpose(b), sm.ones((4, 2)), c)
    facts = {"lower": lower, "unit_diagonal": not lower}
    found = [sm.linalg.solve_triangular(m, s, **facts) for m in matrices for s in sides]
    agree([a, b, c], [*found, *sm.gradients(sum(map(sm.sum, found)), [a, b, c])], arrays)


def test_slopes_of_softmax_of_extreme_numbers() -> None:
    x = sm.Variable("x", shape=("n", 3))
    y = sm.softmax(x)
    slopes = sm.gradients(sm.sum(y * sm.constant([1.0, 2.0, 5.0])), x)
    rows = [[60.0, 0, 0], [1.0, 1, 1], [-np.inf, 0, 60], [-np.inf] * 3, [np.inf, 0, 0]]
    rows.append([0, 1, np.nan])
    agree([x], [y, slopes], [np.array(rows)], rtol=1e-13)


def agree(inputs: Any, outputs: Any, arrays: Any, rtol: float | None = None) -> None:
    """Both backends return the same, up to rounding."""
    found, wanted = (
        sm.compile(list(inputs), outputs, backend=name)(*arrays) for name in ("jax", "numpy")
    )
    for a, b in zip(found, wanted, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        close = 100 * np.finfo(a.dtype).eps if rtol is None else rtol
        np.testing.assert_allclose(a, b, rtol=close, atol=close if rtol is None else 0)
