"""Traces: the three columns of the lecture, with symbols and numbers."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import FeedError, GradientError, GraphError, GraphTypeError
from symad.notation.table import display_width
from symad.tables.tracing import derivation

# LECTURE: y = ln(x1) + x1·x2 − sin(x2) at x1 = 2, x2 = 5; formula, value to three decimals.
FORWARD = """\
v1 = x1 = 2
v2 = x2 = 5
v3 = ln v1 = 0.693
v4 = v1·v2 = 10
v5 = sin v2 = −0.959
v6 = v3 + v4 = 10.693
v7 = v6 − v5 = 11.652 = y""".splitlines()
TANGENTS = """\
v̇1 = 1
v̇2 = 0
v̇3 = v̇1/v1 = 0.5
v̇4 = v̇1·v2 + v̇2·v1 = 5
v̇5 = v̇2·cos v2 = 0
v̇6 = v̇3 + v̇4 = 5.5
v̇7 = v̇6 − v̇5 = 5.5""".splitlines()
ADJOINTS = """\
v̄7 = 1
v̄6 = v̄7·1 = 1
v̄5 = v̄7·(−1) = −1
v̄4 = v̄6·1 = 1
v̄3 = v̄6·1 = 1
v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716
v̄1 = v̄4·v2 + v̄3/v1 = 5 + 0.5 = 5.5""".splitlines()


def lecture(shape: Any = None) -> tuple[sm.Node, dict[sm.Node, Any]]:
    x1, x2 = sm.Variable("x1", shape), sm.Variable("x2", shape)
    return sm.log(x1) + x1 * x2 - sm.sin(x2), {x1: 2.0, x2: 5.0}


@pytest.mark.parametrize("shape", [None, ()], ids=["unknown", "scalar"])
def test_the_lectures_table(shape: Any) -> None:
    y, feed = lecture(shape)
    trace = sm.trace(y, feed)
    assert [str(entry) for entry in trace.forward] == FORWARD
    assert [str(entry) for entry in trace.tangents] == TANGENTS
    assert [str(entry) for entry in trace.adjoints] == ADJOINTS
    assert trace.titles == ("forward trace", "tangents v̇i = ∂vi/∂x1", "adjoints v̄i = ∂y/∂vi")


@pytest.mark.parametrize("shape", [None, ()], ids=["unknown", "scalar"])
def test_the_lectures_numbers(shape: Any) -> None:
    y, feed = lecture(shape)
    rows = sm.trace(y, feed).rows
    values = [[entry.value for entry in row if entry is not None] for row in rows]
    sin, cos, log = np.sin(5.0), np.cos(5.0), np.log(2.0)
    expected = [
        (2.0, 1.0, 1.0),
        (5.0, 0.0, 1.0),
        (log, 0.5, -1.0),
        (10.0, 5.0, 1.0),
        (sin, 0.0, 1.0),
        (log + 10.0, 5.5, 2.0 - cos),
        (log + 10.0 - sin, 5.5, 5.5),
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-15, atol=1e-15)
    assert rows[5][2] is not None
    np.testing.assert_allclose(rows[5][2].terms, [-cos, 2.0])


def test_tangents_of_another_variable() -> None:
    y, feed = lecture()
    trace = sm.trace(y, feed, wrt=list(feed)[1])
    assert str(trace.tangents[-1]) == "v̇7 = v̇6 − v̇5 = 1.716"
    assert trace.tangents[-1].value == pytest.approx(trace.adjoints[-2].value)


def test_without_values_the_formulas_remain() -> None:
    y, _ = lecture()
    trace = sm.trace(y)
    assert str(trace.adjoints[5]) == "v̄2 = v̄5·cos v2 + v̄4·v1"
    assert str(trace.forward[6]) == "v7 = v6 − v5 = y"
    assert all(entry.value is None for row in trace.rows for entry in row if entry)


def test_columns_are_aligned() -> None:
    y, feed = lecture()
    lines = str(sm.trace(y, feed)).splitlines()
    bars = lines[1]
    starts = [i for i in range(len(bars)) if bars[i] == "─" and (i == 0 or bars[i - 1] == " ")]
    assert len(lines) == 9 and len(starts) == 3
    for line in lines[2:]:
        widths = [display_width(part) for part in line.split("   ") if part.strip()]
        assert len(widths) == 3
    for line in lines:
        place, columns = 0, []
        for i, character in enumerate(line):
            if character != " " and (i == 0 or line[max(0, i - 2) : i] == "  "):
                columns.append(place)
            place += display_width(character)
        assert columns == starts


def test_the_shared_exponential() -> None:
    """Several pathways: v2 = exp v1 is used twice."""
    x = sm.Variable("x")
    z = sm.exp(x)
    trace = sm.trace((z + 1) * z, {x: 0.0})
    assert [str(entry) for entry in trace.adjoints] == [
        "v̄4 = 1",
        "v̄3 = v̄4·v2 = 1",
        "v̄2 = v̄4·v3 + v̄3·1 = 2 + 1 = 3",
        "v̄1 = v̄2·v2 = 3",
    ]


def test_adjoints_and_tangents_agree_with_gradients() -> None:
    rng = np.random.default_rng(3)
    w, b, x = sm.Variable("w"), sm.Variable("b"), sm.Variable("x")
    y = sm.sum(sm.sin(w @ x + b) * sm.exp(-b))
    feed = {w: rng.normal(size=(3, 2)), x: rng.normal(size=2), b: rng.normal(size=3)}
    trace = sm.trace(y, feed, wrt=b)
    gradients = dict(zip(feed, sm.Executor(sm.gradients(y, list(feed))).run(feed), strict=True))
    leaves = [entry.node for entry in trace.forward if entry.node.op is None]
    by_index = {entry.symbol.index: entry.value for entry in trace.adjoints}
    for index, leaf in enumerate(leaves, 1):
        np.testing.assert_allclose(by_index[(index,)], gradients[leaf])
    np.testing.assert_allclose(trace.tangents[-1].value, np.sum(gradients[b]))


def test_broadcasting_shows_the_repair_that_does_something() -> None:
    x, b = sm.Variable("x"), sm.Variable("b")
    y = sm.sum(x + b)
    entries = sm.trace(y, {x: [[1.0, 2.0], [3.0, 4.0]], b: [1.0, 2.0]}).adjoints
    texts = [str(entry) for entry in entries]
    assert "v̄2 = sum_like(v̄3·1, v2) = [2, 2]" in texts
    assert any(text.startswith("v̄1 = v̄3·1 = ") for text in texts)


def test_arrays_are_shown_short() -> None:
    x = sm.Variable("x")
    text = str(sm.trace(sm.sum(x * x), {x: np.ones((20, 30))}))
    assert "20×30 [1, 1, 1, …] ‖24.495‖" in text
    assert max(map(display_width, text.splitlines())) < 300


def test_long_steps_get_a_name_and_a_line() -> None:
    a, b, c, d = (sm.Variable(name) for name in "abcd")
    gradient = sm.gradients(sm.sin(sm.sin(a) * b) * sm.exp(c * d), a)
    trace = sm.trace(gradient, {a: 0.1, b: 0.2, c: 0.3, d: 0.4})
    assert trace.adjoints and trace.tangents  # a trace of a graph that holds a derivative
    assert trace.adjoints[0].symbol.generation == 2
    last = [str(entry.symbol) for entry in trace.forward]
    assert len(last) == len(set(last))


def test_y_may_be_its_own_variable() -> None:
    x = sm.Variable("x")
    trace = sm.trace(x, {x: 3.0})
    assert [str(row[0]) for row in trace.rows] == ["v1 = x = 3"]
    assert [str(row[1]) for row in trace.rows] == ["v̇1 = 1"]
    assert [str(row[2]) for row in trace.rows] == ["v̄1 = 1"]


def test_a_value_that_is_no_number_goes_on() -> None:
    x = sm.Variable("x")
    trace = sm.trace(sm.log(x) * x, {x: -1.0})
    assert "ln v1 = nan" in str(trace.forward[1])
    assert np.isnan(trace.adjoints[-1].value)


def test_values_are_those_of_the_formulas_that_are_shown() -> None:
    """The passes would mend them: what runs is log(1 + exp x) = 800, and its derivative 1."""
    x = sm.Variable("x")
    y = sm.log(1 + sm.exp(x))
    trace = sm.trace(y, {x: 800.0})
    assert [str(entry) for entry in trace.forward[2:]] == ["v3 = 1 + v2 = ∞", "v4 = ln v3 = ∞ = y"]
    assert str(trace.adjoints[-1]) == "v̄1 = v̄2·v2 = nan"
    assert sm.compile([x], [y, sm.gradients(y, x)])(800.0) == [800.0, 1.0]


def test_the_trace_of_a_gradient_says_which_number_an_adjoint_has() -> None:
    x = sm.Variable("x", shape=())
    trace = sm.trace(sm.gradients(sm.sin(x) * x, x), {x: 2.0})
    assert [str(entry) for entry in trace.forward] == [
        "v1 = x = 2",
        "v2 = sin v1 = 0.909",
        "v̄3 = 1",  # a constant has no number: nothing flows back to it
        "v4 = v̄1→3 = v̄3·v2 = 0.909",
        "v5 = v̄2 = v̄3·v1 = 2",
        "v6 = cos v1 = −0.416",
        "v7 = v̄1→2 = v̄2·v6 = −0.832",
        "v8 = v̄1 = v̄3·v2 + v̄2·v6 = 0.909 − 0.832 = 0.077 = y",
    ]
    assert str(trace.adjoints[0]) == "v̄⁽²⁾8 = 1"


def test_a_gradient_without_variables_has_its_line() -> None:
    x = sm.Variable("x", shape=(2,))
    gradient = sm.gradients(2.0 * x, x, seed=np.array([1.0, 3.0]))
    assert [str(entry) for entry in sm.trace(gradient, {}).forward] == [
        "v̄2 = [1, 3]", "v̄1 = v̄2·2 = [2, 6] = y",
    ]  # fmt: skip


def test_constants_alone() -> None:
    trace = sm.trace(sm.constant(2.0) + 3.0, {})
    assert [str(entry) for entry in trace.forward] == ["v1 = 2 + 3 = 5 = y"]
    assert trace.tangents == () and trace.titles[1] == "tangents"


def test_parameters_are_variables_that_bring_their_values() -> None:
    x, w = sm.Variable("x"), sm.parameter("w", 4.0)
    trace = sm.trace(x * w, {x: 2.0})
    assert str(trace.adjoints[-1]) == "v̄1 = v̄3·v2 = 4"


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def test_html_and_markdown() -> None:
    y, feed = lecture()
    trace = sm.trace(y, feed)
    parser = Cells()
    parser.feed(trace._repr_html_())
    assert parser.cells[3:6] == [FORWARD[0], TANGENTS[0], ADJOINTS[0]]
    assert parser.cells[-3:] == [FORWARD[6], TANGENTS[6], ADJOINTS[6]]
    lines = trace.markdown.splitlines()
    assert len(lines) == 9 and lines[1] == "| --- | --- | --- |"
    assert lines[2] == f"| {FORWARD[0]} | {TANGENTS[0]} | {ADJOINTS[0]} |"


def test_hostile_names_are_text() -> None:
    name = "<script>alert(1)</script>|`*\n"
    x = sm.Variable(name)
    trace = sm.trace(sm.sin(x), {x: 1.0})
    parser = Cells()
    parser.feed(trace._repr_html_())
    assert "script" not in parser.tags
    assert "v1 = <script>alert(1)</script>|`*↵ = 1" in parser.cells
    for line in trace.markdown.splitlines():
        assert line.replace("\\|", "").count("|") == 4 and "<script" not in line.replace("\\<", "")
    assert len(str(trace).splitlines()) == 4


def test_what_is_refused() -> None:
    y, feed = lecture()
    with pytest.raises(GraphTypeError, match="one at a time"):
        sm.trace([y, y], feed)  # type: ignore[arg-type]
    with pytest.raises(FeedError, match="x2"):
        sm.trace(y, {next(iter(feed)): 2.0})
    with pytest.raises(GraphError, match="does not depend"):
        sm.trace(y, feed, wrt=sm.Variable("z"))
    with pytest.raises(GradientError, match="have no derivative"):
        sm.trace(sm.Variable("x") < 1)


def test_integers_have_values_only() -> None:
    n = sm.Variable("n", dtype="int64")
    trace = sm.trace(n + 1, {n: 2})
    assert str(trace.forward[1]) == "v2 = v1 + 1 = 3 = y"
    assert trace.tangents == trace.adjoints == ()


def test_derivation_is_of_what_is_asked_for() -> None:
    y, (x1, _) = lecture()
    texts = [str(entry) for entry in derivation(y, [x1])]
    assert texts[-1] == "v̄1 = v̄4·v2 + v̄3/v1"
    assert not any(text.startswith(("v̄2", "v̄5")) for text in texts)


def test_a_long_chain() -> None:
    x = y = sm.Variable("x")
    for _ in range(2_000):
        y = sm.sin(y)
    trace = sm.trace(y, {x: 1.0})
    assert len(trace.rows) == 2_001
    assert str(trace.adjoints[-1]).startswith("v̄1 = v̄2·cos v1 = ")


# Tensors


def test_types_are_shown_where_there_are_no_values() -> None:
    x, w, free = sm.Variable("X", ("n", 3)), sm.Variable("W", (3, 2)), sm.Variable("c")
    y = sm.sum(x @ w) * 2.0
    trace = sm.trace(y, wrt=w)
    assert [str(entry) for entry in trace.forward] == [
        "v1 = X : f64[n,3]",
        "v2 = W : f64[3,2]",
        "v3 = v1 @ v2 : f64[n,2]",
        "v4 = sum(v3)",
        "v5 = v4·2 = y",
    ]
    assert str(trace.adjoints[-1]) == "v̄1 = v̄3 @ v2ᵀ : f64[n,3]"
    assert str(sm.trace(free * 2.0).forward[0]) == "v1 = c"  # nothing is known of its shape


def test_shapes_first_values_and_norms() -> None:
    x = sm.Variable("X", ("n", 3))
    trace = sm.trace(sm.sum(x * x), {x: np.full((5, 3), 2.0)})
    assert str(trace.forward[0]) == "v1 = X = 5×3 [2, 2, 2, …] ‖7.746‖"
    assert str(trace.adjoints[-1]).endswith(" = 5×3 [4, 4, 4, …] ‖15.492‖")


def test_structures_are_shown_item_by_item() -> None:
    a, b = sm.Variable("a"), sm.Variable("b")
    d = sm.structure({"cat": a, "dog\n<b>": (b, b)})
    trace = sm.trace(d["cat"] * 3.0, {a: [0.0, 1.0], b: 1.0})
    (whole,) = [entry for entry in trace.forward if entry.node is d]
    assert str(whole).endswith("= {cat: [0, 1], dog↵<b>: tuple of 2 items}")
    (adjoint,) = [entry for entry in trace.adjoints if entry.formula.startswith("{")]
    assert str(adjoint) == "v̄4 = {cat: v̄5} = {cat: [3, 3], dog↵<b>: absent}"
    assert "<b>" not in trace.html and "\\<b\\>" in trace.markdown


def test_the_forms_agree() -> None:
    y, feed = lecture()
    trace = sm.trace(y, feed)
    assert str(trace) == trace.text == str(trace.table)
    assert trace._repr_markdown_() == trace.markdown
    assert trace._repr_html_() == trace.html


def test_the_time_is_linear() -> None:
    def calls(length: int) -> int:
        x = sm.Variable("x")
        y: sm.Node = x
        for _ in range(length):
            y = sm.sin(y) * y
        found = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += event == "call"

        previous = sys.getprofile()
        sys.setprofile(count)
        try:
            trace = sm.trace(y, {x: 0.5})
            assert trace.text and trace.markdown and trace.html
        finally:
            sys.setprofile(previous)
        return found

    calls(5)
    assert calls(200) < 4.2 * calls(50)


def test_a_jacobian_has_a_trace() -> None:
    x = sm.Variable("x", shape=(2,))
    assert "reshape_outer" in str(sm.trace(sm.jacobian(sm.sin(x), x), {x: np.array([1.0, 2.0])}))


# Loops


def test_the_steps_of_a_loop_and_of_its_adjoint() -> None:
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=())
    last, _ = sm.scan(lambda c, e: (c * w + e, None), sm.constant(2.0), x)
    trace = sm.trace(last**2, {x: [1.0, 0.0, -1.0], w: 3.0})
    forward, adjoint, tangent = trace.loops
    assert str(forward) == """\
