"""Files of C: their interface, sizes as arguments, errors, and what users' text can do to them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError
from symad.export.c_file import source_of
from symad.export.c_function import LONGEST
from symad.graph.nested import leaves
from symad.runtime import pipeline
from tests.support.c_library import STRICT, CFailure, CLibrary
from tests.support.c_programs import needs_gcc
from tests.support.stacks import stacks_of_while_loops


def lecture() -> sm.Function:
    x1, x2 = sm.Variable("x1", shape=()), sm.Variable("x2", shape=())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])])


@needs_gcc
def test_the_example_of_the_lecture(tmp_path: Path) -> None:
    f = lecture()
    c = CLibrary(f, tmp_path)
    assert c([2.0, 5.0], f(2.0, 5.0)) == f(2.0, 5.0)
    assert "log(v" in c.text and "test_c_file.py" in c.text and "malloc" not in c.text
    assert "in[0]: double x1" in c.header and "model_work" in c.header


@needs_gcc
def test_the_header_is_for_cplusplus_too(tmp_path: Path) -> None:
    sm.export_c(lecture(), tmp_path / "model.c")
    for language in ("c", "c++"):
        command = ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", language]
        subprocess.run([*command, str(tmp_path / "model.h")], check=True)


def test_a_shape_that_is_not_declared_is_that_of_the_latest_call(tmp_path: Path) -> None:
    x = sm.Variable("x")
    f = sm.compile([x], sm.sin(x))
    with pytest.raises(ExportError, match="'x' is not known"):
        sm.export_c(f, tmp_path / "model.c")
    assert not list(tmp_path.iterdir())
    f(np.ones(3))
    sm.export_c(f, tmp_path / "model.c")
    assert "in[0]: double[3] x" in (tmp_path / "model.h").read_text()


def test_passes_that_a_call_has_run_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the same, whether the function was called, and with what, or not."""
    ran: list[str] = []
    run = pipeline._take

    def noted(step: Any, *arguments: Any) -> Any:
        ran.append(step.name)
        return run(step, *arguments)

    x, m = sm.Variable("x", shape=("n", 9)), sm.Variable("m", shape=(9, 9))
    y = sm.sum(sm.softmax(sm.tanh(x @ m) / 1.7))
    f = sm.compile([x, m], [y, *sm.gradients(y, [x, m])], backend="native")
    numpy = sm.compile([x, m], f.outputs, backend="numpy")
    fresh = source_of(f, "model", {"n": 5})
    for call, size, known in ((f, 4, False), (f, 5, True), (numpy, 5, False)):
        call(np.ones((size, 9)), np.ones((9, 9)))
        assert call.passes.graph.inputs[0].type == sm.TensorType("float64", (size, 9))
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "_take", noted)
            ran.clear()
            assert source_of(call, "model", {"n": 5}) == fresh
        assert ("rewrite" not in ran) == known and "fuse" in ran


# Sizes


def regression() -> tuple[sm.Function, Callable[[int], Any]]:
    X, w = sm.Variable("X", shape=("batch", 3)), sm.Variable("w", shape=(3,))
    y = sm.Variable("y", shape=("batch",))
    loss = sm.mean(sm.softplus(X @ w) - y * (X @ w))
    rng = np.random.default_rng(0)
    return sm.compile([X, w, y], [loss, sm.gradients(loss, w)]), lambda n: (
        rng.normal(size=(n, 3)), rng.normal(size=3), rng.normal(size=n)
    )  # fmt: skip


def normalised() -> tuple[sm.Function, Callable[[int], Any]]:
    x = sm.Variable("x", shape=("rows", 20), dtype="float32")
    centred = x - sm.mean(x, 0, keepdims=True)
    y = sm.softmax(centred / sm.sqrt(sm.var(x, 0, keepdims=True) + 1e-3), 1)
    out = [y, sm.cumsum(x, 0), sm.concat([x, x[::-1]], 0), sm.gradients(sm.sum(y * x), x)]
    rng = np.random.default_rng(1)
    return sm.compile([x], out), lambda n: (rng.normal(size=(n, 20)).astype("float32"),)


