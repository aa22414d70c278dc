"""Derivatives keep their digits, over the whole range in which they are numbers: against mpmath.

Each function is differentiated once and twice in float16, float32 and float64, and compared in
units in the last place of the exact derivative; at least in units of the smallest number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest

import symad as sm
from symad.drawing.show import node_values
from symad.ops.exponential import log1mexp
from symad.ops.trigonometric import log_cosh

DTYPES = ("float16", "float32", "float64")

SIZES = np.concatenate([1.37 * 10.0 ** np.arange(-12, 0), np.linspace(0.1, 4, 9),
                        np.linspace(4.7, 45, 14), [60, 88, 100, 300, 700, 740]])  # fmt: skip
NEAR_ONE = 1 - 2.0 ** -np.arange(1, 40, 3)

LINE = np.concatenate([SIZES, -SIZES])
POSITIVE = np.concatenate([SIZES, NEAR_ONE, 2 - NEAR_ONE, 1 + NEAR_ONE, [1e5, 1e10]])
UNIT = np.concatenate([SIZES[SIZES < 1], NEAR_ONE])
ABOVE_MINUS_ONE = np.concatenate([SIZES, -UNIT])
ABOVE_ONE = 1 + np.concatenate([SIZES, 1 - NEAR_ONE])


def sigmoid_slope(x: Any) -> Any:
    return mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2


@dataclass(frozen=True)
class Case:
    """A function of one number, where to try it, and its derivatives.

    Attributes
    ----------
    function : callable
    points : array
    first, second : callable
        The exact derivatives, by mpmath.
    bound : float
        How many units in the last place the derivatives may be off.
    """

    function: Callable[[Any], Any]
    points: np.ndarray
    first: Callable[[Any], Any]
    second: Callable[[Any], Any]
    bound: float = 6


CASES = {
    "sigmoid": Case(
        sm.sigmoid, LINE, sigmoid_slope, lambda x: -sigmoid_slope(x) * mpmath.tanh(x / 2)
    ),
    "tanh": Case(
        sm.tanh, LINE, lambda x: mpmath.sech(x) ** 2,
        lambda x: -2 * mpmath.sech(x) ** 2 * mpmath.tanh(x),
    ),
    "softplus": Case(sm.softplus, LINE, lambda x: 1 / (1 + mpmath.exp(-x)), sigmoid_slope),
    "logaddexp": Case(
        lambda x: sm.logaddexp(x, 0.5), LINE, lambda x: 1 / (1 + mpmath.exp(0.5 - x)),
        lambda x: sigmoid_slope(x - 0.5),
    ),
    "exp": Case(sm.exp, LINE, mpmath.exp, mpmath.exp),
    "expm1": Case(sm.expm1, LINE, mpmath.exp, mpmath.exp),
    "log": Case(sm.log, POSITIVE, lambda x: 1 / x, lambda x: -1 / x**2),
    "log1p": Case(
        sm.log1p, ABOVE_MINUS_ONE, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2
    ),
    "sqrt": Case(
        sm.sqrt, POSITIVE, lambda x: 1 / (2 * mpmath.sqrt(x)), lambda x: -(x**-1.5) / 4
    ),
    "reciprocal": Case(sm.reciprocal, LINE, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "tan": Case(
        sm.tan, LINE, lambda x: mpmath.sec(x) ** 2, lambda x: 2 * mpmath.tan(x) * mpmath.sec(x) ** 2
    ),
    "asin": Case(
        sm.asin, np.concatenate([UNIT, -UNIT]), lambda x: 1 / mpmath.sqrt(1 - x * x),
        lambda x: x / (1 - x * x) ** 1.5,
    ),
    "acos": Case(
        sm.acos, np.concatenate([UNIT, -UNIT]), lambda x: -1 / mpmath.sqrt(1 - x * x),
        lambda x: -x / (1 - x * x) ** 1.5,
    ),
    "atanh": Case(
        sm.atanh, np.concatenate([UNIT, -UNIT]), lambda x: 1 / (1 - x * x),
        lambda x: 2 * x / (1 - x * x) ** 2,
    ),
    "asinh": Case(
        sm.asinh, LINE, lambda x: 1 / mpmath.sqrt(1 + x * x), lambda x: -x / (1 + x * x) ** 1.5
    ),
    "acosh": Case(
        sm.acosh, ABOVE_ONE, lambda x: 1 / mpmath.sqrt(x * x - 1),
        lambda x: -x / (x * x - 1) ** 1.5,
    ),
    "sinh": Case(sm.sinh, LINE, mpmath.cosh, mpmath.sinh),
    "cosh": Case(sm.cosh, LINE, mpmath.sinh, mpmath.cosh),
    "erf": Case(  # x² is rounded before its exponential is taken
        sm.erf, LINE, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
        lambda x: -4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), 400,
    ),
    "exp2": Case(
        sm.exp2, LINE, lambda x: mpmath.log(2) * 2**x, lambda x: mpmath.log(2) ** 2 * 2**x
    ),
    "log2": Case(
        sm.log2, POSITIVE, lambda x: 1 / (x * mpmath.log(2)), lambda x: -1 / (x**2 * mpmath.log(2))
    ),
    "log10": Case(
        sm.log10, POSITIVE, lambda x: 1 / (x * mpmath.log(10)),
        lambda x: -1 / (x**2 * mpmath.log(10)),
    ),
    "cbrt": Case(
        sm.cbrt, POSITIVE, lambda x: mpmath.cbrt(x) / (3 * x),
        lambda x: -2 * mpmath.cbrt(x) / (9 * x**2), 8,
    ),
    "erfc": Case(
        sm.erfc, LINE, lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
        lambda x: 4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), 400,
    ),
    "logaddexp, second operand": Case(
        lambda x: sm.logaddexp(-0.5, x), LINE, lambda x: 1 / (1 + mpmath.exp(-0.5 - x)),
        lambda x: sigmoid_slope(x + 0.5),
    ),
    "log1mexp": Case(
        log1mexp, -SIZES, lambda x: mpmath.exp(x) / mpmath.expm1(x),
        lambda x: -mpmath.exp(x) / mpmath.expm1(x) ** 2, 8,
    ),
    "log_cosh": Case(log_cosh, LINE, mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "gammaln": Case(
        sm.gammaln, POSITIVE, mpmath.digamma, lambda x: mpmath.polygamma(1, x), 20
    ),
}  # fmt: skip


def points_of(case: Case, dtype: str) -> Any:
    """Return the points that are numbers of a dtype, without those that round onto a pole."""
    with np.errstate(all="ignore"):
        points = np.unique(case.points.astype(dtype))
        inside = np.isfinite(points) & (points != 0) & (np.abs(points) != 1)
    return points[inside]


def units_off(found: Any, exact: Any, dtype: str) -> float:
    """Return the error in units in the last place; 0 where the exact number is out of range."""
    limits = np.finfo(dtype)
    if abs(exact) > 0.99 * mpmath.mpf(float(limits.max)):
        return 0.0
    unit = max(abs(exact) * float(limits.eps), mpmath.mpf(float(limits.smallest_subnormal)))
    return float(abs(mpmath.mpf(float(found)) - exact) / unit) if np.isfinite(found) else np.inf


def worst(found: Any, points: Any, exact: Callable[[Any], Any], dtype: str) -> tuple[float, float]:
    """Return the largest error, and where it is."""
    with mpmath.workdps(60):
        errors = [
            units_off(y, exact(mpmath.mpf(float(x))), dtype)
            for x, y in zip(points, found, strict=True)
        ]
    place = int(np.argmax(errors))
    return errors[place], float(points[place])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_one_number(name: str, dtype: str) -> None:
    case = CASES[name]
    x = sm.Variable("x", shape=("n",), dtype=dtype)
    y = case.function(x)
    first = sm.gradients(y, x)
    second = sm.gradients(first, x)
    points = points_of(case, dtype)
    values = node_values([first, second], {x: points})
    found = {
        "as written": [values[first], values[second]],
        **{
            backend: sm.compile([x], [first, second], backend=backend)(points)
            for backend in ("numpy", "native")
        },
    }
    for how, (one, two) in found.items():
        for order, value, exact in ((1, one, case.first), (2, two, case.second)):
            error, place = worst(value, points, exact, dtype)
            assert error <= case.bound, f"{how}, order {order}: {error:.3g} units off at {place}"


def test_a_lost_digit_is_found() -> None:
    """The rule y·(1 - y) loses the derivative of a sigmoid, and the test sees it."""
    points = np.array([1.0, 20.0])
    y = 1 / (1 + np.exp(-points))
    error, place = worst(y * (1 - y), points, sigmoid_slope, "float64")
    assert error > 1e5 and place == 20


BACKENDS = ("numpy", "native")
for_each_backend = pytest.mark.parametrize("backend", BACKENDS)
for_each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@for_each_backend
@for_each_dtype
@pytest.mark.parametrize("rank", [None, 1], ids=["undeclared", "declared"])
def test_derivatives_of_a_softmax(dtype: str, backend: str, rank: int | None) -> None:
    """Of two elements, it is the sigmoid of their difference."""
    x = sm.Variable("x", shape=None if rank is None else (2,), dtype=dtype)
    first = sm.gradients(sm.softmax(x), x, [1.0, 0.0])
    second = sm.gradients(first, x, [1.0, 0.0])
    f = sm.compile([x], [first, second], backend=backend)
    for gap in (0.5, 7.0, 11.0) if dtype == "float16" else (0.5, 7.0, 16.0, 40.0, 80.0):
        one, two = f(np.array([gap, 0], dtype))
        slope = sigmoid_slope(mpmath.mpf(gap))
        curvature = -slope * mpmath.tanh(mpmath.mpf(gap) / 2)
        for found, exact in zip([*one, two[0]], [slope, -slope, curvature], strict=True):
            assert units_off(found, exact, dtype) < 8, (gap, found)


@for_each_backend
@for_each_dtype
@pytest.mark.parametrize("axis", [-1, None])
def test_derivatives_of_logarithms_of_shares(dtype: str, backend: str, axis: Any) -> None:
    """Where a share p is nearly 1, 1 - p keeps its digits: for log_softmax, in both modes."""
    gaps = (0.5, 7.0, 11.0) if dtype == "float16" else (0.5, 7.0, 16.0, 40.0, 80.0)
    z = sm.Variable("z", shape=(3,), dtype=dtype)
    total, logs = sm.logsumexp(z, axis=axis), sm.log_softmax(z, axis=axis)
    outputs = [
        sm.gradients(total, z), sm.hessian(total, z), sm.hessian(logs[0], z),
        sm.hessian(logs[1], z), sm.jacobian(logs, z), sm.jacobian(logs, z, mode="forward"),
    ]  # fmt: skip
    f = sm.compile([z], outputs, backend=backend)
    for gap in gaps:
        at = [gap, 0.0, -0.5]
        with mpmath.workdps(60):
            weights = [mpmath.exp(mpmath.mpf(x)) for x in at]
            p = [w / sum(weights) for w in weights]
            rest = [sum(weights[:k] + weights[k + 1 :]) / sum(weights) for k in range(3)]
            slopes = [[rest[i] if i == j else -p[j] for j in range(3)] for i in range(3)]
            covariance = [[p[i] * slope for slope in slopes[i]] for i in range(3)]
        minus = [[-c for c in row] for row in covariance]
        wanted = [p, covariance, minus, minus, slopes, slopes]
        for found, exact in zip(f(np.array(at, dtype)), wanted, strict=True):
            numbers = np.array(exact, object).ravel()
            errors = [units_off(a, b, dtype) for a, b in zip(found.ravel(), numbers, strict=True)]
            assert max(errors) < 8, (gap, found, max(errors))


@for_each_backend
@pytest.mark.parametrize("name", ["max", "min", "norm", "logsumexp"])
def test_float16_shares_a_derivative_among_many(name: str, backend: str) -> None:
    """70 000 is no float16, but the share of each of so many equal elements is."""
    function: Any = {
        "max": sm.max, "min": sm.min, "logsumexp": sm.logsumexp,
        "norm": lambda x: sm.linalg.norm(x, np.inf),
    }[name]  # fmt: skip
    x = sm.Variable("x", shape=("n",), dtype="float16")
    share = sm.compile([x], sm.gradients(function(x), x), backend=backend)(
        np.ones(70_000, "float16")
    )
    assert share.dtype == "float16" and np.all(share == np.float16(1 / 70_000))


@for_each_backend
def test_float16_adds_up_many(backend: str) -> None:
    x = sm.Variable("x", shape=("n",), dtype="float16")
    logs = sm.log_softmax(x)
    outputs = [sm.logsumexp(x), sm.softmax(x), logs, sm.gradients(logs[0], x)]
    found = sm.compile([x], outputs, backend=backend)(np.zeros(70_000, "float16"))
    share, log = np.float16(1 / 70_000), np.float16(np.log(70_000))
    assert found[0] == log and np.all(found[1] == share) and np.all(found[2] == -log)
    assert found[3][0] == 1 and np.all(found[3][1:] == -share)


FLOAT16: dict[str, Any] = {
    "mean": sm.mean, "var": sm.var, "std": lambda x: sm.std(x, correction=1),
    "norm": sm.linalg.norm, "logsumexp": sm.logsumexp, "softmax": sm.softmax,
    "log_softmax": lambda x: sm.log_softmax(x)[:9], "layer_norm": sm.nn.layer_norm,
    "batch_norm": lambda x: sm.nn.batch_norm(x.reshape((-1, 1))),
    "rms_norm": sm.nn.rms_norm, "log mean exp": lambda x: sm.log(sm.mean(sm.exp(x))),
}  # fmt: skip


@pytest.mark.parametrize("backend", [*BACKENDS, "jax"])
def test_float16_is_added_up_in_float32(backend: str) -> None:
    """More elements, and larger squares, than the largest float16: what float64 gives, rounded."""
    if backend == "jax":
        pytest.importorskip("jax")
    data = np.random.default_rng(0).normal(size=70_000) * 100 + 100
    narrow, wide = (sm.Variable("x", data.shape, dtype) for dtype in ("float16", "float64"))
    data = data.astype("float16")
    found, wanted = (
        sm.compile([x], [f(x) for f in FLOAT16.values()], backend=b)(data)
        for x, b in ((narrow, backend), (wide, "numpy"))
    )
    for value, exact in zip(found, wanted, strict=True):
        assert value.dtype == "float16"
        np.testing.assert_allclose(value.astype("float64"), exact, rtol=6e-3, atol=1e-3)


LENGTHS: dict[str, Callable[[Any], Any]] = {
    "norm": sm.linalg.norm,
    "hypot": lambda x: sm.hypot(x[0], x[1]),
    "root of a sum": lambda x: sm.sqrt(sm.sum(x**2)),
}


@for_each_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LENGTHS)
def test_derivatives_of_lengths(name: str, dtype: str, backend: str) -> None:
    """Up to the third, in all modes, for operands of sizes that differ by up to 10¹⁶."""
    size = 2 if name == "hypot" else 3
    x = sm.Variable("x", shape=(size,), dtype=dtype)
    slope = sm.gradients(LENGTHS[name](x), x)
    curvatures = [sm.jacobian(slope, x, mode=mode) for mode in ("forward", "reverse")]
    thirds = [sm.jacobian(y, x, mode=mode) for y in curvatures for mode in ("forward", "reverse")]
    f = sm.compile([x], [slope, *curvatures, *thirds], backend=backend)
    for ratio in (1e-8, 1e-6, 1e-4, 1e-2, 0.5, 1, 2, 1e2, 1e4, 1e6, 1e8):
        at = np.array([1.3, 0.6 * ratio, -0.3 * ratio][:size], dtype)
        for found in f(at):
            for place in np.ndindex(found.shape):
                exact = slope_of_length(at, place)
                assert units_off(found[place], exact, dtype) < 20, (ratio, place)


@for_each_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LENGTHS)
def test_curvatures_of_lengths_where_operands_are_equal(
    name: str, dtype: str, backend: str
) -> None:
    """Rounded, the squares of both parts of a direction may be more than a half."""
    x = sm.Variable("x", shape=(3,), dtype=dtype)
    y = LENGTHS[name](x[:2])
    f = sm.compile([x], sm.jacobian(sm.gradients(y, x), x)[:2, :2], backend=backend)
    for size in np.linspace(0.5, 7, 200):
        at = np.array([size, -size, 0], dtype)
        exact = float(slope_of_length(at[:2], (0, 0)))
        np.testing.assert_allclose(f(at), exact * np.ones((2, 2)), rtol=10 * np.finfo(dtype).eps)


def slope_of_length(at: Any, axes: Any) -> Any:
    """Return a derivative of the norm along these axes."""
    with mpmath.workdps(60):
        x = [mpmath.mpf(float(part)) for part in at]
        r = mpmath.sqrt(mpmath.fdot(x, x))
        d = [part / r for part in x]
        if len(axes) == 1:
            return d[axes[0]]
        i, j, *rest = axes
        if not rest:
            return ((i == j) - d[i] * d[j]) / r
        (k,) = rest
        pairs = (i == j) * d[k] + (i == k) * d[j] + (j == k) * d[i]
        return (3 * d[i] * d[j] * d[k] - pairs) / r**2


@for_each_backend
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["norm", "hypot", "std"])
def test_squares_neither_overflow_nor_vanish(name: str, dtype: str, backend: str) -> None:
    """A scaled argument scales the value, and leaves the derivative as it is."""
    function: Any = {
        "norm": sm.linalg.norm, "std": sm.std, "hypot": lambda x: sm.hypot(x[0], x[1])
    }[name]  # fmt: skip
    x = sm.Variable("x", shape=(3,), dtype=dtype)
    y = function(x)
    f = sm.compile([x], [y, sm.gradients(y, x)], backend=backend)
    at = np.array([3.0, -4.0, 12.0])
    limits = np.finfo(dtype)
    value, slope = f(at.astype(dtype))
    for scale in (float(limits.max) / 16, float(limits.tiny)):
        power = 2.0 ** np.floor(np.log2(scale))
        scaled, same = f((power * at).astype(dtype))
        assert units_off(scaled, mpmath.mpf(float(value)) * power, dtype) < 4
        np.testing.assert_allclose(same, slope, rtol=8 * limits.eps, atol=8 * limits.eps)


@for_each_backend
def test_gammaln_near_its_zeros(backend: str) -> None:
    x = sm.Variable("x", shape=("n",))
    points = np.concatenate([NEAR_ONE, 2 - NEAR_ONE, 1 + NEAR_ONE, 3 - NEAR_ONE])
    found = sm.compile([x], sm.gammaln(x), backend=backend)(points)
    error, place = worst(found, points, lambda x: mpmath.loggamma(x).real, "float64")
    assert error < 30, place
