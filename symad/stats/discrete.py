"""Distributions of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from symad.graph.node import Node
from symad.ops.adjoint import stop_gradient
from symad.ops.base import Operand
from symad.ops.comparison import equal, where
from symad.ops.exponential import log1p
from symad.ops.rounding import floor
from symad.ops.special import gammaln
from symad.ops.special_gamma import beta_density, betaln, gamma_density, gammaincc
from symad.ops.special_logarithms import xlog1py, xlogy
from symad.stats.distribution import Distribution, Formula


class Discrete(Distribution):
    """A distribution of integers from 0, which ``loc`` shifts."""

    defaults = {"loc": None}
    log_mass: ClassVar[Formula]
    mass: ClassVar[Formula]
    """The probability of the integer k and its logarithm, as formulas of (k, *shapes)."""
    largest: ClassVar[Callable[..., Any]] = staticmethod(lambda *shapes: np.inf)
    """The largest integer of the support."""

    @classmethod
    def _apply(cls, formula: Formula, outside: float, k: Operand, args: Any, named: Any) -> Node:
        node, shapes, (loc,) = cls.nodes_of(k, args, named)
        node = node if loc is None else node - loc
        beyond = (node < 0) | (node > cls.largest(*shapes)) | equal(node, np.inf)
        value = where(beyond | (node - floor(node) > 0), outside, formula(node, *shapes))
        return cls.where_allowed(cls.allowed(*shapes), value)

    @classmethod
    def logpmf(cls, k: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the logarithm of the probability of ``k``; -inf unless it is an integer.

        Parameters
        ----------
        k : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc``.
        """
        return cls._apply(cls.log_mass, -np.inf, k, args, named)

    @classmethod
    def pmf(cls, k: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the probability of ``k``, element by element; 0 unless it is an integer.

        Parameters
        ----------
        k : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc``.
        """
        return cls._apply(cls.mass, 0.0, k, args, named)


class poisson(Discrete):
    """The Poisson distribution with mean ``mu``.

    Examples
    --------
    >>> import symad as sm
    >>> mu = sm.Variable("mu")
    >>> y = sm.sum(sm.stats.poisson.logpmf([3, 0, 4], mu))
    >>> sm.gradients(y, mu).eval({mu: 2.0})  # 7/2 - 3
    np.float64(0.5)
    """

    shapes = ("mu",)
    allowed = staticmethod(lambda mu: [mu >= 0])
    log_mass = staticmethod(lambda k, mu: xlogy(k, mu) - gammaln(k + 1) - mu)
    mass = staticmethod(lambda k, mu: gamma_density(k + 1, mu))

    @classmethod
    def cdf(cls, k: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the probability of integers up to ``k``, element by element.

        Parameters
        ----------
        k : node, number or array
            Its derivative is 0.
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc``.
        """
        node, (mu,), (loc,) = cls.nodes_of(k, args, named)
        whole = floor(stop_gradient(node if loc is None else node - loc))
        below, beyond = whole < 0, equal(whole, np.inf)
        inside = gammaincc(where(below | beyond, 0, whole) + 1, mu)
        value = where(below, 0.0, where(beyond, 1.0, inside))
        return cls.where_allowed(cls.allowed(mu), value)


class bernoulli(Discrete):
    """The Bernoulli distribution: 1 with probability ``p``, else 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.bernoulli.pmf(sm.constant([0, 1, 2]), 0.25).eval()
    array([0.75, 0.25, 0.  ])
    """

    shapes = ("p",)
    allowed = staticmethod(lambda p: [p >= 0, p <= 1])
    largest = staticmethod(lambda p: 1)
    log_mass = staticmethod(lambda k, p: xlogy(k, p) + xlog1py(1 - k, -p))
    mass = staticmethod(lambda k, p: k * p + (1 - k) * (1 - p))


class binom(Discrete):
    """The binomial distribution: the number of successes in ``n`` trials of probability ``p``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.binom.pmf(sm.constant([0, 1, 2, 3]), 2, 0.5).eval()
    array([0.25, 0.5 , 0.25, 0.  ])
    """

    shapes = ("n", "p")
    allowed = staticmethod(lambda n, p: [n >= 0, equal(n, floor(n)), p >= 0, p <= 1])
    largest = staticmethod(lambda n, p: n)
    log_mass = staticmethod(
        lambda k, n, p: xlogy(k, p) + xlog1py(n - k, -p)
        - betaln(k + 1, n - k + 1) - log1p(n)
    )  # fmt: skip
    mass = staticmethod(lambda k, n, p: beta_density(k + 1, n - k + 1, p) / (n + 1))
