"""The leaves of a graph, which no op computes, and :func:`apply`, which makes every other node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from symad.errors import FeedError, GraphTypeError, SymadError
from symad.graph.op import Node as Node
from symad.graph.op import Op
from symad.graph.provenance import Site, current_creation
from symad.types import TensorType, Type, as_dtype, as_shape, compatible_shapes, format_shape

_FLOAT64 = np.dtype("float64")
_NUMBER = TensorType(_FLOAT64, ())
_type_of = attrgetter("type")


class Variable(Node):
    """An input of the graph, to be fed a value.

    Parameters
    ----------
    name : str
        The name in pictures and tables, and the keyword argument of compiled functions.
    shape : tuple of int, str or None, optional
        Sizes, names of dimensions (``"batch"``) or ``None`` for a dimension of any size.  Without a
        shape, the variable accepts values of any shape.
    dtype : dtype, optional
        By default float64.

    Raises
    ------
    GraphTypeError
        If the name is not text, or symad does not support the dtype.
    ShapeError
        If something in the shape is not a dimension.

    Examples
    --------
    >>> import symad as sm
    >>> sm.Variable("X", shape=("batch", 784), dtype="float32")
    <X: f32[batch,784]>
    """

    __slots__ = ()

    def __init__(self, name: str, shape: Any = None, dtype: Any = "float64") -> None:
        if not isinstance(name, str) or not name:
            raise GraphTypeError(
                f"a variable's name must be text, not {name!r}",
                remedy='Write Variable("x"), or Variable("x", shape=(3,)).',
            )
        super().__init__(None, (), TensorType(as_dtype(dtype), as_shape(shape)), name)


class Constant(Node):
    """A value that never changes; :func:`symad.constant` makes one.

    Attributes
    ----------
    value : array
        Read-only.

    Examples
    --------
    >>> import symad as sm
    >>> sm.constant([1.0, 2.0]).value
    array([1., 2.])
    """

    __slots__ = ("value",)

    def __init__(self, value: Any, dtype: Any = None, name: str | None = None) -> None:
        if type(value) is float and dtype is _FLOAT64:  # most constants of large graphs
            array, type_ = np.array(value), _NUMBER
            array.setflags(write=False)
        else:
            array = computed(_own_array, value, dtype)
            type_ = TensorType(array.dtype, array.shape)
        super().__init__(None, (), type_, name)
        self.value: np.ndarray[Any, Any] = array

    @property
    def label(self) -> str:
        """The value if it is a number, else its type."""
        if self.name:
            return self.name
        return f"{self.value.item():.6g}" if self.value.ndim == 0 else f"constant {self.type}"


class Parameter(Variable):
    """State that compiled functions may update: an input that stores its own value.

    :func:`symad.parameter` makes one.

    Attributes
    ----------
    value : array
        The current value, read-only; assign an array of the same shape and dtype to replace it.
    cell : list
        The current value alone: a read-only array, or a NumPy scalar for an array without axes.
        Native code reads and replaces it.
    lock : threading.RLock
        Held by functions while they use the parameter.

    Examples
    --------
    >>> import symad as sm
    >>> count = sm.parameter("count", 0)
    >>> step = sm.compile([], count, updates={count: count + 1})
    >>> step(), step(), count.value
    (np.int64(0), np.int64(1), array(2))
    """

    __slots__ = ("cell", "lock")

    def __init__(self, name: str, value: Any, dtype: Any = None) -> None:
        array = as_array(value, dtype)
        super().__init__(name, array.shape, array.dtype)
        self.lock = threading.RLock()
        self.cell: list[Any] = [array]
        self.value = array

    @property
    def value(self) -> np.ndarray[Any, Any]:
        """The current value, read-only; assign an array of the same shape and dtype to replace it.

        Raises
        ------
        FeedError
            If the assigned value has another shape, or a dtype of another kind.
        """
        held = self.cell[0]
        return held if isinstance(held, np.ndarray) else _read_only(held)

    @value.setter
    def value(self, value: Any) -> None:
        assert isinstance(self.type, TensorType)
        array = as_array(value, None)
        if not np.can_cast(array.dtype, self.type.dtype, "same_kind") or not compatible_shapes(
            self.type.shape, array.shape
        ):
            raise FeedError(
                f"parameter {self.name!r} is {self.type} and cannot take a value of dtype "
                f"{array.dtype} and shape {format_shape(array.shape)}"
            )
        self.adopt(array.astype(self.type.dtype))

    def adopt(self, value: Any) -> None:
        """Use an array of this type as the value, without a copy; the caller must not change it."""
        self.cell[0] = _read_only(value)


def _read_only(value: Any) -> np.ndarray[Any, Any]:
    view = np.asarray(value).view()  # other code may reuse the owner of the memory
    view.flags.writeable = False
    return view


def from_exchange(value: Any) -> Any:
    """Return an array of another library that NumPy knows by ``__dlpack__`` alone as an array."""
    dlpack_alone = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
    return np.from_dlpack(value) if dlpack_alone else value


def computed(function: Callable[..., Any], *operands: Any) -> Any:
    """Return what a function returns that depends on its operands only.

    If one of them is a traced number, the result is one, too; see :mod:`symad.graph.tape`.
    """
    for operand in operands:
        if hasattr(type(operand), "tape"):
            return operand.tape.apply(function, *operands)
    return function(*operands)


def _own_array(value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    array = as_array(value, dtype).copy()
    array.setflags(write=False)
    return array


def as_array(value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Return ``value`` as an array of a dtype that symad supports.

    Raises
    ------
    GraphTypeError
        If the value is ragged, or contains objects, text, dates or complex numbers.
    """
    if isinstance(value, Node):
        raise GraphTypeError(f"{value!r} is a node of a graph: an array of numbers is needed here")
    try:
        array = np.asarray(from_exchange(value))
    except SymadError:
        raise
    except ValueError as error:
        raise GraphTypeError(
            f"a ragged list is not an array: {error}",
            remedy="Make all rows the same length, or keep them in a list of arrays.",
        ) from None
    except (TypeError, OverflowError, RuntimeError, BufferError) as error:
        tensor = hasattr(value, "detach")
        raise GraphTypeError(
            f"{type(value).__name__} is not an array: {error}",
            remedy="Convert it: value.detach().cpu().numpy()." if tensor else "",
        ) from None
    if array.dtype == object:
        if type(value) is int and dtype is not None and as_dtype(dtype).kind == "f":
            return as_array(_as_float(value), dtype)
        raise _no_numbers(value, array)
    as_dtype(array.dtype)
    if dtype is None:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.astype(as_dtype(dtype), copy=False)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise GraphTypeError("an integer of more than 1 024 bits is beyond any dtype") from None