def looped() -> tuple[sm.Function, Callable[[int], Any]]:
    x, a = sm.Variable("x", shape=("steps", 2)), sm.Variable("a", shape=())
    last, all_ = sm.scan(lambda c, e: (sm.tanh(c * a + e), c), x[0] * 0, x)
    loss = sm.sum(last) + sm.sum(all_**2)
    rng = np.random.default_rng(2)
    return sm.compile([x, a], [last, all_, *sm.gradients(loss, [x, a])]), lambda n: (
        rng.normal(size=(n, 2)), np.float64(0.3)
    )  # fmt: skip


@needs_gcc
@pytest.mark.parametrize("make", [regression, normalised, looped])
def test_sizes_are_arguments(make: Any, tmp_path: Path) -> None:
    f, values = make()
    c = CLibrary(f, tmp_path)
    assert f"sizes[0]: {next(iter(f.graph.inputs)).type.shape[0]}, at least" in c.header
    least = int(re.search(r"at least (\d+)", c.header)[1])  # type: ignore[index]
    assert least <= 2
    for n in (least, 2, 3, 7, 16, 100, 3000):
        arrays = values(n)
        want = list(leaves(f(*arrays)))
        for a, b in zip(want, c(arrays, want, [n]), strict=True):
            single = a.dtype == np.float32
            np.testing.assert_allclose(b, a, rtol=1e-4 if single else 1e-9, atol=1e-5)
    with pytest.raises(CFailure, match="is less than"):
        c(values(3), f(*values(3)), [0])
    with pytest.raises(CFailure, match="sizes is NULL"):
        fixed = np.zeros(1)
        c._code.model_work = lambda _: 1  # type: ignore[method-assign]
        c([fixed] * 3, [fixed] * 4)


def test_several_sizes(tmp_path: Path) -> None:
    x, w = sm.Variable("x", shape=("n", "m")), sm.Variable("w", shape=("m", 2))
    y = sm.mean(x @ w)
    sm.export_c(sm.compile([x, w], [y, sm.gradients(y, w)]), tmp_path / "model.c")
    text, header = ((tmp_path / f"model.{end}").read_text() for end in "ch")
    assert "sizes[0]: n, at least" in header and "sizes[1]: m, at least" in header
    assert "in[0]: double[n][m] x" in header and "2099" not in text + header


def test_a_slice_sets_the_least_size(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=("n",))
    sm.export_c(sm.compile([x], sm.sum(x[:10] * x[-10:])), tmp_path / "model.c")
    assert "sizes[0]: n, at least 10" in (tmp_path / "model.h").read_text()
    sm.export_c(sm.compile([x], x[700] + x[-1]), tmp_path / "model.c")
    assert "at least 701" in (tmp_path / "model.h").read_text()


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("a step", lambda x: x[::2]),
        ("its square root", lambda x: x / sm.sqrt(x.shape[0])),
        ("positions", lambda x: x * sm.arange(x.shape[0])),
    ],
)
def test_what_is_no_polynomial_of_sizes_is_refused(what: str, make: Any, tmp_path: Path) -> None:
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], make(x))
    with pytest.raises(ExportError, match="cannot be arguments in C"):
        sm.export_c(f, tmp_path / "model.c")
    sm.export_c(f, tmp_path / "model.c", {"n": 8})


# Functions


@needs_gcc
def test_parameters_and_updates(tmp_path: Path) -> None:
    x, w = sm.Variable("x", shape=(2,)), sm.parameter("w", [1.0, 2.0])
    loss = sm.sum((x * w) ** 2)
    f = sm.compile([x], loss, updates={w: w - 0.1 * sm.gradients(loss, w)})
    c = CLibrary(f, tmp_path)
    value, new = c([[3.0, 4.0], [1.0, 2.0]], [np.float64(0), np.zeros(2)])
    assert value == f([3.0, 4.0])
    np.testing.assert_allclose(new, w.value)


