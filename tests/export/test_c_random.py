"""Random graphs in C agree with their kernels, as far as the roundings of each op let them.

``SYMAD_C_GRAPHS`` sets how many are tried (the long run is of 1 000), and ``SYMAD_C_FIRST`` the
first seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import symad as sm
from symad.errors import EvaluationError, ExportError, ShapeError
from symad.export.c_file import functions_of
from symad.export.c_memory import CFile
from symad.graph.graph import Graph
from symad.runtime.inputs import accept
from tests.backends.test_differential import compare
from tests.support.c_programs import CProgram, graph_in_c, needs_gcc
from tests.support.stochastic import Spread
from tests.support.wild_graphs import WildGraph, wild_graph

GRAPHS = int(os.environ.get("SYMAD_C_GRAPHS", "40"))
FIRST = int(os.environ.get("SYMAD_C_FIRST", "0"))
BATCH = 20


def exported(first: int) -> Iterator[tuple[WildGraph, Graph, Graph, Any]]:
    """Yield graphs that C has everything for: as optimised, in loop nests, and NumPy's answer."""
    for seed in range(first, first + BATCH):
        sample = wild_graph(seed)
        inputs, outputs = list(sample.graph.inputs), list(sample.graph.outputs)
        f = sm.compile(inputs, outputs, backend="numpy")
        try:
            answer: Any = f(*sample.arrays)
        except (EvaluationError, ShapeError) as error:
            answer = error
        try:
            in_c = graph_in_c(f, sample.arrays)
            functions_of(CFile("f"), in_c)
        except ExportError as error:
            assert "cannot be written in C" in str(error)
        except ShapeError:
            assert isinstance(answer, ShapeError)
        else:
            yield sample, f.passes.graph, in_c, answer


@needs_gcc
@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs(first: int, tmp_path: Path) -> None:
    found = list(exported(first))
    program = CProgram({f"f{s.seed}": in_c for s, _, in_c, _ in found}, tmp_path)
    calls = []
    for k, (sample, _, _, _) in enumerate(found):
        pairs = zip(sample.arrays, sample.graph.inputs, strict=True)
        calls.append((k, [accept(a, x, {}) for a, x in pairs]))
    results = program.run(calls)
    for (sample, optimised, _, answer), (_, values), made in zip(
        found, calls, results, strict=True
    ):
        if isinstance(answer, Exception) or isinstance(made, str):
            assert isinstance(answer, Exception) and isinstance(made, str), (sample.seed, made)
            continue
        compare("C", Spread(optimised, values, sample.seed), made, special=True)
