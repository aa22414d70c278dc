"""The samples of the op table on the native backend: values and gradients are those of NumPy.

Ops without native code run the same kernels on both backends and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from symad.ops.base import Elementwise
from symad.types import SparseType
from tests.ops.test_op_table import for_each_case
from tests.support.op_checks import DTYPES, Case, build, cases_of, probe
from tests.support.stochastic import Spread

pytest.importorskip("llvmlite")

from symad.backends.native.loop_nest import supports  # noqa: E402
from symad.ops.fused import Fused  # noqa: E402
from tests.support.native import native_graph  # noqa: E402


def compare(inputs: Any, nodes: list[Node], arrays: Any) -> bool:
    """Compare both backends, unless there is nothing to run natively."""
    reference = sm.compile(list(inputs), nodes, backend="numpy")
    reference(*arrays)
    graph = reference.passes.graph
    is_scalar = all(node.type.shape == () for node in graph.nodes if hasattr(node.type, "shape"))
    if not is_scalar and not any(isinstance(n.op, Fused) for n in native_graph(graph).nodes):
        return False
    native = sm.compile(list(inputs), nodes, backend="native")
    native(*arrays)  # functions of numbers run natively from the second call on
    got = native(*arrays)
    values = [np.asarray(array)[()] for array in arrays]
    expected = Spread(graph, values, 0)
    zeros = _has_one_zero(graph)
    wrong = [expected.disagreement(k, value, True, zeros) for k, value in enumerate(got)]
    assert not any(wrong), f"{[text for text in wrong if text]}\n{graph}\n{native.plan}"
    return True


def _has_one_zero(graph: sm.Graph) -> bool:
    """Return whether signs of zeros are defined: of two zeros, either may be the larger."""
    names = {node.op.name for node in graph.nodes if node.op is not None}
    return not names & {"max", "min", "maximum", "minimum", "softmax", "logsumexp", "log_softmax"}


@for_each_case
def test_values_and_gradients(case: Case) -> None:
    for dtype in DTYPES:
        built = build(case, dtype)
        # In company: one op alone is left to its kernel.
        outputs = [
        sm.negative(y) + y if y.type.is_float and not isinstance(y.type, SparseType) else y
        for y in built.outputs
    ]
        compare(built.inputs, [*built.outputs, *outputs], built.arrays)
    found = probe(case)
    if found is not None:
        compare(found.inputs, [*found.pulled, *found.pushed], found.arrays)


def test_most_elementwise_ops_run_natively() -> None:
    x = sm.Variable("x", shape=(4,))
    native = [sm.sin, sm.exp, sm.log1p, sm.tanh, sm.erf, sm.sigmoid, sm.softplus, sm.sqrt]
    for function in native:
        assert compare([x], [function(x) * 2 + x], [np.linspace(0.1, 2, 4)])


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_elementwise_ops_with_a_formula_have_code(dtype: str) -> None:
    """Without code they would run as in NumPy, with the same values."""
    written = [op for op in OP_CLASSES.values() if issubclass(op, Elementwise)]
    written = [op for op in written if op.element or op.scalar is not Elementwise.scalar]
    with np.errstate(over="ignore"):  # of samples that float16 cannot hold
        nodes = [n for op in written for case in cases_of(op) for n in build(case, dtype).nodes]
    coded = {type(node.op) for node in nodes if isinstance(node.op, Elementwise) and supports(node)}
    without = {op.name for op in written if op not in coded}
    assert without == {"digamma"} | ({"nextafter"} if dtype == "float16" else set())
    assert len(coded) > 80
