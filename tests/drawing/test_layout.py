"""The layout that needs no Graphviz: layers, order, places, and the SVG made of them."""

from __future__ import annotations

import itertools
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest

import symad as sm
from symad.drawing import outlines, painting, placed_picture, render, subscripts
from symad.drawing.compose import compose
from symad.drawing.dot import to_dot
from symad.drawing.layout import Diagram, DiagramLayout, Item, Link, Spacing, lay_out
from symad.drawing.layout.curves import Knot, along, between, smooth, tangents
from symad.drawing.layout.layer_order import Element, order
from symad.drawing.layout.layered import arrange
from symad.drawing.layout.ranks import ranks
from symad.drawing.levels import make_levels
from symad.drawing.metrics import text_width
from symad.drawing.node_text import NodeText
from symad.drawing.outlines import meeting, size_around
from symad.drawing.picture import Picture
from symad.drawing.placed_picture import Figure, PlacedPicture, Text, place_picture
from symad.drawing.style import SHAPES
from symad.drawing.svg import to_svg
from symad.errors import RenderError
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.labels import Labels
from symad.notation.roles import Kind
from symad.notation.view import View
from tests.drawing.test_draw import HOSTILE, SVG, boxes_of, graphs_to_lay_out, running_example
from tests.support import pictures


@pytest.fixture
def no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "find_renderer", lambda: "")
    monkeypatch.setattr(painting, "can_paint", lambda: False)


def picture_of(nodes: Any, limit: int = 200) -> Picture:
    view = View(nodes)
    labels = Labels(view)
    levels, note = make_levels(view, labels, limit)
    return compose(view, labels, levels, NodeText(view, labels), (note,) if note else ())


# Layers


