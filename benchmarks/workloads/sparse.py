"""Sparse derivatives: a chain whose elements depend on two neighbours, and an optimal control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.workload import Implementation, Target, Workload

Matrix = Any
"""A sparse matrix of SciPy's."""


def parts(matrix: Matrix) -> Sequence[Any]:
    """Return the elements of a matrix, and their rows and columns, row by row."""
    from scipy import sparse

    csr = sparse.csr_array(matrix)
    csr.eliminate_zeros()
    csr.sort_indices()
    rows, columns = csr.tocoo().coords
    return csr.data, rows.astype(np.int64), columns.astype(np.int64)


def in_symad(function: Callable[..., Any], derive: str) -> Callable[..., Implementation]:
    """Build a sparse derivative of a function of one vector and of constants."""

    def build(x: Any, *constants: Any) -> Implementation:
        import symad as sm

        variable = sm.Variable("x", shape=x.shape)
        given = [sm.Variable(f"c{k}", shape=c.shape) for k, c in enumerate(constants)]
        matrix = getattr(sm, derive)(function(sm, variable, *given), variable, sparse=True)
        compiled = sm.compile([variable, *given], matrix)
        return Implementation(compiled, (x, *constants), parts)

    return build


def in_casadi(function: Callable[..., Any], derive: str) -> Callable[..., Implementation]:
    """Build the same with CasADi, which is given, and returns, its own matrices."""

    def build(x: Any, *constants: Any) -> Implementation:
        import casadi

        variable = casadi.SX.sym("x", len(x))
        given = [casadi.SX.sym(f"c{k}", len(c)) for k, c in enumerate(constants)]
        found = getattr(casadi, derive)(function(casadi, variable, *given), variable)
        matrix = found[0] if derive == "hessian" else found
        compiled = casadi.Function("compiled", [variable, *given], [matrix])
        arguments = [casadi.DM(array) for array in (x, *constants)]
        return Implementation(compiled, arguments, lambda result: parts(result.sparse()))

    return build


# The chain: y_i = (sin x_{i+1} − x_i²) x_{i+1}


def vector(n: int) -> tuple[Any]:
    return (np.random.default_rng(0).uniform(0.5, 1.5, n),)


def chain(lib: Any, x: Any) -> Any:
    return (lib.sin(x[1:]) - x[:-1] ** 2) * x[1:]


def energy(lib: Any, x: Any) -> Any:
    y = chain(lib, x)
    return lib.sum(y * y) if hasattr(lib, "sum") else lib.sumsqr(y)


def slopes_by_hand(x: Any) -> Matrix:
    a, b = x[:-1], x[1:]
    ahead = np.cos(b) * b + np.sin(b) - a * a
    from scipy import sparse

    return sparse.diags_array([-2 * a * b, ahead], offsets=(0, 1), shape=(len(a), len(x)))


def curvature_by_hand(x: Any) -> Matrix:
    """Σ y_i²: 2 Jᵀ J + 2 Σ y_i ∇² y_i."""
    a, b = x[:-1], x[1:]
    y = chain(np, x)
    own = np.zeros(len(x))
    own[:-1] += -4 * b * y
    own[1:] += 2 * y * (2 * np.cos(b) - b * np.sin(b))
    beside = -4 * a * y
    from scipy import sparse

    second = sparse.diags_array([beside, own, beside], offsets=(-1, 0, 1))
    slopes = sparse.csr_array(slopes_by_hand(x))
    return 2 * (slopes.T @ slopes) + second


# Van der Pol's oscillator by direct multiple shooting: 2 states and a control for each interval

INTERVALS = 20
STEPS = 4
DURATION = 10.0


def slope(x: Any, y: Any, u: Any) -> tuple[Any, Any]:
    return (1 - y * y) * x - y + u, x


def shot(x: Any, y: Any, u: Any) -> tuple[Any, Any]:
    """Return the states at the ends of intervals, by steps of Runge and Kutta's method."""
    step = DURATION / INTERVALS / STEPS
    for _ in range(STEPS):
        a, b = slope(x, y, u)
        c, d = slope(x + step / 2 * a, y + step / 2 * b, u)
        e, f = slope(x + step / 2 * c, y + step / 2 * d, u)
        g, h = slope(x + step * e, y + step * f, u)
        x, y = x + step / 6 * (a + 2 * c + 2 * e + g), y + step / 6 * (b + 2 * d + 2 * f + h)
    return x, y


