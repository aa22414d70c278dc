"""Directions, themes, parts and highlighted nodes of pictures."""

from __future__ import annotations

import itertools
import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import networkx
import pytest

import symad as sm
from symad.cli import main
from symad.drawing.frame_titles import extent_of
from symad.drawing.outlines import meeting
from symad.drawing.style import ACCENT, FAINT, GREY, HUES, INK, SHAPES, WHITE
from symad.drawing.themes import THEMES
from symad.errors import GraphTypeError, RenderError
from symad.notation.names import labels_of
from symad.notation.roles import part_of
from symad.notation.view import View
from tests.drawing.test_draw import running_example
from tests.support import pictures

SOME = ("lecture_fed", "nested_loops", "residual_scopes", "both_modes", "second_derivative")


def drawn(name: str, **options: Any) -> Any:
    nodes, feed = pictures.CASES[name]()
    return sm.draw(nodes, feed, **options)


# Values of options


@pytest.mark.parametrize(
    "option, value, there_is",
    [
        ("direction", "RL", '"TB" or "LR"'),
        ("theme", "blue", '"light", "dark" or "print"'),
        ("show", None, '"all", "forward", "adjoint" or "path"'),
        ("engine", "neato", '"symad" or "dot"'),
    ],
)
def test_unknown_values_list_what_there_is(option: str, value: Any, there_is: str) -> None:
    y, _ = running_example()
    with pytest.raises(RenderError, match=f"there is no {option}") as error:
        sm.draw(y, **{option: value})
    assert there_is in error.value.remedy


# Themes


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", THEMES)
def test_text_and_lines_have_contrast(name: str) -> None:
    """4.5 for text and 3 for lines, as in level AA of WCAG 2.2."""
    color = THEMES[name].color
    surfaces = [GREY.pale, WHITE, *(c for hue in HUES for c in (hue.pale, hue.ground))]
    texts = [(INK, surface) for surface in surfaces]
    texts += [(hue.strong, surface) for hue in HUES for surface in (hue.ground, WHITE)]
    texts += [(FAINT, WHITE), (HUES[2].strong, HUES[0].pale)]  # v̄₁ on a forward node
    for text, surface in texts:
        assert contrast(color(text), color(surface)) >= 4.5, (text, surface)
    for line, surface in [(ACCENT, hue.pale) for hue in HUES] + [(FAINT, h.ground) for h in HUES]:
        assert contrast(color(line), color(surface)) >= 3, (line, surface)


@pytest.mark.parametrize("theme", ["dark", "print"])
@pytest.mark.parametrize("name", SOME)
def test_a_theme_replaces_every_colour(theme: str, name: str) -> None:
    svg, dot = drawn(name, theme=theme).svg(), drawn(name, theme=theme).source
    colors = THEMES[theme].colors
    lost = {light for light, color in colors.items() if light not in colors.values()}
    for text in (svg, dot):
        found = set(re.findall(r'"(#\w{6}|white)"', text))
        assert found and not found & {*lost, "white"}
        if theme == "print":
            assert all(len({c[1:3], c[3:5], c[5:7]}) == 1 for c in found)


def test_print_tells_parts_apart_by_lines_and_greys() -> None:
    svg = drawn("third_derivative", theme="print").svg()
    root = ElementTree.fromstring(svg)
    lines = [e for e in root.iter() if e.tag.endswith("path") and e.get("fill") == "none"]
    kinds = {(line.get("stroke-width"), line.get("stroke-dasharray")) for line in lines}
    assert {("1.2", None), ("2.2", None), ("2.2", "9,3"), ("3.2", None), ("0.9", None)} <= kinds
    texts = ["".join(e.itertext()).replace("\xa0", " ") for e in root.iter() if "text" in e.tag]
    assert texts[texts.index("adjoints of generation 2", 4) - 1] == "╍"


# Directions


@pytest.mark.parametrize("name", SOME)
def test_pictures_from_left_to_right(name: str) -> None:
    """Nothing overlaps; arrows lead to the right; parts are one above the other; titles fit."""
    placed = drawn(name, direction="LR")._placed
    boxes = [(f.centre, f.size) for f in placed.figures]
    for (a, s), (b, t) in itertools.combinations(boxes, 2):
        across, down = abs(a[0] - b[0]), abs(a[1] - b[1])
        assert across >= (s[0] + t[0]) / 2 or down >= (s[1] + t[1]) / 2
    for shaft in placed.shafts:
        arrow = shaft.arrow
        if arrow.ranks and arrow.source.own_part == arrow.target.own_part:
            assert (shaft.head[0][0] < shaft.curve[0][0]) == arrow.rises
    parts = [g.frame for g in placed.grounds if not g.frame.scope]
    assert all(a.bottom < b.top for a, b in itertools.pairwise(parts))
    for ground in placed.grounds:
        (x, y), (width, height) = extent_of(ground.title)
        assert ground.frame.left < x - width / 2 and x + width / 2 < ground.frame.right
        beside = [(c, s) for c, s in boxes if abs(c[1] - y) < (s[1] + height) / 2]
        assert not any(abs(c[0] - x) < (s[0] + width) / 2 for c, s in beside)


