"""Calls for ops that move elements: joins, rearrangements, triangles, and copies of views."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Shape, Views
from symad.backends.native.kernels.copies import (
    add_kernel,
    lines_kernel,
    numbers_kernel,
    repeats_kernel,
    strided_kernel,
    sum_kernel,
    triangle_kernel,
    zeros_kernel,
)
from symad.backends.native.kernels.interleaving import MOST_LINES, interleaving_kernel
from symad.backends.native.kernels.transposition import block_of, transposition_kernel
from symad.backends.native.kernels.vectors import lanes_of
from symad.backends.native.kernels.writer import Kernel
from symad.backends.native.scalar_builder import has_type
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.inverse import IdentityMatrix
from symad.ops.join import Concat, ConcatPlace, Stack
from symad.ops.rearrange import Pad, Repeat, Roll, Tile
from symad.ops.triangle import DiagonalMatrix, DiagonalPlace, Tril, Triu
from symad.ops.windows import WindowSum
from symad.records import replace
from symad.types import normalize_axis

Calls = list[KernelCall]
Scratch = Callable[[Shape, np.dtype[Any]], BufferView]
Lower = Callable[[Node, Views, BufferView, Scratch], Calls]
"""A function that returns the calls for a node."""
Condition = Callable[[Node], bool]
"""A function that returns whether a node has code, which depends only on op and types."""

_CALL = 10.0
"""The estimated overhead of a call in nanoseconds."""
_PER_LINE = 4.0
_PER_BYTE = 0.05
_PER_ELEMENT = 0.6

_Axis = tuple[int, ...]
"""The size of an axis, then its strides in some operands."""


def call_of(code: Kernel, words: Sequence[Any], node: Node, work: float) -> KernelCall:
    """Return the call of a kernel; ``work`` is its time in nanoseconds without the overhead.

    The words are integers and views.
    """
    return KernelCall(code.address, tuple(words), code.module, node, _CALL + work)


def number_word(number: Any, dtype: np.dtype[Any]) -> int:
    """Return the word that holds a number of ``dtype``."""
    raw = dtype.type(number).tobytes()
    return int.from_bytes(raw.ljust(8, b"\0"), sys.byteorder, signed=True)


def outer_words(axes: Sequence[_Axis], scale: int = 1) -> list[int]:
    """Return the words of the outer axes of some operands, from size and strides of each axis."""
    words = [len(axes), *(size for size, *_ in axes)]
    operands = zip(*(strides for _, *strides in axes), strict=True)
    return words + [scale * stride for strides in operands for stride in strides]


def merged_axes(shape: Shape, *strides: Shape) -> list[_Axis]:
    """Return size and strides of the axes with more than one element, merged if possible.

    Two neighbouring axes are merged if each operand has even steps over both.
    """
    axes: list[_Axis] = []
    for size, *steps in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if axes and all(
            outer == size * inner for outer, inner in zip(axes[-1][1:], steps, strict=True)
        ):
            axes[-1] = (axes[-1][0] * size, *steps)
        else:
            axes.append((size, *steps))
    return axes


# Parts of views


def part(view: BufferView, axis: int, start: int, count: int) -> BufferView:
    """Return the view of ``count`` places along an axis, from ``start`` on."""
    shape = (*view.shape[:axis], count, *view.shape[axis + 1 :])
    return moved(replace(view, shape=shape), start * view.strides[axis])


def moved(view: BufferView, elements: int) -> BufferView:
    """Return the view moved by a number of elements."""
    return replace(view, offset=view.offset + elements * view.dtype.itemsize)


def without_axis(view: BufferView, axis: int, index: int = 0) -> BufferView:
    """Return the view of one place along an axis."""
    shape, strides = (sizes[:axis] + sizes[axis + 1 :] for sizes in (view.shape, view.strides))
    return moved(replace(view, shape=shape, strides=strides), index * view.strides[axis])


# Copies


def converts(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Return whether there is code that converts one dtype to another."""
    if source == target:
        return True
    half = np.dtype(np.float16)
    if half not in (source, target):
        return True
    return has_type(half) and not (target == half and source == np.float64)


def convert_all(node: Node) -> bool:
    """Return whether all inputs convert to the dtype of the node, which is an array."""
    return all(converts(source.dtype, node.dtype) for source in node.inputs)


