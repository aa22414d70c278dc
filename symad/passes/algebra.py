"""Rules that make a formula cheaper: powers, factors, transposes, sums of products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.ops.arithmetic import Multiply, abs, power, sqrt, square
from symad.ops.exponential import Exp, Sigmoid, Softplus, exp, expm1, log, log1p
from symad.ops.permute import PermuteDims, permute_dims
from symad.ops.product import Matmul, matmul
from symad.ops.reduce import Mean, Sum
from symad.ops.reduce import sum as sum_of
from symad.passes.contract import CONTRACT
from symad.passes.rule import (
    FLOATS,
    NUMBERS,
    AnyRule,
    Grade,
    Procedure,
    Rule,
    is_scalar,
    number_of,
)
from symad.passes.views import static_shape

_AXES = ("axis", "keepdims")
_LAST: dict[str, Any] = {"axis": -1, "keepdims": False}


# Powers

_NEVER_NEGATIVE = ("abs", "square", "exp", "sigmoid", "softplus")


def is_nonnegative(x: Node) -> bool:
    """Return whether ``x`` is known to be neither negative nor -0.0, by the op that made it."""
    if x.op is None:
        number = number_of(x)
        return number is not None and not np.signbit(number)
    return x.op.name in _NEVER_NEGATIVE


POWERS: tuple[AnyRule, ...] = (
    Rule("power 0", lambda x: x**0, lambda x: Constant(1, x.dtype), Grade.EXACT),
    Rule("power 1", lambda x: x**1, lambda x: x, Grade.EXACT, kinds=NUMBERS),
    Rule("power 2", lambda x: x**2, lambda x: square(x), kinds=NUMBERS),
    Rule("power 3", lambda x: x**3, lambda x: square(x) * x, kinds=NUMBERS),
    Rule("power 4", lambda x: x**4, lambda x: square(square(x)), kinds=NUMBERS),
    Rule("power -1", lambda x: x**-1, lambda x: 1 / x),
    Rule("power -2", lambda x: x**-2, lambda x: square(1 / x)),
    # (-inf) ** 0.5 is inf, sqrt(-inf) is NaN: only where x is known not to be negative
    Rule("power 1/2", lambda x: abs(x) ** 0.5, lambda x: sqrt(abs(x))),
    Rule("power 1/2 of a square", lambda x: square(x) ** 0.5, lambda x: abs(x)),
)  # fmt: skip


def _root(node: Node) -> Node | None:
    """x ** (k/2) with sqrt(x), for x that is never negative."""
    x, exponent = node.inputs
    number = number_of(exponent)
    if number is None or node.dtype != x.dtype or x.dtype.kind != "f" or not is_nonnegative(x):
        return None
    if number == 0.5:
        return sqrt(x)
    if number == 1.5:
        return x * sqrt(x)
    return 1 / sqrt(x) if number == -0.5 else None