@pytest.mark.parametrize("kind", SHAPES)
def test_arrows_from_a_side_end_on_the_outline(kind: Any) -> None:
    for form in {SHAPES[kind]["shape"], "pill", "gem"}:
        look, size = {"shape": form}, (90.0, 40.0)
        for y in (-8.0, 0.0, 8.0):
            left = meeting(look, (0.0, 0.0), size, (-45.0, y), False)
            right = meeting(look, (0.0, 0.0), size, (45.0, y), False)
            assert left[1] == right[1] == y
            assert -45.0 <= left[0] <= -20.0 and 20.0 <= right[0] <= 45.0
            if form == "ellipse":
                assert abs((left[0] / 45) ** 2 + (y / 20) ** 2 - 1) < 1e-9
            if form == "parallelogram":
                assert abs(left[0] - (-45 + 8 - 16 * y / 40)) < 1e-9
                assert abs(right[0] - (45 - 8 - 16 * y / 40)) < 1e-9


# Parts and paths


def random_graph(seed: int) -> tuple[list[sm.Node], list[sm.Node]]:
    """Return outputs and all nodes of a random graph."""
    generator = random.Random(seed)
    nodes: list[sm.Node] = [sm.Variable(f"x{i}", ()) for i in range(3)]
    for _ in range(9):
        one, other = generator.choices(nodes, k=2)
        nodes.append(generator.choice([one * other, one - other, sm.sin(one)]))
    used = {source for node in nodes for source in node.inputs}
    return [node for node in nodes if node not in used and node.op is not None], nodes


@pytest.mark.parametrize("seed", range(8))
def test_paths_between_highlighted_nodes(seed: int) -> None:
    outputs, nodes = random_graph(seed)
    graph = networkx.DiGraph((s, n) for n in View(outputs).nodes for s in n.inputs)
    ancestors, descendants = networkx.ancestors, networkx.descendants
    for a, b in itertools.permutations([n for n in nodes if n in graph], 2):
        if not networkx.has_path(graph, a, b):
            continue
        expected = {n for path in networkx.all_simple_paths(graph, a, b) for n in path}
        found = sm.draw(outputs, show="path", highlight=[a, b])
        assert set(found.ids) == expected
        through = sm.draw(outputs, show="path", highlight=a)
        assert set(through.ids) == ancestors(graph, a) | {a} | descendants(graph, a)


@pytest.mark.parametrize("name", SOME)
def test_parts_are_drawn_alone_with_the_same_symbols(name: str) -> None:
    nodes, feed = pictures.CASES[name]()
    whole = sm.draw(nodes, feed)
    texts = {f.shape.tip: [t.line.text for t in f.texts] for f in whole._placed.figures}
    labels = labels_of(View(nodes, opened=True))
    for show in ("forward", "adjoint"):
        part = sm.draw(nodes, feed, show=show)
        parts = {part_of(node, labels).family for node in View(nodes).nodes if node in part.ids}
        assert parts and ("forward" in parts) == (show == "forward") and len(parts) <= 2
        for figure in part._placed.figures:
            if figure.shape.kind.name not in ("CONSTANT", "PORT"):
                assert figure.shape.tip in texts
    assert set(sm.draw(nodes, feed, show="forward").ids) < set(whole.ids)


def test_highlighted_nodes_and_the_arrows_between_them() -> None:
    y, (x1, x2) = running_example()
    product = y.inputs[0].inputs[1]
    drawing = sm.draw(y, highlight=[x1, product])
    lit = {f.shape.box.node for f in drawing._placed.figures if f.shape.emphasis}
    assert lit == {x1, product}
    arrows = {a.id for a in drawing._picture.arrows if a.emphasis}
    assert arrows == {drawing.edge_ids[product, 0]}
    assert "highlighted" in drawing.svg() and "highlighted" not in sm.draw(y).svg()


def test_what_cannot_be_selected() -> None:
    y, (x1, x2) = running_example()
    with pytest.raises(RenderError, match=r"stranger is not part of the graph"):
        sm.draw(y, highlight=sm.Variable("stranger"))
    with pytest.raises(GraphTypeError, match="cannot be highlighted"):
        sm.draw(y, highlight=[3.0])  # type: ignore[list-item]
    with pytest.raises(RenderError, match="no path leads") as error:
        sm.draw(y, show="path", highlight=[x1, x2])
    assert "depends on it" in error.value.remedy
    with pytest.raises(RenderError, match="no nodes were given for the paths"):
        sm.draw(y, show="path")
    with pytest.raises(RenderError, match="no adjoints to show"):
        sm.draw(y, show="adjoint")


# The command


def test_the_command_has_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.svg"
    base = ["draw", "log(x1) + x1*x2 - sin(x2)", "-o", str(path)]
    look = ["--theme", "dark", "--direction", "LR", "--show", "path", "--limit", "50"]
    assert main([*base, *look, "--highlight", "x1", "--highlight", "v4_bar"]) == 0
    assert THEMES["dark"].color(ACCENT) in path.read_text(encoding="utf-8")
    path.unlink()
    for wrong in (["--theme", "x"], ["--highlight", "v40"], ["--show", "path"]):
        assert main([*base, *wrong]) in (1, 2)
    assert not path.exists()
    assert "there are v1, x1, v2" in capsys.readouterr().err
