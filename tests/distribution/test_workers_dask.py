"""Dask: arguments on the cluster, and workers that go."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import DistributionError, FeedError
from tests.distribution.test_workers import DATA, REFERENCE, WEIGHTS, bits, picked, regression, run

pytestmark = pytest.mark.slow

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    patient = {"distributed.admin.tick.limit": "1h", "distributed.deploy.lost-worker-timeout": "1h"}
    with (
        dask.config.set(patient),  # on a busy machine
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1",
            silence_logs=60,
        ) as cluster,
        distributed.Client(cluster) as found,
    ):  # fmt: skip
        yield found


def expected(chunks: Any) -> list[bytes]:
    """Return the bytes of one call, with chunks of these sizes."""
    f, _ = regression()
    return bits(sm.distribute(f, over="batch", chunks=chunks)(DATA, WEIGHTS))


@pytest.mark.parametrize("chunks", REFERENCE)
def test_a_cluster_gives_the_same_bits(chunks: int | None, client: Any) -> None:
    assert run(client, chunks) == REFERENCE[chunks]
    assert run(client.get_executor(), chunks) == REFERENCE[chunks]
    assert run(client.get_executor, chunks) == REFERENCE[chunks]


ARRAYS = {
    "array": lambda client: da.from_array(DATA, chunks=((100, 1, 102), 2)),
    "float32 array": lambda client: da.from_array(DATA.astype("f4"), chunks=(50, 5)),
    "persisted": lambda client: client.persist(da.from_array(DATA, chunks=(60, 5))),
    "future": lambda client: client.scatter(DATA),
    "futures": lambda client: client.scatter([DATA[:77], DATA[77:]]),
    "with empty chunks": lambda client: da.concatenate(
        [da.zeros((0, 5)), da.from_array(DATA, chunks=(90, 5)), da.zeros((0, 5))]
    ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arguments_may_be_on_the_cluster(kind: str, client: Any) -> None:
    f, bias = regression()
    data = ARRAYS[kind](client)
    values = np.asarray(data.compute()) if isinstance(data, da.Array) else DATA
    with sm.distribute(f, over="batch", executor=client) as d:
        found = d(data, client.scatter(WEIGHTS))
        assert d.report is not None
        g, _ = regression()
        sizes = (77, 126) if kind == "futures" else (203,) if kind == "future" else None
        sizes = sizes or tuple(n for n in data.chunks[0] if n)
        assert d.report.chunks == len(sizes)
        assert bits(found) == bits(sm.distribute(g, over="batch", chunks=sizes)(values, WEIGHTS))
        bias.value = 0.25
        with d.bind(X=data) as job:
            assert bits(job(da.from_array(WEIGHTS))) == bits(found)
    with sm.distribute(f, over="batch", executor=client, chunks=16) as d:
        bias.value = 0.25
        g, _ = regression()
        assert bits(d(data, WEIGHTS)) == bits(
            sm.distribute(g, over="batch", chunks=16)(values, WEIGHTS)
        )


def test_several_arrays_are_cut_alike(client: Any) -> None:
    x, y = sm.Variable("x", ("n",)), sm.Variable("y", (2, "n"))
    f = sm.compile([x, y], [sm.sum(x * y, axis=1), x + 1])
    a, b = np.arange(50.0), np.arange(100.0).reshape(2, 50)
    with sm.distribute(f, over="n", executor=client) as d:
        for xs, ys in (
            (da.from_array(a, chunks=20), da.from_array(b, chunks=(1, 7))),
            (a, da.from_array(b, chunks=(2, 7))),
            (da.from_array(a, chunks=50), b),
        ):
            for found, right in zip(d(xs, ys), f(a, b), strict=True):
                np.testing.assert_allclose(found, right)
        with pytest.raises(FeedError, match="dimension 'n' is 50 in 'y', but 49"):
            d(da.from_array(a[1:], chunks=20), b)
        with pytest.raises(FeedError, match="int64"):
            sm.distribute(picked()[0], "n", client)(da.from_array(a))
        unknown = da.from_array(a, chunks=20)
        with pytest.raises(FeedError, match="unknown sizes"):
            d(unknown[unknown > 3], b)


def test_a_chunk_that_fails_is_named_and_nothing_changes(client: Any) -> None:
    f, count = picked()
    indices = np.arange(100) % 10
    indices[59] = 10
    with sm.distribute(f, over="n", executor=client, chunks=8) as d:
        for given in (indices, da.from_array(indices, chunks=8)):
            with pytest.raises(DistributionError, match=r"chunk 7 of 13, n\[56:64\], failed"):
                d(given)
        assert count.value == 0.0
        assert d(indices % 10) == 441.0


def broken() -> Any:
    raise OSError("the file is gone")


def test_data_that_cannot_be_computed_is_an_error(client: Any) -> None:
    from dask import delayed

    f, _ = picked()
    data = da.from_delayed(delayed(broken)(), (10,), "int64")
    with pytest.raises(DistributionError, match="OSError: the file is gone"):
        sm.distribute(f, over="n", executor=client)(data)


def descend(distributed_function: Any, data: Any, strike: Callable[[], None]) -> list[bytes]:
    """Return the bytes of the results of some steps; ``strike`` is called before the fourth."""
    found, weights = [], WEIGHTS
    with distributed_function as d, d.bind(X=data) as job:
        for step in range(10):
            if step == 3:
                strike()
            results = job(weights)
            weights = weights - 0.1 * results["slope"]
            found += bits(results)
    return found


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_worker_that_is_killed_in_the_middle_of_steps_changes_no_bit(
    is_lazy: bool, client: Any
) -> None:
    """Data that only the caller has is sent again; that of Dask arrays is computed again."""
    data = da.from_array(DATA, chunks=(20, 5)) if is_lazy else DATA
    client.wait_for_workers(2, timeout=300)

    def kill() -> None:  # always the same one, so that the other stays
        threading.Timer(0.02, os.kill, (client.cluster.workers[0].pid, signal.SIGKILL)).start()

    (f, bias), (g, expected_bias) = regression(), regression()
    found = descend(sm.distribute(f, over="batch", executor=client, chunks=20), data, kill)
    right = descend(sm.distribute(g, over="batch", chunks=20), DATA, lambda: None)
    assert found == right and bias.value == expected_bias.value


def test_a_cluster_may_start_later() -> None:
    f, _ = picked()
    options = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as late:
        d = sm.distribute(f, over="n", executor=late)
        threading.Timer(0.3, cluster.scale, (1,)).start()
        assert d(np.arange(100) % 10) == 450.0


def test_nothing_stays_on_the_cluster(client: Any) -> None:
    f, _ = regression()
    with sm.distribute(f, over="batch", executor=client, chunks=10) as d:
        with d.bind(X=DATA) as job:
            job(WEIGHTS)
        d(da.from_array(DATA, chunks=(20, 5)), WEIGHTS)
    del job, d
    for _ in range(100):
        if not any(client.has_what().values()):
            return
        time.sleep(0.05)
    raise AssertionError(client.has_what())
