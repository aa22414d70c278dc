"""Views: ops that only reinterpret memory, at no cost."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import BufferView
from symad.graph.graph import Graph
from symad.graph.node import Node, apply, computed
from symad.ops.adjoint import Identity, StopGradient, identity
from symad.ops.after import After
from symad.ops.index import Index
from symad.ops.permute import PermuteDims
from symad.ops.rearrange import Flip
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze
from symad.ops.subscript import fill_key
from symad.ops.triangle import Diagonal
from symad.ops.windows import Windows
from symad.passes.fuse import shape_of
from symad.plan.liveness import sharing_of
from symad.plan.plan import copied_outputs
from symad.types import TensorType

_VIEWS = (
    After,
    Identity,
    StopGradient,
    Reshape,
    ExpandDims,
    Squeeze,
    PermuteDims,
    BroadcastTo,
    Index,
    Flip,
    Diagonal,
    Windows,
)


def is_view(node: Node) -> bool:
    """Return whether a node is a view of its first input, and all types are known."""
    if type(node.op) not in _VIEWS or len(node.inputs) != 1 + isinstance(node.op, After):
        return False
    types = (node.type, node.inputs[0].type)
    return all(isinstance(type_, TensorType) and type_.is_static for type_ in types)


def root_of(node: Node, computed: Container[Node]) -> Node:
    """Return the node of which a node is a view, if it is not computed itself."""
    while node not in computed and is_view(node):
        node = node.inputs[0]
    return node


def own_outputs(graph: Graph) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Return the outputs, with a copy of each that shares memory; and these copies."""
    copied = copied_outputs(graph, sharing_of(graph))
    outputs, copies = list(graph.outputs), []
    for k, output in enumerate(outputs):
        if copied[k] and isinstance(output.type, TensorType) and output.type.is_static:
            outputs[k] = apply(identity, output)
            copies.append(outputs[k])
    return tuple(outputs), tuple(copies)


def view(node: Node, source: BufferView) -> BufferView | None:
    """Return the view of ``source`` that a node represents, or ``None`` if it needs a copy."""
    assert isinstance(node.type, TensorType)
    if isinstance(node.op, After):
        return source
    if isinstance(node.op, (Reshape, ExpandDims, Squeeze)) and source.is_contiguous:
        return source.reshaped(node.type.shape)  # type: ignore[arg-type]
    if isinstance(node.op, Reshape):
        return None
    if isinstance(node.op, PermuteDims):
        return source.permuted(node.op.order(len(source.shape)))
    if isinstance(node.op, BroadcastTo):
        return source.broadcast_to(node.type.shape)  # type: ignore[arg-type]
    return _as_numpy_sees_it(node, source)


def numpy_view(node: Node) -> Callable[[Any], Any]:
    """Return the function by which NumPy makes a view of an array."""
    assert node.op is not None
    if isinstance(node.op, After) or not (shape_of(node) or shape_of(node.inputs[0])):
        return lambda array: array  # NumPy returns numbers for arrays without axes
    return _subscript(node.op) if isinstance(node.op, Index) else node.op.kernel()


def _subscript(op: Index) -> Callable[[Any], Any]:
    """Return a function that selects a view, even for a single element."""
    key = fill_key(op.key, ())
    return partial(_selected, key=key if Ellipsis in key else (*key, ...))


def _selected(array: Any, key: Any) -> Any:
    return array[key]


def _as_numpy_sees_it(node: Node, source: BufferView) -> BufferView:
    """Apply NumPy's function, which reads no element, to an array with the strides of ``source``.

    The memory of this array is one element; the rest does not exist.
    """
    see, rank = partial(_seen, view=numpy_view(node), dtype=source.dtype), len(shape_of(node))
    seen = computed(see, *source.shape, *source.strides)
    moved, *rest = (seen[k] for k in range(1 + 2 * rank))
    shape, strides = tuple(rest[:rank]), tuple(rest[rank:])
    return BufferView(source.block, source.offset + moved, shape, strides, source.dtype)


def _seen(*numbers: int, view: Callable[[Any], Any], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return offset, shape and strides of a view of an array, of which shape and strides are given.
    """
    element, size, rank = np.empty(1, dtype), dtype.itemsize, len(numbers) // 2
    steps = tuple(size * stride for stride in numbers[rank:])
    seen = view(np.lib.stride_tricks.as_strided(element, numbers[:rank], steps))
    moved = seen.__array_interface__["data"][0] - element.__array_interface__["data"][0]
    return moved, *seen.shape, *(step // size for step in seen.strides)
