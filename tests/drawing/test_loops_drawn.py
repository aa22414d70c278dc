"""Pictures of loops, branches and maps: frames around the graphs of their steps."""

from __future__ import annotations

import itertools
from typing import Any
from xml.etree import ElementTree

import networkx
import numpy as np
import pytest

import symad as sm
from symad.drawing.picture import Picture
from symad.drawing.render import find_renderer
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.ops.body import WithBody
from tests.support import pictures
from tests.support.wild_graphs import wild_graph

LOOPS = [
    "mapped", "recurrence", "newton", "condition", "branches", "nested_loops", "cell",
    "second_derivative_of_a_loop", "tangent_of_a_loop", "hessian",
]  # fmt: skip
every_loop = pytest.mark.parametrize("name", LOOPS)


def drawn(name: str, **options: Any) -> sm.drawing.drawing.Drawing:
    nodes, feed = pictures.CASES[name]()
    return sm.draw(nodes, feed, **{"fold": False, "limit": 1000, **options})


def picture_of(drawing: Any) -> Picture:
    return drawing._picture  # type: ignore[no-any-return]


def titles(drawing: Any) -> list[str]:
    """Return the titles of the frames of loops, each frame once, as "outer/inner"."""
    scopes = {
        shape.box.scope[:depth]
        for shape in picture_of(drawing).shapes
        for depth in range(1, len(shape.box.scope) + 1)
        if shape.box.scope[depth - 1].key
    }
    return sorted("/".join(frame.title for frame in scope) for scope in scopes)


def text_of(drawing: Any) -> list[str]:
    return [", ".join(line.text for line in shape.lines) for shape in picture_of(drawing).shapes]


def nodes_inside(view: View) -> set[sm.Node]:
    """Return the computed nodes in bodies, at any depth."""
    found: set[sm.Node] = set()
    pending = [node for node in view.nodes if isinstance(node.op, WithBody)]
    while pending:
        op = pending.pop().op
        assert isinstance(op, WithBody)
        fresh = {node for body in op.bodies for node in body.nodes if node.op} - found
        found |= fresh
        pending += [node for node in fresh if isinstance(node.op, WithBody)]
    return found


# What is shown


@every_loop
def test_every_node_of_a_body_is_drawn_with_its_arguments(name: str) -> None:
    nodes, _ = pictures.CASES[name]()
    view, drawing = View(nodes, opened=True), sm.draw(nodes, fold=False, limit=1000)
    outer = {behind.box.id: behind for behind in picture_of(drawing).shapes}
    for node in nodes_inside(view) - set(view.through):
        assert drawing.ids[node] in outer
        if isinstance(node.op, WithBody):
            continue
        for source in view.sources(node):
            assert (node, source.slot) in drawing.edge_ids


@every_loop
def test_arrows_cross_frames_only_at_ports_and_results(name: str) -> None:
    """Except for what derivatives use as it is."""
    drawing = drawn(name)
    owners = {number: node for node, number in drawing.ids.items()}
    for arrow in picture_of(drawing).arrows:
        start, end = (
            [frame.key.partition(".")[0] for frame in box.scope if frame.key]
            for box in (arrow.source, arrow.target)
        )
        entered = [key for key in end if key not in start]
        left = [key for key in start if key not in end]
        assert not left or arrow.source.id == left[0]  # only the results leave a frame
        if entered and arrow.source.node is not None and not arrow.target.pieces:
            ops = [owners[key].op for key in entered]
            derived = any(isinstance(op, WithBody) and op.generation for op in ops)
            assert derived or arrow.target.id in entered


@every_loop
def test_a_value_has_one_name(name: str) -> None:
    """In the picture, closed or open, in the explanation, and in the labels of a view."""
    nodes, _ = pictures.CASES[name]()
    labels, closed = labels_of(View(nodes, opened=True)), labels_of(View(nodes))
    for node, symbols in closed.symbols.items():
        assert labels.symbols[node] == symbols
    drawing = sm.draw(nodes, fold=False, limit=1000)
    shown = {shape.box.id: shape for shape in picture_of(drawing).shapes}
    for node, symbols in labels.symbols.items():
        if node in drawing.ids and node.op is not None:
            lines = shown[drawing.ids[node]].lines
            text = " = ".join(line.text for line in lines)
            assert all(symbol.subscripted in text for symbol in symbols)
    numbers = list(labels.numbers.values())
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@every_loop
def test_dot_has_a_cluster_for_each_frame(name: str) -> None:
    drawing = drawn(name)
    assert drawing.source.count("subgraph") >= len(titles(drawing))
    if find_renderer():
        text = drawn(name, engine="dot").svg()
        found = {(e.text or "").replace("\xa0", " ") for e in ElementTree.fromstring(text).iter()}
        assert {title.rpartition("/")[2] for title in titles(drawing)} <= found


