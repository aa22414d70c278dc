"""Programs on disk: another process finds them, they are the same, and nothing else is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.base import CompileRequest
from symad.errors import EvaluationError
from symad.graph.node import apply
from symad.graph.op import OP_CLASSES, Op
from symad.graph.operators import FUNCTIONS
from symad.ops.base import PerElement
from symad.ops.exponential import Exp
from symad.types import SparseType
from tests.ops.test_op_table import OPS
from tests.support.op_checks import build, cases_of

pytest.importorskip("llvmlite")
if sys.platform != "linux":
    pytest.skip("programs are stored on Linux only", allow_module_level=True)

from symad.backends.native import jit, scalar_function, stored_program  # noqa: E402
from symad.backends.native.backend import NativeBackend  # noqa: E402
from symad.backends.native.kernel_call import KernelCall  # noqa: E402
from symad.backends.native.kernels import loops, writer  # noqa: E402
from symad.backends.native.segment_code import (  # noqa: E402
    BodyCalls,
    LoopCall,
    Operand,
    SegmentCode,
)
from symad.plan.storage import Storage  # noqa: E402

ROOT = Path(__file__).parents[2]
LASTING = NativeBackend.lasting_program  # which other tests do without


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = tmp_path / "code"
    monkeypatch.setenv("SYMAD_CACHE_DIR", str(chosen))
    monkeypatch.setattr(NativeBackend, "lasting_program", LASTING)
    monkeypatch.setattr(jit, "_loaded", OrderedDict())  # made with no folder, or another one
    for module in (writer, loops, scalar_function):
        monkeypatch.setattr(module, "_kernels" if module is writer else "_codes", jit.Latest(1024))
    return chosen


def is_recalled(f: Any) -> bool:
    """Return whether the pipeline has not run for the latest call."""
    return "_compiled" not in vars(f.specialised())


def twice(inputs: Any, outputs: Any, *values: Any, **options: Any) -> tuple[Any, Any, Any]:
    """Return what two functions made of the same graph return, and the second one."""
    first = sm.compile(inputs, outputs, backend="native", **options)
    again = sm.compile(inputs, outputs, backend="native", **options)
    return first(*values), again(*values), again


PROGRAM = """
import sys
import numpy as np, symad as sm
x, w = sm.Variable("x", shape=("n",)), sm.Variable("w", shape=("n", "n"))
y = sm.sum(sm.tanh(w @ x) ** 2)
f = sm.compile([x, w], {"y": y, "slopes": sm.gradients(y, [x, w])}, backend="native")
s = sm.Variable("s", shape=())
g = sm.compile([s], [sm.exp(s) * s, 1 / s], backend="native")
given = np.linspace(0.1, 0.4, 4), np.linspace(-1, 1, 16).reshape(4, 4)
found = repr([f(*given), f(given[0][::-1], given[1].T), g(2.0), g(2)])
ran = [name for name in sys.modules if name.startswith(("symad.passes.r", "symad.plan.p"))]
print(len(ran), found, f.plan, g.plan, f.passes.graph, sep="|")
"""


def in_process(program: str, folder: Path | str, *arguments: str) -> str:
    variables = {**os.environ, "SYMAD_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_runs_no_pass_and_finds_the_same(folder: Path) -> None:
    first, second = (in_process(PROGRAM, folder).partition("|") for _ in range(2))
    assert int(first[0]) > 0 and int(second[0]) == 0
    assert first[2] == second[2]


CONTENTS = """
import sys
import numpy as np, symad as sm
from symad.backends.base import Backend
from symad.backends.native.backend import NativeBackend
from symad.graph.description import NotStorable
from tests.backends.test_stored_programs import graphs
NativeBackend.lasting_program = Backend.lasting_program
for name, inputs, outputs, arrays in graphs():
    f = sm.compile(inputs, outputs, backend="native")
    f(*arrays)
    try:
        print(name, f.specialised().program.description(f.outputs), sep=":")
    except NotStorable:
        print(name, "has no description")
