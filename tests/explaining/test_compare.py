"""The ways of differentiating compared: counts against formulas by hand and trees written out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import FeedError, GradientError, GraphTypeError
from symad.explaining.counts import Operations, operations_of
from symad.explaining.expansion import expand

NAMES = [
    "one-sided differences",
    "central differences",
    "symbolic expansion",
    "forward mode",
    "reverse mode",
    "reverse mode, compiled",
]


def running_example() -> tuple[sm.Node, list[sm.Variable], dict[sm.Node, Any]]:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    return sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2], {x1: 2.0, x2: 5.0}


def counts(way: Any) -> tuple[int, int, int]:
    operations = way.operations
    return operations.multiplications, operations.additions, operations.functions


def test_the_running_example_by_hand() -> None:
    ways = sm.compare_derivatives(*running_example()).ways
    assert [way.name for way in ways] == NAMES
    assert [(way.runs, way.unit) for way in ways] == [
        (3, "evaluation"), (4, "evaluation"), (2, "formula"), (2, "pass"), (1, "pass"), (1, "pass"),
    ]  # fmt: skip
    # y: one product, one sum, one difference, ln and sin.
    one_sided, central, symbolic, forward, reverse, _ = map(counts, ways)
    assert one_sided == (3 * 1 + 2, 3 * 2 + 2 * 2, 3 * 2)
    assert central == (4 * 1 + 2, 4 * 2 + 2 * 3, 4 * 2)
    # 1/x1 + x2 and x1 - cos x2
    assert symbolic == (1, 2, 1)
    # y, and twice: v̇1/v1, v̇1·v2, v̇2·v1, v̇2·cos v2; two sums, one difference as a negative added
    assert forward == (1 + 2 * 4, 2 + 2 * 4, 2 + 2)
    # y, and the four products, one change of sign, two sums, cos v2
    assert reverse == (1 + 4, 2 + 3, 2 + 1)


def test_all_ways_agree_and_differences_are_less_exact() -> None:
    comparison = sm.compare_derivatives(*running_example())
    for way in comparison.ways:
        np.testing.assert_allclose(way.flat, [5.5, 2.0 - np.cos(5.0)], rtol=1e-7)
    one_sided, central, *exact = map(comparison.error, comparison.ways)
    assert 1e-6 > one_sided > 1e-9 > central > 1e-14
    assert max(exact) < 1e-14


@pytest.mark.parametrize("n", [2, 3, 7, 12])
def test_a_product_takes_n_times_n_minus_2(n: int) -> None:
    xs = [sm.Variable(f"x{i}") for i in range(n)]
    y: sm.Node = xs[0]
    for x in xs[1:]:
        y = y * x
    ways = sm.compare_derivatives(y, xs, dict.fromkeys(xs, 1.5)).ways
    assert counts(ways[2]) == (n * (n - 2), 0, 0)
    assert ways[4].operations.multiplications == (n - 1) + 2 * (n - 1)
    np.testing.assert_allclose(ways[4].flat, 1.5 ** (n - 1))


# Symbolic expansion against formulas that are really written out

Tree = tuple[Any, ...]


def tree_of(node: sm.Node) -> Tree:
    if node.op is None:
        return ("leaf", node)
    return (node.op.name, *map(tree_of, node.inputs))


def differentiate(tree: Tree, x: sm.Node) -> Tree | None:
    """Return the derivative by the rules of the textbook; ``None`` for 0."""
    name, *parts = tree
    if name == "leaf":
        return ("one",) if parts[0] is x else None
    inner = [differentiate(part, x) for part in parts]
    if name == "multiply":
        (a, b), (da, db) = parts, inner
        terms = [product(da, b), product(db, a)]
    elif name in ("sin", "exp"):
        terms = [product(inner[0], ("cos", parts[0]) if name == "sin" else tree)]
    elif name == "subtract":
        if inner[0] is None or inner[1] is None:
            return inner[0] or (inner[1] and ("negative", inner[1]))
        return ("subtract", *inner)
    else:
        assert name == "add"
        terms = inner
    kept = [term for term in terms if term is not None]
    return ("add", *kept) if len(kept) > 1 else kept[0] if kept else None


def product(derivative: Tree | None, factor: Tree) -> Tree | None:
    if derivative is None or derivative == ("one",):
        return derivative and factor
    return ("multiply", derivative, factor)


def count(tree: Tree) -> Operations:
    name, *parts = tree
    sums = Operations(0, max(1, len(parts) - 1))
    own = {"multiply": Operations(1), "add": sums, "subtract": sums, "negative": sums}
    if name in ("leaf", "one"):
        return Operations()
    total = own.get(name, Operations(0, 0, 1))
    for part in parts:
        total += count(part)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_expansion_counts_what_is_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs = [sm.Variable(name, shape=()) for name in "abc"]
    nodes: list[sm.Node] = [*xs]
    makers: list[Callable[[sm.Node, sm.Node], sm.Node]] = [
        lambda a, b: a + b, lambda a, b: a * b, lambda a, b: sm.sin(a), lambda a, b: sm.exp(b) * a,
        lambda a, b: a - b,
    ]  # fmt: skip
    for _ in range(6):
        a, b = (nodes[i] for i in rng.integers(len(nodes), size=2))
        nodes.append(makers[rng.integers(len(makers))](a, b))
    y = nodes[-1] * nodes[-2] - nodes[-3]
    tree, total = tree_of(y), Operations()
    for x in xs:
        total += count(differentiate(tree, x) or ("one",))
    found = expand(y, xs)
    assert found.formula == count(tree)
    assert found.derivatives == total


def test_formulas_of_astronomical_size_are_counted() -> None:
    x = sm.Variable("x")
    y: sm.Node = x
    for _ in range(200):
        y = y * y
    comparison = sm.compare_derivatives(y, x, {x: 1.0})
    symbolic = comparison.ways[2].operations
    assert symbolic.multiplications > 10**60
    # D(u·u) = Du·u + u·Du with formulas of 2^k − 1 products
    total, product_size = 0, 1
    for k in range(1, 200):
        total, product_size = (
            2 * (total + product_size + 1) if k > 1 else 2 * 2,
            2 * product_size + 1,
        )
    assert symbolic.multiplications == total
    assert "e" in str(comparison).splitlines()[4]


def test_expansion_is_linear() -> None:
    def calls(length: int) -> int:
        x = sm.Variable("x", shape=())
        y: sm.Node = x
        for _ in range(length):
            y = sm.sin(y) * y
        found = 0

        def trace(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += event == "call"

        previous = sys.getprofile()
        sys.setprofile(trace)
        try:
            expand(y, [x])
        finally:
            sys.setprofile(previous)
        return found

    calls(5)
    assert calls(400) < 4.1 * calls(100)


# Counts of single ops


def test_operations_of_ops() -> None:
    a, b = sm.Variable("a", (2, 3)), sm.Variable("b", (3, 4))
    row = sm.Variable("row", (3,))
    assert operations_of(a @ b) == Operations(2 * 3 * 4, 2 * 2 * 4)
    assert operations_of(a + row) == operations_of(-a) == Operations(additions=6)
    assert operations_of(a / row) == operations_of(a * 2) == Operations(multiplications=6)
    assert operations_of(sm.sum(a, axis=0)) == Operations(additions=3)
    assert operations_of(sm.tanh(a)) == operations_of(a > 0) == Operations(functions=6)
    assert operations_of(sm.add_n([a, a, row])) == Operations(additions=12)
    for moved in (a.T, sm.reshape(a, (6,)), sm.identity(a), a[0], sm.broadcast_to(row, (2, 3)), a):
        assert operations_of(moved) == Operations()


# Arrays


def test_arrays_count_their_elements() -> None:
    rng = np.random.default_rng(0)
    x, w = sm.Variable("X"), sm.parameter("W", rng.normal(size=(3, 2)))
    b = sm.Variable("b", dtype="float32")
    y = sm.sum(sm.tanh(x @ w + b))
    feed = {x: rng.normal(size=(4, 3)), b: np.array([0.5, -0.5], "float32")}
    comparison = sm.compare_derivatives(y, [w, b], feed)
    one_sided, central, symbolic, forward, reverse, compiled = comparison.ways
    assert (one_sided.runs, central.runs, symbolic.runs, forward.runs) == (9, 16, 8, 8)
    expected = sm.Executor(sm.gradients(y, [w, b])).run(feed)
    for way in (forward, reverse, compiled):
        for value, gradient in zip(way.values, expected, strict=True):
            np.testing.assert_allclose(value, gradient, rtol=1e-5)
    np.testing.assert_allclose(central.values[0], expected[0], rtol=1e-4)
    # The slope of tanh takes an exponential of its own: forward mode in each of its 8 passes.
    assert (forward.operations.functions, reverse.operations.functions) == (8 + 8 * 8, 8 + 8)
    assert len(comparison.table.titles) == 6  # too many derivatives for a column each
    assert reverse.operations.multiplications < forward.operations.multiplications


def test_the_table() -> None:
    comparison = sm.compare_derivatives(*running_example())
    lines = comparison.text.splitlines()
    assert lines[0].split()[-2:] == ["∂y/∂x1", "∂y/∂x2"]
    assert lines[6].split() == [
        "reverse",
        "mode",
        "1",
        "pass",
        "5",
        "5",
        "3",
        "0",
        "5.5",
        "1.71633781454",
    ]
    assert comparison.markdown.count("\n") == 9 and "---:" in comparison.markdown
    assert "<td" in comparison._repr_html_() and "5.5" in comparison.html
    assert repr(comparison) == "<Comparison of 6 ways>"


def test_names_are_escaped() -> None:
    x = sm.Variable("<b>|x")
    comparison = sm.compare_derivatives(x * x, x, {x: 1.0})
    assert "<b>" not in comparison.html and "\\|x" in comparison.markdown


# Differences against their step


def test_errors_of_differences_fall_and_rise_again() -> None:
    x = sm.Variable("x")
    errors = sm.difference_errors(sm.exp(x), x, {x: 0.0})
    assert errors.exact in (pytest.approx(1.0), pytest.approx(-1.0))
    # truncation: ε f''/2 and ε² f'''/6
    np.testing.assert_allclose(errors.one_sided[1:5], errors.steps[1:5] / 2, rtol=0.1)
    np.testing.assert_allclose(errors.central[1:4], errors.steps[1:4] ** 2 / 6, rtol=0.02)
    # rounding: about 1e-16/ε
    assert errors.one_sided[-1] > 1e-3 > errors.one_sided[8] and errors.central[-1] > 1e-3
    best = errors.steps[errors.central.argmin()]
    assert 1e-6 < best < 1e-3
    assert "Smallest errors: one-sided at 1e-0" in str(errors)


def test_steps_may_be_given_and_plotted() -> None:
    y, xs, feed = running_example()
    errors = sm.difference_errors(y, xs, feed, steps=[1e-2, 1e-4])
    assert errors.one_sided.shape == errors.central.shape == (2,)
    axes = errors.plot()
    assert len(axes.lines) == 2 and axes.get_xscale() == axes.get_yscale() == "log"
    again = errors.plot(axes)
    assert again is axes and len(axes.lines) == 4


def test_no_step_gives_a_number() -> None:
    x = sm.Variable("x")
    errors = sm.difference_errors(sm.log(x), x, {x: -1.0}, steps=[1e-3])
    assert np.isnan(errors.central).all() and "No step gives a finite error" in str(errors)


def test_what_is_refused() -> None:
    y, xs, feed = running_example()
    with pytest.raises(GradientError, match="not a floating-point number"):
        sm.compare_derivatives(sm.stack([y, y]), xs, feed)
    with pytest.raises(GradientError, match="does not depend on"):
        sm.compare_derivatives(sm.log(xs[0]), xs, {xs[0]: 1.0})
    with pytest.raises(FeedError, match="x2"):
        sm.compare_derivatives(y, xs, {xs[0]: 1.0})
    with pytest.raises(GradientError, match="nothing to differentiate with respect to"):
        sm.compare_derivatives(y, [], feed)
    with pytest.raises(GraphTypeError, match="not a node"):
        sm.compare_derivatives(y, [1.0], feed)
    with pytest.raises(FeedError, match="is computed"):
        sm.compare_derivatives(y, [y.inputs[0]], feed)
