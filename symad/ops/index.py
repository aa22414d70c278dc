"""Indexing ``x[...]``, its adjoint, and new arrays that differ from ``x`` at an index.

For a subscript that names no element twice, reading and writing are transposes of each other.  If
index arrays name an element several times, its adjoints are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, explained
from symad.graph.sample import Sample, fixed, reals
from symad.ops.adjoint import zeros_like
from symad.ops.base import JointlyLinear, Linear, Operand, as_node, register, tensor_types
from symad.ops.batched_subscript import RowSubscript, subscript_of_rows
from symad.ops.batching import repeated, row_count, zeros_of
from symad.ops.subscript import (
    Key,
    are_bounds,
    check_constant_indices,
    count_holes,
    fill_key,
    format_key,
    has_arrays,
    parse,
    result_shape,
    tiling,
)
from symad.types import (
    Shape,
    TensorType,
    Type,
    broadcast_shapes,
    compatible_shapes,
    format_shape,
)


class _Subscripted(Op):
    """An op on ``operands`` arrays and the integer inputs of a key."""

    key: Key

    operands: ClassVar[int] = 1

    def differentiable(self, slot: int) -> bool:
        return slot < self.operands

    def is_size(self, slot: int) -> bool:
        """Return whether input ``slot`` is the bound of a slice."""
        return slot >= self.operands and are_bounds(self.key)[slot - self.operands]

    def indexed(self, inputs: Sequence[Node]) -> Node:
        """Return the input to which the key applies."""
        return inputs[0]

    def for_rows(
        self, out: Node, batched: Sequence[bool], inputs: Sequence[Node], stacks: bool
    ) -> RowSubscript | None:
        """Return the subscript for many elements; ``stacks`` says whether the array has them."""
        first, rows = self.operands, row_count(batched, inputs)
        whole = self.indexed(out.inputs)
        return subscript_of_rows(
            self.key, whole, stacks, inputs[first:], batched[first:], rows
        )

    def specialise(self, *inputs: Node) -> Node | None:
        """Make constants among the integer inputs part of the key, and masks positions."""
        arrays, indices = inputs[: self.operands], inputs[self.operands :]
        key, nodes = parse(fill_key(self.key, indices), self.indexed(inputs))
        same = key == self.key and nodes == tuple(indices)
        return None if same else apply(type(self)(key), *arrays, *nodes)


def _index(x: Any, *indices: Any, key: Key) -> Any:
    return x[fill_key(key, indices)]


class Index(Linear, _Subscripted):
    """Select elements by integers, slices, new axes and ``...``: a view."""

    name = "index"
    elements = "moved"
    reads_all = False
    numpy = staticmethod(_index)
    is_view = True
    samples: ClassVar[Sequence[Sample]] = (
        Sample(lambda x: x[1], [reals(3, 2)]),
        Sample(lambda x: x[-1, None, ..., ::-2], [reals(3, 2, 5)], label="all kinds"),
        Sample(lambda x: x[...], [reals()], label="scalar"),
        Sample(lambda x: x[2:1, 0], [reals(3, 1)], label="empty"),
        Sample(lambda x, i: x[i, : x.shape[1] - 1], [reals(3, 4), fixed(1)], label="nodes"),
    )

    @property
    def text(self) -> str:  # type: ignore[override]
        """The template with the key inserted."""
        return f"{{0}}[{format_key(self.key)}]"

    @property
    def latex(self) -> str:  # type: ignore[override]
        """The template with the key in brackets, since operands may have subscripts."""
        return self.text

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        _check_integers(tensors[1:])
        return tensors[0].with_shape(result_shape(self.key, tensors[0].shape, tensors[1:]))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(ScatterAdd(self.key), adjoint, *inputs)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        to = self.for_rows(out, batched, inputs, batched[0])
        return to and to.selected(_select(to.key, inputs[0], to.indices))


class ArrayIndex(Index):
    """Select elements by arrays of integers, possibly with slices and numbers: a copy."""

    name = "array_index"
    is_view = False
    samples = (
        Sample(lambda x: x[[2, 0, 2]], [reals(3, 2)], label="repeated"),
        Sample(lambda x, i: x[i], [reals(4), fixed([[1, -1], [1, 0]])], label="node"),
        Sample(lambda x: x[[[0], [1]], :, [0, 2, 2]], [reals(2, 3, 4)], label="apart"),
        Sample(lambda x: x[1:, [0, 1], 1], [reals(3, 2, 2)], label="side by side"),
        Sample(lambda x: x[[]], [reals(3, 2)], label="none"),
        Sample(lambda x: x[np.array([True, False, True]), 1:], [reals(3, 2)], label="mask"),
    )


def _check_integers(types: Sequence[TensorType]) -> None:
    for type_ in types:
        if type_.dtype.kind not in "iub":  # a bool is a constant mask
            raise GraphTypeError(f"an index must be an integer, not {type_.dtype}")


def _scatter_add(v: Any, like: Any, *indices: Any, key: Key) -> Any:
    total = np.zeros(np.shape(like), v.dtype)
    _add_into(total, fill_key(key, indices), v)
    return total


def _add_into(total: Any, index: tuple[Any, ...], v: Any) -> None:
    """Add ``v`` to ``total[index]``, once for each time that an element is named."""
    if not any(isinstance(entry, np.ndarray) for entry in index):
        total[index] += v
    elif (
        len(index) == 1
        and index[0].dtype != bool
        and total.ndim > 1
        and total.flags.c_contiguous
    ):
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
    elements = "added"
    fills_all = False
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

    def reads(self, slot: int) -> bool:
        return slot != 1

    def indexed(self, inputs: Sequence[Node]) -> Node:
        return inputs[1]

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[0].size)

    def infer(self, *types: Any) -> Type:
        v, like, *indices = tensor_types(*types)
        _check_integers(indices)
        _check_value(v, result_shape(self.key, like.shape, indices))
        return TensorType(v.dtype, like.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _select(self.key, adjoint, inputs[2:])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        to, rows = self.for_rows(out, batched, inputs, True), row_count(batched, inputs)
        if to is None:
            return None
        v = to.to_write(inputs[0], batched[0])
        return apply(ScatterAdd(to.key), v, zeros_of(rows, out), *to.indices)


def _scatter_sum(*inputs: Any, keys: tuple[Key, ...]) -> Any:
    parts, like = _parts(keys, inputs)
    shape = np.shape(like)
    total = np.zeros(shape, np.result_type(*[v for _, v, _ in parts]))
    apart, _ = tiling(keys, shape)
    for key, v, indices in parts:
        if apart:
            total[fill_key(key, indices)] = v
        else:
            _add_into(total, fill_key(key, indices), v)
    return total


Part = TypeVar("Part")


def _parts(
    keys: tuple[Key, ...], inputs: Sequence[Part]
) -> tuple[list[tuple[Key, Part, Sequence[Part]]], Part]:
    """Return each key of a :class:`ScatterSum` with its value and integer inputs; and ``like``."""
    count = len(keys)
    ends = list(accumulate(map(count_holes, keys), initial=count + 1))
    given = [inputs[start:end] for start, end in pairwise(ends)]
    return list(zip(keys, inputs, given, strict=False)), inputs[count]


class ScatterSum(JointlyLinear):
    """Add values to zeros of the shape of ``like``, each at its own index.

    This is the sum of several :class:`ScatterAdd`, in one array.  The inputs are the values,
    ``like``, and the integer inputs of the keys in order.
    """

    keys: tuple[Key, ...]

    name = "scatter_sum"
    elements = "added"
    numpy = staticmethod(_scatter_sum)
    samples = (
        Sample(lambda a, b, x: scatter_sum(x, [(a, 0), (b, slice(1, 3))]),
               [reals(2), reals(2, 2), reals(3, 2)], label="tiles"),
        Sample(lambda a, b, x: scatter_sum(x, [(a, slice(1, None)), (b, slice(None, -1))]),
               [reals(3), reals(), reals(4)], label="overlapping"),
        Sample(lambda a, b, x, i: scatter_sum(x, [(a, [0, 0]), (b, (i, slice(None, None, 2)))]),
               [reals(2, 3), reals(2), reals(3, 3), fixed(1)], label="arrays and nodes"),
    )  # fmt: skip

    def parts(self, inputs: Sequence[Part]) -> list[tuple[Key, Part, Sequence[Part]]]:
        """Return the key, the value and the integer inputs of each part."""
        return _parts(self.keys, inputs)[0]

    def differentiable(self, slot: int) -> bool:
        return slot < len(self.keys)

    def reads(self, slot: int) -> bool:
        return slot != len(self.keys)

    def flops(self, result: Any, *types: Any) -> int:
        return sum(int(v.size) for v in types[: len(self.keys)])

    def infer(self, *types: Any) -> Type:
        parts, like = _parts(self.keys, tensor_types(*types))
        for key, v, indices in parts:
            _check_integers(indices)
            _check_value(v, result_shape(key, like.shape, indices))
        return TensorType(np.result_type(*[v.dtype for _, v, _ in parts]), like.shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        key, _, indices = self.parts(inputs)[slot]
        return _select(key, adjoint, indices)


def _check_value(value: TensorType, selected: Shape) -> None:
    try:
        fits = compatible_shapes(selected, broadcast_shapes(value.shape, selected))
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"a value of shape {format_shape(value.shape)} does not match the selected elements, "
            f"{format_shape(selected)}"
        )


def _select(key: Key, x: Node, indices: Sequence[Node]) -> Node:
    arrays = has_arrays(key, tensor_types(*[node.type for node in indices]))
    return apply((ArrayIndex if arrays else Index)(key), x, *indices)


@explained
def scatter_add(v: Operand, like: Operand, index: Any) -> Node:
    """Return zeros of the shape of ``like`` to which ``v`` is added at ``index``.

    An element that index arrays name several times gets the sum.

    Parameters
    ----------
    v : node, number or array
        The values to add; they broadcast to the selected elements.
    like : node or array
        Only its shape matters.
    index : int, slice, None, ..., integer array or node, or a tuple of these

    Examples
    --------
    >>> import symad as sm
    >>> sm.scatter_add(sm.constant([1.0, 2.0, 4.0]), sm.constant([0.0, 0.0]), [0, 1, 1]).eval()
    array([1., 6.])
    """
    shaped = as_node(like)
    key, nodes = parse(index, shaped)
    return apply(ScatterAdd(key), as_node(v), shaped, *nodes)


def scatter_sum(like: Operand, parts: Sequence[tuple[Operand, Any]]) -> Node:
    """Return the sum of ``scatter_add(v, like, index)`` over pairs of ``v`` and ``index``."""
    shaped = as_node(like)
    values = [as_node(v) for v, _ in parts]
    keys, nodes = zip(*[parse(index, shaped) for _, index in parts], strict=True)
    return apply(ScatterSum(keys), *values, shaped, *chain.from_iterable(nodes))


@explained
def index_array(x: Operand, index: Any) -> Node:
    """Return ``x[index]`` for an array ``x``, with NumPy's meaning.

    Parameters
    ----------
    x : node, number or array
    index : int, slice, None, ..., integer array or node, boolean array, or a tuple of these
        Integer nodes may be indices and bounds of slices.  A mask is an array, not a node.

    Raises
    ------
    ShapeError
        If there are too many indices, or one is out of range for an axis of known size.
    GraphTypeError
        For a mask that is a node: its result has a shape that depends on values.  Use ``sm.where``.

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
    node = as_node(x)
    key, nodes = parse(index, node)
    result = _select(key, node, nodes)
    check_constant_indices(key, tensor_types(node.type)[0].shape, nodes)
    return result


