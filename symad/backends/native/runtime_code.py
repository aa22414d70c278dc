"""The machine code that runs programs; see :mod:`symad.backends.native.runtime`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

from symad.backends.native.word_writer import WordWriter
from symad.backends.native.words import (
    ArgumentWord,
    CallFlag,
    CallWord,
    ConventionWord,
    ResultKind,
    ResultWord,
    StackWord,
    StepKind,
    StepWord,
    TableWord,
)

_PLACE = 2
"""The words about a place that an address is to be written to: its address, what to add."""


class RuntimeWriter(WordWriter):
    """Writes the module."""

    def finish(self) -> Any:
        """Return the finished module."""
        self._write_run()
        self._write_address_of()
        self._write_fill_in()
        self._write_make()
        self._write_box()
        self._write_release()
        self._write_drop()
        self._write_join()
        self._write_collect()
        self._write_enter()
        return self.module

    # Calls

    def _write_run(self) -> None:
        """Call the calls; without Python's lock where they take long."""
        calls, count = self._begin("run", self.word, self.pointer, self.word, is_exported=True)
        builder = self.builder
        saved = builder.alloca(self.pointer)
        builder.store(self.null, saved)
        with self.each(count) as index:
            call = self._record(calls, index, CallWord.END)
            flags = self._get(call, CallWord.FLAGS)
            with builder.if_then(self._has(flags, CallFlag.LEAVE), likely=False):
                builder.store(self.python("PyEval_SaveThread", self.pointer), saved)
            code = builder.inttoptr(self._get(call, CallWord.CODE), self._kernel_type())
            status = builder.call(code, [self._get_pointer(call, CallWord.WORDS)])
            failed = builder.icmp_signed("!=", status, self.word(0))
            ends = builder.or_(failed, self._has(flags, CallFlag.RETURN))
            thread = builder.load(saved, typ=self.pointer)
            left = builder.not_(self.is_null(thread))
            with builder.if_then(builder.and_(ends, left), likely=False):
                self.python("PyEval_RestoreThread", None, thread)
                builder.store(self.null, saved)
            has_raised = builder.icmp_signed("<", status, self.word(0))
            number = builder.add(index, self.word(1))
            self.return_if(failed, builder.select(has_raised, status, number))
            with builder.if_then(self._has(flags, CallFlag.RETURN), likely=False):
                raised = self.python("PyErr_CheckSignals", self.int)
                self.return_if(builder.icmp_signed("!=", raised, self.int(0)), self.word(-1))
        builder.ret(self.word(0))

    def _has(self, flags: Any, flag: int) -> Any:
        chosen = self.builder.and_(flags, self.word(flag))
        return self.builder.icmp_signed("!=", chosen, self.word(0))

    # Arguments

    def _write_address_of(self) -> None:
        """Return where the numbers of an argument stand, or null if it is not as expected."""
        head, record, value = self._begin("address_of", *[self.pointer] * 4)
        builder, type_ = self.builder, self.type_of(value)
        is_array = self.equal(type_, self._get_pointer(head, TableWord.ARRAY_TYPE))
        with builder.if_then(is_array, likely=True):
            signature, ndim = (
                self._get(record, ArgumentWord.SIGNATURE),
                self._get(record, ArgumentWord.NDIM),
            )
            in_order = self.is_in_order(value, signature, ndim)
            self.return_if(builder.not_(in_order), self.null)
            with self.each(ndim) as axis:
                given = self._load_word(self.sizes_of(value), axis)
                expected = self._load_word(self._get_pointer(record, ArgumentWord.SIZES), axis)
                with builder.if_then(builder.icmp_signed("!=", given, expected), likely=False):
                    is_known = builder.icmp_signed(">=", expected, self.word(0))
                    self.return_if(is_known, self.null)
                    self._set(record, ArgumentWord.ROWS, given)
            builder.ret(self.data_of(value))
        for kind in (ArgumentWord.SCALAR_TYPE, ArgumentWord.PYTHON_TYPE):
            with builder.if_then(self.equal(type_, self._get_pointer(record, kind))):
                builder.ret(self.content(value))
        builder.ret(self.null)

    def _write_fill_in(self) -> None:
        """Write an address, with what each place adds to it, to all places of a record."""
        places, count, address = self._begin("fill_in", None, self.pointer, self.word, self.word)
        with self.each(count) as index:
            place = self._record(places, index, _PLACE)
            moved = self.builder.add(address, self._get(place, 1))
            self._set(self._get_pointer(place, 0), 0, moved)
        self.builder.ret_void()

    # Results

    def _write_make(self) -> None:
        """Return an array for a result, the one given or a new one; null where that failed."""
        head, record, given = self._begin("make", *[self.pointer] * 4)
        builder = self.builder
        with builder.if_then(
            builder.not_(self.equal(given, self._get_pointer(head, TableWord.NONE)))
        ):
            self.hold(given)
            builder.ret(given)
        is_called = self.equal(self._get(record, ResultWord.KIND), self.word(ResultKind.CALLED))
        with builder.if_then(is_called, likely=False):
            maker = self._get_pointer(record, ResultWord.MAKER)
            builder.ret(self.python("PyObject_CallNoArgs", self.pointer, maker))
        builder.ret(self._new_array(head, record))

    def _new_array(self, head: Any, record: Any) -> Any:
        """Return a new array of the sizes in a record, or null."""
        type_ = self._get_pointer(head, TableWord.ARRAY_TYPE)
        sizes = self._get_pointer(record, ResultWord.SIZES)
        words = ResultWord.NDIM, ResultWord.TYPE_NUMBER
        ndim, number = (self._get(record, word) for word in words)
        return self.new_array(type_, ndim, sizes, number)

    def _write_box(self) -> None:
        """Return a new array or NumPy scalar with what the calls have left; or null."""
        head, record = self._begin("box", *[self.pointer] * 3)
        builder, content = self.builder, self._get_pointer(record, ResultWord.CONTENT)
        is_stack = self.equal(self._get(record, ResultWord.KIND), self.word(ResultKind.STACK))
        with builder.if_then(is_stack, likely=False):
            builder.ret(self._copied_stack(head, record, content))
        is_boolean = self.equal(self._get(record, ResultWord.KIND), self.word(ResultKind.BOOLEAN))
        with builder.if_then(is_boolean):
            byte = builder.load(content, typ=self.byte)
            pair = (self._get_pointer(head, word) for word in (TableWord.FALSE, TableWord.TRUE))
            made = builder.select(self.equal(byte, byte.type(0)), *pair)
            self.hold(made)
            builder.ret(made)
        made = self.new_scalar(self._get_pointer(record, ResultWord.MAKER))
        self.return_if(self.is_null(made), made)
        with self.each(self._get(record, ResultWord.ITEM_SIZE)) as index:
            source, target = (
                builder.gep(base, [index], source_etype=self.byte)
                for base in (content, self.content(made))
            )
            builder.store(builder.load(source, typ=self.byte), target)
        builder.ret(made)

    def _copied_stack(self, head: Any, record: Any, stack: Any) -> Any:
        """Return a new array with the rows of a stack, or null."""
        builder, rows = self.builder, self._get(stack, StackWord.ROWS)
        self._set(self._get_pointer(record, ResultWord.SIZES), 0, rows)
        made = self._new_array(head, record)
        self.return_if(self.is_null(made), made)
        count = builder.mul(rows, self._get(record, ResultWord.ITEM_SIZE))
        source = self._get_pointer(stack, StackWord.ADDRESS)
        types = [self.pointer, self.pointer, self.word, self._ir.IntType(1)]
        signature = self._ir.FunctionType(self._ir.VoidType(), types)
        copy = self._ir.Function(self.module, signature, "llvm.memcpy.p0.p0.i64")
        builder.call(copy, [self.data_of(made), source, count, types[3](0)])
        return made

    def _write_release(self) -> None:
        """Give up all results that were made, and the table; return null."""
        (head,) = self._begin("release", *[self.pointer] * 2)
        with self.each(self._get(head, TableWord.OUTPUT_COUNT)) as index:
            record = self._record(
                self._get_pointer(head, TableWord.OUTPUTS), index, ResultWord.END
            )
            made = self._get_pointer(record, ResultWord.MADE)
            with self.builder.if_then(self.builder.not_(self.is_null(made))):
                self.release(made)
            self._set(record, ResultWord.MADE, self.null)
        self._lock(head, 0)
        self.builder.ret(self.null)

    def _write_collect(self) -> None:
        """Return the results in their structure, or null if that fails; unlock the table."""
        head, convention = self._begin("collect", *[self.pointer] * 3)
        builder, stack = self.builder, self._get_pointer(convention, ConventionWord.STACK)
        height, taken = (builder.alloca(self.word) for _ in range(2))
        for counter in (height, taken):
            builder.store(self.word(0), counter)
        steps = self._get_pointer(convention, ConventionWord.STEPS)
        with self.each(self._get(convention, ConventionWord.STEP_COUNT)) as index:
            step = self._record(steps, index, StepWord.END)
            count, top = self._get(step, StepWord.COUNT), builder.load(height, typ=self.word)
            is_push = self.equal(self._get(step, StepWord.KIND), self.word(StepKind.PUSH))
            with builder.if_else(is_push, likely=True) as (push, join):
                with push:
                    self._push(head, count, taken, self._word_at(stack, top))
                    builder.store(builder.add(top, count), height)
                with join:
                    base = builder.sub(top, count)
                    made = self._call("join", step, self._word_at(stack, base))
                    builder.store(base, height)
                    with builder.if_then(self.is_null(made), likely=False):
                        self._call("drop", stack, base)
                        builder.ret(self._call("release", head))
                    builder.store(made, self._word_at(stack, base))
                    builder.store(builder.add(base, self.word(1)), height)
        result = self._get_pointer(stack, 0)
        self._lock(head, 0)
        builder.ret(result)

    def _push(self, head: Any, count: Any, taken: Any, place: Any) -> None:
        """Move the next results to a place; ``taken`` is where their number is counted."""
        builder, outputs = self.builder, self._get_pointer(head, TableWord.OUTPUTS)
        first = builder.load(taken, typ=self.word)
        with self.each(count) as index:
            record = self._record(outputs, builder.add(first, index), ResultWord.END)
            builder.store(self._take(record), self._word_at(place, index))
        builder.store(builder.add(first, count), taken)

    def _write_drop(self) -> None:
        """Give up some objects."""
        items, count = self._begin("drop", None, self.pointer, self.word)
        with self.each(count) as index:
            self.release(self._load_word(items, index, self.pointer))
        self.builder.ret_void()

    def _write_join(self) -> None:
        """Return a container of some objects, which are handed over; null if that fails."""
        step, items = self._begin("join", *[self.pointer] * 3)
        builder = self.builder
        kind, count = self._get(step, StepWord.KIND), self._get(step, StepWord.COUNT)
        other = self._get_pointer(step, StepWord.OBJECT)
        for wanted, name in ((StepKind.LIST, "PyList"), (StepKind.TUPLE, "PyTuple")):
            with builder.if_then(self.equal(kind, self.word(wanted))):
                made = self.python(f"{name}_New", self.pointer, count)
                self._drop_if(self.is_null(made), items, count)
                with self.each(count) as index:
                    item = self._load_word(items, index, self.pointer)
                    self.python(f"{name}_SetItem", self.int, made, index, item)
                builder.ret(made)
        with builder.if_then(self.equal(kind, self.word(StepKind.CALL))):
            call = "PyObject_Vectorcall"
            made = self.python(call, self.pointer, other, items, count, self.null)
            self._call("drop", items, count)
            builder.ret(made)
        self._write_dict(other, items, count)

    def _write_dict(self, keys: Any, items: Any, count: Any) -> None:
        made = self.python("PyDict_New", self.pointer)
        self._drop_if(self.is_null(made), items, count)
        with self.each(count) as index:
            key = self._load_word(self.items_of(keys), index, self.pointer)
            item = self._load_word(items, index, self.pointer)
            status = self.python("PyDict_SetItem", self.int, made, key, item)
            failed = self.builder.icmp_signed("!=", status, self.int(0))
            with self.builder.if_then(failed, likely=False):
                self.release(made)
                self._call("drop", items, count)
                self.builder.ret(self.null)
        self._call("drop", items, count)
        self.builder.ret(made)

    def _drop_if(self, failed: Any, items: Any, count: Any) -> None:
        with self.builder.if_then(failed, likely=False):
            self._call("drop", items, count)
            self.builder.ret(self.null)

    def _take(self, record: Any) -> Any:
        made = self._get_pointer(record, ResultWord.MADE)
        self._set(record, ResultWord.MADE, self.null)
        return made

    # The call

    def _write_enter(self) -> None:
        pointer, word = self.pointer, self.word
        own, values, count, names = self.begin_builtin("enter")
        builder = self.builder
        head, convention = (self.data_of(self.item(own, index)) for index in (0, 1))
        slow, fails = self.blocks("slow", "fails")
        self.go_unless(self._is_plain_call(head, convention, count, names), slow)
        inputs = self._get(head, TableWord.INPUT_COUNT)
        with self.each(inputs) as index:
            record = self._record(
                self._get_pointer(head, TableWord.INPUTS), index, ArgumentWord.END
            )
            value = builder.inttoptr(self._load_word(values, index), pointer)
            address = self._call("address_of", head, record, value)
            self.go_unless(builder.not_(self.is_null(address)), slow)
            self._fill_in(record, ArgumentWord.PLACES, ArgumentWord.PLACE_COUNT, address)
        self._lock(head, 1)
        targets = builder.gep(values, [inputs], source_etype=word)
        has_targets = builder.icmp_signed(">", count, inputs)
        with self._outputs(head, ResultKind.ARRAY, ResultKind.CALLED) as (index, record):
            given = self._target(head, has_targets, targets, index)
            made = self._call("make", head, record, given)
            self._set(record, ResultWord.MADE, made)
            self.go_unless(builder.not_(self.is_null(made)), fails)
            data = self.data_of(made)
            self._fill_in(record, ResultWord.PLACES, ResultWord.PLACE_COUNT, data)
        calls = self._get_pointer(head, TableWord.CALLS)
        status = self._call("run", calls, self._get(head, TableWord.CALL_COUNT))
        self.go_unless(builder.icmp_signed(">=", status, self.word(0)), fails)
        with builder.if_then(builder.icmp_signed(">", status, self.word(0)), likely=False):
            self._set(head, TableWord.FAILED, status)
            self._call("release", head)
            builder.branch(slow)
        self._finish_enter(head, convention, fails)
        self._write_exits(head, convention, slow, fails, values, count, names)

    def _is_plain_call(self, head: Any, convention: Any, count: Any, names: Any) -> Any:
        """Return whether the table is free and there are as many arguments as inputs."""
        builder, inputs = self.builder, self._get(head, TableWord.INPUT_COUNT)
        targets = self._get(convention, ConventionWord.TARGET_COUNT)
        with_targets = self.equal(count, builder.add(inputs, targets))
        right_count = builder.or_(self.equal(count, inputs), with_targets)
        lock = self._get(self._get_pointer(head, TableWord.LOCK), 0)
        is_free = self.equal(lock, self.word(0))
        return builder.and_(builder.and_(right_count, is_free), self.is_null(names))

    def _target(self, head: Any, has_targets: Any, targets: Any, index: Any) -> Any:
        """Return the array that was given for a result, or ``None``."""
        builder = self.builder
        none = builder.gep(head, [self.word(TableWord.NONE)], source_etype=self.word)
        place = builder.gep(targets, [index], source_etype=self.word)
        return builder.load(builder.select(has_targets, place, none), typ=self.pointer)

    def _lock(self, head: Any, state: int) -> None:
        self._set(self._get_pointer(head, TableWord.LOCK), 0, self.word(state))

    def _fill_in(self, record: Any, places: int, count: int, address: Any) -> None:
        number = self.builder.ptrtoint(address, self.word)
        self._call("fill_in", self._get_pointer(record, places), self._get(record, count), number)

    @contextmanager
    def _outputs(self, head: Any, *kinds: int) -> Iterator[tuple[Any, Any]]:
        """Repeat what is written inside for each result of some kinds: its number and record."""
        builder = self.builder
        with self.each(self._get(head, TableWord.OUTPUT_COUNT)) as index:
            record = self._record(
                self._get_pointer(head, TableWord.OUTPUTS), index, ResultWord.END
            )
            kind = self._get(record, ResultWord.KIND)
            is_one = reduce(builder.or_, [self.equal(kind, self.word(each)) for each in kinds])
            with builder.if_then(is_one):
                yield index, record

    def _finish_enter(self, head: Any, convention: Any, fails: Any) -> None:
        """Make the scalars and stacks, and return everything."""
        late = ResultKind.SCALAR, ResultKind.BOOLEAN, ResultKind.STACK
        with self._outputs(head, *late) as (_, record):
            made = self._call("box", head, record)
            self._set(record, ResultWord.MADE, made)
            self.go_unless(self.builder.not_(self.is_null(made)), fails)
        self.builder.ret(self._call("collect", head, convention))

    def _write_exits(self, head: Any, convention: Any, slow: Any, fails: Any, *given: Any) -> None:
        builder = self.builder
        builder.position_at_end(slow)
        fallback = self._get_pointer(convention, ConventionWord.FALLBACK)
        builder.ret(self.python("PyObject_Vectorcall", self.pointer, fallback, *given))
        builder.position_at_end(fails)
        self._call("release", head)
        wanted = self._get_pointer(head, TableWord.NO_MEMORY)
        is_memory = self.python("PyErr_ExceptionMatches", self.int, wanted)
        with builder.if_then(builder.icmp_signed("!=", is_memory, self.int(0))):
            self.python("PyErr_Clear", None)
            builder.branch(slow)
        builder.ret(self.null)
