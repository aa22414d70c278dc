"""Activation functions, element by element."""

from __future__ import annotations

import math

from symad.graph.node import Node
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.arithmetic import abs, sign
from symad.ops.base import Operand, as_node, float_dtype
from symad.ops.comparison import relu, where
from symad.ops.exponential import expm1, sigmoid, softplus
from symad.ops.join import split
from symad.ops.special import erfc
from symad.ops.trigonometric import tanh

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def floating(x: Operand) -> Node:
    """Return ``x`` as a floating node: integers and booleans become float64."""
    node = as_node(x)
    return cast(node, float_dtype(node.dtype))


@explained
def gelu(x: Operand, approximate: bool = False) -> Node:
    """Return x Φ(x), where Φ is the distribution function of the standard normal distribution.

    Parameters
    ----------
    x : node, number or array
    approximate : bool
        Whether to compute x σ(2 √(2/π) (x + 0.044715 x³)) instead, the form with tanh.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.gelu(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-0.15865525,  0.        ,  0.84134475])
    """
    x = floating(x)
    result: Node
    if approximate:
        result = x * sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * (x * x * x)))
    else:
        result = x * (0.5 * cast(erfc(x * -math.sqrt(0.5)), x.dtype))
    return result


@explained
def silu(x: Operand) -> Node:
    """Return x σ(x), also called swish.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.silu(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-0.26894142,  0.        ,  0.73105858])
    """
    x = floating(x)
    result: Node = x * sigmoid(x)
    return result


swish = silu


@explained
def mish(x: Operand) -> Node:
    """Return x tanh(softplus(x)).

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.mish(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-0.30340146,  0.        ,  0.86509839])
    """
    x = floating(x)
    result: Node = x * tanh(softplus(x))
    return result


def _joined(x: Node, left: Node, slope: Operand) -> Node:
    """Return ``x`` where it is positive, else ``left``, whose derivative at 0 is ``slope``."""
    prefers_right = not isinstance(slope, Node) and slope >= 1  # type: ignore[operator]
    return where(x >= 0 if prefers_right else x > 0, x, left)


@explained
def leaky_relu(x: Operand, negative_slope: Operand = 0.01) -> Node:
    """Return ``x`` where it is positive, else ``negative_slope`` times ``x``.

    Parameters
    ----------
    x : node, number or array
    negative_slope : number or node
        Also the derivative at 0, unless it is a number above 1.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.leaky_relu(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-0.01,  0.  ,  1.  ])
    """
    x = floating(x)
    return _joined(x, x * negative_slope, negative_slope)


@explained
def elu(x: Operand, alpha: Operand = 1.0) -> Node:
    """Return ``x`` where it is positive, else ``alpha`` (e^x - 1).

    Parameters
    ----------
    x : node, number or array
    alpha : number or node

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.elu(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-0.63212056,  0.        ,  1.        ])
    """
    x = floating(x)
    return _joined(x, expm1(x) * alpha, alpha)


@explained
def celu(x: Operand, alpha: Operand = 1.0) -> Node:
    """Return ``x`` where it is positive, else ``alpha`` (e^(x / alpha) - 1).

    Parameters
    ----------
    x : node, number or array
    alpha : number or node
        Not 0.  The derivative is continuous.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.celu(sm.constant([-1.0, 0.0, 1.0]), 2.0).eval()
    array([-0.78693868,  0.        ,  1.        ])
    """
    x = floating(x)
    return _joined(x, expm1(x / alpha) * alpha, 1)


@explained
def selu(x: Operand) -> Node:
    """Return :func:`symad.nn.elu` with the scale and alpha that keep mean 0 and variance 1.

    Parameters
    ----------
    x : node, number or array

    Notes
    -----
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.selu(sm.constant([-1.0, 0.0, 1.0])).eval()
    array([-1.11133074,  0.        ,  1.05070099])
    """
    result: Node = elu(x, _SELU_ALPHA) * _SELU_SCALE
    return result


@explained
def log_sigmoid(x: Operand) -> Node:
    """Return ln σ(x), without loss for large negative or positive ``x``.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.log_sigmoid(sm.constant([-1000.0, 0.0])).eval()
    array([-1.00000000e+03, -6.93147181e-01])
    """
    return -softplus(-floating(x))


@explained
def hard_sigmoid(x: Operand) -> Node:
    """Return x/6 + 1/2, limited to [0, 1].

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.hard_sigmoid(sm.constant([-4.0, 0.0, 1.5, 4.0])).eval()
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    result: Node = relu6(floating(x) + 3) / 6
    return result


@explained
def hard_tanh(x: Operand) -> Node:
    """Return ``x`` limited to [-1, 1]; the derivative at the limits is 0.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.hard_tanh(sm.constant([-4.0, 0.5, 4.0])).eval()
    array([-1. ,  0.5,  1. ])
    """
    x = floating(x)
    return where(abs(x) >= 1, sign(x), x)


@explained
def hard_silu(x: Operand) -> Node:
    """Return x times :func:`symad.nn.hard_sigmoid`, also called hard swish.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.hard_silu(sm.constant([-4.0, 1.5, 4.0])).eval()
    array([-0.   ,  1.125,  4.   ])
    """
    x = floating(x)
    result: Node = x * hard_sigmoid(x)
    return result


hard_swish = hard_silu


@explained
def relu6(x: Operand) -> Node:
    """Return ``x`` limited to [0, 6]; the derivative at the limits is 0.

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.relu6(sm.constant([-1.0, 3.0, 7.0])).eval()
    array([0., 3., 6.])
    """
    x = floating(x)
    return where(x >= 6, 6, relu(x))


@explained
def softsign(x: Operand) -> Node:
    """Return x / (1 + abs(x)).

    Parameters
    ----------
    x : node, number or array

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.softsign(sm.constant([-1.0, 0.0, 3.0])).eval()
    array([-0.5 ,  0.  ,  0.75])
    """
    x = floating(x)
    size = abs(x)
    share = 1 / (1 + size)
    return where(size < 1, x * share, sign(x) * (1 - share))  # whose derivative keeps its digits


@explained
def glu(x: Operand, axis: int = -1) -> Node:
    """Return the first half of ``x`` along an axis times the sigmoid of the second half.

    Parameters
    ----------
    x : node, number or array
    axis : int
        Its size must be known and even.

    Raises
    ------
    ShapeError
        If the axis cannot be halved.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.glu(sm.constant([2.0, 4.0, 0.0, 0.0])).eval()
    array([1., 2.])
    """
    values, gates = split(floating(x), 2, axis)
    result: Node = values * sigmoid(gates)
    return result
