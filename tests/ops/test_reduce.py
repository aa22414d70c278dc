"""Reductions, cumulative ops and the softmax family: JAX, zeros, ties, infinities, bad input."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import symad as sm
from symad.errors import GradientError, GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.ops.reduce import ElementCount

AXES = (None, 0, -1, (0, 2), (-1, 0, 1), ())
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "var", "std", "logsumexp")
rng = np.random.default_rng(20)


def gradient_at(function: Callable[[Node], Node], value: Any, shape: Any = None) -> Any:
    """Return the gradient of the sum of ``function`` at ``value``."""
    array = np.asarray(value)
    x = sm.Variable("x", shape, array.dtype)
    return sm.compile([x], sm.gradients(function(x), x))(array)


def hessian_at(function: Callable[[Node], Node], value: Any) -> Any:
    """Return the Hessian of a scalar function of a vector, column by column."""
    array = np.asarray(value, dtype=float)
    x, t = sm.Variable("x"), sm.Variable("t")
    product = sm.gradients(sm.sum(sm.gradients(function(x), x) * t), x)
    run = sm.compile([x, t], product)
    return np.stack([run(array, column) for column in np.eye(array.size)], axis=1)


# Against NumPy: values and dtypes


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "float32"])
@pytest.mark.parametrize(
    "name", "sum mean prod max min var std any all argmax argmin cumsum cumprod".split()
)
def test_dtypes_are_numpys(name: str, dtype: str) -> None:
    array = np.array([[1, 0, 2], [1, 1, 3]]).astype(dtype)
    expected = getattr(np, name)(array, axis=1)
    if (name, dtype) == ("var", "float16"):  # added up in float32, as NumPy's mean
        expected = np.var(array, axis=1, dtype="float32").astype("float16")
    x = sm.Variable("x", dtype=dtype)
    node = getattr(sm, name)(x, axis=1)
    actual = node.eval({x: array})
    assert node.dtype == expected.dtype
    assert actual.dtype == expected.dtype
    assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float32", "float64"])
def test_softmax_family_is_floating(name: str, dtype: str) -> None:
    x = sm.Variable("x", dtype=dtype)
    node = getattr(sm, name)(x)
    expected = np.dtype(dtype if dtype.startswith("float") else "float64")
    assert node.dtype == node.eval({x: np.ones(3, dtype)}).dtype == expected


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", [*REDUCTIONS[:-1], "any", "all"])
def test_values_are_numpys(name: str, axis: Any, keepdims: bool) -> None:
    array = rng.normal(size=(2, 3, 4))
    x = sm.Variable("x", shape=("a", "b", "c"))
    actual = getattr(sm, name)(x, axis=axis, keepdims=keepdims).eval({x: array})
    expected = getattr(np, name)(array, axis=axis, keepdims=keepdims)
    assert_allclose(actual, expected, rtol=1e-13)
    assert np.shape(actual) == np.shape(expected)


def test_numpy_protocol_and_methods() -> None:
    array = rng.normal(size=(3, 4))
    x = sm.Variable("x")
    pairs = [
        (np.sum(x, axis=0), np.sum(array, axis=0)),
        (np.sum(x, 1, keepdims=True), np.sum(array, 1, keepdims=True)),
        (np.max(x), np.max(array)),
        (np.amin(x, axis=(0, 1)), np.amin(array)),
        (np.var(x, axis=0, ddof=1), np.var(array, axis=0, ddof=1)),
        (np.std(x, axis=1, correction=2), np.std(array, axis=1, correction=2)),
        (np.cumsum(x), np.cumsum(array)),
        (np.cumprod(x, axis=1), np.cumprod(array, axis=1)),
        (np.argmax(x, axis=1), np.argmax(array, axis=1)),
        (x.mean(axis=-1), array.mean(axis=-1)),
        (x.std(correction=1), array.std(ddof=1)),
        (x.prod(axis=0, keepdims=True), array.prod(axis=0, keepdims=True)),
        (x.argmin(), array.argmin()),
        ((x > 0).any(axis=0), (array > 0).any(axis=0)),
    ]
    for node, expected in pairs:
        assert_allclose(node.eval({x: array}), expected, rtol=1e-14)


def test_types_keep_names() -> None:
    x = sm.Variable("x", shape=("batch", 3, None))
    assert str(sm.sum(x, axis=(1, 2)).type) == "f64[batch]"
    assert str(sm.max(x, axis=-1, keepdims=True).type) == "f64[batch,3,1]"
    assert str(sm.softmax(x).type) == str(x.type)
    assert str(sm.mean(sm.Variable("u")).type) == "f64[]"
    assert str(sm.mean(sm.Variable("u"), axis=0).type) == "f64[...]"


# Against JAX: values, gradients and Hessian-vector products


def _jax_functions() -> dict[str, Any]:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    found = {name: getattr(jax.numpy, name) for name in REDUCTIONS if hasattr(jax.numpy, name)}
    cumulative = {"cumsum": jax.numpy.cumsum, "cumprod": jax.numpy.cumprod}
    family = {"softmax": jax.nn.softmax, "log_softmax": jax.nn.log_softmax}
    return {**found, "logsumexp": jax.scipy.special.logsumexp, **cumulative, **family}


CALLS = [
    *itertools.product(REDUCTIONS, [{"axis": axis} for axis in (None, -1, (0, 2))]),
    *((name, {"axis": 1, "keepdims": True}) for name in REDUCTIONS),
    *itertools.product(["softmax", "log_softmax"], [{"axis": axis} for axis in (None, 0, (0, 2))]),
    *itertools.product(["cumsum", "cumprod"], [{"axis": axis} for axis in (None, 0, -1)]),
    *itertools.product(["var", "std"], [{"axis": (0, 1), "correction": 1}]),
]


@cache
def in_jax() -> list[Any]:
    """Return where each call is tried, and what JAX says; compiled at once, which is faster."""
    functions = _jax_functions()
    import jax

    from tests.support.jax_interpreter import compiled

    def of(call: tuple[str, dict[str, Any]], at: Any, direction: Any, weights: Any) -> list[Any]:
        def loss(x: Any) -> Any:
            return jax.numpy.sum(weights * functions[call[0]](x, **call[1]) ** 2)

        value = functions[call[0]](at, **call[1])
        return [value, *jax.jvp(jax.grad(loss), (at,), (direction,))]

    points, rng = [], np.random.default_rng(21)
    for name, keywords in CALLS:
        at, direction = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
        if "prod" in name:
            at[0, 1, :2] = at[1, 0, 3] = 0
        shape = jax.eval_shape(partial(functions[name], **keywords), at).shape
        points.append((at, direction, rng.normal(size=shape)))
    found = compiled(lambda given: [of(c, *p) for c, p in zip(CALLS, given, strict=True)], points)
    return list(zip(points, found, strict=True))


@pytest.mark.parametrize("place", range(len(CALLS)), ids=[f"{n}-{k}" for n, k in CALLS])
def test_agrees_with_jax(place: int) -> None:
    name, keywords = CALLS[place]
    (at, direction, weights), wanted = in_jax()[place]
    for shape in (None, ("a", 3, "c"), at.shape):
        x, w, t = sm.Variable("x", shape), sm.Variable("w"), sm.Variable("t", shape)
        y = getattr(sm, name)(x, **keywords)
        gradient = sm.gradients(sm.sum(w * y * y), x)
        product = sm.gradients(sm.sum(gradient * t), x)
        actual = sm.compile([x, w, t], [y, gradient, product])(at, weights, direction)
        for one, other in zip(actual, wanted, strict=True):
            assert one.shape == other.shape
            assert_allclose(one, other, rtol=1e-9, atol=1e-10)


# Axes are never guessed, and one function serves all sizes


def test_square_arrays() -> None:
    w = np.array([[1.0], [10.0], [100.0]])
    for axis, expected in ((0, w.T), (1, w)):
        x = sm.Variable("x")
        y = sm.sum(x, axis=axis) * w.ravel()
        actual = sm.gradients(y, x).eval({x: np.zeros((3, 3))})
        assert_array_equal(actual, np.broadcast_to(expected, (3, 3)))


def test_one_function_for_all_batch_sizes() -> None:
    x = sm.Variable("x", shape=("batch", 3))
    run = sm.compile([x], sm.gradients(sm.mean(sm.var(x, axis=0, correction=1)), x))
    for batch in (2, 5, 9):
        at = rng.normal(size=(batch, 3))
        assert_allclose(run(at), 2 / 3 * (at - at.mean(0)) / (batch - 1), rtol=1e-13)


def test_unknown_sizes_become_constants() -> None:
    x = sm.Variable("x", shape=("batch", 4))
    gradient = sm.gradients(sm.mean(x), x)
    assert "element_count" in str(sm.Graph([gradient], [x]))
    run = sm.compile([x], gradient)
    assert_array_equal(run(np.zeros((2, 4))), np.full((2, 4), 1 / 8))
    assert "element_count" not in str(run.plan)
    fixed = sm.Variable("x", shape=(2, 4))
    assert "element_count" not in str(sm.Graph([sm.gradients(sm.mean(fixed), fixed)], [fixed]))


def test_float16_counts_beyond_its_range() -> None:
    actual = gradient_at(lambda x: sm.mean(x) * 2.0**14, np.ones(2**17, "float16"))
    assert actual.dtype == np.float16
    assert_array_equal(actual, np.full(2**17, 0.125, "float16"))


@pytest.mark.parametrize("correction", [0, 1, 5])
def test_count_at_run_time(correction: int) -> None:
    x = sm.Variable("x")
    count = apply(ElementCount((0, -1), correction), x).op.kernel()
    assert count(np.ones((2, 3, 2), "float32")) == max(4 - correction, 0)
    assert count(np.ones((2, 3, 2), "float32")).dtype == np.float32


# Products with zeros, to third order


ZEROS = [(2.0, 3.0, 5.0, 7.0), (2.0, 0.0, 5.0, 7.0), (0.0, 3.0, 0.0, 7.0), (0.0, 0.0, 5.0, 0.0)]


def _product_without(x: Any, *left_out: int) -> float:
    if len(set(left_out)) < len(left_out):
        return 0.0
    return float(np.prod([v for i, v in enumerate(x) if i not in left_out]))


@pytest.mark.parametrize("at", ZEROS)
@pytest.mark.parametrize(
    "product",
    [
        sm.prod,
        lambda x: sm.prod(sm.reshape(x, (2, 2)), axis=(0, 1)),
        lambda x: sm.prod(sm.prod(sm.reshape(x, (2, 2)), axis=1)),
        lambda x: sm.cumprod(x)[-1],
        lambda x: sm.cumprod(x, from_end=True)[0],
        lambda x: x[0] * sm.cumprod(x, axis=0, from_end=True, exclusive=True)[0],
    ],
    ids=["all", "axes", "nested", "cumprod", "from end", "exclusive"],
)
def test_derivatives_of_products(product: Any, at: Any) -> None:
    n = range(4)
    first = [_product_without(at, i) for i in n]
    second = [[_product_without(at, i, j) for j in n] for i in n]
    assert_array_equal(gradient_at(product, at), first)
    assert_array_equal(hessian_at(product, at), second)
    x = sm.Variable("x")
    slope = sm.gradients(sm.gradients(product(x), x)[0], x)[1]
    assert_array_equal(
        sm.gradients(slope, x).eval({x: list(at)}), [_product_without(at, 0, 1, k) for k in n]
    )


def test_product_does_not_overflow_where_its_derivative_is_finite() -> None:
    at = np.array([1e200, 1e-200, 1e200, 1e-200, 1e200])
    assert_allclose(gradient_at(sm.prod, at), [1.0, np.inf, 1.0, np.inf, 1.0], rtol=1e-12)


def test_cumprod_gradient_of_a_long_row() -> None:
    at = rng.uniform(0.9, 1.1, size=(3, 400))
    at[1, 7] = 0
    exact = np.zeros_like(at)
    for k in range(at.shape[1]):
        others = at.copy()
        others[:, k] = 1
        exact[:, k] = np.cumprod(others, axis=1)[:, k:].sum(1)
    assert_allclose(gradient_at(lambda x: sm.cumprod(x, axis=1), at), exact, rtol=1e-11)


# Extremes: ties, NaN, infinities, nothing


@pytest.mark.parametrize(("extremum", "sign"), [(sm.max, 1.0), (sm.min, -1.0)])
def test_ties_share(extremum: Any, sign: float) -> None:
    at = sign * np.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0], [0.0, -0.0, -1.0]])
    half, third = 1 / 2, 1 / 3
    expected = [[half, 0, half], [third, third, third], [half, half, 0]]
    assert_allclose(gradient_at(lambda x: extremum(x, axis=1), at), expected)
    assert_allclose(gradient_at(lambda x: extremum(x, axis=1, keepdims=True), at), expected)
    tangent = sm.Variable("t")
    x = sm.Variable("x")
    pushed = sm.pushforward(extremum(x, axis=1), x, tangent)
    moved = pushed.eval({x: at, tangent: np.array([[1.0, 9.0, 3.0]] * 3)})
    assert_allclose(moved, [2.0, 13 / 3, 5.0])


def test_infinite_adjoint_of_max_leaves_the_others_alone() -> None:
    assert_array_equal(gradient_at(lambda x: sm.log(sm.max(x)), [-1.0, 0.0]), [0.0, np.inf])


def test_extremes_of_infinities() -> None:
    at = np.array([-np.inf, np.inf, 1.0])
    assert_array_equal(gradient_at(sm.max, at), [0.0, 1.0, 0.0])
    assert_array_equal(gradient_at(sm.min, at), [1.0, 0.0, 0.0])
    assert np.isnan(gradient_at(sm.max, [1.0, np.nan])).all()


@pytest.mark.parametrize("function", [sm.max, sm.min, sm.argmax, sm.argmin])
def test_nothing_has_no_extreme(function: Any) -> None:
    with pytest.raises(ShapeError, match=r"axis 1 is empty.*\n.*test_reduce"):
        function(sm.Variable("x", shape=("n", 0)), axis=1)
    x = sm.Variable("x")
    with pytest.raises(ShapeError, match="axis 0 is empty"):
        function(x).eval({x: np.zeros(0)})
    assert function(x, axis=1).eval({x: np.zeros((0, 2))}).shape == (0,)


def test_max_has_no_second_derivative() -> None:
    x = sm.Variable("x")
    with pytest.raises(GradientError, match="only through 'equal'"):
        sm.gradients(sm.sum(sm.gradients(sm.max(x), x)), x)


# Spread


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_std_where_there_is_no_spread(scale: float) -> None:
    at = scale * np.full(3, 0.1)
    x = sm.Variable("x")
    assert_array_equal(gradient_at(sm.std, np.full(4, 2.0)), np.zeros(4))
    assert np.isnan(hessian_at(sm.std, np.full(3, 2.0))).all()  # the curvature has no bound
    assert_array_equal(gradient_at(lambda x: sm.std(x, axis=0), [[5.0, 1.0]]), [[0.0, 0.0]])
    assert np.isfinite(sm.gradients(sm.std(x), x).eval({x: at})).all()


def test_mean_and_variance_of_nothing_are_numpys_without_its_warnings() -> None:
    x = sm.Variable("x")
    assert np.isnan(sm.mean(x).eval({x: np.zeros(0)}))
    assert np.isnan(sm.var(x, correction=1).eval({x: np.zeros(1)}))
    assert sm.std(x, correction=2).eval({x: [1.0, 3.0]}) == np.inf
    assert sm.mean(x, axis=0).eval({x: np.zeros((0, 2))}).shape == (2,)
    assert sm.mean(sm.Variable("x", dtype="float32")).dtype == np.float32
    assert gradient_at(sm.mean, np.zeros(0)).shape == (0,)


def test_var_keeps_digits_far_from_zero() -> None:
    at = 1e8 + np.array([0.0, 1.0, 2.0])
    assert_allclose(gradient_at(sm.var, at), [-2 / 3, 0.0, 2 / 3], atol=1e-15)


# The softmax family at the edges


def test_logsumexp_of_masked_rows() -> None:
    low = -np.inf
    at = np.array([[low, low, low], [low, 0.0, 0.0], [1e4, 1e4, low], [-1e4, -1e4, low]])
    expected = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0]]
    half = np.log(2)
    x = sm.Variable("x")
    y = sm.logsumexp(x, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_allclose(y.eval({x: at}), [low, half, 1e4 + half, half - 1e4], rtol=1e-15)
    assert_allclose(gradient_at(lambda x: sm.logsumexp(x, axis=1), at), expected)
    assert_allclose(gradient_at(lambda x: sm.logsumexp(x, axis=1, keepdims=True), at), expected)
    assert_allclose(sm.pushforward(y, x, np.ones((4, 3))).eval({x: at}), [0, 1, 1, 1])


def test_logsumexp_of_infinity() -> None:
    at = [0.0, np.inf]
    x = sm.Variable("x")
    assert sm.logsumexp(x).eval({x: at}) == np.inf
    assert_array_equal(gradient_at(sm.logsumexp, at), [0.0, np.nan])
    assert sm.logsumexp(x).eval({x: np.zeros(0)}) == -np.inf


def test_cross_entropy_of_confident_logits() -> None:
    at = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    labels = np.array([[1.0, 0.0], [1.0, 0.0]])

    def loss(x: Node) -> Node:
        return -sm.sum(labels * sm.log_softmax(x))

    x = sm.Variable("x")
    assert loss(x).eval({x: at}) == 1000.0
    assert_array_equal(gradient_at(loss, at), [[0.0, 0.0], [-1.0, 1.0]])


def test_softmax_of_masked_elements() -> None:
    at = np.array([0.0, -np.inf, 0.0])
    assert_array_equal(sm.softmax(sm.constant(at)).eval(), [0.5, 0.0, 0.5])
    weights = np.array([1.0, 5.0, 3.0])
    assert_array_equal(gradient_at(lambda x: sm.softmax(x) * weights, at), [-0.5, 0.0, 0.5])


# Bad input


def test_bad_axes() -> None:
    x = sm.Variable("x", shape=(2, 3))
    for function in (sm.sum, sm.cumsum, sm.softmax, sm.argmax, sm.logsumexp):
        with pytest.raises(ShapeError, match=r"axis 2 is out of range.*\n.*test_reduce"):
            function(x, axis=2)
        for axis in (1.0, "rows", x):
            with pytest.raises(GraphTypeError, match="is not an axis"):
                function(x, axis=axis)
    with pytest.raises(ShapeError, match="named twice"):
        sm.sum(x, axis=(0, -2))
    for function in (sm.argmin, sm.cumprod):
        with pytest.raises(GraphTypeError, match="is a tuple"):
            function(x, axis=(0, 1))
    late = sm.Variable("x")
    with pytest.raises(ShapeError, match="axis 1 is out of range"):
        sm.mean(late, axis=1).eval({late: [1.0]})


def test_correction_has_one_value() -> None:
    x = sm.Variable("x")
    assert sm.var(x, correction=1, ddof=1).op == sm.var(x, ddof=1).op
    with pytest.raises(GraphTypeError, match="they mean the same"):
        sm.std(x, correction=1, ddof=2)


@pytest.mark.parametrize("function", [sm.argmax, sm.argmin, sm.any, sm.all])
def test_positions_and_truth_have_no_derivative(function: Any) -> None:
    x = sm.Variable("x")
    with pytest.raises(GradientError, match="no derivative"):
        sm.gradients(function(x), x)
    with pytest.raises(GradientError, match="only through"):
        sm.gradients(sm.sum(sm.cast(function(x), "float64")), x)
