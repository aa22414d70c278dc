"""Exercises on passes and plans."""

from __future__ import annotations

from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require
from symad.graph.traverse import topological_order


@exercise("passes 1")
def overflow_that_is_repaired(point: Any) -> None:
    """A number x for which NumPy's log(1 + exp(x)) is infinite, and the compiled one is right."""
    x = float(point)
    with np.errstate(over="ignore"):
        require(np.isinf(np.log(1 + np.exp(x))), "NumPy copes with that one: go further.")
    require(np.isfinite(x), "x itself must be finite.")
    v = sm.Variable("v")
    require(close(sm.compile([v], sm.log(1 + sm.exp(v)))(x), x), "It must come out right.")


@exercise("passes 2")
def fades_away(answer: Any) -> None:
    """A pair (y, x): y is computed from x by three nodes and more, and the passes leave x alone."""
    y, x = answer
    count = sum(node.op is not None for node in topological_order([y]))
    require(count >= 3, f"These are {count} computed nodes: write at least three.")
    left = sm.compile([x], y).plan.instructions
    require(not left, f"{[step.node.op.name for step in left if step.node.op]} is left.")


@exercise("passes 3")
def shared_work(answer: Any) -> None:
    """A pair (y, x): the same expression is written twice in y, and computed once."""
    y, x = answer
    names = [node.op.name for node in topological_order([y]) if node.op is not None]
    twice = {name for name in names if names.count(name) == 2}
    plan = sm.compile([x], y, backend="numpy").plan
    run = [step.node.op.name for step in plan.instructions if step.node.op]
    require(twice, "No op is written just twice.")
    require(any(run.count(name) == 1 for name in twice), f"What runs is {run}.")
