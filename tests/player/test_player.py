"""The player's page: its story is what happened, and no text of the user's is more than text."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import symad as sm
from symad.autodiff.extension import Visit
from symad.cli import main
from symad.drawing import painting
from symad.drawing.picture import TextLine
from symad.drawing.render import find_renderer
from symad.errors import FeedError, GradientError, GraphTypeError, RenderError
from symad.graph.formula import format_term
from symad.graph.node import Constant
from symad.graph.op import OP_CLASSES
from symad.notation.mathml import mathml
from symad.notation.symbols import LATEX_SYMBOLS
from symad.notation.values import format_number
from symad.notation.view import View
from symad.ops.fused import Fused
from symad.passes.decompose import decompose
from symad.passes.fuse import fuse
from symad.passes.grade import Grade
from symad.passes.specialise import specialise
from symad.player.folding import folded_pictures, frames_of
from symad.player.glyphs import FIRST, Glyphs
from symad.player.plain_maths import plain_maths
from symad.player.played_graph import PlayedGraph
from symad.player.tikz import latex_line
from symad.player.wires import Wires
from symad.runtime.pipeline import Job, optimise, run_passes
from tests.support import pictures
from tests.support.op_checks import build, cases_of

SCALAR = sm.TensorType(np.dtype("float64"), ())


def lecture() -> tuple[Any, list[Any], dict[Any, Any]]:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    return sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2], {x1: 2.0, x2: 5.0}


def shared() -> tuple[Any, list[Any], dict[Any, Any]]:
    v1 = sm.Variable("v1")
    v2 = sm.exp(v1)
    return (v2 + 1) * v2, [v1], {v1: 0.5}


def chain(length: int, block: int = 0) -> tuple[Any, list[Any], dict[Any, Any]]:
    a, b = sm.Variable("a"), sm.Variable("b")
    t: sm.Node = a
    for i in range(length):
        if block:
            with sm.scope(f"block{i // block}"):
                t = sm.sin(t * b) + t
        else:
            t = sm.sin(t * b) + t
    return t, [a, b], {a: 0.5, b: 0.25}


def network() -> tuple[Any, list[Any], dict[Any, Any]]:
    rng = np.random.default_rng(7)
    x = sm.Variable("X", shape=("batch", 4))
    w1, b1 = sm.parameter("W1", rng.normal(size=(4, 5))), sm.parameter("b1", np.zeros(5))
    w2 = sm.parameter("W2", rng.normal(size=(5, 3)))
    with sm.scope("hidden"):
        h = sm.relu(x @ w1 + b1)
    with sm.scope("output"):
        p = sm.log_softmax(h @ w2)
    return -sm.mean(p[:, 0]), [w1, b1, w2], {x: rng.normal(size=(6, 4))}


def second() -> tuple[Any, list[Any], dict[Any, Any]]:
    x = sm.Variable("x")
    return sm.gradients(sm.sin(x) * x, x), [x], {x: 0.7}


def choice() -> tuple[Any, list[Any], dict[Any, Any]]:
    """Of a choice, not all adjoints that the rules make are needed."""
    x = sm.Variable("x")
    return sm.where((x > 0) & (x < 9), sm.sqrt(x), sm.exp(x)) * x, [x], {x: 2.0}


def structure() -> tuple[Any, list[Any], dict[Any, Any]]:
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure({"cat": a0, "dog": a1})
    return sm.sin(d["cat"]) * d["cat"] + d["dog"], [a0, a1], {a0: 0.5, a1: 2.0}


def loop(case: str) -> tuple[Any, list[Any], dict[Any, Any]]:
    """A case of the corpus of pictures, all inputs fed with numbers."""
    (y, *_), _ = pictures.CASES[case]()
    xs = [x for x in sm.Graph([y]).inputs if x.type.is_float]
    sizes = {x: [4 if isinstance(d, str) else d for d in x.type.shape] for x in xs}
    feed: dict[Any, Any] = {x: np.full(sizes[x], 0.5) for x in xs}
    return y, xs, feed | {x: 1 for x in sm.Graph([y]).inputs if x not in feed}


CASES = {
    "lecture": lecture,
    "shared": shared,
    "chain": lambda: chain(6),
    "network": network,
    "second": second,
    "choice": choice,
    "structure": structure,
}
LOOPS = {
    "recurrence": lambda: loop("recurrence"),
    "newton": lambda: loop("newton"),
    "condition": lambda: loop("condition"),
    "branches": lambda: loop("branches"),
    "mapped": lambda: loop("mapped"),
}


@dataclass(frozen=True)
class Played:
    """A case and its page."""

    y: Any
    xs: list[Any]
    feed: dict[Any, Any]

    @cached_property
    def player(self) -> Any:
        return sm.play(self.y, self.xs, self.feed)

    @cached_property
    def html(self) -> str:
        return str(self.player.html)

    @cached_property
    def data(self) -> dict[str, Any]:
        return data_of(self.html)


@pytest.fixture(scope="module", params=CASES | LOOPS, name="case")
def _case(request: pytest.FixtureRequest) -> Played:
    return Played(*(CASES | LOOPS)[request.param]())


@pytest.fixture(scope="module", params=CASES, name="loopless")
def _loopless(request: pytest.FixtureRequest) -> Played:
    """Return a case in which no pass rewrites bodies, which have no wires."""
    return Played(*CASES[request.param]())


@pytest.fixture(scope="module", name="running_example")
def _running_example() -> Played:
    return Played(*lecture())


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def pictures_of(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.S)]


def keys_of(data: dict[str, Any], html: str) -> set[str]:
    """Return all that a step may refer to: ids in pictures, and the keys of panels."""
    keys = {e.get("id", "") for svg in pictures_of(html) for e in svg.iter()}
    keys |= {e.get("data-k", "") for svg in pictures_of(html) for e in svg.iter()}
    panels = data["panels"]
    for row in panels["grads"]:
        keys |= {f"o-{row['n']}", f"a-{row['n']}", *(f"l-{name}" for name, _ in row["l"])}
    keys |= {row["k"] for row in panels["passes"]}
    plan = panels.get("plan", {"rows": [], "registers": []})
    keys |= {row["k"] for row in plan["rows"]}
    keys |= {item["k"] for register in plan["registers"] for item in register["l"]}
    return keys


def words(text: Any) -> list[str]:
    return str(text).split() if text else []


def shown_after(data: dict[str, Any], last: int) -> set[str]:
    shown: set[str] = set()
    for step in data["steps"][: last + 1]:
        if step.get("clear"):
            shown.clear()
        shown -= set(words(step.get("hide")))
        shown |= set(words(step.get("show")))
    return shown


def chapter(data: dict[str, Any], title: str) -> tuple[int, int]:
    """Return the first step of a chapter and the first after it."""
    starts = [c["at"] for c in data["chapters"]] + [len(data["steps"])]
    place = [c["title"] for c in data["chapters"]].index(title)
    return starts[place], starts[place + 1]


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in svg.iter() if element.tag.endswith("text")]


def written(data: dict[str, Any], text: str) -> str:
    """Return a text with its glyphs written out."""

    def glyph(character: str) -> str:
        if ord(character) < FIRST:
            return character
        entry = data["glyphs"][ord(character) - FIRST]
        return str(entry.get("t") or entry.get("l", "") + entry.get("i", ""))

    return "".join(map(glyph, text))


# The page


def test_the_page_runs_its_own_script_and_loads_nothing(case: Played) -> None:
    html = case.html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    assert policy is not None
    script = re.search(r"<script>(.*?)</script>", html, re.S)
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert script is not None and style is not None
    for text, directive in ((script[1], "script-src"), (style[1], "style-src")):
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in unescape(policy[1])
    assert "default-src 'none'" in policy[1] and "unsafe" not in policy[1]
    without_names = re.sub(r"http://www\.w3\.org/\S+?\"", "", html)
    assert "http:" not in without_names and "https:" not in without_names
    assert not re.search(r"\bsrc=|\bhref=|url\(|@import|\beval\(", html.replace("image.src", ""))


def test_every_key_of_a_step_stands_for_something(case: Played) -> None:
    html, data = case.html, case.data
    known = keys_of(data, html)
    for step in data["steps"]:
        for part in ("show", "hide", "now", "use"):
            assert set(words(step.get(part))) <= known


def test_ids_are_unique(case: Played) -> None:
    ids = [e.get("id") for svg in pictures_of(case.html) for e in svg.iter()]
    found = [name for name in ids if name]
    assert len(found) == len(set(found))


def test_a_folded_picture_represents_all_boxes_and_arrows_once(case: Played) -> None:
    values = dict(case.feed)
    record = sm.extend(case.y, case.xs)
    view = View([case.y, *record.adjoints.values()], values, opened=True)
    glyphs = Glyphs()
    base = PlayedGraph(view, [case.y], 200, glyphs).picture
    for folded in folded_pictures(base, glyphs):
        boxes = {shape.box.id: shape.box for shape in base.shapes}
        found = [name for shape in folded.picture.shapes for name in folded.members[shape.box.id]]
        assert sorted(found) == sorted(boxes)
        drawn = {name for arrow in folded.picture.arrows for name in folded.members[arrow.id]}
        for arrow in base.arrows:
            ends = [boxes[end.id].scope[:1] for end in (arrow.source, arrow.target)]
            inside = ends[0] == ends[1] and ends[0] and ends[0] != (folded.opened,)
            inside = inside and arrow.source.part == arrow.target.part
            assert (arrow.id in drawn) != bool(inside and ends[0][0] in frames_of(base))


def test_arrows_between_folded_boxes_say_how_many_values_pass(case: Played) -> None:
    record = sm.extend(case.y, case.xs)
    view = View([case.y, *record.adjoints.values()], dict(case.feed), opened=True)
    base = PlayedGraph(view, [case.y], 200, Glyphs()).picture
    top = [shape.box for shape in base.shapes if not shape.at]
    for folded in folded_pictures(base, Glyphs()):
        box_of = {name: box for box in map(lambda s: s.box, folded.picture.shapes)
                  for name in folded.members[box.id]}  # fmt: skip
        values: dict[tuple[str, str], set[Any]] = {}
        for user in top:
            for node in user.nodes:
                for source in view.sources(node):
                    for box in (box for box in top if source.node in box.nodes):
                        ends = box_of[box.id].id, box_of[user.id].id
                        values.setdefault(ends, set()).add(source.node)
        for arrow in folded.picture.arrows:
            if arrow.source.node is None and arrow.target.node is None:
                passing = values[arrow.source.id, arrow.target.id]
                note = arrow.note.text if arrow.note else "1"
                assert note == str(len(passing))


def waves() -> tuple[Any, list[Any], dict[Any, Any]]:
    """Each block takes two values of the one before: too many nodes to show them all."""
    x = sm.Variable("x")
    s, t = x, sm.exp(x)
    for block in range(20):
        with sm.scope(f"block{block}"):
            for _ in range(4):
                s, t = sm.sin(s + t), s * sm.cos(t)
    return s + t, [x], {x: 0.5}


def test_counts_of_a_large_graph_are_shown_with_their_arrows() -> None:
    y, xs, feed = waves()
    player = sm.play(y, xs, feed)
    picture, *_ = pictures_of(player.html)
    counts = [e for e in picture.iter() if "count" in e.get("class", "").split()]
    texts = ["".join(e.itertext()) for e in counts]
    assert texts.count("2") >= 19 and all(int(text) > 1 for text in texts)
    arrows = {e.get("id") for e in picture.iter() if "edge" in e.get("class", "").split()}
    assert {e.get("data-k") for e in counts} <= arrows
    frames = [player._film.frame(step) for step in (0, 1)]
    assert len(frames[0].notes) == len(counts) and frames[1].notes == []


def test_a_graph_of_60_nodes_fits_in_400_kilobytes() -> None:
    y, xs, feed = chain(6)
    player = sm.play(y, xs, feed)
    (picture, *_) = pictures_of(player.html)
    assert sum("node" in e.get("class", "").split() for e in picture.iter()) >= 60
    assert len(player.html.encode()) < 400_000


def test_a_notebook_gets_a_frame_that_can_do_no_more_than_run(running_example: Played) -> None:
    player = running_example.player
    frame = player._repr_html_()
    assert 'sandbox="allow-scripts allow-downloads"' in frame
    inner = re.search(r'srcdoc="(.*?)" title', frame, re.S)
    assert inner is not None and unescape(inner[1]) == player.html


def test_save(running_example: Played, tmp_path: Path) -> None:
    player = running_example.player
    player.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == player.html
    assert "ln x1" in repr(player)


# Steps as pictures


def test_a_step_is_the_picture_that_the_page_shows(case: Played, tmp_path: Path) -> None:
    """Nodes, arrows, badges and values of some steps of each chapter."""
    data, player = case.data, case.player
    starts = [c["at"] for c in data["chapters"]] + [len(data["steps"])]
    letters = {"0": "n", "1": "p", "2": "q"}
    for place, chapter in enumerate(data["chapters"]):
        for step in (starts[place], (starts[place] + starts[place + 1]) // 2):
            player.save(tmp_path / "x.svg", step=step + 1)
            root = ElementTree.parse(tmp_path / "x.svg").getroot()
            groups = [e.get("id") for e in root.iter() if e.get("class") == "node"]
            letter = letters[str(chapter["picture"])]
            wanted = [k for k in shown_after(data, step) if re.fullmatch(rf"{letter}\d+(_\d+)?", k)]
            assert sorted(map(str, groups)) == sorted(key.partition("_")[0] for key in wanted)
            written = " ".join(texts(root))
            assert not any(ord(character) >= FIRST for character in written)


def test_values_and_captions_of_a_step(running_example: Played, tmp_path: Path) -> None:
    data = running_example.data
    _, end = chapter(data, "Adjoints")
    running_example.player.save(tmp_path / "x.svg", step=end)
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    found = [text.replace("\xa0", " ") for text in texts(root)]
    assert {"5.5", "1.716", "11.652", "−0.284"} <= set(found)
    assert "v̄1 = v̄1→4 + v̄1→3 = 5 + 0.5 = 5.5" in found
    emphasised = [e for e in root.iter() if e.get("stroke") == "#7a3e9d"]
    assert len(emphasised) == 1
    start, _ = chapter(data, "Values")
    running_example.player.save(tmp_path / "x.svg", step=start + 1)
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    assert "2" in texts(root) and "11.652" not in texts(root)


def test_all_steps_are_numbered_files(tmp_path: Path) -> None:
    x = sm.Variable("x")
    player = sm.play(sm.sin(x), [x], {x: 0.5})
    count = len(data_of(player.html)["steps"])
    for ending in ("svg", "tex"):
        player.save(tmp_path / f"steps.{ending}")
        names = sorted(path.name for path in tmp_path.glob(f"*.{ending}"))
        assert names == [f"steps-{n:02}.{ending}" for n in range(1, count + 1)]
    assert r"\begin{tikzpicture}" in (tmp_path / "steps-01.tex").read_text()


@pytest.mark.parametrize("painter", ["typst", "Graphviz"])
def test_images_pdf_and_animations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, painter: str
) -> None:
    is_typst = painter == "typst"
    if not (painting.can_paint() if is_typst else find_renderer()):
        pytest.skip(f"{painter} is not installed")
    monkeypatch.setattr(painting, "can_paint", lambda: is_typst)
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    x = sm.Variable("x")
    player = sm.play(sm.sin(x), [x], {x: 0.5})
    count = len(data_of(player.html)["steps"])
    player.save(tmp_path / "x.png", step=3)
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    player.save(tmp_path / "x.pdf")
    pdf = (tmp_path / "x.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == count and pdf.count(b"%%EOF") == 1
    table = pdf[int(pdf.rpartition(b"startxref")[2].split()[0]) :].splitlines()
    for number, row in enumerate(table[3:-5], 1):  # after the entry of object 0
        assert pdf[int(row[:10]) :].startswith(b"%d 0 obj" % number)
    known = len(table[3:-5])
    assert all(1 <= int(n) <= known for n in re.findall(rb"\b(\d+) 0 R\b", pdf))
    for ending in ("gif", "webp"):
        player.save(tmp_path / f"x.{ending}")
        with image.open(tmp_path / f"x.{ending}") as film:
            assert 1 < film.n_frames <= count  # equal neighbours are one
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["x", "x.txt", "x.jpeg", "x.htmll", ".svg"])
def test_an_unknown_ending_is_an_error_and_leaves_no_file(
    running_example: Played, tmp_path: Path, name: str
) -> None:
    with pytest.raises(RenderError, match="format") as error:
        running_example.player.save(tmp_path / name)
    assert all(f".{ending}" in error.value.remedy for ending in ("html", "svg", "pdf", "webp"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", [0, -1, 10_000, 1.0, True, "3"])
def test_a_step_that_does_not_exist(running_example: Played, tmp_path: Path, step: Any) -> None:
    with pytest.raises(RenderError, match="step"):
        running_example.player.save(tmp_path / "x.svg", step=step)
    with pytest.raises(RenderError, match="all steps"):
        running_example.player.save(tmp_path / "x.html", step=1)
    assert not list(tmp_path.iterdir())


def test_tikz_escapes_the_text_of_the_user() -> None:
    line = TextLine("$x$ \\input{y} 50% v̄₂→₅ = x₁²", bold=True)
    assert latex_line(line) == (
        r"\textbf{\boldmath \$x\$ \textbackslash{}input\{y\} 50\% "
        r"$\bar{v}_{2\to 5}$ = x$_{1}^{2}$}"
    )


# The story


def test_the_steps_are_those_of_the_algorithm(case: Played) -> None:
    record, data = sm.extend(case.y, case.xs), case.data
    start, end = chapter(data, "Extending it")
    lines = [step.get("line") for step in data["steps"][start:end]]
    sums = sum(isinstance(s, Visit) and len(s.contributions) > 1 for s in record.steps)
    assert lines.count(1) == len(record.seeds)
    assert lines.count(2) == len(record.adjoints)
    assert lines.count(3) == sums
    assert lines.count(5) == len(record.partials)
    assert lines[-1] == 7


def test_an_adjoint_appears_after_what_it_is_computed_from(case: Played) -> None:
    data = case.data
    start, end = chapter(data, "Extending it")
    known = shown_after(data, start - 1)
    for step in data["steps"][start : end - 1]:
        fresh = words(step.get("show"))
        known |= set(fresh)
        for edge in (key for key in fresh if re.fullmatch(r"e\d+_\d+_\d+", key)):
            ends = {f"n{number}" for number in edge[1:].split("_")[:2]}
            assert ends <= known, f"{edge} is shown before {ends - known}"


def test_all_of_the_extension_is_shown_before_the_last_step_of_it(case: Played) -> None:
    html, data = case.html, case.data
    _, end = chapter(data, "Extending it")
    picture = pictures_of(html)[0]
    things = {
        e.get("id")
        for e in picture.iter()
        if {"node", "edge"}.intersection(e.get("class", "").split())
    }
    assert things <= shown_after(data, end - 2)


def test_nodes_are_visited_in_reverse_topological_order(running_example: Played) -> None:
    data = running_example.data
    visited = [written(data, row["h"]) for row in data["panels"]["grads"]]
    place = {name: i for i, name in enumerate(visited)}
    users = {"v1": ["v3", "v4"], "v2": ["v4", "v5"], "v3": ["v6"], "v4": ["v6"], "v6": ["v7"]}
    assert set(visited) == {f"v{i}" for i in range(1, 8)} and visited[0] == "v7"
    for name, later in users.items():
        assert all(place[user] < place[name] for user in later)


def test_the_lists_of_the_running_example(running_example: Played) -> None:
    data = running_example.data
    lists = {
        written(data, row["h"]): {written(data, name) for _, name in row["l"]}
        for row in data["panels"]["grads"]
    }
    bar = "v\N{COMBINING MACRON}"
    assert lists["v1"] == {f"{bar}1→3", f"{bar}1→4"}
    assert lists["v2"] == {f"{bar}2→4", f"{bar}2→5"}
    assert lists["v6"] == {f"{bar}6→7"}


def test_values_are_those_that_are_computed(case: Played) -> None:
    data = case.data
    rows = {written(data, row["f"]): data["values"][row["v"]] for row in data["panels"]["trace"]}
    for node, value in case.feed.items():
        assert rows[node.name] == (value if np.ndim(value) == 0 else rows[node.name])
    last = data["values"][data["panels"]["trace"][-1]["v"]]
    assert last == pytest.approx(float(case.y.eval(case.feed)), rel=1e-15)


def test_gradients_of_the_running_example(running_example: Played) -> None:
    data = running_example.data
    adjoints = {written(data, r["h"]): data["values"][r["w"]] for r in data["panels"]["trace"]}
    assert adjoints["v1"] == 5.5
    assert adjoints["v2"] == pytest.approx(2 - np.cos(5), rel=1e-15)


def test_without_a_feed_there_are_no_numbers() -> None:
    y, xs, _ = lecture()
    data = data_of(sm.play(y, xs).html)
    assert [c["title"] for c in data["chapters"]] == [
        "The graph", "Extending it", "Passes", "The plan",
    ]  # fmt: skip
    assert data["inputs"] == [] and set(data["values"]) == {None}


def test_a_second_derivative_starts_with_all_that_is_differentiated() -> None:
    """The first derivative is there before the second is built, and its nodes have numbers."""
    y, xs, feed = second()
    data = data_of(sm.play(y, xs, feed).html)
    first, end = chapter(data, "The graph")
    there = shown_after(data, end - 1)
    rows = data["panels"]["trace"]
    assert {row["n"] for row in rows} <= there and len(rows) >= 9
    assert not there & {row["m"] for row in data["panels"]["grads"]}
    visited = [written(data, row["h"]) for row in data["panels"]["grads"]]
    assert visited[0] == "v9" and set(visited) == {"v9", "v8", "v7", "v6", "v5", "v2", "v1"}
    assert data["hue"] == "a2"


def test_two_edges_between_the_same_nodes_are_told_apart() -> None:
    x = sm.Variable("x")
    data = data_of(sm.play(x * x, [x], {x: 3.0}).html)
    said = [step["say"] for step in data["steps"] if step.get("line") == 5]
    assert len(said) == 2 and ["argument 1" in text for text in said] == [True, False]


def test_the_frame_of_a_scope_knows_what_is_inside() -> None:
    y, xs, feed = network()
    svg = pictures_of(sm.play(y, xs, feed).html)[0]
    frames = [e for e in svg.iter() if {"frame", "d1"} <= set(e.get("class", "").split())]
    nodes = {e.get("id"): e.get("class", "").split() for e in svg.iter() if e.get("id")}
    assert len(frames) == 4  # hidden and output, forward and adjoint
    for frame in frames:
        inside = words(frame.get("data-in"))
        assert inside and all(frame.get("class", "").split()[1] in nodes[n] for n in inside)


def test_values_of_a_choice_have_formulas_that_are_maths() -> None:
    y, xs, feed = choice()
    data = data_of(sm.play(y, xs, feed).html)
    for formula in data["formulas"]:
        ElementTree.fromstring(f"<math>{formula}</math>")


def test_sums_of_many_terms_are_shortened() -> None:
    x = sm.Variable("x")
    y = sm.constant(0.0)
    for power in range(1, 40):
        y = y + x**power
    data = data_of(sm.play(y, [x], {x: 0.5}, limit=500).html)
    (row,) = [row for row in data["panels"]["trace"] if row["n"] == data["inputs"][0]["n"]]
    assert "… (39 terms)" in row["g"] and len(written(data, row["g"])) < 100
    said = [written(data, step["say"]) for step in data["steps"]]
    (visit,) = [text for text in said if "39 partial adjoints" in text]
    assert "…" in visit and len(visit) < 200


def test_a_nan_is_passed_on() -> None:
    y, xs, _ = lecture()
    data = data_of(sm.play(y, xs, {xs[0]: -2.0, xs[1]: 5.0}).html)
    values = {written(data, r["h"]): data["values"][r["v"]] for r in data["panels"]["trace"]}
    assert values["v3"] == values["v6"] == values["v7"] == "nan"
    assert values["v4"] == -10.0


def test_a_large_graph_is_folded_by_scope() -> None:
    y, xs, feed = chain(200, block=20)
    player = sm.play(y, xs, feed)
    data = data_of(player.html)
    assert "folded by scope" in player.notes[0]
    assert len(data["steps"]) < 200 and len(player.html.encode()) < 500_000
    assert "block3" in " ".join(written(data, step["say"]) for step in data["steps"])
    assert len(data["inputs"]) == 2


def test_sliders_are_for_graphs_that_a_page_computes_at_once() -> None:
    y, xs, feed = chain(320, block=20)
    player = sm.play(y, xs, feed)
    assert "No sliders: the graph has more than 3,000 nodes." in player.notes
    assert data_of(player.html)["inputs"] == []


def test_a_nan_inside_of_a_box_is_told() -> None:
    x = sm.Variable("x")
    t: sm.Node = x
    for block in range(20):
        with sm.scope(f"block{block}"):
            for _ in range(10):
                t = sm.sin(t) + t
            t = sm.sqrt(t) if block == 7 else t
    data = data_of(sm.play(t, [x], {x: -1.0}).html)
    told = [written(data, step["say"]) for step in data["steps"]]
    said = next(text for text in told if "not finite" in text)
    assert "block7" in said and "nan" in said and "√" in said


PAGE = """
import sys
import symad as sm
x1, x2 = sm.Variable("x1"), sm.Variable("x2")
page = sm.play(sm.log(x1) + x1 * x2 - sm.sin(x2), [x1, x2], {x1: 2.0, x2: 5.0})
sys.stdout.buffer.write(page.html.encode())
assert not {"graphviz", "pygraphviz", "symad.drawing.render"} & sys.modules.keys()
"""


def test_a_page_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """With programs on the path and without, whatever the order of sets: the same bytes."""
    fake = tmp_path / "dot"
    fake.write_text(f"#!{sys.executable}\nraise SystemExit('dot was run')\n", encoding="utf-8")
    fake.chmod(0o755)
    pages = set()
    for seed, path in ("1", ""), ("2", str(tmp_path)), ("3", os.environ["PATH"]):
        environment = os.environ | {"PATH": path, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PAGE]
        done = subprocess.run(command, capture_output=True, env=environment, check=True)
        pages.add(done.stdout)
    (page,) = pages
    data = data_of(page.decode())
    assert data["notes"] == [] and len(pictures_of(page.decode())) == 4  # one for comparison


def test_paths_are_curves_of_whole_pieces(case: Played) -> None:
    paths = [e.get("d", "") for svg in pictures_of(case.html) for e in svg.iter()]
    curves = [match[1].split() for path in paths if (match := re.fullmatch(r"M\S+?c(.*)", path))]
    assert curves and all(len(points) % 3 == 0 for points in curves)


def test_inputs_stand_in_their_order(running_example: Played) -> None:
    svg = pictures_of(running_example.html)[0]
    inputs = {entry["n"] for entry in running_example.data["inputs"]}
    boxes = [e for e in svg.iter() if e.get("id") in inputs]
    across = [float(box[0].get("x", "")) for box in boxes]
    assert len(across) == 2 and across == sorted(across)


def test_errors() -> None:
    y, xs, _ = lecture()
    with pytest.raises(GraphTypeError, match="one node"):
        sm.play([y, y], xs)  # type: ignore[arg-type]
    with pytest.raises(GradientError, match="at least one floating-point variable"):
        sm.play(sm.constant(1.0) + 1)
    with pytest.raises(GradientError, match="does not depend"):
        sm.play(y, [sm.Variable("z")])
    with pytest.raises(FeedError):
        sm.play(y, xs, {xs[0]: 1.0})


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["play", "log(x1) + x1*x2 - sin(x2)", "-o", str(page), "x1=2", "x2=5"]) == 0
    assert capsys.readouterr().out.startswith(str(page))
    assert len(data_of(page.read_text(encoding="utf-8"))["inputs"]) == 2


# The passes


def evaluate(wires: Wires, values: dict[Any, Any]) -> list[Any]:
    """Compute the outputs from the wires alone."""
    known: dict[int, Any] = {}
    for wire in wires.alive():
        node = wires.node[wire]
        if node in values:
            known[wire] = values[node]
        elif isinstance(node, Constant):
            known[wire] = node.value
        else:
            assert node.op is not None
            operands = [known[source] for source in wires.sources(wire)]
            if isinstance(node.op, Fused):
                body = node.op.body
                found = evaluate(Wires(body), dict(zip(body.inputs, operands, strict=True)))
                known[wire] = found[0] if len(found) == 1 else tuple(found)
            else:
                known[wire] = node.op.kernel()(*operands)
    return [known[wire] for wire in wires.outputs()]


def specialised(case: Played) -> tuple[sm.Graph, dict[Any, Any]]:
    feed = case.feed
    graph = sm.Graph([case.y, *sm.gradients(case.y, case.xs)])
    values: list[Any] = [feed[n] if n in feed else n.eval() for n in graph.inputs]
    types = [sm.TensorType(np.dtype("float64"), np.shape(value)) for value in values]
    new = specialise(graph, types)
    return new, dict(zip(new.inputs, values, strict=True))


def test_each_rewrite_keeps_the_values_of_all_results(loopless: Played) -> None:
    graph, values = specialised(loopless)
    wires = Wires(graph)
    expected = evaluate(wires, values)
    log: list[Any] = []
    result = optimise(graph, Grade.ROUNDING, log.append)
    wires.share()
    for rewriting in log:
        wires.replace(rewriting.old, rewriting.new)
        for value, wanted in zip(evaluate(wires, values), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-12)
    assert len(log) > 3
    assert len(wires.alive()) == len({wires.wire(node) for node in result.graph.nodes})


def test_the_rewrites_lead_to_the_graph_that_runs(loopless: Played) -> None:
    graph, _ = specialised(loopless)
    wires = Wires(graph)
    log: list[Any] = []
    result = optimise(graph, Grade.ROUNDING, log.append)
    wires.share()
    for rewriting in log:
        wires.replace(rewriting.old, rewriting.new)
    count = len(wires.node)
    assert {wires.wire(node) for node in result.graph.nodes} >= set(wires.alive())
    assert len(wires.node) == count, "the final graph has nodes that no rewrite made"


def graphs_of(case: Played) -> tuple[list[sm.Graph], dict[Any, Any]]:
    """Return the graph as it was written and after each pass, and the values of all inputs."""
    raw = sm.Graph([case.y, *sm.gradients(case.y, case.xs)])
    values = [case.feed[n] if n in case.feed else n.eval() for n in raw.inputs]
    types = [sm.TensorType(np.dtype("float64"), np.shape(value)) for value in values]
    first = specialise(raw, types)
    graphs = [
        raw,
        first,
        *(r.after for r in run_passes(first, Job(Grade.ROUNDING), keep=True).reports),
    ]
    graphs.append(fuse(decompose(graphs[-1]), lambda node: True))
    known = {n: v for g in graphs for n, v in zip(g.inputs, values, strict=True)}
    return graphs, known


def test_graphs_are_followed_from_pass_to_pass(loopless: Played) -> None:
    """Without a word of the rules: each node has a wire of its own, and all values are kept."""
    graphs, values = graphs_of(loopless)
    wires = Wires(graphs[0])
    expected = evaluate(wires, values)
    for before, after in itertools.pairwise(graphs):
        roles = {n.role: wires.wire(n) for n in before.nodes if n.role is not None}
        wires.follow(after)
        assert {wires.wire(node) for node in after.nodes} >= set(wires.alive())
        assert len({wires.wire(node) for node in after.nodes}) == len(after.nodes)
        for value, wanted in zip(evaluate(wires, values), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-12)
        once = Counter(n.role for n in (*before.nodes, *after.nodes) if n.role is not None)
        kept = [n for n in after.nodes if n.role in roles and once[n.role] == 2]
        assert all(wires.wire(node) == roles[node.role] for node in kept)


def test_every_pass_is_played(case: Played) -> None:
    data = case.data
    start, end = chapter(data, "Passes")
    told = " ".join(step["say"] for step in data["steps"][start:end])
    shown = {row["s"] for row in data["panels"]["passes"]}
    names = [report.name for report in optimise(specialised(case)[0]).reports]
    assert all(f"pass “{name}”" in told or name in shown for name in ["specialise", *names])


def test_rewrites_in_the_bodies_of_loops_are_counted() -> None:
    x = sm.Variable("x", shape=(4,))
    y = sm.sum(sm.custom(lambda t: sm.tanh(t * 1.0) + 0.0)(x))
    data = data_of(sm.play(y, [x], {x: np.arange(4.0)}).html)
    told = [step["say"] for step in data["steps"] if "bodies of loops" in step["say"]]
    assert len(told) == 1 and re.search(r"bodies of loops: \d+ rewrites", told[0])


def test_a_wrong_rewrite_would_be_noticed(running_example: Played) -> None:
    graph, values = specialised(running_example)
    wires = Wires(graph)
    before = evaluate(wires, values)
    (log,) = [node for node in graph.nodes if node.op is not None and node.op.name == "log"]
    wires.replace(log, log.inputs[0])
    assert evaluate(wires, values)[0] != before[0]


def test_nodes_say_what_they_are_computed_from_after_each_rewrite(case: Played) -> None:
    """After the last one they say what the nodes of the plan do."""
    html, data = case.html, case.data
    _, end = chapter(data, "Passes")
    shown = shown_after(data, end - 1)
    rewritten, planned = pictures_of(html)[1:3]
    said = {e.get("id", ""): [written(data, text) for text in texts(e)] for e in rewritten.iter()}
    after = {key: text for key, text in said.items() if key in shown}
    after = {key.partition("_")[0]: text for key, text in after.items() if key.startswith("p")}
    for node in planned.iter():
        name = node.get("id", "")
        if re.fullmatch(r"q\d+", name):
            *lines, register = (written(data, text) for text in texts(node))
            assert re.fullmatch(r"r\d+", register)
            assert after.pop(f"p{name[1:]}") == lines
    assert not after


def test_each_rewrite_says_what_it_did(loopless: Played) -> None:
    data = loopless.data
    start, end = chapter(data, "Passes")
    told = data["steps"][start + 1 : end]
    assert told and all("rule “" in s["say"] or "pass “" in s["say"] for s in told)
    assert sum("maths" in step for step in told) >= 1
    linked = {row["k"]: row["n"] for row in data["panels"]["passes"]}
    known = keys_of(data, loopless.html)
    assert all(set(words(nodes)) <= known for nodes in linked.values())


def test_the_plan_says_what_each_register_holds(running_example: Played) -> None:
    data = running_example.data
    plan = data["panels"]["plan"]
    start, end = chapter(data, "The plan")
    shown = shown_after(data, end - 1)
    held = [i for register in plan["registers"] for i in register["l"] if i["k"] in shown]
    bar = "v\N{COMBINING MACRON}"
    assert {written(data, item["h"]) for item in held} >= {"v7", f"{bar}1", f"{bar}2"}
    assert len(plan["rows"]) == end - start - 2


# Text of the user's

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\\input{x} $y$ ^{2} \\href{javascript:alert(1)}{z}",
    "\"quoted\" 'single' &amp; -->]]>",
    "{{script}} \\N \\G",
    "\N{FOX FACE} \N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED} \N{RIGHT-TO-LEFT OVERRIDE}x",
    "\N{COMBINING MACRON}\U000f0001\x00\n",
]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add((tag, *sorted(name for name, _ in attrs)))


def tags(html: str) -> set[tuple[str, ...]]:
    parser = _Tags()
    parser.feed(html)
    return parser.seen


def named(first: str, second: str, third: str) -> Any:
    a, b = sm.Variable(first), sm.Variable(second)
    with sm.scope(third):
        y = sm.exp(a) * b + sm.constant(2.0, name=third) * a
    return sm.play(y, [a, b], {a: 0.5, b: 0.25})


@pytest.mark.parametrize("name", HOSTILE)
def test_text_of_the_users_is_never_markup(name: str) -> None:
    plain, hostile = named("a", "b", "c").html, named(name, name + "2", name).html
    assert tags(hostile) == tags(plain)
    assert hostile.count("<script") == plain.count("<script") == 2
    assert data_of(hostile)["chapters"] == data_of(plain)["chapters"]


def test_text_of_the_users_is_shown() -> None:
    data = data_of(named("<b>bold</b>", "x$", "it's").html)
    shown = {entry.get("t") for entry in data["glyphs"]}
    assert {"<b>bold</b>", "x$", "it's"} <= shown


def test_names_stand_whole_in_formulas() -> None:
    """In MathML as well, where letters that stand alone would run from left to right."""
    name = "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}"
    x = sm.Variable("x")
    data = data_of(sm.play(x * sm.constant(2.0, name=name), [x], {x: 1.5}).html)
    glyphs = {chr(FIRST + i) for i, e in enumerate(data["glyphs"]) if e.get("t") == name}
    formulas = " ".join(data["formulas"])
    assert name not in formulas
    assert any(f"<mi>{glyph}</mi>" in formulas for glyph in glyphs)
    assert glyphs & set(data["heading"]) and name in data["title"]


# Formulas


ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "mroot": 2, "msubsup": 3, "mover": 2}


@pytest.mark.parametrize("name", sorted(OP_CLASSES))
def test_every_op_has_a_formula_in_mathml(name: str) -> None:
    for case in cases_of(OP_CLASSES[name]):
        for node in build(case).nodes:
            letters = {source: chr(FIRST + place) for place, source in enumerate(node.inputs)}
            latex = format_term(node, letters.__getitem__, notation=LATEX_SYMBOLS)
            root = ElementTree.fromstring(f"<math>{mathml(latex)}</math>")
            for element in root.iter():
                assert len(element) == ARITY.get(element.tag, len(element)), element.tag
            written = "".join(root.itertext())
            assert set(letters.values()) & set(latex) <= set(written)
            assert set(letters.values()) & set(latex) <= set(plain_maths(mathml(latex)))


def test_functions_are_set_apart_from_their_arguments() -> None:
    assert mathml(r"\sin x") == '<mi>sin</mi><mspace width="0.17em"/><mi>x</mi>'
    assert "mspace" not in mathml(r"\operatorname{sum\_like}\left(x\right)")
    assert "<mi>sum_like</mi>" in mathml(r"\operatorname{sum\_like}\left(x\right)")


def test_links_and_the_like_do_not_pass_into_formulas() -> None:
    text = mathml(r"\href{javascript:alert(1)}{x} + \unknown{y}")
    assert "href" not in text and "javascript" not in text.replace(" ", "")


def test_a_glyph_is_one_for_each_symbol() -> None:
    glyphs = Glyphs()
    first, again, other = glyphs.text("a"), glyphs.text("a"), glyphs.text("b")
    assert first == again != other
    assert [entry["t"] for entry in glyphs.entries] == ["a", "b"]


def test_values_of_the_steps_inside_a_loop() -> None:
    x, w = sm.Variable("x", ("time",)), sm.Variable("w")
    last, _ = sm.scan(lambda h, e: (sm.tanh(w * h + e), h), 0.5, x)
    values = np.array([0.1, -0.4, 0.9])
    data = data_of(sm.play(last, [w], {x: values, w: 1.5}).html)
    shown = {node: written(data, tip) for node, tip in data["nodes"].items()}
    h, wanted = 0.5, []
    for element in values:
        h = np.tanh(1.5 * h + element)
        wanted.append(format_number(float(h)))
    steps = [data["loops"][n] for n, tip in shown.items() if "tanh" in tip and n in data["loops"]]
    assert [["step 0", wanted[0]], ["step 1", wanted[1]], ["step 2", wanted[2]]] in steps
    backwards = [rows for rows in data["loops"].values() if rows[0][0] == "step 2"]
    assert backwards and all([row[0] for row in rows] == ["step 2", "step 1", "step 0"]
                             for rows in backwards)  # fmt: skip


@pytest.mark.parametrize("name", ["newton", "condition"])
def test_values_of_loops_with_conditions_and_of_branches(name: str) -> None:
    data = data_of(sm.play(*LOOPS[name]()).html)
    assert data["loops"] and all(len(row) == 2 for rows in data["loops"].values() for row in rows)


def test_arrays_have_sliders_unless_an_op_has_no_elements() -> None:
    x = sm.Variable("x")
    player = sm.play(sm.where(x > 0, sm.log(x), x * x), [x], {x: np.array([0.0, 2.0])})
    assert player.notes == () and data_of(player.html)["inputs"][0]["v"] == [0.0, 2.0]
    player = sm.play(sm.sum(sm.sort(x) ** 2), [x], {x: np.array([0.0, 2.0])})
    (note,) = player.notes
    assert note == "No sliders: argsort has no form for single elements."
