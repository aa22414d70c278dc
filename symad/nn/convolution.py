"""Convolutions and pooling over one or more axes: channels first, as (..., channels, sizes...).

The number of axes that a window moves over is that of the weight, less two for the channels.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply, reporting
from symad.graph.op import explained
from symad.nn.activations import floating
from symad.ops.base import Operand, as_node, tensor_types
from symad.ops.create import ones, zeros
from symad.ops.extremum import max
from symad.ops.index import index_array
from symad.ops.permute import matrix_transpose, moveaxis
from symad.ops.product import matmul
from symad.ops.rearrange import pad
from symad.ops.reduce import mean, sum
from symad.ops.shape import expand_dims, reshape
from symad.ops.size import Size
from symad.ops.size import shape as shape_of
from symad.ops.windows import Windows, WindowSum
from symad.types import TensorType

Numbers = int | Sequence[int]
Padding = Numbers | Sequence[tuple[int, int]] | Literal["valid", "same"]
Pairs = list[tuple[int, int]]


@explained
def conv(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Node:
    """Return the convolution of ``x`` with a weight, in one to three dimensions or more.

    As everywhere in neural networks, the weight is not flipped: this is a correlation.

    Parameters
    ----------
    x : node or array of shape (..., channels, sizes...)
    weight : node or array of shape (filters, channels / groups, window...)
    bias : node or array of shape (filters,), optional
    stride : int or sequence of int
        The distance between windows, for all axes or for each.
    padding : int, sequence of int or of pairs, "valid" or "same"
        How many zeros to add before and after each axis.  "same" gives ⌈size / stride⌉ windows,
        with the odd zero at the end.
    dilation : int or sequence of int
        The distance between the elements of a window.
    groups : int
        Channels and filters are divided into as many groups, which do not see each other.

    Returns
    -------
    Node
        Of shape (..., filters, counts...).

    Raises
    ------
    ShapeError
        If the channels of ``x`` and of the weight do not match, or a window does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> image = sm.Variable("image", ("batch", 3, 32, 32))
    >>> sm.nn.conv(image, sm.zeros((8, 3, 5, 5)), padding="same").type
    f64[batch,8,32,32]
    >>> sm.nn.conv(sm.constant([[1.0, 2.0, 4.0]]), sm.constant([[[-1.0, 1.0]]])).eval()
    array([[1., 2.]])
    """
    x, weight = as_node(x), as_node(weight)
    with reporting("conv", x, weight):
        (filters, depth), window = _weight_shape(weight)
        steps, gaps = _each(stride, window, "a stride"), _each(dilation, window, "a dilation")
        x = _padded(x, _pairs(padding, x, window, steps, gaps), 0)
        lead, sizes = _split_shape(x, len(window), depth * groups)
        seen = apply(Windows(window, steps, gaps), x)
        counts = shape_of(seen)[len(shape_of(seen)) - len(sizes) :]
        grouped = _groups(groups, filters)
        inside = depth * math.prod(window)
        kernel = reshape(weight, (*grouped, filters // groups, inside))
        product = matmul(kernel, reshape(seen, (*lead, *grouped, inside, math.prod(counts))))
        return _biased(reshape(product, (*lead, filters, *counts)), bias, len(window))


@explained
def conv_transpose(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Numbers | Sequence[tuple[int, int]] = 0,
    output_padding: Numbers = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Node:
    """Return the transpose of a convolution: each element of ``x`` adds a window to the result.

    It is that of :func:`symad.nn.conv`.

    Parameters
    ----------
    x : node or array of shape (..., channels, sizes...)
    weight : node or array of shape (channels, filters / groups, window...)
    bias : node or array of shape (filters,), optional
    stride : int or sequence of int
        The distance between windows, for all axes or for each.
    padding : int, sequence of int or of pairs
        How many elements to cut off before and after each axis.
    output_padding : int or sequence of int
        How many elements the result has more at the end of each axis, less than the stride.
    dilation : int or sequence of int
        The distance between the elements of a window.
    groups : int
        Channels and filters are divided into as many groups, which do not see each other.

    Returns
    -------
    Node
        Of shape (..., filters, sizes...); a size n becomes
        (n - 1) stride + dilation (window - 1) + 1 + output_padding - padding before and after.

    Raises
    ------
    ShapeError
        If the channels of ``x`` and of the weight do not match.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.conv_transpose(
    ...     sm.constant([[1.0, 2.0]]), sm.constant([[[1.0, 10.0]]]), stride=2
    ... ).eval()
    array([[ 1., 10.,  2., 20.]])
    """
    x, weight = as_node(x), as_node(weight)
    with reporting("conv_transpose", x, weight):
        (channels, per_group), window = _weight_shape(weight)
        steps, gaps = _each(stride, window, "a stride"), _each(dilation, window, "a dilation")
        extra = _each(output_padding, window, "an output padding", least=0)
        cut = _pairs(padding, x, window, steps, gaps)
        if any(more >= step for more, step in zip(extra, steps, strict=True)):
            raise ShapeError(f"an output padding must be less than the stride: {extra}, {steps}")
        lead, sizes = _split_shape(x, len(window), channels)
        grouped, inside = _groups(groups, channels), per_group * math.prod(window)
        kernel = reshape(weight, (*grouped, channels // groups, inside))
        rows = reshape(x, (*lead, *grouped, channels // groups, math.prod(sizes)))
        product = matmul(matrix_transpose(kernel), rows)
        full = [
            (n - 1) * step + gap * (size - 1) + 1 + more
            for n, step, gap, size, more in zip(sizes, steps, gaps, window, extra, strict=True)
        ]
        filters = per_group * groups
        added = apply(
            WindowSum(window, steps, gaps),
            reshape(product, (*lead, filters, *window, *sizes)),
            zeros((*lead, filters, *full), x.dtype),
        )
        inner = [slice(a, n - b) for (a, b), n in zip(cut, full, strict=True)]
        return _biased(index_array(added, (..., *inner)), bias, len(window))


@explained
def max_pool(
    x: Operand,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
) -> Node:
    """Return the largest element of each window; what pads ``x`` is never the largest.

    Elements that tie for the largest share the derivative.

    Parameters
    ----------
    x : node or array of shape (..., channels, sizes...)
    window : int or sequence of int
        The size along each of the last axes; one number is for all axes but the first two.
    stride : int or sequence of int, optional
        The distance between windows; by default their size.
    padding : int, sequence of int or of pairs, "valid" or "same"
    dilation : int or sequence of int
        The distance between the elements of a window.

    Raises
    ------
    ShapeError
        If a window does not fit, or the padding is as large as a window.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.max_pool(sm.constant([1.0, 5.0, 2.0, 3.0]), (2,)).eval()
    array([5., 3.])
    """
    x = as_node(x)
    with reporting("max_pool", x):
        least = -np.inf if x.dtype.kind == "f" else float(np.iinfo(x.dtype).min)
        seen, axes = _pooled(x, window, stride, padding, dilation, least)
        return max(seen, axes)


@explained
def avg_pool(
    x: Operand,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Node:
    """Return the mean of each window.

    Parameters
    ----------
    x : node or array of shape (..., channels, sizes...)
    window : int or sequence of int
        The size along each of the last axes; one number is for all axes but the first two.
    stride : int or sequence of int, optional
        The distance between windows; by default their size.
    padding : int, sequence of int or of pairs, "valid" or "same"
    count_include_pad : bool
        Whether the zeros that pad ``x`` count as elements.

    Raises
    ------
    ShapeError
        If a window does not fit, or the padding is as large as a window.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nn.avg_pool(sm.constant([1.0, 5.0, 2.0, 3.0]), (2,)).eval()
    array([3. , 2.5])
    """
    x = floating(x)
    with reporting("avg_pool", x):
        seen, axes = _pooled(x, window, stride, padding, 1, 0)
        if count_include_pad:
            return mean(seen, axes)
        inside = ones(shape_of(x)[len(shape_of(x)) - len(axes) :], x.dtype)
        size = window if not isinstance(window, int) else (window,) * len(axes)
        counted, _ = _pooled(inside, size, stride, padding, 1, 0)
        result: Node = sum(seen, axes) / sum(counted, axes)
        return result


def _pooled(
    x: Node, window: Numbers, stride: Any, padding: Padding, dilation: Numbers, value: float
) -> tuple[Node, tuple[int, ...]]:
    """Return the windows of ``x``, with their elements on the first axes, and these axes.

    Reductions along first axes are fast: each step takes whole rows.
    """
    count = len(_sizes_of(x)) - 2 if isinstance(window, int) else len(window)
    if count < 1:
        raise ShapeError(
            f"there is no axis to pool along: one number is for all but the first two of {x.type}",
            remedy=f"Give a window for each of the last axes, as in window=({window},).",
        )
    sizes = _each(window, [0] * count, "the size of a window")
    steps = sizes if stride is None else _each(stride, sizes, "a stride")
    gaps = _each(dilation, sizes, "a dilation")
    pairs = _pairs(padding, x, sizes, steps, gaps)
    for pair, size, gap in zip(pairs, sizes, gaps, strict=True):
        if builtins.max(pair) > gap * (size - 1):
            raise ShapeError(f"padding {pair} is as large as a window of {size} elements")
    seen = apply(Windows(sizes, steps, gaps), _padded(x, pairs, value))
    first = tuple(range(count))
    return moveaxis(seen, tuple(k - 2 * count for k in first), first), first


def _weight_shape(weight: Node) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return the numbers of channels of a weight, and the sizes of its window."""
    (type_,) = tensor_types(weight.type)
    if not type_.is_static or len(type_.shape) < 3:  # type: ignore[arg-type]
        raise ShapeError(
            f"a weight must have a known shape of at least 3 axes, not {type_}",
            remedy="It is (filters, channels, *window), as in (8, 3, 5, 5).",
        )
    first, second, *window = cast(tuple[int, ...], type_.shape)
    return (first, second), tuple(window)


