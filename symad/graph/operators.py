"""Python's operators, NumPy's methods and NumPy's protocols on nodes.

This module does not import ops: it looks functions up by name in a table that :mod:`symad.ops`
fills.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import unwrap
from types import FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from symad.errors import GraphTypeError, did_you_mean
from symad.graph.provenance import Site
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
        if name in self:
            return self[name]
        raise KeyError(name)  # something else than a function of nodes


FUNCTIONS: dict[str, Callable[..., Any]] = _Functions()
"""symad's public functions of nodes by name; filled by :mod:`symad.ops`."""


class _OfTwo(dict[str, Callable[[Any, Any], Any]]):
    """Functions by name without what explains wrong arguments to users: operators give right ones.

    They make most nodes of large graphs.
    """

    def __missing__(self, name: str) -> Callable[[Any, Any], Any]:
        function = FUNCTIONS[name]
        if not isinstance(function, FunctionType):  # an op
            function = MethodType(unwrap(type(function).__call__), function)
        self[name] = unwrap(function)
        return self[name]


_OF_TWO = _OfTwo()

IN_EXPRESSIONS: set[str] = set()
"""Names of the functions that make several ops and that textual expressions may call."""

NUMPY_NAMES: dict[str, str] = {
    "concatenate": "concat",
    "identity": "eye",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "linalg.matmul": "matmul",
    "linalg.tensordot": "tensordot",
}
"""symad's name for a NumPy function that has another; registering a function adds to it.

NumPy's functions are named by their path below ``numpy``, such as ``"linalg.norm"``, and SciPy's
ufuncs by that below ``scipy``, such as ``"special.expit"``.
"""


