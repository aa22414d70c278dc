"""The kinds of attributes that ops can have in a saved graph: a closed set.

``None``, truth values, integers, text and tuples are written as JSON has them.  Anything else is an
object with one key, the name of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any, Protocol

import numpy as np

from symad.errors import SavedGraphError
from symad.graph.graph import Graph
from symad.graph.op import Op
from symad.records import dataclass
from symad.types import SparseType, StructureType, TensorType, UnknownDim, UnknownShape
from symad.visible import visible

MOST_BITS = 1024
"""The most bits of an integer."""
MOST_AXES = 64
"""The most axes of an array, which is NumPy's limit."""

_FLOATS, _INTEGERS = "float16 float32 float64", "int8 int16 int32 int64 uint8 uint16 uint32 uint64"
DTYPES = {name: np.dtype(name) for name in f"bool {_FLOATS} {_INTEGERS}".split()}
"""The dtypes by name."""


class PartNumbers(Protocol):
    """Gives the numbers under which parts of a graph are written."""

    def number(self, thing: Any) -> int: ...
    def shape(self, shape: Any) -> Any: ...


class GraphParts(Protocol):
    """Gives the parts of a graph that were read."""

    def item(self, table: str, number: Any) -> Any: ...
    def unknown(self, number: Any) -> UnknownDim: ...
    def shape(self, data: Any) -> Any: ...


@dataclass(frozen=True)
class AttributeKind:
    """A kind of attribute: its name, its Python types, and how it is written and read."""

    name: str
    types: tuple[type, ...]
    write: Callable[[PartNumbers, Any], Any]
    read: Callable[[GraphParts, Any], Any]


def _float(text: Any) -> float:
    """Return a float that is written as Python prints it."""
    try:
        if isinstance(text, str) and len(text) < 32 and repr(float(text)) == text:
            return float(text)
    except ValueError:
        pass
    raise SavedGraphError(f"{shown(text)} is not a float as Python prints it")


def dtype_named(name: Any) -> np.dtype[Any]:
    """Return a dtype by its name."""
    if isinstance(name, str) and name in DTYPES:
        return DTYPES[name]
    raise SavedGraphError(f"{shown(name)} is not the name of a dtype")


def _dtype_name(dtype: np.dtype[Any]) -> str:
    if DTYPES.get(dtype.name) != dtype:
        raise SavedGraphError(f"the dtype {dtype} cannot be saved")
    return dtype.name


def _nothing(data: Any) -> EllipsisType:
    if data is not None:
        raise SavedGraphError(f"an ellipsis holds {shown(data)}")
    return ...


KINDS = (
    AttributeKind("float", (float,), lambda _, value: repr(value), lambda _, text: _float(text)),
    AttributeKind("dtype", (np.dtype,), lambda _, value: _dtype_name(value),
                  lambda _, name: dtype_named(name)),
    AttributeKind("ellipsis", (EllipsisType,), lambda _, value: None, lambda _, n: _nothing(n)),
    AttributeKind("unknown", (UnknownDim,), lambda to, value: to.number(value),
                  lambda of, number: of.unknown(number)),
    AttributeKind("join", (UnknownShape,), lambda to, value: to.shape(value)["join"],
                  lambda of, parts: of.shape({"join": parts})),
    AttributeKind("type", (TensorType, StructureType, SparseType),
                  lambda to, value: to.number(value), lambda of, n: of.item("types", n)),
    AttributeKind("op", (Op,), lambda to, value: to.number(value), lambda of, n: of.item("ops", n)),
    AttributeKind("graph", (Graph,), lambda to, value: to.number(value),
                  lambda of, n: of.item("graphs", n)),
)  # fmt: skip
"""All kinds that JSON does not have."""

_BY_NAME = {kind.name: kind for kind in KINDS}


