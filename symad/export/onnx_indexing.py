"""Subscripts, and ops that move elements, in ONNX; their transposes add at the places of these."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.onnx_elements import OnnxBuilder
from symad.export.onnx_ops import reshape_like
from symad.export.onnx_table import TABLE, Translation, translates
from symad.export.onnx_writer import BOOL, INT, SIGNED, OnnxArray
from symad.ops.subscript import count_holes, full_key, joined_place
from symad.types import normalize_axes

# Subscripts


def subscript(b: OnnxBuilder, x: OnnxArray, *indices: OnnxArray, key: Any) -> OnnxArray:
    """Return ``x[key]`` with ``indices`` in the places that are left open."""
    rest, full = iter(indices), full_key(tuple(key), x.shape)  # type: ignore[arg-type]
    if any(index.dtype == BOOL for index in indices):
        raise NotImplementedError("a mask applies to axes of unknown size")
    chosen: dict[int, OnnxArray] = {}
    axis = 0
    new: list[int] = []
    for entry in full:
        if entry is Ellipsis:
            continue
        if entry is None:
            new.append(axis + len(new))
            continue
        if isinstance(entry, tuple):
            start, stop = [next(rest) if part == "?" else part for part in entry[:2]]
            if (start, stop, entry[2]) != (None, None, None):
                x = b.slices(x, axis, start, stop, entry[2] or 1)
        else:
            chosen[axis] = next(rest) if isinstance(entry, str) else b.constant(entry, INT)
        axis += 1
    x = b.expand_dims(x, new)
    places = [k for k in range(x.ndim) if k not in new]
    found = {places[axis]: index for axis, index in chosen.items()}
    return _chosen(b, x, found, joined_place(full))


def _chosen(b: OnnxBuilder, x: OnnxArray, indices: dict[int, OnnxArray], place: int) -> OnnxArray:
    """Return elements of ``x`` at indices along some axes, which become axes at ``place``."""
    if len(indices) < 2 or all(index.ndim == 0 for index in indices.values()):
        for axis in sorted(indices, reverse=True):
            x = b.take(x, indices[axis], axis)
        return x
    rest = [k for k in range(x.ndim) if k not in indices]
    x = b.permute(x, [*indices, *rest])
    wide = [b.convert(index, INT) for index in indices.values()]
    whole = wide[0]
    for index in wide[1:]:
        whole = b.broadcast_together(whole, index)[0]
    wide = [b.broadcast_together(index, whole)[0] for index in wide]
    joined = whole.shape
    at = b.concat([b.expand_dims(index, [index.ndim]) for index in wide], -1)
    found = b.node("GatherND", [x, at], x.dtype, (*joined, *x.shape[len(wide) :]))
    count, axes = len(joined), list(range(len(joined), found.ndim))
    return b.permute(found, [*axes[:place], *range(count), *axes[place:]])


TABLE |= {"index": subscript, "array_index": subscript}


def _positions(b: OnnxBuilder, like: OnnxArray) -> OnnxArray:
    """Return an array of the numbers of the elements of another."""
    return reshape_like(b, b.count(b.product(b.sizes(like))), like)


def added_at(b: OnnxBuilder, x: OnnxArray, places: OnnxArray, v: OnnxArray) -> OnnxArray:
    """Return ``x`` with ``v`` added at elements, which are given by their numbers."""
    within = np.dtype("int32" if x.dtype == BOOL else SIGNED.get(x.dtype.name, x.dtype))
    v = b.broadcast_together(v, places)[0]
    given = [b.flat(b.convert(x, within)), b.flat(places), b.flat(b.convert(v, within))]
    made = b.node("ScatterElements", given, within, (None,), axis=0, reduction="add")
    return b.convert(reshape_like(b, made, x), x.dtype)


def _zeros(b: OnnxBuilder, like: OnnxArray, dtype: Any) -> OnnxArray:
    return b.expand_like(b.constant(0, dtype), like)


@translates("add_at")
def _add_at(
    b: OnnxBuilder, x: OnnxArray, v: OnnxArray, *indices: OnnxArray, key: Any
) -> OnnxArray:
    places = subscript(b, _positions(b, x), *indices, key=key)
    return added_at(b, x, places, b.convert(v, x.dtype))


@translates("set_at")
def _set_at(
    b: OnnxBuilder, x: OnnxArray, v: OnnxArray, *indices: OnnxArray, key: Any
) -> OnnxArray:
    places = subscript(b, _positions(b, x), *indices, key=key)
    v = b.broadcast_together(b.convert(v, x.dtype), places)[0]
    given = [b.flat(x), b.flat(places), b.flat(v)]
    made = b.node("ScatterElements", given, x.dtype, (None,), axis=0)
    return reshape_like(b, made, x)


@translates("scatter_add")
def _scatter_add(
    b: OnnxBuilder, v: OnnxArray, like: OnnxArray, *indices: OnnxArray, key: Any
) -> OnnxArray:
    return _add_at(b, _zeros(b, like, v.dtype), v, *indices, key=key)


@translates("scatter_sum")
def _scatter_sum(b: OnnxBuilder, *inputs: OnnxArray, keys: Sequence[Any]) -> OnnxArray:
    values, like = inputs[: len(keys)], inputs[len(keys)]
    dtype = np.result_type(*[v.dtype for v in values])
    rest, total = iter(inputs[len(keys) + 1 :]), _zeros(b, like, dtype)
    for key, v in zip(keys, values, strict=True):
        total = _add_at(b, total, v, *itertools.islice(rest, count_holes(key)), key=key)
    return total


@translates("index_last")
def _index_last(b: OnnxBuilder, x: OnnxArray, *indices: OnnxArray, key: Any) -> OnnxArray:
    places = subscript(b, _positions(b, x), *indices, key=key)
    count = _positions(b, places)
    last = _set_at(b, _zeros(b, x, INT), count, *indices, key=key)
    is_last = subscript(b, last, *indices, key=key).equals(count)
    return b.select(is_last, subscript(b, x, *indices, key=key), 0)


def transposed(function: Translation) -> Callable[..., OnnxArray]:
    """Return the transpose of a function that moves elements.

    It takes what comes back, and an array of the shape of the function's argument.
    """

    def run(b: OnnxBuilder, v: OnnxArray, like: OnnxArray, **attributes: Any) -> OnnxArray:
        places = function(b, _positions(b, like), **attributes)
        return added_at(b, _zeros(b, like, v.dtype), places, v)

    return run


# Along one axis


def _aligned(
    b: OnnxBuilder, x: OnnxArray, places: OnnxArray, axis: int
) -> tuple[OnnxArray, OnnxArray]:
    """Return arrays with equal sizes along all axes but one."""
    axis %= x.ndim
    first, second = b.sizes(x), b.sizes(places)
    for k in range(x.ndim):
        if k != axis:
            first[k] = second[k] = _joined(b, first[k], second[k])
    return b.expand(x, first), b.expand(places, second)


def _joined(b: OnnxBuilder, p: int | OnnxArray, q: int | OnnxArray) -> int | OnnxArray:
    """Return the size to which two broadcast."""
    if isinstance(p, int):
        return q if p == 1 else p
    if isinstance(q, int):
        return p if q == 1 else q
    return b.select(p.equals(1), q, p)


@translates("take_along_axis")
def take_along_axis(b: OnnxBuilder, x: OnnxArray, places: OnnxArray, axis: int) -> OnnxArray:
    """Return the elements at ``places`` along an axis."""
    x, places = _aligned(b, x, b.convert(places, INT), axis)
    return b.node("GatherElements", [x, places], x.dtype, places.shape, axis=axis)


@translates("add_along_axis")
def _add_along_axis(
    b: OnnxBuilder, v: OnnxArray, like: OnnxArray, places: OnnxArray, axis: int
) -> OnnxArray:
    within = np.dtype(SIGNED.get(v.dtype.name, v.dtype))
    places = _aligned(b, like, b.convert(places, INT), axis)[1]
    v = b.broadcast_together(b.convert(v, within), places)[0]
    zeros = _zeros(b, like, within)
    made = b.node("ScatterElements", [zeros, places, v], within, like.shape, axis=axis,
                  reduction="add")  # fmt: skip
    return b.convert(made, v.dtype)


@translates("flip")
def _flip(b: OnnxBuilder, x: OnnxArray, axis: Any) -> OnnxArray:
    for one in normalize_axes(axis, x.ndim):
        x = b.slices(x, one, None, None, -1)
    return x


@translates("roll")
def _roll(b: OnnxBuilder, x: OnnxArray, shift: Any, axis: Any) -> OnnxArray:
    if axis is None:
        return reshape_like(b, _roll(b, b.flat(x), np.sum(shift).item(), 0), x)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    shifts = (shift,) * len(axes) if isinstance(shift, int) else tuple(shift)
    for count, one in zip(shifts, axes, strict=True):
        size = b.size(x, one)
        if isinstance(size, int):
            cut = -count % size if size else 0
        else:
            cut = b.compute("Mod", b.constant(-count, INT), b.select(size.equals(0), 1, size))
        x = b.concat([b.slices(x, one, cut, None), b.slices(x, one, 0, cut)], one)
    return x


@translates("tile")
def _tile(b: OnnxBuilder, x: OnnxArray, reps: Sequence[int]) -> OnnxArray:
    x = b.expand_dims(x, list(range(len(reps) - x.ndim)))
    counts = (1,) * (x.ndim - len(reps)) + tuple(reps)
    shape = [None if n is None else n * count for n, count in zip(x.shape, counts, strict=True)]
    within = b.widened(x)
    made = b.node("Tile", [within, b.constant(counts, INT)], within.dtype, shape)
    return b.convert(made, x.dtype)


@translates("repeat")
def _repeat(b: OnnxBuilder, x: OnnxArray, repeats: Any, axis: int) -> OnnxArray:
    axis %= x.ndim
    if not isinstance(repeats, int):
        places = np.repeat(np.arange(len(repeats)), repeats)
        return b.take(x, b.constant(places, INT), axis)
    sizes = b.sizes(x)
    wide = b.expand(b.expand_dims(x, [axis + 1]), [*sizes[: axis + 1], repeats, *sizes[axis + 1 :]])
    return b.reshape(wide, [*sizes[:axis], sizes[axis] * repeats, *sizes[axis + 1 :]])


TABLE |= {"tile_sum": transposed(_tile), "repeat_sum": transposed(_repeat)}

# Edges and windows


def _pairs(x: OnnxArray, widths: Sequence[Any]) -> list[tuple[int, int]]:
    return list(widths) * x.ndim if len(widths) == 1 else list(widths)


@translates("pad")
def _pad(b: OnnxBuilder, x: OnnxArray, widths: Any, mode: str, value: float = 0) -> OnnxArray:
    for axis, (before, after) in enumerate(_pairs(x, widths)):
        if (before, after) == (0, 0):
            continue
        if mode == "constant":
            sizes = [[*b.sizes(x)[:axis], n, *b.sizes(x)[axis + 1 :]] for n in (before, after)]
            edges = [b.filled(value, x.dtype, size) for size in sizes]
            x = b.concat([edges[0], x, edges[1]], axis)
        else:
            x = b.take(x, _origins(b, b.number(b.size(x, axis)), before, after, mode), axis)
    return x


def _origins(
    b: OnnxBuilder, size: OnnxArray, before: int, after: int, mode: str
) -> OnnxArray:
    """Return the elements that padding repeats, by number."""
    places = b.count(size + (before + after)) - before
    if mode == "edge":
        places = b.select(places < 0, 0, places)
        return b.select(places < size, places, size - 1)
    if mode == "wrap":
        return b.compute("Mod", places, size)
    period = size * 2 if mode == "symmetric" else b.select(size.equals(1), 1, size * 2 - 2)
    places = b.compute("Mod", places, period)
    last = period - 1 if mode == "symmetric" else period
    return b.select(places < size, places, last - places)


@translates("pad_sum")
def _pad_sum(b: OnnxBuilder, v: OnnxArray, like: OnnxArray, widths: Any, mode: str) -> OnnxArray:
    if mode != "constant":
        return transposed(_pad)(b, v, like, widths=widths, mode=mode)
    for axis, (before, _) in enumerate(_pairs(like, widths)):
        size = b.size(like, axis)
        v = b.slices(v, axis, before, size + before if before else size)
    return v


@translates("windows")
def _windows(
    b: OnnxBuilder, x: OnnxArray, sizes: Sequence[int], steps: Sequence[int], gaps: Sequence[int]
) -> OnnxArray:
    rank, lead = len(sizes), x.ndim - len(sizes)
    for d, (size, step, gap) in enumerate(zip(sizes, steps, gaps, strict=True)):
        axis = lead + 2 * d
        extent = b.number(b.size(x, axis)) - (gap * (size - 1) + 1)
        count = b.count(b.truncated_divide(extent, extent.beside(step)) + 1)
        places = b.constant(np.arange(size)[:, None] * gap, INT) + count * step
        x = b.take(x, places, axis)
    axes = [lead + 2 * d for d in range(rank)]
    return b.permute(x, [*range(lead), *axes, *(axis + 1 for axis in axes)])


TABLE["window_sum"] = transposed(_windows)

# Triangles and diagonals


def _triangle(upper: int) -> Translation:
    def run(b: OnnxBuilder, x: OnnxArray, k: int) -> OnnxArray:
        rows, columns = (b.count(b.size(x, axis)) for axis in (-2, -1))
        distance = columns - b.expand_dims(rows, [1])
        return b.select(distance >= k if upper else distance <= k, x, 0)

    return run


TABLE |= {"tril": _triangle(0), "triu": _triangle(1)}


@translates("diagonal")
def diagonal(b: OnnxBuilder, x: OnnxArray, offset: int, axis1: int, axis2: int) -> OnnxArray:
    """Return the elements on a diagonal of two axes, along a new last axis."""
    first, second = axis1 % x.ndim, axis2 % x.ndim
    x = b.permute(x, [*(k for k in range(x.ndim) if k not in (first, second)), first, second])
    *lead, rows, columns = b.sizes(x)
    down, right = b.number(rows) - max(-offset, 0), b.number(columns) - max(offset, 0)
    count = b.select(down < right, down, right)
    count = b.select(count < 0, 0, count)
    start = b.number(columns) * max(-offset, 0) + max(offset, 0)
    places = start + b.count(count) * (b.number(columns) + 1)
    return b.take(b.reshape(x, [*lead, rows * columns]), places, -1)


TABLE["diagonal_place"] = transposed(diagonal)


@translates("diag")
def _diag(b: OnnxBuilder, x: OnnxArray, k: int) -> OnnxArray:
    if x.ndim == 2:
        return diagonal(b, x, k, 0, 1)
    size = b.number(b.size(x, 0)) + abs(k)
    matrix = b.filled(0, x.dtype, [size, size])
    return transposed(diagonal)(b, x, matrix, offset=k, axis1=0, axis2=1)