v3 = scan, 3 steps   step 0   step 1   step 2
──────────────────   ──────   ──────   ──────
v6 = carry           2        7        21
v7 = x[i]            1        0        −1
v8 = w               3        3        3
v9 = v6·v8           6        21       63
v10 = v9 + v7        7        21       62"""
    assert str(adjoint) == """\
t1 = scan backwards, 3 steps   step 2   step 1   step 0
────────────────────────────   ──────   ──────   ──────
v11 = carry                    124      372      1116
v12 = carry                    0        2604     5208
v6 = saved carry               21       7        2
v8 = w                         3        3        3
v̄10 = v11                      124      372      1116
v̄9 = v̄10·1                     124      372      1116
v̄6 = v̄9·v8                     372      1116     3348
v̄8 = v̄9·v6                     2604     2604     2232
v̄7 = v̄10·1                     124      372      1116"""
    assert tangent.title == "t2 = scan, 3 steps" and tangent.steps == forward.steps
    assert str(trace).endswith(str(tangent)) and trace.markdown.endswith(tangent.markdown)
    assert trace.html.count("<table>") == 4
    (symbols, *_) = sm.trace(last**2).loops
    assert symbols.steps == () and symbols.lines[3] == ("v9 = v6·v8",)


def test_the_first_steps_and_the_last() -> None:
    x = sm.Variable("x", shape=(9,))
    halves = sm.map_over(lambda e: e / 2, [x])
    (rows, *_) = sm.trace(sm.sum(halves), {x: np.arange(9.0)}).loops
    assert rows.steps == ("row 0", "row 1", "row 2", "row 8")
    assert rows.lines[-1] == ("v5 = v4/2", "0", "0.5", "1", "4")


@pytest.mark.parametrize("start", [0.5, 3.0, 40.0])
def test_the_steps_of_a_while_loop_and_of_the_branch_taken(start: float) -> None:
    k = sm.Variable("k", shape=())
    ended = sm.while_loop(lambda c: c < 30, lambda c: c * c + 1, k)
    y = ended + sm.cond(k > 1, lambda: sm.sin(k), lambda: sm.cos(k))
    trace = sm.trace(y, {k: start})
    loop, branch = trace.loops[:2]
    carries = [start]
    while carries[-1] < 30:
        carries.append(carries[-1] ** 2 + 1)
    assert len(loop.steps) == min(4, len(carries))
    assert loop.steps[-1] == f"step {len(carries) - 1}"
    condition = next(line for line in loop.lines if "< 30" in line[0])
    assert condition[1:] == ("true",) * (len(loop.steps) - 1) + ("false",)
    assert branch.steps == (f"branch {int(start > 1)}",)
    assert branch.lines[-1][0].split(" = ")[1].startswith("sin" if start > 1 else "cos")


def test_a_loop_in_a_loop_is_that_of_the_first_step() -> None:
    x, w = sm.Variable("x", shape=(5,)), sm.Variable("w")

    def step(c: Any, e: Any) -> Any:
        return sm.scan(lambda d, _: (d * w, None), c, length=2)[0] + e, None

    y = sm.scan(step, sm.constant(1.0), x)[0]
    titles = [loop.title for loop in sm.trace(y, {x: np.ones(5), w: 2.0}).loops]
    assert titles[0] == "v3 = scan, 5 steps"
    assert "v8 = scan, 2 steps, in step 0 of v3" in titles
    assert any(title.endswith("in step 4 of t1") for title in titles)
