"""Continuous distributions of one number."""

from __future__ import annotations

import math

import numpy as np

from symad.graph.node import Node
from symad.ops.arithmetic import abs
from symad.ops.comparison import equal, where
from symad.ops.exponential import exp, expm1, log, log1p, sigmoid, softplus
from symad.ops.special import gammaln
from symad.ops.special_gamma import (
    beta_density,
    betainc,
    betaincinv,
    betaln,
    gamma_density,
    gammainc,
    gammaincc,
    gammaincinv,
)
from symad.ops.special_logarithms import logit, xlog1py, xlogy
from symad.ops.special_normal import log_ndtr, ndtr, ndtri
from symad.ops.special_student import stdtr, stdtrit, student_log_density
from symad.ops.trigonometric import atan2, hypot, tan
from symad.stats.distribution import CumulativeDistribution

_LOG_2PI = math.log(2 * math.pi)


def _negative(z: Node, *shapes: Node) -> Node:
    return z < 0


class norm(CumulativeDistribution):
    """The normal distribution with mean ``loc`` and standard deviation ``scale``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.stats.norm.logcdf(x, loc=1.0, scale=2.0)
    >>> [node.eval({x: -99.0}) for node in (y, sm.gradients(y, x))]
    [np.float64(-1254.8313611), np.float64(25.0099920159)]
    """

    log_density = staticmethod(lambda z: -0.5 * (z * z + _LOG_2PI))
    cumulative = staticmethod(ndtr)
    survival = staticmethod(lambda z: ndtr(-z))
    log_cumulative = staticmethod(lambda z: log_ndtr(z))
    log_survival = staticmethod(lambda z: log_ndtr(-z))
    quantile = staticmethod(lambda p: ndtri(p))


class lognorm(CumulativeDistribution):
    """The log-normal distribution: ln(x / scale) is normal with standard deviation ``s``.

    Its parameters are ``s``, ``loc`` and ``scale``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.lognorm.logpdf(sm.constant([0.0, 1.0]), 0.5).eval()
    array([       -inf, -0.22579135])
    """

    shapes = ("s",)
    below = staticmethod(lambda z: z <= 0)
    log_density = staticmethod(
        lambda z, s: norm.log_density(log(z) / s) - log(z) - log(s),
    )
    cumulative = staticmethod(lambda z, s: ndtr(log(z) / s))
    survival = staticmethod(lambda z, s: ndtr(-log(z) / s))
    log_cumulative = staticmethod(lambda z, s: log_ndtr(log(z) / s))
    log_survival = staticmethod(lambda z, s: log_ndtr(-log(z) / s))
    quantile = staticmethod(lambda p, s: exp(s * ndtri(p)))


class laplace(CumulativeDistribution):
    """The Laplace distribution with median ``loc``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.laplace.logpdf(sm.constant([0.0, -3.0])).eval()
    array([-0.69314718, -3.69314718])
    """

    log_density = staticmethod(lambda z: -abs(z) - math.log(2))
    log_cumulative = staticmethod(lambda z: where(z < 0, z - math.log(2), log1p(-0.5 * exp(-z))))
    cumulative = staticmethod(lambda z: where(z < 0, 0.5 * exp(z), 1 - 0.5 * exp(-z)))
    survival = staticmethod(lambda z: laplace.cumulative(-z))
    log_survival = staticmethod(lambda z: laplace.log_cumulative(-z))
    quantile = staticmethod(lambda p: where(p < 0.5, log(2 * p), -log(2 * (1 - p))))


class logistic(CumulativeDistribution):
    """The logistic distribution with mean ``loc``; its distribution function is the sigmoid.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.logistic.logpdf(sm.constant([0.0, 1000.0])).eval()
    array([   -1.38629436, -1000.        ])
    """

    log_density = staticmethod(lambda z: -(softplus(z) + softplus(-z)))
    cumulative = staticmethod(lambda z: sigmoid(z))
    survival = staticmethod(lambda z: sigmoid(-z))
    log_cumulative = staticmethod(lambda z: -softplus(-z))
    log_survival = staticmethod(lambda z: -softplus(z))
    quantile = staticmethod(lambda p: logit(p))


class cauchy(CumulativeDistribution):
    """The Cauchy distribution with median ``loc``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.cauchy.logpdf(sm.constant([0.0, 1e200])).eval()
    array([  -1.14472989, -922.17876708])
    """

    log_density = staticmethod(lambda z: -2 * log(hypot(z, 1.0)) - math.log(math.pi))
    cumulative = staticmethod(lambda z: atan2(1.0, -z) / math.pi)
    survival = staticmethod(lambda z: atan2(1.0, z) / math.pi)
    quantile = staticmethod(
        lambda p: where(p < 0.5, -1 / tan(math.pi * p), 1 / tan(math.pi * (1 - p)))
    )


