"""The command line, as a user types it in an empty directory."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from symad.cli import _EXAMPLES as EXAMPLES
from symad.cli import main
from symad.drawing.painting import can_paint
from symad.drawing.render import find_renderer

LECTURE = "log(x1) + x1*x2 - sin(x2)"
needs_a_painter = pytest.mark.skipif(
    not can_paint() and not find_renderer(), reason="there is neither Typst nor Graphviz"
)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command that fails; return its exit code and its one line of error."""
    code = main(words)
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.endswith("\n") and errors.count("\n") == 1
    assert errors.startswith("symad: error: ")
    return code, errors.strip()


@pytest.mark.parametrize(
    "words",
    [
        ["x1=2", "x2=5"],
        ["x1=2", "--wrt", "x1", "x2=5"],
        ["--wrt=x1", "x1=2.0", "x2=5e0"],
    ],
)
def test_trace(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["trace", LECTURE, *words]) == 0
    output = capsys.readouterr().out
    assert "v3 = ln v1 = 0.693" in output and "v̇7 = v̇6 − v̇5 = 5.5" in output
    assert "v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716" in output


def test_trace_of_arrays_and_without_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "sum(A @ x)", "A=[[1, 2], [3, 4]]", "x=[1, -1]", "--wrt", "x"]) == 0
    assert "v̄2 = v1ᵀ @ v̄3 = [4, 6]" in capsys.readouterr().out
    assert main(["trace", LECTURE]) == 0
    assert "v3 = ln v1 " in capsys.readouterr().out


def test_demonstrations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backpropagation", LECTURE, "x1=2", "x2=5"]) == 0
    output = capsys.readouterr().out
    assert "v̄2→4 = 2 " in output and "8 rules run and make 12 nodes" in output
    assert main(["order", "--doublings", "3"]) == 0
    assert "v̄1 = a             8        1           2 ✗" in capsys.readouterr().out
    assert failing(capsys, "order", "--doublings", "0")[0] == 2


def test_the_memory_of_numbers_alone_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "3"]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows[:2]] == [["3", "8"], ["3", "8"]]


