"""The notebooks run from top to bottom, in a kernel of their own."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.py"))


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


def test_an_error_in_a_notebook_names_the_cell(tmp_path: Path) -> None:
    cells = ["import symad as sm", "x = sm.Variable('x')\n\nx.site.describe()"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[1].outputs
    assert output["data"]["text/plain"] == repr("In[2]:1: x = sm.Variable('x')")
