"""Workers of a Dask cluster, and arguments that are Dask arrays or futures.

Data is placed on workers, but no task is bound to one: where a worker goes, the scheduler computes
elsewhere what it can, and what only the caller has is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.distribution.chunks import ChunkLayout, Chunks, chunk_stops
from symad.distribution.executors import MOST_DEATHS, GroupTask, Outcomes, Workers, workers_died
from symad.distribution.placement import SMALL, Store
from symad.distribution.worker import ChunkProgram, merge_groups, run_group
from symad.errors import DistributionError, FeedError
from symad.graph.node import Node
from symad.records import cached_property
from symad.runtime.inputs import accept
from symad.types import Dimension, TensorType

if TYPE_CHECKING:
    from distributed import Client, Future

_DEAD = ("cancelled", "lost", "error")
_MERGED = 16
"""How many groups, a power of two, are merged on the cluster where there are more."""


class _Placed:
    """A value on the cluster, which is made again when it is lost.

    Parameters
    ----------
    future : Future
    make : callable
        Returns another future of the same value.
    is_kept : bool
        Whether it stays after it has been used.
    """

    def __init__(self, future: Future, make: Callable[[], Future], is_kept: bool = True) -> None:
        self._future: Future | None = future
        self._make, self._is_kept = make, is_kept

    def future(self) -> Future:
        """Return a future of the value."""
        found = self._future
        if found is None or found.status in _DEAD:
            found = self._make()
        self._future = found if self._is_kept else None
        return found


class DaskStore(Store):
    """Holds values on the workers of a cluster.

    Parameters
    ----------
    client : Client
    is_kept : bool
        Whether chunks of Dask arrays stay after they have been used once.
    """

    def __init__(self, client: Client, is_kept: bool) -> None:
        self._client, self._is_kept = client, is_kept

    @cached_property
    def _workers(self) -> list[str]:
        """The address of each worker, once for each of its threads; there is at least one."""
        self._client.wait_for_workers(1)
        threads = self._client.nthreads()
        return [worker for worker in sorted(threads) for _ in range(threads[worker])]

    def put_program(self, program: ChunkProgram) -> Any:
        """Send the program to a worker; others fetch it once."""
        return self._scattered([program])[0]

    def put_shared(self, values: Sequence[Any]) -> Any:
        """Send large values to a worker; others fetch them once."""
        large = [k for k, value in enumerate(values) if getattr(value, "nbytes", 0) > SMALL]
        placed = dict(zip(large, self._scattered([values[k] for k in large]), strict=True))
        return [placed.get(k, value) for k, value in enumerate(values)]

    def put_chunks(self, value: Any, axis: int, layout: ChunkLayout) -> list[Any]:
        """Send chunks of arrays to the workers in turn; chunks of a Dask array are computed."""
        if _is_dask_array(value):
            return self._computed(value, axis, layout)
        pieces = layout.pieces(value, axis)
        places = list(islice(cycle(self._workers), len(pieces)))
        found: dict[int, _Placed] = {}
        for worker in dict.fromkeys(places):  # all inputs of a group go to the same worker
            mine = [k for k, place in enumerate(places) if place == worker]
            sent = self._scattered([pieces[k] for k in mine], worker)
            found.update(zip(mine, sent, strict=True))
        return [found[k] for k in range(len(pieces))]

    def _scattered(self, values: Sequence[Any], worker: str | None = None) -> list[_Placed]:
        """Send values to one worker, or to several in turn."""
        if not values:
            return []
        futures = self._sent(values, worker)
        pairs = zip(futures, values, strict=True)
        return [_Placed(future, self._send_again(value)) for future, value in pairs]

    def _sent(self, values: Sequence[Any], worker: str | None = None) -> list[Future]:
        """Send values, again if a worker dies in the meantime."""
        for _ in range(MOST_DEATHS):
            try:
                found: list[Future] = self._client.scatter(list(values), worker, hash=False)
                return found
            except OSError as error:  # an error of a connection
                worker, reason = None, error
        raise DistributionError(f"nothing can be sent to the workers: {reason}") from reason

    def _send_again(self, value: Any) -> Callable[[], Future]:
        return lambda: self._sent([value])[0]

    def _computed(self, array: Any, axis: int, layout: ChunkLayout) -> list[list[_Placed]]:
        sizes = tuple(np.diff((0, *layout.stops)).tolist())
        whole = array.rechunk({k: sizes if k == axis else -1 for k in range(array.ndim)})
        parts = list(whole.to_delayed().ravel())
        futures = self._client.compute(parts)
        placed = [
            _Placed(future, self._compute_again(part), self._is_kept)
            for future, part in zip(futures, parts, strict=True)
        ]
        return [[placed[chunk] for chunk in group] for group in layout.groups()]

    def _compute_again(self, part: Any) -> Callable[[], Future]:
        return lambda: self._client.compute(part)


class DaskWorkers(Workers):
    """Runs groups on a Dask cluster.

    Parameters
    ----------
    client : Client

    Attributes
    ----------
    width : int
        How many threads all workers had when a dimension was cut last.
    """

    width = 1
    groups_each = 2  # a task costs its scheduler milliseconds

    def __init__(self, client: Client) -> None:
        self._client = client

    def accept(
        self, value: Any, node: Node, sizes: dict[Dimension, int], axis: int | None
    ) -> Any:
        """Return Dask arrays and futures as Dask arrays if they are in chunks, else their value."""
        from dask.array import concatenate
        from distributed import Future

        if axis is None:
            if _is_dask_array(value):
                value = self._client.compute(value)
            return accept(value.result() if isinstance(value, Future) else value, node, sizes)
        if isinstance(value, list) and value and all(isinstance(p, Future) for p in value):
            value = concatenate([self._as_array(part) for part in value], axis)
        elif isinstance(value, Future):
            value = self._as_array(value)
        if _is_dask_array(value):
            return _accepted(value, node, sizes)
        return accept(value, node, sizes)

    def _as_array(self, future: Future) -> Any:
        """Return the value of a future as a Dask array of one chunk, where it is."""
        from dask import delayed
        from dask.array import from_delayed

        shape, dtype = self._client.submit(_shape_and_dtype, future).result()
        return from_delayed(delayed(future), shape, dtype)

    def layout(self, chunks: Chunks, size: int, values: Sequence[tuple[Any, int]]) -> ChunkLayout:
        """Return where values are cut: where a Dask array is, unless that is given."""
        self.width = sum(self._client.nthreads().values()) or 1
        own = [value.chunks[axis] for value, axis in values if _is_dask_array(value)]
        if not own:
            return super().layout(chunks, size, values)
        sizes = tuple([n for n in own[0] if n]) or (size,)
        return ChunkLayout(chunk_stops(size, chunks or sizes), 0)

    def store(self, is_kept: bool = False) -> Store:
        """Return a store on the cluster."""
        return DaskStore(self._client, is_kept)

    def run(self, tasks: Sequence[GroupTask]) -> Outcomes:
        """Submit all tasks, and again those whose data was lost with a worker.

        Where there are many, the cluster merges the results of several before they travel.
        """
        from distributed import as_completed

        width = _MERGED if len(tasks) > _MERGED else 1
        left = {k: tasks[k : k + width] for k in range(0, len(tasks), width)}
        losses = 0
        while left:
            before = len(left)
            futures = {self._submit(block): k for k, block in left.items()}
            done = as_completed(list(futures), with_results=True, raise_errors=False)
            try:
                for future, result in done:
                    k = futures.pop(future)
                    if future.status == "finished":
                        yield _range_of(left.pop(k)), result
                    elif future.status == "error":
                        raise _failed(left[k], future.exception())
            finally:
                if futures:
                    self._client.cancel(list(futures))
            losses = losses + 1 if len(left) == before else 0
            if left and losses >= MOST_DEATHS:
                chunks = _range_of(next(iter(left.values())))
                raise workers_died(chunks, "The data was lost with them.")

    def _submit(self, block: Sequence[GroupTask]) -> Future:
        """Submit some groups and the merge of their results."""
        futures = [
            self._client.submit(run_group, *map(_futures_in, task.arguments), pure=False)
            for task in block
        ]
        if len(block) == 1:
            return futures[0]
        program = _futures_in(block[0].program)
        return self._client.submit(merge_groups, program, futures, pure=False)


def _range_of(block: Sequence[GroupTask]) -> range:
    return range(block[0].chunks.start, block[-1].chunks.stop)


def _futures_in(value: Any) -> Any:
    """Return a nested list with futures for what is placed."""
    if isinstance(value, list):
        return [_futures_in(item) for item in value]
    return value.future() if isinstance(value, _Placed) else value


def _is_dask_array(value: Any) -> bool:
    from dask.array import Array

    return isinstance(value, Array)


def _shape_and_dtype(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    array = np.asarray(value)
    return array.shape, array.dtype


def _accepted(array: Any, node: Node, sizes: dict[Dimension, int]) -> Any:
    """Return a Dask array that fits an input, without computing it."""
    type_ = node.type
    assert isinstance(type_, TensorType)
    if any(np.isnan(size) for size in array.shape):
        raise FeedError(
            f"{node.label!r} was fed a Dask array whose chunks have unknown sizes",
            remedy="Compute them: x.compute_chunk_sizes().",
        )
    fits = np.can_cast(array.dtype, type_.dtype, "safe")
    like = np.broadcast_to(np.zeros((), type_.dtype if fits else array.dtype), array.shape)
    accept(like, node, sizes)
    return array.astype(type_.dtype)


def _failed(block: Sequence[GroupTask], error: BaseException | None) -> DistributionError:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return workers_died(_range_of(block), f"Dask says: {error}")
    found = DistributionError(
        f"a worker cannot compute: {type(error).__name__}: {error}",
        remedy="Install the same symad and its dependencies on all workers.",
    )
    found.__cause__ = error
    return found
