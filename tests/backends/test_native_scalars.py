"""Native code for one element against NumPy, and functions of numbers as built-in functions."""

from __future__ import annotations

import ctypes
import gc
import pickle
import sys
import threading
import weakref
from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import FeedError, GraphTypeError
from symad.graph.op import OP_CLASSES
from symad.ops.adjoint import Cast
from symad.ops.base import PerElement
from symad.ops.rounding import Round
from symad.ops.threefry import Threefry
from symad.passes.specialise import specialise
from symad.plan.plan import make_plan
from symad.types import TensorType
from tests.support.per_element import NUMPY_ONLY, arity

pytest.importorskip("llvmlite")

from symad.backends.native import ir, scalar_entry, scalar_function  # noqa: E402
from symad.backends.native.jit import Latest, compile_module, vector_unit  # noqa: E402
from symad.backends.native.scalar_builder import (  # noqa: E402
    LLVMScalarBuilder,
    Scalar,
    element,
    llvm_type,
)
from symad.backends.native.scalar_function import native_function  # noqa: E402
from symad.backends.native.vector_math import LARGEST_ANGLE  # noqa: E402
from symad.backends.numpy import numpy_program  # noqa: E402

BYTE, LONG = ir.IntType(8), ir.IntType(64)

DTYPES = [np.dtype(name) for name in "f8 f4 f2 i8 i4 i1 u8 u1 ?".split()]

SPECIAL = [
    0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2, -2, 3, 7, -7, 1e-300, -1e-300, 1e-20, 1e20,
    1e16, -1e20, 1e300, -1e300, 710, -745, 88.9, -104, 1000, -1000, np.inf, -np.inf, np.nan, 5e-324,
]  # fmt: skip

WITHOUT_CODE = NUMPY_ONLY | {"digamma"}


# One element, in a loop over arrays


