"""The results of XLA programs as NumPy arrays."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from symad.backends.xla.translations import jax, jnp
from symad.graph.graph import Graph
from symad.graph.nested import is_nested, rebuild
from symad.types import StructureType, TensorType, Type, total_nbytes

_WORTH_TAKING = 1 << 12
"""The bytes from which an array is taken over; fewer are copied, which is as fast."""
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
    in_memory : bool
        Whether arrays of JAX's are in the memory of the process, each in one place.
    """

    def __init__(self, graph: Graph, state: DeviceState, in_memory: bool) -> None:
        self._state = state
        moving = set(graph.inputs)
        for node in graph.nodes:
            if not moving.isdisjoint(node.inputs):
                moving.add(node)
        self._forms = [form_of(node.type) for node in graph.outputs]
        self._is_flat = not any(map(is_nested, self._forms))
        is_fresh = [  # JAX may keep what is constant
            node in moving for node in graph.outputs for _ in leaf_types(node.type)
        ]
        types = [type_ for node in graph.outputs for type_ in leaf_types(node.type)]
        kept = {len(types) - len(state.updated) + k: place for k, place in enumerate(state.updated)}
        self._packed = _packed(types, kept)
        inside = {k for k, _, _ in self._packed}
        self._apart = [k for k in range(len(types)) if k not in inside]
        self._taking = [
            partial(state.keep, kept[k]) if k in kept and types[k].shape
            else _taking(types[k], is_fresh[k] and in_memory)
            for k in self._apart
        ]  # fmt: skip
        self._dtype = types[self._packed[0][0]].dtype if self._packed else bool
        self._length = max([place.stop for _, place, _ in self._packed], default=0)
        numbers = sum(t is not None and t.shape == () for t in types)
        self._are_numbers = self._is_flat and self._length == numbers == len(types)

    def packed(
        self, outputs: Sequence[Any], has_failed: Any, given: Sequence[Any]
    ) -> list[Any]:
        """Return JAX's arrays for outputs: each costs time, so small ones of a dtype are one array.

        Its last element says whether a value is an error, unless ``has_failed`` is ``None``.  None
        of the arrays is one of the ``given`` ones.
        """
        apart = _distinct([outputs[k] for k in self._apart], given)
        parts = [outputs[k] for k, _, _ in self._packed]
        parts += [] if has_failed is None else [has_failed]
        if not parts:
            return apart
        return [*apart, jnp.concatenate([jnp.ravel(x).astype(self._dtype) for x in parts])]

    def take(self, arrays: list[Any]) -> list[Any] | None:
        """Return the outputs of the graph, ``None`` if a value is an error.

        Parameters
        ----------
        arrays : list
            What :meth:`packed` has returned; the last is taken out of it.
        """
        if len(arrays) > len(self._apart):
            whole = np.asarray(arrays.pop())
            if len(whole) > self._length and whole[-1]:
                return None
            if self._are_numbers:
                return list(whole)[: self._length]
            whole = whole.copy()
        found = [take(array) for take, array in zip(self._taking, arrays, strict=True)]
        for k, place, shape in self._packed:
            found.insert(k, whole[place].reshape(shape) if shape else whole[place.start])
        if self._is_flat:
            return found
        rest = iter(found)
        return [rebuild(form, rest) for form in self._forms]


def _distinct(arrays: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Return arrays, with copies of those that are ``given`` or come twice.

    JAX would return the memory of the caller, or the same memory twice.
    """
    seen, found = {id(x) for x in given}, []
    for x in arrays:
        found.append(jnp.copy(x) if id(x) in seen and x is not None else x)
        seen.add(id(x))
    return found


def _taking(type_: Any, is_own: bool) -> Callable[[Any], Any]:
    """Return what makes a value of NumPy's of an array of JAX's that is ``None`` or of a type.

    If it ``is_own``, nobody else has its memory, and it may be taken over.
    """
    if type_ is None:
        return lambda array: None
    if type_.shape == ():
        return lambda array: np.asarray(array)[()]
    size = total_nbytes([type_])
    if not is_own or size is None or size < _WORTH_TAKING:
        return np.array
    memory: Any = type("Memory", (ctypes.c_char * size,), {})  # which may keep JAX's array
    at = memory.from_address

    def take(array: Any) -> np.ndarray[Any, Any]:
        array.block_until_ready()
        kept = at(array.unsafe_buffer_pointer())
        kept.array = array
        return np.ndarray(array.shape, array.dtype, kept)

    return take


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

    def keep(self, place: int, new: Any) -> np.ndarray[Any, Any]:
        """Return the new value of a parameter, which stays on the device for the next call."""
        value = np.asarray(new)
        self._sent[place] = value.__array_interface__, value, new
        return value


_UNKNOWN: tuple[Any, Any, Any] = (None, None, None)


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
