"""The log posterior of a mixture of Gaussians, with a Wishart prior on the precisions.

The precision of component k is LᵀL.  L is lower triangular: exp q on its diagonal, l below it.
"""

from __future__ import annotations

import math

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall

NAMES = "alpha", "mu", "q", "l"
"""The parameters to differentiate by."""


def triangles(q: sm.Node, below: sm.Node, d: int) -> sm.Node:
    """Return the lower triangular matrices; ``below`` holds their other columns, one by one."""
    columns, rows = np.triu_indices(d, 1)
    empty = sm.zeros((q.shape[0], d, d))
    filled = sm.set_at(empty, (slice(None), rows, columns), below)
    diagonal = np.arange(d)
    return sm.set_at(filled, (slice(None), diagonal, diagonal), sm.exp(q))


def log_wishart(triangle: sm.Node, log_determinants: sm.Node, given: Input) -> sm.Node:
    """Return the sum of the log densities of the precisions."""
    d, k, m, gamma = (given[name] for name in ("d", "k", "m", "gamma"))
    degrees = d + m + 1
    constant = degrees * d * math.log(gamma / math.sqrt(2)) - sm.special.multigammaln(
        0.5 * degrees, d
    )
    return k * constant - gamma**2 / 2 * sm.sum(triangle**2) + m * sm.sum(log_determinants)


def log_posterior(
    alpha: sm.Node, mu: sm.Node, q: sm.Node, below: sm.Node, x: sm.Node, given: Input
) -> sm.Node:
    d, n = given["d"], given["n"]
    triangle, log_determinants = triangles(q, below, d), sm.sum(q, axis=1)
    whitened = sm.einsum("kij,nkj->nki", triangle, x[:, None, :] - mu)
    terms = alpha + log_determinants - sm.sum(whitened**2, axis=2) / 2
    likelihood = sm.sum(sm.logsumexp(terms, axis=1)) - n * (
        d / 2 * math.log(2 * math.pi) + sm.logsumexp(alpha)
    )
    return likelihood + log_wishart(triangle, log_determinants, given)


def built(given: Input) -> tuple[list[sm.Node], sm.Node, list[np.ndarray]]:
    """Return the variables, the log posterior and the arrays of an input."""
    arrays = [np.array(given[name]) for name in (*NAMES, "x")]
    variables = [
        sm.Variable(name, shape=array.shape)
        for name, array in zip((*NAMES, "x"), arrays, strict=True)
    ]
    return variables, log_posterior(*variables, given), arrays


def objective(given: Input) -> TimedCall:
    variables, y, arrays = built(given)
    return TimedCall(sm.compile(variables, y), arrays, float)


def jacobian(given: Input) -> TimedCall:
    variables, y, arrays = built(given)
    slopes = sm.gradients(y, variables[: len(NAMES)])
    return TimedCall(sm.compile(variables, slopes), arrays, by_name)


def by_name(slopes: list[np.ndarray]) -> dict[str, list]:
    return {name: slope.tolist() for name, slope in zip(NAMES, slopes, strict=True)}
