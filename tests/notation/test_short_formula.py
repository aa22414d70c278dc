"""The formula that a notebook shows for a node: for every op, readable, and cut."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

import symad as sm
from symad.graph.op import OP_CLASSES
from symad.notation import short_formula as module
from symad.notation.mathml import document
from tests.support.op_checks import build, cases_of

x, y = sm.Variable("x"), sm.Variable("y")


@pytest.mark.parametrize(
    ("node", "latex"),
    [
        (x, "x"),
        (sm.log(x) + x * y - sm.sin(y), r"\ln x + x \cdot y - \sin y"),
        (x * -2.5 + [1.0, 2.0], r"x \cdot \left(-2.5\right) + [1, 2]"),
        (x / (1 + sm.exp(-x)), r"\frac{x}{1 + e^{-x}}"),
        (x[1:, None], "x[1:, None]"),
        (sm.Variable("50%_$") * 1e-7, r"\mathrm{50\%\_\$} \cdot 1 \cdot 10^{-7}"),
        (sm.structure({"cat": x, "dog": y}), r"\{\mathrm{cat}: x, \mathrm{dog}: y\}"),
        (sm.add_n([x] * 99), r"\mathrm{add\_n}\left(\ldots \right)"),
        (sm.concat([sm.Variable("x", (1,))] * 2000), r"\mathrm{concat}(\ldots )"),
    ],
)
def test_formulas(node: sm.Node, latex: str) -> None:
    assert node._repr_latex_() == f"${latex}$"


@pytest.mark.parametrize("name", sorted(OP_CLASSES))
def test_every_op_has_a_formula_that_can_be_set(name: str) -> None:
    for case in list(cases_of(OP_CLASSES[name]))[:2]:
        for node in build(case).nodes:
            latex = node._repr_latex_()
            assert latex[0] == latex[-1] == "$" and "$" not in latex[1:-1] and len(latex) < 800
            assert latex.count("{") == latex.count("}")
            assert latex.count(r"\left") == latex.count(r"\right")
            ElementTree.fromstring(document(latex[1:-1]))


def doubled(node: sm.Node) -> sm.Node:
    return node + sm.sin(node)


@pytest.mark.parametrize("step", [doubled, sm.identity, lambda x: -x])
def test_the_formula_of_a_large_graph_takes_few_steps(
    step: Callable[[sm.Node], sm.Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node: sm.Node = sm.Variable("x", shape=())
    for _ in range(20_000):
        node = step(node)
    calls = []
    visit = module._to_depth
    monkeypatch.setattr(module, "_to_depth", lambda *args: calls.append(1) or visit(*args))
    assert r"\ldots" in node._repr_latex_() and len(calls) < 2000
