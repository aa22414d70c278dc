"""Random graphs, with derivatives and loops, give in ONNX Runtime what their ops give in NumPy.

``SYMAD_ONNX_GRAPHS`` says how many, ``SYMAD_ONNX_FIRST`` from which on.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, ExportError, GraphError, GraphTypeError, ShapeError
from symad.export.onnx_file import lowered, onnx_model
from symad.graph.node import Node
from symad.passes.specialise import specialise
from symad.runtime.inputs import accept, type_of
from symad.types import TensorType
from tests.support.onnx_sessions import run_model
from tests.support.random_graphs import random_graph
from tests.support.random_loops import LOOPS
from tests.support.wild_graphs import wild_graph

pytest.importorskip("llvmlite")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.backends.test_differential import compare, tensors  # noqa: E402
from tests.support.stochastic import Spread  # noqa: E402

GRAPHS = int(os.environ.get("SYMAD_ONNX_GRAPHS", "32"))
FIRST = int(os.environ.get("SYMAD_ONNX_FIRST", "0"))
BATCH = max(8, GRAPHS // 100)


def drawn(seed: int) -> tuple[sm.Graph, list[Any], list[Node]]:
    """Return a graph, arrays for its inputs, and outputs: those of the graph, and derivatives."""
    sample = random_graph(seed, makers=LOOPS) if seed % 2 else wild_graph(seed)
    graph, outputs = sample.graph, list(sample.graph.outputs)
    if seed % 2:
        ys = [y for y in outputs if isinstance(y.type, TensorType) and y.type.is_float]
        xs = [x for x in graph.inputs if x.type.is_float]
        outputs += sm.gradients(ys, xs, unused="zero")
    plain = [np.asarray(a).astype(a.dtype.newbyteorder("=")) for a in sample.arrays]
    return graph, [np.array(a, order="C", subok=False) for a in plain], outputs


def compiled(seed: int) -> tuple[sm.Function, list[Any]]:
    """Return a function whose inputs declare their sizes, or names in place of these."""
    graph, arrays, outputs = drawn(seed)
    is_named = seed % 4 > 1
    inputs = [
        sm.Variable(x.label, [f"n{size}" if is_named else size for size in a.shape], a.dtype)
        for x, a in zip(graph.inputs, arrays, strict=True)
    ]
    givens = dict(zip(graph.inputs, inputs, strict=True))
    return sm.compile(inputs, outputs, backend="numpy", givens=givens), arrays


def check(seed: int) -> None:
    try:
        f, arrays = compiled(seed)
        wanted = f(*arrays)
        graph = lowered(f)
        model = onnx_model(f, graph)
    except (EvaluationError, ShapeError, GraphError, GraphTypeError, ExportError):
        return
    found = iter(run_model(model, arrays).values())
    values = [accept(a, x, {}) for a, x in zip(arrays, f.graph.inputs, strict=True)]
    static = specialise(graph, [type_of(value) for value in values])
    nested = [[next(found) for _ in tensors(value)] for value in wanted]
    noise = {"all_ops": True, "ulps": 8}
    compare("ONNX", Spread(static, values, seed, **noise), nested, special=True, zeros=True)


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + BATCH):
        try:
            check(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
