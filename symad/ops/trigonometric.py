"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from symad.graph.sample import Sample, reals
from symad.ops.base import Unary, register


class Sin(Unary):
    """Return the sine of ``x`` (radians), element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.sin(sm.constant(0.0)).eval()
    np.float64(0.0)
    """

    name = "sin"
    numpy = np.sin
    latex = r"\sin {0}"
    chain = (lambda v, y, x: v * cos(x),)
    samples = (Sample(lambda x: sin(x), [reals(3)]),)


class Cos(Unary):
    """Return the cosine of ``x`` (radians), element by element.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cos(sm.constant(0.0)).eval()
    np.float64(1.0)
    """

    name = "cos"
    numpy = np.cos
    latex = r"\cos {0}"
    chain = (lambda v, y, x: -(v * sin(x)),)
    samples = (Sample(lambda x: cos(x), [reals(3)]),)


sin = register(Sin())
cos = register(Cos())
