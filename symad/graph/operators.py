"""Python's operators, NumPy's methods and NumPy's protocols on nodes.

This module does not import ops: it looks functions up by name in a table that :mod:`symad.ops`
fills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from symad.errors import GraphTypeError
from symad.types import StructureType, UnknownShape

if TYPE_CHECKING:
    from symad.types import Type

NodeT = TypeVar("NodeT")
"""The class of nodes, which derives from :class:`Operators`."""

ON_FIRST_USE: dict[str, str] = {}
"""Modules whose import registers a function, by its name; filled by :mod:`symad`."""


class _Functions(dict[str, Callable[..., Any]]):
    """Functions by name; one that is not there yet is loaded, if its module is known."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        import_module(ON_FIRST_USE[name])
        return self[name]


FUNCTIONS: dict[str, Callable[..., Any]] = _Functions()
"""symad's public functions of nodes by name; filled by :mod:`symad.ops`."""

IN_EXPRESSIONS: set[str] = set()
"""Names of the functions that make several ops and that textual expressions may call."""

NUMPY_NAMES: dict[str, str] = {
    "concatenate": "concat",
    "conjugate": "identity",
    "degrees": "rad2deg",
    "expit": "sigmoid",
    "fabs": "abs",
    "fix": "trunc",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "positive": "identity",
    "psi": "digamma",
    "radians": "deg2rad",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "true_divide": "divide",
    "amax": "max",
    "amin": "min",
    "around": "round",
    "transpose": "transpose",
}
"""NumPy names that differ from symad's; registering an op adds the name of its ufunc."""


def _from_numpy(function: Any) -> Callable[..., Any]:
    """Return symad's function for a NumPy function, or raise an error that names it."""
    name = NUMPY_NAMES.get(function.__name__, function.__name__)
    module = getattr(function, "__module__", None) or "numpy"
    prefix = module.rpartition(".")[2]
    for candidate in (f"{prefix}.{name}", name):
        if candidate in FUNCTIONS or candidate in ON_FIRST_USE:
            return FUNCTIONS[candidate]
    raise GraphTypeError(
        f"numpy.{function.__name__} has no counterpart for symad nodes",
        remedy="Compute it on arrays before feeding them, or define an op (docs/adding_an_op.md).",
    )


