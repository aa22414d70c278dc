"""The determinant by expansion by minors, without sharing: ℓ! products.

The eval wants all of them: a smaller number would be another algorithm.  Small minors are expanded
all at once, as one stack of matrices; larger ones one after the other, in a loop, so that the stack
stays in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import symad as sm
from benchmarks.gradbench.evaluation import Evaluation, Input, to_list

STACKED = 7
"""The largest size whose minors are all expanded at once."""


def determinant(matrices: sm.Node) -> sm.Node:
    """Return the determinants of a stack of matrices, by their first rows."""
    size = matrices.shape[-1]
    if size == 1:
        return matrices[..., 0, 0]
    signs = (-1.0) ** np.arange(size)
    factors = signs * matrices[..., 0, :]
    others = np.array([[c for c in range(size) if c != j] for j in range(size)])
    minors = sm.moveaxis(matrices[..., 1:, others], -2, -3)
    if size <= STACKED:
        return sm.sum(factors * determinant(minors), axis=-1)

    def add(total: sm.Node, term: tuple[sm.Node, sm.Node]) -> tuple[sm.Node, None]:
        factor, minor = term
        return total + factor * determinant(minor), None

    return sm.scan(add, 0.0, (factors, minors))[0]


@functools.cache
def compiled(size: int) -> tuple[Callable, Callable]:
    entries = sm.Variable("A", shape=(size * size,))
    y = determinant(sm.reshape(entries, (size, size)))
    return sm.compile([entries], y), sm.compile([entries], sm.gradients(y, entries))


def primal(given: Input) -> Evaluation:
    return Evaluation(compiled(given["ell"])[0], (np.array(given["A"]),), float)


def gradient(given: Input) -> Evaluation:
    return Evaluation(compiled(given["ell"])[1], (np.array(given["A"]),), to_list)
