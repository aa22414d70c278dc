"""Exercises on passes and plans."""

from __future__ import annotations

from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require
from symad.graph.traverse import topological_order


@exercise("passes 1", "a number")
def overflow_that_is_repaired(point: Any) -> None:
    """A number x such that NumPy's log(1 + exp(x)) is infinite, but the compiled one is right."""
    x = float(point)
    with np.errstate(over="ignore"):
        require(np.isinf(np.log(1 + np.exp(x))), "NumPy's result is finite here: try a larger x.")
    require(np.isfinite(x), "x itself must be finite.")
    v = sm.Variable("v")
    require(
        close(sm.compile([v], sm.log(1 + sm.exp(v)))(x), x),
        "The compiled function must be right at x.",
    )


@exercise("passes 2", "a pair (y, x) of nodes")
def fades_away(answer: Any) -> None:
    """A pair (y, x): at least three nodes compute y from x, and the passes leave only x."""
    y, x = answer
    count = sum(node.op is not None for node in topological_order([y]))
    require(count >= 3, f"y has {count} computed nodes: write at least three.")
    left = sm.compile([x], y).plan.instructions
    names = [step.node.op.name for step in left if step.node.op]
    require(not left, f"The passes do not remove {names}.")


@exercise("passes 3", "a pair (y, x) of nodes")
def shared_work(answer: Any) -> None:
    """A pair (y, x): the same expression is written twice in y, but computed once."""
    y, x = answer
    names = [node.op.name for node in topological_order([y]) if node.op is not None]
    twice = {name for name in names if names.count(name) == 2}
    plan = sm.compile([x], y, backend="numpy").plan
    run = [step.node.op.name for step in plan.instructions if step.node.op]
    require(twice, "No op is written exactly twice.")
    require(any(run.count(name) == 1 for name in twice), f"The function runs {run}.")
