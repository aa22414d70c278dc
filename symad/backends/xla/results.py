"""The results of XLA programs as NumPy arrays."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.xla.translations import jax, jnp
from symad.graph.graph import Graph
from symad.graph.nested import is_nested, leaves, rebuild
from symad.types import StructureType, TensorType, Type, total_nbytes

_WORTH_TAKING = 1 << 16
"""The bytes from which an array is taken over; fewer are copied, which is cheaper."""
_SMALL = 256
"""The most elements of arrays that are returned as parts of one array."""


class Results:
    """Makes NumPy arrays of results that callers may keep and modify.

    Large arrays are not copied: XLA has made them for this call, and nobody else has them.

    Parameters
    ----------
    graph : Graph
    state : DeviceState
        Keeps the arrays that become values of parameters.
    """

    def __init__(self, graph: Graph, state: DeviceState) -> None:
        self._state = state
        moving = set(graph.inputs)
        for node in graph.nodes:
            if not moving.isdisjoint(node.inputs):
                moving.add(node)
        self._forms = [form_of(node.type) for node in graph.outputs]
        self._is_flat = not any(map(is_nested, self._forms))
        self._takes_flat = not any(isinstance(node.type, StructureType) for node in graph.inputs)
        is_fresh = [  # JAX may keep what is constant
            node in moving for node in graph.outputs for _ in leaf_types(node.type)
        ]
        types = [type_ for node in graph.outputs for type_ in leaf_types(node.type)]
        self._is_taken = [
            fresh and (total_nbytes([type_] if type_ else []) or 0) >= _WORTH_TAKING
            for fresh, type_ in zip(is_fresh, types, strict=True)
        ]
        self._kept = {
            len(types) - len(state.updated) + k: place for k, place in enumerate(state.updated)
        }
        self._packed = _packed(types, self._kept)
        inside = {k for k, _, _ in self._packed}
        self._apart = [k for k in range(len(types)) if k not in inside]
        self._dtype = types[self._packed[0][0]].dtype if self._packed else bool
        self._length = max([place.stop for _, place, _ in self._packed], default=0)
        self._numbers = {k for k, t in enumerate(types) if t is not None and t.shape == ()}
        self._are_numbers = self._is_flat and self._length == len(self._numbers) == len(types)
        self._are_copied = not (self._kept or any(self._is_taken))
        are_arrays = None not in types and not self._numbers
        self._are_arrays = self._is_flat and are_arrays and not self._packed and self._are_copied

    def packed(self, outputs: Sequence[Any], has_failed: Any) -> list[Any]:
        """Return JAX's arrays for outputs: each costs time, so small ones of a dtype are one array.

        Its last element says whether a value is an error, unless ``has_failed`` is ``None``.
        """
        apart = [outputs[k] for k in self._apart]
        parts = [outputs[k] for k, _, _ in self._packed]
        parts += [] if has_failed is None else [has_failed]
        if not parts:
            return apart
        return [*apart, jnp.concatenate([jnp.ravel(x).astype(self._dtype) for x in parts])]

    def take(self, arrays: list[Any], given: Sequence[Any]) -> list[Any] | None:
        """Return the outputs of the graph, ``None`` if a value is an error.

        Parameters
        ----------
        arrays : list
            What :meth:`packed` has returned; the last is taken out of it.
        given : sequence
            The values of the inputs, whose memory JAX may return.
        """
        if len(arrays) > len(self._apart):
            whole = np.asarray(arrays.pop())
            if len(whole) > self._length and whole[-1]:
                return None
            if self._are_numbers:
                return list(whole)[: self._length]
            whole = whole.copy()
        if self._are_arrays:
            return [np.array(array) for array in arrays]
        found: list[Any] = [None] * (len(self._packed) + len(self._apart))
        for k, place, shape in self._packed:
            found[k] = whole[place].reshape(shape) if shape else whole[place.start]
        if self._apart:
            self._take_apart(found, arrays, given)
        if self._is_flat:
            return found
        rest = iter(found)
        return [rebuild(form, rest) for form in self._forms]

    def _take_apart(self, found: list[Any], arrays: Sequence[Any], given: Sequence[Any]) -> None:
        """Store the outputs that are arrays of their own."""
        others: list[Any] = []
        if not self._are_copied:
            flat = given if self._takes_flat else leaves(list(given))
            others += [each for each in flat if type(each) is np.ndarray]
        for k, array in zip(self._apart, arrays, strict=True):
            if array is not None:
                found[k] = self._taken(k, array, others)

    def _taken(self, k: int, array: Any, others: list[Any]) -> Any:
        """Return an output that shares no memory with the ``others``, to which it is added."""
        if k in self._numbers:
            return np.asarray(array)[()]
        if k in self._kept:
            value: Any = self._state.keep(self._kept[k], array, others)
        elif self._is_taken[k] and not _shares(np.asarray(array), others):
            value = np.asarray(_Owned(np.asarray(array)))
        else:
            return np.array(array)
        others.append(value)
        return value


def _packed(types: Sequence[Any], kept: Container[int]) -> list[tuple[int, slice, Any]]:
    """Return the outputs that are parts of one array: their numbers, places in it, and shapes."""
    fitting = [isinstance(t, TensorType) and t.is_static and t.size <= _SMALL for t in types]
    small = {
        k: t
        for k, (t, fits) in enumerate(zip(types, fitting, strict=True))
        if fits and (t.shape == () or k not in kept)
    }
    first: Any = next(iter(small.values()), None)
    chosen = {k: t for k, t in small.items() if t.dtype == first.dtype}
    if len(chosen) == 1 and first.shape:
        return []
    ends = [*itertools.accumulate((t.size for t in chosen.values()), initial=0)]
    return [(k, slice(*ends[i : i + 2]), t.shape) for i, (k, t) in enumerate(chosen.items())]


class DeviceState:
    """The values of the parameters of a function where XLA needs them, which are not sent again.

    The value of a parameter is an array that nobody changes; a new value is another array.

    Attributes
    ----------
    updated : tuple of int
        The places among the inputs of the parameters whose new values are the last outputs.
    """

    def __init__(self) -> None:
        self.updated: tuple[int, ...] = ()
        self._sent: dict[int, tuple[Any, Any, Any]] = {}

    def on_device(self, place: int, value: Any, sharding: Any) -> Any:
        """Return the value of the parameter at a place among the inputs as JAX's array."""
        if not isinstance(value, np.ndarray):
            return value
        memory: Any = value.__array_interface__
        known, _, array = self._sent.get(place, _UNKNOWN)
        if known != memory or sharding not in (None, array.sharding):  # XLA has chosen another
            array = jax.device_put(value if known != memory else array, sharding)
            self._sent[place] = memory, value, array
        return array

    def keep(self, place: int, new: Any, others: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Return the new value of a parameter, which stays on the device for the next call.

        It is copied if it is the memory of one of the ``others``, which callers may change.
        """
        value = np.asarray(new)
        if _shares(value, others):
            return value.copy()
        self._sent[place] = value.__array_interface__, value, new
        return value


_UNKNOWN: tuple[Any, Any, Any] = (None, None, None)


class _Owned:
    """The memory of an array of JAX's, which may be written to."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array  # which keeps the memory
        memory: Any = array.__array_interface__
        self.__array_interface__ = {**memory, "data": (memory["data"][0], False)}


def _shares(value: np.ndarray[Any, Any], others: Sequence[np.ndarray[Any, Any]]) -> bool:
    """Return whether an array is the memory of another one, which then has its size."""
    size = value.nbytes
    return any(other.nbytes == size and np.may_share_memory(value, other) for other in others)


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
