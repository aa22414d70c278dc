"""Arrays taken apart."""

from __future__ import annotations

from symad.functions.along import at, known_size
from symad.graph.node import Node
from symad.ops.base import Operand, as_node, register
from symad.ops.shape import one_axis


@register
def unstack(x: Operand, axis: int = 0) -> tuple[Node, ...]:
    """Return the arrays that are stacked along an axis of ``x``.

    Parameters
    ----------
    x : node or array
        The size of the axis must be known.
    axis : int

    Returns
    -------
    tuple of Node

    Raises
    ------
    ShapeError
        If the axis does not exist, or its size is not known.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.unstack(sm.Variable("points", shape=("batch", 2)), axis=-1)
    >>> x.type
    f64[batch]
    """
    node, along = as_node(x), one_axis(axis)
    return tuple(at(node, along, k) for k in range(known_size("unstack", node, along)))
