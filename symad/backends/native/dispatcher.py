"""Tables from which machine code finds the entry of a program for the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np

from symad.backends.base import CallForm, DirectEntry, Key, Mark
from symad.backends.native.cpython import new_builtin, signature_of
from symad.backends.native.jit import CompiledModule, Effort, Written, stored_module
from symad.backends.native.runtime import runtime
from symad.backends.native.words import (
    DTYPES,
    FACTOR,
    PYTHON_TYPES,
    SEED,
    DispatchWord,
    EntryWord,
    Table,
)
from symad.graph.nested import is_nested, leaves
from symad.types import TensorType

_WORD = (1 << 64) - 1


def native_dispatcher(form: CallForm, latest: Mark) -> NativeDispatcher | None:
    """Return the dispatcher of a function, or ``None`` where Python code must do its work."""
    if runtime() is None or not all(
        isinstance(node.type, TensorType) for node in leaves(form.arguments)
    ):
        return None
    return NativeDispatcher(form, latest)


@cache
def _module() -> CompiledModule:
    return stored_module("dispatch", _written, "dispatch", Effort.QUICK)


def _written() -> Written:
    from symad.backends.native.dispatch_code import DispatchWriter

    return DispatchWriter("dispatch").finish(), ()


class NativeDispatcher:
    """Makes built-in functions that find the entry for the arguments of a call.

    Parameters
    ----------
    form : CallForm
    latest : array
        Calls write the number of their entry here.
    """

    def __init__(self, form: CallForm, latest: Mark) -> None:
        writer = _FormWriter(form)
        self._head, table = writer.finish()
        self._head[DispatchWord.LATEST] = latest.ctypes.data
        self._sizes = sorted(form.sizes)
        self._kept = (table, latest, *writer.kept)

    def call_of(
        self, entries: Sequence[DirectEntry], fallback: Callable[..., Any]
    ) -> Callable[..., Any]:
        """See :meth:`symad.backends.base.Dispatcher.call_of`.

        The function has a table of its own, which never changes, for a call may be on its way.
        """
        entries = [entry for entry in entries if self._is_found(entry.key)]
        capacity, count = 1 << (2 * len(entries)).bit_length(), len(self._sizes)
        base, width = DispatchWord.END, EntryWord.END
        table = np.zeros(base + capacity * width + len(entries) * count, np.int64)
        place = table.ctypes.data + 8 * (base + capacity * width)
        records: list[Sequence[int]] = [(0,) * width] * capacity
        for k, entry in enumerate(entries):
            word = hash_of(entry.key)
            index = word & (capacity - 1)
            while records[index][EntryWord.CALL]:
                index = (index + 1) & (capacity - 1)
            sizes = place + 8 * k * count
            records[index] = _signed(word), id(entry.call), entry.number, sizes
        numbers = [entry.key[k] for entry in entries for k in self._sizes]
        table[:base] = self._head
        table[base:] = [*chain.from_iterable(records), *numbers]
        table[DispatchWord.MASK] = capacity - 1
        table[DispatchWord.ENTRIES] = table.ctypes.data + 8 * base
        table[DispatchWord.FALLBACK] = id(fallback)
        calls, module = tuple(entry.call for entry in entries), _module()
        address = module.address("dispatch")
        return new_builtin("program", address, table, module, fallback, calls, self._kept)

    def _is_found(self, key: Key) -> bool:
        """Return whether native code can tell sizes from others: each is a number."""
        sizes = [key[k] for k in self._sizes]
        return all(isinstance(size, int) and -(1 << 63) <= size < 1 << 63 for size in sizes)


@lru_cache(4096)
def hash_of(key: Key) -> int:
    """Return the hash of a key, as native code computes it."""
    state = SEED
    for item in key:
        for word in [item] if isinstance(item, int) else [*item, ~len(item)]:
            product = ((state ^ word & _WORD) * FACTOR) & _WORD
            state = product ^ product >> 32
    return state


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


class _FormWriter:
    """Writes what all tables of a function have in common.

    Attributes
    ----------
    kept : list
        Objects whose addresses stand there.
    """

    def __init__(self, form: CallForm) -> None:
        self._head = np.zeros(DispatchWord.END, np.int64)
        self._words: list[int] = []
        self._places: dict[int, int] = {}
        self.kept: list[Any] = []
        self._containers: list[list[int]] = []
        self._slots = len(form.arguments)
        self._write_values(form)
        self._write_parameters(form)
        head, word = self._head, DispatchWord
        head[word.NAMES] = self._object(dict(form.names))
        for place, value in (
            (word.ARRAY_TYPE, np.ndarray), (word.LIST, list), (word.TUPLE, tuple),
            (word.DICT, dict), (word.TRUE, np.True_), (word.FALSE, np.False_),
            (word.ASARRAY, np.asarray),
        ):  # fmt: skip
            head[place] = self._object(value)
        signatures = [*map(signature_of, DTYPES), *(-1 for _ in PYTHON_TYPES)]
        types = [*(dtype.type for dtype in DTYPES), *PYTHON_TYPES]
        pairs = zip(map(self._object, types), signatures, strict=True)
        self._add(word.SOURCES, None, [list(pair) for pair in pairs])

    def finish(self) -> tuple[Table, Table]:
        """Return the words that a table begins with, and the records that they refer to."""
        table = np.array(self._words, np.int64)
        for place, index in self._places.items():
            self._head[place] = table.ctypes.data + 8 * index
        return self._head, table

    def _add(self, place: int, count: int | None, records: Any) -> None:
        """Add a list of records."""
        self._places[place] = len(self._words)
        if count is not None:
            self._head[count] = len(records)
        for record in records:
            self._words += record

    def _object(self, value: Any) -> int:
        self.kept.append(value)
        return id(value)

    def _write_values(self, form: CallForm) -> None:
        pairs = [
            pair
            for slot, argument in enumerate(form.arguments)
            for pair in self._unpacked(argument, slot)
        ]
        leaves = [
            self._leaf(node.type.dtype, slot, index in form.sizes)
            for index, (slot, node) in enumerate([*pairs, *((0, p) for p in form.parameters)])
        ]
        word = DispatchWord
        self._head[word.ARGUMENT_COUNT] = len(form.arguments)
        self._add(word.CONTAINERS, word.CONTAINER_COUNT, self._containers)
        self._add(word.LEAVES, None, leaves)
        self._head[word.LEAF_COUNT] = len(pairs)
        self._head[word.FIRST_VALUE] = self._slots
        self._head[word.OWNED] = self._slots + len(leaves)
        self._head[word.SIZE_COUNT] = len(form.sizes)

    def _unpacked(self, template: Any, slot: int) -> Iterator[tuple[int, Any]]:
        """Yield each node with its slot, and note the containers, outer ones first."""
        if not is_nested(template):
            yield slot, template
            return
        is_dict = isinstance(template, dict)
        items = list(template.values()) if is_dict else template
        first = self._slots
        self._slots += len(items)
        keys = self._object(tuple(template)) if is_dict else 0
        kind = self._object(type(template))
        self._containers.append([slot, len(items), first, kind, keys])
        for k, item in enumerate(items):
            yield from self._unpacked(item, first + k)

    def _leaf(self, dtype: np.dtype[Any], slot: int, is_size: bool) -> list[int]:
        scalar = self._object(dtype.type)
        python = self._object(float) if dtype == np.float64 else scalar
        target = DTYPES.index(dtype) if dtype in DTYPES else len(DTYPES)
        casts = [np.can_cast(source, dtype, "safe") for source in DTYPES]
        casts += [dtype.kind in kinds for kinds in ("f", "fiu", "fiub")]
        bits = sum(1 << k for k, may in enumerate(casts) if may)
        return [slot, int(is_size), scalar, python, target, bits, signature_of(dtype)]

    def _write_parameters(self, form: CallForm) -> None:
        word = DispatchWord
        states, updates = (
            [[self._object(parameter.cell)] for parameter in group]
            for group in (form.parameters, form.updated)
        )
        self._add(word.STATES, word.STATE_COUNT, states)
        self._add(word.UPDATES, word.UPDATE_COUNT, updates)
        locks = [parameter.lock for parameter in sorted(form.parameters, key=id)]
        methods = [[self._object(lock.acquire), self._object(lock.release)] for lock in locks]
        self._add(word.LOCKS, word.LOCK_COUNT, methods)
