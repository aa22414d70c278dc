"""The site: it is built without a warning, has every public name, and fetches nothing."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from symad import demo, errors
from symad.graph.op import OP_CLASSES
from symad.notation.mathml import document
from symad.passes.rules import all_rules
from tests.test_public_names import NAMES

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SEARCHED = ["logsumexp", "scan", "export_c", "sm.scan", "sm.hessian(y, x)", "cholesky", "adam"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, but for the outputs of notebooks, which have tests of their own."""
    folder = tmp_path_factory.mktemp("site")
    source = folder / "docs"
    for name in ("docs", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("_generated"))
    shutil.copy(ROOT / "CHANGELOG.md", folder)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    settings = ["-D", "nb_execution_mode=off", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [*command, *settings, str(source), str(folder / "html")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def pages_of(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")
    }


def test_the_site_is_complete_and_fetches_nothing(site: Path) -> None:
    pages = pages_of(site)
    reference = "".join(text for name, text in pages.items() if "/api/" in name)
    described = {name.removeprefix("sm.") for name in NAMES}
    described |= {f"demo.{name}" for name in demo.__all__}
    described |= {f"errors.{name}" for name, value in vars(errors).items() if is_error(value)}
    missing = [name for name in described if f'id="symad.{name}"' not in reference]
    assert not missing
    ops = pages["_generated/ops.html"]
    assert not [name for name in OP_CLASSES if f">{name}<" not in ops]
    rules = pages["_generated/rules.html"]
    assert rules.count("<tr") == len(all_rules()) + 1
    for name, text in pages.items():
        assert fetched_by(text) == [], name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text("utf-8"))


def is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, errors.SymadError)


def test_notebooks_can_be_downloaded(site: Path) -> None:
    names = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert {path.stem for path in (site / "_downloads").rglob("*.ipynb")} == names
    for name in names:
        page = (site / "_generated" / "notebooks" / f"{name}.html").read_text("utf-8")
        assert re.search(rf'href="[^"]*_downloads/[0-9a-f]+/{name}\.ipynb"', page)


def test_links_lead_somewhere(site: Path) -> None:
    pages = {site / name: text for name, text in pages_of(site).items() if "_static" not in name}
    anchors = {path: set(re.findall(r'\bid="([^"]*)"', text)) for path, text in pages.items()}
    missing = []
    for path, text in pages.items():
        for link in re.findall(r'<(?:a|img)\b[^>]*?(?:href|src)="([^"#:]*(?:#[^"]*)?)"', text):
            name, _, anchor = link.partition("#")
            target = Path(os.path.normpath(path.parent / unquote(name))) if name else path
            known = anchors[target] if target in anchors and anchor else {unquote(anchor)}
            if not target.exists() or unquote(anchor) not in known:
                missing.append((path.name, link))
    assert len(pages) > 50 and missing == []


def test_formulas_are_mathematics(site: Path) -> None:
    """No dollar signs, no backslashes and no roles are left over in the text of a page."""
    for name, text in pages_of(site).items():
        if name.startswith(("_generated/api/", "_modules/")) or name == "changelog.html":
            continue
        shown = re.sub(r"<(script|style|pre|code|math)\b.*?</\1>", "", text, flags=re.DOTALL)
        shown = re.sub(r"<[^>]*>", "", shown)
        assert not re.findall(r"\$[^$\n]+\$|\\[a-z]{3,}|:(?:func|class|ref|doc):`", shown), name


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\sin x", "<mi>sin</mi>_<mi>x</mi>"),
        (r"x \sin(x)", "<mi>x</mi>_<mi>sin</mi>("),
        (r"\operatorname{sign} a", "<mi>sign</mi>_<mi>a</mi>"),
        (r"a + b", "<mi>a</mi>+<mi>b</mi>"),
        (r"f'", "<mi>f</mi><mi>′</mi>"),
        (r"x^{2}", "<msup>"),
    ],
)
def test_formulas_are_set_with_room(latex: str, expected: str) -> None:
    text = re.sub(r"<mspace[^>]*>", "_", re.sub(r"</?m(row|o|ath)\b[^>]*>", "", document(latex)))
    assert expected in text


def test_edges_of_ops_come_from_the_tables_of_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extension")
    edges = importlib.import_module("edges").edges_by_op()
    assert "`relu(x)` at `0.0`: `0.0`, derivative `0.0`" in edges["relu"]
    assert set(edges) <= set(OP_CLASSES) and len(edges) > 20


def fetched_by(page: str) -> list[str]:
    """Return the addresses elsewhere that a browser would load from as it shows the page."""
    tags = re.findall(r"<(?:script|link|img|iframe|source|video|object)\b[^>]*>", page)
    return [tag for tag in tags if re.search(r'(?:src|href|data)="(?:https?:)?//', tag)]


def test_what_is_fetched_is_found() -> None:
    assert fetched_by('<p><script defer src="https://cdn/x.js"></script><a href="https://a">')
    assert fetched_by("<img src='x'><a href='https://a'>") == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to read the site in")
def test_a_browser_without_a_network_shows_the_site(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ["index", "tutorial", "lecture", "performance", "_generated/ops", "_generated/rules"]
    names += ["_generated/gallery", "_generated/api/derivatives", "beside_others", "for/lecturer"]
    names += ["_generated/notebooks/03_extending_the_graph"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for width, scheme in ((1280, "light"), (390, "dark")):
            context = browser.new_context(
                offline=True, viewport={"width": width, "height": 800}, color_scheme=scheme
            )
            page = context.new_page()
            told: list[str] = []
            page.on("request", lambda request, told=told: told.append(request.url))
            page.on("console", lambda said, told=told: told.append(f"{said.type}: {said.text}"))
            page.on("pageerror", lambda error, told=told: told.append(f"error: {error}"))
            for name in names:
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                assert page.evaluate("document.documentElement.dataset.theme") == scheme
            assert found_by_search(page, site, "find_nan") == "symad.find_nan"
            for name in SEARCHED if scheme == "light" else ():
                found = found_by_search(page, site, name)
                assert found.rpartition(".")[2] == re.split(r"[.(]", name.removeprefix("sm."))[0]
            assert not [line for line in told if not line.startswith(("file:", "data:", "log:"))]
        browser.close()


def found_by_search(page: Any, site: Path, words: str) -> str:
    """Return the first that the site's own search finds."""
    page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    result = page.locator("#search-results li a").first
    result.wait_for()
    return str(result.inner_text())
