"""The text of XLA's programs: it is read by MLIR, and has the user's lines."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError, FeedError

jax: Any = pytest.importorskip("jax")


def line_of(text: str) -> int:
    """Return the line of this file that has a text."""
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()  # type: ignore[arg-type]
    return next(number for number, line in enumerate(lines, 1) if text in line)


def loss_and_slope() -> sm.Function:
    x, w = sm.Variable("x", shape=("batch", 3)), sm.parameter("w", np.ones(3))
    scores = sm.tanh(x @ w)
    total, _ = sm.scan(lambda c, e: (c * 0.5 + sm.exp(e), None), 0.0, scores)
    return sm.compile([x], {"loss": total}, updates={w: w - sm.gradients(total, w)}, name="step")


def module_of(text: str) -> Any:
    """Return the module of a text, which MLIR has read and verified."""
    from jax.extend.mlir import ir

    with jax.jit(lambda: 0).lower().compiler_ir("stablehlo").context:
        module = ir.Module.parse(text)
        assert module.operation.verify()
        return module


def test_the_text_has_the_labels_and_lines_of_nodes() -> None:
    before = jax.config.jax_enable_x64
    text = sm.export_stablehlo(loss_and_slope(), sm.TensorType(np.dtype("f8"), (5, 3)))
    assert jax.config.jax_enable_x64 is before
    assert "module @jit_step" in text and "tensor<5x3xf64>" in text
    module = module_of(text)
    assert str(module.operation.get_asm(enable_debug_info=True)) == text
    for label, line in {"tanh": "scores = sm.tanh(", "exp": "sm.exp(e)", "x": "x, w ="}.items():
        found = re.search(rf'loc\("{label}"\((#loc\d*)\)\)', text)
        assert found is not None
        assert f'{found[1]} = loc("{__file__}":{line_of(line)}:0)' in text
    files = set(re.findall(r'loc\("([^"]*)":\d+', text))
    assert files == {__file__}  # none of symad's or JAX's


def test_loops_stay_loops_and_the_program_is_the_functions() -> None:
    f = loss_and_slope()
    text = sm.export_stablehlo(f, x=np.ones((4, 3)))
    assert "stablehlo.while" in text
    head = text[text.index("@main") :].splitlines()[0]
    assert re.findall(r"tensor<([^>]*)>", head) == ["4x3xf64", "3xf64", "f64", "3xf64"]


def test_arguments_that_are_not_read_are_inputs() -> None:
    x, y = sm.Variable("x", shape=(2,)), sm.Variable("y", shape=())
    f = sm.compile([{"a": x}, y], x * 2)
    text = sm.export_stablehlo(f)
    assert text.count("%arg0: tensor<2xf64>") == 1 and "%arg1: tensor<f64>" in text


def test_what_is_not_known_is_an_error() -> None:
    n, x = sm.Variable("n", shape=(), dtype="int64"), sm.Variable("x", shape=("m",))
    f = sm.compile([n, x], sm.sum(sm.arange(n)) * x)
    number = sm.TensorType(np.dtype("int64"), ())
    with pytest.raises(ExportError, match="'x' is f64.m., and a program has fixed sizes"):
        sm.export_stablehlo(sm.compile([x], x * 2))
    with pytest.raises(ExportError, match="'n' is i64"):
        sm.export_stablehlo(f, number, [1.0])
    with pytest.raises(FeedError, match="was not given 'x'"):
        sm.export_stablehlo(f, 3)
    assert "tensor<7xf64>" in sm.export_stablehlo(f, 3, np.ones(7))
