"""Signals that wait until LLVM has finished.

Python runs the handlers of signals in the main thread, between any two of its instructions.  What a
handler raises inside llvmlite would leave the lock of llvmlite taken, or be lost in a finaliser.
"""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any

_NUMBERS = tuple(map(int, signal.Signals))
"""The signals that have names; to ask about all others as well takes twice the time."""


class DeferredSignals:
    """A context in which no handler of a signal runs; those of signals that came run at its end.

    It concerns handlers written in Python; others never raise exceptions.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._arrived: dict[int, None] = {}
        self._is_over = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # handlers run in the main thread only
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
        with ExitStack() as pending:  # the next one also if one raises an exception
            self._restore()
            for number in self._arrived:
                pending.callback(signal.raise_signal, number)

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:  # it came while the handlers were put back
            self._handlers[number](number, frame)
        else:
            self._arrived[number] = None

    def _restore(self) -> None:
        self._is_over = True
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
