"""Explanations: each edge, identity, sum and repair has its line, and what is said is true."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.autodiff.extension import Propagated
from symad.errors import FeedError, GradientError, GraphTypeError
from symad.explaining.explanation import Explanation
from symad.notation.labels import Symbol
from symad.notation.latex_escape import (
    latex_code,
    latex_name,
    latex_number,
    latex_text,
    markdown_text,
)
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.tables.document import Code, Document, Line, Maths, Section
from tests.support import pictures
from tests.support.random_graphs import random_graph

HERE = "test_explain.py"


def running_example(shape: Any = ()) -> tuple[sm.Node, list[sm.Variable]]:
    x1, x2 = sm.Variable("x1", shape), sm.Variable("x2", shape)
    return sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2]


def section(explanation: Explanation, title: str) -> list[str]:
    """Return the lines of the section whose title begins with ``title``, spaces taken together."""
    for part in explanation.text.split("\n\n"):
        if part.startswith(title):
            return [" ".join(line.split()) for line in part.splitlines()[2:]]
    raise AssertionError(f"no section {title!r} in:\n{explanation}")


def formulas(explanation: Explanation, title: str = "") -> list[str]:
    """Return the formulas of all sections whose title begins with ``title``."""
    return [
        line.formula.text
        for part in explanation.sections
        if "".join(p if isinstance(p, str) else p.text for p in part.title).startswith(title)
        for line in part.lines
        if isinstance(line.formula, Maths)
    ]


def pieces(document: Document) -> list[Any]:
    """Return everything that a document is made of."""
    found: list[Any] = []
    for part in document.sections:
        found += [*part.title, *part.opening]
        for line in part.lines:
            found += [line.formula, *line.remark]
    return [piece for piece in found if piece]


# The derivation


def test_the_lectures_derivation() -> None:
    y, xs = running_example()
    lines = section(sm.explain(y, xs), "Adjoints")
    handed_on = "so the adjoint is passed on"
    at = [f"{HERE}:{y.site.line}"] * 5
    assert lines[1:] == [
        "v̄7 = 1 seed: ∂v7/∂v7 = 1",
        f"at v7 = v6 − v5, {at[0]}",
        f"v̄6 = v̄6→7 = v̄7·∂v7/∂v6 = v̄7·1 identity: ∂v7/∂v6 = 1, {handed_on}",
        "v̄5 = v̄5→7 = v̄7·∂v7/∂v5 = v̄7·(−1) rule of subtract",
        f"at v6 = v3 + v4, {at[1]}",
        f"v̄3 = v̄3→6 = v̄6·∂v6/∂v3 = v̄6·1 identity: ∂v6/∂v3 = 1, {handed_on}",
        f"v̄4 = v̄4→6 = v̄6·∂v6/∂v4 = v̄6·1 identity: ∂v6/∂v4 = 1, {handed_on}",
        f"at v5 = sin v2, {at[2]}",
        "v̄2→5 = v̄5·∂v5/∂v2 = v̄5·cos v2 rule of sin",
        f"at v4 = v1·v2, {at[3]}",
        "v̄1→4 = v̄4·∂v4/∂v1 = v̄4·v2 rule of multiply",
        "v̄2→4 = v̄4·∂v4/∂v2 = v̄4·v1 rule of multiply",
        f"at v3 = ln v1, {at[4]}",
        "v̄1→3 = v̄3·∂v3/∂v1 = v̄3/v1 rule of log",
        "v̄2 = v̄2→5 + v̄2→4 sum: 2 pathways, through v5 and v4",
        "v̄1 = v̄1→4 + v̄1→3 sum: 2 pathways, through v4 and v3",
    ]


def test_what_runs_at_last() -> None:
    y, xs = running_example()
    assert section(sm.explain(y, xs), "What runs") == [
        "v̄1 = ∂y/∂x1 = x2 + 1/x1",
        "v̄2 = ∂y/∂x2 = x1 − cos x2",
    ]


def test_the_forward_graph_has_the_users_lines() -> None:
    y, xs = running_example()
    lines = section(sm.explain(y, xs), "The forward graph")
    here = f"{HERE}:{y.site.line}: return sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2]"
    assert lines[0].startswith(f"v1 = x1 {HERE}:{xs[0].site.line}: x1, x2 = ")
    assert lines[2] == f"v3 = ln v1 {here}"
    assert lines[6] == f"v7 = v6 − v5 = y {HERE}:{y.site.line}"  # its text was shown above


def test_lines_of_several_prompts_are_told_apart() -> None:
    scope: dict[str, Any] = {"sm": sm}
    for place, text in enumerate(['x = sm.Variable("x", ())', "y = sm.sin(x)", "z = y * y"]):
        linecache.cache[f"<in {place}>"] = (len(text), None, [text], f"<in {place}>")
        exec(compile(text, f"<in {place}>", "exec"), scope)
    lines = section(sm.explain(scope["z"], scope["x"]), "The forward graph")
    assert lines[1:] == ["v2 = sin v1 line 1: y = sm.sin(x)", "v3 = v2·v2 = y line 1: z = y * y"]


def test_the_result_does_not_depend_on_how_it_is_asked_for() -> None:
    y, xs = running_example()
    both, given = sm.explain(y, xs), sm.explain(sm.gradients(y, xs))
    assert formulas(both) == formulas(given)
    alone = sm.explain(sm.gradients(y, xs)[0])
    edges = [
        formula for formula in formulas(alone, "Adjoints") if "→" in formula.partition(" =")[0]
    ]
    assert set(formulas(alone, "Adjoints")) <= set(formulas(both, "Adjoints"))
    assert not any("v̄2→" in formula for formula in edges)  # x2 was not asked for


def network() -> tuple[sm.Node, list[sm.Node], dict[sm.Node, Any]]:
    rng = np.random.default_rng(1)
    x, w, b = sm.Variable("X"), sm.Variable("W"), sm.Variable("b")
    hidden = sm.tanh(x @ w + b)
    y = sm.sum(hidden * hidden) + sm.sum(sm.exp(-hidden)) * sm.sum(b * b)
    feed = {x: rng.normal(size=(4, 3)), w: rng.normal(size=(3, 2)), b: rng.normal(size=2)}
    return y, [w, b], feed


@pytest.mark.parametrize("fed", [False, True])
def test_there_is_a_line_for_each_edge_and_each_sum(fed: bool) -> None:
    y, xs, feed = network()
    record = sm.extend(y, xs)
    explanation = sm.explain([record.adjoints[x] for x in xs], feed=feed if fed else None)
    found = formulas(explanation, "Adjoints")
    heads = [formula.split(" = ") for formula in found]
    edges = {side for sides in heads for side in sides if re.fullmatch(r"v̄\d+→\d+(,\d)?", side)}
    assert len(edges) == len(record.partials)
    several = [step for step in record.steps if len(getattr(step, "contributions", ())) > 1]
    sums = [line for line in section(explanation, "Adjoints") if " sum: " in line]
    assert len(sums) == len(several) == 2
    identities = sum(
        step.product.op is not None and step.product.op.name == "identity"
        for step in record.steps
        if isinstance(step, Propagated)
    )
    assert explanation.text.count("identity: ∂") == identities > 0


SYMBOL = r"[vwu][\u0304\u0307]?(?:⁽\d+⁾)?′*\d+(?:→\d+)?(?:,\d+)?"


def used_too_early(explanation: Explanation) -> set[str]:
    """Return the symbols that formulas use before a line says what they are."""
    early, known = set(), set()
    for formula in formulas(explanation):
        sides = formula.split(" = ")
        known |= {side for side in sides if re.fullmatch(SYMBOL, side)}
        early |= {name for side in sides for name in re.findall(SYMBOL, side)} - known
    return early


@pytest.mark.parametrize("seed", range(60, 72))
def test_random_graphs(seed: int) -> None:
    """Every partial adjoint has its line, and every formula can be read."""
    found = random_graph(seed)
    floating = [y for y in found.graph.outputs if y.type.is_float]
    outputs = [y for y in floating if isinstance(y.type, sm.TensorType)]
    feed = dict(zip(found.graph.inputs, found.arrays, strict=True))
    used = set(sm.Graph(outputs).nodes)
    feed = {x: value for x, value in feed.items() if x in used}
    record = sm.extend(outputs, [x for x in feed if x.type.is_float])
    xs = [x for x in record.targets if x in record.adjoints]
    for fed in (None, feed):
        explanation = sm.explain(outputs, xs, fed)
        sides = {side for formula in formulas(explanation) for side in formula.split(" = ")}
        edges = {side for side in sides if re.fullmatch(r"v̄\d+→\d+(,\d+)?", side)}
        assert len(edges) == len(record.partials)
        assert used_too_early(explanation) == set()
        assert explanation.text and explanation.markdown
        for piece in pieces(explanation):
            if isinstance(piece, Maths):
                mathtext(piece.latex)


def test_shape_repairs_say_what_was_broadcast_and_where() -> None:
    y, xs, feed = network()
    record = sm.extend(y, xs)
    lines = section(sm.explain(y, xs, feed), "Adjoints")
    (repaired,) = [line for line in lines if "shape repair:" in line]
    assert "= sum_like(v̄" in repaired
    assert "(2,) was broadcast to (4, 2) in test_explain.py:" in repaired
    hidden = sum(
        step.partial is not step.product for step in record.steps if isinstance(step, Propagated)
    )
    assert hidden == 2 and "One shape repair does nothing for the shapes fed" in lines[0]


def test_without_a_feed_repairs_are_counted() -> None:
    y, xs = running_example(shape=None)
    opening = section(sm.explain(y, xs), "Adjoints")[0]
    assert "4 shape repairs do nothing unless something was broadcast" in opening
    passes = section(sm.explain(y, xs), "What the passes did")
    assert passes[0] == "x1 and x2 may have any shape; they are treated as scalars here."


def test_dtype_repairs() -> None:
    x = sm.Variable("x", shape=(), dtype="float32")
    y = x * sm.Variable("z", shape=())
    lines = section(sm.explain(y, x), "Adjoints")
    assert (
        "v̄1 = v̄1→3 = v̄3·∂v3/∂v1 = float32(v̄3·v2) rule of multiply; cast to the dtype of v1" in lines
    )


def test_an_argument_used_twice() -> None:
    x = sm.Variable("x", shape=())
    lines = section(sm.explain(x * x, x), "Adjoints")
    assert "v̄1→2,1 = v̄2·v1 rule of multiply, argument 1: each use is a separate pathway" in lines
    assert "v̄1 = v̄1→2,1 + v̄1→2,2 sum: 2 pathways, through v2" in lines


def test_seeds() -> None:
    x = sm.Variable("x", shape=(3,))
    assert "v̄2 = 1 seed: ones, since the derivative of an array is that of its sum" in section(
        sm.explain(sm.sin(x), x), "Adjoints"
    )
    given = sm.gradients(sm.sin(x), x, seed=[1.0, 2.0, 3.0])
    assert "v̄2 = [1, 2, 3] seed: given" in section(sm.explain(given), "Adjoints")


def test_functions_of_the_users_own_have_their_names() -> None:
    x = sm.Variable("x", shape=())
    mine = sm.custom(lambda a, b: sm.sin(a) * b, name="<f_1>")
    explanation = sm.explain(mine(x, x) * 2, x)
    assert "v2 = <f_1>(v1, v1)" in formulas(explanation, "The forward graph")
    lines = section(explanation, "Adjoints")
    assert any("rule of <f_1>, argument 1" in line for line in lines)
    assert r"\mathrm{{<}f\_1{>}}\left(v_{1}, v_{1}\right)" in explanation.latex
    assert str(sm.trace(mine(x, x)).forward[1]) == "v2 = <f_1>(v1, v1) = y"


def test_steps_inside_rules_have_lines() -> None:
    a, b, c, d = (sm.Variable(name, shape=()) for name in "abcd")
    y = sm.sin(sm.arctan2(a * b, c * d))
    lines = section(sm.explain(y, [a, b, c, d]), "Adjoints")
    steps = [line for line in lines if line.endswith("a step of the rule")]
    used = [line for line in lines if re.search(r"\bt1\b", line)]
    assert steps[0].startswith("t1 = ") and len(used) > 1
    assert len(steps) == len(set(steps))


def test_structures() -> None:
    d = sm.structure({"cat": sm.Variable("a", ()), "dog": sm.Variable("b", ())})
    y = d["cat"] ** 2
    explanation = sm.explain(sm.extend(y, d).adjoints[d])
    assert "v̄3 = v̄3→4 = v̄4·∂v4/∂v3 = {cat: v̄4} rule of item" in section(explanation, "Adjoints")
    assert r"\{\mathrm{cat}: \bar{v}_{4}\}" in explanation.latex
    filled = section(sm.explain(y, d), "Adjoints")
    assert filled[-1] == "{cat: v̄4, dog: 0} v̄3 with zeros for the parts without a pathway"


def test_a_structure_that_is_used_twice() -> None:
    d = sm.structure({"cat": sm.Variable("a", ()), "dog": sm.Variable("b", ())})
    explanation = sm.explain(d["cat"] ** 2 * d["cat"], d)
    heads = [formula.split(" = ")[0] for formula in formulas(explanation, "Adjoints")]
    assert len(heads) == len(set(heads))
    whole = {line.split(" = ")[0] for line in section(explanation, "What runs")}
    assert len(whole) == 1


def test_zeros_of_what_is_not_used() -> None:
    x, z = sm.Variable("x", ()), sm.Variable("z", ())
    explanation = sm.explain(sm.gradients(x * x, [x, z], unused="zero"))
    assert "v̄2 = 0 zeros: it has no pathway" in section(explanation, "Adjoints")
    assert len(formulas(explanation, "The forward graph")) == 3


def test_several_outputs_are_told_apart() -> None:
    x = sm.Variable("x", shape=())
    z = sm.sin(x)
    explanation = sm.explain([sm.gradients(z, x), sm.gradients(z * x, x)])
    titles = [part.partition("\n")[0] for part in explanation.text.split("\n\n")]
    assert titles[1:3] == ["Adjoints v̄i = ∂v2/∂vi", "Adjoints v̄′i = ∂v3/∂vi"]
    together = sm.explain([z, z * x], x)
    lines = section(together, "Adjoints of v3 and v2")
    assert "v̄3 = 1 seed: ∂v3/∂v3 = 1" in lines
    assert "v̄2 = 1 + v̄2→3 sum: the seed, and one pathway, through v3" in lines


def test_gradient_of_a_gradient() -> None:
    x = sm.Variable("x", shape=())
    gradient = sm.gradients(x**3, x)
    explanation = sm.explain(gradient, x)
    second = section(explanation, "Adjoints v̄⁽²⁾i = ∂v5/∂vi: generation 2")
    assert "v̄⁽²⁾1 = v̄⁽²⁾1→3 = v̄⁽²⁾3·∂v3/∂v1 = v̄⁽²⁾3·2·v1 rule of power" in second
    assert section(explanation, "What runs") == ["v̄⁽²⁾1 = 6·x"]
    third = sm.explain(sm.gradients(gradient, x), x)
    assert section(third, "Adjoints v̄⁽³⁾i")
    assert section(third, "What runs") == ["v̄⁽³⁾1 = 6"]


def test_tangents_of_a_gradient() -> None:
    x, v = sm.Variable("x", (2,)), sm.Variable("v", (2,))
    product = sm.hessian_vector_product(x[0] ** 2 * x[1], x, v)
    explanation = sm.explain(product)
    assert "v6 = v5·v4 = y" in formulas(explanation, "The forward graph")
    lines = section(explanation, "Tangents: generation 2")
    assert any(line.startswith("v̇⁽²⁾1 = v2 seed: given") for line in lines)
    assert any("forward rule of power, test_explain.py:" in line for line in lines)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("forward", [False, True])
def test_every_symbol_is_explained_before_it_is_used(order: int, forward: bool) -> None:
    x, z = sm.Variable("x", shape=(3,)), sm.Variable("z", shape=())
    derivative = sm.sum(sm.softmax(x) * sm.sin(x) * z) * sm.logsumexp(x)
    for _ in range(order - forward):
        derivative = sm.sum(sm.gradients(derivative, x))
    if forward:
        derivative = sm.pushforward(derivative, x, sm.Variable("t", shape=(3,)))
    assert used_too_early(sm.explain(derivative)) == set()


def test_a_jacobian_is_a_pullback_inside_a_map() -> None:
    x = sm.Variable("x", shape=(3,))
    explanation = sm.explain(sm.jacobian(sm.sin(x) * x, x), feed={x: [1.0, 2.0, 3.0]})
    lines = section(explanation, "Adjoints v̄i = ∂v3/∂vi")
    assert "v̄3 = v8 seed: given" in lines
    assert "v̄1→2 = v̄2·∂v2/∂v1 = v̄2·cos v1 rule of sin" in lines
    forward = formulas(explanation, "The forward graph")
    # What is inside the map comes last: outside, numbers are those of pictures.
    assert forward[3] == "v4 = unit_vectors v3" and forward[4] == "v7 = v4[i]"
    assert forward[5] == "v8 = reshape_like(v7, v3)"
    made = formulas(explanation, "What was computed from these derivatives")
    assert made[0].startswith("v5 = map(") and made[1] == "v6 = reshape_outer(v5, v3, v1)"
    assert used_too_early(explanation) == set()
    second = sm.explain(sm.hessian(sm.sum(sm.sin(x) * x), x))
    assert used_too_early(second) == set()
    assert any("rule of cos" in line for line in section(second, "Adjoints v̄⁽²⁾i"))


@pytest.mark.parametrize(
    "name",
    ["mapped", "recurrence", "newton", "condition", "branches", "nested_loops", "cell",
     "tangent_of_a_loop", "hessian"],
)  # fmt: skip
def test_what_is_inside_loops_is_told_with_the_names_of_pictures(name: str) -> None:
    nodes, _ = pictures.CASES[name]()
    explanation = sm.explain(nodes)
    assert used_too_early(explanation) == set()
    labels = labels_of(View(nodes, opened=True))
    told = {formula.partition(" = ")[0] for formula in formulas(explanation)}
    assert {str(Symbol("v", (labels.numbers[node],))) for node in labels.forward} <= told


def test_the_steps_of_a_loop_and_of_its_adjoint() -> None:
    nodes, _ = pictures.recurrence()
    explanation = sm.explain(nodes)
    forward = formulas(explanation, "The forward graph")
    assert forward[7:14] == [
        "v8 = carry", "v9 = x[i]", "v10 = W", "v11 = v10 @ v8", "v12 = v11 + v9", "v13 = tanh v12",
        "v14 = sum(v13)",
    ]  # fmt: skip
    lines = section(explanation, "Adjoints of v7 and v13")
    assert "v̄13 = v15 seed: given" in lines
    assert "v̄12 = v̄12→13 = v̄13·∂v13/∂v12 = v̄13·tanh′ v12 rule of tanh" in lines


def test_the_derivative_of_a_map_is_told_inside_and_outside() -> None:
    rows, w = sm.Variable("rows", shape=(3, 2)), sm.Variable("w", shape=(2,))
    mapped = sm.map_over(lambda row: sm.sum(row * w) ** 2, [rows])
    explanation = sm.explain(sm.sum(mapped), rows)
    lines = section(explanation, "Adjoints")
    assert any(line.endswith("rule of map") for line in lines)
    assert any(line.endswith("rule of power") for line in lines)
    assert "rows[i]" in explanation.text and "w[i]" not in explanation.text
    assert used_too_early(explanation) == set()


def test_a_mask_that_is_handed_on_goes_past_the_adjoint_between() -> None:
    x, z = sm.Variable("x", shape=(3,)), sm.Variable("z", shape=(3,))
    y = sm.sum(sm.minimum(sm.logaddexp(x, z), z))
    explanation = sm.explain(sm.gradients(y, x))
    assert used_too_early(explanation) == set()
    (line,) = [line for line in section(explanation, "Adjoints") if "logaddexp" in line][-1:]
    assert line.startswith("v̄1 = v̄1→3 = where(v2 >= v3, ") and "∂" not in line
    assert used_too_early(sm.explain(y, x)) == set()


# The passes and what runs


def test_the_passes_agree_with_what_a_compiled_function_reports() -> None:
    y, xs, feed = network()
    gradients = sm.gradients(y, xs)
    f = sm.compile(list(feed), gradients, backend="numpy")
    f(*feed.values())
    lines = section(sm.explain(gradients, feed=feed), "What the passes did")
    for report in f.passes.reports:
        if report.nodes_before != report.nodes_after:
            before, after = report.nodes_before, report.nodes_after
            assert f"{report.name} {before} → {after} nodes" in lines
        for name, count in report.rules.items():
            times = f"{name} × {count}:" if count > 1 else f"{name}:"
            assert any(times in line for line in lines)
    size = len(f.passes.graph)
    assert f"What runs: {size} nodes" in sm.explain(gradients, feed=feed).text


def test_equations_say_what_changes() -> None:
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=(3,))
    y = sm.sum(-(-x * w) * (x + 1.0) * 2.0 * 3.0)
    lines = section(sm.explain(y, x), "What the passes did")
    equations = [line for line in lines if " = " in line]
    assert len(equations) > 3
    for line in equations:
        left, _, right = line.partition(" = ")
        assert not right.startswith(f"{left} ")


def test_rules_come_with_their_equations_and_places() -> None:
    y, xs = running_example()
    lines = section(sm.explain(y, xs), "What the passes did")
    assert "x * 1 = x times one × 2: v̄1→4 and v̄2→4" in lines
    assert "x + (-y) = x - y plus minus: v̄2" in lines


@pytest.mark.parametrize("seed", range(8))
def test_the_final_formulas_have_the_values_of_the_gradients(seed: int) -> None:
    """The text of a polynomial, read by Python, against what runs."""
    rng = np.random.default_rng(seed)
    xs = [sm.Variable(name, shape=()) for name in "xyz"]
    nodes: list[sm.Node] = [*xs]
    for _ in range(9):
        a, b = (nodes[i] for i in rng.integers(len(nodes), size=2))
        nodes.append([a + b, a - b, a * b, a * a - 2 * b][rng.integers(4)])
    y = nodes[-1] * sum(nodes, start=sm.constant(0.0))
    point = dict(zip(xs, rng.normal(size=3), strict=True))
    expected = sm.Executor(sm.gradients(y, xs)).run(point)
    scope: dict[str, Any] = {x.label: value for x, value in point.items()}
    found = {}
    names: dict[str, str] = {}
    for line in formulas(sm.explain(y, xs), "What runs"):
        name, *derivative, formula = line.split(" = ")
        for known in sorted(names, key=len, reverse=True):
            formula = formula.replace(known, names[known])
        python = formula.replace("·", "*").replace("−", "-").replace("²", "**2").replace("^", "**")
        names[name] = f"term_{len(names)}_"
        scope[names[name]] = found["".join(derivative)] = eval(python, {}, scope)
    np.testing.assert_allclose([found[f"∂y/∂{x}"] for x in "xyz"], expected, rtol=1e-10)


# Notations


def mathtext(latex: str) -> None:
    """Let Matplotlib, which reads the formulas of LaTeX, read one; all digits are alike to it."""
    _read_by_matplotlib(re.sub(r"\d", "1", latex))


@cache
def _read_by_matplotlib(latex: str) -> None:
    from matplotlib.mathtext import MathTextParser

    MathTextParser("path").parse(f"${latex}$")


def examples() -> dict[str, Callable[[], Explanation]]:
    def second() -> Explanation:
        x = sm.Variable("x")
        return sm.explain(sm.gradients(x**3 / sm.exp(-x), x), x)

    def layers() -> Explanation:
        y, xs, feed = network()
        return sm.explain(y, xs, feed)

    def numbers() -> Explanation:
        x = sm.Variable("x", (2,))
        y = sm.sum(sm.where(x > 1e-9, -2.5e20 * x, sm.constant([np.inf, np.nan])))
        return sm.explain(y, x)

    return {
        "running": lambda: sm.explain(*running_example()),
        "second": second,
        "layers": layers,
        "numbers": numbers,
        "hostile": lambda: hostile()[1],
    }


@pytest.mark.parametrize("name", examples())
def test_latex_is_read_by_matplotlib(name: str) -> None:
    document = examples()[name]()
    maths = {piece.latex for piece in pieces(document) if isinstance(piece, Maths)}
    assert maths
    for latex in maths:
        mathtext(latex)


@pytest.mark.parametrize("name", examples())
def test_latex_is_balanced(name: str) -> None:
    latex = examples()[name]().latex
    plain = re.sub(r"\\[\\{}$%&#_]", "", latex)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    assert latex.count(r"\begin{itemize}") == latex.count(r"\end{itemize}")
    assert latex.count(r"\left") == latex.count(r"\right")
    for line in latex.splitlines():
        assert re.match(
            r"\s*\\(subsection|begin|end|item)\b|In |The derivatives |\S+ (and|may) |$", line
        )


HOSTILE = '<script>alert(1)</script>\\input{/etc/passwd}$x$ %_^&#~`|*"\n\u202e'


def hostile() -> tuple[sm.Variable, Explanation]:
    x = sm.Variable(HOSTILE, shape=())
    d = sm.structure({HOSTILE: x * x})
    return x, sm.explain(sm.sin(d[HOSTILE]), x)


def test_hostile_names_are_text_in_all_forms() -> None:
    _, explanation = hostile()
    for form in (explanation.text, explanation.markdown, explanation.latex):
        assert "\u202e" not in form
    markdown, latex = explanation.markdown, explanation.latex
    outside_code = re.sub(r"`[^`\n]*`", "", markdown)
    assert not re.search(r"(?<!\\)<[a-zA-Z/]", outside_code)
    assert r"\input{" not in latex and r"\input{" not in outside_code
    assert r"\backslash input\{" in latex
    for piece in pieces(explanation):
        if isinstance(piece, Maths):
            assert "$" not in re.sub(r"\\\$", "", piece.latex) and "\n" not in piece.text


def test_a_transpose_of_a_matrix_has_its_sign_after_specialising_too() -> None:
    a, b = sm.Variable("A", shape=(2, 2)), sm.Variable("b", shape=(2,))
    explanation = sm.explain(sm.sum(sm.linalg.solve(a, b) + a.T @ b), [a, b])
    assert any("solve(Aᵀ, " in line for line in section(explanation, "What runs"))
    assert r"\left(A^{\top}\right)^{-1}" in explanation.latex


def test_spellings() -> None:
    assert latex_name("theta12") == r"\mathrm{theta}_{12}"
    assert latex_name("x_1") == "x_{1}"
    assert latex_name("a b") == r"\mathrm{a\ b}"
    assert latex_name("λ_2") == r"\lambda_{2}" and latex_name("Δx") == r"\mathrm{\Delta x}"
    assert latex_code('f("λ")') == r"\texttt{f(\char34{}$\lambda$\char34{})}"
    assert latex_number("−∞") == r"-\infty"
    assert latex_number("3×4 [1, −1.5e−07, …] ‖2‖").startswith(r"3 \times 4 [1, -1.5 \cdot 10^{-7}")
    assert latex_text("a_b \\ 50%") == r"a\_b \textbackslash{} 50\%"
    assert markdown_text("*_$`|<") == r"\*\_\$\`\|\<"


def test_documents() -> None:
    lines = [Line(Maths("a", "a")), Line(None, ("why",)), Line(Code("x|`"), ("b", Code("c")), 1)]
    document = Document([Section(("T & U",), lines, ("Opening.",))])
    assert document.text == "T & U\n─────\nOpening.\n  a\n  why\n    x|`   bc"
    assert document.markdown.splitlines()[-1] == "  - `x∣'` — b`c`"
    assert document.latex.splitlines()[0] == r"\subsection*{T \& U}"
    assert document.latex.count("itemize") == 4
    assert str(document) == document.text
    assert document._repr_markdown_() == document.markdown


# Size


def chain(length: int) -> tuple[sm.Node, sm.Variable]:
    x = sm.Variable("x", shape=())
    y: sm.Node = x
    for _ in range(length):
        y = sm.sin(y) * y
    return y, x


def calls(function: Callable[[], Any]) -> int:
    """Return how many Python functions are called: a measure of time that is the same each time."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    previous = sys.getprofile()
    sys.setprofile(trace)
    try:
        function()
    finally:
        sys.setprofile(previous)
    return count


