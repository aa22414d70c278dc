"""The order in which nodes are computed: what frees memory goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.traverse import topological_order


def frugal_order(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a graph, inputs before users, in an order in which few values are kept.

    Leaves come first.  Then each output is computed with what it depends on, those at the end of
    long chains last, as the gradients of the first layers are.  But a node comes as soon as it can
    if it takes less memory than it frees: the last user of a large value does not wait.  If not all
    sizes are known, only the first rule holds.  Takes time in proportion to the size of the graph.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(9, 9))
    >>> y = sm.sin(x)
    >>> graph = sm.Graph([sm.sum(sm.cos(y) @ x), sm.max(y)])
    >>> [node.label for node in graph.nodes]
    ['x', 'sin', 'cos', 'matmul', 'sum', 'max']
    >>> [node.label for node in frugal_order(graph)]
    ['x', 'sin', 'max', 'cos', 'matmul', 'sum']
    """
    given = set(graph.inputs)
    nodes = topological_order(_shallow_first(graph), stop=given)
    leaves = [node for node in nodes if node.op is None or node in given]
    computed = [node for node in nodes if node.op is not None and node not in given]
    if all(node.type.is_static for node in nodes):
        computed = list(_Ordering(graph, leaves, computed).order())
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

    def __init__(self, graph: Graph, leaves: list[Node], computed: list[Node]) -> None:
        self._computed = computed
        self._base = {node: node for node in graph.nodes}
        for node in computed:
            if _is_view(node):
                self._base[node] = self._base[node.inputs[0]]
        self._kept = {*leaves, *(self._base[node] for node in graph.outputs)}
        self._users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        self._takers: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        """What reads a base, or a view of it."""
        known = set(leaves)
        self._waiting: dict[Node, int] = {}
        for node in computed:
            sources = set(node.inputs) - known
            self._waiting[node] = len(sources)
            for source in sources:
                self._users[source].append(node)
            for base in self._read(node):
                self._takers[base].append(node)
        self._left = {base: len(takers) for base, takers in self._takers.items()}

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
        for base in self._read(node):
            self._left[base] -= 1
            if self._left[base] == 1:
                yield from (taker for taker in self._takers[base] if taker not in done)

    def _pays(self, node: Node) -> bool:
        """Return whether the node can be computed, and frees more than it takes.

        If both are the same, there is no hurry: what it reads may be of use again.
        """
        if self._waiting[node]:
            return False
        if _is_view(node):
            return True
        freed = (base for base in self._read(node) if self._left[base] == 1)
        return node.type.nbytes < sum(base.type.nbytes for base in freed)

    def _read(self, node: Node) -> list[Node]:
        """Return the bases that a node reads and that are freed when nobody does any more."""
        if _is_view(node):
            return []
        bases = dict.fromkeys(self._base[source] for source in node.inputs)
        return [base for base in bases if base not in self._kept]


def _is_view(node: Node) -> bool:
    return node.op is not None and node.op.is_view
