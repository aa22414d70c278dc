"""How products and ops on whole matrices move the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.distribution.alignment import (
    aligned_broadcast,
    crossed,
    moves,
    not_along,
    on,
    require_all,
    require_apart,
    shape_of,
)
from symad.distribution.states import REPLICATED, SUM, Aligned, State, agree
from symad.graph.node import Node
from symad.ops.einsum import Einsum, SquareAxes
from symad.ops.inverse import IdentityMatrix
from symad.ops.linear_system import Solve, SolveTriangular
from symad.ops.matrices import PerMatrix
from symad.ops.product import Matmul
from symad.ops.triangle import Diagonal, DiagonalPlace, Tril, Triu


def contracted(
    terms: Sequence[str], result: str, inputs: Sequence[Node], states: Sequence[State]
) -> State:
    """Return the state of a sum of products; capital letters are axes that broadcast."""
    found = {
        (term[state.axis], state.times): None
        for term, state in zip(terms, states, strict=True)
        if isinstance(state, Aligned)
    }
    (letter, times), *others = found
    if any(i != letter or not agree(Aligned(0, times), Aligned(0, t)) for i, t in others):
        raise crossed()
    for term, x, state in zip(terms, inputs, states, strict=True):
        if term.count(letter) > 1:
            raise crossed()
        if letter in term and not isinstance(state, Aligned):
            if letter not in _CAPITALS or shape_of(x)[term.index(letter)] != 1:
                raise not_along(x)
    return Aligned(result.index(letter), times) if letter in result else SUM


_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _dots(count: int) -> str:
    """Return letters for axes that broadcast from the right."""
    return _CAPITALS[len(_CAPITALS) - count :]


@moves(Matmul)
def _matmul(op: Matmul, node: Node, states: Sequence[State]) -> State:
    left, right = (len(shape_of(x)) for x in node.inputs)
    first = "k" if left == 1 else _dots(left - 2) + "ik"
    second = "k" if right == 1 else _dots(right - 2) + "kj"
    stack = _dots(max(left - 2, right - 2, 0))
    result = stack + ("i" if left > 1 else "") + ("j" if right > 1 else "")
    return contracted([first, second], result, node.inputs, states)


@moves(Einsum)
def _einsum(op: Einsum, node: Node, states: Sequence[State]) -> State:
    names: dict[str, Any] = {i: chr(0x100 + ord(i)) for i in op.subscripts if i.isalpha()}
    terms, result = op.subscripts.translate(str.maketrans(names)).split("->")
    ranks = [len(shape_of(x)) for x in (*node.inputs, node)]
    filled = [
        term.replace("...", _dots(rank - len(term) + 3))
        for term, rank in zip([*terms.split(","), result], ranks, strict=True)
    ]
    return contracted(filled[:-1], filled[-1], node.inputs, states)


# Matrices


@moves(PerMatrix)
def _per_matrix(op: PerMatrix, node: Node, states: Sequence[State]) -> State:
    for x, state in zip(node.inputs, states, strict=True):
        if isinstance(state, Aligned):
            rank = len(shape_of(x))
            require_apart(state, [rank - 2, rank - 1], "computes with whole matrices")
    stack = max(len(shape_of(x)) for x in node.inputs) - 2
    return aligned_broadcast(node.inputs, states, stack, drop=2)


@moves(IdentityMatrix)
def _identity(op: IdentityMatrix, node: Node, states: Sequence[State]) -> State:
    rank = len(shape_of(node.inputs[0]))
    require_apart(states[0], [rank - 2, rank - 1], "makes a matrix")
    return REPLICATED


@moves(Solve, SolveTriangular)
def _solved(op: Any, node: Node, states: Sequence[State]) -> State:
    (a, b), rank = node.inputs, len(shape_of(node.inputs[1]))
    last = states[1]
    if rank > 1 and isinstance(last, Aligned) and last.axis == rank - 1:
        if isinstance(states[0], Aligned):
            raise crossed()
        return Aligned(len(shape_of(node)) - 1, last.times)  # each column by itself
    for x, state in zip((a, b), states, strict=True):
        if isinstance(state, Aligned):
            ndim = len(shape_of(x))
            require_apart(state, [ndim - 2, ndim - 1], "solves equations")
    if rank == 1:
        return states[0]
    return aligned_broadcast([a, b], states, len(shape_of(node)) - 2, drop=2)


@moves(Tril, Triu)
def _triangle(op: Any, node: Node, states: Sequence[State]) -> State:
    rank = len(shape_of(node))
    return require_apart(states[0], [rank - 2, rank - 1], "selects by positions")


@moves(SquareAxes)
def _square(op: SquareAxes, node: Node, states: Sequence[State]) -> State:
    return require_apart(states[0], on((op.axis1, op.axis2), node), "takes a diagonal")


@moves(Diagonal)
def _diagonal(op: Diagonal, node: Node, states: Sequence[State]) -> State:
    axes = on((op.axis1, op.axis2), node.inputs[0])
    state = require_apart(states[0], axes, "takes a diagonal")
    return Aligned(state.axis - sum(axis < state.axis for axis in axes), state.times)


@moves(DiagonalPlace)
def _diagonal_place(op: DiagonalPlace, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, [0, 1])
    axes = on((op.axis1, op.axis2), node)
    state = require_apart(states[1], axes, "fills a diagonal")
    if states[0] != Aligned(state.axis - sum(axis < state.axis for axis in axes), state.times):
        raise crossed()
    return state
