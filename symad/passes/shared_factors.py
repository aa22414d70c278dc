"""Several uses of a matrix share its factors.

``solve(a, b)``, ``slogdet(a)`` and ``inv(a)``, and the systems of their derivatives, which have the
transposed matrix, each factorise it.  Where there are several, one factorisation serves them all.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.ops.arithmetic import multiply
from symad.ops.exponential import exp
from symad.ops.inverse import Det, Inv, Slogdet
from symad.ops.linear_system import Solve
from symad.ops.permute import MatrixTranspose, PermuteDims, permute_dims
from symad.ops.shared_factors import (
    InverseFactored,
    SlogdetFactored,
    SolveFactored,
    factors_of,
)
from symad.ops.structure import structure_item
from symad.passes.rule import static_shape

FACTORISES = Solve, Inv, Slogdet, Det
"""The ops that factorise a matrix."""
_LEAST = 4
"""Smaller matrices are factorised in less time than it takes to write and read the factors."""
_SAVED = 12
"""The factors of smaller matrices cost less than to save and read them."""


def share_factors(graph: Graph, is_saved: bool = False) -> Graph:
    """Return ``graph`` in which each matrix is factorised once.

    Parameters
    ----------
    graph : Graph
    is_saved : bool
        Whether it is the body of a loop, and other loops may read what this one has made: then
        also a single use is by factors, those of the loop and of its adjoint.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.Variable("a", shape=(50, 50)), sm.Variable("b", shape=(50,))
    >>> y = b @ sm.linalg.solve(a, b) + sm.linalg.slogdet(a).logabsdet
    >>> made = share_factors(sm.Graph([y], [a, b]))
    >>> [node.op.name for node in made.nodes if node.op and "fact" in node.op.name]
    ['lu_factors', 'solve_factored', 'slogdet_factored']
    """
    uses: dict[Node, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if isinstance(node.op, FACTORISES) and _is_shared(*node.inputs):
            uses[_base(node.inputs[0])[0]].append(node)
    shared = {
        node: base for base, nodes in uses.items() for node in nodes
        if len(nodes) > 1 or (is_saved and _rows(base) > _SAVED)
    }  # fmt: skip
    if not shared:
        return graph
    new: dict[Node, tuple[Node, Node]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in shared:
            return replace_inputs(node, inputs)
        matrix, is_transposed = _base(inputs[0])
        if shared[node] not in new:
            new[shared[node]] = factors_of(matrix)
        return _by_factors(node, new[shared[node]], inputs, is_transposed)

    return rebuild(graph, visit)


def _rows(matrix: Node) -> int:
    shape = static_shape(matrix)
    return shape[-1] if shape else 0


def _is_shared(matrix: Node, *right: Node) -> bool:
    """Return whether factors of a matrix may be shared: they have its digits."""
    shape, dtype = static_shape(matrix), matrix.dtype
    is_known = shape is not None and 0 not in shape and matrix.type.is_float
    is_widest = all(np.result_type(dtype, x.dtype) == dtype for x in right)
    return is_known and is_widest and _rows(matrix) >= _LEAST


def _base(matrix: Node) -> tuple[Node, bool]:
    """Return the matrix that is transposed, if it is, and whether it is."""
    op, swapped = matrix.op, False
    while isinstance(op, MatrixTranspose) or (
        isinstance(op, PermuteDims) and op.transposes_matrices
    ):
        matrix, swapped = matrix.inputs[0], not swapped
        op = matrix.op
    return matrix, swapped


def _by_factors(
    node: Node, factors: tuple[Node, Node], inputs: tuple[Node, ...], is_transposed: bool
) -> Node:
    """Return what replaces a use of a matrix."""
    if isinstance(node.op, Solve):
        return apply(SolveFactored(is_transposed), *factors, inputs[1])
    if isinstance(node.op, Inv):
        inverse: Node = apply(InverseFactored(), *factors)
        rank = inverse.ndim or 0
        axes = (*range(rank - 2), rank - 1, rank - 2)
        return permute_dims(inverse, axes) if is_transposed else inverse
    pair: Node = apply(SlogdetFactored(), *factors)
    if isinstance(node.op, Slogdet):
        return pair
    return multiply(structure_item(pair, 0), exp(structure_item(pair, 1)))
