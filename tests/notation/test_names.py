"""One numbering: a value has one name in pictures, tables, source, charts, profiles and pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.drawing.show import node_values
from symad.errors import SymadError
from symad.graph.node import Constant, Node
from symad.graph.provenance import RoleKind
from symad.notation.labels import Labels, Symbol
from symad.notation.names import labels_of
from symad.notation.roles import Kind, kind_of
from symad.notation.view import View
from symad.runtime.function import Function
from tests.support.random_graphs import random_graph

DECLARED: list[Any] = [None, (), ("n",), (2,)]
GRADES = ["exact", "rounding", "finite"]


@pytest.fixture(params=["numpy", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return str(request.param)


class Example:
    """y = ln x1 + x1·x2 − sin x2 with its gradients, compiled and called."""

    def __init__(self, declared: Any, swapped: bool, backend: str, rewrites: str) -> None:
        self.xs = [sm.Variable(name, declared) for name in ("x1", "x2")]
        x1, x2 = self.xs
        self.parts = [sm.log(x1), x1 * x2, sm.sin(x2)]
        self.total = self.parts[0] + self.parts[1]
        self.y = self.total - self.parts[2]
        self.gradients = sm.gradients(self.y, self.xs)
        value = np.array([2.0, 3.0]) if declared not in (None, ()) else np.float64(2.0)
        self.feed: dict[Node, Any] = {x: value for x in self.xs}
        inputs = self.xs[::-1] if swapped else self.xs
        outputs = [self.y, *self.gradients]
        self.f = sm.compile(inputs, outputs, name="f", backend=backend, rewrites=rewrites)  # type: ignore[arg-type]
        self.values = [value, value]
        self.f(*self.values)


@pytest.fixture(params=DECLARED, ids=["undeclared", "scalar", "named", "fixed"])
def declared(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=GRADES)
def rewrites(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["in order", "swapped"])
def example(request: pytest.FixtureRequest, declared: Any, backend: str, rewrites: str) -> Example:
    return Example(declared, request.param, backend, rewrites)


def assigned(source: str) -> dict[str, str]:
    """Return what each name is assigned in the last function of a source."""
    lines = source[source.rindex("def ") :].splitlines()[1:-1]
    pairs = (line.strip().split("  # ")[0].split(" = ", 1) for line in lines)
    return {name: right for name, right in pairs}


def test_pictures_and_tables_name_the_running_example(example: Example) -> None:
    labels = Labels(View([example.y, *example.gradients]))
    order = [*example.xs, *example.parts, example.total, example.y]
    assert [str(labels.of(node)) for node in order] == [f"v{i}" for i in range(1, 8)]
    assert [str(labels.of(node)) for node in example.gradients] == ["v̄1", "v̄2"]
    trace = str(sm.trace(example.y))
    assert "v5 = sin v2" in trace and "v6 = v3 + v4" in trace
    text = sm.explain([example.y, *example.gradients]).text
    assert "v5 = sin v2" in text and "v6 = v3 + v4" in text and "v̄2 = ∂y/∂x2" in text


def test_source_has_the_names_of_the_lecture(example: Example) -> None:
    right = assigned(example.f.source)
    assert right["v1"] == "x1" and right["v2"] == "x2"
    assert right["v3"] == "np.log(v1)" and right["v5"] == "np.sin(v2)"
    assert right["v4"] in ("np.multiply(v1, v2)", "np.multiply(v2, v1)")
    assert right["v6"] == "np.add(v3, v4)" and right["v7"] == "np.subtract(v6, v5)"
    assert example.f.source.rstrip().endswith("return [v7, v1_bar, v2_bar]")


def test_what_runs_has_the_names_of_the_lecture(example: Example) -> None:
    """The memory chart, the profile and the picture of what runs begin with the names."""
    bars = [bar.label for bar in sm.memory(example.f).chart.bars]
    rows = [label.translate(_PLAIN).split() for label in bars if "then" not in label]
    for row in rows:
        assert _WHAT.get(row[0], row[-1]) == row[-1], bars
    assert {("v1", "x1"), ("v2", "x2")} <= {(row[0], row[-1]) for row in rows}
    timings = sm.profile(example.f, *example.values, runs=1).timings
    written = {str(symbol) for timing in timings for symbol in timing.values}
    assert {"v7", "v̄1", "v̄2"} <= written
    assert written <= {*(f"v{i}" for i in range(3, 8)), "v̄1", "v̄2"} | {
        str(s) for found in labels_of(View(example.f.passes.graph)).symbols.values() for s in found
    }
    dot = sm.draw(example.f.passes.graph).source
    for number, op in ((3, "log"), (5, "sin"), (7, "subtract")):
        name = rf"v<FONT[^>]*><SUB>{number}</SUB>"
        assert re.search(rf'tooltip="{op}: [^"]*" label=<[^\n]*{name}', dot), op


_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_WHAT = {"v1": "x1", "v2": "x2", "v3": "log", "v4": "multiply", "v5": "sin", "v6": "add"}
_WHAT |= {"v7": "subtract", "v̄1": "add", "v̄2": "subtract"}


def test_the_margin_of_a_listing_has_the_names_of_the_source(example: Example) -> None:
    page = sm.listing(example.f).html
    rows = re.findall(r'<span class="symbol">([^<]+)</span><code>\s*(\w+) = ', page)
    assert len(rows) >= 9
    for margin, name in rows:
        assert margin.translate(_PLAIN) == _symbol_of(name), name


def _symbol_of(identifier: str) -> str:
    letter, number = identifier[0], re.findall(r"\d+", identifier)
    return f"{letter}{chr(0x304) if '_bar' in identifier else ''}{'→'.join(number)}"


def test_a_player_page_has_one_numbering() -> None:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    page = sm.play(y, [x1, x2], {x1: 2.0, x2: 5.0}).html
    found = {
        (entry["l"], entry["i"])
        for entry in _glyphs(page)
        if isinstance(entry, dict) and "i" in entry
    }
    numbers = {index for letter, index in found if letter == "v"}
    assert numbers <= {str(i) for i in range(1, 8)}
    graph = sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])])
    graph(2.0, 5.0)
    names = labels_of(View(graph.passes.graph)).symbols.values()
    known = {str(symbols[0]) for symbols in names}
    assert known <= {f"{letter}{index}" for letter, index in found}


def _glyphs(page: str) -> Iterator[Any]:
    """Yield all objects in the data of a page."""
    data = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert data is not None
    pending = [json.loads(data[1])]
    while pending:
        item = pending.pop()
        yield item
        if isinstance(item, (dict, list)):
            pending += item.values() if isinstance(item, dict) else item


def test_nan_reports_name_what_runs(backend: str) -> None:
    x, w = sm.Variable("x"), sm.Variable("w")
    y = sm.sin(w) * sm.sqrt(x) * x
    report = str(sm.find_nan(sm.gradients(y, x), {w: 1.0, x: 0.0}))
    f = sm.compile([w, x], [y, sm.gradients(y, x)], backend=backend)
    assert "v̄" in report
    name = next(
        line.split(" = ")[0].strip()
        for line in str(sm.find_nan(f, 1.0, 0.0)).splitlines()
        if " = " in line
    )
    symbols = Labels(View(f.graph.outputs)).symbols.values()
    assert name in {str(symbol) for found in symbols for symbol in found}


# Names of any graph


def locals_of(f: Function, values: Any) -> dict[str, Any]:
    """Run the source of a function, and return all its variables."""
    head, _, _ = f.source.rpartition("    return ")
    namespace: dict[str, Any] = {"constants": f.constants}
    exec(compile(f"{head}    return dict(locals())\n", "source", "exec"), namespace)
    with np.errstate(all="ignore"):
        found: dict[str, Any] = namespace[f.name](*values)
    return found


def check_names(f: Function, feed: Mapping[Node, Any], view: View) -> int:
    """Check every named value of a source against what the user's node of that name gives."""
    names = list(writer_names(f))
    assert len(set(names)) == len(names)
    node_of = {
        symbol.identifier: node
        for node, symbols in Labels(view).symbols.items()
        for symbol in symbols
    }
    found = locals_of(f, [feed[node] for node in f.graph.inputs])
    count = 0
    for name, value in found.items():
        if re.match(r"v\d+", name) and name not in {node.label for node in f.graph.inputs}:
            same_values(value, view.values[node_of[name]], name)
            count += 1
    return count


