"""Types of graph values: dtype and shape of tensors, and structures of them.

A **dimension** is an ``int``, a name (``str``) or an :class:`UnknownDim`; names and unknown
dimensions are equal only to themselves.  A **shape** is a tuple of dimensions, or an
:class:`UnknownShape` when not even the number of axes is known.

Broadcasting is a join: commutative, associative and idempotent, with size 1 (the scalar shape) as
its identity.  An unknown shape is the set of shapes that were joined to make it, so that
``x * x + 1`` is known to have the shape of ``x`` although that shape is not known.  This lets
the gradient pass leave out shape repairs that are never needed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.records import dataclass
from symad.visible import visible


class UnknownDim:
    """The size of an axis that is not known and has no name; equal only to itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "?"


@dataclass(frozen=True, slots=True)
class UnknownShape:
    """A shape of unknown rank: the broadcast of its ``parts``.

    A part is either an opaque symbol (the shape of one variable, say) or a known shape.
    """

    parts: frozenset[Any]

    @staticmethod
    def fresh() -> UnknownShape:
        """Return an unknown shape that is equal only to itself."""
        return UnknownShape(frozenset({UnknownDim()}))

    def __repr__(self) -> str:
        return "..."


Dimension: TypeAlias = int | str | UnknownDim
KnownRank: TypeAlias = tuple[Dimension, ...]
Shape: TypeAlias = KnownRank | UnknownShape

_CODES = {"float": "f", "int": "i", "uint": "u", "bool": "bool"}


@lru_cache(maxsize=64)
def dtype_code(dtype: np.dtype[Any]) -> str:
    """Return the short name of a dtype: ``f64``, ``i32``, ``u8``, ``bool``."""
    kind = dtype.name.rstrip("0123456789")
    return "bool" if kind == "bool" else _CODES.get(kind, kind) + dtype.name[len(kind) :]


@lru_cache(maxsize=4096)
def _is_static(shape: Shape) -> bool:
    """Return whether every dimension is a number; cached, since graphs repeat the same shapes."""
    return not isinstance(shape, UnknownShape) and all(isinstance(size, int) for size in shape)


class TensorType:
    """The type of an array: its dtype, its shape, and whether the dtype is weak.

    Sizes of axes are weak, as Python's numbers are: combined with a float32 array they are float32.

    Attributes
    ----------
    dtype : numpy.dtype
    shape : tuple of int, str and UnknownDim, or UnknownShape
        Sizes, names of dimensions, and unknown sizes; an UnknownShape if not even the number of
        axes is known.
    weak : bool
        Ignored in comparisons.
    is_float : bool
        Whether values of this type can have a derivative.
    is_static : bool
        Whether every dimension is a number.
    is_dense : bool
        Whether it is also known that there are elements.
    inferred : dict
        Results of type inference for inputs that are all of this type, by op.

    Examples
    --------
    >>> import numpy as np
    >>> TensorType(np.dtype("float32"), ("batch", 784))
    f32[batch,784]
    """

    dtype: np.dtype[Any]
    shape: Shape
    weak: bool
    is_float: bool
    is_static: bool
    is_dense: bool
    inferred: dict[Any, Any]

    __slots__ = ("dtype", "inferred", "is_dense", "is_float", "is_static", "shape", "weak")

    # One object serves all equal types, as far as _TYPES goes, so that comparing them is fast.

    def __new__(cls, dtype: np.dtype[Any], shape: Shape, weak: bool = False) -> Self:
        key = dtype, shape, weak
        known: Any = _TYPES.get(key)
        if known is None:
            known = object.__new__(cls)
            is_float = getattr(dtype, "kind", None) == "f"  # a pattern's dtype may be a wildcard
            is_static = _is_static(shape)
            is_dense = is_static and 0 not in shape  # type: ignore[operator]
            values: tuple[Any, ...] = (dtype, {}, is_dense, is_float, is_static, shape, weak)
            for name, value in zip(cls.__slots__, values, strict=True):
                object.__setattr__(known, name, value)
            if len(_TYPES) >= _MOST_TYPES:
                _forget_arrays()
            _TYPES[key] = known
        return known  # type: ignore[no-any-return]

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"types are immutable: {key!r} cannot be set")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TensorType):
            return NotImplemented
        return self.dtype == other.dtype and self.shape == other.shape

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))

    def __reduce__(self) -> tuple[Any, ...]:
        return TensorType, (self.dtype, self.shape, self.weak)

    @property
    def ndim(self) -> int | None:
        """The number of axes, or ``None`` where it is not known."""
        return None if isinstance(self.shape, UnknownShape) else len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements.

        Raises
        ------
        ShapeError
            If a dimension is not a number.
        """
        if not self.is_static:
            raise ShapeError(
                f"the size of {self} is not known", remedy="Feed values, or types with all sizes."
            )
        return math.prod(self.shape)  # type: ignore[arg-type]

    @property
    def nbytes(self) -> int:
        """The number of bytes of the elements; see :attr:`size`."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> TensorType:
        """Return this type with another shape."""
        return TensorType(self.dtype, shape, self.weak)

    def with_dtype(self, dtype: Any) -> TensorType:
        """Return this type with another dtype."""
        return TensorType(np.dtype(dtype), self.shape)

    def __repr__(self) -> str:
        if isinstance(self.shape, UnknownShape):
            return f"{dtype_code(self.dtype)}[...]"
        return f"{dtype_code(self.dtype)}[{','.join(map(_dimension, self.shape))}]"


