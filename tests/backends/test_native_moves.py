"""Native code that moves and reduces, beside NumPy: sizes around blocks, dtypes, strides."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.native.kernels.transposition import block_of

pytest.importorskip("llvmlite")

Array = np.ndarray[Any, Any]
DTYPES = ("bool", "int8", "int16", "float16", "float32", "float64")


def numbers(shape: tuple[int, ...], dtype: str) -> Array:
    """Return numbers that tell neighbours apart."""
    most = 2 if dtype == "bool" else 101
    return (np.arange(np.prod(shape)) * 37 % 101 % most).reshape(shape).astype(dtype)


def check(formula: Any, *arrays: Array) -> None:
    """Compare a compiled function with the formula on NumPy's arrays, to the last bit."""
    inputs = [sm.Variable(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    found = sm.compile(inputs, formula(sm, *inputs), backend="native")(*arrays)
    expected = formula(np, *arrays)
    assert found.dtype == expected.dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected, str([a.shape for a in arrays]))


def reduced(name: str, axes: Any, keepdims: bool, m: Any, x: Any) -> Any:
    """Return a reduction by a function of NumPy's or symad's."""
    return getattr(m, name)(x, axis=axes, keepdims=keepdims)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transposes(dtype: str) -> None:
    block = block_of(np.dtype(dtype).itemsize)
    sizes = (0, 1, block - 1, block, block + 1, 3 * block + 2)
    for rows, columns in itertools.product(sizes, sizes):
        check(lambda m, x: m.transpose(x, (1, 0)), numbers((rows, columns), dtype))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(4))))
def test_permutations(axes: tuple[int, ...]) -> None:
    x = numbers((17, 2, 19, 18), "float32")
    check(lambda m, x: m.transpose(x, axes), x)
    check(lambda m, x: m.transpose(x[:, :, 1:, ::2], axes), x)
    check(lambda m, x: m.transpose(x[::-1, :, :, :-1], axes) * 2 + 1, x)
    check(lambda m, x, y: m.transpose(x, axes) + y, x, numbers(x.transpose(axes).shape, "float32"))


def test_transposes_across_bands_and_cache_lines() -> None:
    for shape in ((70, 131), (131, 64), (200, 33), (33, 1000)):
        check(lambda m, x: x.T, numbers(shape, "float64"))
        check(lambda m, x: x[1:, 3:].T - x[1:, 3:].T / 2, numbers(shape, "float64"))


def test_columns_of_few_elements() -> None:
    for rows, width in ((4095, 3), (4096, 3), (4163, 31), (9001, 2)):
        x = numbers((rows, width), "float64")
        check(lambda m, x: m.sum(x, axis=0), x)
        check(lambda m, x: m.max(m.reshape(x, (-1, 1, x.shape[1])), axis=(0, 1)), x.astype("int8"))


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_reductions_of_float16(name: str) -> None:
    x = numbers((3, 17, 5), "float16") / np.float16(8)
    x[1, 4], x[2, 5, 0], x[0, 6] = np.nan, -np.nan, [0.0, -0.0, -np.inf, 6e-8, -6e-8]
    for axes in (None, 0, 1, (0, 2), (1, 2)):
        check(partial(reduced, name, axes, False), x[:, :4].copy())
        check(partial(reduced, name, axes, True), x)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_lines_in_turn(count: int) -> None:
    for dtype in DTYPES:
        block = block_of(np.dtype(dtype).itemsize)
        for size in (0, 1, block, 4 * block + 1, 131):
            x = numbers((size, count), dtype)
            columns = [numbers((2, size), dtype) for _ in range(count)]
            check(lambda m, x: m.transpose(x, (1, 0)), x)
            check(lambda m, x: m.transpose(x[:, ::-1], (1, 0)), x)
            check(lambda m, x: m.transpose(x, (1, 0)), numbers((count, size), dtype))
            check(lambda m, *xs: m.stack(xs, axis=-1), *[np.zeros((0, size), dtype)] * count)
            check(lambda m, *xs: m.stack(xs, axis=-1), *columns)
            check(lambda m, *xs: m.concatenate([x[:, :, None] for x in xs], axis=2), *columns)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
