"""Wires: the values of a graph, followed while rewrite rules change the graph.

A rule replaces a node by another that computes the same value.  A *wire* represents this value.
Its node may be replaced by a node of another op, or the wire may be joined to another wire of the
same value.  A picture can therefore keep a wire in its place while the graph around it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.traverse import topological_order


class Wires:
    """The wires of a graph, updated with each rewrite.

    Attributes
    ----------
    node : list of Node
        For each wire, the node that computes it, or the last one that did.
    inputs : list of list of int
        For each wire, the wires that it is computed from.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = x * 1
    >>> wires = Wires(sm.Graph([sm.sin(y)]))
    >>> [wires.node[wire].label for wire in wires.alive()]
    ['x', '1', 'multiply', 'sin']
    >>> wires.replace(y, x)
    >>> [wires.node[wire].label for wire in wires.alive()]
    ['x', 'sin']
    """

    def __init__(self, graph: Graph) -> None:
        self.node: list[Node] = []
        self.inputs: list[list[int]] = []
        self._wire_of: dict[Node, int] = {}
        self._joined: dict[int, int] = {}
        self._known: dict[object, int] = {}  # from the key of a computation to its wire
        self._replaced: dict[object, int] = {}  # the same, for computations that rules replaced
        for node in graph.nodes:
            self._add(node, [self._wire_of[source] for source in node.inputs])
        self._inputs = [self._wire_of[n] for n in graph.inputs if n in self._wire_of]
        self._outputs = [self._wire_of[node] for node in graph.outputs]

    def find(self, wire: int) -> int:
        """Return the wire that a wire has been joined to, or itself."""
        while wire in self._joined:
            wire = self._joined[wire]
        return wire

    def wire(self, node: Node) -> int:
        """Return the wire that has the value of a node; a new wire if there is none."""
        for part in topological_order([node], stop=self._wire_of):
            if part in self._wire_of:
                continue
            inputs = [self.find(self._wire_of[source]) for source in part.inputs]
            known = self._known.get(_key(part, inputs))
            if known is None:
                self._add(part, inputs)
            else:
                self._wire_of[part] = known
        return self.find(self._wire_of[node])

    def replace(self, old: Node, new: Node) -> None:
        """Follow a rewrite of ``old`` to ``new``."""
        wire = self.wire(old)
        self._replaced[self._key(wire)] = wire
        inputs = [self.wire(source) for source in new.inputs]
        known = self._wire_of.get(new, self._known.get(_key(new, inputs)))
        if known is None:
            self._put(wire, new, inputs)
        elif self.find(known) != wire:
            self._joined[wire] = self.find(known)
        self.share()

    def join(self, wire: int, other: int) -> None:
        """Join a wire to another one."""
        wire, other = self.find(wire), self.find(other)
        if wire != other:
            self._joined[wire] = other

    def follow(self, graph: Graph) -> None:
        """Follow a pass whose result is ``graph``.

        A new node takes the wire of a removed node that had the same role and op, computed the
        same, or came from the same line; an output takes that of the previous output.
        """
        before, count = self.outputs(), len(self.node)
        for wire, node in zip(self._inputs, graph.inputs, strict=False):
            self._put(self.find(wire), node, [])
        kept = {self.find(self._wire_of[node]) for node in graph.nodes if node in self._wire_of}
        gone: dict[object, list[int]] = {}
        for wire in reversed(self.alive()):
            if wire not in kept:
                for trait in self._traits(self.node[wire], self.sources(wire)):
                    gone.setdefault(trait, []).append(wire)
        for node in graph.nodes:
            if node in self._wire_of:
                continue
            inputs = [self.find(self._wire_of[source]) for source in node.inputs]
            stacks = [gone.get(trait, []) for trait in self._traits(node, inputs)]
            for stack in stacks:
                while stack and stack[-1] in kept:
                    stack.pop()
            wire = next((stack[-1] for stack in stacks if stack), len(self.node))
            kept.add(wire)
            self._put(wire, node, inputs)
        self._outputs = [self.wire(node) for node in graph.outputs]
        now = set(self.alive())
        for old, new in zip(before, self._outputs, strict=True):
            if new >= count and old not in now and new not in self._joined:
                self._put(old, self.node[new], self.inputs[new])
                self._joined[new] = old
        self._known = {self._key(wire): wire for wire in reversed(self.alive())}
        self._replaced = {}

    @staticmethod
    def _traits(node: Node, inputs: list[int]) -> Iterator[object]:
        """Yield the traits that a node shares with its replacement, the most reliable first."""
        if node.role is not None:
            yield node.op, node.role
            yield node.role
        yield _key(node, inputs)
        yield type(node.op), node.site, node.name

    def _put(self, wire: int, node: Node, inputs: list[int]) -> None:
        """Assign a wire, which may be new, to a node."""
        if wire == len(self.node):
            self._add(node, inputs)
        else:
            self._wire_of[node] = wire
            self.node[wire], self.inputs[wire] = node, inputs

    def share(self) -> None:
        """Join wires that compute the same.

        A wire that computes the same as one that a rule has replaced is replaced too: the rewriter
        shares equal nodes, and so applies the rule only once.
        """
        self._known = {}
        for wire in self.alive():
            key = self._key(wire)
            first = self._replaced.get(key, wire)
            first = self.find(first if first != wire else self._known.setdefault(key, wire))
            if first != wire:
                self._joined[wire] = first

    def sources(self, wire: int) -> list[int]:
        """Return the wires that a wire is computed from, with joins resolved."""
        return [self.find(source) for source in self.inputs[wire]]

    def alive(self) -> list[int]:
        """Return the wires that the outputs depend on, inputs before users."""
        order: list[int] = []
        done: set[int] = set()
        stack = [(wire, False) for wire in reversed(self.outputs())]
        while stack:
            wire, ready = stack.pop()
            if ready:
                order.append(wire)
            elif wire not in done:
                done.add(wire)
                stack.append((wire, True))
                stack += [(source, False) for source in reversed(self.sources(wire))]
        return order

    def outputs(self) -> list[int]:
        """Return the wires of the results."""
        return [self.find(wire) for wire in self._outputs]

    def edges(self, wires: Iterable[int]) -> Iterator[tuple[int, int, int]]:
        """Yield source, user and slot of the edges into some wires."""
        for wire in wires:
            for slot, source in enumerate(self.sources(wire)):
                yield source, wire, slot

    def _add(self, node: Node, inputs: list[int]) -> None:
        self._wire_of[node] = len(self.node)
        self._known.setdefault(_key(node, inputs), len(self.node))
        self.node.append(node)
        self.inputs.append(inputs)

    def _key(self, wire: int) -> object:
        return _key(self.node[wire], self.sources(wire))


def _key(node: Node, inputs: list[int]) -> object:
    """Return a key that is equal for nodes that compute the same."""
    if isinstance(node, Constant):
        return node.type, node.value.tobytes()
    if node.op is None:
        return node
    ordered = sorted(inputs) if node.op.commutative and len(inputs) == 2 else inputs
    return node.op, tuple(ordered)
