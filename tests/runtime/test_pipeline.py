"""The pipeline: one list of steps, of which each is reported, and backends that plug into it."""

from __future__ import annotations

import pickle
import types
from typing import Any

import numpy as np
import pytest

import symad as sm
from benchmarks.compile_path import first_call, path_of, warm_up
from symad.backends.base import Backend, Settings
from symad.backends.numpy import kernel_of, numpy_program
from symad.backends.select import BACKENDS, register_backend
from symad.errors import GraphTypeError
from symad.graph.graph import verify
from symad.ops.fused import Fused
from symad.passes.grade import Grade
from symad.passes.rewrite import SHARE
from symad.runtime.pipeline import PASSES, PIPELINE, STAGES, Job, compile_graph, run_passes
from tests.support.golden_corpus import CORPUS, Case

NAMES = [
    "specialise", "batch", "loops", "fission", "bodies", "allow failures", "rewrite",
    "order products", "transpose products", "recompute", "decompose", "fuse", "schedule", "lower",
    "assign buffers", "emit",
]  # fmt: skip


@pytest.fixture(params=["numpy", "native"])
def backend(request: Any) -> str:
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return str(request.param)


def test_the_list_is_the_list() -> None:
    assert [step.name for step in PIPELINE] == NAMES
    assert PIPELINE == (*PASSES, *STAGES)


@pytest.mark.parametrize("rewrites", ["exact", "finite"])
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.__name__)
def test_each_step_has_a_row(case: Any, backend: str, rewrites: Any) -> None:
    """In order, by its name, also where it was left out or changed nothing; each is timed."""
    inputs, outputs, fed = case()
    f = sm.compile(inputs, outputs, backend=backend, rewrites=rewrites)
    f(*fed)
    passes = f.passes
    assert [*(r.name for r in passes.reports), *(s.name for s in passes.stages)] == NAMES
    rows = str(passes).splitlines()
    assert len(rows) == 1 + len(NAMES)
    assert all(row.startswith(name) for row, name in zip(rows[1:], NAMES, strict=True))
    assert all(report.seconds >= 0 for report in (*passes.reports, *passes.stages))
    assert passes.stages[-1].seconds > 0
    for one, other in zip(passes.reports, passes.reports[1:], strict=False):
        assert one.nodes_after == other.nodes_before
    assert passes.reports[0].nodes_before == len(f.graph)
    assert passes.reports[-1].nodes_after == len(passes.final) == len(f.plan.graph)


def layer() -> Case:
    x, w = sm.Variable("x", shape=("n", 8)), sm.Variable("w", shape=(8, 8))
    y = sm.mean(sm.softmax(x @ w) * sm.exp(x @ w))
    return [x, w], [y, *sm.gradients(y, [x, w])], [np.ones((5, 8)), np.eye(8)]


def kept_reports(backend: Backend | None) -> Any:
    inputs, outputs, fed = layer()
    types = [sm.TensorType(np.dtype(float), np.shape(value)) for value in fed]
    job = Job(Grade.ROUNDING, types, backend=backend)
    return run_passes(sm.Graph(outputs, inputs), job, keep=True)


def test_reports_can_hold_what_a_player_shows() -> None:
    """The graphs before and after each step, and each rewrite: those of decompose as well."""
    pytest.importorskip("llvmlite")
    made = kept_reports(BACKENDS["native"])
    by_name = {report.name: report for report in made.reports}
    for report in made.reports:
        assert len(report.before) == report.nodes_before
        assert len(report.after) == report.nodes_after
        verify(report.after)
        assert sum(report.rules.values()) == len(report.rewritings)
    for one, other in zip(made.reports, made.reports[1:], strict=False):
        assert one.after is other.before
    assert {"softmax", "mean"} & {
        r.old.op.name for r in by_name["decompose"].rewritings if r.old.op
    }
    assert SHARE in [r.rule for r in by_name["rewrite"].rewritings]
    assert any(isinstance(node.op, Fused) for node in by_name["fuse"].after.nodes)
    assert made.graph is by_name["recompute"].after and made.final is by_name["fuse"].after


def test_reports_of_functions_hold_no_graphs() -> None:
    """They are kept as long as the function, and rewritings would keep all that was replaced."""
    inputs, outputs, fed = layer()
    f = sm.compile(inputs, outputs)
    f(*fed)
    assert not any(r.before or r.after or r.rewritings for r in f.passes.reports)


