"""Loops that share their work: none computes again what another loop of the same steps has made.

A derivative of a loop is another loop, which needs the values of the first.  In forward mode it
carries them itself: both become one loop.  In reverse mode it goes back over the saved carries and
computes the rest again: what is costly is saved as well, and read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any

from symad.errors import ShapeError
from symad.graph.cost import cost_of
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.ops.body import WithBody, placeholder, results_of
from symad.ops.control import Map
from symad.ops.loops import Scan, While
from symad.ops.structure import StructureItem, structure_item
from symad.records import dataclass
from symad.types import StructureType, TensorType

_WORTH_SAVING = 8
"""The operations for each number from which on it is saved: an elementary function has ten."""
_MOST_BYTES = 1 << 26
"""How many bytes saved values may take, all steps together, if the results take less."""
_LEAST_SHARE = 0.25
"""The share of its work that a loop must have in common with another to become one with it."""


class _Numbering:
    """Numbers for the values in bodies; nodes of equal value have the same number."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def number(self, key: Hashable) -> int:
        """Return the number of a value that ``key`` describes."""
        return self._known.setdefault(key, len(self._known))

    def of(self, body: Graph, inputs: Iterable[int]) -> dict[Node, int]:
        """Return the numbers of the nodes of a body whose inputs have these numbers."""
        numbers = dict(zip(body.inputs, inputs, strict=True))
        for node in body.nodes:
            if node not in numbers:
                sources = tuple([numbers[source] for source in node.inputs])
                numbers[node] = self.number(_constant_key(node) or (node.op, sources))
        return numbers


def _constant_key(node: Node) -> Hashable:
    """Return what constants of equal value have in common, ``None`` for other nodes."""
    if not isinstance(node, Constant):
        return None
    return node.value.dtype.str, node.value.shape, node.value.tobytes()


@dataclass(frozen=True)
class _Inputs:
    """The inputs of the body of a loop; pairs of an outer node and the one that represents it."""

    carries: list[tuple[Node, Node]]
    rows: list[tuple[Node, Node]]
    captured: list[tuple[Node, Node]]

    @staticmethod
    def of(loop: Node) -> _Inputs:
        op = loop.op
        assert isinstance(op, (Scan, Map, While))
        pairs = list(zip(loop.inputs[op.leading :], op.bodies[-1].inputs, strict=True))
        first, end = _carries(op), op.own_inputs()
        return _Inputs(pairs[:first], pairs[first:end], pairs[end:])

    def parts(self) -> Iterator[list[tuple[Node, Node]]]:
        yield from (self.carries, self.rows, self.captured)


def _carries(op: WithBody) -> int:
    return op.carries if isinstance(op, (Scan, While)) else 0


# Costly values that adjoint loops read


@dataclass(frozen=True)
class _Reading:
    """A value in a body that another loop saves.

    Attributes
    ----------
    node : Node
        In the body of the loop that reads it.
    loop : Node
        The loop that saves it.
    place : int
        Which of its saved values it is.
    """

    node: Node
    loop: Node
    place: int


def save_costly_values(graph: Graph) -> Graph:
    """Return ``graph`` whose adjoint loops read costly values of the loops that they go back over.

    Such a value is another result of the first loop, stacked.  Loops in bodies are left as they
    are: those of checkpoints are there to keep little.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.passes.loops import prune_loops
    >>> x = sm.Variable("x", shape=(5, 3))
    >>> last, _ = sm.scan(lambda c, e: (sm.exp(c) * e, None), sm.ones(3), x)
    >>> made = save_costly_values(prune_loops(sm.Graph([sm.gradients(sm.sum(last), x)], [x])))
    >>> [[inner.op.name for inner in node.op.body.nodes if inner.op is not None]
    ...  for node in made.nodes if node.op is not None and node.op.name == "scan"]
    [['exp', 'multiply'], ['identity', 'multiply', 'multiply', 'multiply']]
    """
    saved: dict[Node, dict[Node, int]] = {}
    read: dict[Node, list[_Reading]] = {}
    whole = _used_whole(graph)
    for reader in graph.nodes:
        if not isinstance(reader.op, (Scan, Map)):
            continue
        for loop in _loops_before(reader):
            readings = read.setdefault(reader, [])
            done = {reading.node for reading in readings}
            for node, twin in _costly(reader, loop) if loop not in whole else ():
                if node not in done:
                    stacks = saved.setdefault(loop, {})
                    readings.append(_Reading(node, loop, stacks.setdefault(twin, len(stacks))))
    return _with_saved(graph, saved, read) if saved else graph


def _used_whole(graph: Graph) -> set[Node]:
    """Return the structures that others than their items use."""
    users = (node for node in graph.nodes if not isinstance(node.op, StructureItem))
    used = {source for node in users for source in node.inputs}.union(graph.outputs)
    return {node for node in used if isinstance(node.type, StructureType)}


