"""Fused loop nests: which nodes are grouped, and that machine code computes what NumPy does."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import InternalError
from symad.graph.graph import Graph, verify
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES
from symad.ops.base import PerElement
from symad.ops.fused import Fused
from symad.passes.fuse import fuse
from symad.passes.specialise import specialise
from symad.plan.plan import make_plan
from symad.runtime.pipeline import optimise
from symad.types import TensorType
from tests.support.random_graphs import random_graph

pytest.importorskip("llvmlite")

from symad.backends.native import jit  # noqa: E402
from symad.backends.native.kernels import loops  # noqa: E402
from symad.backends.native.loop_nest import Nest, NestLayout, supports  # noqa: E402
from symad.backends.native.memory_pool import Memory  # noqa: E402
from symad.backends.native.program import NativeProgram  # noqa: E402
from symad.backends.numpy import numpy_program  # noqa: E402
from tests.support.native import native_graph, program_of  # noqa: E402

FLOATS = ("float64", "float32")
DTYPES = (*FLOATS, "int64", "int32", "int8", "uint64", "bool")


def specialised(outputs, inputs, values):
    types = [TensorType(np.asarray(value).dtype, np.shape(value)) for value in values]
    return specialise(Graph(outputs, inputs), types)


def fused_nodes(graph):
    return [node for node in graph.nodes if isinstance(node.op, Fused)]


def both(outputs, inputs, values, threads=1):
    """Return the results of the reference and of the native backend, and the native graph."""
    graph = specialised(outputs, inputs, values)
    native = native_graph(graph)
    verify(native)
    expected = numpy_program(make_plan(graph))(values)
    return expected, program_of(native, threads)(values), native


def agree(outputs, inputs, values, threads=1, ulps=64, fused=1):
    """Check the native backend against the reference, and that it had something to fuse."""
    expected, found, native = both(outputs, inputs, values, threads)
    assert len(fused_nodes(native)) >= fused, native
    for a, b in zip(expected, found, strict=True):
        assert_same(a, b, ulps)
    return native


def assert_same(expected, found, ulps=64):
    assert type(found) is type(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    largest = np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0)
    tolerance = ulps * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)


def leaf(array):
    return Node(None, (), TensorType(array.dtype, array.shape), "x")


def kernel_of(call, arrays):
    """Return the machine code of one node over arrays, and the node."""
    leaves = [leaf(array) for array in arrays]
    node = call(*leaves)
    assert supports(node)
    space = node.type.shape
    fused = apply(Fused(Graph([node], leaves), space, None), *leaves)
    program = program_of(Graph([fused], leaves))
    return lambda *values: program(values)[0], node


# One op at a time, special values in every lane of a vector


def special_values(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = [0, 1, 2, 3, 7, limits.max, limits.max - 1, limits.min, limits.min + 1]
        return np.array(values + ([-1, -2, -7] if dtype.kind == "i" else []), dtype)
    limits = np.finfo(dtype)
    tiny = [limits.tiny, limits.smallest_subnormal, limits.tiny / 4, limits.eps, 1e-30]
    large = [limits.max, limits.max / 2, 1e30, 1e10, 2.0**31, 2.0**53 + 2, 2.0**63]
    middle = [0, 0.5, 1, 1 + limits.eps, 1 - limits.epsneg, 1.5, 2, 2.5, 3, 10, 88, 104, 709, 745]
    positive = np.array([*middle, *tiny, *large, np.pi, np.pi / 2, np.inf], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def operands(arity, dtype):
    """Return arrays with all combinations of special values, and ordinary ones behind them."""
    special = special_values(dtype)
    if arity == 3:
        special = special[:: max(1, len(special) // 9)]
    columns = np.array(list(itertools.product(special, repeat=arity)), dtype).T
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind != "f":
        return [np.ascontiguousarray(column) for column in columns]
    ordinary = rng.standard_normal((arity, 203)) * 10.0 ** rng.integers(-3, 3, 203)
    return [np.concatenate(pair).astype(dtype) for pair in zip(columns, ordinary, strict=True)]


def ops_by_arity():
    found = []
    for name, cls in sorted(OP_CLASSES.items()):
        if issubclass(cls, PerElement) and cls.element and not cls._fields:
            for arity, dtype in itertools.product((1, 2, 3), DTYPES):
                array = np.ones(1, dtype)
                try:
                    node = apply(cls(), *[leaf(array)] * arity)
                    with np.errstate(all="ignore"):
                        cls().kernel()(*[array] * arity)
                    is_supported = supports(node)
                except (TypeError, ValueError):
                    continue
                if is_supported:
                    found.append(pytest.param(cls(), arity, dtype, id=f"{name}-{arity}-{dtype}"))
    return found


EXACT = {"erfc": np.vectorize(math.erfc, otypes=["f8"])}
"""References where SciPy's own function is far from exact."""
ABSOLUTE = {"logaddexp": 4, "gammaln": 4, "power_mixed": 24}
"""Functions whose zeros no implementation finds to a few ulps: tolerance in eps of max(1, |x|)."""
ULPS = {"tanh_slope": 8}
"""Where more than 4 units in the last place are right: the error of an exponential is doubled."""