def _no_numbers(value: Any, array: np.ndarray[Any, Any]) -> GraphTypeError:
    """Return the error for a value that NumPy reads as an array of objects."""
    problem, remedy = f"a value of type {type(value).__name__} is not an array of numbers", ""
    if hasattr(value, "toarray"):
        remedy = "A sparse matrix can be multiplied, A @ x; otherwise use A.toarray()."
    elif array.size and all(isinstance(element, int) for element in array.flat):
        problem, remedy = "an integer does not fit into 64 bits", "Write it as a float: float(x)."
    elif array.size and all(hasattr(element, "__float__") for element in array.flat):
        remedy = "Convert it first: float(x), or np.asarray(x, float)."
    return GraphTypeError(problem, remedy=remedy)


def apply(op: Op, *inputs: Node) -> Node:
    """Return the node that applies ``op`` to ``inputs``.

    Raises
    ------
    GraphTypeError, ShapeError
        If the op does not accept such inputs; the message names the op, the types and the user's
        line.
    """
    return Node(op, inputs, infer_type(op, inputs))


def infer_type(op: Op, inputs: tuple[Node, ...]) -> Type:
    """Return the type of ``op`` on ``inputs``; errors name op, types and the user's line."""
    try:
        return op.infer(*map(_type_of, inputs))
    except SymadError as error:
        if error.where:
            raise
        raise _located(error, op.name, inputs) from None


class reporting:
    """Make errors in a ``with`` block name a function, its inputs' types and the user's line.

    For functions that make several nodes, or none; :func:`apply` does this for each node.  Without
    a name, the line is added only.
    """

    __slots__ = ("_inputs", "_name")

    def __init__(self, name: str, *inputs: Node) -> None:
        self._name = name
        self._inputs = inputs

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, SymadError) and not error.where:
            raise _located(error, self._name, self._inputs) from None


def _located(error: SymadError, name: str, inputs: Sequence[Node]) -> SymadError:
    types = ", ".join(f"{node.label}: {node.type}" for node in inputs)
    where = (current_creation().site or Site.capture()).describe()
    message = f"{name}({types}): {error.message}" if name else error.message
    return type(error)(message, where=where, remedy=error.remedy)
