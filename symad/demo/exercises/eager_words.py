"""Exercises on eager tensors and lazy graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.eager import Tensor
from symad.demo.exercises.answers import close, exercise, require


@exercise("eager 1", "a number")
def two_calls_of_backward(grad: Any) -> None:
    """x.grad after (x**2).backward() and (5 * x).backward(), at x = 3."""
    x = Tensor(3.0, requires_grad=True)
    (x**2).backward()
    (5 * x).backward()
    assert x.grad is not None
    require(close(grad, x.grad.item()), "The second call adds to what the first has left.")


@exercise("eager 2", "a function of a tensor and a list of arrays")
def accumulated(function: Callable[..., Any]) -> None:
    """A function of w and micro-batches: w.grad becomes that of the mean of (X @ w)² over all."""
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(9, 3))
    w, v = (Tensor([1.0, -2.0, 0.5], requires_grad=True) for _ in range(2))
    function(w, [whole[:2], whole[2:6], whole[6:]])
    ((Tensor(whole) @ v) ** 2).mean().backward()
    assert v.grad is not None
    require(w.grad is not None, "w.grad is None: call backward() of each part.")
    assert w.grad is not None
    require(close(w.grad.numpy(), v.grad.numpy()), "Divide each sum by the number of all rows.")


@exercise("eager 3", "a function from eager.compile")
def compiled_step(function: Any) -> None:
    """A compiled function of X and w, for any number of rows: w minus 0.1 times the gradient."""
    require(isinstance(function, sm.Function), "It must come from eager.compile.")
    rng = np.random.default_rng(0)
    for rows in (2, 5):
        x, w = rng.normal(size=(rows, 3)), rng.normal(size=3)
        gradient = 2 * x.T @ (x @ w) / rows
        hint = f"It is wrong for {rows} rows: w - 0.1 * w.grad, where the loss is mean (X @ w)²."
        require(close(function(x, w), w - 0.1 * gradient), hint)
