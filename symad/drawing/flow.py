"""The direction of each derivative, so that its nodes can be drawn beside their own nodes.

The forward graph flows down.  Adjoints flow in the opposite direction of their nodes, tangents in
the same direction.  A second derivative has adjoints of the forward graph, which flow up, and
adjoints of the first adjoints, which flow down; arrows between the two constrain no height.
"""

from __future__ import annotations

from symad.graph.node import Node
from symad.graph.provenance import RoleKind
from symad.notation.labels import Labels
from symad.notation.roles import Part, part_of
from symad.notation.view import View


class Flow:
    """The directions in which the nodes of a view are computed.

    Parameters
    ----------
    view : View
    labels : Labels
    """

    def __init__(self, view: View, labels: Labels) -> None:
        self._view = view
        self._part: dict[Node, Part] = {}
        self._rises: dict[Node, bool] = {}
        for node in sorted(view.related, key=_rank):
            self._part[node] = part = part_of(node, labels)
            beside = self._beside(node)
            against = part.family == "adjoint"
            self._rises[node] = node.role is not None and self._rises[beside] != against

    def rises(self, node: Node) -> bool:
        """Return whether the inputs of ``node`` are drawn below it."""
        return self._rises[node]

    def agrees(self, source: Node, node: Node) -> bool:
        """Return whether an arrow in a part constrains heights: both ends flow the same way."""
        if source.role is None or node.role is None or source.role.kind is RoleKind.LOCAL:
            return True
        return self._part[self._beside(source)] == self._part[self._beside(node)]

    def _beside(self, node: Node) -> Node:
        """Return the node that a derivative is drawn beside."""
        return node if node.role is None else node.role.node


def _rank(node: Node) -> tuple[int, bool]:
    """Return a number that is greater than that of the node which ``node`` is drawn beside."""
    role = node.role
    return (0, False) if role is None else (role.generation, not role.is_of_form)
