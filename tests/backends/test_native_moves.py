"""Native code that moves and reduces, beside NumPy: sizes around blocks, dtypes, strides."""

from __future__ import annotations

import itertools
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


AXES = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(4), count)]


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_reductions_over_any_axes(name: str) -> None:
    for k, axes in enumerate(AXES):
        dtype = ("float64", "float32", "int16", "bool", "uint8")[k % 5]
        for shape in ((3, 17, 1, 34), (70, 2, 5, 3)):
            x = numbers(shape, dtype)
            check(lambda m, x: getattr(m, name)(x, axis=axes), x)
            check(lambda m, x: getattr(m, name)(x[::-1, ..., ::2], axis=axes, keepdims=True), x)
