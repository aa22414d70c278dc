"""Calls for loop nests: fused ops, and single elementwise ops and reductions."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Views
from symad.backends.native.kernels.loops import loop_code
from symad.backends.native.loop_nest import (
    Nest,
    NestLayout,
    ValueKind,
    has_code,
    readable,
    supports,
)
from symad.backends.native.lower import columns
from symad.backends.native.lower.copies import contiguous, copy, moved, part
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Variable, apply, computed
from symad.graph.op import Op
from symad.ops.adjoint import Cast
from symad.ops.base import PerElement
from symad.ops.bits import BitwiseAnd, BitwiseXor
from symad.ops.comparison import Less, Where
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum
from symad.passes.decompose import is_dense
from symad.passes.fuse import Shape, reduced_axes, shape_of
from symad.passes.rule import static_shape
from symad.records import replace
from symad.types import TensorType

SPLIT_FROM = 1 << 17
"""Nests with at least this many elements are split into parts, which threads share."""

_PARTS = 16
"""The number of parts of reductions over rows, for any number of threads."""
_ROWS_OF_PART = 16
"""The least number of rows per part if each part has its own row of results."""
_PARTS_OF_THREAD = 4
"""The parts per thread without reductions over rows: late threads do fewer parts."""

_MAGNITUDE, _INFINITY = 0x7FFF, 0x7C00
"""The bits of a float16 without its sign, and those of infinity."""

_PER_STEP = 0.5
"""The estimated nanoseconds of one op for one element."""

Scratch = Callable[[Shape, np.dtype[Any]], BufferView]


def has_nest(node: Node) -> bool:
    """Return whether one nest can compute a node, which depends only on its op and types."""
    op = node.op
    if isinstance(op, Fused):
        return has_code(op)
    if not (is_dense(node) and all(map(is_dense, node.inputs))):
        return False
    steps = _steps_of(node)
    if steps:
        return all(map(has_nest, steps))
    return _form_of(node) is not None or _turned(node) is not None


def is_large(node: Node) -> bool:
    """Return whether a node is a nest in parts, which threads share."""
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
    threads: int = 1,
    in_body: bool = False,
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
    threads : int
        How many threads share large nests.
    in_body : bool
        Whether it is computed many times in a call.
    """
    if isinstance(node.op, (Sum, Max, Min)):
        found = _lower_reduction(node, inputs[0], outputs[0], scratch, threads)
        if found is not None:
            return found
    turned = _turned(node)
    if turned is not None:
        last, order = turned
        source, targets = inputs[0].permuted(order), [_in_shape(view, last) for view in outputs]
        made = lower(last, [source], targets, scratch, is_fast, threads)
        return [replace(call, node=node) for call in made]
    op = _nest_of(node)
    nest = Nest(op, is_fast)
    places = dict(zip(node.inputs, inputs, strict=True))
    given = op.body.inputs if op is not node.op else node.inputs
    layout, reads, calls = _read(node, nest, [places[source] for source in given], scratch)
    parts = _parts(nest, layout, threads)
    targets, joined = _targets(nest, layout, parts, outputs, scratch)
    stored = [scratch((parts, layout.row), value.dtype) for value in nest.stored]
    rest: tuple[int | BufferView, ...] = (*constant_words(nest, layout), *reads, *targets, *stored)
    words = _words_of_parts(layout, parts, rest)
    code = loop_code(nest, layout, is_repeated=in_body)
    work = _PER_STEP * layout.elements * len(nest.computed)
    over = _replaceable(nest, layout, reads, outputs)
    threads = min(threads, parts)
    call = KernelCall(code.address, tuple(words), code.module, node, work, over, parts, threads)
    return [*calls, call, *(replace(each, node=node) for each in joined)]


def _lower_reduction(
    node: Node, source: BufferView, output: BufferView, scratch: Scratch, threads: int
) -> list[KernelCall] | None:
    """Return the calls of a reduction over axes that are not the last, unless a nest is better."""
    steps = _steps_of(node)
    if steps:
        views = [scratch(shape_of(step), step.dtype) for step in steps[:-1]]
        views.insert(0, replace(source, dtype=steps[0].inputs[0].dtype))  # its bits, or itself
        views.append(replace(output, dtype=steps[-1].dtype))
        pairs = zip(steps, itertools.pairwise(views), strict=True)
        all_calls = [lower(n, [a], [b], scratch, threads=threads) for n, (a, b) in pairs]
        return [replace(call, node=node) for calls in all_calls for call in calls]
    groups = columns.groups_of(node)
    if columns.is_narrow(source, groups):
        return _lower_narrow(node, source, output, scratch, threads)
    if len(groups) < 2:
        is_shared = math.prod(source.shape) >= SPLIT_FROM and threads > 1
        parts = _PARTS_OF_THREAD * threads if is_shared else 1
        return columns.calls(node, source, output, parts, threads)
    assert node.op is not None
    last = _reduced(node.op, node.inputs[0], groups[-1])
    between = scratch(shape_of(last), last.dtype)
    rest = _reduced(node.op, last, tuple(axis for group in groups[:-1] for axis in group))
    made = lower(last, [source], [between], scratch, threads=threads)
    made += lower(rest, [between], [_in_shape(output, rest)], scratch, threads=threads)
    return [replace(call, node=node) for call in made]


