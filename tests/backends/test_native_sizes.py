"""Native code of every kind at sizes around those of its blocks: one less, one more, and odd ones.

Kernels work in lanes of vectors, blocks of :data:`~.kernels.loops.ADDED` rows of lanes, bands of
rows, parts that threads share, and blocks of columns; each has a rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.native.kernels.loops import ADDED
from symad.backends.native.kernels.transposition import BAND
from symad.backends.native.lower import contract, lapack, loops
from symad.graph.nested import leaves

pytest.importorskip("llvmlite")

Array = np.ndarray[Any, Any]
BLOCKS = (
    4, 8, 16, ADDED * 4, ADDED * 8, BAND, lapack._BLOCK, loops._PARTS * loops._ROWS_OF_PART,
)  # fmt: skip
SIZES = sorted({size + k for size in BLOCKS for k in (-1, 0, 1)} | {1, 2, 131, 157, 509})
FEW = [1, 2, 3, 15, 17, 31, 33, 63, 64, 65, 129, 131]
"""For what takes the third power of a size."""


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float64") -> Array:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


def check(function: Any, arrays: list[Array], rtol: float = 1e-12) -> None:
    """Compare native code with NumPy's kernels, exactly for what is not floating."""
    xs = [sm.Variable(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    nodes = function(*xs)
    found = sm.compile(xs, nodes, backend="native")(*arrays)
    wanted = sm.compile(xs, nodes, backend="numpy")(*arrays)
    for got, want in zip(leaves(found), leaves(wanted), strict=True):
        assert got.dtype == want.dtype and np.shape(got) == np.shape(want)
        shapes = [a.shape for a in arrays]
        if got.dtype.kind != "f":
            np.testing.assert_array_equal(got, want, str(shapes))
        else:
            scale = float(np.max(np.abs(want), initial=1.0))
            rounding = rtol * (1e9 if got.dtype == np.float32 else 1)
            np.testing.assert_allclose(got, want, rounding, rounding * scale, err_msg=str(shapes))


OF_VECTORS: dict[str, Callable[..., Any]] = {
    "elementwise": lambda x, y: [x * y + 1, sm.exp(x), sm.where(x > y, x, y)],
    "reductions": lambda x, y: [sm.sum(x * y), sm.max(x), sm.prod(1 + x / 99), sm.mean(x)],
    "gradient of logsumexp": lambda x, y: sm.gradients(sm.logsumexp(x * y), [x, y]),
    "running": lambda x, y: [sm.cumsum(x), sm.cumsum(x[::-1]), sm.cumprod(1 + y / 99)],
    "order": lambda x, y: [sm.sort(x), sm.argsort(y), sm.argmax(x), sm.argmin(y), sm.median(x)],
    "places": lambda x, y: [sm.flip(x), sm.roll(y, 3), x[::2], sm.pad(x, 1), sm.repeat(y, 3)],
    "joined": lambda x, y: [sm.concat([x, y, x]), sm.stack([x, y], 1), sm.tile(x, 2)],
    "outer": lambda x, y: [sm.outer(x, y[:3]), x[:, None] * y[:3], sm.dot(x, y)],
    "taken": lambda x, y: [x[sm.argsort(y)], sm.scatter_add(y, sm.zeros(x.shape), sm.argsort(x))],
    "searched": lambda x, y: [sm.searchsorted(sm.sort(x), y), sm.cummax(x), sm.diff(y)],
    "windows": lambda x, y: [sm.convolve(x, y[:2]), sm.interp(x, [-1.0, 0.0, 1.0], [2.0, 0, 1.0])],
}  # fmt: skip


@pytest.mark.parametrize("name", OF_VECTORS)
def test_vectors(name: str) -> None:
    rng = np.random.default_rng(3)
    for k, size in enumerate(size for size in SIZES if size > 1):
        dtype = ("float64", "float32")[k % 2]
        check(OF_VECTORS[name], [drawn(rng, (size,), dtype), drawn(rng, (size,), dtype)])


OF_MATRICES: dict[str, Callable[..., Any]] = {
    "transposed": lambda a: [a.T + 0, a.T * a.T, sm.flip(a.T, 0), a.T[::-1, ::2]],
    "rows": lambda a: [sm.sum(a, 0), sm.sum(a, 1), sm.max(a, 0), sm.argmax(a, 1), sm.any(a > 2, 0)],
    "running": lambda a: [sm.cumsum(a, 0), sm.cumsum(a, 1), sm.cumsum(a.T, 0)],
    "order": lambda a: [sm.sort(a, axis=0), sm.argsort(a, axis=1), sm.sort(a.T, axis=-1)],
    "triangles": lambda a: [sm.tril(a, -1), sm.triu(a.T, 1), sm.diagonal(a), sm.diagonal(a.T, 1)],
    "places": lambda a: [a[1:, ::-1], sm.roll(a, 5, 1), sm.pad(a, ((0, 1), (2, 0))), a[:, :1]],
    "scaled": lambda a: [a - sm.mean(a, 1, keepdims=True), a * a[:1], a * a[:, :1], a.T * a[0, 0]],
    "joined": lambda a: [sm.concat([a, a], 0), sm.concat([a.T, a.T], 1), sm.stack([a, a], 1)],
}


SHAPES = [
    (131, 157), (157, 131), (129, 255), (257, 33), (31, 129), (1, 131), (131, 1), (513, 3),
    (3, 513), (127, 128), (65, 63),
]  # fmt: skip


@pytest.mark.parametrize("name", OF_MATRICES)
def test_matrices(name: str) -> None:
    rng = np.random.default_rng(4)
    for k, (rows, columns) in enumerate(SHAPES):
        dtype = ("float64", "float32", "int8")[k % 3]
        check(OF_MATRICES[name], [drawn(rng, (rows, columns), dtype)])


PRODUCTS: dict[str, Callable[..., Any]] = {
    "matrices": lambda a, b: [a @ b, b.T @ a.T, a.T @ b.T if a.type == b.type else a],
    "vectors": lambda a, b: [a @ b[:, 0], a[0] @ b, sm.sum(a[0] * b[:, 0])],
    "gradient": lambda a, b: sm.gradients(sm.sum(sm.tanh(a @ b)), [a, b]),
    "einsum": lambda a, b: [sm.einsum("ij,jk->ki", a, b), sm.einsum("ij,jk->i", a, b)],
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str, dtype: str) -> None:
    if name == "gradient" and dtype == "int64":
        return
    rng = np.random.default_rng(5)
    sizes = [*zip(FEW, FEW[3:] + FEW[:3], FEW[5:] + FEW[:5], strict=True), (129, 129, 129)]
    for n, m, k in sizes:
        check(PRODUCTS[name], [drawn(rng, (n, m), dtype), drawn(rng, (m, k), dtype)], 1e-11)


SYSTEMS: dict[str, Callable[..., Any]] = {
    "solved": lambda a, b: [sm.linalg.solve(a, b), sm.linalg.inv(a), sm.linalg.solve(a, b[:, 0])],
    "determinant": lambda a, b: [sm.linalg.slogdet(a), sm.linalg.det(a / 40)],
    "cholesky": lambda a, b: [sm.linalg.cholesky(a @ a.T), sm.linalg.cholesky(a @ a.T, upper=True)],
    "triangular": lambda a, b: [
        sm.linalg.solve_triangular(a, b, lower=True),
        sm.linalg.solve_triangular(a.T, b, lower=False),
    ],
    "factors": lambda a, b: [sm.linalg.svdvals(a), sm.linalg.eigvalsh(a + a.T)],
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_linear_systems(name: str) -> None:
    rng = np.random.default_rng(6)
    for size in FEW:
        a = np.eye(size) * (size + 30.0) + drawn(rng, (size, size))
        check(SYSTEMS[name], [a, drawn(rng, (size, 3))], 1e-9)


@pytest.mark.parametrize("shape", [(129, 131), (131, 3, 157), (2, 255, 129), (7, 163, 5, 31)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "bool"])
def test_copies_in_every_order_of_axes(shape: tuple[int, ...], dtype: str) -> None:
    """Of inputs that lie in memory in any order, and of results."""
    rng = np.random.default_rng(7)
    array = drawn(rng, shape, dtype)
    orders = [rng.permutation(len(shape)) for _ in range(4)] + [np.arange(len(shape))[::-1]]
    for order in orders:
        axes = tuple(int(axis) for axis in order)
        given = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
        x = sm.Variable("x", shape, dtype)
        outputs = [sm.permute_dims(x, axes), sm.reshape(sm.permute_dims(x, axes), (-1,))]
        for value in (given, given[::-1], np.flip(given, -1)):
            first, flat = sm.compile([x], outputs, backend="native")(value)
            np.testing.assert_array_equal(first, value.transpose(axes))
            np.testing.assert_array_equal(flat, value.transpose(axes).ravel())


def test_the_blocks_are_those_of_the_kernels() -> None:
    """The sizes above go around them; a product has loops of its own up to a size."""
    assert max(SIZES) > max(BLOCKS) and 65**2 > contract._OWN
