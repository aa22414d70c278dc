"""The pseudo-inverse of Moore and Penrose."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import Sample, fixed, reals, well_conditioned
from symad.ops.base import Operand, as_node, register, tensor_types
from symad.ops.matrices import PerMatrix, factor_dtype, per_matrix, require_matrix
from symad.types import TensorType, Type, UnknownShape


def _pinv(a: Any, rtol: Any = None) -> Any:
    return np.linalg.pinv(a.astype(factor_dtype(a.dtype), copy=False), rtol=rtol)


class Pinv(PerMatrix):
    """See :func:`pinv`."""

    name = "pinv"
    may_fail = True
    derivative_domain = (
        "The pseudo-inverse jumps where the rank of a matrix changes: add a small multiple of the "
        "identity, or set rtol= so that the rank is certain."
    )
    result_axes = (2,)
    numpy = staticmethod(_pinv)
    latex = "{0}^{{+}}"
    precedence = 4
    samples = (
        Sample(lambda a: pinv(a), [well_conditioned(4, 2)], lambda a: np.linalg.inv(a.T @ a) @ a.T,
               label="tall"),
        Sample(lambda a: pinv(a), [well_conditioned(2, 3)], lambda a: a.T @ np.linalg.inv(a @ a.T),
               label="wide"),
        Sample(lambda a: pinv(a), [well_conditioned(2, 2, 2)], np.linalg.inv, label="stack"),
        Sample(lambda a: pinv(a, rtol=0.1), [well_conditioned(3, 3)], np.linalg.inv, label="rtol"),
        Sample(lambda a: pinv(a), [fixed([[1.0, 2.0], [2.0, 4.0]])], lambda a: a.T / 25, order=0,
               label="rank 1"),
        Sample(lambda a: pinv(a), [fixed(np.eye(3))], label="equal singular values"),
        Sample(lambda n: pinv(n), [fixed([[1, 2], [3, 4]])], np.linalg.inv, label="integers"),
        Sample(lambda a: pinv(a), [reals(0, 2)], label="empty"),
    )  # fmt: skip

    def flops(self, result: Any, *types: Any) -> int:
        return per_matrix(types[0], lambda m, n: 22 * max(m, n) * min(m, n) ** 2)

    def infer(self, *types: Any) -> Type:
        a = tensor_types(*types)[0]
        require_matrix(a.shape)
        dtype = factor_dtype(a.dtype)
        if isinstance(a.shape, UnknownShape):
            return TensorType(dtype, UnknownShape.fresh())
        *batch, rows, columns = a.shape
        return TensorType(dtype, (*batch, columns, rows))

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        a, p, w = inputs[0], out, adjoint.mT
        rows = w @ p @ p.mT
        columns = p.mT @ (p @ w)
        return rows - a @ (p @ rows) + columns - (columns @ p) @ a - p.mT @ adjoint @ p.mT

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        a, p, t = inputs[0], out, tangent.mT
        rows = p @ (p.mT @ t)
        columns = t @ p.mT @ p
        return rows - (rows @ a) @ p + columns - p @ (a @ columns) - p @ tangent @ p


@explained
def pinv(x: Operand, *, rtol: Operand | None = None) -> Node:
    """Return the pseudo-inverse of matrices: A⁺ b is the shortest x with the least ‖A x − b‖.

    Parameters
    ----------
    x : (..., m, n) node or array
    rtol : float, node or array, optional
        Singular values up to this fraction of the largest count as 0; by default, max(m, n) times
        the precision of the dtype.

    Returns
    -------
    (..., n, m) Node

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Notes
    -----
    With P = A⁺, Ṗ = −P Ȧ P + P Pᵀ Ȧᵀ (1 − A P) + (1 − P A) Ȧᵀ Pᵀ P, from G. Golub and V. Pereyra,
    "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate" (1973).  It holds for changes that leave the rank as it is.  Singular values may be
    equal.

    Examples
    --------
    >>> import symad as sm
    >>> sm.linalg.pinv(sm.constant([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])).eval()
    array([[0.5 , 0.  , 0.  ],
           [0.  , 0.25, 0.  ]])
    """
    return apply(Pinv(), as_node(x), *([] if rtol is None else [as_node(rtol)]))


@explained
def _pinv_as_numpy(a: Operand, rcond: Operand = 1e-15, *, rtol: Operand | None = None) -> Node:
    """``np.linalg.pinv`` of a node, with NumPy's default for the cut-off."""
    return pinv(a, rtol=rcond if rtol is None else rtol)


register(_pinv_as_numpy, "linalg.pinv")
