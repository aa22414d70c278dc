"""Losses: each is a mean over the elements, unless ``reduction`` says otherwise."""

from __future__ import annotations

from typing import Literal

from symad.errors import GraphTypeError
from symad.graph.node import Node, reporting
from symad.graph.op import explained
from symad.nn.activations import floating
from symad.ops.adjoint import cast
from symad.ops.arithmetic import abs, square
from symad.ops.base import Operand, as_node, as_nodes
from symad.ops.comparison import equal, where
from symad.ops.exponential import exp, softplus
from symad.ops.gather import take_along_axis
from symad.ops.nn import log_softmax
from symad.ops.reduce import mean, sum
from symad.ops.shape import expand_dims, squeeze
from symad.ops.special_logarithms import xlogy

Kind = Literal["mean", "sum", "none"]


def _reduced(losses: Node, reduction: Kind) -> Node:
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise GraphTypeError(
            f"there is no reduction {reduction!r}", remedy="Use 'mean', 'sum' or 'none'."
        )
    return mean(losses) if reduction == "mean" else sum(losses)


@explained
def cross_entropy(
    logits: Operand,
    targets: Operand,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Kind = "mean",
) -> Node:
    """Return the cross entropy -Σ p ln softmax(logits) of targets.

    Parameters
    ----------
    logits : node or array
    targets : node or array
        Integers, the class of each example, with the shape of ``logits`` without ``axis``; or
        probabilities p of all classes, with that shape.
    axis : int
        The axis of the classes.
    label_smoothing : float
        How much of each target is spread over all classes evenly.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import symad as sm
    >>> logits = sm.constant([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> sm.nn.cross_entropy(logits, [0, 1]).eval().round(6)
    np.float64(0.167234)
    >>> sm.nn.cross_entropy(logits, [0, 1], reduction="none").eval().round(6)
    array([0.239545, 0.094923])
    """
    logs, wanted = log_softmax(logits, axis), as_node(targets)
    if wanted.dtype.kind == "f":
        losses: Node = -sum(wanted * logs, axis)
    else:
        losses = nll(logs, wanted, axis, "none")
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * mean(logs, axis)
    return _reduced(losses, reduction)


@explained
def nll(
    log_probabilities: Operand, labels: Operand, axis: int = -1, reduction: Kind = "mean"
) -> Node:
    """Return minus the logarithms of the probabilities of labels.

    Parameters
    ----------
    log_probabilities : node or array
    labels : integer node or array
        The class of each example, with the shape of ``log_probabilities`` without ``axis``.
    axis : int
        The axis of the classes.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    GraphTypeError
        If the labels are not integers.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.nll(sm.log([[0.5, 0.5], [0.25, 0.75]]), [0, 1], reduction="none").eval()
    array([0.69314718, 0.28768207])
    """
    logs, classes = as_node(log_probabilities), as_node(labels)
    with reporting("nll", logs, classes):
        if classes.dtype.kind not in "iu":
            raise GraphTypeError(f"labels must be integers, not {classes.dtype}")
    chosen = squeeze(take_along_axis(logs, expand_dims(classes, axis), axis), axis)
    return _reduced(-chosen, reduction)


@explained
def binary_cross_entropy_with_logits(
    logits: Operand, targets: Operand, pos_weight: Operand = 1.0, reduction: Kind = "mean"
) -> Node:
    """Return -t ln σ(z) - (1 - t) ln σ(-z) for logits z and targets t, without loss of digits.

    Parameters
    ----------
    logits : node or array
    targets : node or array
        Probabilities, or labels that are 0 and 1 or booleans.
    pos_weight : number, array or node
        Multiplies the first term, to give positive examples more weight.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.binary_cross_entropy_with_logits(
    ...     sm.constant([0.0, 100.0, 40.0]), [1, 0, 1], reduction="none"
    ... ).eval()
    array([6.93147181e-01, 1.00000000e+02, 4.24835426e-18])
    """
    z = floating(logits)
    t = cast(as_node(targets), z.dtype)
    losses: Node = pos_weight * t * softplus(-z) + (1 - t) * softplus(z)
    return _reduced(losses, reduction)


@explained
def mse(predictions: Operand, targets: Operand, reduction: Kind = "mean") -> Node:
    """Return squared differences.

    Parameters
    ----------
    predictions, targets : node or array
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.mse(sm.constant([1.0, 2.0]), [1.0, 4.0]).eval()
    np.float64(2.0)
    """
    a, b = as_nodes(predictions, targets)
    return _reduced(square(a - b), reduction)


@explained
def l1(predictions: Operand, targets: Operand, reduction: Kind = "mean") -> Node:
    """Return absolute differences.

    Parameters
    ----------
    predictions, targets : node or array
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.l1(sm.constant([1.0, 2.0]), [1.0, 4.0]).eval()
    np.float64(1.0)
    """
    a, b = as_nodes(predictions, targets)
    return _reduced(abs(a - b), reduction)


@explained
def huber(
    predictions: Operand, targets: Operand, delta: Operand = 1.0, reduction: Kind = "mean"
) -> Node:
    """Return half of the squared differences, continued linearly where they exceed ``delta``.

    Parameters
    ----------
    predictions, targets : node or array
    delta : number or node
        Positive.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.huber(sm.constant([0.5, 3.0]), [0.0, 0.0], reduction="none").eval()
    array([0.125, 2.5  ])
    """
    a, b = as_nodes(predictions, targets)
    error = a - b
    size = abs(error)
    limit = as_node(delta, a)
    inside, outside = 0.5 * square(error), limit * (size - 0.5 * limit)
    return _reduced(where(size <= limit, inside, outside), reduction)


@explained
def kl_divergence(
    log_predictions: Operand,
    targets: Operand,
    axis: int = -1,
    log_targets: bool = False,
    reduction: Kind = "mean",
) -> Node:
    """Return the divergence Σ p (ln p - ln q) of distributions q from target distributions p.

    Parameters
    ----------
    log_predictions : node or array
        ln q, such as :func:`symad.log_softmax` gives.
    targets : node or array
        p, or ln p.  A probability p of 0 adds nothing, and has the derivative -∞.
    axis : int
        The axis along which the probabilities add up to 1.
    log_targets : bool
        Whether the targets are logarithms.
    reduction : {"mean", "sum", "none"}
        Over the distributions.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.kl_divergence(sm.log([[0.5, 0.5]]), sm.constant([[1.0, 0.0]])).eval()
    np.float64(0.69314718)
    """
    logs, p = as_nodes(log_predictions, targets)
    if log_targets:
        terms = where(equal(exp(p), 0), 0, exp(p) * (p - logs))
    else:
        terms = cast(xlogy(p, p), p.dtype) - where(equal(p, 0), 0, p * logs)
    return _reduced(sum(terms, axis), reduction)
