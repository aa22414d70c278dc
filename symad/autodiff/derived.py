"""Functions built on the two modes: values with gradients, Jacobians, Hessians, products."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar, overload

from symad.autodiff.forward import pushforward, pushforward_of_unit
from symad.autodiff.reverse import AnyNode, Key, Unused, gradients, pullback_of_unit
from symad.errors import GradientError
from symad.graph.nested import Nested, map_leaves
from symad.graph.node import Node, apply
from symad.graph.op import call, explained
from symad.ops.adjoint import reshape_like
from symad.ops.base import register
from symad.ops.control import map_over
from symad.ops.unit_vectors import UnitVectors
from symad.types import TensorType

Value = TypeVar("Value", bound=Node | Nested)
Mode: TypeAlias = Literal["reverse", "forward"]


@overload
def value_and_gradients(
    y: Value, xs: Node, seed: Any = None, unused: Literal["error", "zero"] = "error"
) -> tuple[Value, Node]: ...


@overload
def value_and_gradients(
    y: Value, xs: list[AnyNode], seed: Any = None, unused: Literal["error", "zero"] = "error"
) -> tuple[Value, list[Node]]: ...


@overload
def value_and_gradients(
    y: Value, xs: dict[Key, AnyNode], seed: Any = None, unused: Literal["error", "zero"] = "error"
) -> tuple[Value, dict[Key, Node]]: ...


@overload
def value_and_gradients(
    y: Value, xs: Node | Nested, seed: Any = None, unused: Unused = "error"
) -> tuple[Value, Any]: ...


@explained
def value_and_gradients(
    y: Any, xs: Any, seed: Any = None, unused: Unused = "error"
) -> tuple[Any, Any]:
    """Return ``(y, gradients(y, xs))``, ready to be compiled together.

    Parameters
    ----------
    y, xs, seed, unused
        As for :func:`gradients`.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> f = sm.compile([x], sm.value_and_gradients(x**2, [x]))
    >>> f(3.0)
    (np.float64(9.0), [np.float64(6.0)])
    """
    return y, gradients(y, xs, seed, unused)


@overload
def jacobian(y: Node, xs: Node, mode: Mode | None = None, sparse: bool = False) -> Node: ...


@overload
def jacobian(
    y: Node, xs: list[AnyNode], mode: Mode | None = None, sparse: bool = False
) -> list[Node]: ...


@overload
def jacobian(y: Node, xs: Nested, mode: Mode | None = None, sparse: bool = False) -> Any: ...


@register
def jacobian(y: Node, xs: Any, mode: Mode | None = None, sparse: bool = False) -> Any:
    """Return the Jacobian of ``y``: for each x, all ∂y_i/∂x_j in the shape ``y.shape + x.shape``.

    In reverse mode, a pullback is mapped over the unit vectors of ``y``; in forward mode, a
    pushforward over those of x.  A compiled function computes all of them at once.

    Parameters
    ----------
    y : Node
    xs : Node or nested structure of nodes
    mode : {"reverse", "forward"}, optional
        Reverse mode needs one pass per element of ``y``, forward mode one per element of x.  By
        default forward mode if x is known to have fewer elements, else reverse mode; if ``sparse``,
        whichever needs fewer products.
    sparse : bool
        Return the node of a sparse matrix, with a row for each element of ``y`` and a column for
        each element of x: compiled functions return a ``scipy.sparse.csr_array``, and the node
        can be transposed and multiplied, ``J @ v`` and ``v @ J``.

    Returns
    -------
    Node or nested structure like ``xs``
        Zeros where ``y`` does not depend on x.

    See Also
    --------
    sparsity : which elements can differ from zero, and how many products give them.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> sm.jacobian(x * x, x).eval({x: [1.0, 2.0]})
    array([[2., 0.],
           [0., 4.]])
    """
    if sparse:
        from symad.autodiff.sparse import sparse_jacobian  # slow to import

        return sparse_jacobian(y, xs, mode)
    if mode not in (None, "reverse", "forward"):
        raise GradientError(f'mode is {mode!r}; it must be "reverse" or "forward"')

    def of(x: Node) -> Node:
        forward = _has_fewer(x, y) if mode is None else mode == "forward"
        return _jacobian_by_columns(y, x) if forward else _jacobian_by_rows(y, x)

    return map_leaves(of, xs)


def _has_fewer(x: Node, y: Node) -> bool:
    """Return whether ``x`` is known to have fewer elements than ``y``."""
    if not (isinstance(x.type, TensorType) and isinstance(y.type, TensorType)):
        return False
    return x.type.is_static and y.type.is_static and x.type.size < y.type.size


def _jacobian_by_rows(y: Node, x: Node) -> Node:
    def row(unit: Node) -> Node:
        return pullback_of_unit(y, x, reshape_like(unit, y))

    rows = map_over(row, [apply(UnitVectors(), y)])
    return call("reshape_outer", rows, y, x)


def _jacobian_by_columns(y: Node, x: Node) -> Node:
    def column(unit: Node) -> Node:
        return call("reshape", pushforward_of_unit(y, x, reshape_like(unit, x)), (-1,))

    columns = map_over(column, [apply(UnitVectors(), x)])
    return call("reshape_outer", call("transpose", columns), y, x)


@overload
def hessian(y: Node, xs: Node, sparse: bool = False) -> Node: ...


@overload
def hessian(y: Node, xs: list[AnyNode], sparse: bool = False) -> list[Node]: ...


@overload
def hessian(y: Node, xs: Nested, sparse: bool = False) -> Any: ...


@explained
def hessian(y: Node, xs: Any, sparse: bool = False) -> Any:
    """Return the Hessian of ``y``: for each x, all ∂²y/∂x_i∂x_j in the shape ``x.shape * 2``.

    For several ``xs`` these are the diagonal blocks; ``jacobian(gradients(y, a), b)`` is the
    block of a and b.

    Parameters
    ----------
    y : Node
        A scalar; otherwise its sum is used.
    xs : Node or nested structure of nodes
    sparse : bool
        Return the node of a sparse matrix, as for :func:`jacobian`.

    Returns
    -------
    Node or nested structure like ``xs``

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or ``y`` does not depend on one of ``xs``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> sm.hessian(x[0] ** 2 * x[1], x).eval({x: [1.0, 3.0]})
    array([[6., 2.],
           [2., 0.]])
    """
    if sparse:
        from symad.autodiff.sparse import sparse_hessian  # slow to import

        return sparse_hessian(y, xs)
    return map_leaves(lambda x: jacobian(gradients(y, x), x), xs)


@overload
def hessian_vector_product(y: Node, xs: Node, vectors: Any) -> Node: ...


@overload
def hessian_vector_product(y: Node, xs: list[AnyNode], vectors: Any) -> list[Node]: ...


@overload
def hessian_vector_product(y: Node, xs: Nested, vectors: Any) -> Any: ...


@explained
def hessian_vector_product(y: Node, xs: Any, vectors: Any) -> Any:
    """Return the Hessian of ``y`` times ``vectors``, without the Hessian: forward over reverse.

    Parameters
    ----------
    y : Node
        A scalar; otherwise its sum is used.
    xs : Node or nested structure of nodes
    vectors : array, Node or nested structure like ``xs``

    Returns
    -------
    Node or nested structure like ``xs``

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, ``y`` does not depend on one of ``xs``, or the
        vectors do not match.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> product = sm.hessian_vector_product(x[0] ** 2 * x[1], x, [1.0, 0.0])
    >>> product.eval({x: [1.0, 3.0]})
    array([6., 2.])
    """
    return pushforward(gradients(y, xs), xs, vectors)
