"""The network simplex: integers with given least distances and a minimal weighted sum of lengths.

Minimises Σ w (x_v - x_u) over all edges (u, v), such that x_v - x_u ≥ d for each: the dual of a
minimum-cost flow.  A basis is a spanning tree of edges of least length (Gansner, Koutsofios, North
and Vo 1993).  All numbers are integers, so the result is exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

Edge = tuple[int, int]

_CANDIDATES = 24  # edges of which the best is removed: with more there are fewer steps


def shortest(size: int, edges: Mapping[Edge, tuple[int, int]]) -> list[int]:
    """Return numbers for ``size`` nodes, the least 0, with a minimal sum of lengths.

    Parameters
    ----------
    size : int
    edges : dict from (int, int) to (int, int)
        For each edge, from a node to a greater one, its least length and its weight, at least 0.

    Returns
    -------
    list of int
        Of several solutions, the one with the least sum of numbers.

    Raises
    ------
    ValueError
        If the edges form a cycle.

    Examples
    --------
    >>> shortest(4, {(0, 1): (1, 1), (1, 2): (1, 1), (3, 2): (1, 1)})
    [0, 1, 2, 1]
    """
    return _Tree(size, edges).solve()


class _Tree:
    """A spanning tree, with an extra root that has an edge of length 0 to each node.

    Attributes
    ----------
    x : list of int
        The numbers, with that of the root last.
    out, into : list of list of (int, int, int)
        The edges at each node: its other end, its length, and its own number.
    parent, edge : list of int
        The parent of each node, and the number of the edge to it.
    above : list of bool
        Whether a node is the greater end of that edge.
    children : list of dict
        The children of each node; the dicts are ordered sets.
    pull : list of int
        The change of the sum when a node and its subtree grow by 1.
    """

    def __init__(self, size: int, edges: Mapping[Edge, tuple[int, int]]) -> None:
        self.root = size
        self.x = [0] * (size + 1)
        self.out: list[list[tuple[int, int, int]]] = [[] for _ in range(size + 1)]
        self.into: list[list[tuple[int, int, int]]] = [[] for _ in range(size + 1)]
        self.pull = [1] * size + [-size]  # the weight of the root only breaks ties
        self.parent = [size] * size + [-1]
        self.edge = [*range(size), -1]
        self.above = [True] * (size + 1)
        self.children: list[dict[int, None]] = [{} for _ in range(size + 1)]
        for node in range(size):
            self._connect(size, node, 0, node)
        for number, ((low, high), (length, weight)) in enumerate(edges.items(), size):
            self._connect(low, high, length, number)
            self.pull[high] += weight * (size + 1)
            self.pull[low] -= weight * (size + 1)
        self._grow()

    def _connect(self, low: int, high: int, length: int, number: int) -> None:
        self.out[low].append((high, length, number))
        self.into[high].append((low, length, number))

    def _grow(self) -> None:
        """Start with the longest path from the root to each node; then move loose ends closer."""
        missing = [len(edges) for edges in self.into]
        order = [self.root]
        for node in order:  # grows as it goes
            for other, length, number in self.out[node]:
                if self.x[node] + length > self.x[other]:
                    self.x[other] = self.x[node] + length
                    self.parent[other], self.edge[other] = node, number
                missing[other] -= 1
                if not missing[other]:
                    order.append(other)
        if len(order) <= self.root:
            raise ValueError("the edges form a cycle")
        for node in reversed(order[1:]):
            self.pull[self.parent[node]] += self.pull[node]
            self.children[self.parent[node]][node] = None
        for node in reversed(order[1:]):
            if self.pull[node] < 0 and not self.children[node]:
                self._pivot(node)

    def solve(self) -> list[int]:
        """Exchange edges of the tree until nothing is gained."""
        still = 0
        waiting: deque[int] = deque()
        while True:
            strictly = still > self.root  # no progress for long: this rule is known to terminate
            node = self._first() if strictly else self._next(waiting)
            if node < 0:
                least = min(self.x[:-1], default=0)
                return [x - least for x in self.x[:-1]]
            still = 0 if self._pivot(node, strictly) else still + 1

    def _gaining(self) -> list[int]:
        """Return the nodes for which the removal of the edge to the parent reduces the sum."""
        signs = zip(self.pull, self.above, strict=True)
        return [n for n, (pull, above) in enumerate(signs) if (pull < 0 if above else pull > 0)]

    def _first(self) -> int:
        """Return the first of them by the number of the edge, which avoids cycling (Bland 1977)."""
        return min(self._gaining(), key=self.edge.__getitem__, default=-1)

    def _next(self, waiting: deque[int]) -> int:
        """Return the best of the next few of them, or -1; the others wait.

        All are looked for only when none of those that wait gains any longer.
        """
        few: list[tuple[int, int]] = []
        while len(few) < _CANDIDATES:
            if not waiting and not few:
                waiting.extend(self._gaining())
            if not waiting:
                break
            node = waiting.popleft()
            gain = -self.pull[node] if self.above[node] else self.pull[node]
            if gain > 0:
                few.append((gain, node))
        _, best = max(few, default=(0, -1))
        waiting.extend(node for _, node in few if node != best)
        return best

    def _pivot(self, node: int, strictly: bool = False) -> int:
        """Move the subtree of a node until another edge limits it, and return the distance."""
        up, x, children = self.above[node], self.x, self.children
        moved = [node]
        for other in moved:  # grows as it goes
            if children[other]:
                moved += children[other]
        inside, edges = set(moved), self.out if up else self.into
        found: tuple[int, int, int, int, int] | None = None
        for near in moved:
            start = x[near]
            for far, length, number in edges[near]:
                if far not in inside:
                    slack = (x[far] - start if up else start - x[far]) - length
                    if found is None or slack <= found[0]:
                        edge = slack, number if strictly else far, near, far, number
                        found = edge if found is None else min(edge, found)
        assert found is not None  # otherwise the sum would have no minimum
        slack, _, near, far, number = found
        for other in moved:
            x[other] += slack if up else -slack
        self._hang(node, near, far, number)
        return slack

    def _hang(self, node: int, near: int, far: int, number: int) -> None:
        """Move the subtree of ``node`` under ``far``, by the edge from ``far`` to ``near``."""
        total, above = self.pull[node], not self.above[node]
        self._add(self.parent[node], -total)
        before, other, gone = far, near, 0
        while True:
            old = self.parent[other], self.edge[other], self.above[other], self.pull[other]
            del self.children[old[0]][other]
            self.children[before][other] = None
            self.parent[other], self.edge[other], self.above[other] = before, number, above
            self.pull[other] = total - gone
            if other == node:
                break
            before, other, number, above, gone = other, old[0], old[1], not old[2], old[3]
        self._add(far, total)

    def _add(self, node: int, pull: int) -> None:
        while node >= 0:
            self.pull[node] += pull
            node = self.parent[node]
