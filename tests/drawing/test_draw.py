"""Pictures: what is drawn, where it stands, and that text is text whatever it holds."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import stat
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import graphviz
import networkx
import numpy as np
import pytest

import symad as sm
from symad.drawing import painting, render, subscripts
from symad.drawing.fold import make_boxes
from symad.drawing.graphviz_paint import to_placed_dot
from symad.drawing.placed_picture import place_picture
from symad.drawing.style import FAINT, INK, hue_of
from symad.errors import FeedError, GraphTypeError, RenderError
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels
from symad.notation.roles import Kind, Part, kind_of
from symad.notation.values import format_number, format_value, magnitude
from symad.notation.view import View
from tests.support import pictures

needs_graphviz = pytest.mark.skipif(
    not render.find_renderer(), reason="neither dot nor pygraphviz is installed"
)
SVG = "{http://www.w3.org/2000/svg}"


def by_dot(drawing: Any) -> str:
    """Return a picture as Graphviz lays it out."""
    picture, _ = render.render(drawing.source, "svg")
    return str(picture.decode())


def by_symad(drawing: Any) -> str:
    return str(drawing.svg())


LAYOUTS = [pytest.param(by_dot, marks=needs_graphviz), by_symad]


def running_example(shape: Any = None) -> tuple[sm.Node, list[sm.Node]]:
    x1, x2 = sm.Variable("x1", shape), sm.Variable("x2", shape)
    return sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2]


def symbols(*outputs: sm.Node) -> list[list[str]]:
    view = View(outputs)
    labels = Labels(view)
    return [[s.subscripted for s in labels.symbols.get(node, ())] for node in view.nodes]


LOWER = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def source_of(drawing: Any) -> str:
    """Return the DOT text, with subscripts as characters."""
    return re.sub(
        r'<FONT POINT-SIZE="[\d.]+"><SUB>(.*?)</SUB></FONT>',
        lambda found: found[1].translate(LOWER),
        drawing.source,
    )


def dot_of(drawing: Any, node: sm.Node) -> str:
    """Return the statement that draws ``node``."""
    (line,) = re.findall(rf"^ *{drawing.ids[node]} \[.*$", source_of(drawing), re.MULTILINE)
    return line


# Labels


def test_lecture_numbering() -> None:
    y, _ = running_example()
    labels = Labels(View([y]))
    names = [node.label for node in labels.forward]
    assert names == ["x1", "x2", "log", "multiply", "sin", "add", "subtract"]


def test_labels_of_the_shared_exponential() -> None:
    """Decision 1 of the design, in labels: v2 = exp v1, v3 = v2 + 1, v4 = v2·v3."""
    x = sm.Variable("x", shape=())
    z = sm.exp(x)
    y = (z + 1) * z
    record = sm.extend(y, x)
    view = View([y, record.adjoints[x]])
    labels = Labels(view)
    found = {
        str(node.role.kind) + ":" + "=".join(map(str, labels.symbols[node]))
        for node in view.nodes
        if node.role
    }
    assert found == {
        "seed:v̄4",
        "partial:v̄2→4",
        "partial:v̄3=v̄3→4",
        "partial:v̄2→3",
        "sum:v̄2",
        "partial:v̄1=v̄1→2",
    }


@pytest.mark.parametrize("shape", [None, ()])
def test_labels_do_not_depend_on_what_is_fetched(shape: Any) -> None:
    y, xs = running_example(shape)
    record = sm.extend(y, xs)
    gradients = [record.adjoints[x] for x in xs]
    whole, alone = Labels(View([y, *gradients])), Labels(View(gradients[1:]))
    for node in View(gradients[1:]).nodes:
        assert whole.of(node) == alone.of(node)


def test_labels_agree_with_the_record_of_the_extension() -> None:
    loss, parameters, _ = pictures.scoped_network()
    record = sm.extend(loss, parameters)
    view = View([loss, *record.adjoints.values()])
    labels = Labels(view)
    for node, adjoint in record.adjoints.items():
        symbol = labels.of(adjoint)
        assert symbol is not None and symbol.index == (labels.numbers[node],)
        assert (symbol.mark, symbol.generation, symbol.copy) == ("bar", 1, 0)
    for edge, partial in record.partials.items():
        ends = labels.numbers[edge.source], labels.numbers[edge.consumer]
        assert ends in [symbol.index for symbol in labels.symbols[view.behind(partial)]]


def test_an_edge_taken_twice_has_two_labels() -> None:
    x = sm.Variable("x")
    assert symbols(sm.gradients(x * x, x))[-3:] == [["v̄₁→₂,₁"], ["v̄₁→₂,₂"], ["v̄₁"]]


def test_derivatives_of_two_outputs_are_told_apart() -> None:
    x = sm.Variable("x")
    z = sm.sin(x)
    first, second = sm.gradients(z, x), sm.gradients(z * x, x)
    flat = [symbol for found in symbols(z, first, second) for symbol in found]
    assert "v̄₁" in flat and "v̄′₁" in flat
    assert len(flat) == len(set(flat))


def test_second_derivative_says_so() -> None:
    x = sm.Variable("x")
    first = sm.gradients(sm.sin(x) * x, x)
    flat = [symbol for found in symbols(first, sm.gradients(first, x)) for symbol in found]
    assert "v̄⁽²⁾₁" in flat
    assert len(flat) == len(set(flat))


def test_tangents_have_dots() -> None:
    y, xs = running_example()
    tangent = sm.tangents(y, xs, [1.0, 0.0])[y]
    flat = [symbol for found in symbols(y, tangent) for symbol in found]
    assert {f"v̇{i}" for i in "₁₂₃₄₅₆₇"} <= set(flat)


def test_latex_of_symbols() -> None:
    y, xs = running_example()
    gradients = sm.gradients(y, xs)
    view = View([y, *gradients])
    formulas = Formulas(view, Labels(view), latex=True)
    found = {f"{formulas.name(node)} = {side}" for node, side in formulas.right_sides.items()}
    assert r"v_{3} = \ln v_{1}" in found
    assert r"\bar{v}_{1 \to 3} = \frac{\bar{v}_{3}}{v_{1}}" in found
    assert r"\bar{v}_{2 \to 5} = \bar{v}_{5} \cdot \cos v_{2}" in found


# What is left out


def test_repairs_of_unknown_shapes_are_looked_through_and_marked() -> None:
    y, xs = running_example()
    gradients = sm.gradients(y, xs)
    drawing = sm.draw([y, *gradients])
    assert "sum_like" not in drawing.source
    assert 'style="dashed"' in drawing.source and "shape repair left out" in drawing.source
    shown = sm.draw([y, *gradients], repairs=True).source
    assert shown.count("sum_like(") == 4 and "shape repair left out" not in shown


def test_a_feed_decides_which_repairs_do_something() -> None:
    x, b = sm.Variable("x"), sm.Variable("b")
    y = sm.sum(x * b)
    gradients = sm.gradients(y, [x, b])
    same = sm.draw(gradients, {x: [1.0, 2.0], b: [3.0, 4.0]})
    assert "sum_like" not in same.source
    wider = sm.draw(gradients, {x: [[1.0, 2.0], [3.0, 4.0]], b: [3.0, 4.0]})
    assert wider.source.count('shape="parallelogram"') == 1
    assert dot_of(wider, gradients[1]).count("sum_like") == 2  # label and tooltip


def test_every_kind_of_node_has_its_shape() -> None:
    loss, parameters, feed = pictures.scoped_network()
    gradients = sm.gradients(loss, parameters)
    view = View([loss, *gradients])
    labels = Labels(view)
    kinds = {kind_of(node, labels) for node in view.nodes}
    assert kinds >= set(Kind) - {Kind.TANGENT, Kind.FOLDED, Kind.LOCAL, Kind.PORT}
    drawing = sm.draw([loss, *gradients])
    for kind, shape in {
        Kind.VARIABLE: "box",
        Kind.OPERATION: "ellipse",
        Kind.SEED: "house",
        Kind.SUM: "hexagon",
        Kind.REPAIR: "parallelogram",
    }.items():
        for node in view.nodes:
            if kind_of(node, labels) is kind:
                assert f'shape="{shape}"' in dot_of(drawing, node)
    for kind in kinds:
        assert kind.value in drawing.source  # the legend


# What stands on a node


def test_operands_are_written_in_their_order() -> None:
    x, y = sm.Variable("x"), sm.Variable("y")
    for value, text in [(x / y, "v₁/v₂"), (x @ y, "v₁ @ v₂"), (x - y, "v₁ − v₂")]:
        assert f">{text}<" in source_of(sm.draw(value))
    for value, text in [(x * y, "v₁·v₂"), (x + y, "v₁ + v₂"), (x * x, "v₁·v₁")]:
        assert f">{text}<" in source_of(sm.draw(value))


def test_values_and_adjoints_stand_on_the_nodes() -> None:
    y, (x1, x2) = running_example()
    drawing = sm.draw([y, *sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0})
    assert "= 5<" in dot_of(drawing, x2) and "v̄₂ = 1.716<" in dot_of(drawing, x2)
    assert "= 11.652<" in dot_of(drawing, y)
    loss, parameters, feed = pictures.scoped_network()
    gradients = sm.gradients(loss, parameters)
    drawing = sm.draw([loss, *gradients], feed)
    w2 = parameters[1]
    norm = np.linalg.norm(sm.Executor(gradients[1]).run(feed))
    assert f"5×3 ‖{format_number(np.sqrt(15.0))}‖" in dot_of(drawing, w2)
    assert f"‖v̄₄‖ = {format_number(norm)}" in dot_of(drawing, w2)


def test_known_sizes_stand_on_the_nodes() -> None:
    loss, _, _ = pictures.scoped_network()
    assert ">batch×8<" in sm.draw(loss).source


def test_a_bad_feed_is_refused() -> None:
    y, (x1, x2) = running_example()
    with pytest.raises(FeedError, match="x2"):
        sm.draw(y, {x1: 2.0})
    with pytest.raises(FeedError, match="Feed the variables"):
        sm.draw(y, {y.inputs[0]: 1.0})
    with pytest.raises(GraphTypeError):
        sm.draw(3.0)
    with pytest.raises(GraphTypeError):
        sm.draw([])


def test_values_without_a_number_are_drawn() -> None:
    x = sm.Variable("x")
    y = sm.log(x)
    assert "= nan<" in sm.draw([y, sm.gradients(y, x)], {x: -1.0}).source


def test_structures_are_drawn() -> None:
    a, b = sm.Variable("a"), sm.Variable("b")
    node = sm.structure({"cat": a, "dog": b})
    y = node["cat"] * 2
    drawing = sm.draw([y, sm.gradients(y, node)], {a: 1.0, b: 2.0})
    assert "dict of 2 items" in drawing.source


# Scopes and folding


def test_scopes_are_boxes() -> None:
    loss, parameters, _ = pictures.scoped_network()
    dot = sm.draw([loss, *sm.gradients(loss, parameters)]).source
    for name in ("layer1", "layer2", "loss"):
        assert dot.count(f"label=<{name}>") == 2  # in the forward part and among the adjoints


def test_nested_scopes_nest() -> None:
    x = sm.Variable("x")
    with sm.scope("outer"):
        y = sm.sin(x)
        with sm.scope("inner"):
            y = sm.sin(y)
        y = sm.cos(y)
    dot = sm.draw(y).source
    assert dot.count("{") == dot.count("}")
    assert dot.index("<outer>") < dot.index("<inner>") and dot.count("<outer>") == 1


def test_a_large_graph_folds_by_scope_and_says_so() -> None:
    loss, parameters, _ = pictures.scoped_network()
    drawing = sm.draw([loss, *sm.gradients(loss, parameters)], limit=20)
    (note,) = drawing.notes
    assert "folded by scope" in note and note in drawing.source
    assert drawing.source.count('shape="box3d"') == 5
    assert sm.draw(loss).notes == ()


def test_scopes_fold_at_the_greatest_depth_that_fits() -> None:
    x = y = sm.Variable("x")
    for block in range(10):
        with sm.scope(f"block{block}"):
            for part in range(5):
                with sm.scope(f"part{part}"):
                    for _ in range(6):
                        y = sm.sin(y)
    view = View([y])
    assert len(make_boxes(view, Labels(view), 200)[0]) == 51
    assert len(make_boxes(view, Labels(view), 40)[0]) == 11
    assert x in view.nodes


def test_a_long_chain_without_scopes_folds_in_runs() -> None:
    x = y = sm.Variable("x")
    for _ in range(3_000):
        y = sm.sin(y) * y
    drawing = sm.draw([y, sm.gradients(y, x)])
    assert "neighbouring nodes are folded" in drawing.notes[0]
    assert drawing.source.count("[id=n") <= 200
    order = topological_order([y, sm.gradients(y, x)])
    assert drawing.ids[x] == "n0" and len(drawing.ids) >= 0.6 * len(order)


# Text of the user's

HOSTILE = [
    '"><script>alert(1)</script>',
    "\\N \\G \\l \\\\ \\",
    "a]; b -> c [label=<x>",
    "é שלום 🎉",
    "\u202ereversed",
    "nul\x00 bell\x07 tab\t\nline",
    "\ud800 lone",
    "&lt;&amp;&#60;",
    "javascript:alert(1)",
    "$x_1$ \\frac{1}{2}",
    "x" * 500,
]


@needs_graphviz
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("has_places", [False, True])
def test_hostile_text_is_shown_as_text(text: str, has_places: bool) -> None:
    x = sm.Variable(text, shape=(text,))
    with sm.scope(text):
        y = sm.sin(x)
    drawing = sm.draw([y, sm.gradients(y, x)])
    if has_places:  # what PNG and PDF are painted from
        placed = to_placed_dot(place_picture(drawing._picture))
        picture, _ = render.render(placed, "svg", "nop2")
    else:
        picture, _ = render.render(drawing.source, "svg")
    root = ElementTree.fromstring(picture.decode())
    texts = {"".join(e.itertext()).replace("\xa0", " ") for e in root.iter(f"{SVG}text")}
    assert visible(text) in texts
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert names <= {"svg", "g", "title", "polygon", "polyline", "ellipse", "path", "text", "a"}
    for element in root.iter():
        assert not any(key.endswith("href") or key.startswith("on") for key in element.attrib)


def test_nothing_of_the_users_machine_is_in_the_picture() -> None:
    y, _ = running_example()
    assert str(Path(__file__).parent) not in sm.draw(y).source
    assert Path(__file__).name in sm.draw(y).source  # the tooltip names the line


# The layout


def boxes_of(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Return left, top, right and bottom of what each node of a picture covers."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") == "node":
            corners: list[tuple[float, float]] = []
            for shape in group.iter():
                if shape.tag == f"{SVG}ellipse":
                    x, y, rx, ry = (float(shape.get(k, 0)) for k in ("cx", "cy", "rx", "ry"))
                    corners += [(x - rx, y - ry), (x + rx, y + ry)]
                elif shape.tag == f"{SVG}rect":
                    corners += corners_of(shape)
                elif shape.tag in (f"{SVG}polygon", f"{SVG}path"):
                    numbers = re.findall(r"-?[\d.]+", shape.get("points") or shape.get("d") or "")
                    corners += zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True)
            if corners:
                xs, ys = zip(*corners, strict=True)
                found[group.attrib["id"]] = (min(xs), min(ys), max(xs), max(ys))
    return found


def corners_of(rectangle: ElementTree.Element) -> list[tuple[float, float]]:
    x, y, width, height = (float(rectangle.get(k, 0)) for k in ("x", "y", "width", "height"))
    return [(x, y), (x + width, y + height)]


def graphs_to_lay_out() -> list[tuple[str, list[sm.Node], list[sm.Node]]]:
    y, xs = running_example()
    loss, parameters, _ = pictures.scoped_network()
    a = b = sm.Variable("a")
    for _ in range(6):
        b = b + b
    w = sm.Variable("w")
    ratio = sm.sin(w) / (w - sm.cos(w * w))
    cases = [("running", y, xs), ("network", loss, parameters), ("doubling", b, [a])]
    cases.append(("ratio", ratio, [w]))
    return [(name, [out, *sm.gradients(out, ins)], ins) for name, out, ins in cases]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", graphs_to_lay_out(), ids=lambda case: case[0])
def test_layout(case: tuple[str, list[sm.Node], list[sm.Node]], layout: Any) -> None:
    """Nothing overlaps; adjoints stand right of the forward graph, each beside its node."""
    _, nodes, _ = case
    drawing = sm.draw(nodes)
    places = boxes_of(layout(drawing))
    items = list(places.items())
    for i, (_, a) in enumerate(items):
        for _, b in items[i + 1 :]:
            assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
    view = View(nodes)
    labels = Labels(view)
    forward = [places[drawing.ids[n]] for n in view.nodes if n.role is None]
    adjoint = [places[drawing.ids[n]] for n in view.nodes if n.role is not None]
    assert max(place[2] for place in forward) < min(place[0] for place in adjoint)
    for node in view.nodes:
        symbol = labels.of(node)
        if node.role is not None and symbol is not None and len(symbol.index) == 1:
            own, other = places[drawing.ids[node]], places[drawing.ids[node.role.node]]
            assert (own[1] + own[3]) / 2 == pytest.approx((other[1] + other[3]) / 2, abs=8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_are_kept_in_the_svg(layout: Any) -> None:
    y, xs = running_example()
    drawing = sm.draw([y, *sm.gradients(y, xs)])
    ids = {element.get("id") for element in ElementTree.fromstring(layout(drawing)).iter()}
    assert set(drawing.ids.values()) <= ids
    edges = re.findall(r"\[id=(e\w+) ", drawing.source)
    assert edges and set(edges) <= ids and len(set(edges)) == len(edges)


def test_dot_is_deterministic() -> None:
    def text() -> str:
        loss, parameters, _ = pictures.scoped_network()
        return re.sub(r":\d+\"", '"', sm.draw([loss, *sm.gradients(loss, parameters)]).source)

    assert text() == text()


# Rendering


@pytest.fixture
def no_typst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "can_paint", lambda: False)


@needs_graphviz
def test_formats(tmp_path: Path, no_typst: None) -> None:
    y, _ = running_example()
    drawing = sm.draw(y)
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}
    for suffix, start in starts.items():
        path = tmp_path / f"picture.{suffix.upper()}"
        drawing.save(path)
        assert path.read_bytes().startswith(start)
    assert drawing.png().startswith(b"\x89PNG") and drawing.pdf().startswith(b"%PDF")
    assert drawing.rendered_by in ("dot", "pygraphviz")
    assert drawing.svg() and drawing.rendered_by == "symad"
    bundle = drawing._repr_mimebundle_()
    assert bundle["image/svg+xml"] == drawing.svg()
    with pytest.raises(RenderError, match="the format of"):
        drawing.save(tmp_path / "picture.gif")


def dots(drawing: Any) -> tuple[float, float]:
    """Return how many dots a picture has in each direction."""
    placed = place_picture(drawing._picture)
    (resolution,) = map(int, re.findall(r"dpi=(\d+)", to_placed_dot(placed)))
    return placed.size[0] * resolution / 72, placed.size[1] * resolution / 72


@needs_graphviz
def test_pictures_have_two_dots_per_point(no_typst: None) -> None:
    y, _ = running_example()
    drawing = sm.draw(y)
    png = drawing.png()
    found = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    for asked, there, side in zip(
        dots(drawing), found, place_picture(drawing._picture).size, strict=True
    ):
        assert asked == 2 * side
        assert 0.93 * asked < there < 1.02 * asked  # the margin may be less than was thought


def test_large_pictures_have_fewer_dots() -> None:
    """No more than what programs can open."""
    xs = [sm.Variable(f"x{i}") for i in range(60)]
    y = sm.add_n([sm.sin(x) for x in xs])
    wide, _ = dots(sm.draw([y, *sm.gradients(y, xs)], limit=1000))
    assert 29_000 < wide < 30_500
    wide, high = dots(sm.draw(pictures.random_large()[0], limit=1000))
    assert 4.5e7 < wide * high < 5.2e7


@needs_graphviz
def test_threads_draw_alike(no_typst: None) -> None:
    y, _ = running_example()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(sm.draw(y).png())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def fake_dot(folder: Path, script: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for dot is a script")
def test_dot_on_the_path_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_typst: None
) -> None:
    fake_dot(tmp_path, "print(*sys.argv[1:], len(sys.stdin.read()))")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    y, _ = running_example()
    drawing = sm.draw(y)
    placed = to_placed_dot(place_picture(drawing._picture))
    assert drawing.png().decode() == f"-Knop2 -Tpng {len(placed)}\n"
    assert drawing.rendered_by == "dot"
    fake_dot(tmp_path, "sys.stderr.write('first\\nsyntax error in line 3\\n'); sys.exit(1)")
    with pytest.raises(RenderError, match="dot failed: syntax error in line 3"):
        sm.draw(y).pdf()
    assert sm.draw(y).svg().startswith("<?xml")  # for which nothing is run


def test_without_a_painter_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, no_typst: None
) -> None:
    monkeypatch.setattr(render, "find_renderer", lambda: "")
    y, _ = running_example()
    drawing = sm.draw(y)
    with pytest.raises(RenderError, match=r"pip install symad\[render\]"):
        drawing.png()
    assert drawing.svg().startswith("<?xml") and drawing.rendered_by == "symad"
    assert drawing.source.startswith("digraph")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fonts are found by fontconfig")
def test_fonts_are_borrowed_for_the_call_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_typst: None
) -> None:
    fake_dot(tmp_path, "print(open(os.environ['FONTCONFIG_FILE']).read())")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    monkeypatch.setattr(render, "_has_fonts", lambda: False)
    monkeypatch.setattr(render, "substitute_fonts", lambda: Path("/some/fonts"))
    before = dict(os.environ)
    y, _ = running_example()
    assert b"<dir>/some/fonts</dir>" in sm.draw(y).png()
    assert dict(os.environ) == before
    fake_dot(tmp_path, "print('drawn')")
    monkeypatch.setattr(render, "substitute_fonts", lambda: None)
    with pytest.warns(UserWarning, match="no fonts were found"):
        sm.draw(y).png()
    assert render.render("digraph {}", "json0") == (b"drawn\n", "dot")  # without a warning


# Graphviz as its users know it


def test_source_is_for_the_graphviz_package(tmp_path: Path) -> None:
    y, xs = running_example()
    drawing = sm.draw([y, *sm.gradients(y, xs)])
    source = drawing.to_graphviz()
    assert isinstance(source, graphviz.Source) and source.source == drawing.source
    assert source.save(tmp_path / "graph.gv")
    assert (tmp_path / "graph.gv").read_text(encoding="utf-8") == drawing.source


@pytest.mark.skipif(not shutil.which("dot"), reason="dot is not installed")
def test_the_graphviz_package_renders_and_pipes(tmp_path: Path) -> None:
    x = sm.Variable("α <b>")
    source = sm.draw(sm.sin(x)).to_graphviz()
    path = source.render(tmp_path / "sine", format="svg", cleanup=True)
    assert "α &lt;b&gt;" in Path(path).read_text(encoding="utf-8").replace("\xa0", " ").replace(
        "&#160;", " "
    )
    assert source.pipe(format="png").startswith(b"\x89PNG")
    assert "<svg" in source._repr_mimebundle_()["image/svg+xml"]


@needs_graphviz
def test_dot_lays_out_where_it_is_asked_to() -> None:
    y, xs = running_example()
    nodes = [y, *sm.gradients(y, xs)]
    drawing = sm.draw(nodes, engine="dot")
    assert set(boxes_of(drawing.svg())) == set(drawing.ids.values())
    assert drawing.rendered_by in ("dot", "pygraphviz") and "Graphviz" not in sm.draw(nodes).svg()
    assert boxes_of(drawing.svg()) != boxes_of(sm.draw(nodes).svg())
    assert drawing.png() != sm.draw(nodes).png() and drawing.pdf().startswith(b"%PDF")
    assert drawing._repr_mimebundle_()["image/svg+xml"] == drawing.svg()
    assert drawing.source == sm.draw(nodes).source


def test_an_engine_that_is_missing_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    y, _ = running_example()
    with pytest.raises(RenderError, match="no engine 'neato'.*\n.*symad.*dot"):
        sm.draw(y, engine="neato")  # type: ignore[arg-type]
    monkeypatch.setattr(render, "find_renderer", lambda: "")
    drawing = sm.draw(y, engine="dot")
    assert drawing.source.startswith("digraph")
    with pytest.raises(RenderError, match=r"pip install symad\[render\]"):
        drawing.svg()


def test_the_old_name_of_the_source_is_deprecated() -> None:
    drawing = sm.draw(sm.Variable("x"))
    with pytest.warns(DeprecationWarning, match=r"Drawing\.source"):
        assert drawing.dot == drawing.source


# Values, export, the name


def test_numbers_and_arrays_on_a_line() -> None:
    assert [format_number(v) for v in (1e-4, 123456.789, 1e7, -0.0, np.inf, -np.inf, 3)] == [
        "0.0001",
        "123456.789",
        "1e+07",
        "0",
        "∞",
        "−∞",
        "3",
    ]
    assert format_value(np.zeros((0, 3))) == "[]"
    assert format_value({"a": 1.0, "b": None}) == "{a: 1, b: absent}"
    assert format_value(np.arange(12).reshape(3, 4)) == "3×4 [0, 1, 2, …]"
    assert magnitude({"a": np.array([3.0]), "b": [np.float64(4.0), None]}) == 5.0


def second_derivatives() -> dict[str, list[sm.Node]]:
    x = sm.Variable("x")
    cube = x**3
    first = sm.gradients(cube, x)
    z = sm.Variable("z", (2,))
    y = z[0] ** 2 * z[1]
    product = sm.hessian_vector_product(y, z, sm.Variable("d", (2,)))
    return {
        "cube": [cube, first, sm.gradients(first, x)],
        "third": [cube, first, sm.gradients(sm.gradients(first, x), x)],
        "product": [y, sm.gradients(y, z), product],
    }


def extents(svg: str, kind: str) -> dict[str, tuple[float, float, float, float]]:
    """Return left, top, right and bottom of each node, or of each background."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") != kind:
            continue
        points = []
        for e in group.iter(f"{SVG}ellipse"):
            cx, cy, rx, ry = (float(e.get(key, "nan")) for key in ("cx", "cy", "rx", "ry"))
            points += [(cx - rx, cy - ry), (cx + rx, cy + ry)]
        for e in group.iter(f"{SVG}rect"):
            points += corners_of(e)
        for e in (*group.iter(f"{SVG}polygon"), *group.iter(f"{SVG}path")):
            text = e.get("points") or e.get("d") or ""
            points += [(float(a), float(b)) for a, b in re.findall(r"(-?[\d.]+),(-?[\d.]+)", text)]
        if points:
            xs, ys = zip(*points, strict=True)
            found[group.get("id", "")] = (min(xs), min(ys), max(xs), max(ys))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", second_derivatives())
