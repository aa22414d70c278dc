"""Work that can wait: a thread does it when other work has paused, or the process at its end, if
its results are stored on disk."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import symad.disk as disk

_PAUSE = 0.1
"""The seconds without other work after which the first job is done."""
_MOST = 16
"""The most jobs that wait: the process shall end soon."""


class PostponedJobs:
    """A short list of jobs that may be done in any thread.  A forked process does not inherit it.

    Parameters
    ----------
    pause : float
        The seconds without other work after which the first job is done.

    Attributes
    ----------
    is_busy : threading.Event
        Set it whenever there is other work.
    """

    def __init__(self, pause: float = _PAUSE) -> None:
        self._pause = pause
        self._reset()
        atexit.register(self.finish)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.RLock()  # a signal handler may add a job
        self.is_busy, self._is_over = threading.Event(), threading.Event()
        self._worker: threading.Thread | None = None

    @property
    def has_room(self) -> bool:
        """Whether more jobs are taken."""
        return len(self._jobs) < _MOST and not self._is_over.is_set()

    def add(self, job: Callable[[], None]) -> None:
        """Add a job, even if there is no room."""
        with self._lock:
            self._jobs.append(job)
            self.is_busy.set()
            if self._worker is None:
                worker = threading.Thread(target=self._work, name="symad", daemon=True)
                with suppress(RuntimeError):  # where there are no threads, the jobs wait
                    worker.start()
                    self._worker = worker

    def finish(self) -> None:
        """Take no more jobs; do those that wait if the results are of use to other processes."""
        with self._lock:
            self._is_over.set()
            worker = self._worker
        if worker is not None:
            worker.join()
        while self._jobs and disk.is_on():
            self._jobs.popleft()()

    def _work(self) -> None:
        while True:
            while self.is_busy.is_set() and not self._is_over.is_set():
                self.is_busy.clear()
                self._is_over.wait(self._pause)
            with self._lock:
                if self._is_over.is_set() or not self._jobs:
                    self._worker = None
                    return
                job = self._jobs.popleft()
            job()
