"""Elementwise functions that few programs need."""

from __future__ import annotations

import math

from symad.graph.node import Node
from symad.ops.base import Operand, as_nodes, register
from symad.ops.exponential import logaddexp


@register
def logaddexp2(x: Operand, y: Operand) -> Node:
    """Return log₂(2ˣ + 2ʸ), element by element, without overflow.

    Parameters
    ----------
    x, y : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.logaddexp2(sm.constant(2000.0), 2000.0).eval()
    np.float64(2001.0)
    """
    first, second = as_nodes(x, y)
    return logaddexp(first * math.log(2), second * math.log(2)) / math.log(2)
