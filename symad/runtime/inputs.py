"""Arguments of calls: matching with inputs, and checks; nothing is cast silently."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import FeedError, GraphTypeError, did_you_mean
from symad.graph.nested import is_nested, leaves, matching_leaves
from symad.graph.node import Node, as_array
from symad.types import (
    Dimension,
    SparseType,
    StructureType,
    TensorType,
    Type,
    UnknownShape,
    dtype_code,
    format_shape,
)


def accept(value: Any, node: Node, sizes: dict[Dimension, int]) -> Any:
    """Return ``value`` as an array, or as a NumPy scalar if it has no axes.

    Parameters
    ----------
    value : number, array, nested list; for a structure, a nested structure of these
    node : Node
        The input that takes it.
    sizes : dict
        The sizes of named dimensions in this call; extended here.

    Raises
    ------
    FeedError
        If the value has a dtype that would lose information, or a shape that does not fit.
    """
    type_ = node.type
    if isinstance(type_, StructureType):
        return _accept_structure(value, type_, node, sizes)
    if isinstance(type_, SparseType):
        raise FeedError(f"{node.label!r} is the sparse matrix {type_}, which cannot be fed")
    return _accept_array(value, type_, node, sizes)


def _accept_array(value: Any, type_: TensorType, node: Node, sizes: dict[Dimension, int]) -> Any:
    plain = type(value) is np.ndarray and value.dtype == type_.dtype  # the common case
    array = value if plain else _as_dtype(value, type_.dtype, node)
    if array.shape != type_.shape:
        _check_shape(array, type_, node, sizes)
    return array if array.shape else array[()]


def type_of(value: Any) -> Type:
    """Return the concrete type of a value that :func:`accept` returned."""
    if isinstance(value, dict):
        return StructureType("dict", tuple((k, type_of(v)) for k, v in value.items()))
    if isinstance(value, (tuple, list)):
        return StructureType(
            type(value).__name__, tuple((k, type_of(v)) for k, v in enumerate(value))
        )
    return TensorType(value.dtype, value.shape)


def _accept_structure(
    value: Any, type_: StructureType, node: Node, sizes: dict[Dimension, int]
) -> Any:
    kind: type = {"dict": dict, "list": list, "tuple": tuple}[type_.kind]
    keys = set(value if isinstance(value, dict) else range(len(value))) if is_nested(value) else {}
    if not isinstance(value, kind) or keys != set(type_.keys):
        raise FeedError(
            f"{node.label!r} is {type_}, but was fed a {type(value).__name__}: {value!r:.60}",
            where=node.site.describe(),
        )
    whole: Any = value
    items = {key: _item(whole[key], item, node, sizes) for key, item in type_.fields}
    return items if kind is dict else kind(items.values())


def _item(value: Any, type_: Type | None, node: Node, sizes: dict[Dimension, int]) -> Any:
    if type_ is None:
        return None
    if isinstance(type_, StructureType):
        return _accept_structure(value, type_, node, sizes)
    assert isinstance(type_, TensorType)
    return _accept_array(value, type_, node, sizes)


def _is_masked(value: Any) -> bool:
    """Return whether a value is a masked array, without importing ``numpy.ma``."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray)


def _as_dtype(value: Any, dtype: np.dtype[Any], node: Node) -> np.ndarray[Any, Any]:
    """Return the value as an array of ``dtype``, if that loses no information."""
    if _is_masked(value):
        raise FeedError(
            f"{node.label!r} was fed a masked array, whose mask would be lost",
            remedy="Feed value.filled(...), or the data and the mask as two inputs.",
        )
    try:
        array = as_array(value, None)
    except GraphTypeError as error:
        raise FeedError(
            f"{node.label!r} ({dtype}) cannot be fed {_describe(value)}: {error.message}",
            where=node.site.describe(),
            remedy=error.remedy,
        ) from None
    if array.dtype == dtype:
        return array
    safe = _weakly_castable(value, array, dtype) or np.can_cast(array.dtype, dtype, "safe")
    if not safe:
        raise FeedError(
            f"{node.label!r} is {dtype}, but was fed {array.dtype}, which would lose information",
            where=node.site.describe(),
            remedy=(f'Feed value.astype("{dtype}"), or d' if hasattr(value, "astype") else "D")
            + f'eclare the variable with dtype="{array.dtype}".',
        )
    return array.astype(dtype)


