"""The order in which nodes are computed: what frees memory goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.traverse import topological_order

_LEAST = 1 << 16
"""What takes fewer bytes altogether is not worth looking at closely."""


def frugal_order(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a graph, inputs before users, in an order in which few values are kept.

    Leaves come first.  Then each output is computed with what it depends on, those at the end of
    long chains last, as the gradients of the first layers are.  But a node comes as soon as it can
    if it takes less memory than it frees: the last user of a large value does not wait.  If not all
    sizes are known, only the first rule holds.  Takes time in proportion to the size of the graph.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(99, 99))
    >>> y = sm.sin(x)
    >>> graph = sm.Graph([sm.sum(sm.cos(y) @ x), sm.exp(sm.max(y))])
    >>> [node.label for node in graph.nodes]
    ['x', 'sin', 'cos', 'matmul', 'sum', 'max', 'exp']
    >>> [node.label for node in frugal_order(graph)]
    ['x', 'sin', 'cos', 'max', 'matmul', 'sum', 'exp']
    """
    given = set(graph.inputs)
    nodes = topological_order(_shallow_first(graph), stop=given)
    leaves = [node for node in nodes if node.op is None or node in given]
    computed = [node for node in nodes if node.op is not None and node not in given]
    if all(node.type.is_static for node in computed):
        sizes = {node: node.type.nbytes for node in computed}
        if sum(sizes.values()) >= _LEAST:
            computed = list(_Ordering(graph, computed, sizes).order())
    return (*leaves, *computed)


def _shallow_first(graph: Graph) -> list[Node]:
    """Return the outputs by the length of the longest chain that leads to each."""
    height: dict[Node, int] = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        if node not in height:
            height[node] = 1 + max((height[source] for source in node.inputs), default=0)
    return sorted(graph.outputs, key=height.__getitem__)


class _Ordering:
    """Views stand for what they are views of: their bases."""

    def __init__(self, graph: Graph, computed: list[Node], sizes: dict[Node, int]) -> None:
        self._computed, self._sizes = computed, sizes
        base = {node: node for node in graph.nodes}
        for node in computed:
            if _is_view(node):
                base[node] = base[node.inputs[0]]
        kept = {base[node] for node in graph.outputs}
        self._read: dict[Node, list[Node]] = {}
        """The computed bases that are freed when nobody reads them any more."""
        self._users: dict[Node, list[Node]] = {node: [] for node in computed}
        self._readers: dict[Node, list[Node]] = {node: [] for node in computed}
        self._waiting: dict[Node, int] = {}
        for node in computed:
            sources = [source for source in dict.fromkeys(node.inputs) if source in sizes]
            self._waiting[node] = len(sources)
            for source in sources:
                self._users[source].append(node)
            read = [] if _is_view(node) else list(dict.fromkeys(base[source] for source in sources))
            self._read[node] = [source for source in read if source in sizes and source not in kept]
            for source in self._read[node]:
                self._readers[source].append(node)
        self._left = {node: len(readers) for node, readers in self._readers.items()}

    def order(self) -> Iterator[Node]:
        """Yield the computed nodes."""
        done: set[Node] = set()
        for node in self._computed:
            ready = deque([node])
            while ready:
                current = ready.popleft()
                if current not in done:
                    done.add(current)
                    yield current
                    ready += [user for user in self._released(current, done) if self._pays(user)]

    def _released(self, node: Node, done: set[Node]) -> Iterator[Node]:
        """Yield what can be computed now, or may take less memory than before."""
        for user in self._users[node]:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                yield user
        for base in self._read[node]:
            self._left[base] -= 1
            if self._left[base] == 1:
                yield from (reader for reader in self._readers[base] if reader not in done)

    def _pays(self, node: Node) -> bool:
        """Return whether the node can be computed, and frees more than it takes.

        If both are the same, there is no hurry: what it reads may be of use again.
        """
        if self._waiting[node]:
            return False
        freed = (self._sizes[base] for base in self._read[node] if self._left[base] == 1)
        return _is_view(node) or self._sizes[node] < sum(freed)


def _is_view(node: Node) -> bool:
    return node.op is not None and node.op.is_view
