"""Arrays taken apart."""

from __future__ import annotations

from symad.errors import ShapeError
from symad.graph.node import Node, reporting
from symad.ops.base import Operand, as_node, register
from symad.ops.index import index_array
from symad.ops.shape import one_axis
from symad.ops.size import axis_size
from symad.ops.subscript import along_axis


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
    with reporting("unstack", node):
        count = axis_size(node, along)
        if not isinstance(count, int):
            raise ShapeError(
                f"the size of axis {along} is not known, so neither is the number of arrays",
                remedy="Declare it in the shape of the variable, or use sm.map_over.",
            )
    return tuple(index_array(node, along_axis(along, k)) for k in range(count))