def test_memory_profile_and_code(capsys: pytest.CaptureFixture[str], empty_directory: Path) -> None:
    words = ["sum(tanh(A @ x))", "A=[[1, 2], [3, 4]]", "x=[1, -1]"]
    assert main(["memory", *words]) == 0
    assert "peak" in capsys.readouterr().out
    assert main(["memory", *words, "--wrt", "x", "-o", "memory.svg"]) == 0
    assert capsys.readouterr().out == "memory.svg\n"
    assert (empty_directory / "memory.svg").read_text().startswith("<svg")
    assert main(["profile", *words]) == 0
    assert "Medians of 20 runs" in capsys.readouterr().out
    assert main(["profile", *words, "-o", "profile.dot"]) == 0
    assert "% " in (empty_directory / "profile.dot").read_text()
    assert main(["code", *words]) == 0
    assert "def f(A, x):" in (empty_directory / "code.html").read_text()
    capsys.readouterr()
    assert failing(capsys, "code", words[0])[0] == 2
    assert failing(capsys, "memory", *words, "-o", "memory.gif")[0] == 1
    assert not (empty_directory / "memory.gif").exists()


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LECTURE, "x1=2", "x2=5"]) == 0
    output = capsys.readouterr().out
    assert "v̄2→5 = v̄5·∂v5/∂v2 = v̄5·cos v2" in output
    assert "v5 = sin v2        column 19\n" in output
    assert "v̄1 = ∂y/∂x1 = x2 + 1/x1" in output
    assert main(["explain", LECTURE, "--wrt", "x1", "--form", "latex"]) == 0
    latex = capsys.readouterr().out
    assert r"\frac{\partial y}{\partial x_{1}} = x_{2} + \frac{1}{x_{1}}" in latex
    assert r"\bar{v}_{2 \to 5}" not in latex
    assert main(["explain", LECTURE, "--form", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("### The forward graph")


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a*b*c*d", "a=1", "b=2", "c=3", "d=4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (symbolic,) = [line for line in lines if line.startswith("symbolic expansion")]
    assert symbolic.split()[2:5] == ["4", "formulas", "8"]
    assert failing(capsys, "compare", LECTURE)[0] == 2


def test_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradient", LECTURE, "x1=2", "x2=5"]) == 0
    output = capsys.readouterr().out
    assert output.startswith('graph(%0: f64[...] "x1", %1: f64[...] "x2")')
    assert "v̄1 = v̄4·v2 + v̄3/v1\n" in output
    assert "∂y/∂x1 = 5.5\n" in output and "∂y/∂x2 = 1.716337814536" in output
    assert main(["gradient", LECTURE, "--wrt", "x1"]) == 0
    output = capsys.readouterr().out
    assert "v̄2" not in output and "∂y" not in output


@needs_a_painter
def test_draw(capsys: pytest.CaptureFixture[str], empty_directory: Path) -> None:
    assert main(["draw", LECTURE, "-o", "lecture.png", "x1=2", "x2=5"]) == 0
    assert Path("lecture.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("lecture.png, drawn by ")
    assert main(["draw", LECTURE]) == 0
    assert ">v̄<tspan" in Path("graph.svg").read_text(encoding="utf-8")
    assert [path.name for path in sorted(empty_directory.iterdir())] == ["graph.svg", "lecture.png"]


def test_draw_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", LECTURE, "-o", "a.dot", "--forward"]) == 0
    assert capsys.readouterr().out == "a.dot\n"
    text = Path("a.dot").read_text(encoding="utf-8")
    assert "cluster_forward_0" in text and "adjoint" not in text
    assert main(["draw", LECTURE, "-o", "b.dot", "--wrt", "x2", "--repairs"]) == 0
    assert "sum_like" in Path("b.dot").read_text(encoding="utf-8")
    assert main(["draw", "+".join(["sin(x)"] * 300), "-o", "c.dot", "--forward"]) == 0
    assert "folded" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, code, message",
    [
        ([], 2, "COMMAND"),
        (["trase", LECTURE], 2, "invalid choice: 'trase'"),
        (["trace"], 2, "EXPR"),
        (["trace", "lgo(x)"], 2, "Did you mean 'log'?"),
        (["trace", "x +"], 2, "column 4"),
        (["trace", LECTURE, "x1=2"], 2, "no value for x2"),
        (["trace", LECTURE, "x11=2"], 2, "Did you mean 'x1'?"),
        (["trace", "x", "x=1", "x=2"], 2, "two values"),
        (["trace", "x", "x"], 2, "NAME=VALUE"),
        (["trace", "x", "x=__import__('os')"], 2, "a value is a number"),
        (["trace", "x", "x=" + "[" * 5000], 2, "a value is a number"),
        (["trace", "x", 'x={"a": 1}'], 2, "a value is a number"),
        (["trace", "x", "x=[true]"], 2, "a value is a number"),
        (["trace", "x", "x=[[1], [2, 3]]"], 2, "rows of an array must have equal lengths"),
        (["backpropagation", "x*x", "x=[1, [2]]"], 2, "rows of an array must have equal lengths"),
        (["trace", "x", "x=1e400"], 2, "the number is too large"),
        (["trace", "x'"], 2, "column 2: the quotation mark is not closed"),
        (["trace"], 2, "required: EXPR; see symad trace --help"),
        (["order", "x" * 5000], 2, "x…' is not understood"),
        (["trace", "x", "--wrt", "y"], 2, "no variable 'y'"),
        (["trace", "x", "--colour"], 2, "'--colour' is not understood"),
        (["trace", "x", "x=1", "--wrt"], 2, "--wrt"),
        (["gradient", "a + b", "a=[1, 2]", "b=[1, 2, 3]"], 1, "cannot be broadcast"),
        (["gradient", "x < 1"], 1, "have no derivative"),
        (["draw", "x", "-o", "a.gif"], 1, ".svg, .png, .pdf or .dot"),
        (["draw", "x", "-o", "missing/a.dot"], 1, "missing/a.dot: No such file"),
        (["demo", "--epochs"], 2, "'--epochs' is not understood"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    found, error = failing(capsys, *words)
    assert found == code
    assert message in error


@pytest.mark.parametrize("command", ["explain", "play", "backpropagation", "compare"])
def test_without_variables_there_is_nothing_to_differentiate(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _, line = failing(capsys, command, "2 + 3")
    assert "nothing to differentiate with respect to" in line


def test_an_expression_may_begin_with_a_minus_sign(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--", "-x", "x=1"]) == 0
    assert main(["trace", "-x + 1", "x=1"]) == 0
    for words in (["-x", "x=1"], ["-x*2", "x=1"], ["-(x)", "x=-1"], ["-3*x", "x=1"]):
        assert main(["trace", *words]) == 0
    output, errors = capsys.readouterr()
    assert output.count("v2 = −v1 = ") + output.count("v2 = −3·v1 = −3") == 6 and not errors


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["trace", "--help"], ["demo", "--help"], ["--version"]):
        assert main(words) == 0
        output, errors = capsys.readouterr()
        assert output and not errors
    assert main(["draw", "-h"]) == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_examples_in_the_help_of_a_command_run(
    capsys: pytest.CaptureFixture[str], empty_directory: Path, monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:  # fmt: skip
    for demo in DEMOS:
        monkeypatch.setattr(f"symad.demo.{demo}", lambda folder: 0)
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    calls = [shlex.split(line) for line in text.splitlines() if line.startswith("  symad ")]
    assert len(calls) == 2 and all(call[:2] == ["symad", command] for call in calls)
    for call in calls if command != "serve" else []:  # which does not end
        assert main(call[1:]) == 0, call
    assert not capsys.readouterr().err


def test_all_commands_have_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    help_text = capsys.readouterr().out
    assert {*re.findall(r"^    (\w+)", help_text, re.MULTILINE)} == {*EXAMPLES}
    assert {*re.findall(r"^  symad (\w+)", help_text, re.MULTILINE)} == {*EXAMPLES}


@pytest.mark.filterwarnings("error")
def test_infinities_are_shown_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "x/0", "x=1"]) == 0
    assert main(["compare", "x*x", "x=inf"]) == 0
    assert "inf" in capsys.readouterr().out


def test_passes_without_effect_have_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "x*x", "x=3"]) == 0
    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[2:5] == ["as written", "specialise", "rewrite"]
    assert rows[5].startswith("Without effect here: batch, loops")


def test_nothing_answers_with_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "2"]) == 0
    assert capsys.readouterr().out == "The value is a constant: there is nothing to trace.\n"
    assert main(["profile", "x", "x=1"]) == 0
    assert capsys.readouterr().out.startswith("No instruction runs")


def test_the_demo_checks_first_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for package in ("sklearn", "matplotlib"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))  # without a spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, line = failing(capsys, "demo", "-o", str(tmp_path / "out"))
    assert code == 1 and "scikit-learn, Matplotlib" in line and "symad[demo]" in line
    assert not (tmp_path / "out").exists()


