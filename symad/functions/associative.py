"""Partial results of an associative function, level by level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.functions.loops import length_of, like_carry, require_same, scan
from symad.graph.node import Node
from symad.graph.op import call
from symad.ops.base import as_node, register
from symad.ops.body import called
from symad.ops.control import map_over
from symad.ops.structure import flat_nodes, nest


@register
def associative_scan(
    function: Callable[[Any, Any], Any], values: Any, reverse: bool = False
) -> Any:
    """Return all partial results of an associative function, in about 2 log₂ n vectorised steps.

    Element k of the result is ``function(function(v0, v1), ..., vk)``.

    Parameters
    ----------
    function : callable
        Takes two elements, without the axis, and returns one of the same form.  It must be
        associative: f(f(a, b), c) = f(a, f(b, c)).
    values : Node or nested structure of nodes and arrays
        The elements along the first axes.
    reverse : bool
        Whether to start with the last element.

    Returns
    -------
    Node or nested structure like ``values``

    Raises
    ------
    GraphTypeError, ShapeError
        If the function returns another structure or type, or the numbers of elements differ.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(4,))
    >>> y = sm.associative_scan(lambda a, b: a * b, x)
    >>> y.eval({x: [1.0, 2.0, 3.0, 4.0]})
    array([ 1.,  2.,  6., 24.])
    """
    rows = flat_nodes(values)
    steps, length = length_of(rows, None)
    if reverse:
        rows = [call("flip", row, axis=0) for row in rows]

    def joined(first: Sequence[Node], second: Sequence[Node]) -> list[Node]:
        def pair(*elements: Node) -> list[Node]:
            a = nest(values, iter(elements[: len(rows)]))
            b = nest(values, iter(elements[len(rows) :]))
            joint = called("the function of associative_scan", function, a, b)
            result: list[Node] = like_carry(values, joint, "associative_scan")
            require_same(values, elements[: len(rows)], result, "associative_scan")
            return result

        mapped: list[Node] = map_over(pair, [*first, *second])
        return mapped

    if isinstance(length, int):
        found = _by_halves(joined, rows, length)
    else:
        found = _one_by_one(joined, rows, steps)
    if reverse:
        found = [call("flip", row, axis=0) for row in found]
    return nest(values, iter(found))


_Joined = Callable[[Sequence[Node], Sequence[Node]], list[Node]]


def _by_halves(joined: _Joined, rows: list[Node], length: int) -> list[Node]:
    """Return the partial results of ``length`` elements.

    Neighbours are joined, and the partial results of the pairs are those at odd places; each of the
    others is one of these joined with the element after it.
    """
    levels: list[tuple[list[Node], int]] = []
    while length > 1:
        levels.append((rows, length))
        paired = length - length % 2
        rows = joined([row[0:paired:2] for row in rows], [row[1:paired:2] for row in rows])
        length //= 2
    for elements, count in reversed(levels):
        rest = (count - 1) // 2
        even = [row[2::2] for row in elements]
        if rest:
            even = joined([row[:rest] for row in rows], even)
        place = np.arange(count)
        order = np.where(place % 2, 1 + rest + place // 2, place // 2)
        parts = zip([row[:1] for row in elements], even, rows, strict=True)
        rows = [call("take", call("concat", list(part)), order, axis=0) for part in parts]
    return rows


def _one_by_one(joined: _Joined, rows: list[Node], steps: Node) -> list[Node]:
    """Return the partial results of elements whose number is not known while the graph is built."""

    def step(state: Any, elements: list[Node]) -> Any:
        k, last = state
        both = joined([row[None] for row in last], [row[None] for row in elements])
        new = [call("where", k > 0, row[0], x) for row, x in zip(both, elements, strict=True)]
        return (k + 1, new), new

    first = [call("zeros_like", row[0]) for row in rows]
    _, stacks = scan(step, (as_node(np.int64(0)), first), rows, length=steps)
    found: list[Node] = stacks
    return found
