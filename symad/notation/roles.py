"""The parts of a picture (forward graph, adjoints, tangents) and the role of each node."""

from __future__ import annotations

from enum import StrEnum

from symad.graph.node import Constant, Node, Parameter
from symad.graph.provenance import RoleKind
from symad.notation.labels import Labels
from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """The forward graph, or the derivatives of one generation; they sort from left to right.

    Attributes
    ----------
    generation : int
        0 for the forward graph.
    family : {"forward", "adjoint", "tangent"}
    """

    generation: int
    family: str

    @property
    def id(self) -> str:
        """The ``id`` of its background in DOT and SVG."""
        return f"{self.family}_{self.generation}"

    @property
    def runs_upwards(self) -> bool:
        """Whether its arrows point up, so that its nodes are next to those of the forward graph."""
        return self.family == "adjoint" and self.generation == 1

    def __lt__(self, other: Part) -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[int, int]:
        """Tangents are next to the forward graph and flow in the same direction."""
        return self.generation, ("forward", "tangent", "adjoint").index(self.family)

    @property
    def title(self) -> str:
        """The heading of the part in a picture."""
        if self.family == "forward":
            return "forward graph"
        order = f" of generation {self.generation}" if self.generation > 1 else ""
        return f"{self.family}s{order}"


class Kind(StrEnum):
    """The role of a node, as distinguished in a picture."""

    VARIABLE = "variable"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    PORT = "input of a loop's body"
    OPERATION = "operation"
    SEED = "seed"
    PARTIAL = "partial adjoint"
    IDENTITY = "identity: the local derivative is 1"
    SUM = "sum of partial adjoints"
    TANGENT = "tangent"
    LOCAL = "step inside a rule"
    REPAIR = "shape repair"
    FOLDED = "several nodes folded into one"


_BY_ROLE = {
    RoleKind.SEED: Kind.SEED,
    RoleKind.PARTIAL: Kind.PARTIAL,
    RoleKind.SUM: Kind.SUM,
    RoleKind.REPAIR: Kind.REPAIR,
    RoleKind.LOCAL: Kind.LOCAL,
}


_COMPUTED = (RoleKind.LOCAL, RoleKind.SUM)
"""Roles that a number cannot have, although the value of a node in such a role may be one."""
_ADDITIONS = ("add", "add_n")


def part_of(node: Node, labels: Labels) -> Part:
    """Return the part of a picture that a node belongs to."""
    role = labels.role_of(node)
    if role is None:
        return Part(0, "forward")
    symbol = labels.of(node)
    tangent = role.kind is RoleKind.TANGENT or (symbol is not None and symbol.mark == "dot")
    return Part(role.generation, "tangent" if tangent else "adjoint")


def kind_of(node: Node, labels: Labels) -> Kind:
    """Return the role of a node."""
    role = labels.role_of(node)
    if role is not None and role.kind is RoleKind.TANGENT:
        if isinstance(node, Constant):
            return Kind.CONSTANT
        return Kind.TANGENT if labels.of(node) else Kind.LOCAL
    op = "" if node.op is None else node.op.name
    if role is not None and not (isinstance(node, Constant) and role.kind in _COMPUTED):
        if role.kind is RoleKind.PARTIAL and op == "identity":
            return Kind.IDENTITY
        if role.kind is RoleKind.SUM and op not in _ADDITIONS:
            return Kind.OPERATION  # passes compute the same value in another way
        return _BY_ROLE[role.kind]
    if isinstance(node, Constant):
        return Kind.CONSTANT
    if isinstance(node, Parameter):
        return Kind.PARAMETER
    return Kind.VARIABLE if node.op is None else Kind.OPERATION
