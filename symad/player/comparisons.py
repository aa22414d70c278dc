"""Two ways to do the same, side by side: modes, passes, and orders of the algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.autodiff.extension import Propagated
from symad.autodiff.forward import tangents
from symad.drawing.compose import compose
from symad.drawing.levels import make_levels
from symad.drawing.node_text import NodeText
from symad.drawing.picture import Picture
from symad.errors import SymadError
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.notation.labels import Labels
from symad.notation.values import counted
from symad.notation.view import View
from symad.player.folding import renamed
from symad.player.walk import GradientWalk
from symad.runtime.values import Feed, node_values

_MOST_NODES = 120  # of a graph whose tangents are drawn


def forward_mode(y: Node, x: Node, feed: Feed, name: str) -> tuple[Picture, int] | None:
    """Return the picture of forward mode for one input, and how many nodes it adds.

    ``None`` if the graph is large, or a rule is missing.

    Parameters
    ----------
    y, x : Node
    feed : dict from Node to value
        Values of the inputs; without any, the picture has no numbers.
    name : str
        Distinguishes the ids of the picture from those of other pictures.
    """
    before = set(topological_order([y]))
    if len(before) > _MOST_NODES:
        return None
    try:
        found = list(tangents(y, x).values())
    except SymadError:
        return None
    values = node_values([y, *found], feed) if feed else None
    view = View([y, *found], values, opened=True)
    labels = Labels(view)
    levels, _ = make_levels(view, labels, _MOST_NODES)
    picture = compose(view, labels, levels, NodeText(view, labels))
    added = len(set(topological_order(found)) - before)
    return renamed(picture, name), added


class Comparisons:
    """Builds the comparisons of one page.

    Parameters
    ----------
    walk : GradientWalk
    targets : sequence of Node
        The nodes to differentiate with respect to.
    """

    def __init__(self, walk: GradientWalk, targets: Sequence[Node]) -> None:
        self._walk = walk
        self._graph = walk.graph
        self._targets = targets

    def modes(self, picture: int, added: int) -> dict[str, Any]:
        """Compare reverse mode with forward mode, whose picture and number of nodes are given."""
        made = sum(not self._walk.is_old(node) for node in self._graph.view.everything)
        values = self._graph.view.values
        count = sum(np.size(values.get(target, 0)) for target in self._targets)
        name = self._graph.forward_name(self._targets[0])
        return {
            "t": "Reverse mode and forward mode",
            "l": {
                "p": 0,
                "t": "Reverse mode",
                "s": f"One pass for all inputs adds {counted(made, 'node')}: v̄ᵢ is the derivative "
                "of the output with respect to node i.",
            },
            "r": {
                "p": picture,
                "t": "Forward mode",
                "s": f"One pass for each number among the inputs: {count:,} in all. This one, for "
                f"{name}, adds {counted(added, 'node')}: v̇ᵢ is the derivative of node i.",
            },
        }

    def passes(self, picture: int, nodes: int, instructions: int) -> dict[str, Any]:
        """Compare the graph as built with the optimised one, whose picture is given."""
        return {
            "t": "Passes off and on",
            "l": {"p": 0, "t": "Passes off",
                  "s": f"The graph as reverse mode builds it: {counted(nodes, 'node')}."},
            "r": {"p": picture, "t": "Passes on",
                  "s": f"The graph that runs: {counted(instructions, 'instruction')}."},
        }  # fmt: skip

    def orders(self) -> dict[str, Any]:
        """Compare the topological order with visits as soon as a node is reached."""
        return {
            "t": "With and without a topological order",
            "l": {"rows": list(self._in_order()), "t": "Reverse topological order",
                  "s": "Each node is visited after all its users: its list is complete."},
            "r": {"rows": list(self._at_once()), "t": "Depth first, without an order",
                  "s": "Each node is visited when it is first reached. What arrives later is lost, "
                  "and so is all that follows from it."},
        }  # fmt: skip

    def _in_order(self) -> Iterator[dict[str, Any]]:
        for visit in self._walk.visits:
            yield self._row(visit.node, visit.contributions, ())

    def _at_once(self) -> Iterator[dict[str, Any]]:
        """Yield the visits of a depth-first walk from the output."""
        passed: dict[Node, list[Propagated]] = {}
        for step in self._walk.record.steps:
            if isinstance(step, Propagated):
                passed.setdefault(step.edge.consumer, []).append(step)
        whole = {visit.node: visit.contributions for visit in self._walk.visits}
        start = next(iter(whole))
        yield self._row(start, whole[start], ())
        reached, pending = {start}, [iter(passed.get(start, ()))]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
            elif found.edge.source not in reached:
                source, partial = found.edge.source, found.partial
                reached.add(source)
                yield self._row(source, [partial], [n for n in whole[source] if n is not partial])
                pending.append(iter(passed.get(source, ())))

    def _row(self, node: Node, used: Sequence[Node], lost: Sequence[Node]) -> dict[str, Any]:
        """Return a visit: the node, the contributions that it used, and those that came later."""
        graph = self._graph
        adjoint = self._walk.record.adjoints[node]
        named = [
            [[graph.ids[graph.view.behind(n)], graph.partial_name(n), self._user(n)] for n in part]
            for part in (used, lost)
        ]
        used_names, lost_names = named
        names = {"n": graph.ids[node], "a": graph.adjoint_name(adjoint)}
        return {**names, "u": used_names, "x": lost_names}

    def _user(self, contribution: Node) -> str:
        """Return the id of the node that passed a contribution on; empty for a seed."""
        role = contribution.role
        if role is None or role.consumer is None:
            return ""
        return self._graph.ids.get(self._graph.view.behind(role.consumer), "")