register(index_array)
register(scatter_add)

# New arrays that differ at an index


def _set_at(x: Any, value: Any, *indices: Any, key: Key) -> Any:
    result = np.array(x)
    index = fill_key(key, indices)
    # In C order, the last of several values for one element is stored, here and in _last_of.
    result[index] = np.array(np.broadcast_to(value, np.shape(result[index])), order="C")
    return result


def _add_at(x: Any, value: Any, *indices: Any, key: Key) -> Any:
    result = np.array(x)
    _add_into(result, fill_key(key, indices), value)
    return result


class _Update(JointlyLinear, _Subscripted):
    """An op of ``x``, a value, and the integer inputs of a key; linear in ``x`` and the value."""

    operands = 2

    def infer(self, *types: Any) -> Type:
        x, value, *indices = tensor_types(*types)
        _check_integers(indices)
        if not np.can_cast(value.dtype, x.dtype, "same_kind"):
            raise GraphTypeError(
                f"a value of dtype {value.dtype} cannot be stored in an array of {x.dtype}",
                remedy=f'Cast first: x.astype("{value.dtype}") or value.astype("{x.dtype}").',
            )
        _check_value(value, result_shape(self.key, x.shape, indices))
        return x

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        to, (x, v) = self.for_rows(out, batched, inputs, True), inputs[:2]
        if to is None:
            return None
        x = x if batched[0] else repeated(x, row_count(batched, inputs))
        return apply(type(self)(to.key), x, to.to_write(v, batched[1]), *to.indices)


