"""Products and contractions of arrays: matmul, and functions based on it or on einsum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import Any, ClassVar

import numpy as np

from symad.errors import ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply, reporting
from symad.graph.op import call, explained
from symad.graph.sample import Sample, integers, reals
from symad.ops.adjoint import sum_like
from symad.ops.base import (
    Multilinear,
    Operand,
    as_nodes,
    is_sparse,
    refuse_flags,
    register,
    tensor_types,
    ufunc_dtype,
)
from symad.ops.batching import aligned, row_count, shape_of
from symad.ops.einsum import contract
from symad.ops.reduce import sum as sum_of
from symad.ops.shape import expand_dims, reshape
from symad.ops.sparse import sparse_product
from symad.ops.triangle import diagonal
from symad.types import (
    Dimension,
    Shape,
    TensorType,
    Type,
    UnknownShape,
    broadcast_shapes,
    normalize_axis,
)


class Matmul(Multilinear):
    r"""Multiply matrices, or stacks of them: the matrix product ``x @ y``.

    Parameters
    ----------
    x : (..., m, n) or (n,)
    y : (..., n, p) or (n,)
        A vector counts as a row on the left and as a column on the right, and the result lacks
        that axis.  Leading axes broadcast.

    Returns
    -------
    Node
        (..., m, p), of the dtype that NumPy gives.

    Raises
    ------
    ShapeError
        If an operand is a scalar, or the sizes of the axis summed over differ.

    Notes
    -----
    For Z = X Y, the adjoints are X̄ = Z̄ Yᵀ and Ȳ = Xᵀ Z̄, summed over broadcast leading axes; for
    vectors they are analogous products.

    Examples
    --------
    >>> import symad as sm
    >>> X, W = sm.Variable("X", shape=("batch", 784)), sm.Variable("W", shape=(784, 10))
    >>> (X @ W).type
    f64[batch,10]
    >>> (sm.constant([1.0, 2.0]) @ sm.constant([[1.0], [10.0]])).eval()
    array([21.])
    """

    name = "matmul"
    short = "@"
    in_expressions = True
    sign = "as inputs"
    counted_as = "products"
    numpy = np.matmul
    text = "{0} @ {1}"
    latex = "{0} {1}"
    precedence = 2
    samples = (
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(2, 4)]),
        Sample(lambda a, b: a @ b, [reals(2), reals(2)], label="vectors"),
        Sample(lambda a, b: a @ b, [reals(2), reals(2, 3)], label="vector, matrix"),
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(2)], label="matrix, vector"),
        Sample(lambda a, b: a @ b, [reals(2), reals(4, 2, 3)], label="vector, stack"),
        Sample(lambda a, b: a @ b, [reals(4, 3, 2), reals(2)], label="stack, vector"),
        Sample(lambda a, b: a @ b, [reals(4, 3, 2), reals(2, 5)], label="stack, matrix"),
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(4, 2, 5)], label="matrix, stack"),
        Sample(lambda a, b: a @ b, [reals(4, 1, 3, 2), reals(3, 2, 2)], label="broadcast stacks"),
        Sample(lambda a, b: a @ b, [reals(1, 3, 1), reals(2, 1, 1)], label="size 1"),
        Sample(lambda a, b: a @ b, [reals(3, 0), reals(0, 2)], label="empty sum"),
        Sample(lambda a: a @ a, [reals(3, 3)], label="same operand twice"),
        Sample(lambda a, b: a @ b, [integers(3, 2), reals(2, 4)], label="integers"),
    )

    def __call__(self, x: Operand, y: Operand) -> Node:
        if is_sparse(x) or is_sparse(y):
            return sparse_product(x, y)
        refuse_flags(self.name, x, y)
        return apply(self, *as_nodes(x, y))

    def flops(self, result: Any, *types: Any) -> int:
        return 2 * int(result.size) * int(types[0].shape[-1])

    def infer(self, *types: Any) -> Type:
        x, y = tensor_types(*types)
        return TensorType(ufunc_dtype(np.matmul, x.dtype, y.dtype), _matmul_shape(x.shape, y.shape))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _operand_adjoint(slot, adjoint, *inputs)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        rows, shape = row_count(batched, inputs), shape_of(out)
        (left, right), (x, y) = (len(shape_of(node)) for node in out.inputs), inputs
        if not batched[1] and right <= 2:
            flat = reshape(x, (math.prod(shape_of(x)[:-1]), shape_of(x)[-1]))
            return reshape(matmul(flat, y), (rows, *shape))
        if not batched[0] and right == 1 and left <= 2:
            return matmul(y, x.mT if left == 2 else x)
        ndim = max(left, right, 2)
        x = expand_dims(x, -2) if left == 1 else x
        y = expand_dims(y, -1) if right == 1 else y
        x = aligned(x, ndim) if batched[0] else x
        y = aligned(y, ndim) if batched[1] else y
        return reshape(matmul(x, y), (rows, *shape))

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        if _are_matrices(inputs):
            return call("any", active, axis=-2 if slot else -1, keepdims=True)
        return super().active_input(slot, active, out, *inputs)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        if _are_matrices(inputs):
            return call("any", active, axis=-2 if slot else -1, keepdims=True)
        return super().active_output(slot, active, out, *inputs)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        parts = []
        for slot, array in enumerate(labels):
            if array is not None:
                vector, other = array.ndim == 1, inputs[1 - slot]
                summed = -1 if vector or slot == 0 else -2
                kept = vector or other.ndim == 1
                parts.append(sets.along(array, summed, keepdims=not kept))
        return np.broadcast_to(sets.joined(*parts), shape_of(out))


def _are_matrices(nodes: Sequence[Node]) -> bool:
    return all(node.ndim is not None and node.ndim > 1 for node in nodes)


def _matmul_shape(x: Shape, y: Shape) -> Shape:
    if x == () or y == ():
        raise ShapeError("a scalar has no axis to sum over", remedy="Multiply with * instead.")
    if isinstance(x, UnknownShape) or isinstance(y, UnknownShape):
        return UnknownShape.fresh()
    matrix = len(y) > 1
    _require_equal(
        x[-1], y[-2] if matrix else y[-1], "the last axis", f"axis {-2 if matrix else -1}"
    )
    batch = broadcast_shapes(x[:-2], y[:-2])
    assert not isinstance(batch, UnknownShape)
    return (*batch, *x[-2:-1], *(y[-1:] if matrix else ()))


def _require_equal(left: Dimension, right: Dimension, first: str, second: str) -> None:
    if isinstance(left, int) and isinstance(right, int) and left != right:
        raise ShapeError(
            f"{first} of the first operand has size {left}, but {second} of the second, with which "
            f"it is summed, has size {right}",
            remedy="Transpose or reshape an operand.",
        )


def _left_adjoint(v: Any, x: Any, y: Any) -> Any:
    """Return X̄ = Z̄ Yᵀ for Z = X Y and v = Z̄, not summed over broadcast axes yet.

    Arrays and nodes are multiplied by the same code.
    """
    if y.ndim == 1:
        return _with_axis(v, -1) * y
    if x.ndim == 1 and y.ndim != 2:
        return np.squeeze(y @ _with_axis(v, -1), -1)
    return v @ y.mT


def _right_adjoint(v: Any, x: Any, y: Any) -> Any:
    """Return Ȳ = Xᵀ Z̄ for Z = X Y and v = Z̄, not summed over broadcast axes yet."""
    if x.ndim == 1:
        return x * v if y.ndim == 1 else _with_axis(x, -1) * _with_axis(v, -2)
    if y.ndim == 1 and x.ndim != 2:
        return np.squeeze(x.mT @ _with_axis(v, -1), -1)
    return x.mT @ v


def _with_axis(x: Any, axis: int) -> Any:
    """Return an array or node with another axis of size 1; NumPy's protocol takes 0.1 ms."""
    return expand_dims(x, axis) if isinstance(x, Node) else np.expand_dims(x, axis)


