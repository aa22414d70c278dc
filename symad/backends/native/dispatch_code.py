"""The machine code that finds the entry of a program for the arguments of a call.

It is the same for all functions: what differs stands in a table of 8-byte words, which
:mod:`symad.backends.native.dispatcher` fills.  The built-in function ``dispatch`` does this:

1. Arguments go to slots, by position or by name.
2. Items of containers go to further slots, until there is a slot for each value.
3. Values are accepted: numbers of another kind become NumPy scalars of the right dtype.
4. The locks of parameters are taken, and the values of parameters follow the others.
5. The shapes of all values, and the numbers that become sizes, lead to an entry, which is called.
6. New values of parameters are stored, and locks are released.

Whatever is not as expected before the fifth step goes, with the same arguments, to a Python
function, which converts and refuses values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, llvm_type
from symad.backends.native.word_writer import WordWriter
from symad.backends.native.words import (
    DTYPES,
    FACTOR,
    PYTHON_TYPES,
    SEED,
    ContainerWord,
    DispatchWord,
    EntryWord,
    LeafWord,
    LockWord,
    SourceWord,
)
from symad.records import dataclass

_INT64, _FLOAT64 = np.dtype("int64"), np.dtype("float64")

_SOURCES = len(DTYPES) + len(PYTHON_TYPES)


_ON_STACK = 128
"""Calls with more slots take memory for them from Python."""


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as an integer, unless it was a float, and as a float."""

    integer: Scalar
    real: Scalar
    is_real: Any


