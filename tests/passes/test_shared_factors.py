"""One factorisation of a matrix serves all its uses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError
from symad.ops.permute import PermuteDims
from symad.passes.shared_factors import share_factors

Array = np.ndarray[Any, Any]
SIZE = 20

pytest.importorskip("llvmlite")


def matrices(*batch: int) -> Array:
    made = np.random.default_rng(len(batch)).standard_normal((*batch, SIZE, SIZE))
    return made + 9 * np.eye(SIZE)


def factorisations(graph: sm.Graph) -> list[str]:
    """Return the ops in a graph, and in its bodies, that factorise a matrix."""
    found = []
    for node in graph.nodes:
        for body in getattr(node.op, "bodies", ()):
            found += factorisations(body)
        if node.op is not None and node.op.name in ("lu_factors", "solve", "inv", "slogdet", "det"):
            found.append(node.op.name)
    return found


def check(outputs: Any, inputs: Any, *values: Array) -> list[str]:
    """Compare machine code with NumPy; return what factorises matrices."""
    native, reference = (sm.compile(inputs, outputs, backend=b) for b in ("native", "numpy"))
    tolerance = 1e5 * np.finfo(values[0].dtype).eps
    for _ in range(2):
        for got, want in zip(native(*values), reference(*values), strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    assert "by NumPy" not in str(native.plan)
    return factorisations(native.passes.final)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("columns", [(), (1,), (4,)])
def test_a_likelihood_and_its_gradient(batch: tuple[int, ...], columns: tuple[int, ...]) -> None:
    a = sm.Variable("a", shape=(*batch, SIZE, SIZE))
    b = sm.Variable("b", shape=(*(batch if columns else ()), SIZE, *columns))
    y = sm.sum(sm.linalg.solve(a, b) ** 2) + sm.sum(sm.linalg.slogdet(a).logabsdet)
    values = matrices(*batch), np.random.default_rng(1).standard_normal(b.type.shape)
    assert check([y, *sm.gradients(y, [a, b])], [a, b], *values) == ["lu_factors"]


def test_determinants_and_inverses() -> None:
    a = sm.Variable("a", shape=(SIZE, SIZE))
    m = a / 9
    outputs = [sm.linalg.det(m), sm.linalg.inv(m.mT) * 2, sm.linalg.slogdet(m.mT).sign]
    assert check(outputs, [a], matrices()) == ["lu_factors"]
    swapped = matrices()[np.random.default_rng(0).permutation(SIZE)]
    assert check(outputs, [a], swapped) == ["lu_factors"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_small_matrices(batch: tuple[int, ...], size: int, dtype: str) -> None:
    """Their kernels are other ones, with rows swapped in any way."""
    a, b = (sm.Variable(name, shape=(*batch, size, n), dtype=dtype)
            for name, n in (("a", size), ("b", 3)))  # fmt: skip
    right = np.random.default_rng(2).standard_normal((*batch, size, 3))
    order = np.random.default_rng(size).permutation(size)
    given = [x.astype(dtype) for x in (matrices(*batch)[..., order, :size], right)]
    y = sm.sum(sm.linalg.solve(a, b) * b) + sm.sum(sm.linalg.slogdet(a).logabsdet)
    outputs = [y, *sm.gradients(y, [a, b]), sm.linalg.det(a.mT), sm.linalg.inv(a.mT)]
    assert check(outputs, [a, b], *given) == ["lu_factors"]


def test_one_use_and_small_matrices_stay() -> None:
    a, b = sm.Variable("a", shape=(SIZE, SIZE)), sm.Variable("b", shape=(SIZE,))
    values = matrices(), np.ones(SIZE)
    assert check([sm.linalg.solve(a, b)], [a, b], *values) == ["solve"]
    a = sm.Variable("a", shape=(3, 3))
    outputs = [sm.linalg.inv(a), sm.linalg.det(a)]
    assert sorted(check(outputs, [a], matrices()[:3, :3])) == ["det", "inv"]
    graph = sm.Graph(outputs, [a])
    assert share_factors(graph) is graph


def test_matrices_in_a_loop() -> None:
    a, x = sm.Variable("a", shape=(SIZE, SIZE)), sm.Variable("x", shape=(5, SIZE))

    def step(c: Any, e: Any) -> Any:
        spread = a + sm.sum(c * c) * sm.eye(SIZE)
        moved = sm.linalg.solve(spread, c + e)
        return moved, sm.linalg.slogdet(spread).logabsdet

    last, terms = sm.scan(step, sm.ones(SIZE), x)
    y = sm.sum(last) + sm.sum(terms)
    found = check([y, *sm.gradients(y, [a, x])], [a, x], matrices(), np.ones((5, SIZE)))
    assert found == ["lu_factors"]  # by the first loop, for the adjoint too


@pytest.mark.parametrize("size", [8, 9, 12, 13, SIZE])
@pytest.mark.parametrize("uses", [1, 2])
def test_an_adjoint_loop_reads_factors(size: int, uses: int) -> None:
    """If they are large enough; those of smaller matrices are shared in one loop."""
    a, x = sm.Variable("a", shape=(size, size)), sm.Variable("x", shape=(5, size))

    def step(c: Any, e: Any) -> Any:
        spread = a + sm.expand_dims(sm.tanh(c), 1)
        more = sm.linalg.det(spread) if uses == 2 else 0.0
        return sm.linalg.solve(spread, c + e) + more * 1e-9, None

    last, _ = sm.scan(step, sm.ones(size), x)
    outputs = [last, *sm.gradients(sm.sum(last), [a, x])]
    found = check(outputs, [a, x], matrices()[:size, :size], np.ones((5, size)))
    if uses == 1:
        assert found == (["lu_factors"] if size > 12 else ["solve", "solve"])
    else:
        assert "lu_factors" in found
    again = sm.compile([a, x], outputs, backend="native", recompute=True)
    again(matrices()[:size, :size], np.ones((5, size)))
    assert len(factorisations(again.passes.final)) > 1


@pytest.mark.parametrize("size", [4, SIZE])
def test_singular_matrices(size: int) -> None:
    a, b = sm.Variable("a", shape=(size, size)), sm.Variable("b", shape=(size,))
    logarithm = sm.linalg.slogdet(a).logabsdet
    f = sm.compile([a, b], [sm.linalg.solve(a, b), logarithm])
    f(matrices()[:size, :size], np.ones(size))
    with pytest.raises(EvaluationError, match=r"(?s)Singular matrix.*test_shared_factors"):
        f(np.zeros((size, size)), np.ones(size))
    both = sm.compile([a], [logarithm, sm.linalg.det(a)])
    assert both(np.zeros((size, size))) == [-np.inf, 0.0]
    choice = sm.where(logarithm > 0, sm.sum(sm.linalg.solve(a, b)), 0.0)
    assert sm.compile([a, b], [choice, logarithm])(np.zeros((size, size)), np.ones(size))[0] == 0


def test_only_an_exchange_of_the_last_two_axes_is_a_transpose() -> None:
    for rank in range(1, 5):
        x = np.zeros((2, 3, 4, 5)[:rank])
        for axes in itertools.permutations(range(rank)):
            exchanged = rank > 1 and x.transpose(axes).shape == x.swapaxes(-1, -2).shape
            assert PermuteDims(axes).transposes_matrices == exchanged


@pytest.mark.parametrize("size", [4, SIZE])
@pytest.mark.parametrize("other", ["float64", "float16", "int8", "bool", "uint64"])
def test_factors_of_narrow_matrices_do_not_solve_wide_systems(size: int, other: str) -> None:
    a = sm.Variable("a", shape=(size, size), dtype="float32")
    b = sm.Variable("b", shape=(size,), dtype=other)
    matrix, right = matrices()[:size, :size].astype("float32"), np.ones(size, other)
    dtype = np.result_type(matrix, right)
    want = np.linalg.solve(matrix.astype(dtype), right.astype(dtype))
    outputs = [sm.linalg.solve(a, b), sm.linalg.det(a), sm.linalg.slogdet(a).sign]
    for backend in ("native", "numpy"):
        got = sm.compile([a, b], outputs, backend=backend)(matrix, right)[0]
        assert got.dtype == outputs[0].type.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=100 * np.finfo(dtype).eps)