def _operand_adjoint(slot: int, adjoint: Node, x: Node, y: Node) -> Node:
    """Return the adjoint of an operand of ``x @ y``: a single node while ranks are unknown."""
    products, whole = (
        (_left_adjoint, left_adjoint) if slot == 0 else (_right_adjoint, right_adjoint)
    )
    ranks = (x.ndim, y.ndim)
    if None in ranks and ranks[1 - slot] != 2:
        return whole(adjoint, x, y)
    product: Node = products(adjoint, x, y)
    return product


class _MatmulAdjoint(Multilinear):
    """The adjoint of an operand of ``x @ y``, from v, x and y, while ranks are not known.

    Specialisation replaces it by products, transposes and sums.  Only the shape of the operand
    matters.
    """

    slot: ClassVar[int]

    def __call__(self, v: Node, x: Node, y: Node) -> Node:
        return apply(self, v, x, y)

    def infer(self, *types: Any) -> Type:
        v, *operands = tensor_types(*types)
        other = operands[1 - self.slot]
        return TensorType(np.result_type(v.dtype, other.dtype), operands[self.slot].shape)

    def differentiable(self, slot: int) -> bool:
        return slot != 1 + self.slot

    def reads(self, slot: int) -> bool:
        return slot != 1 + self.slot

    def flops(self, result: Any, *types: Any) -> int:
        product, left = types[0], types[1]
        return 2 * int(product.size) * int(left.shape[-1])

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        # <v̄ⱼ, W> = <V, W Y> for W in place of X: linear in V and in Y, and likewise on the right.
        v, *operands = inputs
        operands[self.slot] = adjoint
        return matmul(*operands) if slot == 0 else _operand_adjoint(1 - self.slot, v, *operands)

    def specialise(self, *inputs: Node) -> Node | None:
        v, x, y = inputs
        if x.ndim is None or y.ndim is None:
            return None
        product, like = _operand_adjoint(self.slot, v, x, y), inputs[1 + self.slot]
        simpler = sum_like.specialise(product, like)
        return sum_like(product, like) if simpler is None else simpler