class SetAt(_Update):
    """Return ``x`` with other values at an index."""

    name = "set_at"
    elements = "moved"
    numpy = staticmethod(_set_at)
    samples = (
        Sample(lambda x, v: set_at(x, (slice(None), 1), v), [reals(2, 3), reals(2)]),
        Sample(lambda x, v: set_at(x, slice(0, 2), v), [reals(3, 2), reals()], label="broadcast"),
        Sample(lambda x, v: set_at(x, [2, 0], v), [reals(3, 2), reals(2, 2)], label="array"),
        Sample(lambda x, v: set_at(x, [1, 1, 0], v), [reals(2), reals(3)], label="repeated"),
        Sample(lambda x, v: set_at(x, (), v), [reals(), reals()], label="scalar"),
    )

    def leaves_zeros(self, slot: int) -> bool:
        return slot == 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        indices = inputs[2:]
        if slot == 0:
            return apply(self, adjoint, Constant(0, adjoint.dtype), *indices)
        arrays = has_arrays(self.key, tensor_types(*[node.type for node in indices]))
        if not arrays or _are_distinct(indices):
            return _select(self.key, adjoint, indices)
        return apply(IndexLast(self.key), adjoint, *indices)


class AddAt(_Update):
    """Return ``x`` with values added at an index."""

    name = "add_at"
    elements = "added"
    numpy = staticmethod(_add_at)
    samples = (
        Sample(lambda x, v: add_at(x, (slice(None), 1), v), [reals(2, 3), reals(2)]),
        Sample(lambda x, v: add_at(x, [1, 1, 0], v), [reals(2, 2), reals(2)], label="repeated"),
        Sample(lambda x, v: add_at(x, (), v), [reals(), reals()], label="scalar"),
    )

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[1].size)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint if slot == 0 else _select(self.key, adjoint, inputs[2:])


