"""Calls for linear algebra on small matrices, for which calling BLAS and LAPACK costs more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from symad.backends.native.kernel_call import BufferView, KernelCall
from symad.backends.native.kernels.small_matrices import MatrixLayout, Write, small_kernel
from symad.backends.native.lower.copies import call_of, merged_axes, outer_words
from symad.graph.node import Node
from symad.records import replace

_SMALL = 8
"""The most rows and columns of a small matrix."""
_IN_STACKS = 12
"""The same in large stacks, for which it pays to compile more code."""
_LARGE_STACK = 64


def are_small(*sizes: int, count: int = 1) -> bool:
    """Return whether matrices of such sizes are better off without LAPACK.

    Parameters
    ----------
    *sizes : int
    count : int
        The number of matrices.
    """
    most = _IN_STACKS if count >= _LARGE_STACK else _SMALL
    return count > 0 and all(0 < size <= most for size in sizes)


def small_call(
    node: Node,
    operation: Write,
    views: Sequence[BufferView],
    work: float,
    outer: Sequence[tuple[int, ...]] | None = None,
) -> KernelCall:
    """Return the call of an operation on matrices, or on stacks of them with equal leading axes.

    Parameters
    ----------
    node : Node
    operation : callable
        A function of :mod:`symad.backends.native.kernels.small_matrices`.
    views : sequence of BufferView
        Operands, then results.
    work : float
        The estimated nanoseconds for one matrix.
    outer : sequence of tuple, optional
        Size and strides of the leading axes, if the views lack them.
    """
    if outer is None:
        batch = views[0].shape[:-2]
        outer = merged_axes(batch, *(view.strides[: len(batch)] for view in views))
    layouts = [_layout(view) for view in views]
    code = small_kernel(operation, [view.dtype for view in views], layouts, bool(outer))
    words = [*views, *(outer_words(outer) if outer else ())]
    return call_of(code, words, node, work * math.prod(size for size, *_ in outer))


def _layout(view: BufferView) -> MatrixLayout:
    """Return the layout of a matrix; strides along axes of one element do not matter."""
    rows, columns = view.shape[-2:]
    row, column = view.strides[-2:]
    return MatrixLayout(rows, columns, row if rows > 1 else 0, column if columns > 1 else 1)


def as_rows(vectors: BufferView) -> BufferView:
    """Return the view of a vector for each matrix of a stack as one of matrices with one row."""
    *shape, size = vectors.shape
    *strides, step = vectors.strides
    return replace(vectors, shape=(*shape, 1, size), strides=(*strides, size, step))


def as_matrices(numbers: BufferView) -> BufferView:
    """Return the view of one number for each matrix of a stack as one of matrices of size 1."""
    shape, strides = (*numbers.shape, 1, 1), (*numbers.strides, 1, 1)
    return replace(numbers, shape=shape, strides=strides)