class DispatchWriter(WordWriter):
    """Writes the module."""

    def finish(self) -> Any:
        """Return the finished module."""
        self._write_bind()
        self._write_unpack_sequence()
        self._write_unpack_dict()
        self._write_unpack()
        self._write_convert()
        self._write_array_of()
        self._write_accept()
        self._write_mix()
        self._write_hash()
        self._write_find()
        self._write_lock()
        self._write_unlock()
        self._write_store()
        self._write_clean()
        self._write_enter()
        self._write_dispatch()
        return self.module

    def _return_unless(self, condition: Any, value: Any) -> None:
        self.return_if(self.builder.not_(condition), value)

    @contextmanager
    def _records(self, head: Any, count: int, records: int, words: int) -> Iterator[Any]:
        """Repeat what is written inside for each record of a list: its index and its place."""
        place = self._get_pointer(head, records)
        with self.each(self._get(head, count)) as index:
            yield index, self._record(place, index, words)

    # Arguments

    def _write_bind(self) -> None:
        """Put the arguments of a call into the first slots; return whether all are right."""
        head, slots, values, count, names = self._begin(
            "bind", self.word, *[self.pointer] * 3, self.word, self.pointer
        )
        builder, no = self.builder, self.word(0)
        wanted = self._get(head, DispatchWord.ARGUMENT_COUNT)
        with self.each(count) as index:
            self._return_unless(builder.icmp_signed("<", index, wanted), no)
            self._copy(values, index, slots, index)
        with builder.if_then(self.is_null(names)):
            builder.ret(builder.zext(self.equal(count, wanted), self.word))
        named = self.length_of(names)
        self._return_unless(self.equal(builder.add(count, named), wanted), no)
        known = self._get_pointer(head, DispatchWord.NAMES)
        with self.each(named) as index:
            name = self._load_word(self.items_of(names), index, self.pointer)
            number = self.python("PyDict_GetItemWithError", self.pointer, known, name)
            self.return_if(self.is_null(number), no)
            place = self.python("PyLong_AsLongLong", self.word, number)
            is_free = self.is_null(self._load_word(slots, place, self.pointer))
            self._return_unless(is_free, no)
            self._copy(values, builder.add(count, index), slots, place)
        builder.ret(self.word(1))

    def _copy(self, source: Any, index: Any, target: Any, place: Any) -> None:
        value = self._load_word(source, index, self.pointer)
        self.hold(value)
        self.builder.store(value, self._word_at(target, place))

    def _write_unpack_sequence(self) -> None:
        """Put the items of a list or a tuple into slots; return whether it is as expected."""
        head, record, source, slots = self._begin("unpack_sequence", self.word, *[self.pointer] * 4)
        builder, no = self.builder, self.word(0)
        type_, count = self.type_of(source), self._get(record, ContainerWord.COUNT)
        words = (head, DispatchWord.LIST), (head, DispatchWord.TUPLE), (record, ContainerWord.TYPE)
        is_list, *others = (self.equal(type_, self._get_pointer(*word)) for word in words)
        self._return_unless(builder.or_(is_list, builder.or_(*others)), no)
        self._return_unless(self.equal(self.length_of(source), count), no)
        self.return_if(self.equal(count, self.word(0)), self.word(1))
        items = builder.select(is_list, self.items_of(source, True), self.items_of(source))
        with self.each(count) as index:
            self._copy(items, index, slots, index)
        builder.ret(self.word(1))

    def _write_unpack_dict(self) -> None:
        """Put the items of a dict into slots; return whether it is as expected."""
        head, record, source, slots = self._begin("unpack_dict", self.word, *[self.pointer] * 4)
        builder, no = self.builder, self.word(0)
        is_dict = self.equal(self.type_of(source), self._get_pointer(head, DispatchWord.DICT))
        self._return_unless(is_dict, no)
        count = self._get(record, ContainerWord.COUNT)
        length = self.python("PyDict_Size", self.word, source)
        self._return_unless(self.equal(length, count), no)
        keys = self.items_of(self._get_pointer(record, ContainerWord.KEYS))
        with self.each(count) as index:
            key = self._load_word(keys, index, self.pointer)
            found = self.python("PyDict_GetItemWithError", self.pointer, source, key)
            self.return_if(self.is_null(found), no)
            self.hold(found)
            builder.store(found, self._word_at(slots, index))
        builder.ret(self.word(1))

    def _write_unpack(self) -> None:
        """Put the items of all containers into slots; return whether they are as expected."""
        head, slots = self._begin("unpack", self.word, *[self.pointer] * 2)
        builder = self.builder
        words = DispatchWord.CONTAINER_COUNT, DispatchWord.CONTAINERS, ContainerWord.END
        with self._records(head, *words) as (_, record):
            source = self._load_word(slots, self._get(record, ContainerWord.SLOT), self.pointer)
            items = self._word_at(slots, self._get(record, ContainerWord.FIRST))
            is_sequence = self.is_null(self._get_pointer(record, ContainerWord.KEYS))
            with builder.if_else(is_sequence) as (sequence, mapping):
                with sequence:
                    right = self._call("unpack_sequence", head, record, source, items)
                    self._return_unless(self.equal(right, self.word(1)), self.word(0))
                with mapping:
                    right = self._call("unpack_dict", head, record, source, items)
                    self._return_unless(self.equal(right, self.word(1)), self.word(0))
        builder.ret(self.word(1))

    # Values

    def _write_accept(self) -> None:
        """Return an object for a value that an entry may take, or null."""
        head, leaf, value = self._begin("accept", *[self.pointer] * 4)
        builder, type_ = self.builder, self.type_of(value)
        is_array = self.equal(type_, self._get_pointer(head, DispatchWord.ARRAY_TYPE))
        plain, number, array, found = self.blocks("plain", "number", "array", "found")
        for word in (LeafWord.SCALAR_TYPE, LeafWord.PYTHON_TYPE):
            self._branch_if(self.equal(type_, self._get_pointer(leaf, word)), plain)
        builder.cbranch(is_array, array, number)
        builder.position_at_end(array)
        self._branch_if(builder.icmp_signed(">", self.ndim_of(value), self.word(0)), plain)
        dtype = self.signature_of(value)
        self._return_unless(self.is_in_order(value, dtype, self.word(0)), self.null)
        ways = [(self.data_of(value), dtype, builder.block)]
        builder.branch(found)
        builder.position_at_end(number)
        for sequence in (DispatchWord.LIST, DispatchWord.TUPLE):
            wanted = self._get_pointer(head, sequence)
            with builder.if_then(self.equal(type_, wanted), likely=False):
                builder.ret(self._call("array_of", head, leaf, value))
        ways.append((self.content(value), builder.ptrtoint(type_, self.word), builder.block))
        builder.branch(found)
        content = self.joined(found, [(place, block) for place, _, block in ways])
        kind = builder.phi(self.word)
        for _, word, block in ways:
            kind.add_incoming(word, block)
        source = self._source(head, is_array, kind)
        builder.ret(self._call("convert", head, leaf, value, content, source))
        builder.position_at_end(plain)
        self.hold(value)
        builder.ret(value)

    def _write_array_of(self) -> None:
        """Return a list or a tuple as an array, if NumPy gives it the right dtype, or null."""
        head, leaf, value = self._begin("array_of", *[self.pointer] * 4)
        convert = self._get_pointer(head, DispatchWord.ASARRAY)
        made = self.python("PyObject_CallOneArg", self.pointer, convert, value)
        self.return_if(self.is_null(made), made)
        signature = self._get(leaf, LeafWord.SIGNATURE)
        is_right = self.equal(self.signature_of(made), signature)
        with self.builder.if_then(self.builder.not_(is_right), likely=False):
            self.release(made)
            self.builder.ret(self.null)
        self.builder.ret(made)

    def _branch_if(self, condition: Any, block: Any) -> None:
        """Go to a block if the condition holds, else go on."""
        self.go_unless(self.builder.not_(condition), block)

    def _source(self, head: Any, is_array: Any, kind: Any) -> Any:
        """Return the place of a type or a dtype in the list of sources, or its length."""
        builder, sources = self.builder, self._get_pointer(head, DispatchWord.SOURCES)
        with builder.goto_entry_block():
            found = builder.alloca(self.word)
        builder.store(self.word(_SOURCES), found)
        with self.each(self.word(_SOURCES)) as index:
            source = self._record(sources, index, SourceWord.END)
            words = (self._get(source, word) for word in (SourceWord.SIGNATURE, SourceWord.TYPE))
            with builder.if_then(self.equal(builder.select(is_array, *words), kind)):
                builder.store(index, found)
        return builder.load(found, typ=self.word)

    def _write_convert(self) -> None:
        """Return a NumPy scalar for a number, whose content and place among the sources are given.

        Return null where the cast would lose information.
        """
        head, leaf, value, content, source = self._begin("convert", *[self.pointer] * 5, self.word)
        builder = self.builder
        casts = builder.lshr(self._get(leaf, LeafWord.CASTS), source)
        allowed = builder.trunc(casts, self._ir.IntType(1))
        self._return_unless(allowed, self.null)
        number = self._read_number(value, content, source)
        nowhere, *targets = self.blocks("nowhere", *map(str, DTYPES))
        switch = builder.switch(self._get(leaf, LeafWord.TARGET), nowhere)
        for index, (dtype, block) in enumerate(zip(DTYPES, targets, strict=True)):
            switch.add_case(self.word(index), block)
            builder.position_at_end(block)
            self._return_number(head, leaf, dtype, number)
        builder.position_at_end(nowhere)
        builder.ret(self.null)

    def _read_number(self, value: Any, content: Any, source: Any) -> _Number:
        builder, scalars = self.builder, LLVMScalarBuilder(self.builder)
        names = [*map(str, DTYPES), "float", "int"]
        done, *blocks = self.blocks("read", *names)
        switch = builder.switch(source, blocks[-1])
        ways: list[tuple[Any, ...]] = []
        for index, block in enumerate(blocks):
            builder.position_at_end(block)
            if block is blocks[-1]:
                number = self._python_integer(value)
            else:
                switch.add_case(self.word(index), block)
                dtype = DTYPES[index] if index < len(DTYPES) else _FLOAT64
                number = self._number_at(content, dtype)
            is_real = number.dtype.kind == "f"
            whole = scalars.constant(0, _INT64) if is_real else scalars.cast(number, _INT64)
            truth = self._ir.IntType(1)(is_real)
            ways.append((whole.value, scalars.cast(number, _FLOAT64).value, truth, builder.block))
            builder.branch(done)
        builder.position_at_end(done)
        parts = [builder.phi(part.type) for part in ways[0][:3]]
        for *values, block in ways:
            for phi, part in zip(parts, values, strict=True):
                phi.add_incoming(part, block)
        return _Number(Scalar(parts[0], _INT64), Scalar(parts[1], _FLOAT64), parts[2])

    def _number_at(self, content: Any, dtype: np.dtype[Any]) -> Scalar:
        held = np.dtype("uint8") if dtype.kind == "b" else dtype
        return Scalar(self.builder.load(content, typ=llvm_type(held)), held)

    def _python_integer(self, value: Any) -> Scalar:
        """Return the value of an ``int`` or a ``bool``; a large one is refused."""
        with self.builder.goto_entry_block():
            overflow = self.builder.alloca(self.int)
        name = "PyLong_AsLongLongAndOverflow"
        number = self.python(name, self.word, value, overflow)
        fits = self.equal(self.builder.load(overflow, typ=self.int), self.int(0))
        self._return_unless(fits, self.null)
        return Scalar(number, _INT64)

    def _return_number(self, head: Any, leaf: Any, dtype: np.dtype[Any], given: _Number) -> None:
        """Return a number as a new NumPy scalar, or null if the dtype does not hold it."""
        builder, scalars = self.builder, LLVMScalarBuilder(self.builder)
        integer, real = given.integer, given.real
        if dtype.kind == "b":
            is_true = scalars.cast(integer, dtype).value
            words = DispatchWord.TRUE, DispatchWord.FALSE
            made = builder.select(is_true, *(self._get_pointer(head, word) for word in words))
            self.hold(made)
            builder.ret(made)
            return
        if dtype.kind == "f":  # an integer is rounded once
            number, whole = scalars.cast(real, dtype), scalars.cast(integer, dtype)
            infinite = [self._is_infinite(scalars, x) for x in (number, real)]
            self._return_unless(scalars.equal(*infinite).value, self.null)
            if dtype != _FLOAT64:
                number = Scalar(builder.select(given.is_real, number.value, whole.value), dtype)
        else:
            number = scalars.cast(integer, dtype)
            back, zero = scalars.cast(number, _INT64), scalars.constant(0, _INT64)
            self._return_unless(scalars.equal(back, integer).value, self.null)
            if dtype.kind == "u":
                self._return_unless(scalars.less_equal(zero, integer).value, self.null)
        made = self.new_scalar(self._get_pointer(leaf, LeafWord.SCALAR_TYPE))
        self.return_if(self.is_null(made), made)
        builder.store(number.value, self.content(made))
        builder.ret(made)

    def _is_infinite(self, scalars: LLVMScalarBuilder, x: Scalar) -> Scalar:
        return scalars.equal(scalars.call("fabs", x), scalars.constant(math.inf, x.dtype))

    # The entry

    def _write_mix(self) -> None:
        """Return the hash of a key that goes on with a number."""
        before, number = self._begin("mix", self.word, self.word, self.word)
        builder = self.builder
        product = builder.mul(builder.xor(before, number), self.word(FACTOR))
        builder.ret(builder.xor(product, builder.lshr(product, self.word(32))))

    def _write_hash(self) -> None:
        """Write the hash of the key of some values, and the numbers of sizes; return whether there
        is one."""
        head, values, result, sizes = self._begin("hash", self.word, *[self.pointer] * 4)
        builder = self.builder
        state, found = (builder.alloca(self.word) for _ in range(2))
        builder.store(self.word(SEED), state)
        builder.store(self.word(0), found)
        leaves = self._get(head, DispatchWord.LEAF_COUNT)
        total = builder.add(leaves, self._get(head, DispatchWord.STATE_COUNT))
        first = self._get_pointer(head, DispatchWord.LEAVES)
        with self.each(total) as index:
            value = self._load_word(values, index, self.pointer)
            number, shape, done = self.blocks("number", "shape", "hashed")
            leaf = self._record(first, index, LeafWord.END)
            is_size = self.equal(self._get(leaf, LeafWord.IS_SIZE), self.word(1))
            builder.cbranch(is_size, number, shape)
            builder.position_at_end(number)
            size = self._size_of(value)
            place = builder.load(found, typ=self.word)
            builder.store(size, self._word_at(sizes, place))
            builder.store(builder.add(place, self.word(1)), found)
            self._mix(state, size)
            builder.branch(done)
            builder.position_at_end(shape)
            self._mix_shape(head, state, value)
            builder.branch(done)
            builder.position_at_end(done)
        builder.store(builder.load(state, typ=self.word), result)
        builder.ret(self.word(1))

    def _size_of(self, value: Any) -> Any:
        """Return the integer that an object stands for; where there is none, the function fails."""
        size = self.python("PyLong_AsLongLong", self.word, value)
        with self.builder.if_then(self.equal(size, self.word(-1)), likely=False):
            raised = self.python("PyErr_Occurred", self.pointer)
            self._return_unless(self.is_null(raised), self.word(0))
        return size

    def _mix(self, state: Any, number: Any) -> None:
        before = self.builder.load(state, typ=self.word)
        self.builder.store(self._call("mix", before, number), state)

    def _mix_shape(self, head: Any, state: Any, value: Any) -> None:
        """Let the hash go on with the sizes of a value, and a number for how many they are."""
        builder = self.builder
        is_array = self.equal(self.type_of(value), self._get_pointer(head, DispatchWord.ARRAY_TYPE))
        with builder.if_else(is_array) as (array, number):
            with array:
                ndim = self.ndim_of(value)
                with self.each(ndim) as axis:
                    self._mix(state, self._load_word(self.sizes_of(value), axis))
                self._mix(state, builder.not_(ndim))
            with number:
                self._mix(state, self.word(-1))

    def _write_find(self) -> None:
        """Return the entry with a hash and with the same numbers as sizes, or null."""
        pointer, word = self.pointer, self.word
        head, hash_, sizes = self._begin("find", pointer, pointer, word, pointer)
        builder, mask = self.builder, self._get(head, DispatchWord.MASK)
        entries = self._get_pointer(head, DispatchWord.ENTRIES)
        place = builder.alloca(self.word)
        builder.store(hash_, place)
        look, compare, further = self.blocks("look", "compare", "further")
        builder.branch(look)
        builder.position_at_end(look)
        index = builder.and_(builder.load(place, typ=self.word), mask)
        entry = self._record(entries, index, EntryWord.END)
        self.return_if(self.is_null(self._get_pointer(entry, EntryWord.CALL)), self.null)
        builder.cbranch(self.equal(self._get(entry, EntryWord.HASH), hash_), compare, further)
        builder.position_at_end(compare)
        expected = self._get_pointer(entry, EntryWord.SIZES)
        with self.each(self._get(head, DispatchWord.SIZE_COUNT)) as k:
            same = self.equal(self._load_word(sizes, k), self._load_word(expected, k))
            self.go_unless(same, further)
        builder.ret(entry)
        builder.position_at_end(further)
        builder.store(builder.add(index, self.word(1)), place)
        builder.branch(look)

    # Parameters

    def _write_lock(self) -> None:
        """Take the locks in order, and return how many there are; fewer where one failed."""
        (head,) = self._begin("lock", self.word, self.pointer)
        words = DispatchWord.LOCK_COUNT, DispatchWord.LOCKS, LockWord.END
        with self._records(head, *words) as (index, lock):
            acquire = self._get_pointer(lock, LockWord.ACQUIRE)
            taken = self.python("PyObject_CallNoArgs", self.pointer, acquire)
            self.return_if(self.is_null(taken), index)
            self.release(taken)
        self.builder.ret(self._get(head, DispatchWord.LOCK_COUNT))

    def _write_unlock(self) -> None:
        """Give back so many locks, and leave an exception as it is."""
        head, count = self._begin("unlock", None, self.pointer, self.word)
        builder, locks = self.builder, self._get_pointer(head, DispatchWord.LOCKS)
        raised = [builder.alloca(self.pointer) for _ in range(3)]
        self.python("PyErr_Fetch", None, *raised)
        with self.each(count) as index:
            lock = self._record(locks, index, LockWord.END)
            method = self._get_pointer(lock, LockWord.RELEASE)
            self.release(self.python("PyObject_CallNoArgs", self.pointer, method))
        self.python("PyErr_Restore", None, *(builder.load(r, typ=self.pointer) for r in raised))
        builder.ret_void()

    def _is_whole(self, cell: Any) -> Any:
        """Return whether the garbage collector has not cleared a cell."""
        return self.equal(self.length_of(cell), self.word(1))

    def _write_store(self) -> None:
        """Store the new values of a pair, and return the result, which comes first in it."""
        head, pair = self._begin("store", *[self.pointer] * 3)
        builder, new = self.builder, self.items_of(self.item(pair, 1))
        words = DispatchWord.UPDATE_COUNT, DispatchWord.UPDATES, 1
        with self._records(head, *words) as (index, update):
            value = self._load_word(new, index, self.pointer)
            array_type = self._get_pointer(head, DispatchWord.ARRAY_TYPE)
            with builder.if_then(self.equal(self.type_of(value), array_type)):
                self.make_read_only(value)
            cell = self._get_pointer(update, 0)
            with builder.if_then(self._is_whole(cell), likely=True):
                slot = self.slot(cell, 0, is_list=True)
                before = builder.load(slot, typ=self.pointer)
                self.hold(value)
                builder.store(value, slot)
                self.release(before)
        result = self.item(pair, 0)
        self.hold(result)
        self.release(pair)
        builder.ret(result)

    # The call

    def _write_clean(self) -> None:
        """Give up what is in the buffer."""
        head, buffer = self._begin("clean", None, *[self.pointer] * 2)
        with self.each(self._get(head, DispatchWord.OWNED)) as index:
            self.release(self._load_word(buffer, index, self.pointer))
        self.builder.ret_void()

    def _write_enter(self) -> None:
        """Call an entry with what is in the buffer, while the locks are held.

        Return the result, or null; without an exception if there is no entry.
        """
        head, buffer = self._begin("enter", *[self.pointer] * 3)
        builder = self.builder
        values = self._word_at(buffer, self._get(head, DispatchWord.FIRST_VALUE))
        leaves = self._get(head, DispatchWord.LEAF_COUNT)
        records = self._get_pointer(head, DispatchWord.LEAVES)
        words = DispatchWord.STATE_COUNT, DispatchWord.STATES, 1
        with self._records(head, *words) as (index, state):
            cell = self._get_pointer(state, 0)
            self._return_unless(self._is_whole(cell), self.null)
            leaf = self._record(records, builder.add(leaves, index), LeafWord.END)
            value = self._call("accept", head, leaf, self.item(cell, 0, is_list=True))
            self.return_if(self.is_null(value), self.null)
            builder.store(value, self._word_at(values, builder.add(leaves, index)))
        sizes = self._word_at(buffer, self._get(head, DispatchWord.OWNED))
        hash_ = builder.alloca(self.word)
        known = self._call("hash", head, values, hash_, sizes)
        with builder.if_then(self.equal(known, self.word(0)), likely=False):
            self.python("PyErr_Clear", None)
            builder.ret(self.null)
        entry = self._call("find", head, builder.load(hash_, typ=self.word), sizes)
        self.return_if(self.is_null(entry), self.null)
        count = builder.add(leaves, self._get(head, DispatchWord.STATE_COUNT))
        function = self._get_pointer(entry, EntryWord.CALL)
        call = "PyObject_Vectorcall"
        made = self.python(call, self.pointer, function, values, count, self.null)
        self.return_if(self.is_null(made), made)
        latest = self._get_pointer(head, DispatchWord.LATEST)
        builder.store(self._get(entry, EntryWord.NUMBER), latest)
        has_updates = builder.icmp_signed(
            ">", self._get(head, DispatchWord.UPDATE_COUNT), self.word(0)
        )
        with builder.if_then(has_updates):
            builder.ret(self._call("store", head, made))
        builder.ret(made)

    def _write_dispatch(self) -> None:
        own, *given = self.begin_builtin("dispatch")
        head = self.data_of(self.item(own, 0))
        builder, locks = self.builder, self._get(head, DispatchWord.LOCK_COUNT)
        slow, failed = self.blocks("slow", "failed")
        small, buffer = self._buffer(head)
        self._fill(head, buffer, given, slow)
        taken = self._call("lock", head)
        with builder.if_then(self._is_less(taken, locks), likely=False):
            self._call("unlock", head, taken)
            builder.branch(failed)
        made = self._call("enter", head, buffer)
        with builder.if_then(self._is_less(self.word(0), locks)):
            self._call("unlock", head, locks)
        with builder.if_then(self.is_null(made), likely=False):
            raised = self.python("PyErr_Occurred", self.pointer)
            builder.cbranch(self.is_null(raised), slow, failed)
        self._leave(head, small, buffer)
        builder.ret(made)
        builder.position_at_end(failed)
        self._leave(head, small, buffer)
        builder.ret(self.null)
        builder.position_at_end(slow)
        self.python("PyErr_Clear", None)
        self._leave(head, small, buffer)
        fallback = self._get_pointer(head, DispatchWord.FALLBACK)
        builder.ret(self.python("PyObject_Vectorcall", self.pointer, fallback, *given))

    def _is_less(self, one: Any, other: Any) -> Any:
        return self.builder.icmp_signed("<", one, other)

    def _buffer(self, head: Any) -> tuple[Any, Any]:
        """Return the place on the stack for a buffer, and the buffer, which may be elsewhere."""
        builder, owned = self.builder, self._get(head, DispatchWord.OWNED)
        small = builder.alloca(self.word, _ON_STACK)
        place = builder.alloca(self.pointer)
        builder.store(small, place)
        count = builder.add(owned, self._get(head, DispatchWord.SIZE_COUNT))
        with builder.if_then(self._is_less(self.word(_ON_STACK), count), likely=False):
            size = builder.mul(count, self.word(8))
            large = self.python("PyMem_Malloc", self.pointer, size)
            with builder.if_then(self.is_null(large), likely=False):
                builder.ret(self.python("PyErr_NoMemory", self.pointer))
            builder.store(large, place)
        buffer = builder.load(place, typ=self.pointer)
        with self.each(owned) as index:
            builder.store(self.null, self._word_at(buffer, index))
        return small, buffer

    def _fill(self, head: Any, buffer: Any, given: Any, slow: Any) -> None:
        """Put the values of the arguments into the buffer."""
        builder = self.builder
        right = self._call("bind", head, buffer, *given)
        self.go_unless(self.equal(right, self.word(1)), slow)
        right = self._call("unpack", head, buffer)
        self.go_unless(self.equal(right, self.word(1)), slow)
        values = self._word_at(buffer, self._get(head, DispatchWord.FIRST_VALUE))
        words = DispatchWord.LEAF_COUNT, DispatchWord.LEAVES, LeafWord.END
        with self._records(head, *words) as (index, leaf):
            value = self._load_word(buffer, self._get(leaf, LeafWord.SLOT), self.pointer)
            accepted = self._call("accept", head, leaf, value)
            self.go_unless(builder.not_(self.is_null(accepted)), slow)
            builder.store(accepted, self._word_at(values, index))

    def _leave(self, head: Any, small: Any, buffer: Any) -> None:
        """Give up the buffer and what is in it."""
        self._call("clean", head, buffer)
        is_small = self.equal(small, buffer)
        with self.builder.if_then(self.builder.not_(is_small), likely=False):
            self.python("PyMem_Free", None, buffer)