@pytest.mark.parametrize(("op", "arity", "dtype"), ops_by_arity())
def test_each_op_on_special_values(op, arity, dtype):
    arrays = operands(arity, dtype)
    if op.name == "power" and np.dtype(dtype).kind in "iu":
        arrays[1] = np.abs(arrays[1]) % 5  # NumPy refuses negative powers
    if (
        op.name == "gammaln" and np.dtype(dtype).kind == "f"
    ):  # SciPy overflows where the argument is subnormal
        arrays = [np.where(np.abs(a) < np.finfo(dtype).tiny, 1, a).astype(dtype) for a in arrays]
    with np.errstate(all="ignore"):
        expected = np.asarray(op.kernel()(*arrays))
    if op.name in EXACT:
        expected = EXACT[op.name](*arrays).astype(expected.dtype)
    kernel, node = kernel_of(lambda *leaves: apply(op, *leaves), arrays)
    found = kernel(*arrays)
    assert found.dtype == expected.dtype == node.type.dtype
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    is_zero = (expected == 0) & (found == 0)
    np.testing.assert_array_equal(np.signbit(found[is_zero]), np.signbit(expected[is_zero]))
    check_ulps(op.name, found, expected, arrays)


def check_ulps(name, found, expected, arrays):
    finite = np.isfinite(expected)
    if not finite.any():  # as for the logits of integers
        return
    found, expected = found[finite], expected[finite]
    error = np.abs(found.astype("float64") - expected)
    with np.errstate(all="ignore"):
        allowed = ULPS.get(name, 4) * np.spacing(np.abs(expected)).astype("float64")
        if name in ABSOLUTE:
            scale = np.max(np.abs(np.array([a[finite] for a in arrays])), axis=0)
            eps = np.finfo(expected.dtype).eps
            allowed = np.maximum(allowed, ABSOLUTE[name] * eps * np.maximum(1, scale))
    worst = np.argmax(error - allowed)
    assert (error <= allowed).all(), (found[worst], expected[worst])


@pytest.mark.parametrize(("dtype", "bits"), [("float64", 64), ("float32", 32)])
def test_loops_become_vector_code_with_vector_functions(dtype, bits):
    unit = jit.vector_unit()
    if not unit.letter:
        pytest.skip("the C library has no vector functions here")
    x = sm.Variable("x", shape=(50, 100), dtype=dtype)
    y = sm.log1p(x) * 2 + sm.where(x > 0, x, 0)
    total = sm.sum(y, axis=1)
    graph = native_graph(Graph([y, total, sm.max(y, axis=1)], [x]))
    (node,) = fused_nodes(graph)
    nest = Nest(node.op)
    text = jit.optimised_text(loops.loop_text(nest, NestLayout(nest)))
    lanes = unit.bits // bits
    name = "log1p" if bits == 64 else "log1pf"
    assert f"@_ZGV{unit.letter}N{lanes}v_{name}(" in text.split("define", 1)[1]
    assert f"llvm.vector.reduce.fadd.v{lanes}" in text


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_casts(source, target):
    values = special_values(source)
    x = sm.Variable("x", dtype=source)
    y = sm.cast(sm.where(sm.equal(x, 0), x, x), target)
    agree([y], [x], [np.resize(values, 100)], ulps=1)


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def edges(source, target):
    """Return NaN, infinities, and floats beside 0 and beside the limits of ``target``."""
    limits = np.iinfo(target)
    ends = (0.0, 0.5, 1.0, 2.5, limits.min, limits.max + 1.0, 2.0**31, 2.0**32, 2.0**63, 1e30)
    with np.errstate(all="ignore"):
        points = np.array([sign * end for end in ends for sign in (1, -1)]).astype(source)
        beside = [np.nextafter(points, source(way)) for way in (np.inf, -np.inf)]
    return np.concatenate([[source(v) for v in (np.nan, np.inf, -np.inf)], points, *beside])


