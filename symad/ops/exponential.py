"""Exponentials and logarithms."""

from __future__ import annotations

import numpy as np

from symad.graph.sample import Sample, reals
from symad.ops.base import Unary, register


class Exp(Unary):
    """Return e to the power ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.exp(sm.constant(0.0)).eval()
    np.float64(1.0)
    """

    name = "exp"
    numpy = np.exp
    latex = r"e^{{{0}}}"
    chain = (lambda v, y, x: v * y,)
    samples = (Sample(lambda x: exp(x), [reals(3)]),)


class Log(Unary):
    """Return the natural logarithm of ``x``, element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.log(sm.constant(1.0)).eval()
    np.float64(0.0)
    """

    name = "log"
    numpy = np.log
    latex = r"\ln {0}"
    chain = (lambda v, y, x: v / x,)
    samples = (Sample(lambda x: log(x), [reals(3, low=0.2, high=3.0)]),)


exp = register(Exp())
log = register(Log())
