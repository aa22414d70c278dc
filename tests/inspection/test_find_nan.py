"""find_nan: the right node, edge, element and remedy, on graphs of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.evaluation import Evaluation
from symad.errors import EvaluationError, FeedError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.ops.base import PerElement
from symad.passes.specialise import specialise
from tests.support.op_checks import run_kernels
from tests.support.wild_graphs import wild_graph

INFINITY = float("inf")
x = sm.Variable("x")


def gradient(y: Node) -> Node:
    found: Node = sm.gradients(y, x)
    return found


FORWARD = [
    (sm.log(x), [1.0, 0.0], "log", (1,), "logarithm of 0"),
    (sm.log(x), -1.0, "log", None, "negative"),
    (sm.sqrt(x), [-1.0], "sqrt", (0,), "negative"),
    (1 / x, [[1.0, 2.0], [3.0, 0.0]], "divide", (1, 1), "Division by 0"),
    (x / x, 0.0, "divide", None, "0/0"),
    (sm.exp(x), [0.0, 800.0], "exp", (1,), "overflows above 709.78"),
    (sm.sum(x * x), [1e200, 1.0], "multiply", (0,), "exceeds the largest float64"),
    (x ** sm.constant(0.5), [-1.0], "power", (0,), "non-integer"),
    (x ** sm.constant(-1.0), [0.0], "power", (0,), "negative power"),
    (sm.asin(x), [2.0], "asin", (0,), "from −1 to 1"),
    (sm.mean(x), np.zeros(0), "mean", None, "no elements"),
    (sm.mean(x), [1.5e308, 1.5e308], "mean", None, "exceeds the largest float64"),
    (x / 1e-300, [1e300], "divide", (0,), "exceeds the largest float64"),
    (x**5, [1e200], "power", (0,), "exceeds the largest float64"),
    (sm.logsumexp(x), np.zeros(0), "logsumexp", None, "no elements"),
]

BACKWARD = [
    (gradient(sm.sqrt(x)), [4.0, 0.0], "sqrt", (1,), "√x at 0"),
    (gradient(sm.cbrt(x)), [1.0, 0.0], "cbrt", (1,), "cube root"),
    (gradient(sm.asin(x)), [1.0], "asin", (0,), "±1"),
]


@pytest.mark.parametrize(("y", "value", "op", "index", "remedy"), FORWARD)
def test_forward(y: Node, value: Any, op: str, index: Any, remedy: str) -> None:
    found = sm.find_nan(y, {x: value})
    assert found and found.where == "forward" and found.edge is None
    assert found.node is not None and found.node.op is not None and found.node.op.name == op
    assert found.origin is not None and found.origin.index == index
    assert remedy in found.remedy
    assert "test_find_nan.py" in str(found)


@pytest.mark.parametrize(("y", "value", "op", "index", "remedy"), BACKWARD)
def test_backward(y: Node, value: Any, op: str, index: Any, remedy: str) -> None:
    found = sm.find_nan(y, {x: value})
    assert found.where == "backward"
    assert found.edge is not None and found.edge.consumer.op is not None
    assert (found.edge.consumer.op.name, found.edge.slot) == (op, 0)
    assert found.edge.source in (x, *found.edge.consumer.inputs)
    assert found.origin is not None and found.origin.index == index
    assert remedy in found.remedy
    assert f"the rule of {op}" in str(found)


SEVERAL = [
    # the first in the order of rows
    (sm.log(x), [[1.0, 2.0], [-1.0, 0.0]], "log", (1, 0), 2),
    (sm.log(x), [[1.0, 0.0], [-1.0, 0.0]], "log", (0, 1), 3),
    (sm.sqrt(x.T), [[1.0, -2.0], [-1.0, 4.0]], "sqrt", (0, 1), 2),
    (x / (x - 1), [[2.0, 1.0, 1.0]], "divide", (0, 1), 2),
    # of a broadcast operand
    (sm.sqrt(x) * sm.constant([[1.0], [2.0]]), [4.0, -1.0], "sqrt", (1,), 1),
    (sm.constant([[1.0], [0.0]]) / x, [1.0, 0.0], "divide", (0, 1), 2),
    # the earliest op, though another element of a later one comes before it
    (1 / (sm.sqrt(x) - 2), [4.0, 9.0, -1.0], "sqrt", (2,), 1),
    # NaN rather than an infinity that has become NaN beside it
    (sm.log(x) + sm.sqrt(x - 2), [1.0, 3.0, 0.0], "sqrt", (0,), 2),
    # not what a mask hides
    (sm.where(x > 0, sm.log(x), 0.0) + sm.sqrt(x + 1), [0.0, 1.0, -2.0, -3.0], "sqrt", (2,), 2),
    # a reduction whose rows are at fault
    (sm.sum(x * x, axis=1), [[1.0, 2.0], [1e200, 1.0], [1.0, 1e200]], "multiply", (1, 0), 2),
    (sm.prod(x, axis=1), [[1.0, 2.0], [1e200, 1e200], [1e300, 1e300]], "prod", (1,), 2),
]


@pytest.mark.parametrize(("y", "value", "op", "index", "count"), SEVERAL)
def test_the_first_of_several_faulty_elements(
    y: Node, value: Any, op: str, index: tuple[int, ...], count: int
) -> None:
    found = sm.find_nan(y, {x: value})
    assert found.node is not None and found.node.op is not None and found.node.op.name == op
    assert found.origin is not None
    assert (found.origin.index, found.origin.count) == (index, count)
    place = ", ".join(map(str, index))
    assert f"[{place}]" in str(found)


def test_the_slot_at_fault() -> None:
    z = sm.Variable("z")
    y = sm.constant(2.0) * x + z / sm.square(x)
    found = sm.find_nan(gradient(y), {x: 0.0, z: 0.0})
    assert found.where in ("forward", "backward")
    assert found.node is not None and found.node.op is not None
    assert found.node.op.name == "divide"


def test_forward_is_blamed_before_backward() -> None:
    y = sm.log(x)
    found = sm.find_nan([gradient(y), y], {x: 0.0})
    assert found.where == "forward" and found.node is y


def test_infinity_that_turns_into_nan() -> None:
    y = sm.log(1 + sm.exp(x))
    found = sm.find_nan([y, sm.extend(y, [x]).adjoints[x]], {x: 800.0})
    assert found.node is not None and found.node.label == "exp"
    assert found.turned is not None and found.turned.where == "backward"
    assert np.isposinf(found.origin.value) and np.isnan(found.turned.value)  # type: ignore[union-attr]
    assert [float(value) for _, value in found.turned.inputs] == [0.0, INFINITY]
    assert "0·∞ = NaN" in str(found)


def test_what_the_passes_mend() -> None:
    y = sm.log(1 + sm.exp(x))
    f = sm.compile([x], [y, gradient(y)])
    assert f(800.0) == [800.0, 1.0]
    found = sm.find_nan(f, 800.0)
    assert found.only_written and "softplus" in found.rules
    assert "The optimised graph is finite" in str(found)
    exact = sm.compile([x], [y, gradient(y)], rewrites="exact")
    assert not np.isfinite(exact(800.0)).all()
    assert not sm.find_nan(exact, 800.0).only_written


def test_what_the_passes_bring_in() -> None:
    a, b, c = (sm.Variable(name, shape=shape) for name, shape in
               [("a", (9, 9)), ("b", (9, 9)), ("c", (9, 1))])  # fmt: skip
    f = sm.compile([a, b, c], (a @ b) @ c)
    values = np.full((9, 9), 1e-200), np.full((9, 9), 1e200), np.full((9, 1), 1e200)
    found = sm.find_nan(f, *values)
    assert bool(found) == (not np.isfinite(f(*values)).all())
    if found:
        assert found.only_run and "passes" in str(found)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_fed(value: float) -> None:
    found = sm.find_nan(sm.sin(x) * 2, {x: [1.0, value]})
    assert (found.where, found.node, found.remedy) == ("feed", x, "")
    assert found.origin is not None and found.origin.index == (1,)
    assert "is in the feed" in str(found)


def test_an_inner_node_that_is_fed() -> None:
    y = sm.exp(x)
    found = sm.find_nan(y + 1, {y: np.nan})
    assert (found.where, found.node) == ("feed", y)


def test_parameters_and_constants() -> None:
    w = sm.parameter("w", [1.0, np.nan])
    assert sm.find_nan(w * x, {x: [1.0, 1.0]}).where == "parameter"
    c = sm.constant([1.0, -np.inf])
    assert sm.find_nan(c * x, {x: [1.0, 1.0]}).where == "constant"


def test_what_is_masked_is_not_blamed() -> None:
    y = sm.where(x > 0, sm.log(x), 0.0)
    found = sm.find_nan([y, gradient(y)], {x: [1.0, 0.0]})
    assert not found and found.node is None and found.masked > 0
    assert "masked" in str(found)
    mask = sm.constant([0.0, -np.inf])
    assert not sm.find_nan(sm.softmax(x + mask), {x: [1.0, 2.0]})


def test_a_mask_does_not_hide_what_comes_after_it() -> None:
    y = sm.where(x > 0, sm.log(x), 0.0) / (x - x)
    found = sm.find_nan(y, {x: [1.0, 0.0]})
    assert found.node is y


def test_only_what_is_asked_for_counts() -> None:
    linear = sm.sum(sm.exp(sm.stop_gradient(x))) + sm.sum(2.0 * x)
    assert sm.find_nan([linear, gradient(linear)], {x: 800.0})
    assert not sm.find_nan(gradient(linear), {x: 800.0})  # which is 2, whatever the value is


def test_structures_and_integers() -> None:
    d = sm.structure({"cat": x, "dog": (x * 0, x)})
    found = sm.find_nan(sm.log(d["dog"][0]) + d["cat"], {x: [1.0, 2.0]})
    assert found.node is not None and found.node.label == "log"
    n = sm.Variable("n", dtype="int64")
    found = sm.find_nan({"a": [n + 1, 1.0 / n.astype("float64")]}, {n: [1, 0]})
    assert found.origin is not None and found.origin.index == (1,)
    assert not sm.find_nan(n // 2, {n: [1, 0]})


def test_structures_that_are_fed() -> None:
    f = sm.compile([{"a": x, "b": [x * 1]}], sm.sin(x))
    assert sm.find_nan(f, {"a": np.nan, "b": [1.0]}).where == "feed"


def test_inside_a_loop() -> None:
    y = sm.map_over(lambda row: sm.log(row) * 2, [sm.Variable("r", shape=(3,))])
    (r,) = sm.Graph([y]).inputs
    found = sm.find_nan(y, {r: [1.0, 0.0, 2.0]})
    assert found.inside is not None and found.inside.node is not None
    assert found.inside.node.label == "log"
    assert "In row 1:" in str(found) and "logarithm of 0" in found.remedy


def test_inside_a_call() -> None:
    half = sm.custom(lambda a: sm.sqrt(a), name="half")
    found = sm.find_nan(half(x), {x: -1.0})
    assert found.inside is not None and found.inside.node is not None
    assert found.inside.node.label == "sqrt"


def test_an_op_that_fails_on_what_is_not_finite() -> None:
    q = sm.Variable("q", shape=(2, 2))
    found = sm.find_nan(sm.linalg.svd(q / 0.0).S, {q: np.zeros((2, 2))})
    assert found.node is not None and found.node.label == "divide"
    assert found.failure is not None and "svd" in str(found)
    with pytest.raises(EvaluationError):
        sm.find_nan(sm.linalg.inv(q), {q: np.zeros((2, 2))})


def test_parameters_are_not_updated() -> None:
    w = sm.parameter("w", 1.0)
    step = sm.compile([x], w * x, updates={w: w * x})
    sm.find_nan(step, 800.0)
    assert w.value == 1.0


def test_the_edge_has_symbols_and_labels_and_the_line_is_there_however_long_its_path() -> None:
    path = "/home/" + "directory/" * 30 + "model.py"
    scope: dict[str, Any] = {"sm": sm, "x": x}
    exec(compile("\n\n\ny = sm.sqrt(x)", path, "exec"), scope)
    text = str(sm.find_nan(sm.gradients(scope["y"], x), {x: 0.0}))
    assert "edge v1 → v2 (x → sqrt):" in text
    assert f"at {path}:4\n" in text


def test_a_tangent_has_the_remedy_of_its_rule() -> None:
    found = sm.find_nan(sm.pushforward(sm.sqrt(x), x, 1.0), {x: 0.0})
    assert "derivative of √x at 0" in found.remedy


def test_names_are_shown_as_text() -> None:
    evil = sm.Variable("<script>alert(1)</script>\n\u202e")
    found = sm.find_nan(sm.log(evil), {evil: 0.0})
    assert "<script>" not in found._repr_html_()
    assert "\u202e" not in str(found)


def test_a_long_chain_is_run_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    walk = Evaluation.__iter__

    def counting(self: Evaluation) -> Any:
        nonlocal steps
        for step in walk(self):
            steps += 1
            yield step

    monkeypatch.setattr(Evaluation, "__iter__", counting)
    y = sm.log(x)
    length = 3000
    for _ in range(length):
        y = sm.sin(y)
    found = sm.find_nan(y, {x: 0.0})
    assert found.node is not None and found.node.label == "log"
    # The graph as written, once more up to what is to blame; and the same for what runs.
    assert steps <= 4 * (length + 1)


@pytest.mark.parametrize("seed", range(60))
def test_wild_graphs(seed: int) -> None:
    """Against a run of the same nodes in which every value is looked at."""
    wild = wild_graph(seed)
    f = sm.compile(list(wild.graph.inputs), list(wild.graph.outputs), backend="numpy")
    types = [sm.TensorType(array.dtype, np.shape(array)) for array in wild.arrays]
    static = specialise(wild.graph, types)
    values: dict[Node, Any] = dict(zip(static.inputs, wild.arrays, strict=True))
    read: dict[Node, list[Any]] = {}
    try:
        for node, arguments, value in Evaluation(static, f.arguments(*wild.arrays)):
            values[node], read[node] = value, arguments
        found = sm.find_nan(f, *wild.arrays)
    except EvaluationError:
        return  # an op fails whatever the values are
    bad = [node for node in static.outputs if not finite(values.get(node))]
    if not found.only_run:
        assert bool(found) == bool(bad)
    if found.where in ("forward", "backward"):
        assert found.origin is not None and not np.isfinite(found.origin.value)
        assert str(found)
        if isinstance(found.origin.node.op, PerElement):
            assert all(np.isfinite(value) for _, value in found.origin.inputs)


def finite(value: Any) -> bool:
    arrays = [np.asarray(leaf) for leaf in leaves(value) if leaf is not None]
    return all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f")


def test_feeds_that_do_not_fit() -> None:
    f = sm.compile([x], sm.log(x))
    for arguments in ((), (1.0, 2.0)):
        with pytest.raises(FeedError):
            sm.find_nan(f, *arguments)
    with pytest.raises(FeedError, match="no value was fed"):
        sm.find_nan(sm.log(x))
    with pytest.raises(FeedError, match="must run"):
        sm.find_nan(f, {x: sm.TensorType(np.dtype("float64"), ())})


def test_a_loop_runs_its_condition_before_each_step():
    y = sm.while_loop(lambda c: c < 2.5, lambda c: c + 1, sm.Variable("x", shape=()))
    (loop,) = [node.op for node in sm.Graph([y]).nodes if hasattr(node.op, "max_steps")]
    names = [name for name, *_ in loop.runs((), [np.float64(0.5)], run_kernels)]
    expected = [f"{what}step {k}" for k in range(3) for what in ("the condition of ", "")]
    assert names == expected[:-1]
