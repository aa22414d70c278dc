"""What is inside the nodes of a graph: the bodies of loops, branches and maps, at any depth.

A node may belong to several bodies: the adjoint of a loop computes steps of the loop again.  It has
one name in all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.notation.values import counted
from symad.ops.adjoint import Cast
from symad.ops.base import tensor_types
from symad.ops.body import WithBody, own_generation
from symad.ops.branch import Branch
from symad.ops.control import Map
from symad.ops.loops import Scan, While
from symad.records import dataclass
from symad.types import Dimension

_SHOWN = (Map, Scan, While, Branch)


@dataclass(frozen=True, slots=True)
class Port:
    """What an input of a body represents.

    Attributes
    ----------
    owner : Node
        The node with the body.
    slot : int
        The place among the body's inputs.
    """

    owner: Node
    slot: int

    @property
    def outer(self) -> Node:
        """The input of the owner: a value, a sequence that it is an element of, a first carry."""
        return self.owner.inputs[_op(self.owner).leading + self.slot]

    @property
    def is_carry(self) -> bool:
        """Whether it is the result of the step before."""
        op = self.owner.op
        return isinstance(op, (Scan, While)) and self.slot < op.carries

    @property
    def is_element(self) -> bool:
        """Whether it is an element of a sequence."""
        return not self.is_carry and self.slot < _op(self.owner).own_inputs()


class Bodies:
    """The bodies of the nodes of a graph that are told, those of derivatives included.

    Parameters
    ----------
    nodes : iterable of Node

    Attributes
    ----------
    owners : list of Node
        The nodes with bodies, outer before inner ones.
    ports : dict from Node to Port
        The inputs of the bodies, in order.
    same : dict from Node to Node
        From each input that only stands for another node to that node: an input of another body of
        the same op, or outside.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.owners: list[Node] = []
        self.ports: dict[Node, Port] = {}
        self.same: dict[Node, Node] = {}
        self._known: set[Node] = set()
        pending = [node for node in nodes if is_told(node)]
        seen = set(pending)
        for node in pending:  # grows as it goes
            self._open(node)
            inner = (n for body in _op(node).bodies for n in body.nodes if is_told(n))
            fresh = [n for n in dict.fromkeys(inner) if n not in seen]
            pending += fresh
            seen.update(fresh)

    @property
    def graphs(self) -> list[Graph]:
        """All bodies."""
        return [body for owner in self.owners for body in _op(owner).bodies]

    def nodes(self) -> Iterator[list[Node]]:
        """Yield the nodes in the bodies of each owner, used inputs first."""
        for owner in self.owners:
            bodies = _op(owner).bodies
            found = [node for body in bodies for node in body.nodes]
            used = {self.same.get(node, node) for node in found}
            yield [*(node for node in bodies[-1].inputs if node in used), *found]

    def _open(self, node: Node) -> None:
        op = _op(node)
        *others, body = op.bodies
        self.owners.append(node)
        for slot, own in enumerate(body.inputs):
            port = Port(node, slot)
            earlier = own_generation(port.outer) < op.generation
            named = port.is_carry or port.is_element or not earlier
            if own not in self._known and not named and own not in _told_about(op):
                self.same[own] = port.outer
            self.ports.setdefault(own, port)
            for other in others:
                if other.inputs[slot] is not own:
                    self.same.setdefault(other.inputs[slot], own)
        self._known.update(n for graph in op.bodies for n in graph.nodes)


def is_loop(node: Node) -> bool:
    """Return whether a node is a loop, a branch or a map."""
    return isinstance(node.op, _SHOWN)


def is_told(node: Node) -> bool:
    """Return whether pictures and explanations tell what is inside a node."""
    op = node.op
    if isinstance(op, WithBody):
        return isinstance(op, _SHOWN) or (node.role is not None and op.generation > 0)
    return False


def _op(node: Node) -> WithBody:
    assert isinstance(node.op, WithBody)
    return node.op


def _told_about(op: WithBody) -> Collection[Node]:
    """Return the nodes that the roles of the nodes in a body refer to."""
    roles = [node.role for body in op.bodies for node in body.nodes if node.role is not None]
    return {node for role in roles for node in (role.node, role.consumer) if node is not None}


# Words


def title_of(node: Node) -> str:
    """Return what a loop is called: ``scan, 1,000 steps``."""
    op = node.op
    if isinstance(op, Scan):
        return _with_count("scan backwards" if op.backwards else "scan", op.length, "step")
    if isinstance(op, While):
        return "while" if op.max_steps is None else f"while, at most {op.max_steps:,} steps"
    if isinstance(op, Map):
        (type_,) = tensor_types(node.inputs[0].type)
        length = type_.shape[0] if isinstance(type_.shape, tuple) else None
        return _with_count("map", length, "element")
    return "cond" if _is_condition(node) else "switch"


def _with_count(name: str, length: Dimension | None, one: str) -> str:
    if isinstance(length, int):
        return f"{name}, {counted(length, one)}"
    return f"{name} over “{length}”" if isinstance(length, str) else name


def titles_of_bodies(node: Node) -> list[str]:
    """Return what each body of a loop is called; empty for the only one."""
    op = _op(node)
    if isinstance(op, While):
        return ["condition", "step"]
    if _is_condition(node):
        return ["if false", "if true"]
    return [f"branch {k}" for k in range(len(op.bodies))] if isinstance(op, Branch) else [""]


def _is_condition(node: Node) -> bool:
    """Return whether a branch is chosen by a truth value."""
    if not isinstance(node.op, Branch):
        return False
    index = node.inputs[0]
    return isinstance(index.op, Cast) and index.inputs[0].dtype == bool


def named_results(node: Node) -> list[tuple[str, Node | None]]:
    """Return a word for each result of a loop, and the node of a body that it is made of."""
    op = _op(node)
    if isinstance(op, Branch):
        return [("of the branch taken", None) for _ in op.branches[0].outputs]
    outputs = op.bodies[-1].outputs
    carries = op.carries if isinstance(op, (Scan, While)) else 0
    words: list[tuple[str, Node | None]] = [
        ("last" if k < carries else "all", output) for k, output in enumerate(outputs)
    ]
    return [*words, ("number of steps", None)] if isinstance(op, While) else words