def kernels(op: PerElement, cases: list[Any], lanes: int) -> list[Callable[..., Any]]:
    """Compile ``op`` for each case (dtypes of operands, dtype of the result)."""
    module = ir.Module()
    for number, (dtypes, result) in enumerate(cases):
        write_loop(module, f"kernel{number}", op, dtypes, result, lanes)
    code = compile_module(module)

    def kernel(number: int, result: np.dtype[Any]) -> Callable[..., Any]:
        def run(*arrays: Any) -> Any:
            size = arrays[0].size
            full = -(-size // max(lanes, 1)) * max(lanes, 1)
            arrays = tuple(np.resize(array, full) for array in arrays)
            out = np.empty(full, result)
            pointers = [array.ctypes.data for array in (*arrays, out)]
            types = [ctypes.c_int64, *[ctypes.c_void_p] * len(pointers)]
            function = ctypes.CFUNCTYPE(None, *types)(code.address(f"kernel{number}"))
            function(full, *pointers)
            return out[:size]

        return run

    return [kernel(number, result) for number, (_, result) in enumerate(cases)]


def write_loop(
    module: Any, name: str, op: PerElement, dtypes: Any, result: np.dtype[Any], lanes: int
) -> None:
    pointers = [stored(dtype).as_pointer() for dtype in (*dtypes, result)]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [LONG, *pointers]), name)
    builder = ir.IRBuilder(function.append_basic_block())
    start = builder.block
    head, body, end = (function.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(LONG)
    index.add_incoming(LONG(0), start)
    builder.cbranch(builder.icmp_signed("<", index, function.args[0]), body, end)
    builder.position_at_end(body)
    values = [
        Scalar(load(builder, builder.gep(pointer, [index]), dtype, lanes), dtype)
        for pointer, dtype in zip(function.args[1:], dtypes, strict=False)
    ]
    value = element(LLVMScalarBuilder(builder, lanes), op, values, result).value
    value = builder.zext(value, vector(BYTE, lanes)) if result.kind == "b" else value
    builder.store(value, builder.gep(function.args[-1], [index]), align=result.itemsize)
    index.add_incoming(builder.add(index, LONG(max(lanes, 1))), builder.block)
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret_void()


def stored(dtype: np.dtype[Any]) -> Any:
    return BYTE if dtype.kind == "b" else llvm_type(dtype)


def vector(type_: Any, lanes: int) -> Any:
    return ir.VectorType(type_, lanes) if lanes else type_


def load(builder: Any, pointer: Any, dtype: np.dtype[Any], lanes: int) -> Any:
    value = builder.load(pointer, align=dtype.itemsize, typ=vector(stored(dtype), lanes))
    return builder.trunc(value, vector(ir.IntType(1), lanes)) if dtype.kind == "b" else value


def all_ops() -> list[PerElement]:
    """Return all ops that work per element, with some attributes where they have any."""
    found: list[PerElement] = [Round(0), Round(2), Round(-1)]
    found += [Cast(dtype) for dtype in DTYPES]
    found += map(Threefry, ("first", "second", "mixed", "joined"))
    for name, kind in OP_CLASSES.items():
        if issubclass(kind, PerElement) and not kind._fields and name not in WITHOUT_CODE:
            found.append(kind())
    return found


def operand_dtypes(op: PerElement, dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    first = np.dtype(bool) if op.name == "where" else dtype
    return [first, *[dtype] * (arity(op) - 1)]


@cache
def cases_of(op: PerElement) -> list[Any]:
    """Return the dtypes for which the op exists and has code."""
    cases = []
    for dtype in [np.dtype("u4")] if op.name == "threefry" else DTYPES:
        dtypes = operand_dtypes(op, dtype)
        try:
            result = op.infer(*[TensorType(d, ()) for d in dtypes])
            write_loop(ir.Module(), "probe", op, dtypes, result.dtype, False)
        except (GraphTypeError, NotImplementedError):
            continue
        cases.append((dtypes, result.dtype))
    return cases


def points(dtype: np.dtype[Any], rng: Any) -> Any:
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        spread = [rng.standard_normal(100) * scale for scale in (1, 10, 300)]
        with np.errstate(all="ignore"):
            return np.concatenate([SPECIAL, *spread]).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    edges = np.array([0, 1, 2, 3, 7, high, high - 1, low, low + 1], dtype)
    return np.concatenate([edges, rng.integers(low, high, 50, dtype)])


def draws(op: PerElement, dtypes: Any, result: np.dtype[Any]) -> list[Any]:
    """Return operands: all pairs of points, or as many triples; without what C leaves undefined."""
    rng = np.random.default_rng(7)
    axes = [points(dtype, rng) for dtype in dtypes]
    if len(axes) >= 3:
        return [rng.choice(axis, 20_000) for axis in axes]
    return [np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(*axes)]


def error_in_ulps(op: PerElement, got: Any, want: Any) -> Any:
    """Return how far two arrays are apart, in units of the last place of their scale."""
    if got.dtype.kind != "f":
        return np.where(got == want, 0, np.inf)
    scale = np.maximum(np.abs(got), np.abs(want))
    # These have zeros between numbers of order 1.
    if op.name in ("gammaln", "logaddexp", "power_mixed", "softplus"):
        scale = np.maximum(scale, 1)
    if op.name == "power_slope":  # its power, a factor of the result, may be subnormal
        scale = np.maximum(scale, np.finfo(got.dtype).tiny * 2**10)
    if op.name == "erfc":  # SciPy's loses digits with x², and is 0 where the result is subnormal
        scale = np.maximum(scale, np.finfo(got.dtype).tiny * 2**60)
        scale = scale * (1 - np.log(np.minimum(scale, 1)))
    distance = np.abs(got - want) / np.spacing(scale)
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    other_zero = (got == 0) & (want == 0) & (np.signbit(got) != np.signbit(want))
    ties_in_half = got.dtype == "float16" and op.name in ("maximum", "minimum", "relu")
    if not ties_in_half:  # there NumPy prefers the first, in wider dtypes the second
        equal &= ~other_zero
    return np.where(equal, 0, np.where(np.isfinite(distance) & ~other_zero, distance, np.inf))


@pytest.mark.parametrize("lanes", [0, 8], ids=["scalar", "vector"])
@pytest.mark.parametrize("op", all_ops(), ids=repr)
def test_one_element_is_what_numpy_computes(op: PerElement, lanes: int) -> None:
    cases, allowed = cases_of(op), {"log_cosh": 6, "power_mixed": 24}.get(op.name, 4)
    assert cases
    if lanes:  # integers have no vector functions
        cases = [case for case in cases if case[0][-1] in ("f8", "f4")]
    for (dtypes, result), kernel in zip(cases, kernels(op, cases, lanes), strict=True):
        arrays = draws(op, dtypes, result)
        got = kernel(*arrays)
        with np.errstate(all="ignore"):
            want = np.asarray(op.kernel()(*arrays))
            error = error_in_ulps(op, got, want)
        worst = int(np.argmax(error))
        if op.name == "gammaln" and arrays[0][worst] == 5e-324:  # SciPy's is inf there
            error[arrays[0] == 5e-324] = 0
            worst = int(np.argmax(error))
        at = [array[worst] for array in arrays]
        assert error[worst] <= allowed, f"{dtypes}: {at}: {got[worst]!r}, NumPy has {want[worst]!r}"


def test_vectors_call_the_vector_forms_of_functions() -> None:
    unit, double = vector_unit(), np.dtype("f8")
    if not unit.letter:
        pytest.skip("the C library has no vector functions for this processor")
    lanes = unit.bits // 64
    for count, name in [(0, '@"log1p"'), (lanes, f"_ZGV{unit.letter}N{lanes}v_log1p")]:
        module = ir.Module()
        write_loop(module, "f", OP_CLASSES["log1p"](), [double], double, count)
        assert name in str(module)
        assert ("_ZGV" in str(module)) == bool(count)


@pytest.mark.parametrize("lanes", [8, 16])
def test_exp_of_float32_is_within_one_unit_of_the_exact_one(lanes: int) -> None:
    """With 16 lanes there is an instruction for the power of 2, if it is there at all."""
    single = np.dtype("f4")
    (kernel,) = kernels(OP_CLASSES["exp"](), [([single], single)], lanes)
    rng = np.random.default_rng(0)
    x = rng.uniform(-106, 90, 400_000).astype(single)
    near_zero = (10.0 ** rng.uniform(-45, 0, 50_000)).astype(single)
    limits = np.array([88.72283, 88.72284, -87.33654, -87.33655, -103.97208, -103.97209], single)
    for values in (x, near_zero, -near_zero, limits):
        exact = np.exp(values.astype("longdouble"))
        got = kernel(values)
        with np.errstate(over="ignore"):
            rounded = exact.astype(single)
        np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
        finite = np.isfinite(rounded)
        error = np.abs(got[finite] - exact[finite]) / np.spacing(rounded[finite])
        assert np.max(error) <= 1
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 5e-45], single)
    np.testing.assert_array_equal(kernel(special), [np.nan, np.inf, 0, 1, 1, np.inf, 0, 1])


