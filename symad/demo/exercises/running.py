"""Exercises on the running example and its traces."""

from __future__ import annotations

from typing import Any

import symad as sm
from symad.demo.examples import running_example
from symad.demo.exercises.answers import adjoint_of, close, exercise, require


@exercise("running 1", "a pair of numbers")
def terms_of_the_adjoint(terms: Any) -> None:
    """The two terms of the adjoint of x2 at (2, 5)."""
    x1, x2, y = running_example()
    partials = sm.extend(y, [x2]).partials
    expected = [p.eval({x1: 2.0, x2: 5.0}) for edge, p in partials.items() if edge.source is x2]
    require(
        close(sorted(map(float, terms)), sorted(expected)),
        "The product and the sine use x2: there is one term for each.",
    )


@exercise("running 2", "a pair (x1, x2) of numbers")
def stationary_in_x1(point: Any) -> None:
    """A point (x1, x2) where y does not change with x1, to first order."""
    x1, x2, y = running_example()
    a, b = map(float, point)
    require(a > 0, "The logarithm needs a positive x1.")
    slope = sm.gradients(y, x1).eval({x1: a, x2: b})
    require(abs(slope) < 1e-9, f"The derivative there is {slope:.3g}: 1/x1 + x2 must be 0.")


@exercise("running 3", "a pair (y, x) of nodes")
def three_pathways(answer: Any) -> None:
    """A pair (y, x) where the adjoint of x is a sum of three partial adjoints."""
    y, x = answer
    adjoint = adjoint_of(y, x)
    name = adjoint.op.name if adjoint.op else "a leaf"
    require(
        name == "add_n" and len(adjoint.inputs) == 3,
        f"The adjoint is {name} with {len(adjoint.inputs)} inputs: use x in three places.",
    )
