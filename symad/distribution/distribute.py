"""distribute: a compiled function that many workers compute, each on chunks of a dimension."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from time import perf_counter
from typing import Any

import numpy as np

from symad.distribution.chunks import ChunkLayout, checked_chunks
from symad.distribution.combine import Merge, merge_results
from symad.distribution.executors import ExecutorWorkers, GroupTask, Workers, thread_pool
from symad.distribution.placement import Store
from symad.distribution.progress import progress_bar
from symad.distribution.split import SIZE, Split, split
from symad.distribution.worker import ChunkProgram, GroupFailure
from symad.errors import DistributionError, FeedError, did_you_mean
from symad.graph.nested import leaves, matching_leaves, rebuild
from symad.graph.node import Node, Parameter
from symad.graph.op import explained
from symad.records import cached_property, dataclass
from symad.runtime.compiler import compile
from symad.runtime.function import Function
from symad.runtime.inputs import Binding
from symad.types import Dimension


@explained
def distribute(
    function: Function,
    over: str,
    executor: Any = None,
    chunks: Any = None,
    progress: bool | None = None,
) -> DistributedFunction:
    """Return a function that computes the same in chunks of a dimension, by many workers.

    Before anything is computed, it is proved that the results of chunks can be merged into that of
    the whole: other functions are refused.  Each chunk is computed by machine code that its worker
    compiles once.  The results have the same bits for any number and kind of workers, as long as
    they have the same processors, and the chunks are the same.

    Parameters
    ----------
    function : Function
        Compiled by :func:`compile`.  Parameters stay with the caller, who updates them after all
        chunks have arrived.
    over : str
        The name of the dimension, in the shapes of inputs.
    executor : int, Executor, callable or dask.distributed.Client, optional
        Who computes: so many new processes of this machine; any executor of ``concurrent.futures``;
        what a callable returns, which is called again if its workers die; or a Dask cluster, for
        which arguments may be Dask arrays and futures.  By default, a thread for each processor.
    chunks : int or sequence of int, optional
        The size of all chunks, of which the last may be smaller, or of each chunk.  By default,
        there are 64 of about the same size, or those of a Dask array.
    progress : bool, optional
        Whether a bar is shown; by default, in calls of more than a second on a terminal or in a
        notebook, if tqdm is installed.

    Returns
    -------
    DistributedFunction

    Raises
    ------
    DistributionError
        If the function cannot be computed in chunks, with the op and your line; or if ``executor``
        or ``chunks`` are not as described.
    SavedGraphError
        If the function contains Python code, which does not travel: see :func:`save`.

    Examples
    --------
    >>> import numpy as np
    >>> import symad as sm
    >>> X, w = sm.Variable("X", shape=("batch", 2)), sm.Variable("w", shape=(2,))
    >>> loss = sm.mean((X @ w - 1) ** 2)
    >>> f = sm.compile([X, w], [loss, sm.gradients(loss, w)])
    >>> with sm.distribute(f, over="batch", chunks=100) as d:
    ...     d(np.ones((1000, 2)), np.array([1.0, 2.0]))
    [np.float64(4.0), array([4., 4.])]
    """
    if not isinstance(function, Function):
        raise DistributionError(
            f"{function!r:.60} is not a compiled function", remedy="Compile it with sm.compile."
        )
    made = split(function, over)
    return DistributedFunction(function, made, workers_for(executor), chunks, progress)


def workers_for(executor: Any) -> Workers:
    """Return workers of the kind that ``executor`` says: see :func:`distribute`."""
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(executor, distributed.Client):
        if executor.asynchronous:
            raise DistributionError("executor is an asynchronous client, whose results are awaited")
        from symad.distribution.dask_workers import DaskWorkers

        return DaskWorkers(executor)
    if isinstance(executor, (int, np.integer)) and not isinstance(executor, bool) and executor > 0:
        from symad.distribution.processes import ProcessWorkers

        return ProcessWorkers(int(executor))
    if executor is None:
        return ExecutorWorkers(thread_pool)
    if isinstance(executor, Executor) or callable(executor):
        return ExecutorWorkers(executor)
    raise DistributionError(
        f"executor is {executor!r:.60}",
        remedy="Give a number of processes, an executor of concurrent.futures, a callable that "
        "returns one, or a dask.distributed.Client.",
    )


@dataclass(frozen=True, slots=True)
class WorkReport:
    """How the work of a call was done.

    Attributes
    ----------
    chunks, groups : int
        How many there were; a group is computed by one worker.
    workers : int
        How many groups could run at the same time.
    seconds : float
        What it took until all results were merged.
    worker_seconds : float
        What workers spent computing, all together.
    """

    chunks: int
    groups: int
    workers: int
    seconds: float
    worker_seconds: float

    @property
    def share(self) -> float:
        """The share of the workers' time that they spent computing."""
        return self.worker_seconds / (self.seconds * self.workers)