def _left_array(v: Any, x: Any, y: Any) -> Any:
    return sum_like.kernel()(_left_adjoint(v, x, y), x)


def _right_array(v: Any, x: Any, y: Any) -> Any:
    return sum_like.kernel()(_right_adjoint(v, x, y), y)


class MatmulLeftAdjoint(_MatmulAdjoint):
    """The adjoint X̄ = V Yᵀ of X in X Y, from V, X and Y, while ranks are not known."""

    name = "matmul_left_adjoint"
    counted_as = "products"
    numpy = staticmethod(_left_array)
    text = "{0} @ {2}.mT"
    latex = r"{0} {2}^{{\top}}"
    precedence = 2
    slot = 0
    samples = (
        Sample(lambda v, x, y: left_adjoint(v, x, y), [reals(2, 3), reals(2, 4), reals(4, 3)]),
        Sample(
            lambda v, x, y: left_adjoint(v, x, y),
            [reals(5, 3), reals(4), reals(5, 4, 3)],
            lambda v, x, y: np.einsum("bp,bnp->n", v, y),
            label="vector, stack",
        ),
        Sample(
            lambda v, x, y: left_adjoint(v, x, y), [reals(), reals(3), reals(3)], label="vectors"
        ),
    )


class MatmulRightAdjoint(_MatmulAdjoint):
    """The adjoint Ȳ = Xᵀ V of Y in X Y, from V, X and Y, while ranks are not known."""

    name = "matmul_right_adjoint"
    counted_as = "products"
    numpy = staticmethod(_right_array)
    text = "{1}.mT @ {0}"
    latex = r"{1}^{{\top}} {0}"
    precedence = 2
    slot = 1
    samples = (
        Sample(lambda v, x, y: right_adjoint(v, x, y), [reals(2, 3), reals(2, 4), reals(4, 3)]),
        Sample(
            lambda v, x, y: right_adjoint(v, x, y),
            [reals(5, 2), reals(5, 2, 4), reals(4)],
            lambda v, x, y: np.einsum("bm,bmn->n", v, x),
            label="stack, vector",
        ),
        Sample(
            lambda v, x, y: right_adjoint(v, x, y),
            [reals(5, 3), reals(4), reals(5, 4, 3)],
            lambda v, x, y: np.einsum("bp,n->bnp", v, x),
            label="vector, stack",
        ),
    )


matmul: Matmul = register(Matmul())
left_adjoint: MatmulLeftAdjoint = MatmulLeftAdjoint()
right_adjoint: MatmulRightAdjoint = MatmulRightAdjoint()


def _known_ranks(*nodes: Node) -> list[int]:
    """Return the numbers of axes of ``nodes``.

    Raises
    ------
    ShapeError
        If one is not known.
    """
    ranks = [node.ndim for node in nodes if node.ndim is not None]
    if len(ranks) < len(nodes):
        raise ShapeError(
            "the numbers of axes of the operands must be known",
            remedy='Declare it, as in Variable("x", shape=(None, None)), or use matmul.',
        )
    return ranks


@register
def tensordot(x: Operand, y: Operand, axes: Any = 2) -> Node:
    """Sum the products of the elements of ``x`` and ``y`` over pairs of axes.

    Parameters
    ----------
    x, y : Node or array
        Their numbers of axes must be known.
    axes : int or pair of int or sequences of int
        How many axes to sum over, the last of ``x`` with the first of ``y``, in order; or the axes
        of ``x`` and those of ``y``.

    Returns
    -------
    Node
        With the other axes of ``x``, then those of ``y``.

    Raises
    ------
    ShapeError
        If a rank is not known, an axis does not exist or is named twice, or sizes differ.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x", shape=(2, 3, 4)), sm.Variable("y", shape=(4, 3))
    >>> sm.tensordot(x, y, axes=([1, 2], [1, 0])).type
    f64[2]
    """
    left, right = as_nodes(x, y)
    with reporting("tensordot", left, right):
        ranks = _known_ranks(left, right)
        pairs = _axis_pairs(axes, *ranks)
        names = _letters(ranks[0] + ranks[1])
        first, second = list(names[: ranks[0]]), list(names[ranks[0] :])
        for i, j in pairs:
            _require_equal(_size(left, i), _size(right, j), f"axis {i}", f"axis {j}")
            second[j] = first[i]
    shared = set(first) & set(second)
    result = "".join(letter for letter in first + second if letter not in shared)
    return contract((left, right), ("".join(first), "".join(second)), result)


