"""Subscripts of many elements at once: reading and writing at a key in stacked arrays."""

from __future__ import annotations

from collections.abc import Sequence
from operator import and_
from typing import Any, NamedTuple

import numpy as np

from symad.graph.node import Constant, Node
from symad.graph.op import call
from symad.ops.batching import aligned, repeated, shape_of
from symad.ops.subscript import FULL, HOLE, Key, are_bounds, full_key, joined_place


class RowSubscript(NamedTuple):
    """The subscript of stacked arrays that has the effect of one on each element.

    Attributes
    ----------
    key : Key
    indices : list of Node
        The inputs of the key.
    order : tuple of int
        The axes of the selection in the order: the elements, then the axes of what is selected of
        one of them.
    """

    key: Key
    indices: list[Node]
    order: tuple[int, ...]

    def selected(self, selection: Node) -> Node:
        """Return a selection with the axis of the elements first."""
        return _permuted(selection, self.order)

    def to_write(self, value: Node, is_batched: bool) -> Node:
        """Return a value to be written, with its axes as those of the selection."""
        ndim = len(self.order) - 1
        if not is_batched and self.order == tuple(range(ndim + 1)):
            return value
        rows = value if is_batched else repeated(value, 1)
        inverse = sorted(range(ndim + 1), key=self.order.__getitem__)
        return _permuted(aligned(rows, ndim), tuple(inverse))


def _permuted(x: Node, order: tuple[int, ...]) -> Node:
    return x if order == tuple(range(len(order))) else call("permute_dims", x, order)


def subscript_of_rows(
    key: Key, whole: Node, stacks: bool, indices: Sequence[Node], batched: Sequence[bool], rows: int
) -> RowSubscript | None:
    """Return the subscript of an array that has the effect of ``key`` on each element.

    Parameters
    ----------
    key : Key
    whole : Node
        The array for one element.
    stacks : bool
        Whether the array has an axis of elements; else it is the same for all, and is read.
    indices : sequence of Node
        The inputs of the key; those that are ``batched`` are stacked.
    batched : sequence of bool
    rows : int
        The number of elements.

    Returns
    -------
    RowSubscript or None
        ``None`` if the length of a slice may differ between elements, or there is a mask.
    """
    full = full_key(key, shape_of(whole))
    bounds = are_bounds(key)
    ndims = [len(shape_of(x)) - stacked for x, stacked in zip(indices, batched, strict=True)]
    if any(x.dtype == bool for x in indices) or any(map(and_, bounds, batched)):
        return None
    joined = max([ndim for ndim, bound in zip(ndims, bounds, strict=True) if not bound], default=0)
    axes = [f"joined {k}" for k in range(joined)]
    rest = [f"kept {k}" for k in range(sum(_keeps_axis(entry) for entry in full))]
    wanted = ["rows", *_placed(full, axes, rest)]
    nodes = [aligned(x, joined) if k else x for x, k in zip(indices, batched, strict=True)]
    if any(batched):
        if stacks:
            places = np.arange(rows).reshape(rows, *[1] * joined)
            full, nodes = (HOLE, *full), [Constant(places), *nodes]
        found = _placed(full, ["rows", *axes], rest)
    else:
        full = (FULL, *full)
        found = _placed(full, axes, ["rows", *rest])
    return RowSubscript(full, nodes, tuple(map(found.index, wanted)))


def _keeps_axis(entry: Any) -> bool:
    return entry is None or isinstance(entry, tuple)


def _placed(full: Key, joined: list[str], kept: list[str]) -> list[str]:
    """Return the names of the axes of a selection, with the joined ones where NumPy puts them."""
    start = joined_place(full)
    return [*kept[:start], *joined, *kept[start:]]
