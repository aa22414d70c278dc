"""The determinant by expansion by minors, without sharing: ℓ! products.

The eval wants all of them: a smaller number would be another algorithm.  The expansion of a small
matrix is one stack of minors; larger ones take their minors one after the other, in a loop, so that
the stack stays in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import symad as sm
from benchmarks.gradbench.timed_call import Input, TimedCall, to_list

STACKED = 7
"""The largest size whose minors are expanded as one stack."""


def others(count: int) -> np.ndarray:
    """Return, for each of so many columns, the other columns."""
    return np.array([[c for c in range(count) if c != j] for j in range(count)])


def expansion(matrix: sm.Node, row: int, columns: np.ndarray) -> sm.Node:
    """Return the minors of the rows from ``row`` on, for each choice of columns."""
    count = columns.shape[-1]
    factors = matrix[row, columns]
    if count == 1:
        return factors[..., 0]
    signs = (-1.0) ** np.arange(count)
    minors = expansion(matrix, row + 1, columns[..., others(count)])
    return sm.sum(signs * factors * minors, axis=-1)


def determinant(matrix: sm.Node) -> sm.Node:
    """Return the determinant of a matrix by its first row."""
    size = matrix.shape[0]
    if size <= STACKED:
        return expansion(matrix, 0, np.arange(size))

    def add(total: sm.Node, term: tuple[sm.Node, sm.Node]) -> tuple[sm.Node, None]:
        factor, minor = term
        return total + factor * determinant(minor), None

    signs = (-1.0) ** np.arange(size)
    minors = sm.moveaxis(matrix[1:, others(size)], 1, 0)
    return sm.scan(add, 0.0, (signs * matrix[0], minors))[0]


@functools.cache
def compiled(size: int) -> tuple[Callable, Callable]:
    entries = sm.Variable("A", shape=(size * size,))
    y = determinant(sm.reshape(entries, (size, size)))
    return sm.compile([entries], y), sm.compile([entries], sm.gradients(y, entries))


def primal(given: Input) -> TimedCall:
    return TimedCall(compiled(given["ell"])[0], (np.array(given["A"]),), float)


def gradient(given: Input) -> TimedCall:
    return TimedCall(compiled(given["ell"])[1], (np.array(given["A"]),), to_list)