_MOST_TYPES = 4096
_TYPES: dict[Any, TensorType] = {}
"""Types by dtype, shape and weakness."""


def _forget_arrays() -> None:
    """Drop the types of arrays; those of numbers are few, and constants refer to them."""
    for key in list(_TYPES):
        if key[1] != ():
            _TYPES.pop(key, None)


@dataclass(frozen=True, slots=True)
class StructureType:
    """The type of a tuple, list or dict of values.

    ``fields`` pairs each key (an index for tuples and lists) with the type of its item.  In the
    adjoint of a structure, an item may be absent, which means zero: its type is ``None``, and so
    is its value when the graph runs.
    """

    kind: str
    fields: tuple[tuple[Any, Type | None], ...]
    weak: ClassVar[bool] = False
    inferred: ClassVar[Mapping[Any, Any]] = MappingProxyType({})

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys in order."""
        return tuple([key for key, _ in self.fields])

    def item(self, key: Any) -> Type | None:
        """Return the type of the item at ``key``, ``None`` where it is absent.

        Raises
        ------
        GraphTypeError
            If there is no such key.
        """
        for known, type_ in self.fields:
            if known == key and type(known) is type(key):
                return type_
        known_keys = ", ".join(map(repr, self.keys))
        raise GraphTypeError(f"the {self.kind} has no item {key!r}; it has {known_keys}")

    @property
    def size(self) -> int:
        """The number of elements of all items; see :attr:`TensorType.size`."""
        return sum(item.size for _, item in self.fields if item is not None)

    @property
    def nbytes(self) -> int:
        """The number of bytes of all items; see :attr:`TensorType.size`."""
        return sum(item.nbytes for _, item in self.fields if item is not None)

    @property
    def is_static(self) -> bool:
        """Whether every dimension of every item is a number."""
        return all(item.is_static for _, item in self.fields if item is not None)

    @property
    def is_float(self) -> bool:
        """Whether some item can have a derivative."""
        return any(item is not None and item.is_float for _, item in self.fields)

    def __repr__(self) -> str:
        inside = ", ".join(f"{key!r}: {item}" for key, item in self.fields)
        return f"{self.kind}{{{inside}}}"


@dataclass(frozen=True, slots=True)
class SparseType:
    """The type of a sparse matrix, which is computed, but takes part in products only.

    Attributes
    ----------
    dtype : numpy.dtype
    shape : (rows, columns)
    stored : int or UnknownDim
        The number of stored elements: known when all shapes are.
    """

    dtype: np.dtype[Any]
    shape: tuple[Dimension, Dimension]
    stored: Dimension
    weak: ClassVar[bool] = False
    inferred: ClassVar[Mapping[Any, Any]] = MappingProxyType({})

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return 2

    @property
    def is_float(self) -> bool:
        """Whether values of this type can have a derivative."""
        return self.dtype.kind == "f"

    @property
    def is_static(self) -> bool:
        """Whether all sizes are numbers."""
        return _is_static((*self.shape, self.stored))

    @property
    def size(self) -> int:
        """The number of stored elements; see :attr:`TensorType.size`."""
        return TensorType(self.dtype, (self.stored,)).size

    @property
    def nbytes(self) -> int:
        """The number of bytes of the stored elements, their columns, and the ends of the rows."""
        rows = TensorType(np.dtype("int32"), self.shape[:1])
        return self.size * (self.dtype.itemsize + 4) + rows.nbytes + 4

    def __repr__(self) -> str:
        inside = ",".join(map(_dimension, self.shape))
        return f"csr {dtype_code(self.dtype)}[{inside}; {_dimension(self.stored)} stored]"


Type: TypeAlias = TensorType | StructureType | SparseType


def total_nbytes(types: Sequence[Type]) -> int | None:
    """Return the bytes of values of these types together; ``None`` if a size is not known.

    Examples
    --------
    >>> total_nbytes([TensorType(np.dtype("float32"), (3,))] * 2)
    24
    """
    distinct = {id(type_): type_ for type_ in types}  # far fewer than types
    if not all([type_.is_static for type_ in distinct.values()]):
        return None
    return sum([n * distinct[key].nbytes for key, n in Counter(map(id, types)).items()])


_SUPPORTED_KINDS = "fiub"


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a NumPy dtype of native byte order that symad supports.

    Raises
    ------
    GraphTypeError
        For complex, object, string and date dtypes.
    """
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise GraphTypeError(f"{dtype!r} is not a dtype: {error}") from None
    if not result.isnative:
        result = result.newbyteorder("=")
    if result.kind in "US":
        raise GraphTypeError(
            f"text (dtype {result}) is not a number",
            remedy="Give numbers. A name comes before the value, as in parameter('W', value); "
            "only structures have items with names.",
        )
    if result.kind not in _SUPPORTED_KINDS or result.itemsize > 8:
        raise GraphTypeError(
            f"dtype {result} is not supported",
            remedy="Use float16, float32, float64, an integer dtype or bool.",
        )
    return result


