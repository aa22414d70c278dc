"""Colouring of the columns of a sparse matrix, so that few products with it give all elements.

Columns of one colour share no row, so one product with the sum of their unit vectors contains the
elements of all of them.  A few rows that are much denser than the others would make every two
columns share one; they are set apart, and each is computed by a product from the other side.  Of a
symmetric matrix, one element of each pair is enough, so columns of one colour may share rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from symad.records import dataclass

Array = np.ndarray[Any, Any]

_FEW = 10_000
"""Up to so many elements of a symmetric matrix, several colourings are tried."""


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

    Element (i, j) is read from row i, if no other element of that row has the colour of column j,
    else from row j, as element (j, i).  The elements that can differ from zero need not be
    symmetric: then some of them are zero in fact.
    """
    both = _with_mirrored(rows, columns, size)
    colours = _symmetrically(*both, size)
    count = max(1, _count(colours))
    others = np.bincount(both[0] * count + colours[both[1]], minlength=size * count)
    is_alone = others[rows * count + colours[columns]] == 1
    row, column = np.where(is_alone, rows, columns), np.where(is_alone, columns, rows)
    return Compression(colours, np.full(size, -1), colours[column] * size + row)


def _with_mirrored(rows: Array, columns: Array, size: int) -> tuple[Array, Array]:
    """Return the rows and columns of all elements and of their mirror images, row by row."""
    order = np.argsort(columns, kind="stable")
    if np.array_equal(columns[order], rows) and np.array_equal(rows[order], columns):
        return rows, columns
    pairs = (rows, columns), (columns, rows)
    keys = np.unique(np.concatenate([one.astype(np.int64) * size + other for one, other in pairs]))
    return keys // size, keys % size


def _symmetrically(rows: Array, columns: Array, size: int) -> Array:
    """Return colours with which one element of each pair is alone; -1 for empty columns."""
    shape, longest = (size, size), int(np.bincount(rows, minlength=1).max())
    has_dense = _dense_rows(rows, size, size)[0].size > 0
    cyclic = None if has_dense else _cyclic(rows, columns, shape, longest)
    if cyclic is not None and rows.size > _FEW:  # a band, most likely
        return cyclic
    star = _star(rows, columns, size)
    if _count(star) <= longest:
        return star
    other = _greedy(rows, columns, shape) if cyclic is None else cyclic  # best for nine points
    return min(star, other, key=_count)


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
    found = _cyclic(rows, columns, shape, least)
    return _greedy(rows, columns, shape) if found is None else found


def _cyclic(rows: Array, columns: Array, shape: tuple[int, int], count: int) -> Array | None:
    """Return colours in turn, the best for bands and equal blocks, if they are valid."""
    colours = np.full(shape[1], -1)
    colours[columns] = columns % max(1, count)
    keys = rows.astype(np.int64) * count + colours[columns]
    keys.sort()
    return None if np.any(keys[1:] == keys[:-1]) else colours


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


def _star(rows: Array, columns: Array, size: int) -> Array:
    """Return colours of the columns of a symmetric matrix, of which rows can have several.

    In the graph whose edges are the elements beside the diagonal, ends of an edge have different
    colours, and so have the first and the third, or the second and the fourth node of each path.
    So the nodes of two colours form stars, and each edge is the only one to its hub's colour from
    the node that is not the hub.
    """
    is_used, is_beside = np.zeros(size, bool), rows != columns
    is_used[columns] = True
    order = np.argsort(columns[is_beside], kind="stable")
    lines = rows[is_beside][order].tolist()
    ends = np.cumsum(np.bincount(columns[is_beside], minlength=size)).tolist()
    stars, begin = _Stars(size), 0
    for node, end in enumerate(ends):
        if is_used[node]:
            stars.add(node, lines[begin:end])
        begin = end
    return np.array(stars.colours, np.int64)


class _Stars:
    """Gives each node the first colour with which all nodes of two colours still form stars.

    Sets of colours are the bits of integers.

    Attributes
    ----------
    colours : list of int
        Those of all nodes; -1 for a node without one.
    """

    def __init__(self, size: int) -> None:
        self.colours = [-1] * size
        self._near = [0] * size  # the colours of the neighbours
        self._several = [0] * size  # those of more than one neighbour: the node is a hub
        self._hubs = [0] * size  # the colours of the hubs of which the node is a leaf
        self._first: dict[tuple[int, int], int] = {}  # a neighbour of a node, by its colour

    def add(self, node: int, neighbours: Sequence[int]) -> None:
        """Colour a node."""
        used, several = self._near[node], self._several[node]
        for other in neighbours:
            colour = self.colours[other]
            if colour >= 0:
                used |= self._hubs[other]
                if several >> colour & 1:
                    used |= self._near[other]
        bit = ~used & (used + 1)
        self.colours[node] = bit.bit_length() - 1
        for other in neighbours:
            colour = self.colours[other]
            if colour >= 0 and several >> colour & 1:
                self._hubs[other] |= bit
            self._meet(node, other, bit)

    def _meet(self, node: int, other: int, bit: int) -> None:
        """Note a node with a new colour next to another one."""
        key = other, bit
        if not self._near[other] & bit:
            self._near[other] |= bit
            self._first[key] = node
            return
        self._several[other] |= bit
        if self.colours[other] >= 0:
            hub = 1 << self.colours[other]
            self._hubs[node] |= hub
            self._hubs[self._first[key]] |= hub