def writer_names(f: Function) -> Iterator[str]:
    for symbols in labels_of(View(f.passes.graph)).symbols.values():
        yield str(symbols[0])


def same_values(a: Any, b: Any, name: str) -> None:
    if isinstance(b, dict):
        for key in b:
            if b[key] is not None and a[key] is not None:
                same_values(a[key], b[key], name)
    elif isinstance(b, (tuple, list)):
        for x, y in zip(a, b, strict=True):
            if x is not None and y is not None:
                same_values(x, y, name)
    else:
        exact = np.float64 if np.asarray(b).dtype != np.float32 else np.float32
        bound = 1e-8 if exact is np.float64 else 1e-2
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound, err_msg=name)
        assert np.shape(a) == np.shape(b), name


@pytest.mark.parametrize("seed", range(60))
def test_every_named_value_in_source_is_that_of_the_node_of_that_name(seed: int) -> None:
    found = random_graph(seed, steps=12)
    graph = found.graph
    outputs = [node for node in graph.outputs if getattr(node.type, "shape", 0) is not None]
    variables = [n for n in graph.inputs if n.type.is_float]  # type: ignore[union-attr]
    total = None
    for node in outputs:
        try:
            term = sm.sum(sm.sin(node))
        except SymadError:
            continue
        total = term if total is None else total + term
    gradients = [] if total is None else sm.gradients(total, variables, unused="zero")
    wanted = [*outputs, *gradients]
    f = sm.compile(list(graph.inputs), wanted, backend="numpy", name="f", rewrites=GRADES[seed % 3])  # type: ignore[arg-type]
    f(*found.arrays)
    feed = dict(zip(graph.inputs, found.arrays, strict=True))
    view = View(f.graph.outputs)
    used = set(View(f.graph.outputs).related)
    values = node_values(view.related, {n: v for n, v in feed.items() if n in used})
    assert check_names(f, feed, View(f.graph.outputs, values)) > 0


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_no_two_values_of_a_native_plan_share_a_name(seed: int) -> None:
    pytest.importorskip("llvmlite")
    found = random_graph(seed, steps=12)
    f = sm.compile(list(found.graph.inputs), list(found.graph.outputs), backend="native")
    f(*found.arrays)
    source = {str(s[0]) for s in labels_of(View(f.passes.graph)).symbols.values()}
    graph = f.plan.graph
    names = [str(symbol) for symbol in map(labels_of(View(graph)).of, graph.nodes) if symbol]
    assert len(set(names)) == len(names)
    assert {name for name in names if name[0] == "v"} <= source


