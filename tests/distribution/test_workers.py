"""Distributed calls: the same results for any workers, errors of chunks, and what is cut where."""

from __future__ import annotations

import gc
import io
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.distribution import worker
from symad.distribution.chunks import ChunkLayout, chunk_stops
from symad.distribution.combine import Merge, merge_tree
from symad.distribution.distribute import _MergeTree
from symad.distribution.placement import FileStore
from symad.distribution.worker import ChunkProgram, GroupFailure, GroupResult, run_group
from symad.errors import DistributionError, EvaluationError, FeedError, MissingExtraError

RNG = np.random.default_rng(0)
N = 203


class Inline(Executor):
    """Computes in the caller, with nothing shared but what a pickle holds."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        data = pickle.dumps((function, args, kw))
        self.bytes.append(len(data))
        function, args, kw = pickle.loads(data)
        future: Future[Any] = Future()
        try:
            future.set_result(pickle.loads(pickle.dumps(function(*args, **kw))))
        except Exception as error:
            future.set_exception(error)
        return future


def regression() -> tuple[sm.Function, sm.Parameter]:
    """Return a step with outputs of all kinds: a loss, a gradient, what is aligned, an update."""
    x = sm.Variable("X", ("batch", 5))
    w = sm.Variable("w", (5,))
    bias = sm.parameter("bias", 0.25)
    z = x @ w + bias
    loss = sm.mean(sm.log1p(z**2)) + 0.1 * sm.sum(w**2)
    slope, to_bias = sm.gradients(loss, [w, bias])
    outputs = {"loss": loss, "slope": slope, "z": z, "largest": sm.max(z), "of w": sm.sum(w)}
    return sm.compile([x, w], outputs, updates={bias: bias - 0.5 * to_bias}, name="step"), bias


DATA = RNG.standard_normal((N, 5))
WEIGHTS = RNG.standard_normal(5)


def bits(results: Any) -> list[bytes]:
    """Return the bytes of all results."""
    return [np.asarray(value).tobytes() for value in results.values()]


def run(executor: Any, chunks: Any, steps: int = 3) -> list[bytes]:
    """Return the bytes of the results of some steps, and of the parameter at the end."""
    f, bias = regression()
    with sm.distribute(f, over="batch", executor=executor, chunks=chunks) as d:
        found = [d(DATA, WEIGHTS)]
        with d.bind(X=DATA) as job:
            found += [job(w=WEIGHTS) for _ in range(steps - 1)]
    return [each for results in found for each in bits(results)] + [bias.value.tobytes()]


REFERENCE = {chunks: run(Inline(), chunks) for chunks in (None, 16, 1000)}


@pytest.mark.parametrize("chunks", REFERENCE)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_threads_give_the_same_bits(width: int, chunks: int | None) -> None:
    with ThreadPoolExecutor(width) as pool:
        assert run(pool, chunks) == REFERENCE[chunks]
    assert run(lambda: ThreadPoolExecutor(width), chunks) == REFERENCE[chunks]


@pytest.mark.parametrize("chunks", REFERENCE)
def test_the_default_gives_the_same_bits(chunks: int | None) -> None:
    assert run(None, chunks) == REFERENCE[chunks]


@pytest.mark.parametrize("chunks", [None, 1, 7, 64, N, 10 * N, (100, 1, 102), [N]])
def test_results_are_those_of_the_function(chunks: Any) -> None:
    f, bias = regression()
    g, expected_bias = regression()
    with sm.distribute(f, over="batch", chunks=chunks) as d:
        for _ in range(3):
            found, expected = d(DATA, WEIGHTS), g(DATA, WEIGHTS)
            assert list(found) == list(expected)
            for name, value in found.items():
                assert type(value) is type(expected[name])
                np.testing.assert_allclose(value, expected[name], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(bias.value, expected_bias.value, rtol=1e-12)


@pytest.mark.parametrize("options", [{"backend": "numpy"}, {"threads": 2}, {"fastmath": True}])
def test_workers_compile_as_the_function_is(options: dict[str, Any]) -> None:
    x = sm.Variable("x", ("n",))
    f = sm.compile([x], [sm.sum(sm.sin(x)), x * 2], **options)
    d = sm.distribute(f, over="n", executor=Inline(), chunks=7)
    worker._kept.clear()
    for found, expected in zip(d(DATA[:, 0]), f(DATA[:, 0]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    (kept,) = worker._kept.values()
    assert kept.settings == f.settings


@pytest.mark.parametrize("count", [*range(1, 20), 100])
def test_any_grouping_merges_in_one_order(count: int) -> None:
    merges = [Merge("sum"), Merge("aligned", 0)]
    chunks = [[RNG.standard_normal(3), np.full((1, 2), k)] for k in range(count)]
    whole = merge_tree(merges, chunks)
    for level in range(8):
        groups = ChunkLayout(tuple(range(1, count + 1)), level).groups()
        tree = _MergeTree(merges)
        for k in RNG.permutation(len(groups)):
            tree.add(groups[k], merge_tree(merges, [chunks[c] for c in groups[k]]))
        for found, expected in zip(tree.result(), whole, strict=True):
            assert found.tobytes() == expected.tobytes()


def test_the_dimension_may_be_any_axis_and_empty() -> None:
    x, y = sm.Variable("x", (3, "n"), "float32"), sm.Variable("y", ("n", 2, 2), "int64")
    f = sm.compile([x, y], [sm.sum(x, axis=1), x.T * 2, sm.sum(y), sm.sum(x)])
    with sm.distribute(f, over="n", chunks=4) as d:
        for n in (0, 1, 4, 9):
            a, b = np.arange(3 * n, dtype="f4").reshape(3, n), np.arange(4 * n).reshape(n, 2, 2)
            for found, expected in zip(d(a, b), f(a, b), strict=True):
                assert np.array_equal(found, expected) and found.dtype == expected.dtype


def test_arguments_may_be_structures_and_names() -> None:
    x, a, b = sm.Variable("x", ("n",)), sm.Variable("a", ()), sm.Variable("b", ("n",))
    f = sm.compile([x, {"a": a, "b": [b]}], (sm.sum(x * a + b), {"twice": 2 * a}))
    with sm.distribute(f, over="n") as d:
        given = {"a": 2.0, "b": [[1.0, 2.0, 3.0]]}
        assert d([1.0, 1.0, 1.0], given) == (12.0, {"twice": 4.0})
        with d.bind(input1=given) as job:
            assert job(x=[1.0, 1.0, 1.0]) == (12.0, {"twice": 4.0})
            with pytest.raises(FeedError, match="dimension 'n' is 2"):
                job([1.0, 1.0])
            with pytest.raises(FeedError, match="'input1' is bound already"):
                job(x=[1.0], input1=given)
            with pytest.raises(FeedError, match="not given 'x'"):
                job()
            with pytest.raises(FeedError, match="takes 2 inputs, but 3"):
                job([1.0], 2.0)
        with d.bind(x=[1.0, 1.0, 1.0]) as job:
            assert job(given) == job(input1=given) == (12.0, {"twice": 4.0})
        with pytest.raises(FeedError, match="no input 'y'"):
            d.bind(y=1.0)


def test_what_does_not_need_the_chunks_needs_no_workers() -> None:
    x, w = sm.Variable("x", ("n",)), sm.Variable("w", ())
    f = sm.compile([x, w], w * 2)
    executor = Inline()
    assert sm.distribute(f, over="n", executor=executor)([1.0, 2.0], 3.0) == 6.0
    assert executor.bytes == []


# Errors


def picked() -> tuple[sm.Function, sm.Parameter]:
    """Return a function that fails where an index is out of range."""
    table, count = sm.constant(np.arange(10.0)), sm.parameter("count", 0.0)
    k = sm.Variable("k", ("n",), "int64")
    total = sm.sum(table[k])
    return sm.compile([k], total, updates={count: count + total}), count


@pytest.mark.parametrize("make", [lambda: None, Inline, lambda: ThreadPoolExecutor(2)])
def test_a_chunk_that_fails_is_named_and_nothing_changes(make: Callable[[], Any]) -> None:
    f, count = picked()
    indices = np.arange(100) % 10
    d = sm.distribute(f, over="n", executor=make(), chunks=8)
    assert d(indices) == 450.0 and count.value == 450.0
    bad = indices.copy()
    bad[59] = 10
    with pytest.raises(DistributionError, match=r"chunk 7 of 13, n\[56:64\], failed: .*10") as e:
        d(bad)
    assert "test_workers.py" in e.value.where
    assert count.value == 450.0
    assert d(indices) == 450.0 and count.value == 900.0


def test_errors_of_the_caller_part_change_nothing() -> None:
    x, state = sm.Variable("x", ("n",)), sm.parameter("state", 0.0)
    k = sm.cast(sm.sum(x), "int64")
    f = sm.compile([x], sm.constant([1.0, 2.0])[k], updates={state: state + sm.sum(x)})
    d = sm.distribute(f, over="n")
    assert d([1.0]) == 2.0
    with pytest.raises(EvaluationError):
        d([1.0, 1.0, 1.0])
    assert state.value == 1.0


def program() -> ChunkProgram:
    x = sm.Variable("x", ("n",))
    return ChunkProgram.of(sm.compile([x], [sm.sum(x)]), [Merge("sum")])


def test_another_version_or_hash_is_refused() -> None:
    from symad.records import replace

    right = program()
    assert run_group(right, 0, [[np.ones(3)]], []).values == [3.0]  # type: ignore[union-attr]
    for wrong, text in (
        (replace(right, version="0.0.1", content="a"), "has symad .*, but the caller has 0.0.1"),
        (replace(right, meaning="0" * 64, content="b"), "another hash"),
        (replace(right, data=right.data[:-9], content="c"), "archive"),
    ):
        outcome = run_group(wrong, 0, [[np.ones(3)]], [])
        assert isinstance(outcome, GroupFailure) and outcome.chunk is None
        with pytest.raises(sm.SymadError, match=text):
            raise outcome.error


def test_a_refusal_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    f, _ = picked()
    d = sm.distribute(f, over="n", executor=Inline())
    monkeypatch.setattr(worker, "_version", lambda: "9.9")
    monkeypatch.setattr(worker, "_kept", type(worker._kept)())
    with pytest.raises(DistributionError, match="has symad 9.9"):
        d(np.arange(4))


def test_workers_keep_a_bounded_number_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_kept", type(worker._kept)())
    loads: list[int] = []
    load = worker.load
    monkeypatch.setattr(worker, "load", lambda *a: (loads.append(1), load(*a))[1])
    x = sm.Variable("x", ("n",))
    programs = [
        ChunkProgram.of(sm.compile([x], [sm.sum(x) * k]), [Merge("sum")]) for k in range(20)
    ]
    for each in programs:
        for _ in range(3):
            assert isinstance(run_group(each, 0, [[np.ones(2)]], []), GroupResult)
    assert len(loads) == 20 and len(worker._kept) == worker._MOST_KEPT


def test_rules_of_python_code_need_not_travel() -> None:
    x = sm.Variable("x", ("n",))
    mine = sm.custom(lambda v: v * 2, reverse=lambda y, g, v: (g * 2,))
    f = sm.compile([x], [sm.sum(mine(x) ** 2), sm.gradients(sm.sum(mine(x) ** 2), x)])
    found = sm.distribute(f, over="n", executor=Inline())([1.0, 2.0])
    expected = f([1.0, 2.0])
    assert found[0] == expected[0] and np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("executor", [0, -1, True, "threads", 2.0, object()])
def test_what_is_no_executor_is_refused(executor: Any) -> None:
    f, _ = picked()
    with pytest.raises(DistributionError, match="executor is"):
        sm.distribute(f, over="n", executor=executor)
    with pytest.raises(DistributionError, match="returns"):
        sm.distribute(f, over="n", executor=lambda: executor)


@pytest.mark.parametrize("chunks", [0, -3, True, 1.5, "a", (1, 0), (1, 1.5), object()])
def test_what_are_no_sizes_is_refused(chunks: Any) -> None:
    f, _ = picked()
    with pytest.raises(DistributionError, match="chunks is"):
        sm.distribute(f, over="n", chunks=chunks)


def test_sizes_must_add_up() -> None:
    f, _ = picked()
    with pytest.raises(DistributionError, match="have 3 elements together.*has 4"):
        sm.distribute(f, over="n", chunks=(1, 2))(np.arange(4))
    with pytest.raises(DistributionError, match="is not a compiled function"):
        sm.distribute(f.outputs, over="n")  # type: ignore[arg-type]


def test_what_is_closed_says_so() -> None:
    f, _ = picked()
    d = sm.distribute(f, over="n")
    job = d.bind(k=np.arange(3))
    assert job() == 3.0
    job.close()
    with pytest.raises(DistributionError, match="closed"):
        job()
    d.close()
    with pytest.raises(DistributionError, match="closed"):
        d(np.arange(3))


# Executors that break


class Breaking(Inline):
    """Is broken after some tasks, as a pool of processes is when one dies."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks = tasks

    def submit(self, function: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        self.tasks -= 1
        if self.tasks == -1:
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("one died"))
            return future
        if self.tasks < -1:
            raise BrokenExecutor("it is broken")
        return super().submit(function, *args, **kw)


