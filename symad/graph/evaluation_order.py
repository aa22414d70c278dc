"""The order in which nodes are computed, chosen to keep few bytes in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.op import Op
from symad.graph.traverse import topological_order
from symad.types import StructureType, total_nbytes

_LEAST = 1 << 16
"""A graph whose values take fewer bytes in total keeps its order,"""
_LEAST_EACH = 1 << 10
"""and so does one whose nodes take fewer bytes each on average."""


def frugal_order(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a graph, leaves first and inputs before users, in an order that saves
    memory.

    It is the best of three orders, by peak memory: that of the graph, and two in which a node is
    computed as early as possible if it frees more memory than it takes, so that the last user of a
    large value does not wait.  One of these two otherwise follows the graph; the other computes the
    ends of long chains last, such as the gradients of the first layers.

    If the sizes are not known, or are small, the order is that of the graph.  The time is
    proportional to the size of the graph.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(99, 99))
    >>> y = sm.sin(x)
    >>> graph = sm.Graph([sm.sum(sm.cos(y) @ x), sm.sum(x @ y)])
    >>> [node.label for node in graph.nodes]
    ['x', 'sin', 'cos', 'matmul', 'sum', 'matmul', 'sum']
    >>> [node.label for node in frugal_order(graph)]
    ['x', 'sin', 'matmul', 'sum', 'cos', 'matmul', 'sum']
    """
    given = set(graph.inputs)
    computed = [node for node in graph.nodes if node.op is not None and node not in given]
    leaves = [node for node in graph.nodes if node.op is None or node in given]
    if _is_large(graph, computed):
        uses = _Uses(graph, computed)
        deep_last = [node for node in _deep_last(graph) if node in uses.sizes]
        orders = [*(_Greedy(uses).order(way) for way in (deep_last, computed)), computed]
        computed = min(orders, key=uses.peak)
    return (*leaves, *computed)


def _is_large(graph: Graph, computed: Sequence[Node]) -> bool:
    """Return whether the sizes of the computed values are known, and not small."""
    if all(type_.is_static and type_.nbytes < _LEAST_EACH for type_ in graph.types()):
        return False
    size = total_nbytes([node.type for node in computed])
    return size is not None and size >= max(_LEAST, _LEAST_EACH * len(computed))


def _deep_last(graph: Graph) -> list[Node]:
    """Return the nodes with the ends of the shortest chains first."""
    height: dict[Node, int] = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        if node not in height:
            height[node] = 1 + max((height[source] for source in node.inputs), default=0)
    outputs = sorted(graph.outputs, key=height.__getitem__)
    return topological_order(outputs, stop=set(graph.inputs))


class _Uses:
    """Which nodes read which values.  A view is replaced by its base, the value it is a view of.

    Attributes
    ----------
    views : set of Node
        The views among the computed nodes.
    sizes : dict from Node to int
        The bytes that each computed node takes.
    parts : dict from Node to int
        The bytes that are freed with each; the items of a structure are freed one by one.
    users : dict from Node to list of Node
        The nodes that have each computed node as an input.
    reads : dict from Node to list of Node
        The computed bases that a node reads, which are freed after their last reader.
    readers : dict from Node to list of Node
        The inverse of ``reads``.
    """

    def __init__(self, graph: Graph, computed: Sequence[Node]) -> None:
        self.views = {node for node in computed if is_view(node)}
        self.sizes = {node: 0 if node in self.views else node.type.nbytes for node in computed}
        self.parts = dict(self.sizes)
        self.users: dict[Node, list[Node]] = {node: [] for node in computed}
        self.reads: dict[Node, list[Node]] = {}
        self.readers: dict[Node, list[Node]] = {node: [] for node in computed}
        base = self._bases(graph, computed)
        self._kept = {base[node] for node in graph.outputs}
        for node in computed:
            sources = [source for source in dict.fromkeys(node.inputs) if source in self.sizes]
            for source in sources:
                self.users[source].append(node)
            read = () if node in self.views else dict.fromkeys(base[source] for source in sources)
            freed = [each for each in read if each in self.sizes and each not in self._kept]
            self.reads[node] = freed
            for each in freed:
                self.readers[each].append(node)

    def _bases(self, graph: Graph, computed: Sequence[Node]) -> dict[Node, Node]:
        base = {node: node for node in graph.nodes}
        items: dict[tuple[Node, Op | None], Node] = {}
        for node in computed:
            if node not in self.views:
                continue
            whole = node.inputs[0]
            if not isinstance(whole.type, StructureType) or not self.sizes.get(whole):
                base[node] = base[whole]
            else:
                base[node] = items.setdefault((whole, node.op), node)
                if base[node] is node:
                    self.parts[node] = node.type.nbytes
                    self.parts[whole] -= node.type.nbytes
        return base

    def peak(self, order: Sequence[Node]) -> int:
        """Return the peak memory in bytes, inputs not counted."""
        left = {node: len(readers) for node, readers in self.readers.items()}
        live = peak = 0
        for node in order:
            freed = []
            for source in self.reads[node]:
                left[source] -= 1
                if not left[source]:
                    freed.append(source)
            live += self.sizes[node]
            over = any(_may_overwrite(node, source) for source in freed)
            peak = max(peak, live - self.sizes[node] if over else live)
            if not self.readers[node] and node not in self._kept and node not in self.views:
                freed.append(node)
            live -= sum(self.parts[source] for source in freed)
        return peak


class _Greedy:
    """Computes nodes that free memory as early as possible."""

    def __init__(self, uses: _Uses) -> None:
        self._uses = uses
        self._left = {node: len(readers) for node, readers in uses.readers.items()}
        self._waiting = dict.fromkeys(uses.sizes, 0)
        for users in uses.users.values():
            for user in users:
                self._waiting[user] += 1

    def order(self, way: Sequence[Node]) -> list[Node]:
        """Return the nodes of ``way`` in order, those that free memory as early as possible."""
        found: dict[Node, None] = {}
        for node in way:
            ready = deque([node])
            while ready:
                current = ready.popleft()
                if current not in found:
                    found[current] = None
                    released = list(self._released(current))
                    ready += [user for user in released if user not in found and self._pays(user)]
        return list(found)

    def _released(self, node: Node) -> Iterator[Node]:
        """Yield the nodes that can be computed now, or that may free more memory than before."""
        for user in self._uses.users[node]:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                yield user
        for base in self._uses.reads[node]:
            self._left[base] -= 1
            if self._left[base] == 1:
                yield from self._uses.readers[base]

    def _pays(self, node: Node) -> bool:
        """Return whether the node can be computed, and frees more than it takes.

        If both are equal it waits, since the values that it reads may be used again.
        """
        if self._waiting[node]:
            return False
        uses = self._uses
        freed = sum(uses.parts[base] for base in uses.reads[node] if self._left[base] == 1)
        return node in uses.views or uses.sizes[node] < freed


def is_view(node: Node) -> bool:
    """Return whether a node may share the memory of its first input."""
    return node.op is not None and node.op.is_view


def _may_overwrite(node: Node, source: Node) -> bool:
    """Return whether the result may be written over an input that no other node needs."""
    if node.op is None or not node.op.is_in_place or node.ndim == 0:
        return False
    return source in node.inputs and source.type == node.type
