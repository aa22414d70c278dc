"""The layer of each node: arrows point downwards, and are short in all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]


def ranks(size: int, pairs: Sequence[Pair], rows: Iterable[Sequence[int]]) -> list[int]:
    """Return the layer of each of ``size`` nodes, from 0.

    Parameters
    ----------
    size : int
    pairs : sequence of (int, int)
        Nodes of which the first must be above the second.  Where that goes in circles, one
        condition of each circle is dropped.
    rows : iterable of sequences of int
        Nodes in one layer.

    Notes
    -----
    The sum of the distances of all pairs is least: min Σ (r_v - r_u) with r_v - r_u ≥ 1, a linear
    program whose corners are whole numbers.

    Examples
    --------
    >>> ranks(5, [(0, 1), (1, 2), (3, 2), (1, 4), (4, 0)], [])
    [0, 1, 2, 1, 2]
    """
    group = _groups(size, rows)
    edges: dict[Pair, int] = {}
    for upper, lower in pairs:
        edge = group[upper], group[lower]
        if edge[0] != edge[1]:
            edges[edge] = edges.get(edge, 0) + 1
    kept = _acyclic(size, edges)
    found = _shortest(size, {edge: edges[edge] for edge in kept})
    return [found[group[node]] for node in range(size)]


def _groups(size: int, rows: Iterable[Sequence[int]]) -> list[int]:
    """Return, for each node, the node that stands for all that must share its layer."""
    parent = list(range(size))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for row in rows:
        for other in row[1:]:
            parent[find(other)] = find(row[0])
    return [find(node) for node in range(size)]


def _acyclic(size: int, edges: Iterable[Pair]) -> list[Pair]:
    """Return ``edges`` without those that close a circle, those from above first."""
    users: dict[int, list[int]] = {}
    missing = [0] * size
    for upper, lower in edges:
        users.setdefault(upper, []).append(lower)
        missing[lower] += 1
    place: dict[int, int] = {}
    sources = [node for node in range(size) if not missing[node]]
    for start in [*sources, *range(size)]:  # what no source leads to is in a circle, or below one
        ready = [start]
        while ready:
            node = ready.pop()
            if node in place:
                continue
            place[node] = len(place)
            for user in users.get(node, ()):
                missing[user] -= 1
                if not missing[user]:
                    ready.append(user)
    return [(upper, lower) for upper, lower in edges if place[upper] < place[lower]]


def _shortest(size: int, edges: dict[Pair, int]) -> list[int]:
    """Return the ranks at which the weighted sum of the lengths of ``edges`` is least."""
    if not edges:
        return [0] * size
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    ends = np.array(list(edges))
    weights = np.array(list(edges.values()), float)
    cost = np.full(size, 1e-3 / size)  # of several solutions the highest
    np.add.at(cost, ends[:, 1], weights)
    np.subtract.at(cost, ends[:, 0], weights)
    rows = np.repeat(np.arange(len(ends)), 2)
    signs = np.tile([1.0, -1.0], len(ends))
    differences: Any = csr_array((signs, (rows, ends.ravel())), shape=(len(ends), size))
    solved: Any = linprog(cost, A_ub=differences, b_ub=-np.ones(len(ends)), method="highs-ds")
    found: list[int] = np.rint(solved.x).astype(int).tolist()
    return found