def test_a_broken_executor_is_replaced_and_only_what_is_missing_repeated() -> None:
    f, _ = regression()
    made: list[Breaking] = []

    def make() -> Breaking:
        made.append(Breaking(10))
        return made[-1]

    with sm.distribute(f, over="batch", executor=make, chunks=2) as d:
        result = d(DATA, WEIGHTS)
        groups = d.report.groups if d.report else 0
    other, _ = regression()
    expected = sm.distribute(other, over="batch", executor=Inline(), chunks=2)(DATA, WEIGHTS)
    assert bits(result) == bits(expected)
    assert groups > 10 and len(made) == -(-groups // 10)
    assert sum(len(each.bytes) for each in made) == groups


def test_a_broken_executor_of_the_users_is_an_error() -> None:
    f, _ = picked()
    with pytest.raises(DistributionError, match="the executor is broken"):
        sm.distribute(f, over="n", executor=Breaking(1), chunks=2)(np.arange(10))


def test_executors_that_always_break_are_an_error() -> None:
    f, count = picked()
    with pytest.raises(DistributionError, match="again and again, the last over chunk 0"):
        sm.distribute(f, over="n", executor=lambda: Breaking(0), chunks=2)(np.arange(10))
    assert count.value == 0


# Files


def test_stores_leave_nothing_behind() -> None:
    store = FileStore()
    layout = ChunkLayout(chunk_stops(1000, 10), 2)
    array = np.arange(2000.0).reshape(1000, 2)
    pieces = store.put_chunks(array, 0, layout)
    assert np.array_equal(pieces[1][2].open(), array[60:70])
    assert not pieces[0][0].open().flags.writeable
    (folder,) = store._folders
    assert os.path.isdir(folder) and os.stat(folder).st_mode & 0o077 == 0
    store.close()
    assert not os.path.exists(folder)
    lost = FileStore()
    (folder,) = lost._folders
    del lost
    gc.collect()
    assert not os.path.exists(folder)


def test_a_full_memory_falls_back_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore()
    write = store._write

    def full(array: Any, folder: str) -> str:
        if folder == store._folders[0]:
            raise OSError(28, "No space left on device")
        return write(array, folder)

    monkeypatch.setattr(store, "_write", full)
    (place,) = store.put_shared([np.ones(1000)])
    assert np.array_equal(place.open(), np.ones(1000))
    folders = list(store._folders)
    assert len(folders) == 2
    store.close()
    assert not any(map(os.path.exists, folders))


@pytest.mark.parametrize("dtype", ["bool", "float16", "float32", "int8", "uint64"])
def test_any_array_can_be_placed(dtype: str) -> None:
    store = FileStore()
    for array in (np.ones((3, 500), dtype).T, np.zeros((0, 3), dtype), np.ones((), dtype)):
        (place,) = store.put_shared([array])
        found = worker.opened(place)
        assert np.array_equal(found, array) and found.dtype == array.dtype
    store.close()


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, progress: bool | None, file: io.StringIO) -> str:
    """Return what a call writes to a stream of errors."""
    monkeypatch.setattr(sys, "stderr", file)
    f, _ = picked()
    with sm.distribute(f, over="n", chunks=8, progress=progress) as d:
        d(np.arange(100) % 10)
    return file.getvalue()


def test_progress_is_shown_where_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    assert "/13" in shown(monkeypatch, True, io.StringIO())
    assert shown(monkeypatch, None, io.StringIO()) == ""
    assert shown(monkeypatch, None, Terminal()) == ""  # a short call
    assert shown(monkeypatch, False, Terminal()) == ""
    monkeypatch.setattr("symad.distribution.progress._PATIENCE", 0.0)
    assert "/13" in shown(monkeypatch, None, Terminal())
    assert shown(monkeypatch, False, Terminal()) == ""


def test_progress_needs_tqdm_only_if_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symad.distribution.progress.find_spec", lambda name: None)
    assert shown(monkeypatch, None, Terminal()) == ""
    with pytest.raises(MissingExtraError, match="tqdm"):
        shown(monkeypatch, True, Terminal())