@every_loop
def test_svg_and_pictures_are_the_same_again(name: str) -> None:
    one, other = drawn(name), drawn(name)
    assert one.svg() == other.svg() and one.source == other.source
    ElementTree.fromstring(one.svg())


def test_the_forward_and_the_adjoint_loop_are_side_by_side() -> None:
    drawing = drawn("recurrence")
    assert titles(drawing) == ["scan backwards over “time”", "scan over “time”"]
    text = text_of(drawing)
    assert "v₈, carry, next v₁₃, 3" in text and "v₈, saved carry, 3" in text
    assert any(line.startswith("v₁₅, carry, next v̄₈") for line in text)
    assert any(line.startswith("v₄, last v₁₃, all v₈") for line in text)
    (saved,) = [arrow for arrow in picture_of(drawing).arrows if arrow.note]
    assert saved.note is not None and saved.note.text == "saved v₈"
    assert saved.source.part.family == "forward" and saved.target.part.family == "adjoint"


def test_steps_that_the_adjoint_loop_repeats_are_beside_those_of_the_loop() -> None:
    drawing = drawn("recurrence")
    by_name: dict[str, list[Any]] = {}
    for shape in picture_of(drawing).shapes:
        if shape.lines and shape.box.node is not None:
            by_name.setdefault(shape.lines[0].text, []).append(shape.box)
    middles = {f.shape.box.id: f.centre[1] for f in drawing._placed.figures}
    one, other = by_name["v₁₁"]
    assert one.part.family == "forward" and other.part.family == "adjoint"
    assert other.own_part == one.part
    (adjoint,) = by_name["v̄₁₁ = v̄₁₁→₁₂"]
    assert middles[one.id] == middles[other.id] == middles[adjoint.id]


@pytest.mark.parametrize("seed", range(70003, 70083, 8))
def test_an_input_stands_for_one_of_a_loop_that_is_looked_into_later(seed: int) -> None:
    graph = wild_graph(seed).graph
    used = {source for node in graph.nodes for source in node.inputs}
    picture = sm.draw(graph).svg()
    assert all(x.label in picture for x in used.intersection(graph.inputs))


def test_titles_in_words() -> None:
    x, n = sm.Variable("x", (3,)), sm.Variable("n", (), "int64")
    rows = sm.Variable("rows", ("batch", 3))

    def titled(node: Any) -> list[str]:
        return titles(sm.draw(node))

    assert titled(sm.scan(lambda c, e: (c + e, None), 0.0, x)[0]) == ["scan, 3 steps"]
    assert titled(sm.scan(lambda c, e: (c + e, None), 0.0, x[:1])[0]) == ["scan, 1 step"]
    back = sm.scan(lambda c, e: (c + e, None), 0.0, x, reverse=True)
    assert titled(back[0]) == ["scan backwards, 3 steps"]
    assert titled(sm.scan(lambda c, _: (c * 2, None), 1.0, length=n)[0]) == ["scan"]
    assert titled(sm.map_over(sm.sum, [rows])) == ["map over “batch”"]
    many = sm.scan(lambda c, _: (c * 2, None), 1.0, length=1000)[0]
    assert titled(many) == ["scan, 1,000 steps"]
    loop = sm.while_loop(lambda c: c < 9, lambda c: c * 2, 1.0, max_steps=2000)
    assert titled(loop) == [
        "while, at most 2,000 steps",
        "while, at most 2,000 steps/condition",
        "while, at most 2,000 steps/step",
    ]
    assert titled(sm.cond(n > 0, lambda: x, lambda: x * x)) == ["cond", "cond/if false"]
    chosen = sm.switch(n, [lambda: x + 1, lambda: x * x])
    assert titled(chosen) == ["switch", "switch/branch 0", "switch/branch 1"]


# Open and closed


def test_fold_opens_and_closes() -> None:
    x = sm.Variable("x", (3,))
    one, _ = sm.scan(lambda c, e: (sm.sin(c) + e, None), 0.0, x)
    two, _ = sm.scan(lambda c, e: (sm.cos(c) * e, None), 1.0, x)
    y = one * two
    assert titles(sm.draw(y)) == ["scan, 3 steps"] * 2
    assert titles(sm.draw(y, fold=True)) == []
    for folded in (one, [one], {"a": one}):
        closed = sm.draw(y, fold=folded)
        assert titles(closed) == ["scan, 3 steps"]
        assert any("cos" in text for text in text_of(closed))
        assert not any("sin" in text for text in text_of(closed))
    closed = sm.draw(y, fold=True)
    assert set(closed.ids) == set(View([y]).nodes)


