"""The network simplex: exact, against the solvers of SciPy; and what it must be so fast for."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symad.drawing.layout import network_simplex
from symad.drawing.layout.network_simplex import shortest

Edges = dict[tuple[int, int], tuple[int, int]]


@st.composite
def problems(draw: Any) -> tuple[int, Edges]:
    """A directed graph without circles, its nodes in any order, with lengths and weights."""
    size = draw(st.integers(1, 14))
    names = draw(st.permutations(range(size)))
    pairs = list(itertools.combinations(range(size), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    numbers = st.tuples(st.integers(0, 4), st.integers(0, 5))
    return size, {(names[a], names[b]): draw(numbers) for a, b in chosen}


def cost_by_scipy(size: int, edges: Edges) -> float:
    from scipy.optimize import linprog

    if not edges:
        return 0.0
    costs, rows = np.zeros(size), np.zeros((len(edges), size))
    for row, ((low, high), (_, weight)) in zip(rows, edges.items(), strict=True):
        row[low], row[high] = 1, -1
        costs[high] += weight
        costs[low] -= weight
    lengths = [-length for length, _ in edges.values()]
    return float(linprog(costs, A_ub=rows, b_ub=lengths, bounds=(0, None), method="highs").fun)


def check(size: int, edges: Edges, found: list[int]) -> None:
    assert len(found) == size and min(found) == 0
    assert all(found[b] - found[a] >= length for (a, b), (length, _) in edges.items())
    cost = sum(weight * (found[b] - found[a]) for (a, b), (_, weight) in edges.items())
    assert cost == pytest.approx(cost_by_scipy(size, edges), abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_nothing_is_shorter(problem: tuple[int, Edges]) -> None:
    check(*problem, shortest(*problem))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_rule_that_is_known_to_end_finds_the_same(problem: tuple[int, Edges]) -> None:
    tree = network_simplex._Tree(*problem)
    while (node := tree._first()) >= 0:
        tree._pivot(node, strictly=True)
    assert sum(tree.solve()) == sum(shortest(*problem))


@pytest.mark.parametrize(
    "edges", [{(0, 0): (1, 1)}, {(0, 1): (1, 1), (1, 0): (1, 1)},
              {(2, 0): (1, 1), (0, 1): (0, 1), (1, 2): (0, 0)}],
)  # fmt: skip
def test_circles_are_refused(edges: Edges) -> None:
    with pytest.raises(ValueError, match="cycle"):
        shortest(3, edges)


def random_edges(size: int, reach: float, seed: int) -> Edges:
    rng = np.random.default_rng(seed)
    sources = ((max(0, high - 1 - int(rng.exponential(reach))), high) for high in range(1, size))
    more = ((max(0, high - 1 - int(rng.exponential(reach))), high) for high in range(1, size))
    return {edge: (1, 1) for edge in itertools.chain(sources, more)}


def test_steps_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that moves something costs what it moves: 900 nodes need fewer steps than nodes."""
    count = 0
    pivot = network_simplex._Tree._pivot

    def counted(*arguments: Any, **options: Any) -> int:
        nonlocal count
        count += 1
        return pivot(*arguments, **options)

    monkeypatch.setattr(network_simplex._Tree, "_pivot", counted)
    edges = random_edges(900, 20.0, 0)
    check(900, edges, shortest(900, edges))
    assert count < 900


def test_a_long_chain_is_no_trouble() -> None:
    edges = {(i, i + 1): (1, 1) for i in range(5_000)}
    assert shortest(5_001, edges) == list(range(5_001))
    edges |= {(0, i): (1, 1) for i in range(2, 5_001)}
    assert shortest(5_001, edges) == list(range(5_001))


IMPORTS = """
import sys
import symad as sm
x1, x2 = sm.Variable("x1"), sm.Variable("x2")
y = sm.log(x1) + x1 * x2 - sm.sin(x2)
drawing = sm.draw([y, *sm.gradients(y, [x1, x2])])
assert drawing.svg().startswith("<?xml") and drawing.source.startswith("digraph")
heavy = {"scipy", "networkx", "graphviz", "pygraphviz", "llvmlite.binding", "matplotlib"}
print(sorted(heavy & {*sys.modules}))
"""


def test_a_picture_needs_neither_scipy_nor_networkx() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