@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("target", INTEGERS)
def test_floats_become_the_nearest_integers_that_there_are(source, target):
    limits = np.iinfo(target)
    values = edges(source, target)
    finite = [float(np.clip(v, -1e300, 1e300)) for v in np.nan_to_num(values.astype("f8"))]
    expected = np.array([min(max(int(v), limits.min), limits.max) for v in finite], target)
    x = sm.Variable("x", dtype=source, shape=("n",))
    s = sm.Variable("s", dtype=source, shape=())
    for backend in ("numpy", "native"):
        f = sm.compile([x], sm.cast(x, target), backend=backend)
        g = sm.compile([s], sm.cast(s, target), backend=backend)
        for size in (1, 3, 17, len(values), 5001):
            for _ in range(2):  # by way of Python, and natively
                got = f(np.resize(values, size))
                np.testing.assert_array_equal(got, np.resize(expected, size))
                assert got.dtype == target
        for value, wanted in zip(values, expected, strict=True):
            assert g(value) == g(value) == wanted and type(g(value)) is np.dtype(target).type


# Shapes


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 63, 1000, 4095, 4096, 4097, 20000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_lines_of_any_length(n, dtype):
    rng = np.random.default_rng(n)
    x, y = (sm.Variable(name, dtype=dtype) for name in "xy")
    z = sm.tanh(sm.log(sm.exp(x * y) + 1)) + x
    values = [rng.standard_normal(n).astype(dtype) for _ in range(2)]
    agree([z, z * y], [x, y], values, fused=n > 1)


BROADCASTS = [
    [(5, 30), (30,)],
    [(5, 30), (5, 1)],
    [(5, 1), (1, 30)],
    [(4, 5, 6), (4, 1, 6)],
    [(4, 5, 6), (5, 1), (6,)],
    [(4, 5, 6), (1, 5, 6), (4, 1, 1)],
    [(2, 3, 4, 5), (3, 1, 5), (2, 1, 4, 1)],
    [(1, 40), (3, 1), ()],
    [(2, 1, 1, 40), (3, 1, 1)],
    [(7, 1), (7, 1), (1, 1)],
]


@pytest.mark.parametrize("shapes", BROADCASTS, ids=str)
@pytest.mark.parametrize("with_sums", [False, True])
def test_broadcasting(shapes, with_sums):
    rng = np.random.default_rng(1)
    variables = [sm.Variable(f"x{k}") for k in range(len(shapes))]
    values = [rng.standard_normal(shape)[()] for shape in shapes]
    z = variables[0]
    for variable in variables[1:]:
        z = sm.sin(z) * variable + 0.3
    outputs = [z]
    if with_sums:
        outputs += [sm.sum(z * z), *sm.gradients(sm.sum(z * z), variables)]
    agree(outputs, variables, values)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 5)])
def test_nothing_is_left_to_numpy(shape):
    x = sm.Variable("x")
    expected, found, native = both([sm.exp(x) * 2, sm.sum(sm.exp(x) * 2)], [x], [np.ones(shape)])
    assert not fused_nodes(native)
    for a, b in zip(expected, found, strict=True):
        assert_same(a, b)


VIEWS = {
    "reversed": lambda x: x[:, ::-1],
    "every second": lambda x: x[::2, 1::2],
    "every third, reversed": lambda x: x[:, ::-3],
    "far apart": lambda x: x.T,
    "far apart, reversed": lambda x: x[::-1, 3:].T[:, ::-1],
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16", "bool"])
@pytest.mark.parametrize("view", VIEWS)
def test_rows_of_any_even_step_are_read_where_they_are(view, dtype):
    """In sums as well, next to another operand, and to the last element of the array."""
    rng = np.random.default_rng(0)
    value = (5 * rng.standard_normal((37, 83))).astype(dtype)
    other = rng.standard_normal(VIEWS[view](value).shape)
    x, y = sm.Variable("x", shape=value.shape, dtype=dtype), sm.Variable("y", shape=other.shape)
    seen = VIEWS[view](x)
    outputs = [seen * y + 1, sm.sum(seen * y, axis=1), sm.max(seen * y, axis=0)]
    agree(outputs, [x, y], [value, other], ulps=200)


def strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, "uint8")
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form",
    [strided, unaligned, read_only, np.asfortranarray, lambda a: a[::-1, ::-1],
     lambda a: np.broadcast_to(a[:1], a.shape)],
    ids=["strided", "unaligned", "read_only", "fortran", "reversed", "broadcast"],
)  # fmt: skip
def test_arrays_of_any_form(form):
    rng = np.random.default_rng(2)
    x, y = sm.Variable("x"), sm.Variable("y")
    array = form(rng.standard_normal((6, 20)))
    kept = np.array(array)
    agree([sm.exp(x) * y + x, sm.softmax(x)], [x, y], [array, array])
    np.testing.assert_array_equal(array, kept)


