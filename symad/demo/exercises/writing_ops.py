"""Exercises on ops of your own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require
from symad.testing import check_gradients


@exercise("own op 1", "a function of a node")
def subgradient_of_one_half(function: Callable[..., Any]) -> None:
    """A relu whose derivative at 0 is 1/2: a function of a node, made with sm.custom."""
    x = sm.Variable("x", shape=(3,))
    y = function(x)
    at = {x: [-2.0, 0.0, 3.0]}
    require(close(y.eval(at), [0.0, 0.0, 3.0]), "Its values must be those of relu.")
    slopes = sm.gradients(y, x).eval(at)
    require(close(slopes, [0.0, 0.5, 1.0]), f"At -2, 0 and 3 its derivatives are {slopes}.")


@exercise("own op 2", "a function of a node")
def gaussian(function: Callable[..., Any]) -> None:
    """Your own op, with a class and a rule: exp(-x²)."""
    x = sm.Variable("x", shape=(3,))
    y = function(x)
    points = np.array([-1.5, 0.0, 0.7])
    require(close(y.eval({x: points}), np.exp(-(points**2))), "Its values must be exp(-x²).")
    require(y.op is not None and len(y.inputs) == 1, "It must be one node on x.")
    require(y.inputs[0] is x, "It must be one node on x.")
    try:
        check_gradients(y, [x], at={x: points})
    except AssertionError as error:
        require(False, str(error))


@exercise("own op 3", "a function of a node")
def straight_through(function: Callable[..., Any]) -> None:
    """Rounding with the gradient of the identity: values are rounded, adjoints pass unchanged."""
    x = sm.Variable("x", shape=(3,))
    at = {x: [0.4, 1.6, -2.7]}
    require(close(function(x).eval(at), [0.0, 2.0, -3.0]), "Its values must be rounded.")
    slopes = sm.gradients(3 * function(x), x).eval(at)
    require(close(slopes, [3.0, 3.0, 3.0]), "The partial adjoint must be the adjoint itself.")
