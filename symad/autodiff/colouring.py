"""Colouring of the columns of a sparse matrix, so that few products with it give all elements.

Columns of one colour share no row, so one product with the sum of their unit vectors contains the
elements of all of them.  A few rows that are much denser than the others would make every two
columns share one; they are set apart, and each is computed by a product from the other side.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from symad.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Compression:
    """The products from which the elements of a sparse matrix can be read.

    Attributes
    ----------
    columns, rows : array of int
        For each column, the number of the product that takes its unit vector, which is its colour;
        for each row, that of the product from the other side.  -1 if there is none.
    places : array of int
        For each element, its position in the flat products: first those with columns, then those
        with rows.
    """

    columns: Array
    rows: Array
    places: Array

    @property
    def products(self) -> int:
        """The number of products."""
        return _count(self.columns) + _count(self.rows)


def _count(groups: Array) -> int:
    return int(groups.max(initial=-1)) + 1


class Allowed(Enum):
    """Which products may be computed."""

    COLUMNS = "columns"
    ROWS = "rows"
    ALL = "all"
    SYMMETRIC = "symmetric"
    """With columns, which are rows as well."""


def compress(
    rows: Array, columns: Array, shape: tuple[int, int], allowed: Allowed
) -> tuple[Compression, bool]:
    """Return the compression with the fewest products, and whether it is one of the transpose.

    Parameters
    ----------
    rows, columns : array of int
        Those of all elements.
    shape : (int, int)
    allowed : Allowed

    Examples
    --------
    >>> rows, columns = np.nonzero(np.eye(5, dtype=bool) | (np.arange(5) == 0))
    >>> compress(rows, columns, (5, 5), Allowed.ALL)[0].products
    2
    """
    if allowed is Allowed.SYMMETRIC:
        return symmetric(rows, columns, shape[0]), False
    ways = [(rows, columns, shape), (columns, rows, shape[::-1])]
    if allowed is not Allowed.ALL:
        turned = allowed is Allowed.ROWS
        return compressed(*ways[turned], sets_apart=False), turned
    bounds = [_dense_rows(lines, size, size)[1] for lines, _, (size, _) in ways]
    first = bounds[1] < bounds[0]
    found = compressed(*ways[first])
    if found.products > bounds[not first]:
        other = compressed(*ways[not first])
        if other.products < found.products:
            return other, not first
    return found, first


def compressed(
    rows: Array, columns: Array, shape: tuple[int, int], sets_apart: bool = True
) -> Compression:
    """Return a compression by columns, with dense rows apart if ``sets_apart``."""
    apart, least = _dense_rows(rows, shape[0], shape[0] if sets_apart else 0)
    number = np.full(shape[0], -1)
    number[apart] = np.arange(apart.size)
    alone = number[rows] >= 0
    colours = _coloured(rows[~alone], columns[~alone], shape, least - apart.size)
    places = colours[columns] * shape[0] + rows
    first = _count(colours) * shape[0]
    places[alone] = first + number[rows[alone]] * shape[1] + columns[alone]
    return Compression(colours, number, places)


def symmetric(rows: Array, columns: Array, size: int) -> Compression:
    """Return a compression of a symmetric matrix by columns alone.

    The product with the unit vector of a dense row gives the row and the column: it is one more
    colour, after the others.
    """
    apart, _ = _dense_rows(rows, size, size)
    is_apart = np.zeros(size, bool)
    is_apart[apart] = True
    rest = ~(is_apart[rows] | is_apart[columns])
    longest = int(np.bincount(rows[rest], minlength=1).max())
    colours = _coloured(rows[rest], columns[rest], (size, size), longest)
    colours[apart] = _count(colours) + np.arange(apart.size)
    swapped = is_apart[rows] & ~is_apart[columns]
    row, column = np.where(swapped, columns, rows), np.where(swapped, rows, columns)
    return Compression(colours, np.full(size, -1), colours[column] * size + row)


def _dense_rows(rows: Array, count: int, most: int) -> tuple[Array, int]:
    """Return the rows that are best set apart, at most ``most``, and a lower bound of products.

    Without the k densest rows, at least as many colours are needed as the next row has elements.
    """
    sizes = np.bincount(rows, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    bounds = np.arange(most + 1) + np.r_[sizes[order], 0][: most + 1]
    best = int(np.argmin(bounds))
    return np.sort(order[:best]), int(bounds[best])


def _coloured(rows: Array, columns: Array, shape: tuple[int, int], least: int) -> Array:
    """Return colours such that columns of one colour share no row; -1 for empty columns.

    No colouring has fewer than ``least`` colours, the elements of the longest row.
    """
    used = np.zeros(shape[1], bool)
    used[columns] = True
    if not used.any():
        return np.full(shape[1], -1)
    cyclic = np.arange(shape[1]) % least  # the best for bands and equal blocks
    if _is_valid(rows, cyclic[columns], least):
        return np.where(used, cyclic, -1)
    return _greedy(rows, columns, shape)


def _is_valid(rows: Array, colours: Array, count: int) -> bool:
    keys = rows.astype(np.int64) * count + colours
    keys.sort()
    return not np.any(keys[1:] == keys[:-1])


def _greedy(rows: Array, columns: Array, shape: tuple[int, int]) -> Array:
    """Give each column in turn the first colour that none of its rows has: bits of an integer."""
    order = np.argsort(columns, kind="stable")
    lines = rows[order].tolist()
    ends = np.cumsum(np.bincount(columns, minlength=shape[1])).tolist()
    taken = [0] * shape[0]
    colours = np.full(shape[1], -1)
    begin = 0
    for column, end in enumerate(ends):
        if begin < end:
            used = 0
            for row in lines[begin:end]:
                used |= taken[row]
            bit = ~used & (used + 1)
            colours[column] = bit.bit_length() - 1
            for row in lines[begin:end]:
                taken[row] |= bit
            begin = end
    return colours
