"""Functions for networks: values and gradients of JAX, tails, kinks, masks, shapes and errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symad as sm
from symad import nn, random
from symad.errors import GraphTypeError, ShapeError
from symad.graph.nested import leaves
from symad.graph.node import apply
from symad.ops.windows import WindowSum
from tests.support import jax_interpreter

jax: Any = jax_interpreter.jax  # type: ignore[attr-defined]
BACKENDS: tuple[Any, ...] = ("numpy", "native")
RNG = np.random.default_rng(0)

each_backend = pytest.mark.parametrize("backend", BACKENDS)


def drawn(*shape: int) -> Any:
    return RNG.standard_normal(shape)


Pairs = list[tuple[Callable[..., Any], Callable[..., Any]]]


def check_against_jax(pairs: Pairs, *arrays: Any) -> None:
    """Compare values, and gradients for random seeds, of functions with JAX's, on every backend."""
    shapes = [jax.eval_shape(theirs, *arrays).shape for _, theirs in pairs]
    seeds = [RNG.standard_normal(shape) for shape in shapes]

    @jax.jit
    def with_gradients(*arrays: Any) -> Any:
        found = [jax.vjp(theirs, *arrays) for _, theirs in pairs]
        return [[y, *pullback(v)] for (y, pullback), v in zip(found, seeds, strict=True)]

    want = with_gradients(*arrays)
    inputs = [sm.Variable(f"x{k}", array.shape) for k, array in enumerate(arrays)]
    values = [mine(*inputs) for mine, _ in pairs]
    outputs = [
        [y, *sm.gradients(y, inputs, seed=sm.constant(v), unused="zero")]
        for y, v in zip(values, seeds, strict=True)
    ]
    for backend in BACKENDS:
        got = sm.compile(inputs, outputs, backend=backend)(*arrays)
        for mine, expected in zip(leaves(got), leaves(want), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12)


