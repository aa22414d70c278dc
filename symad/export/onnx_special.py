"""Special functions in ONNX: the error function, the gamma function, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from symad.export.onnx_elements import OnnxBuilder
from symad.export.onnx_functions import formula, odd, polynomial
from symad.export.onnx_table import translates
from symad.export.onnx_writer import OnnxArray

_TAIL = (
    1.2530080582697296, -0.13562110612458111, -0.04756229435345069, 0.1296451587027457,
    -0.11927366341526784, 0.0683080273449022, -0.023770514921552247, 0.0025293917936656156,
    0.0018886904367616043, -0.0007798320215481393, -0.0001051608456435926, 0.0001250981640724874,
    4.957208622870267e-06, -2.010098568573293e-05, -7.621548574406344e-07, 3.4993019532879996e-06,
    4.112434498812321e-07, -7.144620295722057e-07, -1.4247477511728202e-07, 2.1159864593666886e-07,
    -4.520964519539401e-08,
)  # fmt: skip
"""e^(x²) erfc(x) (1 + 2x) for x ≥ 1, as a polynomial of 1 - 6/(x + 3), which is fitted."""

_GAMMALN = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319809, 0.02058080842778463,
    -0.007385551028674025, 0.0028905103307344045, -0.0011927539116998527, 0.0005096695250241955,
    -0.00022315475858818615, 9.94575066878814e-05, -4.4926233820610826e-05, 2.0507291996563825e-05,
    -9.439526202058818e-06, 4.374223481082048e-06, -2.0389077825677104e-06, 9.584207048594987e-07,
    -4.508168225446838e-07, 2.0193835401136915e-07, -9.558178101635195e-08, 6.472569840064724e-08,
    -3.085985478390577e-08,
)  # fmt: skip
"""ln Γ(2 + t) / t for |t| ≤ 1/2, as a polynomial of t, which is fitted."""


# The error function


@formula
def _erf(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.select(b.call("fabs", x) < 1, _erf_series(x), 1 - b.call("erfc", x))


def _erf_series(x: OnnxArray) -> OnnxArray:
    """2/√π Σ (-1)ⁿ x^(2n+1) / (n! (2n + 1)), for |x| ≤ 1."""
    terms = [(-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(18)]
    return x * polynomial(x * x, [2 / math.sqrt(math.pi) * term for term in terms])


@formula
def _erfc(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """1 - erf x near 0; else e^(-x²) times :func:`_scaled_tail`."""
    size = b.call("fabs", x)
    tail = b.select(size > 40, 0, _square_exponential(b, size, -1) * _scaled_tail(size))
    far = b.select(x < 0, 2 - tail, tail)
    return b.select(x.equals(x), b.select(size < 1, 1 - _erf_series(x), far), x)


def _square_exponential(b: OnnxBuilder, x: OnnxArray, sign: int) -> OnnxArray:
    """Return e^(±x²), in which x² is not rounded: the head of x has few digits."""
    head = b.convert(b.convert(x, "float32"), x.dtype) if x.dtype.itemsize == 8 else x
    rest = (x - head) * (x + head)
    return b.call("exp", sign * (head * head)) * b.call("exp", sign * rest)


def _scaled_tail(x: OnnxArray) -> OnnxArray:
    """Return e^(x²) erfc(x) for x ≥ 1."""
    return polynomial(1 - 6 / (x + 3), _TAIL) / (1 + 2 * x)


@translates("erfcx")
def _erfcx(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    near = _square_exponential(b, x, 1) * b.call("erfc", x)
    return b.select(x > 1, _scaled_tail(x), b.select(x < -30, np.inf, near))


@translates("log_ndtr")
def _log_ndtr(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    z = x * math.sqrt(0.5)
    far = b.call("log", _scaled_tail(-z) * 0.5) - x * x * 0.5
    return b.select(x < -2, far, b.call("log1p", b.call("erfc", z) * -0.5))


_SLOPE = 2 / math.sqrt(math.pi)


def _solved(
    b: OnnxBuilder, y: OnnxArray, missing: Callable[[OnnxArray], OnnxArray], steps: int
) -> OnnxArray:
    """Return y where ``missing``, erf y less its value, is 0, by Halley's method."""
    for _ in range(steps):
        step = missing(y) / (_SLOPE * _square_exponential(b, y, -1))
        y = y - step / (1 + y * step)
    return y


def _inverse_tail(b: OnnxBuilder, q: OnnxArray) -> OnnxArray:
    """Return y ≥ 0 where erfc y is q ≤ 1/2, from a guess with an error of some thousandths."""
    safe = b.select((q > 0) & (q <= 0.5), q, 0.5)
    height = b.call("log", safe * (2 - safe))
    middle = 2 / (math.pi * 0.147) + height * 0.5
    guess = b.call("sqrt", b.call("sqrt", middle * middle - height / 0.147) - middle)
    found = _solved(b, guess, lambda y: safe - b.call("erfc", y), 3)
    return b.select(q.equals(safe), found, b.select(q.equals(0), np.inf, q.beside(np.nan)))


