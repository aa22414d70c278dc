"""The machine code of calls in parts, which threads share; few programs have any."""

from __future__ import annotations

from typing import Any

from symad.backends.native import jit
from symad.backends.native.word_writer import WordWriter
from symad.backends.native.words import PartsWord


class PartsWriter(WordWriter):
    """Writes the module."""

    def finish(self) -> Any:
        """Return the finished module."""
        self._write_do_parts()
        self._write_alone()
        self._write_shared()
        self._write_shared_in_body()
        return self.module

    def _change(self, how: str, call: Any, word: int, value: Any) -> Any:
        """Change a word that several threads share, and return what it was."""
        return self.builder.atomic_rmw(how, self.at(call, 8 * word), value, "seq_cst")

    def _write_do_parts(self) -> None:
        """Do parts until none is left that nobody has begun."""
        (call,) = self._begin("do_parts", None, self.pointer, is_exported=True)
        builder, one = self.builder, self.word(1)
        self._change("add", call, PartsWord.RUNNING, one)
        kernel = builder.inttoptr(self._get(call, PartsWord.CODE), self._kernel_type())
        take, do, done = self.blocks("take", "do", "done")
        builder.branch(take)
        builder.position_at_end(take)
        part = self._change("add", call, PartsWord.NEXT, one)
        is_left = builder.icmp_signed("<", part, self._get(call, PartsWord.COUNT))
        builder.cbranch(is_left, do, done)
        builder.position_at_end(do)
        offset = builder.mul(part, self._get(call, PartsWord.SIZE))
        words = self._get_pointer(call, PartsWord.WORDS)
        given = builder.gep(words, [offset], source_etype=self.word)
        self._change("or", call, PartsWord.FAILED, builder.call(kernel, [given]))
        builder.branch(take)
        builder.position_at_end(done)
        self._change("sub", call, PartsWord.RUNNING, one)
        builder.ret_void()

    def _open(self, call: Any) -> None:
        """Let all parts be to be done."""
        self._change("xchg", call, PartsWord.FAILED, self.word(0))
        self._change("xchg", call, PartsWord.NEXT, self.word(0))

    def _write_alone(self) -> None:
        """Do all parts in this thread, and return whether one has failed."""
        (call,) = self._begin("alone", self.word, self.pointer, is_exported=True)
        self._open(call)
        self._call("do_parts", call)
        self.builder.ret(self._get(call, PartsWord.FAILED))

    def _write_shared(self) -> None:
        """Do all parts with the help of other threads; return -1 where an exception was raised.

        Whatever happens, it waits until nobody is at a part: memory may be freed then.
        """
        (call,) = self._begin("shared", self.word, self.pointer, is_exported=True)
        builder, raised = self.builder, self.word(-1)
        self._open(call)
        number = self.python("PyLong_FromVoidPtr", self.pointer, call)
        self.return_if(self.is_null(number), raised)
        helpers = self._get_pointer(call, PartsWord.HELPERS)
        asked = self.python("PyObject_CallOneArg", self.pointer, helpers, number)
        self.release(number)
        self.release(asked)
        thread = self.python("PyEval_SaveThread", self.pointer)
        self._call("do_parts", call)
        self._change("xchg", call, PartsWord.NEXT, self._get(call, PartsWord.COUNT))
        wait, done = self.blocks("wait", "done")
        builder.branch(wait)
        builder.position_at_end(wait)
        running = self._change("add", call, PartsWord.RUNNING, self.word(0))
        with builder.if_then(builder.icmp_signed(">", running, self.word(0))):
            self._give_way()
            builder.branch(wait)
        builder.branch(done)
        builder.position_at_end(done)
        self.python("PyEval_RestoreThread", None, thread)
        self.return_if(self.is_null(asked), raised)
        signals = self.python("PyErr_CheckSignals", self.int)
        self.return_if(builder.icmp_signed("!=", signals, self.int(0)), raised)
        builder.ret(self._get(call, PartsWord.FAILED))

    def _write_shared_in_body(self) -> None:
        """Do the same in a loop, which may run without Python's lock."""
        (call,) = self._begin("shared_in_body", self.word, self.pointer, is_exported=True)
        state = self.python("PyGILState_Ensure", self.int)
        status = self._call("shared", call)
        self.python("PyGILState_Release", None, state)
        self.builder.ret(status)

    def _give_way(self) -> None:
        """Let the system run another thread."""
        for name in ("sched_yield", "SwitchToThread"):
            if jit.has_symbol(name):
                signature = self._ir.FunctionType(self.int, [])
                self.builder.call(self._ir.Function(self.module, signature, name), [])
                return
