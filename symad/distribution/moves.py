"""How ops move states: one rule for each family of ops; an op without a rule is refused.

A rule is called for inputs that are aligned or replicated, at least one of them aligned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from symad.distribution.states import (
    COMBINED,
    REPLICATED,
    SUM,
    Aligned,
    Items,
    Mixed,
    Partial,
    Positions,
    Replicated,
    SecondRound,
    State,
    agree,
    product_of,
)
from symad.graph.node import Constant, Node
from symad.graph.op import Op
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
from symad.ops.after import After
from symad.ops.arithmetic import Divide, Multiply
from symad.ops.base import FixedLinear, Multilinear, PerElement
from symad.ops.comparison import Where
from symad.ops.cumulative import Cumulative
from symad.ops.einsum import Einsum, SquareAxes
from symad.ops.gather import AddAlongAxis, OneHot, TakeAlongAxis
from symad.ops.index import AddAt, Index, ScatterAdd, ScatterSum, SetAt
from symad.ops.inverse import IdentityMatrix
from symad.ops.join import Concat, ConcatPart, ConcatPlace, Stack
from symad.ops.linear_system import Solve, SolveTriangular
from symad.ops.matrices import PerMatrix
from symad.ops.nn import AtLargest, Normalized
from symad.ops.permute import MatrixTranspose, MoveAxis, PermuteDims, SwapAxes, Transpose
from symad.ops.product import Matmul
from symad.ops.rearrange import Flip, Pad, PadSum, Repeat, RepeatSum, Roll, Tile, TileSum
from symad.ops.reduce import ElementCount, Reduction, Sum
from symad.ops.searching import SearchSorted
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze
from symad.ops.size import AxisSize
from symad.ops.sorting import Argsort, Sort
from symad.ops.structure import StructureItem
from symad.ops.subscript import FULL, Key, full_key, joined_place
from symad.ops.triangle import Diagonal, DiagonalPlace, Tril, Triu
from symad.ops.windows import Windows, WindowSum
from symad.types import StructureType, UnknownShape, normalize_axes, normalize_axis

Rule = Callable[[Any, Node, Sequence[State]], State]

RULES: dict[type[Op], Rule] = {}
"""The rule for a class of ops and its subclasses."""


def moves(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    """Register a rule: a function of the op, its node, and the states of the inputs."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def moved(node: Node, states: Sequence[State], zeros: Set[Node], in_loop: bool) -> State:
    """Return the state of a node from those of its inputs.

    In a loop, which cannot be cut, partial sums also pass ops that are linear in them, with
    ``zeros`` in place of some of them.

    Raises
    ------
    Mixed
        If the op needs elements of several chunks at once, or no rule says that it does not.
    """
    op = node.op
    assert op is not None
    seen = [
        state if op.reads(slot) or isinstance(state, Aligned) else REPLICATED
        for slot, state in enumerate(states)
    ]
    if all(state == REPLICATED or _is_whole(state) for state in seen):
        return REPLICATED
    if any(isinstance(state, Items) for state in seen):
        raise Mixed("no rule says what this op does with a structure")
    is_aligned = any(isinstance(state, Aligned) for state in seen)
    if any(not isinstance(state, (Aligned, Replicated)) for state in seen):
        if is_aligned:
            raise SecondRound()
        return passed_on(node, seen, zeros, in_loop)
    for kind in type(op).__mro__:
        if kind in RULES:
            return RULES[kind](op, node, seen)
    raise Mixed("no rule says that this op treats the elements of the dimension one by one")


def _is_whole(state: State) -> bool:
    return isinstance(state, Items) and all(item == REPLICATED for item in state.items)


# Partial results

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


# Elementwise ops


def shape_of(node: Node) -> tuple[Any, ...]:
    """Return the shape of a node, whose rank must be known."""
    type_ = node.type
    if isinstance(type_, StructureType):
        raise Mixed("this op on structures is not known")
    if isinstance(type_.shape, UnknownShape):
        raise Mixed(
            f"the number of axes of {node!r} is not known",
            'Declare shapes: sm.Variable("w", shape=(784, 10)), with names or None for sizes.',
        )
    return type_.shape


