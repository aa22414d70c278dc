"""Products with constant sparse matrices of SciPy's."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import symad as sm
from symad.errors import GraphTypeError, ShapeError
from symad.testing import check_gradients
from tests.support.op_checks import run

RNG = np.random.default_rng(5)
DENSE = np.where(RNG.random((4, 3)) < 0.5, RNG.normal(size=(4, 3)), 0)
MATRIX = sparse.csr_array(DENSE)

FORMATS = ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"]
KINDS = [lambda m, f: m.asformat(f), lambda m, f: sparse.csr_matrix(m).asformat(f)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS, ids=["array", "matrix"])
def test_formats(form: str, kind: Any) -> None:
    """All formats serve, on both sides, by operators and by functions."""
    matrix = kind(MATRIX, form)
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=(4,))
    nodes = [matrix @ x, sm.matmul(matrix, x), np.matmul(matrix, x), w @ matrix, matrix.T @ w]
    arrays = [RNG.normal(size=3), RNG.normal(size=4)]
    answers = run([x, w], nodes, arrays)
    for found, expected in zip(
        answers, [DENSE @ arrays[0]] * 3 + [arrays[1] @ DENSE] * 2, strict=True
    ):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 5), (2, 3, 4), (2, 0, 3, 4), (3, 0)])
@pytest.mark.parametrize("declared", [True, False])
def test_shapes(backend: Any, shape: tuple[int, ...], declared: bool) -> None:
    value = RNG.normal(size=shape)
    turned = np.ascontiguousarray(np.swapaxes(value, -2, -1)) if len(shape) > 1 else value
    x = sm.Variable("x", value.shape if declared else None)
    y = sm.Variable("y", turned.shape if declared else None)
    f = sm.compile([x, y], [MATRIX @ x, y @ MATRIX.T], backend=backend)
    for _ in range(2):
        left, right = f(value, turned)
        np.testing.assert_allclose(left, DENSE @ value, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(right, turned @ DENSE.T, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_derivatives(shape: tuple[int, ...]) -> None:
    x = sm.Variable("x", shape)
    value = RNG.normal(size=shape)
    check_gradients(sm.sin(MATRIX @ x) ** 2, [x], at={x: value}, order=2)
    check_gradients(sm.sin(x.T @ MATRIX.T) ** 2, [x], at={x: value}, order=2)


def test_the_adjoint_is_a_product_with_the_transpose() -> None:
    x = sm.Variable("x", shape=(3,))
    slope = sm.gradients(sm.sum(sm.sin(MATRIX @ x)), x)
    names = [node.op.name for node in sm.Graph([slope]).nodes if node.op is not None]
    assert names.count("sparse_matmul") == 2 and "matmul" not in names


@pytest.mark.parametrize("a", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("b", ["float64", "float32", "float16", "int32"])
def test_dtypes(a: str, b: str) -> None:
    """The dtype is that of the dense product."""
    matrix, x = sparse.csr_array(DENSE.astype(a)), sm.Variable("x", shape=(3,), dtype=b)
    value = np.array([1, 2, 3], b)
    expected = np.matmul(DENSE.astype(a), value)
    product = matrix @ x
    assert product.dtype == expected.dtype
    found = product.eval({x: value})
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-3 if "16" in b else 1e-6)
    if x.type.is_float and product.type.is_float:
        assert sm.gradients(sm.sum(product), x).dtype == x.dtype


def test_sparsity() -> None:
    """Sparse Jacobians see the pattern of the matrix, not its values."""
    x, m = sm.Variable("x", shape=(3,)), sm.Variable("m", shape=(2, 4))
    np.testing.assert_array_equal(sm.sparsity(sm.exp(MATRIX @ x), x).toarray(), DENSE != 0)
    np.testing.assert_array_equal(
        sm.sparsity(m @ MATRIX, m).toarray(), np.kron(np.eye(2), DENSE.T) != 0
    )
    found = sm.jacobian(sm.exp(MATRIX @ x), x, sparse=True).eval({x: [0.1, 0.2, 0.3]})
    np.testing.assert_allclose(
        found.toarray(), np.exp(DENSE @ [0.1, 0.2, 0.3])[:, None] * DENSE, rtol=1e-14
    )


def test_branches_not_taken() -> None:
    """An infinite slope behind a branch that is not taken does not come through the product."""
    x = sm.Variable("x", shape=(3,))
    y = sm.sum(MATRIX @ sm.where(x > 0, sm.sqrt(x), 0))
    value = np.array([0.0, 1.0, 4.0])
    expected = np.where(value > 0, DENSE.sum(0) / (2 * np.sqrt(np.maximum(value, 1))), 0)
    np.testing.assert_allclose(sm.gradients(y, x).eval({x: value}), expected)


def test_infinite_elements() -> None:
    x, c = sm.Variable("x", shape=(2,)), sm.Variable("c", shape=(2,), dtype="bool")
    matrix = sparse.csr_array(np.array([[np.inf, 0.0], [0.0, 2.0]]))
    y = sm.sum(sm.where(c, matrix @ x, 0))
    slope = sm.gradients(y, x).eval({x: [1.0, 1.0], c: [False, True]})
    np.testing.assert_array_equal(slope, [0.0, 2.0])


def test_duplicates_and_explicit_zeros() -> None:
    matrix = sparse.coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    x = sm.Variable("x", shape=(2,))
    assert (matrix @ x).eval({x: [5.0, 7.0]}).tolist() == [21.0, 0.0]
    assert sm.sparsity(matrix @ x, x).nnz == 2


def test_a_later_change_has_no_effect() -> None:
    matrix, x = MATRIX.copy(), sm.Variable("x", shape=(3,))
    product = matrix @ x
    matrix.data[:] = 0
    np.testing.assert_allclose(product.eval({x: [1, 2, 3]}), DENSE @ [1, 2, 3])


def test_inside_bodies_and_pickles() -> None:
    x, w = sm.Variable("x", shape=(5, 3)), sm.Variable("w", shape=(3,))
    mapped = sm.map_over(lambda row: MATRIX @ (row * w), [x])
    arrays = [RNG.normal(size=(5, 3)), RNG.normal(size=3)]
    f = sm.compile([x, w], [mapped, sm.gradients(sm.sum(mapped), w)])
    for g in (f, pickle.loads(pickle.dumps(f))):
        value, slope = g(*arrays)
        np.testing.assert_allclose(value, (arrays[0] * arrays[1]) @ DENSE.T)
        np.testing.assert_allclose(slope, (DENSE.sum(0) * arrays[0]).sum(0))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty(shape: tuple[int, int]) -> None:
    matrix, x = sparse.csr_array(shape), sm.Variable("x", shape=(shape[1],))
    found, slope = sm.compile([x], [matrix @ x, sm.gradients(sm.sum(matrix @ x), x)])(
        np.ones(shape[1])
    )
    assert found.tolist() == [0.0] * shape[0] and slope.tolist() == [0.0] * shape[1]


@pytest.mark.parametrize(
    "use",
    [
        lambda a, x: a + x, lambda a, x: x + a, lambda a, x: a - x, lambda a, x: x * a,
        lambda a, x: a / x, lambda a, x: x / a, lambda a, x: sm.exp(a), lambda a, x: sm.sum(a),
        lambda a, x: sm.where(x > 0, a, 0), lambda a, x: a * x,
        lambda a, x: a.multiply(x), lambda a, x: sparse.csr_matrix(a) * x,
        lambda a, x: sm.einsum("ij,j->i", a, x),
    ],
)  # fmt: skip
def test_refused(use: Any) -> None:
    with pytest.raises(GraphTypeError) as caught:
        use(MATRIX, sm.Variable("x", shape=(3,)))
    assert "A.toarray()" in caught.value.remedy
    assert "test_sparse_constants.py" in caught.value.where


def test_refused_products() -> None:
    x, s = sm.Variable("x", shape=(3,)), sm.Variable("s", shape=())
    with pytest.raises(ShapeError, match="size 4") as caught:
        MATRIX.T @ x
    assert "test_sparse_constants.py" in caught.value.where
    with pytest.raises(ShapeError, match="scalar"):
        MATRIX @ s
    with pytest.raises(ShapeError, match="two axes"):
        sparse.coo_array([1.0, 2.0, 3.0]) @ x
    with pytest.raises(GraphTypeError, match="complex"):
        (MATRIX * 1j) @ x
    with pytest.raises(GraphTypeError, match="two sparse"):
        MATRIX @ sm.jacobian(x * x, x, sparse=True)


def test_scipy_is_not_imported_for_the_check() -> None:
    """Products of arrays do not import SciPy to find out that no operand is sparse."""
    script = (
        "import sys, symad as sm; x = sm.Variable('x', shape=(3, 3)); (x @ x).T; "
        "assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_plan_says_who_computes_it() -> None:
    x = sm.Variable("x", shape=(3,))
    f = sm.compile([x], sm.exp(MATRIX @ sm.sin(x)), backend="native")
    (line,) = [line for line in str(f.plan).splitlines() if "sparse_matmul" in line]
    assert "by NumPy" in line
