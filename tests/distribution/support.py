"""Graphs computed whole and in chunks, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symad as sm
from symad.distribution.split import Split, run_in_chunks, split
from symad.errors import DistributionError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.ops.structure import items_of

Array = np.ndarray[Any, Any]


def split_or_none(graph: sm.Graph, over: str = "batch") -> Split | None:
    """Return the split of a graph, ``None`` if it is refused."""
    try:
        return split(graph, over)
    except DistributionError as error:
        assert error.where or "no input has" in error.message, error
        return None


def whole(graph: sm.Graph, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of a graph, whose inputs are variables, as they are written."""
    function = sm.compile(graph.inputs, list(graph.outputs), backend="numpy", rewrites="exact")
    results: list[Any] = function(*values)
    return results


def chunkings(size: int, rng: np.random.Generator) -> list[list[int]]:
    """Return some ways of cutting a dimension: one chunk, unequal ones, and single elements."""
    cuts = np.sort(rng.integers(0, size + 1, 3))
    parts = np.diff([0, *cuts, size])
    return [[int(n) for n in parts if n], [1] * size]


def epsilon_of(graph: sm.Graph) -> float:
    """Return the rounding of the least precise values of a graph."""
    dtypes = {x.type.dtype for x in graph.nodes if isinstance(x.type, sm.TensorType)}
    floats = {np.dtype("float64"), *(dtype for dtype in dtypes if dtype.kind == "f")}
    return max(float(np.finfo(dtype).eps) for dtype in floats)


def assert_close(
    found: Sequence[Any], wanted: Sequence[Any], epsilon: float, about: object
) -> None:
    """Assert that results are equal up to rounding, in dtype and shape too."""
    for a, b in zip(leaves(found), leaves(wanted), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), about
        tolerance = 300 * epsilon if b.dtype.kind == "f" else 0.0
        finite = np.abs(b[np.isfinite(b)])
        scale = max(float(finite.max(initial=0)), 1.0)
        np.testing.assert_allclose(
            a, b, rtol=tolerance * 10, atol=tolerance * scale, err_msg=str(about)
        )


def check_in_chunks(graph: sm.Graph, values: Sequence[Any], seed: int = 0) -> bool:
    """Return whether a graph is accepted; then its results in chunks must be right."""
    made = split_or_none(graph)
    if made is None:
        return False
    wanted, rng = whole(graph, values), np.random.default_rng(seed)
    for chunks in chunkings(made.size_of(values), rng):
        found = run_in_chunks(made, values, chunks)
        assert_close(found, wanted, epsilon_of(graph), f"chunks {chunks} of\n{graph}")
    return True


def variable(name: str, array: Array, axis: int | None) -> sm.Variable:
    """Return a variable for an array that has the dimension at an axis."""
    shape: list[Any] = list(array.shape)
    if axis is not None:
        shape[axis] = "batch"
    return sm.Variable(name, tuple(shape), array.dtype)


def outputs_of(value: Any) -> list[Node]:
    """Return the tensors in what a function of nodes returns."""
    return [item for leaf in leaves(value) for item in items_of(sm.structure(leaf))]