def _steps_of(node: Node) -> list[Node]:
    """Return the steps by which a reduction of float16 is computed, if it is one."""
    half = np.dtype(np.float16)
    if not isinstance(node.op, (Sum, Max, Min)) or node.inputs[0].dtype != half:
        return []
    if not isinstance(node.op, Sum):
        return _extremum_of_bits(node)
    source = Node(None, (), node.inputs[0].type)
    wide = apply(Cast(np.dtype(np.float32)), source)
    reduced = apply(node.op, wide)
    return [wide, reduced, apply(Cast(half), reduced)]


def _extremum_of_bits(node: Node) -> list[Node]:
    """Return the steps of a maximum or minimum of float16, on the integers of its bits.

    Their order is that of the numbers if all bits but the sign of negative ones are flipped.  NaN
    becomes the integer beyond all others, which is also NaN.
    """
    assert isinstance(node.op, (Max, Min)) and isinstance(node.inputs[0].type, TensorType)
    integer, given = np.dtype(np.int16), node.inputs[0].type
    beyond = np.iinfo(integer).max if isinstance(node.op, Max) else np.iinfo(integer).min
    bits = Variable("bits", shape=given.shape, dtype=integer)
    magnitude = apply(BitwiseAnd(), bits, Constant(_MAGNITUDE, integer))
    is_nan = apply(Less(), Constant(_INFINITY, integer), magnitude)
    key = apply(Where(), is_nan, Constant(beyond, integer), _reordered(bits))
    reduced = apply(node.op, key)
    form = _form_of(reduced)
    between = Variable("keys", shape=shape_of(reduced), dtype=integer)
    last = apply(Fused(Graph([_reordered(between)], [between]), shape_of(reduced)), between)
    if form is not None:
        return [apply(Fused(Graph([reduced], [bits]), *form), bits), last]
    keys = apply(Fused(Graph([key], [bits]), shape_of(bits)), bits)
    return [keys, apply(node.op, Variable("keys", shape=given.shape, dtype=integer)), last]


def _reordered(bits: Node) -> Node:
    """Return integers with all bits of negative ones flipped but the sign."""
    flipped = apply(BitwiseXor(), bits, Constant(_MAGNITUDE, bits.dtype))
    return apply(Where(), apply(Less(), bits, Constant(0, bits.dtype)), flipped, bits)