def test_large_loops_are_closed_unless_asked_for() -> None:
    x = sm.Variable("x", ())

    def step(c: sm.Node, _: Any) -> Any:
        for _ in range(50):
            c = sm.sin(c)
        return c, None

    y, _ = sm.scan(step, x, length=3)
    assert titles(sm.draw(y)) == []
    assert sm.draw(y).notes == ("A loop is drawn closed, as one node: fold=False opens all.",)
    assert titles(sm.draw(y, fold=False)) == ["scan, 3 steps"]
    assert sm.draw(y, fold=False).notes == ()


def test_a_picture_with_many_small_loops_keeps_its_limit() -> None:
    y: Any = sm.Variable("x", ())
    for _ in range(20):
        y, _ = sm.scan(lambda c, _: (sm.sin(c) * sm.cos(c), None), y, length=3)
    drawing = sm.draw(y, limit=80)
    assert 0 < len(titles(drawing)) < 20
    assert len(picture_of(drawing).shapes) <= 80 + 20
    assert "loops are drawn closed" in drawing.notes[0]


def test_graphs_that_are_folded_by_scope_have_closed_loops() -> None:
    x = sm.Variable("x", ())
    y: Any = x
    for k in range(12):
        with sm.scope(f"block {k % 3}"):
            y, _ = sm.scan(lambda c, _: (sm.sin(c), None), y, length=3)
    drawing = sm.draw(y, limit=10)
    assert titles(drawing) == [] and "folded" in drawing.notes[0]


def test_scopes_stand_around_and_inside_of_loops() -> None:
    drawing = drawn("branches")
    assert "choice/switch/branch 0" in titles(drawing)
    scopes = {"/".join(f.title for f in s.box.scope) for s in picture_of(drawing).shapes}
    assert "choice/switch/branch 0/inner" in scopes


def test_a_feed_shows_values_of_loops_and_closed_pictures_too() -> None:
    nodes, feed = pictures.recurrence()
    for fold in (True, False):
        assert any("tuple of 3 items" in text for text in text_of(sm.draw(nodes, feed, fold=fold)))


def test_optimised_graphs_show_the_steps_that_run() -> None:
    x = sm.Variable("x", (50,))
    y, _ = sm.scan(lambda c, e: (sm.tanh(c) + e, None), 0.0, x)
    f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy")
    f(np.ones(50))
    drawing = sm.draw(f.passes.graph)
    assert "scan, 50 steps" in titles(drawing)
    names = [text.partition(",")[0] for text in text_of(drawing) if text.startswith("t")]
    assert names and len(set(names)) == len(names)


# networkx


@every_loop
def test_networkx_has_the_nodes_in_bodies_if_asked(name: str) -> None:
    nodes, _ = pictures.CASES[name]()
    closed, opened = sm.to_networkx(nodes), sm.to_networkx(nodes, fold=False, with_nodes=True)
    assert len(closed) == len(View(nodes, repairs=True).nodes) < len(opened)
    assert networkx.is_directed_acyclic_graph(opened)
    inside = nodes_inside(View(nodes, repairs=True, opened=True))
    assert inside <= set(networkx.get_node_attributes(opened, "node").values()) | {
        node for node in inside if node in View(nodes, repairs=True, opened=True).through
    }
    for _, data in opened.nodes(data=True):
        assert all(isinstance(data[key], str) for key in ("op", "type", "role", "label", "scope"))


def test_networkx_connects_a_loop_to_its_body() -> None:
    x = sm.Variable("x", (3,))
    y, _ = sm.scan(lambda c, e: (sm.sin(c) + e, None), 0.0, x)
    graph = sm.to_networkx(y, fold=False)
    (start,) = [n for n, data in graph.nodes(data=True) if data["label"] == "v1"]
    (sine,) = [n for n, data in graph.nodes(data=True) if data["op"] == "sin"]
    (end,) = [n for n, data in graph.nodes(data=True) if data["output"]]
    assert graph.nodes[sine]["scope"] == "scan, 3 steps"
    assert networkx.has_path(graph, start, end) and networkx.has_path(graph, sine, end)
    for a, b in itertools.pairwise(networkx.dag_longest_path(graph)):
        assert graph.has_edge(a, b)
