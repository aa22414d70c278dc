"""Workers, and those that an executor of :mod:`concurrent.futures` runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from threading import Lock
from typing import Any

from symad.distribution.chunks import ChunkLayout, Chunks, chunk_stops, group_level
from symad.distribution.placement import FileStore, Store
from symad.distribution.worker import GroupFailure, GroupResult, run_group
from symad.errors import DistributionError
from symad.graph.node import Node
from symad.records import dataclass
from symad.runtime.inputs import accept
from symad.types import Dimension

Outcome = GroupResult | GroupFailure
Outcomes = Generator[tuple[range, Outcome], None, None]
"""The numbers of chunks that are finished, and their results."""

MOST_DEATHS = 5
"""How many workers may die over one group, or without any group being finished."""


@dataclass(frozen=True, slots=True)
class GroupTask:
    """What a worker computes at once: see :func:`~symad.distribution.worker.run_group`.

    Attributes
    ----------
    chunks : range
    program, pieces, shared
        Where workers find them.
    """

    chunks: range
    program: Any
    pieces: Sequence[Any]
    shared: Any

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments of ``run_group``."""
        return self.program, self.chunks.start, self.pieces, self.shared


class Workers:
    """Runs groups of chunks.

    Attributes
    ----------
    width : int
        How many groups run at the same time.
    groups_each : int
        How many groups there are for each worker: fewer cost less, more spread better.
    """

    width: int
    groups_each = 8

    def accept(
        self, value: Any, node: Node, sizes: dict[Dimension, int], axis: int | None
    ) -> Any:
        """Return the checked value of an input, which is cut along an axis or as a whole shared:
        see :func:`symad.runtime.inputs.accept`."""
        return accept(value, node, sizes)

    def layout(
        self, chunks: Chunks, size: int, values: Sequence[tuple[Any, int]]
    ) -> ChunkLayout:
        """Return where values are cut, each with the axis, if it is not where they say."""
        stops = chunk_stops(size, chunks)
        return ChunkLayout(stops, group_level(len(stops), self.groups_each * self.width))

    def store(self, is_kept: bool = False) -> Store:
        """Return a place for values, which are used once or kept for many calls."""
        return Store()

    def run(self, tasks: Sequence[GroupTask]) -> Outcomes:
        """Yield what is finished: aligned blocks of 2ᵏ chunks, or what of them exists.

        A task is repeated if its worker dies.  If the iterator is closed, the tasks that have not
        begun are cancelled.

        Raises
        ------
        DistributionError
            If workers die again and again.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop the workers that this object has started."""


def workers_died(chunks: range, remedy: str) -> DistributionError:
    """Return the error for workers that die again and again over some chunks."""
    where = f"chunk {chunks[0]}" if len(chunks) == 1 else f"chunks {chunks[0]} to {chunks[-1]}"
    return DistributionError(f"workers die again and again, the last over {where}", remedy=remedy)


class ExecutorWorkers(Workers):
    """Runs groups on an executor.

    If the executor is a pool of processes, these are on this machine, and find large arrays in
    shared memory.  To others, all values travel with each group; to threads, this costs nothing.

    Parameters
    ----------
    given : Executor, or callable that returns one
        A callable is called again when the workers of an executor have died.
    """

    def __init__(self, given: Executor | Callable[[], Executor]) -> None:
        self._make = None if isinstance(given, Executor) else given
        self._executor = given if isinstance(given, Executor) else given()
        self._lock = Lock()
        if not isinstance(self._executor, Executor):
            raise DistributionError(
                f"executor= was given a callable that returns {self._executor!r:.60}, which is no "
                "executor of concurrent.futures"
            )

    @property
    def width(self) -> int:  # type: ignore[override]
        """How many workers the executor says it has, or as many as there are processors."""
        count = getattr(self._executor, "_max_workers", None)
        return count if isinstance(count, int) and count > 0 else os.cpu_count() or 1

    def store(self, is_kept: bool = False) -> Store:
        """Return shared memory for processes of this machine."""
        return FileStore() if isinstance(self._executor, ProcessPoolExecutor) else Store()

    def run(self, tasks: Sequence[GroupTask]) -> Outcomes:
        """Submit all tasks, and again those that are left when the executor breaks."""
        left = dict(enumerate(tasks))
        deaths = 0
        while left:
            before, executor = len(left), self._executor
            futures: dict[Future[Outcome], int] = {}
            try:
                broken = _submit(executor, left, futures)
                for future in as_completed(list(futures)):
                    number = futures.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenExecutor as error:
                        broken = error
                    else:
                        yield left.pop(number).chunks, outcome
            finally:
                for future in futures:
                    future.cancel()
            deaths = deaths + 1 if len(left) == before else 0
            if broken is not None:
                if self._make is not None and deaths >= MOST_DEATHS:
                    chunks = next(iter(left.values())).chunks
                    raise workers_died(chunks, f"The executor says: {broken}")
                self._replace(executor, broken)

    def _replace(self, executor: Executor, error: BrokenExecutor) -> None:
        """Replace an executor, whose workers have died, unless another thread has done it."""
        if self._make is None:
            remedy = "Pass executor= a number, or a callable that makes one: it is then replaced."
            raise DistributionError(f"the executor is broken: {error}", remedy=remedy) from error
        with self._lock:
            if executor is self._executor:
                executor.shutdown(wait=False)
                self._executor = self._make()

    def close(self) -> None:
        """Shut the executor down, if it was made here."""
        if self._make is not None:
            self._executor.shutdown()


def _submit(
    executor: Executor, tasks: Mapping[int, GroupTask], futures: dict[Future[Outcome], int]
) -> BrokenExecutor | None:
    """Submit tasks until the executor breaks, and add their futures to ``futures``."""
    try:
        for number, task in tasks.items():
            futures[executor.submit(run_group, *task.arguments)] = number
    except BrokenExecutor as error:
        return error
    return None


def thread_pool() -> ThreadPoolExecutor:
    """Return a thread for each processor."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "symad")
