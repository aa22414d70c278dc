"""Linear algebra in ONNX, which has none: eliminations are loops over the columns.

ONNX raises no errors for values: a matrix without an inverse or a factor gives NaN or infinities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.onnx_elements import OnnxBuilder
from symad.export.onnx_indexing import diagonal, take_along_axis
from symad.export.onnx_ops import eye, matmul
from symad.export.onnx_table import translates
from symad.export.onnx_writer import INT, OnnxArray


def _column(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    """Return vectors as matrices of one column."""
    return b.expand_dims(x, [x.ndim])


def _row(b: OnnxBuilder, x: OnnxArray) -> OnnxArray:
    return b.expand_dims(x, [x.ndim - 1])


def _factors(b: OnnxBuilder, a: OnnxArray) -> tuple[OnnxArray, OnnxArray, OnnxArray]:
    """Return both factors of A with its rows in order in one matrix, the order, and its sign."""
    rows, columns = b.count(b.size(a, -2)), b.count(b.size(a, -1))
    below = _column(b, rows)
    lead = b.sizes(a)[:-2]
    order = b.expand(rows, [*lead, b.size(a, -2)])
    n, m = b.number(b.size(a, -2)), b.number(b.size(a, -1))

    def step(k: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        matrix, order, sign = state
        size = b.call("fabs", b.take(matrix, k, -1))
        score = b.select(rows >= k, b.select(size.equals(size), size, np.inf), -1)
        pivot = b.node("ArgMax", [score], INT, (*score.shape[:-1], 1), axis=-1, keepdims=1)
        swap = b.select(rows.equals(k), pivot, b.select(rows.equals(pivot), k, rows))
        sign = b.select(b.squeeze(pivot, [pivot.ndim - 1]).equals(k), sign, -sign)
        order = take_along_axis(b, order, swap, -1)
        matrix = take_along_axis(b, matrix, _column(b, swap), -2)
        column, row = b.take(matrix, k, -1), b.take(matrix, k, -2)
        head = _column(b, _column(b, b.take(row, k, -1)))
        ratio = b.select(head.equals(0), 0, _column(b, column) / head)
        ratio = b.select(below > k, ratio, 0)
        rest = matrix - ratio * b.select(columns > k, _row(b, row), 0)
        inside = (below > k) & columns.equals(k)
        return None, [b.select(inside, ratio, rest), order, sign], []

    sign = b.filled(1, a.dtype, lead)
    made = b.loop(b.select(n < m, n, m), [a, order, sign], step)
    return made[0], made[1], made[2]


def _substituted(
    b: OnnxBuilder, a: OnnxArray, y: OnnxArray, lower: bool, unit_diagonal: bool
) -> OnnxArray:
    """Return X for a triangular A X = Y, row by row."""
    y = b.stretch(y, [*b.sizes(a)[:-2], 1, 1])
    count, places = b.number(b.size(a, -1)), b.count(b.size(a, -1))

    def step(k: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        at = k if lower else count - 1 - k
        row = b.take(a, at, -2)
        known = b.select(places < at if lower else places > at, row, 0)
        product = matmul(b, _row(b, known), state[0])
        rest = b.take(y, at, -2) - b.squeeze(product, [product.ndim - 2])
        if not unit_diagonal:
            rest = rest / _column(b, b.take(row, at, -1))
        return None, [b.select(_column(b, places).equals(at), _row(b, rest), state[0])], []

    return b.loop(count, [b.expand_like(b.constant(0, y.dtype), y)], step)[0]


def _as_columns(
    b: OnnxBuilder, y: OnnxArray, solve: Callable[[OnnxArray], OnnxArray]
) -> OnnxArray:
    """Return what ``solve`` gives for columns; a vector is one column."""
    if y.ndim > 1:
        return solve(y)
    made = solve(_column(b, y))
    return b.squeeze(made, [made.ndim - 1])


@translates("solve_triangular", promotes=True)
def _solve_triangular(
    b: OnnxBuilder, a: OnnxArray, y: OnnxArray, lower: bool, unit_diagonal: bool
) -> OnnxArray:
    return _as_columns(b, y, lambda rest: _substituted(b, a, rest, lower, unit_diagonal))


@translates("solve", promotes=True)
def _solve(b: OnnxBuilder, a: OnnxArray, y: OnnxArray) -> OnnxArray:
    factors, order, _ = _factors(b, a)

    def columns(y: OnnxArray) -> OnnxArray:
        y = b.stretch(y, [*b.sizes(a)[:-2], 1, 1])
        places = b.stretch(_column(b, order), [*b.sizes(y)[:-2], 1, 1])
        y = take_along_axis(b, y, places, -2)
        return _substituted(b, factors, _substituted(b, factors, y, True, True), False, False)

    return _as_columns(b, y, columns)


@translates("inv", promotes=True)
def _inv(b: OnnxBuilder, a: OnnxArray) -> OnnxArray:
    return _solve(b, a, eye(b, b.size(a, -1), a.dtype))


def _pivots(b: OnnxBuilder, a: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
    """Return the diagonal left by elimination, and the sign of the order of the rows.

    The sign is NaN if an element is NaN or infinite.
    """
    factors, _, sign = _factors(b, a)
    unknown = b.reduce("Sum", a * a.beside(0), [a.ndim - 2, a.ndim - 1])
    return diagonal(b, factors, 0, -2, -1), sign + unknown


@translates("det", promotes=True)
def _det(b: OnnxBuilder, a: OnnxArray) -> OnnxArray:
    pivots, sign = _pivots(b, a)
    return b.reduce("Prod", pivots, [pivots.ndim - 1]) * sign


@translates("slogdet")
def _slogdet(b: OnnxBuilder, a: OnnxArray) -> tuple[OnnxArray, OnnxArray]:
    wide = a if a.dtype in ("float32", "float64") else b.convert(a, "float64")
    pivots, sign = _pivots(b, wide)
    signs = b.select(pivots < 0, pivots.beside(-1), b.select(pivots > 0, pivots.beside(1), pivots))
    total = b.reduce("Sum", b.call("log", b.call("fabs", pivots)), [pivots.ndim - 1])
    return sign * b.reduce("Prod", signs, [pivots.ndim - 1]), total + (sign - sign)


@translates("lu")
def _lu(b: OnnxBuilder, a: OnnxArray) -> tuple[OnnxArray, OnnxArray, OnnxArray]:
    """A = P L U."""
    wide = a if a.dtype in ("float32", "float64") else b.convert(a, "float64")
    factors, order, _ = _factors(b, wide)
    n, m = b.number(b.size(a, -2)), b.number(b.size(a, -1))
    rows, columns = b.count(b.size(a, -2)), b.count(b.size(a, -1))
    least = b.select(n < m, n, m)
    below = _column(b, rows)
    lower = b.select(below > columns, factors, b.convert(below.equals(columns), wide.dtype))
    upper = b.select(below <= columns, factors, 0)
    places = b.convert(below.equals(_row(b, order)), wide.dtype)
    return places, b.slices(lower, -1, 0, least), b.slices(upper, -2, 0, least)


@translates("cholesky", promotes=True)
def _cholesky(b: OnnxBuilder, a: OnnxArray) -> OnnxArray:
    """Each column of L is what A leaves of it, divided by the root of its diagonal element."""
    places = b.count(b.size(a, -1))

    def step(k: OnnxArray, state: Sequence[OnnxArray]) -> Any:
        known = matmul(b, state[0], _column(b, b.take(state[0], k, -2)))
        rest = b.take(a, k, -1) - b.squeeze(known, [known.ndim - 1])
        column = rest / b.call("sqrt", _column(b, b.take(rest, k, -1)))
        column = b.select(places >= k, column, 0)
        return None, [b.select(places.equals(k), _column(b, column), state[0])], []

    count = b.number(b.size(a, -1))
    return b.loop(count, [b.expand_like(b.constant(0, a.dtype), a)], step)[0]


@translates("cofactors", promotes=True)
def _cofactors(b: OnnxBuilder, a: OnnxArray) -> OnnxArray:
    """The determinants of what is left without a row and a column."""
    n = a.shape[-1]
    if n is None:
        raise NotImplementedError("the size of the matrices is not known")
    if n == 0:
        return a
    rest = b.constant([[k for k in range(n) if k != i] for i in range(n)], INT)
    minors = b.take(b.take(a, b.reshape(rest, [n, n - 1]), -2), b.reshape(rest, [n, n - 1]), -1)
    lead = list(range(a.ndim - 2))
    rank = len(lead)
    minors = b.permute(minors, [*lead, rank, rank + 2, rank + 1, rank + 3])
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return _det(b, minors) * b.constant(signs, a.dtype)
