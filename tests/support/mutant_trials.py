"""Try faults on tests that run the faulty code, each in a fork of one process that loaded them all.

A plugin of pytest.  The tests are run once to see which functions of symad each of them calls; each
file in a fork, since what a process computes once, such as the machine code that all functions
share, is computed for the first test alone.  Then each fault is put into the functions of another
fork, in memory, and the tests that call these functions are run there, those first that call the
least else, until one fails.  A fault in code that runs when a module is loaded is left to
:mod:`tests.mutants`, and so is one in code that has run before the forks if no test notices it.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import math
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

Place = tuple[str, str, int]
"""A function: the file, the qualified name and the first line."""


def place_of(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


@contextmanager
def watched(root: Path) -> Iterator[set[Place]]:
    """Collect the functions of symad that are called, in all threads."""
    prefix, codes = str(root / "symad"), set[CodeType]()
    found = set[Place]()

    def see(frame: FrameType, event: str, argument: Any) -> None:
        codes.add(frame.f_code)

    threading.settrace(see)
    sys.settrace(see)
    try:
        yield found
    finally:
        sys.settrace(None)
        threading.settrace(None)
        found.update(place_of(code) for code in codes if code.co_filename.startswith(prefix))


def codes_of(source: str, path: Path) -> dict[Place, CodeType]:
    """Return the code of a module, and of all that is defined in it."""
    found: dict[Place, CodeType] = {}
    pending = [compile(source, str(path), "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        found[place_of(code)] = code
        pending += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return found


def _own(code: CodeType) -> Any:
    """Return what a piece of code does, without what is defined in it."""
    constants = [repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
    return code.co_code, constants, code.co_names


@dataclass(frozen=True)
class Change:
    """A fault as new code of functions.

    Attributes
    ----------
    faulty : set of Place
        The functions that hold the fault.
    new : dict from Place to CodeType
        Their code, and that of functions around them.
    at_import : bool
        Whether some of the faulty code has run when the module is loaded.
    """

    faulty: set[Place]
    new: dict[Place, CodeType]
    at_import: bool

    @staticmethod
    def between(path: Path, before: str, after: str) -> Change:
        old, new = codes_of(before, path), codes_of(after, path)
        changed = {place: code for place, code in new.items() if old.get(place) != code}
        faulty = {p for p, code in changed.items() if p not in old or _own(old[p]) != _own(code)}
        functions = {p: c for p, c in changed.items() if c.co_flags & inspect.CO_OPTIMIZED}
        return Change(faulty, functions, not faulty <= set(functions))

    def apply(self) -> bool:
        """Change all functions of this process; return whether it can be done."""
        gc.unfreeze()
        for function in gc.get_objects():
            if type(function) is FunctionType and place_of(function.__code__) in self.new:
                try:
                    function.__code__ = self.new[place_of(function.__code__)]
                except ValueError:  # it no longer uses a variable of the function around it
                    return False
        return True


@dataclass
class Calls:
    """Which functions of symad tests call, by the names of the tests."""

    places: dict[str, set[Place]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def of(self, faulty: set[Place], at_import: bool) -> list[str]:
        """Return the tests that call faulty functions; for code of a module, any in its file."""
        files = {path for path, *_ in faulty} if at_import else set()
        found = [
            test
            for test, called in self.places.items()
            if test not in self.failed
            and (called & faulty or any(path in files for path, *_ in called))
        ]  # fmt: skip
        return sorted(found, key=lambda test: len(self.places[test]))


class Trials:
    """The plugin.

    Parameters
    ----------
    root : Path
        The folder of the sources and the tests.
    faults : sequence of (path, source before, source after)
    seconds : float
        The limit of processor time for one fault.
    report : callable
        Takes the number of a fault, and "failure", "time", "" or "import"; with tests to run for
        the last.
    """

    def __init__(
        self,
        root: Path,
        faults: Sequence[tuple[Path, str, str]],
        seconds: float,
        report: Callable[[int, str, list[str]], None],
    ) -> None:
        self.root, self.faults, self.seconds, self.report = root, faults, seconds, report
        self.before = set[Place]()  # the functions that ran before any fork

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, Any, Any]:
        with watched(self.root) as self.before:
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        calls = self._calls(list(items.values()))
        for number, (path, before, after) in enumerate(self.faults):
            change = Change.between(path, before, after)
            tests = calls.of(change.faulty, change.at_import)
            if change.at_import:
                self.report(number, "import", tests)
                continue
            trial = partial(self._try, change, [items[test] for test in tests])
            found = {0: "import" if change.faulty & self.before else "", -1: "time", 2: "import"}
            status = _in_fork(trial, self.seconds + 5)
            self.report(number, found.get(status, "failure"), tests)
        return True

    def _calls(self, items: list[pytest.Item]) -> Calls:
        """Return what tests call, from an earlier run if nothing has changed since."""
        paths = [path for name in ("symad", "tests") for path in (self.root / name).rglob("*.py")]
        texts = [path.read_bytes() for path in sorted(paths)]
        names = "\n".join(item.nodeid for item in items).encode()
        key = hashlib.sha256(b"".join([names, *texts])).hexdigest()[:16]
        file = self.root / ".pytest_cache" / f"calls-{key}.pickle"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(pickle.dumps(self._watch(items)))
        return pickle.loads(file.read_bytes())  # type: ignore[no-any-return]

    def _watch(self, items: list[pytest.Item]) -> Calls:
        calls = Calls()
        with tempfile.TemporaryDirectory() as folder:
            for path, group in groupby(items, lambda item: item.path):
                target = Path(folder, path.name)
                _in_fork(partial(self._watch_file, list(group), target), None)
                found = pickle.loads(target.read_bytes())
                calls.places |= found.places
                calls.failed |= found.failed
        return calls

    def _watch_file(self, items: list[pytest.Item], target: Path) -> int:
        calls = Calls()
        for item in items:
            with watched(self.root) as called:
                passed = _passes(item)
            calls.places[item.nodeid] = called
            if not passed:
                calls.failed.add(item.nodeid)
        target.write_bytes(pickle.dumps(calls))
        return 0

    def _try(self, change: Change, items: Sequence[pytest.Item]) -> int:
        if not change.apply():
            return 2
        end = time.process_time() + self.seconds
        for item in items:
            if not _passes(item):
                return 1
            if time.process_time() > end:
                break
        return 0


def _passes(item: pytest.Item) -> bool:
    """Run a test; return whether it passes."""
    from _pytest.runner import runtestprotocol

    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _in_fork(work: Callable[[], int], seconds: float | None) -> int:
    """Return what a function returns in a silent fork of this process; -1 if that takes too long.

    The limit is of processor time; a process that waits for something else gets more.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.setpgid(0, 0)
            if seconds is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds),) * 2)
            status = work()
        finally:
            os._exit(status)
    end = None if seconds is None else time.monotonic() + 12 * seconds
    for pause in _pauses():
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return -1 if code in (-signal.SIGKILL, -signal.SIGXCPU) else abs(code)
        if end is not None and time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(pause)
    raise AssertionError


def _pauses() -> Iterator[float]:
    pause = 0.01
    while True:
        yield pause
        pause = min(0.5, pause * 1.2)