class uniform(CumulativeDistribution):
    """The uniform distribution from ``loc`` to ``loc + scale``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.uniform.pdf(sm.constant([-1.0, 0.0, 3.0]), 0.0, 2.0).eval()
    array([0. , 0.5, 0. ])
    """

    below = staticmethod(_negative)
    above = staticmethod(lambda z: z > 1)
    log_density = staticmethod(lambda z: 0 * z)
    cumulative = staticmethod(lambda z: z)
    survival = staticmethod(lambda z: 1 - z)
    log_survival = staticmethod(lambda z: log1p(-z))
    quantile = staticmethod(lambda p: p)


class expon(CumulativeDistribution):
    """The exponential distribution with mean ``scale``, from ``loc``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.expon.logpdf(sm.constant([-1.0, 0.0, 3.0])).eval()
    array([-inf,  -0.,  -3.])
    """

    below = staticmethod(_negative)
    log_density = staticmethod(lambda z: -z)
    cumulative = staticmethod(lambda z: -expm1(-z))
    survival = staticmethod(lambda z: exp(-z))
    log_survival = staticmethod(lambda z: -z)
    quantile = staticmethod(lambda p: -log1p(-p))


class gamma(CumulativeDistribution):
    """The gamma distribution of shape ``a`` from ``loc``; its mean is ``loc + a·scale``.

    Derivatives of ``cdf``, ``sf`` and ``ppf`` with respect to ``a`` are refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.gamma.logpdf(sm.constant([-1.0, 2.0]), 3.0).eval()
    array([       -inf, -1.30685282])
    """

    shapes = ("a",)
    below = staticmethod(_negative)
    above = staticmethod(lambda z: equal(z, np.inf))
    log_density = staticmethod(lambda z, a: xlogy(a - 1, z) - z - gammaln(a))
    density = staticmethod(lambda z, a: gamma_density(a, z))
    cumulative = staticmethod(lambda z, a: gammainc(a, z))
    survival = staticmethod(lambda z, a: gammaincc(a, z))
    quantile = staticmethod(lambda p, a: gammaincinv(a, p))


class chi2(CumulativeDistribution):
    """The χ² distribution with ``df`` degrees of freedom, from ``loc``.

    Derivatives of ``cdf``, ``sf`` and ``ppf`` with respect to ``df`` are refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.chi2.logpdf(sm.constant([-1.0, 2.0]), 4).eval()
    array([       -inf, -1.69314718])
    """

    shapes = ("df",)
    below, above = staticmethod(gamma.below), staticmethod(gamma.above)
    log_density = staticmethod(lambda z, df: gamma.log_density(z / 2, df / 2) - math.log(2))
    density = staticmethod(lambda z, df: gamma_density(df / 2, z / 2) / 2)
    cumulative = staticmethod(lambda z, df: gammainc(df / 2, z / 2))
    survival = staticmethod(lambda z, df: gammaincc(df / 2, z / 2))
    quantile = staticmethod(lambda p, df: 2 * gammaincinv(df / 2, p))


class beta(CumulativeDistribution):
    """The beta distribution of shape ``a`` and ``b``, from ``loc`` to ``loc + scale``.

    Derivatives of ``cdf``, ``sf`` and ``ppf`` with respect to ``a`` and ``b`` are refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.beta.logpdf(sm.constant([0.5, 1.5]), 2.0, 3.0).eval()
    array([0.40546511,       -inf])
    """

    shapes = ("a", "b")
    below = staticmethod(_negative)
    above = staticmethod(uniform.above)
    log_density = staticmethod(lambda z, a, b: xlogy(a - 1, z) + xlog1py(b - 1, -z) - betaln(a, b))
    density = staticmethod(lambda z, a, b: beta_density(a, b, z))
    cumulative = staticmethod(lambda z, a, b: betainc(a, b, z))
    survival = staticmethod(lambda z, a, b: betainc(b, a, 1 - z))
    quantile = staticmethod(lambda p, a, b: betaincinv(a, b, p))


class t(CumulativeDistribution):
    """Student's t distribution with ``df`` degrees of freedom, a finite number, around ``loc``.

    Derivatives of ``cdf``, ``sf`` and ``ppf`` with respect to ``df`` are refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.stats.t.logpdf(sm.constant([0.0, 2.0]), 5).eval()
    array([-0.96861959, -2.73197958])
    """

    shapes = ("df",)
    log_density = staticmethod(student_log_density)
    cumulative = staticmethod(lambda z, df: stdtr(df, z))
    survival = staticmethod(lambda z, df: stdtr(df, -z))
    quantile = staticmethod(lambda p, df: stdtrit(df, p))
