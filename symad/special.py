"""Special functions of nodes, under the names of :mod:`scipy.special` and with its arguments.

``scipy.special.xlogy(x, y)`` of nodes is ``sm.special.xlogy(x, y)``, and so are all of SciPy's
ufuncs of these names.  Results are float64, or float32 if all operands are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.errors import GraphTypeError
from symad.functions.absent import absent
from symad.graph.node import Node
from symad.graph.op import call, explained
from symad.ops.adjoint import stop_gradient
from symad.ops.base import Operand, as_nodes, register
from symad.ops.comparison import equal, greater, isfinite, isinf, where
from symad.ops.exponential import exp, log, softplus
from symad.ops.exponential import log1mexp as _log1mexp
from symad.ops.exponential import sigmoid as expit
from symad.ops.nn import log_softmax as _log_softmax
from symad.ops.nn import logsumexp as _logsumexp
from symad.ops.nn import softmax as _softmax
from symad.ops.reduce import sum
from symad.ops.special import digamma, erf, erfc, erfinv, gammaln, polygamma
from symad.ops.special import digamma as psi
from symad.ops.special_bessel import iv, ive, j0, j1, jv, kv, rgamma, y0, y1, yn, yv
from symad.ops.special_gamma import (
    beta,
    betainc,
    betaincinv,
    betaln,
    binom,
    gamma,
    gammainc,
    gammaincc,
    gammaincinv,
    gammasgn,
    poch,
    zeta,
)
from symad.ops.special_logarithms import (
    boxcox,
    boxcox1p,
    inv_boxcox,
    kl_div,
    logit,
    rel_entr,
    xlog1py,
    xlogy,
)
from symad.ops.special_normal import erfcinv, erfcx, log_ndtr, ndtr, ndtri
from symad.ops.special_series import (
    exp1,
    expi,
    expn,
    exprel,
    hyp1f1,
    hyp2f1,
    i0,
    i0e,
    i1,
    i1e,
    real,
    spence,
)
from symad.ops.special_student import stdtr, stdtrit

__all__ = [
    "beta", "betainc", "betaincinv", "betaln", "binom", "boxcox", "boxcox1p", "comb", "digamma",
    "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi", "expit", "expn", "exprel",
    "factorial", "gamma", "gammainc", "gammaincc", "gammaincinv", "gammaln", "gammasgn", "hyp1f1",
    "hyp2f1", "i0", "i0e", "i1", "i1e", "inv_boxcox", "iv", "ive", "j0", "j1", "jv", "kl_div", "kv",
    "log1mexp", "log_expit", "log_ndtr", "log_softmax", "loggamma", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "poch", "polygamma", "psi", "rel_entr", "rgamma", "softmax",
    "softplus", "spence", "stdtr", "stdtrit", "xlog1py", "xlogy", "y0", "y1", "yn", "yv", "zeta",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)


@explained
def entr(x: Operand) -> Node:
    """Return -x·ln x, element by element: the terms of an entropy.

    It is 0 at 0, where the derivative is infinite, and -inf with derivative 0 for x < 0.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.entr(sm.constant([0.0, 0.5, 1.0])).eval()
    array([ 0.        ,  0.34657359, -0.        ])
    """
    node = real(x)
    return where(node < 0, -np.inf, xlogy(-node, node))


@explained
def log_expit(x: Operand) -> Node:
    """Return ln(1 / (1 + e^-x)), element by element, accurate for all ``x``.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.log_expit(sm.constant([-1000.0, 0.0, 50.0])).eval()
    array([-1.00000000e+03, -6.93147181e-01, -1.92874985e-22])
    """
    return -softplus(-real(x))


@explained
def log1mexp(x: Operand) -> Node:
    """Return ln(1 - e^-x), element by element, accurate for all ``x`` > 0, as ``jax.nn.log1mexp``.

    It is -inf at 0 and NaN for x < 0.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.log1mexp(sm.constant([1e-20, 1.0, 50.0])).eval()
    array([-4.60517019e+01, -4.58675145e-01, -1.92874985e-22])
    """
    return _log1mexp(-real(x))


@explained
def loggamma(x: Operand) -> Node:
    """Return ln Γ(x), element by element; NaN for x < 0, where :func:`gammaln` is ln(abs(Γ(x))).

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.loggamma(sm.constant([5.0, -0.5])).eval()
    array([3.17805383,        nan])
    """
    node = real(x)
    return where(node < 0, np.nan, gammaln(node))


@explained
def softmax(x: Operand, axis: Any = None) -> Node:
    """Return exp(x) / Σ exp(x): :func:`symad.softmax`, of all elements by default.

    Parameters
    ----------
    x : node, number or array
    axis : int, tuple of int or None

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.softmax(sm.constant([1000.0, 1000.0])).eval()
    array([0.5, 0.5])
    """
    return _softmax(x, axis)


@explained
def log_softmax(x: Operand, axis: Any = None) -> Node:
    """Return x - ln Σ exp(x): :func:`symad.log_softmax`, of all elements by default.

    Parameters
    ----------
    x : node, number or array
    axis : int, tuple of int or None

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.log_softmax(sm.constant([1000.0, 0.0])).eval()
    array([    0., -1000.])
    """
    return _log_softmax(x, axis)


@explained
def logsumexp(
    a: Operand,
    axis: Any = None,
    b: Operand | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """Return ln Σ b·exp(a) along ``axis``, without overflow.

    Parameters
    ----------
    a : node, number or array
    axis : int or tuple of int, optional
        The axes to reduce; by default all.
    b : node, number or array, optional
        Factors of either sign; an element of ``a`` whose factor is 0 has no influence.
    keepdims : bool
        Keep the reduced axes, of size 1.
    return_sign : bool
        Also return the sign of the sum, so that a negative sum is no NaN.

    Returns
    -------
    Node, or tuple of two nodes
        With ``return_sign``, ln(abs(Σ b·exp(a))) and the sign.

    Examples
    --------
    >>> import symad as sm
    >>> a = sm.constant([1000.0, 1001.0])
    >>> value, sign = sm.special.logsumexp(a, b=[1, -1], return_sign=True)
    >>> value.eval(), sign.eval()
    (np.float64(1000.5413248546), np.float64(-1.0))
    """
    if b is None and not return_sign:
        return _logsumexp(a, axis, keepdims=keepdims)
    exponents, factors = (real(node) for node in as_nodes(a, 1.0 if b is None else b))
    counted = where(equal(factors, 0), -np.inf, exponents)
    top = stop_gradient(call("max", counted, axis, keepdims=True))
    shift = where(isfinite(top), top, 0)
    growth = exp(exponents - shift)
    terms = where(equal(factors, 0) & isinf(growth), 0, factors * growth)
    total = sum(terms, axis, keepdims=True)
    sign = call("sign", total)
    size = log(call("abs", total) if return_sign else total) + shift
    if not keepdims:
        size, sign = (sum(node, axis) for node in (size, sign))
    return (size, sign) if return_sign else size


def _as_integer(name: str, **settings: bool) -> None:
    for setting, value in settings.items():
        if value:
            raise GraphTypeError(
                f"{name} of nodes has no {setting}=True, which gives Python integers",
                remedy=f"Compute it with scipy.special.{name} before building the graph.",
            )


@explained
def comb(N: Operand, k: Operand, *, exact: bool = False, repetition: bool = False) -> Node:
    """Return the number of ways to choose ``k`` of ``N`` things, element by element.

    Parameters
    ----------
    N, k : node, number or array
        The result is 0 for k > N and for negative numbers, with derivative 0.
    exact : bool
        Only False is possible: results are floats.
    repetition : bool
        Whether a thing may be chosen several times.

    Raises
    ------
    GraphTypeError
        If ``exact`` is true.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.comb(sm.constant([5, 5]), [2, 6]).eval()
    array([10.,  0.])
    """
    _as_integer("comb", exact=exact)
    total, chosen = (real(node) for node in as_nodes(N, k))
    if repetition:
        return where(equal(chosen, 0) & (total >= 0), 1, comb(total + chosen - 1, chosen))
    return where((chosen > total) | (total < 0) | (chosen < 0), 0, binom(total, chosen))


@explained
def factorial(n: Operand, exact: bool = False) -> Node:
    """Return n! = Γ(n + 1), element by element; 0 for negative ``n``.

    Parameters
    ----------
    n : node, number or array
    exact : bool
        Only False is possible: results are floats.

    Raises
    ------
    GraphTypeError
        If ``exact`` is true.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.factorial(sm.constant([0, 5, -1])).eval()
    array([  1., 120.,   0.])
    """
    _as_integer("factorial", exact=exact)
    node = real(n)
    return where(node < 0, 0, gamma(node + 1))


@explained
def multigammaln(a: Operand, d: int) -> Node:
    """Return the logarithm of the multivariate gamma function of dimension ``d``.

    ln Γ_d(a) = d(d - 1)/4 · ln π + Σ ln Γ(a - j/2) over j < d.

    Parameters
    ----------
    a : node, number or array
        Greater than (d - 1)/2; elsewhere the result is NaN.
    d : int

    Raises
    ------
    GraphTypeError
        If ``d`` is not a positive Python integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.multigammaln(sm.constant(3.0), 2).eval()
    np.float64(1.5501949939)
    """
    if not isinstance(d, int) or d < 1:
        raise GraphTypeError(
            f"the dimension of multigammaln is {d!r}",
            remedy="It must be a positive Python integer: sm.special.multigammaln(a, 2).",
        )
    node = real(a)
    parts = gammaln(call("expand_dims", node, -1) - np.arange(d, dtype=node.dtype) / 2)
    value = sum(parts, -1) + d * (d - 1) / 4 * math.log(math.pi)
    return where(greater(node, (d - 1) / 2), value, np.nan)


for _function in (comb, entr, factorial, log1mexp, log_expit, loggamma, multigammaln):
    register(_function, in_expressions=True, numpy=f"special.{_function.__name__}")
