"""Normalisations: mean 0 and variance 1 over some axes, then a scale and a shift."""

from __future__ import annotations

from collections.abc import Sequence

from symad.errors import ShapeError
from symad.graph.node import Node, reporting
from symad.graph.op import explained
from symad.nn.activations import floating
from symad.ops.adjoint import cast, reshape_like
from symad.ops.arithmetic import sqrt, square
from symad.ops.base import Operand, as_node, wide_dtype
from symad.ops.moments import var
from symad.ops.reduce import mean
from symad.ops.shape import expand_dims, reshape
from symad.ops.size import shape as shape_of
from symad.types import normalize_axis


@explained
def batch_norm(
    x: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    mean: Operand | None = None,
    variance: Operand | None = None,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> Node:
    """Return ``x``, each channel normalised over all other axes, or by a given mean and variance.

    Parameters
    ----------
    x : node or array of shape (batch, channels, ...)
    weight, bias : node or array of shape (channels,), optional
        The scale and the shift.
    mean, variance : node or array of shape (channels,), optional
        By default those of ``x``, as in training.
    axis : int
        The axis of the channels.
    epsilon : float
        Added to the variance.

    Returns
    -------
    Node
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If the number of axes of ``x`` is not known, or there is no such axis.

    Examples
    --------
    Running statistics are parameters that the training step updates:

    >>> import symad as sm
    >>> x, running = sm.Variable("x", ("batch", 2)), sm.parameter("running mean", [0.0, 0.0])
    >>> step = sm.compile(
    ...     [x], sm.nn.batch_norm(x), updates={running: 0.9 * running + 0.1 * sm.mean(x, axis=0)}
    ... )
    >>> step([[1.0, 4.0], [3.0, 8.0]]).round(4)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> running.value
    array([0.2, 0.6])
    """
    x = floating(x)
    with reporting("batch_norm", x):
        rank = len(_known_shape(x))
        place = normalize_axis(axis, rank)
    others = tuple(k for k in range(rank) if k != place)
    after = tuple(range(1, rank - place))

    def fit(value: Operand) -> Node:
        return expand_dims(as_node(value), after) if after else as_node(value)

    wide = cast(x, wide_dtype(x.dtype))  # the squares of float16 overflow
    centre = _mean(wide, others, keepdims=True) if mean is None else fit(mean)
    spread = var(wide, others, keepdims=True) if variance is None else fit(variance)
    source = wide if mean is None and variance is None else x
    normal: Node = (source - centre) / sqrt(spread + epsilon)
    normal = cast(normal, x.dtype) if source is wide else normal
    return _scaled(
        normal, None if weight is None else fit(weight), None if bias is None else fit(bias)
    )


@explained
def layer_norm(
    x: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-5,
) -> Node:
    """Return ``x`` normalised along an axis, or several together.

    Parameters
    ----------
    x : node or array
    weight, bias : node or array, optional
        The scale and the shift; they broadcast to ``x``.
    axis : int or sequence of int
        By default the last.
    epsilon : float
        Added to the variance.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.layer_norm(sm.constant([[1.0, 3.0], [5.0, 5.0]])).eval().round(4)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x = floating(x)
    wide = cast(x, wide_dtype(x.dtype))  # the squares of float16 overflow
    spread = var(wide, axis, keepdims=True)
    normal = (wide - _mean(wide, axis, keepdims=True)) / sqrt(spread + epsilon)
    return _scaled(cast(normal, x.dtype), weight, bias)


@explained
def rms_norm(
    x: Operand,
    weight: Operand | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-6,
) -> Node:
    """Return ``x`` divided by the root of the mean of its squares along an axis, or several.

    Parameters
    ----------
    x : node or array
    weight : node or array, optional
        The scale; it broadcasts to ``x``.
    axis : int or sequence of int
        By default the last.
    epsilon : float
        Added to the mean of the squares.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.rms_norm(sm.constant([3.0, 3.0, -3.0])).eval().round(4)
    array([ 1.,  1., -1.])
    """
    x = floating(x)
    wide = cast(x, wide_dtype(x.dtype))  # the squares of float16 overflow
    normal = wide / sqrt(_mean(square(wide), axis, keepdims=True) + epsilon)
    return _scaled(cast(normal, x.dtype), weight, None)


@explained
def group_norm(
    x: Operand,
    groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    epsilon: float = 1e-5,
) -> Node:
    """Return ``x`` with groups of channels normalised, each over its channels and all later axes.

    Parameters
    ----------
    x : node or array of shape (batch, channels, ...)
    groups : int
        It must divide the number of channels; 1 group is a layer norm, one for each channel an
        instance norm.
    weight, bias : node or array of shape (channels,), optional
        The scale and the shift.
    epsilon : float
        Added to the variance.

    Raises
    ------
    ShapeError
        If the number of channels is not known, or not a multiple of ``groups``.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.group_norm(sm.constant([[1.0, 3.0, 10.0, 30.0]]), 2).eval().round(4)
    array([[-1.,  1., -1.,  1.]])
    """
    x = floating(x)
    with reporting("group_norm", x):
        batch, channels, *sizes = _known_shape(x)
        if not isinstance(channels, int) or groups < 1 or channels % groups:
            raise ShapeError(f"{channels!r} channels cannot be divided into {groups} groups")
    parts = reshape(x, (batch, groups, channels // groups, *sizes))
    normal = reshape_like(
        layer_norm(parts, axis=tuple(range(2, len(sizes) + 3)), epsilon=epsilon), x
    )
    after = tuple(range(1, len(sizes) + 1))
    scale, shift = (v if v is None or not after else expand_dims(v, after) for v in (weight, bias))
    return _scaled(normal, scale, shift)


_mean = mean
"""The function, where ``mean`` is an argument."""


def _known_shape(x: Node) -> tuple[int | Node, ...]:
    sizes = shape_of(x)
    if isinstance(sizes, Node):
        raise ShapeError(
            "the number of axes must be known",
            remedy="Declare a shape, as in Variable('x', shape=('batch', 3)).",
        )
    return tuple(sizes)


def _scaled(x: Node, weight: Operand | None, bias: Operand | None) -> Node:
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias
