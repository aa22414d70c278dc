"""Every op on every sample, with the dimension on every axis: refused, or right.

``SYMAD_CHUNKED_OPS=1`` tries all of them; by default every fifth.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np
import pytest

import symad as sm
from symad.distribution.walk import known_shape
from symad.errors import SymadError
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from tests.distribution.support import check_in_chunks, outputs_of, variable
from tests.support.op_checks import Case, cases_of

EVERY = 1 if os.environ.get("SYMAD_CHUNKED_OPS") else 5
CASES = [case for name in sorted(OP_CLASSES) for case in cases_of(OP_CLASSES[name])]


def placements(shapes: list[tuple[int, ...]]) -> Iterator[tuple[int | None, ...]]:
    """Yield the ways of giving inputs one dimension: for each an axis, or none."""
    sizes = {n for shape in shapes for n in shape if n > 1}
    for size in sorted(sizes):
        axes = [[None, *(k for k, n in enumerate(shape) if n == size)] for shape in shapes]
        for chosen in itertools.islice(itertools.product(*axes), 40):
            if any(axis is not None for axis in chosen):
                yield chosen


def results(case: Case, inputs: list[sm.Variable], of: str) -> list[Node]:
    """Return what a sample gives; or its gradient, as it is or scaled by a sum over everything."""
    outputs = outputs_of(case.sample.call(*inputs))
    if of == "value":
        return outputs
    wanted = [x for x in inputs if x.type.is_float]
    total = sm.add_n([sm.sum(sm.sin(y)) for y in outputs if y.type.is_float])
    if of == "gradient":
        return list(sm.gradients(total, wanted, unused="zero"))
    slopes = sm.gradients(sm.tanh(total), wanted, unused="zero")
    pairs = zip(wanted, slopes, strict=True)
    return [sm.sum(v * sm.cos(x)) if "batch" in known_shape(x) else v for x, v in pairs]


def accepted(case: Case, of: str) -> Iterator[bool]:
    """Yield whether each placement of the dimension is accepted; it must be right then."""
    arrays = [np.asarray(array) for array in case.draw()]
    for chosen in placements([array.shape for array in arrays]):
        pairs = enumerate(zip(arrays, chosen, strict=True))
        inputs = [variable(f"x{k}", array, axis) for k, (array, axis) in pairs]
        try:
            outputs = results(case, inputs, of)
        except SymadError:
            continue  # it must know the size
        graph = sm.Graph(outputs, inputs)
        try:
            yield check_in_chunks(graph, arrays)
        except AssertionError as error:
            raise AssertionError(f"{case.id} {chosen}: {error}") from None


@pytest.mark.parametrize("case", CASES[::EVERY], ids=[case.id for case in CASES[::EVERY]])
def test_op_in_chunks(case: Case) -> None:
    list(accepted(case, "value"))


DERIVED = [case for case in CASES if case.sample.order][:: 3 * EVERY]


@pytest.mark.parametrize("of", ["gradient", "scaled gradient"])
@pytest.mark.parametrize("case", DERIVED, ids=[case.id for case in DERIVED])
def test_gradient_of_op_in_chunks(case: Case, of: str) -> None:
    list(accepted(case, of))
