"""Ops with bodies: the walk goes through their bodies, with the states of what enters them.

A map is cut as the whole graph is: one map for workers, one for the caller.  A loop or a branch is
not, so its partial results must pass through it as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symad.distribution.alignment import not_along
from symad.distribution.combine import WIDTHS
from symad.distribution.partials import NEUTRAL
from symad.distribution.states import (
    COMBINED,
    REPLICATED,
    Aligned,
    Combined,
    Mixed,
    Partial,
    Replicated,
    SecondRound,
    State,
)
from symad.distribution.walk import ChunkWalk, expands
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.ops.body import WithBody, placeholder
from symad.ops.branch import Branch
from symad.ops.control import Call, Map
from symad.ops.loops import Scan, While
from symad.ops.structure import StructureItem
from symad.types import StructureType

Given = Sequence[Node]


def _is_like_any_op(walk: ChunkWalk, nodes: Sequence[Node]) -> bool:
    """Return whether it does not matter what the bodies do, outside of loops if at all."""
    states = [walk.states[x] for x in nodes]
    if walk.in_loop:
        return all(state == REPLICATED for state in states)
    return not any(isinstance(state, Aligned) for state in states)


def _results(walk: ChunkWalk, made: Node, states: Sequence[State]) -> list[Node]:
    """Return the results of a node, which has a tuple of them or one."""
    if not isinstance(made.type, StructureType):
        return [walk.placed(made, states[0])]
    walk.placed(made, REPLICATED)  # never used by itself
    return [
        walk.placed(apply(StructureItem(key), made), state)
        for key, state in zip(made.type.keys, states, strict=True)
    ]


def _as_value(walk: ChunkWalk, node: Node, results: Sequence[Node]) -> Node:
    """Return results as the value of a node, which is a structure if the node's is."""
    if not isinstance(node.type, StructureType):
        return results[0]
    return walk.structure(node.type.kind, node.type.keys, results)


# Calls


