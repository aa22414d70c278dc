"""Special functions; their values come from SciPy, which is imported on first use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.op import explained, resolve
from symad.graph.sample import Sample, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.base import (
    Elementwise,
    Operand,
    Unary,
    as_node,
    float_dtype,
    register,
)
from symad.ops.exponential import exp

_EDGES = fixed([0.0, -0.0, np.inf, -np.inf, np.nan])
_EULER = 0.5772156649015329


class Erf(Unary):
    """Return the error function 2/√π ∫₀ˣ e^(-t²) dt of ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.erf(sm.constant(0.5)).eval()
    np.float64(0.5204998778)
    """

    name = "erf"
    sign = "as inputs"
    finite_slopes = True
    operations = SPECIAL
    numpy = "scipy.special.erf"
    element = "erf"
    chain = (lambda v, y, x: v * (2 / math.sqrt(math.pi) * exp(-x * x)),)
    samples = (
        Sample(lambda x: erf(x), [reals(3, 2)], np.vectorize(math.erf)),
        Sample(lambda n: erf(n), [integers(3)], np.vectorize(math.erf), label="integer"),
        special_points(
            lambda x: erf(x), [_EDGES], lambda x: np.array([0.0, -0.0, 1.0, -1.0, np.nan])
        ),
    )  # fmt: skip


class Erfc(Unary):
    """Return 1 - erf(``x``), element by element, accurate for large ``x``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.erfc(sm.constant(10.0)).eval()
    np.float64(2.0884875838e-45)
    """

    name = "erfc"
    sign = "nonnegative"
    finite_slopes = True
    operations = SPECIAL
    numpy = "scipy.special.erfc"
    element = "erfc"
    chain = (lambda v, y, x: -(v * (2 / math.sqrt(math.pi) * exp(-x * x))),)
    samples = (
        Sample(lambda x: erfc(x), [reals(3, 2)], np.vectorize(math.erfc)),
        special_points(
            lambda x: erfc(x), [_EDGES], lambda x: np.array([1.0, 1.0, 0.0, 2.0, np.nan])
        ),
    )  # fmt: skip


class ErfInv(Unary):
    """Return the inverse of the error function, element by element.

    It is inf at 1, -inf at -1 and NaN outside; the derivative √π/2 e^(y²) is inf at ±1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.erfinv(sm.erf(sm.constant(0.5))).eval()
    np.float64(0.5)
    """

    name = "erfinv"
    has_poles = True
    domain = "The inverse of erf is defined between −1 and 1, and infinite at these."
    operations = SPECIAL
    numpy = "scipy.special.erfinv"
    latex = r"\operatorname{{erf}}^{{-1}}({0})"
    chain = (lambda v, y, x: v * (math.sqrt(math.pi) / 2 * exp(y * y)),)
    samples = (
        Sample(lambda x: erfinv(x), [reals(3, 2, low=-0.8, high=0.8)]),
        Sample(lambda x: erfinv(erf(x)), [reals(3, high=1.0)], lambda x: x, 1, "inverse"),
        special_points(
            lambda x: erfinv(x), [fixed([0.0, 1.0, -1.0, 1.5, np.nan])],
            lambda x: np.array([0.0, np.inf, -np.inf, np.nan, np.nan]),
        ),
    )  # fmt: skip


def _gammaln(x: Any) -> Any:
    from scipy import special

    # SciPy's function for real numbers loses digits near the zeros at 1 and 2; its function for
    # complex numbers uses a series there.  It takes subnormal numbers for 0, where Γ(x) is 1/x.
    values = special.gammaln(x)
    x = np.asarray(x, values.dtype)
    is_subnormal = (x != 0) & (np.abs(x) < np.finfo(np.float64).tiny)
    if np.any(is_subnormal):
        values = np.where(is_subnormal, -np.log(np.abs(np.where(is_subnormal, x, 1))), values)[()]
    near_zero = np.minimum(np.abs(x - 1), np.abs(x - 2)) < 0.1
    if not np.any(near_zero):
        return values
    series = special.loggamma(np.where(near_zero, x, 1.0) + 0j).real + 0.0  # not -0.0
    return np.where(near_zero, series, values).astype(values.dtype)[()]


def _log_gamma(b: ScalarBuilder, x: Value) -> Value:
    lowest = b.constant(-math.inf, b.dtype(x))  # where SciPy returns -inf and C returns inf
    return b.select(b.equal(x, lowest), x, b.call("lgamma", x))


class GammaLn(Unary):
    """Return ln(abs(Γ(x))), element by element; its derivative is the digamma function.

    It is inf at 0, -1, -2, ...

    Examples
    --------
    >>> import symad as sm
    >>> sm.gammaln(sm.constant(5.0)).eval()
    np.float64(3.1780538303)
    """

    name = "gammaln"
    has_poles = True
    domain = "ln Γ is infinite at 0, −1, −2, ..."
    operations = SPECIAL
    numpy = staticmethod(_gammaln)
    element = _log_gamma
    latex = r"\ln \Gamma({0})"
    chain = (lambda v, y, x: v * digamma(x),)
    samples = (
        Sample(lambda x: gammaln(x), [reals(3, 2, low=0.4, high=5.0)], np.vectorize(math.lgamma)),
        Sample(
            lambda x: gammaln(x), [fixed([-0.5, -1.6])], np.vectorize(math.lgamma), label="x < 0",
            order=1,
        ),
        special_points(
            lambda x: gammaln(x), [fixed([0.0, -1.0, 1.0, np.inf, np.nan])],
            lambda x: np.array([np.inf, np.inf, 0.0, np.inf, np.nan]),
        ),
    )  # fmt: skip

    def ufunc(self) -> np.ufunc | None:
        function = resolve("scipy.special.gammaln")
        assert isinstance(function, np.ufunc)
        return function


class Digamma(Unary):
    """Return ψ(``x``), the derivative of ln Γ, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.digamma(sm.constant(1.0)).eval()
    np.float64(-0.5772156649)
    """

    name = "digamma"
    has_poles = True
    domain = "The digamma function has poles at 0, −1, −2, ..."
    operations = SPECIAL
    numpy = "scipy.special.digamma"
    element = "digamma"
    latex = r"\psi({0})"
    chain = (lambda v, y, x: v * polygamma(1, x),)
    samples = (
        Sample(lambda x: digamma(x), [reals(3, 2, low=0.4, high=5.0)]),
        Sample(
            lambda x: digamma(x + 1) - digamma(x), [reals(3, low=0.4)], lambda x: 1 / x,
            label="recurrence",
        ),
        special_points(
            lambda x: digamma(x), [fixed([1.0, 2.0, 0.5, np.inf, np.nan])],
            lambda x: np.array([-_EULER, 1 - _EULER, -_EULER - 2 * np.log(2), np.inf, np.nan]),
        ),
    )  # fmt: skip


def _polygamma(x: Any, n: int) -> Any:
    return resolve("scipy.special.polygamma")(n, x).astype(float_dtype(x.dtype))


class Polygamma(Elementwise):
    """The derivative of the digamma function of order ``n``."""

    n: int

    name = "polygamma"
    has_poles = True
    domain = "Polygamma functions have poles at 0, −1, −2, ..."
    operations = SPECIAL
    numpy = staticmethod(_polygamma)
    latex = r"\psi^{{({op.n})}}({0})"
    chain = (lambda v, y, x: v * polygamma(y.op.n + 1, x),)
    samples = (
        Sample(lambda x: polygamma(1, x), [reals(3, 2, low=0.5, high=4.0)]),
        Sample(
            lambda x: polygamma(2, x + 1) - polygamma(2, x), [reals(3, low=0.7)],
            lambda x: 2 / x**3, label="recurrence",
        ),
        special_points(
            lambda x: polygamma(1, x), [fixed([1.0, 0.5, 0.0, np.inf, np.nan])],
            lambda x: np.array([np.pi**2 / 6, np.pi**2 / 2, np.inf, 0.0, np.nan]),
        ),
    )  # fmt: skip

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return float_dtype(*dtypes)


@explained
def polygamma(n: int, x: Operand) -> Node:
    """Return the derivative of order ``n`` of the digamma function at ``x``, element by element.

    Parameters
    ----------
    n : int
        At least 0; of order 0 this is the digamma function itself.
    x : node, number or array
        At the poles 0, -1, -2, ... the result is infinite for n > 0.

    Raises
    ------
    GraphTypeError
        If ``n`` is not a Python integer of at least 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.polygamma(1, sm.constant(1.0)).eval()  # π²/6
    np.float64(1.6449340668)
    """
    if not isinstance(n, int) or n < 0:
        raise GraphTypeError(
            f"the order of polygamma is {n!r}",
            remedy="It must be a Python integer of at least 0: sm.polygamma(1, x).",
        )
    return digamma(x) if n == 0 else apply(Polygamma(n), as_node(x))


erf: Unary = register(Erf())
erfc: Unary = register(Erfc())
erfinv: Unary = register(ErfInv())
gammaln: Unary = register(GammaLn(), numpy="special.gammaln")
digamma: Unary = register(Digamma())
register(polygamma)
