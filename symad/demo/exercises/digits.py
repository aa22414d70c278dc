"""Exercises on learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm
from symad.demo.exercises.answers import close, exercise, require
from symad.demo.models import initial_weights, softmax_loss


@exercise("digits 1", "a number")
def loss_of_ignorance(loss: Any) -> None:
    """The softmax loss of a classifier of 100 classes that gives each class the same score."""
    expected = softmax_loss(sm.zeros((1, 100)), sm.constant([0])).eval()
    require(abs(float(loss) - expected) < 1e-3, "It gives each class the probability 1/100.")


@exercise("digits 2", "a whole number")
def number_of_weights(count: Any) -> None:
    """How many weights does the 785-100-10 network have?"""
    expected = sum(weights.size for weights in initial_weights(785, 100, 10))
    require(int(count) == expected, "There are two matrices: 785 × 100 and 100 × 10.")


@exercise("digits 3", "a function of logits and labels")
def gradient_of_the_loss(rule: Callable[..., Any]) -> None:
    """A NumPy function of logits (n, k) and labels (n,): the gradient of the mean softmax loss."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    z = sm.Variable("z", shape=(6, 4))
    expected = sm.gradients(softmax_loss(z, sm.constant(labels)), z).eval({z: logits})
    require(
        close(rule(logits, labels), expected),
        "It is (softmax(z) - one_hot(labels)) / n: each row adds up to 0.",
    )