def as_shape(shape: Any) -> Shape:
    """Return a shape from what a user wrote: ``None``, or a sequence of ``int | str | None``.

    Examples
    --------
    >>> as_shape(("batch", None, 3))
    ('batch', ?, 3)
    """
    if shape is None:
        return UnknownShape.fresh()
    if isinstance(shape, UnknownShape):
        return shape
    if isinstance(shape, (int, str, np.integer)):
        shape = (shape,)
    return tuple(_as_dimension(dim) for dim in shape)


def _as_dimension(dim: Any) -> Dimension:
    if dim is None:
        return UnknownDim()
    if isinstance(dim, (str, UnknownDim)):
        return dim
    if isinstance(dim, (int, np.integer)) and not isinstance(dim, bool) and dim >= 0:
        return dim if isinstance(dim, int) else int(dim)
    raise ShapeError(
        f"{dim!r} is not a dimension",
        remedy="A dimension is a size (0, 1, 2, ...), a name such as 'batch', or None.",
    )


def join_dims(a: Dimension, b: Dimension) -> Dimension:
    """Return the broadcast of two dimensions; a symbolic one is checked when values are fed."""
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int):
        if isinstance(b, int):
            raise ShapeError(f"sizes {a} and {b} cannot be broadcast together")
        return a
    return b if isinstance(b, int) else UnknownDim()


@lru_cache(maxsize=4096)
def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that ``shapes`` broadcast to.

    Raises
    ------
    ShapeError
        If sizes that are both known differ and neither is 1.

    Examples
    --------
    >>> broadcast_shapes((3, 1), ("batch", 1, 4))
    ('batch', 3, 4)
    """
    if any(isinstance(shape, UnknownShape) for shape in shapes):
        return _join_unknown(shapes)
    result: KnownRank = ()
    for shape in shapes:
        assert not isinstance(shape, UnknownShape)
        result = _join_known(result, shape)
    return result


def _join_known(a: KnownRank, b: KnownRank) -> KnownRank:
    if len(a) < len(b):
        a, b = b, a
    lead = len(a) - len(b)
    try:
        return a[:lead] + tuple(map(join_dims, a[lead:], b))
    except ShapeError:
        raise ShapeError(
            f"shapes {format_shape(a)} and {format_shape(b)} cannot be broadcast together",
            remedy="Sizes, compared from the last axis, must be equal or 1.",
        ) from None


def _join_unknown(shapes: Iterable[Shape]) -> UnknownShape:
    """Join shapes, at least one of which has unknown rank."""
    parts: set[Any] = set()
    for shape in shapes:
        if isinstance(shape, UnknownShape):
            parts |= shape.parts
        elif shape:
            parts.add(shape)
    return UnknownShape(frozenset(parts))


_LONGEST_NAME = 100


def _dimension(dim: Dimension) -> str:
    return visible(dim, _LONGEST_NAME) if isinstance(dim, str) else str(dim)


def format_shape(shape: Shape | Sequence[Any]) -> str:
    """Return a shape as Python would print it: ``(batch, 784)``, ``(3,)``, ``(...)``."""
    if isinstance(shape, UnknownShape):
        return "(...)"
    inside = ", ".join(map(_dimension, shape))
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def compatible_shapes(declared: Shape, actual: Shape) -> bool:
    """Return whether ``actual`` could be a value of ``declared``, as far as sizes are known."""
    if isinstance(declared, UnknownShape) or isinstance(actual, UnknownShape):
        return True
    if len(declared) != len(actual):
        return False
    pairs = zip(declared, actual, strict=True)
    return all(not (isinstance(a, int) and isinstance(b, int)) or a == b for a, b in pairs)


def normalize_axis(axis: int, ndim: int, what: str = "axis") -> int:
    """Return ``axis`` counted from the front.

    Raises
    ------
    ShapeError
        If there is no such axis.
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{what} {axis} is out of range for an array of {ndim} axes")
    return axis % ndim


def normalize_axes(axes: int | Iterable[int] | None, ndim: int) -> tuple[int, ...]:
    """Return ``axes`` counted from the front, in order; ``None`` means all.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.
    """
    if axes is None:
        return tuple(range(ndim))
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    result = tuple(sorted(normalize_axis(axis, ndim) for axis in given))
    if len(set(result)) != len(result):
        raise ShapeError(f"axis named twice in {given}")
    return result
