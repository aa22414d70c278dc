"""Ops on partial results, which chunks leave to be merged."""

from __future__ import annotations

from collections.abc import Sequence, Set

from symad.distribution.states import COMBINED, REPLICATED, SUM, Partial, State
from symad.graph.node import Constant, Node
from symad.ops.adjoint import (
    BroadcastLike,
    Cast,
    Identity,
    ReshapeLike,
    ReshapeOuter,
    StopGradient,
    SumLike,
    ZerosLike,
)
from symad.ops.arithmetic import Divide, Multiply
from symad.ops.base import FixedLinear, Multilinear
from symad.ops.comparison import Where
from symad.ops.linear_system import Solve, SolveTriangular
from symad.ops.nn import AtLargest
from symad.ops.permute import MatrixTranspose, MoveAxis, PermuteDims, SwapAxes, Transpose
from symad.ops.rearrange import Pad
from symad.ops.reduce import Sum
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze
from symad.ops.structure import StructureItem

REDUCTIONS = {
    "sum": "sum", "prod": "prod", "max": "max", "min": "min", "any": "any", "all": "all",
    "logsumexp": "logsumexp", "norm": "norm",
}  # fmt: skip
"""How the results of a reduction over the dimension are merged."""
JOINS = {
    "add": "sum", "add_n": "sum", "subtract": "sum", "negative": "sum", "multiply": "prod",
    "maximum": "max", "minimum": "min", "logical_or": "any", "logical_and": "all",
    "logaddexp": "logsumexp", "hypot": "norm",
}  # fmt: skip
"""Ops on partial results that may be merged before or after."""
TRANSPOSES = (MatrixTranspose, MoveAxis, PermuteDims, SwapAxes, Transpose)
VIEWS = (ExpandDims, Reshape, ReshapeLike, ReshapeOuter, Squeeze, StructureItem, *TRANSPOSES)
NEUTRAL = ("sum", "any")
"""Merges to which zeros contribute nothing."""


def passed_on(node: Node, states: Sequence[State], zeros: Set[Node], in_loop: bool) -> State:
    """Return the state of an op on partial and combined values; by default it is combined."""
    op, found = node.op, {state for state in states if state != REPLICATED}
    assert op is not None
    (state, *others) = found
    if others or not isinstance(state, Partial) or state.merge not in REDUCTIONS.values():
        return COMBINED
    if op.name == "not_equal" and state == SUM and is_count(node.inputs[0]):
        return Partial("any") if node.inputs[1] in zeros else COMBINED
    whole = [x for x, own in zip(node.inputs, states, strict=True) if own == REPLICATED]
    rest = [x for slot, x in enumerate(node.inputs) if x in whole and op.reads(slot)]
    fills = state.merge in NEUTRAL and zeros >= set(rest)
    passes = (
        op.name == "identity"
        or (isinstance(op, VIEWS) and not rest)
        or (JOINS.get(op.name) == state.merge and (not rest or fills))
        or (REDUCTIONS.get(op.name) == state.merge)
        or (state == SUM and isinstance(op, SumLike))
        or (in_loop and isinstance(op, (BroadcastLike, BroadcastTo)))
        or (state == SUM and in_loop and is_linear(node, states, zeros))
    )
    return state if passes else COMBINED


def is_count(node: Node) -> bool:
    """Return whether a node counts where a condition holds: then it is 0 if and only if none do."""
    while isinstance(node.op, (Sum, SumLike, BroadcastLike, Identity)):
        node = node.inputs[0]
    is_number = isinstance(node.op, Cast) and node.dtype.kind == "f"  # which does not wrap around
    return is_number and node.inputs[0].dtype.kind == "b"


def is_linear(node: Node, states: Sequence[State], zeros: Set[Node]) -> bool:
    """Return whether a node is linear in its partial sums together."""
    op, slots = node.op, [slot for slot, state in enumerate(states) if state == SUM]
    assert op is not None
    others = [x for slot, x in enumerate(node.inputs) if slot not in slots]
    if isinstance(op, (Multiply, Multilinear)):
        return len(slots) == 1
    if isinstance(op, StopGradient):
        return True
    if isinstance(op, (AtLargest, Divide)):  # what uses the first is the same for any element
        return slots == [0]
    if isinstance(op, (Solve, SolveTriangular)):
        return slots == [1]
    if isinstance(op, Where):
        return 0 not in slots and zeros >= set(others[1:])
    if isinstance(op, Cast):  # in a dtype that is no narrower
        return bool(node.dtype.kind == "f" and node.dtype.itemsize >= node.inputs[0].dtype.itemsize)
    if isinstance(op, Pad):
        return op.mode != "constant" or op.value == 0
    read = [x for slot, x in enumerate(node.inputs) if op.differentiable(slot) and op.reads(slot)]
    return isinstance(op, FixedLinear) and all(x in zeros for x in read if x in others)


def is_zero(node: Node, zeros: Set[Node]) -> bool:
    """Return whether a node is known to be zeros (or false, or NaN), from what its inputs are."""
    if isinstance(node, Constant):
        return not node.value.any()
    if isinstance(node.op, (BroadcastTo, BroadcastLike, Cast, Divide, Identity, *VIEWS)):
        return node.inputs[0] in zeros
    return isinstance(node.op, ZerosLike)
