"""The overview of large graphs without scopes: runs of nodes without circles."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import networkx
import pytest

import symad as sm
from symad.graph.traverse import topological_order


def chain(count: int) -> tuple[sm.Node, list[sm.Node]]:
    x = y = sm.Variable("x", ())
    for _ in range(count):
        y = y + sm.tanh(y * sm.sin(x))
    return y, [x]


def tree(count: int) -> tuple[sm.Node, list[sm.Node]]:
    xs: list[sm.Node] = [sm.Variable(f"x{i}", ()) for i in range(4)]
    terms: list[sm.Node] = [sm.sin(xs[i % 4] * float(i)) for i in range(count)]
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0], xs


def tangle(count: int) -> tuple[sm.Node, list[sm.Node]]:
    generator = random.Random(count)
    xs: list[sm.Node] = [sm.Variable(f"x{i}", ()) for i in range(40)]
    nodes = list(xs)
    for _ in range(count):
        one, other = generator.choices(nodes[-60:], k=2)
        nodes.append(generator.choice([one * other, one - other, sm.sin(one)]))
    used = {source for node in nodes for source in node.inputs}
    y = sm.add_n([node for node in nodes if node not in used])
    return y, [x for x in xs if x in used]


Case = Callable[[int], tuple[sm.Node, list[sm.Node]]]


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("case, count", [(chain, 90), (tree, 256), (tangle, 300)])
def test_runs_hold_all_nodes_and_form_no_circles(
    case: Case, count: int, with_gradients: bool
) -> None:
    y, xs = case(count)
    nodes = [y, *sm.gradients(y, xs)] if with_gradients else [y]
    drawing = sm.draw(nodes)
    shapes = drawing._picture.shapes
    held = [node for shape in shapes for node in shape.box.nodes]
    assert len(held) == len(set(held)) and set(held) <= set(drawing.ids)
    shown = {node for node in topological_order(nodes) if node in drawing.ids}
    assert shown == {n for n in drawing.ids if n in shown} and len(shapes) <= 17 * 2 + 2 * 12
    for part in drawing._picture.parts:
        arrows = [a for a in drawing._picture.arrows if a.source.part == a.target.part == part]
        graph = networkx.DiGraph((a.source.id, a.target.id) for a in arrows)
        assert networkx.is_directed_acyclic_graph(graph)
        runs = [s.box for s in shapes if s.box.part == part and s.box.run is not None]
        assert runs and max(len(box.nodes) for box in runs) < 0.35 * len(drawing.ids)


def test_derivatives_are_beside_their_run_and_named_after_it() -> None:
    y, xs = chain(90)
    drawing = sm.draw([y, *sm.gradients(y, xs)])
    titles = {f.shape.box.run: {} for f in drawing._placed.figures}  # type: ignore[var-annotated]
    for figure in drawing._placed.figures:
        titles[figure.shape.box.run][figure.shape.box.part.family] = figure
    alone: dict[str, Any] = titles.pop(None)
    assert alone["forward"].shape.box.node is xs[0]
    for run in titles.values():
        one, other = run["forward"], run["adjoint"]
        number = re.fullmatch(r"… v([₀-₉]+)", one.shape.box.title)
        assert number is not None and other.shape.box.title == f"v̄{number[1]} …"
        assert one.centre[1] == other.centre[1]


def test_an_arrow_between_folded_boxes_counts_its_values() -> None:
    x = sm.Variable("x", ())
    with sm.scope("one"):
        a, b = sm.sin(x), sm.cos(x)
        c = sm.exp(a) * sm.exp(b)
    with sm.scope("two"):
        y = a * b * c * sm.sin(c)
    drawing = sm.draw(y, limit=4)
    (arrow,) = [a for a in drawing._picture.arrows if a.note]
    assert (arrow.source.title, arrow.target.title) == ("one", "two")
    assert arrow.note.text == "3"
    for text in (drawing.svg().replace("\xa0", " "), drawing.source):
        assert "number of values that pass" in text
    assert "number" not in sm.draw(y).svg()
