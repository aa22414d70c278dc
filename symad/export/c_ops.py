"""What each op on arrays is in C, besides loop nests, products, linear algebra and bodies.

:data:`TABLE` has a function for each op, which appends statements to a :class:`CCode` for arrays of
any strides; results are contiguous.  Views of arrays cost no statements.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape
from symad.errors import ExportError
from symad.export.c_arrays import Strided
from symad.export.c_code import CCode
from symad.export.c_scalars import CScalar, local_type, wide_type
from symad.graph.node import Node
from symad.ops.subscript import HOLE, Key, full_key, joined_place, tiling
from symad.ops.windows import places
from symad.records import dataclass, replace
from symad.types import normalize_axes, normalize_axis

Arrays = Sequence[Strided]
Writer = Callable[[CCode, Node, Arrays, Arrays], None]
"""Appends the statements of a node, for its inputs and results."""

TABLE: dict[str, Writer] = {}
"""From the name of an op to what it is in C."""

_EVERYTHING = slice(None)
_INT64 = np.dtype("int64")


def writes(*names: str) -> Callable[[Writer], Writer]:
    """Put a function in the table."""

    def put(function: Writer) -> Writer:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return put


def missing(node: Node, why: str, remedy: str = "") -> ExportError:
    """Return the error for a node that C has nothing for."""
    return ExportError(
        f"{node.label!r} ({node.op.name if node.op else 'input'}) cannot be written in C: {why}",
        where=node.site.describe(),
        remedy=remedy or "Compute it outside of the function, and pass it as an input.",
    )


def _axis_of(node: Node, array: Strided) -> int:
    return normalize_axis(node.op.axis, len(array.shape))  # type: ignore[union-attr]


def _along(axis: int, item: Any) -> Callable[[Any], Any]:
    """Return the view that applies a slice to one axis."""
    return lambda a: a[(_EVERYTHING,) * axis + (item, ...)]


# Joins and rearrangements


@writes("concat")
def _concat(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (out,), axis = outputs, _axis_of(node, outputs[0])
    ends = list(itertools.accumulate(x.shape[axis] for x in inputs))
    for x, end in zip(inputs, ends, strict=True):
        code.copy(x, out.see(_along(axis, slice(end - x.shape[axis], end))))


@writes("stack")
def _stack(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (out,), axis = outputs, _axis_of(node, outputs[0])
    for k, x in enumerate(inputs):
        code.copy(x, out.see(_along(axis, k)))


@writes("concat_place")
def _concat_place(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (value, *parts), (out,), op = inputs, outputs, node.op
    axis, number = _axis_of(node, out), op.part  # type: ignore[union-attr]
    start = sum(x.shape[axis] for x in parts[:number])
    code.fill(out, 0)
    code.copy(value, out.see(_along(axis, slice(start, start + value.shape[axis]))))


@writes("roll")
def _roll(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x,), (out,), op = inputs, outputs, node.op
    shift, axis = op.shift, op.axis  # type: ignore[union-attr]
    if axis is None:
        x, out, axis = code.contiguous(x).reshaped((x.size,)), out.reshaped((x.size,)), 0
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    by = dict.fromkeys(range(len(x.shape)), 0)
    for number, count in zip(axes, shifts, strict=True):
        by[normalize_axis(number, len(x.shape))] += count
    pairs = [(x, out)]
    for place, count in by.items():
        first = count % x.shape[place] if x.shape[place] else 0
        rest = x.shape[place] - first
        if first:
            code.function.file.guards.append(f"{abs(count)} <= {x.shape[place]}")
            pairs = [
                (a.see(_along(place, one)), b.see(_along(place, other)))
                for a, b in pairs
                for one, other in (
                    (slice(rest), slice(first, None)), (slice(rest, None), slice(first))
                )
            ]  # fmt: skip
    for source, target in pairs:
        code.copy(source, target)


@writes("tile")
def _tile(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x,), (out,) = inputs, outputs
    if out.size:
        sizes = (1,) * (len(out.shape) - len(x.shape)) + x.shape
        pairs = [(n // size, size) for n, size in zip(out.shape, sizes, strict=True)]
        shape = tuple(itertools.chain(*pairs))
        once = tuple(n for size in sizes for n in (1, size))
        code.copy(code.contiguous(x).reshaped(once).broadcast_to(shape), out.reshaped(shape))


@writes("repeat")
def _repeat(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x,), (out,), axis = inputs, outputs, _axis_of(node, inputs[0])
    repeats = node.op.repeats  # type: ignore[union-attr]
    if isinstance(repeats, int):
        shape = (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
        wide = x.see(lambda a: np.expand_dims(a, axis + 1)).broadcast_to(shape)
        code.copy(wide, out.reshaped(shape))
        return
    origins = np.repeat(np.arange(len(repeats)), repeats)
    for k, origin in enumerate(origins):
        code.copy(x.see(_along(axis, int(origin))), out.see(_along(axis, k)))


@writes("pad")
def _pad(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x,), (out,), op = inputs, outputs, node.op
    if op.mode != "constant":  # type: ignore[union-attr]
        raise missing(node, f"pad with mode={op.mode!r} is not there")  # type: ignore[union-attr]
    pairs = op.pairs(len(x.shape))  # type: ignore[union-attr]
    inside = tuple(slice(b, b + n) for (b, _), n in zip(pairs, x.shape, strict=True))
    code.fill(out, np.asarray(op.value).astype(out.dtype))  # type: ignore[union-attr]
    code.copy(x, out.see(lambda a: a[(*inside, ...)]))


@writes("tril", "triu")
def _triangle(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x,), (out,), op = inputs, outputs, node.op
    assert op is not None
    relation = "<=" if op.name == "tril" else ">="
    with code.loops(out.shape) as at:
        inside = f"{at[-1]} - {at[-2]} {relation} {op.k}"  # type: ignore[attr-defined]
        value = code.scalars.named(code.load(x, at))
        code.store(CScalar(f"{inside} ? {value} : 0", x.dtype), out, at)


@writes("diagonal_place", "diag")
def _place_diagonal(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (out,), op = outputs, node.op
    assert op is not None
    facts = op.attributes()
    offset: int = facts.get("offset", facts.get("k", 0))
    axes = facts.get("axis1", 0), facts.get("axis2", 1)
    code.fill(out, 0)
    code.copy(inputs[0], out.see(lambda a: np.diagonal(a, offset, *axes)))


@writes("identity_matrix")
def _identity_matrix(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    code.fill(outputs[0], 0)
    code.fill(outputs[0].see(lambda a: np.diagonal(a)), 1)


@writes("unit_vectors")
def _unit_vectors(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    count = outputs[0].shape[0]
    code.fill(outputs[0], 0)
    code.fill(outputs[0].reshaped((count, count)).see(lambda a: np.diagonal(a)), 1)


@writes("window_sum")
def _window_sum(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (out,), op, v = outputs, node.op, inputs[0]
    code.fill(out, 0)
    sizes, steps, gaps = op.sizes, op.steps, op.gaps  # type: ignore[union-attr]
    for place, inside in places(sizes, steps, gaps, v.shape[len(v.shape) - len(sizes) :]):
        code.accumulate(v.see(itemgetter(place)), out.see(itemgetter(inside)))


# Indexing


@dataclass(frozen=True, slots=True)
class _Selection:
    """The selection of a subscript: an array without the axes of index arrays, and these.

    Attributes
    ----------
    view : Strided
        At index 0 of each axis with an index array.
    indices : list of triples
        An index array; the size and the stride of its axis.
    start : int
        The position of the axes of index arrays among those of the result.
    """

    view: Strided
    indices: list[tuple[Strided, int, int]]
    start: int

    @property
    def joined(self) -> Shape:
        """The shape to which the index arrays broadcast."""
        return np.broadcast_shapes(*(index.shape for index, *_ in self.indices))

    @property
    def shape(self) -> Shape:
        """The shape of the selection."""
        rest = self.view.shape
        return (*rest[: self.start], *self.joined, *rest[self.start :])

    def place(self, code: CCode, at: Sequence[str]) -> str:
        """Return the place of an element of the selection, once its indices are checked."""
        count = len(self.joined)
        inner, chosen = [*at[: self.start], *at[self.start + count :]], at[self.start :][:count]
        terms = []
        for index, size, stride in self.indices:
            value = code.load(index.broadcast_to(self.joined), chosen)
            name = code.scalars.named(code.scalars.cast(value, _INT64))
            code.fails(f"{name} < -{size} || {name} >= {size}", "an index is out of range")
            terms.append(f"({name} < 0 ? {name} + {size} : {name}) * {stride}")
        return self.view.at(inner, *terms)


def _selection(node: Node, key: Key, array: Strided, given: Sequence[Strided]) -> _Selection:
    entries = [entry for entry in full_key(key, array.shape) if entry is not Ellipsis]
    rest, axes = iter(given), iter(zip(array.shape, array.strides, strict=True))
    base: list[Any] = []
    indices, large = [], list(array.shape)
    for entry in entries:
        if entry is None:
            base.append(None)
            continue
        size, stride = next(axes)
        if isinstance(entry, str):
            indices.append((next(rest), size, stride))
            large[len([e for e in base if e is not None])] = max(size, 1)
            base.append(0)
        elif isinstance(entry, tuple):
            if HOLE in entry:
                raise missing(node, "a bound of a slice is an input")
            base.append(slice(*entry))
        else:
            base.append(entry)
    view = replace(array, shape=tuple(large)).see(lambda a: a[(*base, ...)])
    return _Selection(view, indices, joined_place(tuple(entries)))


@writes("index", "array_index")
def _gather(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x, *given), (out,) = inputs, outputs
    chosen = _selection(node, node.op.key, x, given)  # type: ignore[union-attr]
    with code.loops(out.shape) as at:
        place = chosen.place(code, at)
        code.store(code.scalars.loaded(place, x.dtype), out, at)


@writes("index_last")
def _index_last(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """Each place is stamped with the number of its last selection."""
    (x, *given), (out,), key = inputs, outputs, node.op.key  # type: ignore[union-attr]
    stamps = code.scratch(x.shape, _INT64)
    chosen, stamped = (_selection(node, key, array, given) for array in (x, stamps))
    number = replace(Strided.whole("", _INT64, out.shape), name="stamp")
    for writes_stamps in (True, False):
        with code.loops(out.shape) as at:
            place = stamped.place(code, at)
            steps = number.at(at).removeprefix("stamp[").removesuffix("]")
            if writes_stamps:
                code.add(f"{place} = {steps};")
            else:
                value = code.scalars.loaded(chosen.place(code, at), x.dtype)
                text = f"{place} == {steps} ? {value.text} : 0"
                code.store(CScalar(text, x.dtype), out, at)


def _scatter(
    code: CCode, node: Node, key: Key, value: Strided, out: Strided,
    given: Sequence[Strided], adds: bool,
) -> None:  # fmt: skip
    """Write, or add, a value, which broadcasts, to a selection."""
    chosen = _selection(node, key, out, given)
    value = value.broadcast_to(chosen.shape)
    if not chosen.indices:
        (code.accumulate if adds else code.copy)(value, chosen.view)
        return
    with code.loops(value.shape) as at:
        place = chosen.place(code, at)
        made = code.scalars.cast(code.load(value, at), out.dtype)
        if adds:
            made = code.scalars.add(code.scalars.loaded(place, out.dtype), made)
        code.write(made, place, out.dtype)


@writes("scatter_add")
def _scatter_add(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (value, _, *given), (out,) = inputs, outputs
    code.fill(out, 0)
    _scatter(code, node, node.op.key, value, out, given, True)  # type: ignore[union-attr]


@writes("scatter_sum")
def _scatter_sum(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (out,), op = outputs, node.op
    apart, whole = tiling(op.keys, out.shape)  # type: ignore[union-attr]
    if not whole:
        code.fill(out, 0)
    for key, value, given in op.parts(inputs):  # type: ignore[union-attr]
        _scatter(code, node, key, value, out, given, not apart)


@writes("set_at", "add_at")
def _set_at(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x, value, *given), (out,), op = inputs, outputs, node.op
    assert op is not None
    code.copy(x, out)
    _scatter(code, node, op.key, value, out, given, op.name == "add_at")  # type: ignore[attr-defined]


def _each_along(
    code: CCode, array: Strided, index: Strided, axis: int, shape: Shape
) -> Iterator[tuple[list[str], str]]:
    """Yield indices, and the place of the element of ``array`` that an index array names."""
    size, stride = array.shape[axis], array.strides[axis]
    steps = tuple(
        0 if k == axis or n == 1 else step
        for k, (n, step) in enumerate(zip(array.shape, array.strides, strict=True))
    )
    still = replace(array, shape=shape, strides=steps)
    with code.loops(shape) as at:
        value = code.scalars.cast(code.load(index.broadcast_to(shape), at), _INT64)
        name = code.scalars.named(value)
        code.fails(f"{name} < -{size} || {name} >= {size}", "an index is out of range")
        yield at, still.at(at, f"({name} < 0 ? {name} + {size} : {name}) * {stride}")


@writes("take_along_axis")
def _take_along(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (x, index), (out,), axis = inputs, outputs, _axis_of(node, outputs[0])
    for at, place in _each_along(code, x, index, axis, out.shape):
        code.store(code.scalars.loaded(place, x.dtype), out, at)


@writes("add_along_axis")
def _add_along(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    (value, _, index), (out,), axis = inputs, outputs, _axis_of(node, outputs[0])
    code.fill(out, 0)
    shape = np.broadcast_shapes((*out.shape[:axis], 1, *out.shape[axis + 1 :]), index.shape)
    wide = value.broadcast_to(shape)
    for at, place in _each_along(code, out, index, axis, shape):
        made = code.scalars.cast(code.load(wide, at), out.dtype)
        made = code.scalars.add(code.scalars.loaded(place, out.dtype), made)
        code.write(made, place, out.dtype)


@writes("searchsorted")
def _searchsorted(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """A NaN is larger than all numbers."""
    (x, values), (out,), side = inputs, outputs, node.op.side  # type: ignore[union-attr]
    wide = np.result_type(x.dtype, values.dtype)
    with code.loops(out.shape) as at:
        v = code.scalars.named(code.scalars.cast(code.load(values, at), wide))
        low, high = code.function.file.new("s"), code.function.file.new("s")
        code.add(f"int64_t {low} = 0, {high} = {x.shape[0]};")
        with code.block(f"while ({low} < {high})"):
            code.add(f"const int64_t middle = {low} + ({high} - {low}) / 2;")
            e = code.scalars.named(code.scalars.cast(code.load(x, ["middle"]), wide))
            a, b = (e, v) if side == "left" else (v, e)
            less = f"({a} < {b}" + (f" || ({b} != {b} && {a} == {a}))" if wide.kind == "f" else ")")
            condition = less if side == "left" else f"!{less}"
            code.add(f"if ({condition}) {low} = middle + 1; else {high} = middle;")
        code.store(CScalar(low, _INT64, True), out, at)


# Along one axis


def _turned(op: Any, axis: int, *arrays: Strided) -> list[Strided]:
    """Return arrays with an axis last, from its end if the op goes from there."""
    step = -1 if op.from_end else 1
    return [a.see(lambda x: np.moveaxis(x, axis, -1)[..., ::step]) for a in arrays]


@writes("cumsum", "cumprod")
def _cumulative(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    op: Any = node.op
    x, out = _turned(op, _axis_of(node, outputs[0]), inputs[0], outputs[0])
    is_sum, is_late = op.name == "cumsum", getattr(op, "exclusive", False)
    with code.loops(out.shape[:-1]) as at:
        total = _variable(code, out.dtype, 0 if is_sum else 1)
        with code.loop(out.shape[-1]) as k:
            if is_late:
                code.store(total, out, [*at, k])
            value = code.scalars.cast(code.load(x, [*at, k]), out.dtype)
            made = (code.scalars.add if is_sum else code.scalars.multiply)(total, value)
            code.add(f"{total.text} = {made.text};")
            if not is_late:
                code.store(total, out, [*at, k])


def _variable(code: CCode, dtype: np.dtype[Any], number: Any) -> CScalar:
    """Declare a variable that changes."""
    name, value = code.function.file.new("s"), code.scalars.constant(number, dtype)
    code.add(f"{local_type(dtype)} {name} = {value.text};")
    return CScalar(name, dtype, True)


@writes("linear_recurrence")
def _linear_recurrence(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """s ← a s + b; the result is s before each step."""
    wide = [x.broadcast_to(outputs[0].shape) for x in inputs]
    a, b, out = _turned(node.op, _axis_of(node, outputs[0]), *wide, outputs[0])
    with code.loops(out.shape[:-1]) as at:
        state = _variable(code, out.dtype, 0)
        with code.loop(out.shape[-1]) as k:
            code.store(state, out, [*at, k])
            factor, term = (code.scalars.cast(code.load(x, [*at, k]), out.dtype) for x in (a, b))
            made = code.scalars.add(code.scalars.multiply(factor, state), term)
            code.add(f"{state.text} = {made.text};")


@writes("cummax", "cummin")
def _running_extremum(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    op: Any = node.op
    x, out = _turned(op, _axis_of(node, outputs[0]), inputs[0], outputs[0])
    with code.loops(out.shape[:-1]) as at:
        best = _variable(code, x.dtype, 0)
        with code.loop(x.shape[-1]) as k:
            value = code.scalars.named(code.load(x, [*at, k]))
            better = _better(value, best.text, op.name == "cummax", x.dtype)
            code.add(f"if ({k} == 0 || ({better})) {best.text} = {value};")
            code.store(best, out, [*at, k])


def _better(value: str, best: str, is_max: bool, dtype: np.dtype[Any]) -> str:
    """Return the condition under which a value replaces the best so far: a NaN does, and stays."""
    better = f"{value} {'>' if is_max else '<'} {best}"
    return f"{best} == {best} && ({better} || {value} != {value})" if dtype.kind == "f" else better


@writes("argmax", "argmin")
def _position(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    op, (x,), (out,) = node.op, inputs, outputs
    assert op is not None
    if op.axis is None:  # type: ignore[attr-defined]
        x, axis = code.contiguous(x).reshaped((x.size,)), 0
    else:
        axis = _axis_of(node, x)
    x = x.see(lambda a: np.moveaxis(a, axis, -1))
    out = out.reshaped(x.shape[:-1])
    with code.loops(out.shape) as at:
        best, place = _variable(code, x.dtype, 0), _variable(code, _INT64, 0)
        with code.loop(x.shape[-1]) as k:
            value = code.scalars.named(code.load(x, [*at, k]))
            better = _better(value, best.text, op.name == "argmax", x.dtype)
            with code.block(f"if ({k} == 0 || ({better}))"):
                code.add(f"{best.text} = {value};", f"{place.text} = {k};")
        code.store(place, out, at)


@writes("sum", "max", "min", "prod")
def _reduction(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """Products; and other reductions of nothing, which are no nests."""
    op, (x,), (out,) = node.op, inputs, outputs
    assert op is not None
    if op.name != "prod":
        if op.name != "sum" and 0 in x.shape:
            raise missing(node, "it is the extremum of nothing")
        code.fill(out, 0)
        return
    axes = normalize_axes(op.axis, len(x.shape))  # type: ignore[attr-defined]
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    x = x.see(lambda a: a.transpose([*rest, *axes]))
    out = out.reshaped(x.shape[: len(rest)])
    with code.loops(out.shape) as at:
        total = _variable(code, wide_type(out.dtype), 1)
        with code.loops(x.shape[len(rest) :]) as inner:
            value = code.scalars.cast(code.load(x, [*at, *inner]), total.dtype)
            code.add(f"{total.text} = {code.scalars.multiply(total, value).text};")
        code.store(total, out, at)


@writes("argsort", "sort")
def _sort(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """Merge positions, or values, in runs of 1, 2, 4, …; equal values keep their order."""
    op: Any = node.op
    axis, is_position = _axis_of(node, inputs[0]), op.name == "argsort"
    x, out = (a.see(lambda v: np.moveaxis(v, axis, -1)) for a in (inputs[0], outputs[0]))
    count = x.shape[-1]
    if not out.size:
        return
    values = code.scratch((count,), wide_type(x.dtype))
    rooms = [code.scratch((count,), _INT64) for _ in range(2)]
    sorter = code.function.helpers.sorter(values.dtype, op.descending)
    with code.loops(out.shape[:-1]) as at:
        with code.loop(count) as k:
            code.store(code.load(x, [*at, k]), values, [k])
        order = code.function.file.new("s")
        pointers = ", ".join(room.name for room in (values, *rooms))
        code.add(f"const int64_t *const {order} = {sorter}({count}, {pointers});")
        with code.loop(count) as k:
            place = f"{order}[{k}]"
            moved = code.scalars.loaded(f"{values.name}[{place}]", values.dtype)
            code.store(CScalar(place, _INT64) if is_position else moved, out, [*at, k])


@writes("convolve")
def _convolve(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    x, w = inputs
    with code.wide(outputs[0]) as out:
        code.fill(out, 0)
        with code.loops((*x.shape, *w.shape)) as (i, j):
            factors = [code.load(x, [i]), code.load(w, [j])]
            wide = [code.scalars.cast(factor, out.dtype) for factor in factors]
            place = [f"{i} + {j}"]
            made = code.scalars.add(code.load(out, place), code.scalars.multiply(*wide))
            code.store(made, out, place)


# Products with sparse matrices


@writes("sparse_matmul")
def _sparse_matmul(code: CCode, node: Node, inputs: Arrays, outputs: Arrays) -> None:
    """Each stored element is multiplied by a row of ``x``, and added to a row of the result."""
    with code.wide(outputs[0]) as out:
        _add_sparse(code, node.op, inputs, out)


def _add_sparse(code: CCode, op: Any, inputs: Arrays, out: Strided) -> None:
    (data, columns, ends, x), facts = inputs, op
    axis = -2 if facts.on_left and len(x.shape) > 1 else -1
    code.fill(out, 0)
    taken, target = (a.see(lambda v: np.moveaxis(v, axis, 0)) for a in (x, out))
    with code.loop(facts.matrix_shape[0]) as row:
        head = f"for (int64_t e = {ends.at([row])}; e < {ends.at([row], '1')}; e++)"
        with code.block(head):
            column = code.scalars.named(code.load(columns, ["e"]))
            read, written = (column, row) if facts.on_left else (row, column)
            with code.loops(target.shape[1:]) as at:
                factors = [code.load(data, ["e"]), code.load(taken, [read, *at])]
                wide = [code.scalars.cast(factor, out.dtype) for factor in factors]
                so_far = code.load(target, [written, *at])
                code.store(code.scalars.add(so_far, code.scalars.multiply(*wide)),
                           target, [written, *at])  # fmt: skip

