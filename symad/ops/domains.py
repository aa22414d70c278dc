"""The domains of ops, and remedies outside them: sentences that several ops share.

:attr:`symad.graph.op.Op.domain` is a sentence, or a function of the result and of the operands, as
numbers, that returns one.  :func:`symad.find_nan` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Number = Any


def masked(condition: str, call: str) -> str:
    """Return how to mask a value whose derivative is infinite where a condition does not hold."""
    return (
        f"Mask it where it is computed: sm.where({condition}, {call}, 0) has the derivative 0 "
        "wherever the condition does not hold."
    )


def overflows(name: str, rate: float = 1.0) -> Callable[[Number, Number], str]:
    """Return the domain of a function that grows like exp(rate · x)."""

    def domain(y: Number, x: Number) -> str:
        limit = np.log(float(np.finfo(y.dtype).max)) / rate
        return (
            f"{name} overflows above {limit:.2f} in {y.dtype}. Subtract the maximum first, as "
            "sm.softmax and sm.logsumexp do; log(1 + exp(x)) is sm.softplus(x), and "
            "1 / (1 + exp(-x)) is sm.sigmoid(x)."
        )

    return domain


def logarithm(y: Number, x: Number) -> str:
    """Return the remedy for the logarithm of a number that is not positive."""
    if x < 0:
        return "The logarithm of a negative number is NaN: check the argument."
    return (
        "The logarithm of 0 is −∞. For probabilities, take sm.log_softmax or sm.logsumexp of the "
        "logits; to skip zeros, write sm.where(x > 0, sm.log(x), 0)."
    )


def quotient(y: Number, *operands: Number) -> str:
    """Return the remedy for a division by 0, or of two infinities."""
    if operands[-1] != 0:
        return "∞/∞ is NaN: find where the infinities first appear." if np.isnan(y) else ""
    what = "0/0 is NaN" if np.isnan(y) else "Division by 0"
    return f"{what}. Where the divisor may be 0, write sm.where(sm.not_equal(y, 0), x / y, 0)."


def product(y: Number, *factors: Number) -> str:
    """Return the remedy for 0 · ∞."""
    return "0 · ∞ is NaN: find where the infinity first appears." if np.isnan(y) else ""


def difference(y: Number, *terms: Number) -> str:
    """Return the remedy for ∞ − ∞."""
    return "∞ − ∞ is NaN: find where the infinities first appear." if np.isnan(y) else ""


def power_of(y: Number, base: Number, exponent: Number) -> str:
    """Return the remedy for a root of a negative number, or a negative power of 0."""
    if base < 0 and np.isnan(y):
        return "A negative number to a non-integer power is NaN: use sm.abs(x) ** p."
    if base == 0 and exponent < 0:
        return "0 to a negative power is ∞: sm.where(sm.not_equal(x, 0), x ** p, 0)."
    return ""
