"""A finite value has finite and right derivatives: random formulas of exponentials, against mpmath.

Formulas are made of products, quotients, powers and roots of exponentials, of their logarithms, of
sums with 1, and of nestings.  Where the value is finite and the true derivative is a number of the
dtype, orders 1 and 2 must be right.  ``SYMAD_FORMULAS=1000 pytest ...`` draws so many formulas.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest

import symad as sm

COUNT = int(os.environ.get("SYMAD_FORMULAS", "12"))
SEED = int(os.environ.get("SYMAD_FORMULAS_SEED", "0"))
DIGITS = 1500
"""Enough to see e^-1600 beside 1."""

POINTS = np.array([-800, -300, -90, -40, -18, -3, -0.7, 1e-3, 0.5, 2, 17, 38, 88, 250, 745, 800.0])
LIMIT = 64
"""The bound in units in the last place, of the derivative or of what rounding x makes of it."""


class Series:
    """The first Taylor coefficients of a function of one number, by mpmath."""

    def __init__(self, *terms: Any) -> None:
        self.terms = [mpmath.mpf(term) for term in terms]

    @staticmethod
    def of(value: Any) -> Series:
        return value if isinstance(value, Series) else Series(value, 0, 0, 0)

    def __add__(self, other: Any) -> Series:
        return Series(*[a + b for a, b in zip(self.terms, Series.of(other).terms, strict=True)])

    def __neg__(self) -> Series:
        return Series(*[-a for a in self.terms])

    def __sub__(self, other: Any) -> Series:
        return self + -Series.of(other)

    def __rsub__(self, other: Any) -> Series:
        return Series.of(other) - self

    def __mul__(self, other: Any) -> Series:
        a, b = self.terms, Series.of(other).terms
        return Series(*[sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(4)])

    def __truediv__(self, other: Any) -> Series:
        a, b = self.terms, Series.of(other).terms
        made: list[Any] = []
        for k in range(4):
            made.append((a[k] - sum(made[i] * b[k - i] for i in range(k))) / b[0])
        return Series(*made)

    def __rtruediv__(self, other: Any) -> Series:
        return Series.of(other) / self

    def __pow__(self, power: float) -> Series:
        return Truth.exp(power * Truth.log(self))

    __radd__, __rmul__ = __add__, __mul__


class Truth:
    """The functions that formulas call, of series."""

    @staticmethod
    def exp(x: Series) -> Series:
        made = [mpmath.exp(x.terms[0])]
        for k in range(1, 4):
            made.append(sum(i * x.terms[i] * made[k - i] for i in range(1, k + 1)) / k)
        return Series(*made)

    @staticmethod
    def log(x: Series) -> Series:
        a = x.terms
        made = [mpmath.log(a[0])]
        for k in range(1, 4):
            made.append((a[k] - sum(i * made[i] * a[k - i] for i in range(1, k)) / k) / a[0])
        return Series(*made)

    @staticmethod
    def sqrt(x: Series) -> Series:
        return x**0.5

    @staticmethod
    def log1p(x: Series) -> Series:
        return Truth.log(1 + x)

    @staticmethod
    def sigmoid(x: Series) -> Series:
        return 1 / (1 + Truth.exp(-x))

    @staticmethod
    def softplus(x: Series) -> Series:
        return Truth.log(1 + Truth.exp(x))

    @staticmethod
    def cosh(x: Series) -> Series:
        return (Truth.exp(x) + Truth.exp(-x)) / 2


class Writer:
    """Writes random formulas of x, as Python text that calls functions of F."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def formula(self) -> str:
        return self._one_of(self.share, self.logarithm, self.logarithm)()

    def exponent(self) -> str:
        return self._one_of("x", "-x", "2*x", "-0.5*x", "3*x", "-x*x/2")

    def product(self, depth: int = 2) -> str:
        exponent = self.exponent()
        if depth == 0:
            return f"F.exp({exponent})"
        a, b = self.product(depth - 1), self.product(depth - 1)
        return self._one_of(
            f"F.exp({exponent})", f"({a}*{b})", f"({a}/{b})", f"({a}/2.5)", f"F.sqrt({a})",
            f"({a}**{self._one_of('2', '3', '-1', '0.5', '-1.5')})", f"(0.3*{a})", f"(1/{a})",
        )  # fmt: skip

    def likelihood(self) -> str:
        a, b, exponent = self.product(), self.product(1), self.exponent()
        share = self._one_of(f"F.sigmoid({exponent})", f"(1/(1+F.exp({exponent})))")
        return self._one_of(f"({share}*{a})", f"({a}/{share})", f"F.sqrt({share})*{b}", a, share)

    def share(self) -> str:
        a, b = self.exponent(), self.exponent()
        return self._one_of(
            f"1/(1+F.exp({a}))", f"F.exp({a})/(1+F.exp({a}))",
            f"F.exp({a})/(F.exp({a})+F.exp({b}))",
            f"(F.exp({a})-F.exp(-({a})))/(F.exp({a})+F.exp(-({a})))", f"0.7/(2.5+F.exp({a}))",
            f"(F.exp({a})-1)/(F.exp({a})+1)", f"2*F.sigmoid({a})-1", f"1-2/(F.exp({a})+1)",
        )  # fmt: skip

    def logarithm(self, depth: int = 2) -> str:
        a, b = self.exponent(), self.exponent()
        inner = self._one_of(a, self.logarithm(depth - 1)) if depth else a
        return self._one_of(
            f"F.log({self.likelihood()})", f"F.log(1+F.exp({inner}))", f"F.log1p(F.exp({inner}))",
            f"F.log(F.exp({a})+F.exp({b}))", f"F.log(2.5+F.exp({a}))", f"F.softplus({inner})",
            f"F.log(1-F.exp(-F.softplus({a})))", f"F.log(1-F.sigmoid({a}))", f"F.log(F.cosh({a}))",
            f"F.log(F.sigmoid({inner}))", f"F.log((F.exp({a})+F.exp(-({a})))/2)",
        )  # fmt: skip

    def _one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)


