"""What the passes make of zeros, infinities, NaN and numbers at the ends of the range.

Chains of arithmetic with such numbers and arrays of them.  Exact rules keep each bit.  Others may
change the sign of a zero, and what intermediate results lose that are too large or too small: then
what they give is what wider numbers give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.passes.grade import Grade
from symad.passes.specialise import specialise
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import optimise
from tests.support.op_checks import run_kernels

Array = np.ndarray[Any, Any]
NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, 1 / 3, np.inf, -np.inf, np.nan, 2.0**-1074,
    2.0**-1030, -(2.0**-1030), 2.0**-600, 2.0**600, 2.0**1023, 1e200, -1e200, 1e-200, 1e308, -1e308,
)  # fmt: skip
EXPONENTS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, np.inf, -np.inf)
VALUES = np.array([
    0.0, -0.0, 1.0, -1.0, 2.0, -3.0, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 5e-324, 1e308,
    -1e308, 1e200, 1e-200, 0.3, -0.7, 2.0**-1030,
])  # fmt: skip


def some(rng: np.random.Generator) -> Node:
    """Return a number, an array of one number, or an array of several."""
    number = NUMBERS[rng.integers(len(NUMBERS))]
    kind = rng.integers(4)
    if kind == 0:
        return sm.constant(rng.choice(NUMBERS, VALUES.shape))
    return sm.constant(np.full(VALUES.shape, number) if kind == 1 else number)


def step(rng: np.random.Generator, y: Node) -> Node:
    """Return an op of a node, and perhaps of a number."""
    c = some(rng)
    exponent = EXPONENTS[rng.integers(len(EXPONENTS))]
    ways: tuple[Callable[[], Node], ...] = (
        lambda: y * c, lambda: c * y, lambda: y / c, lambda: c / y, lambda: y + c, lambda: c + y,
        lambda: y - c, lambda: c - y, lambda: -y, lambda: sm.reciprocal(y), lambda: sm.square(y),
        lambda: sm.abs(y), lambda: y**exponent, lambda: y * y, lambda: y + y, lambda: y * (y * c),
        lambda: y - y * c, lambda: sm.add_n([y, y, c]), lambda: sm.maximum(y, c),
        lambda: sm.where(y > c, y, c), lambda: (y * c) * some(rng), lambda: y / c / some(rng),
    )  # fmt: skip
    return ways[rng.integers(len(ways))]()


def chain(seed: int) -> sm.Graph:
    rng = np.random.default_rng(seed)
    x = y = sm.Variable("x", VALUES.shape)
    with np.errstate(all="ignore"):
        for _ in range(rng.integers(1, 5)):
            y = step(rng, y)
    return specialise(sm.Graph([y], [x]), [type_of(VALUES)])


def check(graph: sm.Graph, grade: Grade) -> None:
    with np.errstate(all="ignore"):
        optimised = optimise(graph, grade).graph
    (want,), (got,) = (run_kernels(g, [VALUES]) for g in (graph, optimised))
    if grade == Grade.EXACT:
        same = (want == got) & (np.signbit(want) == np.signbit(got))
    else:
        (wide,) = run_kernels(graph, [VALUES.astype("longdouble")])
        same = _is_near(got, want) | _is_near(got, wide)
    same |= np.isnan(want) & np.isnan(got)
    place = int(np.argmin(same))
    assert np.all(same), (
        f"at {VALUES[place]}: {got[place]}, not {want[place]}\n{graph}\n{optimised}"
    )


def _is_near(got: Array, want: Any) -> Any:
    """Return where numbers are the same but for rounding, or infinite as 1 / 0 and 1 / -0 are."""
    with np.errstate(all="ignore"):
        want = np.asarray(want, np.float64)
        infinite = np.isinf(got) & np.isinf(want)
        return infinite | (got == want) | (np.abs(got - want) <= 32 * np.abs(np.spacing(want)))


@pytest.mark.parametrize("grade", [Grade.EXACT, Grade.ROUNDING])
@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_chains_of_arithmetic_with_special_numbers(first: int, grade: Grade) -> None:
    for seed in range(first, first + 250):
        try:
            check(chain(seed), grade)
        except Exception as error:
            error.add_note(f"chain({seed})")
            raise