def aligned_broadcast(
    inputs: Sequence[Node], states: Sequence[State], ndim: int, drop: int = 0
) -> Aligned:
    """Return where the dimension is after operands are broadcast to ``ndim`` axes.

    The last ``drop`` axes of the operands do not take part.
    """
    found = {
        Aligned(state.axis + ndim - len(shape_of(x)) + drop, state.times): None
        for x, state in zip(inputs, states, strict=True)
        if isinstance(state, Aligned)
    }
    if not found:
        raise not_along(inputs[0])
    result, *others = found
    if not all(agree(result, other) for other in others):
        raise crossed()
    for x, state in zip(inputs, states, strict=True):
        require_same_along(x, state, result.axis - ndim + len(shape_of(x)) - drop)
    return result


def require_same_along(x: Node, state: State, axis: int) -> None:
    """Raise an error if a replicated operand has more than one element along an axis."""
    if not isinstance(state, Aligned) and axis >= 0 and shape_of(x)[axis] != 1:
        raise not_along(x)


def not_along(x: Node) -> Mixed:
    """Return the error for an operand that is as long as the dimension, but not in chunks."""
    return Mixed(
        f"{x!r} has elements of its own along the dimension, and is not known to be in chunks",
        "Name the dimension in the shape of each input that has it.",
    )


def crossed() -> Mixed:
    """Return the error for a dimension on two axes."""
    return Mixed("this pairs every element of the dimension with every other")


def require_apart(state: State, axes: Sequence[int], what: str) -> Aligned:
    """Return a state whose axis is not one of those that an op mixes."""
    assert isinstance(state, Aligned)
    if state.axis in axes:
        raise Mixed(f"this {what} along the dimension, so that all its elements are needed at once")
    return state


def require_all(node: Node, states: Sequence[State], slots: Sequence[int]) -> None:
    """Raise an error if one of some inputs is not aligned."""
    for slot in slots:
        if not isinstance(states[slot], Aligned):
            raise not_along(node.inputs[slot])


def on(axis: Any, x: Node) -> tuple[int, ...]:
    """Return axes of a node, counted from the front."""
    return normalize_axes(axis, len(shape_of(x)))


@moves(PerElement)
def _elementwise(op: Op, node: Node, states: Sequence[State]) -> State:
    return aligned_broadcast(node.inputs, states, len(shape_of(node)))


@moves(After, StructureItem)
def _same(op: Op, node: Node, states: Sequence[State]) -> State:
    return states[0]


# Reductions and ops along an axis


