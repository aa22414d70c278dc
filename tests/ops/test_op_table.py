"""The op table is the test suite: every op, on every one of its samples."""

from __future__ import annotations

import numpy as np
import pytest

import symad as sm
from symad.graph.op import OP_CLASSES, Op
from tests.support import op_checks as checks
from tests.support.op_checks import Case, cases_of, run_kernels

OPS = sorted(OP_CLASSES)
CASES = [case for name in OPS for case in cases_of(OP_CLASSES[name])]

for_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.mark.parametrize("name", OPS)
def test_has_samples(name: str) -> None:
    checks.check_has_samples(OP_CLASSES[name])


@for_each_case
def test_case(case: Case) -> None:
    checks.check_all(case)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.op_class.specialise is not Op.specialise],
    ids=lambda case: case.id,
)
def test_kernels_compute_what_an_op_becomes_once_shapes_are_known(case: Case) -> None:
    built = checks.build(case, knowledge="unknown")
    graph = sm.Graph(built.outputs, built.inputs)
    for found, expected in zip(run_kernels(graph, built.arrays), built.values, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
