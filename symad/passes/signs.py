"""What is known of the sign of a value from the ops that made it."""

from __future__ import annotations

import numpy as np

from symad.graph.node import Node
from symad.passes.rule import number_of

_NEVER_NEGATIVE = {"abs", "square", "exp", "sigmoid", "softplus", "softmax"}

_HANDS_ON = {
    "add", "multiply", "divide", "sqrt", "sum", "mean", "prod", "max", "min", "maximum", "minimum",
    "broadcast_to", "reshape", "expand_dims", "squeeze", "permute_dims",
}  # fmt: skip
"""Ops whose result is not negative if no operand is."""

_DEEPEST = 4


def is_nonnegative(x: Node) -> bool:
    """Return whether ``x`` is known to be neither negative nor -0.0; it may be NaN.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> is_nonnegative(sm.sum(x * x)), is_nonnegative(sm.sum(sm.square(x)) + 1)
    (False, True)
    """
    level = [x]
    for _ in range(_DEEPEST):
        unknown = [node for node in level if not _is_never_negative(node)]
        if any(node.op is None or node.op.name not in _HANDS_ON for node in unknown):
            return False
        level = [source for node in unknown for source in node.inputs]
    return not level


def _is_never_negative(x: Node) -> bool:
    number = number_of(x)
    if number is not None:
        return not np.signbit(number)
    return x.op is not None and x.op.name in _NEVER_NEGATIVE
