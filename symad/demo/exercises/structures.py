"""Exercises on structures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require


@exercise("structures 1", "a list of keys")
def items_with_adjoints(keys: Any) -> None:
    """The keys of d for which the gradient of exp(d["a"]) * d["c"] is not zero."""
    nodes = {name: sm.Variable(name) for name in "abc"}
    d = sm.structure(nodes)
    v = sm.exp(d["a"]) * d["c"]
    at = {node: 1.0 for node in nodes.values()}
    found = sm.gradients(v, list(nodes.values()), unused="zero")
    expected = {name for name, g in zip(nodes, found, strict=True) if g.eval(at) != 0}
    require(set(keys) == expected, "Only items that v uses have a gradient.")


@exercise("structures 2", "a pair (y, xs)")
def nested_gradients(answer: Any) -> None:
    """A pair (y, xs) where xs is a dict with a list in it, and gradients have the same form."""
    y, xs = answer
    require(isinstance(xs, dict), "xs must be a dict.")
    require(any(isinstance(item, list) for item in xs.values()), "One item must be a list.")
    found = sm.gradients(y, xs)
    require(isinstance(found, dict) and found.keys() == xs.keys(), "The keys must be the same.")


@exercise("structures 3", "a function from sm.compile")
def compiled_structure(function: Callable[..., Any]) -> None:
    """A compiled function of x that returns {"value": Σx², "gradient": 2x}."""
    x = np.array([1.0, -2.0, 3.0])
    result = function(x)
    require(isinstance(result, dict), "It must return a dict.")
    require(result.keys() == {"value", "gradient"}, f"The keys are {sorted(result)}.")
    require(close(result["value"], 14.0), "The value at [1, -2, 3] is 14.")
    require(close(result["gradient"], 2 * x), "The gradient is 2x.")
