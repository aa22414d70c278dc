"""Views: the nodes of a graph without the shape repairs that do nothing.

While shapes are unknown, the gradient pass must add a shape repair wherever broadcasting may have
happened.  Most do nothing for the shapes that are fed.  A view looks *through* them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np

from symad.graph.graph import Graph, Lineage
from symad.graph.node import Node
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order
from symad.notation.bodies import Bodies
from symad.ops.adjoint import ShapeRepair
from symad.records import dataclass
from symad.types import TensorType, UnknownShape

_REPAIRING = frozenset({RoleKind.REPAIR, RoleKind.SEED, RoleKind.TANGENT})

Values = Mapping[Node, Any]


@dataclass(frozen=True)
class Source:
    """An input of a node in a view.

    Attributes
    ----------
    node : Node
        The input itself, or the input of a shape repair that is looked through.
    slot : int
    repaired : bool
        Whether a shape repair is looked through.
    shape_only : bool
        Whether only the shape of the input matters.
    """

    node: Node
    slot: int
    repaired: bool
    shape_only: bool


class View:
    """The nodes that some outputs depend on, and the nodes that their roles refer to.

    A graph made by passes is shown as it runs: only its nodes, including shape repairs.

    Parameters
    ----------
    seen : iterable of Node, or Graph
    values : mapping from Node to value, optional
        The values of a feed, which determine the shape repairs that do nothing.
    repairs : bool
        Whether to show all shape repairs.
    heirs : mapping from Node to Node, optional
        The heirs in a graph made by passes from this one: a repair that is missing there does
        nothing.
    opened : bool
        Whether to look into bodies.

    Attributes
    ----------
    outputs : tuple of Node
    lineage : Lineage or None
        Set for a graph made by passes.
    nodes : list of Node
        The nodes that the outputs depend on, inputs before users, without skipped shape repairs.
    related : list of Node
        The same together with all nodes that roles refer to, such as the output whose seed is a
        constant, and all shape repairs.
    bodies : Bodies
        Those that are looked into.
    inside : list of Node
        The nodes in the bodies, and those that their roles refer to, without skipped ones; they are
        not among ``nodes``.
    through : dict
        From each node that is looked through to the node behind it: shape repairs, and inputs of
        bodies that only stand for other nodes.
    values : mapping from Node to value
        Empty without a feed.
    """

    def __init__(
        self,
        seen: Iterable[Node] | Graph,
        values: Values | None = None,
        repairs: bool = False,
        heirs: Mapping[Node, Node] | None = None,
        opened: bool = False,
    ) -> None:
        self.outputs = tuple(dict.fromkeys(seen.outputs if isinstance(seen, Graph) else seen))
        self.values: Values = values or {}
        self.through: dict[Node, Node] = {}
        made = seen if isinstance(seen, Graph) and seen.lineage is not None else None
        self.lineage: Lineage | None = None if made is None else made.lineage
        reached = topological_order(self.outputs) if made is None else list(made.nodes)
        self.related = _related(self.outputs, reached)
        self.bodies = Bodies(reached if opened else ())
        inside = self._look_inside(set(reached))
        if not repairs and made is None:
            for node in self.related:
                if _does_nothing(node, self.values, self.through, heirs or {}):
                    source = node.inputs[0]
                    self.through[node] = self.through.get(source, source)
        for own, behind in self.bodies.same.items():
            while behind in self.bodies.same and behind is not own:  # which stands there later on
                behind = self.bodies.same[behind]
            self.through[own] = self.through.get(behind, behind)
        self.inside = [node for node in inside if node not in self.through]
        self.nodes = [node for node in reached if node not in self.through]
        known = set(self.nodes)
        self.nodes += [n for n in map(self.behind, self.outputs) if n not in known]
        self._omitted: frozenset[Node] = frozenset()

    def only(self, nodes: Collection[Node]) -> View:
        """Return a view that omits the shown nodes that are not among some."""
        view = copy(self)
        view._omitted = frozenset(node for node in self.nodes if node not in nodes)
        view.nodes = [node for node in self.nodes if node in nodes]
        return view

    def shows(self, node: Node) -> bool:
        """Return whether a node is not omitted."""
        return node not in self._omitted

    def _look_inside(self, outside: set[Node]) -> list[Node]:
        """Add the nodes in bodies to the related ones, and return them."""
        if not self.bodies.graphs:
            return []
        known = set(self.related)
        outputs = tuple(node for body in self.bodies.graphs for node in body.outputs)
        within = dict.fromkeys(node for nodes in self.bodies.nodes() for node in nodes)
        leaves_first = sorted(within, key=lambda node: node.op is not None)
        found = dict.fromkeys((*leaves_first, *_related(outputs, list(within))))
        self.related += [node for node in found if node not in known]
        return [node for node in found if node not in outside]

    @property
    def everything(self) -> list[Node]:
        """The shown nodes and those in bodies, inputs before users."""
        return [*self.nodes, *self.inside]

    def behind(self, node: Node) -> Node:
        """Return the node that is shown in place of ``node``."""
        return self.through.get(node, node)

    def sources(self, node: Node) -> list[Source]:
        """Return the inputs of ``node`` as shown."""
        reads = node.op.reads if node.op is not None else None
        found = []
        for slot, source in enumerate(node.inputs):
            repaired, behind = source in self.through and source.op is not None, self.behind(source)
            if behind not in self._omitted:
                found.append(Source(behind, slot, repaired, not (reads and reads(slot))))
        return found


def _related(outputs: tuple[Node, ...], reached: list[Node]) -> list[Node]:
    """Return all nodes that ``outputs`` or roles refer to, inputs before users.

    The forward outputs come first, then the differentiated nodes, so that the order does not depend
    on which derivatives are among the outputs.
    """
    known = dict.fromkeys(reached)
    referred: list[Node] = []
    pending = reached
    while pending:
        found: list[Node] = []
        for node in pending:
            if node.role is not None:
                found += [n for n in (node.role.node, node.role.consumer) if n is not None]
        referred += found
        fresh = [node for node in dict.fromkeys(found) if node not in known]
        pending = [node for node in topological_order(fresh, stop=known) if node not in known]
        known.update(dict.fromkeys(pending))
    seeds = [n.role.node for n in known if n.role and n.role.kind is RoleKind.SEED]
    forward = [n for n in (*outputs, *seeds, *referred) if n.role is None]
    return topological_order([*dict.fromkeys(forward), *outputs, *known])


def _does_nothing(
    node: Node, values: Values, through: Mapping[Node, Node], heirs: Mapping[Node, Node]
) -> bool:
    """Return whether a shape repair does nothing, or, without values, possibly does nothing."""
    role = node.role
    if role is None or not isinstance(node.op, ShapeRepair):
        return False
    undone = role.kind is RoleKind.PARTIAL and role.consumer in through
    if role.kind not in _REPAIRING and not undone:
        return False
    x, like = node.inputs[:2]
    if node in values and x in values:
        return np.shape(values[node]) == np.shape(values[x])
    if node in heirs or x in heirs:
        return node not in heirs or heirs[node] is heirs.get(x)
    return has_unknown_shape(x) or has_unknown_shape(like)


def has_unknown_shape(node: Node) -> bool:
    """Return whether not even the number of axes of ``node`` is known."""
    type_ = node.type
    return isinstance(type_, TensorType) and isinstance(type_.shape, UnknownShape)