"""


def graphs() -> list[tuple[str, Any, Any, Any]]:
    """Return a graph for each op that is more than a nest, and some with loops and constants."""
    found = []
    for name in OPS:
        if not issubclass(OP_CLASSES[name], PerElement):
            built = build(next(cases_of(OP_CLASSES[name])), "float64")
            dense = [y for y in built.outputs if not isinstance(y.type, SparseType)]
            if dense:
                found.append((name, list(built.inputs), dense, built.arrays))
    x, w = sm.Variable("x", shape=(20, 3)), sm.Variable("w", shape=(3, 3))
    step = lambda state, row: (sm.tanh(w @ state + row), sm.sum(state))  # noqa: E731
    last, _ = sm.scan(step, sm.zeros(3), x)
    table = np.arange(15.0).reshape(5, 3)
    outputs = [*sm.gradients(sm.sum(last), [x, w]), x @ table.T, sm.linalg.solve(w.T @ w, x.T)]
    rng = np.random.default_rng(0)
    found.append(("program", [x, w], outputs, (rng.random((20, 3)), rng.random((3, 3)))))
    return found


def test_what_is_stored_is_the_same_in_every_process(folder: Path) -> None:
    """So it holds no address."""
    first, second = (in_process(CONTENTS, folder).splitlines() for _ in range(2))
    assert len(first) == len(second) > 90
    assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]] == []


def test_everything_is_described() -> None:
    """What is added here must be stored, or refused as ``stacks`` are; nodes and ``over`` are not
    needed to run."""
    assert {kind: list(kind._record_fields) for kind in (KernelCall, LoopCall, BodyCalls)} == {
        KernelCall: ["address", "arguments", "module", "node", "work", "over", "parts", "threads"],
        LoopCall: ["kind", "bodies", "count", "node", "work", "flag", "limit"],
        BodyCalls: ["code", "arena", "inputs", "outputs"],
    }
    assert {kind: list(kind._record_fields) for kind in (SegmentCode, Operand, Storage)} == {
        SegmentCode: [
            "calls", "blocks", "inputs", "outputs", "contents", "arena", "kept", "stacks"
        ],
        Operand: ["view", "step", "alternates", "from_end"],
        Storage: ["kind", "place"],
    }  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_ops(name: str, folder: Path) -> None:
    """A recalled program gives the same bits, and has the same plan."""
    built = build(next(cases_of(OP_CLASSES[name])), "float32")
    outputs = [y for y in built.outputs if not isinstance(y.type, SparseType)]
    if not outputs:
        pytest.skip("sparse matrices are not computed by native code")
    made, found, _ = twice(list(built.inputs), outputs, *built.arrays)
    for a, b in zip(made, found, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes() and np.shape(a) == np.shape(b)


def test_every_difference_makes_another_program(folder: Path) -> None:
    x = sm.Variable("x", shape=("n", "m"))
    value = np.linspace(0.1, 1, 12).reshape(3, 4)
    variants: list[tuple[Any, dict[str, Any]]] = [
        (sm.sum(x * 3.5, axis=0), {}),
        (sm.sum(x * 3.5, axis=1), {}),
        (sm.sum(x * 2.5, axis=1), {}),
        ([sm.sum(x * 2.5, axis=1)], {}),
        (sm.sum(x * 2.5, axis=1), {"rewrites": "exact"}),
        (sm.sum(x * 2.5, axis=1), {"fastmath": True}),
        (sm.sum(x * 2.5, axis=1), {"threads": 2}),
        (x[0] + np.array([1.0, 2.0, 3.0, 4.0]), {}),
        (x[0] + np.array([1.0, 2.0, 3.0, 5.0]), {}),
        (x[1] + np.array([1.0, 2.0, 3.0, 5.0]), {}),
    ]
    for outputs, options in variants:
        f = sm.compile([x], outputs, backend="native", **options)
        want = sm.compile([x], outputs, backend="numpy")(value)
        np.testing.assert_allclose(f(value), want, rtol=1e-12)
        assert not is_recalled(f)
    for outputs, options in variants:
        assert is_recalled(twice([x], outputs, value, **options)[2])
    f = sm.compile([x], variants[0][0], backend="native")
    f(value[:2])
    assert not is_recalled(f)  # other sizes


PATHS = """
from benchmarks.compile_path import first_call, path_of, warm_up
warm_up("native")
for path in (path_of(first_call("native")), path_of(first_call("native"))):
    print(len(path.files), path.switches, path.calls.total())
