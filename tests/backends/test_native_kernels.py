"""Kernels of products, copies, linear algebra and indexing, against NumPy, by themselves."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.native import fortran
from symad.backends.native.kernel_call import BufferView, KernelCall, contiguous_strides
from symad.backends.native.lower import contract, copies, index, lapack
from symad.backends.native.lower.dispatch import supports
from symad.errors import SymadError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.ops.cumulative import linear_recurrence
from symad.ops.gather import AddAlongAxis
from symad.ops.inverse import identity_matrix
from symad.ops.join import ConcatPlace
from symad.ops.triangle import DiagonalPlace

pytest.importorskip("llvmlite")

Array = np.ndarray[Any, Any]


class Memory:
    """Blocks of memory, each an array, and the commands that work on them."""

    def __init__(self) -> None:
        self._blocks: list[Array] = []

    def view(self, array: Array) -> BufferView:
        """Return the view of an array, whatever its strides."""
        self._blocks.append(array)
        strides = tuple(step // array.itemsize for step in array.strides)
        return BufferView(len(self._blocks) - 1, 0, array.shape, strides, array.dtype)

    def scratch(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> BufferView:
        """Return memory whose contents would be noticed."""
        array = np.empty(shape, dtype)
        array.view(np.uint8 if shape else dtype)[...] = 201
        return self.view(array)

    def array(self, view: BufferView) -> Array:
        return self._blocks[view.block]

    def run(self, commands: Sequence[KernelCall]) -> int:
        """Call all commands; return the first error code."""
        for command in commands:
            words = [self._word(word) for word in command.arguments]
            block = np.array([*words, 12345], "int64")
            code = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(command.address)
            error: int = code(block.ctypes.data)
            assert list(block) == [*words, 12345], "a kernel has written to its words"
            if error:
                return error
        return 0

    def _word(self, word: int | BufferView) -> int:
        if isinstance(word, int):
            return word
        address: int = self._blocks[word.block].ctypes.data
        return address + word.offset


TABLE: dict[type[Op], Callable[..., list[KernelCall] | None]] = {
    **copies.TABLE,
    **contract.TABLE,
    **lapack.TABLE,
    **index.TABLE,
}


def computed(node: Node, *arrays: Array) -> Any:
    """Return the value of ``node``, whose inputs have these values, by its commands.

    What lies around the result must stay as it was.
    """
    memory = Memory()
    inputs = [memory.view(array) for array in arrays]
    shape = node.type.shape
    mark = np.uint8(77).astype(node.dtype)
    around = np.full(int(np.prod(shape)) + 16, mark)
    inside = around[8:-8].reshape(shape)
    output = memory.view(inside)
    before = [array.copy() for array in arrays]
    assert node.op is not None
    commands = TABLE[type(node.op)](node, inputs, output, memory.scratch)
    assert commands is not None, "there is no native code"
    assert memory.run(commands) == 0
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert (around[:8] == around[-8:]).all() and (
        around[:8] == np.uint8(77).astype(node.dtype)
    ).all()
    return inside


def expected(node: Node, *arrays: Array) -> Any:
    assert node.op is not None
    return node.op.kernel()(*arrays)


def same(node: Node, *arrays: Array) -> None:
    """Check a node of ``arrays``, exactly for what is not floating."""
    found, wanted = computed(node, *arrays), expected(node, *arrays)
    assert found.shape == np.shape(wanted) and found.dtype == np.asarray(wanted).dtype
    if found.dtype.kind == "f":
        eps = np.finfo(found.dtype).eps
        scale = max(1.0, float(np.abs(np.where(np.isfinite(wanted), wanted, 0)).max(initial=0)))
        np.testing.assert_allclose(found, wanted, rtol=64 * eps, atol=64 * eps * scale)
    else:
        np.testing.assert_array_equal(found, wanted)


def node_of(build: Callable[..., Node], *arrays: Array) -> Node:
    """Return the node that ``build`` makes of variables like ``arrays``."""
    names = [f"x{k}" for k in range(len(arrays))]
    variables = [
        sm.Variable(name, shape=array.shape, dtype=array.dtype)
        for name, array in zip(names, arrays, strict=True)
    ]
    node = build(*variables)
    assert list(node.inputs) == variables, "the op is not applied to its inputs"
    return node


def check(build: Callable[..., Node], *arrays: Array) -> None:
    same(node_of(build, *arrays), *arrays)


def values(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if np.dtype(dtype).kind == "f":
        return random.standard_normal(shape).astype(dtype)
    limit = 2 if dtype == "bool" else 100
    return random.integers(0, limit, shape).astype(dtype)


def disordered(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Return an array with some strides: transposed, reversed, with gaps or repeated."""
    order = random.permutation(len(shape))
    gaps = random.choice([1, 1, 1, 2, 3], len(shape))
    whole = values(random, tuple(int(shape[a] * gaps[a]) for a in order), dtype)
    array = np.asarray(whole.transpose(np.argsort(order)) if shape else whole)
    steps = tuple(slice(None, None, int(g)) for g in gaps)
    array = array[(*steps, ...)]
    for axis in range(len(shape)):
        kind = random.integers(8)
        if kind == 0:
            array = np.flip(array, axis)
        elif kind == 1 and shape[axis]:
            array = np.broadcast_to(np.take(array, [0], axis), shape)
    assert array.shape == shape
    return array


