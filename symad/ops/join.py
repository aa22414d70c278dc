"""Ops that join arrays along an axis or split them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, fixed, reals
from symad.ops.base import JointlyLinear, Linear, Operand, as_node, as_nodes, register, tensor_types
from symad.ops.batching import along_axis_of_rows, from_end, shape_of, stacked
from symad.ops.index import index_array
from symad.ops.shape import expand_dims, one_axis, reshape
from symad.ops.size import Size, as_size, axis_size
from symad.ops.subscript import along_axis
from symad.types import (
    Dimension,
    KnownRank,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    format_shape,
    normalize_axis,
)


def _concat(*xs: Any, axis: int) -> Any:
    return np.concatenate(xs, axis=axis)


class Concat(JointlyLinear):
    """Join arrays along an existing axis."""

    axis: int

    name = "concat"
    elements = "moved"
    sign = "as inputs"
    numpy = staticmethod(_concat)
    samples = (
        Sample(lambda a, b: concat([a, b]), [reals(2, 3), reals(1, 3)]),
        Sample(lambda a, b, c: concat([a, b, c], axis=-1), [reals(2, 1), reals(2, 0), reals(2, 3)],
               label="last axis"),
        Sample(lambda a: concat([a, a]), [reals(2)], label="twice the same"),
        Sample(lambda a: concat([a]), [reals(2)], label="one"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        dtype = np.result_type(*[x.dtype for x in tensors])
        known = [x.shape for x in tensors if not isinstance(x.shape, UnknownShape)]
        if not known:
            return TensorType(dtype, UnknownShape.fresh())
        shape = list(_unify(known, normalize_axis(self.axis, len(known[0]))))
        axis = normalize_axis(self.axis, len(shape))
        dims = [UnknownDim() if x.ndim is None else x.shape[axis] for x in tensors]  # type: ignore[index]
        shape[axis] = _total(dims)
        return TensorType(dtype, tuple(shape))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        ends = _ends(out, self.axis)
        if ends is None:
            return apply(ConcatPart(self.axis, slot), adjoint, *inputs)
        return index_array(adjoint, along_axis(self.axis, slice(*ends[slot : slot + 2])))

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)


_ENDS: WeakKeyDictionary[Node, list[int] | None] = WeakKeyDictionary()


def _ends(out: Node, axis: int) -> list[int] | None:
    """Return 0 and where each input of a concatenation ends, if all sizes are known.

    This is kept, since it is needed for each of perhaps thousands of inputs.
    """
    if out not in _ENDS:
        sizes = [_size_along(x.type, axis) for x in out.inputs]
        known = [size for size in sizes if isinstance(size, int)]
        _ENDS[out] = list(accumulate(known, initial=0)) if len(known) == len(sizes) else None
    return _ENDS[out]


def _size_along(type_: Type, axis: int) -> Dimension | None:
    assert isinstance(type_, TensorType)
    return None if isinstance(type_.shape, UnknownShape) else type_.shape[axis]


def _unify(shapes: Sequence[KnownRank], axis: int) -> KnownRank:
    """Return the common shape of ``shapes`` in all axes but one."""
    result = shapes[0]
    for other in shapes[1:]:
        fits = len(result) == len(other)
        pairs = list(zip(result, other, strict=False))
        for i, (a, b) in enumerate(pairs):
            fits = fits and (i == axis or a == b or not (isinstance(a, int) and isinstance(b, int)))
        if not fits:
            raise ShapeError(
                f"arrays of shapes {format_shape(result)} and {format_shape(other)} cannot be "
                f"joined along axis {axis}",
                remedy="All other axes must have the same size.",
            )
        result = tuple(b if isinstance(b, int) else a for a, b in pairs)
    return result


def _total(dims: Sequence[Dimension]) -> Dimension:
    """Return the sum of dimensions."""
    symbols = [dim for dim in dims if not isinstance(dim, int)]
    count = sum(dim for dim in dims if isinstance(dim, int))
    if not symbols:
        return count
    return symbols[0] if len(symbols) == 1 and count == 0 else UnknownDim()


def _bounds(xs: Sequence[Any], axis: int, part: int) -> tuple[int, int]:
    """Return where part number ``part`` begins and ends in the concatenation of ``xs``."""
    start = sum(np.shape(x)[axis] for x in xs[:part])
    return start, start + np.shape(xs[part])[axis]


def _concat_part(v: Any, *xs: Any, axis: int, part: int) -> Any:
    start, stop = _bounds(xs, axis, part)
    return v[along_axis(axis, slice(start, stop))]


class _Part(Linear):
    """An op on one part of the concatenation of the inputs after the first."""

    axis: int
    part: int

    elements = "moved"

    def reads(self, slot: int) -> bool:
        return slot == 0

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def bounds(self, inputs: Sequence[Node]) -> tuple[int, int, int] | None:
        """Return where the part begins and ends, and the whole size, if all sizes are known."""
        shapes = [x.type.shape for x in inputs[1:] if isinstance(x.type, TensorType)]
        if UnknownShape in map(type, shapes):
            return None
        sizes = [shape[self.axis] for shape in shapes]  # type: ignore[index]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) < len(sizes):
            return None
        return sum(known[: self.part]), sum(known[: self.part + 1]), sum(known)


class ConcatPart(_Part):
    """Take from ``v`` the part that comes from input number ``part`` of a concatenation."""

    name = "concat_part"
    reads_all = False
    numpy = staticmethod(_concat_part)
    is_view = True
    samples = (
        Sample(lambda v, a, b: apply(ConcatPart(1, 1), v, a, b),
               [reals(2, 4), reals(2, 3), reals(2, 1)]),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        v, *xs = tensor_types(*types)
        return TensorType(v.dtype, xs[self.part].shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(ConcatPlace(self.axis, self.part), adjoint, *inputs[1:])

    def specialise(self, *inputs: Node) -> Node | None:
        bounds = self.bounds(inputs)
        if bounds is None:
            return None
        return index_array(inputs[0], along_axis(self.axis, slice(*bounds[:2])))


def _concat_place(v: Any, *xs: Any, axis: int, part: int) -> Any:
    start, stop = _bounds(xs, axis, part)
    shape = list(v.shape)
    shape[axis] = sum(np.shape(x)[axis] for x in xs)
    total = np.zeros(shape, v.dtype)
    total[along_axis(axis, slice(start, stop))] = v
    return total


class ConcatPlace(_Part):
    """Put ``v`` at the position of input number ``part`` of a concatenation, among zeros."""

    name = "concat_place"
    fills_all = False
    numpy = staticmethod(_concat_place)
    samples = (
        Sample(lambda v, a, b: apply(ConcatPlace(1, 1), v, a, b),
               [reals(2, 1), reals(2, 3), reals(2, 1)]),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        v, *xs = tensor_types(*types)
        whole = Concat(self.axis).infer(*xs)
        return TensorType(v.dtype, tensor_types(whole)[0].shape)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(ConcatPart(self.axis, self.part), adjoint, *inputs[1:])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        bounds, v = self.bounds(out.inputs), stacked(batched, inputs)[0]
        if bounds is None:
            return None
        start, stop, size = bounds
        widths = [(0, 0)] * len(shape_of(v))
        widths[from_end(self.axis, len(shape_of(out)))] = (start, size - stop)
        return call("pad", v, widths)


@explained
def concat(arrays: Sequence[Operand], axis: int | None = 0) -> Node:
    """Return ``arrays`` joined along an existing axis.

    Parameters
    ----------
    arrays : sequence of Operand
    axis : int, optional
        ``None`` flattens all arrays first.

    Raises
    ------
    ShapeError
        If the arrays differ in the size of another axis, or have no axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.concat([sm.constant([1.0]), [2.0, 3.0]]).eval()
    array([1., 2., 3.])
    >>> x = sm.Variable("x", shape=("batch", 3))
    >>> sm.concat([x, x], axis=1).type
    f64[batch,6]
    """
    nodes = _some_nodes(arrays, "concat")
    if axis is None:
        return apply(Concat(0), *[reshape(node, (-1,)) for node in nodes])
    return apply(Concat(one_axis(axis)), *nodes)


concatenate = concat


def _some_nodes(arrays: Any, what: str) -> tuple[Node, ...]:
    if isinstance(arrays, Node):
        arrays = list(arrays)
    nodes = as_nodes(*arrays)
    if not nodes:
        raise GraphTypeError(f"{what} needs at least one array")
    return nodes


def _stack(*xs: Any, axis: int) -> Any:
    return np.stack(xs, axis=axis)


class Stack(JointlyLinear):
    """Join arrays of the same shape along a new axis."""

    axis: int

    name = "stack"
    elements = "moved"
    sign = "as inputs"
    numpy = staticmethod(_stack)
    samples = (
        Sample(lambda a, b: stack([a, b]), [reals(2, 3), reals(2, 3)]),
        Sample(lambda a, b: stack([a, b], axis=-1), [reals(3), reals(3)], label="last axis"),
        Sample(lambda a, b: stack([a, b, a]), [reals(), reals()], label="scalars"),
    )

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        dtype = np.result_type(*[x.dtype for x in tensors])
        known = [x.shape for x in tensors if not isinstance(x.shape, UnknownShape)]
        if not known:
            return TensorType(dtype, UnknownShape.fresh())
        shape = _unify(known, -1)
        axis = normalize_axis(self.axis, len(shape) + 1)
        return TensorType(dtype, (*shape[:axis], len(tensors), *shape[axis:]))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return index_array(adjoint, along_axis(self.axis, slot))

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)


@explained
def stack(arrays: Sequence[Operand], axis: int = 0) -> Node:
    """Return ``arrays``, all of the same shape, joined along a new axis.

    Parameters
    ----------
    arrays : sequence of nodes, numbers or arrays
    axis : int
        The position of the new axis in the result.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> sm.stack([x, sm.sin(x), 0]).eval({x: 0.0})
    array([0., 0., 0.])
    """
    return apply(Stack(one_axis(axis)), *_some_nodes(arrays, "stack"))


@explained
def vstack(arrays: Sequence[Operand]) -> Node:
    """Return ``arrays`` joined along the first axis; vectors count as rows.

    Parameters
    ----------
    arrays : sequence of nodes, numbers or arrays

    Examples
    --------
    >>> import symad as sm
    >>> sm.vstack([sm.constant([1, 2]), [3, 4]]).eval()
    array([[1, 2],
           [3, 4]])
    """
    return concat([atleast_2d(node) for node in _some_nodes(arrays, "vstack")])


@explained
def hstack(arrays: Sequence[Operand]) -> Node:
    """Return ``arrays`` joined along the second axis, vectors along their only axis.

    Parameters
    ----------
    arrays : sequence of nodes, numbers or arrays

    Examples
    --------
    >>> import symad as sm
    >>> sm.hstack([sm.constant([1, 2]), [3, 4]]).eval()
    array([1, 2, 3, 4])
    """
    nodes = [atleast_1d(node) for node in _some_nodes(arrays, "hstack")]
    return concat(nodes, axis=0 if nodes[0].ndim == 1 else 1)


@explained
def atleast_1d(x: Operand) -> Node:
    """Return ``x``; a scalar becomes a vector of one element.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.atleast_1d(2.0).eval()
    array([2.])
    """
    return _at_least(as_node(x), 1)


@explained
def atleast_2d(x: Operand) -> Node:
    """Return ``x``; a vector becomes a matrix of one row.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.atleast_2d([1.0, 2.0]).eval()
    array([[1., 2.]])
    """
    return _at_least(as_node(x), 2)


def _at_least(x: Node, rank: int) -> Node:
    if x.ndim is None:
        raise ShapeError(
            f"the number of axes of {x!r} is not known",
            where=x.site.describe(),
            remedy='Declare it: Variable("x", shape=(None, None)).',
        )
    missing = rank - x.ndim
    return expand_dims(x, tuple(range(missing))) if missing > 0 else x


# Splitting


def _quotient(n: Any, count: int) -> Any:
    if n % count:
        raise ValueError(f"an axis of size {n} cannot be split into {count} equal parts")
    return n // count


class EqualPart(Op):
    """The size of each of ``count`` equal parts of ``n``."""

    count: int

    name = "equal_part"
    numpy = staticmethod(_quotient)
    samples = (Sample(lambda n: apply(EqualPart(3), n), [fixed(6)]),)

    def infer(self, *types: Any) -> Type:
        (n,) = tensor_types(*types)
        return n

    def differentiable(self, slot: int) -> bool:
        return False


@explained
def split(x: Operand, indices_or_sections: Any, axis: int = 0) -> tuple[Node, ...]:
    """Split ``x`` into parts along an axis.

    Parameters
    ----------
    x : node, number or array
    indices_or_sections : int or sequence of integers
        How many equal parts, or where to cut.  The cuts may be integer nodes.
    axis : int

    Returns
    -------
    tuple of Node

    Raises
    ------
    ShapeError
        If the axis cannot be split into equal parts; if its size is not known, this is checked when
        the graph runs.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.split(sm.constant([1.0, 2.0, 3.0, 4.0]), 2)
    >>> b.eval()
    array([3., 4.])
    >>> [part.type for part in sm.split(sm.Variable("x", shape=("batch", 5)), [2], axis=1)]
    [f64[batch,2], f64[batch,3]]
    """
    node, axis = as_node(x), one_axis(axis)
    cuts: Sequence[Size | None]
    if isinstance(indices_or_sections, (int, np.integer)):
        cuts = [0, *_equal_cuts(node, int(indices_or_sections), axis), None]
    else:
        cuts = [0, *map(as_size, indices_or_sections), None]
    pairs = zip(cuts, cuts[1:], strict=False)
    return tuple(index_array(node, along_axis(axis, slice(a, b))) for a, b in pairs)


def _equal_cuts(x: Node, count: int, axis: int) -> list[Size]:
    if count < 1:
        raise ShapeError(f"an axis cannot be split into {count} parts")
    whole = axis_size(x, axis)
    if isinstance(whole, Node):
        part: Size = apply(EqualPart(count), whole)
    elif whole % count:
        raise ShapeError(f"an axis of size {whole} cannot be split into {count} equal parts")
    else:
        part = whole // count
    return [part * k for k in range(1, count)]


register(concat)
register(stack)
register(vstack)
register(hstack)
register(atleast_1d)
register(atleast_2d)
register(split)
