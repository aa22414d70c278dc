"""New arrays: filled with one value, counting, or the identity matrix.

A filled array is a broadcast number: it takes no memory, its sizes may be nodes, and the number
gets a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import broadcast_like, cast
from symad.ops.base import Operand, as_node, as_nodes, register, require_cpu, tensor_types
from symad.ops.shape import broadcast_to, expand_dims
from symad.ops.size import AxisSize, as_size, check_sizes, dimensions
from symad.types import KnownRank, TensorType, Type, UnknownDim, as_dtype


@explained
def full(shape: Any, fill_value: Operand, dtype: Any = None, *, device: Any = None) -> Node:
    """Return an array of ``shape`` filled with one value.

    Parameters
    ----------
    shape : int, integer node, or sequence of these
    fill_value : Operand
        A number or node that broadcasts to ``shape``; it gets a gradient.
    dtype : dtype, optional
        By default that of ``fill_value``.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("batch", 3))
    >>> sm.full((x.shape[0], 2), 7.0).type
    f64[batch,2]
    """
    require_cpu(device)
    value = as_node(fill_value)
    return broadcast_to(value if dtype is None else cast(value, dtype), shape)


@explained
def zeros(shape: Any, dtype: Any = "float64", *, device: Any = None) -> Node:
    """Return an array of ``shape`` filled with zeros; sizes may be integer nodes.

    Parameters
    ----------
    shape : int, or sequence of int or integer nodes
    dtype : dtype
        By default float64.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.zeros((2,)).eval()
    array([0., 0.])
    """
    require_cpu(device)
    return broadcast_to(Constant(0, as_dtype("float64" if dtype is None else dtype)), shape)


@explained
def ones(shape: Any, dtype: Any = "float64", *, device: Any = None) -> Node:
    """Return an array of ``shape`` filled with ones; sizes may be integer nodes.

    Parameters
    ----------
    shape : int, or sequence of int or integer nodes
    dtype : dtype
        By default float64.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.ones((2,)).eval()
    array([1., 1.])
    """
    require_cpu(device)
    return broadcast_to(Constant(1, as_dtype("float64" if dtype is None else dtype)), shape)


@explained
def full_like(x: Operand, fill_value: Operand, dtype: Any = None, *, device: Any = None) -> Node:
    """Return an array of the shape and dtype of ``x`` filled with one value.

    Parameters
    ----------
    x : node, number or array
    fill_value : Operand
        A number or node that broadcasts to the shape of ``x``; it gets a gradient.
    dtype : dtype, optional
        By default that of ``x``.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.full_like(sm.constant([1.0, 2.0]), 7).eval()
    array([7., 7.])
    """
    require_cpu(device)
    like = as_node(x)
    return broadcast_like(cast(as_node(fill_value), dtype or like.dtype), like)


class Arange(Op):
    """Count from ``start`` to before ``stop`` in steps; at least one of the three is a node."""

    dims: KnownRank
    dtype: np.dtype[Any]

    name = "arange"
    numpy = np.arange
    samples = (
        Sample(lambda x: cast(arange(_length(x)), x.dtype) * x, [reals(4)]),
        Sample(lambda x: arange(1, _length(x), 2), [reals(6)], label="steps"),
        Sample(lambda x: arange(_length(x)), [reals(0)], label="empty"),
    )

    def attributes(self) -> dict[str, Any]:
        return {"dtype": self.dtype}

    def is_size(self, slot: int) -> bool:
        return True

    def infer(self, *types: Any) -> Type:
        check_sizes(types)
        return TensorType(self.dtype, self.dims)

    def differentiable(self, slot: int) -> bool:
        return False

    def specialise(self, *inputs: Node) -> Node | None:
        bounds: list[Any] = [node.value[()] for node in inputs if isinstance(node, Constant)]
        return Constant(np.arange(*bounds, dtype=self.dtype)) if len(bounds) == 3 else None


def _length(x: Node) -> Node:
    return apply(AxisSize(0), x)


@explained
def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None
) -> Node:
    """Return the numbers from ``start`` to before ``stop`` in steps.

    Parameters
    ----------
    start, stop, step : number or integer node
        With one argument, it is ``stop``, and ``start`` is 0.
    dtype : dtype, optional
        By default int64 for integers and float64 for floats.
    device : {None, "cpu"}

    Raises
    ------
    GraphTypeError
        If a node is not a single integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.arange(1, 4).eval()
    array([1, 2, 3])
    >>> x = sm.Variable("x", shape=("batch",))
    >>> sm.arange(x.shape[0]).type
    i64[batch]
    """
    require_cpu(device)
    if stop is None:
        start, stop = 0, start
    wanted = None if dtype is None else as_dtype(dtype)
    if not any(isinstance(bound, Node) for bound in (start, stop, step)):
        return Constant(np.arange(start, stop, step, dtype=wanted))
    sizes = [as_size(bound) for bound in (start, stop, step)]
    dims: KnownRank = (UnknownDim(),)
    start, stop, step = sizes
    counts = isinstance(start, int) and isinstance(step, int) and (start, step) == (0, 1)
    if counts and isinstance(stop, Node):
        dims, _ = dimensions(sizes[1:2])
    return apply(Arange(dims, wanted or np.dtype("int64")), *map(as_node, sizes))


@explained
def linspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    *,
    device: Any = None,
) -> Node:
    """Return ``num`` evenly spaced numbers from ``start`` to ``stop``.

    Parameters
    ----------
    start, stop : node, number or array
        Nodes get gradients.  If they have axes, the numbers run along a new first axis.
    num : int
    endpoint : bool
        Whether ``stop`` is the last number.
    dtype : dtype, optional
    device : {None, "cpu"}

    Raises
    ------
    ShapeError
        If the number of axes of ``start`` or ``stop`` is not known.

    Notes
    -----
    With nodes, this is (1 - t)·start + t·stop, which is exact at both ends.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linspace(0, 1, 5).eval()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    require_cpu(device)
    wanted = None if dtype is None else as_dtype(dtype)
    if not isinstance(start, Node) and not isinstance(stop, Node):
        first_and_last: tuple[Any, Any] = start, stop
        return Constant(np.linspace(*first_and_last, num, endpoint, dtype=wanted))
    first, last = as_nodes(start, stop)
    rank = 0
    for type_ in tensor_types(first.type, last.type):
        if type_.ndim is None:
            raise ShapeError("the number of axes of start and stop must be known")
        rank = max(rank, type_.ndim)
    kind = np.result_type(first.dtype, last.dtype)
    t = np.linspace(0, 1, num, endpoint, dtype=kind if kind.kind == "f" else "float64")
    t = t.reshape(-1, *[1] * rank)
    result: Node = Constant(1 - t) * first + Constant(t) * last
    return result if wanted is None else cast(result, wanted)


@explained
def eye(n: Any, m: Any = None, k: int = 0, dtype: Any = "float64", *, device: Any = None) -> Node:
    """Return a matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    n, m : int or integer node
        The number of rows and columns; square unless ``m`` is given.
    k : int
        Which diagonal: 0 is the main one, positive ones are above it.
    dtype : dtype
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.eye(2).eval()
    array([[1., 0.],
           [0., 1.]])
    """
    require_cpu(device)
    wanted = as_dtype("float64" if dtype is None else dtype)
    rows = as_size(n)
    columns = rows if m is None else as_size(m)
    if isinstance(rows, int) and isinstance(columns, int):
        return Constant(np.eye(rows, columns, k, dtype=wanted))
    return cast(call("equal", expand_dims(arange(rows) + k, 1), arange(columns)), wanted)


register(full)
register(zeros)
register(ones)
register(full_like)
register(arange)
register(linspace)
register(eye)
