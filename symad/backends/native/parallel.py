"""Threads that help with kernel calls in parts.

A call requests help, works on parts itself, and waits until all parts are finished.  Each free
thread takes the next part.  The parts, and therefore the results, do not depend on the number of
threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import Any

_MOST_WAITING = 64
"""The most waiting requests: late threads would find no parts left."""


class Helpers:
    """Asks threads to help with a call.

    Parameters
    ----------
    do_parts : callable
        Takes the address of the words of a call, and does parts of it until none is left.
    count : int
        The number of threads to ask.

    Attributes
    ----------
    table : object
        The memory of these words.
    """

    def __init__(self, do_parts: Callable[[int], Any], count: int) -> None:
        self._do_parts, self._count = do_parts, count
        self.table: Any = None

    def __call__(self, call: int) -> None:
        """Request help with one call, without waiting."""
        for _ in range(self._count):
            _team().ask(self._count, self._do_parts, call, self.table)


class _Team:
    """The threads that all programs share."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[Any, ...]] = SimpleQueue()  # safe in finalisers too
        self._size = 0

    def ask(self, wanted: int, *request: Any) -> None:
        """Have a thread help, if there is one."""
        if self._size < min(wanted, os.cpu_count() or 1):
            self._size += 1
            try:
                threading.Thread(target=self._serve, name="symad", daemon=True).start()
            except RuntimeError:  # the interpreter is shutting down
                self._size -= 1
                return
        if self._requests.qsize() < _MOST_WAITING:
            self._requests.put(request)

    def _serve(self) -> None:
        while True:
            _help(*self._requests.get())


def _help(do_parts: Callable[[int], Any], call: int, table: Any) -> None:
    """Do parts of a call; ``table`` is passed to keep its memory alive."""
    do_parts(call)


@cache
def _team() -> _Team:
    return _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a child process has no helper threads
