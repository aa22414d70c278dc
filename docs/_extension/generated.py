"""Pages that are made from symad itself when the site is built: they cannot fall behind it.

They are written to ``docs/_generated``: the reference of every public name, the op table, the
rewrite rules, the gallery, and copies of the notebooks.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gallery
import op_table
import public_names
import rule_table
from sphinx.application import Sphinx


def write_pages(app: Sphinx) -> None:
    """Write all generated pages afresh."""
    source = Path(app.srcdir)
    folder = source / "_generated"
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in (
        *public_names.pages(),
        ("ops.md", op_table.page()),
        ("rules.md", rule_table.page()),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    gallery.write(folder)
    for notebook in sorted((source.parent / "notebooks").glob("*.py")):
        target = folder / "notebooks" / notebook.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(notebook, target)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