class DistributedFunction:
    """A compiled function whose calls many workers compute; made by :func:`symad.distribute`.

    A call takes the arguments of the function and returns its results.  If a chunk fails, the call
    raises an error that says which, and no parameter changes.  If workers die, what they had is
    computed again; an executor that was passed in cannot be replaced, so that is an error.

    Close it, or use it in a ``with`` statement, to stop the workers that it has started.

    Attributes
    ----------
    function : Function
    split : Split
        What workers compute, and what the caller does with the merged results.
    report : WorkReport or None
        How the work of the latest call was done.
    """

    def __init__(
        self,
        function: Function,
        split: Split,
        workers: Workers,
        chunks: Any = None,
        progress: bool | None = None,
    ) -> None:
        self.function = function
        self.split = split
        self.report: WorkReport | None = None
        self.workers = workers
        self.chunks = checked_chunks(chunks)
        self.progress = progress
        axes, takes = split.chunked_inputs, split.worker_takes
        self.chunked = {k: axes[k][0] for k in takes if k != SIZE and axes[k]}
        self.shared = [k for k in takes if k not in self.chunked]
        nodes = dict(zip(takes, split.worker.inputs, strict=True))
        inputs = [nodes[k] for k in (*self.chunked, *self.shared)]
        chunk_function = _compiled(function, inputs, list(split.worker.outputs))
        self._program = ChunkProgram.of(chunk_function, split.merges)
        self._caller, self._caller_takes = _caller(function, split)
        self._held = ExitStack()
        self._is_closed = False

    @cached_property
    def program(self) -> Any:
        """What workers compute for each chunk, or where they find it."""
        store = self._held.enter_context(closing(self.workers.store(is_kept=True)))
        return store.put_program(self._program)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return the outputs for the given inputs, as the function does.

        Raises
        ------
        FeedError
            If an argument is missing, unknown, or of the wrong type or shape.
        DistributionError
            If a chunk fails, workers have another version of symad, or they die again and again.
        """
        with self.bind() as job:
            return job(*args, **keywords)

    def bind(self, **arguments: Any) -> DistributedJob:
        """Place some arguments where the workers find them, for many calls with the others.

        Parameters
        ----------
        **arguments
            By the names of inputs.

        Returns
        -------
        DistributedJob
            A function of the other arguments; close it to free what was placed.

        Raises
        ------
        FeedError
            If a name is unknown, or a value does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import symad as sm
        >>> X, w = sm.Variable("X", shape=("batch", 2)), sm.Variable("w", shape=(2,))
        >>> d = sm.distribute(sm.compile([X, w], sm.sum(X @ w)), over="batch")
        >>> with d.bind(X=np.ones((1000, 2))) as job:
        ...     job([1.0, 2.0]), job(w=[1.0, 0.0])
        (np.float64(3000.0), np.float64(1000.0))
        >>> d.close()
        """
        self.check_open()
        return DistributedJob(self, arguments)

    def check_open(self) -> None:
        """Raise an error if it is closed."""
        if self._is_closed:
            raise DistributionError("the distributed function is closed")

    def merged(
        self, tasks: Sequence[GroupTask], layout: ChunkLayout, start: float
    ) -> list[Any]:
        """Return the merged results of all chunks, and report on a call that began at ``start``."""
        spent = 0.0
        tree = _MergeTree(self.split.merges)
        with (
            progress_bar(self.progress, len(layout.stops)) as advance,
            closing(self.workers.run(tasks)) as outcomes,
        ):
            for finished, outcome in outcomes:
                if isinstance(outcome, GroupFailure):
                    raise self._failure(outcome, layout)
                tree.add(finished, outcome.values)
                spent += outcome.seconds
                advance(len(finished))
        taken = perf_counter() - start
        chunks, width = len(layout.stops), self.workers.width
        self.report = WorkReport(chunks, len(tasks), width, taken, spent)
        return tree.result()

    def finished(self, merged: Sequence[Any], values: Mapping[int, Any]) -> Any:
        """Return the outputs for merged results, and update the parameters."""
        return self._caller(*merged, *[values[k] for k in self._caller_takes])

    def _failure(self, failure: GroupFailure, layout: ChunkLayout) -> DistributionError:
        error, chunk = failure.error, failure.chunk
        message = error.message
        if chunk is not None:
            start, stop = layout.bounds(chunk)
            message = (
                f"chunk {chunk} of {len(layout.stops)}, {self.split.over}[{start}:{stop}], "
                f"failed: {message}"
            )
        return DistributionError(message, where=error.where, remedy=error.remedy)

    def close(self) -> None:
        """Stop the workers that were started here, and free what was placed."""
        self._is_closed = True
        self._held.close()
        self.workers.close()

    def __enter__(self) -> DistributedFunction:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DistributedFunction of {self.function!r} over {self.split.over!r}>"


class DistributedJob:
    """A distributed function with some arguments in place; made by ``DistributedFunction.bind``.

    What is placed is not looked at again: do not change the arrays.  With an executor whose workers
    are neither threads nor processes of this machine, nothing can be placed: the data travels with
    each group of chunks.
    """

    def __init__(self, distributed: DistributedFunction, arguments: Mapping[str, Any]) -> None:
        self._distributed = distributed
        function = distributed.function
        self._numbers = {node: k for k, node in enumerate(function.graph.inputs)}
        self._binding = Binding(function.name, function.inputs)
        self._bound = _by_place(self._binding, arguments)
        self._sizes: dict[Dimension, int] = {}
        pairs = [(self._binding.arguments[k], value) for k, value in self._bound.items()]
        nodes = [node for argument, _ in pairs for node in leaves(argument)]
        values = [v for pair in pairs for v in matching_leaves(*pair, "input", FeedError)]
        self._values = self._accepted(nodes, values, self._sizes)
        self._store = distributed.workers.store(is_kept=True)
        self._is_closed = False
        try:
            size = self._sizes.get(distributed.split.over)
            self._layout = None if size is None else self._layout_of(self._values, size)
            self._places = self._placed(self._store, self._values, self._layout)
        except BaseException:
            self._store.close()
            raise

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return the outputs for the other arguments: see :class:`DistributedFunction`."""
        distributed, sizes = self._distributed, dict(self._sizes)
        distributed.check_open()
        if self._is_closed:
            raise DistributionError("the job is closed: what it had placed is freed")
        given = self._with_bound(args, keywords)
        pairs = zip(self._binding.nodes, given, strict=True)
        others = {n: value for n, value in pairs if self._numbers[n] not in self._values}
        new = self._accepted(others, others.values(), sizes)
        size = sizes[distributed.split.over]
        with ExitStack() as held:
            for parameter in sorted(distributed.function.parameters, key=id):
                held.enter_context(parameter.lock)
                new[self._numbers[parameter]] = parameter.value
            new[SIZE] = np.int64(size)
            merged = self._merged(new, size) if distributed.split.merges else []
            return distributed.finished(merged, self._values | new)

    def _with_bound(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Sequence[Any]:
        """Return the value of each node, for the arguments that are not bound."""
        bound, given = dict(self._bound), deque(args)
        first: list[Any] = []
        while given:
            place = len(first)
            first.append(bound.pop(place) if place in bound else given.popleft())
        by_name = {name: bound[k] for name, k in self._binding.names().items() if k in bound}
        if twice := keywords.keys() & by_name.keys():
            raise FeedError(f"{min(twice)!r} is bound already")
        return self._binding.values(tuple(first), keywords | by_name)

    def _accepted(
        self, nodes: Iterable[Node], values: Iterable[Any], sizes: dict[Dimension, int]
    ) -> dict[int, Any]:
        """Return the checked values of inputs, by their numbers in the graph."""
        distributed, found = self._distributed, {}
        for node, value in zip(nodes, values, strict=True):
            k = self._numbers[node]
            axis = next(iter(distributed.split.chunked_inputs[k]), None)
            found[k] = distributed.workers.accept(value, node, sizes, axis)
        return found

    def _layout_of(self, values: Mapping[int, Any], size: int) -> ChunkLayout:
        distributed = self._distributed
        pairs = [(values[k], axis) for k, axis in distributed.chunked.items() if k in values]
        return distributed.workers.layout(distributed.chunks, size, pairs)

    def _placed(
        self, store: Store, values: Mapping[int, Any], layout: ChunkLayout | None
    ) -> dict[int, Any]:
        """Return where workers find values; those in chunks, for each group."""
        chunked = self._distributed.chunked
        shared = [k for k in self._distributed.shared if k in values]
        places = store.put_shared([values[k] for k in shared])
        found = dict(zip(shared, places, strict=True))
        for k, axis in chunked.items():
            if k in values:
                assert layout is not None
                found[k] = store.put_chunks(values[k], axis, layout)
        return found

    def _merged(self, new: Mapping[int, Any], size: int) -> list[Any]:
        """Return the merged results of all chunks, for the new values and those in place."""
        distributed, start = self._distributed, perf_counter()
        layout = self._layout or self._layout_of(new, size)
        with closing(distributed.workers.store()) as store:
            places = self._places | self._placed(store, new, layout)
            shared = [places[k] for k in distributed.shared]
            columns = [places[k] for k in distributed.chunked]
            tasks = [
                GroupTask(chunks, distributed.program, pieces, shared)
                for chunks, *pieces in zip(layout.groups(), *columns, strict=True)
            ]
            return distributed.merged(tasks, layout, start)

    def close(self) -> None:
        """Free what was placed."""
        self._is_closed = True
        self._store.close()

    def __enter__(self) -> DistributedJob:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _MergeTree:
    """Merges results of blocks of 2ᵏ chunks as they arrive, each with its neighbour of one size.

    The order of the sums is that of :func:`~symad.distribution.combine.merge_tree`.
    """

    def __init__(self, merges: Sequence[Merge]) -> None:
        self._merges = merges
        self._held: dict[tuple[int, int], Sequence[Any]] = {}  # by k and the number of the block

    def add(self, chunks: range, values: Sequence[Any]) -> None:
        """Add the results of a block; the last one may be smaller."""
        level = (len(chunks) - 1).bit_length()
        block = chunks.start >> level
        while (other := self._held.pop((level, block ^ 1), None)) is not None:
            pair = (other, values) if block % 2 else (values, other)
            values = merge_results(self._merges, *pair)
            level, block = level + 1, block >> 1
        self._held[level, block] = values

    def result(self) -> list[Any]:
        """Return the merged results of all; the blocks that are left become smaller."""
        blocks = sorted(self._held, key=lambda key: key[1] << key[0])
        values = self._held[blocks.pop()]
        while blocks:
            values = merge_results(self._merges, self._held[blocks.pop()], values)
        return list(values)


def _by_place(binding: Binding, arguments: Mapping[str, Any]) -> dict[int, Any]:
    """Return arguments by their places in a call."""
    names = binding.names()
    if unknown := [name for name in arguments if name not in names]:
        raise FeedError(
            f"there is no input {unknown[0]!r}.{did_you_mean(unknown[0], names)}",
            remedy=f"The inputs are {', '.join(names)}.",
        )
    return {names[name]: value for name, value in arguments.items()}


def _compiled(function: Function, inputs: Sequence[Node], outputs: Any, **more: Any) -> Function:
    """Compile a part of a function as the function is."""
    settings = function.settings
    return compile(
        inputs,
        outputs,
        backend=settings.backend,
        name=function.name,
        threads=settings.threads,
        rewrites=settings.grade.name.lower(),  # type: ignore[arg-type]
        recompute=settings.recompute,
        fastmath=settings.fastmath,
        **more,
    )


def _caller(function: Function, split: Split) -> tuple[Function, list[int]]:
    """Return what computes the outputs from merged results, and the inputs that it takes besides.

    Parameters are read and updated by the function itself.
    """
    merged = len(split.worker.outputs)
    pairs = zip(split.caller.inputs[merged:], split.caller_takes, strict=True)
    others = {node: k for node, k in pairs if not isinstance(node, Parameter)}
    values = iter(split.caller.outputs)
    outputs = rebuild(function.outputs, values)
    updates = dict(zip(function.updates, values, strict=True))
    inputs = [*split.caller.inputs[:merged], *others]
    return _compiled(function, inputs, outputs, updates=updates), list(others.values())
