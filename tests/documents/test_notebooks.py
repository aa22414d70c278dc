"""The notebooks run from top to bottom, in a kernel of their own."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import symad as sm

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert outputs
    assert not [out for out in outputs if out.get("name") == "stderr"]


def test_a_line_of_a_notebook_is_named_by_its_cell(tmp_path: Path) -> None:
    asked = "[x.site.describe(), x.site.place(), x.site.place(short=True)]"
    cells = ["import symad as sm", f"x = sm.Variable('x')\n\n{asked}"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[1].outputs
    expected = ["In[2]:1: x = sm.Variable('x')", "In[2]:1", "In[2]:1"]
    assert eval(output["data"]["text/plain"]) == expected


def test_a_line_of_a_file_is_named_by_the_file() -> None:
    site = sm.Variable("x").site
    assert site.place() == f"{__file__}:{site.line}"
    assert site.place(short=True) == f"test_notebooks.py:{site.line}"