def truths(formula: str, points: np.ndarray[Any, Any]) -> Iterator[list[Any]]:
    """Yield the value and the derivatives to order 3 at each point.

    Nothing where :data:`DIGITS` are not enough, as for 1 - exp(-e^-320000).
    """
    with mpmath.workdps(DIGITS):
        for point in points:
            x = Series(float(point), 1, 0, 0)
            try:
                terms = eval(formula, {"F": Truth, "x": x}).terms
                yield [terms[0], terms[1], 2 * terms[2], 6 * terms[3]]
            except ZeroDivisionError:
                yield []


def misses(
    found: Any, truth: list[Any], point: float, dtype: str, of_product: bool = False
) -> str:
    """Say where value or derivatives differ; nothing where they are not numbers of the dtype.

    Exponents of a product of exponentials are added, and rounded as numbers of their size.  Its
    derivatives are products of it and of a sum, which may cancel.
    """
    limits = np.finfo(dtype)
    value, first = abs(truth[0]), abs(truth[1])
    for order in range(3):
        exact = truth[order]
        if abs(exact) > 0.9 * float(limits.max):
            return ""
        size = abs(exact) + abs(point * truth[order + 1])
        if order == 2 and value:
            size += first * first / value  # what terms of this size leave when they cancel
        size += value * (10 + 10 * abs(point)) ** max(order, 1) if of_product else 0
        smallest = float(limits.smallest_subnormal) * (4 + 4 * abs(point) ** order)
        error = abs(mpmath.mpf(float(found[order])) - exact) if np.isfinite(found[order]) else None
        if error is None or error > LIMIT * float(limits.eps) * size + smallest:
            return f"order {order} at {point}: {found[order]} instead of {mpmath.nstr(exact, 17)}"
    return ""


def check(formula: str, dtype: str, backend: str, of_product: bool = False) -> int:
    """Compare a formula and its derivatives at all points; return at how many."""
    x = sm.Variable("x", shape=("n",), dtype=dtype)
    y = eval(formula, {"F": sm, "x": x})
    first = sm.gradients(y, x)
    second = sm.gradients(first, x, unused="zero")
    outputs = [y, first, second, sm.pushforward(y, x, sm.ones_like(x))]
    points = POINTS.astype(dtype)
    value, first, second, forward = sm.compile([x], outputs, backend=backend)(points)
    checked = 0
    for k, truth in enumerate(truths(formula, points)):
        if truth and np.isfinite(value[k]):
            for slope in (first, forward):
                numbers = [value[k], slope[k], second[k]]
                miss = misses(numbers, truth, float(points[k]), dtype, of_product)
                assert not miss, (formula, dtype, backend, miss)
            checked += 1
    return checked


SEEDS = range(SEED, SEED + COUNT)


def variants(seed: int) -> Iterator[tuple[str, str]]:
    """Yield dtypes and backends, fewer for most seeds."""
    for dtype in ("float64", "float32", "float16")[: 3 if seed % 4 == 0 else 1 + seed % 2]:
        for backend in ("numpy", "native") if seed % 6 == 0 else ("numpy",):
            yield dtype, backend