# Reductions

LENGTHS = [1, 2, 7, 8, 9, 511, 512, 513, 1000, 5000]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_reductions_of_all(n, dtype):
    x = sm.Variable("x", dtype=dtype)
    y = x * x - 0.5
    value = np.random.default_rng(n).standard_normal(n).astype(dtype)
    outputs = [sm.sum(y), sm.max(y), sm.min(y), sm.mean(y)]
    agree(outputs, [x], [value], fused=n > 1)


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("n", LENGTHS)
def test_reductions_along_rows_and_columns(rows, n):
    x = sm.Variable("x")
    y = sm.exp(x)
    value = np.random.default_rng(n).standard_normal((rows, n))
    for axis in (0, 1, -1, (0, 1)):
        for reduce in (sm.sum, sm.max, sm.min):
            agree([reduce(y, axis=axis) * 2, y], [x], [value], fused=0)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "uint64", "bool"])
def test_reductions_of_integers(dtype):
    x = sm.Variable("x", dtype=dtype)
    y = sm.where(x > 1, x, x)
    value = np.resize(special_values(dtype), (9, 70))
    outputs = [sm.sum(y, axis=1), sm.max(y, axis=1), sm.min(y, axis=1), sm.sum(y), sm.max(y)]
    agree([*outputs, sm.sum(y, axis=0)], [x], [value])


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_any_and_all(axis, dtype):
    x = sm.Variable("x", dtype=dtype)
    value = np.random.default_rng(0).integers(0, 2, (9, 70)).astype(dtype)
    value[2], value[:, 3], value[4], value[:, 5] = 0, 0, 1, 1
    for array in (value, np.zeros_like(value), np.ones_like(value)):
        agree([sm.any(x, axis=axis), sm.all(x, axis=axis)], [x], [array], fused=dtype != "bool")
    if dtype == "float64":
        value[2, 40] = np.nan
        agree([sm.any(x, axis=axis), sm.all(x, axis=axis)], [x], [value])


@pytest.mark.parametrize(
    "specials",
    [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [np.nan, np.inf], [1e308, 1e308, 1e308]],
    ids=str,
)
@pytest.mark.parametrize("place", [0, 5, 8, 600, -1])
def test_reductions_of_special_values(specials, place):
    x = sm.Variable("x")
    y = x * 1.5 / 1.5
    value = np.random.default_rng(0).standard_normal((4, 1001))
    for k, special in enumerate(specials):
        value[2, place - k] = special
    rows = [reduce(y, axis=1) for reduce in (sm.sum, sm.max, sm.min, sm.logsumexp)]
    agree([*rows, sm.sum(y), sm.max(y), sm.softmax(y), sm.sum(y, axis=0)], [x], [value])


@pytest.mark.parametrize("places", [(0, 1024), (0, 8192), (0, 4096, 8192), (5, 9000), (8190, 8191)])
@pytest.mark.parametrize("function", [lambda x: x * 1.0, sm.abs])
def test_sums_that_overflow_are_infinite(places, function):
    """Twice in one lane, in one block, in the last block: compensation is infinite or NaN then."""
    x = sm.Variable("x")
    value = np.zeros((2, 9001))
    value[:, list(places)] = 1.7e308
    agree([sm.sum(function(x), axis=1), sm.sum(function(x))], [x], [value])


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_are_more_accurate_than_numpys(dtype):
    rng = np.random.default_rng(3)
    value = (rng.standard_normal(100_003) * 10.0 ** rng.integers(-3, 4, 100_003)).astype(dtype)
    x = sm.Variable("x", dtype=dtype)
    (pairwise,), (blocks,), native = both([sm.sum(x * -1)], [x], [value])
    assert fused_nodes(native)
    exact = math.fsum(-value.astype("float64"))
    assert abs(blocks - exact) <= abs(pairwise - exact)
    assert abs(blocks - exact) <= 4 * np.finfo(dtype).eps * math.fsum(abs(value.astype("float64")))


# Rows: a reduction and what is made of it, in one nest


def layer_norm(x, gain, bias):
    middle = sm.mean(x, axis=-1, keepdims=True)
    spread = sm.var(x, axis=-1, keepdims=True)
    return (x - middle) / sm.sqrt(spread + 1e-5) * gain + bias


