"""The LLVM text in ``docs/compiler.md`` is that of the loop which runs there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import symad as sm

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compiler.md"


def loop_of(text: str) -> str:
    """Return the block of a kernel that works on whole vectors, shorter, and for any lanes."""
    block = next(b for b in re.split(r"^\.(?=\d+:)", text, flags=re.M) if "fdiv" in b)
    block = re.sub(r"<(double undef|i32 0)(, \1)*>", lambda m: m[1].split()[1], block)
    block = re.sub(r"%\.", "%", re.sub(r'"([\w.]+)"', r"\1", block))
    lanes = re.search(r"<(\d+) x double>", block)
    assert lanes is not None
    block = re.sub(rf"\b{lanes[1]} x ", "8 x ", block)
    block = re.sub(rf"(add nsw i64 %\d+), {lanes[1]}\b", r"\1, 8", block)
    return re.sub(r"_ZGV[a-z]N\d+v_", "_ZGVeN8v_", block).rstrip()


def test_the_loop_is_the_one_that_runs() -> None:
    pytest.importorskip("llvmlite")
    from symad.backends.native.kernels.loops import loop_text
    from symad.backends.native.loop_nest import Nest, NestLayout
    from symad.ops.fused import Fused

    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    f = sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])], backend="native")
    f(np.ones(500), np.ones(500))
    op = f.plan.instructions[0].node.op
    assert isinstance(op, Fused)
    nest = Nest(op)
    text = loop_text(nest, NestLayout(nest))
    if "_ZGV" not in text:
        pytest.skip("the C library has no vector functions here")
    (shown,) = re.findall(r"```llvm\n(.*?)\n```", PAGE.read_text("utf-8"), re.S)
    assert shown == loop_of(text)
