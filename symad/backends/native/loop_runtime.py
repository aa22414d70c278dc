"""What runs loops and branches: machine code that is the same for all programs.

A loop is a call of one of these functions with the address of a record of words.  The arguments of
the kernels in a body are words too; *cursors* move those that differ from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from symad.backends.native.jit import Effort, stored_module
from symad.backends.native.object_writer import ObjectWriter
from symad.backends.native.words import (
    BRANCH_SIZE,
    BranchWord,
    CallWord,
    CursorWord,
    LoopWord,
    StackWord,
    UseWord,
)


class LoopRuntime:
    """The machine code, loaded."""

    def __init__(self) -> None:
        written = lambda: (_LoopWriter().finish(), ())  # noqa: E731
        self.module = stored_module("loops", written, "loops", Effort.QUICK)
        names = "counted", "conditional", "branch", "guarded", "called"
        self.counted, self.conditional, self.branch, self.guarded, self.called = map(
            self.module.address, names
        )


@cache
def loop_runtime() -> LoopRuntime:
    """Return the machine code."""
    return LoopRuntime()


class _LoopWriter(ObjectWriter):
    """Writes the module.  All functions return 0, 1 for a failure, -1 for a raised exception."""

    def __init__(self) -> None:
        from symad.backends.native import ir

        super().__init__(ir.Module("loops"))
        self._kernel = ir.FunctionType(self.word, [self.pointer]).as_pointer()
        self._functions: dict[str, Any] = {}

    def finish(self) -> Any:
        """Return the finished module."""
        self._write_run()
        self._write_poll()
        self._write_grow()
        self._write_loop("counted", self._goes_on_to_count)
        self._write_loop("conditional", self._goes_on_while_true)
        self._write_branch()
        self._write_guarded()
        self._write_called()
        return self.module

    def _begin(self, name: str, *arguments: Any, is_exported: bool = False) -> Any:
        given = self.begin(name, self.word, *arguments, is_exported=is_exported)
        self._functions[name] = self.builder.function
        return given

    def _get(self, base: Any, index: int, type_: Any = None) -> Any:
        return self.load(base, 8 * index, type_ or self.word)

    def _record(self, records: Any, index: Any, words: int) -> Any:
        offset = self.builder.mul(index, self.word(words))
        return self.builder.gep(records, [offset], source_etype=self.word)

    def _write_run(self) -> None:
        """Call the calls one after another."""
        calls, count = self._begin("run", self.pointer, self.word)
        builder, zero = self.builder, self.word(0)
        with self.each(count) as index:
            call = self._record(calls, index, CallWord.END)
            code = builder.inttoptr(self._get(call, CallWord.CODE), self._kernel)
            status = builder.call(code, [self._get(call, CallWord.WORDS, self.pointer)])
            sign = builder.select(
                builder.icmp_signed("<", status, zero), self.word(-1), self.word(1)
            )
            self.return_if(builder.icmp_signed("!=", status, zero), sign)
        builder.ret(zero)

    def _run(self, record: Any, first: int, step: Any = None) -> None:
        """Run the calls that two words are about; return from the function if one fails.

        If it does, the number of steps that were done before is left in the record.
        """
        arguments = [self._get(record, first, self.pointer), self._get(record, first + 1)]
        status = self.builder.call(self._functions["run"], arguments)
        failed = self.builder.icmp_signed("!=", status, self.word(0))
        self._fail_if(failed, status, record, step)

    def _fail_if(self, failed: Any, status: Any, record: Any, step: Any) -> None:
        with self.builder.if_then(failed, likely=False):
            if step is not None:
                self.store(step, record, 8 * LoopWord.FAILED)
            self.builder.ret(status)

    def _write_poll(self) -> None:
        """Look for signals, whether or not this thread has Python's lock."""
        self._begin("poll")
        state = self.python("PyGILState_Ensure", self.int)
        raised = self.python("PyErr_CheckSignals", self.int)
        self.python("PyGILState_Release", None, state)
        is_raised = self.builder.icmp_signed("!=", raised, self.int(0))
        self.builder.ret(self.builder.select(is_raised, self.word(-1), self.word(0)))

    # Loops

    def _write_loop(self, name: str, goes_on: Any) -> None:
        (record,) = self._begin(name, self.pointer, is_exported=True)
        builder, one = self.builder, self.word(1)
        step, left = builder.alloca(self.word), builder.alloca(self.word)
        builder.store(self.word(0), step)
        builder.store(self._get(record, LoopWord.POLLED), left)
        self.store(self.word(-1), record, 8 * LoopWord.FAILED)
        self._reset(record, name == "counted")
        head, body, done = self.blocks("head", "body", "done")
        builder.branch(head)
        builder.position_at_end(head)
        current = builder.load(step, typ=self.word)
        builder.cbranch(goes_on(record, current), body, done)
        builder.position_at_end(body)
        if name == "conditional":
            steps = builder.add(current, one)
            self._make_room(record, steps, builder.mul(steps, self.word(2)))
        self._run(record, LoopWord.BODY, current)
        self._move(record, current)
        builder.store(builder.add(current, one), step)
        remaining = builder.sub(builder.load(left, typ=self.word), one)
        builder.store(remaining, left)
        with builder.if_then(self.equal(remaining, self.word(0)), likely=False):
            builder.store(self._get(record, LoopWord.POLLED), left)
            status = builder.call(self._functions["poll"], [])
            self.return_if(builder.icmp_signed("!=", status, self.word(0)), status)
        builder.branch(head)
        builder.position_at_end(done)
        if name == "conditional":
            self.store(current, self._get(record, LoopWord.COUNT, self.pointer), 0)
        with self._each_use(record) as use:
            stack = self._get(use, UseWord.STACK, self.pointer)
            self.store(current, stack, 8 * StackWord.ROWS)
        self._run(record, LoopWord.FINISH)
        builder.ret(self.word(0))

    def _goes_on_to_count(self, record: Any, step: Any) -> Any:
        """Return whether steps are left; a negative number of them is a failure."""
        count = self.load(self._get(record, LoopWord.COUNT, self.pointer), 0, self.word)
        self.return_if(self.builder.icmp_signed("<", count, self.word(0)), self.word(1))
        return self.builder.icmp_signed("<", step, count)

    def _goes_on_while_true(self, record: Any, step: Any) -> Any:
        """Run the condition, and return whether it holds; too many steps are a failure."""
        self._run(record, LoopWord.CONDITION, step)
        builder = self.builder
        flag = self.load(self._get(record, LoopWord.FLAG, self.pointer), 0, self.byte)
        holds = builder.icmp_unsigned("!=", flag, self.byte(0))
        is_last = self.equal(step, self._get(record, LoopWord.LIMIT))
        self._fail_if(builder.and_(holds, is_last), self.word(1), record, step)
        return holds

    def _reset(self, record: Any, is_counted: bool) -> None:
        """Make room for all steps, if they are known, and let cursors be where they begin."""
        builder, last = self.builder, self.word(0)
        if is_counted:
            count = self.load(self._get(record, LoopWord.COUNT, self.pointer), 0, self.word)
            self._require_rows(record, count)
            self._make_room(record, count, count)
            last = builder.sub(count, self.word(1))
        with self._each_cursor(record) as cursor:
            steps = builder.mul(last, self._get(cursor, CursorWord.FROM_END))
            back = builder.mul(steps, self._get(cursor, CursorWord.STEP))
            self._set_cursor(cursor, builder.neg(back))

    def _require_rows(self, record: Any, count: Any) -> None:
        """Return a failure if a stack has another number of rows than there are steps."""
        with self.each(self._get(record, LoopWord.ROW_COUNT)) as index:
            places = self._get(record, LoopWord.ROWS, self.pointer)
            place = self._get(self._record(places, index, 1), 0, self.pointer)
            differs = self.builder.icmp_signed("!=", self._get(place, 0), count)
            self.return_if(differs, self.word(1))

    def _set_cursor(self, cursor: Any, moved: Any) -> None:
        """Let a cursor be so many bytes after its base and offset."""
        base = self.load(self._get(cursor, CursorWord.BASE, self.pointer), 0, self.word)
        begin = self.builder.add(base, self._get(cursor, CursorWord.OFFSET))
        place = self._get(cursor, CursorWord.PLACE, self.pointer)
        self.store(self.builder.add(begin, moved), place, 0)

    def _make_room(self, record: Any, steps: Any, room: Any) -> None:
        """Enlarge memory to ``room`` steps if there is none for ``steps``; return on failure."""
        builder = self.builder
        is_full = builder.icmp_signed(">", steps, self._get(record, LoopWord.ROOM))
        with builder.if_then(is_full, likely=False):
            status = builder.call(self._functions["grow"], [record, steps, room])
            self.return_if(builder.icmp_signed("!=", status, self.word(0)), status)

    def _write_grow(self) -> None:
        """Enlarge memory; cursors are moved to where they are before the last of the steps."""
        record, steps, room = self._begin("grow", self.pointer, self.word, self.word)
        builder, one = self.builder, self.word(1)
        with self._each_use(record) as use:
            stack = self._get(use, UseWord.STACK, self.pointer)
            wanted = builder.mul(room, self._get(use, UseWord.ROW))
            has_less = builder.icmp_signed("<", self._get(stack, StackWord.BYTES), wanted)
            with builder.if_then(has_less):
                old = self._get(stack, StackWord.ADDRESS, self.pointer)
                new = self.python("PyMem_RawRealloc", self.pointer, old, wanted)
                self.return_if(self.is_null(new), one)
                self.store(new, stack, 8 * StackWord.ADDRESS)
                self.store(wanted, stack, 8 * StackWord.BYTES)
        self.store(room, record, 8 * LoopWord.ROOM)
        done = builder.sub(steps, one)
        with self._each_cursor(record) as cursor:
            alternates = self._get(cursor, CursorWord.ALTERNATES)
            with builder.if_then(self.equal(alternates, self.word(0))):
                by = self._get(cursor, CursorWord.STEP)
                self._set_cursor(cursor, builder.mul(done, by))
        builder.ret(self.word(0))

    def _move(self, record: Any, step: Any) -> None:
        """Move all cursors; those that alternate back if the step is odd."""
        builder = self.builder
        with self._each_cursor(record) as cursor:
            odd = builder.and_(step, self._get(cursor, CursorWord.ALTERNATES))
            by = self._get(cursor, CursorWord.STEP)
            is_back = builder.icmp_unsigned("!=", odd, self.word(0))
            moved = builder.select(is_back, builder.neg(by), by)
            place = self._get(cursor, CursorWord.PLACE, self.pointer)
            self.store(builder.add(self.load(place, 0, self.word), moved), place, 0)

    @contextmanager
    def _each_cursor(self, record: Any) -> Iterator[Any]:
        """Repeat what is written inside for each cursor."""
        with self.each(self._get(record, LoopWord.CURSOR_COUNT)) as index:
            cursors = self._get(record, LoopWord.CURSORS, self.pointer)
            yield self._record(cursors, index, CursorWord.END)

    @contextmanager
    def _each_use(self, record: Any) -> Iterator[Any]:
        """Repeat what is written inside for each use of memory that grows."""
        with self.each(self._get(record, LoopWord.STACK_COUNT)) as index:
            uses = self._get(record, LoopWord.STACKS, self.pointer)
            yield self._record(uses, index, UseWord.END)

    # Branches

    def _write_branch(self) -> None:
        """Run the calls of one branch; an index without one is a failure."""
        (record,) = self._begin("branch", self.pointer, is_exported=True)
        index = self.load(self._get(record, BranchWord.INDEX, self.pointer), 0, self.word)
        is_there = self.builder.icmp_unsigned("<", index, self._get(record, BranchWord.COUNT))
        self.return_if(self.builder.not_(is_there), self.word(1))
        branches = self._get(record, BranchWord.BRANCHES, self.pointer)
        self._run(self._record(branches, index, BRANCH_SIZE), 0)
        self.builder.ret(self.word(0))

    def _write_guarded(self) -> None:
        """Run the calls of the first of two branches; if they fail, those of the second."""
        (record,) = self._begin("guarded", self.pointer, is_exported=True)
        builder, zero = self.builder, self.word(0)
        branches = self._get(record, BranchWord.BRANCHES, self.pointer)
        arguments = [self._get(branches, 0, self.pointer), self._get(branches, 1)]
        status = builder.call(self._functions["run"], arguments)
        self.return_if(builder.icmp_signed("<=", status, zero), status)
        self._run(branches, BRANCH_SIZE)
        builder.ret(zero)

    # Python

    def _write_called(self) -> None:
        """Call the object at the first word with the address of the words; true is a failure."""
        (words,) = self._begin("called", self.pointer, is_exported=True)
        builder = self.builder
        state = self.python("PyGILState_Ensure", self.int)
        address = self.python("PyLong_FromVoidPtr", self.pointer, words)
        result = self.python("PyObject_CallOneArg", self.pointer, self._get(words, 0, self.pointer),
                             address)  # fmt: skip
        is_raised = self.is_null(result)
        none, made = self.blocks("none", "made")
        builder.cbranch(is_raised, none, made)
        builder.position_at_end(none)
        self.release(address)
        self.python("PyGILState_Release", None, state)
        builder.ret(self.word(-1))
        builder.position_at_end(made)
        failed = self.python("PyObject_IsTrue", self.int, result)
        self.release(address)
        self.release(result)
        self.python("PyGILState_Release", None, state)
        builder.ret(builder.sext(failed, self.word))