ROWS = {
    "softmax": lambda x: sm.softmax(x),
    "log_softmax": lambda x: sm.log_softmax(x),
    "logsumexp": lambda x: sm.logsumexp(x, axis=-1),
    "layer norm": lambda x: layer_norm(x, sm.constant(np.linspace(0, 1, 50)), 0.5),
    "standardised": lambda x: (x - sm.mean(x, -1, keepdims=True)) / sm.std(x, -1, keepdims=True),
    "without keepdims": lambda x: x / sm.expand_dims(sm.sqrt(sm.sum(x * x, axis=-1)), -1),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("shape", [(7, 50), (3, 4, 50)])
def test_rows_are_one_nest(name, shape):
    x = sm.Variable("x")
    y = ROWS[name](x)
    value = np.random.default_rng(4).standard_normal(shape)
    native = agree([y], [x], [value], ulps=200)
    left = Counter(node.op.name for node in native.nodes if node.op is not None)
    assert left["fused"] == 1 and set(left) <= {"fused", "reshape", "squeeze", "expand_dims"}, left


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("axis", [-1, 0])
def test_gradients_of_rows(name, axis):
    x, w = sm.Variable("x"), sm.Variable("w")
    loss = sm.sum(ROWS[name](x) * w) if name != "logsumexp" else sm.sum(ROWS[name](x))
    rng = np.random.default_rng(5)
    values = [rng.standard_normal((6, 50)), rng.standard_normal((6, 50))]
    inputs = [x, w] if name != "logsumexp" else [x]
    agree([loss, *sm.gradients(loss, inputs)], inputs, values[: len(inputs)], ulps=500)


def test_cross_entropy_with_its_gradient_is_one_nest_and_a_few_numbers():
    z, labels = sm.Variable("z"), sm.Variable("labels", dtype="int64")
    loss = -sm.mean(sm.sum(sm.log_softmax(z) * sm.one_hot(labels, 40), axis=-1))
    rng = np.random.default_rng(6)
    values = [rng.standard_normal((30, 40)), rng.integers(0, 40, 30)]
    graph = optimise(specialised([loss, sm.gradients(loss, z)], [z, labels], values)).graph
    native = native_graph(graph)
    assert len(fused_nodes(native)) == 1
    found = program_of(native)(values)
    for a, b in zip(numpy_program(make_plan(graph))(values), found, strict=True):
        assert_same(a, b, 200)


def cross_entropy_by_taking(shape, dtype="float64"):
    """Return value and gradient, their inputs, and values for them, one index from the end."""
    z, labels = sm.Variable("z", dtype=dtype), sm.Variable("labels", dtype="int64")
    chosen = sm.take_along_axis(z, sm.expand_dims(labels, 1), axis=1)
    loss = sm.mean(sm.logsumexp(z, axis=1) - sm.squeeze(chosen, 1))
    rng = np.random.default_rng(6)
    values = [rng.standard_normal(shape).astype(dtype), rng.integers(0, shape[1], shape[0])]
    values[1][0] = -2
    return [loss, sm.gradients(loss, z)], [z, labels], values


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(30, 40), (7, 8), (3, 1000)])
def test_cross_entropy_by_taking_is_one_nest_with_one_exponential(shape, dtype):
    outputs, inputs, values = cross_entropy_by_taking(shape, dtype)
    graph = optimise(specialised(outputs, inputs, values)).graph
    native = native_graph(graph)
    (node,) = fused_nodes(native)
    names = Counter(n.op.name for n in node.op.body.nodes if n.op)
    assert names["exp"] == 1 and "add_along_axis" not in str(native)
    found = program_of(native)(values)
    for a, b in zip(numpy_program(make_plan(graph))(values), found, strict=True):
        assert_same(a, b, 200)


def test_what_is_masked_out_has_no_slope_and_infinity_stays_where_it_is():
    x = sm.Variable("x")
    y = sm.logsumexp(x, axis=1)
    value = np.random.default_rng(0).standard_normal((5, 20))
    value[0] = -np.inf
    value[1, 3], value[1, 4] = np.inf, 800.0
    value[2, 5], value[3, 6] = np.nan, -np.inf
    agree([y, sm.gradients(sm.sum(y), x)], [x], [value])


@pytest.mark.parametrize("index", [40, -41])
def test_an_index_that_is_out_of_range_is_an_error(index):
    outputs, inputs, values = cross_entropy_by_taking((30, 40))
    values[1][5] = index
    gradient = sm.compile(inputs, outputs[1], backend="native")
    with pytest.raises(sm.errors.EvaluationError, match="out of bounds"):
        gradient(*values)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("depth", [40, 300])