def test_generations_stand_side_by_side(name: str, layout: Any) -> None:
    nodes = second_derivatives()[name]
    drawing = sm.draw(nodes)
    svg = layout(drawing)
    boxes = extents(svg, "node")
    for i, a in enumerate(boxes.values()):
        for b in list(boxes.values())[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    found = [item for item in extents(svg, "cluster").items() if item[0]]
    parts = sorted(found, key=lambda item: item[1][0])
    generations = [int(name[-1]) for name, _ in parts]
    assert generations == sorted(generations) and len(set(generations)) == len(generations)
    view = View(nodes)
    labels = Labels(view)
    for node in view.nodes:
        symbol = labels.of(node)
        if node.role is None or symbol is None or not symbol.mark:
            continue
        if len(symbol.index) != 1 or symbol.copy:
            continue
        beside = view.behind(node.role.node)
        if beside in drawing.ids and drawing.ids[beside] in boxes:
            a, b = boxes[drawing.ids[node]], boxes[drawing.ids[beside]]
            assert a[1] < b[3] and b[1] < a[3], f"{symbol} is not at the height of its node"


def test_generations_have_colours_and_a_legend() -> None:
    dot = sm.draw(second_derivatives()["third"]).source
    fills = re.findall(r'id=adjoint_\d; label.*?fillcolor="(#\w+)"', dot, re.S)
    assert len(fills) == len(set(fills)) == 3
    for title in ("forward graph", "adjoints", "adjoints of generation 3"):
        assert f"\xa0 {title}</FONT>" in dot
    assert "\xa0 forward graph</FONT>" not in sm.draw(second_derivatives()["third"][:2]).source


def test_a_seed_that_was_given_says_so() -> None:
    drawing = sm.draw(second_derivatives()["product"])
    (line,) = [row for row in source_of(drawing).splitlines() if '"house"' in row and "₁" in row]
    assert ">v₂<" in line


@pytest.mark.parametrize("with_nodes", [False, True])
def test_networkx_has_the_graph(with_nodes: bool) -> None:
    loss, parameters, _ = pictures.scoped_network()
    gradients = sm.gradients(loss, parameters)
    graph = sm.to_networkx([loss, *gradients], with_nodes=with_nodes)
    order = topological_order([loss, *gradients])
    found = View([loss, *gradients], repairs=True).nodes
    assert set(found) == set(order) and len(found) == len(graph)
    assert networkx.is_directed_acyclic_graph(graph)
    for node, (index, data) in zip(found, graph.nodes(data=True), strict=True):
        sources = sorted(graph.in_edges(index, data="slot"), key=lambda edge: edge[2])
        assert [found[k] for k, _, _ in sources] == list(node.inputs)
        assert data["type"] == str(node.type) and data["scope"] == "/".join(node.scope)
        assert data["op"] == (node.op.name if node.op else "")
        assert data["output"] == (node in [loss, *gradients])
        assert data.get("node") is (node if with_nodes else None)
    again = sm.to_networkx([loss, *gradients])
    assert list(graph.edges(data="slot")) == list(again.edges(data="slot"))
    assert [d["label"] for _, d in graph.nodes(data=True)].count("v̄16") == 1


def assert_same_graph(found: Any, graph: Any) -> None:
    """Compare what was written and read: nodes with their attributes, and edges with theirs."""
    assert {int(n): d for n, d in found.nodes(data=True)} == dict(graph.nodes(data=True))
    edges = [sorted((int(a), int(b), slot) for a, b, slot in g.edges(data="slot"))
             for g in (found, graph)]  # fmt: skip
    assert edges[0] == edges[1]


@pytest.mark.filterwarnings("ignore:.*edges:FutureWarning")  # the name of a key, in networkx 3.4
@pytest.mark.parametrize("text", ["weight", *HOSTILE], ids=range(len(HOSTILE) + 1))
def test_networkx_graphs_are_written_and_read(text: str, tmp_path: Path) -> None:
    x = sm.Variable(text, shape=(text,))
    with sm.scope(text):
        y = sm.sum(x * x)
    graph = sm.to_networkx([y, sm.gradients(y, x)])
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    back = networkx.read_graphml(tmp_path / "graph.graphml", force_multigraph=True)
    assert_same_graph(back, graph)
    networkx.write_gexf(graph, tmp_path / "graph.gexf")
    assert_same_graph(networkx.read_gexf(tmp_path / "graph.gexf"), graph)
    data = json.loads(json.dumps(networkx.node_link_data(graph)))
    assert_same_graph(networkx.node_link_graph(data), graph)


def test_edges_lead_from_inputs_to_users_in_every_export() -> None:
    """In DOT too, whichever way an arrow points in the picture."""
    loss, parameters, _ = pictures.scoped_network()
    nodes = [loss, *sm.gradients(loss, parameters)]
    drawing = sm.draw(nodes)
    view = View(nodes)
    assert set(re.findall(r"^  (n\d+) -> (n\d+) \[id=(e\w+) ", drawing.source, re.M)) == {
        (drawing.ids[view.sources(node)[slot].node], drawing.ids[node], name)
        for (node, slot), name in drawing.edge_ids.items()
    }
    assert 'dir="' not in drawing.source
    graph = sm.to_networkx(nodes, with_nodes=True)
    given = networkx.get_node_attributes(graph, "node")
    for start, end, slot in graph.edges(data="slot"):
        assert given[end].inputs[slot] is given[start]


def test_nodes_say_along_which_axis_and_what_is_taken() -> None:
    x, a = sm.Variable("x", (3, 4)), sm.Variable("a")
    d = sm.structure({"cat": a})
    nodes = [sm.sum(x), sm.sum(x, axis=0), x[1], d["cat"], sm.cast(x, "float32")]
    shown = source_of(sm.draw(nodes))
    for formula in ("sum", "sum(v₁, axis=0)", "v₁[1]", "v₆[cat]", "float32(v₁)"):
        assert f">{formula}<" in shown


# Colours

BLINDNESS = {
    "none": np.eye(3),
    "red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""What the eye makes of linear RGB (Machado, Oliveira and Fernandes, 2009)."""


def linear(color: str) -> Any:
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    """Return CIE L*a*b* of linear RGB."""
    to_xyz = [[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]]
    x, y, z = np.cbrt(np.maximum(np.asarray(to_xyz) @ np.clip(rgb, 0, 1), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """Return the ratio of luminances, as WCAG defines it."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


PARTS = [Part(0, "forward"), Part(1, "tangent"), *(Part(g, "adjoint") for g in (1, 2, 3))]


@pytest.mark.parametrize("eye", BLINDNESS)
def test_parts_are_told_apart_by_every_eye(eye: str) -> None:
    seen = [lab(np.asarray(BLINDNESS[eye]) @ linear(hue_of(part).strong)) for part in PARTS]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 10


@pytest.mark.parametrize("part", [*PARTS, Part(4, "adjoint")])
def test_text_and_lines_stand_out(part: Part) -> None:
    hue = hue_of(part)
    assert contrast(INK, hue.pale) > 7  # what WCAG asks of small text, at its strictest
    assert contrast(hue.strong, hue.ground) > 4.5 and contrast(hue.strong, hue.pale) > 3
    assert contrast(FAINT, hue.ground) > 4.5


# Subscripts


def test_subscripts_are_small_type_below_the_line() -> None:
    y, xs = running_example()
    svg = sm.draw([y, *sm.gradients(y, xs)]).svg()
    assert re.search(r'>v̄<tspan dy="[\d.]+" font-size="11.9">2→5</tspan></text>', svg)
    assert not re.search("[₀-₉]", svg)


@pytest.mark.parametrize("text", ["v₁, v₂", "x₁₀→₂,₁·y", "₁", "plain", "", "v̄⁽²⁾₃ = v₄"])
def test_pieces_are_the_text(text: str) -> None:
    pieces = list(subscripts.pieces(text))
    upper = "".join(p.translate(LOWER) if is_lower else p for p, is_lower in pieces)
    assert upper == text
    assert all(a[1] != b[1] for a, b in itertools.pairwise(pieces))
    assert ("1", True) not in pieces or text in ("v₁, v₂", "₁")


def test_typst_paints_images_and_pages(tmp_path: Path) -> None:
    pytest.importorskip("typst")
    y, xs = running_example()
    drawing = sm.draw([y, *sm.gradients(y, xs)])
    png = drawing.png()
    assert drawing.rendered_by == "typst" and png == sm.draw([y, *sm.gradients(y, xs)]).png()
    side = int.from_bytes(png[16:20], "big")
    assert abs(side - 2 * place_picture(drawing._picture).size[0]) < 3
    pages = painting.paint([drawing.svg(), sm.draw(y).svg()], "pdf")
    assert len(pages) == 1 and len(re.findall(rb"/Type ?/Page\b", pages[0])) == 2
    assert len(painting.paint([drawing.svg(), sm.draw(y).svg()], "png", 36.0)) == 2
    f = sm.compile(xs, y)
    f(1.0, 2.0)
    for ending in ("png", "pdf"):
        sm.memory(f).save(tmp_path / f"memory.{ending}")
        assert (tmp_path / f"memory.{ending}").stat().st_size > 1_000
