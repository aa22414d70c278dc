"""Log-densities of nodes, under the names of :mod:`scipy.stats` and with its parameters.

``sm.stats.norm.logpdf(x, loc, scale)`` is a node; ``x`` and all parameters may be nodes, and have
derivatives.  Outside of the support, a density is 0 and its logarithm -inf, with derivative 0.
Where a parameter is not allowed, the result is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symad.functions.absent import absent
from symad.stats.continuous import (
    beta,
    cauchy,
    chi2,
    expon,
    gamma,
    laplace,
    logistic,
    lognorm,
    norm,
    t,
    uniform,
)
from symad.stats.discrete import bernoulli, binom, poisson
from symad.stats.multivariate import dirichlet, multivariate_normal

__all__ = [
    "bernoulli", "beta", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "laplace",
    "logistic", "lognorm", "multivariate_normal", "norm", "poisson", "t", "uniform",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
