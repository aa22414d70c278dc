"""The network simplex: whole numbers that lie above each other by given distances, and close.

Minimises Σ w (x_v - x_u) over all edges (u, v), such that x_v - x_u ≥ d for each: the dual of a
flow of least cost.  A basis is a spanning tree of edges that are as short as they may be (Gansner,
Koutsofios, North and Vo 1993).  All numbers are whole, so the result is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

Edge = tuple[int, int]
_CANDIDATES = 6  # of these, the edge of the tree that gains most is let go


def shortest(size: int, edges: Mapping[Edge, tuple[int, int]]) -> list[int]:
    """Return numbers for ``size`` nodes, the least 0, at which the sum of lengths is least.

    Parameters
    ----------
    size : int
    edges : dict from (int, int) to (int, int)
        For each edge, from a node to one that is to be greater, the least length that it may have
        and its weight, at least 0.

    Returns
    -------
    list of int
        Of several solutions the one whose sum is least.

    Raises
    ------
    ValueError
        If the edges lead in a circle.

    Examples
    --------
    >>> shortest(4, {(0, 1): (1, 1), (1, 2): (1, 1), (3, 2): (1, 1)})
    [0, 1, 2, 1]
    """
    return _Tree(size, edges).solve()


class _Tree:
    """A spanning tree, with a root below all nodes from which an edge of length 0 leads to each.

    Attributes
    ----------
    parent : list of int
        Of each node.
    above : list of bool
        Whether each node is the greater end of the edge to its parent.
    pull : list of int
        By how much the sum grows when all nodes below one, and that itself, grow by 1.
    """

    def __init__(self, size: int, edges: Mapping[Edge, tuple[int, int]]) -> None:
        self.root = size
        self.out: list[list[tuple[int, int]]] = [[] for _ in range(size + 1)]
        self.into: list[list[tuple[int, int]]] = [[] for _ in range(size + 1)]
        self.pull = [1] * size + [-size]  # the root draws all, with a weight that decides last
        scale = size + 1
        self.out[size] = [(node, 0) for node in range(size)]
        for node in range(size):
            self.into[node].append((size, 0))
        for (low, high), (length, weight) in edges.items():
            self.out[low].append((high, length))
            self.into[high].append((low, length))
            self.pull[high] += scale * weight
            self.pull[low] -= scale * weight
        self.parent = [size] * size + [-1]
        self.above = [True] * (size + 1)
        self.children: list[dict[int, None]] = [{} for _ in range(size + 1)]
        self.x = [0] * (size + 1)
        self._grow()

    def _grow(self) -> None:
        """Begin with the longest path to each node from the root."""
        missing = [len(edges) for edges in self.into]
        order = [self.root]
        for node in order:  # grows as it goes
            for other, length in self.out[node]:
                if self.x[node] + length > self.x[other]:
                    self.x[other] = self.x[node] + length
                    self.parent[other] = node
                missing[other] -= 1
                if not missing[other]:
                    order.append(other)
        if len(order) <= self.root:
            raise ValueError("the edges lead in a circle")
        for node in reversed(order[1:]):
            self.pull[self.parent[node]] += self.pull[node]
            self.children[self.parent[node]][node] = None
        for node in reversed(order[1:]):
            if self.pull[node] < 0 and not self.children[node]:
                self._pivot(node)

    def solve(self) -> list[int]:
        place = still = 0
        while True:
            node, place = self._leaving(place, first=still > self.root)
            if node < 0:
                least = min(self.x[:-1], default=0)
                return [x - least for x in self.x[:-1]]
            still = 0 if self._pivot(node) else still + 1

    def _leaving(self, start: int, first: bool) -> tuple[int, int]:
        """Return the node whose edge to its parent is let go, or -1; and where to look next.

        After many steps that moved nothing it is the ``first`` of all, so that there is an end
        (Bland 1977).
        """
        best, gain, candidates = -1, 0, 0
        pull, above = self.pull, self.above
        begin = 0 if first else start
        for node in chain(range(begin, self.root), range(begin)):
            found = -pull[node] if above[node] else pull[node]
            if found > 0:
                candidates += 1
                if found > gain:
                    best, gain = node, found
                if first or candidates == _CANDIDATES:
                    return best, node + 1
        return best, start

    def _pivot(self, node: int) -> int:
        """Move all below a node until another edge holds them, and return how far."""
        up = self.above[node]
        moved = self._below(node)
        inside = set(moved)
        x = self.x
        found: tuple[int, int, int] | None = None
        for near in moved:
            for other, length in (self.out if up else self.into)[near]:
                if other not in inside:
                    slack = abs(x[other] - x[near]) - length
                    if found is None or (slack, near, other) < found:
                        found = slack, near, other
        assert found is not None  # or the sum would have no least value
        slack, near, far = found
        step = slack if up else -slack
        for other in moved:
            x[other] += step
        self._hang(node, near, far, up)
        return slack

    def _below(self, node: int) -> list[int]:
        found = [node]
        for other in found:  # grows as it goes
            found.extend(self.children[other])
        return found

    def _hang(self, node: int, near: int, far: int, up: bool) -> None:
        """Hang what is below ``node`` onto ``far``, by ``near``."""
        total = self.pull[node]
        self._add(self.parent[node], -total)
        above, before, other, gone = not up, far, near, 0
        while True:
            parent, pull, was_above = self.parent[other], self.pull[other], self.above[other]
            del self.children[parent][other]
            self.parent[other], self.above[other] = before, above
            self.children[before][other] = None
            self.pull[other] = total - gone
            if other == node:
                break
            above, before, other, gone = not was_above, other, parent, pull
        self._add(far, total)

    def _add(self, node: int, pull: int) -> None:
        while node >= 0:
            self.pull[node] += pull
            node = self.parent[node]
