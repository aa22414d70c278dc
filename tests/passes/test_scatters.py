"""Adjoints of arrays that are read in many places: one array for all, at linear cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.ops.index import ScatterAdd, ScatterSum
from symad.ops.subscript import tiling

SHAPE = (4, 5)


def draw_slice(rng: np.random.Generator, size: int) -> slice:
    ends = [None if rng.random() < 0.3 else int(rng.integers(-size - 1, size + 2)) for _ in "ab"]
    return slice(*ends, [None, 1, -1, 2, -2][rng.integers(5)])


def draw_index(rng: np.random.Generator, size: int) -> Any:
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.integers(-size, size))
    if kind == 1:
        return rng.integers(-size, size, rng.integers(0, 4)).tolist()
    return draw_slice(rng, size)


def draw_subscript(rng: np.random.Generator) -> Any:
    kind = rng.integers(4)
    if kind == 0:
        return draw_index(rng, SHAPE[0])
    if kind == 1:
        return (..., draw_index(rng, SHAPE[1]))
    if kind == 2:
        return (None, draw_slice(rng, SHAPE[0]), draw_slice(rng, SHAPE[1]))
    return tuple(draw_index(rng, size) for size in SHAPE)


def is_readable(subscript: Any) -> bool:
    try:
        np.zeros(SHAPE)[subscript]
    except IndexError:  # index arrays that do not broadcast
        return False
    return True


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_any_slices_of_an_array(seed: int, backend: Any) -> None:
    """The reference adds each slice's adjoint to one array, in NumPy."""
    rng = np.random.default_rng(seed)
    drawn = [draw_subscript(rng) for _ in range(int(rng.integers(2, 9)))]
    subscripts = [one for one in drawn if is_readable(one)] + [0, (slice(None), -1)]
    value = rng.normal(size=SHAPE)
    wanted = np.zeros(SHAPE)
    x = sm.Variable("x", shape=SHAPE)
    y: Any = 0.0
    for factor, subscript in enumerate(subscripts, 1):
        y = y + sm.sum(factor * x[subscript] ** 3)
        np.add.at(wanted, subscript, factor * 3 * value[subscript] ** 2)
    slope = sm.compile([x], sm.gradients(y, x), backend=backend)
    assert slope(value) == pytest.approx(wanted, rel=1e-12)


def written_elements(x: Node, y: Node) -> int:
    """Return how many elements all values of the compiled gradient have together."""
    f = sm.compile([x], sm.gradients(y, x), backend="numpy")
    return sum(node.type.size for node in f.passes.graph.nodes)


def rows(x: Node) -> Node:
    return sum((sm.sum(sm.sin(x[k]) * x[k]) for k in range(len(x))), start=sm.constant(0.0))


def columns(x: Node) -> Node:
    return rows(x.T)


def elements(x: Node) -> Node:
    flat = [x[i, j] for i in range(len(x)) for j in range(3)]
    return sum(map(sm.sin, flat), start=sm.constant(0.0))


def windows(x: Node) -> Node:
    parts = [x[k : k + 2] for k in range(len(x) - 1)]
    return sum((sm.sum(sm.sin(part)) for part in parts), start=sm.constant(0.0))


def by_arrays(x: Node) -> Node:
    parts = [x[[k, (k + 3) % len(x)]] for k in range(len(x))]
    return sum((sm.sum(sm.sin(part)) for part in parts), start=sm.constant(0.0))


@pytest.mark.parametrize("read", [rows, columns, elements, windows, by_arrays])
def test_memory_written_is_proportional_to_what_is_read(read: Any) -> None:
    few, many = (sm.Variable("x", shape=(n, 3)) for n in (25, 100))
    assert written_elements(many, read(many)) <= 4.2 * written_elements(few, read(few))


def test_the_rule_leaves_one_scatter_and_shares_places() -> None:
    x = sm.Variable("x", shape=(6,))
    y = sum((sm.sin(x[k]) * x[k] for k in range(6)), start=x[0])
    graph = sm.compile([x], sm.gradients(y, x), backend="numpy")
    graph([0.0] * 6)
    ops = [node.op for node in graph.passes.graph.nodes]
    [joined] = [op for op in ops if isinstance(op, ScatterSum)]
    assert len(joined.keys) == 6 and not any(isinstance(op, ScatterAdd) for op in ops)
    assert "sum of scatters" in {name for r in graph.passes.reports for name in r.rules}


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_value_that_is_not_finite_stays_where_it_was_read(backend: Any) -> None:
    x = sm.Variable("x", shape=(4,))
    y = sm.sqrt(x[0]) + sm.sqrt(x[1]) + sm.sum(sm.sqrt(x[2:]))
    slope = sm.compile([x], sm.gradients(y, x), backend=backend)([0.0, 4.0, -1.0, np.inf])
    assert slope == pytest.approx([np.inf, 0.25, np.nan, 0.0], nan_ok=True)


ALL = (None, None, None)


@pytest.mark.parametrize(
    ("keys", "shape", "found"),
    [
        (((0,), (1,), (2,)), (3,), (True, True)),
        (((0,), (-1,)), (3,), (True, False)),
        (((0,), (-3,)), (3,), (False, False)),
        ((((None, 2, None),), ((2, None, None),)), (5,), (True, True)),
        ((((None, 3, None),), ((2, None, None),)), (5,), (False, False)),
        (((ALL, 0), (ALL, (1, None, None))), (3, 4), (True, True)),
        (((0, ALL), (1, (None, 2, None)), (1, (2, None, -1))), (2, 4), (False, False)),
        ((((None, None, -1),),), (3,), (True, True)),
        ((((None, None, 2),),), (4,), (False, False)),
        ((((None, None, 2),),), (2,), (True, False)),
        ((("?",), (0,)), (3,), (False, False)),
        (((..., 0), (..., 1)), (2, 2), (True, True)),
        ((((None, 2, None), None), (ALL,)), (0, 3), (True, True)),
        (((None, 0, 1), (0, 0), (1,)), (2, 2), (True, True)),
        (((),), (), (True, True)),
        (((), ()), (), (False, False)),
    ],
)
def test_tiling(keys: Any, shape: Any, found: tuple[bool, bool]) -> None:
    assert tiling(keys, shape) == found


@pytest.mark.parametrize("seed", range(100))
def test_tiling_agrees_with_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    subscripts = [
        tuple(
            int(rng.integers(-size, size)) if rng.random() < 0.4 else draw_slice(rng, size)
            for size in SHAPE
        )
        for _ in range(int(rng.integers(1, 6)))
    ]
    uses = np.zeros(SHAPE, int)
    for subscript in subscripts:
        uses[subscript] += 1
    keys = tuple(
        tuple((e.start, e.stop, e.step) if isinstance(e, slice) else e for e in subscript)
        for subscript in subscripts
    )
    apart, whole = tiling(keys, SHAPE)
    assert not apart or (uses <= 1).all()
    assert whole <= apart and (not apart or whole == bool(uses.all()))