def test_without_loop_nests_nothing_is_done_for_them() -> None:
    made = kept_reports(BACKENDS["numpy"])
    assert made.final is made.graph
    assert made.final is not None and len(kept_reports(None).final) == len(made.final)


# Backends


class Counting(Backend):
    """Counts the calls of kernels."""

    name = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def emit(self, plan: Any, settings: Settings, workspace: Any) -> Any:
        def counted(op: Any) -> Any:
            kernel = kernel_of(op)

            def run(*arrays: Any) -> Any:
                self.calls += 1
                return kernel(*arrays)

            return run

        return numpy_program(plan, counted)


def test_an_instance_is_a_backend() -> None:
    backend = Counting()
    inputs, outputs, fed = layer()
    f = sm.compile(inputs, outputs, backend=backend)
    expected = sm.compile(inputs, outputs, backend="numpy")(*fed)
    for _ in range(3):
        for a, b in zip(f(*fed), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert backend.calls == 3 * len(f.plan.instructions)
    assert sm.Executor(outputs, backend=backend).run(dict(zip(inputs, fed, strict=True)))
    assert isinstance(pickle.loads(pickle.dumps(f)).settings.backend, Counting)


def test_registered_backends_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(BACKENDS, "counting", raising=False)
    backend = register_backend(Counting())
    try:
        assert sm.compile([], sm.constant(1.0), backend="counting").settings.backend is backend  # type: ignore[arg-type]
        register_backend(Counting())  # the same class may come again, as a module is run again

        class Other(Backend):
            name = "counting"

        with pytest.raises(GraphTypeError, match="a backend 'counting' already exists"):
            register_backend(Other())
    finally:
        del BACKENDS["counting"]
    with pytest.raises(GraphTypeError, match=r"no backend 'numpi'. Did you mean 'numpy'\?"):
        sm.compile([], sm.constant(1.0), backend="numpi")  # type: ignore[arg-type]
    named = (type("Named", (Backend,), {"name": name})() for name in (1, "auto"))
    for wrong in (object(), types.SimpleNamespace(name="strange"), Backend(), *named):
        with pytest.raises(GraphTypeError, match="cannot be registered"):
            register_backend(wrong)  # type: ignore[arg-type]


def test_what_a_backend_must_have_is_said() -> None:
    class Nothing(Backend):
        name = "nothing"

    with pytest.raises(NotImplementedError, match=r"backend 'nothing' has no emit\(\)"):
        sm.compile([], sm.constant(1.0), backend=Nothing())()


def test_a_backend_may_have_stages_of_its_own() -> None:
    """Each gets what the one before it returned; the last makes the program."""
    seen = []

    class Staged(Backend):
        name = "staged"
        fuses = True

        def supports(self, node: sm.Node) -> bool:
            return node.op is not None and node.op.name != "exp"

        def workspace(self, graph: Any, settings: Any) -> Any:
            return seen

        def schedule(self, graph: Any, settings: Any) -> Any:
            seen.append(graph)
            return super().schedule(graph, settings)

        def emit(self, plan: Any, settings: Any, workspace: Any) -> Any:
            assert workspace is seen
            return numpy_program(plan)

    inputs, outputs, fed = layer()
    settings = Settings(Staged())
    types = [sm.TensorType(np.dtype(float), np.shape(value)) for value in fed]
    graph = sm.Graph(outputs, inputs)
    workspace = settings.backend.workspace(graph, settings)
    passes, program = compile_graph(graph, types, settings, workspace)
    assert seen == [passes.final]
    inside = [n.op.body for n in passes.final.nodes if isinstance(n.op, Fused)]
    assert inside and not any(n.op and n.op.name == "exp" for body in inside for n in body.nodes)
    expected = sm.compile(inputs, outputs, backend="numpy")(*fed)
    for a, b in zip(program(fed), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_way_of_one_expression_is_short() -> None:
    """A ratchet: how many files and switches between them a compilation and a first call take."""
    pytest.importorskip("llvmlite")
    warm_up("native")
    path = path_of(first_call("native"))
    assert len(path.files) <= 67 and path.switches < 2600 and path.calls.total() < 8600
