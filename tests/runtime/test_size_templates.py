"""Programs for new sizes without the pipeline: they are those that the pipeline makes."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.base import CompileRequest, Settings
from symad.backends.select import NATIVE
from symad.errors import ShapeError, SymadError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES
from symad.graph.tape import Traced
from symad.ops.exponential import Exp
from symad.runtime import pipeline, size_template
from symad.runtime.function import Function
from tests.ops.test_op_table import CASES
from tests.support.op_checks import build, probe

pytest.importorskip("llvmlite")

SHARE = int(os.environ.get("SYMAD_SIZE_CASES", "12"))
"""One of so many cases of the op table is tried; 1 takes half a minute."""
SIZES: Sequence[Callable[[int], int]] = (
    lambda size: 5 * size + 12, lambda size: 5 * size + 7, lambda size: size + 61,
    lambda size: 97 * size + 40, lambda size: size,
)  # fmt: skip
"""What sizes of samples are replaced by; a template is made of the first two."""


def request_of(graph: sm.Graph, types: Any, threads: int = 1) -> CompileRequest:
    settings = Settings(NATIVE, threads)
    return CompileRequest(graph, types, settings, NATIVE.workspace(graph, settings), None)


def made_anew(request: CompileRequest) -> Any:
    """Return the description of the program that the pipeline makes, ``None`` if it makes none."""
    with suppress(SymadError, size_template.TapeError):
        return size_template._traced(request, request.types)[0]
    return None


def check(nodes: Sequence[Node], inputs: Sequence[Node], threads: int = 1) -> bool | None:
    """Compare a template with the pipeline, and return whether it has a program for its own sizes.

    ``None`` if the pipeline makes none, or all sizes are known.
    """
    graph = sm.Graph(list(nodes), list(inputs))
    requests = [
        request_of(graph, tuple(with_sizes(node, change) for node in inputs), threads)
        for change in SIZES
    ]
    latest, request, *_ = requests
    varying = size_template._varying(latest.types, request.types)
    expected = [made_anew(request) for request in requests]
    template = size_template.size_template(request, varying) if varying else None
    if template is None:
        return False if varying and expected[1] else None
    found = [template.content(request.types) for request in requests]
    for got, fresh, request in zip(found, expected, requests, strict=True):
        assert got is None or repr(got) == repr(fresh), request.types
    return found[1] is not None


def with_sizes(node: Node, change: Callable[[int], int]) -> Any:
    return node.type.with_shape(tuple(change(int(name[1:])) for name in node.type.shape))


def test_templates_of_ops_and_derivatives_give_what_the_pipeline_makes() -> None:
    made = []
    for case in CASES:
        if zlib.crc32(case.id.encode()) % SHARE:
            continue
        built = build(case, "float32", "named")
        made.append(check(built.outputs, built.inputs))
        found = probe(case, knowledge="named")
        if found is not None:
            made.append(check([*found.pulled, *found.pushed], found.inputs))
    assert made.count(True) > 5 * made.count(False)


# Functions


def layers(hidden: int = 9) -> Function:
    """Return loss and slopes of a network, of which batch sizes are called."""
    x, y = sm.Variable("x", ("batch", 5), "float32"), sm.Variable("y", ("batch",), "int64")
    weights = sm.Variable("W", (5, hidden), "float32"), sm.Variable("V", (hidden, 4), "float32")
    logits = sm.tanh(x @ weights[0]) @ weights[1]
    loss = sm.mean(sm.logsumexp(logits, 1) - sm.take_along_axis(logits, y[:, None], 1)[:, 0])
    return sm.compile([x, y, *weights], [loss, *sm.gradients(loss, weights)], backend="native")


def batch(size: int, hidden: int = 9) -> list[Any]:
    rng = np.random.default_rng(size)
    shapes = (size, 5), (5, hidden), (hidden, 4)
    x, *weights = (rng.standard_normal(shape).astype("float32") for shape in shapes)
    return [x, rng.integers(0, 4, size), *weights]


def bits(results: Any) -> list[bytes]:
    return [np.asarray(result).tobytes() for result in results]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list with an item for each run of all passes on plain sizes."""
    runs: list[int] = []
    run_passes = pipeline.run_passes

    def counting(graph: Any, job: Any, *rest: Any, **others: Any) -> Any:
        if not others and job.types is not None:
            runs.append(len(graph))
        return run_passes(graph, job, *rest, **others)

    monkeypatch.setattr(pipeline, "run_passes", counting)
    return runs


