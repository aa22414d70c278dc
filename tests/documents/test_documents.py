"""The documents: their Python is run as a reader would type it, and what they link to is there."""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

import symad as sm
from symad.graph.op import OP_CLASSES
from tests.support import op_checks as checks
from tests.support.op_checks import cases_of
from tests.support.op_tables import restored

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *(
        path
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if not path.relative_to(ROOT / "docs").parts[0].startswith("_")  # what is generated
    ),
]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@dataclass
class Block:
    """A fenced block of code: language, text, first line, and the package that it needs."""

    language: str
    text: str
    line: int
    needs: str = ""


def fenced_blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown text; the indentation of the fence is taken off."""
    fence = re.compile(
        r"^(?:<!-- With (?P<needs>\w+) -->\n)?"
        r"(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})[ ]*(?P<language>[^\s`]*)[^\n]*\n"
        r"(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$",
        re.MULTILINE | re.DOTALL,
    )
    for match in fence.finditer(text):
        body = re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("body")) + 1
        yield Block(match["language"], body, line, match["needs"] or "")


def run_blocks(path: Path, blocks: list[Block]) -> dict[str, Any]:
    """Run the Python of a document in order, in one namespace, which is returned.

    Blocks after a comment ``<!-- With casadi -->`` are run where that package is installed.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        if block.needs and importlib.util.find_spec(block.needs) is None:
            continue
        if block.language == "python" and not block.text.lstrip().startswith(">>>"):
            padding = "\n" * (block.line - 1)  # so that errors name the document's own lines
            exec(compile(padding + block.text, str(path), "exec"), namespace)
        elif block.language in ("python", "pycon"):
            run_session(path, block, namespace)
    return namespace


def run_session(path: Path, block: Block, namespace: dict[str, Any]) -> None:
    """Run an interactive session, and compare what it prints with what the document says."""
    name = f"{path.name}:{block.line}"  # symad asks for the lines of other sessions by their name
    test = doctest.DocTestParser().get_doctest(
        block.text, namespace, name, str(path), block.line - 1
    )
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.fixture
def op_tables() -> Iterator[None]:
    """Ops that a document defines are gone afterwards, and JAX has the bits that it had."""
    before = "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64
    with restored():
        yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", before)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_of_a_document_runs(
    path: Path, op_tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text("utf-8")
    for module in re.findall(r"<!-- Needs (\w+) -->", text):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    run_blocks(path, list(fenced_blocks(text)))


def test_the_ops_of_a_document_are_right(op_tables: None) -> None:
    known = set(OP_CLASSES)
    path = ROOT / "docs" / "adding_an_op.md"
    run_blocks(path, list(fenced_blocks(path.read_text("utf-8"))))
    cases = [
        case for name in sorted(set(OP_CLASSES) - known) for case in cases_of(OP_CLASSES[name])
    ]
    assert cases
    for case in cases:
        checks.check_sample_applies_op(case)
        for dtype in ("float64", "float32"):
            for knowledge in checks.KNOWLEDGE:
                checks.check_types(case, dtype, knowledge)
            checks.check_reference(case, dtype)
            checks.check_adjoint_types(case, dtype)
        checks.check_float32(case)
        checks.check_derivatives(case)
        checks.check_dot(case, order=2)
        checks.check_rendering(case)
        checks.check_memory(case)


def test_the_numbers_of_the_readme_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text("utf-8")
    block = next(block for block in fenced_blocks(text) if block.language == "python")
    function = run_blocks(ROOT / "README.md", [block])["f"]
    called = re.search(r"^f\((?P<fed>[^)]*)\) *# *(?P<said>[-0-9., ]*[0-9])", block.text, re.M)
    assert called, "the example calls f and says what it returns"
    fed, said = ([float(x) for x in called[name].split(",")] for name in ("fed", "said"))
    np.testing.assert_allclose(function(*fed), said, atol=5e-4, rtol=0)


@dataclass
class Row:
    """A row of a table `y | at x | value | dy/dx | in JAX`; an empty last cell says: the same."""

    y: str
    at: Any
    value: Any
    derivative: Any
    in_jax: Any

    def __str__(self) -> str:
        return f"{self.y} at {self.at}"


def numeric_rows(text: str) -> Iterator[Row]:
    """Yield the rows of such tables in a document."""
    head = r"^\| y \| at x \| value \| dy/dx \| in JAX \|\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)"
    names = {"inf": np.inf, "nan": np.nan}
    for table in re.finditer(head, text, re.MULTILINE):
        for line in table["rows"].splitlines():
            y, *cells = re.findall(r"(?<=\|)[^|]*(?=\|)", line)
            numbers = [eval(cell.strip(" `"), names) if cell.strip() else None for cell in cells]
            at, value, derivative, in_jax = numbers
            yield Row(
                y.strip(" `"), at, value, derivative, derivative if in_jax is None else in_jax
            )


