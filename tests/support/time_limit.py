"""A limit on the processor time of each test: one that computes for ever fails, and says where.

pytest-timeout, which limits time on the clock, must be generous: a busy machine is slow, and tests
that wait for other processes take long.  What a test computes itself takes the same anywhere.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

SECONDS = 100.0


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "limit on the processor time of a test, in seconds"
    parser.addoption("--processor-seconds", type=float, default=SECONDS, help=text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "setitimer") or not is_main:
        return (yield)
    seconds = item.config.getoption("--processor-seconds")

    def stop(number: int, frame: Any) -> None:
        pytest.fail(f"{item.nodeid} has computed for {seconds:g} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
