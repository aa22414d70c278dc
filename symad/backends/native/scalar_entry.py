"""Functions that run a scalar program: the arguments, the call and the results, by tables.

A program of many instructions may have many arguments and results too.  So their number, dtypes
and structure are not in the machine code, as they are in that of small functions, but in tables
that it reads: one code serves all programs whose arguments and results have the same dtypes.

The memory of a call is its own, so that calls may run at once, in several threads and inside each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symad.backends.native.cpython import Fallback, can_count_references, new_builtin
from symad.backends.native.jit import CompiledModule, Effort, Latest, compile_module
from symad.backends.native.object_writer import NumberFunctionWriter, is_recyclable
from symad.backends.native.scalar_builder import LLVMScalarBuilder
from symad.backends.native.scalar_instructions import SLOT
from symad.backends.native.scalar_program import ScalarProgram
from symad.backends.native.scalar_tables import Into, MadeWord, ProgramTables, ProgramWord
from symad.graph.nested import is_nested
from symad.plan.plan import Plan
from symad.records import dataclass

_EXPORTED = "call"
_ON_STACK = 4096
"""The most bytes that are taken from the stack."""


class Description:
    """Stands for the address of the words that describe a program."""


class Keys:
    """Stands for the tuple of all keys of the dicts of a result."""


class Held:
    """Stands for the list of the last two results."""


@dataclass(frozen=True, slots=True)
class _EntryKind:
    """What the machine code of a function depends on.

    Attributes
    ----------
    read, made : tuple of dtype
        The dtypes of the arguments and the results.
    recycled : type or None
        ``list``, ``tuple`` or ``NoneType`` for a number, if results are given new contents.
    """

    read: tuple[np.dtype[Any], ...]
    made: tuple[np.dtype[Any], ...]
    recycled: type | None


@dataclass(frozen=True, slots=True)
class _EntryCode:
    module: CompiledModule
    kept: list[Any]


_codes: Latest[_EntryCode] = Latest(64)


def program_function(
    plan: Plan,
    program: ScalarProgram,
    outputs: Any,
    fallback: Callable[..., Any],
    name: str,
) -> Callable[..., Any]:
    """Return a built-in function that runs a program.

    Parameters
    ----------
    plan : Plan
        The plan of the program.
    program : ScalarProgram
    outputs : nested structure
        The structure of the result, of built-in types.
    fallback : callable
        Called with the same arguments if they are unusual.
    name : str
    """
    kind = _kind_of(plan, outputs)
    code = _codes.get(kind, lambda: _compile(kind))
    tables = ProgramTables(plan, program, outputs, kind.read, kind.made)
    stands_for: dict[type, Any] = {
        Fallback: fallback,
        Description: np.int64(tables.description.ctypes.data),
        Keys: tuple(tables.keys),
        Held: _held(outputs, kind.recycled),
    }
    objects = [stands_for.get(v, v) if isinstance(v, type) else v for v in code.kept]
    return new_builtin(name, code.module.address(_EXPORTED), *objects, code.module, tables)


def _held(outputs: Any, recycled: type | None) -> list[Any]:
    """Return a list of two results of no use yet."""
    if recycled is None or recycled is type(None):
        return [None] * 2
    return [recycled([None] * len(outputs))] * 2


def _kind_of(plan: Plan, outputs: Any) -> _EntryKind:
    def distinct(nodes: Sequence[Any]) -> tuple[np.dtype[Any], ...]:
        return tuple(sorted({node.dtype for node in nodes}, key=str))

    made = distinct(plan.graph.outputs)
    recycled = None
    if can_count_references() and is_recyclable(outputs, made):
        recycled = type(outputs) if is_nested(outputs) else type(None)
    return _EntryKind(distinct(plan.graph.inputs), made, recycled)


def _compile(kind: _EntryKind) -> _EntryCode:
    from symad.backends.native import ir

    module = ir.Module("scalar program")
    writer = ProgramFunctionWriter(module, kind)
    writer.write()
    return _EntryCode(compile_module(module, "scalar program", Effort.QUICK), writer.kept())


class ProgramFunctionWriter(NumberFunctionWriter):
    """Writes the built-in function for programs of one kind."""

    def __init__(self, module: Any, kind: _EntryKind) -> None:
        super().__init__(module, _EXPORTED, is_fast=False)
        self._kind = kind
        self._words = self.builder.inttoptr(
            self.builder.load(self.content(self._object(Description)), typ=self.word),
            self.pointer,
        )

    def write(self) -> None:
        """Write the function."""
        arguments, count, names = self._given
        right_count = self.equal(count, self._get(ProgramWord.ARGUMENTS))
        self._require(self.builder.and_(right_count, self.is_null(names)))
        no_memory, unusual = self.blocks("no_memory", "unusual")
        self._memory = self._new_memory(no_memory)
        self._read_all(arguments, unusual)
        self._run()
        if self._kind.recycled is None:
            made = self._make_all()
        else:
            made = self._recycle(Held, self._from_held)
        self._free()
        self.builder.ret(made)
        self._write_ends(no_memory, unusual)

    def _new_memory(self, no_memory: Any) -> Any:
        """Return the memory of the call: on the stack if it is small."""
        size, start = self._get(ProgramWord.BYTES), self.builder.block
        self._stack = self.builder.alloca(self.word, _ON_STACK // SLOT)
        allocate, allocated = self.blocks("allocate", "allocated")
        is_small = self.builder.icmp_unsigned("<=", size, self.word(_ON_STACK))
        self.builder.cbranch(is_small, allocated, allocate)
        self.builder.position_at_end(allocate)
        memory = self.python("PyMem_RawMalloc", self.pointer, size)
        self.builder.cbranch(self.is_null(memory), no_memory, allocated)
        return self.joined(allocated, [(memory, allocate), (self._stack, start)])

    def _write_ends(self, no_memory: Any, unusual: Any) -> None:
        self.builder.position_at_end(unusual)
        self._free()
        self.builder.branch(self._slow)
        self.builder.position_at_end(self._slow)
        call, fallback = "PyObject_Vectorcall", self._object(Fallback)
        self.builder.ret(self.python(call, self.pointer, fallback, *self._given))
        self.builder.position_at_end(self._failed)
        self.release(self.builder.load(self._root, typ=self.pointer))
        self._free()
        self.builder.ret(self.null)
        self.builder.position_at_end(no_memory)
        self.builder.ret(self.python("PyErr_NoMemory", self.pointer))

    def _free(self) -> None:
        is_small = self.equal(self._memory, self._stack)
        self.python("PyMem_RawFree", None, self.builder.select(is_small, self.null, self._memory))

    def _get(self, word: ProgramWord) -> Any:
        return self.load(self._words, 8 * word, self.word)

    def _address(self, word: ProgramWord) -> Any:
        return self.load(self._words, 8 * word)

    def _field(self, table: Any, row: Any, width: int, field: int) -> Any:
        """Return a number of a row of a table."""
        index = self.builder.add(self.builder.mul(row, self.word(width)), self.word(field))
        place = self.builder.gep(table, [index], source_etype=self.int)
        return self.builder.zext(self.builder.load(place, typ=self.int), self.word)

    def _at(self, base: Any, index: Any) -> Any:
        """Return the address of an item of eight bytes: a slot, a word or a pointer."""
        return self.builder.gep(base, [index], source_etype=self.word)

    @contextmanager
    def _function(self, name: str, result: Any, *arguments: Any) -> Iterator[Any]:
        """Write a function inside, which is given what this function keeps; yield it and its other
        arguments."""
        before = (
            self.builder, self.scalars, self._own, self._slow, self._failed, self._root
        )  # fmt: skip
        self._own, *given = self.begin(name, result, self.pointer, *arguments)
        function = self.builder.function
        self.scalars = LLVMScalarBuilder(self.builder)
        self._slow, self._failed = self.blocks("slow", "failed")
        yield function, given
        self.builder, self.scalars, self._own, self._slow, self._failed, self._root = before

    def _choose(self, number: Any, functions: Sequence[Any], *arguments: Any) -> Any:
        """Call the function with this number, and return its result."""
        if len(functions) == 1:
            return self.builder.call(functions[0], [self._own, *arguments])
        *cases, last = self.blocks(*[f"case_{k}" for k in range(len(functions))])
        (done,) = self.blocks("chosen")
        switch = self.builder.switch(number, last)
        for k, case in enumerate(cases):
            switch.add_case(self.word(k), case)
        ways = []
        for block, function in zip((*cases, last), functions, strict=True):
            self.builder.position_at_end(block)
            ways.append((self.builder.call(function, [self._own, *arguments]), block))
            self.builder.branch(done)
        return self.joined(done, ways)

    # Arguments

    def _read_all(self, arguments: Any, unusual: Any) -> None:
        """Set up the memory of the call, with the values of all arguments."""
        image = self._address(ProgramWord.IMAGE)
        with self.each(self._get(ProgramWord.IMAGE_SLOTS)) as index:
            content = self.builder.load(self._at(image, index), typ=self.word)
            self.builder.store(content, self._at(self._memory, index))
        if not self._kind.read:
            return
        functions = [self._reader(dtype) for dtype in self._kind.read]
        table = self._address(ProgramWord.READ)
        with self.each(self._get(ProgramWord.ARGUMENTS)) as index:
            argument = self.builder.load(self._at(arguments, index), typ=self.pointer)
            slot = self._at(self._memory, self._field(table, index, 2, 1))
            number = self._field(table, index, 2, 0)
            self.go_unless(self._choose(number, functions, argument, slot), unusual)

    def _reader(self, dtype: np.dtype[Any]) -> Any:
        """Return a function that reads an argument into a slot, and returns whether it could."""
        flag = self._ir.IntType(1)
        with self._function(f"read_{dtype}", flag, self.pointer, self.pointer) as (function, given):
            argument, slot = given
            self.put_number(self._read(argument, dtype), slot)
            self.builder.ret(flag(1))
            for block in (self._slow, self._failed):
                self.builder.position_at_end(block)
                self.builder.ret(flag(0))
        return function

    # The call

    def _run(self) -> None:
        """Run the program, without Python's lock where it takes long."""
        code, table = self._address(ProgramWord.CODE), self._address(ProgramWord.TABLE)
        index = self.builder.zext(self.builder.load(code, typ=self.int), self.word)
        signature = self._ir.FunctionType(self.int, [self.pointer] * 3)
        first = self.builder.load(self._at(table, index), typ=signature.as_pointer())
        given = [code, self._memory, table]
        alone, together, done = self.blocks("alone", "together", "ran")
        is_long = self.builder.icmp_signed("!=", self._get(ProgramWord.IS_LONG), self.word(0))
        self.builder.cbranch(is_long, alone, together)
        self.builder.position_at_end(alone)
        thread = self.python("PyEval_SaveThread", self.pointer)
        ways = [(self.builder.call(first, given), alone)]
        self.python("PyEval_RestoreThread", None, thread)
        self.builder.branch(done)
        self.builder.position_at_end(together)
        ways.append((self.builder.call(first, given), together))
        self.builder.branch(done)
        status = self.joined(done, ways)
        self.go_unless(self.equal(status, self.int(0)), self._failed)

    # Results

    def _maker(self, dtype: np.dtype[Any]) -> Any:
        """Return a function that makes an object of the number in a slot, or returns null."""
        with self._function(f"make_{dtype}", self.pointer, self.pointer, self.word) as given:
            function, (memory, slot) = given
            self.builder.ret(self._new_number(self.number_at(self._at(memory, slot), dtype)))
            self._return_null()
        return function

    def _renewer(self, dtype: np.dtype[Any]) -> Any:
        """Return a function that gives an object the number in a slot, or makes a new one."""
        types = self.pointer, self.pointer, self.pointer, self.word
        with self._function(f"renew_{dtype}", *types) as (function, (old, memory, slot)):
            self.builder.ret(self._number_from(old, self.number_at(self._at(memory, slot), dtype)))
            self._return_null()
        return function

    def _container_makers(self) -> Iterator[Any]:
        """Yield functions that make a list, a tuple or a dict of some length."""
        for name in ("PyList_New", "PyTuple_New", "PyDict_New"):
            with self._function(f"make_{name}", self.pointer, self.pointer, self.word) as given:
                function, (_, length) = given
                arguments = () if name == "PyDict_New" else (length,)
                self.builder.ret(self.python(name, self.pointer, *arguments))
                self._return_null()
            yield function

    def _return_null(self) -> None:
        for block in (self._slow, self._failed):
            self.builder.position_at_end(block)
            self.builder.ret(self.null)

    def _placers(self) -> Iterator[Any]:
        """Yield functions that place an object into another, and return whether they could."""
        flag = self._ir.IntType(1)
        for into in Into:
            types = flag, self.pointer, self.word, self.pointer
            with self._function(f"into_{into.name}", *types) as (function, (owner, key, made)):
                if into is Into.DICT:
                    found = self.item(self._object(Keys), key)
                    status = self.python("PyDict_SetItem", self.int, owner, found, made)
                    self.release(made)
                    self.builder.ret(self.equal(status, self.int(0)))
                else:
                    if into is not Into.ROOT:
                        self.builder.store(made, self.slot(owner, key, into is Into.LIST))
                    self.builder.ret(flag(1))
                for block in (self._slow, self._failed):
                    self.builder.position_at_end(block)
                    self.builder.unreachable()
            yield function

    def _made(self, row: Any, field: MadeWord) -> Any:
        return self._field(self._address(ProgramWord.MADE), row, len(MadeWord), field)

    def _make_all(self) -> Any:
        """Return a new object with all results."""
        begin = self._get(ProgramWord.OBJECTS)
        objects = self.builder.gep(self._memory, [begin], source_etype=self.byte)
        makers = [*map(self._maker, self._kind.made), *self._container_makers()]
        placers = list(self._placers())
        with self.each(self._get(ProgramWord.RESULTS)) as row:
            kind, content, into, owner, key = (self._made(row, field) for field in MadeWord)
            made = self._checked(self._choose(kind, makers, self._memory, content))
            with self.builder.if_then(self.equal(into, self.word(Into.ROOT))):
                self._set_root(made)
            self.builder.store(made, self._at(objects, row))
            holder = self.builder.load(self._at(objects, owner), typ=self.pointer)
            self.go_unless(self._choose(into, placers, holder, key, made), self._failed)
        return self.builder.load(self._root, typ=self.pointer)

    # Results that are used again

    def _renew(self, old: Any, row: Any, renewers: Sequence[Any]) -> Any:
        kind, content = self._made(row, MadeWord.KIND), self._made(row, MadeWord.CONTENT)
        return self._checked(self._choose(kind, renewers, old, self._memory, content))

    def _from_held(self, old: Any) -> Any:
        """Return a result with new contents if it is alone, or a new one."""
        renewers = [*map(self._renewer, self._kind.made)]
        if self._kind.recycled is type(None):
            return self._renew(old, self.word(0), renewers)
        return self._sequence_of(old, self._kind.recycled is list, renewers)

    def _sequence_of(self, old: Any, is_list: bool, renewers: Sequence[Any]) -> Any:
        """Return a list or a tuple of numbers with new contents if it is alone, or a new one."""
        fresh, done = self.blocks("fresh", "done")
        self.go_unless(self.is_alone(old), fresh)
        count = self.builder.sub(self._get(ProgramWord.RESULTS), self.word(1))
        self.go_unless(self.equal(self.length_of(old), count), fresh)
        with self.each(count) as index:  # others may run something when they are released
            kind = self.type_of(self.item(old, index, is_list))
            self.go_unless(self.equal(kind, self._expected_type(index)), fresh)
        with self.each(count) as index:
            slot = self.slot(old, index, is_list)
            before = self.builder.load(slot, typ=self.pointer)
            made = self._renew(before, self.builder.add(index, self.word(1)), renewers)
            self.builder.store(made, slot)
            self._release_unless(self.equal(made, before), before)
        ways = [(old, self.builder.block)]
        self.builder.branch(done)
        self.builder.position_at_end(fresh)
        new = self._make_all()
        ways.append((new, self.builder.block))
        self.builder.branch(done)
        return self.joined(done, ways)

    def _expected_type(self, index: Any) -> Any:
        """Return the type of a result."""
        first, *others = [self._object(dtype.type) for dtype in self._kind.made]
        row = self.builder.add(index, self.word(1))
        kind = self._made(row, MadeWord.KIND)
        for number, other in enumerate(others, 1):
            first = self.builder.select(self.equal(kind, self.word(number)), other, first)
        return first