class Operators(Generic[NodeT]):
    """The operators, methods and protocols of a node."""

    __slots__ = ()
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        type: Type

    def _call(self, name: str, *args: Any, **keywords: Any) -> NodeT:
        """Return the node that the function registered under ``name`` makes."""
        node: NodeT = FUNCTIONS[name](*args, **keywords)
        return node

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

    if not TYPE_CHECKING:  # with it, type checkers would treat array + node as an array

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise GraphTypeError(
                f"{self!r} is a node of a graph and cannot become an array",
                remedy="Use node.eval({variable: value}), or use only functions that symad has.",
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

    def __iter__(self) -> Iterator[NodeT]:
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

    def __getitem__(self, index: Any) -> NodeT:
        return self._call("get_item", self, index)

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

    # The protocol of the Array API standard
    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version is not None and api_version > "2025.12":
            raise GraphTypeError(f"version {api_version!r} of the Array API standard is not known")
        return import_module("symad")

    @property
    def device(self) -> str:
        """The device of the value: always the CPU."""
        return "cpu"

    def to_device(self, device: Any, *, stream: Any = None) -> Any:
        """Return the node itself, for the one device there is."""
        if device != "cpu":
            raise GraphTypeError(f"there is no device {device!r}", remedy="Nodes live on the CPU.")
        return self

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        return self.__float__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    # Arithmetic
    def __add__(self, other: Any) -> NodeT:
        return self._call("add", self, other)

    def __radd__(self, other: Any) -> NodeT:
        return self._call("add", other, self)

    def __sub__(self, other: Any) -> NodeT:
        return self._call("subtract", self, other)

    def __rsub__(self, other: Any) -> NodeT:
        return self._call("subtract", other, self)

    def __mul__(self, other: Any) -> NodeT:
        return self._call("multiply", self, other)

    def __rmul__(self, other: Any) -> NodeT:
        return self._call("multiply", other, self)

    def __truediv__(self, other: Any) -> NodeT:
        return self._call("divide", self, other)

    def __rtruediv__(self, other: Any) -> NodeT:
        return self._call("divide", other, self)

    def __floordiv__(self, other: Any) -> NodeT:
        return self._call("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> NodeT:
        return self._call("floor_divide", other, self)

    def __mod__(self, other: Any) -> NodeT:
        return self._call("mod", self, other)

    def __rmod__(self, other: Any) -> NodeT:
        return self._call("mod", other, self)

    def __pow__(self, other: Any) -> NodeT:
        return self._call("power", self, other)

    def __rpow__(self, other: Any) -> NodeT:
        return self._call("power", other, self)

    def __matmul__(self, other: Any) -> NodeT:
        return self._call("matmul", self, other)

    def __rmatmul__(self, other: Any) -> NodeT:
        return self._call("matmul", other, self)

    def __neg__(self) -> NodeT:
        return self._call("negative", self)

    def __divmod__(self, other: Any) -> tuple[NodeT, NodeT]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[NodeT, NodeT]:
        return other // self, other % self

    def __round__(self, decimals: int = 0) -> NodeT:
        return self._call("round", self, decimals)

    def __floor__(self) -> NodeT:
        return self._call("floor", self)

    def __ceil__(self) -> NodeT:
        return self._call("ceil", self)

    def __trunc__(self) -> NodeT:
        return self._call("trunc", self)

    def __pos__(self) -> NodeT:
        return self._call("identity", self)

    def __abs__(self) -> NodeT:
        return self._call("abs", self)

    def __invert__(self) -> NodeT:
        return self._call("bitwise_invert", self)

    def __and__(self, other: Any) -> NodeT:
        return self._call("bitwise_and", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> NodeT:
        return self._call("bitwise_or", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> NodeT:
        return self._call("bitwise_xor", self, other)

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> NodeT:
        return self._call("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> NodeT:
        return self._call("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> NodeT:
        return self._call("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> NodeT:
        return self._call("bitwise_right_shift", other, self)

    def __lt__(self, other: Any) -> NodeT:
        return self._call("less", self, other)

    def __le__(self, other: Any) -> NodeT:
        return self._call("less_equal", self, other)

    def __gt__(self, other: Any) -> NodeT:
        return self._call("greater", self, other)

    def __ge__(self, other: Any) -> NodeT:
        return self._call("greater_equal", self, other)

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
    def T(self) -> NodeT:
        """All axes reversed."""
        return self._call("transpose", self)

    @property
    def mT(self) -> NodeT:
        """The last two axes swapped."""
        return self._call("matrix_transpose", self)

    def eval(self, feed: Any = None) -> Any:
        """Return the value for ``feed``, a dict from variables to values."""
        return FUNCTIONS["eval"](self, feed)

    def astype(self, dtype: Any, copy: bool = True) -> NodeT:
        """Cast to another dtype; nodes never change, so there is nothing to copy."""
        return self._call("cast", self, dtype)

    def reshape(self, *shape: Any) -> NodeT:
        """See :func:`symad.reshape`."""
        one = len(shape) == 1 and not isinstance(shape[0], int)
        return self._call("reshape", self, shape[0] if one else shape)

    def transpose(self, *axes: Any) -> NodeT:
        """See :func:`symad.permute_dims`; without axes, all are reversed."""
        if not axes:
            return self.T
        return self._call("permute_dims", self, axes[0] if len(axes) == 1 else axes)

    def flatten(self) -> NodeT:
        """Return all elements in one axis."""
        return self._call("reshape", self, (-1,))

    ravel = flatten

    def swapaxes(self, axis1: int, axis2: int) -> NodeT:
        """See :func:`symad.swapaxes`."""
        return self._call("swapaxes", self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> NodeT:
        """See :func:`symad.squeeze`."""
        return self._call("squeeze", self, axis)

    def sum(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.sum`."""
        return self._call("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.mean`."""
        return self._call("mean", self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.prod`."""
        return self._call("prod", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.max`."""
        return self._call("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.min`."""
        return self._call("min", self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, correction: float = 0) -> NodeT:
        """See :func:`symad.var`."""
        return self._call("var", self, axis=axis, keepdims=keepdims, correction=correction)

    def std(self, axis: Any = None, keepdims: bool = False, correction: float = 0) -> NodeT:
        """See :func:`symad.std`."""
        return self._call("std", self, axis=axis, keepdims=keepdims, correction=correction)

    def any(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.any`."""
        return self._call("any", self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.all`."""
        return self._call("all", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.argmax`."""
        return self._call("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> NodeT:
        """See :func:`symad.argmin`."""
        return self._call("argmin", self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: Any = None) -> NodeT:
        """See :func:`symad.cumsum`."""
        return self._call("cumsum", self, axis=axis)

    def cumprod(self, axis: Any = None) -> NodeT:
        """See :func:`symad.cumprod`."""
        return self._call("cumprod", self, axis=axis)

    def clip(self, low: Any = None, high: Any = None) -> NodeT:
        """See :func:`symad.clip`."""
        return self._call("clip", self, low, high)

    def round(self, decimals: int = 0) -> NodeT:
        """See :func:`symad.round`."""
        return self._call("round", self, decimals)

    def dot(self, other: Any) -> NodeT:
        """See :func:`symad.dot`."""
        return self._call("dot", self, other)

    def repeat(self, repeats: Any, axis: Any = None) -> NodeT:
        """See :func:`symad.repeat`."""
        return self._call("repeat", self, repeats, axis=axis)

    def take(self, indices: Any, axis: Any = None) -> NodeT:
        """See :func:`symad.take`."""
        return self._call("take", self, indices, axis=axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> NodeT:
        """See :func:`symad.diagonal`."""
        return self._call("diagonal", self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> NodeT:
        """See :func:`symad.linalg.trace`."""
        return self._call("linalg.trace", self, offset, axis1, axis2)
