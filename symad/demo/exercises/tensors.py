"""Exercises on tensors and broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require


@exercise("tensors 1", "a shape, a tuple of whole numbers")
def shape_of_the_adjoint(shape: Any) -> None:
    """The shape of the adjoint of b in X @ W + b: X is (50, 784), W (784, 10) and b (10,)."""
    x, w, b = (sm.Variable(n, shape=s) for n, s in (("X", (50, 784)), ("W", (784, 10)), ("b", 10)))
    expected = sm.gradients(sm.sum(x @ w + b), b).shape
    require(tuple(shape) == expected, "An adjoint has the shape of its node.")


@exercise("tensors 2", "a function of two arrays")
def adjoint_of_the_weights(rule: Callable[..., Any]) -> None:
    """A function that takes X and the adjoint of Z = X @ W and returns the adjoint of W."""
    rng = np.random.default_rng(0)
    x, w = sm.Variable("X", shape=(5, 3)), sm.Variable("W", shape=(3, 2))
    seed = rng.normal(size=(5, 2))
    at = {x: rng.normal(size=(5, 3)), w: rng.normal(size=(3, 2))}
    expected = sm.gradients(x @ w, w, seed).eval(at)
    require(close(rule(at[x], seed), expected), "W̄ = Xᵀ Z̄: check the order and the transpose.")


@exercise("tensors 3", "a function of an array")
def undo_broadcasting(rule: Callable[..., Any]) -> None:
    """A function that takes the (4, 3) adjoint of a + c and returns the adjoint of c, (4, 1)."""
    seed = np.random.default_rng(1).normal(size=(4, 3))
    a, c = sm.Variable("a", shape=(4, 3)), sm.Variable("c", shape=(4, 1))
    expected = sm.gradients(a + c, c, seed).eval({a: np.zeros((4, 3)), c: np.zeros((4, 1))})
    got = np.asarray(rule(seed))
    require(
        got.shape == (4, 1), f"The shape is {got.shape}, but that of c is (4, 1): keep the axis."
    )
    require(close(got, expected), "Add up the copies along the axis that was repeated.")
