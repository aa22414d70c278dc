"""Every op of the table is written in C, and computes what NumPy's backend does.

``SYMAD_C_CASES=1`` compiles all cases of the op table; by default, every sixth.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError
from symad.export.c_file import functions_of
from symad.export.c_memory import CFile
from symad.graph.nested import leaves
from tests.ops.test_op_table import CASES
from tests.support import op_checks as checks
from tests.support.c_programs import CProgram, flat, graph_in_c, needs_gcc
from tests.support.op_checks import Case

EACH = int(os.environ.get("SYMAD_C_CASES", "6"))
BATCH = 150

LACKING = {
    name
    for why in (
        # SciPy computes these functions, whose series are not in C99
        "bessel_i betainc betaincinv binom erfcinv erfcx erfinv exp1 expi expn gammainc gammaincc "
        "gammaincinv hyp1f1 hyp2f1 iv ive jv kv log_ndtr ndtri poch polygamma polygamma_step "
        "scaled_bessel_i scaled_erfc spence stdtr stdtrit yv zeta",
        "expm lu orthogonal_complement pinv solve_sylvester sqrtm",  # algorithms of LAPACK
        "assemble_csr",  # the result is a sparse matrix
        "beta betaln equal_part round sinc",
    )
    for name in why.split()
}
"""Ops that C has nothing for."""


def function_of(case: Case) -> sm.Function:
    built = checks.build(case)
    return sm.compile(list(built.inputs), list(built.outputs), backend="numpy")


def test_what_c_lacks_is_named() -> None:
    """No op is missing by oversight, and the list has no others."""
    found = set()
    for case in CASES:
        try:
            functions_of(CFile("f"), graph_in_c(function_of(case)))
        except ExportError as error:
            assert "cannot be written in C" in str(error)
            found.add(case.op_class.name)
    assert found == LACKING & {case.op_class.name for case in CASES}


CHOSEN = [case for case in CASES[::EACH] if case.op_class.name not in LACKING]


@needs_gcc
@pytest.mark.parametrize("first", range(0, len(CHOSEN), BATCH))
def test_every_op_is_computed(first: int, tmp_path: Path) -> None:
    cases = CHOSEN[first : first + BATCH]
    functions = [function_of(case) for case in cases]
    graphs = {f"f{k}": graph_in_c(f) for k, f in enumerate(functions)}
    arrays = [checks.build(case).arrays for case in cases]
    found = CProgram(graphs, tmp_path).run(list(enumerate(arrays)))
    for case, f, xs, made in zip(cases, functions, arrays, found, strict=True):
        assert not isinstance(made, str), f"{case.id}: {made}"
        for a, b in zip(flat(list(leaves(f(*xs)))), flat(made), strict=True):
            a = np.asarray(a)
            assert (a.shape, a.dtype) == (b.shape, b.dtype), case.id
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-10, err_msg=case.id)
