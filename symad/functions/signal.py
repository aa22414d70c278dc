"""Convolution and correlation, in NumPy's modes; of arrays with several axes, in SciPy's."""

from __future__ import annotations

from symad.errors import GraphTypeError, ShapeError
from symad.functions.along import known_size, part
from symad.graph.node import Node, apply, reporting
from symad.ops.base import Operand, as_nodes, register
from symad.ops.convolution import Convolve
from symad.ops.product import tensordot
from symad.ops.rearrange import flip, pad
from symad.ops.size import axis_size
from symad.ops.windows import Windows


@register
def convolve(x: Operand, y: Operand, mode: str = "full") -> Node:
    """Return the convolution of two vectors, z_k = Σ_i x_i y_{k−i}, or of arrays along all axes.

    Parameters
    ----------
    x, y : node or array
        Vectors of m and n elements, or arrays with as many axes as one another, which
        ``scipy.signal.convolve`` takes.
    mode : {"full", "same", "valid"}
        All m + n − 1 elements, those in the middle, as many as the longer vector has (of arrays
        with several axes: as many as ``x`` has), or only those where the operands overlap
        completely.  The latter two need known sizes, and several axes those of ``y``.

    Raises
    ------
    GraphTypeError
        If there is no such mode.
    ShapeError
        If the operands do not have as many axes as one another, one is empty, a size is needed
        and not known, or neither fits into the other for "valid".

    Examples
    --------
    >>> import symad as sm
    >>> sm.convolve(sm.constant([1.0, 2.0, 3.0]), [0.0, 1.0, 0.5]).eval()
    array([0. , 1. , 2.5, 4. , 1.5])
    >>> sm.convolve(sm.constant([1.0, 2.0, 3.0]), [0.0, 1.0, 0.5], "same").eval()
    array([1. , 2.5, 4. ])
    >>> sm.convolve(sm.constant([[1.0, 2.0], [3.0, 4.0]]), [[1.0, -1.0]], "same").eval()
    array([[1., 1.],
           [3., 1.]])
    """
    first, second = as_nodes(x, y)
    with reporting("convolve", first, second):
        if first.ndim == second.ndim and (first.ndim or 0) > 1:
            return _along_all_axes(first, second, mode)
        return _trimmed(apply(Convolve(), first, second), first, second, mode, False)


@register
def correlate(x: Operand, y: Operand, mode: str = "valid") -> Node:
    """Return the cross-correlation of two vectors: z_k = Σ_i x_{i+k} y_i.

    Parameters
    ----------
    x, y : node or array
        Vectors of m and n elements.
    mode : {"valid", "same", "full"}
        Only elements where the vectors overlap completely, as many as the longer vector has, or all
        m + n − 1.  The first two need known sizes.

    Raises
    ------
    GraphTypeError
        If there is no such mode.
    ShapeError
        If an operand is not a vector, is empty, or its size is needed and not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.correlate(sm.constant([1.0, 2.0, 3.0]), [0.0, 1.0, 0.5]).eval()
    array([3.5])
    """
    first, second = as_nodes(x, y)
    with reporting("correlate", first, second):
        return _trimmed(apply(Convolve(), first, flip(second)), first, second, mode, True)


def _trimmed(full: Node, x: Node, y: Node, mode: str, correlation: bool) -> Node:
    """Return the elements of a convolution that a mode asks for."""
    _require_mode(mode)
    if mode == "full":
        return full
    m, n = axis_size(x, 0), axis_size(y, 0)
    if not isinstance(m, int) or not isinstance(n, int):
        raise ShapeError(
            f'the sizes of the operands must be known for mode="{mode}"',
            remedy='Declare them: Variable("x", shape=(100,)), or use mode="full".',
        )
    longer, shorter = max(m, n), min(m, n)
    if mode == "valid":
        return part(full, 0, shorter - 1, longer)
    # NumPy correlates the longer with the shorter vector, and reverses the result if it has
    # exchanged them: then the longer half of what is cut off is at the beginning.
    start = shorter // 2 if correlation and m < n else (shorter - 1) // 2
    return part(full, 0, start, start + longer)


def _along_all_axes(x: Node, y: Node, mode: str) -> Node:
    """Return the convolution of arrays, whose second slides over the first."""
    _require_mode(mode)
    axes = range(x.ndim or 0)
    if mode == "valid":
        pairs = [tuple(known_size("convolve", v, axis) for v in (x, y)) for axis in axes]
        if all(n >= m for m, n in pairs):
            x, y = y, x
        elif not all(m >= n for m, n in pairs):
            raise ShapeError(
                "neither operand fits into the other",
                remedy='One must be at least as large along every axis for mode="valid".',
            )
    sizes = tuple(known_size("convolve", y, axis) for axis in axes)
    if mode != "valid":
        x = pad(x, [(size - 1, size - 1) for size in sizes])
    ones = (1,) * len(sizes)
    result: Node = tensordot(flip(y), apply(Windows(sizes, ones, ones), x), len(sizes))
    if mode == "same":
        for axis, size in enumerate(sizes):
            result = part(result, axis, (size - 1) // 2, -(size // 2) or None)
    return result


def _require_mode(mode: str) -> None:
    if mode not in ("full", "same", "valid"):
        raise GraphTypeError(f'mode is {mode!r}; it must be "full", "same" or "valid"')
