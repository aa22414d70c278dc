"""Calls for sums of products over named axes: matmul and einsum of two operands.

The axes of C = Σ A B are of four kinds: axes of all three (batch), axes that only A (i) or only B
(j) shares with C, and axes that are summed over (k).  Axes of the same kind are merged if all
operands have even steps over them.  Remaining axes i and j count as batch; k must be one axis, for
which an operand is copied if necessary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product as pairs_of

import numpy as np

from symad.backends.native.fortran import Library, library
from symad.backends.native.kernel_call import BufferView, KernelCall, Views
from symad.backends.native.kernels.products import (
    columns_kernel,
    rows_kernel,
    tiles_kernel,
)
from symad.backends.native.kernels.small_matrices import product
from symad.backends.native.lower.copies import (
    Calls,
    Condition,
    Lower,
    Scratch,
    call_of,
    convert_all,
    converted,
    copy,
    fill,
    merged_axes,
    outer_words,
)
from symad.backends.native.lower.library_calls import Argument, library_call
from symad.backends.native.lower.small_matrices import are_small, small_call
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.einsum import Einsum
from symad.ops.product import Matmul
from symad.passes.fuse import shape_of
from symad.records import dataclass, replace

_OWN = 4096
"""Up to this many terms, symad's loops are faster than BLAS for a product with a vector."""
_LINE = 4
"""From so many rows on, their sums are computed together."""
_PER_TERM = 0.03
"""The estimated nanoseconds for the product of two numbers."""
_PER_MATRIX = 40.0
_LEAST = 16
"""The least number of terms of each of many products, none of which is copied."""

_DOTS = "..."
_Axis = tuple[int, ...]
"""The size of an axis, and its strides in A, B and C."""
_Axes = tuple[_Axis, _Axis, _Axis]
_Views = tuple[BufferView, BufferView, BufferView]


@dataclass(frozen=True, slots=True)
class _LabelledView:
    """A view whose axes have names."""

    view: BufferView
    names: tuple[str, ...]

    def size(self, name: str) -> int:
        return self.view.shape[self.names.index(name)]

    def stride(self, name: str) -> int:
        """Return the stride along an axis, or 0 if there is no axis of that name."""
        if name not in self.names:
            return 0
        axis = self.names.index(name)
        return 0 if self.view.shape[axis] == 1 else self.view.strides[axis]

    def ordered(self, names: Sequence[str]) -> _LabelledView:
        axes = tuple(self.names.index(name) for name in names)
        return _LabelledView(self.view.permuted(axes), tuple(names))


