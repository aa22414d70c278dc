"""The view of a training: its numbers, its pictures, its page in a browser, and a notebook."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import symad as sm
from symad import demo
from symad.demo import training_view
from symad.demo.training_pictures import Curve, curves, log_ticks, png, regions, step_ticks
from symad.errors import FeedError, RenderError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SVG = "{http://www.w3.org/2000/svg}"


def small(**given: Any) -> demo.TrainingView:
    classify, layers = demo.spiral_network(5, 4)
    return demo.TrainingView(classify, layers, *demo.spirals(30), resolution=6, **given)


@pytest.fixture(scope="module", name="view")
def _view() -> demo.TrainingView:
    return small().run(40, frames=6)


def test_a_moment_is_what_separate_functions_say() -> None:
    classify, layers = demo.spiral_network(5, 4)
    points, labels = demo.spirals(30)
    view = demo.TrainingView(classify, layers, points, labels, resolution=6)
    x, given = sm.Variable("x", ("n", 2)), sm.constant(labels)
    logits = classify(x)
    loss = demo.softmax_loss(logits, given)
    slopes = [sm.gradients(loss, list(layer)) for layer in layers.values()]
    right = demo.accuracy(logits, given)
    value, correct, found, scores = sm.compile([x], (loss, right, slopes, logits))(points)
    view.run(1)
    (moment,) = view.moments
    assert moment.loss == pytest.approx(value, rel=1e-12) and moment.accuracy == correct
    norms = [np.sqrt(sum(np.sum(g**2) for g in layer)) for layer in found]
    np.testing.assert_allclose(moment.norms, norms, rtol=1e-12)
    assert scores.shape == (30, 3)


def test_the_grid_has_the_highest_row_first_and_covers_the_points() -> None:
    weights = sm.parameter("W", np.eye(2))
    view = demo.TrainingView(lambda x: 9 * x @ weights, {"W": weights}, *demo.spirals(20, 2))
    view.run(1)
    assert view._grid[:, 1].argmax() == 0 and view._grid[-1, 0] == view._grid[:, 0].max()
    assert (view._grid.min(axis=0) < view.points.min(axis=0)).all()
    (grid,) = view._frames.values()
    assert grid.shape == (48, 48, 2)
    assert grid[0, 0, 1] > 0.9 and grid[-1, -1, 0] > 0.9  # top left: y is larger than x


def test_it_learns_and_one_function_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    view = small()
    calls = []
    step = view.step
    monkeypatch.setattr(view, "step", lambda *fed: calls.append(fed) or step(*fed))
    seen: list[int] = []
    assert view.run(60, frames=10, show=lambda now: seen.append(len(now.moments))) is view
    assert len(calls) == len(view.moments) == 60
    assert seen[0] == 1 and seen[-1] == 60 and len(seen) == 10
    assert view.moments[-1].loss < 0.5 * view.moments[0].loss
    view.run(5, frames=2)
    assert list(view._frames)[-2:] == [61, 65]


def test_features_beyond_two_have_curves_only() -> None:
    rng = np.random.default_rng(0)
    weights = sm.parameter("W", np.zeros((4, 2), np.float32))
    points = rng.normal(size=(12, 4)).astype(np.float32)
    view = demo.TrainingView(lambda x: x @ weights, {"W": weights}, points, points[:, 0] > 0)
    text = view.run(3).svg(3)
    assert "<image" not in text and text.count(">step<") == 2


def test_other_updates_are_used() -> None:
    view = small(updates=lambda parameters, gradients: {}).run(3)
    assert len({moment.loss for moment in view.moments}) == 1


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3, 2), (2,)), ((0, 2), (0,)), ((3, 2), (3, 1))])
def test_points_need_labels(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    classify, layers = demo.spiral_network(3)
    with pytest.raises(FeedError, match="cannot have labels"):
        demo.TrainingView(classify, layers, np.zeros(shapes[0]), np.zeros(shapes[1], int))


def test_files(view: demo.TrainingView, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"format of '.*x\.gif' is unknown"):
        view.save(tmp_path / "x.gif")
    with pytest.raises(RenderError, match="no step has been made"):
        small().save(tmp_path / "x.html")
    with pytest.raises(RenderError, match="step 2 was not shown") as error:
        view.svg(2)
    assert "The nearest frame is step 1." in str(error.value)
    assert list(tmp_path.iterdir()) == []
    view.save(tmp_path / "x.svg")
    moving = ElementTree.parse(tmp_path / "x.svg").getroot()
    assert len(moving.findall(f".//{SVG}image")) == 6
    assert len([g for g in moving.iter(f"{SVG}g") if g.get("class") == "m l"]) == 4
    still = ElementTree.fromstring(view.svg(1))
    assert len(still.findall(f".//{SVG}image")) == 1 and still.find(f"{SVG}style") is None
    assert "step 1 ·" in str(still.get("aria-label"))


def test_a_live_page_has_frames_while_it_trains() -> None:
    points, labels = demo.spirals(60)
    view = demo.TrainingView(*demo.spiral_network(4), points, labels, resolution=6)
    parts = view.live(steps=12, frames=4, pause=0.0)
    assert next(parts).startswith("<!DOCTYPE html>") and not view.moments
    seen = [(len(view.moments), part) for part in parts]
    assert [steps for steps, _ in seen] == [*view._frames, 12] and len(seen) == 5
    for steps, part in seen[:-1]:
        assert part.startswith("<section>") and part.count("<svg") == 3
        assert f"step {steps} · loss {view.moments[steps - 1].loss:.4g}" in part


def test_values_that_a_logarithm_lacks_leave_gaps() -> None:
    panel = curves("loss", [Curve("a<b", [1.0, np.nan, 2.0, 0.0, np.inf, 3.0])], [1, 6])
    (path,) = [d for d in re.findall(r'd="(M[^"]*)" fill="none"', panel.below) if "V" not in d]
    assert path.count("M") == 3 and "nan" not in panel.below + "".join(panel.frames)
    assert "a&lt;b" in panel.above
    nothing = curves("loss", [Curve("loss", [np.nan])], [1])
    assert "nan" not in nothing.below


def test_names_of_curves_do_not_meet() -> None:
    panel = curves("norms", [Curve(f"layer {i}", [1.0, 2.0]) for i in range(8)], [1, 2])
    heights = [float(y) for y in re.findall(r'<text x="398.0" y="([\d.]+)"', panel.above)]
    assert len(heights) == 8 and min(np.diff(heights)) >= 15
    assert 30 <= min(heights) and max(heights) <= 209


def test_classes_differ_in_shape_and_shade() -> None:
    grid = np.zeros((1, 2, 3))
    grid[0, 0], grid[0, 1] = (1, 0, 0), (0.4, 0.3, 0.3)
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    panel = regions([grid], points, np.arange(3), (0, 0, 1, 1))
    assert [panel.above.count(f"<{kind} ") for kind in ("circle", "rect", "path")] == [1, 2, 1]


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3)])
def test_png(shape: tuple[int, int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_ticks_are_few_and_inside() -> None:
    for low in np.logspace(-9, 5, 40):
        for factor in (1.001, 1.5, 4, 30, 1e4, 1e12):
            ticks = log_ticks(low, low * factor)
            assert 0 < len(ticks) <= 8 and sorted(ticks) == ticks
            assert len(ticks) == 1 or 0.99 * low < ticks[0] and ticks[-1] < 1.01 * low * factor
    for last in range(1, 3000, 7):
        assert len(step_ticks(last)) <= 7 and step_ticks(last)[-1] <= last


def test_a_notebook_shows_it_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = pytest.importorskip("IPython")
    shown: list[str] = []

    class Handle:
        def display(self, what: Any) -> None:
            assert shown == []

        def update(self, what: Any) -> None:
            shown.append(what.data)

    monkeypatch.setattr(ipython, "get_ipython", object)
    monkeypatch.setattr(ipython.display, "DisplayHandle", Handle)
    view = small().run(8, frames=3)
    assert len(shown) == 3 and "step 1 " in shown[0] and "step 8 " in shown[-1]
    assert "srcdoc" in view._repr_html_()


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "training.html"
    assert training_view.main(["-o", str(target), "--steps", "3", "--hidden", "4"]) == 0
    assert "step 3" in capsys.readouterr().out and target.stat().st_size > 10_000


@pytest.fixture(name="page")
def _page(view: demo.TrainingView, tmp_path: Path) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium to open the page in")
    view.save(tmp_path / "training.html")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_context(offline=True, viewport={"width": 390, "height": 844}).new_page()
        told: list[str] = []
        page.on("request", lambda request: told.append(request.url))
        page.on("console", lambda said: told.append(said.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto((tmp_path / "training.html").as_uri())
        yield page
        assert not [line for line in told if not line.startswith(("file:", "data:"))]
        browser.close()


def test_the_page_in_a_browser(page: Any, view: demo.TrainingView, tmp_path: Path) -> None:
    visible = "[...document.querySelectorAll('.frame:not([hidden])')].length"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(visible) == 3 and page.inner_text("#said").startswith("step 40 ")
    page.focus("#place")
    page.keyboard.press("Home")
    assert page.inner_text("#said").startswith("step 1 ") and page.evaluate(visible) == 3
    page.keyboard.press("ArrowRight")
    second = page.inner_text("#said")
    assert page.get_attribute("#place", "aria-valuetext") == second != "step 1 "
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    page.wait_for_timeout(900)
    assert page.inner_text("#said").startswith("step 40 ") and page.inner_text("#play") == "Play"
    page.click("#play")  # from the start again
    page.click("#play")
    assert page.inner_text("#play") == "Play" and page.evaluate(visible) == 3
    view.save(tmp_path / "moving.svg")
    page.goto((tmp_path / "moving.svg").as_uri())
    shown = "getComputedStyle(group).visibility === 'visible'"
    count = f"[...document.querySelectorAll('g.m')].filter((group) => {shown}).length"
    assert {page.evaluate(count) for _ in range(20)} == {4}  # three panels and the caption


def test_the_program_starts_without_a_warning() -> None:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "symad.demo.training_view"]
    ran = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "--steps" in ran.stdout and ran.stderr == ""
