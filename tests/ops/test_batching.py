"""Batching: every op on many elements at once is the op on each of them.

The number of elements is one that no axis of a sample has: a rule that takes the wrong axis for the
elements is then wrong, not right by chance.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import symad as sm
from symad.graph.nested import leaves
from symad.graph.node import Constant, Node
from symad.ops.structure import items_of
from tests.ops.test_op_table import CASES as ALL
from tests.support.op_checks import Array, Case

ROWS = 11

CASES = [case for case in ALL if case.op_class.name != "assemble_csr"]
"""Sparse matrices cannot be stacked."""


def draw(case: Case, row: int) -> list[Array]:
    rng = np.random.default_rng(zlib.crc32(f"{case.id} {row}".encode()))
    return [np.asarray(draw(rng, np.dtype("float64"))) for draw in case.sample.inputs]


def choices(case: Case) -> Iterator[tuple[bool, ...]]:
    """Yield which inputs are elements: all of them, and each alone or all but each."""
    count = len(case.sample.inputs)
    found = {(True,) * count: None}
    for slot in range(count):
        found[tuple(k == slot for k in range(count))] = None
        if count > 2:
            found[tuple(k != slot for k in range(count))] = None
    return iter(found)


def outputs_of(case: Case, inputs: Sequence[Node]) -> list[Node]:
    """Return the arrays of the sample, and their gradients for random adjoints."""
    result = case.sample.call(*inputs)
    arrays = [x for leaf in leaves(result) if isinstance(leaf, Node) for x in items_of(leaf)]
    moving = [x for x in inputs if x.type.is_float]
    floating = [y for y in arrays if y.type.is_float]
    if not case.sample.order or not moving or not floating:
        return arrays
    rng = case.rng()
    terms = [sm.sum(y * Constant(rng.uniform(1, 2, y.type.shape))) for y in floating]
    adjoints = sm.gradients(sm.add_n(terms), moving, unused="none")
    return [*arrays, *(x for x in adjoints if x is not None)]


def loop(case: Case, rows: Sequence[Sequence[Array]]) -> list[Array]:
    """Return the outputs for each row in turn, stacked."""
    inputs = [sm.Variable(f"x{k}", x.shape, x.dtype) for k, x in enumerate(rows[0])]
    f = sm.compile(inputs, outputs_of(case, inputs), backend="numpy")
    return [np.stack(values) for values in zip(*[f(*row) for row in rows], strict=True)]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_each_op_as_in_a_loop(case: Case) -> None:
    for batched in choices(case):
        check(case, batched, ["numpy"])


def check(case: Case, batched: tuple[bool, ...], backends: Sequence[str]) -> None:
    rows = [draw(case, row) for row in range(ROWS)]
    for row in rows[1:]:
        row[:] = [
            x if moves else first for x, first, moves in zip(row, rows[0], batched, strict=True)
        ]
    whole = [
        np.stack([row[k] for row in rows]) if moves else rows[0][k]
        for k, moves in enumerate(batched)
    ]
    inputs = [sm.Variable(f"x{k}", x.shape, x.dtype) for k, x in enumerate(whole)]
    in_axes = [0 if moves else None for moves in batched]
    stacked = sm.vmap(lambda *xs: outputs_of(case, xs), in_axes)(*inputs)
    expected = loop(case, rows)
    for backend in backends:
        f = sm.compile(inputs, stacked, backend=backend)
        for got, wanted in zip(f(*whole), expected, strict=True):
            assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
            np.testing.assert_allclose(got, wanted, 1e-9, 1e-11)