def _sizes_of(x: Node) -> tuple[Size, ...]:
    sizes = shape_of(x)
    if isinstance(sizes, Node):
        raise ShapeError(
            "the number of axes must be known",
            remedy="Declare a shape, as in Variable('x', shape=('batch', 3, 32, 32)).",
        )
    return tuple(sizes)


def _split_shape(x: Node, rank: int, channels: int) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """Return the sizes of the first axes and of the last ``rank``; between them are channels."""
    sizes = _sizes_of(x)
    place = len(sizes) - rank - 1
    if place < 0:
        raise ShapeError(f"x needs an axis of channels and {rank} more, not {len(sizes)} axes")
    if isinstance(sizes[place], int) and sizes[place] != channels:
        raise ShapeError(
            f"x has {sizes[place]} channels, and the weight is for {channels}",
            remedy="Channels come before the sizes: (batch, channels, height, width).",
        )
    return sizes[:place], sizes[place + 1 :]


def _groups(groups: int, divided: int) -> tuple[int, ...]:
    """Return the axis of the groups, none for one group."""
    if not isinstance(groups, int) or groups < 1 or divided % groups:
        raise ShapeError(f"{divided} channels cannot be divided into {groups!r} groups")
    return (groups,) if groups > 1 else ()


def _each(value: Any, window: Sequence[int], what: str, least: int = 1) -> tuple[int, ...]:
    """Return a number for each axis of a window."""
    numbers = [value] * len(window) if isinstance(value, (int, np.integer)) else list(value)
    if len(numbers) != len(window) or any(
        not isinstance(number, (int, np.integer)) or number < least for number in numbers
    ):
        raise GraphTypeError(
            f"{what} must be an integer of at least {least}, or one for each of the {len(window)} "
            f"axes, not {value!r}"
        )
    return tuple(int(number) for number in numbers)