@needs_gcc
def test_structures_and_dtypes(tmp_path: Path) -> None:
    s = sm.Variable("s", shape=(3,), dtype="int32"), sm.Variable("t", shape=(3,), dtype="bool")
    f = sm.compile([{"a": s[0], "b": s[1]}], [sm.sum(s[0]), ~s[1], {"z": s[0] * 2.5}])
    values = np.array([1, -2, 3], "int32"), np.array([True, False, True])
    want = list(leaves(f({"a": values[0], "b": values[1]})))
    c = CLibrary(f, tmp_path)
    for a, b in zip(want, c(values, want), strict=True):
        np.testing.assert_array_equal(b, a)
    assert "int32_t[3]" in c.header and "uint8_t[3]" in c.header


@needs_gcc
def test_float16_is_rounded_as_numpy_does(tmp_path: Path) -> None:
    """All numbers there are, those in the middle of two, and next to these; and sums of them."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.unique(halves[np.isfinite(halves)].astype(float))
    middles = (finite[1:] + finite[:-1]) / 2
    doubles = np.concatenate([finite, middles, np.nextafter(middles, np.inf), [65520.0, -65520.0],
                              np.nextafter(middles, 0), [0.0, -0.0, np.nan, np.inf, 1e300]])
    h, d = sm.Variable("h", halves.shape, "float16"), sm.Variable("d", doubles.shape)
    m, i = sm.Variable("m", (5, 7), "float16"), sm.Variable("i", (), "int64")
    weights = sm.constant(np.linspace(-2, 2, 35).reshape(7, 5).astype("float16"))
    outputs = [
        h.astype("float64"), d.astype("float16"), h * h + h, sm.sqrt(h), h > 0, m @ weights,
        sm.sum(m), sm.sum(m, 0), sm.max(m, 1), sm.prod(m), sm.sort(m, 1), m[i] * 0.1, sm.cumsum(m),
        i.astype("float16"),
    ]
    f = sm.compile([h, d, m, i], outputs, backend="numpy")
    values = halves, doubles, (np.arange(35) % 9 / 8).reshape(5, 7).astype("float16"), 3
    with np.errstate(all="ignore"):
        want = f(*values)
    c = CLibrary(f, tmp_path)
    assert "in[0]: float16 uint16_t[65536] h" in c.header
    for a, b in zip(want, c([*values[:3], np.int64(3)], want), strict=True):
        np.testing.assert_array_equal(b, a)
        np.testing.assert_array_equal(np.signbit(b[a == 0]), np.signbit(a[a == 0]))


@needs_gcc
def test_reverse_mode_goes_through_bounded_while_loops(tmp_path: Path) -> None:
    inputs, outputs = stacks_of_while_loops()
    f = sm.compile(inputs, outputs, backend="numpy")
    values = np.array([0.1, 0.2, 0.3]), np.eye(3) * 0.5 + 0.1
    want = f(*values)
    c = CLibrary(f, tmp_path)
    for a, b in zip(want, c(values, want), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10)
    with pytest.raises(CFailure, match="did not end within max_steps=50"):
        c([values[0] * 0, values[1]], want)


def test_reverse_mode_through_a_loop_without_a_bound_names_the_remedy(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c < 9.0, lambda c: c * c, x)
    with pytest.raises(ExportError, match="has no bound") as error:
        sm.export_c(sm.compile([x], sm.gradients(y, x)), tmp_path / "model.c")
    assert "max_steps=100" in str(error.value)


@needs_gcc
def test_loops_stay_loops(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c < 100.0, lambda c: c * 2.0, x, max_steps=9)
    z, _ = sm.scan(lambda c, _: (c * x, None), x * 1, length=1000)
    f = sm.compile([x], [y, z])
    c = CLibrary(f, tmp_path)
    want = f(1.01)
    assert c([1.01], want) == want
    assert len(c.text) < 8000
    with pytest.raises(CFailure, match="did not end within max_steps=9"):
        c([1e-9], want)


@needs_gcc
def test_bodies_and_matrices_read_views(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=(3, 4, 4))
    row, matrix = x[2, 1], x[1] + 4 * np.eye(4)
    last, _ = sm.scan(lambda c, e: (c * 0.5 + e * row, None), row, x[1])
    chosen = sm.switch(sm.constant(1), [lambda: row * 1, lambda: sm.sin(row)])
    f = sm.compile([x], [last, chosen, sm.linalg.inv(matrix), sm.linalg.solve(x[2], x[0])])
    value = np.random.default_rng(3).normal(size=(3, 4, 4))
    for a, b in zip(f(value), CLibrary(f, tmp_path)([value], f(value)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9)


@needs_gcc
def test_errors_of_values(tmp_path: Path) -> None:
    a, i = sm.Variable("a", shape=(2, 2)), sm.Variable("i", shape=(), dtype="int64")
    f = sm.compile([a, i], [sm.linalg.cholesky(a), a[i]])
    c = CLibrary(f, tmp_path)
    like = np.zeros((2, 2)), np.zeros(2)
    with pytest.raises(CFailure, match="not positive definite"):
        c([-np.eye(2), np.int64(0)], like)
    with pytest.raises(CFailure, match="an index is out of range"):
        c([np.eye(2), np.int64(2)], like)
    np.testing.assert_array_equal(c([np.eye(2), np.int64(-1)], like)[1], [0.0, 1.0])


def test_what_c_lacks_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    x = sm.Variable("x", shape=(3,))
    f = sm.compile([x], sm.linalg.expm(sm.outer(x, x)))
    with pytest.raises(ExportError, match=r"expm.*cannot be written in C") as error:
        sm.export_c(f, tmp_path / "model.c")
    assert "sm.linalg.expm(sm.outer(x, x))" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_files_are_written_together(tmp_path: Path) -> None:
    sm.export_c(lecture(), tmp_path / "model.c")
    before = (tmp_path / "model.c").read_text()
    (tmp_path / "other.h").mkdir()
    with pytest.raises(OSError):
        sm.export_c(lecture(), tmp_path / "other.c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.c", "model.h", "other.h"]
    assert (tmp_path / "model.c").read_text() == before


# Users' text


HOSTILE = [
    '*/ int main(void) { system("x"); } /*', "*\\\n/ x", "??/\n", '"; abort(); "', "\n#error x",
    "é*\u2028/", "%n%s", "//", "*", "/", "\x00\x1b", "\ud800",
]  # fmt: skip


@needs_gcc
@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_end_comments(name: str, tmp_path: Path) -> None:
    x = sm.Variable(name, shape=(name,))
    y = sm.sum(sm.sin(x))
    y.name = name
    c = CLibrary(sm.compile([x], y, name=name), tmp_path, flags=STRICT + " -Wtrigraphs")
    assert "system" not in re.sub(r"/\*.*?\*/", "", re.sub(r'"(\\.|[^"\\])*"', "", c.text))
    np.testing.assert_allclose(c([np.ones(3)], [np.float64(0)], [3]), [3 * np.sin(1)])


@pytest.mark.parametrize("name", "int sin main 1a é a-b in memcpy a.b".split())
def test_names_of_files(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be called|does not end"):
        sm.export_c(lecture(), tmp_path / f"{name}.c")
    with pytest.raises(ExportError, match="does not end in .c"):
        sm.export_c(lecture(), tmp_path / "model.cpp")


# Long functions


@needs_gcc
def test_long_functions_are_cut(tmp_path: Path) -> None:
    """The bits are those of symad."""
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    v = x
    for k in range(150):
        v = v * y + 0.1 if k % 2 else v / (1.0 + v * v)
    f = sm.compile([x, y], [v, *sm.gradients(v, [x, y])])
    c = CLibrary(f, tmp_path)
    assert c([0.7, 0.9], f(0.7, 0.9)) == f(0.7, 0.9)
    parts = c.text.split("\nstatic int ")[1:]
    assert len(parts) > 4 and all(part.count("\n") < 3 * LONGEST for part in parts)


@pytest.mark.parametrize("name", ["export_c f.c", "export_object f.o", "export_onnx f.onnx",
                                  "to_jax", "export_stablehlo"])  # fmt: skip
def test_a_node_is_no_compiled_function(name: str) -> None:
    x = sm.Variable("x", shape=())
    export, *path = name.split()
    with pytest.raises(ExportError, match="is not a compiled function") as error:
        getattr(sm, export)(x * x, *path)
    assert "sm.compile" in str(error.value)
