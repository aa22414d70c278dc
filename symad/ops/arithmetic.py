"""Arithmetic: the elementwise ops behind Python's operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Constant, Node
from symad.graph.sample import Sample, away_from_zero, reals
from symad.ops.base import Binary, Unary, register


class Add(Binary):
    """Add ``x`` and ``y`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0]) + 10).eval()
    array([11., 12.])
    """

    name = "add"
    numpy = np.add
    text = latex = "{0} + {1}"
    precedence = 1
    commutative = True
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: v)
    samples = (
        Sample(lambda a, b: a + b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a + b, [reals(3, 1), reals(2, 1, 4)], label="broadcast"),
        Sample(lambda a: a + 2, [reals()], label="scalar"),
    )


class Subtract(Binary):
    """Subtract ``y`` from ``x`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0]) - 10).eval()
    array([-9., -8.])
    """

    name = "subtract"
    numpy = np.subtract
    text = latex = "{0} - {1}"
    precedence = 1
    chain = (lambda v, y, a, b: v, lambda v, y, a, b: -v)
    samples = (
        Sample(lambda a, b: a - b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a - b, [reals(1, 4), reals()], label="broadcast"),
    )


class Multiply(Binary):
    """Multiply ``x`` and ``y`` element by element, with broadcasting.

    Examples
    --------
    >>> import symad as sm
    >>> (3 * sm.constant([1.0, 2.0])).eval()
    array([3., 6.])
    """

    name = "multiply"
    numpy = np.multiply
    text = "{0} * {1}"
    latex = r"{0} \cdot {1}"
    precedence = 2
    commutative = True
    chain = (lambda v, y, a, b: v * b, lambda v, y, a, b: v * a)
    samples = (
        Sample(lambda a, b: a * b, [reals(3, 2), reals(3, 2)]),
        Sample(lambda a, b: a * b, [reals(2, 1), reals(3)], label="broadcast"),
        Sample(lambda a: a * a, [reals(3)], label="same operand twice"),
    )


class Divide(Binary):
    """Divide ``x`` by ``y`` element by element, with broadcasting; integers give floats.

    Examples
    --------
    >>> import symad as sm
    >>> (1 / sm.constant([2.0, 0.5])).eval()
    array([0.5, 2. ])
    """

    name = "divide"
    numpy = np.divide
    text = "{0} / {1}"
    latex = r"\frac{{{0}}}{{{1}}}"
    precedence = 2
    chain = (lambda v, y, a, b: v / b, lambda v, y, a, b: -(v * y / b))
    samples = (
        Sample(lambda a, b: a / b, [reals(3, 2), away_from_zero(3, 2)]),
        Sample(lambda a, b: a / b, [reals(3), away_from_zero(2, 1)], label="broadcast"),
    )


class Negative(Unary):
    """Negate ``x`` element by element.

    Examples
    --------
    >>> import symad as sm
    >>> (-sm.constant([1.0, -2.0])).eval()
    array([-1.,  2.])
    """

    name = "negative"
    numpy = np.negative
    text = latex = "-{0}"
    precedence = 3
    chain = (lambda v, y, x: -v,)
    samples = (Sample(lambda x: -x, [reals(3)]),)


add = register(Add())
subtract = register(Subtract())
multiply = register(Multiply())
divide = register(Divide())
negative = register(Negative())
