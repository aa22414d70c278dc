"""Traced numbers: what is recorded with them is what plain numbers give, or nothing."""

from __future__ import annotations

import math
import operator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symad.graph.node import Constant, computed
from symad.graph.tape import Recording, Tape, TapeError, Traced

SIZES = st.lists(st.integers(1, 60), min_size=2, max_size=2)


STEPS: tuple[Any, ...] = (
    lambda a, b, found: a + b,
    lambda a, b, found: a * b if a < 50 else a - b,
    lambda a, b, found: -(-a // 8) * 8,
    lambda a, b, found: max(a, b),
    lambda a, b, found: math.prod((a, b)) if a == b else sum((a, b)),
    lambda a, b, found: a % 8 or 1,
    lambda a, b, found: found.setdefault((a, b), len(found)),
    lambda a, b, found: divmod(a, 4)[1] + 0.5 * b,
    lambda a, b, found: sorted([a, b, 10])[1],
    lambda a, b, found: computed(int, Constant(a, "float32").value),
)


def program(choices: list[int], sizes: Any) -> Any:
    """Return numbers computed from sizes in a way that depends on them, as the pipeline does."""
    numbers, found = [*sizes, 3, 8], dict[Any, int]()
    for choice in choices:
        a, b = numbers[choice % len(numbers)], numbers[(choice // 7) % len(numbers)]
        numbers.append(STEPS[choice % len(STEPS)](a, b, found))
    return numbers


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), SIZES, SIZES)
def test_recorded_numbers_are_those_of_plain_ones(
    choices: list[int], sizes: list[int], others: list[int]
) -> None:
    expected = [program(choices, chosen) for chosen in (sizes, others)]
    if any(abs(number) > 1 << 20 for numbers in expected for number in numbers):
        return
    tape = Tape(sizes)
    try:
        content = program(choices, tape.variables)
    except TapeError:
        return
    recording = Recording(tape, content, [3, 8, 10, *range(12)])
    for chosen, plain in zip((sizes, others), expected, strict=True):
        assert recording(chosen) in (None, plain)


def test_what_needs_the_value_of_a_size_is_not_recorded() -> None:
    (n,) = Tape([5]).variables
    demands: list[Any] = [
        lambda: range(n), lambda: np.zeros(n), lambda: [0] * n, lambda: f"{n}", lambda: float(n),
        lambda: math.sqrt(n), lambda: np.asarray(n), lambda: (1).__lshift__(operator.index(n)),
        lambda: [1, 2, 3][n - 4], lambda: bytes(n), lambda: round(n), lambda: n.__reduce__(),
        lambda: n.real, lambda: Tape([3]).variables[0] + n, lambda: computed(partial(max, n), n),
        lambda: computed(np.arange, n), lambda: np.add.reduce(n), lambda: computed(max, n, [n]),
    ]  # fmt: skip
    for demand in demands:
        with pytest.raises(TapeError):
            demand()


def test_traced_numbers_pass_for_numbers() -> None:
    n, m = Tape([5, 6]).variables
    assert isinstance(n, int) and isinstance(n * 0.5, float) and not isinstance(n, str)
    assert type(n) is Traced and n != "batch" and n is not None and n not in ("a", None)
    assert {n: 1}[n + m - m] == 1 and n * 4 in {4 * n} and n not in {5}
    constant = Constant(n, "float32")
    assert constant.type.shape == () and not constant.value.ndim
    assert not hasattr(n, "shape") and hasattr(constant.value, "shape")


def test_numbers_in_dictionaries_differ_for_all_sizes() -> None:
    tape = Tape([5, 6])
    n, m = tape.variables
    places = {(n, 2): "rows", (m, 2): "columns"}
    recording = Recording(tape, [n, places[n, 2]], [100])
    assert recording([7, 8]) == [7, "rows"]
    assert recording([7, 7]) is None and recording([100, 8]) is None


def test_a_tape_has_an_end() -> None:
    (n,) = Tape([5]).variables
    with pytest.raises(TapeError, match="too many steps"):
        for k in range(30_000):
            n += k
