"""Formulas: parentheses where they are needed, and a text that means what the graph means."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symad as sm
from symad.graph.formula import Term, format_term


def formula(node: sm.Node, latex: bool = False) -> Term:
    """Return a whole expression as one formula; the expressions here are small."""
    if node.op is None:
        return Term.number(node.label)
    return format_term(node, lambda source: formula(source, latex), latex)


x, y = sm.Variable("x"), sm.Variable("y")
p, q, i = (
    sm.Variable("p", dtype="bool"),
    sm.Variable("q", dtype="bool"),
    sm.Variable("i", (), "int64"),
)


@pytest.mark.parametrize(
    "node, text",
    [
        (x - (y - x), "x - (y - x)"),
        (x - y - x, "x - y - x"),
        (x + (y + x), "x + y + x"),
        (x * (y + 1), "x * (y + 1)"),
        (-(x * y), "-x * y"),
        (-(x + y), "-(x + y)"),
        (-sm.negative(x), "-(-x)"),
        (x * -y, "x * (-y)"),
        (x * -2.0, "x * (-2)"),
        (x / (y / x), "x / (y / x)"),
        (x / y / x, "x / y / x"),
        (x / (y * x), "x / (y * x)"),
        (sm.sin(x + y) * x, "sin(x + y) * x"),
        (sm.add_n([x, -y, x * y]), "x - y + x * y"),
        (sm.add_n([x, -(y + x)]), "x - (y + x)"),
        (sm.identity(x + y) * 2, "(x + y) * 2"),
        ((x @ y) @ x, "x @ y @ x"),
        ((x**y) ** x, "(x ** y) ** x"),
        (x ** (y**x), "x ** y ** x"),
        ((-x) ** y, "(-x) ** y"),
        (-(x**y), "-x ** y"),
        (x @ (y @ x), "x @ (y @ x)"),
        ((p | q) & q, "(p | q) & q"),
        (p | (q & p), "p | q & p"),
        (sm.equal(x < y, y < x) ^ p, "((x < y) == (y < x)) ^ p"),
        ((i << i) & ~(i | 1), "i << i & ~(i | 1)"),
    ],
)
def test_text(node: sm.Node, text: str) -> None:
    assert formula(node) == text


@pytest.mark.parametrize(
    "node, latex",
    [
        (x / (y + 1), r"\frac{x}{y + 1}"),
        ((x + 1) / y * x, r"\frac{x + 1}{y} \cdot x"),
        (sm.log(x) * y, r"\left(\ln x\right) \cdot y"),
        (y * sm.log(x + y), r"y \cdot \ln \left(x + y\right)"),
        (sm.exp(x - y), r"e^{x - y}"),
        (x - -y, r"x - \left(-y\right)"),
        (sm.sum_like(x, y), r"\operatorname{sum\_like}\left(x, y\right)"),
    ],
)
def test_latex(node: sm.Node, latex: str) -> None:
    assert formula(node, latex=True) == latex


def test_attributes_are_in_the_call() -> None:
    assert formula(sm.sum(sm.Variable("a", (2, 3)), axis=0)) == "sum(a, axis=0)"


Build = Callable[[sm.Node, sm.Node], sm.Node]
OPERATIONS: list[Build] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: -a,
    lambda a, b: sm.sin(a),
    lambda a, b: sm.add_n([a, b, -a]),
]
expressions = st.recursive(
    st.sampled_from(["x", "y"]) | st.integers(-3, 3).map(float),
    lambda inner: st.tuples(st.sampled_from(range(len(OPERATIONS))), inner, inner),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(expressions)
def test_the_text_means_what_the_graph_means(drawn: object) -> None:
    """Python reads the text of random expressions, and comes to the same numbers."""
    u, v = sm.Variable("x", ()), sm.Variable("y", ())

    def build(item: object) -> sm.Node:
        if isinstance(item, tuple):
            index, a, b = item
            return OPERATIONS[index](build(a), build(b))
        return {"x": u, "y": v}[item] if isinstance(item, str) else sm.constant(item)

    node = build(drawn)
    values = {"x": 1.75, "y": -0.5}
    feed = {variable: values[variable.label] for variable in sm.Graph([node]).inputs}
    expected = sm.Executor(node).run(feed)
    if not math.isfinite(expected):
        return
    try:
        found = eval(str(formula(node)), {"__builtins__": {}, "sin": math.sin}, values)  # noqa: S307
    except (ZeroDivisionError, OverflowError):
        return
    if not isinstance(found, complex):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


BIT_OPERATIONS: list[Callable[[Any, Any], Any]] = [
    operator.and_, operator.or_, operator.xor, operator.add, operator.mul, operator.lt,
    operator.ge, sm.equal, sm.not_equal, lambda a, b: ~a,
    lambda a, b: a if a.dtype == bool else (a << 2) - (b >> 1) if b.dtype != bool else a << 1,
]  # fmt: skip
integers = st.recursive(
    st.sampled_from(["n", "m"]),  # not numbers, whose comparisons are Python's bools
    lambda inner: st.tuples(st.sampled_from(range(len(BIT_OPERATIONS))), inner, inner),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(integers)
def test_the_text_of_bits_and_comparisons_means_what_the_graph_means(drawn: object) -> None:
    variables = {name: sm.Variable(name, (), "int64") for name in ("n", "m")}

    def build(item: object) -> sm.Node:
        if isinstance(item, tuple):
            index, a, b = item
            return BIT_OPERATIONS[index](build(a), build(b))
        return variables[str(item)]

    node, values = build(drawn), {"n": np.int64(5), "m": np.int64(-3)}
    feed = {variables[x.label]: values[x.label] for x in sm.Graph([node]).inputs}
    with np.errstate(all="ignore"):
        assert eval(str(formula(node)), values) == node.eval(feed)  # noqa: S307


def test_each_operation_inside_each_other_means_what_the_graph_means() -> None:
    """Of bits and of truth values, which have the same signs."""
    numbers = {name: sm.Variable(name, (), "int64") for name in "nm"}
    truths = {name: sm.Variable(name, (), "bool") for name in "pq"}
    values = {"n": np.int64(5), "m": np.int64(-3), "p": np.True_, "q": np.False_}
    tried = 0
    for outer, inner in itertools.product(BIT_OPERATIONS, repeat=2):
        for (a, b), c in itertools.product((numbers.values(), truths.values()), numbers.values()):
            for pair in ((inner(a, b), c), (c, inner(a, b)), (inner(a, b), truths["p"])):
                try:
                    node = outer(*pair)
                except sm.SymadError:
                    continue
                feed = {x: values[x.label] for x in sm.Graph([node]).inputs}
                with np.errstate(all="ignore"):
                    found = eval(str(formula(node)), dict(values))  # noqa: S307
                    assert found == node.eval(feed), formula(node)
                tried += 1
    assert tried > 500


# The text of a node


@pytest.mark.parametrize(
    "node, text",
    [
        (x, "x"),
        (sm.log(x) + x * y - sm.sin(y), "log(x) + x * y - sin(y)"),
        (x * -2.5, "x * (-2.5)"),
        (x + [1.0, 2.0], "x + [1, 2]"),
        (sm.constant([True, False]), "[True, False]"),
        (x @ sm.constant([[0.0] * 9] * 9), "x @ constant f64[9,9]"),
        (x[1:, None], "x[1:, None]"),
        (sm.sum(x, axis=0) / 2, "sum(x, axis=0) / 2"),
        (sm.Variable("two\nlines") * 2, "two↵lines * 2"),
        (sm.add_n([x] * 99), "x" + " + x" * 19 + " +…"),
        (sm.Variable("a" * 99), "a" * 23 + "…"),
    ],
)
def test_the_text_of_a_node_is_its_formula(node: sm.Node, text: str) -> None:
    assert str(node) == f"{node}" == text and len(text) <= 80
    assert repr(node).endswith(f": {node.type}>")


def doubled(node: sm.Node) -> sm.Node:
    return node + sm.sin(node)


@pytest.mark.parametrize("step", [doubled, sm.identity, lambda x: -x, lambda x: x[None]])
def test_the_text_of_a_large_graph_is_cut(step: Callable[[sm.Node], sm.Node]) -> None:
    node: sm.Node = sm.Variable("x", shape=())
    for _ in range(3000 if step(node).ndim else 20_000):
        node = step(node)
    assert len(str(node)) <= 80 and "…" in str(node)
