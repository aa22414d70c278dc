"""The expression reader: what it reads means what Python means, and all else is refused."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import symad as sm
from symad.errors import ExpressionError
from symad.expression import LONGEST, function_table, read_expression
from symad.graph.operators import FUNCTIONS
from symad.ops.base import Elementwise


def value_of(text: str, **values: Any) -> Any:
    expression = read_expression(text)
    return expression.node.eval({v: values[name] for name, v in expression.variables.items()})


def test_the_lectures_expression() -> None:
    expression = read_expression("log(x1) + x1*x2 - sin(x2)")
    assert list(expression.variables) == ["x1", "x2"]
    x1, x2 = expression.variables.values()
    assert expression.node.eval({x1: 2.0, x2: 5.0}) == math.log(2) + 10 - math.sin(5)
    gradients = sm.gradients(expression.node, [x1, x2])
    assert sm.Executor(gradients).run({x1: 2.0, x2: 5.0}) == [5.5, 2 - math.cos(5)]


def test_variables_are_in_order_of_appearance_and_made_once() -> None:
    expression = read_expression("b * sin(a, ) + (c - a) ** b")
    assert list(expression.variables) == ["b", "a", "c"]
    assert [node.name for node in sm.Graph([expression.node]).inputs] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("-x**2", -9.0),
        ("(-x)**2", 9.0),
        ("2**-1", 0.5),
        ("1/2*x", 1.5),
        ("x // 2 + x % 2", 2.0),
        ("+x - -x", 6.0),
        ("2 - 3 - 4", -5.0),
        ("x / 2 / 3", 0.5),
        ("2**3**2", 512.0),
        ("e**pi", math.e**math.pi),
        ("maximum(x, 4) + minimum(x, 1)", 5.0),
        ("where(x > 2, x, 0)", 3.0),
        ("exp(log(x))", 3.0),
        ("0x10 + 1_000 + 1e-3", 1016.001),
        ("sum([1, 2, 3]) * x", 18.0),
        ("9**9**9", math.inf),
        (" \t x", 3.0),
    ],
)
def test_meaning(text: str, expected: float) -> None:
    expression = read_expression(text)
    feed = {variable: 3.0 for variable in expression.variables.values()}
    assert sm.Executor(expression.node).run(feed) == pytest.approx(expected, rel=1e-15)


def test_arrays_axes_and_linear_algebra() -> None:
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    x = np.array([1.0, -2.0])
    assert value_of("sum(a @ x)", a=a, x=x) == np.sum(a @ x)
    np.testing.assert_array_equal(value_of("sum(a, axis=0)", a=a), a.sum(axis=0))
    np.testing.assert_array_equal(
        value_of("sum(a, axis=(0, 1), keepdims=True)", a=a), a.sum(keepdims=True)
    )
    np.testing.assert_array_equal(value_of("a.T - a.mT", a=a), np.zeros((2, 2)))
    np.testing.assert_allclose(value_of("solve(a, x)", a=a, x=x), np.linalg.solve(a, x))
    assert value_of("max(x)", x=x) == 1.0
    assert bool(value_of("all(~(x < -3))", x=x)) is True


numbers = st.one_of(st.integers(1, 9).map(str), st.floats(0.5, 2.0).map(repr))
formulas = st.recursive(
    st.one_of(numbers, st.sampled_from(["x", "y"])),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("(-{})".format, inner),
        st.builds("sin({})".format, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(formulas)
def test_arithmetic_means_what_python_means(text: str) -> None:
    """The generated text is ours: sums, products and sines of numbers, x and y."""
    expression = read_expression(text)
    values = {"x": 0.75, "y": -1.25}
    feed = {variable: values[name] for name, variable in expression.variables.items()}
    found = sm.Executor(expression.node).run(feed)
    expected = eval(text, {"__builtins__": {}, "sin": math.sin}, values)  # noqa: S307
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


REFUSED = {
    "": (1, "empty"),
    "   ": (1, "empty"),
    "x +": (4, "not complete"),
    "2x": (1, "this is not a number. Did you mean '2*x'?"),
    "f(x y)": (3, "'x' is not expected"),
    "1 + lgo(x)": (5, "Did you mean 'log'?"),
    "__import__('os').system('ls')": (1, "only a function's name"),
    "eval(x)": (1, "no function 'eval'"),
    "compile(x)": (1, "no function"),
    "open(x)": (1, "no function"),
    "ones(x)": (1, "no function"),
    "x.__class__": (1, "only .T and .mT"),
    "x.T.__init__": (1, "only .T and .mT"),
    "x + 'a'": (5, "not a real number"),
    "f'{x}'": (1, "not known"),
    "b''": (1, "not a real number"),
    "1j": (1, "not a real number"),
    "True": (1, "not a real number"),
    "None": (1, "not a real number"),
    "...": (1, "not a real number"),
    "1e999": (1, "too large"),
    "9" * 400: (1, "too large"),
    "x[0]": (1, "has no indexing"),
    "[1, 2] + x": (1, "may only be an argument"),
    "[1, 2]": (1, "may only be an argument"),
    "sum([1, x])": (5, "numbers only"),
    "a < b < c": (1, "two values at a time"),
    "a and b": (1, "logical_and"),
    "not a": (1, "not known"),
    "a if b else c": (1, "where(condition, a, b)"),
    "(lambda: 1)()": (1, "only a function's name"),
    "[x for x in y]": (1, "ListComp"),
    "(x := 1)": (2, "NamedExpr"),
    "x = 1": (3, "'=' is not expected"),
    "x; y": (2, "';' is not expected"),
    "import os": (1, "is not expected"),
    "await x": (1, "Await"),
    "sum(*x)": (5, "Starred"),
    "sum(**x)": (5, "axis= and keepdims= are"),
    "sum(x, axis=y)": (8, "an integer or a tuple"),
    "sum(x, axis=True)": (8, "an integer or a tuple"),
    "sum(x, keepdims=1)": (8, "True or False"),
    "sum(x, axis=(0,) * 10**9)": (8, "an integer or a tuple"),
    "sum(x, dtype=1)": (8, "not known here"),
    "sin(x, y)": (1, "too many"),
    "sin()": (1, "missing"),
    "sin(x, axis=0)": (1, "unexpected keyword"),
    "max(x, 0)": (1, "write maximum(a, b)"),
    "sin + x": (1, "is a function: write sin(...)"),
    "é + ß * sin(ö, z)": (9, "too many"),
    "  1 + lgo(x)": (7, "did you mean 'log'?"),
    "x\x00": (2, "null"),
    "\ud800": (1, "surrogates"),
    "(" * 500 + "x" + ")" * 500: (201, "nested"),
    "x" * (LONGEST + 1): (LONGEST + 1, "at most 4000 characters"),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(text: str) -> None:
    column, reason = REFUSED[text]
    with pytest.raises(ExpressionError) as caught:
        read_expression(text)
    message = str(caught.value)
    assert reason.lower() in message.lower()
    assert "\n" not in message and len(message) < 200
    if column_is_ours(reason):
        assert message.startswith(f"column {column}: ")


def column_is_ours(reason: str) -> bool:
    """Return whether the column is ours: that of a syntax error is Python's own affair."""
    words = "not expected", "null", "surrogates", "nested"
    return not any(word in reason for word in words)


