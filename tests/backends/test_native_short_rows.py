"""Loop nests over short rows, of which a vector of machine code holds many."""

import numpy as np
import pytest

import symad as sm
from symad.ops.fused import Fused

pytest.importorskip("llvmlite")

from symad.backends.native.loop_nest import Across, Nest, NestLayout  # noqa: E402
from tests.support.native import native_graph  # noqa: E402

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 10, 12, 13)
COUNTS = (0, 1, 7, 8, 33, 1000)


def values_of(x, rows, row):
    """Return values of all kinds: per element, per row, per place of a row, and one number."""
    scaled = (x - sm.max(x, axis=-1, keepdims=True)) * rows[..., None] + row
    part = sm.exp(scaled)
    share = part / sm.sum(part, axis=-1, keepdims=True)
    is_least = sm.equal(x, sm.min(x, axis=-1, keepdims=True))
    count = sm.sum(is_least, axis=-1)
    return [
        share,
        is_least,
        count,
        sm.sum(share * x, axis=0),
        sm.sum(sm.where(is_least, share, -row)),
        sm.sum(sm.sqrt(sm.sum(x * x, axis=-1))),
    ]


def compare(inputs, outputs, values):
    expected = sm.compile(inputs, outputs, backend="numpy")(*values)
    found = sm.compile(inputs, outputs, backend="native")(*values)
    for a, b in zip(expected, found, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        size = np.max(np.abs(a), where=np.isfinite(a), initial=1.0) if a.dtype.kind == "f" else 0
        tolerance = 32 * np.finfo(a.dtype).eps if a.dtype.kind == "f" else 0
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize(
    ("length", "dtype"),
    [*((n, "float64") for n in LENGTHS), *((n, "float32") for n in (2, 4, 5, 12))],
)
def test_rows_of_each_length(length, dtype):
    x = sm.Variable("x", shape=("n", length), dtype=dtype)
    rows = sm.Variable("rows", shape=("n",), dtype=dtype)
    row = sm.Variable("row", shape=(length,), dtype=dtype)
    outputs = values_of(x, rows, row)
    expected = sm.compile([x, rows, row], outputs, backend="numpy")
    native = sm.compile([x, rows, row], outputs, backend="native")
    rng = np.random.default_rng(length)
    for count in COUNTS:
        shapes = (count, length), count, length
        values = [rng.integers(-3, 4, shape).astype(dtype) for shape in shapes]
        for a, b in zip(expected(*values), native(*values), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            tolerance = 0 if a.dtype.kind != "f" else 64 * np.finfo(a.dtype).eps
            size = np.max(np.abs(a), initial=1.0) if tolerance else 0
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * size)


def test_several_outer_axes_and_what_broadcasts_along_them():
    rng = np.random.default_rng(0)
    shapes = (6, 1, 13, 3), (5, 1, 3), (13, 1), (6, 5, 1, 1), (3,)
    inputs = [sm.Variable(f"x{k}", shape=shape) for k, shape in enumerate(shapes)]
    a, b, c, d, e = inputs
    y = (a + b) * c - d * e
    outputs = [y, sm.sum(y, axis=-1), sm.max(y), sm.sum(y * y, axis=(0, 1, 2))]
    values = [rng.standard_normal(shape) for shape in shapes]
    compare(inputs, outputs, values)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "bool", "float32"])
def test_elements_of_other_dtypes(dtype):
    rng = np.random.default_rng(1)
    x = sm.Variable("x", shape=(45, 3), dtype=dtype)
    w = sm.Variable("w", shape=(45, 1))
    outputs = [x * w, sm.sum(x, axis=1), sm.max(x, axis=1), sm.equal(x, x[:, :1])]
    compare([x, w], outputs, [rng.integers(0, 2, (45, 3)).astype(dtype), rng.random((45, 1))])


def test_rows_apart_in_memory_and_special_values():
    x = sm.Variable("x", shape=(40, 9))
    y = sm.exp(x[:, 2:8:2] - sm.max(x[:, 1:4], axis=1, keepdims=True))
    given = np.random.default_rng(2).standard_normal((40, 9))
    given[3, 4], given[5, 2], given[7, 1] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        compare([x], [y, sm.sum(y, axis=1), sm.sum(x[::2, :2], axis=0)], [given])


def test_a_large_nest_is_computed_in_the_same_parts_by_any_number_of_threads():
    x, w = sm.Variable("x", shape=(50_001, 3)), sm.Variable("w", shape=(50_001, 1))
    y = x * w
    outputs = [y, sm.sum(y, axis=0), sm.sum(sm.sqrt(sm.sum(y * y, axis=1)))]
    rng = np.random.default_rng(3)
    values = [rng.standard_normal(v.type.shape) for v in (x, w)]
    compare([x, w], outputs, values)
    one, two = (sm.compile([x, w], outputs, threads=n)(*values) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_short_rows_of_many_are_computed_at_once():
    def layouts(*shape):
        x, w = sm.Variable("x", shape=shape), sm.Variable("w", shape=(shape[0], 1))
        graph = native_graph(sm.Graph([sm.sum(x * w, axis=1)]))
        nests = [Nest(node.op) for node in graph.nodes if isinstance(node.op, Fused)]
        return [NestLayout(nest) for nest in nests]

    assert [one.has_short_rows for one in layouts(100, 3)] == [True]
    assert [one.has_short_rows for one in layouts(100, 30)] == [False]
    assert [one.has_short_rows for one in layouts(1, 3)] == [False]
    (layout,) = layouts(100, 3)
    assert {read.across(layout.row) for read in layout.reads} == {Across.NEXT}
