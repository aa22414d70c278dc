"""Python's operators, NumPy's methods and NumPy's protocols on nodes.

This layer knows no op: it looks functions up by name in a table that :mod:`symad.ops` fills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.errors import GraphTypeError
from symad.types import StructureType, UnknownShape

if TYPE_CHECKING:
    from symad.graph.node import Node
    from symad.types import Type

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""symad's public functions of nodes by name; filled by :mod:`symad.ops`."""

NUMPY_NAMES: dict[str, str] = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "concatenate": "concat",
    "conjugate": "identity",
    "degrees": "rad2deg",
    "expit": "sigmoid",
    "fabs": "abs",
    "fix": "trunc",
    "invert": "logical_not",
    "positive": "identity",
    "psi": "digamma",
    "radians": "deg2rad",
    "remainder": "mod",
    "rint": "round",
    "true_divide": "divide",
    "amax": "max",
    "amin": "min",
    "around": "round",
    "transpose": "transpose",
}
"""NumPy names that differ from symad's; all others are the same."""


def call(name: str, *args: Any, **keywords: Any) -> Node:
    """Return the node that the function registered under ``name`` makes."""
    node: Node = FUNCTIONS[name](*args, **keywords)
    return node


def _from_numpy(function: Any) -> Callable[..., Any]:
    """Return symad's function for a NumPy function, or raise an error that names it."""
    name = NUMPY_NAMES.get(function.__name__, function.__name__)
    module = getattr(function, "__module__", None) or "numpy"
    prefix = module.rpartition(".")[2]
    for candidate in (f"{prefix}.{name}", name):
        if candidate in FUNCTIONS:
            return FUNCTIONS[candidate]
    raise GraphTypeError(
        f"numpy.{function.__name__} has no counterpart for symad nodes",
        remedy="Compute it on arrays before feeding them, or define an op (docs/adding_an_op.md).",
    )