def test_one_hot_of_any_integers(dtype, depth):
    i = sm.Variable("i", dtype=dtype)
    limits = np.iinfo(dtype)
    special = [0, 1, 39, 40, limits.max, limits.min, limits.max // 2 + 2]
    wrapping = [2**32 + 3, 2**32, 2**31] if limits.max > 2**33 else []
    value = np.array([v for v in (*special, *wrapping) if v <= limits.max], dtype)
    if limits.min < 0:
        value = np.append(value, np.array([-1, -39], dtype))
    agree([sm.one_hot(i, depth, "float32") * 2], [i], [value])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_adding_along_an_axis_by_an_index_that_broadcasts(axis):
    x, i = sm.Variable("x"), sm.Variable("i", dtype="int64")
    taken = sm.take_along_axis(x, i, axis=axis)
    value = np.random.default_rng(0).standard_normal((4, 5, 9))
    for shape in ([4, 5, 9], [1, 1, 1], [4, 1, 9]):
        shape[axis] = 1
        index = np.random.default_rng(1).integers(-4, 4, shape)
        gradient = sm.gradients(sm.sum(taken * taken), x)
        agree([gradient], [x, i], [value, index], fused=0)


# Which nodes are grouped


def test_a_chain_becomes_one_op_that_prints_and_runs_on_numpy_too():
    x = sm.Variable("x", shape=(4,))
    graph = native_graph(Graph([sm.exp(x * 2) + 1], [x]))
    (node,) = fused_nodes(graph)
    assert "exp" in str(graph) and node.type == TensorType(np.dtype("float64"), (4,))
    np.testing.assert_allclose(numpy_program(make_plan(graph))([np.zeros(4)])[0], 2.0)


def test_single_ops_are_left_alone():
    x = sm.Variable("x", shape=(4,))
    assert not fused_nodes(native_graph(Graph([sm.exp(x)], [x])))


def test_what_several_groups_use_is_computed_once_and_groups_do_not_wait_for_each_other():
    x = sm.Variable("x", shape=(8, 8))
    h = sm.exp(x) + 1
    z = sm.tanh(h @ h) * h + sm.sin(h)
    native = native_graph(Graph([z], [x]))
    verify(native)
    names = Counter(n.op.name for f in fused_nodes(native) for n in f.op.body.nodes if n.op)
    assert names["exp"] == 1 and len(fused_nodes(native)) == 2
    value = np.random.default_rng(0).standard_normal((8, 8)) / 8
    agree([z], [x], [value], fused=2)


def test_a_group_is_lifted_with_what_it_uses():
    """exp(x) serves a later group and an earlier one that waits for a product of its own."""
    x, w = sm.Variable("x", shape=(9, 9)), sm.Variable("w", shape=(9, 9))
    shared = sm.exp(x) + 1
    early = (w @ w) * shared
    late = sm.max(sm.sin(shared) * 2) * 3
    native = native_graph(Graph([early, late], [x, w]))
    verify(native)
    assert len(fused_nodes(native)) == 1, native
    value = np.random.default_rng(0).standard_normal((9, 9))
    agree([early, late], [x, w], [value, value])


def test_a_group_is_not_lifted_above_what_it_waits_for():
    x = sm.Variable("x", shape=(9, 9))
    shared = sm.exp(x) + 1
    middle = shared @ shared
    late = (sm.sin(shared) * 2) @ (middle * shared)
    native = native_graph(Graph([late, middle * shared], [x]))
    verify(native)
    value = np.random.default_rng(0).standard_normal((9, 9)) / 9
    agree([late, middle * shared], [x], [value])


def test_ops_that_a_backend_has_no_code_for_are_left():
    x = sm.Variable("x", shape=(50,))
    native = native_graph(Graph([sm.erfinv(sm.tanh(x) * 0.5) * 2 + x], [x]))
    assert Counter(n.op.name for n in native.nodes if n.op) == {"fused": 2, "erfinv": 1}


def test_unknown_shapes_are_left():
    x = sm.Variable("x")
    assert not fused_nodes(native_graph(Graph([sm.exp(x) + 1], [x])))


def test_groups_are_bounded_and_found_in_one_visit_per_node():
    x = sm.Variable("x", shape=(100,))
    y = x
    for _ in range(1000):
        y = sm.sin(y) * x
    visits = Counter()

    def count(node):
        visits[node] += 1
        return True

    graph = fuse(Graph([y], [x]), count)
    verify(graph)
    assert set(visits.values()) == {1}
    sizes = [len(f.op.body.nodes) for f in fused_nodes(graph)]
    assert max(sizes) < 80 and sum(sizes) >= 2000


def test_provenance_is_inherited():
    x = sm.Variable("x", shape=(20,))
    with sm.scope("layer"):
        y = sm.exp(x) * 2
    gradient = sm.gradients(sm.sum(y), x)
    native = native_graph(Graph([y, gradient], [x]))
    assert native.outputs[0].scope == ("layer",)
    assert native.outputs[0].site.describe() == y.site.describe()
    assert native.outputs[1].role is not None
    assert native.outputs[1].role.kind == gradient.role.kind


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("is_optimised", [False, True])
def test_random_graphs(seed, is_optimised):
    drawn = random_graph(seed, steps=20)
    values = [array[()] if array.ndim == 0 else array for array in drawn.arrays]
    graph = specialised(drawn.graph.outputs, drawn.graph.inputs, values)
    native = native_graph(optimise(graph).graph if is_optimised else graph)
    verify(native)
    expected = numpy_program(make_plan(graph))(values)
    found = program_of(native)(values)
    tolerance = 2e-4 if drawn.is_float32 else 1e-9
    for a, b in zip(expected, found, strict=True):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        largest = np.abs(np.asarray(a, "float64")).max(initial=1)
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * largest)


