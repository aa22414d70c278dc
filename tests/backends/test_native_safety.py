"""What must not happen to a process that runs native code: wrong memory, deadlocks, crashes."""

from __future__ import annotations

import gc
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, FeedError, GraphTypeError
from symad.graph.node import Node
from symad.graph.traverse import topological_order

pytest.importorskip("llvmlite")

from symad.backends.native import cpython, jit, parallel, scalar_function  # noqa: E402
from symad.backends.native.kernels import loops  # noqa: E402
from symad.backends.native.memory_pool import counts_references  # noqa: E402
from symad.backends.native.runtime import runtime  # noqa: E402
from symad.backends.native.signals import DeferredSignals  # noqa: E402
from tests.support.native import native_graph, program_of  # noqa: E402

LARGE = 20_000
"""Buffers of such arrays are kept from call to call."""


def compiled(factor: float, threads: int = 1) -> sm.Function:
    x = sm.Variable("x", shape=("n",))
    y = sm.exp(x) * factor + x
    outputs = [y, sm.sum(y), sm.gradients(sm.sum(y * y), x)]
    return sm.compile([x], outputs, backend="native", threads=threads)


def assert_right(function: sm.Function, factor: float, x: Any) -> Any:
    y, total, gradient = function(x)
    e = factor * np.exp(x)
    np.testing.assert_allclose(y, e + x)
    np.testing.assert_allclose(total, np.sum(e + x))
    np.testing.assert_allclose(gradient, 2 * (e + x) * (e + 1))
    return y


# Memory that is kept from call to call


HOLD = {
    "view": lambda y: y[::2],
    "view of a view": lambda y: y[1:].view(np.int64).reshape(-1, 1),
    "subclass": lambda y: y.view(np.recarray),
    "memoryview": memoryview,
    "buffer": lambda y: np.frombuffer(y, dtype=np.uint8),
    "base": lambda y: y.base,
    "transposed": lambda y: y[None].T,
    "closure": lambda y: y.__getitem__,
}


def content(held: Any) -> Any:
    return np.array(held(slice(None)) if callable(held) else held)


@pytest.mark.parametrize("way", HOLD)
def test_memory_that_somebody_can_see_is_not_used_again(way: str) -> None:
    f = compiled(2.0)
    rng = np.random.default_rng(0)
    held = []
    for _ in range(7):  # more than are kept
        one = HOLD[way](f(rng.random(LARGE))[0])
        held.append((one, content(one)))
        for array, copy in held:
            np.testing.assert_array_equal(content(array), copy)


def test_memory_is_used_again() -> None:
    f = compiled(2.0)
    x = np.ones(LARGE)
    places = {f(x)[0].ctypes.data for _ in range(10)}
    assert len(places) <= 2


