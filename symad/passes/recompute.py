"""Recompute cheap residuals: values of the forward part are computed again for the backward part
instead of being kept.

A value is *cheap* if an elementwise op computes it.  It is recomputed if all sources are kept
anyway, or are themselves cheap, or are small compared with it.  Results of matrix products,
reductions and other ops are kept.

The new nodes read the kept values through :class:`~symad.ops.after.After` the last product, or
other op that cannot be fused, before them.  This delays them, and keeps them distinct from the old
nodes even where equal nodes are shared.
"""

from __future__ import annotations

from bisect import bisect_left

from symad.graph.evaluation_order import frugal_order, is_view
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.graph.provenance import Creation, Role, RoleKind, creating
from symad.ops.after import After
from symad.ops.base import PerElement
from symad.ops.reduce import Reduction

_LEAST = 4096
"""Values smaller than this, in bytes, are kept."""
_SMALL = 16
"""Values that together are this many times smaller than another may be kept to recompute it."""
_LONGEST = 16
"""The most ops that are run again for one value, which bounds the cost of a node."""
_NEAR = 64
"""A value recomputed at most this many nodes ago is reused."""


def recompute(graph: Graph) -> Graph:
    """Return ``graph`` with cheap residuals of derivatives recomputed instead of kept.

    The same ops are applied to the same values.  Values of unknown size are kept.

    Parameters
    ----------
    graph : Graph
        Optimised: equal nodes are one.

    Examples
    --------
    >>> import symad as sm
    >>> x, w = sm.Variable("x", shape=(9, 99)), sm.Variable("w", shape=(99, 99))
    >>> hidden = sm.exp(sm.sin(x @ w))
    >>> graph = sm.Graph([sm.gradients(sm.sum(sm.sin(hidden @ w)), w)], [x, w])
    >>> [node.label for node in recompute(graph).nodes if node not in graph.nodes][:4]
    ['after', 'sin', 'exp', 'multiply']
    """
    search = _Search(graph)
    anchors = search.anchors()
    return _Rewriting(graph, search, anchors).graph() if anchors else graph


class _Search:
    """Finds the values to recompute.

    Views are replaced by their bases, the values they are views of.

    Attributes
    ----------
    place : dict from Node to int
        The order in which values are computed.
    base : dict from Node to Node
    """

    def __init__(self, graph: Graph) -> None:
        self._nodes = frugal_order(graph)
        self.place = {node: place for place, node in enumerate(self._nodes)}
        given = set(graph.inputs)
        computed = [node for node in self._nodes if node.op is not None and node not in given]
        self.base = {node: node for node in graph.nodes}
        for node in computed:
            if is_view(node):
                self.base[node] = self.base[node.inputs[0]]
        self._kept = set(graph.nodes).difference(computed)
        self._kept.update(self.base[node] for node in graph.outputs)
        self._users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in computed:
            if not is_view(node):
                for source in node.inputs:
                    self._users[self.base[source]].append(node)
        self._last = {
            node: self.place[users[-1]] if users else self.place[node]
            for node, users in self._users.items()
        }
        self._anchors = [self.place[node] for node in computed if not _is_fused(node)]

    def anchors(self) -> dict[Node, Node]:
        """Return the values to recompute, each with the op after which that happens."""
        found: dict[Node, Node] = {}
        for node in self._nodes:
            if not self._is_worthwhile(node):
                continue
            gap = self._gap(node)
            sources = None if gap is None else self._sources(node, gap[1])
            if gap is not None and sources is not None:
                before, anchor, after = gap
                found[node] = self._nodes[anchor]
                self._last[node] = before
                for source in sources:
                    self._last[source] = max(self._last[source], after)
        return found

    def _is_worthwhile(self, node: Node) -> bool:
        is_new = node not in self._kept and self.base[node] is node and _is_forward(node)
        return is_new and isinstance(node.op, PerElement) and _size(node) >= _LEAST

    def _gap(self, node: Node) -> tuple[int, int, int] | None:
        """Return the places of the last use, an anchor, and the first use of a derivative."""
        before = self.place[node]
        for user in self._users[node]:
            after = self.place[user]
            k = bisect_left(self._anchors, after) - 1
            if user.role is not None and k >= 0 and self._anchors[k] > before:
                return before, self._anchors[k], after
            before = after
        return None

    def stays(self, node: Node, anchor: int) -> bool:
        """Return whether the value is in memory after the place ``anchor`` anyway."""
        base = self.base[node]
        return base in self._kept or self._last[base] > anchor

    def _sources(self, node: Node, anchor: int) -> list[Node] | None:
        """Return the values to keep for recomputing ``node``, ``None`` if they are too many."""
        found: list[Node] = []
        small = count = 0
        pending = [node]
        while pending and count < _LONGEST:
            count += 1
            for source in map(self.base.__getitem__, pending.pop().inputs):
                if self.stays(source, anchor):
                    found.append(source)
                elif 0 < (small + _size(source)) * _SMALL <= _size(node):
                    small += _size(source)
                    found.append(source)
                elif isinstance(source.op, PerElement):
                    pending.append(source)
                else:
                    return None
        return None if pending else found