# Single cases


def test_a_square_has_one_adjoint_and_a_number_is_no_sum() -> None:
    """As in notebook 7: two nodes were v̄1, and the constant 2 was drawn as a sum."""
    z = sm.Variable("z", shape=(3,))
    twice = sm.sin(z) * sm.sin(z)
    f = sm.compile([z], [twice, sm.gradients(sm.sum(twice), z)], backend="numpy")
    f([0.1, 0.2, 0.3])
    view = View(f.passes.graph)
    labels = labels_of(view)
    kinds = {kind_of(node, labels) for node in view.nodes if isinstance(node, Constant)}
    assert kinds == {Kind.CONSTANT}
    firsts = [str(labels.of(node)) for node in view.nodes if labels.of(node)]
    assert len(set(firsts)) == len(firsts) and firsts.count("v̄1") == 1
    assert "hexagon" not in sm.draw(f.passes.graph).source
    assert str(labels.of(f.passes.graph.outputs[1])) == "v̄1"


def test_a_repair_that_works_for_the_shapes_fed_makes_the_adjoint(backend: str) -> None:
    x, w = sm.Variable("x"), sm.Variable("w")
    g = sm.gradients(sm.sum(sm.exp(x * w)), [x, w])
    f = sm.compile([x, w], g, backend=backend, name="f")
    f([1.0, 2.0], 3.0)
    assert f.source.rstrip().endswith("return [v1_bar, v2_bar]")
    graph = f.plan.graph
    assert [str(labels_of(View(graph)).of(node)) for node in graph.outputs] == ["v̄1", "v̄2"]


def test_what_is_shared_says_its_other_names() -> None:
    x = sm.Variable("x", ())
    f = sm.compile([x], [sm.exp(x), sm.exp(x) * 2], backend="numpy", name="f")
    assert "v2 = np.exp(v1)" in f.source and "also v3" in f.source
    labels = labels_of(View(f.passes.graph))
    assert [str(s) for s in labels.symbols[f.passes.graph.outputs[0]]] == ["v2", "v3"]


def test_second_derivatives_keep_their_generation() -> None:
    x = sm.Variable("x", ())
    slope = sm.gradients(sm.sin(x) * sm.exp(x), x)
    f = sm.compile([x], [slope, sm.gradients(slope, x)], backend="numpy", name="f")
    f(1.0)
    labels = labels_of(View(f.passes.graph))
    first, second = (labels.of(node) for node in f.passes.graph.outputs)
    assert str(first) == "v̄1" and str(second) == "v̄⁽²⁾1"
    assert second is not None and second.identifier == "v1_bar2"
    found = locals_of(f, [1.0])
    np.testing.assert_allclose(found["v1_bar2"], f(1.0)[1])