def _axis_pairs(axes: Any, left: int, right: int) -> list[tuple[int, int]]:
    """Return the pairs of axes to sum over, counted from the front."""
    if isinstance(axes, int):
        if not 0 <= axes <= min(left, right):
            raise ShapeError(f"{axes} axes cannot be summed over: there are {left} and {right}")
        return [(left - axes + i, i) for i in range(axes)]
    given = [(axis,) if isinstance(axis, int) else tuple(axis) for axis in axes]
    if len(given) != 2 or len(given[0]) != len(given[1]):
        raise ShapeError(f"axes={axes!r} does not pair axes of one operand with those of the other")
    first, second = (
        [normalize_axis(i, n) for i in part] for part, n in zip(given, (left, right), strict=True)
    )
    if len(set(first)) != len(first) or len(set(second)) != len(second):
        raise ShapeError(f"axes={axes!r} names an axis twice")
    return list(zip(first, second, strict=True))


def _letters(count: int) -> str:
    if count > len(ascii_letters):
        raise ShapeError(f"{count} axes are too many: at most {len(ascii_letters)} are supported")
    return ascii_letters[:count]


def _size(node: Node, axis: int) -> Dimension:
    (type_,) = tensor_types(node.type)
    assert not isinstance(type_.shape, UnknownShape)
    return type_.shape[axis]


@explained
def dot(x: Operand, y: Operand) -> Node:
    """Return NumPy's dot product.

    For vectors or matrices it is ``x @ y``, with a scalar it is ``x * y``, and otherwise it is the
    sum over the last axis of ``x`` and the second-to-last axis of ``y``; all leading axes are kept
    and do not broadcast.

    Parameters
    ----------
    x, y : node, number or array

    Raises
    ------
    ShapeError
        If a rank is not known, or the sizes of the axis summed over differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.dot(sm.constant([1.0, 2.0]), sm.constant([10.0, 100.0])).eval()
    np.float64(210.0)
    """
    left, right = as_nodes(x, y)
    with reporting("dot", left, right):
        ranks = _known_ranks(left, right)
    if 0 in ranks:
        return left * right
    if max(ranks) <= 2 or ranks[1] == 1:
        return matmul(left, right)
    return tensordot(left, right, axes=(-1, -2))


@register
def inner(x: Operand, y: Operand) -> Node:
    """Return the sums of products over the last axes of ``x`` and ``y``, all others kept.

    This is ``numpy.inner``.

    Parameters
    ----------
    x, y : node, number or array

    Raises
    ------
    ShapeError
        If a rank is not known, or the sizes of the last axes differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.inner(sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([1.0, 10.0])).eval()
    array([21., 43.])
    """
    left, right = as_nodes(x, y)
    with reporting("inner", left, right):
        ranks = _known_ranks(left, right)
    if 0 in ranks:
        return left * right
    return matmul(left, right) if ranks[1] == 1 else tensordot(left, right, axes=(-1, -1))


@explained
def outer(x: Operand, y: Operand) -> Node:
    """Return all products of an element of ``x`` and one of ``y``, both flattened.

    Parameters
    ----------
    x, y : node, number or array
        Arrays of any shape.

    Returns
    -------
    (size of x, size of y) Node

    Examples
    --------
    >>> import symad as sm
    >>> sm.outer(sm.constant([1.0, 2.0]), sm.constant([1.0, 10.0, 100.0])).eval()
    array([[  1.,  10., 100.],
           [  2.,  20., 200.]])
    """
    left, right = as_nodes(x, y)
    column = expand_dims(left, -1) if left.ndim == 1 else reshape(left, (-1, 1))
    row = expand_dims(right, 0) if right.ndim == 1 else reshape(right, (1, -1))
    return column * row


@register
def trace(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """Return the sum along a diagonal of each matrix in two axes of ``x``.

    This is what ``np.trace(node)`` and ``node.trace()`` mean; :func:`symad.linalg.trace` takes the
    last two axes.  (:func:`symad.trace` is unrelated: it makes a table of a derivative, step by
    step.)

    Parameters
    ----------
    x : Node or array
    offset : int
        0 is the main diagonal; positive ones are above it.
    axis1, axis2 : int
        The axes of the matrices.

    Raises
    ------
    ShapeError
        If there are no such axes.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> np.trace(sm.constant([[1.0, 2.0], [3.0, 4.0]])).eval()
    np.float64(5.0)
    """
    return sum_of(diagonal(x, offset, axis1, axis2), axis=-1)


register(dot, in_expressions=True)
register(outer, in_expressions=True)
