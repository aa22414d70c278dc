"""The log-likelihood of a Gaussian: −½ |L⁻¹x|² − Σ ln L_ii − n/2 ln 2π, where Σ = L Lᵀ."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy
from benchmarks.workload import Builder, Implementation, Target, Workload


def inputs(size: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((size, size))
    return rng.standard_normal(size), factor @ factor.T / size + np.eye(size)


def _log_likelihood(lib: Any, cholesky: Any, solve: Any, x: Any, covariance: Any) -> Any:
    factor = cholesky(covariance)
    white = solve(factor, x)
    constant = 0.5 * math.log(2 * math.pi)
    return -lib.sum(0.5 * white**2 + lib.log(lib.diag(factor)) + constant)


def in_symad(sm: Any, x: Any, covariance: Any) -> Any:
    def solve(factor: Any, x: Any) -> Any:
        return sm.linalg.solve_triangular(factor, x, lower=True)

    return _log_likelihood(sm, sm.linalg.cholesky, solve, x, covariance)


def in_jax(jnp: Any, x: Any, covariance: Any) -> Any:
    import jax.scipy.linalg

    def solve(factor: Any, x: Any) -> Any:
        return jax.scipy.linalg.solve_triangular(factor, x, lower=True)

    return _log_likelihood(jnp, jnp.linalg.cholesky, solve, x, covariance)


def in_torch(torch: Any, x: Any, covariance: Any) -> Any:
    def solve(factor: Any, x: Any) -> Any:
        return torch.linalg.solve_triangular(factor, x[:, None], upper=False)[:, 0]

    return _log_likelihood(torch, torch.linalg.cholesky, solve, x, covariance)


def in_pytensor(pt: Any, x: Any, covariance: Any) -> Any:
    def solve(factor: Any, x: Any) -> Any:
        return pt.linalg.solve_triangular(factor, x, lower=True)

    return _log_likelihood(pt, pt.linalg.cholesky, solve, x, covariance)


def in_autograd(anp: Any, x: Any, covariance: Any) -> Any:
    from autograd.scipy.linalg import solve_triangular

    def solve(factor: Any, x: Any) -> Any:
        return solve_triangular(factor, x, lower=True)

    return _log_likelihood(anp, anp.linalg.cholesky, solve, x, covariance)


def by_hand(x: Any, covariance: Any) -> tuple[Any, Any, Any]:
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(covariance, lower=True)
    solution = cho_solve(factor, x)
    logarithms = np.sum(np.log(np.diagonal(factor[0])))
    value = -0.5 * (x @ solution) - logarithms - len(x) / 2 * math.log(2 * math.pi)
    inverse = cho_solve(factor, np.eye(len(x)))
    return value, -solution, 0.5 * (np.outer(solution, solution) - inverse)


def symmetric(build: Builder) -> Builder:
    """Compare PyTensor's gradient, which is that of one triangle, as a symmetric matrix."""

    def build_symmetric(*inputs: Any) -> Implementation:
        def answer(result: Any) -> list[Any]:
            value, slope, triangle = result
            return [value, slope, (triangle + triangle.T) / 2]

        return replace(build(*inputs), answer=answer)

    return build_symmetric


IMPLEMENTATIONS = by_library(
    {
        "symad": in_symad,
        "jax": in_jax,
        "torch": in_torch,
        "pytensor": in_pytensor,
        "autograd": in_autograd,
    },
    wrt=(0, 1),
)

GAUSSIAN = Workload(
    name="gaussian",
    title="Gaussian log-likelihood by the Cholesky factor of 100×100, value and both gradients",
    inputs=inputs,
    size=(100,),
    tiny=(4,),
    reference=by_hand,
    implementations={
        **IMPLEMENTATIONS,
        "pytensor": symmetric(IMPLEMENTATIONS["pytensor"]),
        "pytensor, C": symmetric(IMPLEMENTATIONS["pytensor, C"]),
        "numpy": in_numpy(by_hand),
    },
    targets=(Target(1.0, "jax"), Target(1.0, "torch")),
)
