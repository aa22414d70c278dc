"""Graphs of arrays as graphs of numbers: the same values, or a reason why not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from symad.player.elements import in_elements
from symad.player.tensors import tensor_data
from symad.runtime.inputs import type_of
from symad.runtime.values import node_values
from tests.support.op_checks import build, cases_of

FAMILIES = (
    "add subtract multiply divide power negative exp log tanh sigmoid relu where maximum equal sum "
    "mean max min prod logsumexp softmax log_softmax var matmul outer tensordot einsum trace "
    "reshape transpose permute_dims matrix_transpose swapaxes broadcast_to expand_dims squeeze "
    "concat stack flip roll index scatter_add tril triu cumulative_sum diff pad repeat tile "
    "sum_like broadcast_like reshape_like take_along_axis gather identity sort sparse_matmul"
).split()


def values_of(nodes: list[Node], feed: dict[Node, Any]) -> np.ndarray[Any, Any]:
    found = node_values(nodes, feed)
    return np.array([float(found[node]) for node in nodes])


def check(nodes: list[Node], inputs: list[Node], arrays: list[Any]) -> None:
    """Compare the elements of nodes with what NumPy computes, at the given point and another."""
    arrays = [np.asarray(array) for array in arrays]
    elements, sizes = in_elements(sm.Graph(nodes, inputs), list(map(type_of, arrays)))
    for scale in (1.0, 1.25):
        scaled = [a * a.dtype.type(scale) if a.dtype.kind == "f" else a for a in arrays]
        numbers = [number for array in scaled for number in array.flat]
        found = values_of(list(elements.outputs), dict(zip(elements.inputs, numbers, strict=True)))
        wanted = node_values(nodes, dict(zip(inputs, scaled, strict=True)))
        everything = [np.asarray(wanted[node]).reshape(-1) for node in nodes]
        assert sizes == [part.size for part in everything]
        together = np.concatenate(everything).astype(float)
        np.testing.assert_allclose(found, together, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name in OP_CLASSES])
def test_elements_of_an_op(name: str) -> None:
    done = 0
    for case in list(cases_of(OP_CLASSES[name]))[:4]:
        built = build(case)
        if all(np.asarray(array).dtype.kind in "biuf" for array in built.arrays):
            try:
                check(list(built.nodes), list(built.inputs), list(built.arrays))
            except NotImplementedError as error:
                assert "element" in str(error) or "not" in str(error)
            else:
                done += 1
    if name in ("add", "matmul", "sum", "mean", "max", "softmax", "index", "reshape", "concat"):
        assert done


def test_elements_of_a_network_and_its_gradients() -> None:
    rng = np.random.default_rng(3)
    x, w, b, v = (sm.Variable(name) for name in ("X", "W", "b", "V"))
    y = -sm.mean(sm.log_softmax(sm.relu(x @ w + b) @ v)[:, 0])
    arrays = [rng.normal(size=size) for size in ((3, 2), (2, 4), (4,), (4, 3))]
    check([y, *sm.gradients(y, [w, b, v])], [x, w, b, v], arrays)


def test_what_has_no_elements_says_why() -> None:
    x = sm.Variable("x")
    with pytest.raises(NotImplementedError, match="sort has no form"):
        in_elements(sm.Graph([sm.sort(x)], [x]), [type_of(np.arange(3.0))])
    with pytest.raises(NotImplementedError, match="operations, more than"):
        in_elements(sm.Graph([x @ x], [x]), [type_of(np.ones((40, 40)))])


def test_data_of_arrays() -> None:
    data = tensor_data(np.array([[1.0, -2.0], [0.123456789, 4.0]]))
    assert data["s"] == [2, 2] and data["d"] == [1, -2, 0.12346, 4]
    assert data["m"] == [-2, 4, 0.78086, 4.5842] and "x" not in data
    bad = tensor_data(np.array([np.nan, np.inf, -np.inf]))
    assert bad["d"] == ["nan", "inf", "-inf"] and bad["x"] == 1
    large = tensor_data(np.ones((2, 50, 33)))
    assert "d" not in large and len(large["g"]) == 16 and {*map(len, large["g"])} == {16}
    for array in (np.zeros((0, 3)), np.array([True, False]), np.array([1 + 1j]), np.arange(3)):
        json.dumps(tensor_data(array), allow_nan=False)
