"""Ops of what certain ops return, in the forms that XLA computes fastest.

To multiply a vector by a transpose takes XLA up to nine times as long as to say it another way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.backends.xla.translations import jnp, lax, triangular_solution
from symad.graph.node import Node
from symad.ops.permute import PermuteDims

Form = Callable[..., Any]
"""Takes the operands, of what they are transposes or shares (else ``None``), whether a CPU
computes, and the attributes of the op; returns ``None`` where nothing is gained."""

_WORTH_COPYING = {"float64": 16, "float32": 32}
"""The columns of the other matrix from which a transpose is copied first, on a CPU."""


def _is_transpose(node: Node) -> bool:
    """Return whether a node is its input with the last two axes exchanged."""
    return isinstance(node.op, PermuteDims) and node.op.transposes_matrices


def _transpose(x: Any) -> Any:
    return jnp.swapaxes(x, -1, -2)


def _matmul(operands: Sequence[Any], sources: Sequence[Any], on_cpu: bool) -> Any:
    """Aᵀv = vA and vAᵀ = Av."""
    (x, y), (left, right) = operands, sources
    if not np.shape(x)[-1]:
        return None
    if right is not None and np.ndim(x) == 1:
        return jnp.matmul(right, x)
    if left is None:
        return None
    if np.ndim(y) == 1:
        return jnp.matmul(y, left)
    if np.shape(y)[-1] == 1:
        return _transpose(jnp.matmul(_transpose(y), left))
    if on_cpu and np.shape(y)[-1] >= _WORTH_COPYING.get(str(x.dtype), math.inf):
        return jnp.matmul(lax.optimization_barrier(x), y)
    return None


def _solve_triangular(
    operands: Sequence[Any], sources: Sequence[Any], on_cpu: bool, lower: bool, unit_diagonal: bool
) -> Any:
    """AᵀX = B and XA = B are solved without a transpose: AX = Bᵀ where XᵀAᵀ = B."""
    (a, b), (matrix, rows) = operands, sources
    is_transposed = matrix is not None
    facts = {"lower": lower != is_transposed, "unit_diagonal": unit_diagonal}
    matrix = matrix if is_transposed else a
    if rows is not None:
        facts |= {"left_side": False, "transpose_a": not is_transposed}
        return _transpose(triangular_solution(matrix, rows, **facts))
    facts |= {"left_side": True, "transpose_a": is_transposed}
    columns = b[:, None] if b.ndim == 1 else b
    result = triangular_solution(matrix, columns, **facts)
    return result[..., 0] if b.ndim == 1 else result


def _is_softmax(node: Node) -> bool:
    return node.op is not None and node.op.name == "softmax"


def _at_largest(operands: Sequence[Any], sources: Sequence[Any], on_cpu: bool, axis: Any) -> Any:
    """The exponential of the largest element less itself is 1, and XLA has it already."""
    v, x = operands[0], sources[1]
    if x is None:
        return None
    top = lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=-jnp.inf))
    chosen = jnp.where(jnp.exp(x - top) == 1, v, -jnp.inf)
    return jnp.max(chosen, axis, keepdims=True, initial=-jnp.inf)


FORMS: dict[str, tuple[Callable[[Node], bool], Form]] = {
    "matmul": (_is_transpose, _matmul),
    "solve_triangular": (_is_transpose, _solve_triangular),
    "at_largest": (_is_softmax, _at_largest),
}
"""From the name of an op to which operands give it another form, and that form."""
