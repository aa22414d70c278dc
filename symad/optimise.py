"""Optimisers as rules that return updates for ``compile``.

Each takes parameters and the gradients of a loss, as nodes, and returns a dict from each parameter
to its new value, and from each parameter that holds state of the optimiser to its new value::

    gradients = sm.gradients(loss, weights)
    step = sm.compile([x, labels], loss, updates=sm.optimise.adam(weights, gradients, 1e-3))

A learning rate may be a number, a node such as :func:`cosine_decay` of a step that is counted, or a
parameter whose value you change.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.errors import GraphTypeError
from symad.functions.absent import absent
from symad.graph.nested import leaves, map_leaves, matching_leaves
from symad.graph.node import Node, Parameter
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.arithmetic import sqrt, square
from symad.ops.base import Operand, as_node, wide_dtype
from symad.ops.comparison import clip, minimum
from symad.ops.exponential import expm1
from symad.ops.reduce import sum
from symad.ops.trigonometric import cos

__all__ = [
    "adagrad", "adam", "adamw", "clip_by_global_norm", "cosine_decay", "momentum", "rmsprop", "sgd",
]  # fmt: skip

Updates = dict[Parameter, Node]


@explained
def sgd(parameters: Any, gradients: Any, learning_rate: Operand = 0.01) -> Updates:
    """Return the updates of gradient descent: w - rate · g.

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", 4.0)
    >>> step = sm.compile([], w, updates=sm.optimise.sgd(w, sm.gradients(w**2, w), 0.25))
    >>> [float(step()) for _ in range(4)]
    [4.0, 2.0, 1.0, 0.5]
    """
    return {w: _moved(w, learning_rate, g) for w, g in _pairs(parameters, gradients)}


@explained
def momentum(
    parameters: Any,
    gradients: Any,
    learning_rate: Operand = 0.01,
    decay: Operand = 0.9,
    nesterov: bool = False,
) -> Updates:
    """Return the updates of gradient descent with momentum: v ← decay · v + g, w ← w - rate · v.

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node
    decay : number or node
    nesterov : bool
        Whether w ← w - rate · (g + decay · v).

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", 1.0)
    >>> updates = sm.optimise.momentum(w, sm.gradients(3 * w, w), 0.1)
    >>> [parameter.name for parameter in updates]
    ['w', 'velocity of w']
    """
    updates: Updates = {}
    for w, g in _pairs(parameters, gradients):
        velocity = _state("velocity", w)
        new = velocity * decay + g
        updates[w] = _moved(w, learning_rate, g + new * decay if nesterov else new)
        updates[velocity] = new
    return updates


@explained
def adam(
    parameters: Any,
    gradients: Any,
    learning_rate: Operand = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Updates:
    """Return the updates of Adam: w - rate · m / (√v + epsilon), with bias-corrected means.

    m is a moving mean of gradients, and v of their squares.

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node
    beta1, beta2 : float
        How much of the moving means is kept in a step.
    epsilon : float

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Notes
    -----
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", [1.0, -2.0])
    >>> loss = sm.sum(w**2)
    >>> step = sm.compile([], loss, updates=sm.optimise.adam(w, sm.gradients(loss, w), 0.1))
    >>> [round(float(step()), 3) for _ in range(3)]
    [5.0, 4.42, 3.881]
    """
    return adamw(parameters, gradients, learning_rate, beta1, beta2, epsilon, weight_decay=0.0)


@explained
def adamw(
    parameters: Any,
    gradients: Any,
    learning_rate: Operand = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> Updates:
    """Return the updates of Adam, where each step also takes rate · weight_decay · w off w.

    Otherwise as :func:`symad.optimise.adam`.

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node
    beta1, beta2 : float
        How much of the moving means is kept in a step.
    epsilon : float
    weight_decay : float

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Notes
    -----
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", 1.0)
    >>> step = sm.compile([], w, updates=sm.optimise.adamw(w, 0 * w, 0.5, weight_decay=0.2))
    >>> [round(float(step()), 3) for _ in range(3)]
    [1.0, 0.9, 0.81]
    """
    count = Parameter("steps of Adam", 0)
    steps = count + 1
    updates: Updates = {count: steps}
    for w, g in _pairs(parameters, gradients):
        mean, power = _state("mean gradient", w), _state("mean squared gradient", w)
        updates[mean] = mean * beta1 + g * (1 - beta1)
        updates[power] = power * beta2 + square(g) * (1 - beta2)
        first, second = (cast(_kept(beta, steps), w.dtype) for beta in (beta1, beta2))
        direction = updates[mean] / first / (sqrt(updates[power] / second) + epsilon)
        updates[w] = _moved(
            w, learning_rate, direction + w * weight_decay if weight_decay else direction
        )
    return updates


def _kept(beta: float, steps: Node) -> Node:
    """Return 1 - beta^steps, without loss: the sum of the weights in a moving mean."""
    return -expm1(cast(steps, "float64") * (math.log(beta) if beta else -math.inf))


@explained
def rmsprop(
    parameters: Any,
    gradients: Any,
    learning_rate: Operand = 0.01,
    decay: float = 0.99,
    epsilon: float = 1e-8,
) -> Updates:
    """Return the updates of RMSProp: w - rate · g / (√v + epsilon), v a moving mean of g².

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node
    decay : float
        How much of the moving mean is kept in a step.
    epsilon : float

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", 1.0)
    >>> step = sm.compile([], w, updates=sm.optimise.rmsprop(w, sm.gradients(5 * w, w)))
    >>> [round(float(step()), 3) for _ in range(3)]
    [1.0, 0.9, 0.829]
    """
    updates: Updates = {}
    for w, g in _pairs(parameters, gradients):
        power = _state("mean squared gradient", w)
        updates[power] = power * decay + square(g) * (1 - decay)
        updates[w] = _moved(w, learning_rate, g / (sqrt(updates[power]) + epsilon))
    return updates


@explained
def adagrad(
    parameters: Any, gradients: Any, learning_rate: Operand = 0.01, epsilon: float = 1e-10
) -> Updates:
    """Return the updates of Adagrad: w - rate · g / (√v + epsilon), v the sum of all g².

    Parameters
    ----------
    parameters : Parameter, or nested structure of these
    gradients : Node, or structure of nodes like that of the parameters
    learning_rate : number or node
    epsilon : float

    Raises
    ------
    GraphTypeError
        If a parameter is not a floating one, or has no gradient.

    Examples
    --------
    >>> import symad as sm
    >>> w = sm.parameter("w", 1.0)
    >>> step = sm.compile([], w, updates=sm.optimise.adagrad(w, sm.gradients(5 * w, w), 0.1))
    >>> [round(float(step()), 3) for _ in range(3)]
    [1.0, 0.9, 0.829]
    """
    updates: Updates = {}
    for w, g in _pairs(parameters, gradients):
        power = _state("sum of squared gradients", w)
        updates[power] = power + square(g)
        updates[w] = _moved(w, learning_rate, g / (sqrt(updates[power]) + epsilon))
    return updates


@explained
def clip_by_global_norm(gradients: Any, limit: Operand) -> Any:
    """Return gradients, all scaled down together if their norm exceeds a limit.

    Parameters
    ----------
    gradients : Node, or nested structure of nodes
    limit : number or node
        The largest root of the sum of all squares.

    Returns
    -------
    Node or structure
        As ``gradients``.

    Examples
    --------
    >>> import symad as sm
    >>> g = [sm.constant([3.0, 0.0]), sm.constant(4.0)]
    >>> [node.eval() for node in sm.optimise.clip_by_global_norm(g, 1.0)]
    [array([0.6, 0. ]), np.float64(0.8)]
    """
    nodes = [as_node(g) for g in leaves(gradients)]
    squares = [sum(square(cast(g, wide_dtype(g.dtype)))) for g in nodes]
    if not squares:
        return gradients
    scale = minimum(1, limit / sqrt(reduce(add, squares)))
    return map_leaves(lambda g: g * cast(scale, g.dtype), gradients)


@explained
def cosine_decay(step: Operand, steps: int, initial: float, final: float = 0.0) -> Node:
    """Return a learning rate that falls from ``initial`` to ``final`` along half a cosine.

    Parameters
    ----------
    step : integer node
        The number of steps made, such as a parameter that the function counts up.
    steps : int
        After as many steps, the rate stays at ``final``.
    initial, final : float

    Examples
    --------
    >>> import symad as sm
    >>> count = sm.parameter("step", 0)
    >>> rate = sm.optimise.cosine_decay(count, 2, 0.1)
    >>> f = sm.compile([], rate, updates={count: count + 1})
    >>> [round(float(f()), 6) for _ in range(4)]
    [0.1, 0.05, 0.0, 0.0]
    """
    share = clip(cast(as_node(step), "float64") / steps, 0, 1)
    result: Node = final + (initial - final) * (0.5 + 0.5 * cos(math.pi * share))
    return result


def _pairs(parameters: Any, gradients: Any) -> list[tuple[Parameter, Node]]:
    targets = list(leaves(parameters))
    given = matching_leaves(parameters, gradients, "gradients", GraphTypeError)
    for w, g in zip(targets, given, strict=True):
        if not isinstance(w, Parameter) or w.dtype.kind != "f":
            raise GraphTypeError(
                f"{w!r} is not a floating parameter, which an optimiser updates",
                remedy='Make one: sm.parameter("w", initial_value).',
            )
        if not isinstance(g, Node):
            raise GraphTypeError(f"{w.label} has no gradient but {g!r}")
    return list(zip(targets, given, strict=True))


def _state(what: str, w: Parameter) -> Parameter:
    return Parameter(f"{what} of {w.name}", np.zeros_like(w.value))


def _moved(w: Parameter, rate: Operand, direction: Node) -> Node:
    step: Node = as_node(rate, w) if not isinstance(rate, Node) else cast(rate, w.dtype)
    result: Node = w - step * direction
    return result


if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
