"""Delays signals until LLVM has finished.

Python runs signal handlers in the main thread, between any two instructions.  An exception from a
handler inside llvmlite would leave the lock of llvmlite taken, or be lost in a finaliser.
"""

from __future__ import annotations

# Not the module ``signal``, which takes longer to define its enumerations than all this.
import _signal as signal  # type: ignore[import-not-found]
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any

_NUMBERS = tuple(
    {number for name, number in vars(signal).items() if name.startswith("SIG") and name[3] != "_"}
)
"""The signals with names; checking all others too takes twice the time."""


class DeferredSignals:
    """A context in which no signal handler runs; delayed handlers run at its end.

    It affects handlers written in Python; others never raise exceptions.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._arrived: dict[int, None] = {}
        self._is_over = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # handlers only run in the main thread
        try:
            for number in _NUMBERS:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._defer)
        except ValueError:  # the main thread of a subinterpreter, where no handlers run either
            self._handlers.clear()
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *error: object) -> None:
        with ExitStack() as pending:  # the next one runs even if one raises an exception
            self._restore()
            for number in self._arrived:
                pending.callback(signal.raise_signal, number)

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:  # it arrived while the handlers were restored
            self._handlers[number](number, frame)
        else:
            self._arrived[number] = None

    def _restore(self) -> None:
        self._is_over = True
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