def copy(node: Node, source: BufferView, target: BufferView) -> Calls:
    """Return the calls that copy ``source`` into ``target``, of the same shape.

    Elements are converted like NumPy's, if they :func:`convert <converts>`.
    """
    if 0 in target.shape or source == target:
        return []
    order = tuple(sorted(range(len(target.shape)), key=lambda axis: -abs(target.strides[axis])))
    source, target = source.permuted(order), target.permuted(order)
    axes = merged_axes(target.shape, source.strides, target.strides)
    *outer, inner = axes or [(1, 1, 1)]
    lines = math.prod(size for size, *_ in outer)
    if source.dtype == target.dtype and inner[1] == inner[2] == 1:
        size = target.dtype.itemsize
        words = [source, target, size * inner[0], *outer_words(outer, size)]
        work = lines * (_PER_LINE + _PER_BYTE * size * inner[0])
        return [call_of(lines_kernel(), words, node, work)]
    if source.dtype == target.dtype and inner[1:] == (0, 1):
        return _repeats(node, source, target, outer or [(1, 0, 0)], inner[0])
    return (
        _in_turn(node, source, target, outer, inner)
        or _transposed(node, source, target, outer, inner)
        or _strided(node, source, target, outer, inner)
    )


def _strided(
    node: Node, source: BufferView, target: BufferView, outer: Sequence[_Axis], inner: _Axis
) -> Calls:
    code = strided_kernel(*_carriers(source.dtype, target.dtype))
    work = math.prod(size for size, *_ in outer) * (_PER_LINE + _PER_ELEMENT * inner[0])
    return [call_of(code, [source, target, *inner, *outer_words(outer)], node, work)]


def _repeats(
    node: Node, source: BufferView, target: BufferView, outer: list[_Axis], count: int
) -> Calls:
    """Copy each element so many times to neighbouring places."""
    *rest, line = outer
    code = repeats_kernel(_carriers(source.dtype, target.dtype)[0])
    work = math.prod(size for size, *_ in outer) * (_PER_LINE + _PER_BYTE * count)
    return [call_of(code, [source, target, *line, count, *outer_words(rest)], node, work)]


def _transposed(
    node: Node, source: BufferView, target: BufferView, outer: list[_Axis], inner: _Axis
) -> Calls:
    """Copy columns of matrices in the source to lines of the target, if they are large enough."""
    size = target.dtype.itemsize
    found = [axis for axis in outer if axis[1] == 1]
    if source.dtype != target.dtype or not found or inner[2] != 1:
        return []
    (columns, _, step), least = found[0], block_of(size)
    if min(columns, inner[0]) < least:
        return []
    rest = [axis for axis in outer if axis is not found[0]]
    words = [source, target, inner[0], columns, inner[1], step, *outer_words(rest)]
    work = math.prod(count for count, *_ in [*outer, inner]) * _PER_BYTE * size * 2
    return [call_of(transposition_kernel(size), words, node, work)]


def _in_turn(
    node: Node, source: BufferView, target: BufferView, outer: list[_Axis], inner: _Axis
) -> Calls:
    """Copy a matrix with few columns from or to its transpose: lines that follow in turn."""
    few = [axis for axis in [*outer, inner] if axis[1] == 1]
    if source.dtype != target.dtype or inner[2] != 1 or not few:
        return []
    is_back = few[0][0] == inner[1]  # the source has the few columns
    (count, *steps), long = (few[0], inner) if is_back else (inner, few[0])
    if count > MOST_LINES:
        return []
    lines, joined = (target, source) if is_back else (source, target)
    rest = [axis for axis in outer if axis is not few[0]]
    axes = [(n, *[to if is_back else from_] * count, from_ if is_back else to)
            for n, from_, to in [*rest, long]]  # fmt: skip
    apart = [moved(lines, k * steps[is_back]) for k in range(count)]
    return _interleaved(node, apart, joined, axes, is_back)


def _interleaved(
    node: Node, lines: Views, joined: BufferView, axes: Sequence[_Axis], is_back: bool = False
) -> Calls:
    """Return the call that copies lines to one where they follow in turn, or ``is_back`` from it.

    ``axes`` are those of the lines and the joined one.  There is no call if the lines are many, or
    short or empty, or their elements apart.
    """
    *outer, (size, *steps) = axes or [(1,)]
    count, dtype = len(lines), joined.dtype
    are_lines = 1 < count <= MOST_LINES and steps == [*[1] * count, count]
    if not are_lines or size < lanes_of(dtype) or 0 in (n for n, *_ in outer):
        return []
    code = interleaving_kernel(dtype.itemsize, count, is_back)
    words = [*lines, joined, size, *outer_words(outer)]
    work = math.prod(n for n, *_ in axes) * count * _PER_BYTE * dtype.itemsize * 2
    return [call_of(code, words, node, work)]


