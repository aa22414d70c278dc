"""Pausing the garbage collector while many nodes are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from symad.graph.collector import collector_paused


@pytest.fixture
def thawed() -> Iterator[None]:
    """Let there be no frozen objects, as in most programs."""
    gc.unfreeze()
    yield
    gc.freeze()


def _is_old(thing: object) -> bool:
    return any(thing is each for each in gc.get_objects(generation=2))


@pytest.mark.parametrize(("count", "is_old"), [(200_000, True), (100, False)])
def test_what_is_made_in_a_pause_is_not_visited(thawed: None, count: int, is_old: bool) -> None:
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(count)]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert _is_old(made[-1]) == is_old


def test_frozen_objects_stay_frozen(thawed: None) -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(200_000)]
    assert made and abs(gc.get_freeze_count() - frozen) < 100


def test_old_cycles_are_still_collected(thawed: None) -> None:
    with collector_paused():
        made: list[list[object]] = [[] for _ in range(200_000)]
        made[0].append(made)
    gc.collect()
    del made
    assert gc.collect() > 200_000