def test_layers_are_shortest() -> None:
    """Against all layers of small graphs, one after the other."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        pairs = [(i, j) for i, j in itertools.combinations(range(5), 2) if rng.random() < 0.4]
        found = ranks(5, pairs, [])
        every = itertools.product(range(5), repeat=5)
        allowed = [r for r in every if all(r[b] > r[a] for a, b in pairs)]
        best = min(sum(r[b] - r[a] for a, b in pairs) for r in allowed)
        assert all(found[b] > found[a] for a, b in pairs)
        assert sum(found[b] - found[a] for a, b in pairs) == best


def test_rows_share_a_layer() -> None:
    found = ranks(6, [(0, 1), (1, 2), (3, 4), (4, 5)], [[2, 3]])
    assert found == [0, 1, 2, 2, 3, 4]


def test_circles_are_broken_where_they_begin() -> None:
    assert ranks(3, [(0, 1), (1, 2), (2, 0)], []) == [0, 1, 2]
    assert ranks(2, [(0, 1), (1, 0)], [[0, 1]]) == [0, 0]
    assert ranks(0, [], []) == []


def test_frames_stand_one_above_the_other_if_arrows_lead_one_way() -> None:
    pairs = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 3)]  # 4 and 5 have room beside 0, 1 and 2
    assert ranks(6, pairs, [])[4] < 2
    found = ranks(6, pairs, [], frames=[[0, 1, 2], [3, 4, 5]])
    assert max(found[:3]) < min(found[3:])
    circle = ranks(6, [*pairs, (4, 2)], [], frames=[[0, 1, 2], [3, 4, 5]])
    assert circle == ranks(6, [*pairs, (4, 2)], [])
    apart = ranks(4, [(0, 1), (2, 3)], [], frames=[[0, 1], [2, 3]])
    assert apart == [0, 1, 0, 1]  # nothing leads from one to the other


def test_narrow_layers_cost_no_length() -> None:
    pairs = [(0, 1), (0, 2), (0, 3), (1, 4), (4, 5), (2, 5), (3, 5)]
    widths = [(0, 100.0)] * 6
    wide, slim = ranks(6, pairs, []), ranks(6, pairs, [], widths=widths)
    assert wide == [0, 1, 1, 1, 2, 3] and sorted(slim) == [0, 1, 1, 2, 2, 3]
    assert all(slim[b] > slim[a] for a, b in pairs)
    assert sum(slim[b] - slim[a] for a, b in pairs) == sum(wide[b] - wide[a] for a, b in pairs)
    assert ranks(6, pairs, [[1, 2, 3]], widths=widths)[1:4] == [1, 1, 1]  # a row stays one


# Order


def crossings(ordering: Any) -> int:
    """Count crossings pair by pair."""
    place = {n: p for layer in ordering.layers for p, n in enumerate(layer)}
    layer_of = [element.layer for element in ordering.elements]
    return sum(
        layer_of[a] == layer_of[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in itertools.combinations(ordering.segments, 2)
    )


def test_a_planar_tree_is_drawn_without_crossings() -> None:
    tree = networkx.balanced_tree(3, 4)
    rng = np.random.default_rng(0)
    names = rng.permutation(len(tree))  # the order that is given says nothing
    depth = networkx.shortest_path_length(tree, 0)
    elements = [Element(0, 0, (), 40.0) for _ in tree]
    for node in tree:
        elements[names[node]].layer = depth[node]
    links = [(names[a], names[b]) for a, b in networkx.bfs_edges(tree, 0)]
    assert crossings(order(elements, links)) == 0


def test_few_crossings_in_two_layers() -> None:
    """At most a few more than the best of all orders of the lower layer."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        links = [(a, 5 + b) for a in range(5) for b in range(5) if rng.random() < 0.4]
        elements = [Element(i // 5, 0, (), 30.0) for i in range(10)]
        ordering = order(elements, links)
        best = min(
            sum((a - c) * (p[b - 5] - p[d - 5]) < 0 for (a, b), (c, d) in pairs_of(links))
            for p in itertools.permutations(range(5))
        )  # fmt: skip
        assert crossings(ordering) <= best + 1


def pairs_of(links: Any) -> Any:
    return list(itertools.combinations(links, 2))


def test_arrows_of_one_tail_share_bends() -> None:
    elements = [Element(0, 0, (), 30.0), *(Element(5, 0, (), 30.0) for _ in range(10))]
    ordering = order(elements, [(0, i) for i in range(1, 11)])
    assert len(ordering.elements) == 11 + 4
    assert len({tuple(path[1:-1]) for path in ordering.paths}) == 1


def test_many_long_arrows_to_one_head_share_bends() -> None:
    elements = [*(Element(0, 0, (), 30.0) for _ in range(10)), Element(5, 0, (), 30.0)]
    ordering = order(elements, [(i, 10) for i in range(10)])
    assert len(ordering.elements) == 11 + 4


@pytest.mark.parametrize("fed", [False, True])
def test_operands_stand_in_order(fed: bool) -> None:
    y, xs = running_example(())
    drawing = sm.draw(
        [y, *sm.gradients(y, xs)], dict(zip(xs, (2.0, 5.0), strict=True)) if fed else None
    )
    layout = lay_out(diagram_of(drawing._picture))
    for node in topological_order([y]):
        places = [layout.centres[drawing.ids[source]] for source in node.inputs]
        for left, right in itertools.pairwise(places):
            assert left[1] != right[1] or left[0] < right[0]


# Curves


def test_curves_do_not_swing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ys = np.cumsum(rng.uniform(10, 90, 7))
        knots = [
            Knot(x, y, bool(rng.integers(2))) for x, y in zip(rng.normal(0, 80, 7), ys, strict=True)
        ]
        points = np.array(smooth(knots))
        slopes = tangents(knots)
        for i, (a, b) in enumerate(itertools.pairwise(knots)):
            piece = points[3 * i : 3 * i + 4]
            for t in np.linspace(0, 1, 9):
                x, y = bezier(piece, t)
                assert min(a.x, b.x) - 1e-6 <= x <= max(a.x, b.x) + 1e-6
                assert between(a, slopes[i], b, slopes[i + 1], y) == pytest.approx(x, abs=1e-6)


def bezier(piece: Any, t: float) -> Any:
    weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
    return np.asarray(weights) @ np.asarray(piece)


# Whole layouts


def diagram_of(picture: Picture) -> Diagram:
    return placed_picture._diagram(picture, placed_picture._sizes(picture))


@cache
def drawn(name: str) -> tuple[Picture, Diagram, DiagramLayout, PlacedPicture]:
    """Return a picture of the corpus in all stages."""
    nodes, feed = pictures.CASES[name]()
    picture = sm.draw(nodes, feed, limit=1000, fold=False)._picture
    diagram = diagram_of(picture)
    return picture, diagram, lay_out(diagram), place_picture(picture)


every_picture = pytest.mark.parametrize("name", pictures.CASES)


def test_the_corpus_has_a_large_picture() -> None:
    assert len(drawn("random_large")[0].shapes) > 300


@every_picture
def test_nothing_overlaps(name: str) -> None:
    """Neither nodes, nor frames that do not hold each other, nor frames and foreign nodes."""
    _, diagram, layout, _ = drawn(name)
    boxes = [(item, *corners(item, layout)) for item in diagram.items]
    for (_, *a), (_, *b) in itertools.combinations(boxes, 2):
        assert apart(a, b, 10)
    for frame in layout.frames:
        place = [frame.left, frame.top, frame.right, frame.bottom]
        width, height = diagram.titles[frame.band, frame.scope]
        assert frame.right - frame.left > width
        for item, *box in boxes:
            inside = item.band == frame.band and item.scope[: len(frame.scope)] == frame.scope
            if inside:
                assert frame.left < box[0] and box[2] < frame.right
                assert frame.top + height < box[1] and box[3] < frame.bottom
            else:
                assert apart(place, box, 5)
    for one, other in itertools.combinations(layout.frames, 2):
        if one.band != other.band or one.scope != other.scope[: len(one.scope)]:
            a, b = ([f.left, f.top, f.right, f.bottom] for f in (one, other))
            assert apart(a, b, 5)
        else:
            assert one.left < other.left and other.right < one.right
            assert one.top < other.top and other.bottom < one.bottom
    everything = [*layout.frames]
    assert min(frame.left for frame in everything) >= 0
    assert max(frame.right for frame in everything) <= layout.size[0]
    assert max(frame.bottom for frame in everything) <= layout.size[1]


def corners(item: Item, layout: DiagramLayout) -> list[float]:
    (x, y), (w, h) = layout.centres[item.id], item.size
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def apart(a: Any, b: Any, gap: float) -> bool:
    gap -= 1e-6
    return a[2] + gap <= b[0] or b[2] + gap <= a[0] or a[3] + gap <= b[1] or b[3] + gap <= a[1]


@every_picture
def test_arrows_run_around_nodes(name: str) -> None:
    """An arrow begins and ends at its own nodes, and runs through no other one."""
    _, diagram, layout, _ = drawn(name)
    boxes = {item.id: corners(item, layout) for item in diagram.items}
    left, top, right, bottom = np.array([*boxes.values()]).T
    for link in diagram.links:
        curve = layout.curves[link.id]
        assert on_border(boxes[link.tail], curve[0]) and on_border(boxes[link.head], curve[-1])
        x, y = np.array(list(along(curve, 5.0))).T[..., None]
        inside = ((left < x) & (x < right) & (top < y) & (y < bottom)).any(0)
        met = {name for name, hit in zip(boxes, inside, strict=True) if hit}
        assert met <= {link.tail, link.head}


def on_border(box: Any, point: Any) -> bool:
    left, top, right, bottom = box
    x, y = point
    across, down = left - 1e-6 <= x <= right + 1e-6, top - 1e-6 <= y <= bottom + 1e-6
    at_side = min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) < 1e-6
    return across and down and at_side


@every_picture
def test_arrows_point_down_and_those_of_adjoints_up(name: str) -> None:
    _, diagram, layout, _ = drawn(name)
    for link in diagram.links:
        if link.ranks:
            tail, head = layout.centres[link.tail][1], layout.centres[link.head][1]
            assert head < tail if link.rises else tail < head


@every_picture
def test_compact_pictures_are_smaller_and_overlap_nothing(name: str) -> None:
    _, diagram, layout, _ = drawn(name)
    compact = lay_out(diagram, Spacing.compact)
    assert compact.size[0] * compact.size[1] < 0.95 * layout.size[0] * layout.size[1]
    boxes = [corners(item, compact) for item in diagram.items]
    for a, b in itertools.combinations(boxes, 2):
        assert apart(a, b, 6)
    for link in diagram.links:
        if link.ranks:
            tail, head = compact.centres[link.tail][1], compact.centres[link.head][1]
            assert head < tail if link.rises else tail < head


def test_the_running_example_fits_a_small_screen() -> None:
    """With its values, in a page of 1 440 × 900 that has a panel beside it."""
    nodes, feed = pictures.lecture_fed()
    picture = sm.draw(nodes, feed)._picture
    layout = lay_out(
        placed_picture._diagram(picture, placed_picture._sizes(picture, placed_picture.COMPACT)),
        Spacing.compact,
    )
    assert layout.size[0] <= 836 and layout.size[1] <= 589


@every_picture
def test_titles_are_crossed_only_where_there_is_no_room(name: str) -> None:
    """By an arrow of a small picture, only if arrows are everywhere where the title could be."""
    *_, picture = drawn(name)
    if len(picture.figures) > 60:
        return
    x, y = np.array([p for shaft in picture.shafts for p in along(shaft.curve, 2.0)]).T
    for ground in picture.grounds:
        left, top, right, bottom = extent(ground.title)
        near = x[(top - 5 < y) & (y < bottom + 5)]
        if ((left < near) & (near < right)).any():
            room = np.arange(ground.frame.left + 8, ground.frame.right - 8 - (right - left), 6.0)
            for start in room:
                assert ((start - 8 < near) & (near < start + right - left + 8)).any(), ground.title


@pytest.mark.parametrize("case", graphs_to_lay_out(), ids=lambda case: case[0])
def test_adjoints_stand_beside_their_nodes(case: Any, no_graphviz: None) -> None:
    _, nodes, _ = case
    drawing = sm.draw(nodes)
    places = boxes_of(drawing.svg())
    assert set(places) == set(drawing.ids.values())
    view = View(nodes)
    labels = Labels(view)
    forward = [places[drawing.ids[n]] for n in view.nodes if n.role is None]
    adjoint = [places[drawing.ids[n]] for n in view.nodes if n.role is not None]
    assert max(place[2] for place in forward) < min(place[0] for place in adjoint)
    for node in view.nodes:
        symbol = labels.of(node)
        if node.role is not None and symbol is not None and len(symbol.index) == 1:
            own, other = places[drawing.ids[node]], places[drawing.ids[node.role.node]]
            assert (own[1] + own[3]) / 2 == pytest.approx((other[1] + other[3]) / 2, abs=1)


@pytest.mark.parametrize("name", ["lecture", "lecture_fed"])
def test_the_running_example_stands_as_in_the_lecture(name: str) -> None:
    """Each node between its inputs and its users; v5 beside v6, where it takes no width."""
    picture, _, layout, _ = drawn(name)
    heights = {
        shape.lines[0].text: layout.centres[shape.box.id][1]
        for shape in picture.shapes
        if shape.box.part.family == "forward"
    }
    assert heights["v₁"] == heights["v₂"] < heights["v₃"] == heights["v₄"]
    assert heights["v₄"] < heights["v₅"] == heights["v₆"] < heights["v₇"]


def test_inside_of_the_parts_of_the_running_example_nothing_crosses() -> None:
    y, xs = running_example()
    picture = picture_of([y, *sm.gradients(y, xs)])
    layout = lay_out(diagram_of(picture))
    inner = [a for a in picture.arrows if not a.crosses]
    found = [
        (a.id, b.id)
        for a, b in itertools.combinations(inner, 2)
        if a.source is not b.source
        and a.target is not b.target
        and cross(layout.curves[a.id], layout.curves[b.id])
    ]
    assert found == []


MOST_CROSSINGS = {
    "many_pathways": 2, "third_derivative": 3, "hessian_vector": 1, "wide": 1,
    "random_large": 139, "random_sum": 178, "random_in_scopes": 183, "recurrence": 2, "newton": 3,
    "branches": 13, "nested_loops": 11, "cell": 26, "tangent_of_a_loop": 2,
    "second_derivative_of_a_loop": 40, "hessian": 3,
}  # fmt: skip
"""Of arrows inside of the parts of a picture; none in all others."""


@every_picture
def test_arrows_of_one_part_hardly_cross(name: str) -> None:
    ordering = arrange(drawn(name)[1])
    place, lane = ordering.position, [ordering.frames[chain[0]][0] for chain in ordering.chains]
    inner: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in ordering.segments:
        if lane[a] == lane[b]:
            gap = ordering.elements[a].layer, lane[a]
            inner.setdefault(gap, []).append((place[a], place[b]))
    found = sum(
        (a - c) * (b - d) < 0
        for segments in inner.values()
        for (a, b), (c, d) in itertools.combinations(segments, 2)
    )
    assert found <= MOST_CROSSINGS.get(name, 0)


def cross(one: Any, other: Any) -> bool:
    """Return whether two polygonal lines along curves cross."""
    a, b = (np.array(list(along(curve, 8.0))) for curve in (one, other))

    def side(p: Any, q: Any, r: Any) -> Any:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return any(
        side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0
        for p, q in itertools.pairwise(a)
        for r, s in itertools.pairwise(b)
    )


def test_layouts_are_deterministic() -> None:
    def text() -> str:
        loss, parameters, _ = pictures.scoped_network()
        return to_svg(place_picture(picture_of([loss, *sm.gradients(loss, parameters)])))

    assert re.sub(r":\d+<", "<", text()) == re.sub(r":\d+<", "<", text())


def test_folded_boxes_that_go_in_circles_are_laid_out() -> None:
    items = [Item(name, 0, (), (50.0, 30.0)) for name in "abc"]
    pairs = ["ab", "bc", "ca", "ba", "aa"]
    links = [Link(f"{a}{b}", a, b) for a, b in pairs]
    layout = lay_out(Diagram(items, links, [], {(0, ()): (60.0, 20.0)}))
    assert set(layout.curves) == {"ab", "bc", "ca", "ba"}
    assert len({layout.centres[name][1] for name in "abc"}) == 3


def steps(function: Any, *arguments: Any) -> int:
    """Count the calls of Python functions."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def blocks(count: int) -> Picture:
    """Return a picture of a residual network, which has an input that every block uses."""
    x = hidden = sm.Variable("x", ())
    for i in range(count):
        with sm.scope(f"block {i}"):
            hidden = hidden + sm.tanh(hidden * sm.sin(x))
    return picture_of([hidden, sm.gradients(hidden, x)], limit=100_000)


def test_steps_are_linear_in_the_size_of_a_picture() -> None:
    """Up to a step in each layer that an arrow passes; its bends it shares with others."""
    small, large = blocks(12), blocks(48)
    place_picture(small)  # imports what it needs
    parts = (len(large.shapes) + len(large.arrows)) / (len(small.shapes) + len(small.arrows))
    assert 3.5 < parts < 4.5
    few, many = (len(arrange(diagram_of(picture)).elements) for picture in (small, large))
    assert many < 1.1 * parts * few
    assert steps(place_picture, large) < 1.8 * parts * steps(place_picture, small)


def test_two_thousand_nodes_are_drawn_folded_or_not() -> None:
    x = hidden = sm.Variable("x", ())
    for i in range(95):
        with sm.scope(f"block {i}"):
            hidden = hidden + sm.tanh(hidden * sm.sin(hidden)) * sm.exp(sm.cos(hidden))
    nodes = [hidden, sm.gradients(hidden, x)]
    whole, folded = sm.draw(nodes, limit=10_000), sm.draw(nodes)
    assert len(boxes_of(whole.svg())) > 2000
    assert len(boxes_of(folded.svg())) < 200 and "folded by scope" in folded.notes[0]


def test_a_large_picture_is_not_quadratic() -> None:
    """An input is used in each of 600 layers: its arrows run straight down together."""
    x = y = sm.Variable("x", ())
    for _ in range(200):
        y = y + sm.sin(x * y)
    diagram = diagram_of(picture_of([y], limit=5000))
    layout = lay_out(diagram)
    assert len(layout.centres) == len(diagram.items) > 600
    assert sum(map(len, layout.curves.values())) < 60 * len(diagram.links)


# Text and outlines


def test_text_is_not_wider_than_measured() -> None:
    """Against the font itself, where matplotlib brings it."""
    font_tools = pytest.importorskip("fontTools.ttLib")
    folder = Path(pytest.importorskip("matplotlib").__file__).parent / "mpl-data/fonts/ttf"
    texts = [
        "v̄₂→₅ = v̄₂",
        "v₆ − v₅",
        "broadcast_like(v̄₉, v₇)",
        "‖v̄₁‖ = 35.448",
        "batch×8",
        "Σ × ÷ ∞ ≥",
    ]
    texts += ["".join(map(chr, range(32, 127))), "WAVE MMM @@@", "illicit jill"]
    for name, bold in [("DejaVuSans.ttf", False), ("DejaVuSans-Bold.ttf", True)]:
        font = font_tools.TTFont(folder / name)
        glyphs, advances = font.getBestCmap(), font["hmtx"]
        for text in texts:
            real = sum(
                advances[glyphs[ord(c)]][0] * (subscripts.SIZE if is_lower else 1)
                for piece, is_lower in subscripts.pieces(text)
                for c in piece
                if c != "\N{COMBINING MACRON}"
            )
            real /= font["head"].unitsPerEm
            measured = text_width(text, 1.0, bold)
            assert real <= measured * 1.005 and measured <= real * 1.25, text


def test_unknown_characters_have_widths() -> None:
    assert text_width("漢字", 10) == 22 and text_width("🎉", 10) > 10
    assert text_width("e\N{COMBINING ACUTE ACCENT}", 10) == text_width("e", 10)


@pytest.mark.parametrize("kind", SHAPES)
def test_text_fits_into_the_outline(kind: Any) -> None:
    """The corners of the text are inside of the shape, and arrows end on its border."""
    look = SHAPES[kind]
    for width, height in [(10.0, 20.0), (150.0, 20.0), (80.0, 70.0)]:
        size = size_around(look, width, height)
        assert size[0] > width and size[1] > height
        if look["shape"] == "ellipse":
            corner = (width / size[0]) ** 2 + (height / size[1]) ** 2
            assert corner < 1
        for dx in (-0.3 * size[0], 0.0, 0.3 * size[0]):
            for side in (-1, 1):
                x, y = meeting(look, (0.0, 0.0), size, (dx, side * size[1] / 2), True)
                assert x == dx and 0 < side * y <= size[1] / 2 + 1e-9
                if look["shape"] == "ellipse":
                    assert math.hypot(2 * x / size[0], 2 * y / size[1]) == pytest.approx(1)


@every_picture
def test_text_stays_inside_of_its_node(name: str) -> None:
    *_, placed = drawn(name)
    for figure in placed.figures:
        last = -math.inf
        for text in figure.texts:
            left, top, right, bottom = extent(text)
            assert top > last, figure.shape.tip  # lines of one node do not touch
            last = bottom
            for x in (left, right):
                for y in (top, bottom):
                    assert holds(figure, x, y), (figure.shape.tip, text.line.text)


def extent(text: Text) -> tuple[float, float, float, float]:
    """Return what a line of text covers: the letters without the marks above and below them."""
    line, (x, base) = text.line, text.place
    width = text_width(line.text, line.size, line.bold)
    left = x - width / 2 if text.is_centred else x
    return left, base - 0.73 * line.size, left + width, base


def holds(figure: Figure, x: float, y: float) -> bool:
    """Return whether a point is inside of the outline of a node."""
    look, (cx, cy), (width, height) = figure.shape.look, figure.centre, figure.size
    if look["shape"] == "ellipse":
        return math.hypot(2 * (x - cx) / width, 2 * (y - cy) / height) < 1
    corners = outlines._corners(look["shape"], figure.centre, figure.size)
    turns = [
        (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True)
    ]
    return all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)


@every_picture
def test_titles_and_legend_meet_nothing(name: str) -> None:
    *_, placed = drawn(name)
    nodes = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in ((figure.centre, figure.size) for figure in placed.figures)
    ]
    titles = [extent(ground.title) for ground in placed.grounds]
    legend = [extent(text) for text in placed.legend]
    for title in titles:
        assert all(apart(title, node, 0) for node in nodes)
    for one, other in itertools.combinations([*titles, *legend], 2):
        assert apart(one, other, 0)
    floor = max(ground.frame.bottom for ground in placed.grounds)
    assert all(top >= floor for _, top, _, _ in legend)
    width, height = (side - 2 * placed.margin for side in placed.size)
    for left, top, right, bottom in [*titles, *legend]:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height


@every_picture
def test_the_legend_explains_every_sign(name: str) -> None:
    picture, *_ = drawn(name)
    shown = {sign.text for sign in picture.legend}
    dashed = any(arrow.look.get("style") == "dashed" for arrow in picture.arrows)
    dotted = any(arrow.look.get("style") == "dotted" for arrow in picture.arrows)
    assert ("shape repair left out" in shown) == dashed
    assert ("only the shape is used" in shown) == dotted
    thick = any(shape.look.get("penwidth") == "3" for shape in picture.shapes)
    assert ("thick border: requested output" in shown) == thick
    forms = {(shape.look["shape"], shape.look.get("peripheries")) for shape in picture.shapes}
    explained = {(SHAPES[k]["shape"], SHAPES[k].get("peripheries")) for k in Kind if k in shown}
    assert forms == explained


# The picture


def test_svg_without_graphviz(no_graphviz: None, tmp_path: Path) -> None:
    loss, parameters, feed = pictures.scoped_network()
    gradients = sm.gradients(loss, parameters)
    drawing = sm.draw([loss, *gradients], feed)
    assert drawing.rendered_by == "symad"
    drawing.save(tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert text == drawing.svg() and drawing.rendered_by == "symad"
    assert drawing._repr_mimebundle_()["image/svg+xml"] == text
    for save in (drawing.png, drawing.pdf):
        with pytest.raises(RenderError, match=r"pip install symad\[render\]"):
            save()


def test_svg_has_what_the_dot_picture_has(no_graphviz: None) -> None:
    """The same ids, classes, colours, legend and texts."""
    loss, parameters, feed = pictures.scoped_network()
    drawing = sm.draw([loss, *sm.gradients(loss, parameters)], feed)
    root = ElementTree.fromstring(drawing.svg())
    classes: dict[str, set[str]] = {}
    for group in root.iter(f"{SVG}g"):
        classes.setdefault(group.get("class", ""), set()).add(group.get("id", ""))
    assert classes["node"] == set(drawing.ids.values())
    assert classes["edge"] == set(drawing.edge_ids.values())
    assert {"forward_0", "adjoint_1"} <= classes["cluster"]
    shown = [text_of(element) for element in root.iter(f"{SVG}text")]
    source = re.sub(r'<FONT POINT-SIZE="[\d.]+"><SUB>(.*?)</SUB></FONT>', r"\1", drawing.source)
    labels = re.findall(r">([^<>]+)</(?:FONT|B|I)>", source)
    for label in labels:
        assert unescaped(label).strip() in [text.strip() for text in shown]
    for title in ("layer1", "layer2", "loss"):
        assert shown.count(title) == 2
    for color in set(re.findall(r'(?:fill)?color="(#\w+)"', drawing.source)):
        assert color in drawing.svg()


def text_of(element: Any) -> str:
    return "".join(element.itertext()).replace("\xa0", " ")


def unescaped(text: str) -> str:
    for entity, character in [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&quot;", '"')]:
        text = text.replace(entity, character)
    return text.replace("&amp;", "&")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_as_text(text: str, no_graphviz: None) -> None:
    x = sm.Variable(text, shape=(text,))
    with sm.scope(text):
        y = sm.sin(x)
    root = ElementTree.fromstring(sm.draw([y, sm.gradients(y, x)]).svg())
    assert visible(text) in {text_of(element) for element in root.iter(f"{SVG}text")}
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    forms = {"polygon", "polyline", "ellipse", "path", "rect"}
    assert names <= {"svg", "g", "title", "text", "tspan"} | forms
    for element in root.iter():
        assert not any(key.endswith("href") or key.startswith("on") for key in element.attrib)


def test_folded_pictures_say_so(no_graphviz: None) -> None:
    loss, parameters, _ = pictures.scoped_network()
    drawing = sm.draw([loss, *sm.gradients(loss, parameters)], limit=20)
    root = ElementTree.fromstring(drawing.svg())
    assert drawing.notes[0] in {text_of(element) for element in root.iter(f"{SVG}text")}
    assert set(drawing.ids.values()) == set(boxes_of(drawing.svg()))


def test_one_node_is_a_picture(no_graphviz: None) -> None:
    root = ElementTree.fromstring(sm.draw(sm.Variable("alone")).svg())
    assert "alone" in {text_of(element) for element in root.iter(f"{SVG}text")}


# Ids of arrows


def test_edge_ids_name_box_box_and_slot() -> None:
    y, xs = running_example()
    nodes = [y, *sm.gradients(y, xs)]
    drawing = sm.draw(nodes)
    view = View(nodes)
    assert len(drawing.edge_ids) == sum(len(view.sources(node)) for node in view.nodes)
    for (node, slot), name in drawing.edge_ids.items():
        source = view.sources(node)[slot].node
        assert name == f"e{drawing.ids[source][1:]}_{drawing.ids[node][1:]}_{slot}"
        assert f"[id={name} " in drawing.source
    assert len(set(drawing.edge_ids.values())) == len(drawing.edge_ids)


def test_arguments_inside_of_a_folded_box_have_no_arrow() -> None:
    loss, parameters, _ = pictures.scoped_network()
    drawing = sm.draw([loss, *sm.gradients(loss, parameters)], limit=20)
    for node, slot in drawing.edge_ids:
        assert drawing.ids[node] != drawing.ids[node.inputs[slot]]
    assert "[id=e" in to_dot(picture_of([loss], 4))
