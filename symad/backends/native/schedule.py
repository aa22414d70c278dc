"""Which nodes run together as native code, and in which order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence

from symad.backends.native.lower.dispatch import Lowering, is_native
from symad.backends.native.lower.views import is_view
from symad.graph.node import Node
from symad.plan.plan import Plan

Step = Node | Lowering
"""What is done at once: one node by a kernel of NumPy's, or many by native code."""


NewSegment = Callable[[], Lowering]


def schedule(
    plan: Plan,
    outputs: Sequence[Node],
    copies: Collection[Node],
    new_segment: NewSegment | None,
) -> list[Step]:
    """Return the steps that compute a graph: of what is ready, all that is native goes first.

    Parameters
    ----------
    plan : Plan
        All types are static.  What is native keeps this order.
    outputs : sequence of Node
        What is wanted: its outputs, or copies of them.
    copies : collection of Node
        Those of ``outputs`` that are no nodes of the graph, but views of such with memory of their
        own.
    new_segment : callable or None
        Returns an empty segment; ``None`` where there is no native code at all.
    """
    return _Scheduler(plan, outputs, copies, new_segment).steps()


class _Scheduler:
    def __init__(
        self,
        plan: Plan,
        outputs: Sequence[Node],
        copies: Collection[Node],
        new_segment: NewSegment | None,
    ) -> None:
        self._new_segment, self._copies = new_segment, copies
        self._given = {*plan.graph.inputs, *(n for n in plan.graph.nodes if n.op is None)}
        computed = [step.node for step in plan.instructions]
        computed += [n for n in outputs if n in copies]
        self._nodes = [node for node in computed if not self._is_view(node)]
        self._index = {node: k for k, node in enumerate(self._nodes)}
        self._roots: dict[Node, Node] = {}
        self._before: dict[Node, list[Node]] = {}  # what views wait for besides their roots
        for node in computed:
            if self._is_view(node):
                source, *earlier = node.inputs
                self._roots[node] = self._root(source)
                self._before[node] = [*self._before.get(source, ()), *map(self._root, earlier)]
        self._native: list[int] = []
        self._others: list[int] = []
        self._waiting: dict[Node, int] = {}
        self._users: dict[Node, list[Node]] = {}
        self._outputs = outputs
        self._values: set[Node] = set()  # the views that Python has

    def _is_view(self, node: Node) -> bool:
        return is_view(node) and node not in self._copies and node not in self._given

    def _root(self, node: Node) -> Node:
        """Return what a node is a view of; nodes are visited sources first."""
        return self._roots.get(node, node)

    def steps(self) -> list[Step]:
        """Return all steps in order."""
        for node in self._nodes:
            roots = {self._root(source) for source in node.inputs}
            roots.update(*(self._before.get(source, ()) for source in node.inputs))
            needed = [root for root in roots if root not in self._given]
            self._waiting[node] = len(needed)
            for root in needed:
                self._users.setdefault(root, []).append(node)
            if not needed:
                self._enqueue(node)
        steps: list[Step] = []
        while self._native or self._others:
            if self._new_segment is not None:
                segment = self._fill(self._new_segment())
                if segment.nodes:
                    steps.append(segment)
            while self._others:
                node = self._nodes[heapq.heappop(self._others)]
                steps += self._views_for(node.inputs)
                steps.append(node)
                self._finish(node)
        return [*steps, *self._views_for(self._outputs)]

    def _enqueue(self, node: Node) -> None:
        natively = self._new_segment is not None and is_native(node)
        heapq.heappush(self._native if natively else self._others, self._index[node])

    def _finish(self, node: Node) -> None:
        for user in self._users.get(node, ()):
            self._waiting[user] -= 1
            if not self._waiting[user]:
                self._enqueue(user)

    def _fill(self, segment: Lowering) -> Lowering:
        """Lower all that is ready, and all that it makes ready."""
        while self._native:
            index = heapq.heappop(self._native)
            node = self._nodes[index]
            if segment.lower(node):
                self._finish(node)
            else:
                heapq.heappush(self._others, index)
        return segment

    def _views_for(self, nodes: Sequence[Node]) -> Iterable[Node]:
        """Return the views that Python needs of nodes and does not have, sources first."""
        views: list[Node] = []
        for source in nodes:
            chain = []
            while self._is_view(source) and source not in self._values:
                self._values.add(source)
                chain.append(source)
                source = source.inputs[0]
            views += reversed(chain)
        return views