@moves(Reduction)
def _reduction(op: Reduction, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    axes = on(op.axis, node.inputs[0])
    if state.axis in axes:
        if op.name not in REDUCTIONS:
            raise Mixed(f"results of {op.name} over parts of the dimension cannot be merged")
        return Partial(REDUCTIONS[op.name])
    before = 0 if op.keepdims else sum(axis < state.axis for axis in axes)
    return Aligned(state.axis - before, state.times)


@moves(Normalized, Cumulative, Argsort, Sort)
def _along(op: Any, node: Node, states: Sequence[State]) -> State:
    state = aligned_broadcast(node.inputs, states, len(shape_of(node)))
    does = "accumulates" if isinstance(op, Cumulative) else "sorts"
    does = "normalises" if isinstance(op, Normalized) else does
    return require_apart(state, on(op.axis, node), does)


@moves(Flip, Roll)
def _moved_along(op: Any, node: Node, states: Sequence[State]) -> State:
    return require_apart(states[0], on(op.axis, node), "moves elements")


@moves(SearchSorted)
def _searched(op: Op, node: Node, states: Sequence[State]) -> State:
    if isinstance(states[0], Aligned):
        raise Mixed("this searches in all elements of the dimension")
    return states[1]


@moves(OneHot)
def _new_last_axis(op: Op, node: Node, states: Sequence[State]) -> State:
    return states[0]


# Shapes


@moves(AxisSize, ElementCount)
def _size(op: Op, node: Node, states: Sequence[State]) -> State:
    return REPLICATED  # of other axes: see expansions


@moves(ExpandDims)
def _expanded(op: ExpandDims, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    new = on(op.axis, node)
    kept = [axis for axis in range(len(shape_of(node))) if axis not in new]
    return Aligned(kept[state.axis], state.times)


@moves(Squeeze)
def _squeezed(op: Squeeze, node: Node, states: Sequence[State]) -> State:
    axes = on(op.axis, node.inputs[0])
    state = require_apart(states[0], axes, "drops an axis")
    return Aligned(state.axis - sum(axis < state.axis for axis in axes), state.times)


@moves(*TRANSPOSES)
def _permuted(op: Any, node: Node, states: Sequence[State]) -> State:
    (state,) = states
    assert isinstance(state, Aligned)
    return Aligned(op.order(len(shape_of(node))).index(state.axis), state.times)


@moves(SumLike)
def _sum_like(op: SumLike, node: Node, states: Sequence[State]) -> State:
    (x, like), (state, wanted) = node.inputs, states
    if not isinstance(state, Aligned):
        raise not_along(x)
    axis = state.axis - len(shape_of(x)) + len(shape_of(like))
    if agree(wanted, Aligned(axis, state.times)):
        return wanted
    if isinstance(wanted, Aligned):
        raise crossed()
    require_same_along(like, wanted, axis)
    return SUM


@moves(BroadcastLike)
def _broadcast_like(op: BroadcastLike, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, [1])
    return aligned_broadcast(node.inputs, states, len(shape_of(node)))


def reshaped(x: Node, state: State, shape: Sequence[Any]) -> Aligned:
    """Return where the dimension is after a reshape to ``shape``; its axis has a symbolic size."""
    assert isinstance(state, Aligned)
    before, after = shape_of(x)[: state.axis], shape_of(x)[state.axis + 1 :]
    for axis, dim in enumerate(shape):
        if product_of(shape[:axis]) == product_of(before) and not isinstance(dim, int):
            rest = product_of(shape[axis + 1 :])
            times = (state.times * product_of(after)).over(rest)
            if times is not None:
                return Aligned(axis, times)
    raise Mixed(
        "this reshape mixes the dimension with axes before it, or cuts it up",
        "Keep the dimension first: x.reshape((x.shape[0], -1)).",
    )


@moves(Reshape)
def _reshape(op: Reshape, node: Node, states: Sequence[State]) -> State:
    result = reshaped(node.inputs[0], states[0], shape_of(node))
    if op.dims[result.axis] != -1:  # sizes in chunks are matched before
        raise Mixed("the size of an axis with the dimension is given by something else")
    return result


@moves(ReshapeLike)
def _reshape_like(op: ReshapeLike, node: Node, states: Sequence[State]) -> State:
    (x, _), (state, wanted) = node.inputs, states
    require_all(node, states, [0, 1])
    assert isinstance(wanted, Aligned)
    return _as_reshaped(x, state, node, wanted)


def _as_reshaped(x: Node, state: State, node: Node, wanted: Aligned) -> Aligned:
    """Return the state that a reshaped value has, after checking it."""
    if not keeps_its_place(x, state, shape_of(node), wanted):
        raise Mixed("this reshape mixes the dimension with axes before it")
    return wanted


def keeps_its_place(x: Node, state: State, shape: Sequence[Any], wanted: Aligned) -> bool:
    """Return whether a reshape to ``shape`` leaves as much before the dimension as there was."""
    assert isinstance(state, Aligned)
    before, after = shape_of(x)[: state.axis], shape_of(x)[state.axis + 1 :]
    new_before, new_after = shape[: wanted.axis], shape[wanted.axis + 1 :]
    if product_of(before) == product_of(new_before):
        return True
    return product_of(after) == product_of(new_after) and state.times == wanted.times


@moves(ReshapeOuter)
def _reshape_outer(op: ReshapeOuter, node: Node, states: Sequence[State]) -> State:
    (x, a, _), (state, first, second) = node.inputs, states
    require_all(node, states, [0])
    if isinstance(first, Aligned) == isinstance(second, Aligned):
        raise crossed()
    if isinstance(second, Aligned):
        first = Aligned(len(shape_of(a)) + second.axis, second.times)
    assert isinstance(first, Aligned)
    return _as_reshaped(x, state, node, first)


# Products


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


# Joining


@moves(Concat, Stack)
def _joined(op: Any, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, range(len(states)))
    state = states[0]
    if any(other != state for other in states):
        raise crossed()
    (axis,) = on(op.axis, node)
    assert isinstance(state, Aligned)
    if isinstance(op, Stack):
        return Aligned(state.axis + (axis <= state.axis), state.times)
    return require_apart(state, [axis], "joins arrays")


@moves(ConcatPart, ConcatPlace)
def _part(op: Any, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, range(len(states)))
    if any(other != states[0] for other in states):
        raise crossed()
    return require_apart(states[0], on(op.axis, node.inputs[0]), "joins arrays")


def _extended_axes(op: Any, x: Node, rank: int) -> list[int]:
    """Return the axes, of ``rank``, along which an op or its transpose changes the size of x."""
    if isinstance(op, (Tile, TileSum)):
        return [k for k, n in enumerate((1,) * (rank - len(op.reps)) + op.reps) if n != 1]
    if isinstance(op, (Pad, PadSum)):
        widths = op.widths * rank if len(op.widths) == 1 else op.widths
        return [k for k, pair in enumerate(widths) if tuple(pair) != (0, 0)]
    return list(on(op.axis, x))


@moves(Tile, Pad, Repeat)
def _extended(op: Any, node: Node, states: Sequence[State]) -> State:
    (x,), (state,), rank = node.inputs, states, len(shape_of(node))
    assert isinstance(state, Aligned)
    moved_by = rank - len(shape_of(x))
    state = Aligned(state.axis + moved_by, state.times)
    return require_apart(state, _extended_axes(op, x, rank), "adds elements")


@moves(TileSum, PadSum, RepeatSum)
def _extended_adjoint(op: Any, node: Node, states: Sequence[State]) -> State:
    like, rank = node.inputs[1], len(shape_of(node.inputs[0]))
    require_all(node, states, [0, 1])
    state = require_apart(states[0], _extended_axes(op, like, rank), "adds elements up")
    wanted = Aligned(state.axis - rank + len(shape_of(like)), state.times)
    if states[1] != wanted:
        raise crossed()
    return wanted


@moves(Windows)
def _windows(op: Windows, node: Node, states: Sequence[State]) -> State:
    rank = len(shape_of(node.inputs[0]))
    return require_apart(states[0], range(rank - len(op.sizes), rank), "takes windows")


@moves(WindowSum)
def _window_sum(op: WindowSum, node: Node, states: Sequence[State]) -> State:
    require_all(node, states, [0, 1])
    rank = len(shape_of(node))
    if states[0] != states[1]:
        raise crossed()
    return require_apart(states[1], range(rank - len(op.sizes), rank), "takes windows")


# Subscripts


def selected(
    key: Key, x: Node, state: State, indices: Sequence[Node], of_indices: Sequence[State]
) -> Aligned | None:
    """Return where the dimension is in ``x[key]``; ``None`` where it is not."""
    if any(index.dtype == bool for index in indices):
        raise Mixed("a mask selects elements by their positions")
    whole = full_key(key, shape_of(x))
    start, full = joined_place(whole), [entry for entry in whole if entry is not Ellipsis]
    matched = _matched(full, list(zip(indices, of_indices, strict=True)))
    arrays = [pair for pair in matched if pair is not None]
    width = max([len(shape_of(array)) for array, _ in arrays], default=0)
    found: list[Aligned] = []
    if isinstance(state, Aligned):
        place = [k for k, entry in enumerate(full) if entry is not None][state.axis]
        index = matched[place]
        if full[place] in (FULL, (None, None, 1)):
            axis = sum(entry is None or isinstance(entry, tuple) for entry in full[:place])
            found.append(Aligned(axis + width if axis >= start else axis, state.times))
        elif index is None or not isinstance(index[1], Positions):
            raise Mixed("this selects elements of the dimension by their positions")
    if any(isinstance(own, Aligned) for _, own in arrays):
        joined = aligned_broadcast([x for x, _ in arrays], [own for _, own in arrays], width)
        found.append(Aligned(joined.axis + start, joined.times))
    if len(found) > 1:
        raise crossed()
    return found[0] if found else None


def _matched(
    full: Sequence[Any], given: Sequence[tuple[Node, State]]
) -> list[tuple[Node, State] | None]:
    """Return the index for each entry of a key that is one, ``None`` for the others."""
    rest, matched = iter(given), []
    for entry in full:
        if isinstance(entry, tuple):
            for _ in range(sum(isinstance(part, str) for part in entry)):
                next(rest)
        matched.append(next(rest) if isinstance(entry, str) else None)
    return matched


@moves(Index)
def _index(op: Index, node: Node, states: Sequence[State]) -> State:
    found = selected(op.key, node.inputs[0], states[0], node.inputs[1:], states[1:])
    if found is None:
        raise Mixed("bounds of a slice depend on elements of the dimension")
    return found


def placed_at(
    key: Key,
    value: tuple[Node, State],
    like: tuple[Node, State],
    indices: Sequence[Node],
    of_indices: Sequence[State],
    rank: int,
) -> State:
    """Return the state of values that are added to zeros of the shape of ``like`` at a key."""
    where = selected(key, *like, indices, of_indices)
    if where is None:  # the dimension is in the value only
        raise not_along(like[0])
    pair = [value[0]], [value[1]]
    if isinstance(value[1], Aligned):
        if not agree(aligned_broadcast(*pair, rank), where):
            raise crossed()
    else:
        require_same_along(value[0], value[1], where.axis - rank + len(shape_of(value[0])))
    return like[1] if isinstance(like[1], Aligned) else SUM


def _rank_selected(key: Key, like: Node, indices: Sequence[Node]) -> int:
    full = full_key(key, shape_of(like))
    width = max([len(shape_of(x)) for x in indices], default=0)
    return width + sum(entry is None or isinstance(entry, tuple) for entry in full)


@moves(ScatterAdd, ScatterSum)
def _scatter(op: Any, node: Node, states: Sequence[State]) -> State:
    pairs = list(zip(node.inputs, states, strict=True))
    if isinstance(op, ScatterSum):
        parts, like = op.parts(pairs), pairs[len(op.keys)]
    else:
        parts, like = [(op.key, pairs[0], pairs[2:])], pairs[1]
    found = set()
    for key, value, given in parts:
        indices, of_indices = [x for x, _ in given], [state for _, state in given]
        rank = _rank_selected(key, like[0], indices)
        found.add(placed_at(key, value, like, indices, of_indices, rank))
    if len(found) != 1:
        raise crossed()
    return found.pop()


@moves(AddAt, SetAt)
def _updated(op: Any, node: Node, states: Sequence[State]) -> State:
    x, value, *indices = node.inputs
    if not isinstance(states[0], Aligned):
        raise Mixed("elements of the dimension are written into an array without it")
    rank = _rank_selected(op.key, x, indices)
    like = x, states[0]
    return placed_at(op.key, (value, states[1]), like, indices, states[2:], rank)


@moves(TakeAlongAxis)
def _take_along(op: TakeAlongAxis, node: Node, states: Sequence[State]) -> State:
    x, indices = states
    axis = normalize_axis(op.axis, len(shape_of(node)))
    if isinstance(indices, Aligned) and indices.axis == axis:
        if isinstance(x, Aligned):
            raise crossed()
        return indices
    state = aligned_broadcast(node.inputs, states, len(shape_of(node)))
    return require_apart(state, [axis], "takes elements")


@moves(AddAlongAxis)
def _add_along(op: AddAlongAxis, node: Node, states: Sequence[State]) -> State:
    (v, like, indices), rank = node.inputs, len(shape_of(node))
    axis = normalize_axis(op.axis, rank)
    state = aligned_broadcast([v, indices], [states[0], states[2]], rank)
    if agree(states[1], state):
        return require_apart(states[1], [axis], "adds elements")
    if isinstance(states[1], Aligned):
        raise crossed()
    if state.axis != axis:
        require_same_along(like, states[1], state.axis)
    return SUM


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
