"""Binary search in sorted arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, fixed, integers, reals
from symad.ops.base import Operand, as_node, as_nodes, register, tensor_types
from symad.ops.gather import take
from symad.types import TensorType, Type

_SORTED = fixed([-np.inf, -1.0, 0.5, 0.5, 2.0, np.nan])


@register
def searchsorted(
    x: Operand, values: Operand, side: str = "left", sorter: Operand | None = None
) -> Node:
    """Return the positions at which ``values`` would be inserted to keep ``x`` sorted.

    Parameters
    ----------
    x : (n,) node or array
        Ascending, with NaN last; if it is not sorted, the result is arbitrary.
    values : node, number or array
    side : {"left", "right"}
        Whether to insert before or after elements that are equal.
    sorter : (n,) node or array of integers, optional
        Positions that sort ``x``, from :func:`symad.argsort`.

    Returns
    -------
    Node
        The positions as int64, from 0 to n, in the shape of ``values``, without a derivative.

    Raises
    ------
    GraphTypeError
        If there is no such side.
    ShapeError
        If ``x`` does not have just one axis.

    Examples
    --------
    >>> import symad as sm
    >>> sm.searchsorted(sm.constant([1.0, 2.0, 2.0, 5.0]), [2.0, 4.0]).eval()
    array([1, 3])
    >>> sm.searchsorted(sm.constant([1.0, 2.0, 2.0, 5.0]), 2.0, side="right").eval()
    np.int64(3)
    """
    if side not in ("left", "right"):
        raise GraphTypeError(f"{side!r} is not a side", remedy='Write side="left" or "right".')
    array, wanted = as_nodes(x, values)
    if sorter is not None:
        array = take(array, as_node(sorter), axis=0)
    return apply(SearchSorted(side), array, wanted)


class SearchSorted(Op):
    """See :func:`searchsorted`."""

    side: str

    name = "searchsorted"
    numpy = np.searchsorted
    samples = (
        Sample(lambda a, v: searchsorted(a, v), [fixed([-1.0, 0.0, 0.5]), reals(2, 3)],
               lambda a, v: (a[:, None, None] < v).sum(0)),
        Sample(lambda a, v: searchsorted(a, v, side="right"), [fixed([1, 3, 3]), integers(3)],
               lambda a, v: (a[:, None] <= v).sum(0), label="integers"),
        Sample(lambda a: searchsorted(a, 0.5), [_SORTED], lambda a: 2, label="special: a number"),
        Sample(lambda a, v: searchsorted(a, v, side="right"), [_SORTED, _SORTED],
               lambda a, v: np.array([1, 2, 4, 4, 5, 6]), label="special: ties and NaN"),
        Sample(lambda a, v: searchsorted(a, v), [reals(0), reals(2)], label="empty"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        x, values = tensor_types(*types)
        if x.ndim not in (1, None):
            raise ShapeError(
                f"a sorted array has one axis; this has {x.ndim}",
                remedy="Search row by row: sm.map_over(lambda row: sm.searchsorted(row, v), [x]).",
            )
        return TensorType(np.dtype("int64"), values.shape)

    def flops(self, result: Any, *types: Any) -> int:
        return int(result.size) * int(types[0].size).bit_length()

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return None if batched[0] else apply(self, *inputs)

    def differentiable(self, slot: int) -> bool:
        return False