"""


def test_the_way_of_one_expression_from_disk_is_short(folder: Path) -> None:
    """A ratchet: how many files and calls a first call takes, and one whose program is on disk."""
    lines = in_process(PATHS, folder).splitlines()
    first, second = (list(map(int, line.split())) for line in lines)
    assert first[0] <= 67 and first[1] < 2600 and first[2] < 8600
    assert second[0] <= 30 and second[2] < 900


def test_loops_are_stored(folder: Path) -> None:
    x, w = sm.Variable("x", shape=("n", 3)), sm.Variable("w", shape=(3, 3))
    last, _ = sm.scan(lambda state, row: (sm.tanh(w @ state + row), None), sm.zeros(3), x)
    outputs = [last, *sm.gradients(sm.sum(last), [x, w])]
    rng = np.random.default_rng(3)
    made, found, f = twice([x, w], outputs, rng.random((20, 3)), rng.random((3, 3)))
    assert is_recalled(f)
    for a, b in zip(made, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_make_no_difference(folder: Path) -> None:
    for name in ("x", "y"):
        x = sm.Variable(name, shape=(3,))
        f = sm.compile([x], sm.exp(x), name=name, backend="native")
        f(np.ones(3))
    assert is_recalled(f) and "v1      input y: f64[3]" in str(f.plan)


def test_shapes_that_are_the_same_are_told_from_others(folder: Path) -> None:
    """Unknown shapes print alike; what is known of stable forms depends on whether they are one."""
    from symad.graph.description import described

    x, y = sm.Variable("x"), sm.Variable("y")
    assert described(sm.Graph([x + x])) != described(sm.Graph([x + y]))
    one, other = sm.exp(x) * y, sm.exp(x) * x
    assert described(sm.Graph([one], [x, y])) != described(sm.Graph([other], [x, y]))


def test_errors_name_the_line(folder: Path) -> None:
    a = sm.Variable("a", shape=(3, 3))
    for _ in range(2):
        f = sm.compile([a], sm.linalg.solve(a, np.ones(3)), backend="native")
        f(np.eye(3))
        with pytest.raises(EvaluationError, match=r"(?s)solve.*test_stored_programs"):
            f(np.zeros((3, 3)))


def test_a_recalled_program_takes_what_any_takes(folder: Path) -> None:
    x = sm.Variable("x", shape=(4, 3))
    outputs = [x.T @ x, sm.sum(x)]
    value = np.arange(12.0).reshape(4, 3)
    made, found, f = twice([x], outputs, value)
    place = [np.zeros((3, 3)), None]
    given = f(np.asfortranarray(value), out=place)
    assert given[0] is place[0]
    for each in (found, given, f(value.tolist()), f(x=value)):
        np.testing.assert_array_equal(each[0], made[0])
    assert len(f.specialised().program.profile([value])) > 0
    assert sm.memory(f, value) is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_large_nests(threads: int, folder: Path) -> None:
    """Their parts are shared by threads; what a call needs is known without the plan."""
    x = sm.Variable("x", shape=("n", 300))
    outputs, value = [sm.sum(sm.exp(x), axis=0), x * 2], np.linspace(0, 1, 900_000).reshape(-1, 300)
    made, found, f = twice([x], outputs, value, threads=threads)
    for a, b in zip(made, found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert is_recalled(f)


def test_the_memory_of_calls_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from symad.runtime import pipeline

    monkeypatch.setattr(pipeline, "_CHECKED_FROM", 1)
    x = sm.Variable("x", shape=("n",))
    _, _, f = twice([x], sm.sum(sm.exp(x)[::-1] * x), np.ones(1000))
    assert is_recalled(f) and f.specialised().memory == f.plan.lower_bound > 0


def test_damaged_and_missing_files_are_made_again(folder: Path) -> None:
    x = sm.Variable("x", shape=(5, 4))
    outputs, value = sm.sum(sm.exp(x) @ x.T), np.linspace(0, 1, 20).reshape(5, 4)
    want = sm.compile([x], outputs, backend="native")(value)
    for path in list(folder.iterdir()):
        content = path.read_bytes()
        for damaged in (b"", content[:-3], content[::-1], None):
            path.write_bytes(damaged) if damaged is not None else path.unlink()
            assert sm.compile([x], outputs, backend="native")(value) == want


def test_ops_of_others_are_not_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their code may be another one in the next process, also in the body of a loop."""
    monkeypatch.setattr("symad.graph.op.OP_CLASSES", dict(OP_CLASSES))
    monkeypatch.setattr("symad.graph.operators.FUNCTIONS", FUNCTIONS)

    class Half(Exp):
        name = "half_of_test"

    x = sm.Variable("x", shape=(3,))
    half = sm.Variable("h", shape=())
    whole = sm.scan(lambda state, row: (apply(Half(), state) + row, None), 0.0 * half, x)[0]
    for inputs, y in (([x], apply(Half(), x)), ([half, x], whole)):
        request = CompileRequest(
            sm.Graph([y], inputs), tuple(n.type for n in inputs), settings(), None, y
        )
        assert stored_program.key_of(request) is None


def settings() -> Any:
    return sm.compile([], sm.constant(1.0), backend="native").settings


def test_replaced_formulas_and_other_backends_make_other_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = sm.Variable("x", shape=(3,))
    y = sm.exp(x)
    request = CompileRequest(sm.Graph([y], [x]), (x.type,), settings(), None, y)
    before = stored_program.key_of(request)
    kind: type[Op] = type(y.op)  # type: ignore[assignment]
    monkeypatch.setattr(kind, "scalar", lambda self, builder, x: x)
    assert before is not None and before != stored_program.key_of(request)

    class Other(NativeBackend):
        name = "other"

    f = sm.compile([x], y, backend=Other())
    assert stored_program.key_of(
        CompileRequest(sm.Graph([y], [x]), (x.type,), f.settings, None, y)
    ) is None
