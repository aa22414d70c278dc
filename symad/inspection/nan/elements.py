"""One value that is not finite: which element, and what it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, Parameter
from symad.inspection.nan.search import float_arrays
from symad.ops.base import PerElement


@dataclass(frozen=True, slots=True)
class Event:
    """One value that is not finite, and what it was made of.

    Attributes
    ----------
    node : Node
    where : {"forward", "backward", "feed", "parameter", "constant"}
        In which part of the graph, or how it came in.
    index : tuple of int or None
        Which element, the first of several; ``None`` where there is one number, or a structure.
    value : NumPy scalar
        NaN, ∞ or −∞.
    count, size : int
        How many elements of the node are not finite, of how many.
    inputs : tuple of (Node, value)
        What was read: the elements that made this one, or whole arrays where all may have.
    """

    node: Node
    where: str
    index: tuple[int, ...] | None
    value: Any
    count: int
    size: int
    inputs: tuple[tuple[Node, Any], ...] = ()


def event_of_leaf(node: Node, value: Any) -> Event:
    """Return what came in with the value of an input or a constant."""
    kinds = ((Parameter, "parameter"), (Constant, "constant"))
    way_in = next((name for kind, name in kinds if isinstance(node, kind)), "feed")
    return _event(node, way_in, value, _not_finite(value))


def event_of_node(node: Node, value: Any, read: Sequence[tuple[Node, Any]], turned: bool) -> Event:
    """Return what happened where a node was computed.

    Parameters
    ----------
    node : Node
    value
        What it is.
    read : sequence of (Node, value)
        What it was made of.
    turned : bool
        Whether to show where infinities turn into NaN, rather than what is made of finite values.
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
    """Return where an array is not finite; nothing for a structure."""
    return None if isinstance(value, (dict, tuple, list)) else ~np.isfinite(value)


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
