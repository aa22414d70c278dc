"""Ops that move or repeat the elements of an array: flip, roll, tile, repeat, pad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, explained
from symad.graph.sample import Sample, reals
from symad.ops.base import FixedLinear, Linear, Operand, as_node, register, tensor_types
from symad.ops.batching import aligned, along_axis_of_rows, shape_of, stacked
from symad.ops.index import index_array, scatter_add
from symad.ops.join import concat
from symad.ops.reduce import Axis, as_axis
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import broadcast_to, one_axis, reshape
from symad.ops.subscript import along_axis
from symad.types import (
    Dimension,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    normalize_axes,
    normalize_axis,
)


class _SameShape(Linear):
    """An op whose result has the type of its operand."""

    elements = "moved"

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if x.ndim is not None:
            self.check(x.ndim)
        return x

    def check(self, ndim: int) -> None:
        """Raise an error if the op does not support arrays of ``ndim`` axes."""


class _TransposeOf(Op):
    """The transpose of an op: takes an adjoint and the operand of the op."""

    elements = "added"

    def reads(self, slot: int) -> bool:
        return slot == 0

    def flops(self, result: Any, *types: Any) -> int:
        return int(types[0].size)

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def infer(self, *types: Any) -> Type:
        v, like = tensor_types(*types)
        return TensorType(v.dtype, like.shape)


# Flip and roll


class Flip(_SameShape):
    """Reverse the order of the elements along some axes."""

    axis: Axis

    name = "flip"
    sign = "as inputs"
    numpy = np.flip
    is_view = True
    samples = (
        Sample(lambda x: flip(x), [reals(2, 3)]),
        Sample(lambda x: flip(x, -1), [reals(2, 3)], label="axis"),
        Sample(lambda x: flip(x, (0, 2)), [reals(2, 3, 2)], label="axes"),
    )

    def check(self, ndim: int) -> None:
        normalize_axes(self.axis, ndim)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, adjoint)


@explained
def flip(x: Operand, axis: int | Sequence[int] | None = None) -> Node:
    """Return ``x`` with the order of its elements reversed along ``axis``, or along all axes.

    Parameters
    ----------
    x : node, number or array
    axis : int or sequence of int, optional
        By default all axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.flip(sm.constant([1, 2, 3])).eval()
    array([3, 2, 1])
    """
    return apply(Flip(as_axis(axis)), as_node(x))


class Roll(_SameShape):
    """Shift elements along axes; elements that leave at one end re-enter at the other."""

    shift: int | tuple[int, ...]
    axis: Axis

    name = "roll"
    sign = "as inputs"
    numpy = np.roll
    samples = (
        Sample(lambda x: roll(x, 2), [reals(2, 3)]),
        Sample(lambda x: roll(x, -1, axis=1), [reals(2, 3)], label="axis"),
        Sample(lambda x: roll(x, (1, 2), axis=(0, 1)), [reals(2, 3)], label="axes"),
        Sample(lambda x: roll(x, 1, axis=0), [reals(0, 3)], label="empty"),
    )

    def check(self, ndim: int) -> None:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        for axis in axes:
            if axis is not None:
                normalize_axis(axis, ndim)
        if isinstance(self.shift, tuple) and len(self.shift) != len(axes):
            raise ShapeError(f"{len(self.shift)} shifts were given for {len(axes)} axes")

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        back = tuple(-n for n in self.shift) if isinstance(self.shift, tuple) else -self.shift
        return apply(Roll(back, self.axis), adjoint)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        if self.axis is not None:
            return along_axis_of_rows(self, out, batched, inputs)
        rows, shape = shape_of(inputs[0])[0], shape_of(out)
        flat = roll(reshape(inputs[0], (rows, math.prod(shape))), self.shift, -1)
        return reshape(flat, (rows, *shape))


@explained
def roll(x: Operand, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Node:
    """Return ``x`` with its elements shifted cyclically along ``axis``.

    Parameters
    ----------
    x : node, number or array
    shift : int or tuple of int
    axis : int or tuple of int, optional
        Without it, elements are shifted in row-major order.

    Examples
    --------
    >>> import symad as sm
    >>> sm.roll(sm.constant([1, 2, 3]), 1).eval()
    array([3, 1, 2])
    """
    return apply(Roll(_integers(shift, "a shift"), as_axis(axis)), as_node(x))


def _integers(value: Any, what: str) -> int | tuple[int, ...]:
    """Return an integer or a tuple of them as an attribute."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    numbers = np.asarray(value) if isinstance(value, (tuple, list, np.ndarray)) else None
    if numbers is None or numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise GraphTypeError(
            f"{what} must be an integer or a tuple of integers, not {value!r}",
            remedy="It settles the shape, so it cannot be a node; use x[index] with an index node.",
        )
    return tuple(int(number) for number in numbers)


