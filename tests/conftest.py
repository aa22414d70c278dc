"""What all tests share: ``--quick``, which runs a sample that is the same each time; a limit on the
processor time of each test; and how tests are shared out among processes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import symad.passes.forms  # noqa: F401  before a test keeps the table of functions and restores it
from symad.backends.base import Backend
from symad.backends.native import jit
from symad.backends.native.backend import NativeBackend
from symad.graph.op import OP_CLASSES, Op
from tests.support import all_ops, time_limit  # noqa: F401
from tests.support.quick_code import emit_quick_code
from tests.support.time_limit import pytest_runtest_call as pytest_runtest_call

collect_ignore = ["packaging/users"]
"""Programs for type checkers, one of them wrong on purpose."""

LEFT_OUT = (
    "demo",
    "documents",
    "graph/test_scale.py",
    "ops/test_against_jax.py",
    "packaging",
    "player/test_player_browser.py",
    "test_benchmarks.py",
)
"""What takes long to load or to run, and tests whole systems rather than parts."""

LONG = (
    "against_jax", "depth_is", "grow", "linear", "long_chain", "many_terms", "quadratic",
    "thousand",
)  # fmt: skip
"""What the names of tests hold that compare with JAX, or show on large graphs how costs grow."""

TOGETHER = ("tests/packaging/",)
"""Folders whose files share what takes long to build."""

FIRST = (
    "packaging/",
    "documents/test_site.py",
    "player/test_player_browser.py",
    "ops/test_op_table.py",
    "backends/test_native_safety.py",
    "graph/test_scale.py",
    "ops/test_linalg.py",
    "documents/",
    "test_benchmarks.py",
)
"""What takes longest, so that no process runs it while the others have nothing left to do."""

PER_FUNCTION = 2
"""How many of the parameters of a test are taken, of each family of ops where they are ops."""

HERE = Path(__file__).parent
DTYPES = ("bool", "int", "uint", "float16", "float32")


@pytest.fixture(autouse=True)
def _programs_are_made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the pipeline for each function: programs that earlier tests stored would hide it.

    Only tests of backends need machine code that is emitted with all effort.
    """
    monkeypatch.setattr(NativeBackend, "lasting_program", Backend.lasting_program)
    if not request.node.nodeid.startswith("tests/backends/"):
        emit_quick_code(monkeypatch)


@pytest.fixture(name="quick_code")
def _quick_code(monkeypatch: pytest.MonkeyPatch) -> None:
    emit_quick_code(monkeypatch)


@pytest.fixture(autouse=True, scope="session")
def _no_code_is_replaced() -> None:
    """Leave that to the end of the process: a thread would disturb what tests count."""
    jit._postponed()._pause = 1e6


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "run a sample of the tests: one dtype, a few of each kind"
    parser.addoption("--quick", action="store_true", help=text)
    time_limit.pytest_addoption(parser)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out before they are loaded."""
    if not config.getoption("--quick") or not collection_path.is_relative_to(HERE):
        return None
    return collection_path.relative_to(HERE).as_posix() in LEFT_OUT or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # a process of pytest-xdist
        items.sort(key=lambda item: _rank(item.nodeid))
    if config.getoption("--quick"):
        kept = sample(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let processes of pytest-xdist send only what the first process counts and shows."""
    if hasattr(session.config, "workerinput"):
        for plugin in session.config.pluginmanager.get_plugins():
            if type(plugin).__name__ == "WorkerInteractor":
                plugin.sendevent = partial(_send, plugin.sendevent)


def _send(send: Callable[..., None], name: str, **event: Any) -> None:
    """Send an event, but none of a test that begins, nor of a fixture that has passed."""
    report = event["data"] if name == "testreport" else {"when": "call"}
    if name != "logstart" and (report["when"] == "call" or report["outcome"] != "passed"):
        send(name, **event)


def pytest_collection_finish() -> None:
    """Spare the garbage collector all tests and modules: it would walk through them each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole files: what a file builds or compiles once is not built twice.

    Giving out single tests would take as long as running the shorter ones.
    """
    from xdist.scheduler import LoadScopeScheduling

    class InFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return next((folder for folder in TOGETHER if path.startswith(folder)), path)

    config.option.loadscopereorder = False
    return InFiles(config, log)


def _rank(nodeid: str) -> int:
    """Return where a test stands in :data:`FIRST`."""
    places = (place for place, path in enumerate(FIRST) if nodeid.startswith(f"tests/{path}"))
    return next(places, len(FIRST))


def sample(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Return a few of the tests of each function: in float64, and of each family of ops."""
    functions: dict[str, list[pytest.Item]] = {}
    for item in items:
        functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept: set[pytest.Item] = set()
    for name, tests in functions.items():
        families: dict[str, list[pytest.Item]] = {}
        if any(word in name.rpartition("::")[2] for word in LONG):
            continue
        tests = [test for test in tests if test.get_closest_marker("slow") is None]
        for test in [test for test in tests if not _is_other_dtype(test)] or tests:
            families.setdefault(_family(test), []).append(test)
        for family in families.values():
            kept.update(spread(family, PER_FUNCTION))
    return kept


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """Return so many of the values at equal distances, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[round(k * (len(values) - 1) / (count - 1))] for k in range(count)]


def _parameters(test: pytest.Item) -> list[Any]:
    call = getattr(test, "callspec", None)
    return [] if call is None else list(call.params.values())


def _is_other_dtype(test: pytest.Item) -> bool:
    return any(str(value).startswith(DTYPES) for value in _parameters(test))


def _family(test: pytest.Item) -> str:
    """Return the module of the op that a test is about, if it is about one."""
    for value in _parameters(test):
        op = OP_CLASSES.get(value) if isinstance(value, str) else value
        op = getattr(op, "op_class", op)
        if isinstance(op, (type, Op)):
            return op.__module__
    return ""
