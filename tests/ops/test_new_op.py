"""A new elementwise op is one class and one public name: everything else knows it from these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special

import symad as sm
from symad.cli import main
from symad.explaining.counts import operations_of
from symad.expression import read_expression
from symad.graph.formula import format_term
from symad.graph.node import Node
from symad.graph.sample import Sample, fixed, reals
from symad.graph.traverse import topological_order
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.ops.base import Unary, register
from symad.passes.signs import is_nonnegative
from tests.support import op_checks as checks
from tests.support.op_tables import restored


def _barrier(x: Any) -> Any:
    return -np.log1p(-x * x)


def make() -> Unary:
    """Write a new op, as an author does, and make it public."""

    class Barrier(Unary):
        """Return -ln(1 - x²), element by element; infinite at ±1."""

        name = "barrier"
        short = "bar"
        latex = r"\beta\left({0}\right)"
        numpy = staticmethod(_barrier)
        element = staticmethod(lambda b, x: b.negate(b.call("log1p", b.negate(b.multiply(x, x)))))
        chain = (lambda v, y, x: v * (2 * x / (1 - x * x)),)
        operations = 12
        sign = "nonnegative"
        has_poles = True
        domain = "The barrier is defined between −1 and 1: keep x inside with sm.clip."
        derivative_domain = "The derivative of the barrier is infinite at ±1."
        samples = (
            Sample(
                lambda x: barrier(x),
                [reals(2, 3, low=-0.9, high=0.9)],
                lambda x: -np.log(1 - x**2),
            ),
            Sample(
                lambda x: barrier(x),
                [fixed([0.0, -0.0, 1.0, -1.0, 1.5, np.nan])],
                lambda x: np.array([0.0, 0.0, np.inf, np.inf, np.nan, np.nan]),
                order=0,
                label="special",
                signed_zeros=True,
            ),
        )

    barrier: Unary = register(Barrier())
    return barrier


@pytest.fixture
def barrier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Unary]:
    """Make the op, and forget it after the test."""
    with restored():
        op = make()
        monkeypatch.setattr(sm, "barrier", op, raising=False)
        yield op


def test_the_op_table_checks_it(barrier: Unary) -> None:
    checks.check_has_samples(type(barrier))
    for case in checks.cases_of(type(barrier)):
        checks.check_all(case, but=["identity"])  # a class in a function is not pickled


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_both_backends_run_it(barrier: Unary, backend: Any) -> None:
    x = sm.Variable("x", shape=(None,))
    y = sm.sum(barrier(x))
    value, slope = sm.compile([x], [y, sm.gradients(y, x)], backend=backend)([0.5, -0.25])
    np.testing.assert_allclose(value, -np.log(0.75) - np.log1p(-0.0625), rtol=1e-14)
    np.testing.assert_allclose(slope, [1 / 0.75, -0.5 / 0.9375], rtol=1e-14)


def test_native_code_is_made_of_it(barrier: Unary) -> None:
    x = sm.Variable("x", shape=(8,))
    instructions = sm.compile([x], barrier(x) * 2, backend="native").plan.instructions
    assert [step.node.op.name for step in instructions if step.node.op] == ["fused"]


def test_expressions_know_it(barrier: Unary, capsys: pytest.CaptureFixture[str]) -> None:
    expression = read_expression("barrier(x) + 1")
    assert expression.node.inputs[0].op == barrier
    assert main(["trace", "barrier(x)*2", "x=0.5"]) == 0
    assert "v2 = bar v1 = 0.288" in capsys.readouterr().out
    with pytest.raises(sm.SymadError, match="Did you mean 'barrier'"):
        read_expression("barier(x)")


def test_find_nan_has_its_remedies(barrier: Unary) -> None:
    x = sm.Variable("x")
    found = sm.find_nan(barrier(x), {x: [0.5, 1.5]})
    assert found.remedy == type(barrier).domain and "by barrier" in str(found)
    assert sm.find_nan(barrier(x), {x: [1.0]}).remedy == type(barrier).domain
    slope = sm.gradients(barrier(x), x, seed=sm.constant([1.0]))
    (made,) = [n for n in topological_order([slope]) if n.op is not None and n.op.name == "divide"]
    assert sm.find_nan(made, {x: [1.0]}).remedy == type(barrier).derivative_domain


def test_rewrites_know_its_sign(barrier: Unary) -> None:
    x = sm.Variable("x", shape=(3,))
    assert is_nonnegative(barrier(x)) and is_nonnegative(sm.sum(barrier(x)) / 2)
    instructions = sm.compile([x], barrier(x) ** 0.5, backend="numpy").plan.instructions
    assert [step.node.op.name for step in instructions if step.node.op] == ["barrier", "sqrt"]


def test_pictures_and_formulas_write_it_short(barrier: Unary) -> None:
    x = sm.Variable("x")
    y = barrier(x) * 2
    picture = sm.draw(y).svg()
    assert ">bar<" in picture and "barrier" in picture  # on the node, and in its tooltip
    node = y.inputs[0]
    assert format_term(node, name_of, notation=SYMBOLS) == "bar x"
    assert format_term(node, name_of, notation=LATEX_SYMBOLS) == r"\beta\left(x\right)"
    assert "bar v1" in str(sm.trace(y)) and "bar v1" in sm.trace(y).html
    assert "rule of barrier" in str(sm.explain(sm.gradients(y, x)))


def name_of(node: Node) -> str:
    return node.label


def test_it_is_counted(barrier: Unary) -> None:
    x = sm.Variable("x", shape=(4,))
    assert operations_of(barrier(x)).functions == 4
    assert sm.cost(barrier(x), {x: np.zeros(4)}).written.whole.flops == 48


def test_numpy_protocols_find_an_op_by_the_name_of_its_ufunc(barrier: Unary) -> None:
    class Dawson(Unary):
        """Return Dawson's integral."""

        name = "dawson"
        numpy = "scipy.special.dawsn"
        chain = (lambda v, y, x: v * (1 - 2 * x * y),)

    register(Dawson())
    node = scipy.special.dawsn(sm.Variable("x"))
    assert node.op is not None and node.op.name == "dawson"


def test_python_text_is_a_call(barrier: Unary) -> None:
    assert format_term(barrier(sm.Variable("x")), name_of) == "barrier(x)"
