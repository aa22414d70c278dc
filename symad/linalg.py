"""Linear algebra under NumPy's names: ``sm.linalg.solve(a, b)``, ``np.linalg.solve(node, b)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symad.functions.absent import absent
from symad.functions.linear_algebra import (
    cross,
    diagonal,
    matrix_norm,
    matrix_rank,
    outer,
    vecdot,
    vector_norm,
)
from symad.functions.matrix_functions import (
    block_diag,
    cho_factor,
    cho_solve,
    cond,
    expm,
    lstsq,
    lu,
    multi_dot,
    solve_banded,
    solve_sylvester,
    sqrtm,
    tensorinv,
    tensorsolve,
    toeplitz,
)
from symad.ops.factorisation import cholesky, eigh, eigvalsh, qr, svd, svdvals
from symad.ops.inverse import det, inv, matrix_power, slogdet
from symad.ops.linalg import norm, trace
from symad.ops.linear_system import solve, solve_triangular
from symad.ops.permute import matrix_transpose
from symad.ops.product import matmul, tensordot
from symad.ops.pseudo_inverse import pinv

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "cond", "cross", "det", "diagonal", "eigh",
    "eigvalsh", "expm", "inv", "lstsq", "lu", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet",
    "solve", "solve_banded", "solve_sylvester", "solve_triangular", "sqrtm", "svd", "svdvals",
    "tensordot", "tensorinv", "tensorsolve", "toeplitz", "trace", "vecdot", "vector_norm",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