def _weakly_castable(value: Any, array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Return whether the value consists of Python numbers, which take any dtype that fits them."""
    if isinstance(value, np.generic) or not isinstance(value, (bool, int, float, list, tuple)):
        return False
    if is_nested(value) and not all(type(leaf) in (bool, int, float) for leaf in leaves(value)):
        return False
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return bool(np.all(np.isinf(array.astype(dtype)) == np.isinf(array)))
    if dtype.kind in "iu" and array.dtype.kind in "biu":
        return bool(np.all(array.astype(dtype) == array)) if array.size else True
    return array.size == 0


def _describe(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    kind = type(value).__name__
    return f"a {kind} of dtype {dtype}" if dtype is not None else f"a {kind}"


def _check_shape(
    array: np.ndarray[Any, Any], type_: TensorType, node: Node, sizes: dict[Dimension, int]
) -> None:
    declared = type_.shape
    if isinstance(declared, UnknownShape):
        return
    fits = len(declared) == array.ndim
    for dim, size in zip(declared, array.shape, strict=False):
        if isinstance(dim, int):
            fits = fits and dim == size
        elif sizes.setdefault(dim, size) != size:
            raise FeedError(
                f"dimension {dim!r} is {size} in {node.label!r}, "
                f"but {sizes[dim]} in an input before it",
                where=node.site.describe(),
            )
    if not fits:
        raise FeedError(
            f"{node.label!r} is {type_}, but was fed an array of shape "
            f"{format_shape(array.shape)} ({dtype_code(array.dtype)})",
            where=node.site.describe(),
        )


# Matching arguments with inputs


class Binding:
    """The inputs of a compiled function, and how arguments are matched with them.

    Parameters
    ----------
    name : str
        The name of the function, for messages.
    inputs : nested structure of nodes
        A list or tuple represents several arguments, anything else one.

    Attributes
    ----------
    nodes : tuple of Node
        All inputs, flattened.
    arguments : sequence
        The nodes of each argument, in their structure.
    is_flat : bool
        Whether each argument is the value of a node.
    takes_out : bool
        Whether an input is named ``out``.
    """

    def __init__(self, name: str, inputs: Any) -> None:
        self.nodes: tuple[Node, ...] = tuple(leaves(inputs))
        self._function = name
        self.arguments: Sequence[Any] = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        self.takes_out = any(getattr(node, "label", "") == "out" for node in self.arguments)
        self.is_flat = all(isinstance(node, Node) for node in self.arguments)

    def names(self) -> dict[str, int]:
        """Return the index of each argument that may be given by name."""
        names = self._names()
        counts = Counter(names)
        return {name: index for index, name in enumerate(names) if counts[name] == 1}

    def _names(self) -> list[str]:
        return [
            argument.label if isinstance(argument, Node) else f"input{i}"
            for i, argument in enumerate(self.arguments)
        ]

    def values(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Sequence[Any]:
        """Return one value for each of :attr:`nodes`.

        Raises
        ------
        FeedError
            If an argument is missing, unknown or given twice, or has another structure than its
            input.
        """
        if keywords or len(args) != len(self.arguments):
            args = self._by_name(args, keywords)
        if self.is_flat:
            return args
        found: list[Any] = []
        for template, value in zip(self.arguments, args, strict=True):
            found += matching_leaves(template, value, "input", FeedError)
        return found

    def _by_name(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """Return all arguments in order, from positions and names."""
        names = self._names()
        if len(args) > len(names):
            inputs = "input" if len(names) == 1 else "inputs"
            verb = "was" if len(args) == 1 else "were"
            raise FeedError(
                f"{self._function} takes {len(names)} {inputs}, but {len(args)} {verb} given"
            )
        for name in keywords:
            self._check_name(name, names, len(args))
        missing = [name for name in names[len(args) :] if name not in keywords]
        if missing:
            raise FeedError(f"{self._function} was not given {', '.join(map(repr, missing))}")
        return (*args, *(keywords[name] for name in names[len(args) :]))

    def _check_name(self, name: str, names: list[str], given: int) -> None:
        if name not in names:
            raise FeedError(
                f"{self._function} has no input {name!r}.{did_you_mean(name, names)}",
                remedy=f"Its inputs are {', '.join(names)}.",
            )
        if names.count(name) > 1:
            raise FeedError(
                f"{self._function} has several inputs named {name!r}", remedy="Give positions."
            )
        if names.index(name) < given:
            raise FeedError(f"{self._function} was given {name!r} twice")
