"""Code that LLVM optimises little computes the same bits as with all of its passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.op import OP_CLASSES
from symad.types import SparseType
from tests.ops.test_op_table import OPS
from tests.support.op_checks import build, cases_of
from tests.support.scalar_graphs import ALL, scalar_graph

pytest.importorskip("llvmlite")

from symad.backends.native import jit, scalar_function  # noqa: E402
from symad.backends.native.kernels import loops, writer  # noqa: E402
from symad.backends.native.postponed import PostponedJobs  # noqa: E402


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is on disk, or in memory under the key of other code."""
    monkeypatch.setenv("SYMAD_CACHE_DIR", "")
    forget()
    yield
    forget()


@pytest.fixture
def jobs(folder: None, monkeypatch: pytest.MonkeyPatch) -> PostponedJobs:
    """The code that is to be replaced, none so far."""
    found = PostponedJobs(pause=1e6)
    monkeypatch.setattr(jit, "_postponed", lambda: found)
    return found


@pytest.fixture
def efforts(jobs: PostponedJobs, monkeypatch: pytest.MonkeyPatch) -> dict[str, jit.Effort]:
    """With how much effort each kind of code is compiled."""
    found: dict[str, jit.Effort] = {}
    compiled = jit._compile

    def compile_(text: str, name: str, effort: jit.Effort) -> Any:
        found[name] = effort
        return compiled(text, name, effort)

    monkeypatch.setattr(jit, "_compile", compile_)
    return found


def forget() -> None:
    for codes in (writer._kernels, loops._codes, scalar_function._codes):
        codes._values.clear()  # type: ignore[attr-defined]
    jit._loaded.clear()


def results(inputs: Any, outputs: Any, arrays: Any) -> list[bytes]:
    f = sm.compile(list(inputs), list(outputs), backend="native")
    return [np.asarray(value).tobytes() for value in f(*arrays)]


FULL = jit.Effort.FULL


@pytest.mark.parametrize("name", OPS)
def test_ops(name: str, jobs: PostponedJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derivatives consist of other ops of the table."""
    built = build(next(cases_of(OP_CLASSES[name])), "float64")
    dense = [y for y in built.outputs if not isinstance(y.type, SparseType)]
    if not dense:
        pytest.skip("sparse matrices are not computed by native code")
    outputs = [*dense, *(y + y for y in dense if y.type.is_float)]
    little = results(built.inputs, outputs, built.arrays)
    forget()
    compiled = jit._compile
    monkeypatch.setattr(jit, "_compile", lambda text, name, _: compiled(text, name, FULL))
    assert results(built.inputs, outputs, built.arrays) == little


@pytest.mark.parametrize(
    ("shape", "is_fast", "effort"),
    [
        ((), False, jit.Effort.NONE),
        ((7,), False, jit.Effort.LOW),
        ((), True, FULL),
        ((7,), True, FULL),
    ],
)
def test_fast_arithmetic_is_worth_all_passes(
    shape: Any, is_fast: bool, effort: jit.Effort, efforts: dict[str, jit.Effort]
) -> None:
    """Terms change places only if LLVM's later passes look at them."""
    x = sm.Variable("x", shape)
    f = sm.compile([x], sm.sum(sm.sin(x) + x * x), backend="native", fastmath=is_fast)
    f(np.ones(shape))
    assert efforts.items() >= {("loops" if shape else "function", effort)}


@pytest.mark.parametrize(
    ("made", "size", "effort"),
    [
        (lambda x: x * x + 2 * x, 7, jit.Effort.NONE),
        (lambda x: x * x + 2 * x, 1 << 17, jit.Effort.LOW),
        (lambda x: sm.sin(x) + 2 * x, 7, jit.Effort.LOW),
        (lambda x: sm.sum(x * x), 7, jit.Effort.LOW),
    ],
    ids=["arithmetic", "large", "function", "sum"],
)
def test_small_nests_of_arithmetic_can_wait_for_passes(
    made: Any, size: int, effort: jit.Effort, efforts: dict[str, jit.Effort]
) -> None:
    """Others would take more than twice as long without passes."""
    x = sm.Variable("x", (size,))
    sm.compile([x], made(x), backend="native")(np.ones(size))
    assert efforts["loops"] is effort


@pytest.mark.parametrize("seed", range(4))
def test_code_of_numbers_that_is_replaced_has_the_same_bits(
    seed: int, jobs: PostponedJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a function returned before its code was replaced, it returns again."""
    monkeypatch.setenv("SYMAD_CACHE_DIR", str(tmp_path))
    made = scalar_graph(seed, 80, ALL, with_gradient=seed % 2 == 0)
    given = dict(zip(made.graph.inputs, made.values, strict=True))
    outputs = made.graph.outputs
    graphs = [sm.Graph(outputs[k : k + 8]) for k in range(0, len(outputs), 8)]
    functions = [sm.compile(list(g.inputs), list(g.outputs), backend="native") for g in graphs]

    def bits() -> list[list[bytes]]:
        points = [[given[x] for x in graph.inputs] for graph in graphs]
        pairs = zip(functions, points, strict=True)
        return [[np.asarray(value).tobytes() for value in f(*point)] for f, point in pairs]

    before = bits()
    assert 0 < len(jobs._jobs) <= len(functions)
    jobs.finish()
    assert not jobs._jobs and bits() == before
