"""Looking inside: profiles, the memory chart, and the code beside the graph."""

from __future__ import annotations

import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import symad as sm
from symad.cli import main
from symad.drawing import render
from symad.drawing.marks import heat
from symad.errors import FeedError, GraphTypeError, RenderError, ShapeError
from symad.inspection.memory_timeline import BarKind
from symad.plan.memory import BlockKind
from symad.runtime.function import Function

X = np.linspace(-1.0, 1.0, 32 * 20).reshape(32, 20)


def network(backend: str = "numpy", **keywords: Any) -> Function:
    x = sm.Variable("x", shape=("n", 20))
    w = sm.parameter("w", np.full((20, 10), 0.1))
    v = sm.parameter("v", np.full((10, 3), 0.2))
    with sm.scope("layer"):
        hidden = sm.tanh(x @ w)
    loss = sm.mean(sm.logsumexp(hidden @ v, axis=1))
    gradients = sm.gradients(loss, [w, v])
    return sm.compile([x], [loss, *gradients], backend=backend, name="net", **keywords)


@pytest.fixture(params=["numpy", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return str(request.param)


# Profiles


def test_profile_has_every_instruction(backend: str) -> None:
    f = network(backend)
    found = sm.profile(f, X, runs=3)
    steps = [step.node for step in f.plan.instructions]
    timed = [t.node for t in found.timings]
    assert timed == [node for node in steps if node in timed]  # native code has no step for a view
    assert all(node.op.is_view for node in steps if node.op and node not in timed)
    assert sum(t.share for t in found.timings) == pytest.approx(1)
    assert all(t.seconds >= 0 for t in found.timings) and found.call > 0
    assert {"matmul", "tanh"} <= {op for t in found.timings for op in t.ops}
    parts = {t.node.op.name: t.part for t in found.timings if t.node.op is not None}
    assert parts["matmul"] == "backward"  # the last one


def test_profile_as_a_table() -> None:
    found = sm.profile(network(), X, runs=3)
    rows = found.table.rows
    assert len(rows) == len(found.timings)
    shares = [float(row[2].rstrip("%")) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert all(row[5] in ("forward", "backward", "both") for row in rows)
    assert all(re.fullmatch(r"test_inside\.py:\d+(, .*)?", row[6]) for row in rows)
    assert "3 runs" in str(found)
    assert "<table>" in found._repr_html_()


def test_profile_names_what_is_fused() -> None:
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=(1000,))
    y = sm.sum(sm.exp(sm.sin(x)))
    found = sm.profile(sm.compile([x], [y, sm.gradients(y, x)], backend="native"), np.ones(1000))
    assert any({"sin", "exp"} <= set(t.ops) and t.part == "both" for t in found.timings)
    assert "sin, exp" in str(found.draw().source)


def test_what_is_made_of_derivatives_counts_as_backward(backend: str) -> None:
    x, w = sm.Variable("x", shape=(10, 50)), sm.parameter("w", np.ones((50, 20)))
    loss = sm.sum(sm.tanh(x @ w))
    updates = {w: w - 0.1 * sm.gradients(loss, w)}
    step = sm.compile([x], loss, updates=updates, backend=backend)
    timings = sm.profile(step, np.ones((10, 50))).timings
    assert [t.part for t in timings if "matmul" in t.ops] == ["forward", "backward"]
    assert "subtract" in timings[-1].ops and timings[-1].part == "backward"
    bars = sm.memory(step).chart.bars
    (updated,) = [bar for bar in bars if bar.is_output and bar.size == 8000]
    assert updated.kind is BarKind.BACKWARD


def test_profile_updates_nothing() -> None:
    w = sm.parameter("w", 1.0)
    step = sm.compile([], w, updates={w: w + 1})
    assert sm.profile(step, runs=2).runs == 2
    assert w.value == 1.0


def test_profile_on_the_picture() -> None:
    found = sm.profile(network(), X, runs=3)
    drawing = found.draw()
    most = max(found.timings, key=lambda t: t.share)
    assert f'fillcolor="{heat(most.share)}"' in drawing.source
    assert "of the time" in drawing.source
    folded = found.draw(limit=5)
    assert folded.notes


def test_heat_gets_darker() -> None:
    def brightness(color: str) -> int:
        return sum(int(color[i : i + 2], 16) for i in (1, 3, 5))

    shades = [brightness(heat(share)) for share in np.linspace(0, 1, 20)]
    assert shades == sorted(shades, reverse=True)
    assert heat(-1) == heat(0) and heat(2) == heat(1)


def test_profiles_of_nodes_and_of_wrong_arguments() -> None:
    x = sm.Variable("x")
    assert sm.profile(sm.exp(x), {x: 1.0}, runs=1).timings[0].ops == ("exp",)
    with pytest.raises(GraphTypeError, match="must be a positive integer"):
        sm.profile(sm.exp(x), {x: 1.0}, runs=0)
    with pytest.raises(FeedError, match="must run"):
        sm.profile(sm.compile([x], x))


# Memory


def test_residuals_stand_out(backend: str) -> None:
    f = network(backend)
    chart = sm.memory(f, X)
    kinds = {bar.label: bar.kind for bar in chart.chart.bars}
    (hidden,) = [kind for label, kind in kinds.items() if label.endswith(" tanh")]
    assert hidden is BarKind.RESIDUAL
    assert [kind for label, kind in kinds.items() if label.endswith(" x")] == [BarKind.GIVEN]
    assert chart.residuals == f.plan.memory.residuals  # type: ignore[union-attr]


def test_the_peak_is_that_of_the_buffers(backend: str) -> None:
    chart = sm.memory(network(backend), X)
    steps = len(chart.plan.instructions) + 1
    live = [0] * steps
    for block in chart.use.blocks:
        if block.kind in (BlockKind.TEMPORARY, BlockKind.OUTPUT):
            for step in range(block.first, block.last + 1):
                live[step] += block.size
    assert list(chart.chart.live) == live
    assert chart.peak == max(live) and chart.chart.peak == live.index(max(live))


def test_outputs_are_marked() -> None:
    chart = sm.memory(network(), X).chart
    assert sum(bar.is_output for bar in chart.bars) == 3
    assert all(bar.last == len(chart.live) - 1 for bar in chart.bars if bar.is_output)


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314, as it is our own


def test_the_chart_as_svg() -> None:
    chart = sm.memory(network(), X)
    root = parse(chart.svg())
    texts = {"".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")}
    assert any(text.startswith("peak: ") for text in texts)
    assert {"forward", "backward", "returned", "return", "step"} <= texts
    assert "url(#symad-residual)" in chart.svg()
    assert not re.search(r"(href|src)=|https?://(?!www\.w3\.org/2000/svg)", chart.svg())
    assert chart._repr_svg_() == chart.svg()


def test_text_stays_inside_the_chart() -> None:
    root = parse(sm.memory(network(), X).svg())
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for element in root.iter():
        if element.tag.endswith("text") and "x" in element.attrib:
            x, y = float(element.attrib["x"]), float(element.attrib["y"])
            room = 6.7 * len("".join(element.itertext())) * float(element.attrib["font-size"]) / 12
            left = {"start": 0.0, "middle": room / 2, "end": room}[element.attrib["text-anchor"]]
            assert x - left >= -1 and x - left + room <= width + 20
            assert 0 < y <= height


def test_names_in_the_chart_are_text() -> None:
    evil = sm.Variable("<script>alert(1)</script>&\u202e", shape=(3,))
    f = sm.compile([evil], sm.exp(evil), name='</title>"<b>')
    svg = sm.memory(f).svg()
    parse(svg)
    assert "<script>" not in svg and "<b>" not in svg and "\u202e" not in svg


def test_the_chart_as_text() -> None:
    chart = sm.memory(network(), X)
    lines = str(chart).splitlines()
    assert any("█" in line and "tanh" in line for line in lines)
    assert any(line.startswith("peak") and "▲" in line for line in lines)
    widths = {len(row[2]) for row in chart.table.rows}
    assert len(widths) == 1


def test_many_buffers_and_steps() -> None:
    x = sm.Variable("x", shape=(10,))
    y = x
    kept = []
    for _ in range(300):
        y = sm.sin(y)
        kept.append(y)
    chart = sm.memory(sm.compile([x], kept, backend="numpy"), limit=10)
    assert len(chart.chart.bars) == 10
    assert "291 buffers are not shown" in str(chart)
    parse(chart.svg())
    assert max(len(row[2]) for row in chart.table.rows) <= 60


def test_residuals_are_shown_before_large_inputs() -> None:
    x = sm.Variable("x", shape=(8, 8))
    weights = [sm.Variable(f"w{i}", shape=(8, 8)) for i in range(30)]
    y: sm.Node = x
    for w in weights:
        y = sm.tanh(y @ w)
    outputs = [sm.sum(y), *sm.gradients(sm.sum(y), weights)]
    chart = sm.memory(sm.compile([x, *weights], outputs, backend="numpy"), limit=20)
    kinds = [bar.kind for bar in chart.chart.bars]
    counts = {kind: kinds.count(kind) for kind in BarKind}
    assert counts[BarKind.RESIDUAL] == 10 and counts[BarKind.GIVEN] == 5 and len(kinds) == 20
    root = parse(chart.svg())
    peak = next(e for e in root.iter() if e.tag.endswith("line"))
    for element in root.iter():
        is_name = element.tag.endswith("text") and element.text in ("forward", "backward")
        if is_name and float(element.attrib["y"]) < 100:  # that of a part, not in the legend
            left = float(element.attrib["x"])
            assert not left <= float(peak.attrib["x1"]) <= left + 60


def test_charts_that_cannot_be_made(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], sm.exp(x), name="f")
    with pytest.raises(ShapeError, match="memory of f is unknown"):
        sm.memory(f)
    f([1.0])
    assert sm.memory(f).peak == 8
    with pytest.raises(RenderError, match=r"ends in \.svg, \.png or \.pdf"):
        sm.memory(f).save(tmp_path / "chart.gif")
    assert not list(tmp_path.iterdir())
    sm.memory(f).save(tmp_path / "chart.svg")
    parse((tmp_path / "chart.svg").read_text(encoding="utf-8"))
    nothing = sm.compile([x], x)
    nothing([1.0])
    parse(sm.memory(nothing).svg())


# The code beside the graph


@pytest.fixture(scope="module")
def page() -> str:
    f = network("numpy")
    f(X)
    return sm.listing(f).html


def lines_of(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the text and the ids of each line of the page."""
    for found in re.finditer(r'<div class="line[^>]*?(?:data-ids="([^"]*)")?>(.*?)</div>', page):
        yield re.sub(r"<[^>]*>", "", found[2]), (found[1] or "").split()


def test_every_line_that_computes_is_linked(page: str) -> None:
    drawn = set(re.findall(r'<g id="(\w+)" class="node"', page))
    linked = dict(lines_of(page))
    computing = [text for text in linked if re.search(r"v\d+ = np\.|\): f64\[", text)]
    assert len(computing) > 15
    for text in computing:
        assert linked[text] and set(linked[text]) <= drawn, text


def test_a_node_is_linked_with_its_source_and_its_row_of_the_plan(page: str) -> None:
    places: dict[str, list[str]] = {}
    for text, ids in lines_of(page):
        for id in ids:
            places.setdefault(id, []).append(text)
    tanh = [texts for texts in places.values() if any("np.tanh" in text for text in texts)]
    assert len(tanh) == 1 and any("tanh(v4)" in text for text in tanh[0])


def test_fused_rows_are_linked_with_what_they_compute() -> None:
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=(100,))
    f = sm.compile([x], sm.sum(sm.exp(sm.sin(x)) * x), backend="native")
    (row,) = [ids for text, ids in lines_of(sm.listing(f).html) if "fused(" in text]
    assert len(row) == 4


def test_a_page_without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "find_renderer", lambda: "")
    f = network()
    f(X)
    page = sm.listing(f).html
    drawn = set(re.findall(r'<g id="(\w+)" class="node"', page))
    linked = [set(ids) for _, ids in lines_of(page) if ids]
    assert len(linked) > 40 and all(ids <= drawn for ids in linked)


def test_the_page_runs_nothing_but_its_own_script(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    for text in (script, style):
        assert b64encode(sha256(text.encode()).digest()).decode() in page
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(r'(src|href)="', page.split("<main>")[0])


def test_user_text_is_text() -> None:
    evil = sm.Variable("</script><script>alert(1)</script>", shape=())
    with sm.scope("<img src=x onerror=alert(1)>"):
        y = sm.sin(evil)
    f = sm.compile([evil], {"<b>": y}, name="<i>f</i>")
    page = sm.listing(f).html
    assert "<script>alert" not in page and "<img" not in page and "<i>f" not in page
    assert "<b>" not in page
    frame = sm.listing(f)._repr_html_()
    assert frame.count("<") == 2 and "allow-same-origin" not in frame


def test_loops_and_constants_in_a_listing(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=(4, 3))
    table = sm.constant(np.arange(100.0))
    y = sm.custom(lambda row: sm.sin(row) * 2)(x)
    f = sm.compile([x], sm.sum(y) + sm.sum(table), backend="numpy", name="f")
    listing = sm.listing(f)
    listing.save(tmp_path / "f.html")
    assert "body_of_" in (tmp_path / "f.html").read_text(encoding="utf-8")
    assert f"{len(listing.source.splitlines())} lines" in repr(listing)
    with pytest.raises(RenderError, match="does not end"):
        listing.save(tmp_path / "f.txt")


def test_only_functions_have_a_listing() -> None:
    with pytest.raises(GraphTypeError, match="Compile"):
        sm.listing(sm.Variable("x"))  # type: ignore[arg-type]


def test_pointing_in_a_browser(page: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("there is no browser")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((tmp_path / "page.html").as_uri())
        tab.locator(".line", has_text="np.tanh").hover()
        lit = tab.locator(".lit")
        assert lit.count() == 3  # the node, its line and its row of the plan
        assert "tanh" in tab.locator("g.lit").text_content()
        tab.locator("g.node", has_text="logsumexp").first.hover()
        assert "logsumexp" in tab.locator(".line.lit").first.text_content()
        tab.locator("#fit").click()
        assert tab.locator(".fitted").count() == 0
        browser.close()
    assert said == [] and len(asked) == 1


# The command line


def test_cost_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "x1 * x2", "x1=2", "x2=3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("stage") and "The bound for one output is 5" in said
    assert main(["cost", "x1 * x2"]) == 2
    assert "needs values" in capsys.readouterr().err


def test_nan_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nan", "sqrt(x) * x", "x=[1, 0]"]) == 0
    said = capsys.readouterr().out
    assert "by the rule of sqrt" in said and "element [1]: 0/0 = NaN" in said
    assert main(["nan", "sqrt(x) * x", "x=[1, 4]"]) == 0
    assert "no NaN" in capsys.readouterr().out


def test_outputs_that_are_views_or_inputs_have_a_profile(backend: str) -> None:
    x = sm.Variable("x")
    for outputs in (x[::-1], x, sm.transpose(x), [x, x * 2]):
        f = sm.compile([x], outputs, backend=backend)
        said = str(sm.profile(f, np.arange(3.0)))
        assert said.startswith("value") or said.startswith("No instruction runs")