def test_the_time_is_linear() -> None:
    def forms(length: int) -> Callable[[], Any]:
        y, x = chain(length)

        def run() -> None:
            explanation = sm.explain(y, x)
            assert explanation.text and explanation.markdown and explanation.latex

        return run

    forms(10)()
    small, large = calls(forms(100)), calls(forms(400))
    assert large < 4.3 * small


def test_lines_of_a_long_program_are_found_in_linear_time() -> None:
    def steps(length: int) -> int:
        scope: dict[str, Any] = {"sm": sm, "y": sm.Variable("x", shape=())}
        exec(compile("y = sm.sin(y)\n" * length, "<program>", "exec"), scope)
        nodes = sm.Graph([scope["y"]]).nodes
        taken = 0

        def count(frame: Any, event: str, argument: Any) -> Any:
            nonlocal taken
            taken += 1
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            lines = [node.site.line for node in nodes]
        finally:
            sys.settrace(before)
        assert lines[1:] == list(range(1, length + 1))
        return taken

    steps(10)
    assert steps(800) < 4.3 * steps(200)


def test_a_sum_of_many_terms_stays_short() -> None:
    x = sm.Variable("x", shape=())
    total = sm.add_n([x * float(i) for i in range(1_000)])
    lines = section(sm.explain(total, x), "Adjoints")
    (line,) = [line for line in lines if "sum: 1000 pathways" in line]
    assert len(line) < 400 and "…" in line and "and 995 more" in line


def test_depth_is_no_limit() -> None:
    y, x = chain(1_000)
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    limit = sys.getrecursionlimit()
    assert sm.explain(*chain(2)).text  # modules that are loaded on first use need some depth
    sys.setrecursionlimit(depth + 120)
    try:
        explanation = sm.explain(y, x)
        assert len(explanation.latex) > len(explanation.text) > 100_000
    finally:
        sys.setrecursionlimit(limit)


# What is refused


def test_what_is_refused() -> None:
    y, xs = running_example()
    with pytest.raises(GradientError, match="depends on no derivative"):
        sm.explain(y)
    with pytest.raises(GraphTypeError, match="not a node"):
        sm.explain([1.0])
    with pytest.raises(GraphTypeError, match="nothing to explain"):
        sm.explain([])
    with pytest.raises(FeedError):
        sm.explain(y, xs, {xs[0]: 1.0})
    assert re.fullmatch(r"<Explanation of \d+ lines>", repr(sm.explain(y, xs)))
