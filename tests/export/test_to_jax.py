"""Functions of JAX arrays: every op of the table gives what NumPy gives, traced by JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError
from symad.graph.nested import leaves
from tests.ops.test_op_table import CASES, OPS
from tests.support import op_checks as checks

jax: Any = pytest.importorskip("jax")


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


LACKING = {
    "assemble_csr", "betaincinv", "erfcinv", "gammaincinv", "iv", "ive", "jv", "kv", "scaled_erfc",
    "stdtr", "stdtrit", "yv",
}  # fmt: skip
"""Ops that JAX has nothing for."""


@pytest.mark.parametrize("name", OPS)
def test_the_op_table(name: str) -> None:
    for case in (case for case in CASES if case.op_class.name == name):
        built = checks.build(case)
        graph = sm.Graph(built.outputs, built.inputs)
        f = sm.compile(list(built.inputs), list(built.outputs), backend="numpy")
        try:
            g = sm.to_jax(f)
            found = jax.jit(g)(*built.arrays)
        except ExportError as error:
            assert name in LACKING, f"{case.id}: {error}"
            assert "cannot be computed in JAX" in error.message
            continue
        for a, b in zip(leaves(f(*built.arrays)), leaves(found), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype, case.id
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9, err_msg=f"{case.id}\n{graph}")
