"""At kinks: the least subgradient, and second derivatives that are right, or NaN; never wrong.

Differences of second order around the kink decide whether a second derivative exists: along each
direction, they settle for smooth functions, and grow without bound for a length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm

norm = sm.linalg.norm
Function = Callable[[Any], Any]

LENGTHS: dict[str, tuple[Function, np.ndarray[Any, Any]]] = {
    "norm": (norm, np.zeros(3)),
    "norm of order 2": (lambda u: norm(u, 2), np.zeros(3)),
    "Frobenius norm": (lambda u: norm(u, "fro"), np.zeros((2, 2))),
    "hypot": (lambda u: sm.hypot(u[0], u[1]), np.zeros(2)),
    "std": (sm.std, np.full(3, 2.0)),
    "norm as a root": (lambda u: sm.sqrt(sm.sum(u * u)), np.zeros(3)),
    "hypot as a root": (lambda u: sm.sqrt(u[0] ** 2 + u[1] ** 2), np.zeros(2)),
    "std as a root": (lambda u: sm.sqrt(sm.var(u)), np.full(3, 2.0)),
}
SPECTRAL: dict[str, tuple[Function, np.ndarray[Any, Any], Any]] = {
    "nuclear": (lambda a: norm(a, "nuc"), np.zeros((2, 2)), np.zeros((2, 2))),
    "spectral": (lambda a: norm(a, 2), np.zeros((2, 2)), np.zeros((2, 2))),
    "nuclear, one is 0": (lambda a: norm(a, "nuc"), np.ones((2, 2)), np.full((2, 2), 0.5)),
    "spectral, both equal": (lambda a: norm(a, 2), np.eye(2), np.eye(2) / 2),
}
SMOOTH: dict[str, Function] = {
    "square": sm.square, "power": lambda y: y**2, "power of a float": lambda y: y**2.0,
    "product": lambda y: y * y, "fourth power": lambda y: y**4,
    "square of square": lambda y: (y * y) ** 2, "exp of square": lambda y: sm.exp(-(y**2)),
    "cosine of square": lambda y: sm.cos(y * y), "scaled": lambda y: 3 * y**2 / 2,
}  # fmt: skip
PIECEWISE: dict[str, tuple[Function, float]] = {
    "relu": (sm.relu, 0.0), "abs": (sm.abs, 0.0), "maximum": (lambda x: sm.maximum(x, 1.0), 1.0),
    "minimum": (lambda x: sm.minimum(2 * x, x), 0.0), "clip": (lambda x: sm.clip(x, 0.0, 1.0), 1.0),
    "root of a square": (lambda x: sm.sqrt(x * x), 0.0),
}  # fmt: skip

MODES = ("reverse", "forward")
BACKENDS = ("numpy", "native")
for_each_backend = pytest.mark.parametrize("backend", BACKENDS)


def derivatives(function: Function, at: Any, backend: str) -> tuple[Any, Any]:
    """Return the gradient and the Hessian, which is the same in both modes."""
    x = sm.Variable("x", shape=np.shape(at))
    first = sm.gradients(function(x), x)
    seconds = [sm.jacobian(first, x, mode=mode) for mode in MODES]  # type: ignore[arg-type]
    slope, *found = sm.compile([x], [first, *seconds], backend=backend)(at)
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)
    return slope, found[0].reshape(np.size(at), np.size(at))


def second_differences(function: Function, at: Any, step: float) -> np.ndarray[Any, Any]:
    """Return the second difference quotients along all pairs of axes."""
    x = sm.Variable("x", shape=np.shape(at))
    f = sm.compile([x], function(x), backend="numpy")
    size = np.size(at)
    units = step * np.eye(size).reshape(size, *np.shape(at))
    return np.array(
        [[(f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * step**2)
          for b in units] for a in units]
    )  # fmt: skip


@for_each_backend
@pytest.mark.parametrize("name", LENGTHS)
def test_lengths(name: str, backend: str) -> None:
    function, at = LENGTHS[name]
    slope, curvature = derivatives(function, at, backend)
    assert not slope.any(), "the least subgradient"
    assert np.isnan(np.diagonal(curvature)).all(), "the curvature has no bound"
    coarse, fine = (np.abs(second_differences(function, at, h)).max() for h in (1e-2, 1e-4))
    assert fine > 50 * coarse


@for_each_backend
@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_norms(name: str, backend: str) -> None:
    function, at, expected = SPECTRAL[name]
    slope, curvature = derivatives(function, at, backend)
    np.testing.assert_allclose(slope, expected, atol=1e-15)
    assert np.isnan(curvature).all()


@pytest.mark.parametrize("outer", SMOOTH)
@pytest.mark.parametrize("length", LENGTHS)
def test_smooth_compositions(length: str, outer: str) -> None:
    function, at = LENGTHS[length]

    def composed(u: Any) -> Any:
        return SMOOTH[outer](function(u))

    slope, curvature = derivatives(composed, at, "native" if len(outer) % 2 else "numpy")
    assert not slope.any()
    wanted = second_differences(composed, at, 1e-4)
    np.testing.assert_allclose(curvature, wanted, atol=1e-6)


@for_each_backend
def test_squares_of_some_rows_that_are_zero(backend: str) -> None:
    """Where one row is 0, the second derivatives of the others are those of their norms."""
    at = np.array([[0.0, 0.0], [3.0, 4.0]])
    _, curvature = derivatives(lambda u: sm.sum(norm(u, axis=1)), at, backend)
    assert np.isnan(np.diagonal(curvature)[:2]).all()
    np.testing.assert_allclose(curvature[2:, 2:], [[0.128, -0.096], [-0.096, 0.072]])
    assert not curvature[2:, :2].any()
    _, curvature = derivatives(lambda u: sm.sum(norm(u, axis=1) ** 2), at, backend)
    np.testing.assert_allclose(curvature, 2 * np.eye(4), atol=1e-15)


@for_each_backend
@pytest.mark.parametrize("name", PIECEWISE)
def test_piecewise_linear_functions(name: str, backend: str) -> None:
    function, at = PIECEWISE[name]
    slope, curvature = derivatives(function, np.array(at), backend)
    x = sm.Variable("x")
    below, above = (float(sm.gradients(function(x), x).eval({x: at + h})) for h in (-1e-3, 1e-3))
    assert min(below, above) <= slope <= max(below, above) and not curvature.any()


@for_each_backend
def test_the_square_of_a_magnitude(backend: str) -> None:
    for function in (lambda v: abs(v) ** 2, lambda v: abs(v) * abs(v), lambda v: sm.square(abs(v))):
        slope, curvature = derivatives(function, np.array(0.0), backend)
        assert slope == 0 and curvature == 2


def test_a_mask_hides_the_kink() -> None:
    u = sm.Variable("u", shape=(2,))
    y = sm.where(sm.any(u != 0) if False else sm.any(sm.not_equal(u, 0)), norm(u), 0.0)
    assert not sm.hessian(y, u).eval({u: [0.0, 0.0]}).any()


@for_each_backend
@pytest.mark.parametrize("c", [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("base", [0.0, 0.7])
def test_mixed_derivatives_of_powers_agree(base: float, c: float, backend: str) -> None:
    """x^(c-1) (1 + c ln x), by x and then by c or the other way round; its limit where x is 0."""
    x, p = sm.Variable("x"), sm.Variable("p")
    by_x, by_p = sm.gradients(x**p, [x, p])
    f = sm.compile([x, p], [sm.gradients(by_x, p), sm.gradients(by_p, x)], backend=backend)
    one, other = f(base, c)
    if base:
        wanted = base ** (c - 1) * (1 + c * np.log(base))
    else:
        wanted = 0.0 if c > 1 else -np.inf if c > 0 else np.inf
    np.testing.assert_allclose([one, other], wanted, rtol=1e-13)