UNARY = (sm.sin, sm.tanh, abs, sm.square, sm.sigmoid, lambda a: a > 0.1, lambda a: sm.cast(a, "f4"))
BINARY = (sm.add, sm.subtract, sm.multiply, sm.maximum, lambda a, b: sm.where(a > b, a, b * 0.5))
REDUCTIONS = (sm.sum, sm.max, sm.min, sm.mean)


def random_nest(seed):
    """Return a random graph of elementwise ops and reductions over one or two spaces."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 17, 40], rng.integers(1, 4)))
    shapes = [
        tuple(n if rng.random() < 0.7 else 1 for n in shape)[rng.integers(0, 2) :] for _ in range(3)
    ]
    variables = [sm.Variable(f"x{k}") for k in range(3)]
    pool = list(zip(variables, shapes, strict=True))
    outputs = []
    for _ in range(14):
        (a, s), (b, t) = (pool[int(k)] for k in rng.integers(0, len(pool), 2))
        choice = rng.integers(0, 3)
        if choice == 0 or (choice == 2 and not s):
            pool.append((UNARY[rng.integers(0, len(UNARY))](a), s))
        elif choice == 1:
            joint = np.broadcast_shapes(s, t) if _fit(s, t) else None
            if joint is not None:
                pool.append((BINARY[rng.integers(0, len(BINARY))](sm.cast(a, "f8"), b), joint))
        else:
            axes = tuple(range(len(s)))[:: rng.choice([1, -1])][: rng.integers(1, len(s) + 1)]
            axis = tuple(int(k) for k in axes)
            reduce = REDUCTIONS[rng.integers(0, len(REDUCTIONS))]
            kept = tuple(1 if k in axis else n for k, n in enumerate(s))
            pool.append((reduce(sm.cast(a, "f8"), axis=axis, keepdims=True), kept))
        if rng.random() < 0.3:
            outputs.append(pool[-1][0])
    values = [rng.standard_normal(s)[()] for s in shapes]
    return [*outputs, pool[-1][0]], variables, values


def _fit(s, t):
    return all(a == b or 1 in (a, b) for a, b in zip(s[::-1], t[::-1], strict=False))


@pytest.mark.parametrize("seed", range(80))
def test_random_nests(seed):
    agree(*random_nest(seed), ulps=2000, fused=0)


# Threads, memory, machine code


@pytest.mark.parametrize("shape", [(300_000,), (600, 500), (5, 60_000), (150_000, 2)])
def test_threads_agree_to_the_last_bit(shape):
    x = sm.Variable("x")
    y = sm.tanh(x) + x
    outputs = [y, sm.sum(y * x), sm.max(y), sm.sum(y, axis=0), sm.softmax(x)]
    value = np.random.default_rng(7).standard_normal(shape)
    expected, one, native = both(outputs, [x], [value])
    for a, b in zip(expected, one, strict=True):
        assert_same(a, b, 500)
    for threads in (2, 3, 7):
        for a, b in zip(one, program_of(native, threads)([value]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_results_that_are_held_stay_and_memory_that_is_free_is_used_again():
    x = sm.Variable("x")
    value = np.ones(100_000)
    graph = native_graph(specialised([sm.exp(x) * 2, sm.sin(x) + x], [x], [value]))
    program = program_of(graph)
    held = [program([value * k]) for k in range(6)]
    for k, (a, b) in enumerate(held):
        np.testing.assert_allclose(a, 2 * math.exp(k))
        np.testing.assert_allclose(b, math.sin(k) + k)
    assert len({array.ctypes.data for pair in held for array in pair}) == 12
    view = held[-1][0][5:]
    del held, a, b
    address = program([value])[0].ctypes.data
    assert program([value])[0].ctypes.data == address
    np.testing.assert_allclose(view, 2 * math.exp(5))


def test_small_buffers_are_not_kept():
    buffers = Memory()
    first = buffers.take((10,), np.dtype("float64"))
    address = id(first)
    assert buffers._kept == {} and first.shape == (10,) and address


def test_one_machine_code_serves_all_sizes(monkeypatch):
    x, b = sm.Variable("x"), sm.Variable("b")
    loss = sm.mean(sm.sum(sm.log_softmax(x + b) * 0.7, axis=-1))
    outputs = [loss, *sm.gradients(loss, [x, b])]
    rng = np.random.default_rng(8)
    agree(outputs, [x, b], [rng.standard_normal((10, 20)), rng.standard_normal(20)])
    for name in ("compile_module", "_known"):
        monkeypatch.setattr(jit, name, lambda *_: pytest.fail("compiled again"))
    for shape in [(11, 20), (100, 20), (13, 700)]:
        agree(
            outputs, [x, b], [rng.standard_normal(shape), rng.standard_normal(shape[1:])], ulps=500
        )


def test_programs_run_in_threads_at_once():
    from concurrent.futures import ThreadPoolExecutor

    x = sm.Variable("x")
    y = sm.exp(x) * 2
    value = np.ones(200_000)
    graph = native_graph(specialised([y, sm.sum(y)], [x], [value]))
    program = program_of(graph, threads=2)

    def run(k):
        for _ in range(20):
            array, total = program([value * k])
            assert (array == array[0]).all() and total == pytest.approx(array[0] * array.size)
            assert array[0] == pytest.approx(2 * math.exp(k))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


def test_bodies_of_other_ops_are_fused_as_well():
    x = sm.Variable("x")
    y = sm.map_over(lambda row: sm.sum(sm.exp(row) * row) + row, [x])
    value = np.random.default_rng(9).standard_normal((3, 40))
    expected, found, _ = both([y], [x], [value])
    assert_same(expected[0], found[0])


def test_errors_name_the_node():
    x, n = sm.Variable("x"), sm.Variable("n", dtype="int64")
    y = sm.linalg.cholesky(x) * 2 + 1
    graph = native_graph(specialised([y], [x], [-np.eye(3)]))
    program = program_of(graph)
    assert isinstance(program, NativeProgram) and n is not None
    with pytest.raises(sm.errors.EvaluationError, match="cholesky"):
        program([-np.eye(3)])


def test_modules_that_are_wrong_are_refused_without_a_crash(capfd):
    with pytest.raises(InternalError, match="is invalid"):
        jit.compile_module("define nonsense")
    text = "declare double @no_such(double)\ndefine double @f(double %x) {\n"
    text += "  %y = call double @no_such(double %x)\n  ret double %y\n}"
    with pytest.raises(InternalError, match="no_such"):
        jit.compile_module(text)
    module = jit.compile_module("define i32 @one() {\n  ret i32 1\n}")
    assert module.address("one")
    with pytest.raises(InternalError, match="two"):
        module.address("two")
    assert capfd.readouterr() == ("", "")


def test_machine_codes_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr(loops, "_codes", jit.Latest(2))
    x = sm.Variable("x")
    for k in (3.5, 4.5):
        for function in (sm.sin, sm.cos, sm.tanh):
            agree([function(x) * k + x], [x], [np.ones(20)])
    assert len(loops._codes) == 2


@pytest.mark.parametrize("axis", [1, (1, 2), (0, 2), (1, 3), -2])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_axes_in_the_middle(axis: Any, keepdims: bool) -> None:
    value = np.random.default_rng(0).standard_normal((3, 4, 5, 2))
    x = sm.Variable("x", shape=value.shape)
    for name in ("sum", "max", "min"):
        compiled = sm.compile(
            [x], getattr(sm, name)(x, axis=axis, keepdims=keepdims), backend="native"
        )
        wanted = getattr(np, name)(value, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(compiled(value), wanted, rtol=1e-13, atol=1e-14)
        assert "NumPy" not in str(compiled.plan)
