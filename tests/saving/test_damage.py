"""Damaged files: each is refused with an error of symad's, or read; nothing is run.

``SYMAD_SAVED_MUTATIONS`` sets how many damaged files are tried.  The long run is::

    SYMAD_SAVED_MUTATIONS=1000000 python -m pytest tests/saving/test_damage.py
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import SavedGraphError
from symad.saving.op_names import find_op
from tests.ops.test_op_table import CASES
from tests.support.mutations import mutated
from tests.support.op_checks import build
from tests.support.saved import loaded, round_trip, saved

MUTATIONS = int(os.environ.get("SYMAD_SAVED_MUTATIONS", "3000"))
FIRST = int(os.environ.get("SYMAD_SAVED_FIRST", "0"))
BATCH = 500

HARMLESS = {"builtins.id", "sys._getframe", "object.__getattr__", "object.__setattr__"}
_watched: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event not in HARMLESS:
        _watched[-1].append(f"{event} {arguments!r:.80}")


@contextmanager
def nothing_run() -> Iterator[None]:
    """Fail if Python reports an event: code compiled or run, a file opened, a module imported."""
    if not hasattr(nothing_run, "hook"):
        sys.addaudithook(_watch)
        nothing_run.hook = True
    _watched.append([])
    try:
        yield
        events = list(_watched[-1])
    finally:
        _watched.pop()
    assert not events


@cache
def corpus() -> tuple[bytes, ...]:
    """Return files with state, loops, branches, structures, and sparse results."""
    assert find_op("no such op") is None  # imports all ops that there are
    assert find_op("sparse_jacobian") is not None
    x, w = sm.Variable("x", shape=("n", 3)), sm.parameter("w", np.ones((3, 4)))
    u, c = sm.Variable("u"), sm.parameter("c", 1.0)
    loss = sm.sum(sm.tanh(x @ w) * c)
    with sm.scope("loop"):
        last, rows = sm.scan(lambda h, row: (h * 0.5 + sm.sum(row), h), sm.constant(0.0), x)
    branch = sm.cond(sm.sum(x) > 0, lambda: x * 2, lambda: x - 1)
    updates = {w: w - sm.gradients(loss, w), c: c + 1}
    steps = sm.while_loop(lambda k: k < 9, lambda k: k + 1, 0)
    values: list[Any] = [
        sm.compile({"x": x, "u": u}, (loss, [u * 2]), updates=updates),
        sm.compile([x], sm.gradients(last + sm.sum(rows) + sm.sum(branch), x)),
        [sm.structure({"a": u, "b": [u, x]})["b"], steps],
        sm.Graph([sm.jacobian(sm.sin(x[0]) * x[0], x, sparse=True)]),
        sm.gradients(sm.sum(u[1:, ..., None] ** 2) + sm.constant(np.arange(30.0))[3], u),
    ]
    samples = [case for case in CASES[7::37] if case.id != "call"]
    values += [list(build(case, knowledge="unknown").outputs) for case in samples]
    return tuple(saved(value) for value in values)


def damage(seed: int) -> bytes:
    rng = np.random.default_rng([seed, 5])
    files = corpus()
    return mutated(files[rng.integers(len(files))], rng)


def read(data: bytes) -> Any:
    """Return what a file holds, ``None`` if it is refused."""
    try:
        return loaded(data)
    except SavedGraphError:
        return None


@pytest.mark.parametrize("first", range(FIRST, FIRST + MUTATIONS, BATCH))
def test_damaged_files(first: int) -> None:
    corpus()
    read(damage(0))
    for seed in range(first, first + BATCH):
        data = damage(seed)
        with nothing_run():
            found = read(data)
        if found is not None and seed % 4 == 0:
            round_trip(found)


def test_memory_is_bounded() -> None:
    for seed in range(0, MUTATIONS, 50):
        data = damage(seed)
        tracemalloc.start()
        read(data)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 1_000_000 + 100 * len(data)
