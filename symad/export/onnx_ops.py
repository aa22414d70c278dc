"""Reductions, shapes, products and sorting in ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.onnx_elements import OnnxBuilder, element_of
from symad.export.onnx_table import TABLE, translates
from symad.export.onnx_writer import BOOL, FLOAT, INT, OnnxArray
from symad.ops.rounding import Round
from symad.types import normalize_axes

Axis = Any

# Values as they are


TABLE |= dict.fromkeys(
    ("identity", "after", "square_axes", "sized_axis", "stop_gradient", "unit_length"),
    lambda b, x, *_, **__: x,
)
TABLE |= {
    "ones_like": lambda b, x: b.expand_like(b.constant(1, x.dtype), x),
    "zeros_like": lambda b, x: b.expand_like(b.constant(0, x.dtype), x),
    "item": lambda b, whole, key: whole[key],
    "axis_size": lambda b, x, axis: b.number(b.size(x, axis)),
    "shape": lambda b, x: b.shape(x),
    "size": lambda b, x: b.number(b.product(b.sizes(x))),
    "equal_part": lambda b, n, count: b.truncated_divide(n, n.beside(count)),
}


@translates("make_structure")
def _make_structure(
    b: OnnxBuilder, *items: Any, kind: str, keys: Sequence[Any], present: Sequence[bool]
) -> Any:
    rest = iter(items)
    values = [next(rest) if there else None for there in present]
    return dict(zip(keys, values, strict=True)) if kind == "dict" else tuple(values)


@translates("add_n", promotes=True)
def _add_n(b: OnnxBuilder, *terms: Any) -> Any:
    there = [term for term in terms if term is not None]
    if there and isinstance(there[0], dict):
        return {key: _add_n(b, *(term[key] for term in there)) for key in there[0]}
    if there and isinstance(there[0], tuple):
        return tuple(_add_n(b, *items) for items in zip(*there, strict=True))
    return sum(there[1:], there[0]) if there else None


# Reductions


def _axes(x: OnnxArray, axis: Axis) -> tuple[int, ...]:
    return normalize_axes(axis, x.ndim)


@translates("sum", promotes=True)
def _sum(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    """ONNX Runtime sums integers as floats, so they are multiplied by ones."""
    axes = _axes(x, axis)
    if x.dtype.kind == "f" or not axes:
        return b.reduce("Sum", x, axes, keepdims)
    rows = _in_rows(b, x, axes)
    total = matmul(b, rows, b.filled(1, x.dtype, [b.size(rows, -1)]))
    return b.expand_dims(total, axes) if keepdims else total


@translates("prod", promotes=True)
def _prod(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    """ONNX Runtime multiplies integers as floats, so they are multiplied one by one."""
    axes = _axes(x, axis)
    if x.dtype.kind == "f" or not axes:
        return b.reduce("Prod", x, axes, keepdims)
    rows = _in_rows(b, x, axes)

    def step(place: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        return None, [state[0] * b.take(rows, place, -1)], []

    first = b.filled(1, x.dtype, b.sizes(rows)[:-1])
    total = b.loop(b.number(b.size(rows, -1)), [first], step)[0]
    return b.expand_dims(total, axes) if keepdims else total


def _in_rows(b: OnnxBuilder, x: OnnxArray, axes: Sequence[int]) -> OnnxArray:
    """Return ``x`` with some of its axes as one, the last."""
    rest = [k for k in range(x.ndim) if k not in axes]
    sizes = b.sizes(x)
    inside = b.product([sizes[k] for k in axes])
    return b.reshape(b.permute(x, [*rest, *axes]), [*(sizes[k] for k in rest), inside])


def _any(b: OnnxBuilder, flags: OnnxArray, axes: Sequence[int], keepdims: bool) -> OnnxArray:
    return b.reduce("Sum", b.convert(flags, INT), axes, keepdims) > 0


@translates("any")
def _any_true(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    return _any(b, b.convert(x, BOOL), _axes(x, axis), keepdims)


@translates("all")
def _all_true(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    return ~_any(b, ~b.convert(x, BOOL), _axes(x, axis), keepdims)


def _in_order(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """Return numbers in the same order whose dtype has kernels of comparisons."""
    if x.dtype == np.uint64:
        return b.convert(b.bitwise_xor(x, b.constant(1 << 63, x.dtype)), INT)
    return b.convert(x, "int32") if x.dtype == BOOL else x


def _from_order(b: OnnxBuilder, x: OnnxArray, dtype: Any) -> OnnxArray:
    """Return the numbers of which :func:`_in_order` made these."""
    if dtype == np.uint64:
        return b.bitwise_xor(b.convert(x, dtype), b.constant(1 << 63, dtype))
    return b.convert(x, dtype)


def _extremum(
    b: OnnxBuilder, kind: str, x: OnnxArray, axes: Sequence[int], keepdims: bool
) -> OnnxArray:
    """NaN is added, since ONNX Runtime's reductions miss it."""
    made = _from_order(b, b.reduce(kind, _in_order(b, x), axes, keepdims), x.dtype)
    if x.dtype.kind != "f":
        return made
    return b.select(_any(b, ~x.equals(x), axes, keepdims), np.nan, made)


