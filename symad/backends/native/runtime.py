"""What runs lists of calls, and lets Python call them as it calls its own functions.

The machine code here is the same for all programs: what differs stands in a :class:`Table` of
8-byte words, which :mod:`symad.backends.native.call_table` fills.  These functions are made:

``run(calls, count)``
    calls one kernel after another.  It returns 0, or 1 + the index of a call that failed, or -1
    where a signal handler raised an exception.

``do_parts(call)``
    does parts of a call, by its :class:`PartsWord`, until none is left that nobody has begun.

``enter(self, arguments, count, names)``
    is a built-in function of CPython (``METH_FASTCALL | METH_KEYWORDS``) whose ``self`` is a tuple
    that begins with the table and the words of a calling convention, of which a table may have
    several.  It takes arrays and numbers that are just as expected, makes the arrays of the
    results, fills in the addresses of both, runs the calls, and returns the results in their
    structure.  Whatever is not as expected goes, with the same arguments, to another function.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from symad.backends.native.cpython import can_read_arrays, declare_array_functions, new_builtin
from symad.backends.native.jit import CompiledModule, Effort, Written, stored_module
from symad.backends.native.words import Table
from symad.records import cached_property


class Runtime:
    """The machine code, loaded."""

    def __init__(self) -> None:
        declare_array_functions()
        self._module = stored_module("runtime", _written, "runtime", Effort.QUICK)
        self._enter = self._module.address("enter")
        signature = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
        self.run = signature(self._module.address("run"))

    @cached_property
    def parts(self) -> Parts:
        """The machine code of calls in parts."""
        return Parts(stored_module("parts", _written_parts, "parts", Effort.QUICK))

    def entry(self, table: Table, convention: Table, *kept: Any) -> Any:
        """Return a built-in function over a table, which keeps everything that is passed."""
        return new_builtin("program", self._enter, table, convention, self._module, *kept)


@cache
def runtime() -> Runtime | None:
    """Return the machine code, or ``None`` where objects do not lie as it expects them to."""
    return Runtime() if can_read_arrays() else None


class Parts:
    """The machine code of calls in parts: the addresses of what does all parts of a call.

    Attributes
    ----------
    do_parts : callable
        Lets other threads run Python meanwhile.
    alone, shared, shared_in_body : int
    """

    def __init__(self, module: CompiledModule) -> None:
        self._module = module
        self.do_parts = ctypes.CFUNCTYPE(None, ctypes.c_int64)(module.address("do_parts"))
        names = "alone", "shared", "shared_in_body"
        self.alone, self.shared, self.shared_in_body = map(module.address, names)


def _written_parts() -> Written:
    from symad.backends.native.parts_code import PartsWriter

    return PartsWriter("parts").finish(), ()


def _written() -> Written:
    from symad.backends.native.runtime_code import RuntimeWriter

    return RuntimeWriter("runtime").finish(), ()
