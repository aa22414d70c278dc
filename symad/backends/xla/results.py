"""The results of XLA programs as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.graph.graph import Graph
from symad.graph.nested import is_nested, leaves, rebuild
from symad.types import StructureType, TensorType, Type

_WORTH_TAKING = 1 << 16
"""The bytes from which an array is taken over; fewer are copied, which is cheaper."""


class Results:
    """Makes NumPy arrays of results that callers may keep and modify.

    Large arrays are not copied: XLA has made them for this call, and nobody else has them.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        moving = set(graph.inputs)
        for node in graph.nodes:
            if not moving.isdisjoint(node.inputs):
                moving.add(node)
        self._forms = [form_of(node.type) for node in graph.outputs]
        self._is_flat = not any(map(is_nested, self._forms))
        self._are_numbers = all(
            isinstance(node.type, TensorType) and node.type.shape == () for node in graph.outputs
        )
        self._is_fresh = [
            node in moving  # JAX may keep what is constant
            for node, form in zip(graph.outputs, self._forms, strict=True)
            for _ in leaves(form)
        ]

    def take(self, arrays: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """Return the outputs of the graph.

        Parameters
        ----------
        arrays : sequence
            JAX's arrays.
        given : sequence
            The values of the inputs, whose memory JAX may return.
        """
        if self._are_numbers:
            return [np.asarray(array)[()] for array in arrays]
        found = [array if array is None else np.asarray(array)[()] for array in arrays]
        taken: list[Any] | None = None
        for k, value in enumerate(found):
            if not isinstance(value, np.ndarray):
                continue
            if value.nbytes < _WORTH_TAKING or not self._is_fresh[k]:
                found[k] = value.copy()
                continue
            if taken is None:
                taken = [each for each in leaves(list(given)) if isinstance(each, np.ndarray)]
            found[k] = value.copy() if _shares(value, taken) else np.asarray(_Owned(value))
            taken.append(value)
        if self._is_flat:
            return found
        rest = iter(found)
        return [rebuild(form, rest) for form in self._forms]


class _Owned:
    """The memory of an array that may be written to."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array  # which keeps the memory
        writable = {"data": (array.ctypes.data, False)}
        self.__array_interface__ = {**array.__array_interface__, **writable}


def _shares(value: np.ndarray[Any, Any], others: Sequence[np.ndarray[Any, Any]]) -> bool:
    return any(np.may_share_memory(value, other) for other in others)


def form_of(type_: Type | None) -> Any:
    """Return a structure like the values of a type."""
    if not isinstance(type_, StructureType):
        return None
    items = {key: form_of(item) for key, item in type_.fields}
    kinds: dict[str, Any] = {"dict": items, "list": list(items.values())}
    return kinds.get(type_.kind, tuple(items.values()))


def leaf_types(type_: Type | None) -> Iterator[Any]:
    """Yield the types of the leaves of such a structure."""
    if isinstance(type_, StructureType):
        for _, item in type_.fields:
            yield from leaf_types(item)
    else:
        yield type_
