"""The site: it is built without a warning, has every public name, and fetches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_public_names import NAMES

from symad.graph.op import OP_CLASSES
from symad.passes.pipeline import all_rules

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, but for the outputs of notebooks, which have tests of their own."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    settings = ["-D", "nb_execution_mode=off", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [*command, *settings, "docs", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def pages_of(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")
    }


# One test, since each process that runs a part of it would build the site for itself.
def test_the_site_is_complete_and_fetches_nothing(site: Path) -> None:
    pages = pages_of(site)
    reference = "".join(text for name, text in pages.items() if "/api/" in name)
    described = {name.removeprefix("sm.") for name in NAMES}
    missing = [name for name in described if not is_described(name, reference)]
    assert not missing
    ops = pages["_generated/ops.html"]
    assert not [name for name in OP_CLASSES if f">{name}<" not in ops]
    rules = pages["_generated/rules.html"]
    assert rules.count("<tr") == len(all_rules()) + 1
    for name, text in pages.items():
        assert fetched_by(text) == [], name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text("utf-8"))


def is_described(name: str, reference: str) -> bool:
    anchors = (rf'id="symad\.{name}"', rf'id="symad\.[\w.]+\.{name}"')
    return any(re.search(anchor, reference) for anchor in anchors)


def fetched_by(page: str) -> list[str]:
    """Return the addresses elsewhere that a browser would load from as it shows the page."""
    tags = re.findall(r"<(?:script|link|img|iframe|source|video|object)\b[^>]*>", page)
    return [tag for tag in tags if re.search(r'(?:src|href|data)="(?:https?:)?//', tag)]


def test_what_is_fetched_is_found() -> None:
    assert fetched_by('<p><script defer src="https://cdn/x.js"></script><a href="https://a">')
    assert fetched_by("<img src='x'><a href='https://a'>") == []