def _are_distinct(indices: Sequence[Node]) -> bool:
    """Return whether index arrays are known to name no element twice."""
    if not all(isinstance(node, Constant) and node.dtype.kind in "iu" for node in indices):
        return False
    places = np.broadcast_arrays(*(node.value for node in indices))  # type: ignore[attr-defined]
    rows = np.stack([place.ravel() for place in places], axis=1)
    return bool(np.all(rows >= 0)) and len(np.unique(rows, axis=0)) == len(rows)


def _last_of(x: Any, *indices: Any, key: Key) -> Any:
    index = fill_key(key, indices)
    picked = x[index]
    count = np.arange(picked.size).reshape(picked.shape)
    last = np.zeros(x.shape, count.dtype)
    last[index] = count
    return np.where(last[index] == count, picked, np.zeros((), x.dtype))


class IndexLast(Linear, _Subscripted):
    """Select elements; the result is zero where the same element is selected again later.

    The transpose of writing at an index, where the last of several values for one element is
    stored.
    """

    name = "index_last"
    elements = "moved"
    fills_all = False
    reads_all = False
    numpy = staticmethod(_last_of)
    samples = (Sample(lambda x: apply(IndexLast(("?",)), x, as_node([1, 1, 0, 1])), [reals(2, 2)]),)

    def infer(self, *types: Any) -> Type:
        x, *indices = tensor_types(*types)
        return x.with_shape(result_shape(self.key, x.shape, indices))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(SetAt(self.key), zeros_like(inputs[0]), adjoint, *inputs[1:])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        to = self.for_rows(out, batched, inputs, True)
        x = inputs[0] if batched[0] else repeated(inputs[0], row_count(batched, inputs))
        return to and to.selected(apply(IndexLast(to.key), x, *to.indices))


@explained
def set_at(x: Operand, index: Any, value: Operand) -> Node:
    """Return ``x`` with ``value`` at ``index``, as after ``x[index] = value`` in NumPy.

    Parameters
    ----------
    x : node, number or array
    index : as in ``x[index]``
    value : node, number or array
        It broadcasts to the selected elements.  If index arrays name an element several times, the
        last value is stored, and only that one gets a gradient.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``.

    Raises
    ------
    ShapeError
        If ``value`` does not match, or the index is out of range.
    GraphTypeError
        If ``value`` is floating and ``x`` is not.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> y = sm.set_at(x, 0, 9.0)
    >>> y.eval({x: [1.0, 2.0, 3.0]})
    array([9., 2., 3.])
    >>> sm.gradients(y, x).eval({x: [1.0, 2.0, 3.0]})
    array([0., 1., 1.])
    """
    return _update(SetAt, x, index, value)


@explained
def add_at(x: Operand, index: Any, value: Operand) -> Node:
    """Return ``x`` with ``value`` added at ``index``; repeated indices add up.

    Parameters
    ----------
    x : node, number or array
    index : as in ``x[index]``
    value : node, number or array
        It broadcasts to the selected elements.

    Returns
    -------
    Node
        It has the shape and dtype of ``x``.

    Raises
    ------
    ShapeError
        If ``value`` does not match, or the index is out of range.
    GraphTypeError
        If ``value`` is floating and ``x`` is not.

    Examples
    --------
    >>> import symad as sm
    >>> sm.add_at(sm.constant([1.0, 2.0, 3.0]), [0, 0], 10.0).eval()
    array([21.,  2.,  3.])
    """
    return _update(AddAt, x, index, value)


def _update(kind: type[_Update], x: Operand, index: Any, value: Operand) -> Node:
    node = as_node(x)
    key, nodes = parse(index, node)
    result = apply(kind(key), node, as_node(value, like=node), *nodes)
    check_constant_indices(key, tensor_types(node.type)[0].shape, nodes)
    return result


register(set_at)
register(add_at)