@pytest.mark.skipif(np.finfo("longdouble").nmant < 60, reason="nothing more exact to compare with")
@pytest.mark.parametrize("function", ["sin", "cos"])
def test_sine_and_cosine_are_within_one_unit_of_the_exact_ones(function: str) -> None:
    double = np.dtype("f8")
    (kernel,) = kernels(OP_CLASSES[function](), [([double], double)], 0)
    rng = np.random.default_rng(0)
    multiples = rng.integers(-166_000, 166_000, 50_000) * np.longdouble("1.5707963267948966192313")
    near = multiples.astype(double)
    x = np.concatenate(
        [rng.uniform(-s, s, 50_000) for s in (1, 4, 1e3, LARGEST_ANGLE)]
        + [near, np.nextafter(near, np.inf), 10 ** rng.uniform(-300, 0, 10_000)]
    )
    exact = getattr(np, function)(x.astype("longdouble"))
    error = np.abs(kernel(x) - exact) / np.spacing(np.abs(exact).astype(double))
    assert np.max(error) <= 1
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324])
    got = kernel(special)
    with np.errstate(invalid="ignore"):
        expected = getattr(np, function)(special)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got[3:]), np.signbit(expected[3:]))
    large = np.array([LARGEST_ANGLE, np.nextafter(LARGEST_ANGLE, 1e9), 1e22, -1.7e308])
    np.testing.assert_allclose(kernel(large), getattr(np, function)(large), rtol=3e-16)


def test_which_ops_have_no_code_for_one_element() -> None:
    elementwise = {n for n, kind in OP_CLASSES.items() if issubclass(kind, PerElement)}
    with_code = {op.name for op in all_ops() if cases_of(op)}
    assert elementwise - with_code == WITHOUT_CODE


