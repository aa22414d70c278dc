"""Work that waits for a pause: by whom, and when, it is done."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from symad.backends.native import postponed
from symad.backends.native.postponed import PostponedJobs

LONG = 1e6


def test_a_thread_does_them_in_order_and_ends() -> None:
    jobs, done, last = PostponedJobs(pause=0.001), list[int](), threading.Event()
    jobs.add(lambda: done.append(1))
    jobs.add(lambda: done.append(2))
    jobs.add(last.set)
    assert last.wait(60) and done == [1, 2]
    worker = jobs._worker
    if worker is not None:
        worker.join(60)
    assert jobs._worker is None and jobs.has_room


def test_other_work_delays_them() -> None:
    jobs, done = PostponedJobs(pause=LONG), list[int]()
    jobs.add(lambda: done.append(1))
    jobs.is_busy.set()
    assert not done


def test_the_list_is_short() -> None:
    jobs = PostponedJobs(pause=LONG)
    while jobs.has_room:
        jobs.add(lambda: None)
    assert len(jobs._jobs) == postponed._MOST


def test_they_wait_where_there_are_no_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in interpreters that allow none, and at the end of a process."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setenv("SYMAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    jobs, done = PostponedJobs(pause=LONG), list[int]()
    jobs.add(lambda: done.append(1))
    assert not done
    jobs.finish()
    assert done == [1]


@pytest.mark.parametrize("folder", ["code", ""])
def test_the_end_of_a_process_does_what_is_of_use_to_others(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMAD_CACHE_DIR", folder and str(tmp_path / folder))
    jobs, done = PostponedJobs(pause=LONG), list[int]()
    jobs.add(lambda: done.append(1))
    jobs.finish()
    assert len(done) == bool(folder) and not jobs.has_room


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_forks_begin_with_none() -> None:
    program = """
import os
from symad.backends.native.postponed import PostponedJobs
jobs = PostponedJobs(pause=1e6)
jobs.add(lambda: print("done", flush=True))
child = os.fork()
if not child:
    jobs.add(lambda: print("done by the child", flush=True))
else:
    assert os.waitpid(child, 0)[1] == 0
"""
    run = [sys.executable, "-W", "ignore", "-c", program]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said.stdout == "done by the child\ndone\n" and not said.stderr