def test_identifiers_tell_symbols_apart() -> None:
    symbols = [
        Symbol(letter, index, mark, generation, slot, copy)
        for letter in "vt"
        for index in [(1,), (12,), (1, 2), (2, 1), (12, 1)]
        for mark, generation in [("", 0), ("bar", 1), ("bar", 2), ("dot", 1)]
        for slot in (None, 1, 2)
        for copy in (0, 1, 2)
        if mark or len(index) == 1
    ]
    names = [symbol.identifier for symbol in symbols]
    assert len(set(names)) == len(names) and all(map(str.isidentifier, names))
    assert Symbol("v", (4, 6), "bar", 1).identifier == "v4_bar_6"


@pytest.mark.parametrize("labels", [("v2", "v1"), ("v3", "v3"), ("t1", "c1"), ("np", "v1_bar"),
                                    ("v2_", "v2"), ("class", "f")])  # fmt: skip
def test_users_may_call_variables_as_the_lecture_does(labels: tuple[str, str]) -> None:
    x, z = (sm.Variable(label, ()) for label in labels)
    y = sm.log(x) * sm.log(z) * sm.cos(sm.arctan2(x, z))
    f = sm.compile([x, z], [y, *sm.gradients(y, [x, z])], backend="numpy", name="f")
    expected = f(2.0, 5.0)
    namespace: dict[str, Any] = {}
    exec(f.source, namespace)
    np.testing.assert_array_equal(namespace["f"](2.0, 5.0), expected)


def test_bodies_of_loops_have_names_of_their_own() -> None:
    x = sm.Variable("x", (3, 2))
    y = sm.sum(sm.custom(lambda row: sm.sin(row) * sm.cos(row))(x))
    f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy", name="f")
    head, _, last = f.source.rpartition("def f(")
    assert not re.search(r"\bv\d", head.replace("body_of_v", "body_of_")) and "t1 = " in head
    namespace: dict[str, Any] = {}
    exec(f.source, namespace)
    point = np.arange(6.0).reshape(3, 2)
    for a, b in zip(namespace["f"](point), f(point), strict=True):
        np.testing.assert_array_equal(a, b)


def test_values_that_nothing_needs_do_not_count(backend: str) -> None:
    """Fed inner nodes keep their number; inputs that play no part have none."""
    x, spare = sm.Variable("x", ()), sm.Variable("spare", ())
    inner = sm.exp(x)
    f = sm.compile([spare, inner], sm.sin(inner), backend=backend, name="f")
    f(0.0, 1.0)
    assert "def f(spare, exp):\n    v2 = exp\n    v3 = np.sin(v2)" in f.source
    assert sm.memory(f).chart.bars[-1].label == "v₃ sin"


def test_fused_loops_list_what_they_write() -> None:
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", (100,))
    y = sm.sum(sm.exp(sm.sin(x)))
    f = sm.compile([x], [y, sm.gradients(y, x)], backend="native", name="f")
    (timing,) = sm.profile(f, np.ones(100), runs=1).timings
    assert sorted(map(str, timing.values)) == ["v4", "v̄1"]


def test_pictures_of_loops_and_roles_of_what_passes_make() -> None:
    x = sm.Variable("x", (3,))
    y = sm.sum(sm.softmax(x) ** 2)
    f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy", name="f")
    labels = labels_of(View(f.passes.graph))
    for node in f.passes.graph.nodes:
        symbol = labels.of(node)
        role = labels.role_of(node)
        if symbol is not None and symbol.letter == "t" and role is not None:
            assert role.kind in (RoleKind.LOCAL, RoleKind.TANGENT)


def test_what_is_in_a_map_does_not_change_the_numbers_outside() -> None:
    x, w = sm.Variable("x", (2,)), sm.Variable("w", ())
    jacobian = sm.jacobian(sm.exp(x) * w, x)
    text = sm.explain(jacobian).text
    labels = Labels(View([jacobian]))
    (power,) = [node for node in labels.forward if node.label == "exp"]
    assert f"  {labels.of(power)} = exp v1" in text
    f = sm.compile([x, w], jacobian, backend="numpy", name="f")
    f([1.0, 2.0], 3.0)
    assert f"{labels.of(power)} = np.exp(v1)" in f.source
    assert f"  {labels.of(jacobian)} = reshape_outer" in text
