"""A rule for sums of broadcast products: a matrix product avoids the large product.

The axes of ``sum(a * b)`` are of four kinds: summed axes of both operands (k), kept axes of both
(batch), and axes along which only a (m) or only b (n) has more than one element.  With some of k, m
and n each, this is ``a @ b`` for a as (batch, m, k) and b as (batch, k, n).

Without m or n, the product is not larger than an operand.  It stays a sum, which can be fused with
the ops that compute the operands; a matrix product would need these in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symad.graph.node import Node
from symad.ops.arithmetic import Add, Multiply, Subtract, add, subtract
from symad.ops.permute import permute_dims
from symad.ops.product import matmul
from symad.ops.reduce import Sum
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims, reshape
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, static_shape
from symad.records import dataclass
from symad.types import normalize_axes

_Axes = tuple[int, ...]
_MOST = 8
"""The most terms that are examined, which bounds the cost of a node."""


@dataclass(frozen=True)
class _Kinds:
    """The axes of a product by kind."""

    batch: _Axes
    left: _Axes
    right: _Axes
    summed: _Axes


def _sort(a: Sequence[int], b: Sequence[int], reduced: Sequence[int]) -> _Kinds | None:
    """Return the kinds of the axes, ``None`` if this is not a matrix product."""
    axes = range(len(a))
    summed = tuple(i for i in axes if i in reduced)
    left = tuple(i for i in axes if a[i] > 1 == b[i])
    right = tuple(i for i in axes if b[i] > 1 == a[i])
    batch = tuple(i for i in axes if i not in (*summed, *left, *right))
    is_product = left and right and summed and all(a[i] == b[i] > 1 for i in summed)
    return _Kinds(batch, left, right, summed) if is_product else None


def _matrix_products(node: Node) -> Node | None:
    """Return a sum of products as matrix products: one, or the sum of several."""
    terms = [(False, node.inputs[0])]
    while len(terms) < _MOST and any(isinstance(term.op, (Add, Subtract)) for _, term in terms):
        terms = [part for is_minus, term in terms for part in _parts(is_minus, term)]
    whole = static_shape(node.inputs[0])
    if any(static_shape(term) != whole for _, term in terms):
        return None
    made = [_matrix_product(node, term) for _, term in terms]
    found = [product for product in made if product is not None]
    if len(found) < len(terms):
        return None
    result = -found[0] if terms[0][0] else found[0]
    for (is_minus, _), product in zip(terms[1:], found[1:], strict=True):
        result = subtract(result, product) if is_minus else add(result, product)
    return result


def _parts(is_minus: bool, term: Node) -> list[tuple[bool, Node]]:
    """Return the terms of a sum or a difference, and whether they are subtracted; or the term."""
    if not isinstance(term.op, (Add, Subtract)):
        return [(is_minus, term)]
    first, second = term.inputs
    return [(is_minus, first), (is_minus != isinstance(term.op, Subtract), second)]


def _matrix_product(node: Node, product: Node) -> Node | None:
    """Return what ``node`` would be if it summed ``product``, as a product of matrices."""
    assert isinstance(node.op, Sum)
    wide = static_shape(product)
    if not isinstance(product.op, Multiply) or wide is None or node.dtype.kind != "f":
        return None
    if any(source.dtype != node.dtype for source in product.inputs):
        return None
    a, b = (_padded(source, len(wide)) for source in product.inputs)
    if a is None or b is None:
        return None
    kinds = _sort(a, b, normalize_axes(node.op.axis, len(wide)))
    if kinds is None:
        return None
    x = _as_matrices(product.inputs[0], a, (kinds.batch, kinds.left, kinds.summed))
    y = _as_matrices(product.inputs[1], b, (kinds.batch, kinds.summed, kinds.right))
    order = (*kinds.batch, *kinds.left, *kinds.right)
    result = reshape(matmul(x, y), tuple(wide[axis] for axis in order))
    places = sorted(range(len(order)), key=order.__getitem__)
    return reshape(permute_dims(result, places), static_shape(node))


def _padded(node: Node, rank: int) -> tuple[int, ...] | None:
    """Return the shape of ``node`` with leading axes of size 1."""
    shape = static_shape(node)
    return None if shape is None else (1,) * (rank - len(shape)) + shape


def _as_matrices(node: Node, shape: tuple[int, ...], groups: tuple[_Axes, _Axes, _Axes]) -> Node:
    """Return ``node`` with one axis for each of the last two groups of its axes.

    Axes in no group have size 1.
    """
    batch, rows, columns = groups
    order = (*batch, *rows, *columns)
    rest = tuple(i for i in range(len(shape)) if i not in order)
    whole = permute_dims(reshape(node, shape), (*rest, *order))
    sizes = [math.prod(shape[i] for i in group) for group in (rows, columns)]
    return reshape(whole, (*(shape[i] for i in batch), *sizes))


CONTRACT: tuple[AnyRule, ...] = (
    Procedure(
        "matrix product", _matrix_products, "sum(a[m, k, 1] * b[1, k, n], k) = a @ b", (Sum,),
        (
            lambda x, y: sum_of(expand_dims(x, 2) * y, 1),
            lambda x, y: sum_of(expand_dims(x, 2) * y, 1, keepdims=True),
            lambda u, w: sum_of(expand_dims(u, 1) * w, -1),
            lambda u, w: sum_of(w * expand_dims(u, 1) - (w + w) * expand_dims(u, 1), -1),
        ),
        {"x": (2, 3), "y": (3, 4), "u": (5, 2, 3), "w": (4, 1, 3)},
        grade=Grade.ROUNDING,
    ),
)  # fmt: skip
