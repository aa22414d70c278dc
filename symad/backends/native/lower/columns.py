"""Calls for reductions along axes that are not the last."""

from __future__ import annotations

import itertools
import math

from symad.backends.native.kernel_call import BufferView, KernelCall, Shape
from symad.backends.native.kernels.columns import columns_kernel
from symad.backends.native.kernels.vectors import gathers
from symad.backends.native.lower.copies import merged_axes, moved, outer_words
from symad.graph.node import Node
from symad.passes.fuse import reduced_axes, shape_of

_FEW = 64
"""More rows of one matrix are shared by threads, which is better for large ones."""
_NARROW = 32
TOGETHER = 64
"""So many rows of fewer elements become one."""
_PER_ELEMENT = 0.5


def groups_of(node: Node) -> list[Shape]:
    """Return the reduced axes of more than one element, those beside one another together."""
    assert node.op is not None
    shape = shape_of(node.inputs[0])
    reduced = reduced_axes(node.op, node.inputs[0])
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    runs = itertools.groupby(axes, lambda axis: axis in reduced)
    return [tuple(run) for is_reduced, run in runs if is_reduced]


def is_narrow(source: BufferView, groups: list[Shape]) -> bool:
    """Return whether a reduction goes over many rows of few elements, one after the other."""
    if len(groups) != 1 or not source.is_contiguous:
        return False
    first, end = groups[0][0], groups[0][-1] + 1
    width, rows = math.prod(source.shape[end:]), math.prod(source.shape[:end])
    is_leading = math.prod(source.shape[:first]) == 1
    return is_leading and 1 < width < _NARROW and rows >= TOGETHER * TOGETHER


def calls(
    node: Node, source: BufferView, output: BufferView, parts: int, threads: int
) -> list[KernelCall] | None:
    """Return the call that reduces adjacent axes, in so many parts; ``None`` if it does not pay."""
    shape, groups = source.shape, groups_of(node)
    if len(groups) != 1 or 0 in shape:
        return None
    first, end = groups[0][0], groups[0][-1] + 1
    before, rows, after = math.prod(shape[:first]), shape[first:end], shape[end:]
    if math.prod(after) == 1 or (before == 1 and math.prod(rows) > _FEW):
        return None
    kept = shape[:first] + after
    target = output.reshaped(kept)
    assert target is not None, "results are contiguous"
    reduced = merged_axes(rows, source.strides[first:end])
    axes = merged_axes(kept, source.strides[:first] + source.strides[end:], target.strides)
    step = axes[-1][1]
    if len(reduced) > 2 or (step != 1 and not gathers(source.dtype)):
        return None
    code = columns_kernel(node, step)
    counts = [word for axis in [*reduced, (1, 0)][:2] for word in axis]
    words: list[int | BufferView] = []
    parts = max(1, min(parts, axes[0][0]))
    for part in range(parts):
        begin, past = (axes[0][0] * k // parts for k in (part, part + 1))
        size, *steps = axes[0]
        own = [(past - begin, *steps), *axes[1:]]
        places = [moved(view, begin * by) for view, by in zip((source, target), steps, strict=True)]
        words += [*places, *counts, *own[-1][:2], *outer_words(own[:-1])]
    work = _PER_ELEMENT * math.prod(shape)
    threads = min(threads, parts)
    return [KernelCall(code.address, tuple(words), code.module, node, work, (), parts, threads)]