class Operators:
    """What a node can do in an expression."""

    __slots__ = ()
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        type: Type

    # Comparison is by identity, so that nodes can be keys; see equal().
    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, (int, float, complex, np.ndarray, np.generic, list)):
            raise GraphTypeError(
                f"== on a node compares identity, and {other!r} is not a node",
                remedy="Write sm.equal(a, b) for elementwise comparison, `a is b` for identity.",
            )
        return NotImplemented

    def __bool__(self) -> bool:
        raise GraphTypeError(
            f"{self!r} has no value while the graph is being built, so it is neither true nor "
            "false",
            remedy="Write sm.where(condition, a, b) for a choice by value, "
            "sm.logical_and(a, b) for `and`, node.eval({...}) to look at a value.",
        )

    def __float__(self) -> float:
        raise GraphTypeError(
            f"{self!r} has no value while the graph is being built",
            remedy="Use node.eval({variable: value, ...}) to look at a value.",
        )

    __int__ = __index__ = __complex__ = __float__

    if not TYPE_CHECKING:  # with it, checkers would take array + node for an array

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise GraphTypeError(
                f"{self!r} is a node of a graph and cannot become an array",
                remedy="Use node.eval({variable: value}), or keep to functions that symad has.",
            )

    def __len__(self) -> int:
        if isinstance(self.type, StructureType):
            return len(self.type.fields)
        shape = self.type.shape
        if isinstance(shape, UnknownShape) or not shape or not isinstance(shape[0], int):
            raise GraphTypeError(
                f"{self!r} has no known length",
                remedy="Give its variable a shape, or use x.shape[0], which is a node.",
            )
        return shape[0]

    def __iter__(self) -> Iterator[Node]:
        if isinstance(self.type, StructureType):
            return (self[key] for key in self.type.keys)
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        raise GraphTypeError(
            "`in` needs values, and a graph has none while it is being built",
            remedy="Write sm.any(sm.equal(x, item)).",
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphTypeError(
            "nodes cannot be changed",
            remedy="Write y = sm.set_at(x, index, value) for a new node, "
            "or sm.add_at(x, index, value) to add.",
        )

    def __getitem__(self, index: Any) -> Node:
        return call("get_item", self, index)

    # NumPy's protocols
    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            detail = f".{method}" if method != "__call__" else f" with {', '.join(keywords)}="
            raise GraphTypeError(
                f"numpy.{ufunc.__name__}{detail} is not available for symad nodes",
                remedy="Use the plain function, and sum, max, where, astype around it.",
            )
        return _from_numpy(ufunc)(*args)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        return _from_numpy(function)(*args, **keywords)

    # Arithmetic
    def __add__(self, other: Any) -> Node:
        return call("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return call("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return call("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return call("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return call("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return call("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return call("divide", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return call("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return call("floor_divide", other, self)

    def __mod__(self, other: Any) -> Node:
        return call("mod", self, other)

    def __rmod__(self, other: Any) -> Node:
        return call("mod", other, self)

    def __pow__(self, other: Any) -> Node:
        return call("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return call("power", other, self)

    def __matmul__(self, other: Any) -> Node:
        return call("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return call("matmul", other, self)

    def __neg__(self) -> Node:
        return call("negative", self)

    def __divmod__(self, other: Any) -> tuple[Node, Node]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Node, Node]:
        return other // self, other % self

    def __round__(self, decimals: int = 0) -> Node:
        return call("round", self, decimals)

    def __floor__(self) -> Node:
        return call("floor", self)

    def __ceil__(self) -> Node:
        return call("ceil", self)

    def __trunc__(self) -> Node:
        return call("trunc", self)

    def __pos__(self) -> Node:
        return call("identity", self)

    def __abs__(self) -> Node:
        return call("abs", self)

    def __invert__(self) -> Node:
        return call("logical_not", self)

    def __and__(self, other: Any) -> Node:
        return call("logical_and", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Node:
        return call("logical_or", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Node:
        return call("logical_xor", self, other)

    __rxor__ = __xor__

    def __lt__(self, other: Any) -> Node:
        return call("less", self, other)

    def __le__(self, other: Any) -> Node:
        return call("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return call("greater", self, other)

    def __ge__(self, other: Any) -> Node:
        return call("greater_equal", self, other)

    # NumPy's attributes and methods
    @property
    def dtype(self) -> Any:
        """The dtype, or an error for a structure."""
        if isinstance(self.type, StructureType):
            raise GraphTypeError(f"{self!r} is a structure and has no dtype")
        return self.type.dtype

    @property
    def ndim(self) -> int | None:
        """The number of axes; ``None`` where it is not known."""
        return None if isinstance(self.type, StructureType) else self.type.ndim

    @property
    def shape(self) -> Any:
        """The sizes of the axes: numbers where known, else integer nodes.

        Where not even the number of axes is known, this is one node: a vector of integers.
        """
        return FUNCTIONS["shape"](self)

    @property
    def size(self) -> Any:
        """The number of elements: a number where known, else an integer node."""
        return FUNCTIONS["size"](self)

    @property
    def T(self) -> Node:
        """All axes reversed."""
        return call("transpose", self)

    @property
    def mT(self) -> Node:
        """The last two axes swapped."""
        return call("matrix_transpose", self)

    def eval(self, feed: Any = None) -> Any:
        """Return the value for ``feed``, a dict from variables to values."""
        return FUNCTIONS["eval"](self, feed)

    def astype(self, dtype: Any) -> Node:
        """Cast to another dtype."""
        return call("cast", self, dtype)

    def reshape(self, *shape: Any) -> Node:
        """See :func:`symad.reshape`."""
        one = len(shape) == 1 and not isinstance(shape[0], int)
        return call("reshape", self, shape[0] if one else shape)

    def transpose(self, *axes: Any) -> Node:
        """See :func:`symad.permute_dims`; without axes, all are reversed."""
        if not axes:
            return self.T
        return call("permute_dims", self, axes[0] if len(axes) == 1 else axes)

    def flatten(self) -> Node:
        """Return all elements in one axis."""
        return call("reshape", self, (-1,))

    ravel = flatten

    def swapaxes(self, axis1: int, axis2: int) -> Node:
        """See :func:`symad.swapaxes`."""
        return call("swapaxes", self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Node:
        """See :func:`symad.squeeze`."""
        return call("squeeze", self, axis)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.sum`."""
        return call("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.mean`."""
        return call("mean", self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.prod`."""
        return call("prod", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.max`."""
        return call("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.min`."""
        return call("min", self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Node:
        """See :func:`symad.var`."""
        return call("var", self, axis=axis, keepdims=keepdims, correction=correction)

    def std(self, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Node:
        """See :func:`symad.std`."""
        return call("std", self, axis=axis, keepdims=keepdims, correction=correction)

    def any(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.any`."""
        return call("any", self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.all`."""
        return call("all", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.argmax`."""
        return call("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Node:
        """See :func:`symad.argmin`."""
        return call("argmin", self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: Any = None) -> Node:
        """See :func:`symad.cumsum`."""
        return call("cumsum", self, axis=axis)

    def cumprod(self, axis: Any = None) -> Node:
        """See :func:`symad.cumprod`."""
        return call("cumprod", self, axis=axis)

    def clip(self, low: Any = None, high: Any = None) -> Node:
        """See :func:`symad.clip`."""
        return call("clip", self, low, high)

    def round(self, decimals: int = 0) -> Node:
        """See :func:`symad.round`."""
        return call("round", self, decimals)

    def dot(self, other: Any) -> Node:
        """See :func:`symad.dot`."""
        return call("dot", self, other)

    def repeat(self, repeats: Any, axis: Any = None) -> Node:
        """See :func:`symad.repeat`."""
        return call("repeat", self, repeats, axis=axis)

    def take(self, indices: Any, axis: Any = None) -> Node:
        """See :func:`symad.take`."""
        return call("take", self, indices, axis=axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
        """See :func:`symad.diagonal`."""
        return call("diagonal", self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
        """See :func:`symad.linalg.trace`."""
        return call("linalg.trace", self, offset, axis1, axis2)