def test_not_text() -> None:
    with pytest.raises(ExpressionError, match="is text"):
        read_expression(3)  # type: ignore[arg-type]


def test_an_op_that_does_not_fit_is_refused_with_its_column() -> None:
    with pytest.raises(ExpressionError, match="^column 5: .*bool"):
        read_expression("x + -(y < 1)")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text("x1()+-*/.,[]'\"e9 =:<>@~^&|", max_size=40))
@example("x" + "+x" * 1900)
@example("sin(" * 150 + "x" + ")" * 150)
@example("x" + "**x" * 1300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(read_expression(text).node, sm.Node)
    except ExpressionError as error:
        assert "\n" not in str(error) and str(error).startswith("column ")


OFFERED = """
abs acos acosh all any asin asinh atan atan2 atanh cbrt ceil cholesky clip cos cosh cumprod cumsum
deg2rad det diagonal digamma dot equal erf erfc erfinv exp exp2 expm1 floor gammaln greater
greater_equal hypot inv less less_equal log log10 log1p log2 log_softmax logaddexp logical_and
logical_not logical_or logical_xor logsumexp matmul matrix_transpose max maximum mean min minimum
mod norm not_equal outer power prod rad2deg reciprocal relu round sigmoid sign sin sinh softmax
softplus solve sqrt square std sum tan tanh trace transpose tril triu trunc var where
""".split()
NOT_OFFERED = """
broadcast_to cast compile concat custom eval eye full get_item identity linspace map_over one_hot
ones_like pad repeat reshape stack stop_gradient structure tile zeros zeros_like
""".split()
"""What makes values as large as it is told to, is no function of values, or is for derivatives."""


def test_expressions_call_what_ops_offer() -> None:
    table = function_table()
    assert set(OFFERED) <= set(table)
    assert not set(NOT_OFFERED) & set(table)
    elementwise = {name for name, f in FUNCTIONS.items() if isinstance(f, Elementwise)}
    assert elementwise - set(table) <= {*NOT_OFFERED, "cast"}


def test_a_failure_at_run_time_names_the_column() -> None:
    expression = read_expression("a + (b @ c)")
    a, b, c = expression.variables.values()
    with pytest.raises(sm.SymadError, match="column 6"):
        sm.Executor(expression.node).run({a: 1.0, b: np.ones((2, 3)), c: np.ones((2, 3))})


def test_deep_nesting_is_read_or_refused() -> None:
    """How deep Python's parser goes depends on its version; what it reads is read without limit."""
    try:
        deep = read_expression("-" * 3900 + "x")
    except ExpressionError as error:
        assert "nested too deeply" in str(error)
    else:
        assert deep.node.eval({deep.variables["x"]: 2.0}) == 2.0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("x^2", "x**2"),
        ("ln(x)", "log(x)"),
        ("2x", "2*x"),
        ("x²", "x**2"),
        ("x⁻¹⁰", "x**-10"),
        ("sin x", "sin(x)"),
        ("sin 2x cos y", "sin(2*x)*cos(y)"),
        ("sin^2 x + cos(x)^2", "sin(x)**2 + cos(x)**2"),
        ("ln sin x^2", "log(sin(x**2))"),
        ("2(x + 1)(x − 1)", "2*(x + 1)*(x - 1)"),
        ("√(x+1) ÷ √y", "sqrt(x + 1)/sqrt(y)"),
        ("|x| · 3", "abs(x)*3"),
        ("2πr", "2*π*r"),
        ("x y", "x*y"),
        ("e^(-x^2/2)", "e**(-x**2/2)"),
        ("x₁ ≤ 2x₂", "x1 <= 2*x2"),
        ("3 gamma", "3*gamma"),
    ],
)
def test_errors_say_how_formulas_on_paper_are_written(written: str, meant: str) -> None:
    with pytest.raises(ExpressionError, match=f"Did you mean {re.escape(repr(meant))}") as caught:
        read_expression(written)
    assert "\n" not in str(caught.value)
    read_expression(meant)


@pytest.mark.parametrize("text", ["x +* 2", "sin", "x! + 1", "a = b", "((", "foo_bar(x)", "√", "^"])
def test_nothing_is_suggested_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        read_expression(text)
    assert "*" not in str(caught.value).partition("Did you mean")[2]


@given(st.text("xy2(+)^²|√-·* sincoπe,.[=", max_size=30))
@settings(max_examples=300)
def test_a_suggestion_can_always_be_read(text: str) -> None:
    try:
        read_expression(text)
    except ExpressionError as error:
        _, found, meant = str(error).rpartition("Did you mean ")
        if found and not meant[1:-2].isidentifier():
            read_expression(meant[1:-2])
