"""The native backend against the NumPy one, and both against the graph as it was written.

``SYMAD_FUZZ_GRAPHS`` sets how many graphs are tried, ``SYMAD_FUZZ_FIRST`` the first seed.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from stochastic import spread
from wild_graphs import WildGraph, wild_graph

import symad as sm
from symad.errors import EvaluationError
from symad.feed import accept, type_of
from symad.graph.nested import leaves
from symad.passes.specialise import specialise

pytest.importorskip("llvmlite")

GRAPHS = int(os.environ.get("SYMAD_FUZZ_GRAPHS", "200"))
FIRST = int(os.environ.get("SYMAD_FUZZ_FIRST", "0"))
BATCH = max(20, GRAPHS // 200)


def tensors(value: Any) -> list[Any]:
    return [leaf for leaf in leaves(value) if leaf is not None]


def check(sample: WildGraph) -> None:
    """All backends agree, and nothing that is handed out shares memory with anything else."""
    inputs, outputs = list(sample.graph.inputs), list(sample.graph.outputs)
    before = [np.array(a) for a in sample.arrays]
    want, reference = call(sm.compile(inputs, outputs, backend="numpy"), sample)
    threads = 1 + sample.seed % 2
    native = sm.compile(inputs, outputs, backend="native", threads=threads)
    call(native, sample)  # functions of numbers run natively from the second call on
    got, other = call(native, sample)
    if want is None or got is None:
        assert reference == other, "only one backend refuses"
        return
    kept = [np.array(a) for a in tensors(got)]
    again, _ = call(native, sample)
    assert_fresh(sample, before, got, again, kept)
    values = [accept(a, x, {}) for a, x in zip(sample.arrays, inputs, strict=True)]
    compare("native", "numpy", native.passes.graph, values, got, sample.seed, strict=True)
    graph = specialise(sm.Graph(outputs, inputs), [type_of(a) for a in values])
    compare("optimised", "as written", graph, values, want, sample.seed, strict=False)


def call(function: Any, sample: WildGraph) -> tuple[Any, str]:
    try:
        return function(*sample.arrays), ""
    except EvaluationError as error:
        return None, str(error)


def assert_fresh(
    sample: WildGraph, before: list[Any], got: Any, again: Any, kept: list[Any]
) -> None:
    """Inputs stay, a second call gives the same, and no two results share memory."""
    for array, copy in zip(sample.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy, "an input has changed")
    for first, copy, second in zip(tensors(got), kept, tensors(again), strict=True):
        np.testing.assert_array_equal(first, copy, "a result has changed by a later call")
        np.testing.assert_array_equal(second, copy, "a second call gives something else")
    whole = [a for a in (*tensors(got), *tensors(again)) if isinstance(a, np.ndarray)]
    for k, array in enumerate(whole):
        assert array.flags.writeable, "a result is read-only"
        for other in (*whole[:k], *sample.arrays):
            assert not np.may_share_memory(array, other), "results share memory"


def compare(
    what: str, against: str, graph: sm.Graph, values: Any, got: Any, seed: int, strict: bool
) -> None:
    def disagreements(runs: int) -> list[str]:
        reference = spread(graph, values, seed, runs, all_ops=not strict)
        found = []
        for k, value in enumerate(got):
            for place, (a, b) in enumerate(_pairs(reference, k, value)):
                zeros = strict and not _has_extrema(graph)
                text = a.disagreement(place, b, strict, zeros)
                if text is not None:
                    found.append(f"output {k}: {text}")
        return found

    if disagreements(5):
        found = disagreements(60)  # is it by chance that rounding did not show?
        assert not found, f"{what} differs from {against}:\n" + "\n".join(found)


def _pairs(reference: Any, output: int, value: Any) -> Any:
    """Yield the tensors of an output: what the reference says of them, and what was found."""
    parts = tensors(value)
    flat = type(reference)(
        tensors(reference.values[output]), [tensors(run[output]) for run in reference.others]
    )
    return [(flat, part) for part in parts]


def _has_extrema(graph: sm.Graph) -> bool:
    """Return whether it takes the larger of two zeros, of which either may be taken."""
    names = {node.op.name for node in graph.nodes if node.op is not None}
    return bool(names & {"max", "min", "maximum", "minimum", "relu", "softmax", "logsumexp"})


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_wild_graphs(first: int) -> None:
    for seed in range(first, first + BATCH):
        sample = wild_graph(seed)
        try:
            check(sample)
        except Exception as error:
            error.add_note(str(sample))
            raise
