"""Why the order matters: backpropagation in three orders, two of which fail.

The example is a = 1; b = a + a; c = b + b; ...  Each node is used twice, so the number of paths
doubles with each step, and so does the adjoint: ∂e/∂a = 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import symad as sm
from symad.demo.backpropagation import backpropagate, evaluate, partial_adjoints
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.labels import Labels
from symad.notation.table import Table, Tabular
from symad.notation.values import format_value
from symad.notation.view import View
from symad.records import dataclass

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Walk:
    """Backpropagation in one order.

    Attributes
    ----------
    name : str
    adjoints : dict from Node to value
        Empty if the walk was too long to run.
    visits : dict from Node to int
        How often each node passed a contribution on.
    """

    name: str
    adjoints: Mapping[sm.Node, Any]
    visits: Mapping[sm.Node, int]

    @property
    def total(self) -> int:
        """The total number of visits."""
        return sum(self.visits.values())


class VisitOrders(Tabular):
    """Three orders side by side; made by :func:`compare_orders`.

    Attributes
    ----------
    nodes : tuple of Node
        From the output to the inputs.
    at_once, depth_first, topological : Walk
        Each contribution is passed on at once; each node is visited when it is first reached; each
        node is visited after all its users.
    """

    def __init__(self, y: sm.Node, walks: Sequence[Walk]) -> None:
        self.at_once, self.depth_first, self.topological = walks
        self._labels = Labels(View([y]))
        self.nodes = tuple(reversed(self._labels.forward))

    @property
    def table(self) -> Table:
        """A row for each node, and the total number of visits."""
        walks = (self.topological, self.depth_first, self.at_once)
        rows = []
        for node in self.nodes:
            row = [self._name(node)]
            for walk in walks:
                row += [self._adjoint(walk, node), f"{walk.visits[node]:,}"]
            rows.append(row)
        rows.append(["in all", *(cell for walk in walks for cell in ("", f"{walk.total:,}"))])
        titles = ["node", *(title for walk in walks for title in (walk.name, "visits"))]
        notes = ("An adjoint that differs from that of the topological order is marked ✗.",)
        return Table(titles, rows, set(range(1, 7)), notes)

    def _name(self, node: sm.Node) -> str:
        name = f" = {visible(node.name)}" if node.name else ""
        return f"v̄{self._labels.numbers[node]}{name}"

    def _adjoint(self, walk: Walk, node: sm.Node) -> str:
        if not walk.adjoints:
            return "not run"
        adjoint, right = walk.adjoints[node], self.topological.adjoints[node]
        wrong = not np.allclose(adjoint, right, equal_nan=True)
        return format_value(adjoint) + (" ✗" if wrong else "")

    def __repr__(self) -> str:
        return f"<VisitOrders of {len(self.nodes)} nodes>"


def doubling_chain(length: int = 4) -> tuple[sm.Variable, sm.Node]:
    """Return a and the last node of the chain b = a + a, c = b + b, ...

    Parameters
    ----------
    length : int
        The number of doublings.

    Examples
    --------
    >>> a, e = doubling_chain(4)
    >>> e.eval({a: 1.0})
    np.float64(16.0)
    """
    start = sm.Variable(_LETTERS[0], shape=())
    node: sm.Node = start
    for _ in range(length):
        node = node + node
    return start, node


def compare_orders(
    y: sm.Node | None = None,
    feed: Mapping[sm.Node, Any] | None = None,
    most_visits: int = 100_000,
) -> VisitOrders:
    """Walk back through the graph of ``y`` in three orders, and count the visits.

    Parameters
    ----------
    y : Node, optional
        Consists of ops that :mod:`symad.demo.backpropagation` has rules for; four doublings of
        a = 1 by default.
    feed : dict from Node to value, optional
    most_visits : int
        A walk that needs more is not run; its visits are counted anyway.

    Examples
    --------
    >>> print(compare_orders())
    node     topological   visits   depth first   visits   at once   visits
    ──────   ───────────   ──────   ───────────   ──────   ───────   ──────
    v̄5                 1        1             1        1         1        1
    v̄4                 2        1             2        1         2        2
    v̄3                 4        1           2 ✗        1         4        4
    v̄2                 8        1           2 ✗        1         8        8
    v̄1 = a            16        1           2 ✗        1        16       16
    in all                      5                      5                 31
    An adjoint that differs from that of the topological order is marked ✗.
    """
    if y is None or feed is None:
        start, y = doubling_chain()
        feed = {start: 1.0}
    order = topological_order([y])
    values = evaluate(order, feed)
    visits = _count_paths(y, order)
    possible = sum(visits.values()) <= most_visits
    once = dict.fromkeys(visits, 1)
    walks = [
        Walk("at once", _pass_on_at_once(y, values) if possible else {}, visits),
        Walk("depth first", _depth_first(y, values), once),
        Walk("topological", backpropagate(y, feed).adjoints, once),
    ]
    return VisitOrders(y, walks)


def _count_paths(y: sm.Node, order: Sequence[sm.Node]) -> dict[sm.Node, int]:
    """Return how many paths lead from ``y`` to each node that is not a constant."""
    paths = dict.fromkeys(order, 0)
    paths[y] = 1
    for node in reversed(order):
        for source in node.inputs:
            paths[source] += paths[node]
    return {node: count for node, count in paths.items() if not isinstance(node, sm.Constant)}


def _pass_on_at_once(y: sm.Node, values: Mapping[sm.Node, Any]) -> dict[sm.Node, Any]:
    """Pass contributions on as they arrive: right, since rules are linear, but exponential."""
    adjoints: dict[sm.Node, Any] = {}
    pending = [(y, np.ones_like(values[y]))]
    while pending:
        node, contribution = pending.pop()
        adjoints[node] = adjoints.get(node, 0) + contribution
        if node.op is not None:
            partials = partial_adjoints(node, contribution, values)
            pending += zip(node.inputs, partials, strict=True)
    return adjoints


def _depth_first(y: sm.Node, values: Mapping[sm.Node, Any]) -> dict[sm.Node, Any]:
    """Visit each node when it is first reached; contributions that arrive later are lost."""
    adjoints: dict[sm.Node, Any] = {y: np.ones_like(values[y])}
    stack = [(y, 0)]
    while stack:
        node, slot = stack.pop()
        if slot == len(node.inputs):
            continue
        stack.append((node, slot + 1))
        source = node.inputs[slot]
        partial = partial_adjoints(node, adjoints[node], values)[slot]
        first = source not in adjoints
        adjoints[source] = adjoints.get(source, 0) + partial
        if first:
            stack.append((source, 0))
    return adjoints
