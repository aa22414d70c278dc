"""Rules on arrays that simple ops make of smaller ones, such as unit vectors and their multiples.

A part of such an array, or its place among zeros, is made of parts of the smaller ones, or of these
among zeros.  The large array need then not be in memory: Hessians of sums over neighbours, whose
elements are ``c[j] * (i == j + 1)``, are computed in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import AddN, Cast, Identity, cast
from symad.ops.arithmetic import Add, Multiply, Negative, Subtract
from symad.ops.comparison import Equal, Where, equal
from symad.ops.index import Index, ScatterAdd, index_array, scatter_add
from symad.ops.permute import PermuteDims, permute_dims
from symad.ops.rearrange import Pad, pad
from symad.ops.shape import reshape
from symad.ops.subscript import fill_key, full_key
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, is_scalar, number_of, static_shape

_SIMPLE = (Add, AddN, Cast, Equal, Identity, Multiply, Negative, Subtract, Where)
_LEAST = 2
"""How many times as large as each of its operands such an array is."""
_MOST = 32
"""How many ops are followed."""
_FULL = (None, None, None)


def is_outer(node: Node) -> bool:
    """Return whether a few simple ops make an array of arrays that are much smaller than it."""
    return bool(_steps_of(node))


def _steps_of(node: Node) -> set[Node]:
    """Return the steps in which such an array is made; none for other arrays."""
    pending, seen = [node], {node}
    while pending:
        made = pending.pop()
        shape = static_shape(made)
        if not isinstance(made.op, _SIMPLE) or shape is None or 0 in shape or len(seen) > _MOST:
            return set()
        for x in made.inputs:
            small = static_shape(x)
            if small is None:
                return set()
            if x not in seen and _LEAST * math.prod(small) > math.prod(shape):
                seen.add(x)
                pending.append(x)
    return seen


def _sizes(x: Node, ndim: int) -> list[int]:
    """Return the shape of an operand, with 1 for leading axes that it lacks."""
    shape = static_shape(x) or ()
    return [1] * (ndim - len(shape)) + list(shape)


# Parts


def _part(node: Node) -> Node | None:
    """f(x, y)[key] = f(x[key], y[key])"""
    made, op = node.inputs[0], node.op
    assert isinstance(op, Index) and made.op is not None
    shape = static_shape(made)
    if shape is None or len(node.inputs) > 1 or None in op.key or not is_outer(made):
        return None
    entries = [entry for entry in full_key(op.key, shape) if entry is not Ellipsis]
    return apply(made.op, *[_part_of(x, shape, entries) for x in made.inputs])


def _part_of(x: Node, shape: Sequence[int], entries: Sequence[Any]) -> Node:
    """Return the part of an operand that broadcasts to that of an array of ``shape``."""
    own = static_shape(x) or ()
    lead = len(shape) - len(own)
    key = [
        entry if size == whole else 0 if isinstance(entry, int) else _FULL
        for size, whole, entry in zip(own, shape[lead:], entries[lead:], strict=True)
    ]
    return x if all(entry == _FULL for entry in key) else index_array(x, fill_key(tuple(key), ()))


# Other orders of the axes


def _permuted(node: Node) -> Node | None:
    """permute_dims(f(x, y), p) = f(permute_dims(x, p), permute_dims(y, p))

    Only for positions that are compared, which need not be in memory.  Any other product may be
    there for another use, and then its transpose is a view.
    """
    made, op = node.inputs[0], node.op
    assert isinstance(op, PermuteDims) and made.op is not None
    if not any(isinstance(step.op, Equal) for step in _steps_of(made)):
        return None
    order = op.order(len(op.axes))
    return apply(made.op, *[_permuted_operand(x, order) for x in made.inputs])


def _permuted_operand(x: Node, order: Sequence[int]) -> Node:
    sizes = _sizes(x, len(order))
    wanted = tuple(sizes[axis] for axis in order)
    moved = [axis for axis in order if sizes[axis] != 1]
    if is_scalar(x):
        return x
    if moved == sorted(moved):
        return reshape(x, wanted)
    return permute_dims(reshape(x, tuple(sizes)), order)


# Places


def _place(node: Node) -> Node | None:
    """scatter_add(v, x, key) = pad(v, w), for one part of an array."""
    (v, _, *indices), op = node.inputs, node.op
    shape = static_shape(node)
    assert isinstance(op, ScatterAdd)
    if shape is None or indices or None in op.key or not is_outer(v):
        return None
    widths, kept = [], []
    entries = [entry for entry in full_key(op.key, shape) if entry is not Ellipsis]
    for entry, size in zip(entries, shape, strict=True):
        one = isinstance(entry, int)
        places = [range(size)[entry]] if one else range(size)[slice(*entry)]
        if not places or (len(places) > 1 and places[1] - places[0] != 1):
            return None
        widths.append((places[0], size - 1 - places[-1]))
        kept.append(len(places))
    return pad(v if static_shape(v) == tuple(kept) else reshape(v, tuple(kept)), widths)


def _padded(node: Node) -> Node | None:
    """pad(f(x, y), w) = f(pad(x, w), pad(y, w)), if f(0, 0) = 0."""
    op, made = node.op, node.inputs[0]
    assert isinstance(op, Pad) and made.op is not None
    if op.mode != "constant" or op.value != 0 or not is_outer(made):
        return None
    shape = static_shape(made) or ()
    widths = op.pairs(len(shape))
    pairs = [_padded_operand(x, shape, widths) for x in made.inputs]
    if isinstance(made.op, Equal):
        return _padded_unit(made, pairs, shape, widths)
    for slot, (x, (_, is_whole)) in enumerate(zip(made.inputs, pairs, strict=True)):
        if not is_whole and not _keeps_zeros(made.op, slot, number_of(x)):
            return None
    return apply(made.op, *[x for x, _ in pairs])


def _keeps_zeros(op: Op, slot: int, number: Any) -> bool:
    """Return whether the result is 0 where the other operands are, for this number as operand."""
    if isinstance(op, Where) and slot == 0:
        return True
    return number == 0 or (isinstance(op, Multiply) and number is not None and np.isfinite(number))


def _padded_operand(
    x: Node, shape: Sequence[int], widths: Sequence[tuple[int, int]]
) -> tuple[Node, bool]:
    """Return an operand padded along the axes that it has, and whether these are all."""
    own = static_shape(x) or ()
    lead = len(shape) - len(own)
    triples = zip(own, shape[lead:], widths[lead:], strict=True)
    its = [width if size == whole else (0, 0) for size, whole, width in triples]
    padded = pad(x, its) if any(map(any, its)) else x
    return padded, [(0, 0)] * lead + its == list(widths)


def _padded_unit(
    made: Node,
    pairs: Sequence[tuple[Node, bool]],
    shape: Sequence[int],
    widths: Sequence[tuple[int, int]],
) -> Node | None:
    """Return places compared with numbers, which no place equals beyond those of ``made``."""
    for x, y, (_, is_whole) in zip(made.inputs, made.inputs[::-1], pairs, strict=True):
        if not is_whole or not isinstance(x, Constant) or not isinstance(y, Constant):
            continue
        apart = all(n == 1 for n, w in zip(_sizes(y, len(shape)), widths, strict=True) if any(w))
        least = np.iinfo(x.dtype).min if x.dtype.kind == "i" else None
        if apart and x.dtype == y.dtype and least is not None and y.value.min() > least:
            own = widths[len(shape) - x.value.ndim :]
            return equal(Constant(np.pad(x.value, own, constant_values=y.value.min() - 1)), y)
    return None


def _ten(x: Node) -> Node:
    """Return ten columns of multiples of x."""
    return x[0][:, None] * Constant(np.arange(10.0))


def _units(rows: int = 9) -> Node:
    places = Constant(np.arange(9))
    return cast(equal(places[:rows, None], places), "float64")


OUTER: tuple[AnyRule, ...] = (
    Procedure(
        "part of an outer product", _part, "f(x, y)[key] = f(x[key], y[key])", (Index,),
        (lambda x: _ten(x)[1:, 2:4], lambda x: (-_ten(x))[..., -1], lambda x: _ten(x)[0]),
        when=lambda kind, heads: issubclass(heads[0], _SIMPLE),
    ),
    Procedure(
        "axes of an outer product", _permuted,
        "permute_dims(f(x, y), p) = f(permute_dims(x, p), permute_dims(y, p))", (PermuteDims,),
        (lambda x: permute_dims(_units() * x[0, 0], (1, 0)),
         lambda x: permute_dims(x[0][:, None] * _units(3), (1, 0))),
        when=lambda kind, heads: issubclass(heads[0], _SIMPLE),
    ),
    Procedure(
        "place of an outer product", _place, "scatter_add(f(x, y), z, key) = pad(f(x, y), w)",
        (ScatterAdd,),
        (lambda x: scatter_add(_ten(x), Constant(np.zeros((3, 12))), (slice(None), slice(2, None))),
         lambda x: scatter_add(_ten(x), Constant(np.zeros((3, 2, 10))), (slice(None), -1))),
        grade=Grade.ROUNDING,  # -0.0 is added to 0.0
        when=lambda kind, heads: issubclass(heads[0], _SIMPLE),
    ),
    Procedure(
        "padded outer product", _padded, "pad(f(x, y), w) = f(pad(x, w), pad(y, w))", (Pad,),
        (lambda x: pad(_units() * Constant(np.arange(1.0, 10.0)), ((0, 0), (1, 2))),
         lambda x: pad(-_units(), ((0, 0), (0, 2)))),
        grade=Grade.ROUNDING,  # a -0.0 is 0.0 then
        when=lambda kind, heads: issubclass(heads[0], _SIMPLE),
    ),
)  # fmt: skip
