"""The backend "jax": every op gives what NumPy gives, on JAX's devices, and JAX stays as it was.

``SYMAD_JAX_CASES=1`` computes all cases of the op table; by default, XLA compiles every tenth.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, ExportError, FeedError, GraphTypeError, MissingExtraError
from symad.graph.nested import leaves
from tests.export.test_to_jax import LACKING, is_compared
from tests.ops.test_op_table import CASES
from tests.support import op_checks as checks
from tests.support.op_checks import Case

jax: Any = pytest.importorskip("jax")

EACH = int(os.environ.get("SYMAD_JAX_CASES", "10"))
BATCH = 40

CHOSEN = list(filter(is_compared, CASES[7::EACH] if EACH > 1 else CASES))


def compiled(inputs: Any, outputs: Any, **options: Any) -> sm.Function:
    return sm.compile(inputs, outputs, backend="jax", **options)


# Every op


@pytest.mark.parametrize("first", range(0, len(CHOSEN), BATCH))
def test_every_op_is_computed(first: int) -> None:
    """Many in one function, which XLA compiles faster."""
    cases = CHOSEN[first : first + BATCH]
    built = [checks.build(case) for case in cases]
    inputs = [list(sample.inputs) for sample in built]
    outputs = [list(sample.outputs) for sample in built]
    arrays = [list(sample.arrays) for sample in built]
    want = sm.compile(inputs, outputs, backend="numpy")(*arrays)
    found = compiled(inputs, outputs)(*arrays)
    for case, a, b in zip(cases, want, found, strict=True):
        assert_same(case, a, b)


def assert_same(case: Case, want: Any, found: Any) -> None:
    for a, b in zip(leaves(want), leaves(found), strict=True):
        assert (type(b), np.shape(b)) == (type(a), np.shape(a)), case.id
        if a is not None:
            assert b.dtype == a.dtype, case.id
            np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9, err_msg=case.id)


def test_what_jax_lacks_is_an_error_of_compile() -> None:
    case = next(case for case in CASES if case.op_class.name in LACKING)
    built = checks.build(case)
    with pytest.raises(ExportError, match="cannot be computed in JAX") as error:
        compiled(list(built.inputs), list(built.outputs))
    assert "made at" in str(error.value)
