"""Exercises on compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require


@exercise("compiling 1", "a function from sm.compile")
def value_and_slope(function: Any) -> None:
    """A compiled function of x that returns [tanh(x)², its derivative]."""
    require(isinstance(function, sm.Function), "It must come from sm.compile.")
    for x in (0.5, -1.25):
        expected = [np.tanh(x) ** 2, 2 * np.tanh(x) / np.cosh(x) ** 2]
        require(close(function(x), expected), f"At {x} it must return {expected}.")


@exercise("compiling 2", "a function from sm.compile")
def any_batch_size(function: Any) -> None:
    """One compiled function of X and w, for any number of rows, that returns the mean of X @ w."""
    require(isinstance(function, sm.Function), "It must come from sm.compile.")
    rng = np.random.default_rng(0)
    for rows in (1, 7, 50):
        x, w = rng.normal(size=(rows, 3)), rng.normal(size=3)
        require(close(function(x, w), (x @ w).mean()), f"It is wrong for {rows} rows.")


@exercise("compiling 3", "a pair (step, w)")
def halving(answer: Any) -> None:
    """A pair (step, w): each call of step() halves the parameter w, and returns its old value."""
    step, w = answer
    require(isinstance(w, sm.Parameter), "w must come from sm.parameter.")
    before = w.value.copy()
    require(np.any(before), "The initial value of w must not be 0.")
    require(close(step(), before), "It must return the old value.")
    require(close(w.value, before / 2), "updates={w: ...} gives the new value of w.")
    step()
    require(close(w.value, before / 4), "The second call must halve it again.")