def test_elements_apart(dtype: str) -> None:
    for size, step in itertools.product((1, 8, 9, 33, 100), (2, 3, 4, 5)):
        x = numbers((3, 4, size * step), dtype)  # the last element is the last of memory
        check(lambda m, x, step=step: x[0, 0, ::step] * 2, x)
        check(lambda m, x, step=step: x[..., step - 1 :: step] - x[..., ::step], x)
        check(lambda m, x, step=step: m.max(x[:, 1:, step - 1 :: step], axis=1), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_at_indices(dtype: str) -> None:
    i = np.array([2, -1, 0, 2, 1])
    for width in (1, 2, 3, 5, 16, 65, 100):
        x, v = numbers((3, width), dtype), numbers((5, width), dtype)
        check(lambda m, x, i: x[i], x, i)
        check(lambda m, x, i: x[i, ::-1], x, i)
        if dtype in ("int8", "float32", "float64"):
            places = [sm.Variable("i", i.shape, i.dtype), sm.Variable("v", v.shape, v.dtype)]
            zeros, ones = sm.zeros((3, width)), sm.ones((3, width))
            nodes = [sm.add_at(zeros, *places), sm.set_at(ones, *places)]
            added, expected = np.zeros((3, width)), np.ones((3, width))
            np.add.at(added, i, v)
            expected[i] = v
            np.testing.assert_array_equal(sm.compile(places, nodes)(i, v), [added, expected])


@pytest.mark.parametrize("dtype", DTYPES)
def test_padding(dtype: str) -> None:
    for shape in ((1, 1), (5, 3), (3, 0), (9, 129)):
        x = numbers(shape, dtype)
        check(lambda m, x: m.pad(x, ((1, 2), (0, 3))), x)
        check(lambda m, x: m.pad(x, ((0, 70), (2, 0)), constant_values=1), x)


SUMS_OF_SLICES: dict[str, Any] = {
    "neighbours": lambda x: sm.sum(x[1:] * x[:-1]),
    "three": lambda x: sm.sum(x[2:] * x[1:-1] * x[:-2]),
    "backwards": lambda x: sm.sum(x[::-1][1:] * x[:-1] * x[2]),
    "both axes": lambda x: sm.sum(x[1:, 1:] * x[:-1, :-1]),
    "new axes": lambda x: sm.sum(x[1:, None] * x[:-1, None] * x[-2]),
    "columns": lambda x: sm.sum(x[:, 1] * x[:, 0]) + sm.sum(x[:, 1:] ** 3) + sm.sum(x[2:] ** 2),
    "stencil": lambda x: sm.sum(
        (4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]) ** 2
    ),
}


@pytest.mark.parametrize("name", SUMS_OF_SLICES)
def test_gradients_of_sums_of_slices(name: str) -> None:
    for k, shape in enumerate(((5, 3), (40, 50), (3, 600), (600, 3))):
        values = numbers(shape, ("float64", "float32")[k % 2]) / 64
        x = sm.Variable("x", shape, values.dtype)
        gradient = sm.gradients(SUMS_OF_SLICES[name](x), x)
        native, plain = (sm.compile([x], gradient, backend=b)(values) for b in ("native", "numpy"))
        np.testing.assert_allclose(native, plain, 1e-5, 1e-5)


AXES = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(4), count)]


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_reductions_over_any_axes(name: str) -> None:
    for k, axes in enumerate(AXES):
        dtype = ("float64", "float32", "int16", "bool", "uint8")[k % 5]
        for shape in ((3, 17, 1, 34), (70, 2, 5, 3)):
            x = numbers(shape, dtype)
            check(partial(reduced, name, axes, False), x)
            check(lambda m, x, axes=axes: reduced(name, axes, True, m, x[::-1, ..., ::2]), x)
