"""Products under NumPy's names: Kronecker, cross, and the dot product of all elements."""

from __future__ import annotations

from symad.errors import ShapeError
from symad.functions.along import at, axis_of, known_rank
from symad.graph.node import Node, reporting
from symad.ops.base import Operand, as_nodes, register
from symad.ops.einsum import einsum
from symad.ops.join import stack
from symad.ops.permute import moveaxis
from symad.ops.product import dot
from symad.ops.shape import expand_dims, ravel, reshape
from symad.ops.size import axis_size


@register
def vdot(x: Operand, y: Operand) -> Node:
    """Return the sum of the products of all elements of ``x`` and ``y``, in order.

    Parameters
    ----------
    x, y : node, number or array
        With the same number of elements.

    Raises
    ------
    ShapeError
        If they are known to have different numbers of elements.

    Examples
    --------
    >>> import symad as sm
    >>> sm.vdot(sm.constant([[1.0, 2.0], [3.0, 4.0]]), [1.0, 1.0, 1.0, 10.0]).eval()
    np.float64(46.0)
    """
    first, second = as_nodes(x, y)
    return dot(ravel(first), ravel(second))


@register
def kron(x: Operand, y: Operand) -> Node:
    """Return the Kronecker product: ``y``, in place of each element of ``x``, times the element.

    Parameters
    ----------
    x, y : node, number or array
        One with fewer axes gets axes of size 1 before its own.

    Raises
    ------
    ShapeError
        If a number of axes is not known.

    Examples
    --------
    >>> import symad as sm
    >>> sm.kron(sm.constant([1.0, 10.0]), [1.0, 2.0, 3.0]).eval()
    array([ 1.,  2.,  3., 10., 20., 30.])
    """
    first, second = as_nodes(x, y)
    ranks = known_rank("kron", first), known_rank("kron", second)
    rank = max(ranks)
    first, second = (
        expand_dims(node, tuple(range(rank - own))) if own < rank else node
        for node, own in zip((first, second), ranks, strict=True)
    )
    sizes = tuple(m * n for m, n in zip(first.shape, second.shape, strict=True))
    odd, even = tuple(range(1, 2 * rank, 2)), tuple(range(0, 2 * rank, 2))
    product = expand_dims(first, odd) * expand_dims(second, even) if rank else first * second
    return reshape(product, sizes)


@register
def cross(
    x: Operand,
    y: Operand,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Node:
    """Return the cross product of vectors in three dimensions.

    Parameters
    ----------
    x, y : node or array
        Their other axes broadcast.
    axisa, axisb : int
        The axes of ``x`` and ``y`` along which the vectors lie.
    axisc : int
        Where the vectors of the result lie.
    axis : int, optional
        All three of them.

    Raises
    ------
    ShapeError
        If a vector is known not to have 3 components.

    Examples
    --------
    >>> import symad as sm
    >>> sm.cross(sm.constant([1.0, 0.0, 0.0]), [0.0, 1.0, 0.0]).eval()
    array([0., 0., 1.])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    first, second = as_nodes(x, y)
    parts = [_components(node, along) for node, along in ((first, axisa), (second, axisb))]
    (a, b, c), (p, q, r) = parts
    result = stack([b * r - c * q, c * p - a * r, a * q - b * p], -1)
    return result if axisc == -1 else moveaxis(result, -1, axis_of("cross", result, axisc))


def _components(x: Node, axis: int) -> list[Node]:
    axis = axis_of("cross", x, axis)
    size = axis_size(x, axis)
    if isinstance(size, int) and size != 3:
        with reporting("cross", x):
            raise ShapeError(
                f"axis {axis} has size {size}, but vectors with 3 components are needed",
                remedy="Add a component of 0 to vectors in the plane.",
            )
    return [at(x, axis, k) for k in range(3)]


@register
def matvec(x: Operand, y: Operand) -> Node:
    """Return the products of matrices and vectors: (..., m, n) and (..., n) give (..., m).

    Parameters
    ----------
    x, y : node or array
        Their leading axes broadcast.

    Raises
    ------
    ShapeError
        If the sizes of the last axes differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.matvec(sm.constant([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 0.0], [0.0, 1.0]]).eval()
    array([[1., 3.],
           [2., 4.]])
    """
    return einsum("...mn,...n->...m", x, y)


@register
def vecmat(x: Operand, y: Operand) -> Node:
    """Return the products of vectors and matrices: (..., m) and (..., m, n) give (..., n).

    Parameters
    ----------
    x, y : node or array
        Their leading axes broadcast.

    Raises
    ------
    ShapeError
        If the sizes of the axes that are summed over differ.

    Examples
    --------
    >>> import symad as sm
    >>> sm.vecmat(sm.constant([1.0, 10.0]), [[1.0, 2.0], [3.0, 4.0]]).eval()
    array([31., 42.])
    """
    return einsum("...m,...mn->...n", x, y)
