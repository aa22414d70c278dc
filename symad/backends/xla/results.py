"""The results of XLA programs as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.xla.translations import jax
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
    state : DeviceState
        Takes the arrays over if they become values of parameters.
    """

    def __init__(self, graph: Graph, state: DeviceState) -> None:
        self._state = state
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
            is_ours = not _shares(value, taken)
            found[k] = self._state.handed(value, arrays[k]) if is_ours else value.copy()
            taken.append(value)
        if self._is_flat:
            return found
        rest = iter(found)
        return [rebuild(form, rest) for form in self._forms]


class DeviceState:
    """The values of the parameters of a function where XLA needs them, which are not sent again.

    The value of a parameter is an array that nobody changes; a new value is another array.
    """

    def __init__(self) -> None:
        self._sent: dict[int, tuple[np.ndarray[Any, Any], Any]] = {}

    def on_device(self, place: int, value: Any, sharding: Any) -> Any:
        """Return the value of the parameter at a place among the inputs as JAX's array."""
        if not isinstance(value, np.ndarray) or value.nbytes < _WORTH_TAKING:
            return value
        owner = getattr(value.base, "base", None)
        if isinstance(owner, _Owned) and owner.state is self:
            return owner.source
        known = self._sent.get(place)
        if known is None or known[0].ctypes.data != value.ctypes.data:
            known = self._sent[place] = value, jax.device_put(value, sharding)
        return known[1]

    def handed(self, value: np.ndarray[Any, Any], source: Any) -> np.ndarray[Any, Any]:
        """Return an array of JAX's as one that may be written to."""
        return np.asarray(_Owned(value, source, self))


class _Owned:
    """The memory of an array that may be written to.

    Attributes
    ----------
    source : JAX's array
    state : DeviceState
        That of the function which made it.
    """

    def __init__(self, array: np.ndarray[Any, Any], source: Any, state: DeviceState) -> None:
        self._array = array  # which keeps the memory
        self.source, self.state = source, state
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