class Operators(Generic[NodeT]):
    """The operators, methods and protocols of a node."""

    __slots__ = ()
    __hash__ = object.__hash__
    __pandas_priority__ = 5000  # above that of Series and DataFrame, which leave operators to us

    if TYPE_CHECKING:
        type: Type

    def _call(self, name: str, *args: Any, **keywords: Any) -> NodeT:
        """Return the node that the function registered under ``name`` makes."""
        return FUNCTIONS[name](*args, **keywords)  # type: ignore[no-any-return]

    def _of_two(self, name: str, x: Any, y: Any) -> NodeT:
        """Return the same for a binary operator; the most frequent ones do so themselves."""
        return _OF_TWO[name](x, y)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        text: str = FUNCTIONS["short_formula"](self)
        return text

    def _repr_latex_(self) -> str:
        """Return the formula that a notebook shows."""
        return f"${FUNCTIONS['latex_formula'](self)}$"

    if not TYPE_CHECKING:  # so that checkers see that other attributes do not exist

        def __getattr__(self, name: str) -> Any:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name.startswith("_"):
                raise AttributeError(message)
            is_function = name in FUNCTIONS or name in ON_FIRST_USE
            hint = f" Did you mean sm.{name}(x)?" if is_function else ""
            raise AttributeError(f"{message}.{hint or did_you_mean(name, dir(type(self)))}")

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
            remedy="Write sm.where(condition, a, b) for a choice by value, sm.cond for a branch, "
            "sm.while_loop for a loop, sm.logical_and(a, b) for `and`; node.eval({...}) gives a "
            "value to look at.",
        )

    def __float__(self) -> float:
        raise GraphTypeError(
            f"{self!r} has no value while the graph is being built",
            remedy="Use node.eval({variable: value, ...}) to look at a value.",
        )

    __int__ = __index__ = __complex__ = __float__

    def __format__(self, specification: str) -> str:
        try:
            return format(str(self), specification)
        except ValueError:
            self.__float__()
            raise  # for a text, too, the specification is wrong

    if not TYPE_CHECKING:  # with it, type checkers would treat array + node as an array

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            caller = sys._getframe(1)
            if _is_of_scipy_sparse(caller):
                return _answer_to_scipy_sparse(self, caller)
            raise GraphTypeError(
                f"{self!r} is a node of a graph and cannot become an array",
                where=Site.capture().describe(),
                remedy="Write sm.stack([x, y]) for np.array([x, y]), sm.concat for np.r_, and "
                "symad's function where NumPy's does not take nodes; node.eval({variable: value}) "
                "computes a value.",
            )

    def __len__(self) -> int:
        if isinstance(self.type, StructureType):
            return len(self.type.fields)
        shape = self.type.shape
        if isinstance(shape, UnknownShape) or not shape or not isinstance(shape[0], int):
            raise GraphTypeError(
                f"{self!r} has no known length",
                remedy="Give its variable a shape, or go through it with sm.scan or sm.map_over; "
                "its length x.shape[0] is a node.",
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

    # NumPy's protocols, in symad.functions.numpy_protocol
    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **keywords: Any) -> Any:
        return FUNCTIONS["numpy_ufunc"](ufunc, method, args, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        return FUNCTIONS["numpy_function"](function, args, keywords)

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
        return _OF_TWO["add"](self, other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> NodeT:
        return self._of_two("add", other, self)

    def __sub__(self, other: Any) -> NodeT:
        return _OF_TWO["subtract"](self, other)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> NodeT:
        return self._of_two("subtract", other, self)

    def __mul__(self, other: Any) -> NodeT:
        return _OF_TWO["multiply"](self, other)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> NodeT:
        return self._of_two("multiply", other, self)

    def __truediv__(self, other: Any) -> NodeT:
        return _OF_TWO["divide"](self, other)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> NodeT:
        return self._of_two("divide", other, self)

    def __floordiv__(self, other: Any) -> NodeT:
        return self._of_two("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> NodeT:
        return self._of_two("floor_divide", other, self)

    def __mod__(self, other: Any) -> NodeT:
        return self._of_two("mod", self, other)

    def __rmod__(self, other: Any) -> NodeT:
        return self._of_two("mod", other, self)

    def __pow__(self, other: Any) -> NodeT:
        return self._of_two("power", self, other)

    def __rpow__(self, other: Any) -> NodeT:
        return self._of_two("power", other, self)

    def __matmul__(self, other: Any) -> NodeT:
        return self._of_two("matmul", self, other)

    def __rmatmul__(self, other: Any) -> NodeT:
        return self._of_two("matmul", other, self)

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
        return self._of_two("bitwise_and", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_or", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_xor", self, other)

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> NodeT:
        return self._of_two("bitwise_right_shift", other, self)

    def __lt__(self, other: Any) -> NodeT:
        return self._of_two("less", self, other)

    def __le__(self, other: Any) -> NodeT:
        return self._of_two("less_equal", self, other)

    def __gt__(self, other: Any) -> NodeT:
        return self._of_two("greater", self, other)

    def __ge__(self, other: Any) -> NodeT:
        return self._of_two("greater_equal", self, other)

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

    def _as_numpy(self, name: str, *args: Any, **keywords: Any) -> NodeT:
        """Return the value of a method that has arguments as NumPy's function of that name."""
        result: NodeT = FUNCTIONS["numpy_function"](getattr(np, name), (self, *args), keywords)
        return result

    def _reduced(self, name: str, axis: Any, more: tuple[Any, ...], **keywords: Any) -> NodeT:
        """Call symad's reduction, or NumPy's with arguments that only that has."""
        if more or not keywords.keys() <= {"keepdims", "correction"}:
            return self._as_numpy(name, axis, *more, **keywords)
        return self._call(name, self, axis=axis, **keywords)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True,
        copy: bool = True,
    ) -> NodeT:  # fmt: skip
        """Cast to another dtype, if ``casting`` allows it; the rest has no effect on nodes."""
        if casting != "unsafe" and not np.can_cast(self.dtype, dtype, casting):
            raise GraphTypeError(
                f"{self!r} cannot be cast to {dtype} with casting={casting!r}",
                where=Site.capture().describe(),
                remedy="Leave casting= out.",
            )
        return self._call("cast", self, dtype)

    def reshape(self, *shape: Any, **others: Any) -> NodeT:
        """See :func:`symad.reshape`."""
        one = len(shape) == 1 and not isinstance(shape[0], int)
        wanted = shape[0] if one else shape
        return (
            self._as_numpy("reshape", wanted, **others)
            if others
            else self._call("reshape", self, wanted)
        )

    def transpose(self, *axes: Any) -> NodeT:
        """See :func:`symad.permute_dims`; without axes, all are reversed."""
        if not axes or axes == (None,):
            return self.T
        return self._call("permute_dims", self, axes[0] if len(axes) == 1 else axes)

    def flatten(self, order: str = "C") -> NodeT:
        """Return all elements in one axis."""
        if order != "C":
            return self._as_numpy("ravel", order)
        return self._call("reshape", self, (-1,))

    ravel = flatten

    def swapaxes(self, axis1: int, axis2: int) -> NodeT:
        """See :func:`symad.swapaxes`."""
        return self._call("swapaxes", self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> NodeT:
        """See :func:`symad.squeeze`."""
        return self._call("squeeze", self, axis)

    def sum(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.sum`; also with the other arguments of NumPy's method."""
        return self._reduced("sum", axis, more, keepdims=keepdims, **others)

    def mean(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.mean`; also with the other arguments of NumPy's method."""
        return self._reduced("mean", axis, more, keepdims=keepdims, **others)

    def prod(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.prod`; also with the other arguments of NumPy's method."""
        return self._reduced("prod", axis, more, keepdims=keepdims, **others)

    def max(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.max`; also with the other arguments of NumPy's method."""
        return self._reduced("max", axis, more, keepdims=keepdims, **others)

    def min(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.min`; also with the other arguments of NumPy's method."""
        return self._reduced("min", axis, more, keepdims=keepdims, **others)

    def var(
        self, axis: Any = None, *more: Any, keepdims: bool = False, correction: float = 0, **o: Any
    ) -> NodeT:
        """See :func:`symad.var`; also with the other arguments of NumPy's method."""
        return self._reduced("var", axis, more, keepdims=keepdims, correction=correction, **o)

    def std(
        self, axis: Any = None, *more: Any, keepdims: bool = False, correction: float = 0, **o: Any
    ) -> NodeT:
        """See :func:`symad.std`; also with the other arguments of NumPy's method."""
        return self._reduced("std", axis, more, keepdims=keepdims, correction=correction, **o)

    def any(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.any`; also with the other arguments of NumPy's method."""
        return self._reduced("any", axis, more, keepdims=keepdims, **others)

    def all(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.all`; also with the other arguments of NumPy's method."""
        return self._reduced("all", axis, more, keepdims=keepdims, **others)

    def argmax(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.argmax`; also with the other arguments of NumPy's method."""
        return self._reduced("argmax", axis, more, keepdims=keepdims, **others)

    def argmin(self, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> NodeT:
        """See :func:`symad.argmin`; also with the other arguments of NumPy's method."""
        return self._reduced("argmin", axis, more, keepdims=keepdims, **others)

    def cumsum(self, axis: Any = None, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.cumsum`; also with the other arguments of NumPy's method."""
        return self._reduced("cumsum", axis, more, **others)

    def cumprod(self, axis: Any = None, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.cumprod`; also with the other arguments of NumPy's method."""
        return self._reduced("cumprod", axis, more, **others)

    def clip(self, min: Any = None, max: Any = None, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.clip`; also with the other arguments of NumPy's method."""
        if more or others:
            return self._as_numpy("clip", min, max, *more, **others)
        return self._call("clip", self, min, max)

    def round(self, decimals: int = 0, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.round`."""
        return self._as_numpy("round", decimals, *more, **others)

    def dot(self, other: Any, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.dot`."""
        return self._as_numpy("dot", other, *more, **others)

    def repeat(self, repeats: Any, axis: Any = None) -> NodeT:
        """See :func:`symad.repeat`."""
        return self._call("repeat", self, repeats, axis=axis)

    def take(self, indices: Any, axis: Any = None, *more: Any, **others: Any) -> NodeT:
        """See :func:`symad.take`; also with the other arguments of NumPy's method."""
        return self._as_numpy("take", indices, axis, *more, **others)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> NodeT:
        """See :func:`symad.diagonal`."""
        return self._call("diagonal", self, offset, axis1, axis2)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, *more: Any, **others: Any
    ) -> NodeT:
        """See :func:`symad.linalg.trace`; also with the other arguments of NumPy's method."""
        return self._as_numpy("trace", offset, axis1, axis2, *more, **others)


def _is_of_scipy_sparse(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("scipy.sparse")


def _answer_to_scipy_sparse(node: Any, caller: FrameType) -> Any:
    """Return what makes a product with a sparse matrix on the left ask the node, or raise."""
    if caller.f_code.co_name == "_matmul_dispatch":
        unknown = np.empty((), object)
        unknown[()] = node
        return unknown
    user: FrameType | None = caller
    while user is not None and _is_of_scipy_sparse(user):
        user = user.f_back
    raise GraphTypeError(
        f"a constant sparse matrix and {node!r} can only be multiplied, with @",
        where="" if user is None else Site(user.f_code, user.f_lasti).describe(),
        remedy="Write A @ x; for anything else, use A.toarray().",
    )