def _loops_before(reader: Node) -> list[Node]:
    """Return the loops whose stacks a loop reads."""
    sources = [source for source, _ in _Inputs.of(reader).rows]
    wholes = [source.inputs[0] for source in sources if isinstance(source.op, StructureItem)]
    return [loop for loop in dict.fromkeys(wholes) if isinstance(loop.op, (Scan, While))]


def _costly(reader: Node, loop: Node) -> list[tuple[Node, Node]]:
    """Return the costly values that ``reader`` computes again, each with its twin in ``loop``."""
    assert isinstance(reader.op, (Scan, Map)) and isinstance(loop.op, (Scan, While))
    body, made, numbering = reader.op.body, loop.op.body, _Numbering()
    first = numbering.of(made, [numbering.number((loop, k)) for k in range(len(made.inputs))])
    numbers = numbering.of(body, _numbers_of_inputs(reader, loop, first, numbering))
    twins = {number: node for node, number in reversed(first.items())}
    known = {node for node in body.nodes if numbers[node] in twins}
    pending = [node for node in body.outputs if node in known]
    pending += [x for node in body.nodes if node not in known for x in node.inputs if x in known]
    pending = list(dict.fromkeys(pending))
    found, seen, given = list[Node](), set(pending), set(body.inputs)
    while pending:
        node = pending.pop()
        if node in given:
            continue
        if _is_worth_saving(node):
            found.append(node)
            continue
        fresh = [x for x in dict.fromkeys(node.inputs) if x not in seen]
        seen.update(fresh)
        pending += fresh
    return [(node, twins[numbers[node]]) for node in _that_fit(found, loop)]


def _numbers_of_inputs(
    reader: Node, loop: Node, first: Mapping[Node, int], numbering: _Numbering
) -> list[int]:
    """Return the numbers of the inputs of a body that reads the stacks of ``loop``."""
    assert isinstance(loop.op, (Scan, While))
    own, other = _Inputs.of(reader), _Inputs.of(loop)
    rows, captured = ({x: first[inner] for x, inner in p} for p in (other.rows, other.captured))
    numbers = [numbering.number((reader, k)) for k in range(len(own.carries))]
    for k, (source, _) in enumerate(own.rows):
        if isinstance(source.op, StructureItem) and source.inputs[0] is loop:
            numbers.append(first[loop.op.body.outputs[source.op.key]])
        else:
            numbers.append(rows.get(source, numbering.number((reader, "row", k))))
    for k, (source, _) in enumerate(own.captured):
        numbers.append(captured.get(source, numbering.number((reader, "captured", k))))
    return numbers