NUMERICS = (ROOT / "docs" / "numerics.md").read_text("utf-8")
NUMERIC_ROWS = list(numeric_rows(NUMERICS))


@pytest.mark.parametrize("row", NUMERIC_ROWS, ids=str)
def test_the_tables_of_numerics_are_right(row: Row) -> None:
    x = sm.Variable("x", shape=np.shape(row.at))
    y = eval(row.y, {**vars(sm.special), **vars(sm), "linalg": sm.linalg, "inf": np.inf}, {"x": x})
    value, derivative = sm.compile([x], sm.value_and_gradients(y, x))(np.array(row.at, "float64"))
    np.testing.assert_allclose(value, row.value, rtol=1e-12)
    np.testing.assert_allclose(derivative, row.derivative, rtol=1e-12)


def derivative_in_jax(row: Row, at: Any) -> Any:
    import jax

    names = {**vars(jax.numpy), **vars(jax.nn), **vars(jax.scipy.special), "inf": np.inf}
    return jax.grad(lambda x: eval(row.y, names, {"x": x}).sum())(at)


@cache
def derivatives_in_jax() -> dict[str, Any]:
    """Return the derivatives of all rows; compiled at once, which is faster than op by op."""
    import jax

    def derivatives(points: list[Any]) -> list[Any]:
        return list(map(derivative_in_jax, NUMERIC_ROWS, points))

    found = jax.jit(derivatives)([jax.numpy.asarray(row.at, "float64") for row in NUMERIC_ROWS])
    return dict(zip(map(str, NUMERIC_ROWS), found, strict=True))


@pytest.mark.parametrize("row", NUMERIC_ROWS, ids=str)
def test_what_numerics_says_of_jax_is_right(row: Row) -> None:
    jax = pytest.importorskip("jax")
    said = re.search(r"JAX ([0-9.]+[0-9])", NUMERICS)
    if not said or jax.__version__ != said[1]:
        pytest.skip("the document is about another version of JAX")
    with jax.enable_x64(True):
        found = derivatives_in_jax()[str(row)]
        if not np.allclose(found, row.in_jax, rtol=1e-12, atol=0, equal_nan=True):
            found = derivative_in_jax(row, jax.numpy.asarray(row.at, "float64"))  # op by op
    np.testing.assert_allclose(found, row.in_jax, rtol=1e-12)


def test_the_tables_of_numerics_are_read() -> None:
    table = "| y | at x | value | dy/dx | in JAX |\n|---|---|---|---|---|\n"
    rows = list(numeric_rows(table + "| `abs(x)` | `[0.0, -inf]` | `1` | `nan` | |\n\ntext |\n"))
    assert [str(row) for row in rows] == ["abs(x) at [0.0, -inf]"]
    assert np.isnan(rows[0].in_jax)
    assert len(NUMERIC_ROWS) == len(re.findall(r"^\| `", NUMERICS, re.MULTILINE)) > 50


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_links_to_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for block in fenced_blocks(text):
        text = text.replace(block.text, "")
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [target for target in targets if not re.match(r"[a-z]+:|#|.*\b_generated/", target)]
    missing = [t for t in local if not (path.parent / unquote(t.partition("#")[0])).exists()]
    assert not missing


def test_pictures_show_what_is_drawn_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "docs" / "images"
    monkeypatch.syspath_prepend(folder)
    make = importlib.import_module("make")
    monkeypatch.setattr(make, "FOLDER", tmp_path)
    make.main()
    drawn = {path.name: texts_of(path) for path in tmp_path.iterdir()}
    assert drawn
    kept = {path.name: texts_of(path) for path in folder.glob("*.svg")}
    assert drawn == kept, "draw them again: python docs/images/make.py"


def texts_of(picture: Path) -> list[str]:
    """Return the texts in an SVG picture, in the order of the alphabet."""
    return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text("utf-8")))


def test_blocks_are_found_with_their_lines() -> None:
    text = "a\n```python\nx = 1\n```\n- item\n\n  ```pycon\n  >>> x\n  1\n  ```\n```\nplain\n```\n"
    text += "<!-- With no_such_package -->\n```python\n1 / 0\n```\n"
    blocks = list(fenced_blocks(text))
    assert blocks == [
        Block("python", "x = 1\n", 3),
        Block("pycon", ">>> x\n1\n", 8),
        Block("", "plain\n", 12),
        Block("python", "1 / 0\n", 16, "no_such_package"),
    ]
    assert run_blocks(Path("a.md"), blocks)["x"] == 1


def test_an_error_in_a_document_names_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        run_blocks(Path("a.md"), list(fenced_blocks("one\ntwo\n```python\n1 / 0\n```\n")))
    assert failure.traceback[-1].lineno + 1 == 4


def test_a_session_that_prints_something_else_fails() -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run_blocks(Path("a.md"), [Block("pycon", ">>> 1 + 1\n3\n", 1)])