@expands(Call)
def _call(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Compute the body in place of a call."""
    op = node.op
    assert isinstance(op, Call)
    if _is_like_any_op(walk, inputs):
        return None
    results = walk.run(op.body, dict(zip(op.body.inputs, inputs, strict=True)))
    return _as_value(walk, node, results)


# Maps


@expands(Map)
def _map(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, Map)
    if _is_like_any_op(walk, inputs):
        return None
    states = [walk.states[x] for x in inputs]
    rows = states[: op.sequences]
    if any(isinstance(state, Aligned) and state.axis == 0 for state in rows):
        return _map_over_dimension(walk, node, op, inputs)
    given = [_of_element(state) for state in rows] + states[op.sequences :]
    return _as_value(walk, node, MapOfChunks(walk, op, inputs, given).results())


def _of_element(state: State) -> State:
    return Aligned(state.axis - 1, state.times) if isinstance(state, Aligned) else state


def _map_over_dimension(walk: ChunkWalk, node: Node, op: Map, inputs: tuple[Node, ...]) -> Node:
    """Map over the elements of a chunk: each must be computed by itself."""
    rows = inputs[: op.sequences]
    for x in rows:
        if walk.states[x] != walk.states[rows[0]]:
            raise not_along(x)
    whole = [walk.states[x] for x in inputs[op.sequences :]]
    inner = _inner(walk, op.body, [REPLICATED] * len(rows) + whole, walk.in_loop)
    outputs = inner.run(op.body)
    for output in outputs:
        if inner.states[output] == COMBINED and not all(
            isinstance(state, (Aligned, Replicated)) for state in whole
        ):
            raise SecondRound()
        if inner.states[output] != REPLICATED:
            raise Mixed("each element of the dimension is computed from all its elements")
    made = _with_size(walk, inner, op, [outputs], inputs)
    return _as_value(walk, node, _results(walk, made, [walk.states[rows[0]]] * len(outputs)))


def _inner(
    walk: ChunkWalk, body: Graph, given: Sequence[State], in_loop: bool, zeros: Sequence[Node] = ()
) -> ChunkWalk:
    states = dict(zip(body.inputs, given, strict=True))
    return ChunkWalk(walk.over, states, placeholder(walk.size), zeros, in_loop)


def _with_size(
    walk: ChunkWalk, inner: ChunkWalk, op: WithBody, outputs: Sequence[Given], inputs: Given
) -> Node:
    """Return an op whose bodies have new outputs, and the size of the dimension as last input."""
    bodies = [
        Graph(new, [*body.inputs, inner.size])
        for new, body in zip(outputs, op.bodies, strict=True)
    ]
    if not any(inner.size in body.nodes for body in bodies):
        bodies = [Graph(body.outputs, body.inputs[:-1]) for body in bodies]
        return apply(op.with_bodies(*bodies), *inputs)
    return apply(op.with_bodies(*bodies), *inputs, walk.size)


def _with_other_size(graph: Graph, size: Node) -> list[Node]:
    """Return the outputs of a graph with another node for its last input, the size."""
    return list(rebuild(graph, replace_inputs, {graph.inputs[-1]: size}).outputs)


class MapOfChunks:
    """A map over something else than the dimension, as a map for workers and others for the caller.

    Attributes
    ----------
    inner : ChunkWalk
        That through the body.
    """

    def __init__(self, walk: ChunkWalk, op: Map, inputs: Given, given: Sequence[State]) -> None:
        self._walk = walk
        self.inner = _inner(walk, op.body, given, walk.in_loop)
        self._outputs = self.inner.run(op.body)
        self._each = dict(zip(op.body.inputs[: op.sequences], inputs, strict=False))
        whole = zip(op.body.inputs[op.sequences :], inputs[op.sequences :], strict=True)
        self._whole = {**dict(whole), self.inner.size: walk.size}

    def results(self) -> list[Node]:
        """Return the results of the map, with states."""
        inner = self.inner
        front = inner.frontier(self._outputs)
        states = [_of_stack(inner.states[x]) for x in front]
        made = self._mapped(front, self._each, states) if front else {}
        for x in front:
            if x in inner.groups and made[x] not in self._walk.groups:
                state = inner.states[x]
                assert isinstance(state, Partial)
                parts = tuple([made[each] for each in inner.groups[x]])
                self._walk.merged_together(state.merge, parts)
        rest = {x: placeholder(x) for x in front}
        for wanted in (REPLICATED, COMBINED):
            outputs = [y for y in self._outputs if y not in made and inner.states[y] == wanted]
            if outputs:
                new = rebuild(Graph(outputs, [*front, *self._each, *self._whole]), replace_inputs,
                              dict(rest))  # fmt: skip
                elements = {**{rest[x]: made[x] for x in front}, **self._each}
                found = self._mapped(new.outputs, elements, [wanted] * len(outputs))
                made |= dict(zip(outputs, found.values(), strict=True))
        return [made[y] for y in self._outputs]

    def _mapped(
        self, outputs: Sequence[Node], each: Mapping[Node, Node], states: Sequence[State]
    ) -> dict[Node, Node]:
        """Return the values of nodes of the body for all elements, by node."""
        used = set(Graph(outputs, [*each, *self._whole]).nodes)
        rows = [x for x in each if x in used] or self._some_sequence(each)
        whole = [x for x in self._whole if x in used]
        op = Map(Graph(outputs, [*rows, *whole]), len(rows))
        values = [each[x] for x in rows], [self._whole[x] for x in whole]
        made = apply(op, *values[0], *values[1])
        return dict(zip(outputs, _results(self._walk, made, states), strict=True))

    def _some_sequence(self, each: Mapping[Node, Node]) -> list[Node]:
        """Return a sequence that says how many elements there are; the caller must know it."""
        known = [x for x in each if not isinstance(self._walk.states[each[x]], Aligned)]
        return [*known, *each][:1]


def _of_stack(state: State) -> State:
    return Aligned(state.axis + 1, state.times) if isinstance(state, Aligned) else state


# Loops and branches


class RoundInEachStep(Mixed):
    """A loop or branch uses combined values other than linearly."""

    def __init__(self) -> None:
        super().__init__(
            "in a loop or branch, a value that is combined over the dimension is used further, "
            "which needs a round of communication in each step",
            "Return the sums from it, and compute the rest after it.",
        )


def _require_passing(states: Sequence[State]) -> None:
    """Raise an error if a result of a loop is not one that workers may return."""
    for state in states:
        if isinstance(state, Combined) or (isinstance(state, Partial) and state.merge in WIDTHS):
            raise RoundInEachStep()


def _joined(old: State, new: State, is_zero: bool) -> State:
    """Return the state of a carry that has a state before a step and another one after it."""
    is_sum = isinstance(new, Partial) and new.merge in NEUTRAL
    if old == new or (old == REPLICATED and is_sum and is_zero):
        return new
    if isinstance(new, Combined) or isinstance(old, Combined):
        raise RoundInEachStep()
    if isinstance(new, Partial):
        raise Mixed(
            "a carry that is first the same for all chunks becomes a result over the dimension",
            "Start sums with zeros, and add the first value after the loop.",
        )
    raise Mixed("a carry does not keep the dimension on one axis")


def _settled(
    walk: ChunkWalk, body: Graph, inputs: Given, others: Sequence[State], count: int
) -> tuple[ChunkWalk, list[Node], list[State]]:
    """Return the walk through the body of a loop, with states of carries that a step keeps.

    At first, carries that start as zeros count as zeros, so that they may become partial sums.
    """
    carries = [walk.states[x] for x in inputs[:count]]
    is_zero = [x in walk.zeros for x in inputs]
    zeros = _zeros(walk, body, inputs)
    while True:
        inner = _inner(walk, body, [*carries, *others], True, zeros)
        outputs = inner.run(body)
        pairs = zip(carries, [inner.states[y] for y in outputs], is_zero, strict=False)
        new = [_joined(*each) for each in pairs]
        captured = [x for x in zeros if x in body.inputs[count:]]
        if new == carries and zeros == captured:
            return inner, outputs, carries
        carries, zeros = new, captured


@expands(Scan)
def _scan(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, Scan)
    if _is_like_any_op(walk, inputs):
        return None
    end = 1 + op.carries
    states = [walk.states[x] for x in inputs]
    rows = states[end : end + op.sequences]
    if states[0] != REPLICATED or any(isinstance(s, Aligned) and s.axis == 0 for s in rows):
        raise Mixed("a scan goes through the elements of the dimension one after the other")
    others = [_of_element(state) for state in rows] + states[end + op.sequences :]
    inner, outputs, carries = _settled(walk, op.body, inputs[1:], others, op.carries)
    stacks = [_of_stack(inner.states[y]) for y in outputs[op.carries :]]
    _require_passing([*carries, *stacks])
    made = _with_size(walk, inner, op, [outputs], inputs)
    return _as_value(walk, node, _results(walk, made, [*carries, *stacks]))


@expands(While)
def _while(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, While)
    if _is_like_any_op(walk, inputs):
        return None
    others = [walk.states[x] for x in inputs[op.carries :]]
    inner, outputs, carries = _settled(walk, op.body, inputs, others, op.carries)
    condition = _inner(walk, op.condition, [*carries, *others], True)
    (holds,) = condition.run(op.condition)
    if condition.states[holds] != REPLICATED:
        raise Mixed("whether a loop goes on depends on elements of the dimension")
    stacks = [_of_stack(inner.states[y]) for y in outputs[op.carries :]]
    _require_passing([*carries, *stacks])
    checked = Graph([holds], [*op.condition.inputs, condition.size])
    made = _with_size(walk, inner, op, [_with_other_size(checked, inner.size), outputs], inputs)
    return _as_value(walk, node, _results(walk, made, [*carries, *stacks, REPLICATED]))


@expands(Branch)
def _branch(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, Branch)
    if _is_like_any_op(walk, inputs):
        return None
    states = [walk.states[x] for x in inputs]
    if states[0] != REPLICATED:
        raise SecondRound()
    inners = [_inner(walk, body, states[1:], True, _zeros(walk, body, inputs[1:]))
              for body in op.branches]  # fmt: skip
    outputs = [inner.run(body) for inner, body in zip(inners, op.branches, strict=True)]
    results = []
    for column in zip(*outputs, strict=True):
        found = [inner.states[y] for inner, y in zip(inners, column, strict=True)]
        is_zero = [y in inner.zeros for inner, y in zip(inners, column, strict=True)]
        results.append(_of_any(found, is_zero))
    _require_passing(results)
    size = inners[0].size
    outputs = [
        _with_other_size(Graph(new, [*body.inputs, inner.size]), size)
        for new, body, inner in zip(outputs, op.branches, inners, strict=True)
    ]
    made = _with_size(walk, inners[0], op, outputs, inputs)
    return _as_value(walk, node, _results(walk, made, results))


def _zeros(walk: ChunkWalk, body: Graph, inputs: Given) -> list[Node]:
    return [x for x, outer in zip(body.inputs, inputs, strict=True) if outer in walk.zeros]


def _of_any(states: Sequence[State], is_zero: Sequence[bool]) -> State:
    """Return the state of what any branch returns."""
    if len(set(states)) == 1:
        return states[0]
    if Combined() in states:
        raise RoundInEachStep()
    rest = {state for state, zero in zip(states, is_zero, strict=True) if not zero}
    if len(rest) == 1 and rest <= {Partial(merge) for merge in NEUTRAL}:
        return rest.pop()
    raise Mixed("branches treat the dimension in different ways")
