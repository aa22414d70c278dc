"""Loops without unneeded work: what nobody reads is dropped, what does not change is moved out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, infer_type
from symad.graph.provenance import creating
from symad.ops.base import PerElement
from symad.ops.body import WithBody, closure, placeholder, reached_inputs
from symad.ops.branch import Branch
from symad.ops.control import Call, Map
from symad.ops.fused import Fused
from symad.ops.loops import Scan, While, shape_of
from symad.ops.structure import StructureItem, structure_item
from symad.types import StructureType


class _Narrow(NamedTuple):
    """An op that makes fewer results.

    Attributes
    ----------
    op : WithBody
    slots : list of int
        The inputs that it keeps.
    places : dict from int to int
        From the results that it keeps to their new places.
    """

    op: WithBody
    slots: list[int]
    places: dict[int, int]


def prune_loops(graph: Graph) -> Graph:
    """Return ``graph`` whose loops and branches make only the results that are used.

    Carries on which no such result depends, and inputs that no body uses, are dropped too.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> total, sums = sm.scan(lambda c, e: (c + e, c + e), 0.0, x)
    >>> loop = prune_loops(sm.Graph([total], [x])).outputs[0]
    >>> loop.type, len(loop.op.body.outputs)
    (f64[], 1)
    """
    narrow, live = _narrow_ops(graph)
    if not narrow:
        return graph

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in live:  # it was needed for what has been dropped
            return node
        if node in narrow:
            op, slots, _ = narrow[node]
            kept = tuple([inputs[slot] for slot in slots])
            return Node(op, kept, infer_type(op, kept), node.name)
        if isinstance(node.op, StructureItem) and node.inputs[0] in narrow:
            if not isinstance(inputs[0].type, StructureType):
                return inputs[0]
            return structure_item(inputs[0], narrow[node.inputs[0]].places[node.op.key])
        return replace_inputs(node, inputs)

    return rebuild(graph, visit)


def _narrow_ops(graph: Graph) -> tuple[dict[Node, _Narrow], set[Node]]:
    """Return what replaces the ops of loops and branches of which not all results are used.

    The nodes that are needed then are returned too.
    """
    found: dict[Node, _Narrow] = {}
    items: dict[Node, set[int]] = {}
    whole = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.op is None or (node not in whole and node not in items):
            continue
        sources = list(node.inputs)
        if isinstance(node.op, StructureItem):
            items.setdefault(sources[0], set()).add(node.op.key)
            continue
        if isinstance(node.op, (Map, Scan, While, Branch)) and node not in whole:
            narrow = _narrowed(node.op, items[node])
            if narrow.op != node.op:
                found[node] = narrow
                sources = [sources[slot] for slot in narrow.slots]
        whole.update(sources)
    return found, whole.union(items)


def _narrowed(op: WithBody, used: set[int]) -> _Narrow:
    """Return the op that makes the ``used`` results."""
    first = op.carries if isinstance(op, (Scan, While)) else 0
    body = op.bodies[-1]
    uses = reached_inputs(body)
    start = {k for k in used if k < len(uses)}
    if isinstance(op, While):
        start |= reached_inputs(op.condition)[0].intersection(range(first))
    outputs = sorted(closure(start, lambda k: uses[k].intersection(range(first))))
    carries = [k for k in outputs if k < first]
    graphs = [
        graph
        if isinstance(op, While) and graph is op.condition
        else Graph([graph.outputs[k] for k in outputs], graph.inputs)
        for graph in op.bodies
    ]
    # A sequence says how many rows a map has, even if no row reads it.
    graphs, slots = _without_unused(graphs, [0] if isinstance(op, Map) else carries)
    places = {k: place for place, k in enumerate(outputs)}
    places[len(uses)] = len(outputs)  # the number of steps of a while loop
    new = op.with_bodies(*graphs)
    if isinstance(op, (Scan, While)):
        new = new.with_attributes(carries=len(carries))
    if isinstance(op, (Scan, Map)):
        rows = range(first, op.own_inputs())
        new = new.with_attributes(sequences=len([k for k in slots if k in rows]))
    if isinstance(new, Scan) and not carries and new.sequences:
        return _Narrow(Map(new.body, new.sequences), [1 + k for k in slots], places)
    return _Narrow(new, [*range(op.leading), *(op.leading + k for k in slots)], places)


def _without_unused(
    graphs: Sequence[Graph], needed: Iterable[int]
) -> tuple[list[Graph], list[int]]:
    """Return bodies without the inputs that none of them uses, and the slots that are left.

    Slots that are ``needed`` stay.
    """
    nodes = {node for graph in graphs for node in graph.nodes}
    count = len(graphs[0].inputs)
    keep = {k for k in range(count) if any(graph.inputs[k] in nodes for graph in graphs)}
    slots = sorted(keep.union(needed))
    return [Graph(graph.outputs, [graph.inputs[k] for k in slots]) for graph in graphs], slots


def hoist_invariants(graph: Graph) -> Graph:
    """Return ``graph`` whose loops compute what is the same in every step once, before them.

    What may fail is moved only out of loops that have at least one step; nothing is moved out of a
    branch.

    Examples
    --------
    >>> import symad as sm
    >>> x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=())
    >>> rows = sm.map_over(lambda row: row * sm.exp(w), [x])
    >>> print(hoist_invariants(sm.Graph([rows], [x, w])))
    graph(%0: f64[3] "x", %1: f64[] "w")
      %2: f64[] = exp(%1)
      %3: f64[3] = map(%0, %2, body=
        graph(%0: f64[] "x", %1: f64[] "exp")
          %2: f64[] = multiply(%0, %1)
          return %2
      , sequences=1)
      return %3
    """
    known: dict[WithBody, WithBody] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        op = node.op
        if not isinstance(op, WithBody) or isinstance(op, Fused):
            return replace_inputs(node, inputs)
        if op not in known:
            bodies = [hoist_invariants(body) for body in op.bodies]
            same = all(a is b for a, b in zip(bodies, op.bodies, strict=True))
            known[op] = op if same else op.with_bodies(*bodies)
        new, given = _hoisted(known[op], inputs)
        if new is op:
            return replace_inputs(node, inputs)
        return Node(new, tuple(given), node.type, node.name)

    if not graph.has(WithBody):
        return graph
    return rebuild(graph, visit)


def _hoisted(op: WithBody, inputs: Sequence[Node]) -> tuple[WithBody, Sequence[Node]]:
    """Return an op whose bodies take what does not change as inputs, and its inputs."""
    if isinstance(op, (Branch, Call)):
        return op, inputs
    moved = [_moved(op, body, inputs) for body in op.bodies]
    if not any(moved):
        return op, inputs
    bodies = []
    for k, body in enumerate(op.bodies):
        stand_ins = {inner: placeholder(inner) for inner in moved[k]}
        changed = rebuild(Graph(body.outputs, [*body.inputs, *moved[k]]), replace_inputs, stand_ins)
        more = [
            stand_ins[inner] if j == k else placeholder(inner)
            for j, found in enumerate(moved)
            for inner in found
        ]
        bodies.append(Graph(changed.outputs, [*body.inputs, *more]))
    graphs, slots = _without_unused(bodies, range(op.own_inputs()))
    every = [*inputs[op.leading :], *(node for found in moved for node in found.values())]
    return op.with_bodies(*graphs), [*inputs[: op.leading], *(every[slot] for slot in slots)]


def _moved(op: WithBody, body: Graph, inputs: Sequence[Node]) -> dict[Node, Node]:
    """Return the nodes of a body that are computed outside and used inside, with their twins.

    A view is made inside, from what it shows, but the item of a structure outside.
    """
    runs = _has_steps(op, inputs)
    own = op.own_inputs()
    outer = dict(zip(body.inputs[own:], inputs[op.leading + own :], strict=True))
    twins = dict(outer)
    for node in body.nodes:
        if node in body.inputs or node.op is None or not (runs or isinstance(node.op, PerElement)):
            continue
        sources = [x if isinstance(x, Constant) else twins.get(x) for x in node.inputs]
        found = [x for x in sources if x is not None]
        if len(found) == len(sources):
            with creating(node):
                twins[node] = Node(node.op, tuple(found), node.type, node.name)
    used = set(body.outputs)
    for node in reversed(body.nodes):
        is_view = node.op is not None and node.op.is_view and not isinstance(node.op, StructureItem)
        if node.op is not None and (node not in twins or (node in used and is_view)):
            twins.pop(node, None)
            used.update(node.inputs)
    return {node: twin for node, twin in twins.items() if node in used and node not in outer}


def _has_steps(op: WithBody, inputs: Sequence[Node]) -> bool:
    """Return whether a loop is known to have at least one step."""
    length: Any = op.length if isinstance(op, Scan) else None
    if isinstance(op, Map):
        length = shape_of(inputs[0])[0]
    return isinstance(length, int) and length > 0
