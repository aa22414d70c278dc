"""Calls for indexing by arrays, writing at indices, and scans along one axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.jit import Effort
from symad.backends.native.kernel_call import BufferView, Shape, Views, contiguous_strides
from symad.backends.native.kernels.gather import HEAD, gather_kernel, scatter_kernel
from symad.backends.native.kernels.scan import (
    column_positions_kernel,
    far_position_kernel,
    position_kernel,
    product_kernel,
    products_kernel,
    recurrence_kernel,
    rows_kernel,
    sums_kernel,
)
from symad.backends.native.kernels.sorting import sorting_kernel
from symad.backends.native.kernels.vectors import lanes_of
from symad.backends.native.lower.copies import (
    Calls,
    Condition,
    Lower,
    Scratch,
    add_lines,
    call_of,
    contiguous,
    convert_all,
    converted,
    copy,
    fill,
    merged_axes,
    moved,
    outer_words,
    part,
)
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.cumulative import CumProd, CumSum, LinearRecurrence
from symad.ops.extremum import ArgMax, ArgMin
from symad.ops.gather import AddAlongAxis, TakeAlongAxis
from symad.ops.index import AddAt, ArrayIndex, Index, ScatterAdd, ScatterSum, SetAt
from symad.ops.reduce import Prod
from symad.ops.sorting import Argsort
from symad.ops.subscript import HOLE, Key, boxes_of, cuts_of, full_key, slice_of, tiling
from symad.passes.fuse import shape_of
from symad.records import dataclass, replace
from symad.types import broadcast_shapes, normalize_axes, normalize_axis

_PER_PLACE = 3.0
_PER_ELEMENT = 1.0
_MOST_POSITIONS = 32
"""Positions among more elements are found many at once, or by NumPy in small integers."""
_MOST_TERMS = 8
"""Sums of more slices are added up slice by slice."""
_PER_BOX = 64
"""A call pays for at least so many elements."""
_MOST_SORTED = 1 << 10
"""For more elements, NumPy sorts faster."""


@dataclass(frozen=True, slots=True)
class _Indices:
    """Integer indices along one axis of an array."""

    view: BufferView
    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class _Selection:
    """The selection of a subscript in an array.

    Attributes
    ----------
    view : BufferView
        The array at index 0 of each axis that index arrays select from, without these axes.
    indices : list of _Indices
    start : int
        The position of the axes of the index arrays among those of the result.
    """

    view: BufferView
    indices: list[_Indices]
    start: int

    @property
    def joined(self) -> Shape:
        """The shape to which the index arrays broadcast."""
        return broadcast_shapes(*(each.view.shape for each in self.indices))  # type: ignore[return-value]

    def split(self, result: BufferView) -> tuple[BufferView, BufferView]:
        """Return the axes of a result that belong to the index arrays, and the others."""
        rank, count = len(result.shape), len(self.joined)
        chosen = tuple(range(self.start, self.start + count))
        others = tuple(axis for axis in range(rank) if axis not in chosen)
        return tuple(_axes_of(result, axes) for axes in (chosen, others))  # type: ignore[return-value]

    @property
    def is_across(self) -> bool:
        """Whether the contiguous axis is indexed, rather than an axis of the items."""
        steps = [abs(index.stride) for index in self.indices]
        pairs = zip(self.view.shape, self.view.strides, strict=True)
        own = [abs(stride) for size, stride in pairs if size != 1]
        return bool(steps and own) and own[-1] > min(steps)

    def spread(self, shape: Shape) -> tuple[list[_Indices], BufferView]:
        """Return indices and view with all axes of a result, so that each element is a place."""
        joined, strides = self.joined, self.view.strides
        after = (0,) * (len(shape) - self.start - len(joined))
        indices = []
        for index in self.indices:
            view = index.view.broadcast_to(joined)
            wide = replace(view, shape=(*joined, *(1 for _ in after)), strides=view.strides + after)
            indices.append(replace(index, view=wide))
        still = strides[: self.start] + (0,) * len(joined) + strides[self.start :]
        return indices, replace(self.view, shape=shape, strides=still)


def _axes_of(view: BufferView, axes: Shape) -> BufferView:
    """Return the view of the elements at index 0 along all other axes."""
    shape = tuple(view.shape[axis] for axis in axes)
    return replace(view, shape=shape, strides=tuple(view.strides[axis] for axis in axes))


def _select(key: Key, array: BufferView, given: Views) -> _Selection | None:
    """Return the selection of a subscript, or ``None`` if its bounds are unknown."""
    entries = full_key(key, array.shape)
    rest, axes = iter(given), iter(zip(array.shape, array.strides, strict=True))
    offset = 0
    others: list[tuple[int, int]] = []  # size and stride of the axes that remain
    indices: list[_Indices] = []
    for entry in entries:
        if entry is Ellipsis:
            continue
        if entry is None:
            others.append((1, 0))
            continue
        size, stride = next(axes)
        if isinstance(entry, str):
            indices.append(_Indices(next(rest), size, stride))
        elif isinstance(entry, int):
            if not -size <= entry < size:
                return None
            offset += (entry % size) * stride
        elif HOLE in entry:
            return None
        else:
            first, length, step = slice_of(entry, size)
            offset += first * stride
            others.append((length, step * stride))
    shape, strides = tuple(size for size, _ in others), tuple(stride for _, stride in others)
    view = replace(moved(array, offset), shape=shape, strides=strides)
    return _Selection(view, indices, _start(entries))


def _selection(key: Key, array: BufferView, given: Views) -> _Selection:
    found = _select(key, array, given)
    assert found is not None, "the selection is known, as the condition ensures"
    return found


def _start(entries: Key) -> int:
    """Return the position of the axes of index arrays: their own if they are adjacent."""
    runs = [
        (is_index, list(run))
        for is_index, run in itertools.groupby(entries, lambda e: isinstance(e, (int, str)))
    ]
    if sum(is_index for is_index, _ in runs) != 1:
        return 0
    before = itertools.takewhile(lambda run: not run[0], runs)
    return sum(entry is not Ellipsis for _, run in before for entry in run)


# Calls at indices


def _at_places(
    node: Node,
    indices: Sequence[_Indices],
    source: BufferView,
    target: BufferView,
    inner: Any,
    adds: Any,
) -> Calls:
    """Return the call for a copy or an addition at indices.

    Parameters
    ----------
    node : Node
    indices : sequence of _Indices
    source, target : BufferView
        With the axes of the index arrays.
    inner : list
        Size and strides of the axes of an item.
    adds : bool or None
        ``None`` if the indices are those of the source.
    """
    dtypes = [index.view.dtype for index in indices]
    views = [index.view.broadcast_to(target.shape) for index in indices]
    axes = merged_axes(target.shape, *(view.strides for view in (*views, source, target)))
    *outer, last = axes or [(1, *[0] * (len(views) + 2))]
    *more, innermost = inner or [(1, 0, 0)]
    steps = innermost[1:] if inner else (*last[1:-2], last[-1])
    length = innermost[0] if inner else last[0]
    line = length if not more and all(step == 1 for step in steps) else 0
    if adds is None:
        pairs = zip(node.inputs[1:], indices, strict=True)
        are_inside = all(_is_inside(source, index.size) for source, index in pairs)
        effort = Effort.of_size(math.prod((*target.shape, *(size for size, *_ in inner))))
        code = gather_kernel(target.dtype.itemsize, dtypes, not inner, line, are_inside, effort)
    else:
        code = scatter_kernel(source.dtype, target.dtype, dtypes, not inner, line, adds)
    named = [
        word
        for view, index, step in zip(views, indices, last[1:-2], strict=True)
        for word in (view, step, index.size, index.stride)
    ]
    outer_part = outer_words(outer)
    begin = HEAD + len(named) + len(outer_part)
    head = [source, target, last[0], *last[-2:], *innermost, begin]
    words = [*head, *named, *outer_part, *outer_words(more)]
    places, elements = math.prod(target.shape), math.prod(size for size, *_ in inner)
    work = places * (_PER_PLACE + _PER_ELEMENT * elements)
    return [call_of(code, words, node, work)]


def _is_inside(indices: Node, size: int) -> bool:
    """Return whether constants tell that no index is negative or out of range."""
    if not isinstance(indices, Constant):
        return False
    array = indices.value
    return array.size > 0 and bool(array.min() >= 0) and bool(array.max() < size)


def _gather(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, Index)
    array, *given = inputs
    selection = _selection(node.op.key, array, given)
    if 0 in output.shape:
        return []
    if selection.is_across:
        indices, wide = selection.spread(output.shape)
        return _at_places(node, indices, wide, output, [], None)
    chosen, others = selection.split(output)
    still = replace(selection.view, shape=chosen.shape, strides=(0,) * len(chosen.shape))
    inner = merged_axes(others.shape, selection.view.strides, others.strides)
    return _at_places(node, selection.indices, still, chosen, inner, None)


def _scatter(
    node: Node, key: Key, value: BufferView, target: BufferView, given: Views, adds: bool
) -> Calls:
    """Return the calls that write a value, which broadcasts, to a selection."""
    selection = _selection(key, target, given)
    rest, start = selection.view.shape, selection.start
    shape = (*rest[:start], *selection.joined, *rest[start:])
    if 0 in shape:
        return []
    value = value.broadcast_to(shape)
    if not selection.indices and not adds:
        return copy(node, value, selection.view)
    if selection.is_across:
        indices, wide = selection.spread(shape)
        return _at_places(node, indices, value, wide, [], adds)
    chosen, others = selection.split(value)
    still = replace(selection.view, shape=chosen.shape, strides=(0,) * len(chosen.shape))
    inner = merged_axes(others.shape, others.strides, selection.view.strides)
    return _at_places(node, selection.indices, chosen, still, inner, adds)


def _scatter_add(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, ScatterAdd)
    value, _, *given = inputs
    added = _scatter(node, node.op.key, value, output, given, adds=True)
    return fill(node, 0, output) + added


def _scatter_sum(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, ScatterSum)
    found = _sum_by_boxes(node, inputs, output)
    if found is not None:
        return found
    apart, whole = tiling(node.op.keys, output.shape)
    calls = [] if whole else fill(node, 0, output)
    for key, value, given in node.op.parts(inputs):
        calls += _scatter(node, key, value, output, given, adds=not apart)
    return calls


def _sum_by_boxes(node: Node, inputs: Views, output: BufferView) -> Calls | None:
    """Return the calls that write each part of a sum of slices once, if the parts are few."""
    assert isinstance(node.op, ScatterSum)
    keys, shape = node.op.keys, output.shape
    boxes = boxes_of(keys, shape) if 1 < len(keys) <= _MOST_TERMS else None
    if boxes is None or math.prod(shape) < _PER_BOX * math.prod(map(len, cuts_of(boxes, shape))):
        return None
    terms = [_over_box(key, value, output) for key, value, _ in node.op.parts(inputs)]
    if any(term.dtype != output.dtype or term.strides[-1] != 1 for term in terms):
        return None
    calls: Calls = []
    for place in itertools.product(*map(itertools.pairwise, cuts_of(boxes, shape))):
        inside = []
        for term, box in zip(terms, boxes, strict=True):
            pairs = list(zip(place, box, strict=True))
            if all(begin <= a and b <= end for (a, b), (begin, end) in pairs):
                inside.append(_inside(term, [(a - c, b - c) for (a, b), (c, _) in pairs]))
        target = _inside(output, place)
        if len(inside) > 1:
            calls += add_lines(node, inside, target)
        else:
            calls += copy(node, inside[0], target) if inside else fill(node, 0, target)
    return calls


def _over_box(key: Key, value: BufferView, array: BufferView) -> BufferView:
    """Return the view of a value that has all axes of the array that a key without steps selects.

    It goes along each in the order of the array.
    """
    selected = _selection(key, array, ()).view
    value = value.broadcast_to(selected.shape)
    axes = iter(zip(value.shape, value.strides, selected.strides, strict=True))
    shape: list[int] = []
    strides: list[int] = []
    for entry in full_key(key, array.shape):
        if isinstance(entry, int):
            shape, strides = [*shape, 1], [*strides, 0]
        elif entry is not Ellipsis:
            size, stride, step = next(axes)
            if entry is not None:
                back = step < 0 < size
                value = moved(value, (size - 1) * stride if back else 0)
                shape, strides = [*shape, size], [*strides, -stride if back else stride]
    return replace(value, shape=tuple(shape), strides=tuple(strides))


def _inside(view: BufferView, box: Sequence[tuple[int, int]]) -> BufferView:
    """Return the part of a view from the first place on each axis to before the second."""
    for axis, (first, end) in enumerate(box):
        view = part(view, axis, first, end - first)
    return view


def _update(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op, (array, value, *given) = node.op, inputs
    assert isinstance(op, (SetAt, AddAt))
    written = _scatter(node, op.key, value, output, given, isinstance(op, AddAt))
    return copy(node, array, output) + written


def _along(view: BufferView, axis: int, shape: Shape) -> BufferView:
    """Return a view at index 0 of an axis, broadcast to ``shape``."""
    first = part(view, axis, 0, min(1, view.shape[axis]))
    return first.broadcast_to(shape) if first.shape[axis] else first


def _take_along(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, TakeAlongAxis)
    array, given = inputs
    axis = normalize_axis(node.op.axis, len(output.shape))
    if 0 in output.shape:
        return []
    indices = [_Indices(given, array.shape[axis], array.strides[axis])]
    return _at_places(node, indices, _along(array, axis, output.shape), output, [], None)


def _add_along(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, AddAlongAxis)
    value, _, given = inputs
    axis = normalize_axis(node.op.axis, len(output.shape))
    if 0 in output.shape:
        return []
    sizes = (*output.shape[:axis], 1, *output.shape[axis + 1 :])
    shape: Any = broadcast_shapes(sizes, given.shape)
    cleared = fill(node, 0, output)
    if 0 in shape:
        return cleared
    indices = [_Indices(given, output.shape[axis], output.strides[axis])]
    target = _along(output, axis, shape)
    return cleared + _at_places(node, indices, value.broadcast_to(shape), target, [], adds=True)


# Scans along one axis


def _flipped(view: BufferView, axis: int) -> BufferView:
    last = (view.shape[axis] - 1) * view.strides[axis]
    strides = tuple(-s if k == axis else s for k, s in enumerate(view.strides))
    return replace(moved(view, last), strides=strides)


def _scan(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op = node.op
    assert isinstance(op, (CumSum, CumProd, LinearRecurrence))
    if 0 in output.shape:
        return []
    views = [view.broadcast_to(output.shape) for view in inputs]
    before: Calls = []
    if isinstance(op, LinearRecurrence):
        made = [converted(node, view, scratch, output.dtype) for view in views]
        views = [view for view, _ in made]
        before = [step for _, steps in made for step in steps]
        code = recurrence_kernel(output.dtype)
    elif isinstance(op, CumSum):
        code = sums_kernel(inputs[0].dtype, output.dtype)
    else:
        code = products_kernel(inputs[0].dtype, output.dtype, op.exclusive)
    axis = normalize_axis(op.axis, len(output.shape))
    operands = [*views, output]
    if op.from_end:
        operands = [_flipped(view, axis) for view in operands]
    work = _PER_ELEMENT * math.prod(output.shape)
    if isinstance(op, CumSum) or (isinstance(op, CumProd) and not op.exclusive):
        axes = _axes_around(operands, axis)
        if axes and axes[-1][0] >= lanes_of(output.dtype) and axes[-1][1:] == (1, 1):
            code = rows_kernel(inputs[0].dtype, output.dtype, isinstance(op, CumProd))
            steps = [view.strides[axis] for view in operands]
            words = [*operands, output.shape[axis], *steps, axes[-1][0], *outer_words(axes[:-1])]
            return [call_of(code, words, node, work)]
    outer, steps = _around(operands, axis)
    words = [*operands, output.shape[axis], *steps, *outer]
    return [*before, call_of(code, words, node, work)]


def _around(operands: Views, axis: int) -> tuple[list[int], list[int]]:
    """Return the words of all other axes, and the strides along the given one."""
    steps = [view.strides[axis] for view in operands]
    return outer_words(_axes_around(operands, axis)), steps


def _axes_around(operands: Views, axis: int) -> list[tuple[int, ...]]:
    """Return size and strides of all other axes."""
    others = [_without(view, axis) for view in operands]
    return merged_axes(others[0].shape, *(view.strides for view in others))


def _without(view: BufferView, axis: int) -> BufferView:
    rank = len(view.shape)
    return _axes_of(view, tuple(number for number in range(rank) if number != axis))


def _position(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op, (source,) = node.op, inputs
    assert isinstance(op, (ArgMax, ArgMin))
    count = math.prod(source.shape)
    before: Calls = []
    if op.axis is None:
        source, before = contiguous(node, source, scratch)
        source, axis = replace(source, shape=(count,), strides=(1,)), 0
        output = replace(output, shape=(1,), strides=(1,))
    else:
        assert isinstance(op.axis, int)
        axis = normalize_axis(op.axis, len(source.shape))
        kept = (*source.shape[:axis], 1, *source.shape[axis + 1 :])
        output = output.reshaped(kept) or output
        if source.shape[axis] > _MOST_POSITIONS and axis == len(source.shape) - 1:
            source, before = contiguous(node, source, scratch)
    axes, step = _axes_around([source, output], axis), source.strides[axis]
    size, largest = source.shape[axis], isinstance(op, ArgMax)
    words = [source, output, size, step, *outer_words(axes)]
    code = position_kernel(source.dtype, largest)
    if size > _MOST_POSITIONS and _is_compared(source.dtype, size):
        if step == 1:
            code = far_position_kernel(source.dtype, largest)
            words = [source, output, size, *outer_words(axes)]
        elif axes and axes[-1][1:] == (1, 1):
            code = column_positions_kernel(source.dtype, largest)
            words = [source, output, size, step, axes[-1][0], *outer_words(axes[:-1])]
    return [*before, call_of(code, words, node, _PER_ELEMENT * count)]


def _product(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op, (source,) = node.op, inputs
    assert isinstance(op, Prod)
    axes = normalize_axes(op.axis, len(source.shape))
    if 0 in source.shape:
        return fill(node, 1, output)
    rest = tuple(axis for axis in range(len(source.shape)) if axis not in axes)
    kept = tuple(source.shape[axis] for axis in rest)
    source, before = contiguous(node, source.permuted((*rest, *axes)), scratch)
    source = source.reshaped((*kept, math.prod(source.shape[len(rest) :]))) or source
    output = output.reshaped((*kept, 1)) or output
    outer, (step, _) = _around([source, output], len(rest))
    words = [source, output, source.shape[-1], step, *outer]
    work = _PER_ELEMENT * math.prod(source.shape)
    return [*before, call_of(product_kernel(source.dtype, output.dtype), words, node, work)]


def _argsort(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op, (source,) = node.op, inputs
    assert isinstance(op, Argsort)
    if 0 in source.shape:
        return []
    axis = normalize_axis(op.axis, len(source.shape))
    size = source.shape[axis]
    room = [scratch((2, size), dtype) for dtype in (source.dtype, output.dtype)]
    outer, steps = _around([source, output], axis)
    words = [source, output, *room, size, *steps, *outer]
    work = _PER_PLACE * math.prod(source.shape) * size.bit_length()
    return [call_of(sorting_kernel(source.dtype, op.descending), words, node, work)]


# What has code


def _is_float16(*nodes: Node) -> bool:
    return any(node.dtype == np.float16 for node in nodes)


def _reaches(node: Node, key: Key, array: Node, given: Sequence[Node], written: bool) -> bool:
    """Return whether the selection is known, and its indices, if any, are checked.

    Nothing checks indices if the selection is empty.
    """
    selection = _select(key, _placeholder(array), [_placeholder(index) for index in given])
    if selection is None:
        return False
    rest, start = selection.view.shape, selection.start
    shape = (*rest[:start], *selection.joined, *rest[start:]) if written else shape_of(node)
    return 0 not in shape or 0 in selection.joined


def _placeholder(node: Node) -> BufferView:
    shape = shape_of(node)
    return BufferView(-1, 0, shape, contiguous_strides(shape), node.dtype)


def _can_gather(node: Node) -> bool:
    array, *given = node.inputs
    known = isinstance(node.op, Index) and _reaches(node, node.op.key, array, given, False)
    return known and not _is_float16(array)


def _can_scatter(node: Node) -> bool:
    op = node.op
    assert isinstance(op, (ScatterAdd, SetAt, AddAt))
    value = node.inputs[0] if isinstance(op, ScatterAdd) else node.inputs[1]
    given = node.inputs[2:]
    return _reaches(node, op.key, node, given, True) and not _is_float16(value, node)


def _can_scatter_all(node: Node) -> bool:
    assert isinstance(node.op, ScatterSum)
    return all(
        _reaches(node, key, node, given, True) and not _is_float16(value, node)
        for key, value, given in node.op.parts(node.inputs)
    )


def _can_go_along(node: Node) -> bool:
    assert isinstance(node.op, (TakeAlongAxis, AddAlongAxis))
    shape = shape_of(node)
    axis = normalize_axis(node.op.axis, len(shape))
    checked = 0 not in shape or not shape_of(node.inputs[-1])[axis]
    return checked and not _is_float16(node, node.inputs[0])


def _can_scan(node: Node) -> bool:
    return not _is_float16(node) and convert_all(node)


def _can_sort(node: Node) -> bool:
    return math.prod(shape_of(node)) <= _MOST_SORTED and not _is_float16(node.inputs[0])


def _can_find_position(node: Node) -> bool:
    op, (source,) = node.op, node.inputs
    assert isinstance(op, (ArgMax, ArgMin))
    shape = shape_of(source)
    count = math.prod(shape)
    if isinstance(op.axis, int):
        count = shape[normalize_axis(op.axis, len(shape))]
    is_near = count <= _MOST_POSITIONS and not _is_float16(source)
    return 0 not in shape and (is_near or _is_compared(source.dtype, count))


def _is_compared(dtype: np.dtype[Any], count: int) -> bool:
    """Return whether there is a kernel for positions among so many elements of one line."""
    return dtype.kind in "iuf" and dtype.itemsize >= 4 and count < 1 << 31


TABLE: dict[type[Op], Lower] = {
    Index: _gather,
    ArrayIndex: _gather,
    ScatterAdd: _scatter_add,
    ScatterSum: _scatter_sum,
    SetAt: _update,
    AddAt: _update,
    TakeAlongAxis: _take_along,
    AddAlongAxis: _add_along,
    CumSum: _scan,
    CumProd: _scan,
    LinearRecurrence: _scan,
    ArgMax: _position,
    ArgMin: _position,
    Prod: _product,
    Argsort: _argsort,
}
"""The lowering function of each op."""

CONDITIONS: dict[type[Op], Condition] = {
    Index: _can_gather,
    ArrayIndex: _can_gather,
    ScatterAdd: _can_scatter,
    ScatterSum: _can_scatter_all,
    SetAt: _can_scatter,
    AddAt: _can_scatter,
    TakeAlongAxis: _can_go_along,
    AddAlongAxis: _can_go_along,
    CumSum: _can_scan,
    CumProd: _can_scan,
    LinearRecurrence: _can_scan,
    ArgMax: _can_find_position,
    ArgMin: _can_find_position,
    Prod: _can_scan,
    Argsort: _can_sort,
}
