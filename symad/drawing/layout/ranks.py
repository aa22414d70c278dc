"""The layer of each node: arrows point downwards, and their total length is minimal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from symad.drawing.layout.narrowing import narrow
from symad.drawing.layout.network_simplex import shortest

Pair = tuple[int, int]


def ranks(
    size: int,
    pairs: Sequence[Pair],
    rows: Sequence[Sequence[int]],
    weights: Sequence[int] | None = None,
    frames: Sequence[Sequence[int]] = (),
    widths: Sequence[tuple[int, float]] = (),
) -> list[int]:
    """Return the layer of each of ``size`` nodes, from 0.

    Parameters
    ----------
    size : int
    pairs : sequence of (int, int)
        The first node of each pair must be above the second.  One condition of each cycle is
        dropped.
    rows : sequence of sequences of int
        Nodes in one layer.
    weights : sequence of int, optional
        The weight of each distance; 1 by default.
    frames : sequence of sequences of int
        Nodes that are framed together.  If all pairs between two frames lead from one to the other,
        the first is entirely above the second.
    widths : sequence of (int, float), optional
        The band and the width of each node, if bands should be narrow: nodes then move if that
        makes bands narrower without increasing the total distance.

    Notes
    -----
    The weighted sum of all distances is minimal: min Σ w (r_v - r_u) with r_v - r_u ≥ 1.

    Examples
    --------
    >>> ranks(5, [(0, 1), (1, 2), (3, 2), (1, 4), (4, 0)], [])
    [0, 1, 2, 1, 2]
    """
    group = _groups(size, rows)
    edges: dict[Pair, int] = {}
    times: Counter[Pair] = Counter()
    for (upper, lower), weight in zip(pairs, weights or [1] * len(pairs), strict=True):
        edge = group[upper], group[lower]
        if edge[0] != edge[1]:
            edges[edge] = edges.get(edge, 0) + weight
            times[edge] += 1
    conditions = {edge: (1, edges[edge]) for edge in _acyclic(size, edges)}
    for upper, lower in _stacked(size, pairs, rows, frames):
        end = size + 2 * upper  # below the first frame, and at the top of the second
        conditions |= {(group[node], end): (1, 0) for node in frames[upper]}
        conditions |= {(size + 2 * lower + 1, group[node]): (0, 0) for node in frames[lower]}
        conditions[end, size + 2 * lower + 1] = 0, 0
    found = shortest(size + 2 * len(frames), conditions)
    if widths:
        members: dict[int, list[int]] = {}
        for node, leader in enumerate(group):
            members.setdefault(leader, []).append(node)
        counted = {edge: (length, times[edge]) for edge, (length, _) in conditions.items()}
        narrow(found, counted, members.values(), widths)
    first = min(found[group[node]] for node in range(size)) if size else 0
    return [found[group[node]] - first for node in range(size)]


def _stacked(
    size: int,
    pairs: Iterable[Pair],
    rows: Sequence[Sequence[int]],
    frames: Sequence[Sequence[int]],
) -> list[Pair]:
    """Return pairs of frames of which the first can be entirely above the second."""
    frame_of = {node: frame for frame, nodes in enumerate(frames) for node in nodes}
    links = [(a, b) for a, b in pairs if frame_of.get(a, -1) != frame_of.get(b, -1)]
    between = dict.fromkeys(
        (frame_of[a], frame_of[b]) for a, b in links if a in frame_of and b in frame_of
    )
    count = size + len(frames)
    members = [[*nodes, size + frame] for frame, nodes in enumerate(frames)]
    unit = _groups(count, [*rows, *members])
    circle = _circles(count, [(unit[a], unit[b]) for a, b in links] if between else [])
    return [(a, b) for a, b in between if circle[unit[size + a]] != circle[unit[size + b]]]


def _circles(size: int, links: Iterable[Pair]) -> list[int]:
    """Return the strongly connected component of each node, as a number.

    Examples
    --------
    >>> _circles(4, [(0, 1), (1, 2), (2, 1), (3, 0)])
    [0, 1, 1, 3]
    """
    after: list[list[int]] = [[] for _ in range(size)]
    before: list[list[int]] = [[] for _ in range(size)]
    for a, b in links:
        after[a].append(b)
        before[b].append(a)
    seen, left = [False] * size, []  # in the order in which a depth-first search leaves them
    for root in range(size):
        ready = [root]
        while ready:
            node = ready.pop()
            if node < 0:
                left.append(~node)
            elif not seen[node]:
                seen[node] = True
                ready.append(~node)
                ready.extend(after[node])
    circle = [-1] * size
    for root in reversed(left):
        ready = [root]
        while ready:
            node = ready.pop()
            if circle[node] < 0:
                circle[node] = root
                ready.extend(before[node])
    return circle


def _groups(size: int, rows: Iterable[Sequence[int]]) -> list[int]:
    """Return, for each node, the representative of all nodes that must share its layer."""
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
    """Return ``edges`` without those that close a cycle, edges from above first."""
    users: dict[int, list[int]] = {}
    missing = [0] * size
    for upper, lower in edges:
        users.setdefault(upper, []).append(lower)
        missing[lower] += 1
    place: dict[int, int] = {}
    sources = [node for node in range(size) if not missing[node]]
    for start in [*sources, *range(size)]:  # sources do not reach cycles
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
