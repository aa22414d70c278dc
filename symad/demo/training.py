"""Training loops: one compiled step, fed batch after batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import symad as sm
from symad.demo.models import Array, Model, accuracy, softmax_regression, two_layer_network
from symad.errors import FeedError


def gradient_step(model: Model, learning_rate: float) -> sm.Function:
    """Return the step W ← W − learning_rate · W̄ for all parameters of ``model``, compiled.

    Its inputs are images and labels; its outputs are the loss and the accuracy before the step.  It
    takes batches of any size.
    """
    slopes = sm.gradients(model.loss, model.parameters)
    return sm.compile(
        [model.images, model.labels],
        (model.loss, accuracy(model.logits, model.labels)),
        updates=sm.optimise.sgd(model.parameters, slopes, learning_rate),
        name="gradient_step",
    )


def run_epoch(step: sm.Function, images: Array, labels: Array, batch: int) -> float:
    """Feed all images to ``step`` once, in order, and return the mean loss per image.

    The last batch is smaller if ``batch`` does not divide the number of images.

    Raises
    ------
    FeedError
        If there are no images, if the numbers of images and labels differ, or if ``batch`` is not
        positive.
    """
    if not 0 < len(images) == len(labels) or batch < 1:
        raise FeedError(
            f"{len(images)} images and {len(labels)} labels cannot make batches of {batch}",
            remedy="There must be a label for each image, at least one image, and batch >= 1.",
        )
    total = 0.0
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        loss, _ = step(images[part], labels[part])
        total += float(loss) * len(labels[part])
    return total / len(images)


def softmax_regression_epoch(
    images: Array, labels: Array, weights: Array, learning_rate: float = 0.5, batch: int = 100
) -> Array:
    """Return the weights of :func:`softmax_regression` after one epoch of gradient descent.

    Parameters
    ----------
    images : array of shape (n, pixels) and the dtype of the weights
    labels : integer array of shape (n,)
    weights : array of shape (pixels, classes)
        Not changed.
    learning_rate : float
    batch : int
    """
    model = softmax_regression(weights)
    run_epoch(gradient_step(model, learning_rate), images, labels, batch)
    return model.parameters[0].value


def nn_epoch(
    images: Array,
    labels: Array,
    weights1: Array,
    weights2: Array,
    learning_rate: float = 0.1,
    batch: int = 100,
) -> tuple[Array, Array]:
    """Return W1 and W2 of the network ReLU(X W1) W2 after one epoch of gradient descent.

    For several epochs, compile the step once: see :func:`gradient_step` and :func:`run_epoch`.

    Parameters
    ----------
    images : array of shape (n, pixels) and the dtype of the weights
    labels : integer array of shape (n,)
    weights1, weights2 : arrays of shape (pixels, hidden) and (hidden, classes)
        Not changed.
    learning_rate : float
    batch : int
    """
    model = two_layer_network(weights1, weights2)
    run_epoch(gradient_step(model, learning_rate), images, labels, batch)
    first, second = model.parameters
    return first.value, second.value


def full_batch_descent(
    model: Model,
    images: Array,
    labels: Array,
    learning_rate: float,
    epochs: int = 50,
    report: Callable[[str], object] = print,
) -> list[tuple[float, float]]:
    """Run gradient descent on all images at once, and report each epoch.

    Returns
    -------
    list of (loss, accuracy)
        For each epoch, before its step.
    """
    step = gradient_step(model, learning_rate)
    history = []
    for epoch in range(1, epochs + 1):
        loss, correct = map(float, step(images, labels))
        history.append((loss, correct))
        report(f"epoch {epoch:2}: loss {loss:.4f}, accuracy {correct:.1%}")
    return history


def logistic_regression(
    features: Array, labels: Array, learning_rate: float = 1.0, steps: int = 100
) -> tuple[Array, list[float]]:
    """Fit P(label = 1) = σ(X w) by gradient descent, with an :class:`~symad.Executor`.

    The weights are variables of the Python loop and are fed in each step, as any node may be.

    Parameters
    ----------
    features : float64 array of shape (n, k)
    labels : array of shape (n,)
        Zeros and ones.
    learning_rate : float
    steps : int

    Returns
    -------
    weights : array of shape (k,)
    losses : list of float
        The mean of −ln P(label), before each step.
    """
    x = sm.Variable("X", ("n", features.shape[1]))
    y, w = sm.Variable("y", ("n",)), sm.Variable("w", (features.shape[1],))
    score = x @ w
    loss = sm.mean(sm.softplus(score) - y * score)  # softplus z − y z = −ln P(y)
    executor = sm.Executor([loss, sm.gradients(loss, w)])
    weights, losses = np.zeros(features.shape[1]), []
    for _ in range(steps):
        value, slope = executor.run({x: features, y: labels, w: weights})
        weights = weights - learning_rate * slope
        losses.append(float(value))
    return weights, losses
