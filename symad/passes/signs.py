"""Inference of the sign of a value from the ops that computed it."""

from __future__ import annotations

import numpy as np

from symad.graph.node import Node
from symad.ops.arithmetic import Multiply, Subtract
from symad.ops.base import Linear
from symad.ops.exponential import Sigmoid
from symad.passes.rule import number_of

_LOOKED_AT = 16
"""The most nodes that are examined for the sign of one, which bounds its cost."""


def is_nonnegative(x: Node) -> bool:
    """Return whether ``x`` is known to be neither negative nor -0.0; it may be NaN.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> is_nonnegative(sm.sum(x * y)), is_nonnegative(sm.sum(x * x) + sm.exp(y) / 2)
    (False, True)
    """
    pending, looked_at = [x], 0
    while pending:
        node = pending.pop()
        looked_at += 1
        if _is_never_negative(node):
            continue
        if looked_at > _LOOKED_AT or node.op is None:
            return False
        if isinstance(node.op, Linear) and node.op.elements == "moved":
            pending.append(node.inputs[0])
            continue
        if node.op.sign != "as inputs":
            return False
        pending += [source for slot, source in enumerate(node.inputs) if node.op.reads(slot)]
    return True


def _is_never_negative(x: Node) -> bool:
    number = number_of(x)
    if number is not None:
        return not np.signbit(number)
    if isinstance(x.op, Multiply) and x.inputs[0] is x.inputs[1]:
        return True
    if isinstance(x.op, Subtract) and number_of(x.inputs[0]) == 1:
        return isinstance(x.inputs[1].op, Sigmoid)  # which is rounded to 1 at most
    return x.op is not None and x.op.sign == "nonnegative"
