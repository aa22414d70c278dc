"""Student's t distribution: the integral of its density, and the inverse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.cost import SPECIAL
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, fixed, reals, special_points
from symad.ops.base import Elementwise, Operand, register
from symad.ops.exponential import exp, log, log1p
from symad.ops.special_gamma import poch
from symad.ops.special_series import reals_of, refused, scipy_dtype


def student_log_density(z: Node, df: Node) -> Node:
    """Return the logarithm of the density of Student's t distribution at ``z``."""
    height: Node = log(poch(0.5 * df, 0.5)) - 0.5 * log(math.pi * df)
    return height - 0.5 * (df + 1) * log1p(z * (z / df))


class StudentCumulative(Elementwise):
    """Return the probability that Student's t with ``df`` degrees of freedom is at most ``t``.

    The derivative is the density.  A derivative with respect to ``df`` is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.stdtr(1, sm.constant([0.0, 1.0])).eval()
    array([0.5 , 0.75])
    """

    name = "stdtr"
    sign = "nonnegative"
    operations = 4 * SPECIAL
    numpy = "scipy.special.stdtr"
    chain = (refused("stdtr", "df"), lambda v, y, df, t: v * exp(student_log_density(t, df)))
    samples = (
        Sample(lambda t: stdtr(1.0, t), [reals(3, 2)], lambda t: 0.5 + np.arctan(t) / np.pi),
        Sample(lambda t: stdtr([[2.5], [9.0]], t), [reals(3)], label="broadcast"),
        special_points(
            lambda t: stdtr(2.0, t), [fixed([0.0, np.inf, -np.inf, np.nan])],
            lambda t: np.array([0.5, 1.0, 0.0, np.nan], t.dtype),
        ),
    )  # fmt: skip

    def __call__(self, df: Operand, t: Operand) -> Node:
        return apply(self, *reals_of(df, t))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


class StudentQuantile(Elementwise):
    """Return the quantile of ``p`` of Student's t with ``df`` degrees of freedom.

    This is the inverse of :func:`stdtr`, except at 0, where SciPy gives +inf.  A derivative with
    respect to ``df`` is refused.

    Examples
    --------
    >>> import symad as sm
    >>> sm.special.stdtrit(1, sm.constant([0.5, 0.75])).eval().round(9) + 0.0
    array([0., 1.])
    """

    name = "stdtrit"
    has_poles = True
    domain = "A quantile is infinite at 0 and 1."
    operations = 8 * SPECIAL
    numpy = "scipy.special.stdtrit"
    chain = (refused("stdtrit", "df"), lambda v, t, df, p: v * exp(-student_log_density(t, df)))
    samples = (
        Sample(lambda p: stdtrit(1.0, p), [reals(3, 2, low=0.1, high=0.9)],
               lambda p: np.tan(np.pi * (p - 0.5))),
        Sample(lambda p: stdtrit([[2.5], [9.0]], p), [reals(3, low=0.1, high=0.9)],
               label="broadcast"),
        special_points(
            lambda p: stdtrit(2.0, p), [fixed([1.0, np.nan])],
            lambda p: np.array([np.inf, np.nan], p.dtype),
        ),
    )  # fmt: skip

    def __call__(self, df: Operand, p: Operand) -> Node:
        return apply(self, *reals_of(df, p))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return scipy_dtype(*dtypes)


stdtr: StudentCumulative = register(StudentCumulative())
stdtrit: StudentQuantile = register(StudentQuantile())
