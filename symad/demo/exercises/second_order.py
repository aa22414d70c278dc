"""Exercises on gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require


@exercise("second order 1", "a pair (y, x) of nodes")
def constant_third_derivative(answer: Any) -> None:
    """A pair (y, x) of numbers such that the third derivative of y is 12 everywhere."""
    y, x = answer
    third = sm.gradients(sm.gradients(sm.gradients(y, x), x), x)
    for point in (-1.0, 0.5, 3.0):
        found = third.eval({x: point})
        require(close(found, 12.0), f"At {point} the third derivative is {found:.6g}.")


@exercise("second order 2", "a function of two nodes")
def newton_step(step: Callable[..., Any]) -> None:
    """A function that takes nodes y and x and returns the node x - y' / y''."""
    x = sm.Variable("x")
    y = sm.exp(x) - 2 * x
    better = sm.compile([x], step(y, x))
    point = 0.0
    for _ in range(6):
        point = float(better(point))
    require(abs(point - np.log(2)) < 1e-9, "Six steps from 0 must find the minimum of exp(x) - 2x.")


@exercise("second order 3", "a function of three nodes")
def product_with_the_hessian(function: Callable[..., Any]) -> None:
    """A function that takes nodes y, x and v and returns H v as a node, without building H."""
    x, v = sm.Variable("x", shape=(4,)), sm.Variable("v", shape=(4,))
    y = sm.sum(sm.sin(x) * sm.flip(x)) + sm.prod(x)
    rng = np.random.default_rng(0)
    at, direction = rng.normal(size=4), rng.normal(size=4)
    node = function(y, x, v)
    require(isinstance(node, sm.Node), "It must return a node.")
    expected = sm.hessian(y, x).eval({x: at}) @ direction
    require(
        close(node.eval({x: at, v: direction}), expected),
        "H v is the gradient of ⟨∇y, v⟩, with v constant.",
    )
