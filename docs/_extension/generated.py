"""Pages that are made from symad itself when the site is built: they cannot fall behind it.

They are written to ``docs/_generated``: the reference of every public name, the op table, the
rewrite rules, what goes to which other system, the gallery, and the notebooks, as pages and to
download.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import exporter_table
import gallery
import jupytext
import op_table
import public_names
import rule_table
from nbformat.v4 import new_markdown_cell
from sphinx.application import Sphinx

_DOWNLOAD = "{{download}}`Download this notebook <../ipynb/{name}.ipynb>` to run it and to answer."


def write_pages(app: Sphinx) -> None:
    """Write all generated pages afresh."""
    source = Path(app.srcdir)
    folder = source / "_generated"
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in (
        *public_names.pages(),
        ("ops.md", op_table.page()),
        ("rules.md", rule_table.page()),
        ("exporters.md", exporter_table.page()),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    gallery.write(folder)
    write_notebooks(source.parent / "notebooks", folder)


def write_notebooks(source: Path, folder: Path) -> None:
    """Write each notebook twice: to download, without outputs, and as a page with a link to it."""
    for name in ("ipynb", "notebooks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.py")):
        notebook = jupytext.read(path)
        jupytext.write(notebook, folder / "ipynb" / f"{path.stem}.ipynb")
        notebook.cells.insert(1, new_markdown_cell(_DOWNLOAD.format(name=path.stem)))
        jupytext.write(notebook, folder / "notebooks" / f"{path.stem}.ipynb")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