def test_operands_of_several_dtypes() -> None:
    half, single, long = np.dtype("f2"), np.dtype("f4"), np.dtype("i8")
    truth = np.dtype(bool)
    for op, dtypes in [
        (OP_CLASSES["add"](), [half, long]),
        (OP_CLASSES["add_n"](), [truth, truth, long]),
        (OP_CLASSES["divide"](), [long, single]),
        (OP_CLASSES["less"](), [long, half]),
        (OP_CLASSES["where"](), [truth, long, single]),
    ]:
        result = op.infer(*[TensorType(d, ()) for d in dtypes]).dtype
        (kernel,) = kernels(op, [(dtypes, result)], 0)
        rng = np.random.default_rng(1)
        arrays = [rng.choice(points(dtype, rng), 2000) for dtype in dtypes]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(kernel(*arrays), op.kernel()(*arrays))


@pytest.mark.parametrize("name", ["i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"])
def test_conversion_of_what_does_not_fit(name: str) -> None:
    op, double = Cast(np.dtype(name)), np.dtype("f8")
    (kernel,) = kernels(op, [([double], op.dtype)], False)
    x = np.array([np.nan, np.inf, -np.inf, 1e10, -1e10, 1.5e19, -1e30, -1.5, 300.7])
    limits = np.iinfo(op.dtype)
    whole = [0 if v != v else int(min(max(v, -1e30), 1e30)) for v in x.tolist()]
    nearest = np.array([min(max(v, limits.min), limits.max) for v in whole], op.dtype)
    np.testing.assert_array_equal(kernel(x), nearest)


def test_integers_that_share_no_dtype_are_left_to_numpy() -> None:
    dtypes = [np.dtype("i8"), np.dtype("u8")]
    with pytest.raises(NotImplementedError, match="compared"):
        write_loop(ir.Module(), "f", OP_CLASSES["less"](), dtypes, np.dtype(bool), False)


# Functions of numbers


def compiled(
    inputs: list[Any], outputs: Any, fallback: Callable[..., Any] | None = None
) -> Callable[..., Any] | None:
    """Return the native function of a graph, with its inputs taken to have no axes."""
    function = sm.compile(inputs, outputs)
    types = [TensorType(node.dtype, ()) for node in inputs]
    plan = make_plan(specialise(function.graph, types))
    return native_function(plan, function.outputs, fallback or function, "f")


def refuse(*args: Any, **keywords: Any) -> Any:
    raise AssertionError(f"the slow way was taken for {args} {keywords}")


STRATEGIES = {"one function": (10**9, 0), "chunks": (0, 10**9), "instructions": (0, 0)}


def use_strategy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most, most_chunked = STRATEGIES[name]
    monkeypatch.setattr(scalar_function, "MOST_INSTRUCTIONS", most)
    monkeypatch.setattr(scalar_function, "MOST_CHUNKED", most_chunked)
    monkeypatch.setattr(scalar_function, "MOST_IRREGULAR", most_chunked)


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_strategy(request.param, monkeypatch)


all_strategies = pytest.mark.usefixtures("strategy")


def lecture() -> tuple[list[Any], list[Any]]:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return [x1, x2], [y, *sm.gradients(y, [x1, x2])]


@all_strategies
def test_the_running_example() -> None:
    f = compiled(*lecture(), refuse)
    assert type(f) is type(len) and f.__name__ == "f"
    result = f(2.0, 5.0)
    assert result == pytest.approx([11.652071455, 5.5, 1.7163378145], rel=1e-9)
    assert [type(value) for value in result] == [np.float64] * 3


@all_strategies
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_op_agrees_with_the_numpy_backend(dtype: np.dtype[Any]) -> None:
    """Several ops are compiled at once, which is faster."""
    rng, at_once = np.random.default_rng(3), 8
    known = {op: [dtypes for dtypes, _ in cases_of(op)] for op in all_ops()}
    ops = [op for op in known if operand_dtypes(op, dtype) in known[op]]
    assert len(ops) > 20
    for first in range(0, len(ops), at_once):
        agree_with_numpy(ops[first : first + at_once], dtype, rng)