def _carriers(source: np.dtype[Any], target: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtypes to copy: without conversion, integers of the same size."""
    if source != target:
        return source, target
    same = np.dtype(f"u{source.itemsize}")
    return same, same


def fill(node: Node, number: Any, target: BufferView) -> Calls:
    """Return the calls that set all elements of ``target`` to one number of its dtype."""
    if 0 in target.shape:
        return []
    word = number_word(number, target.dtype)
    size = math.prod(target.shape) * target.dtype.itemsize
    if not word and target.is_contiguous:
        return [call_of(zeros_kernel(), [target, size], node, _PER_BYTE * size)]
    axes = merged_axes(target.shape, (0,) * len(target.shape), target.strides)
    *outer, inner = axes or [(1, 0, 1)]
    carrier, _ = _carriers(target.dtype, target.dtype)
    if inner[2] == 1:
        words = [word, target, inner[0], *outer_words([(n, step) for n, _, step in outer])]
        return [call_of(numbers_kernel(carrier), words, node, _PER_BYTE * size)]
    code = strided_kernel(carrier, carrier, repeats=True)
    return [call_of(code, [word, target, *inner, *outer_words(outer)], node, _PER_BYTE * size)]


def contiguous(
    node: Node, view: BufferView, scratch: Scratch, dtype: np.dtype[Any] | None = None
) -> tuple[BufferView, Calls]:
    """Return a contiguous view of the same elements in ``dtype``, and the calls for it."""
    wanted = view.dtype if dtype is None else dtype
    if view.is_contiguous and view.dtype == wanted:
        return view, []
    target = scratch(view.shape, wanted)
    return target, copy(node, view, target)


def converted(
    node: Node, view: BufferView, scratch: Scratch, dtype: np.dtype[Any]
) -> tuple[BufferView, Calls]:
    """Return a view of the same numbers in ``dtype``, and the calls for it."""
    return (view, []) if view.dtype == dtype else contiguous(node, view, scratch, dtype)


def _copies(node: Node, pairs: Iterable[tuple[BufferView, BufferView]]) -> Calls:
    return [step for source, target in pairs for step in copy(node, source, target)]


def _add(node: Node, source: BufferView, target: BufferView) -> Calls:
    """Return the calls that add ``source`` to ``target``, of the same shape and dtype."""
    if 0 in target.shape:
        return []
    *outer, inner = merged_axes(target.shape, source.strides, target.strides) or [(1, 1, 1)]
    code = add_kernel(target.dtype, inner[1] == inner[2] == 1)
    work = math.prod(size for size, *_ in outer) * (_PER_LINE + _PER_ELEMENT * inner[0])
    return [call_of(code, [source, target, *inner, *outer_words(outer)], node, work)]


def add_lines(node: Node, terms: Views, target: BufferView) -> Calls:
    """Return the call that sets ``target`` to a sum of terms of its shape and dtype.

    The last axis of all has step 1.
    """
    strides = [view.strides for view in (*terms, target)]
    axes = merged_axes(target.shape, *strides)
    last = (1, *[1] * len(strides))
    *outer, (size, *_) = [*axes, last] if target.shape[-1] == 1 else axes
    words = [*terms, target, size, *outer_words(outer)]
    work = math.prod(target.shape) * _PER_BYTE * target.dtype.itemsize * (1 + len(terms))
    return [call_of(sum_kernel(target.dtype, len(terms)), words, node, work)]


def _window_sum(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, WindowSum)
    windows, rank, calls = inputs[0], len(node.op.sizes), fill(node, 0, output)
    first = len(windows.shape) - 2 * rank
    for place in itertools.product(*map(range, node.op.sizes)):
        term, target = windows, output
        for axis, (k, gap, step) in enumerate(zip(place, node.op.gaps, node.op.steps, strict=True)):
            term = without_axis(term, first, k)
            target = _every(target, first + axis, k * gap, step, windows.shape[axis - rank])
        calls += _add(node, term, target)
    return calls


def _every(view: BufferView, axis: int, start: int, step: int, count: int) -> BufferView:
    """Return the view of ``count`` places along an axis, ``step`` apart."""
    shape, strides = list(view.shape), list(view.strides)
    begin = moved(view, start * strides[axis])
    shape[axis], strides[axis] = count, step * strides[axis]
    return replace(begin, shape=tuple(shape), strides=tuple(strides))


# Joins


def _concat(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, Concat)
    axis = normalize_axis(node.op.axis, len(output.shape))
    return _joined(node, inputs, output, axis)


def _joined(node: Node, inputs: Views, output: BufferView, axis: int) -> Calls:
    sizes = [view.shape[axis] for view in inputs]
    starts = itertools.accumulate(sizes, initial=0)
    if set(sizes) == {1}:
        return _stacked(node, [without_axis(view, axis) for view in inputs], output, axis)
    places = [part(output, axis, start, size) for start, size in zip(starts, sizes, strict=False)]
    return _copies(node, zip(inputs, places, strict=True))


def _stack(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, Stack)
    return _stacked(node, inputs, output, normalize_axis(node.op.axis, len(output.shape)))


def _stacked(node: Node, inputs: Views, output: BufferView, axis: int) -> Calls:
    joined: Calls = []
    if {view.dtype for view in inputs} == {output.dtype} and len(inputs) <= MOST_LINES:
        whole = without_axis(output, axis)
        strides = (view.strides for view in (*inputs, whole))
        joined = _interleaved(node, inputs, output, merged_axes(whole.shape, *strides))
    places = [without_axis(output, axis, k) for k in range(len(inputs))]
    return joined or _copies(node, zip(inputs, places, strict=True))


def _concat_place(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op = node.op
    assert isinstance(op, ConcatPlace)
    axis = normalize_axis(op.axis, len(output.shape))
    sizes = [view.shape[axis] for view in inputs[1:]]
    start = sum(sizes[: op.part])
    cleared = fill(node, 0, output)
    placed = copy(node, inputs[0], part(output, axis, start, sizes[op.part]))
    return cleared + placed


# Rearrangements


def _roll(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower roll: each rolled axis has two parts, which are swapped."""
    assert isinstance(node.op, Roll)
    (source,), shift, axis = inputs, node.op.shift, node.op.axis
    before: Calls = []
    if axis is None:
        source, before = contiguous(node, source, scratch)
        line = (math.prod(source.shape),)
        source, output = (replace(view, shape=line, strides=(1,)) for view in (source, output))
    axes = (0,) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    given = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    shifts: dict[int, int] = {}
    for number, by in zip(axes, given, strict=True):
        place = normalize_axis(number, len(source.shape))
        shifts[place] = shifts.get(place, 0) + by
    pairs = [(source, output)]
    for place, by in shifts.items():
        pairs = [half for pair in pairs for half in _rolled(*pair, place, by)]
    return before + _copies(node, pairs)


def _rolled(
    source: BufferView, target: BufferView, axis: int, shift: int
) -> list[tuple[BufferView, BufferView]]:
    size = source.shape[axis]
    first = shift % size if size else 0
    rest = size - first
    return [
        (part(source, axis, 0, rest), part(target, axis, first, rest)),
        (part(source, axis, rest, first), part(target, axis, 0, first)),
    ]


def _tile(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower tile, which broadcasts along an extra axis before each axis."""
    assert isinstance(node.op, Tile)
    (source,), rank = inputs, len(output.shape)
    missing = rank - len(source.shape)
    sizes = (1,) * missing + source.shape
    steps = (0,) * missing + source.strides
    if 0 in output.shape:
        return []
    shape: list[int] = []
    from_: list[int] = []
    to: list[int] = []
    for size, whole, step, out in zip(sizes, output.shape, steps, output.strides, strict=True):
        shape += [whole // size, size]
        from_ += [0, step]
        to += [size * out, out]
    return copy(node, _seen(source, shape, from_), _seen(output, shape, to))


def _repeat(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower repeat, which broadcasts along an extra axis after the axis."""
    op, (source,) = node.op, inputs
    assert isinstance(op, Repeat) and isinstance(op.repeats, int)
    axis = normalize_axis(op.axis, len(source.shape))
    before, after = slice(axis + 1), slice(axis + 1, None)
    shape = (*source.shape[before], op.repeats, *source.shape[after])
    from_ = (*source.strides[before], 0, *source.strides[after])
    steps = list(output.strides)
    steps[axis] *= op.repeats
    to = (*steps[before], output.strides[axis], *steps[after])
    return copy(node, _seen(source, shape, from_), _seen(output, shape, to))


def _seen(view: BufferView, shape: Sequence[int], strides: Sequence[int]) -> BufferView:
    return replace(view, shape=tuple(shape), strides=tuple(strides))


def _pad(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op, (source,) = node.op, inputs
    assert isinstance(op, Pad)
    number = np.asarray(op.value).astype(output.dtype)
    inside, filled = output, []
    for axis, (before, after) in enumerate(op.pairs(len(source.shape))):
        size = source.shape[axis]
        for start, count in ((0, before), (before + size, after)):
            filled += fill(node, number, part(inside, axis, start, count))
        inside = part(inside, axis, before, size)
    return filled + copy(node, source, inside)


# Triangles and diagonals


def _triangle(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, (Tril, Triu))
    return triangle(node, inputs[0], output, isinstance(node.op, Tril), node.op.k)


def triangle(
    node: Node, source: BufferView, target: BufferView, lower: bool, diagonal: int = 0
) -> Calls:
    """Return the calls that copy a triangle of each matrix, with zeros in the other."""
    if 0 in target.shape:
        return []
    *batch, rows, columns = target.shape
    outer = merged_axes(tuple(batch), source.strides[:-2], target.strides[:-2])
    steps = (*source.strides[-2:], target.strides[-2])
    words = [source, target, rows, columns, diagonal, *steps, *outer_words(outer)]
    work = math.prod(batch) * rows * (_PER_LINE + _PER_ELEMENT * columns / 2)
    return [call_of(triangle_kernel(target.dtype.itemsize, lower), words, node, work)]


def _diagonal_place(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    op = node.op
    assert isinstance(op, DiagonalPlace)
    return _on_diagonal(node, inputs[0], output, (op.offset, op.axis1, op.axis2))


def _diagonal_matrix(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, DiagonalMatrix)
    return _on_diagonal(node, inputs[0], output, (node.op.k, 0, 1))


def _on_diagonal(
    node: Node, source: BufferView, output: BufferView, which: tuple[int, int, int]
) -> Calls:
    cleared = fill(node, 0, output)
    placed = copy(node, source, _diagonal(output, *which))
    return cleared + placed


def _diagonal(matrix: BufferView, offset: int, axis1: int, axis2: int) -> BufferView:
    """Return the view of a diagonal of each matrix, as the last axis."""
    rank = len(matrix.shape)
    first, second = normalize_axis(axis1, rank), normalize_axis(axis2, rank)
    rows, columns = matrix.shape[first], matrix.shape[second]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = max(-offset, 0) * matrix.strides[first] + max(offset, 0) * matrix.strides[second]
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    shape = (*(matrix.shape[axis] for axis in rest), length)
    step = matrix.strides[first] + matrix.strides[second]
    strides = (*(matrix.strides[axis] for axis in rest), step)
    return _seen(moved(matrix, start if length else 0), shape, strides)


def _identity_matrix(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    cleared = fill(node, 0, output)
    placed = fill(node, 1, _diagonal(output, 0, 0, 1))
    return cleared + placed


TABLE: dict[type[Op], Lower] = {
    Concat: _concat,
    Stack: _stack,
    ConcatPlace: _concat_place,
    Roll: _roll,
    Tile: _tile,
    Repeat: _repeat,
    Pad: _pad,
    Tril: _triangle,
    Triu: _triangle,
    DiagonalPlace: _diagonal_place,
    DiagonalMatrix: _diagonal_matrix,
    IdentityMatrix: _identity_matrix,
    WindowSum: _window_sum,
}
"""The lowering function of each op."""

CONDITIONS: dict[type[Op], Condition] = {
    Concat: convert_all,
    Stack: convert_all,
    Repeat: lambda node: isinstance(node.op, Repeat) and isinstance(node.op.repeats, int),
    WindowSum: lambda node: node.dtype != np.float16,
    Pad: lambda node: isinstance(node.op, Pad) and node.op.mode == "constant",
}
"""The condition on the types under which each op has code, if any."""
