"""The overview of a large graph without scopes: runs of nodes, with few values between them.

Nodes are taken in the order of a depth-first search, which finishes one branch after the other,
and cut where few values are needed later.  Values lead from runs to later ones only, so the runs
form no circles; the derivatives of a run are drawn beside it, and lead back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from symad.graph.node import Constant, Node
from symad.graph.traverse import topological_order
from symad.notation.labels import Labels, Symbol
from symad.notation.roles import Part
from symad.notation.view import View

_RUNS = 16
_MOST_ALONE = 12  # inputs of several runs that have boxes of their own


class Overview:
    """The runs of a view.

    Parameters
    ----------
    view : View
    labels : Labels
    parts : dict from Node to Part

    Attributes
    ----------
    run_of : dict from Node to int
        The run of each node; inputs that several runs use, and their adjoints, are in none.
    """

    def __init__(self, view: View, labels: Labels, parts: Mapping[Node, Part]) -> None:
        self._view = view
        self._labels = labels
        forward = [node for node in view.nodes if parts[node].family == "forward"]
        self._ops = self._in_order(forward)
        self.run_of = {n: run for run, nodes in enumerate(self._runs()) for n in nodes}
        self._place_inputs([node for node in forward if node not in self.run_of])
        latest: dict[Part, int] = {}
        for node in view.nodes:
            if node.role is not None and parts[node].family != "forward":
                self._place_derivative(node, latest.get(parts[node], 0))
                latest[parts[node]] = self.run_of.get(node, latest.get(parts[node], 0))

    def title(self, node: Node, part: Part) -> str:
        """Return the title of the run of a node: the last value, or its derivative."""
        last = self._last[self.run_of[node]]
        number = self._labels.numbers.get(last, 0)
        if part.family == "forward":
            return f"… {Symbol('v', (number,)).subscripted}"
        if part.family == "tangent":
            return f"… {Symbol('v', (number,), 'dot', part.generation).subscripted}"
        return f"{Symbol('v', (number,), 'bar', part.generation).subscripted} …"

    def _in_order(self, forward: Sequence[Node]) -> list[Node]:
        """Return the computed nodes of the forward graph, branch by branch."""
        known = set(forward)
        order = topological_order([*self._view.outputs, *reversed(forward)])
        shown = dict.fromkeys(map(self._view.behind, order))
        return [node for node in shown if node in known and node.op is not None]

    def _runs(self) -> list[list[Node]]:
        """Cut the computed nodes into runs, where few values are needed later."""
        ops, count = self._ops, len(self._ops)
        place = {node: number for number, node in enumerate(ops)}
        last = dict.fromkeys(range(count), -1)
        for node in ops:
            for source in self._view.sources(node):
                if source.node in place:
                    last[place[source.node]] = place[node]
        steps = [0] * (count + 1)
        for number, end in last.items():
            if end >= 0:
                steps[number] += 1
                steps[end] -= 1
        live = list(accumulate(steps))
        size = max(-(-count // _RUNS), 1)
        runs, start = [], 0
        while start < count:
            low, high = start + size // 2, start + size + size // 2
            ends = range(low, min(high + 1, count))
            ideal = start + size - 1
            end = min(ends, key=lambda end: (live[end], abs(end - ideal)), default=count - 1)
            end = count - 1 if count - 1 <= high else end
            runs.append(ops[start : end + 1])
            start = end + 1
        self._last = [run[-1] for run in runs]
        return runs

    def _place_inputs(self, inputs: Iterable[Node]) -> None:
        """Place each input in the run that uses it; inputs of several runs stay alone."""
        users: dict[Node, set[int]] = {node: set() for node in inputs}
        for node in self._ops:
            for source in self._view.sources(node):
                if source.node in users:
                    users[source.node].add(self.run_of[node])
        shared = [n for n, runs in users.items() if len(runs) > 1 and not isinstance(n, Constant)]
        alone = set(shared if len(shared) <= _MOST_ALONE else ())
        for node, runs in users.items():
            if node not in alone:
                self.run_of[node] = min(runs, default=0)

    def _place_derivative(self, node: Node, latest: int) -> None:
        """Place a derivative in the run of the node whose step of a rule it is."""
        role = node.role
        assert role is not None
        of = self._view.behind(role.node if role.consumer is None else role.consumer)
        if of in self.run_of:
            self.run_of[node] = self.run_of[of]
        elif role.consumer is not None or of.op is not None:
            self.run_of[node] = latest
