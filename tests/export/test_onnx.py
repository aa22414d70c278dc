"""Models of ONNX: every op of the table is run by ONNX Runtime, and gives what NumPy gives.

``SYMAD_ONNX_CASES=1`` runs all cases with all declarations and dtypes; by default, those apart from
float64 with known shapes are every fifth.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError, MissingExtraError
from symad.export.onnx_file import lowered, onnx_model
from symad.export.onnx_table import PROMOTING, TABLE
from symad.graph.op import OP_CLASSES
from symad.ops.body import WithBody
from symad.passes.specialise import specialise
from tests.ops.test_op_table import CASES
from tests.support import op_checks as checks
from tests.support.onnx_sessions import outputs_of, run_model, session_of
from tests.support.op_checks import Case

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EACH = int(os.environ.get("SYMAD_ONNX_CASES", "5"))
BATCH = 100
TOLERANCES = {"float64": (1e-12, 1e-13), "float32": (1e-5, 1e-6)}

LACKING = {
    "assemble_csr": "ONNX Runtime does not take sparse matrices",
    "lu_factors solve_factored inverse_factored slogdet_factored": "made for machine code",
    "eigh eigvalsh svd svdvals qr orthogonal_complement pinv expm sqrtm solve_sylvester":
        "iterations of LAPACK and SciPy",
    "nextafter": "no op sees the bits of a float",
    "polygamma polygamma_step zeta gammainc gammaincc gammaincinv betainc betaincinv stdtr stdtrit "
    "bessel_i scaled_bessel_i iv ive jv kv yv exp1 expi expn spence hyp1f1 hyp2f1 scaled_erfc":
        "series of special functions",
}  # fmt: skip
"""Ops that ONNX has nothing for, and why."""
REFUSED = {name for names in LACKING for name in names.split()}


def built_functions(cases: list[Case], dtype: str, knowledge: str) -> tuple[sm.Function, list[Any]]:
    """Return one function of many cases, since ONNX Runtime prepares one model faster than many."""
    built = [checks.build(case, dtype, knowledge) for case in cases]
    inputs = [x for each in built for x in each.inputs]
    outputs = {case.id: list(each.outputs) for case, each in zip(cases, built, strict=True)}
    return sm.compile(inputs, outputs, backend="numpy"), [a for b in built for a in b.arrays]


def check(cases: list[Case], dtype: str, knowledge: str, optimised: bool = True) -> None:
    f, arrays = built_functions(cases, dtype, knowledge)
    types = [node.type for node in f.graph.inputs]
    graph = lowered(f) if optimised else specialise(f.graph, types)
    found = run_model(onnx_model(f, graph), arrays)
    wanted = f(*arrays)
    for case in cases:
        precision = "float32" if "float32" in case.id else dtype
        rtol, atol = TOLERANCES[precision]
        for k, a in enumerate(wanted[case.id]):
            b = found[f"{case.id}.{k}"]
            assert (np.shape(a), a.dtype) == (b.shape, b.dtype), case.id
            np.testing.assert_allclose(b, a, rtol=rtol, atol=atol, err_msg=case.id)


TRANSLATED = [
    case
    for case in CASES
    if case.op_class.name not in REFUSED and case.id != "nan_on_failure-special"
]
UNKNOWN_RANK = {"squeeze-all", "squeeze-to a scalar", "squeeze-nothing to do"}
"""How many axes of unknown size are dropped is not known."""
NEED_SIZES = {"fused", "array_index-mask", "cofactors", "cofactors-singular", "cofactors-stack"}


@pytest.mark.parametrize("first", range(0, len(TRANSLATED), BATCH))
def test_every_op_is_computed(first: int) -> None:
    check(TRANSLATED[first : first + BATCH], "float64", "static")


@pytest.mark.parametrize("first", range(0, len(TRANSLATED), BATCH))
def test_every_op_is_computed_as_it_is_written(first: int) -> None:
    check(TRANSLATED[first : first + BATCH][::EACH], "float64", "static", optimised=False)


@pytest.mark.parametrize("first", range(0, len(TRANSLATED), BATCH))
def test_sizes_may_change(first: int) -> None:
    cases = TRANSLATED[first + 1 : first + BATCH][::EACH]
    check([c for c in cases if c.id not in UNKNOWN_RANK | NEED_SIZES], "float64", "named")


@pytest.mark.parametrize("first", range(0, len(TRANSLATED), BATCH))
def test_every_op_is_computed_in_float32(first: int) -> None:
    check(TRANSLATED[first + 2 : first + BATCH][::EACH], "float32", "static")


def test_what_is_lacking_is_named() -> None:
    refused = set()
    for case in CASES:
        if case.op_class.name in REFUSED:
            built = checks.build(case)
            f = sm.compile(list(built.inputs), list(built.outputs))
            graph = specialise(f.graph, [node.type for node in f.graph.inputs])
            with pytest.raises(ExportError, match="cannot be written in ONNX") as error:
                onnx_model(f, graph)
            assert "case.sample.call(*inputs)" in str(error.value), case.id
            refused.add(case.op_class.name)
    assert refused == REFUSED.intersection(OP_CLASSES)


def exported(function: sm.Function, provenance: bool = True) -> Any:
    return onnx_model(function, lowered(function), provenance)


def test_the_table_has_no_other_names() -> None:
    assert set(TABLE) <= set(OP_CLASSES) and set(PROMOTING) <= set(TABLE)
    assert not REFUSED.intersection(TABLE)
    assert not any(issubclass(OP_CLASSES[name], WithBody) for name in TABLE)


# Functions


def network(dtype: str = "float64") -> sm.Function:
    """Return a step of training, whose batch may have any size."""
    rng = np.random.default_rng(0)
    X = sm.Variable("X", shape=("batch", 20), dtype=dtype)
    labels = sm.Variable("labels", shape=("batch",), dtype="int64")
    sizes = (20, 16), (16,), (16, 4), (4,)
    W1, b1, W2, b2 = params = [
        sm.parameter(f"p{k}", rng.normal(0, 0.3, size).astype(dtype))
        for k, size in enumerate(sizes)
    ]
    hidden = sm.relu(X @ W1 + b1) @ W2 + b2
    loss = sm.nn.cross_entropy(hidden, labels)
    slopes = sm.gradients(loss, params)
    updates = {p: p - np.asarray(0.1, dtype) * g for p, g in zip(params, slopes, strict=True)}
    return sm.compile([X, labels], {"loss": loss, "slopes": slopes}, updates=updates, name="step")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_is_trained(dtype: str) -> None:
    step = network(dtype)
    session = session_of(exported(step))
    names = [x.name for x in session.get_inputs()]
    assert names == ["X", "labels"] and session.get_inputs()[0].shape == ["batch", 20]
    overridable = [x.name for x in session.get_overridable_initializers()]
    assert overridable == ["p0", "p1", "p2", "p3"]
    rng = np.random.default_rng(1)
    state: dict[str, Any] = {}
    for batch in (7, 1, 30, 7):
        X = rng.normal(size=(batch, 20)).astype(dtype)
        labels = rng.integers(0, 4, batch)
        found = outputs_of(session, {"X": X, "labels": labels, **state})
        wanted = step(X, labels)
        state = {name: found[f"{name}.new"] for name in overridable}
        rtol = 1e-13 if dtype == "float64" else 2e-5
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=rtol)
        for k, slope in enumerate(wanted["slopes"]):
            np.testing.assert_allclose(found[f"slopes.{k}"], slope, rtol=rtol, atol=rtol)
        for p in step.parameters:
            np.testing.assert_allclose(state[p.label], p.value, rtol=rtol, atol=rtol)


def test_a_parameter_that_is_only_read_is_a_constant() -> None:
    x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", [1.0, 2.0])
    model = exported(sm.compile([x], sm.sum(x * w)))
    assert [i.name for i in model.graph.input] == ["x"]
    assert "w" in [c.name for c in model.graph.initializer]


def loops() -> sm.Function:
    """Return a function with a scan, a map, a branch, a while loop, and their derivatives."""
    x, n = sm.Variable("x", shape=("n",)), sm.Variable("which", shape=(), dtype="int64")
    total, rows = sm.scan(lambda c, e: (c * 0.5 + sm.sin(e), c), 0.0, x)
    back = sm.scan(lambda c, e: (c * 0.5 + e, c * e), total, rows, reverse=True)[1]
    each = sm.map_over(lambda e: sm.sum(sm.scan(lambda c, _: (c * e, c), e, length=3)[1]), [x])
    steps = sm.while_loop(lambda c: sm.sum(c * c) > 0.1, lambda c: c * 0.5, x)
    which = sm.switch(n, [lambda: sm.sum(rows), lambda: sm.sum(each), lambda: total])
    loss = which + sm.sum(back * each) + sm.sum(steps)
    return sm.compile([x, n], {"loss": loss, "slope": sm.gradients(loss, x)}, backend="numpy")


def test_loops_and_branches_stay_what_they_are() -> None:
    f = loops()
    model = exported(f)
    kinds = {node.op_type for node in model.graph.node}
    assert {"Loop", "If"} <= kinds
    for count in (4, 1, 0):
        x = np.linspace(-0.4, 0.3, count)
        for n in range(3):
            found, wanted = run_model(model, [x, np.int64(n)]), f(x, n)
            np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-12)
            np.testing.assert_allclose(found["slope"], wanted["slope"], rtol=1e-12)


def test_the_index_of_a_branch_is_clipped() -> None:
    n = sm.Variable("n", shape=(), dtype="int64")
    model = exported(sm.compile([n], sm.switch(n, [lambda k=k: 1.0 * k for k in range(5)])))
    found = [float(run_model(model, [np.int64(k)])["output"]) for k in range(-2, 8)]
    assert found == [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0]


def test_equal_branches_are_told_apart() -> None:
    n, x = sm.Variable("n", shape=(), dtype="int64"), sm.Variable("x", shape=())
    same = [lambda: x * 2.0, lambda: x * 3.0, lambda: x * 2.0, lambda: x * 5.0]
    model = exported(sm.compile([n, x], sm.switch(n, same)))
    found = [run_model(model, [k, 1.0])["output"] for k in range(4)]
    assert found == [2.0, 3.0, 2.0, 5.0]


def test_a_loop_that_does_not_end_gives_nan() -> None:
    x = sm.Variable("x", shape=())
    y = sm.while_loop(lambda c: c < 1e6, lambda c: c * 2, x, max_steps=3)
    model = exported(sm.compile([x], y))
    found = [run_model(model, [np.float64(value)])["output"] for value in (1.0, 5e5)]
    assert np.isnan(found[0]) and found[1] == 1e6


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_at_their_limits(dtype: str) -> None:
    """Nothing traps, and what is too large wraps around."""
    limits = np.iinfo(dtype)
    ends = [limits.min, limits.max, limits.max - 1, 0, 1, 2, 7]
    values = np.array([*ends, -1, -7] if limits.min else ends, dtype)
    x, y = np.repeat(values, len(values)), np.tile(values, len(values))
    a, b = sm.Variable("a", shape=("n",), dtype=dtype), sm.Variable("b", shape=("n",), dtype=dtype)
    shift = sm.bitwise_and(b, np.array(7, dtype))
    results = [
        a + b, a - b, a * b, a // b, a % b, sm.fmod(a, b), -a, abs(a), a < b, a <= b,
        sm.equal(a, b), sm.maximum(a, b), sm.max(a), sm.min(b), sm.argmax(a), sm.sort(a),
        sm.argsort(a), a & b, a | b, a ^ b, ~a, a << shift, a >> shift, a**3, sm.sum(a),
        sm.where(a < b, a, b), sm.prod(b), sm.cumsum(a), a.astype("float64"),
        a.astype("int8"), a.astype("uint64"), sm.clip(a, 0, 5),
    ]  # fmt: skip
    f = sm.compile([a, b], results, backend="numpy")
    with np.errstate(all="ignore"):
        wanted = f(x, y)
    found = run_model(exported(f), [x, y])
    for name, value in zip(found, wanted, strict=True):
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_casts_to_integers_saturate() -> None:
    x = sm.Variable("x", shape=("n",))
    values = np.array([0.5, -0.5, 1e3, -1e3, 1e30, -1e30, np.inf, -np.inf, np.nan, 2.0**63, 255.9])
    f = sm.compile([x], {dtype: x.astype(dtype) for dtype in INTEGERS}, backend="numpy")
    found = run_model(exported(f), [values])
    for dtype, wanted in f(values).items():
        np.testing.assert_array_equal(found[dtype], wanted, err_msg=dtype)


def test_random_numbers_are_the_same() -> None:
    key = sm.Variable("key", shape=(), dtype="int64")
    f = sm.compile([key], sm.random.normal(sm.random.key(key), (5,)), backend="numpy")
    np.testing.assert_allclose(run_model(exported(f), [np.int64(3)])["output"], f(3), rtol=1e-12)


# Names and files


def test_outputs_are_named_by_their_keys() -> None:
    x = sm.Variable("x", shape=())
    outputs = {"loss": x * 2, "parts": [x + 1, {"deep": x + 2}]}
    model = exported(sm.compile([x], outputs))
    names = [y.name for y in model.graph.output]
    assert names == ["loss", "parts.0", "parts.1.deep"]
    assert [y.name for y in exported(sm.compile([x], (x, x))).graph.output] == [
        "output.0", "output.1",
    ]  # fmt: skip
    pair = sm.structure({"a": x + 1, "b": (x, x * 3)})
    assert [y.name for y in exported(sm.compile([x], {"s": pair})).graph.output] == [
        "s.a", "s.b.0", "s.b.1",
    ]  # fmt: skip


HOSTILE = ['a"b', "a'b\\", "ünï→κ", "a\nb\x00c", " ", "x", "x", "constant", "add", "\ud800"]


def test_any_names_will_do() -> None:
    inputs = [sm.Variable(name, shape=(name,)) for name in HOSTILE]
    with sm.scope("a\x00'b"):
        total = sum((sm.sum(x) for x in inputs), sm.constant(0.0))
    updated = sm.parameter('w"\n', 1.0)
    outputs = {f"{name}{k}": total + k for k, name in enumerate(HOSTILE)}
    f = sm.compile(inputs, outputs, updates={updated: updated + total}, name='f"\x00')
    model = exported(f)
    assert len({x.name for x in model.graph.input}) == len(HOSTILE) + 1
    found = run_model(model, [np.ones(2)] * len(HOSTILE))
    assert [float(y) for y in found.values()][:3] == [20.0, 21.0, 22.0]


def test_the_documentation_of_nodes_says_where_they_come_from() -> None:
    x = sm.Variable("x", shape=("n",))
    with sm.scope("layer"):
        y = sm.sum(sm.sinh(x) * x)
    model = exported(sm.compile([x], sm.gradients(y, x)))
    texts = [node.doc_string for node in model.graph.node]
    assert any("partial of x from" in text for text in texts)
    assert any("layer" in text and "test_onnx.py:" in text for text in texts)
    assert any("sm.sum(sm.sinh(x) * x)" in text for text in texts)


def test_the_same_program_gives_the_same_bytes() -> None:
    first, second = (exported(network()) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
    bare = exported(network(), provenance=False).SerializeToString(deterministic=True)
    assert b"test_onnx" not in bare and b"X @ W1" not in bare


def test_a_file_is_written_if_all_goes_well(tmp_path: Path) -> None:
    path = tmp_path / "f.onnx"
    x = sm.Variable("x", shape=("n",))
    sm.export_onnx(sm.compile([x], x + 1), path)
    np.testing.assert_array_equal(run_model(onnx.load(path), [np.ones(2)])["output"], [2.0, 2.0])
    before = path.read_bytes()
    with pytest.raises(ExportError, match=r"qr.*cannot be written in ONNX") as error:
        sm.export_onnx(sm.compile([x], sm.linalg.qr(sm.outer(x, x))[0]), path)
    assert "sm.linalg.qr(sm.outer(x, x))" in str(error.value)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    x = sm.Variable("x", shape=())
    with pytest.raises(OSError):
        sm.export_onnx(sm.compile([x], x + 1), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_ranks_must_be_known() -> None:
    x = sm.Variable("x")
    with pytest.raises(ExportError, match="number of axes") as error:
        exported(sm.compile([x], sm.sin(x)))
    assert 'x = sm.Variable("x")' in str(error.value)


def test_onnx_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sm.Variable("x", shape=())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        sm.export_onnx(sm.compile([x], x + 1), tmp_path / "f.onnx")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_choices_keep_the_sign_of_a_zero(dtype: str) -> None:
    """ONNX Runtime's ``Where`` alone loses it, for one operand or the other."""
    x = sm.Variable("x", shape=(4,), dtype=dtype)
    y = sm.Variable("y", shape=(4,), dtype=dtype)
    row = sm.Variable("row", shape=(1,), dtype=dtype)
    c, one = sm.Variable("c", shape=(4,), dtype="bool"), sm.Variable("one", shape=(), dtype="bool")
    conditions = [c, ~c, one, ~one]
    pairs = [(x, y), (x, row), (row, y), (x, 1.0), (1.0, y), (-0.0, y), (x, -0.0), (0.0, 1.0 / y)]
    outputs = [sm.where(b, *pair) for b in conditions for pair in pairs]
    f = sm.compile([x, y, row, c, one], outputs, backend="numpy")
    session = session_of(onnx_model(f, lowered(f)))
    choices, zeros = np.array([True, False, True, False]), np.full(4, -0.0, dtype)
    for values in ((-zeros, zeros), (zeros, -zeros), (zeros, zeros), (-zeros, -zeros)):
        for numbers in ((*values, zeros[:1]), (*values, -zeros[:1])):
            for which in (True, False):
                feed = dict(zip(["x", "y", "row"], numbers, strict=True), c=choices, one=which)
                wanted = f(**feed)
                found = list(outputs_of(session, feed).values())
                for k, (a, b) in enumerate(zip(wanted, found, strict=True)):
                    assert (a == b).all() and (np.signbit(a) == np.signbit(b)).all(), (k, feed)
