"""The walk over a graph that finds the state of every value, and what workers compute.

Most nodes stay as they are.  Those that depend on the size of the dimension get it as an input, and
some are replaced by expressions whose partial results can be merged: see :data:`EXPANSIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symad.distribution.moves import moved
from symad.distribution.partials import is_zero
from symad.distribution.states import (
    REPLICATED,
    Aligned,
    Combined,
    Items,
    Mixed,
    Monomial,
    Partial,
    SecondRound,
    State,
    product_of,
)
from symad.errors import DistributionError
from symad.graph.graph import Graph, replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.graph.provenance import creating
from symad.ops.adjoint import AddN, Identity
from symad.ops.arithmetic import Multiply
from symad.ops.control import Call
from symad.ops.shape import BroadcastTo
from symad.ops.size import AxisSize
from symad.ops.structure import MakeStructure, StructureItem
from symad.types import TensorType, UnknownShape

TRANSPARENT = (Call, MakeStructure, StructureItem)
"""Ops that pass their inputs on as they are."""
Expansion = Callable[["ChunkWalk", Node, tuple[Node, ...]], Node | None]

EXPANSIONS: dict[type[Op], Expansion] = {}
"""For a class of ops, a function of the walk, the node, and its new inputs; ``None`` to keep it.

That of the nearest base class is asked first.
"""


def expands(*kinds: type[Op]) -> Callable[[Expansion], Expansion]:
    """Register what replaces nodes of some classes of ops."""

    def register(expansion: Expansion) -> Expansion:
        EXPANSIONS.update(dict.fromkeys(kinds, expansion))
        return expansion

    return register


class ChunkWalk:
    """The states of the values of a graph, and the values on a chunk.

    Attributes
    ----------
    over : str
    in_loop : bool
        Whether the graph is the body of a loop, which cannot be cut.
    states : dict from Node to State
    size : Node
        The size of the whole dimension.
    zeros : set of Node
        Values that are known to be zeros, or false.
    local : dict from Node to Node
        For integers computed from sizes of the whole dimension, the same for the chunk.
    extents : dict from Node to Monomial
        Integers that are products of sizes; the dimension is represented by its name.
    positions : dict from Node to Node
        For each node 0, 1, ... that counts the elements of the dimension, that of the chunk.
    terms : dict from Node to dict from Node to Node
        Values that are sums of others, each times a combined number, by that number.
    groups : dict from Node to tuple of Node
        The partial results that are merged together with one of them.
    """

    def __init__(
        self,
        over: str,
        given: Mapping[Node, State],
        size: Node,
        zeros: Iterable[Node] = (),
        in_loop: bool = False,
    ) -> None:
        self.over = over
        self.in_loop = in_loop
        self.states: dict[Node, State] = dict(given)
        self.size = size
        self.states[size] = REPLICATED
        self.zeros: set[Node] = set(zeros)
        self.local: dict[Node, Node] = {}
        self.extents: dict[Node, Monomial] = {self.size: product_of((over,))}
        self.positions: dict[Node, Node] = {}
        self.terms: dict[Node, Mapping[Node, Node]] = {}
        self.groups: dict[Node, tuple[Node, ...]] = {}
        self._unknown_to_caller = {x for x, state in given.items() if isinstance(state, Aligned)}
        self._places: dict[Any, tuple[Node, int]] = {}
        for x in given:
            self._note_sizes(x)

    def run(self, graph: Graph, new: Mapping[Node, Node] | None = None) -> list[Node]:
        """Return what computes the outputs of a graph on a chunk.

        Its inputs have states, or ``new`` has nodes with states in their place.

        Raises
        ------
        DistributionError
            If an op needs elements of several chunks at once.
        """
        found = dict(zip(graph.inputs, graph.inputs, strict=True)) if new is None else dict(new)
        for node in graph.nodes:
            if node not in found:
                with creating(node):
                    found[node] = self._visit(node, tuple([found[x] for x in node.inputs]))
        return [found[node] for node in graph.outputs]

    def _visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is None:
            return self._leaf(node)
        op = node.op
        shaped = [x if op.reads(slot) else self._of_shape(x) for slot, x in enumerate(inputs)]
        try:
            return self.expanded(node, tuple(shaped))
        except Mixed as mixed:
            raise self.refusal(node, mixed) from None

    def _of_shape(self, x: Node) -> Node:
        """Return a value of the shape of ``x``, which has a state of its own."""
        return next(iter(self.terms[x].values())) if x in self.terms else x

    def expanded(self, node: Node, inputs: tuple[Node, ...] | None = None) -> Node:
        """Return what computes a node from new inputs, after finding its state."""
        given = node.inputs if inputs is None else inputs
        is_plain = self.terms.keys().isdisjoint(given) or isinstance(node.op, TRANSPARENT)
        for kind in type(node.op).__mro__:
            if kind in EXPANSIONS and (is_plain or kind is Op):
                made = EXPANSIONS[kind](self, node, given)
                if made is not None:
                    return made
        return self.placed(replace_inputs(node, given))

    def refusal(self, node: Node, mixed: Mixed) -> DistributionError:
        """Return the error for a node."""
        types, part = ", ".join(f"{x.label}: {x.type}" for x in node.inputs), ""
        if (role := node.role) is not None:
            forward = role.node if role.consumer is None else role.consumer
            part = f", in the derivative of {_op_name(forward)},"
        return DistributionError(
            f"{_op_name(node)}({types}){part} cannot be computed in chunks of {self.over!r}: "
            f"{mixed.why}",
            where=node.site.describe(),
            remedy=mixed.remedy,
        )

    # Nodes

    def apply(self, op: Op, *inputs: Node) -> Node:
        """Return the node that applies an op to nodes with states."""
        return self.placed(apply(op, *inputs))

    def placed(self, node: Node, state: State | None = None) -> Node:
        """Return a node after finding its state, if that is not given."""
        node = self._with_stand_ins(node)
        if state is None:
            state = moved(
                node, [self.states[x] for x in node.inputs], self.zeros, self.in_loop
            )
        self.states[node] = state
        if is_zero(node, self.zeros):
            self.zeros.add(node)
        is_own = isinstance(state, (Partial, Combined, Items))
        if isinstance(state, Aligned) or (not is_own and self._is_unknown_to_caller(node.inputs)):
            self._unknown_to_caller.add(node)
        self._follow_sizes(node)
        self._note_sizes(node)
        return node

    def _note_sizes(self, x: Node) -> None:
        """Note where symbolic sizes can be read that have nothing to do with the dimension."""
        state = self.states[x]
        own = state.axis if isinstance(state, Aligned) else None
        for axis, dim in enumerate(known_shape(x)):
            if axis != own and not isinstance(dim, int) and dim not in self._places:
                self._places[dim] = x, axis

    def _is_unknown_to_caller(self, nodes: Iterable[Node]) -> bool:
        return not self._unknown_to_caller.isdisjoint(nodes)

    def _with_stand_ins(self, node: Node) -> Node:
        """Return a node with constants in place of partial results of which it uses the shape."""
        assert node.op is not None
        slots = [
            slot
            for slot, x in enumerate(node.inputs)
            if not node.op.reads(slot) and isinstance(self.states[x], (Partial, Combined))
        ]
        if not slots:
            return node
        inputs = list(node.inputs)
        for slot in slots:
            type_ = inputs[slot].type
            if isinstance(type_, TensorType) and isinstance(type_.shape, tuple) and type_.is_static:
                zero = self.constant(0, type_.dtype)
                inputs[slot] = self.apply(BroadcastTo(type_.shape), zero) if type_.shape else zero
        return replace_inputs(node, tuple(inputs))

    def constant(self, value: Any, dtype: Any) -> Node:
        """Return a constant."""
        return self._leaf(Constant(value, dtype))

    def _leaf(self, node: Node) -> Node:
        self.states[node] = REPLICATED
        if is_zero(node, self.zeros):
            self.zeros.add(node)
        if isinstance(node, Constant) and node.ndim == 0 and node.dtype.kind in "iu":
            self.extents[node] = product_of((int(node.value),))
        return node

    def add(self, terms: Sequence[Node]) -> Node:
        """Return the sum of nodes."""
        return terms[0] if len(terms) == 1 else self.apply(AddN(), *terms)

    def structure(self, kind: str, keys: tuple[Any, ...], items: Sequence[Node | None]) -> Node:
        """Return a structure of nodes, of which each keeps its state."""
        present = [item for item in items if item is not None]
        op = MakeStructure(kind, keys, tuple([item is not None for item in items]))
        return self.placed(apply(op, *present), Items(tuple([self.states[x] for x in present])))

    def merged_together(self, merge: str, nodes: tuple[Node, ...]) -> None:
        """Note that nodes are the partial results of one merge."""
        for node in nodes:
            self.states[node] = Partial(merge)
            self.groups[node] = nodes

    # Sizes

    def _follow_sizes(self, node: Node) -> None:
        """Note what a size is in the whole dimension, and compute it for the chunk as well."""
        type_ = node.type
        if not isinstance(type_, TensorType) or type_.dtype.kind not in "iu" or type_.shape != ():
            return
        assert node.op is not None
        if isinstance(node.op, AxisSize):
            self.extents[node] = product_of((node.op.dimension(node.inputs[0].type),))  # type: ignore[arg-type]
        elif node.op.name in ("multiply", "cast", "identity"):
            parts = [self.extents.get(x) for x in node.inputs]
            if None not in parts:
                self.extents[node] = _product(parts)  # type: ignore[arg-type]
        if any(x in self.local for x in node.inputs):
            own = apply(node.op, *[self.local.get(x, x) for x in node.inputs])
            self.local[node] = own
            self.states[own] = Partial("sum")

    def whole_size(self, x: Node, axis: int) -> Node:
        """Return the size of an axis for the whole dimension; the state of ``x`` is known."""
        state = self.states[x]
        if not (isinstance(state, Aligned) and state.axis == axis):
            dim = known_shape(x)[axis] if known_shape(x) else None
            if isinstance(dim, int):
                return self.constant(dim, "int64")
            return self.apply(AxisSize(axis), x)
        factors = [(dim, n) for dim, n in state.times.symbols for _ in range(n)]
        nodes = [self.size, *[self._size_of(dim) for dim, _ in factors]]
        if state.times.number != 1:
            nodes.append(self.constant(state.times.number, "int64"))
        whole = self.product(nodes)
        if whole is self.size:
            whole = self.apply(Identity(), whole)
        own = apply(AxisSize(axis), x)
        self.local[whole], self.states[own] = own, Partial("sum")
        self.extents[whole] = state.times * product_of((self.over,))
        return whole

    def _size_of(self, dim: Any) -> Node:
        if dim not in self._places:
            raise Mixed(f"the size {dim!r} is not that of an axis without the dimension")
        x, axis = self._places[dim]
        return self.apply(AxisSize(axis), x)

    def product(self, nodes: Sequence[Node]) -> Node:
        """Return the product of integers."""
        total = nodes[0]
        for node in nodes[1:]:
            total = self.apply(Multiply(), total, node)
        return total

    def chunk_size(self, node: Node) -> Monomial | None:
        """Return how many times as long as the dimension an integer is, ``None`` if it is not."""
        extent = self.extents.get(node) if node in self.local else None
        times = None if extent is None else extent.over(product_of((self.over,)))
        is_multiple = times is not None and times.over(product_of((self.over,))) is None
        return times if is_multiple else None

    # The cut

    def frontier(self, outputs: Sequence[Node]) -> list[Node]:
        """Return the values that workers return, in the order in which ``outputs`` use them.

        Partial results that are merged together follow one another.
        """
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        pending = list(reversed(outputs))
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self.terms:
                raise self.refusal(node, SecondRound())
            if isinstance(self.states[node], Partial) or node in self._unknown_to_caller:
                found.update(dict.fromkeys(self.groups.get(node, (node,))))
            else:
                pending += reversed(node.inputs)
        return list(found)


def _op_name(node: Node) -> str:
    return node.op.name if node.op is not None else node.label


def known_shape(x: Node) -> tuple[Any, ...]:
    """Return the shape of a tensor whose rank is known, else no sizes."""
    shape = x.type.shape if isinstance(x.type, TensorType) else ()
    return () if isinstance(shape, UnknownShape) else shape


def _product(parts: Iterable[Monomial]) -> Monomial:
    total = product_of(())
    for part in parts:
        total = total * part
    return total