DEMOS = {"run.run_demo": [], "distributed.run_distributed": ["distributed"]}


@pytest.mark.parametrize("demo", DEMOS)
def test_a_demo_is_called_with_its_folder(monkeypatch: pytest.MonkeyPatch, demo: str) -> None:
    called = []
    monkeypatch.setattr(f"symad.demo.{demo}", lambda folder: called.append(folder) or 1)
    assert main(["demo", *DEMOS[demo], "-o", "out"]) == 1
    assert called == [Path("out")]


def test_demos_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    assert "digits: the lecture's example" in " ".join(capsys.readouterr().out.split())
    code, line = failing(capsys, "demo", "digit")
    assert code == 2 and "digits" in line and "distributed" in line


def run(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "symad.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, **settings)  # type: ignore[call-overload, no-any-return]


def test_in_a_process_of_its_own() -> None:
    done = run("trace", "x*x", "x=3")
    assert (done.returncode, done.stderr) == (0, "")
    failed = run("trace", "lgo(x)")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr


def test_a_terminal_without_the_letters_still_gets_the_table() -> None:
    import os

    done = run("trace", "x*x", "x=3", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and "v2 = v1?v1 = 9" in done.stdout


def test_an_interruption_and_a_reader_that_is_gone_have_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("symad.expression.read_expression", interrupted)
    assert main(["trace", "x*x", "x=3"]) == 130
    assert capfd.readouterr().err == "symad: error: interrupted\n"
    program = [sys.executable, "-m", "symad", "explain", "x*x*sin(x)", "x=3"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.close()
        assert (run.stderr.read(), run.wait()) == (b"", 1)
