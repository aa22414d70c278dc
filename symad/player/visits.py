"""What the gradient pass did, node by node, as the player tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symad.graph.node import Node
from symad.graph.provenance import RoleKind
from symad.player.subject import Subject


@dataclass(frozen=True)
class Partial:
    """What was left at one input of a node that was visited: v̄_{k→i}.

    Attributes
    ----------
    slot : int
    product : Node
        What the op's rule made.
    partial : Node
        The same after shape repair.
    """

    slot: int
    product: Node
    partial: Node


@dataclass(frozen=True)
class Visit:
    """A node of which the gradient pass found the adjoint and left partial adjoints.

    Attributes
    ----------
    node : Node
    contributions : tuple of Node
        What its consumers had left.
    adjoint : Node
    partials : list of Partial
    """

    node: Node
    contributions: tuple[Node, ...]
    adjoint: Node
    partials: list[Partial]


class Course:
    """The course that the gradient pass took.

    Parameters
    ----------
    subject : Subject
    visits : sequence of Visit
        In the order in which they were made.
    results : sequence of Node
        The adjoints that were asked for.
    generation : int
        Of the adjoints: 1 for a first derivative.

    Attributes
    ----------
    forward : list of Node
        What was differentiated: by number, and then the derivatives that were there before.
    made : dict
        What the rules made for each edge: for source, consumer and slot.
    """

    def __init__(
        self, subject: Subject, visits: Sequence[Visit], results: Sequence[Node], generation: int
    ) -> None:
        self.subject = subject
        self.visits = visits
        self.results = results
        self.generation = generation
        self.forward = [n for n in subject.labels.forward if n in subject.ids and n.role is None]
        self.forward += [n for n in subject.view.nodes if n.role is not None and self.is_old(n)]
        self.made: dict[tuple[Node, Node, int], list[Node]] = {}
        for node in subject.view.nodes:
            role = node.role
            if role is not None and role.consumer is not None and role.slot is not None:
                key = (subject.view.behind(role.node), role.consumer, role.slot)
                self.made.setdefault(key, []).append(node)

    def is_old(self, node: Node) -> bool:
        """Return whether a node was there before the extension."""
        return node.role is None or node.role.generation < self.generation


def has_role(node: Node, kind: RoleKind) -> bool:
    """Return whether a node plays a part in a derivative, and which."""
    return node.role is not None and node.role.kind is kind