def _matmul(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    """Lower matmul; vectors lack an axis, and leading axes are named from the last one on."""
    left, right = inputs
    batch = [f"b{k}" for k in reversed(range(max(len(left.shape), len(right.shape))))]
    row, column = ("i",) * (len(left.shape) > 1), ("j",) * (len(right.shape) > 1)
    terms = ((*row, "k"), ("k", *column), (*row, *column))
    operands = [
        _LabelledView(view, (*batch[len(batch) - len(view.shape) + len(term) :], *term))
        for view, term in zip((left, right, output), terms, strict=True)
    ]
    return _contract(node, operands, scratch)


def _einsum(node: Node, inputs: Views, output: BufferView, scratch: Scratch) -> Calls:
    assert isinstance(node.op, Einsum)
    given, _, result = node.op.subscripts.partition("->")
    terms = given.split(",")
    operands = [
        _LabelledView(view, _names(term, len(view.shape)))
        for view, term in zip((*inputs, output), (*terms, result), strict=True)
    ]
    return _contract(node, operands, scratch)


def _names(term: str, rank: int) -> tuple[str, ...]:
    """Return a name for each axis; axes of an ellipsis are named from its last one on."""
    before, dots, after = term.partition(_DOTS)
    count = rank - len(before) - len(after) if dots else 0
    return (*before, *(f"{_DOTS}{k}" for k in reversed(range(count))), *after)


def _contract(node: Node, operands: Sequence[_LabelledView], scratch: Scratch) -> Calls:
    """Return the calls for A, B and C, in the dtype of C."""
    *factors, out = operands
    dtype = out.view.dtype
    if 0 in out.view.shape:
        return []
    summed = [name for name in factors[0].names if name not in out.names]
    if any(factors[0].size(name) == 0 for name in summed):
        return fill(node, 0, out.view)
    calls: Calls = []
    for k, factor in enumerate(factors):
        view, before = converted(node, factor.view, scratch, dtype)
        factors[k] = replace(factor, view=view)
        calls += before
    return calls + _Contraction(node, factors, out, scratch).calls(summed)


class _Contraction:
    """A product of two operands in the dtype of the result, and what has to be done before."""

    def __init__(
        self, node: Node, factors: Sequence[_LabelledView], out: _LabelledView, scratch: Scratch
    ) -> None:
        self._node, self._scratch = node, scratch
        self._operands = [*factors, out]
        self._before: Calls = []

    def calls(self, summed: Sequence[str]) -> Calls:
        """Return all calls, with the copy of the result last."""
        left, right, whole = self._operands
        rows = [name for name in whole.names if name not in right.names]
        columns = [name for name in whole.names if name not in left.names]
        batch = [name for name in whole.names if name not in (*rows, *columns)]
        summed = self._join(summed)
        made = self._lower(batch, rows, columns, summed)
        if made is None:
            self._copy(0, [n for n in (*batch, *rows, *summed) if n in left.names])
            self._copy(1, [n for n in (*batch, *summed, *columns) if n in right.names])
            self._set_apart(2, [*batch, *rows, *columns])
            made = self._lower(batch, rows, columns, summed)
        assert made is not None, "copied operands fit, as the condition ensures"
        apart = self._operands[2]
        if apart.view.block != whole.view.block:
            made += copy(self._node, apart.ordered(whole.names).view, whole.view)
        return self._before + made

    def _lower(
        self,
        batch: Sequence[str],
        rows: Sequence[str],
        columns: Sequence[str],
        summed: Sequence[str],
    ) -> Calls | None:
        (k,) = self._axes(summed) or [_NONE]
        left, right, out = (operand.view for operand in self._operands)
        each = self._axes(batch)
        pairs = pairs_of(_choices(self._axes(rows)), _choices(self._axes(columns)))
        for number, ((i, more_rows), (j, more_columns)) in enumerate(pairs):
            if number and i[0] * j[0] * k[0] < _LEAST:
                continue  # copying takes less time than so many calls
            outer = each + more_rows + more_columns
            made = _lowered(self._node, (left, right, out), (i, j, k), outer)
            if made is not None:
                return made
        return None

    def _axes(self, names: Sequence[str]) -> list[_Axis]:
        """Return size and strides of the axes of one kind, merged if possible."""
        if not names:
            return []
        operands = self._operands
        shape = tuple(max(o.size(n) for o in operands if n in o.names) for n in names)
        return merged_axes(shape, *(tuple(o.stride(n) for n in names) for o in operands))

    def _join(self, summed: Sequence[str]) -> Sequence[str]:
        """Return the summed axes in an order that merges them; copy operands if necessary."""
        if len(summed) <= 1:
            return summed
        for kept in (0, 1):
            operand = self._operands[kept]
            order = sorted(summed, key=lambda name: -operand.stride(name))
            if len(self._axes(order)) <= 1:
                return order
        for kept in (0, 1):
            operand = self._operands[kept]
            order = sorted(summed, key=lambda name: -operand.stride(name))
            sizes, strides = (
                tuple(measure(name) for name in order) for measure in (operand.size, operand.stride)
            )
            if len(merged_axes(sizes, strides)) <= 1:
                self._copy(1 - kept, self._with_last(1 - kept, order))
                return order
        for side in (0, 1):
            self._copy(side, self._with_last(side, summed))
        return summed

    def _with_last(self, side: int, last: Sequence[str]) -> list[str]:
        names = self._operands[side].names
        return [*(name for name in names if name not in last), *last]

    def _copy(self, side: int, names: Sequence[str]) -> None:
        """Replace an operand by a copy with its axes in the order of ``names``."""
        source = self._operands[side].ordered(names).view
        self._set_apart(side, names)
        target = self._operands[side].view
        if target.block != source.block:
            self._before += copy(self._node, source, target)

    def _set_apart(self, side: int, names: Sequence[str]) -> None:
        """Copy an operand unless its axes are already in that order."""
        operand = self._operands[side].ordered(names)
        if not operand.view.is_contiguous:
            place = self._scratch(operand.view.shape, operand.view.dtype)
            operand = _LabelledView(place, operand.names)
        self._operands[side] = operand


_NONE: _Axis = (1, 0, 0, 0)


def _choices(axes: list[_Axis]) -> list[tuple[_Axis, list[_Axis]]]:
    """Return each axis and the others, the longest first."""
    order = sorted(axes, key=lambda axis: -axis[0]) or [_NONE]
    return [(axis, [other for other in axes if other is not axis]) for axis in order]


def _swapped(axis: _Axis) -> _Axis:
    """Return an axis of A B = C as one of Bᵀ Aᵀ = Cᵀ."""
    size, left, right, out = axis
    return size, right, left, out


def _lowered(node: Node, views: _Views, axes: _Axes, outer: list[_Axis]) -> Calls | None:
    """Return the calls for a product whose axes i, j and k have these sizes and strides.

    ``None`` if an operand must be copied first.
    """
    left, right, out = views
    i, j, k = axes
    is_float = out.dtype.kind == "f"
    other = (right, left, out), (_swapped(j), _swapped(i), _swapped(k))
    if not outer and (not is_float or i[0] * j[0] * k[0] <= _OWN):
        made = _with_vector(node, views, axes) or _with_vector(node, *other)
        if made is not None:
            return [made]
    if is_float and are_small(i[0], j[0], k[0]):
        return [_small(node, views, axes, outer)]
    found = library()
    swapped = [_swapped(axis) for axis in outer]
    if is_float and found is not None and not outer and i[0] == j[0] == 1:
        made = _by_dot(node, found, views, k) or _by_dot(node, found, other[0], _swapped(k))
    elif is_float and found is not None:
        made = _by_blas(node, found, views, axes, outer) or _by_blas(node, found, *other, swapped)
    else:
        made = _by_tiles(node, views, axes, outer) or _by_tiles(node, *other, swapped)
    return None if made is None else [made]


def _with_vector(node: Node, views: _Views, axes: _Axes) -> KernelCall | None:
    """Return the call for a product of a matrix A and a vector, or of two vectors."""
    left, right, out = views
    (rows, left_row, _, out_row), j, (terms, left_step, right_step, _) = axes
    if j[0] != 1:
        return None
    work = _PER_TERM * rows * terms
    if left_step == right_step == 1 or terms == 1:
        words = [left, right, out, rows, terms, left_row, out_row]
        is_line = out_row == 1 and rows >= _LINE
        return call_of(rows_kernel(out.dtype, is_line), words, node, work)
    if left_row == out_row == 1 or rows == 1:
        words = [right, left, out, rows, terms, right_step, left_step]
        return call_of(columns_kernel(out.dtype), words, node, work)
    return None


def _small(node: Node, views: _Views, axes: _Axes, outer: list[_Axis]) -> KernelCall:
    """Return the call for a product of small matrices of any strides."""
    i, j, k = axes
    pairs = zip(views, ((i, k), (k, j), (i, j)), strict=True)
    matrices = [
        replace(view, shape=(rows[0], columns[0]), strides=(rows[n], columns[n]))
        for n, (view, (rows, columns)) in enumerate(pairs, 1)
    ]
    return small_call(node, product, matrices, _PER_TERM * i[0] * j[0] * k[0], outer)


def _by_tiles(node: Node, views: _Views, axes: _Axes, outer: list[_Axis]) -> KernelCall | None:
    left, right, out = views
    i, j, k = axes
    if j[0] > 1 and not j[2] == j[3] == 1:
        return None
    steps = (i[1], k[1], k[2], i[3])
    words = [left, right, out, i[0], j[0], k[0], *steps, *outer_words(outer)]
    work = _PER_TERM * i[0] * j[0] * k[0] * math.prod(size for size, *_ in outer)
    return call_of(tiles_kernel(out.dtype), words, node, work)


def _by_blas(
    node: Node, found: Library, views: _Views, axes: _Axes, outer: list[_Axis]
) -> KernelCall | None:
    """Return the call of BLAS, which computes Cᵀ = Bᵀ Aᵀ in Fortran order."""
    left, right, out = views
    i, j, k = axes
    of_left, of_right, of_out = _form(i, k, 1), _form(k, j, 2), _leading(i, j, 3)
    if of_left is None or of_right is None or of_out is None:
        return None
    arguments: list[Argument] = [
        *(of_right[0], of_left[0], j[0], i[0], k[0], 1.0),
        *(right, of_right[1], left, of_left[1], 0.0, out, of_out),
    ]
    work = _PER_MATRIX + _PER_TERM * i[0] * j[0] * k[0]
    return library_call(node, found, "gemm", arguments, [_swapped(axis) for axis in outer], work)


def _by_dot(node: Node, found: Library, views: _Views, terms: _Axis) -> KernelCall | None:
    """Return the call for a dot product as matrix times vector: ``gemm`` is slow for it."""
    left, right, out = views
    size, left_step, right_step, _ = terms
    if left_step != 1 or right_step < 1:
        return None
    arguments: list[Argument] = ["T", size, 1, 1.0, left, size, right, right_step, 0.0, out, 1]
    return library_call(node, found, "gemv", arguments, work=_PER_TERM * size)


def _form(rows: _Axis, columns: _Axis, operand: int) -> tuple[str, int] | None:
    """Return ``"N"``, or ``"T"`` for a transposed matrix, and its leading dimension for BLAS."""
    leading = _leading(rows, columns, operand)
    if leading is not None:
        return "N", leading
    leading = _leading(columns, rows, operand)
    return None if leading is None else ("T", leading)


def _leading(lines: _Axis, inner: _Axis, operand: int) -> int | None:
    """Return the stride between the lines of a matrix, each of which is contiguous.

    ``None`` if BLAS does not support the stride: lines must not overlap.
    """
    if inner[0] > 1 and inner[operand] != 1:
        return None
    if lines[0] == 1:
        return max(1, inner[0])
    return lines[operand] if lines[operand] >= inner[0] else None


def _has_code(node: Node) -> bool:
    """Return whether a product has code: no float16, and sizes that BLAS supports."""
    if node.dtype == np.float16 and 0 not in shape_of(node):
        return False
    if isinstance(node.op, Einsum) and len(node.inputs) != 2:
        return False
    found = library()
    sizes = [math.prod(shape_of(value)) for value in (node, *node.inputs)]
    fits = node.dtype.kind != "f" or found is None or found.takes(*sizes)
    return fits and convert_all(node)


TABLE: dict[type[Op], Lower] = {Matmul: _matmul, Einsum: _einsum}
"""The lowering function of each op."""

CONDITIONS: dict[type[Op], Condition] = dict.fromkeys(TABLE, _has_code)