DTYPES = ["float64", "float32", "int64", "int32", "int8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(12))
def test_matmul_of_any_shape_and_strides(dtype: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(12):
        m, n, k = (int(random.choice([0, 1, 2, 3, 5, 8, 9, 17, 33])) for _ in range(3))
        left, right = (m, k), (k, n)
        if random.random() < 0.3:
            left = left[1:]
        if random.random() < 0.3:
            right = right[:1]
        batch = tuple(int(b) for b in random.integers(0, 4, random.choice([0, 0, 1, 2])))
        if len(left) > 1:
            left = (*(1 if random.random() < 0.2 else b for b in batch), *left)
        if len(right) > 1:
            right = (*batch[random.integers(len(batch) + 1) :], *right)
        pair = [disordered(random, shape, dtype) for shape in (left, right)]
        check(sm.matmul, *pair)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dot_products_of_long_vectors(dtype: str) -> None:
    random = np.random.default_rng(0)
    for x in (values(random, (5000,), dtype), values(random, (5000, 2), dtype)[:, 1]):
        y = values(random, (5000,), dtype)
        for pair in ((x, y), (y, x), (x, x), (x[::-1], y), (x[::-1], x)):
            check(sm.matmul, *pair)
        check(sm.matmul, y[None], np.broadcast_to(y[:1, None], (5000, 1)))


@pytest.mark.parametrize("dtypes", [("int32", "float32"), ("float32", "float64"), ("bool", "int8")])
def test_matmul_of_several_dtypes(dtypes: tuple[str, str]) -> None:
    random = np.random.default_rng(0)
    check(sm.matmul, values(random, (5, 7), dtypes[0]), values(random, (7, 3), dtypes[1]))


def test_matmul_of_integers_wraps_around() -> None:
    x = np.array([[100, 100], [-100, 3]], "int8")
    check(sm.matmul, x, x)
    check(sm.matmul, x, x[0])


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matmul_multiplies_zeros_as_well(size: int, dtype: str) -> None:
    """0 · ∞ and 0 · NaN are NaN."""
    x, y = np.zeros((size, size), dtype), np.ones((size, size), dtype)
    y[1, 1], y[2, 2] = np.inf, np.nan
    for pair in ((x, y), (x[0], y), (y, x[0]), (y.T, x)):
        found = computed(node_of(sm.matmul, *pair), *pair)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(np.isnan(found), np.isnan(pair[0] @ pair[1]))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
@pytest.mark.parametrize(
    "subscripts",
    [
        "ij,jk->ik", "ij,jk->ki", "ij,kj->ik", "ji,jk->ik", "ijb,jkb->ikb", "bij,bjk->bik",
        "ijk,jkl->il", "ijk,kjl->il", "ijk,ljk->li", "i,j->ij", "i,i->", "ij,ij->", "ij,ji->",
        "ab,cd->acbd", "ab,cd->dbca", "abc,cbd->dab", "ij,i->ij", ",i->i", "ibj,jbk->kbi",
        "...ij,kj->...ik", "i...,j...->...ij", "abcd,cdef->fabe", "xay,bax->yb",
    ],
)  # fmt: skip
def test_einsum_of_two_operands(subscripts: str, dtype: str) -> None:
    random = np.random.default_rng(3)
    sizes = {letter: int(random.choice([1, 2, 3, 5, 8])) for letter in "abcdefijklxy"}
    for _ in range(4):
        arrays = []
        for term in subscripts.split("->")[0].split(","):
            dots = (2, 3) if "..." in term else ()
            letters = [sizes[letter] for letter in term.replace("...", "")]
            at = term.index("...") if dots else 0
            shape = (*letters[:at], *dots, *letters[at:])
            arrays.append(disordered(random, shape, dtype))
        variables = [sm.Variable(f"v{k}", shape=a.shape, dtype=dtype) for k, a in enumerate(arrays)]
        whole = sm.einsum(subscripts, *variables)
        if type(whole.op).__name__ != "Einsum" or list(whole.inputs) != variables:
            continue
        same(whole, *arrays)
        sizes = {letter: int(random.choice([1, 2, 3, 5, 8])) for letter in sizes}


SHAPES = [(), (1,), (7,), (3, 5), (1, 4), (5, 1), (0, 3), (2, 3, 4), (2, 1, 3), (40, 33)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtypes", [("float64",) * 2, ("int8",) * 2, ("bool", "float32"),
                                    ("int64", "float32"), ("float32", "float64")])  # fmt: skip
def test_copies_between_any_strides(shape: tuple[int, ...], dtypes: tuple[str, str]) -> None:
    random = np.random.default_rng(len(shape))
    node = sm.Variable("x", shape=shape)
    for _ in range(20):
        source = disordered(random, shape, dtypes[0])
        target = np.array(disordered(random, shape, dtypes[1]), order="K")
        if random.random() < 0.5:
            target = np.zeros((*(2 * size for size in shape), 3), dtypes[1])
            target = target[(*(slice(None, None, 2) for _ in shape), 1)][...]
        memory = Memory()
        made = copies.copy(node, memory.view(source), memory.view(target))
        assert made is not None
        memory.run(made)
        np.testing.assert_array_equal(target, source.astype(dtypes[1]))


@pytest.mark.parametrize("shape", [(160, 200), (128, 33), (300, 40, 3), (2, 150, 140)])
@pytest.mark.parametrize("dtype", ["float64", "int8"])
def test_large_transpositions(shape: tuple[int, ...], dtype: str) -> None:
    random = np.random.default_rng(1)
    for array in (values(random, shape, dtype).T, np.flip(values(random, shape, dtype).T, 0)):
        memory = Memory()
        target = np.zeros(array.shape, dtype)
        views = memory.view(array), memory.view(target)
        memory.run(copies.copy(sm.Variable("x"), *views) or [])
        np.testing.assert_array_equal(target, array)


def test_fill_sets_strided_memory() -> None:
    memory, node = Memory(), sm.Variable("x")
    whole = np.zeros((6, 5), "float32")
    memory.run(copies.fill(node, -1.5, memory.view(whole[::2, ::3])) or [])
    wanted = np.zeros((6, 5), "float32")
    wanted[::2, ::3] = -1.5
    np.testing.assert_array_equal(whole, wanted)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool"])
@pytest.mark.parametrize("seed", range(4))
def test_ops_that_move_elements(dtype: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for shape in [(4, 5), (1, 3), (3, 1), (2, 0), (2, 3, 4), (2, 1, 9)]:
        x, y = disordered(random, shape, dtype), disordered(random, shape, dtype)
        last = disordered(random, (*shape[:-1], 3), dtype)
        check(lambda a, b: sm.concat([a, b], axis=-1), x, last)
        check(lambda a, b: sm.concat([a, b], axis=0), x, y)
        check(lambda a, b: sm.stack([a, b], axis=-1), x, y)
        check(lambda a, b: sm.stack([a, b], axis=1), x, y)
        check(lambda a: sm.roll(a, 3, axis=1), x)
        check(lambda a: sm.roll(a, (3, -7, 2), axis=(1, 0, 1)), x)
        check(lambda a: sm.roll(a, -2), np.ascontiguousarray(x))
        check(lambda a: sm.tile(a, (2, 1, 3)), x)
        check(lambda a: sm.tile(a, 0), x)
        check(lambda a: sm.repeat(a, 3, axis=1), x)
        check(lambda a: sm.repeat(a, 2, axis=-1), x)
        check(lambda a: sm.pad(a, 2, constant_values=1), x)
        check(lambda a: sm.pad(a, 1), x)
        for k in (-9, -1, 0, 2, 9):
            check(lambda a, k=k: sm.tril(a, k), x)
            check(lambda a, k=k: sm.triu(a, k), x)
            check(lambda a, k=k: sm.diag(a, k), x.reshape(-1)[:5])


@pytest.mark.parametrize("offset", [-4, -1, 0, 2, 4])
def test_adjoints_that_place_elements(offset: int) -> None:
    random = np.random.default_rng(7)
    like = values(random, (2, 4, 3), "float64")
    for axes in ((0, 1), (2, 1), (-1, 0)):
        v = disordered(random, np.diagonal(like, offset, *axes).shape, "float64")
        check(lambda a, b, at=axes: apply(DiagonalPlace(offset, *at), a, b), v, like)
    x, y = disordered(random, (3, 2), "float32"), disordered(random, (3, 4), "float32")
    check(lambda v, a, b: apply(ConcatPlace(1, 0), v, a, b), x, x, y)
    check(lambda v, a, b: apply(ConcatPlace(-1, 1), v, a, b), y, x, y)
    check(identity_matrix, like.reshape(2, 3, 4)[:, :3, :3])


# Linear algebra


def matrices(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Return well-conditioned matrices with some strides."""
    noise = disordered(random, shape, dtype)
    array = np.empty_like(noise, subok=False)
    array[...] = 0.1 * noise
    for k in range(shape[-1]):
        array[..., k, k] += 1 + k % 3
    return array


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 13])
@pytest.mark.parametrize("batch", [(), (3,), (2, 1), (0,)])
def test_linear_algebra(dtype: str, size: int, batch: tuple[int, ...]) -> None:
    random = np.random.default_rng(size)
    a = matrices(random, (*batch, size, size), dtype)
    check(sm.linalg.inv, a)
    check(sm.linalg.det, a)
    swapped = np.roll(a, 1, axis=-1)
    check(sm.linalg.det, swapped)
    positive = a @ np.swapaxes(a, -1, -2)
    check(sm.linalg.cholesky, positive)
    check(sm.linalg.cholesky, np.tril(positive) + np.triu(np.full_like(positive, 99), 1))
    for shape in [(*batch, size, 4), (*batch, size, 1), (size,), (4, *batch, size, 2), (size, 0)]:
        b = disordered(random, shape, dtype)
        check(sm.linalg.solve, swapped, b)
        for lower in (False, True):
            for unit in (False, True):
                for matrix in (a, np.swapaxes(np.ascontiguousarray(a), -1, -2)):
                    check(
                        lambda x, y, lower=lower, unit=unit: sm.linalg.solve_triangular(
                            x, y, lower=lower, unit_diagonal=unit
                        ),
                        matrix,
                        b,
                    )


def in_each_order(array: Array) -> list[Array]:
    """Return the same matrices by rows, by columns, and with gaps."""
    gaps = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    gaps[..., ::2] = array
    by_columns = np.ascontiguousarray(np.swapaxes(array, -1, -2))
    return [array, np.swapaxes(by_columns, -1, -2), gaps[..., ::2]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", range(1, 10))
def test_small_matrices(dtype: str, size: int) -> None:
    random = np.random.default_rng(size)
    general = matrices(random, (2, size, size), dtype)
    right = random.standard_normal((size, 3)).astype(dtype)
    for a in in_each_order(np.roll(general, 1, axis=-1)):
        check(sm.matmul, a, right)
        check(sm.matmul, right.T, a[0])
        check(sm.linalg.solve, a, right)
        check(sm.linalg.solve, a[0], right[:, 1])
        check(sm.linalg.inv, a)
        check(sm.linalg.det, a)
        positive = a @ np.swapaxes(a, -1, -2) + np.eye(size, dtype=dtype)
        check(sm.linalg.cholesky, positive.swapaxes(-1, -2))


@pytest.mark.parametrize("size", [9, 12, 13])
def test_large_stacks(size: int) -> None:
    a = matrices(np.random.default_rng(size), (70, size, size), "float64")
    for op in (sm.linalg.inv, sm.linalg.det):
        check(op, a)
    check(sm.linalg.solve, a, a[0, :, :2])
    check(lambda x, y: sm.linalg.solve_triangular(x, y, lower=True), a, a[0, :, :2])
    check(sm.linalg.cholesky, a @ a.mT + np.eye(size))


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_determinants_whose_partial_products_overflow(size: int) -> None:
    for powers in ((200, 200, -300, -200, 150), (-200, -200, 300, 150, 0), (-310, 5), (0, -320)):
        diagonal = 10.0 ** np.resize(powers, size)
        wanted = float(np.prod(diagonal.astype(np.longdouble)))
        for a in (np.diag(diagonal), np.diag(diagonal)[::-1], np.diag(-diagonal)):
            found = computed(node_of(sm.linalg.det, a), a)
            sign = np.rint(np.linalg.det(np.sign(a)))
            np.testing.assert_allclose(found, sign * wanted, rtol=1e-11)
    check(sm.linalg.det, np.zeros((size, size)))
    check(sm.linalg.det, np.ones((size, size)))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_is_no_failure() -> None:
    nan, positive = np.full((3, 3), np.nan), np.diag([1.0, np.nan, 1.0])
    for op in (sm.linalg.inv, sm.linalg.det, sm.linalg.cholesky):
        check(op, nan[:1, :1])
    for op in (sm.linalg.inv, sm.linalg.det):
        check(op, nan)
    check(sm.linalg.solve, nan, np.ones(3))
    assert np.isnan(computed(node_of(sm.linalg.cholesky, positive), positive)[1, 1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sign_and_logarithm_of_determinants(dtype: str) -> None:
    random = np.random.default_rng(5)
    sizes = [(size, size) for size in range(1, 10)]
    for shape in [*sizes, (2, 4, 4), (0, 0), (5, 0, 0), (0, 2, 2)]:
        x = np.roll(matrices(random, shape, dtype), 1, axis=-1)
        if len(shape) == 3 and x.size:
            x = x.copy()
            x[1, 1] = 0
        memory = Memory()
        outputs = [memory.scratch(shape[:-2], x.dtype) for _ in range(2)]
        op = sm.linalg.slogdet(sm.Variable("x", shape=shape, dtype=dtype)).sign.inputs[0]
        made = lapack.TABLE[type(op.op)](op, [memory.view(x)], tuple(outputs), memory.scratch)
        assert made is not None and memory.run(made) == 0
        for found, wanted in zip(map(memory.array, outputs), np.linalg.slogdet(x), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype == "float32" else 1e-12)


def test_linear_algebra_of_integers_is_in_float64() -> None:
    x = np.array([[4, 1], [1, 3]], "int32")
    for op in (sm.linalg.cholesky, sm.linalg.inv, sm.linalg.det):
        check(op, x)
    check(sm.linalg.solve, x, np.array([1, 2], "int8"))
    check(sm.linalg.solve_triangular, x, np.array([1, 2], "int8"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (sm.linalg.inv, "Singular matrix"),
        (lambda a: sm.linalg.solve(a, np.ones(2)), "Singular matrix"),
        (sm.linalg.cholesky, "Matrix is not positive definite"),
        (lambda a: sm.linalg.solve_triangular(a, np.ones(2)), "its diagonal contains a zero"),
    ],
)
def test_what_fails_in_numpy_gives_an_error_code(build: Any, message: str) -> None:
    good, bad = np.eye(2), np.array([[1.0, 2.0], [0.0, 0.0]])
    for a in (bad, np.stack([good, bad])):
        node = build(sm.Variable("a", shape=a.shape))
        arrays = [a, *(constant.value for constant in node.inputs[1:])]
        memory = Memory()
        views = [memory.view(array) for array in arrays]
        output = memory.scratch(node.type.shape, node.dtype)
        commands = TABLE[type(node.op)](node, views, output, memory.scratch)
        assert commands is not None
        assert memory.run(commands)
        with pytest.raises(np.linalg.LinAlgError, match=message):
            expected(node, *arrays)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_singular_matrices_are_found(size: int, dtype: str) -> None:
    """NumPy decides about what machine code finds: of equal numbers all, of others nearly all."""
    rng = np.random.default_rng(size)
    a = sm.Variable("a", (size, size), dtype)
    f = sm.compile([a], sm.linalg.inv(a), backend="native")
    found = []
    for k in range(60):
        matrix = rng.standard_normal((size, size)).astype(dtype)
        i, j = rng.choice(size, 2, replace=False)
        matrix[i] = (1, 2, -0.5)[k % 3] * matrix[j]
        found.append((_is_singular(np.linalg.inv, matrix), _is_singular(f, matrix)))
        equal = np.full_like(matrix, matrix[0, 0])
        assert _is_singular(f, equal) == _is_singular(np.linalg.inv, equal)
    by_lapack = [native for lapack, native in found if lapack]
    assert sum(by_lapack) > 0.8 * len(by_lapack) > 0


def _is_singular(invert: Any, matrix: Any) -> bool:
    try:
        invert(matrix)
    except (np.linalg.LinAlgError, sm.errors.EvaluationError) as error:
        return "Singular matrix" in str(error)
    return False


@pytest.mark.parametrize("size", [1, 4, 8])
def test_pivots_without_an_inverse_are_left_to_numpy(size: int) -> None:
    """The inverse of the smallest number is infinite, but 2e-323 / 5e-324 = 4."""
    a, b = np.eye(size), np.ones(size)
    a[-1, -1], b[-1] = 5e-324, 2e-323
    compiled = sm.compile([x := sm.Variable("x", shape=a.shape)], sm.linalg.solve(x, b))
    np.testing.assert_array_equal(compiled(a), np.linalg.solve(a, b))


# Indexing


def indices(random: np.random.Generator, shape: tuple[int, ...], size: int, dtype: str) -> Array:
    array: Array = random.integers(0 if dtype[0] == "u" else -size, size, shape).astype(dtype)
    return array


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "bool"])
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_indexing_by_arrays(dtype: str, kind: str) -> None:
    random = np.random.default_rng(2)
    for _ in range(6):
        x = disordered(random, (4, 3, 5), dtype)
        rows, pages = indices(random, (2, 3), 4, kind), indices(random, (3,), 5, kind)
        check(lambda a, i: a[i], x, rows)
        check(lambda a, i: a[:, 1:, i], x, pages)
        check(lambda a, i, j: a[i, :, j], x, rows, pages)
        check(lambda a, i: a[::-2, None, i], x, indices(random, (7,), 3, kind))
        check(lambda a, i: a[1, :, i], x, pages)
        check(lambda a, i: a[-1, i, 2:], x, indices(random, (2, 2), 3, kind))
        check(lambda a, i: a[i, 1:], x, np.array(2, kind))
        check(lambda a, i: a[i], x, np.zeros((0, 2), kind))
        check(lambda a, i: a[i], x[:, 0, 0], rows)
        column, whole = indices(random, (4, 2, 5), 3, kind), indices(random, (1, 2, 1), 3, kind)
        check(lambda a, i: sm.take_along_axis(a, i, 1), x, column)
        check(lambda a, i: sm.take_along_axis(a, i, -2), x, whole)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_writing_at_indices(dtype: str, kind: str) -> None:
    random = np.random.default_rng(4)
    for _ in range(6):
        x = disordered(random, (4, 3, 5), dtype)
        rows = indices(random, (6,), 4, kind)
        rows_value, page = disordered(random, (6, 3, 5), dtype), disordered(random, (3, 1), dtype)
        pages = indices(random, (6,), 5, kind)
        for op in (sm.set_at, sm.add_at):
            check(lambda a, v, i, op=op: op(a, i, v), x, rows_value, rows)
            check(lambda a, v, i, op=op: op(a, i, v), x, page, rows)
            at = (slice(None), 1, slice(1, None, 2))
            check(lambda a, v, op=op, at=at: op(a, at, v), x, disordered(random, (4, 2), dtype))
            check(
                lambda a, v, i, j, op=op: op(a, (i, slice(None), j), v),
                *(x, disordered(random, (6, 3), dtype), rows, pages),
            )
            check(
                lambda a, v, j, op=op: op(a, (slice(1, 3), 0, j), v),
                *(x, disordered(random, (2, 6), dtype), pages),
            )
        check(lambda v, a, i: sm.scatter_add(v, a, i), rows_value, x, rows)
        check(lambda v, a: sm.scatter_add(v, a, (slice(1, 3), 0)), x[:2, 0], x)
        column = indices(random, (4, 7, 5), 3, kind)
        v = disordered(random, (4, 7, 5), dtype)
        check(lambda v, a, i: apply(AddAlongAxis(1), v, a, i), v, x, column)


@pytest.mark.parametrize("bad", [4, -5, 2**40, -(2**40)])
def test_an_index_out_of_range_is_an_error(bad: int) -> None:
    x, i = np.zeros((4, 2)), np.array([0, bad, 1])
    variables = [sm.Variable("x", shape=(4, 2)), sm.Variable("i", shape=(3,), dtype="int64")]
    for node in (
        variables[0][variables[1]],
        sm.set_at(variables[0], variables[1], 1.0),
        sm.add_at(variables[0], variables[1], 1.0),
        sm.scatter_add(sm.constant(np.ones((3, 2))), *variables),
    ):
        given = dict(zip(variables, (x, i), strict=True))
        arrays = [given[n] if n in given else n.value for n in node.inputs]
        memory = Memory()
        views = [memory.view(np.asarray(array)) for array in arrays]
        output = memory.scratch(node.type.shape, node.dtype)
        commands = TABLE[type(node.op)](node, views, output, memory.scratch)
        assert commands is not None and memory.run(commands)
        with pytest.raises(IndexError):
            expected(node, *arrays)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint8", "bool"])
def test_walks_along_an_axis(dtype: str) -> None:
    random = np.random.default_rng(6)
    for shape in [(5,), (3, 4), (1, 6), (2, 3, 4), (0, 3), (3, 0)]:
        x, y = disordered(random, shape, dtype), disordered(random, shape, dtype)
        for axis in range(-len(shape), len(shape)):
            for from_end in (False, True):
                check(lambda a, k=axis, e=from_end: sm.cumsum(a, k, from_end=e), x)
                for only in (False, True):
                    check(
                        lambda a, k=axis, e=from_end, o=only: sm.cumprod(
                            a, k, from_end=e, exclusive=o
                        ),
                        x,
                    )
                if dtype[0] == "f":
                    check(lambda a, b, k=axis, e=from_end: linear_recurrence(a, b, k, e), x, y)
            if shape[axis] and x.size:
                for op in (sm.argmax, sm.argmin):
                    check(lambda a, k=axis, op=op: op(a, k), x)
                    check(lambda a, k=axis, op=op: op(a, k, keepdims=True), x)
        if x.size:
            check(lambda a: sm.argmax(a), np.ascontiguousarray(x))


def test_positions_of_nan_and_of_ties() -> None:
    nan = np.nan
    rows = [[1, nan, 5, nan], [nan, nan, 0, 0], [2, 7, 7, 2], [-0.0, 0.0, -0.0, 0.0]]
    for x in (np.array(rows), np.array(rows)[::-1], np.array(rows).T):
        for axis in (0, 1):
            check(lambda a, k=axis: sm.argmax(a, k), x)
            check(lambda a, k=axis: sm.argmin(a, k), x)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
def test_positions_in_long_lines_and_sums_of_long_rows(dtype: str) -> None:
    random = np.random.default_rng(7)
    for shape, axis in [((40, 50), 1), ((5, 33), 1), ((3, 2, 611), 2), ((1000,), 0), ((70, 3), 0)]:
        x = (30 * random.normal(size=shape)).astype(dtype)
        same, other = np.full(shape, x.flat[0]), x.copy()
        if dtype[0] == "f":
            same[...] = -np.inf
            other.flat[random.integers(x.size, size=3)] = np.nan, -np.nan, np.inf
        for given in (x, same, other):
            for op in (sm.argmax, sm.argmin):
                check(lambda a, op=op, k=axis: op(a, k), given)
                check(lambda a, op=op: op(a), given)
                check(lambda a, op=op, k=-1 - axis: op(a, k), given.T)
            for at in range(len(shape)):
                check(lambda a, k=at: sm.cumsum(a, k), given)
                check(lambda a, k=at: sm.cumprod(a, k, from_end=True), np.sign(given))


# Where BLAS and LAPACK come from


def test_the_library_of_scipy_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its integers have 32 bits, which matters for the pivots that determinants read."""
    find = fortran._find_in_scipy()
    other = fortran.Library(find, fortran._integer_bits(find("dgetrf")))
    for module in (contract, lapack):
        monkeypatch.setattr(module, "library", lambda: other)
    random = np.random.default_rng(8)
    for dtype in ("float64", "float32"):
        a = np.roll(matrices(random, (3, 20, 20), dtype), 3, axis=-1)
        for op in (sm.linalg.det, sm.linalg.inv):
            check(op, a)
        check(sm.matmul, a, a)
        check(sm.linalg.solve, a, a)
        check(sm.linalg.cholesky, a @ np.swapaxes(a, -1, -2))


def test_without_a_library_products_have_own_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, lapack):
        monkeypatch.setattr(module, "library", lambda: None)
    random = np.random.default_rng(9)
    x, y = disordered(random, (2, 40, 33), "float64"), disordered(random, (33, 50), "float64")
    check(sm.matmul, x, y)
    assert supports(sm.matmul(sm.Variable("x", shape=(2, 2)), sm.Variable("y", shape=(2, 2))))
    assert not supports(sm.linalg.inv(sm.Variable("x", shape=(2, 2))))


def test_matrices_too_large_for_the_library_are_left_to_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, terms = 2**31, 2000
    long, short = (
        BufferView(0, 0, shape, contiguous_strides(shape), np.dtype("float64"))
        for shape in ((rows, terms), (terms, 3))
    )
    node = sm.matmul(sm.Variable("x", shape=long.shape), sm.Variable("y", shape=short.shape))
    output = BufferView(0, 0, (rows, 3), (3, 1), np.dtype("float64"))
    for bits in (32, 64):
        found = fortran.Library(lambda name: 0, bits)
        monkeypatch.setattr(contract, "library", lambda found=found: found)
        assert supports(node) == (bits == 64)
        if supports(node):
            scratch = lambda shape, dtype: BufferView(0, 0, shape, contiguous_strides(shape), dtype)  # noqa: E731
            assert contract.TABLE[type(node.op)](node, [long, short], output, scratch)


@pytest.mark.parametrize("places", [[0, 4, 2, 2], [-1, 0, -5], [[3], [1]], [0], []])
def test_constant_indices(places: list[Any]) -> None:
    """Those that are known to be inside are not looked at again; others are, in every call."""
    chosen = np.array(places, np.int64)
    x, i = sm.Variable("x", shape=("n", 3)), sm.Variable("i", shape=chosen.shape, dtype="int64")
    f = sm.compile([x], [x[chosen], sm.take(x, chosen, axis=0) * 2], backend="native")
    g = sm.compile([x, i], x[i], backend="native")
    value = np.arange(15.0).reshape(5, 3)
    for _ in range(2):
        found, doubled = f(value)
        np.testing.assert_array_equal(found, value[chosen])
        np.testing.assert_array_equal(doubled, 2 * value[chosen])
        np.testing.assert_array_equal(g(value, chosen), value[chosen])
        if len(places) and chosen.max() > 1:
            for call in (lambda: f(value[:2]), lambda: g(value[:2], chosen)):
                with pytest.raises(SymadError):
                    call()
