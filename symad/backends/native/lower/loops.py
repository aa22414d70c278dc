"""Calls for loop nests: fused ops, and elementwise ops and reductions that stand alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Views
from symad.backends.native.kernels.loops import loop_code
from symad.backends.native.loop_nest import Nest, NestLayout, ValueKind, has_code, supports
from symad.backends.native.lower.copies import contiguous
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum
from symad.passes.decompose import is_dense
from symad.passes.fuse import Shape, reduced_axes, shape_of
from symad.passes.rule import static_shape

SPLIT_FROM = 1 << 17
"""Nests of so many elements and more are done in parts, which threads share."""

_PER_STEP = 0.5
"""About how many nanoseconds one op takes for one element."""

Scratch = Callable[[Shape, np.dtype[Any]], BufferView]


def has_nest(node: Node) -> bool:
    """Return whether a node can be computed by one nest; it depends on its op and on types only."""
    op = node.op
    if isinstance(op, Fused):
        return has_code(op)
    dense = is_dense(node) and all(map(is_dense, node.inputs))
    return dense and _form_of(node) is not None


def is_large(node: Node) -> bool:
    """Return whether a node is a nest that is done in parts, which threads share."""
    if isinstance(node.op, Fused):
        return math.prod(node.op.space) >= SPLIT_FROM
    if not isinstance(node.op, (PerElement, Sum, Max, Min)):
        return False
    shape = static_shape(node.inputs[0] if isinstance(node.op, Reduction) else node)
    return shape is not None and math.prod(shape) >= SPLIT_FROM and has_nest(node)


def lower(
    node: Node,
    inputs: Views,
    outputs: Views,
    scratch: Scratch,
    is_fast: bool = False,
) -> list[KernelCall]:
    """Return the calls that compute ``node``, which :func:`has_nest`, by one nest.

    Parameters
    ----------
    node : Node
    inputs : sequence of BufferView
        One for each of its inputs.
    outputs : sequence of BufferView
        One for each output of a fused op.
    scratch : callable
        Returns memory of a shape and dtype.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """
    op = _nest_of(node)
    nest = Nest(op, is_fast)
    layout = NestLayout(nest)
    places = dict(zip(node.inputs, inputs, strict=True))
    given = op.body.inputs if op is not node.op else node.inputs
    calls: list[KernelCall] = []
    reads = []
    for read in layout.reads:
        source = places[given[read.slot]]
        if read.expanded:
            source = source.broadcast_to(op.space)
        read_from, copied = contiguous(node, source, scratch)
        reads.append(read_from)
        calls += copied
    stored = [scratch((layout.row,), value.dtype) for value in nest.stored]
    numbers = (0, layout.rows, 0, *constant_words(nest, layout))
    words: tuple[int | BufferView, ...] = (*numbers, *reads, *outputs, *stored)
    code = loop_code(nest, layout)
    work = _PER_STEP * layout.elements * len(nest.computed)
    over = _replaceable(nest, layout, reads, outputs)
    return [*calls, KernelCall(code.address, words, code.module, node, work, over)]


def _replaceable(
    nest: Nest, layout: NestLayout, reads: Views, outputs: Views
) -> tuple[tuple[BufferView, BufferView], ...]:
    """Return pairs of an output and an input, read just where the output is written and no later.

    Each vector of an output is written after the same elements of the inputs have been read.
    """
    last_stage = [0] * len(reads)
    for stage, loop in enumerate(map(set, nest.loops)):
        for (user, _), read in layout.read_of.items():
            if user in loop:
                last_stage[read] = stage
    blocks = [view.block for view in reads]
    free = [k for k, read in enumerate(layout.reads) if layout.reads_in_order(read)]
    free = [k for k in free if blocks.count(blocks[k]) == 1]
    pairs = []
    for node, output in zip(nest.body.outputs, outputs, strict=True):
        for k in free:
            same = reads[k].dtype.itemsize == output.dtype.itemsize
            if nest.kinds[node] is ValueKind.FULL and same and last_stage[k] <= nest.stage[node]:
                pairs.append((output, reads[k]))
                free.remove(k)
                break
    return tuple(pairs)


def constant_words(nest: Nest, layout: NestLayout) -> list[int]:
    """Return the words that are the same for all parts of a nest, which follow those of a part."""
    words = [layout.row, layout.elements, *layout.outer]
    words += [step for read in layout.reads for step in read.outer]
    for number in nest.numbers:
        raw = number.value.tobytes().ljust(8, b"\0")
        words.append(int.from_bytes(raw, sys.byteorder, signed=True))
    return words


def as_fused(node: Node) -> Fused | None:
    """Return a node as a nest: of its own if it stands alone; ``None`` if there is no code."""
    return _nest_of(node) if has_nest(node) else None


def _nest_of(node: Node) -> Fused:
    """Return a node that :func:`has_nest` as a nest."""
    if isinstance(node.op, Fused):
        return node.op
    form = _form_of(node)
    assert form is not None
    taken = [n for n in node.inputs if not isinstance(n, Constant) or n.value.size > 1]
    return Fused(Graph([node], list(dict.fromkeys(taken))), *form)


def as_large_nest(node: Node) -> Fused | None:
    """Return a node as a nest that is done in parts, or one of a graph that was fused."""
    op = node.op
    if isinstance(op, Fused):
        return as_fused(node)
    shapes = [shape_of(n) for n in (node, *node.inputs) if is_dense(n)]
    if max(map(math.prod, shapes), default=0) < SPLIT_FROM:
        return None
    return as_fused(node)


def _form_of(node: Node) -> tuple[Shape, int | None] | None:
    """Return space and split of the nest of a lone node."""
    if isinstance(node.op, PerElement):
        return (shape_of(node), None) if supports(node) else None
    if not isinstance(node.op, (Sum, Max, Min)):
        return None
    source = node.inputs[0]
    if "float16" in (node.dtype, source.dtype):
        return None
    shape, axes = shape_of(source), reduced_axes(node.op, source)
    if axes == tuple(range(len(axes))):
        return shape, None if len(axes) == len(shape) else len(axes)
    split = len(shape) - len(axes)
    is_last = axes == tuple(range(split, len(shape))) and math.prod(shape[split:]) > 1
    return (shape, split) if is_last else None
