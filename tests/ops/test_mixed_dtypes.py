"""A result in float64 has the digits of float64 also where some of the operands are narrower."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from symad.ops.body import WithBody
from tests.support.op_checks import build, cases_of, kernel_of, run

PAIRWISE = {"add_n"}
"""The sum of the first two terms has their dtype, as that of a + b + c has."""
NAMES = [
    name for name, kind in OP_CLASSES.items()
    if kind.__module__.startswith("symad.ops.")
    and not issubclass(kind, WithBody) and name not in PAIRWISE
]  # fmt: skip


def applications(name: str) -> Iterator[tuple[Node, list[Any]]]:
    """Yield nodes of an op with operands of float32, of which there are at least two."""
    for case in cases_of(OP_CLASSES[name]):
        built = build(case)
        node = next((node for node in built.nodes if type(node.op) is OP_CLASSES[name]), None)
        if node is None:  # it left another one
            continue
        values = run(built.inputs, list(node.inputs), built.arrays)
        if sum(map(is_float, values)) > 1:
            yield node, [x.astype(np.float32) if is_float(x) else x for x in values]


def is_float(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_narrow_operands_cost_no_digits(name: str) -> None:
    for node, narrow in applications(name):
        assert node.op is not None
        kernel = kernel_of(node.op)
        wide = kernel(*[x.astype(np.float64) if is_float(x) else x for x in narrow])
        for slot in [slot for slot, x in enumerate(narrow) if is_float(x)]:
            mixed = [x.astype(np.float64) if k == slot else x for k, x in enumerate(narrow)]
            for got, want in zip(leaves(kernel(*mixed)), leaves(wide), strict=True):
                if np.asarray(got).dtype == np.asarray(want).dtype == np.float64:
                    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)