def _is_fused(node: Node) -> bool:
    """Return whether the node may be fused into a loop nest, and so has no fixed time."""
    return isinstance(node.op, (PerElement, Reduction)) or is_view(node)


def _is_forward(node: Node) -> bool:
    """Return whether the node is not an adjoint; a step inside a rule must not depend on one."""
    return node.role is None or node.role.kind is RoleKind.LOCAL


def _size(node: Node) -> int:
    """Return the bytes of an array whose shape is known, else 0."""
    return node.type.nbytes if node.type.is_static else 0


class _Rewriting:
    """Builds the new graph."""

    def __init__(self, graph: Graph, search: _Search, anchors: dict[Node, Node]) -> None:
        self._graph, self._search, self._anchors = graph, search, anchors
        self._new: dict[Node, Node] = {}
        self._late: dict[Node, tuple[int, Node]] = {}

    def graph(self) -> Graph:
        """Return the graph in which late users read the recomputed values."""
        return rebuild(self._graph, self._visit)

    def _visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        place = self._search.place
        new = list(inputs)
        if not is_view(node):
            for slot, source in enumerate(node.inputs):
                anchor = self._anchors.get(self._search.base[source])
                if anchor is not None and place[anchor] < place[node]:
                    new[slot] = self._again(source, anchor, node.role)
        self._new[node] = replace_inputs(node, tuple(new))
        return self._new[node]

    def _again(self, node: Node, anchor: Node, role: Role[Node] | None) -> Node:
        """Return a node like ``node`` that is computed after ``anchor``."""
        role = role and role.of_kind(RoleKind.LOCAL)
        for missing in self._missing(node, self._search.place[anchor]):
            inputs = tuple(self._there(source, anchor) for source in missing.inputs)
            with creating(Creation(missing.scope, missing.site, role)):
                copy = replace_inputs(missing, inputs)
            self._late[missing] = self._search.place[anchor], copy
        return self._there(node, anchor)

    def _missing(self, node: Node, anchor: int) -> list[Node]:
        """Return the nodes to recompute for ``node``, sources first."""
        found: set[Node] = set()
        pending = [node]
        while pending:
            current = pending.pop()
            known = self._is_late(current, anchor) or self._search.stays(current, anchor)
            if current not in found and not known:
                found.add(current)
                pending += current.inputs
        return sorted(found, key=self._search.place.__getitem__)

    def _is_late(self, node: Node, anchor: int) -> bool:
        """Return whether the node has been recomputed recently."""
        return node in self._late and anchor - self._late[node][0] <= _NEAR

    def _there(self, node: Node, anchor: Node) -> Node:
        """Return the node for the value of ``node`` after ``anchor``."""
        if isinstance(node, Constant):
            return node
        place = self._search.place[anchor]
        if not self._is_late(node, place):
            late = apply(After(), self._new.get(node, node), self._new[anchor])
            self._late[node] = place, late
        return self._late[node][1]