# Activations

ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda r, x, name=name: getattr(r, name)(x) for name in (
        "silu", "swish", "mish", "leaky_relu", "elu", "selu", "celu", "log_sigmoid",
        "hard_sigmoid", "hard_tanh", "hard_silu", "hard_swish", "relu6", "relu", "sigmoid",
        "softplus", "softmax", "log_softmax", "glu",
    )},
    "gelu": lambda r, x: r.gelu(x, approximate=False),
    "gelu approximate": lambda r, x: r.gelu(x, approximate=True),
    "leaky_relu steep": lambda r, x: r.leaky_relu(x, 0.3),
    "elu alpha": lambda r, x: r.elu(x, 0.3),
    "celu alpha": lambda r, x: r.celu(x, 0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_those_of_jax_to_order_2(name: str) -> None:
    function = ACTIVATIONS[name]
    x = sm.Variable("x", (8,))
    at, v = (
        np.array([-7.3, -3.4, -1.2, -0.3, 0.4, 1.7, 4.1, 7.9]),
        drawn(8 // (2 - (name != "glu"))),
    )
    y = function(nn, x)
    first = sm.gradients(y, x, seed=sm.constant(v))
    second = sm.gradients(sm.sum(first * first), x, unused="zero")

    def slope(x: Any) -> Any:
        return jax.vjp(lambda x: function(jax.nn, x), x)[1](v)[0]

    @jax.jit
    def to_order_2(x: Any) -> Any:
        return function(jax.nn, x), slope(x), jax.grad(lambda x: jax.numpy.sum(slope(x) ** 2))(x)

    want = to_order_2(at)
    for backend in BACKENDS:
        got = sm.compile([x], [y, first, second], backend=backend)(at)
        for mine, theirs in zip(got, want, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13)


def exact_gelu(x: Any) -> Any:
    return x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def exact_silu(x: Any) -> Any:
    return x / (1 + mpmath.exp(-x))


def exact_approximate_gelu(x: Any) -> Any:
    return x * exact_silu(u := mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3)) / u


TAILS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Any]] = {
    "gelu": (nn.gelu, exact_gelu, (-30.0, -10.0, 10.0, 40.0, 1000.0)),
    "gelu approximate": (
        lambda x: nn.gelu(x, approximate=True), exact_approximate_gelu, (-12.0, -5.0, 5.0, 40.0)
    ),
    "silu": (nn.silu, exact_silu, (-700.0, -40.0, 40.0, 1000.0)),
    "mish": (
        nn.mish, lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), (-700.0, -40.0, 3.0, 40.0)
    ),
    "log_sigmoid": (
        nn.log_sigmoid, lambda x: -mpmath.log1p(mpmath.exp(-x)), (-1000.0, -40.0, 40.0, 700.0)
    ),
    "elu": (nn.elu, lambda x: mpmath.expm1(x) if x <= 0 else x, (-700.0, -40.0, 1.0, 1000.0)),
    "softsign": (nn.softsign, lambda x: x / (1 + abs(x)), (-1e20, -3.0, 3.0, 1e10)),
    "cross entropy": (
        lambda x: nn.cross_entropy(sm.stack([x, 0 * x], axis=-1), np.zeros(4, "int64"),
                                   reduction="none"),
        lambda x: mpmath.log1p(mpmath.exp(-x)), (-1000.0, -40.0, -1.0, 1.0)
    ),
    "binary cross entropy": (
        lambda x: nn.binary_cross_entropy_with_logits(x, True, reduction="none"),
        lambda x: mpmath.log1p(mpmath.exp(-x)), (-1000.0, -40.0, 40.0, 700.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_digits_in_the_tails_to_order_2(name: str) -> None:
    function, exact, points = TAILS[name]
    x = sm.Variable("x", (len(points),))
    y = function(x)
    first = sm.gradients(sm.sum(y), x)
    outputs = [y, first, sm.gradients(sm.sum(first), x)]
    with mpmath.workdps(400):
        want = [
            [float(mpmath.diff(exact, mpmath.mpf(p), order)) for p in points] for order in range(3)
        ]
    for backend in BACKENDS:
        got = sm.compile([x], outputs, backend=backend)(points)
        for mine, theirs in zip(got, want, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(
    ("function", "at", "slope"),
    [
        (nn.leaky_relu, 0.0, 0.01), (nn.relu, 0.0, 0.0), (nn.relu6, 6.0, 0.0), (nn.elu, 0.0, 1.0),
        (nn.relu6, 0.0, 0.0), (nn.hard_tanh, 1.0, 0.0), (nn.hard_tanh, -1.0, 0.0),
        (nn.hard_sigmoid, 3.0, 0.0), (nn.hard_silu, -3.0, 0.0), (nn.selu, 0.0, 1.0507009873554805),
        (nn.softsign, 0.0, 1.0), (lambda x: nn.l1(x, 0.0), 0.0, 0.0),
        (lambda x: nn.huber(x, 0.0), 1.0, 1.0),
    ],
)  # fmt: skip
def test_kinks_have_the_subgradient_of_least_size(function: Any, at: float, slope: float) -> None:
    x = sm.Variable("x")
    assert sm.gradients(function(x), x).eval({x: at}) == slope


@pytest.mark.parametrize("shape", [None, (3,), ("n",)])
@pytest.mark.parametrize(
    ("function", "scale", "left"),
    [(nn.elu, 1, 1), (nn.selu, 1.0507009873554805, 1.7580993408473766), (nn.celu, 1, 1)],
)
def test_branches_that_are_not_taken_play_no_part(
    function: Any, scale: float, left: float, shape: Any
) -> None:
    """The square of e^x - 1 is infinite at 1000, and so are its derivatives."""
    x = sm.Variable("x", shape)
    y = sm.square(function(x))
    first = sm.gradients(y, x, seed=sm.ones_like(y))
    second = sm.gradients(first, x, seed=sm.ones_like(first))
    third = sm.gradients(second, x, seed=sm.ones_like(second))
    at = np.array([1000.0, 800.0, -1000.0])
    for backend in BACKENDS:
        got = sm.compile([x], [y, first, second, third], backend=backend)(at)
        for value, (right, other) in zip(
            got, [(at**2, left**2), (2 * at, 0), (2 + 0 * at, 0), (0 * at, 0)], strict=True
        ):
            np.testing.assert_allclose(value[:2], scale**2 * right[:2], rtol=1e-14)
            np.testing.assert_allclose(value[2], other, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype: str) -> None:
    x = sm.Variable("x", (2, 4, 6, 6), dtype)
    w = sm.Variable("w", (8, 4, 3, 3), dtype)
    key = random.key(0)
    nodes = [function(nn, x) for function in ACTIVATIONS.values()]
    nodes += [nn.softsign(x), nn.conv(x, w), nn.conv_transpose(x, sm.matrix_transpose(w)[:4])]
    nodes += [
        nn.max_pool(x, 2),
        nn.avg_pool(x, 2),
        nn.avg_pool(x, 2, padding=1, count_include_pad=False),
    ]
    nodes += [nn.batch_norm(x), nn.layer_norm(x), nn.rms_norm(x), nn.group_norm(x, 2)]
    nodes += [nn.dropout(key, x), nn.scaled_dot_product_attention(x, x, x, causal=True)]
    nodes += [nn.mse(x, 0), nn.l1(x, x), nn.huber(x, 0.0), nn.cross_entropy(x, nn.softmax(x))]
    nodes += [nn.binary_cross_entropy_with_logits(x, True), nn.kl_divergence(x, nn.softmax(x))]
    assert {str(node.dtype) for node in nodes} == {dtype}
    assert {nn.silu([1, 2]).dtype, nn.layer_norm([1, 2]).dtype} == {np.dtype("float64")}


# Convolutions: lead, channels, sizes, filters, window, and keywords

CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "1 axis": ((2,), 3, (9,), 4, (3,), {}),
    "2 axes": ((2,), 3, (7, 6), 4, (3, 2), {}),
    "3 axes": ((2,), 2, (5, 4, 6), 3, (2, 3, 2), {}),
    "1 by 1": ((2,), 3, (4, 5), 2, (1, 1), {}),
    "whole": ((2,), 3, (4, 5), 2, (4, 5), {}),
    "stride": ((2,), 3, (8, 9), 4, (3, 3), {"stride": (2, 3)}),
    "padding": ((2,), 3, (5, 6), 4, (3, 3), {"padding": (2, 1)}),
    "pairs": ((2,), 3, (5, 6), 4, (3, 3), {"padding": [(2, 0), (0, 1)]}),
    "dilation": ((2,), 3, (9, 8), 4, (3, 2), {"dilation": (2, 3)}),
    "groups": ((2,), 4, (5, 5), 6, (3, 3), {"groups": 2}),
    "depthwise": ((2,), 3, (5, 5), 6, (3, 3), {"groups": 3, "padding": 1}),
    "everything": ((3,), 4, (11, 10), 4, (3, 2),
                   {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
}  # fmt: skip
SAME = {
    "same": ((2,), 3, (5, 6), 2, (3, 2), {"padding": "same"}),
    "same, stride": ((2,), 3, (5, 7), 2, (3, 2), {"padding": "same", "stride": (2, 3)}),
    "same, dilation": ((2,), 3, (9, 8), 2, (3, 2), {"padding": "same", "dilation": 2}),
    "valid": ((2,), 3, (5, 6), 2, (3, 2), {"padding": "valid"}),
}


def jax_conv(x: Any, w: Any, **keywords: Any) -> Any:
    """Return JAX's convolution for the same keywords."""
    rank = w.ndim - 2
    each = {
        key: (value,) * rank if isinstance(value, int) and key != "groups" else value
        for key, value in (
            {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | keywords
        ).items()
    }
    padding = each["padding"]
    if isinstance(padding, str):
        padding = padding.upper()
    else:
        padding = [(p, p) if isinstance(p, int) else p for p in padding]
    return jax.lax.conv_general_dilated(
        x, w, each["stride"], padding, rhs_dilation=each["dilation"],
        feature_group_count=each["groups"],
    )  # fmt: skip


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *SAME])
def test_conv_equals_that_of_jax(name: str) -> None:
    lead, channels, sizes, filters, window, keywords = (CONVOLUTIONS | SAME)[name]
    x = drawn(*lead, channels, *sizes)
    w = drawn(filters, channels // keywords.get("groups", 1), *window)
    pair = lambda x, w: nn.conv(x, w, **keywords), lambda x, w: jax_conv(x, w, **keywords)  # noqa: E731
    check_against_jax([pair], x, w)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv_transpose_is_the_transpose(name: str) -> None:
    lead, channels, sizes, filters, window, keywords = CONVOLUTIONS[name]
    image = np.zeros((*lead, channels, *sizes))
    w = drawn(filters, channels // keywords.get("groups", 1), *window)
    conv = jax.eval_shape(lambda x: jax_conv(x, w, **keywords), image)
    y = drawn(*conv.shape)

    def theirs(y: Any, w: Any) -> Any:
        return jax.vjp(lambda x: jax_conv(x, w, **keywords), image)[1](y)[0]

    step, extra = keywords.get("stride", 1), []
    steps = (step,) * len(sizes) if isinstance(step, int) else step
    smallest = nn.conv_transpose(y, w, **keywords).shape[-len(sizes) :]
    extra = [n - least for n, least in zip(sizes, smallest, strict=True)]
    assert all(0 <= more < step for more, step in zip(extra, steps, strict=True))

    def mine(y: Any, w: Any) -> Any:
        return nn.conv_transpose(y, w, output_padding=extra, **keywords)

    check_against_jax([(mine, theirs)], y, w)


def test_second_derivatives_of_a_small_network() -> None:
    x, w = sm.Variable("x", ("batch", 2, 6, 6)), sm.Variable("w", (4, 1, 3, 3))
    v = sm.Variable("v", (4, 2, 2, 2))
    hidden = nn.max_pool(nn.gelu(nn.conv(x, w, padding="same", groups=2)), 2)
    y = sm.mean(sm.tanh(nn.conv_transpose(hidden, v, stride=2)) ** 2)
    at = {x: drawn(3, 2, 6, 6), w: drawn(4, 1, 3, 3), v: drawn(4, 2, 2, 2)}
    sm.testing.check_gradients(y, [x, w, v], at=at, order=2)


def test_one_function_for_all_batch_sizes_and_for_none() -> None:
    w, bias = drawn(4, 3, 3, 3), drawn(4)
    x = sm.Variable("x", ("batch", 3, "height", "width"))
    y = nn.conv(x, w, bias, padding="same")
    assert y.type.shape[:2] == ("batch", 4)  # type: ignore[union-attr, index]
    f = sm.compile([x], [y, sm.gradients(sm.sum(y * y), x)])
    for shape in [(2, 3, 5, 6), (5, 3, 4, 3), (0, 3, 5, 6)]:
        at = drawn(*shape)
        value, slope = f(at)
        assert value.shape == (shape[0], 4, *shape[2:]) and slope.shape == shape
        want = jax_conv(at, w, padding="same") + bias[:, None, None] if shape[0] else value
        np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-12)
    at = drawn(2, 3, 5, 6)
    alone = nn.conv(at[0], w, bias, padding="same").eval()
    np.testing.assert_allclose(alone, f(at)[0][0], rtol=1e-12, atol=1e-12)


POOLS: dict[str, tuple[Any, ...]] = {
    "whole windows": ((2, 3, 6, 6), (2, 2), {}),
    "some are left": ((2, 3, 7, 5), (2, 3), {}),
    "one axis": ((2, 3, 8), (3,), {"stride": 1}),
    "three axes": ((2, 2, 4, 5, 6), (2, 2, 3), {}),
    "padding": ((2, 3, 6, 5), (3, 2), {"stride": 2, "padding": (2, 1)}),
    "same": ((2, 3, 6, 5), (3, 2), {"stride": 2, "padding": "same"}),
}


def jax_pool(kind: str, x: Any, window: Any, stride: Any = None, padding: Any = 0) -> Any:
    lead = (1,) * (x.ndim - len(window))
    steps = (
        window if stride is None else (stride,) * len(window) if isinstance(stride, int) else stride
    )
    if not isinstance(padding, str):
        each = (padding,) * len(window) if isinstance(padding, int) else padding
        padding = [(0, 0)] * len(lead) + [(p, p) for p in each]
    else:
        padding = padding.upper()
    start, combine = (-np.inf, jax.lax.max) if kind == "max" else (0.0, jax.lax.add)
    return jax.lax.reduce_window(x, start, combine, (*lead, *window), (*lead, *steps), padding)


@pytest.mark.parametrize("name", POOLS)
def test_pools_equal_those_of_jax(name: str) -> None:
    shape, window, keywords = POOLS[name]
    x, ones = drawn(*shape), np.ones(shape)
    size = int(np.prod(window))
    cases: Pairs = [
        (lambda x: nn.max_pool(x, window, **keywords),
         lambda x: jax_pool("max", x, window, **keywords)),
        (lambda x: nn.avg_pool(x, window, **keywords),
         lambda x: jax_pool("sum", x, window, **keywords) / size),
        (lambda x: nn.avg_pool(x, window, **keywords, count_include_pad=False),
         lambda x: jax_pool("sum", x, window, **keywords)
         / jax_pool("sum", ones, window, **keywords)),
    ]  # fmt: skip
    check_against_jax(cases, x)


def test_pools_of_integers_and_of_one_number_for_all_axes() -> None:
    n = np.arange(-16, 0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(nn.max_pool(n, 2).eval(), [[[[-11, -9], [-3, -1]]]])
    np.testing.assert_array_equal(nn.max_pool(n, 2, padding=1).eval()[0, 0, 0], [-16, -14, -13])
    np.testing.assert_array_equal(nn.avg_pool(n, (2, 2)).eval(), [[[[-13.5, -11.5], [-5.5, -3.5]]]])
    dilated = nn.max_pool(np.arange(6.0), (2,), stride=1, dilation=3).eval()
    np.testing.assert_array_equal(dilated, [3, 4, 5])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
@pytest.mark.parametrize(
    ("windows", "sizes", "steps", "gaps", "last"),
    [
        ((64, 3, 3, 30, 28), (3, 3), (1, 1), (1, 1), (32, 30)),
        ((4, 5, 3, 2, 13, 17), (3, 2), (2, 2), (1, 3), (28, 37)),
        ((2, 129, 70), (129,), (3,), (1,), (338,)),
        ((3, 1, 1), (1,), (1,), (1,), (1,)),
        ((0, 2, 4), (2,), (1,), (1,), (5,)),
    ],
)  # fmt: skip
def test_windows_add_up_to_the_same_bits_everywhere(
    windows: Any, sizes: Any, steps: Any, gaps: Any, last: Any, dtype: str
) -> None:
    like = sm.zeros((*windows[: -2 * len(sizes)], *last), dtype)
    v = sm.Variable("v", windows, dtype)
    y = apply(WindowSum(sizes, steps, gaps), v, like)
    at = (RNG.standard_normal(windows) * 8).astype(dtype)
    want = sm.compile([v], y, backend="numpy")(at)
    for threads in (1, 2):
        got = sm.compile([v], y, backend="native", threads=threads)(at)
        np.testing.assert_array_equal(got, want, strict=True)


# Normalisation


def normal(x: Any, axes: Any) -> Any:
    np_ = jax.numpy
    return (x - np_.mean(x, axes, keepdims=True)) / np_.sqrt(np_.var(x, axes, keepdims=True) + 1e-5)


def test_norms_are_their_formulas() -> None:
    x, w, b = drawn(4, 6, 3, 2), drawn(6), drawn(6)
    column = (slice(None), None, None)
    scale: Callable[[Any, Any, Any], Any] = lambda y, w, b: y * w[column] + b[column]  # noqa: E731
    cases: Pairs = [
        (nn.batch_norm, lambda x, w, b: scale(normal(x, (0, 2, 3)), w, b)),
        (lambda x, w, b: nn.batch_norm(x, w, b, mean=b, variance=sm.square(w)),
         lambda x, w, b: scale((x - b[column]) / jax.numpy.sqrt(w[column] ** 2 + 1e-5), w, b)),
        (lambda x, w, b: nn.group_norm(x, 2, w, b),
         lambda x, w, b: scale(normal(x.reshape(4, 2, -1), 2).reshape(x.shape), w, b)),
        (lambda x, w, b: nn.layer_norm(x, w[:2], b[:2]),
         lambda x, w, b: normal(x, -1) * w[:2] + b[:2]),
        (lambda x, w, b: nn.layer_norm(x, w[0], b[0], axis=(1, 2, 3)),
         lambda x, w, b: normal(x, (1, 2, 3)) * w[0] + b[0]),
        (lambda x, w, b: nn.rms_norm(x, w[:2]) + b[0],
         lambda x, w, b: b[0] + x * w[:2] / jax.numpy.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)),
    ]  # fmt: skip
    check_against_jax(cases, x, w, b)


def test_batch_norm_of_vectors_and_along_the_last_axis() -> None:
    x = drawn(5, 3)
    np.testing.assert_allclose(nn.batch_norm(x).eval(), normal(x, 0), rtol=1e-12)
    y = drawn(5, 2, 3)
    np.testing.assert_allclose(nn.batch_norm(y, axis=-1).eval(), normal(y, (0, 1)), rtol=1e-12)


# Attention, embedding, dropout


def attention(
    q: Any, k: Any, v: Any, allowed: Any = True, added: Any = 0.0, scale: Any = None
) -> Any:
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + added
    weights = jax.nn.softmax(jax.numpy.where(allowed, scores, -1e300), axis=-1)
    return jax.numpy.where(allowed, weights, 0) @ v


def test_attention_is_its_formula() -> None:
    q, k, v = drawn(2, 3, 4, 5), drawn(2, 3, 6, 5), drawn(2, 3, 6, 7)
    mask, added = RNG.random((4, 6)) < 0.5, drawn(2, 1, 4, 6)
    mask[1] = False  # a target that sees nothing
    triangle = np.tril(np.ones((4, 6), bool))
    attend = nn.scaled_dot_product_attention
    cases: Pairs = [
        (attend, attention),
        (lambda *a: attend(*a, mask=mask), lambda *a: attention(*a, allowed=mask)),
        (lambda *a: attend(*a, mask=added), lambda *a: attention(*a, added=added)),
        (lambda *a: attend(*a, causal=True), lambda *a: attention(*a, allowed=triangle)),
        (lambda *a: attend(*a, mask, causal=True, scale=0.3),
         lambda *a: attention(*a, allowed=triangle & mask, scale=0.3)),
    ]  # fmt: skip
    check_against_jax(cases, q, k, v)


def test_what_attention_does_not_see_plays_no_part() -> None:
    q, k, v = (sm.Variable(name, (3, 3)) for name in "qkv")
    y = nn.scaled_dot_product_attention(q, k, v, mask=np.array([[True, False, False]] * 3))
    slopes = sm.gradients(sm.sum(y), [q, k])
    hidden = np.array([[1.0, 2.0, 3.0], [np.inf, np.nan, 1.0], [1e308, 1e308, 1e308]])
    for slope in sm.compile([q, k, v], slopes)(drawn(3, 3), hidden, drawn(3, 3)):
        np.testing.assert_array_equal(slope, np.zeros((3, 3)))


def test_attention_of_unknown_sizes() -> None:
    x = sm.Variable("x", ("batch", "time", "features"))
    f = sm.compile([x], nn.scaled_dot_product_attention(x, x, x, causal=True))
    for shape in [(2, 4, 3), (1, 2, 5)]:
        at = drawn(*shape)
        triangle = np.tril(np.ones((shape[1], shape[1]), bool))
        np.testing.assert_allclose(f(at), attention(at, at, at, triangle), rtol=1e-12)


def test_the_gradient_of_an_embedding_adds_up_repeated_rows() -> None:
    table = sm.Variable("table", (4, 2))
    y = nn.embedding(np.array([[1, 1], [3, 1]]), table)
    slope = sm.gradients(sm.sum(y), table).eval({table: drawn(4, 2)})
    np.testing.assert_array_equal(slope, [[0, 0], [3, 3], [0, 0], [1, 1]])


@each_backend
def test_dropout_keeps_the_mean_and_its_gradient_is_its_mask(backend: Any) -> None:
    x, rate = sm.Variable("x", ("n", 100)), sm.Variable("rate", ())
    y = nn.dropout(random.key(3), x, rate)
    f = sm.compile([x, rate], [y, sm.gradients(y, x, seed=sm.ones_like(x))], backend=backend)
    at = RNG.random((200, 100)) + 1
    value, slope = f(at, 0.3)
    assert abs(np.mean(value == 0) - 0.3) < 0.02 and abs(np.mean(value) / np.mean(at) - 1) < 0.02
    np.testing.assert_allclose(value, at * slope, rtol=1e-14)
    np.testing.assert_allclose(slope[slope != 0], 1 / 0.7, rtol=1e-12)
    np.testing.assert_array_equal(f(at, 0.0)[0], at)
    for found in f(at, 1.0):
        np.testing.assert_array_equal(found, np.zeros((200, 100)))


# Losses


def test_losses_are_their_formulas() -> None:
    z, t = drawn(5, 4), drawn(5, 4)
    labels = np.array([0, 3, 1, 1, 2])
    truth = RNG.random((5, 4)) < 0.5
    logs, softmax, log_softmax = jax.nn.log_sigmoid, jax.nn.softmax, jax.nn.log_softmax

    p = softmax(drawn(5, 4))

    def chosen(z: Any) -> Any:
        return log_softmax(z)[np.arange(5), labels]

    cases: Pairs = [
        (lambda z, t: nn.cross_entropy(z, labels), lambda z, t: -chosen(z).mean()),
        (lambda z, t: nn.cross_entropy(z.T, labels, axis=0, reduction="none"),
         lambda z, t: -chosen(z)),
        (lambda z, t: nn.cross_entropy(z, nn.softmax(t), reduction="sum"),
         lambda z, t: -(softmax(t) * log_softmax(z)).sum()),
        (lambda z, t: nn.cross_entropy(z, labels, label_smoothing=0.2),
         lambda z, t: -0.8 * chosen(z).mean() - 0.2 * log_softmax(z).mean()),
        (lambda z, t: nn.nll(z, labels, reduction="sum"),
         lambda z, t: -z[np.arange(5), labels].sum()),
        (lambda z, t: nn.binary_cross_entropy_with_logits(z, truth, 3.0),
         lambda z, t: -(3 * truth * logs(z) + (1 - truth) * logs(-z)).mean()),
        (nn.mse, lambda z, t: ((z - t) ** 2).mean()),
        (lambda z, t: nn.l1(z, t, "sum"), lambda z, t: abs(z - t).sum()),
        (lambda z, t: nn.huber(z, t, 0.7, "none"),
         lambda z, t: jax.numpy.where(
             abs(z - t) <= 0.7, (z - t) ** 2 / 2, 0.7 * (abs(z - t) - 0.35))),
        (lambda z, t: nn.kl_divergence(nn.log_softmax(z), p),
         lambda z, t: (p * (np.log(p) - log_softmax(z))).sum(-1).mean()),
        (lambda z, t: nn.kl_divergence(nn.log_softmax(z), nn.log_softmax(t), log_targets=True),
         lambda z, t: (softmax(t) * (log_softmax(t) - log_softmax(z))).sum(-1).mean()),
    ]  # fmt: skip
    check_against_jax(cases, z, t)


def test_a_target_of_probability_0_adds_nothing() -> None:
    q = sm.Variable("q", (3,))
    y = nn.kl_divergence(q, np.array([0.5, 0.5, 0.0]))
    value, slope = sm.compile([q], [y, sm.gradients(y, q)])(
        np.log([0.5, 0.5, 0.0], where=[1, 1, 0], out=np.full(3, -np.inf))
    )
    assert value == 0.0
    np.testing.assert_array_equal(slope, [-0.5, -0.5, 0.0])
    p = sm.Variable("p", (3,))
    slope = sm.gradients(nn.kl_divergence(np.zeros(3), p), p).eval({p: [0.5, 0.5, 0.0]})
    np.testing.assert_allclose(slope, [1 + np.log(0.5), 1 + np.log(0.5), -np.inf])
    logs = sm.Variable("logs", (3,))
    y = nn.kl_divergence(logs, logs, log_targets=True)
    value, slope = sm.compile([logs], [y, sm.gradients(y, logs)])(np.array([-1.0, -0.5, -np.inf]))
    assert value == 0.0
    np.testing.assert_allclose(slope, np.zeros(3), atol=1e-15)


# Errors

IMAGE = sm.Variable("image", ("batch", 3, 8, 8))
KERNEL = sm.constant(np.zeros((4, 3, 3, 3)))
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "channels": (lambda: nn.conv(IMAGE, np.zeros((4, 2, 3, 3))), ShapeError, "3 channels"),
    "bias": (lambda: nn.conv(IMAGE, KERNEL, np.zeros(3)), ShapeError, "4 filters"),
    "groups": (lambda: nn.conv(IMAGE, KERNEL, groups=3), ShapeError, "3 groups"),
    "a large window": (lambda: nn.conv(IMAGE, np.zeros((4, 3, 9, 3))), ShapeError, "9 elements"),
    "stride": (lambda: nn.conv(IMAGE, KERNEL, stride=0), GraphTypeError, "at least 1"),
    "dilations": (lambda: nn.conv(IMAGE, KERNEL, dilation=(1, 1, 1)), GraphTypeError, "2 axes"),
    "padding": (lambda: nn.conv(IMAGE, KERNEL, padding="full"), GraphTypeError, "'same'"),
    "negative padding": (lambda: nn.conv(IMAGE, KERNEL, padding=-1), ShapeError, "negative"),
    "too few axes": (lambda: nn.conv(sm.Variable("x", (8, 8)), KERNEL), ShapeError, "2 axes"),
    "an unknown rank": (lambda: nn.conv(sm.Variable("x"), KERNEL), ShapeError, "Declare"),
    "an unknown weight": (lambda: nn.conv(IMAGE, sm.Variable("w")), ShapeError, "known shape"),
    "an unknown size": (
        lambda: nn.conv(sm.Variable("x", ("b", 3, "h", "w")), KERNEL, padding="same", stride=2),
        ShapeError, "known size",
    ),
    "output padding": (
        lambda: nn.conv_transpose(IMAGE, np.zeros((3, 4, 3, 3)), output_padding=1), ShapeError,
        "less than the stride",
    ),
    "pool padding": (lambda: nn.max_pool(IMAGE, 2, padding=2), ShapeError, "as large"),
    "pool window": (lambda: nn.avg_pool(IMAGE, 9), ShapeError, "9 elements"),
    "pool of unknown rank": (lambda: nn.max_pool(sm.Variable("x"), 2), ShapeError, "Declare"),
    "group norm": (lambda: nn.group_norm(IMAGE, 2), ShapeError, "2 groups"),
    "batch norm": (lambda: nn.batch_norm(sm.Variable("x")), ShapeError, "Declare"),
    "rate": (lambda: nn.dropout(random.key(0), IMAGE, 1.5), GraphTypeError, "between 0 and 1"),
    "dropout of unknown rank": (
        lambda: nn.dropout(random.key(0), sm.Variable("x")), ShapeError, "known"
    ),
    "reduction": (lambda: nn.mse(IMAGE, 0.0, "max"), GraphTypeError, "'none'"),  # type: ignore[arg-type]
    "labels": (lambda: nn.nll(IMAGE, np.zeros((2, 3, 8))), GraphTypeError, "integers"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_to_do(name: str) -> None:
    make, error, message = WRONG[name]
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_nn.py" in str(caught.value) or name == "reduction"


def test_networks_are_loaded_on_first_use() -> None:
    code = "import sys, symad as sm; print('symad.nn' in sys.modules, sm.nn.gelu.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False gelu\n"


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: nn.conv2d, "Did you mean 'conv'"),
        (lambda: nn.mse_loss, "write sm.nn.mse"),
        (lambda: nn.adam, "Did you mean 'sm.optimise.adam'"),
        (lambda: random.PRNGKey, "write sm.random.key"),
        (lambda: random.poisson, "loops whose length depends"),
        (lambda: sm.optimise.adamm, "Did you mean 'adam"),
    ],
)
def test_a_name_of_others_says_what_there_is_here(find: Any, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        find()
