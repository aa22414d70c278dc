"""dtypes and what is known about them: the data types of the Array API standard.

The names are NumPy's dtypes, as ``node.dtype`` is: ``sm.float32 == np.float32``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, as_array
from symad.graph.op import explained
from symad.ops.adjoint import cast
from symad.ops.base import Operand, register, require_cpu, tensor_types
from symad.records import dataclass
from symad.types import as_dtype

float16, float32, float64 = map(np.dtype, ("float16", "float32", "float64"))
int8, int16, int32, int64 = map(np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(np.dtype, ("uint8", "uint16", "uint32", "uint64"))
bool = np.dtype("bool")


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating dtype, as Python floats: what :func:`symad.finfo` returns."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class IntegerInfo:
    """The limits of an integer dtype, as Python integers: what :func:`symad.iinfo` returns."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def _dtype_of(value: Any) -> np.dtype[Any]:
    """Return a dtype, or that of a node or an array."""
    if isinstance(value, Node):
        return tensor_types(value.type)[0].dtype
    return as_dtype(value if isinstance(value, type) else getattr(value, "dtype", value))


@register
def finfo(type: Any) -> FloatInfo:
    """Return the limits of a floating dtype.

    Parameters
    ----------
    type : dtype, node or array

    Returns
    -------
    FloatInfo
        With the attributes ``bits``, ``eps`` (the difference between 1 and the next larger
        number), ``max``, ``min``, ``smallest_normal`` and ``dtype``.

    Raises
    ------
    GraphTypeError
        If the dtype is not floating.

    Examples
    --------
    >>> import symad as sm
    >>> sm.finfo(sm.float32).eps
    1.1920928955078125e-07
    """
    dtype = _dtype_of(type)
    if dtype.kind != "f":
        raise GraphTypeError(f"{dtype} is not a floating dtype", remedy="Use sm.iinfo.")
    found = np.finfo(dtype)
    eps, most, least = float(found.eps), float(found.max), float(found.min)
    return FloatInfo(found.bits, eps, most, least, float(found.smallest_normal), dtype)


@register
def iinfo(type: Any) -> IntegerInfo:
    """Return the limits of an integer dtype.

    Parameters
    ----------
    type : dtype, node or array

    Returns
    -------
    IntegerInfo
        With the attributes ``bits``, ``max``, ``min`` and ``dtype``.

    Raises
    ------
    GraphTypeError
        If the dtype is not an integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.iinfo("int8").max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise GraphTypeError(f"{dtype} is not an integer dtype", remedy="Use sm.finfo.")
    found = np.iinfo(dtype)
    return IntegerInfo(found.bits, int(found.max), int(found.min), dtype)


@register
def isdtype(dtype: Any, kind: Any) -> Any:
    """Return whether a dtype is of a kind.

    Parameters
    ----------
    dtype : dtype
    kind : str, dtype or tuple of these
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"integral"``,
        ``"real floating"``, ``"complex floating"``, ``"numeric"``, or a dtype.

    Returns
    -------
    bool

    Raises
    ------
    GraphTypeError
        If there is no such kind.

    Examples
    --------
    >>> import symad as sm
    >>> sm.isdtype(sm.int8, "integral"), sm.isdtype(sm.int8, (sm.bool, "real floating"))
    (True, False)
    """
    try:
        return np.isdtype(as_dtype(dtype), kind)
    except (TypeError, ValueError) as error:
        raise GraphTypeError(f"{kind!r} is not a kind of dtypes: {error}") from None


@register
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> Any:
    """Return whether one dtype can be converted to another.

    Parameters
    ----------
    from_ : dtype, node or array
    to : dtype
    casting : {"safe", "same_kind", "unsafe", "equiv", "no"}
        By default, whether all values can be represented in ``to``; see ``numpy.can_cast``.

    Returns
    -------
    bool

    Examples
    --------
    >>> import symad as sm
    >>> sm.can_cast(sm.float32, sm.float64), sm.can_cast(sm.Variable("x"), sm.float32)
    (True, False)
    """
    return np.can_cast(_dtype_of(from_), as_dtype(to), casting)


@register
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """Return the dtype of an operation with all of the operands.

    Parameters
    ----------
    *arrays_and_dtypes : node, array, number or dtype
        Python's numbers, and sizes of axes, take the dtype of the others.

    Returns
    -------
    dtype

    Raises
    ------
    GraphTypeError
        If symad does not support a dtype.

    Examples
    --------
    >>> import symad as sm
    >>> sm.result_type(sm.float32, sm.Variable("n", dtype="int8"), 2.5)
    dtype('float32')
    """
    if not arrays_and_dtypes:
        raise GraphTypeError("result_type needs an operand")
    return as_dtype(np.result_type(*map(_operand, arrays_and_dtypes)))


def _operand(value: Any) -> Any:
    """Return a dtype, or a Python number for what is weak."""
    if isinstance(value, (int, float)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, Node):
        (type_,) = tensor_types(value.type)
        return type_.dtype.type(0).item() if type_.weak else type_.dtype
    return (
        as_array(value, None).dtype
        if isinstance(value, (list, tuple, complex))
        else _dtype_of(value)
    )


@explained
def astype(x: Operand, dtype: Any, *, copy: Any = True, device: Any = None) -> Node:
    """Return ``x`` converted to ``dtype``: :func:`symad.cast` under the standard's name.

    Parameters
    ----------
    x : node, number or array
    dtype : dtype
    copy : bool
        Ignored: nodes never change, so there is no need to copy one.
    device : {None, "cpu"}

    Examples
    --------
    >>> import symad as sm
    >>> sm.astype(sm.constant([1.7, -1.7]), sm.int64).eval()
    array([ 1, -1])
    """
    require_cpu(device)
    return cast(x, dtype)
