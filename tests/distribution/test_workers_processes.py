"""Processes: they are replaced when they die, and nothing is left of them."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.distribution import processes
from symad.errors import DistributionError
from tests.distribution.test_workers import DATA, REFERENCE, WEIGHTS, bits, picked, regression, run

pytestmark = pytest.mark.slow

ROOT = Path(sm.__file__).parent.parent


def pool(width: int) -> Executor:
    return ProcessPoolExecutor(width, mp_context=get_context("spawn"))


def own_children() -> list[Any]:
    """Return the processes of symad's own pools."""
    return [child for child in active_children() if child.name == "symad worker"]


def test_a_pool_gives_the_same_bits() -> None:
    with pool(2) as users:
        for chunks, expected in REFERENCE.items():
            assert run(users, chunks) == expected


@pytest.mark.parametrize("width", [1, 3])
def test_processes_give_the_same_bits(width: int) -> None:
    assert run(width, 16) == REFERENCE[16]
    assert own_children() == []


def test_a_chunk_that_fails_is_named_and_nothing_changes() -> None:
    f, count = picked()
    with sm.distribute(f, over="n", executor=2, chunks=3) as d, d.bind(k=np.arange(90) % 10) as job:
        assert job() == 405.0
        bad = np.arange(90) % 10
        bad[[31, 80]] = -11
        for _ in range(3):
            with pytest.raises(DistributionError, match=r"chunk (10|26) of 30, n\[.*\], failed: "):
                d(bad)
            assert job() == 405.0
        assert count.value == 4 * 405.0


@contextmanager
def killer(pause: float, count: int) -> Iterator[list[int]]:
    """Kill one of this process's children after the other, for a while."""
    killed: list[int] = []
    done = threading.Event()

    def kill() -> None:
        for k in range(count):
            if done.wait(pause):
                return
            children = active_children()
            if children:
                child = children[k % len(children)]
                if child.pid is not None:
                    killed.append(child.pid)
                    os.kill(child.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def descent(executor: Any, steps: int) -> list[bytes]:
    """Return the bytes of the results of steps, with the data in place."""
    f, bias = regression()
    found = []
    with sm.distribute(f, over="batch", executor=executor, chunks=5) as d, d.bind(X=DATA) as job:
        weights = WEIGHTS
        for _ in range(steps):
            results = job(weights)
            weights = weights - 0.1 * results["slope"]
            found += bits(results)
    return [*found, bias.value.tobytes()]


@pytest.mark.parametrize("executor", [2, lambda: pool(2)], ids=["own", "factory"])
def test_workers_that_are_killed_in_the_middle_of_100_steps_change_no_bit(executor: Any) -> None:
    with killer(0.6, 3) as killed:
        found = descent(executor, 100)
        while not killed:  # a fast machine: once more
            assert descent(executor, 100) == found
    assert found == descent(None, 100)


def test_all_workers_killed_between_calls_are_replaced() -> None:
    f, _ = regression()
    with sm.distribute(f, over="batch", executor=2, chunks=5) as d:
        expected = bits(d(DATA, WEIGHTS))
        for child in own_children():
            child.kill()
            child.join()
        f.parameters[0].value = 0.25
        assert bits(d(DATA, WEIGHTS)) == expected


def dies(connection: Connection, folder: str) -> None:
    """Take the place of what a worker does."""
    os._exit(1)


def test_workers_that_die_at_once_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_serve", dies)
    f, count = picked()
    with (
        sm.distribute(f, over="n", executor=2, chunks=3) as d,
        pytest.raises(DistributionError, match="again and again, the last over chunk") as e,
    ):
        d(np.arange(9))
    assert "__main__" in e.value.remedy and count.value == 0
    assert own_children() == []


def test_what_is_lost_ends_its_processes() -> None:
    f, _ = picked()
    d = sm.distribute(f, over="n", executor=1)
    job = d.bind(k=np.arange(1000) % 10)
    cycle = [job]
    cycle.append(cycle)  # type: ignore[arg-type]
    job()
    assert len(own_children()) == 1
    del d, job, cycle
    gc.collect()
    assert own_children() == []


# Whole programs

START = """
import os, signal, sys, threading, time
import numpy as np
import symad as sm
from multiprocessing import active_children
from symad.distribution import placement

placement._SHARED_MEMORY = "PLACE"
x = sm.Variable("x", ("n", 300_000))
for _ in range(STEPS):
    x1 = locals().get("x1", x)
    x1 = sm.sin(x1) + x1
d = sm.distribute(sm.compile([x], sm.sum(x1)), over="n", executor=2, chunks=1)
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    job = d.bind(x=np.ones((100, 300_000)))
    folder = d.workers.folder
"""


def program(tmp_path: Path, body: str, steps: int = 1) -> subprocess.Popen[str]:
    """Start a program that has a job with two processes."""
    path = tmp_path / "program.py"
    body = textwrap.indent(textwrap.dedent(body), "    ")
    shared = tmp_path / "shared"
    shared.mkdir()
    path.write_text(START.replace("STEPS", str(steps)).replace("PLACE", str(shared)) + body)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )


def test_a_program_that_closes_nothing_ends_silently(tmp_path: Path) -> None:
    done = program(tmp_path, "print(job() > 0, os.path.isdir(folder), folder)")
    out, errors = done.communicate(timeout=60)
    *said, folder = out.split()
    assert (said, errors, done.returncode) == (["True", "True"], "", 0)
    assert Path(folder).parent == tmp_path / "shared"
    assert os.listdir(tmp_path / "shared") == []  # workers import the program, too


def test_ctrl_c_cancels(tmp_path: Path) -> None:
    """What runs is ended, and a later call starts new processes."""
    body = """
        job()
        pids = {child.pid for child in active_children()}
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        try:
            job()
        except KeyboardInterrupt:
            print("interrupted", time.perf_counter() - start < 5)
        left = {child.pid for child in active_children()}
        print(len(left & pids) < 2, job() > 0)
    """
    done = program(tmp_path, body, steps=50)
    out, errors = done.communicate(timeout=120)
    assert (out.split(), errors, done.returncode) == (
        ["interrupted", "True", "True", "True"],
        "",
        0,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("is_polite", [False, True])
def test_nothing_outlives_a_killed_caller(tmp_path: Path, is_polite: bool) -> None:
    """It is killed alone, or all are asked to end, as ``timeout`` and Slurm do."""
    body = """
        job()
        print(folder, *[child.pid for child in active_children()], flush=True)
        time.sleep(60)
    """
    with program(tmp_path, body) as caller:
        assert caller.stdout is not None
        folder, *pids = caller.stdout.readline().split()
        assert len(pids) == 2 and os.path.isdir(folder)
        if is_polite:
            os.killpg(caller.pid, signal.SIGTERM)
        else:
            caller.kill()
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids))
    assert os.listdir(tmp_path / "shared") == []
