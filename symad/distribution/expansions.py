"""What replaces ops that depend on sizes, or whose results over a dimension are statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.distribution.alignment import not_along, on, shape_of
from symad.distribution.shape_moves import keeps_its_place
from symad.distribution.states import (
    ONE,
    REPLICATED,
    SUM,
    Aligned,
    Items,
    Mixed,
    Positions,
    SecondRound,
    State,
    product_of,
)
from symad.distribution.walk import ChunkWalk, expands
from symad.graph.graph import replace_inputs
from symad.graph.node import Node, apply
from symad.ops.adjoint import AddN, BroadcastLike, Cast, Identity
from symad.ops.arithmetic import Divide, Multiply, Sqrt, Square, Subtract
from symad.ops.base import float_dtype, wide_dtype
from symad.ops.comparison import Maximum
from symad.ops.create import Arange
from symad.ops.extremum import ArgMax, ArgMin, Max, Min, PositionReduction
from symad.ops.index import AddAt, Index, ScatterAdd, SetAt
from symad.ops.moments import Std, Var
from symad.ops.reduce import ElementCount, Mean, Sum
from symad.ops.shape import BroadcastTo, Reshape
from symad.ops.size import AxisSize, Count, ShapeVector
from symad.ops.structure import MakeStructure, StructureItem
from symad.ops.subscript import HOLE, full_key
from symad.types import normalize_axis

# Sizes


def _is_over(walk: ChunkWalk, op: Any, x: Node) -> bool:
    """Return whether a reduction of ``x`` is over the dimension."""
    state = walk.states[x]
    return isinstance(state, Aligned) and state.axis in on(op.axis, x)


@expands(AxisSize)
def _axis_size(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,), op = inputs, node.op
    assert isinstance(op, AxisSize)
    state = walk.states[x]
    if not isinstance(state, Aligned):
        return None
    axis = normalize_axis(op.axis, len(shape_of(x)))
    return walk.whole_size(x, axis) if axis == state.axis else None


@expands(Count, ShapeVector)
def _count(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,) = inputs
    if not isinstance(walk.states[x], Aligned):
        return None
    if isinstance(node.op, ShapeVector):
        raise Mixed("the number of axes is not known", "Declare the shapes of the variables.")
    return walk.product([walk.whole_size(x, axis) for axis in range(len(shape_of(x)))])


@expands(ElementCount)
def _element_count(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, ElementCount)
    if not _is_over(walk, op, inputs[0]):
        return None
    return _elements(walk, inputs[0], op)


def _elements(walk: ChunkWalk, x: Node, op: Any) -> Node:
    """Return the number of elements of the whole dimension that a reduction makes one of."""
    sizes = [walk.whole_size(x, axis) for axis in on(op.axis, x)]
    dtype = np.result_type(x.dtype, np.float32)
    total = walk.apply(Cast(dtype), walk.product(sizes))
    correction = getattr(op, "correction", 0)
    if not correction:
        return total
    left = walk.apply(Subtract(), total, walk.constant(correction, dtype))
    return walk.apply(Maximum(), left, walk.constant(0, dtype))


@expands(Reshape, BroadcastTo)
def _to_shape(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Give a chunk its shape, if a size of the result is that of the dimension."""
    op, (x, *sizes) = node.op, inputs
    assert isinstance(op, (Reshape, BroadcastTo))
    holes = [axis for axis, dim in enumerate(op.dims) if not isinstance(dim, int)]
    own = [axis for axis, size in zip(holes, sizes, strict=True) if size in walk.local]
    if not own:
        return None
    state = walk.states[x]
    if len(own) > 1:
        raise Mixed("two axes of the result depend on the size of the dimension")
    times = walk.chunk_size(sizes[holes.index(own[0])])
    if times is None:
        raise Mixed("a size is computed from that of the dimension, and is no multiple of it")
    local = apply(op, x, *[walk.local.get(size, size) for size in sizes])
    result = Aligned(own[0], times)
    if isinstance(op, Reshape):
        if not isinstance(state, Aligned):
            return None
        if not keeps_its_place(x, state, shape_of(local), result):
            raise Mixed("this reshape moves the dimension to an axis of another size")
    else:
        _require_repeats(x, state, result, len(op.dims))
    return walk.placed(local, result)


def _require_repeats(x: Node, state: State, result: Aligned, ndim: int) -> None:
    """Raise an error if ``x`` does not become ``result`` by broadcasting."""
    axis = result.axis - ndim + len(shape_of(x))
    if isinstance(state, Aligned):
        if state != Aligned(axis, result.times):
            raise Mixed("the dimension is repeated along another axis of its own size")
    elif state != REPLICATED:
        raise SecondRound()
    elif axis >= 0 and shape_of(x)[axis] != 1:
        raise not_along(x)


# Positions


