"""Models of the lecture as graphs; each builder returns its nodes, for training or drawing.

The first axis of the images is the batch, which may have any size.  Weights are parameters: state
that a compiled step updates.  Their initial values are the arrays passed to the builder, and the
network computes in the dtype of these arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import symad as sm
from symad.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Model:
    """The nodes of a classifier.

    Attributes
    ----------
    images, labels : Variable
        The inputs.
    parameters : tuple of Parameter
        The weights to train.
    logits : Node of shape (batch, classes)
        The scores z of the classes.
    loss : Node, a scalar
    """

    images: sm.Variable
    labels: sm.Variable
    parameters: tuple[sm.Parameter, ...]
    logits: sm.Node
    loss: sm.Node


def initial_weights(*sizes: int, seed: int = 0) -> list[Array]:
    """Return a float32 matrix for each pair of neighbours in ``sizes``.

    The entries are normally distributed with the variance 2 / inputs, which preserves the size of
    signals from layer to layer if each layer is followed by a ReLU (He et al. 2015).

    Examples
    --------
    >>> [weight.shape for weight in initial_weights(784, 100, 10)]
    [(784, 100), (100, 10)]
    """
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)).astype(np.float32)
        for inputs, outputs in zip(sizes, sizes[1:], strict=False)
    ]


def softmax_loss(logits: sm.Node, labels: sm.Node) -> sm.Node:
    """Return the mean over the batch of log Σ_k exp z_k − z_y.

    Parameters
    ----------
    logits : Node of shape (batch, classes)
    labels : integer Node of shape (batch,)

    Examples
    --------
    >>> loss = softmax_loss(sm.zeros((4, 10)), sm.constant([3, 1, 4, 1]))
    >>> print(f"{loss.eval():.6f}")  # ln 10
    2.302585
    """
    return sm.mean(sm.logsumexp(logits, axis=1) - _of_label(logits, labels))


def cross_entropy(probabilities: sm.Node, labels: sm.Node) -> sm.Node:
    """Return the mean over the batch of −ln p_y.

    It is infinite where a p_y is 0: :func:`softmax_loss` avoids this by never computing p.

    Parameters
    ----------
    probabilities : Node of shape (batch, classes)
    labels : integer Node of shape (batch,)
    """
    return -sm.mean(_of_label(sm.log(probabilities), labels))


def accuracy(logits: sm.Node, labels: sm.Node) -> sm.Node:
    """Return the fraction of the batch whose largest logit is that of the label."""
    return sm.mean(sm.equal(sm.argmax(logits, axis=1), labels))


def _of_label(rows: sm.Node, labels: sm.Node) -> sm.Node:
    """Return, from each row, the entry of its label."""
    column = sm.take_along_axis(rows, sm.expand_dims(labels, 1), axis=1)
    return sm.squeeze(column, 1)


def softmax_regression(weights: Array) -> Model:
    """Return the model z = X W with the softmax loss."""
    images, labels = _inputs(weights)
    weight = sm.parameter("W", weights)
    logits = images @ weight
    return Model(images, labels, (weight,), logits, softmax_loss(logits, labels))


def two_layer_network(weights1: Array, weights2: Array) -> Model:
    """Return the network z = ReLU(X W1) W2, without bias, with the softmax loss."""
    images, labels = _inputs(weights1)
    weight1, weight2 = sm.parameter("W1", weights1), sm.parameter("W2", weights2)
    logits = sm.relu(images @ weight1) @ weight2
    return Model(images, labels, (weight1, weight2), logits, softmax_loss(logits, labels))


def layered_network(weights1: Array, weights2: Array) -> Model:
    """Return the network ReLU(X W1) W2 with softmax, logarithm and cross-entropy as layers.

    The bias is the row of W1 that multiplies a column of ones in X: see :func:`with_ones`.
    """
    images, labels = _inputs(weights1)
    weight1, weight2 = sm.parameter("W1", weights1), sm.parameter("W2", weights2)
    with sm.scope("hidden"):
        hidden = sm.relu(images @ weight1)
    with sm.scope("output"):
        logits = hidden @ weight2
        probabilities = sm.softmax(logits, axis=1)
    with sm.scope("cross-entropy"):
        loss = cross_entropy(probabilities, labels)
    return Model(images, labels, (weight1, weight2), logits, loss)


def with_ones(images: Array) -> Array:
    """Return images of shape (n, pixels) with a column of ones: (n, pixels + 1)."""
    return np.concatenate([images, np.ones((len(images), 1), images.dtype)], axis=1)


def regularised_network(weights1: Array, weights2: Array, strength: float) -> Model:
    """Return the network o = W2 ReLU(W1 x) with the loss J = L + λ/2 (‖W1‖² + ‖W2‖²).

    Here images are columns: ``images`` has the shape (pixels, batch), W1 (hidden, pixels), W2
    (classes, hidden).  With z = W1 x and h = ReLU(z), the gradients are W̄2 = Ō hᵀ + λ W2 and
    W̄1 = Z̄ xᵀ + λ W1.

    Parameters
    ----------
    weights1, weights2 : arrays
    strength : float
        λ.
    """
    images = sm.Variable("x", (weights1.shape[1], "batch"), weights1.dtype)
    labels = sm.Variable("y", ("batch",), "int64")
    weight1, weight2 = sm.parameter("W1", weights1), sm.parameter("W2", weights2)
    logits = (weight2 @ sm.relu(weight1 @ images)).T
    with sm.scope("loss"):
        loss = softmax_loss(logits, labels)
    with sm.scope("penalty"):
        squares = sm.sum(sm.square(weight1)) + sm.sum(sm.square(weight2))
        penalty = strength / 2 * squares
    return Model(images, labels, (weight1, weight2), logits, loss + penalty)


def _inputs(weights: Array) -> tuple[sm.Variable, sm.Variable]:
    images = sm.Variable("X", ("batch", weights.shape[0]), weights.dtype)
    return images, sm.Variable("y", ("batch",), "int64")
