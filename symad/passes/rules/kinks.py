"""Squares of lengths, which are smooth where the lengths have kinks: for derivatives only.

The second derivative of ‖x‖ at 0 is NaN, but that of ‖x‖² is 2: the square is differentiated as a
sum of squares.  Its value is computed as it is written, since a sum of squares may overflow.
"""

from __future__ import annotations

from typing import Any

from symad.graph.node import Node, apply
from symad.ops.arithmetic import abs, square
from symad.ops.linalg import EuclideanNorm
from symad.ops.moments import Std, Var
from symad.ops.reduce import Sum
from symad.ops.trigonometric import hypot
from symad.passes.rule import Rule, mending

_AXES = ("axis", "keepdims")
_LAST: dict[str, Any] = {"axis": -1, "keepdims": False}


def _sum_of_squares(x: Node, axis: Any, keepdims: Any) -> Node:
    return apply(Sum(axis, keepdims), square(x))


KINKS: tuple[Rule, ...] = mending(
    Rule("magnitude squared", lambda x: square(abs(x)), lambda x: square(x)),
    Rule("hypot squared", lambda x, y: square(hypot(x, y)), lambda x, y: square(x) + square(y)),
    Rule("norm squared",
         lambda x, axis, keepdims: square(apply(EuclideanNorm(axis, keepdims), x)),
         _sum_of_squares, attributes=_AXES, example=_LAST),
    Rule("std squared", lambda x, axis, keepdims, correction:
         square(apply(Std(axis, keepdims, correction), x)),
         lambda x, axis, keepdims, correction: apply(Var(axis, keepdims, correction), x),
         attributes=(*_AXES, "correction"), example=_LAST | {"correction": 0.0}),
)  # fmt: skip