def _that_fit(nodes: Sequence[Node], loop: Node) -> list[Node]:
    """Return values for which there is room, first those that cost most for each number."""
    assert isinstance(loop.op, (Scan, While))
    room = sum(node.type.nbytes for node in loop.op.body.outputs if node.type.is_static)
    if isinstance(loop.op.length, int):
        room = max(room, _MOST_BYTES // max(1, loop.op.length))
    kept = []
    for node in sorted(nodes, key=lambda node: -_flops(node) / node.type.size):
        if node.type.nbytes <= room:
            room -= node.type.nbytes
            kept.append(node)
    return kept


def _is_worth_saving(node: Node) -> bool:
    type_ = node.type
    if not isinstance(type_, TensorType) or isinstance(node.op, WithBody):
        return False
    if isinstance(node.op, StructureItem) and isinstance(node.inputs[0].op, WithBody):
        return False
    if not all(x.type.is_static for x in (node, *_computed(node).inputs)):
        return False
    return _flops(node) >= _WORTH_SAVING * type_.size > 0


def _computed(node: Node) -> Node:
    """Return the node that computes a value: the structure of which it is an item."""
    return node.inputs[0] if isinstance(node.op, StructureItem) else node


def _flops(node: Node) -> int:
    return cost_of(_computed(node)).flops


def _with_saved(
    graph: Graph,
    saved: Mapping[Node, Mapping[Node, int]],
    read: Mapping[Node, Sequence[_Reading]],
) -> Graph:
    """Return the graph with more results of loops, which other loops read."""
    results: dict[Node, Sequence[Node]] = {}  # each once: several loops may read one

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        stacks, readings = list(saved.get(node, ())), read.get(node, ())
        if stacks or readings:
            assert isinstance(node.op, WithBody)
            rows = [results[x.loop][_places(x.loop) + x.place] for x in readings]
            loop = _widened(node.op, inputs, stacks, [x.node for x in readings], rows)
            results[node] = results_of(loop)
            return loop
        if isinstance(node.op, StructureItem) and node.inputs[0] in saved:
            loop, key = node.inputs[0], node.op.key
            if key == _places(loop):  # the number of steps
                return structure_item(inputs[0], key + len(saved[loop]))
        return replace_inputs(node, inputs)

    return rebuild(graph, visit)


def _places(loop: Node) -> int:
    """Return the place of the first saved value among the results of a loop."""
    assert isinstance(loop.op, WithBody)
    return len(loop.op.bodies[-1].outputs)


def _widened(
    op: WithBody,
    inputs: Sequence[Node],
    stacks: Sequence[Node],
    replaced: Sequence[Node],
    rows: Sequence[Node],
) -> Node:
    """Return a loop that saves ``stacks`` of its body, and reads ``rows`` in place of nodes."""
    *others, body = op.bodies
    stand_ins = {node: placeholder(node) for node in replaced}
    given = [*body.inputs, *replaced]
    changed = rebuild(Graph([*body.outputs, *stacks], given), replace_inputs, stand_ins)
    end = op.own_inputs()
    arguments = [*body.inputs[:end], *stand_ins.values(), *body.inputs[end:]]
    new = op.with_bodies(*others, Graph(changed.outputs, arguments))
    if isinstance(new, (Scan, Map)):
        new = new.with_attributes(sequences=new.sequences + len(rows))
    end += op.leading
    return apply(new, *inputs[:end], *rows, *inputs[end:])


# Loops that become one


def join_loops(graph: Graph) -> Graph:
    """Return ``graph`` in which loops with carries in common are one, if neither needs the other.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(5,))
    >>> last, _ = sm.scan(lambda c, e: (sm.sin(c) + e, None), 0.5, x)
    >>> both = sm.Graph([last, sm.pushforward(last, x, sm.ones(5))], [x])
    >>> [sum(n.op is not None and n.op.name == "scan" for n in g.nodes)
    ...  for g in (both, join_loops(both))]
    [2, 1]
    """
    pair = _joinable(graph)
    while pair is not None:
        graph = _joined(graph, pair)
        pair = _joinable(graph)
    return graph


@dataclass(frozen=True)
class _Pair:
    """Two loops, with the numbers of the values in their bodies."""

    loops: tuple[Node, Node]
    numbers: tuple[dict[Node, int], dict[Node, int]]


def _joinable(graph: Graph) -> _Pair | None:
    """Return two loops of the same steps that share carries, of which neither needs the other."""
    loops = [node for node in graph.nodes if isinstance(node.op, (Scan, While))]
    if len(loops) < 2:
        return None
    masks: dict[Node, int] = {}
    places = {loop: 1 << k for k, loop in enumerate(loops)}
    for node in graph.nodes:
        masks[node] = places.get(node, 0)
        for source in node.inputs:
            masks[node] |= masks[source]
    whole = _used_whole(graph)
    for one, other in combinations(loops, 2):
        apart = not masks[other] & places[one]
        if apart and _has_same_steps(one, other) and not {one, other} & whole:
            pair = _compared(one, other)
            if pair is not None:
                return pair
    return None


def _has_same_steps(one: Node, other: Node) -> bool:
    a, b = one.op, other.op
    if isinstance(a, While) and isinstance(b, While):
        return a.max_steps == b.max_steps
    if not isinstance(a, Scan) or not isinstance(b, Scan) or a.backwards != b.backwards:
        return False
    return _described(one.inputs[0]) == _described(other.inputs[0])


def _described(node: Node) -> Hashable:
    return _constant_key(node) or node


def _compared(one: Node, other: Node) -> _Pair | None:
    """Return the numbers of the values of two loops, if they have enough in common.

    Carries are equal if their first values are, and the next ones are as far as equal carries make
    them so: what is not equal is told apart until no more is found.
    """
    loops, inputs = (one, other), (_Inputs.of(one), _Inputs.of(other))
    classes = [[_described(source) for source, _ in each.carries] for each in inputs]
    while set(classes[0]) & set(classes[1]):
        numbering = _Numbering()
        given = [
            [numbering.number(("carry", key)) for key in keys]
            + [numbering.number(("row", source)) for source, _ in each.rows]
            + [numbering.number(("captured", source)) for source, _ in each.captured]
            for each, keys in zip(inputs, classes, strict=True)
        ]
        pairs = list(zip(loops, given, strict=True))
        first, second = (numbering.of(_body(loop), start) for loop, start in pairs)
        found = [
            [(number, numbers[y]) for number, y in zip(start, _body(loop).outputs, strict=False)]
            for (loop, start), numbers in zip(pairs, (first, second), strict=True)
        ]
        found = [keys[: len(each.carries)] for keys, each in zip(found, inputs, strict=True)]
        if len({*found[0], *found[1]}) == len({*classes[0], *classes[1]}):
            is_alike = _have_same_conditions(pairs, numbering) and _share_work(loops, first, second)
            return _Pair(loops, (first, second)) if is_alike else None
        classes = [list[Hashable](keys) for keys in found]
    return None


def _body(loop: Node) -> Graph:
    assert isinstance(loop.op, (Scan, While))
    return loop.op.body


def _have_same_conditions(pairs: Sequence[tuple[Node, list[int]]], numbering: _Numbering) -> bool:
    """Return whether the conditions of two while loops are the same."""
    conditions = [
        numbering.of(loop.op.condition, start)[loop.op.condition.outputs[0]]
        for loop, start in pairs
        if isinstance(loop.op, While)
    ]
    return len(set(conditions)) < 2


def _share_work(
    loops: tuple[Node, Node], first: Mapping[Node, int], second: Mapping[Node, int]
) -> bool:
    """Return whether one loop has a large part of its work in common with another."""
    one, other = (set(numbers.values()) for numbers in (first, second))
    shares = [
        (_work(n for n, number in first.items() if number in other), _work(first)),
        (_work(n for n, number in second.items() if number in one), _work(second)),
    ]
    return any(shared > 0 and shared >= _LEAST_SHARE * total for shared, total in shares)


def _work(nodes: Iterable[Node]) -> int:
    """Return how much nodes compute, as far as the sizes within them are known."""
    total = 0
    for node in nodes:
        if all(x.type.is_static for x in (node, *node.inputs)):
            with suppress(ShapeError):
                total += cost_of(node).flops
    return total


def _joined(graph: Graph, pair: _Pair) -> Graph:
    """Return the graph with one loop in place of two."""
    node, places = _union(pair)
    results = results_of(node)

    def visit(old: Node, inputs: tuple[Node, ...]) -> Node:
        if old in places and not isinstance(old.type, StructureType):
            return results[places[old][0]]
        if isinstance(old.op, StructureItem) and old.inputs[0] in places:
            place: int = places[old.inputs[0]][old.op.key]
            return results[place]
        return replace_inputs(old, inputs)

    return rebuild(graph, visit)


def _union(pair: _Pair) -> tuple[Node, dict[Node, list[int]]]:
    """Return a loop that computes two others, and the places of the results of each."""
    (one, other), (first, second) = pair.loops, pair.numbers
    made = {number: node for node, number in reversed(first.items())}
    own, added = _Inputs.of(one), _Inputs.of(other)
    body, more = _body(one), _body(other)
    known = {node: made[number] for node, number in second.items() if number in made}
    replaced = {n: known[n] if n in known else placeholder(n) for n in (*known, *more.inputs)}
    outputs = rebuild(Graph(more.outputs, replaced), replace_inputs, replaced).outputs
    new = [
        [(source, replaced[inner]) for source, inner in part if inner not in known]
        for part in added.parts()
    ]
    inputs = [[*a, *b] for a, b in zip(own.parts(), new, strict=True)]
    count, others = len(own.carries), len(added.carries)
    kept = [k for k, (_, inner) in enumerate(added.carries) if inner not in known]
    carried = [*body.outputs[:count], *(outputs[k] for k in kept)]
    stacks = list(dict.fromkeys([*body.outputs[count:], *outputs[others:]]))
    last = {inner: k for k, (_, inner) in enumerate(inputs[0])}
    where = {node: len(carried) + k for k, node in enumerate(stacks)}
    places = {
        one: [*range(count), *(where[node] for node in body.outputs[count:])],
        other: [*(last[replaced[inner]] for _, inner in added.carries),
                *(where[node] for node in outputs[others:])],
    }  # fmt: skip
    graph = Graph([*carried, *stacks], [inner for part in inputs for _, inner in part])
    return _loop_like(one, graph, inputs, places), places


def _loop_like(
    loop: Node, body: Graph, inputs: Sequence[Sequence[tuple[Node, Node]]], places: dict[Node, Any]
) -> Node:
    """Return a loop with another body; the last result of a while loop is the number of steps."""
    op, given = loop.op, [source for part in inputs for source, _ in part]
    carries, rows, _ = inputs
    if isinstance(op, Scan):
        new = op.with_attributes(body=body, carries=len(carries), sequences=len(rows))
        return apply(new, loop.inputs[0], *given)
    assert isinstance(op, While)
    for results in places.values():
        results.append(len(body.outputs))
    known = dict(zip(op.body.inputs, op.condition.inputs, strict=True))
    more = [known[x] if x in known else placeholder(x) for x in body.inputs]
    condition = Graph(op.condition.outputs, more)
    new_op = op.with_attributes(body=body, condition=condition, carries=len(carries))
    return apply(new_op, *given)