@expands(Arange)
def _arange(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Count the elements of the chunk as well, if this counts those of the dimension."""
    start, stop, step = inputs
    made = walk.placed(replace_inputs(node, inputs))
    counts = walk.extents.get(start), walk.extents.get(step)
    if counts == (product_of((0,)), product_of((1,))) and walk.chunk_size(stop) == ONE:
        own = apply(Arange((walk.over,), made.dtype), start, walk.local[stop], step)
        walk.positions[made] = walk.placed(own, Positions(0))
    return made


@expands(AddAt, Index, ScatterAdd, SetAt)
def _selected(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Select the elements of the chunk in place of those of the dimension: x[arange(n), labels]."""
    op: Any = node.op
    x, indices = op.indexed(inputs), inputs[op.operands :]
    state, holes, axis = walk.states[x], 0, 0
    is_whole = walk.positions.keys().isdisjoint(indices)
    if is_whole or not isinstance(state, Aligned) or state.times != ONE:
        return None
    for entry in full_key(op.key, shape_of(x)):
        if axis == state.axis and entry == HOLE and indices[holes] in walk.positions:
            place = op.operands + holes
            own = walk.positions[indices[holes]]
            return walk.placed(replace_inputs(node, (*inputs[:place], own, *inputs[place + 1 :])))
        holes += entry.count(HOLE) if isinstance(entry, (tuple, str)) else 0
        axis += entry is not None and entry is not Ellipsis
    return None


# Statistics


@expands(Mean)
def _mean(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op, (x,) = node.op, inputs
    assert isinstance(op, Mean)
    if not _is_over(walk, op, x):
        return None
    dtype = float_dtype(x.dtype)
    total = walk.apply(Sum(op.axis, op.keepdims), _cast(walk, x, wide_dtype(dtype)))
    mean = walk.apply(Divide(), total, _cast(walk, _elements(walk, x, op), total.dtype))
    return _cast(walk, mean, dtype)


def _cast(walk: ChunkWalk, x: Node, dtype: Any) -> Node:
    return x if x.dtype == dtype else walk.apply(Cast(np.dtype(dtype)), x)


@expands(Var, Std)
def _variance(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Merge counts, means and sums of squared distances from them."""
    op, (x,) = node.op, inputs
    assert isinstance(op, (Var, Std))
    if not _is_over(walk, op, x):
        return None
    dtype = float_dtype(x.dtype)
    wide = np.dtype("float64") if isinstance(op, Std) and dtype.itemsize == 4 else wide_dtype(dtype)
    x = _cast(walk, x, wide)
    kept = apply(Mean(op.axis, True), x)
    squares = apply(Square(), apply(Subtract(), x, kept))
    spread = apply(Sum(op.axis, op.keepdims), squares)
    parts = _with_count(walk, x, op, apply(Mean(op.axis, op.keepdims), x), spread)
    walk.merged_together("moments", parts)
    divisor = _cast(walk, _elements(walk, x, op), wide)
    result = walk.apply(Divide(), spread, divisor)
    if isinstance(op, Std):
        result = walk.apply(Sqrt(), result)
    return _cast(walk, result, dtype)


def _with_count(walk: ChunkWalk, x: Node, op: Any, *values: Node) -> tuple[Node, ...]:
    """Return the number of elements in the chunk for each of the values, and the values."""
    own: Node | None = None
    for axis in on(op.axis, x):
        size = apply(AxisSize(axis), x)
        own = size if own is None else apply(Multiply(), own, size)
    assert own is not None
    return apply(BroadcastLike(), own, values[0]), *values


@expands(ArgMax, ArgMin)
def _position(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Merge extreme values with their positions."""
    op, (x,) = node.op, inputs
    assert isinstance(op, PositionReduction)
    if not _is_over(walk, op, x):
        return None
    state = walk.states[x]
    assert isinstance(state, Aligned)
    if op.axis is None and product_of(shape_of(x)[: state.axis]) != product_of(()):
        raise Mixed(
            "positions among all elements in order do not follow the order of chunks",
            "Move the dimension to the front, or name one axis.",
        )
    extreme = (Max if isinstance(op, ArgMax) else Min)(op.axis, op.keepdims)
    count, value, place = _with_count(walk, x, op, apply(extreme, x), apply(op, x))
    walk.merged_together(op.name, (value, place, count))
    return place


# Sums of partial sums and others


@expands(Identity)
def _identity(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    return inputs[0] if isinstance(walk.states[inputs[0]], Items) else None


@expands(AddN)
def _add_n(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Add partial sums before they are merged, and structures item by item."""
    if any(isinstance(walk.states[x], Items) for x in inputs):
        return _add_structures(walk, inputs)
    partial = [x for x in inputs if walk.states[x] == SUM]
    if len(partial) < 2 or len(partial) == len(inputs):
        return None
    others = [x for x in inputs if x not in partial]
    return walk.apply(AddN(), walk.apply(AddN(), *partial), *others)


def _add_structures(walk: ChunkWalk, inputs: Sequence[Node]) -> Node:
    made = [x.op for x in inputs]
    if not all(isinstance(op, MakeStructure) for op in made):
        raise Mixed("structures of different origin are added")
    first: Any = made[0]
    items: list[Node | None] = []
    for key in first.keys:
        terms = [item for x in inputs if (item := _item(x, key)) is not None]
        items.append(walk.add(terms) if terms else None)
    return walk.structure(first.kind, first.keys, items)


def _item(x: Node, key: Any) -> Node | None:
    op: Any = x.op
    present = dict(zip(op.keys, op.present, strict=True))
    return x.inputs[op.slot_of(key)] if present[key] else None


@expands(MakeStructure)
def _make_structure(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op = node.op
    assert isinstance(op, MakeStructure)
    rest = iter(inputs)
    return walk.structure(op.kind, op.keys, [next(rest) if there else None for there in op.present])


@expands(StructureItem)
def _structure_item(walk: ChunkWalk, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,), op = inputs, node.op
    assert isinstance(op, StructureItem)
    return _item(x, op.key) if isinstance(x.op, MakeStructure) else None
