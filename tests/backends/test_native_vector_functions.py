"""Functions of vectors that symad writes itself: digits against mpmath, special numbers, bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symad as sm

pytest.importorskip("llvmlite")

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)

SPECIAL = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 1e30, -1e30,
    1e-40, -1e-40, 5e-324, 1e-300, -1e300, 1 + 1e-7, 22.0, -104.5, -745.2,
]  # fmt: skip


def function_of(formula: Callable[..., Any], arity: int, dtype: str) -> Any:
    leaves = [sm.Variable(name, shape=("n",), dtype=dtype) for name in "xy"[:arity]]
    return sm.compile(leaves, formula(*leaves), backend="native")


def units_off(found: Array, arrays: list[Array], exact: Callable[..., Any]) -> float:
    """Return the largest error in units in the last place of the exact value."""
    largest, worst = float(np.finfo(found.dtype).max), 0.0
    with mpmath.workprec(150):
        for number, *arguments in zip(found, *arrays, strict=True):
            value = exact(*(mpmath.mpf(float(argument)) for argument in arguments))
            if abs(value) < largest:
                unit = mpmath.mpf(float(np.spacing(found.dtype.type(abs(float(value))))))
                worst = max(worst, float(abs(mpmath.mpf(float(number)) - value) / unit))
    return worst


def spread(dtype: str, scale: float = 1.0) -> Array:
    """Return positive numbers: around 1, and of all sizes."""
    most = scale * np.log(float(np.finfo(dtype).max))
    near = 1 + RNG.standard_normal(150) * 10.0 ** RNG.integers(-4, 0, 150)
    return np.concatenate([np.abs(near), np.exp(RNG.uniform(-most, most, 150))]).astype(dtype)


def either_sign(x: Array) -> Array:
    return np.concatenate([x, -x])


CASES = {
    "exp": (sm.exp, lambda d: either_sign(np.log(spread(d))), mpmath.exp, 1),
    "log": (sm.log, spread, mpmath.log, {"float32": 4, "float64": 1}),
    "tanh": (sm.tanh, lambda d: either_sign(spread(d, 0.5)), mpmath.tanh, 3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_digits(name: str, dtype: str) -> None:
    formula, points, exact, bound = CASES[name]
    x = points(dtype)
    most = bound if isinstance(bound, int) else bound[dtype]
    assert units_off(function_of(formula, 1, dtype)(x), [x], exact) <= most


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_digits_of_powers(dtype: str) -> None:
    """The exponent of two may be as large as the dtype holds."""
    x = spread(dtype, 0.9)
    limit = 0.98 * np.log(float(np.finfo(dtype).max))
    y = (RNG.uniform(-limit, limit, x.size) / np.log(np.where(x == 1, 2, x))).astype(dtype)
    found = function_of(lambda a, b: a**b, 2, dtype)(x, y)
    assert units_off(found, [x, y], mpmath.power) <= {"float32": 3, "float64": 1}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_that_are_integers_are_exact(dtype: str) -> None:
    base, exponent = (a.ravel() for a in np.meshgrid(np.arange(-40, 41), np.arange(14)))
    whole = np.array([int(b) ** int(e) for b, e in zip(base, exponent, strict=True)], object)
    fits = np.abs(whole) < 2 ** (np.finfo(dtype).nmant + 1)
    x, y = base[fits].astype(dtype), exponent[fits].astype(dtype)
    found = function_of(lambda a, b: a**b, 2, dtype)(x, y)
    np.testing.assert_array_equal(found, whole[fits].astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "power"])
def test_special_numbers(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        values = np.array(SPECIAL, dtype)
        arrays = [a.ravel() for a in np.meshgrid(values, values)] if name == "power" else [values]
        expected = getattr(np, name)(*arrays)
        found = function_of(getattr(sm, name), len(arrays), dtype)(*arrays)
        np.testing.assert_array_max_ulp(found, expected, 4)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "power"])
def test_bits_depend_on_the_number_alone(name: str, dtype: str) -> None:
    """Not on its neighbours, nor on its place in a vector, nor on the size of the array."""
    function = function_of(getattr(sm, name), 1 + (name == "power"), dtype)
    with np.errstate(over="ignore"):
        numbers = np.concatenate([RNG.standard_normal(90), SPECIAL]).astype(dtype)
    given = [RNG.permutation(numbers) for _ in range(1 + (name == "power"))]
    whole = function(*given)
    for start, count in ((0, 1), (1, 5), (3, 17), (16, 31), (7, 64)):
        part = slice(start, start + count)
        assert function(*(a[part].copy() for a in given)).tobytes() == whole[part].tobytes()


DIVISORS = (
    3, -3, 7, -7, 10, 255, 641, 1000, -1_000_003, 2**31 - 1, 2**31 + 11, 2**62 + 1, 2**63 - 1,
    2**64 - 1, 1, -1, 2, -8, 0,
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_division_by_a_number_is_exact(dtype: str) -> None:
    """At multiples of the divisor, beside them, and at the ends of the dtype."""
    limits = np.iinfo(dtype)
    x = sm.Variable("x", shape=("n",), dtype=dtype)
    divisors = [d for d in DIVISORS if limits.min <= d <= limits.max]
    formulas = [y for d in divisors for y in (x // dtype_of(d, dtype), x % dtype_of(d, dtype))]
    function = sm.compile([x], formulas, backend="native")
    random = RNG.integers(limits.min, limits.max, 40, dtype, endpoint=True)
    near = [k * d + e for d in divisors for k in (-5, -1, 0, 1, 2, 1000) for e in (-1, 0, 1)]
    ends = [limits.min, limits.min + 1, limits.max - 1, limits.max]
    fitting = [n for n in (*near, *ends) if limits.min <= n <= limits.max]
    values = np.concatenate([random, np.array(fitting, dtype)])
    results = iter(function(values))
    with np.errstate(all="ignore"):
        for divisor in divisors:
            number = dtype_of(divisor, dtype)
            np.testing.assert_array_equal(next(results), values // number)
            np.testing.assert_array_equal(next(results), values % number)


def dtype_of(number: int, dtype: str) -> Any:
    return np.dtype(dtype).type(number)