def agree_with_numpy(ops: list[PerElement], dtype: np.dtype[Any], rng: np.random.Generator) -> None:
    types = [operand_dtypes(op, dtype) for op in ops]
    inputs = [[sm.Variable(f"x{i}", (), d) for i, d in enumerate(dtypes)] for dtypes in types]
    nodes = [sm.graph.node.apply(op, *xs) for op, xs in zip(ops, inputs, strict=True)]
    every = [x for xs in inputs for x in xs]
    f, reference = compiled(every, nodes, refuse), numpy_program(make_plan(sm.Graph(nodes, every)))
    samples = [draws(*case, node.dtype) for *case, node in zip(ops, types, nodes, strict=True)]
    for _ in range(20):
        places = [rng.integers(0, sample[0].size) for sample in samples]
        values = [[a[k] for a in sample] for sample, k in zip(samples, places, strict=True)]
        flat = [value for operands in values for value in operands]
        for op, at, got, want in zip(ops, values, f(*flat), reference(flat), strict=True):
            assert type(got) is type(want)
            with np.errstate(all="ignore"):
                assert error_in_ulps(op, np.asarray(got), np.asarray(want)) <= 4, (op, at)


@all_strategies
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f8", 2.5), ("f8", 3), ("f8", -(2**63)), ("f8", np.float64(2.5)), ("f4", 0.1),
        ("f4", np.float32(0.1)), ("f4", 2**62 + 1), ("f2", np.float16(0.1)), ("i8", -5),
        ("i8", 2**63 - 1), ("i8", np.int64(7)), ("i1", -128), ("i1", np.int8(4)), ("u1", 255),
        ("u8", 2**63 - 1), ("u8", np.uint64(2**64 - 1)), ("?", True), ("?", False),
        ("?", np.True_), ("?", np.False_),
    ],
)  # fmt: skip
def test_what_is_read_from_the_object_itself(dtype: str, value: Any) -> None:
    x = sm.Variable("x", (), dtype)
    result = compiled([x], sm.identity(x), refuse)(value)
    want = np.asarray(value).astype(dtype)[()]
    assert result == want and type(result) is type(want)


@all_strategies
@pytest.mark.parametrize(
    ("dtype", "args", "keywords"),
    [
        ("f8", (True,), {}), ("f8", (np.float32(1),), {}), ("f8", (np.array(1.0),), {}),
        ("f8", ([1.0],), {}), ("f8", (2**63,), {}), ("f8", ("a",), {}), ("f8", (None,), {}),
        ("f8", (), {}), ("f8", (1.0, 2.0), {}), ("f8", (), {"x": 1.0}), ("f8", (1.0,), {"y": 2}),
        ("f2", (1.0,), {}), ("i8", (1.0,), {}), ("i8", (2**63,), {}), ("i1", (128,), {}),
        ("u1", (-1,), {}), ("u8", (-1,), {}), ("u8", (2**63,), {}), ("?", (1,), {}),
    ],
)  # fmt: skip
def test_what_goes_the_slow_way(dtype: str, args: Any, keywords: Any) -> None:
    seen = []

    def fallback(*args: Any, **keywords: Any) -> str:
        seen.append((args, keywords))
        return "slow"

    x = sm.Variable("x", (), dtype)
    f = compiled([x], sm.identity(x), fallback)
    assert f(*args, **keywords) == "slow"
    assert seen == [(args, keywords)]


@all_strategies
def test_errors_of_the_slow_way_are_raised() -> None:
    f = compiled(*lecture())
    with pytest.raises(FeedError, match="x2"):
        f(1.0)
    with pytest.raises(FeedError, match="x1"):
        f("a", 1.0)
    assert f([2.0, 3.0], 5.0)[1].shape == (2,)


@all_strategies
def test_structures_of_results() -> None:
    x = sm.Variable("x")
    f = compiled([x], {"a": [x, (x + 1, [])], 3: {"b": x > 0}, (1, 2): (-x,)}, refuse)
    assert f(2.0) == {"a": [2.0, (3.0, [])], 3: {"b": True}, (1, 2): (-2.0,)}
    assert type(f(2.0)["a"][1]) is tuple and f(-1.0)[3]["b"] is np.False_
    assert compiled([x], [], refuse)(1.0) == []
    first, second = f(1.0), f(1.0)
    assert first is not second and first["a"][0] is not second["a"][0]


def test_what_is_declined() -> None:
    x, v = sm.Variable("x"), sm.Variable("v", (3,))
    pair = namedtuple("pair", "a b")
    assert compiled([x], pair(x, x)) is None
    assert compiled([x], sm.zeros((2,)) + x) is None
    plan = make_plan(sm.Graph([v.sum()]))
    assert native_function(plan, v, refuse) is None


