"""Products and linear algebra: against NumPy, SciPy and JAX, at edges, and what bad input gets."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, GradientError, GraphTypeError, ShapeError

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(7)
A3 = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
A23 = RNG.normal(size=(2, 3))
A32 = RNG.normal(size=(3, 2))
STACK = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
V3 = RNG.normal(size=3)


def variables(arrays: tuple[Array, ...], shapes: bool = True) -> list[sm.Variable]:
    return [
        sm.Variable(f"x{i}", array.shape if shapes else None, array.dtype)
        for i, array in enumerate(arrays)
    ]


# Against NumPy

MATMUL_SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((4, 1, 2, 3), (5, 3, 2)),
    ((3, 3, 3), (3,)),  # sizes that agree by accident must not hide a wrong axis
    ((3,), (3, 3, 3)),
]


@pytest.mark.parametrize(("left", "right"), MATMUL_SHAPES)
@pytest.mark.parametrize("shapes", [True, False])
def test_matmul_adjoints_of_all_ranks(
    left: tuple[int, ...], right: tuple[int, ...], shapes: bool
) -> None:
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    x, y = variables((a, b), shapes)
    seed = RNG.normal(size=np.shape(a @ b))
    got = sm.compile([x, y], [x @ y, *sm.gradients(x @ y, [x, y], seed=seed)])(a, b)
    np.testing.assert_allclose(got[0], a @ b)
    for k, (value, others) in enumerate([(a, b), (b, a)]):
        expected = np.empty_like(value)
        for i in np.ndindex(value.shape):
            unit = np.zeros_like(value)
            unit[i] = 1
            product = unit @ others if k == 0 else others @ unit
            expected[i] = np.sum(seed * product)
        np.testing.assert_allclose(got[1 + k], expected, atol=1e-12)


def test_adjoints_of_a_matrix_and_a_vector_are_single_products() -> None:
    a, x, y = (sm.Variable(name, shape) for name, shape in (("a", (2, 3)), ("x", 2), ("y", 3)))
    for product, vector in ((x @ a, x), (a @ y, y)):
        gradient = sm.Graph([sm.gradients(sm.sum(product), vector)])
        names = {node.op.name for node in gradient.nodes if node.op is not None}
        assert names == {"matmul", "broadcast_like", "matrix_transpose"}


def test_matmul_of_open_ranks_serves_matrices_and_vectors() -> None:
    x, w = sm.Variable("x"), sm.Variable("w")
    f = sm.compile([x, w], sm.gradients(x @ w, [x, w]))
    for a, b in [(A23, A3), (V3, A3), (A3, V3), (V3, V3), (STACK, V3)]:
        shapes = [np.shape(g) for g in f(a, b)]
        assert shapes == [a.shape, b.shape]


def test_second_derivative_of_matmul_of_open_ranks() -> None:
    x, w = sm.Variable("x"), sm.Variable("w")
    first = sm.gradients(sm.sum((x @ w) ** 2), [x, w])
    second = sm.gradients(sm.sum(first[0] ** 2) + sm.sum(first[1] ** 2), [x, w])
    known = variables((V3, A3))
    y = sm.sum((known[0] @ known[1]) ** 2)
    first = sm.gradients(y, known)
    expected = sm.gradients(sm.sum(first[0] ** 2) + sm.sum(first[1] ** 2), known)
    for got, want in zip(
        sm.compile([x, w], second)(V3, A3), sm.compile(known, expected)(V3, A3), strict=True
    ):
        np.testing.assert_allclose(got, want)


def test_matmul_knows_named_dimensions() -> None:
    x = sm.Variable("x", shape=("batch", 784))
    w = sm.Variable("w", shape=(784, 10))
    assert (x @ w).type.shape == ("batch", 10)
    assert (x.mT @ (x @ w)).type.shape == (784, 10)
    named = sm.Variable("n", shape=("k", 2))
    late = sm.compile([x, named], x @ named)
    with pytest.raises(ShapeError, match="size 784"):
        late(np.ones((3, 784)), np.ones((5, 2)))


def test_integer_and_boolean_products() -> None:
    i = sm.constant([[1, 2], [3, 4]])
    assert (i @ i).eval().dtype == np.int64
    b = sm.constant([[True, False]])
    np.testing.assert_array_equal((b @ b.mT).eval(), np.array([[True]]))
    small = np.full((2, 3), 100, np.int8)
    got = sm.einsum("ij->i", sm.constant(small)).eval()
    want = np.einsum("ij->i", small)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,ji", (2, 3), (3, 2)),
    ("ba,b", (2, 3), (2,)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("ijij->j", (2, 3, 2, 3)),
    ("iii", (3, 3, 3)),
    ("...ii->...i", (2, 3, 3)),
    ("i...i->...", (3, 2, 3)),
    ("i...->...", (3, 2)),
    ("i...j->j...i", (2, 4, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("i...,...j->ij...", (2, 5), (4, 1, 3)),
    ("ij...,jk->ik...", (2, 3, 4, 5), (3, 2)),
    ("i,j,k->kji", (2,), (3,), (4,)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 2), (2, 3)),
    ("ijk,ilm,njm,nlk,abc->", (2, 3, 2), (2, 2, 3), (2, 3, 3), (2, 2, 2), (1, 2, 3)),
    (",ij->ji", (), (2, 3)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("ij,ij->", (1, 3), (1, 3)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
@pytest.mark.parametrize("shapes", [True, False])
def test_einsum(case: Any, shapes: bool) -> None:
    subscripts, *sizes = case
    arrays = tuple(RNG.normal(size=size) for size in sizes)
    xs = variables(arrays, shapes)
    y = sm.einsum(subscripts, *xs)
    expected = np.einsum(subscripts, *arrays)
    directions = [RNG.normal(size=size) for size in sizes]
    seed = RNG.normal(size=expected.shape)
    value, gradients, tangent = sm.compile(
        xs, (y, sm.gradients(y, xs, seed=seed), sm.pushforward(y, xs, directions))
    )(*arrays)
    np.testing.assert_allclose(value, expected, atol=1e-12)
    terms = [
        np.einsum(subscripts, *arrays[:k], directions[k], *arrays[k + 1 :])
        for k in range(len(arrays))
    ]
    np.testing.assert_allclose(tangent, sum(terms), atol=1e-11)
    for gradient, direction, term in zip(gradients, directions, terms, strict=True):
        assert gradient.shape == direction.shape
        np.testing.assert_allclose(np.sum(gradient * direction), np.sum(seed * term), atol=1e-11)


def test_einsum_checks_sizes_as_soon_as_they_are_known() -> None:
    x, y = sm.Variable("x"), sm.Variable("y", shape=("n", "m"))
    with pytest.raises(ShapeError, match="sizes 2 and 3"):
        sm.einsum("ii->i", x).eval({x: A23})
    with pytest.raises(ShapeError, match="sizes 2 and 3"):
        sm.einsum("i...i->...", y).eval({y: A23})
    product = sm.einsum("ij,jk->ik", x, y)
    assert product.type.shape[1] == "m"
    with pytest.raises(ShapeError, match="'j' have sizes 1 and 3"):
        product.eval({x: np.ones((2, 1)), y: A32})


@pytest.mark.parametrize("axes", [0, 1, 2, (0, 1), ([1, 0], [0, 1]), ([-1], [-2])])
def test_tensordot(axes: Any) -> None:
    a, b = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3, 2))
    got = sm.tensordot(sm.constant(a), b, axes=axes).eval()
    np.testing.assert_allclose(got, np.tensordot(a, b, axes=axes))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((), (3,)),
        ((2, 3), (4, 3, 2)),
        ((3,), (3, 2)),
    ],
)
def test_dot_inner_outer(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    x, y = sm.constant(a), sm.constant(b)
    np.testing.assert_allclose(sm.dot(x, y).eval(), np.dot(a, b))
    np.testing.assert_allclose(sm.outer(x, y).eval(), np.outer(a, b))
    if not left or left[-1] == right[-1]:
        np.testing.assert_allclose(sm.inner(x, y).eval(), np.inner(a, b))


def test_trace_and_matrix_power() -> None:
    x, a = sm.constant(STACK), sm.constant(A3)
    np.testing.assert_allclose(np.trace(x, 1).eval(), np.trace(STACK, 1))
    np.testing.assert_allclose(np.linalg.trace(x).eval(), np.linalg.trace(STACK))
    np.testing.assert_allclose(x.trace(0, 1, 2).eval(), STACK.trace(0, 1, 2))
    for n in (0, 1, 2, 5, -1, -3):
        np.testing.assert_allclose(
            sm.linalg.matrix_power(a, n).eval(), np.linalg.matrix_power(A3, n), atol=1e-12
        )
    stack = sm.linalg.matrix_power(x, 0).eval()
    np.testing.assert_allclose(stack, np.linalg.matrix_power(STACK, 0))


VECTOR_ORDERS = (None, 1, 2, np.inf, -np.inf)
MATRIX_ORDERS = (None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc")
NORMS: list[tuple[Array, Any, Any]] = [
    *[(V3, ord, None) for ord in VECTOR_ORDERS],
    *[(A23, ord, 1) for ord in VECTOR_ORDERS],
    *[(A23, ord, axis) for ord in MATRIX_ORDERS for axis in (None, (1, 0))],
    *[(STACK, ord, (0, -1)) for ord in MATRIX_ORDERS],
]


@pytest.mark.parametrize(("x", "ord", "axis"), NORMS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_norms(x: Array, ord: Any, axis: Any, keepdims: bool) -> None:
    got = np.linalg.norm(sm.constant(x), ord, axis=axis, keepdims=keepdims).eval()
    want = np.linalg.norm(x, ord, axis=axis, keepdims=keepdims)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want)


# Against JAX: value, gradient and second derivative, by the same text through both namespaces


def symmetric(a: Any) -> Any:
    return (a + a.mT) / 2


def positive(a: Any, xp: Any) -> Any:
    return a @ a.mT + xp.exp(a[..., :1, :1])


def triangular(xp: Any, a: Any, b: Any, lower: bool) -> Any:
    if xp is sm:
        return sm.linalg.solve_triangular(a, b, lower=lower)
    import jax

    return jax.scipy.linalg.solve_triangular(a, b, lower=lower)


def svd_of(xp: Any, a: Any) -> Any:
    return sm.linalg.svd(a) if xp is sm else xp.linalg.svd(a, full_matrices=False)


def eigen(xp: Any, a: Any) -> Any:
    values, vectors = xp.linalg.eigh(symmetric(a))
    return xp.sum(xp.sin(values) * values) + xp.sum(vectors[..., 0, :] ** 2 * values**2)


def singular(xp: Any, a: Any) -> Any:
    u, s, vh = svd_of(xp, a)
    return xp.sum(xp.sin(s)) + xp.sum((u**2)[0] * s) + xp.sum((vh**2)[:, 0] / s)


def orthogonal(xp: Any, a: Any) -> Any:
    q, r = xp.linalg.qr(a)
    return xp.sum(xp.sin(q)) + xp.sum(r**2 * xp.cos(r))


SCALARS: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "matmul": (lambda xp, a, b: xp.sum(xp.sin(a @ b)), (A23, A3)),
    "einsum": (lambda xp, a, b: xp.sum(xp.einsum("iij,kj->ik", a, b) ** 3), (STACK[:, :2], A23)),
    "tensordot": (lambda xp, a, b: xp.sum(xp.tensordot(a, b, axes=1) ** 3), (A23, STACK[0])),
    "outer": (lambda xp, a, b: xp.sum(xp.sin(xp.outer(a, b))), (V3, A23)),
    "solve": (lambda xp, a, b: xp.sum(xp.sin(xp.linalg.solve(a, b))), (A3, A32)),
    "solve vector": (lambda xp, a, b: xp.sum(xp.sin(xp.linalg.solve(a, b))), (A3, V3)),
    "solve stack": (lambda xp, a, b: xp.sum(xp.linalg.solve(a, b) ** 3), (STACK, STACK)),
    "lower": (lambda xp, a, b: xp.sum(xp.sin(triangular(xp, a, b, True))), (A3, A32)),
    "upper": (lambda xp, a, b: xp.sum(xp.sin(triangular(xp, a, b, False))), (A3, V3)),
    "inv": (lambda xp, a: xp.sum(xp.sin(xp.linalg.inv(a))), (A3,)),
    "det": (lambda xp, a: xp.sum(xp.sin(xp.linalg.det(a))), (STACK,)),
    "slogdet": (lambda xp, a: xp.sum(xp.linalg.slogdet(a)[1] ** 2), (STACK,)),
    "cholesky": (lambda xp, a: xp.sum(xp.sin(xp.linalg.cholesky(positive(a, xp)))), (A3,)),
    "qr tall": (orthogonal, (RNG.normal(size=(4, 2)),)),
    "qr square": (orthogonal, (A3,)),
    "eigh": (eigen, (A3,)),
    "eigvalsh": (lambda xp, a: xp.sum(xp.linalg.eigvalsh(symmetric(a)) ** 3), (A3,)),
    "svd tall": (singular, (A32,)),
    "svd square": (singular, (A3,)),
    "svd wide": (singular, (A23,)),
    "norm": (lambda xp, a: xp.sum(xp.linalg.norm(a, axis=1) ** 3), (A23,)),
    "nuclear": (lambda xp, a: xp.linalg.norm(a, "nuc") ** 2, (A23,)),
    "matrix_power": (lambda xp, a: xp.sum(xp.sin(xp.linalg.matrix_power(a / 3, 3))), (A3,)),
}


def in_jax(function: Callable[..., Any], arrays: Sequence[Any]) -> Any:
    """Return the value, the gradient g, and the gradient of the sum of g cos g.

    This is the derivative of g along cos g - g sin g, because second derivatives are symmetric; JAX
    compiles that faster.
    """
    import jax

    jnp, positions = jax.numpy, tuple(range(len(arrays)))
    gradient = jax.grad(lambda *args: function(jnp, *args), argnums=positions)

    first = gradient(*arrays)
    directions = tuple(jnp.cos(g) - g * jnp.sin(g) for g in first)
    _, second = jax.jvp(gradient, arrays, directions)
    return function(jnp, *arrays), first, second


@cache
def all_in_jax() -> dict[str, Any]:
    """Return what JAX says of all functions; compiled at once, which is faster."""
    from tests.support.jax_interpreter import compiled

    def run(points: dict[str, Any]) -> dict[str, Any]:
        return {name: in_jax(SCALARS[name][0], arrays) for name, arrays in points.items()}

    return compiled(run, {name: arrays for name, (_, arrays) in SCALARS.items()})


@pytest.mark.parametrize("name", SCALARS)
def test_against_jax(name: str) -> None:
    pytest.importorskip("jax")
    function, arrays = SCALARS[name]
    xs = variables(arrays)
    y = function(sm, *xs)
    first = sm.gradients(y, xs)
    second = sm.gradients(sum(sm.sum(g * sm.cos(g)) for g in first), xs)
    value, got_first, got_second = sm.compile(xs, (y, first, second))(*arrays)
    wanted, first_wanted, second_wanted = all_in_jax()[name]
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    for got, want in zip(got_first, first_wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
    for got, want in zip(got_second, second_wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-7 * np.max(np.abs(want)))


# Edges


def with_bad_elements(size: int, dtype: str) -> Array:
    """Return a regular and a singular matrix, and some with NaN and infinities in places."""
    regular = np.random.default_rng(size).standard_normal((size, size))
    made = [regular, 0 * regular]
    every, places = slice(None), (0, -1, size // 2)
    parts = [*itertools.product(places, places), *((k, every) for k in places)]
    parts += [(every, every), *((every, k) for k in places)]
    for bad, good in itertools.product((np.nan, np.inf, -np.inf), (regular, np.eye(size), made[1])):
        for part in parts:
            made.append(good.copy())
            made[-1][part] = bad
    return np.array(made, dtype)


@pytest.mark.parametrize("backend", ["numpy", "auto"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 9, 13])
def test_determinants_of_matrices_with_nan_or_infinities_are_nan(
    size: int, dtype: str, backend: str
) -> None:
    """Also if factors are shared, and beside good matrices in a stack."""
    stack = with_bad_elements(size, dtype)
    wanted = np.array([np.linalg.det(stack[0]), 0, *[np.nan] * (len(stack) - 2)])
    for values, known in ((stack, wanted), (stack[0], wanted[0]), (stack[-1], wanted[-1])):
        a = sm.Variable("a", shape=values.shape, dtype=dtype)
        alone = [sm.linalg.det(a), *sm.linalg.slogdet(a)]
        for y in (alone[:1], alone[1:], [*alone, sm.linalg.det(a.mT)]):
            for node, got in zip(y, sm.compile([a], y, backend=backend)(values), strict=True):
                with np.errstate(divide="ignore"):
                    want = (
                        known if node.op is sm.linalg.det
                        else np.sign(known) if node is alone[1]
                        else np.log(np.abs(known))
                    )  # fmt: skip
                np.testing.assert_allclose(got, want, rtol=1e-4 if dtype == "float32" else 1e-12)


def test_gradient_of_det_at_singular_matrices() -> None:
    a = sm.Variable("a", shape=(3, 3))
    gradient = sm.compile([a], sm.gradients(sm.linalg.det(a), a))
    rank_two = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    cofactors = [[-3.0, 6.0, -3.0], [6.0, -12.0, 6.0], [-3.0, 6.0, -3.0]]
    np.testing.assert_allclose(gradient(rank_two), cofactors, atol=1e-12)
    np.testing.assert_array_equal(gradient(np.ones((3, 3))).round(12), np.zeros((3, 3)))
    np.testing.assert_array_equal(gradient(np.zeros((3, 3))), np.zeros((3, 3)))


def test_norm_at_zero_has_derivative_zero_and_no_second_one() -> None:
    x = sm.Variable("x", shape=(2,))
    first = sm.gradients(sm.linalg.norm(x), x)
    assert not np.any(first.eval({x: [0.0, 0.0]}))
    assert np.isnan(sm.gradients(first, x).eval({x: [0.0, 0.0]})).all()


def test_eigenvalues_of_the_identity_have_a_gradient_and_vectors_do_not() -> None:
    a = sm.Variable("a", shape=(3, 3))
    values, vectors = sm.linalg.eigh(a)
    trace = sm.gradients(sm.sum(values), a).eval({a: np.eye(3)})
    np.testing.assert_allclose(trace, np.eye(3))
    assert not np.any(np.isfinite(sm.gradients(sm.sum(vectors), a).eval({a: np.eye(3)})))


def test_absent_adjoints_of_results_are_zero() -> None:
    a = sm.Variable("a", shape=(3, 3))
    sign, logarithm = sm.linalg.slogdet(a)
    assert sm.gradients(sign, a, unused="none") is None or not np.any(
        sm.gradients(sign, a, unused="zero").eval({a: A3})
    )
    np.testing.assert_allclose(
        sm.gradients(logarithm, a).eval({a: A3}), np.linalg.inv(A3).T, rtol=1e-12
    )


def test_results_are_named_tuples() -> None:
    a = sm.constant(A3)
    assert sm.linalg.svd(a).S is not None
    assert sm.linalg.eigh(a)._fields == ("eigenvalues", "eigenvectors")
    assert np.linalg.qr(a)._fields == ("Q", "R")
    assert np.linalg.slogdet(a)._fields == ("sign", "logabsdet")


def test_solve_triangular_reads_one_triangle() -> None:
    a, b = sm.Variable("a", shape=(3, 3)), sm.Variable("b", shape=(3,))
    f = sm.compile([a, b], sm.gradients(sm.linalg.solve_triangular(a, b, lower=True), a))
    spoiled = A3 + np.triu(np.full((3, 3), np.nan), 1)
    np.testing.assert_array_equal(np.triu(f(spoiled, V3), 1), np.zeros((3, 3)))


def test_float32_stays_float32() -> None:
    a = sm.Variable("a", shape=(3, 3), dtype="float32")
    u, s, vh = sm.linalg.svd(a)
    for node in (u, s, vh, sm.linalg.solve_triangular(a, a), sm.linalg.det(a)):
        gradient = sm.gradients(node, a).eval({a: A3.astype(np.float32)})
        assert gradient.dtype == np.float32


# What bad input gets


def refused(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        make()
    assert "test_linalg.py" in str(caught.value), "the error does not name the user's line"


def test_bad_shapes_are_refused_at_the_users_line() -> None:
    a, v = sm.Variable("a", shape=(3, 4)), sm.Variable("v")
    refused(lambda: a @ a, ShapeError, "size 4.*size 3")
    refused(lambda: a @ 2.0, ShapeError, "scalar")
    refused(lambda: sm.einsum("ij,jk", a, a), ShapeError, "'j' have sizes 4 and 3")
    refused(lambda: sm.einsum("ij->k", a), ShapeError, "'k'")
    refused(lambda: sm.einsum("ij->ii", a), ShapeError, "twice")
    refused(lambda: sm.einsum("ijk", a), ShapeError, "does not name the axes")
    refused(lambda: sm.einsum("i1", a), ShapeError, "cannot be read")
    refused(lambda: sm.einsum("...j->j", a), ShapeError, "sm.sum")
    refused(lambda: sm.einsum("ij,jk", a), ShapeError, "2 operands")
    refused(lambda: sm.einsum([0, 1], a), GraphTypeError, "must be text")
    refused(lambda: sm.tensordot(a, a, axes=([0], [1])), ShapeError, "size 3.*size 4")
    refused(lambda: sm.tensordot(a, a, axes=([0, 0], [0, 0])), ShapeError, "twice")
    refused(lambda: sm.tensordot(a, a, axes=3), ShapeError, "3 axes")
    refused(lambda: sm.tensordot(a, a, axes=([2], [0])), ShapeError, "out of range")
    for function in (sm.tensordot, sm.dot, sm.inner):
        refused(lambda f=function: f(v, a), ShapeError, "must be known")
    for name in ("solve", "solve_triangular"):
        refused(lambda n=name: getattr(sm.linalg, n)(a, a), ShapeError, "square")
    for name in ("inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh"):
        refused(lambda n=name: getattr(sm.linalg, n)(a), ShapeError, "square")
    refused(lambda: sm.linalg.svd(sm.constant([1.0])), ShapeError, "two axes")
    square, rows = sm.Variable("s", shape=(3, 3)), sm.Variable("b", shape=(4, 1))
    refused(lambda: sm.linalg.solve(square, rows), ShapeError, "3 unknowns")
    refused(lambda: sm.linalg.norm(a, 3), GraphTypeError, "order of a matrix norm")
    refused(lambda: sm.linalg.norm(v, 1), ShapeError, "must be known")
    refused(lambda: sm.linalg.norm(sm.constant(STACK), 1), ShapeError, "3 axes")
    half = sm.Variable("h", shape=(2, 2), dtype="float16")
    refused(lambda: sm.linalg.inv(half), GraphTypeError, "float16")


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2, 4, 2), (2, 2)])
@pytest.mark.parametrize("is_known", [True, False])
def test_full_factors_are_square_and_orthogonal(shape: tuple[int, ...], is_known: bool) -> None:
    a = sm.Variable("a", shape if is_known else None)
    value = np.random.default_rng(0).standard_normal(shape)
    u, s, vh = (part.eval({a: value}) for part in np.linalg.svd(a))
    q, r = (part.eval({a: value}) for part in sm.linalg.qr(a, mode="complete"))
    rows, columns = shape[-2:]
    least = min(rows, columns)
    for basis, size in ((u, rows), (vh, columns), (q, rows)):
        np.testing.assert_allclose(basis @ basis.mT, np.broadcast_to(np.eye(size), basis.shape),
                                   atol=1e-14)  # fmt: skip
    whole = u[..., :least] * s[..., None, :] @ vh[..., :least, :]
    np.testing.assert_allclose(whole, value, atol=1e-14)
    np.testing.assert_allclose(q @ r, value, atol=1e-14)
    assert r.shape == shape
    assert np.linalg.svd(a, full_matrices=False).U.eval({a: value}).shape[-1] == least


def test_only_what_completes_a_basis_has_no_derivative() -> None:
    a = sm.Variable("a", shape=(3, 2))
    value = np.random.default_rng(0).standard_normal((3, 2))
    full, reduced = sm.linalg.svd(a, full_matrices=True).U, sm.linalg.svd(a).U
    want = sm.gradients(sm.sum(reduced**3), a).eval({a: value})
    np.testing.assert_allclose(sm.gradients(sm.sum(full[:, :2] ** 3), a).eval({a: value}), want)
    assert np.isnan(sm.gradients(sm.sum(full**3), a).eval({a: value})).all()
    tangent = sm.pushforward(full, a, np.ones((3, 2))).eval({a: value})
    assert np.isfinite(tangent[:, :2]).all() and np.isnan(tangent[:, 2]).all()


def test_results_of_one_op_of_which_one_adjoint_has_a_tangent() -> None:
    a = sm.Variable("a", shape=(3, 2))
    q, r = sm.linalg.qr(a)
    at = RNG.normal(size=(3, 2))
    sm.testing.check_gradients(sm.sum(q * at) + sm.sum(r * r * r), a, at={a: at})


def test_gradient_of_wide_qr_is_refused() -> None:
    a = sm.Variable("a", shape=(2, 3))
    with pytest.raises(GradientError, match="2 by 3"):
        sm.gradients(sm.linalg.qr(a).R, a)


@pytest.mark.parametrize("name", ["inv", "solve", "solve_triangular", "cholesky"])
def test_singular_matrices_fail_by_name(name: str) -> None:
    a = sm.Variable("a", shape=(2, 2))
    function = getattr(sm.linalg, name)
    y = function(a, sm.constant([1.0, 1.0])) if name.startswith("solve") else function(a)
    with pytest.raises(EvaluationError, match=name) as caught:
        y.eval({a: np.zeros((2, 2))})
    assert "test_linalg.py" in str(caught.value)


def test_public_names() -> None:
    for name in sm.linalg.__all__:
        assert callable(getattr(sm.linalg, name)), name
        assert getattr(sm.linalg, name).__doc__, name


def test_scipy_is_imported_on_first_use() -> None:
    code = (
        "import sys, symad as sm\n"
        "a, b = sm.constant([[1.0, 0.0], [1.0, 1.0]]), sm.constant([1.0, 2.0])\n"
        "x = sm.linalg.solve_triangular(a, b, lower=True)\n"
        "assert 'scipy' not in sys.modules\n"
        "assert x.eval().tolist() == [1.0, 1.0]\n"
        "assert 'scipy.linalg' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_products_of_vectors_know_that_there_are_three_elements():
    u, v = sm.Variable("u", shape=("n",)), sm.Variable("v", shape=(2, "m"))
    assert sm.linalg.cross(u, v).type.shape == (2, 3)
    with pytest.raises(ShapeError, match="axis 0 has size 2, but 3 are needed"):
        sm.linalg.cross(sm.Variable("w", shape=(2,)), u)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_solve_for_what_may_be_a_vector(shape: tuple[int, ...]) -> None:
    """Whether it is one is known when it is fed."""
    a, b = sm.Variable("a", shape=(3, 3)), sm.Variable("b")
    matrix, side = np.eye(3) + np.arange(9.0).reshape(3, 3) / 10, np.ones(shape)
    y = sm.linalg.solve(a, b)
    found = sm.Executor([y, *sm.gradients(sm.sum(y), [a, b])]).run({a: matrix, b: side})
    exact, slope = np.linalg.solve(matrix, side), np.linalg.solve(matrix.T, side)
    outer = slope.reshape(3, -1) @ exact.reshape(3, -1).T
    for one, other in zip(found, (exact, -outer, slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_of_numbers_whose_squares_are_not_normal(dtype: str) -> None:
    """The longer array has a branch of its own."""
    info, random = np.finfo(dtype), np.random.default_rng(0)
    sizes = [1, info.max / 1e8, info.tiny * 8, info.smallest_subnormal * 1000, info.max**0.5]
    for shape, axis in [((50, 100), None), ((5,), None), ((7, 40), 1), ((40, 7), 0)]:
        x = sm.Variable("x", shape=shape, dtype=dtype)
        native = sm.compile([x], sm.linalg.norm(x, axis=axis), backend="native")
        for size in sizes:
            numbers = random.uniform(-1, 1, shape) * float(size)
            for special in (0, np.inf, np.nan):
                given = numbers.astype(dtype)
                given.flat[0] = special
                wide = given.astype(np.longdouble)
                expected = np.sqrt(np.sum(wide * wide, axis=axis)).astype(dtype)
                least = float(info.smallest_subnormal)
                np.testing.assert_allclose(native(given), expected, 4 * info.eps, least)