def _pairs(
    padding: Any, x: Node, window: Sequence[int], steps: Sequence[int], gaps: Sequence[int]
) -> Pairs:
    """Return how many elements to add before and after each of the last axes."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    if padding == "same":
        sizes = _sizes_of(x)[-len(window) :]
        return [_same(*numbers) for numbers in zip(sizes, window, steps, gaps, strict=True)]
    widths = [padding] * len(window) if isinstance(padding, (int, np.integer)) else padding
    if isinstance(widths, str) or len(widths) != len(window):
        raise GraphTypeError(
            f"the padding {padding!r} is not one for {len(window)} axes",
            remedy="Give a number, one for each axis, a pair for each axis, 'valid' or 'same'.",
        )
    return [(int(w), int(w)) if isinstance(w, (int, np.integer)) else (w[0], w[1]) for w in widths]


def _same(size: Size, window: int, step: int, gap: int) -> tuple[int, int]:
    """Return the padding for ⌈size / step⌉ windows."""
    extent = gap * (window - 1) + 1
    if step == 1:
        total = extent - 1
    elif isinstance(size, int):
        total = builtins.max((-(-size // step) - 1) * step + extent - size, 0)
    else:
        raise ShapeError("padding 'same' with a stride needs a known size of each axis")
    return total // 2, total - total // 2


def _padded(x: Node, pairs: Pairs, value: float) -> Node:
    if not any(map(any, pairs)):
        return x
    return pad(x, [(0, 0)] * (len(_sizes_of(x)) - len(pairs)) + pairs, constant_values=value)


def _biased(y: Node, bias: Operand | None, rank: int) -> Node:
    if bias is None:
        return y
    shift, filters = as_node(bias), y.shape[-rank - 1]
    if shift.type != TensorType(shift.dtype, (filters,)) and shift.type.is_static:
        raise ShapeError(f"the bias must be a number for each of {filters} filters, not {shift!r}")
    result: Node = y + expand_dims(shift, tuple(range(1, rank + 1)))
    return result
