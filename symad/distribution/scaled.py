"""Aligned values times combined numbers: the numbers wait until sums over the dimension are merged.

The gradient of a function of sums, such as that of a weighted mean or of the square of a loss,
multiplies what belongs to each element by a number that only the caller knows.  All that follows is
linear in it, up to the sum over the dimension.  So workers compute everything without the number,
and the caller multiplies: one round of communication is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symad.distribution.partials import JOINS, is_linear
from symad.distribution.states import (
    REPLICATED,
    SCALED,
    SUM,
    Aligned,
    Combined,
    Mixed,
    Partial,
    Replicated,
    SecondRound,
)
from symad.distribution.walk import ChunkWalk, expands
from symad.errors import DistributionError
from symad.graph.graph import replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import AddN, BroadcastLike, Cast, Identity, OnesLike, ZerosLike
from symad.ops.arithmetic import Add, Divide, Multiply, Reciprocal
from symad.ops.body import WithBody, results_of
from symad.ops.structure import MakeStructure
from symad.types import StructureType, TensorType

Terms = Mapping[Node, Node]
"""Values by the combined number with which each is multiplied; their sum is meant."""


@expands(Op)
def _scaled(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Return a node of which combined numbers are factors, ``None`` if it is none.

    Raises
    ------
    Mixed
        If it depends on such numbers in another way.
    """
    if any(x in walk.terms for x in inputs):
        return _linear(walk, replace_inputs(node, inputs))
    op, states = node.op, [walk.states[x] for x in inputs]
    assert op is not None
    numbers = [
        slot for slot, x in enumerate(inputs) if op.reads(slot) and _is_combined_number(walk, x)
    ]
    is_product = isinstance(op, (BroadcastLike, Divide, Multiply)) and node.type.is_float
    if walk.in_loop or not is_product or len(numbers) != 1:
        return None
    if not any(isinstance(state, Aligned) for state in states):
        return None
    node, number = replace_inputs(node, inputs), inputs[numbers[0]]
    if isinstance(op, Multiply):
        return _sum(walk, node, {number: node.inputs[1 - numbers[0]]})
    if isinstance(op, Divide) and numbers == [1]:
        inverse = walk.apply(Reciprocal(), _cast(walk, number, node.dtype))
        return _sum(walk, node, {inverse: node.inputs[0]})
    if isinstance(op, Divide):
        one = walk.constant(1, node.dtype)
        return _sum(walk, node, {number: walk.apply(Divide(), one, node.inputs[1])})
    assert isinstance(op, BroadcastLike)
    return _sum(walk, node, {number: walk.apply(OnesLike(), node.inputs[1])})


def _is_combined_number(walk: ChunkWalk, x: Node) -> bool:
    is_number = isinstance(x.type, TensorType) and x.type.shape == ()
    return is_number and isinstance(walk.states[x], (Combined, Partial))


def _sum(walk: ChunkWalk, node: Node, terms: Terms) -> Node:
    """Return the sum of values times numbers as ``node``, or its value where they are combined."""
    cast = {_bare(number): _cast(walk, value, node.dtype) for number, value in terms.items()}
    if any(isinstance(walk.states[value], Aligned) for value in cast.values()):
        walk.terms[node] = cast
        walk.states[node] = SCALED
        return node
    return walk.add(
        [walk.apply(Multiply(), _cast(walk, c, node.dtype), value) for c, value in cast.items()]
    )


def _bare(number: Node) -> Node:
    while isinstance(number.op, Identity):
        number = number.inputs[0]
    return number


def _cast(walk: ChunkWalk, x: Node, dtype: np.dtype[Any]) -> Node:
    return x if x.dtype == dtype else walk.apply(Cast(dtype), x)


def _linear(walk: ChunkWalk, node: Node) -> Node:
    """Return an op on sums of terms, term by term."""
    op, carriers = node.op, [x for x in node.inputs if x in walk.terms]
    assert op is not None
    if isinstance(op, WithBody):
        return _linear_body(walk, node, carriers)
    others = [x for x in node.inputs if x not in walk.terms]
    factors = [x for x in others if _is_combined_number(walk, x)]
    is_divided = isinstance(op, Divide) and node.inputs[0] in walk.terms
    if factors and (isinstance(op, Multiply) or is_divided):
        terms = walk.terms[carriers[0]].items()
        return _sum(walk, node, {walk.apply(op, c, *factors): value for c, value in terms})
    if not all(isinstance(walk.states[x], (Aligned, Replicated)) for x in others):
        raise SecondRound()
    alike = all(x.type == node.type for x in node.inputs)
    if isinstance(op, (Add, AddN)) and alike and all(x in walk.terms for x in node.inputs):
        return _sum(walk, node, _summed(walk, carriers))
    if isinstance(op, AddN) and alike:  # a sum of partial adjoints
        return _sum(walk, node, _with_plain(walk, _summed(walk, carriers), walk.add(others)))
    pseudo = [SUM if x in walk.terms else REPLICATED for x in node.inputs]
    adds = JOINS.get(op.name) == "sum" and walk.zeros >= set(others)
    if not (adds or is_linear(node, pseudo, walk.zeros)):
        raise SecondRound()
    numbers = dict.fromkeys(c for x in carriers for c in walk.terms[x])
    return _sum(walk, node, {c: _term(walk, node, c) for c in numbers})


def _linear_body(walk: ChunkWalk, node: Node, carriers: Sequence[Node]) -> Node:
    """Return an op with bodies on sums of terms, in which its results are linear, term by term."""
    given = {x: SUM if x in walk.terms else REPLICATED for x in node.inputs}
    trial = ChunkWalk(walk.over, given, walk.size, walk.zeros, in_loop=True)
    try:
        states = [trial.states[y] for y in _items(trial.expanded(node))]
    except (Mixed, DistributionError):
        raise SecondRound() from None
    if not all(state in (SUM, REPLICATED) for state in states):
        raise SecondRound()
    numbers = dict.fromkeys(c for x in carriers for c in walk.terms[x])
    made = {c: _items(_term(walk, node, c)) for c in numbers}
    results = []
    for k, (item, state) in enumerate(zip(results_of(node), states, strict=True)):
        values = {c: items[k] for c, items in made.items()}
        whole = state == REPLICATED
        results.append(next(iter(values.values())) if whole else _sum(walk, item, values))
    if not isinstance(node.type, StructureType):
        return results[0]
    return walk.structure(node.type.kind, node.type.keys, results)


def _items(made: Node) -> Sequence[Node]:
    return made.inputs if isinstance(made.op, MakeStructure) else [made]


def _summed(walk: ChunkWalk, nodes: Sequence[Node]) -> Terms:
    """Return the terms of a sum of nodes of one type."""
    found: dict[Node, list[Node]] = {}
    for x in nodes:
        for number, value in walk.terms[x].items():
            found.setdefault(number, []).append(value)
    return {number: walk.add(values) for number, values in found.items()}


def _with_plain(walk: ChunkWalk, terms: Terms, plain: Node) -> Terms:
    """Return terms with one more, which is not multiplied: its number is 1."""
    if not isinstance(walk.states[plain], Aligned):
        raise SecondRound()
    one = next((number for number in terms if isinstance(number, Constant)), None)
    if one is None:
        return {**terms, walk.constant(1, plain.dtype): plain}
    return {**terms, one: walk.add([terms[one], plain])}


def _term(walk: ChunkWalk, node: Node, number: Node) -> Node:
    """Return an op on the values that are multiplied with one number."""
    inputs = []
    for x in node.inputs:
        if x in walk.terms and number not in walk.terms[x]:
            x = walk.apply(ZerosLike(), next(iter(walk.terms[x].values())))
        inputs.append(walk.terms[x][number] if x in walk.terms else x)
    assert node.op is not None
    return walk.expanded(apply(node.op, *inputs))