@translates("erfinv")
def _erfinv(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    def values(size: OnnxArray) -> OnnxArray:
        is_near = size < 0.5
        small = b.select(is_near, size, 0)
        guess = small / _SLOPE * (1 + small * small * (math.pi / 12))
        near = _solved(b, guess, lambda y: _erf_series(y) - small, 3)
        return b.select(is_near, near, _inverse_tail(b, 1 - size))

    return odd(b, x, values)


@translates("erfcinv")
def _erfcinv(b: OnnxBuilder, q: OnnxArray) -> OnnxArray:
    return b.select(q < 0.5, _inverse_tail(b, q), _erfinv(b, 1 - q))


@translates("ndtri")
def _ndtri(b: OnnxBuilder, p: OnnxArray) -> OnnxArray:
    low = p < 0.5
    found = _erfcinv(b, b.select(low, p, 1 - p) * 2) * math.sqrt(2)
    return b.select(low, -found, found)


# The gamma function

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_SHIFT = 8
"""From there on, Stirling's series is exact."""


def _shifted(b: OnnxBuilder, x: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
    """Return where Stirling's series is evaluated, and whether that is not x itself."""
    is_small = x < _SHIFT
    return b.select(is_small, x + _SHIFT, x), is_small


def _gammaln_of_positive(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """ln Γ, which is 0 at 1 and 2: a polynomial around 2, and Stirling's series far from it."""
    low, middle = x < 0.5, x < 1.5
    t = b.select(low, x, b.select(middle, x - 1, x - 2))
    factor = b.select(low, x * (x + 1), b.select(middle, x, 1))
    t = b.select(x < 2.5, t, 0)
    near = t * polynomial(t, _GAMMALN) - b.call("log", factor)
    z, is_small = _shifted(b, x)
    terms = [n / (2 * k * (2 * k - 1)) for k, n in enumerate(_BERNOULLI, 1)]
    series = polynomial(1 / (z * z), terms) / z
    far = (z - 0.5) * b.call("log", z) - z + 0.5 * math.log(2 * math.pi) + series
    product = x
    for k in range(1, _SHIFT):
        product = product * (x + k)
    far = far - b.select(is_small, b.call("log", b.select(is_small, product, 1)), 0)
    return b.select(x < 2.5, near, b.select(x.equals(np.inf), np.inf, far))


def _from_whole(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """Return π times the distance from the nearest whole number."""
    return (x - b.call("rint", x)) * math.pi


@formula
def _lgamma(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """For x < 0, π / |sin πx| / Γ(1 - x) is |Γ(x)|."""
    right = x > 0
    made = _gammaln_of_positive(b, b.select(right, x, 1 - x))
    sine = b.call("fabs", b.call("sin", _from_whole(b, x)))
    value = b.select(right, made, math.log(math.pi) - b.call("log", sine) - made)
    return b.select(b.call("fabs", x).equals(np.inf), np.inf, value)


@formula
def _digamma(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """For x < 0, ψ(1 - x) - π / tan πx."""
    left = x < 0
    y = b.select(left, 1 - x, x)
    z, is_small = _shifted(b, y)
    series = polynomial(1 / (z * z), [0.0, *(n / (2 * k) for k, n in enumerate(_BERNOULLI, 1))])
    total = y.beside(0.0)
    for k in range(_SHIFT):
        total = total + 1 / (y + k)
    made = b.call("log", z) - 0.5 / z - series - b.select(is_small, total, 0)
    angle = _from_whole(b, x)
    mirrored = made - math.pi / b.call("tan", angle)
    return b.select(left, b.select(angle.equals(0), np.nan, mirrored), made)


@translates("gammasgn")
def _gammasgn(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    below = b.call("floor", x)
    is_odd = ~b.call("fmod", below, x.beside(2)).equals(0)
    sign = b.select(is_odd, x.beside(-1), 1)
    sign = b.select(below.equals(x), np.nan, sign)
    at_zero = b.call("copysign", x.beside(1), x)
    made = b.select(x < 0, sign, b.select(x.equals(0), at_zero, 1))
    return b.select(x.equals(x), made, x)


@translates("gamma")
def _gamma(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return _gammasgn(b, x) * b.call("exp", b.call("lgamma", x))


@translates("rgamma")
def _rgamma(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    pole = (x <= 0) & b.call("floor", x).equals(x)
    inverse = _gammasgn(b, x) * b.call("exp", -b.call("lgamma", x))
    return b.select(pole, 0, inverse)


@translates("betaln")
def _betaln(b: OnnxBuilder, p: OnnxArray, q: OnnxArray) -> OnnxArray:
    p, q = b.broadcast_together(p, q)
    made = b.call("lgamma", p) + b.call("lgamma", q) - b.call("lgamma", p + q)
    is_infinite = (p.equals(np.inf) & (q > 0)) | (q.equals(np.inf) & (p > 0))
    return b.select(is_infinite, -np.inf, made)


@translates("beta")
def _beta(b: OnnxBuilder, p: OnnxArray, q: OnnxArray) -> OnnxArray:
    sign = _gammasgn(b, p) * _gammasgn(b, q) * _gammasgn(b, p + q)
    return sign * b.call("exp", _betaln(b, p, q))


@translates("poch")
def _poch(b: OnnxBuilder, z: OnnxArray, m: OnnxArray) -> OnnxArray:
    sign = _gammasgn(b, z + m) * _gammasgn(b, z)
    return sign * b.call("exp", b.call("lgamma", z + m) - b.call("lgamma", z))


@translates("binom")
def _binom(b: OnnxBuilder, n: OnnxArray, k: OnnxArray) -> OnnxArray:
    inverse = _rgamma(b, k + 1) * _rgamma(b, n - k + 1)
    return _gamma(b, n + 1) * inverse


# Logarithms


@translates("exprel")
def _exprel(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    made = b.call("expm1", x) / b.select(x.equals(0), 1, x)
    return b.select(x.equals(0), 1, b.select(x.equals(np.inf), np.inf, made))


@translates("log_ratio")
def _log_ratio(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    ratio = x / y
    is_near = b.call("fabs", ratio - 0.75) < 0.5
    is_ordinary = (ratio > 0) & (ratio < np.inf)
    apart = b.call("log", x) - b.call("log", y)
    wide = b.select(is_ordinary, b.call("log", b.select(is_ordinary, ratio, 1)), apart)
    return b.select(is_near, b.call("log1p", (x - y) / y), wide)


def _power_less_one(b: OnnxBuilder, logarithm: OnnxArray, p: OnnxArray) -> OnnxArray:
    """Return (e^(p ln x) - 1) / p, and its limit where p is 0."""
    made = b.call("expm1", p * logarithm) / b.select(p.equals(0), 1, p)
    return b.select(p.equals(0), logarithm, made)


@translates("boxcox")
def _boxcox(b: OnnxBuilder, x: OnnxArray, p: OnnxArray) -> OnnxArray:
    return _power_less_one(b, b.call("log", x), p)


@translates("boxcox1p")
def _boxcox1p(b: OnnxBuilder, x: OnnxArray, p: OnnxArray) -> OnnxArray:
    return _power_less_one(b, b.call("log1p", x), p)


@translates("inv_boxcox")
def _inv_boxcox(b: OnnxBuilder, y: OnnxArray, p: OnnxArray) -> OnnxArray:
    made = b.call("exp", b.call("log1p", p * y) / b.select(p.equals(0), 1, p))
    return b.select(p.equals(0), b.call("exp", y), made)


def _entropy(b: OnnxBuilder, x: OnnxArray, y: OnnxArray, more: OnnxArray) -> OnnxArray:
    """x ln(x/y) and ``more``: at x = 0, what is left of it; infinite where it is not defined."""
    inside = (x > 0) & (y > 0)
    made = x * _log_ratio(b, b.select(inside, x, 1), b.select(inside, y, 1)) + more
    rest = b.select(x.equals(0) & (y >= 0), more, np.inf)
    known = x.equals(x) & y.equals(y)
    return b.select(known, b.select(inside, made, rest), np.nan)


@translates("rel_entr")
def _rel_entr(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    return _entropy(b, x, y, x.beside(0.0))


@translates("kl_div")
def _kl_div(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    return _entropy(b, x, y, y - x)


@translates("sinc")
def _sinc(b: OnnxBuilder, x: OnnxArray, order: int) -> OnnxArray:
    """Derivatives of sin(πx)/(πx): with s₀ = sin u, u sₙ + n sₙ₋₁ = sin(u + nπ/2), or a series."""
    u = b.convert(x, "float64") * math.pi
    is_far = b.call("fabs", u) > max(1.5, order)
    far, near = b.select(is_far, u, max(1.5, order)), b.select(is_far, 0, u)
    waves = b.call("sin", far), b.call("cos", far)
    derivative = waves[0] / far
    for n in range(1, order + 1):
        wave = waves[n % 2]
        derivative = ((-wave if n % 4 > 1 else wave) - n * derivative) / far
    terms = range((order + 1) // 2, order + 14)
    series = [
        (-1) ** k / ((2 * k + 1) * math.factorial(2 * k - order)) * math.pi**order for k in terms
    ]
    close = polynomial(near * near, series) * (near if order % 2 else 1)
    made = b.select(is_far, derivative * math.pi**order, close)
    return b.select(b.call("fabs", u) < np.inf, made, np.nan)
