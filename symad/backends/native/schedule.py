"""The schedule: which nodes run together as native code, and in which order.

An object that is made of arrays, a package, is no part of it: it is made at the end of each call.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence

from symad.backends.native.lower.dispatch import is_large, supports
from symad.backends.native.lower.views import is_view, own_outputs
from symad.backends.native.segment_code import without_packages
from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.body import WithBody
from symad.ops.structure import StructureItem
from symad.plan.liveness import sharing_of
from symad.plan.plan import copied_outputs
from symad.records import dataclass
from symad.types import StructureType, TensorType

_LARGE = 1 << 20
"""Computing this many bytes takes much longer than calling a segment."""


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """Nodes that run together: many nodes as native code, or one with its own kernel."""

    nodes: tuple[Node, ...]
    is_segment: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """The parts of a graph in the order in which they run.

    Attributes
    ----------
    whole : Graph
        The graph as given.
    graph : Graph
        The same without packages: all outputs are arrays, or structures of them.
    outputs : tuple of Node
        The outputs of the graph; an output that shares memory is replaced by a copy.
    copies : frozenset of Node
        These copies.
    copied : tuple of bool
        Which outputs must still be copied before they are returned.
    parts : tuple of SchedulePart
    """

    whole: Graph
    graph: Graph
    outputs: tuple[Node, ...]
    copies: frozenset[Node]
    copied: tuple[bool, ...]
    parts: tuple[SchedulePart, ...]

    @property
    def is_one_segment(self) -> bool:
        """Whether one segment can take all inputs, of known sizes, and return all outputs."""
        has_one = len(self.parts) == 1 and self.parts[0].is_segment
        return has_one and all(node.type.is_static for node in self.graph.inputs)


def schedule(whole: Graph, has_native_code: bool) -> Schedule:
    """Return the parts of a graph; of the nodes that are ready, native ones run first.

    Compared with large nests, the number of segments does not matter, but memory does: if there are
    large nests, everything runs in the order that keeps the fewest bytes.

    Parameters
    ----------
    whole : Graph
        All types are static.
    has_native_code : bool
        Whether native segments are possible.
    """
    graph = without_packages(whole)
    copied = copied_outputs(graph, sharing_of(graph))
    outputs, made = own_outputs(graph) if has_native_code else (graph.outputs, ())
    copies = frozenset(made)
    pairs = zip(copied, outputs, strict=True)
    copied = tuple(is_copied and output not in copies for is_copied, output in pairs)
    unsupported = _used_whole(graph) if has_native_code else set(graph.nodes)
    parts = _Scheduler(graph, outputs, copies, unsupported).parts()
    return Schedule(whole, graph, tuple(outputs), copies, copied, tuple(parts))


def _used_whole(graph: Graph) -> set[Node]:
    """Return the structures that others than their items use, which only Python makes."""
    users = (node for node in graph.nodes if not isinstance(node.op, StructureItem))
    used = {source for node in users for source in node.inputs}
    return {node for node in {*used, *graph.outputs} if isinstance(node.type, StructureType)}


class _Scheduler:
    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[Node],
        copies: Collection[Node],
        unsupported: Collection[Node],
    ) -> None:
        self._unsupported, self._copies = unsupported, copies
        loops = (node for node in graph.nodes if isinstance(node.op, WithBody))
        self._loops: dict[Node, bool | None] = dict.fromkeys(loops)
        self._given = {*graph.inputs, *(n for n in graph.nodes if n.op is None)}
        computed = [node for node in frugal_order(graph) if node not in self._given]
        computed += [n for n in outputs if n in copies]
        self._nodes = [node for node in computed if not self._is_view(node)]
        self._index = {node: k for k, node in enumerate(self._nodes)}
        self._roots: dict[Node, Node] = {}
        self._before: dict[Node, list[Node]] = {}  # what views depend on besides their roots
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
        self._values: set[Node] = set()  # the views that exist in Python

    def _is_view(self, node: Node) -> bool:
        return is_view(node) and node not in self._copies and node not in self._given

    def _root(self, node: Node) -> Node:
        """Return the node that a node is a view of; sources are visited first."""
        return self._roots.get(node, node)

    def parts(self) -> list[SchedulePart]:
        """Return all parts in order."""
        in_order = any(map(is_large, self._nodes)) and not all(map(self._is_native, self._nodes))
        parts = self._in_order() if in_order else self._natives_first()
        return parts + [SchedulePart((view,), False) for view in self._views_for(self._outputs)]

    def _in_order(self) -> list[SchedulePart]:
        """Return the parts in the order of the graph: consecutive native nodes form a segment.

        The results of a segment take memory from its start, so a segment ends with a large one.
        """
        parts: list[SchedulePart] = []
        segment: list[Node] = []
        for node in self._with_items():
            is_native = self._is_native(node)
            if is_native:
                segment.append(node)
            if segment and (not is_native or _is_large_result(node)):
                parts.append(SchedulePart(tuple(segment), True))
                segment = []
            if not is_native:
                parts += self._alone(node)
        return parts + [SchedulePart(tuple(segment), True)] * bool(segment)

    def _with_items(self) -> list[Node]:
        """Return the nodes in order, with the items of a structure next to it."""
        items: dict[Node, list[Node]] = {}
        others = []
        for node in self._nodes:
            whole = node.inputs[0] if isinstance(node.op, StructureItem) else None
            if whole in self._index and not isinstance(whole.op, StructureItem):
                items.setdefault(whole, []).append(node)
            else:
                others.append(node)
        return [each for node in others for each in (node, *items.get(node, ()))]

    def _natives_first(self) -> list[SchedulePart]:
        for node in self._nodes:
            roots = {self._root(source) for source in node.inputs}
            roots.update(*(self._before.get(source, ()) for source in node.inputs))
            needed = [root for root in roots if root not in self._given]
            self._waiting[node] = len(needed)
            for root in needed:
                self._users.setdefault(root, []).append(node)
            if not needed:
                self._enqueue(node)
        parts: list[SchedulePart] = []
        while self._native or self._others:
            segment = list(self._ready_natives())
            if segment:
                parts.append(SchedulePart(tuple(segment), True))
            while self._others:
                node = self._nodes[heapq.heappop(self._others)]
                parts += self._alone(node)
                self._finish(node)
        return parts

    def _alone(self, node: Node) -> list[SchedulePart]:
        """Return a node as a part, preceded by the views that its kernel takes."""
        return [SchedulePart((each,), False) for each in (*self._views_for(node.inputs), node)]

    def _is_native(self, node: Node) -> bool:
        if isinstance(node.op, StructureItem) and node.inputs[0] in self._loops:
            node = node.inputs[0]
        if node not in self._loops:
            return node not in self._unsupported and supports(node)
        if self._loops[node] is None:  # bodies are looked through once
            self._loops[node] = node not in self._unsupported and supports(node)
        return bool(self._loops[node])

    def _enqueue(self, node: Node) -> None:
        queue = self._native if self._is_native(node) else self._others
        heapq.heappush(queue, self._index[node])

    def _finish(self, node: Node) -> None:
        for user in self._users.get(node, ()):
            self._waiting[user] -= 1
            if not self._waiting[user]:
                self._enqueue(user)

    def _ready_natives(self) -> Iterable[Node]:
        """Yield the native nodes that are ready, and those that become ready by them."""
        while self._native:
            node = self._nodes[heapq.heappop(self._native)]
            yield node
            self._finish(node)

    def _views_for(self, nodes: Sequence[Node]) -> Iterable[Node]:
        """Return the missing views of nodes that Python needs, sources first."""
        views: list[Node] = []
        for source in nodes:
            chain = []
            while self._is_view(source) and source not in self._values:
                self._values.add(source)
                chain.append(source)
                source = source.inputs[0]
            views += reversed(chain)
        return views


def _is_large_result(node: Node) -> bool:
    """Return whether a node makes a large array; items are returned all together."""
    is_array = isinstance(node.type, TensorType) and not isinstance(node.op, StructureItem)
    return is_array and node.type.nbytes >= _LARGE