def test_what_becomes_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sm.Variable("x")
    # An argument and a result count for 20.
    monkeypatch.setattr(scalar_function, "MOST_INSTRUCTIONS", 21)
    monkeypatch.setattr(scalar_entry, "program_function", lambda *_: "program")
    assert compiled([x], x + 1) != "program"
    assert compiled([x], x * x + 1) == "program"


@all_strategies
def test_a_million_calls_leak_nothing() -> None:
    inputs, outputs = lecture()
    key = ("a", "key")
    f = compiled(inputs, {key: outputs, "positive": (outputs[0] > 0,)}, refuse)
    counted = [key, None, True, np.float64, np.True_, refuse, f.__self__]

    def call(times: int) -> None:
        for _ in range(times):
            f(2.0, 5)

    call(1000)
    gc.collect()
    blocks, counts = sys.getallocatedblocks(), [sys.getrefcount(item) for item in counted]
    call(1_000_000)
    gc.collect()
    grown = [sys.getrefcount(i) - count for i, count in zip(counted, counts, strict=True)]
    assert sys.getallocatedblocks() - blocks < 50
    assert all(abs(growth) < 50 for growth in grown), grown


FORMS: list[Any] = [lambda ys: ys, lambda ys: ys[0], lambda ys: tuple(ys), lambda ys: {"all": ys}]


@all_strategies
@pytest.mark.parametrize("form", FORMS)
def test_results_stay_what_they_are(form: Any) -> None:
    """What a function gives new contents is in nobody's hands: whole, in part, or by a buffer."""
    x = sm.Variable("x", shape=())
    f = compiled([x], form([x * 2, x + 1, sm.floor(x).astype("int32")]), refuse)
    rng = np.random.default_rng(5)
    kept: list[tuple[Any, Any]] = []

    def keep(result: Any, copy: Any) -> None:
        numbers = result if isinstance(result, (list, tuple)) else [result]
        ways: list[Any] = [
            lambda: None,
            lambda: kept.append((result, copy)),
            lambda: kept.append((numbers[-1], pickle.loads(pickle.dumps(numbers[-1])))),
            lambda: kept.append((memoryview(numbers[0]), numbers[0].tobytes())),
            lambda: kept.append((iter([result]), [copy])),
        ]
        ways[rng.integers(5 if isinstance(numbers[0], np.generic) else 2)]()

    for k in range(2000):
        result = f(float(k))
        keep(result, pickle.loads(pickle.dumps(result)))
        if rng.random() < 0.1:
            del kept[: rng.integers(len(kept) + 1)]
    for value, copy in kept:
        value = value.tobytes() if isinstance(value, memoryview) else value
        assert (list(value) if hasattr(value, "__next__") else value) == copy


@all_strategies
def test_lists_that_were_changed_are_not_used_again() -> None:
    x = sm.Variable("x", shape=())
    f = compiled([x], [x, x * 2], refuse)
    changes: list[Any] = [
        lambda r: r.append(1.0), lambda r: r.clear(), lambda r: r.reverse(),
        lambda r: r.__setitem__(0, "text"), lambda r: r.__setitem__(1, 3.0),
        lambda r: r.__setitem__(1, r[0]), lambda r: r.extend([r]), lambda r: r.pop(),
        lambda r: r.__setitem__(0, np.float32(1)), lambda r: r.__imul__(100),
    ]  # fmt: skip
    for k in range(500):
        result = f(float(k))
        assert result == [k, 2 * k] and list(map(type, result)) == [np.float64] * 2
        changes[k % len(changes)](result)


@all_strategies
@pytest.mark.slow
def test_what_runs_when_a_list_is_released_may_call_the_function() -> None:
    x = sm.Variable("x", shape=())
    f = compiled([x], [x, x * 2], refuse)
    inner: list[Any] = []

    class Caller:
        def __del__(self) -> None:
            inner.append(f(100.0 + len(inner)))

    gc.freeze()  # what was there before need not be looked at
    for k in range(300):
        result = f(float(k))
        assert result == [k, 2 * k]
        result[k % 2] = Caller()
        if k % 3 == 0:
            result.append(result)  # the garbage collector releases this one
            gc.collect()
    del result
    gc.collect()
    gc.unfreeze()
    f(0.0), f(0.0), f(0.0)
    assert len(inner) > 290
    assert all(second == 2 * first >= 200 for first, second in inner)


