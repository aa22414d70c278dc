"""Rules for logarithms of a few elements of a softmax, as in log-likelihoods of labels.

The logarithm of p[k] for p = softmax(x) is log_softmax(x)[k], which avoids log 0.  The derivative
scatters 1/p[k] to the position of p[k] and multiplies it by p, which gives 1 there.
"""

from __future__ import annotations

from symad.graph.node import Node, apply
from symad.ops.arithmetic import Divide, Multiply, Subtract, multiply, subtract
from symad.ops.exponential import Exp, Log, exp, log
from symad.ops.gather import AddAlongAxis, TakeAlongAxis, take_along_axis
from symad.ops.index import ArrayIndex, Index, ScatterAdd, scatter_add
from symad.ops.nn import AtLargest, LogSoftmax, LogSumExp, Softmax, softmax
from symad.ops.permute import MatrixTranspose, MoveAxis, PermuteDims, SwapAxes, Transpose
from symad.ops.rearrange import Flip
from symad.ops.reduce import Sum
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze, broadcast_to, reshape
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, static_shape

_TAKING = (Index, ArrayIndex, TakeAlongAxis)
_VIEWS = (ExpandDims, Squeeze, Reshape)
MOVES = (
    *_TAKING, *_VIEWS, BroadcastTo, Flip,
    MatrixTranspose, MoveAxis, PermuteDims, SwapAxes, Transpose,
)  # fmt: skip
"""Ops each element of whose result is one of the first input's."""
_DEEPEST = 3
"""The most views that may be in between."""


def _log_of_taken(node: Node) -> Node | None:
    """log(softmax(x)[k]) = log_softmax(x)[k], and log(sum(exp(x))[k]) = logsumexp(x)[k]"""
    moves, share = list[Node](), node.inputs[0]
    while isinstance(share.op, MOVES) and len(moves) < _DEEPEST:
        moves.append(share)
        share = share.inputs[0]
    if isinstance(share.op, Softmax):
        result = apply(LogSoftmax(share.op.axis), share.inputs[0])
    elif isinstance(share.op, Sum) and isinstance(share.inputs[0].op, Exp):
        op = LogSumExp(share.op.axis, share.op.keepdims)
        result = apply(op, share.inputs[0].inputs[0])
    else:
        return None
    for moved in reversed(moves):
        assert moved.op is not None
        result = apply(moved.op, result, *moved.inputs[1:])
    return result


def _placed_back(placed: Node, share: Node) -> Node | None:
    """Replace p times the scatter of v/p[k] to the position of p[k] by the scatter of v."""
    if not isinstance(placed.op, (ScatterAdd, AddAlongAxis)) or not isinstance(share.op, Softmax):
        return None
    put, _, *places = placed.inputs
    quotient = _through_views(put)
    shape, wide = static_shape(put), static_shape(quotient)
    if not isinstance(quotient.op, Divide) or shape is None or wide is None:
        return None
    value, taken = quotient.inputs[0], _through_views(quotient.inputs[1])
    if not isinstance(taken.op, _TAKING) or taken.inputs != (share, *places):
        return None
    if taken.op.attributes() != placed.op.attributes() or static_shape(taken) != shape:
        return None
    return apply(placed.op, reshape(broadcast_to(value, wide), shape), *placed.inputs[1:])


def _through_views(node: Node) -> Node:
    for _ in range(_DEEPEST):
        if isinstance(node.op, _VIEWS):
            node = node.inputs[0]
    return node


def _times_share(node: Node) -> Node | None:
    """Multiply a scatter of v/p[k] by p, also if something is subtracted from it."""
    for placed, share in (node.inputs, node.inputs[::-1]):
        taken_from: list[Node] = []
        while isinstance(placed.op, Subtract) and len(taken_from) < _DEEPEST:
            taken_from.append(placed.inputs[1])
            placed = placed.inputs[0]
        made = _placed_back(placed, share)
        if made is not None:
            for rest in reversed(taken_from):
                made = subtract(made, multiply(rest, share))
            return made
    return None


def _by_index(x: Node, v: Node) -> Node:
    share, key = softmax(x, axis=1), ([0, 1, 0], [2, 0, 1])
    return multiply(scatter_add(v / share[key], share, key), share)


def _by_labels(x: Node, w: Node) -> Node:
    share = softmax(x, axis=1)
    taken = take_along_axis(share, [[0], [2]], axis=1)
    placed = apply(AddAlongAxis(1), w / taken, share, taken.inputs[1])
    shifted = placed - apply(AtLargest(1), placed, share)
    return multiply(share, shifted - sum_of(shifted * share, 1, keepdims=True))


LOGARITHMS_OF_TAKEN: tuple[AnyRule, ...] = (
    Procedure(
        "log of elements of softmax", _log_of_taken, "log(softmax(x)[k]) = log_softmax(x)[k]",
        (Log,),
        (lambda x: log(softmax(x, axis=1)[[0, 1], [2, 0]]), lambda x: log(softmax(x, axis=0)[1]),
         lambda x: log(take_along_axis(softmax(x, axis=1), [[0], [2]], axis=1))),
        grade=Grade.ROUNDING, needs=frozenset({Softmax}), makes=frozenset({LogSoftmax}),
        when=lambda kind, heads: issubclass(heads[0], MOVES), mends=True,
    ),
    Procedure(
        "log of elements of sums of exp", _log_of_taken, "log(sum(exp(x))[k]) = logsumexp(x)[k]",
        (Log,), (lambda x: log(reshape(sum_of(exp(x), 1), (2, 1))),),
        grade=Grade.ROUNDING, needs=frozenset({Sum, Exp}), makes=frozenset({LogSumExp}),
        when=lambda kind, heads: issubclass(heads[0], MOVES), mends=True,
    ),
)  # fmt: skip

SLOPES_OF_TAKEN: tuple[AnyRule, ...] = (
    Procedure(
        "slope of elements of softmax", _times_share,
        "scatter_add(v / p[k], p, k) * p = scatter_add(v, p, k) for p = softmax(x)",
        (Multiply,), (_by_index, _by_labels), {"v": (3,), "w": (2, 1)}, grade=Grade.ROUNDING,
        needs=frozenset({Softmax, Divide}),
    ),
)  # fmt: skip
