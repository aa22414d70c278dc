"""Sizes of axes as values: numbers if they are known, else integer nodes.

A shape given to an op may mix both.  The op keeps it as a tuple of dimensions, in which each
dimension that is not a number represents one integer input; when the graph is specialised the
integers are constants, and become numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import cast
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.types import (
    Dimension,
    KnownRank,
    SparseType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    normalize_axis,
)

Size = int | Node
"""The size of an axis: a number, or an integer node."""

_INT64 = np.dtype("int64")


def _axis_size(x: Any, axis: int) -> Any:
    return np.int64(np.shape(x)[axis])


class _SizeOp(Op):
    """An integer that depends on the shape of ``x`` only."""

    def reads(self, slot: int) -> bool:
        return False

    def differentiable(self, slot: int) -> bool:
        return False


class AxisSize(_SizeOp):
    """The size of one axis of ``x``."""

    axis: int

    name = "axis_size"
    numpy = staticmethod(_axis_size)
    samples = (
        Sample(lambda x: x * cast(apply(AxisSize(1), x), x.dtype), [reals(2, 3)]),
        Sample(
            lambda x: x * cast(apply(AxisSize(-1), x), x.dtype), [reals(2, 1)], label="from the end"
        ),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            normalize_axis(self.axis, len(x.shape))
        return TensorType(_INT64, (), weak=True)

    def dimension(self, x: TensorType) -> Dimension:
        """Return the dimension whose size this is."""
        return UnknownDim() if isinstance(x.shape, UnknownShape) else x.shape[self.axis]

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        dim = self.dimension(x)
        return Constant(dim, _INT64) if isinstance(dim, int) else None


def _shape_vector(x: Any) -> Any:
    return np.array(np.shape(x), "int64")


class ShapeVector(_SizeOp):
    """The sizes of all axes of ``x``, whose number is not known, as a vector of integers."""

    name = "shape"
    numpy = staticmethod(_shape_vector)
    samples = (Sample(lambda x: apply(ShapeVector(), x), [reals(2, 3)]),)

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        return TensorType(_INT64, (UnknownDim() if x.ndim is None else x.ndim,), weak=True)

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        return Constant(np.array(x.shape, _INT64)) if x.is_static else None


def _count(x: Any) -> Any:
    return np.int64(np.size(x))


class Count(_SizeOp):
    """The number of elements of ``x``."""

    name = "size"
    numpy = staticmethod(_count)
    samples = (Sample(lambda x: x / cast(apply(Count(), x), x.dtype), [reals(2, 3)]),)

    def infer(self, *types: Any) -> Type:
        tensor_types(*types)
        return TensorType(_INT64, (), weak=True)

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(inputs[0].type)
        return Constant(_product(x), _INT64) if x.is_static else None


def _product(x: TensorType) -> int:
    result = 1
    for dim in x.shape:  # type: ignore[union-attr]
        assert isinstance(dim, int)
        result *= dim
    return result


@explained
def shape(x: Operand) -> Any:
    """Return the sizes of the axes of ``x``.

    Parameters
    ----------
    x : node, number or array

    Returns
    -------
    tuple of int and Node, or Node
        Numbers where sizes are known, else integer nodes.  Where not even the number of axes is
        known, one node: a vector of integers.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("batch", 3))
    >>> sm.shape(x)
    (<axis_size: i64[]>, 3)
    >>> (x.shape[0] * 2).eval({x: [[1.0, 2.0, 3.0]]})
    np.int64(2)
    """
    node = as_node(x)
    if isinstance(node.type, SparseType):
        return node.type.shape
    (type_,) = tensor_types(node.type)
    if isinstance(type_.shape, UnknownShape):
        return apply(ShapeVector(), node)
    return tuple(
        dim if isinstance(dim, int) else apply(AxisSize(axis), node)
        for axis, dim in enumerate(type_.shape)
    )


@explained
def size(x: Operand, axis: int | None = None) -> Size:
    """Return the number of elements of ``x``, or along one axis: a number or an integer node.

    Parameters
    ----------
    x : node, number or array
    axis : int, optional
        Count along this axis; by default all elements.

    Examples
    --------
    >>> import symad as sm
    >>> sm.size(sm.constant([[1.0, 2.0, 3.0]])), sm.size(sm.constant([[1.0, 2.0, 3.0]]), axis=0)
    (3, 1)
    >>> x = sm.Variable("x")
    >>> sm.size(x).eval({x: [1.0, 2.0]})
    np.int64(2)
    """
    node = as_node(x)
    (type_,) = tensor_types(node.type)
    if axis is not None:
        return axis_size(node, axis)
    return _product(type_) if type_.is_static else apply(Count(), node)


def axis_size(x: Node, axis: int) -> Size:
    """Return the size of one axis: a number where it is known, else an integer node."""
    (type_,) = tensor_types(x.type)
    op = AxisSize(axis)
    if isinstance(type_.shape, UnknownShape):
        return apply(op, x)
    normalize_axis(axis, len(type_.shape))
    dim = op.dimension(type_)
    return dim if isinstance(dim, int) else apply(op, x)


register(shape)
register(size)


# Shapes given as arguments


def as_sizes(shape: Any) -> tuple[Size, ...]:
    """Return a shape that a user wrote as a tuple of numbers and scalar integer nodes.

    Parameters
    ----------
    shape : int, integer node, sequence of these, or a vector of integers (array or node)

    Raises
    ------
    GraphTypeError
        If something in it is not an integer, or the length of a vector node is not known.
    """
    if isinstance(shape, Node) and shape.ndim != 0:
        return _elements(shape)
    if isinstance(shape, (Node, int, np.integer)):
        shape = (shape,)
    if isinstance(shape, str) or not isinstance(shape, (Sequence, np.ndarray)):
        raise GraphTypeError(f"{shape!r} is not a shape", remedy="Give a tuple of sizes.")
    return tuple(as_size(dim) for dim in shape)


def _elements(vector: Node) -> tuple[Size, ...]:
    (type_,) = tensor_types(vector.type)
    known = not isinstance(type_.shape, UnknownShape) and len(type_.shape) == 1
    length = type_.shape[0] if known else None  # type: ignore[index]
    if not isinstance(length, int):
        raise GraphTypeError(
            f"{vector!r} is not a shape with a known number of axes",
            remedy="Give a tuple of sizes, or use reshape_like(x, y) or broadcast_like(x, y).",
        )
    return tuple(as_size(call("index_array", vector, i)) for i in range(length))


def as_size(value: Any) -> Size:
    """Return an integer as a number where it is known, else as a scalar integer node."""
    if isinstance(value, Node):
        (type_,) = tensor_types(value.type)
        if type_.dtype.kind not in "iu" or type_.ndim not in (0, None):
            raise GraphTypeError(f"a size or a bound must be one integer, not {value!r}")
        return value.value.item() if isinstance(value, Constant) else value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return value if isinstance(value, int) else int(value)
    raise GraphTypeError(
        f"a size or a bound must be an integer, not {value!r}",
        remedy="Write x.shape[0] for the size of an axis that has a name only.",
    )


def dimensions(sizes: Sequence[Size]) -> tuple[KnownRank, tuple[Node, ...]]:
    """Return sizes as dimensions, and the nodes that the symbolic ones represent."""
    dims = tuple(_dimension(value) if isinstance(value, Node) else value for value in sizes)
    return dims, tuple(value for value in sizes if isinstance(value, Node))


def _dimension(node: Node) -> Dimension:
    if isinstance(node.op, AxisSize):
        dim = node.op.dimension(*tensor_types(node.inputs[0].type))
        return UnknownDim() if isinstance(dim, int) else dim
    return UnknownDim()


def sizes_of(dims: KnownRank, nodes: Sequence[Node]) -> tuple[Size, ...]:
    """Return the sizes that :func:`dimensions` separated; constants become numbers."""
    rest: Iterator[Node] = iter(nodes)
    return tuple(dim if isinstance(dim, int) else as_size(next(rest)) for dim in dims)


def holes(dims: KnownRank) -> tuple[int | None, ...]:
    """Return dimensions with ``None`` for each that is an input: what kernels take."""
    return tuple(dim if isinstance(dim, int) else None for dim in dims)


def fill(shape: tuple[int | None, ...], sizes: Sequence[Any]) -> tuple[int, ...]:
    """Return a shape with each ``None`` replaced by the next of ``sizes``."""
    rest = iter(sizes)
    return tuple(int(next(rest)) if dim is None else dim for dim in shape)


def check_sizes(types: Sequence[Type]) -> None:
    """Check the types of the inputs that are sizes.

    Raises
    ------
    GraphTypeError
        If one is not a single integer.
    """
    for type_ in tensor_types(*types):
        if type_.dtype.kind not in "iu" or type_.ndim not in (0, None):
            raise GraphTypeError(f"a size must be one integer, not {type_}")


def check_not_negative(shape: KnownRank) -> None:
    """Check a shape that a user gave.

    Raises
    ------
    ShapeError
        If a size is negative.
    """
    for dim in shape:
        if isinstance(dim, int) and dim < 0:
            raise ShapeError(f"{dim} is not the size of an axis")
