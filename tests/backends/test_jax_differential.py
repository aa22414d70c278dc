"""Random wild graphs, with loops and derivatives, by the backend "jax" and by ``sm.to_jax``.

They must agree with the kernels of NumPy as far as the roundings of each op let them, as in
:mod:`test_differential`.  ``SYMAD_JAX_GRAPHS`` sets how many graphs are tried, and
``SYMAD_JAX_FIRST`` the first seed.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, ExportError, ShapeError
from symad.passes.specialise import specialise
from symad.runtime.inputs import accept, type_of
from tests.backends.test_differential import compare, jax_interpreter, tensors
from tests.support.random_graphs import random_graph
from tests.support.random_loops import LOOPS
from tests.support.stochastic import Spread
from tests.support.wild_graphs import wild_graph

pytest.importorskip("jax")

GRAPHS = int(os.environ.get("SYMAD_JAX_GRAPHS", "12"))
FIRST = int(os.environ.get("SYMAD_JAX_FIRST", "0"))
BATCH = 4

OUTCOMES: Counter[str] = Counter()
"""What became of the graphs."""


def check(sample: Any) -> str:
    """Compare a graph, and return what became of it."""
    import jax

    interpreter, seed = jax_interpreter(), sample.seed
    inputs, outputs = list(sample.graph.inputs), list(sample.graph.outputs)
    f = sm.compile(inputs, outputs, backend="numpy")
    try:
        f(*sample.arrays)
    except (EvaluationError, ShapeError):
        return "an error for NumPy too"
    values = [accept(a, x, {}) for a, x in zip(sample.arrays, inputs, strict=True)]
    graph = specialise(sm.Graph(outputs, inputs), [type_of(a) for a in values])
    try:
        made = sm.compile(inputs, outputs, backend="jax")
        found = made(*sample.arrays)
        written = jax.jit(sm.to_jax(f))(*values)  # JAX takes no foreign byte order
    except ExportError:
        return "JAX has no such op"
    for a, b, c in zip(tensors(f(*sample.arrays)), tensors(found), tensors(written), strict=True):
        for other in (b, c):
            assert (np.shape(other), other.dtype) == (np.shape(a), a.dtype)
    if not interpreter.is_reference(graph, values):
        return "of the right types"
    optimised = Spread(made.passes.final, values, seed, all_ops=True, **interpreter.NOISE)
    compare('backend="jax"', optimised, found, special=False)
    by_op = Spread(graph, values, seed, all_ops=True, **interpreter.NOISE)
    compare("to_jax", by_op, written, special=False)
    return "compared"


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + BATCH):
        sample = random_graph(seed, makers=LOOPS) if seed % 4 == 3 else wild_graph(seed)
        try:
            OUTCOMES[check(sample)] += 1
        except Exception as error:
            error.add_note(str(sample))
            raise


def test_most_graphs_are_compared() -> None:
    """Where all others have run in this process."""
    if OUTCOMES.total() == GRAPHS and GRAPHS >= 100:
        assert OUTCOMES["compared"] > GRAPHS / 2, OUTCOMES
    print(dict(OUTCOMES))