# Tile and repeat


class Tile(Linear):
    """Repeat ``x`` as a whole along each axis."""

    reps: tuple[int, ...]

    name = "tile"
    elements = "moved"
    sign = "as inputs"
    numpy = np.tile
    samples = (
        Sample(lambda x: tile(x, 2), [reals(2, 3)]),
        Sample(lambda x: tile(x, (2, 1, 3)), [reals(2, 2)], label="new axis"),
        Sample(lambda x: tile(x, (2, 0)), [reals(2, 2)], label="none"),
        Sample(lambda x: tile(x, 3), [reals()], label="scalar"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        rank = max(len(x.shape), len(self.reps))
        shape = (1,) * (rank - len(x.shape)) + x.shape
        reps = (1,) * (rank - len(self.reps)) + self.reps
        return x.with_shape(tuple(map(_times, shape, reps)))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(TileSum(self.reps), adjoint, inputs[0])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        ndim = len(shape_of(out))
        reps = (1,) * (ndim + 1 - len(self.reps)) + self.reps
        return apply(Tile(reps), aligned(inputs[0], ndim))


def _times(dim: Dimension, count: int) -> Dimension:
    if isinstance(dim, int):
        return dim * count
    return dim if count == 1 else UnknownDim()


def _tile_sum(v: Any, like: Any, reps: tuple[int, ...]) -> Any:
    pairs = _with_copies(v.ndim, np.shape(like), reps)
    return v.reshape(pairs).sum(tuple(range(0, 2 * v.ndim, 2)), v.dtype).reshape(np.shape(like))


def _with_copies(rank: int, shape: tuple[int, ...], reps: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of tiled copies with the number of copies before each axis."""
    shape = (1,) * (rank - len(shape)) + shape
    reps = (1,) * (rank - len(reps)) + reps
    return tuple(size for pair in zip(reps, shape, strict=True) for size in pair)


class TileSum(_TransposeOf, Linear):
    """Sum the copies made by tiling: its transpose."""

    reps: tuple[int, ...]

    name = "tile_sum"
    numpy = staticmethod(_tile_sum)
    samples = (
        Sample(lambda v, x: apply(TileSum((2, 3)), v, x), [reals(4, 6), reals(2, 2)]),
        Sample(lambda v, x: apply(TileSum((3,)), v, x), [reals(3), reals()], label="scalar"),
    )

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(Tile(self.reps), adjoint)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        v, like = stacked(batched, inputs)
        ndim = len(shape_of(v))
        total = TileSum((1,) * (ndim - len(self.reps)) + self.reps)
        return reshape(apply(total, v, aligned(like, ndim - 1)), (shape_of(v)[0], *shape_of(out)))

    def decompose(self, *inputs: Node) -> Node | None:
        v, like = inputs
        copies = reshape(v, _with_copies(len(shape_of(v)), shape_of(like), self.reps))
        axes = tuple(range(0, len(shape_of(copies)), 2))
        return reshape(sum_of(copies, axes), shape_of(like))


@explained
def tile(x: Operand, reps: int | Sequence[int]) -> Node:
    """Return copies of ``x`` side by side, ``reps`` of them along each axis.

    Parameters
    ----------
    x : node, number or array
    reps : int or sequence of int
        For the last axes; missing counts are 1, and axes that ``x`` lacks are added in front.

    Examples
    --------
    >>> import symad as sm
    >>> sm.tile(sm.constant([1, 2]), (2, 2)).eval()
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    counts = _integers(reps, "a number of copies")
    counts = counts if isinstance(counts, tuple) else (counts,)
    if any(count < 0 for count in counts):
        raise ShapeError(f"{reps!r} is not a number of copies")
    return apply(Tile(counts), as_node(x))


class Repeat(Linear):
    """Repeat each element along an axis."""

    repeats: int | tuple[int, ...]
    axis: int

    name = "repeat"
    elements = "moved"
    sign = "as inputs"
    numpy = np.repeat
    samples = (
        Sample(lambda x: repeat(x, 2, axis=1), [reals(2, 3)]),
        Sample(lambda x: repeat(x, 2), [reals(2, 2)], label="flat"),
        Sample(lambda x: repeat(x, [2, 0, 1], axis=-1), [reals(2, 3)], label="each"),
        Sample(lambda x: repeat(x, 0, axis=0), [reals(2, 3)], label="none"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            return x.with_shape(UnknownShape.fresh())
        axis = normalize_axis(self.axis, len(x.shape))
        dim = x.shape[axis]
        if isinstance(self.repeats, int):
            new = _times(dim, self.repeats)
        elif isinstance(dim, int) and dim != len(self.repeats):
            raise ShapeError(f"{len(self.repeats)} repeats were given for an axis of size {dim}")
        else:
            new = sum(self.repeats)
        return x.with_shape((*x.shape[:axis], new, *x.shape[axis + 1 :]))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(RepeatSum(self.repeats, self.axis), adjoint, inputs[0])

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)

    def decompose(self, *inputs: Node) -> Node | None:
        if isinstance(self.repeats, int):
            return None
        origins = np.repeat(np.arange(len(self.repeats)), self.repeats)
        return index_array(inputs[0], along_axis(self.axis, origins))


def _repeat_sum(v: Any, like: Any, repeats: int | tuple[int, ...], axis: int) -> Any:
    shape = np.shape(like)
    axis %= len(shape)
    if isinstance(repeats, int):
        return v.reshape(*shape[: axis + 1], repeats, *shape[axis + 1 :]).sum(axis + 1, v.dtype)
    total = np.zeros(shape, v.dtype)
    np.add.at(np.moveaxis(total, axis, 0), np.repeat(np.arange(shape[axis]), repeats),
              np.moveaxis(v, axis, 0))  # fmt: skip
    return total


class RepeatSum(_TransposeOf, Linear):
    """Sum the repetitions of each element: the transpose of repeating."""

    repeats: int | tuple[int, ...]
    axis: int

    name = "repeat_sum"
    numpy = staticmethod(_repeat_sum)
    samples = (
        Sample(lambda v, x: apply(RepeatSum(2, 1), v, x), [reals(2, 6), reals(2, 3)]),
        Sample(lambda v, x: apply(RepeatSum((2, 0, 1), -1), v, x), [reals(2, 3), reals(2, 3)],
               label="each"),
    )  # fmt: skip

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(Repeat(self.repeats, self.axis), adjoint)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return along_axis_of_rows(self, out, batched, inputs)

    def decompose(self, *inputs: Node) -> Node | None:
        (v, like), axis = inputs, self.axis
        shape = shape_of(like)
        if isinstance(self.repeats, int):
            axis = normalize_axis(axis, len(shape)) + 1
            return sum_of(reshape(v, (*shape[:axis], self.repeats, *shape[axis:])), axis)
        origins = np.repeat(np.arange(len(self.repeats)), self.repeats)
        return scatter_add(v, like, along_axis(axis, origins))


@explained
def repeat(x: Operand, repeats: int | Sequence[int], axis: int | None = None) -> Node:
    """Return ``x`` with each element repeated along an axis.

    Parameters
    ----------
    x : node, number or array
    repeats : int or sequence of int
        The number of repetitions, or one number for each element; sizes follow from them, so they
        cannot be nodes.
    axis : int, optional
        Without it, ``x`` is flattened first.

    Raises
    ------
    ShapeError
        If there are not as many ``repeats`` as elements along the axis.

    Examples
    --------
    >>> import symad as sm
    >>> sm.repeat(sm.constant([1, 2, 3]), [2, 0, 1]).eval()
    array([1, 1, 3])
    """
    counts = _integers(repeats, "a number of repeats")
    if isinstance(counts, tuple) and len(counts) == 1:  # it broadcasts
        (counts,) = counts
    if any(count < 0 for count in (counts if isinstance(counts, tuple) else (counts,))):
        raise ShapeError(f"{repeats!r} is not a number of repeats")
    if axis is None:
        return apply(Repeat(counts, 0), reshape(x, (-1,)))
    return apply(Repeat(counts, one_axis(axis)), as_node(x))


# Pad

Widths = tuple[tuple[int, int], ...]
"""How many elements to add before and after each axis; one pair applies to all axes."""

PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
_MODES = get_args(PadMode)


def _pad(x: Any, widths: Widths, mode: str, value: float) -> Any:
    if mode == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, mode=mode)  # type: ignore[call-overload]


class Pad(FixedLinear):
    """Add elements before and after each axis: a value, or a continuation of the array."""

    widths: Widths
    mode: str = "constant"
    value: float = 0

    name = "pad"
    fills_all = False
    numpy = staticmethod(_pad)
    samples = (
        Sample(lambda x: pad(x, 1), [reals(2, 3)]),
        Sample(lambda x: pad(x, ((0, 2), (1, 0)), constant_values=3), [reals(2, 3)],
               label="each axis"),
        Sample(lambda x: pad(x, (1, 0)), [reals(0)], label="empty"),
        Sample(lambda x: pad(x, ((0, 3), (2, 1)), mode="edge"), [reals(2, 3)], label="edge"),
        Sample(lambda x: pad(x, 4, mode="reflect"), [reals(2, 3)], label="reflect"),
        Sample(lambda x: pad(x, (3, 1), mode="symmetric"), [reals(2)], label="symmetric"),
        Sample(lambda x: pad(x, (1, 3), mode="wrap"), [reals(1, 2)], label="wrap"),
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if isinstance(x.shape, UnknownShape):
            rank = len(self.widths)
            return x.with_shape(
                UnknownShape.fresh() if rank == 1 else tuple(UnknownDim() for _ in range(rank))
            )
        pairs = self.pairs(len(x.shape))
        return x.with_shape(tuple(map(_padded, x.shape, pairs)))

    def pairs(self, rank: int) -> Widths:
        """Return the widths of each of ``rank`` axes."""
        if len(self.widths) not in (1, rank):
            raise ShapeError(f"{len(self.widths)} pairs of widths were given for {rank} axes")
        return self.widths * rank if len(self.widths) == 1 else self.widths

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(PadSum(self.widths, self.mode), adjoint, inputs[0])

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(Pad(self.widths, self.mode), tangent)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        widths = ((0, 0), *self.pairs(len(shape_of(out))))
        return apply(self.with_attributes(widths=widths), *inputs)

    def decompose(self, *inputs: Node) -> Node | None:
        (x,) = inputs
        if self.mode == "constant":
            return None
        for axis, (before, after) in enumerate(self.pairs(len(shape_of(x)))):
            size = shape_of(x)[axis]
            origins = _origins(size, (before, after), self.mode)
            ends = [origins[:before], origins[before + size :]]
            first, last = (index_array(x, along_axis(axis, end)) for end in ends)
            parts = [part for part in (first, x, last) if shape_of(part)[axis]]
            x = concat(parts, axis) if len(parts) > 1 else x
        return x

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return Pad(self.widths, self.mode).kernel()(labels[0])


def _padded(dim: Dimension, pair: tuple[int, int]) -> Dimension:
    if isinstance(dim, int):
        return dim + sum(pair)
    return dim if pair == (0, 0) else UnknownDim()


def _pad_sum(v: Any, like: Any, widths: Widths, mode: str) -> Any:
    sizes = np.shape(like)
    pairs = widths * len(sizes) if len(widths) == 1 else widths
    if mode == "constant":
        inner = zip(pairs, sizes, strict=True)
        return v[tuple(slice(before, before + size) for (before, _), size in inner)]
    total = np.zeros(sizes, v.dtype)
    origins = [_origins(n, p, mode) for n, p in zip(sizes, pairs, strict=True)]
    np.add.at(total, np.ix_(*origins), v)
    return total


def _origins(size: int, pair: tuple[int, int], mode: str) -> Any:
    """Return from which elements those of a padded axis come."""
    return _pad(np.arange(size), (pair,), mode, 0)


class PadSum(_TransposeOf, Linear):
    """Cut off the padding, and add it to the elements it came from: the transpose of padding."""

    widths: Widths
    mode: str

    name = "pad_sum"
    reads_all = False
    numpy = staticmethod(_pad_sum)
    is_view = True
    samples = (
        Sample(lambda v, x: apply(PadSum(((1, 2),), "edge"), v, x), [reals(5), reals(2)]),
        Sample(lambda v, x: apply(PadSum(((1, 2),), "constant"), v, x), [reals(5), reals(2)],
               label="constant"),
    )  # fmt: skip

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(Pad(self.widths, self.mode), adjoint)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        widths = ((0, 0), *Pad(self.widths).pairs(len(shape_of(out))))
        return apply(PadSum(widths, self.mode), *stacked(batched, inputs))

    def decompose(self, *inputs: Node) -> Node | None:
        v, sizes = inputs[0], shape_of(inputs[1])
        for axis, pair in enumerate(Pad(self.widths).pairs(len(sizes))):
            if pair != (0, 0):
                inner = (*shape_of(v)[:axis], sizes[axis], *shape_of(v)[axis + 1 :])
                inside = broadcast_to(Constant(0, v.dtype), inner)
                v = scatter_add(v, inside, along_axis(axis, _origins(sizes[axis], pair, self.mode)))
        return v

    def specialise(self, *inputs: Node) -> Node | None:
        (like,) = tensor_types(inputs[1].type)
        if self.mode != "constant" or like.ndim is None:
            return None
        pairs = Pad(self.widths).pairs(like.ndim)
        inner = tuple(slice(before, -after if after else None) for before, after in pairs)
        return index_array(inputs[0], inner)


@explained
def pad(x: Operand, pad_width: Any, mode: PadMode = "constant", constant_values: float = 0) -> Node:
    """Return ``x`` with elements added before and after each axis.

    Parameters
    ----------
    x : node, number or array
    pad_width : int, pair of int, or a sequence of one pair for each axis
        How many elements to add before and after.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What to add, as in ``numpy.pad``.
    constant_values : number
        The value to add, in mode "constant".

    Raises
    ------
    ShapeError
        If a width is negative, or there are not as many pairs as axes.

    Examples
    --------
    >>> import symad as sm
    >>> sm.pad(sm.constant([1, 2, 3]), (2, 1)).eval()
    array([0, 0, 1, 2, 3, 0])
    >>> sm.pad(sm.constant([1, 2, 3]), (2, 1), mode="edge").eval()
    array([1, 1, 1, 2, 3, 3])
    """
    if mode not in _MODES:
        raise GraphTypeError(f"there is no padding mode {mode!r}", remedy=f"Use {_MODES}.")
    if not isinstance(constant_values, (int, float, np.number)):
        raise GraphTypeError(f"constant_values must be one number, not {constant_values!r}")
    value = float(constant_values) if mode == "constant" else 0
    return apply(Pad(_as_widths(pad_width), mode, value), as_node(x))


def _as_widths(pad_width: Any) -> Widths:
    numbers = np.asarray(pad_width)
    fits = numbers.ndim <= 2 and numbers.shape[-1:] in ((), (1,), (2,))
    if numbers.dtype.kind not in "iu" or not fits:
        raise GraphTypeError(f"{pad_width!r} is not a width, a pair, or a pair for each axis")
    if (numbers < 0).any():
        raise ShapeError("a width of padding cannot be negative", remedy="Use a slice to cut.")
    rows = np.broadcast_to(numbers, (len(numbers) if numbers.ndim == 2 else 1, 2))
    return tuple((int(before), int(after)) for before, after in rows)


register(flip)
register(roll)
register(tile)
register(repeat)
register(pad)
