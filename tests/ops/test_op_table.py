"""The op table is the test suite: every op, on every one of its samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from symad.graph.op import OP_CLASSES
from tests.support import op_checks as checks
from tests.support.op_checks import Case, cases_of

OPS = sorted(OP_CLASSES)
CASES = [case for name in OPS for case in cases_of(OP_CLASSES[name])]
DTYPES = ("float64", "float32")

Check = Callable[..., Any]
for_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.mark.parametrize("name", OPS)
def test_has_samples(name: str) -> None:
    checks.check_has_samples(OP_CLASSES[name])


@for_each_case
def test_sample_applies_op(case: Case) -> None:
    checks.check_sample_applies_op(case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("knowledge", checks.KNOWLEDGE)
@for_each_case
def test_types(case: Case, knowledge: str, dtype: str) -> None:
    checks.check_types(case, dtype, knowledge)


@pytest.mark.parametrize("knowledge", ["named", "unknown"])
@for_each_case
def test_partial_knowledge(case: Case, knowledge: str) -> None:
    checks.check_partial_knowledge(case, knowledge)


@pytest.mark.parametrize("dtype", DTYPES)
@for_each_case
def test_reference(case: Case, dtype: str) -> None:
    checks.check_reference(case, dtype)


@for_each_case
def test_float32(case: Case) -> None:
    checks.check_float32(case)


@for_each_case
def test_derivatives(case: Case) -> None:
    checks.check_derivatives(case)


@pytest.mark.parametrize("order", [1, 2])
@for_each_case
def test_dot(case: Case, order: int) -> None:
    checks.check_dot(case, order)


@pytest.mark.parametrize("dtype", DTYPES)
@for_each_case
def test_adjoint_types(case: Case, dtype: str) -> None:
    checks.check_adjoint_types(case, dtype)


@for_each_case
def test_no_gradient(case: Case) -> None:
    checks.check_no_gradient(case)


@for_each_case
def test_rendering(case: Case) -> None:
    checks.check_rendering(case)


@for_each_case
def test_facts(case: Case) -> None:
    checks.check_facts(case)


@for_each_case
def test_memory(case: Case) -> None:
    checks.check_memory(case)


@for_each_case
def test_identity(case: Case) -> None:
    checks.check_identity(case)
