"""Indexing ``x[...]``, its adjoint, and new arrays that differ from ``x`` at an index.

For a subscript that names no element twice, reading and writing are each other's transposes.
Index arrays may name an element several times: then adjoints add up there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, fixed, reals
from symad.ops.adjoint import zeros_like
from symad.ops.base import JointlyLinear, Linear, Operand, as_node, register, tensor_types
from symad.ops.subscript import (
    Key,
    check_constant_indices,
    fill_key,
    format_key,
    has_arrays,
    parse,
    restore,
    result_shape,
)
from symad.types import (
    Shape,
    TensorType,
    Type,
    UnknownShape,
    broadcast_shapes,
    compatible_shapes,
    format_shape,
)


@dataclass(frozen=True)
class _Subscripted(Op):
    """An op on ``operands`` arrays and the integer inputs of a key."""

    key: Key

    operands: ClassVar[int] = 1

    def differentiable(self, slot: int) -> bool:
        return slot < self.operands

    def selected(self, types: Sequence[TensorType]) -> Shape:
        """Return the shape of what the key selects of the array it is applied to."""
        source = types[min(self.operands, 2) - 1 if isinstance(self, ScatterAdd) else 0]
        return result_shape(self.key, source.shape, types[self.operands :])

    def specialise(self, *inputs: Node) -> Node | None:
        """Make constants among the integer inputs part of the key."""
        arrays, indices = inputs[: self.operands], inputs[self.operands :]
        key, nodes = parse(restore(self.key, indices))
        return None if key == self.key else apply(type(self)(key), *arrays, *nodes)


def _index(x: Any, *indices: Any, key: Key) -> Any:
    return x[fill_key(key, indices)]


class Index(Linear, _Subscripted):
    """Select elements by integers, slices, new axes and ``...``: a view."""

    name = "index"
    numpy = staticmethod(_index)
    is_view = True
    samples = (
        Sample(lambda x: x[1], [reals(3, 2)]),
        Sample(lambda x: x[-1, None, ..., ::-2], [reals(3, 2, 5)], label="all kinds"),
        Sample(lambda x: x[...], [reals()], label="scalar"),
        Sample(lambda x: x[2:1, 0], [reals(3, 1)], label="empty"),
        Sample(lambda x, i: x[i, : x.shape[1] - 1], [reals(3, 4), fixed(1)], label="nodes",
               needs="rank"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        _check_integers(tensors[1:])
        return tensors[0].with_shape(self.selected(tensors))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(ScatterAdd(self.key), adjoint, *inputs)


class ArrayIndex(Index):
    """Select elements by arrays of integers, with slices and numbers beside them: a copy."""

    name = "array_index"
    is_view = False
    samples = (
        Sample(lambda x: x[[2, 0, 2]], [reals(3, 2)], label="repeated"),
        Sample(lambda x, i: x[i], [reals(4), fixed([[1, -1], [1, 0]])], label="node"),
        Sample(lambda x: x[[[0], [1]], :, [0, 2, 2]], [reals(2, 3, 4)], label="apart"),
        Sample(lambda x: x[1:, [0, 1], 1], [reals(3, 2, 2)], label="side by side"),
        Sample(lambda x: x[[]], [reals(3, 2)], label="none"),
    )


def _check_integers(types: Sequence[TensorType]) -> None:
    for type_ in types:
        if type_.dtype.kind not in "iu":
            raise GraphTypeError(f"an index must be an integer, not {type_.dtype}")


def _scatter_add(v: Any, like: Any, *indices: Any, key: Key) -> Any:
    total = np.zeros(np.shape(like), v.dtype)
    _add_into(total, fill_key(key, indices), v)
    return total


def _add_into(total: Any, index: tuple[Any, ...], v: Any) -> None:
    """Add ``v`` to ``total[index]``, as often as an element is named."""
    if not any(isinstance(entry, np.ndarray) for entry in index):
        total[index] += v
    elif len(index) == 1 and total.ndim > 1 and total.flags.c_contiguous:
        _add_rows(total, index[0], v)
    else:
        np.add.at(total, index, v)


def _add_rows(total: Any, rows: Any, v: Any) -> None:
    """Add ``v`` to ``total[rows]``; much faster on one flat axis than on several."""
    count = len(total)
    if rows.size and (rows.min() < -count or rows.max() >= count):
        raise IndexError(f"an index is out of range for an axis of size {count}")
    width = total[:1].size if count else 0
    flat = (rows.astype("int64").reshape(-1, 1) % max(count, 1)) * width + np.arange(width)
    v = np.broadcast_to(v, rows.shape + total.shape[1:])
    np.add.at(total.reshape(-1), flat.reshape(-1), v.reshape(-1))


class ScatterAdd(Linear, _Subscripted):
    """Add ``v`` to zeros of the shape of ``like`` at an index: the transpose of indexing."""

    name = "scatter_add"
    numpy = staticmethod(_scatter_add)
    operands = 2
    samples = (
        Sample(lambda v, x: scatter_add(v, x, (slice(1, None), 0)), [reals(2), reals(3, 2)]),
        Sample(lambda v, x: scatter_add(v, x, [1, 1, -2]), [reals(3, 2), reals(3, 2)],
               label="repeated"),
        Sample(lambda v, x: scatter_add(v, x, (slice(None), [1, 1])), [reals(3, 2), reals(3, 2)],
               label="columns"),
        Sample(lambda v, x: scatter_add(v, x, [0, 2]), [reals(), reals(3)], label="broadcast"),
        Sample(lambda v, x: scatter_add(v, x, []), [reals(0, 2), reals(3, 2)], label="none"),
    )  # fmt: skip

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def infer(self, *types: Any) -> Type:
        v, like, *indices = tensor_types(*types)
        _check_integers(indices)
        _check_value(v, result_shape(self.key, like.shape, indices))
        return TensorType(v.dtype, like.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _select(self.key, adjoint, inputs[2:])


def _check_value(value: TensorType, selected: Shape) -> None:
    if not compatible_shapes(selected, broadcast_shapes(value.shape, selected)):
        raise ShapeError(
            f"a value of shape {format_shape(value.shape)} does not fit what the index selects, "
            f"{format_shape(selected)}"
        )


def _select(key: Key, x: Node, indices: Sequence[Node]) -> Node:
    arrays = has_arrays(key, tensor_types(*[node.type for node in indices]))
    return apply((ArrayIndex if arrays else Index)(key), x, *indices)


def scatter_add(v: Operand, like: Operand, index: Any) -> Node:
    """Return zeros of the shape of ``like`` to which ``v`` is added at ``index``.

    An element that index arrays name several times gets the sum.

    Examples
    --------
    >>> import symad as sm
    >>> sm.scatter_add(sm.constant([1.0, 2.0, 4.0]), sm.constant([0.0, 0.0]), [0, 1, 1]).eval()
    array([1., 6.])
    """
    key, nodes = parse(index)
    return apply(ScatterAdd(key), as_node(v), as_node(like), *nodes)


def index_array(x: Operand, index: Any) -> Node:
    """Return ``x[index]`` for an array ``x``, with NumPy's meaning.

    Parameters
    ----------
    x : Operand
    index : int, slice, None, ..., integer array or node, or a tuple of these
        Integer nodes may be indices and bounds of slices.

    Raises
    ------
    ShapeError
        If there are too many indices, or one is out of range for an axis of known size.
    GraphTypeError
        For a boolean mask, whose result has a shape that depends on values: use ``sm.where``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("batch", 3))
    >>> x[:, 1].type
    f64[batch]
    >>> sm.gradients(x[[0, 0, 1]], x).eval({x: [[1.0, 2.0, 3.0]] * 2})
    array([[2., 2., 2.],
           [1., 1., 1.]])
    """
    key, nodes = parse(index)
    node = as_node(x)
    check_constant_indices(key, *[t.shape for t in tensor_types(node.type)], nodes)
    return _select(key, node, nodes)
