"""What is compiled, word for word: the plans of a fixed corpus, for both backends.

A change of a plan is seen, and must be meant.  With ``SYMAD_NEW_PLANS=1`` this test writes them
afresh: read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.demo import examples, models
from symad.plan.plan import Plan
from tests.support.golden_corpus import CORPUS, Case

FOLDER = Path(__file__).parent / "golden"
CASES = {case.__name__: case for case in CORPUS}


def compiled(case: Case, backend: str) -> tuple[sm.Function, Any]:
    inputs, outputs, fed = case
    function = sm.compile(inputs, outputs, backend=backend)
    return function, function(*fed)


def text_of(name: str, function: sm.Function, backend: str) -> str:
    lines = [f"{name}, {backend}", ""]
    for report in function.passes.reports:
        rules = ", ".join(f"{rule} {n}" for rule, n in sorted(report.rules.items()))
        counts = f"{report.nodes_before} -> {report.nodes_after}"
        lines.append(f"{report.name}: {counts}{'; ' + rules if rules else ''}")
    return "\n".join([*lines, "", str(function.plan), ""])


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", CASES)
def test_plan(name: str, backend: str) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    function, _ = compiled(CASES[name](), backend)
    path = FOLDER / f"{name}.{backend}.txt"
    text = text_of(name, function, backend)
    if os.environ.get("SYMAD_NEW_PLANS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("name", CASES)
def test_both_backends_agree_on_the_corpus(name: str) -> None:
    pytest.importorskip("llvmlite")
    _, expected = compiled(CASES[name](), "numpy")
    _, found = compiled(CASES[name](), "native")
    for a, b in zip(found, expected, strict=True):
        tolerance = 1e-5 if np.asarray(b).dtype == np.float32 else 1e-12
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_nothing_is_left_over() -> None:
    kept = {path.name for path in FOLDER.iterdir()}
    assert kept == {f"{name}.{backend}.txt" for name in CASES for backend in ("numpy", "native")}


def instructions(plan: Plan) -> list[tuple[object, ...]]:
    """Return what runs, without the names of values, some of which are steps of shape repairs."""
    return [
        (repr(step.node.op), step.node.type, step.inputs, step.output, step.frees, step.overwrites)
        for step in plan.instructions
    ]


@pytest.mark.parametrize("name", CASES)
def test_shapes_need_not_be_declared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is the same for variables of which only the dtype is known."""
    declared, _ = compiled(CASES[name](), "numpy")
    made = sm.Variable
    for module in (sm, examples, models):
        if hasattr(module, "Variable"):
            loose = lambda name, shape=None, dtype="float64": made(name, dtype=dtype)  # noqa: E731
            monkeypatch.setattr(module, "Variable", loose)
    function, _ = compiled(CASES[name](), "numpy")
    fed = [node for node in function.graph.inputs if node not in function.parameters]
    assert not any(node.type.is_static for node in fed)
    assert instructions(function.plan) == instructions(declared.plan)
