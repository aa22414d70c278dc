"""Narrows a picture: moves nodes to layers with room, without longer arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_ROUNDS = 4
_LEAST = 60.0  # gain in width that is worth a move

Pair = tuple[int, int]


def narrow(
    layers: list[int],
    conditions: Mapping[Pair, tuple[int, int]],
    groups: Iterable[Sequence[int]],
    widths: Sequence[tuple[int, float]],
) -> None:
    """Move groups of nodes to layers that make no arrow longer, if bands become narrower.

    Parameters
    ----------
    layers : list of int
        The layers of the groups, each at the index of its first node; modified in place.
    conditions : dict from (int, int) to (int, int)
        The least distance of two groups, given by their first nodes, and its weight.
    groups : iterable of sequences of int
        Nodes that share a layer, the layer of the first.
    widths : sequence of (int, float)
        The band and the width of each node.

    Examples
    --------
    >>> layers = [0, 1, 2, 1]  # the last stands beside the second, or with the third
    >>> conditions = {(0, 1): (1, 1), (1, 2): (1, 1), (0, 3): (1, 0)}
    >>> narrow(layers, conditions, [[0], [1], [2], [3]], [(0, 120), (0, 120), (0, 30), (0, 90)])
    >>> layers
    [0, 1, 2, 2]
    """
    narrower = _Narrower(layers, conditions, groups, widths)
    for _ in range(_ROUNDS):
        if not narrower.improve():
            return


class _Narrower:
    """Tracks the width of each layer of each band."""

    def __init__(
        self,
        layers: list[int],
        conditions: Mapping[Pair, tuple[int, int]],
        groups: Iterable[Sequence[int]],
        widths: Sequence[tuple[int, float]],
    ) -> None:
        self._layers = layers
        self._groups = list(groups)
        self._widths = widths
        self._last = max(layers, default=0)
        self._above: dict[int, list[tuple[int, int, int]]] = {}
        self._below: dict[int, list[tuple[int, int, int]]] = {}
        for (upper, lower), (length, weight) in conditions.items():
            self._below.setdefault(upper, []).append((lower, length, weight))
            self._above.setdefault(lower, []).append((upper, length, weight))
        self._taken: dict[int, list[float]] = {}
        for band, _ in widths:
            self._taken[band] = [0.0] * (self._last + 1)
        for group in self._groups:
            self._fill(group, layers[group[0]], 1)

    def improve(self) -> bool:
        """Move each group to where bands are narrowest, and return whether any group moved."""
        return any([self._improve(group) for group in self._groups])

    def _improve(self, group: Sequence[int]) -> bool:
        start = best = self._layers[group[0]]
        least = self._total() - _LEAST
        for layer in self._choices(group[0]):
            self._move(group, layer)
            if self._total() < least:
                least, best = self._total(), layer
        self._move(group, best)
        return best != start

    def _choices(self, leader: int) -> list[int]:
        """Return the layers to which a group can move without making arrows longer."""
        above, below = self._above.get(leader, []), self._below.get(leader, [])
        start = self._layers[leader]
        pull = sum(weight for *_, weight in below) - sum(weight for *_, weight in above)
        low = max((self._layers[node] + length for node, length, _ in above), default=0)
        high = min((self._layers[node] - length for node, length, _ in below), default=self._last)
        found = range(low, min(high, self._last) + 1)
        return [layer for layer in found if layer != start and (layer - start) * pull >= 0]

    def _move(self, group: Sequence[int], layer: int) -> None:
        self._fill(group, self._layers[group[0]], -1)
        self._fill(group, layer, 1)
        self._layers[group[0]] = layer

    def _fill(self, group: Sequence[int], layer: int, sign: int) -> None:
        for node in group:
            band, width = self._widths[node]
            self._taken[band][layer] += sign * width

    def _total(self) -> float:
        return sum(map(max, self._taken.values()))