@all_strategies
@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("held", [0, 1, 3])
def test_what_is_used_again_is_counted_right(form: Any, held: int) -> None:
    x = sm.Variable("x", shape=())
    f = compiled([x], form([x, x * 2]), refuse)
    last: dict[int, Any] = {}

    def call(times: int) -> None:
        for k in range(times):
            f(0.5)
            if held:
                last[k % held] = f(float(k))

    call(100)
    gc.collect()
    blocks = sys.getallocatedblocks()
    call(100_000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 50
    result = f(1.0)
    again = not isinstance(result, tuple) or tuple.__basicsize__ == object.__basicsize__ + 8
    assert sys.getrefcount(result) == 2 + again  # ``result``, this call, and the function


def test_the_code_and_what_it_refers_to_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Owner:
        """Holds a function whose slow way is a method of the owner: a cycle."""

        def __init__(self) -> None:
            x = sm.Variable("x")
            self.function = compiled([x], [x * 0.7251], self.slow)

        def slow(self, *args: Any) -> str:
            return "slow"

    monkeypatch.setattr(scalar_function, "_codes", Latest(1))
    owner = Owner()
    code = weakref.ref(owner.function.__self__[-3])
    assert owner.function("a") == "slow"
    function = owner.function
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert function(2.0) == [2 * 0.7251] and function() == "slow"
    del function
    gc.collect()
    assert gone() is None
    x = sm.Variable("x")
    assert compiled([x], x + 1, refuse)(1.0) == 2.0  # its code is kept instead
    gc.collect()
    assert code() is None


def test_one_code_serves_all_functions_of_one_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs = lecture()
    functions = [compiled(inputs, outputs, lambda *args, k=k: k) for k in range(3)]
    monkeypatch.setattr(scalar_function, "stored_module", lambda *_: pytest.fail("compiled again"))
    again = compiled(*lecture(), lambda *args: 3)
    assert [f() for f in [*functions, again]] == [0, 1, 2, 3]
    results = [f(2.0, 5.0) for f in [*functions, again]]
    assert all(result == results[0] for result in results)
    assert len(set(map(id, results))) == 4
    monkeypatch.undo()
    x = sm.Variable("x", shape=())
    made: list[Any] = [
        compiled([x], outputs, refuse)(3.0)
        for outputs in (
            [x * 2.0], (x * 2.0,), x * 2.0, x * 3.0, x * -0.0, x * 0.0, {1: x}, {True: x}, {1.0: x},
            {"a": x}, {"a": [x]}, {"a": (x,)}, [[x]], sm.maximum(x, 4.0), sm.minimum(x, 4.0),
        )
    ]  # fmt: skip
    assert made[:4] == [[6.0], (6.0,), 6.0, 9.0]
    assert np.signbit(made[4]) and not np.signbit(made[5])
    assert [repr(result) for result in made[6:9]] == [
        "{1: np.float64(3.0)}", "{True: np.float64(3.0)}", "{1.0: np.float64(3.0)}"
    ]  # fmt: skip
    assert made[9:] == [{"a": 3.0}, {"a": [3.0]}, {"a": (3.0,)}, [[3.0]], 4.0, 3.0]


@all_strategies
def test_no_memory_is_an_error() -> None:
    testcapi = pytest.importorskip("_testcapi")
    x = sm.Variable("x")
    f = compiled([x], {"a": [x, (x + 1,)], "b": -x}, refuse)
    expected, failures = f(1.0), 0
    for start in range(12):
        testcapi.set_nomemory(start, start + 1)
        try:
            result = f(1.0)
        except MemoryError:
            failures += 1
        else:
            assert result == expected
        finally:
            testcapi.remove_mem_hooks()
    assert failures > 3
    assert f(1.0) == expected


@all_strategies
def test_threads_agree() -> None:
    inputs, outputs = lecture()
    f = compiled(inputs, outputs, refuse)
    results: list[bool] = []

    def work(offset: float) -> None:
        expected = f(2.0 + offset, 5.0)
        results.append(all(f(2.0 + offset, 5.0) == expected for _ in range(20_000)))

    threads = [threading.Thread(target=work, args=(k / 8,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
