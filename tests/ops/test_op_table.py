"""The op table is the test suite: every op, on every one of its samples."""

from __future__ import annotations

import pytest

from symad.graph.op import OP_CLASSES
from tests.support import op_checks as checks
from tests.support.op_checks import Case, cases_of

OPS = sorted(OP_CLASSES)
CASES = [case for name in OPS for case in cases_of(OP_CLASSES[name])]

for_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.mark.parametrize("name", OPS)
def test_has_samples(name: str) -> None:
    checks.check_has_samples(OP_CLASSES[name])


@for_each_case
def test_case(case: Case) -> None:
    checks.check_all(case)