def test_further_sizes_need_no_pipeline(compiled: list[int]) -> None:
    f = layers()
    for size in (20, 21):
        f(*batch(size))
    assert len(compiled) == 2
    sizes = [22, 23, 35, 50, 23, 20]
    got = [f(*batch(size)) for size in sizes]
    assert len(compiled) == 2
    for size, results in zip(sizes, got, strict=True):
        assert bits(results) == bits(layers()(*batch(size)))


def test_other_programs_are_made_where_sizes_decide(compiled: list[int]) -> None:
    """Sizes of 1, of few, of other axes, at bounds of blocks, large ones, and none."""
    f = layers()
    for size in (20, 21, 22, 1, 2, 9, 5, 4, 0, 16, 64, 256, 3000, 40_000, 3001, 23):
        got, before = f(*batch(size)), len(compiled)
        assert bits(got) == bits(layers()(*batch(size))), size
        assert len(compiled) <= before + 1


def test_plan_and_passes_are_those_of_the_size() -> None:
    f, fresh = layers(), layers()
    for size in (20, 21, 22, 23):
        results = f(*batch(size))
    assert bits(results) == bits(fresh(*batch(23)))
    assert str(f.plan) == str(fresh.plan) and "[23,9]" in str(f.plan)
    assert str(f.passes.graph) == str(fresh.passes.graph)


def test_sizes_that_do_not_fit_are_errors() -> None:
    x, y = sm.Variable("x", (None, 3)), sm.Variable("y", (None,))
    f = sm.compile([x, y], sm.sum(x * y[:, None] - 1), backend="native")
    numbers = np.random.default_rng(0).random((50, 3))
    for size in (20, 21, 22, 23):
        expected = np.sum(numbers[:size] * numbers[:size, :1] - 1)
        np.testing.assert_allclose(f(numbers[:size], numbers[:size, 0]), expected, rtol=1e-12)
    with pytest.raises(ShapeError):
        f(numbers[:24], numbers[:25, 0])
    np.testing.assert_allclose(  # which broadcasts
        f(numbers[:24], numbers[:1, 0]), np.sum(numbers[:24] * numbers[0, 0] - 1), rtol=1e-12
    )


def test_loops_and_threads(compiled: list[int]) -> None:
    xs, w = sm.Variable("x", ("steps", 3)), sm.Variable("w", (3, 3))
    last, states = sm.scan(lambda h, x: (sm.tanh(w @ h + x), h), sm.zeros(3), xs)
    outputs = [last, *sm.gradients(sm.sum(last) + sm.sum(states**2), [xs, w])]
    f = sm.compile([xs, w], outputs, backend="native", threads=2)
    rng = np.random.default_rng(0)
    for size in (20, 21, 22, 23, 90, 20_000, 5):
        given = rng.random((size, 3)), rng.random((3, 3))
        fresh = sm.compile([xs, w], outputs, backend="native", threads=2)(*given)
        before = len(compiled)
        assert bits(f(*given)) == bits(fresh)
        if size in (22, 23, 90):
            assert len(compiled) == before


def test_memory_that_calls_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_CHECKED_FROM", 1 << 10)
    f = layers()
    for size in (100, 101, 102, 117):
        f(*batch(size))
        found = f.specialised()
        assert ("_compiled" in vars(found)) == (size < 102)
        assert found.memory == f.plan.lower_bound > 1000


def test_ops_of_others_meet_plain_sizes_only() -> None:
    kinds: list[Any] = []

    class Noting(Exp):
        name = "noting"

        def infer(self, *types: Any) -> Any:
            kinds.extend(type(size) for size in types[0].shape)
            return super().infer(*types)

    try:
        x = sm.Variable("x", (None,))
        f = sm.compile([x], apply(Noting(), x) + 1, backend="native")
        for size in (20, 21, 22, 23):
            np.testing.assert_allclose(f(np.zeros(size)), np.full(size, 2.0))
    finally:
        OP_CLASSES.pop("noting", None)
    assert not any(kind is Traced for kind in kinds)
