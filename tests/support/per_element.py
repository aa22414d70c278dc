"""Ops that work element by element, for tests of backends that generate code."""

from __future__ import annotations

from symad.ops.base import Binary, PerElement

NUMPY_ONLY = frozenset(
    "bessel_i beta betainc betaincinv betaln binom boxcox boxcox1p erfcinv erfcx erfinv exp1 expi "
    "expn exprel gamma gammainc gammaincc gammaincinv gammasgn hyp1f1 hyp2f1 inv_boxcox iv ive jv "
    "kl_div kv log_ndtr log_ratio ndtri poch polygamma polygamma_step rel_entr rgamma "
    "scaled_bessel_i scaled_erfc sinc spence stdtr stdtrit yv zeta".split()
)
"""The ops that have no code for one element: only NumPy's kernels compute them."""


def arity(op: PerElement) -> int:
    """Return how many operands an op is tested with."""
    several = {"add_n": 3, "hypot_slope": 3, "power_log": 3, "threefry": 4, "where": 3}
    return several.get(op.name, 2 if isinstance(op, Binary) else 1)
