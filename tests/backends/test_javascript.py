"""Graphs of numbers as JavaScript, run by Node or a browser, against NumPy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.backends.javascript.source import javascript_source
from symad.errors import GraphTypeError, SymadError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES
from symad.ops.adjoint import Cast
from symad.ops.base import PerElement
from symad.ops.rounding import Round
from symad.ops.threefry import Threefry
from symad.passes.specialise import specialise
from symad.types import TensorType
from tests.ops.test_op_table import CASES
from tests.support.op_checks import Case
from tests.support.per_element import NUMPY_ONLY, arity
from tests.support.random_graphs import (
    Builder,
    arithmetic,
    choice,
    kinked,
    positive,
    smooth,
    with_number,
)
from tests.support.stochastic import Spread

DTYPES = [np.dtype(name) for name in "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 ?".split()]
WITHOUT_CODE = NUMPY_ONLY | {"nextafter"}

_RUN = """
const text = (x) => Object.is(x, -0) ? "-0" : typeof x === "bigint" ? `${x}n` : String(x);
return JSON.stringify(programs.map(([f, calls]) => calls.map((call) => f(call).map(text))));
"""


@cache
def engine() -> Any:
    """Return what runs the body of a JavaScript function and returns its result."""
    node = shutil.which("node")
    if node:
        return lambda body: subprocess.run(
            [node, "-"],
            input=f"process.stdout.write((() => {{{body}}})());",
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    try:
        from playwright.sync_api import sync_playwright

        browser = sync_playwright().start().chromium.launch()
    except Exception:
        return None
    return lambda body: browser.new_page().evaluate(f"() => {{{body}}}")


def literal(value: Any) -> str:
    """Return a value in JavaScript."""
    value = value if isinstance(value, np.generic) else np.asarray(value)[()]
    if value.dtype.kind == "b":
        return "true" if value else "false"
    if value.dtype.kind in "iu":
        return f"{value}n" if value.dtype.itemsize == 8 else str(value)
    number = float(value)
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(number), repr(number))


def parsed(text: str, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return {"true": True, "false": False}[text]
    if dtype.kind in "iu":
        assert text.endswith("n") == (dtype.itemsize == 8)
        return int(text.removesuffix("n"))
    number = float(text)
    assert np.isnan(number) or float(dtype.type(number)) == number, f"{text} is not of {dtype}"
    return number


def evaluate(programs: Sequence[tuple[sm.Graph, Sequence[Sequence[Any]]]]) -> list[list[Any]]:
    """Return, for each graph, the outputs as arrays with one element for each call."""
    run = engine()
    if run is None:
        pytest.skip("there is neither node nor a browser that playwright starts")
    written = [
        f"[{javascript_source(graph)}, [{', '.join(map(call_text, calls))}]]"
        for graph, calls in programs
    ]
    found = json.loads(run(f"const programs = [{', '.join(written)}];{_RUN}"))
    results = []
    for (graph, _), rows in zip(programs, found, strict=True):
        dtypes = [node.dtype for node in graph.outputs]
        columns = zip(*rows, strict=True)
        results.append([
            np.array([parsed(text, dtype) for text in column], dtype)
            for column, dtype in zip(columns, dtypes, strict=True)
        ])  # fmt: skip
    return results


def call_text(values: Sequence[Any]) -> str:
    return f"[{', '.join(map(literal, values))}]"


# Each op


SPECIAL = [
    0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2, -2, 3, 7, -7, 1e-300, -1e-300, 1e-20, 1e20,
    1e16, -1e20, 1e300, -1e300, 710, -745, 88.9, -104, 1000, -1000, np.inf, -np.inf, np.nan, 5e-324,
    1e-9, 65504, 65519, 65520, 6e-8, -3e-8, 2.0**53, 2.0**62, -(2.0**63), 0.7, 27.3,
    -12.999999999, -10.0000001, -1e-14,
]  # fmt: skip


def all_ops() -> list[PerElement]:
    """Return all ops that work per element, with some attributes where they have any."""
    found: list[PerElement] = [Round(0), Round(2), Round(-1), *map(Cast, DTYPES)]
    found += map(Threefry, ("first", "second", "mixed", "joined"))
    for name, kind in OP_CLASSES.items():
        if issubclass(kind, PerElement) and not kind._fields and name not in WITHOUT_CODE:
            found.append(kind())
    return found


def operand_dtypes(op: PerElement, dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    first = np.dtype(bool) if op.name == "where" else dtype
    return [first, *[dtype] * (arity(op) - 1)]


def graph_of(op: PerElement, dtypes: Sequence[np.dtype[Any]]) -> sm.Graph | None:
    """Return a graph of one op, ``None`` if it does not exist or has no code."""
    inputs = [sm.Variable(f"x{i}", (), dtype) for i, dtype in enumerate(dtypes)]
    try:
        graph = sm.Graph([apply(op, *inputs)], inputs)
        javascript_source(graph)
    except (GraphTypeError, NotImplementedError):
        return None
    return graph


def points(dtype: np.dtype[Any], rng: np.random.Generator) -> Any:
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        drawn = [rng.standard_normal(40) * scale for scale in (1, 5, 30)]
        with np.errstate(all="ignore"):
            return np.concatenate([SPECIAL, *drawn]).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    edges = np.array([0, 1, 2, 3, 7, high, high - 1, low, low + 1], dtype)
    return np.concatenate([edges, rng.integers(low, high, 20, dtype)])


def draws(op: PerElement, graph: sm.Graph) -> list[Any]:
    """Return operands: special and random points, without what C leaves undefined."""
    rng = np.random.default_rng(7)
    axes = [points(node.dtype, rng) for node in graph.inputs]
    x = axes[0]
    if len(axes) == 1:
        return axes
    size = len(SPECIAL) ** 2
    found = [rng.choice(axis, size) for axis in axes]
    if x.dtype.kind == "f" and len(axes) == 2:
        pairs = np.meshgrid(x[: len(SPECIAL)], x[: len(SPECIAL)])
        found = [np.concatenate([a, b.ravel()]) for a, b in zip(found, pairs, strict=True)]
    return found


def error_in_ulps(op: PerElement, got: Any, want: Any) -> Any:
    """Return how far arrays are apart, in units of the last place; inf for another special value.

    Of ops with zeros between numbers of order 1, it is of a number of order 1.
    """
    if got.dtype.kind != "f":
        return np.where(got == want, 0, np.inf)
    scale = np.maximum(np.abs(got), np.abs(want))
    if op.name in ("gammaln", "digamma", "logaddexp", "softplus", "power_mixed"):
        scale = np.maximum(scale, 1)
    if op.name == "erfc":  # SciPy's loses digits with x², and is 0 where the result is subnormal
        scale = np.maximum(scale, np.finfo(got.dtype).tiny * 2**60)
        scale = scale * (1 - np.log(np.minimum(scale, 1)))
    distance = np.abs(got - want) / np.spacing(scale)
    same_zero = (want != 0) | (np.signbit(got) == np.signbit(want))
    if got.dtype == "float16" and op.name in ("maximum", "minimum", "relu"):
        same_zero |= True  # there NumPy prefers the first of two zeros, in wider dtypes the second
    equal = ((got == want) & same_zero) | (np.isnan(got) & np.isnan(want))
    return np.where(equal, 0, np.where(np.isfinite(distance) & (distance > 0), distance, np.inf))


@cache
def results_of_ops() -> dict[PerElement, list[tuple[sm.Graph, list[Any], Any]]]:
    """Return graphs of each op, operands and results; all are evaluated at once."""
    cases = []
    for op in all_ops():
        graphs = [graph_of(op, operand_dtypes(op, dtype)) for dtype in DTYPES]
        cases += [(op, graph, draws(op, graph)) for graph in graphs if graph is not None]
    results = evaluate([(graph, list(zip(*arrays, strict=True))) for _, graph, arrays in cases])
    found: dict[PerElement, list[tuple[sm.Graph, list[Any], Any]]] = {}
    for (op, graph, arrays), (got,) in zip(cases, results, strict=True):
        found.setdefault(op, []).append((graph, arrays, got))
    return found


@pytest.mark.parametrize("op", all_ops(), ids=repr)
def test_one_element_is_what_numpy_computes(op: PerElement) -> None:
    # SciPy's digamma errs by 4 below 0; NumPy's float32 powers, and what is made of them, by more.
    allowed = {"digamma": 8, "power_slope": 8, "power_mixed": 24}.get(op.name, 5)
    for graph, arrays, got in results_of_ops()[op]:
        with np.errstate(all="ignore"):
            want = np.asarray(op.kernel()(*arrays))
            error = error_in_ulps(op, got, want)
        assert got.dtype == want.dtype
        if op.name == "gammaln":
            error[np.abs(arrays[0]) == 5e-324] = 0  # SciPy's is inf there
        worst = int(np.argmax(error))
        at = [array[worst] for array in arrays]
        assert error[worst] <= allowed, f"{graph.inputs}: {at}: {got[worst]!r}, not {want[worst]!r}"


def test_which_ops_have_no_code_for_one_element() -> None:
    elementwise = {name for name, kind in OP_CLASSES.items() if issubclass(kind, PerElement)}
    with_code = {
        op.name
        for op in all_ops()
        if any(graph_of(op, operand_dtypes(op, dtype)) for dtype in DTYPES)
    }
    assert elementwise - with_code == WITHOUT_CODE


def test_operands_of_several_dtypes() -> None:
    rng = np.random.default_rng(1)
    for name, codes in [
        ("add", "f2 i8"), ("add_n", "? ? i8"), ("divide", "i8 f4"), ("less", "i8 f2"),
        ("less", "i8 u8"), ("where", "? i8 f4"), ("multiply", "u8 f4"), ("subtract", "i4 u4"),
    ]:  # fmt: skip
        op, dtypes = OP_CLASSES[name](), [np.dtype(code) for code in codes.split()]
        graph = graph_of(op, dtypes)
        assert graph is not None
        arrays = [rng.choice(points(dtype, rng), 300) for dtype in dtypes]
        ((got,),) = evaluate([(graph, list(zip(*arrays, strict=True)))])
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(got, op.kernel()(*arrays))


def test_large_integers_round_once_to_float32() -> None:
    """2^60 + 2^36 is a tie of float32; one more, which a double drops, decides it."""
    x = sm.Variable("x", (), "int64")
    value = 2**60 + 2**36 + 1
    ((got,),) = evaluate([(sm.Graph([sm.cast(x, "float32")], [x]), [[value], [-value]])])
    assert got.tolist() == [2.0**60 + 2.0**37, -(2.0**60) - 2.0**37]


# Samples of the op table, and random graphs, with derivatives


def of_numbers(case: Case, dtype: str) -> tuple[sm.Graph, list[Any]] | None:
    """Return what a sample makes of numbers, with derivatives up to order 2, and its inputs."""
    arrays = [np.ravel(array) for array in case.draw(dtype)]
    size = min((array.size for array in arrays), default=0)
    inputs = [sm.Variable(f"x{i}", (), array.dtype) for i, array in enumerate(arrays)]
    try:
        y = case.sample.call(*inputs)
        if not size or not isinstance(y, Node):
            return None
        graph = sm.Graph(with_derivatives(y, inputs, case.sample.order), inputs)
        javascript_source(graph)
    except (SymadError, NotImplementedError, IndexError, TypeError):
        return None
    return graph, list(zip(*(array[: min(size, 6)] for array in arrays), strict=False))


def with_derivatives(y: Node, inputs: Sequence[Node], order: int) -> list[Node]:
    """Return ``y``, its gradient, and the gradient of the sum of that."""
    moving = [x for x in inputs if x.type.is_float]
    outputs = [y]
    for _ in range(min(order, 2)):
        if moving and y.type.is_float:
            gradients = sm.gradients(y, moving, unused="zero")
            outputs += gradients
            y = sm.add_n(gradients)
    return outputs


def check(graphs: Sequence[tuple[sm.Graph, Sequence[Any]]]) -> None:
    """Compare with NumPy, up to what the rounding of each op does to the outputs."""
    for (graph, calls), found in zip(graphs, evaluate(graphs), strict=True):
        types = [TensorType(node.dtype, ()) for node in graph.inputs]
        concrete = specialise(graph, types)
        for place, call in enumerate(calls):
            values = [np.asarray(v, t.dtype)[()] for v, t in zip(call, types, strict=True)]
            expected = Spread(concrete, values, 0)
            for k, column in enumerate(found):
                wrong = expected.disagreement(k, column[place], True, True)
                assert not wrong, f"{wrong}\n{graph}\n{values}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_samples_of_the_op_table(dtype: str) -> None:
    found = {case.id: of_numbers(case, dtype) for case in CASES}
    check([graph for graph in found.values() if graph is not None])
    names = {case.op_class.name for case in CASES if found[case.id] is not None}
    assert len(names) >= 60, sorted(names)


class ScalarBuilder(Builder):
    """Grows graphs of numbers."""

    def draw_inputs(self) -> Any:
        for _ in range(3):
            yield np.asarray(self.rng.uniform(-2, 2)).astype(self.rng.choice(self.dtypes))

    def makers(self) -> Any:
        return [smooth, kinked, positive, *[arithmetic] * 3, with_number, choice]


@pytest.mark.parametrize("dtypes", [["float64"], ["float32"], ["float64", "float32"]])
def test_random_graphs_with_derivatives_of_order_2(dtypes: list[str]) -> None:
    graphs = []
    for seed in range(30):
        builder = ScalarBuilder(np.random.default_rng(seed), dtypes, "unknown")
        while builder.steps < 9:
            builder.step()
        found = builder.finish(seed)
        outputs = with_derivatives(found.graph.outputs[0], found.graph.inputs, 2)
        if not any(node.op and node.op.name in WITHOUT_CODE for node in sm.Graph(outputs).nodes):
            graphs.append((sm.Graph(outputs, found.graph.inputs), [found.arrays]))
    assert len(graphs) >= 20
    check(graphs)


# The form of the source, and what is refused


def test_wanted_nodes_come_in_order_also_inputs_and_constants() -> None:
    x, y, truth = sm.Variable("x"), sm.Variable("y"), sm.Variable("t", (), bool)
    seven = sm.constant(7)
    graph = sm.Graph([y, seven, x * y, x, sm.logical_not(truth), x * y], [x, y, truth])
    (columns,) = evaluate([(graph, [[2.0, 3.0, True]])])
    assert [column.item() for column in columns] == [3.0, 7, 6.0, 2.0, False, 6.0]


def test_inputs_are_rounded_and_wrapped_to_their_dtypes() -> None:
    single, byte = sm.Variable("a", (), "float32"), sm.Variable("b", (), "int8")
    ((a, b),) = evaluate(
        [(sm.Graph([single, byte], [single, byte]), [[np.float64(0.1), np.int16(200)]])]
    )
    assert a[0] == np.float32(0.1) and b[0] == -56


def test_nothing_of_the_users_is_in_the_source() -> None:
    name = "</script><script>alert(1)//`${x}"
    x = sm.Variable(name)
    with sm.scope(name):
        y = sm.erf(x) * sm.constant(-np.inf, name=name) + sm.gammaln(x)
    source = javascript_source(sm.Graph([y, sm.gradients(y, x)], [x]))
    code = re.sub(r"//.*", "", source)
    assert "script" not in code and "alert" not in code
    assert set(re.findall(r"""["'`].*?["'`]""", code)) == {'"use strict"'}
    assert source.isascii()
    for text in ("</", "<!--", "eval", "window", "document", "Date", "random"):
        assert text not in code.replace("evaluate", "")


def test_the_source_is_a_pure_expression() -> None:
    """Each name that it reads is its own, or of the three globals."""
    x = sm.Variable("x")
    y = sm.gammaln(x) * sm.erfc(x) + sm.cast(sm.cast(x, "float16"), "int64") % 3
    code = re.sub(r"//.*", "", javascript_source(sm.Graph([y, sm.gradients(y, x)], [x])))
    code = re.sub(r"""".*?"|\.[a-zA-Z]\w*|\b\d[\d.]*(e-?\d+)?n?\b""", "", code)
    words = set(re.findall(r"[A-Za-z]\w*", code))
    declared = set(re.findall(r"(?:function|const|let) (\w+)", code))
    declared |= {name for group in re.findall(r"\((\w+(?:, \w+)*)\) \{", code)
                 for name in group.split(", ")}  # fmt: skip
    keywords = {"function", "const", "let", "return", "if", "for", "while"}
    assert words - declared - keywords <= {"Math", "BigInt", "Number", "sum", "c"}


def test_a_graph_without_names_has_the_same_source() -> None:
    def source(name: str) -> str:
        x = sm.Variable(name)
        return javascript_source(sm.Graph([sm.sin(x) + 1], [x]))

    assert source("x") == source("y")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x, v, n: v.sum() + x, "v is not a scalar but has the type f64[3]"),
        (lambda x, v, n: sm.erfinv(x), "erfinv has no code for one element"),
        (lambda x, v, n: n**n, "pow of int64"),
        (lambda x, v, n: sm.zeros((2,)) + x, "is not a scalar but has the type f64[2]"),
        (lambda x, v, n: x @ x, "not defined for scalars: matmul"),
        (lambda x, v, n: sm.structure({"a": x})["a"], "is not a scalar"),
    ],
)
def test_what_is_refused_and_why(make: Any, reason: str) -> None:
    x, v, n = sm.Variable("x"), sm.Variable("v", (3,)), sm.Variable("n", (), "int64")
    with pytest.raises(NotImplementedError, match=re.escape(reason)):
        javascript_source(sm.Graph([make(x, v, n)]))


def test_a_long_chain_is_written_in_linear_time() -> None:
    x = y = sm.Variable("x")
    for _ in range(20_000):
        y = sm.sin(y)
    source = javascript_source(sm.Graph([y], [x]))
    assert source.count("Math.sin") == 20_000
