"""The event: one element that is not finite, and the values it was computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, Parameter
from symad.inspection.nan.search import float_arrays
from symad.ops.base import PerElement
from symad.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class Event:
    """One value that is not finite, and the values it was computed from.

    Attributes
    ----------
    node : Node
    where : {"forward", "backward", "feed", "parameter", "constant"}
        The part of the graph, or the kind of input.
    index : tuple of int or None
        The first such element; ``None`` for a scalar or a structure.
    value : NumPy scalar
        NaN, ∞ or −∞.
    count, size : int
        The number of elements that are not finite, and the number of all elements.
    inputs : tuple of (Node, value)
        The elements it was computed from, or whole arrays if all of them may matter.
    """

    node: Node
    where: str
    index: tuple[int, ...] | None
    value: Any
    count: int
    size: int
    inputs: tuple[tuple[Node, Any], ...] = ()


def event_of_leaf(node: Node, value: Any) -> Event:
    """Return the event in the value of an input or a constant."""
    kinds = ((Parameter, "parameter"), (Constant, "constant"))
    way_in = next((name for kind, name in kinds if isinstance(node, kind)), "feed")
    return _event(node, way_in, value, _not_finite(value))


def event_of_node(node: Node, value: Any, read: Sequence[tuple[Node, Any]], turned: bool) -> Event:
    """Return the event in the value of a computed node.

    Parameters
    ----------
    node : Node
    value
        The value of the node.
    read : sequence of (Node, value)
        The inputs it was computed from.
    turned : bool
        Whether to look for infinities that turn into NaN, instead of results of finite values.
    """
    where = "forward" if node.role is None else "backward"
    if isinstance(value, (dict, tuple, list)) or not isinstance(node.op, PerElement):
        return _event(node, where, value, _not_finite(value), read)
    known = [np.isfinite(argument) | (turned & np.isinf(argument)) for _, argument in read]
    bad = np.isnan(value) if turned else ~np.isfinite(value)
    fault = np.logical_and.reduce(np.broadcast_arrays(bad, *known))
    chosen = fault if np.any(fault) else bad
    event = _event(node, where, value, chosen, read)
    at = event.index or ()
    inputs = tuple((source, np.broadcast_to(a, chosen.shape)[at]) for source, a in read)
    return replace(event, inputs=inputs)


def _not_finite(value: Any) -> Any:
    """Return where an array is not finite; ``None`` for a structure or a sparse matrix."""
    is_array = not isinstance(value, (dict, tuple, list)) and not hasattr(value, "tocsr")
    return ~np.isfinite(value) if is_array else None


def _event(
    node: Node, where: str, value: Any, fault: Any, read: Sequence[tuple[Node, Any]] = ()
) -> Event:
    """Return an event at the first element that ``fault`` marks."""
    arrays = [np.asarray(array) for array in float_arrays(value)]
    bad = [array[~np.isfinite(array)] for array in arrays]
    count, size = sum(part.size for part in bad), sum(array.size for array in arrays)
    if fault is None:
        first = next(part[0] for part in bad if part.size)
        return Event(node, where, None, first, count, size, tuple(read))
    index = tuple(int(i) for i in np.argwhere(fault)[0])
    return Event(node, where, index or None, np.asarray(value)[index], count, size, tuple(read))