@translates("max")
def _max(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    return _extremum(b, "Max", x, _axes(x, axis), keepdims)


@translates("min")
def _min(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    return _extremum(b, "Min", x, _axes(x, axis), keepdims)


def _position(kind: str) -> Callable[..., OnnxArray]:
    """Return the translation of an op that gives the first of the extreme elements, or of NaN."""

    def run(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
        flat = x if axis is not None else b.flat(x)
        places = axis % x.ndim if axis is not None else 0
        found = _place(b, kind, _in_order(b, flat), places)
        if x.dtype.kind == "f":
            is_nan = ~flat.equals(flat)
            first = _place(b, "ArgMax", b.convert(is_nan, "int32"), places)
            found = b.select(_any(b, is_nan, [places], False), first, found)
        if not keepdims:
            return found
        return b.expand_dims(found, [places] if axis is not None else list(range(x.ndim)))

    return run


def _place(b: OnnxBuilder, kind: str, x: OnnxArray, axis: int) -> OnnxArray:
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return b.node(kind, [b.widened(x)], INT, shape, axis=axis, keepdims=0)


TABLE |= {"argmax": _position("ArgMax"), "argmin": _position("ArgMin")}


def _elements(b: OnnxBuilder, x: OnnxArray, axis: Axis) -> int | OnnxArray:
    return b.product([b.size(x, one) for one in _axes(x, axis)])


@translates("round")
def _round(b: OnnxBuilder, x: OnnxArray, decimals: int) -> OnnxArray:
    """To tens of integers, NumPy computes in floats as well."""
    is_whole = x.dtype.kind in "iu" and decimals < 0
    made = element_of(Round(decimals), b, b.convert(x, FLOAT) if is_whole else x)
    return b.convert(made, x.dtype)


@translates("element_count")
def _element_count(b: OnnxBuilder, x: OnnxArray, axis: Axis, correction: float) -> OnnxArray:
    dtype = np.result_type(x.dtype, np.float32)
    count = b.convert(b.number(_elements(b, x, axis)), dtype) - correction
    return b.select(count < 0, 0, count)


@translates("mean", promotes=True)
def _mean(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    count = _elements(b, x, axis)
    if isinstance(count, int) and count:
        return b.reduce("Mean", x, _axes(x, axis), keepdims)
    total = b.reduce("Sum", x, _axes(x, axis), keepdims)
    return total / b.convert(b.number(count), x.dtype)


@translates("var", promotes=True)
def _var(
    b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool, correction: float
) -> OnnxArray:
    rest = x - _mean(b, x, axis, True)
    total = b.reduce("Sum", rest * rest, _axes(x, axis), keepdims)
    return total / b.convert(_element_count(b, x, axis, correction), x.dtype)


@translates("std", promotes=True)
def _std(b: OnnxBuilder, x: OnnxArray, **attributes: Any) -> OnnxArray:
    return b.call("sqrt", _var(b, x, **attributes))


@translates("norm", promotes=True)
def _norm(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    """The root of the sum of squares; scaled, so that no square is too large or too small."""
    axes = _axes(x, axis)
    size = b.reduce("Max", b.call("fabs", x), axes, True)
    scale = b.select((size > 0) & (size < np.inf), size, 1)
    small = x / scale
    total = b.call("sqrt", b.reduce("Sum", small * small, axes, True)) * scale
    return total if keepdims else b.squeeze(total, axes)


# Normalisation


@translates("logsumexp", promotes=True)
def _logsumexp(b: OnnxBuilder, x: OnnxArray, axis: Axis, keepdims: bool) -> OnnxArray:
    axes = _axes(x, axis)
    top = b.reduce("Max", x, axes, True)
    shift = b.select((top - top).equals(0), top, 0)
    total = b.reduce("Sum", b.call("exp", x - shift), axes, True)
    result = b.call("log", total) + shift
    return result if keepdims else b.squeeze(result, axes)


def _shares(b: OnnxBuilder, x: OnnxArray, top: OnnxArray, axis: Axis) -> OnnxArray:
    exponentials = b.call("exp", x - top)
    total = b.reduce("Sum", exponentials, _axes(x, axis), True)
    return exponentials / b.select(total.equals(0), 1, total)


@translates("softmax", promotes=True)
def _softmax(b: OnnxBuilder, x: OnnxArray, axis: Axis) -> OnnxArray:
    if isinstance(axis, int):
        return b.compute("Softmax", x, axis=axis)
    return _shares(b, x, b.reduce("Max", x, _axes(x, axis), True), axis)


@translates("logsumexp_slope", promotes=True)
def _logsumexp_slope(b: OnnxBuilder, x: OnnxArray, axis: Axis) -> OnnxArray:
    largest = float(np.finfo(x.dtype).max)  # finite even with an infinity in x
    top = b.reduce("Max", x, _axes(x, axis), True)
    top = b.select(top < -largest, -largest, b.select(top > largest, largest, top))
    return _shares(b, x, top, axis)


@translates("log_softmax", promotes=True)
def _log_softmax(b: OnnxBuilder, x: OnnxArray, axis: Axis) -> OnnxArray:
    if isinstance(axis, int):
        return b.compute("LogSoftmax", x, axis=axis)
    axes = _axes(x, axis)
    rest = x - b.reduce("Max", x, axes, True)
    return rest - b.call("log", b.reduce("Sum", b.call("exp", rest), axes, True))


@translates("at_largest")
def _at_largest(b: OnnxBuilder, v: OnnxArray, y: OnnxArray, axis: Axis) -> OnnxArray:
    axes = _axes(y, axis)
    top = _extremum(b, "Max", y, axes, True)
    return _extremum(b, "Max", b.select(y.equals(top), v, -np.inf), axes, True)


# Shapes


def _filled(sizes: Sequence[int | None], inputs: Sequence[OnnxArray]) -> list[int | OnnxArray]:
    rest = iter(inputs)
    return [next(rest) if size is None else size for size in sizes]


@translates("reshape")
def _reshape(b: OnnxBuilder, x: OnnxArray, *sizes: OnnxArray, shape: Any) -> OnnxArray:
    return b.reshape(x, _filled(shape, sizes))


@translates("broadcast_to")
def _broadcast_to(b: OnnxBuilder, x: OnnxArray, *sizes: OnnxArray, shape: Any) -> OnnxArray:
    return b.expand(x, _filled(shape, sizes))


def reshape_like(b: OnnxBuilder, x: OnnxArray, like: OnnxArray) -> OnnxArray:
    """Return ``x`` in the shape of another array."""
    if x.shape == like.shape and None not in x.shape:
        return x
    return b.node("Reshape", [x, b.shape(like)], x.dtype, like.shape, allowzero=1)


TABLE |= {
    "broadcast_like": lambda b, x, like: b.expand_like(x, like),
    "reshape_like": reshape_like,
    "reshape_outer": lambda b, x, p, q: b.reshape(x, [*b.sizes(p), *b.sizes(q)]),
    "expand_dims": lambda b, x, axis: b.expand_dims(x, normalize_axes(axis, x.ndim + len(axis))),
    "squeeze": lambda b, x, axis: b.squeeze(x, _axes(x, axis)),
    "to_columns": lambda b, x, like: b.expand_dims(x, [x.ndim]) if like.ndim == 1 else x,
    "from_columns": lambda b, x, like: b.squeeze(x, [x.ndim - 1]) if like.ndim == 1 else x,
}


@translates("sum_like")
def sum_like(b: OnnxBuilder, x: OnnxArray, like: OnnxArray) -> OnnxArray:
    """Return ``x`` summed over the axes along which ``like`` would be broadcast to it."""
    lead = x.ndim - like.ndim
    certain = list(range(lead))
    certain += [
        lead + k for k, size in enumerate(like.shape) if size == 1 != x.shape[lead + k]
    ]
    total = b.reduce("Sum", x, certain, keepdims=True)
    total = _sum_if_one(b, total, like)
    return total if total.ndim == like.ndim else reshape_like(b, total, like)


def _sum_if_one(b: OnnxBuilder, x: OnnxArray, like: OnnxArray) -> OnnxArray:
    """Return ``x`` summed over the axes for which the size of ``like`` turns out to be 1."""
    lead = x.ndim - like.ndim
    pairs = enumerate(zip(like.shape, x.shape[lead:], strict=True))
    unknown = [k for k, (size, given) in pairs if size is None and given != 1]
    if not unknown:
        return x
    sizes = b.take(b.shape(like), b.constant(unknown, INT), 0)
    places = b.constant([lead + k for k in unknown], INT)
    axes = b.node("Compress", [places, sizes.equals(1)], INT, (None,))
    within = b.widened(x)
    shape = [None if k - lead in unknown else size for k, size in enumerate(x.shape)]
    made = b.node(
        "ReduceSum", [within, axes], within.dtype, shape, keepdims=1, noop_with_empty_axes=1
    )
    return b.convert(made, x.dtype)


# Orders of axes


def _ordered(order: Callable[..., Any]) -> Callable[..., OnnxArray]:
    """Return the translation of an op that only moves axes."""

    def run(b: OnnxBuilder, x: OnnxArray, **attributes: Any) -> OnnxArray:
        numbered = np.broadcast_to(0, range(1, x.ndim + 1))
        return b.permute(x, [size - 1 for size in order(numbered, **attributes).shape])

    return run


TABLE |= {
    "permute_dims": _ordered(np.transpose),
    "transpose": _ordered(np.transpose),
    "matrix_transpose": _ordered(np.matrix_transpose),
    "swapaxes": _ordered(np.swapaxes),
    "moveaxis": _ordered(np.moveaxis),
}


# Joins


@translates("concat", promotes=True)
def _concat(b: OnnxBuilder, *parts: OnnxArray, axis: int) -> OnnxArray:
    return b.concat(parts, axis)


@translates("stack", promotes=True)
def _stack(b: OnnxBuilder, *parts: OnnxArray, axis: int) -> OnnxArray:
    place = axis % (parts[0].ndim + 1)
    return b.concat([b.expand_dims(x, [place]) for x in parts], place)


def _bounds(
    b: OnnxBuilder, xs: Sequence[OnnxArray], axis: int, part: int
) -> tuple[int | OnnxArray, int | OnnxArray]:
    start: int | OnnxArray = 0
    for x in xs[:part]:
        size = b.size(x, axis)
        start = size if isinstance(start, int) and start == 0 else start + size
    size = b.size(xs[part], axis)
    return start, (size if isinstance(start, int) and start == 0 else start + size)


@translates("concat_part")
def _concat_part(
    b: OnnxBuilder, v: OnnxArray, *xs: OnnxArray, axis: int, part: int
) -> OnnxArray:
    return b.slices(v, axis, *_bounds(b, xs, axis, part))


@translates("concat_place")
def _concat_place(
    b: OnnxBuilder, v: OnnxArray, *xs: OnnxArray, axis: int, part: int
) -> OnnxArray:
    parts = []
    for k, x in enumerate(xs):
        sizes = [*b.sizes(v)]
        sizes[axis % v.ndim] = b.size(x, axis)
        parts.append(v if k == part else b.filled(0, v.dtype, sizes))
    return b.concat(parts, axis)


# Products


@translates("matmul", promotes=True)
def matmul(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    """Return the matrix product of arrays of one dtype.

    Vectors become matrices: ONNX Runtime 1.32 errs in products of a transpose and a vector.
    """
    within = _multiplied(x.dtype)
    first = b.expand_dims(b.convert(x, within), [0] if x.ndim == 1 else [])
    second = b.expand_dims(b.convert(y, within), [1] if y.ndim == 1 else [])
    rank = max(first.ndim, second.ndim)
    made = b.node("MatMul", [first, second], within, (None,) * rank)
    vectors = [rank - 2] * (x.ndim == 1) + [rank - 1] * (y.ndim == 1)
    return b.convert(b.squeeze(made, vectors), x.dtype)


def _multiplied(dtype: Any) -> Any:
    """Return the dtype in which ONNX Runtime multiplies matrices."""
    return dtype if dtype in ("float32", "float64") else np.dtype("int64")


@translates("einsum", promotes=True)
def _einsum(b: OnnxBuilder, *operands: OnnxArray, subscripts: str) -> OnnxArray:
    """In ONNX, all ellipses have the same number of axes."""
    terms, _, result = subscripts.partition("->")
    pairs = list(zip(operands, terms.split(","), strict=True))
    counts = [x.ndim - len(term) + 3 if "..." in term else 0 for x, term in pairs]
    most, within, given = max(counts), _multiplied(operands[0].dtype), []
    for (x, term), count in zip(pairs, counts, strict=True):
        place = term.find("...")
        new = range(place, place + most - count) if place >= 0 else ()
        given.append(b.convert(b.expand_dims(x, list(new)), within))
    rank = len(result.replace("...", "")) + (most if "..." in result else 0)
    total = b.node("Einsum", given, within, (None,) * rank, equation=subscripts)
    return b.convert(total, operands[0].dtype)


@translates("convolve", promotes=True)
def _convolve(b: OnnxBuilder, x: OnnxArray, y: OnnxArray) -> OnnxArray:
    """All windows of the first array, with zeros around it, times the second in reverse."""
    n, m = b.size(x, 0), b.size(y, 0)
    zeros = b.filled(0, x.dtype, [m - 1])
    padded = b.concat([zeros, x, zeros], 0)
    places = b.expand_dims(b.count(n + m - 1), [1]) + b.count(m)
    return matmul(b, b.take(padded, places, 0), b.slices(y, 0, None, None, -1))


# Creation


@translates("arange")
def _arange(b: OnnxBuilder, *bounds: OnnxArray, dtype: Any) -> OnnxArray:
    wide = np.result_type(*(x.dtype for x in bounds), INT)
    given = [b.convert(x, wide) for x in bounds]
    zero, one = b.constant(0, wide), b.constant(1, wide)
    start, stop, step = (zero, *given, one)[:3] if len(given) == 1 else (*given, one)[:3]
    length, one_step = b.convert(stop - start, FLOAT), b.convert(step, FLOAT)
    count = b.convert(b.call("ceil", length / one_step), INT)
    return b.convert(start + b.convert(b.count(count), wide) * step, dtype)


@translates("unit_vectors")
def _unit_vectors(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    count = b.product(b.sizes(x))
    return b.reshape(eye(b, count, x.dtype), [count, *b.sizes(x)])


def eye(b: OnnxBuilder, count: int | OnnxArray, dtype: Any) -> OnnxArray:
    """Return a unit matrix."""
    places = b.count(count)
    return b.convert(b.expand_dims(places, [1]).equals(places), dtype)


TABLE["identity_matrix"] = lambda b, like: eye(b, b.size(like, -1), like.dtype)


@translates("one_hot")
def _one_hot(b: OnnxBuilder, places: OnnxArray, depth: int, dtype: Any) -> OnnxArray:
    wide = b.convert(places, INT) if places.dtype.itemsize < 8 else places
    each = b.convert(b.count(depth), wide.dtype)
    return b.convert(b.expand_dims(wide, [places.ndim]).equals(each), dtype)


# Sorting


@translates("argsort")
def _argsort(b: OnnxBuilder, x: OnnxArray, **how: Any) -> OnnxArray:
    return _top(b, x, **how)[1]


@translates("sort")
def _sort(b: OnnxBuilder, x: OnnxArray, **how: Any) -> OnnxArray:
    return _from_order(b, _top(b, x, **how)[0], x.dtype)


def _top(b: OnnxBuilder, x: OnnxArray, axis: int, descending: bool) -> list[OnnxArray]:
    """Return values in order, and their places; equal ones keep their order, and NaN is largest."""
    given = b.widened(_in_order(b, x))
    count = b.vector([b.size(x, axis)])
    results = [(given.dtype, x.shape), (INT, x.shape)]
    return b.nodes_of("TopK", [given, count], results, axis=axis, largest=int(descending))


@translates("searchsorted")
def _searchsorted(b: OnnxBuilder, x: OnnxArray, v: OnnxArray, side: str) -> OnnxArray:
    dtype = np.result_type(x.dtype, v.dtype)
    row, each = b.convert(x, dtype), b.expand_dims(b.convert(v, dtype), [v.ndim])
    before = row < each if side == "left" else row <= each
    if dtype.kind == "f":
        ends = ~each.equals(each)
        before |= ends & row.equals(row) if side == "left" else ends
    return b.reduce("Sum", b.convert(before, INT), [v.ndim])


# Loops along an axis


def _accumulated(
    b: OnnxBuilder, rows: Sequence[OnnxArray], axis: int, from_end: bool, first: OnnxArray,
    step: Callable[..., tuple[OnnxArray, OnnxArray]],
) -> OnnxArray:  # fmt: skip
    """Return the outputs of steps along an axis; each takes the state and a row of each array."""
    x = rows[0]
    axis %= x.ndim
    length = b.number(b.size(x, axis))

    def run(place: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        at = length - 1 - place if from_end else place
        new, output = step(state[0], *[b.take(row, at, axis) for row in rows])
        return None, [new], [output]

    stack = b.loop(length, [first], run)[1]
    stack = b.slices(stack, 0, None, None, -1) if from_end else stack
    return reshape_like(b, b.move_axis(stack, 0, axis), x)  # without steps, sizes are not known


def _start(b: OnnxBuilder, x: OnnxArray, axis: int, value: Any) -> OnnxArray:
    sizes = b.sizes(x)
    sizes.pop(axis)
    return b.filled(value, x.dtype, sizes)


@translates("cumsum", promotes=True)
def _cumsum(b: OnnxBuilder, x: OnnxArray, axis: int, from_end: bool) -> OnnxArray:
    within = x.dtype if x.dtype in ("float32", "float64") else INT
    given = [b.convert(x, within), b.constant(axis, INT)]
    return b.convert(b.node("CumSum", given, within, x.shape, reverse=int(from_end)), x.dtype)


@translates("cumprod", promotes=True)
def _cumprod(
    b: OnnxBuilder, x: OnnxArray, axis: int, from_end: bool, exclusive: bool
) -> OnnxArray:
    def step(state: OnnxArray, row: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
        new = state * row
        return new, state if exclusive else new

    return _accumulated(b, [x], axis, from_end, _start(b, x, axis, 1), step)


@translates("linear_recurrence", promotes=True)
def _linear_recurrence(
    b: OnnxBuilder, p: OnnxArray, q: OnnxArray, axis: int, from_end: bool
) -> OnnxArray:
    p, q = b.broadcast_together(p, q)
    first = _start(b, q, axis, 0)
    return _accumulated(
        b, [p, q], axis, from_end, first, lambda state, a, c: (a * state + c, state)
    )


class _Infinite:
    """The limits of floats."""

    min, max = -np.inf, np.inf


def _running(kind: str) -> Callable[..., OnnxArray]:
    def run(b: OnnxBuilder, x: OnnxArray, axis: int, from_end: bool) -> OnnxArray:
        given = _in_order(b, x)
        limits: Any = np.iinfo(given.dtype) if given.dtype.kind != "f" else _Infinite
        first = _start(b, given, axis, limits.min if kind == "Max" else limits.max)
        made = _accumulated(
            b, [given], axis, False, first, lambda state, row: (b.compute(kind, state, row),) * 2
        )
        return _from_order(b, made, x.dtype)

    return run


TABLE |= {"cummax": _running("Max"), "cummin": _running("Min")}


@translates("sparse_matmul", promotes=True)
def _sparse_matmul(
    b: OnnxBuilder, data: OnnxArray, columns: OnnxArray, ends: OnnxArray, x: OnnxArray,
    shape: tuple[int, int], on_left: bool,
) -> OnnxArray:  # fmt: skip
    """Each stored element is multiplied by a row of ``x``, and added to a row of the result."""
    columns, ends = b.convert(columns, INT), b.convert(ends, INT)
    count = b.count(b.size(columns, 0))
    begun = b.expand_dims(count, [1]) >= b.slices(ends, 0, 1, None)
    rows = b.reduce("Sum", b.convert(begun, INT), [1])
    read, written = (columns, rows) if on_left else (rows, columns)
    axis = x.ndim - 2 if on_left and x.ndim > 1 else x.ndim - 1
    terms = b.take(b.move_axis(x, axis, 0), read, 0)
    terms = terms * b.expand_dims(data, list(range(1, x.ndim)))
    sizes = [shape[not on_left], *b.sizes(terms)[1:]]
    places = b.stretch(b.expand_dims(written, list(range(1, x.ndim))), [1, *sizes[1:]])
    within = _multiplied(x.dtype)
    given = [b.filled(0, within, sizes), places, b.convert(terms, within)]
    total = b.node("ScatterElements", given, within, (None,) * x.ndim, axis=0, reduction="add")
    return b.convert(b.move_axis(total, 0, axis), x.dtype)
