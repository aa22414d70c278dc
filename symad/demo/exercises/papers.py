"""Exercises on gradients that papers publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require


@exercise("paper 1", "a whole number")
def products_of_attention(count: Any) -> None:
    """The matrix products of attention and its three gradients, together."""
    require(int(count) == count == 6, "Two in the forward part, and two for each of them.")


@exercise("paper 2", "a function of an array and a number")
def contrastive(rule: Callable[..., Any]) -> None:
    """The gradient of the contrastive loss: a function of similarities (n, n) and τ."""
    similarities = np.random.default_rng(0).normal(size=(4, 4))
    for temperature in (1.0, 0.3):
        s = sm.Variable("s", shape=(4, 4))
        loss = sm.mean(sm.logsumexp(s / temperature, axis=1) - sm.diagonal(s) / temperature)
        expected = sm.gradients(loss, s).eval({s: similarities})
        hint = "Each row is softmax minus the unit vector of the pair, divided by n τ."
        require(close(rule(similarities, temperature), expected), hint)


@exercise("paper 3", "a function of two arrays that returns a pair")
def divergence(rule: Callable[..., Any]) -> None:
    """The gradients of the KL divergence of a VAE by μ and ln σ²: a function of the two arrays."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 5))
    mu, logvar = sm.Variable("mu", shape=(5,)), sm.Variable("logvar", shape=(5,))
    loss = -sm.sum(1 + logvar - mu**2 - sm.exp(logvar)) / 2
    at = {mu: values[0], logvar: values[1]}
    first, second = rule(*values)
    require(close(first, sm.gradients(loss, mu).eval(at)), "The gradient by μ is μ.")
    require(close(second, sm.gradients(loss, logvar).eval(at)), "That by ln σ² is (σ² - 1) / 2.")