@pytest.mark.parametrize(
    ("built", "locked", "counted"), [(1, False, False), (1, True, False), (0, True, True)]
)
def test_results_are_used_again_only_where_references_are_counted(
    built: int, locked: bool, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A free-threaded build may run with its global lock, and splits counts all the same."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: locked, raising=False)
    monkeypatch.setattr("sysconfig.get_config_var", {"Py_GIL_DISABLED": built}.get)
    monkeypatch.setattr(scalar_function, "_codes", jit.Latest(8))
    cpython.can_count_references.cache_clear()
    runtime.cache_clear()
    try:
        assert counts_references() == counted
        f, x = compiled(2.0), np.ones(LARGE)
        for _ in range(3):
            f(x)
        assert bool(f._workspace._kept) == counted
        s = sm.Variable("s", shape=())
        g = sm.compile([s], [s * 2.0, s + 1.0], backend="native")
        results = [g(float(k)) for k in range(6)]
        assert results == [[2.0 * k, k + 1.0] for k in range(6)]
        (code,) = scalar_function._codes._values.values()
        assert any(isinstance(kept, cpython.HeldResults) for kept in code.kept) == counted
    finally:
        cpython.can_count_references.cache_clear()
        runtime.cache_clear()


def test_what_was_done_to_an_array_ends_with_it() -> None:
    """The next result in the same memory is a new array: writeable, and of its own shape."""
    f = compiled(2.0)
    x = np.ones(LARGE)
    y = f(x)[0]
    reference = weakref.ref(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # by NumPy 2.5, which still does it
        y.shape = (2, LARGE // 2)
    y.setflags(write=False)
    del y
    assert reference() is None
    y = f(x)[0]
    assert y.shape == (LARGE,) and y.flags.writeable and y.flags.c_contiguous


def test_results_stay_when_updates_store_them() -> None:
    w = sm.Parameter("w", np.zeros(LARGE))
    x = sm.Variable("x", shape=(LARGE,))
    new = sm.exp(x) * 2 + w
    f = sm.compile([x], [new, sm.sum(new)], updates={w: new}, backend="native")
    history = []
    for k in range(1, 7):
        before = np.array(w.value)
        f(np.full(LARGE, 0.01 * k))
        np.testing.assert_allclose(w.value, before + 2 * np.exp(0.01 * k))
        history.append((w.value, np.array(w.value)))
        for array, copy in history:
            np.testing.assert_array_equal(array, copy)


# Functions that are dropped

DROPPED = """
import gc, sys
import numpy as np, symad as sm
from symad.backends.native import jit, scalar_function
from symad.backends.native.kernels import loops

scalar_function._codes, loops._codes = jit.Latest(1), jit.Latest(1)
if sys.argv[1] == "llvmlite":  # which links and unloads the code where there is no loader of ours
    jit.loader.load = lambda *_: None


def scalar(k):
    s = sm.Variable("s", shape=())
    f = sm.compile([s], s * (k % 7) + 1)
    return lambda: f(2.0) == 2.0 * (k % 7) + 1


def arrays(k):
    x = sm.Variable("x", shape=("n",))
    y = sm.tanh(x) + k % 7
    f = sm.compile([x], {"y": y, "g": sm.gradients(sm.sum(y * y), x)} if k % 2 else [y, x])
    return lambda: len(f(np.ones(3))) == 2


def parameter(k):
    x, w = sm.Variable("x", shape=(3,)), sm.Parameter("w", np.ones(3))
    f = sm.compile([x], sm.sum(x * w), updates={w: w + k % 7})
    return lambda: f(np.ones(3)) >= 3.0


def out(k):
    x = sm.Variable("x", shape=(3,))
    f = sm.compile([x], sm.exp(x) + k % 7)
    place = np.zeros(3)
    return lambda: f(np.zeros(3), out=place) is place and f(np.zeros(3)) is not place


def threads(k):
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], sm.sum(x * 2 + k % 7), threads=2)
    return lambda: f(np.ones(150_000)) == 150_000 * (2 + k % 7)


class Holder:
    def __init__(self, call):
        self.call, self.itself = call, self

    def __del__(self):
        finished.append(self.call())


for make in (scalar, arrays, parameter, out, threads):
    finished = []
    for k in range(int(sys.argv[2])):
        holder = Holder(make(k))
        assert all(holder.call() for _ in range(3)), (make, k)
        del holder
        if k % 10 == 9:
            gc.collect()
    gc.collect()
    assert finished == [True] * int(sys.argv[2]), (make, finished)
last = Holder(scalar(3))  # called again when the interpreter ends
assert all(last.call() for _ in range(3))
"""


@pytest.mark.parametrize(("linker", "count"), [("own", 110), ("llvmlite", 20)])
def test_functions_of_every_kind_are_dropped(linker: str, count: int, tmp_path: Path) -> None:
    """Freed memory is overwritten; finalisers in the same cycle still call the functions."""
    checked = {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "255", "SYMAD_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, linker, str(count)],
        env={**os.environ, **checked},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


GROWTH = """
import gc, sys
import numpy as np, symad as sm


def scalar(k):
    s, t = sm.Variable("s", shape=()), sm.Variable("t", shape=())
    y = sm.log(s) + s * t * (k + 0.37) - t
    f = sm.compile([s, t], [y, *sm.gradients(y, [s, t])])
    return f(1.0, 2.0), f(1.0, 2.0)


def arrays(k):
    x = y = sm.Variable("x", shape=(5,))
    for bit in range(8):  # another structure for each
        y = y + x if k >> bit & 1 else y * x
    f = sm.compile([x], [y, sm.gradients(sm.sum(y), x)])
    return f(np.ones(5)), f(np.ones(5))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


make = {"scalar": scalar, "arrays": arrays}[sys.argv[1]]
for k in range(40):
    make(k)
gc.collect()
before = resident()
for k in range(40, 110):
    make(k)
gc.collect()
print((resident() - before) / 70)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="llvmlite's linker keeps some memory",
)
@pytest.mark.parametrize("cache", ["on", "off"])
@pytest.mark.parametrize("kind", ["scalar", "arrays"])
def test_functions_that_are_dropped_leave_little_behind(
    kind: str, cache: str, tmp_path: Path
) -> None:
    """Each has machine code of its own; caches that are not full yet are part of it."""
    folder = {"SYMAD_CACHE_DIR": str(tmp_path) if cache == "on" else ""}
    run = [sys.executable, "-c", GROWTH, kind]
    done = subprocess.run(run, env={**os.environ, **folder}, capture_output=True, text=True)
    assert done.stderr == ""
    assert float(done.stdout) < 45  # kilobytes; it was 130 and more


# Threads, processes, interruptions


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads give way to one another often, and machine code is hardly kept."""
    monkeypatch.setattr(loops, "_KEPT", 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def in_threads(count: int, work: Any) -> None:
    errors: list[BaseException] = []

    def guarded(seed: int) -> None:
        try:
            work(seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.usefixtures("hasty")
def test_one_function_in_many_threads() -> None:
    f = compiled(3.0, threads=2)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        kept: list[Any] = []
        for _ in range(10):
            y = assert_right(f, 3.0, rng.random(int(rng.choice([5, LARGE, 150_000]))))
            kept = [*kept[-3:], (y[1:], y[1:].copy())]
            for array, copy in kept:
                np.testing.assert_array_equal(array, copy)

    in_threads(8, work)


@pytest.mark.usefixtures("hasty")
@pytest.mark.slow
def test_functions_are_made_and_dropped_in_many_threads() -> None:
    def work(seed: int) -> None:
        for k in range(3):
            factor = 100.0 * seed + k + 0.37
            assert_right(compiled(factor), factor, np.linspace(0, 1, 50))
            s = sm.Variable("s", shape=())
            g = sm.compile([s], sm.sin(s) * factor, backend="native")
            assert [g(1.0) == pytest.approx(np.sin(1.0) * factor) for _ in range(3)] == [True] * 3
            del g
            gc.collect()

    in_threads(6, work)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_child_can_compile_though_other_threads_were_compiling() -> None:
    f = compiled(3.0, threads=2)
    x = np.ones(150_000)
    f(x)
    stop = threading.Event()

    def churn() -> None:
        k = 0
        while not stop.is_set():
            compiled(k + 0.1)(np.ones(10))
            k += 1

    other = threading.Thread(target=churn)
    other.start()
    try:
        states = [_child(f, x) for _ in range(6)]
    finally:
        stop.set()
        other.join()
    assert states == [0] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_child_can_compile_though_other_code_was_using_llvmlite() -> None:
    from llvmlite import binding

    jit.optimised_text("")
    lock, is_held = binding.ffi.lib._lock, threading.Event()

    def use() -> None:  # as Numba does
        with lock:
            is_held.set()
            time.sleep(0.2)

    other = threading.Thread(target=use)
    other.start()
    is_held.wait()
    try:
        child = os.fork()
        if child == 0:
            _end_after(20)
            jit.optimised_text("; second")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        other.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_fork_waits_for_a_thread_that_is_about_to_use_llvmlite() -> None:
    """A fork that takes llvmlite's lock first waits for the thread, which waits for the fork."""
    jit.optimised_text("")
    is_held, was_free = threading.Event(), list[bool]()

    def use() -> None:
        with jit._llvm() as binding:
            is_held.set()
            time.sleep(0.2)  # the fork begins
            lock = binding.ffi.lib._lock._lock
            was_free.append(lock.acquire(timeout=20))
            if was_free[0]:
                lock.release()

    other = threading.Thread(target=use)
    other.start()
    is_held.wait()
    child = os.fork()
    if child == 0:
        os._exit(0)
    other.join()
    assert os.waitpid(child, 0)[1] == 0
    assert was_free == [True]


def _end_after(seconds: int) -> None:
    """Have this process killed if it hangs; a handler of the test run would let it go on."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


def _child(f: sm.Function, x: Any) -> int:
    """Call and compile in a child; return its exit status, or the signal that ended it."""
    child = os.fork()
    if child == 0:
        _end_after(20)
        try:
            assert_right(f, 3.0, x)
            assert_right(compiled(7.0), 7.0, np.ones(30))
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals go elsewhere"
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of JAX's finaliser
def test_interruptions_leave_everything_usable() -> None:
    f = compiled(3.0, threads=2)
    large, small = np.random.default_rng(0).random(500_000), np.ones(10)
    rng = np.random.default_rng(1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(15):
            # Again and again: Python ignores what is raised while an object is being deleted.
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(5e-4, 4e-2), 0.5)
            with pytest.raises(KeyboardInterrupt):
                compiled(rng.random())(small)
                while True:
                    f(large)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert_right(f, 3.0, small)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert_right(compiled(5.0), 5.0, small)
    assert_right(f, 3.0, large)


@pytest.mark.filterwarnings("error")  # of what could not be raised
@pytest.mark.parametrize("step", ["parse_assembly", "create_pass_builder", "emit_object", "link"])
def test_an_interrupted_compile_leaves_everything_usable(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llvmlite import binding

    f = compiled(3.0)
    monkeypatch.setenv("SYMAD_CACHE_DIR", "")
    monkeypatch.setattr(loops, "_codes", jit.Latest(8))
    monkeypatch.setattr(jit, "_loaded", OrderedDict())
    owners = {"emit_object": binding.TargetMachine, "link": binding.JITLibraryBuilder}
    owner = owners.get(step, binding)
    original = getattr(owner, step)
    if step == "link":
        monkeypatch.setattr(jit.loader, "load", lambda *_: None)

    def interrupted(*given: Any) -> Any:
        original(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            f(np.ones(3))
    gc.collect()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    in_threads(1, lambda _: assert_right(compiled(5.0), 5.0, np.ones(3)))
    assert_right(f, 3.0, np.ones(3))


@pytest.mark.filterwarnings("error")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals go elsewhere"
)
def test_a_signal_in_a_finaliser_of_llvmlite_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from llvmlite import binding

    monkeypatch.setenv("SYMAD_CACHE_DIR", "")
    monkeypatch.setattr(loops, "_codes", jit.Latest(8))
    monkeypatch.setattr(jit, "_loaded", OrderedDict())
    original, raised = binding.ModuleRef._dispose, []

    def dispose(module: Any) -> None:
        if not raised:
            raised.append(True)
            signal.raise_signal(signal.SIGINT)
        original(module)

    monkeypatch.setattr(binding.ModuleRef, "_dispose", dispose)
    with pytest.raises(KeyboardInterrupt):
        compiled(3.0)(np.ones(3))
    assert raised and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_right(compiled(3.0), 3.0, np.ones(3))


def test_threads_help() -> None:
    """No result depends on it, nor does a call wait for them."""
    asked = threading.Event()
    parallel.Helpers(lambda call: asked.set(), 1)(0)
    assert asked.wait(60)


@pytest.mark.parametrize("effort", list(jit.Effort))
def test_pass_managers_are_freed(effort: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of llvmlite inherits an empty method that would have to do so."""
    from llvmlite import binding

    library, freed = binding.ffi.lib, []

    class Library:
        def __getattr__(self, name: str) -> Any:
            return free if name == "LLVMPY_DisposeNewModulePassManger" else getattr(library, name)

    def free(manager: Any) -> None:
        freed.append(True)
        library.LLVMPY_DisposeNewModulePassManger(manager)

    monkeypatch.setattr(binding.ffi, "lib", Library())
    jit.optimised_text("", effort)
    assert len(freed) == (effort is not jit.Effort.NONE)


def test_signals_wait_whenever_llvm_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception between two lines of llvmlite may free the same memory twice."""
    from llvmlite import binding

    folder, found = str(Path(binding.__file__).parent), set()

    def note(frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(folder) and code.co_name != "<module>":
            handler = signal.getsignal(signal.SIGINT)
            owner = getattr(handler, "__self__", None)
            found.add((isinstance(owner, DeferredSignals), code.co_qualname))

    monkeypatch.setenv("SYMAD_CACHE_DIR", "")
    monkeypatch.setattr(loops, "_codes", jit.Latest(8))
    for linker in (jit.loader.load, lambda *_: None):
        monkeypatch.setattr(jit, "_loaded", OrderedDict())
        monkeypatch.setattr(jit.loader, "load", linker)
        for cached in (jit._make_host, jit._processor):
            cached.cache_clear()
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            for k in range(9):
                compiled(3.0 + k)(np.ones(3))
                compiled(2.0)(np.ones(3, "float16"))
            gc.collect()
        finally:
            sys.setprofile(before)
    assert len(found) > 20
    assert [name for waits, name in found if not waits] == []


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Ctrl-C raises an exception also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


INTERRUPTED = """
import os, random, signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np, symad as sm
from symad.backends.native import jit
from symad.backends.native.kernels import loops

x = sm.Variable("x", shape=("n",))


def compiled(k):
    y = x
    for bit in range(6):
        y = sm.sin(y) if k >> bit & 1 else y * x
    return sm.compile([x], [y, sm.gradients(sm.sum(y), x)], backend="native")


compiled(0)(np.ones(3))
done, pid = threading.Event(), os.getpid()


def interrupt():
    chance = random.Random(0)
    for _ in range(25):
        expected.wait()
        expected.clear()
        time.sleep(chance.uniform(0.0, 0.1))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


expected = threading.Event()
threading.Thread(target=interrupt, daemon=True).start()
caught = 0
for trial in range(25):
    try:
        expected.set()
        while True:
            loops._codes = jit.Latest(2)
            compiled(random.getrandbits(6))(np.ones(3))
    except KeyboardInterrupt:
        caught += 1
worker = threading.Thread(target=lambda: compiled(3)(np.ones(3)))
worker.start()
worker.join(60)
print(caught, worker.is_alive(), np.isfinite(compiled(5)(np.ones(3))[0]).all())
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="threads get no signals here")
def test_control_c_while_code_is_made() -> None:
    """It is neither lost nor printed, and no lock stays taken."""
    program = [sys.executable, "-c", INTERRUPTED]
    variables = {**os.environ, "SYMAD_CACHE_DIR": ""}
    done = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "25 False True\n", "")


def test_functions_that_have_run_can_be_pickled() -> None:
    f = compiled(3.0)
    s = sm.Variable("s", shape=())
    g = sm.compile([s], {"a": sm.sin(s), "b": [s * 2]}, backend="native")
    x = np.linspace(0, 1, 100)
    assert_right(f, 3.0, x)
    assert_right(pickle.loads(pickle.dumps(f)), 3.0, x)
    g(1.0)
    again = pickle.loads(pickle.dumps(g))
    assert [again(1.0) for _ in range(2)] == [g(1.0)] * 2


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two"])
def test_numbers_of_threads_are_checked(threads: Any) -> None:
    with pytest.raises(GraphTypeError, match="not a number of threads"):
        compiled(1.0, threads)


def test_calls_at_the_end_of_the_interpreter() -> None:
    """Then no threads start any more: the caller does all of the work."""
    program = """
import atexit
import numpy as np
import symad as sm
x = sm.Variable("x", shape=("n",))
f = sm.compile([x], sm.exp(x) * 2 + x, backend="native", threads=2)
f(np.ones(300_000))
atexit.register(lambda: print(np.allclose(f(np.ones(300_000)), 2 * np.e + 1)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


# Sizes and odd values


def test_wide_graphs() -> None:
    xs = [sm.Variable(f"x{i}", shape=("n",)) for i in range(300)]
    outputs = [sm.exp(sm.add_n(xs) * 1e-3), *sm.gradients(sm.sum(sm.add_n(xs) ** 2), xs)]
    arrays = [np.full(9, 0.1 * i) for i in range(300)]
    total = np.sum(arrays, axis=0)
    got = sm.compile(xs, outputs, backend="native")(*arrays)
    np.testing.assert_allclose(got[0], np.exp(total * 1e-3))
    np.testing.assert_allclose(got[1:], np.tile(2 * total, (300, 1)))


def test_the_order_of_a_wide_graph_takes_no_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    xs = [sm.Variable(f"x{i}", shape=("n",)) for i in range(300)]
    compared = []
    plain = Node.__eq__

    def counting(self: Any, other: object) -> bool:
        compared.append(1)
        return bool(plain(self, other))

    y = sm.add_n(xs)
    monkeypatch.setattr(Node, "__eq__", counting)
    sm.Graph([y], xs)
    assert len(topological_order([y])) == 301
    assert len(compared) < 300


@pytest.mark.parametrize("count", [10, 1000])
def test_functions_of_very_many_numbers_have_native_code(count: int) -> None:
    xs = [sm.Variable(f"x{i}", shape=()) for i in range(count)]
    f = sm.compile(xs, [sm.add_n(xs), *xs[::-1]], backend="native")
    for _ in range(3):
        assert f(*range(count)) == [sum(range(count)), *reversed(range(count))]
    assert type(type(f).__call__) is type(len)


@pytest.mark.parametrize("number", [1e300, -1e39, 3.5e38])
def test_numbers_that_float32_does_not_hold_are_refused(number: float) -> None:
    x = sm.Variable("x", shape=(), dtype="float32")
    f = sm.compile([x], x * 2, backend="native")
    assert f(1.5) == f(1.5) == np.float32(3)
    with pytest.raises(FeedError, match="lose information"):
        f(number)
    assert f(float("inf")) == np.inf and np.isnan(f(float("nan")))


def test_what_memory_does_not_hold_is_refused() -> None:
    x = sm.Variable("x", shape=("n",))
    y = sm.where(x[:, None, None] > 0, x[:, None], x) * 2
    f = sm.compile([x], y, backend="native")
    with pytest.raises(EvaluationError, match=r"100000, ?100000, ?100000"):
        f(np.zeros(100_000))
    assert f(np.zeros(2)).shape == (2, 2, 2)


def test_values_that_are_not_of_their_type_are_not_read() -> None:
    """An op may infer what is not so; machine code would read past the end of its result."""
    x = sm.Variable("x", shape=(1000,))
    graph = native_graph(sm.Graph([sm.exp(x) * 2], [x]))
    program = program_of(graph)
    np.testing.assert_allclose(program([np.zeros(1000)])[0], 2)
    for wrong in (np.zeros(10), np.zeros(1000, "float32")):
        with pytest.raises(EvaluationError, match="infer"):
            program([wrong])


def test_rows_that_are_reshaped() -> None:
    """A number for each row may come as a row itself."""
    x = sm.Variable("x", shape=(17, 17))
    r = sm.Variable("r", shape=(1, 17))
    y = sm.sum(sm.exp(x), axis=1, keepdims=True) + sm.reshape(r, (17, 1)) * 2
    rng = np.random.default_rng(0)
    a, b = rng.random((17, 17)), rng.random((1, 17))
    got = sm.compile([x, r], y, backend="native")(a, b)
    np.testing.assert_allclose(got, np.exp(a).sum(axis=1, keepdims=True) + 2 * b.T)
