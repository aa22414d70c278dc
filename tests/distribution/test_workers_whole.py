"""Functions of all kinds, and random ones, as workers compute them: compiled, saved and pickled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import DistributionError
from tests.distribution.support import assert_close, epsilon_of
from tests.distribution.test_proof import ACCEPTED, VALUES, Build, X
from tests.distribution.test_proof_random import chunked_graph
from tests.distribution.test_workers import Inline

GRAPHS = 60


def check(graph: sm.Graph, values: Sequence[Any], chunks: int) -> bool:
    """Return whether a graph is accepted; then the results of workers must be right."""
    f = sm.compile(graph.inputs, list(graph.outputs))
    try:
        d = sm.distribute(f, over="batch", executor=Inline(), chunks=chunks)
    except DistributionError:
        return False
    assert_close(d(*values), f(*values), epsilon_of(graph), graph)
    return True


@pytest.mark.parametrize("build", ACCEPTED, ids=[build.__name__ for build in ACCEPTED])
def test_accepted_functions(build: Build) -> None:
    outputs = build()
    graph = sm.Graph(outputs if isinstance(outputs, list) else [outputs, sm.sum(X)])
    assert check(graph, [VALUES[x] for x in graph.inputs], 2)


def test_random_functions() -> None:
    made = filter(None, map(chunked_graph, range(GRAPHS)))
    with np.errstate(all="ignore"):
        accepted = [check(*each, chunks=3) for each in made]  # type: ignore[misc]
    assert sum(accepted) > GRAPHS / 5