def split(z: Any) -> tuple[Any, Any, Any]:
    """Return both states at the ends of all intervals, and the controls."""
    n = INTERVALS + 1
    return z[:n], z[n : 2 * n], z[2 * n :]


def gaps(lib: Any, z: Any) -> Any:
    """Return the differences between the ends of shots and the next states."""
    x, y, u = split(z)
    ends = shot(x[:-1], y[:-1], u)
    both = [end - state[1:] for end, state in zip(ends, (x, y), strict=True)]
    return lib.vertcat(*both) if hasattr(lib, "vertcat") else lib.concat(both)


def lagrangian(lib: Any, z: Any, multipliers: Any) -> Any:
    total = lib.sumsqr if hasattr(lib, "sumsqr") else lambda v: lib.sum(v * v)
    return total(z) + lib.dot(multipliers, gaps(lib, z))


def guess() -> tuple[Any]:
    return (np.random.default_rng(1).uniform(-0.5, 0.5, 3 * INTERVALS + 2),)


def guess_with_multipliers() -> tuple[Any, Any]:
    return *guess(), np.random.default_rng(2).uniform(-1, 1, 2 * INTERVALS)


def differentiated(function: Callable[[Any], Any], z: Any, step: float = 1e-20) -> Any:
    """Return the derivative by complex steps, which is exact up to rounding."""
    units = np.eye(len(z))
    return np.stack([np.imag(function(z + 1j * step * unit)) / step for unit in units], -1)


def slopes_of_gaps(z: Any) -> Matrix:
    return differentiated(lambda point: gaps(np, point), z)


def curvature_of_lagrangian(z: Any, multipliers: Any) -> Matrix:
    """Central differences of gradients, which are exact."""

    def gradient(point: Any) -> Any:
        return 2 * point + multipliers @ slopes_of_gaps(point)

    step = 1e-5
    found = np.stack(
        [(gradient(z + step * e) - gradient(z - step * e)) / (2 * step) for e in np.eye(len(z))]
    )
    return np.where(abs(found) > 1e-8, found, 0)


def workload(
    name: str,
    title: str,
    inputs: Callable[..., Any],
    size: tuple[int, ...],
    tiny: tuple[int, ...],
    by_hand: Callable[..., Matrix],
    function: Callable[..., Any],
    derive: str,
    limit: float,
    tolerance: float = 1e-9,
) -> Workload:
    """Return the work of computing one sparse derivative of a function."""
    return Workload(
        name=name,
        title=title,
        inputs=inputs,
        size=size,
        tiny=tiny,
        reference=lambda *given: parts(by_hand(*given)),
        implementations={
            "symad": in_symad(function, derive),
            "casadi": in_casadi(function, derive),
        },
        targets=(Target(limit, "casadi"),),
        tolerance=tolerance,
    )


JACOBIAN = workload(
    "sparse-jacobian", "sparse Jacobian of a chain of 5 000 variables",
    vector, (5000,), (7,), slopes_by_hand, chain, "jacobian", 0.4,
)  # fmt: skip
HESSIAN = workload(
    "sparse-hessian", "tridiagonal Hessian of a chain of 5 000 variables",
    vector, (5000,), (7,), curvature_by_hand, energy, "hessian", 0.4,
)  # fmt: skip
LARGE_JACOBIAN = workload(
    "sparse-jacobian-large", "sparse Jacobian of a chain of 100 000 variables",
    vector, (100_000,), (7,), slopes_by_hand, chain, "jacobian", 0.5,
)  # fmt: skip
LARGE_HESSIAN = workload(
    "sparse-hessian-large", "tridiagonal Hessian of a chain of 100 000 variables",
    vector, (100_000,), (7,), curvature_by_hand, energy, "hessian", 0.5,
)  # fmt: skip
SHOOTING_JACOBIAN = workload(
    "shooting-jacobian", "Van der Pol by multiple shooting: sparse Jacobian of 40 gaps",
    guess, (), (), slopes_of_gaps, gaps, "jacobian", 0.1,
)  # fmt: skip
SHOOTING_HESSIAN = workload(
    "shooting-hessian", "Van der Pol by multiple shooting: sparse Hessian of the Lagrangian",
    guess_with_multipliers, (), (), curvature_of_lagrangian, lagrangian, "hessian", 0.1, 1e-6,
)  # fmt: skip
