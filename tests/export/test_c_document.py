"""The how-to page: its C is compiled and run as shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.documents.test_documents import ROOT, fenced_blocks, run_blocks
from tests.support.c_programs import needs_gcc

PAGE = ROOT / "docs/howto/call_a_gradient_from_c.md"


@needs_gcc
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = list(fenced_blocks(PAGE.read_text("utf-8")))
    texts = {block.language: block.text for block in blocks}
    run_blocks(PAGE, blocks[:1])
    Path("main.c").write_text(texts["c"])
    commands = texts["sh"].replace("cc ", "gcc -Wall -Wextra -Werror ", 1)
    done = subprocess.run(["sh", "-ec", commands], capture_output=True, text=True, check=True)
    assert done.stdout == texts["text"]