@pytest.mark.parametrize("seed", SEEDS)
def test_formulas_of_exponentials(seed: int) -> None:
    formula = Writer(seed).formula()
    assert all(check(formula, *variant) for variant in variants(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_products_of_exponentials(seed: int) -> None:
    formula = Writer(seed).product()
    assert all(check(formula, *variant, of_product=True) for variant in variants(seed))


MEMBERS: dict[str, tuple[Callable[[Any], Any], float, tuple[float, float, float]]] = {
    "log exp": (lambda x: sm.log(sm.exp(x)), 800, (800, 1, 0)),
    "log of a normal density": (
        lambda x: sm.log(sm.exp(-x * x / 2) / np.sqrt(2 * np.pi)), 40,
        (-800 - np.log(2 * np.pi) / 2, -40, -1),
    ),
    "log sigmoid": (
        lambda x: sm.log(sm.sigmoid(x)), 40, (-np.exp(-40), np.exp(-40), -np.exp(-40))
    ),
    "log of 1 - exp": (
        lambda x: sm.log(1 - sm.exp(-x)), 50, (-np.exp(-50), np.exp(-50), -np.exp(-50))
    ),
    "log of 1 - exp, twice": (
        lambda t: sm.log(1 - sm.exp(sm.log(1 - sm.exp(-t)))), 50, (-50, -1, 0)
    ),
    "log of exp - 1": (lambda x: sm.log(sm.exp(x) - 1), 800, (800, 1, 0)),
    "softplus of log": (lambda x: sm.softplus(sm.log(x)), 0, (0, 1, -1)),
    "sigmoid of log": (lambda x: sm.sigmoid(sm.log(x)), 0, (0, 1, -2)),
    "exp of log": (lambda x: sm.exp(sm.log(x)), 0, (0, 1, 0)),
    "exp of 3 log": (lambda x: sm.exp(3 * sm.log(x)), 0, (0, 0, 0)),
    "log cosh near 0": (lambda x: sm.log(sm.cosh(x)), 1e-9, (5e-19, 1e-9, 1)),
    "log of a square": (lambda x: sm.log(x * x), 1e-160, (-2 * 160 * np.log(10), 2e160, -np.inf)),
    "1 + erf": (
        lambda x: 1 + sm.erf(x), -8.0,
        (1.1224297172982926e-29, 1.809706796855984e-28, 2.8955308749695744e-27),
    ),
    "root of a square": (lambda x: sm.sqrt(x * x), 0, (0, 0, 0)),
    "Gumbel": (lambda x: sm.exp(-sm.exp(x)), 5.0, (3.5075e-65, -5.2056e-63, 7.6738e-61)),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", MEMBERS)
def test_members(name: str, backend: str) -> None:
    make, at, exact = MEMBERS[name]
    x = sm.Variable("x")
    y = make(x)
    first = sm.gradients(y, x)
    second = sm.gradients(first, x, unused="zero")
    mixed = sm.pushforward(first, x, 1.0)
    found = sm.compile([x], [y, first, second, mixed], backend=backend)(float(at))
    rtol = 1e-4 if name == "Gumbel" else 1e-12
    np.testing.assert_allclose(found, [*exact, exact[2]], rtol=rtol, atol=0)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_probability_that_underflows(backend: str) -> None:
    """log Π p and log Σ w p, for probabilities p that are too small for the dtype."""
    z = sm.Variable("z", shape=(3,))
    p = sm.softmax(z)
    y = sm.log(sm.prod(p))
    f = sm.compile([z], [y, sm.gradients(y, z), sm.hessian(y, z)], backend=backend)
    value, first, second = f(np.array([0.0, -500.0, -900.0]))
    assert value == pytest.approx(-1400)
    np.testing.assert_allclose(first, [-2, 1, 1], rtol=1e-14)
    np.testing.assert_allclose(second, np.zeros((3, 3)), atol=1e-14)


def test_lost_digits_are_found() -> None:
    with np.errstate(all="ignore"):
        (truth,) = truths("F.log(F.sigmoid(x))", np.array([40.0]))
    assert not misses([-4.248354255291589e-18, 4.248354255291589e-18, -4.248354255291589e-18],
                      truth, 40.0, "float64")  # fmt: skip
    assert misses([-4.248354255291589e-18, 0.0, 0.0], truth, 40.0, "float64")
    assert misses([-4.24835425529e-18, 4.24835425e-18, -4.2483542e-18], truth, 40.0, "float64")


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_the_probability_of_a_label(backend: str, keepdims: bool) -> None:
    """log Σ w p for labels as one-hot weights, where p is too small for the dtype."""
    z, weights = sm.Variable("z", shape=(2, 3)), sm.Variable("w", shape=(2, 3))
    y = sm.log(sm.sum(weights * sm.softmax(z), axis=1, keepdims=keepdims))
    first = sm.gradients(y, z)
    second = sm.gradients(first, z, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    f = sm.compile([z, weights], [y, first, second], backend=backend)
    at, labels = np.array([[0.0, -900, 3], [1, 2, 3]]), np.array([[0.0, 1, 0], [0.5, 0, 0]])
    value, slope, curvature = f(at, labels)
    p = np.exp(at - np.logaddexp.reduce(at, axis=1, keepdims=True))
    wanted = np.array([-900, 1 + np.log(0.5)]) - np.logaddexp.reduce(at, axis=1)
    np.testing.assert_allclose(value.ravel(), wanted, rtol=1e-14)
    np.testing.assert_allclose(slope, (labels > 0) - p, rtol=1e-13, atol=1e-300)
    expected = -p[:, :1] * ([[1, 0, 0]] - p)
    np.testing.assert_allclose(curvature, expected, rtol=1e-13, atol=1e-300)
