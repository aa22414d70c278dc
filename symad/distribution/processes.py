"""symad's own pool of processes, whose workers are replaced one by one when they die.

The caller's thread does all the work of the pool, while it waits for results: there are no threads
that could be in the way when Python exits or collects garbage.  Messages are short, since arrays
are in shared memory.  A process ends when its connection does, so also when the caller is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from threading import Lock
from typing import NoReturn

from symad.distribution.executors import (
    MOST_DEATHS,
    GroupTask,
    Outcome,
    Outcomes,
    Workers,
    workers_died,
)
from symad.distribution.placement import FileStore, Store, make_folder
from symad.distribution.worker import run_group

_SHORT = 1 << 14
"""Messages up to this many bytes are sent to busy processes: a pipe holds one."""
_PATIENCE = 0.5
"""How many seconds a process waits for the end of its caller before it ends."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_REMEDY = (
    "If they die as they start, the program must be a file that begins its work under "
    '`if __name__ == "__main__":`, as for every use of multiprocessing.'
)


class _Work:
    """The tasks of one run.

    Attributes
    ----------
    tasks : sequence of GroupTask
    left : deque of int
        The numbers of the tasks to send.
    missing : int
        How many have not been answered.
    """

    def __init__(self, tasks: Sequence[GroupTask]) -> None:
        self.tasks = tasks
        self.left = deque(range(len(tasks)))
        self.missing = len(tasks)
        self._deaths: Counter[int] = Counter()

    def put_back(self, lost: Sequence[int]) -> None:
        """Take back what a process had when it died, perhaps over the first task."""
        self.left.extendleft(reversed(lost))
        self._deaths.update(lost[:1])
        if lost and self._deaths[lost[0]] >= MOST_DEATHS:
            raise workers_died(self.tasks[lost[0]].chunks, _REMEDY)


class _Process:
    """A process and what it has to do.

    Attributes
    ----------
    connection : Connection
    tasks : deque of (_Work, int)
        What was sent and not answered, in order.
    """

    def __init__(self, folder: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.tasks: deque[tuple[_Work, int]] = deque()
        self._process = context.Process(
            target=_serve, args=(theirs, folder), name="symad worker", daemon=True
        )
        with _one_thread_each():
            self._process.start()
        theirs.close()

    def send(self, work: _Work) -> None:
        """Send a task, unless the process is busy and the message is long."""
        data = ForkingPickler.dumps(work.tasks[work.left[0]].arguments)
        if self.tasks and len(data) > _SHORT:
            return
        self.tasks.append((work, work.left.popleft()))
        with suppress(OSError):  # it has died, which is noticed where its answers are awaited
            self.connection.send_bytes(data)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()


class ProcessWorkers(Workers):
    """Runs groups in new processes of this machine.

    Parameters
    ----------
    width : int
        The number of processes.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._folders: list[str] = []
        self._processes: list[_Process] = []
        self._lock = Lock()
        args = self._processes, self._folders
        self._close = Finalize(self, _close, args, exitpriority=10)

    @property
    def folder(self) -> str:
        """The folder of shared memory, made on first use: workers import the user's program, which
        may have a pool that they never use."""
        if not self._folders:
            self._folders.append(make_folder())
        return self._folders[0]

    def store(self, is_kept: bool = False) -> Store:
        """Return shared memory, which the workers remove if the caller is killed."""
        return FileStore(self.folder)

    def run(self, tasks: Sequence[GroupTask]) -> Outcomes:
        """Send tasks to the processes; one that dies is replaced, and what it had is repeated."""
        work = _Work(tasks)
        with self._lock:
            try:
                while work.missing:
                    self._send(work)
                    for process in self._ready():
                        answer = self._answer(process, work)
                        if answer is not None:
                            yield answer
            except KeyboardInterrupt:
                for process in [each for each in self._processes if each.tasks]:
                    self._remove(process)
                raise

    def _send(self, work: _Work) -> None:
        """Send tasks: to idle processes, to new ones, then to those that have one task."""
        for process in self._processes:
            if work.left and not process.tasks:
                process.send(work)
        while work.left and len(self._processes) < self.width:
            self._processes.append(_Process(self.folder))
            self._processes[-1].send(work)
        for process in self._processes:
            if work.left and len(process.tasks) == 1:
                process.send(work)

    def _ready(self) -> list[_Process]:
        """Wait for answers, and return the processes that have answered or died."""
        found = wait([process.connection for process in self._processes])
        return [process for process in self._processes if process.connection in found]

    def _answer(self, process: _Process, work: _Work) -> tuple[range, Outcome] | None:
        """Return what a process has answered, if it is part of this work; remove it if it died."""
        try:
            outcome = process.connection.recv()
        except (EOFError, OSError):
            self._remove(process)
            work.put_back([number for owner, number in process.tasks if owner is work])
            return None
        owner, number = process.tasks.popleft()
        if owner is not work:
            return None
        work.missing -= 1
        return work.tasks[number].chunks, outcome

    def _remove(self, process: _Process) -> None:
        self._processes.remove(process)
        process.kill()

    def close(self) -> None:
        """End the processes, and remove the shared memory."""
        self._close()


def _close(processes: list[_Process], folders: list[str]) -> None:
    while processes:
        processes.pop().kill()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(connection: Connection, folder: str) -> None:
    """Answer the tasks that arrive, until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends what it has interrupted
    signal.signal(signal.SIGTERM, lambda *_: _leave(folder))  # which may be sent to all at once
    try:
        while True:
            connection.send(run_group(*connection.recv()))
    except (EOFError, OSError):
        _leave(folder)


def _leave(folder: str) -> NoReturn:
    """End this process, and remove the shared memory if the caller has died and cannot."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join(_PATIENCE)
    if not caller.is_alive():
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the libraries of a new process use one thread, unless the user has set how many."""
    new = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(new, "1"))
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
