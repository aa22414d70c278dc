"""The layer of each node: arrows point downwards, and are short in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]


def ranks(
    size: int,
    pairs: Sequence[Pair],
    rows: Sequence[Sequence[int]],
    weights: Sequence[float] | None = None,
    frames: Sequence[Sequence[int]] = (),
) -> list[int]:
    """Return the layer of each of ``size`` nodes, from 0.

    Parameters
    ----------
    size : int
    pairs : sequence of (int, int)
        Nodes of which the first must be above the second.  Where that goes in circles, one
        condition of each circle is dropped.
    rows : sequence of sequences of int
        Nodes in one layer.
    weights : sequence of float, optional
        How much the distance of each pair counts; 1 unless given.
    frames : sequence of sequences of int
        Nodes that are framed together.  Where all pairs lead from one frame to another, and none
        back, one stands above the other as a whole.

    Notes
    -----
    The sum of the distances of all pairs is least: min Σ w (r_v - r_u) with r_v - r_u ≥ 1, a linear
    program whose corners are whole numbers.

    Examples
    --------
    >>> ranks(5, [(0, 1), (1, 2), (3, 2), (1, 4), (4, 0)], [])
    [0, 1, 2, 1, 2]
    """
    group = _groups(size, rows)
    edges: dict[Pair, float] = {}
    for (upper, lower), weight in zip(pairs, weights or [1.0] * len(pairs), strict=True):
        edge = group[upper], group[lower]
        if edge[0] != edge[1]:
            edges[edge] = edges.get(edge, 0.0) + weight
    conditions = {edge: (1, edges[edge]) for edge in _acyclic(size, edges)}
    for upper, lower in _stacked(size, pairs, rows, frames):
        end = size + 2 * upper  # one below the first frame, and at the top of the second
        conditions |= {(group[node], end): (1, 0.0) for node in frames[upper]}
        conditions |= {(size + 2 * lower + 1, group[node]): (0, 0.0) for node in frames[lower]}
        conditions[end, size + 2 * lower + 1] = 0, 0.0
    found = _shortest(size + 2 * len(frames), conditions)
    first = min(found[group[node]] for node in range(size)) if size else 0
    return [found[group[node]] - first for node in range(size)]


def _stacked(
    size: int,
    pairs: Iterable[Pair],
    rows: Sequence[Sequence[int]],
    frames: Sequence[Sequence[int]],
) -> list[Pair]:
    """Return the frames of which the first can stand above the second as a whole."""
    frame_of = {node: frame for frame, nodes in enumerate(frames) for node in nodes}
    links = [(a, b) for a, b in pairs if frame_of.get(a, -1) != frame_of.get(b, -1)]
    between = dict.fromkeys(
        (frame_of[a], frame_of[b]) for a, b in links if a in frame_of and b in frame_of
    )
    if not between:
        return []
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count = size + len(frames)
    members = [[*nodes, size + frame] for frame, nodes in enumerate(frames)]
    unit = np.array(_groups(count, [*rows, *members]))
    ends = unit[np.array(links)]
    graph: Any = csr_array((np.ones(len(links)), ends.T), shape=(count, count))
    _, circle = connected_components(graph, connection="strong")
    return [(a, b) for a, b in between if circle[unit[size + a]] != circle[unit[size + b]]]


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


def _shortest(size: int, edges: Mapping[Pair, tuple[int, float]]) -> list[int]:
    """Return the ranks at which the weighted sum of the lengths of ``edges`` is least.

    Each edge has the least length that it may have, and a weight.
    """
    if not edges:
        return [0] * size
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    ends = np.array(list(edges))
    lengths, weights = np.array(list(edges.values()), float).T
    cost = np.full(size, 1e-5 / size)  # of several solutions the highest
    np.add.at(cost, ends[:, 1], weights)
    np.subtract.at(cost, ends[:, 0], weights)
    rows = np.repeat(np.arange(len(ends)), 2)
    signs = np.tile([1.0, -1.0], len(ends))
    differences: Any = csr_array((signs, (rows, ends.ravel())), shape=(len(ends), size))
    solved: Any = linprog(cost, A_ub=differences, b_ub=-lengths, method="highs-ds")
    found: list[int] = np.rint(solved.x).astype(int).tolist()
    return found