def write_attribute(to: PartNumbers, value: Any) -> Any:
    """Return an attribute as JSON has it; NumPy's numbers become Python's.

    Raises
    ------
    SavedGraphError
        If it is of none of the kinds.
    """
    if isinstance(value, np.generic):
        value = value.item()
    plain = type(value)
    if value is None or plain in (bool, str) or (plain is int and value.bit_length() <= MOST_BITS):
        return value
    if plain is tuple:
        return [write_attribute(to, item) for item in value]
    for kind in KINDS:
        if isinstance(value, kind.types):
            return {kind.name: kind.write(to, value)}
    raise SavedGraphError(f"a {plain.__name__} cannot be saved")


def read_attribute(of: GraphParts, data: Any) -> Any:
    """Return an attribute from what :func:`write_attribute` returned.

    Raises
    ------
    SavedGraphError
        If it is anything else.
    """
    if data is None or isinstance(data, (bool, str)):
        return data
    if isinstance(data, int) and data.bit_length() <= MOST_BITS:
        return data
    if isinstance(data, list):
        return tuple([read_attribute(of, item) for item in data])
    if isinstance(data, dict) and len(data) == 1:
        ((name, inside),) = data.items()
        if name in _BY_NAME:
            return _BY_NAME[name].read(of, inside)
    raise SavedGraphError(f"{shown(data)} is not an attribute")


# What the annotations of an op's attributes say

_PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "str": (str,),
    "float": (float, int),
    "np.dtype[Any]": (np.dtype,),
    "Graph": (Graph,),
    "Op": (Op,),
    "None": (type(None),),
    "Dimension": (int, str, UnknownDim),
}
_ALIASES = {"Axis": "int | tuple[int, ...] | None", "Sizes": "tuple[int, ...]"}


def fits(value: Any, annotation: str) -> bool:
    """Return whether an attribute is what its annotation says; others are left to the op.

    Examples
    --------
    >>> fits((1, 2), "tuple[int, ...] | None"), fits(True, "int"), fits(3, "Key")
    (True, False, True)
    """
    annotation = _ALIASES.get(annotation, annotation)
    return any(_fits_one(value, part) for part in annotation.split(" | "))


def _fits_one(value: Any, annotation: str) -> bool:
    if annotation.startswith("tuple[") and annotation.endswith(", ...]"):
        item = annotation[len("tuple[") : -len(", ...]")]
        return isinstance(value, tuple) and _all_fit(value, item)
    if annotation == "KnownRank":
        return isinstance(value, tuple) and len(value) <= MOST_AXES and _all_fit(value, "Dimension")
    if annotation not in _PLAIN:
        return not annotation.startswith("Callable")
    is_flag = isinstance(value, bool) and annotation != "bool"
    return isinstance(value, _PLAIN[annotation]) and not is_flag


def _all_fit(values: tuple[Any, ...], annotation: str) -> bool:
    return all(_fits_one(value, annotation) for value in values)


def part(data: Any, key: str, kind: type) -> Any:
    """Return an item of an object, which must be there and of a kind."""
    if not isinstance(data, dict) or not isinstance(data.get(key), kind):
        raise SavedGraphError(f"{key!r} is missing, or of another kind")
    return data[key]


def check_keys(data: Any, keys: str) -> None:
    """Raise an error if an object has other keys than these, which are separated by spaces."""
    if not isinstance(data, dict) or set(data) != set(keys.split()):
        raise SavedGraphError(f"it does not have the fields {', '.join(keys.split())}")


def is_row(row: Any, *kinds: type) -> bool:
    """Return whether something is a list of values of these types."""
    return isinstance(row, list) and tuple(map(type, row)) == kinds


def shown(data: Any) -> str:
    """Return part of a file for a message: short, on one line."""
    return visible(repr(data) if not isinstance(data, (list, dict)) else type(data).__name__, 60)


def is_dimension(dim: Any) -> bool:
    """Return whether something is a size or the name of a dimension."""
    return isinstance(dim, str) or (type(dim) is int and 0 <= dim < 2**63)


