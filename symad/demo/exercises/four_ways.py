"""Exercises on the four ways to differentiate."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.demo.exercises.answers import exercise, require


@exercise("four ways 1", "a number")
def order_of_central_differences(order: Any) -> None:
    """The error of a central difference is proportional to which power of the step?"""
    steps = np.array([1e-2, 5e-3])
    errors = np.abs((np.sin(1 + steps) - np.sin(1 - steps)) / (2 * steps) - np.cos(1))
    measured = float(np.log2(errors[0] / errors[1]))
    require(
        abs(float(order) - measured) < 0.1,
        "Halve the step: by what power of two does the error shrink?",
    )


@exercise("four ways 2", "a whole number")
def multiplications_for_all_partials(count: Any) -> None:
    """How many multiplications for all partial derivatives of x1·x2·…·x8, each separately?"""
    partials = [[j for j in range(8) if j != i] for i in range(8)]
    needed = sum(len(factors) - 1 for factors in partials)
    require(int(count) == needed, "Each partial derivative is a product of seven factors.")


@exercise("four ways 3", 'a pair of words, "forward" or "reverse"')
def cheaper_mode(modes: Any) -> None:
    """Which mode takes fewer passes for 3 inputs and 1000 outputs, and which for 1000 and 3?"""
    passes = [{"forward": inputs, "reverse": outputs} for inputs, outputs in ((3, 1000), (1000, 3))]
    best = [min(each, key=lambda mode: each[mode]) for each in passes]
    require(
        list(modes) == best, "Forward mode takes one pass per input, reverse mode one per output."
    )