def _lower_narrow(
    node: Node, source: BufferView, output: BufferView, scratch: Scratch, threads: int
) -> list[KernelCall]:
    """Return the calls that reduce rows of few elements: many are one row, as far as they go."""
    together, width, op = columns.TOGETHER, math.prod(output.shape), node.op
    whole, rest = divmod(math.prod(source.shape) // width, together)
    line = together * width
    assert isinstance(node.inputs[0].type, TensorType) and op is not None
    wide = replace(source, shape=(whole, line), strides=(line, 1))
    tail = replace(moved(source, whole * line), shape=(rest, width), strides=(width, 1))
    first = _reduced(op, Node(None, (), node.inputs[0].type.with_shape(wide.shape)), (0,))
    assert isinstance(first.type, TensorType)
    between = scratch((together + rest, width), first.dtype)
    sums = _in_shape(part(between, 0, 0, together), first)
    last = _reduced(op, Node(None, (), first.type.with_shape(between.shape)), (0,))
    made = lower(first, [wide], [sums], scratch, threads=threads)
    made += copy(node, tail, part(between, 0, together, rest))
    made += lower(last, [between], [_in_shape(output, last)], scratch)
    return [replace(call, node=node) for call in made]


def _reduced(op: Op, like: Node, axes: Shape) -> Node:
    """Return a reduction over some axes of an array of the type of a node."""
    return apply(op.with_attributes(axis=axes, keepdims=False), Node(None, (), like.type))


def _read(
    node: Node, nest: Nest, views: Views, scratch: Scratch
) -> tuple[NestLayout, list[BufferView], list[KernelCall]]:
    """Return the layout of a nest, a view for each of its reads, and the calls that copy for them.

    ``views`` are those of the inputs of its body.
    """
    inputs, calls = nest.body.inputs, []
    pairs = zip(inputs, views, strict=True)
    strided = readable(nest, {n: view.strides for n, view in pairs if not view.is_contiguous})
    layout = NestLayout(nest, strided)
    reads: list[BufferView] = []
    for read in layout.reads:
        view = views[read.slot]
        if read.expanded:
            view = view.broadcast_to(nest.space)
        if read.expanded or inputs[read.slot] not in strided:
            view, copied = contiguous(node, view, scratch)
            calls += copied
        reads.append(view)
    return layout, reads, calls


def _in_shape(view: BufferView, like: Node) -> BufferView:
    """Return a contiguous view in the shape of a node."""
    made = view.reshaped(shape_of(like))
    assert made is not None, "results are contiguous"
    return made


def _words_of_parts(
    layout: NestLayout, parts: int, rest: Sequence[int | BufferView]
) -> list[int | BufferView]:
    """Return the words of all parts: the range of rows, the number of the part, the rest."""
    rows = [k * layout.rows // parts for k in range(parts + 1)]
    words: list[int | BufferView] = []
    for k in range(parts):
        words += (rows[k], rows[k + 1], k, *rest)
    return words


def _parts(nest: Nest, layout: NestLayout, threads: int) -> int:
    """Return the number of parts of a nest.

    With reductions over rows, neither the number nor the result depends on the threads.
    """
    if layout.elements < SPLIT_FROM:
        return 1
    kinds = {nest.kinds[node] for node in nest.body.outputs}
    parts = 1 if threads == 1 else _PARTS_OF_THREAD * threads
    if kinds & {ValueKind.TOTAL, ValueKind.COLUMN}:
        parts = _PARTS
    if ValueKind.COLUMN in kinds:
        parts = min(parts, layout.rows // _ROWS_OF_PART)
    return max(1, min(parts, layout.rows))


def _targets(
    nest: Nest, layout: NestLayout, parts: int, outputs: Views, scratch: Scratch
) -> tuple[list[BufferView], list[KernelCall]]:
    """Return the views for the outputs of a nest, and the calls that combine its parts."""
    targets, calls = list(outputs), []
    for k, node in enumerate(nest.body.outputs):
        kind = nest.kinds[node]
        if parts > 1 and kind in (ValueKind.TOTAL, ValueKind.COLUMN):
            shape = (parts,) if kind is ValueKind.TOTAL else (parts, layout.row)
            assert node.op is not None
            partial = Variable("parts", shape=shape, dtype=node.dtype)
            total = apply(node.op.with_attributes(axis=(0,), keepdims=False), partial)
            split = None if kind is ValueKind.TOTAL else 1
            whole = apply(Fused(Graph([total], [partial]), shape, split), partial)
            targets[k] = scratch(shape, node.dtype)
            calls += lower(whole, [targets[k]], [outputs[k]], scratch, nest.is_fast)
    return targets, calls


def _replaceable(
    nest: Nest, layout: NestLayout, reads: Views, outputs: Views
) -> tuple[tuple[BufferView, BufferView], ...]:
    """Return pairs of an output and an input that the output may overwrite.

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
    """Return the words that are the same for all parts; they follow those of a part."""
    words = [layout.row, layout.elements, *layout.outer]
    for read in layout.reads:
        words += [*read.outer, *([read.inner] if read.jumps else [])]
    for number in nest.numbers:
        words.append(computed(_word, number.value))
    return words


def _word(number: np.ndarray[Any, Any]) -> int:
    return int.from_bytes(number.tobytes().ljust(8, b"\0"), sys.byteorder, signed=True)


def _nest_of(node: Node) -> Fused:
    """Return a node that :func:`has_nest` as a nest."""
    if isinstance(node.op, Fused):
        return node.op
    form = _form_of(node)
    assert form is not None
    taken = [n for n in node.inputs if not isinstance(n, Constant) or n.value.size > 1]
    return Fused(Graph([node], list(dict.fromkeys(taken))), *form)


def _turned(node: Node) -> tuple[Node, Shape] | None:
    """Return a reduction like ``node``, whose axes are in the middle, of an operand with these axes
    last, and the order of its axes; ``None`` for other ops.
    """
    if not isinstance(node.op, (Sum, Max, Min)) or not is_dense(node.inputs[0]):
        return None
    source = node.inputs[0]
    axes, shape = reduced_axes(node.op, source), shape_of(source)
    rest = tuple(axis for axis in range(len(shape)) if axis not in axes)
    order = (*rest, *axes)
    if not axes or order == tuple(range(len(shape))) or axes == tuple(range(len(axes))):
        return None
    assert isinstance(source.type, TensorType)
    turned = Node(None, (), source.type.with_shape(tuple(shape[axis] for axis in order)))
    last = tuple(range(len(rest), len(shape)))
    reduced = apply(node.op.with_attributes(axis=last, keepdims=False), turned)
    return None if _form_of(reduced) is None else (reduced, order)


def _form_of(node: Node) -> tuple[Shape, int | None] | None:
    """Return space and split of the nest of a single node."""
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
